/* SPDX-License-Identifier: ISC */
/*
 * Carriers over the stack in the process. There is one in a process, as lwIP
 * is: both ends in it, over its loopback; or one end in it, the other in the
 * system's stack, over a TAP in a network namespace of the test's own.
 */
#include "conformance_unix.h"

#include "unix_net.h"
#include "unix_support.h"

#include <stdlib.h>

#define CAPS (CONDUIT_CAP_HALF_CLOSE | CONDUIT_CAP_RESET | CONDUIT_CAP_LINGER)

#define DIRECT "tcp+direct"
#define SOCKET "tcp+socket"

/* Both ends of the TAP. */
#define OURS "10.9.0.2"
#define SYSTEM "10.9.0.1"

/* Its timers of TCP, while there are connections: each 50 ms, acknowledgments
 * that wait, and what is sent again. */
#define TICKS 5

static void uri_loopback(struct t_env *env, char *buf, size_t n)
{
    (void)env;
    (void)snprintf(buf, n, DIRECT "://127.0.0.1:0");
}

static void uri_loopback6(struct t_env *env, char *buf, size_t n)
{
    (void)env;
    (void)snprintf(buf, n, DIRECT "://[::1]:0");
}

/* Contexts read it when they are made, which is later. */
static bool present_loopback(void)
{
    return setenv("CONDUIT_NET", "direct", 1) == 0;
}

static void uri_ours(struct t_env *env, char *buf, size_t n)
{
    (void)env;
    (void)snprintf(buf, n, DIRECT "://" OURS ":0");
}

static void uri_system(struct t_env *env, char *buf, size_t n)
{
    (void)env;
    (void)snprintf(buf, n, SOCKET "://" SYSTEM ":0");
}

/* Once for the program, which has one network for all of its tests. */
static bool present_net(void)
{
    const struct t_net_tap tap = {.ip4 = SYSTEM, .prefix4 = 24};

    if (!t_net_enter()) {
        return false;
    }
    t_net_tap("tap0", &tap);
    return setenv("CONDUIT_NET", "direct,tap=tap0,ip=" OURS "/24", 1) == 0;
}

/* As t_connect(), but who dials does it in another stack. */
static void connect_across(struct fix *f, struct t_pair *pair,
                           const struct conduit_options *options)
{
    const char *stack = suite.carrier->transport;
    struct conduit_conn *accepted = NULL;
    struct t_server s;
    struct t_client c;
    char words[32];
    char uri[128];

    suite_uri(&f->env, uri, sizeof uri);
    t_listen(&s, &f->env, uri, options);
    suite_layers(words, sizeof words);
    (void)snprintf(uri, sizeof uri, "%s%s%s", words, stack,
                   strstr(conduit_listener_uri(s.listener), "://"));
    t_dial(&c, &f->env, uri, options);
    T_UNTIL(&f->env, c.calls != 0 && (accepted != NULL ||
                                      (accepted = t_accepted(&s)) != NULL));
    if (c.conn == NULL) {
        fail_msg("dial %s: %s", uri, c.err.text);
    }
    t_unlisten(&s);
    memset(pair, 0, sizeof *pair);
    pair->a = (struct t_conn){
        .env = &f->env, .conn = c.conn, .in = 2, .out = 1};
    pair->b = (struct t_conn){
        .env = &f->env, .conn = accepted, .in = 1, .out = 2};
}

/* The end that has a descriptor. */
static void shrink(const struct conduit_conn *conn)
{
    if (conduit_unix_fd(conn) >= 0) {
        suite_shrink_socket(conn);
    }
}

/* Either stack tells how much the other has not confirmed. */
static void delivered(const struct t_conn *t)
{
    size_t unacked = 1;

    T_POLL(t->env,
           conduit_conn_query(t->conn, CONDUIT_QUERY_UNACKED, &unacked) == 0 &&
               unacked == 0);
}

const struct carrier carrier_direct = {
    .name = "direct",
    .transport = DIRECT,
    .ticks = TICKS,
    .caps = CAPS,
    .present = present_loopback,
    .uri = uri_loopback,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_nothing,
    .delivered = delivered,
    .packets = suite_packets_unseen,
};

const struct carrier carrier_direct6 = {
    .name = "direct6",
    .transport = DIRECT,
    .ticks = TICKS,
    .caps = CAPS,
    .present = present_loopback,
    .uri = uri_loopback6,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_nothing,
    .delivered = delivered,
    .packets = suite_packets_unseen,
};

const struct carrier carrier_direct_out = {
    .name = "direct-out",
    .transport = DIRECT,
    .ticks = TICKS,
    .accepted = SOCKET,
    .caps = CAPS,
    .present = present_net,
    .uri = uri_system,
    .connect = connect_across,
    .shrink = shrink,
    .delivered = delivered,
    .packets = suite_packets_unseen,
};

const struct carrier carrier_direct_in = {
    .name = "direct-in",
    .transport = SOCKET,
    .ticks = TICKS,
    .accepted = DIRECT,
    .caps = CAPS,
    .present = present_net,
    .uri = uri_ours,
    .connect = connect_across,
    .shrink = shrink,
    .delivered = delivered,
    .packets = suite_packets_of_tcp,
};
