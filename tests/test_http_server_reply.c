/* SPDX-License-Identifier: ISC */
/* Answers: whole and in pieces, from within a handler and from outside. */
#include "test_http_server.h"

#define LARGE (600 * 1024)

static char large[LARGE];

/* Byte by byte it takes its time. */
static size_t large_size(void)
{
    return h_chopped ? 20000 : LARGE;
}

static void fill_large(void)
{
    for (size_t i = 0; i < LARGE; i++) {
        large[i] = (char)('a' + i % 23);
    }
}

/* Waits for the bytes of `large`, and takes them. */
static void expect_large(struct h_peer *p, size_t n)
{
    T_UNTIL(p->env, p->size >= n || p->end != 0);
    assert_true(p->size >= n);
    assert_memory_equal(p->in, large, n);
    memmove(p->in, p->in + n, p->size - n + 1);
    p->size -= n;
}

static void reply_large(void *arg, struct conduit_http_request *r)
{
    bool *is_static = arg;

    size_t n = large_size();

    if (*is_static) {
        (void)conduit_http_reply_static(r, 200, NULL, large, n);
    } else {
        char *copy = malloc(n);

        assert_non_null(copy);
        memcpy(copy, large, n);
        (void)conduit_http_reply(r, 200, NULL, copy, n);
        memset(copy, 0, n);
        free(copy);
    }
}

static void sends_large_answers(void **state)
{
    struct h_server s;
    struct h_peer p;
    bool is_static = false;

    fill_large();
    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", reply_large, &is_static);
    h_open(&p, &s);
    for (int i = 0; i < 2; i++, is_static = true) {
        h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        h_skip(&p, "\r\n\r\n");
        expect_large(&p, large_size());
    }
    h_close(&p);
    h_stop(&s);
}

/* Streams `large` from a cursor, in writes of `step`. */
struct source {
    size_t at;
    size_t size;
    size_t step;
    uint64_t length;
    unsigned agains;
    unsigned writes;
    int ended; /* what end answered */
    bool gone;
};

static void source_gone(void *arg)
{
    struct source *k = arg;

    k->gone = true;
}

static void source_write(void *arg, struct conduit_http_request *r)
{
    struct source *k = arg;

    while (k->at < k->size) {
        size_t n = k->size - k->at < k->step ? k->size - k->at : k->step;
        long done = conduit_http_write(r, large + k->at, n);

        k->writes++;
        if (done == CONDUIT_AGAIN) {
            k->agains++;
            return;
        }
        if (done <= 0 || (size_t)done > n) {
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
    conduit_http_on_gone(r, source_gone, k);
    conduit_http_on_writable(r, source_write, k);
    (void)conduit_http_begin(r, 200, "text/plain", k->length);
    source_write(k, r);
}

/* Decodes the chunked body in p->in up to its end; checks it is `large`. */
static void expect_chunks(struct h_peer *p, size_t n)
{
    size_t at = 0;
    char *c = p->in;

    h_skip(p, "\r\n\r\n");
    T_UNTIL(p->env,
            p->size >= 7 && strcmp(p->in + p->size - 7, "\r\n0\r\n\r\n") == 0);
    for (;;) {
        size_t size = strtoul(c, &c, 16);

        assert_memory_equal(c, "\r\n", 2);
        c += 2;
        if (size == 0) {
            break;
        }
        assert_true(size <= n - at);
        assert_memory_equal(c, large + at, size);
        at += size;
        c += size;
        assert_memory_equal(c, "\r\n", 2);
        c += 2;
    }
    assert_int_equal(at, n);
    p->size = 0;
    p->in[0] = '\0';
}

static void streams_chunks(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct source k = {.size = 200000, .length = CONDUIT_HTTP_UNKNOWN};
    static const size_t steps[] = {200000, 4000, 17, 20};

    fill_large();
    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", source_route, &k);
    h_open(&p, &s);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        k.step = steps[i];
        k.size = h_chopped ? 9000 : i < 2 ? 200000 : 30000;
        k.ended = -1;
        h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_chunks(&p, k.size);
        assert_int_equal(k.ended, 0);
    }
    h_close(&p);
    h_stop(&s);
    assert_false(k.gone);
}

static void frames_exactly(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct source k = {.size = 20, .step = 15};

    fill_large();
    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", source_route, &k);
    k.length = CONDUIT_HTTP_UNKNOWN;
    h_open(&p, &s);
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if (!h_chopped) { /* there, chunks are what the window allows */
        h_expect(&p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                     "Content-Type: text/plain\r\n\r\n"
                     "f\r\nabcdefghijklmno\r\n5\r\npqrst\r\n0\r\n\r\n");
    } else {
        h_skip(&p, "0\r\n\r\n");
    }
    h_send(&p, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                 "Content-Type: text/plain\r\n\r\n");
    k.length = 20;
    h_send(&p, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n"
                 "Content-Type: text/plain\r\n\r\n");
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n"
                 "Content-Type: text/plain\r\n\r\nabcdefghijklmnopqrst");
    k.length = CONDUIT_HTTP_UNKNOWN;
    h_send(&p, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                 "Content-Type: text/plain\r\n\r\nabcdefghijklmnopqrst");
    h_expect_end(&p);
    h_close(&p);
    h_stop(&s);
}

