/* SPDX-License-Identifier: ISC */
/*
 * A network of the test's own: a namespace that only this process is in, and
 * TAPs in it. All of it is gone when the process ends.
 */
#ifndef TESTS_UNIX_NET_H
#define TESTS_UNIX_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Moves the process, which must have one thread, into a new network namespace
 * with its loopback up. false, with a line that says why, where that is not
 * permitted: the test is to end with 77.
 */
bool t_net_enter(void);

/* A TAP that stays while no process has it. Zero or NULL: as the kernel has it.
 */
struct t_net_tap {
    const char *ip4; /* the kernel's end */
    unsigned prefix4;
    const char *ip6;
    unsigned prefix6;
    unsigned mtu;
    bool down;        /* else it is up */
    unsigned owner;   /* the user whose it is; 0: anybody's */
    bool multi_queue; /* several may have it at once */
};

/*
 * All of it for a test of the stack in the process: enters a namespace, makes
 * tap0 there, and sets CONDUIT_NET to `net`. false, with a line that says why:
 * the test is to end with 77.
 */
bool t_net_for_direct(const char *net, const struct t_net_tap *options);

/* These fail the test when they fail. */
void t_net_tap(const char *name, const struct t_net_tap *options);
void t_net_up(const char *name, bool up);
unsigned t_net_mtu(const char *name);
/* Frames that the interface holds for who reads it. */
unsigned t_net_queue(const char *name);
void t_net_delete(const char *name);
/* Into the namespace of a descriptor of /proc/PID/ns/net. */
void t_net_move(const char *name, int ns);

/* Makes a bridge, or removes it; false where the system has none. */
bool t_net_bridge(const char *bridge, bool there);
/* Puts an interface on a bridge, or takes it off. */
void t_net_port(const char *bridge, const char *name, bool on);

/* A packet socket (packet(7)), non-blocking, that sends and receives whole
 * frames of the interface on the kernel's end. */
int t_net_packet(const char *name);

#endif
