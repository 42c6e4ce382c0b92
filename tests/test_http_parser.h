/* SPDX-License-Identifier: ISC */
/*
 * Runs the HTTP parser as its caller would and writes down all that it says, so
 * that two runs can be compared: the same bytes must read the same however they
 * are split. Each piece is given in memory of exactly its size, and so is the
 * memory for the head, for a sanitizer to see any byte too far. Shared by the
 * parser's tests and its fuzz target; hence assert() rather than cmocka.
 */
#ifndef TEST_HTTP_PARSER_H
#define TEST_HTTP_PARSER_H

#include "http/parser.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HTTP_TRACE_MAX = 1 << 16 };

static const struct cdt_http_limits http_wide = {
    .request_line = 8000,
    .fields = 100,
    .trailer = 4096,
    .chunk_ext = 1024,
    .body = UINT64_MAX,
};

/* How to parse; the same for all runs that are compared. */
struct http_setup {
    enum cdt_http_role role;
    const char *method; /* for responses */
    const struct cdt_http_limits *limits;
    size_t mem; /* bytes lent for a head */
};

static const struct http_setup http_requests = {CDT_HTTP_REQUEST, NULL,
                                                &http_wide, 16384};
static const struct http_setup http_responses = {CDT_HTTP_RESPONSE, "GET",
                                                 &http_wide, 16384};

struct http_run {
    const struct http_setup *setup;
    struct cdt_http_parser p;
    void *mem;
    size_t offset;   /* bytes taken in all */
    unsigned heads;  /* messages begun */
    unsigned done;   /* messages complete */
    int status;      /* 0, or that of the error */
    bool last;       /* no message can follow the one being read */
    bool in_body;    /* the trace is in the middle of a body */
    size_t body_len; /* of the last message, */
    char body[1024]; /* its first bytes */
    size_t trace_len;
    char trace[HTTP_TRACE_MAX];
};

