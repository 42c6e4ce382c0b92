/* SPDX-License-Identifier: ISC */
/* URIs, good and bad: what they are taken apart into, and how they are refused.
 */
#include "support.h"

#include "chop.h"
#include "core.h"

#include <conduit/tls.h>
#include <conduit/transport.h>

static int setup(void **state)
{
    int rc = t_setup(state);
    struct t_env *env = *state;

    return rc != 0 ? rc : conduit_register_chop(env->ctx);
}

#define URI_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

struct good {
    const char *text;
    const char *transport;
    unsigned filters;
    bool http;
    const char *host;
    int kind;
    bool has_port;
    unsigned port;
    const char *path;
    const char *target;
    const char *address; /* NULL: none */
};

#define NONE CONDUIT_HOST_NONE
#define IP CONDUIT_HOST_IP
#define NAME CONDUIT_HOST_NAME

static const struct good good[] = {
    {"tcp://h:80/path?q", "tcp+socket", 0, false, "h", NAME, true, 80, "/path",
     "/path?q", NULL},
    {"tcp://h:80?q", "tcp+socket", 0, false, "h", NAME, true, 80, "", "/?q",
     NULL},
    {"tcp://127.0.0.1:80", "tcp+socket", 0, false, "127.0.0.1", IP, true, 80,
     "", "/", NULL},
    {"tcp://[::1]:0", "tcp+socket", 0, false, "::1", IP, true, 0, "", "/",
     NULL},
    {"tcp://[fe80::1%252]:9", "tcp+socket", 0, false, "fe80::1%2", IP, true, 9,
     "", "/", NULL},
    {"tcp://:8443", "tcp+socket", 0, false, "", NONE, true, 8443, "", "/",
     NULL},
    {"tcp+socket://h:65535", "tcp+socket", 0, false, "h", NAME, true, 65535, "",
     "/", NULL},
    {"tcp://example.org:https", "tcp+socket", 0, false, "example.org", NAME,
     true, 443, "", "/", NULL},
    {"TCP://Example.ORG:1", "tcp+socket", 0, false, "Example.ORG", NAME, true,
     1, "", "/", NULL},
    {"tcp://ex%61mple.org:1", "tcp+socket", 0, false, "example.org", NAME, true,
     1, "", "/", NULL},
    {"tcp://example.org.:1", "tcp+socket", 0, false, "example.org.", NAME, true,
     1, "", "/", NULL},
    {"tcp://_http._tcp.a-b.c:1", "tcp+socket", 0, false, "_http._tcp.a-b.c",
     NAME, true, 1, "", "/", NULL},
    {"chop+tcp://h:1", "tcp+socket", 1, false, "h", NAME, true, 1, "", "/",
     NULL},
    {"chop+chop+tcp+socket://h:1", "tcp+socket", 2, false, "h", NAME, true, 1,
     "", "/", NULL},
    {"http://h", "tcp+socket", 0, true, "h", NAME, false, 80, "", "/", NULL},
    {"http://h:8080/a/b?c=d", "tcp+socket", 0, true, "h", NAME, true, 8080,
     "/a/b", "/a/b?c=d", NULL},
    {"http://h?q", "tcp+socket", 0, true, "h", NAME, false, 80, "", "/?q",
     NULL},
    {"http://h/p#frag", "tcp+socket", 0, true, "h", NAME, false, 80, "/p", "/p",
     NULL},
    {"http+tcp://[2001:db8::1]/x", "tcp+socket", 0, true, "2001:db8::1", IP,
     false, 80, "/x", "/x", NULL},
    {"http+chop+tcp://h/x", "tcp+socket", 1, true, "h", NAME, false, 80, "/x",
     "/x", NULL},
    {"unix:///run/x.sock", "unix", 0, false, "", NONE, false, 0, "/run/x.sock",
     "/", "/run/x.sock"},
    {"unix:///a%20b", "unix", 0, false, "", NONE, false, 0, "/a%20b", "/",
     "/a b"},
    {"unix://@name", "unix", 0, false, "", NONE, false, 0, "", "/", "@name"},
    {"chop+unix:///x", "unix", 1, false, "", NONE, false, 0, "/x", "/", "/x"},
    {"http+unix://%2Frun%2Fx/a?b", "unix", 0, true, "", NONE, false, 80, "/a",
     "/a?b", "/run/x"},
    {"http+unix://%40name", "unix", 0, true, "", NONE, false, 80, "", "/",
     "@name"},
    {"mem://a", "mem", 0, false, "a", NAME, false, 0, "", "/", "a"},
    {"mem://a0.b_c-d", "mem", 0, false, "a0.b_c-d", NAME, false, 0, "", "/",
     "a0.b_c-d"},
    {"http+mem://a/b", "mem", 0, true, "a", NAME, false, 80, "/b", "/b", "a"},
    {"fd://3", "fd", 0, false, "3", NAME, false, 0, "", "/", "3"},
    {"fd://listen", "fd", 0, false, "listen", NAME, false, 0, "", "/",
     "listen"},
    {"vchan://a.b-c_1", "vchan", 0, false, "a.b-c_1", NAME, false, 0, "", "/",
     "a.b-c_1"},
    {"http+vchan://a/b?c", "vchan", 0, true, "a", NAME, false, 80, "/b", "/b?c",
     "a"},
    {"auto://h:80", "auto", 0, false, "h", NAME, true, 80, "", "/", NULL},
    {"auto://Example.org:http", "auto", 0, false, "Example.org", NAME, true, 80,
     "", "/", NULL},
    {"auto://:0", "auto", 0, false, "", NONE, true, 0, "", "/", NULL},
    {"auto://[::1]:8080", "auto", 0, false, "::1", IP, true, 8080, "", "/",
     NULL},
    {"chop+auto://127.0.0.1:1", "auto", 1, false, "127.0.0.1", IP, true, 1, "",
     "/", NULL},
    {"http+auto://127.0.0.1/x", "auto", 0, true, "127.0.0.1", IP, false, 80,
     "/x", "/x", NULL},
    {"http+auto://h:8080/x", "auto", 0, true, "h", NAME, true, 8080, "/x", "/x",
     NULL},
    {"auto://name", "auto", 0, false, "name", NAME, false, 0, "", "/", "name"},
    {"auto://localhost", "auto", 0, false, "localhost", NAME, false, 0, "", "/",
     "localhost"},
    {"http+auto://name/x", "auto", 0, true, "name", NAME, false, 80, "/x", "/x",
     "name"},
};

