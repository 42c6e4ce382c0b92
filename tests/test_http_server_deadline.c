/* SPDX-License-Identifier: ISC */
/* Deadlines of the HTTP server: they time the peer, never a handler. */
#include "test_http_server.h"

#define SHORT 40u /* ms */

/* What no step of a test takes, be the machine ever so busy. */
#define STEADY 1000u

#define TIMED_OUT                                                  \
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"        \
    "Content-Length: 29\r\nContent-Type: application/json\r\n\r\n" \
    "{\"error\":\"request timed out\"}"

static void closes_idle_connections(void **state)
{
    const struct conduit_http_options options = {.idle_ms = 5 * SHORT};
    struct h_server s;
    struct h_peer fresh;
    struct h_peer used;
    uint64_t start;

    h_serve(&s, *state, &options);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&fresh, &s);
    h_expect_end(&fresh);
    h_open(&used, &s);
    h_send(&used, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&used, H_HELLO);
    start = t_ms();
    h_expect_end(&used);
    assert_true(t_ms() - start >= 2 * SHORT);
    h_close(&fresh);
    h_close(&used);
    h_stop(&s);
}

/* Bytes that keep coming do not save a head that never ends. */
static void answers_a_slow_head(void **state)
{
    const struct conduit_http_options options = {.head_ms = SHORT};
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, &options);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, H_HELLO);
    h_send(&p, "GET /hello HTTP/1.1\r\n");
    while (p.size == 0 && p.end == 0) {
        (void)t_turns_in(s.env, SHORT / 8);
        if (p.left == 0) {
            h_send(&p, "X: y\r\n");
        }
    }
    h_expect(&p, TIMED_OUT);
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

