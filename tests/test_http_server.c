/* SPDX-License-Identifier: ISC */
/* Whole exchanges of the HTTP server: methods, versions, keeping alive. */
#include "test_http_server.h"

static void keeps_alive(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&p, &s);
    for (int i = 0; i < 5; i++) {
        h_send(&p, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        h_expect(&p, H_HELLO);
    }
    assert_int_equal(p.end, 0);
    h_close(&p);
    h_stop(&s);
}

static void closes_when_asked(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
               "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                 "Content-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello");
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static void knows_http_1_0(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n"
                 "Content-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello");
    h_send(&p, "GET /hello HTTP/1.0\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                 "Content-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello");
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static void answers_a_half_closed_client(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct conduit_http_request *kept = NULL;

    if (!h_half_closes()) {
        return; /* who ends there is gone */
    }
    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/later", h_keep, &kept);
    h_open(&p, &s);
    p.finish = true;
    h_send(&p, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, kept != NULL && !p.finish);
    t_turns(s.env, 10);
    assert_int_equal(conduit_http_reply(kept, 200, NULL, "ok", 2), 0);
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static void answers_head_without_body(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"
               "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                 "Content-Type: text/plain\r\n\r\n" H_HELLO);
    h_close(&p);
    h_stop(&s);
}

static void reply_204(void *arg, struct conduit_http_request *r)
{
    int *status = arg;

    (void)conduit_http_reply(r, *status, NULL, "not sent", 8);
}

static void leaves_out_the_body(void **state)
{
    struct h_server s;
    struct h_peer p;
    int status = 204;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", reply_204, &status);
    h_open(&p, &s);
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 204 No Content\r\n\r\n");
    status = 304;
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 304 Not Modified\r\n\r\n");
    status = 599;
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 599 \r\nContent-Length: 8\r\n\r\nnot sent");
    h_close(&p);
    h_stop(&s);
}

static void answers_unrouted_itself(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/a", h_hello, NULL);
    h_route(&s, "PUT", "/a", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 404 Not Found\r\nContent-Length: 21\r\n"
                 "Content-Type: application/json\r\n\r\n"
                 "{\"error\":\"not found\"}");
    h_send(&p, "POST /a HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 30\r\n"
                 "Allow: GET, HEAD, PUT, OPTIONS\r\n"
                 "Content-Type: application/json\r\n\r\n"
                 "{\"error\":\"method not allowed\"}");
    h_send(&p, "OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 204 No Content\r\n"
                 "Allow: GET, HEAD, PUT, OPTIONS\r\n\r\n");
    h_send(&p, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 204 No Content\r\n\r\n");
    h_send(&p, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    h_expect(&p, "HTTP/1.1 501 Not Implemented\r\nConnection: close\r\n");
    h_skip(&p, "\r\n\r\n{\"error\":\"CONNECT is not for this server\"}");
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static void tell_all(void *arg, struct conduit_http_request *r)
{
    const char *none = "(none)";
    const char *one = conduit_http_header(r, "X-One");
    const char *two = conduit_http_header(r, "x-two");
    const char *empty = conduit_http_header(r, "X-EMPTY");
    char text[256];

    assert_ptr_equal(conduit_http_data(r), NULL);
    conduit_http_set_data(r, arg);
    assert_ptr_equal(conduit_http_data(r), arg);
    assert_non_null(conduit_http_conn(r));
    (void)snprintf(text, sizeof text, "[%s][%s][%s][%s][%s][%s][%s]",
                   conduit_http_method(r), conduit_http_path(r),
                   conduit_http_query(r), one != NULL ? one : none,
                   two != NULL ? two : none, empty != NULL ? empty : none,
                   conduit_http_header(r, "Host"));
    (void)conduit_http_reply(r, 200, NULL, text, strlen(text));
}

static void tells_what_was_asked(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/*path", tell_all, &s);
    h_open(&p, &s);
    h_send(&p, "GET /a%20b?c=d%20e HTTP/1.1\r\nHost: h:80\r\n"
               "X-One:  1 \r\nX-One: 2\r\nX-Empty:\r\n\r\n");
    h_skip(&p, "\r\n\r\n");
    h_expect(&p, "[GET][/a%20b][c=d%20e][1][(none)][][h:80]");
    h_send(&p, "GET http://h:80?q HTTP/1.1\r\nHost: h:80\r\nX-Two: 2\r\n\r\n");
    h_skip(&p, "\r\n\r\n");
    h_expect(&p, "[GET][/][q][(none)][2][(none)][h:80]");
    h_send(&p, "GET http://h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n");
    h_skip(&p, "\r\n\r\n");
    h_expect(&p, "[GET][/][][(none)][(none)][(none)][h:80]");
    h_send(&p, "GET /? HTTP/1.1\r\nHost: h:80\r\n\r\n");
    h_skip(&p, "\r\n\r\n");
    h_expect(&p, "[GET][/][][(none)][(none)][(none)][h:80]");
    h_close(&p);
    h_stop(&s);
}

static void dates_its_answers(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, H_HELLO);
    h_send(&p, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "not found\"}");
    assert_int_equal(p.dates, 2);
    h_close(&p);
    h_stop(&s);
}

static void serves_many_listeners(void **state)
{
    struct h_server s;
    struct conduit_listener *second;
    struct h_server t;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    assert_int_equal(
        conduit_http_server_listen(s.http, "http+mem://two", &second, NULL), 0);
    assert_int_equal(
        conduit_http_server_listen(s.http, "mem://two", NULL, NULL),
        CONDUIT_EADDRINUSE);
    assert_int_equal(conduit_http_server_listen(s.http, "what://", NULL, NULL),
                     CONDUIT_ESCHEME);
    t = s;
    (void)snprintf(t.uri, sizeof t.uri, "mem://two");
    h_ask(&s, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", H_HELLO);
    h_ask(&t, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", H_HELLO);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(keeps_alive),
        T_TEST(closes_when_asked),
        T_TEST(knows_http_1_0),
        T_TEST(answers_a_half_closed_client),
        T_TEST(answers_head_without_body),
        T_TEST(leaves_out_the_body),
        T_TEST(answers_unrouted_itself),
        T_TEST(tells_what_was_asked),
        T_TEST(dates_its_answers),
        T_TEST(serves_many_listeners),
    };

    return h_run(tests);
}
