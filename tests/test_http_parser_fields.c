/* SPDX-License-Identifier: ISC */
/*
 * What the caller learns from a request's head: its fields, and what Connection
 * and Expect come to.
 */
#include "test_http_parser.h"

#include <setjmp.h>

#include <cmocka.h>

/* A run that has read that head and not yet said DONE. */
static struct http_run *head_of(const char *text)
{
    struct http_run *r = http_run_new(&http_requests);
    enum cdt_http_event event;
    size_t n = strlen(text);

    assert_int_equal(http_run_call(r, (const uint8_t *)text, n, &event), n);
    assert_int_equal(event, CDT_HTTP_HEAD);
    return r;
}

static void fields_come_in_order(void **state)
{
    struct http_run *r = head_of("GET /p HTTP/1.1\r\nHost: h\r\nB:\r\n"
                                 "a: \t 1 \t 2 \t\r\nb: 3\r\n\r\n");
    static const char *const expected[] = {"Host", "h",      "B", "",
                                           "a",    "1 \t 2", "b", "3"};

    (void)state;
    assert_int_equal(r->p.head.field_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        struct cdt_http_field field = cdt_http_field(&r->p, i);

        assert_true(http_is(r, field.name, expected[2 * (size_t)i]));
        assert_true(http_is(r, field.value, expected[2 * (size_t)i + 1]));
    }
    assert_int_equal(cdt_http_field(&r->p, 4).name.len, 0);
    assert_int_equal(cdt_http_field(&r->p, UINT32_MAX).value.len, 0);
    assert_true(http_is(r, r->p.head.method, "GET"));
    assert_int_equal(r->p.head.minor, 1);
    http_run_free(r);
}

static void find_has_no_case(void **state)
{
    struct http_run *r = head_of("GET / HTTP/1.1\r\nHost: h\r\nB_^: 1\r\n"
                                 "b_^: 2\r\nX-AZ:\r\nb_~: 3\r\nB_^: 4\r\n\r\n");
    size_t len = 99;
    uint32_t from = 0;
    const char *value;

    (void)state;
    value = cdt_http_find(&r->p, "hOST", NULL, &len);
    assert_true(value != NULL && len == 1 && *value == 'h');
    assert_non_null(cdt_http_find(&r->p, "x-az", NULL, &len));
    assert_int_equal(len, 0);
    assert_null(cdt_http_find(&r->p, "y", NULL, &len));
    assert_null(cdt_http_find(&r->p, "", NULL, &len));
    assert_null(cdt_http_find(&r->p, "hos", NULL, &len));

    value = cdt_http_find(&r->p, "b_^", &from, &len);
    assert_true(value != NULL && *value == '1' && from == 2);
    value = cdt_http_find(&r->p, "b_^", &from, &len);
    assert_true(value != NULL && *value == '2' && from == 3);
    value = cdt_http_find(&r->p, "b_^", &from, &len);
    assert_true(value != NULL && *value == '4' && from == 6);
    assert_null(cdt_http_find(&r->p, "b_^", &from, &len));
    http_run_free(r);
}

static void connection_decides(void **state)
{
    static const struct {
        bool keep;
        const char *head;
    } cases[] = {
        {true, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\nHost: a\r\nconnection: x ,\tCLOSE\r\n\r\n"},
        {true, "GET / HTTP/1.1\r\nHost: a\r\nConnection: ,, x,\r\n\r\n"},
        {true, "GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n"},
        {true, "GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\n\r\n"},
        {true, "GET / HTTP/1.1\r\nHost: a\r\nConnectiom: close\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                "Connection: keep-alive\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\nHost: a\r\n"
                "Connection: keep-alive,close\r\n\r\n"},
        {false, "GET / HTTP/1.0\r\n\r\n"},
        {true, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"},
        {false, "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"},
        {false, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_run *r = head_of(cases[i].head);

        assert_int_equal(r->p.head.keep_alive, cases[i].keep);
        http_run_free(r);
    }
}

/* Nobody waits for 100 (Continue) who has nothing to send. */
static void expect_needs_a_body(void **state)
{
    static const struct {
        bool expect;
        const char *head;
    } cases[] = {
        {false, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"},
        {true, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
               "Content-Length: 1\r\n\r\n"},
        {true, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
               "Expect:100-CONTINUE \r\nHost: a\r\n\r\n"},
        {false, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                "Content-Length: 0\r\n\r\n"},
        {false, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"},
        {false, "PUT / HTTP/1.0\r\nExpect: 100-continue\r\n"
                "Content-Length: 1\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_run *r = head_of(cases[i].head);

        assert_int_equal(r->p.head.expect_continue, cases[i].expect);
        http_run_free(r);
    }
}

/* Who writes a message can ask what belongs into it. */
static void spans_end_at_what_does_not_belong(void **state)
{
    (void)state;
    assert_int_equal(cdt_http_token_span("a-Z: b", 6), 3);
    assert_int_equal(cdt_http_token_span("a", 1), 1);
    assert_int_equal(cdt_http_token_span("", 0), 0);
    assert_int_equal(cdt_http_value_span("a\tb \xff\r\n", 7), 5);
    assert_int_equal(cdt_http_value_span("0123456789\nabcdefgh", 19), 10);
    assert_int_equal(cdt_http_value_span("0123456\t0123456\t", 16), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_in_order),
        cmocka_unit_test(find_has_no_case),
        cmocka_unit_test(connection_decides),
        cmocka_unit_test(expect_needs_a_body),
        cmocka_unit_test(spans_end_at_what_does_not_belong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
