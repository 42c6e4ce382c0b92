/* SPDX-License-Identifier: ISC */
/*
 * http_service URI...: what http_curl.sh asks with curl. Prints where it
 * listens; ends in good order when it is asked to.
 */
#include "http_handlers.h"

#include <conduit/conduit.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char page[] = "<!doctype html><title>page</title>\n";

static const struct conduit_asset items[] = {
    {"/index.html", "text/html; charset=utf-8", "\"page-1\"", page,
     sizeof page - 1},
};

static const struct conduit_assets site = {items, 1};

static void hello(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    (void)conduit_http_add_header(r, "X-Method", conduit_http_method(r));
    (void)conduit_http_reply(r, 200, "text/plain", "hello\n", 6);
}

/* N bytes: 0 to 255, again and again; in chunks. */
static void send_count(void *arg, struct conduit_http_request *r)
{
    size_t *left = conduit_http_data(r);
    char block[256];

    (void)arg;
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (char)i;
    }
    while (*left > 0) {
        size_t at = (sizeof block - *left % sizeof block) % sizeof block;
        size_t n = sizeof block - at;
        long done;

        n = n < *left ? n : *left;
        done = conduit_http_write(r, block + at, n);
        if (done < 0) {
            return;
        }
        *left -= (size_t)done;
    }
    free(left);
    (void)conduit_http_end(r);
}

static void count(void *arg, struct conduit_http_request *r)
{
    size_t *left = malloc(sizeof *left);

    (void)arg;
    if (left == NULL) {
        (void)conduit_http_reply_error(r, 503, "out of memory");
        return;
    }
    /* A multiple of 256, so that it ends with a whole block. */
    *left = strtoul(conduit_http_param(r, "blocks"), NULL, 10) * 256;
    conduit_http_set_data(r, left);
    conduit_http_on_gone(r, free, left);
    conduit_http_on_writable(r, send_count, NULL);
    (void)conduit_http_begin(r, 200, NULL, CONDUIT_HTTP_UNKNOWN);
    send_count(NULL, r);
}

static void collected(void *arg, struct conduit_http_request *r,
                      const void *body, size_t size)
{
    json_t *value = conduit_json_parse(conduit_http_ctx(r), body, size, 0,
                                       NULL);

    (void)arg;
    if (value == NULL) {
        (void)conduit_http_reply_error(r, 400, "no JSON");
        return;
    }
    (void)conduit_http_reply_json(
        r, 200, json_pack("{s:I, s:o}", "size", (json_int_t)size, "is", value));
}

static void collect(void *arg, struct conduit_http_request *r)
{
    conduit_http_collect(r, 1000, collected, arg);
}

static void stopped(void *arg)
{
    conduit_loop_stop(arg);
}

struct program {
    struct conduit_http_server *server;
    struct conduit_loop *loop;
};

static void shut_down(void *arg)
{
    struct program *p = arg;

    conduit_http_server_stop(p->server, 5000, stopped, p->loop);
}

static int listen_at(struct program *p, const char *uri,
                     struct conduit_error *err)
{
    struct conduit_listener *listener;
    int code = conduit_http_server_listen(p->server, uri, &listener, err);

    if (code == 0) {
        (void)printf("listening %s\n", conduit_listener_uri(listener));
        (void)fflush(stdout);
    }
    return code;
}

static int set_up(struct conduit_ctx *ctx, struct program *p,
                  struct conduit_error *err)
{
    static const struct {
        const char *method;
        const char *pattern;
        conduit_http_handler *handler;
    } routes[] = {
        {"GET", "/hello", hello},      {"GET", "/count/:blocks", count},
        {"POST", "/hello", hello},     {"POST", "/echo", t_http_echo},
        {"PUT", "/echo", t_http_echo}, {"POST", "/json", collect},
    };
    const struct conduit_http_options options = {.max_body = 64u << 20};
    int code = conduit_http_server_new(ctx, &options, &p->server, err);

    for (size_t i = 0; code == 0 && i < sizeof routes / sizeof *routes; i++) {
        code = conduit_http_route(p->server, routes[i].method,
                                  routes[i].pattern, routes[i].handler, NULL,
                                  err);
    }
    return code == 0 ? conduit_http_route_assets(p->server, "/", &site, err)
                     : code;
}

int conduit_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    struct program p = {.loop = conduit_ctx_loop(ctx)};
    struct conduit_error err;
    int code = set_up(ctx, &p, &err);

    for (int i = 1; code == 0 && i < argc; i++) {
        code = listen_at(&p, argv[i], &err);
    }
    if (code == 0) {
        conduit_ctx_on_shutdown(ctx, shut_down, &p);
        (void)conduit_loop_run(p.loop);
    } else {
        (void)fprintf(stderr, "http_service: %s\n", err.text);
    }
    conduit_http_server_free(p.server);
    return code != 0;
}
