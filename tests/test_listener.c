/* SPDX-License-Identifier: ISC */
/* Listening: errors, wildcards, pausing, closing, and peers that do not open.
 */
#include "unix_support.h"

#include "chop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <conduit/transport.h>

static int setup(void **state)
{
    int rc = t_setup(state);
    struct t_env *env = *state;

    conduit_chop_set(NULL);
    assert_int_equal(conduit_register_chop(env->ctx), 0);
    return rc;
}

#define LISTEN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

static void on_nobody(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    (void)arg;
    (void)listener;
    conduit_conn_abort(conn);
}

/* Listening must fail with this. */
static struct conduit_error refused(struct t_env *env, const char *uri,
                                    const struct conduit_options *options)
{
    struct conduit_listener *listener = NULL;
    struct conduit_error err = {0};

    if (conduit_listen(env->ctx, uri, options, on_nobody, NULL, &listener,
                       &err) == 0) {
        fail_msg("%s was listened to", uri);
    }
    assert_null(listener);
    assert_true(strncmp(err.text, err.layer, strlen(err.layer)) == 0);
    return err;
}

static uint16_t port_of(const char *uri)
{
    return (uint16_t)strtoul(strrchr(uri, ':') + 1, NULL, 10);
}

/* Whether the other end closes a raw socket, in order or not. */
static bool is_closed(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char c;

    return poll(&p, 1, 0) == 1 && recv(fd, &c, 1, MSG_DONTWAIT) <= 0;
}

static void a_port_in_use_is_told(void **state)
{
    struct t_env *env = *state;
    uint16_t port = 0;
    int fd = t_raw_listen("127.0.0.1", &port, 8);
    struct conduit_error err;
    struct t_server s;
    char uri[64];

    (void)snprintf(uri, sizeof uri, "tcp://127.0.0.1:%u", port);
    err = refused(env, uri, NULL);
    assert_int_equal(err.code, CONDUIT_EADDRINUSE);
    assert_int_equal(err.native, EADDRINUSE);
    assert_string_equal(err.layer, "tcp+socket");
    assert_non_null(strstr(err.text, uri + 6));
    t_listen(&s, env, "tcp://127.0.0.1:0", NULL);
    err = refused(env, conduit_listener_uri(s.listener), NULL);
    assert_int_equal(err.code, CONDUIT_EADDRINUSE);
    t_unlisten(&s);
    (void)close(fd);
}

static void addresses_of_others_are_told(void **state)
{
    struct conduit_error err = refused(*state, "tcp://192.0.2.1:0", NULL);

    assert_int_equal(err.code, CONDUIT_EADDRNOTAVAIL);
    assert_int_equal(err.native, EADDRNOTAVAIL);
}

static void unknown_names_are_told(void **state)
{
    struct conduit_error err = refused(*state, "tcp://nobody.test:0", NULL);

    assert_int_equal(err.code, CONDUIT_ENAME);
    assert_string_equal(err.layer, "resolver");
}

static void a_name_of_mem_is_taken_once(void **state)
{
    struct t_env *env = *state;
    struct t_server s;

    t_listen(&s, env, "mem://one", NULL);
    assert_int_equal(refused(env, "mem://one", NULL).code, CONDUIT_EADDRINUSE);
    t_unlisten(&s);
    t_listen(&s, env, "mem://one", NULL);
    t_unlisten(&s);
}

static int only_check(struct conduit_ctx *ctx, struct conduit_uri *uri,
                      struct conduit_error *err)
{
    return conduit_uri_check_name(ctx, uri, err);
}

static void transports_that_cannot_listen_say_so(void **state)
{
    static const struct conduit_transport dumb = {
        .name = "dumb", .summary = "nothing", .check = only_check};
    struct t_env *env = *state;
    struct t_client c;

    assert_int_equal(conduit_register_transport(env->ctx, &dumb), 0);
    assert_int_equal(refused(env, "dumb://x", NULL).code, CONDUIT_ENOTSUP);
    t_dial(&c, env, "dumb://x", NULL);
    T_UNTIL(env, c.calls == 1);
    assert_int_equal(c.err.code, CONDUIT_ENOTSUP);
}

/* ---- names and ports ---------------------------------------------------- */

