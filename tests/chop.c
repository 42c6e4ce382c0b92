/* SPDX-License-Identifier: ISC */
/*
 * The chop filter, and with it the smallest model of a filter.
 *
 * It holds no bytes: a window is the first byte of the window below, and
 * consume and commit go straight down. So what it needs from below is what is
 * wanted of it, and `want` passes that on. Two things are its own. When it
 * answers AGAIN although the layer below would not have, nothing below will
 * ever tell it to look again: it queues itself. And a failure that it makes up
 * holds as a level from then on, whatever the layer below says.
 */
#include "chop.h"

struct chop {
    struct conduit_conn base;
    struct conduit_chop_settings set;
    uint64_t random;
    uint64_t received;
    uint64_t sent;
    bool pushed; /* flush has not said 0 since something was written */
};

static const struct conduit_chop_settings defaults = {.again_percent = 20};
static struct conduit_chop_settings settings = {.again_percent = 20};
static uint64_t made;

void conduit_chop_set(const struct conduit_chop_settings *s)
{
    settings = s != NULL ? *s : defaults;
    made = 0;
}

static bool again(struct chop *f)
{
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (f->random >> 33) % 100 < f->set.again_percent;
}

static bool read_fails(const struct chop *f)
{
    return f->set.fail_read_at != 0 && f->received >= f->set.fail_read_at;
}

static bool write_fails(const struct chop *f)
{
    return f->set.fail_write_at != 0 && f->sent >= f->set.fail_write_at;
}

static int chop_start(struct conduit_conn *c)
{
    struct chop *f = (struct chop *)c;

    if (!f->set.never_opens) {
        conduit_conn_opened(c);
    }
    return 0;
}

/* 0 when the call may go on. */
static int stop_read(struct chop *f)
{
    if (read_fails(f)) {
        conduit_conn_fail(&f->base, CONDUIT_FAIL_READ, CONDUIT_EIO, 1,
                          "made up by the test");
        return CONDUIT_EIO;
    }
    if (again(f)) {
        conduit_conn_ready(&f->base, CONDUIT_READ);
        return CONDUIT_AGAIN;
    }
    return 0;
}

static int stop_write(struct chop *f)
{
    if (write_fails(f)) {
        (void)conduit_conn_flush(f->base.below); /* what went before it */
        conduit_conn_fail(&f->base, CONDUIT_FAIL_WRITE, CONDUIT_EIO, 2,
                          "made up by the test");
        return CONDUIT_EIO;
    }
    if (again(f)) {
        conduit_conn_ready(&f->base, CONDUIT_WRITE);
        return CONDUIT_AGAIN;
    }
    return 0;
}

/* How many of n bytes pass. */
static size_t allowed(const struct chop *f, size_t n, uint64_t done,
                      uint64_t fail_at)
{
    size_t most = f->set.whole ? n : 1;

    if (fail_at != 0 && fail_at - done < most) {
        most = (size_t)(fail_at - done);
    }
    return n < most ? n : most;
}

/* Cuts a window of n bytes to the first `most`. */
static long cut(struct conduit_win *win, long n, size_t most)
{
    if ((size_t)n <= most) {
        return n;
    }
    if (win->seg[0].size >= most) {
        win->seg[0].size = most;
        win->seg[1].size = 0;
    } else {
        win->seg[1].size = most - win->seg[0].size;
    }
    return (long)most;
}

static long chop_peek(struct conduit_conn *c, struct conduit_win *win)
{
    struct chop *f = (struct chop *)c;
    int stop = stop_read(f);
    long n;

    if (stop != 0) {
        return stop;
    }
    n = conduit_conn_peek(c->below, win);
    if (n <= 0) {
        return n;
    }
    return cut(win, n, allowed(f, (size_t)n, f->received, f->set.fail_read_at));
}

static void chop_consume(struct conduit_conn *c, size_t n)
{
    struct chop *f = (struct chop *)c;

    f->received += n;
    conduit_conn_consume(c->below, n);
}

static long chop_reserve(struct conduit_conn *c, struct conduit_win *win)
{
    struct chop *f = (struct chop *)c;
    int stop = stop_write(f);
    long n;

    if (stop != 0) {
        return stop;
    }
    n = conduit_conn_reserve(c->below, win);
    if (n <= 0) {
        return n;
    }
    return cut(win, n, allowed(f, (size_t)n, f->sent, f->set.fail_write_at));
}

