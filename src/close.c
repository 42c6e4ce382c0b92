/* SPDX-License-Identifier: ISC */
/*
 * The end of a connection. close() detaches the application and lets the core
 * go on alone, layer by layer from the top: end our bytes, flush until nothing
 * is held, drop the layer, go on with the one below. Input is read and thrown
 * away meanwhile, for a peer that is stuck writing does not read, and a socket
 * closed with unread input resets what it still had to deliver.
 */
#include "core.h"

#include <string.h>

/* Bytes of input thrown away in one step. */
#define DISCARD_MAX 262144u

/* Once all is out: how long the peer may take to end its bytes. */
#define GUARD_MS 2000

/* For what a layer that failed to open has left to say. */
#define DISMISS_MS 1000

static void unlink_all(struct conduit_conn *c)
{
    if (c->all_next != NULL) {
        c->all_next->all_prev = c->all_prev;
    }
    if (c->all_prev != NULL) {
        c->all_prev->all_next = c->all_next;
    } else {
        c->loop->all = c->all_next;
    }
    c->all_prev = NULL;
}

/* Puts one layer on the list of the dead. */
static void bury(struct conduit_conn *c, bool aborted)
{
    struct conduit_loop *loop = c->loop;

    if (c->state == CDT_CONN_CLOSING) {
        loop->closing--;
    }
    c->state = CDT_CONN_DEAD;
    c->handler = NULL;
    c->pending = 0;
    if (aborted) {
        c->flags |= CDT_ABORTED;
    }
    if ((c->flags & CDT_COUNTED) != 0) {
        c->flags &= (uint16_t)~CDT_COUNTED;
        cdt_listener_left(c->arg);
    }
    cdt_task_remove(&c->task);
    conduit_timer_clear(loop, &c->timer);
    unlink_all(c);
    c->all_next = loop->dead;
    loop->dead = c;
}

void cdt_conn_kill(struct conduit_conn *top, bool aborted)
{
    struct conduit_loop *loop = top->loop;
    struct conduit_conn *c = top;

    while (c->below != NULL) {
        c = c->below;
    }
    for (; c != NULL; c = c->above) { /* the list of the dead is a stack */
        bury(c, aborted);
    }
    cdt_loop_kick(loop);
}

void cdt_conn_reap(struct conduit_loop *loop)
{
    while (loop->dead != NULL) {
        struct conduit_conn *c = loop->dead;

        loop->dead = c->all_next;
        c->ops->destroy(c, (c->flags & CDT_ABORTED) != 0);
        if (c->below != NULL) {
            c->below->above = NULL;
        }
        if ((c->flags & CDT_DIALLED_ONE) == 0) {
            cdt_report_free(loop->ctx, c->dialled.report);
        }
        conduit_release(loop->ctx, c);
    }
}

void conduit_conn_discard(struct conduit_conn *c)
{
    unlink_all(c);
    if (c->below != NULL) {
        c->below->above = NULL;
    }
    conduit_release(c->loop->ctx, c);
}

struct conduit_conn *cdt_conn_dismiss(struct conduit_conn *top)
{
    struct conduit_conn *c = top;
    struct conduit_conn *failed;

    while (c != NULL && (c->state != CDT_CONN_OPEN || c->write_code != 0)) {
        c = c->below;
    }
    if (c == NULL || c == top || top->fault_code == CONDUIT_ETIMEDOUT) {
        conduit_conn_abort(top); /* who was too slow gets no more time */
        return NULL;
    }
    failed = c->above;
    c->above = NULL;
    failed->below = NULL;
    for (; failed != NULL; failed = failed->above) {
        bury(failed, true);
    }
    conduit_conn_set_linger(c, DISMISS_MS);
    conduit_conn_close(c);
    while (c->below != NULL) {
        c = c->below;
    }
    return c;
}

void conduit_conn_abort(struct conduit_conn *conn)
{
    if (conn != NULL && conn->state < CDT_CONN_CLOSING) {
        cdt_conn_kill(conn, true);
    }
}

void conduit_conn_close(struct conduit_conn *conn)
{
    struct conduit_loop *loop;

    if (conn == NULL || conn->state >= CDT_CONN_CLOSING) {
        return;
    }
    if (conn->state != CDT_CONN_OPEN || conn->write_code != 0) {
        cdt_conn_kill(conn, conn->state == CDT_CONN_OPEN);
        return;
    }
    loop = conn->loop;
    conn->handler = NULL;
    conn->interest = 0;
    conn->state = CDT_CONN_CLOSING;
    loop->closing++;
    conduit_timer_set(loop, &conn->timer, (uint64_t)conn->linger * 100);
    cdt_conn_queue(conn);
}

static void give_up(struct conduit_conn *c, int code, const char *text)
{
    conduit_log(c->loop->ctx, CONDUIT_LOG_WARN, c->ops->name,
                "closing, bytes may be lost: %s (%s)", text,
                conduit_code_name(code));
    cdt_conn_kill(c, true);
}

