/* SPDX-License-Identifier: ISC */
/*
 * Limits: what just fits is taken, one more is refused with the status that
 * says which limit it was, at the moment it is known and not after all the
 * bytes.
 */
#include "test_http_parser.h"

#include <setjmp.h>

#include <cmocka.h>

#define BYTES(text) (text), sizeof(text) - 1
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static int status_of(const struct cdt_http_limits *limits, size_t mem,
                     const char *text)
{
    struct http_setup setup = {CDT_HTTP_REQUEST, NULL, limits, mem};
    struct http_run *r = http_run_all(&setup, text, strlen(text));
    int status = r->status;

    assert_int_equal(r->done, status == 0);
    http_run_free(r);
    return status;
}

static void the_first_line_is_limited(void **state)
{
    static const char text[] = "GET /abcdef HTTP/1.1\r\nHost: a\r\n\r\n";
    struct cdt_http_limits limits = http_wide;

    (void)state;
    limits.request_line = 20;
    assert_int_equal(status_of(&limits, 512, text), 0);
    limits.request_line = 19;
    assert_int_equal(status_of(&limits, 512, text), 414);
    limits.request_line = 0;
    assert_int_equal(status_of(&limits, 512, text), 414);
    limits.request_line = UINT32_MAX;
    assert_int_equal(status_of(&limits, 512, text), 0);
    /* what never ends is not waited for */
    limits.request_line = 10;
    assert_int_equal(status_of(&limits, 512, "GET /abcdefghijkl"), 414);
    assert_int_equal(status_of(&limits, 512, "GET / HTTP"), 400);
}

static void fields_are_limited(void **state)
{
    static const char text[] =
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n";
    struct cdt_http_limits limits = http_wide;

    (void)state;
    limits.fields = 3;
    assert_int_equal(status_of(&limits, 512, text), 0);
    limits.fields = 2;
    assert_int_equal(status_of(&limits, 512, text), 431);
    limits.fields = 0;
    assert_int_equal(status_of(&limits, 512, text), 431);
}

/* A head fits into exactly as much as the header file says, and into no less.
 */
static void memory_is_the_limit_of_a_head(void **state)
{
    static const char text[] =
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n";
    size_t need = sizeof text - 1 + 3 * sizeof(struct cdt_http_field);

    (void)state;
    assert_int_equal(status_of(&http_wide, need, text), 0);
    for (size_t mem = 0; mem < need; mem++) {
        assert_int_equal(status_of(&http_wide, mem, text), 431);
    }
}

/* Whichever limit a line meets first is the one that is named. */
static void a_long_line_meets_one_limit(void **state)
{
    struct cdt_http_limits limits = http_wide;
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "GET /", 5);
    text[sizeof text - 1] = '\0';
    limits.request_line = 1000;
    assert_int_equal(status_of(&limits, 512, text), 431);
    assert_int_equal(status_of(&limits, 1200, text), 414);
    memcpy(text, "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(status_of(&limits, 1200, text), 431);
}

static void memory_may_lie_anywhere(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
    uint8_t mem[256];
    struct cdt_http_parser p;

    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        for (size_t size = 128; size < 136; size++) {
            const uint8_t *body;
            size_t body_len;
            size_t used;

            cdt_http_parser_init(&p, CDT_HTTP_REQUEST, &http_wide);
            cdt_http_parser_begin(&p, mem + shift, size, NULL);
            assert_int_equal(
                cdt_http_parse(&p, BYTES(text), &used, &body, &body_len),
                CDT_HTTP_HEAD);
            assert_int_equal(cdt_http_field(&p, 1).value.len, 1);
        }
    }
}

