/* SPDX-License-Identifier: ISC */
/*
 * From names to addresses. A host is looked up in this order: numeric; the
 * context's own table; localhost and names below it, which are always the
 * loopback addresses (RFC 6761 section 6.3); then, for a dial, the sources
 * registered here, one after the other, until one knows it. A listener asks no
 * sources, and rewrites are not for it.
 *
 * The process's own stack (tcp+direct) brings a source, which asks DNS where
 * tcp:// means that stack. There is none for the system's TCP: a program that
 * is to reach peers by name over that adds their addresses, or a source.
 */
#ifndef CONDUIT_RESOLVER_H
#define CONDUIT_RESOLVER_H

#include <conduit/endpoint.h>

/* Adds a numeric address for a name; again for several, tried in this order. */
CONDUIT_API int conduit_resolver_add_host(struct conduit_ctx *ctx,
                                          const char *name, const char *address,
                                          struct conduit_error *err);

/*
 * Rewrites: a tcp host that is `suffix`, or ends in "." and `suffix`, is
 * reached at `uri` instead: that URI's transport and address take the place of
 * the host's. Layers stay: TLS that was asked for is never dropped, and it goes
 * on verifying the name that was asked for. `uri` must name a bare transport.
 * The longest suffix wins; a rewritten name is not rewritten again.
 */
CONDUIT_API int conduit_resolver_add_rewrite(struct conduit_ctx *ctx,
                                             const char *suffix,
                                             const char *uri,
                                             struct conduit_error *err);

/* One look-up under way, as a source sees it. */
struct conduit_lookup;

/* A source of addresses, such as DNS. The caller owns it; it outlives ctx. */
struct conduit_resolver_source {
    struct conduit_resolver_source *next; /* the resolver's */
    const char *name;                     /* "dns"; for reports */
    /*
     * Looks up `host`. Calls conduit_lookup_add() any number of times and then
     * conduit_lookup_done() once, now or later. `*handle` is the source's own,
     * for cancel.
     */
    void (*start)(struct conduit_resolver_source *source,
                  struct conduit_lookup *lookup, const char *host,
                  void **handle);
    /* Gives up a look-up that was not done; it must not be called back. */
    void (*cancel)(struct conduit_resolver_source *source, void *handle);
};

CONDUIT_API void
conduit_resolver_add_source(struct conduit_ctx *ctx,
                            struct conduit_resolver_source *source);

/* For sources: adds an address (its port is ignored). 0 or CONDUIT_ENOMEM. */
CONDUIT_API int conduit_lookup_add(struct conduit_lookup *lookup,
                                   const struct conduit_addr *addr);

/*
 * For sources: ends the look-up. 0 when addresses were added, CONDUIT_ENAME
 * when the name is unknown to the source (the next is asked), any other code
 * when it failed; `native` is the source's own number for that.
 */
CONDUIT_API void conduit_lookup_done(struct conduit_lookup *lookup, int code,
                                     int native);

#endif
