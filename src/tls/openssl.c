/* SPDX-License-Identifier: ISC */
/*
 * TLS 1.2 and 1.3 by OpenSSL: sessions. OpenSSL reads ahead, so that a record
 * comes from below by one call and straight into its buffer; whether a whole
 * record is there is then found out by letting it work with the input shut.
 *
 * There are two sticky errors, since a peer that takes no more may still have
 * sent something, and one that sends no more may still listen. What breaks the
 * protocol sets both.
 */
#include "openssl.h"

#include <openssl/err.h>

static struct cdt_ossl_session *mine(struct cdt_tls_session *session)
{
    return (struct cdt_ossl_session *)session;
}

static const struct cdt_ossl_session *
mine_const(const struct cdt_tls_session *session)
{
    return (const struct cdt_ossl_session *)session;
}

/* ---- making and freeing ------------------------------------------------- */

static void session_free(struct cdt_tls_session *session)
{
    struct cdt_ossl_session *s = mine(session);
    struct cdt_ossl_cred *cred = s->cred;

    if (s->ssl != NULL) {
        if (s->done && !s->fatal) {
            /* Or else OpenSSL forbids to resume what was not shut down. */
            SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        }
        SSL_free(s->ssl);
    }
    cdt_ossl_queue_free(s);
    cdt_ossl_texts_free(s);
    conduit_release(cred->ctx, s->name);
    conduit_release(cred->ctx, s);
    cdt_ossl_cred_unref(cred);
    ERR_clear_error();
}

static bool attach_bio(struct cdt_ossl_session *s)
{
    BIO *bio = BIO_new(s->cred->method);

    if (bio == NULL) {
        return false;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    return true;
}

/* Everything that a session needs after its structure is there. */
static bool set_up(struct cdt_ossl_session *s, const struct cdt_tls_peer *peer)
{
    if (peer->name != NULL && !s->server) {
        s->name = conduit_strdup(s->cred->ctx, peer->name);
        if (s->name == NULL) {
            return false;
        }
    }
    s->ssl = SSL_new(s->cred->ssl_ctx);
    if (s->ssl == NULL || SSL_set_app_data(s->ssl, s) != 1 || !attach_bio(s) ||
        !cdt_ossl_expect(s)) {
        return false;
    }
    if (s->server) {
        SSL_set_accept_state(s->ssl);
        return cdt_ossl_bind(s);
    }
    SSL_set_connect_state(s->ssl);
    return true;
}

static int check_peer(const struct cdt_ossl_cred *cred,
                      const struct cdt_tls_peer *peer,
                      struct conduit_error *err)
{
    if (peer->server && cred->identity_count == 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, "tls", 0,
                                 "a server needs a certificate");
    }
    if (!peer->server && peer->name == NULL && !peer->trust_anybody) {
        return conduit_error_set(err, CONDUIT_EINVAL, "tls", 0,
                                 "there is no name to verify the peer by");
    }
    return 0;
}

static int session_new(struct cdt_tls_credentials *credentials,
                       const struct cdt_tls_peer *peer, struct cdt_tls_io *io,
                       struct cdt_tls_session **out, struct conduit_error *err)
{
    struct cdt_ossl_cred *cred = (struct cdt_ossl_cred *)credentials;
    struct cdt_ossl_session *s;
    int rc = check_peer(cred, peer, err);

    if (rc != 0) {
        return rc;
    }
    s = conduit_alloc(cred->ctx, sizeof *s);
    if (s == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "tls", 0,
                                 "out of memory");
    }
    s->base.engine = &cdt_tls_openssl;
    s->base.io = io;
    s->cred = cred;
    cred->refs++;
    s->server = peer->server;
    s->name_is_ip = peer->name_is_ip;
    s->trust_anybody = peer->trust_anybody;
    ERR_clear_error();
    if (!set_up(s, peer)) {
        rc = conduit_error_set(err, CONDUIT_EINVAL, "tls", 0, "%s",
                               cdt_ossl_reason());
        session_free(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}

/* ---- what OpenSSL answers ----------------------------------------------- */

/* It wants input: what the lower layer said about that. */
static int no_input(struct cdt_ossl_session *s)
{
    s->drained = true;
    if (s->done) {
        /* SSL_MODE_RELEASE_BUFFERS forgets one that a ticket made it take. */
        (void)SSL_free_buffers(s->ssl);
    }
    if (s->input_code == CONDUIT_END) {
        return cdt_ossl_fault(s, CONDUIT_ETRUNCATED, 0, CDT_TLS_TRUNCATED);
    }
    return s->input_code;
}

static int broke(struct cdt_ossl_session *s, int code)
{
    s->fatal = true;
    s->read_failed = code;
    if (s->write_failed == 0) {
        s->write_failed = code;
    }
    return code;
}

/* After a call that did not succeed: AGAIN, END or an error. */
static int answer(struct cdt_ossl_session *s, int rc)
{
    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return no_input(s);
    case SSL_ERROR_ZERO_RETURN:
        return CONDUIT_END;
    default:
        return broke(s, cdt_ossl_fault_from_queue(s));
    }
}

/* ---- the handshake ------------------------------------------------------ */

static int shaken(struct cdt_ossl_session *s)
{
    if (!cdt_ossl_alpn_is_ours(s)) {
        return broke(s, cdt_ossl_fault(s, CONDUIT_ETLS, 0,
                                       "the peer chose a protocol that was "
                                       "not offered"));
    }
    s->done = true;
    cdt_ossl_keep_renewed(s);
    return 0;
}