static void check_good(struct t_env *env, const struct good *g)
{
    struct conduit_uri *u = NULL;
    struct conduit_error err = {0};

    if (conduit_uri_parse(env->ctx, g->text, &u, &err) != 0) {
        fail_msg("%s: %s", g->text, err.text);
    }
    assert_string_equal(u->text, g->text);
    assert_memory_equal(u->scheme, g->text, strlen(u->scheme));
    assert_string_equal(u->transport->name, g->transport);
    assert_int_equal(u->filter_count, g->filters);
    assert_int_equal(u->http, g->http);
    assert_string_equal(u->host, g->host);
    assert_int_equal(u->host_kind, g->kind);
    assert_int_equal(u->has_port, g->has_port);
    assert_int_equal(u->port, g->port);
    assert_string_equal(u->path, g->path);
    assert_string_equal(u->target, g->target);
    if (g->address != NULL) {
        assert_non_null(u->address);
        assert_string_equal(u->address, g->address);
    }
    assert_null(u->user);
    conduit_uri_free(env->ctx, u);
}

/* Somebody's name is another than one's own. */
static void a_name_may_have_a_user(void **state)
{
    struct t_env *env = *state;
    struct conduit_uri *u = NULL;
    struct conduit_error err = {0};

    T_NEEDS("vchan");
    assert_int_equal(
        conduit_uri_parse(env->ctx, "tls+vchan://alice@a", &u, &err),
        conduit_tls_engine(env->ctx, 0) != NULL ? 0 : CONDUIT_ESCHEME);
    conduit_uri_free(env->ctx, u);
    assert_int_equal(
        conduit_uri_parse(env->ctx, "vchan://Al.ice_1-x@a.b", &u, &err), 0);
    assert_string_equal(u->user, "Al.ice_1-x");
    assert_string_equal(u->host, "a.b");
    assert_string_equal(u->address, "Al.ice_1-x@a.b");
    conduit_uri_free(env->ctx, u);
}

