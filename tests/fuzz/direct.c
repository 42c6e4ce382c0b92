/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target of the stack in the process: the input plays the network. It
 * sends frames of its own, and answers to what the stack has sent last, so that
 * it gets past numbers that it cannot know: of connections, of DHCP, of DNS.
 * Checksums are put right, or vouched for by the device, or the frame has the
 * header that a TAP gives, of the input's bytes; time moves only when the loop
 * would sleep, or as the input says.
 *
 * A service listens, which says what it hears; a client dials an address and a
 * name. However it goes, all memory is given back.
 */
#include "tap.h"
#include "unix_still.h"

#include <assert.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAME = 2048, CONNS = 8, TURNS = 40, MTU = 1500, MAX_INPUT = 8192 };
enum { ETHERNET = 14, IP4 = 20, TCP = 20, UDP = 8 };

struct frame {
    uint8_t data[FRAME];
    size_t size;
};

struct device {
    struct cdt_tap tap; /* nothing but its link, and what that can do */
    bool has_header;    /* the next frame comes with this one */
    struct virtio_net_hdr header;
    struct frame tcp; /* the last ones that were sent */
    struct frame udp;
    struct frame arp; /* not answered yet */
};

struct input {
    const uint8_t *data;
    size_t size;
};

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};
static struct device device;
static struct cdt_link *const link = &device.tap.base;
static bool large; /* the device cuts segments */
static struct conduit_conn *conns[CONNS];
static uint32_t drawn;

/* The same in every run. */
static int same_entropy(struct conduit_platform *p, void *buf, size_t n)
{
    (void)p;
    t_still_draw(&drawn, buf, n);
    return 0;
}

/* ---- the device ---- */

static void keep(struct frame *to, const struct conduit_seg *seg, unsigned n)
{
    to->size = 0;
    for (unsigned i = 0; i < n && to->size < FRAME; i++) {
        size_t part = seg[i].size < FRAME - to->size ? seg[i].size
                                                     : FRAME - to->size;

        memcpy(to->data + to->size, seg[i].data, part);
        to->size += part;
    }
}

/* What the stack leaves to the device is what it would take from one. */
static void check_offload(const struct conduit_seg *seg, unsigned count,
                          const struct frame *f,
                          const struct cdt_offload *offload)
{
    struct virtio_net_hdr header;
    struct cdt_offload read;
    size_t n = 0;
    bool ok;

    for (unsigned i = 0; i < count; i++) {
        n += seg[i].size;
    }
    assert(n <= CDT_FRAME_ROOM && (n <= MTU + ETHERNET || offload->gso != 0));
    ok = cdt_tap_write_offload(&device.tap, offload, &header) &&
         cdt_tap_read_offload(&header, f->data, n, &read);
    assert(ok && read.partial == offload->partial && read.gso == offload->gso &&
           read.gso_size == offload->gso_size && read.start == offload->start &&
           read.header_size == offload->header_size);
}

static int device_send(struct cdt_link *to, const struct conduit_seg *seg,
                       unsigned count, const struct cdt_offload *offload)
{
    struct frame f;

    (void)to;
    keep(&f, seg, count);
    check_offload(seg, count, &f, offload);
    if (f.size >= ETHERNET + IP4 + TCP && f.data[12] == 8 && f.data[13] == 0) {
        if (f.data[ETHERNET + 9] == 6) {
            device.tcp = f;
        } else if (f.data[ETHERNET + 9] == 17) {
            device.udp = f;
        }
    } else if (f.size >= 42 && f.data[12] == 8 && f.data[13] == 6) {
        device.arp = f;
    }
    return 0;
}

static void device_destroy(struct cdt_link *gone)
{
    (void)gone;
}

static const struct cdt_link_ops device_ops = {"fuzz", device_send,
                                               device_destroy};

static int device_open(struct conduit_ctx *ctx,
                       const struct cdt_net_config *config,
                       struct cdt_link **out, struct conduit_error *err)
{
    (void)ctx;
    (void)config;
    (void)err;
    memset(&device, 0, sizeof device);
    link->ops = &device_ops;
    memcpy(link->mac, our_mac, sizeof our_mac);
    link->mtu = MTU;
    link->checksums = true;
    link->gso = large;
    *out = link;
    return 0;
}

/* ---- frames ---- */

