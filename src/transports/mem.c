/* SPDX-License-Identifier: ISC */
/*
 * mem:// connects within one context: two rings of bytes, windows straight into
 * them. It is the transport of tests, and of a program that talks to itself.
 * Each ring is a buffer of the loop's pool, held only while there are bytes in
 * it.
 *
 * The two ends share a pair, which outlives the first of them to go, so that
 * what was written before is still read.
 */
#include "core.h"

#include <stdio.h>
#include <string.h>

struct ring {
    struct cdt_buf *buf;
    uint32_t head; /* where the oldest byte is */
    uint32_t used;
    bool finished; /* the writer has ended its bytes */
    bool reserved; /* the writer was shown room in buf */
};

struct mem_conn;

struct pair {
    struct ring ring[2];     /* [i]: written by end i */
    struct mem_conn *end[2]; /* NULL: gone */
    struct conduit_ctx *ctx;
    char name[CONDUIT_NAME_MAX + 1];
};

struct mem_conn {
    struct conduit_conn base;
    struct pair *pair;          /* NULL until the dialler starts */
    char *name;                 /* the dialler's, until it starts */
    struct mem_conn *wait_next; /* accepted while the listener is paused */
    uint8_t side;
    bool wrote;
    bool took;
};

struct cdt_mem_listener {
    struct conduit_acceptor base;
    struct cdt_mem_listener *next;
    struct conduit_ctx *ctx;
    struct mem_conn *waiting;
    struct mem_conn **waiting_last;
    unsigned waiting_count;
    unsigned backlog;
    bool paused;
    char name[CONDUIT_NAME_MAX + 1];
};

static struct mem_conn *of(struct conduit_conn *c)
{
    return (struct mem_conn *)(void *)c;
}

static struct ring *in_ring(const struct mem_conn *m)
{
    return &m->pair->ring[m->side ^ 1];
}

static struct ring *out_ring(const struct mem_conn *m)
{
    return &m->pair->ring[m->side];
}

static struct mem_conn *peer_of(const struct mem_conn *m)
{
    return m->pair->end[m->side ^ 1];
}

/* ---- reading ---- */

static long mem_peek(struct conduit_conn *c, struct conduit_win *win)
{
    struct mem_conn *m = of(c);
    struct ring *r = in_ring(m);
    uint32_t first = CDT_BUF_SIZE - r->head;

    if (r->used == 0) {
        return r->finished ? CONDUIT_END : CONDUIT_AGAIN;
    }
    if (first > r->used) {
        first = r->used;
    }
    win->seg[0].data = r->buf->data + r->head;
    win->seg[0].size = first;
    win->seg[1].data = r->buf->data;
    win->seg[1].size = r->used - first;
    return (long)r->used;
}

static void drop_buffer(struct conduit_loop *loop, struct ring *r)
{
    cdt_buf_put(loop, r->buf);
    r->buf = NULL;
    r->head = 0;
    r->used = 0;
}

static void mem_consume(struct conduit_conn *c, size_t n)
{
    struct mem_conn *m = of(c);
    struct ring *r = in_ring(m);

    r->head = (uint32_t)((r->head + n) % CDT_BUF_SIZE);
    r->used -= (uint32_t)n;
    if (r->used == 0 && !r->reserved) {
        drop_buffer(c->loop, r);
    }
    m->took = true;
}

/* ---- writing ---- */

static long mem_reserve(struct conduit_conn *c, struct conduit_win *win)
{
    struct mem_conn *m = of(c);
    struct ring *r = out_ring(m);
    uint32_t room = CDT_BUF_SIZE - r->used;
    uint32_t tail;
    uint32_t first;

    if (peer_of(m) == NULL) {
        return CONDUIT_EPIPE;
    }
    if (room == 0) {
        return CONDUIT_AGAIN;
    }
    if (r->buf == NULL) {
        r->buf = cdt_buf_get(c->loop);
        if (r->buf == NULL) {
            return CONDUIT_ENOMEM;
        }
    }
    r->reserved = true;
    tail = (r->head + r->used) % CDT_BUF_SIZE;
    first = CDT_BUF_SIZE - tail < room ? CDT_BUF_SIZE - tail : room;
    win->seg[0].data = r->buf->data + tail;
    win->seg[0].size = first;
    win->seg[1].data = r->buf->data;
    win->seg[1].size = room - first;
    return (long)room;
}

static void mem_commit(struct conduit_conn *c, size_t n)
{
    struct mem_conn *m = of(c);
    struct ring *r = out_ring(m);

    r->used += (uint32_t)n;
    r->reserved = false;
    if (r->used == 0) {
        drop_buffer(c->loop, r);
    }
    m->wrote = m->wrote || n > 0;
}

