/* SPDX-License-Identifier: ISC */
/*
 * Credentials of the BearSSL engine: identities, authorities and policy,
 * checked once and shared by sessions of both roles.
 *
 * An authority that is a CA is an anchor, whether a root or not; one that is
 * none is trusted as the peer's own certificate and for nothing else. Every
 * rule of certificates that this engine could not enforce is refused here
 * (CRLs) or where a chain needs it (name constraints). It has no session
 * tickets, so a ticket secret is without effect.
 */
#include "bearssl_engine.h"

#include <string.h>

#define LAYER "tls"

static int no_memory(struct conduit_error *err)
{
    return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0, "out of memory");
}

/* ---- policy ------------------------------------------------------------- */

struct named {
    const char *name;
    unsigned number;
};

/* The first six are the default, as ordered by use_default_suites(). */
static const struct named suites[] = {
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CCM", 0xc0ac},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CCM", 0xc0ad},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xc023},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xc027},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", 0xc024},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", 0xc028},
};

#define DEFAULT_SUITES 6
#define DEFAULT_GROUPS 3

static const struct named groups[] = {
    {"x25519", BR_EC_curve25519},
    {"secp256r1", BR_EC_secp256r1},
    {"secp384r1", BR_EC_secp384r1},
    {"secp521r1", BR_EC_secp521r1},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const char *cdt_bearssl_suite_name(unsigned suite)
{
    for (size_t i = 0; i < COUNT(suites); i++) {
        if (suites[i].number == suite) {
            return suites[i].name;
        }
    }
    return "";
}

/* 0: not in the table. */
static unsigned number_of(const struct named *table, size_t count,
                          const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return table[i].number;
        }
    }
    return 0;
}

/* Without instructions for AES, ChaCha20 is the faster one, and ours is in
 * constant time either way. */
static void use_default_suites(struct cdt_tls_credentials *cred)
{
    size_t first = br_aes_x86ni_ctr_get_vtable() != NULL ? 0 : 4;

    for (size_t i = 0; i < DEFAULT_SUITES; i++) {
        cred->suites[i] = (uint16_t)suites[(first + i) % DEFAULT_SUITES].number;
    }
    cred->suite_count = DEFAULT_SUITES;
}

static int use_suites(struct cdt_tls_credentials *cred,
                      const char *const *names, struct conduit_error *err)
{
    if (names == NULL) {
        use_default_suites(cred);
        return 0;
    }
    for (; *names != NULL; names++) {
        unsigned number = number_of(suites, COUNT(suites), *names);

        if (number == 0) {
            return conduit_error_set(err, CONDUIT_ENOTSUP, LAYER, 0,
                                     "BearSSL does not have the cipher %s",
                                     *names);
        }
        if (cred->suite_count == COUNT(suites)) {
            return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                     "ciphers are named twice");
        }
        cred->suites[cred->suite_count++] = (uint16_t)number;
    }
    return cred->suite_count > 0
               ? 0
               : conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                   "the list of ciphers is empty");
}

static int use_groups(struct cdt_tls_credentials *cred,
                      const char *const *names, struct conduit_error *err)
{
    for (size_t i = 0; names == NULL && i < DEFAULT_GROUPS; i++) {
        cred->groups[cred->group_count++] = (uint8_t)groups[i].number;
    }
    for (; names != NULL && *names != NULL; names++) {
        unsigned number = number_of(groups, COUNT(groups), *names);

        if (number == 0) {
            return conduit_error_set(err, CONDUIT_ENOTSUP, LAYER, 0,
                                     "BearSSL does not have the group %s",
                                     *names);
        }
        if (cred->group_count == CDT_BEARSSL_GROUPS_MAX) {
            return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                     "groups are named twice");
        }
        cred->groups[cred->group_count++] = (uint8_t)number;
    }
    return cred->group_count > 0
               ? 0
               : conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                   "the list of groups is empty");
}

static int use_policy(struct cdt_tls_credentials *cred,
                      const struct cdt_tls_material *material,
                      struct conduit_error *err)
{
    const struct conduit_tls_policy *policy = &material->options->policy;
    int rc;

