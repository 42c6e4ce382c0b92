/* SPDX-License-Identifier: ISC */
/*
 * Listeners: what a transport accepts gets its layers here and is handed over
 * once it is open. Until then the listener owns it, with a deadline and a cap,
 * so that peers who connect and say nothing cost little and not for long.
 */
#include "core.h"

#include <stdio.h>
#include <string.h>

#define LAYER "listen"

/* Attempts to find one free port on all addresses of a name. */
#define PORT_TRIES 16

struct conduit_listener {
    struct conduit_ctx *ctx;
    struct conduit_listener *next;
    struct conduit_listener *prev;
    struct conduit_uri *uri;
    struct conduit_options options;
    conduit_accept_fn *fn;
    void *arg;
    struct conduit_acceptor *acceptors;
    char *text;       /* the URI with the real port */
    unsigned opening; /* those included that failed and are not gone yet */
    bool paused_by_user;
    bool paused_by_cap;
};

struct conduit_ctx *conduit_listener_ctx(const struct conduit_listener *l)
{
    return l->ctx;
}

bool cdt_listener_listens(const struct conduit_listener *l)
{
    return l->acceptors != NULL;
}

const char *conduit_listener_uri(const struct conduit_listener *l)
{
    return l->text;
}

/* ---- pausing ---- */

static void pause_all(struct conduit_listener *l)
{
    bool paused = l->paused_by_user || l->paused_by_cap;
    struct conduit_acceptor *a;

    for (a = l->acceptors; a != NULL; a = a->next) {
        a->ops->pause(a, paused);
    }
}

static void set_paused(struct conduit_listener *l, bool *which, bool value)
{
    bool before = l->paused_by_user || l->paused_by_cap;

    *which = value;
    if (before != (l->paused_by_user || l->paused_by_cap)) {
        pause_all(l);
    }
}

void conduit_listener_pause(struct conduit_listener *listener)
{
    set_paused(listener, &listener->paused_by_user, true);
}

void conduit_listener_resume(struct conduit_listener *listener)
{
    set_paused(listener, &listener->paused_by_user, false);
}

/* ---- peers that open ---- */

static void opening_ended(struct conduit_listener *l)
{
    l->opening--;
    if (l->paused_by_cap) {
        set_paused(l, &l->paused_by_cap, false);
    }
}

void cdt_listener_left(struct conduit_listener *l)
{
    opening_ended(l);
}

/* It counts until it is gone, or peers who fail on purpose would hold any
 * number of connections for as long as it takes to tell them. */
static void opening_failed(struct conduit_listener *l,
                           struct conduit_conn *conn)
{
    struct conduit_conn *left = cdt_conn_dismiss(conn);

    if (left == NULL) {
        opening_ended(l);
        return;
    }
    left->arg = l;
    left->flags |= CDT_COUNTED;
}

static void opening_event(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct conduit_listener *l = arg;
    struct conduit_error err;

    if ((events & CONDUIT_OPEN) != 0 && conn->fault_code == 0) {
        conduit_conn_set_handler(conn, NULL, NULL, 0);
        conduit_conn_set_deadline(conn, 0);
        opening_ended(l);
        l->fn(l->arg, l, conn);
    } else if ((events & (CONDUIT_ERR | CONDUIT_OPEN)) != 0) {
        (void)conduit_conn_error(conn, &err);
        conduit_log(l->ctx, CONDUIT_LOG_INFO, LAYER,
                    "a peer of %s did not open: %s", l->text, err.text);
        opening_failed(l, conn);
    }
}

void conduit_listener_deliver(struct conduit_listener *listener,
                              struct conduit_conn *conn)
{
    struct conduit_listener *l = listener;
    struct conduit_error err = {0};

    if (cdt_wrap_all(l->ctx, &conn, l->uri, true, &l->options, &err) != 0) {
        conduit_log(l->ctx, CONDUIT_LOG_ERROR, LAYER, "%s: a peer dropped: %s",
                    l->text, err.text);
        conduit_conn_abort(conn);
        return;
    }
    l->opening++;
    if (l->opening >= l->options.max_opening) {
        set_paused(l, &l->paused_by_cap, true);
    }
    conduit_conn_set_handler(conn, opening_event, l, 0);
    conduit_conn_set_deadline(conn, l->options.open_ms);
    conduit_conn_start(conn);
}

/* ---- closing ---- */

static void drop_acceptors(struct conduit_listener *l)
{
    while (l->acceptors != NULL) {
        struct conduit_acceptor *a = l->acceptors;

        l->acceptors = a->next;
        a->ops->destroy(a);
    }
}

static void drop_opening(struct conduit_listener *l)
{
    struct conduit_conn *c = l->ctx->loop.all;

    while (c != NULL) {
        struct conduit_conn *next = c->all_next;

        if ((c->flags & CDT_COUNTED) != 0 && c->arg == l) {
            c->flags &= (uint16_t)~CDT_COUNTED; /* it goes on by itself */
        }
        if (c->handler == opening_event && c->arg == l) {
            conduit_conn_abort(c);
            next = l->ctx->loop.all; /* its layers left the list too */
        }
        c = next;
    }
}

static void free_listener(struct conduit_listener *l)
{
    struct conduit_ctx *ctx = l->ctx;

    drop_acceptors(l);
    drop_opening(l);
    conduit_uri_free(ctx, l->uri);
    conduit_release(ctx, l->text);
    conduit_release(ctx, l);
}

