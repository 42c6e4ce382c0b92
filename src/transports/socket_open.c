/* SPDX-License-Identifier: ISC */
/*
 * Making connections of sockets: connecting, adopting what is connected
 * already, and the transports tcp, unix and fd as the registry sees them.
 */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A Unix socket whose listener's queue is full answers EAGAIN and tells nothing
 * when there is room: it is tried again after this long.
 */
#define RETRY_MS 10

struct cdt_connecting {
    struct conduit_timer retry;
    struct cdt_socket *socket;
    void (*then)(struct cdt_socket *s); /* in place of opening; or NULL */
    union cdt_sockaddr to;
    socklen_t len;
    struct conduit_options options;
};

/* ---- addresses ---- */

socklen_t cdt_sockaddr_from(const struct conduit_addr *addr,
                            union cdt_sockaddr *out)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;

    memset(out, 0, sizeof *out);
    if (addr->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)&out->storage;

        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip, 4);
        return sizeof *in;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(addr->port);
    in6->sin6_scope_id = addr->scope;
    memcpy(&in6->sin6_addr, addr->ip, 16);
    return sizeof *in6;
}

void cdt_sockaddr_to(const union cdt_sockaddr *from, struct conduit_addr *out)
{
    memset(out, 0, sizeof *out);
    if (from->sa.sa_family == AF_INET) {
        const struct sockaddr_in *in =
            (const struct sockaddr_in *)&from->storage;

        out->family = 4;
        out->port = ntohs(in->sin_port);
        memcpy(out->ip, &in->sin_addr, 4);
    } else if (from->sa.sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 =
            (const struct sockaddr_in6 *)&from->storage;

        out->port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            out->family = 4; /* a dual-stack listener's IPv4 peer */
            memcpy(out->ip, (const uint8_t *)&in6->sin6_addr + 12, 4);
        } else {
            out->family = 6;
            out->scope = in6->sin6_scope_id;
            memcpy(out->ip, &in6->sin6_addr, 16);
        }
    }
}

void cdt_sockaddr_un(const char *name, union cdt_sockaddr *out, socklen_t *len)
{
    size_t n = strlen(name);

    memset(out, 0, sizeof *out);
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, name, n);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (name[0] == '@') {
        out->un.sun_path[0] = '\0';
    } else {
        *len += 1;
    }
}

/* ---- connecting ---- */

void cdt_socket_tune(int fd, const struct conduit_options *options)
{
    int on = 1;

    if (!options->nagle) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (options->keepalive_s > 0) {
        int seconds = (int)options->keepalive_s;

        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds,
                         sizeof seconds);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds,
                         sizeof seconds);
    }
}

void cdt_socket_connecting_free(struct cdt_socket *s)
{
    if (s->is_connecting) {
        conduit_timer_clear(s->base.loop, &s->u.connecting->retry);
        conduit_release(s->base.loop->ctx, s->u.connecting);
        s->u.connecting = NULL;
        s->is_connecting = false;
    }
}

/* Open: from here on watched for input. 0 or a code. */
static int connected(struct cdt_socket *s)
{
    void (*then)(struct cdt_socket * s) = s->is_connecting
                                              ? s->u.connecting->then
                                              : NULL;
    int code = then == NULL ? cdt_socket_watch(s, false) : 0;

    cdt_socket_connecting_free(s);
    if (then != NULL) {
        then(s);
        return 0;
    }
    if (code == 0) {
        s->writable = true;
        conduit_conn_opened(&s->base);
    }
    return code;
}

static void connect_failed(struct cdt_socket *s, int number)
{
    cdt_socket_connecting_free(s);
    (void)cdt_socket_fail(s, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE, number);
}

/* Calls connect; EINPROGRESS waits for an event, EAGAIN for the timer. */
static void try_connect(struct cdt_socket *s)
{
    struct cdt_connecting *c = s->u.connecting;

    if (connect(s->fd, &c->to.sa, c->len) == 0 || errno == EISCONN) {
        if (connected(s) != 0) {
            connect_failed(s, ENOMEM);
        }
    } else if (errno == EAGAIN && !s->tcp) {
        conduit_timer_set(s->base.loop, &c->retry, RETRY_MS);
    } else if (errno != EINPROGRESS && errno != EINTR) {
        connect_failed(s, errno);
    }
}

