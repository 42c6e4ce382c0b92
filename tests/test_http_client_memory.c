/* SPDX-License-Identifier: ISC */
/*
 * Memory runs out at each allocation in turn, those of the transport and of the
 * dial included: every call ends, exactly once, and nothing is left behind.
 */
#include "test_http_client.h"

struct result {
    unsigned calls;
    int code;
};

static void on_answer(void *arg, const struct conduit_http_answer *answer,
                      const struct conduit_error *err)
{
    struct result *r = arg;

    r->calls++;
    r->code = err != NULL ? err->code : 0;
    if (answer != NULL && (answer->status != 200 || answer->size != 5000)) {
        r->code = CONDUIT_EPROTO;
    }
}

/* Answers connection i once, if it asked. */
static void serve(struct peer *p, bool served[PEER_CONNS])
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
    static char body[5000];

    for (unsigned i = 0; i < p->count; i++) {
        struct conduit_conn *conn = p->conns[i].conn;

        if (!served[i] && peer_has(p, i, 1)) {
            served[i] = true;
            if (conduit_conn_write(conn, head, sizeof head - 1) < 0 ||
                conduit_conn_write(conn, body, sizeof body) <
                    (long)sizeof body) {
                peer_reset(p, i); /* it was the server's memory */
            }
        }
    }
}

/* Makes a client and a fetch; allocation n fails. Answers whether it came. */
static bool run(void **state, size_t n)
{
    /* Where it is the server that has no memory, the client waits. */
    const struct conduit_http_options options = {
        .answer_ms = 1000, .body_ms = 1000, .conn = {.attempt_ms = 1000}};
    struct t_env *env = *state;
    struct conduit_http_client *client = NULL;
    struct peer *peer = calloc(1, sizeof *peer);
    bool served[PEER_CONNS] = {false};
    struct result got = {0};
    int rc;

    assert_non_null(peer);
    peer_listen(peer, env, "mem://peer");
    env->mem.calls = 0;
    env->mem.failed = false;
    env->mem.fail_at = n;
    rc = conduit_http_client_new(env->ctx, URI, &options, &client, NULL);
    if (rc == 0) {
        rc = conduit_http_fetch(client, "PUT", "/", NULL, "x", 1, on_answer,
                                &got, NULL);
    }
    if (rc == 0) {
        T_UNTIL(env, (serve(peer, served), got.calls > 0));
        assert_int_equal(got.calls, 1);
    } else {
        assert_int_equal(rc, CONDUIT_ENOMEM);
        assert_int_equal(got.calls, 0);
    }
    if (!env->mem.failed) {
        assert_int_equal(got.code, 0);
    }
    env->mem.fail_at = 0;
    conduit_http_client_free(client);
    peer_free(peer);
    return env->mem.failed;
}

static void fails_at_each_allocation(void **state)
{
    size_t n = 1;

    while (run(state, n)) {
        n++;
    }
    assert_true(n > 10); /* it had some to fail at */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(fails_at_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
