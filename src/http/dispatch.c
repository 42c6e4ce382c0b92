/* SPDX-License-Identifier: ISC */
/*
 * From a request's path to its handler.
 *
 * The path is decoded once, into one text whose segments are known by their
 * offsets; a %2F becomes a character of its segment, not a separator. What
 * could be read in two ways is refused here, before any handler sees it: broken
 * escapes, %00, and dot segments however they are written.
 *
 * A look-up goes back where a literal turns out to be the wrong way, or to lack
 * the method. A node is reached in one way only, so that costs no more than the
 * trie has nodes. It is a loop, not a recursion.
 */
#include "http/server.h"

#include <stdio.h>
#include <string.h>

/* ---- a request's path ---- */

/* A decoded path. Segment i begins at[i] and ends one byte before at[i + 1]. */
struct path {
    char *text;
    size_t size;  /* bytes, without the final NUL */
    size_t count; /* of segments; those beyond the table are only counted */
    size_t at[CDT_SEGMENTS_MAX + 2];
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes the escape at c, which ends at a NUL at the latest; -1: broken. */
static int escaped(const char *c)
{
    int high = hex_value(c[1]);
    int low = high >= 0 ? hex_value(c[2]) : -1;

    return low >= 0 ? high * 16 + low : -1;
}

/*
 * Whether a decoded segment has a part that somebody could take for a step in
 * a folder: "..", but also "..\\x" and what was "..%2Fx".
 */
static bool has_dots(const char *text, size_t len)
{
    size_t start = 0;
    size_t i;

    for (i = 0; i <= len; i++) {
        if (i == len || text[i] == '/' || text[i] == '\\') {
            if (cdt_is_dots(text + start, i - start)) {
                return true;
            }
            start = i + 1;
        }
    }
    return false;
}

/* Ends the segment that began at `start`; false when it is not allowed. */
static bool end_segment(struct path *path, size_t start)
{
    if (path->count <= CDT_SEGMENTS_MAX) {
        path->at[path->count] = start;
        path->at[path->count + 1] = path->size + 1;
    }
    path->count++;
    return !has_dots(path->text + start, path->size - start);
}

/* Decodes `raw`, which begins with '/', into path->text. */
static bool decode(const char *raw, struct path *path)
{
    size_t start = 1;
    const char *c;

    path->text[0] = '/';
    path->size = 1;
    path->count = 0;
    for (c = raw + 1; *c != '\0'; c++) {
        int value = (unsigned char)*c;

        if (*c == '/') {
            if (!end_segment(path, start)) {
                return false;
            }
            start = path->size + 1;
        } else if (*c == '%') {
            value = escaped(c);
            if (value <= 0) {
                return false;
            }
            c += 2;
        }
        path->text[path->size++] = (char)value;
    }
    path->text[path->size] = '\0';
    return end_segment(path, start);
}

/* Memory for a decoded path: what the head left over, if it is enough. */
static char *path_memory(struct conduit_http_request *r, size_t size)
{
    const struct cdt_http_parser *p = &r->parser;
    size_t table = p->head.field_count * sizeof(struct cdt_http_field);

    if (size <= p->mem_size - table - p->used) {
        return (char *)p->mem + p->used;
    }
    r->path_mem = conduit_alloc(r->session->server->ctx, size);
    return r->path_mem;
}

/* ---- looking up ---- */

/* A way through the trie: at each depth a node, and what was tried there. */
struct search {
    const struct path *path;
    const char *method; /* NULL: any, to learn which there are, in allow */
    struct cdt_node *node[CDT_SEGMENTS_MAX + 1];
    uint8_t tried[CDT_SEGMENTS_MAX + 1];
    size_t depth;
    bool rest; /* it ended in a "*" */
    size_t allow_len;
    char allow[512]; /* "GET, HEAD" */
};

enum { TRIED_LITERAL = 1, TRIED_PARAM, TRIED_REST };

static size_t segment_len(const struct path *path, size_t i)
{
    return path->at[i + 1] - 1 - path->at[i];
}

/* Adds a method to those allowed, once; what does not fit is left out. */
static void allow(struct search *search, const char *method)
{
    char *list = search->allow;
    size_t used = search->allow_len;
    size_t len = strlen(method);
    size_t i;

    for (i = 0; i + len <= used; i++) {
        if (memcmp(list + i, method, len) == 0 &&
            (i == 0 || list[i - 1] == ' ') &&
            (i + len == used || list[i + len] == ',')) {
            return;
        }
    }
    if (len + 3 > sizeof search->allow - used) {
        return;
    }
    (void)snprintf(list + used, sizeof search->allow - used, "%s%s",
                   used > 0 ? ", " : "", method);
    search->allow_len += strlen(list + used);
}

/* The route of a node where a path ends, or takes note of what it allows. */
static struct cdt_route *route_at(struct search *search, struct cdt_node *node)
{
    struct cdt_route *route;