static void waits_for_a_slow_reader(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct source k = {
        .size = large_size(), .step = 50000, .length = large_size()};

    fill_large();
    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", source_route, &k);
    h_open(&p, &s);
    p.deaf = true;
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, k.at > 0 || k.agains > 0);
    if (strncmp(h_uri, "mem", 3) == 0) {
        T_UNTIL(s.env, k.agains > 0);
        t_turns(s.env, 20);
        assert_true(k.at < LARGE / 2);
        assert_true(t_turns_in(s.env, 20) < 5);
    }
    h_listen_again(&p);
    h_skip(&p, "\r\n\r\n");
    expect_large(&p, k.size);
    h_close(&p);
    h_stop(&s);
}

static void begin_only(void *arg, struct conduit_http_request *r)
{
    h_keep(arg, r);
    (void)conduit_http_begin(r, 200, NULL, 10);
}

static void sends_the_head_alone(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct conduit_http_request *r = NULL;
    static const char digits[] = "0123456789";
    size_t at = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", begin_only, &r);
    h_open(&p, &s);
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    assert_int_equal(conduit_http_write(r, "too long....", 12), CONDUIT_EINVAL);
    assert_int_equal(conduit_http_begin(r, 200, NULL, 10), CONDUIT_EINVAL);
    assert_int_equal(conduit_http_add_header(r, "A", "b"), CONDUIT_EINVAL);
    while (at < 10) {
        long n = conduit_http_write(r, &digits[at], 10 - at);

        at += n > 0 ? (size_t)n : 0;
        t_turn(s.env, 0);
    }
    h_expect(&p, "0123456789");
    assert_int_equal(conduit_http_end(r), 0);
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    h_close(&p);
    h_stop(&s);
}

static void drops_what_ends_short(void **state)
{
    struct h_server s;
    struct h_peer p;
    struct source k = {.size = 5, .step = 5, .length = 10};

    fill_large();
    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", source_route, &k);
    h_open(&p, &s);
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, p.end != 0);
    assert_int_equal(k.ended, CONDUIT_EINVAL);
    assert_false(k.gone);
    h_close(&p);
    h_stop(&s);
}

static void bad_fields(void *arg, struct conduit_http_request *r)
{
    static const char *const bad[][2] = {
        {"Content-Length", "5"},
        {"transfer-encoding", "chunked"},
        {"Connection", "close"},
        {"date", "today"},
        {"X", "a\r\nInjected: 1"},
        {"X", "a\nb"},
        {"X", "a\rb"},
        {"X\r\nY", "a"},
        {"X: Y", "a"},
        {"", "a"},
        {"X ", "a"},
        {"X", "\x7f"},
        {"Keep-Alive", "1"},
        {"Upgrade", "x"},
    };
    size_t *refused = arg;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        *refused += conduit_http_add_header(r, bad[i][0], bad[i][1]) ==
                    CONDUIT_EINVAL;
    }
    *refused -= sizeof bad / sizeof *bad;
    (void)conduit_http_add_header(r, "X-Good", "a b\tc \xc3\xa4");
    (void)conduit_http_add_header(r, "X-Empty", "");
    h_hello(NULL, r);
}

