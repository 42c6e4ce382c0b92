/* SPDX-License-Identifier: ISC */
/*
 * Answering a request, whole or in pieces.
 *
 * The application may add fields before anybody knows the status, so its fields
 * are written behind a gap, and the status line with what the server says
 * itself goes into the gap last, its end touching them: the head is one piece.
 * A whole answer is tried at once, head and body in one writev; only what the
 * connection did not take is copied.
 */
#include "http/server.h"

#include <stdio.h>
#include <string.h>

/* ---- the head ---- */

static struct cdt_headbuf *fields_of(struct conduit_http_request *r)
{
    if (r->fields.mem == NULL) {
        cdt_headbuf_init(&r->fields, r->head + CDT_REPLY_FRONT,
                         sizeof r->head - CDT_REPLY_FRONT);
    }
    return &r->fields;
}

int conduit_http_add_header(struct conduit_http_request *r, const char *name,
                            const char *value)
{
    if (r->begun || cdt_http_is_framing(name) ||
        cdt_http_same_name(name, "Date")) {
        return CONDUIT_EINVAL;
    }
    return cdt_headbuf_try_field(fields_of(r), name, value);
}

static bool is_head(const struct conduit_http_request *r)
{
    struct cdt_http_slice method = r->parser.head.method;

    return method.len == 4 &&
           memcmp(cdt_http_text(&r->parser, method), "HEAD", 4) == 0;
}

static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static enum cdt_http_framing framing_of(const struct conduit_http_request *r,
                                        int status, uint64_t length)
{
    if (has_no_body(status)) {
        return CDT_HTTP_NO_BODY;
    }
    if (length != CONDUIT_HTTP_UNKNOWN) {
        return CDT_HTTP_LENGTH;
    }
    return r->parser.head.minor > 0 ? CDT_HTTP_CHUNKED : CDT_HTTP_UNTIL_CLOSE;
}

/*
 * Whether what is left of the request can be read to its end without much ado.
 * Without it nobody knows where the next one begins. A client that was not told
 * to continue may send its body or not (RFC 9110 section 10.1.1).
 */
static bool rest_is_near(const struct conduit_http_request *r)
{
    const struct cdt_http_head *head = &r->parser.head;

    if (r->input_done) {
        return true;
    }
    if (r->deaf || (head->expect_continue && !r->continued)) {
        return false;
    }
    if (r->take != CDT_TAKE_NONE && !r->ended) {
        return true; /* the application reads it */
    }
    return head->framing != CDT_HTTP_LENGTH ||
           head->length - r->parser.body_seen + r->held <= CDT_DROP_MAX;
}

/* The status line and the server's own fields. */
static void build_front(struct conduit_http_request *r, struct cdt_headbuf *h,
                        int status, enum cdt_http_framing framing,
                        uint64_t length)
{
    const char *date = cdt_server_date(r->session->server);

    if (r->continued) {
        (void)cdt_headbuf_raw(h, r->out.head, r->out.head_left);
    }
    (void)cdt_headbuf_status(h, status);
    (void)cdt_headbuf_raw(h, date, strlen(date));
    if (!r->keep) {
        (void)cdt_headbuf_field(h, "Connection", "close");
    } else if (r->parser.head.minor == 0) {
        (void)cdt_headbuf_field(h, "Connection", "keep-alive");
    }
    (void)cdt_headbuf_framing(h, (int)framing, length);
}

static int build(struct conduit_http_request *r, int status, const char *type,
                 enum cdt_http_framing framing, uint64_t length)
{
    char front[CDT_REPLY_FRONT];
    struct cdt_headbuf h;
    struct cdt_headbuf *fields = fields_of(r);
    size_t used = fields->used;

    if (type != NULL) {
        (void)cdt_headbuf_field(fields, "Content-Type", type);
    }
    (void)cdt_headbuf_end(fields);
    cdt_headbuf_init(&h, front, sizeof front);
    build_front(r, &h, status, framing, length);
    if (fields->code != 0 || h.code != 0) {
        int code = fields->code != 0 ? fields->code : h.code;

        fields->used = used;
        fields->code = 0;
        return code;
    }
    memcpy(r->head + CDT_REPLY_FRONT - h.used, front, h.used);
    if (framing == CDT_HTTP_NO_BODY) {
        length = CONDUIT_HTTP_UNKNOWN; /* it was said to nobody */
    }
    cdt_body_init(&r->out, r->head + CDT_REPLY_FRONT - h.used,
                  h.used + fields->used,
                  is_head(r) ? CDT_HTTP_NO_BODY : framing, length);
    return 0;
}

static int begin(struct conduit_http_request *r, int status, const char *type,
                 uint64_t length)
{
    enum cdt_http_framing framing = framing_of(r, status, length);
    int code;

    if (r->session->conn == NULL) {
        return CONDUIT_ECLOSED;
    }
    if (r->begun || status < 200 || status > 999) {
        return CONDUIT_EINVAL;
    }
    r->keep = r->parser.head.keep_alive && framing != CDT_HTTP_UNTIL_CLOSE &&
              !r->session->server->stopping && rest_is_near(r);
    code = build(r, status, type, framing, length);
    if (code == 0) {
        r->begun = true;
        r->deaf = r->deaf || (!r->keep && !rest_is_near(r));
    }
    return code;
}

/* ---- sending ---- */

