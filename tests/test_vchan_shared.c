/* SPDX-License-Identifier: ISC */
/*
 * Shared memory on systems of another kind: where pages are reserved or not to
 * be had. fallocate is this file's own.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(all_pages_are_there),
        T_TEST(pages_are_not_to_be_had),
        T_TEST(pages_are_not_reserved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
