/* SPDX-License-Identifier: ISC */
/*
 * Copying between two connections. There are no buffers here: what one side
 * shows is written to the other, and what the other took is consumed. Input of
 * a side is wanted only while the other takes it, so that a slow reader slows
 * its writer, whatever lies in between.
 *
 * - An end is passed on once every byte before it was. A side that cannot be
 *   half-closed is told when the other direction is over too, for the first may
 *   be waiting for its answer; or when nothing has moved for the linger time,
 *   for the first may have gone altogether, or the end be what the other waits
 *   for.
 * - A failure of reading comes after the bytes before it. What was read is
 *   delivered, with a deadline, and then the other side is dropped: cut short,
 *   its stream must not look complete. Dropping a TCP connection throws away
 *   what the peer has not acknowledged, so that is waited for as well.
 * - A side that takes no more may still have sent something, which is read to
 *   its end before the other is dropped.
 * - Idleness drops both, for neither has ended.
 */
#include "relay.h"

/* How often it is asked whether the peer's system has all. */
#define ACKED_MS 20

#define NS_PER_MS 1000000u

enum stage {
    COPYING,
    DELIVERING, /* both ended in order: until nothing is held */
    CUTTING,    /* one failed: until the other has what came before */
    OVER
};

static struct relay_pair *pair_of(struct conduit_timer *timer)
{
    return (struct relay_pair *)(void *)((char *)timer -
                                         offsetof(struct relay_pair, timer));
}

static int index_of(const struct relay_side *s)
{
    return s == &s->pair->side[0] ? 0 : 1;
}

static struct relay_side *other(struct relay_side *s)
{
    return &s->pair->side[!index_of(s)];
}

/* ---- the end of it all ---- */

void relay_pair_drop(struct relay_pair *pair)
{
    pair->stage = OVER;
    conduit_timer_clear(pair->loop, &pair->timer);
    conduit_conn_abort(pair->side[0].conn);
    conduit_conn_abort(pair->side[1].conn);
}

/* The pair may be gone after these two. */
static void end_dropped(struct relay_pair *p)
{
    relay_pair_drop(p);
    p->done(p, &p->error, p->failed);
}

static void end_in_order(struct relay_pair *p)
{
    p->stage = OVER;
    conduit_timer_clear(p->loop, &p->timer);
    conduit_conn_close(p->side[0].conn);
    conduit_conn_close(p->side[1].conn);
    p->done(p, NULL, 0);
}

/* Notes why side s fails, unless something has failed before. */
static void note_failure(struct relay_side *s, int code)
{
    struct relay_pair *p = s->pair;

    if (p->error.code != 0) {
        return;
    }
    p->failed = index_of(s);
    if (conduit_conn_error(s->conn, &p->error) == 0) {
        (void)conduit_error_set(&p->error, code, "relay", 0, "%s",
                                conduit_strerror(code));
    }
}

static void break_off(struct relay_side *s, int code)
{
    if (s->broken == 0) {
        s->broken = code;
        note_failure(s, code);
    }
}

/* ---- copying ---- */

static long pass(struct relay_side *to, const struct conduit_win *win)
{
    const struct conduit_seg seg[2] = {
        {win->seg[0].data, win->seg[0].size},
        {win->seg[1].data, win->seg[1].size},
    };

    return conduit_conn_writev(to->conn, seg, seg[1].size > 0 ? 2 : 1);
}

/* Copies what goes now; the connections' budgets bound it. */
static void copy(struct relay_side *from)
{
    struct relay_side *to = other(from);
    struct relay_pair *p = from->pair;
    struct conduit_win win;

    while (from->over == 0 && to->broken == 0 && !to->stuck) {
        long n = conduit_conn_peek(from->conn, &win);

        if (n == CONDUIT_AGAIN) {
            return;
        }
        if (n < 0) {
            from->over = (int)n;
            if (n != CONDUIT_END) {
                note_failure(from, (int)n);
            }
            return;
        }
        n = pass(to, &win);
        if (n == CONDUIT_AGAIN) {
            to->stuck = true;
        } else if (n < 0) {
            break_off(to, (int)n);
        } else {
            conduit_conn_consume(from->conn, (size_t)n);
            p->copied[index_of(from)] += (uint64_t)n;
            p->since = conduit_loop_now(p->loop);
        }
    }
}

