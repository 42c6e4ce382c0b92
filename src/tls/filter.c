/* SPDX-License-Identifier: ISC */
/*
 * TLS as a layer. The engine turns bytes into bytes; this decides when it runs,
 * and what it may wait for. What it needs from below follows from the engine's
 * state alone: input while it shakes hands, or while plaintext is wanted and
 * none is at hand; room while ciphertext is stuck. Anything more would spin.
 *
 * Plaintext is decrypted into a buffer of the loop's pool only when it is
 * peeked at, and gathered in one only until the end of the turn or a full
 * record, so an idle connection holds neither.
 */
#include "filter.h"

#include "core.h"

#include <string.h>

#define LAYER "tls"

struct tls_conn {
    struct conduit_conn base;
    struct cdt_tls_io io;
    struct cdt_tls_session *session;
    struct conduit_tls *tls;
    struct cdt_buf *in;  /* plaintext that peek shows, or NULL */
    struct cdt_buf *out; /* plaintext that was accepted, or NULL */
    bool unsent;         /* plaintext was accepted and is not all below yet */
    bool closing;        /* close_notify goes behind it */
    bool closed;         /* it has gone to the engine */
};

static struct tls_conn *of(struct conduit_conn *c)
{
    return (struct tls_conn *)(void *)c;
}

static const struct tls_conn *of_const(const struct conduit_conn *c)
{
    return (const struct tls_conn *)(const void *)c;
}

static const struct cdt_tls_engine *engine(const struct tls_conn *t)
{
    return t->session->engine;
}

/* ---- ciphertext --------------------------------------------------------- */

static long input(struct cdt_tls_io *io, void *buf, size_t n)
{
    struct tls_conn *t = CDT_CONTAINER(io, struct tls_conn, io);

    return conduit_conn_read(t->base.below, buf, n);
}

static long output(struct cdt_tls_io *io, const void *buf, size_t n)
{
    struct tls_conn *t = CDT_CONTAINER(io, struct tls_conn, io);

    return conduit_conn_write(t->base.below, buf, n);
}

/* An error of the engine's is ours; one that came through it from below is the
 * lower layer's to explain, which the core looks up. */
static int failed(struct tls_conn *t, unsigned directions, int code)
{
    const struct cdt_tls_fault *fault = &t->session->fault;

    if (fault->code == code) {
        conduit_conn_fail(&t->base, directions, code, fault->native,
                          fault->text);
    }
    return code;
}

/* ---- shaking hands ------------------------------------------------------ */

static void want_for_handshake(struct tls_conn *t)
{
    (void)conduit_conn_want_below(&t->base, engine(t)->wants(t->session));
}

/* What has gone wrong is told to the peer first, by an alert. */
static int handshake_failed(struct tls_conn *t, int code)
{
    (void)engine(t)->flush(t->session);
    (void)conduit_conn_flush(t->base.below);
    if (failed(t, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE, code) ==
        CONDUIT_END) {
        code = CONDUIT_ETRUNCATED;
    }
    if (t->base.fault_code == 0) {
        cdt_conn_adopt_fault(&t->base, code);
        conduit_conn_fail(&t->base, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE,
                          code, 0, conduit_strerror(code));
    }
    return code;
}

static int handshake(struct tls_conn *t)
{
    int code = engine(t)->handshake(t->session);

    if (code == CONDUIT_AGAIN) {
        want_for_handshake(t);
        return 0;
    }
    if (code != 0) {
        return handshake_failed(t, code);
    }
    conduit_conn_opened(&t->base);
    return 0;
}

static int tls_start(struct conduit_conn *c)
{
    return handshake(of(c));
}

/* ---- reading ------------------------------------------------------------ */

static long tls_read(struct conduit_conn *c, void *buf, size_t n)
{
    struct tls_conn *t = of(c);
    long got;

    if (t->in != NULL) {
        size_t have = t->in->end - t->in->start;

        n = n < have ? n : have;
        memcpy(buf, t->in->data + t->in->start, n);
        c->ops->consume(c, n);
        return (long)n;
    }
    got = engine(t)->read(t->session, buf, n);
    if (got <= 0 && got != CONDUIT_AGAIN && got != CONDUIT_END) {
        (void)failed(t, CONDUIT_FAIL_READ, (int)got);
    }
    return got;
}

