/* SPDX-License-Identifier: ISC */
/*
 * The life of connections of the stack in the process: from a dial or an
 * accepted peer to what lwIP tells of it, and its end.
 *
 * lwIP keeps a connection for itself while its end is confirmed, and frees it
 * when it likes. So what is freed is noticed by the one callback that comes for
 * all ways of freeing (of the extension argument), never by guessing from
 * states.
 */
#include "direct_conn.h"

#include <lwip/priv/tcp_priv.h>

#define BOTH (CONDUIT_FAIL_READ | CONDUIT_FAIL_WRITE)

/* RFC 6298 section 2; lwIP has three seconds. */
#define FIRST_RTO_MS 1000

/* How often large segments may be cut: once or twice may be an outage, more
 * than that is how the path is. */
#define CUTS_MAX 3u

static struct cdt_direct *of(struct conduit_conn *c)
{
    return (struct cdt_direct *)(void *)c;
}

/* ---- errors ------------------------------------------------------------- */

int cdt_direct_code(err_t err)
{
    switch (err) {
    case ERR_OK:
        return 0;
    case ERR_MEM:
    case ERR_BUF:
        return CONDUIT_ENOMEM;
    case ERR_TIMEOUT:
    case ERR_ABRT:
        return CONDUIT_ETIMEDOUT;
    case ERR_RTE:
        return CONDUIT_EUNREACHABLE;
    case ERR_USE:
        return CONDUIT_EADDRINUSE;
    case ERR_RST:
        return CONDUIT_ERESET;
    case ERR_CLSD:
    case ERR_CONN:
        return CONDUIT_EPIPE;
    default:
        return CONDUIT_EIO;
    }
}

static void fail(struct cdt_direct *d, err_t err, const char *text)
{
    conduit_conn_fail(&d->base, BOTH, cdt_direct_code(err), err, text);
}

/* ---- what lwIP tells ---------------------------------------------------- */

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct cdt_direct *d = arg;

    (void)pcb;
    (void)err;
    if (p == NULL) {
        d->in_ended = true;
    } else {
        if (d->in_last != NULL) {
            d->in_last->next = p;
        } else {
            d->in = p;
        }
        while (p->next != NULL) {
            p = p->next;
        }
        d->in_last = p;
    }
    conduit_conn_ready(&d->base, CONDUIT_READ);
    return ERR_OK;
}

/* Unless large segments have often not got through. */
static void raise_mss(struct cdt_direct *d, struct tcp_pcb *pcb)
{
    if (d->cuts < CUTS_MAX) {
        cdt_direct_raise_mss(d->stack, pcb);
    }
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t n)
{
    struct cdt_direct *d = arg;

    d->acked += n;
    cdt_direct_acked(d, d->acked);
    raise_mss(d, pcb);
    conduit_conn_ready(&d->base, CONDUIT_WRITE);
    return ERR_OK;
}

/* lwIP has freed its side already. */
static void on_error(void *arg, err_t err)
{
    struct cdt_direct *d = arg;

    d->pcb = NULL;
    if (d->base.state != CDT_CONN_OPENING && err == ERR_CLSD) {
        return; /* both ends are there: a good end */
    }
    if (d->base.state == CDT_CONN_OPENING && err == ERR_RST) {
        conduit_conn_fail(&d->base, BOTH, CONDUIT_EREFUSED, err,
                          "nobody listens there");
    } else {
        /* what the peer has ended is whole */
        conduit_conn_fail(&d->base, d->in_ended ? CONDUIT_FAIL_WRITE : BOTH,
                          cdt_direct_code(err), err,
                          err == ERR_RST ? "the peer dropped the connection"
                                         : "the peer does not answer, or our "
                                           "address is gone");
    }
}

/* However it was freed. */
static void on_freed(u8_t id, void *data)
{
    struct cdt_direct *d = data;

    (void)id;
    if (d != NULL) {
        d->pcb = NULL;
    }
}

static err_t on_accepted_by_peer(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct cdt_direct *d = arg;

    (void)err; /* is always ERR_OK */
    cdt_ip_to(&pcb->local_ip, pcb->local_port, &d->local);
    raise_mss(d, pcb);
    conduit_conn_opened(&d->base);
    return ERR_OK;
}

static const struct tcp_ext_arg_callbacks ext_callbacks = {on_freed, NULL};

static void attach(struct cdt_direct *d, struct tcp_pcb *pcb)
{
    d->pcb = pcb;
    tcp_arg(pcb, d);
    tcp_recv(pcb, on_recv);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_ext_arg_set_callbacks(pcb, CDT_DIRECT_EXT_ID, &ext_callbacks);
    tcp_ext_arg_set(pcb, CDT_DIRECT_EXT_ID, d);
    if (!d->nagle) {
        tcp_nagle_disable(pcb);
    }
    if (d->keepalive_s > 0) {
        ip_set_option(pcb, SOF_KEEPALIVE);
        pcb->keep_idle = d->keepalive_s * 1000u;
        pcb->keep_intvl = d->keepalive_s * 1000u;
    }
}

static void detach(struct cdt_direct *d)
{
    struct tcp_pcb *pcb = d->pcb;

    d->pcb = NULL;
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_ext_arg_set(pcb, CDT_DIRECT_EXT_ID, NULL);
}

/* ---- beginning and ending ----------------------------------------------- */

