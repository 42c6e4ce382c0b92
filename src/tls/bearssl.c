/* SPDX-License-Identifier: ISC */
/*
 * Sessions by BearSSL: TLS 1.2, both roles, in a few buffers that are there
 * from the start (37 KB a session). Certificates are judged in bearssl_x509.c.
 *
 * BearSSL has no half-close: it throws away what comes after its own
 * close_notify. It sends no alert when a certificate is refused; since that is
 * always before anything is encrypted, the record of the alert is made here.
 */
#include "bearssl_engine.h"

#include <string.h>

#define LAYER "tls"
#define MET_MAX 64 /* servers remembered for resumption */

static struct cdt_bearssl_session *own(struct cdt_tls_session *base)
{
    return (struct cdt_bearssl_session *)base;
}

static const struct cdt_bearssl_session *
own_const(const struct cdt_tls_session *base)
{
    return (const struct cdt_bearssl_session *)base;
}

static unsigned state(const struct cdt_bearssl_session *s)
{
    return br_ssl_engine_current_state(&s->u.engine);
}

/* ---- failures ----------------------------------------------------------- */

struct cause {
    int native;
    unsigned alert; /* 0: none */
    const char *text;
};

/* BearSSL's errors that a peer can bring about, with the alert that is due. */
static const struct cause causes[] = {
    {BR_ERR_UNSUPPORTED_VERSION, 70, "no TLS version in common"},
    {BR_ERR_BAD_VERSION, 70, "a record or message of another TLS version"},
    {BR_ERR_BAD_LENGTH, 50, "a message of a length that cannot be"},
    {BR_ERR_TOO_LARGE, 22, "a record is too long"},
    {BR_ERR_BAD_MAC, 20, "a record does not verify"},
    {BR_ERR_NO_RANDOM, 80, "there is no entropy"},
    {BR_ERR_UNKNOWN_TYPE, 10, "a record of an unknown kind"},
    {BR_ERR_UNEXPECTED, 10, "a message that was not expected"},
    {BR_ERR_BAD_CCS, 10, "a damaged change of ciphers"},
    {BR_ERR_BAD_ALERT, 50, "a damaged alert"},
    {BR_ERR_BAD_HANDSHAKE, 50, "a damaged handshake message"},
    {BR_ERR_OVERSIZED_ID, 50, "a session id is too long"},
    {BR_ERR_BAD_CIPHER_SUITE, 47, "a cipher that was not offered"},
    {BR_ERR_BAD_COMPRESSION, 47, "a compression that was not offered"},
    {BR_ERR_BAD_FRAGLEN, 47, "a fragment length that was not offered"},
    {BR_ERR_BAD_SECRENEG, 40, "secure renegotiation does not verify"},
    {BR_ERR_EXTRA_EXTENSION, 110, "an extension that was not offered"},
    {BR_ERR_BAD_SNI, 50, "a damaged server name"},
    {BR_ERR_BAD_HELLO_DONE, 50, "a damaged handshake message"},
    {BR_ERR_LIMIT_EXCEEDED, 50, "a key or a message is too large"},
    {BR_ERR_BAD_FINISHED, 51, "the handshake does not verify"},
    {BR_ERR_RESUME_MISMATCH, 47, "a resumed session has changed"},
    {BR_ERR_INVALID_ALGORITHM, 47, "a curve or hash that was not offered"},
    {BR_ERR_BAD_SIGNATURE, 51, "the handshake's signature does not verify"},
    {BR_ERR_WRONG_KEY_USAGE, 43, CDT_TLS_WRONG_USAGE},
    {BR_ERR_NO_CLIENT_AUTH, 40, CDT_TLS_NO_CERTIFICATE},
    {BR_ERR_X509_EXPIRED, 45, NULL},
    {BR_ERR_X509_NOT_TRUSTED, 48, NULL},
    {BR_ERR_X509_NOT_CA, 48, NULL},
    {BR_ERR_X509_FORBIDDEN_KEY_USAGE, 43, NULL},
    {BR_ERR_X509_UNSUPPORTED, 43, NULL},
    {BR_ERR_X509_CRITICAL_EXTENSION, 43, NULL},
    {BR_ERR_X509_BAD_SIGNATURE, 51, NULL},
    {BR_ERR_X509_EMPTY_CHAIN, 40, CDT_TLS_NO_CERTIFICATE},
    {BR_ERR_X509_TIME_UNKNOWN, 80, NULL},
};

/* Of the alerts that BearSSL sends by itself. */
static const struct cause own_alerts[] = {
    {40, 0, "nothing in common with the peer"},
    {70, 0, "no TLS version in common"},
    {86, 0, "somebody has lowered the version"},
    {120, 0, "no application protocol in common"},
};

