/* SPDX-License-Identifier: ISC */
/* From a path to a handler: patterns, precedence, decoding, refusals. */
#include "test_http_server.h"

/* A route that answers its name and what its parameters matched. */
struct named {
    const char *name;
    const char *method;
    const char *pattern;
};

static void tell(void *arg, struct conduit_http_request *r)
{
    static const char *const params[] = {"a", "b", "id", "rest"};
    const struct named *n = arg;
    char text[512];
    size_t at = (size_t)snprintf(text, sizeof text, "%s", n->name);

    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        const char *value = conduit_http_param(r, params[i]);

        if (value != NULL) {
            at += (size_t)snprintf(text + at, sizeof text - at, " %s=<%s>",
                                   params[i], value);
        }
    }
    assert_null(conduit_http_param(r, "none"));
    (void)conduit_http_reply(r, 200, NULL, text, at);
}

static void add(struct h_server *s, struct named *routes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        h_route(s, routes[i].method, routes[i].pattern, tell, &routes[i]);
    }
}

/* Asks for a path; answers by the body of 200, or the status as text. */
static void expect(struct h_peer *p, const char *method, const char *path,
                   const char *answer)
{
    static char request[9000];
    static char body[9000];
    char *at = NULL;
    size_t length = 0;

    (void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n",
                   method, path);
    h_send(p, request);
    T_UNTIL(p->env, (at = strstr(p->in, "\r\n\r\n")) != NULL || p->end != 0);
    assert_non_null(at);
    at += 4;
    if (strstr(p->in, "Content-Length: ") != NULL) {
        length = strtoul(strstr(p->in, "Content-Length: ") + 16, NULL, 10);
    }
    T_UNTIL(p->env, p->size >= (size_t)(at - p->in) + length || p->end != 0);
    if (strncmp(p->in, "HTTP/1.1 200 ", 13) == 0) {
        (void)snprintf(body, sizeof body, "%s", at);
    } else {
        (void)snprintf(body, sizeof body, "%.3s", p->in + 9);
    }
    if (strcmp(body, answer) != 0) {
        fail_msg("%s %s: expected %s, not %s", method, path, answer, body);
    }
    p->size = 0;
    p->in[0] = '\0';
}

static void prefers_what_is_literal(void **state)
{
    struct named routes[] = {
        {"root", "GET", "/"},
        {"rest", "GET", "/*rest"},
        {"users", "GET", "/users"},
        {"user", "GET", "/users/:id"},
        {"me", "GET", "/users/me"},
        {"slash", "GET", "/users/"},
        {"deep", "GET", "/users/:a/posts/:b"},
        {"tail", "GET", "/users/:a/files/*rest"},
        {"mine", "GET", "/users/me/only"},
    };
    static const char *const cases[][2] = {
        {"/", "root"},
        {"/users", "users"},
        {"/users/", "slash"},
        {"/users/me", "me"},
        {"/users/you", "user id=<you>"},
        {"/users/me/", "rest rest=<users/me/>"},
        {"/users/me/only", "mine"},
        {"/users/you/only", "rest rest=<users/you/only>"},
        /* Back from the literal "me", which leads nowhere. */
        {"/users/me/posts/7", "deep a=<me> b=<7>"},
        {"/users/a/files", "tail a=<a> rest=<>"},
        {"/users/a/files/", "tail a=<a> rest=<>"},
        {"/users/a/files/b/c", "tail a=<a> rest=<b/c>"},
        {"/users/a/files/b//c/", "tail a=<a> rest=<b//c/>"},
        /* ":name" wants a segment that is not empty. */
        {"/users//posts/1", "rest rest=<users//posts/1>"},
        {"//", "rest rest=</>"},
        {"/x", "rest rest=<x>"},
        {"/Users", "rest rest=<Users>"},
        {"/users?id=1", "users"},
    };
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    add(&s, routes, sizeof routes / sizeof *routes);
    h_open(&p, &s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(&p, "GET", cases[i][0], cases[i][1]);
    }
    h_close(&p);
    h_stop(&s);
}

