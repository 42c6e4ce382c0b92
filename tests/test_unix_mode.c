/* SPDX-License-Identifier: ISC */
/*
 * The mode of a Unix socket's file, where somebody who can write to its folder
 * exchanges the file between bind, which is this file's own, and what sets the
 * mode: nothing but the socket is changed.
 */
#include "unix_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char path[128];
static char other[128];
static void (*exchange)(void); /* once a socket is bound; NULL: nobody does */

/* The C library's, under a name without its header's prototype. */
int bind_and_exchange(int fd, const struct sockaddr *name,
                      socklen_t len) __asm__("bind");

int bind_and_exchange(int fd, const struct sockaddr *name, socklen_t len)
{
    long rc = syscall(SYS_bind, fd, name, len);

    if (rc == 0 && exchange != NULL) {
        exchange();
    }
    return (int)rc;
}

static void set_paths(struct t_env *env)
{
    int fd;

    (void)snprintf(path, sizeof path, "%s/s", t_dir(env));
    (void)snprintf(other, sizeof other, "%s/other", t_dir(env));
    fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static unsigned mode_of(const char *file)
{
    struct stat st;

    return lstat(file, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void ignore(void *arg, struct conduit_listener *listener,
                   struct conduit_conn *conn)
{
    (void)arg;
    (void)listener;
    conduit_conn_abort(conn);
}

static int listen_with(struct t_env *env, unsigned mode, void (*then)(void),
                       struct conduit_listener **out)
{
    struct conduit_options options = {.unix_mode = mode};
    struct conduit_error err = {0};
    char uri[160];
    int code;

    *out = NULL;
    exchange = then;
    (void)snprintf(uri, sizeof uri, "unix://%s", path);
    code = conduit_listen(env->ctx, uri, &options, ignore, NULL, out, &err);
    exchange = NULL;
    return code;
}

static void put_link(void)
{
    (void)unlink(path);
    (void)symlink(other, path);
}

static void put_file(void)
{
    (void)unlink(path);
    (void)rename(other, path);
}

static void put_nothing(void)
{
    (void)unlink(path);
}

/* Such as that of another server. */
static void put_hard_link_of_a_socket(void)
{
    (void)unlink(path);
    (void)link(other, path);
}

static void a_mode_is_set_whatever_the_umask(void **state)
{
    static const unsigned modes[] = {0600, 0666, 0777, 0640};
    struct t_env *env = *state;
    mode_t mask = umask(027);

    set_paths(env);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct conduit_listener *l;

        assert_int_equal(listen_with(env, modes[i], NULL, &l), 0);
        assert_int_equal(mode_of(path), modes[i]);
        conduit_listener_close(l);
    }
    (void)umask(mask);
}

static void a_link_takes_its_place(void **state)
{
    struct t_env *env = *state;
    struct conduit_listener *l;

    set_paths(env);
    assert_int_not_equal(listen_with(env, 0666, put_link, &l), 0);
    assert_int_equal(mode_of(other), 0600);
}

static void a_file_takes_its_place(void **state)
{
    struct t_env *env = *state;
    struct conduit_listener *l;
    struct stat st;
    int fd;

    set_paths(env);
    fd = open(other, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_not_equal(listen_with(env, 0666, put_file, &l), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)close(fd);
}

static void another_socket_takes_its_place(void **state)
{
    struct t_env *env = *state;
    struct conduit_listener *l;
    int fd;

    set_paths(env);
    assert_int_equal(unlink(other), 0);
    fd = t_raw_listen_unix(other);
    assert_int_equal(chmod(other, 0600), 0);
    assert_int_not_equal(listen_with(env, 0666, put_hard_link_of_a_socket, &l),
                         0);
    assert_int_equal(mode_of(other), 0600);
    (void)close(fd);
}

static void it_is_gone(void **state)
{
    struct t_env *env = *state;
    struct conduit_listener *l;

    set_paths(env);
    assert_int_not_equal(listen_with(env, 0666, put_nothing, &l), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(a_mode_is_set_whatever_the_umask),
        T_TEST(a_link_takes_its_place),
        T_TEST(a_file_takes_its_place),
        T_TEST(another_socket_takes_its_place),
        T_TEST(it_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
