/* SPDX-License-Identifier: ISC */
/* xenstore's client and a store that keeps to the protocol. */
#include "test_xen_store.h"

static void a_value_is_written_and_read(void **state)
{
    struct fix *f = *state;
    static const char value[] = "a\0b\xff";
    struct end e = {0};

    assert_int_equal(cdt_xs_write(f->xs, 0, "data/x", value, 4, on_done, &e),
                     0);
    assert_int_equal(e.times, 0);
    assert_end(f, &e, 0, NULL, 0);
    assert_int_equal(cdt_xs_read(f->xs, 0, "data/x", on_done, &e), 0);
    assert_end(f, &e, 0, value, 4);
    cdt_xs_read(f->xs, 0, FAKE_STORE_HOME "data/x", on_done, &e);
    assert_end(f, &e, 0, value, 4);
    cdt_xs_read(f->xs, 0, "control/shutdown", on_done, &e);
    assert_end(f, &e, 0, "", 0);
}

static void refusals_have_codes_and_words(void **state)
{
    static const struct {
        const char *word;
        int code;
    } table[] = {
        {"ENOENT", CONDUIT_ENOENT},  {"EEXIST", CONDUIT_EEXIST},
        {"EACCES", CONDUIT_EACCESS}, {"EPERM", CONDUIT_EACCESS},
        {"EROFS", CONDUIT_EACCESS},  {"ENOSPC", CONDUIT_ELIMIT},
        {"E2BIG", CONDUIT_ELIMIT},   {"EQUOTA", CONDUIT_ELIMIT},
        {"EINVAL", CONDUIT_EINVAL},  {"EAGAIN", CONDUIT_AGAIN},
        {"ENOSYS", CONDUIT_ENOTSUP}, {"EIO", CONDUIT_EIO},
        {"", CONDUIT_EIO},           {"what?", CONDUIT_EIO},
    };
    struct fix *f = *state;
    struct end e = {0};

    cdt_xs_read(f->xs, 0, "no/such", on_done, &e);
    assert_end(f, &e, CONDUIT_ENOENT, "ENOENT", 6);
    cdt_xs_write(f->xs, 0, "domid", "6", 1, on_done, &e);
    assert_end(f, &e, CONDUIT_EACCESS, "EACCES", 6);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        f->store.refuse_type = XS_READ;
        f->store.refuse_word = table[i].word;
        cdt_xs_read(f->xs, 0, "domid", on_done, &e);
        assert_end(f, &e, table[i].code, table[i].word, strlen(table[i].word));
    }
}

static void nodes_are_made_listed_and_removed(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    size_t at = 0;

    assert_int_equal(cdt_xs_mkdir(f->xs, 0, "data/a/b", on_done, &e), 0);
    assert_end(f, &e, 0, "OK", 3);
    assert_int_equal(cdt_xs_mkdir(f->xs, 0, "data/c", NULL, NULL), 0);
    assert_int_equal(cdt_xs_list(f->xs, 0, "data", on_done, &e), 0);
    fix_end(f, &e);
    assert_string_equal(cdt_xs_next_name(e.data, e.size, &at), "a");
    assert_string_equal(cdt_xs_next_name(e.data, e.size, &at), "c");
    assert_null(cdt_xs_next_name(e.data, e.size, &at));
    at = 0;
    assert_null(cdt_xs_next_name(e.data, 1, &at)); /* cut off */
    assert_end(f, &e, 0, "a\0c", 4);
    cdt_xs_list(f->xs, 0, "data/c", on_done, &e);
    assert_end(f, &e, 0, "", 0);
    assert_int_equal(cdt_xs_remove(f->xs, 0, "data/a", on_done, &e), 0);
    assert_end(f, &e, 0, NULL, 0);
    assert_null(fake_store_get(&f->store, "data/a/b"));
}

