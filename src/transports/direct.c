/* SPDX-License-Identifier: ISC */
/*
 * TCP connections over lwIP's raw interface. What was received is shown in
 * place, in the packets' own buffers. What is written is copied into lwIP once;
 * large lent memory is not copied at all, and released when the peer has
 * acknowledged it. Nothing is sent, and no window is opened, before the end of
 * the turn. Their beginning and end are in direct_open.c.
 */
#include "direct_conn.h"

#include <stdio.h>

/* Lent memory below this size is copied: it costs less than its bookkeeping. */
#define LEND_MIN 2048u

/* With less room than this, and something under way, there is none: what comes
 * free byte by byte is not worth a wake-up. */
#define ROOM_MIN 16384u

/* One call of lwIP takes at most so much. */
#define PIECE 65535u

/* lwIP counts the buffers of a connection in 16 bits. */
#define QUEUE_SPARE 16u

static struct cdt_direct *of(struct conduit_conn *c)
{
    return (struct cdt_direct *)(void *)c;
}

/* ---- lent memory -------------------------------------------------------- */

static void lent_over(struct cdt_direct *d, struct cdt_lent *l)
{
    conduit_conn_release(&d->base, l->ref);
    conduit_release(d->base.loop->ctx, l);
}

void cdt_direct_acked(struct cdt_direct *d, uint64_t acked)
{
    while (d->lent != NULL && d->lent->end <= acked) {
        struct cdt_lent *l = d->lent;

        d->lent = l->next;
        if (d->lent == NULL) {
            d->lent_last = NULL;
        }
        lent_over(d, l);
    }
}

static void lent_append(struct cdt_direct *d, struct cdt_lent *l)
{
    l->end = d->written;
    l->next = NULL;
    if (d->lent_last != NULL) {
        d->lent_last->next = l;
    } else {
        d->lent = l;
    }
    d->lent_last = l;
}

/* ---- reading ------------------------------------------------------------ */

void cdt_direct_trim(struct cdt_direct *d)
{
    while (d->in != NULL && d->in_at == d->in->len) {
        struct pbuf *p = d->in;

        d->in = p->next;
        if (d->in == NULL) {
            d->in_last = NULL;
        }
        d->in_at = 0;
        p->next = NULL; /* the others have a life of their own */
        (void)pbuf_free(p);
    }
}

static long direct_peek(struct conduit_conn *c, struct conduit_win *win)
{
    struct cdt_direct *d = of(c);
    const struct pbuf *p;

    cdt_direct_trim(d);
    p = d->in;
    if (p == NULL) {
        if (c->read_failure != 0) {
            return c->read_failure;
        }
        return d->in_ended ? CONDUIT_END : CONDUIT_AGAIN;
    }
    win->seg[0].data = (uint8_t *)p->payload + d->in_at;
    win->seg[0].size = p->len - d->in_at;
    if (p->next != NULL) {
        win->seg[1].data = p->next->payload;
        win->seg[1].size = p->next->len;
    }
    return (long)(win->seg[0].size + win->seg[1].size);
}

static void direct_consume(struct conduit_conn *c, size_t n)
{
    struct cdt_direct *d = of(c);

    d->taken += (uint32_t)n;
    while (n > 0) {
        size_t part = d->in->len - d->in_at;

        part = part < n ? part : n;
        d->in_at += (uint32_t)part;
        n -= part;
        cdt_direct_trim(d);
    }
    if (c->state == CDT_CONN_CLOSING) {
        cdt_direct_open_window(d); /* no flush may come before more does */
    }
}

void cdt_direct_open_window(struct cdt_direct *d)
{
    while (d->taken > 0 && d->pcb != NULL) {
        uint32_t n = d->taken < PIECE ? d->taken : PIECE;

        tcp_recved(d->pcb, (u16_t)n);
        d->taken -= n;
    }
    d->taken = 0;
}

/* ---- writing ------------------------------------------------------------ */

