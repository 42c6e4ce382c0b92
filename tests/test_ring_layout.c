/* SPDX-License-Identifier: ISC */
/* The shared ring's layout: libxenvchan's, and none that is impossible. */
#include "support.h"
#include "unix_ring_pair.h"

#if __has_include(<xen/io/libxenvchan.h>)
#include <xen/io/libxenvchan.h>
#define FIELD(theirs, ours)                                    \
    assert_int_equal(offsetof(struct vchan_interface, theirs), \
                     offsetof(struct cdt_ring_page, ours))

static void layout_is_that_of_libxenvchan(void **state)
{
    (void)state;
    FIELD(left.cons, way[CDT_RING_TO_SERVER].cons);
    FIELD(left.prod, way[CDT_RING_TO_SERVER].prod);
    FIELD(right.cons, way[CDT_RING_TO_CLIENT].cons);
    FIELD(right.prod, way[CDT_RING_TO_CLIENT].prod);
    FIELD(left_order, order[CDT_RING_TO_SERVER]);
    FIELD(right_order, order[CDT_RING_TO_CLIENT]);
    FIELD(cli_live, live[0]);
    FIELD(srv_live, live[1]);
    FIELD(cli_notify, notify[0]);
    FIELD(srv_notify, notify[1]);
    assert_int_equal(offsetof(struct vchan_interface, grants), CDT_RING_HEADER);
    assert_int_equal(VCHAN_NOTIFY_WRITE, CDT_RING_ON_WRITE);
    assert_int_equal(VCHAN_NOTIFY_READ, CDT_RING_ON_READ);
}
#else
static void layout_is_that_of_libxenvchan(void **state)
{
    (void)state;
    print_message("no xen/io/libxenvchan.h (package libxen-dev)\n");
    skip();
}
#endif

static struct ring_pair pair;

static int clean_up(void **state)
{
    (void)state;
    ring_pair_unmap(&pair);
    return 0;
}

#define R_TEST(f) cmocka_unit_test_teardown(f, clean_up)

static const char *check(unsigned to_server, unsigned to_client)
{
    struct cdt_ring_layout layout = {{(uint8_t)to_server, (uint8_t)to_client}};

    return cdt_ring_check(&layout);
}

static void orders_outside_of_the_range_are_refused(void **state)
{
    (void)state;
    assert_null(check(12, 20));
    assert_null(check(20, 12));
    assert_null(check(20, 20));
    assert_string_equal(check(9, 12), "the order of a ring is out of range");
    assert_string_equal(check(12, 9), "the order of a ring is out of range");
    assert_string_equal(check(21, 12), "the order of a ring is out of range");
    assert_string_equal(check(12, 255), "the order of a ring is out of range");
    assert_string_equal(check(0, 0), "the order of a ring is out of range");
}

static void rings_do_not_share_a_place(void **state)
{
    (void)state;
    assert_null(check(10, 11));
    assert_null(check(11, 10));
    assert_null(check(12, 12));
    assert_string_equal(check(10, 10), "both rings are at one place");
    assert_string_equal(check(11, 11), "both rings are at one place");
}

/* 256 references and the header are 1048 bytes. */
static void grants_end_before_a_ring_in_their_page(void **state)
{
    (void)state;
    assert_null(check(10, 19));
    assert_null(check(11, 20));
    assert_non_null(check(10, 20));
    assert_non_null(check(20, 10));
}

static void assert_place(unsigned to_server, unsigned to_client,
                         enum cdt_ring_way way, size_t offset, size_t own)
{
    struct cdt_ring_layout layout = {{(uint8_t)to_server, (uint8_t)to_client}};

    assert_int_equal(cdt_ring_offset(&layout, way), offset);
    assert_int_equal(cdt_ring_own_bytes(&layout, way), own);
    assert_int_equal(cdt_ring_size(&layout, way),
                     (size_t)1 << layout.order[way]);
}

