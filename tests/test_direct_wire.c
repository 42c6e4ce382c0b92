/* SPDX-License-Identifier: ISC */
/*
 * The stack in the process against a peer that does what no kernel does when it
 * is asked to: shuts its window over what is in flight, loses what it likes,
 * forges, and sends in any order.
 */
#include "test_direct_wire.h"

#include <errno.h>

/* ---- what is sent again -------------------------------------------------- */

#define FLIGHT 8u

static void send_flight(struct peer *p, struct t_conn *c, size_t size)
{
    for (unsigned i = 0; i < FLIGHT; i++) {
        say(c, size);
        hear(p);
        assert_int_equal(p->in.size, size);
        if (i == 0) {
            take(p);
        }
    }
}

/*
 * Fast retransmission while the window is shut, with more written behind it.
 * `probe`: the timer fires before the window opens again.
 */
static void send_again(struct t_env *env, size_t size, bool probe)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, env, &s, &c, false);
    warm_up(p, &c);
    send_flight(p, &c, size);
    p->window = 0;
    for (unsigned i = 0; i < 5; i++) {
        acknowledge(p);
    }
    hear_nothing(p);
    for (unsigned i = 0; i < 3; i++) {
        say(&c, MSS + 300);
        hear_nothing(p);
    }
    if (probe) {
        hear_in_time(p);
        assert_int_equal(p->in.seq, p->ack);
        assert_int_equal(p->in.size, 1);
    }
    p->window = WINDOW;
    acknowledge(p);
    take_up_to(p, c.sent);
    end(p, &s, &c);
}

static void what_was_sent_again_stays_in_place(void **state)
{
    send_again(*state, MSS, true);
}

static void nothing_is_added_to_what_was_sent_again(void **state)
{
    send_again(*state, MSS / 2, false);
}

static void the_timer_sends_it_in_order(void **state)
{
    send_again(*state, MSS / 2, true);
}

static void a_window_opens_before_the_timer(void **state)
{
    send_again(*state, MSS, false);
}

static void a_lost_segment_comes_again(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, *state, &s, &c, false);
    warm_up(p, &c);
    say(&c, FLIGHT * (size_t)MSS);
    for (unsigned i = 0; i < FLIGHT; i++) {
        hear(p);
        if (i != 2) {
            take(p);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        acknowledge(p); /* the first acknowledges something */
        hear_nothing(p);
    }
    acknowledge(p);
    hear(p);
    assert_int_equal(p->in.seq, p->ack);
    assert_int_equal(p->in.size, MSS);
    acknowledge(p);
    hear_nothing(p); /* once */
    take(p);
    acknowledge(p);
    assert_int_equal(p->ack - p->first_ours, c.sent);
    hear_nothing(p);
    end(p, &s, &c);
}

/* ---- what is not to be believed ------------------------------------------ */

static void answers_with_its_place(struct peer *p)
{
    hear(p);
    assert_int_equal(p->in.flags, ACK);
    assert_int_equal(p->in.ack, p->seq);
    assert_int_equal(p->in.size, 0);
}

static void an_old_or_forged_reset_is_ignored(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, *state, &s, &c, false);
    talk(p, &c);
    send_segment(p, RST | ACK, p->seq - 1, NULL, 0);
    send_segment(p, RST, p->seq - WINDOW, NULL, 0);
    send_segment(p, RST, p->seq + 0x10000, NULL, 0);
    p->spoil = true;
    send_segment(p, RST, p->seq, NULL, 0);
    p->spoil = false;
    hear_nothing(p);
    talk(p, &c);
    /* RFC 5961: within the window, but not exact. */
    send_segment(p, RST, p->seq + 1, NULL, 0);
    answers_with_its_place(p);
    send_segment(p, RST, p->seq + WINDOW / 2, NULL, 0);
    answers_with_its_place(p);
    send_segment(p, SYN, p->seq + 1, NULL, 0);
    answers_with_its_place(p);
    talk(p, &c);
    assert_int_equal(c.end, 0);
    send_segment(p, RST, p->seq, NULL, 0);
    T_POLL(p->env, c.end != 0);
    assert_int_equal(c.end, CONDUIT_ERESET);
    t_close(&c);
    hear_nothing(p);
    (void)close(p->fd);
    t_unlisten(&s);
}

static void wrong_checksums_are_not_taken(void **state)
{
    static const uint8_t wrong[100];
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, *state, &s, &c, false);
    p->spoil = true;
    send_segment(p, ACK | PSH, p->seq, wrong, sizeof wrong);
    send_segment(p, ACK | FIN, p->seq, NULL, 0);
    p->spoil = false;
    hear_nothing(p);
    talk(p, &c);
    end(p, &s, &c);
}

