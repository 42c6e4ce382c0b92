/* SPDX-License-Identifier: ISC */
/*
 * Connections: dispatch of events, interest and levels, the flush at the end of
 * a turn, and the life of a stack of layers. The calls that move bytes are in
 * stream.c, closing is in close.c.
 *
 * Two rules keep filters simple. A layer never calls up: it queues, and the
 * loop calls. And nobody remembers levels: after every callback and every flush
 * the core asks `want` what holds now, so a forgotten edge cannot hang a
 * connection.
 */
#include "core.h"

#include <string.h>

#define DEFAULT_LINGER 100 /* tenths of a second */

static void run_task(struct conduit_task *task);

static void deadline_passed(struct conduit_conn *c);

static void timer_fired(struct conduit_timer *timer)
{
    struct conduit_conn *c = CDT_CONTAINER(timer, struct conduit_conn, timer);

    if (c->state == CDT_CONN_CLOSING) {
        cdt_close_expired(c);
        return;
    }
    deadline_passed(c);
}

struct conduit_conn *conduit_conn_new(struct conduit_ctx *ctx,
                                      const struct conduit_conn_ops *ops,
                                      struct conduit_conn *below)
{
    struct conduit_conn *c = conduit_alloc(ctx, ops->size);

    if (c == NULL) {
        return NULL;
    }
    c->ops = ops;
    c->loop = conduit_ctx_loop(ctx);
    c->task.run = run_task;
    c->timer.fire = timer_fired;
    c->linger = DEFAULT_LINGER;
    c->below = below;
    if (below != NULL) {
        below->above = c;
    }
    c->all_next = c->loop->all;
    if (c->all_next != NULL) {
        c->all_next->all_prev = c;
    }
    c->loop->all = c;
    return c;
}

struct conduit_conn *cdt_conn_top(struct conduit_conn *c)
{
    while (c->above != NULL) {
        c = c->above;
    }
    return c;
}

/* The highest layer that runs: one not started yet has nothing to flush. */
static struct conduit_conn *top_started(struct conduit_conn *c)
{
    while (c->above != NULL && c->above->state != CDT_CONN_NEW) {
        c = c->above;
    }
    while (c->state == CDT_CONN_NEW && c->below != NULL) {
        c = c->below;
    }
    return c;
}

void cdt_conn_queue(struct conduit_conn *c)
{
    if (c->task.next == NULL && c->state != CDT_CONN_DEAD) {
        cdt_tasks_append(&c->loop->ready, &c->task);
        cdt_loop_kick(c->loop);
    }
}

/* The events that the application is told of: not of what is over. */
static unsigned wanted_events(const struct conduit_conn *c)
{
    unsigned wanted = c->interest | CONDUIT_OPEN | CONDUIT_ERR;

    if (c->read_code != 0) {
        wanted &= ~(unsigned)CONDUIT_READ;
    }
    if (c->write_code != 0 || (c->flags & CDT_FINISHED) != 0) {
        wanted &= ~(unsigned)CONDUIT_WRITE;
    }
    return wanted;
}

/* Whether running the connection now would do anything. */
static bool has_work(const struct conduit_conn *c)
{
    if (c->state == CDT_CONN_CLOSING) {
        return true;
    }
    if (c->above != NULL) {
        return c->pending != 0;
    }
    if ((c->flags & CDT_HELD) != 0 && (c->pending & CONDUIT_WRITE) != 0) {
        return true;
    }
    return c->handler != NULL && (c->pending & wanted_events(c)) != 0;
}

static void add_pending(struct conduit_conn *c, unsigned events)
{
    c->pending |= (uint8_t)events;
    if (has_work(c)) {
        cdt_conn_queue(c);
    }
}

void conduit_conn_ready(struct conduit_conn *c, unsigned events)
{
    if (c->state != CDT_CONN_DEAD) {
        add_pending(c, events & (CONDUIT_READ | CONDUIT_WRITE));
    }
}

/* ---- opening ---- */

static void start_one(struct conduit_conn *c)
{
    int code;

    c->state = CDT_CONN_OPENING;
    code = c->ops->start(c);
    if (code != 0 && c->fault_code == 0) {
        conduit_conn_fail(c, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE, code, 0,
                          conduit_strerror(code));
    }
}

