/* SPDX-License-Identifier: ISC */
/*
 * For the tests of the HTTP client: a server that knows no HTTP, but writes the
 * bytes that a test gives and keeps those that it gets; and a call that keeps
 * all that it is told. Both note a fault where a callback comes from outside of
 * the loop, twice, or after the end.
 */
#ifndef TEST_HTTP_CLIENT_H
#define TEST_HTTP_CLIENT_H

#include "chop.h"
#include "support.h"

#include <conduit/http.h>

#define URI "http+mem://peer"

/* ---- the server --------------------------------------------------------- */

enum { PEER_CONNS = 16, PEER_INPUT = 1 << 16 };

struct peer_conn {
    struct t_env *env;
    struct conduit_conn *conn; /* NULL once closed here */
    char in[PEER_INPUT + 1];   /* the first bytes that came, as text */
    size_t size;               /* all of them, kept or not */
    int end;                   /* what reading ended with */
};

struct peer {
    struct t_env *env;
    struct conduit_listener *listener;
    struct peer_conn conns[PEER_CONNS];
    unsigned count; /* accepted in all */
};

static inline void peer_events(void *arg, struct conduit_conn *conn,
                               unsigned events)
{
    struct peer_conn *c = arg;
    char buf[4096];
    long n;

    (void)events;
    while (c->end == 0 &&
           (n = conduit_conn_read(conn, buf, sizeof buf)) != CONDUIT_AGAIN) {
        if (n < 0) {
            c->end = (int)n;
            conduit_conn_want(conn, 0);
            return;
        }
        if (c->size < PEER_INPUT) {
            size_t room = PEER_INPUT - c->size;
            size_t k = (size_t)n < room ? (size_t)n : room;

            memcpy(c->in + c->size, buf, k);
        }
        c->size += (size_t)n;
    }
}

static inline void peer_accept(void *arg, struct conduit_listener *listener,
                               struct conduit_conn *conn)
{
    struct peer *p = arg;
    struct peer_conn *c = &p->conns[p->count];

    (void)listener;
    if (p->count == PEER_CONNS) {
        t_fault(p->env, "more than %d connections", PEER_CONNS);
        conduit_conn_abort(conn);
        return;
    }
    p->count++;
    c->env = p->env;
    c->conn = conn;
    conduit_conn_set_handler(conn, peer_events, c, CONDUIT_READ);
}

