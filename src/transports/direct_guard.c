/* SPDX-License-Identifier: ISC */
/*
 * What lwIP believes of its peers, and of itself, and should not. Its
 * assertions end the process, so whatever could lead to one is kept from it;
 * and some of what it does with a connection stands still or loses bytes.
 */
#include "direct_conn.h"

#include "lwip_hooks.h"

#include <lwip/priv/tcp_priv.h>

#define OPTION_END 0u
#define OPTION_NOP 1u
#define OPTION_MSS 2u

/* How often a segment is sent again in vain before it is cut. */
#define CUT_AFTER 2u

/* ---- segments that come -------------------------------------------------- */

/* The options of a segment, of which some may be in its second buffer. */
struct options {
    uint8_t *first;
    uint8_t *rest;
    size_t first_size;
    size_t size;
};

static uint8_t *option_at(const struct options *o, size_t i)
{
    return i < o->first_size ? o->first + i : o->rest + (i - o->first_size);
}

static void blank(const struct options *o, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++) {
        *option_at(o, i) = OPTION_NOP;
    }
}

/*
 * The size of segments is agreed on by SYNs, and nowhere else: RFC 9293 section
 * 3.7.1. lwIP takes it from any segment, while longer ones are in its queue.
 */
static void blank_mss(const struct options *o)
{
    size_t size;

    for (size_t i = 0; i < o->size; i += size) {
        unsigned kind = *option_at(o, i);

        size = 1;
        if (kind == OPTION_END) {
            return;
        }
        if (kind == OPTION_NOP) {
            continue;
        }
        size = i + 1 < o->size ? *option_at(o, i + 1) : 0;
        if (size < 2 || size > o->size - i) {
            return; /* nor does lwIP look further */
        }
        if (kind == OPTION_MSS) {
            blank(o, i, size);
        }
    }
}

/*
 * Whether a segment that comes too early is within the window, to its last byte
 * and the FIN behind that; and whether any goes together with a FIN that came
 * too early. lwIP puts such segments away as they are, and finds out when it is
 * too late.
 */
static bool fits_the_window(const struct tcp_pcb *pcb, uint32_t seq, size_t n,
                            bool fin)
{
    uint32_t end = seq + (uint32_t)n;

    if (TCP_SEQ_GT(seq, pcb->rcv_nxt) &&
        TCP_SEQ_GT(end + fin, pcb->rcv_nxt + pcb->rcv_wnd)) {
        return false;
    }
    for (const struct tcp_seg *s = pcb->ooseq; s != NULL; s = s->next) {
        uint32_t its_end = s->tcphdr->seqno + s->len;

        if (((TCPH_FLAGS(s->tcphdr) & TCP_FIN) != 0 &&
             TCP_SEQ_GT(end, its_end)) ||
            (fin && TCP_SEQ_GT(its_end, end))) {
            return false;
        }
    }
    return true;
}

bool cdt_lwip_takes(struct tcp_pcb *pcb, struct tcp_hdr *header,
                    uint16_t options_size, uint16_t first_size, uint8_t *rest,
                    struct pbuf *data)
{
    unsigned flags = TCPH_FLAGS(header);
    bool fin = (flags & TCP_FIN) != 0;
    struct options options;

    if (pcb->state < SYN_RCVD || pcb->state == TIME_WAIT) {
        return true;
    }
    options.first = (uint8_t *)header + TCP_HLEN;
    options.rest = rest;
    options.first_size = first_size;
    options.size = options_size;
    blank_mss(&options);
    if ((flags & TCP_SYN) != 0) {
        /* The one that began it, again, whose options lwIP has; it knows of no
         * simultaneous opening. */
        return pcb->state != SYN_RCVD || (flags & TCP_ACK) == 0;
    }
    return (data->tot_len == 0 && !fin) ||
           fits_the_window(pcb, header->seqno, data->tot_len, fin);
}

/* ---- segments that are sent again ---------------------------------------- */

void cdt_direct_keep_order(struct tcp_pcb *pcb)
{
    struct tcp_seg *seg = pcb->unsent;

    if (seg != NULL && pcb->unacked != NULL &&
        TCP_SEQ_LT(lwip_ntohl(seg->tcphdr->seqno),
                   lwip_ntohl(pcb->unacked->tcphdr->seqno))) {
        pcb->unsent = seg->next;
        seg->next = pcb->unacked;
        pcb->unacked = seg;
    }
}

/* Makes two of a segment. false: somebody else holds it, or there is no memory.
 */
static bool cut(struct tcp_pcb *pcb, struct tcp_seg *seg, uint32_t at)
{
    struct tcp_seg *unsent = pcb->unsent;
    bool done = seg->p->ref == 1 && (TCPH_FLAGS(seg->tcphdr) & TCP_FIN) == 0;

    if (done) {
        pcb->unsent = seg; /* what lwIP cuts is there */
        done = tcp_split_unsent_seg(pcb, (u16_t)at) == ERR_OK;
        pcb->unsent = unsent;
    }
    return done;
}

static bool cut_queue(struct tcp_pcb *pcb, struct tcp_seg *seg, u16_t piece)
{
    bool done = true;

    for (; seg != NULL && done; seg = seg->next) {
        done = seg->len <= piece || cut(pcb, seg, piece);
    }
    return done;
}

/* What the peer has of the first segment, of which lwIP lets go as a whole. */
static bool drop_acknowledged(struct tcp_pcb *pcb)
{
    struct tcp_seg *seg = pcb->unacked;
    uint32_t n = pcb->lastack - lwip_ntohl(seg->tcphdr->seqno);

    if (n == 0 || n >= seg->len) {
        return n == 0;
    }
    if (!cut(pcb, seg, n)) {
        return false;
    }
    pcb->unacked = seg->next;
    pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen - pbuf_clen(seg->p));
    pcb->snd_buf += n;
    tcp_seg_free(seg);
    if (pcb->sent != NULL) {
        (void)pcb->sent(pcb->callback_arg, pcb, (u16_t)n);
    }
    return true;
}

/*
 * A path may lose a part of each burst that is as long as a large segment, of
 * which lwIP sends all again from its first byte, in vain. Segments of one
 * packet get through.
 */
static void cut_large(const struct cdt_stack *stack, struct tcp_pcb *pcb)
{
    u16_t piece = cdt_direct_piece(stack, pcb);
    struct cdt_direct *d;

    if (piece == 0 || pcb->unacked == NULL || pcb->unacked->len <= piece ||
        !drop_acknowledged(pcb) || !cut_queue(pcb, pcb->unacked, piece) ||
        !cut_queue(pcb, pcb->unsent, piece)) {
        return;
    }
    pcb->mss = piece;
    pcb->unsent_oversize = 0; /* it may be for more than that */
    d = tcp_ext_arg_get(pcb, CDT_DIRECT_EXT_ID);
    if (d != NULL) {
        d->cuts++;
    }
}

void cdt_direct_before_timers(const struct cdt_stack *stack)
{
    for (struct tcp_pcb *p = tcp_active_pcbs; p != NULL; p = p->next) {
        if (p->unsent == NULL) {
            p->persist_backoff = 0; /* the peer has taken the probe's byte */
        }
        if (p->nrtx >= CUT_AFTER) {
            cut_large(stack, p);
        }
    }
}
