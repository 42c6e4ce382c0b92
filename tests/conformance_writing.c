/* SPDX-License-Identifier: ISC */
/* Writing: room in place, gathering, lent memory, draining, backpressure. */
#include "conformance.h"

static long room_for(struct t_conn *t, struct conduit_win *win)
{
    long n = CONDUIT_AGAIN;

    T_POLL(t->env, (n = conduit_conn_reserve(t->conn, win)) != CONDUIT_AGAIN);
    assert_true(n > 0);
    assert_int_equal(win->seg[0].size + win->seg[1].size, n);
    assert_false(win->shared && suite.carrier->socket);
    return n;
}

static void fill(struct t_conn *t, const struct conduit_win *win, size_t n)
{
    size_t first = n < win->seg[0].size ? n : win->seg[0].size;

    t_fill(t->out, t->sent, win->seg[0].data, first);
    t_fill(t->out, t->sent + first, win->seg[1].data, n - first);
}

static void committed_bytes_arrive(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    uint64_t random = 3;

    while (a->sent < suite.some) {
        struct conduit_win win;
        size_t room = (size_t)room_for(a, &win);
        size_t n = t_range(&random, 0, room < 300 ? room : 300);

        fill(a, &win, n);
        conduit_conn_commit(a->conn, n);
        a->sent += n;
    }
    suite_receive(&f->pair.b, a->sent);
}

static void a_commit_of_nothing_sends_nothing(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct conduit_win win;

    (void)room_for(a, &win);
    memset(win.seg[0].data, 'x', win.seg[0].size);
    conduit_conn_commit(a->conn, 0);
    t_turns(&f->env, 5);
    assert_int_equal(conduit_conn_read(f->pair.b.conn, &(char){0}, 1),
                     CONDUIT_AGAIN);
    suite_send(a, 10);
    suite_receive(&f->pair.b, 10);
}

static void reserve_and_forget(struct t_conn *t, unsigned events)
{
    struct conduit_win win;

    (void)events;
    if (conduit_conn_reserve(t->conn, &win) > 0) {
        memset(win.seg[0].data, 'x', win.seg[0].size);
        t_want(t, 0);
    }
}

/* The room is valid until the end of the callback, and then it is gone. */
static void room_that_is_not_used_goes_back(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;

    for (int i = 0; i < 20; i++) {
        t_attach(a, &f->env, a->conn, CONDUIT_WRITE);
        a->hook = reserve_and_forget;
        T_UNTIL(&f->env, a->interest == 0);
    }
    a->hook = NULL;
    suite_send(a, 100);
    suite_receive(&f->pair.b, 100);
}

/* Some segments are empty. */
static long write_segments(struct t_conn *a, uint64_t end)
{
    uint8_t buf[500];
    size_t n = (size_t)(end - a->sent);
    struct conduit_seg seg[] = {
        {buf, 0}, {buf, n / 3}, {buf + n / 3, 0}, {buf + n / 3, n - n / 3}};

    t_fill(a->out, a->sent, buf, n);
    return conduit_conn_writev(a->conn, seg, 4);
}

static void segments_are_written_in_order(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    uint64_t end = 0;

    for (int i = 0; i < 3; i++) {
        end += suite.some / 4;
        while (a->sent < end) {
            long done = CONDUIT_AGAIN;

            T_POLL(&f->env, (done = write_segments(a, end)) != CONDUIT_AGAIN);
            assert_in_range(done, 1, end - a->sent);
            a->sent += (uint64_t)done;
        }
    }
    suite_receive(&f->pair.b, end);
}

/* ---- lent memory -------------------------------------------------------- */

struct loan {
    struct conduit_ref ref;
    struct t_env *env;
    unsigned taken; /* calls that accepted something */
    unsigned released;
};

static void count_release(struct conduit_ref *ref)
{
    struct loan *loan = (struct loan *)(void *)ref;

    T_CHECK(loan->env, loan->env->turning || loan->env->ending);
    loan->released++;
}

/* Lends n bytes of the stream at `data`, in as many calls as it takes. */
static void lend_all(struct t_conn *a, const uint8_t *data, size_t n,
                     struct loan *loan)
{
    size_t at = 0;

    while (at < n) {
        long done = CONDUIT_AGAIN;

        T_POLL(a->env,
               (done = conduit_conn_lend(a->conn, data + at, n - at,
                                         loan != NULL ? &loan->ref : NULL)) !=
                   CONDUIT_AGAIN);
        assert_in_range(done, 1, n - at);
        at += (size_t)done;
        a->sent += (uint64_t)done;
        if (loan != NULL) {
            loan->taken++;
        }
    }
}

