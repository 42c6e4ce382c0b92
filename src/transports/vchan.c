/* SPDX-License-Identifier: ISC */
/*
 * Connections over a shared ring; see vchan.h.
 *
 * Rejected: asking for a wake-up whenever something is missing, as soon as it
 * is. A peer that answers within microseconds then pays a system call for each
 * answer, and so does this side to hear of it.
 */
#include "vchan.h"

#include "core.h"

/* Looks in one call of the poller: some microseconds, so that the loop and the
 * system are not kept waiting. */
#define LOOKS 48

/* The most sleeps in a row without looking first. */
#define SKIP_MAX 63u

#define BOTH (CONDUIT_READ | CONDUIT_WRITE)

/* ---- the list ----------------------------------------------------------- */

static void join(struct cdt_vchan *v)
{
    struct cdt_vchan_waits *w = v->waits;

    if (v->waiting) {
        return;
    }
    v->waiting = true;
    cdt_loop_kick(w->loop); /* who is in the list has to be looked at */
    v->prev = NULL;
    v->next = w->first;
    if (w->first != NULL) {
        w->first->prev = v;
    }
    w->first = v;
}

static void leave(struct cdt_vchan *v)
{
    if (!v->waiting) {
        return;
    }
    v->waiting = false;
    if (v->next != NULL) {
        v->next->prev = v->prev;
    }
    if (v->prev != NULL) {
        v->prev->next = v->next;
    } else {
        v->waits->first = v->next;
    }
}

/* ---- waiting ------------------------------------------------------------ */

/* Queues what has come to hold; whether there is any. */
static bool look_at_all(struct cdt_vchan_waits *w)
{
    struct cdt_vchan *v = w->first;
    bool any = false;

    while (v != NULL) {
        struct cdt_vchan *next = v->next;
        unsigned events = cdt_ring_poll(&v->ring, v->wanted);

        if (events != 0) {
            leave(v);
            conduit_conn_ready(v->conn, events);
            any = true;
        }
        v = next;
    }
    return any;
}

/* Asks all peers to wake us; whether that is not necessary after all. */
static bool arm_all(struct cdt_vchan_waits *w)
{
    bool any = false;

    while (w->first != NULL) {
        struct cdt_vchan *v = w->first;
        unsigned events = cdt_ring_arm(&v->ring, v->wanted);

        leave(v);
        if (events != 0) {
            conduit_conn_ready(v->conn, events);
            any = true;
        }
    }
    return any;
}

static bool look_for_a_while(struct cdt_vchan_waits *w)
{
    for (int i = 0; i < LOOKS; i++) {
        if (look_at_all(w)) {
            w->looking = false;
            w->skip = 0;
            return true;
        }
        w->relax();
    }
    return false;
}

/* Whether it is worth while to look on. */
static bool may_look(struct cdt_vchan_waits *w)
{
    uint64_t now = conduit_loop_now(w->loop);

    if (!w->looking) {
        if (w->spin_ns == 0 || w->skip_left > 0) {
            w->skip_left -= w->skip_left > 0;
            return false;
        }
        w->looking = true;
        w->since = now;
        return true;
    }
    if (now - w->since < w->spin_ns) {
        return true;
    }
    w->looking = false;
    w->skip = w->skip < SKIP_MAX ? 2 * w->skip + 1 : SKIP_MAX;
    w->skip_left = w->skip;
    return false;
}

static enum conduit_poll poll_rings(struct conduit_poller *poller, bool idle)
{
    struct cdt_vchan_waits *w = (struct cdt_vchan_waits *)(void *)poller;

    if (w->first == NULL) {
        w->looking = false;
        return CONDUIT_POLL_IDLE;
    }
    if (!idle) {
        return look_at_all(w) ? CONDUIT_POLL_WORK : CONDUIT_POLL_IDLE;
    }
    if (may_look(w)) {
        return look_for_a_while(w) ? CONDUIT_POLL_WORK : CONDUIT_POLL_SPIN;
    }
    return arm_all(w) ? CONDUIT_POLL_WORK : CONDUIT_POLL_IDLE;
}

void cdt_vchan_waits_init(struct cdt_vchan_waits *w, struct conduit_loop *loop,
                          uint64_t spin_ns, void (*relax)(void))
{
    *w = (struct cdt_vchan_waits){
        .loop = loop, .spin_ns = spin_ns, .relax = relax};
    w->poller.poll = poll_rings;
    conduit_loop_add_poller(loop, &w->poller);
}

void cdt_vchan_waits_fini(struct cdt_vchan_waits *w)
{
    conduit_loop_remove_poller(w->loop, &w->poller);
}

/* ---- beginning and ending ----------------------------------------------- */

void cdt_vchan_init(struct cdt_vchan *v, struct conduit_conn *conn,
                    struct cdt_vchan_waits *waits,
                    void (*wake)(struct conduit_conn *conn))
{
    v->conn = conn;
    v->waits = waits;
    v->wake = wake;
}