/* What can be resolved and verified is a host, and nothing else is. */
static void a_name_is_no_host(void **state)
{
    static const struct {
        const char *text;
        bool has_host;
    } uris[] = {
        {"tcp://h:1", true},  {"auto://h:1", true}, {"auto://[::1]:1", true},
        {"auto://h", false},  {"vchan://h", false}, {"mem://h", false},
        {"unix:///h", false},
    };
    struct t_env *env = *state;
    struct conduit_uri *u;

    T_NEEDS("auto");
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        assert_int_equal(conduit_uri_parse(env->ctx, uris[i].text, &u, NULL),
                         0);
        assert_int_equal(conduit_uri_has_host(u), uris[i].has_host);
        conduit_uri_free(env->ctx, u);
    }
}

/* Not every platform has every transport: the others' URIs are left out. */
static void good_uris_are_taken_apart(void **state)
{
    struct t_env *env = *state;
    unsigned checked = 0;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (t_has_transport(good[i].transport)) {
            check_good(env, &good[i]);
            checked++;
        }
    }
    assert_true(checked >= 3); /* those of mem */
}

static const struct {
    const char *text;
    int code;
    const char *says; /* in the message */
} bad[] = {
    {"", CONDUIT_EURI, "scheme"},
    {"localhost:80", CONDUIT_EURI, "scheme"},
    {"tcp:/h:80", CONDUIT_EURI, "scheme"},
    {"://h:80", CONDUIT_EURI, "scheme"},
    {"+tcp://h:80", CONDUIT_ESCHEME, "tcp"},
    {"tcp+://h:80", CONDUIT_ESCHEME, "tcp"},
    {"http+://h:80", CONDUIT_EURI, ""},
    {"chop://h:80", CONDUIT_EURI, "chop"},
    {"chop+://h:80", CONDUIT_ESCHEME, ""},
    {"chop+chop+chop+chop+chop+tcp://h:1", CONDUIT_EURI, "layers"},
    {"tcp+chop://h:80", CONDUIT_ESCHEME, "mem"},
    {"gopher://h:80", CONDUIT_ESCHEME, "gopher"},
    {"gopher://h:80", CONDUIT_ESCHEME, "tcp+socket"},
    {"gopher+tcp://h:80", CONDUIT_ESCHEME, "'gopher'"},
    {"tcp+nonsense://h:80", CONDUIT_ESCHEME, "nonsense"},
    {"tsl+tcp://h:1", CONDUIT_ESCHEME, "'tsl'"},
    {"http+http+tcp://h", CONDUIT_ESCHEME, "http"},
    {"t cp://h:80", CONDUIT_EURI, "character"},
    {"tcp://h :80", CONDUIT_EURI, "character"},
    {"tcp://h\t:80", CONDUIT_EURI, "character"},
    {"tcp://h\x80:80", CONDUIT_EURI, "character"},
    {"tcp://h\x7f:80", CONDUIT_EURI, "character"},
    {"tcp://<h>:80", CONDUIT_EURI, "character"},
    {"tcp://h%2:80", CONDUIT_EURI, "%"},
    {"tcp://h%zz:80", CONDUIT_EURI, "%"},
    {"tcp://h:80%", CONDUIT_EURI, "%"},
    {"tcp://h%00:80", CONDUIT_EURI, "zero"},
    {"unix:///a%00b", CONDUIT_EURI, ""},
    {"http+unix://%2Fa%00b/", CONDUIT_EURI, ""},
    {"tcp://h", CONDUIT_EURI, "port"},
    {"tcp://h:", CONDUIT_EURI, "port"},
    {"tcp://h:65536", CONDUIT_EURI, "65535"},
    {"tcp://h:99999999999999999999", CONDUIT_EURI, "port"},
    {"tcp://h:-1", CONDUIT_EURI, "port"},
    {"tcp://h:+1", CONDUIT_EURI, "port"},
    {"tcp://h:0x50", CONDUIT_EURI, "port"},
    {"tcp://h:nosuchservice", CONDUIT_EURI, "port"},
    {"tcp://h:80:80", CONDUIT_EURI, ""},
    {"tcp://::1:80", CONDUIT_EURI, "bracket"},
    {"tcp://[::1:80", CONDUIT_EURI, "]"},
    {"tcp://[::1]80", CONDUIT_EURI, "]"},
    {"tcp://[127.0.0.1]:80", CONDUIT_EURI, "bracket"},
    {"tcp://[]:80", CONDUIT_EURI, "bracket"},
    {"tcp://[h]:80", CONDUIT_EURI, "bracket"},
    {"tcp://[::1%25eth0]:80", CONDUIT_EURI, "bracket"},
    {"tcp://127.1:80", CONDUIT_EURI, "neither"},
    {"tcp://2130706433:80", CONDUIT_EURI, "neither"},
    {"tcp://0x7f.0.0.1:80", CONDUIT_EURI, "neither"},
    {"tcp://127.0.0.01:80", CONDUIT_EURI, "neither"},
    {"tcp://256.0.0.1:80", CONDUIT_EURI, "neither"},
    {"tcp://1.2.3.4.:80", CONDUIT_EURI, "neither"},
    {"tcp://a..b:80", CONDUIT_EURI, "neither"},
    {"tcp://.a:80", CONDUIT_EURI, "neither"},
    {"tcp://-a:80", CONDUIT_EURI, "neither"},
    {"tcp://a%2Fb:80", CONDUIT_EURI, "neither"},
    {"tcp://user@h:80", CONDUIT_EURI, "user"},
    {"tcp://@h:80", CONDUIT_EURI, "user"},
    {"tcp://h:80#fragment", CONDUIT_EURI, "fragment"},
    {"unix:///x?query", CONDUIT_EURI, "query"},
    {"unix://", CONDUIT_EURI, ""},
    {"unix://relative", CONDUIT_EURI, ""},
    {"unix://host/path", CONDUIT_EURI, ""},
    {"unix://@", CONDUIT_EURI, ""},
    {"http+unix:///x", CONDUIT_EURI, ""},
    {"mem://", CONDUIT_EURI, "name"},
    {"mem://Name", CONDUIT_EURI, "name"},
    {"mem://0a", CONDUIT_EURI, "name"},
    {"mem://a b", CONDUIT_EURI, ""},
    {"mem://a%20b", CONDUIT_EURI, "name"},
    {"mem://a:1", CONDUIT_EURI, "name"},
    {"mem://u@a", CONDUIT_EURI, ""},
    {"fd://", CONDUIT_EURI, ""},
    {"fd://-1", CONDUIT_EURI, ""},
    {"fd://x", CONDUIT_EURI, ""},
    {"fd://3x", CONDUIT_EURI, ""},
    {"fd://99999999999", CONDUIT_EURI, ""},
    {"vchan://", CONDUIT_EURI, "name"},
    {"vchan://A", CONDUIT_EURI, "name"},
    {"vchan://a:1", CONDUIT_EURI, "name"},
    {"vchan://a%2Fb", CONDUIT_EURI, "name"},
    {"vchan://u%2Fv@a", CONDUIT_EURI, "user"},
    {"vchan://@a", CONDUIT_EURI, "user"},
    {"vchan://u@", CONDUIT_EURI, "name"},
    {"vchan://u@v@a", CONDUIT_EURI, "user"},
    {"vchan://5", CONDUIT_EURI, "domain"},
    {"vchan://5:2", CONDUIT_EURI, "domain"},
    {"auto://", CONDUIT_EURI, "host:port"},
    {"auto://Name", CONDUIT_EURI, "host:port"},
    {"auto://u@name", CONDUIT_EURI, "host:port"},
    {"auto://u@h:1", CONDUIT_EURI, "user"},
    {"auto://5", CONDUIT_EURI, "host:port"},
    {"auto://5:1", CONDUIT_EURI, "neither"},
    {"auto://127.0.0.1", CONDUIT_EURI, "port"},
    {"auto://[::1]", CONDUIT_EURI, "port"},
    {"auto://h:65536", CONDUIT_EURI, "65535"},
    {"auto://a%2Fb:1", CONDUIT_EURI, "neither"},
    {"auto://a%2Fb", CONDUIT_EURI, "host:port"},
};

