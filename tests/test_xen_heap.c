/* SPDX-License-Identifier: ISC */
/*
 * The guest's heap: sizes, alignment, exhaustion, reuse and resizing. What it
 * notices is in test_xen_heap_faults.c, long use in test_xen_heap_random.c.
 */
#include "xen_heap.h"

static size_t used(struct rig *rig)
{
    struct cdt_heap_facts facts;

    cdt_heap_facts(rig->heap, &facts);
    return facts.used;
}

static void a_region_can_be_too_small(void **state)
{
    struct rig *rig = *state;
    unsigned pages = 0;
    struct cdt_heap *heap = NULL;
    void *ptr;

    while (heap == NULL) {
        heap = cdt_heap_new(rig->base, pages * (size_t)CDT_PAGE + 4095,
                            note_fault);
        pages++;
        assert_in_range(pages, 1, 4);
    }
    assert_in_range(pages, 3, 4); /* the last one tried is one less */
    ptr = cdt_heap_alloc(heap, 1);
    assert_non_null(ptr);
    memset(ptr, 1, cdt_heap_usable(heap, ptr));
    assert_null(cdt_heap_pages(heap, 1));
    assert_null(cdt_heap_alloc(heap, 3000));
    cdt_heap_free(heap, ptr);
    ptr = cdt_heap_pages(heap, 1);
    assert_non_null(ptr);
    assert_true((unsigned char *)ptr + CDT_PAGE <=
                rig->base + (pages - 1) * (size_t)CDT_PAGE);
}

static void the_table_is_small(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(rig->fresh.used, 0);
    assert_int_equal(rig->fresh.most_used, 0);
    assert_int_equal(rig->fresh.largest, rig->fresh.total);
    assert_true(rig->fresh.total < REGION);
    assert_true(rig->fresh.total > REGION - REGION / 50);
}

/* No more than a quarter of a small block is waste, and none is too short. */
static void sizes_are_close(void **state)
{
    struct rig *rig = *state;

    for (size_t size = 0; size < 20000; size += size < 200 ? 1 : 61) {
        void *ptr = cdt_heap_alloc(rig->heap, size);
        size_t usable = cdt_heap_usable(rig->heap, ptr);

        assert_non_null(ptr);
        assert_int_equal((uintptr_t)ptr % 16, 0);
        assert_true(usable >= size);
        if (size > 16 && size <= 4096) {
            assert_true(usable - size < 16 || (usable - size) * 4 <= usable);
        }
        assert_true(usable < size + CDT_PAGE);
        memset(ptr, 0x5a, usable);
        cdt_heap_free(rig->heap, ptr);
    }
    assert_all_free(rig);
}

static void blocks_of_no_bytes_are_blocks(void **state)
{
    struct rig *rig = *state;
    void *a = cdt_heap_alloc(rig->heap, 0);
    void *b = cdt_heap_alloc(rig->heap, 0);
    void *c = cdt_heap_aligned(rig->heap, 65536, 0);

    assert_true(a != NULL && b != NULL && c != NULL && a != b);
    assert_non_null(cdt_heap_resize(rig->heap, a, 0));
    cdt_heap_free(rig->heap, a);
    cdt_heap_free(rig->heap, b);
    cdt_heap_free(rig->heap, c);
    cdt_heap_free(rig->heap, NULL);
    assert_int_equal(cdt_heap_usable(rig->heap, NULL), 0);
    assert_all_free(rig);
}

static void absurd_sizes_are_refused(void **state)
{
    struct rig *rig = *state;
    void *ptr = cdt_heap_alloc(rig->heap, 100);
    size_t pages = rig->fresh.total / CDT_PAGE;

    for (size_t less = 0; less < 2 * (size_t)CDT_PAGE; less += 511) {
        size_t size = SIZE_MAX - less;

        assert_null(cdt_heap_alloc(rig->heap, size));
        assert_null(cdt_heap_alloc(rig->heap, size / 2));
        assert_null(cdt_heap_pages(rig->heap, size));
        assert_null(cdt_heap_pages(rig->heap, (size >> 12) + 2));
        assert_null(cdt_heap_resize(rig->heap, ptr, size));
        assert_null(cdt_heap_aligned(rig->heap, 65536, size));
        assert_null(cdt_heap_aligned(rig->heap, 64, size));
    }
    for (unsigned bit = 32; bit < 64; bit++) {
        assert_null(cdt_heap_pages(rig->heap, ((size_t)1 << bit) + 1));
        assert_null(cdt_heap_aligned(rig->heap, (size_t)1 << bit, 1));
        assert_null(cdt_heap_aligned(rig->heap, (size_t)1 << bit, SIZE_MAX));
    }
    assert_null(cdt_heap_pages(rig->heap, 0));
    assert_null(cdt_heap_pages(rig->heap, pages + 1));
    assert_null(cdt_heap_aligned(rig->heap, 0, 16));
    assert_null(cdt_heap_aligned(rig->heap, 48, 16));
    cdt_heap_free(rig->heap, ptr);
    assert_all_free(rig);
}

