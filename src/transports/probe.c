/* SPDX-License-Identifier: ISC */
/*
 * auto://; see probe.h. auto://host:port and auto://name are two things: the
 * first is a host as for tcp, and what it has on this machine is registered as
 * "auto.PORT"; the second is a registered name and never leaves the machine.
 *
 * The registry knows ports and no addresses, as a port is what a service is
 * known by. So who wants an address of this machine finds the service that has
 * the port, on whichever of its addresses that listens.
 */
#include "probe.h"

#include "core.h"

#include <stdio.h>
#include <string.h>

#define LAYER "auto"

/* ---- the context's part ------------------------------------------------- */

struct probe {
    struct cdt_extra extra; /* must be first */
    const struct cdt_probe_platform *platform;
};

static const char probe_key;

static void probe_fini(struct conduit_ctx *ctx, struct cdt_extra *extra)
{
    conduit_release(ctx, extra);
}

static const struct cdt_probe_platform *platform_of(struct conduit_ctx *ctx)
{
    return ((struct probe *)(void *)cdt_extra_find(ctx, &probe_key))->platform;
}

/* ---- endpoints to dial -------------------------------------------------- */

static int dial_rings(struct conduit_ctx *ctx,
                      const struct conduit_endpoint *ep,
                      const struct conduit_options *options,
                      struct conduit_conn **out, struct conduit_error *err)
{
    return platform_of(ctx)->dial(ctx, ep->name, false, false, options, out,
                                  err);
}

static int dial_bytes(struct conduit_ctx *ctx,
                      const struct conduit_endpoint *ep,
                      const struct conduit_options *options,
                      struct conduit_conn **out, struct conduit_error *err)
{
    return platform_of(ctx)->dial(ctx, ep->name, true, false, options, out,
                                  err);
}

static int dial_rings_here(struct conduit_ctx *ctx,
                           const struct conduit_endpoint *ep,
                           const struct conduit_options *options,
                           struct conduit_conn **out, struct conduit_error *err)
{
    return platform_of(ctx)->dial(ctx, ep->name, false, true, options, out,
                                  err);
}

static int dial_bytes_here(struct conduit_ctx *ctx,
                           const struct conduit_endpoint *ep,
                           const struct conduit_options *options,
                           struct conduit_conn **out, struct conduit_error *err)
{
    return platform_of(ctx)->dial(ctx, ep->name, true, true, options, out, err);
}

/* Endpoints name these; no URI does. */
static const struct conduit_transport by_name[] = {
    {.name = "vchan", .dial = dial_rings},
    {.name = "unix", .dial = dial_bytes},
};
static const struct conduit_transport by_port[] = {
    {.name = "vchan", .dial = dial_rings_here},
    {.name = "unix", .dial = dial_bytes_here},
};

/* Bytes of "auto.65535". */
#define PORT_NAME 16

static void port_name(uint16_t port, char name[PORT_NAME])
{
    (void)snprintf(name, PORT_NAME, "auto.%u", (unsigned)port);
}

static int add_both(struct conduit_resolve *r,
                    const struct conduit_transport both[2], const char *name)
{
    int code = conduit_resolve_add(r, &both[0], NULL, name);

    return code != 0 ? code : conduit_resolve_add(r, &both[1], NULL, name);
}

static int add_tcp(struct conduit_resolve *r,
                   const struct conduit_endpoint *found, size_t count)
{
    const struct conduit_transport *tcp = cdt_find_transport(r->ctx, "tcp", 3);
    int code = 0;

    for (size_t i = 0; tcp != NULL && i < count && code == 0; i++) {
        code = conduit_resolve_add(r, tcp, &found[i].addr, NULL);
    }
    return code;
}

static int expand_to_dial(struct conduit_resolve *r,
                          const struct conduit_endpoint *found, size_t count)
{
    char name[PORT_NAME];
    int code = 0;

    if (found->name != NULL) {
        return add_both(r, by_name, found->name);
    }
    if (found->addr.port != 0 && platform_of(r->ctx)->has_own(found, count)) {
        port_name(found->addr.port, name);
        code = add_both(r, by_port, name);
    }
    return code != 0 ? code : add_tcp(r, found, count);
}

/* ---- endpoints to listen at --------------------------------------------- */

