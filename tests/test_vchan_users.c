/* SPDX-License-Identifier: ISC */
/*
 * Who may come, and whose name it is: root plays users, in a mount namespace
 * with a /run of its own. Not to be had otherwise.
 */
#include "unix_support.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAEMON 1u /* user and group of that name, on every Debian */
#define STRANGER 12345u
#define CHILD_S 20u
#define MANY 65535u /* groups, and one more is the most */
#define FIRST_GROUP 100000u

static bool can_play;

static int have_own_run(void **state)
{
    (void)state;
    can_play = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("run", "/run", "tmpfs", 0, "mode=755") == 0;
    (void)unsetenv("CONDUIT_RUNTIME_DIR");
    (void)unsetenv("XDG_RUNTIME_DIR");
    return 0;
}

static struct t_env *begin(void **state)
{
    if (!can_play) {
        print_message("only root can play users, in a namespace of mounts\n");
        skip();
    }
    return *state;
}

/* ---- others ------------------------------------------------------------- */

struct user {
    uid_t uid;
    gid_t gid;
    gid_t also;    /* one more group; 0: none */
    size_t groups; /* that many others */
};

struct dial {
    int calls;
    int code;
};

static void dialed(void *arg, struct conduit_dial *dial,
                   struct conduit_conn *conn, const struct conduit_error *err)
{
    struct dial *d = arg;

    (void)dial;
    d->calls++;
    d->code = err != NULL ? err->code : 0;
    conduit_conn_close(conn);
}

static bool take_groups(const struct user *user)
{
    static gid_t all[MANY + 1];
    size_t n = 0;

    for (; n < user->groups; n++) {
        all[n] = (gid_t)(FIRST_GROUP + n);
    }
    if (user->also != 0) {
        all[n++] = user->also;
    }
    return setgroups(n, all) == 0;
}

/* In a child: dials, and ends with the code. */
static void be(const struct user *user, const char *uri)
{
    struct conduit_ctx *ctx;
    struct conduit_error err;
    struct dial d = {0, 0};

    (void)alarm(CHILD_S);
    if (seteuid(0) != 0 || !take_groups(user) || setgid(user->gid) != 0 ||
        setuid(user->uid) != 0 ||
        conduit_unix_new(NULL, NULL, &ctx, &err) != 0 ||
        conduit_register_all(ctx) != 0 ||
        conduit_dial(ctx, uri, NULL, dialed, &d, NULL, &err) != 0) {
        _exit(99);
    }
    while (d.calls == 0) {
        conduit_loop_turn(conduit_ctx_loop(ctx), 1000);
    }
    conduit_ctx_free(ctx);
    _exit(-d.code);
}

/* The code of that user's dial, 0 for a connection. */
static int dial_as(struct t_env *env, struct user user, const char *uri)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        be(&user, uri);
    }
    T_POLL(env, waitpid(pid, &status, WNOHANG) == pid);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static const struct user root = {0, 0, 0, 0};
static const struct user daemon_user = {DAEMON, DAEMON, 0, 0};
static const struct user stranger = {STRANGER, STRANGER, 0, 0};
static const struct user member = {STRANGER, DAEMON, 0, 0};
static const struct user also_member = {STRANGER, STRANGER, DAEMON, 0};

/* /run/conduit/UID, made by root. */
static void make_folder(uid_t uid, uid_t owner, mode_t mode)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/run/conduit/%u", (unsigned)uid);
    (void)mkdir("/run/conduit", 0755);
    (void)rmdir(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, mode), 0);
    assert_int_equal(chown(path, owner, owner), 0);
}

static void serve(struct t_server *s, struct t_env *env, uid_t uid,
                  const char *const *users)
{
    struct conduit_options options = {.ring_bytes = 4096, .users = users};

    assert_int_equal(seteuid(uid), 0);
    t_listen(s, env, "vchan://name", &options);
    assert_int_equal(seteuid(0), 0);
}

static void unserve(struct t_server *s)
{
    t_unlisten(s);
    (void)rmdir("/run/conduit/0");
    (void)rmdir("/run/conduit/1");
    (void)rmdir("/run/conduit");
}

/* ---- folders ------------------------------------------------------------ */

