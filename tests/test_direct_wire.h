/* SPDX-License-Identifier: ISC */
/*
 * A peer of TCP that a test plays frame by frame, by a packet socket on the
 * kernel's end of the TAP. The kernel does not have the peer's addresses and
 * keeps out of it. The stack's clock stands still unless a test lets time pass,
 * so that no timer fires that is not meant to.
 */
#ifndef TESTS_TEST_DIRECT_WIRE_H
#define TESTS_TEST_DIRECT_WIRE_H

#include "unix_net.h"
#include "unix_support.h"

#include "core.h"

#include <sys/socket.h>
#include <unistd.h>

#define OURS "10.9.0.2"
#define NET "direct,tap=tap0,ip=" OURS "/24,offload=off,mac=02:00:00:00:00:02"
#define NET_OFFLOAD "direct,tap=tap0,ip=" OURS "/24,mac=02:00:00:00:00:02"
#define PORT 80

#define MSS 1000u
#define WINDOW 65000u
#define TOTAL 600000u /* bytes of either direction, at the most */

#define OUT 1 /* the stream that the stack sends */
#define IN 2

#define FIN 0x01u
#define SYN 0x02u
#define RST 0x04u
#define PSH 0x08u
#define ACK 0x10u

#define ETHERNET 14u
#define IP_HEADER 20u
#define TCP_HEADER 20u
#define HEADERS (ETHERNET + IP_HEADER + TCP_HEADER)
#define FRAME_MAX 1514u
#define FRAME_LARGE 65535u /* of who leaves it to the device to cut it */
#define PAYLOAD_MAX (FRAME_MAX - HEADERS)

#define MS 1000000ull

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t our_ip[4] = {10, 9, 0, 2};
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 77};
static const uint8_t peer_ip[4] = {10, 9, 0, 77};

struct segment {
    uint32_t seq;
    uint32_t ack;
    uint8_t flags;
    unsigned window;
    const uint8_t *options;
    size_t options_size;
    const uint8_t *data;
    size_t size;
};

struct peer {
    struct t_env *env;
    int fd;
    uint16_t port;
    uint32_t first;      /* sequence number of its first byte */
    uint32_t first_ours; /* of the stack's */
    uint32_t seq;        /* of what it says next */
    uint32_t ack;
    unsigned window;
    uint32_t edge;   /* the most that it ever had room for */
    unsigned mss;    /* what its SYN says */
    bool device;     /* the stack leaves checksums to the device */
    bool sack;       /* says that it understands SACK */
    bool spoil;      /* sends wrong checksums */
    uint32_t option; /* sends these four bytes of options with what is no SYN */
    unsigned answers;  /* to its requests of ARP */
    struct segment in; /* the last that came */
    uint8_t frame[FRAME_LARGE];
    bool got[TOTAL + 2]; /* of what we send, the FIN included */
    bool given[TOTAL + 1];
};

static struct peer peer;

/* ---- the stack's clock ----------------------------------------------------
 */

static uint64_t now;

static inline uint64_t monotonic_still(struct conduit_platform *p)
{
    (void)p;
    return now;
}

static inline void change_clock(struct t_env *env)
{
    static struct conduit_platform_ops ops;
    struct conduit_platform *p = env->ctx->platform;

    ops = *p->ops;
    now = ops.monotonic(p);
    ops.monotonic = monotonic_still;
    p->ops = &ops;
}

static inline void let_pass(struct t_env *env, unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10) {
        now += 10 * MS;
        t_turns(env, 1);
    }
}

/* ---- bytes --------------------------------------------------------------- */

static inline void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value & 0xffff);
}

static inline unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline uint16_t fold(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Of a segment of `n` bytes whose header of IP is right before it. */
static inline uint16_t fold_tcp(const uint8_t *tcp, size_t n)
{
    return fold(fold(6 + (uint32_t)n, tcp - 8, 8), tcp, n);
}

/* ---- frames to the stack ------------------------------------------------- */

static inline void send_frame(struct peer *p, uint8_t *frame, size_t n,
                              unsigned type)
{
    memcpy(frame, our_mac, 6);
    memcpy(frame + 6, peer_mac, 6);
    put16(frame + 12, type);
    T_POLL(p->env, send(p->fd, frame, n, 0) == (ssize_t)n);
}

static inline void send_arp(struct peer *p, unsigned what)
{
    static const uint8_t head[6] = {0, 1, 8, 0, 6, 4};
    uint8_t frame[60] = {0};
    uint8_t *arp = frame + ETHERNET;

    memcpy(arp, head, 6);
    put16(arp + 6, what);
    memcpy(arp + 8, peer_mac, 6);
    memcpy(arp + 14, peer_ip, 4);
    memcpy(arp + 18, our_mac, 6);
    memcpy(arp + 24, our_ip, 4);
    send_frame(p, frame, sizeof frame, 0x0806);
}

static inline void make_ip(uint8_t *ip, size_t n)
{
    memset(ip, 0, IP_HEADER);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)n);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, peer_ip, 4);
    memcpy(ip + 16, our_ip, 4);
    put16(ip + 10, 0xffffu & ~(unsigned)fold(0, ip, IP_HEADER));
}