    if (policy->min_version > CONDUIT_TLS_1_2) {
        return conduit_error_set(err, CONDUIT_ENOTSUP, LAYER, 0,
                                 "BearSSL has TLS 1.2 and no TLS 1.3, which "
                                 "the policy asks for");
    }
    if (policy->max_version != 0 && policy->max_version < CONDUIT_TLS_1_2) {
        return conduit_error_set(err, CONDUIT_ENOTSUP, LAYER, 0,
                                 "versions before TLS 1.2 are not supported");
    }
    if (material->crl_count > 0) {
        return conduit_error_set(err, CONDUIT_ENOTSUP, LAYER, 0,
                                 "BearSSL cannot check CRLs");
    }
    cred->min_rsa_bits = policy->min_rsa_bits != 0 ? policy->min_rsa_bits
                                                   : 2048;
    rc = use_suites(cred, policy->ciphers, err);
    return rc != 0 ? rc : use_groups(cred, policy->groups, err);
}

static int use_alpn(struct cdt_tls_credentials *cred, const char *const *names,
                    struct conduit_error *err)
{
    for (; names != NULL && *names != NULL; names++) {
        size_t n = strlen(*names);

        if (n == 0 || n > 255 || cred->alpn_count == CDT_BEARSSL_ALPN_MAX) {
            return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                     "ALPN names are of 1 to 255 bytes, and "
                                     "%d at most",
                                     CDT_BEARSSL_ALPN_MAX);
        }
        cred->alpn[cred->alpn_count] = conduit_strdup(cred->ctx, *names);
        if (cred->alpn[cred->alpn_count] == NULL) {
            return no_memory(err);
        }
        cred->alpn_count++;
    }
    return 0;
}

static int use_options(struct cdt_tls_credentials *cred,
                       const struct conduit_tls_options *options,
                       struct conduit_error *err)
{
    size_t size = options->pin_count * sizeof *cred->pins;

    if (size > 0) {
        cred->pins = conduit_alloc(cred->ctx, size);
        if (cred->pins == NULL) {
            return no_memory(err);
        }
        memcpy(cred->pins, options->pins, size);
        cred->pin_count = options->pin_count;
    }
    cred->clients = options->clients;
    cred->no_resumption = options->no_resumption;
    cred->keylog = options->keylog;
    cred->keylog_arg = options->keylog_arg;
    return use_alpn(cred, options->alpn, err);
}

/* ---- identities --------------------------------------------------------- */

/* By a signature, since BearSSL 0.6 cannot compute a modulus of 4,096 bits. */
static bool rsa_matches(struct conduit_ctx *ctx, const br_rsa_private_key *key,
                        const br_x509_pkey *shown)
{
    static const uint8_t hash[32] = {1};
    size_t size = (key->n_bitlen + 7) / 8;
    uint8_t found[sizeof hash];
    uint8_t *signature;
    bool same;

    if (shown->key_type != BR_KEYTYPE_RSA || size != shown->key.rsa.nlen) {
        return false;
    }
    signature = conduit_alloc(ctx, size);
    same = signature != NULL &&
           br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash,
                                           sizeof hash, key, signature) != 0 &&
           br_rsa_pkcs1_vrfy_get_default()(signature, size, BR_HASH_OID_SHA256,
                                           sizeof found, &shown->key.rsa,
                                           found) != 0 &&
           memcmp(hash, found, sizeof hash) == 0;
    conduit_release(ctx, signature);
    return same;
}

static bool ec_matches(const br_ec_private_key *key, const br_x509_pkey *shown)
{
    uint8_t buf[BR_EC_KBUF_PUB_MAX_SIZE];
    br_ec_public_key ours;

    return shown->key_type == BR_KEYTYPE_EC &&
           br_ec_compute_pub(br_ec_get_default(), &ours, buf, key) != 0 &&
           ours.curve == shown->key.ec.curve &&
           ours.qlen == shown->key.ec.qlen &&
           memcmp(ours.q, shown->key.ec.q, ours.qlen) == 0;
}

