/* SPDX-License-Identifier: ISC */
/*
 * A folder compiled into the program, as routes: GET and HEAD below a prefix.
 * Content never changes while the program runs, so an ETag is all that caching
 * needs.
 */
#include "http/server.h"

#include <stdio.h>
#include <string.h>

/* Whether an If-None-Match list has the tag, compared weakly (RFC
   9110 8.8.3.2). A tag with its quotes cannot be a part of another one. */
static bool has_tag(const char *list, size_t len, const char *etag)
{
    size_t n = strlen(etag);
    size_t i;

    if (len == 1 && list[0] == '*') {
        return true;
    }
    for (i = 0; n > 0 && i + n <= len; i++) {
        if (memcmp(list + i, etag, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_cached(const struct conduit_http_request *r, const char *etag)
{
    uint32_t from = 0;
    const char *list;
    size_t len;

    do {
        list = cdt_http_find(&r->parser, "If-None-Match", &from, &len);
    } while (list != NULL && !has_tag(list, len, etag));
    return list != NULL;
}

/* "/static" alone would make the page's relative links point elsewhere. */
static void redirect(struct conduit_http_request *r)
{
    char target[1024];
    int n = snprintf(target, sizeof target, "%s/", conduit_http_path(r));

    if (n < 0 || (size_t)n >= sizeof target) {
        (void)cdt_reply_error(r, 404, "not found");
        return;
    }
    (void)conduit_http_add_header(r, "Location", target);
    (void)conduit_http_reply(r, 301, NULL, "", 0);
}

static void serve(void *arg, struct conduit_http_request *r)
{
    const struct cdt_site *site = arg;
    const char *rest = r->values[0];
    const struct conduit_asset *asset;

    if (rest[-1] != '/') {
        redirect(r);
        return;
    }
    asset = conduit_assets_find(site->assets, rest - 1, strlen(rest) + 1);
    if (asset == NULL) {
        (void)cdt_reply_error(r, 404, "not found");
        return;
    }
    (void)conduit_http_add_header(r, "ETag", asset->etag);
    if (is_cached(r, asset->etag)) {
        (void)conduit_http_reply(r, 304, NULL, "", 0);
        return;
    }
    (void)conduit_http_reply_static(r, 200, asset->type, asset->data,
                                    asset->size);
}

static int route_site(struct conduit_http_server *server, const char *prefix,
                      struct cdt_site *site, struct conduit_error *err)
{
    static const char tail[] = "/*path";
    size_t len = strlen(prefix);
    char *pattern = conduit_alloc(server->ctx, len + sizeof tail);
    int code;

    if (pattern == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    if (len > 0 && prefix[len - 1] == '/') {
        len--;
    }
    memcpy(pattern, prefix, len);
    memcpy(pattern + len, tail, sizeof tail);
    code = conduit_http_route(server, "GET", pattern, serve, site, err);
    conduit_release(server->ctx, pattern);
    return code;
}

int conduit_http_route_assets(struct conduit_http_server *server,
                              const char *prefix,
                              const struct conduit_assets *assets,
                              struct conduit_error *err)
{
    struct cdt_site *site;
    int code;

    if (prefix[0] != '/' || strstr(prefix, "/:") != NULL ||
        strstr(prefix, "/*") != NULL) {
        return conduit_error_set(err, CONDUIT_EINVAL, "http", 0,
                                 "malformed prefix \"%s\"", prefix);
    }
    site = conduit_alloc(server->ctx, sizeof *site);
    if (site == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    site->assets = assets;
    code = route_site(server, prefix, site, err);
    if (code != 0) {
        conduit_release(server->ctx, site);
        return code;
    }
    site->next = server->sites;
    server->sites = site;
    return 0;
}
