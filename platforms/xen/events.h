/* SPDX-License-Identifier: ISC */
/*
 * Event channels: who is called when an event comes at a port. The guest never
 * takes interrupts; it looks at its ports once a turn of the loop, and sleeps
 * in one poll of all of them.
 */
#ifndef CDT_XEN_EVENTS_H
#define CDT_XEN_EVENTS_H

#include "xen.h"

/* A port that is watched. The caller owns the memory; sets port and fire. */
struct cdt_port {
    uint32_t port;
    /* Called from cdt_events_run(), and may add and remove ports, this one and
     * itself freed included. Queues on a loop what is to be done. */
    void (*fire)(struct cdt_port *port);
};

struct cdt_events {
    struct cdt_xen *xen;
    struct cdt_port *watched[CDT_XEN_POLL_MAX]; /* no holes up to count */
    uint32_t ports[CDT_XEN_POLL_MAX];           /* their numbers, for poll */
    unsigned count;
    unsigned next; /* cdt_events_run() has those below still to look at */
};

void cdt_events_init(struct cdt_events *events, struct cdt_xen *xen);

/* Watches a port; CONDUIT_ELIMIT when there are CDT_XEN_POLL_MAX. Whatever came
 * before is seen by the next cdt_events_run(), not by one that is under way.
 * One that is watched already stays so. */
int cdt_events_add(struct cdt_events *events, struct cdt_port *port);

/* No longer watches it. Harmless when it is not watched. */
void cdt_events_remove(struct cdt_events *events, struct cdt_port *port);

/* Takes what came and calls who watches; every port at most once, in no order.
 * Answers how many were called. */
unsigned cdt_events_run(struct cdt_events *events);

/* Sleeps until an event comes at a watched port, or until `until` of system
 * time (UINT64_MAX: no limit). May return early. */
void cdt_events_wait(struct cdt_events *events, uint64_t until);

#endif