static void blocks_are_aligned(void **state)
{
    struct rig *rig = *state;

    for (size_t align = 1; align <= 65536; align *= 2) {
        static const size_t sizes[] = {0,    1,    40,   100,  700,
                                       2049, 3073, 4096, 5000, 100000};
        void *ptrs[10];

        for (unsigned i = 0; i < 10; i++) {
            ptrs[i] = cdt_heap_aligned(rig->heap, align, sizes[i]);
            assert_non_null(ptrs[i]);
            assert_int_equal((uintptr_t)ptrs[i] % align, 0);
            assert_int_equal((uintptr_t)ptrs[i] % 16, 0);
            assert_true(cdt_heap_usable(rig->heap, ptrs[i]) >= sizes[i]);
            memset(ptrs[i], (int)i, cdt_heap_usable(rig->heap, ptrs[i]));
        }
        for (unsigned i = 0; i < 10; i++) {
            cdt_heap_free(rig->heap, ptrs[i]);
        }
        assert_all_free(rig);
    }
}

/* What is asked for to align with is given back at once. */
static void aligning_wastes_nothing(void **state)
{
    struct rig *rig = *state;
    void *first = cdt_heap_alloc(rig->heap, 5000);
    void *ptr = cdt_heap_aligned(rig->heap, 65536, 5000);
    struct cdt_heap_facts facts;

    assert_non_null(ptr);
    cdt_heap_facts(rig->heap, &facts);
    assert_int_equal(facts.used, 4 * CDT_PAGE);
    assert_int_equal(facts.most_used, 4 * CDT_PAGE);
    cdt_heap_free(rig->heap, first);
    cdt_heap_free(rig->heap, ptr);
    assert_all_free(rig);
}

static bool all_are(const void *ptr, size_t size, unsigned char byte)
{
    const unsigned char *at = ptr;

    while (size > 0 && *at == byte) {
        at++;
        size--;
    }
    return size == 0;
}

/* To the last page, in whichever order it is freed, and again. */
static void exhaustion_is_survived(void **state)
{
    static const size_t sizes[] = {16,   48,   100,  640,  1100,
                                   2500, 3000, 4096, 9000, 200000};
    size_t max = REGION / 16;
    struct rig *rig = *state;
    void **ptrs = calloc(max, sizeof *ptrs);

    assert_non_null(ptrs);
    for (unsigned i = 0; i < 30; i++) {
        size_t size = sizes[i % 10];
        size_t n = fill(rig, ptrs, max, size);
        size_t step = i < 10 ? 1 : i < 20 ? 7 : 2;

        assert_true(n < max);
        assert_true(n * size > rig->fresh.total * 2 / 3);
        assert_null(cdt_heap_alloc(rig->heap, 500000));
        for (size_t from = 0; from < step; from++) {
            for (size_t j = from; j < n; j += step) {
                assert_true(all_are(ptrs[j], size, (unsigned char)(j % 251)));
                cdt_heap_free(rig->heap, ptrs[j]);
            }
        }
        assert_int_equal(used(rig), 0);
        if (i % 3 == 0) {
            assert_all_free(rig);
        }
    }
    free(ptrs);
}

/* No page is lost to a class whose slabs are longer than what is left. */
static void the_last_page_is_used(void **state)
{
    struct rig *rig = *state;
    size_t pages = rig->fresh.total / CDT_PAGE;
    void *rest = cdt_heap_pages(rig->heap, pages - 1);
    void *ptr = cdt_heap_alloc(rig->heap, 3000);

    assert_non_null(rest);
    assert_non_null(ptr);
    assert_true(cdt_heap_usable(rig->heap, ptr) >= 3000);
    assert_int_equal(used(rig), rig->fresh.total);
    cdt_heap_free(rig->heap, ptr);
    cdt_heap_pages_free(rig->heap, rest, pages - 1);
    assert_all_free(rig);
}

/* A run is found wherever it is, even where its bin holds shorter ones first.
 */
