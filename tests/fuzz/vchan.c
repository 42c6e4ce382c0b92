/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target of vchan between processes: the input is the peer of a real
 * connection, with its socket and the shared memory, from the first byte of the
 * meeting on, while our side reads and writes and the loop turns. The first
 * byte chooses whose part the peer plays. Whatever comes: answers are ones that
 * may be given, an end stays, and no descriptor is left. Needs assert().
 */
#include <conduit/unix.h>

#include "transports/ring.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define STEPS 400 /* of one input */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define MEMORY_MAX (64u * 1024)
#define HELLO 16
#define REPLY 32

struct peer {
    const uint8_t *data;
    size_t size;
    bool client; /* it plays a client's part */
    int fd;      /* its socket; -1: none */
    int memory;  /* the descriptor; -1: none */
    size_t length;
    struct cdt_ring_page *page; /* NULL: not mapped */
};

/* What there is once for all inputs. */
static struct {
    struct conduit_ctx *ctx;
    struct conduit_loop *loop;
    char dir[32];
    int listener; /* where our client goes */
    int fds;      /* open between inputs */
} all;

/* Our side. */
static struct {
    struct conduit_conn *conn;
    struct conduit_dial *dial;
    struct peer *peer;
    long end; /* what reading ended with; 0: it goes on */
    long write_end;
    bool is_socket; /* they agreed to stay on it */
} our;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t next(struct peer *p)
{
    if (p->size == 0) {
        return 0;
    }
    p->size--;
    return *p->data++;
}

static uint32_t next_word(struct peer *p)
{
    uint32_t word = next(p);

    word |= (uint32_t)next(p) << 8;
    word |= (uint32_t)next(p) << 16;
    return word | (uint32_t)next(p) << 24;
}

/* ---- our side ----------------------------------------------------------- */

static void check_read(long got)
{
    assert(got != 0);
    assert(our.end == 0 || got == our.end);
    if (got < 0 && got != CONDUIT_AGAIN) {
        assert(got == CONDUIT_END || got == CONDUIT_ETRUNCATED ||
               got == CONDUIT_EPROTO || our.is_socket);
        our.end = got;
    }
}

static void check_written(long done)
{
    assert(done != 0);
    assert(our.write_end == 0 || done < 0);
    if (done < 0 && done != CONDUIT_AGAIN) {
        assert(done == CONDUIT_EPIPE || done == CONDUIT_EPROTO ||
               our.is_socket);
        our.write_end = done;
    }
}

static unsigned sum(const struct conduit_win *win)
{
    unsigned total = 0;

    for (unsigned i = 0; i < 2; i++) {
        for (size_t at = 0; at < win->seg[i].size; at++) {
            total += ((const uint8_t *)win->seg[i].data)[at];
        }
    }
    return total;
}

static void do_read(unsigned how)
{
    uint8_t buf[700];
    struct conduit_win win;
    long got;

    if ((how & 1) != 0) {
        check_read(conduit_conn_read(our.conn, buf, 1 + how * 2));
        return;
    }
    got = conduit_conn_peek(our.conn, &win);
    check_read(got);
    if (got > 0) {
        volatile unsigned total = sum(&win);

        (void)total;
        assert(win.seg[0].size + win.seg[1].size == (size_t)got);
        conduit_conn_consume(our.conn, (size_t)got * how / 255);
    }
}

static void do_write(unsigned how)
{
    uint8_t buf[700] = {1, 2, 3};
    struct conduit_win win;
    long room;

    if ((how & 1) != 0) {
        check_written(conduit_conn_write(our.conn, buf, 1 + how * 2));
        return;
    }
    room = conduit_conn_reserve(our.conn, &win);
    check_written(room);
    if (room > 0) {
        memset(win.seg[0].data, 'x', win.seg[0].size);
        if (win.seg[1].size > 0) {
            memset(win.seg[1].data, 'y', win.seg[1].size);
        }
        conduit_conn_commit(our.conn, (size_t)room * how / 255);
    }
}