/* Empty lines before a request are no request. */
static void takes_empty_lines_for_silence(void **state)
{
    const struct conduit_http_options options = {.idle_ms = 5 * SHORT,
                                                 .head_ms = SHORT};
    struct h_server s;
    struct h_peer p;
    uint64_t start;

    h_serve(&s, *state, &options);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\n");
    h_expect(&p, H_HELLO);
    start = t_ms();
    h_expect_end(&p);
    assert_true(t_ms() - start >= 2 * SHORT);
    h_close(&p);
    h_open(&p, &s);
    h_send(&p, "\r\nGET /hello HTTP/1.1\r\n");
    h_expect(&p, TIMED_OUT);
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static size_t take_all(void *arg, struct conduit_http_request *r,
                       const void *data, size_t n)
{
    (void)arg;
    if (data == NULL) {
        h_hello(NULL, r);
    }
    return n;
}

static void mark_gone(void *arg)
{
    bool *gone = arg;

    *gone = true;
}

static void take_route(void *arg, struct conduit_http_request *r)
{
    conduit_http_on_gone(r, mark_gone, arg);
    conduit_http_on_body(r, take_all, NULL);
}

static void answers_a_slow_body(void **state)
{
    const struct conduit_http_options options = {.body_ms = SHORT};
    struct h_server s;
    struct h_peer p;
    bool gone = false;

    h_serve(&s, *state, &options);
    h_route(&s, "POST", "/", take_route, &gone);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
    h_expect(&p, TIMED_OUT);
    assert_true(gone);
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

/* Progress counts: a body that comes in small steps is taken to its end. */
static void waits_for_a_steady_body(void **state)
{
    const struct conduit_http_options options = {.body_ms = STEADY};
    struct h_server s;
    struct h_peer p;
    bool gone = false;

    h_serve(&s, *state, &options);
    h_route(&s, "POST", "/", take_route, &gone);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n");
    for (int i = 0; i < 15; i++) {
        T_UNTIL(s.env, p.left == 0 || p.end != 0);
        assert_string_equal(p.in, "");
        (void)t_turns_in(s.env, STEADY / 14);
        h_send(&p, "x");
    }
    h_expect(&p, H_HELLO);
    assert_false(gone);
    h_close(&p);
    h_stop(&s);
}

static void ends_an_answered_slow_body(void **state)
{
    const struct conduit_http_options options = {.body_ms = SHORT};
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, &options);
    h_route(&s, "POST", "/", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
    h_expect(&p, H_HELLO);
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static void lets_a_handler_think(void **state)
{
    const struct conduit_http_options options = {
        .idle_ms = STEADY, .head_ms = STEADY, .body_ms = STEADY};
    struct h_server s;
    struct h_peer p;
    struct conduit_http_request *r = NULL;

    h_serve(&s, *state, &options);
    h_route(&s, "POST", "/", h_keep, &r);
    h_open(&p, &s);
    /* Also when the rest of the body is not asked for yet. */
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
    T_UNTIL(s.env, r != NULL);
    (void)t_turns_in(s.env, STEADY + SHORT);
    assert_int_equal(p.size, 0);
    assert_int_equal(p.end, 0);
    T_UNTIL(s.env, p.left == 0);
    h_send(&p, "o");
    h_hello(NULL, r);
    h_expect(&p, H_HELLO);
    h_close(&p);
    h_stop(&s);
}

static char large[256 * 1024];

static void reply_large(void *arg, struct conduit_http_request *r)
{
    conduit_http_on_gone(r, mark_gone, arg);
    (void)conduit_http_reply_static(r, 200, NULL, large, sizeof large);
}

struct stream {
    struct conduit_http_request *request;
    bool gone;
    unsigned agains;
};

static void write_on(void *arg, struct conduit_http_request *r)
{
    struct stream *st = arg;

    for (;;) {
        long n = conduit_http_write(r, large, 10000);

        if (n < 0) {
            st->agains += n == CONDUIT_AGAIN;
            return;
        }
    }
}

static void stream_gone(void *arg)
{
    struct stream *st = arg;

    st->gone = true;
}

static void stream_route(void *arg, struct conduit_http_request *r)
{
    struct stream *st = arg;

    st->request = r;
    conduit_http_on_gone(r, stream_gone, st);
    conduit_http_on_writable(r, write_on, st);
    (void)conduit_http_begin(r, 200, NULL, CONDUIT_HTTP_UNKNOWN);
    write_on(st, r);
}

static void drops_slow_readers(void **state)
{
    const struct conduit_http_options options = {.body_ms = SHORT};
    struct h_server s;
    struct h_peer whole;
    struct h_peer pieces;
    struct stream st = {.gone = false};
    bool gone = false;

    if (strncmp(h_uri, "tcp", 3) == 0) {
        return; /* the kernel takes all of it, and more */
    }
    h_serve(&s, *state, &options);
    h_route(&s, "GET", "/whole", reply_large, &gone);
    h_route(&s, "GET", "/pieces", stream_route, &st);
    h_open(&whole, &s);
    whole.deaf = true;
    h_open(&pieces, &s);
    pieces.deaf = true;
    h_send(&whole, "GET /whole HTTP/1.1\r\nHost: a\r\n\r\n");
    h_send(&pieces, "GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, st.gone);
    assert_false(gone); /* the application was done with it */
    (void)t_turns_in(s.env, 2 * SHORT);
    h_listen_again(&whole);
    h_listen_again(&pieces);
    T_UNTIL(s.env, whole.end != 0 && pieces.end != 0);
    assert_true(whole.size < sizeof large);
    h_close(&whole);
    h_close(&pieces);
    h_stop(&s);
}

/* Writes until there is no room for more; takes note how much went. */
static void measure(void *arg, struct conduit_http_request *r)
{
    size_t *room = arg;
    long n;

    (void)conduit_http_begin(r, 200, NULL, 99999);
    while ((n = conduit_http_write(r, large, 1000)) > 0) {
        *room += (size_t)n;
    }
}

/* An answer that leaves no room. */
static void fill(void *arg, struct conduit_http_request *r)
{
    const size_t *room = arg;

    (void)conduit_http_begin(r, 200, NULL, *room);
    (void)conduit_http_write(r, large, *room);
    (void)conduit_http_end(r);
}

struct late {
    struct conduit_http_request *request;
    bool gone;
    bool collected;
};

static void late_gone(void *arg)
{
    struct late *late = arg;

    late->gone = true;
}

static void late_route(void *arg, struct conduit_http_request *r)
{
    struct late *late = arg;

    late->request = r;
    conduit_http_on_gone(r, late_gone, late);
}

static void late_body(void *arg, struct conduit_http_request *r,
                      const void *body, size_t size)
{
    struct late *late = arg;

    (void)body;
    (void)size;
    late->collected = true;
    h_hello(NULL, r);
}

/* A body that is asked for late waits for room, and not for ever. */
static void drops_who_reads_no_answers(void **state)
{
    const struct conduit_http_options options = {.body_ms = 5 * SHORT};
    struct h_server s;
    struct h_peer p;
    struct late late = {NULL, false, false};
    size_t room = 0;

    if (strncmp(h_uri, "mem", 3) != 0) {
        return; /* of others it is not known to the byte what they take */
    }
    h_serve(&s, *state, &options);
    h_route(&s, "GET", "/measure", measure, &room);
    h_route(&s, "GET", "/fill", fill, &room);
    h_route(&s, "GET", "/late", late_route, &late);
    h_open(&p, &s);
    p.deaf = true;
    h_send(&p, "GET /measure HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, room > 0);
    assert_in_range(room, 10000, 99998);
    h_close(&p);
    h_open(&p, &s);
    p.deaf = true;
    h_send(&p, "GET /fill HTTP/1.1\r\nHost: a\r\n\r\n"
               "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, late.request != NULL);
    conduit_http_collect(late.request, 100, late_body, &late);
    T_UNTIL(s.env, late.gone || late.collected);
    assert_true(late.gone);
    h_close(&p);
    h_stop(&s);
}

/* An application that pauses, and a stream that has nothing to say. */
static void lets_a_stream_rest(void **state)
{
    const struct conduit_http_options options = {.body_ms = SHORT,
                                                 .idle_ms = 10 * SHORT};
    struct h_server s;
    struct h_peer p;
    struct conduit_http_request *r = NULL;

    h_serve(&s, *state, &options);
    h_route(&s, "GET", "/", h_keep, &r);
    h_open(&p, &s);
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, r != NULL);
    assert_int_equal(conduit_http_begin(r, 200, NULL, 2), 0);
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    (void)t_turns_in(s.env, 12 * SHORT);
    assert_int_equal(p.end, 0);
    T_POLL(s.env, conduit_http_write(r, "x", 1) == 1);
    h_expect(&p, "x");
    T_POLL(s.env, conduit_http_write(r, "y", 1) == 1);
    assert_int_equal(conduit_http_end(r), 0);
    h_expect(&p, "y");
    h_expect_end(&p); /* idle now */
    h_close(&p);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(closes_idle_connections),
        T_TEST(answers_a_slow_head),
        T_TEST(takes_empty_lines_for_silence),
        T_TEST(drops_who_reads_no_answers),
        T_TEST(answers_a_slow_body),
        T_TEST(waits_for_a_steady_body),
        T_TEST(ends_an_answered_slow_body),
        T_TEST(lets_a_handler_think),
        T_TEST(drops_slow_readers),
        T_TEST(lets_a_stream_rest),
    };

    return h_run(tests);
}
