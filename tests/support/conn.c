/* SPDX-License-Identifier: ISC */
/* One end of a connection as a test drives it, and pairs of them. */
#include "support.h"

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Eight bytes of a stream from a multiple of eight on. */
static void stream_word(uint64_t stream, uint64_t at, uint8_t word[8])
{
    uint64_t x = mix(stream * 0x51ed2701u + (at >> 3));

    memcpy(word, &x, 8);
}

void t_fill(uint64_t stream, uint64_t at, void *buf, size_t n)
{
    uint8_t *p = buf;
    uint8_t word[8];

    while (n > 0) {
        size_t skip = (size_t)(at & 7);
        size_t part = 8 - skip < n ? 8 - skip : n;

        stream_word(stream, at, word);
        memcpy(p, word + skip, part);
        p += part;
        at += part;
        n -= part;
    }
}

bool t_match(uint64_t stream, uint64_t at, const void *buf, size_t n)
{
    const uint8_t *p = buf;
    uint8_t word[8];

    while (n > 0) {
        size_t skip = (size_t)(at & 7);
        size_t part = 8 - skip < n ? 8 - skip : n;

        stream_word(stream, at, word);
        if (memcmp(p, word + skip, part) != 0) {
            return false;
        }
        p += part;
        at += part;
        n -= part;
    }
    return true;
}

uint32_t t_random(uint64_t *state)
{
    *state = mix(*state);
    return (uint32_t)(*state >> 32);
}

size_t t_range(uint64_t *state, size_t low, size_t high)
{
    return low + t_random(state) % (high - low + 1);
}

/* ---- one end ------------------------------------------------------------ */

void t_pull(struct t_conn *t)
{
    uint8_t buf[4096];

    while (t->limit == 0 || t->received < t->limit) {
        size_t n = sizeof buf;
        long got;

        if (t->limit != 0 && t->limit - t->received < n) {
            n = (size_t)(t->limit - t->received);
        }
        got = conduit_conn_read(t->conn, buf, n);
        if (got == CONDUIT_AGAIN) {
            return;
        }
        if (got <= 0) {
            T_CHECK(t->env, got != 0);
            t->end = (int)got;
            t_want(t, t->interest & ~(unsigned)CONDUIT_READ);
            return;
        }
        if ((size_t)got > n || !t_match(t->in, t->received, buf, (size_t)got)) {
            t_fault(t->env, "wrong bytes near %llu of stream %llu",
                    (unsigned long long)t->received, (unsigned long long)t->in);
        }
        t->received += (uint64_t)got;
    }
}

/* Offers twice of what was taken the last time: filling costs more than that.
 */
void t_push(struct t_conn *t)
{
    uint8_t buf[4096];

    if (t->offer == 0) {
        t->offer = sizeof buf;
    }
    while (t->sent < t->goal) {
        size_t n = t->offer;
        long done;

        if (t->goal - t->sent < n) {
            n = (size_t)(t->goal - t->sent);
        }
        t_fill(t->out, t->sent, buf, n);
        done = conduit_conn_write(t->conn, buf, n);
        if (done == CONDUIT_AGAIN) {
            return;
        }
        if (done <= 0) {
            T_CHECK(t->env, done != 0);
            t->send_end = (int)done;
            t_want(t, t->interest & ~(unsigned)CONDUIT_WRITE);
            return;
        }
        T_CHECK(t->env, (size_t)done <= n);
        t->sent += (uint64_t)done;
        t->offer = (size_t)done * 2 + 16;
        if (t->offer > sizeof buf) {
            t->offer = sizeof buf;
        }
    }
    t_want(t, t->interest & ~(unsigned)CONDUIT_WRITE);
}

static void count_events(struct t_conn *t, unsigned events)
{
    t->calls++;
    t->last = events;
    t->seen |= events;
    for (unsigned i = 0; i < 5; i++) {
        if ((events & (1u << i)) != 0) {
            t->count[i]++;
        }
    }
}

static void check_rules(struct t_conn *t, struct conduit_conn *conn,
                        unsigned events)
{
    struct t_env *env = t->env;
    unsigned always = CONDUIT_OPEN | CONDUIT_ERR;

    T_CHECK(env, conn == t->conn);
    T_CHECK(env, env->turning && "a callback from outside of the loop");
    T_CHECK(env, !env->ending && "a callback while the context is freed");
    T_CHECK(env, env->depth == 1 && "a callback within a callback");
    T_CHECK(env, t->turn != env->turns && "two callbacks in a turn");
    T_CHECK(env, events != 0);
    T_CHECK(env, (events & ~(t->interest | always)) == 0 && "masked");
    t->turn = env->turns;
}

static void on_events(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct t_conn *t = arg;
    struct t_env *env = t->env;

    env->depth++;
    check_rules(t, conn, events);
    count_events(t, events);
    if (t->pull && (events & CONDUIT_READ) != 0) {
        t_pull(t);
    }
    if (t->push && (events & CONDUIT_WRITE) != 0) {
        t_push(t);
    }
    if (t->hook != NULL) {
        t->hook(t, events);
    }
    env->depth--;
}

