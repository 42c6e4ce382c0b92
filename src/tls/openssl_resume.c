/* SPDX-License-Identifier: ISC */
/*
 * Resumption. A server's tickets (RFC 5077, RFC 8446 section 4.6.1) are sealed
 * with keys made of a secret and the number of the hour, so that loops and
 * processes with one secret resume each other's sessions, and old keys cease
 * without anybody doing anything. It keeps only the sessions of clients that
 * have no tickets.
 *
 * A client keeps a bounded list of sessions. One is offered to nobody but the
 * peer that it came from and under the rules by which that peer was verified,
 * since a resumed handshake shows no certificate.
 */
#include "openssl.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <string.h>

#define HOUR 3600L
#define KEPT_MAX 64
#define KEPT_PER_NAME 4

/* ---- tickets ------------------------------------------------------------ */

/* HMAC-SHA256 of a label and the hour; `out` has 32 bytes. */
static bool derive(const struct cdt_ossl_cred *cred, char label, int64_t hour,
                   uint8_t out[32])
{
    uint8_t text[] = "conduit ticket x12345678";
    unsigned size = 32;

    text[15] = (uint8_t)label;
    for (int i = 0; i < 8; i++) {
        text[16 + i] = (uint8_t)((uint64_t)hour >> (56 - 8 * i));
    }
    return HMAC(EVP_sha256(), cred->ticket_secret,
                (int)sizeof cred->ticket_secret, text, sizeof text - 1, out,
                &size) != NULL;
}

static struct cdt_ossl_ticket_key *key_of(struct cdt_ossl_cred *cred,
                                          int64_t hour)
{
    struct cdt_ossl_ticket_key *key =
        &cred->ticket_keys[(uint64_t)hour % CDT_OSSL_TICKET_KEYS];
    uint8_t name[32];

    if (key->made && key->hour == hour) {
        return key;
    }
    key->made = false;
    if (!derive(cred, 'n', hour, name) ||
        !derive(cred, 'c', hour, key->cipher) ||
        !derive(cred, 'm', hour, key->mac)) {
        return NULL;
    }
    memcpy(key->name, name, sizeof key->name);
    key->hour = hour;
    key->made = true;
    return key;
}

static bool set_mac(EVP_MAC_CTX *mac, struct cdt_ossl_ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac,
                                          sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal(struct cdt_ossl_cred *cred, int64_t hour, unsigned char *name,
                unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct cdt_ossl_ticket_key *key = key_of(cred, hour);

    if (key == NULL || RAND_bytes(iv, 16) != 1 ||
        EVP_EncryptInit_ex(cipher, cred->ticket_cipher, NULL, key->cipher,
                           iv) != 1 ||
        !set_mac(mac, key)) {
        return -1;
    }
    memcpy(name, key->name, sizeof key->name);
    return 1;
}

/* The keys that count are the hour's, those of two before it, and the next
 * one's, for peers whose clock is ahead. */
static struct cdt_ossl_ticket_key *
key_named(struct cdt_ossl_cred *cred, int64_t hour, const unsigned char *name)
{
    for (int64_t at = hour + 1; at >= hour - CDT_OSSL_LIFETIME / HOUR; at--) {
        struct cdt_ossl_ticket_key *key = key_of(cred, at);

        if (key != NULL && memcmp(key->name, name, sizeof key->name) == 0) {
            return key;
        }
    }
    return NULL;
}

/* OpenSSL's contract: 0 not ours, 1 fine, 2 fine and a new one is due, which
 * in TLS 1.3 it always is (RFC 8446 appendix C.4). */
static int unseal(const SSL *ssl, struct cdt_ossl_cred *cred, int64_t hour,
                  const unsigned char *name, const unsigned char *iv,
                  EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct cdt_ossl_ticket_key *key = key_named(cred, hour, name);

    if (key == NULL) {
        return 0;
    }
    if (!set_mac(mac, key) || EVP_DecryptInit_ex(cipher, cred->ticket_cipher,
                                                 NULL, key->cipher, iv) != 1) {
        return -1;
    }
    return SSL_version(ssl) >= TLS1_3_VERSION || key->hour != hour ? 2 : 1;
}

static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
                      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
    struct cdt_ossl_cred *cred = cdt_ossl_of(ssl)->cred;
    int64_t hour = cdt_ossl_now(cred->ctx) / HOUR;

    return enc != 0 ? seal(cred, hour, name, iv, cipher, mac)
                    : unseal(ssl, cred, hour, name, iv, cipher, mac);
}