static void permissions_are_set_and_parsed(void **state)
{
    static const struct cdt_xs_perm perms[] = {{5, 'n'}, {65535, 'b'}};
    struct cdt_xs_perm got[2] = {{0, 0}, {0, 0}};
    struct fix *f = *state;
    struct end e = {0};

    assert_int_equal(cdt_xs_set_perms(f->xs, 0, "data", perms, 2, on_done, &e),
                     0);
    assert_end(f, &e, 0, NULL, 0);
    assert_int_equal(cdt_xs_get_perms(f->xs, 0, "data", on_done, &e), 0);
    fix_end(f, &e);
    assert_int_equal(cdt_xs_parse_perms(e.data, e.size, got, 2), 2);
    assert_int_equal(got[1].domain, 65535);
    assert_int_equal(got[1].access, 'b');
    got[1].domain = 7;
    assert_int_equal(cdt_xs_parse_perms(e.data, e.size, got, 1), 2);
    assert_int_equal(got[1].domain, 7);
    assert_end(f, &e, 0, "n5\0b65535", 10);
    assert_int_equal(cdt_xs_set_perms(f->xs, 0, "data",
                                      &(struct cdt_xs_perm){5, 'x'}, 1, NULL,
                                      NULL),
                     CONDUIT_EINVAL);
    assert_int_equal(cdt_xs_set_perms(f->xs, 0, "data", perms, 0, NULL, NULL),
                     CONDUIT_EINVAL);
    assert_int_equal(
        cdt_xs_set_perms(f->xs, 0, "data", perms, SIZE_MAX, NULL, NULL),
        CONDUIT_ELIMIT);
}

static void answers_that_are_no_permissions(void **state)
{
    static const char *const bad[] = {"5", "n", "q5", "n65536", "n5 ", "nn5"};
    struct cdt_xs_perm p[2];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cdt_xs_parse_perms(bad[i], strlen(bad[i]) + 1, p, 2),
                         CONDUIT_EPROTO);
    }
    assert_int_equal(cdt_xs_parse_perms("", 0, p, 2), CONDUIT_EPROTO);
    assert_int_equal(cdt_xs_parse_perms("n5\0\0", 4, p, 2), CONDUIT_EPROTO);
    assert_int_equal(cdt_xs_parse_perms("n5\0r6", 5, p, 2), 2);
}

static void numbers_are_all_of_an_answer(void **state)
{
    static const char *const bad[] = {"",   "-1",         " 1",
                                      "1 ", "4294967296", "0x1"};
    uint32_t n = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cdt_xs_parse_number(bad[i], strlen(bad[i]), &n),
                         CONDUIT_EPROTO);
    }
    assert_int_equal(cdt_xs_parse_number("1\0\0", 3, &n), CONDUIT_EPROTO);
    assert_int_equal(cdt_xs_parse_number("4294967295", 11, &n), 0);
    assert_int_equal(n, UINT32_MAX);
    assert_int_equal(cdt_xs_parse_number("12", 2, &n), 0);
    assert_int_equal(n, 12);
}

static uint32_t begin(struct fix *f)
{
    struct end e = {0};
    uint32_t tx = 0;

    assert_int_equal(cdt_xs_begin(f->xs, on_done, &e), 0);
    fix_end(f, &e);
    assert_int_equal(cdt_xs_parse_number(e.data, e.size, &tx), 0);
    free(e.data);
    assert_int_not_equal(tx, CDT_XS_NONE);
    return tx;
}

