/* SPDX-License-Identifier: ISC */
/* What an application asks a request, and how it is given the body. */
#include "http/server.h"

#include <string.h>

/* Blocks kept for the next requests. */
#define SPARES_MAX 16

/* What a collected body begins with. */
#define GATHER_MIN 4096

struct conduit_http_request *cdt_request_get(struct cdt_session *s)
{
    struct conduit_http_server *server = s->server;
    struct conduit_http_request *r = server->spare;

    if (r != NULL) {
        server->spare = r->next;
        server->spares--;
    } else {
        r = conduit_resize(server->ctx, NULL, sizeof *r);
    }
    if (r == NULL) {
        return NULL;
    }
    memset(r, 0, offsetof(struct conduit_http_request, in));
    r->session = s;
    cdt_http_parser_init(&r->parser, CDT_HTTP_REQUEST, &server->limits);
    cdt_http_parser_begin(&r->parser, r->in, sizeof r->in, NULL);
    return r;
}

static void drop_gathered(struct conduit_http_request *r)
{
    conduit_release(r->session->server->ctx, r->gathered);
    r->gathered = NULL;
}

void cdt_request_put(struct conduit_http_request *r)
{
    struct conduit_http_server *server = r->session->server;

    drop_gathered(r);
    conduit_release(server->ctx, r->tail_mem);
    conduit_release(server->ctx, r->path_mem);
    if (server->spares >= SPARES_MAX || server->freed) {
        conduit_release(server->ctx, r);
        return;
    }
    r->next = server->spare;
    server->spare = r;
    server->spares++;
}

void cdt_request_gone(struct conduit_http_request *r)
{
    void (*gone)(void *arg) = r->gone;

    r->take = CDT_TAKE_NONE;
    r->gone = NULL;
    if (gone != NULL && !r->ended) {
        gone(r->gone_arg);
    }
}

/* ---- the head ---- */

const char *conduit_http_method(const struct conduit_http_request *r)
{
    return cdt_http_text(&r->parser, r->parser.head.method);
}

const char *conduit_http_path(const struct conduit_http_request *r)
{
    return cdt_http_text(&r->parser, r->parser.head.path);
}

const char *conduit_http_query(const struct conduit_http_request *r)
{
    struct cdt_http_slice query = r->parser.head.query;

    return query.len > 0 ? cdt_http_text(&r->parser, query) : "";
}

const char *conduit_http_header(const struct conduit_http_request *r,
                                const char *name)
{
    size_t len;
    const char *value = cdt_http_find(&r->parser, name, NULL, &len);

    if (value != NULL) {
        /* Over the white space or the CR behind it, which nobody needs. */
        r->parser.mem[(size_t)(value - (const char *)r->parser.mem) + len] = 0;
    }
    return value;
}

const char *conduit_http_param(const struct conduit_http_request *r,
                               const char *name)
{
    unsigned i;

    for (i = 0; r->route != NULL && i < r->route->name_count; i++) {
        if (strcmp(r->route->names[i], name) == 0) {
            return r->values[i];
        }
    }
    return NULL;
}

struct conduit_conn *conduit_http_conn(const struct conduit_http_request *r)
{
    return r->session->conn;
}

struct conduit_ctx *conduit_http_ctx(const struct conduit_http_request *r)
{
    return r->session->server->ctx;
}

void conduit_http_set_data(struct conduit_http_request *r, void *data)
{
    r->data = data;
}

void *conduit_http_data(const struct conduit_http_request *r)
{
    return r->data;
}

void conduit_http_on_gone(struct conduit_http_request *r,
                          void (*gone)(void *arg), void *arg)
{
    r->gone = gone;
    r->gone_arg = arg;
}

/* ---- the body ---- */

static void send_continue(struct conduit_http_request *r)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!r->parser.head.expect_continue || r->continued || r->over_due) {
        return;
    }
    r->continued = true;
    cdt_body_init(&r->out, text, sizeof text - 1, CDT_HTTP_NO_BODY, 0);
    /* An error shows again when the answer is written. */
    (void)cdt_body_flush(&r->out, r->session->conn);
}

/* The body can be asked for once, and not when the answer has begun. */
static bool may_take(const struct conduit_http_request *r)
{
    return !r->begun && r->take == CDT_TAKE_NONE && r->session->conn != NULL;
}

