/* SPDX-License-Identifier: ISC */
/*
 * Much of everything: large transfers both ways at once, and random operations
 * on both ends compared with a model, which is two positions in each of two
 * streams. Seeds are fixed, and in the names of the tests.
 */
#include "conformance.h"

struct mover {
    struct fix *fix;
    uint64_t random;
    size_t most; /* bytes of one call */
};

static void move(struct t_conn *t, unsigned events)
{
    struct mover *m = t->arg;
    long n = 0;

    if ((events & CONDUIT_READ) != 0) {
        for (int i = 0; i < 50 && n >= 0; i++) {
            n = suite_read_some(t, &m->random, m->most);
        }
        if (n < 0 && n != CONDUIT_AGAIN) {
            t->end = (int)n;
            t_want(t, t->interest & ~(unsigned)CONDUIT_READ);
        }
    }
    if ((events & CONDUIT_WRITE) != 0) {
        n = 0;
        for (int i = 0; i < 50 && n >= 0 && t->sent < t->goal; i++) {
            n = suite_write_some(m->fix, t, &m->random, m->most);
        }
        if (n < 0 && n != CONDUIT_AGAIN) {
            t->send_end = (int)n;
        }
        if (t->sent >= t->goal || t->send_end != 0) {
            t_want(t, t->interest & ~(unsigned)CONDUIT_WRITE);
        }
    }
}

static void transfer(struct fix *f, uint64_t a_to_b, uint64_t b_to_a,
                     size_t most)
{
    struct t_conn *a = &f->pair.a;
    struct t_conn *b = &f->pair.b;
    size_t at_most = suite.layers == 0 ? most : 64; /* more is cut anyway */
    struct mover ma = {.fix = f, .random = 101, .most = at_most};
    struct mover mb = {.fix = f, .random = 202, .most = at_most};

    a->goal = a_to_b;
    b->goal = b_to_a;
    a->arg = &ma;
    b->arg = &mb;
    a->hook = move;
    b->hook = move;
    t_attach(a, &f->env, a->conn, CONDUIT_READ | CONDUIT_WRITE);
    t_attach(b, &f->env, b->conn, CONDUIT_READ | CONDUIT_WRITE);
    T_UNTIL(&f->env, (a->sent >= a_to_b && b->sent >= b_to_a &&
                      a->received == b->sent && b->received == a->sent) ||
                         a->end != 0 || b->end != 0 || a->send_end != 0 ||
                         b->send_end != 0);
    assert_int_equal(a->end, 0);
    assert_int_equal(b->end, 0);
    assert_int_equal(a->send_end, 0);
    assert_int_equal(b->send_end, 0);
    assert_int_equal(a->received, b->sent);
    assert_int_equal(b->received, a->sent);
    t_disconnect(&f->pair);
    assert_string_equal(f->env.log, "");
}

static void much_goes_one_way(void **state)
{
    transfer(*state, suite.much, 0, 60000);
}

static void much_goes_both_ways_at_once(void **state)
{
    transfer(*state, suite.much, suite.much, 60000);
}

static void much_goes_in_small_pieces(void **state)
{
    transfer(*state, suite.much / 20, suite.much / 30, 50);
}

static void many_connections_at_once(void **state)
{
    struct fix *f = *state;
    struct t_pair pairs[20];
    size_t each = suite.much / 100;

    for (size_t i = 0; i < 20; i++) {
        suite_connect(f, &pairs[i], NULL);
        pairs[i].a.goal = each;
        pairs[i].b.goal = each;
        pairs[i].a.push = pairs[i].a.pull = true;
        pairs[i].b.push = pairs[i].b.pull = true;
        t_attach(&pairs[i].a, &f->env, pairs[i].a.conn,
                 CONDUIT_READ | CONDUIT_WRITE);
        t_attach(&pairs[i].b, &f->env, pairs[i].b.conn,
                 CONDUIT_READ | CONDUIT_WRITE);
    }
    for (size_t i = 0; i < 20; i++) {
        T_UNTIL(&f->env,
                pairs[i].a.received == each && pairs[i].b.received == each);
    }
    for (size_t i = 0; i < 20; i++) {
        t_close(&pairs[i].a);
        t_close(&pairs[i].b);
    }
}

/* ---- the model ---------------------------------------------------------- */

struct model {
    struct fix *fix;
    uint64_t random;
    bool ended[2];   /* finish was called at this end */
    bool saw_end[2]; /* and the other end read END */
};

