/* SPDX-License-Identifier: ISC */
/*
 * Timers in a pairing heap: the links are in the timers, so that setting one
 * allocates nothing and cannot fail. A binary heap in an array would be a
 * little faster and can fail to grow; a wheel would be faster still for
 * thousands that move all the time, but pays for empty ticks and rounds the
 * deadline.
 */
#include "core.h"

/* `prev` of a first child points to its parent, of others to the sibling. */

static struct conduit_timer *meld(struct conduit_timer *a,
                                  struct conduit_timer *b)
{
    if (a == NULL) {
        return b;
    }
    if (b == NULL) {
        return a;
    }
    if (b->at < a->at) {
        struct conduit_timer *t = a;

        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL) {
        b->next->prev = b;
    }
    a->child = b;
    return a;
}

/* Melds a list of siblings in pairs, left to right, then right to left. */
static struct conduit_timer *meld_all(struct conduit_timer *first)
{
    struct conduit_timer *pairs = NULL;
    struct conduit_timer *root = NULL;

    while (first != NULL) {
        struct conduit_timer *a = first;
        struct conduit_timer *b = a->next;
        struct conduit_timer *pair;

        first = b != NULL ? b->next : NULL;
        a->next = NULL;
        if (b != NULL) {
            b->next = NULL;
        }
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs != NULL) {
        struct conduit_timer *next = pairs->next;

        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    if (root != NULL) {
        root->prev = NULL;
    }
    return root;
}

static void take(struct conduit_loop *loop, struct conduit_timer *t)
{
    struct conduit_timer *rest = meld_all(t->child);

    if (t == loop->timers) {
        loop->timers = rest;
    } else {
        if (t->prev->child == t) {
            t->prev->child = t->next;
        } else {
            t->prev->next = t->next;
        }
        if (t->next != NULL) {
            t->next->prev = t->prev;
        }
        loop->timers = meld(loop->timers, rest);
    }
    t->child = NULL;
    t->next = NULL;
    t->prev = NULL;
    t->at = 0;
}

void conduit_timer_set(struct conduit_loop *loop, struct conduit_timer *timer,
                       uint64_t ms)
{
    uint64_t now = loop->in_turn
                       ? loop->now
                       : loop->platform->ops->monotonic(loop->platform);
    uint64_t most = UINT64_MAX - now - 1;
    uint64_t ns = ms > most / CDT_NS_PER_MS ? most : ms * CDT_NS_PER_MS;

    if (timer->at != 0) {
        take(loop, timer);
    }
    timer->at = now + (ns > 0 ? ns : 1); /* later than this turn, always */
    loop->timers = meld(loop->timers, timer);
    if (loop->timers == timer) {
        cdt_loop_kick(loop);
    }
}

void conduit_timer_clear(struct conduit_loop *loop, struct conduit_timer *timer)
{
    if (timer->at != 0) {
        take(loop, timer);
    }
}

struct conduit_timer *cdt_timer_due(struct conduit_loop *loop, uint64_t now)
{
    struct conduit_timer *t = loop->timers;

    if (t == NULL || t->at > now) {
        return NULL;
    }
    take(loop, t);
    return t;
}
