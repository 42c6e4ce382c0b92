/* SPDX-License-Identifier: ISC */
/*
 * A context holds what a program decides once: which transports and layers
 * exist, the allocator, the log, names, and the one loop that drives it all.
 * Two contexts in one process, or in two threads, do not know of each other;
 * but the process's own stack (tcp+direct) is of one of them, as lwIP's state
 * is global, and no other uses it, or asks it for names.
 */
#ifndef CONDUIT_CONTEXT_H
#define CONDUIT_CONTEXT_H

#include <conduit/error.h>
#include <conduit/loop.h>

#include <stddef.h>
#include <stdint.h>

struct conduit_ctx;
struct conduit_filter;
struct conduit_platform;
struct conduit_transport;

/* Memory for everything that conduit allocates. Called on the loop's thread. */
struct conduit_allocator {
    /* Like realloc: ptr NULL allocates; answers NULL when there is none. */
    void *(*resize)(void *arg, void *ptr, size_t size);
    /* Like free: ptr may be NULL. */
    void (*release)(void *arg, void *ptr);
    void *arg;
};

enum conduit_log_level {
    CONDUIT_LOG_ERROR,
    CONDUIT_LOG_WARN,
    CONDUIT_LOG_INFO,
    CONDUIT_LOG_DEBUG
};

/* The level of that name ("error", "warn", "info", "debug"), or `otherwise`;
 * the name may be NULL. */
CONDUIT_API enum conduit_log_level
conduit_log_level_named(const char *name, enum conduit_log_level otherwise);

/* One line of log without newline; `layer` is a static string. */
typedef void conduit_log_fn(void *arg, enum conduit_log_level level,
                            const char *layer, const char *text);

/* Zero-initialise; a zero field means its default. */
struct conduit_ctx_options {
    struct conduit_allocator allocator; /* default: realloc and free */
    conduit_log_fn *log;                /* default: the platform's (stderr) */
    void *log_arg;
    enum conduit_log_level log_level; /* what is logged; default: errors */
    /* Transports over shared memory: microseconds for which they look for the
     * peer's answer before they sleep; negative: not at all. Default: what
     * CONDUIT_VCHAN_SPIN_US of the environment says, else 50; 0 where there is
     * one processor. */
    int spin_us;
};

/*
 * Makes a context and its loop on a platform, which it owns from then on, also
 * when this fails. On Unix use conduit_unix_new() of <conduit/unix.h>; portable
 * applications are handed one by conduit_main(). No transport is registered
 * yet.
 */
CONDUIT_API int conduit_ctx_new(struct conduit_platform *platform,
                                const struct conduit_ctx_options *options,
                                struct conduit_ctx **out,
                                struct conduit_error *err);

/*
 * What a program does last, before it frees what its callbacks use: dials and
 * listeners end, open connections are dropped, all without callbacks, and the
 * loop runs until those that were closed have delivered their bytes or met
 * their linger deadline. HTTP servers and clients let go of theirs and of their
 * timers; they may be freed before or afterwards, or left to the end of the
 * process. Start objects call it after conduit_main().
 */
CONDUIT_API void conduit_ctx_finish(struct conduit_ctx *ctx);

/*
 * Frees the context, its loop and its platform. Connections, listeners and
 * dials that are still there are aborted, without callbacks; memory that was
 * lent is released. Not to be called from a callback. NULL is harmless.
 */
CONDUIT_API void conduit_ctx_free(struct conduit_ctx *ctx);

/* The context's loop; it lives as long as the context. */
CONDUIT_API struct conduit_loop *conduit_ctx_loop(struct conduit_ctx *ctx);

/* The platform's name: "unix", "xen". */
CONDUIT_API const char *conduit_ctx_platform(const struct conduit_ctx *ctx);

/*
 * Registers what this build has, by explicit calls, so that a program pays only
 * for what it names. Registering twice is harmless. Each answers 0 or
 * CONDUIT_ENOMEM.
 */
