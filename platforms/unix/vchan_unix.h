/* SPDX-License-Identifier: ISC */
/*
 * vchan between processes: what its two files share. A connection begins as a
 * Unix socket to a name of the registry, over which the two sides agree
 * (vchan_meet.c, docs/vchan.md); then the bytes go through shared memory, and
 * the socket carries nothing but wake-ups and, by its end, the peer's death.
 * Or they agree to stay on the socket, and it becomes a connection of the
 * transport "unix".
 */
#ifndef CDT_UNIX_VCHAN_H
#define CDT_UNIX_VCHAN_H

#include "registry.h"
#include "shared.h"

#include "transports/socket.h"
#include "transports/vchan.h"

/* What a client wants; on the wire. */
enum cdt_vchan_kind { CDT_VCHAN_RINGS = 1, CDT_VCHAN_BYTES = 2 };

/* Bytes of the longer of the two messages. */
#define CDT_VCHAN_MESSAGE 32

enum cdt_meeting_stage {
    CDT_MEETING_HELLO, /* the server waits for the client's */
    CDT_MEETING_REPLY, /* the client waits for the server's */
    CDT_MEETING_LIVE,  /* the server waits for the client to be there */
    CDT_MEETING_OPEN
};

/* What a user's clients make us have. */
struct cdt_vchan_user {
    struct cdt_vchan_user *next;
    uint32_t uid;
    uint64_t bytes;
};

/* Of a context. */
struct cdt_vchan_state {
    struct cdt_extra extra; /* must be first */
    struct cdt_vchan_waits waits;
    struct cdt_vchan_user *users;
    uint64_t net_dev; /* the network namespace that we are in; 0: unknown */
    uint64_t net_ino;
    bool mirrored; /* rings are mapped twice in a row */
    bool reserve;  /* memory that we make has all of its pages at once */
};

struct cdt_meeting {
    struct cdt_socket socket; /* must be first */
    struct cdt_vchan vchan;
    struct cdt_shared shared;
    struct cdt_vchan_state *state;
    const struct cdt_users *users; /* servers: who may come */
    struct cdt_vchan_user *user;   /* servers: on whose account it is, */
    uint64_t charged;              /* and how much */
    uint64_t most;                 /* of one user */
    size_t ring_bytes;
    uid_t owner;  /* clients: whose server it must be */
    uint8_t have; /* bytes of the message */
    uint8_t stage;
    uint8_t kind;
    bool server;
    bool same_net; /* clients: only within this network namespace */
    uint8_t message[CDT_VCHAN_MESSAGE];
};

extern const struct conduit_conn_ops cdt_vchan_ops;

static inline struct cdt_meeting *cdt_meeting_of(struct conduit_conn *c)
{
    return (struct cdt_meeting *)(void *)c;
}

/* ---- vchan_meet.c ---- */

/* As a table's `start`: a client connects first. */
int cdt_meeting_start(struct conduit_conn *c);
/* For cdt_unix_dial_as(). */
void cdt_meeting_connected(struct cdt_socket *s);
/* Gives back what the user was charged for. */
void cdt_meeting_settle_account(struct cdt_meeting *m);
/* As a struct cdt_vchan's `wake`. */
void cdt_meeting_wake(struct conduit_conn *c);

/* ---- vchan_unix.c ---- */

/* Makes the state of a context, unless it is there; 0 or CONDUIT_ENOMEM. */
int cdt_vchan_prepare(struct conduit_ctx *ctx);
/* The state of a context that has vchan. */
struct cdt_vchan_state *cdt_vchan_state(const struct conduit_ctx *ctx);

/* A connection to who has registered a name; not started. */
int cdt_vchan_dial_as(struct conduit_ctx *ctx, const char *name,
                      enum cdt_vchan_kind kind, bool same_net,
                      const struct conduit_options *options,
                      struct conduit_conn **out, struct conduit_error *err);
/* Registers a name, and takes clients of both kinds. */
int cdt_vchan_listen_as(struct conduit_listener *listener, const char *name,
                        const struct conduit_options *options,
                        struct conduit_acceptor **out,
                        struct conduit_error *err);

#endif
