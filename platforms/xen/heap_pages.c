/* SPDX-License-Identifier: ISC */
/*
 * Runs of pages. Every page is CDT_PAGE_INNER in the table but the first of a
 * run, the last of a free one, and those of a slab; whoever swallows a run
 * makes its ends CDT_PAGE_INNER, so that nothing old is ever read there.
 */
#include "heap_pages.h"

/* ---- lists ---- */

void cdt_list_push(struct cdt_heap *heap, uint32_t *head, uint32_t at)
{
    struct cdt_page *page = &heap->table[at];

    page->prev = 0;
    page->next = *head;
    if (*head != 0) {
        heap->table[*head].prev = at;
    }
    *head = at;
}

void cdt_list_unlink(struct cdt_heap *heap, uint32_t *head, uint32_t at)
{
    struct cdt_page *page = &heap->table[at];
    uint32_t *from = head;

    if (page->prev >= heap->count || page->next >= heap->count) {
        cdt_heap_fail(heap, "a link of the heap is broken", page);
    }
    if (page->prev != 0) {
        from = &heap->table[page->prev].next;
    }
    if (*from != at ||
        (page->next != 0 && heap->table[page->next].prev != at)) {
        cdt_heap_fail(heap, "a link of the heap is broken", page);
    }
    *from = page->next;
    if (page->next != 0) {
        heap->table[page->next].prev = page->prev;
    }
}

/* ---- runs of pages ---- */

/* Makes pages a free run; they are CDT_PAGE_INNER, and so are those around
 * them. */
static void run_add(struct cdt_heap *heap, uint32_t at, uint32_t pages)
{
    unsigned bin = cdt_heap_scale(pages, CDT_RUN_BITS);

    if (pages > 1) {
        heap->table[at + pages - 1].kind = CDT_PAGE_FREE_LAST;
        heap->table[at + pages - 1].first = at;
    }
    heap->table[at].kind = CDT_PAGE_FREE;
    heap->table[at].pages = pages;
    cdt_list_push(heap, &heap->bins[bin], at);
    heap->filled[bin / 64] |= (uint64_t)1 << bin % 64;
}

/* Takes a free run out of its bin, as pages that are CDT_PAGE_INNER; its
 * length. */
static uint32_t run_remove(struct cdt_heap *heap, uint32_t at)
{
    struct cdt_page *page = &heap->table[at];
    uint32_t pages;
    unsigned bin;

    if (at >= heap->count || page->kind != CDT_PAGE_FREE || page->pages == 0 ||
        page->pages > heap->count - at) {
        cdt_heap_fail(heap, "the heap's table is broken", page);
    }
    pages = page->pages;
    bin = cdt_heap_scale(pages, CDT_RUN_BITS);
    cdt_list_unlink(heap, &heap->bins[bin], at);
    if (heap->bins[bin] == 0) {
        heap->filled[bin / 64] &= ~((uint64_t)1 << bin % 64);
    }
    heap->table[at + pages - 1].kind = CDT_PAGE_INNER;
    page->kind = CDT_PAGE_INNER;
    return pages;
}

void cdt_run_give(struct cdt_heap *heap, uint32_t at, uint32_t pages)
{
    const struct cdt_page *before = &heap->table[at - 1];
    uint32_t after = at + pages;

    heap->table[at].kind = CDT_PAGE_INNER;
    if (after < heap->count && heap->table[after].kind == CDT_PAGE_FREE) {
        pages += run_remove(heap, after);
    }
    if (before->kind == CDT_PAGE_FREE || before->kind == CDT_PAGE_FREE_LAST) {
        uint32_t first = before->kind == CDT_PAGE_FREE ? at - 1 : before->first;

        if (first >= at || run_remove(heap, first) != at - first) {
            cdt_heap_fail(heap, "the heap's table is broken", before);
        }
        pages += at - first;
        at = first;
    }
    run_add(heap, at, pages);
}

/* The first bin from `bin` on that is not empty, or CDT_RUN_BINS. */
static unsigned filled_from(const struct cdt_heap *heap, unsigned bin)
{
    uint64_t from = ~(uint64_t)0 << bin % 64;

    for (unsigned i = bin / 64; i < CDT_RUN_WORDS; i++, from = ~(uint64_t)0) {
        if ((heap->filled[i] & from) != 0) {
            return i * 64 + (unsigned)__builtin_ctzll(heap->filled[i] & from);
        }
    }
    return CDT_RUN_BINS;
}

/*
 * The first page of a free run of at least `pages`, or 0. Any run will do from
 * the bin above `pages - 1` on. Only when there is none, that is near
 * exhaustion, is the bin searched that holds shorter runs too.
 */
static uint32_t run_find(const struct cdt_heap *heap, uint32_t pages)
{
    unsigned bin = cdt_heap_scale(pages - 1, CDT_RUN_BITS) + 1;
    unsigned filled = bin < CDT_RUN_BINS ? filled_from(heap, bin)
                                         : CDT_RUN_BINS;
    uint32_t at;

    if (filled < CDT_RUN_BINS) {
        return heap->bins[filled];
    }
    if (bin == cdt_heap_scale(pages, CDT_RUN_BITS)) {
        return 0;
    }
    at = heap->bins[bin - 1];
    while (at != 0 && at < heap->count && heap->table[at].pages < pages) {
        at = heap->table[at].next;
    }
    return at;
}

uint32_t cdt_run_take(struct cdt_heap *heap, uint32_t pages)
{
    uint32_t at = run_find(heap, pages);
    uint32_t found;

    if (at == 0) {
        return 0;
    }
    found = run_remove(heap, at);
    if (found > pages) {
        run_add(heap, at + pages, found - pages);
    }
    return at;
}

bool cdt_run_grow(struct cdt_heap *heap, uint32_t at, uint32_t pages,
                  size_t wanted)
{
    uint32_t after = at + pages;
    uint32_t more;
    uint32_t found;

    if (after >= heap->count || heap->table[after].kind != CDT_PAGE_FREE ||
        heap->table[after].pages < wanted - pages) {
        return false;
    }
    more = (uint32_t)wanted - pages;
    found = run_remove(heap, after);
    if (found > more) {
        run_add(heap, after + more, found - more);
    }
    return true;
}

uint32_t cdt_run_largest(const struct cdt_heap *heap)
{
    uint32_t largest = 0;

    for (unsigned bin = CDT_RUN_BINS; bin-- > 0 && largest == 0;) {
        for (uint32_t at = heap->bins[bin]; at != 0;
             at = heap->table[at].next) {
            if (heap->table[at].pages > largest) {
                largest = heap->table[at].pages;
            }
        }
    }
    return largest;
}
