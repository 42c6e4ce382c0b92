/* SPDX-License-Identifier: ISC */
/* fd://: descriptors that were opened elsewhere, and those of a service
 * manager. */
#include "unix_support.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_nobody(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    (void)arg;
    (void)listener;
    conduit_conn_abort(conn);
}

static const char *uri_of(int fd)
{
    static char uri[32];

    (void)snprintf(uri, sizeof uri, "fd://%d", fd);
    return uri;
}

static void a_connected_socket_is_dialled(void **state)
{
    struct t_env *env = *state;
    struct conduit_conn *conn;
    const char *transport = NULL;
    char buf[8] = "";
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    conn = t_dial_now(env, uri_of(fds[0]));
    assert_int_equal(conduit_unix_fd(conn), fds[0]);
    assert_int_equal(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(
        conduit_conn_query(conn, CONDUIT_QUERY_TRANSPORT, &transport), 0);
    assert_string_equal(transport, "fd");
    assert_int_equal(write(fds[1], "hello", 5), 5);
    T_POLL(env, conduit_conn_read(conn, buf, sizeof buf) == 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(conduit_conn_write(conn, "there", 5), 5);
    t_turns(env, 2);
    assert_int_equal(read(fds[1], buf, 5), 5);
    assert_memory_equal(buf, "there", 5);
    conduit_conn_close(conn); /* and the descriptor with it */
    (void)close(fds[1]);
    t_turns(env, 5);
}

static void a_listening_socket_is_listened_to(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct conduit_conn *conn = NULL;
    char peer[CONDUIT_PEER_TEXT];
    uint16_t port = 0;
    int listening = t_raw_listen("127.0.0.1", &port, 8);
    int fd;

    t_listen(&s, env, uri_of(listening), NULL);
    assert_string_equal(conduit_listener_uri(s.listener), uri_of(listening));
    fd = t_raw_connect("127.0.0.1", port);
    T_UNTIL(env, (conn = t_accepted(&s)) != NULL);
    assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_PEER, peer), 0);
    assert_true(strncmp(peer, "127.0.0.1:", 10) == 0);
    assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_LOCAL, peer), 0);
    assert_int_equal(strtoul(strchr(peer, ':') + 1, NULL, 10), port);
    conduit_conn_abort(conn);
    (void)close(fd);
    t_unlisten(&s);
}

/* Refused with EINVAL, named, and the descriptor is still the caller's. */
static void refused(struct t_env *env, int fd, bool listening)
{
    struct conduit_error err = {0};

    if (listening) {
        struct conduit_listener *listener = NULL;

        (void)conduit_listen(env->ctx, uri_of(fd), NULL, on_nobody, NULL,
                             &listener, &err);
        assert_null(listener);
    } else {
        struct t_client c;
        struct conduit_conn *conn = NULL;

        assert_int_equal(conduit_unix_adopt(env->ctx, fd, &conn, &err),
                         CONDUIT_EINVAL);
        assert_null(conn);
        t_dial(&c, env, uri_of(fd), NULL);
        T_UNTIL(env, c.calls == 1);
        assert_null(c.conn);
        err = c.err;
    }
    assert_int_equal(err.code, CONDUIT_EINVAL);
    assert_string_equal(err.layer, "fd");
    assert_non_null(strstr(err.text, uri_of(fd) + 5));
}