static void roots_folder_is_made(void **state)
{
    struct t_env *env = begin(state);
    mode_t mask = umask(077);
    struct stat st;
    struct t_server s;

    serve(&s, env, 0, NULL);
    (void)umask(mask);
    assert_int_equal(stat("/run/conduit", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(stat("/run/conduit/0", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(dial_as(env, root, "vchan://name"), 0);
    assert_int_equal(dial_as(env, root, "vchan://root@name"), 0);
    assert_int_equal(dial_as(env, root, "vchan://0@name"), 0);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"),
                     CONDUIT_EREFUSED);
    unserve(&s);
}

static void roots_names_are_found_by_all(void **state)
{
    static const char *const users[] = {"daemon", NULL};
    struct t_env *env = begin(state);
    struct t_server s;

    serve(&s, env, 0, users);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), 0);
    assert_int_equal(dial_as(env, daemon_user, "vchan://root@name"), 0);
    assert_int_equal(dial_as(env, daemon_user, "vchan://daemon@name"),
                     CONDUIT_EREFUSED);
    assert_int_equal(dial_as(env, daemon_user, "vchan://nosuchuser@name"),
                     CONDUIT_ENAME);
    unserve(&s);
}

static void ones_own_names_come_first(void **state)
{
    static const char *const users[] = {"daemon", NULL};
    struct t_env *env = begin(state);
    struct t_server of_root;
    struct t_server own;

    make_folder(DAEMON, DAEMON, 0711);
    serve(&of_root, env, 0, users);
    serve(&own, env, DAEMON, users);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), 0);
    T_UNTIL(env, own.tail == 1);
    t_turns(env, 10);
    assert_int_equal(own.tail, 1); /* it was looked at, and has not noticed */
    assert_int_equal(of_root.tail, 0);
    assert_null(strstr(env->log, "did not open"));
    t_unlisten(&own);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), 0);
    T_UNTIL(env, of_root.tail == 1);
    unserve(&of_root);
}

/* What a killed server left is not in the way of root's. */
static void ones_own_server_is_dead(void **state)
{
    static const char *const users[] = {"daemon", NULL};
    struct t_env *env = begin(state);
    struct t_server of_root;

    make_folder(DAEMON, DAEMON, 0711);
    (void)close(t_raw_listen_unix("/run/conduit/1/name"));
    assert_int_equal(chmod("/run/conduit/1/name", 0666), 0);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"),
                     CONDUIT_EREFUSED);
    serve(&of_root, env, 0, users);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), 0);
    T_UNTIL(env, of_root.tail == 1);
    assert_int_equal(dial_as(env, daemon_user, "vchan://daemon@name"),
                     CONDUIT_EREFUSED);
    assert_int_equal(unlink("/run/conduit/1/name"), 0);
    unserve(&of_root);
}

static void names_of_another_user(void **state)
{
    static const char *const users[] = {"12345", NULL};
    struct t_env *env = begin(state);
    struct t_server s;

    make_folder(DAEMON, DAEMON, 0711);
    serve(&s, env, DAEMON, users);
    assert_int_equal(dial_as(env, stranger, "vchan://daemon@name"), 0);
    assert_int_equal(dial_as(env, stranger, "vchan://1@name"), 0);
    assert_int_equal(dial_as(env, root, "vchan://daemon@name"), 0);
    assert_int_equal(dial_as(env, stranger, "vchan://name"), CONDUIT_EREFUSED);
    assert_int_equal(dial_as(env, stranger, "vchan://root@name"),
                     CONDUIT_EREFUSED);
    /* Whose folder it is, and who listens there, have to agree. */
    assert_int_equal(chown("/run/conduit/1", STRANGER, STRANGER), 0);
    assert_int_equal(dial_as(env, stranger, "vchan://daemon@name"),
                     CONDUIT_EACCESS);
    assert_int_equal(chown("/run/conduit/1", DAEMON, DAEMON), 0);
    assert_int_equal(chmod("/run/conduit/1", 0773), 0);
    assert_int_equal(dial_as(env, stranger, "vchan://daemon@name"),
                     CONDUIT_EACCESS);
    unserve(&s);
}

