/* SPDX-License-Identifier: ISC */
/* Half-close, resets, deadlines, and the order of errors and bytes. */
#include "conformance.h"

static bool can(unsigned caps)
{
    return (suite.caps & caps) == caps;
}

static void after_a_half_close_the_other_half_goes_on(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;

    if (!can(CONDUIT_CAP_HALF_CLOSE)) {
        assert_int_equal(conduit_conn_finish(a->conn, false), CONDUIT_ENOTSUP);
        suite_send(a, 10); /* and nothing has changed */
        suite_receive(b, 10);
        return;
    }
    suite_send(a, suite.some);
    assert_int_equal(conduit_conn_finish(a->conn, false), 0);
    assert_int_equal(suite_read_out(b), CONDUIT_END);
    assert_int_equal(b->received, suite.some);
    for (int i = 0; i < 20; i++) {
        suite_send(b, 200);
        suite_receive(a, 200);
    }
    assert_int_equal(conduit_conn_finish(b->conn, false), 0);
    assert_int_equal(suite_read_out(a), CONDUIT_END);
    assert_int_equal(conduit_conn_error(a->conn, NULL), 0);
    assert_int_equal(conduit_conn_error(b->conn, NULL), 0);
}

static void finishing_drains(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;

    t_attach(a, &f->env, a->conn, CONDUIT_DRAINED);
    assert_int_equal(conduit_conn_finish(a->conn, true), 0);
    assert_int_equal(conduit_conn_finish(a->conn, true), 0);
    T_UNTIL(&f->env, a->count[2] == 1);
    assert_int_equal(suite_read_out(&f->pair.b), CONDUIT_END);
    t_turns(&f->env, 5);
    assert_int_equal(a->count[2], 1);
}

static void writing_after_the_end_is_closed(void **state)
{
    struct fix *f = *state;
    struct conduit_conn *c = f->pair.a.conn;
    struct conduit_win win;
    struct conduit_seg seg = {"x", 1};

    suite_send(&f->pair.a, 100);
    assert_int_equal(conduit_conn_finish(c, true), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(conduit_conn_write(c, "x", 1), CONDUIT_ECLOSED);
        assert_int_equal(conduit_conn_writev(c, &seg, 1), CONDUIT_ECLOSED);
        assert_int_equal(conduit_conn_reserve(c, &win), CONDUIT_ECLOSED);
        assert_int_equal(conduit_conn_lend(c, "x", 1, NULL), CONDUIT_ECLOSED);
        t_turns(&f->env, 2);
    }
    assert_int_equal(suite_read_out(&f->pair.b), CONDUIT_END);
    assert_int_equal(f->pair.b.received, 100);
}

/* The finished want no WRITE: nothing is to be told, or the loop would spin. */
static void the_finished_are_not_told_of_room(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;

    t_attach(a, &f->env, a->conn, CONDUIT_WRITE);
    T_UNTIL(&f->env, a->count[1] > 0);
    assert_int_equal(conduit_conn_finish(a->conn, true), 0);
    T_POLL(&f->env, conduit_conn_flush(a->conn) == 0 &&
                        conduit_conn_flush(f->pair.b.conn) == 0);
    t_turns(&f->env, 10);
    a->count[1] = 0;
    assert_true(suite_sleeps(f, 0));
    assert_int_equal(a->count[1], 0);
}

static void an_abort_is_not_an_end(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    struct conduit_error err = {0};

    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    t_abort(&f->pair.a);
    T_UNTIL(&f->env, (b->seen & (CONDUIT_ERR | CONDUIT_READ)) != 0);
    if (!can(CONDUIT_CAP_RESET)) {
        assert_true(suite_read_out(b) < 0);
        return;
    }
    assert_int_equal(suite_read_out(b), CONDUIT_ERESET);
    assert_int_equal(conduit_conn_read(b->conn, &(char){0}, 1), CONDUIT_ERESET);
    assert_int_equal(conduit_conn_error(b->conn, &err), CONDUIT_ERESET);
    assert_non_null(err.layer);
    assert_true(strncmp(err.text, err.layer, strlen(err.layer)) == 0);
}

