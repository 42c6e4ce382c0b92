/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target of the shared ring: the input is a peer that writes what it wants
 * into the control page and into the rings, in between calls of this side. The
 * first bytes choose the side, the orders, whether rings are mirrored, and
 * where the indices begin. Whatever comes: windows lie in the rings, an answer
 * is one that may be given, and an error or an end stays. Needs assert().
 */
#include "unix_ring_pair.h"

#include <assert.h>
#include <string.h>

struct feed {
    const uint8_t *data;
    size_t size;
    struct ring_pair *pair;
    struct cdt_ring *ring;
    unsigned side;
    long ready;  /* bytes that it knows of */
    bool failed; /* an error was seen */
    bool ended;  /* peek said so */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t next(struct feed *f)
{
    if (f->size == 0) {
        return 0;
    }
    f->size--;
    return *f->data++;
}

static uint32_t next_word(struct feed *f)
{
    uint32_t word = next(f);

    word |= (uint32_t)next(f) << 8;
    word |= (uint32_t)next(f) << 16;
    return word | (uint32_t)next(f) << 24;
}

/* ---- this side ---------------------------------------------------------- */

/* Reads each byte of a window, as whoever parses it would. */
static unsigned sum(const struct conduit_win *win)
{
    unsigned total = 0;

    for (unsigned i = 0; i < 2; i++) {
        for (size_t at = 0; at < win->seg[i].size; at++) {
            total += win->seg[i].data[at];
        }
    }
    return total;
}

static void do_read(struct feed *f)
{
    struct conduit_win win;
    long ready = cdt_ring_peek(f->ring, &win);
    size_t n;

    if (ready <= 0) {
        assert(ready == CONDUIT_AGAIN || ready == CONDUIT_END ||
               ready == CONDUIT_EPROTO);
        assert(!f->failed || ready == CONDUIT_EPROTO);
        assert(!f->ended || ready == CONDUIT_END);
        assert((ready == CONDUIT_EPROTO) == (cdt_ring_error(f->ring) != NULL));
        assert(f->ready == 0);
        f->ended = ready == CONDUIT_END;
        return;
    }
    assert(!f->ended && ready >= f->ready);
    assert(!f->failed || ready == f->ready);
    assert(ring_pair_owns(f->pair, f->side, &win, ready));
    (void)sum(&win);
    n = (size_t)next(f) * (size_t)next(f);
    n = n < (size_t)ready ? n : (size_t)ready;
    cdt_ring_consume(f->ring, n);
    f->ready = ready - (long)n;
}

static void do_write(struct feed *f)
{
    struct conduit_win win;
    long room = cdt_ring_reserve(f->ring, &win);
    size_t n;

    if (room <= 0) {
        assert(room == CONDUIT_AGAIN || room == CONDUIT_EPIPE ||
               room == CONDUIT_EPROTO);
        assert(!f->failed || room == CONDUIT_EPROTO);
        assert(!f->ended || room == CONDUIT_EPIPE);
        return;
    }
    assert(!f->failed && !f->ended);
    assert(ring_pair_owns(f->pair, f->side ^ 1, &win, room));
    for (unsigned i = 0; i < 2; i++) {
        if (win.seg[i].size > 0) {
            memset(win.seg[i].data, 'x', win.seg[i].size);
        }
    }
    n = (size_t)next(f) * (size_t)next(f);
    cdt_ring_commit(f->ring, n < (size_t)room ? n : (size_t)room);
}

static void do_wait(struct feed *f, unsigned what)
{
    unsigned events = next(f);
    unsigned held;

    if (what == 0) {
        cdt_ring_disarm(f->ring, events);
        return;
    }
    held = what == 1 ? cdt_ring_poll(f->ring, events)
                     : cdt_ring_arm(f->ring, events);
    events &= CONDUIT_READ | CONDUIT_WRITE;
    assert((held & ~events) == 0);
    assert((!f->failed && !f->ended) || held == events);
}

/* ---- the peer ----------------------------------------------------------- */

static void move_index(struct feed *f, uint32_t value)
{
    unsigned which = next(f);
    struct cdt_ring_page *page = f->pair->page;
    _Atomic uint32_t *index = which & 1 ? &page->way[which >> 1 & 1].cons
                                        : &page->way[which >> 1 & 1].prod;

    if ((which & 4) != 0) {
        atomic_store(index, value);
    } else {
        (void)atomic_fetch_add(index, value & 0xffff);
    }
}

/* Any bytes of the page, its rings included. */
static void scribble(struct feed *f)
{
    uint8_t *bytes = f->pair->memory.page;
    size_t at = next(f) * 16u;

    at = at == 0 ? next(f) % CDT_RING_HEADER : at;
    for (unsigned n = next(f) % 8 + 1u; n > 0 && at < CDT_RING_PAGE; n--) {
        bytes[at++] = next(f);
    }
}

/* What an honest peer may do. */
static void play_fair(struct feed *f)
{
    struct cdt_ring_page *page = f->pair->page;
    unsigned in = f->side;
    uint32_t used = atomic_load(&page->way[in].prod) - f->ring->in.shown;
    uint32_t n = next(f) * 37u;

    if (used <= f->ring->in.size) {
        n = n < f->ring->in.size - used ? n : f->ring->in.size - used;
        (void)atomic_fetch_add(&page->way[in].prod, n);
    }
    atomic_store(&page->way[in ^ 1].cons, f->ring->out.shown);
}

static void do_step(struct feed *f)
{
    unsigned op = next(f);

    switch (op % 16) {
    case 0:
    case 1:
    case 2:
        do_read(f);
        break;
    case 3:
    case 4:
        do_write(f);
        break;
    case 5:
        (void)cdt_ring_publish(f->ring);
        break;
    case 6:
    case 7:
    case 8:
        do_wait(f, op % 16 - 6);
        break;
    case 9:
        (void)cdt_ring_peer(f->ring);
        break;
    case 10:
        move_index(f, next_word(f));
        break;
    case 11:
        atomic_store(&f->pair->page->live[f->side], next(f) % 4);
        break;
    case 12:
        scribble(f);
        break;
    default:
        play_fair(f);
        break;
    }
}

/* Mappings are kept from one input to the next. */
static struct ring_pair *get_pair(unsigned a, unsigned b, bool mirrored)
{
    static struct ring_pair pairs[2][4][4];
    struct ring_pair *p = &pairs[mirrored][a - 10][b - 10];