static int listen_by_name(struct conduit_listener *listener,
                          const struct conduit_endpoint *ep,
                          const struct conduit_options *options,
                          struct conduit_acceptor **out,
                          struct conduit_error *err)
{
    struct conduit_ctx *ctx = conduit_listener_ctx(listener);
    struct conduit_error why = {0};
    int code = platform_of(ctx)->listen(listener, ep->name, options, out, &why);

    if (code != 0 && err != NULL) {
        *err = why;
    }
    return code != CONDUIT_ENOTSUP ? code : why.code;
}

/* Whether TCP alone will do. Of several who share a port one has the name. */
static bool may_lack_name(int code, const struct conduit_options *options)
{
    return code == CONDUIT_ENOTSUP ||
           (code == CONDUIT_EADDRINUSE && options->reuse_port);
}

/* Comes behind TCP, whose port it is by now. */
static int listen_by_port(struct conduit_listener *listener,
                          const struct conduit_endpoint *ep,
                          const struct conduit_options *options,
                          struct conduit_acceptor **out,
                          struct conduit_error *err)
{
    struct conduit_ctx *ctx = conduit_listener_ctx(listener);
    struct conduit_error why = {0};
    char name[PORT_NAME];
    int code;

    if (!cdt_listener_listens(listener)) {
        return CONDUIT_EADDRNOTAVAIL; /* `err` says already why not */
    }
    port_name(ep->addr.port, name);
    code = platform_of(ctx)->listen(listener, name, options, out, &why);
    if (may_lack_name(code, options)) {
        conduit_log(ctx, CONDUIT_LOG_WARN, LAYER,
                    "%s is not registered, and there is TCP alone: %s", name,
                    why.text);
        return CONDUIT_ENOTSUP;
    }
    if (code != 0 && err != NULL) {
        *err = why;
    }
    return code;
}

static const struct conduit_transport registered_name = {
    .name = LAYER, .listen = listen_by_name};
static const struct conduit_transport registered_port = {
    .name = LAYER, .listen = listen_by_port};

static int expand_to_listen(struct conduit_resolve *r,
                            const struct conduit_endpoint *found, size_t count)
{
    int code;

    if (found->name != NULL) {
        return conduit_resolve_add(r, &registered_name, NULL, found->name);
    }
    code = add_tcp(r, found, count);
    return code != 0 || r->list.count == 0
               ? code
               : conduit_resolve_add(r, &registered_port, &found->addr, NULL);
}

/* ---- the transport ------------------------------------------------------ */

static int auto_expand(struct conduit_resolve *r,
                       const struct conduit_endpoint *found, size_t count)
{
    int code = r->listening ? expand_to_listen(r, found, count)
                            : expand_to_dial(r, found, count);

    return code == 0 && r->list.count == 0 ? CONDUIT_ESCHEME : code;
}

/* Without a port it is a name, but for an address, which can be none. */
static int auto_check(struct conduit_ctx *ctx, struct conduit_uri *uri,
                      struct conduit_error *err)
{
    int code;

    if (uri->has_port || uri->host_kind == CONDUIT_HOST_IP) {
        return conduit_uri_check_host(ctx, uri, err);
    }
    code = conduit_uri_check_name(ctx, uri, err);
    return code != CONDUIT_EURI
               ? code
               : conduit_error_set(
                     err, code, "uri", 0,
                     "auto:// wants host:port, or a name, a small letter and "
                     "then at most %d of a-z 0-9 . _ -, in '%.80s'",
                     CONDUIT_NAME_MAX - 1, uri->text);
}

static const struct conduit_transport auto_transport = {
    .name = LAYER,
    .summary = "shared memory, else a Unix socket, else TCP",
    .ip = true,
    .check = auto_check,
    .expand = auto_expand,
};

int cdt_probe_register(struct conduit_ctx *ctx,
                       const struct cdt_probe_platform *platform)
{
    if (cdt_extra_find(ctx, &probe_key) == NULL) {
        struct probe *probe = conduit_alloc(ctx, sizeof *probe);

        if (probe == NULL) {
            return CONDUIT_ENOMEM;
        }
        probe->extra.key = &probe_key;
        probe->extra.fini = probe_fini;
        probe->platform = platform;
        cdt_extra_add(ctx, &probe->extra);
    }
    return conduit_register_transport(ctx, &auto_transport);
}