void conduit_conn_start(struct conduit_conn *top)
{
    struct conduit_conn *c = top;

    while (c->below != NULL && c->below->state == CDT_CONN_NEW) {
        c = c->below;
    }
    if (c->state == CDT_CONN_NEW &&
        (c->below == NULL || c->below->state == CDT_CONN_OPEN)) {
        start_one(c);
    }
}

void conduit_conn_opened(struct conduit_conn *c)
{
    if (c->state != CDT_CONN_OPENING || c->fault_code != 0) {
        return;
    }
    c->state = CDT_CONN_OPEN;
    add_pending(c, CONDUIT_OPEN);
}

static void move_deadline(struct conduit_conn *from, struct conduit_conn *to)
{
    uint64_t now = from->loop->platform->ops->monotonic(from->loop->platform);
    uint64_t at = from->timer.at;

    if (at != 0) {
        conduit_timer_clear(from->loop, &from->timer);
        conduit_timer_set(to->loop, &to->timer,
                          at > now ? (at - now) / CDT_NS_PER_MS + 1 : 0);
    }
}

int conduit_conn_push(struct conduit_conn **conn,
                      const struct conduit_filter *filter, bool server,
                      const struct conduit_uri *uri,
                      const struct conduit_options *options,
                      struct conduit_error *err)
{
    struct conduit_conn *below = *conn;
    struct conduit_options all = cdt_options(options);
    struct conduit_conn *c;
    int code;

    if (below->state != CDT_CONN_OPEN || below->above != NULL) {
        return conduit_error_set(err, CONDUIT_EINVAL, filter->name, 0,
                                 "can be put on an open connection only");
    }
    code = filter->wrap(below->loop->ctx, below, server, uri, &all, &c, err);
    if (code != 0) {
        return code;
    }
    c->handler = below->handler;
    c->arg = below->arg;
    c->interest = below->interest;
    c->linger = below->linger;
    c->flags |= below->flags & CDT_UNDRAINED;
    c->pending |= below->pending & CONDUIT_DRAINED;
    below->handler = NULL;
    below->interest = 0;
    below->pending &= CONDUIT_READ | CONDUIT_WRITE | CONDUIT_ERR;
    move_deadline(below, c);
    *conn = c;
    conduit_conn_start(c);
    if (below->pending != 0) {
        cdt_conn_queue(below);
    }
    return 0;
}

/* ---- failing ---- */

static void set_fault(struct conduit_conn *c, uint8_t depth, int code,
                      int native, const char *text)
{
    if (c->fault_code == 0) {
        c->fault_depth = depth;
        c->fault_code = (int16_t)code;
        c->fault_native = native;
        c->fault_text = text;
    }
}

const char *cdt_conn_fault_layer(const struct conduit_conn *c)
{
    uint8_t depth = c->fault_depth;

    for (; depth > 0 && c->below != NULL; depth--) {
        c = c->below;
    }
    return c->ops->name;
}

static void fail(struct conduit_conn *c, unsigned directions, int code)
{
    if (c->state == CDT_CONN_DEAD) {
        return;
    }
    if ((directions & CONDUIT_FAIL_WRITE) != 0 && c->write_code == 0) {
        c->write_code = (int16_t)code;
        c->flags &= (uint16_t)~CDT_HELD; /* nothing to wait for any more */
    }
    if ((directions & CONDUIT_FAIL_READ) != 0) {
        if (c->read_failure == 0) {
            c->read_failure = (int16_t)code;
        }
        if (c->state <= CDT_CONN_OPENING && c->read_code == 0) {
            c->read_code = (int16_t)code;
        }
    }
    add_pending(c, CONDUIT_ERR);
}

/* To be named is the layer that was waited for: the lowest not open yet. */
static void deadline_passed(struct conduit_conn *c)
{
    const struct conduit_conn *b = c;
    uint8_t depth = 0;

    for (; b->below != NULL && b->below->state != CDT_CONN_OPEN; b = b->below) {
        depth++;
    }
    set_fault(c, depth, CONDUIT_ETIMEDOUT, 0, "the deadline passed");
    fail(c, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE, CONDUIT_ETIMEDOUT);
}

void conduit_conn_fail(struct conduit_conn *c, unsigned directions, int code,
                       int native, const char *text)
{
    set_fault(c, 0, code, native, text);
    fail(c, directions, code);
}