    if (p->page == NULL) {
        ring_pair_map(p, a, b, mirrored);
    }
    cdt_ring_format(p->page, &p->layout);
    return p;
}

static bool begin(struct feed *f)
{
    unsigned how = next(f);
    struct cdt_ring_layout layout = {
        {(uint8_t)(10 + next(f) % 4), (uint8_t)(10 + next(f) % 4)}};
    uint32_t start = next_word(f);

    if (cdt_ring_check(&layout) != NULL) {
        return false;
    }
    f->side = how & 1;
    f->pair = get_pair(layout.order[0], layout.order[1], (how & 2) != 0);
    f->ring = &f->pair->side[f->side];
    for (unsigned way = 0; way < 2; way++) {
        atomic_store(&f->pair->page->way[way].cons, start);
        atomic_store(&f->pair->page->way[way].prod, start);
    }
    if ((how & 4) != 0) { /* the server's page is not as it should be */
        scribble(f);
        if (cdt_ring_read_layout(f->pair->page, &layout) == NULL) {
            assert(cdt_ring_check(&layout) == NULL);
        }
    }
    (void)cdt_ring_attach(f->ring, (enum cdt_ring_side)f->side,
                          &f->pair->layout, &f->pair->memory);
    cdt_ring_open(f->ring);
    return true;
}

/* The state of the ring between calls. */
static void check_state(struct feed *f)
{
    const struct cdt_ring *r = f->ring;

    assert(!f->failed || cdt_ring_error(r) != NULL);
    f->failed = cdt_ring_error(r) != NULL;
    f->ready = (long)(uint32_t)(r->in.seen - r->in.at);
    assert((size_t)f->ready <= r->in.size);
    assert(f->failed || r->out.at - r->out.seen <= r->out.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct feed f;

    memset(&f, 0, sizeof f);
    f.data = data;
    f.size = size;
    if (begin(&f)) {
        check_state(&f);
        while (f.size > 0) {
            do_step(&f);
            check_state(&f);
        }
        cdt_ring_close(f.ring);
    }
    return 0;
}
