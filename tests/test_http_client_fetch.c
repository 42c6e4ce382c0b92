/* SPDX-License-Identifier: ISC */
/* The short form of a call. */
#include "test_http_client.h"

struct result {
    struct t_env *env;
    struct conduit_http_client
        *client; /* to be freed in the callback, or NULL */
    unsigned calls;
    int status;
    size_t size;
    char body[64];
    char type[64];
    struct conduit_error err;
};

static void on_answer(void *arg, const struct conduit_http_answer *answer,
                      const struct conduit_error *err)
{
    struct result *r = arg;
    const char *type;

    r->calls++;
    T_CHECK(r->env, (answer == NULL) == (err != NULL));
    if (err != NULL) {
        r->err = *err;
        return;
    }
    r->status = answer->status;
    r->size = answer->size;
    T_CHECK(r->env, answer->body != NULL);
    (void)snprintf(r->body, sizeof r->body, "%.*s", (int)answer->size,
                   (const char *)answer->body);
    type = conduit_http_call_header(answer->call, "content-type");
    (void)snprintf(r->type, sizeof r->type, "%s", type != NULL ? type : "");
    conduit_http_client_free(r->client);
}

static void collects(void **state)
{
    struct rig r;
    char body[] = "{\"a\":1}";
    struct result got = {.env = *state};

    rig_open(&r, state, NULL);
    assert_int_equal(conduit_http_fetch(r.client, "PUT", "/x",
                                        "application/json", body,
                                        sizeof body - 1, on_answer, &got, NULL),
                     0);
    memset(body, '!', sizeof body); /* it was copied */
    T_UNTIL(r.env, r.peer->count > 0 &&
                       strstr(r.peer->conns[0].in, "{\"a\":1}") != NULL);
    assert_string_equal(r.peer->conns[0].in,
                        "PUT /x HTTP/1.1\r\nHost: localhost\r\n"
                        "Content-Type: application/json\r\n"
                        "Content-Length: 7\r\n\r\n{\"a\":1}");
    peer_send(r.peer, 0,
              "HTTP/1.1 201 Made\r\nContent-Type: text/plain\r\n"
              "Transfer-Encoding: chunked\r\n\r\n"
              "3\r\nfor\r\n4\r\nty-2\r\n0\r\n\r\n");
    T_UNTIL(r.env, got.calls > 0);
    assert_int_equal(got.status, 201);
    assert_string_equal(got.body, "forty-2");
    assert_string_equal(got.type, "text/plain");
    rig_close(&r);
}

static void needs_nothing(void **state)
{
    struct rig r;
    struct result got = {.env = *state};

    rig_open(&r, state, NULL);
    assert_int_equal(conduit_http_fetch(r.client, NULL, NULL, NULL, NULL, 0,
                                        on_answer, &got, NULL),
                     0);
    PEER_WAIT(r.peer, 0, 1);
    assert_string_equal(r.peer->conns[0].in,
                        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    T_UNTIL(r.env, got.calls > 0);
    assert_int_equal(got.status, 204);
    assert_int_equal(got.size, 0);
    rig_close(&r);
}

static void tells_of_errors(void **state)
{
    const struct conduit_http_options options = {.max_body = 8};
    struct rig r;
    struct result got = {.env = *state};

    rig_open(&r, state, &options);
    assert_int_equal(conduit_http_fetch(r.client, NULL, NULL, NULL, NULL, 0,
                                        on_answer, &got, NULL),
                     0);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\n\r\nnine bytes");
    T_UNTIL(r.env, got.calls > 0);
    assert_int_equal(got.err.code, CONDUIT_ELIMIT);
    assert_int_equal(conduit_http_fetch(r.client, "G T", NULL, NULL, NULL, 0,
                                        on_answer, &got, NULL),
                     CONDUIT_EINVAL);
    assert_int_equal(got.calls, 1);
    rig_close(&r);
}

static void may_free_the_client(void **state)
{
    struct rig r;
    struct result got = {.env = *state};

    rig_open(&r, state, NULL);
    got.client = r.client;
    assert_int_equal(conduit_http_fetch(r.client, NULL, NULL, NULL, NULL, 0,
                                        on_answer, &got, NULL),
                     0);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    T_UNTIL(r.env, got.calls > 0);
    r.client = NULL;
    rig_close(&r);
}

static void freeing_ends_it(void **state)
{
    struct rig r;
    struct result got = {.env = *state};

    rig_open(&r, state, NULL);
    assert_int_equal(conduit_http_fetch(r.client, NULL, NULL, NULL, NULL, 0,
                                        on_answer, &got, NULL),
                     0);
    conduit_http_client_free(r.client);
    r.client = NULL;
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.err.code, CONDUIT_ECANCELED);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(collects),        T_TEST(needs_nothing),
        T_TEST(tells_of_errors), T_TEST(may_free_the_client),
        T_TEST(freeing_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