/* The options of a SYN; how many bytes. */
static inline size_t make_options(const struct peer *p, uint8_t *at)
{
    at[0] = 2;
    at[1] = 4;
    put16(at + 2, p->mss);
    if (p->sack) {
        put32(at + 4, 0x01010402);
    }
    return p->sack ? 8 : 4;
}

static inline void send_segment(struct peer *p, unsigned flags, uint32_t seq,
                                const void *data, size_t n)
{
    uint8_t frame[FRAME_MAX];
    uint8_t *tcp = frame + ETHERNET + IP_HEADER;
    size_t header = TCP_HEADER;

    memset(tcp, 0, TCP_HEADER);
    put16(tcp, p->port);
    put16(tcp + 2, PORT);
    put32(tcp + 4, seq);
    put32(tcp + 8, (flags & ACK) != 0 ? p->ack : 0);
    if ((flags & SYN) != 0) {
        header += make_options(p, tcp + header);
    } else if (p->option != 0) {
        put32(tcp + header, p->option);
        header += 4;
    }
    tcp[12] = (uint8_t)(header / 4 << 4);
    tcp[13] = (uint8_t)flags;
    put16(tcp + 14, p->window);
    assert_true(ETHERNET + IP_HEADER + header + n <= sizeof frame);
    if (n > 0) {
        memcpy(tcp + header, data, n);
    }
    make_ip(frame + ETHERNET, IP_HEADER + header + n);
    put16(tcp + 16, 0xffffu & ~(unsigned)fold_tcp(tcp, header + n));
    tcp[17] ^= p->spoil ? 1 : 0;
    send_frame(p, frame, ETHERNET + IP_HEADER + header + n, 0x0800);
}

static inline void acknowledge(struct peer *p)
{
    if ((int32_t)(p->ack + p->window - p->edge) > 0) {
        p->edge = p->ack + p->window;
    }
    send_segment(p, ACK, p->seq, NULL, 0);
}

/* Bytes of its stream, which need not be the next. */
static inline void send_bytes(struct peer *p, size_t at, size_t n)
{
    uint8_t data[PAYLOAD_MAX];

    assert_true(n <= sizeof data && at + n <= TOTAL);
    t_fill(IN, at, data, n);
    memset(p->given + at, true, n);
    send_segment(p, ACK | PSH, p->first + (uint32_t)at, data, n);
}

/* ---- frames from the stack ----------------------------------------------- */

enum heard { NOTHING, ANSWER, SEGMENT };

static inline enum heard hear_arp(struct peer *p, const uint8_t *arp)
{
    if (memcmp(arp + 24, peer_ip, 4) != 0) {
        return NOTHING;
    }
    if (get16(arp + 6) == 1) {
        send_arp(p, 2);
        return NOTHING;
    }
    p->answers++;
    return ANSWER;
}

static inline void read_segment(struct peer *p, const uint8_t *ip, size_t n)
{
    const uint8_t *tcp = ip + IP_HEADER;
    size_t size = get16(ip + 2);
    size_t header = (size_t)(tcp[12] >> 4) * 4;

    assert_int_equal(ip[0], 0x45);
    assert_true(size <= n && size >= IP_HEADER + header);
    size -= IP_HEADER;
    assert_int_equal(fold(0, ip, IP_HEADER), 0xffff);
    if (!p->device) {
        assert_int_equal(fold_tcp(tcp, size), 0xffff);
    }
    assert_int_equal(get16(tcp), PORT);
    assert_int_equal(get16(tcp + 2), p->port);
    p->in.seq = get32(tcp + 4);
    p->in.ack = get32(tcp + 8);
    p->in.flags = tcp[13];
    p->in.window = get16(tcp + 14);
    p->in.options = tcp + TCP_HEADER;
    p->in.options_size = header - TCP_HEADER;
    p->in.data = tcp + header;
    p->in.size = size - header;
}

/* The next frame, if there is one that is meant for the peer. */
static inline enum heard next(struct peer *p)
{
    ssize_t n;

    while ((n = recv(p->fd, p->frame, sizeof p->frame, 0)) > 0) {
        unsigned type = get16(p->frame + 12);
        enum heard heard = NOTHING;

        if (memcmp(p->frame + 6, our_mac, 6) != 0) {
            continue; /* the kernel's own */
        }
        if (type == 0x0806) {
            heard = hear_arp(p, p->frame + ETHERNET);
        } else if (type == 0x0800 && (size_t)n >= HEADERS &&
                   memcmp(p->frame, peer_mac, 6) == 0) {
            read_segment(p, p->frame + ETHERNET, (size_t)n - ETHERNET);
            heard = SEGMENT;
        }
        if (heard != NOTHING) {
            return heard;
        }
    }
    return NOTHING;
}

/* The next segment, while the clock stands still. */
static inline void hear(struct peer *p)
{
    T_POLL(p->env, next(p) == SEGMENT);
}

static inline bool comes_in_time(struct peer *p)
{
    now += 10 * MS;
    return next(p) == SEGMENT;
}

