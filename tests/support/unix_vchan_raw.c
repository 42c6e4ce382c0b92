/* SPDX-License-Identifier: ISC */
#include "unix_vchan_raw.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define BURST 10000u
#define FDS_MAX 8

/* ---- what is said ------------------------------------------------------- */

static void put_word(uint8_t *out, size_t value)
{
    uint32_t word = (uint32_t)value;

    memcpy(out, &word, sizeof word);
}

void vraw_hello(uint8_t out[VRAW_HELLO], unsigned kind)
{
    memset(out, 0, VRAW_HELLO);
    memcpy(out, "conduit\1", 8);
    out[8] = (uint8_t)kind;
}

void vraw_reply(uint8_t out[VRAW_REPLY], unsigned status, size_t size)
{
    memset(out, 0, VRAW_REPLY);
    memcpy(out, "conduit\1", 8);
    put_word(out + 8, status);
    put_word(out + 12, size);
}

bool vraw_send(int fd, const void *data, size_t n, const int *fds, size_t count)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {(void *)(uintptr_t)data, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    long sent;

    assert_true(count <= FDS_MAX);
    if (count > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
    }
    sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
    if (sent < 0 && errno == EPERM && count > 0) {
        (void)vraw_send(fd, data, n, NULL, 0);
        return false;
    }
    assert_int_equal(sent, (long)n);
    return true;
}

/* ---- memory ------------------------------------------------------------- */

static void map_memory(struct vraw *v)
{
    void *map = mmap(NULL, v->size, PROT_READ | PROT_WRITE, MAP_SHARED,
                     v->memory, 0);

    assert_true(map != MAP_FAILED);
    v->page = map;
}

