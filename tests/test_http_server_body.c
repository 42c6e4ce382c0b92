/* SPDX-License-Identifier: ISC */
/* Bodies of requests: streamed, collected, refused, and left unread. */
#include "test_http_server.h"

struct sink {
    char text[65536];
    size_t size;
    size_t step;    /* takes no more at a time; 0: all */
    bool resume_in; /* resumes within the callback */
    unsigned ends;
    unsigned calls;
    size_t refused;
    struct conduit_http_request *request;
    bool gone;
};

static size_t sink_body(void *arg, struct conduit_http_request *r,
                        const void *data, size_t n)
{
    struct sink *k = arg;

    if (data == NULL) {
        k->ends++;
        (void)conduit_http_reply(r, 200, NULL, k->text, k->size);
        return 0;
    }
    k->calls++;
    if (k->step > 0 && n > k->step) {
        k->refused += n - k->step;
        n = k->step;
        if (k->resume_in) {
            conduit_http_resume(r);
        }
    }
    if (k->size + n <= sizeof k->text) {
        memcpy(k->text + k->size, data, n);
    }
    k->size += n;
    return n;
}

static void sink_gone(void *arg)
{
    struct sink *k = arg;

    k->gone = true;
}

static void sink_route(void *arg, struct conduit_http_request *r)
{
    struct sink *k = arg;

    k->request = r;
    k->size = 0;
    conduit_http_on_gone(r, sink_gone, k);
    conduit_http_on_body(r, sink_body, k);
}

static void streams_a_body(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct sink k = {.size = 0};

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", sink_route, &k);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
               "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
               "\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
               "POST / HTTP/1.1\r\nHost: a\r\n\r\n"
               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
                 "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nabc0123456789"
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(k.ends, 4);
    h_close(&p);
    h_stop(&s);
    assert_false(k.gone);
}

static void gives_the_rest_after_resume(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct sink k = {.step = 2};
    static const char chunks[] =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "\r\n5\r\nabcde\r\n4\r\n0123\r\n0\r\n\r\n";

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", sink_route, &k);
    h_open(&p, &s);
    h_send(&p, chunks);
    for (size_t n = 0; k.ends == 0; n = k.size) {
        T_UNTIL(s.env, k.size > n || k.ends > 0);
        t_turns(s.env, 5);
        if (!h_chopped && k.size < 9) {
            assert_true(k.size <= n + 3); /* no more before resume */
        }
        if (k.ends == 0) {
            conduit_http_resume(k.request);
        }
    }
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcde0123");
    k.resume_in = true;
    h_send(&p, chunks);
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcde0123");
    h_close(&p);
    h_stop(&s);
}

static size_t take_none(void *arg, struct conduit_http_request *r,
                        const void *data, size_t n)
{
    unsigned *calls = arg;

    (void)r;
    (void)data;
    (void)n;
    (*calls)++;
    return 0;
}

static void none_route(void *arg, struct conduit_http_request *r)
{
    conduit_http_on_body(r, take_none, arg);
}

static void holds_the_peer_back(void **state)
{
    struct h_server s;
    struct h_peer p;
    unsigned calls = 0;
    static char body[1024 * 1024];

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", none_route, &calls);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    T_UNTIL(s.env, p.left == 0);
    h_send_bytes(&p, body, sizeof body);
    T_UNTIL(s.env, calls > 0);
    t_turns(s.env, 50);
    assert_int_equal(calls, 1);
    if (!h_chopped) {
        assert_true(t_turns_in(s.env, 20) < 10);
    }
    if (strncmp(h_uri, "mem", 3) == 0) {
        assert_true(p.left > sizeof body / 2);
    }
    h_close(&p);
    h_stop(&s);
}

static void collected(void *arg, struct conduit_http_request *r,
                      const void *body, size_t size)
{
    struct sink *k = arg;

    k->ends++;
    assert_non_null(body);
    (void)conduit_http_reply(r, 200, NULL, body, size);
}

