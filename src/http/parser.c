/* SPDX-License-Identifier: ISC */
/*
 * The HTTP/1.1 parser's driver: collects the lines of a head in the lent memory
 * and frames the body. What the lines of a head say is parser_fields.c.
 *
 * A head is not run through a state machine byte by byte. The end of a line is
 * found with memchr, the line is copied in bulk behind those before it, and
 * read there once it is whole: no state inside a line, no slice that moves, and
 * a line that comes in pieces is scanned for its end once. Chunk sizes,
 * extensions and trailers are read as they come, since nothing of them is kept.
 */
#include "http/parser.h"

#include <string.h>

enum {
    MAX_BLANKS = 2,       /* empty lines skipped before a request */
    MAX_CHUNK_DIGITS = 16 /* as many hex digits as 64 bits have */
};

enum state {
    ST_DONE, /* DONE was reported, or begin was never called */
    ST_ERROR,
    ST_START, /* nothing of the message came yet */
    ST_BLANK_LF,
    ST_HEAD,
    ST_SIZED,
    ST_UNTIL_CLOSE,
    ST_CHUNK_SIZE,
    ST_CHUNK_SPACE, /* white space between a chunk size and ';' */
    ST_CHUNK_EXT,
    ST_CHUNK_LF,
    ST_CHUNK_DATA,
    ST_DATA_CR,
    ST_DATA_LF,
    ST_TRAILER_START,
    ST_TRAILER_NAME,
    ST_TRAILER_VALUE,
    ST_TRAILER_LF,
    ST_LAST_LF,
    ST_OVER /* the message is complete, DONE was not reported yet */
};

/* What is left of the bytes of one call, and the body bytes found in them. */
struct input {
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *body;
    size_t body_len;
};

void cdt_http_parser_init(struct cdt_http_parser *p, enum cdt_http_role role,
                          const struct cdt_http_limits *limits)
{
    memset(p, 0, sizeof *p);
    p->limits = limits;
    p->role = (uint8_t)role;
    p->state = ST_DONE;
}

void cdt_http_parser_begin(struct cdt_http_parser *p, void *mem, size_t size,
                           const char *method)
{
    memset(&p->head, 0, sizeof p->head);
    p->mem = mem;
    p->mem_size = size < UINT32_MAX ? size : UINT32_MAX;
    p->used = 0;
    p->line_at = 0;
    p->left = 0;
    p->body_seen = 0;
    p->trailer_used = 0;
    p->ext_used = 0;
    p->digits = 0;
    p->blanks = 0;
    cdt_http_head_start(p, method);
    if (p->state != ST_ERROR) {
        p->state = ST_START;
    }
}

bool cdt_http_parser_idle(const struct cdt_http_parser *p)
{
    return p->state == ST_START;
}

bool cdt_http_refuse(struct cdt_http_parser *p, int status, const char *reason)
{
    p->state = ST_ERROR;
    p->status = status;
    p->reason = reason;
    return false;
}

static enum cdt_http_event fail(struct cdt_http_parser *p, int status,
                                const char *reason)
{
    (void)cdt_http_refuse(p, status, reason);
    return CDT_HTTP_ERROR;
}

/*
 * The steps: one for each state. A step takes at least one byte if there is
 * one, or changes the state to one that does, or reports something other than
 * MORE.
 */

/* Takes the byte that must come here. */
static enum cdt_http_event expect(struct cdt_http_parser *p, struct input *in,
                                  char byte, enum state next)
{
    if (in->at == in->end) {
        return CDT_HTTP_MORE;
    }
    if (*in->at != (uint8_t)byte) {
        return fail(p, 400, "line not ended by CR LF");
    }
    in->at++;
    p->state = (uint8_t)next;
    return CDT_HTTP_MORE;
}

static enum cdt_http_event step_done(struct cdt_http_parser *p,
                                     struct input *in)
{
    (void)in;
    p->state = ST_DONE;
    return CDT_HTTP_DONE;
}

static enum cdt_http_event step_error(struct cdt_http_parser *p,
                                      struct input *in)
{
    (void)p;
    (void)in;
    return CDT_HTTP_ERROR;
}

