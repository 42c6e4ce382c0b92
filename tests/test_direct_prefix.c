/* SPDX-License-Identifier: ISC */
/*
 * An IPv6 address whose network has other than 64 bits, against the kernel, in
 * minutes and hours: a neighbour beyond these 64 bits is asked for anew, and
 * the address stays, whatever a router announces. The stack's clock is put
 * forward.
 */
#include "test_direct_ahead.h"
#include "unix_net.h"
#include "unix_support.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define NET "direct,tap=tap0,ip6=fd00:8::2/48"
#define OURS "[fd00:8::2]:80"
#define SYSTEM "[fd00:8:0:5::1]:80"

/* lwIP counts in steps of a second. */
static void pass(struct t_env *env, unsigned seconds)
{
    while (seconds-- > 0) {
        ahead += SECOND;
        t_turns(env, 1);
    }
}

static int setup(void **state)
{
    (void)t_setup(state);
    take_clock(*state);
    return 0;
}

/* Both ways: a service of the system's, and one of the stack's. */
struct services {
    struct t_server system;
    struct t_server ours;
};

static void start(struct services *s, struct t_env *env)
{
    t_listen(&s->system, env, "tcp+socket://[::]:80", NULL);
    t_listen(&s->ours, env, "tcp+direct://" OURS, NULL);
}

static void stop(struct services *s)
{
    t_unlisten(&s->ours);
    t_unlisten(&s->system);
}

static void reach(struct t_env *env, struct t_server *s, const char *uri)
{
    struct conduit_conn *c = t_dial_now(env, uri);
    struct conduit_conn *peer = NULL;

    T_UNTIL(env, (peer = t_accepted(s)) != NULL);
    conduit_conn_abort(peer);
    conduit_conn_abort(c);
}

static void a_neighbour_is_asked_for_again(void **state)
{
    struct t_env *env = *state;
    struct services s;

    start(&s, env);
    for (unsigned i = 0; i < 5; i++) {
        reach(env, &s.system, "tcp+direct://" SYSTEM);
        pass(env, 20 * (i + 1));
    }
    reach(env, &s.ours, "tcp+socket://" OURS);
    pass(env, 60);
    reach(env, &s.ours, "tcp+socket://" OURS);
    stop(&s);
}

/* ---- a router ----------------------------------------------------------- */

#define HEADERS 54u
#define ADVERT 48u

static const uint8_t headers[HEADERS] = {
    0x33, 0x33, 0, 0, 0, 1,      2,  0,   0, 0, 0, 77, 0x86, 0xdd, /* Ethernet
                                                                    */
    0x60, 0,    0, 0, 0, ADVERT, 58, 255,                          /* IPv6 */
    0xfe, 0x80, 0, 0, 0, 0,      0,  0,   0, 0, 0, 0,  0,    0,    0,
    77, /* from */
    0xff, 0x02, 0, 0, 0, 0,      0,  0,   0, 0, 0, 0,  0,    0,    0,
    1, /* to */
};

/* Of the address's first 64 bits, that hosts make addresses of: RFC 4861
 * sections 4.2 and 4.6.2. */
static const uint8_t advert[ADVERT] = {
    134,  0, 0,  0,    64, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0, /* */
    3,    4, 64, 0x40, 0,  0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0,
    0xfd, 0, 0,  8,    0,  0, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0,
};

static uint32_t sum(const uint8_t *p, size_t n)
{
    uint32_t total = 0;

    for (size_t i = 0; i < n; i += 2) {
        total += (uint32_t)p[i] << 8 | p[i + 1];
    }
    return total;
}

static void announce(void)
{
    uint8_t frame[HEADERS + ADVERT];
    uint32_t total = sum(headers + 22, 32) + ADVERT + 58 + sum(advert, ADVERT);
    int fd = t_net_packet("tap0");

    memcpy(frame, headers, HEADERS);
    memcpy(frame + HEADERS, advert, ADVERT);
    while (total > 0xffff) {
        total = (total >> 16) + (total & 0xffff);
    }
    frame[HEADERS + 2] = (uint8_t)(~total >> 8);
    frame[HEADERS + 3] = (uint8_t)~total;
    assert_int_equal(send(fd, frame, sizeof frame, 0), sizeof frame);
    (void)close(fd);
}

static void a_router_does_not_end_the_address(void **state)
{
    struct t_env *env = *state;
    struct services s;

    start(&s, env);
    reach(env, &s.ours, "tcp+socket://" OURS);
    announce();
    reach(env, &s.ours, "tcp+socket://" OURS); /* which is taken behind it */
    pass(env, 3 * 3600);
    reach(env, &s.ours, "tcp+socket://" OURS);
    reach(env, &s.system, "tcp+direct://" SYSTEM);
    stop(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_neighbour_is_asked_for_again),
        TEST(a_router_does_not_end_the_address),
    };
    const struct t_net_tap tap = {.ip6 = "fd00:8:0:5::1", .prefix6 = 48};

    if (!t_net_for_direct(NET, &tap)) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
