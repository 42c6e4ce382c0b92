/* SPDX-License-Identifier: ISC */
/*
 * Listening at auto://: TCP and a name in the registry behind one listener,
 * which has the port that TCP got; and what becomes of it where one of the two
 * cannot be had.
 */
#include "unix_support.h"

#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    int rc = t_setup(state);

    return rc != 0 ? rc : setenv("CONDUIT_RUNTIME_DIR", t_dir(*state), 1);
}

#define AUTO_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

static uint16_t port_of(const struct conduit_listener *l)
{
    const char *colon = strrchr(conduit_listener_uri(l), ':');

    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static bool is_registered(struct t_env *env, uint16_t port)
{
    struct stat st;
    char path[96];

    (void)snprintf(path, sizeof path, "%s/auto.%u", t_dir(env), port);
    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Whether a URI with the port leads to a connection of these layers. */
static void check_reached(struct t_env *env, const char *before, uint16_t port,
                          const char *wanted)
{
    struct conduit_conn *conn;
    char layers[64];
    char uri[64];

    (void)snprintf(uri, sizeof uri, "%s:%u", before, port);
    conn = t_dial_now(env, uri);
    assert_string_equal(conduit_conn_layers(conn, layers, sizeof layers),
                        wanted);
    conduit_conn_abort(conn);
}

static int listen_at(struct t_env *env, const char *uri,
                     const struct conduit_options *options,
                     struct conduit_error *err)
{
    struct conduit_listener *l = NULL;
    int code = conduit_listen(env->ctx, uri, options, NULL, NULL, &l, err);

    assert_true((code == 0) == (l != NULL));
    conduit_listener_close(l);
    return code;
}

static void one_listener_has_both(void **state)
{
    static const struct {
        const char *listen;
        const char *reach; /* of auto, and behind that of tcp */
    } uris[] = {
        {"auto://127.0.0.1:0", "auto://127.0.0.1"},
        {"auto://:0", "auto://127.0.0.1"},
        {"http+auto://localhost:0/x", "auto://localhost"},
        {"auto://[::1]:0", "auto://[::1]"},
    };
    struct t_env *env = *state;
    char tcp[64];

    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        struct t_server s;
        unsigned long port;
        const char *text;

        if (strchr(uris[i].listen, '[') != NULL && !t_have_ipv6()) {
            continue;
        }
        t_listen(&s, env, uris[i].listen, NULL);
        text = conduit_listener_uri(s.listener);
        port = strtoul(strrchr(text, ':') + 1, NULL, 10);
        assert_in_range(port, 1, 65535);
        assert_true(is_registered(env, (uint16_t)port));
        check_reached(env, uris[i].reach, (uint16_t)port, "vchan");
        (void)snprintf(tcp, sizeof tcp, "tcp%s", uris[i].reach + 4);
        check_reached(env, tcp, (uint16_t)port, "tcp+socket");
        T_UNTIL(env, s.tail == 2);
        t_unlisten(&s);
        assert_false(is_registered(env, (uint16_t)port));
    }
}

/* Both or none: TCP is not left behind. */
static void a_name_that_somebody_has_is_told(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err = {0};
    struct t_server has;
    uint16_t port = 0;
    int fd = t_raw_bind("127.0.0.1", &port);
    char name[32];
    char uri[64];

    (void)close(fd);
    (void)snprintf(name, sizeof name, "auto.%u", port);
    (void)snprintf(uri, sizeof uri, "vchan://%s", name);
    t_listen(&has, env, uri, NULL);
    (void)snprintf(uri, sizeof uri, "auto://127.0.0.1:%u", port);
    assert_int_equal(listen_at(env, uri, NULL, &err), CONDUIT_EADDRINUSE);
    assert_int_equal(err.code, CONDUIT_EADDRINUSE);
    assert_non_null(strstr(err.text, name));
    fd = t_raw_bind("127.0.0.1", &port);
    assert_true(fd >= 0);
    (void)close(fd);
    t_unlisten(&has);
    assert_int_equal(listen_at(env, uri, NULL, &err), 0);
}

/* Of several that share a port one has the name, and goes with it. */
static void a_port_can_be_shared(void **state)
{
    struct conduit_options options = {.reuse_port = true};
    struct t_env *env = *state;
    struct t_server first;
    struct t_server second;

    t_listen(&first, env, "auto://127.0.0.1:0", &options);
    t_listen(&second, env, conduit_listener_uri(first.listener), &options);
    assert_non_null(strstr(env->log, "auto: auto."));
    check_reached(env, "auto://127.0.0.1", port_of(first.listener), "vchan");
    T_UNTIL(env, first.tail == 1);
    t_unlisten(&second);
    assert_true(is_registered(env, port_of(first.listener)));
    t_unlisten(&first);
}

/* Nowhere to register: TCP alone, and the log says so. A name has nothing else.
 */
static void without_a_registry_there_is_tcp(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err = {0};
    struct t_server s;
    char path[96];

    (void)snprintf(path, sizeof path, "%s/none/below", t_dir(env));
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", path, 1), 0);
    t_listen(&s, env, "auto://127.0.0.1:0", NULL);
    assert_non_null(strstr(env->log, "auto: auto."));
    assert_non_null(strstr(env->log, path));
    check_reached(env, "auto://127.0.0.1", port_of(s.listener), "tcp+socket");
    t_unlisten(&s);
    assert_int_equal(listen_at(env, "auto://service", NULL, &err),
                     CONDUIT_EACCESS);
    assert_int_equal(err.code, CONDUIT_EACCESS);
    assert_non_null(strstr(err.text, path));
}

/* A folder that others can write to is no registry either. */
static void nothing_is_registered_where_others_write(void **state)
{
    struct t_env *env = *state;
    struct t_server s;

    assert_int_equal(chmod(t_dir(env), 0777), 0);
    t_listen(&s, env, "auto://127.0.0.1:0", NULL);
    assert_false(is_registered(env, port_of(s.listener)));
    assert_non_null(strstr(env->log, "auto: auto."));
    t_unlisten(&s);
}

/* What cannot be listened at is not registered. */
static void without_tcp_there_is_nothing(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err = {0};
    uint16_t port = 0;
    int fd = t_raw_listen("127.0.0.1", &port, 1);
    char uri[64];

    assert_int_equal(listen_at(env, "auto://192.0.2.1:8", NULL, &err),
                     CONDUIT_EADDRNOTAVAIL);
    assert_non_null(strstr(err.text, "192.0.2.1"));
    assert_false(is_registered(env, 8));
    (void)snprintf(uri, sizeof uri, "auto://127.0.0.1:%u", port);
    assert_int_equal(listen_at(env, uri, NULL, &err), CONDUIT_EADDRINUSE);
    assert_non_null(strstr(err.text, "tcp+socket"));
    assert_false(is_registered(env, port));
    (void)close(fd);
}

/* What is wrong with options is no reason to go on without. */
static void wrong_options_are_refused(void **state)
{
    static const char *const nobody[] = {"no such user", NULL};
    struct conduit_options users = {.users = nobody};
    struct conduit_options bytes = {.ring_bytes = 4u << 20};
    struct t_env *env = *state;
    struct conduit_error err = {0};

    assert_int_equal(chmod(t_dir(env), 0711), 0);
    assert_int_equal(listen_at(env, "auto://127.0.0.1:0", &users, &err),
                     CONDUIT_ENAME);
    assert_int_equal(listen_at(env, "auto://service", &users, &err),
                     CONDUIT_ENAME);
    assert_int_equal(listen_at(env, "auto://127.0.0.1:0", &bytes, &err),
                     CONDUIT_ELIMIT);
    assert_int_equal(listen_at(env, "auto://service", &bytes, &err),
                     CONDUIT_ELIMIT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        AUTO_TEST(one_listener_has_both),
        AUTO_TEST(a_name_that_somebody_has_is_told),
        AUTO_TEST(a_port_can_be_shared),
        AUTO_TEST(without_a_registry_there_is_tcp),
        AUTO_TEST(nothing_is_registered_where_others_write),
        AUTO_TEST(without_tcp_there_is_nothing),
        AUTO_TEST(wrong_options_are_refused),
    };

    return cmocka_run_group_tests_name("auto_listen", tests, NULL, NULL);
}
