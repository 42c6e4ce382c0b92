/* SPDX-License-Identifier: ISC */
/*
 * Watches of xenstore's client. Each has a token of its own, so that an event
 * that was on its way when its watch ended finds nobody, and one path can be
 * watched by many. The request that ends a watch is made along with it, so that
 * ending it cannot fail.
 */
#include "xenstore_client.h"

#include <conduit/error.h>

#include <stdio.h>
#include <string.h>

/* A token: a decimal number and its NUL. */
#define TOKEN_TEXT 11

static struct cdt_xs_watch **find_watch(struct cdt_xs *xs, uint32_t token)
{
    struct cdt_xs_watch **slot = &xs->watches;

    while (*slot != NULL && (*slot)->token != token) {
        slot = &(*slot)->next;
    }
    return slot;
}

struct cdt_xs_request *cdt_xs_unlink_watch(struct cdt_xs_watch **slot)
{
    struct cdt_xs_watch *watch = *slot;
    struct cdt_xs_request *r = watch->unwatch;

    *slot = watch->next;
    watch->next = NULL;
    watch->unwatch = NULL;
    return r;
}

static bool is_watched(struct cdt_xs *xs, const struct cdt_xs_watch *watch)
{
    const struct cdt_xs_watch *w = xs->watches;

    while (w != NULL && w != watch) {
        w = w->next;
    }
    return w != NULL;
}

static uint32_t new_token(struct cdt_xs *xs)
{
    do {
        xs->last_token++;
    } while (*find_watch(xs, xs->last_token) != NULL);
    return xs->last_token;
}

int cdt_xs_watch(struct cdt_xs *xs, struct cdt_xs_watch *watch,
                 cdt_xs_done *done, void *arg)
{
    char text[TOKEN_TEXT];
    struct cdt_xs_message m = {
        .type = XS_UNWATCH, .path = watch->path, .data = text};
    struct cdt_xs_request *unwatch;
    int code;

    if (xs->failed != NULL) {
        return CONDUIT_EPROTO;
    }
    if (is_watched(xs, watch)) {
        return CONDUIT_EEXIST;
    }
    m.token = new_token(xs);
    m.size = 1u + (size_t)snprintf(text, sizeof text, "%u", m.token);
    code = cdt_xs_request_new(&m, &unwatch);
    if (code < 0) {
        return code;
    }
    m.type = XS_WATCH;
    code = cdt_xs_ask(xs, &m, done, arg);
    if (code < 0) {
        cdt_xs_request_free(unwatch);
        return code;
    }
    watch->token = m.token;
    watch->unwatch = unwatch;
    watch->next = xs->watches;
    xs->watches = watch;
    return 0;
}

void cdt_xs_unwatch(struct cdt_xs *xs, struct cdt_xs_watch *watch)
{
    struct cdt_xs_request *r;

    if (!is_watched(xs, watch)) {
        return;
    }
    r = cdt_xs_unlink_watch(find_watch(xs, watch->token));
    if (xs->failed != NULL) {
        cdt_xs_request_free(r);
    } else {
        cdt_xs_queue(xs, r);
    }
}

/* Path and token, each with its NUL. A token that no watch has is of one that
 * has just been ended. */
void cdt_xs_take_event(struct cdt_xs *xs)
{
    size_t size = xs->head.len;
    size_t at = 0;
    const char *path = cdt_xs_next_name(xs->payload, size, &at);
    const char *token = cdt_xs_next_name(xs->payload, size, &at);
    struct cdt_xs_watch *watch;
    uint32_t number;

    if (token == NULL) {
        cdt_xs_fail(xs, "xenstore: an event without path and token");
        return;
    }
    if (cdt_xs_parse_number(token, strlen(token), &number) < 0) {
        return;
    }
    watch = *find_watch(xs, number);
    if (watch != NULL) {
        xs->called++;
        watch->fire(watch, path);
    }
}

void cdt_xs_drop_watch(struct cdt_xs *xs, uint32_t token)
{
    struct cdt_xs_watch **slot = find_watch(xs, token);

    if (*slot != NULL) {
        cdt_xs_request_free(cdt_xs_unlink_watch(slot));
    }
}