static void takes_no_bad_fields(void **state)
{
    struct h_server s;
    size_t refused = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", bad_fields, &refused);
    h_ask(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
          "X-Good: a b\tc \xc3\xa4\r\nX-Empty: \r\n"
          "Content-Type: text/plain\r\n\r\nhello");
    assert_int_equal(refused, 0);
    h_stop(&s);
}

static void many_fields(void *arg, struct conduit_http_request *r)
{
    char value[1001];
    int *code = arg;
    int n = 0;

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    while (n < 100 && *code == 0) {
        *code = conduit_http_add_header(r, "X", value);
        n++;
    }
    (void)conduit_http_reply(r, 200, NULL, &n, n == 8 ? 0 : 1);
}

static void limits_the_head(void **state)
{
    struct h_server s;
    struct h_peer p;
    int code = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", many_fields, &code);
    h_open(&p, &s);
    h_send(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    h_skip(&p, "\r\n\r\n");
    assert_int_equal(code, CONDUIT_ELIMIT);
    h_close(&p);
    h_stop(&s);
}

/* Mistakes of the application do not reach the client as they are. */
struct mistake {
    int status;
    const char *type;
    int code;
};

static void make_mistake(void *arg, struct conduit_http_request *r)
{
    struct mistake *m = arg;

    (void)conduit_http_add_header(r, "X-Secret", "1");
    m->code = conduit_http_reply(r, m->status, m->type, "body", 4);
}

static void answers_500_for_mistakes(void **state)
{
    static const struct mistake mistakes[] = {
        {100, NULL, 0},
        {1000, NULL, 0},
        {-1, NULL, 0},
        {200, "text/plain\r\nX: y", 0},
    };
    struct h_server s;
    struct mistake m;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", make_mistake, &m);
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        m = mistakes[i];
        h_ask(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
              "HTTP/1.1 500 Internal Server Error\r\n"
              "Content-Length: 0\r\n\r\n");
        assert_int_equal(m.code, CONDUIT_EINVAL);
    }
    h_stop(&s);
}

struct again {
    int code;
    size_t sent;
};

/* Called once there is room, without a write before. */
static void write_ok(void *arg, struct conduit_http_request *r)
{
    struct again *a = arg;
    long n = conduit_http_write(r, &"ok"[a->sent], 2 - a->sent);

    a->sent += n > 0 ? (size_t)n : 0;
    if (a->sent == 2) {
        (void)conduit_http_end(r);
    }
}

static void begin_again(void *arg, struct conduit_http_request *r)
{
    struct again *a = arg;

    (void)conduit_http_add_header(r, "X-Kept", "1");
    a->code = conduit_http_begin(r, 200, "bad\r\ntype", 2);
    (void)conduit_http_begin(r, 200, "text/plain", 2);
    conduit_http_on_writable(r, write_ok, a);
}

static void may_begin_again_after_a_mistake(void **state)
{
    struct h_server s;
    struct again a = {0, 0};

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/", begin_again, &a);
    h_ask(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kept: 1\r\n"
          "Content-Type: text/plain\r\n\r\nok");
    assert_int_equal(a.code, CONDUIT_EINVAL);
    h_stop(&s);
}

static void reply_json(void *arg, struct conduit_http_request *r)
{
    json_t **value = arg;

    (void)conduit_http_reply_json(r, 201, *value);
}

static void reply_error(void *arg, struct conduit_http_request *r)
{
    const char **text = arg;

    (void)conduit_http_reply_error(r, 409, *text);
}