static void lent_memory_is_released_once_a_call(void **state)
{
    struct fix *f = *state;
    struct loan loan = {.ref.release = count_release, .env = &f->env};
    static uint8_t data[2000];

    t_fill(1, 0, data, sizeof data);
    lend_all(&f->pair.a, data, suite.some / 2, &loan);
    lend_all(&f->pair.a, data + suite.some / 2, suite.some / 2, &loan);
    suite_receive(&f->pair.b, suite.some);
    T_UNTIL(&f->env, loan.released == loan.taken);
    t_turns(&f->env, 10);
    assert_int_equal(loan.released, loan.taken);
}

static void memory_lent_for_ever_needs_no_reference(void **state)
{
    struct fix *f = *state;
    static uint8_t data[2000];

    t_fill(1, 0, data, sizeof data);
    lend_all(&f->pair.a, data, suite.some, NULL);
    suite_receive(&f->pair.b, suite.some);
}

static void lent_memory_is_released_when_aborted(void **state)
{
    struct fix *f = *state;
    struct loan loan = {.ref.release = count_release, .env = &f->env};
    static uint8_t data[300000];
    struct t_conn *a = &f->pair.a;

    for (unsigned i = 0; i < 100; i++) {
        if (conduit_conn_lend(a->conn, data, sizeof data, &loan.ref) > 0) {
            loan.taken++;
        }
    }
    assert_int_equal(loan.released, 0);
    assert_true(loan.taken > 0);
    t_abort(a);
    assert_int_equal(loan.released, 0);
    T_UNTIL(&f->env, loan.released == loan.taken);
}

static void lent_memory_is_released_when_the_peer_aborts(void **state)
{
    struct fix *f = *state;
    struct loan loan = {.ref.release = count_release, .env = &f->env};
    static uint8_t data[300000];
    struct t_conn *a = &f->pair.a;

    for (unsigned i = 0; i < 100; i++) {
        if (conduit_conn_lend(a->conn, data, sizeof data, &loan.ref) > 0) {
            loan.taken++;
        }
        t_turns(&f->env, 1);
    }
    t_abort(&f->pair.b);
    t_turns(&f->env, 10);
    t_close(a);
    T_UNTIL(&f->env, loan.released == loan.taken);
}

static void memory_lent_to_the_finished_is_not_taken(void **state)
{
    struct fix *f = *state;
    struct loan loan = {.ref.release = count_release, .env = &f->env};

    assert_int_equal(conduit_conn_finish(f->pair.a.conn, true), 0);
    assert_int_equal(conduit_conn_lend(f->pair.a.conn, "x", 1, &loan.ref),
                     CONDUIT_ECLOSED);
    t_turns(&f->env, 10);
    assert_int_equal(loan.released, 0);
}

/* ---- draining ----------------------------------------------------------- */

static void drained_comes_once(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;

    t_attach(a, &f->env, a->conn, CONDUIT_DRAINED);
    t_turns(&f->env, 5);
    assert_int_equal(a->count[2], 0); /* nothing was written */
    for (unsigned i = 1; i <= 3; i++) {
        t_want(a, 0);
        suite_send(a, 100);
        t_want(a, CONDUIT_DRAINED);
        T_UNTIL(&f->env, a->count[2] >= i);
        t_turns(&f->env, 10);
        assert_int_equal(a->count[2], i);
    }
    suite_receive(&f->pair.b, 300);
    suite_send(&f->pair.b, 50); /* what is read is flushed too, quietly */
    suite_receive(a, 50);
    (void)conduit_conn_flush(a->conn);
    t_turns(&f->env, 10);
    assert_int_equal(a->count[2], 3);
}

static void drained_waits_until_it_is_wanted(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;

    t_attach(a, &f->env, a->conn, 0);
    suite_send(a, 100);
    T_POLL(&f->env, conduit_conn_flush(a->conn) == 0);
    t_turns(&f->env, 10);
    assert_int_equal(a->count[2], 0);
    t_want(a, CONDUIT_DRAINED);
    T_UNTIL(&f->env, a->count[2] == 1);
}

/* After DRAINED even an abort of this end loses nothing, but for a reset. */
static void drained_means_that_nothing_is_held(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;

    t_attach(a, &f->env, a->conn, 0);
    suite_send(a, suite.some);
    t_want(a, CONDUIT_DRAINED);
    T_UNTIL(&f->env, a->count[2] > 0);
    if ((suite.caps & CONDUIT_CAP_RESET) != 0) {
        suite_delivered(a); /* a reset drops what the system holds */
    }
    t_abort(a);
    suite_receive(&f->pair.b, suite.some);
}

