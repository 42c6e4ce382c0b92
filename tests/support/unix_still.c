/* SPDX-License-Identifier: ISC */
/* See unix_still.h. */
#include "unix_still.h"

#include <conduit/unix.h>

#include <assert.h>
#include <stdlib.h>

uint64_t t_still_ns;
size_t t_still_blocks;

static uint64_t clock_now(struct conduit_platform *p)
{
    (void)p;
    return t_still_ns;
}

/* Who waits for ever, with nothing that could end it, hangs. */
static void clock_wait(struct conduit_platform *p, uint64_t max_ns)
{
    (void)p;
    assert(max_ns != UINT64_MAX);
    t_still_ns += max_ns;
}

static void *resize(void *arg, void *ptr, size_t size)
{
    void *p = realloc(ptr, size);

    (void)arg;
    t_still_blocks += p != NULL && ptr == NULL;
    return p;
}

static void release(void *arg, void *ptr)
{
    (void)arg;
    t_still_blocks -= ptr != NULL;
    free(ptr);
}

static void quiet(void *arg, enum conduit_log_level level, const char *layer,
                  const char *text)
{
    (void)arg;
    (void)level;
    (void)layer;
    (void)text;
}

void t_still_draw(uint32_t *state, void *buf, size_t n)
{
    uint8_t *out = buf;

    for (size_t i = 0; i < n; i++) {
        *state = *state * 1664525u + 1013904223u;
        out[i] = (uint8_t)(*state >> 24);
    }
}

struct conduit_ctx *t_still_new(t_entropy_fn *entropy)
{
    static struct conduit_platform_ops ops;
    const struct conduit_ctx_options options = {
        .allocator = {resize, release, NULL},
        .log = quiet,
        .log_level = CONDUIT_LOG_DEBUG,
    };
    struct conduit_ctx *ctx;
    uint64_t now;
    int code = conduit_unix_new(NULL, &options, &ctx, NULL);

    assert(code == 0);
    (void)code;
    now = ctx->platform->ops->monotonic(ctx->platform);
    t_still_ns = now > t_still_ns ? now : t_still_ns;
    ops = *ctx->platform->ops;
    ops.monotonic = clock_now;
    ops.wait = clock_wait;
    ops.entropy = entropy;
    ctx->platform->ops = &ops;
    return ctx;
}
