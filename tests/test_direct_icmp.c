/* SPDX-License-Identifier: ISC */
/*
 * What is not TCP and yet asked of every host: the stack in the process answers
 * to ping, by both versions of IP, and says of ports of UDP that nobody is
 * there. The largest datagrams, which come in fragments, do it no harm.
 */
#include "unix_net.h"
#include "unix_support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>
#include <unistd.h>

#define OURS "10.9.0.2"
#define OURS6 "fd00:9::2"
#define NET "direct,tap=tap0,ip=" OURS "/24,ip6=" OURS6 "/64"

#define PAYLOAD 1400
#define PACKET_MAX 2048

/* Bytes of UDP, in the largest datagrams that a fragment's 13 bits, and the 16
 * of a length, can tell of. */
#define LARGEST4 65507
#define LARGEST6 65519

struct destination {
    struct sockaddr_storage addr;
    socklen_t size;
};

static void to_ours(struct destination *d, int family, uint16_t port)
{
    struct sockaddr_in *ip4 = (struct sockaddr_in *)(void *)&d->addr;
    struct sockaddr_in6 *ip6 = (struct sockaddr_in6 *)(void *)&d->addr;

    memset(d, 0, sizeof *d);
    d->addr.ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        d->size = sizeof *ip4;
        ip4->sin_port = htons(port);
        assert_int_equal(inet_pton(AF_INET, OURS, &ip4->sin_addr), 1);
    } else {
        d->size = sizeof *ip6;
        ip6->sin6_port = htons(port);
        assert_int_equal(inet_pton(AF_INET6, OURS6, &ip6->sin6_addr), 1);
    }
}

static int open_socket(int family, int type, int protocol)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

    assert_true(fd >= 0);
    return fd;
}

/* false: the kernel has no address of its own to speak from yet, as one of IPv6
 * is confirmed anew when somebody opens the TAP. */
static bool is_sent(int fd, const void *data, size_t n,
                    const struct destination *to)
{
    return sendto(fd, data, n, 0, (const struct sockaddr *)&to->addr,
                  to->size) == (ssize_t)n;
}

/* ---- ping ------------------------------------------------------------------
 */

/* The header of ICMP is the same in both versions, but for what the types are
 * called; the kernel does the sum of ICMPv6 only. */
static void make_request(uint8_t *packet, bool six, uint16_t sequence)
{
    uint32_t sum = 0;

    memset(packet, 0, 8);
    packet[0] = six ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
    packet[4] = 0x12;
    packet[5] = 0x34;
    packet[6] = (uint8_t)(sequence >> 8);
    packet[7] = (uint8_t)sequence;
    for (size_t i = 0; i < PAYLOAD; i++) {
        packet[8 + i] = (uint8_t)(i * 7 + sequence);
    }
    for (size_t i = 0; i < 8 + PAYLOAD; i += 2) {
        sum += (uint32_t)packet[i] << 8 | packet[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    if (!six) {
        packet[2] = (uint8_t)(sum >> 8);
        packet[3] = (uint8_t)sum;
    }
}

/* Whether the answer to a request has come; other packets are passed over. */
static bool is_answered(int fd, bool six, const uint8_t *request)
{
    uint8_t packet[PACKET_MAX];
    ssize_t n;

    while ((n = recv(fd, packet, sizeof packet, 0)) > 0) {
        size_t header = six ? 0 : (size_t)(packet[0] & 15) * 4;

        if ((size_t)n == header + 8 + PAYLOAD &&
            packet[header] == (six ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
            memcmp(packet + header + 4, request + 4, 4 + PAYLOAD) == 0) {
            return true;
        }
    }
    return false;
}

/* The stack is there once somebody wants it. */
static void bring_up(struct t_env *env, struct t_server *s)
{
    t_listen(s, env, "tcp+direct://" OURS ":80", NULL);
}

static void ask(struct t_env *env, bool six)
{
    int fd = six ? open_socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)
                 : open_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    uint8_t request[8 + PAYLOAD];
    struct destination ours;

    to_ours(&ours, six ? AF_INET6 : AF_INET, 0);
    for (uint16_t i = 0; i < 10; i++) {
        make_request(request, six, i);
        T_POLL(env, is_sent(fd, request, sizeof request, &ours));
        T_POLL(env, is_answered(fd, six, request));
    }
    (void)close(fd);
}

static void answers_to_ping(struct t_env *env, bool six)
{
    struct t_server s;

    bring_up(env, &s);
    ask(env, six);
    t_unlisten(&s);
}

static void ping(void **state)
{
    answers_to_ping(*state, false);
}

static void ping6(void **state)
{
    answers_to_ping(*state, true);
}

/* ---- UDP -------------------------------------------------------------------
 */

static void nobody_is_there(struct t_env *env, int family)
{
    int fd = open_socket(family, SOCK_DGRAM, 0);
    struct destination ours;
    struct t_server s;
    char byte = 'x';

    bring_up(env, &s);
    to_ours(&ours, family, 9999);
    assert_int_equal(connect(fd, (struct sockaddr *)&ours.addr, ours.size), 0);
    T_POLL(env, send(fd, &byte, 1, 0) == 1);
    T_POLL(env, recv(fd, &byte, 1, 0) < 0 && errno == ECONNREFUSED);
    t_unlisten(&s);
    (void)close(fd);
}

static void a_port_of_udp_is_unreachable(void **state)
{
    nobody_is_there(*state, AF_INET);
}

static void a_port_of_udp_is_unreachable6(void **state)
{
    nobody_is_there(*state, AF_INET6);
}

/* ---- in fragments ----------------------------------------------------------
 */

/* Those that answers to ping come behind have been taken. */
static void outlives_datagrams(struct t_env *env, bool six, size_t largest)
{
    static const uint8_t data[LARGEST6];
    int fd = open_socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    struct destination ours;
    struct t_server s;

    bring_up(env, &s);
    ask(env, six); /* whose MAC address we have is known from here on */
    to_ours(&ours, six ? AF_INET6 : AF_INET, 9999);
    for (size_t less = 0; less <= 64; less++) {
        T_POLL(env, is_sent(fd, data, largest - less, &ours));
        if (less % 8 == 0) {
            ask(env, six);
        }
    }
    t_unlisten(&s);
    (void)close(fd);
}

static void outlives_the_largest_datagrams(void **state)
{
    outlives_datagrams(*state, false, LARGEST4);
}

static void outlives_the_largest_datagrams6(void **state)
{
    outlives_datagrams(*state, true, LARGEST6);
}

/* ---- the program --------------------------------------------------------- */

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(ping),
        T_TEST(ping6),
        T_TEST(a_port_of_udp_is_unreachable),
        T_TEST(a_port_of_udp_is_unreachable6),
        T_TEST(outlives_the_largest_datagrams),
        T_TEST(outlives_the_largest_datagrams6),
    };
    const struct t_net_tap tap = {
        .ip4 = "10.9.0.1", .prefix4 = 24, .ip6 = "fd00:9::1", .prefix6 = 64};

    if (!t_net_for_direct(NET, &tap)) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
