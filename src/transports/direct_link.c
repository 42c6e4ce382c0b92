/* SPDX-License-Identifier: ISC */
/*
 * Frames between lwIP and a device. Received ones stay where the device put
 * them until a connection has consumed their bytes, but never the last one that
 * there is a buffer for: acknowledgments, ARP and connections that are read
 * must come through while others are not read. Segments of TCP go out as large
 * as the device can cut, with checksums that it completes.
 */
#include "direct.h"

#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/ip4.h>
#include <lwip/ip6.h>
#include <lwip/priv/nd6_priv.h>
#include <lwip/prot/tcp.h>
#include <netif/ethernet.h>

#include <string.h>

#define ETHERNET_HEADER 14u
#define TYPE_IP4 0x0800u
#define TYPE_IP6 0x86ddu
#define IP4_HEADER 20u
#define IP6_HEADER 40u
#define IP6_NEXT 6u /* where its header says what comes next */
#define IP6_MTU_LEAST 1280u
#define TCP_HEADER 20u
#define PROTOCOL_TCP 6u

/* A segment that a device cuts, header excluded; it fits into an IP packet. */
#define SEGMENT_MAX 62780u

/* Buffers to receive into, free ones and those that hold what is not consumed:
 * 1,024 large ones are 64 MiB. Beyond that, what connections do not consume is
 * in copies of its own size, which their windows bound. */
#define FRAMES_MAX 1024u

/* What fills less of its buffer than this part is copied out of it. */
#define COPY_BELOW 8u

/* Buffers of one frame on its way out; more are gathered into one. */
#define SEGS_MAX 32u

/* Which checksums lwIP is to look at, or to make. */
#define CHECKS (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)

struct cdt_rx {
    struct pbuf_custom pbuf; /* must be first */
    struct cdt_rx *next;
    struct cdt_stack *stack;
    struct cdt_frame frame;
    uint8_t data[];
};

/* ---- received ----------------------------------------------------------- */

static void put_frame(struct cdt_rx *rx)
{
    rx->next = rx->stack->frames;
    rx->stack->frames = rx;
}

static void frame_over(struct pbuf *p)
{
    put_frame((struct cdt_rx *)(void *)p);
}

static size_t frame_room(const struct cdt_stack *stack)
{
    return stack->link->gso ? CDT_FRAME_ROOM
                            : stack->link->mtu + ETHERNET_HEADER;
}

static struct cdt_rx *new_frame(struct cdt_stack *stack)
{
    size_t room = frame_room(stack);
    struct cdt_rx *rx = NULL;

    if (stack->frame_count < FRAMES_MAX) {
        rx = conduit_resize(stack->ctx, NULL, sizeof *rx + room);
    }
    if (rx != NULL) {
        memset(rx, 0, sizeof *rx);
        rx->stack = stack;
        rx->pbuf.custom_free_function = frame_over;
        rx->frame.data = rx->data;
        rx->frame.room = room;
        stack->frame_count++;
    }
    return rx;
}

/* Makes sure of a free one, if that can be. */
static bool have_free(struct cdt_stack *stack)
{
    struct cdt_rx *rx;

    if (stack->frames == NULL && (rx = new_frame(stack)) != NULL) {
        put_frame(rx);
    }
    return stack->frames != NULL;
}

struct cdt_frame *cdt_stack_frame(struct cdt_stack *stack)
{
    struct cdt_rx *rx;

    if (!have_free(stack)) {
        return NULL;
    }
    rx = stack->frames;
    stack->frames = rx->next;
    return &rx->frame;
}

void cdt_stack_unused(struct cdt_stack *stack, struct cdt_frame *frame)
{
    (void)stack;
    put_frame(CDT_CONTAINER(frame, struct cdt_rx, frame));
}

void cdt_direct_frames_free(struct cdt_stack *stack)
{
    while (stack->frames != NULL) {
        struct cdt_rx *rx = stack->frames;

        stack->frames = rx->next;
        stack->frame_count--;
        conduit_release(stack->ctx, rx);
    }
}

/* The frame's buffer itself, or a copy of what is short, and of what is in the
 * last buffer. NULL: no memory, and the frame is free again. */
static struct pbuf *wrap(struct cdt_rx *rx, size_t offset, size_t n)
{
    struct pbuf *p;

    if (n < rx->frame.room / COPY_BELOW || !have_free(rx->stack)) {
        p = pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM);
        if (p != NULL) {
            memcpy(p->payload, rx->data + offset, n);
        }
        put_frame(rx);
        return p;
    }
    return pbuf_alloced_custom(PBUF_RAW, (u16_t)n, PBUF_REF, &rx->pbuf,
                               rx->data + offset, (u16_t)n);
}

static void mark_multicast(const uint8_t *to, struct pbuf *p)
{
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (memcmp(to, all, sizeof all) == 0) {
        p->flags |= PBUF_FLAG_LLBCAST;
    } else if ((to[0] & 1) != 0) {
        p->flags |= PBUF_FLAG_LLMCAST;
    }
}

