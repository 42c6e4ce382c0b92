/* SPDX-License-Identifier: ISC */
/* Requests that do not wait for the answers before them. */
#include "test_http_server.h"

#define COUNT 16

struct many {
    char requests[COUNT * 64];
    char answers[COUNT * 128];
};

static void make(struct many *m)
{
    size_t in = 0;
    size_t out = 0;

    for (int i = 0; i < COUNT; i++) {
        in += (size_t)snprintf(m->requests + in, sizeof m->requests - in,
                               "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
        out += (size_t)snprintf(
            m->answers + out, sizeof m->answers - out,
            "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nGET /%d ",
            i < 10 ? 7 : 8, i);
    }
}

static void answers_in_order(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct many m;

    make(&m);
    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/:n", h_mirror, NULL);
    h_open(&p, &s);
    h_send(&p, m.requests);
    h_expect(&p, m.answers);
    p.pace = 1;
    h_send(&p, m.requests);
    h_expect(&p, m.answers);
    assert_string_equal(p.in, "");
    h_close(&p);
    h_stop(&s);
}

/* Handlers that answer later, from a task of the loop. */
struct later {
    struct conduit_task task;
    struct conduit_loop *loop;
    struct conduit_http_request *request;
    unsigned calls;
    bool busy; /* between request and answer */
    bool overlapped;
};

static void answer_later(struct conduit_task *task)
{
    struct later *l = (struct later *)(void *)task;
    struct conduit_http_request *r = l->request;

    l->busy = false;
    h_mirror(NULL, r);
}

static void take_later(void *arg, struct conduit_http_request *r)
{
    struct later *l = arg;

    l->overlapped = l->overlapped || l->busy;
    l->busy = true;
    l->calls++;
    l->request = r;
    conduit_loop_defer(l->loop, &l->task);
}

static void waits_for_an_answer_before_the_next(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct many m;
    struct later l = {.task = {.run = answer_later}};

    make(&m);
    h_serve(&s, *state, NULL);
    l.loop = s.env->loop;
    h_route(&s, "GET", "/:n", take_later, &l);
    h_open(&p, &s);
    h_send(&p, m.requests);
    h_expect(&p, m.answers);
    assert_int_equal(l.calls, COUNT);
    assert_false(l.overlapped);
    h_close(&p);
    h_stop(&s);
}

static void does_not_read_ahead_of_a_handler(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct conduit_http_request *kept = NULL;
    size_t size = 512 * 1024;
    char *flood = malloc(size + 1);
    size_t at = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", h_keep, &kept);
    while (at + 64 < size) {
        at += (size_t)snprintf(flood + at, size - at,
                               "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    h_open(&p, &s);
    h_send_bytes(&p, flood, at);
    T_UNTIL(s.env, kept != NULL);
    if (strncmp(h_uri, "mem", 3) == 0) {
        t_turns(s.env, 100);
        assert_true(p.left > size / 2);
        /* And it sleeps meanwhile. */
        assert_true(t_turns_in(s.env, 20) < 5);
    }
    h_close(&p);
    h_stop(&s);
    free(flood);
}

static void serves_others_beside_a_flood(void **state)
{
    struct h_server s;
    struct h_peer flooder;
    struct h_peer p;
    static char flood[256 * 1024];
    size_t at = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    while (at + 64 < sizeof flood) {
        at += (size_t)snprintf(flood + at, sizeof flood - at,
                               "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    h_open(&flooder, &s);
    h_open(&p, &s);
    h_send_bytes(&flooder, flood, at);
    h_send(&p, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, H_HELLO);
    assert_true(flooder.left > 0 || flooder.size < H_IN / 2);
    h_close(&p);
    h_close(&flooder);
    h_stop(&s);
}

static void skips_empty_lines_between(void **state)
{
    struct h_server s;
    struct h_peer p;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/hello", h_hello, NULL);
    h_open(&p, &s);
    h_send(&p, "\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
               "\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, H_HELLO H_HELLO);
    h_close(&p);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(answers_in_order),
        T_TEST(waits_for_an_answer_before_the_next),
        T_TEST(does_not_read_ahead_of_a_handler),
        T_TEST(serves_others_beside_a_flood),
        T_TEST(skips_empty_lines_between),
    };

    return h_run(tests);
}