static inline void peer_listen(struct peer *p, struct t_env *env,
                               const char *uri)
{
    struct conduit_error err;

    p->env = env;
    if (conduit_listen(env->ctx, uri, NULL, peer_accept, p, &p->listener,
                       &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static inline void peer_close(struct peer *p, unsigned i)
{
    conduit_conn_close(p->conns[i].conn);
    p->conns[i].conn = NULL;
}

static inline void peer_reset(struct peer *p, unsigned i)
{
    conduit_conn_abort(p->conns[i].conn);
    p->conns[i].conn = NULL;
}

static inline void peer_free(struct peer *p)
{
    conduit_listener_close(p->listener);
    for (unsigned i = 0; i < p->count; i++) {
        peer_close(p, i);
    }
    conduit_loop_finish(p->env->loop);
    free(p);
}

/* Writes all of n bytes, while the loop turns. */
static inline void peer_write(struct peer *p, unsigned i, const void *data,
                              size_t n)
{
    struct conduit_conn *conn = p->conns[i].conn;
    const char *bytes = data;

    while (n > 0) {
        long k = conduit_conn_write(conn, bytes, n);

        if (k == CONDUIT_AGAIN) {
            conduit_conn_want(conn, CONDUIT_READ | CONDUIT_WRITE);
            T_UNTIL(p->env,
                    (k = conduit_conn_write(conn, bytes, n)) != CONDUIT_AGAIN);
            conduit_conn_want(conn, CONDUIT_READ);
        }
        assert_true(k > 0);
        bytes += k;
        n -= (size_t)k;
    }
}

static inline void peer_send(struct peer *p, unsigned i, const char *text)
{
    peer_write(p, i, text, strlen(text));
}

/* Waits until connection i has got n heads that end with an empty line. */
static inline bool peer_has(const struct peer *p, unsigned i, unsigned heads)
{
    const char *at = p->conns[i].in;

    if (i >= p->count) {
        return false;
    }
    while (heads > 0 && (at = strstr(at, "\r\n\r\n")) != NULL) {
        at += 4;
        heads--;
    }
    return at != NULL;
}
#define PEER_WAIT(p, i, heads) T_UNTIL((p)->env, peer_has(p, i, heads))

/* ---- a call ------------------------------------------------------------- */

enum { CALL_BODY = 1 << 20 };

/* Where a hook is called from. */
enum { IN_HEAD, IN_DATA, IN_SOURCE, IN_DONE };

struct call {
    struct t_env *env;
    struct conduit_http_client *client;
    struct conduit_http_call *call; /* NULL once over */
    unsigned heads;
    unsigned done;
    int status;
    char header[128]; /* X-Test of the answer */
    char *body;       /* of the answer; with a 0 behind it */
    size_t size;
    size_t take;    /* `data` takes so much in all; SIZE_MAX: everything */
    unsigned datas; /* calls of `data` */
    struct conduit_error err; /* code 0: none */
    /* a source */
    const char *pieces; /* given one word after the other, '.' for AGAIN */
    long source_end;    /* what comes behind them */
    uint64_t stream;    /* or so many bytes of a stream: */
    uint64_t stream_at;
    uint64_t stream_size;
    /* Called at the end of each callback; may cancel and free. */
    void (*hook)(struct call *c, int where);
    void *arg;
    struct call *other;
};

static inline void call_check(struct call *c, struct conduit_http_call *call)
{
    T_CHECK(c->env, c->env->turning && "a callback from outside of the loop");
    T_CHECK(c->env, c->call == call && "a callback of another call");
    T_CHECK(c->env, c->done == 0 && "a callback after the end");
}

static inline void call_hook(struct call *c, int where)
{
    if (c->hook != NULL) {
        c->hook(c, where);
    }
}

static inline void call_head(void *arg, struct conduit_http_call *call)
{
    struct call *c = arg;
    const char *header = conduit_http_call_header(call, "x-test");

    call_check(c, call);
    c->heads++;
    c->status = conduit_http_call_status(call);
    (void)snprintf(c->header, sizeof c->header, "%s",
                   header != NULL ? header : "(none)");
    call_hook(c, IN_HEAD);
}

static inline size_t call_data(void *arg, struct conduit_http_call *call,
                               const void *data, size_t n)
{
    struct call *c = arg;
    size_t room = c->take - c->size;

    call_check(c, call);
    T_CHECK(c->env, c->heads == 1 && n > 0);
    c->datas++;
    n = n < room ? n : room;
    if (c->size + n > CALL_BODY) {
        t_fault(c->env, "a body of more than %d bytes", CALL_BODY);
        return n;
    }
    memcpy(c->body + c->size, data, n);
    c->size += n;
    c->body[c->size] = '\0';
    call_hook(c, IN_DATA);
    return n;
}

static inline void call_done(void *arg, struct conduit_http_call *call,
                             const struct conduit_error *err)
{
    struct call *c = arg;

    T_CHECK(c->env, c->call == call && c->done == 0);
    c->done++;
    c->status = conduit_http_call_status(call);
    if (err != NULL) {
        c->err = *err;
        T_CHECK(c->env, err->code < 0 && err->text[0] != '\0');
    }
    call_hook(c, IN_DONE);
    c->call = NULL;
}

static inline long call_source(void *arg, struct conduit_http_call *call,
                               void *buf, size_t n)
{
    struct call *c = arg;
    size_t k;

    call_check(c, call);
    T_CHECK(c->env, n > 0);
    call_hook(c, IN_SOURCE);
    if (c->stream_size > 0) {
        uint64_t left = c->stream_size - c->stream_at;

        k = n < left ? n : (size_t)left;
        t_fill(c->stream, c->stream_at, buf, k);
        c->stream_at += k;
        return k > 0 ? (long)k : c->source_end;
    }
    if (c->pieces == NULL || *c->pieces == '\0') {
        return c->source_end;
    }
    if (*c->pieces == '.') {
        c->pieces++;
        return CONDUIT_AGAIN;
    }
    k = strcspn(c->pieces, ".");
    k = k < n ? k : n;
    memcpy(buf, c->pieces, k);
    c->pieces += k;
    return (long)k;
}

static inline struct call *call_new(struct t_env *env,
                                    struct conduit_http_client *client)
{
    struct call *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->env = env;
    c->client = client;
    c->take = SIZE_MAX;
    c->source_end = CONDUIT_END;
    c->body = calloc(1, CALL_BODY + 1);
    assert_non_null(c->body);
    return c;
}

static inline void call_free(struct call *c)
{
    free(c->body);
    free(c);
}

/* Makes the call; with options of which only the callbacks are replaced. */
static inline int call_try(struct call *c, struct conduit_http_call_options o,
                           struct conduit_error *err)
{
    o.head = call_head;
    o.data = call_data;
    o.done = call_done;
    o.arg = c;
    return conduit_http_call(c->client, &o, &c->call, err);
}

static inline void call_start(struct call *c,
                              struct conduit_http_call_options o)
{
    struct conduit_error err;

    if (call_try(c, o, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

/* A new call, made. */
static inline struct call *call_made(struct t_env *env,
                                     struct conduit_http_client *client,
                                     struct conduit_http_call_options o)
{
    struct call *c = call_new(env, client);

    call_start(c, o);
    return c;
}
#define GET ((struct conduit_http_call_options){.target = "/"})
#define POST(text)                                        \
    ((struct conduit_http_call_options){.method = "POST", \
                                        .target = "/",    \
                                        .body = (text),   \
                                        .body_size = strlen(text)})
#define CALL_WAIT(c) T_UNTIL((c)->env, (c)->done > 0)

/* ---- both --------------------------------------------------------------- */

/* What each test has. */
struct rig {
    struct t_env *env;
    struct peer *peer;
    struct conduit_http_client *client; /* NULL once freed */
};

static inline void rig_open_at(struct rig *r, void **state, const char *listen,
                               const char *uri,
                               const struct conduit_http_options *options)
{
    struct conduit_error err;

    memset(r, 0, sizeof *r);
    r->env = *state;
    r->peer = calloc(1, sizeof *r->peer);
    assert_non_null(r->peer);
    peer_listen(r->peer, r->env, listen);
    if (conduit_http_client_new(r->env->ctx, uri, options, &r->client, &err) !=
        0) {
        fail_msg("%s", err.text);
    }
}

static inline void rig_open(struct rig *r, void **state,
                            const struct conduit_http_options *options)
{
    rig_open_at(r, state, "mem://peer", URI, options);
}

static inline void rig_close(struct rig *r)
{
    conduit_http_client_free(r->client);
    r->client = NULL;
    peer_free(r->peer);
}

/* A GET that connection i of the peer answers with 200 and "ok". */
static inline void rig_roundtrip(struct rig *r, unsigned i, unsigned nth)
{
    struct call *c = call_made(r->env, r->client, GET);

    PEER_WAIT(r->peer, i, nth);
    peer_send(r->peer, i, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    assert_int_equal(c->status, 200);
    assert_string_equal(c->body, "ok");
    call_free(c);
}

#endif