/* Whether the transports are there that a URI ends its scheme with, or that its
 * refusal speaks of, where a platform may be without. */
static bool can_be_judged(const char *text, const char *says)
{
    static const char *const ends[][2] = {
        {"tcp://", "tcp+socket"}, {"tcp+://", "tcp+socket"},
        {"unix://", "unix"},      {"fd://", "fd"},
        {"vchan://", "vchan"},    {"auto://", "auto"}};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if ((strstr(text, ends[i][0]) != NULL ||
             strcmp(says, ends[i][1]) == 0) &&
            !t_has_transport(ends[i][1])) {
            return false;
        }
    }
    return true;
}

static void bad_uris_are_refused_with_a_reason(void **state)
{
    struct t_env *env = *state;
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct conduit_uri *u = NULL;
        struct conduit_error err = {0};
        int code;

        if (!can_be_judged(bad[i].text, bad[i].says)) {
            continue;
        }
        code = conduit_uri_parse(env->ctx, bad[i].text, &u, &err);
        if (code == 0) {
            conduit_uri_free(env->ctx, u);
        }
        if (code != bad[i].code || err.code != code || err.layer == NULL ||
            strncmp(err.text, err.layer, strlen(err.layer)) != 0 ||
            strstr(err.text, bad[i].says) == NULL) {
            print_error("%s: %s, %s\n", bad[i].text, conduit_code_name(code),
                        err.text);
            wrong++;
        }
        if (conduit_uri_parse(env->ctx, bad[i].text, &u, NULL) == 0) {
            conduit_uri_free(env->ctx, u);
        }
    }
    assert_int_equal(wrong, 0);
}

