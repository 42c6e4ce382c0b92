/* SPDX-License-Identifier: ISC */
/*
 * What is negotiated. Everything is set, also what is OpenSSL's default: a
 * openssl.cnf or a variable of the environment changes defaults, and policy is
 * not theirs to change.
 */
#include "openssl.h"

#include <stdio.h>
#include <string.h>

/* The client's preference counts: it knows what is fast where it runs. */
static const char *const default_ciphers[] = {
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    NULL,
};

static const char *const default_groups[] = {"x25519", "secp256r1", "secp384r1",
                                             NULL};

#define SIGNATURES                                                 \
    "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:"               \
    "ecdsa_secp521r1_sha512:ed25519:ed448:"                        \
    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:" \
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"    \
    "rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512"

/* A list of OpenSSL's, names with colons between. */
struct list {
    char text[2048];
    size_t size;
};

static bool add(struct list *list, const char *name)
{
    int n = snprintf(list->text + list->size, sizeof list->text - list->size,
                     "%s%s", list->size > 0 ? ":" : "", name);

    if (n < 0 || (size_t)n >= sizeof list->text - list->size) {
        return false;
    }
    list->size += (size_t)n;
    return true;
}

static int unknown(const char *kind, const char *name,
                   struct conduit_error *err)
{
    return conduit_error_set(err, CONDUIT_ENOTSUP, "tls", 0,
                             "openssl has no %s %s", kind, name);
}

/* ---- suites ------------------------------------------------------------- */

/* Those of TLS 1.3 do not name a key exchange. */
static bool is_1_3(const char *name)
{
    return strstr(name, "_WITH_") == NULL;
}

static bool has_cipher(const SSL_CTX *ctx, const char *name)
{
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);

    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const char *standard = SSL_CIPHER_standard_name(
            sk_SSL_CIPHER_value(ciphers, i));

        if (standard != NULL && strcmp(standard, name) == 0) {
            return true;
        }
    }
    return false;
}

static int sort_ciphers(const char *const *names, struct list *modern,
                        struct list *older, struct conduit_error *err)
{
    for (; *names != NULL; names++) {
        const char *ours = OPENSSL_cipher_name(*names);

        /* An SCSV is a signal and no suite, though it has a number. */
        if (ours == NULL || strcmp(ours, "(NONE)") == 0 ||
            strstr(*names, "_SCSV") != NULL) {
            return unknown("cipher suite", *names, err);
        }
        if (!add(is_1_3(*names) ? modern : older, ours)) {
            return conduit_error_set(err, CONDUIT_ELIMIT, "tls", 0,
                                     "the list of cipher suites is too long");
        }
    }
    return 0;
}

/* A version for which there is no suite is not spoken. OpenSSL refuses what
 * leaves none. */
static bool fit_versions(SSL_CTX *ctx, const struct list *modern,
                         const struct list *older)
{
    return (modern->size > 0 ||
            (SSL_CTX_get_min_proto_version(ctx) <= TLS1_2_VERSION &&
             SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) == 1)) &&
           (older->size > 0 ||
            (SSL_CTX_get_max_proto_version(ctx) >= TLS1_3_VERSION &&
             SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1));
}

static int set_ciphers(SSL_CTX *ctx, const char *const *names,
                       struct conduit_error *err)
{
    struct list modern = {.size = 0};
    struct list older = {.size = 0};
    int rc = sort_ciphers(names, &modern, &older, err);

    if (rc != 0) {
        return rc;
    }
    /* Failures show below, by name. */
    (void)SSL_CTX_set_ciphersuites(ctx, modern.text);
    if (older.size > 0) {
        (void)SSL_CTX_set_cipher_list(ctx, older.text);
    }
    if (!fit_versions(ctx, &modern, &older)) {
        return conduit_error_set(err, CONDUIT_EINVAL, "tls", 0,
                                 "no cipher suite is of a TLS version that "
                                 "the policy allows");
    }
    for (; *names != NULL; names++) {
        if (!has_cipher(ctx, *names)) {
            return unknown("cipher suite", *names, err);
        }
    }
    return 0;
}

/* ---- groups ------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *ours;
} groups[] = {
    {"x25519", "X25519"},   {"secp256r1", "P-256"}, {"secp384r1", "P-384"},
    {"secp521r1", "P-521"}, {"x448", "X448"},
};

static const char *group_name(const char *name)
{
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (strcmp(groups[i].name, name) == 0) {
            return groups[i].ours;
        }
    }
    return NULL;
}

static int set_groups(SSL_CTX *ctx, const char *const *names,
                      struct conduit_error *err)
{
    struct list list = {.size = 0};

    for (; *names != NULL; names++) {
        const char *ours = group_name(*names);

        if (ours == NULL) {
            return unknown("group", *names, err);
        }
        if (!add(&list, ours)) {
            return conduit_error_set(err, CONDUIT_ELIMIT, "tls", 0,
                                     "the list of groups is too long");
        }
    }
    if (list.size == 0 || SSL_CTX_set1_groups_list(ctx, list.text) != 1) {
        return conduit_error_set(err, CONDUIT_EINVAL, "tls", 0,
                                 "the list of groups is empty or says one "
                                 "twice");
    }
    return 0;
}

/* ---- all of it ---------------------------------------------------------- */

