/* SPDX-License-Identifier: ISC */
/*
 * The PV console against a daemon that is quick, slow, dead, back again or
 * hostile. The daemon is played while the guest sleeps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <xen/io/console.h>

#include "console.h"
#include "fake_xen.h"

#define SECOND UINT64_C(1000000000)
#define OUT 2048u
#define IN 1024u

static struct fake_xen xen;
static struct xencons_interface page;
static struct cdt_console console;
static uint32_t port;
static char seen[65536]; /* what the daemon took */
static size_t seen_size;

/* Both rings empty, their indices at `at`. */
static void begin(uint32_t at)
{
    fake_xen_init(&xen);
    port = fake_xen_port(&xen);
    memset(&page, '#', sizeof page);
    page.in_cons = at;
    page.in_prod = at;
    page.out_cons = at;
    page.out_prod = at;
    cdt_console_init(&console, &xen.base, &page, port);
    seen_size = 0;
}

/* The daemon takes at most `n` bytes and says so. */
static void daemon_takes(size_t n)
{
    assert_true(page.out_prod - page.out_cons <= OUT);
    while (n > 0 && page.out_cons != page.out_prod) {
        assert_true(seen_size < sizeof seen - 1);
        seen[seen_size++] = page.out[page.out_cons % OUT];
        page.out_cons++;
        n--;
    }
    seen[seen_size] = '\0';
    fake_xen_raise(&xen, port);
}

static void quick(struct fake_xen *x)
{
    (void)x;
    daemon_takes(SIZE_MAX);
}

static void daemon_types(const char *text)
{
    while (*text != '\0') {
        page.in[page.in_prod++ % IN] = *text++;
    }
    fake_xen_raise(&xen, port);
}

static void print(const char *text)
{
    cdt_console_write(&console, text, strlen(text));
}

/* What is in the ring, taken all at once. */
static const char *taken(void)
{
    seen_size = 0;
    daemon_takes(SIZE_MAX);
    return seen;
}

/* ---- output ---- */

static void lines_end_as_on_a_terminal(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"one", "one"},
        {"one\ntwo\n", "one\r\ntwo\r\n"},
        {"one\r\ntwo\r\n", "one\r\ntwo\r\n"},
        {"\n\n", "\r\n\r\n"},
        {"a\rb", "a\rb"},
        {"\r\n\n", "\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(0);
        print(cases[i][0]);
        assert_string_equal(taken(), cases[i][1]);
    }
    begin(0);
    print("apart\r");
    print("\n");
    print("\n");
    assert_string_equal(taken(), "apart\r\n\r\n");
}

static void a_write_tells_the_daemon_once(void **state)
{
    (void)state;
    begin(0);
    print("one line\nand another\n");
    assert_int_equal(xen.sent[port], 1);
    assert_int_equal(xen.polls, 0);
    print("");
    assert_int_equal(xen.sent[port], 1);
}

/* Text of numbered lines, `size` bytes of it, and what becomes of it. */
static void number_lines(char *text, char *want, size_t size)
{
    size_t from = 0;
    size_t to = 0;

    for (unsigned line = 0; from < size; line++) {
        char one[16];
        int n = snprintf(one, sizeof one, "%u\n", line);

        for (int i = 0; i < n && from < size; i++) {
            if (one[i] == '\n') {
                want[to++] = '\r';
            }
            want[to++] = one[i];
            text[from++] = one[i];
        }
    }
    want[to] = '\0';
}

/* At every index where 32 bits end within the ring or the text. */
static void a_quick_daemon_gets_everything(void **state)
{
    static char text[20000];
    static char want[40001];

    (void)state;
    number_lines(text, want, sizeof text);
    for (uint32_t back = 0; back < 3 * OUT; back += 97) {
        begin(UINT32_MAX - back);
        xen.other_side = quick;
        cdt_console_write(&console, text, sizeof text);
        daemon_takes(SIZE_MAX);
        assert_string_equal(seen, want);
        assert_int_equal(console.lost, 0);
        assert_true(xen.now == SECOND);
    }
}

static void slow(struct fake_xen *x)
{
    x->now += 1000000;
    daemon_takes(100);
}

static void a_slow_daemon_is_waited_for(void **state)
{
    static char text[20000];
    static char want[40001];

    (void)state;
    number_lines(text, want, sizeof text);
    begin(0);
    xen.other_side = slow;
    cdt_console_write(&console, text, sizeof text);
    assert_int_equal(console.lost, 0);
    cdt_console_drain(&console, UINT64_MAX);
    assert_string_equal(seen, want);
    assert_true(xen.now < 2 * SECOND);
}

static void too_slow(struct fake_xen *x)
{
    x->now += SECOND / 4;
    daemon_takes(10);
}

/* However often the daemon makes some room. */
static void a_write_waits_a_second_in_all(void **state)
{
    char text[OUT + 100];

    (void)state;
    memset(text, 'x', sizeof text);
    begin(0);
    xen.other_side = too_slow;
    cdt_console_write(&console, text, sizeof text);
    assert_true(xen.now == 2 * SECOND);
    assert_int_equal(console.lost, 100 - 4 * 10);
}