/* What was written is visible to the peer at once; this only wakes it. */
static int mem_flush(struct conduit_conn *c)
{
    struct mem_conn *m = of(c);
    unsigned events = 0;

    if (m->pair == NULL) {
        return 0;
    }
    if (m->wrote) {
        events |= CONDUIT_READ;
    }
    if (m->took) {
        events |= CONDUIT_WRITE;
    }
    m->wrote = false;
    m->took = false;
    if (events != 0 && peer_of(m) != NULL) {
        conduit_conn_ready(&peer_of(m)->base, events);
    }
    return 0;
}

static int mem_finish(struct conduit_conn *c, bool full)
{
    struct mem_conn *m = of(c);

    (void)full;
    out_ring(m)->finished = true;
    m->wrote = true;
    return 0;
}

static unsigned mem_want(struct conduit_conn *c, unsigned events)
{
    struct mem_conn *m = of(c);
    unsigned levels = 0;

    if (in_ring(m)->used > 0 || in_ring(m)->finished) {
        levels |= CONDUIT_READ;
    }
    if (out_ring(m)->used < CDT_BUF_SIZE || peer_of(m) == NULL) {
        levels |= CONDUIT_WRITE;
    }
    return levels & events;
}

static int mem_query(const struct conduit_conn *c, enum conduit_query what,
                     void *out)
{
    const struct mem_conn *m = (const struct mem_conn *)(const void *)c;
    unsigned *caps = out;

    switch (what) {
    case CONDUIT_QUERY_CAPS:
        *caps = CONDUIT_CAP_HALF_CLOSE | CONDUIT_CAP_RESET;
        return 0;
    case CONDUIT_QUERY_TRANSPORT:
        *(const char **)out = "mem";
        return 0;
    case CONDUIT_QUERY_PEER:
    case CONDUIT_QUERY_LOCAL:
        (void)snprintf(out, CONDUIT_PEER_TEXT, "mem:%s",
                       m->pair != NULL ? m->pair->name : m->name);
        return 0;
    default:
        return CONDUIT_ENOTSUP;
    }
}

/* The peer learns: a reset, or that nobody takes its bytes any more. */
static void tell_peer(struct mem_conn *m, bool aborted)
{
    struct mem_conn *peer = peer_of(m);

    if (peer == NULL) {
        return;
    }
    if (aborted || !out_ring(m)->finished) {
        conduit_conn_fail(&peer->base,
                          out_ring(m)->finished
                              ? CONDUIT_FAIL_WRITE
                              : CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE,
                          CONDUIT_ERESET, 0, "the other end was dropped");
    } else {
        conduit_conn_ready(&peer->base, CONDUIT_READ | CONDUIT_WRITE);
    }
}

static void mem_destroy(struct conduit_conn *c, bool aborted)
{
    struct mem_conn *m = of(c);
    struct pair *p = m->pair;

    conduit_release(c->loop->ctx, m->name);
    if (p == NULL) {
        return;
    }
    tell_peer(m, aborted);
    p->end[m->side] = NULL;
    drop_buffer(c->loop, in_ring(m)); /* nobody reads it any more */
    if (p->end[m->side ^ 1] == NULL) {
        drop_buffer(c->loop, out_ring(m));
        conduit_release(c->loop->ctx, p);
    }
}

/* ---- opening ---- */

static const struct conduit_conn_ops mem_ops;

static struct cdt_mem_listener *find_listener(struct conduit_ctx *ctx,
                                              const char *name)
{
    struct cdt_mem_listener *l = ctx->mem_listeners;

    while (l != NULL && strcmp(l->name, name) != 0) {
        l = l->next;
    }
    return l;
}

/* Makes the accepting end of a pair, in the listener's hands. */
static int join(struct mem_conn *m, struct cdt_mem_listener *l)
{
    struct conduit_ctx *ctx = l->ctx;
    struct pair *p = conduit_alloc(ctx, sizeof *p);
    struct conduit_conn *other;

    if (p == NULL) {
        return CONDUIT_ENOMEM;
    }
    other = conduit_conn_new(ctx, &mem_ops, NULL);
    if (other == NULL) {
        conduit_release(ctx, p);
        return CONDUIT_ENOMEM;
    }
    p->ctx = ctx;
    memcpy(p->name, l->name, sizeof p->name);
    p->end[0] = m;
    p->end[1] = of(other);
    m->pair = p;
    m->side = 0;
    of(other)->pair = p;
    of(other)->side = 1;
    if (!l->paused) {
        conduit_listener_deliver(l->base.listener, other);
    } else {
        *l->waiting_last = of(other);
        l->waiting_last = &of(other)->wait_next;
        l->waiting_count++;
    }
    return 0;
}

