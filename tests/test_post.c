/* SPDX-License-Identifier: ISC */
/* Tasks: deferred on the loop's thread, posted from others; pollers. */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

struct item {
    struct conduit_task task;
    struct t_env *env;
    unsigned thread;
    unsigned number;
};

static unsigned ran;
static unsigned next[8];

static void run_item(struct conduit_task *task)
{
    struct item *item = (struct item *)(void *)task;

    T_CHECK(item->env, item->env->turning);
    T_CHECK(item->env, item->number == next[item->thread]);
    next[item->thread]++;
    ran++;
}

static void reset(void)
{
    ran = 0;
    memset(next, 0, sizeof next);
}

#define PER_THREAD 20000u

static void *post_all(void *arg)
{
    struct item *items = arg;

    for (unsigned i = 0; i < PER_THREAD; i++) {
        conduit_loop_post(items[i].env->loop, &items[i].task);
    }
    return NULL;
}

static struct item *make_items(struct t_env *env, unsigned thread,
                               unsigned count)
{
    struct item *items = calloc(count, sizeof *items);

    assert_non_null(items);
    for (unsigned i = 0; i < count; i++) {
        items[i].task.run = run_item;
        items[i].env = env;
        items[i].thread = thread;
        items[i].number = i;
    }
    return items;
}

static void posted_tasks_all_run_in_order(void **state)
{
    struct t_env *env = *state;
    pthread_t threads[4];
    struct item *items[4];

    reset();
    for (unsigned i = 0; i < 4; i++) {
        items[i] = make_items(env, i, PER_THREAD);
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, items[i]),
                         0);
    }
    T_UNTIL(env, ran == 4 * PER_THREAD);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(next[i], PER_THREAD);
        free(items[i]);
    }
    t_turns(env, 3);
    assert_int_equal(ran, 4 * PER_THREAD);
}

static void *post_late(void *arg)
{
    struct item *item = arg;
    struct timespec pause = {.tv_nsec = 20000000};

    (void)nanosleep(&pause, NULL); /* the loop sleeps by now */
    conduit_loop_post(item->env->loop, &item->task);
    return NULL;
}

static void stop_loop(struct conduit_task *task)
{
    struct item *item = (struct item *)(void *)task;

    ran++;
    conduit_loop_stop(item->env->loop);
}

