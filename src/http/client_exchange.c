/* SPDX-License-Identifier: ISC */
/*
 * One request and its answer, over the client's connection.
 *
 * Sending and receiving go on side by side, for an answer may come before its
 * request is sent. What is wrong with sending never ends an exchange by itself:
 * the server may have said why before it stopped reading, so the answer is read
 * first, and the reading ends the exchange one way or the other.
 *
 * Input is read into memory of the client's and parsed there, rather than in
 * the connection's window: that may be shared with the peer, and where it is
 * not, reading costs a socket nothing. It also keeps what `data` did not take.
 *
 * Deadlines count only while the peer is waited for, never while the
 * application is.
 */
#include "http/client.h"

#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/* The most that a source is asked for at once. */
#define SOURCE_MAX 65536

static uint8_t *input(const struct conduit_http_client *client)
{
    return client->mem + CDT_CLIENT_HEAD;
}

static void alive(struct conduit_http_client *client)
{
    client->x.since = conduit_loop_now(client->loop);
}

/* ---- beginning and ending ---- */

bool cdt_exchange_usable(struct conduit_http_client *client)
{
    uint8_t byte;

    /* Nothing was asked, so neither bytes nor an end are in order. */
    return conduit_conn_read(client->conn, &byte, 1) == CONDUIT_AGAIN &&
           conduit_conn_error(client->conn, NULL) == 0;
}

void cdt_exchange_forget(struct conduit_http_client *client)
{
    client->x.call = NULL;
    conduit_timer_clear(client->loop, &client->timer);
}

static void finish(struct conduit_http_client *client,
                   const struct conduit_error *err, bool keep)
{
    struct conduit_http_call *call = client->x.call;
    bool abort = client->x.sending || client->x.cut;

    cdt_exchange_forget(client);
    cdt_client_end(call, err, false);
    if (client->freed) {
        return;
    }
    if (!keep) {
        cdt_client_drop(client, abort || err != NULL);
    } else if (client->x.interest != CONDUIT_READ) {
        client->x.interest = CONDUIT_READ;
        conduit_conn_want(client->conn, CONDUIT_READ);
    }
    client->used = true;
}

static void fail(struct conduit_http_client *client, int code, const char *why)
{
    struct conduit_error err;

    (void)conduit_error_set(&err, code, "http", 0, "%s", why);
    finish(client, &err, false);
}

static void begin_answer(struct conduit_http_client *client)
{
    cdt_http_parser_begin(&client->parser, client->mem, CDT_CLIENT_HEAD,
                          client->x.call->method);
    client->x.interim = false;
    client->x.hungry = client->x.in_at == client->x.in_end;
}

void cdt_exchange_begin(struct conduit_http_client *client,
                        struct conduit_http_call *call)
{
    struct cdt_exchange *x = &client->x;
    unsigned interest = x->interest;

    memset(x, 0, sizeof *x);
    x->interest = interest;
    x->call = call;
    x->sending = true;
    call->conn = client->conn;
    if (client->mem == NULL) {
        client->mem = conduit_resize(client->ctx, NULL,
                                     CDT_CLIENT_HEAD + CDT_CLIENT_INPUT);
    }
    if (client->mem == NULL) {
        fail(client, CONDUIT_ENOMEM, "out of memory");
        return;
    }
    if (!client->used) {
        cdt_http_parser_init(&client->parser, CDT_HTTP_RESPONSE,
                             &client->limits);
    }
    begin_answer(client);
    cdt_body_init(&x->out, call->head, call->head_size, call->framing,
                  call->length);
    alive(client);
    cdt_exchange_pump(client);
}

/*
 * Sends the request again, on another connection. Only what arrived at a server
 * that was about to end the connection anyway is repeated: a new connection
 * that ends like this says something about the request.
 */
static void repeat(struct conduit_http_client *client)
{
    struct conduit_http_call *call = client->x.call;

    call->conn = NULL;
    cdt_exchange_forget(client);
    cdt_client_drop(client, true);
}

