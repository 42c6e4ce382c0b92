/* SPDX-License-Identifier: ISC */
/*
 * Event channels. A run goes from the last port to the first, so that those
 * still to be looked at are always the first `next` of the table, and one that
 * is added in the meantime stands behind them. A removal among them fills the
 * hole with the last of them, and the hole that this leaves with the last of
 * all: then nothing is skipped, and nothing is looked at twice.
 */
#include "events.h"

#include <conduit/error.h>

#include <stddef.h>

void cdt_events_init(struct cdt_events *events, struct cdt_xen *xen)
{
    *events = (struct cdt_events){.xen = xen};
}

/* Where a port stands in the table; `count` when it is not in it. */
static unsigned find(const struct cdt_events *events,
                     const struct cdt_port *port)
{
    unsigned i = 0;

    while (i < events->count && events->watched[i] != port) {
        i++;
    }
    return i;
}

int cdt_events_add(struct cdt_events *events, struct cdt_port *port)
{
    unsigned i = find(events, port);

    if (i == CDT_XEN_POLL_MAX) {
        return CONDUIT_ELIMIT;
    }
    events->watched[i] = port;
    events->ports[i] = port->port;
    events->count += i == events->count;
    return 0;
}

static void move(struct cdt_events *events, unsigned from, unsigned to)
{
    events->watched[to] = events->watched[from];
    events->ports[to] = events->ports[from];
}

void cdt_events_remove(struct cdt_events *events, struct cdt_port *port)
{
    unsigned hole = find(events, port);

    if (hole == events->count) {
        return;
    }
    if (hole < events->next) {
        events->next--;
        move(events, events->next, hole);
        hole = events->next;
    }
    events->count--;
    move(events, events->count, hole);
    events->watched[events->count] = NULL;
}

unsigned cdt_events_run(struct cdt_events *events)
{
    struct cdt_xen *xen = events->xen;
    unsigned fired = 0;

    events->next = events->count;
    while (events->next > 0) {
        unsigned i = --events->next;

        if (xen->ops->take(xen, events->ports[i])) {
            struct cdt_port *port = events->watched[i];

            fired++;
            port->fire(port);
        }
    }
    return fired;
}

void cdt_events_wait(struct cdt_events *events, uint64_t until)
{
    struct cdt_xen *xen = events->xen;

    /* To Xen 0 means no limit, and so does what its signed numbers cannot hold;
     * here 0 is a time long past. */
    if (until > INT64_MAX) {
        until = 0;
    } else if (until == 0) {
        until = 1;
    }
    xen->ops->poll(xen, events->ports, events->count, until);
}
