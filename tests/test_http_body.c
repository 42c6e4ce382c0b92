/* SPDX-License-Identifier: ISC */
/*
 * Outgoing bodies: whatever the connection takes at a time, what arrives is a
 * message that the parser reads as it was meant; also when the sender is told
 * AGAIN and comes back with something else.
 */
#include "support.h"

#include "chop.h"
#include "http/body.h"

#define HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define HEAD_LENGTH "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"

enum how { WRITE, LEND, ROOM };

struct exchange {
    struct t_env *env;
    struct t_pair pair;
    struct cdt_body body;
    uint64_t random;
    uint64_t sent;
    uint64_t got;
    bool done;
    struct cdt_http_parser parser;
    uint8_t head[512];
    uint8_t data[100000];
};

static const struct cdt_http_limits limits = {
    .request_line = 100,
    .fields = 10,
    .trailer = 0,
    .chunk_ext = 0,
    .body = UINT64_MAX,
};

static void read_some(struct exchange *x)
{
    uint8_t buf[1000];
    long n = conduit_conn_read(x->pair.b.conn, buf,
                               t_range(&x->random, 1, sizeof buf));
    size_t at = 0;
    enum cdt_http_event event = CDT_HTTP_HEAD;

    while (n > 0 && event != CDT_HTTP_MORE && !x->done) {
        const uint8_t *body;
        size_t len;
        size_t used;

        event = cdt_http_parse(&x->parser, buf + at, (size_t)n - at, &used,
                               &body, &len);

        at += used;
        assert_int_not_equal(event, CDT_HTTP_ERROR);
        if (event == CDT_HTTP_BODY) {
            assert_true(t_match(5, x->got, body, len));
            x->got += len;
        }
        x->done = event == CDT_HTTP_DONE;
    }
}

static long offer(struct exchange *x, enum how how, size_t n)
{
    struct conduit_conn *conn = x->pair.a.conn;
    void *at;
    long room;

    if (how != ROOM) {
        return how == LEND
                   ? cdt_body_lend(&x->body, conn, x->data + x->sent, n)
                   : cdt_body_write(&x->body, conn, x->data + x->sent, n);
    }
    room = cdt_body_room(&x->body, conn, n, &at);
    if (room > 0) {
        size_t part = t_range(&x->random, 0, (size_t)room);

        assert_true((size_t)room <= n);
        t_fill(5, x->sent, at, part);
        cdt_body_fill(&x->body, conn, part);
        room = (long)part;
    }
    return room;
}

static void send_some(struct exchange *x, enum how how, uint64_t total)
{
    /* Mostly small, so that AGAIN is followed by something else. */
    size_t most = t_random(&x->random) % 8 == 0 ? 40000 : 30;
    size_t n = t_range(&x->random, 1, most);
    long done;

    if (n > total - x->sent) {
        n = (size_t)(total - x->sent);
    }
    done = offer(x, how, n);
    if (done != CONDUIT_AGAIN) {
        assert_true(done >= 0 && (size_t)done <= n);
        x->sent += (uint64_t)done;
    }
}

static void run(void **state, const char *uri, enum how how,
                enum cdt_http_framing framing, size_t total)
{
    struct exchange *x = calloc(1, sizeof *x);
    bool length = framing == CDT_HTTP_LENGTH;
    const char *head = length ? HEAD_LENGTH : HEAD;
    int code = CONDUIT_AGAIN;

    assert_non_null(x);
    x->env = *state;
    x->random = 11;
    t_fill(5, 0, x->data, sizeof x->data);
    t_connect(&x->pair, x->env, uri, NULL);
    cdt_http_parser_init(&x->parser, CDT_HTTP_RESPONSE, &limits);
    cdt_http_parser_begin(&x->parser, x->head, sizeof x->head, "GET");
    cdt_body_init(&x->body, head, strlen(head), framing, total);
    while (x->sent < total) {
        send_some(x, how, total);
        t_turn(x->env, 0);
        read_some(x);
    }
    assert_int_equal(cdt_body_write(&x->body, x->pair.a.conn, "", 0), 0);
    if (length) {
        assert_int_equal(cdt_body_write(&x->body, x->pair.a.conn, "x", 1),
                         CONDUIT_EINVAL);
    }
    T_UNTIL(x->env,
            (code = cdt_body_end(&x->body, x->pair.a.conn)) != CONDUIT_AGAIN);
    assert_int_equal(code, 0);
    T_POLL(x->env, (read_some(x), x->done));
    assert_int_equal(x->got, total);
    assert_false(cdt_body_pending(&x->body));
    assert_int_equal(cdt_body_write(&x->body, x->pair.a.conn, "x", 1),
                     CONDUIT_EINVAL);
    t_disconnect(&x->pair);
    free(x);
}

