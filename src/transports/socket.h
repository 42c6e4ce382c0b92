/* SPDX-License-Identifier: ISC */
/*
 * Kernel sockets as connections, shared by the files that make them: socket.c
 * moves bytes, socket_open.c connects and adopts, socket_listen.c accepts.
 */
#ifndef CDT_SOCKET_H
#define CDT_SOCKET_H

#include "core.h"
#include "unix_platform.h"

#include <sys/socket.h>
#include <sys/un.h>

struct cdt_socket {
    struct conduit_conn base;
    union {
        struct cdt_buf *in;                /* read and not consumed */
        struct cdt_connecting *connecting; /* while is_connecting */
    } u;
    struct cdt_buf *out;      /* accepted and not taken by the kernel */
    struct conduit_addr peer; /* of TCP; kept, for a reset forgets it */
    int fd;                   /* -1: none yet, or not any more */
    bool is_connecting : 1;
    bool tcp : 1;
    bool readable : 1; /* what is known of the kernel's side */
    bool writable : 1;
    bool watching_write : 1;
    bool edge : 1; /* watched for changes, no longer for levels */
    bool fin_wanted : 1;
    bool fin_done : 1;
    uint8_t wanted;
    struct event event;
};

union cdt_sockaddr {
    struct sockaddr sa;
    struct sockaddr_storage storage;
    struct sockaddr_un un;
};

static inline struct cdt_socket *cdt_socket_of(struct conduit_conn *c)
{
    return (struct cdt_socket *)(void *)c;
}

/* The tables: one code, three names. */
extern const struct conduit_conn_ops cdt_tcp_ops;
extern const struct conduit_conn_ops cdt_unix_ops;
extern const struct conduit_conn_ops cdt_fd_ops;

/* What an errno means here. */
int cdt_errno_code(int number);
/* Fails a connection with an errno; answers the code. */
int cdt_socket_fail(struct cdt_socket *s, unsigned directions, int number);

/*
 * For connections that begin as a Unix socket, the first member of a structure
 * of their own. Makes one that will connect to a path or @name once it is
 * started, and then calls `then`, in place of opening it; its descriptor is not
 * watched yet. 0 or CONDUIT_ENOMEM.
 */
int cdt_unix_dial_as(struct conduit_ctx *ctx,
                     const struct conduit_conn_ops *ops, const char *path,
                     const struct conduit_options *options,
                     void (*then)(struct cdt_socket *s),
                     struct conduit_conn **out, struct conduit_error *err);

/* Begins to connect (socket_open.c), and what follows an event meanwhile. */
int cdt_socket_start(struct conduit_conn *c);
void cdt_socket_connect_event(struct cdt_socket *s);
/* Frees what only a connection being opened has. */
void cdt_socket_connecting_free(struct cdt_socket *s);

/*
 * Watches the descriptor for reading, and for writing where asked; for levels
 * or, once s->edge is set, for changes. 0 or a code.
 */
int cdt_socket_watch(struct cdt_socket *s, bool write);

/*
 * Makes a connection of a descriptor that is connected already; it is not
 * started. `arg` is not used. NULL: no memory, and the descriptor stays the
 * caller's.
 */
struct conduit_conn *cdt_socket_accepted(struct conduit_ctx *ctx,
                                         const struct conduit_conn_ops *ops,
                                         int fd, const union cdt_sockaddr *peer,
                                         const struct conduit_options *o,
                                         void *arg);

/*
 * Has a Unix socket, and those that it will accept, take no descriptors: nobody
 * here wants them, and to close a stranger's may take long. Linux before 6.16
 * cannot; there they come, and are closed when the bytes with them are read.
 */
void cdt_unix_refuse_descriptors(int fd);

/* Options of a TCP socket; failing at them is harmless. */
void cdt_socket_tune(int fd, const struct conduit_options *options);

/* Between addresses of conduit and of the system. */
socklen_t cdt_sockaddr_from(const struct conduit_addr *addr,
                            union cdt_sockaddr *out);
void cdt_sockaddr_to(const union cdt_sockaddr *from, struct conduit_addr *out);
/* From a path or @name; the length goes to *len. */
void cdt_sockaddr_un(const char *name, union cdt_sockaddr *out, socklen_t *len);

/* What is made of peers that were accepted. */
struct cdt_accept_as {
    const struct conduit_conn_ops *ops;
    /* As cdt_socket_accepted(), with the argument below. */
    struct conduit_conn *(*accepted)(struct conduit_ctx *ctx,
                                     const struct conduit_conn_ops *ops, int fd,
                                     const union cdt_sockaddr *peer,
                                     const struct conduit_options *o,
                                     void *arg);
    void (*fini)(struct conduit_ctx *ctx, void *arg); /* at the end; or NULL */
    void *arg;
};

/* Listens at a path or @name, like the transport "unix". On failure `arg` stays
 * the caller's. */
int cdt_unix_listen_as(struct conduit_listener *listener, const char *path,
                       const struct conduit_options *options,
                       const struct cdt_accept_as *as,
                       struct conduit_acceptor **out,
                       struct conduit_error *err);

/* A transport's `listen` (socket_listen.c). */
int cdt_tcp_listen(struct conduit_listener *listener,
                   const struct conduit_endpoint *ep,
                   const struct conduit_options *options,
                   struct conduit_acceptor **out, struct conduit_error *err);
int cdt_unix_listen(struct conduit_listener *listener,
                    const struct conduit_endpoint *ep,
                    const struct conduit_options *options,
                    struct conduit_acceptor **out, struct conduit_error *err);
int cdt_fd_listen(struct conduit_listener *listener,
                  const struct conduit_endpoint *ep,
                  const struct conduit_options *options,
                  struct conduit_acceptor **out, struct conduit_error *err);

#endif
