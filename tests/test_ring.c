/* SPDX-License-Identifier: ISC */
/*
 * The shared ring: bytes that wrap with their indices, peers that break the
 * rules, who is woken when, and how it ends.
 */
#include "support.h"
#include "unix_ring_pair.h"

/* ---- a pair ------------------------------------------------------------- */

static struct ring_pair pair;
static struct cdt_ring *server = &pair.side[CDT_RING_SERVER];
static struct cdt_ring *client = &pair.side[CDT_RING_CLIENT];

static int clean_up(void **state)
{
    (void)state;
    ring_pair_unmap(&pair);
    return 0;
}

#define R_TEST(f) cmocka_unit_test_teardown(f, clean_up)

/* Rings of 4 KiB and 8 KiB. */
static void begin(uint32_t start)
{
    ring_pair_unmap(&pair);
    ring_pair_map(&pair, 12, 13, false);
    ring_pair_begin(&pair, start);
}

static void write_bytes(struct cdt_ring *r, size_t n)
{
    struct conduit_win win;

    assert_true(cdt_ring_reserve(r, &win) >= (long)n);
    cdt_ring_commit(r, n);
}

static void read_bytes(struct cdt_ring *r, size_t n)
{
    struct conduit_win win;

    assert_true(cdt_ring_peek(r, &win) >= (long)n);
    cdt_ring_consume(r, n);
}

static long peek(struct cdt_ring *r)
{
    struct conduit_win win;

    return cdt_ring_peek(r, &win);
}

static long reserve(struct cdt_ring *r)
{
    struct conduit_win win;

    return cdt_ring_reserve(r, &win);
}

/* ---- bytes -------------------------------------------------------------- */

static void assert_window(const struct conduit_win *win, size_t offset,
                          size_t first, size_t second)
{
    uint8_t *base = pair.memory.ring[CDT_RING_TO_SERVER].data;

    assert_ptr_equal(win->seg[0].data, base + offset);
    assert_int_equal(win->seg[0].size, first);
    assert_int_equal(win->seg[1].size, second);
    assert_true(second == 0 || win->seg[1].data == base);
    assert_true(win->shared);
}

static void windows_wrap_with_the_ring_and_indices_with_32_bits(void **state)
{
    struct conduit_win win;

    (void)state;
    begin(UINT32_MAX - 99); /* 100 bytes before the end of both */
    assert_int_equal(cdt_ring_reserve(client, &win), 4096);
    assert_window(&win, 3996, 100, 3996);
    cdt_ring_commit(client, 300);
    (void)cdt_ring_publish(client);
    assert_int_equal(atomic_load(&pair.page->way[0].prod), 200);
    assert_int_equal(cdt_ring_peek(server, &win), 300);
    assert_window(&win, 3996, 100, 200);
    cdt_ring_consume(server, 100);
    assert_int_equal(cdt_ring_peek(server, &win), 200);
    assert_window(&win, 0, 200, 0);
    assert_int_equal(cdt_ring_reserve(client, &win), 3796);
    assert_window(&win, 200, 3796, 0);
}

static void mirrored_windows_do_not_wrap(void **state)
{
    struct conduit_win win;

    (void)state;
    ring_pair_map(&pair, 12, 13, true);
    ring_pair_begin(&pair, UINT32_MAX - 99);
    assert_int_equal(cdt_ring_reserve(client, &win), 4096);
    assert_window(&win, 3996, 4096, 0);
    for (size_t i = 0; i < 4096; i++) {
        win.seg[0].data[i] = (uint8_t)(i * 7);
    }
    cdt_ring_commit(client, 4096);
    assert_int_equal(cdt_ring_peek(server, &win), 4096);
    assert_window(&win, 3996, 4096, 0);
    assert_int_equal(win.seg[0].data[100], (uint8_t)700);
    assert_int_equal(*(uint8_t *)pair.memory.ring[0].data, (uint8_t)700);
}

static void a_full_ring_has_no_room_and_an_empty_one_no_bytes(void **state)
{
    (void)state;
    begin(7);
    assert_int_equal(peek(server), CONDUIT_AGAIN);
    write_bytes(client, 4096);
    assert_int_equal(reserve(client), CONDUIT_AGAIN);
    read_bytes(server, 4096);
    assert_int_equal(peek(server), CONDUIT_AGAIN);
    assert_int_equal(reserve(client), 4096);
    write_bytes(server, 8192);
    assert_int_equal(reserve(server), CONDUIT_AGAIN);
    (void)cdt_ring_publish(server);
    read_bytes(client, 8192);
}

