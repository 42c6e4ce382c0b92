/* SPDX-License-Identifier: ISC */
/*
 * Bodies in pieces: sources that have nothing now, applications that take
 * little, and amounts that fit nowhere, also over a connection that passes on a
 * byte at a time.
 */
#include "test_http_client.h"

static const struct conduit_http_call_options chunked = {
    .method = "POST",
    .target = "/",
    .source = call_source,
    .source_length = CONDUIT_HTTP_UNKNOWN,
};

static const struct conduit_http_call_options four = {
    .method = "POST",
    .target = "/",
    .source = call_source,
    .source_length = 4,
};

static const char *body_of(const struct rig *r)
{
    const char *end = strstr(r->peer->conns[0].in, "\r\n\r\n");

    return end != NULL ? end + 4 : "";
}

/* What the chunks hold, with a '.' for the last; as far as they came. */
static const char *chunks_of(const struct rig *r)
{
    static char text[64];
    const char *at = body_of(r);
    size_t used = 0;

    for (;;) {
        const char *line = strstr(at, "\r\n");
        size_t n = strtoul(at, NULL, 16);

        if (line == NULL || strlen(line) < n + 4) {
            break;
        }
        assert_true(used + n < sizeof text - 1);
        memcpy(text + used, n > 0 ? line + 2 : ".", n > 0 ? n : 1);
        used += n > 0 ? n : 1;
        assert_memory_equal(line + 2 + n, "\r\n", 2);
        at = line + 4 + n;
    }
    text[used] = '\0';
    return text;
}

/* ---- sources ------------------------------------------------------------ */