/* ---- in any order -------------------------------------------------------- */

#define ROUND 30000u /* less than half of the window */
#define ROUNDS (TOTAL / ROUND)
#define OVERLAP 300u

struct piece {
    size_t at;
    size_t size;
};

static size_t cut(struct piece *pieces, size_t from, uint64_t *seed)
{
    size_t end = from + ROUND;
    size_t n = 0;

    while (from < end) {
        size_t size = t_range(seed, 1, PAYLOAD_MAX - 2 * OVERLAP);
        size_t before = t_range(seed, 0, OVERLAP);
        size_t after = t_range(seed, 0, OVERLAP);
        size_t at = before < from ? from - before : 0;

        size = size < end - from ? size : end - from;
        from += size;
        after = after < end - from ? after : end - from;
        pieces[n++] = (struct piece){at, from + after - at};
    }
    return n;
}

static void shuffle(struct piece *pieces, size_t n, uint64_t *seed)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = t_range(seed, 0, i - 1);
        struct piece piece = pieces[j];

        pieces[j] = pieces[i - 1];
        pieces[i - 1] = piece;
    }
}

static void were_given(const struct peer *p, uint32_t from, uint32_t to)
{
    assert_true(from - p->first <= TOTAL && to - p->first <= TOTAL);
    assert_true(to - from <= TOTAL);
    for (; from != to; from++) {
        assert_true(p->given[from - p->first]);
    }
}

/* Nothing is acknowledged that was not sent, as a whole or by SACK. */
static void check_acknowledgment(struct peer *p)
{
    const uint8_t *o = p->in.options;
    const uint8_t *after = o + p->in.options_size;

    assert_true((int32_t)(p->in.ack - p->seq) >= 0);
    were_given(p, p->seq, p->in.ack);
    p->seq = p->in.ack;
    while (o < after && o[0] != 0) {
        if (o[0] == 1) {
            o++;
            continue;
        }
        assert_true(o + 1 < after && o[1] >= 2 && o[1] <= after - o);
        for (size_t i = 2; o[0] == 5 && i + 8 <= o[1]; i += 8) {
            were_given(p, get32(o + i), get32(o + i + 4));
        }
        o += o[1];
    }
}

static void hear_acknowledgments(struct peer *p)
{
    while (next(p) == SEGMENT) {
        check_acknowledgment(p);
    }
}

/* Sends what the stack dropped, being free to. */
static void fill_up(struct peer *p, const struct t_conn *c, size_t end,
                    uint64_t *seed)
{
    while (c->received < end) {
        uint64_t received = c->received;
        size_t n = t_range(seed, 1, PAYLOAD_MAX);

        send_bytes(p, received, n < end - received ? n : end - received);
        T_POLL(p->env, c->received > received);
        hear_acknowledgments(p);
    }
    while (p->seq - p->first != end) {
        hear_in_time(p);
        check_acknowledgment(p);
    }
}

static void in_any_order(struct t_env *env, bool sack)
{
    static struct piece pieces[ROUND];
    struct peer *p = &peer;
    uint64_t seed = sack ? 11 : 7;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, env, &s, &c, sack);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t n = cut(pieces, round * ROUND, &seed);

        shuffle(pieces, n, &seed);
        for (size_t i = 0; i < n; i++) {
            send_bytes(p, pieces[i].at, pieces[i].size);
            t_turns(env, 1);
            hear_acknowledgments(p);
        }
        fill_up(p, &c, (round + 1) * ROUND, &seed);
    }
    assert_int_equal(c.received, TOTAL);
    end(p, &s, &c);
}

static void segments_in_any_order(void **state)
{
    in_any_order(*state, false);
}

static void segments_in_any_order_with_sack(void **state)
{
    in_any_order(*state, true);
}

/* ---- the program --------------------------------------------------------- */

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(what_was_sent_again_stays_in_place),
        T_TEST(nothing_is_added_to_what_was_sent_again),
        T_TEST(the_timer_sends_it_in_order),
        T_TEST(a_window_opens_before_the_timer),
        T_TEST(a_lost_segment_comes_again),
        T_TEST(an_old_or_forged_reset_is_ignored),
        T_TEST(wrong_checksums_are_not_taken),
        T_TEST(segments_in_any_order),
        T_TEST(segments_in_any_order_with_sack),
    };

    if (!t_net_for_direct(NET, &(struct t_net_tap){0})) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
