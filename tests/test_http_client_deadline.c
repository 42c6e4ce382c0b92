/* SPDX-License-Identifier: ISC */
/*
 * Deadlines of the client: each passes when its peer is silent, none while it
 * is the application that is waited for.
 */
#include "test_http_client.h"

/* Short for who waits, long for what must not pass. */
/* STEADY is what no step of a test takes, be the machine ever so busy, and what
 * can be waited for all the same. */
enum { SHORT = 60, STEADY = 1200, LONG = 20000 };

static void assert_timed_out(const struct call *c, uint64_t began,
                             const char *text)
{
    uint64_t took = t_ms() - began;

    assert_int_equal(c->err.code, CONDUIT_ETIMEDOUT);
    assert_string_equal(c->err.layer, "http");
    assert_string_equal(c->err.text, text);
    assert_in_range(took, SHORT, LONG - 1);
}

static void no_answer(void **state)
{
    const struct conduit_http_options options = {.answer_ms = SHORT,
                                                 .body_ms = LONG};
    uint64_t began = t_ms();
    struct rig r;
    struct call *c;

    rig_open(&r, state, &options);
    c = call_made(r.env, r.client, GET);
    CALL_WAIT(c);
    assert_timed_out(c, began, "http: no answer came for 60 ms");
    T_UNTIL(r.env, r.peer->conns[0].end != 0);
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
    call_free(c);
}

/* Whoever sends 1xx for ever does not answer. */
static void interim_answers_are_no_answer(void **state)
{
    const struct conduit_http_options options = {.answer_ms = SHORT,
                                                 .body_ms = LONG};
    struct rig r;
    struct call *c;

    rig_open(&r, state, &options);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    while (c->done == 0 && r.peer->conns[0].end == 0) {
        peer_send(r.peer, 0, "HTTP/1.1 102 Processing\r\n\r\n");
        t_turn(r.env, 1);
    }
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ETIMEDOUT);
    rig_close(&r);
    call_free(c);
}

static void a_body_that_stops(void **state)
{
    const struct conduit_http_options options = {.answer_ms = LONG,
                                                 .body_ms = SHORT};
    uint64_t began;
    struct rig r;
    struct call *c;

    rig_open(&r, state, &options);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    began = t_ms();
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    CALL_WAIT(c);
    assert_timed_out(c, began,
                     "http: nothing more of the answer's body came for 60 ms");
    rig_close(&r);
    call_free(c);
}

