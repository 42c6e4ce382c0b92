/* SPDX-License-Identifier: ISC */
/* xenstore's client and a store that breaks the protocol: each way ends the
 * client with a text of its own, and all that wait are told once. */
#include "test_xen_store.h"

/* Three requests and a watch wait; none is answered by itself. */
struct wait {
    struct end e[4];
    struct seen *seen;
};

static void begin(struct fix *f, struct wait *w)
{
    memset(w, 0, sizeof *w);
    f->store.mute = true;
    w->seen = fix_seen(f, 0, "data");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cdt_xs_read(f->xs, 0, "domid", on_done, &w->e[i]), 0);
    }
    assert_int_equal(cdt_xs_watch(f->xs, &w->seen->watch, on_done, &w->e[3]),
                     0);
    fix_turns(f, 2);
    assert_int_equal(f->store.requests, 4);
    assert_null(cdt_xs_failed(f->xs));
}

static void assert_ended(struct fix *f, struct wait *w, const char *why)
{
    struct end late = {0};

    fake_xen_raise(&f->xen, f->store.port);
    cdt_events_run(&f->events);
    assert_non_null(cdt_xs_failed(f->xs));
    assert_string_equal(cdt_xs_failed(f->xs), why);
    for (unsigned i = 0; i < 4; i++) {
        assert_end(f, &w->e[i], CONDUIT_EPROTO, why, strlen(why));
    }
    assert_int_equal(cdt_xs_read(f->xs, 0, "domid", on_done, &late),
                     CONDUIT_EPROTO);
    assert_int_equal(cdt_xs_watch(f->xs, &f->seen[1].watch, NULL, NULL),
                     CONDUIT_EPROTO);
    cdt_xs_unwatch(f->xs, &w->seen->watch);
    assert_false(cdt_xs_poll(f->xs, UINT64_MAX));
    fake_xen_raise(&f->xen, f->store.port);
    assert_int_equal(cdt_events_run(&f->events), 0); /* no longer listens */
    assert_int_equal(late.times, 0);
}

static void says(struct fix *f, uint32_t type, uint32_t id, const void *payload,
                 size_t size)
{
    fake_store_say(&f->store, type, id, 0, payload, size);
    fake_store_run(&f->store);
}

static void an_answer_to_nobody(void **state)
{
    struct fix *f = *state;
    struct wait w;

    begin(f, &w);
    says(f, XS_READ, 77, "x", 1);
    assert_ended(f, &w, "xenstore: an answer that nobody asked for");
}

static void an_answer_twice(void **state)
{
    struct fix *f = *state;
    struct wait w;

    begin(f, &w);
    says(f, XS_READ, 1, "x", 1);
    says(f, XS_READ, 1, "x", 1);
    cdt_events_run(&f->events);
    assert_end(f, &w.e[0], 0, "x", 1);
    w.e[0].times = 1; /* as the others will be */
    w.e[0].code = CONDUIT_EPROTO;
    w.e[0].size = strlen(cdt_xs_failed(f->xs));
    w.e[0].data = malloc(w.e[0].size + 1);
    assert_non_null(w.e[0].data);
    memcpy(w.e[0].data, cdt_xs_failed(f->xs), w.e[0].size + 1);
    assert_ended(f, &w, "xenstore: an answer that nobody asked for");
}

/* The number is one that waits, but the request is not all sent. */
static void an_answer_too_early(void **state)
{
    struct fix *f = *state;
    struct wait w;

    begin(f, &w);
    f->store.deaf = true;
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(cdt_xs_read(f->xs, 0, "domid", NULL, NULL), 0);
    }
    says(f, XS_READ, 64, "x", 1);
    assert_ended(f, &w, "xenstore: an answer that nobody asked for");
}

static void an_answer_of_another_type(void **state)
{
    struct fix *f = *state;
    struct wait w;

    begin(f, &w);
    says(f, XS_WRITE, 1, "OK", 3);
    assert_ended(f, &w, "xenstore: an answer to another kind of request");
}

