/* SPDX-License-Identifier: ISC */
/* close and abort: what is delivered, and that they may come at any moment. */
#include "conformance.h"

static void close_delivers_to_a_slow_reader(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    uint64_t sent;

    suite_shrink(f);
    a->goal = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        t_push(a);
        t_turns(&f->env, 1);
    }
    t_push(a);
    sent = a->sent;
    t_close(a);
    t_turns(&f->env, 20);
    while (b->received < sent) {
        uint64_t left = sent - b->received;

        suite_receive(b, left < 30011 ? (size_t)left : 30011);
    }
    assert_int_equal(suite_read_out(b), CONDUIT_END);
    assert_int_equal(b->received, sent);
}

static void close_right_after_writing_delivers(void **state)
{
    struct fix *f = *state;

    while (f->pair.a.sent == 0) {
        f->pair.a.goal = 10;
        t_push(&f->pair.a);
    }
    t_close(&f->pair.a);
    assert_int_equal(suite_read_out(&f->pair.b), CONDUIT_END);
    assert_int_equal(f->pair.b.received, f->pair.a.sent);
}

/* The peer goes on sending what nobody reads, and gets every byte all the same.
 */
static void close_while_the_peer_sends_delivers(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    uint64_t sent;

    b->goal = UINT64_MAX;
    b->push = true;
    t_attach(b, &f->env, b->conn, CONDUIT_WRITE);
    T_UNTIL(&f->env, b->sent > 100);
    a->goal = suite.some * 10;
    t_push(a);
    sent = a->sent;
    t_close(a);
    t_turns(&f->env, 20);
    T_POLL(&f->env, (t_pull(b), b->received == sent || b->end != 0));
    assert_int_equal(b->received, sent);
    b->goal = b->sent; /* it ends now */
    (void)conduit_conn_finish(b->conn, true);
    assert_int_equal(suite_read_out(b), CONDUIT_END);
}

static void close_with_unread_input_delivers(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;

    suite_send(b, 300);
    suite_send(a, suite.some);
    t_attach(a, &f->env, a->conn, CONDUIT_READ);
    T_UNTIL(&f->env, (a->seen & CONDUIT_READ) != 0);
    t_close(a);
    t_turns(&f->env, 20);
    assert_int_equal(suite_read_out(b), CONDUIT_END);
    assert_int_equal(b->received, suite.some);
}

static void both_close_at_once(void **state)
{
    struct fix *f = *state;

    suite_send(&f->pair.a, 100);
    suite_send(&f->pair.b, 100);
    t_disconnect(&f->pair);
    if (suite.under ==
        0) { /* else one may still be at it when the other goes */
        assert_string_equal(f->env.log, "");
    }
}

static void a_reader_that_never_comes_is_left_in_time(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    uint64_t begin = t_ms();

    suite_shrink(f);
    a->goal = UINT64_MAX;
    for (int i = 0; i < 50; i++) {
        t_push(a);
        t_turns(&f->env, 1);
    }
    conduit_conn_set_linger(a->conn, 100);
    t_close(a);
    f->env.turning = true;
    conduit_loop_finish(f->env.loop);
    f->env.turning = false;
    assert_in_range(t_ms() - begin, 0, 10000);
}

static void a_second_close_is_harmless(void **state)
{
    struct fix *f = *state;
    struct conduit_conn *a = f->pair.a.conn;
    struct conduit_conn *b = f->pair.b.conn;

    suite_send(&f->pair.a, 10);
    t_close(&f->pair.a);
    conduit_conn_close(a);
    conduit_conn_abort(a); /* too late: it is being closed */
    conduit_conn_close(a);
    assert_int_equal(suite_read_out(&f->pair.b), CONDUIT_END);
    assert_int_equal(f->pair.b.received, 10);
    t_abort(&f->pair.b);
    conduit_conn_abort(b);
    conduit_conn_close(b);
    conduit_conn_close(NULL);
    conduit_conn_abort(NULL);
    t_turns(&f->env, 5);
}