static uint16_t sum(const uint8_t *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    }
    if (n % 2 != 0) {
        sum += (uint32_t)p[n - 1] << 8;
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value & 0xffff);
}

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

/* Checksums of IP and ICMP, which no device vouches for. */
static void put_right(struct frame *f)
{
    uint8_t *ip = f->data + ETHERNET;
    size_t n = f->size > ETHERNET ? f->size - ETHERNET : 0;
    size_t header = n > 0 ? (ip[0] & 15u) * 4u : 0;

    if (n >= IP4 && ip[0] >> 4 == 4 && header >= IP4 && header <= n) {
        put16(ip + 10, 0);
        put16(ip + 10, sum(ip, header, 0));
        if (ip[9] == 1 && n >= header + 4) {
            put16(ip + header + 2, 0);
            put16(ip + header + 2, sum(ip + header, n - header, 0));
        }
    } else if (n >= 44 && ip[0] >> 4 == 6 && ip[6] == 58) {
        put16(ip + 42, 0);
        put16(ip + 42, sum(ip + 40, n - 40,
                           58u + (uint32_t)(n - 40) +
                               (0xffffu & (uint32_t)~sum(ip + 8, 32, 0))));
    }
}

/* false: the TAP would not give this frame to the stack. */
static bool read_header(const uint8_t *data, size_t n, struct cdt_offload *out)
{
    *out = (struct cdt_offload){.valid = true};
    if (!device.has_header) {
        return true;
    }
    device.has_header = false;
    if (!cdt_tap_read_offload(&device.header, data, n, out)) {
        return false;
    }
    assert(!out->partial || (size_t)out->start + out->offset + 2 <= n);
    assert(out->gso == 0 ||
           (out->partial && out->gso_size > 0 &&
            out->header_size > out->start && out->header_size <= n));
    return true;
}

static void receive(struct frame *f)
{
    struct cdt_offload offload;
    struct cdt_frame *room = cdt_stack_frame(link->stack);

    put_right(f);
    if (room == NULL) {
        return;
    }
    if (f->size < ETHERNET || f->size > room->room ||
        !read_header(f->data, f->size, &offload)) {
        cdt_stack_unused(link->stack, room);
        return;
    }
    memcpy(room->data, f->data, f->size);
    cdt_stack_input(link->stack, room, f->size, &offload);
}

static uint8_t take(struct input *in)
{
    if (in->size == 0) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

/* Copies at most n bytes of input. */
static size_t take_bytes(struct input *in, uint8_t *to, size_t n)
{
    n = n < in->size ? n : in->size;
    memcpy(to, in->data, n);
    in->data += n;
    in->size -= n;
    return n;
}

static void send_raw(struct input *in)
{
    struct frame f = {.size = 0};
    size_t n = take(in) * 8u;

    f.size = take_bytes(in, f.data, n < FRAME ? n : FRAME);
    if (f.size >= 6) {
        memcpy(f.data, our_mac, 6);
    }
    receive(&f);
}

/* From who was spoken to, back to who spoke. */
static void turn_round(struct frame *f, const struct frame *last)
{
    *f = *last;
    memcpy(f->data, our_mac, 6);
    memcpy(f->data + 6, peer_mac, 6);
    memcpy(f->data + ETHERNET + 12, last->data + ETHERNET + 16, 4);
    memcpy(f->data + ETHERNET + 16, last->data + ETHERNET + 12, 4);
    memcpy(f->data + ETHERNET + IP4, last->data + ETHERNET + IP4 + 2, 2);
    memcpy(f->data + ETHERNET + IP4 + 2, last->data + ETHERNET + IP4, 2);
    f->data[ETHERNET] = 0x45;
}

static void set_length(struct frame *f, size_t n)
{
    f->size = n;
    put16(f->data + ETHERNET + 2, (unsigned)(n - ETHERNET));
}

static void answer_tcp(struct input *in)
{
    uint8_t flags = take(in);
    uint8_t shift = take(in);
    size_t n = take(in) * 4u;
    uint8_t *tcp;
    const uint8_t *last = device.tcp.data + ETHERNET + IP4;
    uint32_t length;
    struct frame f;

    if (device.tcp.size == 0) {
        return;
    }
    turn_round(&f, &device.tcp);
    tcp = f.data + ETHERNET + IP4;
    length = get16(device.tcp.data + ETHERNET + 2) - IP4 -
             (uint32_t)(last[12] >> 4) * 4u + ((last[13] & 2u) >> 1) +
             (last[13] & 1u);
    put32(tcp + 4, get32(last + 8) + (shift >> 4));
    put32(tcp + 8, get32(last + 4) + length - (shift & 15u));
    tcp[12] = 0x50;
    tcp[13] = flags;
    n = take_bytes(in, tcp + TCP, n);
    if ((flags & 0x40) != 0 && n >= 4) { /* its beginning is options */
        tcp[12] = 0x60;
    }
    set_length(&f, ETHERNET + IP4 + TCP + n);
    receive(&f);
}

static void begin_tcp(struct input *in)
{
    static const uint8_t addresses[8] = {10, 0, 0, 1, 10, 0, 0, 2};
    struct frame f = {.size = 0};
    uint8_t *ip = f.data + ETHERNET;

    memcpy(f.data, our_mac, 6);
    memcpy(f.data + 6, peer_mac, 6);
    put16(f.data + 12, 0x0800);
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, addresses, sizeof addresses);
    put16(ip + IP4, 1000u + take(in));
    put16(ip + IP4 + 2, 80);
    put32(ip + IP4 + 4, 1000000);
    ip[IP4 + 12] = 0x60;
    ip[IP4 + 13] = 2;
    put16(ip + IP4 + 14, 0xffff);
    put32(ip + IP4 + TCP, 0x02040000u + MTU - IP4 - TCP); /* MSS */
    set_length(&f, ETHERNET + IP4 + TCP + 4);
    receive(&f);
}

