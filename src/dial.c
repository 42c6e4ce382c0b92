/* SPDX-License-Identifier: ISC */
/*
 * Dialling: the endpoints of a URI are tried in order, each with a deadline of
 * its own and the next one started beside it after a while (RFC 8305). The race
 * is for a connection that is open in every layer, so that an address behind
 * which TLS fails loses like one that refuses. What each attempt came to is
 * kept and goes to the connection that won.
 */
#include "core.h"

#include <stdio.h>
#include <string.h>

#define LAYER "dial"

/* What is kept of an attempt; small, for the winner carries it along. */
struct record {
    struct conduit_endpoint endpoint;
    uint32_t start_us;
    uint32_t elapsed_us;
    const char *layer;
    const char *text;
    char *own; /* `text`, where it is no static one */
    int native;
    int8_t code; /* AGAIN: under way */
};

struct cdt_dial_report {
    size_t count;
    struct record items[];
};

struct attempt {
    struct conduit_dial *dial;
    struct conduit_conn *conn;
};

struct conduit_dial {
    struct conduit_ctx *ctx;
    struct conduit_dial *next;
    struct conduit_dial *prev;
    struct conduit_uri *uri;
    struct conduit_options options;
    conduit_dialed_fn *fn;
    void *arg;
    struct conduit_resolve resolve;
    struct cdt_dial_report *report;
    struct attempt *attempts;
    size_t count;   /* endpoints */
    size_t started; /* attempts */
    size_t running;
    uint64_t begin;
    struct conduit_timer stagger;
    struct conduit_timer total;
    struct conduit_task task;
    struct conduit_error error;
    bool failed;   /* the task is to report `error` */
    bool finished; /* within the callback, or after it */
};

/* ---- reports ---- */

void cdt_report_free(struct conduit_ctx *ctx, struct cdt_dial_report *report)
{
    size_t i;

    if (report == NULL) {
        return;
    }
    for (i = 0; i < report->count; i++) {
        conduit_release(ctx, report->items[i].endpoint.name);
        conduit_release(ctx, report->items[i].own);
    }
    conduit_release(ctx, report);
}

static bool show_record(const struct cdt_dial_report *report, size_t i,
                        struct conduit_attempt *out)
{
    const struct record *r;

    if (report == NULL || i >= report->count ||
        report->items[i].layer == NULL) {
        return false;
    }
    r = &report->items[i];
    memset(out, 0, sizeof *out);
    cdt_endpoint_text(&r->endpoint, out->endpoint, sizeof out->endpoint);
    out->start_us = r->start_us;
    out->elapsed_us = r->elapsed_us;
    if (r->code != 0 && r->native != 0 && r->own == NULL) {
        (void)conduit_error_set(&out->error, r->code, r->layer, r->native,
                                "%s (%d)", r->text, r->native);
    } else if (r->code != 0) {
        (void)conduit_error_set(&out->error, r->code, r->layer, r->native, "%s",
                                r->text);
    }
    return true;
}

bool conduit_dial_attempt(const struct conduit_dial *dial, size_t i,
                          struct conduit_attempt *out)
{
    return show_record(dial->report, i, out);
}

/* The one attempt of a connection that keeps no report. */
static bool show_only(const struct conduit_conn *conn, size_t i,
                      struct conduit_attempt *out)
{
    char peer[CONDUIT_PEER_TEXT] = "";
    const char *name = "";
    size_t n;

    if (i > 0) {
        return false;
    }
    memset(out, 0, sizeof *out);
    (void)conduit_conn_query(conn, CONDUIT_QUERY_TRANSPORT, (void *)&name);
    (void)conduit_conn_query(conn, CONDUIT_QUERY_PEER, peer);
    n = strlen(name);
    if (strncmp(peer, name, n) == 0 && peer[n] == ':') {
        n = 0; /* it says so itself */
    }
    (void)snprintf(out->endpoint, sizeof out->endpoint, "%.*s%s%s", (int)n,
                   name, n > 0 ? " " : "", peer);
    out->start_us = conn->dialled.times_us[0];
    out->elapsed_us = conn->dialled.times_us[1];
    return true;
}

bool conduit_conn_attempt(const struct conduit_conn *conn, size_t i,
                          struct conduit_attempt *out)
{
    if ((conn->flags & CDT_DIALLED_ONE) != 0) {
        return show_only(conn, i, out);
    }
    return show_record(conn->dialled.report, i, out);
}

