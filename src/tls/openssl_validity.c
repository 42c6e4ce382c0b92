/* SPDX-License-Identifier: ISC */
/*
 * For how long a session may stand in for the verification that it began with.
 * A resumed handshake shows no certificate, so a session carries the time
 * within which all certificates of the peer's chain hold, as the application's
 * data that OpenSSL seals into tickets: whichever process opens one knows it
 * too.
 */
#include "openssl.h"

#include <openssl/x509.h>

struct span {
    int64_t from;
    int64_t until; /* the last second */
};

#define PACKED 16

static void put(uint8_t *at, int64_t value)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
    }
}

static int64_t get(const uint8_t *at)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++) {
        value = value << 8 | at[i];
    }
    return (int64_t)value;
}

static bool seconds_of(const ASN1_TIME *time, int64_t *out)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0;
    int seconds = 0;
    bool ok = epoch != NULL &&
              ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;

    ASN1_TIME_free(epoch);
    *out = (int64_t)days * 86400 + seconds;
    return ok;
}

static bool narrow(struct span *span, const X509 *cert)
{
    int64_t from;
    int64_t until;

    if (!seconds_of(X509_get0_notBefore(cert), &from) ||
        !seconds_of(X509_get0_notAfter(cert), &until)) {
        return false;
    }
    span->from = from > span->from ? from : span->from;
    span->until = until < span->until ? until : span->until;
    return true;
}

/* A resumed session has no chain, and keeps what it was made with: so it ends
 * with the lifetime of the first one, however often it is renewed. */
void cdt_ossl_note_validity(const struct cdt_ossl_session *s,
                            SSL_SESSION *session)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(s->ssl);
    struct span span = {0, cdt_ossl_now(s->cred->ctx) + CDT_OSSL_LIFETIME};
    uint8_t packed[PACKED];

    if (s->trust_anybody || sk_X509_num(chain) <= 0) {
        return;
    }
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (!narrow(&span, sk_X509_value(chain, i))) {
            return;
        }
    }
    put(packed, span.from);
    put(packed + 8, span.until);
    (void)SSL_SESSION_set1_ticket_appdata(session, packed, sizeof packed);
}

/* A peer about whom nothing was noted is not trusted again. */
bool cdt_ossl_is_valid(const struct cdt_ossl_session *s, SSL_SESSION *session)
{
    int64_t now = cdt_ossl_now(s->cred->ctx);
    void *packed = NULL;
    size_t size = 0;

    if (s->trust_anybody || SSL_SESSION_get0_peer(session) == NULL) {
        return true;
    }
    return SSL_SESSION_get0_ticket_appdata(session, &packed, &size) == 1 &&
           size == PACKED && now >= get(packed) &&
           now <= get((uint8_t *)packed + 8);
}