/* Reads its leaf, and lists its chain as BearSSL wants it. */
static int list_chain(struct conduit_ctx *ctx, struct cdt_bearssl_identity *id,
                      const char *name, struct conduit_error *err)
{
    struct cdt_bearssl_ders *ders = &id->ders;

    if (!cdt_bearssl_cert_read(&id->leaf, ders->items[0].data,
                               ders->items[0].size)) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "%s: the certificate cannot be read", name);
    }
    if (id->leaf.key.key_type == 0) {
        return conduit_error_set(err, CONDUIT_ENOTSUP, LAYER, 0,
                                 "%s: the certificate's key is neither RSA nor "
                                 "of a curve that BearSSL has",
                                 name);
    }
    id->chain = conduit_alloc(ctx, ders->count * sizeof *id->chain);
    if (id->chain == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < ders->count; i++) {
        id->chain[i] = (br_x509_certificate){ders->items[i].data,
                                             ders->items[i].size};
    }
    return 0;
}

static int read_identity(struct conduit_ctx *ctx,
                         struct cdt_bearssl_identity *id,
                         const struct conduit_tls_identity *from,
                         struct conduit_error *err)
{
    const char *name = cdt_bearssl_source_name(&from->chain);
    int rc = cdt_bearssl_pem_certs(ctx, &from->chain, &id->ders, err);
    bool matches;

    if (rc == 0) {
        rc = list_chain(ctx, id, name, err);
    }
    if (rc == 0) {
        rc = cdt_bearssl_pem_key(ctx, &from->key, &id->key, err);
    }
    if (rc != 0) {
        return rc;
    }
    matches = br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA
                  ? rsa_matches(ctx, br_skey_decoder_get_rsa(&id->key),
                                &id->leaf.key)
                  : ec_matches(br_skey_decoder_get_ec(&id->key), &id->leaf.key);
    if (!matches) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "%s: the key is not that of the certificate "
                                 "in %s",
                                 cdt_bearssl_source_name(&from->key), name);
    }
    return 0;
}

static int read_identities(struct cdt_tls_credentials *cred,
                           const struct cdt_tls_material *material,
                           struct conduit_error *err)
{
    size_t count = material->identity_count;

