/* SPDX-License-Identifier: ISC */
/*
 * A peer that ends its bytes below TLS, without close_notify, and reads on:
 * what it said counts as cut off, and what it is told arrives all the same.
 */
#include "support.h"

#include "core.h"
#include "test_identity.h"

#define LARGE 1000000u

struct cut {
    struct conduit_tls *tls;
    struct t_pair pair;
};

/* The server has written all that goes when the client's bytes end. */
static void begin(struct cut *cut, struct t_env *env, const char *engine)
{
    struct conduit_options options = {.tls_name = T_IDENTITY_NAME};
    struct conduit_error err = {0};
    struct t_conn *server = &cut->pair.b;
    uint64_t before;

    if (t_identity_tls(env->ctx, engine, false, &cut->tls, &err) != 0) {
        fail_msg("%s", err.text);
    }
    options.tls = cut->tls;
    t_connect(&cut->pair, env, "tls+mem://cut", &options);
    t_attach(server, env, server->conn, CONDUIT_READ | CONDUIT_WRITE);
    server->pull = true;
    server->push = true;
    server->goal = LARGE;
    do {
        before = server->sent;
        t_turns(env, 3);
    } while (server->sent > before);
    assert_in_range(server->sent, 1, LARGE - 1);
    assert_int_equal(conduit_conn_finish(cut->pair.a.conn->below, false), 0);
    T_UNTIL(env, server->end != 0);
    assert_int_equal(server->end, CONDUIT_ETRUNCATED);
    assert_int_equal(server->send_end, 0);
}

/* The client reads all that the server sends, and its close_notify. */
static void read_out(struct cut *cut, struct t_env *env)
{
    struct t_conn *client = &cut->pair.a;

    client->pull = true;
    t_attach(client, env, client->conn, CONDUIT_READ);
    T_UNTIL(env, client->end != 0);
    assert_int_equal(client->end, CONDUIT_END);
}

static void finish(struct cut *cut)
{
    t_disconnect(&cut->pair);
    conduit_tls_unref(cut->tls);
}

static void goes_on_writing(struct t_env *env, const char *engine)
{
    struct cut cut;
    struct t_conn *client = &cut.pair.a;
    struct t_conn *server = &cut.pair.b;

    begin(&cut, env, engine);
    client->pull = true;
    t_attach(client, env, client->conn, CONDUIT_READ);
    T_UNTIL(env, server->sent == LARGE || server->send_end != 0);
    assert_int_equal(server->send_end, 0);
    assert_int_equal(conduit_conn_error(server->conn, NULL),
                     CONDUIT_ETRUNCATED);
    t_close(server);
    T_UNTIL(env, client->end != 0);
    assert_int_equal(client->end, CONDUIT_END);
    assert_int_equal(client->received, LARGE);
    finish(&cut);
}

/* What was accepted before it goes out, though nobody writes any more. */
static void closes_at_once(struct t_env *env, const char *engine)
{
    struct cut cut;
    uint64_t sent;

    begin(&cut, env, engine);
    sent = cut.pair.b.sent;
    t_close(&cut.pair.b);
    read_out(&cut, env);
    assert_int_equal(cut.pair.a.received, sent);
    finish(&cut);
}

static void openssl_goes_on_writing(void **state)
{
    goes_on_writing(*state, "openssl");
}

static void bearssl_goes_on_writing(void **state)
{
    goes_on_writing(*state, "bearssl");
}

static void openssl_closes_at_once(void **state)
{
    closes_at_once(*state, "openssl");
}

static void bearssl_closes_at_once(void **state)
{
    closes_at_once(*state, "bearssl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(openssl_goes_on_writing),
        T_TEST(bearssl_goes_on_writing),
        T_TEST(openssl_closes_at_once),
        T_TEST(bearssl_closes_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
