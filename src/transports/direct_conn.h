/* SPDX-License-Identifier: ISC */
/* A connection of the stack in the process: what direct.c, which moves its
 * bytes, and direct_open.c, which begins and ends it, share. */
#ifndef CDT_DIRECT_CONN_H
#define CDT_DIRECT_CONN_H

#include "direct.h"

/* Memory that lwIP refers to until its last byte is acknowledged. */
struct cdt_lent {
    struct cdt_lent *next;
    struct conduit_ref *ref;
    uint64_t end; /* in the stream */
};

/* The extension argument of lwIP's that leads to its connection. */
#define CDT_DIRECT_EXT_ID 0

struct cdt_direct {
    struct conduit_conn base;
    struct cdt_stack *stack;
    struct tcp_pcb *pcb; /* NULL: none yet, or gone */
    struct pbuf *in;     /* received: linked by `next`, `len` counts */
    struct pbuf *in_last;
    struct cdt_buf *out;   /* room that was shown; what of it is filled */
    struct cdt_lent *lent; /* oldest first */
    struct cdt_lent *lent_last;
    uint64_t written; /* given to lwIP */
    uint64_t acked;
    uint32_t in_at; /* consumed of the first pbuf */
    uint32_t taken; /* consumed; its window is to be opened */
    struct conduit_addr peer;
    struct conduit_addr local;
    struct conduit_task dial; /* waits for an address to speak from */
    uint16_t keepalive_s;
    uint8_t cuts; /* how often large segments did not get through */
    bool dialling : 1;
    bool nagle : 1;
    bool in_ended : 1;
    bool fin_wanted : 1;
    bool fin_done : 1;
};

/* ---- direct.c ---- */

/* Lent memory is over up to this byte of the stream. */
void cdt_direct_acked(struct cdt_direct *d, uint64_t acked);
/* Frees received packets that are consumed, at the front. */
void cdt_direct_trim(struct cdt_direct *d);
/* Tells lwIP what was consumed, which tells the peer once it is worth while. */
void cdt_direct_open_window(struct cdt_direct *d);

/* ---- direct_open.c ---- */

int cdt_direct_start(struct conduit_conn *c);
void cdt_direct_destroy(struct conduit_conn *c, bool aborted);

#endif