int cdt_reply_push(struct conduit_http_request *r)
{
    struct conduit_conn *conn = r->session->conn;
    int code;

    while (r->tail_size > 0) {
        long n = r->tail_lent
                     ? cdt_body_lend(&r->out, conn, r->tail, r->tail_size)
                     : cdt_body_write(&r->out, conn, r->tail, r->tail_size);

        if (n < 0) {
            return (int)n;
        }
        r->tail += n;
        r->tail_size -= (size_t)n;
    }
    if (!r->ended || r->complete) {
        return cdt_body_flush(&r->out, conn);
    }
    code = cdt_body_end(&r->out, conn);
    r->complete = code == 0;
    return code;
}

static void break_off(struct conduit_http_request *r, int code)
{
    if (r->session->broken == 0) {
        r->session->broken = (short)code;
    }
}

/* Copies what the connection did not take of the caller's memory. */
static int keep_tail(struct conduit_http_request *r, const void *body,
                     size_t size)
{
    size_t used = CDT_REPLY_FRONT + r->fields.used;
    void *copy = r->head + used;

    if (size > sizeof r->head - used) {
        copy = conduit_alloc(r->session->server->ctx, size);
        if (copy == NULL) {
            return CONDUIT_ENOMEM;
        }
        r->tail_mem = copy;
    }
    memcpy(copy, body, size);
    r->tail = copy;
    r->tail_size = size;
    return 0;
}

/* Sends the body of a whole answer; 0 also when some of it waits. */
static int send_copied(struct conduit_http_request *r, const uint8_t *body,
                       size_t size)
{
    struct conduit_conn *conn = r->session->conn;
    size_t done = 0;
    long n = 0;

    while (n >= 0 && done < size) {
        n = cdt_body_write(&r->out, conn, body + done, size - done);
        if (n > 0) {
            done += (size_t)n;
        }
    }
    if (n < 0 && n != CONDUIT_AGAIN) {
        return (int)n;
    }
    return done < size ? keep_tail(r, body + done, size - done) : 0;
}

static int send_whole(struct conduit_http_request *r, const void *body,
                      size_t size, bool copied)
{
    int code = 0;

    if (r->out.framing == CDT_HTTP_NO_BODY) {
        size = 0;
    }
    if (copied) {
        code = send_copied(r, body, size);
    } else {
        r->tail = body;
        r->tail_size = size;
        r->tail_lent = true;
    }
    if (code == 0) {
        code = cdt_reply_push(r);
    }
    return code == CONDUIT_AGAIN ? 0 : code;
}

/* What a caller got wrong is no business of the client's. */
static int begin_500(struct conduit_http_request *r)
{
    r->fields.mem = NULL;
    return begin(r, 500, NULL, 0);
}

static int whole(struct conduit_http_request *r, int status, const char *type,
                 const struct conduit_seg *body, bool copied)
{
    bool streaming = r->begun;
    int wrong = 0;
    int code;

    if (r->ended || r->session->conn == NULL) {
        return CONDUIT_EINVAL;
    }
    r->ended = true;
    code = streaming ? CONDUIT_EINVAL : begin(r, status, type, body->size);
    if (code == 0) {
        code = send_whole(r, body->data, body->size, copied);
    } else if (!streaming) {
        wrong = code;
        code = begin_500(r);
        if (code == 0) {
            code = send_whole(r, "", 0, false);
        }
    }
    if (code != 0) {
        break_off(r, code);
    }
    cdt_session_touch(r->session);
    return wrong != 0 ? wrong : code;
}

int conduit_http_reply(struct conduit_http_request *r, int status,
                       const char *type, const void *body, size_t size)
{
    struct conduit_seg seg = {body, size};

    return whole(r, status, type, &seg, true);
}

int conduit_http_reply_static(struct conduit_http_request *r, int status,
                              const char *type, const void *body, size_t size)
{
    struct conduit_seg seg = {body, size};

    return whole(r, status, type, &seg, false);
}

int cdt_reply_error(struct conduit_http_request *r, int status,
                    const char *text)
{
    char body[128];
    int n = snprintf(body, sizeof body, "{\"error\":\"%.100s\"}", text);

    return conduit_http_reply(r, status, "application/json", body, (size_t)n);
}

/* ---- in pieces ---- */

int conduit_http_begin(struct conduit_http_request *r, int status,
                       const char *type, uint64_t length)
{
    int code = begin(r, status, type, length);

    if (code == 0) {
        cdt_session_touch(r->session);
    }
    return code;
}

long conduit_http_write(struct conduit_http_request *r, const void *data,
                        size_t n)
{
    struct cdt_session *s = r->session;
    long done;

    if (s->conn == NULL || s->broken != 0) {
        return CONDUIT_ECLOSED;
    }
    if (!r->begun || r->ended) {
        return CONDUIT_EINVAL;
    }
    done = cdt_body_write(&r->out, s->conn, data, n);
    if (done == CONDUIT_AGAIN || (done >= 0 && (size_t)done < n)) {
        r->starved = true;
    } else if (done < 0 && done != CONDUIT_EINVAL) {
        break_off(r, (int)done);
    }
    cdt_session_touch(s);
    return done;
}

void conduit_http_on_writable(struct conduit_http_request *r,
                              conduit_http_handler *fn, void *arg)
{
    r->writable = fn;
    r->writable_arg = arg;
    if (fn != NULL && r->begun && !r->ended) {
        r->starved = true;
        cdt_session_touch(r->session);
    }
}

int conduit_http_end(struct conduit_http_request *r)
{
    int code;

    if (!r->begun || r->ended || r->session->conn == NULL) {
        return CONDUIT_EINVAL;
    }
    r->ended = true;
    code = cdt_reply_push(r);
    if (code == CONDUIT_AGAIN) {
        code = 0;
    }
    if (code != 0) {
        break_off(r, code);
    }
    cdt_session_touch(r->session);
    return code;
}
