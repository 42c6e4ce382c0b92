/* SPDX-License-Identifier: ISC */
/*
 * The guest's memory. A table at the start of the region has an entry for each
 * page, 48 bytes of 4096 (1.2 %), and is all that the heap keeps: blocks have
 * no headers, free memory holds no links, so that neither an overrun nor a
 * write after free() reaches the heap through them, and an address is judged
 * by the table alone.
 *
 * Free runs of pages are kept in bins by length, 16 to a doubling and exact
 * below 32 pages, with a bitmap of the bins that are not empty: taking a run
 * and giving it back, merged with its neighbours, costs the same however many
 * there are. Small blocks are slots of slabs, four sizes to a doubling from 128
 * bytes on and every 16 bytes below; a bitmap in the slab's entry says which
 * are free. A slab is as many pages as it takes to waste no more than a
 * sixteenth at its end. A class keeps one empty slab, lest a block allocated
 * and freed in turn make and drop one each time; these are given up before a
 * run is refused.
 *
 * Rejected: boundary tags at the blocks, which cost 16 bytes a block and trust
 * what applications overwrite; a buddy system, which rounds 33 pages up to 64;
 * links through free slots, which need the bitmap beside them to see a block
 * freed twice.
 */
#include "heap_pages.h"

#include <string.h>

/* The heap is at the start of its region. */
static void *address_of(struct cdt_heap *heap, uint32_t at)
{
    return (char *)heap + (size_t)at * CDT_PAGE;
}

static void count_used(struct cdt_heap *heap, uint32_t pages)
{
    heap->used += pages;
    if (heap->used > heap->most_used) {
        heap->most_used = heap->used;
    }
}

/* Gives the empty slabs back to the runs; whether there were any. */
static bool drop_empty(struct cdt_heap *heap)
{
    bool any = false;

    for (unsigned i = 0; i < CDT_SLOT_CLASSES; i++) {
        struct cdt_slabs *slabs = &heap->slabs[i];

        if (slabs->empty != 0) {
            for (uint32_t j = 0; j < slabs->pages; j++) {
                heap->table[slabs->empty + j].kind = CDT_PAGE_INNER;
            }
            cdt_run_give(heap, slabs->empty, slabs->pages);
            slabs->empty = 0;
            any = true;
        }
    }
    return any;
}

/* Takes a run, for which empty slabs are given up; 0 when there is none. */
static uint32_t run_take(struct cdt_heap *heap, uint32_t pages)
{
    uint32_t at = cdt_run_take(heap, pages);

    if (at == 0 && drop_empty(heap)) {
        at = cdt_run_take(heap, pages);
    }
    return at;
}

static void *run_use(struct cdt_heap *heap, uint32_t at, size_t pages,
                     enum cdt_page_kind kind)
{
    heap->table[at].kind = (uint8_t)kind;
    heap->table[at].pages = (uint32_t)pages;
    count_used(heap, (uint32_t)pages);
    return address_of(heap, at);
}

static void *run_new(struct cdt_heap *heap, size_t pages,
                     enum cdt_page_kind kind)
{
    uint32_t at;

    if (pages == 0 || pages >= heap->count) {
        return NULL;
    }
    at = run_take(heap, (uint32_t)pages);
    if (at == 0) {
        return NULL;
    }
    return run_use(heap, at, pages, kind);
}

static void run_free(struct cdt_heap *heap, uint32_t at, uint32_t pages)
{
    heap->used -= pages;
    cdt_run_give(heap, at, pages);
}

static size_t pages_of(size_t size)
{
    return size / CDT_PAGE + (size % CDT_PAGE != 0);
}

/* A block aligned to more than a page: from a run that is too long by that. */
static void *run_aligned(struct cdt_heap *heap, size_t align, size_t pages)
{
    size_t step = align / CDT_PAGE;
    size_t skip;
    uint32_t at;
    uint32_t rest;

    if (pages >= heap->count || step >= heap->count ||
        pages + step > heap->count) {
        return NULL;
    }
    at = run_take(heap, (uint32_t)(pages + step - 1));
    if (at == 0) {
        return NULL;
    }
    skip = -((uintptr_t)address_of(heap, at) / CDT_PAGE) & (step - 1);
    rest = (uint32_t)(step - 1 - skip);
    if (skip > 0) {
        cdt_run_give(heap, at, (uint32_t)skip);
        at += (uint32_t)skip;
    }
    if (rest > 0) {
        cdt_run_give(heap, at + (uint32_t)pages, rest);
    }
    return run_use(heap, at, pages, CDT_PAGE_BLOCK);
}

