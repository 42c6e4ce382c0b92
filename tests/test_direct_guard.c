/* SPDX-License-Identifier: ISC */
/*
 * What a peer can do to the stack in the process that would stop it, or lose
 * bytes, were lwIP left to itself: small windows at the wrong moment, sizes
 * that change, segments that overrun the window, a reset behind the end.
 */
#include "test_direct_wire.h"

/* What of the peer's stream is acknowledged. */
static void follow(struct peer *p)
{
    if ((int32_t)(p->in.ack - p->seq) > 0) {
        p->seq = p->in.ack;
    }
}

static void hear_out(struct peer *p)
{
    while (next(p) == SEGMENT) {
        follow(p);
    }
}

/* The peer's stream, up to a place, in order. */
static void send_up_to(struct peer *p, size_t end)
{
    size_t at = p->seq - p->first;

    while (at < end) {
        size_t n = end - at < PAYLOAD_MAX ? end - at : PAYLOAD_MAX;

        send_bytes(p, at, n);
        t_turns(p->env, 1);
        hear_out(p);
        at += n;
    }
}

static void hold(struct t_conn *c)
{
    c->pull = false;
    t_want(c, 0);
}

static void go_on(struct t_conn *c)
{
    c->pull = true;
    t_want(c, CONDUIT_READ);
}

/* How far the stack lets the peer send, before it has sent anything. */
static size_t window_of(struct peer *p, struct t_conn *c)
{
    say(c, 1);
    take_up_to(p, c->sent);
    assert_int_equal(p->in.ack, p->first);
    return p->in.window;
}

/* The next acknowledgment that opens the window, while no timer fires. */
static void hear_it_open(struct peer *p)
{
    p->in.window = 0;
    do {
        hear(p);
        follow(p);
    } while (p->in.window == 0);
}

/* A smaller window counts with what it acknowledges only. */
static void narrow(struct peer *p, struct t_conn *c, unsigned window)
{
    say(c, 1);
    hear(p);
    take(p);
    p->window = window;
    acknowledge(p);
    hear_nothing(p);
}

/* ---- small windows ------------------------------------------------------- */

/* The window has room for a part of the last segment: the end comes behind all
 * of it. */
static void the_end_is_not_on_a_part(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    uint64_t sent;

    connect_peer(p, *state, &s, &c, false);
    warm_up(p, &c);
    narrow(p, &c, 300);
    say(&c, 800);
    sent = c.sent;
    t_close(&c);
    hear_nothing(p);
    hear_in_time(p);
    assert_int_equal(p->in.size, 300);
    assert_int_equal(p->in.flags & FIN, 0);
    take(p);
    p->window = WINDOW;
    acknowledge(p);
    end_too(p, &s, sent);
}

/* A probe of the shut window is all that there was to say. */
static void a_probe_may_be_taken(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, env, &s, &c, false);
    warm_up(p, &c);
    narrow(p, &c, 0);
    say(&c, 1);
    hear_nothing(p);
    hear_in_time(p);
    assert_int_equal(p->in.size, 1);
    take(p);
    acknowledge(p);
    hear_nothing(p);
    let_pass(env, 3000);
    p->window = WINDOW;
    acknowledge(p);
    talk(p, &c);
    end(p, &s, &c);
}

/* Segments have the size that was agreed on, to the end. */
static void end_by_whole_ones(struct peer *p, struct t_server *s,
                              struct t_conn *c)
{
    say(c, 3 * (size_t)MSS);
    hear(p);
    assert_int_equal(p->in.size, MSS);
    take(p);
    acknowledge(p);
    take_up_to(p, c->sent);
    end(p, s, c);
}

/* Who answers probes, that there is no room, is there: RFC 9293 section
 * 3.8.6.1. */
