/* SPDX-License-Identifier: ISC */
/*
 * The table behind heap.h, and the runs of pages that it keeps: what heap.c
 * stands on, and nobody else.
 */
#ifndef CDT_XEN_HEAP_PAGES_H
#define CDT_XEN_HEAP_PAGES_H

#include "heap.h"

/* Slots are multiples of this. */
#define CDT_SLOT_UNIT 16u
#define CDT_SLOT_MAX 3072u
#define CDT_SLOT_CLASSES 26u
#define CDT_SLOT_BITS 2u

/* A slab is at most 256 slots: a page of the smallest. */
#define CDT_SLOT_WORDS (CDT_PAGE / CDT_SLOT_UNIT / 64)

/* Bins for as many pages as a uint32_t counts. */
#define CDT_RUN_BINS 464u
#define CDT_RUN_BITS 4u
#define CDT_RUN_WORDS ((CDT_RUN_BINS + 63) / 64)

enum cdt_page_kind {
    CDT_PAGE_INNER, /* not the first of a run, or its last page if that is free
                     */
    CDT_PAGE_OWN,   /* the table */
    CDT_PAGE_FREE,  /* first of a free run */
    CDT_PAGE_FREE_LAST, /* last of one that is longer than a page */
    CDT_PAGE_RUN,       /* first of a run of cdt_heap_pages() */
    CDT_PAGE_BLOCK,     /* first of a block too large for a slot */
    CDT_PAGE_SLAB,      /* first of a slab */
    CDT_PAGE_SLAB_INNER /* any other of a slab */
};

/* Pages are named by their number in the region; 0 is the table's, and none. */
struct cdt_page {
    uint8_t kind;
    uint8_t number; /* of a slab: its class */
    uint16_t free;  /* slots of a slab */
    union {
        uint32_t pages; /* of a run's first: its length */
        uint32_t first; /* of CDT_PAGE_FREE_LAST and CDT_PAGE_SLAB_INNER */
    };
    uint32_t prev; /* in its bin or among the slabs of its class */
    uint32_t next;
    uint64_t map[CDT_SLOT_WORDS]; /* of a slab: a set bit is a free slot */
};

struct cdt_slabs {
    uint32_t slot; /* bytes */
    uint16_t slots;
    uint16_t pages;
    uint32_t partial; /* slabs with slots both free and in use */
    uint32_t empty;   /* one slab with none in use */
};

struct cdt_heap {
    void (*fault)(const char *what, const void *at);
    uint32_t count; /* pages of the region */
    uint32_t own;   /* of them, the table's */
    uint32_t used;
    uint32_t most_used;
    struct cdt_slabs slabs[CDT_SLOT_CLASSES];
    uint64_t filled[CDT_RUN_WORDS]; /* bins that are not empty */
    uint32_t bins[CDT_RUN_BINS];
    struct cdt_page table[];
};

_Static_assert(sizeof(struct cdt_page) == 48,
               "the cost that the comment states");

static inline _Noreturn void cdt_heap_fail(const struct cdt_heap *heap,
                                           const char *what, const void *at)
{
    heap->fault(what, at);
    __builtin_trap();
}

/*
 * Numbers `n` on a scale that is exact to begin with and then has 2^bits steps
 * to a doubling; each step holds the numbers from its first up to the next's.
 */
static inline unsigned cdt_heap_scale(uint32_t n, unsigned bits)
{
    unsigned top = 31u - (unsigned)__builtin_clz(n | 1u);
    unsigned shift = top > bits ? top - bits : 0;

    return (shift << bits) + (n >> shift);
}

/*
 * Lists of pages through their prev and next. Unlinking trusts a link only if
 * what it leads to links back.
 */
void cdt_list_push(struct cdt_heap *heap, uint32_t *head, uint32_t at);
void cdt_list_unlink(struct cdt_heap *heap, uint32_t *head, uint32_t at);

/* Takes a run, which is `pages` CDT_PAGE_INNER then; 0 when there is none. */
uint32_t cdt_run_take(struct cdt_heap *heap, uint32_t pages);

/* Gives pages back, to be one run with their free neighbours. All but the first
 * are CDT_PAGE_INNER. */
void cdt_run_give(struct cdt_heap *heap, uint32_t at, uint32_t pages);

/* Takes the pages after `pages` of them that make them `wanted`, if free. */
bool cdt_run_grow(struct cdt_heap *heap, uint32_t at, uint32_t pages,
                  size_t wanted);

/* Pages of the longest free run. */
uint32_t cdt_run_largest(const struct cdt_heap *heap);

#endif