/* ---- slabs ---- */

/* A slab all free, in no list; 0 when there are no pages. */
static uint32_t slab_new(struct cdt_heap *heap, unsigned number)
{
    const struct cdt_slabs *slabs = &heap->slabs[number];
    uint32_t at = run_take(heap, slabs->pages);
    struct cdt_page *page = &heap->table[at];

    if (at == 0) {
        return 0;
    }
    page->kind = CDT_PAGE_SLAB;
    page->number = (uint8_t)number;
    page->free = slabs->slots;
    for (unsigned i = 0; i < CDT_SLOT_WORDS; i++) {
        unsigned left = slabs->slots > i * 64 ? slabs->slots - i * 64 : 0;

        page->map[i] = left < 64 ? ((uint64_t)1 << left) - 1 : ~(uint64_t)0;
    }
    for (uint32_t i = 1; i < slabs->pages; i++) {
        heap->table[at + i].kind = CDT_PAGE_SLAB_INNER;
        heap->table[at + i].first = at;
    }
    count_used(heap, slabs->pages);
    return at;
}

/* A slab with a free slot, in the class's list; 0 when there are no pages. */
static uint32_t slab_find(struct cdt_heap *heap, unsigned number)
{
    struct cdt_slabs *slabs = &heap->slabs[number];
    uint32_t at = slabs->partial;

    if (at != 0) {
        return at;
    }
    at = slabs->empty;
    if (at != 0) {
        slabs->empty = 0;
        count_used(heap, slabs->pages);
    } else {
        at = slab_new(heap, number);
    }
    if (at != 0) {
        cdt_list_push(heap, &slabs->partial, at);
    }
    return at;
}

static void *slot_new(struct cdt_heap *heap, unsigned number)
{
    struct cdt_slabs *slabs = &heap->slabs[number];
    uint32_t at = slab_find(heap, number);
    struct cdt_page *page = &heap->table[at];
    unsigned word = 0;
    unsigned slot;

    if (at == 0) {
        return NULL;
    }
    while (word < CDT_SLOT_WORDS && page->map[word] == 0) {
        word++;
    }
    slot = word * 64;
    if (word < CDT_SLOT_WORDS) {
        slot += (unsigned)__builtin_ctzll(page->map[word]);
    }
    if (page->kind != CDT_PAGE_SLAB || slot >= slabs->slots) {
        cdt_heap_fail(heap, "the heap's table is broken", page);
    }
    page->map[word] &= page->map[word] - 1;
    page->free--;
    if (page->free == 0) {
        cdt_list_unlink(heap, &slabs->partial, at);
    }
    return (char *)address_of(heap, at) + (size_t)slot * slabs->slot;
}

/* A slab has lost its last block: keeps it if none is kept in its class. */
static void slab_emptied(struct cdt_heap *heap, uint32_t at)
{
    struct cdt_page *page = &heap->table[at];
    struct cdt_slabs *slabs = &heap->slabs[page->number];

    cdt_list_unlink(heap, &slabs->partial, at);
    if (slabs->empty == 0) {
        slabs->empty = at;
        heap->used -= slabs->pages;
        return;
    }
    for (uint32_t i = 1; i < slabs->pages; i++) {
        heap->table[at + i].kind = CDT_PAGE_INNER;
    }
    run_free(heap, at, slabs->pages);
}

static void slot_free(struct cdt_heap *heap, uint32_t at, unsigned slot)
{
    struct cdt_page *page = &heap->table[at];
    struct cdt_slabs *slabs = &heap->slabs[page->number];

    page->map[slot / 64] |= (uint64_t)1 << slot % 64;
    if (page->free++ == 0) {
        cdt_list_push(heap, &slabs->partial, at);
    }
    if (page->free == slabs->slots) {
        slab_emptied(heap, at);
    }
}

/* ---- blocks ---- */

/* A block that a caller names, found to be in use. */
struct block {
    uint32_t at; /* first page of its run or slab */
    unsigned slot;
    size_t usable;
};