static const struct cause *find(const struct cause *list, size_t count,
                                int native)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].native == native) {
            return &list[i];
        }
    }
    return NULL;
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static int fail(struct cdt_bearssl_session *s, int code, int native,
                const char *text)
{
    s->failed = code;
    s->base.fault = (struct cdt_tls_fault){code, native, text};
    if (s->offered_size > 0 && !s->server && !s->open) {
        struct cdt_bearssl_remembered *met = cdt_bearssl_cache_by_name(
            s->cred->ctx, &s->cred->met, s->name);

        if (met != NULL) {
            met->until = 0; /* never again (RFC 5246 section 7.2.2) */
        }
    }
    return code;
}

/* A fatal alert as a record of its own, which only goes as long as nothing is
 * encrypted and no record is half sent. */
static void make_alert(struct cdt_bearssl_session *s, unsigned alert)
{
    if (alert == 0 || s->open || s->mid_record ||
        s->u.engine.out.vtable != &br_sslrec_out_clear_vtable) {
        return;
    }
    memcpy(s->alert, "\x15\x03\x03\x00\x02\x02", 6);
    s->alert[6] = (uint8_t)alert;
    s->alert_size = sizeof s->alert;
}

/* The peer's certificate is not acceptable. */
static int fail_cert(struct cdt_bearssl_session *s, int native)
{
    const struct cause *cause = find(causes, COUNT(causes), native);
    const char *text = s->x509.text;

    if (text == NULL) {
        text = cause != NULL && cause->text != NULL ? cause->text
                                                    : CDT_TLS_BAD_CERTIFICATE;
    }
    make_alert(s, cause != NULL ? cause->alert : 42);
    return fail(s, CONDUIT_ECERT, native, text);
}

static bool is_about_certificates(int native)
{
    return native == BR_ERR_NO_CLIENT_AUTH ||
           native == BR_ERR_WRONG_KEY_USAGE ||
           (native >= BR_ERR_X509_OK && native <= BR_ERR_X509_NOT_TRUSTED);
}

/* BearSSL has stopped with an error. */
static int fail_native(struct cdt_bearssl_session *s)
{
    int native = br_ssl_engine_last_error(&s->u.engine);
    const struct cause *cause;

    if (native >= BR_ERR_SEND_FATAL_ALERT) {
        native -= BR_ERR_SEND_FATAL_ALERT;
        cause = find(own_alerts, COUNT(own_alerts), native);
        return fail(s, CONDUIT_ETLS, native,
                    cause != NULL ? cause->text : "the handshake failed");
    }
    if (native >= BR_ERR_RECV_FATAL_ALERT) {
        native -= BR_ERR_RECV_FATAL_ALERT;
        return fail(s, CONDUIT_ETLS, native,
                    cdt_tls_alert_text((unsigned)native));
    }
    if (is_about_certificates(native)) {
        return fail_cert(s, native);
    }
    if (native == BR_ERR_OK) {
        return fail(s, CONDUIT_ETLS, 0, "the peer closed in the handshake");
    }
    cause = find(causes, COUNT(causes), native);
    make_alert(s, cause != NULL ? cause->alert : 80);
    return fail(s, CONDUIT_ETLS, native,
                cause != NULL ? cause->text : "BearSSL failed");
}

static int fail_truncated(struct cdt_bearssl_session *s)
{
    return fail(s, CONDUIT_ETRUNCATED, 0, CDT_TLS_TRUNCATED);
}

/* The same once hands are shaken: who sends no more may still listen. */
static int fail_reading(struct cdt_bearssl_session *s)
{
    s->read_failed = CONDUIT_ETRUNCATED;
    s->base.fault = (struct cdt_tls_fault){CONDUIT_ETRUNCATED, 0,
                                           CDT_TLS_TRUNCATED};
    return CONDUIT_ETRUNCATED;
}

/* ---- ciphertext --------------------------------------------------------- */

/* Sends our own alert: 0, AGAIN or an error. */
static int send_alert(struct cdt_bearssl_session *s)
{
    while (s->alert_at < s->alert_size) {
        long n = s->base.io->output(s->base.io, s->alert + s->alert_at,
                                    s->alert_size - s->alert_at);

        if (n < 0) {
            return (int)n;
        }
        s->alert_at += (size_t)n;
    }
    return 0;
}

