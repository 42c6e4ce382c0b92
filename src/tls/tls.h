/* SPDX-License-Identifier: ISC */
/*
 * What the files of TLS share. An engine is TLS as a machine that turns bytes
 * into bytes: it never sees a descriptor or a connection, and what it receives
 * and sends goes through struct cdt_tls_io, which the filter fills in. One
 * state machine (filter.c) drives all engines, so that they differ in nothing
 * that an application could see but in what they can do.
 *
 *   tls.c      configurations: options, sources, defaults
 *   filter.c   the layer over a connection
 *   NAME*.c    the engines
 */
#ifndef CDT_TLS_H
#define CDT_TLS_H

#include <conduit/context.h>
#include <conduit/tls.h>
#include <conduit/transport.h>

/* The most plaintext in a record (RFC 8446 section 5.1). */
#define CDT_TLS_RECORD 16384u

/* ---- an engine ---------------------------------------------------------- */

/* Ciphertext, below. Both answer how many bytes (more than 0), AGAIN, an error
 * of the layer below, and input END. */
struct cdt_tls_io {
    long (*input)(struct cdt_tls_io *io, void *buf, size_t n);
    long (*output)(struct cdt_tls_io *io, const void *buf, size_t n);
};

/* Why a session failed. */
struct cdt_tls_fault {
    int code;         /* CONDUIT_ECERT, CONDUIT_ETLS and so on */
    int native;       /* an alert's number, X509_V_ERR_*, BR_ERR_*; or 0 */
    const char *text; /* static, a few words: "the certificate has expired" */
};

/*
 * What a configuration is made of, read and copied: everything that a source
 * named is PEM text in `data` now, and names are for errors. The engine copies
 * what it keeps; `options` with its strings stays as long as the credentials.
 */
struct cdt_tls_material {
    const struct conduit_tls_options *options;     /* its sources are not to be
                                                      used;     policy is filled in:
                                                      versions,     RSA bits */
    const struct conduit_tls_identity *identities; /* identity_count of them */
    size_t identity_count;
    const struct conduit_tls_source *authorities; /* the system's included where
                                                     they count */
    size_t authority_count;
    const struct conduit_tls_source *crls;
    size_t crl_count;
};

/* Of one connection; all of it stays until session_new() has returned. */
struct cdt_tls_peer {
    bool server;      /* our role */
    const char *name; /* whom a client must meet, and its SNI: a DNS name
                         without a dot at its end, or an IP address as text */
    bool name_is_ip;  /* then without SNI */
    bool trust_anybody;
};

struct cdt_tls_credentials; /* the engine's */

/* First member of the engine's own. */
struct cdt_tls_session {
    const struct cdt_tls_engine *engine;
    struct cdt_tls_io *io;
    struct cdt_tls_fault fault; /* set whenever a call answers an error that is
                                   not the lower layer's */
};

/*
 * No call blocks or allocates beyond what it must. After an error every call
 * but flush and session_free answers that error again; flush still sends an
 * alert that is due, and answers the error where it cannot send what was taken.
 * ETRUNCATED after the handshake is an error of reading alone.
 */
struct cdt_tls_engine {
    const char *name;    /* "openssl" */
    const char *summary; /* "TLS 1.2 and 1.3 by OpenSSL" */
    unsigned min_version;
    unsigned max_version; /* what it has at all */

    /* Keys, trust and policy, for sessions of both roles. CONDUIT_ENOTSUP names
     * what the engine cannot do; CONDUIT_EINVAL names the source and why. */
    int (*credentials_new)(struct conduit_ctx *ctx,
                           const struct cdt_tls_material *material,
                           struct cdt_tls_credentials **out,
                           struct conduit_error *err);
    /* Sessions keep what they need of freed credentials (a count). */
    void (*credentials_free)(struct cdt_tls_credentials *cred);

    int (*session_new)(struct cdt_tls_credentials *cred,
                       const struct cdt_tls_peer *peer, struct cdt_tls_io *io,
                       struct cdt_tls_session **out, struct conduit_error *err);
    void (*session_free)(struct cdt_tls_session *s);