/* Within the turn the memory is there: every call answers, none does harm. */
static void calls_on_the_closed_answer_closed(void **state)
{
    struct fix *f = *state;
    struct conduit_conn *c = f->pair.a.conn;
    struct conduit_win win;
    char byte;

    for (int i = 0; i < 2; i++) {
        if (i == 0) {
            conduit_conn_close(c);
        } else {
            c = f->pair.b.conn;
            conduit_conn_abort(c);
        }
        assert_int_equal(conduit_conn_read(c, &byte, 1), CONDUIT_ECLOSED);
        assert_int_equal(conduit_conn_peek(c, &win), CONDUIT_ECLOSED);
        assert_int_equal(conduit_conn_write(c, "x", 1), CONDUIT_ECLOSED);
        assert_int_equal(conduit_conn_reserve(c, &win), CONDUIT_ECLOSED);
        assert_int_equal(conduit_conn_lend(c, "x", 1, NULL), CONDUIT_ECLOSED);
        assert_true(conduit_conn_finish(c, true) < 0);
        conduit_conn_consume(c, 0);
        conduit_conn_commit(c, 0);
        conduit_conn_want(c, CONDUIT_READ | CONDUIT_WRITE);
        conduit_conn_set_deadline(c, 1);
    }
    f->pair.a.conn = NULL;
    f->pair.b.conn = NULL;
    t_turns(&f->env, 5);
}

static void nothing_is_left_of_the_open(void **state)
{
    struct fix *f = *state;

    f->pair.a.goal = UINT64_MAX;
    f->pair.a.push = true;
    t_attach(&f->pair.a, &f->env, f->pair.a.conn, CONDUIT_WRITE);
    t_attach(&f->pair.b, &f->env, f->pair.b.conn, CONDUIT_READ);
    t_turns(&f->env, 10);
    /* the teardown looks */
}

static void nothing_is_left_of_the_closing(void **state)
{
    struct fix *f = *state;

    suite_shrink(f);
    f->pair.a.goal = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        t_push(&f->pair.a);
        t_turns(&f->env, 1);
    }
    t_close(&f->pair.a);
    t_turns(&f->env, 3);
}

/* ---- in every callback -------------------------------------------------- */

struct ending {
    unsigned at; /* the event */
    void (*end)(struct t_conn *t);
    bool twice;
    unsigned calls;
};

static void end_here(struct t_conn *t, unsigned events)
{
    struct ending *e = t->arg;

    e->calls++;
    if ((events & e->at) != 0) {
        struct conduit_conn *conn = t->conn;

        e->end(t);
        if (e->twice) {
            conduit_conn_close(conn);
            conduit_conn_abort(conn);
        }
        e->calls = 0;
    }
}

/* Makes the event come to `t`. */
static void provoke(struct fix *f, struct t_conn *t, unsigned event)
{
    struct t_conn *peer = t == &f->pair.a ? &f->pair.b : &f->pair.a;

    t_attach(t, &f->env, t->conn, event);
    switch (event) {
    case CONDUIT_READ: /* a layer's own bytes may be the first hint */
        peer->goal = peer->sent + 1;
        T_POLL(&f->env,
               (t_push(peer), peer->sent == peer->goal || t->conn == NULL));
        break;
    case CONDUIT_DRAINED:
        suite_send(t, 1);
        if (t->conn != NULL) {
            t_want(t, event);
        }
        break;
    case CONDUIT_OPEN:
        assert_int_equal(
            conduit_conn_push(&t->conn, &conduit_chop, false, NULL, NULL, NULL),
            0);
        break;
    case CONDUIT_ERR:
        conduit_conn_set_deadline(t->conn, 1);
        break;
    default:
        break;
    }
}

