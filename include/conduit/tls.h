/* SPDX-License-Identifier: ISC */
/*
 * TLS (RFC 8446, RFC 5246) over any connection: the filter "tls" of URIs, by
 * OpenSSL or by BearSSL. A configuration says who we are, whom we trust and
 * what is negotiated; connections are given one in their options, and without
 * one a dial uses the defaults of its context, which trust the system's
 * authorities.
 *
 * The peer's certificate and its name are always verified when dialling. An
 * engine that cannot do what a configuration asks for refuses it by name; which
 * engine is used never changes what is verified.
 */
#ifndef CONDUIT_TLS_H
#define CONDUIT_TLS_H

#include <conduit/assets.h>
#include <conduit/conn.h>

struct conduit_tls; /* a configuration */

#define CONDUIT_TLS_1_2 0x0303u
#define CONDUIT_TLS_1_3 0x0304u

/* ---- engines ------------------------------------------------------------ */

/*
 * Registers the filter "tls" and an engine that is in this build
 * (CONDUIT_ENGINES of CMake). The first one registered is the context's
 * default, unless CONDUIT_TLS of the environment names another. Twice is
 * harmless. 0 or CONDUIT_ENOMEM.
 */
CONDUIT_API int conduit_register_openssl(struct conduit_ctx *ctx);
CONDUIT_API int conduit_register_bearssl(struct conduit_ctx *ctx);

/* The name of engine i (from 0) of a context, "openssl" or "bearssl"; NULL when
 * there are no more. */
CONDUIT_API const char *conduit_tls_engine(const struct conduit_ctx *ctx,
                                           size_t i);

/* ---- configurations ----------------------------------------------------- */

/*
 * PEM text (RFC 7468): from memory, which need not stay; or from a file, or,
 * named "asset:NAME", from the assets given.
 */
struct conduit_tls_source {
    const char *name; /* with data: only for errors; may be NULL then */
    const void *data; /* NULL: read it from `name` */
    size_t size;
};

/* A certificate, the authorities between it and a root behind it, and its key
 * (RSA or EC; PKCS #8, PKCS #1 or SEC 1; without a pass phrase). */
struct conduit_tls_identity {
    struct conduit_tls_source chain;
    struct conduit_tls_source key;
};

/* What a server makes of its clients' certificates. */
enum conduit_tls_clients {
    CONDUIT_TLS_CLIENTS_OFF,      /* does not ask for one */
    CONDUIT_TLS_CLIENTS_OPTIONAL, /* who has one must have a good one */
    CONDUIT_TLS_CLIENTS_REQUIRED
};

/*
 * What is negotiated. Zero fields mean the defaults: TLS 1.2 and 1.3 as far as
 * the engine has them, AEAD suites with ephemeral keys, X25519, P-256 and
 * P-384, RSA of 2,048 bits or more. Lists end with NULL and are in order of
 * preference; names are IANA's ("TLS_AES_128_GCM_SHA256", "x25519",
 * "secp256r1").
 */
struct conduit_tls_policy {
    unsigned min_version; /* CONDUIT_TLS_1_2, CONDUIT_TLS_1_3 */
    unsigned max_version;
    const char *const *ciphers;
    const char *const *groups;
    unsigned min_rsa_bits;
};

/* SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469 section 2.4). */
struct conduit_tls_pin {
    uint8_t sha256[32];
};

/* Reads a pin as curl writes it, "sha256//" and base64 (RFC 4648 section 4) of
 * 32 bytes, and nothing else: 0 or CONDUIT_EINVAL, which leaves *out. */
CONDUIT_API int conduit_tls_pin_parse(const char *text,
                                      struct conduit_tls_pin *out);

/* A line of the NSS key log format, without its newline. */
typedef void conduit_tls_keylog_fn(void *arg, const char *line);

/* Zero-initialise. All of it is copied but `assets` and what keylog_arg points
 * to: those outlive the configuration and its connections. */
