/* SPDX-License-Identifier: ISC */
/*
 * conduit_assets_find(): which asset a path finds, in a table small enough to
 * see. That what conduit-assets writes is such a table is tested by
 * scripts/assets_tool.sh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <conduit/assets.h>

/* In the order of strcmp(), where '-' < '.' < '/' < letters < "\303". */
static const struct conduit_asset items[] = {
    {"/a", "text/plain", "\"1\"", "a", 1},
    {"/a-b", "text/plain", "\"2\"", "a-b", 3},
    {"/a.txt", "text/plain", "\"3\"", "a.txt", 5},
    {"/a/index.html", "text/html", "\"4\"", "a/index", 7},
    {"/ab", "text/plain", "\"5\"", "", 0},
    {"/index.html", "text/html", "\"6\"", "index", 5},
    {"/index.htmlx", "text/plain", "\"7\"", "x", 1},
    {"/no-index/page.html", "text/html", "\"8\"", "page", 4},
    {"/odd/", "text/plain", "\"9\"", "odd", 3},
    {"/odd/index.html", "text/html", "\"10\"", "odd/index", 9},
    {"/\303\244", "text/plain", "\"11\"", "a umlaut", 8},
};

#define COUNT (sizeof(items) / sizeof(*items))

static const struct conduit_assets table = {items, COUNT};

/*
 * Looks a path up in a copy that ends where it does, so that a sanitizer sees
 * a byte read past it.
 */
static const struct conduit_asset *find_in(const struct conduit_assets *assets,
                                           const char *path, size_t len)
{
    char *copy = malloc(len == 0 ? 1 : len);
    const struct conduit_asset *found;

    assert_non_null(copy);
    memcpy(copy, path, len);
    found = conduit_assets_find(assets, copy, len);
    free(copy);
    return found;
}

static const struct conduit_asset *find(const char *path)
{
    return find_in(&table, path, strlen(path));
}

static void finds_every_asset(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(find(items[i].path), &items[i]);
    }
}

/* However many there are, none falls out of the halves. */
static void finds_every_asset_of_a_shorter_table(void **state)
{
    (void)state;
    for (size_t count = 0; count <= COUNT; count++) {
        const struct conduit_assets part = {items, count};

        for (size_t i = 0; i < COUNT; i++) {
            const char *path = items[i].path;

            assert_ptr_equal(find_in(&part, path, strlen(path)),
                             i < count ? &items[i] : NULL);
        }
    }
}

static void finds_nothing_else(void **state)
{
    static const char *const paths[] = {
        "",     "a",          "/b",          "/A",      "//a",
        "/./a", "/no-index",  "/index",      "/index.", "/index.htm",
        "/zzz", "index.html", "/\303\244\1", "/\303",   "/\377",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        assert_null(find(paths[i]));
    }
}

static void tells_a_path_from_one_it_begins(void **state)
{
    (void)state;
    assert_ptr_equal(find("/a"), &items[0]);
    assert_ptr_equal(find("/ab"), &items[4]);
    assert_null(find("/abc"));
    assert_ptr_equal(find("/index.html"), &items[5]);
    assert_ptr_equal(find("/index.htmlx"), &items[6]);
}

static void finds_the_index_of_a_folder(void **state)
{
    (void)state;
    assert_string_equal(find("/")->path, "/index.html");
    assert_string_equal(find("/a/")->path, "/a/index.html");
    assert_null(find("/no-index/"));
    assert_null(find("//"));
    assert_null(find("/ab/"));
}

static void prefers_an_asset_to_an_index(void **state)
{
    (void)state;
    assert_string_equal(find("/odd/")->path, "/odd/");
}

static void needs_no_end_mark(void **state)
{
    static const char request[] = "/a.txt?x=/index.html";

    (void)state;
    assert_ptr_equal(conduit_assets_find(&table, request, 6), &items[2]);
    assert_ptr_equal(conduit_assets_find(&table, request, 2), &items[0]);
    assert_ptr_equal(conduit_assets_find(&table, request, 1), &items[5]);
    assert_null(conduit_assets_find(&table, request, 5));
    assert_null(conduit_assets_find(&table, request, 0));
}

static void takes_a_zero_for_a_byte(void **state)
{
    (void)state;
    assert_null(find_in(&table, "/a\0", 3));
    assert_null(find_in(&table, "/a\0txt", 6));
    assert_null(find_in(&table, "\0/", 2));
    assert_null(find_in(&table, "/\0/", 3));
}

static void finds_nothing_in_an_empty_table(void **state)
{
    const struct conduit_assets empty = {NULL, 0};

    (void)state;
    assert_null(conduit_assets_find(&empty, "/", 1));
    assert_null(conduit_assets_find(&empty, "/a", 2));
    assert_null(conduit_assets_find(&empty, "", 0));
    assert_null(conduit_assets_find(&empty, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_asset),
        cmocka_unit_test(finds_every_asset_of_a_shorter_table),
        cmocka_unit_test(finds_nothing_else),
        cmocka_unit_test(tells_a_path_from_one_it_begins),
        cmocka_unit_test(finds_the_index_of_a_folder),
        cmocka_unit_test(prefers_an_asset_to_an_index),
        cmocka_unit_test(needs_no_end_mark),
        cmocka_unit_test(takes_a_zero_for_a_byte),
        cmocka_unit_test(finds_nothing_in_an_empty_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
