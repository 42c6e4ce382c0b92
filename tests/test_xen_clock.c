/* SPDX-License-Identifier: ISC */
/* Xen's clocks: the arithmetic, and a page that changes while it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <xen/xen.h>

#include "clock.h"

#define NS_PER_S UINT64_C(1000000000)
#define HALF (UINT32_C(1) << 31)

static struct vcpu_time_info page;
static uint64_t counter;
static unsigned reads;

static uint64_t read_counter(void)
{
    reads++;
    return counter;
}

/* The page says that at count 1000 it was 5000 ns. */
static void begin(uint32_t mul, int8_t shift)
{
    memset(&page, 0, sizeof page);
    page.version = 2;
    page.tsc_timestamp = 1000;
    page.system_time = 5000;
    page.tsc_to_system_mul = mul;
    page.tsc_shift = shift;
    reads = 0;
}

struct case_of {
    uint32_t mul;
    int8_t shift;
    uint64_t count; /* since the page was written */
    uint64_t ns;    /* since then */
};

static const struct case_of cases[] = {
    {HALF, 0, 0, 0},
    {HALF, 0, 1000, 500},
    {HALF, 0, 1001, 500},
    {HALF, 1, 1000, 1000},
    {HALF, 3, 1000, 4000},
    {HALF, -1, 1000, 250},
    {HALF, -3, 1000, 62},
    {HALF, -63, 1000, 0},
    {UINT32_MAX, 0, 1000, 999},
    {UINT32_MAX, 0, UINT64_C(1) << 32, UINT32_MAX},
    /* 3 GHz: 2^32 / 3 a count; a day, and 30 years, whose product has 92 bits
     */
    {1431655765, 0, 3 * NS_PER_S * 86400, 86399999979883},
    {1431655765, 0, 3 * NS_PER_S * 946080000, 946079999779723584},
    /* 1.5 GHz, by a shift */
    {1431655765, 1, 1500000001, 1000000000},
    /* 8 GHz, by a shift the other way */
    {HALF, -2, 8 * NS_PER_S, NS_PER_S},
};

static void counts_become_ns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct case_of *c = &cases[i];

        begin(c->mul, c->shift);
        counter = 1000 + c->count;
        assert_int_equal(cdt_clock_now(&page, read_counter), 5000 + c->ns);
        assert_int_equal(cdt_clock_at(&page, counter), 5000 + c->ns);
        assert_int_equal(reads, 1);
    }
}

static void a_count_before_the_page_is_an_earlier_time(void **state)
{
    (void)state;
    begin(HALF, 1);
    assert_int_equal(cdt_clock_at(&page, 999), 4999);
    assert_int_equal(cdt_clock_at(&page, 0), 4000);
    begin(HALF, -1);
    assert_int_equal(cdt_clock_at(&page, 200), 4800);
    counter = 600;
    assert_int_equal(cdt_clock_now(&page, read_counter), 4900);
}

static void a_time_is_never_zero(void **state)
{
    (void)state;
    begin(HALF, 1);
    page.system_time = 1000;
    assert_int_equal(cdt_clock_at(&page, 2), 2);
    assert_int_equal(cdt_clock_at(&page, 1), 1);
    assert_int_equal(cdt_clock_at(&page, 0), 1);
    page.system_time = 10;
    assert_int_equal(cdt_clock_at(&page, 0), 1);
    page.system_time = 0;
    counter = 1000;
    assert_int_equal(cdt_clock_now(&page, read_counter), 1);
}

static void a_shift_out_of_range_is_harmless(void **state)
{
    (void)state;
    for (int shift = INT8_MIN; shift <= INT8_MAX; shift++) {
        begin(HALF, (int8_t)shift);
        assert_in_range(cdt_clock_at(&page, 1001), 5000, UINT64_MAX);
        if (shift < -63 || shift > 63) {
            assert_int_equal(cdt_clock_at(&page, 1001), 5000);
        }
    }
}

/* ---- a page that changes ---- */

static uint64_t update_meanwhile(void)
{
    if (++reads < 4) {
        page.version += 2;
        page.tsc_timestamp += 100;
        page.system_time += 100;
        page.tsc_to_system_mul = HALF;
        page.tsc_shift = 1;
    }
    return counter;
}

static void a_page_that_changed_is_read_again(void **state)
{
    (void)state;
    begin(7, 7);
    counter = 2000;
    assert_int_equal(cdt_clock_now(&page, update_meanwhile), 6000);
    assert_int_equal(reads, 4);
}

