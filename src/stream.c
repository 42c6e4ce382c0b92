/* SPDX-License-Identifier: ISC */
/*
 * Moving bytes: the gates before every operation of a layer (state, sticky
 * errors, the budget of a turn), what follows from its answer, and the defaults
 * that layers name in their tables.
 */
#include "core.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/*
 * What one connection may move each way in a turn, so that others get theirs:
 * 256 KiB, counted in units of 8 bytes. Each way for itself, or a connection
 * that always has something to write would never read.
 */
#define BUDGET 32768
#define UNIT 8

/* Puts a connection, by its top layer, on the list to be flushed. */
static void mark_dirty(struct conduit_conn *c)
{
    struct conduit_loop *loop = c->loop;

    while (c->above != NULL) {
        c = c->above;
    }
    if ((c->flags & CDT_DIRTY) != 0) {
        return;
    }
    c->flags |= CDT_DIRTY;
    *loop->flush_last = c;
    loop->flush_last = &c->flush_next;
    cdt_loop_kick(loop);
}

static void charge(struct conduit_conn *c, uint16_t *budget, size_t n)
{
    size_t units = n / UNIT + 1;

    *budget = (uint16_t)(units < *budget ? *budget - units : 0);
    mark_dirty(c);
}

/* Whether the turn's budget is spent; if so, the event comes next turn. */
static bool spent(struct conduit_conn *c, const uint16_t *budget,
                  unsigned event)
{
    if (c->charged != (uint16_t)c->loop->turn) {
        c->charged = (uint16_t)c->loop->turn;
        c->read_budget = BUDGET;
        c->write_budget = BUDGET;
    }
    if (*budget > 0) {
        return false;
    }
    conduit_conn_ready(c, event);
    return true;
}

/* 0 when the layer may be asked to read, else what to answer. */
static int read_gate(struct conduit_conn *c)
{
    if (c->state >= CDT_CONN_CLOSING) {
        return CONDUIT_ECLOSED;
    }
    if (c->read_code != 0) {
        return c->read_code;
    }
    if (c->state != CDT_CONN_OPEN || spent(c, &c->read_budget, CONDUIT_READ)) {
        return CONDUIT_AGAIN;
    }
    return 0;
}

/* What a layer's refusal to show bytes means: sticky, or just not now. */
static int read_refused(struct conduit_conn *c, long answer)
{
    int code = (int)answer;

    if (code == CONDUIT_AGAIN && c->read_failure != 0 &&
        (c->ops->want(c, c->interest | CONDUIT_READ) & CONDUIT_READ) != 0) {
        conduit_conn_ready(c, CONDUIT_READ); /* bytes before it, in a while */
        return code;
    }
    if (c->read_failure != 0) {
        code = c->read_failure; /* the bytes before it have been read */
    }
    if (code == CONDUIT_AGAIN) {
        return code;
    }
    if (code != CONDUIT_END) {
        cdt_conn_adopt_fault(c, code);
    }
    c->read_code = (int16_t)code;
    return code;
}

static int write_gate(struct conduit_conn *c)
{
    if (c->state >= CDT_CONN_CLOSING) {
        return CONDUIT_ECLOSED;
    }
    if (c->write_code != 0) {
        return c->write_code;
    }
    if ((c->flags & CDT_FINISHED) != 0) {
        return CONDUIT_ECLOSED;
    }
    if (c->state != CDT_CONN_OPEN ||
        spent(c, &c->write_budget, CONDUIT_WRITE)) {
        return CONDUIT_AGAIN;
    }
    return 0;
}

static long write_done(struct conduit_conn *c, long answer)
{
    if (answer > 0) {
        c->sent += (uint64_t)answer;
        c->flags |= CDT_UNDRAINED;
        c->pending &= (uint8_t)~CONDUIT_DRAINED;
        charge(c, &c->write_budget, (size_t)answer);
    } else if (answer != CONDUIT_AGAIN) {
        cdt_conn_adopt_fault(c, (int)answer);
        conduit_conn_fail(c, CONDUIT_FAIL_WRITE, (int)answer, 0, "");
    }
    return answer;
}

/*
 * Filters write below while they shake hands, when the application may not; the
 * gates ask the state of the layer that is called, which is OPEN then.
 */

