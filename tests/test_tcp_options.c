/* SPDX-License-Identifier: ISC */
/* The options of TCP, as the system has them in the end, on both sides. */
#include "unix_support.h"

#include <conduit/unix.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int option(const struct t_conn *t, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    assert_int_equal(
        getsockopt(conduit_unix_fd(t->conn), level, name, &value, &len), 0);
    return value;
}

static void by_default_nothing_waits(void **state)
{
    struct t_pair pair;

    t_connect(&pair, *state, "tcp://127.0.0.1:0", NULL);
    assert_int_not_equal(option(&pair.a, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_not_equal(option(&pair.b, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(option(&pair.a, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option(&pair.b, SOL_SOCKET, SO_KEEPALIVE), 0);
    t_abort(&pair.a);
    t_abort(&pair.b);
}

static void what_is_asked_for_is_set(void **state)
{
    struct conduit_options options = {.nagle = true, .keepalive_s = 7};
    struct t_pair pair;

    t_connect(&pair, *state, "tcp://127.0.0.1:0", &options);
    assert_int_equal(option(&pair.a, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(option(&pair.b, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_not_equal(option(&pair.a, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_not_equal(option(&pair.b, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option(&pair.a, IPPROTO_TCP, TCP_KEEPIDLE), 7);
    assert_int_equal(option(&pair.b, IPPROTO_TCP, TCP_KEEPINTVL), 7);
    t_abort(&pair.a);
    t_abort(&pair.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(by_default_nothing_waits),
        T_TEST(what_is_asked_for_is_set),
    };

    return cmocka_run_group_tests_name("tcp options", tests, NULL, NULL);
}
