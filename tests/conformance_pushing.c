/* SPDX-License-Identifier: ISC */
/*
 * Layers that are put on a connection in the callback that brings it. Their
 * handshake begins within, and what they wait for below must still be waited
 * for when the callback is over.
 */
#include "conformance.h"

#include "core.h"
#include "test_identity.h"

static struct conduit_tls *tls;

static void push_tls(struct t_env *env, struct conduit_conn **conn, bool server)
{
    const struct conduit_filter *filter = cdt_find_filter(env->ctx, "tls", 3);
    const struct conduit_options options = {.tls = tls,
                                            .tls_name = T_IDENTITY_NAME};
    struct conduit_error err = {0};

    /* Not by conduit_tls_start(), as the client's first bytes may be there. */
    if (conduit_conn_push(conn, filter, server, NULL, &options, &err) != 0) {
        t_fault(env, "push: %s", err.text);
    }
}

static void push_chop(struct t_env *env, struct conduit_conn **conn,
                      bool server)
{
    struct conduit_error err = {0};

    if (conduit_conn_push(conn, &conduit_chop, server, NULL, NULL, &err) != 0) {
        t_fault(env, "push: %s", err.text);
    }
}

/* Opens one more pair, with a layer put on both ends as they come. */
static void talk_through(struct fix *f,
                         void (*push)(struct t_env *env,
                                      struct conduit_conn **conn, bool server))
{
    struct t_pair pair;

    f->env.came = push;
    suite_connect(f, &pair, NULL);
    f->env.came = NULL;
    t_attach(&pair.a, &f->env, pair.a.conn, CONDUIT_READ);
    t_attach(&pair.b, &f->env, pair.b.conn, CONDUIT_READ);
    T_UNTIL(&f->env, ((pair.a.seen & pair.b.seen) & CONDUIT_OPEN) != 0);
    suite_send(&pair.a, 100);
    suite_receive(&pair.b, 100);
    suite_send(&pair.b, 200);
    suite_receive(&pair.a, 200);
    t_abort(&pair.a);
    t_abort(&pair.b);
}

static void tls_begins_in_the_callback_that_opens(void **state)
{
    struct fix *f = *state;
    struct conduit_error err = {0};

    if (cdt_find_filter(f->env.ctx, "tls", 3) == NULL) {
        return; /* not in this build */
    }
    if (t_identity_tls(f->env.ctx, suite.tls ? suite.engines[0] : NULL, true,
                       &tls, &err) != 0) {
        fail_msg("%s", err.text);
    }
    talk_through(f, push_tls);
    conduit_tls_unref(tls);
}

static void a_filter_begins_in_the_callback_that_opens(void **state)
{
    talk_through(*state, push_chop);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(tls_begins_in_the_callback_that_opens),
    SUITE_TEST(a_filter_begins_in_the_callback_that_opens),
};

const struct part part_pushing = {tests, sizeof tests / sizeof tests[0]};
