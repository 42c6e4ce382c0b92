/* SPDX-License-Identifier: ISC */
/* A stack whose clock a test puts forward: hours pass in no time. */
#ifndef TESTS_TEST_DIRECT_AHEAD_H
#define TESTS_TEST_DIRECT_AHEAD_H

#include "support.h"

#include "core.h"

#define SECOND 1000000000ull

static uint64_t ahead; /* ns */
static uint64_t (*monotonic)(struct conduit_platform *p);

static inline uint64_t monotonic_ahead(struct conduit_platform *p)
{
    return monotonic(p) + ahead;
}

/* From now on, and for this context. */
static inline void take_clock(struct t_env *env)
{
    static struct conduit_platform_ops ops;

    ahead = 0;
    ops = *env->ctx->platform->ops;
    monotonic = ops.monotonic;
    ops.monotonic = monotonic_ahead;
    env->ctx->platform->ops = &ops;
}

#endif
