/* SPDX-License-Identifier: ISC */
/*
 * What our client makes of a server that is not what it should be: answers that
 * are none, and memory that could be taken away or is too small.
 */
#include "unix_vchan_raw.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define SIZE (3u * 4096) /* of memory for rings of 4 KiB */

struct meeting {
    struct vrig rig;
    struct t_client client;
    struct vraw raw;
    int listener;
};

static void path_of(struct t_env *env, char *out, size_t n)
{
    (void)snprintf(out, n, "%s/raw", t_dir(env));
}

static void begin(struct meeting *m, void **state)
{
    char path[100];

    memset(m, 0, sizeof *m);
    vrig_begin(&m->rig, *state);
    path_of(m->rig.env, path, sizeof path);
    m->listener = t_raw_listen_unix(path);
    m->rig.fds++;
}

static void end(struct meeting *m)
{
    (void)close(m->listener);
    m->rig.fds--;
    vrig_end(&m->rig);
}

/* Our client has come, and said what it wants. */
static void come(struct meeting *m, const struct conduit_options *options)
{
    m->raw = (struct vraw){.fd = -1, .memory = -1};
    t_dial(&m->client, m->rig.env, "vchan://raw", options);
    T_POLL(m->rig.env, vraw_accept(&m->raw, m->listener));
    T_POLL(m->rig.env, vraw_take_hello(&m->raw));
}

static void is_refused(struct meeting *m, int code, const char *text)
{
    T_UNTIL(m->rig.env, m->client.calls != 0);
    assert_null(m->client.conn);
    if (m->client.err.code != code ||
        strstr(m->client.err.text, text) == NULL) {
        fail_msg("%d '%s', not %d '%s'", m->client.err.code, m->client.err.text,
                 code, text);
    }
    assert_string_equal(m->client.err.layer, "vchan");
    vraw_free(&m->raw);
    vrig_is_clean(&m->rig);
}

