/* SPDX-License-Identifier: ISC */
/* Both sides of a shared ring in one process, with guard pages around. */
#ifndef TESTS_UNIX_RING_PAIR_H
#define TESTS_UNIX_RING_PAIR_H

#include "transports/ring.h"

struct ring_pair {
    struct cdt_ring_layout layout;
    struct cdt_ring_memory memory;
    struct cdt_ring_page *page;
    void *blocks[3]; /* what is mapped */
    size_t lengths[3];
    struct cdt_ring side[2]; /* by enum cdt_ring_side */
};

/*
 * Maps the memory of rings of these orders, and formats the page. `mirrored`
 * maps those rings twice that have pages of their own. Fails the program when
 * there is no memory.
 */
void ring_pair_map(struct ring_pair *p, unsigned to_server, unsigned to_client,
                   bool mirrored);

/* Attaches both sides and opens them; all indices begin at `start`. */
void ring_pair_begin(struct ring_pair *p, uint32_t start);

void ring_pair_unmap(struct ring_pair *p);

/* Whether a window lies in the ring, whole, and has that many bytes. */
bool ring_pair_owns(const struct ring_pair *p, enum cdt_ring_way way,
                    const struct conduit_win *win, long size);

#endif