static void bytes_before_a_reset_are_read(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;

    if (!can(CONDUIT_CAP_RESET)) {
        return;
    }
    t_attach(a, &f->env, a->conn, 0);
    suite_send(a, suite.some);
    t_want(a, CONDUIT_DRAINED);
    T_UNTIL(&f->env, a->count[2] > 0);
    suite_delivered(a);
    t_abort(a);
    t_turns(&f->env, 10);
    T_POLL(&f->env, conduit_conn_write(b->conn, "x", 1) != CONDUIT_AGAIN);
    assert_true(conduit_conn_write(b->conn, "x", 1) < 0);
    assert_int_equal(suite_read_out(b), CONDUIT_ERESET);
    assert_int_equal(b->received, suite.some);
}

/* Nobody reads, nobody wants to: the failure is told all the same. */
static void a_reset_is_told_to_who_wants_nothing(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;

    if (!can(CONDUIT_CAP_RESET)) {
        return;
    }
    t_attach(b, &f->env, b->conn, 0);
    t_turns(&f->env, 3);
    t_abort(&f->pair.a);
    T_UNTIL(&f->env, (b->seen & CONDUIT_ERR) != 0);
    t_turns(&f->env, 5);
    assert_int_equal(b->count[4], 1);
    assert_true(conduit_conn_write(b->conn, "x", 1) < 0);
    assert_int_equal(conduit_conn_error(b->conn, NULL), CONDUIT_ERESET);
    assert_true(suite_sleeps(f, 0));
}

static void writing_to_who_is_gone_fails(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;

    t_close(&f->pair.b);
    a->goal = UINT64_MAX;
    T_POLL(&f->env, (t_push(a), a->send_end != 0));
    assert_true(a->send_end == CONDUIT_EPIPE || a->send_end == CONDUIT_ERESET);
    assert_int_equal(conduit_conn_write(a->conn, "x", 1), a->send_end);
    assert_int_equal(conduit_conn_flush(a->conn), a->send_end);
    assert_int_equal(conduit_conn_error(a->conn, NULL), a->send_end);
}

/* ---- deadlines ---------------------------------------------------------- */

static void a_deadline_fails_the_connection(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct conduit_error err = {0};

    t_attach(a, &f->env, a->conn, CONDUIT_READ);
    conduit_conn_set_deadline(a->conn, 20);
    T_UNTIL(&f->env, (a->seen & CONDUIT_ERR) != 0);
    assert_int_equal(conduit_conn_error(a->conn, &err), CONDUIT_ETIMEDOUT);
    assert_int_equal(err.code, CONDUIT_ETIMEDOUT);
    assert_int_equal(conduit_conn_write(a->conn, "x", 1), CONDUIT_ETIMEDOUT);
    assert_int_equal(suite_read_out(a), CONDUIT_ETIMEDOUT);
    t_turns(&f->env, 10);
    assert_int_equal(a->count[4], 1);
    assert_true(suite_sleeps(f, 0));
}

static void a_deadline_moves_and_goes_away(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    uint64_t begin = t_ms();

    t_attach(a, &f->env, a->conn, CONDUIT_READ);
    conduit_conn_set_deadline(a->conn, 10);
    conduit_conn_set_deadline(a->conn, 60);
    T_UNTIL(&f->env, (a->seen & CONDUIT_ERR) != 0);
    assert_true(t_ms() - begin >= 59);
    t_attach(&f->pair.b, &f->env, f->pair.b.conn, 0);
    conduit_conn_set_deadline(f->pair.b.conn, 1);
    conduit_conn_set_deadline(f->pair.b.conn, 0);
    (void)t_turns_in(&f->env, 20);
    assert_int_equal(f->pair.b.seen & CONDUIT_ERR, 0);
}

