/* SPDX-License-Identifier: ISC */
/* conduit in a program that has an event_base of its own, and drives that. */
#include "unix_support.h"

#include <event2/event.h>
#include <unistd.h>

struct base_fix {
    struct t_env env; /* must be first */
    struct event_base *base;
};

static int setup(void **state)
{
    struct base_fix *f = calloc(1, sizeof *f);

    assert_non_null(f);
    *state = f;
    f->base = event_base_new();
    assert_non_null(f->base);
    t_env_init_base(&f->env, f->base);
    f->env.turning = true; /* whatever runs is libevent's doing */
    return 0;
}

static int teardown(void **state)
{
    struct base_fix *f = *state;
    struct event_base *base = f->base;
    struct t_env copy;

    f->env.ending = true;
    conduit_ctx_free(f->env.ctx);
    f->env.ctx = NULL;
    copy = f->env;
    free(f);
    *state = NULL;
    t_env_fini(&copy);
    event_base_free(base); /* ours, and still whole */
    return 0;
}

#define BASE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The application's loop, until `*done`; bounded by a timer of its own. */
static void dispatch_until(struct base_fix *f, const unsigned *done,
                           unsigned want)
{
    uint64_t end = t_ms() + 20000;

    while (*done < want) {
        struct timeval tv = {1, 0};

        if (t_ms() > end) {
            fail_msg("nothing came of it: %s", f->env.fault);
        }
        (void)event_base_loopexit(f->base, &tv);
        f->env.turns++; /* one callback in each pass at most is not for here */
        (void)event_base_loop(f->base, EVLOOP_ONCE);
    }
}

struct seen {
    unsigned dialed;
    unsigned accepted;
    unsigned done;
    struct conduit_conn *a;
    struct conduit_conn *b;
    struct conduit_loop *loop;
};

static void on_dialed(void *arg, struct conduit_dial *dial,
                      struct conduit_conn *conn,
                      const struct conduit_error *err)
{
    struct seen *s = arg;

    (void)dial;
    (void)err;
    s->a = conn;
    s->dialed++;
}

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    struct seen *s = arg;

    (void)listener;
    s->b = conn;
    s->accepted++;
}

static void on_echo(void *arg, struct conduit_conn *conn, unsigned events)
{
    char buf[512];
    long n;

    (void)arg;
    (void)events;
    while ((n = conduit_conn_read(conn, buf, sizeof buf)) > 0) {
        (void)conduit_conn_write(conn, buf, (size_t)n);
    }
    if (n != CONDUIT_AGAIN) {
        conduit_conn_close(conn);
    }
}

static void on_answer(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct seen *s = arg;
    char buf[512];

    (void)events;
    while (conduit_conn_read(conn, buf, sizeof buf) > 0) {
        s->done++;
    }
    if (s->done < 100) {
        (void)conduit_conn_write(conn, "again", 5);
    }
}

static void echo_over(struct base_fix *f, const char *uri)
{
    struct conduit_listener *listener = NULL;
    struct conduit_error err = {0};
    struct seen s = {0};

    assert_int_equal(
        conduit_listen(f->env.ctx, uri, NULL, on_accept, &s, &listener, &err),
        0);
    assert_int_equal(conduit_dial(f->env.ctx, conduit_listener_uri(listener),
                                  NULL, on_dialed, &s, NULL, &err),
                     0);
    dispatch_until(f, &s.dialed, 1);
    dispatch_until(f, &s.accepted, 1);
    assert_non_null(s.a);
    conduit_conn_set_handler(s.b, on_echo, &s, CONDUIT_READ);
    conduit_conn_set_handler(s.a, on_answer, &s, CONDUIT_READ);
    assert_int_equal(conduit_conn_write(s.a, "begin", 5), 5);
    dispatch_until(f, &s.done, 100);
    conduit_conn_close(s.a);
    conduit_listener_close(listener);
}

static void mem_echoes(void **state)
{
    echo_over(*state, "mem://base");
}

static void tcp_echoes(void **state)
{
    echo_over(*state, "tcp://127.0.0.1:0");
}

struct note {
    struct conduit_timer timer;
    struct conduit_task task;
    unsigned fired;
    unsigned ran;
};

static void on_fire(struct conduit_timer *timer)
{
    ((struct note *)(void *)timer)->fired++;
}

static void on_run(struct conduit_task *task)
{
    struct note *n = (struct note *)(void *)((char *)task -
                                             offsetof(struct note, task));

    n->ran++;
}