static void the_uri_has_the_real_port(void **state)
{
    static const char *const given[] = {
        "tcp://127.0.0.1:0", "tcp+socket://127.0.0.1:0",
        "chop+tcp://127.0.0.1:0", "http+tcp://127.0.0.1:0/path?q",
        "TCP://localhost:0"};
    struct t_env *env = *state;

    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        struct t_server s;
        const char *uri;
        const char *colon = strrchr(given[i], ':');
        size_t same = (size_t)(colon + 1 - given[i]);
        int fd;

        t_listen(&s, env, given[i], NULL);
        uri = conduit_listener_uri(s.listener);
        assert_memory_equal(uri, given[i], same);
        assert_in_range(port_of(uri), 1, 65535);
        assert_string_equal(uri + same + strspn(uri + same, "0123456789"),
                            colon + 2);
        fd = t_raw_connect("127.0.0.1", port_of(uri));
        T_UNTIL(env, s.tail == 1);
        (void)close(fd);
        t_unlisten(&s);
    }
}

static struct conduit_conn *one_peer(struct t_env *env, struct t_server *s)
{
    struct conduit_conn *conn = NULL;

    T_UNTIL(env, (conn = t_accepted(s)) != NULL);
    return conn;
}

static void the_wildcard_takes_both_families(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct conduit_conn *conn;
    char peer[CONDUIT_PEER_TEXT];
    uint16_t port;
    int fd;

    t_listen(&s, env, "tcp://:0", NULL);
    assert_true(strncmp(conduit_listener_uri(s.listener), "tcp://:", 7) == 0);
    port = port_of(conduit_listener_uri(s.listener));
    fd = t_raw_connect("127.0.0.1", port);
    conn = one_peer(env, &s);
    assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_PEER, peer), 0);
    assert_true(strncmp(peer, "127.0.0.1:", 10) == 0); /* not ::ffff:... */
    conduit_conn_abort(conn);
    (void)close(fd);
    if (t_have_ipv6()) {
        fd = t_raw_connect("::1", port);
        conn = one_peer(env, &s);
        assert_int_equal(conduit_conn_query(conn, CONDUIT_QUERY_PEER, peer), 0);
        assert_true(strncmp(peer, "[::1]:", 6) == 0);
        conduit_conn_abort(conn);
        (void)close(fd);
    }
    t_unlisten(&s);
}

static void localhost_is_listened_to_on_each_address(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    uint16_t port;
    int fds[2] = {-1, -1};

    t_listen(&s, env, "tcp://localhost:0", NULL);
    port = port_of(conduit_listener_uri(s.listener));
    fds[0] = t_raw_connect("127.0.0.1", port);
    conduit_conn_abort(one_peer(env, &s));
    if (t_have_ipv6()) {
        fds[1] = t_raw_connect("::1", port);
        conduit_conn_abort(one_peer(env, &s));
        (void)close(fds[1]);
    }
    (void)close(fds[0]);
    t_unlisten(&s);
}

static void listeners_may_share_a_port(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.reuse_port = true};
    struct t_server a;
    struct t_server b;
    uint16_t port;
    int fds[32];

    t_listen(&a, env, "tcp://127.0.0.1:0", &options);
    assert_int_equal(refused(env, conduit_listener_uri(a.listener), NULL).code,
                     CONDUIT_EADDRINUSE);
    t_listen(&b, env, conduit_listener_uri(a.listener), &options);
    port = port_of(conduit_listener_uri(a.listener));
    for (int i = 0; i < 32; i++) {
        fds[i] = t_raw_connect("127.0.0.1", port);
    }
    T_UNTIL(env, a.tail + b.tail == 32);
    for (int i = 0; i < 32; i++) {
        (void)close(fds[i]);
    }
    t_unlisten(&a);
    t_unlisten(&b);
}

/* ---- pausing ------------------------------------------------------------ */

static void pause_and_resume(struct t_env *env, const char *uri)
{
    struct t_server s;
    struct t_client c[3];

    t_listen(&s, env, uri, NULL);
    conduit_listener_pause(s.listener);
    conduit_listener_pause(s.listener);
    for (int i = 0; i < 3; i++) {
        t_dial(&c[i], env, conduit_listener_uri(s.listener), NULL);
    }
    T_UNTIL(env, c[0].calls + c[1].calls + c[2].calls == 3); /* the queue's */
    t_turns(env, 20);
    assert_int_equal(s.tail, 0);
    conduit_listener_resume(s.listener);
    conduit_listener_resume(s.listener);
    T_UNTIL(env, s.tail == 3);
    conduit_listener_pause(s.listener);
    conduit_listener_resume(s.listener);
    for (int i = 0; i < 3; i++) {
        assert_non_null(c[i].conn);
        conduit_conn_abort(c[i].conn);
    }
    t_unlisten(&s);
}

