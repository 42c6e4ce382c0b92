/* SPDX-License-Identifier: ISC */
/* The Unix platform, as the files that know Unix see it. */
#ifndef CDT_UNIX_PLATFORM_H
#define CDT_UNIX_PLATFORM_H

#include "core.h"

#include <event2/event.h>
#include <event2/event_struct.h>

/* The event_base that drives the context. */
struct event_base *cdt_unix_base(struct conduit_ctx *ctx);

/* The transport of sockets: a connection's descriptor, or -1 for others. */
int cdt_socket_fd(const struct conduit_conn *conn);

/* An open connection of a connected socket; see conduit_unix_adopt(). */
int cdt_socket_adopt(struct conduit_ctx *ctx, int fd, struct conduit_conn **out,
                     struct conduit_error *err);

#endif
