/* SPDX-License-Identifier: ISC */
/*
 * How two sides of vchan meet (docs/vchan.md). The client says what it wants;
 * the server, which knows by the socket who that is, makes the memory and sends
 * its descriptor; the client checks it, says in it that it is there, and wakes
 * the server. What a side sends here fits into an empty socket, so nothing ever
 * has to wait for room.
 *
 * Neither side trusts the other. A server does nothing for a client before it
 * knows the user, and charges it with the memory; a client knows whose server
 * it must be, and looks at the descriptor before it maps it.
 */
#include "vchan_unix.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BOTH (CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE)

static const char magic[8] = {'c', 'o', 'n', 'd', 'u', 'i', 't', 1};

struct hello {
    char magic[8];
    uint8_t kind;
    uint8_t zero[7];
};

enum status { WELCOME = 0, NOT_ADMITTED = 1, NO_MEMORY = 2, NOT_OFFERED = 3 };

struct reply {
    char magic[8];
    uint32_t status;
    uint32_t size; /* of the memory whose descriptor comes with it */
    uint64_t net_dev;
    uint64_t net_ino;
};

_Static_assert(sizeof(struct hello) == 16, "as documented");
_Static_assert(sizeof(struct reply) == CDT_VCHAN_MESSAGE, "as documented");

static void fail(struct cdt_meeting *m, int code, int native, const char *text)
{
    conduit_conn_fail(&m->socket.base, BOTH, code, native, text);
}

static void fail_errno(struct cdt_meeting *m, const char *text)
{
    fail(m, cdt_errno_code(errno), errno, text);
}

/* ---- both --------------------------------------------------------------- */