/* Progress counts, not the time it all takes. */
static void a_body_that_trickles(void **state)
{
    const struct conduit_http_options options = {.answer_ms = LONG,
                                                 .body_ms = STEADY};
    struct rig r;
    struct call *c;

    rig_open(&r, state, &options);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
    for (size_t i = 1; i <= 8; i++) {
        (void)t_turns_in(r.env, STEADY / 7);
        peer_send(r.peer, 0, "x");
        T_UNTIL(r.env, c->size == i || c->done > 0);
    }
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

static void a_request_that_nobody_reads(void **state)
{
    const struct conduit_http_options options = {.answer_ms = LONG,
                                                 .body_ms = SHORT};
    static char body[1 << 20];
    uint64_t began = t_ms();
    struct rig r;
    struct call *c;

    memset(body, 'x', sizeof body - 1);
    rig_open(&r, state, &options);
    c = call_made(r.env, r.client, POST(body));
    T_UNTIL(r.env, r.peer->count == 1);
    conduit_conn_want(r.peer->conns[0].conn, 0);
    CALL_WAIT(c);
    assert_timed_out(c, began,
                     "http: nothing of the request was taken for 60 ms");
    rig_close(&r);
    call_free(c);
}

/* ---- the application's time --------------------------------------------- */

static void an_application_that_does_not_take(void **state)
{
    const struct conduit_http_options options = {.answer_ms = STEADY,
                                                 .body_ms = STEADY};
    struct rig r;
    struct call *c;

    rig_open(&r, state, &options);
    c = call_new(r.env, r.client);
    c->take = 2;
    call_start(c, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
    T_UNTIL(r.env, c->size == 2);
    (void)t_turns_in(r.env, STEADY + SHORT);
    assert_int_equal(c->done, 0);
    c->take = SIZE_MAX;
    conduit_http_call_resume(c->call);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_string_equal(c->body, "abcd");
    rig_close(&r);
    call_free(c);
}

static void an_application_that_does_not_give(void **state)
{
    const struct conduit_http_options options = {.answer_ms = STEADY,
                                                 .body_ms = STEADY};
    const struct conduit_http_call_options o = {
        .method = "POST",
        .target = "/",
        .source = call_source,
        .source_length = 4,
    };
    struct rig r;
    struct call *c;

    rig_open(&r, state, &options);
    c = call_new(r.env, r.client);
    c->pieces = "ab.cd";
    call_start(c, o);
    T_UNTIL(r.env, c->pieces[0] == 'c');
    (void)t_turns_in(r.env, STEADY + SHORT);
    assert_int_equal(c->done, 0);
    conduit_http_call_resume(c->call);
    T_UNTIL(r.env, strstr(r.peer->conns[0].in, "abcd") != NULL);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

/* ---- for all of it ------------------------------------------------------ */

static void total(void **state)
{
    struct conduit_http_call_options o = GET;
    uint64_t began = t_ms();
    struct rig r;
    struct call *c;

    o.total_ms = SHORT;
    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, o);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc");
    CALL_WAIT(c);
    assert_timed_out(c, began, "http: not complete within 60 ms");
    T_UNTIL(r.env, r.peer->conns[0].end != 0);
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
    call_free(c);
}

/* A deadline that was met is forgotten, with the call. */
static void total_that_is_met(void **state)
{
    struct conduit_http_call_options o = GET;
    struct rig r;
    struct call *c;

    o.total_ms = STEADY;
    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, o);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    (void)t_turns_in(r.env, STEADY + SHORT);
    rig_roundtrip(&r, 0, 2);
    rig_close(&r);
    call_free(c);
}

/* It counts in the queue as well, and ends nobody else's call. */
static void total_in_the_queue(void **state)
{
    struct conduit_http_call_options o = GET;
    struct rig r;
    struct call *first;
    struct call *c;

    o.total_ms = SHORT;
    rig_open(&r, state, NULL);
    first = call_made(r.env, r.client, GET);
    c = call_made(r.env, r.client, o);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ETIMEDOUT);
    assert_int_equal(first->done, 0);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(first);
    assert_int_equal(first->err.code, 0);
    rig_close(&r);
    call_free(first);
    call_free(c);
}

static void see_attempt(struct call *c, int where)
{
    struct conduit_attempt a;

    T_CHECK(c->env, where == IN_DONE);
    T_CHECK(c->env, conduit_http_call_attempt(c->call, 0, &a));
    T_CHECK(c->env, a.error.code == CONDUIT_AGAIN);
}

/* A peer that opens never: the dial is called off. */
static void total_while_dialling(void **state)
{
    const struct conduit_chop_settings never = {.never_opens = true};
    struct t_env *env = *state;
    struct conduit_http_call_options o = GET;
    struct rig r;
    struct call *c;

    o.total_ms = SHORT;
    assert_int_equal(conduit_register_chop(env->ctx), 0);
    rig_open_at(&r, state, "mem://peer", "http+chop+mem://peer", NULL);
    conduit_chop_set(&never);
    c = call_new(env, r.client);
    c->hook = see_attempt;
    call_start(c, o);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, CONDUIT_ETIMEDOUT);
    T_UNTIL(env, r.peer->conns[0].end != 0);
    conduit_chop_set(NULL);
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
    call_free(c);
}

/* An idle client has no business with the clock. */
static void nothing_ticks_when_idle(void **state)
{
    const struct conduit_http_options options = {.answer_ms = STEADY,
                                                 .body_ms = STEADY};
    struct rig r;

    rig_open(&r, state, &options);
    rig_roundtrip(&r, 0, 1);
    t_turns(r.env, 8);
    assert_true(t_turns_in(r.env, STEADY + SHORT) <= 3);
    rig_roundtrip(&r, 0, 2);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(no_answer),
        T_TEST(interim_answers_are_no_answer),
        T_TEST(a_body_that_stops),
        T_TEST(a_body_that_trickles),
        T_TEST(a_request_that_nobody_reads),
        T_TEST(an_application_that_does_not_take),
        T_TEST(an_application_that_does_not_give),
        T_TEST(total),
        T_TEST(total_that_is_met),
        T_TEST(total_in_the_queue),
        T_TEST(total_while_dialling),
        T_TEST(nothing_ticks_when_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
