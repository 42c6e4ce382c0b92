/* SPDX-License-Identifier: ISC */
/*
 * The guest's heap under long random use, against a model of it: which bytes of
 * the region belong to which block, and what each block holds.
 */
#include "support.h"

#include "heap.h"

#define BLOCKS 3000u
#define UNIT 16u

struct owned {
    unsigned char *ptr;
    size_t size;  /* that was asked for */
    size_t pages; /* 0: a block */
    unsigned char seed;
};

struct model {
    unsigned char *base;
    size_t size;
    struct cdt_heap *heap;
    struct cdt_heap_facts fresh;
    bool *taken; /* a flag for each UNIT of the region */
    struct owned owned[BLOCKS];
    unsigned char seed;
    uint64_t random;
    unsigned refused;
};

static void no_fault(const char *what, const void *at)
{
    print_error("fault: %s at %p\n", what, at);
    abort();
}

/* Marks a block's bytes as taken or free; they must have been the opposite. */
static void mark(struct model *m, const struct owned *one, bool taken)
{
    size_t from = (size_t)(one->ptr - m->base) / UNIT;
    size_t n = (one->size + UNIT - 1) / UNIT;

    for (size_t i = from; i < from + n; i++) {
        if (m->taken[i] == taken) {
            fail_msg("bytes at %zu are %s", i * UNIT,
                     taken ? "handed out twice" : "not handed out");
        }
        m->taken[i] = taken;
    }
}

static void put(struct model *m, struct owned *one)
{
    assert_true(one->ptr >= m->base);
    assert_true((size_t)(one->ptr - m->base) <= m->size - one->size);
    assert_int_equal((uintptr_t)one->ptr % UNIT, 0);
    mark(m, one, true);
    one->seed = m->seed++;
    memset(one->ptr, one->seed, one->size);
}

/* A block's bytes are what was last put there. */
static void check(const struct owned *one, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (one->ptr[i] != one->seed) {
            fail_msg("byte %zu of a block of %zu has changed", i, one->size);
        }
    }
}

/* Small more often than large, and the edges more often than by chance. */
static size_t some_size(struct model *m)
{
    size_t limit = (size_t)16 << t_range(&m->random, 0, 13);

    switch (t_random(&m->random) % 8) {
    case 0:
        return limit - 1 + t_range(&m->random, 0, 2);
    case 1:
        return t_range(&m->random, 3000, 4200);
    default:
        return t_range(&m->random, 0, limit < 4096 ? limit : limit / 2);
    }
}

static void give_back(struct model *m, struct owned *one)
{
    check(one, one->size);
    mark(m, one, false);
    if (one->pages > 0) {
        cdt_heap_pages_free(m->heap, one->ptr, one->pages);
    } else {
        assert_true(cdt_heap_usable(m->heap, one->ptr) >= one->size);
        cdt_heap_free(m->heap, one->ptr);
    }
    one->ptr = NULL;
}

static void obtain(struct model *m, struct owned *one)
{
    unsigned way = t_random(&m->random) % 10;
    size_t align = 1;

    one->pages = 0;
    one->size = some_size(m);
    if (way == 0) {
        one->pages = t_range(&m->random, 1, 40);
        one->size = one->pages * CDT_PAGE;
        align = CDT_PAGE;
        one->ptr = cdt_heap_pages(m->heap, one->pages);
    } else if (way == 1) {
        align = (size_t)1 << t_range(&m->random, 0, 16);
        one->ptr = cdt_heap_aligned(m->heap, align, one->size);
    } else {
        one->ptr = cdt_heap_alloc(m->heap, one->size);
    }
    if (one->ptr == NULL) {
        m->refused++;
        return;
    }
    assert_int_equal((uintptr_t)one->ptr % align, 0);
    put(m, one);
}

static void resize(struct model *m, struct owned *one)
{
    size_t size = some_size(m);
    struct owned now = *one;

    check(one, one->size);
    now.ptr = cdt_heap_resize(m->heap, one->ptr, size);
    if (now.ptr == NULL) {
        assert_true(size > one->size);
        check(one, one->size);
        m->refused++;
        return;
    }
    mark(m, one, false);
    check(&now, size < one->size ? size : one->size);
    one->ptr = now.ptr;
    one->size = size;
    put(m, one);
}

