/* SPDX-License-Identifier: ISC */
/*
 * The one door to the operating system: for programs that are Unix programs
 * anyway, and want conduit beside descriptors or libevent of their own.
 */
#ifndef CONDUIT_UNIX_H
#define CONDUIT_UNIX_H

#include <conduit/conn.h>

struct event_base;

/*
 * Makes a context on Unix. With `base` NULL its loop has an event_base of its
 * own, and is run by conduit_loop_run(). With the application's event_base
 * (which must outlive the context and support edge triggering, as epoll does;
 * CONDUIT_ENOTSUP otherwise) whatever runs that base drives conduit too. No
 * transport is registered.
 */
CONDUIT_API int conduit_unix_new(struct event_base *base,
                                 const struct conduit_ctx_options *options,
                                 struct conduit_ctx **out,
                                 struct conduit_error *err);

/*
 * The descriptor under a connection, or -1 where there is none. It stays the
 * connection's: do not close it, read from it, write to it, or change its
 * flags.
 */
CONDUIT_API int conduit_unix_fd(const struct conduit_conn *conn);

/*
 * Makes an open connection of a connected stream socket, which it owns from
 * then on (not on failure). It becomes non-blocking and close-on-exec.
 * CONDUIT_EINVAL when it is no such socket.
 */
CONDUIT_API int conduit_unix_adopt(struct conduit_ctx *ctx, int fd,
                                   struct conduit_conn **out,
                                   struct conduit_error *err);

#endif
