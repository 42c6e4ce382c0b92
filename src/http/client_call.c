/* SPDX-License-Identifier: ISC */
/*
 * One call: made of what the application asks for, which is checked here, and
 * asked about its answer. The request's head is written at once, as one text
 * that can be sent again; its lines are kept apart from it for who wants to
 * show them.
 */
#include "http/client.h"
#include "http/head.h"

#include <string.h>

/* The most that a request's head may have. */
#define HEAD_MAX 65536

/* What the fields that the client adds need at most. */
#define OWN_FIELDS 64

/* ---- making ---- */

static const char *or_get(const char *method)
{
    return method != NULL ? method : "GET";
}

/* RFC 9110 section 9.2.2. */
static bool is_idempotent(const char *method)
{
    static const char *const methods[] = {"GET",    "HEAD",    "PUT",
                                          "DELETE", "OPTIONS", "TRACE"};

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(method, methods[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether a request without a body says so, RFC 9110 section 8.6. */
static bool expects_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

static void set_framing(struct conduit_http_call *call)
{
    const struct conduit_http_call_options *o = &call->o;

    call->framing = CDT_HTTP_LENGTH;
    call->length = o->body_size;
    if (o->source != NULL) {
        call->length = o->source_length;
        if (o->source_length == CONDUIT_HTTP_UNKNOWN) {
            call->framing = CDT_HTTP_CHUNKED;
            call->length = 0;
        }
    } else if (o->body == NULL && !expects_body(call->method)) {
        call->framing = CDT_HTTP_NO_BODY;
    }
}

static int check(const struct conduit_http_call_options *o, const char *target,
                 struct conduit_error *err)
{
    const char *method = or_get(o->method);
    const char *problem = NULL;

    if (strcmp(method, "CONNECT") == 0) {
        problem = "CONNECT is no request to an origin";
    } else if (*target != '/' &&
               (strcmp(target, "*") != 0 || strcmp(method, "OPTIONS") != 0)) {
        problem = "the target must begin with '/'";
    } else if (o->body != NULL && o->source != NULL) {
        problem = "either a body or a source";
    } else if (o->body == NULL && o->body_size > 0) {
        problem = "a body's size without a body";
    } else if (o->field_count > 0 && o->fields == NULL) {
        problem = "fields are missing";
    }
    for (size_t i = 0; problem == NULL && i < o->field_count; i++) {
        if (cdt_http_is_framing(o->fields[i].name)) {
            return conduit_error_set(err, CONDUIT_EINVAL, "http", 0,
                                     "the field %.64s is the client's to write",
                                     o->fields[i].name);
        }
    }
    if (problem == NULL) {
        return 0;
    }
    return conduit_error_set(err, CONDUIT_EINVAL, "http", 0, "%s", problem);
}

/* Adds the length of a text and a few bytes around it. */
static bool add_size(size_t *sum, const char *text)
{
    size_t n = strlen(text);

    if (n >= HEAD_MAX - 4 || *sum > HEAD_MAX - 4 - n) {
        return false;
    }
    *sum += n + 4;
    return true;
}

/* An upper bound of the head's size; false: it is too much. */
static bool head_bound(const struct conduit_http_call *call, const char *target,
                       size_t *size)
{
    const struct conduit_http_call_options *o = &call->o;

    *size = sizeof "HTTP/1.1" + OWN_FIELDS;
    if (!add_size(size, call->method) || !add_size(size, target) ||
        !add_size(size, call->client->host)) {
        return false;
    }
    for (size_t i = 0; i < o->field_count; i++) {
        if (!add_size(size, o->fields[i].name) ||
            !add_size(size, o->fields[i].value)) {
            return false;
        }
    }
    return true;
}

static bool has_host(const struct conduit_http_call_options *o)
{
    for (size_t i = 0; i < o->field_count; i++) {
        if (cdt_http_same_name(o->fields[i].name, "Host")) {
            return true;
        }
    }
    return false;
}

static int write_head(struct conduit_http_call *call, const char *target,
                      size_t size, struct conduit_error *err)
{
    const struct conduit_http_call_options *o = &call->o;
    struct cdt_headbuf head;
    int rc;

    cdt_headbuf_init(&head, call->head, size);
    (void)cdt_headbuf_request(&head, call->method, target);
    if (!has_host(o)) {
        (void)cdt_headbuf_field(&head, "Host", call->client->host);
    }
    for (size_t i = 0; i < o->field_count; i++) {
        (void)cdt_headbuf_field(&head, o->fields[i].name, o->fields[i].value);
    }
    (void)cdt_headbuf_framing(&head, (int)call->framing, call->length);
    rc = cdt_headbuf_end(&head);
    call->head_size = head.used;
    if (rc != 0) {
        return conduit_error_set(err, rc, "http", 0,
                                 "malformed method, target or field");
    }
    return 0;
}

/* Behind the head, a copy in which each line is a text of its own. */
static void split_lines(struct conduit_http_call *call)
{
    char *lines = call->head + call->head_size;

    memcpy(lines, call->head, call->head_size);
    for (size_t i = 0; i < call->head_size; i++) {
        if (lines[i] == '\r') {
            lines[i] = '\0';
        }
    }
}

static int build(struct conduit_http_call *call, const char *target,
                 struct conduit_error *err)
{
    struct conduit_ctx *ctx = call->client->ctx;
    size_t size;
    int rc;

    call->method = conduit_strdup(ctx, or_get(call->o.method));
    if (call->method == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    call->o.method = NULL;
    call->idempotent = is_idempotent(call->method);
    set_framing(call);
    if (!head_bound(call, target, &size)) {
        return conduit_error_set(err, CONDUIT_ELIMIT, "http", 0,
                                 "the request's head is too large");
    }
    call->head = conduit_resize(ctx, NULL, 2 * size);
    if (call->head == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    rc = write_head(call, target, size, err);
    if (rc == 0) {
        split_lines(call);
    }
    return rc;
}

int cdt_call_new(struct conduit_http_client *client,
                 const struct conduit_http_call_options *o,
                 struct conduit_http_call **out, struct conduit_error *err)
{
    const char *target = o->target != NULL ? o->target : client->target;
    struct conduit_http_call *call;
    int rc = check(o, target, err);

    if (rc != 0) {
        return rc;
    }
    call = conduit_alloc(client->ctx, sizeof *call);
    if (call == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    call->client = client;
    call->o = *o;
    call->total.fire = cdt_call_expired;
    rc = build(call, target, err);
    call->o.fields = NULL;
    call->o.field_count = 0;
    call->o.target = NULL;
    if (rc != 0) {
        cdt_call_free(call);
        return rc;
    }
    *out = call;
    return 0;
}

void cdt_call_free(struct conduit_http_call *call)
{
    struct conduit_ctx *ctx = call->client->ctx;

    conduit_release(ctx, call->method);
    conduit_release(ctx, call->head);
    conduit_release(ctx, call);
}

/* ---- asking ---- */

/* Only the call whose head was the last to be parsed can be asked for it. */
static const struct cdt_http_parser *
parser_of(const struct conduit_http_call *call)
{
    return call->status != 0 ? &call->client->parser : NULL;
}

int conduit_http_call_status(const struct conduit_http_call *call)
{
    return call->status;
}

const char *conduit_http_call_reason(const struct conduit_http_call *call)
{
    const struct cdt_http_parser *p = parser_of(call);

    return p != NULL ? cdt_http_text(p, p->head.reason) : "";
}

int conduit_http_call_minor(const struct conduit_http_call *call)
{
    const struct cdt_http_parser *p = parser_of(call);

    return p != NULL ? p->head.minor : 0;
}

const char *conduit_http_call_header(const struct conduit_http_call *call,
                                     const char *name)
{
    const struct cdt_http_parser *p = parser_of(call);
    size_t len;

    return p != NULL ? cdt_http_find(p, name, NULL, &len) : NULL;
}

bool conduit_http_call_field(const struct conduit_http_call *call, size_t i,
                             struct conduit_http_field *out)
{
    const struct cdt_http_parser *p = parser_of(call);
    struct cdt_http_field field;

    if (p == NULL || i >= p->head.field_count) {
        return false;
    }
    field = cdt_http_field(p, (uint32_t)i);
    out->name = cdt_http_text(p, field.name);
    out->value = cdt_http_text(p, field.value);
    return true;
}

const char *conduit_http_call_sent(const struct conduit_http_call *call,
                                   size_t i)
{
    const char *line = call->head + call->head_size;

    while (i > 0 && *line != '\0') {
        line += strlen(line) + 2;
        i--;
    }
    return *line != '\0' ? line : NULL;
}

struct conduit_conn *
conduit_http_call_conn(const struct conduit_http_call *call)
{
    return call->conn;
}

bool conduit_http_call_attempt(const struct conduit_http_call *call, size_t i,
                               struct conduit_attempt *out)
{
    const struct conduit_http_client *client = call->client;

    if (call->conn != NULL) {
        return conduit_conn_attempt(call->conn, i, out);
    }
    if (client->report != NULL) {
        return conduit_dial_attempt(client->report, i, out);
    }
    return client->dial != NULL && conduit_dial_attempt(client->dial, i, out);
}
