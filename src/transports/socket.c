/* SPDX-License-Identifier: ISC */
/*
 * Bytes over a kernel socket. What the kernel told is remembered, so that
 * asking for levels costs no system call. A socket is watched for input as a
 * level, which saves the read that would only say EAGAIN; when input comes that
 * nobody wants it is watched for changes from then on, so that it neither spins
 * nor hides an error. Room for output is watched only while the kernel has
 * none.
 *
 * Reads go straight to the caller, large writes straight to the kernel; small
 * writes gather in a pooled buffer until the end of the turn. Nothing here can
 * raise SIGPIPE.
 */
#include "socket.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Writes of this size and more are not gathered. */
#define DIRECT_MIN 2048

/* Segments of one system call: what is held, and the caller's. */
#define SEGS_MAX 16

/* ---- errors ---- */

int cdt_errno_code(int number)
{
    switch (number) {
    case ECONNREFUSED:
        return CONDUIT_EREFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return CONDUIT_EUNREACHABLE;
    case ETIMEDOUT:
        return CONDUIT_ETIMEDOUT;
    case ECONNRESET:
    case ECONNABORTED:
        return CONDUIT_ERESET;
    case EPIPE:
        return CONDUIT_EPIPE;
    case EADDRINUSE:
        return CONDUIT_EADDRINUSE;
    case EADDRNOTAVAIL:
        return CONDUIT_EADDRNOTAVAIL;
    case EACCES:
    case EPERM:
    case EROFS:
        return CONDUIT_EACCESS;
    case EMFILE:
    case ENFILE:
        return CONDUIT_ELIMIT;
    case ENOMEM:
    case ENOBUFS:
        return CONDUIT_ENOMEM;
    case ENOENT:
    case ENOTDIR:
        return CONDUIT_ENOENT;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return CONDUIT_ENOTSUP;
    case EINVAL:
        return CONDUIT_EINVAL;
    default:
        return CONDUIT_EIO;
    }
}

/* Static text for an errno, as the system words it. */
static const char *errno_text(int number)
{
    const char *text = strerrordesc_np(number);

    return text != NULL ? text : "unknown error";
}

int cdt_socket_fail(struct cdt_socket *s, unsigned directions, int number)
{
    int code = cdt_errno_code(number);

    conduit_conn_fail(&s->base, directions, code, number, errno_text(number));
    return code;
}

/*
 * What an error of sending concerns. A reset is told once only, and reading
 * would look like an orderly end afterwards, so it is recorded for both
 * directions. EPIPE says that the peer takes no more; what it sent before can
 * be read.
 */
static unsigned concerned(int number)
{
    if (number == EPIPE || number == ENOBUFS || number == ENOMEM) {
        return CONDUIT_FAIL_WRITE;
    }
    return CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE;
}

/* ---- events ---- */

/*
 * Whether an error waits in the socket. Looked for only when nobody is reading:
 * asking takes the error away, so it is recorded.
 */
static void look_for_error(struct cdt_socket *s)
{
    struct pollfd p = {.fd = s->fd};
    int number = 0;
    socklen_t size = sizeof number;

    if (poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0 &&
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &number, &size) == 0 &&
        number != 0) {
        (void)cdt_socket_fail(s, concerned(number), number);
    }
}

