/* SPDX-License-Identifier: ISC */
/* What the guest's heap notices: addresses that are no block's, and writes over
 * its table. */
#include "xen_heap.h"

static void resize_faults(struct rig *rig, void *ptr, const char *word)
{
    FAULTS(word, cdt_heap_resize(rig->heap, ptr, 10));
}

static void free_twice(struct rig *rig, size_t size)
{
    void *keep = cdt_heap_alloc(rig->heap, size);
    void *ptr = cdt_heap_alloc(rig->heap, size);

    cdt_heap_free(rig->heap, ptr);
    free_faults(rig, ptr, "free already");
    resize_faults(rig, ptr, "free already");
    FAULTS("free already", cdt_heap_usable(rig->heap, ptr));
    cdt_heap_free(rig->heap, keep);
    free_faults(rig, keep, "");
    free_faults(rig, ptr, "");
    /* The heap has not changed by it. */
    assert_all_free(rig);
}

static void a_block_freed_twice_is_noticed(void **state)
{
    static const size_t sizes[] = {0, 16, 40, 1700, 3072, 4096, 50000};

    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        free_twice(*state, sizes[i]);
    }
}

/* Freed into the run before it, a block leaves nothing that looks like one. */
static void a_merged_block_is_no_block(void **state)
{
    struct rig *rig = *state;
    void *first = cdt_heap_alloc(rig->heap, 9000);
    void *block = cdt_heap_alloc(rig->heap, 9000);
    void *pages = cdt_heap_pages(rig->heap, 2);
    void *behind = cdt_heap_alloc(rig->heap, 9000);

    cdt_heap_free(rig->heap, first);
    cdt_heap_free(rig->heap, block);
    free_faults(rig, block, "not the start");
    cdt_heap_pages_free(rig->heap, pages, 2);
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, pages, 2));
    free_faults(rig, block, "not the start");
    cdt_heap_free(rig->heap, behind);
    free_faults(rig, behind, "not the start");
    assert_all_free(rig);
}

/* Nor do the pages of a slab, in the run that is made of them next. */
static void a_dropped_slab_is_no_slab(void **state)
{
    enum { MANY = 12 };
    struct rig *rig = *state;
    void *ptrs[MANY] = {NULL};
    char *run;

    assert_int_equal(fill(rig, ptrs, MANY, 3072), MANY);
    for (unsigned i = MANY; i-- > 0;) {
        cdt_heap_free(rig->heap, ptrs[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        run = cdt_heap_alloc(rig->heap, rig->fresh.total / (2 - i));
        assert_non_null(run);
        for (size_t at = CDT_PAGE; at < 20 * (size_t)CDT_PAGE; at += 1024) {
            free_faults(rig, run + at, "not the start");
        }
        cdt_heap_free(rig->heap, run);
    }
    assert_all_free(rig);
}

static void an_address_within_a_block_is_noticed(void **state)
{
    static const size_t sizes[] = {16, 48, 1000, 3072, 4096, 50000};
    struct rig *rig = *state;

    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *ptr = cdt_heap_alloc(rig->heap, sizes[i]);

        for (size_t at = 1; at < sizes[i]; at += at < 20 ? 1 : 13) {
            free_faults(rig, ptr + at, "not the start");
        }
        if (sizes[i] > CDT_PAGE) {
            free_faults(rig, ptr + CDT_PAGE, "not the start");
        }
        resize_faults(rig, ptr + 1, "not the start");
        cdt_heap_free(rig->heap, ptr);
    }
    assert_all_free(rig);
}

/* The end of a slab that no slot has. */
static void the_rest_of_a_slab_is_no_block(void **state)
{
    struct rig *rig = *state;
    char *ptr = cdt_heap_alloc(rig->heap, 48);
    char *page = ptr - (uintptr_t)ptr % CDT_PAGE;

    FAULTS("not the start", cdt_heap_free(rig->heap, page + 4080));
    FAULTS("free already", cdt_heap_free(rig->heap, page + 4032));
    cdt_heap_free(rig->heap, ptr);
    assert_all_free(rig);
}

static void other_memory_is_noticed(void **state)
{
    struct rig *rig = *state;
    char *base = (char *)rig->heap;
    char local = 0;

    FAULTS("not memory", cdt_heap_free(rig->heap, &local));
    FAULTS("not memory", cdt_heap_free(rig->heap, base - 1));
    FAULTS("not memory", cdt_heap_free(rig->heap, base - CDT_PAGE));
    FAULTS("not memory", cdt_heap_free(rig->heap, base + REGION));
    FAULTS("not the start", cdt_heap_free(rig->heap, base));
    FAULTS("not the start", cdt_heap_free(rig->heap, base + CDT_PAGE));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, base - CDT_PAGE, 1));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, base + REGION, 1));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, base, 1));
    FAULTS("", cdt_heap_free(rig->heap, base + REGION - 1));
    FAULTS("", cdt_heap_free(rig->heap, base + REGION / 2));
    assert_all_free(rig);
}

