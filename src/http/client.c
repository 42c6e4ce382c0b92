/* SPDX-License-Identifier: ISC */
/*
 * The client: its life, the queue of its calls, and its connection. What goes
 * over the connection is client_exchange.c.
 *
 * The loop comes in by four doors (a task, a dial's answer, a connection's
 * events, timers), the application by three (call, cancel, free). Those of the
 * application only queue or take away; all that makes progress happens on the
 * loop, in leave(), when the last callback has returned.
 */
#include "http/client.h"

#define DEFAULT_MAX_BODY (UINT64_C(16) << 20)
#define DEFAULT_FIELDS 100
#define DEFAULT_LINE 8192
#define DEFAULT_BODY_MS 30000
#define DEFAULT_ANSWER_MS 30000
#define DEFAULT_PIPELINE 64

static void run(struct conduit_task *task);
static void expired(struct conduit_timer *timer);

/* ---- life ---- */

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value != 0 ? value : fallback;
}

static void set_options(struct conduit_http_client *client,
                        const struct conduit_http_options *given)
{
    struct conduit_http_options *o = &client->options;

    if (given != NULL) {
        *o = *given;
    }
    o->max_line = or_default(o->max_line, DEFAULT_LINE);
    o->max_fields = or_default(o->max_fields, DEFAULT_FIELDS);
    o->body_ms = or_default(o->body_ms, DEFAULT_BODY_MS);
    o->answer_ms = or_default(o->answer_ms, DEFAULT_ANSWER_MS);
    o->max_pipeline = or_default(o->max_pipeline, DEFAULT_PIPELINE);
    if (o->max_body == 0) {
        o->max_body = DEFAULT_MAX_BODY;
    }
    client->limits = (struct cdt_http_limits){
        .request_line = o->max_line,
        .fields = o->max_fields,
        .trailer = CDT_CLIENT_HEAD,
        .chunk_ext = CDT_CLIENT_HEAD,
        .body = o->max_body,
    };
}

/* The context ends: calls wait, for nothing, until the client is freed. */
static void context_ends(struct cdt_ending *ending)
{
    struct conduit_http_client *client = CDT_CONTAINER_OF(
        ending, struct conduit_http_client, ending);
    struct conduit_http_call *call;

    client->over = true;
    cdt_exchange_forget(client);
    for (call = client->first; call != NULL; call = call->next) {
        conduit_timer_clear(client->loop, &call->total);
        call->conn = NULL;
    }
    conduit_dial_cancel(client->dial);
    client->dial = NULL;
    cdt_client_drop(client, true);
    conduit_loop_cancel(client->loop, &client->task);
}

static void destroy(struct conduit_http_client *client)
{
    struct conduit_ctx *ctx = client->ctx;

    conduit_release(ctx, client->mem);
    conduit_release(ctx, client->uri);
    conduit_release(ctx, client->host);
    conduit_release(ctx, client->target);
    conduit_release(ctx, client);
}

int conduit_http_client_new(struct conduit_ctx *ctx, const char *uri,
                            const struct conduit_http_options *options,
                            struct conduit_http_client **out,
                            struct conduit_error *err)
{
    struct conduit_http_client *client = conduit_alloc(ctx, sizeof *client);
    int rc;

    if (client == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    client->ctx = ctx;
    client->loop = conduit_ctx_loop(ctx);
    client->task.run = run;
    client->timer.fire = expired;
    set_options(client, options);
    cdt_http_parser_init(&client->parser, CDT_HTTP_RESPONSE, &client->limits);
    rc = cdt_client_set_origin(client, uri, err);
    if (rc != 0) {
        destroy(client);
        return rc;
    }
    client->ending.end = context_ends;
    cdt_ending_add(ctx, &client->ending);
    *out = client;
    return 0;
}

void conduit_http_client_free(struct conduit_http_client *client)
{
    bool busy;
    struct conduit_error err;

    if (client == NULL || client->freed) {
        return;
    }
    client->freed = true;
    cdt_ending_remove(&client->ending);
    cdt_client_enter(client);
    busy = client->x.call != NULL;
    cdt_exchange_forget(client);
    (void)conduit_error_set(&err, CONDUIT_ECANCELED, "http", 0,
                            "the client was freed");
    while (client->first != NULL) {
        cdt_client_end(client->first, &err, false);
    }
    conduit_dial_cancel(client->dial);
    client->dial = NULL;
    cdt_client_drop(client, busy);
    conduit_loop_cancel(client->loop, &client->task);
    cdt_client_leave(client);
}

/* ---- the queue ---- */

int conduit_http_call(struct conduit_http_client *client,
                      const struct conduit_http_call_options *o,
                      struct conduit_http_call **out, struct conduit_error *err)
{
    struct conduit_http_call **last = &client->first;
    struct conduit_http_call *call;
    int rc;

