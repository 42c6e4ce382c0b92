/* SPDX-License-Identifier: ISC */
/* Out of descriptors: accepting backs off without spinning, and recovers. */
#include "unix_support.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rlimit limit;

static int setup(void **state)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return t_setup(state);
}

static int teardown(void **state)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return t_teardown(state);
}

#define EMFILE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Leaves room for `spare` more descriptors. */
static void leave(int spare)
{
    struct rlimit low = limit;
    int next;

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    next = dup(0);
    assert_true(next >= 0);
    (void)close(next);
    low.rlim_cur = (rlim_t)(next + spare);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
}

#define PEERS 8

static void accepting_backs_off_and_recovers(struct t_env *env, const char *uri)
{
    struct t_server s;
    struct conduit_conn *taken[PEERS];
    int fds[PEERS];
    size_t n = 0;

    t_listen(&s, env, uri, NULL);
    for (int i = 0; i < PEERS; i++) {
        const char *text = conduit_listener_uri(s.listener);

        fds[i] = uri[0] == 'u'
                     ? t_raw_connect_unix(text + 7)
                     : t_raw_connect(
                           "127.0.0.1",
                           (uint16_t)strtoul(strrchr(text, ':') + 1, NULL, 10));
    }
    leave(3);
    T_UNTIL(env, s.tail == 3);
    assert_in_range(t_turns_in(env, 300), 1, 40); /* no spin */
    assert_int_equal(s.tail, 3);
    assert_true(env->log_size > 0);
    assert_true(env->log_size < 2000); /* nor in the log */
    while ((taken[n] = t_accepted(&s)) != NULL) {
        n++;
    }
    conduit_conn_abort(taken[--n]); /* makes room for one */
    T_UNTIL(env, s.tail == 4);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    T_UNTIL(env, s.tail == PEERS);
    while (n > 0) {
        conduit_conn_abort(taken[--n]);
    }
    for (int i = 0; i < PEERS; i++) {
        (void)close(fds[i]);
    }
    t_unlisten(&s);
}

static void tcp_backs_off(void **state)
{
    accepting_backs_off_and_recovers(*state, "tcp://127.0.0.1:0");
}

static void unix_backs_off(void **state)
{
    struct t_env *env = *state;
    char uri[96];

    (void)snprintf(uri, sizeof uri, "unix://%s/s", t_dir(env));
    accepting_backs_off_and_recovers(env, uri);
}

static void a_listener_that_backed_off_can_be_closed(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    uint16_t port;
    int fd;

    t_listen(&s, env, "tcp://127.0.0.1:0", NULL);
    port = (uint16_t)strtoul(strrchr(conduit_listener_uri(s.listener), ':') + 1,
                             NULL, 10);
    fd = t_raw_connect("127.0.0.1", port);
    leave(0);
    T_UNTIL(env, env->log_size > 0);
    conduit_listener_pause(s.listener);
    conduit_listener_resume(s.listener);
    t_turns(env, 3);
    t_unlisten(&s);
    (void)t_turns_in(env, 50);
    (void)close(fd);
}

static void dialling_without_descriptors_fails(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct t_client c;

    t_listen(&s, env, "tcp://127.0.0.1:0", NULL);
    leave(0);
    t_dial(&c, env, conduit_listener_uri(s.listener), NULL);
    T_UNTIL(env, c.calls == 1);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_ELIMIT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    conduit_conn_abort(t_dial_now(env, conduit_listener_uri(s.listener)));
    t_unlisten(&s);
}

static void on_nobody(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    (void)arg;
    (void)listener;
    conduit_conn_abort(conn);
}

static void listening_without_descriptors_fails(void **state)
{
    struct t_env *env = *state;
    struct conduit_listener *listener = NULL;
    struct conduit_error err = {0};

    leave(0);
    assert_int_equal(conduit_listen(env->ctx, "tcp://127.0.0.1:0", NULL,
                                    on_nobody, NULL, &listener, &err),
                     CONDUIT_ELIMIT);
    assert_int_not_equal(err.native, 0);
}

/* In a process of its own, which must not be ended for the want of them. */
static int make_contexts(void)
{
    struct conduit_ctx *ctx = NULL;
    struct conduit_error err = {0};
    int code = CONDUIT_ELIMIT;

    for (int spare = 0; spare < 32 && code != 0; spare++) {
        leave(spare);
        code = conduit_unix_new(NULL, NULL, &ctx, &err);
        if (code != 0 && code != CONDUIT_ELIMIT && code != CONDUIT_EIO) {
            return 2;
        }
    }
    if (code != 0) {
        return 3;
    }
    conduit_ctx_free(ctx);
    return 0;
}

static void a_context_without_descriptors_fails(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr); /* libevent warns */
        _exit(make_contexts());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        EMFILE_TEST(tcp_backs_off),
        EMFILE_TEST(unix_backs_off),
        EMFILE_TEST(a_listener_that_backed_off_can_be_closed),
        EMFILE_TEST(dialling_without_descriptors_fails),
        EMFILE_TEST(listening_without_descriptors_fails),
        EMFILE_TEST(a_context_without_descriptors_fails),
    };

    return cmocka_run_group_tests_name("emfile", tests, NULL, NULL);
}