static void pages_and_blocks_are_not_confused(void **state)
{
    struct rig *rig = *state;
    char *pages = cdt_heap_pages(rig->heap, 4);
    char *block = cdt_heap_alloc(rig->heap, 16384);
    char *small = cdt_heap_aligned(rig->heap, 2048, 2048);

    FAULTS("not the start", cdt_heap_free(rig->heap, pages));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, block, 4));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, small, 1));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, pages, 3));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, pages, 5));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, pages, 0));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, pages + CDT_PAGE, 3));
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, pages + 1, 4));
    cdt_heap_pages_free(rig->heap, pages, 4);
    FAULTS("not pages", cdt_heap_pages_free(rig->heap, pages, 4));
    cdt_heap_free(rig->heap, block);
    cdt_heap_free(rig->heap, small);
    assert_all_free(rig);
}

/* The table's pages but the first, in which the heap itself lies. */
static size_t table_size(const struct rig *rig)
{
    return REGION - rig->fresh.total - CDT_PAGE;
}

static void table_faults(struct rig *rig, void *ptr)
{
    FAULTS("", cdt_heap_free(rig->heap, ptr));
}

static void pages_fault(struct rig *rig, void *pages)
{
    FAULTS("", cdt_heap_pages_free(rig->heap, pages, 2));
    FAULTS("broken", cdt_heap_alloc(rig->heap, 40));
    FAULTS("broken", cdt_heap_pages(rig->heap, 1));
}

static void a_stray_write_over_the_table_is_noticed(void **state)
{
    static const unsigned char bytes[] = {0, 1, 2, 3, 4, 5, 7, 0x41, 0xff};
    struct rig *rig = *state;
    unsigned char *table = (unsigned char *)rig->heap + CDT_PAGE;
    size_t size = table_size(rig);
    unsigned char *saved = malloc(size);
    void *room = cdt_heap_pages(rig->heap, PAGES / 2);
    void *small = cdt_heap_alloc(rig->heap, 40);
    void *more = cdt_heap_alloc(rig->heap, 3000);
    void *large = cdt_heap_alloc(rig->heap, 9000);
    void *pages = cdt_heap_pages(rig->heap, 2);

    assert_non_null(saved);
    assert_true(room != NULL && pages != NULL);
    memcpy(saved, table, size);
    for (unsigned i = 0; i < sizeof bytes; i++) {
        memset(table, bytes[i], size);
        table_faults(rig, small);
        table_faults(rig, more);
        table_faults(rig, large);
        pages_fault(rig, pages);
        memcpy(table, saved, size);
    }
    cdt_heap_free(rig->heap, small);
    cdt_heap_free(rig->heap, more);
    cdt_heap_free(rig->heap, large);
    cdt_heap_pages_free(rig->heap, pages, 2);
    cdt_heap_pages_free(rig->heap, room, PAGES / 2);
    assert_all_free(rig);
    free(saved);
}

/* A table from before a free: its links no longer lead back. */
static void a_broken_link_is_noticed(void **state)
{
    struct rig *rig = *state;
    unsigned char *table = (unsigned char *)rig->heap + CDT_PAGE;
    size_t size = table_size(rig);
    unsigned char *saved = malloc(size);
    void *room = cdt_heap_pages(rig->heap, PAGES / 2);
    void *ptrs[6];

    assert_non_null(room);
    assert_non_null(saved);
    for (unsigned i = 0; i < 6; i++) {
        ptrs[i] = cdt_heap_pages(rig->heap, 1);
        assert_non_null(ptrs[i]);
    }
    cdt_heap_pages_free(rig->heap, ptrs[0], 1);
    memcpy(saved, table, size);
    cdt_heap_pages_free(rig->heap, ptrs[2], 1);
    memcpy(table, saved, size);
    /* It merges with the first one, which is not the bin's first any more. */
    FAULTS("link", cdt_heap_pages_free(rig->heap, ptrs[1], 1));
    free(saved);
}

/* The same for a run whose entry has not changed, but the next in its bin. */
static void a_broken_link_back_is_noticed(void **state)
{
    struct rig *rig = *state;
    unsigned char *table = (unsigned char *)rig->heap + CDT_PAGE;
    size_t size = table_size(rig);
    unsigned char *saved = malloc(size);
    void *low = cdt_heap_pages(rig->heap, 1);
    void *room = cdt_heap_pages(rig->heap, PAGES / 2);
    void *high = cdt_heap_pages(rig->heap, 1);
    void *end = cdt_heap_pages(rig->heap, 1);

    assert_non_null(saved);
    assert_true(low != NULL && room != NULL && high != NULL && end != NULL);
    cdt_heap_pages_free(rig->heap, high, 1);
    memcpy(saved, table, size);
    cdt_heap_pages_free(rig->heap, low, 1);
    memcpy(table, saved, size);
    FAULTS("link", cdt_heap_pages(rig->heap, 1));
    free(saved);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        HEAP_TEST(a_block_freed_twice_is_noticed),
        HEAP_TEST(a_merged_block_is_no_block),
        HEAP_TEST(a_dropped_slab_is_no_slab),
        HEAP_TEST(an_address_within_a_block_is_noticed),
        HEAP_TEST(the_rest_of_a_slab_is_no_block),
        HEAP_TEST(other_memory_is_noticed),
        HEAP_TEST(pages_and_blocks_are_not_confused),
        HEAP_TEST(a_stray_write_over_the_table_is_noticed),
        HEAP_TEST(a_broken_link_is_noticed),
        HEAP_TEST(a_broken_link_back_is_noticed),
    };

    return cmocka_run_group_tests_name("xen_heap_faults", tests, NULL, NULL);
}
