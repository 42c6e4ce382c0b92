/* SPDX-License-Identifier: ISC */
/*
 * Connections of the stack in the process that are not read, until their
 * windows are full: all others go on, also where there is no memory to receive
 * into. What was not read is there, once it is.
 */
#include "unix_net.h"
#include "unix_support.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define OURS "10.9.0.2"
#define SYSTEM "10.9.0.1"
#define NET "direct,tap=tap0,ip=" OURS "/24,mtu=1500,offload=off"

#define UNREAD 4u     /* of 1 MiB each, which is more than 700 frames */
#define MUCH 3000000u /* bytes for each of them */
#define ROUNDS 200u

/* A frame with what is kept of it; nothing else that is asked for is of such a
 * size. */
#define FRAME_LEAST 1514u
#define FRAME_MOST 2047u

/* ---- memory ---------------------------------------------------------------
 */

static struct conduit_allocator counting;
static bool is_short; /* of memory for frames */

static void *resize(void *arg, void *ptr, size_t size)
{
    bool frame = ptr == NULL && size >= FRAME_LEAST && size <= FRAME_MOST;

    return is_short && frame ? NULL : counting.resize(arg, ptr, size);
}

static int setup(void **state)
{
    struct t_env *env = calloc(1, sizeof *env);
    struct conduit_ctx_options options;

    assert_non_null(env);
    *state = env;
    is_short = false;
    t_env_options(env, &options);
    counting = options.allocator;
    options.allocator.resize = resize;
    assert_int_equal(t_platform_new(&options, &env->ctx, NULL), 0);
    assert_int_equal(t_env_made(env), 0);
    return 0;
}

/* ---- connections ----------------------------------------------------------
 */

/* b is the stack's end, a the kernel's. */
static void open_pair(struct t_pair *pair, struct t_env *env,
                      struct t_server *s)
{
    struct conduit_conn *conn = NULL;

    memset(pair, 0, sizeof *pair);
    pair->a.out = 1;
    pair->a.in = 2;
    pair->b.out = 2;
    pair->b.in = 1;
    t_attach(&pair->a, env, t_dial_now(env, "tcp+socket://" OURS ":80"), 0);
    T_UNTIL(env, (conn = t_accepted(s)) != NULL);
    t_attach(&pair->b, env, conn, 0);
}

/* The kernel has more to send, but nothing under way. */
static bool is_full(const struct t_conn *c)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;

    assert_int_equal(
        getsockopt(conduit_unix_fd(c->conn), IPPROTO_TCP, TCP_INFO, &info, &n),
        0);
    return info.tcpi_unacked == 0 && info.tcpi_notsent_bytes > 0;
}

static bool all_are_full(const struct t_pair *pairs)
{
    for (unsigned i = 0; i < UNREAD; i++) {
        if (!is_full(&pairs[i].a)) {
            return false;
        }
    }
    return true;
}

static void fill(struct t_pair *pairs, struct t_env *env)
{
    for (unsigned i = 0; i < UNREAD; i++) {
        pairs[i].a.push = true;
        pairs[i].a.goal = MUCH;
        t_want(&pairs[i].a, CONDUIT_WRITE);
    }
    T_POLL(env, all_are_full(pairs));
}

static void read_all(struct t_pair *pairs, struct t_env *env)
{
    for (unsigned i = 0; i < UNREAD; i++) {
        pairs[i].b.pull = true;
        t_want(&pairs[i].b, CONDUIT_READ);
    }
    for (unsigned i = 0; i < UNREAD; i++) {
        T_UNTIL(env, pairs[i].b.received == MUCH);
        t_close(&pairs[i].a);
        t_close(&pairs[i].b);
    }
}

static void say(struct t_conn *from, const struct t_conn *to)
{
    from->goal += 1000;
    t_push(from);
    T_UNTIL(from->env, to->received == from->goal);
}

static void talk(struct t_pair *pair)
{
    pair->a.pull = true;
    pair->b.pull = true;
    t_want(&pair->a, CONDUIT_READ);
    t_want(&pair->b, CONDUIT_READ);
    for (unsigned i = 0; i < ROUNDS; i++) {
        say(&pair->a, &pair->b);
        say(&pair->b, &pair->a);
    }
}

static void others_go_on(struct t_env *env, bool without_memory)
{
    struct t_pair unread[UNREAD];
    struct t_pair before;
    struct t_pair after;
    struct t_server s;

    t_listen(&s, env, "tcp+direct://" OURS ":80", NULL);
    open_pair(&before, env, &s);
    for (unsigned i = 0; i < UNREAD; i++) {
        open_pair(&unread[i], env, &s);
    }
    is_short = without_memory;
    fill(unread, env);
    talk(&before);
    open_pair(&after, env, &s);
    talk(&after);
    read_all(unread, env);
    talk(&before);
    t_close(&after.a);
    t_close(&after.b);
    t_unlisten(&s);
    t_disconnect(&before);
}

static void others_go_on_where_some_are_not_read(void **state)
{
    others_go_on(*state, false);
}

static void others_go_on_without_memory_for_frames(void **state)
{
    others_go_on(*state, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(others_go_on_where_some_are_not_read),
        TEST(others_go_on_without_memory_for_frames),
    };
    const struct t_net_tap tap = {.ip4 = SYSTEM, .prefix4 = 24};

    if (!t_net_for_direct(NET, &tap)) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