static void an_answer_too_long(void **state)
{
    static const uint32_t lens[] = {XENSTORE_PAYLOAD_MAX + 1, UINT32_MAX,
                                    UINT32_MAX - 15};
    struct fix *f = *state;
    struct wait w;

    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct xsd_sockmsg head = {XS_READ, 1, 0, lens[i]};
        void *again = f;

        begin(f, &w);
        fake_store_say_bytes(&f->store, &head, sizeof head);
        fake_store_run(&f->store);
        assert_ended(f, &w, "xenstore: an answer longer than the protocol has");
        fix_teardown(&again);
        fix_setup(state);
        f = *state;
    }
}

/* The longest there may be, piece by piece. */
static void an_answer_just_so_long(void **state)
{
    static char value[XENSTORE_PAYLOAD_MAX];
    struct fix *f = *state;
    struct wait w;

    memset(value, 'v', sizeof value);
    begin(f, &w);
    says(f, XS_READ, 1, value, sizeof value);
    assert_end(f, &w.e[0], 0, value, sizeof value);
    assert_null(cdt_xs_failed(f->xs));
}

static void events_that_make_no_sense(void **state)
{
    static const struct {
        const char *payload;
        size_t size;
    } bad[] = {{"", 0}, {"data", 4}, {"data", 5}, {"data\0001", 6}};
    struct fix *f = *state;
    struct wait w;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *again = f;

        begin(f, &w);
        says(f, XS_WATCH_EVENT, 0, bad[i].payload, bad[i].size);
        assert_ended(f, &w, "xenstore: an event without path and token");
        fix_teardown(&again);
        fix_setup(state);
        f = *state;
    }
}

static void events_for_nobody_are_let_pass(void **state)
{
    static const char *const tokens[] = {"2",  "0", "",          "-1",
                                         "1x", "x", "4294967297"};
    struct fix *f = *state;
    struct wait w;
    char text[32] = "data";

    begin(f, &w);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        size_t n = strlen(tokens[i]) + 1;

        memcpy(text + 5, tokens[i], n);
        says(f, XS_WATCH_EVENT, 0, text, 5 + n);
        fix_turn(f);
    }
    assert_null(cdt_xs_failed(f->xs));
    assert_int_equal(w.seen->times, 0);
    says(f, XS_WATCH_EVENT, 0, "data\0001", 7);
    fix_turn(f);
    assert_int_equal(w.seen->times, 1);
}

static void indices_of_answers(void **state)
{
    static const uint32_t moves[] = {XENSTORE_RING_SIZE + 1, UINT32_MAX,
                                     0x80000000u};
    struct fix *f = *state;
    struct wait w;

    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        void *again = f;

        begin(f, &w);
        f->store.ring.rsp_prod += moves[i];
        f->store.stuck = true;
        assert_ended(f, &w, "xenstore: the index of answers makes no sense");
        fix_teardown(&again);
        fix_setup(state);
        f = *state;
    }
}

static void indices_of_requests(void **state)
{
    static const uint32_t moves[] = {1, UINT32_MAX, XENSTORE_RING_SIZE,
                                     0x80000000u};
    struct fix *f = *state;
    struct wait w;

    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        void *again = f;

        begin(f, &w);
        f->store.ring.req_cons += moves[i];
        f->store.stuck = true;
        assert_ended(f, &w, "xenstore: the index of requests makes no sense");
        fix_teardown(&again);
        fix_setup(state);
        f = *state;
    }
}

/* Our own indices are the daemon's to overwrite, but not to be believed. */
static void our_own_indices_are_not_read_back(void **state)
{
    struct fix *f = *state;
    struct end e = {0};

    f->store.ring.req_prod = 12345;
    f->store.ring.rsp_cons = 54321;
    cdt_xs_read(f->xs, 0, "domid", on_done, &e);
    assert_int_equal(f->store.ring.req_prod, sizeof(struct xsd_sockmsg) + 6);
    f->store.ring.rsp_cons = 0;
    assert_end(f, &e, 0, "5", 1);
}

