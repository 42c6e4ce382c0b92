/* SPDX-License-Identifier: ISC */
/*
 * For those who write a transport (the bottom of a connection) or a filter (a
 * layer over one). Applications do not need this header.
 *
 * Every layer is a `struct conduit_conn`, the first member of a structure of
 * its own, with a static table of operations. The model is readiness: nothing
 * is ever in flight inside a layer, so cancelling is destroying. The core owns
 * the state, the ready list, interest, budgets, deadlines, closing and the
 * memory of the structure; a layer owns what its table works on.
 *
 * A layer tells of events by conduit_conn_ready(), which queues and never
 * calls. It must tell whenever a level that it last denied (AGAIN from a call,
 * or a bit missing from what `want` answered) comes to hold while it is wanted.
 */
#ifndef CONDUIT_TRANSPORT_H
#define CONDUIT_TRANSPORT_H

#include <conduit/conn.h>

/*
 * The operations of a layer. Mandatory: name, start, peek, consume, reserve,
 * commit, flush, finish, want, destroy; filters also notify. For the others the
 * core has defaults, to be named in the table: conduit_default_*(). No
 * operation blocks, and none calls back into the application.
 */
struct conduit_conn_ops {
    const char *name; /* "tcp+socket", "tls": in reports and layer lists */
    size_t size;      /* of the structure that starts with conduit_conn */
    /* Transports: flush says AGAIN until the peer has confirmed the bytes, be
     * there room or not; each confirmation is told as WRITE. */
    bool confirms;

    /*
     * Begins to connect or to shake hands, once the layer below is OPEN. 0, and
     * later conduit_conn_opened() or conduit_conn_fail(); or a code to fail
     * with.
     */
    int (*start)(struct conduit_conn *c);

    /* Shows readable bytes: > 0, AGAIN, END or an error; never 0. */
    long (*peek)(struct conduit_conn *c, struct conduit_win *win);
    void (*consume)(struct conduit_conn *c, size_t n);

    /* Shows room for writing: > 0, AGAIN or an error; never 0. */
    long (*reserve)(struct conduit_conn *c, struct conduit_win *win);
    void (*commit)(struct conduit_conn *c, size_t n); /* cannot fail */

    long (*read)(struct conduit_conn *c, void *buf, size_t n);
    long (*writev)(struct conduit_conn *c, const struct conduit_seg *seg,
                   unsigned count);
    long (*lend)(struct conduit_conn *c, const void *data, size_t n,
                 struct conduit_ref *ref);

    /*
     * Pushes out what is held, here and below, and tells the peer what it needs
     * to know of what was consumed. 0: nothing is held; AGAIN: wait for WRITE.
     */
    int (*flush)(struct conduit_conn *c);

    /*
     * Marks the end of our bytes; flush carries it out once they are gone. The
     * core calls it at most once with `full` false and once with true.
     */
    int (*finish)(struct conduit_conn *c, bool full);

    /*
     * Replaces the interest by `events` (READ, WRITE): arms what brings them,
     * looks again, and answers which hold now. No other effect. Filters pass on
     * what they need from below by conduit_conn_want_below().
     */
    unsigned (*want)(struct conduit_conn *c, unsigned events);

    /* Filters: the layer below has events. ERR is a hint to read on. */
    void (*notify)(struct conduit_conn *c, unsigned events);

    /* Answers a fact, or ENOTSUP: then the layer below is asked. */
    int (*query)(const struct conduit_conn *c, enum conduit_query what,
                 void *out);

    /*
     * Frees the layer's own resources; not the structure, not the layer below.
     * With `aborted` the peer should see a reset, where that can be done.
     */
    void (*destroy)(struct conduit_conn *c, bool aborted);
};

enum cdt_conn_state {
    CDT_CONN_NEW,     /* not started */
    CDT_CONN_OPENING, /* started */
    CDT_CONN_OPEN,
    CDT_CONN_CLOSING, /* close() called: the core drains it */
    CDT_CONN_DEAD     /* to be reaped at the end of the turn */
};

struct cdt_dial_report;

/*
 * The base of every layer, kept small: there may be ten thousand idle ones.
 * Fields are the core's; a layer may read `ops`,
 * `loop` and `below`.
 */
