/* SPDX-License-Identifier: ISC */
/*
 * Unix in the place of the guest's platform, with no transport but mem: what
 * goes into the guest is proved by running it as a process first.
 */
#include "support.h"

#include <conduit/unix.h>

int t_platform_new(const struct conduit_ctx_options *options,
                   struct conduit_ctx **out, struct conduit_error *err)
{
    return conduit_unix_new(NULL, options, out, err);
}

int t_platform_register(struct conduit_ctx *ctx)
{
    return conduit_register_mem(ctx);
}
