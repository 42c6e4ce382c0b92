/* SPDX-License-Identifier: ISC */
/*
 * What the files of the HTTP server share.
 *
 *     server.c   the server object, listeners, stopping, spare blocks
 *     session.c  one connection: reads requests, keeps deadlines, ends
 *     request.c  what an application asks a request, its body included
 *     reply.c    answering
 *     router.c   patterns; dispatch.c: from a path to a handler
 *
 * A session is small and lives as long as its connection. The block for a
 * request (its head, the answer's head, the parser) is taken when the first
 * byte of a request comes and given back when the answer is out, so an idle
 * connection has none. The next head is parsed only then: that is the whole
 * backpressure of pipelining, and requests are answered in order by themselves.
 *
 * Callbacks of the application run inside a session's own callback from the
 * loop, between enter and leave. What it calls there only takes notes; leave
 * draws the conclusions (next request, interest, deadlines, the end). Called
 * from outside, the same conclusions are drawn at once, for they call nobody.
 * So nothing recurses, and a server freed by a handler goes when the last leave
 * is through.
 */
#ifndef CDT_HTTP_SERVER_H
#define CDT_HTTP_SERVER_H

#include "ending.h"
#include "http/body.h"
#include "http/head.h"
#include "http/parser.h"

#include <conduit/http.h>

/* Bytes of a request's head; of an answer's head; of what is put before the
   application's fields in it: 100 (Continue) not sent yet, status line, Date,
   Connection and framing. */
#define CDT_REQUEST_HEAD 16384
#define CDT_REPLY_HEAD 8192
#define CDT_REPLY_FRONT 192

/* Parameters and segments of a pattern. */
#define CDT_PARAMS_MAX 16
#define CDT_SEGMENTS_MAX 32

/* Bytes of a body that are read and dropped to keep a connection. */
#define CDT_DROP_MAX 65536u

struct cdt_session;

/* ---- routes (router.c, dispatch.c) -------------------------------------- */

struct cdt_route {
    struct cdt_route *next; /* of the same pattern */
    conduit_http_handler *handler;
    void *arg;
    const char *method;
    unsigned name_count;
    const char *names[CDT_PARAMS_MAX]; /* without ':' and '*' */
    char text[];
};

/* A segment of patterns. Children: literals by text, one ":", one "*". */
struct cdt_node {
    struct cdt_node *next; /* sibling among literals */
    struct cdt_node *literals;
    struct cdt_node *param;
    struct cdt_node *rest;
    struct cdt_route *routes;
    size_t len; /* of text */
    char text[];
};

void cdt_router_free(struct conduit_ctx *ctx, struct cdt_node *root);

/* The literal child of that text, the route of that method; or NULL. */
struct cdt_node *cdt_node_literal(const struct cdt_node *node, const char *text,
                                  size_t len);
struct cdt_route *cdt_node_route(const struct cdt_node *node,
                                 const char *method);

/* Whether a segment is "." or "..". */
bool cdt_is_dots(const char *text, size_t len);

/* Calls the handler of a request whose head is complete, or answers itself. */
void cdt_router_dispatch(struct conduit_http_request *r);

/* ---- assets (serve_assets.c) -------------------------------------------- */

struct cdt_site {
    struct cdt_site *next;
    const struct conduit_assets *assets;
};

/* ---- the server --------------------------------------------------------- */

struct cdt_listening {
    struct cdt_listening *next;
    struct conduit_listener *listener;
};

struct conduit_http_server {
    struct cdt_ending ending; /* first */
    struct conduit_ctx *ctx;
    struct conduit_loop *loop;
    struct conduit_http_options options; /* no zero in what is used */
    struct cdt_http_limits limits;
    struct cdt_node *root;
    struct cdt_site *sites;
    struct cdt_listening *listening;
    struct cdt_session *sessions;
    struct cdt_session *waiting; /* accepted over the cap, not attached */
    struct cdt_session **waiting_last;
    unsigned open;  /* sessions, but those waiting */
    unsigned depth; /* of enter */
    bool paused;
    bool stopping;
    bool freed;
    struct conduit_http_request *spare;
    unsigned spares;
    struct conduit_timer timer; /* of stopping */
    struct conduit_task task;   /* calls done */
    void (*done)(void *arg);
    void *done_arg;
    uint64_t date_turn; /* the loop's time when date was last looked at */
    int64_t date_wall;
    char date[6 + CDT_HTTP_DATE + 2]; /* "Date: ...\r\n" */
};

void cdt_server_enter(struct conduit_http_server *server);
/* Frees the server if that was asked for meanwhile. */
void cdt_server_leave(struct conduit_http_server *server);

/* The Date field as a line, or "" when the time is unknown. */
const char *cdt_server_date(struct conduit_http_server *server);

