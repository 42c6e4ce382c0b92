/* SPDX-License-Identifier: ISC */
/*
 * The stack in the process at its own addresses on a TAP: what it sends there
 * never reaches the device, so nobody completes checksums that are left to it.
 * Frames that do come, and whose checksums count, come in between.
 */
#include "unix_net.h"
#include "unix_support.h"

#include <sys/socket.h>
#include <unistd.h>

#define OURS "10.9.0.2"
#define OURS6 "fd00:9::2"
#define NET "direct,tap=tap0,ip=" OURS "/24,ip6=" OURS6 "/64"

#define MUCH 8000000u /* bytes of either direction */

/* A neighbour who asks for our MAC address, and whether it was told. */
struct neighbour {
    struct t_env *env;
    int fd;
    unsigned answers;
};

static void ask(const struct neighbour *n)
{
    static const uint8_t frame[60] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  77, 8, 6,
        0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,  0,  0, 77,
        10,   9,    0,    77,   0,    0,    0, 0, 0, 0, 10, 9,  0, 2};

    assert_int_equal(send(n->fd, frame, sizeof frame, 0), sizeof frame);
}

static bool is_told(struct neighbour *n)
{
    uint8_t frame[2048];
    ssize_t size;

    while ((size = recv(n->fd, frame, sizeof frame, 0)) > 0) {
        if (size >= 42 && frame[5] == 77 && frame[12] == 8 && frame[13] == 6) {
            n->answers++;
        }
    }
    return n->answers > 0;
}

static bool is_done(const struct t_pair *pair)
{
    return pair->a.received == MUCH && pair->b.received == MUCH;
}

/* A frame comes in each turn. */
static bool go_on(const struct t_pair *pair, struct neighbour *n)
{
    (void)is_told(n);
    ask(n);
    return is_done(pair);
}

static void stream(struct t_conn *c)
{
    c->pull = true;
    c->push = true;
    c->goal = MUCH;
    t_attach(c, c->env, c->conn, CONDUIT_READ | CONDUIT_WRITE);
}

static void reach(struct t_env *env, const char *net, const char *uri)
{
    struct neighbour n = {.env = env, .fd = t_net_packet("tap0")};
    struct t_pair pair;

    assert_int_equal(conduit_ctx_set_net(env->ctx, net, NULL), 0);
    t_connect(&pair, env, uri, NULL);
    stream(&pair.a);
    stream(&pair.b);
    T_POLL(env, go_on(&pair, &n));
    T_POLL(env, is_told(&n));
    t_disconnect(&pair);
    (void)close(n.fd);
}

static void by_ip4(void **state)
{
    reach(*state, NET, "tcp+direct://" OURS ":0");
}

static void by_ip6(void **state)
{
    reach(*state, NET, "tcp+direct://[" OURS6 "]:0");
}

static void by_ip4_without_offload(void **state)
{
    reach(*state, NET ",offload=off", "tcp+direct://" OURS ":0");
}

static void by_ip6_without_offload(void **state)
{
    reach(*state, NET ",offload=off", "tcp+direct://[" OURS6 "]:0");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(by_ip4),
        T_TEST(by_ip6),
        T_TEST(by_ip4_without_offload),
        T_TEST(by_ip6_without_offload),
    };

    if (!t_net_for_direct(NET, &(struct t_net_tap){0})) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