static int handshake(struct cdt_tls_session *session)
{
    struct cdt_ossl_session *s = mine(session);
    int rc;

    if (s->done || s->read_failed != 0) {
        return s->read_failed;
    }
    if (s->write_failed != 0) {
        return s->write_failed;
    }
    ERR_clear_error();
    if (!s->begun &&
        !s->server) { /* not before: an attempt may never get here */
        s->begun = true;
        cdt_ossl_offer_kept(s);
    }
    rc = SSL_do_handshake(s->ssl);
    if (rc == 1) {
        return shaken(s);
    }
    rc = answer(s, rc);
    if (rc == CONDUIT_END) {
        rc = cdt_ossl_fault(s, CONDUIT_ETLS, 0,
                            "the peer ended it before the handshake was over");
    }
    if (rc == CONDUIT_AGAIN) {
        return s->write_failed != 0 ? s->write_failed : CONDUIT_AGAIN;
    }
    return broke(s, rc);
}

/* ---- plaintext ---------------------------------------------------------- */

static long session_read(struct cdt_tls_session *session, void *buf, size_t n)
{
    struct cdt_ossl_session *s = mine(session);
    size_t got = 0;
    int rc;

    if (s->read_failed != 0) {
        return s->read_failed;
    }
    if (!s->done || n == 0) {
        return CONDUIT_AGAIN;
    }
    ERR_clear_error();
    rc = SSL_read_ex(s->ssl, buf, n, &got);
    if (rc == 1) {
        return (long)got;
    }
    rc = answer(s, rc);
    if (rc != CONDUIT_AGAIN) {
        s->read_failed = rc;
    }
    return rc;
}

static long session_write(struct cdt_tls_session *session, const void *buf,
                          size_t n)
{
    struct cdt_ossl_session *s = mine(session);
    size_t taken = 0;
    int rc;

    if (s->write_failed != 0) {
        return s->write_failed;
    }
    if (s->closed) {
        return CONDUIT_ECLOSED;
    }
    if (!s->done || n == 0) {
        return CONDUIT_AGAIN;
    }
    rc = cdt_ossl_push(s);
    if (rc != 0) {
        return rc;
    }
    ERR_clear_error();
    rc = SSL_write_ex(s->ssl, buf, n < CDT_TLS_RECORD ? n : CDT_TLS_RECORD,
                      &taken);
    if (s->write_failed != 0) {
        return s->write_failed;
    }
    return rc == 1 ? (long)taken : answer(s, rc);
}

static int session_flush(struct cdt_tls_session *session)
{
    return cdt_ossl_push(mine(session));
}

/* A message of the peer's has come in part, after the handshake: until the rest
 * is there OpenSSL takes no plaintext, and does not close. */
static bool in_message(const struct cdt_ossl_session *s)
{
    return s->done && s->read_failed == 0 && s->write_failed == 0 &&
           SSL_in_init(s->ssl) != 0;
}

static int session_close(struct cdt_tls_session *session)
{
    struct cdt_ossl_session *s = mine(session);

    if (s->write_failed != 0) {
        return s->write_failed;
    }
    if (s->closed) {
        return 0;
    }
    if (in_message(s)) {
        int rc;

        ERR_clear_error();
        rc = SSL_do_handshake(s->ssl);
        if (rc != 1) {
            return answer(s, rc);
        }
    }
    s->closed = true;
    if (s->done) {
        ERR_clear_error();
        if (SSL_shutdown(s->ssl) < 0) {
            return answer(s, -1);
        }
    }
    return s->write_failed;
}

/* ---- state -------------------------------------------------------------- */

static unsigned session_wants(const struct cdt_tls_session *session)
{
    const struct cdt_ossl_session *s = mine_const(session);
    unsigned wants = 0;

    if ((!s->done && s->read_failed == 0) || in_message(s)) {
        wants |= CONDUIT_READ;
    }
    if (s->queued > 0) {
        wants |= CONDUIT_WRITE;
    }
    return wants;
}

/* Decrypts the next record if all of it is there; nobody can tell. */
static bool look(struct cdt_ossl_session *s)
{
    char byte;
    size_t got;
    int rc;

    s->gated = true;
    s->input_code = CONDUIT_AGAIN;
    ERR_clear_error();
    rc = SSL_peek_ex(s->ssl, &byte, 1, &got);
    s->gated = false;
    if (rc == 1) {
        return true;
    }
    rc = answer(s, rc);
    if (rc == CONDUIT_AGAIN) {
        return false;
    }
    s->read_failed = rc;
    return true;
}

static bool session_readable(const struct cdt_tls_session *session)
{
    const struct cdt_ossl_session *s = mine_const(session);

    if (s->read_failed != 0) {
        return true;
    }
    if (!s->done) {
        return false;
    }
    if (SSL_pending(s->ssl) > 0) {
        return true;
    }
    return !s->drained && SSL_has_pending(s->ssl) == 1 &&
           look((struct cdt_ossl_session *)session);
}

static bool session_deaf(const struct cdt_tls_session *session)
{
    (void)session;
    return false;
}

static bool session_half_close(const struct cdt_tls_session *session)
{
    const struct cdt_ossl_session *s = mine_const(session);

    return s->done && SSL_version(s->ssl) >= TLS1_3_VERSION;
}

const struct cdt_tls_engine cdt_tls_openssl = {
    .name = "openssl",
    .summary = "TLS 1.2 and 1.3 by OpenSSL",
    .min_version = CONDUIT_TLS_1_2,
    .max_version = CONDUIT_TLS_1_3,
    .credentials_new = cdt_ossl_cred_new,
    .credentials_free = cdt_ossl_cred_free,
    .session_new = session_new,
    .session_free = session_free,
    .handshake = handshake,
    .read = session_read,
    .write = session_write,
    .flush = session_flush,
    .close = session_close,
    .wants = session_wants,
    .readable = session_readable,
    .deaf = session_deaf,
    .half_close = session_half_close,
    .facts = cdt_ossl_facts,
};
