/* SPDX-License-Identifier: ISC */
/* The guest's command line: words, quotes, environment and arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <conduit/error.h>

#include "cmdline.h"

/* A copy without a byte to spare, so that reading past its end is noticed. */
static char *copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *line = malloc(size);

    assert_non_null(line);
    return memcpy(line, text, size);
}

struct case_of {
    const char *line;
    const char *env[4];
    const char *args[6];
};

static const struct case_of cases[] = {
    {"", {NULL}, {NULL}},
    {" \t  ", {NULL}, {NULL}},
    {"one", {NULL}, {"one"}},
    {"one two  three", {NULL}, {"one", "two", "three"}},
    {"\t one\ttwo \t", {NULL}, {"one", "two"}},
    {"one\ntwo", {NULL}, {"one\ntwo"}},

    {"A=1", {"A=1"}, {NULL}},
    {"A=1 B=2 c", {"A=1", "B=2"}, {"c"}},
    {"A=1 b C=3", {"A=1"}, {"b", "C=3"}},
    {"a B=2 C=3", {NULL}, {"a", "B=2", "C=3"}},
    {"A= b", {"A="}, {"b"}},
    {"A==", {"A=="}, {NULL}},
    {"A=B=C", {"A=B=C"}, {NULL}},
    {"_=1 _a9Z=2", {"_=1", "_a9Z=2"}, {NULL}},
    {"zZ_=1", {"zZ_=1"}, {NULL}},
    {"A=1 A=2", {"A=1", "A=2"}, {NULL}},

    {"=1", {NULL}, {"=1"}},
    {"9A=1", {NULL}, {"9A=1"}},
    {"A-B=1", {NULL}, {"A-B=1"}},
    {"A.B=1", {NULL}, {"A.B=1"}},
    {"-A=1", {NULL}, {"-A=1"}},
    {"A =1", {NULL}, {"A", "=1"}},
    {"@=1", {NULL}, {"@=1"}},
    {"[=1", {NULL}, {"[=1"}},
    {"`=1", {NULL}, {"`=1"}},
    {"{=1", {NULL}, {"{=1"}},
    {"A/=1", {NULL}, {"A/=1"}},
    {"A:=1", {NULL}, {"A:=1"}},
    {"A0=1 A9=2", {"A0=1", "A9=2"}, {NULL}},
    {"\xc3\xa4=1", {NULL}, {"\xc3\xa4=1"}},

    {"\"A\"=b", {NULL}, {"A=b"}},
    {"'A'=b", {NULL}, {"A=b"}},
    {"'A=b'", {NULL}, {"A=b"}},
    {"A\"=\"b", {NULL}, {"A=b"}},
    {"A\\=b", {NULL}, {"A=b"}},
    {"\\A=b", {NULL}, {"A=b"}},
    {"''A=b", {NULL}, {"A=b"}},
    {"A=\"x y\"", {"A=x y"}, {NULL}},
    {"A='x y' b", {"A=x y"}, {"b"}},
    {"A=x\\ y b", {"A=x y"}, {"b"}},
    {"A='' b", {"A="}, {"b"}},
    {"A=1 '' B=2", {"A=1"}, {"", "B=2"}},

    {"''", {NULL}, {""}},
    {"\"\"", {NULL}, {""}},
    {"'' \"\" ''", {NULL}, {"", "", ""}},
    {"a''b", {NULL}, {"ab"}},
    {"a'b c'd\"e f\"g", {NULL}, {"ab cde fg"}},
    {"'a\tb'", {NULL}, {"a\tb"}},
    {"'a\\b'", {NULL}, {"a\\b"}},
    {"'a\\' b", {NULL}, {"a\\", "b"}},
    {"'\"'", {NULL}, {"\""}},
    {"\"'\"", {NULL}, {"'"}},
    {"\"a\\\"b\"", {NULL}, {"a\"b"}},
    {"\"a\\\\\" b", {NULL}, {"a\\", "b"}},
    {"\"a\\b\"", {NULL}, {"ab"}},
    {"a\\ b", {NULL}, {"a b"}},
    {"a\\\tb", {NULL}, {"a\tb"}},
    {"\\'a \\\"b", {NULL}, {"'a", "\"b"}},
    {"\\\\", {NULL}, {"\\"}},
    {"\\a", {NULL}, {"a"}},
    {"'one' \"two\" three", {NULL}, {"one", "two", "three"}},

    {"CONDUIT_NET=direct --listen 'tcp://[::]:80' X=1",
     {"CONDUIT_NET=direct"},
     {"--listen", "tcp://[::]:80", "X=1"}},
};

static void check_list(char *const *got, size_t count, const char *const *want,
                       const char *line)
{
    size_t n = 0;

    while (want[n] != NULL) {
        if (n >= count || strcmp(got[n], want[n]) != 0) {
            fail_msg("of <%s>: word %zu is <%s>, not <%s>", line, n,
                     n < count ? got[n] : "none", want[n]);
        }
        n++;
    }
    if (count != n) {
        fail_msg("of <%s>: %zu words, not %zu", line, count, n);
    }
    assert_null(got[n]);
}

