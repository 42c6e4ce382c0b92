/* SPDX-License-Identifier: ISC */
/* What dials and listeners share: default options, and putting layers on. */
#include "core.h"

#include <stdio.h>

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value != 0 ? value : otherwise;
}

struct conduit_options cdt_options(const struct conduit_options *given)
{
    struct conduit_options o = {0};

    if (given != NULL) {
        o = *given;
    }
    o.attempt_ms = or_default(o.attempt_ms, 10000);
    o.dial_ms = or_default(o.dial_ms, 30000);
    o.stagger_ms = or_default(o.stagger_ms, 250);
    o.open_ms = or_default(o.open_ms, 10000);
    o.max_opening = or_default(o.max_opening, 1024);
    o.backlog = or_default(o.backlog, 1024);
    o.linger_ms = or_default(o.linger_ms, 10000);
    return o;
}

int cdt_prepare_all(struct conduit_ctx *ctx, const struct conduit_uri *uri,
                    bool server, const struct conduit_options *options,
                    struct conduit_error *err)
{
    for (unsigned i = 0; i < uri->filter_count; i++) {
        const struct conduit_filter *f = uri->filters[i];
        int code = f->prepare != NULL
                       ? f->prepare(ctx, server, uri, options, err)
                       : 0;

        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int cdt_wrap_all(struct conduit_ctx *ctx, struct conduit_conn **conn,
                 const struct conduit_uri *uri, bool server,
                 const struct conduit_options *options,
                 struct conduit_error *err)
{
    unsigned i;

    for (i = uri->filter_count; i > 0; i--) {
        const struct conduit_filter *f = uri->filters[i - 1];
        struct conduit_conn *top;
        int code = f->wrap(ctx, *conn, server, uri, options, &top, err);

        if (code != 0) {
            return code;
        }
        *conn = top;
    }
    conduit_conn_set_linger(*conn, options->linger_ms);
    return 0;
}

void cdt_endpoint_text(const struct conduit_endpoint *ep, char *buf, size_t n)
{
    char addr[CONDUIT_ADDR_TEXT];

    if (ep->transport->ip) {
        (void)snprintf(buf, n, "%s %s", ep->transport->name,
                       conduit_addr_format(&ep->addr, true, addr));
    } else {
        (void)snprintf(buf, n, "%s:%s", ep->transport->name,
                       ep->name != NULL ? ep->name : "");
    }
}