static uint32_t since(uint64_t begin, uint64_t now)
{
    uint64_t us = (now - begin) / 1000;

    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* The clock itself: an attempt can fail within the turn that began it. */
static uint64_t clock_now(const struct conduit_dial *d)
{
    return d->ctx->platform->ops->monotonic(d->ctx->platform);
}

static void record_end(struct conduit_dial *d, size_t i, int code,
                       const char *layer, int native, const char *text)
{
    struct record *r = &d->report->items[i];

    r->elapsed_us = since(d->begin, clock_now(d)) - r->start_us;
    r->code = (int8_t)code;
    r->layer = layer;
    r->native = native;
    r->text = text;
}

/* ---- ends ---- */

static void unlink_dial(struct conduit_dial *d)
{
    if (d->next != NULL) {
        d->next->prev = d->prev;
    }
    if (d->prev != NULL) {
        d->prev->next = d->next;
    } else {
        d->ctx->dials = d->next;
    }
}

/* Stops everything under way; `why` goes to the records of the losers. */
static void stop_all(struct conduit_dial *d, const char *why)
{
    size_t i;

    cdt_resolve_cancel(&d->resolve);
    for (i = 0; i < d->started; i++) {
        struct conduit_conn *conn = d->attempts[i].conn;

        if (conn != NULL) {
            d->attempts[i].conn = NULL;
            record_end(d, i, CONDUIT_ECANCELED, LAYER, 0, why);
            conduit_conn_abort(conn);
        }
    }
    conduit_timer_clear(&d->ctx->loop, &d->stagger);
    conduit_timer_clear(&d->ctx->loop, &d->total);
    conduit_loop_cancel(&d->ctx->loop, &d->task);
}

static void free_dial(struct conduit_dial *d)
{
    struct conduit_ctx *ctx = d->ctx;

    stop_all(d, "the dial was called off");
    unlink_dial(d);
    cdt_report_free(ctx, d->report);
    conduit_release(ctx, d->attempts);
    conduit_uri_free(ctx, d->uri);
    conduit_release(ctx, d);
}

void conduit_dial_cancel(struct conduit_dial *dial)
{
    if (dial != NULL && !dial->finished) {
        free_dial(dial);
    }
}

void cdt_dials_abort(struct conduit_ctx *ctx)
{
    while (ctx->dials != NULL) {
        free_dial(ctx->dials);
    }
}

/* From the loop: tells the caller that nothing came of it. */
static void report_failure(struct conduit_dial *d)
{
    stop_all(d, "the dial's deadline passed");
    d->finished = true;
    d->fn(d->arg, d, NULL, &d->error);
    free_dial(d);
}

/* An error that stands for all attempts: the last, or one that tells more. */
static void summarize(struct conduit_dial *d)
{
    const struct record *pick = &d->report->items[d->count - 1];
    char where[192];
    char native[24] = "";
    char others[48] = "";
    const char *place;
    size_t i;

    for (i = 0; i < d->count; i++) {
        const struct record *r = &d->report->items[i];

        if (pick->code == CONDUIT_EUNREACHABLE ||
            pick->code == CONDUIT_EADDRNOTAVAIL) {
            pick = r;
        }
    }
    cdt_endpoint_text(&pick->endpoint, where, sizeof where);
    place = where;
    if (strcmp(pick->layer, pick->endpoint.transport->name) == 0) {
        place += strlen(pick->layer) + 1; /* said by the layer already */
    }
    if (pick->native != 0 && pick->own == NULL) {
        (void)snprintf(native, sizeof native, " (%d)", pick->native);
    }
    if (d->count > 1) {
        (void)snprintf(others, sizeof others, "; so did %lu more",
                       (unsigned long)d->count - 1);
    }
    (void)conduit_error_set(&d->error, pick->code, pick->layer, pick->native,
                            "connecting to %s failed: %s%s%s", place,
                            pick->text, native, others);
}

static void win(struct conduit_dial *d, size_t i, struct conduit_conn *conn)
{
    d->attempts[i].conn = NULL;
    d->running--;
    record_end(d, i, 0, LAYER, 0, "");
    stop_all(d, "another address was faster");
    conduit_conn_set_handler(conn, NULL, NULL, 0);
    conduit_conn_set_deadline(conn, 0);
    d->finished = true;
    if (d->started == 1) { /* as good as always: no memory for it */
        conn->flags |= CDT_DIALLED_ONE;
        conn->dialled.times_us[0] = d->report->items[0].start_us;
        conn->dialled.times_us[1] = d->report->items[0].elapsed_us;
        d->fn(d->arg, d, conn, NULL);
    } else {
        conn->dialled.report = d->report;
        d->fn(d->arg, d, conn, NULL);
        d->report = NULL; /* the connection has it, dead or alive */
    }
    free_dial(d);
}

/* ---- attempts ---- */

static void next_attempt(struct conduit_dial *d);

/* A connection that failed to open. */
static void attempt_failed(struct conduit_dial *d, size_t i,
                           const struct conduit_conn *conn)
{
    record_end(d, i, conn->fault_code, cdt_conn_fault_layer(conn),
               conn->fault_native, conn->fault_text);
    d->running--;
}

/* What an error says behind the name of its layer. */
static const char *own_words(const struct conduit_error *err)
{
    size_t n = strlen(err->layer);
    bool named = strncmp(err->text, err->layer, n) == 0 &&
                 strncmp(err->text + n, ": ", 2) == 0;

    return err->text + (named ? n + 2 : 0);
}

/* An attempt of which no connection came. */
static void attempt_not_made(struct conduit_dial *d, size_t i, int code,
                             const struct conduit_error *err)
{
    struct record *r = &d->report->items[i];
    const char *layer = r->endpoint.transport->name;

    if (err->layer != NULL) {
        layer = err->layer;
        r->own = conduit_strdup(d->ctx, own_words(err));
    }
    record_end(d, i, code, layer, err->native,
               r->own != NULL ? r->own : conduit_strerror(code));
    d->running--;
}

static void attempt_event(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct attempt *a = arg;
    struct conduit_dial *d = a->dial;
    size_t i = (size_t)(a - d->attempts);

    if ((events & CONDUIT_OPEN) != 0 && conn->fault_code == 0) {
        win(d, i, conn);
        return;
    }
    if ((events & CONDUIT_ERR) == 0) {
        return;
    }
    attempt_failed(d, i, conn);
    a->conn = NULL;
    (void)cdt_conn_dismiss(conn);
    next_attempt(d);
}

/* Makes and starts the connection of attempt i. */
static int start_attempt(struct conduit_dial *d, size_t i,
                         struct conduit_error *err)
{
    const struct conduit_endpoint *ep = &d->report->items[i].endpoint;
    struct conduit_conn *conn;
    int code;

    if (ep->transport->dial == NULL) {
        return CONDUIT_ENOTSUP;
    }
    code = ep->transport->dial(d->ctx, ep, &d->options, &conn, err);
    if (code != 0) {
        return code;
    }
    code = cdt_wrap_all(d->ctx, &conn, d->uri, false, &d->options, err);
    if (code != 0) {
        conduit_conn_abort(conn);
        return code;
    }
    d->attempts[i].dial = d;
    d->attempts[i].conn = conn;
    conduit_conn_set_handler(conn, attempt_event, &d->attempts[i], 0);
    conduit_conn_set_deadline(conn, d->options.attempt_ms);
    conduit_conn_start(conn);
    return 0;
}

/* Starts attempts until one is under way, or all have failed. */
static void next_attempt(struct conduit_dial *d)
{
    while (d->started < d->count) {
        struct conduit_error err = {0};
        size_t i = d->started++;
        int code;

        d->report->items[i].start_us = since(d->begin, clock_now(d));
        d->report->items[i].layer = LAYER;
        d->report->items[i].text = "under way";
        d->report->items[i].code = CONDUIT_AGAIN;
        d->running++;
        code = start_attempt(d, i, &err);
        if (code == 0) {
            conduit_timer_set(&d->ctx->loop, &d->stagger,
                              d->options.stagger_ms);
            return;
        }
        attempt_not_made(d, i, code, &err);
        if (d->count == 1 && err.code != 0) {
            d->error = err; /* says more than a record can keep */
            d->failed = true;
        }
    }
    if (d->running == 0) {
        if (!d->failed) {
            summarize(d);
        }
        d->failed = true;
        conduit_loop_defer(&d->ctx->loop, &d->task);
    }
}

static void stagger_fired(struct conduit_timer *t)
{
    struct conduit_dial *d = CDT_CONTAINER(t, struct conduit_dial, stagger);

    if (d->started < d->count) {
        next_attempt(d);
    }
}

static void total_fired(struct conduit_timer *t)
{
    struct conduit_dial *d = CDT_CONTAINER(t, struct conduit_dial, total);

    (void)conduit_error_set(&d->error, CONDUIT_ETIMEDOUT, LAYER, 0,
                            "no connection to '%.120s' within %u ms",
                            d->uri->text, d->options.dial_ms);
    report_failure(d);
}

/* ---- resolution ---- */

/*
 * Puts the address families by turns, the first one first (RFC 8305 section 4),
 * so that one family's trouble does not delay all of the other. What has no
 * address comes before those.
 */
static void copy_interleaved(struct conduit_dial *d,
                             const struct cdt_endpoints *list)
{
    size_t n = 0;
    size_t a;
    size_t b;
    uint8_t family;

    while (n < list->count && list->items[n].addr.family == 0) {
        d->report->items[n].endpoint = list->items[n];
        n++;
    }
    a = b = n;
    family = n < list->count ? list->items[n].addr.family : 0;
    while (n < list->count) {
        while (a < list->count && list->items[a].addr.family != family) {
            a++;
        }
        while (b < list->count && list->items[b].addr.family == family) {
            b++;
        }
        if (a < list->count) {
            d->report->items[n++].endpoint = list->items[a++];
        }
        if (b < list->count) {
            d->report->items[n++].endpoint = list->items[b++];
        }
    }
    d->report->count = n;
}

/* Takes over the endpoints; they belong to the report from then on. */
static bool take_endpoints(struct conduit_dial *d, struct cdt_endpoints *list)
{
    size_t n = list->count;

    d->report = conduit_alloc(d->ctx,
                              sizeof *d->report + n * sizeof(struct record));
    d->attempts = conduit_alloc(d->ctx, n * sizeof *d->attempts);
    if (d->report == NULL || d->attempts == NULL) {
        cdt_endpoints_fini(d->ctx, list);
        return false;
    }
    d->count = n;
    copy_interleaved(d, list);
    conduit_release(d->ctx, list->items);
    return true;
}

static void resolved(struct conduit_resolve *r, struct cdt_endpoints *list,
                     const struct conduit_error *err)
{
    struct conduit_dial *d = CDT_CONTAINER(r, struct conduit_dial, resolve);

    if (err != NULL) {
        d->error = *err;
        d->failed = true;
    } else if (!take_endpoints(d, list)) {
        (void)conduit_error_set(&d->error, CONDUIT_ENOMEM, LAYER, 0,
                                "out of memory");
        d->failed = true;
    }
    conduit_loop_defer(&d->ctx->loop, &d->task);
}

static void run_dial(struct conduit_task *task)
{
    struct conduit_dial *d = CDT_CONTAINER(task, struct conduit_dial, task);

    if (d->failed) {
        report_failure(d);
    } else {
        next_attempt(d);
    }
}

int conduit_dial(struct conduit_ctx *ctx, const char *uri,
                 const struct conduit_options *options, conduit_dialed_fn *fn,
                 void *arg, struct conduit_dial **out,
                 struct conduit_error *err)
{
    struct conduit_uri *parsed;
    struct conduit_dial *d;
    struct conduit_options all = cdt_options(options);
    int code = conduit_uri_parse(ctx, uri, &parsed, err);

    if (code != 0) {
        return code;
    }
    code = cdt_prepare_all(ctx, parsed, false, &all, err);
    d = code == 0 ? conduit_alloc(ctx, sizeof *d) : NULL;
    if (d == NULL) {
        conduit_uri_free(ctx, parsed);
        return code != 0 ? code
                         : conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                             "out of memory");
    }
    d->ctx = ctx;
    d->uri = parsed;
    d->options = all;
    d->fn = fn;
    d->arg = arg;
    d->begin = clock_now(d);
    d->task.run = run_dial;
    d->stagger.fire = stagger_fired;
    d->total.fire = total_fired;
    d->next = ctx->dials;
    if (d->next != NULL) {
        d->next->prev = d;
    }
    ctx->dials = d;
    conduit_timer_set(&ctx->loop, &d->total, d->options.dial_ms);
    d->resolve = (struct conduit_resolve){
        .ctx = ctx, .uri = parsed, .done = resolved};
    cdt_resolve_start(&d->resolve);
    if (out != NULL) {
        *out = d;
    }
    return 0;
}
