/* SPDX-License-Identifier: ISC */
/* What the HTTP server allocates, and what happens when there is no more. */
#include "test_http_server.h"

#include "http/server.h"

static void collected(void *arg, struct conduit_http_request *r,
                      const void *body, size_t size)
{
    (void)arg;
    (void)conduit_http_reply(r, 200, NULL, body, size);
}

static void collect_route(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    conduit_http_collect(r, SIZE_MAX, collected, NULL);
}

static void allocates_nothing_for_a_request(void **state)
{
    struct h_server s;
    struct h_peer p;
    size_t calls = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello/:x", h_hello, NULL);
    h_route(&s, "POST", "/", collect_route, NULL);
    h_open(&p, &s);
    for (int i = 0; i < 100; i++) {
        if (i == 10) { /* the transport has its buffers by now */
            calls = s.env->mem.calls;
        }
        h_send(&p, "GET /hello/1 HTTP/1.1\r\nHost: a\r\n\r\n");
        h_expect(&p, H_HELLO);
        if (!h_chopped) { /* a body in one piece is not copied */
            h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\n"
                       "Content-Length: 2\r\n\r\nok");
            h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }
    assert_int_equal(s.env->mem.calls, calls);
    h_close(&p);
    h_stop(&s);
}

static void keeps_little_for_an_idle_connection(void **state)
{
    struct h_server s;
    struct h_peer p[8];
    struct conduit_http_request *kept = NULL;
    size_t live;

    assert_true(sizeof(struct cdt_session) <= 128);
    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", h_keep, &kept);
    for (int i = 0; i < 8; i++) {
        h_open(&p[i], &s);
    }
    live = s.env->mem.live;
    h_send(&p[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, kept != NULL);
    h_hello(NULL, kept);
    h_expect(&p[0], H_HELLO);
    t_turns(s.env, 5);
    /* One block waits for the next request of whichever connection. */
    assert_true(s.env->mem.live <= live + 1 + 2); /* and the transport's */
    for (int i = 0; i < 8; i++) {
        h_close(&p[i]);
    }
    h_stop(&s);
}

static char large[40000];

static void reply_large(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    (void)conduit_http_reply(r, 200, NULL, large, sizeof large);
}

/* Each allocation fails once: an answer, an error, or an end; no more. */
static void survives_without_memory(void **state)
{
    static char request[17000];
    static const char *const others[] = {
        "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "4\r\nabcd\r\n4\r\nabcd\r\n0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        request,
    };
    unsigned failures = 0;
    int n;

    memset(large, 'l', sizeof large);
    n = snprintf(request, sizeof request,
                 "GET /rest/%08000d HTTP/1.1\r\nHost: a\r\nX: ", 1);
    memset(request + n, 'x', 8000);
    memcpy(request + n + 8000, "\r\n\r\n", 5);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        bool failed = true;

        for (size_t k = 1; failed; k++) {
            struct t_env *env = *state;
            struct h_server s;
            struct h_peer p;

            h_serve(&s, env, NULL);
            h_route(&s, "GET", "/large", reply_large, NULL);
            h_route(&s, "GET", "/hello", h_hello, NULL);
            h_route(&s, "GET", "/rest/*path", h_hello, NULL);
            h_route(&s, "POST", "/", collect_route, NULL);
            h_open(&p, &s);
            env->mem.failed = false;
            env->mem.fail_at = env->mem.calls + k;
            h_send(&p, others[i]);
            T_UNTIL(env, p.end != 0 || conduit_conn_error(p.conn, NULL) != 0 ||
                             (strstr(p.in, "\r\n\r\n") != NULL && p.left == 0));
            failed = env->mem.failed;
            failures += failed;
            env->mem.fail_at = 0;
            h_close(&p);
            h_stop(&s);
        }
    }
    assert_true(failures >= 4);
}

static void fails_to_be_made_without_memory(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err;
    int code = CONDUIT_ENOMEM;

    for (size_t k = 1; code == CONDUIT_ENOMEM; k++) {
        struct conduit_http_server *http = NULL;

        env->mem.fail_at = env->mem.calls + k;
        code = conduit_http_server_new(env->ctx, NULL, &http, &err);
        if (code == 0) {
            code = conduit_http_server_listen(http, "mem://x", NULL, &err);
        }
        if (code == 0) {
            code = conduit_http_route(http, "GET", "/a/:b/*c", h_hello, NULL,
                                      &err);
        }
        if (code == 0) {
            static const struct conduit_assets none = {NULL, 0};

            code = conduit_http_route_assets(http, "/s", &none, &err);
        }
        env->mem.fail_at = 0;
        conduit_http_server_free(http);
    }
    assert_int_equal(code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(allocates_nothing_for_a_request),
        T_TEST(keeps_little_for_an_idle_connection),
        T_TEST(survives_without_memory),
        T_TEST(fails_to_be_made_without_memory),
    };

    return h_run(tests);
}
