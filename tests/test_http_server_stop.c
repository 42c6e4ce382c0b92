/* SPDX-License-Identifier: ISC */
/* The end of an HTTP server, in good order and otherwise; peers that go. */
#include "test_http_server.h"

struct told {
    struct h_server *server;
    struct conduit_http_request *request;
    unsigned gone;
    unsigned done;
    bool free_in_done;
    bool free_in_gone;
};

static void note_gone(void *arg)
{
    struct told *t = arg;

    t->gone++;
    if (t->free_in_gone) {
        conduit_http_server_free(t->server->http);
        t->server->http = NULL;
    }
}

static void note_done(void *arg)
{
    struct told *t = arg;

    t->done++;
    if (t->free_in_done) {
        conduit_http_server_free(t->server->http);
        t->server->http = NULL;
    }
}

static void wait_route(void *arg, struct conduit_http_request *r)
{
    struct told *t = arg;

    t->request = r;
    conduit_http_on_gone(r, note_gone, t);
}

static void start(struct h_server *s, struct told *t, void **state)
{
    memset(t, 0, sizeof *t);
    t->server = s;
    h_serve(s, *state, NULL);
    h_route(s, "GET", "/hello", h_hello, NULL);
    h_route(s, "GET", "/wait", wait_route, t);
}

static void ask_and_wait(struct h_peer *p, struct told *t)
{
    t->request = NULL;
    h_send(p, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(p->env, t->request != NULL);
}

static void refused(struct h_server *s)
{
    struct t_client c;

    t_dial(&c, s->env, s->uri, NULL);
    T_UNTIL(s->env, c.calls > 0);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_EREFUSED);
}

static void stops_in_good_order(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer idle;
    struct h_peer busy;

    start(&s, &t, state);
    t.free_in_done = true;
    h_open(&idle, &s);
    h_send(&idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&idle, H_HELLO);
    h_open(&busy, &s);
    ask_and_wait(&busy, &t);
    conduit_http_server_stop(s.http, 60000, note_done, &t);
    assert_int_equal(t.done, 0);
    h_expect_end(&idle);
    refused(&s);
    assert_int_equal(t.done, 0);
    h_hello(NULL, t.request);
    h_expect(&busy, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                    "Content-Length: 5\r\nContent-Type: text/plain\r\n\r\n"
                    "hello");
    h_expect_end(&busy);
    T_UNTIL(s.env, t.done > 0);
    t_turns(s.env, 5);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.gone, 0);
    h_close(&idle);
    h_close(&busy);
    h_stop(&s);
}

static void stops_with_nobody_there(void **state)
{
    struct h_server s;
    struct told t;

    start(&s, &t, state);
    conduit_http_server_stop(s.http, 1000, note_done, &t);
    assert_int_equal(t.done, 0); /* never from within */
    T_UNTIL(s.env, t.done == 1);
    assert_int_equal(conduit_http_server_listen(s.http, "mem://x", NULL, NULL),
                     CONDUIT_ECLOSED);
    h_stop(&s);
}

static void gives_up_waiting(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer busy;
    struct h_peer half;

    start(&s, &t, state);
    h_open(&busy, &s);
    h_open(&half, &s);
    h_send(&half, "GET /hello HTTP/1.1\r\n");
    T_UNTIL(s.env, half.left == 0);
    t_turns(s.env, 50);
    ask_and_wait(&busy, &t);
    conduit_http_server_stop(s.http, 30, note_done, &t);
    T_UNTIL(s.env, t.done == 1);
    assert_int_equal(t.gone, 1);
    T_UNTIL(s.env, busy.end != 0 && half.end != 0);
    h_close(&busy);
    h_close(&half);
    h_stop(&s);
}

static void finishes_a_begun_head(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer p;

    start(&s, &t, state);
    h_open(&p, &s);
    h_send(&p, "GET /hello HTTP/1.1\r\n");
    T_UNTIL(s.env, p.left == 0);
    t_turns(s.env, 50);
    conduit_http_server_stop(s.http, 30000, note_done, &t);
    h_send(&p, "Host: a\r\n\r\n");
    h_skip(&p, "Connection: close\r\n");
    h_skip(&p, "hello");
    h_expect_end(&p);
    T_UNTIL(s.env, t.done == 1);
    h_close(&p);
    h_stop(&s);
}

