/* SPDX-License-Identifier: ISC */
/*
 * The end of a context while HTTP servers and clients are there: nothing of
 * theirs runs while it waits for a peer that lingers, and they can be freed
 * afterwards. The peers are sockets, whose ends the context does not drop.
 */
#include "unix_support.h"

#include "core.h"

#include <conduit/http.h>

#include <sys/socket.h>
#include <unistd.h>

#define SHORT 50u           /* ms: deadlines that pass meanwhile */
#define LINGER (30 * SHORT) /* and how long that is at most */

struct web {
    struct t_env *env;
    struct conduit_http_server *http;
    struct conduit_http_request *parked;
    uint16_t port;
    int fds[4];
    size_t count;
    unsigned gone;
    unsigned stopped;
};

static void hello(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    (void)conduit_http_reply(r, 200, NULL, "hello", 5);
}

static void note(void *arg)
{
    (*(unsigned *)arg)++;
}

static void park(void *arg, struct conduit_http_request *r)
{
    struct web *w = arg;

    w->parked = r;
    conduit_http_on_gone(r, note, &w->gone);
}

static void serve(struct web *w, struct t_env *env)
{
    const struct conduit_http_options options = {
        .idle_ms = SHORT, .body_ms = SHORT, .conn.linger_ms = LINGER};
    struct conduit_listener *listener = NULL;
    struct conduit_error err = {0};

    *w = (struct web){.env = env};
    if (conduit_http_server_new(env->ctx, &options, &w->http, &err) != 0 ||
        conduit_http_route(w->http, "GET", "/hello", hello, NULL, &err) != 0 ||
        conduit_http_route(w->http, "GET", "/park", park, w, &err) != 0 ||
        conduit_http_server_listen(w->http, "tcp+socket://127.0.0.1:0",
                                   &listener, &err) != 0) {
        fail_msg("%s", err.text);
    }
    w->port = (uint16_t)strtoul(
        strrchr(conduit_listener_uri(listener), ':') + 1, NULL, 10);
}

static int ask(struct web *w, const char *request)
{
    int fd = t_raw_connect("127.0.0.1", w->port);

    assert_int_equal(send(fd, request, strlen(request), 0),
                     (long)strlen(request));
    w->fds[w->count++] = fd;
    return fd;
}

/* A peer that was answered and keeps its end open: closing waits for it. */
static void linger(struct web *w)
{
    int fd = ask(w, "GET /hello HTTP/1.1\r\nHost: a\r\n"
                    "Connection: close\r\n\r\n");
    char buf[256];

    T_POLL(w->env, recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0);
    T_UNTIL(w->env, w->env->loop->closing > 0);
}

static void finish(struct web *w)
{
    uint64_t start = t_ms();

    w->env->turning = true;
    conduit_ctx_finish(w->env->ctx);
    w->env->turning = false;
    assert_true(t_ms() - start >= 2 * SHORT);
    assert_int_equal(w->gone + w->stopped, 0);
}

static void end(struct web *w)
{
    conduit_http_server_free(w->http);
    for (size_t i = 0; i < w->count; i++) {
        (void)close(w->fds[i]);
    }
}

static void timers_of_a_server_do_not_fire(void **state)
{
    struct web w;
    char buf[256];
    int fd;

    serve(&w, *state);
    (void)ask(&w, "GET /park HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(w.env, w.parked != NULL);
    linger(&w);
    fd = ask(&w, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    T_POLL(w.env, recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0);
    finish(&w);
    assert_int_equal(conduit_http_server_listen(w.http, "mem://x", NULL, NULL),
                     CONDUIT_ECLOSED);
    assert_null(conduit_http_conn(w.parked));
    assert_int_equal(conduit_http_begin(w.parked, 200, NULL, 1),
                     CONDUIT_ECLOSED);
    end(&w);
    assert_int_equal(w.gone, 1);
}

static void stopping_does_not_go_on(void **state)
{
    struct web w;

    serve(&w, *state);
    (void)ask(&w, "GET /park HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(w.env, w.parked != NULL);
    linger(&w);
    conduit_http_server_stop(w.http, SHORT, note, &w.stopped);
    finish(&w);
    end(&w);
    assert_int_equal(w.gone, 1);
    assert_int_equal(w.stopped, 0);
}

static void may_be_stopped_afterwards(void **state)
{
    struct web w;

    serve(&w, *state);
    (void)ask(&w, "GET /park HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(w.env, w.parked != NULL);
    linger(&w);
    finish(&w);
    conduit_http_server_stop(w.http, SHORT, note, &w.stopped);
    T_UNTIL(w.env, w.stopped == 1);
    assert_int_equal(w.gone, 1);
    end(&w);
}

struct caller {
    unsigned done;
    const struct conduit_conn *conn; /* that `done` was shown */
    struct conduit_error err;
};

static void done(void *arg, struct conduit_http_call *call,
                 const struct conduit_error *err)
{
    struct caller *c = arg;

    c->done++;
    c->conn = conduit_http_call_conn(call);
    if (err != NULL) {
        c->err = *err;
    }
}

static struct conduit_http_client *begin_call(struct t_env *env, uint16_t port,
                                              unsigned total_ms,
                                              struct caller *c)
{
    const struct conduit_http_options options = {.answer_ms = SHORT};
    const struct conduit_http_call_options o = {
        .done = done, .arg = c, .total_ms = total_ms};
    struct conduit_http_client *client;
    struct conduit_error err = {0};
    char uri[64];

    *c = (struct caller){0};
    (void)snprintf(uri, sizeof uri, "tcp+socket://127.0.0.1:%u", port);
    if (conduit_http_client_new(env->ctx, uri, &options, &client, &err) != 0 ||
        conduit_http_call(client, &o, NULL, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return client;
}

static void check_freed(struct conduit_http_client *client, struct caller *c)
{
    assert_int_equal(c->done, 0);
    assert_int_equal(
        conduit_http_fetch(client, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL),
        CONDUIT_ECLOSED);
    conduit_http_client_free(client);
    assert_int_equal(c->done, 1);
    assert_int_equal(c->err.code, CONDUIT_ECANCELED);
    assert_null(c->conn);
}

static void timers_of_a_client_do_not_fire(void **state)
{
    struct conduit_http_client *talking;
    struct conduit_http_client *dialling;
    struct caller c[2];
    struct web w;
    uint16_t port = 0;
    uint16_t silent_port = 0;
    int silent[2];
    char buf[256];
    int listening;
    int fd;

    serve(&w, *state);
    linger(&w);
    listening = t_raw_listen("127.0.0.1", &port, 8);
    talking = begin_call(w.env, port, 0, &c[0]);
    t_turns(w.env, 5);
    fd = t_raw_accept(listening);
    T_POLL(w.env, recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0);
    t_raw_silent("127.0.0.1", &silent_port, silent);
    dialling = begin_call(w.env, silent_port, 2 * SHORT, &c[1]);
    t_turns(w.env, 5);
    finish(&w);
    check_freed(talking, &c[0]);
    check_freed(dialling, &c[1]);
    end(&w);
    (void)close(fd);
    (void)close(listening);
    (void)close(silent[0]);
    (void)close(silent[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(timers_of_a_server_do_not_fire),
        T_TEST(stopping_does_not_go_on),
        T_TEST(may_be_stopped_afterwards),
        T_TEST(timers_of_a_client_do_not_fire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