const char *cdt_vchan_attach(struct cdt_vchan *v, enum cdt_ring_side side,
                             const struct cdt_ring_layout *layout,
                             const struct cdt_ring_memory *memory)
{
    const char *wrong = cdt_ring_attach(&v->ring, side, layout, memory);

    if (wrong == NULL) {
        cdt_ring_open(&v->ring);
        v->attached = true;
    }
    return wrong;
}

static void end(struct cdt_vchan *v)
{
    if (!v->ended) {
        v->ended = true;
        cdt_ring_close(&v->ring);
        v->wake(v->conn);
    }
}

void cdt_vchan_fini(struct cdt_vchan *v, bool aborted)
{
    leave(v);
    if (v->attached && !aborted) {
        end(v);
    }
    v->attached = false;
}

void cdt_vchan_woken(struct cdt_vchan *v)
{
    unsigned events = cdt_ring_poll(&v->ring, v->wanted);

    if (events != 0) {
        leave(v);
        conduit_conn_ready(v->conn, events);
    } else if (v->wanted != 0) {
        join(v); /* for nothing; who woke us has taken the request away */
    }
}

void cdt_vchan_lost(struct cdt_vchan *v)
{
    if (v->lost) {
        return;
    }
    v->lost = true;
    leave(v);
    if (cdt_ring_peer(&v->ring) == CDT_RING_GONE ||
        cdt_ring_error(&v->ring) != NULL) {
        conduit_conn_ready(v->conn, BOTH);
        return;
    }
    conduit_conn_fail(v->conn, CONDUIT_FAIL_READ, CONDUIT_ETRUNCATED, 0,
                      "the peer is gone without having ended its bytes");
    conduit_conn_fail(v->conn, CONDUIT_FAIL_WRITE, CONDUIT_EPIPE, 0,
                      "the peer is gone");
}

/* ---- bytes -------------------------------------------------------------- */

static long broken(struct cdt_vchan *v)
{
    conduit_conn_fail(v->conn, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE,
                      CONDUIT_EPROTO, 0, cdt_ring_error(&v->ring));
    return CONDUIT_EPROTO;
}

/* What the ring said of reading, as the connection says it. */
static long reading(struct cdt_vchan *v, long n)
{
    if (n == CONDUIT_AGAIN && v->lost) {
        return CONDUIT_ETRUNCATED;
    }
    return n == CONDUIT_EPROTO ? broken(v) : n;
}

long cdt_vchan_peek(struct cdt_vchan *v, struct conduit_win *win)
{
    return v->attached ? reading(v, cdt_ring_peek(&v->ring, win))
                       : CONDUIT_AGAIN;
}

void cdt_vchan_consume(struct cdt_vchan *v, size_t n)
{
    cdt_ring_consume(&v->ring, n);
}

long cdt_vchan_read(struct cdt_vchan *v, void *buf, size_t n)
{
    return v->attached ? reading(v, cdt_ring_read(&v->ring, buf, n))
                       : CONDUIT_AGAIN;
}

/* Whether writing can be tried at all: 0, or what to answer. */
static long write_gate(const struct cdt_vchan *v)
{
    if (!v->attached) {
        return CONDUIT_AGAIN;
    }
    return v->lost ? CONDUIT_EPIPE : 0;
}

long cdt_vchan_reserve(struct cdt_vchan *v, struct conduit_win *win)
{
    long n = write_gate(v);

    if (n == 0) {
        n = cdt_ring_reserve(&v->ring, win);
    }
    return n == CONDUIT_EPROTO ? broken(v) : n;
}

void cdt_vchan_commit(struct cdt_vchan *v, size_t n)
{
    cdt_ring_commit(&v->ring, n);
}

long cdt_vchan_writev(struct cdt_vchan *v, const struct conduit_seg *seg,
                      unsigned count)
{
    long n = write_gate(v);

    if (n == 0) {
        n = cdt_ring_write(&v->ring, seg, count);
    }
    return n == CONDUIT_EPROTO ? broken(v) : n;
}

/* What the peer can see is delivered. */
int cdt_vchan_flush(struct cdt_vchan *v)
{
    if (!v->attached || v->ended) {
        return 0;
    }
    if (cdt_ring_publish(&v->ring)) {
        v->wake(v->conn);
    }
    if (v->ending) {
        end(v);
    }
    return 0;
}

/* Who ends here is gone: the protocol has no half of it. */
int cdt_vchan_finish(struct cdt_vchan *v, bool full)
{
    if (!full) {
        return CONDUIT_ENOTSUP;
    }
    v->ending = true;
    return 0;
}

unsigned cdt_vchan_want(struct cdt_vchan *v, unsigned events)
{
    unsigned held;

    v->wanted = (uint8_t)(events & BOTH);
    if (!v->attached) {
        return 0;
    }
    held = v->lost ? v->wanted : cdt_ring_poll(&v->ring, v->wanted);
    cdt_ring_disarm(&v->ring, BOTH & ~(v->wanted & ~held));
    if ((v->wanted & ~held) != 0) {
        join(v);
    } else {
        leave(v);
    }
    return held;
}
