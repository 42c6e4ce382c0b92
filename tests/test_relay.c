/* SPDX-License-Identifier: ISC */
/*
 * The relay's copier: what each side sees of the other through it, over
 * transports and layers that differ in what they can do. `left` and `right` are
 * the peers; the relay has the other ends of their connections.
 */
/* A part of the command, which is no library.
 * NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "../tools/relay_pair.c"

#include "chop.h"
#include "support.h"

#define BIG 300000u

struct rig {
    struct relay_pair pair;
    struct t_env *env;
    struct t_conn left;
    struct t_conn right;
    unsigned done;
    int code; /* of the error that it ended with; 0: in order */
    int where;
};

/* ---- a layer that cannot be half-closed, and can be clogged ------------- */

static bool clogged; /* it holds what it was given */
static struct conduit_conn_ops blunt_ops;
static int (*flush_below)(struct conduit_conn *c);
static int (*query_below)(const struct conduit_conn *c, enum conduit_query what,
                          void *out);

static int blunt_query(const struct conduit_conn *c, enum conduit_query what,
                       void *out)
{
    int code = query_below(c, what, out);

    if (what == CONDUIT_QUERY_CAPS) {
        code = conduit_conn_query(c->below, what, out);
        *(unsigned *)out &= ~(unsigned)CONDUIT_CAP_HALF_CLOSE;
    }
    return code;
}

static int blunt_flush(struct conduit_conn *c)
{
    return clogged ? CONDUIT_AGAIN : flush_below(c);
}

static int blunt_wrap(struct conduit_ctx *ctx, struct conduit_conn *below,
                      bool server, const struct conduit_uri *uri,
                      const struct conduit_options *options,
                      struct conduit_conn **out, struct conduit_error *err)
{
    int code = conduit_chop.wrap(ctx, below, server, uri, options, out, err);

    if (code == 0) {
        blunt_ops = *(*out)->ops;
        blunt_ops.name = "blunt";
        query_below = blunt_ops.query;
        blunt_ops.query = blunt_query;
        flush_below = blunt_ops.flush;
        blunt_ops.flush = blunt_flush;
        (*out)->ops = &blunt_ops;
    }
    return code;
}

static const struct conduit_filter blunt = {
    .name = "blunt",
    .summary = "chop without half-close",
    .wrap = blunt_wrap,
};

/* ---- a rig -------------------------------------------------------------- */

static int setup(void **state)
{
    int rc = t_setup(state);
    struct t_env *env = *state;

    clogged = false;
    conduit_chop_set(NULL);
    assert_int_equal(conduit_register_chop(env->ctx), 0);
    assert_int_equal(conduit_register_filter(env->ctx, &blunt), 0);
    return rc;
}

#define RELAY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

static void on_done(struct relay_pair *pair, const struct conduit_error *err,
                    int where)
{
    struct rig *r = (struct rig *)(void *)pair;

    r->done++;
    r->code = err != NULL ? err->code : 0;
    r->where = where;
}

/* Connects a peer, and answers the end that is the relay's. */
static struct conduit_conn *join(struct rig *r, struct t_conn *peer,
                                 const char *uri)
{
    struct t_pair pair;

    t_connect(&pair, r->env, uri, NULL);
    memset(peer, 0, sizeof *peer);
    t_attach(peer, r->env, pair.a.conn, 0);
    peer->pull = true;
    peer->push = true;
    return pair.b.conn;
}

static void begin(struct rig *r, struct t_env *env, const char *left,
                  const char *right)
{
    struct conduit_conn *a;
    struct conduit_conn *b;

    memset(r, 0, sizeof *r);
    r->env = env;
    a = join(r, &r->left, left);
    b = join(r, &r->right, right);
    r->left.out = r->right.in = 1;
    r->right.out = r->left.in = 2;
    r->pair.idle_ms = 20000;
    r->pair.linger_ms = 20000;
    r->pair.done = on_done;
    relay_pair_start(&r->pair, a, b);
}