/* A read error shows after the bytes before it, a write error at once. */
static void bytes_before_a_deadline_are_read(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;

    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    suite_send(&f->pair.a, suite.some);
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    t_want(b, 0);
    conduit_conn_set_deadline(b->conn, 1);
    T_UNTIL(&f->env, (b->seen & CONDUIT_ERR) != 0);
    assert_int_equal(conduit_conn_write(b->conn, "x", 1), CONDUIT_ETIMEDOUT);
    assert_int_equal(suite_read_out(b), CONDUIT_ETIMEDOUT);
    assert_int_equal(b->received, suite.some);
}

/* ---- failures made up by chop ------------------------------------------- */

static void connect_failing(struct fix *f, struct t_pair *pair,
                            uint64_t read_at, uint64_t write_at)
{
    struct conduit_chop_settings s = {.again_percent = 20,
                                      .fail_read_at = read_at,
                                      .fail_write_at = write_at,
                                      .seed = 7};

    suite_connect(f, pair, NULL);
    conduit_chop_set(&s);
    assert_int_equal(
        conduit_conn_push(&pair->b.conn, &conduit_chop, true, NULL, NULL, NULL),
        0);
}

static void a_read_failure_comes_after_its_bytes(void **state)
{
    struct fix *f = *state;
    struct t_pair p;
    struct conduit_error err = {0};

    connect_failing(f, &p, 100, 0);
    t_attach(&p.b, &f->env, p.b.conn, CONDUIT_READ);
    suite_send(&p.a, 100); /* and not one more */
    suite_receive(&p.b, 100);
    p.b.count[0] = 0;
    T_UNTIL(&f->env, p.b.count[0] > 0);
    assert_int_equal(suite_read_out(&p.b), CONDUIT_EIO);
    assert_int_equal(p.b.received, 100);
    assert_int_equal(conduit_conn_error(p.b.conn, &err), CONDUIT_EIO);
    assert_string_equal(err.layer, "chop");
    assert_int_equal(err.native, 1);
    suite_send(&p.b, 50); /* the other direction is well */
    suite_receive(&p.a, 50);
    t_disconnect(&p);
}

static void a_write_failure_shows_at_once(void **state)
{
    struct fix *f = *state;
    struct t_pair p;
    struct conduit_error err = {0};

    connect_failing(f, &p, 0, 60);
    suite_send(&p.a, 200);
    suite_send(&p.b, 60);
    T_POLL(&f->env, conduit_conn_write(p.b.conn, "x", 1) != CONDUIT_AGAIN);
    assert_int_equal(conduit_conn_write(p.b.conn, "x", 1), CONDUIT_EIO);
    assert_int_equal(conduit_conn_error(p.b.conn, &err), CONDUIT_EIO);
    assert_int_equal(err.native, 2);
    suite_receive(&p.b, 200);
    suite_receive(&p.a, 60);
    t_close(&p.a);
    assert_int_equal(suite_read_out(&p.b), CONDUIT_END);
    t_abort(&p.b);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(after_a_half_close_the_other_half_goes_on),
    SUITE_TEST(finishing_drains),
    SUITE_TEST(writing_after_the_end_is_closed),
    SUITE_TEST(the_finished_are_not_told_of_room),
    SUITE_TEST(an_abort_is_not_an_end),
    SUITE_TEST(bytes_before_a_reset_are_read),
    SUITE_TEST(a_reset_is_told_to_who_wants_nothing),
    SUITE_TEST(writing_to_who_is_gone_fails),
    SUITE_TEST(a_deadline_fails_the_connection),
    SUITE_TEST(a_deadline_moves_and_goes_away),
    SUITE_TEST(bytes_before_a_deadline_are_read),
    SUITE_TEST(a_read_failure_comes_after_its_bytes),
    SUITE_TEST(a_write_failure_shows_at_once),
};

const struct part part_ending = {tests, sizeof tests / sizeof tests[0]};
