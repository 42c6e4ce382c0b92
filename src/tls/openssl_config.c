/* SPDX-License-Identifier: ISC */
/*
 * Credentials: one SSL_CTX for both roles, with our keys and our trust. Keys
 * that are locked with a pass phrase are refused; nobody is ever asked for one.
 */
#include "openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <limits.h>
#include <string.h>
#include <time.h>

/* More names than this are not worth telling every client whom we trust. */
#define TOLD_AUTHORITIES_MAX 32

int64_t cdt_ossl_now(struct conduit_ctx *ctx)
{
    int64_t now = conduit_ctx_wall(ctx);

    return now != 0 ? now : (int64_t)time(NULL);
}

/* ---- PEM ---------------------------------------------------------------- */

static const char *source_name(const struct conduit_tls_source *source)
{
    return source->name != NULL ? source->name : "memory";
}

static int bad_source(const struct conduit_tls_source *source,
                      const char *cause, struct conduit_error *err)
{
    ERR_clear_error();
    return conduit_error_set(err, CONDUIT_EINVAL, "tls", 0, "%s: %s",
                             source_name(source), cause);
}

static int no_memory(struct conduit_error *err)
{
    ERR_clear_error();
    return conduit_error_set(err, CONDUIT_ENOMEM, "tls", 0, "out of memory");
}

static BIO *open_source(const struct conduit_tls_source *source)
{
    return source->data != NULL && source->size <= INT_MAX
               ? BIO_new_mem_buf(source->data, (int)source->size)
               : NULL;
}

/* Notes that a pass phrase was needed, and gives none.
 * NOLINTNEXTLINE(readability-non-const-parameter): as OpenSSL has it */
static int no_phrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

/* After reading PEM failed: whether that was because there is no more. */
static bool at_end(void)
{
    unsigned long error = ERR_peek_last_error();
    bool end = ERR_GET_LIB(error) == ERR_LIB_PEM &&
               ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

    ERR_clear_error();
    return end;
}

/* What is done with each certificate of a source; false: memory is out. */
typedef bool each_fn(void *arg, X509 *cert);

static int for_each_cert(const struct conduit_tls_source *source, each_fn *each,
                         void *arg, struct conduit_error *err)
{
    BIO *bio = open_source(source);
    bool locked = false;
    bool any = false;
    X509 *cert;
    int rc = 0;

    if (bio == NULL) {
        return bad_source(source, "there is nothing in it", err);
    }
    while (rc == 0 &&
           (cert = PEM_read_bio_X509(bio, NULL, no_phrase, &locked)) != NULL) {
        any = true;
        rc = each(arg, cert) ? 0 : no_memory(err);
        X509_free(cert);
    }
    BIO_free(bio);
    if (rc != 0) {
        return rc;
    }
    if (!at_end()) {
        return bad_source(source, "a certificate cannot be read", err);
    }
    return any ? 0 : bad_source(source, "there is no certificate in it", err);
}

static int read_key(const struct conduit_tls_source *source, EVP_PKEY **out,
                    struct conduit_error *err)
{
    BIO *bio = open_source(source);
    bool locked = false;

    if (bio == NULL) {
        return bad_source(source, "there is nothing in it", err);
    }
    *out = PEM_read_bio_PrivateKey(bio, NULL, no_phrase, &locked);
    BIO_free(bio);
    ERR_clear_error();
    if (*out == NULL) {
        return bad_source(source,
                          locked ? "the key is locked with a pass phrase, "
                                   "which is not supported"
                                 : "there is no private key in it",
                          err);
    }
    return 0;
}

/* ---- identities --------------------------------------------------------- */

static bool add_to_identity(void *arg, X509 *cert)
{
    struct cdt_ossl_identity *id = arg;

    if (X509_up_ref(cert) != 1) {
        return false;
    }
    if (id->leaf == NULL) {
        id->leaf = cert;
    } else if (sk_X509_push(id->chain, cert) <= 0) {
        X509_free(cert);
        return false;
    }
    return true;
}