struct conduit_conn {
    const struct conduit_conn_ops *ops;
    struct conduit_loop *loop;
    struct conduit_conn *below;
    struct conduit_conn *above;
    conduit_conn_fn *handler;
    void *arg;
    struct conduit_task task; /* in the loop's ready list */
    struct conduit_conn *flush_next;
    struct conduit_conn *all_next; /* all connections of the loop */
    struct conduit_conn *all_prev;
    struct conduit_timer timer; /* the deadline; linger while closing */
    union {
        struct cdt_dial_report *report; /* what a dial tried, or NULL */
        uint32_t times_us[2];           /* start, elapsed of its one attempt */
    } dialled;
    uint64_t received;
    uint64_t sent;
    const char *fault_text; /* the first failure, */
    int32_t fault_native;
    uint16_t read_budget; /* what is left of this turn's, in 8 bytes */
    uint16_t write_budget;
    uint16_t charged; /* the turn that these belong to, its low bits */
    uint16_t ran;     /* the turn in which it last ran, its low bits */
    uint16_t linger;  /* for close, in tenths of a second */
    uint16_t flags;
    int16_t fault_code;
    int16_t read_failure; /* shows where the bytes end */
    int16_t read_code;    /* what reading ended with; sticky */
    int16_t write_code;   /* sticky; shows at once */
    uint8_t fault_depth;  /* the layer, so many below this one */
    uint8_t state;
    uint8_t interest;
    uint8_t pending; /* events to deliver */
};

/* Bases of every transport's and filter's table. */
struct conduit_acceptor;
struct conduit_resolve;

/*
 * A transport: what a scheme stands for at the bottom of a URI. `check` runs
 * when a URI is parsed: it validates authority and path, and may set
 * uri->address (by conduit_uri_set_address()). Others than `name`, `summary`
 * and `check` may be NULL where the transport cannot do that.
 */
struct conduit_transport {
    const char *name;    /* "mem"; with its stack: "tcp+socket" */
    const char *stack;   /* "socket": "tcp" alone means this one when it is the
                            context's stack; NULL: there is no choice */
    const char *summary; /* a line for `conduit transports` */
    bool ip;             /* the authority is host:port, to be resolved, unless
                            `check` has set uri->address */
    bool path;           /* without http, the URI's path is the address's */

    int (*check)(struct conduit_ctx *ctx, struct conduit_uri *uri,
                 struct conduit_error *err);

    /*
     * Finds the endpoints of a URI: any number of conduit_resolve_add() and one
     * conduit_resolve_done(), now or later. NULL: the core's, which looks up a
     * host, or takes uri->address as the one endpoint.
     */
    void (*resolve)(struct conduit_resolve *r);

    /*
     * For a transport that stands for others: adds the endpoints to try, by
     * conduit_resolve_add(), in place of those that were found for a URI of
     * its own: the addresses of the host with the port, or uri->address as
     * `name`. Addresses of two families take turns among themselves and come
     * behind endpoints without one. 0, or a code to fail with. May be NULL.
     */
    int (*expand)(struct conduit_resolve *r,
                  const struct conduit_endpoint *found, size_t count);

    /* Makes a connection to the endpoint, not started. */
    int (*dial)(struct conduit_ctx *ctx, const struct conduit_endpoint *ep,
                const struct conduit_options *options,
                struct conduit_conn **out, struct conduit_error *err);

    /*
     * Listens at the endpoint. ep->addr.port 0 asks for any port, which is then
     * found by the acceptor's `port`.
     */
    int (*listen)(struct conduit_listener *listener,
                  const struct conduit_endpoint *ep,
                  const struct conduit_options *options,
                  struct conduit_acceptor **out, struct conduit_error *err);
};

/* The bottom of a listener, first member of a transport's own structure. */
struct conduit_acceptor_ops {
    void (*pause)(struct conduit_acceptor *a, bool paused);
    uint16_t (*port)(const struct conduit_acceptor *a); /* 0: has none */
    /* Stops listening, frees all of it, the structure too. */
    void (*destroy)(struct conduit_acceptor *a);
};

struct conduit_acceptor {
    const struct conduit_acceptor_ops *ops;
    struct conduit_listener *listener;
    struct conduit_acceptor *next; /* the listener's */
};

/* A filter: a scheme that stands for a layer over any connection. */
struct conduit_filter {
    const char *name; /* "tls" */
    const char *summary;
    /* Checks what it can when a URI is parsed; may be NULL. */
    int (*check)(struct conduit_ctx *ctx, struct conduit_uri *uri,
                 struct conduit_error *err);
    /*
     * Checks options before a dial or a listener begins with them, so that what
     * would fail for every connection fails at once; may be NULL.
     */
    int (*prepare)(struct conduit_ctx *ctx, bool server,
                   const struct conduit_uri *uri,
                   const struct conduit_options *options,
                   struct conduit_error *err);
    /*
     * Makes a layer for `below`, not started, by conduit_conn_new() with below.
     * `server` tells the role; `uri` is NULL for a layer that is put on a live
     * connection. On failure `below` stays the caller's.
     */
    int (*wrap)(struct conduit_ctx *ctx, struct conduit_conn *below,
                bool server, const struct conduit_uri *uri,
                const struct conduit_options *options,
                struct conduit_conn **out, struct conduit_error *err);
};

