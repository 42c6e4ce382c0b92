/* SPDX-License-Identifier: ISC */
/*
 * How the bytes are split changes nothing: a stream of messages of every kind,
 * cut everywhere, in three, at random, with empty pieces between, and ended
 * after every byte.
 */
#include "test_http_parser.h"

#include <setjmp.h>

#include <cmocka.h>

#define BYTES(text) (text), sizeof(text) - 1

static const char requests[] =
    "GET /one?two HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"
    "\r\n"
    "PUT /three HTTP/1.1\r\nHost: a:80\r\nContent-Length: 11\r\n\r\nhello world"
    "POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    "Expect: 100-continue\r\n\r\n"
    "5\r\nhello\r\n6 ;x=\"y\"\r\n world\r\n0\r\nA: b\r\nCd: \t\r\n\r\n"
    "POST /empty HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "0\r\n\r\n"
    "DELETE / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    "\r\n\r\nOPTIONS * HTTP/1.0\r\n\r\n";

static const char responses[] =
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    "HTTP/1.1 204\r\n\r\n"
    "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
    "a;b\r\n0123456789\r\n00\r\nA: b\r\n\r\n"
    "HTTP/1.0 500 \r\nServer: x\r\n\r\nuntil the end";

/* A small generator, for the same cuts every time. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static struct http_run *whole_run(const struct http_setup *setup,
                                  const char *text, size_t n, unsigned messages)
{
    struct http_run *r = http_run_all(setup, text, n);

    assert_int_equal(r->status, 0);
    assert_int_equal(r->done, messages);
    assert_int_equal(r->offset, n);
    return r;
}

static void check_three(const struct http_setup *setup, const char *text,
                        size_t n, unsigned messages)
{
    struct http_run *whole = whole_run(setup, text, n, messages);

    for (size_t first = 0; first < n; first++) {
        for (size_t size = 0; size < 5 && first + size <= n; size++) {
            size_t cuts[2] = {first, first + size};
            struct http_run *r = http_run_cut(setup, text, n, cuts, 2);

            http_assert_same(whole, r);
            http_run_free(r);
        }
    }
    http_run_free(whole);
}

static void check_random(const struct http_setup *setup, const char *text,
                         size_t n, unsigned messages)
{
    struct http_run *whole = whole_run(setup, text, n, messages);
    uint32_t seed = 1;
    size_t cuts[64];

    for (unsigned i = 0; i < 500; i++) {
        size_t count = 0;
        size_t at = 0;
        struct http_run *r;

        while (count < 64 && at <= n) {
            cuts[count++] = at;
            at += next_random(&seed) % 40;
        }
        r = http_run_cut(setup, text, n, cuts, count);
        http_assert_same(whole, r);
        http_run_free(r);
    }
    http_run_free(whole);
}

static void pieces_in_three(void **state)
{
    (void)state;
    check_three(&http_requests, BYTES(requests), 6);
    check_three(&http_responses, BYTES(responses), 5);
}

static void pieces_at_random(void **state)
{
    (void)state;
    check_random(&http_requests, BYTES(requests), 6);
    check_random(&http_responses, BYTES(responses), 5);
}

/* After every byte: a clean end between messages and an error inside them. */
static void the_end_after_every_byte(void **state)
{
    struct http_run *r = http_run_new(&http_requests);

    (void)state;
    for (size_t i = 0; i < sizeof requests - 1 && !r->last; i++) {
        struct cdt_http_parser copy = r->p;
        bool idle = cdt_http_parser_idle(&r->p);

        assert_int_equal(cdt_http_parser_end(&copy),
                         idle ? CDT_HTTP_MORE : CDT_HTTP_ERROR);
        assert_int_equal(copy.status, idle ? 0 : 400);
        http_run_feed(r, requests + i, 1);
        if (requests[i] != '\r' && requests[i] != '\n') {
            assert_int_equal(cdt_http_parser_idle(&r->p),
                             r->p.used == 0 && r->p.body_seen == 0);
        }
    }
    http_run_free(r);
}

/* DONE is said again until begin, and takes nothing. */
static void done_waits_for_begin(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
    struct http_run *r = http_run_new(&http_requests);
    const uint8_t *body;
    size_t body_len;
    size_t used;

    (void)state;
    assert_int_equal(cdt_http_parse(&r->p, NULL, 0, &used, &body, &body_len),
                     CDT_HTTP_MORE);
    assert_true(cdt_http_parser_idle(&r->p));
    assert_int_equal(
        cdt_http_parse(&r->p, BYTES(text), &used, &body, &body_len),
        CDT_HTTP_HEAD);
    assert_int_equal(used, sizeof text - 1 - 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            cdt_http_parse(&r->p, text + used, i, &used, &body, &body_len),
            CDT_HTTP_DONE);
        assert_int_equal(used, 0);
        used = sizeof text - 1 - 3;
    }
    assert_int_equal(cdt_http_parser_end(&r->p), CDT_HTTP_MORE);
    http_run_free(r);
}

/* A message that is complete is not cut short, though DONE was not asked for.
 */
static void an_end_before_done_is_done(void **state)
{
    static const char text[] =
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    struct http_run *r = http_run_new(&http_requests);
    enum cdt_http_event event;
    size_t used;

    (void)state;
    used = http_run_call(r, (const uint8_t *)text, sizeof text - 1, &event);
    assert_int_equal(event, CDT_HTTP_HEAD);
    (void)http_run_call(r, (const uint8_t *)text + used, sizeof text - 1 - used,
                        &event);
    assert_int_equal(event, CDT_HTTP_BODY);
    assert_int_equal(cdt_http_parser_end(&r->p), CDT_HTTP_DONE);
    assert_int_equal(cdt_http_parser_end(&r->p), CDT_HTTP_MORE);
    http_run_free(r);
}

static void nothing_begins_before_begin(void **state)
{
    struct cdt_http_parser p;
    const uint8_t *body;
    size_t body_len;
    size_t used;

    (void)state;
    cdt_http_parser_init(&p, CDT_HTTP_REQUEST, &http_wide);
    assert_false(cdt_http_parser_idle(&p));
    assert_int_equal(cdt_http_parser_end(&p), CDT_HTTP_MORE);
    assert_int_equal(cdt_http_parse(&p, BYTES("GET"), &used, &body, &body_len),
                     CDT_HTTP_DONE);
    assert_int_equal(used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_in_three),
        cmocka_unit_test(pieces_at_random),
        cmocka_unit_test(the_end_after_every_byte),
        cmocka_unit_test(done_waits_for_begin),
        cmocka_unit_test(an_end_before_done_is_done),
        cmocka_unit_test(nothing_begins_before_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