static void fill(void)
{
    char text[OUT];

    memset(text, 'x', sizeof text);
    cdt_console_write(&console, text, sizeof text);
    assert_int_equal(page.out_prod - page.out_cons, OUT);
}

static void a_dead_daemon_costs_one_second(void **state)
{
    (void)state;
    begin(UINT32_MAX - 100);
    fill();
    assert_true(xen.now == SECOND);
    print("12345");
    assert_true(xen.now == 2 * SECOND);
    assert_int_equal(console.lost, 5);
    for (unsigned i = 0; i < 10; i++) {
        unsigned polls = xen.polls;

        print("678\n");
        assert_int_equal(xen.polls, polls);
    }
    assert_int_equal(console.lost, 45);
    assert_int_equal(xen.sent[port], 1);
    assert_int_equal(page.out_prod - page.out_cons, OUT);
}

static void what_was_lost_is_told(void **state)
{
    (void)state;
    begin(0);
    fill();
    print("lost\n");
    (void)taken();
    print("back\n");
    assert_string_equal(taken(), "[console: 5 bytes lost]\r\nback\r\n");
    assert_int_equal(console.lost, 0);
    print("again\n");
    assert_string_equal(taken(), "again\r\n");
    fill();
    xen.now += SECOND;
    print("x");
    assert_int_equal(console.lost, 1);
}

static void what_was_lost_is_told_when_that_has_room(void **state)
{
    const size_t note = strlen("[console: 7 bytes lost]\r\n");

    (void)state;
    begin(0);
    fill();
    print("lost");
    daemon_takes(note - 1);
    print("too");
    assert_int_equal(console.lost, 7);
    assert_true(xen.now == 2 * SECOND);
    daemon_takes(1);
    print("");
    assert_int_equal(console.lost, 0);
    daemon_takes(OUT - note);
    assert_string_equal(taken(), "[console: 7 bytes lost]\r\n");
}

static void a_line_end_is_not_cut_in_two(void **state)
{
    char text[OUT - 1];

    (void)state;
    begin(0);
    memset(text, 'x', sizeof text);
    cdt_console_write(&console, text, sizeof text);
    print("\n");
    assert_int_equal(console.lost, 1);
    assert_int_equal(page.out_prod - page.out_cons, OUT - 1);
}

/* What the daemon says it has taken was never written. */
static void output_is_dropped_while_the_daemon_lies(void **state)
{
    static const uint32_t lies[] = {1, 2, OUT, 1u << 31, UINT32_MAX - OUT};

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        begin(500);
        page.out_cons = 500 + lies[i];
        print("into the void");
        assert_int_equal(console.lost, 13);
        assert_int_equal(page.out_prod, 500);
        print(", twice");
        assert_int_equal(console.lost, 20);
        assert_int_equal(page.out_prod, 500);
        assert_int_equal(console.out_prod, 500);
        assert_int_equal(xen.polls, 0);
        assert_int_equal(xen.sent[port], 0);
        cdt_console_drain(&console, UINT64_MAX);
        page.out_cons = 500;
        print("true");
        assert_string_equal(taken(), "[console: 20 bytes lost]\r\ntrue");
    }
}

static void lie_at_once(struct fake_xen *x)
{
    page.out_cons = page.out_prod + 1;
    fake_xen_raise(x, port);
}

static void a_lie_ends_the_wait(void **state)
{
    (void)state;
    begin(0);
    fill();
    xen.other_side = lie_at_once;
    print("gone");
    assert_int_equal(console.lost, 4);
    assert_true(xen.now == SECOND);
}

/* The page's copy of our own index is not trusted. */
static void our_index_is_our_own(void **state)
{
    (void)state;
    begin(0);
    print("abc");
    page.out_prod = 4000000;
    print("def");
    assert_int_equal(page.out_prod, 6);
    assert_string_equal(taken(), "abcdef");
}

static void draining_waits_for_the_daemon(void **state)
{
    (void)state;
    begin(0);
    cdt_console_drain(&console, UINT64_MAX);
    assert_int_equal(xen.polls, 0);
    fill();
    xen.other_side = slow;
    cdt_console_drain(&console, UINT64_MAX);
    assert_int_equal(page.out_cons, page.out_prod);
    xen.other_side = NULL;
    print("never taken");
    cdt_console_drain(&console, 5 * SECOND);
    assert_true(xen.now == 5 * SECOND);
    cdt_console_drain(&console, 0);
    assert_true(xen.now == 5 * SECOND);
}

/* An event of before does not keep the guest from sleeping. */
static void an_old_event_is_taken_before_sleeping(void **state)
{
    (void)state;
    begin(0);
    fill();
    fake_xen_raise(&xen, port);
    print("12345");
    assert_true(xen.now == 2 * SECOND);
    assert_int_equal(xen.polls, 2);
}

/* ---- input ---- */

