/* SPDX-License-Identifier: ISC */
/* The HTTP server: its listeners, how many may be in, and how it ends. */
#include "http/server.h"

#include <string.h>

/* Bounds of what a peer may send beside a body, over a whole message. */
#define TRAILER_MAX 8192
#define CHUNK_EXT_MAX 16384

static void set_default(unsigned *value, unsigned fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

static void set_options(struct conduit_http_server *server,
                        const struct conduit_http_options *given)
{
    struct conduit_http_options *o = &server->options;

    if (given != NULL) {
        *o = *given;
    }
    set_default(&o->max_line, 8192);
    set_default(&o->max_fields, 100);
    set_default(&o->head_ms, 10000);
    set_default(&o->body_ms, 30000);
    set_default(&o->idle_ms, 60000);
    set_default(&o->max_conns, 10000);
    if (o->max_body == 0) {
        o->max_body = UINT64_C(16) << 20;
    }
    server->limits = (struct cdt_http_limits){
        .request_line = o->max_line,
        .fields = o->max_fields,
        .trailer = TRAILER_MAX,
        .chunk_ext = CHUNK_EXT_MAX,
        .body = o->max_body,
    };
}

/* ---- stopping ---- */

static void close_listeners(struct conduit_http_server *server)
{
    while (server->listening != NULL) {
        struct cdt_listening *l = server->listening;

        server->listening = l->next;
        conduit_listener_close(l->listener);
        conduit_release(server->ctx, l);
    }
}

/* Those who were let in over the cap, and never told. */
static void drop_waiting(struct conduit_http_server *server)
{
    while (server->waiting != NULL) {
        struct cdt_session *s = server->waiting;

        server->waiting = s->next;
        conduit_conn_abort(s->conn);
        conduit_release(server->ctx, s);
    }
    server->waiting_last = &server->waiting;
}

static void run_done(struct conduit_task *task)
{
    struct conduit_http_server *server =
        (struct conduit_http_server *)(void *)((char *)task -
                                               offsetof(
                                                   struct conduit_http_server,
                                                   task));
    void (*done)(void *arg) = server->done;

    server->done = NULL;
    if (done != NULL) {
        done(server->done_arg); /* may free the server */
    }
}

static void end_all(struct conduit_http_server *server)
{
    while (server->sessions != NULL) {
        struct cdt_session *s = server->sessions;

        cdt_session_end(s, !cdt_session_idle(s));
    }
}

static void stop_late(struct conduit_timer *timer)
{
    struct conduit_http_server *server =
        (struct conduit_http_server *)(void *)((char *)timer -
                                               offsetof(
                                                   struct conduit_http_server,
                                                   timer));

    cdt_server_enter(server);
    end_all(server);
    cdt_server_leave(server);
}

/* Tells that stopping is over, once it is. */
static void check_stopped(struct conduit_http_server *server)
{
    if (server->stopping && !server->freed && server->sessions == NULL) {
        conduit_timer_clear(server->loop, &server->timer);
        conduit_loop_defer(server->loop, &server->task);
    }
}

/*
 * Whether the last answer has arrived: then a peer that keeps its connection
 * for later, as browsers do, need not be waited for.
 */
static bool owes_nothing(struct cdt_session *s)
{
    size_t unacked = 0;

    if (conduit_conn_flush(s->conn) != 0) {
        return false;
    }
    (void)conduit_conn_query(s->conn, CONDUIT_QUERY_UNACKED, &unacked);
    return unacked == 0;
}

void conduit_http_server_stop(struct conduit_http_server *server, unsigned ms,
                              void (*done)(void *arg), void *arg)
{
    struct cdt_session *s = server->sessions;

    server->stopping = true;
    server->done = done;
    server->done_arg = arg;
    close_listeners(server);
    drop_waiting(server);
    while (s != NULL) {
        struct cdt_session *next = s->next;

        if (s->conn != NULL && cdt_session_idle(s) && !s->running) {
            if (owes_nothing(s)) {
                conduit_conn_set_linger(s->conn, 0);
            }
            cdt_session_end(s, false);
        }
        s = next;
    }
    conduit_timer_set(server->loop, &server->timer, ms);
    check_stopped(server);
}

/* ---- freeing ---- */

static void destroy(struct conduit_http_server *server)
{
    struct conduit_ctx *ctx = server->ctx;

    while (server->spare != NULL) {
        struct conduit_http_request *r = server->spare;

        server->spare = r->next;
        conduit_release(ctx, r);
    }
    while (server->sites != NULL) {
        struct cdt_site *site = server->sites;

        server->sites = site->next;
        conduit_release(ctx, site);
    }
    cdt_router_free(ctx, server->root);
    conduit_release(ctx, server);
}

void cdt_server_enter(struct conduit_http_server *server)
{
    server->depth++;
}

void cdt_server_leave(struct conduit_http_server *server)
{
    if (--server->depth == 0 && server->freed) {
        destroy(server);
    }
}

void conduit_http_server_free(struct conduit_http_server *server)
{
    if (server == NULL || server->freed) {
        return;
    }
    cdt_ending_remove(&server->ending);
    cdt_server_enter(server);
    server->freed = true;
    close_listeners(server);
    drop_waiting(server);
    end_all(server);
    conduit_timer_clear(server->loop, &server->timer);
    conduit_loop_cancel(server->loop, &server->task);
    cdt_server_leave(server);
}

/*
 * The context ends. Requests that were not answered stay, for whom the
 * application may still ask them, until the server is freed; then on_gone
 * comes.
 */
static void context_ends(struct cdt_ending *ending)
{
    struct conduit_http_server *server =
        (struct conduit_http_server *)(void *)ending;
    struct cdt_session *s;

    server->stopping = true;
    server->done = NULL;
    close_listeners(server);
    drop_waiting(server);
    for (s = server->sessions; s != NULL; s = s->next) {
        cdt_session_lose(s);
    }
    conduit_timer_clear(server->loop, &server->timer);
    conduit_loop_cancel(server->loop, &server->task);
}

/* ---- letting in ---- */

static void pause_listeners(struct conduit_http_server *server, bool paused)
{
    struct cdt_listening *l;

    if (server->paused == paused) {
        return;
    }
    server->paused = paused;
    for (l = server->listening; l != NULL; l = l->next) {
        if (paused) {
            conduit_listener_pause(l->listener);
        } else {
            conduit_listener_resume(l->listener);
        }
    }
}

static void let_in(struct conduit_http_server *server, struct cdt_session *s)
{
    server->open++;
    cdt_session_start(s);
    if (server->open >= server->options.max_conns) {
        pause_listeners(server, true);
    }
}

void cdt_server_closed(struct conduit_http_server *server)
{
    struct cdt_session *s = server->waiting;

    server->open--;
    if (s != NULL) {
        server->waiting = s->next;
        if (s->next == NULL) {
            server->waiting_last = &server->waiting;
        }
        let_in(server, s);
    } else if (server->open < server->options.max_conns) {
        pause_listeners(server, false);
    }
    check_stopped(server);
}

/*
 * Listeners are paused at the cap, but a few peers may have been accepted
 * already and be on their way here: they wait, as they would in the system's
 * queue, without being read.
 */
static void accepted(void *arg, struct conduit_listener *listener,
                     struct conduit_conn *conn)
{
    struct conduit_http_server *server = arg;
    struct cdt_session *s = conduit_alloc(server->ctx, sizeof *s);

    (void)listener;
    if (s == NULL) {
        conduit_conn_abort(conn);
        return;
    }
    s->server = server;
    s->conn = conn;
    if (server->open < server->options.max_conns) {
        let_in(server, s);
        return;
    }
    *server->waiting_last = s;
    server->waiting_last = &s->next;
}

int conduit_http_server_listen(struct conduit_http_server *server,
                               const char *uri,
                               struct conduit_listener **listener,
                               struct conduit_error *err)
{
    struct cdt_listening *l;
    int code;

    if (server->stopping) {
        return conduit_error_set(err, CONDUIT_ECLOSED, "http", 0,
                                 "the server is stopping");
    }
    l = conduit_alloc(server->ctx, sizeof *l);
    if (l == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    code = conduit_listen(server->ctx, uri, &server->options.conn, accepted,
                          server, &l->listener, err);
    if (code != 0) {
        conduit_release(server->ctx, l);
        return code;
    }
    l->next = server->listening;
    server->listening = l;
    if (server->paused) {
        conduit_listener_pause(l->listener);
    }
    if (listener != NULL) {
        *listener = l->listener;
    }
    return 0;
}

int conduit_http_server_new(struct conduit_ctx *ctx,
                            const struct conduit_http_options *options,
                            struct conduit_http_server **out,
                            struct conduit_error *err)
{
    struct conduit_http_server *server = conduit_alloc(ctx, sizeof *server);

    if (server == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    server->ctx = ctx;
    server->loop = conduit_ctx_loop(ctx);
    server->ending.end = context_ends;
    cdt_ending_add(ctx, &server->ending);
    server->waiting_last = &server->waiting;
    server->timer.fire = stop_late;
    server->task.run = run_done;
    set_options(server, options);
    *out = server;
    return 0;
}

const char *cdt_server_date(struct conduit_http_server *server)
{
    uint64_t now = conduit_loop_now(server->loop);
    int64_t wall;

    if (now == server->date_turn) {
        return server->date;
    }
    server->date_turn = now;
    wall = conduit_ctx_wall(server->ctx);
    if (wall != server->date_wall) {
        server->date_wall = wall;
        memcpy(server->date, "Date: ", 6);
        cdt_http_date(server->date + 6, wall);
        memcpy(server->date + 6 + CDT_HTTP_DATE - 1, "\r\n", 3);
    }
    if (wall == 0) {
        server->date[0] = '\0';
    }
    return server->date;
}