static void lengths_are_limited(void **state)
{
    struct t_env *env = *state;
    char text[CONDUIT_URI_MAX + 2];
    struct conduit_uri *u = NULL;
    struct conduit_error err = {0};

    memset(text, 'a', sizeof text);
    memcpy(text, "http+mem://h/", 13);
    text[CONDUIT_URI_MAX] = '\0';
    assert_int_equal(conduit_uri_parse(env->ctx, text, &u, &err), 0);
    assert_int_equal(strlen(u->target), CONDUIT_URI_MAX - 12);
    conduit_uri_free(env->ctx, u);
    text[CONDUIT_URI_MAX] = 'a';
    text[CONDUIT_URI_MAX + 1] = '\0';
    assert_int_equal(conduit_uri_parse(env->ctx, text, &u, &err), CONDUIT_EURI);
    memcpy(text, "mem://", 6);
    memset(text + 6, 'a', CONDUIT_NAME_MAX);
    text[6 + CONDUIT_NAME_MAX] = '\0';
    assert_int_equal(conduit_uri_parse(env->ctx, text, &u, &err), 0);
    conduit_uri_free(env->ctx, u);
    text[6 + CONDUIT_NAME_MAX] = 'a';
    text[7 + CONDUIT_NAME_MAX] = '\0';
    assert_int_equal(conduit_uri_parse(env->ctx, text, &u, &err), CONDUIT_EURI);
}

static void labels_are_limited(void **state)
{
    struct t_env *env = *state;
    const char text[] =
        "tcp://h."
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        ":1"; /* a label of 63 */
    char longer[sizeof text + 1] = "tcp://a";
    struct conduit_uri *u = NULL;
    struct conduit_error err = {0};

    T_NEEDS("tcp+socket");
    assert_int_equal(conduit_uri_parse(env->ctx, text, &u, &err), 0);
    conduit_uri_free(env->ctx, u);
    memcpy(longer + 7, text + 8, sizeof text - 8);
    assert_int_equal(conduit_uri_parse(env->ctx, longer, &u, &err),
                     CONDUIT_EURI);
}

