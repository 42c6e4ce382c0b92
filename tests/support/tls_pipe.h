/* SPDX-License-Identifier: ISC */
/*
 * Two TLS sessions of any engines, joined by two queues of bytes in memory, so
 * that engines are tested without connections: every order of events can be
 * made, and a run is the same each time. Each queue gives and takes at most
 * `chunk` bytes a call and holds at most `capacity`.
 *
 * Functions that drive sessions stop when neither end moves any more, so a
 * deadlock is an answer and not a hang.
 */
#ifndef TESTS_TLS_PIPE_H
#define TESTS_TLS_PIPE_H

#include "tls.h"

struct tls_pipe_way {
    uint8_t *data; /* bytes [start, end) are in it */
    size_t start;
    size_t end;
    size_t room;
    size_t chunk;    /* a call's most; 0: no limit */
    size_t capacity; /* held at most; 0: no limit */
    uint64_t total;  /* that ever came in */
    bool ended;      /* the reader meets END behind the bytes */
    int read_code;   /* not 0: the reader meets this behind the bytes */
    int write_code;  /* not 0: the writer meets this at once */
};

/* One session with what it reads from and writes to. */
struct tls_pipe_end {
    struct cdt_tls_io io; /* first: the engine's callbacks find the rest */
    struct tls_pipe_way *in;
    struct tls_pipe_way *out;
    const struct cdt_tls_engine *engine;
    struct cdt_tls_session *session;
    int result; /* of the handshake: AGAIN, 0, or an error */
};

struct tls_pipe {
    struct tls_pipe_end client;
    struct tls_pipe_end server;
    struct tls_pipe_way up;   /* client to server */
    struct tls_pipe_way down; /* server to client */
};

/* Who talks to whom; zeroed fields of `peer` are allowed. */
struct tls_pipe_pair {
    const struct cdt_tls_engine *client_engine;
    const struct cdt_tls_engine *server_engine;
    struct cdt_tls_credentials *client;
    struct cdt_tls_credentials *server;
    const char *name; /* whom the client must meet; NULL: nobody named */
    bool name_is_ip;
    bool client_trusts_anybody;
    bool server_trusts_anybody;
};

/* Makes the queues and both sessions. 0 or what session_new() answered; the
 * pipe is to be freed in either case. */
int tls_pipe_init(struct tls_pipe *p, const struct tls_pipe_pair *pair,
                  size_t chunk, size_t capacity, struct conduit_error *err);
/* Frees sessions and queues; a pipe of zeros is allowed. */
void tls_pipe_fini(struct tls_pipe *p);

/* Shakes hands until both ends have an answer or nothing moves, and flushes.
 * Whether both are done; client.result and server.result say more. */
bool tls_pipe_handshake(struct tls_pipe *p);

/*
 * Writes n bytes of stream `stream` (t_fill) at `from` and reads them at `to`,
 * in pieces of at most `piece`. Answers how many arrived unharmed.
 */
size_t tls_pipe_stream(struct tls_pipe *p, struct tls_pipe_end *from,
                       struct tls_pipe_end *to, uint64_t stream, size_t n,
                       size_t piece);

/* Calls read until it answers something else than AGAIN, flushing the other end
 * in between; AGAIN when nothing moves. */
long tls_pipe_read(struct tls_pipe *p, struct tls_pipe_end *at, void *buf,
                   size_t n);

/* Writes all of a text and flushes it as far as it goes: whether all of it was
 * taken. */
bool tls_pipe_write(struct tls_pipe *p, struct tls_pipe_end *at,
                    const char *text);

/* Flushes both ends until nothing moves. */
void tls_pipe_flush(struct tls_pipe *p);

/* What crossed in both directions so far. */
uint64_t tls_pipe_total(const struct tls_pipe *p);

/* The end that is not this one. */
struct tls_pipe_end *tls_pipe_other(struct tls_pipe *p,
                                    const struct tls_pipe_end *end);

#endif
