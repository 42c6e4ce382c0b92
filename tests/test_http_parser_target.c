/* SPDX-License-Identifier: ISC */
/*
 * Request targets and hosts: the four forms of a target, what path, query and
 * host are then, and what is no target or no host.
 */
#include "test_http_parser.h"

#include <setjmp.h>

#include <cmocka.h>

struct target {
    const char *head; /* method, target, and Host or nothing */
    const char *host_field;
    const char *path; /* NULL: refused with 400 */
    const char *query;
    const char *host;
};

static const struct target targets[] = {
    {"GET /", "a", "/", "", "a"},
    {"GET /?", "a", "/", "", "a"},
    {"GET /a/b?c=d&e", "a", "/a/b", "c=d&e", "a"},
    {"GET /a?b?c/d", "a", "/a", "b?c/d", "a"},
    {"GET //a", "b", "//a", "", "b"},
    {"GET /%41%2e%00/..", "a", "/%41%2e%00/..", "", "a"},
    {"GET /|[]\"^`{}~!$&'()*+,;=:@-._", "a", "/|[]\"^`{}~!$&'()*+,;=:@-._", "",
     "a"},
    {"GET /?|[]\"^`{}\\:@/", "a", "/", "|[]\"^`{}\\:@/", "a"},
    {"GET /http://a/", "b", "/http://a/", "", "b"},
    {"OPTIONS /", "a", "/", "", "a"},
    {"OPTIONS *", "a", "*", "", "a"},
    {"GET http://a/b?c", "a", "/b", "c", "a"},
    {"GET http://a", "a", "/", "", "a"},
    {"GET http://a/", "a", "/", "", "a"},
    {"GET http://a?b/c", "a", "/", "b/c", "a"},
    {"GET HTTPS://A.b:80/", "a.B:80", "/", "", "A.b:80"},
    {"GET https://[::1]:80/x", "[::1]:80", "/x", "", "[::1]:80"},
    {"CONNECT a:443", "a:443", "", "", "a:443"},
    {"CONNECT [::1]:443", "[::1]:443", "", "", "[::1]:443"},
    {"CONNECT /", "a", NULL, NULL, NULL},
    {"CONNECT a", "a", NULL, NULL, NULL},
    {"CONNECT a:443?b", "a:443", NULL, NULL, NULL},
    {"CONNECT a:443/", "a:443", NULL, NULL, NULL},
    {"CONNECT http://a:443", "a:443", NULL, NULL, NULL},
    {"CONNECT *", "a", NULL, NULL, NULL},
    {"GET *", "a", NULL, NULL, NULL},
    {"options *", "a", NULL, NULL, NULL},
    {"OPTION *", "a", NULL, NULL, NULL},
    {"OPTIONS **", "a", NULL, NULL, NULL},
    {"OPTIONS *?a", "a", NULL, NULL, NULL},
    {"GET a:80", "a:80", NULL, NULL, NULL},
    {"GET a/b", "a", NULL, NULL, NULL},
    {"GET ?a", "a", NULL, NULL, NULL},
    {"GET .", "a", NULL, NULL, NULL},
    {"GET \\a", "a", NULL, NULL, NULL},
    {"GET /a\\b", "a", NULL, NULL, NULL},
    {"GET /#", "a", NULL, NULL, NULL},
    {"GET /?#", "a", NULL, NULL, NULL},
    {"GET /<b>", "a", NULL, NULL, NULL},
    {"GET /\xc3\xa9", "a", NULL, NULL, NULL},
    {"GET /?\xc3\xa9", "a", NULL, NULL, NULL},
    {"GET /\x7f", "a", NULL, NULL, NULL},
    {"GET /\x01", "a", NULL, NULL, NULL},
    {"GET /?a b", "a", NULL, NULL, NULL},
    {"GET http://", "a", NULL, NULL, NULL},
    {"GET http:///", "a", NULL, NULL, NULL},
    {"GET http://?a", "a", NULL, NULL, NULL},
    {"GET http:/a/", "a", NULL, NULL, NULL},
    {"GET http:a", "a", NULL, NULL, NULL},
    {"GET http:/?/a", "a", NULL, NULL, NULL},
    {"GET ftp://a/", "a", NULL, NULL, NULL},
    {"GET https:/!.a/", ".a", NULL, NULL, NULL},
    {"GET http://u@a/", "a", NULL, NULL, NULL},
    {"GET http://u:p@a/", "a", NULL, NULL, NULL},
    {"GET http://a:/", "a", NULL, NULL, NULL},
    {"GET http://a:x/", "a", NULL, NULL, NULL},
    {"GET http://a/", "b", NULL, NULL, NULL},
    {"GET http://a:80/", "a", NULL, NULL, NULL},
    {"GET http://a/", "ab", NULL, NULL, NULL},
    {"GET http://a/", "", NULL, NULL, NULL},
    {"GET http://a/", NULL, NULL, NULL, NULL},
    {"CONNECT a:443", "b:443", NULL, NULL, NULL},
    {"GET /", NULL, NULL, NULL, NULL},
};