/* Adds bytes to the line being collected. */
static bool collect(struct cdt_http_parser *p, const uint8_t *at, size_t n)
{
    size_t table = p->head.field_count * sizeof(struct cdt_http_field);
    size_t line_max = p->mem_size - table - p->line_at;
    int status = 431;

    if (p->line_at == 0 && (uint64_t)p->limits->request_line + 2 < line_max) {
        line_max = (size_t)p->limits->request_line + 2;
        status = 414;
    }
    if (n > line_max - (p->used - p->line_at)) {
        return cdt_http_refuse(p, status,
                               status == 414 ? "first line too long"
                                             : "head too large");
    }
    memcpy(p->mem + p->used, at, n);
    p->used += n;
    return true;
}

static enum state body_state(const struct cdt_http_head *head)
{
    switch (head->framing) {
    case CDT_HTTP_LENGTH:
        return head->length > 0 ? ST_SIZED : ST_OVER;
    case CDT_HTTP_CHUNKED:
        return ST_CHUNK_SIZE;
    case CDT_HTTP_UNTIL_CLOSE:
        return ST_UNTIL_CLOSE;
    case CDT_HTTP_NO_BODY:
        break;
    }
    return ST_OVER;
}

static enum cdt_http_event step_head(struct cdt_http_parser *p,
                                     struct input *in)
{
    enum cdt_http_event event = CDT_HTTP_MORE;

    while (event == CDT_HTTP_MORE && in->at < in->end) {
        size_t n = (size_t)(in->end - in->at);
        const uint8_t *lf = memchr(in->at, '\n', n);

        if (lf != NULL) {
            n = (size_t)(lf - in->at) + 1;
        }
        if (!collect(p, in->at, n)) {
            return CDT_HTTP_ERROR;
        }
        in->at += n;
        if (lf != NULL) {
            event = cdt_http_head_line(p);
        }
    }
    if (event == CDT_HTTP_HEAD) {
        p->state = (uint8_t)body_state(&p->head);
        p->left = p->state == ST_SIZED ? p->head.length : 0;
    }
    return event;
}

/*
 * The first byte is judged at once: a peer that speaks something else, TLS for
 * one, may never send an end of line.
 */
static enum cdt_http_event step_start(struct cdt_http_parser *p,
                                      struct input *in)
{
    if (in->at == in->end) {
        return CDT_HTTP_MORE;
    }
    if (p->role == CDT_HTTP_RESPONSE) {
        if (*in->at != 'H') {
            return fail(p, 400, "not an HTTP response");
        }
    } else if (*in->at == '\r') {
        if (p->blanks == MAX_BLANKS) {
            return fail(p, 400, "too many empty lines");
        }
        p->blanks++;
        in->at++;
        p->state = ST_BLANK_LF;
        return CDT_HTTP_MORE;
    } else if (cdt_http_token_span(in->at, 1) == 0) {
        return fail(p, 400, "not an HTTP request");
    }
    p->state = ST_HEAD;
    return step_head(p, in);
}

static enum cdt_http_event step_blank_lf(struct cdt_http_parser *p,
                                         struct input *in)
{
    return expect(p, in, '\n', ST_START);
}

/* Shows body bytes, at most `max`. */
static enum cdt_http_event show(struct cdt_http_parser *p, struct input *in,
                                uint64_t max)
{
    size_t n = (size_t)(in->end - in->at);

    if (n > max) {
        n = (size_t)max;
    }
    if (n == 0) {
        return CDT_HTTP_MORE;
    }
    in->body = in->at;
    in->body_len = n;
    in->at += n;
    p->body_seen += n;
    return CDT_HTTP_BODY;
}

static enum cdt_http_event show_left(struct cdt_http_parser *p,
                                     struct input *in, enum state next)
{
    enum cdt_http_event event = show(p, in, p->left);

    p->left -= in->body_len;
    if (p->left == 0) {
        p->state = (uint8_t)next;
    }
    return event;
}

static enum cdt_http_event step_sized(struct cdt_http_parser *p,
                                      struct input *in)
{
    return show_left(p, in, ST_OVER);
}

static enum cdt_http_event step_until_close(struct cdt_http_parser *p,
                                            struct input *in)
{
    uint64_t max = p->limits->body - p->body_seen;

