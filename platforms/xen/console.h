/* SPDX-License-Identifier: ISC */
/*
 * The PV console: two rings in a page shared with the console's daemon
 * (<xen/io/console.h>). Output waits for room for a bounded time only, so that
 * a daemon that stands still cannot stop the guest: then bytes are lost, and a
 * line says how many once there is room again.
 *
 * The page belongs to somebody else as well. Indices are read once and checked.
 *
 * The console's port is its own: whatever waits here takes the port's events,
 * those of input too, so nobody else can rely on them.
 */
#ifndef CDT_XEN_CONSOLE_H
#define CDT_XEN_CONSOLE_H

#include "xen.h"

#include <stddef.h>

struct xencons_interface;

struct cdt_console {
    struct cdt_xen *xen;
    struct xencons_interface *ring;
    uint32_t port;
    uint32_t out_prod; /* our own indices; the page's are never read back */
    uint32_t out_sent; /* how much of the output the daemon was told of */
    uint32_t in_cons;
    uint64_t lost; /* bytes of text since the last that got through; while there
                      are any, nothing waits for room */
    char last;     /* that got through */
};

void cdt_console_init(struct cdt_console *c, struct cdt_xen *xen,
                      struct xencons_interface *ring, uint32_t port);

/* Writes text; "\n" goes out as "\r\n", and "\r\n" as it is. Waits for room for
 * a second in all; what has no room by then is lost. */
void cdt_console_write(struct cdt_console *c, const char *text, size_t n);

/*
 * Reads what was typed: 1 to n bytes, waiting for the first until `until` of
 * system time (0: does not wait; UINT64_MAX: no limit). 0: nothing came.
 */
size_t cdt_console_read(struct cdt_console *c, char *buf, size_t n,
                        uint64_t until);

/* Waits until the daemon has taken everything, until `until` at the latest
 * (UINT64_MAX: no limit), or until its index makes no sense. */
void cdt_console_drain(struct cdt_console *c, uint64_t until);

#endif
