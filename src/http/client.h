/* SPDX-License-Identifier: ISC */
/*
 * What the files of the client share. client.c has its life, the queue of calls
 * and the dialling; client_origin.c reads its URI; client_call.c makes a call
 * and answers questions about it; client_exchange.c carries one request and its
 * answer over the connection; client_fetch.c is the short form, on top of the
 * public calls.
 *
 * A client has one connection at most, and on it one exchange at most: requests
 * are not sent ahead of answers, for what a server did with a request that was
 * behind a failed one cannot be known.
 *
 * Any callback may cancel calls and free the client. So callbacks run between
 * enter and leave, which count; what ended meanwhile stays in memory until the
 * count is back at zero; and who called back looks whether his call is still
 * the exchange's.
 */
#ifndef CDT_HTTP_CLIENT_H
#define CDT_HTTP_CLIENT_H

#include "ending.h"
#include "http/body.h"
#include "http/parser.h"

#include <conduit/http.h>

/* Bytes of an answer's head with the parser's table, and of input. */
#define CDT_CLIENT_HEAD 16384
#define CDT_CLIENT_INPUT 49152

/* The structure of which `ptr` is a member. */
#define CDT_CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct conduit_http_call {
    struct conduit_http_client *client;
    struct conduit_http_call *next;     /* in the client's queue, or ended */
    struct conduit_http_call_options o; /* fields: not kept */
    struct conduit_timer total;
    uint64_t number;
    struct conduit_conn *conn; /* that it was sent on */
    char *method;              /* a copy */
    char *head;                /* of the request; its lines behind it */
    size_t head_size;
    size_t source_calls;
    enum cdt_http_framing framing;
    uint64_t length;
    int status;
    bool idempotent;
    bool ended;
};

/* One request and its answer. */
struct cdt_exchange {
    struct conduit_http_call *call; /* NULL: there is none */
    struct cdt_body out;
    size_t body_at; /* of a body in memory, bytes accepted */
    bool sending;   /* the request has not been accepted completely */
    bool cut;       /* and will not be: the connection ends with it */
    bool source_over;
    bool source_waits; /* for conduit_http_call_resume() */
    bool data_waits;   /* for the same */
    bool resumed;      /* it came */
    bool heard;        /* a byte of the answer came */
    bool interim;      /* the head was that of a 1xx */
    bool hungry;       /* the parser needs more input */
    unsigned interest;
    uint64_t since;      /* ns: the last sign of life */
    const uint8_t *body; /* shown by the parser, not taken yet */
    size_t body_left;
    size_t in_at; /* input [in_at, in_end) was not parsed yet */
    size_t in_end;
};

struct conduit_http_client {
    struct conduit_ctx *ctx;
    struct conduit_loop *loop;
    char *uri;
    char *host;   /* for the Host field */
    char *target; /* of calls that give none */
    struct conduit_http_options options;
    struct cdt_http_limits limits;

    struct conduit_http_call *first; /* not ended, in order */
    struct conduit_http_call *ended; /* to be freed */
    size_t count;
    uint64_t number; /* the last call's */
    unsigned depth;  /* of callbacks */
    bool freed;
    bool over; /* the context has ended: nothing is begun */

    struct cdt_ending ending;
    struct conduit_task task;
    struct conduit_timer timer; /* the exchange's */
    struct conduit_dial *dial;
    const struct conduit_dial *report; /* of a dial that just failed */
    struct conduit_conn *conn;
    bool used; /* the connection has carried an exchange */
    struct cdt_exchange x;
    struct cdt_http_parser parser;
    uint8_t *mem; /* an answer's head, then input */
};

/* ---- client.c ---------------------------------------------------------- */

/* Around all that can call the application. leave may free the client. */
void cdt_client_enter(struct conduit_http_client *client);
void cdt_client_leave(struct conduit_http_client *client);

/* Ends a call: out of the queue, then `done` (none with `silent`). */
void cdt_client_end(struct conduit_http_call *call,
                    const struct conduit_error *err, bool silent);

/* Ends the connection, in order or at once; harmless without one. */
void cdt_client_drop(struct conduit_http_client *client, bool abort);

/* The timer of a call. */
void cdt_call_expired(struct conduit_timer *timer);

/* ---- client_origin.c --------------------------------------------------- */

/* Sets uri, host and target from a URI. */
int cdt_client_set_origin(struct conduit_http_client *client, const char *text,
                          struct conduit_error *err);

/* ---- client_call.c ----------------------------------------------------- */

int cdt_call_new(struct conduit_http_client *client,
                 const struct conduit_http_call_options *o,
                 struct conduit_http_call **out, struct conduit_error *err);
void cdt_call_free(struct conduit_http_call *call);

/* ---- client_exchange.c ------------------------------------------------- */

/* Whether a kept connection is as a kept connection should be: silent. */
bool cdt_exchange_usable(struct conduit_http_client *client);

/* Starts to send a call's request on the connection. */
void cdt_exchange_begin(struct conduit_http_client *client,
                        struct conduit_http_call *call);

/* Goes on as far as possible; the second, since the application asked for it.
 */
void cdt_exchange_pump(struct conduit_http_client *client);
void cdt_exchange_resume(struct conduit_http_client *client);

/* Forgets the exchange, whose call was ended otherwise. */
void cdt_exchange_forget(struct conduit_http_client *client);

/* Ends the exchange when one of its deadlines has passed. */
void cdt_exchange_check_time(struct conduit_http_client *client);

#endif
