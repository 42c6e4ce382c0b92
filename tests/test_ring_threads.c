/* SPDX-License-Identifier: ISC */
/*
 * Both sides of a ring in a thread each, which write and read at random, sleep
 * when nothing goes, and are woken as the ring says. A wake-up that is lost
 * shows as a side that sleeps too long. Threads are woken by a futex, that is,
 * a binary flag like an event channel, and are synchronised by nothing but the
 * ring and that flag: ThreadSanitizer sees what the ring leaves out.
 */
#include "support.h"
#include "unix_ring_pair.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TOO_LONG_S 20

/* ---- waking ------------------------------------------------------------- */

enum { QUIET, RUNG, ASLEEP };

struct bell {
    _Alignas(64) _Atomic uint32_t state;
};

static void ring_bell(struct bell *bell)
{
    if (atomic_exchange(&bell->state, RUNG) == ASLEEP) {
        (void)syscall(SYS_futex, &bell->state, FUTEX_WAKE_PRIVATE, 1, NULL,
                      NULL, 0);
    }
}

/* False when it is not rung for too long. To spin for a while first makes both
 * sides meet more often in the few instructions that matter. */
static bool await_bell(struct bell *bell)
{
    struct timespec limit = {.tv_sec = TOO_LONG_S};
    uint32_t state = QUIET;

    for (unsigned i = 0; i < 5000; i++) {
        if (atomic_load(&bell->state) == RUNG) {
            break;
        }
    }
    (void)atomic_compare_exchange_strong(&bell->state, &state, ASLEEP);
    while (atomic_load(&bell->state) != RUNG) {
        if (syscall(SYS_futex, &bell->state, FUTEX_WAIT_PRIVATE, ASLEEP, &limit,
                    NULL, 0) != 0 &&
            errno == ETIMEDOUT) {
            return false;
        }
    }
    atomic_store(&bell->state, QUIET);
    return true;
}

/* ---- one side ----------------------------------------------------------- */

struct end {
    struct cdt_ring *ring;
    struct bell *own;
    struct bell *peer;
    uint64_t random;
    uint64_t stream;
    uint64_t sent;
    uint64_t received;
    uint64_t goal; /* each way */
    uint64_t peer_goal;
    unsigned pauses; /* yields one time in so many; 0: never */
    unsigned spins;  /* looks at most so often before it sleeps */
    bool in_turn;    /* a byte goes and comes back before the next */
    size_t largest;
    unsigned sleeps;
    bool ended;         /* the peer is gone and all was read */
    const char *failed; /* NULL: not */
};

static void fail_end(struct end *e, const char *what)
{
    if (e->failed == NULL) {
        e->failed = what;
    }
}

/* Byte by byte: of accesses within memcpy() and memcmp() the sanitizer may see
 * nothing. */
static uint8_t byte_at(uint64_t stream, uint64_t at)
{
    return (uint8_t)((at * 0x9e3779b97f4a7c15u >> 56) ^ stream);
}

static void fill(uint64_t stream, uint64_t at, uint8_t *buf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf[i] = byte_at(stream, at + i);
    }
}

static bool matches(uint64_t stream, uint64_t at, const uint8_t *buf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (buf[i] != byte_at(stream, at + i)) {
            return false;
        }
    }
    return true;
}

static size_t some(struct end *e, size_t most)
{
    size_t limit = t_random(&e->random) % 4 == 0 ? e->largest : 100;

    return t_range(&e->random, 1, limit < most ? limit : most);
}

/* How much it may send now, should there be room. */
static uint64_t allowed(const struct end *e)
{
    if (e->in_turn && e->sent - e->received == e->stream) {
        return 0;
    }
    return e->in_turn ? 1 : e->goal - e->sent;
}

static bool send_some(struct end *e)
{
    struct conduit_win win;
    uint64_t left = allowed(e);
    long room;
    size_t n;
    size_t first;

    if (left == 0 || e->ended) {
        return false;
    }
    room = cdt_ring_reserve(e->ring, &win);
    if (room <= 0) {
        if (room != CONDUIT_AGAIN) {
            fail_end(e, "could not write");
        }
        return false;
    }
    n = some(e, (uint64_t)room < left ? (size_t)room : (size_t)left);
    first = n < win.seg[0].size ? n : win.seg[0].size;
    fill(e->stream, e->sent, win.seg[0].data, first);
    fill(e->stream, e->sent + first, win.seg[1].data, n - first);
    cdt_ring_commit(e->ring, n);
    e->sent += n;
    return true;
}

