/* SPDX-License-Identifier: ISC */
/*
 * A turn is bounded: a peer that is faster than the reader cannot keep it in
 * one callback, and timers fire meanwhile; and within a connection neither
 * direction takes the other's turn away.
 */
#include "unix_support.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct flood {
    int fd;
    pthread_t thread;
};

static void *send_all(void *arg)
{
    struct flood *f = arg;
    static char buf[65536];

    while (send(f->fd, buf, sizeof buf, MSG_NOSIGNAL) > 0) {
        /* until the other end goes away */
    }
    return NULL;
}

/* A thread that sends for ever, and its connection. */
static struct conduit_conn *begin(struct t_env *env, struct flood *f)
{
    struct conduit_conn *conn = NULL;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    f->fd = fds[1];
    assert_int_equal(conduit_unix_adopt(env->ctx, fds[0], &conn, NULL), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, send_all, f), 0);
    return conn;
}

static void end(struct flood *f)
{
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    (void)close(f->fd);
}

static void read_all(struct t_conn *t, unsigned events)
{
    static char buf[65536];
    uint64_t *most = t->arg;
    uint64_t got = 0;
    long n;

    (void)events;
    while ((n = conduit_conn_read(t->conn, buf, sizeof buf)) > 0) {
        got += (uint64_t)n;
        if (got > 100u * 1024 * 1024) {
            t_fault(t->env, "a callback that does not end");
            break;
        }
    }
    t->received += got;
    if (got > *most) {
        *most = got;
    }
}

struct tick {
    struct conduit_timer timer;
    struct t_env *env;
    unsigned fired;
};

static void on_tick(struct conduit_timer *timer)
{
    struct tick *t = (struct tick *)(void *)timer;

    t->fired++;
    conduit_timer_set(t->env->loop, timer, 1);
}

static void a_callback_ends_however_fast_the_peer(void **state)
{
    struct t_env *env = *state;
    struct tick tick = {.timer.fire = on_tick, .env = env};
    struct flood f;
    struct t_conn t = {0};
    uint64_t most = 0;

    t.hook = read_all;
    t.arg = &most;
    t_attach(&t, env, begin(env, &f), CONDUIT_READ);
    conduit_timer_set(env->loop, &tick.timer, 1);
    T_UNTIL(env, t.received > 50u * 1024 * 1024 && tick.fired > 10);
    assert_in_range(most, 1, 1024 * 1024);
    conduit_timer_clear(env->loop, &tick.timer);
    t_abort(&t);
    t_turns(env, 2);
    end(&f);
}

/* Writes all it can before it reads. */
static void write_then_read(struct t_conn *t, unsigned events)
{
    static char buf[65536];
    long n;

    (void)events;
    while (conduit_conn_write(t->conn, buf, sizeof buf) > 0) {
        /* until it is refused */
    }
    while ((n = conduit_conn_read(t->conn, buf, sizeof buf)) > 0) {
        t->received += (uint64_t)n;
    }
}

static void read_only(struct t_conn *t, unsigned events)
{
    static char buf[65536];

    (void)events;
    while (conduit_conn_read(t->conn, buf, sizeof buf) > 0) {
        t->received++;
    }
}

static void writing_does_not_starve_reading(void **state)
{
    struct t_env *env = *state;
    static const char *const uris[] = {"tcp://127.0.0.1:0", "mem://budget"};

    for (int i = 0; i < 2; i++) {
        struct t_pair p;

        t_connect(&p, env, uris[i], NULL);
        p.a.hook = write_then_read;
        p.b.hook = read_only;
        t_attach(&p.a, env, p.a.conn, CONDUIT_READ | CONDUIT_WRITE);
        t_attach(&p.b, env, p.b.conn, CONDUIT_READ);
        t_turns(env, 10);
        assert_int_equal(conduit_conn_write(p.b.conn, "x", 1), 1);
        for (int n = 0; n < 100 && p.a.received == 0; n++) {
            t_turns(env, 1);
        }
        assert_int_equal(p.a.received, 1);
        t_abort(&p.a);
        t_abort(&p.b);
        t_turns(env, 2);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(a_callback_ends_however_fast_the_peer),
        T_TEST(writing_does_not_starve_reading),
    };

    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