/* lwIP believes whatever a "packet too big" says, which anybody may have made
 * up; RFC 8201 section 4 has bounds for it. 0 means that nothing is known. */
static void bound_paths(const struct netif *netif)
{
    for (size_t i = 0; i < LWIP_ND6_NUM_DESTINATIONS; i++) {
        u16_t *mtu = &destination_cache[i].pmtu;

        if (*mtu != 0 && *mtu < IP6_MTU_LEAST) {
            *mtu = IP6_MTU_LEAST;
        } else if (*mtu > netif->mtu6) {
            *mtu = netif->mtu6;
        }
    }
}

static void take_ip6(struct netif *netif, struct pbuf *p)
{
    const uint8_t *header = p->payload;
    bool may_tell = header[IP6_NEXT] != PROTOCOL_TCP;

    (void)ip6_input(p, netif);
    if (may_tell) {
        bound_paths(netif);
    }
}

/*
 * An IP packet of 65,535 bytes has no room for Ethernet's header in lwIP's 16
 * bits; so packets of IP go past its Ethernet layer.
 */
static void take_ip(struct cdt_stack *stack, struct cdt_rx *rx, size_t n,
                    bool six)
{
    struct cdt_direct_front front;
    uint8_t to[6];
    struct pbuf *p;

    memcpy(to, rx->data, sizeof to);
    p = wrap(rx, ETHERNET_HEADER, n - ETHERNET_HEADER);
    if (p == NULL) {
        return;
    }
    mark_multicast(to, p);
    p->if_idx = netif_get_index(&stack->netif);
    cdt_direct_table_begin(stack, p->payload, p->len, &front);
    if (six) {
        take_ip6(&stack->netif, p);
    } else {
        (void)ip4_input(p, &stack->netif);
    }
    cdt_direct_table_end(&front);
}

static void take_other(struct cdt_stack *stack, struct cdt_rx *rx, size_t n)
{
    struct pbuf *p = wrap(rx, 0, n);

    if (p != NULL && stack->netif.input(p, &stack->netif) != ERR_OK) {
        (void)pbuf_free(p);
    }
}

static unsigned type_of(const uint8_t *frame)
{
    return (unsigned)frame[12] << 8 | frame[13];
}

/* lwIP reads a header of IP before it looks at the length. */
static bool is_sound(const struct cdt_rx *rx, size_t n)
{
    size_t least = ETHERNET_HEADER;

    if (n < least || n > rx->frame.room || n - least > UINT16_MAX) {
        return false;
    }
    if (type_of(rx->data) == TYPE_IP4) {
        least += IP4_HEADER;
    } else if (type_of(rx->data) == TYPE_IP6) {
        least += IP6_HEADER;
    }
    return n >= least;
}

void cdt_stack_input(struct cdt_stack *stack, struct cdt_frame *frame, size_t n,
                     const struct cdt_offload *offload)
{
    struct cdt_rx *rx = CDT_CONTAINER(frame, struct cdt_rx, frame);
    unsigned checks = stack->netif.chksum_flags | CHECKS;
    unsigned type;

    if (!is_sound(rx, n)) {
        put_frame(rx);
        return;
    }
    if (offload->valid || offload->partial) {
        checks &= ~(unsigned)CHECKS; /* somebody vouches for it */
    }
    NETIF_SET_CHECKSUM_CTRL(&stack->netif, (u16_t)checks);
    type = type_of(rx->data);
    if (type == TYPE_IP4 || type == TYPE_IP6) {
        take_ip(stack, rx, n, type == TYPE_IP6);
    } else if (n <= UINT16_MAX) {
        take_other(stack, rx, n);
    } else {
        put_frame(rx);
    }
}

/* ---- sent --------------------------------------------------------------- */

static uint32_t sum16(const uint8_t *data, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < n; i += 2) {
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    }
    return sum;
}

/* Where TCP's header begins in a frame that has all headers in one piece; 0:
 * it is none of TCP. */
static size_t find_tcp(const struct pbuf *p)
{
    const uint8_t *h = p->payload;
    unsigned type = type_of(h);
    size_t at = 0;

    if (type == TYPE_IP4 && p->len >= ETHERNET_HEADER + IP4_HEADER &&
        h[ETHERNET_HEADER + 9] == PROTOCOL_TCP) {
        at = ETHERNET_HEADER + (h[ETHERNET_HEADER] & 15u) * 4u;
    } else if (type == TYPE_IP6 && p->len >= ETHERNET_HEADER + IP6_HEADER &&
               h[ETHERNET_HEADER + IP6_NEXT] == PROTOCOL_TCP) {
        at = ETHERNET_HEADER + IP6_HEADER;
    }
    return at != 0 && p->len >= at + TCP_HEADER ? at : 0;
}