/* What the model says of an answer to a read at `t`, whose peer is `peer`. */
static void check_read(struct model *m, struct t_conn *t, struct t_conn *peer,
                       unsigned end, long got)
{
    assert_true(t->received <= peer->sent);
    if (got == CONDUIT_END) {
        assert_true(m->ended[1 - end]);
        assert_int_equal(t->received, peer->sent);
        m->saw_end[end] = true;
    } else {
        assert_true(got > 0 || got == CONDUIT_AGAIN);
        assert_false(m->saw_end[end] && got != CONDUIT_END);
    }
}

static void step(struct model *m)
{
    unsigned end = t_random(&m->random) % 2;
    struct t_conn *t = end == 0 ? &m->fix->pair.a : &m->fix->pair.b;
    struct t_conn *peer = end == 0 ? &m->fix->pair.b : &m->fix->pair.a;
    long n;

    switch (t_random(&m->random) % 10) {
    case 0:
    case 1:
    case 2:
        n = suite_write_some(m->fix, t, &m->random, 3000);
        assert_true(m->ended[end] ? n == CONDUIT_ECLOSED
                                  : n > 0 || n == CONDUIT_AGAIN);
        break;
    case 3:
    case 4:
    case 5:
        n = suite_read_some(t, &m->random, 4000);
        check_read(m, t, peer, end, n);
        break;
    case 6:
        n = conduit_conn_flush(t->conn);
        assert_true(n == 0 || n == CONDUIT_AGAIN);
        break;
    case 7:
        t_want(t, t_random(&m->random) & 7);
        break;
    case 8:
        conduit_conn_set_handler(t->conn, NULL, NULL, 0);
        t_attach(t, &m->fix->env, t->conn, t_random(&m->random) & 7);
        break;
    default:
        t_turns(&m->fix->env, 1);
        break;
    }
}

static long read_more(struct model *m, unsigned end)
{
    struct t_conn *t = end == 0 ? &m->fix->pair.a : &m->fix->pair.b;
    struct t_conn *peer = end == 0 ? &m->fix->pair.b : &m->fix->pair.a;
    long n = suite_read_some(t, &m->random, 4000);

    check_read(m, t, peer, end, n);
    return n;
}

static void read_the_rest(struct model *m)
{
    for (unsigned end = 0; end < 2; end++) {
        T_POLL(&m->fix->env, read_more(m, end) == CONDUIT_END);
    }
}

static void run_model(struct fix *f, uint64_t seed)
{
    struct model m = {.fix = f, .random = seed};
    struct t_conn *ends[2] = {&f->pair.a, &f->pair.b};
    unsigned steps = suite.layers == 0 ? 4000 : 8000;
    bool half = (suite.caps & CONDUIT_CAP_HALF_CLOSE) != 0;

    for (unsigned i = 0; i < 2; i++) {
        t_attach(ends[i], &f->env, ends[i]->conn, 0);
    }
    for (unsigned i = 0; i < steps; i++) {
        if (half && i >= steps / 2 && t_random(&m.random) % 500 == 0) {
            unsigned end = t_random(&m.random) % 2;

            assert_int_equal(conduit_conn_finish(ends[end]->conn, false), 0);
            m.ended[end] = true;
        }
        step(&m);
    }
    if (half) {
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(conduit_conn_finish(ends[i]->conn, false), 0);
            m.ended[i] = true;
        }
        read_the_rest(&m);
    }
}

#define MODEL(name, seed)          \
    static void name(void **state) \
    {                              \
        run_model(*state, seed);   \
    }

MODEL(random_operations_seed_1, 1)
MODEL(random_operations_seed_2, 2)
MODEL(random_operations_seed_3, 3)
MODEL(random_operations_seed_4, 4)
MODEL(random_operations_seed_5, 5)

static const struct CMUnitTest tests[] = {
    SUITE_TEST(much_goes_one_way),
    SUITE_TEST(much_goes_both_ways_at_once),
    SUITE_TEST(much_goes_in_small_pieces),
    SUITE_TEST(many_connections_at_once),
    SUITE_TEST(random_operations_seed_1),
    SUITE_TEST(random_operations_seed_2),
    SUITE_TEST(random_operations_seed_3),
    SUITE_TEST(random_operations_seed_4),
    SUITE_TEST(random_operations_seed_5),
};

const struct part part_random = {tests, sizeof tests / sizeof tests[0]};
