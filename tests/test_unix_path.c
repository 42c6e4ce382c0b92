/* SPDX-License-Identifier: ISC */
/* Unix sockets in the file system: what is replaced, what is not, and modes. */
#include "unix_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[128];
static char uri[160];

static void name(struct t_env *env, const char *file)
{
    (void)snprintf(path, sizeof path, "%s/%s", t_dir(env), file);
    (void)snprintf(uri, sizeof uri, "unix://%s", path);
}

static void on_nobody(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    (void)arg;
    (void)listener;
    conduit_conn_abort(conn);
}

static struct conduit_error refused(struct t_env *env)
{
    struct conduit_listener *listener = NULL;
    struct conduit_error err = {0};

    assert_int_not_equal(
        conduit_listen(env->ctx, uri, NULL, on_nobody, NULL, &listener, &err),
        0);
    assert_string_equal(err.layer, "unix");
    assert_non_null(strstr(err.text, path));
    return err;
}

static void peers_meet_at_a_path(void **state)
{
    struct t_env *env = *state;
    struct t_pair p;
    struct conduit_cred cred = {0};
    char peer[CONDUIT_PEER_TEXT];

    name(env, "s");
    t_connect(&p, env, uri, NULL);
    assert_int_equal(conduit_conn_query(p.b.conn, CONDUIT_QUERY_CRED, &cred),
                     0);
    assert_int_equal(cred.uid, getuid());
    assert_int_equal(cred.gid, getgid());
    assert_int_equal(cred.pid, getpid());
    assert_int_equal(conduit_conn_query(p.a.conn, CONDUIT_QUERY_PEER, peer), 0);
    assert_non_null(strstr(peer, path));
    t_disconnect(&p);
}

static void abstract_names_have_no_file(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    char peer[CONDUIT_PEER_TEXT];
    struct conduit_conn *conn;
    int fd;

    (void)snprintf(path, sizeof path, "@conduit.test.%ld", (long)getpid());
    (void)snprintf(uri, sizeof uri, "unix://%s", path);
    t_listen(&s, env, uri, NULL);
    assert_string_equal(conduit_listener_uri(s.listener), uri);
    assert_int_equal(refused(env).code, CONDUIT_EADDRINUSE);
    conn = t_dial_now(env, uri);
    assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_PEER, peer), 0);
    assert_non_null(strstr(peer, path));
    fd = t_raw_connect_unix(path);
    T_UNTIL(env, s.tail == 2);
    (void)close(fd);
    conduit_conn_abort(conn);
    t_unlisten(&s);
    t_listen(&s, env, uri, NULL);
    t_unlisten(&s);
}

static void the_file_goes_with_the_listener(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct stat st;

    name(env, "s");
    t_listen(&s, env, uri, NULL);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    t_unlisten(&s);
    assert_int_equal(lstat(path, &st), -1);
}

static void a_regular_file_is_left_alone(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err;
    struct stat st;
    char text[8] = "";
    int fd;

    name(env, "file");
    fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    err = refused(env);
    assert_int_equal(err.code, CONDUIT_EEXIST);
    assert_int_equal(pread(fd, text, 8, 0), 8);
    assert_memory_equal(text, "precious", 8);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    (void)close(fd);
}

