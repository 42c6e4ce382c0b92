/* SPDX-License-Identifier: ISC */
/*
 * Connections and listeners, as applications use them.
 *
 * A connection is a stream of bytes both ways, whatever carries it. It tells by
 * events what can be done, and the calls here do it without ever blocking.
 *
 * - READ and WRITE are hints: a call may still answer CONDUIT_AGAIN. They come
 *   again, once a turn, as long as they hold and are wanted; drop the interest
 *   of what is not wanted.
 * - Callbacks come only from the loop, never from inside a call made here.
 * - The end of the peer's bytes (END), a stream cut short (ETRUNCATED, ERESET)
 *   and a deadline (ETIMEDOUT) are different codes. A write error shows at
 * once; a read error shows only after every byte before it was read.
 * - close and abort are legal inside any callback; the connection must not be
 *   used after that turn.
 */
#ifndef CONDUIT_CONN_H
#define CONDUIT_CONN_H

#include <conduit/endpoint.h>

struct conduit_conn;
struct conduit_dial;
struct conduit_listener;
struct conduit_tls;

enum conduit_event {
    CONDUIT_READ = 1,    /* bytes, the end, or an error can be read */
    CONDUIT_WRITE = 2,   /* there is room */
    CONDUIT_DRAINED = 4, /* nothing is held any more; comes once per change */
    CONDUIT_OPEN = 8,    /* connected, every layer; always delivered */
    CONDUIT_ERR = 16 /* failed; always delivered. Ask conduit_conn_error() */
};

typedef void conduit_conn_fn(void *arg, struct conduit_conn *conn,
                             unsigned events);

/* Bytes in memory. */
struct conduit_seg {
    const void *data;
    size_t size;
};

/* A window: bytes in place, in at most two segments (a ring wraps). */
struct conduit_win {
    struct {
        uint8_t *data;
        size_t size;
    } seg[2];
    bool shared; /* the peer can change these bytes while they are read */
};

/*
 * Options of a dial or a listener. Zero-initialise; zero means the default. The
 * structure is copied. Times are milliseconds.
 */
struct conduit_options {
    /* dial */
    unsigned attempt_ms; /* for one address, all layers; default 10,000 */
    unsigned dial_ms;    /* for all of it, resolution too; default 30,000 */
    unsigned stagger_ms; /* before the next address is tried beside the one
                            under way, RFC 8305; default 250 */
    /* listen */
    unsigned open_ms;     /* for an accepted peer to open; default 10,000 */
    unsigned max_opening; /* accepted, not open yet, or failed and about to be
                             told so; default 1,024 */
    unsigned backlog;     /* the queue of the system, or of tcp+direct, which
                             has 255 at most; default 1,024 */
    bool reuse_port;      /* several listeners share a port (SO_REUSEPORT);
                             tcp+direct does not know it */
    unsigned unix_mode;   /* permissions of a Unix socket's file; 0: umask's */
    /* vchan: bytes of each of a connection's two rings, rounded up to a power
     * of two, 1 KiB to 1 MiB; default 256 KiB */
    unsigned ring_bytes;
    /* vchan: bytes of rings that one user may make us have; default 512 MiB */
    uint64_t ring_bytes_per_user;
    /* vchan: who may connect besides our own user and root: "alice", a number,
     * or "@staff" for a group; NULL-ended. The name is then in
     * /run/conduit/UID, unless CONDUIT_RUNTIME_DIR says where. The caller keeps
     * it while it calls listen. NULL: nobody */
    const char *const *users;
    /* both */
    unsigned linger_ms;   /* how long close() delivers; default 10,000 */
    bool nagle;           /* leave Nagle's algorithm on (no TCP_NODELAY) */
    unsigned keepalive_s; /* TCP keepalive after this many seconds; 0: off */
    /* layers of TLS; see tls.h. The configuration stays the caller's, who keeps
     * it until the dial has ended or the listener is closed. */
    struct conduit_tls *tls; /* NULL: the context's */
    const char *tls_name;    /* dial: whom to expect; NULL: the URI's host */
};

/* ---- dial ------------------------------------------------------------- */

/* One address that a dial tried, and how it went. Times in microseconds. */
struct conduit_attempt {
    char endpoint[192]; /* "tcp+socket 192.0.2.1:80" */
    uint64_t start_us;  /* since the dial began */
    uint64_t elapsed_us;
    struct conduit_error error; /* code 0: this one won */
};

/*
 * The one answer to a dial: a connection that is OPEN, owned by the caller, or
 * NULL and the reason. `dial` is valid only within this call, for
 * conduit_dial_attempt().
 */
typedef void conduit_dialed_fn(void *arg, struct conduit_dial *dial,
                               struct conduit_conn *conn,
                               const struct conduit_error *err);