static void retry_fired(struct conduit_timer *t)
{
    struct cdt_connecting *c = CDT_CONTAINER(t, struct cdt_connecting, retry);

    try_connect(c->socket);
}

void cdt_socket_connect_event(struct cdt_socket *s)
{
    union cdt_sockaddr name;
    socklen_t name_len = sizeof name;
    int number = 0;
    socklen_t len = sizeof number;

    if (s->u.connecting->retry.at != 0) {
        return; /* connect was not taken yet: the event means nothing */
    }
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0) {
        number = errno;
    }
    if (number != 0) {
        connect_failed(s, number);
    } else if (getpeername(s->fd, &name.sa, &name_len) == 0 &&
               connected(s) != 0) {
        connect_failed(s, ENOMEM);
    }
}

int cdt_socket_start(struct conduit_conn *c)
{
    struct cdt_socket *s = cdt_socket_of(c);
    int code;

    if (!s->is_connecting) { /* accepted or adopted */
        return connected(s);
    }
    s->fd = socket(s->u.connecting->to.sa.sa_family,
                   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) {
        connect_failed(s, errno);
        return 0;
    }
    if (s->tcp) {
        cdt_socket_tune(s->fd, &s->u.connecting->options);
    } else if (s->u.connecting->then == NULL) {
        cdt_unix_refuse_descriptors(s->fd);
    }
    /* A socket that connects at once (Unix) is watched only when it has. */
    code = s->tcp ? cdt_socket_watch(s, true) : 0;
    if (code == 0) {
        try_connect(s);
    }
    return code;
}

/* A connection that will connect; NULL: no memory. */
static struct cdt_socket *new_connecting(struct conduit_ctx *ctx,
                                         const struct conduit_conn_ops *ops,
                                         const struct conduit_options *options,
                                         struct conduit_error *err)
{
    struct conduit_conn *c = conduit_conn_new(ctx, ops, NULL);
    struct cdt_connecting *connecting = conduit_alloc(ctx, sizeof *connecting);

    if (c == NULL || connecting == NULL) {
        conduit_release(ctx, connecting);
        if (c != NULL) {
            cdt_socket_of(c)->fd = -1;
            conduit_conn_abort(c);
        }
        (void)conduit_error_set(err, CONDUIT_ENOMEM, ops->name, 0,
                                "out of memory");
        return NULL;
    }
    connecting->socket = cdt_socket_of(c);
    connecting->retry.fire = retry_fired;
    connecting->options = *options;
    cdt_socket_of(c)->fd = -1;
    cdt_socket_of(c)->u.connecting = connecting;
    cdt_socket_of(c)->is_connecting = true;
    return cdt_socket_of(c);
}

static int tcp_dial(struct conduit_ctx *ctx, const struct conduit_endpoint *ep,
                    const struct conduit_options *options,
                    struct conduit_conn **out, struct conduit_error *err)
{
    struct cdt_socket *s;

    if (ep->addr.port == 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, "tcp+socket", 0,
                                 "port 0 is for listeners");
    }
    s = new_connecting(ctx, &cdt_tcp_ops, options, err);
    if (s == NULL) {
        return CONDUIT_ENOMEM;
    }
    s->tcp = true;
    s->peer = ep->addr;
    s->u.connecting->len = cdt_sockaddr_from(&ep->addr, &s->u.connecting->to);
    *out = &s->base;
    return 0;
}

int cdt_unix_dial_as(struct conduit_ctx *ctx,
                     const struct conduit_conn_ops *ops, const char *path,
                     const struct conduit_options *options,
                     void (*then)(struct cdt_socket *s),
                     struct conduit_conn **out, struct conduit_error *err)
{
    struct cdt_socket *s = new_connecting(ctx, ops, options, err);

    if (s == NULL) {
        return CONDUIT_ENOMEM;
    }
    cdt_sockaddr_un(path, &s->u.connecting->to, &s->u.connecting->len);
    s->u.connecting->then = then;
    *out = &s->base;
    return 0;
}

static int unix_dial(struct conduit_ctx *ctx, const struct conduit_endpoint *ep,
                     const struct conduit_options *options,
                     struct conduit_conn **out, struct conduit_error *err)
{
    return cdt_unix_dial_as(ctx, &cdt_unix_ops, ep->name, options, NULL, out,
                            err);
}

