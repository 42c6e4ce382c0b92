/* SPDX-License-Identifier: ISC */
/*
 * The event loop: a ready list, timers, posted tasks and pollers over whatever
 * the platform waits with. One loop belongs to one thread; nothing is shared
 * and nothing is locked. Of all calls here only conduit_loop_post() may come
 * from another thread. More cores means more contexts, each with its own loop.
 *
 * A turn of the loop runs what is ready (each item at most once), then flushes
 * the connections that were written to or read from, then frees what was
 * closed. No callback ever runs inside the call that caused it.
 *
 * Times are milliseconds in calls and nanoseconds of the monotonic clock
 * within.
 */
#ifndef CONDUIT_LOOP_H
#define CONDUIT_LOOP_H

#include <conduit/error.h>

#include <stdbool.h>
#include <stdint.h>

struct conduit_ctx;
struct conduit_loop;

/*
 * Something to run once. The caller owns the memory (usually a member of its
 * own structure) and must keep it until `run` is called. The fields are the
 * loop's, but for `run`, which the caller sets; zero the rest.
 */
struct conduit_task {
    struct conduit_task *next;
    struct conduit_task *prev;
    void (*run)(struct conduit_task *task);
};

/*
 * A timer, embedded like a task. Set `fire`, zero the rest. Setting it cannot
 * fail and allocates nothing.
 */
struct conduit_timer {
    struct conduit_timer *child;
    struct conduit_timer *next;
    struct conduit_timer *prev;
    uint64_t at; /* ns; 0: not set */
    void (*fire)(struct conduit_timer *timer);
};

enum conduit_poll {
    CONDUIT_POLL_IDLE, /* the loop may sleep; a wake-up is armed */
    CONDUIT_POLL_SPIN, /* nothing yet, but do not sleep */
    CONDUIT_POLL_WORK  /* something was made ready */
};

/*
 * Something that is asked after each turn, for transports that are told of
 * events in memory rather than by the system. `idle`: the loop has nothing else
 * to do, and will sleep if nobody objects.
 */
struct conduit_poller {
    struct conduit_poller *next;
    enum conduit_poll (*poll)(struct conduit_poller *poller, bool idle);
};

/* The context that a loop belongs to. */
CONDUIT_API struct conduit_ctx *conduit_loop_ctx(struct conduit_loop *loop);

/* The monotonic clock in ns, read once a turn. */
CONDUIT_API uint64_t conduit_loop_now(const struct conduit_loop *loop);

/*
 * Runs turns until conduit_loop_stop(). Blocks in the platform while there is
 * nothing to do. Answers 0. Must not be called from a callback.
 */
CONDUIT_API int conduit_loop_run(struct conduit_loop *loop);

/* Makes conduit_loop_run() return after the turn in which this is called, or at
 * once when it has not begun. */
CONDUIT_API void conduit_loop_stop(struct conduit_loop *loop);

/*
 * Runs one turn, after waiting at most `wait_ms` for something to do. For tests
 * and for programs with a loop of their own. Must not be called from a
 * callback.
 */
CONDUIT_API void conduit_loop_turn(struct conduit_loop *loop, unsigned wait_ms);

/*
 * Runs turns until every connection that was closed has delivered its bytes or
 * met its linger deadline. What a program calls before it ends.
 */
CONDUIT_API void conduit_loop_finish(struct conduit_loop *loop);

/* Queues a task for the next turn. Queueing it again before it ran is harmless.
 */
CONDUIT_API void conduit_loop_defer(struct conduit_loop *loop,
                                    struct conduit_task *task);

/* Takes back a deferred task that has not run. Harmless when it is not queued.
 */
CONDUIT_API void conduit_loop_cancel(struct conduit_loop *loop,
                                     struct conduit_task *task);

/*
 * Queues a task from any thread, or from a signal handler where the platform's
 * wake-up allows it (Unix does). Posted tasks run in the order they were
 * posted. A task must not be posted again before it ran, and cannot be taken
 * back.
 */
CONDUIT_API void conduit_loop_post(struct conduit_loop *loop,
                                   struct conduit_task *task);

/* Sets a timer to fire in `ms` from now, or moves it. Never fires in this call.
 */
CONDUIT_API void conduit_timer_set(struct conduit_loop *loop,
                                   struct conduit_timer *timer, uint64_t ms);

/* Takes a timer back. Harmless when it is not set. */
CONDUIT_API void conduit_timer_clear(struct conduit_loop *loop,
                                     struct conduit_timer *timer);

/* Adds or removes a poller. A poller may remove itself while it is polled. */
CONDUIT_API void conduit_loop_add_poller(struct conduit_loop *loop,
                                         struct conduit_poller *poller);
CONDUIT_API void conduit_loop_remove_poller(struct conduit_loop *loop,
                                            struct conduit_poller *poller);

#endif
