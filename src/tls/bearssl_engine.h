/* SPDX-License-Identifier: ISC */
/*
 * What the files of the BearSSL engine share. They are compiled for guests
 * without an operating system too: ISO C and BearSSL, no files, no clock and no
 * entropy but those of the context. This header is not bearssl.h, which a
 * folder searched for headers would put before BearSSL's own.
 *
 *   bearssl.c         sessions
 *   bearssl_setup.c   what a session's machine is made with, identities by SNI
 *   bearssl_config.c  credentials: identities, authorities, policy
 *   bearssl_pem.c     PEM, private keys
 *   bearssl_cache.c   sessions that can be resumed
 *   bearssl_x509.c    judging a chain of certificates
 *   bearssl_cert.c    reading one certificate
 *   bearssl_subject.c its subject as text
 */
#ifndef CDT_BEARSSL_ENGINE_H
#define CDT_BEARSSL_ENGINE_H

#include "der.h"
#include "tls.h"

#include <bearssl.h>

/* Texts of this engine alone. */
#define CDT_BEARSSL_NO_TIME \
    "the time is not known, so certificates cannot be judged"
#define CDT_BEARSSL_CONSTRAINED                                                \
    "the certificate's issuer has name constraints, which this engine cannot " \
    "enforce"
#define CDT_BEARSSL_CRITICAL \
    "the certificate has a critical extension that is not known"
#define CDT_BEARSSL_KEY_KIND \
    "the certificate's key is of a kind that this engine does not have"
#define CDT_BEARSSL_WEAK_SIGNATURE \
    "a signature in the certificate's chain is of a weak kind"

/* Bytes of a subject as text. */
#define CDT_BEARSSL_SUBJECT 256

/* ---- certificates (bearssl_cert.c) -------------------------------------- */

/* What matters of a certificate. Slices point into its DER. */
struct cdt_bearssl_cert {
    struct cdt_der der;
    struct cdt_der issuer; /* with their headers */
    struct cdt_der subject;
    struct cdt_der spki;
    struct cdt_der san;    /* the GeneralNames; at NULL: none */
    struct cdt_der key_id; /* subject's and authority's; at NULL: none */
    struct cdt_der issuer_key_id;
    br_x509_pkey key; /* key_type 0: of a kind that BearSSL does not have */
    int64_t not_before;
    int64_t not_after;
    unsigned version; /* 1 to 3 */
    unsigned key_usage;
    unsigned path_length; /* UINT_MAX: no limit */
    bool good_signature;  /* its algorithm is one of those accepted */
    bool self_issued;
    bool ca;
    bool constrained; /* has name constraints */
    bool has_key_usage;
    bool for_servers; /* extended key usage; both when there is none */
    bool for_clients;
};

/* Bits of key_usage (RFC 5280 section 4.2.1.3), first byte. */
#define CDT_BEARSSL_SIGNS 0x80u
#define CDT_BEARSSL_SIGNS_CERTIFICATES 0x04u

/* false: it cannot be read. `der` must stay. */
bool cdt_bearssl_cert_read(struct cdt_bearssl_cert *cert, const uint8_t *der,
                           size_t size);

/* Whether it names a host in its SAN; the CN is never a name. */
bool cdt_bearssl_cert_names(const struct cdt_bearssl_cert *cert,
                            const char *host, bool is_ip);

/* The subject as RFC 4514 has it, cut at a length. */
void cdt_bearssl_cert_subject(const struct cdt_bearssl_cert *cert,
                              char text[CDT_BEARSSL_SUBJECT]);

/* A public key of SubjectPublicKeyInfo; key_type 0 when its kind is not known.
 * false: malformed. */
bool cdt_bearssl_key_read(struct cdt_der spki, br_x509_pkey *key);

/* Bits of an RSA modulus. */
unsigned cdt_bearssl_rsa_bits(const br_rsa_public_key *key);

void cdt_bearssl_sha256(struct cdt_der bytes, uint8_t out[32]);

