/* SPDX-License-Identifier: ISC */
/*
 * What the HTTP parser refuses in the lines of a request's head, and beside
 * each the nearest thing that it takes: a parser that refuses everything would
 * pass otherwise. Framing, targets and hosts have files of their own.
 */
#include "test_http_parser.h"

#include <setjmp.h>

#include <cmocka.h>

struct sample {
    int status; /* 0: accepted */
    const char *bytes;
    size_t len;
};

#define BYTES(text) (text), sizeof(text) - 1
#define LINE(text) BYTES(text "\r\nHost: a\r\n\r\n")
#define FIELD(text) BYTES("GET / HTTP/1.1\r\nHost: a\r\n" text "\r\n\r\n")

static void check(const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct sample *s = &samples[i];
        struct http_run *r = http_run_all(&http_requests, s->bytes, s->len);

        if (r->status != s->status || r->done != (s->status == 0)) {
            fail_msg("sample %zu, expected %d:\n%s\n%.*s", i, s->status,
                     s->bytes, (int)r->trace_len, r->trace);
        }
        http_run_free(r);
    }
}

static const struct sample request_lines[] = {
    {0, LINE("GET / HTTP/1.1")},
    {0, LINE("GET / HTTP/1.0")},
    {0, LINE("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1")},
    {0, LINE("get / HTTP/1.1")},
    {400, LINE("GET  / HTTP/1.1")},
    {400, LINE("GET /  HTTP/1.1")},
    {400, LINE("GET / HTTP/1.1 ")},
    {400, LINE(" GET / HTTP/1.1")},
    {400, LINE("GET\t/ HTTP/1.1")},
    {400, LINE("GET /\tHTTP/1.1")},
    {400, LINE("GET\v/ HTTP/1.1")},
    {400, LINE("G(T / HTTP/1.1")},
    {400, LINE("G\0T / HTTP/1.1")},
    {400, LINE("G\xc3\x89T / HTTP/1.1")},
    {400, LINE("GET: / HTTP/1.1")},
    {400, LINE("GET")},
    {400, LINE("GET ")},
    {400, LINE("GET /")},
    {400, LINE("GET / ")},
    {400, LINE("GET  HTTP/1.1")},
    {400, LINE("GET HTTP/1.1")},
    {400, LINE("/ HTTP/1.1")},
    {400, LINE("GET / x HTTP/1.1")},
    {400, LINE("GET / http/1.1")},
    {400, LINE("GET / HTTP/1.1\0")},
    {400, LINE("GET / HTTP/1,1")},
    {400, LINE("GET / HTTP/11")},
    {400, LINE("GET / HTTP/1.")},
    {400, LINE("GET / HTTP/.1")},
    {400, LINE("GET / HTTP/1.10")},
    {400, LINE("GET / HTTP/01.1")},
    {400, LINE("GET / HTTP/1.x")},
    {400, LINE("GET / HTTP/x.1")},
    {400, LINE("GET / HTTP/+.1")},
    {400, LINE("GET / HTTP/1.+")},
    {400, LINE("GET / HTTP /1.1")},
    {400, LINE("GET / ICY/1.1")},
    {400, LINE("GET / HTTPS/1.1")},
    {505, LINE("GET / HTTP/0.9")},
    {505, LINE("GET / HTTP/1.2")},
    {505, LINE("GET / HTTP/2.0")},
    {505, LINE("GET / HTTP/9.9")},
    {505, BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
    {400, BYTES("\x16\x03\x01")}, /* TLS, refused at the first byte */
    {400, BYTES("\0")},
    {400, BYTES("{}")},
};

static const struct sample line_ends[] = {
    {0, BYTES("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {0, BYTES("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {400, BYTES("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {400, BYTES("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {400, BYTES("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {400, BYTES("\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {400, BYTES(" \r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {400, BYTES("GET / HTTP/1.1\nHost: a\r\n\r\n")},
    {400, BYTES("GET / HTTP/1.1\r\nHost: a\n\r\n")},
    {400, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\n")},
    {400, BYTES("GET / HTTP/1.1\r\nHost: a\n\n")},
    {400, BYTES("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n")},
    {400, BYTES("GET / HTTP/1.1\n\rHost: a\r\n\r\n")},
    {400, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n")},
    {400, BYTES("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n")},
    {400, BYTES("GET / HTTP/1.1\r\nHost: a\r\n \r\n")},
    {400, BYTES("GET / HTTP/1.1\rHost: a\r\n\r\n")},
    {400, BYTES("GET /\r\n\r\n")},
};

static const struct sample fields[] = {
    {0, FIELD("A: b")},
    {0, FIELD("A:b")},
    /* as long as the names that the parser knows */
    {0, FIELD("Date: Content-Length")},
    {0, FIELD("Accept: 200-ok")},
    {0, FIELD("Accept-Charset: -1")},
    {0, FIELD("If-Modified-Since: gzip")},
    {0, FIELD("A:")},
    {0, FIELD("A: ")},
    {0, FIELD("A: \t b \t c \t ")},
    {0, FIELD("A: b: c:")},
    {0, FIELD("A: \x80\xc3\xa9\xff obs-text stays")},
    {0, FIELD("A: !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")},
    {0, FIELD("!#$%&'*+-.^_`|~09azAZ: b")},
    {400, FIELD("A : b")},
    {400, FIELD("A\t: b")},
    {400, FIELD("A b: c")},
    {400, FIELD(": b")},
    {400, FIELD(":")},
    {400, FIELD(" : b")},
    {400, FIELD(" A: b")},
    {400, FIELD("\tA: b")},
    {400, FIELD("A")},
    {400, FIELD("A: b\r\n c")},
    {400, FIELD("A: b\r\n\tc")},
    {400, FIELD("A: b\r\n ")},
    {400, FIELD("A: b\r\n: c")},
    {400, FIELD("A: b\nC: d")},
    {400, FIELD("A: b\rC: d")},
    {400, FIELD("A: b\n\rC: d")},
    {400, FIELD("A: \rb")},
    {400, FIELD("A: b\0")},
    {400, FIELD("A: \0b")},
    {400, FIELD("A\0: b")},
    {400, FIELD("\0A: b")},
    {400, FIELD("A(: b")},
    {400, FIELD("A,B: b")},
    {400, FIELD("A/B: b")},
    {400, FIELD("A;: b")},
    {400, FIELD("\"A\": b")},
    {400, FIELD("\xc3\xa9: b")},
    {400, FIELD("A\x7f: b")},
    {400, FIELD("A: \x7f")},
    {400, FIELD("A: 12345678\x7f")},
    {400, FIELD("A: 1234567\x1f"
                "12345678")},
    {400, FIELD("A: 12345678123456\x01")},
    {400, FIELD("A: \x0b")},
    {400, FIELD("A: \x0c")},
    {400, FIELD("A: \x1b[31m")},
};

static const struct sample expectations[] = {
    {0, FIELD("Expect: 100-continue")},
    {0, FIELD("EXPECT: 100-Continue")},
    {417, FIELD("Expect: 100-continued")},
    {417, FIELD("Expect: 200-ok")},
    {417, FIELD("Expect: 100-continue, x")},
    {417, FIELD("Expect: 100-continue\r\nExpect: x")},
    {417, FIELD("Expect:")},
    {0, BYTES("GET / HTTP/1.0\r\nExpect: x\r\n\r\n")},
    /* what is wrong with the framing is said first */
    {400, FIELD("Expect: x\r\nTransfer-Encoding: x")},
};

static void request_lines_are_exact(void **state)
{
    (void)state;
    check(request_lines, sizeof request_lines / sizeof *request_lines);
}

static void only_crlf_ends_a_line(void **state)
{
    (void)state;
    check(line_ends, sizeof line_ends / sizeof *line_ends);
}

static void fields_are_exact(void **state)
{
    (void)state;
    check(fields, sizeof fields / sizeof *fields);
}

static void expectations_are_known(void **state)
{
    (void)state;
    check(expectations, sizeof expectations / sizeof *expectations);
}

/* Every byte, at every place of a value, in words of eight and in what is over.
 */
static void every_byte_is_judged(void **state)
{
    static const char before[] = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
    char text[sizeof before + 32];

    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool good = (byte >= 0x20 && byte != 0x7f) || byte == '\t';

        for (size_t at = 0; at < 20; at++) {
            size_t n = sizeof before - 1;
            struct http_run *r;

            memcpy(text, before, n);
            memset(text + n, 'x', 20);
            text[n + at] = (char)byte;
            memcpy(text + n + 20, "\r\n\r\n", 4);
            r = http_run_cut(&http_requests, text, n + 24, NULL, 0);
            assert_int_equal(r->status, good ? 0 : 400);
            assert_int_equal(r->done, good);
            http_run_free(r);
        }
    }
}

/* For the log of somebody whose peer is refused. */
static void the_reason_is_told(void **state)
{
    static const struct {
        const char *bytes;
        const char *reason;
    } cases[] = {
        {"GET / HTTP/1.1\r\nA : b\r\n", "space before a colon"},
        {"GET / HTTP/1.1\r\nA: b\r\n c\r\n", "folded field line"},
        {"GET / HTTP/1.1\r\n: b\r\n", "empty field name"},
        {"GET / HTTP/1.1\r\nA(: b\r\n", "malformed field name"},
        {"GET / HTTP/1.1\r\n\r\n", "no Host"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_run *r = http_run_new(&http_requests);

        http_run_feed(r, cases[i].bytes, strlen(cases[i].bytes));
        assert_string_equal(r->p.reason, cases[i].reason);
        http_run_free(r);
    }
}

static void an_error_stays(void **state)
{
    struct http_run *r = http_run_new(&http_requests);

    (void)state;
    http_run_feed(r, BYTES("GET / HTTP/2.0\r\n"));
    assert_int_equal(r->status, 505);
    http_run_begin(r);
    assert_false(cdt_http_parser_idle(&r->p));
    http_run_feed(r, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(r->heads, 0);
    assert_int_equal(r->offset, sizeof "GET / HTTP/2.0\r\n" - 1);
    assert_int_equal(cdt_http_parser_end(&r->p), CDT_HTTP_ERROR);
    assert_int_equal(r->p.status, 505);
    http_run_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines_are_exact),
        cmocka_unit_test(only_crlf_ends_a_line),
        cmocka_unit_test(fields_are_exact),
        cmocka_unit_test(expectations_are_known),
        cmocka_unit_test(every_byte_is_judged),
        cmocka_unit_test(the_reason_is_told),
        cmocka_unit_test(an_error_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