/* ---- what the core gives to transports and filters --------------------- */

/*
 * Allocates ops->size zeroed bytes and sets up the base, over `below` (which it
 * then owns) or NULL. NULL when memory is out.
 */
CONDUIT_API struct conduit_conn *
conduit_conn_new(struct conduit_ctx *ctx, const struct conduit_conn_ops *ops,
                 struct conduit_conn *below);

/* For `wrap`: unmakes a layer that was just made; `below` is the caller's
 * again. Its `destroy` is not called. */
CONDUIT_API void conduit_conn_discard(struct conduit_conn *c);

/* Starts a stack from its bottom up; a no-op where it was started already. */
CONDUIT_API void conduit_conn_start(struct conduit_conn *top);

/*
 * Puts a filter on a live connection (STARTTLS) and starts it. It takes the
 * connection, its handler with it; bytes not consumed belong to the filter. On
 * failure nothing has changed.
 */
CONDUIT_API int conduit_conn_push(struct conduit_conn **conn,
                                  const struct conduit_filter *filter,
                                  bool server, const struct conduit_uri *uri,
                                  const struct conduit_options *options,
                                  struct conduit_error *err);

/* The layer is open. */
CONDUIT_API void conduit_conn_opened(struct conduit_conn *c);

/* Queues events (READ, WRITE) of a layer; calls nobody. */
CONDUIT_API void conduit_conn_ready(struct conduit_conn *c, unsigned events);

/* Which directions a failure concerns. */
#define CONDUIT_FAIL_READ 1u
#define CONDUIT_FAIL_WRITE 2u

/*
 * Records a failure and queues ERR. `text` is static; `native` the layer's own
 * number. A read failure shows once `read` of the layer answers a failure or
 * END of its own: bytes before it are still read.
 */
CONDUIT_API void conduit_conn_fail(struct conduit_conn *c, unsigned directions,
                                   int code, int native, const char *text);

/*
 * Gives back memory that was lent: from the loop, at the end of the turn.
 */
CONDUIT_API void conduit_conn_release(struct conduit_conn *c,
                                      struct conduit_ref *ref);

/* For filters: interest in the layer below; answers the levels that hold. */
CONDUIT_API unsigned conduit_conn_want_below(struct conduit_conn *c,
                                             unsigned events);

/* Defaults: by peek and consume; by reserve and commit; by writev; none. */
CONDUIT_API long conduit_default_read(struct conduit_conn *c, void *buf,
                                      size_t n);
CONDUIT_API long conduit_default_writev(struct conduit_conn *c,
                                        const struct conduit_seg *seg,
                                        unsigned count);
CONDUIT_API long conduit_default_lend(struct conduit_conn *c, const void *data,
                                      size_t n, struct conduit_ref *ref);
CONDUIT_API int conduit_default_query(const struct conduit_conn *c,
                                      enum conduit_query what, void *out);

/* For acceptors: a new connection, not started; the listener owns it. */
CONDUIT_API void conduit_listener_deliver(struct conduit_listener *listener,
                                          struct conduit_conn *conn);
CONDUIT_API struct conduit_ctx *
conduit_listener_ctx(const struct conduit_listener *listener);

/* For `check`: sets uri->address to a copy. 0 or CONDUIT_ENOMEM. */
CONDUIT_API int conduit_uri_set_address(struct conduit_ctx *ctx,
                                        struct conduit_uri *uri,
                                        const char *address);

/* Whether the authority is a host, which can be resolved and verified. */
CONDUIT_API bool conduit_uri_has_host(const struct conduit_uri *uri);

/* For `check`: the authority must be a name, [a-z][a-z0-9._-]{0,62}. */
CONDUIT_API int conduit_uri_check_name(struct conduit_ctx *ctx,
                                       struct conduit_uri *uri,
                                       struct conduit_error *err);

/* For `check`: the authority must be host:port, the port known. */
CONDUIT_API int conduit_uri_check_host(struct conduit_ctx *ctx,
                                       struct conduit_uri *uri,
                                       struct conduit_error *err);

/* For `resolve`: the URI; adding an endpoint (name is copied); the end. */
CONDUIT_API const struct conduit_uri *
conduit_resolve_uri(const struct conduit_resolve *r);
CONDUIT_API int conduit_resolve_add(struct conduit_resolve *r,
                                    const struct conduit_transport *transport,
                                    const struct conduit_addr *addr,
                                    const char *name);
CONDUIT_API void conduit_resolve_done(struct conduit_resolve *r,
                                      const struct conduit_error *err);

#endif
