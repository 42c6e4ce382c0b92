/* SPDX-License-Identifier: ISC */
/* A client and a server of BearSSL for tests: see tls_bearssl.h. */
#include "tls_bearssl.h"

struct conduit_tls_source t_bearssl_source(const char *pem)
{
    return (struct conduit_tls_source){
        .name = "memory.pem", .data = pem, .size = strlen(pem)};
}

struct conduit_tls_identity t_bearssl_identity(const char *chain,
                                               const char *key)
{
    return (struct conduit_tls_identity){t_bearssl_source(chain),
                                         t_bearssl_source(key)};
}

static void make(struct t_bearssl *t, struct cdt_tls_credentials **cred,
                 const struct conduit_tls_options *options,
                 const struct conduit_tls_identity *identities, size_t count)
{
    struct conduit_tls_source authority = t_bearssl_source(
        t->authorities != NULL ? t->authorities : t->ca->pem);
    struct cdt_tls_material material = {.options = options,
                                        .identities = identities,
                                        .identity_count = count,
                                        .authorities = &authority,
                                        .authority_count = 1};
    struct conduit_error err = {0};

    if (*cred != NULL) {
        cdt_tls_bearssl.credentials_free(*cred);
    }
    *cred = NULL;
    if (cdt_tls_bearssl.credentials_new(t->env.ctx, &material, cred, &err) !=
        0) {
        fail_msg("%s", err.text);
    }
}

void t_bearssl_serve_all(struct t_bearssl *t,
                         const struct conduit_tls_identity *identities,
                         size_t count)
{
    make(t, &t->server, &t->server_options, identities, count);
}

void t_bearssl_serve(struct t_bearssl *t, const char *chain, const char *key)
{
    struct conduit_tls_identity one = t_bearssl_identity(chain, key);

    t_bearssl_serve_all(t, &one, 1);
}

void t_bearssl_show(struct t_bearssl *t, const char *chain, const char *key)
{
    struct conduit_tls_identity one;

    if (chain == NULL) {
        make(t, &t->client, &t->client_options, NULL, 0);
    } else {
        one = t_bearssl_identity(chain, key);
        make(t, &t->client, &t->client_options, &one, 1);
    }
}

const char *t_bearssl_bad(struct t_bearssl *t,
                          const struct cdt_tls_material *material, int code)
{
    static _Thread_local struct conduit_error err;
    struct cdt_tls_credentials *cred = NULL;

    memset(&err, 0, sizeof err);
    assert_int_equal(
        cdt_tls_bearssl.credentials_new(t->env.ctx, material, &cred, &err),
        code);
    assert_null(cred);
    return err.text;
}

int t_bearssl_setup(void **state)
{
    struct t_bearssl *t = calloc(1, sizeof *t);

    assert_non_null(t);
    t_env_init(&t->env);
    t->ca = tls_cert_new(
        &(struct tls_cert_spec){.cn = "authority", .ca = true});
    t->leaf = tls_cert_new(&(struct tls_cert_spec){.cn = "server",
                                                   .san = "DNS:host.example",
                                                   .usage = "serverAuth",
                                                   .issuer = t->ca});
    t->client_leaf = tls_cert_new(&(struct tls_cert_spec){
        .cn = "bob", .usage = "clientAuth", .issuer = t->ca});
    t->stranger = tls_cert_new(
        &(struct tls_cert_spec){.cn = "stranger", .san = "DNS:host.example"});
    t->name = "host.example";
    t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
    t_bearssl_show(t, NULL, NULL);
    *state = t;
    return 0;
}

int t_bearssl_teardown(void **state)
{
    struct t_bearssl *t = *state;

    tls_pipe_fini(&t->pipe);
    if (t->client != NULL) {
        cdt_tls_bearssl.credentials_free(t->client);
    }
    if (t->server != NULL) {
        cdt_tls_bearssl.credentials_free(t->server);
    }
    tls_cert_free(t->ca);
    tls_cert_free(t->leaf);
    tls_cert_free(t->client_leaf);
    tls_cert_free(t->stranger);
    t_env_fini(&t->env);
    free(t);
    return 0;
}

void t_bearssl_open(struct t_bearssl *t, size_t chunk, size_t capacity)
{
    struct tls_pipe_pair pair = {
        .client_engine = &cdt_tls_bearssl,
        .server_engine = &cdt_tls_bearssl,
        .client = t->client,
        .server = t->server,
        .name = t->name,
        .name_is_ip = t->name_is_ip,
        .client_trusts_anybody = t->client_trusts_anybody};
    struct conduit_error err = {0};

    tls_pipe_fini(&t->pipe);
    if (tls_pipe_init(&t->pipe, &pair, chunk, capacity, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static const char *why(const struct tls_pipe_end *end)
{
    return end->session->fault.text != NULL ? end->session->fault.text
                                            : "no fault";
}

void t_bearssl_connect(struct t_bearssl *t, size_t chunk, size_t capacity)
{
    t_bearssl_open(t, chunk, capacity);
    if (!tls_pipe_handshake(&t->pipe)) {
        fail_msg("client %d (%s), server %d (%s)", t->pipe.client.result,
                 why(&t->pipe.client), t->pipe.server.result,
                 why(&t->pipe.server));
    }
}

void t_bearssl_refused(struct t_bearssl *t, struct tls_pipe_end *by,
                       const char *text)
{
    t_bearssl_open(t, 0, 0);
    assert_false(tls_pipe_handshake(&t->pipe));
    assert_true(by->result == CONDUIT_ECERT || by->result == CONDUIT_ETLS);
    assert_int_equal(by->session->fault.code, by->result);
    assert_string_equal(why(by), text);
}
