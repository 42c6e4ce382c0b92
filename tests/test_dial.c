/* SPDX-License-Identifier: ISC */
/*
 * Dialling: refused, silent, several candidates, deadlines and calling it off,
 * on a scripted transport, script://, where the last number of an address says
 * how connecting to it goes. test_dial_socket.c asks the system the same.
 */
#include "support.h"

#include "chop.h"

enum {
    OPENS = 1,
    REFUSES = 2,
    SILENT = 3,
    NOT_MADE = 4,
    FAILS_AT_ONCE = 5,
    OPENS_LATE = 6
};

struct script {
    struct conduit_conn base;
    struct conduit_timer late;
    uint8_t what;
};

static struct conduit_addr tried[16];
static unsigned made;
static unsigned destroyed;

static void late_fired(struct conduit_timer *timer)
{
    struct script *s = (struct script *)(void *)((char *)timer -
                                                 offsetof(struct script, late));

    if (s->what == REFUSES) {
        conduit_conn_fail(&s->base, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE,
                          CONDUIT_EREFUSED, 111, "said no");
    } else {
        conduit_conn_opened(&s->base);
    }
}

static int script_start(struct conduit_conn *c)
{
    struct script *s = (struct script *)c;

    switch (s->what) {
    case FAILS_AT_ONCE:
        return CONDUIT_EUNREACHABLE;
    case REFUSES:
        conduit_timer_set(c->loop, &s->late, 1);
        return 0;
    case OPENS_LATE:
        conduit_timer_set(c->loop, &s->late, 60);
        return 0;
    case OPENS:
        conduit_conn_opened(c);
        return 0;
    default:
        return 0;
    }
}

static long script_peek(struct conduit_conn *c, struct conduit_win *win)
{
    (void)c;
    (void)win;
    return CONDUIT_AGAIN;
}

static void script_count(struct conduit_conn *c, size_t n)
{
    (void)c;
    (void)n;
}

static int script_flush(struct conduit_conn *c)
{
    (void)c;
    return 0;
}

static int script_finish(struct conduit_conn *c, bool full)
{
    (void)c;
    (void)full;
    return 0;
}

static unsigned script_want(struct conduit_conn *c, unsigned events)
{
    (void)c;
    (void)events;
    return 0;
}

static void script_destroy(struct conduit_conn *c, bool aborted)
{
    (void)aborted;
    conduit_timer_clear(c->loop, &((struct script *)c)->late);
    destroyed++;
}

static const struct conduit_conn_ops script_ops = {
    .name = "script",
    .size = sizeof(struct script),
    .start = script_start,
    .peek = script_peek,
    .consume = script_count,
    .reserve = script_peek,
    .commit = script_count,
    .read = conduit_default_read,
    .writev = conduit_default_writev,
    .lend = conduit_default_lend,
    .flush = script_flush,
    .finish = script_finish,
    .want = script_want,
    .query = conduit_default_query,
    .destroy = script_destroy,
};

static int script_dial(struct conduit_ctx *ctx,
                       const struct conduit_endpoint *ep,
                       const struct conduit_options *options,
                       struct conduit_conn **out, struct conduit_error *err)
{
    struct script *s;

    (void)options;
    tried[made++ % 16] = ep->addr;
    if (ep->addr.ip[3] == NOT_MADE) {
        destroyed++;
        return conduit_error_set(err, CONDUIT_ELIMIT, "script", 24, "too many");
    }
    *out = conduit_conn_new(ctx, &script_ops, NULL);
    if (*out == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "script", 0, "memory");
    }
    s = (struct script *)*out;
    s->what = ep->addr.ip[3];
    s->late.fire = late_fired;
    return 0;
}

static const struct conduit_transport script = {
    .name = "script",
    .summary = "connects as its address says",
    .ip = true,
    .check = conduit_uri_check_host,
    .dial = script_dial,
};

static int setup(void **state)
{
    int rc = t_setup(state);
    struct t_env *env = *state;

    made = 0;
    destroyed = 0;
    conduit_chop_set(NULL);
    assert_int_equal(conduit_register_transport(env->ctx, &script), 0);
    assert_int_equal(conduit_register_chop(env->ctx), 0);
    return rc;
}

#define DIAL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

/* A name with these candidates, in order. */
static void candidates(struct t_env *env, const char *name, size_t n,
                       const int *what)
{
    for (size_t i = 0; i < n; i++) {
        char address[32];

        (void)snprintf(address, sizeof address, "192.0.%zu.%d", i, what[i]);
        assert_int_equal(
            conduit_resolver_add_host(env->ctx, name, address, NULL), 0);
    }
}

#define CANDIDATES(env, name, ...)                                          \
    candidates(env, name, sizeof((const int[]){__VA_ARGS__}) / sizeof(int), \
               (const int[]){__VA_ARGS__})

static void finish(struct t_client *c)
{
    T_UNTIL(c->env, c->calls != 0);
    t_turns(c->env, 3);
    assert_int_equal(c->calls, 1);
}

