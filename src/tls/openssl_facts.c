/* SPDX-License-Identifier: ISC */
/*
 * What is told of a connection. The texts about a certificate are made when
 * they are asked for first: most connections are never asked, and they cost
 * time in each handshake and memory in each idle connection.
 */
#include "openssl.h"

#include <openssl/err.h>

#include <string.h>

struct cdt_ossl_texts {
    char alpn[256];
    char server_name[256];
    char subject[1024];
    char fingerprint[65];
};

/* Copies n bytes, cut at the room; what is not to be printed becomes '?'. */
static void copy(char *out, size_t room, const void *text, size_t n)
{
    const unsigned char *bytes = text;

    n = n < room ? n : room - 1;
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)(bytes[i] < 0x20 || bytes[i] == 0x7f ? '?' : bytes[i]);
    }
    out[n] = '\0';
}

static void fill_subject(struct cdt_ossl_texts *texts, X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long size;

    if (bio == NULL) {
        return;
    }
    if (X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
                           XN_FLAG_RFC2253) >= 0) {
        size = BIO_get_mem_data(bio, &text);
        copy(texts->subject, sizeof texts->subject, text,
             size > 0 ? (size_t)size : 0);
    }
    BIO_free(bio);
}

static void fill_fingerprint(struct cdt_ossl_texts *texts, X509 *cert)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (X509_digest(cert, EVP_sha256(), hash, &size) != 1) {
        return;
    }
    for (size_t i = 0; i < size && i < 32; i++) {
        texts->fingerprint[2 * i] = digits[hash[i] >> 4];
        texts->fingerprint[2 * i + 1] = digits[hash[i] & 15];
    }
}

static void fill(struct cdt_ossl_texts *texts, const struct cdt_ossl_session *s)
{
    const char *name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
    X509 *cert = SSL_get0_peer_certificate(s->ssl);
    const unsigned char *alpn;
    unsigned alpn_size;

    if (!s->server) {
        name = s->name_is_ip ? NULL : s->name;
    }
    if (name != NULL) {
        copy(texts->server_name, sizeof texts->server_name, name, strlen(name));
    }
    SSL_get0_alpn_selected(s->ssl, &alpn, &alpn_size);
    copy(texts->alpn, sizeof texts->alpn, alpn, alpn_size);
    if (cert != NULL) {
        fill_subject(texts, cert);
        fill_fingerprint(texts, cert);
    }
    ERR_clear_error();
}

void cdt_ossl_texts_free(struct cdt_ossl_session *s)
{
    conduit_release(s->cred->ctx, s->texts);
}

void cdt_ossl_facts(const struct cdt_tls_session *session,
                    struct conduit_tls_facts *facts)
{
    struct cdt_ossl_session *s = (struct cdt_ossl_session *)session;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(s->ssl);
    const char *standard = cipher != NULL ? SSL_CIPHER_standard_name(cipher)
                                          : NULL;

    if (s->texts == NULL) {
        s->texts = conduit_alloc(s->cred->ctx, sizeof *s->texts);
        if (s->texts != NULL) {
            fill(s->texts, s);
        }
    }
    facts->engine = cdt_tls_openssl.name;
    facts->version = SSL_get_version(s->ssl);
    facts->cipher = standard != NULL ? standard : "";
    facts->alpn = s->texts != NULL ? s->texts->alpn : "";
    facts->server_name = s->texts != NULL ? s->texts->server_name : "";
    facts->peer_subject = s->texts != NULL ? s->texts->subject : "";
    facts->peer_fingerprint = s->texts != NULL ? s->texts->fingerprint : "";
    facts->resumed = SSL_session_reused(s->ssl) == 1;
    facts->verified = SSL_get0_peer_certificate(s->ssl) != NULL &&
                      SSL_get_verify_result(s->ssl) == X509_V_OK;
}
