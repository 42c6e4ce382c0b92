/* SPDX-License-Identifier: ISC */
/*
 * Sending a message: the bytes of its head, then a body framed by a length, in
 * chunks, by the end of the connection, or left out (RFC 9112 section 6).
 *
 * Bytes go from the caller's memory straight into the connection. A body with a
 * length goes out together with what is left of the head in one writev. A chunk
 * is built in the connection's own window (reserve, commit), its size line in
 * front, so that no chunk is ever announced whose bytes are not there: who was
 * told AGAIN may come back with other bytes, or with none. Building it by
 * writev was tried: a chunk of which the connection took a part binds the
 * caller to the rest. Where the window is too small for a chunk (a ring that is
 * nearly full, the chop layer of the tests) a few bytes are staged here.
 */
#ifndef CDT_HTTP_BODY_H
#define CDT_HTTP_BODY_H

#include "http/parser.h"

#include <conduit/conn.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that cdt_body_room() offers where the window is too small. */
#define CDT_BODY_STAGE 16

/* Bytes of a body that is left out which are taken at once: as many as a
 * connection moves in a turn. */
#define CDT_BODY_DROPS 262144u

struct cdt_body {
    const char *head; /* of the head, what was not accepted yet */
    size_t head_left;
    uint64_t left;     /* bytes that may still come; UINT64_MAX: any number */
    uint8_t *window;   /* what cdt_body_room() reserved, or NULL */
    uint32_t drops;    /* NO_BODY: bytes that are dropped until AGAIN comes */
    uint8_t framing;   /* enum cdt_http_framing */
    uint8_t prefix;    /* bytes of the size line in front of the room */
    bool over;         /* the end was staged */
    bool moved;        /* something was accepted; whoever times progress looks
                          at it and clears it */
    uint8_t staged_at; /* stage[at..end) waits to be accepted */
    uint8_t staged_end;
    char stage[CDT_BODY_STAGE + 8];
};

/*
 * Starts a message. `head` stays the caller's and must stay until it was
 * accepted (cdt_body_pending() is false). `framing` NO_BODY: body bytes are
 * taken and dropped, as in the answer to HEAD, where `length` is the most of
 * them (UINT64_MAX: any number). It counts with LENGTH, too, and with no other.
 * Nothing is written by this call.
 */
void cdt_body_init(struct cdt_body *b, const void *head, size_t head_size,
                   enum cdt_http_framing framing, uint64_t length);

/*
 * What is dropped needs no room, so nothing would ever stop who writes until
 * AGAIN comes: it comes after CDT_BODY_DROPS bytes. This allows as many again,
 * in another turn.
 */
void cdt_body_refill(struct cdt_body *b);

/*
 * Writes body bytes: how many were accepted, perhaps fewer than n; AGAIN; an
 * error of the connection; or EINVAL for more than the length allows. n = 0
 * answers 0. lend is for memory that stays for ever (conduit_conn_lend() with
 * ref NULL), which a transport may send without a copy.
 */
long cdt_body_write(struct cdt_body *b, struct conduit_conn *conn,
                    const void *data, size_t n);
long cdt_body_lend(struct cdt_body *b, struct conduit_conn *conn,
                   const void *data, size_t n);

/*
 * For who makes the bytes: room for at most `want` of them (> 0), in the
 * connection itself where that is possible. Answers how many fit at *at (> 0),
 * AGAIN, or an error; EINVAL when the length allows none. fill says how many
 * were put there, 0 to give the room back; it must follow in the same callback,
 * with no call on the connection in between.
 */
long cdt_body_room(struct cdt_body *b, struct conduit_conn *conn, size_t want,
                   void **at);
void cdt_body_fill(struct cdt_body *b, struct conduit_conn *conn, size_t n);

/*
 * Pushes head and staged bytes into the connection: 0 when nothing is pending
 * here, AGAIN, or an error. The head alone may be sent by this.
 */
int cdt_body_flush(struct cdt_body *b, struct conduit_conn *conn);

/*
 * Ends the body: 0 when all of the message was accepted; AGAIN: call it again
 * when there is room; EINVAL when it is shorter than its length, for which
 * there is no way but to drop the connection; or an error.
 */
int cdt_body_end(struct cdt_body *b, struct conduit_conn *conn);

/* Whether bytes of the head or staged ones wait here. */
bool cdt_body_pending(const struct cdt_body *b);

#endif
