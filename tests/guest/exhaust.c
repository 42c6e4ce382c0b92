/* SPDX-License-Identifier: ISC */
/*
 * guest-exhaust: takes all the memory there is, writes to every byte of it, and
 * says what malloc() and conduit answer then; that what is freed is there
 * again; and that a connection that failed for want of memory works afterwards.
 */
#include <conduit/conn.h>
#include <conduit/context.h>
#include <conduit/endpoint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
};

struct outcome {
    unsigned dialed;
    int code;
    char text[CONDUIT_ERROR_TEXT];
    struct conduit_conn *ends[2];
};

/* From large blocks to the smallest, until even those are gone. */
static size_t take_all(struct block **all)
{
    size_t total = 0;

    for (size_t size = 1u << 20; size >= sizeof(struct block); size /= 2) {
        struct block *b;

        while ((b = malloc(size)) != NULL) {
            memset(b, 0xa5, size);
            b->next = *all;
            *all = b;
            total += size;
        }
    }
    return total;
}

static void free_all(struct block **all)
{
    while (*all != NULL) {
        struct block *b = *all;

        *all = b->next;
        free(b);
    }
}

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    struct outcome *o = arg;

    (void)listener;
    o->ends[1] = conn;
}

static void on_dialed(void *arg, struct conduit_dial *dial,
                      struct conduit_conn *conn,
                      const struct conduit_error *err)
{
    struct outcome *o = arg;

    (void)dial;
    o->dialed++;
    o->ends[0] = conn;
    if (err != NULL) {
        o->code = err->code;
        (void)snprintf(o->text, sizeof o->text, "%s", err->text);
    }
}

/* Dials, and lets the loop run until that is over. */
static void dial(struct conduit_ctx *ctx, struct outcome *o)
{
    struct conduit_error err = {0};

    memset(o, 0, sizeof *o);
    o->code = conduit_dial(ctx, "mem://exhaust", NULL, on_dialed, o, NULL,
                           &err);
    if (o->code != 0) {
        (void)snprintf(o->text, sizeof o->text, "%s", err.text);
        return;
    }
    while (o->dialed == 0) {
        conduit_loop_turn(conduit_ctx_loop(ctx), 10);
    }
}

static bool fails_without_memory(struct conduit_ctx *ctx, struct outcome *o)
{
    dial(ctx, o);
    (void)printf("without memory: CONDUIT_%s, %s\n", conduit_code_name(o->code),
                 o->text);
    return o->code == CONDUIT_ENOMEM;
}

static bool works_with_memory(struct conduit_ctx *ctx, struct outcome *o)
{
    dial(ctx, o);
    (void)printf("with memory: %s\n",
                 o->code == 0 ? "connected" : conduit_code_name(o->code));
    conduit_conn_close(o->ends[0]);
    conduit_conn_close(o->ends[1]);
    return o->code == 0;
}

int conduit_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    static struct outcome outcome; /* static: no memory is to be had for it */
    struct block *all = NULL;
    struct conduit_listener *listener;
    struct conduit_error err;
    size_t first;
    size_t second;
    bool ok;

    (void)argc;
    (void)argv;
    if (conduit_listen(ctx, "mem://exhaust", NULL, on_accept, &outcome,
                       &listener, &err) != 0) {
        (void)printf("%s\n", err.text);
        return 1;
    }
    first = take_all(&all);
    (void)printf("exhausted: %zu bytes, then NULL\n", first);
    free_all(&all);
    second = take_all(&all);
    (void)printf("exhausted again: %zu bytes, then NULL\n", second);
    ok = second >= first / 100 * 95; /* nearly all of it came back */
    ok = fails_without_memory(ctx, &outcome) && ok;
    free_all(&all);
    ok = works_with_memory(ctx, &outcome) && ok;
    conduit_listener_close(listener);
    (void)printf("%s\n", ok ? "passed" : "FAILED");
    return ok ? 0 : 1;
}