static void looks_at_the_method_too(void **state)
{
    struct named routes[] = {
        {"one", "GET", "/items/:id"},   {"make", "POST", "/items/new"},
        {"odd", "PURGE", "/items/new"}, {"head", "HEAD", "/h"},
        {"get", "GET", "/h"},           {"own", "OPTIONS", "/o"},
    };
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    add(&s, routes, sizeof routes / sizeof *routes);
    h_open(&p, &s);
    expect(&p, "GET", "/items/new", "one id=<new>");
    expect(&p, "POST", "/items/new", "make");
    expect(&p, "PURGE", "/items/new", "odd");
    expect(&p, "POST", "/items/old", "405");
    expect(&p, "get", "/items/old", "405");
    expect(&p, "DELETE", "/nowhere", "404");
    expect(&p, "GET", "/items", "404");
    expect(&p, "GET", "/h", "get");
    expect(&p, "OPTIONS", "/o", "own");
    expect(&p, "OPTIONS", "/h", "204");
    expect(&p, "OPTIONS", "/nowhere", "404");
    h_send(&p, "PUT /items/new HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "Allow: POST, PURGE, GET, HEAD, OPTIONS\r\n");
    h_skip(&p, "\"}");
    h_close(&p);
    h_stop(&s);
}

static void decodes_segments(void **state)
{
    struct named routes[] = {
        {"two", "GET", "/two/:a/:b"},
        {"plain", "GET", "/a b/\xc3\xa4"},
        {"rest", "GET", "/rest/*rest"},
    };
    static const char *const cases[][2] = {
        {"/two/%61/b", "two a=<a> b=<b>"},
        {"/%74wo/a%2Fb/c", "two a=<a/b> b=<c>"},
        {"/two/a%2fb%2F/%20", "two a=<a/b/> b=< >"},
        {"/two/%3F%23%25/+", "two a=<?#%> b=<+>"},
        {"/a%20b/%C3%a4", "plain"},
        {"/rest/%41/b%2Fc", "rest rest=<A/b/c>"},
        {"/two/%00/b", "400"},
        {"/two/a/%0", "400"},
        {"/two/a/%", "400"},
        {"/two/a/%zz", "400"},
        {"/two/a/%4", "400"},
        {"/two/a/%u0041", "400"},
        {"/rest/%00", "400"},
        {"/nowhere/%GG", "400"},
    };
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    add(&s, routes, sizeof routes / sizeof *routes);
    h_open(&p, &s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(&p, "GET", cases[i][0], cases[i][1]);
    }
    h_close(&p);
    h_stop(&s);
}

static void refuses_dot_segments(void **state)
{
    struct named routes[] = {{"rest", "GET", "/*rest"}};
    static const char *const refused[] = {
        "/.",         "/..",     "/../",    "/a/..",       "/a/../b",
        "/./a",       "/a/.",    "/%2e",    "/%2e%2e/a",   "/.%2E/a",
        "/a/%2e./b",  "/..%2fa", "/..%2Fa", "/a%2f..%2fb", "/a%2f..",
        "/%2e%2e%2f", "/..%5ca", "/a%5C..", "/a%5c..%5cb", "/.%2f",
    };
    static const char *const fine[][2] = {
        {"/...", "rest rest=<...>"},    {"/..a", "rest rest=<..a>"},
        {"/a..", "rest rest=<a..>"},    {"/.a/b.", "rest rest=<.a/b.>"},
        {"/a%5cb", "rest rest=<a\\b>"}, {"/%252e%252e", "rest rest=<%2e%2e>"},
    };
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    add(&s, routes, 1);
    h_open(&p, &s);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        expect(&p, "GET", refused[i], "400");
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        expect(&p, "GET", fine[i][0], fine[i][1]);
    }
    h_close(&p);
    h_stop(&s);
}

#define TEN "/a/a/a/a/a/a/a/a/a/a"

static void finds_its_way_in_depth(void **state)
{
    struct named routes[] = {
        {"all", "GET", TEN TEN TEN "/:a/:b"},
        {"most", "GET", TEN TEN TEN "/:a/*rest"},
    };
    static char many[8000];
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    add(&s, routes, 2);
    h_open(&p, &s);
    expect(&p, "GET", TEN TEN TEN "/x/y", "all a=<x> b=<y>");
    expect(&p, "GET", TEN TEN TEN "/x/y/z/q", "most a=<x> rest=<y/z/q>");
    expect(&p, "GET", TEN TEN TEN "/x", "most a=<x> rest=<>");
    expect(&p, "GET", TEN TEN TEN, "404");
    memset(many, '/', sizeof many - 1);
    expect(&p, "GET", many, "404");
    h_close(&p);
    h_stop(&s);
}

static void refuses_malformed_patterns(void **state)
{
    static const char *const patterns[] = {
        "",       "a",      "/a//b", "/:",    "/*",      "/*a/b",
        "/a/:/b", "/a%20b", "/a?b",  "/a#b",  "/a/../b", "/./a",
        "/a/..",  "/a\\b",  "/a\nb", "/:a-b", "//",      TEN TEN TEN "/b/b/b",
    };
    struct h_server s;
    struct conduit_error err;
    conduit_http_handler *h = h_hello;

    h_serve(&s, *state, NULL);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        int code = conduit_http_route(s.http, "GET", patterns[i], h, NULL,
                                      &err);

        if (code != CONDUIT_EINVAL) {
            fail_msg("%s: %d", patterns[i], code);
        }
    }
    assert_int_equal(conduit_http_route(s.http, "", "/", h, NULL, NULL),
                     CONDUIT_EINVAL);
    assert_int_equal(conduit_http_route(s.http, "G T", "/", h, NULL, NULL),
                     CONDUIT_EINVAL);
    h_route(&s, "GET", "/a/:x", h, NULL);
    h_route(&s, "PUT", "/a/:x", h, NULL);
    assert_int_equal(conduit_http_route(s.http, "GET", "/a/:y", h, NULL, &err),
                     CONDUIT_EEXIST);
    assert_int_equal(conduit_http_route(s.http, "PUT", "/a/:x", h, NULL, &err),
                     CONDUIT_EEXIST);
    h_route(&s, "GET", "/a/*y", h, NULL);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(prefers_what_is_literal), T_TEST(looks_at_the_method_too),
        T_TEST(decodes_segments),        T_TEST(refuses_dot_segments),
        T_TEST(finds_its_way_in_depth),  T_TEST(refuses_malformed_patterns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
