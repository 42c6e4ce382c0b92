/* SPDX-License-Identifier: ISC */
/* Certificates for tests: see tls_certs.h. */
#include "tls_certs.h"

#include "support.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define HOUR 3600L
#define YEAR (365L * 24 * HOUR)

static char *take_text(BIO *bio)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    char *text;

    assert_true(size > 0);
    text = malloc((size_t)size + 1);
    assert_non_null(text);
    memcpy(text, data, (size_t)size);
    text[size] = '\0';
    BIO_free(bio);
    return text;
}

/* ---- keys --------------------------------------------------------------- */

static EVP_PKEY *make_key(unsigned rsa_bits)
{
    EVP_PKEY *key = rsa_bits != 0 ? EVP_RSA_gen(rsa_bits) : EVP_EC_gen("P-256");

    assert_non_null(key);
    return key;
}

static char *key_text(EVP_PKEY *key, bool native)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int ok = native ? PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL,
                                                           0, NULL, NULL)
                    : PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL,
                                               NULL);

    assert_int_equal(ok, 1);
    return take_text(bio);
}

char *tls_key_encrypted(const struct tls_cert *cert)
{
    static unsigned char phrase[] = "secret";
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(bio, cert->pkey,
                                              EVP_aes_128_cbc(), phrase,
                                              sizeof phrase - 1, NULL, NULL),
                     1);
    return take_text(bio);
}

/* ---- certificates ------------------------------------------------------- */

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static void set_raw_name(X509 *cert, const char *bytes, size_t n)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    assert_int_equal(ASN1_STRING_set(text, bytes, (int)n), 1);
    GENERAL_NAME_set0_value(one, GEN_DNS, text);
    assert_true(sk_GENERAL_NAME_push(names, one) > 0);
    assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0,
                                       X509V3_ADD_APPEND),
                     1);
    GENERAL_NAMES_free(names);
}

static void set_constraints(X509 *cert, X509 *issuer,
                            const struct tls_cert_spec *spec)
{
    char text[64] = "critical,CA:TRUE";

    if (spec->limit_path) {
        snprintf(text, sizeof text, "critical,CA:TRUE,pathlen:%d", spec->path);
    }
    if (spec->ca || spec->not_a_ca) {
        extend(cert, issuer, NID_basic_constraints,
               spec->not_a_ca ? "critical,CA:FALSE" : text);
    }
    if (spec->key_usage != NULL) {
        extend(cert, issuer, NID_key_usage, spec->key_usage);
    } else if (spec->ca) {
        extend(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    if (spec->constraints != NULL) {
        extend(cert, issuer, NID_name_constraints, spec->constraints);
    }
}

static void set_extensions(X509 *cert, X509 *issuer,
                           const struct tls_cert_spec *spec)
{
    extend(cert, issuer, NID_subject_key_identifier, "hash");
    extend(cert, issuer, NID_authority_key_identifier, "keyid");
    set_constraints(cert, issuer, spec);
    if (spec->usage != NULL) {
        extend(cert, issuer, NID_ext_key_usage, spec->usage);
    }
    if (spec->san != NULL) {
        extend(cert, issuer, NID_subject_alt_name, spec->san);
    }
    if (spec->raw_name != NULL) {
        set_raw_name(cert, spec->raw_name, spec->raw_name_size);
    }
}

static X509 *make_x509(EVP_PKEY *key, const struct tls_cert_spec *spec)
{
    X509 *cert = X509_new();
    X509 *issuer = spec->issuer != NULL ? spec->issuer->x509 : cert;
    EVP_PKEY *signer = spec->issuer != NULL ? spec->issuer->pkey : key;
    unsigned char serial[8];
    BIGNUM *number;

    assert_non_null(cert);
    assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
    t_fill((uint64_t)(uintptr_t)cert, 0, serial, sizeof serial);
    serial[0] = 1;
    number = BN_bin2bn(serial, sizeof serial, NULL);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    X509_gmtime_adj(X509_getm_notBefore(cert),
                    spec->from != 0 ? spec->from : -HOUR);
    X509_gmtime_adj(X509_getm_notAfter(cert), spec->to != 0 ? spec->to : YEAR);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                               (const unsigned char *)spec->cn, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    X509_set_pubkey(cert, key);
    set_extensions(cert, issuer, spec);
    assert_true(X509_sign(cert, signer, EVP_sha256()) > 0);
    return cert;
}

static char *join(const struct tls_cert *cert)
{
    const struct tls_cert *at = cert->issuer;
    char *chain = strdup(cert->pem);

    for (; at != NULL && at->issuer != NULL; at = at->issuer) {
        char *more = NULL;

        assert_true(asprintf(&more, "%s%s", chain, at->pem) > 0);
        free(chain);
        chain = more;
    }
    assert_non_null(chain);
    return chain;
}

static void set_pin(struct tls_cert *cert)
{
    unsigned char *der = NULL;
    int size = i2d_PUBKEY(cert->pkey, &der);

    assert_true(size > 0);
    SHA256(der, (size_t)size, cert->pin);
    OPENSSL_free(der);
}

struct tls_cert *tls_cert_new(const struct tls_cert_spec *spec)
{
    struct tls_cert *cert = calloc(1, sizeof *cert);
    BIO *bio = BIO_new(BIO_s_mem());

    assert_non_null(cert);
    assert_non_null(bio);
    cert->issuer = spec->issuer;
    if (spec->same_key_as != NULL) {
        cert->pkey = spec->same_key_as->pkey;
        EVP_PKEY_up_ref(cert->pkey);
    } else {
        cert->pkey = make_key(spec->rsa_bits);
    }
    cert->x509 = make_x509(cert->pkey, spec);
    assert_int_equal(PEM_write_bio_X509(bio, cert->x509), 1);
    cert->pem = take_text(bio);
    cert->chain = join(cert);
    cert->key = key_text(cert->pkey, false);
    cert->key_native = key_text(cert->pkey, true);
    set_pin(cert);
    return cert;
}

void tls_cert_free(struct tls_cert *cert)
{
    if (cert == NULL) {
        return;
    }
    X509_free(cert->x509);
    EVP_PKEY_free(cert->pkey);
    free(cert->pem);
    free(cert->chain);
    free(cert->key);
    free(cert->key_native);
    free(cert);
}

/* ---- CRLs --------------------------------------------------------------- */

static void revoke(X509_CRL *crl, const struct tls_cert *cert,
                   const ASN1_TIME *when)
{
    X509_REVOKED *one = X509_REVOKED_new();

    X509_REVOKED_set_serialNumber(one, X509_get_serialNumber(cert->x509));
    X509_REVOKED_set_revocationDate(one, (ASN1_TIME *)when);
    assert_int_equal(X509_CRL_add0_revoked(crl, one), 1);
}

char *tls_crl_new(const struct tls_cert *issuer, const struct tls_cert *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, -HOUR);
    ASN1_TIME *to = X509_gmtime_adj(NULL, YEAR);
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(X509_CRL_set_version(crl, X509_CRL_VERSION_2), 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509));
    X509_CRL_set1_lastUpdate(crl, from);
    X509_CRL_set1_nextUpdate(crl, to);
    if (revoked != NULL) {
        revoke(crl, revoked, from);
    }
    X509_CRL_sort(crl);
    assert_true(X509_CRL_sign(crl, issuer->pkey, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509_CRL(bio, crl), 1);
    X509_CRL_free(crl);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    return take_text(bio);
}

void tls_cert_save(const char *dir, const char *name, const char *text)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}
