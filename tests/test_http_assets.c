/* SPDX-License-Identifier: ISC */
/* Compiled-in assets, served. */
#include "test_http_server.h"

#define BIG 100000

static char big[BIG];

static const struct conduit_asset items[] = {
    {"/a b.txt", "text/plain; charset=utf-8", "\"t1\"", "spaced", 6},
    {"/big.bin", "application/octet-stream", "\"t2\"", big, BIG},
    {"/dir/index.html", "text/html", "\"t3\"", "<p>dir", 6},
    {"/empty", "text/plain", "\"t4\"", "", 0},
    {"/index.html", "text/html", "\"t5\"", "<p>root", 7},
};

static const struct conduit_assets site = {items, 5};

static void start(struct h_server *s, void **state, const char *prefix)
{
    struct conduit_error err = {0};

    h_serve(s, *state, NULL);
    if (conduit_http_route_assets(s->http, prefix, &site, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

#define ROOT                                                   \
    "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"t5\"\r\n" \
    "Content-Type: text/html\r\n\r\n"

static void serves_files(void **state)
{
    struct h_server s;
    struct h_peer p;

    start(&s, state, "/");
    h_open(&p, &s);
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, ROOT "<p>root");
    h_send(&p, "HEAD /index.html HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, ROOT);
    h_send(&p, "GET /a%20b.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"t1\"\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n\r\nspaced");
    h_send(&p, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"t4\"\r\n"
                 "Content-Type: text/plain\r\n\r\n");
    h_send(&p, "GET /dir/ HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "<p>dir");
    h_send(&p, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "HTTP/1.1 404 Not Found\r\n");
    h_skip(&p, "not found\"}");
    h_send(&p, "GET //index.html HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "HTTP/1.1 404 Not Found\r\n");
    h_skip(&p, "not found\"}");
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "HTTP/1.1 405 Method Not Allowed\r\n");
    h_skip(&p, "Allow: GET, HEAD, OPTIONS\r\n");
    h_skip(&p, "allowed\"}");
    h_close(&p);
    h_stop(&s);
}

static void knows_what_is_cached(void **state)
{
    static const struct {
        const char *fields;
        bool cached;
    } cases[] = {
        {"If-None-Match: \"t5\"\r\n", true},
        {"If-None-Match: W/\"t5\"\r\n", true},
        {"If-None-Match: \"a\", W/\"t5\" ,\"b\"\r\n", true},
        {"If-None-Match: \"a\"\r\nIf-None-Match: \"t5\"\r\n", true},
        {"If-None-Match: *\r\n", true},
        {"If-None-Match: \"t1\"\r\n", false},
        {"If-None-Match: t5\r\n", false},
        {"If-None-Match: \"xt5\"\r\n", false},
        {"If-None-Match:\r\n", false},
        {"", false},
    };
    struct h_server s;
    struct h_peer p;
    char text[256];

    start(&s, state, "/");
    h_open(&p, &s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n",
                       cases[i].fields);
        h_send(&p, text);
        h_expect(&p, cases[i].cached
                         ? "HTTP/1.1 304 Not Modified\r\nETag: \"t5\"\r\n\r\n"
                         : ROOT "<p>root");
    }
    h_close(&p);
    h_stop(&s);
}

static void serves_below_a_prefix(void **state)
{
    struct h_server s;
    struct h_peer p;

    start(&s, state, "/static");
    h_route(&s, "GET", "/static/own", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "GET /static/ HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, ROOT "<p>root");
    h_send(&p, "GET /static/index.html HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, ROOT "<p>root");
    h_send(&p, "GET /static HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 301 Moved Permanently\r\nContent-Length: 0\r\n"
                 "Location: /static/\r\n\r\n");
    h_send(&p, "GET /static/own HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, H_HELLO);
    h_send(&p, "GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "HTTP/1.1 404 Not Found\r\n");
    h_skip(&p, "not found\"}");
    h_close(&p);
    assert_int_equal(conduit_http_route_assets(s.http, "/static", &site, NULL),
                     CONDUIT_EEXIST);
    assert_int_equal(conduit_http_route_assets(s.http, "/:x", &site, NULL),
                     CONDUIT_EINVAL);
    assert_int_equal(conduit_http_route_assets(s.http, "", &site, NULL),
                     CONDUIT_EINVAL);
    h_stop(&s);
}

static void lends_large_files(void **state)
{
    struct h_server s;
    struct h_peer p;

    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)(i * 7 + i / 251);
    }
    start(&s, state, "/");
    h_open(&p, &s);
    for (int i = 0; i < 2; i++) {
        h_send(&p, "GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
        h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"
                     "ETag: \"t2\"\r\n"
                     "Content-Type: application/octet-stream\r\n\r\n");
        T_UNTIL(s.env, p.size >= BIG || p.end != 0);
        assert_int_equal(p.size, BIG);
        assert_memory_equal(p.in, big, BIG);
        p.size = 0;
    }
    h_close(&p);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(serves_files),
        T_TEST(knows_what_is_cached),
        T_TEST(serves_below_a_prefix),
        T_TEST(lends_large_files),
    };

    return h_run(tests);
}