static void the_longest_run_is_always_found(void **state)
{
    struct rig *rig = *state;
    void *a;
    void *gap;
    void *b;
    void *rest;
    struct cdt_heap_facts facts;

    /* 65 and 67 pages are in one bin; the shorter one is freed last. */
    a = cdt_heap_pages(rig->heap, 67);
    gap = cdt_heap_pages(rig->heap, 1);
    b = cdt_heap_pages(rig->heap, 65);
    rest = cdt_heap_pages(rig->heap, rig->fresh.total / CDT_PAGE - 133);
    assert_true(a != NULL && gap != NULL && b != NULL && rest != NULL);
    assert_null(cdt_heap_pages(rig->heap, 1));
    cdt_heap_pages_free(rig->heap, a, 67);
    cdt_heap_pages_free(rig->heap, b, 65);
    cdt_heap_facts(rig->heap, &facts);
    assert_int_equal(facts.largest, 67 * CDT_PAGE);
    assert_null(cdt_heap_pages(rig->heap, 68));
    assert_ptr_equal(cdt_heap_pages(rig->heap, 67), a);
    assert_ptr_equal(cdt_heap_pages(rig->heap, 65), b);
    cdt_heap_pages_free(rig->heap, a, 67);
    cdt_heap_pages_free(rig->heap, gap, 1);
    cdt_heap_pages_free(rig->heap, b, 65);
    cdt_heap_pages_free(rig->heap, rest, rig->fresh.total / CDT_PAGE - 133);
    assert_all_free(rig);
}

/* Pages freed in any order among used ones become one run again. */
static void neighbours_merge(void **state)
{
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct rig *rig = *state;

    for (unsigned i = 0; i < 6; i++) {
        struct cdt_heap_facts facts;
        void *ptrs[3];
        void *rest;
        size_t more = rig->fresh.total / CDT_PAGE - 6;

        for (unsigned j = 0; j < 3; j++) {
            ptrs[j] = cdt_heap_pages(rig->heap, j + 1);
            assert_non_null(ptrs[j]);
        }
        rest = cdt_heap_pages(rig->heap, more);
        assert_non_null(rest);
        for (unsigned j = 0; j < 3; j++) {
            cdt_heap_pages_free(rig->heap, ptrs[orders[i][j]],
                                orders[i][j] + 1);
        }
        cdt_heap_facts(rig->heap, &facts);
        assert_int_equal(facts.largest, 6 * CDT_PAGE);
        cdt_heap_pages_free(rig->heap, rest, more);
        assert_all_free(rig);
    }
}

static void what_is_free_is_used_again(void **state)
{
    struct rig *rig = *state;
    void *keep = cdt_heap_alloc(rig->heap, 100);
    void *ptr = cdt_heap_alloc(rig->heap, 100);
    void *pages = cdt_heap_pages(rig->heap, 3);

    cdt_heap_free(rig->heap, ptr);
    assert_ptr_equal(cdt_heap_alloc(rig->heap, 100), ptr);
    cdt_heap_pages_free(rig->heap, pages, 3);
    assert_ptr_equal(cdt_heap_pages(rig->heap, 3), pages);
    for (unsigned i = 0; i < 100000; i++) {
        void *one = cdt_heap_alloc(rig->heap, 1 + i % 9000);

        assert_non_null(one);
        cdt_heap_free(rig->heap, one);
    }
    cdt_heap_free(rig->heap, keep);
    cdt_heap_free(rig->heap, ptr);
    cdt_heap_pages_free(rig->heap, pages, 3);
    assert_all_free(rig);
}

/* One slab a class stays, and the rest is there for other sizes. */
static void empty_slabs_go_back(void **state)
{
    enum { MANY = 4096 };
    struct rig *rig = *state;
    static void *ptrs[MANY];
    struct cdt_heap_facts facts;

    assert_int_equal(fill(rig, ptrs, MANY, 256), MANY);
    assert_int_equal(used(rig), MANY * 256);
    for (unsigned i = 0; i < MANY; i++) {
        cdt_heap_free(rig->heap, ptrs[i]);
    }
    cdt_heap_facts(rig->heap, &facts);
    assert_int_equal(facts.used, 0);
    assert_int_equal(facts.most_used, MANY * 256);
    assert_true(facts.largest >= facts.total / 2);
    assert_all_free(rig);
}

