/* SPDX-License-Identifier: ISC */
/* All that a build for Unix has; a file of its own, since it links all of it.
 */
#include <conduit/context.h>
#include <conduit/tls.h>

static int (*const calls[])(struct conduit_ctx *ctx) = {
    conduit_register_tcp,    conduit_register_unix,  conduit_register_fd,
    conduit_register_mem,    conduit_register_vchan, conduit_register_auto,
#ifdef CONDUIT_HAS_DIRECT
    conduit_register_direct,
#endif
    CONDUIT_ENGINE_CALLS};

int conduit_register_all(struct conduit_ctx *ctx)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < sizeof calls / sizeof calls[0]; i++) {
        code = calls[i](ctx);
    }
    return code;
}
