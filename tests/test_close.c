/* SPDX-License-Identifier: ISC */
/*
 * Closing and aborting as a peer sees it that is not conduit but the system's
 * bare socket.
 */
#include "unix_support.h"

#include "chop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct ends {
    struct t_env *env;
    struct conduit_conn *conn;
    int fd; /* non-blocking */
};

static int setup(void **state)
{
    int rc = t_setup(state);
    struct t_env *env = *state;

    conduit_chop_set(NULL);
    assert_int_equal(conduit_register_chop(env->ctx), 0);
    return rc;
}

#define CLOSE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

/* A raw socket that is connected to a connection of the listener. */
static void join(struct ends *e, struct t_env *env, const char *uri)
{
    struct t_server s;
    const char *text;

    t_listen(&s, env, uri, NULL);
    text = conduit_listener_uri(s.listener);
    e->env = env;
    e->fd = strstr(uri, "unix") != NULL
                ? t_raw_connect_unix(strstr(text, "://") + 3)
                : t_raw_connect(
                      "127.0.0.1",
                      (uint16_t)strtoul(strrchr(text, ':') + 1, NULL, 10));
    T_UNTIL(env, (e->conn = t_accepted(&s)) != NULL);
    t_unlisten(&s);
    assert_int_equal(fcntl(e->fd, F_SETFL, O_NONBLOCK), 0);
}

/* Waits until the raw socket answers something other than "not now". */
static ssize_t receive(struct ends *e, void *buf, size_t n)
{
    ssize_t got = -1;

    T_POLL(e->env, (got = recv(e->fd, buf, n, 0)) >= 0 || errno != EAGAIN);
    return got;
}

/* Reads stream 1 to its end, in pieces; answers how many bytes came. */
static uint64_t read_slowly(struct ends *e, size_t piece, int *error)
{
    static uint8_t buf[65536];
    uint64_t at = 0;
    ssize_t got;

    while ((got = receive(e, buf, piece)) > 0) {
        assert_true(t_match(1, at, buf, (size_t)got));
        at += (uint64_t)got;
    }
    *error = got < 0 ? errno : 0;
    return at;
}

/*
 * Writes until nothing goes any more. Small pieces are gathered, so that
 * conduit itself holds some in the end; large ones are all in the system's
 * hands. Answers how many bytes were accepted.
 */
static uint64_t write_all_it_takes(struct ends *e, size_t piece)
{
    static uint8_t buf[65536];
    uint64_t sent = 0;
    int idle = 0;

    while (idle < 50) {
        long done;

        t_fill(1, sent, buf, piece);
        done = conduit_conn_write(e->conn, buf, piece);
        idle = done > 0 ? 0 : idle + 1;
        sent += done > 0 ? (uint64_t)done : 0;
        if (done <= 0) {
            t_turns(e->env, 1);
        }
    }
    return sent;
}

static void finish_loop(struct t_env *env)
{
    env->turning = true;
    conduit_loop_finish(env->loop);
    env->turning = false;
}

static void a_slow_reader_gets_everything(void **state)
{
    struct t_env *env = *state;
    char unix_uri[96];
    const char *uris[] = {"tcp://127.0.0.1:0", unix_uri,
                          "chop+tcp://127.0.0.1:0"};
    struct conduit_chop_settings whole = {.again_percent = 20, .whole = true};

    conduit_chop_set(&whole);
    (void)snprintf(unix_uri, sizeof unix_uri, "unix://%s/s", t_dir(env));
    for (size_t i = 0; i < 3; i++) {
        struct ends e;
        uint64_t sent;
        int error = 0;

        join(&e, env, uris[i]);
        sent = write_all_it_takes(&e, 1500);
        assert_true(sent > 100000);
        conduit_conn_close(e.conn);
        assert_int_equal(read_slowly(&e, 50000, &error), sent);
        assert_int_equal(error, 0);
        (void)close(e.fd);
        finish_loop(env);
    }
    assert_string_equal(env->log, "");
}