/* ---- descriptors that are connected already ---- */

struct conduit_conn *cdt_socket_accepted(struct conduit_ctx *ctx,
                                         const struct conduit_conn_ops *ops,
                                         int fd, const union cdt_sockaddr *peer,
                                         const struct conduit_options *o,
                                         void *arg)
{
    struct conduit_conn *c = conduit_conn_new(ctx, ops, NULL);
    struct cdt_socket *s = cdt_socket_of(c);

    (void)arg;
    if (c == NULL) {
        return NULL;
    }
    s->fd = fd;
    s->tcp = peer->sa.sa_family == AF_INET || peer->sa.sa_family == AF_INET6;
    if (s->tcp) {
        cdt_sockaddr_to(peer, &s->peer);
        cdt_socket_tune(fd, o);
    }
    return c;
}

static int refuse_fd(int fd, struct conduit_error *err, const char *why)
{
    return conduit_error_set(err, CONDUIT_EINVAL, "fd", 0, "descriptor %d %s",
                             fd, why);
}

/* Checks that a descriptor is a connected stream socket; its peer's address. */
static int check_connected(int fd, union cdt_sockaddr *peer,
                           struct conduit_error *err)
{
    int type = 0;
    socklen_t len = sizeof type;

    if (fcntl(fd, F_GETFD) < 0) {
        return refuse_fd(fd, err, "is not open");
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
        type != SOCK_STREAM) {
        return refuse_fd(fd, err, "is not a stream socket");
    }
    len = sizeof *peer;
    if (getpeername(fd, &peer->sa, &len) != 0) {
        return refuse_fd(fd, err, "is not connected");
    }
    return 0;
}

static bool set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static int adopt(struct conduit_ctx *ctx, int fd,
                 const struct conduit_options *options,
                 struct conduit_conn **out, struct conduit_error *err)
{
    union cdt_sockaddr peer = {.un = {0}};
    int code = check_connected(fd, &peer, err);

    if (code != 0) {
        return code;
    }
    if (!set_flags(fd)) {
        return refuse_fd(fd, err, "cannot be made non-blocking");
    }
    *out = cdt_socket_accepted(ctx, &cdt_fd_ops, fd, &peer, options, NULL);
    if (*out == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "fd", 0, "out of memory");
    }
    return 0;
}

int cdt_socket_adopt(struct conduit_ctx *ctx, int fd, struct conduit_conn **out,
                     struct conduit_error *err)
{
    struct conduit_options options = cdt_options(NULL);
    int code = adopt(ctx, fd, &options, out, err);

    if (code == 0) {
        conduit_conn_start(*out);
    }
    return code;
}

static int fd_dial(struct conduit_ctx *ctx, const struct conduit_endpoint *ep,
                   const struct conduit_options *options,
                   struct conduit_conn **out, struct conduit_error *err)
{
    if (strcmp(ep->name, "listen") == 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, "fd", 0,
                                 "fd://listen is for listeners");
    }
    return adopt(ctx, (int)strtol(ep->name, NULL, 10), options, out, err);
}

/* ---- URIs ---- */

/* Decodes %HH of a URI that was checked already; n bytes at most. */
static bool decode(const char *from, char *to, size_t n)
{
    size_t len = 0;

    for (; *from != '\0'; from++) {
        unsigned char c = (unsigned char)*from;

        if (c == '%') {
            char hex[3] = {from[1], from[2], '\0'};

            c = (unsigned char)strtoul(hex, NULL, 16);
            from += 2;
        }
        if (c == '\0' || len + 1 >= n) {
            return false;
        }
        to[len++] = (char)c;
    }
    to[len] = '\0';
    return true;
}

static int bad_unix(const struct conduit_uri *uri, struct conduit_error *err,
                    const char *what)
{
    return conduit_error_set(err, CONDUIT_EURI, "uri", 0, "%s, in '%.120s'",
                             what, uri->text);
}

/*
 * unix:///path and unix://@name; with http in front, where the path is HTTP's,
 * the percent-encoded authority: http+unix://%2Fpath/target.
 */