static long tls_peek(struct conduit_conn *c, struct conduit_win *win)
{
    struct tls_conn *t = of(c);
    struct cdt_buf *buf;
    long got;

    if (t->in == NULL) {
        buf = cdt_buf_get(c->loop);
        if (buf == NULL) {
            return CONDUIT_ENOMEM;
        }
        got = tls_read(c, buf->data, CDT_BUF_SIZE);
        if (got <= 0) {
            cdt_buf_put(c->loop, buf);
            return got;
        }
        buf->end = (uint32_t)got;
        t->in = buf;
    }
    win->seg[0].data = t->in->data + t->in->start;
    win->seg[0].size = t->in->end - t->in->start;
    return (long)win->seg[0].size;
}

static void tls_consume(struct conduit_conn *c, size_t n)
{
    struct tls_conn *t = of(c);

    t->in->start += (uint32_t)n;
    if (t->in->start == t->in->end) {
        cdt_buf_put(c->loop, t->in);
        t->in = NULL;
    }
}

/* ---- writing ------------------------------------------------------------ */

/* Hands what was gathered to the engine: 0 all of it, AGAIN or an error. */
static int seal(struct tls_conn *t)
{
    while (t->out != NULL && t->out->start < t->out->end) {
        long n = engine(t)->write(t->session, t->out->data + t->out->start,
                                  t->out->end - t->out->start);

        if (n < 0) {
            return (int)n;
        }
        t->out->start += (uint32_t)n;
    }
    cdt_buf_put(t->base.loop, t->out);
    t->out = NULL;
    return 0;
}

/* The room behind what is gathered, once there is some. */
static long tls_reserve(struct conduit_conn *c, struct conduit_win *win)
{
    struct tls_conn *t = of(c);

    if (t->out != NULL && t->out->end == CDT_BUF_SIZE) {
        int code = seal(t);

        if (code != 0) {
            return failed(t, CONDUIT_FAIL_WRITE, code);
        }
    }
    if (t->out == NULL) {
        t->out = cdt_buf_get(c->loop);
        if (t->out == NULL) {
            return CONDUIT_ENOMEM;
        }
    }
    win->seg[0].data = t->out->data + t->out->end;
    win->seg[0].size = CDT_BUF_SIZE - t->out->end;
    return (long)win->seg[0].size;
}

static void tls_commit(struct conduit_conn *c, size_t n)
{
    struct tls_conn *t = of(c);

    t->out->end += (uint32_t)n;
    t->unsent = t->unsent || n > 0;
    if (t->out->end == 0) {
        cdt_buf_put(c->loop, t->out);
        t->out = NULL;
    }
}

/* A whole record goes straight to the engine. */
static long tls_writev(struct conduit_conn *c, const struct conduit_seg *seg,
                       unsigned count)
{
    struct tls_conn *t = of(c);
    unsigned first = 0;
    long n;

    while (first + 1 < count && seg[first].size == 0) {
        first++;
    }
    if (t->out != NULL || seg[first].size < CDT_TLS_RECORD) {
        return conduit_default_writev(c, seg, count);
    }
    n = engine(t)->write(t->session, seg[first].data, seg[first].size);
    if (n > 0) {
        t->unsent = true;
    } else if (n != CONDUIT_AGAIN) {
        (void)failed(t, CONDUIT_FAIL_WRITE, (int)n);
    }
    return n;
}

/* Everything that is held, here and below. */
static int push(struct tls_conn *t)
{
    int code = t->base.state == CDT_CONN_OPENING ? 0 : seal(t);

    if (code == 0) {
        code = engine(t)->flush(t->session);
    }
    if (code == 0 || code == CONDUIT_AGAIN) {
        int below = conduit_conn_flush(t->base.below);

        code = below < 0 && below != CONDUIT_AGAIN ? below
               : code != 0                         ? code
                                                   : below;
    }
    if (code == 0) {
        t->unsent = false;
    }
    return code;
}

/*
 * close_notify goes out once all else has, for only then is it known whether
 * what fails was of any use: a peer that has closed needs to hear neither that
 * we close as well nor what an engine had to tell it besides.
 */
static int tls_flush(struct conduit_conn *c)
{
    struct tls_conn *t = of(c);
    int code = push(t);

    if (code == 0 && t->closing && !t->closed) {
        code = engine(t)->close(t->session);
        t->closed = code != CONDUIT_AGAIN;
        if (code == 0) {
            code = push(t);
        }
    }
    if (code == 0 || code == CONDUIT_AGAIN) {
        return code;
    }
    if (!t->unsent && c->state != CDT_CONN_OPENING &&
        (t->closed || code == CONDUIT_EPIPE)) {
        return 0;
    }
    (void)engine(t)->flush(t->session); /* an alert */
    return failed(t, CONDUIT_FAIL_WRITE, code);
}