static void a_reader_that_never_comes_is_dropped_and_logged(void **state)
{
    struct t_env *env = *state;
    struct ends e;
    uint64_t begin;

    join(&e, env, "tcp://127.0.0.1:0");
    (void)write_all_it_takes(&e, 1500);
    conduit_conn_set_linger(e.conn, 100);
    begin = t_ms();
    conduit_conn_close(e.conn);
    finish_loop(env);
    assert_in_range(t_ms() - begin, 90, 1500);
    assert_non_null(strstr(env->log, "linger"));
    assert_non_null(strstr(env->log, "tcp+socket"));
    (void)close(e.fd);
}

/* All is delivered, and the peer just does not end its side: linger is enough.
 */
static void a_peer_that_never_ends_is_left_in_time(void **state)
{
    struct t_env *env = *state;
    struct ends e;
    uint64_t begin;

    join(&e, env, "tcp://127.0.0.1:0");
    conduit_conn_set_linger(e.conn, 100);
    begin = t_ms();
    conduit_conn_close(e.conn);
    finish_loop(env);
    assert_in_range(t_ms() - begin, 0, 1500);
    (void)close(e.fd);
}

static void unread_input_does_not_hurt_the_output(void **state)
{
    struct t_env *env = *state;
    static char junk[20000];
    struct ends e;
    int error = 0;
    uint8_t buf[500];

    join(&e, env, "tcp://127.0.0.1:0");
    assert_int_equal(send(e.fd, junk, sizeof junk, MSG_NOSIGNAL), sizeof junk);
    t_turns(env, 5);
    t_fill(1, 0, buf, sizeof buf);
    assert_int_equal(conduit_conn_write(e.conn, buf, sizeof buf), sizeof buf);
    conduit_conn_close(e.conn);
    t_turns(env, 5);
    (void)send(e.fd, junk, sizeof junk, MSG_NOSIGNAL);
    t_turns(env, 5);
    assert_int_equal(read_slowly(&e, 100, &error), sizeof buf);
    assert_int_equal(error, 0);
    (void)close(e.fd);
    finish_loop(env);
}

/* What is accepted is delivered until linger ends, whatever the peer sends. */
static void a_slow_reader_that_keeps_sending_gets_everything(void **state)
{
    struct t_env *env = *state;
    static uint8_t buf[65536];
    struct ends e;
    int small = 20000;
    uint64_t sent;
    uint64_t at = 0;
    uint64_t begin;
    ssize_t got = 1;

    join(&e, env, "tcp://127.0.0.1:0");
    assert_int_equal(
        setsockopt(e.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small),
        0); /* most of it waits at the sender */
    sent = write_all_it_takes(&e, 65536);
    conduit_conn_close(e.conn);
    begin = t_ms();
    while (got != 0) {
        uint64_t ms = t_ms() - begin;

        if (ms < 2500) {
            (void)send(e.fd, "x", 1, MSG_NOSIGNAL);
            t_turn(env, 10);
            if (at * 2500 > sent / 2 * ms) {
                continue; /* half of it in this time */
            }
        }
        got = recv(e.fd, buf, 4096, 0);
        assert_true(got >= 0 || errno == EAGAIN);
        if (got > 0) {
            assert_true(t_match(1, at, buf, (size_t)got));
            at += (uint64_t)got;
        }
        t_turn(env, 0);
    }
    assert_int_equal(at, sent);
    (void)close(e.fd);
    finish_loop(env);
}

