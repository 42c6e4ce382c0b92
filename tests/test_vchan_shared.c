/* SPDX-License-Identifier: ISC */
/*
 * Shared memory on systems of another kind: where its pages have to be
 * reserved, and where pages are so large that no ring begins with one.
 * fallocate is this file's own.
 */
#include "unix_support.h"

#include "vchan_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE (64u * 4096)

static int failure; /* of fallocate: errno; 0: it works */
static unsigned reserved;

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (failure != 0) {
        errno = failure;
        return -1;
    }
    reserved++;
    return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

static struct t_env *begin(void **state, bool reserve)
{
    struct t_env *env = *state;

    t_own_names(env);
    cdt_vchan_state(env->ctx)->reserve = reserve;
    failure = 0;
    reserved = 0;
    return env;
}

/* ---- reserving ---------------------------------------------------------- */

static size_t bytes_there(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, SIZE);
    return (size_t)st.st_blocks * 512;
}

static void all_pages_are_there(void **state)
{
    int fd;

    (void)begin(state, true);
    fd = cdt_shared_make(SIZE, true);
    assert_true(fd >= 0);
    assert_true(bytes_there(fd) >= SIZE);
    assert_null(cdt_shared_check(fd, SIZE));
    (void)close(fd);
    fd = cdt_shared_make(SIZE, false);
    assert_true(fd >= 0);
    assert_int_equal(bytes_there(fd), 0);
    (void)close(fd);
}

static void pages_are_not_to_be_had(void **state)
{
    static const int numbers[] = {ENOSPC, ENOMEM};
    struct t_env *env = begin(state, true);
    struct t_server s;

    t_listen(&s, env, "vchan://name", NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct t_client c;

        failure = numbers[i];
        t_dial(&c, env, "vchan://name", NULL);
        T_UNTIL(env, c.calls != 0);
        assert_null(c.conn);
        assert_int_equal(c.err.code, CONDUIT_ELIMIT);
        T_UNTIL(env, strstr(env->log, "no shared memory") != NULL);
    }
    failure = 0;
    conduit_conn_abort(t_dial_now(env, "vchan://name"));
    assert_int_equal(reserved, 1);
    T_UNTIL(env, s.tail == 1);
    t_unlisten(&s);
}

static void pages_are_not_reserved(void **state)
{
    struct t_env *env = begin(state, false);
    struct t_pair pair;

    failure = ENOMEM;
    t_connect(&pair, env, "vchan://name", NULL);
    t_attach(&pair.a, env, pair.a.conn, 0);
    t_attach(&pair.b, env, pair.b.conn, 0);
    t_disconnect(&pair);
}

/* ---- large pages -------------------------------------------------------- */

static void move(struct t_env *env, unsigned ring_bytes, uint64_t n)
{
    struct conduit_options options = {.ring_bytes = ring_bytes};
    struct t_pair pair;

    t_connect(&pair, env, "vchan://name", &options);
    pair.a.goal = pair.b.goal = n;
    pair.a.pull = pair.b.pull = pair.a.push = pair.b.push = true;
    pair.a.out = pair.b.in = 1;
    pair.a.in = pair.b.out = 2;
    t_attach(&pair.a, env, pair.a.conn, CONDUIT_READ | CONDUIT_WRITE);
    t_attach(&pair.b, env, pair.b.conn, CONDUIT_READ | CONDUIT_WRITE);
    T_UNTIL(env, pair.a.received == n && pair.b.received == n);
    t_disconnect(&pair);
}

/* In rings of each size, many times round. */
static void rings_are_mapped_once(void **state)
{
    struct t_env *env = begin(state, false);
    bool mirrored = cdt_vchan_state(env->ctx)->mirrored;

    assert_true(mirrored == (sysconf(_SC_PAGESIZE) == 4096));
    cdt_vchan_state(env->ctx)->mirrored = false;
    for (unsigned size = 1024; size <= 1u << 20; size *= 2) {
        move(env, size, 4 * size + 1000);
    }
}

/* Nothing is mapped at an offset, and nothing twice. */
static void one_mapping_has_both(void **state)
{
    struct cdt_ring_layout layout;
    struct cdt_ring_memory memory;
    struct cdt_shared shared = {0};
    int fd;

    (void)begin(state, false);
    assert_true(cdt_ring_choose(&layout, 4096, 8192));
    fd = cdt_shared_make(cdt_ring_total(&layout), false);
    assert_true(fd >= 0);
    assert_true(cdt_shared_map_page(&shared, fd));
    cdt_ring_format(shared.page, &layout);
    assert_true(cdt_shared_map_rings(&shared, fd, &layout, false, &memory));
    for (unsigned i = 0; i < 2; i++) {
        size_t offset = cdt_ring_offset(&layout, (enum cdt_ring_way)i);

        assert_false(memory.ring[i].mirrored);
        assert_ptr_equal(memory.ring[i].data, (char *)shared.whole + offset);
        assert_int_equal(pwrite(fd, &i, sizeof i, (off_t)offset), sizeof i);
        assert_memory_equal(memory.ring[i].data, &i, sizeof i);
    }
    cdt_shared_unmap(&shared);
    assert_null(shared.whole);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(all_pages_are_there),    T_TEST(pages_are_not_to_be_had),
        T_TEST(pages_are_not_reserved), T_TEST(rings_are_mapped_once),
        T_TEST(one_mapping_has_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