static void an_eighth_is_shown_without_publishing(void **state)
{
    (void)state;
    begin(0);
    write_bytes(client, 511);
    assert_int_equal(peek(server), CONDUIT_AGAIN);
    write_bytes(client, 1);
    assert_int_equal(peek(server), 512);
    write_bytes(client, 4096 - 512);
    read_bytes(server, 511);
    assert_int_equal(reserve(client), CONDUIT_AGAIN);
    read_bytes(server, 1);
    assert_int_equal(reserve(client), 512);
    read_bytes(server, 10);
    assert_int_equal(atomic_load(&pair.page->way[0].cons), 512);
    (void)cdt_ring_publish(server);
    assert_int_equal(atomic_load(&pair.page->way[0].cons), 522);
}

static void nothing_given_back_or_filled_is_nothing_to_show(void **state)
{
    (void)state;
    begin(0);
    atomic_store(&pair.page->notify[1], 3);
    assert_int_equal(reserve(server), 8192);
    cdt_ring_commit(server, 0);
    cdt_ring_consume(server, 0);
    assert_false(cdt_ring_publish(server));
    assert_int_equal(atomic_load(&pair.page->notify[1]), 3);
}

/* A client that starts again with a page that the server kept. */
static void a_side_goes_on_where_the_page_is(void **state)
{
    struct cdt_ring again;

    (void)state;
    begin(1000);
    write_bytes(client, 300);
    (void)cdt_ring_publish(client);
    read_bytes(server, 100);
    (void)cdt_ring_publish(server);
    assert_null(
        cdt_ring_attach(&again, CDT_RING_CLIENT, &pair.layout, &pair.memory));
    assert_int_equal(reserve(&again), 4096 - 200);
    atomic_store(&pair.page->way[0].cons, 1301);
    assert_string_equal(
        cdt_ring_attach(&again, CDT_RING_CLIENT, &pair.layout, &pair.memory),
        "a ring holds more than its size");
    assert_int_equal(reserve(&again), CONDUIT_EPROTO);
    atomic_store(&pair.page->way[0].cons, 1300);
    atomic_store(&pair.page->way[1].prod, 1000 + 8193);
    assert_non_null(
        cdt_ring_attach(&again, CDT_RING_CLIENT, &pair.layout, &pair.memory));
    assert_int_equal(peek(&again), CONDUIT_EPROTO);
}

/* ---- peers that break the rules ----------------------------------------- */

static void assert_broken(struct cdt_ring *r, const char *error)
{
    assert_non_null(cdt_ring_error(r));
    assert_string_equal(cdt_ring_error(r), error);
    assert_int_equal(reserve(r), CONDUIT_EPROTO);
    assert_int_equal(peek(r), CONDUIT_EPROTO);
    assert_int_equal(cdt_ring_poll(r, 3), 3);
    assert_int_equal(cdt_ring_arm(r, CONDUIT_READ), CONDUIT_READ);
}

/* The peer of the server writes `prod` where the server has read up to 5000 and
 * has seen up to 5100. */
static void writer_says(uint32_t prod)
{
    begin(5000);
    write_bytes(client, 100);
    (void)cdt_ring_publish(client);
    assert_int_equal(peek(server), 100);
    read_bytes(server, 100);
    (void)cdt_ring_publish(server);
    atomic_store(&pair.page->way[0].prod, prod);
}

static void a_writer_stays_within_the_room_it_has(void **state)
{
    (void)state;
    writer_says(5100 + 4096);
    assert_int_equal(peek(server), 4096);
    writer_says(5100 + 4097);
    assert_int_equal(peek(server), CONDUIT_EPROTO);
    assert_broken(server, "the peer wrote more than there was room for");
    writer_says(5100 + UINT32_MAX / 2);
    assert_int_equal(cdt_ring_poll(server, CONDUIT_READ), CONDUIT_READ);
    assert_broken(server, "the peer wrote more than there was room for");
}

/* The room that it was not yet shown is none. */
static void a_writer_has_no_room_before_it_is_shown(void **state)
{
    (void)state;
    begin(0);
    write_bytes(client, 4096);
    (void)cdt_ring_publish(client);
    read_bytes(server, 10);
    atomic_store(&pair.page->way[0].prod, 4097);
    (void)cdt_ring_peer(server);
    read_bytes(server, 4086); /* what it wrote before */
    assert_broken(server, "the peer wrote more than there was room for");
}