/* Asks for the body; `all` of it came already, or more is known not to fit. */
static void take(struct conduit_http_request *r, enum cdt_take how, void *arg,
                 bool all)
{
    r->take = (uint8_t)how;
    r->body_arg = arg;
    r->over_due = all;
    send_continue(r);
    cdt_session_touch(r->session);
}

void conduit_http_on_body(struct conduit_http_request *r,
                          conduit_http_body_fn *fn, void *arg)
{
    if (may_take(r)) {
        r->body = fn;
        take(r, CDT_TAKE_STREAM, arg, r->input_done);
    }
}

void conduit_http_collect(struct conduit_http_request *r, size_t max,
                          conduit_http_collected_fn *fn, void *arg)
{
    if (may_take(r)) {
        r->collected = fn;
        r->gathered_max = max;
        take(r, CDT_TAKE_COLLECT, arg,
             r->input_done || r->parser.head.length > max);
    }
}

void conduit_http_resume(struct conduit_http_request *r)
{
    r->resumed = true;
    if (r->paused) {
        r->paused = false;
        cdt_session_touch(r->session);
    }
}

static size_t drop(struct conduit_http_request *r, size_t n)
{
    r->dropped += n;
    r->deaf = r->deaf || r->dropped > CDT_DROP_MAX;
    return n;
}

static size_t stream(struct conduit_http_request *r, const uint8_t *data,
                     size_t n)
{
    size_t taken;

    r->resumed = false;
    taken = r->body(r->body_arg, r, data, n);
    if (taken >= n) {
        return n;
    }
    r->paused = !r->resumed;
    return taken;
}

/* Makes room for n more bytes, which are within the limit. */
static bool gather_room(struct conduit_http_request *r, size_t n)
{
    size_t need = r->gathered_size + n;
    size_t room = r->gathered_room < GATHER_MIN ? GATHER_MIN : r->gathered_room;
    uint8_t *grown;

    if (need <= r->gathered_room) {
        return true;
    }
    while (room < need) {
        room = room <= SIZE_MAX / 2 ? room * 2 : need;
    }
    grown = conduit_resize(r->session->server->ctx, r->gathered, room);
    if (grown == NULL) {
        return false;
    }
    r->gathered = grown;
    r->gathered_room = room;
    return true;
}

/* Hands over; the application may answer within, and end the session. */
static void hand_over(struct conduit_http_request *r, const void *body,
                      size_t size)
{
    r->take = CDT_TAKE_OVER;
    r->collected(r->body_arg, r, body, size);
}

static size_t gather(struct conduit_http_request *r, const uint8_t *data,
                     size_t n)
{
    const struct cdt_http_head *head = &r->parser.head;

    if (n > r->gathered_max - r->gathered_size) {
        cdt_session_refuse(r->session, 413, "body too large");
    } else if (r->gathered_size == 0 && head->framing == CDT_HTTP_LENGTH &&
               n == head->length) {
        hand_over(r, data, n); /* all of it, where it lies */
    } else if (!gather_room(r, n)) {
        cdt_session_refuse(r->session, 503, "out of memory");
    } else {
        memcpy(r->gathered + r->gathered_size, data, n);
        r->gathered_size += n;
    }
    return n;
}

size_t cdt_request_deliver(struct conduit_http_request *r, const uint8_t *data,
                           size_t n)
{
    if (r->ended || r->take == CDT_TAKE_NONE) {
        return drop(r, n);
    }
    return r->take == CDT_TAKE_STREAM ? stream(r, data, n) : gather(r, data, n);
}

void cdt_request_over(struct conduit_http_request *r)
{
    enum cdt_take how = (enum cdt_take)r->take;

    r->over_due = false;
    if (r->ended || r->session->conn == NULL) {
        return;
    }
    if (how == CDT_TAKE_STREAM) {
        r->take = CDT_TAKE_OVER;
        (void)r->body(r->body_arg, r, NULL, 0);
    } else if (how == CDT_TAKE_COLLECT && !r->input_done) {
        cdt_session_refuse(r->session, 413, "body too large");
    } else if (how == CDT_TAKE_COLLECT) {
        hand_over(r, r->gathered != NULL ? (const void *)r->gathered : "",
                  r->gathered_size);
        drop_gathered(r);
    }
}
