/* SPDX-License-Identifier: ISC */
/*
 * From a URI to the endpoints to try. What can be known at once (numbers, the
 * context's table, localhost) is; for the rest the registered sources are asked
 * one after the other. A rewrite rule replaces transport and address, never the
 * layers or the name that TLS verifies.
 */
#include "core.h"

#include <string.h>

#define LAYER "resolver"

struct cdt_host {
    struct cdt_host *next;
    struct conduit_addr addr;
    char name[];
};

struct cdt_rewrite {
    struct cdt_rewrite *next;
    struct conduit_uri *target;
    char suffix[];
};

/* A look-up that a source has under way. */
struct conduit_lookup {
    struct conduit_resolve *r;
    const struct conduit_transport *transport;
    uint16_t port;
    struct conduit_resolver_source *source;
    void *handle;
    bool starting; /* within the source's start */
    bool again;    /* it did not know: the next is to be asked */
    bool over;
    char host[];
};

/* ---- the table and the rules ---- */

/* Whether two host names are the same: no case, a final dot counts nothing. */
static bool same_host(const char *a, size_t an, const char *b, size_t bn)
{
    size_t i;

    an -= an > 0 && a[an - 1] == '.';
    bn -= bn > 0 && b[bn - 1] == '.';
    if (an != bn) {
        return false;
    }
    for (i = 0; i < an; i++) {
        if (cdt_lower(a[i]) != cdt_lower(b[i])) {
            return false;
        }
    }
    return true;
}

/* Whether host is the suffix, or ends in a dot and it: whole labels only. */
static bool below_suffix(const char *host, const char *suffix)
{
    size_t hn = strlen(host);
    size_t sn = strlen(suffix);

    hn -= hn > 0 && host[hn - 1] == '.';
    sn -= sn > 0 && suffix[sn - 1] == '.';
    if (hn < sn || !same_host(host + hn - sn, sn, suffix, sn)) {
        return false;
    }
    return hn == sn || host[hn - sn - 1] == '.';
}

static int no_memory(struct conduit_error *err)
{
    return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0, "out of memory");
}

int conduit_resolver_add_host(struct conduit_ctx *ctx, const char *name,
                              const char *address, struct conduit_error *err)
{
    struct cdt_host **last = &ctx->resolver.hosts;
    struct conduit_addr addr;
    struct cdt_host *host;
    size_t n = strlen(name);

    if (n == 0 || !conduit_addr_parse(address, strlen(address), &addr)) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "'%.80s' is not a numeric address", address);
    }
    host = conduit_alloc(ctx, sizeof *host + n + 1);
    if (host == NULL) {
        return no_memory(err);
    }
    host->addr = addr;
    memcpy(host->name, name, n + 1);
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = host;
    return 0;
}

int conduit_resolver_add_rewrite(struct conduit_ctx *ctx, const char *suffix,
                                 const char *uri, struct conduit_error *err)
{
    size_t n = strlen(suffix);
    struct conduit_uri *target;
    struct cdt_rewrite *rule;
    int code = conduit_uri_parse(ctx, uri, &target, err);

    if (code != 0) {
        return code;
    }
    if (n == 0 || target->http || target->filter_count > 0) {
        conduit_uri_free(ctx, target);
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "a rewrite goes from a suffix to a bare "
                                 "transport, not to '%.80s'",
                                 uri);
    }
    rule = conduit_alloc(ctx, sizeof *rule + n + 1);
    if (rule == NULL) {
        conduit_uri_free(ctx, target);
        return no_memory(err);
    }
    rule->target = target;
    memcpy(rule->suffix, suffix, n + 1);
    rule->next = ctx->resolver.rewrites;
    ctx->resolver.rewrites = rule;
    return 0;
}

void conduit_resolver_add_source(struct conduit_ctx *ctx,
                                 struct conduit_resolver_source *source)
{
    struct conduit_resolver_source **last = &ctx->resolver.sources;

    while (*last != NULL) {
        last = &(*last)->next;
    }
    source->next = NULL;
    *last = source;
}

void cdt_resolver_fini(struct conduit_ctx *ctx)
{
    while (ctx->resolver.hosts != NULL) {
        struct cdt_host *host = ctx->resolver.hosts;

        ctx->resolver.hosts = host->next;
        conduit_release(ctx, host);
    }
    while (ctx->resolver.rewrites != NULL) {
        struct cdt_rewrite *rule = ctx->resolver.rewrites;

        ctx->resolver.rewrites = rule->next;
        conduit_uri_free(ctx, rule->target);
        conduit_release(ctx, rule);
    }
}

/* ---- lists of endpoints ---- */

void cdt_endpoints_fini(struct conduit_ctx *ctx, struct cdt_endpoints *list)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        conduit_release(ctx, list->items[i].name);
    }
    conduit_release(ctx, list->items);
    memset(list, 0, sizeof *list);
}