static void a_window_may_stay_shut(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, *state, &s, &c, false);
    warm_up(p, &c);
    narrow(p, &c, 0);
    say(&c, 500);
    for (unsigned i = 0; i < 30; i++) {
        hear_in_time(p);
        assert_int_equal(p->in.size, 1);
        acknowledge(p);
    }
    p->window = WINDOW;
    acknowledge(p);
    take_up_to(p, c.sent);
    talk(p, &c);
    end(p, &s, &c);
}

/* Sizes are agreed on when a connection begins. */
static void a_size_in_the_middle_is_ignored(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, *state, &s, &c, false);
    warm_up(p, &c);
    narrow(p, &c, 300);
    say(&c, 800);
    p->option = 0x02040001; /* MSS 1 */
    acknowledge(p);
    p->option = 0;
    hear_nothing(p);
    say(&c, 100);
    hear_nothing(p);
    p->window = WINDOW;
    acknowledge(p);
    hear(p);
    assert_true(p->in.size >= 800);
    take(p);
    acknowledge(p);
    take_up_to(p, c.sent);
    end_by_whole_ones(p, &s, &c);
}

/* Nor are they changed by the SYN that began it, when that comes again. */
static void the_first_size_counts(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    make_peer(p, *state, &s, NULL, false);
    send_segment(p, SYN, p->seq, NULL, 0);
    hear(p);
    p->mss = 1;
    begin(p, &s, &c);
    end_by_whole_ones(p, &s, &c);
}

/* ---- too much ------------------------------------------------------------ */

static void early_bytes_may_not_overrun(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    size_t window;

    connect_peer(p, env, &s, &c, false);
    window = window_of(p, &c);
    hold(&c);
    send_bytes(p, window - 1, 2);
    t_turns(env, 1);
    send_up_to(p, window - 1);
    hear_nothing(p);
    go_on(&c);
    T_POLL(env, c.received == window - 1);
    hear_out(p);
    send_up_to(p, window + 1);
    T_POLL(env, c.received == window + 1);
    hear_out(p);
    hear_in_time(p);
    follow(p);
    talk(p, &c);
    end(p, &s, &c);
}

/* What contradicts an end that came early is not taken, and does no harm. */
static void bytes_beyond_an_early_end(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    size_t window;

    connect_peer(p, env, &s, &c, false);
    window = window_of(p, &c);
    hold(&c);
    send_segment(p, ACK | FIN, p->first + (uint32_t)window - 10, NULL, 0);
    t_turns(env, 1);
    send_up_to(p, window);
    hear_out(p);
    go_on(&c);
    t_turns(env, 3);
    hear_out(p);
    assert_true(p->seq - p->first < window);
    send_segment(p, RST, p->seq, NULL, 0);
    T_POLL(env, c.end != 0);
    leave(p, &s, &c);
}

static void an_early_end_counts_for_the_window(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    size_t window;

    connect_peer(p, env, &s, &c, false);
    window = window_of(p, &c);
    hold(&c);
    send_segment(p, ACK | FIN, p->first + (uint32_t)window, NULL, 0);
    send_segment(p, ACK | FIN, p->first + (uint32_t)window - 1, "x", 1);
    t_turns(env, 1);
    send_up_to(p, window);
    hear_nothing(p);
    go_on(&c);
    T_POLL(env, c.received == window);
    assert_int_equal(c.end, 0);
    hear_out(p);
    send_segment(p, ACK | FIN, p->seq, NULL, 0);
    T_POLL(env, c.end != 0);
    assert_int_equal(c.end, CONDUIT_END);
    t_close(&c);
    take_up_to(p, 2); /* a byte, and the end */
    leave(p, &s, &c);
}

/* ---- windows that open --------------------------------------------------- */

/* Without scaling the window is smaller than what lwIP has updates for. */
static void reading_opens_a_small_window(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    size_t window;

    connect_peer(p, env, &s, &c, false);
    window = window_of(p, &c);
    hold(&c);
    send_up_to(p, window);
    while (p->seq - p->first != window) {
        hear_in_time(p);
        follow(p);
    }
    go_on(&c);
    hear_it_open(p);
    T_POLL(env, c.received == window);
    talk(p, &c);
    end(p, &s, &c);
}