/* The server answers with a descriptor, which it closes, and a size. */
static void answer(struct meeting *m, int fd, size_t size)
{
    uint8_t reply[VRAW_REPLY];

    vraw_reply(reply, 0, size);
    vraw_send(m->raw.fd, reply, sizeof reply, &fd, fd >= 0);
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void offer(struct meeting *m, int fd, size_t size, int code,
                  const char *text)
{
    come(m, NULL);
    answer(m, fd, size);
    is_refused(m, code, text);
}

static int memory(size_t size, unsigned flags, int seals)
{
    int fd = memfd_create("raw", MFD_CLOEXEC | flags);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_true(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

/* ---- answers ------------------------------------------------------------ */

static void an_answer_is_cut(void **state)
{
    uint8_t reply[VRAW_REPLY];
    struct meeting m;

    begin(&m, state);
    vraw_reply(reply, 0, SIZE);
    for (size_t n = 0; n < VRAW_REPLY; n++) {
        come(&m, NULL);
        if (n > 0) {
            vraw_send(m.raw.fd, reply, n, NULL, 0);
        }
        vraw_hang_up(&m.raw);
        if (n == 0) {
            is_refused(&m, CONDUIT_EREFUSED, "ended the meeting");
        } else {
            is_refused(&m, CONDUIT_EPROTO, "what is no answer");
        }
    }
    end(&m);
}

/* The descriptor of a part is closed. */
static void part_of_an_answer_has_a_descriptor(void **state)
{
    uint8_t reply[VRAW_REPLY];
    struct meeting m;
    int fd;

    begin(&m, state);
    come(&m, NULL);
    vraw_reply(reply, 0, SIZE);
    fd = memory(SIZE, MFD_ALLOW_SEALING, SEALS);
    vraw_send(m.raw.fd, reply, 20, &fd, 1);
    (void)close(fd);
    is_refused(&m, CONDUIT_EPROTO, "what is no answer");
    end(&m);
}

static void an_answer_has_the_wrong_magic(void **state)
{
    struct meeting m;

    begin(&m, state);
    for (size_t i = 0; i < 8; i++) {
        uint8_t reply[VRAW_REPLY];

        come(&m, NULL);
        vraw_reply(reply, 0, SIZE);
        reply[i] ^= 0x20;
        vraw_send(m.raw.fd, reply, sizeof reply, NULL, 0);
        is_refused(&m, CONDUIT_EPROTO, "does not speak vchan");
    }
    end(&m);
}

static void each_status_has_its_error(void **state)
{
    static const struct {
        unsigned status;
        int code;
        const char *text;
    } rows[] = {
        {1, CONDUIT_EACCESS, "does not admit"},
        {2, CONDUIT_ELIMIT, "no memory for this user"},
        {3, CONDUIT_ENOTSUP, "does not offer"},
        {4, CONDUIT_EPROTO, "what is no answer"},
        {0xffffffff, CONDUIT_EPROTO, "what is no answer"},
    };
    struct meeting m;

    begin(&m, state);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t reply[VRAW_REPLY];

        come(&m, NULL);
        vraw_reply(reply, rows[i].status, 0);
        vraw_send(m.raw.fd, reply, sizeof reply, NULL, 0);
        is_refused(&m, rows[i].code, rows[i].text);
    }
    end(&m);
}

static void silence(void **state)
{
    struct conduit_options quick = {.attempt_ms = 40};
    struct meeting m;

    begin(&m, state);
    come(&m, &quick);
    is_refused(&m, CONDUIT_ETIMEDOUT, "deadline");
    end(&m);
}

/* A socket that takes nobody: neither an answer nor a refusal. */
static void nobody_accepts(void **state)
{
    struct conduit_options quick = {.attempt_ms = 40};
    struct meeting m;

    begin(&m, state);
    m.raw = (struct vraw){.fd = -1, .memory = -1};
    t_dial(&m.client, m.rig.env, "vchan://raw", &quick);
    T_UNTIL(m.rig.env, m.client.calls != 0);
    T_POLL(m.rig.env, vraw_accept(&m.raw, m.listener));
    is_refused(&m, CONDUIT_ETIMEDOUT, "deadline");
    end(&m);
}

/*
 * A server that turns a user away does not wait for the hello, and may have
 * closed before it is sent, as happens here within send(). The client hears why
 * all the same.
 */
static int turns_away_at = -1;

ssize_t send(int fd, const void *data, size_t n, int flags)
{
    if (turns_away_at >= 0) {
        uint8_t reply[VRAW_REPLY];
        int got = t_raw_accept(turns_away_at);

        turns_away_at = -1;
        vraw_reply(reply, 1, 0);
        vraw_send(got, reply, sizeof reply, NULL, 0);
        (void)close(got);
    }
    return syscall(SYS_sendto, fd, data, n, flags, NULL, 0);
}

static void turned_away_before_the_hello(void **state)
{
    struct meeting m;

    begin(&m, state);
    m.raw = (struct vraw){.fd = -1, .memory = -1};
    turns_away_at = m.listener;
    t_dial(&m.client, m.rig.env, "vchan://raw", NULL);
    T_UNTIL(m.rig.env, m.client.calls != 0);
    assert_int_equal(turns_away_at, -1);
    is_refused(&m, CONDUIT_EACCESS, "does not admit");
    end(&m);
}

/* Of another user than the folder: who listens counts, not who bound. */
static void the_server_is_another_user(void **state)
{
    struct meeting m;
    char path[100];

    if (geteuid() != 0) {
        print_message("only root can be somebody else\n");
        skip();
    }
    begin(&m, state);
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(listen(m.listener, 4), 0);
    assert_int_equal(seteuid(0), 0);
    path_of(m.rig.env, path, sizeof path);
    m.raw = (struct vraw){.fd = -1, .memory = -1};
    t_dial(&m.client, m.rig.env, "vchan://raw", NULL);
    T_POLL(m.rig.env, vraw_accept(&m.raw, m.listener));
    is_refused(&m, CONDUIT_EACCESS, "not the user whose name it is");
    end(&m);
}

/* ---- descriptors -------------------------------------------------------- */

static void there_is_no_descriptor(void **state)
{
    struct meeting m;

    begin(&m, state);
    offer(&m, -1, SIZE, CONDUIT_EPROTO, "sent no memory");
    end(&m);
}

static void there_are_many_descriptors(void **state)
{
    struct meeting m;

    begin(&m, state);
    for (size_t count = 2; count <= 5; count++) {
        uint8_t reply[VRAW_REPLY];
        int fds[5];

        come(&m, NULL);
        vraw_reply(reply, 0, SIZE);
        for (size_t i = 0; i < count; i++) {
            fds[i] = memory(SIZE, MFD_ALLOW_SEALING, SEALS);
        }
        vraw_send(m.raw.fd, reply, sizeof reply, fds, count);
        for (size_t i = 0; i < count; i++) {
            (void)close(fds[i]);
        }
        is_refused(&m, CONDUIT_EPROTO, "what is no answer");
    }
    end(&m);
}

static void no_descriptor_is_left_for_it(void **state)
{
    struct rlimit limit;
    struct rlimit low;
    struct meeting m;
    int fd;

    begin(&m, state);
    come(&m, NULL);
    vraw_make_memory(&m.raw, 12, 12, SEALS);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    fd = dup(0);
    low.rlim_cur = (rlim_t)fd;
    (void)close(fd);
    fd = dup(m.raw.memory);
    answer(&m, fd, m.raw.size);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    T_UNTIL(m.rig.env, m.client.calls != 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    is_refused(&m, CONDUIT_ELIMIT, "no descriptor is left");
    end(&m);
}

static void it_is_no_memory(void **state)
{
    struct meeting m;
    char path[100];
    int pipes[2];
    int fd;

    begin(&m, state);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    (void)close(pipes[1]);
    offer(&m, pipes[0], SIZE, CONDUIT_EPROTO, "no shared memory");
    offer(&m, socket(AF_UNIX, SOCK_STREAM, 0), SIZE, CONDUIT_EPROTO,
          "no shared memory");
    offer(&m, open("/dev/zero", O_RDWR | O_CLOEXEC), SIZE, CONDUIT_EPROTO,
          "no shared memory");
    (void)snprintf(path, sizeof path, "%s/file", t_dir(m.rig.env));
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    come(&m, NULL);
    answer(&m, fd, SIZE);
    T_UNTIL(m.rig.env, m.client.calls != 0);
    /* A file of tmpfs has seals, of which it lacks some; others have none. */
    is_refused(&m, CONDUIT_EPROTO,
               strstr(m.client.err.text, "sealed") != NULL
                   ? "not sealed"
                   : "no shared memory");
    end(&m);
}

static void it_is_not_sealed(void **state)
{
    static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL};
    struct meeting m;

    begin(&m, state);
    offer(&m, memory(SIZE, 0, 0), SIZE, CONDUIT_EPROTO, "not sealed");
    for (unsigned set = 0; set < 7; set++) {
        int some = 0;

        for (unsigned i = 0; i < 3; i++) {
            some |= (set & 1u << i) != 0 ? seals[i] : 0;
        }
        offer(&m, memory(SIZE, MFD_ALLOW_SEALING, some), SIZE, CONDUIT_EPROTO,
              "not sealed");
    }
    end(&m);
}

/* Sealed against writing, now or from now on, or opened for reading only. */
static void it_cannot_be_written_to(void **state)
{
    struct meeting m;
    char path[64];
    int fd;

    begin(&m, state);
    offer(&m, memory(SIZE, MFD_ALLOW_SEALING, SEALS | F_SEAL_WRITE), SIZE,
          CONDUIT_EACCESS, "cannot map");
    offer(&m, memory(SIZE, MFD_ALLOW_SEALING, SEALS | F_SEAL_FUTURE_WRITE),
          SIZE, CONDUIT_EACCESS, "cannot map");
    fd = memory(SIZE, MFD_ALLOW_SEALING, SEALS);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    m.rig.fds++;
    offer(&m, open(path, O_RDONLY | O_CLOEXEC), SIZE, CONDUIT_EACCESS,
          "cannot map");
    (void)close(fd);
    m.rig.fds--;
    end(&m);
}

static void it_is_of_huge_pages(void **state)
{
    const size_t huge = 2u << 20;
    struct meeting m;
    int fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING |
                                      MFD_HUGETLB | (21u << 26));

    if (fd < 0 || ftruncate(fd, (off_t)huge) != 0 ||
        fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        (void)close(fd);
        print_message("this system has no huge pages of 2 MiB\n");
        skip();
    }
    begin(&m, state);
    m.rig.fds--;
    offer(&m, fd, huge, CONDUIT_EPROTO, "of a kind that may vanish");
    end(&m);
}

static void its_size_is_another(void **state)
{
    static const size_t off[] = {0,        1,        SIZE - 4096, SIZE - 1,
                                 SIZE + 1, 2 * SIZE, 0xffffffff};
    struct meeting m;

    begin(&m, state);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        offer(&m, memory(SIZE, MFD_ALLOW_SEALING, SEALS), off[i],
              CONDUIT_EPROTO, "not as large as it said");
    }
    offer(&m, memory(((size_t)1 << 32) + SIZE, MFD_ALLOW_SEALING, SEALS), SIZE,
          CONDUIT_EPROTO, "not as large as it said");
    end(&m);
}

