/* SPDX-License-Identifier: ISC */
/*
 * What is verified. Chain, time, use, name and CRLs are OpenSSL's part; here
 * are the limits of the policy, pins, and that every authority says that it is
 * one. X509_V_FLAG_X509_STRICT would say the last as well, but refuses any
 * certificate without key identifiers too, which many private ones lack.
 */
#include "openssl.h"

#include <openssl/sha.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <string.h>

static bool is_pinned(const struct cdt_ossl_cred *cred, X509 *cert)
{
    unsigned char *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    uint8_t hash[SHA256_DIGEST_LENGTH];
    bool found = false;

    if (size <= 0) {
        return false;
    }
    SHA256(der, (size_t)size, hash);
    OPENSSL_free(der);
    for (size_t i = 0; i < cred->pin_count; i++) {
        found |= memcmp(cred->pins[i].sha256, hash, sizeof hash) == 0;
    }
    return found;
}

static bool one_is_pinned(const struct cdt_ossl_cred *cred,
                          STACK_OF(X509) * chain)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (is_pinned(cred, sk_X509_value(chain, i))) {
            return true;
        }
    }
    return cred->pin_count == 0;
}

static bool is_weak(const struct cdt_ossl_cred *cred, X509 *cert)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);

    return key == NULL ||
           ((EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) &&
            (unsigned)EVP_PKEY_get_bits(key) < cred->min_rsa_bits);
}

/* Before OpenSSL looks at it. */
static int check_shown(const struct cdt_ossl_session *s,
                       const X509_STORE_CTX *store_ctx)
{
    if (sk_X509_num(X509_STORE_CTX_get0_untrusted(store_ctx)) >
        CDT_TLS_CHAIN_MAX) {
        return X509_V_ERR_CERT_CHAIN_TOO_LONG;
    }
    return !s->trust_anybody &&
                   is_weak(s->cred, X509_STORE_CTX_get0_cert(store_ctx))
               ? X509_V_ERR_EE_KEY_TOO_SMALL
               : X509_V_OK;
}

/* Whether a key does what this handshake needs of it: it signs, unless the
 * policy has named a suite in which the client encrypts for it. */
static bool has_usage(const struct cdt_ossl_session *s, X509 *leaf)
{
    const SSL_CIPHER *cipher = SSL_get_pending_cipher(s->ssl);
    bool signs = s->server || cipher == NULL ||
                 SSL_CIPHER_get_kx_nid(cipher) != NID_kx_rsa;

    return (X509_get_key_usage(leaf) &
            (signs ? KU_DIGITAL_SIGNATURE : KU_KEY_ENCIPHERMENT)) != 0;
}

/* Whether it is an authority: it says so, or is trusted and of version 1, when
 * none could. */
static bool is_authority(X509 *cert, bool trusted)
{
    int kind = X509_check_ca(cert);

    return kind == 1 || (trusted && kind == 3);
}

/* Of a chain that OpenSSL has verified. */
static int check_chain(const struct cdt_ossl_session *s, STACK_OF(X509) * chain)
{
    const struct cdt_ossl_cred *cred = s->cred;
    int last = sk_X509_num(chain) - 1;

    if (!has_usage(s, sk_X509_value(chain, 0))) {
        return X509_V_ERR_INVALID_PURPOSE;
    }
    /* OpenSSL takes ".example.org" for all hosts below it. */
    if (s->name != NULL && !s->name_is_ip &&
        !cdt_tls_is_host(s->name, strlen(s->name))) {
        return X509_V_ERR_HOSTNAME_MISMATCH;
    }

    for (int i = 0; i <= last; i++) {
        X509 *cert = sk_X509_value(chain, i);

        if (is_weak(cred, cert)) {
            return i == 0 ? X509_V_ERR_EE_KEY_TOO_SMALL
                          : X509_V_ERR_CA_KEY_TOO_SMALL;
        }
        if (i > 0 && !is_authority(cert, i == last)) {
            return X509_V_ERR_INVALID_CA;
        }
    }
    return one_is_pinned(cred, chain) ? X509_V_OK
                                      : X509_V_ERR_APPLICATION_VERIFICATION;
}

/* Nothing is verified but pins, and the session says so ever after. */
static int trust(const struct cdt_ossl_cred *cred, X509_STORE_CTX *store_ctx)
{
    if (cred->pin_count > 0 &&
        !is_pinned(cred, X509_STORE_CTX_get0_cert(store_ctx))) {
        X509_STORE_CTX_set_error(store_ctx,
                                 X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_UNSPECIFIED);
    return 1;
}

static int verify(X509_STORE_CTX *store_ctx, void *arg)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(
        store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct cdt_ossl_session *s = cdt_ossl_of(ssl);
    int error;

    (void)arg;
    error = check_shown(s, store_ctx);
    if (error != X509_V_OK) {
        X509_STORE_CTX_set_error(store_ctx, error);
        return 0;
    }
    if (s->trust_anybody) {
        return trust(s->cred, store_ctx);
    }
    X509_STORE_CTX_set_time(store_ctx, 0, (time_t)cdt_ossl_now(s->cred->ctx));
    if (X509_verify_cert(store_ctx) != 1) {
        if (X509_STORE_CTX_get_error(store_ctx) == X509_V_OK) {
            X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_UNSPECIFIED);
        }
        return 0;
    }
    error = check_chain(s, X509_STORE_CTX_get0_chain(store_ctx));
    X509_STORE_CTX_set_error(store_ctx, error);
    return error == X509_V_OK;
}

void cdt_ossl_set_verification(struct cdt_ossl_cred *cred)
{
    SSL_CTX_set_cert_verify_callback(cred->ssl_ctx, verify, NULL);
}

static bool expect_name(struct cdt_ossl_session *s)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);

    if (s->name_is_ip) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, s->name) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(param,
                                    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return s->name[0] != '\0' &&
           X509_VERIFY_PARAM_set1_host(param, s->name, 0) == 1 &&
           SSL_set_tlsext_host_name(s->ssl, s->name) == 1;
}

bool cdt_ossl_expect(struct cdt_ossl_session *s)
{
    int mode = SSL_VERIFY_PEER;

    if (!s->server) {
        SSL_set_verify(s->ssl, mode, NULL);
        return s->name == NULL || expect_name(s);
    }
    if (s->cred->clients == CONDUIT_TLS_CLIENTS_OFF) {
        mode = SSL_VERIFY_NONE;
    } else if (s->cred->clients == CONDUIT_TLS_CLIENTS_REQUIRED) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_set_verify(s->ssl, mode, NULL);
    return true;
}
