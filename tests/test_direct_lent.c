/* SPDX-License-Identifier: ISC */
/*
 * Memory that is lent to a connection of the stack in the process, while lwIP
 * does not know the peer's MAC address any more: packets wait for the answer to
 * ARP, the connection is dropped, and its memory is used for something else.
 */
#include "test_direct_wire.h"

#define LENT (4 * MSS) /* what a connection may send at once when it is new */

static uint8_t memory[LENT];

/* lwIP counts seconds, of which a turn has one at the most; after five minutes
 * it asks again. */
static void forget_peer(struct t_env *env)
{
    for (unsigned s = 0; s < 310; s++) {
        now += 1000 * MS;
        t_turns(env, 1);
    }
}

/* Whether we are asked for our MAC address; no answer is given. */
static bool is_asked(struct peer *p)
{
    ssize_t n;

    while ((n = recv(p->fd, p->frame, sizeof p->frame, 0)) > 0) {
        const uint8_t *arp = p->frame + ETHERNET;

        if (get16(p->frame + 12) == 0x0806 && get16(arp + 6) == 1 &&
            memcmp(arp + 24, peer_ip, 4) == 0) {
            return true;
        }
    }
    return false;
}

static void over(struct conduit_ref *ref)
{
    memset(memory, 0xee, sizeof memory);
    ref->release = NULL; /* once */
}

/* What waited for the answer; take() compares it with what was lent. */
static unsigned hear_all(struct peer *p)
{
    enum heard heard = NOTHING;
    unsigned resets = 0;

    send_arp(p, 2);
    send_arp(p, 1);
    for (;;) {
        T_POLL(p->env, (heard = next(p)) != NOTHING);
        if (heard == ANSWER) {
            return resets;
        }
        take(p);
        resets += (p->in.flags & RST) != 0 ? 1 : 0;
    }
}

static void what_waits_for_arp_is_not_lent_any_more(void **state)
{
    struct conduit_ref ref = {.release = over};
    struct peer *p = &peer;
    struct t_server s;
    struct t_conn c;

    connect_peer(p, *state, &s, &c, false);
    hear_nothing(p);
    forget_peer(*state);
    t_fill(OUT, 0, memory, sizeof memory);
    assert_int_equal(conduit_conn_lend(c.conn, memory, sizeof memory, &ref),
                     sizeof memory);
    T_POLL(*state, is_asked(p));
    t_abort(&c);
    T_UNTIL(p->env, ref.release == NULL);
    assert_int_equal(hear_all(p), 1);
    (void)close(p->fd);
    t_unlisten(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(what_waits_for_arp_is_not_lent_any_more),
    };

    if (!t_net_for_direct(NET, &(struct t_net_tap){0})) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
