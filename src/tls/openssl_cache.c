/* SPDX-License-Identifier: ISC */
/*
 * A server's sessions by their ids, for clients that have no tickets (BearSSL's
 * for one). OpenSSL has such a cache, but asks nobody before it resumes from
 * it, and looks at the system's clock alone. Ids are random, so that their
 * first byte tells where to look; the oldest one there makes room.
 */
#include "openssl.h"

#include <openssl/ssl.h>

#include <string.h>

#define SETS 256
#define WAYS 4

struct cdt_ossl_cache {
    SSL_SESSION *places[SETS][WAYS]; /* most recent first */
};

static bool has_id(const SSL_SESSION *session, const uint8_t *id, size_t size)
{
    unsigned n = 0;
    const uint8_t *its = SSL_SESSION_get_id(session, &n);

    return n == size && memcmp(its, id, size) == 0;
}

static void remove_at(SSL_SESSION **set, int at)
{
    SSL_SESSION_free(set[at]);
    for (; at + 1 < WAYS; at++) {
        set[at] = set[at + 1];
    }
    set[at] = NULL;
}

bool cdt_ossl_cache_add(struct cdt_ossl_cred *cred, SSL_SESSION *session)
{
    unsigned size = 0;
    const uint8_t *id = SSL_SESSION_get_id(session, &size);
    SSL_SESSION **set;

    if (cred->cache == NULL) {
        cred->cache = conduit_alloc(cred->ctx, sizeof *cred->cache);
    }
    if (cred->cache == NULL || size == 0) {
        return false;
    }
    set = cred->cache->places[id[0]];
    SSL_SESSION_free(set[WAYS - 1]);
    for (int i = WAYS - 1; i > 0; i--) {
        set[i] = set[i - 1];
    }
    set[0] = session;
    return true;
}

SSL_SESSION *cdt_ossl_cache_find(const struct cdt_ossl_session *s,
                                 const uint8_t *id, size_t size)
{
    SSL_SESSION **set;

    if (s->cred->cache == NULL || size == 0) {
        return NULL;
    }
    set = s->cred->cache->places[id[0]];
    for (int i = 0; i < WAYS && set[i] != NULL; i++) {
        if (!has_id(set[i], id, size)) {
            continue;
        }
        if (!cdt_ossl_is_over(s, set[i])) {
            return set[i];
        }
        remove_at(set, i);
        break;
    }
    return NULL;
}

void cdt_ossl_cache_free(struct cdt_ossl_cred *cred)
{
    for (int i = 0; cred->cache != NULL && i < SETS; i++) {
        for (int j = 0; j < WAYS; j++) {
            SSL_SESSION_free(cred->cache->places[i][j]);
        }
    }
    conduit_release(cred->ctx, cred->cache);
    cred->cache = NULL;
}