static void small_rings_are_in_the_page_and_large_ones_behind(void **state)
{
    struct cdt_ring_layout layout = {{11, 13}};

    (void)state;
    assert_place(10, 11, CDT_RING_TO_SERVER, 1024, 0);
    assert_place(10, 11, CDT_RING_TO_CLIENT, 2048, 0);
    assert_place(12, 10, CDT_RING_TO_CLIENT, 1024, 0);
    assert_place(12, 14, CDT_RING_TO_SERVER, 4096, 4096);
    assert_place(12, 14, CDT_RING_TO_CLIENT, 8192, 16384);
    assert_place(11, 13, CDT_RING_TO_CLIENT, 4096, 8192);
    assert_int_equal(cdt_ring_total(&layout), 12288);
}

static void assert_choice(size_t to_server, size_t to_client, unsigned a,
                          unsigned b)
{
    struct cdt_ring_layout layout;

    assert_true(cdt_ring_choose(&layout, to_server, to_client));
    assert_int_equal(layout.order[CDT_RING_TO_SERVER], a);
    assert_int_equal(layout.order[CDT_RING_TO_CLIENT], b);
    assert_null(cdt_ring_check(&layout));
}

static void the_smallest_possible_layout_is_chosen(void **state)
{
    struct cdt_ring_layout layout;

    (void)state;
    assert_choice(0, 0, 10, 11);
    assert_choice(1024, 2048, 10, 11);
    assert_choice(1025, 1024, 11, 10);
    assert_choice(2048, 2048, 11, 12);
    assert_choice(1, 4096, 11, 12);
    assert_choice(1 << 20, 1, 20, 11);
    assert_choice(262144, 262145, 18, 19);
    assert_false(cdt_ring_choose(&layout, (1 << 20) + 1, 1));
    assert_false(cdt_ring_choose(&layout, 1, SIZE_MAX));
}

static void a_fresh_page_says_what_libxenvchan_says(void **state)
{
    static const uint8_t expected[CDT_RING_HEADER] = {
        [16] = 12, [18] = 13, [20] = 2, [21] = 1, [22] = 1};
    struct cdt_ring_layout layout = {{0, 0}};
    const uint8_t *bytes;

    (void)state;
    ring_pair_map(&pair, 12, 13, false);
    bytes = pair.memory.page;
    memset(pair.memory.page, 0xa5, CDT_RING_PAGE);
    cdt_ring_format(pair.page, &pair.layout);
    assert_memory_equal(bytes, expected, sizeof expected);
    for (size_t i = sizeof expected; i < CDT_RING_PAGE; i++) {
        assert_int_equal(bytes[i], 0);
    }
    assert_null(cdt_ring_read_layout(pair.page, &layout));
    assert_memory_equal(&layout, &pair.layout, sizeof layout);
}

static void an_impossible_page_is_refused(void **state)
{
    struct cdt_ring_layout layout;

    (void)state;
    ring_pair_map(&pair, 12, 13, false);
    atomic_store(&pair.page->order[1], 256 + 13);
    assert_string_equal(cdt_ring_read_layout(pair.page, &layout),
                        "the order of a ring is out of range");
    atomic_store(&pair.page->order[0], 10);
    atomic_store(&pair.page->order[1], 10);
    assert_string_equal(cdt_ring_read_layout(pair.page, &layout),
                        "both rings are at one place");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        R_TEST(layout_is_that_of_libxenvchan),
        R_TEST(orders_outside_of_the_range_are_refused),
        R_TEST(rings_do_not_share_a_place),
        R_TEST(grants_end_before_a_ring_in_their_page),
        R_TEST(small_rings_are_in_the_page_and_large_ones_behind),
        R_TEST(the_smallest_possible_layout_is_chosen),
        R_TEST(a_fresh_page_says_what_libxenvchan_says),
        R_TEST(an_impossible_page_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
