/* SPDX-License-Identifier: ISC */
/*
 * The registry of names on this host: whose folder, which of them count, what
 * is there already; and how much a user may have. Who is admitted is tested in
 * test_vchan_users.c.
 */
#include "unix_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct t_env *begin(void **state, const char *below)
{
    struct t_env *env = *state;
    char path[100];

    (void)snprintf(path, sizeof path, "%s%s", t_dir(env), below);
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", path, 1), 0);
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    return env;
}

static void ignore(void *arg, struct conduit_listener *listener,
                   struct conduit_conn *conn)
{
    (void)arg;
    (void)listener;
    conduit_conn_abort(conn);
}

static void assert_error(const struct conduit_error *err, int code,
                         const char *text)
{
    if (err->code != code || strstr(err->text, text) == NULL) {
        fail_msg("%d '%s', not %d '%s'", err->code, err->text, code, text);
    }
}

static void listen_fails(struct t_env *env, const char *uri,
                         const struct conduit_options *options, int code,
                         const char *text)
{
    struct conduit_error err = {0};

    assert_int_equal(
        conduit_listen(env->ctx, uri, options, ignore, NULL, NULL, &err), code);
    assert_error(&err, code, text);
}

static void dial_fails(struct t_env *env, const char *uri, int code,
                       const char *text)
{
    struct t_client c;

    t_dial(&c, env, uri, NULL);
    T_UNTIL(env, c.calls != 0);
    assert_null(c.conn);
    assert_error(&c.err, code, text);
}

static void both_fail(struct t_env *env, int code, const char *text)
{
    listen_fails(env, "vchan://name", NULL, code, text);
    dial_fails(env, "vchan://name", code, text);
}

static unsigned mode_of(struct t_env *env, const char *below)
{
    char path[100];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s%s", t_dir(env), below);
    return lstat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void change_mode(struct t_env *env, mode_t mode)
{
    assert_int_equal(chmod(t_dir(env), mode), 0);
}

/* Both ways, and with everything that a connection says of itself. */
static void moves_bytes(struct t_env *env, const char *uri,
                        const struct conduit_options *options, uint64_t n)
{
    struct t_pair pair;

    t_connect(&pair, env, uri, options);
    pair.a.goal = pair.b.goal = n;
    pair.a.pull = pair.b.pull = pair.a.push = pair.b.push = true;
    t_attach(&pair.a, env, pair.a.conn, CONDUIT_READ | CONDUIT_WRITE);
    t_attach(&pair.b, env, pair.b.conn, CONDUIT_READ | CONDUIT_WRITE);
    T_UNTIL(env, pair.a.received == n && pair.b.received == n);
    t_disconnect(&pair);
}

/* ---- folders ------------------------------------------------------------ */

static void a_folder_is_made_for_its_user_alone(void **state)
{
    struct t_env *env = begin(state, "/sub");
    mode_t mask = umask(0);
    struct t_server s;

    t_listen(&s, env, "vchan://name", NULL);
    (void)umask(mask);
    assert_int_equal(mode_of(env, "/sub"), 0700);
    assert_int_equal(mode_of(env, "/sub/name"), 0600);
    t_unlisten(&s);
    assert_int_equal(mode_of(env, "/sub/name"), 0);
    moves_bytes(env, "vchan://name", NULL, 1000);
}

static void a_folder_is_made_for_others_to_enter(void **state)
{
    static const char *const users[] = {"1", NULL};
    struct conduit_options options = {.users = users};
    struct t_env *env = begin(state, "/sub");
    mode_t mask = umask(077);
    struct t_server s;

    t_listen(&s, env, "vchan://name", &options);
    (void)umask(mask);
    assert_int_equal(mode_of(env, "/sub"), 0711);
    assert_int_equal(mode_of(env, "/sub/name"), 0666);
    t_unlisten(&s);
}

static void others_cannot_enter_a_folder(void **state)
{
    static const char *const users[] = {"1", NULL};
    struct conduit_options options = {.users = users};
    struct t_env *env = begin(state, "");

    change_mode(env, 0700);
    listen_fails(env, "vchan://name", &options, CONDUIT_EACCESS,
                 "cannot be entered");
}

static void the_session_has_a_folder(void **state)
{
    struct t_env *env = begin(state, "");

    assert_int_equal(setenv("XDG_RUNTIME_DIR", t_dir(env), 1), 0);
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", "", 1), 0);
    moves_bytes(env, "vchan://name", NULL, 1000);
    assert_int_equal(mode_of(env, "/conduit"), 0700);
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
}

static void others_can_write_to_a_folder(void **state)
{
    static const mode_t modes[] = {0770, 0720, 0702, 0777, 01777};
    struct t_env *env = begin(state, "");

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        change_mode(env, modes[i]);
        both_fail(env, CONDUIT_EACCESS, "can be written to by others");
    }
    change_mode(env, 0755);
    moves_bytes(env, "vchan://name", NULL, 1000);
}