static void connect_to(struct cdt_direct *d, const ip_addr_t *to)
{
    uint16_t port = cdt_direct_table_port(d->stack, to, d->peer.port);
    struct tcp_pcb *pcb;
    err_t err;

    if (port == 0) {
        conduit_conn_fail(&d->base, BOTH, CONDUIT_EADDRNOTAVAIL, ERR_USE,
                          "connections to there have all of our ports");
        return;
    }
    pcb = tcp_new_ip_type(IP_GET_TYPE(to));
    if (pcb == NULL) {
        fail(d, ERR_MEM, "out of memory");
        return;
    }
    attach(d, pcb);
    pcb->local_port = port;
    pcb->rto = pcb->sv = FIRST_RTO_MS / TCP_SLOW_INTERVAL;
    err = tcp_connect(pcb, to, d->peer.port, on_accepted_by_peer);
    if (err == ERR_OK && !cdt_direct_table_add(d->stack, pcb)) {
        err = ERR_MEM;
    }
    if (err != ERR_OK) {
        detach(d);
        tcp_abort(pcb);
        fail(d, err,
             err == ERR_RTE   ? "no route to the peer"
             : err == ERR_MEM ? "out of memory"
                              : "the stack cannot connect");
    }
}

static void connect_now(struct cdt_direct *d)
{
    ip_addr_t to;

    cdt_ip_from(d->stack, &d->peer, &to);
    if (d->stack->link == NULL && IP_IS_V6(&to) && !ip_addr_isloopback(&to)) {
        /* lwIP takes the one interface that there is, and waits in vain. */
        fail(d, ERR_RTE, "no route to the peer");
    } else if (cdt_stack_ready_for(d->stack, &to)) {
        connect_to(d, &to);
    } else {
        cdt_stack_await(d->stack, &d->dial);
    }
}

static void run_dial(struct conduit_task *task)
{
    connect_now(CDT_CONTAINER(task, struct cdt_direct, dial));
}

int cdt_direct_start(struct conduit_conn *c)
{
    struct cdt_direct *d = of(c);

    if (d->dialling) {
        connect_now(d);
    } else {
        conduit_conn_opened(c);
    }
    return 0;
}

static void free_in(struct cdt_direct *d)
{
    while (d->in != NULL) {
        d->in_at = d->in->len;
        cdt_direct_trim(d);
    }
}

/* With bytes that are still lent or were not read, lwIP must not go on. */
static void leave(struct cdt_direct *d, bool aborted)
{
    struct tcp_pcb *pcb = d->pcb;

    cdt_direct_open_window(d);
    aborted = aborted || d->lent != NULL || d->base.state < CDT_CONN_OPEN;
    detach(d);
    if (aborted || tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
    }
}

void cdt_direct_destroy(struct conduit_conn *c, bool aborted)
{
    struct cdt_direct *d = of(c);

    cdt_task_remove(&d->dial);
    if (d->pcb != NULL) {
        leave(d, aborted);
    }
    cdt_direct_acked(d, UINT64_MAX);
    free_in(d);
    cdt_buf_put(c->loop, d->out);
}

static struct cdt_direct *new_direct(struct cdt_stack *stack,
                                     const struct conduit_options *options)
{
    struct conduit_conn *c = conduit_conn_new(stack->ctx, &cdt_direct_ops,
                                              NULL);
    struct cdt_direct *d = of(c);

    if (c == NULL) {
        return NULL;
    }
    d->stack = stack;
    d->dial.run = run_dial;
    d->nagle = options->nagle;
    d->keepalive_s = (uint16_t)(options->keepalive_s < UINT16_MAX
                                    ? options->keepalive_s
                                    : UINT16_MAX);
    return d;
}

struct conduit_conn *cdt_direct_accepted(struct cdt_stack *stack,
                                         struct tcp_pcb *pcb,
                                         const struct conduit_options *options)
{
    struct cdt_direct *d = new_direct(stack, options);

    if (d == NULL) {
        return NULL;
    }
    cdt_ip_to(&pcb->remote_ip, pcb->remote_port, &d->peer);
    cdt_ip_to(&pcb->local_ip, pcb->local_port, &d->local);
    attach(d, pcb);
    raise_mss(d, pcb);
    return &d->base;
}

void cdt_direct_taken(struct conduit_conn *c)
{
    if (of(c)->pcb != NULL) {
        tcp_backlog_accepted(of(c)->pcb);
    }
}

static int direct_dial(struct conduit_ctx *ctx,
                       const struct conduit_endpoint *ep,
                       const struct conduit_options *options,
                       struct conduit_conn **out, struct conduit_error *err)
{
    struct cdt_stack *stack = cdt_stack_of(ctx);
    struct cdt_direct *d;
    int code;

    if (ep->addr.port == 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, CDT_DIRECT_LAYER, 0,
                                 "port 0 is for listeners");
    }
    code = cdt_stack_up(stack, err);
    if (code != 0) {
        return code;
    }
    d = new_direct(stack, options);
    if (d == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, CDT_DIRECT_LAYER, 0,
                                 "out of memory");
    }
    d->dialling = true;
    d->peer = ep->addr;
    *out = &d->base;
    return 0;
}

/* ---- the registry ------------------------------------------------------- */

static const struct conduit_transport direct_transport = {
    .name = CDT_DIRECT_LAYER,
    .stack = "direct",
    .summary = "TCP by a stack of the process's own, on a TAP device",
    .ip = true,
    .check = conduit_uri_check_host,
    .dial = direct_dial,
    .listen = cdt_direct_listen,
};

int cdt_direct_register(struct conduit_ctx *ctx, cdt_link_open *open)
{
    struct cdt_stack *stack = cdt_stack_of(ctx);

    if (stack == NULL) {
        stack = cdt_stack_new(ctx, open);
    }
    return stack != NULL ? conduit_register_transport(ctx, &direct_transport)
                         : CONDUIT_ENOMEM;
}
