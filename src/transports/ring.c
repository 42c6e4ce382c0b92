/* SPDX-License-Identifier: ISC */
/*
 * The two rings, one side of them; ring.h says what must hold and why.
 *
 * Both sides' indices, liveness and notify bits share one cache line, so each
 * look at it may cost a transfer between cores. It is looked at when what is
 * known has been used up, all of it at once, and written once in an eighth of a
 * ring and once a turn.
 *
 * Rejected: looking at the peer's index in each call, which shows larger
 * windows sooner and costs a transfer for each small message.
 */
#include "ring.h"

#include <string.h>

/* A side reads the ring that has its own number, and sleeps by that notify
 * byte; a liveness byte has the number of the ring that its owner writes. */
static unsigned in_of(const struct cdt_ring *r)
{
    return r->side;
}

static unsigned out_of(const struct cdt_ring *r)
{
    return in_of(r) ^ 1u;
}

static _Atomic uint8_t *own_notify(const struct cdt_ring *r)
{
    return &r->page->notify[in_of(r)];
}

static _Atomic uint8_t *peer_notify(const struct cdt_ring *r)
{
    return &r->page->notify[out_of(r)];
}

static uint32_t ready(const struct cdt_ring *r)
{
    return r->in.seen - r->in.at;
}

static uint32_t room(const struct cdt_ring *r)
{
    return r->out.size - (r->out.at - r->out.seen);
}

/* ---- looking at the peer ------------------------------------------------ */

static void fail(struct cdt_ring *r, const char *what)
{
    r->error = what;
    r->over = true;
}

/*
 * Takes the peer's index over, if it went at most `most` on from where it was.
 * A step of more than half the numbers is one back.
 */
static void take_index(struct cdt_ring *r, struct cdt_ring_flow *f,
                       uint32_t most, const char *too_far, const char *back)
{
    uint32_t now = atomic_load(f->peer);
    uint32_t step = now - f->seen;

    if (step > most) {
        fail(r, step > UINT32_MAX / 2 ? back : too_far);
    } else {
        f->seen = now;
    }
}

/* Before the indices: a peer moves them first, and then is gone. */
static void take_live(struct cdt_ring *r)
{
    unsigned live = atomic_load(&r->page->live[in_of(r)]);

    if (live > CDT_RING_AWAITED ||
        (live == CDT_RING_AWAITED && r->peer != CDT_RING_AWAITED)) {
        fail(r, "the peer's liveness is not one that can follow");
    } else {
        r->peer = (enum cdt_ring_live)live;
    }
}

static void look(struct cdt_ring *r)
{
    if (r->over) {
        return;
    }
    take_live(r);
    if (r->error == NULL) {
        take_index(r, &r->in, r->in.size - (r->in.seen - r->in.shown),
                   "the peer wrote more than there was room for",
                   "the peer's index of what it wrote went back");
    }
    if (r->error == NULL) {
        take_index(r, &r->out, r->out.shown - r->out.seen,
                   "the peer read more than there was",
                   "the peer's index of what it read went back");
    }
    r->over = r->over || r->peer == CDT_RING_GONE;
}

enum cdt_ring_live cdt_ring_peer(struct cdt_ring *r)
{
    look(r);
    return r->peer;
}

const char *cdt_ring_error(const struct cdt_ring *r)
{
    return r->error;
}

/* ---- starting and ending ------------------------------------------------ */

static void attach_flow(struct cdt_ring_flow *f, const struct cdt_ring *r,
                        const struct cdt_ring_layout *layout,
                        const struct cdt_ring_memory *memory, bool in)
{
    unsigned way = in ? in_of(r) : out_of(r);
    struct cdt_ring_page *p = r->page;

    f->data = memory->ring[way].data;
    f->mirrored = memory->ring[way].mirrored;
    f->size = (uint32_t)1 << layout->order[way];
    f->own = in ? &p->way[way].cons : &p->way[way].prod;
    f->peer = in ? &p->way[way].prod : &p->way[way].cons;
    f->at = atomic_load(f->own);
    f->shown = f->at;
    f->seen = atomic_load(f->peer);
}