static void posting_wakes_a_sleeping_loop(void **state)
{
    struct t_env *env = *state;
    struct item item = {.env = env, .task.run = stop_loop};
    pthread_t thread;

    reset();
    assert_int_equal(pthread_create(&thread, NULL, post_late, &item), 0);
    assert_int_equal(conduit_loop_run(env->loop), 0); /* no timer, no peer */
    assert_int_equal(ran, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Each wake-up is for one round: no wake-up may be lost between two waits. */
static void *post_one_by_one(void *arg)
{
    struct item *items = arg;

    for (unsigned i = 0; i < 2000; i++) {
        conduit_loop_post(items[i].env->loop, &items[i].task);
        if (i % 64 == 0) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    struct t_env *env = *state;
    struct item *items = make_items(env, 0, 2000);
    pthread_t thread;
    uint64_t begin = t_ms();

    reset();
    assert_int_equal(pthread_create(&thread, NULL, post_one_by_one, items), 0);
    while (ran < 2000) {
        t_turn(env, 10000);
    }
    assert_true(t_ms() - begin < 10000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    free(items);
}

static struct item *from_signal;

static void on_signal(int number)
{
    (void)number;
    conduit_loop_post(from_signal->env->loop, &from_signal->task);
}

static void a_signal_handler_may_post(void **state)
{
    struct t_env *env = *state;
    struct item item = {.env = env, .task.run = run_item};
    struct sigaction act = {.sa_handler = on_signal};
    struct sigaction old;

    reset();
    from_signal = &item;
    assert_int_equal(sigaction(SIGUSR1, &act, &old), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    T_UNTIL(env, ran == 1);
    assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
}

static void deferred_tasks_run_once_in_the_next_turn(void **state)
{
    struct t_env *env = *state;
    struct item *items = make_items(env, 0, 3);

    reset();
    for (unsigned i = 0; i < 3; i++) {
        conduit_loop_defer(env->loop, &items[i].task);
        conduit_loop_defer(env->loop, &items[i].task); /* harmless */
    }
    assert_int_equal(ran, 0);
    t_turn(env, 1000);
    assert_int_equal(ran, 3);
    t_turns(env, 2);
    assert_int_equal(ran, 3);
    conduit_loop_defer(env->loop, &items[0].task);
    conduit_loop_cancel(env->loop, &items[0].task);
    conduit_loop_cancel(env->loop, &items[0].task);
    t_turns(env, 2);
    assert_int_equal(ran, 3);
    free(items);
}

static void defer_again(struct conduit_task *task)
{
    struct item *item = (struct item *)(void *)task;

    ran++;
    conduit_loop_defer(item->env->loop, task);
}

static void a_task_that_queues_itself_waits_a_turn(void **state)
{
    struct t_env *env = *state;
    struct item item = {.env = env, .task.run = defer_again};

    reset();
    conduit_loop_defer(env->loop, &item.task);
    for (unsigned i = 1; i <= 20; i++) {
        t_turn(env, 0);
        assert_int_equal(ran, i);
    }
    conduit_loop_cancel(env->loop, &item.task);
}

static struct item *victim;

static void cancel_victim(struct conduit_task *task)
{
    struct item *item = (struct item *)(void *)task;

    ran++;
    conduit_loop_cancel(item->env->loop, &victim->task);
}

static void a_task_is_cancelled_by_another_in_its_turn(void **state)
{
    struct t_env *env = *state;
    struct item a = {.env = env, .task.run = cancel_victim};
    struct item b = {.env = env, .task.run = cancel_victim};

    reset();
    victim = &b;
    conduit_loop_defer(env->loop, &a.task);
    conduit_loop_defer(env->loop, &b.task);
    t_turns(env, 3);
    assert_int_equal(ran, 1);
}

struct watch {
    struct conduit_poller poller;
    struct t_env *env;
    unsigned polled;
    unsigned work; /* answers left */
    bool once;
};

static enum conduit_poll on_poll(struct conduit_poller *p, bool idle)
{
    struct watch *w = (struct watch *)(void *)p;

    (void)idle;
    w->polled++;
    if (w->once) {
        conduit_loop_remove_poller(w->env->loop, p);
    }
    if (w->work > 0) {
        w->work--;
        return w->work % 2 == 0 ? CONDUIT_POLL_WORK : CONDUIT_POLL_SPIN;
    }
    return CONDUIT_POLL_IDLE;
}

static void pollers_keep_the_loop_awake(void **state)
{
    struct t_env *env = *state;
    struct watch w = {.poller.poll = on_poll, .env = env, .work = 20};
    uint64_t begin = t_ms();

    conduit_loop_add_poller(env->loop, &w.poller);
    for (unsigned i = 0; i < 20; i++) {
        t_turn(env, 2000); /* would sleep, but for the poller */
    }
    assert_true(t_ms() - begin < 2000);
    assert_int_equal(w.work, 0);
    assert_in_range(t_turns_in(env, 20), 1, 4);
    conduit_loop_remove_poller(env->loop, &w.poller);
    conduit_loop_remove_poller(env->loop, &w.poller);
    begin = w.polled;
    t_turns(env, 3);
    assert_int_equal(w.polled, begin);
}

static void a_poller_may_remove_itself(void **state)
{
    struct t_env *env = *state;
    struct watch a = {.poller.poll = on_poll, .env = env, .once = true};
    struct watch b = {.poller.poll = on_poll, .env = env};

    conduit_loop_add_poller(env->loop, &b.poller);
    conduit_loop_add_poller(env->loop, &a.poller);
    t_turns(env, 5);
    assert_int_equal(a.polled, 1);
    assert_int_equal(b.polled, 5);
    conduit_loop_remove_poller(env->loop, &b.poller);
}

struct stopper {
    struct conduit_timer timer;
    struct t_env *env;
};

static void stop_fired(struct conduit_timer *timer)
{
    struct stopper *s = (struct stopper *)(void *)timer;

    conduit_loop_stop(s->env->loop);
}

static void run_returns_when_stopped_and_runs_again(void **state)
{
    struct t_env *env = *state;
    struct stopper s = {.timer.fire = stop_fired, .env = env};

    for (int i = 0; i < 3; i++) {
        conduit_timer_set(env->loop, &s.timer, 1);
        assert_int_equal(conduit_loop_run(env->loop), 0);
    }
}

static unsigned asked;

static void on_shutdown(void *arg)
{
    struct t_env *env = arg;

    asked++;
    conduit_loop_stop(env->loop);
}

static void ask_shutdown(struct conduit_timer *timer)
{
    struct stopper *s = (struct stopper *)(void *)timer;

    conduit_ctx_shutdown(s->env->ctx);
}

static void a_shutdown_is_asked_for(void **state)
{
    struct t_env *env = *state;
    struct stopper s = {.timer.fire = ask_shutdown, .env = env};

    asked = 0;
    conduit_timer_set(env->loop, &s.timer, 1);
    assert_int_equal(conduit_loop_run(env->loop), 0); /* stops the loop */
    conduit_ctx_on_shutdown(env->ctx, on_shutdown, env);
    conduit_timer_set(env->loop, &s.timer, 1);
    assert_int_equal(conduit_loop_run(env->loop), 0);
    assert_int_equal(asked, 1);
}

static void a_stop_before_the_run_counts(void **state)
{
    struct t_env *env = *state;

    conduit_loop_stop(env->loop);
    assert_int_equal(conduit_loop_run(env->loop), 0);
    conduit_ctx_on_shutdown(env->ctx, NULL, NULL);
    conduit_ctx_shutdown(env->ctx);
    assert_int_equal(conduit_loop_run(env->loop), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(posted_tasks_all_run_in_order),
        T_TEST(posting_wakes_a_sleeping_loop),
        T_TEST(no_wake_up_is_lost),
        T_TEST(a_signal_handler_may_post),
        T_TEST(deferred_tasks_run_once_in_the_next_turn),
        T_TEST(a_task_that_queues_itself_waits_a_turn),
        T_TEST(a_task_is_cancelled_by_another_in_its_turn),
        T_TEST(pollers_keep_the_loop_awake),
        T_TEST(a_poller_may_remove_itself),
        T_TEST(run_returns_when_stopped_and_runs_again),
        T_TEST(a_shutdown_is_asked_for),
        T_TEST(a_stop_before_the_run_counts),
    };

    return cmocka_run_group_tests_name("post", tests, NULL, NULL);
}