static inline void hear_in_time(struct peer *p)
{
    T_POLL(p->env, comes_in_time(p));
}

/* The stack has taken all that was sent to it, and says nothing to it. */
static inline void hear_nothing(struct peer *p)
{
    enum heard heard = NOTHING;

    t_turns(p->env, 2); /* to send what was written */
    send_arp(p, 1);
    T_POLL(p->env, (heard = next(p)) != NOTHING);
    assert_int_equal(heard, ANSWER);
}

/* ---- the peer's side of a connection ------------------------------------- */

/* Keeps the bytes of a segment wherever they belong. */
static inline void take(struct peer *p)
{
    uint32_t at = p->in.seq - p->first_ours;
    bool fin = (p->in.flags & FIN) != 0;

    assert_true(at + p->in.size <= TOTAL);
    assert_true((int32_t)(p->in.seq + (uint32_t)p->in.size - p->edge) <= 0);
    if (!t_match(OUT, at, p->in.data, p->in.size)) {
        fail_msg("wrong bytes from %u on", at);
    }
    memset(p->got + at, true, p->in.size + (fin ? 1 : 0));
    while (p->got[p->ack - p->first_ours]) {
        p->ack++;
    }
}

/* Takes and acknowledges all up to a place in the stream. */
static inline void take_up_to(struct peer *p, size_t end)
{
    while (p->ack - p->first_ours != end) {
        hear_in_time(p);
        take(p);
        acknowledge(p);
    }
}

static inline void open_peer(struct peer *p, struct t_env *env, bool sack)
{
    static uint16_t port = 40000;

    memset(p, 0, sizeof *p);
    p->env = env;
    p->fd = t_net_packet("tap0");
    p->port = port++;
    p->seq = 0xffffff00u; /* its numbers pass through 0 */
    p->window = WINDOW;
    p->mss = MSS;
    p->sack = sack;
}

/* Connects; c is the stack's end. */
static inline void begin(struct peer *p, struct t_server *s, struct t_conn *c)
{
    struct conduit_conn *conn = NULL;

    send_segment(p, SYN, p->seq++, NULL, 0);
    p->first = p->seq;
    hear(p);
    assert_int_equal(p->in.flags, SYN | ACK);
    assert_int_equal(p->in.ack, p->seq);
    p->first_ours = p->in.seq + 1;
    p->ack = p->first_ours;
    p->edge = p->ack;
    acknowledge(p);
    T_POLL(p->env, (conn = t_accepted(s)) != NULL);
    memset(c, 0, sizeof *c);
    c->pull = true;
    c->in = IN;
    c->out = OUT;
    t_attach(c, p->env, conn, CONDUIT_READ);
}

/* A stack that listens, and a peer that has not said anything yet. */
static inline void make_peer(struct peer *p, struct t_env *env,
                             struct t_server *s,
                             const struct conduit_options *options, bool sack)
{
    change_clock(env);
    t_listen(s, env, "tcp+direct://" OURS ":80", options);
    let_pass(env, 15000); /* it has things to say to itself first */
    open_peer(p, env, sack);
}

static inline void connect_peer(struct peer *p, struct t_env *env,
                                struct t_server *s, struct t_conn *c, bool sack)
{
    make_peer(p, env, s, NULL, sack);
    begin(p, s, c);
}

/* The peer goes, and whatever is left of the connection. */
static inline void leave(struct peer *p, struct t_server *s, struct t_conn *c)
{
    t_close(c);
    (void)close(p->fd);
    t_unlisten(s);
}

/* The stack has ended it: what it said, and the peer's end. */
static inline void end_too(struct peer *p, struct t_server *s, size_t sent)
{
    take_up_to(p, sent + 1);
    send_segment(p, FIN | ACK, p->seq++, NULL, 0);
    hear(p);
    assert_int_equal(p->in.ack, p->seq);
    assert_int_equal(p->in.size, 0);
    hear_nothing(p);
    (void)close(p->fd);
    t_unlisten(s);
}

/* The stack ends it first; nothing but its end is left to be said. */
static inline void end(struct peer *p, struct t_server *s, struct t_conn *c)
{
    size_t sent = c->sent;

    t_close(c);
    end_too(p, s, sent);
}

/* ---- the stack's side ---------------------------------------------------- */

static inline void say(struct t_conn *c, size_t n)
{
    c->goal += n;
    t_push(c);
    assert_int_equal(c->sent, c->goal);
}

/* A byte in each direction. */
static inline void talk(struct peer *p, struct t_conn *c)
{
    uint64_t received = c->received;

    say(c, 1);
    take_up_to(p, c->sent);
    hear_nothing(p);
    send_bytes(p, received, 1);
    p->seq++;
    T_POLL(p->env, c->received == received + 1);
    hear_in_time(p);
    assert_int_equal(p->in.ack, p->seq);
}

/* Makes room for more segments in flight than a connection begins with. */
static inline void warm_up(struct peer *p, struct t_conn *c)
{
    say(c, 16 * (size_t)MSS);
    take_up_to(p, c->sent);
    hear_nothing(p);
}

#endif