static struct block find_slot(const struct cdt_heap *heap, uint32_t at,
                              const void *ptr)
{
    const struct cdt_page *page = &heap->table[at];
    const struct cdt_slabs *slabs;
    uint32_t offset;
    unsigned slot;

    if (page->kind != CDT_PAGE_SLAB || page->number >= CDT_SLOT_CLASSES) {
        cdt_heap_fail(heap, "the heap's table is broken", page);
    }
    slabs = &heap->slabs[page->number];
    offset = (uint32_t)((uintptr_t)ptr - (uintptr_t)heap -
                        at * (size_t)CDT_PAGE);
    slot = offset / slabs->slot;
    if (offset % slabs->slot != 0 || slot >= slabs->slots) {
        cdt_heap_fail(heap, "not the start of a block", ptr);
    }
    if ((page->map[slot / 64] >> slot % 64 & 1) != 0) {
        cdt_heap_fail(heap, "the block is free already", ptr);
    }
    return (struct block){at, slot, slabs->slot};
}

static struct block find_block(const struct cdt_heap *heap, const void *ptr)
{
    size_t offset = (uintptr_t)ptr - (uintptr_t)heap;
    const struct cdt_page *page;
    uint32_t at;

    if (offset / CDT_PAGE >= heap->count) {
        cdt_heap_fail(heap, "not memory of the heap", ptr);
    }
    at = (uint32_t)(offset / CDT_PAGE);
    page = &heap->table[at];
    switch (page->kind) {
    case CDT_PAGE_SLAB:
        return find_slot(heap, at, ptr);
    case CDT_PAGE_SLAB_INNER:
        if (page->first >= heap->count) {
            cdt_heap_fail(heap, "the heap's table is broken", page);
        }
        return find_slot(heap, page->first, ptr);
    case CDT_PAGE_BLOCK:
        if (page->pages == 0 || page->pages > heap->count - at) {
            cdt_heap_fail(heap, "the heap's table is broken", page);
        }
        if (offset % CDT_PAGE == 0) {
            return (struct block){at, 0, (size_t)page->pages * CDT_PAGE};
        }
        break;
    case CDT_PAGE_FREE:
    case CDT_PAGE_FREE_LAST:
        cdt_heap_fail(heap, "the block is free already", ptr);
    default:
        break;
    }
    cdt_heap_fail(heap, "not the start of a block", ptr);
}

static unsigned class_of(size_t size)
{
    uint32_t units = ((uint32_t)size + CDT_SLOT_UNIT - 1) / CDT_SLOT_UNIT;

    return cdt_heap_scale(units - (units != 0), CDT_SLOT_BITS);
}

/* The size of a slot is a multiple of what it is to be aligned to. */
static void *small_new(struct cdt_heap *heap, size_t align, size_t size)
{
    unsigned number = class_of(size);
    void *ptr;

    while (number < CDT_SLOT_CLASSES &&
           (heap->slabs[number].slot & (align - 1)) != 0) {
        number++;
    }
    ptr = number < CDT_SLOT_CLASSES ? slot_new(heap, number) : NULL;
    /* A slab can be several pages where one is left. */
    return ptr != NULL ? ptr : run_new(heap, 1, CDT_PAGE_BLOCK);
}

static void shrink(struct cdt_heap *heap, uint32_t at, uint32_t pages,
                   uint32_t wanted)
{
    if (wanted < pages) {
        heap->table[at].pages = wanted;
        run_free(heap, at + wanted, pages - wanted);
    }
}

/*
 * Whether a block could be made `size` where it is. Slots are kept unless half
 * of them would be wasted; a run that is to hold what fits a slot is cut to a
 * page and then moved, if it can be.
 */
static bool resize_in_place(struct cdt_heap *heap, const struct block *block,
                            size_t size)
{
    struct cdt_page *page = &heap->table[block->at];
    size_t wanted = size > CDT_SLOT_MAX ? pages_of(size) : 1;

    if (page->kind == CDT_PAGE_SLAB) {
        return size <= block->usable &&
               size + CDT_SLOT_UNIT > block->usable / 2;
    }
    if (wanted > page->pages) {
        if (!cdt_run_grow(heap, block->at, page->pages, wanted)) {
            return false;
        }
        count_used(heap, (uint32_t)wanted - page->pages);
        page->pages = (uint32_t)wanted;
        return true;
    }
    shrink(heap, block->at, page->pages, (uint32_t)wanted);
    return size > CDT_SLOT_MAX;
}

static void release(struct cdt_heap *heap, const struct block *block)
{
    const struct cdt_page *page = &heap->table[block->at];

    if (page->kind == CDT_PAGE_SLAB) {
        slot_free(heap, block->at, block->slot);
    } else {
        run_free(heap, block->at, page->pages);
    }
}

/* ---- the calls ---- */