/* Leaves the checksum, and the cutting, to the device: writes the sum of the
 * pseudo header (RFC 9293 section 3.1) where the checksum belongs. */
static void leave_to_device(const struct cdt_link *link, struct pbuf *p,
                            struct cdt_offload *o)
{
    uint8_t *h = p->payload;
    size_t at = find_tcp(p);
    bool six = at == ETHERNET_HEADER + IP6_HEADER && h[12] == 0x86;
    size_t length = p->tot_len - at;
    size_t tcp_header;
    uint32_t sum;

    if (at == 0) {
        return;
    }
    tcp_header = (size_t)(h[at + 12] >> 4) * 4;
    sum = six ? sum16(h + ETHERNET_HEADER + 8, 32)
              : sum16(h + ETHERNET_HEADER + 12, 8);
    sum += PROTOCOL_TCP + (uint32_t)length;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    h[at + 16] = (uint8_t)(sum >> 8);
    h[at + 17] = (uint8_t)sum;
    o->partial = true;
    o->start = (uint16_t)at;
    o->offset = 16;
    if (link->gso && p->tot_len - ETHERNET_HEADER > link->mtu) {
        o->gso = six ? 6 : 4;
        o->header_size = (uint16_t)(at + tcp_header);
        o->gso_size = (uint16_t)(link->mtu - (at - ETHERNET_HEADER) -
                                 tcp_header);
    }
}

static err_t send_gathered(struct cdt_link *link, const struct pbuf *p,
                           const struct cdt_offload *o)
{
    struct pbuf *one = pbuf_clone(PBUF_RAW, PBUF_RAM, (struct pbuf *)p);
    struct conduit_seg seg;
    int code;

    if (one == NULL) {
        return ERR_MEM;
    }
    seg = (struct conduit_seg){one->payload, one->len};
    code = link->ops->send(link, &seg, 1, o);
    (void)pbuf_free(one);
    return code == 0 ? ERR_OK : ERR_BUF;
}

/* What the device does not take stays in the queue, and is tried again. */
static err_t send_frame(struct netif *netif, struct pbuf *p)
{
    struct cdt_stack *stack = netif->state;
    struct cdt_link *link = stack->link;
    struct cdt_offload offload = {.partial = false};
    struct conduit_seg seg[SEGS_MAX];
    unsigned count = 0;

    if (link->checksums && p->len >= ETHERNET_HEADER) {
        leave_to_device(link, p, &offload);
    }
    if (offload.gso == 0 && p->tot_len > link->mtu + ETHERNET_HEADER) {
        return ERR_IF; /* an answer to what came in fragments */
    }
    for (const struct pbuf *q = p; q != NULL; q = q->next) {
        if (count == SEGS_MAX) {
            return send_gathered(link, p, &offload);
        }
        seg[count++] = (struct conduit_seg){q->payload, q->len};
    }
    return link->ops->send(link, seg, count, &offload) == 0 ? ERR_OK : ERR_BUF;
}

err_t cdt_direct_netif_init(struct netif *netif)
{
    const struct cdt_stack *stack = netif->state;
    const struct cdt_link *link = stack->link;
    unsigned flags = NETIF_CHECKSUM_ENABLE_ALL;

    netif->name[0] = 'd';
    netif->name[1] = 'i';
    netif->hwaddr_len = sizeof link->mac;
    memcpy(netif->hwaddr, link->mac, sizeof link->mac);
    netif->mtu = link->mtu;
    netif->mtu6 = link->mtu;
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = send_frame;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP |
                   NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6 | NETIF_FLAG_LINK_UP;
    if (link->checksums) {
        flags &= ~(unsigned)NETIF_CHECKSUM_GEN_TCP;
    }
    NETIF_SET_CHECKSUM_CTRL(netif, (u16_t)flags);
    return ERR_OK;
}

u16_t cdt_direct_piece(const struct cdt_stack *stack, const struct tcp_pcb *pcb)
{
    unsigned headers = TCP_HEADER +
                       (IP_IS_V6(&pcb->remote_ip) ? IP6_HEADER : IP4_HEADER);

    if (stack->link == NULL || !stack->link->gso ||
        ip_addr_isloopback(&pcb->remote_ip)) {
        return 0;
    }
    return (u16_t)(stack->link->mtu - headers);
}

/*
 * Where the device cuts segments, and the peer takes those of the device's MTU,
 * lwIP may make larger ones, by and by: no more at once than half of what the
 * network is thought to bear, for what is lost is sent again as a whole.
 */
void cdt_direct_raise_mss(const struct cdt_stack *stack, struct tcp_pcb *pcb)
{
    unsigned piece = cdt_direct_piece(stack, pcb);
    unsigned most;

    if (piece == 0 || pcb->mss < piece) {
        return;
    }
    most = LWIP_MIN(pcb->cwnd / 2, SEGMENT_MAX);
    most -= most % piece;
    if (most > pcb->mss) {
        pcb->mss = (u16_t)most;
    }
}