static int unix_check(struct conduit_ctx *ctx, struct conduit_uri *uri,
                      struct conduit_error *err)
{
    char name[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    bool by_path = !uri->http && uri->authority[0] == '\0';

    if (!decode(by_path ? uri->path : uri->authority, name, sizeof name)) {
        return bad_unix(uri, err, "a path with a zero byte or over 107 bytes");
    }
    if (!uri->http && !by_path && uri->path[0] != '\0') {
        return bad_unix(uri, err,
                        "a path is unix:///path, a name unix://@name");
    }
    if (name[0] != '/' && (name[0] != '@' || name[1] == '\0')) {
        return bad_unix(uri, err,
                        uri->http ? "with http the socket is the authority, "
                                    "%2Fpath or %40name"
                                  : "a path is unix:///path, a name "
                                    "unix://@name");
    }
    if (conduit_uri_set_address(ctx, uri, name) != 0) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "uri", 0,
                                 "out of memory");
    }
    return 0;
}

static int fd_check(struct conduit_ctx *ctx, struct conduit_uri *uri,
                    struct conduit_error *err)
{
    size_t n = strlen(uri->host);

    if (uri->user != NULL || uri->has_port ||
        (strcmp(uri->host, "listen") != 0 &&
         (n == 0 || n > 6 || strspn(uri->host, "0123456789") != n))) {
        return conduit_error_set(err, CONDUIT_EURI, "uri", 0,
                                 "fd:// wants a number or 'listen', in "
                                 "'%.120s'",
                                 uri->text);
    }
    if (conduit_uri_set_address(ctx, uri, uri->host) != 0) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "uri", 0,
                                 "out of memory");
    }
    return 0;
}

/* fd://listen: every descriptor that the service manager passed. */
static void fd_resolve(struct conduit_resolve *r)
{
    const struct conduit_uri *uri = conduit_resolve_uri(r);
    const char *count = conduit_ctx_env(r->ctx, "LISTEN_FDS");
    const char *pid = conduit_ctx_env(r->ctx, "LISTEN_PID");
    struct conduit_error err;
    char name[24];
    int code = 0;
    long fds;
    long i;

    if (!r->listening || strcmp(uri->address, "listen") != 0) {
        (void)conduit_resolve_add(r, uri->transport, NULL, uri->address);
        conduit_resolve_done(r, NULL);
        return;
    }
    fds = count != NULL ? strtol(count, NULL, 10) : 0;
    if (fds < 1 || fds > 1024 || pid == NULL ||
        strtol(pid, NULL, 10) != (long)getpid()) {
        (void)conduit_error_set(&err, CONDUIT_ENOENT, "fd", 0,
                                "no sockets were passed to this process "
                                "(LISTEN_FDS, LISTEN_PID)");
        conduit_resolve_done(r, &err);
        return;
    }
    for (i = 0; i < fds && code == 0; i++) {
        (void)snprintf(name, sizeof name, "%ld", 3 + i);
        code = conduit_resolve_add(r, uri->transport, NULL, name);
    }
    if (code != 0) {
        (void)conduit_error_set(&err, code, "fd", 0, "out of memory");
    }
    conduit_resolve_done(r, code != 0 ? &err : NULL);
}

/* ---- registration ---- */

static const struct conduit_transport tcp_transport = {
    .name = "tcp+socket",
    .stack = "socket",
    .summary = "TCP over the kernel's sockets, IPv4 and IPv6",
    .ip = true,
    .check = conduit_uri_check_host,
    .dial = tcp_dial,
    .listen = cdt_tcp_listen,
};

static const struct conduit_transport unix_transport = {
    .name = "unix",
    .summary = "Unix sockets, by path or abstract name",
    .path = true,
    .check = unix_check,
    .dial = unix_dial,
    .listen = cdt_unix_listen,
};

static const struct conduit_transport fd_transport = {
    .name = "fd",
    .summary = "inherited sockets, by number or from the service manager",
    .check = fd_check,
    .resolve = fd_resolve,
    .dial = fd_dial,
    .listen = cdt_fd_listen,
};

int conduit_register_tcp(struct conduit_ctx *ctx)
{
    return conduit_register_transport(ctx, &tcp_transport);
}

int conduit_register_unix(struct conduit_ctx *ctx)
{
    return conduit_register_transport(ctx, &unix_transport);
}

int conduit_register_fd(struct conduit_ctx *ctx)
{
    return conduit_register_transport(ctx, &fd_transport);
}