static bool can_repeat(const struct conduit_http_client *client)
{
    const struct conduit_http_call *call = client->x.call;

    return client->used && !client->x.heard && call->idempotent &&
           call->source_calls == 0;
}

/* ---- sending ---- */

/* All of the request was accepted, or no more of it will be. */
static void stop_sending(struct conduit_http_client *client, bool cut)
{
    client->x.sending = false;
    client->x.source_waits = false;
    client->x.cut = cut;
    alive(client);
}

static int source_failed(struct conduit_http_client *client, int code)
{
    struct conduit_error err;

    if (code == CONDUIT_END) {
        (void)conduit_error_set(
            &err, CONDUIT_EINVAL, "http", 0,
            "the body's source ended %llu bytes before its length",
            (unsigned long long)client->x.out.left);
    } else {
        (void)conduit_error_set(&err, code, "http", 0,
                                "the body's source failed: %s",
                                conduit_strerror(code));
    }
    finish(client, &err, false);
    return CONDUIT_ECANCELED;
}

/*
 * Asks the source for bytes, in the connection's own window. More than 0: go
 * on; 0: the body is complete; ECANCELED: the exchange is over.
 */
static long pull_source(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;
    struct conduit_http_call *call = x->call;
    void *at;
    long room;
    long n;

    if (x->source_over || x->out.left == 0) {
        return 0;
    }
    room = cdt_body_room(&x->out, client->conn, SOURCE_MAX, &at);
    if (room < 0) {
        return room;
    }
    call->source_calls++;
    n = call->o.source(call->o.arg, call, at, (size_t)room);
    if (x->call != call) {
        return CONDUIT_ECANCELED;
    }
    cdt_body_fill(&x->out, client->conn, n > 0 && n <= room ? (size_t)n : 0);
    if (n > 0 && n <= room) {
        return n;
    }
    if (n == CONDUIT_AGAIN) {
        x->source_waits = true;
        return n;
    }
    if (n == CONDUIT_END && call->framing == CDT_HTTP_CHUNKED) {
        x->source_over = true;
        return 0;
    }
    return source_failed(client, n < 0 ? (int)n : CONDUIT_EINVAL);
}

/* As pull_source(), of a body in memory. */
static long push_memory(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;
    const struct conduit_http_call_options *o = &x->call->o;
    const uint8_t *bytes = o->body;
    long n = 0;

    if (x->body_at < o->body_size) {
        n = cdt_body_write(&x->out, client->conn, bytes + x->body_at,
                           o->body_size - x->body_at);
    }
    if (n > 0) {
        x->body_at += (size_t)n;
    }
    return n;
}

/* Sends what the connection takes. false: the exchange is over. */
static bool send_some(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;
    bool source = x->call->o.source != NULL;
    long n = 1;

    while (n > 0) {
        n = source ? pull_source(client) : push_memory(client);
    }
    if (n == CONDUIT_ECANCELED) {
        return false;
    }
    if (n == 0) {
        n = cdt_body_end(&x->out, client->conn);
    }
    if (x->out.moved) {
        x->out.moved = false;
        alive(client);
    }
    if (n != CONDUIT_AGAIN) {
        stop_sending(client, n != 0);
    }
    return true;
}

/* ---- receiving ---- */

static void terminate(struct cdt_http_parser *p, struct cdt_http_slice s)
{
    p->mem[s.at + s.len] = '\0';
}

/* Behind every name and value comes a byte that is not needed any more. */
static void make_texts(struct cdt_http_parser *p)
{
    terminate(p, p->head.reason);
    for (uint32_t i = 0; i < p->head.field_count; i++) {
        struct cdt_http_field field = cdt_http_field(p, i);

        terminate(p, field.name);
        terminate(p, field.value);
    }
}

/* Each step below answers false when the exchange is over. */