static void identity_fini(struct cdt_ossl_identity *id)
{
    X509_free(id->leaf);
    sk_X509_pop_free(id->chain, X509_free);
    EVP_PKEY_free(id->key);
}

static int read_identity(struct cdt_ossl_identity *id,
                         const struct conduit_tls_identity *from,
                         struct conduit_error *err)
{
    int rc;

    id->chain = sk_X509_new_null();
    if (id->chain == NULL) {
        return no_memory(err);
    }
    rc = for_each_cert(&from->chain, add_to_identity, id, err);
    if (rc == 0) {
        rc = read_key(&from->key, &id->key, err);
    }
    if (rc == 0 && X509_check_private_key(id->leaf, id->key) != 1) {
        rc = bad_source(&from->key, "the key is of another certificate", err);
    }
    return rc;
}

/* Lets OpenSSL say what its security level thinks of a certificate. */
static int try_identity(struct cdt_ossl_cred *cred,
                        const struct cdt_ossl_identity *id,
                        const struct conduit_tls_identity *from,
                        struct conduit_error *err)
{
    ERR_clear_error();
    if (EVP_PKEY_is_a(id->key, "RSA") &&
        (unsigned)EVP_PKEY_get_bits(id->key) < cred->min_rsa_bits) {
        return bad_source(&from->key, "the key is too weak for the policy",
                          err);
    }
    if (SSL_CTX_use_cert_and_key(cred->ssl_ctx, id->leaf, id->key, id->chain,
                                 1) != 1) {
        return bad_source(&from->chain, cdt_ossl_reason(), err);
    }
    return 0;
}

static int set_identities(struct cdt_ossl_cred *cred,
                          const struct cdt_tls_material *material,
                          struct conduit_error *err)
{
    size_t n = material->identity_count;