/* Sends what is sealed: 0, AGAIN or an error. */
static int send_records(struct cdt_bearssl_session *s)
{
    while ((state(s) & BR_SSL_SENDREC) != 0) {
        size_t size;
        const unsigned char *buf = br_ssl_engine_sendrec_buf(&s->u.engine,
                                                             &size);
        long n = s->base.io->output(s->base.io, buf, size);

        if (n < 0) {
            return (int)n;
        }
        s->mid_record = (size_t)n < size;
        br_ssl_engine_sendrec_ack(&s->u.engine, (size_t)n);
    }
    return 0;
}

/* Takes what comes once; the state must be RECVREC. 1, AGAIN, END, an error. */
static int receive(struct cdt_bearssl_session *s)
{
    size_t size;
    unsigned char *buf = br_ssl_engine_recvrec_buf(&s->u.engine, &size);
    long n = s->base.io->input(s->base.io, buf, size);

    if (n < 0) {
        return (int)n;
    }
    br_ssl_engine_recvrec_ack(&s->u.engine, (size_t)n);
    return 1;
}

/* ---- shaking hands ------------------------------------------------------ */

static char *put_hex(char *at, const uint8_t *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *at++ = digits[data[i] >> 4];
        *at++ = digits[data[i] & 15];
    }
    return at;
}

/* "CLIENT_RANDOM", the client's random bytes, the master secret. */
static void log_key(const struct cdt_bearssl_session *s)
{
    static const char label[] = "CLIENT_RANDOM ";
    char line[sizeof label + 64 + 1 + 96];
    char *at = line;

    memcpy(at, label, sizeof label - 1);
    at = put_hex(at + sizeof label - 1, s->u.engine.client_random, 32);
    *at++ = ' ';
    at = put_hex(at, s->u.engine.session.master_secret, 48);
    *at = '\0';
    s->cred->keylog(s->cred->keylog_arg, line);
    cdt_wipe(line, sizeof line);
}

static void remember_server(struct cdt_bearssl_session *s)
{
    struct cdt_tls_credentials *cred = s->cred;
    struct cdt_bearssl_remembered session = {
        .name = s->name,
        .facts = s->x509.facts,
        .anybody = s->anybody,
    };

    br_ssl_engine_get_session_parameters(&s->u.engine, &session.params);
    if (session.params.session_id_len > 0) {
        cdt_bearssl_cache_save(cred->ctx, &cred->met, MET_MAX, &session);
    }
    cdt_wipe(&session, sizeof session);
}

static void opened(struct cdt_bearssl_session *s)
{
    const br_ssl_session_parameters *params = &s->u.engine.session;

    s->open = true;
    s->resumed = s->offered_size > 0 &&
                 params->session_id_len == s->offered_size &&
                 memcmp(params->session_id, s->offered, s->offered_size) == 0;
    if (s->resumed) {
        s->x509.facts = s->remembered;
    } else if (!s->server && !s->cred->no_resumption && s->name != NULL) {
        remember_server(s);
    }
    if (s->cred->keylog != NULL) {
        log_key(s);
    }
}

/* Sending has failed; the peer may have said why before it went. */
static int fail_sending(struct cdt_bearssl_session *s, int code)
{
    while ((state(s) & BR_SSL_RECVREC) != 0) {
        if (receive(s) <= 0) {
            return code;
        }
    }
    return br_ssl_engine_last_error(&s->u.engine) >= BR_ERR_RECV_FATAL_ALERT
               ? fail_native(s)
               : code;
}

/* A step: 1 to go on, 0 done, AGAIN or an error. */
static int shake(struct cdt_bearssl_session *s)
{
    int rc = send_records(s);
    unsigned now = state(s);

    if (rc != 0) {
        return rc == CONDUIT_AGAIN ? rc : fail_sending(s, rc);
    }
    /* Also where BearSSL would go on without a good certificate. */
    if (s->x509.shown && s->x509.text != NULL && (now & BR_SSL_CLOSED) == 0) {
        return fail_cert(s, (int)s->x509.native);
    }
    if ((now & BR_SSL_CLOSED) != 0) {
        return fail_native(s);
    }
    if ((now & BR_SSL_SENDAPP) != 0) {
        opened(s);
        return 0;
    }
    if ((now & BR_SSL_RECVREC) == 0) {
        return fail_native(s);
    }
    rc = receive(s);
    return rc == CONDUIT_END ? fail_truncated(s) : rc;
}

static int handshake(struct cdt_tls_session *base)
{
    struct cdt_bearssl_session *s = own(base);
    int rc;

    if (s->failed != 0 || s->open) {
        return s->failed;
    }
    do {
        rc = shake(s);
    } while (rc > 0);
    return rc;
}

/* ---- plaintext ---------------------------------------------------------- */

/* Whether close_notify has come. There is no call that tells before ours has
 * gone out, which may have to wait; so its trace is looked for. */