static void collect_route(void *arg, struct conduit_http_request *r)
{
    struct sink *k = arg;

    conduit_http_on_gone(r, sink_gone, k);
    conduit_http_collect(r, k->step, collected, k);
}

static void collects_a_body(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct sink k = {.step = 10};

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", collect_route, &k);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
               "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
               "\r\n3\r\nabc\r\n7\r\n0123456\r\n0\r\n\r\n"
               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
               "0123456789"
               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
               "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
                 "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc0123456"
                 "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(k.ends, 5);
    h_close(&p);
    h_stop(&s);
    assert_false(k.gone);
}

static void collects_what_comes_in_pieces(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct sink k = {.step = 40000};
    static char request[40100];
    static char answer[40100];
    int head = snprintf(request, sizeof request,
                        "POST / HTTP/1.1\r\nHost: a\r\n"
                        "Content-Length: 40000\r\n\r\n");
    int front = snprintf(answer, sizeof answer,
                         "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n");

    for (size_t i = 0; i < 40000; i++) {
        request[(size_t)head + i] = (char)('a' + i % 26);
        answer[(size_t)front + i] = (char)('a' + i % 26);
    }
    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", collect_route, &k);
    h_open(&p, &s);
    h_send(&p, request);
    h_expect(&p, answer);
    h_close(&p);
    h_stop(&s);
}

#define TOO_LARGE                                                  \
    "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"      \
    "Content-Length: 26\r\nContent-Type: application/json\r\n\r\n" \
    "{\"error\":\"body too large\"}"

static void limits_what_it_collects(void **state)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"
        "01234567890",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "\r\n8\r\n01234567\r\n3\r\n890\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 11\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "\r\nfffff\r\n",
    };
    struct conduit_http_options options = {.max_body = 100000};
    struct h_server s;
    struct sink k = {.step = 10};

    h_serve(&s, *state, &options);
    h_route(&s, "POST", "/", collect_route, &k);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct h_peer p;

        k.gone = false;
        h_open(&p, &s);
        h_send(&p, requests[i]);
        h_expect(&p, TOO_LARGE);
        h_expect_end(&p);
        assert_int_equal(k.gone, i != 3); /* refused before the handler */
        h_close(&p);
    }
    assert_int_equal(k.ends, 0);
    h_stop(&s);
}