static void answers_json(void **state)
{
    struct h_server s;
    struct h_peer p;
    json_t *value = json_pack("{s:i, s:[b,n]}", "a", 1, "b", 1);
    const char *text = "it \"is\"\n\xc3\xa4";

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/json", reply_json, &value);
    h_route(&s, "GET", "/error", reply_error, &text);
    h_open(&p, &s);
    h_send(&p, "GET /json HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "HTTP/1.1 201 Created\r\n");
    h_skip(&p, "application/json\r\n\r\n");
    h_expect(&p, "{\"a\":1,\"b\":[true,null]}");
    h_send(&p, "GET /error HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "HTTP/1.1 409 Conflict\r\n");
    h_skip(&p, "\r\n\r\n");
    h_expect(&p, "{\"error\":\"it \\\"is\\\"\\n\xc3\xa4\"}");
    value = json_stringn(large, 20000);
    h_send(&p, "GET /json HTTP/1.1\r\nHost: a\r\n\r\n");
    h_skip(&p, "Content-Length: 20002\r\n");
    h_skip(&p, "\r\n\r\n\"");
    expect_large(&p, 20000);
    h_expect(&p, "\"");
    text = "\xff";
    h_send(&p, "GET /error HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, "HTTP/1.1 500 Internal Server Error\r\n"
                 "Content-Length: 0\r\n\r\n");
    h_close(&p);
    h_stop(&s);
}

static void reply_twice(void *arg, struct conduit_http_request *r)
{
    int *code = arg;

    h_hello(NULL, r);
    *code = conduit_http_reply(r, 200, NULL, "again", 5);
}

static void reply_after_begin(void *arg, struct conduit_http_request *r)
{
    int *code = arg;

    (void)conduit_http_begin(r, 200, NULL, CONDUIT_HTTP_UNKNOWN);
    *code = conduit_http_reply(r, 200, NULL, "again", 5);
}

static void answers_once(void **state)
{
    struct h_server s;
    struct h_peer p;
    int code = 0;

    h_serve(&s, *state, NULL);
    h_route(&s, "GET", "/twice", reply_twice, &code);
    h_route(&s, "GET", "/begun", reply_after_begin, &code);
    h_open(&p, &s);
    h_send(&p, "GET /twice HTTP/1.1\r\nHost: a\r\n\r\n"
               "GET /twice HTTP/1.1\r\nHost: a\r\n\r\n");
    h_expect(&p, H_HELLO H_HELLO);
    assert_int_equal(code, CONDUIT_EINVAL);
    code = 0;
    h_send(&p, "GET /begun HTTP/1.1\r\nHost: a\r\n\r\n");
    T_UNTIL(s.env, p.end != 0);
    assert_int_equal(code, CONDUIT_EINVAL);
    h_close(&p);
    h_stop(&s);
}

/* A whole answer is one write: what the peer reads first is all of it. */
static void sends_one_packet(void **state)
{
    struct h_server s;
    struct conduit_conn *conn;
    char buf[512];
    long n = CONDUIT_AGAIN;

    h_serve(&s, *state, NULL);
    if (h_chopped) { /* one byte is a packet there */
        h_stop(&s);
        return;
    }
    h_route(&s, "GET", "/hello", h_hello, NULL);
    conn = t_dial_now(s.env, s.uri);
    conduit_conn_want(conn, 0);
    T_UNTIL(s.env,
            conduit_conn_write(conn, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                               32) != CONDUIT_AGAIN);
    T_POLL(s.env,
           (n = conduit_conn_read(conn, buf, sizeof buf - 1)) != CONDUIT_AGAIN);
    assert_true(n > 5);
    assert_memory_equal(buf + n - 5, "hello", 5);
    conduit_conn_abort(conn);
    h_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(sends_large_answers),
        T_TEST(streams_chunks),
        T_TEST(frames_exactly),
        T_TEST(waits_for_a_slow_reader),
        T_TEST(sends_the_head_alone),
        T_TEST(drops_what_ends_short),
        T_TEST(takes_no_bad_fields),
        T_TEST(limits_the_head),
        T_TEST(answers_500_for_mistakes),
        T_TEST(may_begin_again_after_a_mistake),
        T_TEST(answers_json),
        T_TEST(answers_once),
        T_TEST(sends_one_packet),
    };

    return h_run(tests);
}
