/* SPDX-License-Identifier: ISC */
/*
 * `conduit relay`: accepts, dials, and keeps the limits; the copying is
 * relay_pair.c's.
 *
 * Nothing is read from who comes before the other side is there. At the limit
 * the listener is paused, so that most who come wait in the system's queue; who
 * had been accepted by then, still shaking hands perhaps, waits here.
 */
#include "relay.h"

#include <stdio.h>
#include <string.h>

#define LAYER "relay"

/* Somebody who has come, and what is done for them. */
struct link {
    struct relay *relay;
    struct link *next;
    struct link **at; /* what points to it */
    struct conduit_conn *conn;
    struct conduit_dial *dial;
    struct relay_pair pair;
    bool active; /* counted; else it waits for its turn */
    bool joined; /* the connections are the pair's */
    char peer[CONDUIT_PEER_TEXT];
};

struct relay {
    struct conduit_ctx *ctx;
    struct relay_options o;
    struct conduit_options dial_options;
    struct conduit_tls *from_tls; /* where the URIs have it */
    struct conduit_tls *to_tls;
    struct conduit_listener *listener; /* NULL once asked to end */
    struct link *links;                /* as they came, who wait at the end */
    struct link **last;
    struct link *waiting; /* the first */
    size_t count;
    size_t active;
    struct conduit_task admit;
    struct conduit_timer grace;
};

#define OWNER(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- links ---- */

static struct link *link_new(struct relay *r, struct conduit_conn *conn)
{
    struct link *l = conduit_alloc(r->ctx, sizeof *l);

    if (l == NULL) {
        return NULL;
    }
    l->relay = r;
    l->conn = conn;
    if (conduit_conn_query(conn, CONDUIT_QUERY_PEER, l->peer) != 0) {
        (void)snprintf(l->peer, sizeof l->peer, "somebody");
    }
    l->at = r->last;
    *r->last = l;
    r->last = &l->next;
    if (r->waiting == NULL) {
        r->waiting = l;
    }
    r->count++;
    return l;
}

/* Forgets a link whose connections are closed; others may have its place. */
static void link_free(struct link *l)
{
    struct relay *r = l->relay;

    *l->at = l->next;
    if (l->next != NULL) {
        l->next->at = l->at;
    } else {
        r->last = l->at;
    }
    if (r->waiting == l) {
        r->waiting = l->next;
    }
    r->count--;
    r->active -= l->active;
    conduit_release(r->ctx, l);
    conduit_loop_defer(conduit_ctx_loop(r->ctx), &r->admit);
}

/* Drops whatever there is of it, without a word to anybody. */
static void link_drop(struct link *l)
{
    if (l->joined) {
        relay_pair_drop(&l->pair);
    } else {
        conduit_dial_cancel(l->dial);
        conduit_conn_abort(l->conn);
    }
    link_free(l);
}

/* ---- relaying ---- */

static void on_pair_done(struct relay_pair *pair,
                         const struct conduit_error *err, int where)
{
    static const char *const sides[] = {"FROM failed: ", "TO failed: "};
    struct link *l = OWNER(pair, struct link, pair);
    const char *side = err != NULL && where >= 0 ? sides[where] : "";

    conduit_log(l->relay->ctx, CONDUIT_LOG_INFO, LAYER,
                "%s: %llu bytes there, %llu back; %s%s", l->peer,
                (unsigned long long)pair->copied[0],
                (unsigned long long)pair->copied[1], side,
                err == NULL ? "ended in order" : err->text);
    link_free(l);
}

static void cannot_connect(struct link *l, const struct conduit_error *err)
{
    conduit_log(l->relay->ctx, CONDUIT_LOG_WARN, LAYER,
                "%s: cannot connect to %s: %s", l->peer, l->relay->o.to,
                err->text);
    link_drop(l);
}

static void on_dialled(void *arg, struct conduit_dial *dial,
                       struct conduit_conn *conn,
                       const struct conduit_error *err)
{
    struct link *l = arg;

    (void)dial;
    l->dial = NULL;
    if (conn == NULL) {
        cannot_connect(l, err);
        return;
    }
    l->joined = true;
    relay_pair_start(&l->pair, l->conn, conn);
}

/* Before it is joined only a failure is told of. */
static void on_early_event(void *arg, struct conduit_conn *conn,
                           unsigned events)
{
    struct link *l = arg;
    struct conduit_error err;

    if ((events & CONDUIT_ERR) != 0) {
        (void)conduit_conn_error(conn, &err);
        conduit_log(l->relay->ctx, CONDUIT_LOG_INFO, LAYER,
                    "%s: gone before it was connected: %s", l->peer, err.text);
        link_drop(l);
    }
}