static void the_daemons_own_error(void **state)
{
    static const char *const why[] = {
        [XENSTORE_ERROR_COMM] = "xenstore: the daemon lost the connection",
        [XENSTORE_ERROR_RINGIDX] = "xenstore: the daemon refuses our indices",
        [XENSTORE_ERROR_PROTO] = "xenstore: the daemon refuses our request",
        [4] = "xenstore: the daemon reports an error",
    };
    struct fix *f = *state;
    struct wait w;

    for (uint32_t i = 1; i < sizeof why / sizeof why[0]; i++) {
        void *again = f;

        begin(f, &w);
        f->store.ring.error = i;
        fake_xen_raise(&f->xen, f->store.port);
        cdt_events_run(&f->events);
        assert_null(cdt_xs_failed(f->xs)); /* the field may mean nothing */
        f->store.ring.server_features = XENSTORE_SERVER_FEATURE_ERROR;
        assert_ended(f, &w, why[i]);
        fix_teardown(&again);
        fix_setup(state);
        f = *state;
    }
}

static bool wrong_part(struct fake_store *s, const struct xsd_sockmsg *head,
                       const char *payload)
{
    const struct end *part = s->arg;

    (void)payload;
    if (head->type == XS_DIRECTORY) {
        fake_store_say(s, XS_ERROR, head->req_id, 0, "E2BIG", 6);
        return true;
    }
    if (head->type == XS_DIRECTORY_PART) {
        fake_store_say(s, head->type, head->req_id, 0, part->data, part->size);
        return true;
    }
    return false;
}

static void parts_that_make_no_sense(void **state)
{
    static const struct {
        const char *data;
        size_t size;
    } bad[] = {
        {"", 0},                            /* nothing at all */
        {"12", 2},                          /* a generation without an end */
        {"12", 3},                          /* no names, not even the last */
        {"12\0name", 7},                    /* a name without an end */
        {"123456789012345678901\0name", 27} /* too long a generation */
    };
    struct fix *f = *state;
    struct wait w;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char data[64];
        struct end part = {.data = data, .size = bad[i].size};
        struct end e = {0};
        void *again = f;

        memcpy(data, bad[i].data, bad[i].size);
        begin(f, &w);
        f->store.asked = wrong_part;
        f->store.arg = &part;
        cdt_xs_list(f->xs, 0, "data", on_done, &e);
        fix_turns(f, 10);
        assert_end(f, &e, CONDUIT_EPROTO, NULL, 0);
        assert_ended(f, &w, "xenstore: a part of a list that makes no sense");
        fix_teardown(&again);
        fix_setup(state);
        f = *state;
    }
}

/* ---- what callbacks do at the end ---- */

struct last {
    struct fix *f;
    struct end *other;
    unsigned times;
};

static void cancel_other(void *arg, int code, const char *data, size_t size)
{
    struct last *l = arg;

    (void)data;
    (void)size;
    l->times++;
    assert_int_equal(code, CONDUIT_EPROTO);
    cdt_xs_cancel(l->f->xs, l->other);
    assert_int_equal(cdt_xs_read(l->f->xs, 0, "domid", cancel_other, l),
                     CONDUIT_EPROTO);
}

static void the_end_cancels_another(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    struct last l = {.f = f, .other = &e};

    f->store.mute = true;
    cdt_xs_read(f->xs, 0, "domid", cancel_other, &l);
    cdt_xs_read(f->xs, 0, "domid", on_done, &e);
    says(f, 99, 99, "", 0);
    fix_turns(f, 3);
    assert_int_equal(l.times, 1);
    assert_int_equal(e.times, 0);
}

static void free_client(void *arg, int code, const char *data, size_t size)
{
    struct last *l = arg;

    (void)code;
    (void)data;
    (void)size;
    l->times++;
    cdt_xs_free(l->f->xs);
    l->f->xs = NULL;
}

