/* SPDX-License-Identifier: ISC */
/* Event channels: who is called, and ports that come and go meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <conduit/error.h>

#include "events.h"
#include "fake_xen.h"

#define MANY 16

/* A port with memory of its own, so that a use after it is freed is noticed. */
struct watcher {
    struct cdt_port base; /* must be first */
    unsigned slot;
};

static struct fake_xen xen;
static struct cdt_events events;
static struct watcher *watchers[CDT_XEN_POLL_MAX];
static unsigned fired[CDT_XEN_POLL_MAX]; /* since start_run() */
static unsigned calls;
static void (*in_fire)(unsigned slot);

static void on_fire(struct cdt_port *port)
{
    unsigned slot = ((struct watcher *)(void *)port)->slot;

    fired[slot]++;
    calls++;
    if (in_fire != NULL) {
        in_fire(slot);
    }
}

static void watch(unsigned slot, uint32_t port)
{
    struct watcher *w = malloc(sizeof *w);

    assert_non_null(w);
    w->base.port = port;
    w->base.fire = on_fire;
    w->slot = slot;
    watchers[slot] = w;
    assert_int_equal(cdt_events_add(&events, &w->base), 0);
}

/* Takes it off and frees it; the port stays open, as it was. */
static void drop(unsigned slot)
{
    if (watchers[slot] != NULL) {
        cdt_events_remove(&events, &watchers[slot]->base);
        free(watchers[slot]);
        watchers[slot] = NULL;
    }
}

static void start_run(void)
{
    memset(fired, 0, sizeof fired);
    calls = 0;
}

/* `n` ports that are watched, number slot + 1 each. */
static void begin(unsigned n)
{
    fake_xen_init(&xen);
    cdt_events_init(&events, &xen.base);
    in_fire = NULL;
    start_run();
    for (unsigned i = 0; i < n; i++) {
        watch(i, fake_xen_port(&xen));
        assert_int_equal(watchers[i]->base.port, i + 1);
    }
}

static void raise_all(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        fake_xen_raise(&xen, i + 1);
    }
}

static int clean_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CDT_XEN_POLL_MAX; i++) {
        drop(i);
    }
    return 0;
}

static void an_event_calls_who_watches_its_port(void **state)
{
    (void)state;
    begin(3);
    assert_int_equal(cdt_events_run(&events), 0);
    fake_xen_raise(&xen, 2);
    assert_int_equal(cdt_events_run(&events), 1);
    assert_int_equal(fired[1], 1);
    assert_int_equal(calls, 1);
    assert_int_equal(cdt_events_run(&events), 0);
    raise_all(3);
    assert_int_equal(cdt_events_run(&events), 3);
    assert_int_equal(calls, 4);
}

static void raise_again(unsigned slot)
{
    fake_xen_raise(&xen, slot + 1);
}

static void a_port_is_called_once_a_run(void **state)
{
    (void)state;
    begin(2);
    in_fire = raise_again;
    raise_all(2);
    assert_int_equal(cdt_events_run(&events), 2);
    assert_int_equal(cdt_events_run(&events), 2);
    in_fire = NULL;
    assert_int_equal(cdt_events_run(&events), 2);
    assert_int_equal(cdt_events_run(&events), 0);
}

static void what_came_before_a_port_is_watched_is_seen(void **state)
{
    uint32_t port;

    (void)state;
    begin(1);
    port = fake_xen_port(&xen);
    fake_xen_raise(&xen, port);
    watch(1, port);
    assert_int_equal(cdt_events_run(&events), 1);
    assert_int_equal(fired[1], 1);
}

static void there_is_a_limit(void **state)
{
    struct cdt_port extra = {.fire = on_fire};

    (void)state;
    begin(CDT_XEN_POLL_MAX);
    extra.port = fake_xen_port(&xen);
    assert_int_equal(cdt_events_add(&events, &extra), CONDUIT_ELIMIT);
    raise_all(CDT_XEN_POLL_MAX);
    assert_int_equal(cdt_events_run(&events), CDT_XEN_POLL_MAX);
    drop(7);
    cdt_events_remove(&events, &extra);
    assert_int_equal(cdt_events_add(&events, &extra), 0);
    cdt_events_remove(&events, &extra);
    assert_int_equal(events.count, CDT_XEN_POLL_MAX - 1);
}

static void a_port_is_watched_once(void **state)
{
    (void)state;
    begin(2);
    assert_int_equal(cdt_events_add(&events, &watchers[0]->base), 0);
    assert_int_equal(events.count, 2);
    drop(0);
    assert_int_equal(events.count, 1);
    raise_all(2);
    assert_int_equal(cdt_events_run(&events), 1);
    assert_int_equal(fired[1], 1);
}

/* ---- changes in a call ---- */

static unsigned drop_in_call; /* the number of the call, from 1 */
static unsigned drop_slot;
static bool fired_before; /* the dropped one, when it was */

static void drop_one(unsigned slot)
{
    (void)slot;
    if (calls == drop_in_call) {
        fired_before = fired[drop_slot] != 0;
        drop(drop_slot);
    }
}

/* Every call of a run removes every port in turn, itself included. */
static void a_removal_skips_nobody_else(void **state)
{
    const unsigned n = 5;

    for (unsigned i = 0; i < n * n; i++) {
        begin(n);
        drop_in_call = 1 + i / n;
        drop_slot = i % n;
        in_fire = drop_one;
        raise_all(n);
        (void)cdt_events_run(&events);
        for (unsigned slot = 0; slot < n; slot++) {
            unsigned want = slot != drop_slot || fired_before;

            assert_int_equal(fired[slot], want);
        }
        clean_up(state);
    }
}

