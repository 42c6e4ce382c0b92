/* SPDX-License-Identifier: ISC */
/*
 * A kept connection that turns out to be closed: which requests are sent once
 * more on a new one, and which are not.
 */
#include "test_http_client.h"

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* A rig whose client keeps a connection, number 0. */
static void open_kept(struct rig *r, void **state)
{
    rig_open(r, state, NULL);
    rig_roundtrip(r, 0, 1);
}

/* Starts a call; the server closes the kept connection once it was sent. */
static struct call *cut_off(struct rig *r, struct conduit_http_call_options o)
{
    struct call *c = call_made(r->env, r->client, o);

    PEER_WAIT(r->peer, 0, 2);
    peer_close(r->peer, 0);
    return c;
}

static void assert_repeated(void **state, struct conduit_http_call_options o,
                            const char *request)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    c = cut_off(&r, o);
    PEER_WAIT(r.peer, 1, 1);
    T_UNTIL(r.env, r.peer->conns[1].size >= strlen(request));
    assert_string_equal(r.peer->conns[1].in, request);
    peer_send(r.peer, 1, OK_ANSWER);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_string_equal(c->body, "ok");
    assert_int_equal(r.peer->count, 2);
    rig_roundtrip(&r, 1, 2); /* the new one is kept as well */
    rig_close(&r);
    call_free(c);
}

static void assert_not_repeated(void **state,
                                struct conduit_http_call_options o)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    c = cut_off(&r, o);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ETRUNCATED);
    assert_string_equal(c->err.layer, "http");
    assert_string_equal(c->err.text,
                        "http: connection closed before the answer's head");
    t_turns(r.env, 8);
    assert_int_equal(r.peer->count, 1);
    rig_roundtrip(&r, 1, 1); /* the client is as good as before */
    rig_close(&r);
    call_free(c);
}

static void get_is_repeated(void **state)
{
    assert_repeated(state, GET, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static void put_is_repeated_with_its_body(void **state)
{
    struct conduit_http_call_options o = POST("body");

    o.method = "PUT";
    assert_repeated(state, o,
                    "PUT / HTTP/1.1\r\nHost: localhost\r\n"
                    "Content-Length: 4\r\n\r\nbody");
}

static void post_is_not(void **state)
{
    assert_not_repeated(state, POST("x"));
}

static void unknown_methods_are_not(void **state)
{
    const struct conduit_http_call_options o = {.method = "MOVE",
                                                .target = "/"};

    assert_not_repeated(state, o);
}

static void bodies_from_a_source_are_not(void **state)
{
    const struct conduit_http_call_options o = {
        .method = "PUT",
        .target = "/",
        .source = call_source,
        .source_length = CONDUIT_HTTP_UNKNOWN,
    };

    assert_not_repeated(state, o);
}

static void nothing_is_repeated_after_a_byte_of_the_answer(void **state)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 2);
    peer_send(r.peer, 0, "H");
    peer_close(r.peer, 0);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ETRUNCATED);
    assert_string_equal(c->err.text,
                        "http: connection closed within the answer's head");
    assert_int_equal(r.peer->count, 1);
    rig_close(&r);
    call_free(c);
}

static void nothing_is_repeated_after_a_1xx(void **state)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 2);
    peer_send(r.peer, 0, "HTTP/1.1 102 Processing\r\n\r\n");
    t_turns(r.env, 4);
    peer_close(r.peer, 0);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ETRUNCATED);
    assert_int_equal(r.peer->count, 1);
    rig_close(&r);
    call_free(c);
}

static void nothing_is_repeated_twice(void **state)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    c = cut_off(&r, GET);
    PEER_WAIT(r.peer, 1, 1);
    peer_close(r.peer, 1);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ETRUNCATED);
    t_turns(r.env, 8);
    assert_int_equal(r.peer->count, 2);
    rig_close(&r);
    call_free(c);
}

static void nothing_is_repeated_on_a_new_connection(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_close(r.peer, 0);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ETRUNCATED);
    t_turns(r.env, 8);
    assert_int_equal(r.peer->count, 1);
    rig_close(&r);
    call_free(c);
}

static void a_reset_counts_as_closed(void **state)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 2);
    peer_reset(r.peer, 0);
    PEER_WAIT(r.peer, 1, 1);
    peer_send(r.peer, 1, OK_ANSWER);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

static void those_behind_go_to_the_new_connection(void **state)
{
    struct rig r;
    struct call *a;
    struct call *b;

    open_kept(&r, state);
    a = call_made(r.env, r.client, GET);
    b = call_made(r.env, r.client, POST("b"));
    PEER_WAIT(r.peer, 0, 2);
    peer_close(r.peer, 0);
    PEER_WAIT(r.peer, 1, 1);
    peer_send(r.peer, 1, OK_ANSWER);
    CALL_WAIT(a);
    PEER_WAIT(r.peer, 1, 2);
    peer_send(r.peer, 1, OK_ANSWER);
    CALL_WAIT(b);
    assert_int_equal(a->err.code, 0);
    assert_int_equal(b->err.code, 0);
    rig_close(&r);
    call_free(a);
    call_free(b);
}

/* ---- an idle connection ------------------------------------------------- */

/* Closed while nothing was asked: whatever comes next finds a new one. */
static void closed_while_idle(void **state)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    peer_close(r.peer, 0);
    t_turns(r.env, 8);
    c = call_made(r.env, r.client, POST("x"));
    PEER_WAIT(r.peer, 1, 1);
    peer_send(r.peer, 1, OK_ANSWER);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

/* The same, with the call made before the loop could tell. */
static void closed_at_the_last_moment(void **state)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    peer_close(r.peer, 0);
    t_turns(r.env, 1);
    c = call_made(r.env, r.client, POST("x"));
    PEER_WAIT(r.peer, 1, 1);
    peer_send(r.peer, 1, OK_ANSWER);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

/* An answer that nobody asked for must not become the next one's. */
static void bytes_on_an_idle_connection(void **state)
{
    struct rig r;

    open_kept(&r, state);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    T_UNTIL(r.env, r.peer->conns[0].end == CONDUIT_END);
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
}

static void bytes_at_the_last_moment(void **state)
{
    struct rig r;
    struct call *c;

    open_kept(&r, state);
    c = call_made(r.env, r.client, GET);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    PEER_WAIT(r.peer, 1, 1);
    peer_send(r.peer, 1, OK_ANSWER);
    CALL_WAIT(c);
    assert_string_equal(c->body, "ok");
    rig_close(&r);
    call_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(get_is_repeated),
        T_TEST(put_is_repeated_with_its_body),
        T_TEST(post_is_not),
        T_TEST(unknown_methods_are_not),
        T_TEST(bodies_from_a_source_are_not),
        T_TEST(nothing_is_repeated_after_a_byte_of_the_answer),
        T_TEST(nothing_is_repeated_after_a_1xx),
        T_TEST(nothing_is_repeated_twice),
        T_TEST(nothing_is_repeated_on_a_new_connection),
        T_TEST(a_reset_counts_as_closed),
        T_TEST(those_behind_go_to_the_new_connection),
        T_TEST(closed_while_idle),
        T_TEST(closed_at_the_last_moment),
        T_TEST(bytes_on_an_idle_connection),
        T_TEST(bytes_at_the_last_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