static uint64_t finish_update(void)
{
    if (++reads == 10) {
        page.version++;
        page.system_time = 9000;
    }
    return counter;
}

static void an_update_is_waited_for(void **state)
{
    (void)state;
    begin(HALF, 1);
    page.version = 3;
    counter = 1001;
    assert_int_equal(cdt_clock_now(&page, finish_update), 9001);
    assert_int_equal(reads, 11);
}

static void versions_wrap_around(void **state)
{
    (void)state;
    begin(HALF, 1);
    page.version = UINT32_MAX - 1;
    counter = 2000;
    assert_int_equal(cdt_clock_now(&page, update_meanwhile), 6000);
    assert_int_equal(page.version, 4);
}

static uint64_t update_always(void)
{
    reads++;
    page.version += 2;
    return counter;
}

static void a_page_that_never_settles_is_used_in_the_end(void **state)
{
    (void)state;
    begin(HALF, 1);
    page.version = 1;
    counter = 1001;
    assert_int_equal(cdt_clock_now(&page, read_counter), 5001);
    assert_int_equal(reads, 1000000);
    assert_int_equal(cdt_clock_at(&page, 1001), 5001);
    begin(HALF, 1);
    assert_int_equal(cdt_clock_now(&page, update_always), 5001);
    assert_int_equal(reads, 1000000);
}

static void the_processors_counter_goes_on(void **state)
{
    uint64_t before = cdt_clock_tsc();

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t after = cdt_clock_tsc();

        assert_true(after >= before);
        before = after;
    }
    assert_true(before > 0);
    begin(HALF, 1);
    page.tsc_timestamp = before;
    assert_in_range(cdt_clock_now(&page, cdt_clock_tsc), 5001, UINT64_MAX);
}

/* ---- the wall clock ---- */

static struct shared_info shared;

static void wall(uint32_t version, uint32_t high, uint32_t seconds, uint32_t ns)
{
    memset(&shared, 0, sizeof shared);
    shared.wc_version = version;
    shared.xen_wc_sec_hi = high;
    shared.wc_sec = seconds;
    shared.wc_nsec = ns;
}

static void the_wall_clock_stands_on_system_time(void **state)
{
    const uint64_t start = UINT64_C(1700000000);

    (void)state;
    wall(2, 0, (uint32_t)start, 900000000);
    assert_int_equal(cdt_clock_wall(&shared, 1), start * NS_PER_S + 900000001);
    assert_int_equal(cdt_clock_wall(&shared, 5 * NS_PER_S + 200000000),
                     (start + 6) * NS_PER_S + 100000000);
    wall(2, 1, 5, 7);
    assert_int_equal(cdt_clock_wall(&shared, 3),
                     ((UINT64_C(1) << 32) + 5) * NS_PER_S + 10);
}

static void without_a_start_of_the_host_there_is_no_wall_clock(void **state)
{
    (void)state;
    wall(0, 0, 0, 0);
    assert_int_equal(cdt_clock_wall(&shared, 123456789), 0);
    wall(2, 0, 0, 5);
    assert_int_equal(cdt_clock_wall(&shared, 123456789), 0);
}

static void a_wall_clock_that_never_settles_is_used_in_the_end(void **state)
{
    (void)state;
    wall(3, 0, 10, 0);
    assert_int_equal(cdt_clock_wall(&shared, 1), 10 * NS_PER_S + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_become_ns),
        cmocka_unit_test(a_count_before_the_page_is_an_earlier_time),
        cmocka_unit_test(a_time_is_never_zero),
        cmocka_unit_test(a_shift_out_of_range_is_harmless),
        cmocka_unit_test(a_page_that_changed_is_read_again),
        cmocka_unit_test(an_update_is_waited_for),
        cmocka_unit_test(versions_wrap_around),
        cmocka_unit_test(a_page_that_never_settles_is_used_in_the_end),
        cmocka_unit_test(the_processors_counter_goes_on),
        cmocka_unit_test(the_wall_clock_stands_on_system_time),
        cmocka_unit_test(without_a_start_of_the_host_there_is_no_wall_clock),
        cmocka_unit_test(a_wall_clock_that_never_settles_is_used_in_the_end),
    };

    return cmocka_run_group_tests_name("xen clock", tests, NULL, NULL);
}
