/* SPDX-License-Identifier: ISC */
/* Timers: order, moving, clearing, from callbacks and many at once. */
#include "support.h"

struct note {
    struct conduit_timer timer;
    struct t_env *env;
    unsigned number;
    unsigned fired;
    struct note *other;
    uint64_t due; /* ms */
};

static unsigned order[4096];
static unsigned fired;

static void on_fire(struct conduit_timer *timer)
{
    struct note *n = (struct note *)(void *)timer;

    T_CHECK(n->env, n->env->turning);
    T_CHECK(n->env, timer->at == 0);
    n->fired++;
    order[fired++ % 4096] = n->number;
}

static void init(struct note *n, struct t_env *env, unsigned number)
{
    memset(n, 0, sizeof *n);
    n->timer.fire = on_fire;
    n->env = env;
    n->number = number;
    fired = 0;
}

static void timers_fire_in_order(void **state)
{
    struct t_env *env = *state;
    static const unsigned at[] = {30, 10, 20, 5, 40, 15};
    static const unsigned want[] = {3, 1, 5, 2, 0, 4};
    struct note n[6];
    uint64_t begin = t_ms();

    for (unsigned i = 0; i < 6; i++) {
        init(&n[i], env, i);
        conduit_timer_set(env->loop, &n[i].timer, at[i]);
    }
    assert_int_equal(fired, 0);
    T_UNTIL(env, fired == 6);
    assert_true(t_ms() - begin >= 39);
    assert_memory_equal(order, want, sizeof want);
    t_turns(env, 3);
    assert_int_equal(fired, 6);
}

static void a_timer_set_again_moves(void **state)
{
    struct t_env *env = *state;
    struct note a;
    struct note b;

    init(&a, env, 0);
    init(&b, env, 1);
    conduit_timer_set(env->loop, &a.timer, 5);
    conduit_timer_set(env->loop, &b.timer, 10);
    conduit_timer_set(env->loop, &a.timer, 20);
    T_UNTIL(env, fired == 2);
    assert_int_equal(order[0], 1);
    conduit_timer_set(env->loop, &a.timer, 100000);
    conduit_timer_set(env->loop, &a.timer, 1);
    T_UNTIL(env, fired == 3);
}

static void a_cleared_timer_does_not_fire(void **state)
{
    struct t_env *env = *state;
    struct note a;
    struct note b;

    init(&a, env, 0);
    init(&b, env, 1);
    conduit_timer_clear(env->loop, &a.timer);
    conduit_timer_set(env->loop, &a.timer, 1);
    conduit_timer_set(env->loop, &b.timer, 10);
    conduit_timer_clear(env->loop, &a.timer);
    conduit_timer_clear(env->loop, &a.timer);
    T_UNTIL(env, b.fired == 1);
    assert_int_equal(a.fired, 0);
}

static void clear_other(struct conduit_timer *timer)
{
    struct note *n = (struct note *)(void *)timer;

    on_fire(timer);
    conduit_timer_clear(n->env->loop, &n->other->timer);
}

/* Both are due in one turn: whichever fires first takes the other back. */
static void a_timer_is_cleared_by_another(void **state)
{
    struct t_env *env = *state;
    struct note a;
    struct note b;

    init(&a, env, 0);
    init(&b, env, 1);
    a.other = &b;
    b.other = &a;
    a.timer.fire = clear_other;
    b.timer.fire = clear_other;
    conduit_timer_set(env->loop, &a.timer, 1);
    conduit_timer_set(env->loop, &b.timer, 1);
    for (uint64_t begin = t_ms(); t_ms() < begin + 3;) {
        /* until both are due */
    }
    T_UNTIL(env, fired > 0);
    t_turns(env, 3);
    assert_int_equal(fired, 1);
}

static void set_again(struct conduit_timer *timer)
{
    struct note *n = (struct note *)(void *)timer;

    on_fire(timer);
    conduit_timer_set(n->env->loop, timer, 0);
}

/* A timer of 0 ms set in its own callback fires in the next turn, not in this.
 */
static void a_turn_ends_whatever_is_set_in_it(void **state)
{
    struct t_env *env = *state;
    struct note a;

    init(&a, env, 0);
    a.timer.fire = set_again;
    conduit_timer_set(env->loop, &a.timer, 0);
    for (unsigned i = 0; i < 50; i++) {
        unsigned before = a.fired;

        t_turn(env, 1);
        assert_in_range(a.fired, before, before + 1);
    }
    assert_true(a.fired > 10);
    conduit_timer_clear(env->loop, &a.timer);
}

static void set_the_other(struct conduit_timer *timer)
{
    struct note *n = (struct note *)(void *)timer;

    on_fire(timer);
    conduit_timer_set(n->env->loop, &n->other->timer, 1);
}

static void timers_are_set_by_timers(void **state)
{
    struct t_env *env = *state;
    struct note a;
    struct note b;

    init(&a, env, 0);
    init(&b, env, 1);
    a.other = &b;
    b.other = &a;
    a.timer.fire = set_the_other;
    b.timer.fire = set_the_other;
    conduit_timer_set(env->loop, &a.timer, 1);
    T_UNTIL(env, a.fired >= 5 && b.fired >= 5);
    conduit_timer_clear(env->loop, &a.timer);
    conduit_timer_clear(env->loop, &b.timer);
}

static void a_far_timer_does_not_overflow(void **state)
{
    struct t_env *env = *state;
    struct note a;
    struct note b;

    init(&a, env, 0);
    init(&b, env, 1);
    conduit_timer_set(env->loop, &a.timer, UINT64_MAX);
    conduit_timer_set(env->loop, &b.timer, 1);
    T_UNTIL(env, b.fired == 1);
    t_turns(env, 3);
    assert_int_equal(a.fired, 0);
    conduit_timer_clear(env->loop, &a.timer);
}

/* Random sets, moves and clears, compared with a plain array. */
static void many_timers(void **state)
{
    enum { MANY = 2000 };
    struct t_env *env = *state;
    struct note *n = calloc(MANY, sizeof *n);
    uint64_t random = 42;
    unsigned set = 0;

    assert_non_null(n);
    for (unsigned i = 0; i < MANY; i++) {
        init(&n[i], env, i);
    }
    for (unsigned i = 0; i < 20 * MANY; i++) {
        struct note *one = &n[t_random(&random) % MANY];

        if (t_random(&random) % 4 == 0) {
            conduit_timer_clear(env->loop, &one->timer);
            one->due = 0;
        } else {
            one->due = 1000 + t_random(&random) % 50;
            conduit_timer_set(env->loop, &one->timer, one->due - 1000);
        }
    }
    for (unsigned i = 0; i < MANY; i++) {
        set += n[i].due != 0;
    }
    T_UNTIL(env, fired == set);
    t_turns(env, 2);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(n[i].fired, n[i].due != 0);
    }
    free(n);
}

static void the_clock_goes_on(void **state)
{
    struct t_env *env = *state;
    uint64_t before = conduit_loop_now(env->loop);

    t_turn(env, 5);
    t_turn(env, 5);
    assert_true(conduit_loop_now(env->loop) >= before + 9000000u);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(timers_fire_in_order),
        T_TEST(a_timer_set_again_moves),
        T_TEST(a_cleared_timer_does_not_fire),
        T_TEST(a_timer_is_cleared_by_another),
        T_TEST(a_turn_ends_whatever_is_set_in_it),
        T_TEST(timers_are_set_by_timers),
        T_TEST(a_far_timer_does_not_overflow),
        T_TEST(many_timers),
        T_TEST(the_clock_goes_on),
    };

    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