static void a_folder_is_a_link(void **state)
{
    struct t_env *env = begin(state, "/link");
    char link[100];

    (void)snprintf(link, sizeof link, "%s/link", t_dir(env));
    assert_int_equal(symlink(t_dir(env), link), 0);
    both_fail(env, CONDUIT_EACCESS, "is no folder");
}

static void a_folder_is_a_file(void **state)
{
    struct t_env *env = begin(state, "/file");
    char path[100];
    int fd;

    (void)snprintf(path, sizeof path, "%s/file", t_dir(env));
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    both_fail(env, CONDUIT_EACCESS, "is no folder");
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", strcat(path, "/sub"), 1), 0);
    both_fail(env, CONDUIT_EACCESS, "Not a directory");
}

static void a_folder_cannot_be_made(void **state)
{
    struct t_env *env = begin(state, "/none/sub");

    listen_fails(env, "vchan://name", NULL, CONDUIT_EACCESS,
                 "cannot make the registry's folder");
    dial_fails(env, "vchan://name", CONDUIT_EREFUSED, "nobody has registered");
}

static void a_folder_is_not_absolute(void **state)
{
    static const char *const bad[] = {"folder", ".", "@abstract", "~/run"};
    struct t_env *env = begin(state, "");

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", bad[i], 1), 0);
        both_fail(env, CONDUIT_EINVAL, "CONDUIT_RUNTIME_DIR is not an abs");
    }
    assert_int_equal(unsetenv("CONDUIT_RUNTIME_DIR"), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "x", 1), 0);
    both_fail(env, CONDUIT_EINVAL, "XDG_RUNTIME_DIR is not an abs");
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
}

/* The longest path that a socket can have, and one byte more. */
static void a_path_is_too_long(void **state)
{
    struct t_env *env = begin(state, "");
    char path[120];
    size_t n = (size_t)snprintf(path, sizeof path, "%s/", t_dir(env));

    memset(path + n, 'd', sizeof path - n);
    path[107 - strlen("/name")] = '\0';
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", path, 1), 0);
    moves_bytes(env, "vchan://name", NULL, 1000);
    listen_fails(env, "vchan://names", NULL, CONDUIT_ELIMIT, "longer than 107");
    dial_fails(env, "vchan://names", CONDUIT_ELIMIT, "longer than 107");
    memset(path + n, 'd', sizeof path - n);
    path[sizeof path - 1] = '\0';
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", path, 1), 0);
    both_fail(env, CONDUIT_ELIMIT, "longer than 107");
}

/* ---- names -------------------------------------------------------------- */

static void nobody_has_a_name(void **state)
{
    struct t_env *env = begin(state, "");
    struct t_server s;

    dial_fails(env, "vchan://name", CONDUIT_EREFUSED, "nobody has registered");
    t_listen(&s, env, "vchan://name", NULL);
    dial_fails(env, "vchan://names", CONDUIT_EREFUSED, "nobody has registered");
    dial_fails(env, "vchan://nam", CONDUIT_EREFUSED, "nobody has registered");
    t_unlisten(&s);
    dial_fails(env, "vchan://name", CONDUIT_EREFUSED, "nobody has registered");
}

static void somebody_has_a_name(void **state)
{
    struct t_env *env = begin(state, "");
    struct t_server s;

    t_listen(&s, env, "vchan://name", NULL);
    listen_fails(env, "vchan://name", NULL, CONDUIT_EADDRINUSE,
                 "somebody listens there");
    conduit_conn_close(t_dial_now(env, "vchan://name"));
    T_UNTIL(env, s.tail == 1);
    t_unlisten(&s);
}

static void a_stale_socket_is_replaced(void **state)
{
    struct t_env *env = begin(state, "");
    char path[100];

    (void)snprintf(path, sizeof path, "%s/name", t_dir(env));
    (void)close(t_raw_listen_unix(path));
    assert_true(access(path, F_OK) == 0);
    dial_fails(env, "vchan://name", CONDUIT_EREFUSED, "refused");
    moves_bytes(env, "vchan://name", NULL, 1000);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_name_is_a_file(void **state)
{
    struct t_env *env = begin(state, "");
    char path[100];
    int fd;

    (void)snprintf(path, sizeof path, "%s/name", t_dir(env));
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    listen_fails(env, "vchan://name", NULL, CONDUIT_EEXIST, "no socket");
    dial_fails(env, "vchan://name", CONDUIT_EREFUSED, "nobody has registered");
    assert_int_equal(access(path, F_OK), 0);
}

static void a_listener_names_a_user(void **state)
{
    struct t_env *env = begin(state, "");

    listen_fails(env, "vchan://root@name", NULL, CONDUIT_EURI,
                 "its own user only");
}

/* ---- memory ------------------------------------------------------------- */

static void rings_have_their_size(void **state)
{
    static const unsigned sizes[] = {1,    1024,  1025,   2048,   3000,    4096,
                                     4097, 65536, 300000, 524288, 1u << 20};
    struct t_env *env = begin(state, "");

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct conduit_options options = {.ring_bytes = sizes[i]};

        moves_bytes(env, "vchan://name", &options, 200000);
    }
    for (unsigned more = 1; more < 2000; more += 999) {
        struct conduit_options options = {.ring_bytes = (1u << 20) + more};

        listen_fails(env, "vchan://name", &options, CONDUIT_ELIMIT,
                     "at most 1048576 bytes");
    }
}