static void other_files_are_left_alone(void **state)
{
    struct t_env *env = *state;
    struct stat st;

    name(env, "folder");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(refused(env).code, CONDUIT_EEXIST);
    name(env, "fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(refused(env).code, CONDUIT_EEXIST);
    name(env, "link");
    assert_int_equal(symlink("fifo", path), 0);
    assert_int_equal(refused(env).code, CONDUIT_EEXIST);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    name(env, "dangling");
    assert_int_equal(symlink("nowhere", path), 0);
    assert_int_equal(refused(env).code, CONDUIT_EEXIST);
}

static void a_missing_folder_is_told(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err;

    name(env, "missing/s");
    err = refused(env);
    assert_int_equal(err.code, CONDUIT_ENOENT);
    assert_int_equal(err.native, ENOENT);
}

static void a_dead_listeners_socket_is_replaced(void **state)
{
    struct t_env *env = *state;
    struct t_server s;

    name(env, "s");
    (void)close(t_raw_listen_unix(path)); /* the file stays */
    t_listen(&s, env, uri, NULL);
    conduit_conn_abort(t_dial_now(env, uri));
    t_unlisten(&s);
}

static void a_live_listeners_socket_is_not(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err;
    struct t_server s;
    int fd;
    int peer;

    name(env, "s");
    fd = t_raw_listen_unix(path);
    err = refused(env);
    assert_int_equal(err.code, CONDUIT_EADDRINUSE);
    assert_int_equal(err.native, EADDRINUSE);
    peer = t_raw_connect_unix(path); /* it works as before */
    (void)close(peer);
    (void)close(fd);
    name(env, "own");
    t_listen(&s, env, uri, NULL);
    assert_int_equal(refused(env).code, CONDUIT_EADDRINUSE);
    conduit_conn_abort(t_dial_now(env, uri));
    t_unlisten(&s);
}

/* Asking whether somebody listens must not look like a storm of peers. */
static void a_live_listener_is_hardly_disturbed(void **state)
{
    struct t_env *env = *state;
    struct t_server s;

    name(env, "s");
    t_listen(&s, env, uri, NULL);
    assert_int_equal(refused(env).code, CONDUIT_EADDRINUSE);
    t_turns(env, 20);
    assert_in_range(s.tail, 0, 1);
    t_unlisten(&s);
}

/* A full queue is no sign of death. */
static void a_busy_listeners_socket_is_not_replaced(void **state)
{
    struct t_env *env = *state;
    int peers[2];
    int fd;

    name(env, "s");
    fd = t_raw_listen_unix(path);
    assert_int_equal(listen(fd, 1), 0);
    peers[0] = t_raw_connect_unix(path);
    peers[1] = t_raw_connect_unix(path); /* the next would have to wait */
    assert_int_equal(refused(env).code, CONDUIT_EADDRINUSE);
    (void)close(peers[0]);
    (void)close(peers[1]);
    (void)close(fd);
}

/* Somebody replaced our file: closing must not take theirs away. */
static void a_strangers_file_stays(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct stat st;
    int fd;

    name(env, "s");
    t_listen(&s, env, uri, NULL);
    assert_int_equal(unlink(path), 0);
    fd = t_raw_listen_unix(path);
    t_unlisten(&s);
    assert_int_equal(lstat(path, &st), 0);
    (void)close(t_raw_connect_unix(path));
    (void)close(fd);
}

static void the_mode_is_as_asked(void **state)
{
    static const unsigned modes[] = {0600, 0660, 0666, 0777};
    struct t_env *env = *state;
    mode_t old = umask(022);

    for (size_t i = 0; i < 4; i++) {
        struct conduit_options options = {.unix_mode = modes[i]};
        struct t_server s;
        struct stat st;

        name(env, "s");
        t_listen(&s, env, uri, &options);
        assert_int_equal(lstat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, modes[i]);
        t_unlisten(&s);
    }
    (void)umask(old);
}

/* In a process of its own, without root's rights. */
static int try_forbidden(void)
{
    struct t_env env;
    struct conduit_error err = {0};
    struct conduit_listener *listener = NULL;

    memset(&env, 0, sizeof env);
    if (setgid(65534) != 0 || setuid(65534) != 0 ||
        t_env_try(&env, &err) != 0) {
        return 3;
    }
    (void)conduit_listen(env.ctx, uri, NULL, on_nobody, NULL, &listener, &err);
    conduit_ctx_free(env.ctx);
    return err.code == CONDUIT_EACCESS && err.native == EACCES ? 0 : 1;
}

static void a_forbidden_folder_is_told(void **state)
{
    struct t_env *env = *state;
    int status = 0;
    pid_t pid;

    if (getuid() != 0) {
        skip(); /* cannot become somebody else */
    }
    name(env, "s");
    assert_int_equal(chmod(t_dir(env), 0700), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(try_forbidden());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(peers_meet_at_a_path),
        T_TEST(abstract_names_have_no_file),
        T_TEST(the_file_goes_with_the_listener),
        T_TEST(a_regular_file_is_left_alone),
        T_TEST(other_files_are_left_alone),
        T_TEST(a_missing_folder_is_told),
        T_TEST(a_dead_listeners_socket_is_replaced),
        T_TEST(a_live_listeners_socket_is_not),
        T_TEST(a_live_listener_is_hardly_disturbed),
        T_TEST(a_busy_listeners_socket_is_not_replaced),
        T_TEST(a_strangers_file_stays),
        T_TEST(the_mode_is_as_asked),
        T_TEST(a_forbidden_folder_is_told),
    };

    return cmocka_run_group_tests_name("unix_path", tests, NULL, NULL);
}