static void transactions(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    uint32_t tx = begin(f);

    cdt_xs_write(f->xs, tx, "data/x", "1", 1, on_done, &e);
    assert_end(f, &e, 0, NULL, 0);
    assert_null(fake_store_get(&f->store, "data/x"));
    assert_int_equal(cdt_xs_end(f->xs, tx, true, on_done, &e), 0);
    assert_end(f, &e, 0, NULL, 0);
    assert_string_equal(fake_store_get(&f->store, "data/x"), "1");

    tx = begin(f);
    cdt_xs_write(f->xs, tx, "data/x", "2", 1, NULL, NULL);
    fake_store_set(&f->store, "data/y", "met");
    cdt_xs_end(f->xs, tx, true, on_done, &e);
    assert_end(f, &e, CONDUIT_AGAIN, "EAGAIN", 6);

    tx = begin(f);
    cdt_xs_write(f->xs, tx, "data/x", "3", 1, NULL, NULL);
    cdt_xs_end(f->xs, tx, false, on_done, &e);
    assert_end(f, &e, 0, NULL, 0);
    assert_string_equal(fake_store_get(&f->store, "data/x"), "1");
    assert_int_equal(fake_store_transactions(&f->store), 0);
}

static void a_transaction_cancelled_while_it_begins_is_dropped(void **state)
{
    struct fix *f = *state;
    struct end e = {0};

    cdt_xs_begin(f->xs, on_done, &e);
    cdt_xs_cancel(f->xs, &e);
    fix_turns(f, 4);
    assert_int_equal(e.times, 0);
    assert_int_equal(f->store.types[XS_TRANSACTION_START], 1);
    assert_int_equal(fake_store_transactions(&f->store), 0);
}

static void arguments_are_checked(void **state)
{
    struct fix *f = *state;
    static char path[XENSTORE_ABS_PATH_MAX + 2];
    static char value[XENSTORE_PAYLOAD_MAX];
    struct end e = {0};

    assert_int_equal(cdt_xs_read(f->xs, 0, "", NULL, NULL), CONDUIT_EINVAL);
    assert_int_equal(cdt_xs_read(f->xs, 0, "a\nb", NULL, NULL), CONDUIT_EINVAL);
    assert_int_equal(cdt_xs_read(f->xs, 0, "a\x7f", NULL, NULL),
                     CONDUIT_EINVAL);
    memset(path, 'x', sizeof path - 1);
    assert_int_equal(cdt_xs_read(f->xs, 0, path, NULL, NULL), CONDUIT_ELIMIT);
    path[XENSTORE_REL_PATH_MAX + 1] = '\0';
    assert_int_equal(cdt_xs_read(f->xs, 0, path, NULL, NULL), CONDUIT_ELIMIT);
    path[0] = '/';
    path[XENSTORE_REL_PATH_MAX + 1] = 'x';
    assert_int_equal(cdt_xs_read(f->xs, 0, path, NULL, NULL), CONDUIT_ELIMIT);
    assert_int_equal(cdt_xs_write(f->xs, 0, "data/x", value,
                                  sizeof value - sizeof "data/x" + 1, NULL,
                                  NULL),
                     CONDUIT_ELIMIT);
    assert_int_equal(
        cdt_xs_write(f->xs, 0, "data/x", value, SIZE_MAX, NULL, NULL),
        CONDUIT_ELIMIT);
    assert_int_equal(f->store.requests, 0);
    memset(value, 'v', sizeof value);
    assert_int_equal(cdt_xs_write(f->xs, 0, "data/x", value,
                                  sizeof value - sizeof "data/x", on_done, &e),
                     0);
    assert_end(f, &e, 0, NULL, 0);
    cdt_xs_read(f->xs, 0, "data/x", on_done, &e);
    assert_end(f, &e, 0, value, sizeof value - sizeof "data/x");
}

/* Requests larger than the ring, and a store that moves a few bytes a time. */
static void any_pace_will_do(void **state)
{
    static const size_t bites[] = {1, 3, 15, 16, 17, 1023, 1024};
    struct fix *f = *state;
    static char value[3000];
    struct end e = {0};

    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < sizeof bites / sizeof bites[0]; i++) {
        f->store.bite = bites[i];
        value[i] = 'a';
        cdt_xs_write(f->xs, 0, "data/x", value, sizeof value, on_done, &e);
        assert_end(f, &e, 0, NULL, 0);
        cdt_xs_read(f->xs, 0, "data/x", on_done, &e);
        assert_end(f, &e, 0, value, sizeof value);
    }
}