/*
 * The final head is there. Where the request is not sent yet, an answer that
 * refuses it, or that announces the connection's end, is the time to stop; one
 * that accepts it may be the beginning of a conversation.
 */
static bool on_head(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;
    struct conduit_http_call *call = x->call;
    const struct cdt_http_head *head = &client->parser.head;

    if (head->upgrade) {
        fail(client, CONDUIT_EPROTO, "an upgrade that was not asked for");
        return false;
    }
    if (head->status < 200) {
        x->interim = true;
        return true;
    }
    alive(client);
    make_texts(&client->parser);
    call->status = head->status;
    if (x->sending && (head->status >= 300 || !head->keep_alive)) {
        stop_sending(client, true);
    }
    if (call->o.head != NULL) {
        call->o.head(call->o.arg, call);
    }
    return x->call == call;
}

static bool on_body(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;
    struct conduit_http_call *call = x->call;
    size_t taken = x->body_left;

    if (call->o.data != NULL) {
        taken = call->o.data(call->o.arg, call, x->body, x->body_left);
        if (x->call != call) {
            return false;
        }
    }
    if (taken > x->body_left) {
        taken = x->body_left;
    }
    x->body += taken;
    x->body_left -= taken;
    x->data_waits = x->body_left > 0;
    alive(client);
    return true;
}

static bool on_done(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;

    if (x->interim) {
        begin_answer(client);
        return true;
    }
    /* Bytes behind the answer belong to nothing that was asked. */
    finish(client, NULL,
           client->parser.head.keep_alive && !x->sending && !x->cut &&
               x->in_at == x->in_end);
    return false;
}

static bool on_malformed(struct conduit_http_client *client)
{
    const struct cdt_http_parser *p = &client->parser;
    bool limit = p->status == 413 || p->status == 414 || p->status == 431;
    struct conduit_error err;

    (void)conduit_error_set(
        &err, limit ? CONDUIT_ELIMIT : CONDUIT_EPROTO, "http", 0, "%s: %s",
        limit ? "answer over a limit" : "malformed answer", p->reason);
    finish(client, &err, false);
    return false;
}

static bool parse(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;
    size_t used;
    enum cdt_http_event event = cdt_http_parse(
        &client->parser, input(client) + x->in_at, x->in_end - x->in_at, &used,
        &x->body, &x->body_left);

    x->in_at += used;
    x->hungry = event == CDT_HTTP_MORE;
    switch (event) {
    case CDT_HTTP_HEAD:
        return on_head(client);
    case CDT_HTTP_BODY:
        return on_body(client);
    case CDT_HTTP_DONE:
        return on_done(client);
    case CDT_HTTP_ERROR:
        return on_malformed(client);
    case CDT_HTTP_MORE:
        break;
    }
    return true;
}

/* The peer ended its bytes. */
static void on_end(struct conduit_http_client *client)
{
    const struct cdt_http_parser *p = &client->parser;
    struct conduit_error err;

    if (cdt_http_parser_end(&client->parser) == CDT_HTTP_DONE) {
        finish(client, NULL, false);
        return;
    }
    if (client->x.call->status != 0) {
        (void)conduit_error_set(&err, CONDUIT_ETRUNCATED, "http", 0,
                                "connection closed within the answer's body, "
                                "after %llu bytes of it",
                                (unsigned long long)p->body_seen);
    } else {
        (void)conduit_error_set(&err, CONDUIT_ETRUNCATED, "http", 0,
                                "connection closed %s the answer's head",
                                client->x.heard ? "within" : "before");
    }
    finish(client, &err, false);
}

/* Reading came to its end, which is also the end of the exchange. */
static void on_read_end(struct conduit_http_client *client, int code)
{
    struct conduit_error err;

    if (can_repeat(client)) {
        repeat(client);
        return;
    }
    if (code == CONDUIT_END && client->x.heard) {
        on_end(client);
        return;
    }
    /* The first failure, which may have been that of sending. */
    if (conduit_conn_error(client->conn, &err) != 0) {
        finish(client, &err, false);
    } else if (code == CONDUIT_END) {
        on_end(client);
    } else {
        fail(client, code, conduit_strerror(code));
    }
}

