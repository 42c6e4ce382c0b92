/* SPDX-License-Identifier: ISC */
/*
 * Accepting. A listener that runs out of descriptors stops watching for a while
 * instead of spinning on a connection that it cannot take; peers wait in the
 * system's queue meanwhile.
 */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Accepted in one go, so that connections get their turn too. */

/* How long a listener rests when the system has no more descriptors. */
#define REST_MS 50

struct acceptor {
    struct conduit_acceptor base;
    struct conduit_ctx *ctx;
    struct cdt_accept_as as;
    struct conduit_options options;
    int fd;
    bool paused;
    bool resting;
    struct event event;
    struct conduit_timer rest;
    dev_t dev; /* of a Unix socket's file */
    ino_t ino;
    char path[]; /* "" where there is no file of ours */
};

static struct acceptor *of(struct conduit_acceptor *a)
{
    return (struct acceptor *)(void *)a;
}

static void update_watch(struct acceptor *a)
{
    if (a->paused || a->resting) {
        (void)event_del(&a->event);
    } else if (event_add(&a->event, NULL) != 0) {
        a->resting = true; /* the system is short of something: try again */
        conduit_timer_set(&a->ctx->loop, &a->rest, REST_MS);
    }
}

static void rested(struct conduit_timer *t)
{
    struct acceptor *a = CDT_CONTAINER(t, struct acceptor, rest);

    a->resting = false;
    update_watch(a);
}

static void rest(struct acceptor *a, int number)
{
    conduit_log(a->ctx, CONDUIT_LOG_WARN, a->as.ops->name,
                "accepting rests for %d ms: %s (%d)", REST_MS, strerror(number),
                number);
    a->resting = true;
    update_watch(a);
    conduit_timer_set(&a->ctx->loop, &a->rest, REST_MS);
}

/*
 * Whether accept failed for more than one peer: for want of something that
 * others may give back, or because who shares the socket has shut it down.
 */
static bool must_rest(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOBUFS ||
           number == ENOMEM || number == EINVAL || number == EBADF;
}

/*
 * One at a time: the event comes again while others wait, and a call only to
 * hear that nobody does costs the kernel nearly as much as a peer.
 */
static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *a = arg;
    union cdt_sockaddr peer;
    socklen_t len = sizeof peer;
    struct conduit_conn *c;
    int got;

    (void)what;
    memset(&peer, 0, sizeof peer);
    got = accept4(fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (got < 0) {
        if (must_rest(errno)) {
            rest(a, errno);
        }
        return; /* that peer is gone; the next may not be */
    }
    c = a->as.accepted(a->ctx, a->as.ops, got, &peer, &a->options, a->as.arg);
    if (c == NULL) {
        (void)close(got);
        rest(a, ENOMEM);
        return;
    }
    conduit_listener_deliver(a->base.listener, c);
}

static void accept_pause(struct conduit_acceptor *base, bool paused)
{
    of(base)->paused = paused;
    update_watch(of(base));
}

static uint16_t accept_port(const struct conduit_acceptor *base)
{
    const struct acceptor *a = (const struct acceptor *)(const void *)base;
    union cdt_sockaddr name;
    socklen_t len = sizeof name;
    struct conduit_addr addr = {0};

    if (getsockname(a->fd, &name.sa, &len) == 0) {
        cdt_sockaddr_to(&name, &addr);
    }
    return addr.port;
}

/* Removes the socket's file, if it is still the one made here. */
static void remove_path(const struct acceptor *a)
{
    struct stat st;

    if (a->path[0] != '\0' && lstat(a->path, &st) == 0 && st.st_dev == a->dev &&
        st.st_ino == a->ino) {
        (void)unlink(a->path);
    }
}

static void accept_destroy(struct conduit_acceptor *base)
{
    struct acceptor *a = of(base);

    (void)event_del(&a->event);
    conduit_timer_clear(&a->ctx->loop, &a->rest);
    remove_path(a);
    (void)close(a->fd);
    if (a->as.fini != NULL) {
        a->as.fini(a->ctx, a->as.arg);
    }
    conduit_release(a->ctx, a);
}

static const struct conduit_acceptor_ops acceptor_ops = {
    .pause = accept_pause,
    .port = accept_port,
    .destroy = accept_destroy,
};

/* Watches a listening descriptor. It is taken on success only. */
static int watch(struct conduit_listener *listener, int fd,
                 const struct cdt_accept_as *as, const char *path,
                 const struct conduit_options *options, struct acceptor **out)
{
    struct conduit_ctx *ctx = conduit_listener_ctx(listener);
    size_t n = strlen(path) + 1;
    struct acceptor *a = conduit_alloc(ctx, sizeof *a + n);

    if (a == NULL) {
        return CONDUIT_ENOMEM;
    }
    a->base.ops = &acceptor_ops;
    a->base.listener = listener;
    a->ctx = ctx;
    a->as = *as;
    a->options = *options;
    a->fd = fd;
    a->rest.fire = rested;
    memcpy(a->path, path, n);
    if (event_assign(&a->event, cdt_unix_base(ctx), fd, EV_READ | EV_PERSIST,
                     on_accept, a) != 0 ||
        event_add(&a->event, NULL) != 0) {
        conduit_release(ctx, a);
        return CONDUIT_ENOMEM;
    }
    *out = a;
    return 0;
}