static void set_options(SSL_CTX *ctx, bool ours_first)
{
    SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
                                   SSL_OP_LEGACY_SERVER_CONNECT |
                                   SSL_OP_ALLOW_CLIENT_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF |
                                   SSL_OP_ENABLE_KTLS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (ours_first) {
        SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
}

/* Level 2 asks for 112 bits of security and so refuses RSA under 2,048 bits,
 * level 1 under 1,024; between them min_rsa_bits is checked. */
static int set_level(SSL_CTX *ctx, unsigned min_rsa_bits,
                     struct conduit_error *err)
{
    if (min_rsa_bits < 1024) {
        return conduit_error_set(err, CONDUIT_ENOTSUP, "tls", 0,
                                 "openssl takes no RSA keys under 1024 bits");
    }
    SSL_CTX_set_security_level(ctx, min_rsa_bits < 2048 ? 1 : 2);
    return 0;
}

int cdt_ossl_set_policy(struct cdt_ossl_cred *cred,
                        const struct conduit_tls_policy *policy,
                        struct conduit_error *err)
{
    SSL_CTX *ctx = cred->ssl_ctx;
    unsigned max = policy->max_version != 0 ? policy->max_version
                                            : CONDUIT_TLS_1_3;
    unsigned min = policy->min_version != 0 ? policy->min_version
                                            : CONDUIT_TLS_1_2;
    int rc;

    cred->min_rsa_bits = policy->min_rsa_bits != 0 ? policy->min_rsa_bits
                                                   : 2048;
    set_options(ctx, policy->ciphers != NULL);
    if (min < CONDUIT_TLS_1_2 || max > CONDUIT_TLS_1_3 || min > max ||
        SSL_CTX_set_min_proto_version(ctx, (int)min) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, (int)max) != 1 ||
        SSL_CTX_set1_sigalgs_list(ctx, SIGNATURES) != 1) {
        return conduit_error_set(err, CONDUIT_ENOTSUP, "tls", 0,
                                 "openssl has no TLS version between 0x%04x "
                                 "and 0x%04x",
                                 min, max);
    }
    rc = set_level(ctx, cred->min_rsa_bits, err);
    if (rc == 0) {
        rc = set_groups(
            ctx, policy->groups != NULL ? policy->groups : default_groups, err);
    }
    if (rc == 0 && policy->ciphers == NULL) {
        /* Both kinds are set, and the versions decide. */
        struct list modern = {.size = 0};
        struct list older = {.size = 0};

        rc = sort_ciphers(default_ciphers, &modern, &older, err);
        if (rc == 0 && (SSL_CTX_set_ciphersuites(ctx, modern.text) != 1 ||
                        SSL_CTX_set_cipher_list(ctx, older.text) != 1)) {
            rc = conduit_error_set(err, CONDUIT_ENOTSUP, "tls", 0,
                                   "openssl lacks the default cipher suites");
        }
    } else if (rc == 0) {
        rc = set_ciphers(ctx, policy->ciphers, err);
    }
    return rc;
}

/* ---- ALPN --------------------------------------------------------------- */

static bool offers(const unsigned char *list, size_t size,
                   const unsigned char *name)
{
    for (size_t i = 0; i < size; i += list[i] + 1u) {
        if (list[i] == name[0] && i + list[i] < size &&
            memcmp(list + i, name, name[0] + 1u) == 0) {
            return true;
        }
    }
    return false;
}

static int select_alpn(SSL *ssl, const unsigned char **out,
                       unsigned char *out_size, const unsigned char *in,
                       unsigned in_size, void *arg)
{
    const struct cdt_ossl_cred *cred = cdt_ossl_of(ssl)->cred;

    (void)arg;
    for (size_t i = 0; i < cred->alpn_size; i += cred->alpn[i] + 1u) {
        if (offers(in, in_size, cred->alpn + i)) {
            *out = cred->alpn + i + 1;
            *out_size = cred->alpn[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool cdt_ossl_alpn_is_ours(const struct cdt_ossl_session *s)
{
    const struct cdt_ossl_cred *cred = s->cred;
    const unsigned char *chosen;
    unsigned size;

    SSL_get0_alpn_selected(s->ssl, &chosen, &size);
    if (size == 0) {
        return true;
    }
    for (size_t i = 0; i < cred->alpn_size; i += cred->alpn[i] + 1u) {
        if (cred->alpn[i] == size &&
            memcmp(cred->alpn + i + 1, chosen, size) == 0) {
            return true;
        }
    }
    return false;
}

int cdt_ossl_set_alpn(struct cdt_ossl_cred *cred, const char *const *alpn,
                      struct conduit_error *err)
{
    size_t size = 0;

    if (alpn == NULL || alpn[0] == NULL) {
        return 0;
    }
    for (size_t i = 0; alpn[i] != NULL; i++) {
        size_t n = strlen(alpn[i]);

        if (n == 0 || n > 255 || size + n + 1 > 65535) {
            return conduit_error_set(err, CONDUIT_EINVAL, "tls", 0,
                                     "'%s' is no name of a protocol (ALPN)",
                                     alpn[i]);
        }
        size += n + 1;
    }
    cred->alpn = conduit_alloc(cred->ctx, size);
    if (cred->alpn == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "tls", 0,
                                 "out of memory");
    }
    for (; *alpn != NULL; alpn++) {
        size_t n = strlen(*alpn);

        cred->alpn[cred->alpn_size] = (uint8_t)n;
        memcpy(cred->alpn + cred->alpn_size + 1, *alpn, n);
        cred->alpn_size += n + 1;
    }
    SSL_CTX_set_alpn_select_cb(cred->ssl_ctx, select_alpn, NULL);
    if (SSL_CTX_set_alpn_protos(cred->ssl_ctx, cred->alpn, (unsigned)size) !=
        0) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "tls", 0,
                                 "out of memory");
    }
    return 0;
}