static void input_comes_as_it_was_typed(void **state)
{
    char buf[8];

    (void)state;
    begin(UINT32_MAX - 3);
    assert_int_equal(cdt_console_read(&console, buf, sizeof buf, 0), 0);
    assert_int_equal(cdt_console_read(&console, buf, 0, UINT64_MAX), 0);
    assert_int_equal(xen.polls, 0);
    daemon_types("hello world");
    assert_int_equal(cdt_console_read(&console, buf, 0, 0), 0);
    assert_int_equal(xen.sent[port], 0);
    assert_int_equal(cdt_console_read(&console, buf, sizeof buf, 0), 8);
    assert_memory_equal(buf, "hello wo", 8);
    assert_int_equal(xen.sent[port], 1);
    assert_int_equal(page.in_prod - page.in_cons, 3);
    assert_int_equal(cdt_console_read(&console, buf, sizeof buf, 0), 3);
    assert_memory_equal(buf, "rld", 3);
    assert_int_equal(page.in_cons, page.in_prod);
    assert_int_equal(cdt_console_read(&console, buf, sizeof buf, 0), 0);
}

static void a_full_ring_is_read(void **state)
{
    char want[IN + 1];
    char buf[2 * IN];

    (void)state;
    begin(UINT32_MAX - 700);
    for (unsigned i = 0; i < IN; i++) {
        want[i] = (char)('a' + i % 23);
    }
    want[IN] = '\0';
    daemon_types(want);
    assert_int_equal(cdt_console_read(&console, buf, sizeof buf, 0), IN);
    assert_memory_equal(buf, want, IN);
}

static unsigned naps;

static void types_late(struct fake_xen *x)
{
    fake_xen_raise(x, port);
    if (++naps == 3) {
        daemon_types("x");
    }
}

static void reading_waits_for_the_first_byte(void **state)
{
    char buf[8];

    (void)state;
    begin(0);
    naps = 0;
    xen.other_side = types_late;
    assert_int_equal(cdt_console_read(&console, buf, sizeof buf, UINT64_MAX),
                     1);
    assert_int_equal(naps, 3);
    assert_int_equal(buf[0], 'x');
    xen.other_side = NULL;
    assert_int_equal(cdt_console_read(&console, buf, sizeof buf, 3 * SECOND),
                     0);
    assert_true(xen.now == 3 * SECOND);
}

static uint64_t polled_until;

static void note_poll(struct cdt_xen *x, const uint32_t *ports, unsigned n,
                      uint64_t until)
{
    (void)x;
    assert_int_equal(n, 1);
    assert_int_equal(ports[0], port);
    polled_until = until;
    daemon_types("x");
}

/* Which is 0 to Xen's poll. */
static void reading_may_have_no_limit(void **state)
{
    struct cdt_xen_ops ops;
    char c;

    (void)state;
    begin(0);
    ops = *xen.base.ops;
    ops.poll = note_poll;
    xen.base.ops = &ops;
    assert_int_equal(cdt_console_read(&console, &c, 1, UINT64_MAX), 1);
    assert_int_equal(polled_until, 0);
    assert_int_equal(cdt_console_read(&console, &c, 1, 7 * SECOND), 1);
    assert_int_equal(polled_until, 7 * SECOND);
}

static void no_input_is_there_while_the_daemon_lies(void **state)
{
    static const uint32_t lies[] = {IN + 1, 1u << 31, UINT32_MAX};
    char buf[4 * IN];

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        begin(10);
        page.in_prod = 10 + lies[i];
        assert_int_equal(cdt_console_read(&console, buf, sizeof buf, 0), 0);
        assert_int_equal(
            cdt_console_read(&console, buf, sizeof buf, 2 * SECOND), 0);
        assert_true(xen.now == 2 * SECOND);
        assert_int_equal(page.in_cons, 10);
        page.in_prod = 10;
        daemon_types("true");
        assert_int_equal(cdt_console_read(&console, buf, sizeof buf, 0), 4);
        assert_memory_equal(buf, "true", 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_as_on_a_terminal),
        cmocka_unit_test(a_write_tells_the_daemon_once),
        cmocka_unit_test(a_quick_daemon_gets_everything),
        cmocka_unit_test(a_slow_daemon_is_waited_for),
        cmocka_unit_test(a_write_waits_a_second_in_all),
        cmocka_unit_test(a_dead_daemon_costs_one_second),
        cmocka_unit_test(what_was_lost_is_told),
        cmocka_unit_test(what_was_lost_is_told_when_that_has_room),
        cmocka_unit_test(a_line_end_is_not_cut_in_two),
        cmocka_unit_test(output_is_dropped_while_the_daemon_lies),
        cmocka_unit_test(a_lie_ends_the_wait),
        cmocka_unit_test(our_index_is_our_own),
        cmocka_unit_test(draining_waits_for_the_daemon),
        cmocka_unit_test(an_old_event_is_taken_before_sleeping),
        cmocka_unit_test(input_comes_as_it_was_typed),
        cmocka_unit_test(a_full_ring_is_read),
        cmocka_unit_test(reading_waits_for_the_first_byte),
        cmocka_unit_test(reading_may_have_no_limit),
        cmocka_unit_test(no_input_is_there_while_the_daemon_lies),
    };

    return cmocka_run_group_tests_name("xen console", tests, NULL, NULL);
}
