/* SPDX-License-Identifier: ISC */
/*
 * A peer of vchan that breaks the rules once the connection is open, as a
 * client of our server and as a server of our client: an error on that
 * connection, and on no other.
 */
#include "unix_vchan_raw.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING 4096u

/* Each test is run with the peer on either side. */
#define SIDES(name)                            \
    static void name##_as_client(void **state) \
    {                                          \
        name(*state, CDT_RING_CLIENT);         \
    }                                          \
    static void name##_as_server(void **state) \
    {                                          \
        name(*state, CDT_RING_SERVER);         \
    }
#define TESTS(name) T_TEST(name##_as_client), T_TEST(name##_as_server)

struct meeting {
    struct vrig rig;
    struct vraw raw;
    struct t_conn ours;
};

static void begin(struct meeting *m, struct t_env *env, enum cdt_ring_side side)
{
    vrig_begin(&m->rig, env);
    vrig_meet(&m->rig, side, &m->raw, &m->ours);
}

/* Both go, and nothing is left of them. */
static void part(struct meeting *m)
{
    t_abort(&m->ours);
    vraw_free(&m->raw);
    vrig_is_clean(&m->rig);
}

static void end(struct meeting *m)
{
    part(m);
    vrig_end(&m->rig);
}

static void reads(struct meeting *m)
{
    m->ours.pull = true;
    t_want(&m->ours, m->ours.interest | CONDUIT_READ);
}

static void writes(struct meeting *m, uint64_t n)
{
    m->ours.push = true;
    m->ours.goal += n;
    t_want(&m->ours, m->ours.interest | CONDUIT_WRITE);
}

static void assert_text(const struct meeting *m, int code, const char *text)
{
    struct conduit_error err;

    assert_int_equal(conduit_conn_error(m->ours.conn, &err), code);
    assert_string_equal(err.layer, "vchan");
    if (strstr(err.text, text) == NULL) {
        fail_msg("no '%s' in '%s'", text, err.text);
    }
}

/* Our side reads, and finds the ring broken, for good and both ways. */
static void assert_broken(struct meeting *m, const char *text)
{
    vraw_wake(&m->raw);
    reads(m);
    T_UNTIL(m->rig.env, m->ours.end != 0);
    assert_int_equal(m->ours.end, CONDUIT_EPROTO);
    assert_int_equal(conduit_conn_write(m->ours.conn, "x", 1), CONDUIT_EPROTO);
    assert_text(m, CONDUIT_EPROTO, text);
}

/* So many bytes each way arrive as they were sent. */
static void exchange(struct meeting *m, size_t n)
{
    uint64_t goal = m->raw.read + n;
    uint64_t wanted = m->ours.received + n;

    reads(m);
    writes(m, n);
    while (m->raw.read < goal || m->ours.received < wanted) {
        (void)vraw_read(&m->raw, m->ours.out, (size_t)(goal - m->raw.read));
        if (m->raw.written < wanted) {
            (void)vraw_write(&m->raw, m->ours.in,
                             (size_t)(wanted - m->raw.written));
        }
        vraw_wake(&m->raw);
        t_turn(m->rig.env, 1);
    }
}

static unsigned to_us(const struct meeting *m)
{
    return m->raw.side ^ 1u;
}

static unsigned from_us(const struct meeting *m)
{
    return m->raw.side;
}

/* ---- liveness ----------------------------------------------------------- */

static void liveness_is_nonsense(struct t_env *env, enum cdt_ring_side side)
{
    static const uint8_t values[] = {2, 3, 128, 255};
    struct meeting m;

    begin(&m, env, side);
    for (size_t i = 0; i < sizeof values; i++) {
        if (i > 0) {
            vrig_meet(&m.rig, side, &m.raw, &m.ours);
        }
        vraw_live(&m.raw, values[i]);
        assert_broken(&m, "liveness");
        if (i + 1 < sizeof values) {
            part(&m);
        }
    }
    end(&m);
}
SIDES(liveness_is_nonsense)