static void another_user_listens_there(void **state)
{
    static const char *const users[] = {"12345", NULL};
    struct t_env *env = begin(state);
    struct t_server s;

    make_folder(DAEMON, 0, 0711);
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", "/run/conduit/1", 1), 0);
    serve(&s, env, 0, users);
    assert_int_equal(unsetenv("CONDUIT_RUNTIME_DIR"), 0);
    assert_int_equal(chown("/run/conduit/1", DAEMON, DAEMON), 0);
    assert_int_equal(dial_as(env, stranger, "vchan://daemon@name"),
                     CONDUIT_EACCESS);
    unserve(&s);
}

/* They cannot come into a session's folder, and do not know of it. */
static void a_session_is_not_for_others(void **state)
{
    static const char *const users[] = {"12345", "daemon", NULL};
    struct t_env *env = begin(state);
    struct conduit_options options = {.users = users};
    struct conduit_error err = {0};
    struct t_server s;
    struct stat st;

    assert_int_equal(mkdir("/run/session", 0700), 0);
    assert_int_equal(chown("/run/session", DAEMON, DAEMON), 0);
    make_folder(DAEMON, DAEMON, 0711);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/session", 1), 0);
    serve(&s, env, DAEMON, users);
    assert_int_not_equal(lstat("/run/session/conduit", &st), 0);
    assert_int_equal(dial_as(env, stranger, "vchan://daemon@name"), 0);
    /* Its own user finds it with the session and without. */
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), 0);
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), 0);
    T_UNTIL(env, s.tail == 3);
    unserve(&s);
    /* Without that folder it is told. */
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/session", 1), 0);
    assert_int_equal(seteuid(DAEMON), 0);
    assert_int_equal(conduit_listen(env->ctx, "vchan://name", &options, NULL,
                                    NULL, NULL, &err),
                     CONDUIT_EACCESS);
    assert_int_equal(seteuid(0), 0);
    assert_non_null(strstr(err.text, "/run/conduit/1"));
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    assert_int_equal(rmdir("/run/session"), 0);
}

/* As su leaves it: root's names are not for that user to exchange. */
static void the_session_is_another_users(void **state)
{
    struct t_env *env = begin(state);
    struct t_server s;
    struct stat st;

    assert_int_equal(mkdir("/run/session", 0700), 0);
    assert_int_equal(chown("/run/session", DAEMON, DAEMON), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/session", 1), 0);
    serve(&s, env, 0, NULL);
    assert_int_not_equal(lstat("/run/session/conduit", &st), 0);
    assert_int_equal(lstat("/run/conduit/0/name", &st), 0);
    assert_int_equal(dial_as(env, root, "vchan://name"), 0);
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    assert_int_equal(rmdir("/run/session"), 0);
    unserve(&s);
}

static void a_user_without_a_folder(void **state)
{
    struct t_env *env = begin(state);
    struct conduit_error err = {0};
    int code;

    assert_int_equal(seteuid(STRANGER), 0);
    code = conduit_listen(env->ctx, "vchan://name", NULL, NULL, NULL, NULL,
                          &err);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(code, CONDUIT_EACCESS);
    assert_non_null(strstr(err.text, "or have root make it"));
}

/* ---- who is admitted ---------------------------------------------------- */

static void nobody_is_named(void **state)
{
    struct t_env *env = begin(state);
    struct t_server s;

    make_folder(DAEMON, DAEMON, 0711);
    serve(&s, env, DAEMON, NULL);
    /* The socket's mode does not let them; admission would not either. */
    assert_int_equal(dial_as(env, stranger, "vchan://daemon@name"),
                     CONDUIT_EACCESS);
    assert_int_equal(chmod("/run/conduit/1/name", 0666), 0);
    assert_int_equal(dial_as(env, stranger, "vchan://daemon@name"),
                     CONDUIT_EACCESS);
    assert_non_null(strstr(env->log, "a user who was not named"));
    assert_int_equal(s.tail, 0);
    assert_int_equal(dial_as(env, root, "vchan://daemon@name"), 0);
    assert_int_equal(seteuid(DAEMON), 0); /* as the server would be */
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), 0);
    assert_int_equal(seteuid(0), 0);
    T_UNTIL(env, s.tail == 2);
    unserve(&s);
}