static void it_is_too_small(void **state)
{
    static const size_t sizes[] = {0, 1, 24, 4095};
    struct meeting m;

    begin(&m, state);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        offer(&m, memory(sizes[i], MFD_ALLOW_SEALING, SEALS), sizes[i],
              CONDUIT_EPROTO, "too small");
    }
    end(&m);
}

/* ---- what is in it ------------------------------------------------------ */

static void offer_page(struct meeting *m, const struct cdt_ring_page *page,
                       const char *text)
{
    int fd = memory(SIZE, MFD_ALLOW_SEALING, SEALS);

    assert_int_equal(pwrite(fd, page, sizeof *page, 0), sizeof *page);
    offer(m, fd, SIZE, CONDUIT_EPROTO, text);
}

static struct cdt_ring_page page_of(unsigned to_server, unsigned to_client)
{
    struct cdt_ring_page page = {0};

    page.order[0] = (uint16_t)to_server;
    page.order[1] = (uint16_t)to_client;
    page.live[CDT_RING_TO_SERVER] = CDT_RING_AWAITED;
    page.live[CDT_RING_TO_CLIENT] = CDT_RING_CONNECTED;
    return page;
}

static void its_orders_are_out_of_range(void **state)
{
    static const unsigned orders[] = {0, 1, 9, 21, 22, 255, 256 + 12, 65535};
    struct cdt_ring_page page;
    struct meeting m;

    begin(&m, state);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        page = page_of(orders[i], 12);
        offer_page(&m, &page, "out of range");
        page = page_of(12, orders[i]);
        offer_page(&m, &page, "out of range");
    }
    page = page_of(10, 10);
    offer_page(&m, &page, "at one place");
    page = page_of(10, 20);
    offer_page(&m, &page, "extend into the other");
    end(&m);
}

