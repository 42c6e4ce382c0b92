/* SPDX-License-Identifier: ISC */
/*
 * The seam below the core: what a platform gives. Applications do not include
 * this; platforms/unix and platforms/xen implement it, and a test may.
 */
#ifndef CONDUIT_PLATFORM_H
#define CONDUIT_PLATFORM_H

#include <conduit/error.h>

#include <stddef.h>
#include <stdint.h>

struct conduit_loop;
struct conduit_platform;

/* Every entry is mandatory. None but `wake` is called from another thread. */
struct conduit_platform_ops {
    const char *name; /* "unix", "xen" */

    /* Monotonic time in ns, never 0. */
    uint64_t (*monotonic)(struct conduit_platform *p);

    /* Seconds since 1970-01-01 UTC, or 0 when the platform does not know. */
    int64_t (*wall)(struct conduit_platform *p);

    /* Fills buf with n unpredictable bytes. 0, or a negative code. */
    int (*entropy)(struct conduit_platform *p, void *buf, size_t n);

    /* The value of an environment variable, or NULL. Valid until changed. */
    const char *(*env)(struct conduit_platform *p, const char *name);

    /* Writes one line of log, given without its newline. */
    void (*log)(struct conduit_platform *p, const char *line);

    /*
     * Waits for an event, a wake-up or `max_ns` (UINT64_MAX: no limit; 0: only
     * looks), and queues on the loop what became ready.
     */
    void (*wait)(struct conduit_platform *p, uint64_t max_ns);

    /* Ends a wait, also one not begun yet. Any thread, any signal handler. */
    void (*wake)(struct conduit_platform *p);

    /*
     * The loop has something to do, outside of a turn and of `wait`. Matters
     * only where somebody else drives the loop (an application's event_base).
     */
    void (*kick)(struct conduit_platform *p);

    /* Frees the platform; its context is gone already. */
    void (*destroy)(struct conduit_platform *p);
};

struct conduit_platform {
    const struct conduit_platform_ops *ops;
    struct conduit_loop *loop; /* set by conduit_ctx_new() */
};

/*
 * For platforms whose loop is driven from outside: runs one turn without
 * waiting, and answers in how many ns the next is due: 0 at once, UINT64_MAX
 * when only an event or a kick can make it necessary.
 */
CONDUIT_API uint64_t conduit_loop_step(struct conduit_loop *loop);

#endif
