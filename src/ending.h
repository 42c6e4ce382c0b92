/* SPDX-License-Identifier: ISC */
/*
 * For a part of the library that stands on the core's public calls and holds
 * connections, listeners and timers for an application, who may not take it
 * down before the context ends. Those go with the context; a part that is told
 * first does not use them afterwards.
 */
#ifndef CDT_ENDING_H
#define CDT_ENDING_H

struct conduit_ctx;

/* The part sets `end` and keeps the memory. */
struct cdt_ending {
    struct cdt_ending *next;
    struct cdt_ending **at; /* what points here; NULL: in no list */
    /* Lets go of all that belongs to the context's loop: no callbacks to the
     * application, and nothing is begun again. Called once at most. */
    void (*end)(struct cdt_ending *ending);
};

void cdt_ending_add(struct conduit_ctx *ctx, struct cdt_ending *ending);
/* Harmless once `end` was called. */
void cdt_ending_remove(struct cdt_ending *ending);

#endif
