/* SPDX-License-Identifier: ISC */
/*
 * Segments of many packets, which the device cuts, and of which a path may lose
 * a part each time: they are cut by the stack then. With Nagle's algorithm, by
 * which short ones wait behind them.
 */
#include "test_direct_wire.h"

#define PIECE 1460u
#define LARGE 20000u

static const struct conduit_options with_nagle = {.nagle = true};

/* Several at a time, until a segment has room for all of LARGE. */
static void grow(struct peer *p, struct t_conn *c)
{
    for (unsigned i = 0; i < 3; i++) {
        say(c, 2 * (size_t)LARGE);
        take_up_to(p, c->sent);
    }
}

static void connect_large(struct peer *p, struct t_env *env, struct t_server *s,
                          struct t_conn *c)
{
    make_peer(p, env, s, &with_nagle, false);
    p->mss = PIECE;
    p->device = true;
    begin(p, s, c);
    grow(p, c);
}

static void hear_large(struct peer *p, struct t_conn *c)
{
    say(c, LARGE);
    hear(p);
    assert_int_equal(p->in.size, LARGE);
}

/* Sent again, as a whole, as often as it takes until it is cut. */
static void hear_it_in_vain(struct peer *p)
{
    for (unsigned i = 0; i < 2; i++) {
        hear_in_time(p);
        assert_int_equal(p->in.size, LARGE);
    }
}

static void what_does_not_get_through_is_cut(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_large(p, *state, &s, &c);
    hear_large(p, &c);
    say(&c, 100); /* waits */
    hear_nothing(p);
    hear_it_in_vain(p);
    hear_in_time(p);
    assert_int_equal(p->in.size, PIECE);
    say(&c, 100);
    take(p);
    acknowledge(p);
    take_up_to(p, c.sent);
    end(p, &s, &c);
}

/* The peer has a part of it, which is not sent again once it is cut. */
static void what_got_through_is_not_sent_again(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    uint32_t had = 7000;

    connect_large(p, *state, &s, &c);
    hear_large(p, &c);
    memset(p->got + (p->ack - p->first_ours), true, had);
    p->ack += had;
    acknowledge(p);
    hear_nothing(p);
    hear_it_in_vain(p);
    hear_in_time(p);
    assert_int_equal(p->in.seq, p->ack);
    assert_int_equal(p->in.size, PIECE);
    take(p);
    acknowledge(p);
    take_up_to(p, c.sent);
    end(p, &s, &c);
}

/* Other losses are no reason to make smaller ones. */
static void short_ones_that_are_lost_change_nothing(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_large(p, *state, &s, &c);
    for (unsigned round = 0; round < 3; round++) {
        say(&c, 100);
        hear(p);
        say(&c, 100); /* waits, with room behind it */
        for (unsigned i = 0; i < 3; i++) {
            hear_in_time(p);
            assert_int_equal(p->in.size, 100);
        }
        say(&c, 100);
        take(p);
        acknowledge(p);
        grow(p, &c);
    }
    hear_large(p, &c);
    take(p);
    acknowledge(p);
    end(p, &s, &c);
}

/* Nothing comes that would be worth waiting for. */
static void the_end_does_not_wait_for_more(void **state)
{
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;
    uint64_t sent;

    connect_large(p, *state, &s, &c);
    say(&c, 10);
    hear(p);
    take(p);
    say(&c, 10);
    hear_nothing(p);
    sent = c.sent;
    t_close(&c);
    hear(p);
    assert_int_equal(p->in.size, 10);
    take(p);
    hear(p);
    assert_int_equal(p->in.flags & FIN, FIN);
    take(p);
    acknowledge(p);
    end_too(p, &s, sent);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(what_does_not_get_through_is_cut),
        T_TEST(what_got_through_is_not_sent_again),
        T_TEST(short_ones_that_are_lost_change_nothing),
        T_TEST(the_end_does_not_wait_for_more),
    };

    if (!t_net_for_direct(NET_OFFLOAD, &(struct t_net_tap){0})) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
