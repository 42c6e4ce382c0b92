/* SPDX-License-Identifier: ISC */
/*
 * The one guest that this image is: what boot.c has set up by the time the
 * program starts. Nothing here is shared with another thread; there is none.
 */
#ifndef CDT_XEN_GUEST_H
#define CDT_XEN_GUEST_H

#include "console.h"
#include "entropy.h"
#include "events.h"
#include "heap.h"
#include "xenstore.h"

#include <xen/xen.h>

struct cdt_guest {
    struct cdt_xen *xen;
    struct cdt_events events;
    struct cdt_console console;
    struct cdt_entropy entropy;
    struct cdt_heap *heap;
    struct xenstore_domain_interface *store_ring;
    uint32_t store_port;
    struct cdt_xs *xs; /* NULL: main.c has not begun, or the store is broken */
    uint64_t entered;  /* system time at the first instruction */
    uint64_t unused;   /* bytes of memory that are out of reach */
    unsigned ending; /* reason of an orderly end: SHUTDOWN_poweroff, _reboot */
};

extern struct cdt_guest cdt_guest;

/* What the program is called: application.c.in, filled in by CMake. */
extern const char cdt_application_name[];

/* guest.c: the table of Xen operations by hypercalls, and the page that Xen
 * shares with the guest, which this sets up. 0 or a negative errno. */
struct cdt_xen *cdt_guest_xen(void);
int cdt_guest_share(void);
extern struct shared_info cdt_shared_info;

/* Prints "conduit: TEXT" and ends the domain as crashed. */
_Noreturn void cdt_guest_crash(const char *text);

/* Waits until the console has everything, and ends the domain. */
_Noreturn void cdt_guest_end(unsigned reason);

/* Prints text with no library below it: %s, %lu and %lx (16 digits). */
void cdt_guest_print(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