#define EACH (3u * 4096) /* bytes of a connection with rings of 4 KiB */

static void a_user_has_a_limit(void **state)
{
    struct conduit_options options = {.ring_bytes = 4096,
                                      .ring_bytes_per_user = 3 * EACH + 1};
    struct t_env *env = begin(state, "");
    struct conduit_conn *clients[3];
    struct conduit_conn *served[3];
    struct t_server s;

    t_listen(&s, env, "vchan://name", &options);
    for (size_t i = 0; i < 3; i++) {
        clients[i] = t_dial_now(env, "vchan://name");
        T_UNTIL(env, (served[i] = t_accepted(&s)) != NULL);
    }
    for (size_t i = 0; i < 3; i++) {
        dial_fails(env, "vchan://name", CONDUIT_ELIMIT,
                   "no memory for this user");
        assert_non_null(strstr(env->log, "as many rings as it may"));
        if (i == 0) {
            conduit_conn_abort(served[i]);
        } else {
            conduit_conn_close(served[i]);
        }
        t_turns(env, 2);
        conduit_conn_close(clients[i]);
        clients[i] = t_dial_now(env, "vchan://name");
        T_UNTIL(env, (served[i] = t_accepted(&s)) != NULL);
    }
    dial_fails(env, "vchan://name", CONDUIT_ELIMIT, "no memory for this user");
    for (size_t i = 0; i < 3; i++) {
        conduit_conn_abort(clients[i]);
        conduit_conn_abort(served[i]);
    }
    t_unlisten(&s);
}

/* What did not open counts as long as it is there, and no longer. */
static void a_limit_counts_what_opens(void **state)
{
    struct conduit_options options = {.ring_bytes = 4096,
                                      .ring_bytes_per_user = EACH};
    struct t_env *env = begin(state, "");
    struct conduit_conn *conn;
    char path[100];
    struct t_server s;
    uint8_t hello[16] = "conduit\1\1";
    int fd;

    (void)snprintf(path, sizeof path, "%s/name", t_dir(env));
    t_listen(&s, env, "vchan://name", &options);
    fd = t_raw_connect_unix(path);
    assert_int_equal(write(fd, hello, sizeof hello), sizeof hello);
    dial_fails(env, "vchan://name", CONDUIT_ELIMIT, "no memory for this user");
    (void)close(fd);
    T_UNTIL(env, strstr(env->log, "broke off") != NULL);
    conn = t_dial_now(env, "vchan://name");
    conduit_conn_abort(conn);
    t_unlisten(&s);
}

static void a_limit_is_less_than_one(void **state)
{
    struct conduit_options options = {.ring_bytes = 4096,
                                      .ring_bytes_per_user = EACH - 1};
    struct t_env *env = begin(state, "");
    struct t_server s;

    t_listen(&s, env, "vchan://name", &options);
    dial_fails(env, "vchan://name", CONDUIT_ELIMIT, "no memory for this user");
    t_unlisten(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(a_folder_is_made_for_its_user_alone),
        T_TEST(a_folder_is_made_for_others_to_enter),
        T_TEST(others_cannot_enter_a_folder),
        T_TEST(the_session_has_a_folder),
        T_TEST(others_can_write_to_a_folder),
        T_TEST(a_folder_is_a_link),
        T_TEST(a_folder_is_a_file),
        T_TEST(a_folder_cannot_be_made),
        T_TEST(a_folder_is_not_absolute),
        T_TEST(a_path_is_too_long),
        T_TEST(nobody_has_a_name),
        T_TEST(somebody_has_a_name),
        T_TEST(a_stale_socket_is_replaced),
        T_TEST(a_name_is_a_file),
        T_TEST(a_listener_names_a_user),
        T_TEST(rings_have_their_size),
        T_TEST(a_user_has_a_limit),
        T_TEST(a_limit_counts_what_opens),
        T_TEST(a_limit_is_less_than_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
