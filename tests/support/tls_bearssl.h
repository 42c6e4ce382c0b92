/* SPDX-License-Identifier: ISC */
/*
 * A client and a server of BearSSL for tests: an authority, a server's
 * certificate for host.example, and what goes on between the two in a pipe.
 */
#ifndef TESTS_TLS_BEARSSL_H
#define TESTS_TLS_BEARSSL_H

#include "support.h"

#include "tls_certs.h"
#include "tls_pipe.h"

struct t_bearssl {
    struct t_env env;
    struct tls_cert *ca;
    struct tls_cert *leaf;        /* CN=server, host.example, of the CA */
    struct tls_cert *client_leaf; /* CN=bob, for clients, of the CA */
    struct tls_cert *stranger;    /* CN=stranger, self-signed */
    struct conduit_tls_options client_options;
    struct conduit_tls_options server_options;
    struct cdt_tls_credentials *client;
    struct cdt_tls_credentials *server;
    const char *authorities; /* of both ends; NULL: the CA */
    const char *name;
    bool name_is_ip;
    bool client_trusts_anybody;
    struct tls_pipe pipe;
};

int t_bearssl_setup(void **state);
int t_bearssl_teardown(void **state);

struct conduit_tls_source t_bearssl_source(const char *pem);
struct conduit_tls_identity t_bearssl_identity(const char *chain,
                                               const char *key);

/* New credentials of the server, or of the client (no certificate: NULL), by
 * the options that are there. */
void t_bearssl_serve(struct t_bearssl *t, const char *chain, const char *key);
void t_bearssl_serve_all(struct t_bearssl *t,
                         const struct conduit_tls_identity *identities,
                         size_t count);
void t_bearssl_show(struct t_bearssl *t, const char *chain, const char *key);

/* Makes credentials that must fail; answers the report's text. */
const char *t_bearssl_bad(struct t_bearssl *t,
                          const struct cdt_tls_material *material, int code);

/* Makes the pipe; and shakes hands in it, which must work; or must fail at one
 * end, for a reason. */
void t_bearssl_open(struct t_bearssl *t, size_t chunk, size_t capacity);
void t_bearssl_connect(struct t_bearssl *t, size_t chunk, size_t capacity);
void t_bearssl_refused(struct t_bearssl *t, struct tls_pipe_end *by,
                       const char *text);

#endif
