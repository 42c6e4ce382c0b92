/* SPDX-License-Identifier: ISC */
/* Numeric addresses, from text (strictly) and to text (RFC 5952). */
#include "support.h"

static const struct {
    const char *text;
    const char *canonical; /* NULL: the same */
    uint8_t family;
} good[] = {
    {"0.0.0.0", NULL, 4},
    {"127.0.0.1", NULL, 4},
    {"255.255.255.255", NULL, 4},
    {"::", NULL, 6},
    {"::1", NULL, 6},
    {"1::", NULL, 6},
    {"2001:db8::1", NULL, 6},
    {"2001:DB8::ABCD", "2001:db8::abcd", 6},
    {"2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1", 6},
    {"2001:db8:0:1:1:1:1:1", NULL, 6},          /* one group is not shortened */
    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1", 6}, /* the longest run */
    {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", 6}, /* the first of two */
    {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", 6},
    {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", 6},
    {"::ffff:192.0.2.1", NULL, 6},
    {"::ffff:c000:201", "::ffff:192.0.2.1", 6},
    {"64:ff9b::192.0.2.33", "64:ff9b::c000:221", 6},
    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304", 6},
    {"fe80::1%2", NULL, 6},
    {"fe80::1%4294967295", NULL, 6},
    {"ff02::1:ff00:0", NULL, 6},
};

static const char *const bad[] = {
    "",
    "1",
    "127.1",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.",
    ".1.2.3.4",
    "1..2.3",
    "256.1.1.1",
    "1.1.1.256",
    "1.1.1.1000",
    "01.2.3.4",
    "1.2.3.00",
    "0x1.2.3.4",
    " 1.2.3.4",
    "1.2.3.4 ",
    "1.2.3.4%1",
    "+1.2.3.4",
    "-1.2.3.4",
    "1.2.3.a",
    ":",
    ":::",
    "::1::",
    "1::2::3",
    ":1",
    "1:",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:",
    ":2:3:4:5:6:7:8",
    "12345::",
    "::g",
    "::1.2.3",
    "::1.2.3.256",
    "::01.2.3.4",
    "1.2.3.4::",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::1.2.3.4:5",
    "[::1]",
    "::1%",
    "::1%0",
    "::1%eth0",
    "::1%4294967296",
    "::1%1%1",
    "%1",
};

static void good_addresses_go_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct conduit_addr addr = {.port = 7};
        char buf[CONDUIT_ADDR_TEXT];
        const char *want = good[i].canonical != NULL ? good[i].canonical
                                                     : good[i].text;

        if (!conduit_addr_parse(good[i].text, strlen(good[i].text), &addr)) {
            fail_msg("%s", good[i].text);
        }
        assert_int_equal(addr.family, good[i].family);
        assert_int_equal(addr.port, 0);
        assert_ptr_equal(conduit_addr_format(&addr, false, buf), buf);
        assert_string_equal(buf, want);
    }
}

static void bad_addresses_are_refused(void **state)
{
    struct conduit_addr addr;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (conduit_addr_parse(bad[i], strlen(bad[i]), &addr)) {
            fail_msg("'%s' was taken", bad[i]);
        }
    }
}

/* Only `len` bytes count: the text has no end of its own. */
static void the_length_is_kept(void **state)
{
    struct conduit_addr addr;
    char exact[3] = {':', ':', '1'};

    (void)state;
    assert_true(conduit_addr_parse("1.2.3.45", 7, &addr));
    assert_int_equal(addr.ip[3], 4);
    assert_false(conduit_addr_parse("1.2.3.4", 5, &addr));
    assert_true(conduit_addr_parse(exact, 3, &addr));
    assert_true(conduit_addr_parse("::1:", 3, &addr));
    assert_false(conduit_addr_parse("::1", 0, &addr));
    assert_false(conduit_addr_parse("1.2.3.4\0", 8, &addr));
}

static void ports_and_brackets(void **state)
{
    struct conduit_addr addr;
    char buf[CONDUIT_ADDR_TEXT];

    (void)state;
    assert_true(conduit_addr_parse("192.0.2.1", 9, &addr));
    addr.port = 80;
    assert_string_equal(conduit_addr_format(&addr, true, buf), "192.0.2.1:80");
    assert_string_equal(conduit_addr_format(&addr, false, buf), "192.0.2.1");
    assert_true(conduit_addr_parse("2001:db8::1%7", 13, &addr));
    addr.port = 65535;
    assert_string_equal(conduit_addr_format(&addr, true, buf),
                        "[2001:db8::1%7]:65535");
}

static void the_longest_text_fits(void **state)
{
    struct conduit_addr addr = {
        .family = 6, .scope = UINT32_MAX, .port = 65535};
    char buf[CONDUIT_ADDR_TEXT];

    (void)state;
    memset(addr.ip, 0xff, sizeof addr.ip);
    assert_string_equal(
        conduit_addr_format(&addr, true, buf),
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_addresses_go_there_and_back),
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(the_length_is_kept),
        cmocka_unit_test(ports_and_brackets),
        cmocka_unit_test(the_longest_text_fits),
    };

    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