void cdt_conn_adopt_fault(struct conduit_conn *c, int code)
{
    const struct conduit_conn *b = c->below;
    uint8_t depth = 1;

    for (; b != NULL && b->fault_code == 0; b = b->below) {
        depth++;
    }
    if (b != NULL && b->fault_code == code) {
        set_fault(c, (uint8_t)(depth + b->fault_depth), code, b->fault_native,
                  b->fault_text);
    } else {
        set_fault(c, 0, code, 0, conduit_strerror(code));
    }
}

/* ---- levels ---- */

bool cdt_conn_confirms(const struct conduit_conn *c)
{
    while (c->below != NULL) {
        c = c->below;
    }
    return c->ops->confirms;
}

unsigned conduit_conn_want_below(struct conduit_conn *c, unsigned events)
{
    struct conduit_conn *b = c->below;
    unsigned held = (b->flags & CDT_HELD) != 0 ? CONDUIT_WRITE : 0;
    unsigned levels;

    b->interest = (uint8_t)(events & (CONDUIT_READ | CONDUIT_WRITE));
    levels = b->ops->want(b, b->interest | held);
    if (b->read_failure != 0) {
        levels |= CONDUIT_READ; /* what is before it, or it itself */
    }
    if ((levels & b->interest) != 0 && c->state == CDT_CONN_OPENING) {
        add_pending(b, levels & b->interest);
    }
    return levels & b->interest;
}

void cdt_conn_settle(struct conduit_conn *c)
{
    unsigned mask = c->handler != NULL
                        ? c->interest & (CONDUIT_READ | CONDUIT_WRITE)
                        : 0u;

    /* Below a layer, interest is what that one asked for. */
    if (c->state != CDT_CONN_OPEN || c->above != NULL) {
        return;
    }
    if (c->read_code != 0) {
        mask &= ~(unsigned)CONDUIT_READ;
    }
    if (c->write_code != 0 || (c->flags & CDT_FINISHED) != 0) {
        mask &= ~(unsigned)CONDUIT_WRITE;
    }
    if ((c->flags & CDT_HELD) != 0 && !cdt_conn_confirms(c)) {
        mask |= CONDUIT_WRITE;
    }
    if (c->read_failure != 0 && (mask & CONDUIT_READ) != 0) {
        add_pending(c, CONDUIT_READ);
    }
    mask &= c->ops->want(c, mask);
    if (mask != 0) {
        add_pending(c, mask);
    }
}

/* ---- flushing ---- */

void cdt_conn_flush_all(struct conduit_loop *loop)
{
    while (loop->flush_first != NULL) {
        struct conduit_conn *c = loop->flush_first;

        loop->flush_first = c->flush_next;
        if (loop->flush_first == NULL) {
            loop->flush_last = &loop->flush_first;
        }
        c->flush_next = NULL;
        c->flags &= (uint16_t)~CDT_DIRTY;
        if (c->state == CDT_CONN_CLOSING) {
            cdt_conn_queue(c);
        } else if (c->state != CDT_CONN_DEAD) {
            struct conduit_conn *top = top_started(c);

            (void)conduit_conn_flush(top);
            cdt_conn_settle(cdt_conn_top(top));
        }
    }
}

int conduit_conn_flush(struct conduit_conn *c)
{
    int code;

    if (c->state == CDT_CONN_NEW || c->state == CDT_CONN_DEAD) {
        return CONDUIT_AGAIN;
    }
    if (c->write_code != 0) {
        return c->write_code;
    }
    code = c->ops->flush(c);
    if (code == CONDUIT_AGAIN) {
        c->flags |= CDT_HELD;
        if (has_work(c)) {
            cdt_conn_queue(c); /* it said WRITE itself, before we waited */
        }
        return code;
    }
    c->flags &= (uint16_t)~CDT_HELD;
    if (code != 0) {
        cdt_conn_adopt_fault(c, code);
        fail(c, CONDUIT_FAIL_WRITE, code);
    } else if ((c->flags & CDT_UNDRAINED) != 0) {
        c->flags &= (uint16_t)~CDT_UNDRAINED;
        if (c->above == NULL) {
            add_pending(c, CONDUIT_DRAINED);
        }
    }
    return code;
}

/* ---- dispatch ---- */