static void its_rings_are_larger_than_it(void **state)
{
    struct cdt_ring_page page;
    struct meeting m;

    begin(&m, state);
    for (unsigned order = 13; order <= 20; order++) {
        page = page_of(order, 12);
        offer_page(&m, &page, "smaller than its rings");
        page = page_of(12, order);
        offer_page(&m, &page, "smaller than its rings");
    }
    end(&m);
}

static void its_rings_hold_too_much(void **state)
{
    struct meeting m;

    begin(&m, state);
    for (unsigned i = 0; i < 4; i++) {
        struct cdt_ring_page page = page_of(12, 12);

        if ((i & 1) != 0) {
            page.way[i >> 1].prod = 4097;
        } else {
            page.way[i >> 1].cons = 1;
        }
        offer_page(&m, &page, "more than its size");
    }
    end(&m);
}

/* It holds bytes already, from wherever its indices begin. */
static void it_begins_elsewhere(void **state)
{
    struct t_conn t = {.in = 5, .pull = true};
    struct meeting m;

    begin(&m, state);
    come(&m, NULL);
    vraw_make_memory(&m.raw, 12, 12, SEALS);
    (void)vraw_write(&m.raw, 5, 700);
    answer(&m, dup(m.raw.memory), m.raw.size);
    T_UNTIL(m.rig.env, m.client.calls != 0);
    assert_non_null(m.client.conn);
    t_attach(&t, m.rig.env, m.client.conn, CONDUIT_READ);
    T_UNTIL(m.rig.env, t.received == 700);
    t_abort(&t);
    vraw_free(&m.raw);
    vrig_is_clean(&m.rig);
    end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(an_answer_is_cut),
        T_TEST(part_of_an_answer_has_a_descriptor),
        T_TEST(an_answer_has_the_wrong_magic),
        T_TEST(each_status_has_its_error),
        T_TEST(silence),
        T_TEST(nobody_accepts),
        T_TEST(turned_away_before_the_hello),
        T_TEST(the_server_is_another_user),
        T_TEST(there_is_no_descriptor),
        T_TEST(there_are_many_descriptors),
        T_TEST(no_descriptor_is_left_for_it),
        T_TEST(it_is_no_memory),
        T_TEST(it_is_not_sealed),
        T_TEST(it_cannot_be_written_to),
        T_TEST(it_is_of_huge_pages),
        T_TEST(its_size_is_another),
        T_TEST(it_is_too_small),
        T_TEST(its_orders_are_out_of_range),
        T_TEST(its_rings_are_larger_than_it),
        T_TEST(its_rings_hold_too_much),
        T_TEST(it_begins_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