static void the_end_frees_the_client(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    struct last l = {.f = f};

    f->store.mute = true;
    cdt_xs_read(f->xs, 0, "domid", free_client, &l);
    cdt_xs_read(f->xs, 0, "domid", on_done, &e);
    says(f, 99, 99, "", 0);
    fix_turns(f, 3);
    assert_int_equal(l.times, 1);
    assert_int_equal(e.times, 0);
    assert_null(f->xs);
}

/* ---- a ring that was used before ---- */

static void a_ring_that_makes_no_sense(void **state)
{
    struct fix *f = *state;
    struct cdt_xs *xs = NULL;

    cdt_xs_free(f->xs);
    f->xs = NULL;
    f->store.ring.req_prod = 1;
    assert_int_equal(cdt_xs_new(&f->events, &f->store.ring, f->store.port, &xs),
                     CONDUIT_EPROTO);
    f->store.ring.req_prod = 0;
    f->store.ring.rsp_prod = XENSTORE_RING_SIZE + 1;
    assert_int_equal(cdt_xs_new(&f->events, &f->store.ring, f->store.port, &xs),
                     CONDUIT_EPROTO);
    assert_null(xs);
}

/* Indices about to wrap around, and answers for somebody before. */
static void a_ring_goes_on_from_where_it_was(void **state)
{
    struct fix *f = *state;
    struct end e = {0};

    cdt_xs_free(f->xs);
    f->store.ring.req_prod = f->store.ring.req_cons = UINT32_MAX - 5;
    f->store.ring.rsp_cons = UINT32_MAX - 900;
    f->store.ring.rsp_prod = UINT32_MAX - 2;
    assert_int_equal(
        cdt_xs_new(&f->events, &f->store.ring, f->store.port, &f->xs), 0);
    for (unsigned i = 0; i < 50; i++) {
        cdt_xs_read(f->xs, 0, "domid", on_done, &e);
        assert_end(f, &e, 0, "5", 1);
    }
}

/* A daemon that always has more to say does not hold the guest in one event. */
static void say_more(struct fake_xen *xen, uint32_t port)
{
    struct fake_store *s = xen->arg;

    (void)port;
    fake_store_say(s, XS_WATCH_EVENT, 0, 0, "data\0001", 7);
    fake_store_run(s);
}

static void say_on(struct seen *s)
{
    for (unsigned i = 0; i < 20; i++) {
        say_more(&s->fix->xen, 0);
    }
}

static void an_event_ends_whatever_is_said_in_it(void **state)
{
    struct fix *f = *state;
    struct seen *s = fix_seen(f, 0, "data");
    unsigned before;

    s->then = say_on;
    f->xen.notified = say_more;
    cdt_xs_watch(f->xs, &s->watch, NULL, NULL);
    for (unsigned i = 0; i < 20; i++) {
        before = s->times;
        cdt_events_run(&f->events);
        assert_in_range(s->times - before, 0, XENSTORE_RING_SIZE / 23 + 1);
    }
    assert_true(s->times > 20);
    f->xen.notified = NULL;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FIX_TEST(an_answer_to_nobody),
        FIX_TEST(an_answer_twice),
        FIX_TEST(an_answer_too_early),
        FIX_TEST(an_answer_of_another_type),
        FIX_TEST(an_answer_too_long),
        FIX_TEST(an_answer_just_so_long),
        FIX_TEST(events_that_make_no_sense),
        FIX_TEST(events_for_nobody_are_let_pass),
        FIX_TEST(indices_of_answers),
        FIX_TEST(indices_of_requests),
        FIX_TEST(our_own_indices_are_not_read_back),
        FIX_TEST(the_daemons_own_error),
        FIX_TEST(parts_that_make_no_sense),
        FIX_TEST(the_end_cancels_another),
        FIX_TEST(the_end_frees_the_client),
        FIX_TEST(a_ring_that_makes_no_sense),
        FIX_TEST(a_ring_goes_on_from_where_it_was),
        FIX_TEST(an_event_ends_whatever_is_said_in_it),
    };

    return cmocka_run_group_tests_name("xen_store_hostile", tests, NULL, NULL);
}