/*
 * Begins to connect to `uri`: resolves it, tries the addresses in order, each
 * with a deadline and staggered (happy eyeballs, RFC 8305), puts the layers on.
 * `fn` is called once, later, from the loop. Answers a negative code, and does
 * not call fn, when the URI is wrong or memory is out. `*out` (may be NULL) is
 * for conduit_dial_cancel() and ends with the callback.
 */
CONDUIT_API int conduit_dial(struct conduit_ctx *ctx, const char *uri,
                             const struct conduit_options *options,
                             conduit_dialed_fn *fn, void *arg,
                             struct conduit_dial **out,
                             struct conduit_error *err);

/* Calls a dial off; its callback will not come. NULL is harmless. */
CONDUIT_API void conduit_dial_cancel(struct conduit_dial *dial);

/* Attempt i (from 0) of a dial; false when there are no more. */
CONDUIT_API bool conduit_dial_attempt(const struct conduit_dial *dial, size_t i,
                                      struct conduit_attempt *out);

/* The same, kept on a connection that was dialled. */
CONDUIT_API bool conduit_conn_attempt(const struct conduit_conn *conn, size_t i,
                                      struct conduit_attempt *out);

/* ---- listen ----------------------------------------------------------- */

/*
 * A peer is there: `conn` is OPEN in every layer and owned by the callee, who
 * sets a handler, or closes it.
 */
typedef void conduit_accept_fn(void *arg, struct conduit_listener *listener,
                               struct conduit_conn *conn);

/*
 * Listens at `uri`; when it answers 0 peers can connect. A host is a number, in
 * the context's table, or localhost (resolver.h); one that has several
 * addresses is listened to on each, with one port. The error names the layer
 * and cause: EADDRINUSE, EADDRNOTAVAIL, EACCESS, EEXIST (a path that is no
 * socket of a dead listener), ENAME and so on. Out of descriptors, a listener
 * backs off, says so in the log, and recovers by itself.
 */
CONDUIT_API int conduit_listen(struct conduit_ctx *ctx, const char *uri,
                               const struct conduit_options *options,
                               conduit_accept_fn *fn, void *arg,
                               struct conduit_listener **out,
                               struct conduit_error *err);

/*
 * The listener's URI with the real port, otherwise as it was given: what a peer
 * may dial, but for the wildcard. It belongs to the listener.
 */
CONDUIT_API const char *conduit_listener_uri(const struct conduit_listener *l);

/* Stops taking peers, who wait in the system's queue; and goes on. */
CONDUIT_API void conduit_listener_pause(struct conduit_listener *listener);
CONDUIT_API void conduit_listener_resume(struct conduit_listener *listener);

/*
 * Stops listening at once and frees the listener: the port or path is free,
 * what was still opening is dropped, connections handed over are not touched.
 * NULL is harmless.
 */
CONDUIT_API void conduit_listener_close(struct conduit_listener *listener);

/* ---- connections ------------------------------------------------------ */

/*
 * Sets who is told of events, and which of READ, WRITE and DRAINED are wanted.
 * Events that came before wait for this. `fn` NULL detaches.
 */
CONDUIT_API void conduit_conn_set_handler(struct conduit_conn *conn,
                                          conduit_conn_fn *fn, void *arg,
                                          unsigned events);

/* Replaces the set of wanted events. What holds now comes in the next turn. */
CONDUIT_API void conduit_conn_want(struct conduit_conn *conn, unsigned events);

/*
 * Shows the bytes that can be read, in place, until the next call on the
 * connection or the end of the callback. Answers how many (more than 0), AGAIN,
 * END or an error. It is no look-ahead: what is shown may not grow until some
 * of it is consumed.
 */
CONDUIT_API long conduit_conn_peek(struct conduit_conn *conn,
                                   struct conduit_win *win);

/* Gives back the first n bytes of what peek showed. */
CONDUIT_API void conduit_conn_consume(struct conduit_conn *conn, size_t n);

/*
 * Shows room to write into, in place, valid until the next call on the
 * connection (which is commit) or the end of the callback. Answers how many
 * bytes (more than 0), AGAIN or an error.
 */
CONDUIT_API long conduit_conn_reserve(struct conduit_conn *conn,
                                      struct conduit_win *win);

/* The first n bytes of the room are filled: accepted. 0 gives the room back. */
CONDUIT_API void conduit_conn_commit(struct conduit_conn *conn, size_t n);

/* Reads at most n bytes. Answers how many (more than 0), AGAIN, END, an error.
 */
CONDUIT_API long conduit_conn_read(struct conduit_conn *conn, void *buf,
                                   size_t n);

/*
 * Writes at most n bytes; answers how many were accepted (more than 0, perhaps
 * fewer than n), AGAIN or an error. Accepted bytes are delivered, or an error
 * says that they were not. They go out at the end of the turn at the latest.
 */
CONDUIT_API long conduit_conn_write(struct conduit_conn *conn, const void *buf,
                                    size_t n);
