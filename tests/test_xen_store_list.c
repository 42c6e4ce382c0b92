/* SPDX-License-Identifier: ISC */
/* xenstore's client and lists that do not fit one answer. */
#include "test_xen_store.h"

#include <stdio.h>

static void fill(struct fix *f, unsigned n)
{
    char path[64];

    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "data/name-that-is-long-%05u", i);
        fake_store_set(&f->store, path, "");
    }
}

static unsigned count_names(const struct end *e)
{
    size_t at = 0;
    unsigned n = 0;
    char want[64];
    const char *name;

    while ((name = cdt_xs_next_name(e->data, e->size, &at)) != NULL) {
        (void)snprintf(want, sizeof want, "name-that-is-long-%05u", n++);
        assert_string_equal(name, want);
    }
    assert_int_equal(at, e->size);
    return n;
}

static void long_lists_come_in_parts(void **state)
{
    struct fix *f = *state;
    struct end e = {0};

    fill(f, 400); /* 9,600 bytes */
    assert_int_equal(cdt_xs_list(f->xs, 0, "data", on_done, &e), 0);
    fix_end(f, &e);
    assert_int_equal(e.code, 0);
    assert_int_equal(count_names(&e), 400);
    assert_int_equal(f->store.types[XS_DIRECTORY_PART], 3);
    free(e.data);
}

static void an_old_store_has_no_parts(void **state)
{
    struct fix *f = *state;
    struct end e = {0};

    fill(f, 400);
    f->store.no_parts = true;
    cdt_xs_list(f->xs, 0, "data", on_done, &e);
    assert_end(f, &e, CONDUIT_ENOTSUP, "ENOSYS", 6);
}

static bool grow(struct fake_store *s, const struct xsd_sockmsg *head,
                 const char *payload)
{
    unsigned *more = s->arg;

    if (head->type == XS_DIRECTORY_PART && *more > 0 &&
        strcmp(payload + strlen(payload) + 1, "0") != 0) {
        char path[64];

        (void)snprintf(path, sizeof path, "data/name-that-is-long-%05u",
                       400 + --*more);
        fake_store_set(s, path, "");
    }
    return false;
}

static void a_list_that_changes_begins_again(void **state)
{
    struct fix *f = *state;
    struct end e = {0};
    unsigned more = 1;

    fill(f, 400);
    f->store.asked = grow;
    f->store.arg = &more;
    cdt_xs_list(f->xs, 0, "data", on_done, &e);
    fix_end(f, &e);
    assert_int_equal(e.code, 0);
    assert_int_equal(count_names(&e), 401);
    free(e.data);
    memset(&e, 0, sizeof e);
    more = 1000;
    cdt_xs_list(f->xs, 0, "data", on_done, &e);
    assert_end(f, &e, CONDUIT_AGAIN, "EAGAIN", 6);
    assert_int_equal(more, 1000 - 8);
}

static void a_list_is_too_long(void **state)
{
    struct fix *f = *state;
    struct end e = {0};

    fill(f, CDT_XS_LIST_MAX / 24);
    cdt_xs_list(f->xs, 0, "data", on_done, &e);
    fix_end(f, &e);
    assert_int_equal(e.code, 0);
    assert_int_equal(count_names(&e), CDT_XS_LIST_MAX / 24);
    free(e.data);
    memset(&e, 0, sizeof e);
    fill(f, CDT_XS_LIST_MAX / 24 + 1);
    cdt_xs_list(f->xs, 0, "data", on_done, &e);
    assert_end(f, &e, CONDUIT_ELIMIT, "E2BIG", 5);
}

static void a_list_in_parts_is_cancelled(void **state)
{
    struct fix *f = *state;
    struct end e = {0};

    fill(f, 400);
    cdt_xs_list(f->xs, 0, "data", on_done, &e);
    while (f->store.types[XS_DIRECTORY_PART] == 0) {
        fix_turn(f);
    }
    cdt_xs_cancel(f->xs, &e);
    fix_turns(f, 20);
    assert_int_equal(e.times, 0);
    assert_int_equal(f->store.types[XS_DIRECTORY_PART], 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FIX_TEST(long_lists_come_in_parts),
        FIX_TEST(an_old_store_has_no_parts),
        FIX_TEST(a_list_that_changes_begins_again),
        FIX_TEST(a_list_is_too_long),
        FIX_TEST(a_list_in_parts_is_cancelled),
    };

    return cmocka_run_group_tests_name("xen_store_list", tests, NULL, NULL);
}