/* ---- PEM (bearssl_pem.c) ------------------------------------------------ */

struct cdt_bearssl_der {
    uint8_t *data;
    size_t size;
};

struct cdt_bearssl_ders {
    struct cdt_bearssl_der *items;
    size_t count;
    size_t room;
};

/* All certificates of a source, one at least; text around them and other
 * objects are skipped. Appends; what was there stays. */
int cdt_bearssl_pem_certs(struct conduit_ctx *ctx,
                          const struct conduit_tls_source *source,
                          struct cdt_bearssl_ders *out,
                          struct conduit_error *err);
void cdt_bearssl_ders_free(struct conduit_ctx *ctx,
                           struct cdt_bearssl_ders *ders);

/* The first private key of a source. Its secrets are in the decoder. */
int cdt_bearssl_pem_key(struct conduit_ctx *ctx,
                        const struct conduit_tls_source *source,
                        br_skey_decoder_context *key,
                        struct conduit_error *err);

/* "server.pem", or "a certificate from memory". */
const char *cdt_bearssl_source_name(const struct conduit_tls_source *source);

/* ---- credentials (bearssl_config.c) ------------------------------------- */

struct cdt_bearssl_identity {
    struct cdt_bearssl_ders ders;
    br_x509_certificate *chain; /* the same for BearSSL */
    struct cdt_bearssl_cert leaf;
    br_skey_decoder_context key;
};

/* An authority. One that is not a CA is trusted as the peer itself only. */
struct cdt_bearssl_anchor {
    struct cdt_bearssl_cert cert; /* of a DER of its own */
    br_x509_trust_anchor trust;
    uint8_t sha256[32];
    bool issues; /* is a CA */
};

/* Who the peer is: from its certificate, and kept with a session. */
struct cdt_bearssl_facts {
    char subject[CDT_BEARSSL_SUBJECT];
    char fingerprint[65];
    bool verified;
    int64_t until; /* the first end of a certificate by which it is verified */
};

/* A session that can be resumed. */
struct cdt_bearssl_remembered {
    br_ssl_session_parameters params; /* session_id_len 0: a free place */
    int64_t made;                     /* since when, and until when */
    int64_t until;
    uint64_t used;
    char *name; /* of the server, when we were the client */
    struct cdt_bearssl_facts facts;
    bool anybody; /* made while nobody was verified */
};

struct cdt_bearssl_cache {
    struct cdt_bearssl_remembered *places; /* made at the first save */
    size_t count;
    uint64_t clock;
};

#define CDT_BEARSSL_GROUPS_MAX 8
#define CDT_BEARSSL_ALPN_MAX 32

struct cdt_tls_credentials {
    struct conduit_ctx *ctx;
    unsigned refs; /* the owner's and the sessions' */
    struct cdt_bearssl_identity *identities;
    size_t identity_count;
    struct cdt_bearssl_ders anchor_ders;
    struct cdt_bearssl_anchor *anchors;
    size_t anchor_count;
    br_x500_name *anchor_names; /* of those that issue */
    size_t anchor_name_count;
    struct conduit_tls_pin *pins;
    size_t pin_count;
    enum conduit_tls_clients clients;
    char *alpn[CDT_BEARSSL_ALPN_MAX];
    size_t alpn_count;
    uint16_t suites[BR_MAX_CIPHER_SUITES];
    size_t suite_count;
    uint8_t groups[CDT_BEARSSL_GROUPS_MAX]; /* in order of preference */
    size_t group_count;
    unsigned min_rsa_bits;
    bool no_resumption;
    conduit_tls_keylog_fn *keylog;
    void *keylog_arg;
    struct cdt_bearssl_cache met;    /* servers that we were a client of */
    struct cdt_bearssl_cache served; /* clients */
};

int cdt_bearssl_credentials_new(struct conduit_ctx *ctx,
                                const struct cdt_tls_material *material,
                                struct cdt_tls_credentials **out,
                                struct conduit_error *err);
/* Gives a reference back. */
void cdt_bearssl_credentials_free(struct cdt_tls_credentials *cred);

