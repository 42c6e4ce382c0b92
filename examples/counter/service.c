/* SPDX-License-Identifier: ISC */
/*
 * The counter's routes. The number lives in memory and counts from 0 at each
 * start, since a unikernel has no disk to keep it on.
 */
#include "service.h"

#include "counter_assets.h"

static void reply_counter(const struct service *s,
                          struct conduit_http_request *r)
{
    conduit_http_reply_json(r, 200, json_pack("{s:I}", "counter", s->counter));
}

static void get_counter(void *arg, struct conduit_http_request *r)
{
    reply_counter(arg, r);
}

static void add_one(void *arg, struct conduit_http_request *r, const void *body,
                    size_t size)
{
    struct service *s = arg;

    (void)body;
    (void)size;
    s->counter++;
    reply_counter(s, r);
}

/* What is posted says nothing, but counts only once it is there completely. */
static void post_counter(void *arg, struct conduit_http_request *r)
{
    enum { BODY_MAX = 1024 };

    conduit_http_collect(r, BODY_MAX, add_one, arg);
}

/* A fact that is text; NULL, which becomes null, where no layer knows it. */
static json_t *fact(const struct conduit_conn *conn, enum conduit_query what)
{
    char text[CONDUIT_PEER_TEXT] = "";

    if (conduit_conn_query(conn, what, text) != 0) {
        return NULL;
    }
    return json_string(text);
}

/* A text of TLS; NULL where there is none, or what is there is no text. */
static json_t *text_fact(const char *text)
{
    return *text != '\0' ? json_string(text) : NULL;
}

static json_t *tls_facts(const struct conduit_conn *conn)
{
    struct conduit_tls_facts f;

    if (conduit_conn_query(conn, CONDUIT_QUERY_TLS, &f) != 0) {
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:o?, s:o?, s:o?, s:o?, s:b, s:b}",
                     "engine", f.engine, "version", f.version, "cipher",
                     f.cipher, "alpn", text_fact(f.alpn), "server_name",
                     text_fact(f.server_name), "peer_subject",
                     text_fact(f.peer_subject), "peer_fingerprint",
                     text_fact(f.peer_fingerprint), "resumed", f.resumed,
                     "verified", f.verified);
}

static void get_info(void *arg, struct conduit_http_request *r)
{
    const struct conduit_conn *conn = conduit_http_conn(r);
    const char *platform = conduit_ctx_platform(conduit_http_ctx(r));
    const char *transport = NULL;
    char layers[64];

    (void)arg;
    (void)conduit_conn_query(conn, CONDUIT_QUERY_TRANSPORT, &transport);
    (void)conduit_conn_layers(conn, layers, sizeof layers);
    conduit_http_reply_json(
        r, 200,
        json_pack("{s:s, s:s?, s:s, s:o?, s:o?, s:o?}", "platform", platform,
                  "transport", transport, "layers", layers, "peer",
                  fact(conn, CONDUIT_QUERY_PEER), "local",
                  fact(conn, CONDUIT_QUERY_LOCAL), "tls", tls_facts(conn)));
}

static int add_routes(struct service *s, struct conduit_error *err)
{
    int rc = conduit_http_route(s->server, "GET", "/api/counter", get_counter,
                                s, err);

    if (rc == 0) {
        rc = conduit_http_route(s->server, "POST", "/api/counter", post_counter,
                                s, err);
    }
    if (rc == 0) {
        rc = conduit_http_route(s->server, "GET", "/api/info", get_info, s,
                                err);
    }
    if (rc == 0) {
        rc = conduit_http_route_assets(s->server, "/", &counter, err);
    }
    return rc;
}

int service_init(struct service *s, struct conduit_ctx *ctx,
                 const struct tls_options *tls, struct conduit_error *err)
{
    struct conduit_http_options options = {.max_conns = 0};
    int rc = conduit_json_init(ctx);

    *s = (struct service){.server = NULL};
    if (rc != 0) {
        return conduit_error_set(err, rc, "json", 0, "no entropy for a seed");
    }
    if (tls != NULL) {
        rc = tls_options_make(tls, ctx, &counter_tls, true, &s->tls, err);
        options.conn.tls = s->tls;
    }
    if (rc == 0) {
        rc = conduit_http_server_new(ctx, &options, &s->server, err);
    }
    if (rc == 0) {
        rc = add_routes(s, err);
    }
    if (rc != 0) {
        service_fini(s);
    }
    return rc;
}

void service_fini(struct service *s)
{
    conduit_http_server_free(s->server);
    conduit_tls_unref(s->tls);
    *s = (struct service){.server = NULL};
}