/* Who sent no more than an empty line has asked for nothing. */
static void waits_for_no_empty_line(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer p;

    start(&s, &t, state);
    h_open(&p, &s);
    h_send(&p, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\n");
    h_expect(&p, H_HELLO);
    T_UNTIL(s.env, p.left == 0);
    t_turns(s.env, 50);
    conduit_http_server_stop(s.http, 60000, note_done, &t);
    h_expect_end(&p);
    T_UNTIL(s.env, t.done == 1);
    h_close(&p);
    h_stop(&s);
}

static void tells_requests_when_freed(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer a;
    struct h_peer b;
    struct conduit_http_request *first;

    start(&s, &t, state);
    h_open(&a, &s);
    h_open(&b, &s);
    ask_and_wait(&a, &t);
    first = t.request;
    ask_and_wait(&b, &t);
    assert_ptr_not_equal(first, t.request);
    conduit_http_server_free(s.http);
    s.http = NULL;
    assert_int_equal(t.gone, 2);
    T_UNTIL(s.env, a.end != 0 && b.end != 0);
    h_close(&a);
    h_close(&b);
    h_stop(&s);
}

static void may_be_freed_in_on_gone(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer a;
    struct h_peer b;

    start(&s, &t, state);
    t.free_in_gone = true;
    h_open(&a, &s);
    h_open(&b, &s);
    ask_and_wait(&a, &t);
    ask_and_wait(&b, &t);
    conduit_http_server_stop(s.http, 0, note_done, &t);
    T_UNTIL(s.env, t.gone == 2);
    t_turns(s.env, 5);
    assert_int_equal(t.done, 0);
    h_close(&a);
    h_close(&b);
    h_stop(&s);
}

static void free_at_once(void *arg, struct conduit_http_request *r)
{
    struct told *t = arg;

    conduit_http_on_gone(r, note_gone, t);
    conduit_http_server_free(t->server->http);
    t->server->http = NULL;
}

static void reply_and_free(void *arg, struct conduit_http_request *r)
{
    h_hello(NULL, r);
    free_at_once(arg, r);
}

static size_t free_in_body(void *arg, struct conduit_http_request *r,
                           const void *data, size_t n)
{
    (void)data;
    free_at_once(arg, r);
    return n;
}

static void body_route(void *arg, struct conduit_http_request *r)
{
    conduit_http_on_body(r, free_in_body, arg);
}

static void may_be_freed_in_a_handler(void **state)
{
    static const char *const paths[] = {"free", "reply", "body"};

    for (size_t i = 0; i < 3; i++) {
        struct h_server s;
        struct told t;
        struct h_peer p;
        char text[128];

        start(&s, &t, state);
        h_route(&s, "POST", "/free", free_at_once, &t);
        h_route(&s, "POST", "/reply", reply_and_free, &t);
        h_route(&s, "POST", "/body", body_route, &t);
        h_open(&p, &s);
        (void)snprintf(text, sizeof text,
                       "POST /%s HTTP/1.1\r\nHost: a\r\n"
                       "Content-Length: 5\r\n\r\nhelloGET / ",
                       paths[i]);
        h_send(&p, text);
        T_UNTIL(s.env, s.http == NULL && p.end != 0);
        assert_int_equal(t.gone, i == 1 ? 0 : 1);
        h_close(&p);
        h_stop(&s);
    }
}

static void stop_inside(void *arg, struct conduit_http_request *r)
{
    struct told *t = arg;

    conduit_http_server_stop(t->server->http, 1000, note_done, t);
    h_hello(NULL, r);
}

static void may_be_stopped_in_a_handler(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer p;

    start(&s, &t, state);
    t.free_in_done = true;
    h_route(&s, "POST", "/stop", stop_inside, &t);
    h_open(&p, &s);
    h_send(&p, "POST /stop HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "Connection: close\r\n");
    h_skip(&p, "hello");
    h_expect_end(&p);
    T_UNTIL(s.env, t.done == 1);
    h_close(&p);
    h_stop(&s);
}

static void tells_when_the_peer_resets(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer p;

    start(&s, &t, state);
    h_open(&p, &s);
    ask_and_wait(&p, &t);
    h_close(&p);
    T_UNTIL(s.env, t.gone == 1);
    /* Others are not concerned. */
    h_ask(&s, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", H_HELLO);
    assert_int_equal(t.gone, 1);
    h_stop(&s);
}

static void begin_stream(void *arg, struct conduit_http_request *r)
{
    wait_route(arg, r);
    (void)conduit_http_begin(r, 200, NULL, CONDUIT_HTTP_UNKNOWN);
}

/* A write that fails says so; on_gone comes later, from the loop. */
static void tells_after_a_failed_write(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer p;
    long n = 0;

    start(&s, &t, state);
    h_route(&s, "GET", "/stream", begin_stream, &t);
    h_open(&p, &s);
    h_send(&p, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "\r\n\r\n");
    conduit_conn_abort(p.conn);
    p.conn = NULL;
    while (t.gone == 0 && (n > 0 || n == 0 || n == CONDUIT_AGAIN)) {
        n = conduit_http_write(t.request, "x", 1);
        if (n < 0 && n != CONDUIT_AGAIN) {
            assert_int_equal(t.gone, 0);
        }
        t_turn(s.env, 0);
    }
    T_UNTIL(s.env, t.gone == 1);
    h_close(&p);
    h_stop(&s);
}

static void ignores_who_says_nothing(void **state)
{
    struct h_server s;
    struct told t;
    struct h_peer p;

    if (!h_half_closes()) {
        return; /* who ends there is gone */
    }
    start(&s, &t, state);
    h_open(&p, &s);
    p.finish = true;
    h_interest(&p);
    h_expect_end(&p);
    h_close(&p);
    h_open(&p, &s);
    h_close(&p);
    h_open(&p, &s);
    p.finish = true;
    h_send(&p, "\r\n");
    h_expect_end(&p);
    h_close(&p);
    h_open(&p, &s);
    p.finish = true;
    h_send(&p, "GET /hello HTT");
    h_skip(&p, "HTTP/1.1 400 Bad Request\r\n");
    h_skip(&p, "message cut short\"}");
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

/* Peers over the cap cost the server no descriptor. */
static void leaves_the_rest_in_the_queue(struct h_server *s)
{
    struct conduit_conn *conn[10];
    int before = t_fd_count();

    for (int i = 0; i < 10; i++) {
        conn[i] = t_dial_now(s->env, s->uri);
    }
    t_turns(s->env, 50);
    assert_int_equal(t_fd_count(), before + 10);
    for (int i = 0; i < 10; i++) {
        conduit_conn_abort(conn[i]);
    }
    t_turns(s->env, 2);
}

static void lets_in_only_so_many(void **state)
{
    const struct conduit_http_options options = {.max_conns = 2};
    struct h_server s;
    struct h_peer p[4];

    h_serve(&s, *state, &options);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    for (int i = 0; i < 2; i++) {
        h_open(&p[i], &s);
        h_send(&p[i], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        h_expect(&p[i], H_HELLO);
    }
    /* On mem a dial is not over before the server takes it. */
    if (strncmp(h_uri, "tcp", 3) == 0) {
        for (int i = 2; i < 4; i++) {
            h_open(&p[i], &s);
            h_send(&p[i], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        t_turns(s.env, 50);
        assert_int_equal(p[2].size + p[3].size, 0);
        leaves_the_rest_in_the_queue(&s);
        h_close(&p[0]);
        T_UNTIL(s.env, p[2].size + p[3].size > 0);
        t_turns(s.env, 50);
        assert_true(p[2].size == 0 || p[3].size == 0);
        h_close(&p[1]);
        h_expect(&p[2], H_HELLO);
        h_expect(&p[3], H_HELLO);
        h_close(&p[2]);
        h_close(&p[3]);
    } else {
        struct t_client c;

        t_dial(&c, s.env, s.uri, NULL);
        t_turns(s.env, 50);
        h_close(&p[0]);
        T_UNTIL(s.env, c.calls == 1);
        assert_non_null(c.conn);
        conduit_conn_abort(c.conn);
        h_close(&p[1]);
    }
    h_ask(&s, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", H_HELLO);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(stops_in_good_order),
        T_TEST(stops_with_nobody_there),
        T_TEST(gives_up_waiting),
        T_TEST(finishes_a_begun_head),
        T_TEST(waits_for_no_empty_line),
        T_TEST(tells_requests_when_freed),
        T_TEST(may_be_freed_in_on_gone),
        T_TEST(may_be_freed_in_a_handler),
        T_TEST(may_be_stopped_in_a_handler),
        T_TEST(tells_when_the_peer_resets),
        T_TEST(tells_after_a_failed_write),
        T_TEST(ignores_who_says_nothing),
        T_TEST(lets_in_only_so_many),
    };

    return h_run(tests);
}