static void answers_in_any_order(void **state)
{
    struct fix *f = *state;
    struct end e[20] = {{0}};

    f->store.backwards = true;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(
            cdt_xs_read(f->xs, 0, i % 2 ? "domid" : "nothing", on_done, &e[i]),
            0);
    }
    for (unsigned i = 0; i < 20; i++) {
        assert_end(f, &e[i], i % 2 ? 0 : CONDUIT_ENOENT, i % 2 ? "5" : "ENOENT",
                   i % 2 ? 1 : 6);
    }
}

static void so_many_may_wait(void **state)
{
    struct fix *f = *state;
    struct end e[CDT_XS_WAITING_MAX] = {{0}};

    f->store.stuck = true;
    for (unsigned i = 0; i < CDT_XS_WAITING_MAX; i++) {
        assert_int_equal(cdt_xs_read(f->xs, 0, "domid", on_done, &e[i]), 0);
    }
    assert_int_equal(cdt_xs_read(f->xs, 0, "domid", on_done, &e[0]),
                     CONDUIT_ELIMIT);
    f->store.stuck = false;
    for (unsigned i = 0; i < CDT_XS_WAITING_MAX; i++) {
        assert_end(f, &e[i], 0, "5", 1);
    }
    assert_int_equal(cdt_xs_read(f->xs, 0, "domid", on_done, &e[0]), 0);
    assert_end(f, &e[0], 0, "5", 1);
}

static void cancelled_requests_are_carried_out(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    struct end other = {0};

    cdt_xs_write(f->xs, 0, "data/x", "1", 1, on_done, &e);
    cdt_xs_write(f->xs, 0, "data/y", "2", 1, on_done, &other);
    cdt_xs_cancel(f->xs, &e);
    assert_end(f, &other, 0, NULL, 0);
    assert_int_equal(e.times, 0);
    assert_string_equal(fake_store_get(&f->store, "data/x"), "1");
}

/* ---- waiting for an answer ---- */

static void poll_waits_for_one_answer(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    uint64_t now = f->xen.now;

    f->store.bite = 5;
    cdt_xs_read(f->xs, 0, "domid", on_done, &e);
    assert_true(cdt_xs_poll(f->xs, UINT64_MAX));
    assert_int_equal(e.times, 1);
    assert_true(f->xen.now == now);
    assert_false(cdt_xs_poll(f->xs, now + 1000));
    assert_true(f->xen.now == now + 1000);
    assert_false(cdt_xs_poll(f->xs, 0));
    assert_end(f, &e, 0, "5", 1);
}

static void poll_within(void *arg, int code, const char *data, size_t size)
{
    struct fix *f = arg;

    (void)code;
    (void)data;
    (void)size;
    assert_false(cdt_xs_poll(f->xs, UINT64_MAX));
    f->xs = NULL; /* tells that this was called */
}

static void poll_does_nothing_within_a_callback(void **state)
{
    struct fix *f = *state;
    struct cdt_xs *xs = f->xs;

    cdt_xs_read(f->xs, 0, "domid", poll_within, f);
    fix_turns(f, 2);
    assert_null(f->xs);
    f->xs = xs;
}

/* ---- what a callback may do ---- */

static void ask_more(void *arg, int code, const char *data, size_t size)
{
    struct fix *f = arg;

    (void)size;
    assert_int_equal(code, 0);
    assert_string_equal(data, "5");
    if (f->store.requests < 10) {
        assert_int_equal(cdt_xs_read(f->xs, 0, "domid", ask_more, f), 0);
    }
}

static void free_all(void *arg, int code, const char *data, size_t size)
{
    struct fix *f = arg;

    (void)code;
    cdt_xs_free(f->xs);
    f->xs = NULL;
    assert_int_equal(strlen(data), size); /* stays until this returns */
}

static void a_callback_makes_requests(void **state)
{
    struct fix *f = *state;

    cdt_xs_read(f->xs, 0, "domid", ask_more, f);
    fix_turns(f, 30);
    assert_int_equal(f->store.requests, 10);
}