static void a_writer_does_not_go_back(void **state)
{
    (void)state;
    writer_says(5099);
    assert_int_equal(peek(server), CONDUIT_EPROTO);
    assert_broken(server, "the peer's index of what it wrote went back");
    writer_says(5000);
    assert_int_equal(cdt_ring_arm(server, CONDUIT_READ), CONDUIT_READ);
    assert_broken(server, "the peer's index of what it wrote went back");
    writer_says(5100 + UINT32_MAX / 2 + 1);
    (void)cdt_ring_peer(server);
    assert_broken(server, "the peer's index of what it wrote went back");
}

/* The client has written up to 700, of which 600 are shown, and has seen that
 * the server has read up to 500. */
static void reader_says(uint32_t cons)
{
    begin(0);
    write_bytes(client, 600);
    (void)cdt_ring_publish(client);
    read_bytes(server, 500);
    (void)cdt_ring_publish(server);
    (void)cdt_ring_peer(client);
    write_bytes(client, 100);
    atomic_store(&pair.page->way[0].cons, cons);
}

static void a_reader_stays_within_what_it_was_shown(void **state)
{
    (void)state;
    reader_says(600);
    assert_int_equal(cdt_ring_peer(client), CDT_RING_CONNECTED);
    assert_int_equal(reserve(client), 4096 - 100);
    reader_says(601);
    (void)cdt_ring_peer(client);
    assert_broken(client, "the peer read more than there was");
    reader_says(5000);
    (void)cdt_ring_peer(client);
    assert_broken(client, "the peer read more than there was");
}

static void a_reader_does_not_go_back(void **state)
{
    (void)state;
    reader_says(499);
    (void)cdt_ring_peer(client);
    assert_broken(client, "the peer's index of what it read went back");
    reader_says(UINT32_MAX);
    (void)cdt_ring_peer(client);
    assert_broken(client, "the peer's index of what it read went back");
}

static void an_error_comes_after_the_bytes_before_it_and_stays(void **state)
{
    (void)state;
    begin(0);
    write_bytes(client, 100);
    (void)cdt_ring_publish(client);
    read_bytes(server, 40);
    atomic_store(&pair.page->way[1].cons, 1);
    (void)cdt_ring_peer(server);
    assert_int_equal(reserve(server), CONDUIT_EPROTO);
    atomic_store(&pair.page->way[1].cons, 0);
    atomic_store(&pair.page->way[0].prod, 200);
    read_bytes(server, 60);
    assert_broken(server, "the peer read more than there was");
}

static void own_indices_are_not_read_back(void **state)
{
    (void)state;
    begin(0);
    write_bytes(client, 100);
    (void)cdt_ring_publish(client);
    assert_int_equal(peek(server), 100);
    atomic_store(&pair.page->way[0].prod, 3000);
    atomic_store(&pair.page->order[0], 20);
    write_bytes(client, 4096 - 100);
    assert_int_equal(reserve(client), CONDUIT_AGAIN);
    (void)cdt_ring_publish(client);
    assert_int_equal(atomic_load(&pair.page->way[0].prod), 4096);
    atomic_store(&pair.page->way[0].cons, 50);
    read_bytes(server, 100);
    (void)cdt_ring_publish(server);
    assert_int_equal(atomic_load(&pair.page->way[0].cons), 100);
}

static void liveness_has_three_values_in_order(void **state)
{
    static const char text[] = "the peer's liveness is not one that can follow";

    (void)state;
    begin(0);
    atomic_store(&pair.page->live[0], 3);
    (void)cdt_ring_peer(server);
    assert_broken(server, text);
    begin(0);
    assert_int_equal(cdt_ring_peer(server), CDT_RING_CONNECTED);
    atomic_store(&pair.page->live[0], 2);
    (void)cdt_ring_peer(server);
    assert_broken(server, text);
    begin(0);
    atomic_store(&pair.page->live[1], 2);
    assert_int_equal(peek(client), CONDUIT_EPROTO);
    assert_broken(client, text);
}

/* ---- waking ------------------------------------------------------------- */

static unsigned bits_of(struct cdt_ring *r)
{
    return atomic_load(&pair.page->notify[r->side]);
}