/* A ticket of s is about to be made. */
static int fill_ticket(SSL *ssl, void *arg)
{
    (void)arg;
    cdt_ossl_note_validity(cdt_ossl_of(ssl), SSL_get_session(ssl));
    return 1;
}

/* One was opened, or not. */
static SSL_TICKET_RETURN use_ticket(SSL *ssl, SSL_SESSION *session,
                                    const unsigned char *name, size_t size,
                                    SSL_TICKET_STATUS status, void *arg)
{
    (void)name;
    (void)size;
    (void)arg;
    if ((status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) ||
        !cdt_ossl_is_valid(cdt_ossl_of(ssl), session)) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
                                        : SSL_TICKET_RETURN_USE_RENEW;
}

/* ---- what a ticket is bound to ------------------------------------------ */

static bool add_sources(EVP_MD_CTX *md, const struct conduit_tls_source *from,
                        size_t count)
{
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        uint64_t size = from[i].size;

        ok = ok && EVP_DigestUpdate(md, &size, sizeof size) == 1 &&
             EVP_DigestUpdate(md, from[i].data, from[i].size) == 1;
    }
    return ok;
}

/* A hash of everything by which clients are verified. */
static bool set_context_id(struct cdt_ossl_cred *cred,
                           const struct cdt_tls_material *material)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint64_t what[] = {cred->clients, cred->min_rsa_bits, cred->pin_count,
                       material->authority_count, material->crl_count};
    bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(md, what, sizeof what) == 1;

    if (ok && cred->clients != CONDUIT_TLS_CLIENTS_OFF) {
        ok = EVP_DigestUpdate(md, cred->pins,
                              cred->pin_count * sizeof *cred->pins) == 1 &&
             add_sources(md, material->authorities,
                         material->authority_count) &&
             add_sources(md, material->crls, material->crl_count);
    }
    ok = ok && EVP_DigestFinal_ex(md, cred->context_id, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

bool cdt_ossl_bind(struct cdt_ossl_session *s)
{
    uint8_t id[sizeof s->cred->context_id];

    memcpy(id, s->cred->context_id, sizeof id);
    id[0] ^= (uint8_t)s->trust_anybody;
    return SSL_set_session_id_context(s->ssl, id, sizeof id) == 1;
}

/* ---- a client's sessions, and a server's
 * ------------------------------------------------ */

static bool is_of(const struct cdt_ossl_kept *kept,
                  const struct cdt_ossl_session *s)
{
    return kept->trust_anybody == s->trust_anybody &&
           kept->name_is_ip == s->name_is_ip &&
           strcmp(kept->name, s->name) == 0;
}

static void forget(struct cdt_ossl_cred *cred, struct cdt_ossl_kept **at)
{
    struct cdt_ossl_kept *kept = *at;

    *at = kept->next;
    SSL_SESSION_free(kept->session);
    conduit_release(cred->ctx, kept);
}

void cdt_ossl_kept_free(struct cdt_ossl_cred *cred)
{
    while (cred->kept != NULL) {
        forget(cred, &cred->kept);
    }
}

/* Drops what is too much, the oldest first: of one name, and of all. */
static void trim(struct cdt_ossl_session *s, unsigned per_name)
{
    struct cdt_ossl_kept **at = &s->cred->kept;
    unsigned same = 0;
    unsigned all = 0;

    while (*at != NULL) {
        same += is_of(*at, s);
        all++;
        if (all > KEPT_MAX || (is_of(*at, s) && same > per_name)) {
            forget(s->cred, at);
        } else {
            at = &(*at)->next;
        }
    }
}

static bool keep_for_client(struct cdt_ossl_session *s, SSL_SESSION *session)
{
    struct cdt_ossl_kept *kept;
    size_t size;

    if (s->name == NULL || SSL_SESSION_is_resumable(session) != 1) {
        return false;
    }
    size = strlen(s->name) + 1;
    kept = conduit_alloc(s->cred->ctx, sizeof *kept + size);
    if (kept == NULL) {
        return false;
    }
    memcpy(kept->name, s->name, size);
    kept->session = session;
    kept->trust_anybody = s->trust_anybody;
    kept->name_is_ip = s->name_is_ip;
    kept->next = s->cred->kept;
    s->cred->kept = kept;
    /* One of TLS 1.2 serves any number of times, one of 1.3 once. */
    trim(s, SSL_version(s->ssl) >= TLS1_3_VERSION ? KEPT_PER_NAME : 1);
    return true;
}

/* OpenSSL has a session for us: 1 takes its reference. A server is told of all
 * that have an id: those of TLS 1.2 without a ticket, and all of TLS 1.3, which
 * are in tickets. */
static int keep(SSL *ssl, SSL_SESSION *session)
{
    struct cdt_ossl_session *s = cdt_ossl_of(ssl);

    if (s->server && SSL_version(ssl) >= TLS1_3_VERSION) {
        return 0;
    }
    cdt_ossl_note_validity(s, session);
    return s->server ? cdt_ossl_cache_add(s->cred, session)
                     : keep_for_client(s, session);
}

/* A client names a session, without a ticket. */
static SSL_SESSION *find(SSL *ssl, const unsigned char *id, int size, int *copy)
{
    *copy = 1;
    return cdt_ossl_cache_find(cdt_ossl_of(ssl), id, (size_t)size);
}

bool cdt_ossl_is_over(const struct cdt_ossl_session *s, SSL_SESSION *session)
{
    int64_t age = cdt_ossl_now(s->cred->ctx) - SSL_SESSION_get_time(session);
    int64_t limit = SSL_SESSION_get_timeout(session);
    int64_t hint = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(session);

    if (hint > 0 && hint < limit) {
        limit = hint;
    }
    return age < 0 || age >= limit || SSL_SESSION_is_resumable(session) != 1 ||
           !cdt_ossl_is_valid(s, session);
}

void cdt_ossl_offer_kept(struct cdt_ossl_session *s)
{
    struct cdt_ossl_kept **at = &s->cred->kept;

    while (*at != NULL && s->name != NULL) {
        if (!is_of(*at, s)) {
            at = &(*at)->next;
        } else if (cdt_ossl_is_over(s, (*at)->session)) {
            forget(s->cred, at);
        } else {
            SSL_SESSION *session = (*at)->session;

            (void)SSL_set_session(s->ssl, session);
            s->offered = session;
            if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
                forget(s->cred, at);
            }
            return;
        }
    }
}