/* The payload is the input's, but for what the stack would not take else. */
static void answer_udp(struct input *in)
{
    size_t n = take(in) * 2u;
    const uint8_t *last = device.udp.data + ETHERNET + IP4 + UDP;
    uint8_t *udp;
    struct frame f;

    if (device.udp.size < ETHERNET + IP4 + UDP + 34) {
        return;
    }
    turn_round(&f, &device.udp);
    udp = f.data + ETHERNET + IP4;
    n = take_bytes(in, udp + UDP, n);
    if (udp[1] == 67) { /* DHCP: its transaction and the client's address */
        memcpy(udp + UDP + 4, last + 4, 4);
        memcpy(udp + UDP + 28, last + 28, 6);
        memcpy(udp + UDP + 236, last + 236, 4);
        memset(f.data + ETHERNET + 16, 255, 4);
        n = n > 244 ? n : 244;
    } else if (udp[1] == 53 && n >= 2) {
        memcpy(udp + UDP, last, 2);
    }
    put16(udp + 4, (unsigned)(UDP + n));
    put16(udp + 6, 0);
    set_length(&f, ETHERNET + IP4 + UDP + n);
    receive(&f);
}

static void answer_arp(void)
{
    struct frame f = device.arp;
    uint8_t *arp = f.data + ETHERNET;

    device.arp.size = 0;
    if (f.size < 42 || arp[7] != 1) {
        return;
    }
    memcpy(f.data, our_mac, 6);
    memcpy(f.data + 6, peer_mac, 6);
    arp[7] = 2;
    memcpy(arp + 18, link->mac, 6);
    memcpy(f.data + ETHERNET + 24, arp + 14, 4);
    memcpy(arp + 14, device.arp.data + ETHERNET + 24, 4);
    memcpy(arp + 8, peer_mac, 6);
    receive(&f);
}

/* ---- the application ---- */

static void event(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct conduit_conn **mine = arg;
    uint8_t buf[300];
    long n = CONDUIT_AGAIN;

    if ((events & CONDUIT_READ) != 0) {
        n = conduit_conn_read(conn, buf, sizeof buf);
        if (n > 0) {
            (void)conduit_conn_write(conn, buf, (size_t)n);
        }
    }
    if ((n < 0 && n != CONDUIT_AGAIN) || (events & CONDUIT_ERR) != 0) {
        *mine = NULL;
        conduit_conn_close(conn);
    }
}

static void adopt(struct conduit_conn *conn)
{
    for (size_t i = 0; i < CONNS; i++) {
        if (conns[i] == NULL) {
            conns[i] = conn;
            conduit_conn_set_handler(conn, event, &conns[i], CONDUIT_READ);
            return;
        }
    }
    conduit_conn_abort(conn);
}