/* Who ends, and then is there again, has ended. */
static void a_peer_comes_back(struct t_env *env, enum cdt_ring_side side)
{
    struct meeting m;

    begin(&m, env, side);
    vraw_live(&m.raw, CDT_RING_GONE);
    vraw_wake(&m.raw);
    reads(&m);
    T_UNTIL(env, m.ours.end == CONDUIT_END);
    vraw_live(&m.raw, CDT_RING_CONNECTED);
    (void)vraw_write(&m.raw, m.ours.in, 10);
    vraw_wake(&m.raw);
    t_turns(env, 5);
    assert_int_equal(m.ours.received, 0);
    assert_int_equal(conduit_conn_write(m.ours.conn, "x", 1), CONDUIT_EPIPE);
    end(&m);
}
SIDES(a_peer_comes_back)

/* ---- indices ------------------------------------------------------------ */

static const uint32_t forward[] = {RING + 1, RING + 2, 2 * RING, 0x7fffff00};
static const uint32_t back[] = {0x80000000, 0xffff0000, 0xffffffff};

static void break_prod(struct meeting *m, uint32_t by, const char *text)
{
    (void)vraw_write(&m->raw, m->ours.in, 100);
    vraw_wake(&m->raw);
    reads(m);
    T_UNTIL(m->rig.env, m->ours.received == 100);
    (void)atomic_fetch_add(&m->raw.page->way[to_us(m)].prod, by);
    assert_broken(m, text);
    assert_int_equal(m->ours.received, 100);
}

static void break_cons(struct meeting *m, uint32_t by, const char *text)
{
    writes(m, 100);
    T_POLL(m->rig.env, vraw_read(&m->raw, m->ours.out, 100) == 100);
    reads(m);
    vraw_wake(&m->raw);
    t_turns(m->rig.env, 5); /* we have seen that */
    (void)atomic_fetch_add(&m->raw.page->way[from_us(m)].cons, by);
    assert_broken(m, text);
}

static void break_with(struct t_env *env, enum cdt_ring_side side,
                       void (*with)(struct meeting *m, uint32_t by,
                                    const char *text),
                       const char *too_far, const char *went_back)
{
    struct meeting m;

    vrig_begin(&m.rig, env);
    for (size_t i = 0; i < sizeof forward / sizeof *forward; i++) {
        vrig_meet(&m.rig, side, &m.raw, &m.ours);
        with(&m, forward[i], too_far);
        part(&m);
    }
    for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
        vrig_meet(&m.rig, side, &m.raw, &m.ours);
        with(&m, back[i], went_back);
        part(&m);
    }
    vrig_end(&m.rig);
}

static void more_written_than_fits(struct t_env *env, enum cdt_ring_side side)
{
    break_with(env, side, break_prod, "more than there was room for",
               "wrote went back");
}
SIDES(more_written_than_fits)

static void more_read_than_there_is(struct t_env *env, enum cdt_ring_side side)
{
    break_with(env, side, break_cons, "read more than there was",
               "read went back");
}
SIDES(more_read_than_there_is)

/* What we wrote there ourselves is not asked for again. */
static void our_own_indices_change(struct t_env *env, enum cdt_ring_side side)
{
    struct meeting m;

    begin(&m, env, side);
    exchange(&m, 3 * RING + 5);
    atomic_store(&m.raw.page->way[to_us(&m)].cons, 0x12345678);
    reads(&m);
    (void)atomic_fetch_add(&m.raw.page->way[to_us(&m)].prod, 0);
    m.raw.written = m.ours.received;
    for (size_t i = 0; i < 100; i++) {
        uint64_t had = m.ours.received;

        atomic_store(&m.raw.page->way[to_us(&m)].cons, (uint32_t)had);
        (void)vraw_write(&m.raw, m.ours.in, 50);
        atomic_store(&m.raw.page->way[to_us(&m)].cons, 0x12345678);
        atomic_store(&m.raw.page->way[from_us(&m)].prod, 0x87654321);
        vraw_wake(&m.raw);
        T_UNTIL(env, m.ours.received == had + 50);
    }
    atomic_store(&m.raw.page->way[to_us(&m)].cons, (uint32_t)m.ours.received);
    atomic_store(&m.raw.page->way[from_us(&m)].prod, (uint32_t)m.raw.read);
    exchange(&m, 3 * RING + 5);
    assert_int_equal(m.ours.end, 0);
    end(&m);
}
SIDES(our_own_indices_change)