static bool has_ended(const struct cdt_bearssl_session *s)
{
    const br_ssl_engine_context *e = &s->u.engine;

    return s->open && (e->shutdown_recv != 0 ||
                       (e->err == BR_ERR_OK && (state(s) & BR_SSL_CLOSED)));
}

/* The peer asks for another handshake. Until our refusal can follow what is
 * stuck, BearSSL would take the peer's bytes for an error. */
static bool deaf(const struct cdt_tls_session *base)
{
    const struct cdt_bearssl_session *s = own_const(base);

    return s->open && s->u.engine.application_data == 0 &&
           (state(s) & BR_SSL_SENDREC) != 0 && !has_ended(s);
}

/* Nothing more will come: the peer's end, or why. AGAIN: BearSSL wants to send
 * first. */
static long end_of_input(struct cdt_bearssl_session *s)
{
    return (state(s) & BR_SSL_CLOSED) != 0 ? fail_native(s) : CONDUIT_AGAIN;
}

static long take_plaintext(struct cdt_bearssl_session *s, void *buf, size_t n)
{
    size_t size;
    const unsigned char *from = br_ssl_engine_recvapp_buf(&s->u.engine, &size);

    size = size < n ? size : n;
    memcpy(buf, from, size);
    br_ssl_engine_recvapp_ack(&s->u.engine, size);
    return (long)size;
}

static long read_some(struct cdt_tls_session *base, void *buf, size_t n)
{
    struct cdt_bearssl_session *s = own(base);
    unsigned now;

    if (s->failed != 0 || !s->open) {
        return s->failed != 0 ? s->failed : CONDUIT_AGAIN;
    }
    if (s->read_failed != 0) {
        return s->read_failed;
    }
    while (((now = state(s)) & BR_SSL_RECVAPP) == 0) {
        int rc;

        if (has_ended(s)) {
            return CONDUIT_END;
        }
        if (deaf(base)) {
            rc = send_records(s);
            if (rc != 0) {
                return rc;
            }
            continue;
        }
        if ((now & BR_SSL_RECVREC) == 0) {
            return end_of_input(s);
        }
        rc = receive(s);
        if (rc <= 0) {
            return rc == CONDUIT_END ? fail_reading(s) : rc;
        }
    }
    return take_plaintext(s, buf, n);
}

static long write_some(struct cdt_tls_session *base, const void *buf, size_t n)
{
    struct cdt_bearssl_session *s = own(base);
    unsigned char *to;
    size_t size;
    int rc;

    if (s->failed != 0) {
        return s->failed;
    }
    if (s->closed || !s->open) {
        return s->closed ? CONDUIT_ECLOSED : CONDUIT_AGAIN;
    }
    rc = send_records(s);
    if (rc != 0) {
        return rc;
    }
    if ((state(s) & BR_SSL_SENDAPP) == 0) {
        if (has_ended(s)) {
            return CONDUIT_EPIPE;
        }
        return (state(s) & BR_SSL_CLOSED) != 0 ? fail_native(s) : CONDUIT_AGAIN;
    }
    to = br_ssl_engine_sendapp_buf(&s->u.engine, &size);
    size = size < n ? size : n;
    memcpy(to, buf, size);
    br_ssl_engine_sendapp_ack(&s->u.engine, size);
    s->unsent = true;
    return (long)size;
}

/* BearSSL gives out no record once it has failed: what it had is lost. */
static int flush_failed(struct cdt_bearssl_session *s)
{
    int rc = send_alert(s);

    return rc == 0 && s->unsent ? s->failed : rc;
}

static int flush(struct cdt_tls_session *base)
{
    struct cdt_bearssl_session *s = own(base);
    int rc;

    if (s->failed != 0) {
        return flush_failed(s);
    }
    if (s->open && !s->closed) {
        br_ssl_engine_flush(&s->u.engine, 0);
    }
    rc = send_records(s);
    if (rc == 0) {
        s->unsent = false;
    }
    return rc;
}

/* What was not read is thrown away: behind our close_notify BearSSL gives
 * nothing out, and what lies there would keep the peer's from coming in. */
static void discard(struct cdt_bearssl_session *s)
{
    while ((state(s) & BR_SSL_RECVAPP) != 0) {
        size_t size;

        (void)br_ssl_engine_recvapp_buf(&s->u.engine, &size);
        br_ssl_engine_recvapp_ack(&s->u.engine, size);
    }
}

static int close_session(struct cdt_tls_session *base)
{
    struct cdt_bearssl_session *s = own(base);

    if (s->failed != 0) {
        return s->failed;
    }
    if (s->open && !s->closed) {
        discard(s);
        br_ssl_engine_close(&s->u.engine);
    }
    s->closed = true;
    return 0;
}