static void all_ways(void **state, const char *uri)
{
    static const struct conduit_chop_settings some = {.again_percent = 10};
    struct t_env *env = *state;
    bool chopped = strncmp(uri, "chop", 4) == 0;

    assert_int_equal(conduit_register_chop(env->ctx), 0);
    conduit_chop_set(&some);
    for (int how = WRITE; how <= ROOM; how++) {
        run(state, uri, (enum how)how, CDT_HTTP_CHUNKED,
            chopped ? 5000 : 90000);
        run(state, uri, (enum how)how, CDT_HTTP_LENGTH, 100000);
        run(state, uri, (enum how)how, CDT_HTTP_CHUNKED, 0);
    }
    conduit_chop_set(NULL);
}

static void over_mem(void **state)
{
    all_ways(state, "mem://body");
}

static void over_tcp(void **state)
{
    T_NEEDS("tcp+socket");
    all_ways(state, "tcp://127.0.0.1:0");
}

static void over_vchan(void **state)
{
    T_NEEDS("vchan");
    t_own_names(*state);
    all_ways(state, "vchan://body");
}

static void over_direct(void **state)
{
    T_NEEDS("tcp+direct");
    all_ways(state, "tcp+direct://127.0.0.1:0");
}

static void over_chop(void **state)
{
    all_ways(state, "chop+mem://body");
}

static void leaves_out(void **state)
{
    struct t_pair pair;
    struct cdt_body b;
    char buf[64];
    void *at;

    t_connect(&pair, *state, "mem://body", NULL);
    cdt_body_init(&b, "head", 4, CDT_HTTP_NO_BODY, 9);
    assert_true(cdt_body_pending(&b));
    assert_int_equal(cdt_body_write(&b, pair.a.conn, "abc", 3), 3);
    assert_int_equal(cdt_body_write(&b, pair.a.conn, "abcdefg", 7),
                     CONDUIT_EINVAL);
    assert_true(cdt_body_room(&b, pair.a.conn, 100, &at) > 0);
    cdt_body_fill(&b, pair.a.conn, 5);
    assert_int_equal(cdt_body_end(&b, pair.a.conn), 0);
    t_turns(*state, 3);
    assert_int_equal(conduit_conn_read(pair.b.conn, buf, sizeof buf), 4);
    assert_memory_equal(buf, "head", 4);
    t_disconnect(&pair);
}

static void refuses_to_end_short(void **state)
{
    struct t_pair pair;
    struct cdt_body b;
    void *at;

    t_connect(&pair, *state, "mem://body", NULL);
    cdt_body_init(&b, NULL, 0, CDT_HTTP_LENGTH, 3);
    assert_int_equal(cdt_body_write(&b, pair.a.conn, "ab", 2), 2);
    assert_int_equal(cdt_body_end(&b, pair.a.conn), CONDUIT_EINVAL);
    assert_int_equal(cdt_body_room(&b, pair.a.conn, 5, &at), 1);
    cdt_body_fill(&b, pair.a.conn, 0);
    assert_int_equal(cdt_body_write(&b, pair.a.conn, "cd", 2), CONDUIT_EINVAL);
    assert_int_equal(cdt_body_write(&b, pair.a.conn, "c", 1), 1);
    assert_int_equal(cdt_body_room(&b, pair.a.conn, 5, &at), CONDUIT_EINVAL);
    assert_int_equal(cdt_body_end(&b, pair.a.conn), 0);
    t_disconnect(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(over_mem),
        T_TEST(over_tcp),
        T_TEST(over_vchan),
        T_TEST(over_direct),
        T_TEST(over_chop),
        T_TEST(leaves_out),
        T_TEST(refuses_to_end_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