static void accepted(void *arg, struct conduit_listener *l,
                     struct conduit_conn *conn)
{
    (void)arg;
    (void)l;
    adopt(conn);
}

static void dialled(void *arg, struct conduit_dial *dial,
                    struct conduit_conn *conn, const struct conduit_error *err)
{
    (void)arg;
    (void)dial;
    assert(conn != NULL || err->code != 0);
    if (conn != NULL) {
        adopt(conn);
    }
}

static void act(struct input *in)
{
    static const uint8_t much[3000];
    uint8_t what = take(in);
    struct conduit_conn **c = &conns[what % CONNS];

    if (*c == NULL) {
        return;
    }
    switch (what / CONNS % 4) {
    case 0:
        (void)conduit_conn_write(*c, much, sizeof much);
        return;
    case 1:
        (void)conduit_conn_lend(*c, much, sizeof much, NULL);
        return;
    case 2:
        conduit_conn_close(*c);
        break;
    default:
        conduit_conn_abort(*c);
    }
    *c = NULL;
}

/* ---- one run ---- */

static struct conduit_ctx *make_ctx(bool dhcp)
{
    struct conduit_ctx *ctx = t_still_new(same_entropy);
    int code;

    drawn = 1;
    code = cdt_direct_register(ctx, device_open);
    assert(code == 0);
    code = conduit_ctx_set_net(
        ctx,
        dhcp ? "direct,tap=fuzz,dhcp,slaac"
             : "direct,tap=fuzz,ip=10.0.0.2/24,gw=10.0.0.1,dns=10.0.0.1,slaac",
        NULL);
    assert(code == 0);
    return ctx;
}

/* The header of the next frame: none, any, or the kernel's of a large segment
 * with at most one byte that is another. */
static void take_header(struct input *in, unsigned how)
{
    uint8_t bytes[sizeof device.header] = {0};
    size_t at;

    device.has_header = how >= 2;
    if (how == 2) {
        (void)take_bytes(in, bytes, sizeof bytes);
        memcpy(&device.header, bytes, sizeof bytes);
    } else if (how == 3) {
        device.header = (struct virtio_net_hdr){
            .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
            .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
            .hdr_len = ETHERNET + IP4 + TCP,
            .gso_size = MTU - IP4 - TCP,
            .csum_start = ETHERNET + IP4,
            .csum_offset = 16,
        };
        at = take(in);
        if (at < sizeof device.header) {
            ((uint8_t *)&device.header)[at] = take(in);
        }
    }
}

static void step(struct conduit_ctx *ctx, struct input *in)
{
    uint8_t op = take(in);

    take_header(in, op / 64);
    switch (op % 8) {
    case 0:
        send_raw(in);
        break;
    case 1:
    case 2:
        answer_tcp(in);
        break;
    case 3:
        begin_tcp(in);
        break;
    case 4:
        answer_udp(in);
        break;
    case 5:
        act(in);
        break;
    default: /* up to half a minute */
        conduit_loop_turn(conduit_ctx_loop(ctx), op * 120u);
    }
    if (device.arp.size > 0) {
        answer_arp();
    }
    conduit_loop_turn(conduit_ctx_loop(ctx), 0);
}

static void run(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t kind = take(&in);
    struct conduit_ctx *ctx = make_ctx((kind & 1) != 0);
    struct conduit_listener *listener;
    int code;

    large = (kind & 2) != 0; /* the device is opened when somebody needs it */
    code = conduit_listen(ctx, "tcp://:80", NULL, accepted, NULL, &listener,
                          NULL);
    assert(code == 0);
    code = conduit_dial(ctx, "tcp://10.0.0.1:99", NULL, dialled, NULL, NULL,
                        NULL);
    assert(code == 0);
    code = conduit_dial(ctx, "tcp://peer.test:99", NULL, dialled, NULL, NULL,
                        NULL);
    assert(code == 0);
    while (in.size > 0) {
        step(ctx, &in);
    }
    for (int i = 0; i < TURNS; i++) {
        conduit_loop_turn(conduit_ctx_loop(ctx), 100);
    }
    memset(conns, 0, sizeof conns);
    conduit_ctx_free(ctx);
    assert(t_still_blocks == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && size <= MAX_INPUT) {
        run(data, size);
    }
    return 0;
}
