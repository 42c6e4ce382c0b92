/* SPDX-License-Identifier: ISC */
/*
 * TLS as a layer of the suite: configurations of both roles by the engines that
 * the program was started for.
 */
#include "conformance.h"

#include "test_identity.h"

static struct conduit_tls *make(struct t_env *env, const char *engine)
{
    struct conduit_error err = {0};
    struct conduit_tls *tls = NULL;

    if (t_identity_tls(env->ctx, engine, true, &tls, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tls;
}

void suite_tls_setup(struct t_env *env)
{
    env->tls_client = make(env, suite.engines[0]);
    env->tls_server = make(env, suite.engines[1]);
    env->tls_name = T_IDENTITY_NAME;
}

void suite_tls_teardown(struct t_env *env)
{
    conduit_tls_unref(env->tls_client);
    conduit_tls_unref(env->tls_server);
    env->tls_client = NULL;
    env->tls_server = NULL;
}

/* TLS 1.2 ends both ways at once, and BearSSL has no more. */
unsigned suite_tls_caps(unsigned caps)
{
    bool half = strcmp(suite.engines[0], "openssl") == 0 &&
                strcmp(suite.engines[1], "openssl") == 0;

    return half ? caps : caps & ~(unsigned)CONDUIT_CAP_HALF_CLOSE;
}
