/* SPDX-License-Identifier: ISC */
/*
 * What the guest asks of Xen, as a table: guest.c fills it with hypercalls, and
 * the tests with a Xen of their own within the process. Whatever speaks to
 * another domain stands on this table and on memory shared with that domain, so
 * that its answers to a hostile one can be tried where there is no Xen.
 *
 * Times are Xen's system time: ns since the guest's host was started, monotonic
 * and never 0. Answers are 0 or a negative errno of <xen/errno.h>.
 */
#ifndef CDT_XEN_H
#define CDT_XEN_H

#include <stdbool.h>
#include <stdint.h>

struct cdt_xen;

/* Ports that one poll can watch; Xen's own limit (SCHEDOP_poll). */
#define CDT_XEN_POLL_MAX 128

struct cdt_xen_ops {
    /* Makes an event channel that domain `peer` may bind to; see
     * EVTCHNOP_alloc_unbound. */
    int (*port_alloc)(struct cdt_xen *xen, uint16_t peer, uint32_t *port);

    /* Binds to a channel that `peer` has made for this domain. */
    int (*port_bind)(struct cdt_xen *xen, uint16_t peer, uint32_t peer_port,
                     uint32_t *port);

    /* Closes a port of this domain. */
    void (*port_close)(struct cdt_xen *xen, uint32_t port);

    /* Sends an event; one that the peer has not taken yet is not sent twice. */
    void (*notify)(struct cdt_xen *xen, uint32_t port);

    /* Whether an event came at a port since the last time; takes it. */
    bool (*take)(struct cdt_xen *xen, uint32_t port);

    /*
     * Sleeps until one of `n` ports (at most CDT_XEN_POLL_MAX) has an event, or
     * until `until` (0: no limit). May return early. Takes no events.
     */
    void (*poll)(struct cdt_xen *xen, const uint32_t *ports, unsigned n,
                 uint64_t until);

    /* System time. */
    uint64_t (*now)(struct cdt_xen *xen);

    /* Seconds since 1970-01-01 UTC, or 0 when Xen does not say. */
    int64_t (*wall)(struct cdt_xen *xen);

    /* Ends the domain with a reason, SHUTDOWN_poweroff and so on of
     * <xen/sched.h>. Does not return in a guest. */
    void (*shutdown)(struct cdt_xen *xen, unsigned reason);
};

struct cdt_xen {
    const struct cdt_xen_ops *ops;
};

#endif