const char *cdt_ring_attach(struct cdt_ring *r, enum cdt_ring_side side,
                            const struct cdt_ring_layout *layout,
                            const struct cdt_ring_memory *memory)
{
    *r = (struct cdt_ring){.page = memory->page, .side = side};
    r->peer = side == CDT_RING_SERVER ? CDT_RING_AWAITED : CDT_RING_CONNECTED;
    attach_flow(&r->in, r, layout, memory, true);
    attach_flow(&r->out, r, layout, memory, false);
    if (ready(r) > r->in.size || room(r) > r->out.size) {
        fail(r, "a ring holds more than its size");
        r->in.seen = r->in.at; /* it shows none of that */
    }
    return r->error;
}

/* libxenvchan's sides want to hear of bytes from the start. */
void cdt_ring_open(struct cdt_ring *r)
{
    r->armed = CDT_RING_ON_WRITE;
    atomic_store(own_notify(r), CDT_RING_ON_WRITE);
    atomic_store(&r->page->live[out_of(r)], CDT_RING_CONNECTED);
}

static void show(struct cdt_ring_flow *f, memory_order order)
{
    f->shown = f->at;
    atomic_store_explicit(f->own, f->at, order);
}

void cdt_ring_close(struct cdt_ring *r)
{
    show(&r->in, memory_order_release);
    show(&r->out, memory_order_release);
    r->due = 0;
    atomic_store(&r->page->live[out_of(r)], CDT_RING_GONE);
}

/* ---- bytes -------------------------------------------------------------- */

static void fill_window(const struct cdt_ring_flow *f, uint32_t n,
                        struct conduit_win *win)
{
    uint32_t start = f->at & (f->size - 1);
    uint32_t first = f->size - start;

    if (f->mirrored || first > n) {
        first = n;
    }
    win->seg[0].data = f->data + start;
    win->seg[0].size = first;
    win->seg[1].data = f->data;
    win->seg[1].size = n - first;
    win->shared = true;
}

/* The quantum lets the peer begin while this side is still at work. */
static void move(struct cdt_ring_flow *f, size_t n)
{
    f->at += (uint32_t)n;
    if (f->at - f->shown >= f->size / 8) {
        show(f, memory_order_release);
    }
}

/* What can be read, or what to answer. */
static long readable(struct cdt_ring *r)
{
    if (ready(r) == 0) {
        look(r);
    }
    if (ready(r) == 0) {
        if (r->error != NULL) {
            return CONDUIT_EPROTO;
        }
        return r->peer == CDT_RING_GONE ? CONDUIT_END : CONDUIT_AGAIN;
    }
    return (long)ready(r);
}

long cdt_ring_peek(struct cdt_ring *r, struct conduit_win *win)
{
    long n = readable(r);

    if (n > 0) {
        fill_window(&r->in, (uint32_t)n, win);
    }
    return n;
}

/* Bytes that lie in a row from an index on, n at most. */
static size_t in_a_row(const struct cdt_ring_flow *f, uint32_t at, size_t n)
{
    size_t most = f->size - (at & (f->size - 1));

    return f->mirrored || n < most ? n : most;
}

long cdt_ring_read(struct cdt_ring *r, void *buf, size_t n)
{
    const struct cdt_ring_flow *f = &r->in;
    long there = readable(r);
    size_t first;

    if (there <= 0) {
        return there;
    }
    n = n < (size_t)there ? n : (size_t)there;
    first = in_a_row(f, f->at, n);
    memcpy(buf, f->data + (f->at & (f->size - 1)), first);
    if (first < n) {
        memcpy((uint8_t *)buf + first, f->data, n - first);
    }
    cdt_ring_consume(r, n);
    return (long)n;
}

void cdt_ring_consume(struct cdt_ring *r, size_t n)
{
    if (n > 0) {
        move(&r->in, n);
        r->due |= CDT_RING_ON_READ;
    }
}

/* What can be written, or what to answer. */
static long writable(struct cdt_ring *r)
{
    if (room(r) == 0) {
        look(r);
    }
    if (r->over) {
        return r->error != NULL ? CONDUIT_EPROTO : CONDUIT_EPIPE;
    }
    return room(r) == 0 ? CONDUIT_AGAIN : (long)room(r);
}

long cdt_ring_reserve(struct cdt_ring *r, struct conduit_win *win)
{
    long n = writable(r);

    if (n > 0) {
        fill_window(&r->out, (uint32_t)n, win);
    }
    return n;
}

