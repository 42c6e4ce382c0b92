/* SPDX-License-Identifier: ISC */
/* The carriers of the suite on Unix: beside mem, the system's sockets, shared
 * memory, and the stack in the process (conformance_direct.c). */
#include "conformance_unix.h"

#include "unix_support.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_CAPS \
    (CONDUIT_CAP_HALF_CLOSE | CONDUIT_CAP_RESET | CONDUIT_CAP_LINGER)

static void uri_tcp(struct t_env *env, char *buf, size_t n)
{
    (void)env;
    (void)snprintf(buf, n, "tcp://127.0.0.1:0");
}

static void uri_tcp6(struct t_env *env, char *buf, size_t n)
{
    (void)env;
    (void)snprintf(buf, n, "tcp://[::1]:0");
}

static void uri_unix(struct t_env *env, char *buf, size_t n)
{
    static unsigned made;

    (void)snprintf(buf, n, "unix://%s/%u", t_dir(env), ++made);
}

static void uri_abstract(struct t_env *env, char *buf, size_t n)
{
    static unsigned made;

    (void)env;
    (void)snprintf(buf, n, "unix://@conduit.suite.%ld.%u", (long)getpid(),
                   ++made);
}

/* The registry is a folder of the test's own. */
static void uri_vchan(struct t_env *env, char *buf, size_t n)
{
    static unsigned made;

    (void)setenv("CONDUIT_RUNTIME_DIR", t_dir(env), 1);
    (void)snprintf(buf, n, "vchan://suite.%u", ++made);
}

/* Each time another port, so that a name in the registry is nobody else's. */
static void uri_auto(struct t_env *env, char *buf, size_t n)
{
    (void)setenv("CONDUIT_RUNTIME_DIR", t_dir(env), 1);
    (void)snprintf(buf, n, "auto://127.0.0.1:0");
}

static void uri_auto_name(struct t_env *env, char *buf, size_t n)
{
    static unsigned made;

    (void)setenv("CONDUIT_RUNTIME_DIR", t_dir(env), 1);
    (void)snprintf(buf, n, "auto://suite.%u", ++made);
}

static int listening_fd;

static void uri_fd(struct t_env *env, char *buf, size_t n)
{
    (void)env;
    (void)snprintf(buf, n, "fd://%d", listening_fd);
}

/* The fd transport's pair: both roles over descriptors made elsewhere. */
static void connect_fds(struct fix *f, struct t_pair *pair,
                        const struct conduit_options *options)
{
    struct t_server s;
    struct t_client c;
    struct conduit_conn *conn = NULL;
    uint16_t port = 0;
    char words[32];
    char uri[64];

    listening_fd = t_raw_listen("127.0.0.1", &port, 8);
    suite_uri(&f->env, uri, sizeof uri);
    t_listen(&s, &f->env, uri, options);
    suite_layers(words, sizeof words);
    (void)snprintf(uri, sizeof uri, "%sfd://%d", words,
                   t_raw_connect("127.0.0.1", port));
    t_dial(&c, &f->env, uri, options);
    T_UNTIL(&f->env,
            c.calls != 0 && (conn != NULL || (conn = t_accepted(&s)) != NULL));
    if (c.conn == NULL) {
        fail_msg("dial %s: %s", uri, c.err.text);
    }
    t_unlisten(&s);
    memset(pair, 0, sizeof *pair);
    pair->a = (struct t_conn){
        .env = &f->env, .conn = c.conn, .in = 2, .out = 1};
    pair->b = (struct t_conn){.env = &f->env, .conn = conn, .in = 1, .out = 2};
}

void suite_shrink_socket(const struct conduit_conn *conn)
{
    int fd = conduit_unix_fd(conn);
    int size = 8192;

    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static void delivered(const struct t_conn *t)
{
    int fd = conduit_unix_fd(t->conn);
    int held = 0;

    assert_true(fd >= 0);
    T_POLL(t->env, ioctl(fd, SIOCOUTQ, &held) == 0 && held == 0);
}

unsigned suite_packets_of_tcp(const struct t_conn *t)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    memset(&info, 0, sizeof info);
    assert_int_equal(getsockopt(conduit_unix_fd(t->conn), IPPROTO_TCP, TCP_INFO,
                                &info, &len),
                     0);
    return info.tcpi_data_segs_out;
}

static const struct carrier carrier_tcp = {
    .name = "tcp",
    .transport = "tcp+socket",
    .caps = SOCKET_CAPS,
    .socket = true,
    .present = suite_is_present,
    .uri = uri_tcp,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_socket,
    .delivered = delivered,
    .packets = suite_packets_of_tcp,
};

static const struct carrier carrier_tcp6 = {
    .name = "tcp6",
    .transport = "tcp+socket",
    .caps = SOCKET_CAPS,
    .socket = true,
    .present = t_have_ipv6,
    .uri = uri_tcp6,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_socket,
    .delivered = delivered,
    .packets = suite_packets_of_tcp,
};

static const struct carrier carrier_unix = {
    .name = "unix",
    .transport = "unix",
    .caps = CONDUIT_CAP_HALF_CLOSE | CONDUIT_CAP_LINGER,
    .socket = true,
    .present = suite_is_present,
    .uri = uri_unix,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_socket,
    .delivered = delivered,
    .packets = suite_packets_unseen,
};

static const struct carrier carrier_abstract = {
    .name = "unix-abstract",
    .transport = "unix",
    .caps = CONDUIT_CAP_HALF_CLOSE | CONDUIT_CAP_LINGER,
    .socket = true,
    .present = suite_is_present,
    .uri = uri_abstract,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_socket,
    .delivered = delivered,
    .packets = suite_packets_unseen,
};

static const struct carrier carrier_vchan = {
    .name = "vchan",
    .transport = "vchan",
    .caps = 0,
    .present = suite_is_present,
    .uri = uri_vchan,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_nothing,
    .delivered = suite_delivered_at_once,
    .packets = suite_packets_unseen,
};

static const struct carrier carrier_auto = {
    .name = "auto",
    .transport = "vchan",
    .caps = 0,
    .present = suite_is_present,
    .uri = uri_auto,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_nothing,
    .delivered = suite_delivered_at_once,
    .packets = suite_packets_unseen,
};

static const struct carrier carrier_auto_name = {
    .name = "auto-name",
    .transport = "vchan",
    .caps = 0,
    .present = suite_is_present,
    .uri = uri_auto_name,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_nothing,
    .delivered = suite_delivered_at_once,
    .packets = suite_packets_unseen,
};

static const struct carrier carrier_fd = {
    .name = "fd",
    .transport = "fd",
    .caps = SOCKET_CAPS,
    .socket = true,
    .present = suite_is_present,
    .uri = uri_fd,
    .connect = connect_fds,
    .shrink = suite_shrink_socket,
    .delivered = delivered,
    .packets = suite_packets_of_tcp,
};

const struct carrier *const suite_carriers[] = {
    &carrier_mem,
    &carrier_tcp,
    &carrier_tcp6,
    &carrier_unix,
    &carrier_abstract,
    &carrier_fd,
    &carrier_vchan,
    &carrier_auto,
    &carrier_auto_name,
#ifdef CONDUIT_DIRECT
    &carrier_direct,
    &carrier_direct6,
    &carrier_direct_out,
    &carrier_direct_in,
#endif
    NULL,
};
