/* SPDX-License-Identifier: ISC */
/*
 * Long random use of the shared ring by both sides, against a model of it: how
 * far each direction was written and read, how far the other side was shown,
 * and who asked to be woken. A failure names the seed.
 */
#include "support.h"
#include "unix_ring_pair.h"

#include <inttypes.h>

#define STEPS 3000u

/* One direction. */
struct flow {
    uint64_t written;
    uint64_t written_shown;
    uint64_t read;
    uint64_t read_shown;
    uint64_t size;
};

struct run {
    struct ring_pair pair;
    struct flow flow[2];
    unsigned bits[2]; /* asked for, by side */
    unsigned due[2];  /* moved and not published, by side */
    uint64_t random;
    uint64_t seed;
    unsigned step;
};

#define CHECK(run, cond)                                                       \
    do {                                                                       \
        if (!(cond)) {                                                         \
            fail_msg("orders %u and %u, seed %" PRIu64 ", step %u: %s",        \
                     (run)->pair.layout.order[0], (run)->pair.layout.order[1], \
                     (run)->seed, (run)->step, #cond);                         \
        }                                                                      \
    } while (0)

/* Side i reads flow i and writes the other. */
static struct flow *in_flow(struct run *r, unsigned side)
{
    return &r->flow[side];
}

static struct flow *out_flow(struct run *r, unsigned side)
{
    return &r->flow[side ^ 1];
}

static unsigned levels(struct run *r, unsigned side)
{
    const struct flow *in = in_flow(r, side);
    const struct flow *out = out_flow(r, side);
    unsigned held = in->written_shown > in->read ? CONDUIT_READ : 0;

    if (out->written - out->read_shown < out->size) {
        held |= CONDUIT_WRITE;
    }
    return held;
}

/* Small more often than large, and all of it sometimes. */
static size_t some(struct run *r, long most)
{
    size_t limit = (size_t)most;

    switch (t_random(&r->random) % 8) {
    case 0:
        return limit;
    case 1:
    case 2:
        return t_range(&r->random, 0, limit);
    default:
        return t_range(&r->random, 0, limit < 80 ? limit : 80);
    }
}

static void step_write(struct run *r, unsigned side)
{
    struct flow *f = out_flow(r, side);
    struct conduit_win win;
    long room = cdt_ring_reserve(&r->pair.side[side], &win);
    size_t n;
    size_t first;

    if (room == CONDUIT_AGAIN) {
        CHECK(r, f->written - f->read_shown == f->size);
        return;
    }
    CHECK(r, ring_pair_owns(&r->pair, side ^ 1, &win, room));
    CHECK(r, (uint64_t)room <= f->size - (f->written - f->read_shown));
    CHECK(r, !r->pair.memory.ring[side ^ 1].mirrored || win.seg[1].size == 0);
    n = some(r, room);
    first = n < win.seg[0].size ? n : win.seg[0].size;
    t_fill(side, f->written, win.seg[0].data, first);
    t_fill(side, f->written + first, win.seg[1].data, n - first);
    cdt_ring_commit(&r->pair.side[side], n);
    f->written += n;
    r->due[side] |= n > 0 ? CDT_RING_ON_WRITE : 0;
    if (f->written - f->written_shown >= f->size / 8) {
        f->written_shown = f->written;
    }
}

static void step_read(struct run *r, unsigned side)
{
    struct flow *f = in_flow(r, side);
    struct conduit_win win;
    long ready = cdt_ring_peek(&r->pair.side[side], &win);
    size_t n;

    if (ready == CONDUIT_AGAIN) {
        CHECK(r, f->written_shown == f->read);
        return;
    }
    CHECK(r, ring_pair_owns(&r->pair, side, &win, ready));
    CHECK(r, (uint64_t)ready <= f->written_shown - f->read);
    CHECK(r, !r->pair.memory.ring[side].mirrored || win.seg[1].size == 0);
    CHECK(r, t_match(side ^ 1, f->read, win.seg[0].data, win.seg[0].size) &&
                 t_match(side ^ 1, f->read + win.seg[0].size, win.seg[1].data,
                         win.seg[1].size));
    n = some(r, ready);
    cdt_ring_consume(&r->pair.side[side], n);
    f->read += n;
    r->due[side] |= n > 0 ? CDT_RING_ON_READ : 0;
    if (f->read - f->read_shown >= f->size / 8) {
        f->read_shown = f->read;
    }
}

static void show(struct run *r, unsigned side)
{
    in_flow(r, side)->read_shown = in_flow(r, side)->read;
    out_flow(r, side)->written_shown = out_flow(r, side)->written;
}

static void step_publish(struct run *r, unsigned side)
{
    bool wake = (r->bits[side ^ 1] & r->due[side]) != 0;

    CHECK(r, cdt_ring_publish(&r->pair.side[side]) == wake);
    r->bits[side ^ 1] &= ~r->due[side];
    r->due[side] = 0;
    show(r, side);
}

static void step_wait(struct run *r, unsigned side)
{
    unsigned events = (unsigned)t_range(&r->random, 0, 3);
    unsigned held = events & levels(r, side);
    unsigned missing = events & ~held;

    switch (t_random(&r->random) % 3) {
    case 0:
        CHECK(r, cdt_ring_poll(&r->pair.side[side], events) == held);
        break;
    case 1:
        CHECK(r, cdt_ring_arm(&r->pair.side[side], events) == held);
        r->bits[side] = (missing & CONDUIT_READ ? CDT_RING_ON_WRITE : 0) |
                        (missing & CONDUIT_WRITE ? CDT_RING_ON_READ : 0);
        break;
    default:
        cdt_ring_disarm(&r->pair.side[side], events);
        r->bits[side] &= ~((events & CONDUIT_READ ? CDT_RING_ON_WRITE : 0) |
                           (events & CONDUIT_WRITE ? CDT_RING_ON_READ : 0));
        break;
    }
}

static void step(struct run *r)
{
    unsigned side = t_random(&r->random) % 2;

    switch (t_random(&r->random) % 8) {
    case 0:
    case 1:
    case 2:
        step_write(r, side);
        break;
    case 3:
    case 4:
    case 5:
        step_read(r, side);
        break;
    case 6:
        step_publish(r, side);
        break;
    default:
        step_wait(r, side);
        break;
    }
    for (unsigned i = 0; i < 2; i++) {
        CHECK(r, cdt_ring_error(&r->pair.side[i]) == NULL);
        CHECK(r, atomic_load(&r->pair.page->notify[i]) == r->bits[i]);
    }
}

/* One side goes; the other reads all that was written, and then the end. */
static void end(struct run *r)
{
    unsigned side = t_random(&r->random) % 2;
    struct flow *f = in_flow(r, side);
    struct conduit_win win;

    cdt_ring_close(&r->pair.side[side ^ 1]);
    show(r, side ^ 1);
    for (unsigned i = 0; f->read < f->written && i < 100000; i++) {
        step_read(r, side);
    }
    CHECK(r, f->read == f->written);
    CHECK(r, cdt_ring_peek(&r->pair.side[side], &win) == CONDUIT_END);
    CHECK(r, cdt_ring_peer(&r->pair.side[side]) == CDT_RING_GONE);
    CHECK(r, cdt_ring_reserve(&r->pair.side[side], &win) == CONDUIT_EPIPE);
}

static void run_once(unsigned to_server, unsigned to_client, bool mirrored,
                     uint64_t seed)
{
    static struct run r;

    memset(&r, 0, sizeof r);
    r.seed = seed;
    r.random = seed;
    ring_pair_map(&r.pair, to_server, to_client, mirrored);
    ring_pair_begin(&r.pair, t_random(&r.random));
    for (unsigned i = 0; i < 2; i++) {
        r.flow[i].size = cdt_ring_size(&r.pair.layout, i);
        r.bits[i] = CDT_RING_ON_WRITE;
    }
    for (r.step = 0; r.step < STEPS; r.step++) {
        step(&r);
    }
    end(&r);
    ring_pair_unmap(&r.pair);
}

static void run_all(bool mirrored)
{
    uint64_t seed = mirrored ? 1000 : 1;

    for (unsigned a = 10; a <= 14; a++) {
        for (unsigned b = 10; b <= 14; b++) {
            struct cdt_ring_layout layout = {{(uint8_t)a, (uint8_t)b}};

            for (unsigned i = 0; i < 3; i++) {
                if (cdt_ring_check(&layout) == NULL) {
                    run_once(a, b, mirrored, seed++);
                }
            }
        }
    }
}

static void does_what_the_model_does(void **state)
{
    (void)state;
    run_all(false);
}

static void mirrored_does_what_the_model_does(void **state)
{
    (void)state;
    run_all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_the_model_does),
        cmocka_unit_test(mirrored_does_what_the_model_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