void vraw_make_memory(struct vraw *v, unsigned to_server, unsigned to_client,
                      int seals)
{
    v->layout.order[CDT_RING_TO_SERVER] = (uint8_t)to_server;
    v->layout.order[CDT_RING_TO_CLIENT] = (uint8_t)to_client;
    v->size = cdt_ring_total(&v->layout);
    v->memory = memfd_create("raw", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(v->memory >= 0);
    assert_int_equal(ftruncate(v->memory, (off_t)v->size), 0);
    assert_true(seals == 0 || fcntl(v->memory, F_ADD_SEALS, seals) == 0);
    map_memory(v);
    cdt_ring_format(v->page, &v->layout);
}

static unsigned in_of(const struct vraw *v)
{
    return v->side;
}

static unsigned out_of(const struct vraw *v)
{
    return v->side ^ 1u;
}

void vraw_live(struct vraw *v, unsigned live)
{
    atomic_store(&v->page->live[out_of(v)], (uint8_t)live);
}

void vraw_wake(struct vraw *v)
{
    (void)send(v->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static uint8_t *byte_at(struct vraw *v, unsigned way, uint64_t at)
{
    enum cdt_ring_way w = (enum cdt_ring_way)way;
    size_t size = cdt_ring_size(&v->layout, w);

    return (uint8_t *)v->page + cdt_ring_offset(&v->layout, w) + at % size;
}

size_t vraw_write(struct vraw *v, uint64_t stream, size_t n)
{
    unsigned way = out_of(v);
    uint32_t cons = atomic_load(&v->page->way[way].cons);
    size_t used = (uint32_t)v->written - cons;
    size_t room = cdt_ring_size(&v->layout, (enum cdt_ring_way)way) - used;

    n = n < room ? n : room;
    for (size_t i = 0; i < n; i++, v->written++) {
        t_fill(stream, v->written, byte_at(v, way, v->written), 1);
    }
    atomic_store(&v->page->way[way].prod, (uint32_t)v->written);
    return n;
}

size_t vraw_read(struct vraw *v, uint64_t stream, size_t n)
{
    unsigned way = in_of(v);
    size_t ready = atomic_load(&v->page->way[way].prod) - (uint32_t)v->read;

    n = n < ready ? n : ready;
    for (size_t i = 0; i < n; i++, v->read++) {
        assert_true(t_match(stream, v->read, byte_at(v, way, v->read), 1));
    }
    atomic_store(&v->page->way[way].cons, (uint32_t)v->read);
    return n;
}

/* ---- meeting ------------------------------------------------------------ */

static void fill_path(struct t_env *env, const char *name, char *out, size_t n)
{
    (void)snprintf(out, n, "%s/%s", t_dir(env), name);
}

void vraw_connect(struct vraw *v, struct t_env *env, const char *name)
{
    char path[100];

    fill_path(env, name, path, sizeof path);
    *v = (struct vraw){.side = CDT_RING_CLIENT, .memory = -1};
    v->fd = t_raw_connect_unix(path);
}

static int take_descriptor(struct msghdr *msg)
{
    const struct cmsghdr *head = CMSG_FIRSTHDR(msg);
    int fd = -1;

    if (head != NULL && head->cmsg_type == SCM_RIGHTS) {
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    }
    return fd;
}

bool vraw_take_reply(struct vraw *v)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    uint8_t reply[VRAW_REPLY];
    uint8_t wanted[VRAW_REPLY];
    struct iovec iov = {reply, sizeof reply};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    ssize_t got = recvmsg(v->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct stat st;

    if (got < 0 && errno == EAGAIN) {
        return false;
    }
    assert_int_equal(got, VRAW_REPLY);
    v->memory = take_descriptor(&msg);
    assert_int_equal(fstat(v->memory, &st), 0);
    v->size = (size_t)st.st_size;
    vraw_reply(wanted, 0, v->size);
    assert_memory_equal(reply, wanted, 16);
    map_memory(v);
    assert_null(cdt_ring_read_layout(v->page, &v->layout));
    return true;
}

bool vraw_accept(struct vraw *v, int listener)
{
    int flags = fcntl(listener, F_GETFL);

    assert_int_equal(fcntl(listener, F_SETFL, flags | O_NONBLOCK), 0);
    v->side = CDT_RING_SERVER;
    v->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    return v->fd >= 0;
}

bool vraw_take_hello(struct vraw *v)
{
    uint8_t hello[VRAW_HELLO];
    uint8_t wanted[VRAW_HELLO];
    ssize_t got = recv(v->fd, hello, sizeof hello, MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN) {
        return false;
    }
    vraw_hello(wanted, 1);
    assert_int_equal(got, VRAW_HELLO);
    assert_memory_equal(hello, wanted, VRAW_HELLO);
    return true;
}

void vraw_hang_up(struct vraw *v)
{
    if (v->fd >= 0) {
        (void)close(v->fd);
        v->fd = -1;
    }
}

void vraw_free(struct vraw *v)
{
    vraw_hang_up(v);
    if (v->page != NULL) {
        (void)munmap(v->page, v->size);
        v->page = NULL;
    }
    if (v->memory >= 0) {
        (void)close(v->memory);
        v->memory = -1;
    }
}

/* ---- the test ----------------------------------------------------------- */

int t_shared_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int n = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        n += strstr(line, "/memfd:") != NULL;
    }
    (void)fclose(maps);
    return n;
}

static void count(struct vrig *r)
{
    r->fds = t_fd_count();
    r->maps = t_shared_maps();
    r->blocks = r->env->mem.live;
}

void vrig_begin(struct vrig *r, struct t_env *env)
{
    struct conduit_options small = {.ring_bytes = 4096};

    memset(r, 0, sizeof *r);
    r->env = env;
    r->maps_before = t_shared_maps();
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", t_dir(env), 1), 0);
    t_connect(&r->healthy, env, "vchan://healthy", &small);
    t_attach(&r->healthy.a, env, r->healthy.a.conn, 0);
    t_attach(&r->healthy.b, env, r->healthy.b.conn, 0);
    (void)vrig_check(r);
    count(r);
}

void vrig_serve(struct vrig *r, const struct conduit_options *options)
{
    struct conduit_options all = {.ring_bytes = 4096, .open_ms = 20000};

    t_listen(&r->server, r->env, "vchan://hostile",
             options != NULL ? options : &all);
    count(r);
}

static void send_burst(struct t_conn *t)
{
    t->pull = true;
    t->push = true;
    t->goal += BURST;
    t_want(t, CONDUIT_READ | CONDUIT_WRITE);
}

uint64_t vrig_check(struct vrig *r)
{
    struct t_conn *a = &r->healthy.a;
    struct t_conn *b = &r->healthy.b;
    uint64_t before = r->env->turns;

    send_burst(a);
    send_burst(b);
    T_UNTIL(r->env, a->received == b->goal && b->received == a->goal);
    assert_int_equal(a->end, 0);
    assert_int_equal(b->end, 0);
    return r->env->turns - before;
}

/* The account of a user stays as long as its context. */
void vrig_is_clean(struct vrig *r)
{
    (void)vrig_check(r);
    T_POLL(r->env, t_fd_count() == r->fds);
    assert_int_equal(t_shared_maps(), r->maps);
    T_POLL(r->env, r->env->mem.live <= r->blocks);
}

void vrig_end(struct vrig *r)
{
    vrig_is_clean(r);
    if (r->server.listener != NULL) {
        t_unlisten(&r->server);
    }
    t_disconnect(&r->healthy);
    assert_int_equal(t_shared_maps(), r->maps_before);
}

unsigned vrig_logged(const struct vrig *r, const char *text)
{
    const char *at = r->env->log;
    unsigned n = 0;

    while ((at = strstr(at, text)) != NULL) {
        at++;
        n++;
    }
    return n;
}

void vrig_empty_log(struct vrig *r)
{
    r->env->log_size = 0;
    r->env->log[0] = '\0';
}

static void meet_server(struct vrig *r, struct vraw *v, struct t_conn *t)
{
    uint8_t hello[VRAW_HELLO];
    struct conduit_conn *conn = NULL;

    if (r->server.listener == NULL) {
        vrig_serve(r, NULL);
    }
    vraw_connect(v, r->env, "hostile");
    vraw_hello(hello, 1);
    vraw_send(v->fd, hello, sizeof hello, NULL, 0);
    T_POLL(r->env, vraw_take_reply(v));
    vraw_live(v, CDT_RING_CONNECTED);
    vraw_wake(v);
    T_UNTIL(r->env, (conn = t_accepted(&r->server)) != NULL);
    t_attach(t, r->env, conn, 0);
}

static void meet_client(struct vrig *r, struct vraw *v, struct t_conn *t)
{
    uint8_t reply[VRAW_REPLY];
    char path[100];
    struct t_client c;
    int listener;

    fill_path(r->env, "raw", path, sizeof path);
    (void)unlink(path);
    listener = t_raw_listen_unix(path);
    vraw_make_memory(v, 12, 12, SEALS);
    t_dial(&c, r->env, "vchan://raw", NULL);
    T_POLL(r->env, vraw_accept(v, listener));
    T_POLL(r->env, vraw_take_hello(v));
    vraw_reply(reply, 0, v->size);
    vraw_send(v->fd, reply, sizeof reply, &v->memory, 1);
    T_UNTIL(r->env, c.calls != 0);
    (void)close(listener);
    assert_non_null(c.conn);
    t_attach(t, r->env, c.conn, 0);
}

void vrig_meet(struct vrig *r, enum cdt_ring_side side, struct vraw *v,
               struct t_conn *t)
{
    *v = (struct vraw){.side = side, .fd = -1, .memory = -1};
    *t = (struct t_conn){.in = 5, .out = 6};
    if (side == CDT_RING_CLIENT) {
        meet_server(r, v, t);
    } else {
        meet_client(r, v, t);
    }
}