/* No answer makes a dial try more than that. */
#define DIAL_MAX 64
#define LISTEN_MAX 1024

const struct conduit_uri *conduit_resolve_uri(const struct conduit_resolve *r)
{
    return r->uri;
}

int conduit_resolve_add(struct conduit_resolve *r,
                        const struct conduit_transport *transport,
                        const struct conduit_addr *addr, const char *name)
{
    struct cdt_endpoints *list = &r->list;
    struct conduit_endpoint *ep;

    if (list->count == (r->listening ? LISTEN_MAX : DIAL_MAX)) {
        return 0;
    }
    if (list->count == list->room) {
        size_t room = list->room > 0 ? list->room * 2 : 2;
        struct conduit_endpoint *items = conduit_resize(r->ctx, list->items,
                                                        room * sizeof *items);

        if (items == NULL) {
            return CONDUIT_ENOMEM;
        }
        list->items = items;
        list->room = room;
    }
    ep = &list->items[list->count];
    memset(ep, 0, sizeof *ep);
    ep->transport = transport;
    if (addr != NULL) {
        ep->addr = *addr;
    }
    if (name != NULL) {
        ep->name = conduit_strdup(r->ctx, name);
        if (ep->name == NULL) {
            return CONDUIT_ENOMEM;
        }
    }
    list->count++;
    return 0;
}

/* Lets a transport that stands for others put these in place of its own. */
static int expand(struct conduit_resolve *r)
{
    struct cdt_endpoints found = r->list;
    const struct conduit_transport *t = found.items[0].transport;
    int code;

    if (t->expand == NULL) {
        return 0;
    }
    memset(&r->list, 0, sizeof r->list);
    code = t->expand(r, found.items, found.count);
    cdt_endpoints_fini(r->ctx, &found);
    return code;
}

void conduit_resolve_done(struct conduit_resolve *r,
                          const struct conduit_error *err)
{
    struct cdt_endpoints list;
    struct conduit_error none;
    int code = 0;

    if (r->finished) {
        return;
    }
    r->finished = true;
    if (err == NULL && r->list.count > 0) {
        code = expand(r);
    }
    list = r->list;
    memset(&r->list, 0, sizeof r->list);
    if (code != 0) {
        (void)conduit_error_set(&none, code, LAYER, 0, "'%.120s': %s",
                                r->uri->text, conduit_strerror(code));
        err = &none;
    } else if (err == NULL && list.count == 0) {
        (void)conduit_error_set(&none, CONDUIT_ENAME, LAYER, 0,
                                "no address for '%.120s'", r->uri->text);
        err = &none;
    }
    if (err != NULL) {
        cdt_endpoints_fini(r->ctx, &list);
    }
    r->done(r, &list, err);
}

static void done_code(struct conduit_resolve *r, int code)
{
    struct conduit_error err;

    if (code == 0) {
        conduit_resolve_done(r, NULL);
        return;
    }
    (void)conduit_error_set(&err, code, LAYER, 0, "%s", conduit_strerror(code));
    conduit_resolve_done(r, &err);
}

/* ---- sources ---- */

static void unknown_host(struct conduit_resolve *r, const char *host)
{
    struct conduit_error err;

    (void)conduit_error_set(
        &err, CONDUIT_ENAME, LAYER, 0, "the host '%.120s' is not known%s", host,
        r->ctx->resolver.sources == NULL ? " (no source of names is registered)"
                                         : "");
    conduit_resolve_done(r, &err);
}

/* A source may be done before its start returns. */
static void ask_source(struct conduit_lookup *l)
{
    struct conduit_ctx *ctx = l->r->ctx;

    do {
        l->again = false;
        l->handle = NULL;
        l->starting = true;
        l->source->start(l->source, l, l->host, &l->handle);
        l->starting = false;
    } while (l->again);
    if (l->over) {
        conduit_release(ctx, l);
    }
}

static void end_lookup(struct conduit_lookup *l)
{
    l->r->lookup = NULL;
    l->over = true;
    if (!l->starting) {
        conduit_release(l->r->ctx, l);
    }
}

int conduit_lookup_add(struct conduit_lookup *lookup,
                       const struct conduit_addr *addr)
{
    struct conduit_addr with_port = *addr;

    with_port.port = lookup->port;
    return conduit_resolve_add(lookup->r, lookup->transport, &with_port, NULL);
}

void conduit_lookup_done(struct conduit_lookup *lookup, int code, int native)
{
    struct conduit_resolve *r = lookup->r;
    struct conduit_error err;

    if (code == CONDUIT_ENAME && lookup->source->next != NULL) {
        lookup->source = lookup->source->next;
        lookup->again = true;
        if (!lookup->starting) {
            ask_source(lookup);
        }
        return;
    }
    if (code == CONDUIT_ENAME) {
        unknown_host(r, lookup->host);
    } else if (code != 0) {
        (void)conduit_error_set(
            &err, code, LAYER, native, "%s: looking up '%.120s': %s",
            lookup->source->name, lookup->host, conduit_strerror(code));
        conduit_resolve_done(r, &err);
    } else {
        conduit_resolve_done(r, NULL);
    }
    end_lookup(lookup);
}

