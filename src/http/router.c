/* SPDX-License-Identifier: ISC */
/*
 * Routes: patterns, and the trie of segments that they are kept in. How a
 * request finds its way through it is dispatch.c.
 */
#include "http/server.h"

#include <string.h>

/* ---- patterns ---- */

struct segment {
    const char *text;
    size_t len;
};

/* Takes the next segment off a path; *at is NULL after the last. */
static struct segment next_segment(const char **at)
{
    struct segment s = {*at, strcspn(*at, "/")};

    *at = s.text[s.len] == '/' ? s.text + s.len + 1 : NULL;
    return s;
}

bool cdt_is_dots(const char *text, size_t len)
{
    return (len == 1 && text[0] == '.') ||
           (len == 2 && text[0] == '.' && text[1] == '.');
}

static bool is_name(struct segment s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz_"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

    return s.len > 1 && strspn(s.text + 1, allowed) >= s.len - 1;
}

/* Whether segment number `count` of a pattern is well formed. */
static bool check_segment(struct segment s, bool last)
{
    size_t i;

    if (s.len == 0) {
        return last;
    }
    if (s.text[0] == ':' || s.text[0] == '*') {
        return is_name(s) && (s.text[0] == ':' || last);
    }
    for (i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.text[i];

        if (c < ' ' || c == 0x7f || strchr("%?#\\", c) != NULL) {
            return false;
        }
    }
    return !cdt_is_dots(s.text, s.len);
}

static bool check_pattern(const char *pattern)
{
    const char *at = pattern + 1;
    unsigned segments = 0;
    unsigned params = 0;

    if (pattern[0] != '/') {
        return false;
    }
    while (at != NULL) {
        struct segment s = next_segment(&at);

        if (!check_segment(s, at == NULL)) {
            return false;
        }
        segments++;
        params += s.len > 0 && (s.text[0] == ':' || s.text[0] == '*');
    }
    return segments <= CDT_SEGMENTS_MAX && params <= CDT_PARAMS_MAX;
}

/* ---- the trie ---- */

static struct cdt_node *new_node(struct conduit_ctx *ctx, struct segment s)
{
    struct cdt_node *node = conduit_alloc(ctx, sizeof *node + s.len);

    if (node != NULL) {
        memcpy(node->text, s.text, s.len);
        node->len = s.len;
    }
    return node;
}

struct cdt_node *cdt_node_literal(const struct cdt_node *node, const char *text,
                                  size_t len)
{
    struct cdt_node *child = node->literals;

    while (child != NULL &&
           (child->len != len || memcmp(child->text, text, len) != 0)) {
        child = child->next;
    }
    return child;
}

static bool is_wild(struct segment s)
{
    return s.len > 0 && (s.text[0] == ':' || s.text[0] == '*');
}

/* The child for a pattern's segment, made where there is none; or NULL. */
static struct cdt_node *grow(struct conduit_ctx *ctx, struct cdt_node *node,
                             struct segment s)
{
    struct cdt_node **slot = &node->literals;
    struct cdt_node *child;

    if (is_wild(s)) {
        slot = s.text[0] == ':' ? &node->param : &node->rest;
        s.len = 0;
        child = *slot;
    } else {
        child = cdt_node_literal(node, s.text, s.len);
    }
    if (child == NULL) {
        child = new_node(ctx, s);
        if (child != NULL) {
            child->next = *slot;
            *slot = child;
        }
    }
    return child;
}

static void push_all(struct cdt_node **list, struct cdt_node *chain)
{
    while (chain != NULL) {
        struct cdt_node *next = chain->next;

        chain->next = *list;
        *list = chain;
        chain = next;
    }
}

void cdt_router_free(struct conduit_ctx *ctx, struct cdt_node *root)
{
    struct cdt_node *todo = root;

    while (todo != NULL) {
        struct cdt_node *node = todo;

        todo = node->next;
        push_all(&todo, node->literals);
        push_all(&todo, node->param);
        push_all(&todo, node->rest);
        while (node->routes != NULL) {
            struct cdt_route *route = node->routes;

            node->routes = route->next;
            conduit_release(ctx, route);
        }
        conduit_release(ctx, node);
    }
}

/* A route with its own copies of method and names, not linked yet. */
static struct cdt_route *new_route(struct conduit_ctx *ctx, const char *method,
                                   const char *pattern)
{
    size_t method_size = strlen(method) + 1;
    size_t pattern_size = strlen(pattern) + 1;
    struct cdt_route *route = conduit_alloc(ctx, sizeof *route + method_size +
                                                     pattern_size);
    char *text;
    const char *at;

    if (route == NULL) {
        return NULL;
    }
    route->method = memcpy(route->text, method, method_size);
    text = memcpy(route->text + method_size, pattern, pattern_size);
    at = text + 1;
    while (at != NULL) {
        struct segment s = next_segment(&at);

        if (is_wild(s)) {
            text[s.text + s.len - text] = '\0';
            route->names[route->name_count++] = s.text + 1;
        }
    }
    return route;
}

/* The node of a pattern, made where there is none; NULL: no memory. */
static struct cdt_node *node_of(struct conduit_http_server *server,
                                const char *pattern)
{
    const char *at = pattern + 1;
    struct cdt_node *node;

    if (server->root == NULL) {
        server->root = new_node(server->ctx, (struct segment){"", 0});
    }
    node = server->root;
    while (node != NULL && at != NULL) {
        node = grow(server->ctx, node, next_segment(&at));
    }
    return node;
}

struct cdt_route *cdt_node_route(const struct cdt_node *node,
                                 const char *method)
{
    struct cdt_route *route = node->routes;

    while (route != NULL && strcmp(route->method, method) != 0) {
        route = route->next;
    }
    return route;
}

static void append_route(struct cdt_node *node, struct cdt_route *route)
{
    struct cdt_route **last = &node->routes;

    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = route;
}

int conduit_http_route(struct conduit_http_server *server, const char *method,
                       const char *pattern, conduit_http_handler *handler,
                       void *arg, struct conduit_error *err)
{
    size_t len = strlen(method);
    struct cdt_node *node;
    struct cdt_route *route;

    if (len == 0 || cdt_http_token_span(method, len) < len) {
        return conduit_error_set(err, CONDUIT_EINVAL, "http", 0,
                                 "malformed method \"%s\"", method);
    }
    if (!check_pattern(pattern)) {
        return conduit_error_set(err, CONDUIT_EINVAL, "http", 0,
                                 "malformed pattern \"%s\"", pattern);
    }
    node = node_of(server, pattern);
    if (node != NULL && cdt_node_route(node, method) != NULL) {
        return conduit_error_set(err, CONDUIT_EEXIST, "http", 0,
                                 "%s %s is routed already", method, pattern);
    }
    route = node != NULL ? new_route(server->ctx, method, pattern) : NULL;
    if (route == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    route->handler = handler;
    route->arg = arg;
    append_route(node, route);
    return 0;
}
