/* SPDX-License-Identifier: ISC */
/* What the client makes of an answer that is in order, however it is framed. */
#include "test_http_client.h"

/* One GET, answered with these bytes; the connection ends after it or not. */
static struct call *answered(struct rig *r, const char *bytes, bool close)
{
    struct call *c = call_made(r->env, r->client, GET);
    unsigned i = r->peer->count > 0 ? r->peer->count - 1 : 0;

    PEER_WAIT(r->peer, i, 1);
    peer_send(r->peer, i, bytes);
    if (close) {
        peer_close(r->peer, i);
    }
    CALL_WAIT(c);
    return c;
}

static void assert_answer(void **state, const char *bytes, bool close,
                          int status, const char *body)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = answered(&r, bytes, close);
    if (c->err.code != 0) {
        fail_msg("%s", c->err.text);
    }
    assert_int_equal(c->status, status);
    assert_string_equal(c->body, body);
    assert_int_equal(c->heads, 1);
    rig_close(&r);
    call_free(c);
}

static void by_length(void **state)
{
    assert_answer(state, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                  false, 200, "hello");
}

static void of_no_bytes(void **state)
{
    assert_answer(state, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false,
                  200, "");
}

static void in_chunks(void **state)
{
    assert_answer(state,
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: yes\r\n\r\n",
                  false, 200, "hello");
}

static void until_close(void **state)
{
    assert_answer(state, "HTTP/1.1 200 OK\r\n\r\nhello", true, 200, "hello");
    assert_answer(state, "HTTP/1.0 200 OK\r\n\r\n", true, 200, "");
}

static void without_body_by_status(void **state)
{
    assert_answer(state, "HTTP/1.1 204 No Content\r\n\r\n", false, 204, "");
    assert_answer(state,
                  "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                  false, 304, "");
}

static void of_errors_is_no_error(void **state)
{
    assert_answer(state, "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno",
                  false, 500, "no");
}

static void to_head_has_no_body(void **state)
{
    const struct conduit_http_call_options head = {.method = "HEAD",
                                                   .target = "/"};
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    for (unsigned i = 1; i <= 2; i++) {
        c = call_made(r.env, r.client, head);
        PEER_WAIT(r.peer, 0, i);
        peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        CALL_WAIT(c);
        assert_int_equal(c->err.code, 0);
        assert_int_equal(c->size, 0);
        call_free(c);
    }
    assert_int_equal(r.peer->count, 1);
    rig_close(&r);
}

/* ---- what can be asked about it ----------------------------------------- */

static void ask_all(struct call *c, int where)
{
    struct conduit_http_call *call = c->call;
    struct conduit_http_field f;
    const char *text;

    T_CHECK(c->env, conduit_http_call_status(call) == 404);
    T_CHECK(c->env, conduit_http_call_minor(call) == 1);
    T_CHECK(c->env, strcmp(conduit_http_call_reason(call), "Not Here") == 0);
    text = conduit_http_call_header(call, "X-TWO");
    T_CHECK(c->env, text != NULL && strcmp(text, "first") == 0);
    text = conduit_http_call_header(call, "empty");
    T_CHECK(c->env, text != NULL && *text == '\0');
    T_CHECK(c->env, conduit_http_call_header(call, "x") == NULL);
    T_CHECK(c->env, conduit_http_call_field(call, 0, &f) &&
                        strcmp(f.name, "X-Two") == 0 &&
                        strcmp(f.value, "first") == 0);
    T_CHECK(c->env, conduit_http_call_field(call, 1, &f) &&
                        strcmp(f.name, "x-two") == 0 &&
                        strcmp(f.value, "a b") == 0);
    T_CHECK(c->env, conduit_http_call_field(call, 2, &f) &&
                        strcmp(f.name, "Empty") == 0 && *f.value == '\0');
    T_CHECK(c->env, conduit_http_call_field(call, 3, &f));
    T_CHECK(c->env, !conduit_http_call_field(call, 4, &f));
    T_CHECK(c->env, conduit_http_call_conn(call) != NULL);
    c->arg = (char *)c->arg + (where == IN_DONE ? 100 : 1);
}

static void shows_head(void **state)
{
    struct rig r;
    struct call *c;
    char count[200];

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->hook = ask_all;
    c->arg = count;
    call_start(c, GET);
    assert_int_equal(conduit_http_call_status(c->call), 0);
    assert_string_equal(conduit_http_call_reason(c->call), "");
    assert_null(conduit_http_call_header(c->call, "x-two"));
    assert_null(conduit_http_call_conn(c->call));
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0,
              "HTTP/1.1 404 Not Here\r\nX-Two:first\r\nx-two: \t a b \t\r\n"
              "Empty:\r\nContent-Length: 1\r\n\r\n");
    T_UNTIL(r.env, c->heads == 1);
    peer_send(r.peer, 0, "!");
    CALL_WAIT(c);
    assert_ptr_equal(c->arg, count + 102); /* head, data, done */
    rig_close(&r);
    call_free(c);
}

static void shows_what_was_sent(void **state)
{
    const struct conduit_http_field field = {"X-A", "b"};
    const struct conduit_http_call_options o = {
        .target = "/t", .fields = &field, .field_count = 1};
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, o);
    for (unsigned i = 0; i < 2; i++) { /* before it was sent, and after */
        assert_string_equal(conduit_http_call_sent(c->call, 0),
                            "GET /t HTTP/1.1");
        assert_string_equal(conduit_http_call_sent(c->call, 1),
                            "Host: localhost");
        assert_string_equal(conduit_http_call_sent(c->call, 2), "X-A: b");
        assert_null(conduit_http_call_sent(c->call, 3));
        assert_null(conduit_http_call_sent(c->call, 4));
        PEER_WAIT(r.peer, 0, 1);
    }
    conduit_http_call_cancel(c->call);
    rig_close(&r);
    call_free(c);
}

