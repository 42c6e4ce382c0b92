/* SPDX-License-Identifier: ISC */
/* Credentials for tests: see tls_cred.h. */
#include "tls_cred.h"

#include "support.h"

struct conduit_tls_source tls_source(const char *name, const char *text)
{
    return (struct conduit_tls_source){
        .name = name, .data = text, .size = strlen(text)};
}

static void fill_policy(const struct cdt_tls_engine *engine,
                        struct conduit_tls_policy *policy)
{
    if (policy->min_version == 0) {
        policy->min_version = engine->min_version;
    }
    if (policy->max_version == 0) {
        policy->max_version = engine->max_version;
    }
    if (policy->min_rsa_bits == 0) {
        policy->min_rsa_bits = 2048;
    }
}

struct cdt_tls_credentials *tls_cred_try(const struct cdt_tls_engine *engine,
                                         struct conduit_ctx *ctx,
                                         struct tls_cred_spec *spec,
                                         struct conduit_error *err)
{
    struct conduit_tls_identity identities[TLS_CRED_MAX];
    struct conduit_tls_source authorities[TLS_CRED_MAX];
    struct conduit_tls_source crls[TLS_CRED_MAX];
    struct cdt_tls_material material = {.options = &spec->options,
                                        .identities = identities,
                                        .authorities = authorities,
                                        .crls = crls};
    struct cdt_tls_credentials *cred = NULL;

    for (size_t i = 0; spec->identities[i] != NULL; i++) {
        identities[i].chain = tls_source("chain", spec->identities[i]->chain);
        identities[i].key = tls_source("key", spec->identities[i]->key);
        material.identity_count++;
    }
    for (size_t i = 0; spec->authorities[i] != NULL; i++) {
        authorities[i] = tls_source("ca", spec->authorities[i]->pem);
        material.authority_count++;
    }
    for (size_t i = 0; spec->crls[i] != NULL; i++) {
        crls[i] = tls_source("crl", spec->crls[i]);
        material.crl_count++;
    }
    fill_policy(engine, &spec->options.policy);
    if (engine->credentials_new(ctx, &material, &cred, err) != 0) {
        return NULL;
    }
    assert_non_null(cred);
    return cred;
}

struct cdt_tls_credentials *tls_cred_new(const struct cdt_tls_engine *engine,
                                         struct conduit_ctx *ctx,
                                         struct tls_cred_spec *spec)
{
    struct conduit_error err = {0};
    struct cdt_tls_credentials *cred = tls_cred_try(engine, ctx, spec, &err);

    if (cred == NULL) {
        fail_msg("%s", err.text);
    }
    return cred;
}