static void on_event(void *arg, struct conduit_conn *conn, unsigned events)
{
    unsigned wanted = 0;

    (void)arg;
    assert(conn == our.conn);
    if ((events & CONDUIT_READ) != 0) {
        do_read(next(our.peer));
    }
    if ((events & CONDUIT_WRITE) != 0) {
        do_write(next(our.peer));
    }
    wanted |= our.end == 0 ? CONDUIT_READ : 0;
    wanted |= our.write_end == 0 && our.peer->size > 0 ? CONDUIT_WRITE : 0;
    conduit_conn_want(conn, wanted);
}

static void take_over(struct conduit_conn *conn)
{
    const char *transport;

    if (our.conn != NULL || our.peer == NULL) {
        conduit_conn_abort(conn);
        return;
    }
    our.conn = conn;
    assert(conduit_conn_query(conn, CONDUIT_QUERY_TRANSPORT, &transport) == 0);
    our.is_socket = strcmp(transport, "unix") == 0;
    conduit_conn_set_handler(conn, on_event, NULL,
                             CONDUIT_READ | CONDUIT_WRITE);
}

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    (void)arg;
    (void)listener;
    take_over(conn);
}

static void on_dialed(void *arg, struct conduit_dial *dial,
                      struct conduit_conn *conn,
                      const struct conduit_error *err)
{
    (void)arg;
    (void)dial;
    our.dial = NULL;
    assert((conn == NULL) == (err != NULL));
    if (conn != NULL) {
        take_over(conn);
    } else {
        assert(err->code < 0 && err->text[0] != '\0');
    }
}

static void let_go(unsigned how)
{
    if (our.conn != NULL && (how & 1) != 0) {
        conduit_conn_close(our.conn);
    } else {
        conduit_conn_abort(our.conn);
    }
    our.conn = NULL;
    our.end = 0;
    our.write_end = 0;
}

/* ---- the peer ----------------------------------------------------------- */

