/* SPDX-License-Identifier: ISC */
/*
 * A peer that stops in the middle of a handshake is cut off at the deadline,
 * after whichever byte it stops. Client and server are real, and a relay
 * between them passes on only the first bytes of one direction.
 *
 * The clock is the test's: it moves only when the loop would sleep, and then to
 * the next timer. So no deadline is met by chance, and none is waited for.
 */
#include "support.h"

#include "core.h"
#include "test_identity.h"

#define DEADLINE_MS 20u
#define LONG_MS 5000u
#define MS 1000000u
#define ALL UINT64_MAX

/* A signature's length differs by some bytes from one handshake to another. */
#define SIGNATURE_SLACK 8u

static uint64_t clock_ns;

static uint64_t clock_now(struct conduit_platform *p)
{
    (void)p;
    return clock_ns;
}

/* All that these tests wait for is in memory. */
static void clock_wait(struct conduit_platform *p, uint64_t max_ns)
{
    (void)p;
    if (max_ns != UINT64_MAX) {
        clock_ns += max_ns;
    }
}

static int set_up(void **state)
{
    static struct conduit_platform_ops ops;
    struct conduit_ctx *ctx;

    (void)t_setup(state);
    ctx = ((struct t_env *)*state)->ctx;
    clock_ns = ctx->platform->ops->monotonic(ctx->platform);
    ops = *ctx->platform->ops;
    ops.monotonic = clock_now;
    ops.wait = clock_wait;
    ctx->platform->ops = &ops;
    return 0;
}

/* ---- the relay ---- */

/* Who sent the bytes; its end of the relay is where they are read. */
enum { CLIENT, SERVER };

struct stall {
    struct t_env *env;
    struct conduit_tls *tls[2];
    struct t_server inner; /* what the server accepted */
    struct conduit_listener *outer;
    struct t_client client;
    struct conduit_dial *inward;
    struct conduit_conn *end[2];
    uint64_t limit[2]; /* bytes of each that are passed on */
    uint64_t passed[2];
    uint64_t began_ns;
};

static void pass_on(struct stall *s, int from)
{
    struct conduit_conn *in = s->end[from];
    struct conduit_conn *out = s->end[!from];
    uint8_t buf[1024];
    uint64_t left = s->limit[from] - s->passed[from];
    long n = 0;

    while (left > 0 &&
           (n = conduit_conn_read(in, buf,
                                  left < sizeof buf ? left : sizeof buf)) > 0) {
        T_CHECK(s->env, conduit_conn_write(out, buf, (size_t)n) == n);
        s->passed[from] += (uint64_t)n;
        left -= (uint64_t)n;
    }
    if (n != CONDUIT_AGAIN) {
        conduit_conn_want(in, 0);
    }
}

static void relay(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct stall *s = arg;

    if ((events & CONDUIT_READ) != 0) {
        pass_on(s, conn == s->end[SERVER] ? SERVER : CLIENT);
    }
}

static void have_end(struct stall *s, int which, struct conduit_conn *conn)
{
    s->end[which] = conn;
    if (s->end[CLIENT] != NULL && s->end[SERVER] != NULL) {
        conduit_conn_set_handler(s->end[CLIENT], relay, s, CONDUIT_READ);
        conduit_conn_set_handler(s->end[SERVER], relay, s, CONDUIT_READ);
    }
}

static void accepted(void *arg, struct conduit_listener *l,
                     struct conduit_conn *conn)
{
    (void)l;
    have_end(arg, CLIENT, conn);
}

static void dialed(void *arg, struct conduit_dial *dial,
                   struct conduit_conn *conn, const struct conduit_error *err)
{
    struct stall *s = arg;

    (void)dial;
    (void)err;
    s->inward = NULL;
    T_CHECK(s->env, conn != NULL);
    if (conn != NULL) {
        have_end(s, SERVER, conn);
    }
}

/* ---- one handshake ---- */

static void begin(struct stall *s, unsigned open_ms, unsigned attempt_ms)
{
    const struct conduit_options serve = {.tls = s->tls[SERVER],
                                          .open_ms = open_ms};
    const struct conduit_options call = {.tls = s->tls[CLIENT],
                                         .tls_name = T_IDENTITY_NAME,
                                         .attempt_ms = attempt_ms};

    s->env->log_size = 0;
    s->env->log[0] = '\0';
    s->end[CLIENT] = NULL;
    s->end[SERVER] = NULL;
    s->passed[CLIENT] = 0;
    s->passed[SERVER] = 0;
    s->began_ns = clock_ns;
    t_listen(&s->inner, s->env, "tls+mem://inner", &serve);
    assert_int_equal(conduit_listen(s->env->ctx, "mem://outer", NULL, accepted,
                                    s, &s->outer, NULL),
                     0);
    assert_int_equal(conduit_dial(s->env->ctx, "mem://inner", NULL, dialed, s,
                                  &s->inward, NULL),
                     0);
    t_dial(&s->client, s->env, "tls+mem://outer", &call);
}