    if (count == 0) {
        return 0;
    }
    cred->identities = conduit_alloc(cred->ctx,
                                     count * sizeof *cred->identities);
    if (cred->identities == NULL) {
        return no_memory(err);
    }
    for (; cred->identity_count < count;) {
        size_t i = cred->identity_count++;
        int rc = read_identity(cred->ctx, &cred->identities[i],
                               &material->identities[i], err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- authorities -------------------------------------------------------- */

static int read_anchor(struct cdt_bearssl_anchor *anchor,
                       const struct cdt_bearssl_der *der)
{
    struct cdt_bearssl_cert *cert = &anchor->cert;

    if (!cdt_bearssl_cert_read(cert, der->data, der->size)) {
        return CONDUIT_EINVAL;
    }
    /* Before version 3 nothing said that a root is one. */
    anchor->issues = cert->ca || (cert->version < 3 && cert->self_issued);
    anchor->trust.dn = (br_x500_name){(unsigned char *)cert->subject.at,
                                      cert->subject.left};
    anchor->trust.flags = BR_X509_TA_CA;
    anchor->trust.pkey = cert->key;
    cdt_bearssl_sha256(cert->der, anchor->sha256);
    return 0;
}

/* All certificates of all sources. One that cannot be read has its number said,
 * which is known only here. */
static int collect_anchors(struct cdt_tls_credentials *cred,
                           const struct cdt_tls_material *material,
                           struct conduit_error *err)
{
    for (size_t i = 0; i < material->authority_count; i++) {
        const struct conduit_tls_source *source = &material->authorities[i];
        size_t from = cred->anchor_ders.count;
        int rc = cdt_bearssl_pem_certs(cred->ctx, source, &cred->anchor_ders,
                                       err);

        for (size_t j = from; rc == 0 && j < cred->anchor_ders.count; j++) {
            struct cdt_bearssl_cert cert;

            if (!cdt_bearssl_cert_read(&cert, cred->anchor_ders.items[j].data,
                                       cred->anchor_ders.items[j].size)) {
                rc = conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                       "%s: certificate %u cannot be read",
                                       cdt_bearssl_source_name(source),
                                       (unsigned)(j - from + 1));
            }
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* What a CertificateRequest has room for, with some left for the rest. */
#define NAMES_MAX 60000

/* The names that clients are asked for a certificate of. BearSSL asks only when
 * there is one at least; an empty one stands for any. */
static int list_names(struct cdt_tls_credentials *cred,
                      struct conduit_error *err)
{
    static unsigned char any[] = {CDT_DER_SEQUENCE, 0};
    size_t total = 0;

    cred->anchor_names = conduit_alloc(
        cred->ctx, (cred->anchor_count + 1) * sizeof *cred->anchor_names);
    if (cred->anchor_names == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < cred->anchor_count; i++) {
        if (cred->anchors[i].issues) {
            cred->anchor_names[cred->anchor_name_count++] =
                cred->anchors[i].trust.dn;
            total += cred->anchors[i].trust.dn.len + 2;
        }
    }
    if (cred->anchor_name_count == 0 || total > NAMES_MAX) {
        cred->anchor_names[0] = (br_x500_name){any, sizeof any};
        cred->anchor_name_count = 1;
    }
    return 0;
}

static int read_anchors(struct cdt_tls_credentials *cred,
                        const struct cdt_tls_material *material,
                        struct conduit_error *err)
{
    int rc = collect_anchors(cred, material, err);
    size_t count = cred->anchor_ders.count;

    if (rc == 0 && count > 0) {
        cred->anchors = conduit_alloc(cred->ctx, count * sizeof *cred->anchors);
        if (cred->anchors == NULL) {
            return no_memory(err);
        }
    }
    for (; rc == 0 && cred->anchor_count < count; cred->anchor_count++) {
        rc = read_anchor(&cred->anchors[cred->anchor_count],
                         &cred->anchor_ders.items[cred->anchor_count]);
    }
    return rc != 0 ? rc : list_names(cred, err);
}

/* ---- credentials -------------------------------------------------------- */

int cdt_bearssl_credentials_new(struct conduit_ctx *ctx,
                                const struct cdt_tls_material *material,
                                struct cdt_tls_credentials **out,
                                struct conduit_error *err)
{
    struct cdt_tls_credentials *cred = conduit_alloc(ctx, sizeof *cred);
    int rc;

    if (cred == NULL) {
        return no_memory(err);
    }
    cred->ctx = ctx;
    cred->refs = 1;
    rc = use_policy(cred, material, err);
    if (rc == 0) {
        rc = use_options(cred, material->options, err);
    }
    if (rc == 0) {
        rc = read_identities(cred, material, err);
    }
    if (rc == 0) {
        rc = read_anchors(cred, material, err);
    }
    if (rc != 0) {
        cdt_bearssl_credentials_free(cred);
        return rc;
    }
    *out = cred;
    return 0;
}

void cdt_bearssl_credentials_free(struct cdt_tls_credentials *cred)
{
    struct conduit_ctx *ctx = cred->ctx;

    if (--cred->refs > 0) {
        return;
    }
    for (size_t i = 0; i < cred->identity_count; i++) {
        cdt_bearssl_ders_free(ctx, &cred->identities[i].ders);
        conduit_release(ctx, cred->identities[i].chain);
        cdt_wipe(&cred->identities[i].key, sizeof cred->identities[i].key);
    }
    conduit_release(ctx, cred->identities);
    cdt_bearssl_ders_free(ctx, &cred->anchor_ders);
    conduit_release(ctx, cred->anchors);
    conduit_release(ctx, cred->anchor_names);
    conduit_release(ctx, cred->pins);
    for (size_t i = 0; i < cred->alpn_count; i++) {
        conduit_release(ctx, cred->alpn[i]);
    }
    cdt_bearssl_cache_fini(ctx, &cred->met);
    cdt_bearssl_cache_fini(ctx, &cred->served);
    conduit_release(ctx, cred);
}
