/* SPDX-License-Identifier: ISC */
/* Reading: windows, partial consumption, and where the bytes end. */
#include "conformance.h"

static void take(struct t_conn *t, size_t n)
{
    conduit_conn_consume(t->conn, n);
    t->received += n;
}

static void peek_shows_the_same_until_consumed(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    struct conduit_win one;
    struct conduit_win two;
    long n;

    suite_send(&f->pair.a, 100);
    n = suite_peek(b, &one);
    assert_true(n > 0);
    assert_true(suite_peek(b, &two) >= n);
    take(b, 1);
    suite_receive(b, 99);
}

static void bytes_are_consumed_in_parts(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    uint64_t random = 11;

    suite_send(&f->pair.a, suite.some);
    while (b->received < suite.some) {
        struct conduit_win win;
        long n = suite_peek(b, &win);

        assert_true(n > 0 && b->received + (uint64_t)n <= suite.some);
        take(b, t_range(&random, 0, (size_t)n));
    }
    assert_int_equal(conduit_conn_peek(b->conn, &(struct conduit_win){0}),
                     CONDUIT_AGAIN);
}

/* Sizes without a common factor make a ring wrap at every place. */
static void windows_wrap(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    size_t rounds = suite.layers == 0 ? 400 : 40;

    for (size_t i = 0; i < rounds; i++) {
        size_t n = (suite.layers == 0 ? 701 : 181) + i % 7;

        suite_send(&f->pair.a, n);
        while (b->received < f->pair.a.sent) {
            struct conduit_win win;
            long shown = suite_peek(b, &win);

            assert_true(shown > 0);
            take(b, (size_t)shown);
        }
    }
}

static void reading_takes_no_more_than_asked(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;

    suite_send(&f->pair.a, suite.some);
    for (size_t n = 1; n < 20; n++) {
        suite_receive(b, n);
    }
    suite_receive(b, suite.some - 19 * 20 / 2);
    assert_int_equal(conduit_conn_read(b->conn, &(char){0}, 1), CONDUIT_AGAIN);
}

static void peeking_and_reading_mix(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    uint64_t random = 5;

    suite_send(&f->pair.a, suite.some);
    T_POLL(&f->env,
           (suite_read_some(b, &random, 97), b->received == suite.some));
}

static void nothing_to_read_is_again(void **state)
{
    struct fix *f = *state;
    struct conduit_win win;
    char c;

    assert_int_equal(conduit_conn_peek(f->pair.a.conn, &win), CONDUIT_AGAIN);
    assert_int_equal(conduit_conn_read(f->pair.a.conn, &c, 1), CONDUIT_AGAIN);
    t_turns(&f->env, 3);
    assert_int_equal(conduit_conn_read(f->pair.b.conn, &c, 1), CONDUIT_AGAIN);
}

static void the_end_comes_after_all_bytes_and_stays(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    struct conduit_win win;
    char c;

    suite_send(&f->pair.a, suite.some);
    t_close(&f->pair.a);
    assert_int_equal(suite_read_out(b), CONDUIT_END);
    assert_int_equal(b->received, suite.some);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(conduit_conn_read(b->conn, &c, 1), CONDUIT_END);
        assert_int_equal(conduit_conn_peek(b->conn, &win), CONDUIT_END);
        t_turns(&f->env, 1);
    }
    assert_int_equal(conduit_conn_error(b->conn, NULL), 0);
}

static void the_end_is_an_event(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;

    if (suite.under > 0) {
        return; /* a record may still be on its way */
    }
    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    t_close(&f->pair.a);
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    assert_int_equal(suite_read_out(b), CONDUIT_END);
    assert_int_equal(b->seen & CONDUIT_ERR, 0);
    t_turns(&f->env, 10);
    assert_true(suite_sleeps(f, 0));
}

