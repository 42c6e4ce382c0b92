/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1 (RFC 9110, RFC 9112) over any connection: a server with routes, and
 * a client. Neither knows what carries it.
 *
 * Framing is strict: a message that cannot be framed with certainty is refused
 * and its connection closed. Bodies stream both ways with backpressure. Every
 * wait has a deadline and every size a limit, with defaults that are safe.
 * Callbacks come from the loop, never from inside a call made here, but for
 * those said to.
 */
#ifndef CONDUIT_HTTP_H
#define CONDUIT_HTTP_H

#include <conduit/assets.h>
#include <conduit/conn.h>
#include <conduit/json.h>

struct conduit_http_server;
struct conduit_http_request;
struct conduit_http_client;
struct conduit_http_call;

/*
 * Limits and deadlines of a server or client. Zero-initialise; zero means the
 * default. Sizes in bytes, times in milliseconds.
 */
struct conduit_http_options {
    unsigned max_line;   /* request line; default 8,192; 414 beyond */
    unsigned max_fields; /* header fields; default 100; 431 beyond. A whole head
                            has at most 16 KiB */
    uint64_t max_body;   /* default 16 MiB; UINT64_MAX: none; 413 beyond */
    unsigned head_ms; /* from a head's first byte to its last; default 10 s */
    unsigned body_ms; /* without progress in a body, in or out; default 30 s */
    unsigned idle_ms; /* server: between requests; default 60 s */
    unsigned answer_ms; /* client: from the request's end to the answer's head;
                           default 30 s */
    unsigned max_conns; /* server: open at once; default 10,000; beyond it,
                           peers    wait in the system's queue */
    unsigned max_pipeline;       /* client: requests waiting; default 64 */
    struct conduit_options conn; /* for its listeners or dials */
};

/* ---- server ----------------------------------------------------------- */

CONDUIT_API int conduit_http_server_new(
    struct conduit_ctx *ctx, const struct conduit_http_options *options,
    struct conduit_http_server **out, struct conduit_error *err);

/*
 * Adds a listener; any number of URIs of any kind, with or without "http" in
 * front. `*listener` (may be NULL) stays the server's; ask it for its URI.
 */
CONDUIT_API int conduit_http_server_listen(struct conduit_http_server *server,
                                           const char *uri,
                                           struct conduit_listener **listener,
                                           struct conduit_error *err);

/*
 * Ends in good order: listeners close, idle connections too, answers under way
 * are finished (with Connection: close), for at most `ms`; then `done` is
 * called once and the server may be freed. Its listeners stop at once.
 */
CONDUIT_API void conduit_http_server_stop(struct conduit_http_server *server,
                                          unsigned ms, void (*done)(void *arg),
                                          void *arg);

/* Frees the server; what is open is dropped, with on_gone. NULL is harmless. */
CONDUIT_API void conduit_http_server_free(struct conduit_http_server *server);

/*
 * Handles one request. It may answer now or later. `request` stays valid until
 * its answer is complete (a whole reply, or conduit_http_end()) or on_gone.
 */
typedef void conduit_http_handler(void *arg,
                                  struct conduit_http_request *request);

/*
 * Adds a route. `pattern` is a path, not percent-encoded; a segment ":name"
 * matches any one segment that is not empty, and a last segment "*name" matches
 * the rest, also empty (its parts joined by '/', where a %2F of the request
 * looks the same). Literal segments win over ":name", which wins over "*name",
 * among the patterns that have the method. HEAD is answered by GET's route
 * where it has none. A known path with another method is answered 405 with
 * Allow, OPTIONS with Allow too, an unknown path 404; a path with a broken
 * escape, %00 or a dot segment, however it is written, 400. EINVAL for a
 * malformed pattern, EEXIST for a route that is there.
 */
CONDUIT_API int conduit_http_route(struct conduit_http_server *server,
                                   const char *method, const char *pattern,
                                   conduit_http_handler *handler, void *arg,
                                   struct conduit_error *err);

/*
 * Serves compiled-in assets below `prefix` ("/" for all), for GET and HEAD,
 * with content type, ETag, If-None-Match, and without copying them. `assets`
 * must outlive the server.
 */
CONDUIT_API int conduit_http_route_assets(struct conduit_http_server *server,
                                          const char *prefix,
                                          const struct conduit_assets *assets,
                                          struct conduit_error *err);

/* The request. Strings are NUL-terminated and live as long as the request. */
CONDUIT_API const char *
conduit_http_method(const struct conduit_http_request *r);
/* The path as sent, percent-encoded, without the query. */
CONDUIT_API const char *conduit_http_path(const struct conduit_http_request *r);
/* What follows '?', as sent; "" without. */
CONDUIT_API const char *
conduit_http_query(const struct conduit_http_request *r);
/* The first field of that name, any case; NULL without. */
CONDUIT_API const char *
conduit_http_header(const struct conduit_http_request *r, const char *name);
/* What a pattern's :name or *name matched, percent-decoded; NULL without. */
CONDUIT_API const char *conduit_http_param(const struct conduit_http_request *r,
                                           const char *name);
