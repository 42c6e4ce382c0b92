/* SPDX-License-Identifier: ISC */
/* A configuration of the identity for tests: see test_identity.h. */
#include "test_identity.h"

#include "identity_assets.h"

int t_identity_tls(struct conduit_ctx *ctx, const char *engine, bool resumption,
                   struct conduit_tls **out, struct conduit_error *err)
{
    const struct conduit_tls_source trusted = {.name = "asset:authority.pem"};
    const struct conduit_tls_identity ours = {
        .chain.name = "asset:cert.pem",
        .key.name = "asset:key.pem",
    };
    const struct conduit_tls_options options = {
        .engine = engine,
        .assets = &identity,
        .identities = &ours,
        .identity_count = 1,
        .authorities = &trusted,
        .authority_count = 1,
        .no_resumption = !resumption,
    };

    return conduit_tls_new(ctx, &options, out, err);
}