static void ask_thrice(void *arg, int code, const char *data, size_t size)
{
    struct fix *f = arg;

    (void)code;
    (void)data;
    (void)size;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cdt_xs_read(f->xs, 0, "domid", NULL, NULL), 0);
    }
}

/* What callbacks ask goes out at the end of the event, with one notification
 * that also tells that the answers were taken. */
static void an_event_notifies_once(void **state)
{
    struct fix *f = *state;

    cdt_xs_read(f->xs, 0, "domid", ask_thrice, f);
    assert_int_equal(f->xen.sent[f->store.port], 1);
    fix_turn(f);
    assert_int_equal(f->xen.sent[f->store.port], 2);
    fix_turn(f);
    assert_int_equal(f->store.requests, 4);
}

static void a_callback_frees_the_client(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    struct seen *s = fix_seen(f, 0, "data");

    cdt_xs_watch(f->xs, &s->watch, on_done, &e);
    cdt_xs_read(f->xs, 0, "domid", free_all, f);
    cdt_xs_read(f->xs, 0, "domid", on_done, &e);
    fix_turns(f, 5);
    assert_null(f->xs);
    assert_int_equal(s->times, 1);
    assert_int_equal(e.times, 1); /* the watch's; the last read is dropped */
    free(e.data);
}

static void a_poll_survives_the_clients_end(void **state)
{
    struct fix *f = *state;

    cdt_xs_read(f->xs, 0, "domid", free_all, f);
    assert_true(cdt_xs_poll(f->xs, UINT64_MAX));
    assert_null(f->xs);
}

/* ---- watches ---- */

static void a_watch_fires_once_and_at_changes(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    struct seen *s = fix_seen(f, 0, "data");
    struct seen *other = fix_seen(f, 1, FAKE_STORE_HOME "data");

    assert_int_equal(cdt_xs_watch(f->xs, &s->watch, on_done, &e), 0);
    assert_int_equal(s->times, 0);
    assert_end(f, &e, 0, NULL, 0);
    fix_turns(f, 2);
    assert_int_equal(s->times, 1);
    assert_string_equal(s->path, "data");
    assert_int_equal(cdt_xs_watch(f->xs, &s->watch, NULL, NULL),
                     CONDUIT_EEXIST);
    cdt_xs_watch(f->xs, &other->watch, NULL, NULL);
    fix_turns(f, 2);
    fake_store_set(&f->store, "data/x", "1");
    fix_turns(f, 2);
    assert_int_equal(s->times, 2);
    assert_string_equal(s->path, "data/x");
    assert_int_equal(other->times, 2);
    assert_string_equal(other->path, FAKE_STORE_HOME "data/x");
    fake_store_set(&f->store, "other", "1");
    fix_turns(f, 2);
    assert_int_equal(s->times, 2);
}

static void one_path_has_many_watches(void **state)
{
    struct fix *f = *state;
    struct seen *s = f->seen;

    for (unsigned i = 0; i < 3; i++) {
        fix_seen(f, i, "data");
        cdt_xs_watch(f->xs, &s[i].watch, NULL, NULL);
    }
    fix_turns(f, 3);
    cdt_xs_unwatch(f->xs, &s[1].watch);
    cdt_xs_unwatch(f->xs, &s[1].watch);
    fake_store_set(&f->store, "data", "x");
    fix_turns(f, 3);
    assert_int_equal(s[0].times, 2);
    assert_int_equal(s[1].times, 1);
    assert_int_equal(s[2].times, 2);
    assert_int_equal(fake_store_watches(&f->store), 2);
}

/* The event is in the ring when the watch ends, and its path is watched again
 * from the same memory: the old event is not for the new watch. */
