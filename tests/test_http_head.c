/* SPDX-License-Identifier: ISC */
/* Heads of messages as they are written: bounded, checked, dated. */
#include "support.h"

#include "http/head.h"
#include "http/parser.h"

#include <conduit/http.h>

#include <time.h>

static void writes_both_kinds(void **state)
{
    char mem[256];
    struct cdt_headbuf h;

    (void)state;
    cdt_headbuf_init(&h, mem, sizeof mem);
    assert_int_equal(cdt_headbuf_status(&h, 200), 0);
    assert_int_equal(cdt_headbuf_field(&h, "A", "b"), 0);
    assert_int_equal(cdt_headbuf_field(&h, "Empty", ""), 0);
    assert_int_equal(cdt_headbuf_number(&h, "N", 0), 0);
    assert_int_equal(cdt_headbuf_number(&h, "M", UINT64_MAX), 0);
    assert_int_equal(cdt_headbuf_framing(&h, CDT_HTTP_LENGTH, 7), 0);
    assert_int_equal(cdt_headbuf_framing(&h, CDT_HTTP_CHUNKED, 7), 0);
    assert_int_equal(cdt_headbuf_framing(&h, CDT_HTTP_NO_BODY, 7), 0);
    assert_int_equal(cdt_headbuf_framing(&h, CDT_HTTP_UNTIL_CLOSE, 7), 0);
    assert_int_equal(cdt_headbuf_end(&h), 0);
    mem[h.used] = '\0';
    assert_string_equal(mem, "HTTP/1.1 200 OK\r\nA: b\r\nEmpty: \r\nN: 0\r\n"
                             "M: 18446744073709551615\r\n"
                             "Content-Length: 7\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n");
    cdt_headbuf_init(&h, mem, sizeof mem);
    assert_int_equal(cdt_headbuf_request(&h, "GET", "/a?b"), 0);
    mem[h.used] = '\0';
    assert_string_equal(mem, "GET /a?b HTTP/1.1\r\n");
}

static void refuses_what_breaks_out(void **state)
{
    static const char *const names[] = {"", "A B", "A:", "A\r\nB", "\xc3"};
    static const char *const values[] = {"\r", "a\nb", "\x01", "\x7f"};
    static const char *const targets[] = {"", "/a b", "/\r\n", "/\xc3\xa4"};
    char mem[256];
    struct cdt_headbuf h;

    (void)state;
    cdt_headbuf_init(&h, mem, sizeof mem);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(cdt_headbuf_try_field(&h, names[i], "v"),
                         CONDUIT_EINVAL);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(cdt_headbuf_try_field(&h, "N", values[i]),
                         CONDUIT_EINVAL);
    }
    assert_int_equal(h.used, 0);
    assert_int_equal(h.code, 0);
    for (size_t i = 0; i < 4; i++) {
        cdt_headbuf_init(&h, mem, sizeof mem);
        assert_int_equal(cdt_headbuf_request(&h, "GET", targets[i]),
                         CONDUIT_EINVAL);
        cdt_headbuf_init(&h, mem, sizeof mem);
        assert_int_equal(cdt_headbuf_request(&h, names[i], "/"),
                         CONDUIT_EINVAL);
        /* A failure stays. */
        assert_int_equal(cdt_headbuf_field(&h, "A", "b"), CONDUIT_EINVAL);
        assert_int_equal(cdt_headbuf_end(&h), CONDUIT_EINVAL);
        assert_int_equal(h.used, 0);
    }
    cdt_headbuf_init(&h, mem, sizeof mem);
    assert_int_equal(cdt_headbuf_status(&h, 99), CONDUIT_EINVAL);
    cdt_headbuf_init(&h, mem, sizeof mem);
    assert_int_equal(cdt_headbuf_status(&h, 1000), CONDUIT_EINVAL);
}

/* For every size: all of a piece or nothing of it, and never beyond. */
static void keeps_its_bounds(void **state)
{
    (void)state;
    for (size_t size = 0; size < 70; size++) {
        char *mem = malloc(size > 0 ? size : 1);
        struct cdt_headbuf h;
        size_t used;
        size_t least = 24 + 12;

        assert_non_null(mem);
        cdt_headbuf_init(&h, mem, size);
        (void)cdt_headbuf_status(&h, 404);
        used = h.used;
        assert_true(used == 0 || used == 24);
        if (cdt_headbuf_try_field(&h, "Name", "value") == 0) {
            assert_int_equal(h.used, used + 13);
            least += 13;
        } else {
            assert_int_equal(h.used, used);
        }
        used = h.used;
        (void)cdt_headbuf_number(&h, "N", 12345);
        (void)cdt_headbuf_end(&h);
        assert_true(h.used <= size);
        assert_true((h.code == 0) == (size >= least));
        free(mem);
    }
}

static void knows_framing_fields(void **state)
{
    (void)state;
    assert_true(cdt_http_is_framing("content-LENGTH"));
    assert_true(cdt_http_is_framing("Transfer-Encoding"));
    assert_true(cdt_http_is_framing("connection"));
    assert_false(cdt_http_is_framing("Content-Type"));
    assert_false(cdt_http_is_framing("Content-Lengt"));
    assert_false(cdt_http_is_framing("Content-Length2"));
    assert_false(cdt_http_is_framing(""));
}

static void writes_dates(void **state)
{
    char text[CDT_HTTP_DATE];
    uint64_t random = 7;

    (void)state;
    cdt_http_date(text, 784111777);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    cdt_http_date(text, 0);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    cdt_http_date(text, -1);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    cdt_http_date(text, INT64_MAX);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    for (int i = 0; i < 200000; i++) {
        int64_t at = (int64_t)(((uint64_t)t_random(&random) << 32 |
                                t_random(&random)) %
                               253402300800u);
        time_t t = (time_t)at;
        struct tm tm;
        char other[64];

        assert_non_null(gmtime_r(&t, &tm));
        (void)strftime(other, sizeof other, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        cdt_http_date(text, at);
        assert_string_equal(text, other);
    }
}

static void knows_reasons(void **state)
{
    (void)state;
    assert_string_equal(conduit_http_reason(200), "OK");
    assert_string_equal(conduit_http_reason(404), "Not Found");
    assert_string_equal(conduit_http_reason(511),
                        "Network Authentication Required");
    assert_string_equal(conduit_http_reason(299), "");
    assert_string_equal(conduit_http_reason(-1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_both_kinds),
        cmocka_unit_test(refuses_what_breaks_out),
        cmocka_unit_test(keeps_its_bounds),
        cmocka_unit_test(knows_framing_fields),
        cmocka_unit_test(writes_dates),
        cmocka_unit_test(knows_reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