static void end(struct rig *r, int code)
{
    T_UNTIL(r->env, r->done != 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(r->code, code);
    t_abort(&r->left);
    t_abort(&r->right);
    t_turns(r->env, 3);
}

/* Lets a peer send so many bytes. */
static void send(struct t_conn *peer, uint64_t n)
{
    peer->goal = peer->sent + n;
    t_want(peer, CONDUIT_READ | CONDUIT_WRITE);
}

static void finish(struct t_conn *peer)
{
    assert_int_equal(conduit_conn_finish(peer->conn, false), 0);
}

static const char *const uris[][2] = {
    {"mem://l", "mem://r"},
    {"chop+mem://l", "mem://r"},
    {"mem://l", "chop+mem://r"},
    {"chop+chop+mem://l", "chop+mem://r"},
    {"tcp://127.0.0.1:0", "mem://r"},
    {"chop+tcp://127.0.0.1:0", "tcp://127.0.0.1:0"},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- ends --------------------------------------------------------------- */

static void both_ways_at_once(void **state)
{
    for (size_t i = 0; i < COUNT(uris); i++) {
        uint64_t n = strncmp(uris[i][0], "chop", 4) == 0 ? BIG / 10 : BIG;
        struct rig r;

        begin(&r, *state, uris[i][0], uris[i][1]);
        send(&r.left, n);
        send(&r.right, n + 1);
        T_UNTIL(*state, r.left.sent == n && r.right.sent == n + 1);
        finish(&r.left);
        finish(&r.right);
        T_UNTIL(*state, r.left.end != 0 && r.right.end != 0);
        assert_int_equal(r.left.end, CONDUIT_END);
        assert_int_equal(r.right.end, CONDUIT_END);
        assert_int_equal(r.right.received, n);
        assert_int_equal(r.left.received, n + 1);
        assert_int_equal(r.pair.copied[0], n);
        assert_int_equal(r.pair.copied[1], n + 1);
        end(&r, 0);
    }
}

static void an_end_leaves_the_other_direction(void **state)
{
    for (size_t i = 0; i < 2 * COUNT(uris); i++) {
        struct rig r;
        struct t_conn *first = i % 2 == 0 ? &r.left : &r.right;
        struct t_conn *second = i % 2 == 0 ? &r.right : &r.left;

        begin(&r, *state, uris[i / 2][0], uris[i / 2][1]);
        send(first, 5000);
        T_UNTIL(*state, first->sent == 5000);
        finish(first);
        t_want(second, CONDUIT_READ);
        T_UNTIL(*state, second->end == CONDUIT_END);
        assert_int_equal(second->received, 5000);
        send(second, 10000);
        T_UNTIL(*state, first->received == 10000);
        t_turns(*state, 20);
        assert_int_equal(first->end, 0);
        assert_int_equal(r.done, 0);
        finish(second);
        T_UNTIL(*state, first->end == CONDUIT_END);
        end(&r, 0);
    }
}

static void an_end_waits_where_it_would_be_the_end_of_all(void **state)
{
    struct rig r;

    begin(&r, *state, "mem://l", "blunt+mem://r");
    send(&r.left, 1000);
    T_UNTIL(*state, r.left.sent == 1000);
    finish(&r.left);
    t_want(&r.right, CONDUIT_READ);
    T_UNTIL(*state, r.right.received == 1000);
    t_turns(*state, 20);
    assert_int_equal(r.right.end, 0);
    send(&r.right, 3000);
    T_UNTIL(*state, r.left.received == 3000);
    assert_int_equal(conduit_conn_finish(r.right.conn, true), 0);
    T_UNTIL(*state, r.left.end != 0 && r.right.end != 0);
    assert_int_equal(r.left.end, CONDUIT_END);
    assert_int_equal(r.right.end, CONDUIT_END);
    end(&r, 0);
}

static void an_end_does_not_wait_for_ever(void **state)
{
    struct rig r;

    begin(&r, *state, "mem://l", "blunt+mem://r");
    r.pair.linger_ms = 50;
    send(&r.left, 1000);
    T_UNTIL(*state, r.left.sent == 1000);
    finish(&r.left);
    t_want(&r.right, CONDUIT_READ);
    T_UNTIL(*state, r.right.end != 0);
    assert_int_equal(r.right.end, CONDUIT_END);
    assert_int_equal(r.right.received, 1000);
    assert_int_equal(r.done, 0);
    assert_int_equal(r.left.end, 0);
    r.pair.linger_ms = 5000; /* for the answer */
    assert_int_equal(conduit_conn_finish(r.right.conn, true), 0);
    T_UNTIL(*state, r.left.end == CONDUIT_END);
    end(&r, 0);
}

/* ---- backpressure ------------------------------------------------------- */

static void a_slow_reader_slows_its_writer(void **state)
{
    struct rig r;
    uint64_t sent;

    begin(&r, *state, "mem://l", "mem://r");
    send(&r.left, 1000000);
    t_turns(*state, 200);
    sent = r.left.sent;
    assert_in_range(sent, 1, 200000);
    t_turns(*state, 200);
    assert_int_equal(r.left.sent, sent);
    assert_true(t_turns_in(*state, 30) < 10); /* nor does it spin */
    send(&r.right, 100000);                   /* the other direction goes on */
    r.right.interest = CONDUIT_WRITE;
    t_want(&r.right, CONDUIT_WRITE);
    T_UNTIL(*state, r.left.received == 100000);
    assert_int_equal(r.left.sent, sent);
    t_want(&r.right, CONDUIT_READ);
    T_UNTIL(*state, r.right.received == 1000000);
    relay_pair_drop(&r.pair);
    t_abort(&r.left);
    t_abort(&r.right);
}

/* ---- failures ----------------------------------------------------------- */

static void a_reset_comes_after_what_was_sent(void **state)
{
    for (size_t i = 0; i < COUNT(uris); i++) {
        struct rig r;

        begin(&r, *state, uris[i][0], uris[i][1]);
        send(&r.left, 3000);
        t_want(&r.right, CONDUIT_READ);
        T_UNTIL(*state, r.right.received == 3000);
        send(&r.right, 10);
        T_UNTIL(*state, r.left.received == 10);
        t_abort(&r.left);
        T_UNTIL(*state, r.right.end != 0);
        assert_int_equal(r.right.end, CONDUIT_ERESET);
        end(&r, CONDUIT_ERESET);
        assert_int_equal(r.where, 0);
    }
}

/* Bytes, then a failure that is no reset: cut short is not complete. */
static void a_stream_cut_short_is_never_an_end(void **state)
{
    static const char *const cut[][2] = {
        {"chop+mem://l", "mem://r"},
        {"chop+tcp://127.0.0.1:0", "tcp://127.0.0.1:0"},
    };
    struct conduit_chop_settings at = {.fail_read_at = 20000, .whole = true};

    for (size_t i = 0; i < COUNT(cut); i++) {
        struct rig r;

        conduit_chop_set(&at);
        begin(&r, *state, cut[i][0], cut[i][1]);
        send(&r.left, 20000);
        T_UNTIL(*state, r.left.sent == 20000 || r.done != 0);
        t_turns_in(*state, 30); /* the reader comes late */
        assert_int_equal(r.right.received, 0);
        t_want(&r.right, CONDUIT_READ);
        T_UNTIL(*state, r.right.end != 0);
        assert_int_equal(r.right.end, CONDUIT_ERESET);
        assert_int_equal(r.right.received, 20000);
        end(&r, CONDUIT_EIO);
        assert_int_equal(r.where, 0);
    }
}

/* It takes no more, and has said something: that arrives, and then the loss. */
static void who_takes_no_more_is_heard(void **state)
{
    struct conduit_chop_settings at = {.fail_write_at = 100, .whole = true};
    struct rig r;

    conduit_chop_set(&at);
    begin(&r, *state, "mem://l", "chop+mem://r");
    send(&r.left, 1000);
    T_UNTIL(*state, r.pair.side[1].broken != 0);
    t_want(&r.left, CONDUIT_READ);
    r.right.goal = 90;
    t_want(&r.right, CONDUIT_WRITE);
    T_UNTIL(*state, r.left.received == 90);
    assert_int_equal(r.done, 0);
    finish(&r.right);
    T_UNTIL(*state, r.left.end != 0);
    assert_int_equal(r.left.end, CONDUIT_ERESET);
    end(&r, CONDUIT_EIO);
    assert_int_equal(r.where, 1);
}

static void a_failure_waits_for_a_reader_so_long(void **state)
{
    uint64_t begun;
    struct rig r;

    begin(&r, *state, "tcp://127.0.0.1:0", "blunt+mem://r");
    r.pair.linger_ms = 150;
    clogged = true;
    send(&r.left, 1000);
    T_UNTIL(*state, r.pair.copied[0] == 1000);
    begun = t_ms();
    t_abort(&r.left);
    end(&r, CONDUIT_ERESET);
    assert_in_range(t_ms() - begun, 140, 5000);
}

/* ---- limits ------------------------------------------------------------- */

static void silence_drops_both(void **state)
{
    uint64_t begun;
    struct rig r;

    begin(&r, *state, "mem://l", "mem://r");
    r.pair.idle_ms = 100;
    conduit_timer_set(r.pair.loop, &r.pair.timer, 100);
    t_want(&r.right, CONDUIT_READ);
    for (unsigned i = 0; i < 5; i++) {
        send(&r.left, 1);
        t_turns_in(*state, 40);
        assert_int_equal(r.done, 0);
    }
    begun = t_ms();
    T_UNTIL(*state, r.left.end != 0 && r.right.end != 0);
    assert_in_range(t_ms() - begun, 30, 5000);
    assert_int_equal(r.left.end, CONDUIT_ERESET);
    assert_int_equal(r.right.end, CONDUIT_ERESET);
    end(&r, CONDUIT_ETIMEDOUT);
    assert_int_equal(r.where, -1);
}

static void dropped_is_dropped(void **state)
{
    struct rig r;

    begin(&r, *state, "mem://l", "mem://r");
    t_want(&r.left, CONDUIT_READ);
    t_want(&r.right, CONDUIT_READ);
    t_turns(*state, 5);
    relay_pair_drop(&r.pair);
    T_UNTIL(*state, r.left.end != 0 && r.right.end != 0);
    assert_int_equal(r.left.end, CONDUIT_ERESET);
    assert_int_equal(r.right.end, CONDUIT_ERESET);
    assert_int_equal(r.done, 0);
    t_abort(&r.left);
    t_abort(&r.right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAY_TEST(both_ways_at_once),
        RELAY_TEST(an_end_leaves_the_other_direction),
        RELAY_TEST(an_end_waits_where_it_would_be_the_end_of_all),
        RELAY_TEST(an_end_does_not_wait_for_ever),
        RELAY_TEST(a_slow_reader_slows_its_writer),
        RELAY_TEST(a_reset_comes_after_what_was_sent),
        RELAY_TEST(a_stream_cut_short_is_never_an_end),
        RELAY_TEST(who_takes_no_more_is_heard),
        RELAY_TEST(a_failure_waits_for_a_reader_so_long),
        RELAY_TEST(silence_drops_both),
        RELAY_TEST(dropped_is_dropped),
    };

    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