/* What is left of it goes; nothing may remain. */
static void end(struct stall *s)
{
    if (s->client.calls == 0) {
        conduit_dial_cancel(s->client.dial);
    }
    conduit_dial_cancel(s->inward);
    conduit_conn_abort(s->client.conn);
    conduit_conn_abort(s->end[CLIENT]);
    conduit_conn_abort(s->end[SERVER]);
    t_unlisten(&s->inner);
    conduit_listener_close(s->outer);
    conduit_loop_finish(s->env->loop);
    t_turns(s->env, 2);
    assert_null(s->env->ctx->loop.all);
}

static void at_deadline(const struct stall *s)
{
    uint64_t ms = (clock_ns - s->began_ns) / MS;

    assert_in_range(ms, DEADLINE_MS, DEADLINE_MS + 2);
}

/* Runs one that completes: how many bytes each of them sends. */
static void measure(struct stall *s, uint64_t total[2])
{
    s->limit[CLIENT] = ALL;
    s->limit[SERVER] = ALL;
    begin(s, LONG_MS, LONG_MS);
    T_UNTIL(s->env, s->client.calls > 0 && s->inner.tail > 0);
    assert_non_null(s->client.conn);
    total[CLIENT] = s->passed[CLIENT];
    total[SERVER] = s->passed[SERVER];
    end(s);
}

/* ---- stalling ---- */

static void client_stops(struct stall *s, uint64_t after)
{
    s->limit[CLIENT] = after;
    s->limit[SERVER] = ALL;
    begin(s, DEADLINE_MS, LONG_MS);
    T_UNTIL(s->env, strstr(s->env->log, "did not open") != NULL);
    assert_int_equal(s->inner.tail, 0);
    assert_int_equal(s->passed[CLIENT], after);
    assert_non_null(strstr(s->env->log, "deadline"));
    at_deadline(s);
    end(s);
}

static void server_stops(struct stall *s, uint64_t after)
{
    s->limit[CLIENT] = ALL;
    s->limit[SERVER] = after;
    begin(s, LONG_MS, DEADLINE_MS);
    T_UNTIL(s->env, s->client.calls > 0);
    assert_null(s->client.conn);
    assert_int_equal(s->client.err.code, CONDUIT_ETIMEDOUT);
    assert_int_equal(s->passed[SERVER], after);
    at_deadline(s);
    end(s);
}

static struct conduit_tls *make(struct t_env *env, const char *engine)
{
    struct conduit_error err = {0};
    struct conduit_tls *tls = NULL;

    if (t_identity_tls(env->ctx, engine, false, &tls, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tls;
}

static void each_byte(struct t_env *env, const char *client, const char *server,
                      int who)
{
    uint64_t slack = who == SERVER ? SIGNATURE_SLACK : 0;
    struct stall s = {.env = env};
    uint64_t total[2];

    s.tls[CLIENT] = make(env, client);
    s.tls[SERVER] = make(env, server);
    measure(&s, total);
    assert_true(total[who] > slack + 100);
    for (uint64_t k = 0; k < total[who] - slack; k++) {
        if (who == CLIENT) {
            client_stops(&s, k);
        } else {
            server_stops(&s, k);
        }
    }
    conduit_tls_unref(s.tls[CLIENT]);
    conduit_tls_unref(s.tls[SERVER]);
}

/* Each engine with itself and with the other: TLS 1.3 and 1.2. */
static void openssl_server(void **state)
{
    each_byte(*state, "openssl", "openssl", CLIENT);
    each_byte(*state, "bearssl", "openssl", CLIENT);
}

static void bearssl_server(void **state)
{
    each_byte(*state, "openssl", "bearssl", CLIENT);
    each_byte(*state, "bearssl", "bearssl", CLIENT);
}

static void openssl_client(void **state)
{
    each_byte(*state, "openssl", "openssl", SERVER);
    each_byte(*state, "openssl", "bearssl", SERVER);
}

static void bearssl_client(void **state)
{
    each_byte(*state, "bearssl", "openssl", SERVER);
    each_byte(*state, "bearssl", "bearssl", SERVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(openssl_server, set_up, t_teardown),
        cmocka_unit_test_setup_teardown(bearssl_server, set_up, t_teardown),
        cmocka_unit_test_setup_teardown(openssl_client, set_up, t_teardown),
        cmocka_unit_test_setup_teardown(bearssl_client, set_up, t_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
