/* SPDX-License-Identifier: ISC */
/*
 * What the files of the core share: the context, the loop, and the few calls
 * between them. Transports and filters include <conduit/transport.h> instead
 * and need nothing from here but the pool of buffers.
 */
#ifndef CDT_CORE_H
#define CDT_CORE_H

#include "ending.h"

#include <conduit/platform.h>
#include <conduit/resolver.h>
#include <conduit/transport.h>

#include <stdatomic.h>

#define CDT_CONTAINER(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define CDT_NS_PER_MS 1000000u

/* ---- buffers (pool.c) ---- */

/* Bytes of a pooled buffer: a TLS record fits. */
#define CDT_BUF_SIZE 16384

/* A buffer: bytes [start, end) of data are in use. */
struct cdt_buf {
    struct cdt_buf *next;
    uint32_t start;
    uint32_t end;
    uint8_t data[CDT_BUF_SIZE];
};

struct cdt_pool {
    struct cdt_buf *free;
    unsigned kept;
};

/* Takes an empty buffer, from the pool if it has one; NULL: no memory. */
struct cdt_buf *cdt_buf_get(struct conduit_loop *loop);
/* Gives one back; NULL is harmless. */
void cdt_buf_put(struct conduit_loop *loop, struct cdt_buf *buf);
void cdt_pool_fini(struct conduit_loop *loop);

/* ---- loop ---- */

/* A circular list of tasks with its own head. */
struct cdt_tasks {
    struct conduit_task head;
};

void cdt_tasks_init(struct cdt_tasks *list);
bool cdt_tasks_empty(const struct cdt_tasks *list);
void cdt_tasks_append(struct cdt_tasks *list, struct conduit_task *task);
/* Takes a task out of whichever list it is in; harmless when in none. */
void cdt_task_remove(struct conduit_task *task);

struct conduit_loop {
    struct conduit_ctx *ctx;
    struct conduit_platform *platform;
    uint64_t now;
    uint32_t turn;
    uint32_t busy; /* turns since the platform was last asked */
    bool in_turn;
    bool stop;
    struct cdt_tasks current; /* what this turn still runs */
    struct cdt_tasks ready;   /* what the next one runs */
    _Atomic(struct conduit_task *) posted;
    struct conduit_timer *timers;
    struct conduit_poller *pollers;
    struct conduit_conn *flush_first;
    struct conduit_conn **flush_last;
    struct conduit_conn *running; /* whose callback runs now */
    struct conduit_conn *all;
    struct conduit_conn *dead;
    struct conduit_ref *refs; /* to be released at the end of the turn */
    unsigned closing;         /* connections that close() still drains */
    struct cdt_pool pool;
};

void cdt_loop_init(struct conduit_loop *loop, struct conduit_ctx *ctx,
                   struct conduit_platform *platform);
/* Makes sure that a turn comes: something was queued, or a timer set. */
void cdt_loop_kick(struct conduit_loop *loop);
/* Releases the memory that was lent and is not needed more. */
void cdt_release_refs(struct conduit_loop *loop);

/* ---- timers (timer.c): a pairing heap, so that setting cannot fail ---- */

/* Removes and answers the earliest timer that is due, or NULL. */
struct conduit_timer *cdt_timer_due(struct conduit_loop *loop, uint64_t now);

/* ---- connections (conn.c, close.c) ---- */

enum cdt_conn_flag {
    CDT_DIRTY = 1,     /* in the flush list */
    CDT_HELD = 2,      /* flush said AGAIN: WRITE is needed to go on */
    CDT_UNDRAINED = 4, /* DRAINED is due when flush says 0 */
    CDT_FINISHED = 8,  /* finish was called, at least half */
    CDT_FINISHED_FULL = 16,
    CDT_ABORTED = 32,
    CDT_READ_OVER = 64,    /* closing: the peer's bytes have ended */
    CDT_GUARDING = 128,    /* closing: all is out, waiting for the peer's end */
    CDT_DIALLED_ONE = 256, /* dialled.times_us holds, not dialled.report */
    CDT_COUNTED = 512      /* closing: the listener in `arg` counts it */
};

struct conduit_conn *cdt_conn_top(struct conduit_conn *c);
/* Queues a connection for the next turn, whatever its interest. */
void cdt_conn_queue(struct conduit_conn *c);
/* Asks for levels and queues what holds and is wanted; nothing where a layer is
 * above. */
void cdt_conn_settle(struct conduit_conn *c);
/* The flush phase of a turn. */
void cdt_conn_flush_all(struct conduit_loop *loop);
/* Takes over the failure of the layer below, or makes one of a bare code. */
void cdt_conn_adopt_fault(struct conduit_conn *c, int code);
/* The name of the layer that failed first. */
const char *cdt_conn_fault_layer(const struct conduit_conn *c);
/* Whether the layer or one below it has all of these capabilities. */
bool cdt_conn_can(const struct conduit_conn *c, unsigned caps);

/* Whether what flush waits for is told, and no level (ops->confirms). */
bool cdt_conn_confirms(const struct conduit_conn *c);

/* A step of closing, run from the ready list. */
void cdt_close_step(struct conduit_conn *c);
/* The linger deadline passed. */
void cdt_close_expired(struct conduit_conn *c);
/* Drops a stack: no callbacks, destroyed at the end of the turn. */
void cdt_conn_kill(struct conduit_conn *top, bool aborted);
/* Drops a stack that failed to open. What its upper layers have said of that is
 * still delivered, for a moment, by those that are open: then it answers the
 * lowest of them, which is the last to go, else NULL. */