/* Fails for `what`, with errno, and closes what was opened. */
static int failed(struct conduit_error *err, const char *layer, int fd,
                  const char *what, const char *where)
{
    int number = errno;

    if (fd >= 0) {
        (void)close(fd);
    }
    return conduit_error_set(err, cdt_errno_code(number), layer, number,
                             "%s %s: %s (%d)", what, where, strerror(number),
                             number);
}

static int no_memory(struct conduit_error *err, const char *layer, int fd)
{
    (void)close(fd);
    return conduit_error_set(err, CONDUIT_ENOMEM, layer, 0, "out of memory");
}

/* ---- TCP ---- */

/* Binds and listens. `both`: IPv6's wildcard takes IPv4 too. */
static int tcp_bind(int fd, const struct conduit_addr *addr, bool both,
                    const struct conduit_options *options)
{
    union cdt_sockaddr name;
    socklen_t len = cdt_sockaddr_from(addr, &name);
    int only6 = !both;
    int on = 1;

    if (addr->family == 6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof only6) != 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (options->reuse_port &&
         setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)) {
        return -1;
    }
    if (bind(fd, &name.sa, len) != 0) {
        return -1;
    }
    return listen(fd, (int)options->backlog);
}

/* A listening socket at the address, or -1 and errno. */
static int tcp_open(const struct conduit_addr *addr, bool both,
                    const struct conduit_options *options)
{
    int family = addr->family == 6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int number;

    if (fd >= 0 && tcp_bind(fd, addr, both, options) != 0) {
        number = errno;
        (void)close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

static const struct cdt_accept_as as_tcp = {.ops = &cdt_tcp_ops,
                                            .accepted = cdt_socket_accepted};

int cdt_tcp_listen(struct conduit_listener *listener,
                   const struct conduit_endpoint *ep,
                   const struct conduit_options *options,
                   struct conduit_acceptor **out, struct conduit_error *err)
{
    const char *layer = cdt_tcp_ops.name;
    bool both = ep->addr.family == 0; /* the wildcard of both families */
    struct conduit_addr addr = ep->addr;
    char text[CONDUIT_ADDR_TEXT];
    struct acceptor *a;
    int fd;

    if (both) {
        addr.family = 6;
    }
    fd = tcp_open(&addr, both, options);
    if (fd < 0 && both && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        addr.family = 4; /* no IPv6 on this machine */
        fd = tcp_open(&addr, false, options);
    }
    (void)conduit_addr_format(&addr, true, text);
    if (fd < 0) {
        return failed(err, layer, -1, "listening at", text);
    }
    if (watch(listener, fd, &as_tcp, "", options, &a) != 0) {
        return no_memory(err, layer, fd);
    }
    *out = &a->base;
    return 0;
}

/* ---- Unix ---- */

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

void cdt_unix_refuse_descriptors(int fd)
{
    int on = 0;

    (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof on);
}

/*
 * Looks at who has the path. 0: nobody, it may be replaced (its file goes to
 * *st); EADDRINUSE: somebody listens; EEXIST: it is no socket.
 */
static int examine_path(const char *path, struct stat *st)
{
    union cdt_sockaddr name;
    socklen_t len;
    int code = CONDUIT_EADDRINUSE;
    int fd;

    if (lstat(path, st) != 0) {
        return errno == ENOENT ? 0 : CONDUIT_EADDRINUSE;
    }
    if (!S_ISSOCK(st->st_mode)) {
        return CONDUIT_EEXIST;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return CONDUIT_ELIMIT;
    }
    cdt_sockaddr_un(path, &name, &len);
    if (connect(fd, &name.sa, len) != 0 && errno == ECONNREFUSED) {
        code = 0;
    }
    (void)close(fd);
    return code;
}

/* Removes a file if it is still the one that was examined. */
static void remove_stale(const char *path, const struct stat *was)
{
    struct stat now;

    if (lstat(path, &now) == 0 && now.st_dev == was->st_dev &&
        now.st_ino == was->st_ino) {
        (void)unlink(path);
    }
}

static int bind_path(int fd, const char *path, const char *layer,
                     struct conduit_error *err)
{
    union cdt_sockaddr name;
    struct stat st = {0};
    socklen_t len;
    int code;

    cdt_sockaddr_un(path, &name, &len);
    if (bind(fd, &name.sa, len) == 0) {
        return 0;
    }
    if (errno != EADDRINUSE || path[0] == '@') {
        return failed(err, layer, -1, "listening at", path);
    }
    code = examine_path(path, &st);
    if (code == 0) {
        remove_stale(path, &st);
        if (bind(fd, &name.sa, len) == 0) {
            return 0;
        }
        return failed(err, layer, -1, "listening at", path);
    }
    return conduit_error_set(
        err, code, layer, EADDRINUSE, "listening at %s: %s", path,
        code == CONDUIT_EEXIST ? "it exists and is no socket"
                               : "somebody listens there");
}

/*
 * Holds the folder of a path, so that of two programs that find the same stale
 * socket only one replaces it. Best effort: a folder that a stranger holds is
 * not waited for.
 */
static int lock_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    const char *slash = strrchr(path, '/');
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    int fd;
    int i;

    memcpy(folder, path, n);
    folder[n] = '\0';
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (i = 0; fd >= 0 && i < 20 && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        (void)usleep(1000);
    }
    return fd;
}

/*
 * Gives the socket's file its mode, which the umask may have cut. Where others
 * can write to the folder, the path may lead to some other file by now, so what
 * is changed is held first, and must be a socket of ours without another name.
 * 0, or -1 and errno.
 */
static int set_mode(const char *path, mode_t mode)
{
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char held[32];
    struct stat st;
    int number;
    bool done;

    if (fd < 0) {
        return -1;
    }
    (void)snprintf(held, sizeof held, "/proc/self/fd/%d", fd);
    done = fstat(fd, &st) == 0;
    if (done &&
        (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)) {
        errno = EACCES;
        done = false;
    }
    done = done && ((st.st_mode & 07777) == mode || chmod(held, mode) == 0);
    number = errno;
    (void)close(fd);
    errno = number;
    return done ? 0 : -1;
}

/* Binds and listens, with the mode that was asked for. */
static int unix_open(int fd, const char *path, const char *layer,
                     const struct conduit_options *o, struct conduit_error *err)
{
    int lock = path[0] == '/' ? lock_folder(path) : -1;
    int code;

    if (path[0] == '/' && o->unix_mode != 0) {
        (void)fchmod(fd, (mode_t)o->unix_mode); /* bind takes it from here */
    }
    code = bind_path(fd, path, layer, err);
    if (code == 0 && path[0] == '/' && o->unix_mode != 0 &&
        set_mode(path, (mode_t)o->unix_mode) != 0) {
        code = failed(err, layer, -1, "setting the mode of", path);
        (void)unlink(path);
    }
    if (code == 0 && listen(fd, (int)o->backlog) != 0) {
        code = failed(err, layer, -1, "listening at", path);
        if (path[0] == '/') {
            (void)unlink(path);
        }
    }
    if (lock >= 0) {
        (void)close(lock);
    }
    return code;
}

int cdt_unix_listen_as(struct conduit_listener *listener, const char *path,
                       const struct conduit_options *options,
                       const struct cdt_accept_as *as,
                       struct conduit_acceptor **out, struct conduit_error *err)
{
    const char *layer = as->ops->name;
    bool file = path[0] == '/';
    struct acceptor *a;
    struct stat st;
    int code;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return failed(err, layer, fd, "a socket for", path);
    }
    cdt_unix_refuse_descriptors(fd);
    code = unix_open(fd, path, layer, options, err);
    if (code != 0) {
        (void)close(fd);
        return code;
    }
    if (watch(listener, fd, as, file ? path : "", options, &a) != 0) {
        if (file) {
            (void)unlink(path);
        }
        return no_memory(err, layer, fd);
    }
    if (file && lstat(path, &st) == 0) {
        a->dev = st.st_dev;
        a->ino = st.st_ino;
    }
    *out = &a->base;
    return 0;
}