/* Whether the end of `from` is there and cannot be told yet. */
static bool is_withheld(struct relay_side *from)
{
    struct relay_side *to = other(from);

    return from->over == CONDUIT_END && to->broken == 0 && !to->finished;
}

static void pass_end(struct relay_side *from)
{
    struct relay_side *to = other(from);
    int code;

    if (!is_withheld(from)) {
        return;
    }
    code = conduit_conn_finish(to->conn, false);
    if (code == CONDUIT_ENOTSUP && (to->over != 0 || from->pair->impatient)) {
        code = conduit_conn_finish(to->conn, true);
    }
    if (code == 0) {
        to->finished = true;
    } else if (code != CONDUIT_ENOTSUP) {
        break_off(to, code);
    }
}

/* ---- stages ---- */

static void enter(struct relay_pair *p, enum stage stage)
{
    p->stage = (uint8_t)stage;
    p->since = conduit_loop_now(p->loop);
}

/*
 * Whether the bytes of s have ended in a way that leaves nothing but to drop
 * the other: they were cut short, or it took not all that it was sent.
 */
static bool has_failed(const struct relay_side *s)
{
    return s->over != 0 && (s->over != CONDUIT_END || s->broken != 0);
}

/* Whether it is over but for what was read before a failure. */
static bool begin_cutting(struct relay_pair *p)
{
    for (int i = 0; i < 2; i++) {
        if (has_failed(&p->side[i])) {
            p->told = !i;
            enter(p, CUTTING);
            return true;
        }
    }
    return false;
}

/* Both sides are broken: nobody takes what either could have sent. */
static bool is_hopeless(const struct relay_pair *p)
{
    return p->side[0].broken != 0 && p->side[1].broken != 0;
}

/* Whether side s holds nothing any more; a failure breaks it. */
static bool is_drained(struct relay_side *s)
{
    int code = conduit_conn_flush(s->conn);

    if (code != 0 && code != CONDUIT_AGAIN) {
        break_off(s, code);
    }
    return code == 0;
}

/* Answers whether the pair is over, and perhaps gone. */
static bool deliver(struct relay_pair *p)
{
    bool first = is_drained(&p->side[0]);
    bool second = is_drained(&p->side[1]);

    if (first && second) {
        end_in_order(p);
        return true;
    }
    (void)begin_cutting(p); /* either may just have failed */
    return false;
}

static bool is_acked(const struct relay_side *s)
{
    size_t bytes = 0;

    return conduit_conn_query(s->conn, CONDUIT_QUERY_UNACKED, &bytes) != 0 ||
           bytes == 0;
}

/* Drops both, once who is told has all. The pair may be gone afterwards. */
static void cut(struct relay_pair *p)
{
    struct relay_side *told = &p->side[p->told];
    uint64_t deadline = p->since + (uint64_t)p->linger_ms * NS_PER_MS;
    uint64_t now = conduit_loop_now(p->loop);
    bool drained = told->broken == 0 && is_drained(told);
    uint64_t wait;

    if (told->broken != 0 || now >= deadline || (drained && is_acked(told))) {
        end_dropped(p);
        return;
    }
    wait = (deadline - now) / NS_PER_MS + 1;
    conduit_timer_set(p->loop, &p->timer,
                      drained && wait > ACKED_MS ? ACKED_MS : wait);
}

static void want(struct relay_side *s, unsigned events)
{
    if (s->wanted != events) {
        s->wanted = events;
        conduit_conn_want(s->conn, events);
    }
}

static unsigned wanted(struct relay_side *s)
{
    struct relay_side *to = other(s);
    unsigned events = 0;

    if (s->pair->stage != COPYING) {
        return CONDUIT_DRAINED;
    }
    if (s->over == 0 && to->broken == 0 && !to->stuck) {
        events |= CONDUIT_READ;
    }
    if (s->stuck && s->broken == 0) {
        events |= CONDUIT_WRITE;
    }
    return events;
}