void t_attach(struct t_conn *t, struct t_env *env, struct conduit_conn *conn,
              unsigned events)
{
    t->env = env;
    t->conn = conn;
    t->interest = events;
    conduit_conn_set_handler(conn, on_events, t, events);
}

void t_want(struct t_conn *t, unsigned events)
{
    t->interest = events;
    conduit_conn_want(t->conn, events);
}

void t_close(struct t_conn *t)
{
    conduit_conn_close(t->conn);
    t->conn = NULL;
}

void t_abort(struct t_conn *t)
{
    if (t->conn != NULL) {
        conduit_conn_abort(t->conn);
        t->conn = NULL;
    }
}

/* ---- listening and dialling --------------------------------------------- */

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    struct t_server *s = arg;

    T_CHECK(s->env, s->env->turning);
    T_CHECK(s->env, s->listener == NULL || s->listener == listener);
    if (s->tail - s->head == T_QUEUE) {
        t_fault(s->env, "more than %d accepted", T_QUEUE);
        conduit_conn_abort(conn);
        return;
    }
    if (s->env->came != NULL) {
        s->env->came(s->env, &conn, true);
    }
    s->conn[s->tail++ % T_QUEUE] = conn;
}

static struct conduit_options with_tls(const struct t_env *env,
                                       const struct conduit_options *given,
                                       struct conduit_tls *tls)
{
    struct conduit_options o = {0};

    if (given != NULL) {
        o = *given;
    }
    if (o.tls == NULL) {
        o.tls = tls;
        o.tls_name = env->tls_name;
    }
    return o;
}

void t_listen(struct t_server *s, struct t_env *env, const char *uri,
              const struct conduit_options *options)
{
    struct conduit_options all = with_tls(env, options, env->tls_server);
    struct conduit_error err = {0};

    memset(s, 0, sizeof *s);
    s->env = env;
    if (conduit_listen(env->ctx, uri, &all, on_accept, s, &s->listener, &err) !=
        0) {
        fail_msg("listen %s: %s", uri, err.text);
    }
}

struct conduit_conn *t_accepted(struct t_server *s)
{
    return s->head < s->tail ? s->conn[s->head++ % T_QUEUE] : NULL;
}

void t_unlisten(struct t_server *s)
{
    struct conduit_conn *conn;

    while ((conn = t_accepted(s)) != NULL) {
        conduit_conn_close(conn);
    }
    conduit_listener_close(s->listener);
    s->listener = NULL;
}

static void on_dialed(void *arg, struct conduit_dial *dial,
                      struct conduit_conn *conn,
                      const struct conduit_error *err)
{
    struct t_client *c = arg;

    T_CHECK(c->env, c->env->turning && "a dial ended outside of the loop");
    T_CHECK(c->env, (conn == NULL) == (err != NULL));
    if (conn != NULL && c->env->came != NULL) {
        c->env->came(c->env, &conn, false);
    }
    c->calls++;
    c->conn = conn;
    if (err != NULL) {
        c->err = *err;
    }
    while (c->attempts < 16 &&
           conduit_dial_attempt(dial, c->attempts, &c->attempt[c->attempts])) {
        c->attempts++;
    }
}

void t_dial(struct t_client *c, struct t_env *env, const char *uri,
            const struct conduit_options *options)
{
    struct conduit_options all = with_tls(env, options, env->tls_client);
    struct conduit_error err = {0};

    memset(c, 0, sizeof *c);
    c->env = env;
    if (conduit_dial(env->ctx, uri, &all, on_dialed, c, &c->dial, &err) != 0) {
        fail_msg("dial %s: %s", uri, err.text);
    }
    assert_int_equal(c->calls, 0);
}

struct conduit_conn *t_dial_now(struct t_env *env, const char *uri)
{
    struct t_client c;

    t_dial(&c, env, uri, NULL);
    T_UNTIL(env, c.calls != 0);
    if (c.conn == NULL) {
        fail_msg("dial %s: %s", uri, c.err.text);
    }
    return c.conn;
}

void t_connect(struct t_pair *pair, struct t_env *env, const char *uri,
               const struct conduit_options *options)
{
    struct t_server s;
    struct t_client c;
    struct conduit_conn *conn = NULL;

    memset(pair, 0, sizeof *pair);
    t_listen(&s, env, uri, options);
    t_dial(&c, env, conduit_listener_uri(s.listener), options);
    T_UNTIL(env,
            c.calls != 0 && (conn != NULL || (conn = t_accepted(&s)) != NULL));
    if (c.conn == NULL) {
        fail_msg("dial %s: %s", uri, c.err.text);
    }
    t_unlisten(&s);
    pair->a.env = env;
    pair->b.env = env;
    pair->a.conn = c.conn;
    pair->b.conn = conn;
    pair->a.out = 1;
    pair->b.in = 1;
    pair->b.out = 2;
    pair->a.in = 2;
}

void t_disconnect(struct t_pair *pair)
{
    struct t_env *env = pair->a.env;

    t_close(&pair->a);
    t_close(&pair->b);
    env->turning = true;
    conduit_loop_finish(env->loop);
    env->turning = false;
}
