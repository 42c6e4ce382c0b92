/* SPDX-License-Identifier: ISC */
/*
 * Answers whose body is left out, to HEAD and with statuses that have none: a
 * handler that streams one is held back as it is where the body goes out.
 */
#include "test_http_server.h"

/* What a turn takes at most of what is dropped. */
#define TURN 262144u

static const char block[50000];

struct endless {
    int status;
    unsigned calls;
    size_t taken; /* in this call */
    size_t most;  /* in any */
    uint64_t all;
    bool gone;
};

/* Writes until it is told to stop, which must come. */
static void write_on(void *arg, struct conduit_http_request *r)
{
    struct endless *e = arg;
    long n = 0;

    e->calls++;
    e->taken = 0;
    while (n >= 0 && e->taken <= 4 * TURN) {
        n = conduit_http_write(r, block, sizeof block);
        e->taken += n > 0 ? (size_t)n : 0;
    }
    e->most = e->taken > e->most ? e->taken : e->most;
    e->all += e->taken;
}

static void note_gone(void *arg)
{
    struct endless *e = arg;

    e->gone = true;
}

static void endless_route(void *arg, struct conduit_http_request *r)
{
    struct endless *e = arg;

    conduit_http_on_gone(r, note_gone, e);
    conduit_http_on_writable(r, write_on, e);
    (void)conduit_http_begin(r, e->status, NULL, CONDUIT_HTTP_UNKNOWN);
    write_on(e, r);
}

static void holds_back_who_writes_for_ever(void **state)
{
    static const struct {
        int status;
        const char *request;
    } cases[] = {
        {200, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {204, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {304, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    };
    struct h_server s;
    struct endless e;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", endless_route, &e);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct h_peer p;

        e = (struct endless){.status = cases[i].status};
        h_open(&p, &s);
        h_send(&p, cases[i].request);
        h_skip(&p, "\r\n\r\n");
        T_UNTIL(s.env, e.calls >= 10);
        h_ask(&s, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", H_HELLO);
        assert_int_equal(e.most, TURN);
        assert_int_equal(p.size, 0);
        assert_false(e.gone);
        h_close(&p);
        T_UNTIL(s.env, e.gone);
    }
    h_stop(&s);
}

/* Ends after so many bytes. */
struct source {
    size_t size;
    size_t at;
    unsigned agains;
    int ended;
};

static void write_some(void *arg, struct conduit_http_request *r)
{
    struct source *k = arg;

    while (k->at < k->size) {
        size_t n = k->size - k->at;
        long done = conduit_http_write(r, block,
                                       n < sizeof block ? n : sizeof block);

        if (done < 0) {
            k->agains += done == CONDUIT_AGAIN;
            return;
        }
        k->at += (size_t)done;
    }
    k->ended = conduit_http_end(r);
}

static void source_route(void *arg, struct conduit_http_request *r)
{
    struct source *k = arg;

    k->at = 0;
    k->ended = -1;
    conduit_http_on_writable(r, write_some, k);
    (void)conduit_http_begin(r, 200, NULL, k->size);
    write_some(k, r);
}

static void comes_to_the_end(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct source k = {.size = 2000000};

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", source_route, &k);
    h_open(&p, &s);
    for (int i = 0; i < 2; i++) {
        h_send(&p, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n");
        T_UNTIL(s.env, k.ended == 0);
        assert_int_equal(k.at, k.size);
    }
    assert_true(k.agains >= 2 * (2000000 / TURN));
    h_close(&p);
    h_stop(&s);
}

struct beyond {
    long first;  /* what a write of more than the length answered */
    long second; /* of all of it */
    long third;  /* of one byte more */
    int ended;
};

static void write_beyond(void *arg, struct conduit_http_request *r)
{
    struct beyond *b = arg;

    (void)conduit_http_begin(r, 200, NULL, 10);
    b->first = conduit_http_write(r, block, 11);
    b->second = conduit_http_write(r, block, 10);
    b->third = conduit_http_write(r, block, 1);
    b->ended = conduit_http_end(r);
}

static void keeps_to_the_length(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct beyond b = {0};

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", write_beyond, &b);
    h_open(&p, &s);
    for (int i = 0; i < 2; i++) {
        b = (struct beyond){0};
        h_send(&p, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        assert_int_equal(b.first, CONDUIT_EINVAL);
        assert_int_equal(b.second, 10);
        assert_int_equal(b.third, CONDUIT_EINVAL);
        assert_int_equal(b.ended, 0);
    }
    h_close(&p);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(holds_back_who_writes_for_ever),
        T_TEST(comes_to_the_end),
        T_TEST(keeps_to_the_length),
    };

    return h_run(tests);
}