/* Who was told of the end by READ and did not read it is told again. */
static void an_end_not_read_is_told_again(void **state)
{
    struct fix *f = *state;
    struct t_conn *b = &f->pair.b;
    unsigned before;

    if (suite.under > 0) {
        return; /* a record may still be on its way */
    }
    t_attach(b, &f->env, b->conn, CONDUIT_READ);
    t_close(&f->pair.a);
    T_UNTIL(&f->env, (b->seen & CONDUIT_READ) != 0);
    before = b->count[0];
    t_turns(&f->env, 5);
    assert_int_equal(b->count[0], before + 5);
    t_want(b, 0);
    t_turns(&f->env, 10);
    assert_true(suite_sleeps(f, 0));
    t_want(b, CONDUIT_READ);
    T_UNTIL(&f->env, b->count[0] > before + 5);
}

static void counters_count(void **state)
{
    struct fix *f = *state;
    struct conduit_counters a;
    struct conduit_counters b;

    suite_send(&f->pair.a, 300);
    suite_receive(&f->pair.b, 250);
    assert_int_equal(
        conduit_conn_query(f->pair.a.conn, CONDUIT_QUERY_COUNTERS, &a), 0);
    assert_int_equal(
        conduit_conn_query(f->pair.b.conn, CONDUIT_QUERY_COUNTERS, &b), 0);
    assert_int_equal(a.sent, 300);
    assert_int_equal(a.received, 0);
    assert_int_equal(b.sent, 0);
    assert_int_equal(b.received, 250);
}

static void facts_are_told(void **state)
{
    struct fix *f = *state;
    const char *transport = NULL;
    char peer[CONDUIT_PEER_TEXT] = "";
    char local[CONDUIT_PEER_TEXT] = "";
    char layers[64];
    char expected[64] = "";
    struct conduit_tls_facts tls = {.engine = ""};
    unsigned caps = 0;

    for (int i = 0; i < 2; i++) {
        struct conduit_conn *conn = i == 0 ? f->pair.a.conn : f->pair.b.conn;
        bool alike = i == 0 || suite.carrier->accepted == NULL;

        assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_CAPS, &caps),
                         0);
        assert_int_equal(caps, suite.caps);
        assert_int_equal(
            conduit_conn_query(conn, CONDUIT_QUERY_TRANSPORT, &transport), 0);
        assert_string_equal(transport, alike ? suite.carrier->transport
                                             : suite.carrier->accepted);
        assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_PEER, peer), 0);
        assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_LOCAL, local),
                         0);
        assert_true(memchr(peer, '\0', sizeof peer) != NULL);
        assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_TLS, &tls),
                         suite.tls ? 0 : CONDUIT_ENOTSUP);
        assert_string_equal(tls.engine, suite.tls ? suite.engines[i] : "");
        assert_ptr_equal(conduit_conn_loop(conn), f->env.loop);
        assert_int_equal(conduit_conn_error(conn, NULL), 0);
    }
    suite_layers(expected, sizeof expected);
    strcat(expected, suite.carrier->transport);
    assert_string_equal(
        conduit_conn_layers(f->pair.a.conn, layers, sizeof layers), expected);
    expected[2] = '\0';
    assert_string_equal(conduit_conn_layers(f->pair.a.conn, layers, 3),
                        expected);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(peek_shows_the_same_until_consumed),
    SUITE_TEST(bytes_are_consumed_in_parts),
    SUITE_TEST(windows_wrap),
    SUITE_TEST(reading_takes_no_more_than_asked),
    SUITE_TEST(peeking_and_reading_mix),
    SUITE_TEST(nothing_to_read_is_again),
    SUITE_TEST(the_end_comes_after_all_bytes_and_stays),
    SUITE_TEST(the_end_is_an_event),
    SUITE_TEST(an_end_not_read_is_told_again),
    SUITE_TEST(counters_count),
    SUITE_TEST(facts_are_told),
};

const struct part part_reading = {tests, sizeof tests / sizeof tests[0]};