static bool receive_some(struct end *e)
{
    struct conduit_win win;
    long ready = cdt_ring_peek(e->ring, &win);
    size_t n;
    size_t first;

    if (ready <= 0) {
        e->ended = ready == CONDUIT_END;
        if (!e->ended && ready != CONDUIT_AGAIN) {
            fail_end(e, "could not read");
        }
        return false;
    }
    n = some(e, (size_t)ready);
    first = n < win.seg[0].size ? n : win.seg[0].size;
    if (!matches(e->stream ^ 1, e->received, win.seg[0].data, first) ||
        !matches(e->stream ^ 1, e->received + first, win.seg[1].data,
                 n - first)) {
        fail_end(e, "read other bytes than were written");
    }
    cdt_ring_consume(e->ring, n);
    e->received += n;
    return true;
}

static void publish(struct end *e)
{
    if (cdt_ring_publish(e->ring)) {
        ring_bell(e->peer);
    }
}

static void pause_maybe(struct end *e)
{
    if (e->pauses > 0 && t_random(&e->random) % e->pauses == 0) {
        (void)sched_yield();
    }
}

static void sleep_until_woken(struct end *e)
{
    unsigned events = CONDUIT_READ;

    if (allowed(e) > 0) {
        events |= CONDUIT_WRITE;
    }
    publish(e);
    for (size_t i = t_range(&e->random, 0, e->spins); i > 0; i--) {
        if (cdt_ring_poll(e->ring, events) != 0) {
            return;
        }
    }
    if (cdt_ring_arm(e->ring, events) != 0) {
        return;
    }
    e->sleeps++;
    if (!await_bell(e->own)) {
        fail_end(e, "was not woken");
    }
    if (t_random(&e->random) % 2 == 0) {
        cdt_ring_disarm(e->ring, events);
    }
}

/* Who has sent and received all goes first, whatever is left in its ring. */
static bool is_done(const struct end *e)
{
    return e->failed != NULL || e->ended ||
           (e->sent == e->goal && e->received == e->peer_goal);
}

static void *run_end(void *arg)
{
    struct end *e = arg;

    while (!is_done(e)) {
        bool moved = send_some(e);

        moved = receive_some(e) || moved;
        pause_maybe(e);
        if (!moved) {
            sleep_until_woken(e);
        } else if (t_random(&e->random) % 8 == 0) {
            publish(e);
        }
    }
    cdt_ring_close(e->ring);
    ring_bell(e->peer);
    return NULL;
}

/* ---- both --------------------------------------------------------------- */

struct way {
    unsigned order;
    uint64_t bytes;
};

static void run_both(struct way up, struct way down, struct end how)
{
    static struct ring_pair pair;
    static struct bell bells[2];
    struct end ends[2];
    pthread_t threads[2];

    ring_pair_map(&pair, up.order, down.order, false);
    ring_pair_begin(&pair, UINT32_MAX - 5000);
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&bells[i].state, QUIET);
        ends[i] = how;
        ends[i].ring = &pair.side[i];
        ends[i].own = &bells[i];
        ends[i].peer = &bells[i ^ 1];
        ends[i].random = 1 + up.order * 100 + down.order + i;
        ends[i].stream = i;
        ends[i].goal = i == CDT_RING_CLIENT ? up.bytes : down.bytes;
        ends[i].peer_goal = i == CDT_RING_CLIENT ? down.bytes : up.bytes;
        ends[i].largest = cdt_ring_size(&pair.layout, i);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_end, &ends[i]),
                         0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (ends[i].failed != NULL) {
            fail_msg("side %u %s: %s", i, ends[i].failed,
                     cdt_ring_error(ends[i].ring) != NULL
                         ? cdt_ring_error(ends[i].ring)
                         : "no error of the ring");
        }
        assert_int_equal(ends[i].sent, ends[i].goal);
        assert_int_equal(ends[i].received, ends[i].peer_goal);
        print_message("side %u slept %u times\n", i, ends[i].sleeps);
    }
    ring_pair_unmap(&pair);
}

static void small_rings_both_ways(void **state)
{
    (void)state;
    run_both((struct way){10, 500000}, (struct way){11, 800000},
             (struct end){.pauses = 0});
}

static void rings_of_a_page_with_pauses(void **state)
{
    (void)state;
    run_both((struct way){12, 1500000}, (struct way){12, 1500000},
             (struct end){.pauses = 7});
}

static void one_way_only(void **state)
{
    (void)state;
    run_both((struct way){12, 0}, (struct way){14, 3000000},
             (struct end){.pauses = 50});
}

static void large_rings(void **state)
{
    (void)state;
    run_both((struct way){18, 4000000}, (struct way){18, 4000000},
             (struct end){.pauses = 20});
}

/* A wake-up that is lost here is not made up for by the next. */
static void one_byte_in_turn(void **state)
{
    (void)state;
    run_both((struct way){12, 60000}, (struct way){12, 60000},
             (struct end){.in_turn = true, .spins = 60});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_rings_both_ways),
        cmocka_unit_test(rings_of_a_page_with_pauses),
        cmocka_unit_test(one_way_only),
        cmocka_unit_test(large_rings),
        cmocka_unit_test(one_byte_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
