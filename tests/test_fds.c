/* SPDX-License-Identifier: ISC */
/* Descriptors: close-on-exec, none left over, and never a SIGPIPE. */
#include "unix_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* Marks the descriptors that are open. */
static void list(bool open_now[1024])
{
    memset(open_now, 0, 1024 * sizeof *open_now);
    for (int fd = 0; fd < 1024; fd++) {
        open_now[fd] = fcntl(fd, F_GETFD) >= 0;
    }
}

static void every_descriptor_is_close_on_exec(void **state)
{
    bool before[1024];
    bool after[1024];
    struct t_env env;
    struct t_server s[2];
    struct t_pair tcp;
    struct t_pair local;
    struct conduit_conn *adopted = NULL;
    char uri[96];
    int fds[2];
    unsigned ours = 0;

    (void)state;
    list(before);
    t_env_init(&env);
    t_listen(&s[0], &env, "tcp://127.0.0.1:0", NULL);
    (void)snprintf(uri, sizeof uri, "unix://%s/a", t_dir(&env));
    t_listen(&s[1], &env, uri, NULL);
    t_connect(&tcp, &env, "tcp://localhost:0", NULL);
    (void)snprintf(uri, sizeof uri, "unix://%s/b", t_dir(&env));
    t_connect(&local, &env, uri, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(conduit_unix_adopt(env.ctx, fds[0], &adopted, NULL), 0);
    list(after);
    for (int fd = 0; fd < 1024; fd++) {
        if (after[fd] && !before[fd] && fd != fds[1]) {
            assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
            ours++;
        }
    }
    assert_true(ours >= 8);
    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    conduit_conn_close(adopted);
    (void)close(fds[1]);
    t_disconnect(&tcp);
    t_disconnect(&local);
    t_unlisten(&s[0]);
    t_unlisten(&s[1]);
    t_env_fini(&env);
}

static void no_descriptor_is_left_when_all_is_closed(void **state)
{
    struct t_env *env = *state;
    int before = t_fd_count();
    char uri[96];

    (void)snprintf(uri, sizeof uri, "unix://%s/s", t_dir(env));
    for (int i = 0; i < 20; i++) {
        struct t_pair p;
        struct t_client c;

        t_connect(&p, env, i % 2 == 0 ? "tcp://127.0.0.1:0" : uri, NULL);
        if (i % 4 < 2) {
            t_disconnect(&p);
        } else {
            t_abort(&p.a);
            t_abort(&p.b);
            t_turns(env, 1);
        }
        assert_int_equal(t_fd_count(), before);
        t_dial(&c, env, "tcp://127.0.0.1:1", NULL); /* nobody is there */
        if (i % 3 == 0) {
            t_turns(env, 1);
            conduit_dial_cancel(c.dial);
        } else {
            T_UNTIL(env, c.calls == 1);
        }
        t_turns(env, 2);
        assert_int_equal(t_fd_count(), before);
    }
}

static void failing_to_listen_leaves_nothing(void **state)
{
    static const char *const uris[] = {
        "tcp://192.0.2.1:0", "unix:///proc/no/such/place",
        "tcp://nobody.test:1", "fd://999", "unix:///proc"};
    struct t_env *env = *state;
    int before = t_fd_count();

    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        struct conduit_listener *listener = NULL;

        assert_int_not_equal(conduit_listen(env->ctx, uris[i], NULL, NULL, NULL,
                                            &listener, NULL),
                             0);
        assert_int_equal(t_fd_count(), before);
    }
}

static volatile sig_atomic_t pipes;

static void on_pipe(int number)
{
    (void)number;
    pipes++;
}

static void write_to_the_dead(struct t_env *env, const char *uri)
{
    struct t_pair p;

    t_connect(&p, env, uri, NULL);
    t_abort(&p.b);
    t_turns(env, 3);
    for (int i = 0; i < 10; i++) {
        static char big[100000];
        struct conduit_seg seg[2] = {{big, 5000}, {big, 5000}};
        struct conduit_win win;

        (void)conduit_conn_write(p.a.conn, "x", 1);
        (void)conduit_conn_write(p.a.conn, big, sizeof big);
        (void)conduit_conn_writev(p.a.conn, seg, 2);
        (void)conduit_conn_lend(p.a.conn, big, sizeof big, NULL);
        if (conduit_conn_reserve(p.a.conn, &win) > 0) {
            conduit_conn_commit(p.a.conn, 1);
        }
        (void)conduit_conn_flush(p.a.conn);
        t_turns(env, 1);
    }
    t_close(&p.a);
    t_turns(env, 5);
}

static void sigpipe_never_happens(void **state)
{
    struct t_env *env = *state;
    struct sigaction act = {.sa_handler = on_pipe};
    struct sigaction old;
    char uri[96];

    (void)snprintf(uri, sizeof uri, "unix://%s/s", t_dir(env));
    assert_int_equal(sigaction(SIGPIPE, &act, &old), 0);
    write_to_the_dead(env, "tcp://127.0.0.1:0");
    write_to_the_dead(env, uri);
    assert_int_equal(sigaction(SIGPIPE, &old, NULL), 0);
    assert_int_equal(pipes, 0);
}

/* The library leaves the program's signals as they are. */
static void no_signal_handler_is_installed(void **state)
{
    struct t_env *env = *state;

    t_turns(env, 3);
    for (int number = 1; number < 32; number++) {
        struct sigaction act;

        if (number == SIGSEGV || number == SIGBUS || number == SIGFPE ||
            number == SIGILL || number == SIGSYS || number == SIGABRT ||
            number == SIGTRAP) {
            continue; /* the test framework's, or a sanitizer's */
        }
        if (sigaction(number, NULL, &act) == 0) {
            assert_true(act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_descriptor_is_close_on_exec),
        T_TEST(no_descriptor_is_left_when_all_is_closed),
        T_TEST(failing_to_listen_leaves_nothing),
        T_TEST(sigpipe_never_happens),
        T_TEST(no_signal_handler_is_installed),
    };

    return cmocka_run_group_tests_name("fds", tests, NULL, NULL);
}
