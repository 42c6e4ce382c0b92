/* SPDX-License-Identifier: ISC */
/* The interface of a TAP goes down, comes up, goes away. */
#include "test_tap.h"

#include <fcntl.h>
#include <sched.h>

static uint8_t frame[100];

/* Nothing runs in vain; the kernel's own frames need a turn or two. */
static void assert_quiet(struct t_env *env)
{
    unsigned links = stack.links;

    assert_true(t_turns_in(env, 100) < 30);
    assert_int_equal(stack.links, links);
}

static void assert_moves_frames(struct t_env *env, struct cdt_link *link)
{
    int peer = t_net_packet(TAP);
    uint8_t got[200];

    make_frame(frame, sizeof frame, 1);
    stack.count = 0;
    assert_int_equal(send(peer, frame, sizeof frame, 0), sizeof frame);
    T_UNTIL(env, stack.count == 1);
    assert_int_equal(send_frame(link, frame, sizeof frame), 0);
    assert_int_equal(next_frame(peer, got, sizeof got, 0), sizeof frame);
    (void)close(peer);
}

static void it_is_up_from_the_beginning(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    assert_quiet(env);
    assert_int_equal(stack.links, 0);
    assert_moves_frames(env, link);
    link->ops->destroy(link);
}

static void it_is_down_at_first(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){.down = true});
    link = open_tap(env, "direct,tap=" TAP);
    T_UNTIL(env, stack.links == 1);
    assert_false(stack.up);
    assert_quiet(env);
    t_net_up(TAP, true);
    T_UNTIL(env, stack.links == 2);
    assert_moves_frames(env, link);
    link->ops->destroy(link);
}

static void it_goes_down_and_up(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    for (unsigned i = 0; i < 3; i++) {
        assert_quiet(env);
        t_net_up(TAP, false);
        T_UNTIL(env, stack.links == 2 * i + 1);
        assert_false(stack.up);
        assert_quiet(env);
        assert_int_equal(send_frame(link, frame, sizeof frame),
                         CONDUIT_EUNREACHABLE);
        assert_quiet(env);
        t_net_up(TAP, true);
        T_UNTIL(env, stack.links == 2 * i + 2);
        assert_moves_frames(env, link);
    }
    link->ops->destroy(link);
}

/* Before netlink was read: told once, and not within the call. */
static void sending_finds_it_down(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    make_frame(frame, sizeof frame, 1);
    t_turns(env, 2);
    t_net_up(TAP, false);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(send_frame(link, frame, sizeof frame),
                         CONDUIT_EUNREACHABLE);
    }
    assert_int_equal(stack.links, 0);
    T_UNTIL(env, stack.links == 1);
    assert_quiet(env);
    t_net_up(TAP, true);
    T_UNTIL(env, stack.links == 2);
    t_net_up(TAP, false);
    assert_int_equal(send_frame(link, frame, sizeof frame),
                     CONDUIT_EUNREACHABLE);
    link->ops->destroy(link); /* with that still to be said */
}

static void it_is_deleted(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    t_turns(env, 2);
    t_net_delete(TAP);
    T_UNTIL(env, strstr(env->log, "was deleted") != NULL);
    T_UNTIL(env, stack.links == 1);
    assert_false(stack.up);
    assert_quiet(env);
    make_frame(frame, sizeof frame, 1);
    assert_int_equal(send_frame(link, frame, sizeof frame),
                     CONDUIT_EUNREACHABLE);
    t_net_tap(TAP, &(struct t_net_tap){0}); /* another one of that name */
    assert_quiet(env);
    assert_int_equal(stack.links, 1);
    link->ops->destroy(link);
}

static void sending_finds_it_deleted(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    make_frame(frame, sizeof frame, 1);
    t_net_delete(TAP);
    assert_int_equal(send_frame(link, frame, sizeof frame),
                     CONDUIT_EUNREACHABLE);
    assert_int_equal(stack.links, 0);
    T_UNTIL(env, stack.links == 1);
    assert_quiet(env);
    assert_non_null(strstr(env->log, "was deleted"));
    link->ops->destroy(link);
}

/* Its descriptor stays with us, but netlink tells no more of it. */
static void it_moves_to_another_namespace(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;
    int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int there;

    assert_true(here >= 0);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_true(there >= 0);
    assert_int_equal(setns(here, CLONE_NEWNET), 0);
    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    t_net_move(TAP, there);
    T_UNTIL(env, stack.links == 1);
    assert_quiet(env);
    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    t_net_up(TAP, true);
    T_UNTIL(env, stack.links == 2);
    assert_moves_frames(env, link);
    assert_quiet(env);
    t_net_up(TAP, false);
    assert_int_equal(send_frame(link, frame, sizeof frame),
                     CONDUIT_EUNREACHABLE);
    T_UNTIL(env, stack.links == 3);
    assert_quiet(env);
    t_net_up(TAP, true);
    T_UNTIL(env, stack.links == 4);
    t_net_delete(TAP);
    T_UNTIL(env, stack.links == 5);
    assert_non_null(strstr(env->log, "was deleted"));
    assert_quiet(env);
    link->ops->destroy(link);
    assert_int_equal(setns(here, CLONE_NEWNET), 0);
    (void)close(here);
    (void)close(there);
}

/* Netlink tells of a bridge's ports in messages that look alike. */
static void a_bridge_takes_and_leaves_it(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    if (!t_net_bridge("cbr0", true)) {
        print_message("no bridges here: %s\n", strerror(errno));
        skip();
    }
    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    t_turns(env, 2);
    t_net_port("cbr0", TAP, true);
    assert_quiet(env);
    t_net_port("cbr0", TAP, false);
    assert_quiet(env);
    assert_int_equal(stack.links, 0);
    t_net_up(TAP, false);
    T_UNTIL(env, stack.links == 1);
    link->ops->destroy(link);
    assert_true(t_net_bridge("cbr0", false));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP_TEST(it_is_up_from_the_beginning),
        TAP_TEST(it_is_down_at_first),
        TAP_TEST(it_goes_down_and_up),
        TAP_TEST(sending_finds_it_down),
        TAP_TEST(it_is_deleted),
        TAP_TEST(sending_finds_it_deleted),
        TAP_TEST(a_bridge_takes_and_leaves_it),
        TAP_TEST(it_moves_to_another_namespace),
    };

    TAP_MAIN(tests);
}