/* The one that won, on the connection that carries the call. */
static void see_attempt(struct call *c, int where)
{
    struct conduit_attempt a;

    T_CHECK(c->env, where == IN_HEAD || where == IN_DONE);
    T_CHECK(c->env, conduit_http_call_attempt(c->call, 0, &a));
    T_CHECK(c->env, a.error.code == 0);
    T_CHECK(c->env, strstr(a.endpoint, "mem") != NULL);
    T_CHECK(c->env, !conduit_http_call_attempt(c->call, 1, &a));
}

static void shows_attempts(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->hook = see_attempt;
    call_start(c, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    rig_close(&r);
    call_free(c);
}

static void count_done(void *arg, struct conduit_http_call *call,
                       const struct conduit_error *err)
{
    unsigned *done = arg;

    *done += err == NULL && conduit_http_call_status(call) == 200;
}

/* Who does not want head or body need not take them. */
static void to_who_wants_only_the_end(void **state)
{
    unsigned done[1] = {0};
    const struct conduit_http_call_options o = {.done = count_done,
                                                .arg = done};
    struct rig r;

    rig_open(&r, state, NULL);
    assert_int_equal(conduit_http_call(r.client, &o, NULL, NULL), 0);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    T_UNTIL(r.env, done[0] == 1);
    rig_roundtrip(&r, 0, 2);
    rig_close(&r);
}

/* ---- the connection it leaves ------------------------------------------- */

static void keeps_the_connection(void **state)
{
    struct rig r;

    rig_open(&r, state, NULL);
    for (unsigned i = 1; i <= 20; i++) {
        rig_roundtrip(&r, 0, i);
    }
    assert_int_equal(r.peer->count, 1);
    rig_close(&r);
}

static void sends_one_request_after_the_other(void **state)
{
    struct rig r;
    struct call *a;
    struct call *b;

    rig_open(&r, state, NULL);
    a = call_made(r.env, r.client, GET);
    b = call_made(r.env, r.client, POST("second"));
    PEER_WAIT(r.peer, 0, 1);
    t_turns(r.env, 8);
    assert_null(strstr(r.peer->conns[0].in, "second"));
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    t_turns(r.env, 8);
    assert_null(strstr(r.peer->conns[0].in, "second"));
    peer_send(r.peer, 0, "1");
    CALL_WAIT(a);
    T_UNTIL(r.env, strstr(r.peer->conns[0].in, "second") != NULL);
    assert_int_equal(b->done, 0);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    CALL_WAIT(b);
    assert_string_equal(a->body, "1");
    assert_string_equal(b->body, "2");
    assert_int_equal(r.peer->count, 1);
    rig_close(&r);
    call_free(a);
    call_free(b);
}

/* After each of these the client must end its connection and use a new one. */
static void ends_the_connection(void **state)
{
    static const char *const last[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
         "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
    };
    struct rig r;

    rig_open(&r, state, NULL);
    for (unsigned i = 0; i < sizeof last / sizeof *last; i++) {
        struct call *c = call_made(r.env, r.client, GET);

        PEER_WAIT(r.peer, i, 1);
        peer_send(r.peer, i, last[i]);
        CALL_WAIT(c);
        assert_int_equal(c->err.code, 0);
        assert_string_equal(c->body, "x");
        T_UNTIL(r.env, r.peer->conns[i].end == CONDUIT_END);
        call_free(c);
    }
    rig_roundtrip(&r, sizeof last / sizeof *last, 1);
    rig_close(&r);
}

static void keeps_http_1_0_when_asked(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = answered(&r,
                 "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
                 "Content-Length: 0\r\n\r\n",
                 false);
    assert_int_equal(c->err.code, 0);
    rig_roundtrip(&r, 0, 2);
    rig_close(&r);
    call_free(c);
}

/* ---- any cut ------------------------------------------------------------ */

static void one_byte_at_a_time(void **state)
{
    static const char bytes[] =
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        "HTTP/1.1 200 OK\r\nX-Test: yes\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        peer_write(r.peer, 0, bytes + i, 1);
        t_turns(r.env, 3);
        assert_int_equal(c->done, i == sizeof bytes - 2);
    }
    assert_int_equal(c->err.code, 0);
    assert_string_equal(c->header, "yes");
    assert_string_equal(c->body, "hello");
    rig_roundtrip(&r, 0, 2);
    rig_close(&r);
    call_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(by_length),
        T_TEST(of_no_bytes),
        T_TEST(in_chunks),
        T_TEST(until_close),
        T_TEST(without_body_by_status),
        T_TEST(of_errors_is_no_error),
        T_TEST(to_head_has_no_body),
        T_TEST(shows_head),
        T_TEST(shows_what_was_sent),
        T_TEST(shows_attempts),
        T_TEST(to_who_wants_only_the_end),
        T_TEST(keeps_the_connection),
        T_TEST(sends_one_request_after_the_other),
        T_TEST(ends_the_connection),
        T_TEST(keeps_http_1_0_when_asked),
        T_TEST(one_byte_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
