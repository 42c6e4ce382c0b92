/* SPDX-License-Identifier: ISC */
/* Dialling on the system's sockets: what it says of a failure, and who wins. */
#include "unix_support.h"

#include <errno.h>
#include <unistd.h>

static void finish(struct t_client *c)
{
    T_UNTIL(c->env, c->calls != 0);
    t_turns(c->env, 3);
    assert_int_equal(c->calls, 1);
}

static void a_refusal_is_told_with_its_cause(void **state)
{
    struct t_env *env = *state;
    uint16_t port = 0;
    int fd = t_raw_bind("127.0.0.1", &port); /* nobody listens */
    struct t_client c;
    char uri[64];

    (void)snprintf(uri, sizeof uri, "tcp://127.0.0.1:%u", port);
    t_dial(&c, env, uri, NULL);
    finish(&c);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_EREFUSED);
    assert_int_equal(c.err.native, ECONNREFUSED);
    assert_string_equal(c.err.layer, "tcp+socket");
    assert_non_null(strstr(c.err.text, uri + 6));
    assert_int_equal(c.attempts, 1);
    assert_int_equal(c.attempt[0].error.code, CONDUIT_EREFUSED);
    assert_int_equal(c.attempt[0].error.native, ECONNREFUSED);
    assert_non_null(strstr(c.attempt[0].endpoint, uri + 6));
    (void)close(fd);
}

static void unix_sockets_tell_missing_from_dead(void **state)
{
    struct t_env *env = *state;
    struct t_client c;
    char path[96];
    char uri[128];

    (void)snprintf(path, sizeof path, "%s/s", t_dir(env));
    (void)snprintf(uri, sizeof uri, "unix://%s", path);
    t_dial(&c, env, uri, NULL);
    finish(&c);
    assert_int_equal(c.err.code, CONDUIT_ENOENT);
    assert_int_equal(c.err.native, ENOENT);
    assert_non_null(strstr(c.err.text, path));
    (void)close(t_raw_listen_unix(path)); /* the file stays */
    t_dial(&c, env, uri, NULL);
    finish(&c);
    assert_int_equal(c.err.code, CONDUIT_EREFUSED);
    assert_int_equal(c.err.native, ECONNREFUSED);
}

static void a_silent_peer_meets_the_attempts_deadline(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.attempt_ms = 50};
    uint16_t port = 0;
    struct t_client c;
    char uri[64];
    uint64_t begin = t_ms();
    int fds[2];

    t_raw_silent("127.0.0.1", &port, fds);
    (void)snprintf(uri, sizeof uri, "tcp://127.0.0.1:%u", port);
    t_dial(&c, env, uri, &options);
    finish(&c);
    assert_int_equal(c.err.code, CONDUIT_ETIMEDOUT);
    assert_in_range(t_ms() - begin, 49, 5000);
    assert_int_equal(c.attempt[0].error.code, CONDUIT_ETIMEDOUT);
    assert_in_range(c.attempt[0].elapsed_us, 45000, 5000000);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* One refuses, one is silent, one is there: it wins, and the rest is told. */
static void the_next_address_wins(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options = {.stagger_ms = 30};
    uint16_t port = 0;
    struct t_client c;
    struct conduit_attempt a;
    char uri[64];
    char peer[CONDUIT_PEER_TEXT];
    int fds[2];
    int refuses;
    int live;

    t_raw_silent("127.0.0.3", &port, fds);
    refuses = t_raw_bind("127.0.0.2", &port);
    live = t_raw_listen("127.0.0.4", &port, 8);
    assert_true(refuses >= 0 && live >= 0);
    for (int i = 2; i <= 4; i++) {
        char address[32];

        (void)snprintf(address, sizeof address, "127.0.0.%d", i);
        assert_int_equal(
            conduit_resolver_add_host(env->ctx, "three.test", address, NULL),
            0);
    }
    (void)snprintf(uri, sizeof uri, "tcp://three.test:%u", port);
    t_dial(&c, env, uri, &options);
    finish(&c);
    assert_non_null(c.conn);
    assert_int_equal(conduit_conn_query(c.conn, CONDUIT_QUERY_PEER, peer), 0);
    assert_true(strncmp(peer, "127.0.0.4:", 10) == 0);
    assert_int_equal(c.attempts, 3);
    assert_int_equal(c.attempt[0].error.code, CONDUIT_EREFUSED);
    assert_int_equal(c.attempt[1].error.code, CONDUIT_ECANCELED);
    assert_int_equal(c.attempt[2].error.code, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(conduit_conn_attempt(c.conn, i, &a));
        assert_string_equal(a.endpoint, c.attempt[i].endpoint);
        assert_int_equal(a.error.code, c.attempt[i].error.code);
        assert_int_equal(a.error.native, c.attempt[i].error.native);
        assert_string_equal(a.error.text, c.attempt[i].error.text);
        assert_int_equal(a.start_us, c.attempt[i].start_us);
        assert_int_equal(a.elapsed_us, c.attempt[i].elapsed_us);
    }
    assert_false(conduit_conn_attempt(c.conn, 3, &a));
    conduit_conn_abort(c.conn);
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)close(refuses);
    (void)close(live);
}

static void port_zero_is_for_listeners(void **state)
{
    struct t_client c;

    t_dial(&c, *state, "tcp://127.0.0.1:0", NULL);
    finish(&c);
    assert_int_equal(c.err.code, CONDUIT_EINVAL);
}

static void a_dial_is_cancelled_while_its_connection_opens(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct t_client c;

    t_listen(&s, env, "tcp://127.0.0.1:0", NULL);
    for (unsigned turns = 0; turns < 3; turns++) {
        t_dial(&c, env, conduit_listener_uri(s.listener), NULL);
        for (unsigned i = 0; i < turns && c.calls == 0; i++) {
            t_turn(env, 0);
        }
        if (c.calls == 0) {
            conduit_dial_cancel(c.dial);
        }
        t_turns(env, 5);
        if (c.conn != NULL) {
            conduit_conn_abort(c.conn);
        }
    }
    t_unlisten(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(a_refusal_is_told_with_its_cause),
        T_TEST(unix_sockets_tell_missing_from_dead),
        T_TEST(a_silent_peer_meets_the_attempts_deadline),
        T_TEST(the_next_address_wins),
        T_TEST(port_zero_is_for_listeners),
        T_TEST(a_dial_is_cancelled_while_its_connection_opens),
    };

    return cmocka_run_group_tests_name("dial_socket", tests, NULL, NULL);
}