static void an_empty_slab_is_kept(void **state)
{
    struct rig *rig = *state;
    struct cdt_heap_facts facts;

    for (unsigned i = 0; i < 3; i++) {
        cdt_heap_free(rig->heap, cdt_heap_alloc(rig->heap, 16));
        cdt_heap_facts(rig->heap, &facts);
        assert_int_equal(facts.used, 0);
        assert_int_equal(facts.largest, facts.total - CDT_PAGE);
    }
    assert_all_free(rig);
}

static void facts_follow(void **state)
{
    struct rig *rig = *state;
    struct cdt_heap_facts facts;
    void *small = cdt_heap_alloc(rig->heap, 10);
    void *large = cdt_heap_alloc(rig->heap, 10000);
    void *pages = cdt_heap_pages(rig->heap, 7);

    cdt_heap_facts(rig->heap, &facts);
    assert_int_equal(facts.total, rig->fresh.total);
    assert_int_equal(facts.used, (1 + 3 + 7) * CDT_PAGE);
    assert_int_equal(facts.most_used, facts.used);
    assert_int_equal(facts.largest, facts.total - facts.used);
    cdt_heap_pages_free(rig->heap, pages, 7);
    cdt_heap_free(rig->heap, small);
    cdt_heap_facts(rig->heap, &facts);
    assert_int_equal(facts.used, 3 * CDT_PAGE);
    assert_int_equal(facts.most_used, 11 * CDT_PAGE);
    small = cdt_heap_alloc(rig->heap, 10);
    assert_int_equal(used(rig), 4 * CDT_PAGE);
    cdt_heap_free(rig->heap, small);
    cdt_heap_free(rig->heap, large);
    assert_all_free(rig);
}

/* ---- resizing ---- */

static void a_resize_keeps_the_bytes(void **state)
{
    static const size_t sizes[] = {1,    16,   17,    500,  3072, 3073, 4096,
                                   4097, 9000, 70000, 8192, 3000, 40,   0};
    struct rig *rig = *state;
    unsigned char *ptr = cdt_heap_resize(rig->heap, NULL, 1);
    size_t kept = 1;

    assert_non_null(ptr);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(ptr, (int)i + 1, kept);
        ptr = cdt_heap_resize(rig->heap, ptr, sizes[i]);
        assert_non_null(ptr);
        assert_true(cdt_heap_usable(rig->heap, ptr) >= sizes[i]);
        assert_true(all_are(ptr, kept < sizes[i] ? kept : sizes[i],
                            (unsigned char)(i + 1)));
        kept = sizes[i];
    }
    assert_int_equal(cdt_heap_usable(rig->heap, ptr), 16);
    cdt_heap_free(rig->heap, ptr);
    assert_all_free(rig);
}

static void runs_are_resized_in_place(void **state)
{
    struct rig *rig = *state;
    void *ptr = cdt_heap_alloc(rig->heap, 100000);
    void *behind = cdt_heap_alloc(rig->heap, 10000);

    assert_ptr_equal(cdt_heap_resize(rig->heap, ptr, 5000), ptr);
    assert_int_equal(cdt_heap_usable(rig->heap, ptr), 8192);
    assert_int_equal(used(rig), 5 * CDT_PAGE);
    assert_ptr_equal(cdt_heap_resize(rig->heap, ptr, 102400), ptr);
    assert_int_equal(used(rig), 28 * CDT_PAGE);
    assert_int_equal(cdt_heap_usable(rig->heap, ptr), 102400);
    /* One page more is not free behind it; then it is. */
    cdt_heap_free(rig->heap, behind);
    assert_ptr_equal(cdt_heap_resize(rig->heap, ptr, 102401), ptr);
    assert_int_equal(used(rig), 26 * CDT_PAGE);
    assert_ptr_equal(cdt_heap_resize(rig->heap, ptr, rig->fresh.total), ptr);
    assert_int_equal(used(rig), rig->fresh.total);
    assert_null(cdt_heap_resize(rig->heap, ptr, rig->fresh.total + 1));
    assert_int_equal(used(rig), rig->fresh.total);
    cdt_heap_free(rig->heap, ptr);
    assert_all_free(rig);
}

static void a_run_moves_where_it_cannot_grow(void **state)
{
    struct rig *rig = *state;
    void *ptr = cdt_heap_alloc(rig->heap, 8192);
    void *behind = cdt_heap_alloc(rig->heap, 8192);
    void *moved;

    memset(ptr, 0x11, 8192);
    memset(behind, 0x22, 8192);
    moved = cdt_heap_resize(rig->heap, ptr, 8193);
    assert_non_null(moved);
    assert_ptr_not_equal(moved, ptr);
    assert_true(all_are(moved, 8192, 0x11));
    memset(moved, 0x33, 12288);
    assert_true(all_are(behind, 8192, 0x22));
    FAULTS("free already", cdt_heap_free(rig->heap, ptr));
    cdt_heap_free(rig->heap, behind);
    cdt_heap_free(rig->heap, moved);
    assert_all_free(rig);
}