/* What a layer's events mean for the layers above it. */
static void run_below(struct conduit_conn *c)
{
    struct conduit_conn *up = c->above;
    struct conduit_conn *top;
    unsigned events = c->pending;

    c->pending = 0;
    if (up->state == CDT_CONN_NEW) {
        if (c->fault_code != 0) {
            cdt_conn_adopt_fault(up, c->fault_code);
            fail(up, CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE, c->fault_code);
        } else if (c->state == CDT_CONN_OPEN) {
            start_one(up);
        }
    } else if ((events & ~(unsigned)CONDUIT_OPEN) != 0) {
        up->ops->notify(up, events & ~(unsigned)CONDUIT_OPEN);
        top = top_started(up);
        if ((events & CONDUIT_WRITE) != 0 && top->state != CDT_CONN_CLOSING) {
            (void)conduit_conn_flush(top);
        }
        if ((events & CONDUIT_WRITE) != 0 && (c->flags & CDT_HELD) != 0) {
            (void)conduit_conn_flush(c); /* the layers above have failed */
        }
    }
    top = cdt_conn_top(up);
    if (top->state == CDT_CONN_CLOSING) {
        cdt_conn_queue(top);
    }
    cdt_conn_settle(top);
    for (; up != NULL; up = up->above) {
        if (up->task.next != NULL && up->ran != (uint16_t)up->loop->turn) {
            cdt_task_remove(&up->task);
            cdt_tasks_append(&up->loop->current, &up->task);
        }
    }
}

static void run_top(struct conduit_conn *c)
{
    unsigned write = c->pending & CONDUIT_WRITE;
    unsigned once = 0; /* what flush has said of itself while it held */
    unsigned events;

    if ((c->flags & CDT_HELD) != 0 && write != 0) {
        c->pending &= (uint8_t)~CONDUIT_WRITE;
        (void)conduit_conn_flush(c);
        once = (c->flags & CDT_HELD) != 0 ? c->pending & CONDUIT_WRITE : 0u;
    }
    cdt_task_remove(&c->task); /* flush may have queued it again */
    if (once != 0) {
        cdt_conn_queue(c);
    }
    if (c->handler == NULL) {
        return;
    }
    events = (c->pending | write) & wanted_events(c);
    /* Levels are asked again; what comes once is kept until it is wanted. */
    c->pending &= (uint8_t)((CONDUIT_DRAINED & ~events) | once);
    if (events != 0) {
        struct conduit_conn *outer = c->loop->running;

        c->loop->running = c;
        c->handler(c->arg, c, events);
        c->loop->running = outer;
    }
    if ((c->flags & CDT_DIRTY) == 0) {
        cdt_conn_settle(c); /* else the flush does */
    }
}

static void run_task(struct conduit_task *task)
{
    struct conduit_conn *c = CDT_CONTAINER(task, struct conduit_conn, task);

    c->ran = (uint16_t)c->loop->turn;
    if (c->state == CDT_CONN_CLOSING) {
        c->pending = 0;
        cdt_close_step(c);
    } else if (c->above != NULL) {
        run_below(c);
    } else {
        run_top(c);
    }
}

void conduit_conn_set_handler(struct conduit_conn *conn, conduit_conn_fn *fn,
                              void *arg, unsigned events)
{
    if (conn->state >= CDT_CONN_CLOSING) {
        return;
    }
    conn->handler = fn;
    conn->arg = arg;
    conduit_conn_want(conn, events);
    if (has_work(conn)) {
        cdt_conn_queue(conn);
    }
}

void conduit_conn_want(struct conduit_conn *conn, unsigned events)
{
    conn->interest = (uint8_t)(events & (CONDUIT_READ | CONDUIT_WRITE |
                                         CONDUIT_DRAINED));
    if ((conn->pending & conn->interest & CONDUIT_DRAINED) != 0) {
        add_pending(conn, CONDUIT_DRAINED);
    }
    if (conn->loop->running != conn) {
        cdt_conn_settle(conn);
    }
}

void conduit_conn_set_deadline(struct conduit_conn *conn, uint64_t ms)
{
    if (conn->state >= CDT_CONN_CLOSING) {
        return;
    }
    if (ms == 0) {
        conduit_timer_clear(conn->loop, &conn->timer);
    } else {
        conduit_timer_set(conn->loop, &conn->timer, ms);
    }
}

void conduit_conn_set_linger(struct conduit_conn *conn, unsigned ms)
{
    unsigned tenths = ms / 100 + (ms % 100 != 0);

    conn->linger = (unsigned short)(tenths < 65535 ? tenths : 65535);
}

struct conduit_loop *conduit_conn_loop(const struct conduit_conn *c)
{
    return c->loop;
}
