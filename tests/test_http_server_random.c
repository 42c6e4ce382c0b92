/* SPDX-License-Identifier: ISC */
/*
 * Many clients at once that pipeline requests of every kind, in pieces of any
 * size, and read when they like; some vanish in the middle. What the others
 * receive must be every answer, in order, to the last byte.
 */
#include "test_http_server.h"

#include "http/parser.h"
#include "http_handlers.h"

#define CLIENTS 12
#define REQUESTS 40
#define LATER_MAX 256

/* ---- the service: answers with N bytes of stream N, or with what it got ----
 */

struct later {
    struct conduit_timer timer;
    struct conduit_http_request *request;
    size_t size;
    bool used;
};

struct service {
    struct t_env *env;
    uint64_t random;
    size_t most; /* bytes of a body */
    struct later later[LATER_MAX];
};

struct sender {
    size_t at;
    size_t size;
    uint8_t block[3000];
};

static size_t size_of(const struct conduit_http_request *r)
{
    return strtoul(conduit_http_param(r, "size"), NULL, 10);
}

static void reply_sized(struct conduit_http_request *r, size_t size)
{
    void *body = malloc(size + 1);

    assert_non_null(body);
    t_fill(size, 0, body, size);
    (void)conduit_http_reply(r, 200, NULL, body, size);
    free(body);
}

static void serve_now(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    reply_sized(r, size_of(r));
}

static void forget(void *arg)
{
    struct later *l = arg;

    l->used = false;
    l->request = NULL;
}

static void fire(struct conduit_timer *timer)
{
    struct later *l = (struct later *)(void *)timer;
    struct conduit_http_request *r = l->request;

    l->used = false;
    if (r != NULL) {
        reply_sized(r, l->size);
    }
}

static void serve_later(void *arg, struct conduit_http_request *r)
{
    struct service *s = arg;
    size_t i = 0;

    while (i < LATER_MAX && (s->later[i].used || s->later[i].timer.at != 0)) {
        i++;
    }
    T_CHECK(s->env, i < LATER_MAX);
    s->later[i].request = r;
    s->later[i].size = size_of(r);
    s->later[i].used = true;
    s->later[i].timer.fire = fire;
    conduit_http_on_gone(r, forget, &s->later[i]);
    conduit_timer_set(s->env->loop, &s->later[i].timer,
                      t_range(&s->random, 0, 2));
}

static void send_pieces(void *arg, struct conduit_http_request *r)
{
    struct sender *p = conduit_http_data(r);

    (void)arg;
    while (p->at < p->size) {
        size_t n = p->size - p->at;
        long done;

        n = n < sizeof p->block ? n : sizeof p->block;
        t_fill(p->size, p->at, p->block, n);
        done = conduit_http_write(r, p->block, n);
        if (done < 0) {
            return; /* AGAIN, or on_gone comes */
        }
        p->at += (size_t)done;
    }
    free(p);
    (void)conduit_http_end(r);
}

static void serve_pieces(struct conduit_http_request *r, bool length)
{
    struct sender *p = calloc(1, sizeof *p);

    assert_non_null(p);
    p->size = size_of(r);
    conduit_http_set_data(r, p);
    conduit_http_on_gone(r, free, p);
    conduit_http_on_writable(r, send_pieces, NULL);
    (void)conduit_http_begin(r, 200, NULL,
                             length ? p->size : CONDUIT_HTTP_UNKNOWN);
    send_pieces(NULL, r);
}

static void serve_chunks(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    serve_pieces(r, false);
}

static void serve_length(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    serve_pieces(r, true);
}

/* ---- clients ---- */

struct client {
    struct t_env *env;
    struct conduit_conn *conn;
    uint64_t random;
    uint8_t *out; /* all requests */
    size_t out_size;
    size_t out_at;
    size_t sizes[REQUESTS]; /* of the answers' bodies */
    unsigned answered;
    uint64_t got; /* of the answer being read */
    bool parsing;
    bool vanishes;
    int end;
    struct cdt_http_parser parser;
    uint8_t mem[2048];
};