void cdt_meeting_wake(struct conduit_conn *c)
{
    /* A socket that is full wakes the peer anyway, and one that is broken says
     * so itself. */
    (void)send(cdt_meeting_of(c)->socket.fd, "", 1,
               MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Who has closed by now has perhaps answered before: reading tells. */
static bool send_hello(struct cdt_meeting *m, const struct hello *hello)
{
    ssize_t sent = send(m->socket.fd, hello, sizeof *hello,
                        MSG_DONTWAIT | MSG_NOSIGNAL);

    return sent == (ssize_t)sizeof *hello ||
           (sent < 0 && (errno == EPIPE || errno == ECONNRESET));
}

/* Both have agreed to stay on the socket. */
static void stay_on_socket(struct cdt_meeting *m)
{
    struct cdt_socket *s = &m->socket;

    (void)event_del(&s->event);
    s->base.ops = &cdt_unix_ops;
    if (cdt_socket_watch(s, false) != 0) {
        fail(m, CONDUIT_ENOMEM, 0, "out of memory");
        return;
    }
    s->writable = true;
    conduit_conn_opened(&s->base);
}

/* The other side has gone before all was said. */
static void left(struct cdt_meeting *m, ssize_t got)
{
    if (got == 0) {
        fail(m, CONDUIT_EREFUSED, 0, "the peer ended the meeting");
    } else {
        fail_errno(m, "the meeting broke off");
    }
}

static bool is_magic(const char *text)
{
    return memcmp(text, magic, sizeof magic) == 0;
}

/* ---- the server's part -------------------------------------------------- */

static struct cdt_vchan_user *find_user(struct cdt_meeting *m, uint32_t uid)
{
    struct cdt_vchan_user *user = m->state->users;

    while (user != NULL && user->uid != uid) {
        user = user->next;
    }
    if (user == NULL) {
        user = conduit_alloc(m->socket.base.loop->ctx, sizeof *user);
        if (user != NULL) {
            user->uid = uid;
            user->next = m->state->users;
            m->state->users = user;
        }
    }
    return user;
}

static bool charge(struct cdt_meeting *m, uint64_t bytes)
{
    struct conduit_cred cred;
    struct cdt_vchan_user *user;

    if (cdt_unix_ops.query(&m->socket.base, CONDUIT_QUERY_CRED, &cred) != 0) {
        return false;
    }
    user = find_user(m, cred.uid);
    if (user == NULL || bytes > m->most || user->bytes > m->most - bytes) {
        return false;
    }
    user->bytes += bytes;
    m->user = user;
    m->charged = bytes;
    return true;
}

void cdt_meeting_settle_account(struct cdt_meeting *m)
{
    if (m->user != NULL) {
        m->user->bytes -= m->charged;
        m->user = NULL;
    }
}

/* Sends the reply, with a descriptor where there is one. */
static bool send_reply(struct cdt_meeting *m, enum status status, int fd,
                       size_t size)
{
    struct reply reply = {.status = status,
                          .size = (uint32_t)size,
                          .net_dev = m->state->net_dev,
                          .net_ino = m->state->net_ino};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {&reply, sizeof reply};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    memcpy(reply.magic, magic, sizeof magic);
    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    return sendmsg(m->socket.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           (ssize_t)sizeof reply;
}

static void turn_away(struct cdt_meeting *m, enum status status, int code,
                      const char *text)
{
    (void)send_reply(m, status, -1, 0);
    fail(m, code, 0, text);
}

/* Maps the memory, makes it a server's, and offers it. */
static bool offer(struct cdt_meeting *m, int fd,
                  const struct cdt_ring_layout *layout, size_t size)
{
    struct cdt_ring_memory memory;

    if (!cdt_shared_map_page(&m->shared, fd)) {
        return false;
    }
    cdt_ring_format(m->shared.page, layout);
    return cdt_shared_map_rings(&m->shared, fd, layout, m->state->mirrored,
                                &memory) &&
           cdt_vchan_attach(&m->vchan, CDT_RING_SERVER, layout, &memory) ==
               NULL &&
           send_reply(m, WELCOME, fd, size);
}

static void offer_rings(struct cdt_meeting *m)
{
    struct cdt_ring_layout layout;
    size_t size;
    int fd;

    if (!cdt_ring_choose(&layout, m->ring_bytes, m->ring_bytes)) {
        turn_away(m, NO_MEMORY, CONDUIT_ELIMIT, "a ring has at most 1 MiB");
        return;
    }
    size = cdt_ring_total(&layout);
    if (!charge(m, size)) {
        turn_away(m, NO_MEMORY, CONDUIT_ELIMIT,
                  "the peer's user has as many rings as it may");
        return;
    }
    fd = cdt_shared_make(size, m->state->reserve);
    if (fd < 0) {
        (void)send_reply(m, NO_MEMORY, -1, 0);
        fail_errno(m, "no shared memory");
        return;
    }
    if (offer(m, fd, &layout, size)) {
        m->stage = CDT_MEETING_LIVE;
    } else {
        fail_errno(m, "cannot offer shared memory");
    }
    (void)close(fd);
}

static void take_hello(struct cdt_meeting *m)
{
    struct hello hello;

    memcpy(&hello, m->message, sizeof hello);
    if (!is_magic(hello.magic)) {
        fail(m, CONDUIT_EPROTO, 0, "the peer does not speak vchan");
    } else if (hello.kind == CDT_VCHAN_RINGS) {
        offer_rings(m);
    } else if (hello.kind != CDT_VCHAN_BYTES) {
        turn_away(m, NOT_OFFERED, CONDUIT_EPROTO,
                  "the peer wants what there is not");
    } else if (send_reply(m, WELCOME, -1, 0)) {
        stay_on_socket(m);
    } else {
        fail_errno(m, "cannot answer the peer");
    }
}

static void read_hello(struct cdt_meeting *m)
{
    ssize_t got = recv(m->socket.fd, m->message + m->have,
                       sizeof(struct hello) - m->have, MSG_DONTWAIT);

    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            left(m, got);
        }
        return;
    }
    m->have = (uint8_t)(m->have + got);
    if (m->have == sizeof(struct hello)) {
        take_hello(m);
    }
}

/* A client that is gone by now was there: it wrote, ended, and is to be read.
 */
static void await_client(struct cdt_meeting *m)
{
    enum cdt_ring_live live = cdt_ring_peer(&m->vchan.ring);

    if (cdt_ring_error(&m->vchan.ring) != NULL) {
        fail(m, CONDUIT_EPROTO, 0, cdt_ring_error(&m->vchan.ring));
    } else if (live != CDT_RING_AWAITED) {
        m->stage = CDT_MEETING_OPEN;
        conduit_conn_opened(&m->socket.base);
    }
}

/* ---- the client's part -------------------------------------------------- */

/* Maps what the server offered, and says that we are there. */
static void take_offer(struct cdt_meeting *m, int fd, size_t size)
{
    struct cdt_ring_layout layout;
    struct cdt_ring_memory memory;
    const char *wrong = cdt_shared_check(fd, size);

    if (wrong == NULL && size < CDT_RING_PAGE) {
        wrong = "the peer's memory is too small";
    }
    if (wrong == NULL && !cdt_shared_map_page(&m->shared, fd)) {
        fail_errno(m, "cannot map the peer's memory");
        return;
    }
    if (wrong == NULL) {
        wrong = cdt_ring_read_layout(m->shared.page, &layout);
    }
    if (wrong == NULL && cdt_ring_total(&layout) > size) {
        wrong = "the peer's memory is smaller than its rings";
    }
    if (wrong == NULL && !cdt_shared_map_rings(&m->shared, fd, &layout,
                                               m->state->mirrored, &memory)) {
        fail_errno(m, "cannot map the peer's memory");
        return;
    }
    if (wrong == NULL) {
        wrong = cdt_vchan_attach(&m->vchan, CDT_RING_CLIENT, &layout, &memory);
    }
    if (wrong != NULL) {
        fail(m, CONDUIT_EPROTO, 0, wrong);
        return;
    }
    cdt_meeting_wake(&m->socket.base);
    m->stage = CDT_MEETING_OPEN;
    conduit_conn_opened(&m->socket.base);
}

static void refused(struct cdt_meeting *m, uint32_t status)
{
    switch (status) {
    case NOT_ADMITTED:
        fail(m, CONDUIT_EACCESS, 0, "the server does not admit this user");
        return;
    case NO_MEMORY:
        fail(m, CONDUIT_ELIMIT, 0, "the server has no memory for this user");
        return;
    case NOT_OFFERED:
        fail(m, CONDUIT_ENOTSUP, 0, "the server does not offer that");
        return;
    default:
        fail(m, CONDUIT_EPROTO, 0, "the server answers what is no answer");
    }
}

static void take_reply(struct cdt_meeting *m, const struct reply *reply, int fd)
{
    if (!is_magic(reply->magic)) {
        fail(m, CONDUIT_EPROTO, 0, "the server does not speak vchan");
    } else if (reply->status != WELCOME) {
        refused(m, reply->status);
    } else if (m->same_net &&
               (m->state->net_ino == 0 || reply->net_dev != m->state->net_dev ||
                reply->net_ino != m->state->net_ino)) {
        fail(m, CONDUIT_EREFUSED, 0,
             "who has the name is in another network namespace");
    } else if (m->kind == CDT_VCHAN_BYTES) {
        stay_on_socket(m);
    } else if (fd < 0) {
        fail(m, CONDUIT_EPROTO, 0, "the server sent no memory");
    } else {
        take_offer(m, fd, reply->size);
    }
}

/* The descriptor that came with a message, or -1. */
static int descriptor_in(struct msghdr *msg)
{
    const struct cmsghdr *head = CMSG_FIRSTHDR(msg);
    int fd = -1;

    if (head != NULL && head->cmsg_level == SOL_SOCKET &&
        head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len >= CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    }
    return fd;
}

static void read_reply(struct cdt_meeting *m)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct reply reply;
    struct iovec iov = {&reply, sizeof reply};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         /* CMSG_SPACE would have room for a second one */
                         .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t got = recvmsg(m->socket.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int fd;

    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            left(m, got);
        }
        return;
    }
    cdt_unix_refuse_descriptors(m->socket.fd); /* the memory was the only one */
    fd = descriptor_in(&msg);
    if (fd < 0 && (msg.msg_flags & MSG_CTRUNC) != 0) {
        fail(m, CONDUIT_ELIMIT, 0, "no descriptor is left for the memory");
    } else if (got != (ssize_t)sizeof reply ||
               (msg.msg_flags & MSG_CTRUNC) != 0) {
        fail(m, CONDUIT_EPROTO, 0, "the server answers what is no answer");
    } else {
        take_reply(m, &reply, fd);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* ---- the socket --------------------------------------------------------- */

/* Wake-ups, however many there are: one look at the ring serves all. */
static void read_wakeups(struct cdt_meeting *m)
{
    char bytes[256];
    ssize_t got = recv(m->socket.fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (got > 0) {
        if (m->stage == CDT_MEETING_LIVE) {
            await_client(m);
        } else {
            cdt_vchan_woken(&m->vchan);
        }
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    (void)event_del(&m->socket.event);
    if (m->stage == CDT_MEETING_LIVE) {
        left(m, got);
    } else {
        cdt_vchan_lost(&m->vchan);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct cdt_meeting *m = arg;

    (void)fd;
    (void)what;
    if (m->socket.base.fault_code != 0) {
        (void)event_del(&m->socket.event); /* it only waits for its end */
        return;
    }
    switch (m->stage) {
    case CDT_MEETING_HELLO:
        read_hello(m);
        break;
    case CDT_MEETING_REPLY:
        read_reply(m);
        break;
    default:
        read_wakeups(m);
    }
}

static int watch(struct cdt_meeting *m)
{
    struct cdt_socket *s = &m->socket;

    if (event_assign(&s->event, cdt_unix_base(s->base.loop->ctx), s->fd,
                     EV_READ | EV_PERSIST, on_socket, m) != 0 ||
        event_add(&s->event, NULL) != 0) {
        return CONDUIT_ENOMEM;
    }
    return 0;
}

/* ---- beginning ---------------------------------------------------------- */

void cdt_meeting_connected(struct cdt_socket *s)
{
    struct cdt_meeting *m = cdt_meeting_of(&s->base);
    struct hello hello = {.kind = m->kind};
    struct conduit_cred cred;

    if (cdt_unix_ops.query(&s->base, CONDUIT_QUERY_CRED, &cred) != 0 ||
        cred.uid != m->owner) {
        fail(m, CONDUIT_EACCESS, 0,
             "who listens at the name is not the user whose name it is");
        return;
    }
    if (m->kind == CDT_VCHAN_BYTES) {
        cdt_unix_refuse_descriptors(s->fd);
    }
    memcpy(hello.magic, magic, sizeof magic);
    m->stage = CDT_MEETING_REPLY;
    if (watch(m) != 0) {
        fail(m, CONDUIT_ENOMEM, 0, "out of memory");
    } else if (!send_hello(m, &hello)) {
        fail_errno(m, "cannot greet the server");
    }
}

int cdt_meeting_start(struct conduit_conn *c)
{
    struct cdt_meeting *m = cdt_meeting_of(c);

    if (!m->server) {
        return cdt_socket_start(c);
    }
    if (!cdt_users_admit(m->users, m->socket.fd)) {
        turn_away(m, NOT_ADMITTED, CONDUIT_EACCESS,
                  "a peer of a user who was not named");
        return 0;
    }
    return watch(m);
}
