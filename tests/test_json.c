/* SPDX-License-Identifier: ISC */
/*
 * conduit_json_parse(): what is taken, what is refused and with which words,
 * and that depth and size are limits in fact.
 */
#include "support.h"

#include <conduit/json.h>

/* Parses a copy that ends where the text does: a byte read past it is seen. */
static json_t *parse_n(const char *text, size_t size, unsigned depth,
                       struct conduit_error *err)
{
    char *copy = malloc(size > 0 ? size : 1);
    json_t *value;

    assert_non_null(copy);
    memcpy(copy, text, size);
    memset(err, 0, sizeof *err);
    value = conduit_json_parse(NULL, copy, size, depth, err);
    free(copy);
    return value;
}

static json_t *parse(const char *text, struct conduit_error *err)
{
    return parse_n(text, strlen(text), 0, err);
}

static void assert_taken(const char *text)
{
    struct conduit_error err;
    json_t *value = parse(text, &err);

    if (value == NULL) {
        fail_msg("%s: %s", text, err.text);
    }
    json_decref(value);
}

static void assert_refused(const char *text, int code, const char *start)
{
    struct conduit_error err;

    if (parse(text, &err) != NULL) {
        fail_msg("taken: %s", text);
    }
    assert_int_equal(err.code, code);
    assert_string_equal(err.layer, "json");
    if (strncmp(err.text, start, strlen(start)) != 0) {
        fail_msg("%s: %s", text, err.text);
    }
}

static char *nested(unsigned levels, const char *open, const char *shut)
{
    size_t step = strlen(open);
    size_t back = strlen(shut);
    char *text = malloc(levels * (step + back) + 2);
    char *at = text;

    assert_non_null(text);
    for (unsigned i = 0; i < levels; i++, at += step) {
        memcpy(at, open, step);
    }
    *at++ = '1';
    for (unsigned i = 0; i < levels; i++, at += back) {
        memcpy(at, shut, back);
    }
    *at = '\0';
    return text;
}

static void takes_any_value(void **state)
{
    (void)state;
    assert_taken("{\"a\": [1, -2.5e3, true, null, \"\\u00e4\"]}");
    assert_taken("[]");
    assert_taken("\"text\"");
    assert_taken("12");
    assert_taken("null");
    assert_taken(" \r\n\t false \n");
}

static void refuses_what_is_no_json(void **state)
{
    (void)state;
    assert_refused("", CONDUIT_EPROTO, "json: 1:");
    assert_refused("   ", CONDUIT_EPROTO, "json: 1:");
    assert_refused("{", CONDUIT_EPROTO, "json: 1:1: ");
    assert_refused("[1,]", CONDUIT_EPROTO, "json: 1:4: ");
    assert_refused("{\"a\":1} x", CONDUIT_EPROTO, "json: 1:9: ");
    assert_refused("nul", CONDUIT_EPROTO, "json: 1:3: ");
    assert_refused("[1]]", CONDUIT_EPROTO, "json: 1:4: ");
    assert_refused("\"\xff\"", CONDUIT_EPROTO, "json: 1:");
    assert_refused("'a'", CONDUIT_EPROTO, "json: 1:1: ");
    assert_refused("99999999999999999999", CONDUIT_EPROTO, "json: 1:20: ");
}

static void names_line_and_column(void **state)
{
    (void)state;
    assert_refused("{\n  \"a\": 1,\n  \"b\": ?\n}", CONDUIT_EPROTO,
                   "json: 3:8: ");
}

static void refuses_a_key_twice(void **state)
{
    (void)state;
    assert_refused("{\"a\": 1, \"a\": 2}", CONDUIT_EPROTO, "json: 1:");
}

static void reads_exactly_the_size_given(void **state)
{
    struct conduit_error err;
    json_t *value;

    (void)state;
    value = parse_n("[1] rubbish", 3, 0, &err);
    assert_non_null(value);
    json_decref(value);
    assert_null(parse_n("[1]\0", 4, 0, &err));
    assert_int_equal(err.code, CONDUIT_EPROTO);
    assert_null(parse_n("[1", 2, 0, &err));
    assert_null(conduit_json_parse(NULL, NULL, 0, 0, &err));
    assert_int_equal(err.code, CONDUIT_EPROTO);
}

static void limits_depth(void **state)
{
    char *fits = nested(CONDUIT_JSON_DEPTH, "[", "]");
    char *over = nested(CONDUIT_JSON_DEPTH + 1, "[", "]");
    char *objects = nested(CONDUIT_JSON_DEPTH + 1, "{\"a\":", "}");

    (void)state;
    assert_taken(fits);
    assert_refused(over, CONDUIT_ELIMIT, "json: 1:65: nested more than 64");
    assert_refused(objects, CONDUIT_ELIMIT, "json: 1:321: nested");
    assert_refused("[\n [[\"", CONDUIT_EPROTO, "json: ");
    free(fits);
    free(over);
    free(objects);
}

static void limits_depth_to_what_is_asked(void **state)
{
    struct conduit_error err;
    json_t *value = parse_n("[[1], [2]]", 10, 2, &err);

    (void)state;
    assert_non_null(value);
    json_decref(value);
    assert_null(parse_n("[[1],\n [[2]]]", 13, 2, &err));
    assert_int_equal(err.code, CONDUIT_ELIMIT);
    assert_string_equal(err.text, "json: 2:3: nested more than 2 levels deep");
}

static void survives_any_depth(void **state)
{
    struct conduit_error err;
    char *text = nested(100000, "[", "]");
    char *dumped;
    json_t *value;

    (void)state;
    assert_refused(text, CONDUIT_ELIMIT, "json: 1:65: nested");
    /* Also where the caller asks for no limit. */
    assert_null(parse_n(text, strlen(text), 200000, &err));
    assert_int_equal(err.code, CONDUIT_ELIMIT);
    assert_non_null(strstr(err.text, "1:513: nested more than 512"));
    free(text);
    text = nested(CONDUIT_JSON_DEPTH_MAX, "[", "]");
    value = parse_n(text, strlen(text), 200000, &err);
    dumped = json_dumps(value, 0);
    assert_string_equal(dumped, text);
    free(dumped);
    free(text);
    json_decref(value);
}

static void counts_no_brackets_in_strings(void **state)
{
    struct conduit_error err;
    const char *text = "[\"[[[\\\"[[[\\\\\", \"]\"]";
    json_t *value = parse_n(text, strlen(text), 1, &err);

    (void)state;
    assert_non_null(value);
    json_decref(value);
    assert_null(parse_n("[\"\\\\\", [1]]", 11, 1, &err));
    assert_int_equal(err.code, CONDUIT_ELIMIT);
}

static void shows_no_controls_of_the_input(void **state)
{
    struct conduit_error err;

    (void)state;
    assert_null(parse("[\"a\" \x1b[2J \r\n]", &err));
    for (const char *c = err.text; *c != '\0'; c++) {
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
}

static void seeds_jansson(void **state)
{
    struct t_env *env = *state;

    assert_int_equal(conduit_json_init(env->ctx), 0);
    assert_int_equal(conduit_json_init(env->ctx), 0);
    assert_taken("{\"a\": 1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_any_value),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(names_line_and_column),
        cmocka_unit_test(refuses_a_key_twice),
        cmocka_unit_test(reads_exactly_the_size_given),
        cmocka_unit_test(limits_depth),
        cmocka_unit_test(limits_depth_to_what_is_asked),
        cmocka_unit_test(survives_any_depth),
        cmocka_unit_test(counts_no_brackets_in_strings),
        cmocka_unit_test(shows_no_controls_of_the_input),
        T_TEST(seeds_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
