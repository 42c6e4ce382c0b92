/* SPDX-License-Identifier: ISC */
/*
 * Descriptors that a peer sends over a Unix socket, where nobody wants any:
 * closing them could take long, so they are not taken where the kernel can
 * refuse them (Linux 6.16), and are closed elsewhere.
 */
#include "unix_vchan_raw.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

static bool can_refuse(int fd)
{
    int on;
    socklen_t size = sizeof on;

    return getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, &size) == 0;
}

/* A byte with a pipe; nobody has the pipe in the end. */
static void is_given(struct t_env *env, int fd)
{
    int pipes[2];
    char byte;

    assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(vraw_send(fd, "x", 1, &pipes[1], 1), !can_refuse(fd));
    (void)close(pipes[1]);
    T_POLL(env, read(pipes[0], &byte, 1) == 0);
    (void)close(pipes[0]);
}

/* The byte came nevertheless. */
static void is_read(struct t_env *env, struct conduit_conn *conn)
{
    char byte = 0;

    T_POLL(env, conduit_conn_read(conn, &byte, 1) == 1);
    assert_int_equal(byte, 'x');
}

static void paths(struct t_env *env, char path[100], char uri[120])
{
    (void)snprintf(path, 100, "%s/s", t_dir(env));
    (void)snprintf(uri, 120, "unix://%s", path);
}

static void to_one_that_listens(struct t_env *env, bool accepted)
{
    struct conduit_conn *conn = NULL;
    struct t_server s;
    char path[100];
    char uri[120];
    int fd;

    paths(env, path, uri);
    t_listen(&s, env, uri, NULL);
    fd = t_raw_connect_unix(path);
    if (accepted) {
        T_UNTIL(env, (conn = t_accepted(&s)) != NULL);
    }
    is_given(env, fd);
    if (!accepted) {
        T_UNTIL(env, (conn = t_accepted(&s)) != NULL);
    }
    is_read(env, conn);
    conduit_conn_abort(conn);
    (void)close(fd);
    t_unlisten(&s);
}

static void to_a_listener(void **state)
{
    to_one_that_listens(*state, true);
}

/* Also before it is accepted. */
static void to_a_listener_that_rests(void **state)
{
    to_one_that_listens(*state, false);
}

static void to_who_dials(void **state)
{
    struct t_env *env = *state;
    struct conduit_conn *conn;
    char path[100];
    char uri[120];
    int listener;
    int fd;

    paths(env, path, uri);
    listener = t_raw_listen_unix(path);
    conn = t_dial_now(env, uri);
    fd = t_raw_accept(listener);
    is_given(env, fd);
    is_read(env, conn);
    conduit_conn_abort(conn);
    (void)close(fd);
    (void)close(listener);
}

static void meet(struct t_env *env, enum cdt_ring_side side)
{
    struct t_conn t;
    struct vraw raw;
    struct vrig r;

    vrig_begin(&r, env);
    vrig_meet(&r, side, &raw, &t);
    is_given(env, raw.fd);
    t_abort(&t);
    vraw_free(&raw);
    vrig_end(&r);
}

static void to_a_server_of_vchan(void **state)
{
    meet(*state, CDT_RING_CLIENT);
}

static void to_a_client_of_vchan(void **state)
{
    meet(*state, CDT_RING_SERVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(to_a_listener),        T_TEST(to_a_listener_that_rests),
        T_TEST(to_who_dials),         T_TEST(to_a_server_of_vchan),
        T_TEST(to_a_client_of_vchan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