static void start_lookup(struct conduit_resolve *r,
                         const struct conduit_transport *transport,
                         const char *host, uint16_t port)
{
    size_t n = strlen(host);
    struct conduit_lookup *l = conduit_alloc(r->ctx, sizeof *l + n + 1);

    if (l == NULL) {
        done_code(r, CONDUIT_ENOMEM);
        return;
    }
    l->r = r;
    l->transport = transport;
    l->port = port;
    l->source = r->ctx->resolver.sources;
    memcpy(l->host, host, n + 1);
    r->lookup = l;
    ask_source(l);
}

void cdt_resolve_cancel(struct conduit_resolve *r)
{
    struct conduit_lookup *l = r->lookup;

    if (!r->finished && l != NULL) {
        l->source->cancel(l->source, l->handle);
        end_lookup(l);
    }
    r->finished = true;
    cdt_endpoints_fini(r->ctx, &r->list);
}

/* ---- hosts ---- */

static int add_table(struct conduit_resolve *r,
                     const struct conduit_transport *t, const char *name,
                     uint16_t port, bool *found)
{
    struct cdt_host *host;
    int code = 0;

    for (host = r->ctx->resolver.hosts; host != NULL && code == 0;
         host = host->next) {
        if (same_host(host->name, strlen(host->name), name, strlen(name))) {
            struct conduit_addr addr = host->addr;

            addr.port = port;
            code = conduit_resolve_add(r, t, &addr, NULL);
            *found = true;
        }
    }
    return code;
}

static int add_loopback(struct conduit_resolve *r,
                        const struct conduit_transport *t, uint16_t port)
{
    struct conduit_addr v6 = {.family = 6, .port = port};
    struct conduit_addr v4 = {.family = 4, .port = port};
    int code;

    v6.ip[15] = 1;
    v4.ip[0] = 127;
    v4.ip[3] = 1;
    code = conduit_resolve_add(r, t, &v6, NULL);
    return code != 0 ? code : conduit_resolve_add(r, t, &v4, NULL);
}

/* A name, by what is known at once or else by the sources. */
static void resolve_name(struct conduit_resolve *r,
                         const struct conduit_transport *t, const char *name,
                         uint16_t port)
{
    bool found = false;
    int code = add_table(r, t, name, port, &found);

    if (code == 0 && !found && below_suffix(name, "localhost")) {
        code = add_loopback(r, t, port);
        found = true;
    }
    if (code != 0 || found) {
        done_code(r, code);
    } else if (r->ctx->resolver.sources != NULL && !r->listening) {
        start_lookup(r, t, name, port);
    } else {
        unknown_host(r, name);
    }
}

/* host:port of a URI, where `port` may come from another one. */
static void resolve_host(struct conduit_resolve *r, const struct conduit_uri *u,
                         uint16_t port)
{
    struct conduit_addr addr = u->addr;
    struct conduit_error err;

    addr.port = port;
    if (u->host_kind == CONDUIT_HOST_NAME) {
        resolve_name(r, u->transport, u->host, port);
        return;
    }
    if (u->host_kind == CONDUIT_HOST_NONE && !r->listening) {
        (void)conduit_error_set(&err, CONDUIT_EURI, LAYER, 0,
                                "without a host there is nothing to connect "
                                "to, in '%.120s'",
                                u->text);
        conduit_resolve_done(r, &err);
        return;
    }
    done_code(r, conduit_resolve_add(r, u->transport, &addr, NULL));
}

static const struct cdt_rewrite *find_rewrite(const struct conduit_resolve *r)
{
    const struct cdt_rewrite *rule = r->ctx->resolver.rewrites;
    const struct cdt_rewrite *best = NULL;

    for (; rule != NULL; rule = rule->next) {
        if (below_suffix(r->uri->host, rule->suffix) &&
            (best == NULL || strlen(rule->suffix) > strlen(best->suffix))) {
            best = rule;
        }
    }
    return best;
}

void cdt_resolve_start(struct conduit_resolve *r)
{
    const struct conduit_uri *u = r->uri;
    const struct cdt_rewrite *rule = NULL;

    if (conduit_uri_has_host(u) && u->host_kind == CONDUIT_HOST_NAME &&
        !r->listening) {
        rule = find_rewrite(r);
    }
    if (rule != NULL) {
        u = rule->target;
    }
    if (rule == NULL && u->transport->resolve != NULL) {
        u->transport->resolve(r);
    } else if (conduit_uri_has_host(u)) {
        resolve_host(r, u, u->port);
    } else {
        done_code(r, conduit_resolve_add(r, u->transport, NULL, u->address));
    }
}