static void nobody_listens_at_a_name(void **state)
{
    struct t_client c;

    t_dial(&c, *state, "mem://nobody", NULL);
    finish(&c);
    assert_int_equal(c.err.code, CONDUIT_EREFUSED);
    assert_string_equal(c.err.layer, "mem");
}

/* ---- scripted candidates ------------------------------------------------ */

static void a_failure_starts_the_next_at_once(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.stagger_ms = 20000};
    struct t_client c;

    CANDIDATES(env, "x.test", REFUSES, NOT_MADE, FAILS_AT_ONCE, OPENS);
    t_dial(&c, env, "script://x.test:1", &options);
    finish(&c);
    assert_non_null(c.conn);
    assert_int_equal(c.attempts, 4);
    assert_int_equal(c.attempt[0].error.code, CONDUIT_EREFUSED);
    assert_int_equal(c.attempt[0].error.native, 111);
    assert_string_equal(c.attempt[0].error.layer, "script");
    assert_non_null(strstr(c.attempt[0].error.text, "said no"));
    assert_int_equal(c.attempt[1].error.code, CONDUIT_ELIMIT);
    assert_int_equal(c.attempt[1].error.native, 24);
    assert_int_equal(c.attempt[2].error.code, CONDUIT_EUNREACHABLE);
    assert_string_equal(c.attempt[3].endpoint, "script 192.0.3.1:1");
    assert_true(c.attempt[3].start_us < 10000000);
    conduit_conn_abort(c.conn);
    t_turns(env, 2);
    assert_int_equal(destroyed, made);
}

/* RFC 8305, section 5: the next begins beside the one under way. */
static void attempts_are_staggered(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.stagger_ms = 20};
    struct t_client c;

    CANDIDATES(env, "x.test", SILENT, SILENT, OPENS, OPENS);
    t_dial(&c, env, "script://x.test:1", &options);
    finish(&c);
    assert_non_null(c.conn);
    assert_int_equal(c.attempts, 3); /* the fourth was not needed */
    assert_in_range(c.attempt[1].start_us - c.attempt[0].start_us, 19000,
                    1000000);
    assert_in_range(c.attempt[2].start_us - c.attempt[1].start_us, 19000,
                    1000000);
    assert_int_equal(c.attempt[0].error.code, CONDUIT_ECANCELED);
    assert_int_equal(c.attempt[1].error.code, CONDUIT_ECANCELED);
    assert_int_equal(destroyed, 2);
    conduit_conn_close(c.conn);
}

/* One that began earlier may still win after a later one was started. */
static void the_first_to_open_wins(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.stagger_ms = 20};
    struct t_client c;

    CANDIDATES(env, "x.test", OPENS_LATE, SILENT, SILENT);
    t_dial(&c, env, "script://x.test:1", &options);
    finish(&c);
    assert_non_null(c.conn);
    assert_int_equal(c.attempt[0].error.code, 0);
    assert_true(c.attempts >= 2);
    assert_int_equal(c.attempt[1].error.code, CONDUIT_ECANCELED);
    conduit_conn_abort(c.conn);
    t_turns(env, 2);
    assert_int_equal(destroyed, made);
}

static void when_all_fail_one_error_stands_for_them(void **state)
{
    struct t_env *env = *state;
    struct t_client c;

    CANDIDATES(env, "x.test", REFUSES, FAILS_AT_ONCE, REFUSES);
    t_dial(&c, env, "script://x.test:1", NULL);
    finish(&c);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_EREFUSED);
    assert_int_equal(c.err.native, 111);
    assert_non_null(strstr(c.err.text, "192.0."));
    assert_int_equal(c.attempts, 3);
    assert_int_equal(destroyed, 3);
}

static void each_attempt_has_a_deadline(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.attempt_ms = 20, .stagger_ms = 20000};
    struct t_client c;

    CANDIDATES(env, "x.test", SILENT, SILENT);
    t_dial(&c, env, "script://x.test:1", &options);
    finish(&c);
    assert_int_equal(c.err.code, CONDUIT_ETIMEDOUT);
    assert_int_equal(c.attempts, 2);
    assert_int_equal(c.attempt[0].error.code, CONDUIT_ETIMEDOUT);
    assert_int_equal(c.attempt[1].error.code, CONDUIT_ETIMEDOUT);
    assert_true(c.attempt[1].start_us >= 19000);
}

static void all_of_it_has_a_deadline(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.dial_ms = 40, .stagger_ms = 10};
    struct t_client c;

    CANDIDATES(env, "x.test", SILENT, SILENT);
    t_dial(&c, env, "script://x.test:1", &options);
    finish(&c);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_ETIMEDOUT);
    assert_non_null(strstr(c.err.text, "x.test"));
    assert_int_equal(destroyed, 2);
}

/* The race is for a connection that is open in every layer. */
static void a_layer_that_never_opens_loses(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.attempt_ms = 20};
    struct conduit_chop_settings never = {.never_opens = true};
    struct t_client c;

    conduit_chop_set(&never);
    t_dial(&c, env, "chop+script://192.0.2.1:1", &options);
    finish(&c);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_ETIMEDOUT);
    assert_int_equal(destroyed, 1);
}