static void lines_become_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct case_of *want = &cases[i];
        char *line = copy(want->line);
        const char *why = NULL;
        struct cdt_cmdline c;

        memset(&c, 0xaa, sizeof c);
        assert_int_equal(cdt_cmdline_parse(&c, line, &why), 0);
        check_list(c.env, c.envs, want->env, want->line);
        check_list(c.args, c.argc, want->args, want->line);
        assert_null(why);
        free(line);
    }
}

static void check_refused(const char *text, int code, const char *words)
{
    char *line = copy(text);
    const char *why = NULL;
    struct cdt_cmdline c;

    memset(&c, 0xaa, sizeof c);
    assert_int_equal(cdt_cmdline_parse(&c, line, &why), code);
    free(line);
    assert_non_null(why);
    assert_non_null(strstr(why, words));
    assert_int_equal(c.argc, 0);
    assert_int_equal(c.envs, 0);
    assert_null(c.args[0]);
    assert_null(c.env[0]);
}

static void open_quotes_are_refused(void **state)
{
    (void)state;
    check_refused("'", CONDUIT_EINVAL, "'");
    check_refused("\"", CONDUIT_EINVAL, "\"");
    check_refused("A=1 one 'two three", CONDUIT_EINVAL, "'");
    check_refused("A=\"x y", CONDUIT_EINVAL, "\"");
    check_refused("'it\\'s'", CONDUIT_EINVAL, "'");
    check_refused("\"a\\\"", CONDUIT_EINVAL, "\"");
    check_refused("\"it's", CONDUIT_EINVAL, "\"");
}

static void a_lone_backslash_is_refused(void **state)
{
    (void)state;
    check_refused("\\", CONDUIT_EINVAL, "backslash");
    check_refused("one two\\", CONDUIT_EINVAL, "backslash");
    check_refused("one \"two\\", CONDUIT_EINVAL, "backslash");
    check_refused("A=\\", CONDUIT_EINVAL, "backslash");
}

static char *append(char *line, const char *text)
{
    while (*text != '\0') {
        *line++ = *text++;
    }
    *line = '\0';
    return line;
}

/* `n` times a text, and another behind them. */
static void repeat(char *line, const char *text, size_t n, const char *end)
{
    for (size_t i = 0; i < n; i++) {
        line = append(line, text);
    }
    (void)append(line, end);
}

static void there_is_a_limit(void **state)
{
    static char line[8 * CDT_CMDLINE_WORDS + 16];
    const char *why = NULL;
    struct cdt_cmdline c;

    (void)state;
    repeat(line, "x ", CDT_CMDLINE_WORDS, "");
    assert_int_equal(cdt_cmdline_parse(&c, line, &why), 0);
    assert_int_equal(c.argc, CDT_CMDLINE_WORDS);
    assert_null(c.args[CDT_CMDLINE_WORDS]);
    repeat(line, "x ", CDT_CMDLINE_WORDS + 1, "");
    check_refused(line, CONDUIT_ELIMIT, "words");

    repeat(line, "A=1 ", CDT_CMDLINE_WORDS, "x y");
    assert_int_equal(cdt_cmdline_parse(&c, line, &why), 0);
    assert_int_equal(c.envs, CDT_CMDLINE_WORDS);
    assert_null(c.env[CDT_CMDLINE_WORDS]);
    assert_int_equal(c.argc, 2);
    repeat(line, "A=1 ", CDT_CMDLINE_WORDS + 1, "");
    check_refused(line, CONDUIT_ELIMIT, "words");
}

/* Every line of a few telling bytes is taken or refused, within its bounds. */
static void no_line_is_written_past_its_end(void **state)
{
    static const char bytes[] = " 'x\"\\=";
    const unsigned base = sizeof bytes - 1;
    unsigned all = base * base * base * base * base * base;

    (void)state;
    for (unsigned i = 0; i < all; i++) {
        char text[7] = "";
        struct cdt_cmdline c;
        const char *why = NULL;
        char *line;
        unsigned rest = i;

        for (unsigned k = 0; k < 6; k++) {
            text[k] = bytes[rest % base];
            rest /= base;
        }
        line = copy(text);
        if (cdt_cmdline_parse(&c, line, &why) == 0) {
            for (size_t k = 0; k < c.argc; k++) {
                assert_in_range((uintptr_t)c.args[k], (uintptr_t)line,
                                (uintptr_t)line + 6);
                assert_true(strlen(c.args[k]) <= 6);
            }
            assert_null(why);
        } else {
            assert_non_null(why);
        }
        free(line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_words),
        cmocka_unit_test(open_quotes_are_refused),
        cmocka_unit_test(a_lone_backslash_is_refused),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(no_line_is_written_past_its_end),
    };

    return cmocka_run_group_tests_name("xen cmdline", tests, NULL, NULL);
}