static void both_sides_begin_by_wanting_bytes(void **state)
{
    (void)state;
    begin(0);
    assert_int_equal(bits_of(server), CDT_RING_ON_WRITE);
    assert_int_equal(bits_of(client), CDT_RING_ON_WRITE);
    cdt_ring_disarm(server, CONDUIT_READ | CONDUIT_WRITE);
    assert_int_equal(bits_of(server), 0);
}

static void a_writer_wakes_who_waits_for_bytes_once(void **state)
{
    (void)state;
    begin(0);
    assert_int_equal(cdt_ring_arm(server, CONDUIT_READ), 0);
    assert_false(cdt_ring_publish(client));
    write_bytes(client, 1);
    assert_int_equal(bits_of(server), CDT_RING_ON_WRITE);
    assert_true(cdt_ring_publish(client));
    assert_int_equal(bits_of(server), 0);
    assert_false(cdt_ring_publish(client));
    write_bytes(client, 1);
    assert_false(cdt_ring_publish(client));
}

/* Also when an eighth made the index visible before. */
static void a_writer_wakes_after_what_was_shown_early(void **state)
{
    (void)state;
    begin(0);
    write_bytes(client, 1024);
    assert_true(cdt_ring_publish(client));
    assert_int_equal(bits_of(server), 0);
}

static void a_reader_wakes_who_waits_for_room(void **state)
{
    (void)state;
    begin(0);
    cdt_ring_disarm(client, CONDUIT_READ);
    write_bytes(client, 4096);
    (void)cdt_ring_publish(client);
    assert_int_equal(cdt_ring_arm(client, CONDUIT_WRITE), 0);
    assert_int_equal(bits_of(client), CDT_RING_ON_READ);
    write_bytes(server, 10); /* is not what it waits for */
    assert_false(cdt_ring_publish(server));
    assert_int_equal(bits_of(client), CDT_RING_ON_READ);
    read_bytes(server, 1);
    assert_true(cdt_ring_publish(server));
    assert_int_equal(bits_of(client), 0);
    assert_int_equal(reserve(client), 1);
}

static void one_publish_wakes_for_both(void **state)
{
    (void)state;
    begin(0);
    write_bytes(client, 4096);
    (void)cdt_ring_publish(client);
    assert_int_equal(cdt_ring_arm(client, CONDUIT_READ | CONDUIT_WRITE), 0);
    assert_int_equal(bits_of(client), 3);
    read_bytes(server, 1);
    write_bytes(server, 1);
    assert_true(cdt_ring_publish(server));
    assert_int_equal(bits_of(client), 0);
    assert_int_equal(cdt_ring_arm(client, 3), 3);
    assert_int_equal(bits_of(client), 0);
}

/* No bit is left for what holds, so that nobody is woken for nothing. */
static void what_holds_is_answered_and_not_waited_for(void **state)
{
    (void)state;
    begin(0);
    write_bytes(client, 5);
    (void)cdt_ring_publish(client);
    assert_int_equal(cdt_ring_arm(server, CONDUIT_READ), CONDUIT_READ);
    assert_int_equal(bits_of(server), 0);
    read_bytes(server, 5);
    assert_int_equal(cdt_ring_arm(server, 3), CONDUIT_WRITE);
    assert_int_equal(bits_of(server), CDT_RING_ON_WRITE);
    assert_int_equal(cdt_ring_arm(server, 0), 0);
    assert_int_equal(bits_of(server), 0);
    assert_int_equal(cdt_ring_arm(server, CONDUIT_OPEN | CONDUIT_ERR), 0);
    assert_int_equal(bits_of(server), 0);
}

static void poll_asks_for_nothing(void **state)
{
    (void)state;
    begin(0);
    cdt_ring_disarm(server, CONDUIT_READ);
    assert_int_equal(cdt_ring_poll(server, 3), CONDUIT_WRITE);
    assert_int_equal(cdt_ring_poll(server, CONDUIT_READ), 0);
    assert_int_equal(bits_of(server), 0);
    write_bytes(client, 5);
    (void)cdt_ring_publish(client);
    assert_int_equal(cdt_ring_poll(server, CONDUIT_READ), CONDUIT_READ);
    write_bytes(server, 8192);
    assert_int_equal(cdt_ring_poll(server, 3), CONDUIT_READ);
}

/* ---- ending ------------------------------------------------------------- */