    if (node == NULL) {
        return NULL;
    }
    if (search->method != NULL) {
        route = cdt_node_route(node, search->method);
        if (route == NULL && strcmp(search->method, "HEAD") == 0) {
            route = cdt_node_route(node, "GET");
        }
        return route;
    }
    for (route = node->routes; route != NULL; route = route->next) {
        allow(search, route->method);
        if (strcmp(route->method, "GET") == 0) {
            allow(search, "HEAD");
        }
    }
    return NULL;
}

/* The next way down from the node at the current depth, or NULL. */
static struct cdt_node *next_child(struct search *search)
{
    const struct path *path = search->path;
    size_t d = search->depth;
    struct cdt_node *node = search->node[d];
    size_t len = d < path->count ? segment_len(path, d) : 0;

    if (d >= path->count || d >= CDT_SEGMENTS_MAX) {
        return NULL;
    }
    while (search->tried[d] < TRIED_PARAM) {
        struct cdt_node *child = NULL;

        search->tried[d]++;
        if (search->tried[d] == TRIED_LITERAL) {
            child = cdt_node_literal(node, path->text + path->at[d], len);
        } else if (len > 0) {
            child = node->param;
        }
        if (child != NULL) {
            return child;
        }
    }
    return NULL;
}

static struct cdt_route *look_up(struct search *search, struct cdt_node *root)
{
    struct cdt_route *route = NULL;

    search->depth = 0;
    search->node[0] = root;
    search->tried[0] = 0;
    search->rest = false;
    while (root != NULL) {
        struct cdt_node *node = search->node[search->depth];
        struct cdt_node *child;

        if (search->tried[search->depth] == 0 &&
            search->depth == search->path->count) {
            route = route_at(search, node);
            if (route != NULL) {
                return route;
            }
        }
        child = next_child(search);
        if (child != NULL) {
            search->depth++;
            search->node[search->depth] = child;
            search->tried[search->depth] = 0;
            continue;
        }
        route = route_at(search, node->rest);
        search->rest = route != NULL;
        if (route != NULL || search->depth == 0) {
            return route;
        }
        search->depth--;
    }
    return NULL;
}

/* Notes what the pattern's names stand for; ends their texts. */
static void set_values(struct conduit_http_request *r,
                       const struct search *search)
{
    const struct path *path = search->path;
    unsigned count = 0;
    size_t i;

    for (i = 0; i < search->depth; i++) {
        if (search->tried[i] == TRIED_PARAM) {
            path->text[path->at[i + 1] - 1] = '\0';
            r->values[count++] = path->text + path->at[i];
        }
    }
    if (search->rest) {
        r->values[count] = path->text +
                           (i < path->count ? path->at[i] : path->size);
    }
}

/* ---- answers of the router itself ---- */

/* No route has that path and method. */
static void answer_unrouted(struct conduit_http_request *r,
                            struct search *search)
{
    search->method = NULL;
    (void)look_up(search, r->session->server->root);
    if (search->allow_len == 0) {
        (void)cdt_reply_error(r, 404, "not found");
        return;
    }
    allow(search, "OPTIONS");
    (void)conduit_http_add_header(r, "Allow", search->allow);
    if (strcmp(conduit_http_method(r), "OPTIONS") == 0) {
        (void)conduit_http_reply(r, 204, NULL, "", 0);
    } else {
        (void)cdt_reply_error(r, 405, "method not allowed");
    }
}

static void end_text(struct conduit_http_request *r, struct cdt_http_slice s)
{
    r->parser.mem[(size_t)s.at + s.len] = '\0';
}

static void route_path(struct conduit_http_request *r)
{
    const char *raw = conduit_http_path(r);
    struct path path;
    struct search search;

    path.text = path_memory(r, (size_t)r->parser.head.path.len + 1);
    if (path.text == NULL) {
        (void)cdt_reply_error(r, 503, "out of memory");
        return;
    }
    if (!decode(raw, &path)) {
        (void)cdt_reply_error(r, 400, "malformed path");
        return;
    }
    search.path = &path;
    search.method = conduit_http_method(r);
    search.allow_len = 0;
    r->route = look_up(&search, r->session->server->root);
    if (r->route == NULL) {
        answer_unrouted(r, &search);
        return;
    }
    set_values(r, &search);
    r->route->handler(r->route->arg, r);
}

void cdt_router_dispatch(struct conduit_http_request *r)
{
    const struct cdt_http_head *head = &r->parser.head;

    end_text(r, head->method);
    if (head->path.len == 0) {
        (void)cdt_reply_error(r, 501, "CONNECT is not for this server");
        return;
    }
    end_text(r, head->path);
    if (head->query.len > 0) {
        end_text(r, head->query);
    }
    if (conduit_http_path(r)[0] == '*') {
        (void)conduit_http_reply(r, 204, NULL, "", 0);
        return;
    }
    route_path(r);
}