struct conduit_tls_options {
    const char *engine;                  /* NULL: the context's */
    const struct conduit_assets *assets; /* for "asset:NAME" */

    /* Ourselves. A server presents the identity whose names match what the
     * client asked for (SNI), else the first. A client has one at most. */
    const struct conduit_tls_identity *identities;
    size_t identity_count;

    /* The peer. Authorities in place of the system's; */
    const struct conduit_tls_source *authorities;
    size_t authority_count;
    bool system_authorities;               /* these as well */
    const struct conduit_tls_source *crls; /* then every issuer must have one */
    size_t crl_count;
    const struct conduit_tls_pin *pins; /* besides the chain: one must match */
    size_t pin_count;
    enum conduit_tls_clients clients;

    const char *const *alpn; /* RFC 7301, in order of preference; NULL-ended */
    struct conduit_tls_policy policy;
    bool no_resumption;

    /* Servers: 32 bytes from which the keys of tickets are derived, a new one
     * every hour. Loops and processes with the same secret resume each other's
     * sessions. NULL: one of this configuration alone. BearSSL has no tickets:
     * it resumes what this configuration remembers, whatever is said here. */
    const uint8_t *ticket_secret;

    conduit_tls_keylog_fn *keylog; /* secrets of every connection: debugging */
    void *keylog_arg;
};

/*
 * Makes a configuration; the caller has a reference. It can be used by dials,
 * listeners or both, of this context. The error names the source and the cause:
 * CONDUIT_ENOENT, CONDUIT_EINVAL (not PEM, key of another certificate),
 * CONDUIT_ENOTSUP (the engine cannot do that), CONDUIT_ESCHEME (no such
 * engine), CONDUIT_ENOMEM.
 */
CONDUIT_API int conduit_tls_new(struct conduit_ctx *ctx,
                                const struct conduit_tls_options *options,
                                struct conduit_tls **out,
                                struct conduit_error *err);
CONDUIT_API struct conduit_tls *conduit_tls_ref(struct conduit_tls *tls);
/* Gives a reference back; connections keep theirs. NULL is harmless. */
CONDUIT_API void conduit_tls_unref(struct conduit_tls *tls);

/*
 * Reads the identities, authorities and CRLs that came from files again. All or
 * nothing: on failure the configuration stays as it was. Connections that are
 * there, or shaking hands, are not touched.
 */
CONDUIT_API int conduit_tls_reload(struct conduit_tls *tls,
                                   struct conduit_error *err);

/* Switches verification of the peer OFF: anybody may answer, and read and
 * change everything. For tests on this machine. Says so in the log, once. */
CONDUIT_API void conduit_tls_trust_anybody(struct conduit_tls *tls);

/* What dials and listeners of the context use that are given none. Takes a
 * reference; NULL goes back to the defaults. */
CONDUIT_API void conduit_tls_set_default(struct conduit_ctx *ctx,
                                         struct conduit_tls *tls);

/* ---- connections -------------------------------------------------------- */

/*
 * Puts TLS on a connection that is open (STARTTLS), which it takes over with
 * its handler; OPEN or ERR comes later. Plaintext that has arrived and was not
 * read is an error, since whoever is in between could have put it there:
 * CONDUIT_EPROTO. `name` is whom the peer must be when dialling.
 */
CONDUIT_API int conduit_tls_start(struct conduit_conn **conn, bool server,
                                  const char *name, struct conduit_tls *tls,
                                  struct conduit_error *err);

/* CONDUIT_QUERY_TLS: strings live as long as the connection; "" for none. */
struct conduit_tls_facts {
    const char *engine;  /* "openssl" */
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* IANA's name */
    const char *alpn;
    const char *server_name;      /* what the client asked for (SNI) */
    const char *peer_subject;     /* RFC 4514: "CN=...,O=..." */
    const char *peer_fingerprint; /* SHA-256 of the certificate, hex */
    bool resumed;
    bool verified; /* false also when the peer showed no certificate */
};

#endif