static void drop_all(unsigned slot)
{
    (void)slot;
    for (unsigned i = 0; i < MANY; i++) {
        drop(i);
    }
}

static void all_can_go_in_a_call(void **state)
{
    (void)state;
    begin(MANY);
    in_fire = drop_all;
    raise_all(MANY);
    assert_int_equal(cdt_events_run(&events), 1);
    assert_int_equal(events.count, 0);
}

static void come_back(unsigned slot)
{
    drop(slot);
    fake_xen_raise(&xen, slot + 1);
    watch(slot, slot + 1);
}

static void a_port_that_comes_back_waits_for_the_next_run(void **state)
{
    (void)state;
    begin(4);
    in_fire = come_back;
    raise_all(4);
    for (unsigned i = 0; i < 3; i++) {
        start_run();
        assert_int_equal(cdt_events_run(&events), 4);
        for (unsigned slot = 0; slot < 4; slot++) {
            assert_int_equal(fired[slot], 1);
        }
    }
}

static uint32_t random_state;
static bool touched[MANY]; /* added or removed in this run */

static unsigned random_below(unsigned n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 16) % n;
}

static void change_some(unsigned slot)
{
    (void)slot;
    for (unsigned n = random_below(4); n > 0; n--) {
        unsigned which = random_below(MANY);

        touched[which] = true;
        if (watchers[which] != NULL) {
            drop(which);
        } else {
            watch(which, which + 1);
        }
    }
}

/* Who was there all the time is called once; nobody is called twice. */
static void whatever_changes_the_rest_is_called_once(void **state)
{
    (void)state;
    begin(MANY);
    in_fire = change_some;
    random_state = 1;
    for (unsigned run = 0; run < 5000; run++) {
        bool watched[MANY];
        unsigned answer;

        if (events.count == 0) {
            change_some(0);
        }
        start_run();
        memset(touched, 0, sizeof touched);
        for (unsigned i = 0; i < MANY; i++) {
            watched[i] = watchers[i] != NULL;
        }
        raise_all(MANY);
        answer = cdt_events_run(&events);
        assert_int_equal(answer, calls);
        for (unsigned i = 0; i < MANY; i++) {
            assert_in_range(fired[i], 0, watched[i]);
            assert_true(touched[i] || fired[i] == watched[i]);
        }
    }
}

/* ---- sleeping ---- */

static uint64_t polled_until;
static unsigned polled_ports;
static uint32_t polled_sum;

static void note_poll(struct cdt_xen *x, const uint32_t *ports, unsigned n,
                      uint64_t until)
{
    (void)x;
    polled_until = until;
    polled_ports = n;
    polled_sum = 0;
    for (unsigned i = 0; i < n; i++) {
        polled_sum += ports[i];
    }
}

static void sleeping_watches_all_ports(void **state)
{
    struct cdt_xen_ops ops;

    (void)state;
    begin(4);
    ops = *xen.base.ops;
    ops.poll = note_poll;
    xen.base.ops = &ops;
    cdt_events_wait(&events, 77);
    assert_int_equal(polled_ports, 4);
    assert_int_equal(polled_sum, 1 + 2 + 3 + 4);
    assert_true(polled_until == 77);
    drop(1);
    cdt_events_wait(&events, UINT64_MAX);
    assert_int_equal(polled_ports, 3);
    assert_int_equal(polled_sum, 1 + 3 + 4);
    assert_true(polled_until == 0);
}

/* Xen would take 0 for "no limit", and the fake fails the test then. */
static void a_time_of_zero_is_over(void **state)
{
    (void)state;
    begin(1);
    cdt_events_wait(&events, 0);
    assert_int_equal(xen.polls, 1);
    assert_true(xen.now == 1000000000u);
}

static void raise_first(struct fake_xen *x)
{
    fake_xen_raise(x, 1);
}

static void an_event_ends_the_sleep(void **state)
{
    (void)state;
    begin(2);
    xen.other_side = raise_first;
    cdt_events_wait(&events, UINT64_MAX);
    assert_int_equal(cdt_events_run(&events), 1);
    assert_int_equal(fired[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_event_calls_who_watches_its_port,
                                  clean_up),
        cmocka_unit_test_teardown(a_port_is_called_once_a_run, clean_up),
        cmocka_unit_test_teardown(what_came_before_a_port_is_watched_is_seen,
                                  clean_up),
        cmocka_unit_test_teardown(there_is_a_limit, clean_up),
        cmocka_unit_test_teardown(a_port_is_watched_once, clean_up),
        cmocka_unit_test_teardown(a_removal_skips_nobody_else, clean_up),
        cmocka_unit_test_teardown(all_can_go_in_a_call, clean_up),
        cmocka_unit_test_teardown(a_port_that_comes_back_waits_for_the_next_run,
                                  clean_up),
        cmocka_unit_test_teardown(whatever_changes_the_rest_is_called_once,
                                  clean_up),
        cmocka_unit_test_teardown(sleeping_watches_all_ports, clean_up),
        cmocka_unit_test_teardown(a_time_of_zero_is_over, clean_up),
        cmocka_unit_test_teardown(an_event_ends_the_sleep, clean_up),
    };

    return cmocka_run_group_tests_name("xen events", tests, NULL, NULL);
}