static void receive(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;
    bool going = true;

    while (going && !x->data_waits) {
        long n;

        if (x->body_left > 0) {
            going = on_body(client);
            continue;
        }
        if (!x->hungry) {
            going = parse(client);
            continue;
        }
        n = conduit_conn_read(client->conn, input(client), CDT_CLIENT_INPUT);
        if (n == CONDUIT_AGAIN) {
            return;
        }
        if (n < 0) {
            on_read_end(client, (int)n);
            return;
        }
        x->heard = true;
        x->hungry = false;
        x->in_at = 0;
        x->in_end = (size_t)n;
    }
}

/* ---- deadlines ---- */

/* How long the peer may be silent now; 0: it is not the peer we wait for. */
static unsigned patience(const struct conduit_http_client *client)
{
    const struct cdt_exchange *x = &client->x;

    if (x->data_waits || x->source_waits) {
        return 0;
    }
    return x->sending || x->call->status != 0 ? client->options.body_ms
                                              : client->options.answer_ms;
}

/* A timer that is set too early stays: it asks again when it fires. */
static void arm(struct conduit_http_client *client)
{
    unsigned limit = patience(client);
    uint64_t now = conduit_loop_now(client->loop);
    uint64_t due = client->x.since + limit * NS_PER_MS;

    if (limit == 0) {
        conduit_timer_clear(client->loop, &client->timer);
    } else if (client->timer.at == 0 || client->timer.at > due) {
        conduit_timer_set(client->loop, &client->timer,
                          due > now ? (due - now + NS_PER_MS - 1) / NS_PER_MS
                                    : 0);
    }
}

static void time_out(struct conduit_http_client *client, unsigned limit)
{
    const struct cdt_exchange *x = &client->x;
    const char *what = "no answer came";
    struct conduit_error err;

    if (x->sending) {
        what = "nothing of the request was taken";
    } else if (x->call->status != 0) {
        what = "nothing more of the answer's body came";
    }
    /* After a failure to send, it is that which the silence comes from. */
    if (conduit_conn_error(client->conn, &err) == 0) {
        (void)conduit_error_set(&err, CONDUIT_ETIMEDOUT, "http", 0,
                                "%s for %u ms", what, limit);
    }
    finish(client, &err, false);
}

void cdt_exchange_check_time(struct conduit_http_client *client)
{
    uint64_t now = conduit_loop_now(client->loop);
    unsigned limit;

    if (client->x.call == NULL) {
        return;
    }
    limit = patience(client);
    if (limit != 0 && now - client->x.since >= limit * NS_PER_MS) {
        time_out(client, limit);
    } else {
        arm(client);
    }
}

/* ---- both ---- */

void cdt_exchange_pump(struct conduit_http_client *client)
{
    struct cdt_exchange *x = &client->x;
    unsigned interest = 0;

    if (x->sending && !x->source_waits && !send_some(client)) {
        return;
    }
    receive(client);
    if (x->call == NULL) {
        return;
    }
    if (!x->data_waits) {
        interest |= CONDUIT_READ;
    }
    if (x->sending && !x->source_waits) {
        interest |= CONDUIT_WRITE;
    }
    if (interest != x->interest) {
        x->interest = interest;
        conduit_conn_want(client->conn, interest);
    }
    arm(client);
}

void conduit_http_call_resume(struct conduit_http_call *call)
{
    struct conduit_http_client *client = call->client;

    if (client->x.call == call) {
        client->x.resumed = true;
        conduit_loop_defer(client->loop, &client->task);
    }
}

void cdt_exchange_resume(struct conduit_http_client *client)
{
    client->x.resumed = false;
    client->x.source_waits = false;
    client->x.data_waits = false;
    alive(client);
    cdt_exchange_pump(client);
}