static void written_bytes_go_out_by_themselves(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;

    t_attach(a, &f->env, a->conn, 0); /* wants nothing, flushes nothing */
    suite_send(a, 100);
    suite_receive(&f->pair.b, 100);
    conduit_conn_set_handler(a->conn, NULL, NULL, 0);
    suite_send(a, 100);
    suite_receive(&f->pair.b, 100);
}

/* What the system or a lower layer holds is waited for, not asked for again and
 * again; also when it is to be closed. */
static void a_stuck_writer_does_not_spin(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    uint8_t buf[1000];

    suite_shrink(f);
    t_attach(a, &f->env, a->conn, CONDUIT_WRITE);
    for (int i = 0; i < 20000 && conduit_conn_flush(a->conn) == 0; i++) {
        t_fill(a->out, a->sent, buf, sizeof buf);
        if (conduit_conn_write(a->conn, buf, sizeof buf) < 0) {
            break;
        }
        t_turns(&f->env, 1);
    }
    t_want(a, 0);
    assert_true(suite_sleeps(f, 40 * suite.under));
    t_close(a);
    assert_true(suite_sleeps(f, 40 * suite.under));
}

static void small_writes_are_gathered(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    unsigned before = suite.carrier->packets(a);
    uint8_t c;

    if (suite.under > 0) {
        return; /* whatever is gathered is cut up again */
    }
    while (a->sent < 100) {
        t_fill(a->out, a->sent, &c, 1);
        if (conduit_conn_write(a->conn, &c, 1) == 1) {
            a->sent++;
        }
    }
    suite_receive(&f->pair.b, 100);
    if (suite.carrier->packets != suite_packets_unseen) {
        assert_in_range(suite.carrier->packets(a) - before, 1, 4);
    }
}

/* ---- backpressure ------------------------------------------------------- */

/*
 * Writes until nothing goes any more. The system makes room a while after it
 * said that there is none, so what counts is that the loop comes to rest.
 */
static void fill_up(struct t_conn *a)
{
    unsigned turns = 0;

    a->goal = UINT64_MAX;
    a->push = true;
    t_attach(a, a->env, a->conn, CONDUIT_WRITE);
    for (int i = 0; i < 100; i++) {
        t_turns(a->env, 20);
        turns = t_turns_in(a->env, 50);
        if (turns <= 5) {
            break;
        }
    }
    assert_in_range(turns, 1, 5); /* no room, no hint */
    assert_int_equal(a->send_end, 0);
    assert_in_range(a->sent, 1, 64 * 1024 * 1024);
}

static void a_writer_waits_for_a_slow_reader(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    uint64_t held;

    suite_shrink(f);
    fill_up(a);
    held = a->sent;
    a->goal = held + 5000;
    a->seen = 0;
    b->pull = true;
    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    T_UNTIL(&f->env, b->received == held + 5000);
    assert_true((a->seen & CONDUIT_WRITE) != 0);
}

static void reading_little_makes_room_in_time(void **state)
{
    struct fix *f = *state;
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    uint64_t held;

    suite_shrink(f);
    fill_up(a);
    held = a->sent;
    a->goal = held + suite.some * 5;
    while (b->received < a->goal) {
        uint64_t left = a->goal - b->received;

        suite_receive(b, left < 7000 ? (size_t)left : 7000);
    }
    assert_int_equal(a->sent, a->goal);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(committed_bytes_arrive),
    SUITE_TEST(a_commit_of_nothing_sends_nothing),
    SUITE_TEST(room_that_is_not_used_goes_back),
    SUITE_TEST(segments_are_written_in_order),
    SUITE_TEST(lent_memory_is_released_once_a_call),
    SUITE_TEST(memory_lent_for_ever_needs_no_reference),
    SUITE_TEST(lent_memory_is_released_when_aborted),
    SUITE_TEST(lent_memory_is_released_when_the_peer_aborts),
    SUITE_TEST(memory_lent_to_the_finished_is_not_taken),
    SUITE_TEST(drained_comes_once),
    SUITE_TEST(drained_waits_until_it_is_wanted),
    SUITE_TEST(drained_means_that_nothing_is_held),
    SUITE_TEST(written_bytes_go_out_by_themselves),
    SUITE_TEST(a_stuck_writer_does_not_spin),
    SUITE_TEST(small_writes_are_gathered),
    SUITE_TEST(a_writer_waits_for_a_slow_reader),
    SUITE_TEST(reading_little_makes_room_in_time),
};

const struct part part_writing = {tests, sizeof tests / sizeof tests[0]};
