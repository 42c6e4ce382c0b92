/* SPDX-License-Identifier: ISC */
/* All that a build for Xen has; a file of its own, since it links all of it. */
#include <conduit/context.h>

int conduit_register_all(struct conduit_ctx *ctx)
{
    return conduit_register_mem(ctx);
}
