/* SPDX-License-Identifier: ISC */
/*
 * What goes wrong under way: who is told, in which words, and that the client
 * works again afterwards.
 */
#include "test_http_client.h"

/* One GET that gets these bytes, and then the end or silence. */
static void assert_error(void **state, const char *bytes, bool close, int code,
                         const char *text)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, bytes);
    if (close) {
        peer_close(r.peer, 0);
    }
    CALL_WAIT(c);
    assert_int_equal(c->err.code, code);
    assert_string_equal(c->err.layer, "http");
    if (strstr(c->err.text, text) == NULL) {
        fail_msg("%s", c->err.text);
    }
    if (!close) {
        T_UNTIL(r.env, r.peer->conns[0].end != 0);
    }
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
    call_free(c);
}

static void closed_before_the_answer(void **state)
{
    assert_error(state, "", true, CONDUIT_ETRUNCATED,
                 "http: connection closed before the answer's head");
}

static void closed_within_the_head(void **state)
{
    assert_error(state, "HTTP/1.1 200 OK\r\nX: ", true, CONDUIT_ETRUNCATED,
                 "http: connection closed within the answer's head");
}

static void closed_after_an_interim_answer(void **state)
{
    assert_error(state, "HTTP/1.1 100 Continue\r\n\r\n", true,
                 CONDUIT_ETRUNCATED, "within the answer's head");
}

static void closed_within_the_body(void **state)
{
    assert_error(state, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true,
                 CONDUIT_ETRUNCATED,
                 "http: connection closed within the answer's body, after 3 "
                 "bytes of it");
    assert_error(state,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n",
                 true, CONDUIT_ETRUNCATED, "after 3 bytes");
}

static void malformed(void **state)
{
    assert_error(state, "SSH-2.0-OpenSSH\r\n", false, CONDUIT_EPROTO,
                 "http: malformed answer: ");
    assert_error(state, "HTTP/1.1 200 OK\nX: y\r\n", false, CONDUIT_EPROTO,
                 "malformed answer: ");
    assert_error(state,
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n",
                 false, CONDUIT_EPROTO, "malformed answer: ");
    assert_error(state,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx",
                 false, CONDUIT_EPROTO, "malformed answer: ");
}

static void a_head_over_the_limit(void **state)
{
    static char bytes[20000];
    int n = snprintf(bytes, sizeof bytes, "HTTP/1.1 200 OK\r\nX: ");

    memset(bytes + n, 'x', sizeof bytes - 1 - (size_t)n);
    assert_error(state, bytes, false, CONDUIT_ELIMIT,
                 "http: answer over a limit: ");
}

static void a_body_over_the_limit(void **state)
{
    const struct conduit_http_options options = {.max_body = 4};
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    };
    struct rig r;

    rig_open(&r, state, &options);
    for (unsigned i = 0; i < 3; i++) {
        struct call *c = call_made(r.env, r.client, GET);

        PEER_WAIT(r.peer, i, 1);
        peer_send(r.peer, i, answers[i]);
        CALL_WAIT(c);
        assert_int_equal(c->err.code, CONDUIT_ELIMIT);
        assert_true(c->size <= 4);
        call_free(c);
    }
    rig_roundtrip(&r, 3, 1);
    rig_close(&r);
}

static void reset_within_the_body(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    T_UNTIL(r.env, c->size == 3);
    peer_reset(r.peer, 0);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ERESET);
    assert_string_equal(c->err.layer, "mem");
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
    call_free(c);
}

/* ---- dialling ----------------------------------------------------------- */

static void see_refused(struct call *c, int where)
{
    struct conduit_attempt a;

    T_CHECK(c->env, where == IN_DONE);
    T_CHECK(c->env, conduit_http_call_conn(c->call) == NULL);
    T_CHECK(c->env, conduit_http_call_attempt(c->call, 0, &a));
    T_CHECK(c->env, a.error.code == CONDUIT_EREFUSED);
}

/* All that waited for the dial fail with it; what comes later dials again. */
static void refused(void **state)
{
    struct t_env *env = *state;
    struct conduit_http_client *client;
    struct call *calls[3];
    struct conduit_error err;

    if (conduit_http_client_new(env->ctx, "http+mem://nobody", NULL, &client,
                                &err) != 0) {
        fail_msg("%s", err.text);
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++) {
            calls[i] = call_new(env, client);
            calls[i]->hook = see_refused;
            call_start(calls[i], GET);
        }
        for (unsigned i = 0; i < 3; i++) {
            CALL_WAIT(calls[i]);
            assert_int_equal(calls[i]->err.code, CONDUIT_EREFUSED);
            assert_string_equal(calls[i]->err.layer, "mem");
            call_free(calls[i]);
        }
    }
    conduit_http_client_free(client);
}

static void again_in_done(struct call *c, int where)
{
    T_CHECK(c->env, where == IN_DONE);
    call_start(c->other, GET);
}

/* A call made when another fails does not fail with it, but dials by itself. */
static void refused_twice_then_served(void **state)
{
    struct t_env *env = *state;
    struct rig r = {.env = env, .peer = calloc(1, sizeof *r.peer)};
    struct call *a;

    assert_non_null(r.peer);
    assert_int_equal(
        conduit_http_client_new(env->ctx, URI, NULL, &r.client, NULL), 0);
    a = call_new(env, r.client);
    a->other = call_new(env, r.client);
    a->hook = again_in_done;
    call_start(a, GET);
    CALL_WAIT(a);
    assert_int_equal(a->err.code, CONDUIT_EREFUSED);
    assert_int_equal(a->other->done, 0);
    CALL_WAIT(a->other);
    assert_int_equal(a->other->err.code, CONDUIT_EREFUSED);
    peer_listen(r.peer, env, "mem://peer");
    rig_roundtrip(&r, 0, 1);
    rig_close(&r);
    call_free(a->other);
    call_free(a);
}

static void a_name_without_address(void **state)
{
    struct t_env *env = *state;
    struct conduit_http_client *client;
    struct call *c;

    T_NEEDS("tcp+socket");
    assert_int_equal(conduit_http_client_new(env->ctx, "http://no.such.test/",
                                             NULL, &client, NULL),
                     0);
    c = call_made(env, client, GET);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ENAME);
    conduit_http_client_free(client);
    call_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(closed_before_the_answer),
        T_TEST(closed_within_the_head),
        T_TEST(closed_after_an_interim_answer),
        T_TEST(closed_within_the_body),
        T_TEST(malformed),
        T_TEST(a_head_over_the_limit),
        T_TEST(a_body_over_the_limit),
        T_TEST(reset_within_the_body),
        T_TEST(refused),
        T_TEST(refused_twice_then_served),
        T_TEST(a_name_without_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
