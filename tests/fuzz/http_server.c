/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target of the HTTP server: the first two bytes choose how the rest,
 * which a client sends, is split, and whether it goes through chop. Handlers
 * answer at once, later, in pieces, with the body as it comes or collected.
 * Whatever comes in, what goes out must be answers that the parser of responses
 * takes, and nothing may be left over.
 */
#include "chop.h"
#include "http/parser.h"
#include "http_handlers.h"

#include <conduit/http.h>
#include <conduit/unix.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TURNS = 20000, KEPT = 64 };

struct kept {
    struct conduit_http_request *request;
};

struct run {
    struct conduit_ctx *ctx;
    struct conduit_loop *loop;
    struct conduit_http_server *server;
    struct conduit_conn *conn;
    struct kept kept[KEPT]; /* to be answered later */
    const uint8_t *out;
    size_t left;
    size_t step;
    bool check; /* without HEAD every answer can be framed */
    bool parsing;
    bool ended;
    struct cdt_http_parser parser;
    uint8_t mem[16384];
};

static const struct cdt_http_limits wide = {100, 100, 0, 0, UINT64_MAX};

/* ---- handlers ---- */

static void now(void *arg, struct conduit_http_request *r)
{
    const char *x = conduit_http_param(r, "x");

    (void)arg;
    (void)conduit_http_add_header(r, "X-Is", x != NULL ? x : "");
    (void)conduit_http_reply(r, 200, "text/plain", conduit_http_path(r),
                             strlen(conduit_http_path(r)));
}

static void forget(void *arg)
{
    struct kept *k = arg;

    k->request = NULL;
}

static void later(void *arg, struct conduit_http_request *r)
{
    struct run *run = arg;

    for (size_t i = 0; i < KEPT; i++) {
        if (run->kept[i].request == NULL) {
            run->kept[i].request = r;
            conduit_http_on_gone(r, forget, &run->kept[i]);
            return;
        }
    }
    (void)conduit_http_reply_error(r, 503, "too many");
}

static void answer_kept(struct run *run)
{
    for (size_t i = 0; i < KEPT; i++) {
        struct conduit_http_request *r = run->kept[i].request;

        run->kept[i].request = NULL;
        if (r != NULL) {
            (void)conduit_http_reply(r, 200, NULL, "later", 5);
        }
    }
}

/* ---- the client ---- */

static void check(struct run *run, const uint8_t *data, size_t n)
{
    enum cdt_http_event event = CDT_HTTP_HEAD;
    size_t at = 0;

    while (run->check && (at < n || event != CDT_HTTP_MORE)) {
        const uint8_t *body;
        size_t len;
        size_t used;

        if (!run->parsing) {
            if (at == n) {
                return;
            }
            cdt_http_parser_begin(&run->parser, run->mem, sizeof run->mem,
                                  "GET");
            run->parsing = true;
        }
        event = cdt_http_parse(&run->parser, data + at, n - at, &used, &body,
                               &len);
        at += used;
        assert(event != CDT_HTTP_ERROR);
        run->parsing = event != CDT_HTTP_DONE;
    }
}

static void came(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct run *run = arg;
    uint8_t buf[4096];
    long n = CONDUIT_AGAIN;

    if (run->left > 0) {
        n = conduit_conn_write(conn, run->out,
                               run->left < run->step ? run->left : run->step);
        if (n > 0) {
            run->out += n;
            run->left -= (size_t)n;
        } else if (n != CONDUIT_AGAIN) {
            run->left = 0;
        }
        if (run->left == 0) {
            (void)conduit_conn_finish(conn, false);
            conduit_conn_want(conn, CONDUIT_READ);
        }
    }
    while ((events & (CONDUIT_READ | CONDUIT_ERR)) != 0 &&
           (n = conduit_conn_read(conn, buf, sizeof buf)) > 0) {
        check(run, buf, (size_t)n);
    }
    if ((events & (CONDUIT_READ | CONDUIT_ERR)) != 0 && n != CONDUIT_AGAIN) {
        run->ended = true;
        conduit_conn_want(conn, 0);
    }
}

static void dialed(void *arg, struct conduit_dial *dial,
                   struct conduit_conn *conn, const struct conduit_error *err)
{
    struct run *run = arg;

    (void)dial;
    (void)err;
    assert(conn != NULL);
    run->conn = conn;
    conduit_conn_set_handler(conn, came, run, CONDUIT_READ | CONDUIT_WRITE);
}

static void set_up(struct run *run, const char *uri)
{
    static size_t most = 100; /* bytes to collect */
    const struct {
        const char *method;
        const char *pattern;
        conduit_http_handler *handler;
        void *arg;
    } routes[] = {
        {"GET", "/", now, NULL},
        {"GET", "/a/:x/*y", now, NULL},
        {"GET", "/l", later, run},
        {"POST", "/l", later, run},
        {"POST", "/e", t_http_echo, NULL},
        {"GET", "/e", t_http_echo, NULL},
        {"POST", "/c", t_http_collect, &most},
    };
    const struct conduit_http_options options = {.max_body = 100000};
    int code = conduit_http_server_new(run->ctx, &options, &run->server, NULL);

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        code |= conduit_http_route(run->server, routes[i].method,
                                   routes[i].pattern, routes[i].handler,
                                   routes[i].arg, NULL);
    }
    code |= conduit_http_server_listen(run->server, uri, NULL, NULL);
    code |= conduit_dial(run->ctx, uri, NULL, dialed, run, NULL, NULL);
    assert(code == 0);
}

static struct conduit_ctx *make_ctx(void)
{
    struct conduit_ctx *ctx;
    int code = conduit_unix_new(NULL, NULL, &ctx, NULL);

    assert(code == 0);
    code = conduit_register_mem(ctx) | conduit_register_chop(ctx);
    assert(code == 0);
    return ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conduit_ctx *ctx;
    static struct run run;

    if (size < 2) {
        return 0;
    }
    if (ctx == NULL) {
        ctx = make_ctx();
    }
    memset(&run, 0, sizeof run);
    run.ctx = ctx;
    run.loop = conduit_ctx_loop(ctx);
    run.step = data[1] + (size_t)1;
    run.out = data + 2;
    run.left = size - 2;
    run.check = size < 6 || memmem(data, size, "HEAD", 4) == NULL;
    cdt_http_parser_init(&run.parser, CDT_HTTP_RESPONSE, &wide);
    set_up(&run, (data[0] & 1) != 0 ? "chop+mem://f" : "mem://f");
    for (unsigned i = 0; i < MAX_TURNS && !run.ended; i++) {
        conduit_loop_turn(run.loop, 0);
        if (i % 4 == 3 && (data[0] & 2) == 0) {
            answer_kept(&run);
        }
    }
    conduit_conn_abort(run.conn);
    conduit_http_server_free(run.server);
    conduit_loop_finish(run.loop);
    for (size_t i = 0; i < KEPT; i++) {
        assert(run.kept[i].request == NULL);
    }
    return 0;
}
