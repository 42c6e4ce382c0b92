/* SPDX-License-Identifier: ISC */
/*
 * A peer of BearSSL's engine that asks for another handshake is refused, which
 * has to wait while records of ours are stuck. That is not the end of what the
 * peer says.
 */
#include "support.h"

#include "openssl.h"
#include "tls_cred.h"
#include "tls_pipe.h"

#define BEARSSL (&cdt_tls_bearssl)
#define OPENSSL (&cdt_tls_openssl)

struct duo {
    struct tls_cert *ca;
    struct tls_cert *leaf;
    struct tls_cred_spec client_spec;
    struct tls_cred_spec server_spec;
    struct tls_pipe_pair pair;
    struct tls_pipe pipe;
    struct tls_pipe_end *ours;  /* BearSSL's */
    struct tls_pipe_end *peers; /* OpenSSL's */
};

static void duo_init(struct duo *d, struct t_env *env, bool server)
{
    struct conduit_error err = {0};

    memset(d, 0, sizeof *d);
    d->ca = tls_cert_new(&(struct tls_cert_spec){.cn = "CA", .ca = true});
    d->leaf = tls_cert_new(&(struct tls_cert_spec){
        .cn = "server", .san = "DNS:a.example", .issuer = d->ca});
    d->client_spec.authorities[0] = d->ca;
    d->server_spec.authorities[0] = d->ca;
    d->server_spec.identities[0] = d->leaf;
    d->pair.client_engine = server ? OPENSSL : BEARSSL;
    d->pair.server_engine = server ? BEARSSL : OPENSSL;
    d->pair.name = "a.example";
    d->pair.client = tls_cred_new(d->pair.client_engine, env->ctx,
                                  &d->client_spec);
    d->pair.server = tls_cred_new(d->pair.server_engine, env->ctx,
                                  &d->server_spec);
    d->ours = server ? &d->pipe.server : &d->pipe.client;
    d->peers = server ? &d->pipe.client : &d->pipe.server;
    assert_int_equal(tls_pipe_init(&d->pipe, &d->pair, 0, 0, &err), 0);
    assert_true(tls_pipe_handshake(&d->pipe));
    tls_pipe_flush(&d->pipe);
}

static void duo_fini(struct duo *d)
{
    tls_pipe_fini(&d->pipe);
    d->pair.client_engine->credentials_free(d->pair.client);
    d->pair.server_engine->credentials_free(d->pair.server);
    tls_cert_free(d->leaf);
    tls_cert_free(d->ca);
}

/* The peer asks for another handshake, which it does not do by itself. */
static SSL *ask(struct duo *d)
{
    SSL *ssl = ((struct cdt_ossl_session *)d->peers->session)->ssl;

    (void)SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
    assert_int_equal(SSL_renegotiate(ssl), 1);
    (void)SSL_do_handshake(ssl);
    return ssl;
}

/* With a record of ours that is stuck, or one that is not sealed yet. */
static void refuse(struct duo *d, bool sealed)
{
    struct cdt_tls_session *s = d->ours->session;
    uint64_t before = d->ours->in->total;
    char buf[64];

    d->ours->out->capacity = 10;
    assert_int_equal(BEARSSL->write(s, "before", 6), 6);
    if (sealed) {
        assert_int_equal(BEARSSL->flush(s), CONDUIT_AGAIN);
    }
    (void)ask(d);
    assert_true(d->ours->in->total > before);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(BEARSSL->read(s, buf, sizeof buf), CONDUIT_AGAIN);
        assert_false(BEARSSL->readable(s));
        assert_int_equal(BEARSSL->write(s, "x", 1), CONDUIT_AGAIN);
        assert_int_equal(BEARSSL->wants(s), CONDUIT_WRITE);
    }
    d->ours->out->capacity = 0;
    assert_int_equal(BEARSSL->flush(s), 0);
    assert_int_equal(BEARSSL->read(s, buf, sizeof buf), CONDUIT_AGAIN);
    assert_int_equal(BEARSSL->wants(s), 0);
    assert_int_equal(BEARSSL->write(s, "x", 1), 1);
    assert_int_equal(BEARSSL->flush(s), 0);
}

static void a_client_refuses(void **state)
{
    for (int sealed = 0; sealed < 2; sealed++) {
        struct duo d;
        char buf[64];

        duo_init(&d, *state, false);
        refuse(&d, sealed == 1);
        assert_int_equal(OPENSSL->read(d.peers->session, buf, sizeof buf), 6);
        assert_memory_equal(buf, "before", 6);
        duo_fini(&d);
    }
}

static void a_server_refuses(void **state)
{
    for (int sealed = 0; sealed < 2; sealed++) {
        struct duo d;

        duo_init(&d, *state, true);
        refuse(&d, sealed == 1);
        duo_fini(&d);
    }
}

/* What the peer says behind its request waits for the refusal. */
static void bytes_behind_a_request(void **state)
{
    struct duo d;
    struct cdt_tls_session *s;
    char buf[64];

    duo_init(&d, *state, false);
    s = d.ours->session;
    d.ours->out->capacity = 10;
    assert_int_equal(BEARSSL->write(s, "before", 6), 6);
    assert_int_equal(BEARSSL->flush(s), CONDUIT_AGAIN);
    assert_int_equal(SSL_write(ask(&d), "behind", 6), 6);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(BEARSSL->read(s, buf, sizeof buf), CONDUIT_AGAIN);
        assert_false(BEARSSL->readable(s));
        assert_true(BEARSSL->deaf(s));
    }
    d.ours->out->capacity = 0;
    assert_int_equal(BEARSSL->read(s, buf, sizeof buf), 6);
    assert_memory_equal(buf, "behind", 6);
    assert_false(BEARSSL->deaf(s));
    duo_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(a_client_refuses),
        T_TEST(a_server_refuses),
        T_TEST(bytes_behind_a_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