static void init_classes(struct cdt_heap *heap)
{
    for (uint32_t units = 1; units <= CDT_SLOT_MAX / CDT_SLOT_UNIT; units++) {
        heap->slabs[cdt_heap_scale(units - 1, CDT_SLOT_BITS)].slot =
            units * CDT_SLOT_UNIT;
    }
    for (unsigned i = 0; i < CDT_SLOT_CLASSES; i++) {
        struct cdt_slabs *slabs = &heap->slabs[i];
        uint32_t size = CDT_PAGE;

        while (size % slabs->slot > size / 16) {
            size += CDT_PAGE;
        }
        slabs->slots = (uint16_t)(size / slabs->slot);
        slabs->pages = (uint16_t)(size / CDT_PAGE);
    }
}

struct cdt_heap *cdt_heap_new(void *base, size_t size,
                              void (*fault)(const char *what, const void *at))
{
    struct cdt_heap *heap = base;
    size_t count = size / CDT_PAGE;
    size_t own;

    if (count > UINT32_MAX) {
        count = UINT32_MAX;
    }
    own = pages_of(sizeof *heap + count * sizeof(struct cdt_page));
    if ((uintptr_t)base % CDT_PAGE != 0 || own >= count) {
        return NULL;
    }
    memset(heap, 0, sizeof *heap + count * sizeof(struct cdt_page));
    heap->fault = fault;
    heap->count = (uint32_t)count;
    heap->own = (uint32_t)own;
    init_classes(heap);
    for (size_t i = 0; i < own; i++) {
        heap->table[i].kind = CDT_PAGE_OWN;
    }
    cdt_run_give(heap, heap->own, heap->count - heap->own);
    return heap;
}

void *cdt_heap_pages(struct cdt_heap *heap, size_t pages)
{
    return run_new(heap, pages, CDT_PAGE_RUN);
}

void cdt_heap_pages_free(struct cdt_heap *heap, void *ptr, size_t pages)
{
    size_t offset = (uintptr_t)ptr - (uintptr_t)heap;
    uint32_t at;

    if (offset / CDT_PAGE >= heap->count || offset % CDT_PAGE != 0) {
        cdt_heap_fail(heap, "not pages of the heap", ptr);
    }
    at = (uint32_t)(offset / CDT_PAGE);
    if (heap->table[at].kind != CDT_PAGE_RUN ||
        heap->table[at].pages != pages) {
        cdt_heap_fail(heap, "not pages that were handed out", ptr);
    }
    run_free(heap, at, (uint32_t)pages);
}

void *cdt_heap_alloc(struct cdt_heap *heap, size_t size)
{
    if (size <= CDT_SLOT_MAX) {
        return small_new(heap, 1, size);
    }
    return run_new(heap, pages_of(size), CDT_PAGE_BLOCK);
}

void *cdt_heap_aligned(struct cdt_heap *heap, size_t align, size_t size)
{
    if (align == 0 || (align & (align - 1)) != 0) {
        return NULL;
    }
    if (size <= CDT_SLOT_MAX && align <= CDT_PAGE) {
        return small_new(heap, align, size);
    }
    if (align <= CDT_PAGE) {
        return run_new(heap, pages_of(size), CDT_PAGE_BLOCK);
    }
    return run_aligned(heap, align, pages_of(size) + (size == 0));
}

void *cdt_heap_resize(struct cdt_heap *heap, void *ptr, size_t size)
{
    struct block block;
    void *fresh;

    if (ptr == NULL) {
        return cdt_heap_alloc(heap, size);
    }
    block = find_block(heap, ptr);
    if (resize_in_place(heap, &block, size)) {
        return ptr;
    }
    fresh = cdt_heap_alloc(heap, size);
    if (fresh == NULL) {
        /* Less can be had where it is. */
        return size <= block.usable ? ptr : NULL;
    }
    memcpy(fresh, ptr, size < block.usable ? size : block.usable);
    release(heap, &block);
    return fresh;
}

void cdt_heap_free(struct cdt_heap *heap, void *ptr)
{
    struct block block;

    if (ptr != NULL) {
        block = find_block(heap, ptr);
        release(heap, &block);
    }
}

size_t cdt_heap_usable(struct cdt_heap *heap, const void *ptr)
{
    return ptr != NULL ? find_block(heap, ptr).usable : 0;
}

void cdt_heap_facts(const struct cdt_heap *heap, struct cdt_heap_facts *facts)
{
    facts->total = (size_t)(heap->count - heap->own) * CDT_PAGE;
    facts->used = (size_t)heap->used * CDT_PAGE;
    facts->most_used = (size_t)heap->most_used * CDT_PAGE;
    facts->largest = (size_t)cdt_run_largest(heap) * CDT_PAGE;
}
