/* SPDX-License-Identifier: ISC */
/* The platform's part of the tests in a Xen guest. */
#include "support.h"

#include "xen_platform.h"

int t_platform_new(const struct conduit_ctx_options *options,
                   struct conduit_ctx **out, struct conduit_error *err)
{
    return cdt_xen_new(options, out, err);
}

int t_platform_register(struct conduit_ctx *ctx)
{
    return conduit_register_all(ctx);
}
