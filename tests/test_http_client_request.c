/* SPDX-License-Identifier: ISC */
/* What a call makes the client send, byte by byte, and what it refuses. */
#include "test_http_client.h"

/* Sends one request and compares all that the server got. */
static void assert_sent(void **state, const char *listen, const char *uri,
                        struct conduit_http_call_options o, const char *bytes)
{
    struct rig r;
    struct call *c;

    rig_open_at(&r, state, listen, uri, NULL);
    c = call_made(r.env, r.client, o);
    T_UNTIL(r.env, r.peer->count > 0 && r.peer->conns[0].size >= strlen(bytes));
    t_turns(r.env, 4); /* for what should not come */
    assert_string_equal(r.peer->conns[0].in, bytes);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_int_equal(c->status, 204);
    rig_close(&r);
    call_free(c);
}

static void plain_get(void **state)
{
    assert_sent(state, "mem://peer", URI, GET,
                "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static void target_of_the_uri(void **state)
{
    const struct conduit_http_call_options o = {.method = NULL};

    assert_sent(state, "mem://peer", "http+mem://peer/a/b?c=d", o,
                "GET /a/b?c=d HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static void target_without_http_in_front(void **state)
{
    const struct conduit_http_call_options o = {.method = "DELETE"};

    assert_sent(state, "mem://peer", "mem://peer/x?y", o,
                "DELETE /x?y HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static void fields_in_order(void **state)
{
    const struct conduit_http_field fields[] = {
        {"Accept", "*/*"}, {"X-A", "1"}, {"X-A", "two words"}, {"X-E", ""}};
    const struct conduit_http_call_options o = {
        .target = "/f", .fields = fields, .field_count = 4};

    assert_sent(state, "mem://peer", URI, o,
                "GET /f HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
                "X-A: 1\r\nX-A: two words\r\nX-E: \r\n\r\n");
}

static void own_host(void **state)
{
    const struct conduit_http_field fields[] = {{"host", "example.org"}};
    const struct conduit_http_call_options o = {
        .target = "/", .fields = fields, .field_count = 1};

    assert_sent(state, "mem://peer", URI, o,
                "GET / HTTP/1.1\r\nhost: example.org\r\n\r\n");
}

static void body_in_memory(void **state)
{
    assert_sent(state, "mem://peer", URI, POST("a=b"),
                "POST / HTTP/1.1\r\nHost: localhost\r\n"
                "Content-Length: 3\r\n\r\na=b");
}

static void methods_that_have_a_body_say_that_it_is_empty(void **state)
{
    const struct conduit_http_call_options put = {.method = "PUT",
                                                  .target = "/"};

    assert_sent(state, "mem://peer", URI, put,
                "PUT / HTTP/1.1\r\nHost: localhost\r\n"
                "Content-Length: 0\r\n\r\n");
}

static void server_wide_options(void **state)
{
    const struct conduit_http_call_options o = {.method = "OPTIONS",
                                                .target = "*"};

    assert_sent(state, "mem://peer", URI, o,
                "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

/* ---- Host --------------------------------------------------------------- */

/* The Host that a client of this URI sends; the URI's port is replaced. */
static void assert_host(void **state, const char *address, const char *format,
                        const char *host)
{
    struct rig r;
    struct call *c;
    char listen[64];
    char uri[128];
    char want[128];
    const char *port;
    struct conduit_error err;

    T_NEEDS("tcp+socket");
    memset(&r, 0, sizeof r);
    r.env = *state;
    r.peer = calloc(1, sizeof *r.peer);
    assert_non_null(r.peer);
    (void)snprintf(listen, sizeof listen, "tcp://%s:0", address);
    peer_listen(r.peer, r.env, listen);
    port = strrchr(conduit_listener_uri(r.peer->listener), ':') + 1;
    (void)snprintf(uri, sizeof uri, "%s:%s", format, port);
    (void)snprintf(want, sizeof want, "\r\nHost: %s:%s\r\n", host, port);
    assert_int_equal(
        conduit_http_client_new(r.env->ctx, uri, NULL, &r.client, &err), 0);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    assert_non_null(strstr(r.peer->conns[0].in, want));
    rig_close(&r);
    call_free(c);
}

static void host_is_the_name(void **state)
{
    assert_host(state, "127.0.0.1", "http://localhost", "localhost");
    assert_host(state, "127.0.0.1", "tcp://localhost", "localhost");
}

static void host_is_the_address(void **state)
{
    assert_host(state, "127.0.0.1", "http+tcp+socket://127.0.0.1", "127.0.0.1");
}

static void host_of_ipv6_has_brackets(void **state)
{
    if (!t_have_ipv6()) {
        skip();
    }
    assert_host(state, "[::1]", "http://[::1]", "[::1]");
    assert_host(state, "[::1]", "http://[0:0::1]", "[::1]");
}

/* Where nobody needs to answer. */
static void host_of_uris(void **state)
{
    static const struct {
        const char *transport;
        const char *uri;
        const char *line;
    } uris[] = {
        {"mem", "http+mem://name/x", "Host: localhost"},
        {"tcp+socket", "http://a.test", "Host: a.test"},
        {"tcp+socket", "http://a.test:80", "Host: a.test"},
        {"tcp+socket", "tcp://a.test:80", "Host: a.test"},
        {"tcp+socket", "http://a.test:443", "Host: a.test:443"},
        {"tcp+socket", "http://192.0.2.1:8080/x", "Host: 192.0.2.1:8080"},
        {"tcp+socket", "http://[fe80::1%251]/", "Host: [fe80::1]"},
        {"tcp+socket", "tcp://[2001:DB8::0:1]:81", "Host: [2001:db8::1]:81"},
        {"unix", "http+unix://%2Fa%2Fb/c", "Host: localhost"},
        {"unix", "unix://@name", "Host: localhost"},
    };
    struct t_env *env = *state;

    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        const struct conduit_http_call_options o = {.method = NULL};
        struct conduit_http_client *client;
        struct conduit_http_call *call;
        struct conduit_error err;

        if (!t_has_transport(uris[i].transport)) {
            continue;
        }
        if (conduit_http_client_new(env->ctx, uris[i].uri, NULL, &client,
                                    &err) != 0) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(conduit_http_call(client, &o, &call, NULL), 0);
        assert_string_equal(conduit_http_call_sent(call, 1), uris[i].line);
        conduit_http_client_free(client);
    }
}

/* ---- refused ------------------------------------------------------------ */

static void assert_refused(struct rig *r, struct conduit_http_call_options o)
{
    struct call *c = call_new(r->env, r->client);
    struct conduit_error err = {0};

    assert_int_equal(call_try(c, o, &err), CONDUIT_EINVAL);
    assert_int_equal(err.code, CONDUIT_EINVAL);
    assert_string_equal(err.layer, "http");
    call_free(c);
}

static void refuses_what_would_break_out(void **state)
{
    static const struct conduit_http_field bad[] = {
        {"X", "a\r\nY: b"},
        {"X", "a\nb"},
        {"X\r\n", "a"},
        {"", "a"},
        {"X Y", "a"},
        {"X", "\x01"},
        {"Content-Length", "5"},
        {"transfer-encoding", "chunked"},
        {"Connection", "close"},
    };
    struct conduit_http_call_options o = {.target = "/"};
    struct rig r;

    rig_open(&r, state, NULL);
    o.field_count = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.fields = &bad[i];
        assert_refused(&r, o);
    }
    o.field_count = 0;
    o.method = "GE T";
    assert_refused(&r, o);
    o.method = "";
    assert_refused(&r, o);
    o.method = "GET / HTTP/1.1\r\nX:";
    assert_refused(&r, o);
    t_turns(r.env, 4);
    assert_int_equal(r.peer->count, 0);
    rig_close(&r);
}

static void refuses_targets(void **state)
{
    const char *const bad[] = {"",       "a",         "*",    "/a b",
                               "/a\r\n", "http://a/", "/\x7f"};
    struct conduit_http_call_options o = {.method = NULL};
    struct rig r;

    rig_open(&r, state, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.target = bad[i];
        assert_refused(&r, o);
    }
    o.method = "CONNECT";
    o.target = "/";
    assert_refused(&r, o);
    rig_close(&r);
}

static void refuses_two_bodies(void **state)
{
    struct conduit_http_call_options o = POST("x");
    struct rig r;

    rig_open(&r, state, NULL);
    o.source = call_source;
    assert_refused(&r, o);
    o = GET;
    o.body_size = 1;
    assert_refused(&r, o);
    o = GET;
    o.field_count = 1;
    assert_refused(&r, o);
    rig_close(&r);
}

static void refuses_a_head_without_measure(void **state)
{
    struct conduit_http_field field = {"X", NULL};
    struct conduit_http_call_options o = {
        .target = "/", .fields = &field, .field_count = 1};
    struct conduit_error err;
    struct rig r;
    struct call *c;
    char *value = malloc(1 << 20);

    assert_non_null(value);
    memset(value, 'x', 1 << 20);
    value[(1 << 20) - 1] = '\0';
    field.value = value;
    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    assert_int_equal(call_try(c, o, &err), CONDUIT_ELIMIT);
    rig_close(&r);
    call_free(c);
    free(value);
}

struct bad_uri {
    const char *uri;
    int code;
};

static void refuse(struct t_env *env, const struct bad_uri *bad)
{
    struct conduit_http_client *client;
    struct conduit_error err = {0};
    int rc = conduit_http_client_new(env->ctx, bad->uri, NULL, &client, &err);

    if (rc != bad->code) {
        fail_msg("%s: %d %s", bad->uri, rc, err.text);
    }
    assert_int_equal(err.code, rc);
}

static void refuses_uris(void **state)
{
    static const struct bad_uri bad[] = {
        {"", CONDUIT_EURI},
        {"peer", CONDUIT_EURI},
        {"http+mem://", CONDUIT_EURI},
        {"nonsense://a/", CONDUIT_ESCHEME},
        {"http+nonsense://a/", CONDUIT_ESCHEME},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refuse(*state, &bad[i]);
    }
}

static void refuses_hosts(void **state)
{
    static const struct bad_uri bad[] = {
        {"http://", CONDUIT_EURI},
        {"http://a b/", CONDUIT_EURI},
        {"http://[::1/", CONDUIT_EURI},
        {"http://a:99999/", CONDUIT_EURI},
    };

    T_NEEDS("tcp+socket");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refuse(*state, &bad[i]);
    }
}

static void limits_how_many_wait(void **state)
{
    const struct conduit_http_options options = {.max_pipeline = 3};
    struct call *calls[3];
    struct call *more;
    struct conduit_error err;
    struct rig r;

    rig_open(&r, state, &options);
    for (unsigned i = 0; i < 3; i++) {
        calls[i] = call_made(r.env, r.client, GET);
    }
    more = call_new(r.env, r.client);
    assert_int_equal(call_try(more, GET, &err), CONDUIT_ELIMIT);
    for (unsigned i = 0; i < 3; i++) {
        PEER_WAIT(r.peer, 0, i + 1);
        peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
        CALL_WAIT(calls[i]);
        call_free(calls[i]);
    }
    call_start(more, GET);
    PEER_WAIT(r.peer, 0, 4);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(more);
    rig_close(&r);
    call_free(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(plain_get),
        T_TEST(target_of_the_uri),
        T_TEST(target_without_http_in_front),
        T_TEST(fields_in_order),
        T_TEST(own_host),
        T_TEST(body_in_memory),
        T_TEST(methods_that_have_a_body_say_that_it_is_empty),
        T_TEST(server_wide_options),
        T_TEST(host_is_the_name),
        T_TEST(host_is_the_address),
        T_TEST(host_of_ipv6_has_brackets),
        T_TEST(host_of_uris),
        T_TEST(refuses_what_would_break_out),
        T_TEST(refuses_targets),
        T_TEST(refuses_two_bodies),
        T_TEST(refuses_a_head_without_measure),
        T_TEST(refuses_uris),
        T_TEST(refuses_hosts),
        T_TEST(limits_how_many_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