/* A session ended: peers may come in, stopping may be over. */
void cdt_server_closed(struct conduit_http_server *server);

/* ---- a connection (session.c) ------------------------------------------- */

struct cdt_session {
    struct conduit_timer timer; /* first; set to the earlier deadline, or before
                                   it: it is moved when it fires, not at every
                                   request */
    struct conduit_http_server *server;
    struct conduit_conn *conn; /* NULL once it has ended, or is lost */
    struct cdt_session *next;
    struct cdt_session *prev;
    struct conduit_http_request *request; /* NULL between requests */
    uint64_t in_at;                       /* deadlines, ns; 0: none */
    uint64_t out_at;
    short broken;     /* why it must be dropped, or 0 */
    uint8_t interest; /* what was asked of the connection last */
    bool over;        /* it has ended */
    bool running;     /* between enter and leave */
    bool outside;     /* ... for a call from outside of the loop's callbacks */
};

/* Attaches a session to its connection; it reads from now on. */
void cdt_session_start(struct cdt_session *s);

/* Ends it: on_gone, and a close in good order or an abort. */
void cdt_session_end(struct cdt_session *s, bool abort);

/* Whether it is between requests. */
bool cdt_session_idle(const struct cdt_session *s);

/* Takes its connection away and tells nobody: what is left is to end it. */
void cdt_session_lose(struct cdt_session *s);

/* Draws conclusions after a call from the application, unless leave will. The
   session may be gone afterwards. */
void cdt_session_touch(struct cdt_session *s);

/* Answers an error in place of the application, and closes. */
void cdt_session_refuse(struct cdt_session *s, int status, const char *text);

/* ---- a request (request.c) ---------------------------------------------- */

enum cdt_take {
    CDT_TAKE_NONE,   /* nobody asked for the body */
    CDT_TAKE_STREAM, /* conduit_http_on_body() */
    CDT_TAKE_COLLECT,
    CDT_TAKE_OVER /* collected and handed over */
};

struct conduit_http_request {
    struct conduit_http_request *next; /* among spares */
    struct cdt_session *session;
    struct cdt_http_parser parser;
    struct cdt_body out;
    struct cdt_headbuf fields; /* the application's; mem NULL: none yet */
    const struct cdt_route *route;
    const char *values[CDT_PARAMS_MAX];
    void *path_mem; /* decoded path, where the head left no room for it */
    void *data;
    void (*gone)(void *arg);
    void *gone_arg;
    conduit_http_handler *writable;
    void *writable_arg;

    /* the body coming in */
    conduit_http_body_fn *body;
    conduit_http_collected_fn *collected;
    void *body_arg;
    uint8_t *gathered;
    size_t gathered_size;
    size_t gathered_room;
    size_t gathered_max;
    size_t held;    /* bytes that were parsed, but left in the connection */
    size_t dropped; /* bytes that nobody wanted */

    /* the answer's body, where it is waiting: lent, or a copy */
    const uint8_t *tail;
    size_t tail_size;
    void *tail_mem; /* of a copy that found no room behind the head */
    bool tail_lent;

    uint8_t take;     /* enum cdt_take */
    bool headed;      /* the head is complete */
    bool input_done;  /* the message is over */
    bool over_due;    /* the body's end is still to be told */
    bool input_moved; /* body bytes came */
    bool paused;      /* the application took less than all */
    bool resumed;     /* ... but called resume within */
    bool deaf;        /* no more is read, whatever comes */
    bool continued;   /* 100 (Continue) was sent */
    bool begun;       /* the answer's head is fixed */
    bool ended;       /* the application is done with it */
    bool complete;    /* the connection has accepted all of the answer */
    bool keep;        /* the connection stays open after it */
    bool starved;     /* on_writable is due when there is room */

    char in[CDT_REQUEST_HEAD]; /* from here on not cleared */
    char head[CDT_REPLY_HEAD];
};

/* Takes a block from the spare ones, or makes one; NULL: no memory. */
struct conduit_http_request *cdt_request_get(struct cdt_session *s);
void cdt_request_put(struct conduit_http_request *r);

/* Tells the application that it will not come to an answer. */
void cdt_request_gone(struct conduit_http_request *r);

/* Body bytes: how many were taken. */
size_t cdt_request_deliver(struct conduit_http_request *r, const uint8_t *data,
                           size_t n);
/* The end of the body. */
void cdt_request_over(struct conduit_http_request *r);

/* ---- answering (reply.c) ------------------------------------------------ */

/* Sends what waits: 0 all was accepted, AGAIN, or an error. */
int cdt_reply_push(struct conduit_http_request *r);

/* {"error": "text"}; the text needs no escapes. */
int cdt_reply_error(struct conduit_http_request *r, int status,
                    const char *text);

#endif
