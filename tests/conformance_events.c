/* SPDX-License-Identifier: ISC */
/*
 * Events: when they come, when they do not, and from where. That callbacks come
 * from the loop alone, never nested and at most once a turn, is checked by
 * every test that uses a struct t_conn.
 */
#include "conformance.h"

static void bytes_wait_for_a_handler(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;

    suite_send(&f->pair.a, 100);
    t_turns(&f->env, 5);
    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    suite_receive(b, 100);
}

static void an_early_open_waits_for_a_handler(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct conduit_error err = {0};

    assert_int_equal(
        conduit_conn_push(&a->conn, &conduit_chop, false, NULL, NULL, &err), 0);
    t_turns(&f->env, 5);
    t_attach(a, &f->env, a->conn, 0);
    T_UNTIL(&f->env, (a->seen & CONDUIT_OPEN) != 0);
    t_turns(&f->env, 5);
    assert_int_equal(a->count[3], 1);
}

static void a_handler_under_a_new_layer_moves_up(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    struct conduit_error err = {0};

    suite_send(a, 50);
    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    suite_receive(b, 20);
    assert_int_equal(
        conduit_conn_push(&b->conn, &conduit_chop, true, NULL, NULL, &err), 0);
    T_UNTIL(&f->env, (b->seen & CONDUIT_OPEN) != 0);
    suite_receive(b, 30); /* what was not consumed belongs to the layer */
    suite_send(b, 70);
    suite_receive(a, 70);
}

static void attaching_brings_events_again(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    struct t_conn other = {0};
    size_t calls;

    suite_send(&f->pair.a, 10);
    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    conduit_conn_set_handler(b->conn, NULL, NULL, 0);
    calls = b->calls;
    t_turns(&f->env, 5);
    assert_int_equal(b->calls, calls);
    t_attach(&other, &f->env, b->conn, CONDUIT_READ);
    T_UNTIL(&f->env, (other.seen & CONDUIT_READ) != 0);
    assert_int_equal(b->calls, calls);
    conduit_conn_set_handler(b->conn, NULL, NULL, 0);
}

/* Any of these could call the handler at once; the recorder would tell. */
static void no_call_calls_the_handler(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    struct conduit_win win;

    suite_send(&f->pair.a, 100);
    t_turns(&f->env, 3);
    t_attach(b, &f->env, b->conn,
             CONDUIT_READ | CONDUIT_WRITE | CONDUIT_DRAINED);
    t_want(b, CONDUIT_READ);
    t_want(b, CONDUIT_READ | CONDUIT_WRITE | CONDUIT_DRAINED);
    t_push(b);
    b->goal = 100;
    t_push(b);
    (void)conduit_conn_flush(b->conn);
    if (conduit_conn_peek(b->conn, &win) > 0) {
        conduit_conn_consume(b->conn, 1);
        b->received++;
    }
    t_pull(b);
    (void)conduit_conn_finish(b->conn, true);
    conduit_conn_set_deadline(b->conn, 1);
    assert_int_equal(b->calls, 0);
    assert_string_equal(f->env.fault, "");
    t_abort(b);
    t_turns(&f->env, 3);
    assert_int_equal(b->calls, 0);
}

static void hints_come_again_while_they_hold(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    unsigned before;

    if (suite.under > 0) {
        return; /* a record may still be on its way */
    }
    suite_send(&f->pair.a, 10);
    t_attach(b, &f->env, b->conn, CONDUIT_READ | CONDUIT_WRITE);
    T_UNTIL(&f->env,
            (b->last & CONDUIT_READ) != 0 && (b->seen & CONDUIT_WRITE) != 0);
    before = b->count[0];
    t_turns(&f->env, 10);
    assert_int_equal(b->count[0], before + 10);
    b->pull = true; /* it reads all, and finds that there is no more */
    T_UNTIL(&f->env, b->received == 10);
    t_turns(&f->env, 5);
    before = b->count[0];
    t_turns(&f->env, 10);
    assert_int_equal(b->count[0], before); /* no bytes, no hint */
    before = b->count[1];
    t_turns(&f->env, 10);
    assert_int_equal(b->count[1], before + 10);
}

static void masked_events_do_not_come(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;

    t_attach(b, &f->env, b->conn, 0);
    suite_send(&f->pair.a, 10);
    t_turns(&f->env, 10);
    assert_int_equal(b->seen & ~(unsigned)CONDUIT_OPEN, 0);
    conduit_conn_set_deadline(b->conn, 1);
    T_UNTIL(&f->env, (b->seen & CONDUIT_ERR) != 0);
    assert_int_equal(b->seen & (CONDUIT_READ | CONDUIT_WRITE), 0);
}

