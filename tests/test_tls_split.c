/* SPDX-License-Identifier: ISC */
/*
 * A message that a peer begins after the handshake and ends only later. OpenSSL
 * takes no plaintext in between; the connection waits for the rest of it, which
 * must neither keep the loop awake nor be slept through.
 *
 * The peer is OpenSSL over buffers: a ticket too large for one record.
 */
#include "support.h"

#include "test_identity.h"
#include "tls_certs.h"

#include <openssl/ssl.h>

#define LARGE 100000u
#define TICKET 1500u /* more than two of the smallest records */

struct peer {
    struct t_env *env;
    struct conduit_conn *conn;
    struct tls_cert *cert;
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in;
    BIO *out;
    uint64_t received;
    bool ended;         /* by close_notify */
    uint8_t held[8192]; /* the rest of the ticket */
    size_t held_size;
};

struct split {
    struct peer peer;
    struct t_server listener;
    struct t_client dial;
    struct t_conn client;
    struct conduit_tls *tls;
};

static int fill_ticket(SSL *ssl, void *arg)
{
    static const uint8_t data[TICKET];

    (void)arg;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data,
                                           sizeof data);
}

static void send_out(struct peer *p)
{
    uint8_t buf[4096];
    int n;

    while ((n = BIO_read(p->out, buf, sizeof buf)) > 0) {
        T_CHECK(p->env, conduit_conn_write(p->conn, buf, (size_t)n) == n);
    }
}

static void read_plaintext(struct peer *p)
{
    uint8_t buf[4096];
    int n;

    while ((n = SSL_read(p->ssl, buf, sizeof buf)) > 0) {
        T_CHECK(p->env, t_match(1, p->received, buf, (size_t)n));
        p->received += (uint64_t)n;
    }
    p->ended = SSL_get_error(p->ssl, n) == SSL_ERROR_ZERO_RETURN;
}

static void on_peer(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct peer *p = arg;
    uint8_t buf[4096];
    long n;

    (void)events;
    while ((n = conduit_conn_read(conn, buf, sizeof buf)) > 0) {
        T_CHECK(p->env, BIO_write(p->in, buf, (int)n) == n);
    }
    if (n != CONDUIT_AGAIN) {
        conduit_conn_want(conn, 0);
    }
    read_plaintext(p); /* and shakes hands before */
    send_out(p);
}