/* Bytes that lwIP takes now. */
static size_t room_of(const struct cdt_direct *d)
{
    const struct tcp_pcb *pcb = d->pcb;

    if (pcb == NULL || d->base.state < CDT_CONN_OPEN || d->fin_done ||
        pcb->snd_queuelen + QUEUE_SPARE >= TCP_SND_QUEUELEN ||
        (pcb->snd_buf < ROOM_MIN && d->acked < d->written)) {
        return 0;
    }
    return pcb->snd_buf;
}

/* What writing answers where there is no room. */
static long no_room(const struct cdt_direct *d)
{
    return d->pcb == NULL && d->base.state >= CDT_CONN_OPEN ? CONDUIT_EPIPE
                                                            : CONDUIT_AGAIN;
}

/*
 * Gives lwIP bytes; how many it took. Without memory it takes none, and has
 * them later if anything is under way that will free some.
 */
static long give(struct cdt_direct *d, const void *data, size_t n, u8_t flags)
{
    size_t room = room_of(d);
    size_t done = 0;
    err_t err = ERR_OK;

    if (room == 0) {
        return no_room(d);
    }
    n = n < room ? n : room;
    while (done < n && err == ERR_OK) {
        size_t piece = n - done < PIECE ? n - done : PIECE;

        err = tcp_write(d->pcb, (const uint8_t *)data + done, (u16_t)piece,
                        flags);
        done += err == ERR_OK ? piece : 0;
    }
    d->written += done;
    if (done > 0 || (err == ERR_MEM && d->acked < d->written)) {
        return done > 0 ? (long)done : CONDUIT_AGAIN;
    }
    conduit_conn_fail(&d->base, CONDUIT_FAIL_WRITE, cdt_direct_code(err), err,
                      "the stack takes no bytes");
    return cdt_direct_code(err);
}

/* Hands over what was committed. false: some of it is still held. */
static bool push_out(struct cdt_direct *d)
{
    struct cdt_buf *out = d->out;

    while (out != NULL && out->start < out->end) {
        long n = give(d, out->data + out->start, out->end - out->start,
                      TCP_WRITE_FLAG_COPY);

        if (n <= 0) {
            return false;
        }
        out->start += (uint32_t)n;
    }
    cdt_buf_put(d->base.loop, out);
    d->out = NULL;
    return true;
}

static long direct_writev(struct conduit_conn *c, const struct conduit_seg *seg,
                          unsigned count)
{
    struct cdt_direct *d = of(c);
    long total = 0;

    if (!push_out(d)) {
        return no_room(d);
    }
    for (unsigned i = 0; i < count; i++) {
        long n;

        if (seg[i].size == 0) {
            continue;
        }
        n = give(d, seg[i].data, seg[i].size, TCP_WRITE_FLAG_COPY);
        if (n < 0) {
            return total > 0 ? total : n;
        }
        total += n;
        if ((size_t)n < seg[i].size) {
            break;
        }
    }
    return total > 0 ? total : no_room(d);
}

static long direct_lend(struct conduit_conn *c, const void *data, size_t n,
                        struct conduit_ref *ref)
{
    struct cdt_direct *d = of(c);
    struct cdt_lent *l = NULL;
    long done;

    if (n < LEND_MIN) {
        return conduit_default_lend(c, data, n, ref);
    }
    if (ref != NULL) {
        l = conduit_alloc(c->loop->ctx, sizeof *l);
        if (l == NULL) {
            return conduit_default_lend(c, data, n, ref);
        }
    }
    done = push_out(d) ? give(d, data, n, 0) : no_room(d);
    if (done <= 0) {
        conduit_release(c->loop->ctx, l);
    } else if (l != NULL) {
        l->ref = ref;
        lent_append(d, l);
    }
    return done;
}

static long direct_reserve(struct conduit_conn *c, struct conduit_win *win)
{
    struct cdt_direct *d = of(c);
    size_t room = push_out(d) ? room_of(d) : 0;

    if (room == 0) {
        return no_room(d);
    }
    d->out = cdt_buf_get(c->loop);
    if (d->out == NULL) {
        return CONDUIT_ENOMEM;
    }
    win->seg[0].data = d->out->data;
    win->seg[0].size = room < CDT_BUF_SIZE ? room : CDT_BUF_SIZE;
    return (long)win->seg[0].size;
}