static void orders_change(struct t_env *env, enum cdt_ring_side side)
{
    static const uint16_t orders[] = {0, 10, 13, 20, 21, 65535};
    struct meeting m;

    begin(&m, env, side);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        atomic_store(&m.raw.page->order[0], orders[i]);
        atomic_store(&m.raw.page->order[1], orders[i]);
        exchange(&m, 2 * RING + 77);
    }
    assert_int_equal(m.ours.end, 0);
    end(&m);
}
SIDES(orders_change)

/* ---- wake-ups ----------------------------------------------------------- */

/* A stranger's descriptor is refused, or closed if it comes: the pipe ends. */
static void wakeups_carry_descriptors(struct t_env *env,
                                      enum cdt_ring_side side)
{
    struct meeting m;
    int pipes[2];
    char byte;

    begin(&m, env, side);
    assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
    for (int i = 0; i < 20; i++) {
        int many[3] = {pipes[1], pipes[1], pipes[1]};

        vraw_send(m.raw.fd, "x", 1, many, 3);
        t_turn(env, 0);
    }
    exchange(&m, RING);
    (void)close(pipes[1]);
    T_POLL(env, read(pipes[0], &byte, 1) == 0);
    (void)close(pipes[0]);
    end(&m);
}
SIDES(wakeups_carry_descriptors)