static int tls_finish(struct conduit_conn *c, bool full)
{
    (void)full; /* what is below ends when it is closed itself */
    of(c)->closing = true;
    return 0;
}

/* ---- events ------------------------------------------------------------- */

static bool has_room(const struct tls_conn *t)
{
    return (t->out == NULL || t->out->end < CDT_BUF_SIZE) &&
           engine(t)->wants(t->session) == 0 &&
           (t->base.below->flags & CDT_HELD) == 0;
}

static bool has_bytes(const struct tls_conn *t)
{
    return t->in != NULL || engine(t)->readable(t->session);
}

/* Whether we could write, or end, but for the rest of a message of the peer's.
 * Only while a flush, or who wants to write, would take it in. */
static bool waits_for_input(const struct tls_conn *t, unsigned events)
{
    bool more = (events & CONDUIT_WRITE) != 0 || (t->closing && !t->closed);

    return engine(t)->wants(t->session) == CONDUIT_READ &&
           (t->out != NULL || (more && (t->base.below->flags & CDT_HELD) == 0));
}

static unsigned tls_want(struct conduit_conn *c, unsigned events)
{
    struct tls_conn *t = of(c);
    unsigned levels = 0;
    unsigned lower;

    if (c->state == CDT_CONN_OPENING) {
        want_for_handshake(t);
        return 0;
    }
    lower = engine(t)->wants(t->session) & CONDUIT_WRITE;
    if ((events & CONDUIT_READ) != 0) {
        if (has_bytes(t)) {
            levels |= CONDUIT_READ;
        } else if (!engine(t)->deaf(t->session)) {
            lower |= CONDUIT_READ;
        }
    }
    if ((events & CONDUIT_WRITE) != 0 && has_room(t)) {
        levels |= CONDUIT_WRITE;
    } else if ((t->base.below->flags & CDT_HELD) != 0) {
        lower |= events & CONDUIT_WRITE;
    }
    if (waits_for_input(t, events)) {
        lower |= CONDUIT_READ;
    }
    lower = conduit_conn_want_below(c, lower);
    if ((lower & CONDUIT_READ) != 0 && waits_for_input(t, events)) {
        levels |= CONDUIT_WRITE; /* a flush takes it in */
    }
    levels |= lower;
    return levels & events;
}

/* An error below is found by reading on: there may be records before it. */
static void tls_notify(struct conduit_conn *c, unsigned events)
{
    unsigned mine = events & (CONDUIT_READ | CONDUIT_WRITE);

    if (c->state == CDT_CONN_OPENING) {
        (void)handshake(of(c));
        return;
    }
    if ((events & CONDUIT_READ) != 0 && waits_for_input(of(c), CONDUIT_WRITE)) {
        mine |= CONDUIT_WRITE;
        (void)conduit_conn_flush(c);
    }
    if ((events & CONDUIT_ERR) != 0) {
        mine = CONDUIT_READ | CONDUIT_WRITE;
        (void)conduit_conn_flush(c);
    }
    conduit_conn_ready(c, mine);
}

static int query_caps(const struct conduit_conn *c, unsigned *caps)
{
    const struct tls_conn *t = of_const(c);
    int code = conduit_conn_query(c->below, CONDUIT_QUERY_CAPS, caps);

    if (code == 0 && !engine(t)->half_close(t->session)) {
        *caps &= ~(unsigned)CONDUIT_CAP_HALF_CLOSE;
    }
    return code;
}

static int tls_query(const struct conduit_conn *c, enum conduit_query what,
                     void *out)
{
    const struct tls_conn *t = of_const(c);

    if (what == CONDUIT_QUERY_CAPS) {
        return query_caps(c, out);
    }
    if (what == CONDUIT_QUERY_TLS && c->state >= CDT_CONN_OPEN) {
        memset(out, 0, sizeof(struct conduit_tls_facts));
        engine(t)->facts(t->session, out);
        return 0;
    }
    return CONDUIT_ENOTSUP;
}

static void tls_destroy(struct conduit_conn *c, bool aborted)
{
    struct tls_conn *t = of(c);

    (void)aborted;
    cdt_buf_put(c->loop, t->in);
    cdt_buf_put(c->loop, t->out);
    if (t->session != NULL) {
        engine(t)->session_free(t->session);
    }
    conduit_tls_unref(t->tls);
}

static const struct conduit_conn_ops tls_ops = {
    .name = LAYER,
    .size = sizeof(struct tls_conn),
    .start = tls_start,
    .peek = tls_peek,
    .consume = tls_consume,
    .reserve = tls_reserve,
    .commit = tls_commit,
    .read = tls_read,
    .writev = tls_writev,
    .lend = conduit_default_lend,
    .flush = tls_flush,
    .finish = tls_finish,
    .want = tls_want,
    .notify = tls_notify,
    .query = tls_query,
    .destroy = tls_destroy,
};