static void a_small_block_stays_where_it_fits(void **state)
{
    struct rig *rig = *state;
    void *ptr = cdt_heap_alloc(rig->heap, 1000);

    assert_ptr_equal(cdt_heap_resize(rig->heap, ptr, 1024), ptr);
    assert_ptr_equal(cdt_heap_resize(rig->heap, ptr, 600), ptr);
    assert_ptr_not_equal(cdt_heap_resize(rig->heap, ptr, 100), ptr);
    FAULTS("free already", cdt_heap_free(rig->heap, ptr));
}

static void a_failed_resize_keeps_the_block(void **state)
{
    struct rig *rig = *state;
    void *small = cdt_heap_alloc(rig->heap, 64);
    void *large = cdt_heap_alloc(rig->heap, 20000);
    size_t pages = (rig->fresh.total - used(rig)) / CDT_PAGE;
    void *rest = cdt_heap_pages(rig->heap, pages);

    assert_non_null(rest);
    memset(small, 0x11, 64);
    memset(large, 0x22, 20000);
    assert_null(cdt_heap_resize(rig->heap, small, 65));
    assert_null(cdt_heap_resize(rig->heap, small, SIZE_MAX));
    assert_null(cdt_heap_resize(rig->heap, large, 20481));
    assert_null(cdt_heap_resize(rig->heap, large, SIZE_MAX));
    assert_true(all_are(small, 64, 0x11));
    assert_true(all_are(large, 20000, 0x22));
    assert_int_equal(used(rig), rig->fresh.total);
    /* Smaller is granted with no memory left: where it is, or moved to what
     * the cut itself has freed. */
    small = cdt_heap_resize(rig->heap, small, 1);
    assert_true(all_are(small, 1, 0x11));
    large = cdt_heap_resize(rig->heap, large, 100);
    assert_non_null(large);
    assert_true(all_are(large, 100, 0x22));
    assert_true(used(rig) < rig->fresh.total);
    cdt_heap_free(rig->heap, small);
    cdt_heap_free(rig->heap, large);
    cdt_heap_pages_free(rig->heap, rest, pages);
    assert_all_free(rig);
}

/* With not a slot to be had for it, a page that shrinks stays a page. */
static void a_smaller_block_can_stay(void **state)
{
    struct rig *rig = *state;
    void *page = cdt_heap_alloc(rig->heap, 4096);
    size_t pages = rig->fresh.total / CDT_PAGE - 1;
    void *rest = cdt_heap_pages(rig->heap, pages);

    assert_non_null(rest);
    assert_ptr_equal(cdt_heap_resize(rig->heap, page, 10), page);
    assert_int_equal(cdt_heap_usable(rig->heap, page), 4096);
    cdt_heap_free(rig->heap, page);
    cdt_heap_pages_free(rig->heap, rest, pages);
    assert_all_free(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        HEAP_TEST(a_region_can_be_too_small),
        HEAP_TEST(the_table_is_small),
        HEAP_TEST(sizes_are_close),
        HEAP_TEST(blocks_of_no_bytes_are_blocks),
        HEAP_TEST(absurd_sizes_are_refused),
        HEAP_TEST(blocks_are_aligned),
        HEAP_TEST(aligning_wastes_nothing),
        HEAP_TEST(exhaustion_is_survived),
        HEAP_TEST(the_last_page_is_used),
        HEAP_TEST(the_longest_run_is_always_found),
        HEAP_TEST(neighbours_merge),
        HEAP_TEST(what_is_free_is_used_again),
        HEAP_TEST(empty_slabs_go_back),
        HEAP_TEST(an_empty_slab_is_kept),
        HEAP_TEST(facts_follow),
        HEAP_TEST(a_resize_keeps_the_bytes),
        HEAP_TEST(runs_are_resized_in_place),
        HEAP_TEST(a_run_moves_where_it_cannot_grow),
        HEAP_TEST(a_small_block_stays_where_it_fits),
        HEAP_TEST(a_failed_resize_keeps_the_block),
        HEAP_TEST(a_smaller_block_can_stay),
    };

    return cmocka_run_group_tests_name("xen_heap", tests, NULL, NULL);
}
