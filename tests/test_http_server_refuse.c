/* SPDX-License-Identifier: ISC */
/*
 * What the server must not frame by guessing: it answers an error, closes, and
 * never handles what stands behind, for that may be somebody else's request.
 */
#include "test_http_server.h"

#define SMUGGLED "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST /good HTTP/1.1\r\nHost: a\r\n"

static const struct {
    int status;
    const char *bytes;
} cases[] = {
    {400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
               "0\r\n\r\n" SMUGGLED},
    {400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" SMUGGLED},
    {400, POST "Content-Length: 5, 5\r\n\r\nhello" SMUGGLED},
    {400, POST "Content-Length: +5\r\n\r\nhello" SMUGGLED},
    {400, POST "Content-Length: 0x5\r\n\r\nhello" SMUGGLED},
    {400, POST "Content-Length: -1\r\n\r\nhello" SMUGGLED},
    {400, POST "Content-Length: 18446744073709551616\r\n\r\n" SMUGGLED},
    {400, POST "Content-Length : 5\r\n\r\nhello" SMUGGLED},
    {400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
               "\r\n0\r\n\r\n" SMUGGLED},
    {400,
     POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" SMUGGLED},
    {501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding:\x0b"
               "chunked\r\n\r\n0\r\n\r\n" SMUGGLED},
    {400, "POST /good HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
          "0\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding: chunked\r\n\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding: chunked\r\n\r\n"
               "00000000000000001\r\na\r\n0\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding: chunked\r\n\r\n0;a\n\r\n\r\n" SMUGGLED},
    {400, POST "Transfer-Encoding: chunked\r\n\r\n0\r\n: x\r\n\r\n" SMUGGLED},
    {413, POST "Transfer-Encoding: chunked\r\n\r\n"
               "ffffffffffffffff\r\na\r\n0\r\n\r\n" SMUGGLED},
    {413, POST "Content-Length: 18446744073709551615\r\n\r\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\nHost: a\n\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\r\nHost: a\nX: y\r\n\r\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\r\n\r\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\r\nHost: \r\n\r\n" SMUGGLED},
    {400, "GET /good HTTP/1.1\r\nHost: u@a\r\n\r\n" SMUGGLED},
    {400, "GET /good  HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED},
    {400, "GET /g\xc3\xb6od HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED},
    {400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED},
    {400, "G@T /good HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED},
    {505, "GET /good HTTP/2.0\r\nHost: a\r\n\r\n" SMUGGLED},
    {400, "\x16\x03\x01\x02\x01\x01" SMUGGLED},
    {417, POST "Expect: the unexpected\r\nContent-Length: 1\r\n\r\nx" SMUGGLED},
};

static void count(void *arg, struct conduit_http_request *r)
{
    unsigned *calls = arg;

    (*calls)++;
    h_hello(NULL, r);
}

static size_t drop_body(void *arg, struct conduit_http_request *r,
                        const void *data, size_t n)
{
    if (data == NULL) {
        count(arg, r);
    }
    return n;
}

static void read_body(void *arg, struct conduit_http_request *r)
{
    conduit_http_on_body(r, drop_body, arg);
}

static void check(struct h_server *s, int status, const char *bytes,
                  const unsigned *evil)
{
    struct h_peer p;
    char line[32];

    (void)snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    h_open(&p, s);
    h_send(&p, bytes);
    T_UNTIL(s->env, p.size >= strlen(line) || p.end != 0);
    if (strncmp(p.in, line, strlen(line)) != 0) {
        fail_msg("%s\nwas answered:\n%s", bytes, p.in);
    }
    h_skip(&p, "\r\nConnection: close\r\n");
    h_skip(&p, "\"}");
    h_expect_end(&p);
    assert_int_equal(*evil, 0);
    h_close(&p);
}

static void refuses_what_is_ambiguous(void **state)
{
    struct h_server s;
    unsigned evil = 0;
    unsigned good = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/evil", count, &evil);
    h_route(&s, "POST", "/good", read_body, &good);
    h_route(&s, "GET", "/good", count, &good);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check(&s, cases[i].status, cases[i].bytes, &evil);
    }
    assert_int_equal(good, 0);
    h_stop(&s);
}

/* The answer is out before the fault is read: only the close is left. */
static void closes_on_a_late_fault(void **state)
{
    struct h_server s;
    struct h_peer p;
    unsigned evil = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/evil", count, &evil);
    h_route(&s, "POST", "/good", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                    "nonsense\r\n" SMUGGLED);
    h_expect(&p, H_HELLO);
    h_expect_end(&p);
    assert_int_equal(evil, 0);
    h_close(&p);
    h_stop(&s);
}

static void never(void *arg, struct conduit_http_request *r, const void *body,
                  size_t size)
{
    (void)body;
    (void)size;
    count(arg, r);
}

static void promise(void *arg, struct conduit_http_request *r)
{
    (void)conduit_http_add_header(r, "Content-Encoding", "gzip");
    (void)conduit_http_add_header(r, "Content-Type", "text/css");
    conduit_http_collect(r, 3, never, arg);
}

/* What the application said of its answer is not said of the server's. */
static void answers_without_the_fields_of_another(void **state)
{
    static const char *const bodies[] = {
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"};
    struct h_server s;
    unsigned good = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/good", promise, &good);
    for (size_t i = 0; i < 2; i++) {
        struct h_peer p;
        char text[256];

        (void)snprintf(text, sizeof text, "%s%s", POST, bodies[i]);
        h_open(&p, &s);
        h_send(&p, text);
        h_expect(&p, "HTTP/1.1 413 Content Too Large\r\n"
                     "Connection: close\r\nContent-Length: 26\r\n"
                     "Content-Type: application/json\r\n\r\n"
                     "{\"error\":\"body too large\"}");
        h_expect_end(&p);
        h_close(&p);
    }
    assert_int_equal(good, 0);
    h_stop(&s);
}

static void limits_the_head(void **state)
{
    const struct conduit_http_options options = {.max_line = 100,
                                                 .max_fields = 5};
    struct h_server s;
    static char text[20000];
    unsigned evil = 0;
    int n;

    h_serve(&s, *state, &options);
    h_route(&s, "GET", "/evil", count, &evil);
    n = snprintf(text, sizeof text, "GET /%090d HTTP/1.1\r\n", 1);
    memcpy(text + n, "Host: a\r\n\r\n" SMUGGLED,
           sizeof "Host: a\r\n\r\n" SMUGGLED);
    check(&s, 414, text, &evil);
    check(&s, 431,
          "GET / HTTP/1.1\r\nHost: a\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n"
          "\r\n" SMUGGLED,
          &evil);
    n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(text + n, 'x', sizeof text - (size_t)n - 1);
    memcpy(text + sizeof text - 5, "\r\n\r\n", 5);
    check(&s, 431, text, &evil);
    h_stop(&s);
}

/* A path that leaves no room in the head's memory is decoded elsewhere. */
static void takes_a_full_head(void **state)
{
    struct h_server s;
    struct h_peer p;
    static char text[17000];
    int n;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/:a/*rest", h_hello, NULL);
    n = snprintf(text, sizeof text,
                 "GET /a/%08000d HTTP/1.1\r\nHost: a\r\nX: ", 1);
    memset(text + n, 'x', 8000);
    memcpy(text + n + 8000, "\r\n\r\n", 5);
    h_open(&p, &s);
    h_send(&p, text);
    h_expect(&p, H_HELLO);
    h_send(&p, "GET /a/b HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, H_HELLO);
    h_close(&p);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(refuses_what_is_ambiguous),
        T_TEST(closes_on_a_late_fault),
        T_TEST(answers_without_the_fields_of_another),
        T_TEST(limits_the_head),
        T_TEST(takes_a_full_head),
    };

    return h_run(tests);
}
