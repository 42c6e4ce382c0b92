/* SPDX-License-Identifier: ISC */
/*
 * Memory shared with another process: a sealed memfd, made by the server and
 * checked by the client, for else a peer could take the memory away under a
 * side that is reading it (SIGBUS). Its first page controls two rings, each of
 * which is mapped twice in a row where that can be, so that what is in it never
 * wraps.
 */
#ifndef CDT_UNIX_SHARED_H
#define CDT_UNIX_SHARED_H

#include "transports/ring.h"

struct cdt_shared {
    void *page;
    struct {
        void *data; /* twice `size` bytes; NULL where it is in the page */
        size_t size;
    } ring[2];
    void *whole; /* where rings are not mirrored: all that they need */
    size_t whole_size;
};

/* Whether a ring can be mapped twice in a row: the system's pages have the size
 * of a ring's. Where they are larger, a ring begins within one. */
bool cdt_shared_can_mirror(void);

/*
 * Whether the system refuses memory beyond what it has (vm.overcommit_memory is
 * 2): a page of a memfd that cannot be had then is a SIGBUS when it is first
 * touched. Elsewhere pages may wait until then, and an idle connection needs
 * few.
 */
bool cdt_shared_must_reserve(void);

/* A descriptor of so many bytes, `reserve`: all of which are there; -1 and
 * errno. */
int cdt_shared_make(size_t size, bool reserve);

/* NULL, or why a peer's descriptor is not what it should be; `size` is what the
 * peer said, and `total` what the layout needs is checked against it later. */
const char *cdt_shared_check(int fd, size_t size);

/* Maps the page alone; false: errno. */
bool cdt_shared_map_page(struct cdt_shared *m, int fd);
/* Then the rings of a layout that was checked, twice in a row if they can be
 * `mirrored`; false: errno. */
bool cdt_shared_map_rings(struct cdt_shared *m, int fd,
                          const struct cdt_ring_layout *layout, bool mirrored,
                          struct cdt_ring_memory *out);
void cdt_shared_unmap(struct cdt_shared *m);

#endif