static void an_abort_resets_tcp(void **state)
{
    struct t_env *env = *state;
    struct ends e;
    char c;

    join(&e, env, "tcp://127.0.0.1:0");
    conduit_conn_abort(e.conn);
    t_turns(env, 2);
    assert_int_equal(receive(&e, &c, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    (void)close(e.fd);
    join(&e, env, "chop+chop+tcp://127.0.0.1:0");
    conduit_conn_abort(e.conn);
    t_turns(env, 2);
    assert_int_equal(receive(&e, &c, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    (void)close(e.fd);
}

static void a_reset_by_the_peer_has_its_cause(void **state)
{
    struct t_env *env = *state;
    struct linger reset = {.l_onoff = 1};
    struct conduit_error err = {0};
    struct ends e;
    struct t_conn t = {0};

    join(&e, env, "tcp://127.0.0.1:0");
    t.pull = true;
    t_attach(&t, env, e.conn, CONDUIT_READ);
    assert_int_equal(
        setsockopt(e.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    (void)close(e.fd);
    T_UNTIL(env, t.end != 0);
    assert_int_equal(t.end, CONDUIT_ERESET);
    assert_int_equal(conduit_conn_error(e.conn, &err), CONDUIT_ERESET);
    assert_int_equal(err.native, ECONNRESET);
    assert_string_equal(err.layer, "tcp+socket");
    conduit_conn_close(e.conn);
}

/* The peer ends its bytes and still wants ours. */
static void a_peers_half_close_is_an_end(void **state)
{
    struct t_env *env = *state;
    struct ends e;
    struct t_conn t = {.out = 1, .goal = 300000, .pull = true, .push = true};
    int error = 0;
    uint64_t got;

    join(&e, env, "tcp://127.0.0.1:0");
    assert_int_equal(shutdown(e.fd, SHUT_WR), 0);
    t_attach(&t, env, e.conn, CONDUIT_READ | CONDUIT_WRITE);
    T_UNTIL(env, t.end != 0);
    assert_int_equal(t.end, CONDUIT_END);
    T_POLL(env, t.sent == t.goal);
    t_close(&t);
    got = read_slowly(&e, 10000, &error);
    assert_int_equal(got, 300000);
    assert_int_equal(error, 0);
    (void)close(e.fd);
    finish_loop(env);
}

/* EPIPE concerns our bytes only: what the peer sent before is still read. */
static void bytes_of_a_closed_peer_are_read(void **state)
{
    struct t_env *env = *state;
    struct ends e;
    struct t_conn t = {.in = 1};
    uint8_t buf[1000];
    char unix_uri[96];

    (void)snprintf(unix_uri, sizeof unix_uri, "unix://%s/s", t_dir(env));
    for (int i = 0; i < 2; i++) {
        memset(&t, 0, sizeof t);
        t.in = 1;
        join(&e, env, i == 0 ? "tcp://127.0.0.1:0" : unix_uri);
        t_fill(1, 0, buf, sizeof buf);
        assert_int_equal(send(e.fd, buf, sizeof buf, 0), sizeof buf);
        (void)close(e.fd);
        t_attach(&t, env, e.conn, 0);
        T_POLL(env, conduit_conn_write(e.conn, "x", 1) < 0 ||
                        conduit_conn_flush(e.conn) < CONDUIT_AGAIN);
        T_POLL(env, (t_pull(&t), t.end != 0));
        assert_int_equal(t.received, sizeof buf);
        assert_int_equal(t.end, CONDUIT_END);
        t_abort(&t);
    }
}

static void finishing_the_loop_with_nothing_returns(void **state)
{
    struct t_env *env = *state;
    uint64_t begin = t_ms();

    finish_loop(env);
    assert_true(t_ms() - begin < 500);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CLOSE_TEST(a_slow_reader_gets_everything),
        CLOSE_TEST(a_reader_that_never_comes_is_dropped_and_logged),
        CLOSE_TEST(a_peer_that_never_ends_is_left_in_time),
        CLOSE_TEST(unread_input_does_not_hurt_the_output),
        CLOSE_TEST(a_slow_reader_that_keeps_sending_gets_everything),
        CLOSE_TEST(an_abort_resets_tcp),
        CLOSE_TEST(a_reset_by_the_peer_has_its_cause),
        CLOSE_TEST(a_peers_half_close_is_an_end),
        CLOSE_TEST(bytes_of_a_closed_peer_are_read),
        CLOSE_TEST(finishing_the_loop_with_nothing_returns),
    };

    return cmocka_run_group_tests_name("close", tests, NULL, NULL);
}