    if (n == 0) {
        return 0;
    }
    cred->identities = conduit_alloc(cred->ctx, n * sizeof *cred->identities);
    if (cred->identities == NULL) {
        return no_memory(err);
    }
    cred->identity_count = n;
    /* The first one last, since that is what stays in the SSL_CTX. */
    for (size_t i = n; i-- > 0;) {
        struct cdt_ossl_identity *id = &cred->identities[i];
        int rc = read_identity(id, &material->identities[i], err);

        if (rc == 0) {
            rc = try_identity(cred, id, &material->identities[i], err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- the choice by name ------------------------------------------------- */

static bool is_for(const struct cdt_ossl_identity *id, const char *name)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(id->leaf, NID_subject_alt_name,
                                            NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);

        if (one->type == GEN_DNS) {
            const ASN1_IA5STRING *dns = one->d.dNSName;

            found = cdt_tls_name_matches(
                (const char *)ASN1_STRING_get0_data(dns),
                (size_t)ASN1_STRING_length(dns), name);
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

static bool use(SSL *ssl, const struct cdt_ossl_identity *id)
{
    return SSL_use_cert_and_key(ssl, id->leaf, id->key, id->chain, 1) == 1;
}

static const ASN1_OCTET_STRING *names_of(const struct cdt_ossl_identity *id)
{
    int at = X509_get_ext_by_NID(id->leaf, NID_subject_alt_name, -1);

    return at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(id->leaf, at));
}

static bool is_of_first(const struct cdt_ossl_cred *cred, size_t i)
{
    const ASN1_OCTET_STRING *first = names_of(&cred->identities[0]);
    const ASN1_OCTET_STRING *names = names_of(&cred->identities[i]);

    return i == 0 || (first != NULL && names != NULL &&
                      ASN1_OCTET_STRING_cmp(first, names) == 0);
}

/*
 * All that match are at hand, one of each kind of key, and OpenSSL takes what
 * the client can verify: RSA and EC certificates for one name go together, also
 * where a client names nobody. Backwards, so that earlier ones replace later
 * ones of the same kind.
 */
static int choose_identity(SSL *ssl, void *arg)
{
    const struct cdt_ossl_cred *cred = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    bool any = false;

    if (!SSL_is_server(ssl)) {
        return 1;
    }
    SSL_certs_clear(ssl);
    for (size_t i = cred->identity_count; name != NULL && i-- > 0;) {
        if (is_for(&cred->identities[i], name)) {
            any = true;
            if (!use(ssl, &cred->identities[i])) {
                return 0;
            }
        }
    }
    for (size_t i = cred->identity_count; !any && i-- > 0;) {
        if (is_of_first(cred, i) && !use(ssl, &cred->identities[i])) {
            return 0;
        }
    }
    return 1;
}

/* Says that the name was looked at; without this, sessions do not keep it.
 * NOLINTNEXTLINE(readability-non-const-parameter): as OpenSSL has it */
static int accept_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

/* ---- trust -------------------------------------------------------------- */

struct trust {
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* NULL: clients are not told */
};

static bool add_authority(void *arg, X509 *cert)
{
    struct trust *trust = arg;
    X509_NAME *name;

    if (X509_STORE_add_cert(trust->store, cert) != 1) {
        return false;
    }
    if (trust->names == NULL ||
        sk_X509_NAME_num(trust->names) > TOLD_AUTHORITIES_MAX) {
        return true;
    }
    name = X509_NAME_dup(X509_get_subject_name(cert));
    if (name == NULL || sk_X509_NAME_push(trust->names, name) <= 0) {
        X509_NAME_free(name);
        return false;
    }
    return true;
}

static int add_crls(X509_STORE *store, const struct conduit_tls_source *source,
                    struct conduit_error *err)
{
    BIO *bio = open_source(source);
    bool locked = false;
    bool any = false;
    X509_CRL *crl;
    int rc = 0;

    if (bio == NULL) {
        return bad_source(source, "there is nothing in it", err);
    }
    while (rc == 0 && (crl = PEM_read_bio_X509_CRL(bio, NULL, no_phrase,
                                                   &locked)) != NULL) {
        any = true;
        rc = X509_STORE_add_crl(store, crl) == 1 ? 0 : no_memory(err);
        X509_CRL_free(crl);
    }
    BIO_free(bio);
    if (rc != 0) {
        return rc;
    }
    if (!at_end()) {
        return bad_source(source, "a CRL cannot be read", err);
    }
    return any ? 0 : bad_source(source, "there is no CRL in it", err);
}

static int set_trust(struct cdt_ossl_cred *cred,
                     const struct cdt_tls_material *material,
                     struct conduit_error *err)
{
    struct trust trust = {.store = SSL_CTX_get_cert_store(cred->ssl_ctx)};
    int rc = 0;

    if (cred->clients != CONDUIT_TLS_CLIENTS_OFF) {
        trust.names = sk_X509_NAME_new_null();
    }
    for (size_t i = 0; i < material->authority_count && rc == 0; i++) {
        rc = for_each_cert(&material->authorities[i], add_authority, &trust,
                           err);
    }
    for (size_t i = 0; i < material->crl_count && rc == 0; i++) {
        rc = add_crls(trust.store, &material->crls[i], err);
    }
    if (rc != 0 || sk_X509_NAME_num(trust.names) > TOLD_AUTHORITIES_MAX) {
        sk_X509_NAME_pop_free(trust.names, X509_NAME_free);
    } else if (trust.names != NULL) {
        SSL_CTX_set_client_CA_list(cred->ssl_ctx, trust.names);
    }
    /* Whoever is named as an authority is one, whoever has signed it. */
    X509_STORE_set_flags(trust.store, X509_V_FLAG_PARTIAL_CHAIN);
    if (material->crl_count > 0) {
        X509_STORE_set_flags(trust.store,
                             X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
    return rc;
}

/* ---- the rest ----------------------------------------------------------- */

static void tell_keys(const SSL *ssl, const char *line)
{
    const struct cdt_ossl_cred *cred = cdt_ossl_of(ssl)->cred;

    cred->keylog(cred->keylog_arg, line);
}

static int copy_options(struct cdt_ossl_cred *cred,
                        const struct conduit_tls_options *options,
                        struct conduit_error *err)
{
    size_t pins = options->pin_count * sizeof *options->pins;

    cred->clients = options->clients;
    cred->resumption = !options->no_resumption;
    cred->keylog = options->keylog;
    cred->keylog_arg = options->keylog_arg;
    if (pins > 0) {
        cred->pins = conduit_alloc(cred->ctx, pins);
        if (cred->pins == NULL) {
            return no_memory(err);
        }
        memcpy(cred->pins, options->pins, pins);
        cred->pin_count = options->pin_count;
    }
    return 0;
}

static int make_ctx(struct cdt_ossl_cred *cred, struct conduit_error *err)
{
    cred->method = cdt_ossl_bio_method();
    cred->ssl_ctx = SSL_CTX_new(TLS_method());
    if (cred->method == NULL || cred->ssl_ctx == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "tls", 0,
                                 "openssl does not start: %s",
                                 cdt_ossl_reason());
    }
    SSL_CTX_set_tlsext_servername_callback(cred->ssl_ctx, accept_name);
    cdt_ossl_set_verification(cred);
    if (cred->keylog != NULL) {
        SSL_CTX_set_keylog_callback(cred->ssl_ctx, tell_keys);
    }
    return 0;
}

static int fill(struct cdt_ossl_cred *cred,
                const struct cdt_tls_material *material,
                struct conduit_error *err)
{
    int rc = copy_options(cred, material->options, err);

    if (rc == 0) {
        rc = make_ctx(cred, err);
    }
    if (rc == 0) {
        rc = cdt_ossl_set_policy(cred, &material->options->policy, err);
    }
    if (rc == 0) {
        rc = set_identities(cred, material, err);
    }
    if (rc == 0 && cred->identity_count > 1) {
        SSL_CTX_set_cert_cb(cred->ssl_ctx, choose_identity, cred);
    }
    if (rc == 0) {
        rc = set_trust(cred, material, err);
    }
    if (rc == 0) {
        rc = cdt_ossl_set_alpn(cred, material->options->alpn, err);
    }
    return rc == 0 ? cdt_ossl_set_resumption(cred, material, err) : rc;
}

int cdt_ossl_cred_new(struct conduit_ctx *ctx,
                      const struct cdt_tls_material *material,
                      struct cdt_tls_credentials **out,
                      struct conduit_error *err)
{
    struct cdt_ossl_cred *cred = conduit_alloc(ctx, sizeof *cred);
    int rc;

    if (cred == NULL) {
        return no_memory(err);
    }
    cred->ctx = ctx;
    cred->refs = 1;
    ERR_clear_error();
    rc = fill(cred, material, err);
    ERR_clear_error();
    if (rc != 0) {
        cdt_ossl_cred_unref(cred);
        return rc;
    }
    *out = (struct cdt_tls_credentials *)cred;
    return 0;
}

void cdt_ossl_cred_unref(struct cdt_ossl_cred *cred)
{
    if (--cred->refs > 0) {
        return;
    }
    cdt_ossl_kept_free(cred);
    EVP_CIPHER_free(cred->ticket_cipher);
    cdt_ossl_cache_free(cred);
    SSL_CTX_free(cred->ssl_ctx);
    BIO_meth_free(cred->method);
    for (size_t i = 0; i < cred->identity_count; i++) {
        identity_fini(&cred->identities[i]);
    }
    conduit_release(cred->ctx, cred->identities);
    conduit_release(cred->ctx, cred->pins);
    conduit_release(cred->ctx, cred->alpn);
    OPENSSL_cleanse(cred->ticket_secret, sizeof cred->ticket_secret);
    OPENSSL_cleanse(cred->ticket_keys, sizeof cred->ticket_keys);
    conduit_release(cred->ctx, cred);
}

void cdt_ossl_cred_free(struct cdt_tls_credentials *cred)
{
    cdt_ossl_cred_unref((struct cdt_ossl_cred *)cred);
}
