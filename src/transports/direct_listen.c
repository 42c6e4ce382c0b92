/* SPDX-License-Identifier: ISC */
/* Listeners of the stack within the process. */
#include "direct.h"

#include <string.h>

/* lwIP counts those who wait in 8 bits. */
#define BACKLOG_MAX 255u

/* One that was accepted while the listener is paused. */
struct waiting {
    struct waiting *next;
    struct conduit_conn *conn; /* counts for the backlog until handed over */
};

struct acceptor {
    struct conduit_acceptor base; /* must be first */
    struct cdt_stack *stack;
    struct tcp_pcb *pcb;
    struct conduit_options options;
    struct waiting *waiting;
    struct waiting **waiting_last;
    bool paused;
};

static err_t keep(struct acceptor *a, struct conduit_conn *conn,
                  struct tcp_pcb *pcb)
{
    struct waiting *w = conduit_alloc(a->stack->ctx, sizeof *w);

    if (w == NULL) {
        return ERR_MEM;
    }
    tcp_backlog_delayed(pcb);
    w->conn = conn;
    *a->waiting_last = w;
    a->waiting_last = &w->next;
    return ERR_OK;
}

/* What is refused here is reset by lwIP, so the connection must not keep it. */
static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct acceptor *a = arg;
    struct conduit_conn *conn;

    if (err != ERR_OK || pcb == NULL || a == NULL) {
        return ERR_VAL;
    }
    conn = cdt_direct_accepted(a->stack, pcb, &a->options);
    if (conn == NULL) {
        return ERR_MEM;
    }
    if (!a->paused) {
        conduit_listener_deliver(a->base.listener, conn);
        return ERR_OK;
    }
    if (keep(a, conn, pcb) != ERR_OK) {
        conduit_conn_abort(conn); /* which resets it, once this is over */
    }
    return ERR_OK;
}

static struct waiting *pop(struct acceptor *a)
{
    struct waiting *w = a->waiting;

    a->waiting = w->next;
    if (a->waiting == NULL) {
        a->waiting_last = &a->waiting;
    }
    return w;
}

static void acceptor_pause(struct conduit_acceptor *base, bool paused)
{
    struct acceptor *a = (struct acceptor *)(void *)base;

    a->paused = paused;
    while (!a->paused && a->waiting != NULL) {
        struct waiting *w = pop(a);
        struct conduit_conn *conn = w->conn;

        cdt_direct_taken(conn);
        conduit_release(a->stack->ctx, w);
        conduit_listener_deliver(base->listener, conn);
    }
}

static uint16_t acceptor_port(const struct conduit_acceptor *base)
{
    return ((const struct acceptor *)(const void *)base)->pcb->local_port;
}

static void acceptor_destroy(struct conduit_acceptor *base)
{
    struct acceptor *a = (struct acceptor *)(void *)base;
    struct conduit_ctx *ctx = a->stack->ctx;

    while (a->waiting != NULL) {
        struct waiting *w = pop(a);

        conduit_conn_abort(w->conn);
        conduit_release(ctx, w);
    }
    tcp_arg(a->pcb, NULL);
    tcp_accept(a->pcb, NULL);
    (void)tcp_close(a->pcb); /* cannot fail for a listener */
    conduit_release(ctx, a);
}

static const struct conduit_acceptor_ops acceptor_ops = {
    .pause = acceptor_pause,
    .port = acceptor_port,
    .destroy = acceptor_destroy,
};

static int refuse(struct conduit_error *err, int code, err_t native,
                  const struct conduit_endpoint *ep, const char *why)
{
    char text[CONDUIT_ADDR_TEXT];

    return conduit_error_set(err, code, CDT_DIRECT_LAYER, native,
                             "listening at %s: %s",
                             conduit_addr_format(&ep->addr, true, text), why);
}

/* Binds and listens; NULL and an error. */
static struct tcp_pcb *open_pcb(struct cdt_stack *stack,
                                const struct conduit_endpoint *ep,
                                const struct conduit_options *options,
                                int *code, struct conduit_error *err)
{
    unsigned backlog = options->backlog < BACKLOG_MAX ? options->backlog
                                                      : BACKLOG_MAX;
    struct tcp_pcb *pcb = NULL;
    struct tcp_pcb *listening = NULL;
    ip_addr_t at = *IP_ANY_TYPE;
    err_t native = ERR_MEM;

    if (ep->addr.family != 0) {
        cdt_ip_from(stack, &ep->addr, &at);
        if (!ip_addr_isany(&at) && !cdt_stack_has(stack, &at)) {
            *code = refuse(err, CONDUIT_EADDRNOTAVAIL, ERR_VAL, ep,
                           "not an address of this stack");
            return NULL;
        }
    }
    pcb = tcp_new_ip_type(IP_GET_TYPE(&at));
    if (pcb != NULL) {
        ip_set_option(pcb, SOF_REUSEADDR); /* of connections that have ended */
        native = tcp_bind(pcb, &at, ep->addr.port);
    }
    if (native == ERR_OK) {
        listening = tcp_listen_with_backlog_and_err(pcb, (u8_t)backlog,
                                                    &native);
    }
    if (listening == NULL) {
        if (pcb != NULL) {
            tcp_abort(pcb);
        }
        *code = refuse(err, cdt_direct_code(native), native, ep,
                       native == ERR_USE ? "somebody listens there"
                                         : "out of memory");
    }
    return listening;
}

int cdt_direct_listen(struct conduit_listener *listener,
                      const struct conduit_endpoint *ep,
                      const struct conduit_options *options,
                      struct conduit_acceptor **out, struct conduit_error *err)
{
    struct conduit_ctx *ctx = conduit_listener_ctx(listener);
    struct cdt_stack *stack = cdt_stack_of(ctx);
    struct acceptor *a;
    int code = cdt_stack_up(stack, err);

    if (code != 0) {
        return code;
    }
    a = conduit_alloc(ctx, sizeof *a);
    if (a == NULL) {
        return refuse(err, CONDUIT_ENOMEM, ERR_MEM, ep, "out of memory");
    }
    a->pcb = open_pcb(stack, ep, options, &code, err);
    if (a->pcb == NULL) {
        conduit_release(ctx, a);
        return code;
    }
    a->base.ops = &acceptor_ops;
    a->stack = stack;
    a->options = *options;
    a->waiting_last = &a->waiting;
    tcp_arg(a->pcb, a);
    tcp_accept(a->pcb, on_accept);
    cdt_direct_table_listen(stack, a->pcb);
    *out = &a->base;
    return 0;
}