    /* 0: done; AGAIN: `wants` says what it waits for; or an error. */
    int (*handshake)(struct cdt_tls_session *s);
    /* Plaintext: > 0, AGAIN, END (close_notify), ETRUNCATED (the lower layer's
     * END came before it), or an error. */
    long (*read)(struct cdt_tls_session *s, void *buf, size_t n);
    /* Takes plaintext, at most a record: how much, AGAIN while earlier records
     * are stuck, or an error. What it took it keeps; flush sends it. */
    long (*write)(struct cdt_tls_session *s, const void *buf, size_t n);
    /* Sends what it holds: 0 nothing is held, AGAIN, or an error. */
    int (*flush)(struct cdt_tls_session *s);
    /* Puts close_notify behind what was taken, once; no write comes after.
     * AGAIN: not yet. */
    int (*close)(struct cdt_tls_session *s);
    /* What below would let it go on: CONDUIT_READ while it shakes hands, or
     * cannot write before the rest of a message has come, CONDUIT_WRITE while
     * ciphertext is stuck. */
    unsigned (*wants)(const struct cdt_tls_session *s);
    /* Whether read has something to answer without more input: plaintext, the
     * end, or a whole record. */
    bool (*readable)(const struct cdt_tls_session *s);
    /* Whether read takes no input before ciphertext that is stuck has gone. */
    bool (*deaf)(const struct cdt_tls_session *s);
    /* Whether we may send after the peer's close_notify, and it after ours. */
    bool (*half_close)(const struct cdt_tls_session *s);
    /* Strings live as long as the session. After the handshake only. */
    void (*facts)(const struct cdt_tls_session *s,
                  struct conduit_tls_facts *facts);
};

extern const struct cdt_tls_engine cdt_tls_openssl;
extern const struct cdt_tls_engine cdt_tls_bearssl;

/* ---- what engines are given --------------------------------------------- */

/* Texts that both engines use, so that one cause has one text. */
#define CDT_TLS_EXPIRED "the certificate has expired"
#define CDT_TLS_NOT_YET "the certificate is not valid yet"
#define CDT_TLS_WRONG_NAME "the certificate is for another name"
#define CDT_TLS_UNKNOWN_CA "the certificate's issuer is not trusted"
#define CDT_TLS_SELF_SIGNED "the certificate is self-signed and not trusted"
#define CDT_TLS_NOT_A_CA "the certificate's issuer is not an authority"
#define CDT_TLS_PATH_LENGTH "the certificate's chain is longer than allowed"
#define CDT_TLS_WRONG_USAGE "the certificate is not for this use"
#define CDT_TLS_WEAK_KEY "the certificate's key is too weak"
#define CDT_TLS_BAD_SIGNATURE "a signature in the certificate's chain is wrong"
#define CDT_TLS_BAD_CERTIFICATE "the certificate cannot be read"
#define CDT_TLS_CONSTRAINTS \
    "the certificate breaks its issuer's name constraints"
#define CDT_TLS_REVOKED "the certificate was revoked"
#define CDT_TLS_NO_CRL "there is no CRL of the certificate's issuer"
#define CDT_TLS_NO_CERTIFICATE "the peer showed no certificate"
#define CDT_TLS_NO_PIN "no public key in the chain is pinned"
#define CDT_TLS_TOO_MUCH "the certificate's chain is too large"
#define CDT_TLS_TRUNCATED "the bytes ended without close_notify"

/* Certificates of a chain that are looked at. */
#define CDT_TLS_CHAIN_MAX 12

/*
 * Whether a certificate's dNSName matches a host: whole names without regard to
 * case; a wildcard only as the whole leftmost label, standing for exactly one,
 * with two labels or more behind it (RFC 6125 section 6.4.3), all of them by
 * the letter: no '_', and no '-' at an edge. A name with bytes that no host
 * name has, NUL above all, matches nothing.
 */
bool cdt_tls_name_matches(const char *pattern, size_t pattern_len,
                          const char *host);

/* Whether n bytes are a host's name: letters, digits, '-', '_' and '.', with no
 * empty label. */
bool cdt_tls_is_host(const char *name, size_t n);

/* Overwrites what may be a secret before its memory is given away. Nothing may
 * be there: NULL and 0. */
void cdt_wipe(void *data, size_t n);

/* A text about an alert of the peer's (RFC 8446 section 6.2), "the peer says:
 * unknown certificate authority". Static. */
const char *cdt_tls_alert_text(unsigned alert);

#endif
