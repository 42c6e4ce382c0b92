/* SPDX-License-Identifier: ISC */
/*
 * What the tests of the TAP share: a stack that has room for one frame and
 * keeps what comes. It stands in for the library's own, whose functions the
 * build renames for these tests and the files they test.
 */
#ifndef TESTS_TEST_TAP_H
#define TESTS_TEST_TAP_H

#include "unix_net.h"
#include "unix_support.h"

#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAP "ctap0"
#define TEST_TYPE 0x88b5 /* an EtherType for experiments (IEEE 802) */

struct cdt_stack {
    struct cdt_frame frame;
    uint8_t room[CDT_FRAME_ROOM];
    bool full; /* there is no room */
    bool out;  /* the device has it */
    unsigned asked;
    unsigned count; /* of frames of a test that came */
    uint8_t last[CDT_FRAME_ROOM];
    size_t size;
    struct cdt_offload offload;
    unsigned links; /* how often it was told */
    bool up;
};

static struct cdt_stack stack;

struct cdt_frame *cdt_stack_frame(struct cdt_stack *s)
{
    assert_ptr_equal(s, &stack);
    assert_false(s->out);
    s->asked++;
    if (s->full) {
        return NULL;
    }
    s->out = true;
    return &s->frame;
}

void cdt_stack_unused(struct cdt_stack *s, struct cdt_frame *frame)
{
    assert_true(s->out);
    assert_ptr_equal(frame, &s->frame);
    s->out = false;
}

static unsigned type_of(const uint8_t *frame)
{
    return (unsigned)frame[12] << 8 | frame[13];
}

/* The kernel has things to say of its own. */
static bool is_a_tests(const uint8_t *frame, size_t n)
{
    return type_of(frame) == TEST_TYPE ||
           (type_of(frame) == 0x0800 && n > 34 && frame[23] == 6) ||
           (type_of(frame) == 0x86dd && n > 54 && frame[20] == 6);
}

void cdt_stack_input(struct cdt_stack *s, struct cdt_frame *frame, size_t n,
                     const struct cdt_offload *offload)
{
    cdt_stack_unused(s, frame);
    assert_true(n >= 14 && n <= frame->room);
    if (is_a_tests(frame->data, n)) {
        memcpy(s->last, frame->data, n);
        s->size = n;
        s->offload = *offload;
        s->count++;
    }
}

void cdt_stack_link(struct cdt_stack *s, bool up)
{
    assert_true(up != s->up);
    s->up = up;
    s->links++;
}

/* ---- a device over it ---------------------------------------------------- */

static inline struct cdt_net_config config_for(const char *text)
{
    struct cdt_net_config config;
    struct conduit_error err = {0};

    if (cdt_net_parse(text, &config, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return config;
}

static inline struct cdt_link *open_tap(struct t_env *env, const char *text)
{
    struct cdt_net_config config = config_for(text);
    struct conduit_error err = {0};
    struct cdt_link *link = NULL;

    if (cdt_tap_open(env->ctx, &config, &link, &err) != 0) {
        fail_msg("%s", err.text);
    }
    memset(&stack, 0, sizeof stack);
    stack.up = true;
    stack.frame.data = stack.room;
    stack.frame.room = link->gso ? CDT_FRAME_ROOM : link->mtu + 14u;
    link->stack = &stack;
    return link;
}

static inline void tap_fails(struct t_env *env, const char *text, int code,
                             int native, const char *why)
{
    struct cdt_net_config config = config_for(text);
    struct conduit_error err = {0};
    struct cdt_link *link = NULL;
    int got = cdt_tap_open(env->ctx, &config, &link, &err);

    if (got != code || err.code != code || err.native != native ||
        strcmp(err.layer, "tap") != 0 || strstr(err.text, why) == NULL) {
        fail_msg("%d %d '%s', not '%s'", got, err.native, err.text, why);
    }
}

/* ---- frames -------------------------------------------------------------- */

/* A frame of n bytes that are those of stream `seed`. */
static inline void make_frame(uint8_t *frame, size_t n, uint64_t seed)
{
    t_fill(seed, 0, frame, n);
    memset(frame, 0xff, 6);
    frame[6] = 2;
    frame[12] = TEST_TYPE >> 8;
    frame[13] = TEST_TYPE & 0xff;
}

static inline int send_frame(struct cdt_link *link, const void *frame, size_t n)
{
    const struct conduit_seg seg = {frame, n};

    return link->ops->send(link, &seg, 1, NULL);
}

/* The next frame of a test that a packet socket has; `skip` bytes precede it.
 */
static inline size_t next_frame(int fd, uint8_t *buf, size_t room, size_t skip)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (;;) {
        ssize_t got;

        assert_int_equal(poll(&p, 1, 20000), 1);
        got = recv(fd, buf, room, 0);
        assert_true(got >= 0);
        if ((size_t)got >= skip + 14 &&
            is_a_tests(buf + skip, (size_t)got - skip)) {
            return (size_t)got;
        }
    }
}

/* ---- the test's program -------------------------------------------------- */

static inline int remove_tap(void **state)
{
    if (if_nametoindex(TAP) != 0) {
        t_net_delete(TAP);
    }
    return t_teardown(state);
}

#define TAP_TEST(f) cmocka_unit_test_setup_teardown(f, t_setup, remove_tap)

#define TAP_MAIN(tests)                                           \
    do {                                                          \
        if (!t_net_enter()) {                                     \
            return 77;                                            \
        }                                                         \
        if (access("/dev/net/tun", R_OK | W_OK) != 0) {           \
            print_message("/dev/net/tun: %s\n", strerror(errno)); \
            return 77;                                            \
        }                                                         \
        return cmocka_run_group_tests(tests, NULL, NULL);         \
    } while (0)

#endif
