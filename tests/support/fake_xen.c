/* SPDX-License-Identifier: ISC */
/* A Xen within the test; misuse by the guest's code is the test's failure. */
#include "fake_xen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct fake_xen *of(struct cdt_xen *xen)
{
    return (struct fake_xen *)(void *)xen;
}

static int new_port(struct fake_xen *x, uint32_t *port)
{
    if (x->fail_ports != 0) {
        return x->fail_ports;
    }
    *port = fake_xen_port(x);
    return 0;
}

static int fake_port_alloc(struct cdt_xen *xen, uint16_t peer, uint32_t *port)
{
    (void)peer;
    return new_port(of(xen), port);
}

static int fake_port_bind(struct cdt_xen *xen, uint16_t peer,
                          uint32_t peer_port, uint32_t *port)
{
    (void)peer;
    (void)peer_port;
    return new_port(of(xen), port);
}

static void check_port(const struct fake_xen *x, uint32_t port)
{
    if (port >= FAKE_PORTS || !x->open[port]) {
        fail_msg("port %u is not open", port);
    }
}

static void fake_port_close(struct cdt_xen *xen, uint32_t port)
{
    struct fake_xen *x = of(xen);

    check_port(x, port);
    x->open[port] = false;
    x->pending[port] = false;
}

static void fake_notify(struct cdt_xen *xen, uint32_t port)
{
    struct fake_xen *x = of(xen);

    check_port(x, port);
    x->sent[port]++;
    if (x->notified != NULL) {
        x->notified(x, port);
    }
}

static bool fake_take(struct cdt_xen *xen, uint32_t port)
{
    struct fake_xen *x = of(xen);
    bool was;

    check_port(x, port);
    was = x->pending[port];
    x->pending[port] = false;
    return was;
}

static bool any_pending(const struct fake_xen *x, const uint32_t *ports,
                        unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        check_port(x, ports[i]);
        if (x->pending[ports[i]]) {
            return true;
        }
    }
    return false;
}

static void fake_poll(struct cdt_xen *xen, const uint32_t *ports, unsigned n,
                      uint64_t until)
{
    struct fake_xen *x = of(xen);

    assert_true(n <= CDT_XEN_POLL_MAX);
    x->polls++;
    if (any_pending(x, ports, n)) {
        return;
    }
    if (x->other_side != NULL) {
        x->other_side(x);
    }
    if (any_pending(x, ports, n)) {
        return;
    }
    if (until == 0) {
        fail_msg("sleeps for ever");
    }
    if (x->now < until) {
        x->now = until;
    }
}

static uint64_t fake_now(struct cdt_xen *xen)
{
    return of(xen)->now;
}

static int64_t fake_wall(struct cdt_xen *xen)
{
    return of(xen)->wall;
}

static void fake_shutdown(struct cdt_xen *xen, unsigned reason)
{
    struct fake_xen *x = of(xen);

    x->ended = true;
    x->reason = reason;
}

static const struct cdt_xen_ops fake_ops = {
    .port_alloc = fake_port_alloc,
    .port_bind = fake_port_bind,
    .port_close = fake_port_close,
    .notify = fake_notify,
    .take = fake_take,
    .poll = fake_poll,
    .now = fake_now,
    .wall = fake_wall,
    .shutdown = fake_shutdown,
};

void fake_xen_init(struct fake_xen *xen)
{
    memset(xen, 0, sizeof *xen);
    xen->base.ops = &fake_ops;
    xen->now = 1000000000u;
}

uint32_t fake_xen_port(struct fake_xen *xen)
{
    for (uint32_t port = 1; port < FAKE_PORTS; port++) {
        if (!xen->open[port]) {
            xen->open[port] = true;
            xen->pending[port] = false;
            return port;
        }
    }
    fail_msg("no ports are left");
    return 0;
}

void fake_xen_raise(struct fake_xen *xen, uint32_t port)
{
    check_port(xen, port);
    xen->pending[port] = true;
}