static void dropped_interest_stops_queued_events(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    size_t calls;

    suite_send(&f->pair.a, 10);
    t_attach(b, &f->env, b->conn, CONDUIT_READ | CONDUIT_WRITE);
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    calls = b->calls; /* and the next is queued */
    t_want(b, 0);
    t_turns(&f->env, 5);
    assert_int_equal(b->calls, calls);
    t_want(b, CONDUIT_READ);
    b->seen = 0;
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    assert_int_equal(b->seen & CONDUIT_WRITE, 0);
}

static void drop_the_peers_interest(struct t_conn *t, unsigned events)
{
    struct t_conn *other = t->arg;

    (void)events;
    t_want(other, 0);
}

/* Both are queued for one turn, and the first to run takes the other's away. */
static void interest_is_dropped_within_the_turn(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    size_t calls;

    t_attach(a, &f->env, a->conn, CONDUIT_WRITE);
    t_attach(b, &f->env, b->conn, CONDUIT_WRITE);
    T_UNTIL(&f->env, a->calls > 0 && b->calls > 0);
    a->arg = b;
    b->arg = a;
    a->hook = drop_the_peers_interest;
    b->hook = drop_the_peers_interest;
    calls = a->calls + b->calls;
    t_turns(&f->env, 1);
    assert_int_equal(a->calls + b->calls, calls + 1);
}

static void an_idle_connection_lets_the_loop_sleep(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    size_t calls;

    a->pull = true;
    b->pull = true;
    t_attach(a, &f->env, a->conn, CONDUIT_READ | CONDUIT_DRAINED);
    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    suite_send(a, 10);
    suite_send(b, 10);
    T_UNTIL(&f->env, a->received == 10 && b->received == 10);
    T_POLL(&f->env, conduit_conn_flush(a->conn) == 0);
    t_turns(&f->env, 20);
    calls = a->calls + b->calls;
    assert_true(suite_sleeps(f, 0));
    assert_int_equal(a->calls + b->calls, calls);
}

/* Bytes that nobody wants to read are no reason to run. */
static void unwanted_bytes_let_the_loop_sleep(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;

    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    suite_send(&f->pair.a, suite.some);
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    t_want(b, 0);
    t_turns(&f->env, 20);
    assert_true(suite_sleeps(f, 0));
    suite_receive(b, suite.some);
}

static void answer(struct t_conn *t, unsigned events)
{
    if ((events & CONDUIT_READ) != 0) {
        t->goal = t->received;
        t_want(t, t->interest | CONDUIT_WRITE);
    }
}

static void ask(struct t_conn *t, unsigned events)
{
    unsigned most = *(unsigned *)t->arg;

    (void)events;
    if (t->received == t->sent && t->sent < most) {
        t->goal = t->sent + 1;
        t_want(t, t->interest | CONDUIT_WRITE);
    }
}

/* One connection moves all it can, another one asks and answers. */
static void a_fast_sender_starves_nobody(void **state)
{
    struct fix *f = *state;
    struct t_pair busy;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    unsigned rounds = 50;
    uint64_t turns;

    suite_connect(f, &busy, NULL);
    busy.a.goal = UINT64_MAX;
    busy.a.push = true;
    busy.b.pull = true;
    t_attach(&busy.a, &f->env, busy.a.conn, CONDUIT_WRITE);
    t_attach(&busy.b, &f->env, busy.b.conn, CONDUIT_READ);
    T_UNTIL(&f->env, busy.b.received > 1000);
    a->arg = &rounds;
    a->hook = ask;
    a->pull = a->push = true;
    b->hook = answer;
    b->pull = b->push = true;
    turns = f->env.turns;
    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    t_attach(a, &f->env, a->conn, CONDUIT_READ | CONDUIT_WRITE);
    T_UNTIL(&f->env, a->received == rounds);
    assert_in_range(f->env.turns - turns, 1,
                    50 * (suite.layers + 3 * suite.under + 1) * 20);
    assert_true(busy.b.received > 1000 + rounds);
    t_abort(&busy.a);
    t_abort(&busy.b);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(bytes_wait_for_a_handler),
    SUITE_TEST(an_early_open_waits_for_a_handler),
    SUITE_TEST(a_handler_under_a_new_layer_moves_up),
    SUITE_TEST(attaching_brings_events_again),
    SUITE_TEST(no_call_calls_the_handler),
    SUITE_TEST(hints_come_again_while_they_hold),
    SUITE_TEST(masked_events_do_not_come),
    SUITE_TEST(dropped_interest_stops_queued_events),
    SUITE_TEST(interest_is_dropped_within_the_turn),
    SUITE_TEST(an_idle_connection_lets_the_loop_sleep),
    SUITE_TEST(unwanted_bytes_let_the_loop_sleep),
    SUITE_TEST(a_fast_sender_starves_nobody),
};

const struct part part_events = {tests, sizeof tests / sizeof tests[0]};