static const struct cdt_http_limits limits = {
    .request_line = 200,
    .fields = 20,
    .trailer = 0,
    .chunk_ext = 0,
    .body = UINT64_MAX,
};

static void add(struct client *c, const void *bytes, size_t n)
{
    c->out = realloc(c->out, c->out_size + n);
    assert_non_null(c->out);
    memcpy(c->out + c->out_size, bytes, n);
    c->out_size += n;
}

static void add_chunked(struct client *c, size_t size)
{
    size_t at = 0;

    while (at < size) {
        uint8_t bytes[512];
        char line[32];
        size_t n = t_range(&c->random, 1, sizeof bytes);

        n = n < size - at ? n : size - at;
        t_fill(size, at, bytes, n);
        add(c, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", n));
        add(c, bytes, n);
        add(c, "\r\n", 2);
        at += n;
    }
    add(c, "0\r\n\r\n", 5);
}

static void add_request(struct client *c, unsigned i, size_t most)
{
    static const char *const kinds[] = {"now",    "later", "chunks",
                                        "length", "echo",  "collect"};
    size_t kind = t_range(&c->random, 0, 5);
    size_t size = t_range(&c->random, 0,
                          t_range(&c->random, 0, 9) == 0 ? most : most / 50);
    bool posts = kind >= 4 || t_range(&c->random, 0, 3) == 0;
    bool chunked = t_range(&c->random, 0, 1) == 0;
    char text[256];

    if (kind < 4 && posts) {
        size %= 30000; /* nobody reads it: it must not be too much to drop */
    }
    c->sizes[i] = size;
    add(c, text,
        (size_t)snprintf(text, sizeof text,
                         "%s /%s/%zu HTTP/1.1\r\nHost: a\r\n",
                         posts ? "POST" : "GET", kinds[kind], size));
    if (posts && chunked) {
        add(c, "Transfer-Encoding: chunked\r\n\r\n", 30);
        add_chunked(c, size);
    } else if (posts) {
        uint8_t *body = malloc(size + 1);

        assert_non_null(body);
        t_fill(size, 0, body, size);
        add(c, text,
            (size_t)snprintf(text, sizeof text, "Content-Length: %zu\r\n\r\n",
                             size));
        add(c, body, size);
        free(body);
    } else {
        add(c, "\r\n", 2);
    }
}

static size_t parse(struct client *c, const uint8_t *data, size_t n)
{
    const uint8_t *body;
    size_t len;
    size_t used;
    enum cdt_http_event event;

    if (!c->parsing) {
        cdt_http_parser_begin(&c->parser, c->mem, sizeof c->mem, "GET");
        c->parsing = true;
        c->got = 0;
    }
    event = cdt_http_parse(&c->parser, data, n, &used, &body, &len);
    T_CHECK(c->env, event != CDT_HTTP_ERROR);
    if (event == CDT_HTTP_HEAD) {
        if (c->parser.head.status != 200) {
            t_fault(c->env, "answer %u is %d", c->answered,
                    c->parser.head.status);
        }
    } else if (event == CDT_HTTP_BODY) {
        T_CHECK(c->env, t_match(c->sizes[c->answered], c->got, body, len));
        c->got += len;
    } else if (event == CDT_HTTP_DONE) {
        T_CHECK(c->env, c->got == c->sizes[c->answered]);
        c->answered++;
        c->parsing = false;
    }
    return used;
}

static void take(struct client *c)
{
    uint8_t buf[5000];
    long n = conduit_conn_read(c->conn, buf, t_range(&c->random, 1, 5000));
    size_t at = 0;

    if (n < 0) {
        c->end = n != CONDUIT_AGAIN ? (int)n : 0;
        return;
    }
    while (at < (size_t)n && c->answered < REQUESTS) {
        at += parse(c, buf + at, (size_t)n - at);
        if (c->parsing && at == (size_t)n) {
            (void)parse(c, NULL, 0);
        }
    }
    T_CHECK(c->env, at == (size_t)n);
}

static void give(struct client *c)
{
    size_t n = t_range(&c->random, 1,
                       t_range(&c->random, 0, 3) == 0 ? 9000 : 50);
    long done;

    n = n < c->out_size - c->out_at ? n : c->out_size - c->out_at;
    done = conduit_conn_write(c->conn, c->out + c->out_at, n);
    if (done > 0) {
        c->out_at += (size_t)done;
    }
}

/* What a client does with an event is chosen anew each time. */
static void came(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct client *c = arg;

    if ((events & CONDUIT_READ) != 0 && t_range(&c->random, 0, 3) != 0) {
        take(c);
    }
    if ((events & CONDUIT_WRITE) != 0 && t_range(&c->random, 0, 3) != 0) {
        give(c);
    }
    if (c->vanishes && t_range(&c->random, 0, 300) == 0) {
        c->conn = NULL;
        conduit_conn_abort(conn);
    } else if (c->end != 0) {
        conduit_conn_want(conn, 0);
    } else if (c->out_at == c->out_size) {
        conduit_conn_want(conn, CONDUIT_READ);
    }
}

static void open_client(struct client *c, struct h_server *s, unsigned i,
                        size_t most)
{
    c->env = s->env;
    c->random = 1000 + i;
    c->vanishes = i % 3 == 2;
    for (unsigned k = 0; k < REQUESTS; k++) {
        add_request(c, k, most);
    }
    cdt_http_parser_init(&c->parser, CDT_HTTP_RESPONSE, &limits);
    c->conn = t_dial_now(s->env, s->uri);
    conduit_conn_set_handler(c->conn, came, c, CONDUIT_READ | CONDUIT_WRITE);
}

static bool all_done(const struct client *clients)
{
    for (int i = 0; i < CLIENTS; i++) {
        const struct client *c = &clients[i];

        if (c->conn != NULL && c->end == 0 && c->answered < REQUESTS) {
            return false;
        }
    }
    return true;
}

static void answers_everybody(void **state)
{
    struct client *clients = calloc(CLIENTS, sizeof *clients);
    struct service *service = calloc(1, sizeof *service);
    struct h_server s;

    assert_non_null(clients);
    assert_non_null(service);
    h_serve(&s, *state, NULL);
    service->env = s.env;
    service->random = 3;
    service->most = h_chopped ? 2000 : 100000;
    h_route(&s, "GET", "/now/:size", serve_now, NULL);
    h_route(&s, "POST", "/now/:size", serve_now, NULL);
    h_route(&s, "GET", "/later/:size", serve_later, service);
    h_route(&s, "POST", "/later/:size", serve_later, service);
    h_route(&s, "GET", "/chunks/:size", serve_chunks, NULL);
    h_route(&s, "POST", "/chunks/:size", serve_chunks, NULL);
    h_route(&s, "GET", "/length/:size", serve_length, NULL);
    h_route(&s, "POST", "/length/:size", serve_length, NULL);
    h_route(&s, "POST", "/echo/:size", t_http_echo, NULL);
    h_route(&s, "POST", "/collect/:size", t_http_collect, NULL);
    for (unsigned i = 0; i < CLIENTS; i++) {
        open_client(&clients[i], &s, i, service->most);
    }
    T_UNTIL(s.env, all_done(clients));
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(clients[i].vanishes || clients[i].answered == REQUESTS);
        conduit_conn_abort(clients[i].conn);
        free(clients[i].out);
    }
    h_stop(&s);
    for (size_t i = 0; i < LATER_MAX; i++) {
        conduit_timer_clear(s.env->loop, &service->later[i].timer);
    }
    free(clients);
    free(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(answers_everybody),
    };

    return h_run(tests);
}
