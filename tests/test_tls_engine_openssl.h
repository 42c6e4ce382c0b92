/* SPDX-License-Identifier: ISC */
/*
 * For the tests of the OpenSSL engine: certificates that are made once a
 * program, and two ends with what most tests begin with.
 */
#ifndef TEST_TLS_ENGINE_OPENSSL_H
#define TEST_TLS_ENGINE_OPENSSL_H

#include "support.h"
#include "tls_cred.h"
#include "tls_pipe.h"

#define ENGINE (&cdt_tls_openssl)

static struct tls_cert *ca;
static struct tls_cert *ec_cert;
static struct tls_cert *rsa_cert;
static struct tls_cert *other_cert;
static struct tls_cert *client_cert;

static inline int make_certs(void **state)
{
    (void)state;
    ca = tls_cert_new(&(struct tls_cert_spec){.cn = "CA", .ca = true});
    ec_cert = tls_cert_new(&(struct tls_cert_spec){.cn = "server",
                                                   .san = "DNS:a.example,"
                                                          "IP:192.0.2.1",
                                                   .issuer = ca});
    rsa_cert = tls_cert_new(&(struct tls_cert_spec){
        .cn = "rsa", .san = "DNS:a.example", .rsa_bits = 2048, .issuer = ca});
    other_cert = tls_cert_new(&(struct tls_cert_spec){
        .cn = "other", .san = "DNS:*.b.example", .issuer = ca});
    client_cert = tls_cert_new(&(struct tls_cert_spec){
        .cn = "cli\tent", .usage = "clientAuth", .issuer = ca});
    return 0;
}

static inline int free_certs(void **state)
{
    (void)state;
    tls_cert_free(ca);
    tls_cert_free(ec_cert);
    tls_cert_free(rsa_cert);
    tls_cert_free(other_cert);
    tls_cert_free(client_cert);
    return 0;
}

/* Both ends of a test, with what most tests begin with. */
struct duo {
    struct t_env *env;
    struct tls_cred_spec client_spec;
    struct tls_cred_spec server_spec;
    struct tls_pipe_pair pair;
    struct tls_pipe pipe;
    size_t chunk;
    size_t capacity;
};

static inline void duo_init(struct duo *d, void **state)
{
    memset(d, 0, sizeof *d);
    d->env = *state;
    d->client_spec.authorities[0] = ca;
    d->server_spec.authorities[0] = ca;
    d->server_spec.identities[0] = ec_cert;
    d->pair.client_engine = d->pair.server_engine = ENGINE;
    d->pair.name = "a.example";
}

static inline void duo_version(struct duo *d, unsigned version)
{
    d->client_spec.options.policy.min_version = version;
    d->client_spec.options.policy.max_version = version;
}

static inline void duo_credentials(struct duo *d)
{
    d->pair.client = tls_cred_new(ENGINE, d->env->ctx, &d->client_spec);
    d->pair.server = tls_cred_new(ENGINE, d->env->ctx, &d->server_spec);
}

/* A new connection with the credentials; whether the handshake succeeded. */
static inline bool duo_shake(struct duo *d)
{
    struct conduit_error err = {0};

    tls_pipe_fini(&d->pipe);
    if (d->pair.client == NULL) {
        duo_credentials(d);
    }
    if (tls_pipe_init(&d->pipe, &d->pair, d->chunk, d->capacity, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tls_pipe_handshake(&d->pipe);
}

static inline void must_shake(struct duo *d)
{
    if (!duo_shake(d)) {
        const struct cdt_tls_fault *c = &d->pipe.client.session->fault;
        const struct cdt_tls_fault *s = &d->pipe.server.session->fault;

        fail_msg("client %d %s, server %d %s", d->pipe.client.result,
                 c->text != NULL ? c->text : "", d->pipe.server.result,
                 s->text != NULL ? s->text : "");
    }
}

static inline void duo_fini(struct duo *d)
{
    /* Sessions may outlive credentials. */
    ENGINE->credentials_free(d->pair.client);
    ENGINE->credentials_free(d->pair.server);
    tls_pipe_fini(&d->pipe);
}

static inline struct conduit_tls_facts facts_of(const struct tls_pipe_end *end)
{
    struct conduit_tls_facts facts = {0};

    end->engine->facts(end->session, &facts);
    return facts;
}

static inline void stream_both_ways(struct duo *d, size_t n, size_t piece)
{
    struct tls_pipe *p = &d->pipe;

    assert_int_equal(tls_pipe_stream(p, &p->client, &p->server, 1, n, piece),
                     n);
    assert_int_equal(tls_pipe_stream(p, &p->server, &p->client, 2, n, piece),
                     n);
}

#endif