int cdt_unix_listen(struct conduit_listener *listener,
                    const struct conduit_endpoint *ep,
                    const struct conduit_options *options,
                    struct conduit_acceptor **out, struct conduit_error *err)
{
    static const struct cdt_accept_as as_unix = {
        .ops = &cdt_unix_ops, .accepted = cdt_socket_accepted};

    return cdt_unix_listen_as(listener, ep->name, options, &as_unix, out, err);
}

/* ---- inherited ---- */

static const struct cdt_accept_as as_fd = {.ops = &cdt_fd_ops,
                                           .accepted = cdt_socket_accepted};

int cdt_fd_listen(struct conduit_listener *listener,
                  const struct conduit_endpoint *ep,
                  const struct conduit_options *options,
                  struct conduit_acceptor **out, struct conduit_error *err)
{
    int fd = (int)strtol(ep->name, NULL, 10);
    int listening = 0;
    socklen_t len = sizeof listening;
    struct acceptor *a;
    int flags;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 ||
        !listening) {
        return conduit_error_set(err, CONDUIT_EINVAL, "fd", 0,
                                 "descriptor %d is not a listening socket", fd);
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return failed(err, "fd", -1, "non-blocking mode for", ep->name);
    }
    if (watch(listener, fd, &as_fd, "", options, &a) != 0) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "fd", 0, "out of memory");
    }
    *out = &a->base;
    return 0;
}