static void timers_and_tasks_run(void **state)
{
    struct base_fix *f = *state;
    struct note n = {.timer.fire = on_fire, .task.run = on_run};
    struct note early = {.timer.fire = on_fire};

    conduit_timer_set(f->env.loop, &n.timer, 5);
    dispatch_until(f, &n.fired, 1);
    conduit_loop_defer(f->env.loop, &n.task);
    dispatch_until(f, &n.ran, 1);
    conduit_loop_post(f->env.loop, &n.task);
    dispatch_until(f, &n.ran, 2);
    conduit_timer_set(f->env.loop, &n.timer, 20000);
    conduit_timer_set(f->env.loop, &early.timer, 1); /* moves the wake-up */
    dispatch_until(f, &early.fired, 1);
    conduit_timer_clear(f->env.loop, &n.timer);
}

static void count_event(evutil_socket_t fd, short what, void *arg)
{
    char c;

    (void)what;
    if (read(fd, &c, 1) == 1) {
        ++*(unsigned *)arg;
    }
}

/* The application's events are served while conduit is busy, and it sleeps. */
static void the_applications_own_events_are_served(void **state)
{
    struct base_fix *f = *state;
    unsigned got = 0;
    struct event *ev;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    ev = event_new(f->base, fds[0], EV_READ | EV_PERSIST, count_event, &got);
    assert_non_null(ev);
    assert_int_equal(event_add(ev, NULL), 0);
    for (unsigned i = 1; i <= 10; i++) {
        assert_int_equal(write(fds[1], "x", 1), 1);
        dispatch_until(f, &got, i);
    }
    event_free(ev);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(arg);
}

static void an_idle_context_lets_the_base_sleep(void **state)
{
    struct base_fix *f = *state;
    struct timeval tv = {0, 50000};
    struct event *ev = event_new(f->base, -1, 0, timeout, f->base);
    unsigned passes = 0;
    uint64_t end = t_ms() + 45;

    assert_int_equal(event_add(ev, &tv), 0);
    while (t_ms() < end) {
        (void)event_base_loop(f->base, EVLOOP_ONCE);
        passes++;
    }
    assert_in_range(passes, 1, 6);
    event_free(ev);
}

static void a_base_without_edges_is_refused(void **state)
{
    struct event_config *config = event_config_new();
    struct event_base *poll_base;
    struct conduit_ctx *ctx = NULL;
    struct conduit_error err = {0};

    (void)state;
    assert_non_null(config);
    assert_int_equal(event_config_avoid_method(config, "epoll"), 0);
    poll_base = event_base_new_with_config(config);
    event_config_free(config);
    assert_non_null(poll_base);
    assert_int_equal(conduit_unix_new(poll_base, NULL, &ctx, &err),
                     CONDUIT_ENOTSUP);
    assert_non_null(strstr(err.text, "event_base"));
    event_base_free(poll_base);
}

/* Freed by the application while conduit still had something to do. */
static void a_context_goes_before_its_base(void **state)
{
    struct base_fix *f = *state;
    struct note n = {.timer.fire = on_fire, .task.run = on_run};
    struct timeval tv = {0, 1000};
    struct conduit_listener *listener = NULL;
    struct seen s = {0};

    assert_int_equal(conduit_listen(f->env.ctx, "tcp://127.0.0.1:0", NULL,
                                    on_accept, &s, &listener, NULL),
                     0);
    assert_int_equal(conduit_dial(f->env.ctx, conduit_listener_uri(listener),
                                  NULL, on_dialed, &s, NULL, NULL),
                     0);
    conduit_timer_set(f->env.loop, &n.timer, 1);
    conduit_loop_defer(f->env.loop, &n.task);
    conduit_ctx_free(f->env.ctx);
    f->env.ctx = NULL;
    (void)event_base_loopexit(f->base, &tv);
    (void)event_base_dispatch(f->base);
    assert_int_equal(n.fired + n.ran + s.dialed + s.accepted, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        BASE_TEST(mem_echoes),
        BASE_TEST(tcp_echoes),
        BASE_TEST(timers_and_tasks_run),
        BASE_TEST(the_applications_own_events_are_served),
        BASE_TEST(an_idle_context_lets_the_base_sleep),
        cmocka_unit_test(a_base_without_edges_is_refused),
        BASE_TEST(a_context_goes_before_its_base),
    };

    return cmocka_run_group_tests_name("loop_base", tests, NULL, NULL);
}