static void a_paused_listener_takes_nobody(void **state)
{
    struct t_env *env = *state;
    char uri[96];

    pause_and_resume(env, "tcp://127.0.0.1:0");
    pause_and_resume(env, "mem://pause");
    (void)snprintf(uri, sizeof uri, "unix://%s/pause", t_dir(env));
    pause_and_resume(env, uri);
}

static void a_paused_listener_lets_the_loop_sleep(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    int fd;

    t_listen(&s, env, "tcp://127.0.0.1:0", NULL);
    conduit_listener_pause(s.listener);
    fd = t_raw_connect("127.0.0.1", port_of(conduit_listener_uri(s.listener)));
    t_turns(env, 5);
    assert_in_range(t_turns_in(env, 50), 1, 5);
    t_unlisten(&s);
    (void)close(fd);
}

/* ---- closing ------------------------------------------------------------ */

static void closing_frees_the_port(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct conduit_conn *conn;
    char uri[64];
    int fd;

    t_listen(&s, env, "tcp://127.0.0.1:0", NULL);
    (void)snprintf(uri, sizeof uri, "%s", conduit_listener_uri(s.listener));
    fd = t_raw_connect("127.0.0.1", port_of(uri));
    conn = one_peer(env, &s);
    conduit_listener_close(s.listener);
    t_listen(&s, env, uri, NULL); /* at once, beside a live connection */
    t_unlisten(&s);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
    T_POLL(env, conduit_conn_read(conn, &(char){0}, 1) == 1);
    conduit_conn_abort(conn);
    (void)close(fd);
    conduit_listener_close(NULL);
}

struct closing {
    struct t_env *env;
    struct conduit_listener *listener;
    unsigned calls;
};

static void close_in_accept(void *arg, struct conduit_listener *listener,
                            struct conduit_conn *conn)
{
    struct closing *c = arg;

    T_CHECK(c->env, listener == c->listener);
    c->calls++;
    conduit_listener_close(listener);
    conduit_conn_close(conn);
}

static void a_listener_is_closed_in_its_callback(void **state)
{
    struct t_env *env = *state;
    static const char *const uris[] = {"tcp://127.0.0.1:0", "mem://closing",
                                       "chop+tcp://127.0.0.1:0"};

    for (size_t i = 0; i < 3; i++) {
        struct closing c = {env, NULL, 0};
        struct t_client a;
        struct t_client b;

        assert_int_equal(conduit_listen(env->ctx, uris[i], NULL,
                                        close_in_accept, &c, &c.listener, NULL),
                         0);
        t_dial(&a, env, conduit_listener_uri(c.listener), NULL);
        t_dial(&b, env, conduit_listener_uri(c.listener), NULL);
        T_UNTIL(env, c.calls == 1 && a.calls == 1 && b.calls == 1);
        t_turns(env, 5);
        assert_int_equal(c.calls, 1);
        conduit_conn_abort(a.conn);
        conduit_conn_abort(b.conn);
    }
}

/* ---- peers that do not open --------------------------------------------- */

static void a_peer_that_does_not_open_is_dropped(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.open_ms = 30};
    struct conduit_chop_settings never = {.never_opens = true};
    struct t_server s;
    uint16_t port;
    int fd;

    conduit_chop_set(&never);
    t_listen(&s, env, "chop+tcp://127.0.0.1:0", &options);
    port = port_of(conduit_listener_uri(s.listener));
    fd = t_raw_connect("127.0.0.1", port);
    T_UNTIL(env, is_closed(fd));
    (void)close(fd);
    assert_int_equal(s.tail, 0);
    assert_non_null(strstr(env->log, "did not open"));
    conduit_chop_set(NULL);
    fd = t_raw_connect("127.0.0.1", port); /* and the next one works */
    conduit_conn_abort(one_peer(env, &s));
    (void)close(fd);
    t_unlisten(&s);
}

