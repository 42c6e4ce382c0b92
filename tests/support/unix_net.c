/* SPDX-License-Identifier: ISC */
/* A network of the test's own, made by the kernel's interfaces alone, so that
 * no command has to be there. */
#include "unix_net.h"

#include "unix_support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <netinet/if_ether.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void name_it(struct ifreq *request, const char *name)
{
    memset(request, 0, sizeof *request);
    assert_true(strlen(name) < sizeof request->ifr_name);
    (void)strcpy(request->ifr_name, name);
}

static void control(int family, unsigned long what, void *request)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (ioctl(fd, what, request) != 0) {
        fail_msg("ioctl %#lx: %s", what, strerror(errno));
    }
    (void)close(fd);
}

static int index_of(const char *name)
{
    struct ifreq request;

    name_it(&request, name);
    control(AF_INET, SIOCGIFINDEX, &request);
    return request.ifr_ifindex;
}

/* ---- the namespace ------------------------------------------------------ */

static void set_number(const char *what, const char *name, const char *value)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/%s", name,
                   what);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) { /* there may be no IPv6 */
        assert_int_equal(write(fd, value, strlen(value)), strlen(value));
        (void)close(fd);
    }
}

bool t_net_enter(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        print_message("no network namespace: %s\n", strerror(errno));
        return false;
    }
    set_number("accept_dad", "default", "0"); /* no waiting for addresses */
    set_number("dad_transmits", "default", "0");
    t_net_up("lo", true);
    return true;
}

void t_net_up(const char *name, bool up)
{
    struct ifreq request;

    name_it(&request, name);
    control(AF_INET, SIOCGIFFLAGS, &request);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP
                                   : request.ifr_flags & ~IFF_UP);
    control(AF_INET, SIOCSIFFLAGS, &request);
}

unsigned t_net_mtu(const char *name)
{
    struct ifreq request;

    name_it(&request, name);
    control(AF_INET, SIOCGIFMTU, &request);
    return (unsigned)request.ifr_mtu;
}

unsigned t_net_queue(const char *name)
{
    struct ifreq request;

    name_it(&request, name);
    control(AF_INET, SIOCGIFTXQLEN, &request);
    return (unsigned)request.ifr_qlen;
}

/* ---- a TAP -------------------------------------------------------------- */

static void make(const char *name, const struct t_net_tap *options)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct ifreq request;

    if (fd < 0) {
        fail_msg("/dev/net/tun: %s", strerror(errno));
    }
    name_it(&request, name);
    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI |
                                (options->multi_queue ? IFF_MULTI_QUEUE : 0));
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
    if (options->owner != 0) {
        assert_int_equal(ioctl(fd, TUNSETOWNER, (long)options->owner), 0);
    }
    (void)close(fd);
}

static void set_ip4(const char *name, const char *text, unsigned prefix)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct ifreq request;

    name_it(&request, name);
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    memcpy(&request.ifr_addr, &address, sizeof address);
    control(AF_INET, SIOCSIFADDR, &request);
    address.sin_addr.s_addr = prefix == 0 ? 0
                                          : htonl(UINT32_MAX << (32 - prefix));
    memcpy(&request.ifr_netmask, &address, sizeof address);
    control(AF_INET, SIOCSIFNETMASK, &request);
}

static void set_ip6(const char *name, const char *text, unsigned prefix)
{
    struct in6_ifreq request = {.ifr6_prefixlen = prefix,
                                .ifr6_ifindex = index_of(name)};

    assert_int_equal(inet_pton(AF_INET6, text, &request.ifr6_addr), 1);
    control(AF_INET6, SIOCSIFADDR, &request);
}

void t_net_tap(const char *name, const struct t_net_tap *options)
{
    struct ifreq request;

    make(name, options);
    set_number("accept_dad", name, "0");
    set_number("dad_transmits", name, "0");
    if (options->mtu != 0) {
        name_it(&request, name);
        request.ifr_mtu = (int)options->mtu;
        control(AF_INET, SIOCSIFMTU, &request);
    }
    if (options->ip4 != NULL) {
        set_ip4(name, options->ip4, options->prefix4); /* brings it up */
    }
    t_net_up(name, !options->down);
    if (options->ip6 != NULL) {
        set_ip6(name, options->ip6, options->prefix6);
    }
}

bool t_net_bridge(const char *bridge, bool there)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool done;

    assert_true(fd >= 0);
    done = ioctl(fd, there ? SIOCBRADDBR : SIOCBRDELBR, bridge) == 0;
    (void)close(fd);
    return done;
}

void t_net_port(const char *bridge, const char *name, bool on)
{
    struct ifreq request;

    name_it(&request, bridge);
    request.ifr_ifindex = index_of(name);
    control(AF_INET, on ? SIOCBRADDIF : SIOCBRDELIF, &request);
}

/* ---- by netlink --------------------------------------------------------- */

struct link_request {
    struct nlmsghdr head;
    struct ifinfomsg info;
    struct rtattr attribute;
    int value;
};

static void ask_kernel(struct link_request *request)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[512];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    assert_true(fd >= 0);
    assert_int_equal(send(fd, request, request->head.nlmsg_len, 0),
                     request->head.nlmsg_len);
    assert_true(recv(fd, &answer, sizeof answer, 0) >=
                (ssize_t)(sizeof answer.head + sizeof answer.error.error));
    (void)close(fd);
    assert_int_equal(answer.head.nlmsg_type, NLMSG_ERROR);
    if (answer.error.error != 0) {
        fail_msg("netlink: %s", strerror(-answer.error.error));
    }
}

void t_net_delete(const char *name)
{
    struct link_request request = {
        .head = {.nlmsg_len = offsetof(struct link_request, attribute),
                 .nlmsg_type = RTM_DELLINK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .info = {.ifi_index = index_of(name)},
    };

    ask_kernel(&request);
}

void t_net_move(const char *name, int ns)
{
    struct link_request request = {
        .head = {.nlmsg_len = sizeof request,
                 .nlmsg_type = RTM_NEWLINK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .info = {.ifi_index = index_of(name)},
        .attribute = {RTA_LENGTH(sizeof(int)), IFLA_NET_NS_FD},
        .value = ns,
    };

    ask_kernel(&request);
}

/* ---- frames ------------------------------------------------------------- */

int t_net_packet(const char *name)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = index_of(name)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* ---- all of it ---------------------------------------------------------- */

bool t_net_for_direct(const char *net, const struct t_net_tap *options)
{
    if (!t_net_enter()) {
        return false;
    }
    if (access("/dev/net/tun", R_OK | W_OK) != 0) {
        print_message("/dev/net/tun: %s\n", strerror(errno));
        return false;
    }
    t_net_tap("tap0", options);
    assert_int_equal(setenv("CONDUIT_NET", net, 1), 0);
    return true;
}