/* Waits for the peer's end, or for the deadline of it all. */
static void guard(struct conduit_conn *c)
{
    unsigned left = (unsigned)c->linger * 100;
    unsigned ms = left < GUARD_MS ? left : GUARD_MS;

    c->linger = (uint16_t)(c->linger - ms / 100);
    conduit_timer_set(c->loop, &c->timer, ms);
}

void cdt_close_expired(struct conduit_conn *c)
{
    size_t unacked = 0;

    if ((c->flags & CDT_FINISHED_FULL) == 0) {
        conduit_timer_set(c->loop, &c->timer, 1); /* one try at least */
        return;
    }
    if ((c->flags & CDT_GUARDING) != 0) {
        (void)conduit_conn_query(c, CONDUIT_QUERY_UNACKED, &unacked);
        if (unacked == 0) {
            cdt_conn_kill(c, false); /* there; the peer just keeps talking */
            return;
        }
        if (c->linger > 0) {
            guard(c); /* closing now would have the system drop them */
            return;
        }
    }
    give_up(c, CONDUIT_ETIMEDOUT, "the linger deadline passed");
}

/* Throws input away; true while there may be more of it right now. */
static bool discard(struct conduit_conn *c)
{
    size_t left = DISCARD_MAX;

    while ((c->flags & CDT_READ_OVER) == 0) {
        struct conduit_win win;
        long n;

        if (left == 0) {
            return true;
        }
        memset(&win, 0, sizeof win);
        n = c->ops->peek(c, &win);
        if (n == CONDUIT_AGAIN) {
            return false;
        }
        if (n <= 0) {
            c->flags |= CDT_READ_OVER;
            c->read_code = (int16_t)n;
            return false;
        }
        c->ops->consume(c, (size_t)n);
        left = (size_t)n < left ? left - (size_t)n : 0;
    }
    return false;
}

/* Milliseconds until the linger deadline. */
static uint64_t linger_left(const struct conduit_conn *c)
{
    uint64_t now = c->loop->now;

    return c->timer.at > now ? (c->timer.at - now) / CDT_NS_PER_MS : 0;
}

/*
 * Ends the top layer and goes on with the one below. A peer that has ended its
 * bytes in a layer sends no more in those below.
 */
static void peel(struct conduit_conn *c)
{
    struct conduit_conn *below = c->below;
    uint64_t left = linger_left(c);
    bool over = c->read_code == CONDUIT_END;

    if (below == NULL) {
        bury(c, false);
        return;
    }
    if (below->write_code != 0) {
        cdt_conn_kill(c, false); /* what failed there was of no use */
        return;
    }
    below->above = NULL;
    c->below = NULL;
    below->interest = 0;
    below->state = CDT_CONN_CLOSING;
    if (over) {
        below->flags |= CDT_READ_OVER;
    }
    c->loop->closing++;
    bury(c, false);
    conduit_timer_set(below->loop, &below->timer, left);
    cdt_conn_queue(below);
}

/* Waits for what holds the closing up; queues at once what is there already. */
static void wait_for(struct conduit_conn *c, bool output, bool input)
{
    unsigned events = 0;
    unsigned levels;

    if (output) {
        events |= CONDUIT_WRITE;
    }
    if ((c->flags & CDT_READ_OVER) == 0) {
        events |= CONDUIT_READ;
    }
    levels = c->ops->want(c, events) & events;
    if (output && cdt_conn_confirms(c)) {
        levels &= ~(unsigned)CONDUIT_WRITE;
    }
    if (levels != 0 || input) {
        cdt_conn_queue(c);
    }
}

void cdt_close_step(struct conduit_conn *c)
{
    bool more;
    int code = 0;

    if ((c->flags & CDT_FINISHED_FULL) == 0) {
        c->flags |= CDT_FINISHED | CDT_FINISHED_FULL;
        code = c->ops->finish(c, true);
    }
    if (code == 0) {
        code = c->ops->flush(c);
    }
    more = discard(c);
    if (code == CONDUIT_AGAIN) {
        c->flags |= CDT_HELD;
        wait_for(c, true, more);
        return;
    }
    if (code != 0) {
        give_up(c, code, conduit_strerror(code));
        return;
    }
    c->flags &= (uint16_t)~CDT_HELD;
    if (c->below != NULL || (c->flags & CDT_READ_OVER) != 0 ||
        !cdt_conn_can(c, CONDUIT_CAP_LINGER)) {
        peel(c);
        return;
    }
    if ((c->flags & CDT_GUARDING) == 0) {
        c->flags |= CDT_GUARDING;
        c->linger = (uint16_t)((linger_left(c) + 99) / 100);
        guard(c);
    }
    wait_for(c, false, more);
}
