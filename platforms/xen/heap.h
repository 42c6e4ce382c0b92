/* SPDX-License-Identifier: ISC */
/*
 * The guest's memory, in two steps: runs of pages, and blocks of any size
 * within them, which is what malloc() hands out. Small blocks are cut from
 * slabs, one size each; larger ones are runs of their own. What is free is used
 * again, free neighbours become one, and exhaustion is an answer of NULL. A
 * block that was not allocated, or was freed before, is noticed when it is
 * freed.
 *
 * One thread, no locks, and no memory but the region's own.
 */
#ifndef CDT_XEN_HEAP_H
#define CDT_XEN_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CDT_PAGE 4096u

struct cdt_heap; /* lives at the start of its region */

/*
 * Takes over a region of memory. `base` is a multiple of CDT_PAGE; `fault` is
 * called, and must not return, when a caller or a stray write has broken the
 * heap: with an address that is no block's, the heap is as it was before the
 * call. NULL when the region is too small for even one page.
 */
struct cdt_heap *cdt_heap_new(void *base, size_t size,
                              void (*fault)(const char *what, const void *at));

/* `pages` pages in a row, not cleared; NULL when there are none, or `pages` is
 * 0. They are given back all at once, and by this call alone. */
void *cdt_heap_pages(struct cdt_heap *heap, size_t pages);
void cdt_heap_pages_free(struct cdt_heap *heap, void *ptr, size_t pages);

/*
 * As malloc, realloc, aligned_alloc (align a power of two, else NULL), and
 * free. Blocks are aligned to 16 bytes. One of 0 bytes is a block like any
 * other, and resizing to 0 makes it one. Where a resize answers NULL, the old
 * block is still there; making a block smaller never fails. An alignment above
 * CDT_PAGE asks for a free run that is longer by as much.
 */
void *cdt_heap_alloc(struct cdt_heap *heap, size_t size);
void *cdt_heap_resize(struct cdt_heap *heap, void *ptr, size_t size);
void *cdt_heap_aligned(struct cdt_heap *heap, size_t align, size_t size);
void cdt_heap_free(struct cdt_heap *heap, void *ptr);

/* Bytes usable in a block; 0 for NULL. */
size_t cdt_heap_usable(struct cdt_heap *heap, const void *ptr);

struct cdt_heap_facts {
    size_t total;     /* bytes that can be handed out */
    size_t used;      /* of them, in whole pages that hold blocks */
    size_t most_used; /* ever */
    size_t largest;   /* of the longest free run, slabs kept empty aside */
};

void cdt_heap_facts(const struct cdt_heap *heap, struct cdt_heap_facts *facts);

#endif
