/* SPDX-License-Identifier: ISC */
/*
 * Sessions that can be resumed, by their id (we were the server) or by the
 * server's name. BearSSL's own cache keeps keys alone; ours keeps beside them
 * who the peer was, since a resumed session shows no certificate. A few hundred
 * places are searched from end to end: that is microseconds, beside a handshake
 * of hundreds.
 */
#include "bearssl_engine.h"

#include <string.h>

/* Seconds; RFC 5246 appendix F.1.4 would allow a day. */
#define LIFETIME 7200

/* A resumed session shows no certificate, so that it ends with the first one
 * that it was verified by. */
static void set_times(struct conduit_ctx *ctx,
                      struct cdt_bearssl_remembered *session)
{
    const struct cdt_bearssl_facts *facts = &session->facts;

    session->made = conduit_ctx_wall(ctx);
    session->until = session->made + LIFETIME;
    if (facts->verified && facts->until < session->until) {
        session->until = facts->until;
    }
}

static void forget(struct conduit_ctx *ctx, struct cdt_bearssl_remembered *at)
{
    conduit_release(ctx, at->name);
    cdt_wipe(at, sizeof *at);
}

static bool is_good(struct conduit_ctx *ctx, struct cdt_bearssl_cache *cache,
                    struct cdt_bearssl_remembered *at)
{
    int64_t now = conduit_ctx_wall(ctx);

    /* Before it was made, certificates may not have been valid yet. */
    if (now < at->made || now >= at->until) {
        forget(ctx, at);
        return false;
    }
    at->used = ++cache->clock;
    return true;
}

struct cdt_bearssl_remembered *
cdt_bearssl_cache_by_id(struct conduit_ctx *ctx,
                        struct cdt_bearssl_cache *cache, const uint8_t *id,
                        size_t size)
{
    for (size_t i = 0; i < cache->count; i++) {
        struct cdt_bearssl_remembered *at = &cache->places[i];

        if (size > 0 && at->params.session_id_len == size &&
            memcmp(at->params.session_id, id, size) == 0) {
            return is_good(ctx, cache, at) ? at : NULL;
        }
    }
    return NULL;
}

struct cdt_bearssl_remembered *
cdt_bearssl_cache_by_name(struct conduit_ctx *ctx,
                          struct cdt_bearssl_cache *cache, const char *name)
{
    for (size_t i = 0; i < cache->count; i++) {
        struct cdt_bearssl_remembered *at = &cache->places[i];

        if (at->name != NULL && strcmp(at->name, name) == 0) {
            return is_good(ctx, cache, at) ? at : NULL;
        }
    }
    return NULL;
}

/* Where the next one goes: in place of the same name's, or a free place, or
 * where the one is that was not used for longest. */
static struct cdt_bearssl_remembered *place_for(struct cdt_bearssl_cache *cache,
                                                const char *name)
{
    struct cdt_bearssl_remembered *best = &cache->places[0];

    for (size_t i = 0; i < cache->count; i++) {
        struct cdt_bearssl_remembered *at = &cache->places[i];

        if (name != NULL && at->name != NULL && strcmp(at->name, name) == 0) {
            return at;
        }
        if (at->used < best->used) {
            best = at; /* a free place was never used */
        }
    }
    return best;
}

void cdt_bearssl_cache_save(struct conduit_ctx *ctx,
                            struct cdt_bearssl_cache *cache, size_t count,
                            const struct cdt_bearssl_remembered *session)
{
    struct cdt_bearssl_remembered *at;
    char *name = NULL;

    if (cache->places == NULL) {
        cache->places = conduit_alloc(ctx, count * sizeof *cache->places);
        cache->count = cache->places != NULL ? count : 0;
    }
    if (session->name != NULL) {
        name = conduit_strdup(ctx, session->name);
    }
    if (cache->places == NULL || (session->name != NULL && name == NULL)) {
        conduit_release(ctx, name);
        return;
    }
    at = place_for(cache, name);
    forget(ctx, at);
    *at = *session;
    at->name = name;
    at->used = ++cache->clock;
    set_times(ctx, at);
}

void cdt_bearssl_cache_fini(struct conduit_ctx *ctx,
                            struct cdt_bearssl_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++) {
        forget(ctx, &cache->places[i]);
    }
    conduit_release(ctx, cache->places);
    memset(cache, 0, sizeof *cache);
}