/* The connection that asked: for its facts, not for reading or writing. */
CONDUIT_API struct conduit_conn *
conduit_http_conn(const struct conduit_http_request *r);
CONDUIT_API struct conduit_ctx *
conduit_http_ctx(const struct conduit_http_request *r);

/* Attaches the application's own pointer to a request, and asks for it. */
CONDUIT_API void conduit_http_set_data(struct conduit_http_request *r,
                                       void *data);
CONDUIT_API void *conduit_http_data(const struct conduit_http_request *r);

/*
 * The peer went away, a deadline passed, the body was malformed or too large,
 * or the server was freed, all before the application was done answering:
 * whatever there is to be answered then, the server answers. The request is
 * gone after this call, its connection already. May come from within
 * conduit_http_server_free().
 */
CONDUIT_API void conduit_http_on_gone(struct conduit_http_request *r,
                                      void (*gone)(void *arg), void *arg);

/*
 * Streams the request's body. Called with bytes as they come; answers how many
 * it took: with fewer than n it is called again, with the rest first, after
 * conduit_http_resume(). Called with data NULL at the body's end. May be set
 * until the answer begins, also after the handler has returned; the peer is
 * held back until then. A body that nobody asked for is read and dropped behind
 * the answer where it is small, or its connection closed. Asking for the body
 * sends 100 Continue where the client waits for it.
 */
typedef size_t conduit_http_body_fn(void *arg, struct conduit_http_request *r,
                                    const void *data, size_t n);
CONDUIT_API void conduit_http_on_body(struct conduit_http_request *r,
                                      conduit_http_body_fn *fn, void *arg);
CONDUIT_API void conduit_http_resume(struct conduit_http_request *r);

/*
 * Collects the whole body in memory, at most `max` bytes (beyond: 413, and fn
 * is not called), then calls fn once. `body` is valid within the call.
 */
typedef void conduit_http_collected_fn(void *arg,
                                       struct conduit_http_request *r,
                                       const void *body, size_t size);
CONDUIT_API void conduit_http_collect(struct conduit_http_request *r,
                                      size_t max, conduit_http_collected_fn *fn,
                                      void *arg);

/*
 * Adds a field to the answer, before it begins. EINVAL for a name or value that
 * is malformed (CR LF and so on), or a field that the server writes itself
 * (Content-Length, Transfer-Encoding, Connection and its like, Date); ELIMIT
 * when the head grows over 8 KiB.
 */
CONDUIT_API int conduit_http_add_header(struct conduit_http_request *r,
                                        const char *name, const char *value);

/*
 * Answers as a whole; `type` NULL: no Content-Type. The body is copied where it
 * cannot be sent at once; with _static it must stay for ever and is not copied.
 * The request must not be used afterwards, whatever the call answers. The
 * answer to HEAD leaves the body out. 0; EINVAL for a malformed type or a
 * status not in 200..999 (the client gets a bare 500), or when the answer was
 * begun already; ENOMEM or the connection's error, and it is dropped.
 */
CONDUIT_API int conduit_http_reply(struct conduit_http_request *r, int status,
                                   const char *type, const void *body,
                                   size_t size);
CONDUIT_API int conduit_http_reply_static(struct conduit_http_request *r,
                                          int status, const char *type,
                                          const void *body, size_t size);
/* As reply, with {"error": text} and a plain status. */
CONDUIT_API int conduit_http_reply_error(struct conduit_http_request *r,
                                         int status, const char *text);
/* As reply, with a JSON value, whose reference it takes (also on failure). */
CONDUIT_API int conduit_http_reply_json(struct conduit_http_request *r,
                                        int status, json_t *value);

/* For conduit_http_begin(): the length is not known (chunked, or until close).
 */
#define CONDUIT_HTTP_UNKNOWN UINT64_MAX

/*
 * Answers in pieces: begin, any number of writes, end. write answers how many
 * bytes were accepted, AGAIN (on_writable tells when to go on), or an error;
 * writing beyond `length` is EINVAL, ending short of it drops the connection.
 * on_writable is called whenever there is room again after a write that took
 * less than all, and once after it is set. A status with no body, and HEAD,
 * take writes and drop them, but no more at once than other answers do. After
 * an error of write on_gone is still to come.
 */
CONDUIT_API int conduit_http_begin(struct conduit_http_request *r, int status,
                                   const char *type, uint64_t length);
CONDUIT_API long conduit_http_write(struct conduit_http_request *r,
                                    const void *data, size_t n);
CONDUIT_API void conduit_http_on_writable(struct conduit_http_request *r,
                                          conduit_http_handler *fn, void *arg);
CONDUIT_API int conduit_http_end(struct conduit_http_request *r);

/* The phrase for a status ("Not Found"); "" when it is not known. Static. */
CONDUIT_API const char *conduit_http_reason(int status);

/* ---- client ----------------------------------------------------------- */

/*
 * A client of one origin: it keeps one connection, dialled when first needed
 * and again after it ended, and sends one request after the other on it. `uri`
 * may have a path: the target of calls that give none.
 */
CONDUIT_API int
conduit_http_client_new(struct conduit_ctx *ctx, const char *uri,
                        const struct conduit_http_options *options,
                        struct conduit_http_client **out,
                        struct conduit_error *err);