/* The longest path of a Unix socket is 107 bytes and its NUL. */
static void unix_paths_have_their_length(void **state)
{
    struct t_env *env = *state;
    char text[256] = "unix:///";
    struct conduit_uri *u = NULL;
    struct conduit_error err = {0};

    T_NEEDS("unix");
    memset(text + 8, 'a', 106);
    text[8 + 106] = '\0';
    assert_int_equal(conduit_uri_parse(env->ctx, text, &u, &err), 0);
    assert_int_equal(strlen(u->address), 107);
    conduit_uri_free(env->ctx, u);
    text[8 + 106] = 'a';
    text[8 + 107] = '\0';
    assert_int_equal(conduit_uri_parse(env->ctx, text, &u, &err), CONDUIT_EURI);
}

static bool is_listed(struct t_env *env, const char *wanted)
{
    const char *scheme;
    const char *summary;

    for (size_t i = 0; conduit_ctx_transport(env->ctx, i, &scheme, &summary);
         i++) {
        assert_true(strlen(summary) > 0);
        if (strcmp(scheme, wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* As written in a URI, and once. */
static void what_is_registered_is_listed(void **state)
{
    struct t_env *env = *state;
    const char *scheme;
    const char *summary;
    size_t n = 0;

    while (t_transports[n] != NULL) {
        assert_true(is_listed(env, t_transports[n]));
        n++;
    }
    assert_true(is_listed(env, "chop"));
    n++;
    if (conduit_tls_engine(env->ctx, 0) != NULL) {
        assert_true(is_listed(env, "tls"));
        n++;
    }
    assert_int_equal(t_platform_register(env->ctx), 0);
    assert_true(conduit_ctx_transport(env->ctx, n - 1, &scheme, &summary));
    assert_false(conduit_ctx_transport(env->ctx, n, &scheme, &summary));
}

/* Without an engine, TLS is refused when the URI is read. */
static void tls_needs_an_engine(void **state)
{
    struct conduit_error err = {0};
    struct conduit_ctx *ctx = NULL;
    struct conduit_uri *uri = NULL;

    (void)state;
    assert_int_equal(t_platform_new(NULL, &ctx, &err), 0);
    assert_int_equal(conduit_register_mem(ctx), 0);
    assert_int_equal(conduit_uri_parse(ctx, "tls+mem://a", &uri, &err),
                     CONDUIT_ESCHEME);
    assert_non_null(strstr(err.text, "'tls'"));
    assert_int_equal(conduit_uri_parse(ctx, "https://a", &uri, &err),
                     CONDUIT_ESCHEME);
    assert_non_null(strstr(err.text, "'tls'"));
    assert_null(conduit_tls_engine(ctx, 0));
    conduit_ctx_free(ctx);
}

static void the_stack_of_tcp_can_be_chosen(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err = {0};

    T_NEEDS("tcp+socket");
    assert_int_equal(conduit_ctx_set_net(env->ctx, "socket", &err), 0);
    assert_int_equal(conduit_ctx_set_net(env->ctx, "nonsense", &err),
                     CONDUIT_ESCHEME);
    assert_non_null(strstr(err.text, "nonsense"));
}

static void with_options_the_stack_of_tcp_can_be_chosen(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err = {0};
    char text[600];

    T_NEEDS("tcp+socket");
    assert_int_equal(conduit_ctx_set_net(env->ctx, "socket,x", &err),
                     CONDUIT_EINVAL);
    assert_non_null(strstr(err.text, "'socket' has no options"));
    assert_int_equal(conduit_ctx_set_net(env->ctx, "socket,", &err),
                     CONDUIT_EINVAL);
    assert_int_equal(conduit_ctx_set_net(env->ctx, "sockets,x", &err),
                     CONDUIT_ESCHEME);
    assert_non_null(strstr(err.text, "'sockets'"));
    assert_int_equal(conduit_ctx_set_net(env->ctx, ",x", &err),
                     CONDUIT_ESCHEME);
    assert_int_equal(conduit_ctx_set_net(env->ctx, "", &err), CONDUIT_ESCHEME);
    memset(text, 'x', sizeof text);
    memcpy(text, "socket,", 7);
    text[512] = '\0';
    assert_int_equal(conduit_ctx_set_net(env->ctx, text, &err), CONDUIT_ELIMIT);
    assert_non_null(strstr(err.text, "of 512 bytes: 511"));
    text[511] = '\0';
    assert_int_equal(conduit_ctx_set_net(env->ctx, text, &err), CONDUIT_EINVAL);
    assert_string_equal(env->ctx->net, "socket");
    assert_string_equal(env->ctx->net_text, "socket");
}

static int with_net(const char *net, struct conduit_error *err)
{
    struct conduit_ctx *ctx = NULL;
    int code;

    assert_int_equal(setenv("CONDUIT_NET", net, 1), 0);
    code = t_platform_new(NULL, &ctx, err);
    assert_int_equal(unsetenv("CONDUIT_NET"), 0);
    if (code == 0) {
        assert_int_equal(strncmp(ctx->net_text, net, strlen(net)), 0);
        conduit_ctx_free(ctx);
    }
    return code;
}

static void by_the_environment_the_stack_of_tcp_can_be_chosen(void **state)
{
    struct conduit_error err = {0};
    char text[600];

    (void)state;
    T_NEEDS("tcp+socket");
    assert_int_equal(with_net("", &err), 0);
    assert_int_equal(with_net("socket", &err), 0);
    assert_int_equal(with_net("direct,tap=tap0,dhcp", &err), 0);
    assert_int_equal(with_net("socket,x", &err), CONDUIT_EINVAL);
    assert_non_null(strstr(err.text, "CONDUIT_NET: 'socket,x': "));
    memset(text, 'x', sizeof text);
    memcpy(text, "direct,", 7);
    text[512] = '\0';
    assert_int_equal(with_net(text, &err), CONDUIT_ELIMIT);
    assert_non_null(strstr(err.text, "CONDUIT_NET"));
    text[511] = '\0';
    assert_int_equal(with_net(text, &err), 0);
}

static void a_stack_that_is_not_there_is_named(void **state)
{
    struct conduit_error err = {0};
    struct conduit_ctx *ctx = NULL;
    struct conduit_uri *u = NULL;

    (void)state;
    T_NEEDS("tcp+socket");
    assert_int_equal(setenv("CONDUIT_NET", "frob,tap=tap0", 1), 0);
    assert_int_equal(t_platform_new(NULL, &ctx, &err), 0);
    assert_int_equal(unsetenv("CONDUIT_NET"), 0);
    assert_int_equal(t_platform_register(ctx), 0);
    assert_int_equal(conduit_uri_parse(ctx, "http+tcp://a:1", &u, &err),
                     CONDUIT_ESCHEME);
    assert_non_null(strstr(err.text, "'tcp' by the stack 'frob', which "
                                     "CONDUIT_NET or the program has chosen, "
                                     "is not in this build, which has: "));
    assert_non_null(strstr(err.text, "tcp+socket"));
    assert_int_equal(conduit_uri_parse(ctx, "tcp+frob://a:1", &u, &err),
                     CONDUIT_ESCHEME);
    assert_non_null(strstr(err.text, "'tcp+frob' is not in this build"));
    assert_int_equal(conduit_uri_parse(ctx, "tcp+socket://a:1", &u, &err), 0);
    conduit_uri_free(ctx, u);
    conduit_ctx_free(ctx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        URI_TEST(good_uris_are_taken_apart),
        URI_TEST(bad_uris_are_refused_with_a_reason),
        URI_TEST(a_name_may_have_a_user),
        URI_TEST(a_name_is_no_host),
        URI_TEST(lengths_are_limited),
        URI_TEST(labels_are_limited),
        URI_TEST(unix_paths_have_their_length),
        URI_TEST(what_is_registered_is_listed),
        URI_TEST(tls_needs_an_engine),
        URI_TEST(the_stack_of_tcp_can_be_chosen),
        URI_TEST(with_options_the_stack_of_tcp_can_be_chosen),
        URI_TEST(by_the_environment_the_stack_of_tcp_can_be_chosen),
        URI_TEST(a_stack_that_is_not_there_is_named),
    };

    return cmocka_run_group_tests_name("uri", tests, NULL, NULL);
}
