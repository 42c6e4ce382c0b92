/* SPDX-License-Identifier: ISC */
/*
 * A Xen within the test: event channels are flags, time stands still but for
 * sleeping, and whoever is on the other side of a ring (a console, a store, a
 * peer of vchan) is a function of the test that runs while the guest sleeps.
 */
#ifndef TESTS_FAKE_XEN_H
#define TESTS_FAKE_XEN_H

#include "xen.h"

#define FAKE_PORTS 256

struct fake_xen {
    struct cdt_xen base; /* must be first */
    uint64_t now;        /* ns; tests may move it */
    int64_t wall;
    bool open[FAKE_PORTS];
    bool pending[FAKE_PORTS];  /* events for the guest; fake_xen_raise() */
    unsigned sent[FAKE_PORTS]; /* events from the guest */
    unsigned polls;
    /*
     * Called when the guest sleeps without an event pending; may raise events
     * and change shared memory. When it raises none, time goes on to the end of
     * the sleep; a sleep without an end then fails the test.
     */
    void (*other_side)(struct fake_xen *xen);
    /* Called for each event that the guest sends; may be NULL. */
    void (*notified)(struct fake_xen *xen, uint32_t port);
    void *arg;
    int fail_ports; /* what port_alloc and port_bind answer; 0: they work */
    bool ended;     /* shutdown was called */
    unsigned reason;
};

/* At 1 s of system time, without a port. */
void fake_xen_init(struct fake_xen *xen);

/* Opens a port that "the domain builder" made. */
uint32_t fake_xen_port(struct fake_xen *xen);

/* Sends the guest an event. */
void fake_xen_raise(struct fake_xen *xen, uint32_t port);

#endif