/* It stays held should lwIP lack memory for it. */
static void direct_commit(struct conduit_conn *c, size_t n)
{
    struct cdt_direct *d = of(c);

    d->out->end = d->out->start + (uint32_t)n;
    (void)push_out(d);
}

static int direct_flush(struct conduit_conn *c)
{
    struct cdt_direct *d = of(c);
    err_t err;

    cdt_direct_open_window(d);
    if (d->pcb == NULL || c->state < CDT_CONN_OPEN) {
        return 0;
    }
    if (!push_out(d)) {
        (void)tcp_output(d->pcb);
        return CONDUIT_AGAIN;
    }
    if (d->fin_wanted) {
        tcp_nagle_disable(d->pcb); /* nothing comes to wait for */
    }
    (void)tcp_output(d->pcb); /* its timers go on where it cannot */
    /* A FIN alone: lwIP would put it on the last data, and leave it on the
     * first part of that where a small window makes two of it. */
    if (d->fin_wanted && !d->fin_done && d->pcb->unsent == NULL) {
        err = tcp_shutdown(d->pcb, 0, 1);
        if (err != ERR_OK && err != ERR_CONN) {
            return CONDUIT_AGAIN;
        }
        d->fin_done = true;
    }
    return d->pcb != NULL && d->acked < d->written ? CONDUIT_AGAIN : 0;
}

static int direct_finish(struct conduit_conn *c, bool full)
{
    (void)full;
    of(c)->fin_wanted = true;
    return 0;
}

/* ---- levels and facts --------------------------------------------------- */

static unsigned direct_want(struct conduit_conn *c, unsigned events)
{
    struct cdt_direct *d = of(c);
    unsigned held = 0;

    cdt_direct_trim(d);
    if (d->out != NULL && d->out->start == d->out->end) {
        (void)push_out(d); /* room that nobody used */
    }
    if (d->in != NULL || d->in_ended || c->read_failure != 0) {
        held |= CONDUIT_READ;
    }
    if ((d->out == NULL && room_of(d) > 0) || c->write_code != 0 ||
        (d->pcb == NULL && c->state >= CDT_CONN_OPEN)) {
        held |= CONDUIT_WRITE;
    }
    return held & events;
}

static int direct_query(const struct conduit_conn *c, enum conduit_query what,
                        void *out)
{
    const struct cdt_direct *d = (const struct cdt_direct *)(const void *)c;
    char text[CONDUIT_ADDR_TEXT];

    switch (what) {
    case CONDUIT_QUERY_CAPS:
        *(unsigned *)out = CONDUIT_CAP_HALF_CLOSE | CONDUIT_CAP_LINGER |
                           CONDUIT_CAP_RESET;
        return 0;
    case CONDUIT_QUERY_TRANSPORT:
        *(const char **)out = CDT_DIRECT_LAYER;
        return 0;
    case CONDUIT_QUERY_PEER:
    case CONDUIT_QUERY_LOCAL:
        (void)snprintf(
            out, CONDUIT_PEER_TEXT, "%s",
            conduit_addr_format(
                what == CONDUIT_QUERY_PEER ? &d->peer : &d->local, true, text));
        return 0;
    case CONDUIT_QUERY_UNACKED:
        *(size_t *)out = d->pcb != NULL ? d->pcb->snd_lbb - d->pcb->lastack : 0;
        return 0;
    default:
        return CONDUIT_ENOTSUP;
    }
}

const struct conduit_conn_ops cdt_direct_ops = {
    .name = CDT_DIRECT_LAYER,
    .size = sizeof(struct cdt_direct),
    .confirms = true,
    .start = cdt_direct_start,
    .peek = direct_peek,
    .consume = direct_consume,
    .reserve = direct_reserve,
    .commit = direct_commit,
    .read = conduit_default_read,
    .writev = direct_writev,
    .lend = direct_lend,
    .flush = direct_flush,
    .finish = direct_finish,
    .want = direct_want,
    .query = direct_query,
    .destroy = cdt_direct_destroy,
};