static void a_source_of_unknown_length(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->pieces = ".ab..cd.";
    call_start(c, chunked);
    /* The head goes out though there is nothing to send behind it yet. */
    PEER_WAIT(r.peer, 0, 1);
    assert_non_null(
        strstr(r.peer->conns[0].in, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_string_equal(body_of(&r), "");
    conduit_http_call_resume(c->call);
    T_UNTIL(r.env, strcmp(chunks_of(&r), "ab") == 0);
    t_turns(r.env, 8);
    assert_string_equal(c->pieces, ".cd."); /* it is not asked by itself */
    conduit_http_call_resume(c->call);
    t_turns(r.env, 8);
    assert_string_equal(c->pieces, "cd.");
    conduit_http_call_resume(c->call);
    T_UNTIL(r.env, strcmp(chunks_of(&r), "abcd") == 0);
    conduit_http_call_resume(c->call);
    T_UNTIL(r.env, strcmp(chunks_of(&r), "abcd.") == 0);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

static void a_source_of_no_bytes(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, chunked);
    T_UNTIL(r.env, r.peer->count > 0 && strcmp(chunks_of(&r), ".") == 0);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_roundtrip(&r, 0, 3);
    rig_close(&r);
    call_free(c);
}

static void a_source_of_known_length(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->pieces = "abc.d";
    call_start(c, four);
    T_UNTIL(r.env, r.peer->count > 0 && strcmp(body_of(&r), "abc") == 0);
    assert_non_null(strstr(r.peer->conns[0].in, "\r\nContent-Length: 4\r\n"));
    conduit_http_call_resume(c->call);
    T_UNTIL(r.env, strcmp(body_of(&r), "abcd") == 0);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

/* It is offered no more room than it may fill. */
static void a_source_that_has_more(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->pieces = "abcdefgh";
    call_start(c, four);
    T_UNTIL(r.env, r.peer->count > 0 && strcmp(body_of(&r), "abcd") == 0);
    t_turns(r.env, 8);
    assert_string_equal(body_of(&r), "abcd");
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    rig_close(&r);
    call_free(c);
}

static void assert_source_fails(void **state,
                                struct conduit_http_call_options o,
                                const char *pieces, long end, int code,
                                const char *text)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->pieces = pieces;
    c->source_end = end;
    call_start(c, o);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, code);
    assert_string_equal(c->err.text, text);
    /* Nobody may take it for a request that is complete. */
    T_UNTIL(r.env, r.peer->conns[0].end != 0);
    assert_null(strstr(body_of(&r), "\r\n\r\n"));
    rig_roundtrip(&r, 1, 1);
    rig_close(&r);
    call_free(c);
}

static void a_source_that_ends_early(void **state)
{
    assert_source_fails(
        state, four, "abc", CONDUIT_END, CONDUIT_EINVAL,
        "http: the body's source ended 1 bytes before its length");
}

static void a_source_that_fails(void **state)
{
    assert_source_fails(state, chunked, "abc", CONDUIT_EIO, CONDUIT_EIO,
                        "http: the body's source failed: input/output error");
    assert_source_fails(state, four, "", 0, CONDUIT_EINVAL,
                        "http: the body's source failed: invalid argument");
}

static long lie(void *arg, struct conduit_http_call *call, void *buf, size_t n)
{
    (void)arg;
    (void)call;
    (void)buf;
    return (long)n + 1;
}

static void a_source_that_lies(void **state)
{
    struct conduit_http_call_options o = chunked;

    o.source = lie;
    assert_source_fails(state, o, "", 0, CONDUIT_EINVAL,
                        "http: the body's source failed: invalid argument");
}

/* ---- applications that take little -------------------------------------- */

static void data_waits_for_resume(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->take = 0;
    call_start(c, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    peer_close(r.peer, 0);
    T_UNTIL(r.env, c->datas == 1);
    for (size_t i = 1; i <= 5; i++) {
        t_turns(r.env, 8);
        assert_int_equal(c->datas, i); /* not by itself */
        assert_int_equal(c->size, i - 1);
        c->take = i;
        conduit_http_call_resume(c->call);
        T_UNTIL(r.env, c->size == i);
    }
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_string_equal(c->body, "hello");
    rig_close(&r);
    call_free(c);
}

static void resume_within(struct call *c, int where)
{
    if (where == IN_DATA) {
        conduit_http_call_resume(c->call);
        c->take = c->size + 1;
    }
}

static size_t take_too_much(void *arg, struct conduit_http_call *call,
                            const void *data, size_t n)
{
    unsigned *datas = arg;

    (void)call;
    (void)data;
    (void)n;
    ++*datas;
    return SIZE_MAX;
}

/* Who says that he took more than there was has taken all there was. */
static void data_that_lies(void **state)
{
    unsigned datas[1] = {0};
    const struct conduit_http_call_options o = {.data = take_too_much,
                                                .arg = datas};
    struct rig r;

    rig_open(&r, state, NULL);
    assert_int_equal(conduit_http_call(r.client, &o, NULL, NULL), 0);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    T_UNTIL(r.env, datas[0] == 1);
    peer_send(r.peer, 0, "cd");
    T_UNTIL(r.env, datas[0] == 2);
    rig_roundtrip(&r, 0, 2);
    rig_close(&r);
}

/* A resume that comes before the short answer it is for still counts. */
static void resume_within_data(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->take = 1;
    c->hook = resume_within;
    call_start(c, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    CALL_WAIT(c);
    assert_string_equal(c->body, "hello");
    rig_close(&r);
    call_free(c);
}

/* Who does not take stops the server, not the client's memory from growing. */
static void the_peer_feels_it(void **state)
{
    static char block[4096];
    struct rig r;
    struct call *c;
    uint64_t sent = 0;
    unsigned full = 0;

    rig_open(&r, state, NULL);
    c = call_new(r.env, r.client);
    c->take = 10;
    call_start(c, GET);
    PEER_WAIT(r.peer, 0, 1);
    peer_send(r.peer, 0, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
    while (full < 50) {
        long n = conduit_conn_write(r.peer->conns[0].conn, block, sizeof block);

        if (n > 0) {
            sent += (uint64_t)n;
            full = 0;
        } else {
            full++;
        }
        t_turns(r.env, 1);
    }
    assert_true(sent < 200000);
    conduit_http_call_cancel(c->call);
    rig_close(&r);
    call_free(c);
}

/* ---- a lot -------------------------------------------------------------- */

/*
 * Uploads a stream and downloads another of the same size. The server checks
 * nothing of HTTP: it looks for the stream behind the head, by its length.
 */
static void exchange(void **state, const char *listen, const char *uri,
                     size_t size)
{
    struct conduit_http_call_options o = chunked;
    struct rig r;
    struct call *c;
    char head[128];
    char *answer = malloc(size);

    assert_non_null(answer);
    t_fill(5, 0, answer, size);
    assert_int_equal(conduit_register_chop(((struct t_env *)*state)->ctx), 0);
    rig_open_at(&r, state, listen, uri, NULL);
    c = call_new(r.env, r.client);
    c->stream = 4;
    c->stream_size = size;
    o.source_length = size;
    call_start(c, o);
    PEER_WAIT(r.peer, 0, 1);
    size_t head_size = (size_t)(body_of(&r) - r.peer->conns[0].in);
    T_UNTIL(r.env, r.peer->conns[0].size == head_size + size);
    assert_true(
        t_match(4, 0, body_of(&r),
                size < PEER_INPUT - head_size ? size : PEER_INPUT - head_size));
    (void)snprintf(head, sizeof head,
                   "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
    peer_send(r.peer, 0, head);
    peer_write(r.peer, 0, answer, size);
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_true(c->size == size && t_match(5, 0, c->body, size));
    rig_close(&r);
    call_free(c);
    free(answer);
}

static void a_megabyte(void **state)
{
    exchange(state, "mem://peer", URI, CALL_BODY);
}

static void a_megabyte_over_vchan(void **state)
{
    T_NEEDS("vchan");
    t_own_names(*state);
    exchange(state, "vchan://peer", "http+vchan://peer", CALL_BODY);
}

static void a_megabyte_over_direct(void **state)
{
    T_NEEDS("tcp+direct");
    exchange(state, "tcp+direct://127.0.0.1:80",
             "http+tcp+direct://127.0.0.1:80", CALL_BODY);
}

static void a_byte_at_a_time(void **state)
{
    exchange(state, "mem://peer", "http+chop+mem://peer", 10000);
    exchange(state, "mem://peer", "http+chop+chop+mem://peer", 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(a_source_of_unknown_length),
        T_TEST(a_source_of_no_bytes),
        T_TEST(a_source_of_known_length),
        T_TEST(a_source_that_has_more),
        T_TEST(a_source_that_ends_early),
        T_TEST(a_source_that_fails),
        T_TEST(a_source_that_lies),
        T_TEST(data_waits_for_resume),
        T_TEST(data_that_lies),
        T_TEST(resume_within_data),
        T_TEST(the_peer_feels_it),
        T_TEST(a_megabyte),
        T_TEST(a_megabyte_over_vchan),
        T_TEST(a_megabyte_over_direct),
        T_TEST(a_byte_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