CONDUIT_API int conduit_register_mem(struct conduit_ctx *ctx);
CONDUIT_API int conduit_register_tcp(struct conduit_ctx *ctx);
/* TCP by a stack within the process, over a TAP; where lwIP is in the build. */
CONDUIT_API int conduit_register_direct(struct conduit_ctx *ctx);
CONDUIT_API int conduit_register_unix(struct conduit_ctx *ctx);
CONDUIT_API int conduit_register_fd(struct conduit_ctx *ctx);
CONDUIT_API int conduit_register_vchan(struct conduit_ctx *ctx);
/* For auto://host:port a stack of TCP must be registered, too. */
CONDUIT_API int conduit_register_auto(struct conduit_ctx *ctx);

/* Registers everything in this build: what conduit_main() starts with. */
CONDUIT_API int conduit_register_all(struct conduit_ctx *ctx);

/* Registers a transport or a filter of the application's own (transport.h). */
CONDUIT_API int conduit_register_transport(struct conduit_ctx *ctx,
                                           const struct conduit_transport *t);
CONDUIT_API int conduit_register_filter(struct conduit_ctx *ctx,
                                        const struct conduit_filter *f);

/*
 * Number i (from 0) of what is registered, in the order of registration: the
 * scheme as written in a URI ("tcp+socket") and a line about it. Static
 * strings. false when there are no more.
 */
CONDUIT_API bool conduit_ctx_transport(const struct conduit_ctx *ctx, size_t i,
                                       const char **scheme,
                                       const char **summary);

/*
 * Chooses the stack that tcp:// means: "socket" for the system's, or "direct"
 * for the process's own, with options behind it ("direct,tap=tap0,dhcp"; see
 * docs/direct.md) that are read when the stack is first used. Default:
 * CONDUIT_NET of the environment, else the build's.
 *
 * CONDUIT_ESCHEME when the stack is not in this build, CONDUIT_EINVAL for
 * options of one that has none, CONDUIT_ELIMIT for 512 bytes and more; then
 * what was chosen before stays. conduit_ctx_new() fails with the latter two for
 * what CONDUIT_NET or the build says, and with CONDUIT_ESCHEME where that is
 * empty or no name of a stack; a stack that is not there fails as a URI does.
 */
CONDUIT_API int conduit_ctx_set_net(struct conduit_ctx *ctx, const char *stack,
                                    struct conduit_error *err);

/* Called on the loop when the program is asked to end. */
typedef void conduit_shutdown_fn(void *arg);

/*
 * Who wants to end in good order sets a function here; without one the loop is
 * stopped. One per context; NULL takes it back.
 */
CONDUIT_API void conduit_ctx_on_shutdown(struct conduit_ctx *ctx,
                                         conduit_shutdown_fn *fn, void *arg);

/* Asks the program to end (SIGTERM, control/shutdown). The loop's thread only.
 */
CONDUIT_API void conduit_ctx_shutdown(struct conduit_ctx *ctx);

/* An environment variable of the platform, or NULL. Valid until changed. */
CONDUIT_API const char *conduit_ctx_env(struct conduit_ctx *ctx,
                                        const char *name);

/* Seconds since 1970-01-01 UTC; 0: unknown. */
CONDUIT_API int64_t conduit_ctx_wall(struct conduit_ctx *ctx);

/* Fills buf with n unpredictable bytes; 0 or a negative code. */
CONDUIT_API int conduit_ctx_entropy(struct conduit_ctx *ctx, void *buf,
                                    size_t n);

/* The context's memory; zeroed by the first. NULL when there is none. */
CONDUIT_API void *conduit_alloc(struct conduit_ctx *ctx, size_t size);
CONDUIT_API void *conduit_resize(struct conduit_ctx *ctx, void *ptr,
                                 size_t size);
CONDUIT_API void conduit_release(struct conduit_ctx *ctx, void *ptr);
CONDUIT_API char *conduit_strdup(struct conduit_ctx *ctx, const char *text);

/* Writes to the log, cut at a line's length. `layer` is a static string. */
CONDUIT_API void conduit_log(struct conduit_ctx *ctx,
                             enum conduit_log_level level, const char *layer,
                             const char *fmt, ...) CONDUIT_PRINTF(4, 5);

/*
 * A portable application defines this; conduit_add_application() of CMake links
 * it with the platform's start object, which makes the context, registers all
 * that is in the build, and calls it. What it answers is the exit status;
 * before the program ends, connections that were closed deliver their bytes.
 */
int conduit_main(struct conduit_ctx *ctx, int argc, char **argv);

#endif