/* In TLS 1.2 OpenSSL does not tell of a new ticket for a resumed session, but
 * forbids to use the old one again. */
void cdt_ossl_keep_renewed(struct cdt_ossl_session *s)
{
    SSL_SESSION *session = SSL_get_session(s->ssl);

    if (s->offered != NULL && session != s->offered &&
        SSL_session_reused(s->ssl) == 1 &&
        SSL_version(s->ssl) < TLS1_3_VERSION &&
        SSL_SESSION_up_ref(session) == 1 && keep(s->ssl, session) == 0) {
        SSL_SESSION_free(session);
    }
}

/* ---- both --------------------------------------------------------------- */

int cdt_ossl_set_resumption(struct cdt_ossl_cred *cred,
                            const struct cdt_tls_material *material,
                            struct conduit_error *err)
{
    SSL_CTX *ctx = cred->ssl_ctx;
    const uint8_t *secret = material->options->ticket_secret;

    if (!cred->resumption) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return 0;
    }
    if (secret != NULL) {
        memcpy(cred->ticket_secret, secret, sizeof cred->ticket_secret);
    } else if (RAND_bytes(cred->ticket_secret,
                          (int)sizeof cred->ticket_secret) != 1) {
        return conduit_error_set(err, CONDUIT_EIO, "tls", 0,
                                 "openssl has no randomness");
    }
    /* Once: naming it for each ticket costs as much as its work. */
    cred->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (cred->ticket_cipher == NULL || !set_context_id(cred, material)) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "tls", 0,
                                 "out of memory");
    }
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_BOTH |
                                            SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep);
    SSL_CTX_sess_set_get_cb(ctx, find);
    SSL_CTX_set_timeout(ctx, CDT_OSSL_LIFETIME);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
    if (SSL_CTX_set_session_ticket_cb(ctx, fill_ticket, use_ticket, NULL) !=
        1) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "tls", 0,
                                 "out of memory");
    }
    return 0;
}
