/* SPDX-License-Identifier: ISC */
/*
 * Two network namespaces, which end with the program: one of the peer, where
 * the TAPs are too, and one of the subjects over the kernel's stack.
 */
#include "bench.h"
#include "direct_bench.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int subject_net = -1;
static int peer_net = -1;

static void enter(int net)
{
    if (setns(net, CLONE_NEWNET) != 0) {
        bench_die("cannot enter a namespace");
    }
}

void bench_net_enter_subject(void)
{
    enter(subject_net);
}

__attribute__((format(printf, 1, 2))) static void ip(const char *format, ...)
{
    char command[256] = "ip ";
    size_t n = strlen(command);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(command + n, sizeof command - n, format, args);
    va_end(args);
    if (system(command) != 0) { /* NOLINT: our own words */
        bench_die(command);
    }
}

/* What lwIP does, as near as the kernel has it. */
static void congestion_control(void)
{
    int fd = open("/proc/sys/net/ipv4/tcp_congestion_control",
                  O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "reno", 4) != 4) {
        bench_die("cannot choose reno");
    }
    (void)close(fd);
}

static int new_net(void)
{
    int fd;

    if (unshare(CLONE_NEWNET) != 0) {
        return -1;
    }
    fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    congestion_control();
    ip("link set lo up");
    return fd;
}

static void no_offload(const char *device)
{
    static const uint32_t commands[] = {ETHTOOL_STSO,    ETHTOOL_SGSO,
                                        ETHTOOL_SGRO,    ETHTOOL_SSG,
                                        ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct ethtool_value value = {.cmd = commands[i]};
        struct ifreq request = {.ifr_data = (void *)&value};

        (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
        if (ioctl(fd, SIOCETHTOOL, &request) != 0) {
            bench_die("cannot switch offloads off");
        }
    }
    (void)close(fd);
}

static void up(const char *device, const char *address, bool offload)
{
    ip("addr add %s/24 dev %s", address, device);
    ip("link set %s up", device);
    if (!offload) {
        no_offload(device);
    }
}

static void make_tap(const struct bench_subject *s)
{
    ip("tuntap add dev %s mode tap vnet_hdr", s->device);
    ip("addr add %s/24 dev %s", s->peer, s->device);
    ip("link set %s up", s->device);
}

static void make_veth(const struct bench_subject *s)
{
    char far[IFNAMSIZ];

    (void)snprintf(far, sizeof far, "%.12s-s", s->device);
    ip("link add %s type veth peer name %s netns /proc/%d/fd/%d", s->device,
       far, (int)getpid(), subject_net);
    up(s->device, s->peer, s->offload);
    enter(subject_net);
    up(far, s->address, s->offload);
    enter(peer_net);
}

bool bench_net_make(const struct bench_subject *subjects, size_t count)
{
    if (access("/dev/net/tun", R_OK | W_OK) != 0 ||
        (subject_net = new_net()) < 0 || (peer_net = new_net()) < 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (subjects[i].direct) {
            make_tap(&subjects[i]);
        } else {
            make_veth(&subjects[i]);
        }
    }
    return true;
}
