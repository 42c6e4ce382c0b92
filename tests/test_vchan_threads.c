/* SPDX-License-Identifier: ISC */
/*
 * Two contexts of one process, each in a thread of its own, that talk to each
 * other over vchan: nothing is shared between them but the rings. Meant to be
 * run under ThreadSanitizer as well. By turns a connection is under full load,
 * and in lockstep, where each side sleeps until it is woken.
 */
#include "unix_support.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#define CONNECTIONS 12u
#define BUSY_BYTES 400000u
#define LOCKSTEP_BYTES 6000u
#define WATCHDOG_S 100u

struct side {
    struct conduit_ctx *ctx;
    struct conduit_conn *conn;
    pthread_t thread;
    uint64_t in; /* streams */
    uint64_t out;
    uint64_t received; /* bytes of this connection */
    uint64_t sent;
    uint64_t total;
    uint64_t ahead; /* of what was received; how far to send */
    unsigned done;  /* connections */
    const char *fault;
};

static struct side server = {.in = 1, .out = 2};
static struct side client = {.in = 2, .out = 1};
static sem_t listening;

static void note(struct side *s, const char *what)
{
    if (s->fault == NULL) {
        s->fault = what;
    }
    conduit_loop_stop(conduit_ctx_loop(s->ctx));
}

static void do_read(struct side *s)
{
    uint8_t buf[4096];

    while (s->received < s->total) {
        uint64_t left = s->total - s->received;
        long got = conduit_conn_read(s->conn, buf,
                                     left < sizeof buf ? left : sizeof buf);

        if (got == CONDUIT_AGAIN) {
            return;
        }
        if (got <= 0 || !t_match(s->in, s->received, buf, (size_t)got)) {
            note(s, got <= 0 ? "reading ended too early" : "wrong bytes");
            return;
        }
        s->received += (uint64_t)got;
    }
}

/* How far it may send by now. */
static uint64_t goal_of(const struct side *s)
{
    uint64_t goal = s->received + s->ahead;

    return goal < s->total ? goal : s->total;
}

static void do_write(struct side *s)
{
    uint8_t buf[4096];

    while (s->sent < goal_of(s)) {
        uint64_t left = goal_of(s) - s->sent;
        size_t n = left < sizeof buf ? (size_t)left : sizeof buf;
        long done;

        t_fill(s->out, s->sent, buf, n);
        done = conduit_conn_write(s->conn, buf, n);
        if (done == CONDUIT_AGAIN) {
            return;
        }
        if (done <= 0) {
            note(s, "writing failed");
            return;
        }
        s->sent += (uint64_t)done;
    }
}

static void dial(struct side *s);

static void on_event(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct side *s = arg;

    (void)events;
    do_read(s);
    do_write(s);
    if (s->received < s->total || s->sent < s->total) {
        conduit_conn_want(conn, s->sent < goal_of(s)
                                    ? CONDUIT_READ | CONDUIT_WRITE
                                    : CONDUIT_READ);
        return;
    }
    conduit_conn_close(conn);
    s->conn = NULL;
    if (++s->done == CONNECTIONS) {
        conduit_loop_stop(conduit_ctx_loop(s->ctx));
    } else if (s == &client) {
        dial(s);
    }
}

static void begin(struct side *s, struct conduit_conn *conn)
{
    if (s->conn != NULL) {
        note(s, "two connections at a time");
        return;
    }
    s->conn = conn;
    s->received = 0;
    s->sent = 0;
    s->total = s->done % 2 == 0 ? BUSY_BYTES : LOCKSTEP_BYTES;
    s->ahead = s->done % 2 == 0 ? BUSY_BYTES : 1 + s->done;
    conduit_conn_set_handler(conn, on_event, s, CONDUIT_READ | CONDUIT_WRITE);
}

static void accepted(void *arg, struct conduit_listener *listener,
                     struct conduit_conn *conn)
{
    (void)listener;
    begin(arg, conn);
}

static void dialed(void *arg, struct conduit_dial *d, struct conduit_conn *conn,
                   const struct conduit_error *err)
{
    (void)d;
    (void)err;
    if (conn == NULL) {
        note(arg, "a dial failed");
    } else {
        begin(arg, conn);
    }
}

static void dial(struct side *s)
{
    if (conduit_dial(s->ctx, "vchan://threads", NULL, dialed, s, NULL, NULL) !=
        0) {
        note(s, "cannot dial");
    }
}

static void listen_at(struct side *s)
{
    struct conduit_options options = {.ring_bytes = 16384};

    if (conduit_listen(s->ctx, "vchan://threads", &options, accepted, s, NULL,
                       NULL) != 0) {
        note(s, "cannot listen");
    }
}

static void *run(void *arg)
{
    struct side *s = arg;

    if (conduit_unix_new(NULL, NULL, &s->ctx, NULL) != 0) {
        s->fault = "no context";
        (void)sem_post(&listening);
        return NULL;
    }
    if (conduit_register_all(s->ctx) != 0) {
        note(s, "no transports");
    }
    if (s == &server) {
        listen_at(s);
        (void)sem_post(&listening);
    } else {
        (void)sem_wait(&listening);
        dial(s);
    }
    (void)conduit_loop_run(conduit_ctx_loop(s->ctx));
    conduit_loop_finish(conduit_ctx_loop(s->ctx));
    conduit_ctx_free(s->ctx);
    return NULL;
}

static void two_contexts_talk(void **state)
{
    int fds = t_fd_count();
    struct t_env env = {0};

    (void)state;
    (void)alarm(WATCHDOG_S);
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", t_dir(&env), 1), 0);
    assert_int_equal(sem_init(&listening, 0, 0), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, run, &server), 0);
    assert_int_equal(pthread_create(&client.thread, NULL, run, &client), 0);
    assert_int_equal(pthread_join(client.thread, NULL), 0);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    t_platform_clean(&env);
    if (client.fault != NULL || server.fault != NULL) {
        fail_msg("client: %s; server: %s",
                 client.fault != NULL ? client.fault : "well",
                 server.fault != NULL ? server.fault : "well");
    }
    assert_int_equal(client.done, CONNECTIONS);
    assert_int_equal(server.done, CONNECTIONS);
    assert_int_equal(t_fd_count(), fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_contexts_talk)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