void conduit_listener_close(struct conduit_listener *listener)
{
    if (listener == NULL) {
        return;
    }
    if (listener->next != NULL) {
        listener->next->prev = listener->prev;
    }
    if (listener->prev != NULL) {
        listener->prev->next = listener->next;
    } else {
        listener->ctx->listeners = listener->next;
    }
    free_listener(listener);
}

void cdt_listeners_abort(struct conduit_ctx *ctx)
{
    while (ctx->listeners != NULL) {
        conduit_listener_close(ctx->listeners);
    }
}

/* ---- listening ---- */

/* A resolution that is over when it returns: only what is known at once. */
struct found {
    struct conduit_resolve resolve;
    struct cdt_endpoints list;
    struct conduit_error *err;
    int code;
};

static void found_done(struct conduit_resolve *r, struct cdt_endpoints *list,
                       const struct conduit_error *err)
{
    struct found *f = CDT_CONTAINER(r, struct found, resolve);

    f->list = *list;
    f->code = 0;
    if (err != NULL) {
        f->code = err->code;
        if (f->err != NULL) {
            *f->err = *err;
        }
    }
}

/* Whether an address that fails so may be left out when another works. */
static bool may_skip(int code)
{
    return code == CONDUIT_EADDRNOTAVAIL || code == CONDUIT_ENOTSUP;
}

/* Listens at every endpoint, with one port. */
static int listen_once(struct conduit_listener *l,
                       const struct cdt_endpoints *list, uint16_t *port,
                       struct conduit_error *err)
{
    int code = CONDUIT_ENOTSUP;
    size_t i;

    for (i = 0; i < list->count; i++) {
        struct conduit_endpoint ep = list->items[i];
        struct conduit_acceptor *a;

        if (ep.transport->listen == NULL) {
            return conduit_error_set(err, CONDUIT_ENOTSUP, LAYER, 0,
                                     "%s cannot listen", ep.transport->name);
        }
        if (*port != 0) {
            ep.addr.port = *port;
        }
        code = ep.transport->listen(l, &ep, &l->options, &a, err);
        if (code == 0) {
            a->listener = l;
            a->next = l->acceptors;
            l->acceptors = a;
            *port = a->ops->port(a) != 0 ? a->ops->port(a) : *port;
        } else if (!may_skip(code)) {
            return code;
        }
    }
    return l->acceptors != NULL ? 0 : code;
}

static int listen_all(struct conduit_listener *l,
                      const struct cdt_endpoints *list, uint16_t *port,
                      struct conduit_error *err)
{
    uint16_t asked = list->items[0].addr.port;
    int tries = PORT_TRIES;
    int code;

    do {
        *port = asked;
        code = listen_once(l, list, port, err);
        if (code != 0) {
            drop_acceptors(l);
        }
        /* A port found on one address can be taken on the next: once more. */
    } while (code == CONDUIT_EADDRINUSE && asked == 0 && list->count > 1 &&
             --tries > 0);
    return code;
}

/* The URI as given, with the real port where it gave one. */
static char *real_uri(struct conduit_ctx *ctx, const struct conduit_uri *u,
                      uint16_t port)
{
    const char *rest = u->text + strlen(u->scheme) + 3;
    const char *after = rest + strlen(u->authority);
    size_t n = strlen(u->text) + 8;
    const char *colon;
    char *text;

    if (!u->has_port || port == 0) {
        return conduit_strdup(ctx, u->text);
    }
    colon = after;
    while (colon[-1] != ':') {
        colon--;
    }
    text = conduit_resize(ctx, NULL, n);
    if (text != NULL) {
        (void)snprintf(text, n, "%.*s%u%s", (int)(colon - u->text), u->text,
                       port, after);
    }
    return text;
}

static int open_listener(struct conduit_listener *l, struct conduit_error *err)
{
    struct found f = {.err = err, .code = CONDUIT_ENAME};
    uint16_t port = 0;
    int code;

    f.resolve.ctx = l->ctx;
    f.resolve.uri = l->uri;
    f.resolve.listening = true;
    f.resolve.done = found_done;
    cdt_resolve_start(&f.resolve);
    if (f.code != 0) {
        return f.code;
    }
    code = listen_all(l, &f.list, &port, err);
    cdt_endpoints_fini(l->ctx, &f.list);
    if (code != 0) {
        return code;
    }
    l->text = real_uri(l->ctx, l->uri, port);
    if (l->text == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                 "out of memory");
    }
    return 0;
}

int conduit_listen(struct conduit_ctx *ctx, const char *uri,
                   const struct conduit_options *options, conduit_accept_fn *fn,
                   void *arg, struct conduit_listener **out,
                   struct conduit_error *err)
{
    struct conduit_uri *parsed;
    struct conduit_listener *l;
    int code = conduit_uri_parse(ctx, uri, &parsed, err);

    if (code != 0) {
        return code;
    }
    l = conduit_alloc(ctx, sizeof *l);
    if (l == NULL) {
        conduit_uri_free(ctx, parsed);
        return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                 "out of memory");
    }
    l->ctx = ctx;
    l->uri = parsed;
    l->options = cdt_options(options);
    l->fn = fn;
    l->arg = arg;
    code = cdt_prepare_all(ctx, parsed, true, &l->options, err);
    if (code == 0) {
        code = open_listener(l, err);
    }
    if (code != 0) {
        free_listener(l);
        return code;
    }
    l->next = ctx->listeners;
    if (l->next != NULL) {
        l->next->prev = l;
    }
    ctx->listeners = l;
    if (out != NULL) {
        *out = l;
    }
    return 0;
}
