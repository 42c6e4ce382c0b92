/* SPDX-License-Identifier: ISC */
/* What the host asks for by control/shutdown, and how it is answered. */
#include "test_xen_store.h"

#include "control.h"

struct host {
    struct cdt_control control; /* must be first */
    unsigned asked;
    enum cdt_control_wish wish;
    unsigned notes;
    char note[128];
    bool stop; /* when asked */
};

static struct host host;

static void on_asked(struct cdt_control *control)
{
    struct host *h = (struct host *)(void *)control;

    h->asked++;
    h->wish = control->wish;
    if (h->stop) {
        cdt_control_stop(control);
        memset(&h->control, 0, sizeof h->control);
    }
}

static void on_note(struct cdt_control *control, const char *text)
{
    struct host *h = (struct host *)(void *)control;

    h->notes++;
    assert_true(strlen(text) < sizeof h->note);
    memcpy(h->note, text, strlen(text) + 1);
}

static int setup(void **state)
{
    struct fix *f;

    fix_setup(state);
    f = *state;
    memset(&host, 0, sizeof host);
    host.control.asked = on_asked;
    host.control.note = on_note;
    assert_int_equal(cdt_control_start(&host.control, f->xs), 0);
    fix_turns(f, 10);
    assert_int_equal(host.asked + host.notes, 0);
    return 0;
}

static int teardown(void **state)
{
    cdt_control_stop(&host.control);
    return fix_teardown(state);
}

#define HOST_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void ask(struct fix *f, const char *text)
{
    fake_store_set(&f->store, "control/shutdown", text);
    fix_turns(f, 100);
}

static void assert_node(struct fix *f, const char *value)
{
    assert_string_equal(fake_store_get(&f->store, "control/shutdown"), value);
    assert_int_equal(fake_store_transactions(&f->store), 0);
}

static void wishes_are_acknowledged(void **state)
{
    static const struct {
        const char *text;
        enum cdt_control_wish wish;
    } wishes[] = {{"poweroff", CDT_CONTROL_POWEROFF},
                  {"reboot", CDT_CONTROL_REBOOT},
                  {"halt", CDT_CONTROL_POWEROFF},
                  {"halt", CDT_CONTROL_POWEROFF}};
    struct fix *f = *state;

    for (unsigned i = 0; i < 4; i++) {
        ask(f, wishes[i].text);
        assert_int_equal(host.asked, i + 1);
        assert_int_equal(host.wish, wishes[i].wish);
        assert_node(f, "");
    }
    assert_int_equal(host.notes, 0);
}

static void an_absent_node_asks_nothing(void **state)
{
    struct fix *f = *state;

    ask(f, NULL);
    assert_int_equal(host.asked + host.notes, 0);
    ask(f, "reboot"); /* the node is dom0's own now */
    assert_int_equal(host.asked, 1);
}

static void suspend_is_refused_once(void **state)
{
    struct fix *f = *state;

    ask(f, "suspend");
    assert_int_equal(host.notes, 1);
    assert_non_null(strstr(host.note, "suspend was asked for and refused: "));
    assert_node(f, "suspend");
    ask(f, "suspend"); /* an event without a change */
    assert_int_equal(host.notes, 1);
    ask(f, "");
    ask(f, "suspend");
    assert_int_equal(host.notes, 2);
    assert_int_equal(host.asked, 0);
    ask(f, "poweroff");
    assert_int_equal(host.asked, 1);
    assert_node(f, "");
}

static void what_is_not_known_is_noted(void **state)
{
    struct fix *f = *state;

    ask(f, "crash");
    assert_string_equal(host.note, "control/shutdown: \"crash\" is not known");
    ask(f, "\xff\n0123456789012345678901234567890123456789");
    assert_string_equal(host.note,
                        "control/shutdown: \"\?\?01234567890123456789012345678"
                        "\" is not known");
    assert_int_equal(host.notes, 2);
    assert_int_equal(host.asked, 0);
}

static void conflicts_are_tried_again(void **state)
{
    struct fix *f = *state;

    f->store.conflicts = 7;
    ask(f, "poweroff");
    assert_int_equal(host.asked, 1);
    assert_int_equal(host.notes, 0);
    assert_node(f, "");
    assert_int_equal(f->store.types[XS_TRANSACTION_START], 8);
}

static void a_wish_that_cannot_be_acknowledged_is_followed(void **state)
{
    struct fix *f = *state;

    f->store.conflicts = 1000;
    ask(f, "poweroff");
    assert_int_equal(host.asked, 1);
    assert_int_equal(host.wish, CDT_CONTROL_POWEROFF);
    assert_int_equal(f->store.types[XS_TRANSACTION_START], 8);
    assert_string_equal(host.note,
                        "control/shutdown could not be acknowledged (EAGAIN)");
    ask(f, "poweroff");
    assert_int_equal(host.asked, 1); /* it is the same one */
    f->store.conflicts = 0;
    ask(f, "reboot");
    assert_int_equal(host.asked, 2);
    assert_node(f, "");
}

