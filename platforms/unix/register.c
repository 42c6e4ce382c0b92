/* SPDX-License-Identifier: ISC */
/* All that a build for Unix has; a file of its own, since it links all of it.
 */
#include <conduit/context.h>

int conduit_register_all(struct conduit_ctx *ctx)
{
    int code = conduit_register_tcp(ctx);

    if (code == 0) {
        code = conduit_register_unix(ctx);
    }
    if (code == 0) {
        code = conduit_register_fd(ctx);
    }
    if (code == 0) {
        code = conduit_register_mem(ctx);
    }
    return code;
}