long cdt_ring_write(struct cdt_ring *r, const struct conduit_seg *seg,
                    unsigned count)
{
    const struct cdt_ring_flow *f = &r->out;
    long most = writable(r);
    size_t done = 0;

    for (unsigned i = 0; i < count && (long)done < most; i++) {
        uint32_t at = f->at + (uint32_t)done;
        size_t left = (size_t)most - done;
        size_t n = seg[i].size < left ? seg[i].size : left;
        size_t first = in_a_row(f, at, n);

        if (n > 0) {
            memcpy(f->data + (at & (f->size - 1)), seg[i].data, first);
        }
        if (first < n) {
            memcpy(f->data, (const uint8_t *)seg[i].data + first, n - first);
        }
        done += n;
    }
    if (most <= 0) {
        return most;
    }
    cdt_ring_commit(r, done);
    return (long)done;
}

void cdt_ring_commit(struct cdt_ring *r, size_t n)
{
    if (n > 0) {
        move(&r->out, n);
        r->due |= CDT_RING_ON_WRITE;
    }
}

/*
 * An index that is in shared memory already is stored once more: the barrier
 * has to be between it and the notify bits. Whether a bit was set is asked
 * before it is taken away, since to do both at once is a loop on x86 that the
 * peer could keep going; at worst the peer is woken for nothing.
 */
bool cdt_ring_publish(struct cdt_ring *r)
{
    unsigned due = r->due;
    unsigned set;

    if (due == 0) {
        return false;
    }
    r->due = 0;
    if ((due & CDT_RING_ON_READ) != 0) {
        show(&r->in, memory_order_seq_cst);
    }
    if ((due & CDT_RING_ON_WRITE) != 0) {
        show(&r->out, memory_order_seq_cst);
    }
    set = due & atomic_load(peer_notify(r));
    if (set == 0) {
        return false;
    }
    (void)atomic_fetch_and(peer_notify(r), (uint8_t)~set);
    return true;
}

/* ---- waiting ------------------------------------------------------------ */

static unsigned levels(const struct cdt_ring *r)
{
    unsigned held = 0;

    if (r->over || ready(r) > 0) {
        held |= CONDUIT_READ;
    }
    if (r->over || room(r) > 0) {
        held |= CONDUIT_WRITE;
    }
    return held;
}

unsigned cdt_ring_poll(struct cdt_ring *r, unsigned events)
{
    events &= CONDUIT_READ | CONDUIT_WRITE;
    if ((events & ~levels(r)) != 0) {
        look(r);
    }
    return events & levels(r);
}

static uint8_t bits_of(unsigned events)
{
    unsigned bits = 0;

    if ((events & CONDUIT_READ) != 0) {
        bits |= CDT_RING_ON_WRITE;
    }
    if ((events & CONDUIT_WRITE) != 0) {
        bits |= CDT_RING_ON_READ;
    }
    return (uint8_t)bits;
}

static void clear_bits(struct cdt_ring *r, unsigned bits)
{
    bits &= r->armed;
    if (bits == 0) {
        return;
    }
    r->armed &= (uint8_t)~bits;
    if ((atomic_load(own_notify(r)) & bits) != 0) {
        (void)atomic_fetch_and(own_notify(r), (uint8_t)~bits);
    }
}

/*
 * A bit that is found set was in effect before the indices are read below, as
 * if it had been set now.
 */
static void set_bits(struct cdt_ring *r, unsigned bits)
{
    r->armed |= (uint8_t)bits;
    if ((atomic_load(own_notify(r)) & bits) != bits) {
        (void)atomic_fetch_or(own_notify(r), (uint8_t)bits);
    }
}

unsigned cdt_ring_arm(struct cdt_ring *r, unsigned events)
{
    unsigned held = cdt_ring_poll(r, events);
    unsigned bits = bits_of(events & ~held);

    clear_bits(r, ~bits);
    if (bits == 0) {
        return held;
    }
    set_bits(r, bits);
    held = cdt_ring_poll(r, events);
    clear_bits(r, bits_of(held));
    return held;
}

void cdt_ring_disarm(struct cdt_ring *r, unsigned events)
{
    clear_bits(r, bits_of(events));
}