static void chop_commit(struct conduit_conn *c, size_t n)
{
    struct chop *f = (struct chop *)c;

    f->sent += n;
    f->pushed = true;
    conduit_conn_commit(c->below, n);
}

static long chop_read(struct conduit_conn *c, void *buf, size_t n)
{
    struct chop *f = (struct chop *)c;
    int stop = stop_read(f);
    long got;

    if (stop != 0) {
        return stop;
    }
    got = conduit_conn_read(c->below, buf,
                            allowed(f, n, f->received, f->set.fail_read_at));
    if (got > 0) {
        f->received += (uint64_t)got;
    }
    return got;
}

static long sent(struct chop *f, long n)
{
    if (n > 0) {
        f->sent += (uint64_t)n;
        f->pushed = true;
    }
    return n;
}

static long chop_lend(struct conduit_conn *c, const void *data, size_t n,
                      struct conduit_ref *ref)
{
    struct chop *f = (struct chop *)c;
    int stop = stop_write(f);

    if (stop != 0) {
        return stop;
    }
    n = allowed(f, n, f->sent, f->set.fail_write_at);
    return sent(f, conduit_conn_lend(c->below, data, n, ref));
}

static long chop_writev(struct conduit_conn *c, const struct conduit_seg *seg,
                        unsigned count)
{
    struct chop *f = (struct chop *)c;
    int stop = stop_write(f);
    unsigned i = 0;

    if (stop != 0) {
        return stop;
    }
    while (i + 1 < count && seg[i].size == 0) {
        i++;
    }
    return sent(f, conduit_conn_write(
                       c->below, seg[i].data,
                       allowed(f, seg[i].size, f->sent, f->set.fail_write_at)));
}

static int chop_flush(struct conduit_conn *c)
{
    struct chop *f = (struct chop *)c;
    int rc = conduit_conn_flush(c->below);

    if (rc != 0) {
        return rc;
    }
    if (f->pushed && again(f)) {
        conduit_conn_ready(c, CONDUIT_WRITE);
        return CONDUIT_AGAIN;
    }
    f->pushed = false;
    return 0;
}

static int chop_finish(struct conduit_conn *c, bool full)
{
    return conduit_conn_finish(c->below, full);
}

static unsigned chop_want(struct conduit_conn *c, unsigned events)
{
    struct chop *f = (struct chop *)c;
    unsigned levels = conduit_conn_want_below(c, events);

    levels |= read_fails(f) ? CONDUIT_READ : 0u;
    levels |= write_fails(f) ? CONDUIT_WRITE : 0u;
    return levels & events;
}

/*
 * An error below is found by reading on: there may be bytes before it. One that
 * concerns writing is told by flush, which makes it ours.
 */
static void chop_notify(struct conduit_conn *c, unsigned events)
{
    unsigned mine = events & (CONDUIT_READ | CONDUIT_WRITE);

    if ((events & CONDUIT_ERR) != 0) {
        mine = CONDUIT_READ | CONDUIT_WRITE;
        (void)conduit_conn_flush(c);
    }
    conduit_conn_ready(c, mine);
}

static void chop_destroy(struct conduit_conn *c, bool aborted)
{
    (void)c;
    (void)aborted;
}

static const struct conduit_conn_ops ops = {
    .name = "chop",
    .size = sizeof(struct chop),
    .start = chop_start,
    .peek = chop_peek,
    .consume = chop_consume,
    .reserve = chop_reserve,
    .commit = chop_commit,
    .read = chop_read,
    .writev = chop_writev,
    .lend = chop_lend,
    .flush = chop_flush,
    .finish = chop_finish,
    .want = chop_want,
    .notify = chop_notify,
    .query = conduit_default_query,
    .destroy = chop_destroy,
};

static int chop_wrap(struct conduit_ctx *ctx, struct conduit_conn *below,
                     bool server, const struct conduit_uri *uri,
                     const struct conduit_options *options,
                     struct conduit_conn **out, struct conduit_error *err)
{
    struct conduit_conn *c = conduit_conn_new(ctx, &ops, below);
    struct chop *f = (struct chop *)c;

    (void)server;
    (void)uri;
    (void)options;
    if (c == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "chop", 0,
                                 "out of memory");
    }
    f->set = settings;
    f->random = settings.seed + ++made;
    *out = c;
    return 0;
}

const struct conduit_filter conduit_chop = {
    .name = "chop",
    .summary = "one byte at a time, for tests",
    .wrap = chop_wrap,
};

int conduit_register_chop(struct conduit_ctx *ctx)
{
    return conduit_register_filter(ctx, &conduit_chop);
}