static void end_in(struct fix *f, unsigned event, void (*end)(struct t_conn *),
                   bool twice)
{
    struct ending e = {event, end, twice, 0};
    struct t_conn *ends[2] = {&f->pair.a, &f->pair.b};

    for (int i = 0; i < 2; i++) {
        struct t_conn *t = ends[i];
        struct t_conn *peer = ends[1 - i];

        t->arg = &e;
        t->hook = end_here;
        provoke(f, t, event);
        T_UNTIL(&f->env, t->conn == NULL);
        t_turns(&f->env, 5);
        assert_int_equal(e.calls, 0); /* none after the end */
        if (peer->conn != NULL) {
            assert_true(suite_read_out(peer) < 0);
            t_close(peer);
            t_turns(&f->env, 5);
            suite_connect(f, &f->pair, NULL);
        }
    }
}

#define END_IN(name, event, end, twice)    \
    static void name(void **state)         \
    {                                      \
        end_in(*state, event, end, twice); \
    }

END_IN(close_in_open, CONDUIT_OPEN, t_close, false)
END_IN(close_in_read, CONDUIT_READ, t_close, false)
END_IN(close_in_write, CONDUIT_WRITE, t_close, false)
END_IN(close_in_drained, CONDUIT_DRAINED, t_close, false)
END_IN(close_in_err, CONDUIT_ERR, t_close, false)
END_IN(close_twice_in_read, CONDUIT_READ, t_close, true)
END_IN(abort_in_open, CONDUIT_OPEN, t_abort, false)
END_IN(abort_in_read, CONDUIT_READ, t_abort, false)
END_IN(abort_in_write, CONDUIT_WRITE, t_abort, false)
END_IN(abort_in_drained, CONDUIT_DRAINED, t_abort, false)
END_IN(abort_in_err, CONDUIT_ERR, t_abort, false)
END_IN(abort_twice_in_read, CONDUIT_READ, t_abort, true)

static void end_the_peer(struct t_conn *t, unsigned events)
{
    (void)events;
    t_abort(t->arg);
    t_abort(t);
}

/* Both have an event in the same turn, and the first ends both. */
static void one_callback_ends_both(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;

    t_attach(a, &f->env, a->conn, CONDUIT_WRITE);
    t_attach(b, &f->env, b->conn, CONDUIT_WRITE);
    T_UNTIL(&f->env, a->calls > 0 && b->calls > 0);
    a->arg = b;
    b->arg = a;
    a->hook = end_the_peer;
    b->hook = end_the_peer;
    T_UNTIL(&f->env, a->conn == NULL);
    assert_null(b->conn);
    t_turns(&f->env, 5);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(close_delivers_to_a_slow_reader),
    SUITE_TEST(close_right_after_writing_delivers),
    SUITE_TEST(close_while_the_peer_sends_delivers),
    SUITE_TEST(close_with_unread_input_delivers),
    SUITE_TEST(both_close_at_once),
    SUITE_TEST(a_reader_that_never_comes_is_left_in_time),
    SUITE_TEST(a_second_close_is_harmless),
    SUITE_TEST(calls_on_the_closed_answer_closed),
    SUITE_TEST(nothing_is_left_of_the_open),
    SUITE_TEST(nothing_is_left_of_the_closing),
    SUITE_TEST(close_in_open),
    SUITE_TEST(close_in_read),
    SUITE_TEST(close_in_write),
    SUITE_TEST(close_in_drained),
    SUITE_TEST(close_in_err),
    SUITE_TEST(close_twice_in_read),
    SUITE_TEST(abort_in_open),
    SUITE_TEST(abort_in_read),
    SUITE_TEST(abort_in_write),
    SUITE_TEST(abort_in_drained),
    SUITE_TEST(abort_in_err),
    SUITE_TEST(abort_twice_in_read),
    SUITE_TEST(one_callback_ends_both),
};

const struct part part_closing = {tests, sizeof tests / sizeof tests[0]};