static const char *const good_hosts[] = {
    "a",
    "a.example",
    "A-b_c.~!$&'()*+,;=",
    "1.2.3.4",
    "a:0",
    "a:1",
    "a:65535",
    "1.2.3.4:80",
    "[::]",
    "[::1]:8080",
    "[fe80::1]",
    "[::ffff:1.2.3.4]",
    "%41b%2e:1",
    "[1:2:3:4:5:6:7:8]",
    "[::2:3:4:5:6:7:8]",
    "a%41",
};

static const char *const bad_hosts[] = {
    "",          " ",       ":",        ":80",      "a:",
    "a:b",       "a:65536", "a:000001", "a:99999",  "a:1:2",
    "a: 1",      "a b",     "a,b c",    "a/b",      "a/",
    "a?b",       "a#b",     "u@a",      "u:p@a",    "@a",
    "a\\b",      "a\tb",    "\xc3\xa9", "http://a", "[::1",
    "::1]",      "::1",     "[]",       "[1]",      "[a:b]",
    "[::g]",     "[::1]a",  "[::1]:",   "[[::1]]",  "[::1]:x",
    "[::%eth0]", "%",       "%4",       "%4g",      "a%",
    "a\"b",      "<a>",     "[v1.a]",   "a[::1]",   "[1:2:3:4:5:6:7:8:9:a]",
};

/* "METHOD target HTTP/1.1" and Host; the length of what is in `text`. */
static size_t compose(char *text, size_t size, const char *head, int minor,
                      const char *host)
{
    int n = snprintf(text, size, "%s HTTP/1.%d\r\n%s%s%s\r\n", head, minor,
                     host != NULL ? "Host: " : "", host != NULL ? host : "",
                     host != NULL ? "\r\n" : "");

    assert_true(n > 0 && (size_t)n < size);
    return (size_t)n;
}

static int status_of(const char *text, size_t n)
{
    struct http_run *r = http_run_all(&http_requests, text, n);
    int status = r->status;

    assert_int_equal(r->heads, status == 0);
    http_run_free(r);
    return status;
}

static void check_target(const struct target *t)
{
    struct http_run *r = http_run_new(&http_requests);
    enum cdt_http_event event;
    char text[256];
    size_t n = compose(text, sizeof text, t->head, 1, t->host_field);

    assert_int_equal(http_run_call(r, (uint8_t *)text, n, &event), n);
    assert_int_equal(event, CDT_HTTP_HEAD);
    assert_true(http_is(r, r->p.head.path, t->path));
    assert_true(http_is(r, r->p.head.query, t->query));
    assert_true(http_is(r, r->p.head.host, t->host));
    assert_true(http_is(r, r->p.head.target, strchr(t->head, ' ') + 1));
    assert_int_equal(r->p.head.framing, CDT_HTTP_NO_BODY);
    http_run_free(r);
}

static void targets_have_four_forms(void **state)
{
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const struct target *t = &targets[i];
        size_t n = compose(text, sizeof text, t->head, 1, t->host_field);

        if (status_of(text, n) != (t->path != NULL ? 0 : 400)) {
            fail_msg("%s", text);
        }
        if (t->path != NULL) {
            check_target(t);
        }
    }
}

static void check_host(const char *host, int status)
{
    static const char *const ways[] = {"GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
                                       "GET / HTTP/1.0\r\nHost:%s \r\n\r\n",
                                       "GET http://%s/ HTTP/1.0\r\n\r\n"};
    /* what is no host may be a host and a path in a target */
    size_t n_ways = strpbrk(host, "/?") != NULL ? 2 : 3;
    char text[256];

    for (size_t i = 0; i < n_ways; i++) {
        int n = snprintf(text, sizeof text, ways[i], host);

        if (status_of(text, (size_t)n) != status) {
            fail_msg("expected %d: %s", status, text);
        }
    }
}

static void hosts_are_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_hosts / sizeof *good_hosts; i++) {
        check_host(good_hosts[i], 0);
    }
    for (size_t i = 0; i < sizeof bad_hosts / sizeof *bad_hosts; i++) {
        check_host(bad_hosts[i], 400);
    }
}

static void host_comes_once(void **state)
{
    static const char twice[] =
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nhost: a\r\n\r\n";
    static const char old_twice[] =
        "GET / HTTP/1.0\r\nHost: a\r\nHOST: a\r\n\r\n";
    static const char none[] = "GET / HTTP/1.0\r\n\r\n";
    static const char other[] =
        "GET / HTTP/1.1\r\nHost: a\r\nX-Host: b\r\nHos: c\r\nHosts: d\r\n\r\n";

    (void)state;
    assert_int_equal(status_of(twice, sizeof twice - 1), 400);
    assert_int_equal(status_of(old_twice, sizeof old_twice - 1), 400);
    assert_int_equal(status_of(none, sizeof none - 1), 0);
    assert_int_equal(status_of(other, sizeof other - 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_have_four_forms),
        cmocka_unit_test(hosts_are_hosts),
        cmocka_unit_test(host_comes_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
