/* SPDX-License-Identifier: ISC */
/*
 * A connection over a shared ring (ring.h), whatever platform shares it: what
 * the entries of a table of operations do, and how it is waited for. The
 * platform's connection contains a struct cdt_vchan; it makes the memory,
 * passes on that it was woken, and wakes the peer when it is told to.
 *
 * Waiting is adaptive. A connection whose events do not hold joins a list that
 * the loop's poller looks at; only when the loop has nothing else to do, and
 * looking for a bounded time brought nothing, is the peer asked to wake us.
 * Looking that brings nothing is done less and less often.
 */
#ifndef CDT_VCHAN_H
#define CDT_VCHAN_H

#include "ring.h"

#include <conduit/transport.h>

/* How a context waits for its rings: one for all, which the platform keeps. */
struct cdt_vchan_waits {
    struct conduit_poller poller;
    struct conduit_loop *loop;
    struct cdt_vchan *first;
    void (*relax)(void); /* between two looks: lets the other thread run */
    uint64_t spin_ns;    /* how long to look before sleeping; 0: not at all */
    uint64_t since;      /* when looking began */
    unsigned skip;       /* sleeps without looking after one in vain, */
    unsigned skip_left;  /* and what is left of these */
    bool looking;
};

struct cdt_vchan {
    struct cdt_ring ring;
    struct conduit_conn *conn;
    struct cdt_vchan_waits *waits;
    void (*wake)(struct conduit_conn *conn); /* the peer; never blocks */
    struct cdt_vchan *next;                  /* of those that are looked at */
    struct cdt_vchan *prev;
    uint8_t wanted;
    bool attached; /* there is a ring */
    bool waiting;  /* in the list */
    bool ending;   /* our bytes have ended; flush says so */
    bool ended;
    bool lost; /* the peer went without a word */
};

/* `relax` may be NULL when spin_ns is 0. */
void cdt_vchan_waits_init(struct cdt_vchan_waits *w, struct conduit_loop *loop,
                          uint64_t spin_ns, void (*relax)(void));
void cdt_vchan_waits_fini(struct cdt_vchan_waits *w);

void cdt_vchan_init(struct cdt_vchan *v, struct conduit_conn *conn,
                    struct cdt_vchan_waits *waits,
                    void (*wake)(struct conduit_conn *conn));
/*
 * Begins to use a ring, and says that this side is there; a client then wakes
 * its server. NULL, or what is wrong with the ring.
 */
const char *cdt_vchan_attach(struct cdt_vchan *v, enum cdt_ring_side side,
                             const struct cdt_ring_layout *layout,
                             const struct cdt_ring_memory *memory);
/* Before the memory goes. With `aborted` the peer finds itself cut off, for it
 * is not told of an end. */
void cdt_vchan_fini(struct cdt_vchan *v, bool aborted);

/* The peer has woken us. */
void cdt_vchan_woken(struct cdt_vchan *v);
/* The peer is gone, as far as the platform knows. What it has written is read;
 * if it did not say that it ends, that is truncation. */
void cdt_vchan_lost(struct cdt_vchan *v);

/* For the table of operations. Before attach nothing is there. */
long cdt_vchan_peek(struct cdt_vchan *v, struct conduit_win *win);
void cdt_vchan_consume(struct cdt_vchan *v, size_t n);
long cdt_vchan_reserve(struct cdt_vchan *v, struct conduit_win *win);
void cdt_vchan_commit(struct cdt_vchan *v, size_t n);
long cdt_vchan_read(struct cdt_vchan *v, void *buf, size_t n);
long cdt_vchan_writev(struct cdt_vchan *v, const struct conduit_seg *seg,
                      unsigned count);
int cdt_vchan_flush(struct cdt_vchan *v);
int cdt_vchan_finish(struct cdt_vchan *v, bool full);
unsigned cdt_vchan_want(struct cdt_vchan *v, unsigned events);

#endif