CONDUIT_API long conduit_conn_writev(struct conduit_conn *conn,
                                     const struct conduit_seg *seg,
                                     unsigned count);

/*
 * Memory lent to a connection; `release` is called once it is not used more.
 * Set `release`, zero the rest.
 */
struct conduit_ref {
    void (*release)(struct conduit_ref *ref);
    struct conduit_ref *next;
    unsigned due;
};

/*
 * As write, for memory that stays unchanged until `ref` is released (by the
 * loop, never within the call; also when the connection fails), or for ever
 * when `ref` is NULL. A transport that can sends it without a copy. When fewer
 * than n bytes are accepted, or none, the reference is taken only for what was
 * accepted: each call that accepts something releases once.
 */
CONDUIT_API long conduit_conn_lend(struct conduit_conn *conn, const void *data,
                                   size_t n, struct conduit_ref *ref);

/* Pushes out what was accepted. 0: drained; AGAIN: some is left; or an error.
 */
CONDUIT_API int conduit_conn_flush(struct conduit_conn *conn);

/*
 * Ends our bytes; the peer reads END behind them. With `full` false the
 * connection must be able to go on reading (CONDUIT_CAP_HALF_CLOSE), else it is
 * ENOTSUP; with true the layer may give up reading. Later writes are ECLOSED.
 */
CONDUIT_API int conduit_conn_finish(struct conduit_conn *conn, bool full);

/*
 * Fails the connection with ETIMEDOUT after `ms`, counted from this call; 0: no
 * deadline. Call it again at each sign of life for an idle time-out.
 */
CONDUIT_API void conduit_conn_set_deadline(struct conduit_conn *conn,
                                           uint64_t ms);

/* Replaces the linger time of a later close (milliseconds). */
CONDUIT_API void conduit_conn_set_linger(struct conduit_conn *conn,
                                         unsigned ms);

/*
 * Ends in good order: no callback comes any more, what was accepted is
 * delivered in the background under the linger deadline; failing at that is
 * logged. Who must know waits for DRAINED or ERR first. A second close within
 * the turn is harmless, and so is NULL.
 */
CONDUIT_API void conduit_conn_close(struct conduit_conn *conn);

/*
 * Drops it now. Where the transport can (CONDUIT_CAP_RESET) the peer sees
 * ERESET, not END.
 */
CONDUIT_API void conduit_conn_abort(struct conduit_conn *conn);

/* ---- facts ------------------------------------------------------------ */

/* Capabilities, or-ed. */
enum conduit_cap {
    CONDUIT_CAP_HALF_CLOSE = 1, /* finish leaves reading as it is */
    CONDUIT_CAP_RESET = 2,      /* the peer can tell abort from close */
    CONDUIT_CAP_LINGER = 4      /* unread input at close would hurt the peer */
};

/* The user at the other end of a Unix socket. */
struct conduit_cred {
    uint32_t uid;
    uint32_t gid;
    int32_t pid;
};

struct conduit_counters {
    uint64_t received; /* bytes that this side read */
    uint64_t sent;     /* bytes that were accepted */
};

enum conduit_query {
    CONDUIT_QUERY_CAPS,      /* unsigned */
    CONDUIT_QUERY_TRANSPORT, /* const char *: "tcp+socket", "unix", "mem" */
    CONDUIT_QUERY_PEER,      /* char[CONDUIT_PEER_TEXT] */
    CONDUIT_QUERY_LOCAL,     /* char[CONDUIT_PEER_TEXT] */
    CONDUIT_QUERY_CRED,      /* struct conduit_cred */
    CONDUIT_QUERY_COUNTERS,  /* struct conduit_counters */
    CONDUIT_QUERY_UNACKED,   /* size_t: accepted, and not known to have arrived
                                at the peer's system (TCP only) */
    CONDUIT_QUERY_TLS        /* struct conduit_tls_facts (tls.h) */
};

#define CONDUIT_PEER_TEXT 128

/*
 * Asks a fact of the connection, whichever layer knows it. `out` points to what
 * the enum's comment says. 0, or ENOTSUP when no layer knows.
 */
CONDUIT_API int conduit_conn_query(const struct conduit_conn *conn,
                                   enum conduit_query what, void *out);

/* The layers from the top, "tls+tcp+socket"; cut at n. Answers buf. */
CONDUIT_API char *conduit_conn_layers(const struct conduit_conn *conn,
                                      char *buf, size_t n);

/*
 * The first failure of the connection: fills *err (may be NULL) and answers its
 * code; 0 when there was none. END is no failure.
 */
CONDUIT_API int conduit_conn_error(const struct conduit_conn *conn,
                                   struct conduit_error *err);

/* The loop that it belongs to. */
CONDUIT_API struct conduit_loop *
conduit_conn_loop(const struct conduit_conn *c);

#endif