/* At the head, so that nobody asks for a body that will not be taken. */
static void a_sized_body_is_limited_at_once(void **state)
{
    struct cdt_http_limits limits = http_wide;

    (void)state;
    limits.body = 10;
    assert_int_equal(
        status_of(&limits, 512, POST "Content-Length: 10\r\n\r\n0123456789"),
        0);
    assert_int_equal(status_of(&limits, 512, POST "Content-Length: 11\r\n\r\n"),
                     413);
    assert_int_equal(status_of(&limits, 512,
                               POST "Expect: 100-continue\r\n"
                                    "Content-Length: 11\r\n\r\n"),
                     413);
    limits.body = 0;
    assert_int_equal(status_of(&limits, 512, POST "Content-Length: 1\r\n\r\n"),
                     413);
    assert_int_equal(status_of(&limits, 512, POST "Content-Length: 0\r\n\r\n"),
                     0);
}

static void a_chunked_body_is_limited(void **state)
{
    struct cdt_http_limits limits = http_wide;

    (void)state;
    limits.body = 10;
    assert_int_equal(status_of(&limits, 512,
                               CHUNKED "6\r\nabcdef\r\n4\r\nghij\r\n"
                                       "0\r\n\r\n"),
                     0);
    assert_int_equal(status_of(&limits, 512, CHUNKED "6\r\nabcdef\r\n5\r\n"),
                     413);
    assert_int_equal(
        status_of(&limits, 512, CHUNKED "6\r\nabcdef\r\nffffffffffffffff\r\n"),
        413);
    limits.body = 0;
    assert_int_equal(status_of(&limits, 512, CHUNKED "0\r\n\r\n"), 0);
    assert_int_equal(status_of(&limits, 512, CHUNKED "1\r\n"), 413);
}

static void extensions_are_limited_in_all(void **state)
{
    struct cdt_http_limits limits = http_wide;
    static const char text[] = CHUNKED
        "1;abc\r\nx\r\n1 ;bc\r\nx\r\n0;b\r\n\r\n";

    (void)state;
    limits.chunk_ext = 10;
    assert_int_equal(status_of(&limits, 512, text), 0);
    limits.chunk_ext = 9;
    assert_int_equal(status_of(&limits, 512, text), 413);
    limits.chunk_ext = 0;
    assert_int_equal(status_of(&limits, 512, text), 413);
    assert_int_equal(status_of(&limits, 512, CHUNKED "0 ;\r\n\r\n"), 413);
    assert_int_equal(status_of(&limits, 512, CHUNKED "0\r\n\r\n"), 0);
}

static void trailers_are_limited(void **state)
{
    struct cdt_http_limits limits = http_wide;
    static const char text[] = CHUNKED "0\r\nA: b\r\nCd:\r\n\r\n";

    (void)state;
    limits.trailer = 7;
    assert_int_equal(status_of(&limits, 512, text), 0);
    limits.trailer = 6;
    assert_int_equal(status_of(&limits, 512, text), 431);
    limits.trailer = 0;
    assert_int_equal(status_of(&limits, 512, text), 431);
    assert_int_equal(status_of(&limits, 512, CHUNKED "0\r\n\r\n"), 0);
}

/* Limits are of one message; the next has them anew. */
static void limits_begin_again(void **state)
{
    struct cdt_http_limits limits = http_wide;
    struct http_setup setup = {CDT_HTTP_REQUEST, NULL, &limits, 512};
    static const char two[] = CHUNKED "2;abc\r\nxy\r\n0\r\nA: b\r\n\r\n" CHUNKED
                                      "2;abc\r\nxy\r\n0\r\nA: b\r\n\r\n";
    struct http_run *r;

    (void)state;
    limits.body = 2;
    limits.chunk_ext = 4;
    limits.trailer = 4;
    limits.fields = 2;
    r = http_run_all(&setup, BYTES(two));
    assert_int_equal(r->status, 0);
    assert_int_equal(r->done, 2);
    http_run_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_line_is_limited),
        cmocka_unit_test(fields_are_limited),
        cmocka_unit_test(memory_is_the_limit_of_a_head),
        cmocka_unit_test(a_long_line_meets_one_limit),
        cmocka_unit_test(memory_may_lie_anywhere),
        cmocka_unit_test(a_sized_body_is_limited_at_once),
        cmocka_unit_test(a_chunked_body_is_limited),
        cmocka_unit_test(extensions_are_limited_in_all),
        cmocka_unit_test(trailers_are_limited),
        cmocka_unit_test(limits_begin_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