static void a_server_waits_for_its_client(void **state)
{
    struct cdt_ring s;

    (void)state;
    ring_pair_map(&pair, 12, 13, false);
    assert_null(
        cdt_ring_attach(&s, CDT_RING_SERVER, &pair.layout, &pair.memory));
    assert_int_equal(cdt_ring_peer(&s), CDT_RING_AWAITED);
    assert_int_equal(peek(&s), CONDUIT_AGAIN);
    assert_int_equal(reserve(&s), 8192);
    ring_pair_begin(&pair, 0);
    assert_int_equal(cdt_ring_peer(&s), CDT_RING_CONNECTED);
}

static void the_end_comes_after_all_bytes(void **state)
{
    (void)state;
    begin(0);
    write_bytes(client, 700);
    assert_true(cdt_ring_publish(client));
    read_bytes(server, 600);
    write_bytes(client, 50); /* neither an eighth nor published */
    cdt_ring_close(client);
    assert_int_equal(cdt_ring_peer(server), CDT_RING_GONE);
    assert_int_equal(cdt_ring_poll(server, 3), 3);
    read_bytes(server, 100);
    read_bytes(server, 50);
    assert_int_equal(peek(server), CONDUIT_END);
    assert_int_equal(peek(server), CONDUIT_END);
    assert_int_equal(cdt_ring_arm(server, 3), 3);
    assert_null(cdt_ring_error(server));
}

static void nobody_writes_to_who_is_gone(void **state)
{
    (void)state;
    begin(0);
    write_bytes(server, 8000);
    cdt_ring_close(client);
    assert_int_equal(reserve(server), 192); /* has not looked */
    write_bytes(server, 192);
    assert_int_equal(reserve(server), CONDUIT_EPIPE);
    assert_int_equal(reserve(server), CONDUIT_EPIPE);
}

/* What it does to the page afterwards is not looked at. */
static void who_is_gone_does_not_come_back(void **state)
{
    (void)state;
    begin(0);
    cdt_ring_close(server);
    assert_int_equal(peek(client), CONDUIT_END);
    atomic_store(&pair.page->live[1], 1);
    atomic_store(&pair.page->way[1].prod, 10);
    assert_int_equal(cdt_ring_peer(client), CDT_RING_GONE);
    assert_int_equal(peek(client), CONDUIT_END);
    assert_int_equal(reserve(client), CONDUIT_EPIPE);
}

static void a_peer_that_dies_in_error_is_in_error(void **state)
{
    (void)state;
    begin(0);
    atomic_store(&pair.page->way[1].prod, 8193);
    cdt_ring_close(server);
    atomic_store(&pair.page->way[1].prod, 8193);
    assert_int_equal(peek(client), CONDUIT_EPROTO);
    assert_broken(client, "the peer wrote more than there was room for");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        R_TEST(windows_wrap_with_the_ring_and_indices_with_32_bits),
        R_TEST(mirrored_windows_do_not_wrap),
        R_TEST(a_full_ring_has_no_room_and_an_empty_one_no_bytes),
        R_TEST(an_eighth_is_shown_without_publishing),
        R_TEST(nothing_given_back_or_filled_is_nothing_to_show),
        R_TEST(a_side_goes_on_where_the_page_is),
        R_TEST(a_writer_stays_within_the_room_it_has),
        R_TEST(a_writer_has_no_room_before_it_is_shown),
        R_TEST(a_writer_does_not_go_back),
        R_TEST(a_reader_stays_within_what_it_was_shown),
        R_TEST(a_reader_does_not_go_back),
        R_TEST(an_error_comes_after_the_bytes_before_it_and_stays),
        R_TEST(own_indices_are_not_read_back),
        R_TEST(liveness_has_three_values_in_order),
        R_TEST(both_sides_begin_by_wanting_bytes),
        R_TEST(a_writer_wakes_who_waits_for_bytes_once),
        R_TEST(a_writer_wakes_after_what_was_shown_early),
        R_TEST(a_reader_wakes_who_waits_for_room),
        R_TEST(one_publish_wakes_for_both),
        R_TEST(what_holds_is_answered_and_not_waited_for),
        R_TEST(poll_asks_for_nothing),
        R_TEST(a_server_waits_for_its_client),
        R_TEST(the_end_comes_after_all_bytes),
        R_TEST(nobody_writes_to_who_is_gone),
        R_TEST(who_is_gone_does_not_come_back),
        R_TEST(a_peer_that_dies_in_error_is_in_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