struct conduit_conn *cdt_conn_dismiss(struct conduit_conn *top);
/* A connection that a listener counts is gone (listener.c). */
void cdt_listener_left(struct conduit_listener *l);
/* Destroys what died. */
void cdt_conn_reap(struct conduit_loop *loop);

/* ---- the resolver (resolver.c) ---- */

struct cdt_resolver {
    struct cdt_host *hosts;
    struct cdt_rewrite *rewrites;
    struct conduit_resolver_source *sources;
};

void cdt_resolver_fini(struct conduit_ctx *ctx);

struct cdt_endpoints {
    struct conduit_endpoint *items;
    size_t count;
    size_t room;
};

void cdt_endpoints_fini(struct conduit_ctx *ctx, struct cdt_endpoints *list);

/*
 * Finds the endpoints of a URI. `done` is called once, perhaps within
 * cdt_resolve_start(), unless cdt_resolve_cancel() came first. The list is the
 * callee's, who frees it; err is NULL on success, and then the list has at
 * least one.
 */
struct conduit_resolve {
    struct conduit_ctx *ctx;
    const struct conduit_uri *uri;
    bool listening; /* the wildcard is allowed; sources are not asked */
    void (*done)(struct conduit_resolve *r, struct cdt_endpoints *list,
                 const struct conduit_error *err);
    /* the resolver's own */
    struct cdt_endpoints list;
    struct conduit_lookup *lookup;
    bool finished;
};

void cdt_resolve_start(struct conduit_resolve *r);
void cdt_resolve_cancel(struct conduit_resolve *r);

/* ---- listeners (listener.c) ---- */

/* Whether one of its endpoints is being listened at already. */
bool cdt_listener_listens(const struct conduit_listener *l);

/* ---- what a dial tried (dial.c) ---- */

void cdt_report_free(struct conduit_ctx *ctx, struct cdt_dial_report *report);
void cdt_dials_abort(struct conduit_ctx *ctx);
void cdt_listeners_abort(struct conduit_ctx *ctx);

/* ---- layers over a transport (layers.c) ---- */

/* What the filters of `uri` say of options, before there is a connection. */
int cdt_prepare_all(struct conduit_ctx *ctx, const struct conduit_uri *uri,
                    bool server, const struct conduit_options *options,
                    struct conduit_error *err);

/* Options with every zero replaced by its default. */
struct conduit_options cdt_options(const struct conduit_options *given);

/*
 * Puts the filters of `uri` on `*conn`, innermost first; *conn becomes the top.
 * On failure what was made is on *conn, for the caller to abort.
 */
int cdt_wrap_all(struct conduit_ctx *ctx, struct conduit_conn **conn,
                 const struct conduit_uri *uri, bool server,
                 const struct conduit_options *options,
                 struct conduit_error *err);

/* "tcp+socket 192.0.2.1:80", "unix:/path": for reports. */
void cdt_endpoint_text(const struct conduit_endpoint *ep, char *buf, size_t n);

/* ---- context (context.c) ---- */

#define CDT_SCHEMES_MAX 16
#define CDT_NET_TEXT 512 /* of CONDUIT_NET, with its final NUL */

struct cdt_mem_listener;

/* Something that a part of the library keeps with a context, found by the
 * address of a variable of its own. Memory is the part's, who frees it in fini.
 */
struct cdt_extra {
    struct cdt_extra *next;
    const void *key;
    void (*fini)(struct conduit_ctx *ctx, struct cdt_extra *extra);
};

void cdt_extra_add(struct conduit_ctx *ctx, struct cdt_extra *extra);
struct cdt_extra *cdt_extra_find(const struct conduit_ctx *ctx,
                                 const void *key);

struct conduit_ctx {
    struct conduit_loop loop;
    struct conduit_platform *platform;
    struct conduit_allocator allocator;
    conduit_log_fn *log;
    void *log_arg;
    enum conduit_log_level log_level;
    int spin_us; /* as the options have it */
    const struct conduit_transport *transports[CDT_SCHEMES_MAX];
    const struct conduit_filter *filters[CDT_SCHEMES_MAX];
    size_t transport_count;
    size_t filter_count;
    char net[16];                /* the stack of tcp:// */
    char net_text[CDT_NET_TEXT]; /* the same with its options, if any */
    struct cdt_resolver resolver;
    struct conduit_dial *dials;
    struct conduit_listener *listeners;
    struct cdt_mem_listener *mem_listeners; /* kept here for mem.c */
    struct cdt_extra *extras;
    struct cdt_ending *endings; /* who is told when it ends (ending.h) */
    conduit_shutdown_fn *shutdown;
    void *shutdown_arg;
};

/* A registered filter or transport by the words of a scheme; NULL: none. */
const struct conduit_filter *cdt_find_filter(const struct conduit_ctx *ctx,
                                             const char *name, size_t len);
const struct conduit_transport *
cdt_find_transport(const struct conduit_ctx *ctx, const char *name, size_t len);

/* Whether a transport is there by several stacks, of which the context has
 * chosen one. */
bool cdt_has_stacks(const struct conduit_ctx *ctx, const char *name,
                    size_t len);
/* "mem, tcp, unix": all that is registered, for messages. */
void cdt_list_schemes(const struct conduit_ctx *ctx, char *buf, size_t n);

/* Replaces control characters: a line of a log stays one, whatever is in it. */
void cdt_one_line(char *text);

/* ASCII only, whatever the locale. */
static inline char cdt_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Bounded text building: appends at buf[*len], never beyond n. */
void cdt_append(char *buf, size_t n, size_t *len, const char *text);

#endif
