/* SPDX-License-Identifier: ISC */
/* Credentials of any engine from certificates that a test has made. */
#ifndef TESTS_TLS_CRED_H
#define TESTS_TLS_CRED_H

#include "tls.h"
#include "tls_certs.h"

#define TLS_CRED_MAX 4

/* Zeroes are the defaults. It must stay as long as the credentials; lists end
 * with NULL. */
struct tls_cred_spec {
    const struct tls_cert *identities[TLS_CRED_MAX + 1];
    const struct tls_cert *authorities[TLS_CRED_MAX + 1];
    const char *crls[TLS_CRED_MAX + 1];
    struct conduit_tls_options options; /* all but sources */
};

/* NULL and an error where the engine refuses. */
struct cdt_tls_credentials *tls_cred_try(const struct cdt_tls_engine *engine,
                                         struct conduit_ctx *ctx,
                                         struct tls_cred_spec *spec,
                                         struct conduit_error *err);

/* Fails the test where the engine refuses. */
struct cdt_tls_credentials *tls_cred_new(const struct cdt_tls_engine *engine,
                                         struct conduit_ctx *ctx,
                                         struct tls_cred_spec *spec);

/* A source of a text in memory. */
struct conduit_tls_source tls_source(const char *name, const char *text);

#endif