static unsigned fill_with_wakeups(const struct vraw *v)
{
    unsigned n = 0;

    while (n < 5000 && send(v->fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) {
        n++;
    }
    return n;
}

/*
 * However many there are, a turn takes a bounded part of them, and others are
 * served as without them.
 */
static void wakeups_storm(struct t_env *env, enum cdt_ring_side side)
{
    uint64_t quiet;
    uint64_t turns = 0;
    struct meeting m;

    begin(&m, env, side);
    quiet = vrig_check(&m.rig);
    assert_in_range(fill_with_wakeups(&m.raw), 100, 4999);
    for (int i = 0; i < 50; i++) {
        t_turn(env, 0);
        assert_in_range(fill_with_wakeups(&m.raw), 0, 1000);
    }
    for (int i = 0; i < 10; i++) {
        (void)fill_with_wakeups(&m.raw);
        turns += vrig_check(&m.rig);
    }
    assert_in_range(turns, 0, 10 * (4 * quiet + 100));
    exchange(&m, 2 * RING);
    end(&m);
}
SIDES(wakeups_storm)

/* A peer that never reads its socket does not keep us from writing. */
static void wakeups_are_not_read(struct t_env *env, enum cdt_ring_side side)
{
    int queued = 0;
    int before = -1;
    struct meeting m;

    begin(&m, env, side);
    for (unsigned i = 0; i < 1500; i++) {
        atomic_store(&m.raw.page->notify[from_us(&m)], 3);
        writes(&m, 1);
        T_UNTIL(env, m.ours.sent == m.ours.goal);
        t_turn(env, 0);
        T_POLL(env, vraw_read(&m.raw, m.ours.out, 1) == 1);
        if (i % 100 == 0) {
            before = queued;
            assert_int_equal(ioctl(m.raw.fd, FIONREAD, &queued), 0);
        }
    }
    assert_int_equal(queued, before); /* it was full */
    assert_true(queued > 0);
    exchange(&m, 2 * RING);
    end(&m);
}
SIDES(wakeups_are_not_read)

/* ---- silence and death -------------------------------------------------- */

/* With the ring full we wait, and neither spin nor hang when we close. */
static void a_full_ring_and_silence(struct t_env *env, enum cdt_ring_side side)
{
    uint64_t begun;
    struct meeting m;

    begin(&m, env, side);
    writes(&m, 100000);
    T_UNTIL(env, m.ours.sent == RING);
    t_turns(env, 100);
    assert_int_equal(m.ours.sent, RING);
    assert_in_range(t_turns_in(env, 100), 1, 60);
    (void)vrig_check(&m.rig);
    begun = t_ms();
    t_close(&m.ours);
    T_POLL(env, atomic_load(&m.raw.page->live[to_us(&m) ^ 1]) == 0);
    assert_true(t_ms() - begun < 5000);
    assert_int_equal(vraw_read(&m.raw, m.ours.out, 100000), RING);
    end(&m);
}
SIDES(a_full_ring_and_silence)

static void the_socket_ends_alone(struct t_env *env, enum cdt_ring_side side)
{
    struct meeting m;

    begin(&m, env, side);
    (void)vraw_write(&m.raw, m.ours.in, 1000);
    vraw_hang_up(&m.raw);
    T_UNTIL(env, m.ours.count[4] != 0); /* ERR */
    reads(&m);
    T_UNTIL(env, m.ours.end != 0);
    assert_int_equal(m.ours.received, 1000);
    assert_int_equal(m.ours.end, CONDUIT_ETRUNCATED);
    assert_text(&m, CONDUIT_ETRUNCATED, "gone without having ended");
    assert_int_equal(conduit_conn_write(m.ours.conn, "x", 1), CONDUIT_EPIPE);
    end(&m);
}
SIDES(the_socket_ends_alone)

/* As when a process is killed with wake-ups in its queue: a reset. */
static void the_socket_is_reset(struct t_env *env, enum cdt_ring_side side)
{
    struct meeting m;

    begin(&m, env, side);
    atomic_store(&m.raw.page->notify[from_us(&m)], 3);
    writes(&m, 10);
    T_UNTIL(env, m.ours.sent == 10);
    t_turns(env, 2);
    (void)vraw_write(&m.raw, m.ours.in, 1000);
    vraw_hang_up(&m.raw);
    reads(&m);
    T_UNTIL(env, m.ours.end != 0);
    assert_int_equal(m.ours.received, 1000);
    assert_int_equal(m.ours.end, CONDUIT_ETRUNCATED);
    end(&m);
}
SIDES(the_socket_is_reset)

static void an_end_in_order(struct t_env *env, enum cdt_ring_side side)
{
    struct meeting m;

    begin(&m, env, side);
    (void)vraw_write(&m.raw, m.ours.in, 1000);
    vraw_live(&m.raw, CDT_RING_GONE);
    vraw_hang_up(&m.raw);
    reads(&m);
    T_UNTIL(env, m.ours.end != 0);
    assert_int_equal(m.ours.received, 1000);
    assert_int_equal(m.ours.end, CONDUIT_END);
    assert_int_equal(conduit_conn_write(m.ours.conn, "x", 1), CONDUIT_EPIPE);
    end(&m);
}
SIDES(an_end_in_order)

/* Bytes before what is broken are read; what comes after is not looked at. */
static void bytes_before_a_breach(struct t_env *env, enum cdt_ring_side side)
{
    struct meeting m;

    begin(&m, env, side);
    (void)vraw_write(&m.raw, m.ours.in, 1000);
    m.ours.limit = 10;
    vraw_wake(&m.raw);
    reads(&m);
    T_UNTIL(env, m.ours.received == 10);
    (void)atomic_fetch_add(&m.raw.page->way[to_us(&m)].prod, 0x40000000);
    m.ours.limit = 0;
    t_want(&m.ours, CONDUIT_READ);
    T_UNTIL(env, m.ours.end != 0);
    assert_int_equal(m.ours.received, 1000);
    assert_int_equal(m.ours.end, CONDUIT_EPROTO);
    end(&m);
}
SIDES(bytes_before_a_breach)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TESTS(liveness_is_nonsense),      TESTS(a_peer_comes_back),
        TESTS(more_written_than_fits),    TESTS(more_read_than_there_is),
        TESTS(our_own_indices_change),    TESTS(orders_change),
        TESTS(wakeups_carry_descriptors), TESTS(wakeups_storm),
        TESTS(wakeups_are_not_read),      TESTS(a_full_ring_and_silence),
        TESTS(the_socket_ends_alone),     TESTS(the_socket_is_reset),
        TESTS(an_end_in_order),           TESTS(bytes_before_a_breach),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