static unsigned wants(const struct cdt_tls_session *base)
{
    const struct cdt_bearssl_session *s = own_const(base);
    unsigned now = state(s);

    if (s->alert_at < s->alert_size || (now & BR_SSL_SENDREC) != 0) {
        return CONDUIT_WRITE;
    }
    return s->failed == 0 && !s->open && (now & BR_SSL_RECVREC) != 0
               ? CONDUIT_READ
               : 0;
}

static bool readable(const struct cdt_tls_session *base)
{
    const struct cdt_bearssl_session *s = own_const(base);
    unsigned now = state(s);

    return s->failed != 0 || s->read_failed != 0 ||
           (s->open && ((now & BR_SSL_RECVAPP) != 0 ||
                        (now & BR_SSL_CLOSED) != 0 || has_ended(s)));
}

static bool half_close(const struct cdt_tls_session *base)
{
    (void)base;
    return false;
}

/* ---- facts -------------------------------------------------------------- */

static void facts(const struct cdt_tls_session *base,
                  struct conduit_tls_facts *out)
{
    const struct cdt_bearssl_session *s = own_const(base);
    const br_ssl_engine_context *e = &s->u.engine;
    unsigned chosen = e->selected_protocol;

    *out = (struct conduit_tls_facts){
        .engine = base->engine->name,
        .version = "TLSv1.2",
        .cipher = cdt_bearssl_suite_name(e->session.cipher_suite),
        .alpn = chosen > 0 && chosen <= s->cred->alpn_count
                    ? s->cred->alpn[chosen - 1]
                    : "",
        .server_name = br_ssl_engine_get_server_name(e),
        .peer_subject = s->x509.facts.subject,
        .peer_fingerprint = s->x509.facts.fingerprint,
        .resumed = s->resumed,
        .verified = s->x509.facts.verified,
    };
}

/* ---- sessions ----------------------------------------------------------- */

static void session_free(struct cdt_tls_session *base)
{
    struct cdt_bearssl_session *s = own(base);
    struct cdt_tls_credentials *cred = s->cred;
    struct conduit_ctx *ctx = cred->ctx;

    cdt_bearssl_x509_fini(&s->x509);
    conduit_release(ctx, s->name);
    cdt_wipe(&s->u, sizeof s->u);
    conduit_release(ctx, s);
    cdt_bearssl_credentials_free(cred);
}

static int prepare(struct cdt_bearssl_session *s,
                   const struct cdt_tls_peer *peer, struct conduit_error *err)
{
    s->server = peer->server;
    s->anybody = peer->trust_anybody;
    s->name_is_ip = peer->name_is_ip;
    if (!peer->server && peer->name != NULL) {
        s->name = conduit_strdup(s->cred->ctx, peer->name);
        if (s->name == NULL) {
            return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                     "out of memory");
        }
    }
    if (!peer->server && s->name == NULL && !s->anybody) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "nobody said whom the peer must be");
    }
    cdt_bearssl_x509_init(&s->x509, s->cred);
    s->x509.server = s->server;
    s->x509.anybody = s->anybody;
    s->x509.name = s->name;
    s->x509.name_is_ip = s->name_is_ip;
    return cdt_bearssl_setup(s, err);
}

static int session_new(struct cdt_tls_credentials *cred,
                       const struct cdt_tls_peer *peer, struct cdt_tls_io *io,
                       struct cdt_tls_session **out, struct conduit_error *err)
{
    struct cdt_bearssl_session *s = conduit_alloc(cred->ctx, sizeof *s);
    int rc;

    if (s == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                 "out of memory");
    }
    s->base.engine = &cdt_tls_bearssl;
    s->base.io = io;
    s->cred = cred;
    s->x509.cred = cred;
    cred->refs++;
    rc = prepare(s, peer, err);
    if (rc != 0) {
        session_free(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}

const struct cdt_tls_engine cdt_tls_bearssl = {
    .name = "bearssl",
    .summary = "TLS 1.2 by BearSSL",
    .min_version = CONDUIT_TLS_1_2,
    .max_version = CONDUIT_TLS_1_2,
    .credentials_new = cdt_bearssl_credentials_new,
    .credentials_free = cdt_bearssl_credentials_free,
    .session_new = session_new,
    .session_free = session_free,
    .handshake = handshake,
    .read = read_some,
    .write = write_some,
    .flush = flush,
    .close = close_session,
    .wants = wants,
    .readable = readable,
    .deaf = deaf,
    .half_close = half_close,
    .facts = facts,
};