static void send_bytes(const struct peer *p, const void *data, size_t n,
                       const int *fds, size_t count)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {(void *)(uintptr_t)data, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (count > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
    }
    if (sendmsg(p->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
        errno == EPERM) { /* no descriptors are taken: the bytes alone */
        msg.msg_controllen = 0;
        (void)sendmsg(p->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void forget_memory(struct peer *p)
{
    if (p->page != NULL) {
        (void)munmap(p->page, p->length);
        p->page = NULL;
    }
    if (p->memory >= 0) {
        (void)close(p->memory);
        p->memory = -1;
    }
}

static void map_memory(struct peer *p)
{
    void *map = p->length >= CDT_RING_PAGE
                    ? mmap(NULL, p->length, PROT_READ | PROT_WRITE, MAP_SHARED,
                           p->memory, 0)
                    : MAP_FAILED;

    p->page = map != MAP_FAILED ? map : NULL;
}

/* A server's, as it should be or in part. */
static void make_memory(struct peer *p)
{
    unsigned how = next(p);
    struct cdt_ring_layout layout = {
        {(uint8_t)(10 + next(p) % 4), (uint8_t)(10 + next(p) % 4)}};

    forget_memory(p);
    p->length = (how & 1) != 0 ? next_word(p) % MEMORY_MAX
                               : cdt_ring_total(&layout);
    p->memory = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert(p->memory >= 0);
    assert(ftruncate(p->memory, (off_t)p->length) == 0);
    (void)fcntl(p->memory, F_ADD_SEALS,
                (how & 2) != 0 ? (int)(next(p) & 31) : SEALS);
    map_memory(p);
    if (p->page != NULL) {
        cdt_ring_format(p->page, &layout);
    }
}

static void say_hello(struct peer *p)
{
    uint8_t hello[HELLO] = "conduit\1\1";

    hello[8] = (next(p) & 7) != 0 ? 1 : next(p);
    send_bytes(p, hello, sizeof hello, NULL, 0);
}

static void say_reply(struct peer *p)
{
    unsigned how = next(p);
    uint8_t reply[REPLY] = "conduit\1";
    uint32_t status = (how & 7) != 0 ? 0 : next(p);
    uint32_t length = (how & 8) != 0 ? next_word(p) : (uint32_t)p->length;
    int fds[3] = {p->memory, p->memory, p->memory};
    size_t count = p->memory < 0 ? 0 : (how & 48) == 48 ? next(p) % 4u : 1;

    memcpy(reply + 8, &status, sizeof status);
    memcpy(reply + 12, &length, sizeof length);
    send_bytes(p, reply,
               sizeof reply - ((how & 192) == 192 ? next(p) % 32u : 0), fds,
               count);
}

static void say_anything(struct peer *p)
{
    unsigned how = next(p);
    size_t n = 1 + how % 40;
    int fds[3] = {0, p->memory, all.listener};
    size_t count = (how & 64) != 0 ? 1 + how % 3 : 0;

    n = n < p->size ? n : p->size;
    if (n > 0 && (count < 2 || p->memory >= 0)) {
        send_bytes(p, p->data, n, fds, count);
        p->data += n;
        p->size -= n;
    }
}

/* The server's answer to a client. */
static void take_reply(struct peer *p)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    uint8_t bytes[256];
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    const struct cmsghdr *head;
    struct stat st;

    if (recvmsg(p->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) {
        return;
    }
    head = CMSG_FIRSTHDR(&msg);
    if (head != NULL && head->cmsg_type == SCM_RIGHTS) {
        forget_memory(p);
        memcpy(&p->memory, CMSG_DATA(head), sizeof p->memory);
        assert(fstat(p->memory, &st) == 0);
        p->length = (size_t)st.st_size;
        map_memory(p);
    }
}

static void move_index(struct peer *p)
{
    unsigned which = next(p);
    uint32_t value = next_word(p);
    _Atomic uint32_t *index = (which & 1) != 0
                                  ? &p->page->way[which >> 1 & 1].cons
                                  : &p->page->way[which >> 1 & 1].prod;

    if ((which & 4) != 0) {
        atomic_store(index, value);
    } else {
        (void)atomic_fetch_add(index, value & 0x1fff);
    }
}

static void scribble(struct peer *p)
{
    uint8_t *bytes = (uint8_t *)p->page;
    size_t at = next(p) * 16u;

    at = at == 0 ? next(p) % CDT_RING_HEADER : at;
    for (unsigned n = next(p) % 8 + 1u; n > 0 && at < CDT_RING_PAGE; n--) {
        bytes[at++] = next(p);
    }
}

/* As an honest peer: reads all, and writes some. */
static void play_fair(struct peer *p)
{
    unsigned out = p->client ? CDT_RING_TO_SERVER : CDT_RING_TO_CLIENT;
    uint32_t used = atomic_load(&p->page->way[out].prod) -
                    atomic_load(&p->page->way[out].cons);
    uint32_t n = next(p) * 5u;

    if (used < 1024 && n <= 1024 - used) {
        (void)atomic_fetch_add(&p->page->way[out].prod, n);
    }
    atomic_store(&p->page->way[out ^ 1].cons,
                 atomic_load(&p->page->way[out ^ 1].prod));
    send_bytes(p, "", 1, NULL, 0);
}

static void say_live(struct peer *p)
{
    unsigned own = p->client ? CDT_RING_TO_SERVER : CDT_RING_TO_CLIENT;
    unsigned how = next(p);

    atomic_store(&p->page->live[own], (uint8_t)((how & 7) != 0 ? 1 : next(p)));
    send_bytes(p, "", 1, NULL, 0);
}

static void in_memory(struct peer *p, unsigned op)
{
    switch (op % 6) {
    case 0:
        move_index(p);
        break;
    case 1:
        scribble(p);
        break;
    case 2:
        say_live(p);
        break;
    case 3:
        atomic_store(&p->page->notify[p->client], next(p));
        atomic_store(&p->page->notify[!p->client], next(p));
        break;
    default:
        play_fair(p);
        break;
    }
}

static void turn(unsigned n)
{
    while (n-- > 0) {
        conduit_loop_turn(all.loop, 0);
    }
}

static void step(struct peer *p)
{
    unsigned op = next(p);

    if (op >= 128 && p->page != NULL) {
        in_memory(p, op);
        return;
    }
    switch (op % 12) {
    case 0:
        say_anything(p);
        break;
    case 1:
        if (p->client) {
            say_hello(p);
        } else {
            make_memory(p);
            say_reply(p);
        }
        break;
    case 2:
        if (p->client) {
            take_reply(p);
        } else {
            say_reply(p);
        }
        break;
    case 3:
        if (next(p) % 4 == 0) {
            (void)shutdown(p->fd, next(p) % 3);
        }
        break;
    case 4:
        if (next(p) % 8 == 0) {
            let_go(next(p));
        }
        break;
    case 5:
        for (unsigned i = next(p) * 4u; i > 0; i--) {
            send_bytes(p, "", 1, NULL, 0);
        }
        break;
    default:
        turn(1 + op % 3);
        break;
    }
}

/* ---- an input ----------------------------------------------------------- */

static socklen_t address_of(const char *name, struct sockaddr_un *out)
{
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    (void)snprintf(out->sun_path, sizeof out->sun_path, "%s/%s", all.dir, name);
    return sizeof *out;
}

/* Sockets and memory; the fuzzer has descriptors of its own that come. */
static int count_ours(void)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    int n = 0;

    assert(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        char to[16] = "";

        if (readlinkat(dirfd(dir), entry->d_name, to, sizeof to - 1) > 0) {
            n += strncmp(to, "socket:", 7) == 0;
            n += strncmp(to, "/memfd:", 7) == 0;
        }
    }
    (void)closedir(dir);
    return n;
}

static void ignore(void *arg, enum conduit_log_level level, const char *layer,
                   const char *text)
{
    (void)arg;
    (void)level;
    (void)layer;
    assert(text[0] != '\0');
}

static void clean_up(void)
{
    struct sockaddr_un address;

    conduit_ctx_free(all.ctx);
    (void)address_of("raw", &address);
    (void)unlink(address.sun_path);
    (void)rmdir(all.dir);
}

static void set_up(void)
{
    struct conduit_ctx_options options = {.log = ignore};
    struct conduit_options listening = {.ring_bytes = 2048, .open_ms = 3600000};
    struct sockaddr_un address;
    socklen_t length;

    (void)snprintf(all.dir, sizeof all.dir, "/tmp/conduit.XXXXXX");
    assert(mkdtemp(all.dir) != NULL);
    assert(setenv("CONDUIT_RUNTIME_DIR", all.dir, 1) == 0);
    assert(setenv("CONDUIT_VCHAN_SPIN_US", "1", 1) == 0);
    assert(conduit_unix_new(NULL, &options, &all.ctx, NULL) == 0);
    assert(conduit_register_vchan(all.ctx) == 0);
    all.loop = conduit_ctx_loop(all.ctx);
    assert(conduit_listen(all.ctx, "vchan://ours", &listening, on_accept, NULL,
                          NULL, NULL) == 0);
    all.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                          0);
    length = address_of("raw", &address);
    assert(bind(all.listener, (struct sockaddr *)&address, length) == 0);
    assert(listen(all.listener, 8) == 0);
    assert(atexit(clean_up) == 0);
    turn(3);
    all.fds = count_ours();
}

static void begin(struct peer *p)
{
    struct conduit_options dialling = {.attempt_ms = 3600000,
                                       .dial_ms = 3600000};
    struct sockaddr_un address;
    socklen_t length = address_of("ours", &address);

    if (p->client) {
        p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert(connect(p->fd, (struct sockaddr *)&address, length) == 0);
        return;
    }
    assert(conduit_dial(all.ctx, "vchan://raw", &dialling, on_dialed, NULL,
                        &our.dial, NULL) == 0);
    turn(2); /* it connects, and says hello */
    p->fd = accept4(all.listener, NULL, NULL, SOCK_CLOEXEC);
    assert(p->fd >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer p = {.data = data, .size = size, .fd = -1, .memory = -1};

    if (all.ctx == NULL) {
        set_up();
    }
    our.peer = &p;
    p.client = (next(&p) & 1) != 0;
    begin(&p);
    for (int i = 0; i < STEPS && p.size > 0; i++) {
        step(&p);
    }
    turn(3);
    (void)close(p.fd);
    forget_memory(&p);
    turn(3);
    let_go(0);
    conduit_dial_cancel(our.dial);
    our.dial = NULL;
    our.peer = NULL;
    /* What carries a descriptor is read by itself, a part a turn. */
    for (int i = 0; i < STEPS && count_ours() != all.fds; i++) {
        turn(1);
    }
    assert(count_ours() == all.fds);
    return 0;
}