static void who_is_admitted(struct t_env *env, const char *const *users,
                            const int codes[5])
{
    const struct user *all[] = {&root, &daemon_user, &stranger, &member,
                                &also_member};
    struct t_server s;

    serve(&s, env, 0, users);
    for (size_t i = 0; i < 5; i++) {
        int code = dial_as(env, *all[i], "vchan://root@name");

        if (code != codes[i]) {
            fail_msg("user %zu gets %d, not %d, where %s is named", i, code,
                     codes[i], users[0]);
        }
    }
    unserve(&s);
}

#define NO CONDUIT_EACCESS

static void users_are_named(void **state)
{
    static const struct {
        const char *users[4];
        int codes[5]; /* root, daemon, stranger, member, also_member */
    } rows[] = {
        {{"daemon", NULL}, {0, 0, NO, NO, NO}},
        {{"1", NULL}, {0, 0, NO, NO, NO}},
        {{"12345", NULL}, {0, NO, 0, 0, 0}},
        {{"@daemon", NULL}, {0, 0, NO, 0, 0}},
        {{"daemon", "12345", NULL}, {0, 0, 0, 0, 0}},
        {{"nobody", "bin", "@daemon", NULL}, {0, 0, NO, 0, 0}},
        {{"nobody", NULL}, {0, NO, NO, NO, NO}},
    };
    struct t_env *env = begin(state);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        who_is_admitted(env, rows[i].users, rows[i].codes);
    }
}

/* As those of a directory are. */
static void a_member_of_many_groups(void **state)
{
    static const size_t many[] = {62, 63, 64, 255, 256, 300, 5000, MANY};
    static const char *const users[] = {"@daemon", NULL};
    struct t_env *env = begin(state);
    struct t_server s;

    serve(&s, env, 0, users);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        struct user in = {STRANGER, STRANGER, DAEMON, many[i]};
        struct user out = {STRANGER, STRANGER, 0, many[i]};

        assert_int_equal(dial_as(env, in, "vchan://root@name"), 0);
        assert_int_equal(dial_as(env, out, "vchan://root@name"), NO);
    }
    unserve(&s);
}

static void who_is_named_does_not_exist(void **state)
{
    static const char *const bad[] = {
        "nosuchuser", "@nosuchgroup", "",           "@",
        "-1",         "1x",           "4294967295", "99999999999999999999"};
    struct t_env *env = *state;

    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", t_dir(env), 1), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const users[] = {"root", bad[i], NULL};
        struct conduit_options options = {.users = users};
        struct conduit_error err = {0};

        assert_int_equal(conduit_listen(env->ctx, "vchan://name", &options,
                                        NULL, NULL, NULL, &err),
                         CONDUIT_ENAME);
        assert_non_null(strstr(err.text, "there is no "));
    }
    assert_int_equal(unsetenv("CONDUIT_RUNTIME_DIR"), 0);
}

/* The limit is each user's own. */
static void each_user_has_a_limit(void **state)
{
    static const char *const users[] = {"daemon", "12345", NULL};
    struct conduit_options options = {
        .ring_bytes = 4096, .ring_bytes_per_user = 3 * 4096, .users = users};
    struct t_env *env = begin(state);
    struct conduit_conn *conn;
    struct t_server s;

    t_listen(&s, env, "vchan://name", &options);
    conn = t_dial_now(env, "vchan://name");
    assert_int_equal(dial_as(env, root, "vchan://name"), CONDUIT_ELIMIT);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), 0);
    assert_int_equal(dial_as(env, daemon_user, "vchan://name"), CONDUIT_ELIMIT);
    assert_int_equal(dial_as(env, stranger, "vchan://name"), 0);
    conduit_conn_abort(conn);
    unserve(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(roots_folder_is_made),
        T_TEST(roots_names_are_found_by_all),
        T_TEST(ones_own_names_come_first),
        T_TEST(ones_own_server_is_dead),
        T_TEST(names_of_another_user),
        T_TEST(another_user_listens_there),
        T_TEST(a_session_is_not_for_others),
        T_TEST(the_session_is_another_users),
        T_TEST(a_user_without_a_folder),
        T_TEST(nobody_is_named),
        T_TEST(users_are_named),
        T_TEST(a_member_of_many_groups),
        T_TEST(who_is_named_does_not_exist),
        T_TEST(each_user_has_a_limit),
    };

    return cmocka_run_group_tests(tests, have_own_run, NULL);
}