static void link_start(struct link *l)
{
    struct relay *r = l->relay;
    struct conduit_error err;

    r->waiting = l->next;
    r->active++;
    l->active = true;
    l->pair.idle_ms = r->o.idle_ms;
    l->pair.linger_ms = r->o.linger_ms;
    l->pair.done = on_pair_done;
    if (conduit_dial(r->ctx, r->o.to, &r->dial_options, on_dialled, l, &l->dial,
                     &err) != 0) {
        cannot_connect(l, &err);
    }
}

/* ---- who may come ---- */

static void fill_places(struct relay *r)
{
    while (r->waiting != NULL && r->active < r->o.max) {
        link_start(r->waiting);
    }
    if (r->listener == NULL) {
        return;
    }
    if (r->count < r->o.max) {
        conduit_listener_resume(r->listener);
    } else {
        conduit_listener_pause(r->listener);
    }
}

/* Runs after somebody has gone. */
static void on_admit(struct conduit_task *task)
{
    struct relay *r = OWNER(task, struct relay, admit);

    fill_places(r);
    if (r->listener == NULL && r->count == 0) {
        conduit_loop_stop(conduit_ctx_loop(r->ctx));
    }
}

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    struct relay *r = arg;
    struct link *l = link_new(r, conn);

    (void)listener;
    if (l == NULL) {
        conduit_log(r->ctx, CONDUIT_LOG_ERROR, LAYER,
                    "out of memory: a peer dropped");
        conduit_conn_abort(conn);
        return;
    }
    conduit_conn_set_handler(conn, on_early_event, l, 0);
    fill_places(r);
}

/* ---- ending ---- */

static void drop_all(struct relay *r)
{
    while (r->links != NULL) {
        link_drop(r->links);
    }
}

static void on_grace_over(struct conduit_timer *timer)
{
    struct relay *r = OWNER(timer, struct relay, grace);

    if (r->count > 0) {
        conduit_log(r->ctx, CONDUIT_LOG_WARN, LAYER,
                    "asked to end: %zu still connected, dropped", r->count);
    }
    drop_all(r);
}

/* The first request to end lets those finish who were connected; the second
 * does not wait. */
static void shut_down(void *arg)
{
    struct relay *r = arg;

    if (r->listener == NULL) {
        drop_all(r);
        return;
    }
    conduit_listener_close(r->listener);
    r->listener = NULL;
    while (r->waiting != NULL) {
        link_drop(r->waiting);
    }
    conduit_timer_set(conduit_ctx_loop(r->ctx), &r->grace, r->o.grace_ms);
    conduit_loop_defer(conduit_ctx_loop(r->ctx), &r->admit);
}

/* ---- the command ---- */

static int fail(const struct conduit_error *err)
{
    (void)fprintf(stderr, "conduit: %s\n", err->text);
    return RELAY_FAILED;
}

/* A URI that can never be dialled is said so at once. */
static int check_target(struct relay *r, struct conduit_error *err)
{
    struct conduit_uri *uri;
    int code = conduit_uri_parse(r->ctx, r->o.to, &uri, err);

    if (code == 0) {
        conduit_uri_free(r->ctx, uri);
    }
    return code;
}

static int run(struct relay *r)
{
    struct conduit_options options = relay_listen_options(&r->o);
    struct conduit_loop *loop = conduit_ctx_loop(r->ctx);
    struct conduit_error err;

    r->dial_options = relay_dial_options(&r->o);
    if (relay_tls(&r->o, r->ctx, &r->from_tls, &r->to_tls, &err) != 0 ||
        check_target(r, &err) != 0) {
        return fail(&err);
    }
    options.tls = r->from_tls;
    r->dial_options.tls = r->to_tls;
    if (conduit_listen(r->ctx, r->o.from, &options, on_accept, r, &r->listener,
                       &err) != 0) {
        return fail(&err);
    }
    (void)printf("listening %s\n", conduit_listener_uri(r->listener));
    (void)fflush(stdout);
    conduit_ctx_on_shutdown(r->ctx, shut_down, r);
    conduit_loop_run(loop);
    conduit_ctx_on_shutdown(r->ctx, NULL, NULL);
    conduit_timer_clear(loop, &r->grace);
    return RELAY_OK;
}

int relay_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    struct relay r = {
        .ctx = ctx,
        .admit = {.run = on_admit},
        .grace = {.fire = on_grace_over},
    };
    int status = relay_options_parse(&r.o, argc, argv);

    if (status != RELAY_OK) {
        return status;
    }
    if (r.o.help) {
        (void)fputs(relay_usage, stdout);
        return fflush(stdout) == 0 ? RELAY_OK : RELAY_FAILED;
    }
    r.last = &r.links;
    status = run(&r);
    conduit_tls_unref(r.from_tls);
    conduit_tls_unref(r.to_tls);
    return status;
}
