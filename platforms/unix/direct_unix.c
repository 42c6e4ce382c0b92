/* SPDX-License-Identifier: ISC */
/* The direct stack on Unix: its device is a TAP. */
#include "tap.h"

int conduit_register_direct(struct conduit_ctx *ctx)
{
    return cdt_direct_register(ctx, cdt_tap_open);
}
