/* SPDX-License-Identifier: ISC */
/*
 * What the host asks of the guest by xenstore's control/shutdown: poweroff,
 * halt and reboot are an orderly end of the program; suspend is refused, in the
 * log, since no layer of conduit outlives a change of host (see Xen's
 * docs/misc/xenstore-paths.pandoc for the protocol).
 */
#ifndef CDT_XEN_CONTROL_H
#define CDT_XEN_CONTROL_H

#include "xenstore.h"

/* Bytes of the longest wish that is told apart, and a NUL. */
#define CDT_CONTROL_TEXT 32

enum cdt_control_wish {
    CDT_CONTROL_NOTHING,
    CDT_CONTROL_POWEROFF, /* also halt */
    CDT_CONTROL_REBOOT
};

struct cdt_control {
    struct cdt_xs *xs;
    enum cdt_control_wish wish;
    /* Called once for each wish, which has been acknowledged as far as the
     * store let it; not for what is refused. May end the control. */
    void (*asked)(struct cdt_control *control);
    /* One line for a person about what was asked and refused or not known. May
     * not end the control. */
    void (*note)(struct cdt_control *control, const char *text);
    /* The rest is the control's own. */
    struct cdt_xs_watch watch;
    uint32_t tx;
    unsigned tries;
    bool busy;                       /* a request is under way */
    bool again;                      /* an event came meanwhile */
    char standing[CDT_CONTROL_TEXT]; /* handled, but still in the store */
};

/* Begins to watch, and says in the store what the guest can do
 * (control/feature-poweroff and so on). The caller has set asked and note. 0 or
 * a code of xenstore.h. */
int cdt_control_start(struct cdt_control *control, struct cdt_xs *xs);

/* No longer watches. Harmless when it was not started (all zero). To be called
 * before the store's client is freed. */
void cdt_control_stop(struct cdt_control *control);

#endif
