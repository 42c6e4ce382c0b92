/* SPDX-License-Identifier: ISC */
/*
 * Responses: the status line, and where a body ends, which the request's method
 * and the status decide before any field does (RFC 9112 section 6.3).
 */
#include "test_http_parser.h"

#include <setjmp.h>

#include <cmocka.h>

#define BYTES(text) (text), sizeof(text) - 1
#define LINE(text) BYTES(text "\r\nContent-Length: 0\r\n\r\n")
#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
    int error;
    int status;
    const char *reason;
    const char *bytes;
    size_t len;
} status_lines[] = {
    {0, 200, "OK", LINE("HTTP/1.1 200 OK")},
    {0, 200, "OK", LINE("HTTP/1.0 200 OK")},
    {0, 404, "Not \t\xff Found ", LINE("HTTP/1.1 404 Not \t\xff Found ")},
    {0, 599, "", LINE("HTTP/1.1 599 ")},
    {0, 299, "", LINE("HTTP/1.1 299")},
    {0, 200, " OK", LINE("HTTP/1.1 200  OK")},
    {0, 200, "200 OK", LINE("HTTP/1.1 200 200 OK")},
    {505, 0, "", LINE("HTTP/1.2 200 OK")},
    {505, 0, "", LINE("HTTP/2.0 200 OK")},
    {400, 0, "", LINE("HTTP/2 200 OK")},
    {400, 0, "", LINE("HTTP/1.1200 OK")},
    {400, 0, "", LINE("HTTP/1.1  200 OK")},
    {400, 0, "", LINE("HTTP/1.1\t200 OK")},
    {400, 0, "", LINE("HTTP/1.1 200OK")},
    {400, 0, "", LINE("HTTP/1.1 200\tOK")},
    {400, 0, "", LINE("HTTP/1.1 2000 OK")},
    {400, 0, "", LINE("HTTP/1.1 20 OK")},
    {400, 0, "", LINE("HTTP/1.1 20")},
    {400, 0, "", LINE("HTTP/1.1 ")},
    {400, 0, "", LINE("HTTP/1.1")},
    {400, 0, "", LINE("HTTP/1.")},
    {400, 0, "", LINE("HTTP/1.1 099 OK")},
    {400, 0, "", LINE("HTTP/1.1 600 OK")},
    {400, 0, "", LINE("HTTP/1.1 999 OK")},
    {400, 0, "", LINE("HTTP/1.1 000 OK")},
    {400, 0, "", LINE("HTTP/1.1 +20 OK")},
    {400, 0, "", LINE("HTTP/1.1 2x0 OK")},
    {400, 0, "", LINE("HTTP/1.1 200 O\0K")},
    {400, 0, "", LINE("HTTP/1.1 200 O\rK")},
    {400, 0, "", LINE("HTTP/1.1 200 \x7f")},
    {400, 0, "", LINE("HTTP/1.1 200 OK\n")},
    {400, 0, "", LINE("http/1.1 200 OK")},
    {400, 0, "", LINE("ICY 200 OK")},
    {400, 0, "", LINE("")},
    {400, 0, "", BYTES("\r\n" OK "Content-Length: 0\r\n\r\n")},
    {400, 0, "", BYTES("SSH-2.0-x")},
    {400, 0, "", BYTES(OK "A : b\r\n\r\n")},
    {400, 0, "", BYTES(OK "A: b\r\n c\r\n\r\n")},
    {400, 0, "", BYTES(OK "A: b\nC: d\r\n\r\n")},
    {400, 0, "", BYTES(OK "\n")},
};

static void status_lines_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof status_lines / sizeof *status_lines; i++) {
        struct http_run *r = http_run_all(
            &http_responses, status_lines[i].bytes, status_lines[i].len);
        char expected[64];

        if (r->status != status_lines[i].error) {
            fail_msg("sample %zu: %s", i, status_lines[i].bytes);
        }
        (void)snprintf(expected, sizeof expected, " reason=%s %d 1.",
                       status_lines[i].reason, status_lines[i].status);
        r->trace[r->trace_len] = '\0';
        assert_int_equal(strstr(r->trace, expected) != NULL, r->status == 0);
        http_run_free(r);
    }
}