static void a_stale_event_finds_nobody(void **state)
{
    struct fix *f = *state;
    struct seen *s = fix_seen(f, 0, "data");

    cdt_xs_watch(f->xs, &s->watch, NULL, NULL);
    fix_turns(f, 3);
    fake_store_set(&f->store, "data/x", "1");
    fake_store_run(&f->store);
    cdt_xs_unwatch(f->xs, &s->watch);
    cdt_xs_watch(f->xs, &s->watch, NULL, NULL);
    fix_turns(f, 3);
    assert_int_equal(s->times, 2);
    assert_string_equal(s->path, "data");
    assert_int_equal(fake_store_watches(&f->store), 1);
}

static void a_refused_watch_is_none(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    struct seen *s = fix_seen(f, 0, "data");

    f->store.refuse_type = XS_WATCH;
    f->store.refuse_word = "EQUOTA";
    cdt_xs_watch(f->xs, &s->watch, on_done, &e);
    assert_end(f, &e, CONDUIT_ELIMIT, "EQUOTA", 6);
    f->store.refuse_word = NULL;
    assert_int_equal(cdt_xs_watch(f->xs, &s->watch, on_done, &e), 0);
    assert_end(f, &e, 0, NULL, 0);
}

static void end_both(struct seen *s)
{
    cdt_xs_unwatch(s->fix->xs, &s->watch);
    cdt_xs_unwatch(s->fix->xs, &s->other->watch);
}

static void a_watch_ends_itself_and_another(void **state)
{
    struct fix *f = *state;
    struct seen *s = f->seen;

    for (unsigned i = 0; i < 2; i++) {
        fix_seen(f, i, "data");
        s[i].then = end_both;
        s[i].other = &s[1 - i];
        cdt_xs_watch(f->xs, &s[i].watch, NULL, NULL);
    }
    fix_turns(f, 4);
    assert_int_equal(s[0].times + s[1].times, 1);
    assert_int_equal(fake_store_watches(&f->store), 0);
}

/* However many requests wait, a watch can be ended. */
static void a_watch_ends_when_the_queue_is_full(void **state)
{
    struct fix *f = *state;
    struct seen *s = fix_seen(f, 0, "data");

    cdt_xs_watch(f->xs, &s->watch, NULL, NULL);
    fix_turns(f, 2);
    while (cdt_xs_read(f->xs, 0, "domid", NULL, NULL) == 0) {
        /* until no more may wait */
    }
    cdt_xs_unwatch(f->xs, &s->watch);
    fix_turns(f, 100);
    assert_int_equal(fake_store_watches(&f->store), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FIX_TEST(a_value_is_written_and_read),
        FIX_TEST(refusals_have_codes_and_words),
        FIX_TEST(nodes_are_made_listed_and_removed),
        FIX_TEST(permissions_are_set_and_parsed),
        cmocka_unit_test(answers_that_are_no_permissions),
        cmocka_unit_test(numbers_are_all_of_an_answer),
        FIX_TEST(transactions),
        FIX_TEST(a_transaction_cancelled_while_it_begins_is_dropped),
        FIX_TEST(arguments_are_checked),
        FIX_TEST(any_pace_will_do),
        FIX_TEST(answers_in_any_order),
        FIX_TEST(so_many_may_wait),
        FIX_TEST(cancelled_requests_are_carried_out),
        FIX_TEST(poll_waits_for_one_answer),
        FIX_TEST(poll_does_nothing_within_a_callback),
        FIX_TEST(a_callback_makes_requests),
        FIX_TEST(an_event_notifies_once),
        FIX_TEST(a_callback_frees_the_client),
        FIX_TEST(a_poll_survives_the_clients_end),
        FIX_TEST(a_watch_fires_once_and_at_changes),
        FIX_TEST(one_path_has_many_watches),
        FIX_TEST(a_stale_event_finds_nobody),
        FIX_TEST(a_refused_watch_is_none),
        FIX_TEST(a_watch_ends_itself_and_another),
        FIX_TEST(a_watch_ends_when_the_queue_is_full),
    };

    return cmocka_run_group_tests_name("xen_store", tests, NULL, NULL);
}