static void step(struct model *m, unsigned live)
{
    struct owned *one = &m->owned[t_random(&m->random) % live];

    if (one->ptr == NULL) {
        obtain(m, one);
    } else if (one->pages == 0 && t_random(&m->random) % 3 == 0) {
        resize(m, one);
    } else {
        give_back(m, one);
    }
}

/* Used is at least what the blocks hold, and free what the heap says. */
static void check_facts(struct model *m)
{
    struct cdt_heap_facts facts;
    size_t held = 0;

    for (unsigned i = 0; i < BLOCKS; i++) {
        held += m->owned[i].ptr != NULL ? m->owned[i].size : 0;
    }
    cdt_heap_facts(m->heap, &facts);
    assert_int_equal(facts.total, m->fresh.total);
    assert_true(facts.used >= held);
    assert_true(facts.most_used >= facts.used);
    assert_true(facts.most_used <= facts.total);
    assert_true(facts.largest <= facts.total - facts.used);
}

/* All that is free can be had as single pages, and no more. */
static void check_free_pages(struct model *m)
{
    size_t max = m->fresh.total / CDT_PAGE;
    void **pages = calloc(max + 1, sizeof *pages);
    struct cdt_heap_facts facts;
    size_t n = 0;

    assert_non_null(pages);
    cdt_heap_facts(m->heap, &facts);
    while (n <= max && (pages[n] = cdt_heap_pages(m->heap, 1)) != NULL) {
        n++;
    }
    assert_int_equal(n, (facts.total - facts.used) / CDT_PAGE);
    for (size_t i = 0; i < n; i++) {
        cdt_heap_pages_free(m->heap, pages[i], 1);
    }
    cdt_heap_facts(m->heap, &facts);
    assert_int_equal(facts.used, facts.total - n * CDT_PAGE);
    free(pages);
}

static void check_as_new(struct model *m)
{
    size_t pages = m->fresh.largest / CDT_PAGE;
    struct cdt_heap_facts facts;
    void *all;

    for (unsigned i = 0; i < BLOCKS; i++) {
        if (m->owned[i].ptr != NULL) {
            give_back(m, &m->owned[i]);
        }
    }
    cdt_heap_facts(m->heap, &facts);
    assert_int_equal(facts.used, 0);
    all = cdt_heap_pages(m->heap, pages);
    assert_non_null(all);
    cdt_heap_pages_free(m->heap, all, pages);
    cdt_heap_facts(m->heap, &facts);
    assert_int_equal(facts.largest, m->fresh.largest);
}

/* Answers how many requests were refused for want of memory. */
static unsigned play(size_t size, size_t offset, unsigned live, uint64_t seed)
{
    struct model *m = calloc(1, sizeof *m);
    size_t unit = (size_t)1 << 20;
    unsigned char *region = aligned_alloc(unit, (size / unit + 2) * unit);
    unsigned refused;

    assert_true(m != NULL && region != NULL);
    m->base = region + offset;
    m->size = size;
    m->random = seed;
    m->taken = calloc(size / UNIT, sizeof *m->taken);
    m->heap = cdt_heap_new(m->base, size, no_fault);
    assert_true(m->taken != NULL && m->heap != NULL);
    cdt_heap_facts(m->heap, &m->fresh);
    for (unsigned i = 0; i < 60000; i++) {
        step(m, live);
        if (i % 4000 == 0) {
            check_facts(m);
            check_free_pages(m);
        }
        if (i % 20000 == 19999) {
            check_as_new(m);
        }
    }
    refused = m->refused;
    free(m->taken);
    free(region);
    free(m);
    return refused;
}

static void blocks_are_kept_apart_with_room(void **state)
{
    (void)state;
    assert_int_equal(play((size_t)32 << 20, 0, 200, 1), 0);
    assert_int_equal(play((size_t)32 << 20, (size_t)5 * CDT_PAGE, 200, 2), 0);
}

static void blocks_are_kept_apart_in_need(void **state)
{
    (void)state;
    assert_true(play((size_t)4 << 20, CDT_PAGE, BLOCKS, 3) > 1000);
    assert_true(play((size_t)1 << 20, 0, BLOCKS, 4) > 1000);
    assert_true(play(100000, (size_t)3 * CDT_PAGE, 100, 5) > 1000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_kept_apart_with_room),
        cmocka_unit_test(blocks_are_kept_apart_in_need),
    };

    return cmocka_run_group_tests_name("xen_heap_random", tests, NULL, NULL);
}