long conduit_conn_peek(struct conduit_conn *conn, struct conduit_win *win)
{
    long n = read_gate(conn);

    if (n == 0) {
        memset(win, 0, sizeof *win);
        n = conn->ops->peek(conn, win);
        if (n <= 0) {
            n = read_refused(conn, n);
        }
    }
    return n;
}

void conduit_conn_consume(struct conduit_conn *conn, size_t n)
{
    if (n == 0 || conn->state >= CDT_CONN_CLOSING) {
        return;
    }
    conn->ops->consume(conn, n);
    conn->received += n;
    charge(conn, &conn->read_budget, n);
}

long conduit_conn_read(struct conduit_conn *conn, void *buf, size_t n)
{
    long got = n == 0 ? CONDUIT_EINVAL : read_gate(conn);

    if (got != 0) {
        return got;
    }
    got = conn->ops->read(conn, buf, n < LONG_MAX ? n : LONG_MAX);
    if (got <= 0) {
        return read_refused(conn, got);
    }
    conn->received += (uint64_t)got;
    charge(conn, &conn->read_budget, (size_t)got);
    return got;
}

long conduit_conn_reserve(struct conduit_conn *conn, struct conduit_win *win)
{
    long n = write_gate(conn);

    if (n == 0) {
        memset(win, 0, sizeof *win);
        n = conn->ops->reserve(conn, win);
        if (n < 0) {
            (void)write_done(conn, n);
        }
    }
    return n;
}

void conduit_conn_commit(struct conduit_conn *conn, size_t n)
{
    if (conn->state >= CDT_CONN_CLOSING) {
        return;
    }
    conn->ops->commit(conn, n);
    if (n > 0) {
        (void)write_done(conn, n < LONG_MAX ? (long)n : LONG_MAX);
    }
}

long conduit_conn_writev(struct conduit_conn *conn,
                         const struct conduit_seg *seg, unsigned count)
{
    size_t total = 0;
    unsigned i;
    long n;

    for (i = 0; i < count; i++) {
        if (seg[i].size > (size_t)LONG_MAX - total) {
            return CONDUIT_EINVAL;
        }
        total += seg[i].size;
    }
    n = total == 0 ? CONDUIT_EINVAL : write_gate(conn);
    if (n == 0) {
        n = write_done(conn, conn->ops->writev(conn, seg, count));
    }
    return n;
}

long conduit_conn_write(struct conduit_conn *conn, const void *buf, size_t n)
{
    const struct conduit_seg seg = {buf, n};
    long done = n == 0 || n > LONG_MAX ? CONDUIT_EINVAL : write_gate(conn);

    if (done == 0) {
        done = write_done(conn, conn->ops->writev(conn, &seg, 1));
    }
    return done;
}

long conduit_conn_lend(struct conduit_conn *conn, const void *data, size_t n,
                       struct conduit_ref *ref)
{
    long done = n == 0 || n > LONG_MAX ? CONDUIT_EINVAL : write_gate(conn);

    if (done == 0) {
        done = write_done(conn, conn->ops->lend(conn, data, n, ref));
    }
    return done;
}

int conduit_conn_finish(struct conduit_conn *conn, bool full)
{
    unsigned flag = full ? CDT_FINISHED | CDT_FINISHED_FULL : CDT_FINISHED;
    int code;

    if (conn->state != CDT_CONN_OPEN) {
        return conn->write_code != 0 ? conn->write_code : CONDUIT_ECLOSED;
    }
    if (conn->write_code != 0) {
        return conn->write_code;
    }
    if ((conn->flags & flag) == flag) {
        return 0;
    }
    if (!full && !cdt_conn_can(conn, CONDUIT_CAP_HALF_CLOSE)) {
        return CONDUIT_ENOTSUP;
    }
    code = conn->ops->finish(conn, full);
    if (code != 0) {
        return code;
    }
    conn->flags |= (uint16_t)(flag | CDT_UNDRAINED);
    conn->pending &= (uint8_t)~CONDUIT_DRAINED;
    mark_dirty(conn);
    return 0;
}

/* ---- defaults ---- */