/* Stops watching for what came and is not wanted: it would come for ever. */
static void calm(struct cdt_socket *s, short what)
{
    bool write = s->watching_write;
    bool edge = s->edge;

    if ((what & EV_READ) != 0 && (s->wanted & CONDUIT_READ) == 0) {
        edge = true;
    }
    if ((what & EV_WRITE) != 0 && (s->wanted & CONDUIT_WRITE) == 0) {
        write = false;
    }
    if (write != s->watching_write || edge != s->edge) {
        s->edge = edge;
        if (cdt_socket_watch(s, write) != 0) {
            (void)cdt_socket_fail(s, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE,
                                  ENOMEM);
        }
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct cdt_socket *s = arg;
    unsigned events = 0;

    (void)fd;
    if (s->is_connecting) {
        cdt_socket_connect_event(s);
        return;
    }
    if ((what & EV_READ) != 0) {
        s->readable = true;
        events |= CONDUIT_READ;
        if ((s->wanted & CONDUIT_READ) == 0) {
            look_for_error(s);
        }
    }
    if ((what & EV_WRITE) != 0) {
        s->writable = true;
        events |= CONDUIT_WRITE;
    }
    conduit_conn_ready(&s->base, events);
    calm(s, what);
}

int cdt_socket_watch(struct cdt_socket *s, bool write)
{
    short events = EV_READ | EV_PERSIST;

    if (write) {
        events |= EV_WRITE;
    }
    if (s->edge) {
        events |= EV_ET;
    }
    if (event_initialized(&s->event)) {
        (void)event_del(&s->event);
    }
    s->watching_write = write;
    if (event_assign(&s->event, cdt_unix_base(s->base.loop->ctx), s->fd, events,
                     on_event, s) != 0 ||
        event_add(&s->event, NULL) != 0) {
        return CONDUIT_ENOMEM;
    }
    return 0;
}

/* The kernel takes no more; its next edge has to be seen. */
static int stuck(struct cdt_socket *s)
{
    s->writable = false;
    if (!s->watching_write && cdt_socket_watch(s, true) != 0) {
        return cdt_socket_fail(s, CONDUIT_FAIL_WRITE, ENOMEM);
    }
    return CONDUIT_AGAIN;
}

/* ---- reading ---- */

/* Receives once; sets what is known of the rest. */
static long receive(struct cdt_socket *s, void *buf, size_t n)
{
    ssize_t got;

    if (!s->readable) {
        return CONDUIT_AGAIN;
    }
    do {
        got = recv(s->fd, buf, n, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        /* A level comes again should there be more, an end or an error. */
        if ((size_t)got < n && !s->edge) {
            s->readable = false;
        }
        return got;
    }
    if (got == 0) {
        return CONDUIT_END; /* stays readable: the end holds */
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        s->readable = false;
        return CONDUIT_AGAIN;
    }
    return cdt_socket_fail(s, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE, errno);
}

static void drop_in(struct cdt_socket *s)
{
    cdt_buf_put(s->base.loop, s->u.in);
    s->u.in = NULL;
}

static long socket_peek(struct conduit_conn *c, struct conduit_win *win)
{
    struct cdt_socket *s = cdt_socket_of(c);

    if (s->u.in == NULL) {
        long got;

        if (!s->readable) {
            return CONDUIT_AGAIN;
        }
        s->u.in = cdt_buf_get(c->loop);
        if (s->u.in == NULL) {
            return cdt_socket_fail(s, CONDUIT_FAIL_READ, ENOMEM);
        }
        got = receive(s, s->u.in->data, CDT_BUF_SIZE);
        if (got <= 0) {
            drop_in(s);
            return got;
        }
        s->u.in->end = (uint32_t)got;
    }
    win->seg[0].data = s->u.in->data + s->u.in->start;
    win->seg[0].size = s->u.in->end - s->u.in->start;
    return (long)win->seg[0].size;
}

static void socket_consume(struct conduit_conn *c, size_t n)
{
    struct cdt_socket *s = cdt_socket_of(c);

    s->u.in->start += (uint32_t)n;
    if (s->u.in->start == s->u.in->end) {
        drop_in(s);
    }
}

static long socket_read(struct conduit_conn *c, void *buf, size_t n)
{
    struct cdt_socket *s = cdt_socket_of(c);

    if (s->u.in != NULL) {
        return conduit_default_read(c, buf, n);
    }
    return receive(s, buf, n);
}

/* ---- writing ---- */

static void drop_out(struct cdt_socket *s)
{
    cdt_buf_put(s->base.loop, s->out);
    s->out = NULL;
}

static int send_failed(struct cdt_socket *s, int number)
{
    if (number == EAGAIN || number == EWOULDBLOCK) {
        return stuck(s);
    }
    s->readable = true; /* what came before is still to be read */
    return cdt_socket_fail(s, concerned(number), number);
}

static long send_iov(struct cdt_socket *s, struct iovec *iov, size_t count)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t sent;

    do {
        sent = count == 1
                   ? send(s->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                   : sendmsg(s->fd, &msg, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : send_failed(s, errno);
}

/* Sends what is held. 0: nothing is held any more; AGAIN; or an error. */
static int send_held(struct cdt_socket *s)
{
    while (s->out != NULL) {
        struct iovec iov = {s->out->data + s->out->start,
                            s->out->end - s->out->start};
        long sent;

        if (!s->writable) {
            return CONDUIT_AGAIN;
        }
        sent = send_iov(s, &iov, 1);
        if (sent < 0) {
            return (int)sent;
        }
        s->out->start += (uint32_t)sent;
        if (s->out->start == s->out->end) {
            drop_out(s);
        }
    }
    return 0;
}

/* A held buffer with room behind its bytes; NULL: no memory. */
static struct cdt_buf *out_buffer(struct cdt_socket *s)
{
    struct cdt_buf *b = s->out;

    if (b == NULL) {
        b = cdt_buf_get(s->base.loop);
        s->out = b;
    } else if (b->start > 0) {
        memmove(b->data, b->data + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    return b;
}

static long socket_reserve(struct conduit_conn *c, struct conduit_win *win)
{
    struct cdt_socket *s = cdt_socket_of(c);

    if (s->out != NULL && (!s->writable || s->out->end == CDT_BUF_SIZE)) {
        int code = send_held(s);

        if (code != 0) {
            return code;
        }
    }
    if (!s->writable && s->out == NULL) {
        return CONDUIT_AGAIN;
    }
    if (out_buffer(s) == NULL) {
        return cdt_socket_fail(s, CONDUIT_FAIL_WRITE, ENOMEM);
    }
    win->seg[0].data = s->out->data + s->out->end;
    win->seg[0].size = CDT_BUF_SIZE - s->out->end;
    return (long)win->seg[0].size;
}

static void socket_commit(struct conduit_conn *c, size_t n)
{
    struct cdt_socket *s = cdt_socket_of(c);

    if (s->out == NULL) {
        return;
    }
    s->out->end += (uint32_t)n;
    if (s->out->start == s->out->end) {
        drop_out(s);
    }
}

/* Sends what is held and the caller's segments in one call. */
static long send_direct(struct cdt_socket *s, const struct conduit_seg *seg,
                        unsigned count)
{
    struct iovec iov[SEGS_MAX];
    size_t held = 0;
    size_t n = 0;
    unsigned i;
    long sent;

    if (s->out != NULL) {
        held = s->out->end - s->out->start;
        iov[n].iov_base = s->out->data + s->out->start;
        iov[n++].iov_len = held;
    }
    for (i = 0; i < count && n < SEGS_MAX; i++) {
        if (seg[i].size > 0) {
            iov[n].iov_base = (void *)seg[i].data;
            iov[n++].iov_len = seg[i].size;
        }
    }
    sent = send_iov(s, iov, n);
    if (sent < 0) {
        return sent;
    }
    if ((size_t)sent < held) {
        s->out->start += (uint32_t)sent;
        return CONDUIT_AGAIN; /* the next try finds the kernel full */
    }
    if (held > 0) {
        drop_out(s);
    }
    return (size_t)sent > held ? sent - (long)held : CONDUIT_AGAIN;
}

static size_t total_of(const struct conduit_seg *seg, unsigned count)
{
    size_t total = 0;
    unsigned i;

    for (i = 0; i < count; i++) {
        total += seg[i].size;
    }
    return total;
}

static long socket_writev(struct conduit_conn *c, const struct conduit_seg *seg,
                          unsigned count)
{
    struct cdt_socket *s = cdt_socket_of(c);
    size_t total = total_of(seg, count);
    size_t held = s->out != NULL ? s->out->end - s->out->start : 0;
    long sent = CONDUIT_AGAIN;

    if (!s->writable) {
        return CONDUIT_AGAIN;
    }
    if (total < DIRECT_MIN && total <= CDT_BUF_SIZE - held) {
        return conduit_default_writev(c, seg, count);
    }
    while (sent == CONDUIT_AGAIN && s->writable) {
        sent = send_direct(s, seg, count); /* again: only held bytes went */
    }
    return sent;
}

static int socket_flush(struct conduit_conn *c)
{
    struct cdt_socket *s = cdt_socket_of(c);
    int code = s->out != NULL ? send_held(s) : 0;

    if (code == 0 && s->fin_wanted && !s->fin_done) {
        s->fin_done = true;
        if (shutdown(s->fd, SHUT_WR) != 0 && errno != ENOTCONN) {
            return cdt_socket_fail(s, CONDUIT_FAIL_WRITE, errno);
        }
    }
    return code;
}

static int socket_finish(struct conduit_conn *c, bool full)
{
    (void)full;
    cdt_socket_of(c)->fin_wanted = true;
    return 0;
}

static unsigned socket_want(struct conduit_conn *c, unsigned events)
{
    struct cdt_socket *s = cdt_socket_of(c);
    unsigned levels = 0;

    s->wanted = (uint8_t)events;
    /* What the kernel holds it tells again by itself, unless on changes only.
     */
    if (s->u.in != NULL || (s->edge && s->readable)) {
        levels |= CONDUIT_READ;
    }
    if (s->writable) {
        levels |= CONDUIT_WRITE;
    }
    return levels & events;
}

/* ---- facts, and the end ---- */

static int peer_cred(const struct cdt_socket *s, struct conduit_cred *cred)
{
    struct ucred u;
    socklen_t len = sizeof u;

    if (s->tcp || getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &u, &len) != 0) {
        return CONDUIT_ENOTSUP;
    }
    cred->uid = u.uid;
    cred->gid = u.gid;
    cred->pid = u.pid;
    return 0;
}

static void peer_text(const struct cdt_socket *s, bool local, char *out)
{
    union cdt_sockaddr name;
    struct conduit_addr addr = s->peer;
    struct conduit_cred cred;
    socklen_t len = sizeof name;
    int n;

    memset(&name, 0, sizeof name);
    if (s->tcp) {
        if (local && getsockname(s->fd, &name.sa, &len) == 0) {
            cdt_sockaddr_to(&name, &addr);
        }
        (void)conduit_addr_format(&addr, true, out);
        return;
    }
    n = local ? getsockname(s->fd, &name.sa, &len)
              : getpeername(s->fd, &name.sa, &len);
    if (n == 0 && len > offsetof(struct sockaddr_un, sun_path)) {
        bool abstract = name.un.sun_path[0] == '\0';
        size_t most = len - offsetof(struct sockaddr_un, sun_path);

        (void)snprintf(out, CONDUIT_PEER_TEXT, "unix:%s%.*s",
                       abstract ? "@" : "", (int)(abstract ? most - 1 : most),
                       name.un.sun_path + abstract);
        return;
    }
    if (!local && peer_cred(s, &cred) == 0) { /* dialled without a name */
        (void)snprintf(out, CONDUIT_PEER_TEXT, "unix:pid=%ld,uid=%lu",
                       (long)cred.pid, (unsigned long)cred.uid);
        return;
    }
    (void)snprintf(out, CONDUIT_PEER_TEXT, "unix:");
}

/* What TCP has sent or holds, and the peer's system has not confirmed. */
static int unacked(const struct cdt_socket *s, size_t *out)
{
    int bytes = 0;

    if (!s->tcp || ioctl(s->fd, SIOCOUTQ, &bytes) != 0) {
        return CONDUIT_ENOTSUP;
    }
    *out = (size_t)bytes;
    return 0;
}

static int socket_query(const struct conduit_conn *c, enum conduit_query what,
                        void *out)
{
    const struct cdt_socket *s = (const struct cdt_socket *)(const void *)c;

    switch (what) {
    case CONDUIT_QUERY_CAPS:
        *(unsigned *)out = CONDUIT_CAP_HALF_CLOSE | CONDUIT_CAP_LINGER |
                           (s->tcp ? CONDUIT_CAP_RESET : 0);
        return 0;
    case CONDUIT_QUERY_TRANSPORT:
        *(const char **)out = c->ops->name;
        return 0;
    case CONDUIT_QUERY_PEER:
        peer_text(s, false, out);
        return 0;
    case CONDUIT_QUERY_LOCAL:
        peer_text(s, true, out);
        return 0;
    case CONDUIT_QUERY_CRED:
        return peer_cred(s, out);
    case CONDUIT_QUERY_UNACKED:
        return unacked(s, out);
    default:
        return CONDUIT_ENOTSUP;
    }
}

static void socket_destroy(struct conduit_conn *c, bool aborted)
{
    struct cdt_socket *s = cdt_socket_of(c);

    cdt_socket_connecting_free(s);
    cdt_buf_put(c->loop, s->u.in);
    cdt_buf_put(c->loop, s->out);
    if (event_initialized(&s->event)) {
        (void)event_del(&s->event); /* before close: it may live on elsewhere */
    }
    if (s->fd < 0) {
        return;
    }
    if (aborted && s->tcp) {
        struct linger reset = {.l_onoff = 1, .l_linger = 0};

        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    (void)close(s->fd);
}

int cdt_socket_fd(const struct conduit_conn *conn)
{
    if (conn->ops != &cdt_tcp_ops && conn->ops != &cdt_unix_ops &&
        conn->ops != &cdt_fd_ops) {
        return -1;
    }
    return ((const struct cdt_socket *)(const void *)conn)->fd;
}

#define SOCKET_OPS(text)                                                       \
    {                                                                          \
        .name = (text), .size = sizeof(struct cdt_socket),                     \
        .start = cdt_socket_start, .peek = socket_peek,                        \
        .consume = socket_consume, .reserve = socket_reserve,                  \
        .commit = socket_commit, .read = socket_read, .writev = socket_writev, \
        .lend = conduit_default_lend, .flush = socket_flush,                   \
        .finish = socket_finish, .want = socket_want, .query = socket_query,   \
        .destroy = socket_destroy,                                             \
    }

const struct conduit_conn_ops cdt_tcp_ops = SOCKET_OPS("tcp+socket");
const struct conduit_conn_ops cdt_unix_ops = SOCKET_OPS("unix");
const struct conduit_conn_ops cdt_fd_ops = SOCKET_OPS("fd");