/* IANA's name of a suite that this engine has, or "". */
const char *cdt_bearssl_suite_name(unsigned suite);

/* ---- sessions that can be resumed (bearssl_cache.c) --------------------- */

/* Remembers a session (a copy) for as long as it may be resumed, forgetting the
 * one longest unused when full. Without memory it does not, which is no error.
 */
void cdt_bearssl_cache_save(struct conduit_ctx *ctx,
                            struct cdt_bearssl_cache *cache, size_t count,
                            const struct cdt_bearssl_remembered *session);
/* One by its id (clients') or by the server's name; NULL: none that is still
 * good. */
struct cdt_bearssl_remembered *
cdt_bearssl_cache_by_id(struct conduit_ctx *ctx,
                        struct cdt_bearssl_cache *cache, const uint8_t *id,
                        size_t size);
struct cdt_bearssl_remembered *
cdt_bearssl_cache_by_name(struct conduit_ctx *ctx,
                          struct cdt_bearssl_cache *cache, const char *name);
void cdt_bearssl_cache_fini(struct conduit_ctx *ctx,
                            struct cdt_bearssl_cache *cache);

/* ---- judging (bearssl_x509.c) ------------------------------------------- */

/* Bytes of a chain that are looked at. */
#define CDT_BEARSSL_CHAIN_BYTES 131072u

/* An X.509 "class" of BearSSL: it is handed the peer's chain, and answers. */
struct cdt_bearssl_x509 {
    const br_x509_class *vtable; /* first */
    struct cdt_tls_credentials *cred;
    const char *name; /* whom a server's certificate must name */
    bool name_is_ip;
    bool server; /* our role: then the peer is a client */
    bool anybody;
    bool shown;       /* there was a certificate */
    const char *text; /* why it is refused; NULL: it is not */
    unsigned native;  /* the same as BearSSL's number */
    struct cdt_bearssl_facts facts;

    uint8_t *data; /* all certificates, one behind the other */
    size_t size;
    size_t room;
    size_t ends[CDT_TLS_CHAIN_MAX];
    size_t count;
    bool too_much;
    br_x509_pkey key; /* of the leaf, in key_data */
    uint8_t *key_data;
    unsigned usages;
};

void cdt_bearssl_x509_init(struct cdt_bearssl_x509 *x,
                           struct cdt_tls_credentials *cred);
void cdt_bearssl_x509_fini(struct cdt_bearssl_x509 *x);

/* ---- sessions ----------------------------------------------------------- */

struct cdt_bearssl_session {
    struct cdt_tls_session base; /* first */
    struct cdt_tls_credentials *cred;
    union {
        br_ssl_engine_context engine; /* first of both */
        br_ssl_client_context client;
        br_ssl_server_context server;
    } u;
    br_ec_impl ec; /* of the policy's groups */
    struct cdt_bearssl_x509 x509;
    const br_ssl_server_policy_class *policy;
    const br_ssl_session_cache_class *cache;
    const char *alpn[CDT_BEARSSL_ALPN_MAX];
    char *name; /* of the server that a client asks for, or NULL */
    bool name_is_ip;
    bool server;
    bool anybody;
    bool open; /* the handshake is done */
    bool closed;
    bool resumed;
    bool mid_record;     /* a part of a record is sent */
    bool unsent;         /* plaintext was taken and not all of it is below */
    int failed;          /* a negative code, for ever */
    int read_failed;     /* the same, of reading alone */
    uint8_t offered[32]; /* the id of a session that may be resumed */
    size_t offered_size;
    struct cdt_bearssl_facts remembered; /* who it was then */
    uint8_t alert[7];                    /* a record of our own making */
    size_t alert_at;
    size_t alert_size;
    uint8_t buffer[BR_SSL_BUFSIZE_BIDI];
};

/* Makes the machine ready to shake hands (bearssl_setup.c). */
int cdt_bearssl_setup(struct cdt_bearssl_session *s, struct conduit_error *err);

#endif