long conduit_default_read(struct conduit_conn *c, void *buf, size_t n)
{
    struct conduit_win win = {0};
    long shown = c->ops->peek(c, &win);
    uint8_t *to = buf;
    size_t done = 0;
    unsigned i;

    if (shown <= 0) {
        return shown;
    }
    for (i = 0; i < 2 && done < n; i++) {
        size_t part = win.seg[i].size < n - done ? win.seg[i].size : n - done;

        if (part > 0) {
            memcpy(to + done, win.seg[i].data, part);
        }
        done += part;
    }
    c->ops->consume(c, done);
    return (long)done;
}

/* Copies segments into a window; answers how many bytes. */
static size_t fill(const struct conduit_win *win, const struct conduit_seg *seg,
                   unsigned count)
{
    size_t done = 0;
    size_t at = 0; /* in the window's segment w */
    unsigned w = 0;
    unsigned i;

    for (i = 0; i < count; i++) {
        const uint8_t *from = seg[i].data;
        size_t left = seg[i].size;

        while (left > 0 && w < 2) {
            size_t room = win->seg[w].size - at;
            size_t part = left < room ? left : room;

            if (part == 0) {
                w++;
                at = 0;
                continue;
            }
            memcpy(win->seg[w].data + at, from, part);
            from += part;
            left -= part;
            at += part;
            done += part;
        }
    }
    return done;
}

long conduit_default_writev(struct conduit_conn *c,
                            const struct conduit_seg *seg, unsigned count)
{
    struct conduit_win win = {0};
    long room = c->ops->reserve(c, &win);
    size_t done;

    if (room <= 0) {
        return room;
    }
    done = fill(&win, seg, count);
    c->ops->commit(c, done);
    return (long)done;
}

long conduit_default_lend(struct conduit_conn *c, const void *data, size_t n,
                          struct conduit_ref *ref)
{
    struct conduit_seg seg = {data, n};
    long done = c->ops->writev(c, &seg, 1);

    if (done > 0 && ref != NULL) {
        conduit_conn_release(c, ref);
    }
    return done;
}

void conduit_conn_release(struct conduit_conn *c, struct conduit_ref *ref)
{
    if (ref->due++ == 0) {
        ref->next = c->loop->refs;
        c->loop->refs = ref;
        cdt_loop_kick(c->loop);
    }
}

int conduit_default_query(const struct conduit_conn *c, enum conduit_query what,
                          void *out)
{
    (void)c;
    (void)what;
    (void)out;
    return CONDUIT_ENOTSUP;
}

/* ---- facts ---- */

int conduit_conn_query(const struct conduit_conn *conn, enum conduit_query what,
                       void *out)
{
    const struct conduit_conn *c = conn;

    if (what == CONDUIT_QUERY_COUNTERS) {
        struct conduit_counters *counters = out;

        counters->received = conn->received;
        counters->sent = conn->sent;
        return 0;
    }
    for (; c != NULL; c = c->below) {
        int code = c->ops->query(c, what, out);

        if (code != CONDUIT_ENOTSUP) {
            return code;
        }
    }
    return CONDUIT_ENOTSUP;
}

bool cdt_conn_can(const struct conduit_conn *c, unsigned caps)
{
    unsigned has = 0;

    return conduit_conn_query(c, CONDUIT_QUERY_CAPS, &has) == 0 &&
           (has & caps) == caps;
}

char *conduit_conn_layers(const struct conduit_conn *conn, char *buf, size_t n)
{
    size_t len = 0;
    const struct conduit_conn *c;

    if (n > 0) {
        buf[0] = '\0';
    }
    for (c = conn; c != NULL; c = c->below) {
        cdt_append(buf, n, &len, c->ops->name);
        if (c->below != NULL) {
            cdt_append(buf, n, &len, "+");
        }
    }
    return buf;
}

int conduit_conn_error(const struct conduit_conn *conn,
                       struct conduit_error *err)
{
    if (conn->fault_code == 0) {
        return 0;
    }
    if (conn->fault_native != 0) {
        return conduit_error_set(err, conn->fault_code,
                                 cdt_conn_fault_layer(conn), conn->fault_native,
                                 "%s (%d)", conn->fault_text,
                                 conn->fault_native);
    }
    return conduit_error_set(err, conn->fault_code, cdt_conn_fault_layer(conn),
                             0, "%s", conn->fault_text);
}
