/* SPDX-License-Identifier: ISC */
/*
 * The short form of a call: a body in memory, an answer in memory, one function
 * at the end. Made of the public calls, so it is also what an application would
 * write that needs something in between.
 */
#include "http/client.h"

#include <string.h>

/* Room for an answer's body whose length is not known, to begin with. */
#define FIRST_ROOM 4096

struct fetch {
    struct conduit_ctx *ctx;
    conduit_http_answer_fn *fn;
    void *arg;
    uint8_t *body; /* the answer's */
    size_t size;
    size_t room;
    uint8_t sent[]; /* the request's body */
};

/* Makes room for n bytes more. */
static bool grow(struct fetch *f, size_t n)
{
    size_t need = f->size + n;
    size_t room = f->room > 0 ? f->room : FIRST_ROOM;
    uint8_t *body;

    if (n > SIZE_MAX - f->size) {
        return false;
    }
    while (room < need) {
        room = room <= SIZE_MAX / 2 ? room * 2 : need;
    }
    body = conduit_resize(f->ctx, f->body, room);
    if (body == NULL) {
        return false;
    }
    f->body = body;
    f->room = room;
    return true;
}

static void finish(struct fetch *f, const struct conduit_http_answer *answer,
                   const struct conduit_error *err)
{
    if (f->fn != NULL) {
        f->fn(f->arg, answer, err);
    }
    conduit_release(f->ctx, f->body);
    conduit_release(f->ctx, f);
}

static size_t on_data(void *arg, struct conduit_http_call *call,
                      const void *data, size_t n)
{
    struct fetch *f = arg;
    struct conduit_error err;

    if (n > f->room - f->size && !grow(f, n)) {
        (void)conduit_error_set(&err, CONDUIT_ENOMEM, "http", 0,
                                "out of memory for the answer's body");
        conduit_http_call_cancel(call);
        finish(f, NULL, &err);
        return n;
    }
    memcpy(f->body + f->size, data, n);
    f->size += n;
    return n;
}

static void on_done(void *arg, struct conduit_http_call *call,
                    const struct conduit_error *err)
{
    struct fetch *f = arg;
    struct conduit_http_answer answer = {
        .status = conduit_http_call_status(call),
        .body = f->body != NULL ? (const void *)f->body : "",
        .size = f->size,
        .call = call,
    };

    finish(f, err == NULL ? &answer : NULL, err);
}

/* NOLINTNEXTLINE(readability-function-size): as the header has it */
int conduit_http_fetch(struct conduit_http_client *client, const char *method,
                       const char *target, const char *type, const void *body,
                       size_t size, conduit_http_answer_fn *fn, void *arg,
                       struct conduit_error *err)
{
    struct conduit_ctx *ctx = client->ctx;
    struct conduit_http_field field = {"Content-Type", type};
    struct conduit_http_call_options o = {
        .method = method,
        .target = target,
        .fields = &field,
        .field_count = type != NULL,
        .data = on_data,
        .done = on_done,
    };
    struct fetch *f = NULL;
    int rc;

    if (size <= SIZE_MAX - sizeof *f) {
        f = conduit_alloc(ctx, sizeof *f + size);
    }
    if (f == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    f->ctx = ctx;
    f->fn = fn;
    f->arg = arg;
    if (body != NULL) {
        memcpy(f->sent, body, size);
        o.body = f->sent;
        o.body_size = size;
    }
    o.arg = f;
    rc = conduit_http_call(client, &o, NULL, err);
    if (rc != 0) {
        conduit_release(ctx, f);
    }
    return rc;
}