static void sends_continue_when_asked(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct sink k = {.step = 10};

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", collect_route, &k);
    h_route(&s, "POST", "/no", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
               "Content-Length: 4\r\n\r\n");
    h_expect(&p, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(p.dates, 0);
    h_send(&p, "body");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    /* Nothing to wait for, and HTTP/1.0 does not wait. */
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
               "Content-Length: 0\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    h_send(&p, "POST /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
               "Content-Length: 4\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                 "Content-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello");
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static void drops_a_small_body(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
               "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
               "\r\n3\r\nabc\r\n0\r\n\r\n"
               "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, H_HELLO H_HELLO H_HELLO);
    h_close(&p);
    h_stop(&s);
}

static void closes_after_a_large_unread_body(void **state)
{
    struct h_server s;
    struct h_peer p;
    static char body[200000];

    memset(body, 'x', sizeof body);
    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    T_UNTIL(s.env, p.left == 0);
    h_send_bytes(&p, body, sizeof body);
    h_expect(&p, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                 "Content-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello");
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static void closes_when_too_much_is_dropped(void **state)
{
    struct h_server s;
    struct h_peer p;
    static char body[100000];

    memset(body, 'x', sizeof body);
    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
               "\r\n186a0\r\n");
    h_expect(&p, H_HELLO);
    T_UNTIL(s.env, p.left == 0);
    h_send_bytes(&p, body, sizeof body);
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static char large[256 * 1024];

static void reply_large(void *arg, struct conduit_http_request *r)
{
    unsigned *calls = arg;

    (*calls)++;
    (void)conduit_http_reply_static(r, 200, NULL, large, sizeof large);
}

/* Nor does it read on while its answer waits for a client that is deaf. */
static void drops_only_so_much(void **state)
{
    struct h_server s;
    struct h_peer p;
    static char body[1024 * 1024];
    unsigned calls = 0;

    if (strncmp(h_uri, "mem", 3) != 0) {
        return; /* the kernel takes too much to tell, chop too long */
    }
    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", reply_large, &calls);
    h_open(&p, &s);
    p.deaf = true;
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
               "\r\n100000\r\n");
    T_UNTIL(s.env, calls == 1 && p.left == 0);
    h_send_bytes(&p, body, sizeof body);
    t_turns(s.env, 100);
    assert_in_range(p.left, sizeof body - 200 * 1024, sizeof body - 64 * 1024);
    h_listen_again(&p);
    h_skip(&p, "\r\n\r\n");
    T_UNTIL(s.env, p.end != 0);
    assert_int_equal(p.end, CONDUIT_END);
    assert_int_equal(p.size, sizeof large);
    h_close(&p);
    h_stop(&s);
}

/* Answers at the first byte. */
static size_t answer_early(void *arg, struct conduit_http_request *r,
                           const void *data, size_t n)
{
    unsigned *calls = arg;

    (void)data;
    (void)n;
    (*calls)++;
    h_hello(NULL, r);
    return 1;
}

static void early_route(void *arg, struct conduit_http_request *r)
{
    conduit_http_on_body(r, answer_early, arg);
}

static void may_answer_before_the_end(void **state)
{
    struct h_server s;
    struct h_peer p;
    unsigned calls = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", early_route, &calls);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
               "012345678"
               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
               "012345678");
    h_expect(&p, H_HELLO H_HELLO);
    assert_int_equal(calls, 2);
    h_close(&p);
    h_stop(&s);
}

/* What was asked for only after the handler returned. */
static void may_ask_for_the_body_later(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct sink k = {.step = 10};
    struct conduit_http_request *kept = NULL;

    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", h_keep, &kept);
    h_open(&p, &s);
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
               "POST / HTTP/1.1\r\nHost: a\r\n\r\n"
               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    T_UNTIL(s.env, kept != NULL);
    t_turns(s.env, 5);
    collect_route(&k, kept);
    assert_int_equal(k.ends, 0);
    kept = NULL;
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    T_UNTIL(s.env, kept != NULL);
    t_turns(s.env, 5);
    collect_route(&k, kept);
    assert_int_equal(k.ends, 1);
    kept = NULL;
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    T_UNTIL(s.env, kept != NULL);
    t_turns(s.env, 5);
    collect_route(&k, kept);
    assert_false(k.gone);
    h_expect(&p, TOO_LARGE);
    assert_true(k.gone);
    h_close(&p);
    h_stop(&s);
}

static void tells_of_a_body_cut_short(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct sink k = {.size = 0};

    if (!h_half_closes()) {
        return; /* who ends there is gone */
    }
    h_serve(&s, *state, NULL);
    h_route(&s, "POST", "/", sink_route, &k);
    h_open(&p, &s);
    p.finish = true;
    h_send(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
    h_skip(&p, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n");
    h_skip(&p, "message cut short\"}");
    h_expect_end(&p);
    assert_true(k.gone);
    assert_int_equal(k.ends, 0);
    h_close(&p);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(streams_a_body),
        T_TEST(gives_the_rest_after_resume),
        T_TEST(holds_the_peer_back),
        T_TEST(collects_a_body),
        T_TEST(collects_what_comes_in_pieces),
        T_TEST(limits_what_it_collects),
        T_TEST(sends_continue_when_asked),
        T_TEST(drops_a_small_body),
        T_TEST(closes_after_a_large_unread_body),
        T_TEST(closes_when_too_much_is_dropped),
        T_TEST(drops_only_so_much),
        T_TEST(may_answer_before_the_end),
        T_TEST(may_ask_for_the_body_later),
        T_TEST(tells_of_a_body_cut_short),
    };

    return h_run(tests);
}
