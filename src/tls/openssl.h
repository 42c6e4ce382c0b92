/* SPDX-License-Identifier: ISC */
/*
 * What the files of the OpenSSL engine share:
 *
 *   openssl.c         sessions
 *   openssl_bio.c     between them and struct cdt_tls_io
 *   openssl_config.c  credentials: keys, trust, the choice by SNI
 *   openssl_policy.c  versions, suites, groups, ALPN
 *   openssl_resume.c  tickets of servers, kept sessions of clients
 *   openssl_cache.c   sessions of clients without tickets
 *   openssl_validity.c  until when sessions may be resumed
 *   openssl_verify.c  what is verified
 *   openssl_fault.c   what failures are called
 *   openssl_facts.c   what is told of a connection
 *
 * Everything hangs on credentials or a session. OpenSSL's own globals are left
 * as they are, since the application may use OpenSSL too.
 */
#ifndef CDT_TLS_OPENSSL_H
#define CDT_TLS_OPENSSL_H

#include "tls.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct cdt_buf;

/* Seconds for which a session is resumed. */
#define CDT_OSSL_LIFETIME 7200

/* A server's ticket key: made of the secret and the hour, never stored. */
struct cdt_ossl_ticket_key {
    int64_t hour;
    bool made;
    uint8_t name[16];
    uint8_t cipher[32];
    uint8_t mac[32];
};

#define CDT_OSSL_TICKET_KEYS 4

struct cdt_ossl_identity {
    X509 *leaf;
    STACK_OF(X509) * chain; /* behind the leaf */
    EVP_PKEY *key;
};

struct cdt_ossl_cache;

/* A session that a client may offer again; most recent first. */
struct cdt_ossl_kept {
    struct cdt_ossl_kept *next;
    SSL_SESSION *session;
    bool trust_anybody;
    bool name_is_ip;
    char name[];
};

/* What struct cdt_tls_credentials is here. Sessions hold references, and the
 * options may be gone before they are, so that all of it is copied. */
struct cdt_ossl_cred {
    struct conduit_ctx *ctx;
    unsigned refs;
    SSL_CTX *ssl_ctx;
    BIO_METHOD *method;
    struct cdt_ossl_identity *identities;
    size_t identity_count;
    struct conduit_tls_pin *pins;
    size_t pin_count;
    uint8_t *alpn; /* as on the wire: a length and a name each */
    size_t alpn_size;
    enum conduit_tls_clients clients;
    unsigned min_rsa_bits;
    conduit_tls_keylog_fn *keylog;
    void *keylog_arg;
    bool resumption;
    uint8_t context_id[32]; /* of what is verified: tickets are bound to it */
    uint8_t ticket_secret[32];
    struct cdt_ossl_ticket_key ticket_keys[CDT_OSSL_TICKET_KEYS];
    EVP_CIPHER *ticket_cipher;
    struct cdt_ossl_kept *kept;
    struct cdt_ossl_cache *cache; /* made for the first one in it */
};

struct cdt_ossl_texts;

struct cdt_ossl_session {
    struct cdt_tls_session base;
    struct cdt_ossl_cred *cred;
    SSL *ssl;
    char *name;            /* whom a client must meet; NULL: nobody named */
    struct cdt_buf *queue; /* ciphertext that is stuck */
    struct cdt_buf *last;  /* the queue's */
    const SSL_SESSION *offered;   /* only to tell whether it was replaced */
    struct cdt_ossl_texts *texts; /* of facts, made when they are asked for */
    size_t queued;                /* bytes in the queue */
    int input_code;    /* what `input` last answered instead of bytes */
    int read_failed;   /* sticky; END too */
    int write_failed;  /* sticky */
    int output_failed; /* the same, if `output` said so */
    bool server;
    bool name_is_ip;
    bool trust_anybody;
    bool begun;
    bool done;    /* the handshake is over */
    bool closed;  /* close_notify is out */
    bool gated;   /* no input now */
    bool drained; /* read has met the end of what came in */
    bool fatal;   /* the session must not be resumed */
};

static inline struct cdt_ossl_session *cdt_ossl_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

/* ---- openssl_config.c ---- */