static void so_many_open_at_once_and_no_more(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.open_ms = 60, .max_opening = 2};
    struct conduit_chop_settings never = {.never_opens = true};
    struct t_server s;
    uint16_t port;
    int fds[5];
    int before;

    conduit_chop_set(&never);
    t_listen(&s, env, "chop+tcp://127.0.0.1:0", &options);
    port = port_of(conduit_listener_uri(s.listener));
    for (int i = 0; i < 5; i++) {
        fds[i] = t_raw_connect("127.0.0.1", port);
    }
    before = t_fd_count();
    T_UNTIL(env, t_fd_count() >= before + 2);
    t_turns(env, 10);
    assert_int_equal(t_fd_count(), before + 2);
    T_UNTIL(env, is_closed(fds[0]) && is_closed(fds[1]));
    for (int i = 2; i < 5; i++) {
        T_UNTIL(env, is_closed(fds[i]));
        assert_true(t_fd_count() <= before + 2);
    }
    for (int i = 0; i < 5; i++) {
        (void)close(fds[i]);
    }
    assert_int_equal(s.tail, 0);
    t_unlisten(&s);
}

static void closing_drops_what_was_opening(void **state)
{
    struct t_env *env = *state;
    struct conduit_chop_settings never = {.never_opens = true};
    struct t_server s;
    int before;
    int fd;

    conduit_chop_set(&never);
    t_listen(&s, env, "chop+chop+tcp://127.0.0.1:0", NULL);
    fd = t_raw_connect("127.0.0.1", port_of(conduit_listener_uri(s.listener)));
    before = t_fd_count();
    T_UNTIL(env, t_fd_count() > before);
    t_unlisten(&s);
    T_UNTIL(env, is_closed(fd));
    assert_int_equal(t_fd_count(), before - 1);
    (void)close(fd);
}

/* A peer that is gone before it was taken does no harm. */
static void peers_may_be_gone_already(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct linger reset = {.l_onoff = 1};
    struct conduit_conn *conn;
    uint16_t port;

    t_listen(&s, env, "tcp://127.0.0.1:0", NULL);
    port = port_of(conduit_listener_uri(s.listener));
    for (int i = 0; i < 10; i++) {
        int fd = t_raw_connect("127.0.0.1", port);

        if (i % 2 == 0) {
            assert_int_equal(
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
        }
        (void)close(fd);
    }
    t_turns(env, 20);
    while ((conn = t_accepted(&s)) != NULL) {
        assert_int_not_equal(conduit_conn_read(conn, &(char){0}, 1), 0);
        conduit_conn_close(conn);
    }
    (void)close(t_raw_connect("127.0.0.1", port));
    conduit_conn_close(one_peer(env, &s));
    t_unlisten(&s);
}

static void listeners_go_with_the_context(void **state)
{
    struct t_env *env = *state;
    struct t_server s[3];
    struct t_client c;
    char uri[96];

    t_listen(&s[0], env, "tcp://127.0.0.1:0", NULL);
    t_listen(&s[1], env, "mem://left", NULL);
    (void)snprintf(uri, sizeof uri, "unix://%s/left", t_dir(env));
    t_listen(&s[2], env, uri, NULL);
    t_dial(&c, env, "mem://left", NULL);
    t_turns(env, 1);
    /* the teardown looks */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        LISTEN_TEST(a_port_in_use_is_told),
        LISTEN_TEST(addresses_of_others_are_told),
        LISTEN_TEST(unknown_names_are_told),
        LISTEN_TEST(a_name_of_mem_is_taken_once),
        LISTEN_TEST(transports_that_cannot_listen_say_so),
        LISTEN_TEST(the_uri_has_the_real_port),
        LISTEN_TEST(the_wildcard_takes_both_families),
        LISTEN_TEST(localhost_is_listened_to_on_each_address),
        LISTEN_TEST(listeners_may_share_a_port),
        LISTEN_TEST(a_paused_listener_takes_nobody),
        LISTEN_TEST(a_paused_listener_lets_the_loop_sleep),
        LISTEN_TEST(closing_frees_the_port),
        LISTEN_TEST(a_listener_is_closed_in_its_callback),
        LISTEN_TEST(a_peer_that_does_not_open_is_dropped),
        LISTEN_TEST(so_many_open_at_once_and_no_more),
        LISTEN_TEST(closing_drops_what_was_opening),
        LISTEN_TEST(peers_may_be_gone_already),
        LISTEN_TEST(listeners_go_with_the_context),
    };

    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