    if (max == 0 && in->at < in->end) {
        return fail(p, 413, "body too large");
    }
    return show(p, in, max);
}

/* The value of a hex digit, or 16. */
static unsigned hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - (unsigned)'0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - (unsigned)'A' + 10;
    }
    if (c >= 'a' && c <= 'f') {
        return c - (unsigned)'a' + 10;
    }
    return 16;
}

/* What follows the digits of a chunk size. */
static enum cdt_http_event after_digits(struct cdt_http_parser *p,
                                        struct input *in)
{
    if (*in->at == '\r') {
        in->at++;
        p->state = ST_CHUNK_LF;
    } else if (*in->at == ';') {
        p->state = ST_CHUNK_EXT;
    } else if (*in->at == ' ' || *in->at == '\t') {
        p->state = ST_CHUNK_SPACE;
    } else {
        return fail(p, 400, "malformed chunk size");
    }
    if (p->left > p->limits->body - p->body_seen) {
        return fail(p, 413, "body too large");
    }
    return CDT_HTTP_MORE;
}

static enum cdt_http_event step_chunk_size(struct cdt_http_parser *p,
                                           struct input *in)
{
    while (in->at < in->end) {
        unsigned value = hex_value(*in->at);

        if (value == 16) {
            if (p->digits == 0) {
                return fail(p, 400, "malformed chunk size");
            }
            return after_digits(p, in);
        }
        if (p->digits == MAX_CHUNK_DIGITS) {
            return fail(p, 400, "chunk size too large");
        }
        p->digits++;
        p->left = p->left << 4 | value;
        in->at++;
    }
    return CDT_HTTP_MORE;
}

/* Takes n bytes of a chunk extension or of the space before it. */
static bool take_ext(struct cdt_http_parser *p, struct input *in, size_t n)
{
    if (n > p->limits->chunk_ext - p->ext_used) {
        return cdt_http_refuse(p, 413, "chunk extensions too long");
    }
    p->ext_used += (uint32_t)n;
    in->at += n;
    return true;
}

static enum cdt_http_event step_chunk_space(struct cdt_http_parser *p,
                                            struct input *in)
{
    while (in->at < in->end) {
        if (*in->at == ';') {
            p->state = ST_CHUNK_EXT;
            return CDT_HTTP_MORE;
        }
        if (*in->at != ' ' && *in->at != '\t') {
            return fail(p, 400, "malformed chunk size");
        }
        if (!take_ext(p, in, 1)) {
            return CDT_HTTP_ERROR;
        }
    }
    return CDT_HTTP_MORE;
}

static enum cdt_http_event step_chunk_ext(struct cdt_http_parser *p,
                                          struct input *in)
{
    size_t n = cdt_http_value_span(in->at, (size_t)(in->end - in->at));

    if (!take_ext(p, in, n)) {
        return CDT_HTTP_ERROR;
    }
    return expect(p, in, '\r', ST_CHUNK_LF);
}

static enum cdt_http_event step_chunk_lf(struct cdt_http_parser *p,
                                         struct input *in)
{
    return expect(p, in, '\n', p->left > 0 ? ST_CHUNK_DATA : ST_TRAILER_START);
}

static enum cdt_http_event step_chunk_data(struct cdt_http_parser *p,
                                           struct input *in)
{
    return show_left(p, in, ST_DATA_CR);
}

static enum cdt_http_event step_data_cr(struct cdt_http_parser *p,
                                        struct input *in)
{
    p->digits = 0;
    return expect(p, in, '\r', ST_DATA_LF);
}

static enum cdt_http_event step_data_lf(struct cdt_http_parser *p,
                                        struct input *in)
{
    return expect(p, in, '\n', ST_CHUNK_SIZE);
}

/* Takes n bytes of the trailer section, which is checked and dropped. */
static bool take_trailer(struct cdt_http_parser *p, struct input *in, size_t n)
{
    if (n > p->limits->trailer - p->trailer_used) {
        return cdt_http_refuse(p, 431, "trailer section too large");
    }
    p->trailer_used += (uint32_t)n;
    in->at += n;
    return true;
}