struct framing {
    const char *method;
    enum cdt_http_framing framing;
    bool keep_alive;
    int error; /* of the head, or 0 */
    const char *head;
};

static const struct framing framings[] = {
    {"GET", CDT_HTTP_LENGTH, true, 0, OK "Content-Length: 5\r\n\r\n"},
    {"GET", CDT_HTTP_LENGTH, true, 0, OK "Content-Length: 0\r\n\r\n"},
    {"GET", CDT_HTTP_CHUNKED, true, 0, OK "Transfer-Encoding: chunked\r\n\r\n"},
    {"GET", CDT_HTTP_UNTIL_CLOSE, false, 0, OK "\r\n"},
    {"GET", CDT_HTTP_UNTIL_CLOSE, false, 0,
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"},
    {"GET", CDT_HTTP_LENGTH, true, 0,
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n"},
    {"GET", CDT_HTTP_LENGTH, false, 0,
     OK "Connection: close\r\nContent-Length: 1\r\n\r\n"},
    {"GET", CDT_HTTP_NO_BODY, true, 0, "HTTP/1.1 204 No Content\r\n\r\n"},
    {"GET", CDT_HTTP_NO_BODY, true, 0,
     "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"},
    {"GET", CDT_HTTP_NO_BODY, true, 0,
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
    {"GET", CDT_HTTP_NO_BODY, true, 0,
     "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"GET", CDT_HTTP_NO_BODY, true, 0, "HTTP/1.1 100 Continue\r\n\r\n"},
    {"HEAD", CDT_HTTP_NO_BODY, true, 0, OK "\r\n"},
    {"HEAD", CDT_HTTP_NO_BODY, true, 0, OK "Content-Length: 5\r\n\r\n"},
    {"HEAD", CDT_HTTP_NO_BODY, true, 0,
     OK "Content-Length: 18446744073709551615\r\n\r\n"},
    {"HEAD", CDT_HTTP_NO_BODY, true, 0,
     OK "Transfer-Encoding: chunked\r\n\r\n"},
    {"head", CDT_HTTP_LENGTH, true, 0, OK "Content-Length: 5\r\n\r\n"},
    {"HEADS", CDT_HTTP_LENGTH, true, 0, OK "Content-Length: 5\r\n\r\n"},
    {NULL, CDT_HTTP_LENGTH, true, 0, OK "Content-Length: 5\r\n\r\n"},
    {"CONNECT", CDT_HTTP_NO_BODY, false, 0, OK "\r\n"},
    {"CONNECT", CDT_HTTP_NO_BODY, false, 0, OK "Content-Length: 5\r\n\r\n"},
    {"CONNECT", CDT_HTTP_NO_BODY, false, 0,
     "HTTP/1.1 299 Yes\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"CONNECT", CDT_HTTP_LENGTH, true, 0,
     "HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n"},
    {"GET", CDT_HTTP_NO_BODY, false, 0,
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
    {"GET", CDT_HTTP_LENGTH, true, 0,
     OK "Host: a b\r\nHost: c\r\nExpect: x\r\nContent-Length: 1\r\n\r\n"},
    {"GET", 0, false, 413, OK "Content-Length: 1001\r\n\r\n"},
    {"GET", 0, false, 400,
     OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
    {"GET", 0, false, 400,
     "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n"
     "Content-Length: 5\r\n\r\n"},
    {"HEAD", 0, false, 400,
     OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"},
    {"GET", 0, false, 400, OK "Content-Length: 5, 5\r\n\r\n"},
    {"GET", 0, false, 400, OK "Content-Length: -5\r\n\r\n"},
    {"GET", 0, false, 400, OK "Transfer-Encoding: gzip\r\n\r\n"},
    {"GET", 0, false, 400, OK "Transfer-Encoding: chunked, gzip\r\n\r\n"},
    {"GET", 0, false, 501, OK "Transfer-Encoding: gzip, chunked\r\n\r\n"},
    {"GET", 0, false, 400,
     "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
};

static void check_framing(const struct framing *f)
{
    struct cdt_http_limits limits = http_wide;
    struct http_setup setup = {CDT_HTTP_RESPONSE, f->method, &limits, 512};
    struct http_run *r;
    enum cdt_http_event event;
    size_t n = strlen(f->head);

    limits.body = 1000;
    http_run_free(http_run_all(&setup, f->head, n));
    r = http_run_new(&setup);
    (void)http_run_call(r, (const uint8_t *)f->head, n, &event);
    if (r->status != f->error ||
        event != (f->error == 0 ? CDT_HTTP_HEAD : CDT_HTTP_ERROR) ||
        (f->error == 0 && (r->p.head.framing != f->framing ||
                           r->p.head.keep_alive != f->keep_alive))) {
        fail_msg("%s of %s\n%.*s", f->head, f->method != NULL ? f->method : "-",
                 (int)r->trace_len, r->trace);
    }
    http_run_free(r);
}

static void method_and_status_come_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
        check_framing(&framings[i]);
    }
}

static void close_ends_a_body(void **state)
{
    struct http_run *r = http_run_all(&http_responses,
                                      BYTES(OK "\r\nHTTP/1.1 200 OK\r\n\r\n"));

    (void)state;
    assert_int_equal(r->done, 1);
    assert_int_equal(r->body_len, sizeof "HTTP/1.1 200 OK\r\n\r\n" - 1);
    http_run_free(r);
    r = http_run_all(&http_responses, BYTES(OK "\r\n"));
    assert_int_equal(r->done, 1);
    assert_int_equal(r->body_len, 0);
    http_run_free(r);
}

static void a_body_until_close_is_limited(void **state)
{
    struct cdt_http_limits limits = http_wide;
    struct http_setup setup = {CDT_HTTP_RESPONSE, "GET", &limits, 512};
    struct http_run *r;

    (void)state;
    limits.body = 3;
    r = http_run_all(&setup, BYTES(OK "\r\nabc"));
    assert_int_equal(r->done, 1);
    http_run_free(r);
    r = http_run_all(&setup, BYTES(OK "\r\nabcd"));
    assert_int_equal(r->status, 413);
    http_run_free(r);
}

/* 1xx responses are whole messages, and the answer comes after them. */
static void interim_responses_are_messages(void **state)
{
    static const char text[] =
        "HTTP/1.1 100 Continue\r\n\r\n"
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n" OK
        "Content-Length: 3\r\n\r\nabc"
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" OK
        "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    struct http_run *r = http_run_all(&http_responses, BYTES(text));

    (void)state;
    assert_int_equal(r->status, 0);
    assert_int_equal(r->done, 5);
    assert_int_equal(r->offset, sizeof text - 1);
    http_run_free(r);
}

/* The bytes after an upgrade are another protocol's; none of them is taken. */
static void an_upgrade_ends_http(void **state)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    static const char text[] = "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/";
    struct http_run *r = http_run_all(&http_responses, BYTES(text));

    (void)state;
    assert_int_equal(r->done, 1);
    assert_true(r->p.head.upgrade);
    assert_int_equal(r->offset, sizeof head - 1);
    http_run_free(r);
}

/* The length that a HEAD or a 304 tells of is known to the caller. */
static void a_length_without_a_body_is_told(void **state)
{
    struct http_setup setup = http_responses;
    struct http_run *r;
    enum cdt_http_event event;
    static const char head[] = OK "Content-Length: 12345\r\n\r\n";

    (void)state;
    setup.method = "HEAD";
    r = http_run_new(&setup);
    (void)http_run_call(r, (const uint8_t *)head, sizeof head - 1, &event);
    assert_int_equal(r->p.head.length, 12345);
    (void)http_run_call(r, NULL, 0, &event);
    assert_int_equal(event, CDT_HTTP_DONE);
    http_run_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_lines_are_exact),
        cmocka_unit_test(method_and_status_come_first),
        cmocka_unit_test(close_ends_a_body),
        cmocka_unit_test(a_body_until_close_is_limited),
        cmocka_unit_test(interim_responses_are_messages),
        cmocka_unit_test(an_upgrade_ends_http),
        cmocka_unit_test(a_length_without_a_body_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