    if (client->freed || client->over) {
        return conduit_error_set(err, CONDUIT_ECLOSED, "http", 0,
                                 client->over ? "the context has ended"
                                              : "the client was freed");
    }
    if (client->count >= client->options.max_pipeline) {
        return conduit_error_set(err, CONDUIT_ELIMIT, "http", 0,
                                 "%u calls are waiting already",
                                 client->options.max_pipeline);
    }
    rc = cdt_call_new(client, o, &call, err);
    if (rc != 0) {
        return rc;
    }
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = call;
    client->count++;
    call->number = ++client->number;
    if (o->total_ms != 0) {
        conduit_timer_set(client->loop, &call->total, o->total_ms);
    }
    conduit_loop_defer(client->loop, &client->task);
    if (out != NULL) {
        *out = call;
    }
    return 0;
}

void cdt_client_end(struct conduit_http_call *call,
                    const struct conduit_error *err, bool silent)
{
    struct conduit_http_client *client = call->client;
    struct conduit_http_call **at = &client->first;

    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    client->count--;
    call->ended = true;
    call->next = client->ended;
    client->ended = call;
    conduit_timer_clear(client->loop, &call->total);
    if (!silent && call->o.done != NULL) {
        call->o.done(call->o.arg, call, err);
    }
}

/*
 * A call ends before its time. Its connection cannot be used further; a dial
 * goes on only where other calls wait for it.
 */
static void call_off(struct conduit_http_call *call,
                     const struct conduit_error *err, bool silent)
{
    struct conduit_http_client *client = call->client;
    bool active = client->x.call == call;

    if (active) {
        cdt_exchange_forget(client);
    }
    cdt_client_end(call, err, silent);
    if (active) {
        cdt_client_drop(client, true);
    }
    if (client->first == NULL) {
        conduit_dial_cancel(client->dial);
        client->dial = NULL;
    }
}

void conduit_http_call_cancel(struct conduit_http_call *call)
{
    struct conduit_http_client *client;

    if (call == NULL || call->ended) {
        return;
    }
    client = call->client;
    cdt_client_enter(client);
    call_off(call, NULL, true);
    if (client->first != NULL) {
        conduit_loop_defer(client->loop, &client->task);
    }
    cdt_client_leave(client);
}

/* ---- progress ---- */

void cdt_client_enter(struct conduit_http_client *client)
{
    client->depth++;
}

void cdt_client_leave(struct conduit_http_client *client)
{
    if (--client->depth > 0) {
        return;
    }
    while (client->ended != NULL) {
        struct conduit_http_call *call = client->ended;

        client->ended = call->next;
        cdt_call_free(call);
    }
    if (client->freed) {
        destroy(client);
    } else if (client->conn == NULL) {
        conduit_release(client->ctx, client->mem);
        client->mem = NULL;
    }
}

void cdt_client_drop(struct conduit_http_client *client, bool abort)
{
    if (abort) {
        conduit_conn_abort(client->conn);
    } else {
        conduit_conn_close(client->conn);
    }
    client->conn = NULL;
    client->x.in_at = 0;
    client->x.in_end = 0;
}

/*
 * Ends with one error all calls that are waiting now, but none that a callback
 * adds: they all waited for the same dial, and one after the other they would
 * wait as long again each.
 */
static void end_waiting(struct conduit_http_client *client,
                        const struct conduit_error *err)
{
    uint64_t last = client->number;

    while (client->first != NULL && client->first->number <= last) {
        cdt_client_end(client->first, err, false);
    }
}

static void on_conn(void *arg, struct conduit_conn *conn, unsigned events);
static void start_next(struct conduit_http_client *client);

static void on_dialed(void *arg, struct conduit_dial *dial,
                      struct conduit_conn *conn,
                      const struct conduit_error *err)
{
    struct conduit_http_client *client = arg;

    cdt_client_enter(client);
    client->dial = NULL;
    if (conn != NULL) {
        client->conn = conn;
        client->used = false;
        client->x.interest = CONDUIT_READ;
        conduit_conn_set_handler(conn, on_conn, client, CONDUIT_READ);
    } else {
        client->report = dial;
        end_waiting(client, err);
        client->report = NULL;
    }
    start_next(client);
    cdt_client_leave(client);
}

static void dial(struct conduit_http_client *client)
{
    struct conduit_error err;
    int rc = conduit_dial(client->ctx, client->uri, &client->options.conn,
                          on_dialed, client, &client->dial, &err);

    if (rc != 0) {
        client->dial = NULL;
        end_waiting(client, &err);
    }
}

/* One step at most: a call that fails at once must not go round here for ever.
 */
static void start_next(struct conduit_http_client *client)
{
    if (client->freed || client->over || client->first == NULL ||
        client->dial != NULL || client->x.call != NULL) {
        return;
    }
    if (client->used && client->conn != NULL && !cdt_exchange_usable(client)) {
        cdt_client_drop(client, false);
    }
    if (client->conn != NULL) {
        cdt_exchange_begin(client, client->first);
    } else {
        dial(client);
    }
    if (!client->freed && client->first != NULL && client->dial == NULL &&
        client->x.call == NULL) {
        conduit_loop_defer(client->loop, &client->task);
    }
}

static void run(struct conduit_task *task)
{
    struct conduit_http_client *client = CDT_CONTAINER_OF(
        task, struct conduit_http_client, task);

    cdt_client_enter(client);
    if (client->x.call != NULL && client->x.resumed) {
        cdt_exchange_resume(client);
    }
    start_next(client);
    cdt_client_leave(client);
}

static void on_conn(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct conduit_http_client *client = arg;

    (void)conn;
    (void)events;
    cdt_client_enter(client);
    if (client->x.call != NULL) {
        cdt_exchange_pump(client);
    } else if (!cdt_exchange_usable(client)) {
        cdt_client_drop(client, false);
    }
    start_next(client);
    cdt_client_leave(client);
}

static void expired(struct conduit_timer *timer)
{
    struct conduit_http_client *client = CDT_CONTAINER_OF(
        timer, struct conduit_http_client, timer);

    cdt_client_enter(client);
    cdt_exchange_check_time(client);
    start_next(client);
    cdt_client_leave(client);
}

void cdt_call_expired(struct conduit_timer *timer)
{
    struct conduit_http_call *call = CDT_CONTAINER_OF(
        timer, struct conduit_http_call, total);
    struct conduit_http_client *client = call->client;
    struct conduit_error err;

    (void)conduit_error_set(&err, CONDUIT_ETIMEDOUT, "http", 0,
                            "not complete within %u ms", call->o.total_ms);
    cdt_client_enter(client);
    call_off(call, &err, false);
    start_next(client);
    cdt_client_leave(client);
}
