/* SPDX-License-Identifier: ISC */
/*
 * A "packet too big" of ICMPv6 that anybody may have made up: a node never goes
 * below 1,280 bytes, nor above what its link has (RFC 8201 section 4).
 */
#include "unix_net.h"
#include "unix_support.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define OURS6 "fd00:9::2"
#define SYSTEM6 "fd00:9::1"
#define MTU 1500u
#define NET \
    "direct,tap=tap0,ip6=" OURS6 "/64,mtu=1500,mac=02:00:00:00:00:02,offload="

#define ETHERNET 14u
#define IP_HEADER 40u
#define ICMP_HEADER 8u
#define PACKET (ICMP_HEADER + IP_HEADER + 20u) /* behind the header of IP */
#define TCP_AND_IP 60u
#define LEAST (1280u - TCP_AND_IP)

#define MUCH 500000u

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 77};
static const uint8_t ours[16] = {0xfd, 0, 0, 9, [15] = 2};
static const uint8_t system6[16] = {0xfd, 0, 0, 9, [15] = 1};
static const uint8_t router[16] = {0xfd, 0, 0, 9, [15] = 77};

/* ---- the message --------------------------------------------------------- */

static void make_ip(uint8_t *ip, unsigned n, unsigned next, const uint8_t *from,
                    const uint8_t *to)
{
    ip[0] = 0x60;
    ip[5] = (uint8_t)n;
    ip[6] = (uint8_t)next;
    ip[7] = 64;
    memcpy(ip + 8, from, 16);
    memcpy(ip + 24, to, 16);
}

static uint16_t sum_of(const uint8_t *ip)
{
    uint32_t sum = IPPROTO_ICMPV6 + PACKET;

    for (size_t i = 8; i < IP_HEADER + PACKET; i += 2) {
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

/* Says of a packet to the system that it was larger than mtu. */
static void send_too_big(uint32_t mtu)
{
    uint8_t frame[ETHERNET + IP_HEADER + PACKET] = {0};
    uint8_t *ip = frame + ETHERNET;
    uint8_t *icmp = ip + IP_HEADER;
    uint16_t sum;
    int fd = t_net_packet("tap0");

    memcpy(frame, our_mac, 6);
    memcpy(frame + 6, peer_mac, 6);
    frame[12] = 0x86;
    frame[13] = 0xdd;
    make_ip(ip, PACKET, IPPROTO_ICMPV6, router, ours);
    icmp[0] = 2;
    for (unsigned i = 0; i < 4; i++) {
        icmp[4 + i] = (uint8_t)(mtu >> (24 - 8 * i));
    }
    make_ip(icmp + ICMP_HEADER, 20, IPPROTO_TCP, ours, system6);
    sum = sum_of(ip);
    icmp[2] = (uint8_t)(sum >> 8);
    icmp[3] = (uint8_t)sum;
    assert_int_equal(send(fd, frame, sizeof frame, 0), sizeof frame);
    (void)close(fd);
}

/* ---- connections --------------------------------------------------------- */

static void dial(struct t_pair *pair, struct t_env *env, struct t_server *s)
{
    struct conduit_conn *conn = NULL;

    memset(pair, 0, sizeof *pair);
    pair->a.conn = t_dial_now(env, "tcp+direct://[" SYSTEM6 "]:80");
    T_UNTIL(env, (conn = t_accepted(s)) != NULL);
    pair->a.env = env;
    pair->a.out = 1;
    pair->b.env = env;
    pair->b.in = 1;
    pair->b.conn = conn;
}

/* The largest segment that the kernel has had, of those that repeat. */
static unsigned segment_of(const struct conduit_conn *conn)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;

    assert_int_equal(
        getsockopt(conduit_unix_fd(conn), IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    return info.tcpi_rcv_mss;
}

/* What the kernel receives after such a message. */
static unsigned segment_after(struct t_env *env, struct t_server *s,
                              uint32_t mtu)
{
    struct t_pair pair;
    unsigned size;

    /* The answer to the SYN comes behind it. */
    send_too_big(mtu);
    dial(&pair, env, s);
    pair.a.push = true;
    pair.a.goal = MUCH;
    pair.b.pull = true;
    t_attach(&pair.a, env, pair.a.conn, CONDUIT_WRITE);
    t_attach(&pair.b, env, pair.b.conn, CONDUIT_READ);
    T_UNTIL(env, pair.b.received == MUCH);
    size = segment_of(pair.b.conn);
    t_disconnect(&pair);
    return size;
}

/* An address of IPv6 is not there at once: the kernel confirms it anew when
 * somebody opens the TAP. */
static bool is_listening(struct t_server *s, struct t_env *env)
{
    struct conduit_listener *listener = NULL;

    if (conduit_listen(env->ctx, "tcp+socket://[" SYSTEM6 "]:80", NULL, NULL,
                       NULL, &listener, NULL) != 0) {
        return false;
    }
    conduit_listener_close(listener);
    t_listen(s, env, "tcp+socket://[" SYSTEM6 "]:80", NULL);
    return true;
}

static void is_never_less(struct t_env *env, const char *net)
{
    static const uint32_t little[] = {1, 40, 60, 61, 68, 576, 1279, 1280};
    struct t_server s;
    struct t_pair pair;

    assert_int_equal(conduit_ctx_set_net(env->ctx, net, NULL), 0);
    t_listen(&s, env, "tcp+direct://[::]:81", NULL); /* the TAP is open */
    t_unlisten(&s);
    T_POLL(env, is_listening(&s, env));
    dial(&pair, env, &s); /* what the path bears is noted from here on */
    t_disconnect(&pair);
    for (size_t i = 0; i < sizeof little / sizeof little[0]; i++) {
        assert_int_equal(segment_after(env, &s, little[i]), LEAST);
    }
    assert_int_equal(segment_after(env, &s, 1400), 1400 - TCP_AND_IP);
    assert_in_range(segment_after(env, &s, 65535), LEAST, MTU - TCP_AND_IP);
    assert_in_range(segment_after(env, &s, 0), LEAST, MTU - TCP_AND_IP);
    t_unlisten(&s);
}

static void it_is_never_less_than_1280(void **state)
{
    is_never_less(*state, NET "off");
}

static void it_is_never_less_than_1280_with_offload(void **state)
{
    is_never_less(*state, NET "on");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(it_is_never_less_than_1280),
        T_TEST(it_is_never_less_than_1280_with_offload),
    };
    const struct t_net_tap tap = {.ip6 = SYSTEM6, .prefix6 = 64};

    if (!t_net_for_direct(NET "off", &tap)) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