/* Whether an end waits for more than the other side's answer. */
static bool is_waiting(struct relay_pair *p)
{
    return is_withheld(&p->side[0]) || is_withheld(&p->side[1]);
}

/* How long nothing may move, or 0 for ever. */
static unsigned patience(struct relay_pair *p)
{
    return p->impatient || is_waiting(p) ? p->linger_ms : p->idle_ms;
}

/* Copies and passes ends on, and finds out whether that was all. */
static void advance(struct relay_pair *p)
{
    bool waited = is_waiting(p);

    copy(&p->side[0]);
    copy(&p->side[1]);
    if (begin_cutting(p)) {
        return; /* without telling of an end, where bytes were lost */
    }
    pass_end(&p->side[0]);
    pass_end(&p->side[1]);
    if (!begin_cutting(p) && p->side[0].finished && p->side[1].finished) {
        enter(p, DELIVERING);
    }
    if (!waited && is_waiting(p)) {
        conduit_timer_set(p->loop, &p->timer, patience(p));
    }
}

/* Goes on as far as it goes. The pair may be gone afterwards. */
static void step(struct relay_pair *p)
{
    if (p->stage == COPYING) {
        advance(p);
    }
    if (is_hopeless(p)) {
        end_dropped(p);
        return;
    }
    want(&p->side[0], wanted(&p->side[0]));
    want(&p->side[1], wanted(&p->side[1]));
    if (p->stage == DELIVERING && deliver(p)) {
        return;
    }
    if (p->stage == CUTTING) {
        cut(p);
    }
}

/* ---- events ---- */

static void on_event(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct relay_side *s = arg;

    if ((events & CONDUIT_WRITE) != 0) {
        s->stuck = false;
    }
    if ((events & CONDUIT_ERR) != 0) {
        int code = conduit_conn_flush(conn);

        if (code != 0 && code != CONDUIT_AGAIN) {
            break_off(s, code);
        }
    }
    step(s->pair);
}

/* Nothing has moved for too long. */
static void be_impatient(struct relay_pair *p)
{
    if (is_waiting(p) && !p->impatient) {
        p->impatient = true;
        p->since = conduit_loop_now(p->loop);
        conduit_timer_set(p->loop, &p->timer, p->linger_ms);
        step(p);
        return;
    }
    if (p->error.code == 0) {
        p->failed = -1;
        (void)conduit_error_set(&p->error, CONDUIT_ETIMEDOUT, "relay", 0,
                                "not a byte either way within the idle limit");
    }
    end_dropped(p);
}

static void on_timer(struct conduit_timer *timer)
{
    struct relay_pair *p = pair_of(timer);
    unsigned limit = patience(p);
    uint64_t quiet;

    if (p->stage == CUTTING) {
        cut(p);
        return;
    }
    if (limit == 0) {
        return; /* what was waited for has come */
    }
    /* A byte only notes its time; here it is seen what that means. */
    quiet = (conduit_loop_now(p->loop) - p->since) / NS_PER_MS;
    if (quiet < limit) {
        conduit_timer_set(p->loop, timer, limit - quiet);
        return;
    }
    be_impatient(p);
}

void relay_pair_start(struct relay_pair *pair, struct conduit_conn *a,
                      struct conduit_conn *b)
{
    struct relay_pair *p = pair;

    p->loop = conduit_conn_loop(a);
    p->since = conduit_loop_now(p->loop);
    p->timer.fire = on_timer;
    p->side[0] = (struct relay_side){.pair = p, .conn = a};
    p->side[1] = (struct relay_side){.pair = p, .conn = b};
    if (p->idle_ms != 0) {
        conduit_timer_set(p->loop, &p->timer, p->idle_ms);
    }
    for (int i = 0; i < 2; i++) {
        p->side[i].wanted = CONDUIT_READ;
        conduit_conn_set_handler(p->side[i].conn, on_event, &p->side[i],
                                 CONDUIT_READ);
    }
}