static int mem_start(struct conduit_conn *c)
{
    struct mem_conn *m = of(c);
    struct cdt_mem_listener *l;
    int code;

    if (m->pair == NULL) {
        l = find_listener(c->loop->ctx, m->name);
        if (l == NULL || (l->paused && l->waiting_count >= l->backlog)) {
            conduit_conn_fail(c, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE,
                              CONDUIT_EREFUSED, 0,
                              l == NULL ? "nobody listens at this name"
                                        : "the listener's backlog is full");
            return CONDUIT_EREFUSED;
        }
        code = join(m, l);
        if (code != 0) {
            return code;
        }
    }
    conduit_conn_opened(c);
    return 0;
}

static const struct conduit_conn_ops mem_ops = {
    .name = "mem",
    .size = sizeof(struct mem_conn),
    .start = mem_start,
    .peek = mem_peek,
    .consume = mem_consume,
    .reserve = mem_reserve,
    .commit = mem_commit,
    .read = conduit_default_read,
    .writev = conduit_default_writev,
    .lend = conduit_default_lend,
    .flush = mem_flush,
    .finish = mem_finish,
    .want = mem_want,
    .query = mem_query,
    .destroy = mem_destroy,
};

static int mem_dial(struct conduit_ctx *ctx, const struct conduit_endpoint *ep,
                    const struct conduit_options *options,
                    struct conduit_conn **out, struct conduit_error *err)
{
    struct conduit_conn *c = conduit_conn_new(ctx, &mem_ops, NULL);

    (void)options;
    if (c != NULL) {
        of(c)->name = conduit_strdup(ctx, ep->name);
    }
    if (c == NULL || of(c)->name == NULL) {
        conduit_conn_abort(c);
        return conduit_error_set(err, CONDUIT_ENOMEM, "mem", 0,
                                 "out of memory");
    }
    *out = c;
    return 0;
}

/* ---- listening ---- */

static void mem_pause(struct conduit_acceptor *a, bool paused)
{
    struct cdt_mem_listener *l = (struct cdt_mem_listener *)(void *)a;

    l->paused = paused;
    while (!l->paused && l->waiting != NULL) {
        struct mem_conn *m = l->waiting;

        l->waiting = m->wait_next;
        if (l->waiting == NULL) {
            l->waiting_last = &l->waiting;
        }
        l->waiting_count--;
        conduit_listener_deliver(a->listener, &m->base);
    }
}

static uint16_t mem_port(const struct conduit_acceptor *a)
{
    (void)a;
    return 0;
}

static void mem_unlisten(struct conduit_acceptor *a)
{
    struct cdt_mem_listener *l = (struct cdt_mem_listener *)(void *)a;
    struct cdt_mem_listener **p = &l->ctx->mem_listeners;

    while (*p != l) {
        p = &(*p)->next;
    }
    *p = l->next;
    while (l->waiting != NULL) {
        struct mem_conn *m = l->waiting;

        l->waiting = m->wait_next;
        conduit_conn_abort(&m->base);
    }
    conduit_release(l->ctx, l);
}

static const struct conduit_acceptor_ops mem_acceptor_ops = {
    .pause = mem_pause,
    .port = mem_port,
    .destroy = mem_unlisten,
};

static int mem_listen(struct conduit_listener *listener,
                      const struct conduit_endpoint *ep,
                      const struct conduit_options *options,
                      struct conduit_acceptor **out, struct conduit_error *err)
{
    struct conduit_ctx *ctx = conduit_listener_ctx(listener);
    struct cdt_mem_listener *l;

    if (find_listener(ctx, ep->name) != NULL) {
        return conduit_error_set(err, CONDUIT_EADDRINUSE, "mem", 0,
                                 "somebody listens at mem://%s", ep->name);
    }
    l = conduit_alloc(ctx, sizeof *l);
    if (l == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "mem", 0,
                                 "out of memory");
    }
    l->base.ops = &mem_acceptor_ops;
    l->ctx = ctx;
    l->backlog = options->backlog;
    l->waiting_last = &l->waiting;
    (void)snprintf(l->name, sizeof l->name, "%s", ep->name);
    l->next = ctx->mem_listeners;
    ctx->mem_listeners = l;
    *out = &l->base;
    return 0;
}

static const struct conduit_transport mem_transport = {
    .name = "mem",
    .summary = "a pair of rings within one program",
    .check = conduit_uri_check_name,
    .dial = mem_dial,
    .listen = mem_listen,
};

int conduit_register_mem(struct conduit_ctx *ctx)
{
    return conduit_register_transport(ctx, &mem_transport);
}
