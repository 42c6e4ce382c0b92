/* SPDX-License-Identifier: ISC */
/*
 * The stack in the process against the kernel's sockets, over a TAP in a
 * network namespace of the test's own: a peer that begins anew from a port that
 * waits, ports of our own side, and thousands of connections at once.
 */
#include "unix_net.h"
#include "unix_support.h"

#include "core.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define OURS "10.9.0.2"
#define OURS6 "fd00:9::2"
#define SYSTEM "10.9.0.1"
#define SYSTEM6 "fd00:9::1"
#define NET "direct,tap=tap0,ip=" OURS "/24,ip6=" OURS6 "/64"

#define PORT 80
#define SAME_PORT 40001 /* of a client that connects again and again */
#define AGAIN 10
#define OUT 300u
#define IN 2000u

/* Blocks that stay when connections have gone: buffers, frames, the table. */
#define KEPT 80

#define MS 1000000ull

/* ---- the stack's clock ----------------------------------------------------
 */

static uint64_t ahead; /* ns */
static uint64_t (*monotonic)(struct conduit_platform *p);

static uint64_t monotonic_ahead(struct conduit_platform *p)
{
    return monotonic(p) + ahead;
}

static void change_clock(struct t_env *env)
{
    static struct conduit_platform_ops ops;

    ahead = 0;
    ops = *env->ctx->platform->ops;
    monotonic = ops.monotonic;
    ops.monotonic = monotonic_ahead;
    env->ctx->platform->ops = &ops;
}

/* ---- the kernel's sockets ------------------------------------------------ */

union address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
};

static socklen_t make_address(union address *a, const char *text, uint16_t port)
{
    memset(a, 0, sizeof *a);
    if (strchr(text, ':') == NULL) {
        a->ip4.sin_family = AF_INET;
        a->ip4.sin_port = htons(port);
        assert_int_equal(inet_pton(AF_INET, text, &a->ip4.sin_addr), 1);
        return sizeof a->ip4;
    }
    a->ip6.sin6_family = AF_INET6;
    a->ip6.sin6_port = htons(port);
    assert_int_equal(inet_pton(AF_INET6, text, &a->ip6.sin6_addr), 1);
    return sizeof a->ip6;
}

/* 0, or the error. */
static int try_binding(int fd, const union address *a, socklen_t n)
{
    return bind(fd, &a->any, n) == 0 ? 0 : errno;
}

/* A socket that does not block, at an address if that is not NULL. One of IPv6
 * is not there at once: the kernel confirms it anew when somebody opens the
 * TAP. */
static int make_socket(struct t_env *env, int family, const char *text,
                       uint16_t port)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    union address a;
    int one = 1;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one),
                     0);
    if (text != NULL) {
        socklen_t n = make_address(&a, text, port);
        int error = 0;

        T_POLL(env, (error = try_binding(fd, &a, n)) != EADDRNOTAVAIL);
        if (error != 0) {
            fail_msg("binding to %s, port %u: %s", text, port, strerror(error));
        }
    }
    return fd;
}

/* 0, or the error. The kernel answers EINPROGRESS, then EALREADY, then says
 * once how it was. */
static int try_connecting(int fd, const char *to)
{
    union address a;
    socklen_t n = make_address(&a, to, PORT);

    return connect(fd, &a.any, n) == 0 || errno == EISCONN ? 0 : errno;
}

static bool is_open_or_failed(int error)
{
    return error != EINPROGRESS && error != EALREADY;
}

static void connect_to(struct t_env *env, int fd, const char *to)
{
    int error = EALREADY;

    T_POLL(env, is_open_or_failed(error = try_connecting(fd, to)));
    if (error != 0) {
        fail_msg("connecting to %s: %s", to, strerror(error));
    }
}

static void say(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

/* What recv() answers when it does not say EAGAIN any more. */
static ssize_t hear(struct t_env *env, int fd, void *buf, size_t room)
{
    ssize_t got = -1;

    T_POLL(env, (got = recv(fd, buf, room, 0)) >= 0 || errno != EAGAIN);
    return got;
}

/* Segments that the kernel had to send more than once, its SYN included. */
static unsigned sent_again(int fd)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    return info.tcpi_total_retrans;
}

/* ---- a service of the stack ---------------------------------------------- */

/* Sends back what it hears. */
struct service {
    struct t_env *env;
    struct conduit_listener *listener;
    struct conduit_conn *conn[IN]; /* NULL: it has ended */
    unsigned accepted;
    unsigned open;
};

static void forget(struct service *s, struct conduit_conn **place)
{
    conduit_conn_close(*place);
    *place = NULL;
    s->open--;
}

static struct service service;