int cdt_ossl_cred_new(struct conduit_ctx *ctx,
                      const struct cdt_tls_material *material,
                      struct cdt_tls_credentials **out,
                      struct conduit_error *err);
void cdt_ossl_cred_free(struct cdt_tls_credentials *cred);
void cdt_ossl_cred_unref(struct cdt_ossl_cred *cred);

/* Seconds since 1970, by the context's clock or the system's. */
int64_t cdt_ossl_now(struct conduit_ctx *ctx);

/* ---- openssl_bio.c ---- */

/* The table of our BIO; NULL when memory is out. */
BIO_METHOD *cdt_ossl_bio_method(void);
/* Sends what is queued: 0 nothing is left, AGAIN, or the lower layer's error,
 * which is sticky. */
int cdt_ossl_push(struct cdt_ossl_session *s);
void cdt_ossl_queue_free(struct cdt_ossl_session *s);

/* ---- openssl_policy.c ---- */

int cdt_ossl_set_policy(struct cdt_ossl_cred *cred,
                        const struct conduit_tls_policy *policy,
                        struct conduit_error *err);
int cdt_ossl_set_alpn(struct cdt_ossl_cred *cred, const char *const *alpn,
                      struct conduit_error *err);
/* Whether what was negotiated is of our list; a server could invent one. */
bool cdt_ossl_alpn_is_ours(const struct cdt_ossl_session *s);

/* ---- openssl_resume.c ---- */

int cdt_ossl_set_resumption(struct cdt_ossl_cred *cred,
                            const struct cdt_tls_material *material,
                            struct conduit_error *err);
/* Offers what is kept for the session's peer, if anything. */
void cdt_ossl_offer_kept(struct cdt_ossl_session *s);
/* A client's handshake is done: keeps what was renewed in it. */
void cdt_ossl_keep_renewed(struct cdt_ossl_session *s);
void cdt_ossl_kept_free(struct cdt_ossl_cred *cred);
/* Whether a session is not to be resumed any more. */
bool cdt_ossl_is_over(const struct cdt_ossl_session *s, SSL_SESSION *session);
/* Binds a server's session to what it verifies. */
bool cdt_ossl_bind(struct cdt_ossl_session *s);

/* ---- openssl_cache.c ---- */

/* Takes over a reference; false: it did not. */
bool cdt_ossl_cache_add(struct cdt_ossl_cred *cred, SSL_SESSION *session);
/* One that may be resumed, or NULL; the reference stays the cache's. */
SSL_SESSION *cdt_ossl_cache_find(const struct cdt_ossl_session *s,
                                 const uint8_t *id, size_t size);
void cdt_ossl_cache_free(struct cdt_ossl_cred *cred);

/* ---- openssl_validity.c ---- */

/* Notes in a session of s, which has just verified its peer or resumed, within
 * which time the certificates hold. */
void cdt_ossl_note_validity(const struct cdt_ossl_session *s,
                            SSL_SESSION *session);
/* Whether they hold now, if it depends on any. */
bool cdt_ossl_is_valid(const struct cdt_ossl_session *s, SSL_SESSION *session);

/* ---- openssl_verify.c ---- */

void cdt_ossl_set_verification(struct cdt_ossl_cred *cred);
/* What a session verifies, by role and name. */
bool cdt_ossl_expect(struct cdt_ossl_session *s);
/* The text about an X509_V_ERR_*. */
const char *cdt_ossl_verify_text(int error);

/* ---- openssl_fault.c ---- */

/* Sets the fault and answers its code. */
int cdt_ossl_fault(struct cdt_ossl_session *s, int code, int native,
                   const char *text);
/* The same from OpenSSL's queue of errors. */
int cdt_ossl_fault_from_queue(struct cdt_ossl_session *s);
/* A text about the last error of OpenSSL's queue, never NULL. */
const char *cdt_ossl_reason(void);

/* ---- openssl_facts.c ---- */

void cdt_ossl_facts(const struct cdt_tls_session *session,
                    struct conduit_tls_facts *facts);
void cdt_ossl_texts_free(struct cdt_ossl_session *s);

#endif
