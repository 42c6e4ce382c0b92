/* SPDX-License-Identifier: ISC */
/*
 * The platform in a guest: the loop sleeps in one poll of all event channels.
 * Nothing runs beside it, so a wake-up is a flag.
 */
#include "guest.h"
#include "xen_platform.h"

#include <conduit/platform.h>

#include <stdio.h>
#include <stdlib.h>

struct xen_platform {
    struct conduit_platform base;
    bool woken;
};

static struct xen_platform *of(struct conduit_platform *p)
{
    return (struct xen_platform *)(void *)p;
}

static uint64_t xen_monotonic(struct conduit_platform *p)
{
    (void)p;
    return cdt_guest.xen->ops->now(cdt_guest.xen);
}

static int64_t xen_wall(struct conduit_platform *p)
{
    (void)p;
    return cdt_guest.xen->ops->wall(cdt_guest.xen);
}

static int xen_entropy(struct conduit_platform *p, void *buf, size_t n)
{
    (void)p;
    return cdt_entropy_read(&cdt_guest.entropy, buf, n);
}

static const char *xen_env(struct conduit_platform *p, const char *name)
{
    (void)p;
    return getenv(name);
}

static void xen_log(struct conduit_platform *p, const char *line)
{
    (void)p;
    (void)fprintf(stderr, "%s\n", line);
}

/* Xen's poll may end early, so it is asked again until something has happened
 * or the time is over. */
static void xen_wait(struct conduit_platform *p, uint64_t max_ns)
{
    struct xen_platform *x = of(p);
    uint64_t now = xen_monotonic(p);
    uint64_t until = max_ns < UINT64_MAX - now ? now + max_ns : UINT64_MAX;

    while (cdt_events_run(&cdt_guest.events) == 0 && !x->woken &&
           xen_monotonic(p) < until) {
        cdt_events_wait(&cdt_guest.events, until);
    }
    x->woken = false;
}

static void xen_wake(struct conduit_platform *p)
{
    of(p)->woken = true;
}

static void xen_kick(struct conduit_platform *p)
{
    (void)p; /* nobody else drives this loop */
}

static void xen_destroy(struct conduit_platform *p)
{
    free(of(p));
}

static const struct conduit_platform_ops xen_ops = {
    .name = "xen",
    .monotonic = xen_monotonic,
    .wall = xen_wall,
    .entropy = xen_entropy,
    .env = xen_env,
    .log = xen_log,
    .wait = xen_wait,
    .wake = xen_wake,
    .kick = xen_kick,
    .destroy = xen_destroy,
};

int cdt_xen_new(const struct conduit_ctx_options *options,
                struct conduit_ctx **out, struct conduit_error *err)
{
    struct xen_platform *x = calloc(1, sizeof *x);

    if (x == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "xen", 0,
                                 "out of memory");
    }
    x->base.ops = &xen_ops;
    return conduit_ctx_new(&x->base, options, out, err);
}