static enum cdt_http_event step_trailer_start(struct cdt_http_parser *p,
                                              struct input *in)
{
    if (in->at == in->end) {
        return CDT_HTTP_MORE;
    }
    if (*in->at == '\r') {
        in->at++;
        p->state = ST_LAST_LF;
        return CDT_HTTP_MORE;
    }
    if (cdt_http_token_span(in->at, 1) == 0) {
        return fail(p, 400, "malformed trailer field");
    }
    p->state = ST_TRAILER_NAME;
    return CDT_HTTP_MORE;
}

static enum cdt_http_event step_trailer_name(struct cdt_http_parser *p,
                                             struct input *in)
{
    size_t n = cdt_http_token_span(in->at, (size_t)(in->end - in->at));

    if (!take_trailer(p, in, n)) {
        return CDT_HTTP_ERROR;
    }
    if (in->at == in->end) {
        return CDT_HTTP_MORE;
    }
    if (*in->at != ':') {
        return fail(p, 400, "malformed trailer field");
    }
    p->state = ST_TRAILER_VALUE;
    return CDT_HTTP_MORE;
}

static enum cdt_http_event step_trailer_value(struct cdt_http_parser *p,
                                              struct input *in)
{
    size_t n = cdt_http_value_span(in->at, (size_t)(in->end - in->at));

    if (!take_trailer(p, in, n)) {
        return CDT_HTTP_ERROR;
    }
    return expect(p, in, '\r', ST_TRAILER_LF);
}

static enum cdt_http_event step_trailer_lf(struct cdt_http_parser *p,
                                           struct input *in)
{
    return expect(p, in, '\n', ST_TRAILER_START);
}

static enum cdt_http_event step_last_lf(struct cdt_http_parser *p,
                                        struct input *in)
{
    enum cdt_http_event event = expect(p, in, '\n', ST_OVER);

    return p->state == ST_OVER ? step_done(p, in) : event;
}

static enum cdt_http_event (*const steps[])(struct cdt_http_parser *p,
                                            struct input *in) = {
    [ST_DONE] = step_done,
    [ST_ERROR] = step_error,
    [ST_START] = step_start,
    [ST_BLANK_LF] = step_blank_lf,
    [ST_HEAD] = step_head,
    [ST_SIZED] = step_sized,
    [ST_UNTIL_CLOSE] = step_until_close,
    [ST_CHUNK_SIZE] = step_chunk_size,
    [ST_CHUNK_SPACE] = step_chunk_space,
    [ST_CHUNK_EXT] = step_chunk_ext,
    [ST_CHUNK_LF] = step_chunk_lf,
    [ST_CHUNK_DATA] = step_chunk_data,
    [ST_DATA_CR] = step_data_cr,
    [ST_DATA_LF] = step_data_lf,
    [ST_TRAILER_START] = step_trailer_start,
    [ST_TRAILER_NAME] = step_trailer_name,
    [ST_TRAILER_VALUE] = step_trailer_value,
    [ST_TRAILER_LF] = step_trailer_lf,
    [ST_LAST_LF] = step_last_lf,
    [ST_OVER] = step_done,
};

enum cdt_http_event cdt_http_parse(struct cdt_http_parser *p, const void *data,
                                   size_t n, size_t *used, const uint8_t **body,
                                   size_t *body_len)
{
    static const uint8_t nothing[1];
    const uint8_t *start = n > 0 ? data : nothing;
    struct input in = {.at = start, .end = start + n};
    enum cdt_http_event event;

    do {
        event = steps[p->state](p, &in);
    } while (event == CDT_HTTP_MORE && in.at < in.end);
    *used = (size_t)(in.at - start);
    *body = in.body;
    *body_len = in.body_len;
    return event;
}

enum cdt_http_event cdt_http_parser_end(struct cdt_http_parser *p)
{
    switch (p->state) {
    case ST_START:
    case ST_DONE:
        return CDT_HTTP_MORE;
    case ST_UNTIL_CLOSE:
    case ST_OVER:
        p->state = ST_DONE;
        return CDT_HTTP_DONE;
    case ST_ERROR:
        return CDT_HTTP_ERROR;
    default:
        return fail(p, 400, "message cut short");
    }
}