/* ---- wrapping ----------------------------------------------------------- */

/* Whom a client must meet: what it was told, or the host of its URI. */
static int find_name(const struct conduit_uri *uri,
                     const struct conduit_options *options,
                     struct cdt_tls_peer *peer, char *buf, size_t room,
                     struct conduit_error *err)
{
    const char *name = options->tls_name;
    struct conduit_addr addr;
    size_t len;

    if (name == NULL && uri != NULL && conduit_uri_has_host(uri)) {
        name = uri->host;
    }
    len = name != NULL ? strlen(name) : 0;
    if (len > 1 && name[len - 1] == '.') {
        len--; /* the root, which no certificate names */
    }
    if (len == 0 && !peer->trust_anybody) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "nothing says whom to expect there: give a "
                                 "name (tls_name)");
    }
    if (len >= room) {
        return conduit_error_set(err, CONDUIT_ELIMIT, LAYER, 0,
                                 "a name of more than %zu bytes", room - 1);
    }
    if (len > 0) {
        memcpy(buf, name, len);
        buf[len] = '\0';
        peer->name = buf;
        peer->name_is_ip = conduit_addr_parse(buf, len, &addr);
        if (!peer->name_is_ip && !cdt_tls_is_host(buf, len)) {
            return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                     "\"%.64s\" is not the name of one host",
                                     buf);
        }
    }
    return 0;
}

static int tls_prepare(struct conduit_ctx *ctx, bool server,
                       const struct conduit_uri *uri,
                       const struct conduit_options *options,
                       struct conduit_error *err)
{
    struct conduit_error ignored = {0};
    struct conduit_error *why = err != NULL ? err : &ignored;
    struct conduit_tls *tls = cdt_tls_of(ctx, options, why);
    struct cdt_tls_peer peer = {.server = server};
    char name[256];

    if (tls == NULL) {
        return why->code;
    }
    peer.trust_anybody = cdt_tls_trusts_anybody(tls);
    if (!server) {
        int code = find_name(uri, options, &peer, name, sizeof name, err);

        if (code != 0) {
            return code;
        }
    }
    return cdt_tls_prepare(tls, server, err);
}

static int tls_wrap(struct conduit_ctx *ctx, struct conduit_conn *below,
                    bool server, const struct conduit_uri *uri,
                    const struct conduit_options *options,
                    struct conduit_conn **out, struct conduit_error *err)
{
    struct conduit_error ignored = {0};
    struct conduit_error *why = err != NULL ? err : &ignored;
    struct conduit_tls *tls = cdt_tls_of(ctx, options, why);
    struct cdt_tls_peer peer = {.server = server};
    struct conduit_conn *c;
    struct tls_conn *t;
    char name[256];
    int code = tls != NULL ? 0 : why->code;

    if (code == 0) {
        peer.trust_anybody = cdt_tls_trusts_anybody(tls);
        code = server ? 0
                      : find_name(uri, options, &peer, name, sizeof name, why);
    }
    if (code == 0) {
        code = cdt_tls_prepare(tls, server, why);
    }
    if (code != 0) {
        return code;
    }
    c = conduit_conn_new(ctx, &tls_ops, below);
    if (c == NULL) {
        return conduit_error_set(why, CONDUIT_ENOMEM, LAYER, 0,
                                 "out of memory");
    }
    t = of(c);
    t->io = (struct cdt_tls_io){input, output};
    code = cdt_tls_session(tls, &peer, &t->io, &t->session, why);
    if (code != 0) {
        conduit_conn_discard(c);
        return code;
    }
    t->tls = conduit_tls_ref(tls);
    *out = c;
    return 0;
}

const struct conduit_filter cdt_tls_filter = {
    .name = LAYER,
    .summary = "TLS over any connection",
    .prepare = tls_prepare,
    .wrap = tls_wrap,
};

int conduit_tls_start(struct conduit_conn **conn, bool server, const char *name,
                      struct conduit_tls *tls, struct conduit_error *err)
{
    struct conduit_options options = {.tls = tls, .tls_name = name};
    struct conduit_win win;

    if (conduit_conn_peek(*conn, &win) > 0) {
        return conduit_error_set(err, CONDUIT_EPROTO, LAYER, 0,
                                 "plaintext came where TLS was to begin");
    }
    return conduit_conn_push(conn, &cdt_tls_filter, server, NULL, &options,
                             err);
}