static void each_refusal_of_the_store(void **state)
{
    static const uint32_t types[] = {XS_TRANSACTION_START, XS_WRITE,
                                     XS_TRANSACTION_END};
    struct fix *f = *state;

    f->store.refuse_word = "EIO";
    for (unsigned i = 0; i < 3; i++) {
        f->store.refuse_type = types[i];
        ask(f, "poweroff");
        assert_int_equal(host.asked, i + 1);
        assert_int_equal(host.notes, i + 1);
        ask(f, "");
    }
}

/* The host takes its wish back while it is being acknowledged. */
static bool take_back(struct fake_store *s, const struct xsd_sockmsg *head,
                      const char *payload)
{
    (void)payload;
    if (head->type == XS_TRANSACTION_START && s->arg != NULL) {
        const char *value = s->arg;

        s->arg = NULL;
        fake_store_set(s, "control/shutdown", value);
    }
    return false;
}

static void a_wish_taken_back_is_not_followed(void **state)
{
    struct fix *f = *state;
    char nothing[] = "";

    f->store.asked = take_back;
    f->store.arg = nothing;
    ask(f, "poweroff");
    assert_int_equal(host.asked, 0);
    assert_node(f, "");
    ask(f, "poweroff");
    assert_int_equal(host.asked, 1);
}

static void a_wish_replaced_is_followed_as_the_new_one(void **state)
{
    struct fix *f = *state;
    char other[] = "reboot";

    f->store.asked = take_back;
    f->store.arg = other;
    ask(f, "poweroff");
    assert_int_equal(host.asked, 1);
    assert_int_equal(host.wish, CDT_CONTROL_REBOOT);
    assert_node(f, "");
}

static void features_are_told(void **state)
{
    struct fix *f = *state;

    assert_null(fake_store_get(&f->store, "control/feature-poweroff"));
    cdt_control_stop(&host.control);
    fake_store_set_perms(&f->store, "control", "n5", 3);
    assert_int_equal(cdt_control_start(&host.control, f->xs), 0);
    fix_turns(f, 10);
    assert_string_equal(fake_store_get(&f->store, "control/feature-poweroff"),
                        "1");
    assert_string_equal(fake_store_get(&f->store, "control/feature-reboot"),
                        "1");
    assert_string_equal(fake_store_get(&f->store, "control/feature-suspend"),
                        "0");
}

static void asked_may_stop(void **state)
{
    struct fix *f = *state;

    host.stop = true;
    ask(f, "poweroff");
    assert_int_equal(host.asked, 1);
    ask(f, "reboot");
    assert_int_equal(host.asked, 1);
    assert_int_equal(fake_store_watches(&f->store), 0);
}

/* Stopped at each point of an acknowledgement: nothing is left behind. */
static void stopped_midway(void **state)
{
    struct fix *f = *state;

    for (unsigned turns = 0; turns < 8; turns++) {
        fake_store_set(&f->store, "control/shutdown", "poweroff");
        fix_turns(f, turns);
        cdt_control_stop(&host.control);
        cdt_control_stop(&host.control);
        host.asked = 0;
        fix_turns(f, 20);
        assert_int_equal(host.asked, 0);
        assert_int_equal(fake_store_transactions(&f->store), 0);
        assert_int_equal(fake_store_watches(&f->store), 0);
        fake_store_set(&f->store, "control/shutdown", "");
        assert_int_equal(cdt_control_start(&host.control, f->xs), 0);
        fix_turns(f, 10);
    }
}

static void the_stores_end_is_no_wish(void **state)
{
    struct fix *f = *state;

    fake_store_set(&f->store, "control/shutdown", "poweroff");
    fix_turn(f);
    fake_store_say(&f->store, XS_READ, 999, 0, "", 0);
    fix_turns(f, 5);
    assert_non_null(cdt_xs_failed(f->xs));
    assert_true(host.asked <= 1);
    cdt_control_stop(&host.control);
    assert_int_equal(cdt_control_start(&host.control, f->xs), CONDUIT_EPROTO);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        HOST_TEST(wishes_are_acknowledged),
        HOST_TEST(an_absent_node_asks_nothing),
        HOST_TEST(suspend_is_refused_once),
        HOST_TEST(what_is_not_known_is_noted),
        HOST_TEST(conflicts_are_tried_again),
        HOST_TEST(a_wish_that_cannot_be_acknowledged_is_followed),
        HOST_TEST(each_refusal_of_the_store),
        HOST_TEST(a_wish_taken_back_is_not_followed),
        HOST_TEST(a_wish_replaced_is_followed_as_the_new_one),
        HOST_TEST(features_are_told),
        HOST_TEST(asked_may_stop),
        HOST_TEST(stopped_midway),
        HOST_TEST(the_stores_end_is_no_wish),
    };

    return cmocka_run_group_tests_name("xen_control", tests, NULL, NULL);
}