static void peer_init(struct peer *p, struct t_env *env)
{
    p->env = env;
    p->cert = tls_cert_new(
        &(struct tls_cert_spec){.cn = "peer", .san = "DNS:" T_IDENTITY_NAME});
    p->ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(p->ctx);
    assert_int_equal(SSL_CTX_use_certificate(p->ctx, p->cert->x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(p->ctx, p->cert->pkey), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(p->ctx, TLS1_3_VERSION), 1);
    assert_int_equal(SSL_CTX_set_num_tickets(p->ctx, 0), 1);
    assert_int_equal(
        SSL_CTX_set_session_ticket_cb(p->ctx, fill_ticket, NULL, NULL), 1);
    assert_int_equal(SSL_CTX_set_max_send_fragment(p->ctx, 512), 1);
    p->ssl = SSL_new(p->ctx);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    assert_true(p->ssl != NULL && p->in != NULL && p->out != NULL);
    SSL_set_bio(p->ssl, p->in, p->out);
    SSL_set_accept_state(p->ssl);
}

static void begin(struct split *s, struct t_env *env)
{
    struct conduit_options options = {.tls_name = T_IDENTITY_NAME};
    struct conduit_error err = {0};

    memset(s, 0, sizeof *s);
    peer_init(&s->peer, env);
    assert_int_equal(t_identity_tls(env->ctx, "openssl", false, &s->tls, &err),
                     0);
    conduit_tls_trust_anybody(s->tls);
    options.tls = s->tls;
    t_listen(&s->listener, env, "mem://split", NULL);
    t_dial(&s->dial, env, "tls+mem://split", &options);
    T_UNTIL(env, s->listener.tail > 0);
    s->peer.conn = t_accepted(&s->listener);
    conduit_conn_set_handler(s->peer.conn, on_peer, &s->peer, CONDUIT_READ);
    T_UNTIL(env, s->dial.calls > 0 && SSL_is_init_finished(s->peer.ssl));
    assert_non_null(s->dial.conn);
    s->client.out = 1;
    s->client.push = true;
    s->client.pull = true;
    t_attach(&s->client, env, s->dial.conn, CONDUIT_READ);
}

/* Sends the first record of a ticket, which the client reads. */
static void send_part(struct split *s)
{
    struct peer *p = &s->peer;
    size_t first;
    int n;

    assert_int_equal(SSL_new_session_ticket(p->ssl), 1);
    assert_int_equal(SSL_do_handshake(p->ssl), 1);
    n = BIO_read(p->out, p->held, sizeof p->held);
    assert_true(n > 5 && (size_t)n < sizeof p->held);
    first = 5 + ((size_t)p->held[3] << 8) + p->held[4];
    assert_true(first < (size_t)n);
    assert_int_equal(conduit_conn_write(p->conn, p->held, first), first);
    p->held_size = (size_t)n - first;
    memmove(p->held, p->held + first, p->held_size);
    t_turns(p->env, 5);
}

static void send_rest(struct split *s)
{
    assert_int_equal(
        conduit_conn_write(s->peer.conn, s->peer.held, s->peer.held_size),
        s->peer.held_size);
}

static void end(struct split *s)
{
    struct t_env *env = s->peer.env;

    conduit_conn_abort(s->client.conn);
    conduit_conn_abort(s->peer.conn);
    t_unlisten(&s->listener);
    t_turns(env, 2);
    SSL_free(s->peer.ssl);
    SSL_CTX_free(s->peer.ctx);
    tls_cert_free(s->peer.cert);
    conduit_tls_unref(s->tls);
}

static void writes_wait(struct t_env *env, unsigned events)
{
    struct split s;

    begin(&s, env);
    send_part(&s);
    s.client.goal = LARGE;
    t_want(&s.client, events);
    t_turns(env, 5);
    assert_in_range(t_turns_in(env, 50), 0, 5);
    assert_in_range(s.client.sent, 0, LARGE - 1);
    assert_int_equal(s.peer.received, 0);
    send_rest(&s);
    T_UNTIL(env, s.peer.received == LARGE || s.client.send_end != 0);
    assert_int_equal(s.client.send_end, 0);
    assert_in_range(t_turns_in(env, 50), 0, 5);
    end(&s);
}

static void a_reader_writes(void **state)
{
    writes_wait(*state, CONDUIT_READ | CONDUIT_WRITE);
}

static void who_does_not_read_writes(void **state)
{
    writes_wait(*state, CONDUIT_WRITE);
}

static void closing_waits(void **state)
{
    struct t_env *env = *state;
    struct split s;

    begin(&s, env);
    send_part(&s);
    s.client.goal = 1;
    t_push(&s.client);
    conduit_conn_close(s.client.conn);
    s.client.conn = NULL;
    t_turns(env, 5);
    assert_in_range(t_turns_in(env, 50), 0, 5);
    assert_false(s.peer.ended);
    send_rest(&s);
    T_UNTIL(env, s.peer.ended);
    assert_int_equal(s.peer.received, 1);
    end(&s);
}

/* Nothing to write: close_notify waits alone. */
static void ending_waits(void **state)
{
    struct t_env *env = *state;
    struct split s;

    begin(&s, env);
    send_part(&s);
    assert_int_equal(conduit_conn_finish(s.client.conn, false), 0);
    t_turns(env, 5);
    assert_in_range(t_turns_in(env, 50), 0, 5);
    assert_false(s.peer.ended);
    send_rest(&s);
    T_UNTIL(env, s.peer.ended);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(a_reader_writes),
        T_TEST(who_does_not_read_writes),
        T_TEST(closing_waits),
        T_TEST(ending_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