static void what_is_no_such_socket_is_refused(void **state)
{
    struct t_env *env = *state;
    uint16_t port = 0;
    int pair[2];
    int pipes[2];
    int fds[6];

    fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
    fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    fds[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* of nobody */
    fds[3] = t_raw_bind("127.0.0.1", &port);
    assert_int_equal(pipe(pipes), 0);
    fds[4] = pipes[0];
    fds[5] = pipes[1];
    for (int i = 0; i < 6; i++) {
        int flags = fcntl(fds[i], F_GETFL);

        refused(env, fds[i], false);
        refused(env, fds[i], true);
        assert_int_equal(fcntl(fds[i], F_GETFL), flags); /* left alone */
        (void)close(fds[i]);
    }
    refused(env, 900, false);
    refused(env, 900, true);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    refused(env, pair[0], true); /* connected, not listening */
    (void)close(pair[0]);
    (void)close(pair[1]);
    port = 0;
    pair[0] = t_raw_listen("127.0.0.1", &port, 1);
    refused(env, pair[0], false); /* listening, not connected */
    (void)close(pair[0]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    refused(env, pair[0], false);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void an_adopted_socket_is_open(void **state)
{
    struct t_env *env = *state;
    struct conduit_conn *conn = NULL;
    struct t_conn t = {.pull = true};
    struct conduit_error err = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(conduit_unix_adopt(env->ctx, fds[0], &conn, &err), 0);
    t_attach(&t, env, conn, CONDUIT_READ);
    T_UNTIL(env, (t.seen & CONDUIT_OPEN) != 0);
    (void)close(fds[1]);
    T_UNTIL(env, t.end == CONDUIT_END);
    t_close(&t);
}

/* ---- LISTEN_FDS --------------------------------------------------------- */

struct taken {
    unsigned accepted;
    struct conduit_conn *conn[4];
};

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    struct taken *t = arg;

    (void)listener;
    t->conn[t->accepted++ % 4] = conn;
}

/* The service: descriptors 3 and 4 listen. Answers 0 when all is well. */
static int run_service(uint16_t port, const char *path)
{
    struct conduit_ctx *ctx = NULL;
    struct conduit_listener *listener = NULL;
    struct conduit_error err = {0};
    struct taken t = {0};
    uint64_t end = t_ms() + 10000;

    if (conduit_unix_new(NULL, NULL, &ctx, &err) != 0 ||
        conduit_register_all(ctx) != 0) {
        return 10;
    }
    if (conduit_listen(ctx, "fd://listen", NULL, on_accept, &t, &listener,
                       &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 11;
    }
    if (strcmp(conduit_listener_uri(listener), "fd://listen") != 0) {
        return 12;
    }
    (void)t_raw_connect("127.0.0.1", port);
    (void)t_raw_connect_unix(path);
    while (t.accepted < 2 && t_ms() < end) {
        conduit_loop_turn(conduit_ctx_loop(ctx), 100);
    }
    conduit_ctx_free(ctx);
    return t.accepted == 2 ? 0 : 13;
}

static int in_service(uint16_t port, const char *path, int tcp, int local,
                      const char *count, const char *pid)
{
    char own[16];

    (void)snprintf(own, sizeof own, "%ld", (long)getpid());
    tcp = fcntl(tcp, F_DUPFD, 20);
    local = fcntl(local, F_DUPFD, 20);
    if (dup2(tcp, 3) != 3 || dup2(local, 4) != 4) {
        return 20;
    }
    if (count != NULL) {
        (void)setenv("LISTEN_FDS", count, 1);
    } else {
        (void)unsetenv("LISTEN_FDS");
    }
    (void)setenv("LISTEN_PID", pid != NULL ? pid : own, 1);
    return run_service(port, path);
}

/* The exit status of a service that was started so. */
static int service(struct t_env *env, const char *count, const char *pid)
{
    static unsigned made;
    char path[96];
    uint16_t port = 0;
    int tcp = t_raw_listen("127.0.0.1", &port, 8);
    int local;
    int status = 0;
    pid_t child;

    (void)snprintf(path, sizeof path, "%s/%u", t_dir(env), ++made);
    local = t_raw_listen_unix(path);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        _exit(in_service(port, path, tcp, local, count, pid));
    }
    (void)close(tcp);
    (void)close(local);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_service_managers_sockets_are_listened_to(void **state)
{
    assert_int_equal(service(*state, "2", NULL), 0);
}

static void sockets_of_another_process_are_not(void **state)
{
    struct t_env *env = *state;

    assert_int_equal(service(env, "2", "1"), 11);
    assert_int_equal(service(env, NULL, NULL), 11);
    assert_int_equal(service(env, "0", NULL), 11);
    assert_int_equal(service(env, "-2", NULL), 11);
    assert_int_equal(service(env, "x", NULL), 11);
    assert_int_equal(service(env, "999999999999", NULL), 11);
}

static void listen_is_not_for_dialling(void **state)
{
    struct t_client c;

    t_dial(&c, *state, "fd://listen", NULL);
    T_UNTIL(c.env, c.calls == 1);
    assert_int_equal(c.err.code, CONDUIT_EINVAL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(a_connected_socket_is_dialled),
        T_TEST(a_listening_socket_is_listened_to),
        T_TEST(what_is_no_such_socket_is_refused),
        T_TEST(an_adopted_socket_is_open),
        T_TEST(a_service_managers_sockets_are_listened_to),
        T_TEST(sockets_of_another_process_are_not),
        T_TEST(listen_is_not_for_dialling),
    };

    return cmocka_run_group_tests_name("fd_transport", tests, NULL, NULL);
}
