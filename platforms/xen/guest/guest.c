/* SPDX-License-Identifier: ISC */
/* The table of Xen operations, by hypercalls. */
#include "guest.h"
#include "clock.h"
#include "hypercall.h"

#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/sched.h>

/* Xen puts its own page in the place of this one. */
struct shared_info cdt_shared_info __attribute__((aligned(4096)));

_Static_assert(sizeof cdt_shared_info <= 4096, "one page is shared");

int cdt_guest_share(void)
{
    struct xen_add_to_physmap map = {
        .domid = DOMID_SELF,
        .space = XENMAPSPACE_shared_info,
        .gpfn = (uintptr_t)&cdt_shared_info >> 12,
    };

    return (int)cdt_hypercall_op(__HYPERVISOR_memory_op, XENMEM_add_to_physmap,
                                 &map);
}

static int event_op(unsigned op, void *arg)
{
    return (int)cdt_hypercall_op(__HYPERVISOR_event_channel_op, op, arg);
}

static int guest_port_alloc(struct cdt_xen *xen, uint16_t peer, uint32_t *port)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = peer};
    int rc = event_op(EVTCHNOP_alloc_unbound, &alloc);

    (void)xen;
    *port = alloc.port;
    return rc;
}

static int guest_port_bind(struct cdt_xen *xen, uint16_t peer,
                           uint32_t peer_port, uint32_t *port)
{
    struct evtchn_bind_interdomain bind = {.remote_dom = peer,
                                           .remote_port = peer_port};
    int rc = event_op(EVTCHNOP_bind_interdomain, &bind);

    (void)xen;
    *port = bind.local_port;
    return rc;
}

static void guest_port_close(struct cdt_xen *xen, uint32_t port)
{
    struct evtchn_close close = {.port = port};

    (void)xen;
    (void)event_op(EVTCHNOP_close, &close);
}

static void guest_notify(struct cdt_xen *xen, uint32_t port)
{
    struct evtchn_send send = {.port = port};

    (void)xen;
    (void)event_op(EVTCHNOP_send, &send);
}

static bool guest_take(struct cdt_xen *xen, uint32_t port)
{
    const unsigned bits = 8 * sizeof cdt_shared_info.evtchn_pending[0];
    xen_ulong_t *word = &cdt_shared_info.evtchn_pending[port / bits];
    xen_ulong_t bit = (xen_ulong_t)1 << (port % bits);

    (void)xen;
    if ((__atomic_load_n(word, __ATOMIC_RELAXED) & bit) == 0) {
        return false;
    }
    return (__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit) != 0;
}

static void guest_poll(struct cdt_xen *xen, const uint32_t *ports, unsigned n,
                       uint64_t until)
{
    /* Xen only reads them. */
    struct sched_poll poll = {.nr_ports = n, .timeout = until};

    (void)xen;
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)(uintptr_t)ports);
    (void)cdt_hypercall_op(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll);
}

static uint64_t guest_now(struct cdt_xen *xen)
{
    (void)xen;
    return cdt_clock_now(&cdt_shared_info.vcpu_info[0].time, cdt_clock_tsc);
}

static int64_t guest_wall(struct cdt_xen *xen)
{
    return (int64_t)(cdt_clock_wall(&cdt_shared_info, guest_now(xen)) /
                     1000000000u);
}

static void guest_shutdown(struct cdt_xen *xen, unsigned reason)
{
    struct sched_shutdown shutdown = {.reason = reason};

    (void)xen;
    (void)cdt_hypercall_op(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &shutdown);
}

static const struct cdt_xen_ops guest_ops = {
    .port_alloc = guest_port_alloc,
    .port_bind = guest_port_bind,
    .port_close = guest_port_close,
    .notify = guest_notify,
    .take = guest_take,
    .poll = guest_poll,
    .now = guest_now,
    .wall = guest_wall,
    .shutdown = guest_shutdown,
};

static struct cdt_xen guest_xen = {.ops = &guest_ops};

struct cdt_xen *cdt_guest_xen(void)
{
    return &guest_xen;
}