/* ---- calling it off ----------------------------------------------------- */

static void a_dial_is_cancelled_at_every_stage(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.stagger_ms = 5};
    struct t_client c;

    conduit_dial_cancel(NULL);
    CANDIDATES(env, "x.test", SILENT, REFUSES, SILENT, SILENT);
    for (unsigned turns = 0; turns < 12; turns++) {
        t_dial(&c, env, "script://x.test:1", &options);
        for (unsigned i = 0; i < turns; i++) {
            t_turn(env, 3);
        }
        assert_int_equal(c.calls, 0);
        conduit_dial_cancel(c.dial);
        t_turns(env, 2);
        assert_int_equal(c.calls, 0);
        assert_int_equal(destroyed, made);
    }
}

struct cancelling {
    struct conduit_timer timer;
    struct t_client *client;
};

static void cancel_fired(struct conduit_timer *timer)
{
    struct cancelling *c = (struct cancelling *)(void *)timer;

    conduit_dial_cancel(c->client->dial);
}

static void a_dial_is_cancelled_from_a_callback(void **state)
{
    struct t_env *env = *state;
    struct t_client c;
    struct cancelling off = {.timer.fire = cancel_fired, .client = &c};

    t_dial(&c, env, "script://192.0.2.3:1", NULL);
    conduit_timer_set(env->loop, &off.timer, 2);
    T_UNTIL(env, destroyed == 1);
    t_turns(env, 5);
    assert_int_equal(c.calls, 0);
}

static void dials_go_with_the_context(void **state)
{
    struct t_env *env = *state;
    struct t_client c[3];

    CANDIDATES(env, "x.test", SILENT, OPENS_LATE);
    t_dial(&c[0], env, "script://x.test:1", NULL);
    t_turns(env, 3);
    t_dial(&c[1], env, "script://x.test:1", NULL);
    t_dial(&c[2], env, "script://192.0.2.2:1", NULL);
    t_turns(env, 1);
    /* the teardown looks */
}

/* ---- what is wrong at once ---------------------------------------------- */

static void never(void *arg, struct conduit_dial *dial,
                  struct conduit_conn *conn, const struct conduit_error *err)
{
    (void)dial;
    (void)conn;
    (void)err;
    ++*(unsigned *)arg;
}

static void a_bad_uri_is_told_at_once(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err = {0};
    unsigned calls = 0;

    assert_int_equal(
        conduit_dial(env->ctx, "gopher://x:1", NULL, never, &calls, NULL, &err),
        CONDUIT_ESCHEME);
    assert_int_equal(
        conduit_dial(env->ctx, "mem://", NULL, never, &calls, NULL, &err),
        CONDUIT_EURI);
    assert_int_equal(
        conduit_dial(env->ctx, "mem://", NULL, never, &calls, NULL, NULL),
        CONDUIT_EURI);
    t_turns(env, 5);
    assert_int_equal(calls, 0);
}

/* ---- from within the callback ------------------------------------------- */

struct again {
    struct t_env *env;
    unsigned calls;
};

static void close_and_dial_again(void *arg, struct conduit_dial *dial,
                                 struct conduit_conn *conn,
                                 const struct conduit_error *err)
{
    struct again *a = arg;

    (void)dial;
    T_CHECK(a->env, err == NULL);
    if (a->calls % 2 == 0) {
        conduit_conn_close(conn);
    } else {
        conduit_conn_abort(conn);
    }
    if (++a->calls < 6) {
        T_CHECK(a->env, conduit_dial(a->env->ctx, "script://192.0.2.1:1", NULL,
                                     close_and_dial_again, a, NULL, NULL) == 0);
    }
}

static void the_callback_may_close_and_dial(void **state)
{
    struct t_env *env = *state;
    struct again a = {env, 0};

    assert_int_equal(conduit_dial(env->ctx, "script://192.0.2.1:1", NULL,
                                  close_and_dial_again, &a, NULL, NULL),
                     0);
    T_UNTIL(env, a.calls == 6);
    t_turns(env, 5);
    assert_int_equal(destroyed, 6);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        DIAL_TEST(nobody_listens_at_a_name),
        DIAL_TEST(a_failure_starts_the_next_at_once),
        DIAL_TEST(attempts_are_staggered),
        DIAL_TEST(the_first_to_open_wins),
        DIAL_TEST(when_all_fail_one_error_stands_for_them),
        DIAL_TEST(each_attempt_has_a_deadline),
        DIAL_TEST(all_of_it_has_a_deadline),
        DIAL_TEST(a_layer_that_never_opens_loses),
        DIAL_TEST(a_dial_is_cancelled_at_every_stage),
        DIAL_TEST(a_dial_is_cancelled_from_a_callback),
        DIAL_TEST(dials_go_with_the_context),
        DIAL_TEST(a_bad_uri_is_told_at_once),
        DIAL_TEST(the_callback_may_close_and_dial),
    };

    return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