/* Who closes throws away what comes, and says that there is room for more: the
 * peer may not read before it has written. */
static void closing_opens_the_window(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    size_t window;
    uint64_t sent;

    connect_peer(p, env, &s, &c, false);
    window = window_of(p, &c);
    hold(&c);
    narrow(p, &c, 0);
    say(&c, 100);
    sent = c.sent;
    send_up_to(p, window);
    hear_nothing(p);
    t_close(&c);
    hear_it_open(p);
    p->window = WINDOW;
    acknowledge(p);
    end_too(p, &s, sent);
}

/* ---- the end ------------------------------------------------------------- */

static void a_reset_behind_the_end_takes_nothing(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, env, &s, &c, false);
    hold(&c);
    send_up_to(p, 500);
    send_segment(p, ACK | FIN, p->first + 500, NULL, 0);
    hear_in_time(p);
    assert_int_equal(p->in.ack, p->first + 501);
    say(&c, 10);
    hear(p);
    send_segment(p, RST, p->first + 501, NULL, 0);
    T_POLL(env, (c.seen & CONDUIT_ERR) != 0);
    go_on(&c);
    T_POLL(env, c.end != 0);
    assert_int_equal(c.end, CONDUIT_END);
    assert_int_equal(c.received, 500);
    assert_int_equal(conduit_conn_write(c.conn, "x", 1), CONDUIT_ERESET);
    leave(p, &s, &c);
}

static void a_peer_that_vanishes_behind_its_end(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, env, &s, &c, false);
    hold(&c);
    send_up_to(p, 500);
    send_segment(p, ACK | FIN, p->first + 500, NULL, 0);
    hear_in_time(p);
    say(&c, 10);
    for (int i = 0; i < 100000 && (c.seen & CONDUIT_ERR) == 0; i++) {
        now += 50 * MS; /* a tick of lwIP's */
        t_turns(env, 1);
    }
    assert_true((c.seen & CONDUIT_ERR) != 0);
    go_on(&c);
    T_POLL(env, c.end != 0);
    assert_int_equal(c.end, CONDUIT_END);
    assert_int_equal(c.received, 500);
    assert_int_equal(conduit_conn_write(c.conn, "x", 1), CONDUIT_ETIMEDOUT);
    leave(p, &s, &c);
}

static void all_that_was_said_is_known_to_be_there(void **state)
{
    struct t_env *env = *state;
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    size_t unacked = 0;

    connect_peer(p, env, &s, &c, false);
    say(&c, 300);
    assert_int_equal(conduit_conn_finish(c.conn, false), 0);
    take_up_to(p, c.sent + 1);
    hear_nothing(p);
    assert_int_equal(
        conduit_conn_query(c.conn, CONDUIT_QUERY_UNACKED, &unacked), 0);
    assert_int_equal(unacked, 0);
    send_segment(p, ACK | FIN, p->seq++, NULL, 0);
    T_POLL(env, c.end == CONDUIT_END);
    t_close(&c);
    hear(p);
    assert_int_equal(p->in.ack, p->seq);
    hear_nothing(p);
    leave(p, &s, &c);
}

/* ---- the program --------------------------------------------------------- */

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(the_end_is_not_on_a_part),
        T_TEST(a_probe_may_be_taken),
        T_TEST(a_window_may_stay_shut),
        T_TEST(a_size_in_the_middle_is_ignored),
        T_TEST(the_first_size_counts),
        T_TEST(early_bytes_may_not_overrun),
        T_TEST(bytes_beyond_an_early_end),
        T_TEST(an_early_end_counts_for_the_window),
        T_TEST(reading_opens_a_small_window),
        T_TEST(closing_opens_the_window),
        T_TEST(a_reset_behind_the_end_takes_nothing),
        T_TEST(a_peer_that_vanishes_behind_its_end),
        T_TEST(all_that_was_said_is_known_to_be_there),
    };

    if (!t_net_for_direct(NET, &(struct t_net_tap){0})) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
