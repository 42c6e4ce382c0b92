/* SPDX-License-Identifier: ISC */
#include "unix_ring_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void need(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

/* `times` mappings of the same `size` bytes in a row, a guard on each side. */
static void *map_guarded(struct ring_pair *p, unsigned slot, size_t size,
                         unsigned times)
{
    size_t all = size * times + 2 * (size_t)CDT_RING_PAGE;
    char *base = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = memfd_create("ring", MFD_CLOEXEC);

    need(base != MAP_FAILED && fd >= 0, "guards");
    need(ftruncate(fd, (off_t)size) == 0, "ftruncate");
    for (unsigned i = 0; i < times; i++) {
        need(mmap(base + CDT_RING_PAGE + i * size, size, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED,
             "mmap");
    }
    (void)close(fd);
    p->blocks[slot] = base;
    p->lengths[slot] = all;
    return base + CDT_RING_PAGE;
}

static void map_ring(struct ring_pair *p, enum cdt_ring_way way, bool mirrored)
{
    size_t own = cdt_ring_own_bytes(&p->layout, way);

    if (own == 0) {
        p->memory.ring[way].data = (char *)p->memory.page +
                                   cdt_ring_offset(&p->layout, way);
        return;
    }
    p->memory.ring[way].data = map_guarded(p, 1 + (unsigned)way, own,
                                           mirrored ? 2 : 1);
    p->memory.ring[way].mirrored = mirrored;
}

void ring_pair_map(struct ring_pair *p, unsigned to_server, unsigned to_client,
                   bool mirrored)
{
    memset(p, 0, sizeof *p);
    p->layout.order[CDT_RING_TO_SERVER] = (uint8_t)to_server;
    p->layout.order[CDT_RING_TO_CLIENT] = (uint8_t)to_client;
    need(cdt_ring_check(&p->layout) == NULL, "layout");
    p->memory.page = map_guarded(p, 0, CDT_RING_PAGE, 1);
    p->page = p->memory.page;
    map_ring(p, CDT_RING_TO_SERVER, mirrored);
    map_ring(p, CDT_RING_TO_CLIENT, mirrored);
    cdt_ring_format(p->page, &p->layout);
}

void ring_pair_begin(struct ring_pair *p, uint32_t start)
{
    for (unsigned way = 0; way < 2; way++) {
        atomic_store(&p->page->way[way].cons, start);
        atomic_store(&p->page->way[way].prod, start);
    }
    for (unsigned side = 0; side < 2; side++) {
        need(cdt_ring_attach(&p->side[side], (enum cdt_ring_side)side,
                             &p->layout, &p->memory) == NULL,
             "attach");
    }
    cdt_ring_open(&p->side[CDT_RING_SERVER]);
    cdt_ring_open(&p->side[CDT_RING_CLIENT]);
}

void ring_pair_unmap(struct ring_pair *p)
{
    for (unsigned i = 0; i < 3; i++) {
        if (p->blocks[i] != NULL) {
            (void)munmap(p->blocks[i], p->lengths[i]);
            p->blocks[i] = NULL;
        }
    }
}

bool ring_pair_owns(const struct ring_pair *p, enum cdt_ring_way way,
                    const struct conduit_win *win, long size)
{
    const uint8_t *base = p->memory.ring[way].data;
    size_t ring = cdt_ring_size(&p->layout, way);
    size_t span = ring * (p->memory.ring[way].mirrored ? 2 : 1);

    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *data = win->seg[i].data;

        if (win->seg[i].size > 0 &&
            (data < base || data > base + span ||
             win->seg[i].size > (size_t)(base + span - data))) {
            return false;
        }
    }
    return size > 0 && (size_t)size <= ring &&
           win->seg[0].size + win->seg[1].size == (size_t)size;
}
