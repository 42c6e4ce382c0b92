/* SPDX-License-Identifier: ISC */
/*
 * Answers that come before their request was sent, and messages that come
 * before the answer.
 */
#include "test_http_client.h"

/* A POST of a body without end, of which the server has got a part. */
static struct call *endless(struct rig *r)
{
    const struct conduit_http_call_options o = {
        .method = "POST",
        .target = "/",
        .source = call_source,
        .source_length = UINT64_MAX - 1,
    };
    struct call *c = call_new(r->env, r->client);

    c->stream = 7;
    c->stream_size = UINT64_MAX - 1;
    call_start(c, o);
    T_UNTIL(r->env, r->peer->count > 0 && r->peer->conns[0].size > 100000);
    return c;
}

/* The server has its say and goes on reading; sending must come to an end. */
static void assert_stops(void **state, const char *answer, int status,
                         const char *body)
{
    struct rig r;
    struct call *c;
    uint64_t at;

    rig_open(&r, state, NULL);
    c = endless(&r);
    peer_send(r.peer, 0, answer);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_int_equal(c->status, status);
    assert_string_equal(c->body, body);
    at = c->stream_at;
    T_UNTIL(r.env, r.peer->conns[0].end != 0);
    assert_true(c->stream_at == at);
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
    call_free(c);
}

static void a_refusal_ends_sending(void **state)
{
    assert_stops(state, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
                 413, "no");
}

static void a_complete_answer_ends_sending(void **state)
{
    assert_stops(state, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200,
                 "ok");
}

static void a_refusal_without_end_ends_sending_at_once(void **state)
{
    struct rig r;
    struct call *c;
    uint64_t at;

    rig_open(&r, state, NULL);
    c = endless(&r);
    peer_send(r.peer, 0, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n");
    T_UNTIL(r.env, c->heads == 1);
    at = c->stream_at;
    t_turns(r.env, 20);
    assert_true(c->stream_at == at);
    assert_int_equal(c->done, 0);
    peer_send(r.peer, 0, "no");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

/* A server that answers and closes without reading on: its answer counts. */
static void an_answer_before_a_broken_pipe_is_read(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = endless(&r);
    conduit_conn_want(r.peer->conns[0].conn, 0);
    peer_send(r.peer, 0,
              "HTTP/1.1 503 Busy\r\nConnection: close\r\n"
              "Content-Length: 4\r\n\r\nbusy");
    peer_close(r.peer, 0);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_int_equal(c->status, 503);
    assert_string_equal(c->body, "busy");
    rig_close(&r);
    call_free(c);
}

static void a_broken_pipe_without_an_answer_is_an_error(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = endless(&r);
    peer_reset(r.peer, 0);
    CALL_WAIT(c);
    assert_true(c->err.code == CONDUIT_EPIPE || c->err.code == CONDUIT_ERESET);
    assert_string_equal(c->err.layer, "mem");
    rig_close(&r);
    call_free(c);
}

/* ---- a connection that takes so much and no more ------------------------ */

/* A POST whose sending fails on the way; the server has got a part of it. */
static struct call *half_sent(struct rig *r, void **state)
{
    const struct conduit_chop_settings cut = {.whole = true,
                                              .fail_write_at = 60};
    struct call *c;

    assert_int_equal(conduit_register_chop(((struct t_env *)*state)->ctx), 0);
    conduit_chop_set(&cut);
    rig_open_at(r, state, "mem://peer", "http+chop+mem://peer", NULL);
    c = call_made(r->env, r->client, POST("0123456789abcdef"));
    T_UNTIL(r->env, r->peer->count > 0 && r->peer->conns[0].size >= 60);
    t_turns(r->env, 8);
    assert_int_equal(c->done, 0);
    conduit_chop_set(NULL);
    return c;
}

static void an_answer_to_half_a_request_ends_the_connection(void **state)
{
    struct rig r;
    struct call *c = half_sent(&r, state);

    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_int_equal(c->status, 204);
    T_UNTIL(r.env, r.peer->conns[0].end != 0);
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
    call_free(c);
}

/* It is the failure to send that tells why. */
static void no_answer_to_half_a_request(void **state)
{
    struct rig r;
    struct call *c = half_sent(&r, state);

    peer_close(r.peer, 0);
    CALL_WAIT(c);
    assert_string_equal(c->err.layer, "chop");
    rig_close(&r);
    call_free(c);
}

/* One that accepts may be the other half of a conversation. */
static void acceptance_lets_sending_go_on(void **state)
{
    const struct conduit_http_call_options o = {
        .method = "POST",
        .target = "/",
        .source = call_source,
        .source_length = CONDUIT_HTTP_UNKNOWN,
    };
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->pieces = "one.two";
    call_start(c, o);
    T_UNTIL(r.env,
            r.peer->count > 0 && strstr(r.peer->conns[0].in, "one") != NULL);
    peer_send(r.peer, 0,
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3\r\nONE\r\n");
    T_UNTIL(r.env, c->size == 3);
    conduit_http_call_resume(c->call);
    T_UNTIL(r.env, strstr(r.peer->conns[0].in, "two") != NULL);
    T_UNTIL(r.env, strstr(r.peer->conns[0].in, "0\r\n\r\n") != NULL);
    peer_send(r.peer, 0, "3\r\nTWO\r\n0\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_string_equal(c->body, "ONETWO");
    rig_roundtrip(&r, 0, 3); /* the chunks end with an empty line as well */
    rig_close(&r);
    call_free(c);
}

/* ---- before the answer -------------------------------------------------- */

static void interim_answers_are_skipped(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, POST("x"));
    PEER_WAIT(r.peer, 0, 1);
    for (unsigned i = 0; i < 100; i++) {
        peer_send(r.peer, 0,
                  "HTTP/1.1 100 Continue\r\nX-Test: wrong\r\n\r\n"
                  "HTTP/1.1 103 Early Hints\r\nX-Test: wrong\r\n\r\n");
        t_turns(r.env, 1);
    }
    assert_int_equal(c->heads, 0);
    assert_int_equal(conduit_http_call_status(c->call), 0);
    peer_send(r.peer, 0,
              "HTTP/1.1 200 OK\r\nX-Test: right\r\n"
              "Content-Length: 2\r\n\r\nok");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_int_equal(c->heads, 1);
    assert_string_equal(c->header, "right");
    rig_roundtrip(&r, 0, 2);
    rig_close(&r);
    call_free(c);
}

static void an_upgrade_is_an_error(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
              "Connection: upgrade\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_EPROTO);
    T_UNTIL(r.env, r.peer->conns[0].end != 0);
    rig_close(&r);
    call_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(a_refusal_ends_sending),
        T_TEST(a_complete_answer_ends_sending),
        T_TEST(a_refusal_without_end_ends_sending_at_once),
        T_TEST(an_answer_before_a_broken_pipe_is_read),
        T_TEST(a_broken_pipe_without_an_answer_is_an_error),
        T_TEST(an_answer_to_half_a_request_ends_the_connection),
        T_TEST(no_answer_to_half_a_request),
        T_TEST(acceptance_lets_sending_go_on),
        T_TEST(interim_answers_are_skipped),
        T_TEST(an_upgrade_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