static inline void http_write(struct http_run *r, const void *bytes, size_t n)
{
    if (n > HTTP_TRACE_MAX - r->trace_len) {
        n = HTTP_TRACE_MAX - r->trace_len;
    }
    memcpy(r->trace + r->trace_len, bytes, n);
    r->trace_len += n;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static inline void
http_note(struct http_run *r, const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (r->in_body) {
        r->in_body = false;
        http_write(r, "\n", 1);
    }
    http_write(r, line, strlen(line));
}

static inline void http_note_slice(struct http_run *r, const char *what,
                                   struct cdt_http_slice s)
{
    assert(s.at <= r->p.used && s.len <= r->p.used - s.at);
    http_note(r, " %s=", what);
    http_write(r, cdt_http_text(&r->p, s), s.len);
}

static inline void http_note_head(struct http_run *r)
{
    const struct cdt_http_head *h = &r->p.head;

    http_note(r, "HEAD@%zu", r->offset);
    http_note_slice(r, "method", h->method);
    http_note_slice(r, "target", h->target);
    http_note_slice(r, "path", h->path);
    http_note_slice(r, "query", h->query);
    http_note_slice(r, "host", h->host);
    http_note_slice(r, "reason", h->reason);
    http_note(r, " %d 1.%d keep=%d expect=%d upgrade=%d framing=%d %ju\n",
              h->status, h->minor, h->keep_alive, h->expect_continue,
              h->upgrade, (int)h->framing, (uintmax_t)h->length);
    for (uint32_t i = 0; i < h->field_count; i++) {
        http_note_slice(r, "name", cdt_http_field(&r->p, i).name);
        http_note_slice(r, "value", cdt_http_field(&r->p, i).value);
        http_note(r, "\n");
    }
}

/* Whether a slice of the head is that text. */
static inline bool http_is(const struct http_run *r, struct cdt_http_slice s,
                           const char *text)
{
    return s.len == strlen(text) &&
           memcmp(cdt_http_text(&r->p, s), text, s.len) == 0;
}

/* How many fields have that name; *value is that of the last. */
static inline unsigned http_count(const struct http_run *r, const char *name,
                                  const char **value)
{
    unsigned count = 0;
    uint32_t from = 0;
    size_t len;

    for (;;) {
        const char *found = cdt_http_find(&r->p, name, &from, &len);

        if (found == NULL) {
            return count;
        }
        *value = found;
        count++;
    }
}

/* That no control character is in the head and no line end in what was cut out.
 */
static inline void http_check_text(const struct http_run *r)
{
    for (size_t i = 0; i < r->p.used; i++) {
        uint8_t c = ((const uint8_t *)r->mem)[i];

        assert((c >= 0x20 && c != 0x7f) || c == '\t' || c == '\r' || c == '\n');
        assert(c != '\n' || (i > 0 && ((const char *)r->mem)[i - 1] == '\r'));
    }
    for (uint32_t i = 0; i < r->p.head.field_count; i++) {
        struct cdt_http_field field = cdt_http_field(&r->p, i);
        const char *name = cdt_http_text(&r->p, field.name);
        const char *value = cdt_http_text(&r->p, field.value);

        assert(field.name.len > 0 && name[field.name.len] == ':');
        assert(i == 0 || name[-1] == '\n');
        assert(memchr(name, ' ', field.name.len) == NULL);
        assert(memchr(value, '\r', field.value.len) == NULL);
        assert(memchr(value, '\n', field.value.len) == NULL);
    }
}

/* That the fields bear out what the parser made of them. */
static inline void http_check_head(const struct http_run *r)
{
    const struct cdt_http_head *h = &r->p.head;
    const char *value = NULL;
    unsigned codings = http_count(r, "Transfer-Encoding", &value);
    unsigned lengths = http_count(r, "Content-Length", &value);

    assert(codings + lengths <= 1);
    assert(h->framing != CDT_HTTP_CHUNKED || (codings == 1 && h->minor == 1));
    assert(h->framing != CDT_HTTP_LENGTH || lengths == 1);
    assert(lengths == 0 || h->length == strtoull(value, NULL, 10));
    assert(h->framing != CDT_HTTP_LENGTH || h->length <= r->p.limits->body);
    assert(h->field_count <= r->p.limits->fields);
    assert(r->p.used + h->field_count * sizeof(struct cdt_http_field) <=
           r->setup->mem);
    http_check_text(r);
    if (r->setup->role == CDT_HTTP_RESPONSE) {
        assert(h->status >= 100 && h->status <= 599);
        return;
    }
    assert(h->framing == CDT_HTTP_NO_BODY ? codings + lengths == 0
                                          : codings + lengths == 1);
    assert(h->minor == 0 || http_count(r, "Host", &value) == 1);
    assert(h->minor == 0 || h->host.len > 0);
    assert(h->method.len > 0 && h->target.len > 0);
    assert(h->path.len > 0 || http_is(r, h->method, "CONNECT"));
    assert(h->path.len == 0 || *cdt_http_text(&r->p, h->path) == '/' ||
           http_is(r, h->path, "*"));
}

static inline void http_run_begin(struct http_run *r)
{
    cdt_http_parser_begin(&r->p, r->mem, r->setup->mem, r->setup->method);
    assert(cdt_http_parser_idle(&r->p) || r->status != 0);
}

static inline struct http_run *http_run_new(const struct http_setup *setup)
{
    struct http_run *r = calloc(1, sizeof *r);

    assert(r != NULL);
    r->setup = setup;
    r->mem = malloc(setup->mem);
    assert(r->mem != NULL);
    memset(r->mem, 0xa5, setup->mem);
    cdt_http_parser_init(&r->p, setup->role, setup->limits);
    http_run_begin(r);
    return r;
}

static inline void http_run_free(struct http_run *r)
{
    free(r->mem);
    free(r);
}

static inline void http_run_body(struct http_run *r, const uint8_t *body,
                                 size_t n)
{
    if (!r->in_body) {
        http_note(r, "BODY ");
        r->in_body = true;
    }
    http_write(r, body, n);
    for (size_t i = 0; i < n && r->body_len + i < sizeof r->body; i++) {
        r->body[r->body_len + i] = (char)body[i];
    }
    r->body_len += n;
    assert(r->p.body_seen == r->body_len);
    assert(r->body_len <= r->setup->limits->body);
}

static inline void http_run_event(struct http_run *r, enum cdt_http_event event)
{
    bool interim = r->p.head.status >= 100 && r->p.head.status <= 199;

    switch (event) {
    case CDT_HTTP_HEAD:
        r->heads++;
        r->body_len = 0;
        r->last = !r->p.head.keep_alive && (!interim || r->p.head.upgrade);
        http_check_head(r);
        http_note_head(r);
        break;
    case CDT_HTTP_DONE:
        r->done++;
        http_note(r, "DONE@%zu %ju\n", r->offset, (uintmax_t)r->p.body_seen);
        if (!r->last) {
            http_run_begin(r);
        }
        break;
    case CDT_HTTP_ERROR:
        r->status = r->p.status;
        r->last = true;
        http_note(r, "ERROR %d %s\n", r->status, r->p.reason);
        break;
    default:
        break;
    }
}

/* One call to the parser; returns the number of bytes taken. */
static inline size_t http_run_call(struct http_run *r, const uint8_t *data,
                                   size_t n, enum cdt_http_event *event)
{
    const uint8_t *body = NULL;
    size_t body_len = 0;
    size_t used = SIZE_MAX;

    *event = cdt_http_parse(&r->p, data, n, &used, &body, &body_len);
    assert(used <= n);
    r->offset += used;
    assert(*event != CDT_HTTP_MORE || used == n);
    assert((*event == CDT_HTTP_BODY) == (body_len > 0));
    if (*event == CDT_HTTP_BODY) {
        assert(body >= data && body_len <= used);
        assert(body + body_len == data + used);
        http_run_body(r, body, body_len);
    }
    http_run_event(r, *event);
    return used;
}

/* Gives n bytes, and goes on until all are taken or none can be. */
static inline void http_run_feed(struct http_run *r, const void *data, size_t n)
{
    uint8_t *piece = malloc(n > 0 ? n : 1);
    enum cdt_http_event event = CDT_HTTP_HEAD;
    size_t at = 0;
    size_t calls = 0;

    assert(piece != NULL);
    if (n > 0) {
        memcpy(piece, data, n);
    }
    while (event != CDT_HTTP_MORE && event != CDT_HTTP_ERROR &&
           !(event == CDT_HTTP_DONE && r->last)) {
        at += http_run_call(r, piece + at, n - at, &event);
        assert(++calls <= 2 * n + 4); /* each makes progress */
    }
    free(piece);
}

/* The peer ended. */
static inline void http_run_end(struct http_run *r)
{
    enum cdt_http_event event = cdt_http_parser_end(&r->p);

    http_note(r, "END\n");
    http_run_event(r, event);
}

/* The pieces are cut at the n positions of `cuts`, which ascend. */
static inline struct http_run *http_run_cut(const struct http_setup *setup,
                                            const void *data, size_t len,
                                            const size_t *cuts, size_t n)
{
    struct http_run *r = http_run_new(setup);
    size_t at = 0;

    for (size_t i = 0; i <= n; i++) {
        size_t end = i < n ? cuts[i] : len;

        if (r->status == 0 && !(r->last && r->done == r->heads)) {
            http_run_feed(r, (const char *)data + at, end - at);
        }
        at = end;
    }
    if (r->status == 0) {
        http_run_end(r);
    }
    return r;
}

static inline void http_assert_same(const struct http_run *a,
                                    const struct http_run *b)
{
    if (a->trace_len != b->trace_len ||
        memcmp(a->trace, b->trace, a->trace_len) != 0) {
        (void)fprintf(stderr,
                      "split reads otherwise:\n%.*s\n--- and ---\n%.*s\n",
                      (int)a->trace_len, a->trace, (int)b->trace_len, b->trace);
        abort();
    }
}

/*
 * Reads the bytes whole, byte by byte, and split in two in every way, and sees
 * to it that all say the same. Returns the run that had them whole.
 */
static inline struct http_run *http_run_all(const struct http_setup *setup,
                                            const void *data, size_t len)
{
    struct http_run *whole = http_run_cut(setup, data, len, NULL, 0);
    size_t *cuts = calloc(len + 1, sizeof *cuts);
    struct http_run *other;

    assert(cuts != NULL);
    for (size_t i = 0; i <= len; i++) {
        other = http_run_cut(setup, data, len, &i, 1);
        http_assert_same(whole, other);
        http_run_free(other);
        cuts[i] = i;
    }
    other = http_run_cut(setup, data, len, cuts, len + 1);
    http_assert_same(whole, other);
    http_run_free(other);
    free(cuts);
    return whole;
}

#endif