static void on_echo(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct conduit_conn **place = arg;
    char buf[64];
    long n;

    (void)events;
    while ((n = conduit_conn_read(conn, buf, sizeof buf)) > 0) {
        T_CHECK(service.env, conduit_conn_write(conn, buf, (size_t)n) == n);
    }
    if (n != CONDUIT_AGAIN) {
        T_CHECK(service.env, n == CONDUIT_END);
        forget(&service, place);
    }
}

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    struct service *s = arg;

    (void)listener;
    if (s->accepted == IN) {
        t_fault(s->env, "more than %u accepted", IN);
        conduit_conn_abort(conn);
        return;
    }
    s->conn[s->accepted] = conn;
    conduit_conn_set_handler(conn, on_echo, &s->conn[s->accepted],
                             CONDUIT_READ);
    s->accepted++;
    s->open++;
}

static void serve(struct t_env *env, const char *at)
{
    struct conduit_error err = {0};
    char uri[64];

    memset(&service, 0, sizeof service);
    service.env = env;
    (void)snprintf(uri, sizeof uri, "tcp+direct://%s:%d", at, PORT);
    if (conduit_listen(env->ctx, uri, NULL, on_accept, &service,
                       &service.listener, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

/* ---- beginning anew ------------------------------------------------------ */

/* Connects from the same port as always; the socket. Until the kernel has let
 * go of the connection before, which it does once we have confirmed its end, it
 * answers EADDRNOTAVAIL. */
static int begin_again(struct t_env *env, const char *from, const char *to,
                       int family)
{
    int fd = make_socket(env, family, from, SAME_PORT);
    int error = 0;

    T_POLL(env, (error = try_connecting(fd, to)) != EADDRNOTAVAIL);
    assert_int_equal(error, EINPROGRESS);
    return fd;
}

/* The bound is short of the minute that TIME_WAIT lasts. */
static void open_within_seconds(struct t_env *env, int fd, const char *to)
{
    uint64_t until = t_ms() + 5000;
    int error = EALREADY;

    T_POLL(env,
           is_open_or_failed(error = try_connecting(fd, to)) || t_ms() > until);
    if (error != 0) {
        fail_msg("connecting to %s: %s", to, strerror(error));
    }
}

static void again_and_again(struct t_env *env, const char *from, const char *to,
                            int family)
{
    unsigned slow = 0;

    for (unsigned i = 0; i < AGAIN; i++) {
        int fd = begin_again(env, from, to, family);
        char byte = (char)('a' + i);
        char got = 0;

        open_within_seconds(env, fd, to);
        slow += sent_again(fd) != 0 ? 1 : 0;
        say(fd, &byte, 1);
        assert_int_equal(hear(env, fd, &got, 1), 1);
        assert_int_equal(got, byte);
        assert_int_equal(service.accepted, i + 1);
        forget(&service, &service.conn[i]); /* first, so TIME_WAIT is ours */
        assert_int_equal(hear(env, fd, &got, 1), 0);
        (void)close(fd);
    }
    assert_true(slow < AGAIN); /* it is the first SYN that is taken */
    conduit_listener_close(service.listener);
}

static void a_peer_begins_anew(void **state)
{
    struct t_env *env = *state;

    serve(env, OURS);
    again_and_again(env, SYSTEM, OURS, AF_INET);
}

static void a_peer_begins_anew_over_ip6(void **state)
{
    struct t_env *env = *state;

    serve(env, "[" OURS6 "]");
    again_and_again(env, SYSTEM6, OURS6, AF_INET6);
}

/* ---- ports of our own side ----------------------------------------------- */

struct out {
    struct t_env *env;
    struct conduit_conn *conn[OUT];
    unsigned open;
    int fd[OUT]; /* the kernel's ends */
    uint16_t port[OUT];
    unsigned accepted;
};

static void on_dialled(void *arg, struct conduit_dial *dial,
                       struct conduit_conn *conn,
                       const struct conduit_error *err)
{
    struct out *out = arg;

    (void)dial;
    if (conn == NULL) {
        t_fault(out->env, "%s", err->text);
        return;
    }
    out->conn[out->open++] = conn;
}

static void accept_all(struct out *out, int listening)
{
    union address a;
    socklen_t n = sizeof a;
    int fd;

    while ((fd = accept4(listening, &a.any, &n, SOCK_CLOEXEC)) >= 0) {
        assert_true(out->accepted < OUT);
        out->fd[out->accepted] = fd;
        out->port[out->accepted++] = ntohs(a.ip4.sin_port);
        n = sizeof a;
    }
    assert_int_equal(errno, EAGAIN);
}

static bool all_accepted(struct out *out, int listening)
{
    accept_all(out, listening);
    return out->accepted == OUT && out->open == OUT;
}

/* In a sequence nearly all would be neighbours, or go the same way. */
static void ports_are_random(const struct out *out)
{
    static bool seen[65536];
    unsigned neighbours = 0;
    unsigned rising = 0;

    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < OUT; i++) {
        assert_in_range(out->port[i], 0x8000, 0xffff);
        assert_false(seen[out->port[i]]);
        seen[out->port[i]] = true;
    }
    for (unsigned i = 1; i < OUT; i++) {
        neighbours += out->port[i] == out->port[i - 1] + 1 ? 1 : 0;
        rising += out->port[i] > out->port[i - 1] ? 1 : 0;
    }
    assert_true(neighbours < OUT / 20);
    assert_in_range(rising, OUT / 4, OUT - OUT / 4);
}

static void ports_differ_and_are_random(void **state)
{
    static struct out out;
    struct t_env *env = *state;
    int listening = make_socket(env, AF_INET, SYSTEM, PORT);

    memset(&out, 0, sizeof out);
    out.env = env;
    assert_int_equal(listen(listening, OUT), 0);
    for (unsigned i = 0; i < OUT; i++) {
        assert_int_equal(conduit_dial(env->ctx, "tcp+direct://" SYSTEM ":80",
                                      NULL, on_dialled, &out, NULL, NULL),
                         0);
    }
    T_POLL(env, all_accepted(&out, listening));
    ports_are_random(&out);
    for (unsigned i = 0; i < OUT; i++) {
        conduit_conn_abort(out.conn[i]);
        (void)close(out.fd[i]);
    }
    (void)close(listening);
}

/* ---- thousands at once --------------------------------------------------- */

static void open_all(struct t_env *env, int *fd)
{
    for (unsigned i = 0; i < IN; i++) {
        fd[i] = make_socket(env, AF_INET, NULL, 0);
        connect_to(env, fd[i], OURS);
    }
    T_UNTIL(env, service.accepted == IN);
    assert_int_equal(service.open, IN);
}

static void ask_all(struct t_env *env, const int *fd)
{
    for (unsigned i = 0; i < IN; i++) {
        uint8_t byte = (uint8_t)(i * 7);

        say(fd[i], &byte, 1);
    }
    for (unsigned i = 0; i < IN; i++) {
        uint8_t got = 0;

        assert_int_equal(hear(env, fd[i], &got, 1), 1);
        assert_int_equal(got, (uint8_t)(i * 7));
    }
}

/* Every second from our side first, the others from the kernel's. */
static void close_all(struct t_env *env, const int *fd)
{
    char byte;

    for (unsigned i = 0; i < IN; i++) {
        if (i % 2 != 0) {
            (void)close(fd[i]);
        } else if (service.conn[i] != NULL) {
            forget(&service, &service.conn[i]);
        }
    }
    for (unsigned i = 0; i < IN; i += 2) {
        assert_int_equal(hear(env, fd[i], &byte, 1), 0);
        (void)close(fd[i]);
    }
    T_UNTIL(env, service.open == 0);
}

/* lwIP counts in ticks, of which a turn has one at the most. */
static void pass_time_wait(struct t_env *env)
{
    for (unsigned ms = 0; ms < 70000; ms += 50) {
        ahead += 50 * MS;
        t_turns(env, 1);
    }
}

static void thousands_of_connections(void **state)
{
    static int fd[IN];
    struct t_env *env = *state;
    size_t live;

    change_clock(env);
    serve(env, OURS);
    live = env->mem.live + KEPT;
    open_all(env, fd);
    assert_true(env->mem.live > live + IN);
    ask_all(env, fd);
    close_all(env, fd);
    /* Half of them wait in TIME_WAIT, with a block each. */
    T_UNTIL(env, env->mem.live <= live + IN / 2);
    assert_true(env->mem.live >= IN / 2);
    pass_time_wait(env);
    assert_true(env->mem.live <= live);
    conduit_listener_close(service.listener);
}

/* ---- the program --------------------------------------------------------- */

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(a_peer_begins_anew),
        T_TEST(a_peer_begins_anew_over_ip6),
        T_TEST(ports_differ_and_are_random),
        T_TEST(thousands_of_connections),
    };
    const struct t_net_tap tap = {
        .ip4 = SYSTEM, .prefix4 = 24, .ip6 = SYSTEM6, .prefix6 = 64};

    if (!t_raise_descriptors(IN + 100)) {
        print_message("needs a limit of %u open files\n", IN + 100);
        return 77;
    }
    if (!t_net_for_direct(NET, &tap)) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