/* Frees the client; calls under way end with ECANCELED, from within. */
CONDUIT_API void conduit_http_client_free(struct conduit_http_client *client);

struct conduit_http_field {
    const char *name;
    const char *value;
};

/*
 * One request. Everything is copied but the bodies. A request that was sent on
 * a kept connection which turned out to be closed, before a byte of the answer,
 * is sent once more on a new one when it is idempotent and its body can be
 * repeated. Calls that wait for the same dial fail together.
 *
 * Sending stops when the answer is complete first, or when its head refuses the
 * request (300 or more) or announces the connection's end; the answer counts,
 * the connection is not kept. 1xx are skipped. Deadlines count only while the
 * peer is waited for, not the application. An answer over a limit of the
 * client's is ELIMIT, a malformed one EPROTO, one cut short ETRUNCATED.
 */
struct conduit_http_call_options {
    const char *method; /* NULL: GET */
    const char *target; /* path and query; NULL: the client's URI's */
    const struct conduit_http_field *fields; /* Host, framing are the client's;
                                                a Host given here replaces it */
    size_t field_count;

    /* Body: memory that stays until done; or a source; or none. */
    const void *body;
    size_t body_size;
    /*
     * Fills buf with at most n bytes: how many (more than 0), AGAIN
     * (conduit_http_call_resume() goes on), END, or an error that ends the
     * call. With source_length CONDUIT_HTTP_UNKNOWN the body is chunked;
     * otherwise it is asked for no more, and END before that is EINVAL.
     */
    long (*source)(void *arg, struct conduit_http_call *call, void *buf,
                   size_t n);
    uint64_t source_length;

    /* The answer's head is there. May be NULL. */
    void (*head)(void *arg, struct conduit_http_call *call);
    /* Bytes of its body; answers how many it took, as on the server. May be
       NULL: dropped. */
    size_t (*data)(void *arg, struct conduit_http_call *call, const void *data,
                   size_t n);
    /* Exactly once: the end. err NULL: complete. The call is gone afterwards.
     */
    void (*done)(void *arg, struct conduit_http_call *call,
                 const struct conduit_error *err);
    void *arg;
    unsigned total_ms; /* for all of it, dialling too; 0: only the parts' */
};

/*
 * Queues a call; `*out` (may be NULL) is valid until its end. EINVAL for what
 * no request can say, ELIMIT beyond max_pipeline or 64 KiB of head, ECLOSED
 * while the client is being freed and once its context has ended, ENOMEM.
 */
CONDUIT_API int conduit_http_call(struct conduit_http_client *client,
                                  const struct conduit_http_call_options *o,
                                  struct conduit_http_call **out,
                                  struct conduit_error *err);

/* Goes on after `data` took less than all, or `source` answered AGAIN. */
CONDUIT_API void conduit_http_call_resume(struct conduit_http_call *call);

/* Ends a call; `done` does not come. Its connection is dropped if in use. */
CONDUIT_API void conduit_http_call_cancel(struct conduit_http_call *call);

/* The answer, once its head is there: status (0 before), fields. */
CONDUIT_API int conduit_http_call_status(const struct conduit_http_call *call);
CONDUIT_API const char *
conduit_http_call_reason(const struct conduit_http_call *call);
CONDUIT_API int conduit_http_call_minor(const struct conduit_http_call *call);
CONDUIT_API const char *
conduit_http_call_header(const struct conduit_http_call *call,
                         const char *name);
/* Field i (from 0), in the order sent; false when there are no more. */
CONDUIT_API bool conduit_http_call_field(const struct conduit_http_call *call,
                                         size_t i,
                                         struct conduit_http_field *out);
/* Line i (from 0) of the request's head as it is sent; NULL at its end. */
CONDUIT_API const char *
conduit_http_call_sent(const struct conduit_http_call *call, size_t i);
/* The connection in use, for its facts; NULL before there is one. */
CONDUIT_API struct conduit_conn *
conduit_http_call_conn(const struct conduit_http_call *call);
/*
 * Attempt i of the dial of the call's connection; until there is one, of the
 * dial that the call waits for, also in `done` after it failed.
 */
CONDUIT_API bool conduit_http_call_attempt(const struct conduit_http_call *call,
                                           size_t i,
                                           struct conduit_attempt *out);

/* An answer with its body collected. Valid within the callback. */
struct conduit_http_answer {
    int status;
    const void *body;
    size_t size;
    struct conduit_http_call *call; /* for fields and facts */
};

/*
 * The short form: one call whose answer's body (at most max_body) is collected.
 * `fn` is called once, with answer or err NULL. `type` and `body` may be NULL;
 * the body is copied.
 */
typedef void conduit_http_answer_fn(void *arg,
                                    const struct conduit_http_answer *answer,
                                    const struct conduit_error *err);
CONDUIT_API int conduit_http_fetch(struct conduit_http_client *client,
                                   const char *method, const char *target,
                                   const char *type, const void *body,
                                   size_t size, conduit_http_answer_fn *fn,
                                   void *arg, struct conduit_error *err);

#endif
