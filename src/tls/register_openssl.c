/* SPDX-License-Identifier: ISC */
/* A file of its own, so that who does not name the engine does not link it. */
#include "filter.h"

int conduit_register_openssl(struct conduit_ctx *ctx)
{
    return cdt_tls_register(ctx, &cdt_tls_openssl);
}
