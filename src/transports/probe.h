/* SPDX-License-Identifier: ISC */
/*
 * auto://, the transport that looks for the best way to a peer: memory shared
 * with it, then the Unix socket by which it is registered on this host, then
 * TCP. It makes no connections of its own: a URI becomes endpoints of these
 * three, which a dial tries in order like addresses (docs/vchan.md).
 *
 * What is a registry, and what an address of this machine, is the platform's
 * business, which it tells by a table.
 */
#ifndef CDT_PROBE_H
#define CDT_PROBE_H

#include <conduit/transport.h>

struct cdt_probe_platform {
    /* Whether one of these addresses is this machine's own. */
    bool (*has_own)(const struct conduit_endpoint *found, size_t count);

    /*
     * As a transport's `dial`, to who has registered a name: through shared
     * memory or, with `bytes`, the socket alone. `same_net`: only where it sees
     * the same network as we do.
     */
    int (*dial)(struct conduit_ctx *ctx, const char *name, bool bytes,
                bool same_net, const struct conduit_options *options,
                struct conduit_conn **out, struct conduit_error *err);

    /* As a transport's `listen`, by a name that is registered. ENOTSUP: there
     * is no registry that could be used. */
    int (*listen)(struct conduit_listener *listener, const char *name,
                  const struct conduit_options *options,
                  struct conduit_acceptor **out, struct conduit_error *err);
};

/* Registers the transport. The table is static; the first one counts. 0, ENOMEM
 * or ELIMIT. */
int cdt_probe_register(struct conduit_ctx *ctx,
                       const struct cdt_probe_platform *platform);

#endif
