/* SPDX-License-Identifier: ISC */
/*
 * The TCP/IP stack within the process: what the files of tcp+direct:// share.
 *
 *     direct.c         connections          direct_listen.c  listeners
 *     direct_stack.c   the stack: its life, timers, addresses
 *     direct_link.c    frames between lwIP and a device (link.h)
 *     direct_table.c   which connection a packet is for
 *     direct_guard.c   what lwIP is kept from
 *     direct_dns.c     names, a source of the resolver
 *     direct_ip6.c     the IPv6 address and router that were configured
 *
 * lwIP is one per process, and so is the stack. Its callbacks run while a frame
 * is taken or a timer fires; here they only note and queue, so that lwIP is
 * never entered again from one of them.
 */
#ifndef CDT_DIRECT_H
#define CDT_DIRECT_H

#include "link.h"

#include <lwip/ip_addr.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>

#define CDT_DIRECT_LAYER "tcp+direct"

struct cdt_rx; /* direct_link.c */

struct cdt_stack {
    struct cdt_extra extra; /* must be first */
    struct conduit_ctx *ctx;
    struct cdt_net_config config;
    cdt_link_open *open;
    bool up; /* lwIP is ours, and the device is open */

    struct cdt_link *link; /* NULL: loopback only */
    struct netif netif;
    ip_addr_t logged; /* what the log says of addresses */
    unsigned logged6;
    struct conduit_poller poller;
    struct conduit_timer timer;
    struct cdt_tasks waiting; /* for an address */

    struct cdt_rx *frames; /* free ones */
    unsigned frame_count;  /* all of them */

    struct cdt_direct_entry **slots; /* connections, by their addresses */
    size_t slot_count;               /* a power of two, or 0 */
    size_t entry_count;

    struct conduit_resolver_source source;
    struct cdt_direct_query *queries;
    struct cdt_tasks unasked; /* queries that lwIP has no room for */
    struct conduit_task ask;  /* gives them what room there is */
};

/* ---- the stack (direct_stack.c) ---- */

/* One for the context, not up yet; NULL: no memory. */
struct cdt_stack *cdt_stack_new(struct conduit_ctx *ctx, cdt_link_open *open);

/* The context's, which may not be up; NULL: never registered. */
struct cdt_stack *cdt_stack_of(const struct conduit_ctx *ctx);

/*
 * Brings it up if it is not: configures it by the context's options, opens the
 * device. ELIMIT where another context of the process has one.
 */
int cdt_stack_up(struct cdt_stack *stack, struct conduit_error *err);

/* Whether there is, or can be no longer hoped for, an address to speak from
 * with this one. */
bool cdt_stack_ready_for(const struct cdt_stack *stack, const ip_addr_t *to);

/* Whether all that others give has come: by DHCP, and by a router. */
bool cdt_stack_complete(const struct cdt_stack *stack);

/* Runs the task once something about addresses has changed. */
void cdt_stack_await(struct cdt_stack *stack, struct conduit_task *task);

/* Whether an address is the stack's own. */
bool cdt_stack_has(const struct cdt_stack *stack, const ip_addr_t *addr);

/* ---- frames (direct_link.c) ---- */

/* netif_add()'s, of a device; netif->state is the stack. */
err_t cdt_direct_netif_init(struct netif *netif);
void cdt_direct_frames_free(struct cdt_stack *stack);
/* For a connection that has just opened: lets the device cut large segments. */
void cdt_direct_raise_mss(const struct cdt_stack *stack, struct tcp_pcb *pcb);
/* The most bytes of this connection in one packet of a device that cuts large
 * segments; 0: it does not. */
u16_t cdt_direct_piece(const struct cdt_stack *stack,
                       const struct tcp_pcb *pcb);

/* ---- which connection a packet is for (direct_table.c) ---- */

/* lwIP's lists of connections, which are put away while it takes a packet. */
struct cdt_direct_front {
    bool taken;          /* false: nothing has changed */
    struct tcp_pcb *pcb; /* whose packet it is, alone in `list`; or NULL */
    struct tcp_pcb **list;
    struct tcp_pcb *next; /* what was behind it */
    struct tcp_pcb *active;
    struct tcp_pcb *waiting; /* in TIME_WAIT */
};

/* A connection whose addresses are known; it leaves by itself. false: no
 * memory, and lwIP must not have it. */
bool cdt_direct_table_add(struct cdt_stack *stack, struct tcp_pcb *pcb);
/* Adds those that begin at a listener. */
void cdt_direct_table_listen(struct cdt_stack *stack,
                             struct tcp_pcb *listening);
void cdt_direct_table_free(struct cdt_stack *stack);

/* A port of our own side that no connection to there has; 0: all have one. */
uint16_t cdt_direct_table_port(const struct cdt_stack *stack,
                               const ip_addr_t *to, uint16_t to_port);

/* Around lwIP's taking of an IP packet of n bytes, of which some headers are
 * looked at. */
void cdt_direct_table_begin(struct cdt_stack *stack, const uint8_t *packet,
                            size_t n, struct cdt_direct_front *front);
void cdt_direct_table_end(struct cdt_direct_front *front);

/* ---- what lwIP is kept from (direct_guard.c) ---- */

/*
 * After lwIP has taken packets for a connection. Its fast retransmission puts
 * the first segment in flight back among those never sent, and leaves it there
 * where the peer has shut its window meanwhile, or the device has no room. What
 * is written next would be appended to it, as if it were the last, and the
 * retransmission timer would put the others in front of it. So it is in flight
 * again, until that timer fires.
 */
void cdt_direct_keep_order(struct tcp_pcb *pcb);

/*
 * Before lwIP's timers fire. A probe of a shut window may have been taken by
 * the peer with all that there was to send, and lwIP asserts that there is
 * more. Large segments that were sent again in vain are cut.
 */
void cdt_direct_before_timers(const struct cdt_stack *stack);

/* ---- names (direct_dns.c) ---- */

void cdt_direct_dns_init(struct cdt_stack *stack);
void cdt_direct_dns_fini(struct cdt_stack *stack);
/* Puts lwIP's servers in order; before it asks one, and when it may have been
 * told of others. */
void cdt_direct_dns_servers(const struct cdt_stack *stack);
/* For another stack to begin without any, and without answers of theirs. Comes
 * after fini. */
void cdt_direct_dns_forget(void);

/* ---- IPv6 (direct_ip6.c) ---- */

/* Gives the device its addresses, once it is lwIP's default one. */
void cdt_direct_ip6_add(struct cdt_stack *stack);

/* ---- addresses (direct_stack.c) ---- */

void cdt_ip_from(const struct cdt_stack *stack, const struct conduit_addr *from,
                 ip_addr_t *to);
void cdt_ip_to(const ip_addr_t *from, uint16_t port, struct conduit_addr *to);

/* ---- connections (direct.c) ---- */

extern const struct conduit_conn_ops cdt_direct_ops;

/* A connection that was accepted; NULL: no memory, and the pcb is untouched. */
struct conduit_conn *cdt_direct_accepted(struct cdt_stack *stack,
                                         struct tcp_pcb *pcb,
                                         const struct conduit_options *options);

/* Handed over: it counts no more for its listener's backlog. */
void cdt_direct_taken(struct conduit_conn *c);

/* What lwIP's answer means, and in words. */
int cdt_direct_code(err_t err);

/* ---- listeners (direct_listen.c) ---- */

int cdt_direct_listen(struct conduit_listener *listener,
                      const struct conduit_endpoint *ep,
                      const struct conduit_options *options,
                      struct conduit_acceptor **out, struct conduit_error *err);

#endif
