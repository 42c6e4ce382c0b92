/* SPDX-License-Identifier: ISC */
/*
 * One connection of the server: its events, its deadlines, its end.
 *
 * Deadlines are times to compare with; the timer is only moved when it fires
 * too early or must fire sooner. A busy connection never touches it. They
 * measure the peer: nothing runs while a handler thinks, or while an
 * application has stopped taking a body.
 */
#include "http/server.h"

#include <string.h>

/* Events of the parser that are handled before others get their turn. */
#define STEPS_MAX 256

/* Bytes taken at once from a window that the peer can write to. */
#define SCRATCH 2048

#define NS_PER_MS UINT64_C(1000000)

/* ---- ending ---- */

static void free_session(struct cdt_session *s)
{
    struct conduit_http_server *server = s->server;

    if (s->request != NULL) {
        cdt_request_put(s->request);
    }
    conduit_release(server->ctx, s);
}

static void unlink_session(struct cdt_session *s)
{
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        s->server->sessions = s->next;
    }
}

void cdt_session_end(struct cdt_session *s, bool abort)
{
    struct conduit_http_server *server = s->server;
    struct conduit_conn *conn = s->conn;
    bool outer = s->running;

    if (s->over) {
        return;
    }
    s->over = true;
    s->conn = NULL;
    conduit_timer_clear(server->loop, &s->timer);
    unlink_session(s);
    if (abort) {
        conduit_conn_abort(conn);
    } else {
        conduit_conn_close(conn);
    }
    s->running = true;
    if (s->request != NULL) {
        cdt_request_gone(s->request);
    }
    s->running = outer;
    if (!outer) {
        free_session(s);
    }
    cdt_server_closed(server);
}

bool cdt_session_idle(const struct cdt_session *s)
{
    const struct conduit_http_request *r = s->request;

    return r == NULL || (!r->headed && cdt_http_parser_idle(&r->parser));
}

void cdt_session_lose(struct cdt_session *s)
{
    conduit_timer_clear(s->server->loop, &s->timer);
    conduit_conn_abort(s->conn);
    s->conn = NULL;
}

void cdt_session_refuse(struct cdt_session *s, int status, const char *text)
{
    struct conduit_http_request *r = s->request;

    r->deaf = true;
    if (r->begun) {
        if (!r->ended) {
            s->broken = CONDUIT_EPROTO;
        }
        return;
    }
    cdt_request_gone(r);
    r->fields.mem = NULL; /* the application's, of an answer of its own */
    (void)cdt_reply_error(r, status, text);
}

/* ---- conclusions ---- */

/* A point in time `ms` from now. */
static uint64_t after(struct cdt_session *s, unsigned ms)
{
    struct conduit_loop *loop = s->server->loop;

    if (!s->outside) {
        return conduit_loop_now(loop) + ms * NS_PER_MS;
    }
    /* The loop's time may be old there; a timer knows better. */
    conduit_timer_set(loop, &s->timer, ms);
    return s->timer.at;
}

static void arm(struct cdt_session *s)
{
    struct conduit_loop *loop = s->server->loop;
    uint64_t at = s->in_at;
    uint64_t now;

    if (at == 0 || (s->out_at != 0 && s->out_at < at)) {
        at = s->out_at;
    }
    if (at == 0 || (s->timer.at != 0 && s->timer.at <= at)) {
        return;
    }
    now = conduit_loop_now(loop);
    at = at > now ? at - now : 0;
    conduit_timer_set(loop, &s->timer, (at + NS_PER_MS - 1) / NS_PER_MS);
}

/* Whether bytes that come are taken now. */
static bool takes_input(const struct cdt_session *s)
{
    const struct conduit_http_request *r = s->request;

    if (r == NULL) {
        return true;
    }
    if (r->input_done || r->deaf) {
        return false;
    }
    if (!r->headed) {
        return true;
    }
    if (r->ended || r->take == CDT_TAKE_NONE) {
        return r->begun;
    }
    return !r->paused;
}

/* Whether output waits for room, and what is told when there is some. */
static bool waits_for_room(const struct conduit_http_request *r)
{
    return r->over_due || (!r->complete && (r->ended || r->starved ||
                                            cdt_body_pending(&r->out)));
}

/* Gives an exchange back that is over: to the next one, or to the end. */
static void conclude(struct cdt_session *s)
{
    struct conduit_http_request *r = s->request;

    if (s->conn == NULL || r == NULL || !r->complete) {
        return;
    }
    if (!r->keep || r->deaf || s->server->stopping) {
        cdt_session_end(s, false);
    } else if (r->input_done) {
        s->request = NULL;
        cdt_request_put(r);
        s->in_at = after(s, s->server->options.idle_ms);
        s->out_at = 0;
    }
}

static void set_deadlines(struct cdt_session *s)
{
    struct conduit_http_request *r = s->request;
    unsigned ms = s->server->options.body_ms;

    if (r != NULL && (r->headed || r->begun)) {
        if (!takes_input(s)) {
            s->in_at = 0;
        } else if (s->in_at == 0 || r->input_moved) {
            s->in_at = after(s, ms);
        }
        if (!waits_for_room(r)) {
            s->out_at = 0;
        } else if (s->out_at == 0 || r->out.moved) {
            s->out_at = after(s, ms);
        }
        r->input_moved = false;
        r->out.moved = false;
    }
    arm(s);
}

static void set_interest(struct cdt_session *s)
{
    const struct conduit_http_request *r = s->request;
    unsigned interest = 0;

    if (takes_input(s)) {
        interest |= CONDUIT_READ;
    }
    if (r != NULL && waits_for_room(r)) {
        interest |= CONDUIT_WRITE;
    }
    if (interest != s->interest) {
        s->interest = (uint8_t)interest;
        conduit_conn_want(s->conn, interest);
    }
}

static void enter(struct cdt_session *s)
{
    cdt_server_enter(s->server);
    s->running = true;
}

static void leave(struct cdt_session *s)
{
    struct conduit_http_server *server = s->server;

    if (s->broken != 0) {
        cdt_session_end(s, true);
    }
    conclude(s);
    if (s->conn != NULL) {
        set_deadlines(s);
        set_interest(s);
        s->running = false;
        s->outside = false;
    } else {
        free_session(s);
    }
    cdt_server_leave(server);
}

void cdt_session_touch(struct cdt_session *s)
{
    if (s->running || s->conn == NULL) {
        return;
    }
    if (s->broken != 0 && !s->request->ended) {
        /* on_gone never comes from within a call: the timer brings it. */
        conduit_timer_set(s->server->loop, &s->timer, 0);
        return;
    }
    enter(s);
    s->outside = true;
    leave(s);
}

/* ---- input ---- */

/* The peer's bytes have ended, or cannot be read. */
static void input_ended(struct cdt_session *s, int code)
{
    struct conduit_http_request *r = s->request;

    if (r == NULL || (code == CONDUIT_END && cdt_session_idle(s))) {
        cdt_session_end(s, code != CONDUIT_END);
    } else if (code == CONDUIT_END) {
        cdt_session_refuse(s, 400, "message cut short");
    } else {
        s->broken = (short)code;
    }
}

static bool begin_request(struct cdt_session *s)
{
    struct conduit_http_request *r = cdt_request_get(s);

    if (r == NULL) {
        cdt_session_end(s, true);
        return false;
    }
    s->request = r;
    return true;
}

/* A head is timed from its first byte; empty lines before it are none of it. */
static void time_head(struct cdt_session *s, bool was_idle)
{
    const struct conduit_http_options *o = &s->server->options;
    const struct conduit_http_request *r = s->request;

    if (!r->headed && !r->begun && cdt_session_idle(s) != was_idle) {
        s->in_at = after(s, was_idle ? o->head_ms : o->idle_ms);
    }
}

/* The head is complete: the body may be over with it. */
static void head_complete(struct conduit_http_request *r)
{
    const uint8_t *body;
    size_t body_len;
    size_t used;

    r->headed = true;
    r->session->in_at = 0;
    r->input_done = cdt_http_parse(&r->parser, NULL, 0, &used, &body,
                                   &body_len) == CDT_HTTP_DONE;
    cdt_router_dispatch(r);
    if (r->input_done || r->over_due) {
        cdt_request_over(r);
    }
}

/* Gives body bytes to the application; answers how many it left. */
static size_t deliver(struct conduit_http_request *r, const uint8_t *data,
                      size_t n)
{
    size_t taken = cdt_request_deliver(r, data, n);

    r->input_moved = r->input_moved || taken > 0;
    return n - taken;
}

/*
 * Takes bytes up to the next event of the parser and acts on it; answers how
 * many. What the application leaves of a body stays in the connection.
 */
static size_t parse(struct cdt_session *s, const uint8_t *data, size_t n)
{
    struct conduit_http_request *r = s->request;
    const uint8_t *body;
    size_t body_len;
    size_t used;
    enum cdt_http_event event = cdt_http_parse(&r->parser, data, n, &used,
                                               &body, &body_len);

    if (event == CDT_HTTP_BODY) {
        r->held = deliver(r, body, body_len);
        used -= r->held;
    }
    if (s->conn != NULL) {
        conduit_conn_consume(s->conn, used);
    }
    if (event == CDT_HTTP_HEAD) {
        head_complete(r);
    } else if (event == CDT_HTTP_DONE) {
        r->input_done = true;
        cdt_request_over(r);
    } else if (event == CDT_HTTP_ERROR) {
        cdt_session_refuse(s, r->parser.status, r->parser.reason);
    }
    return used;
}

/* Body bytes that the parser has seen already. */
static size_t parsed(struct cdt_session *s, const uint8_t *data, size_t n)
{
    struct conduit_http_request *r = s->request;
    size_t part = n < r->held ? n : r->held;
    size_t used = part - deliver(r, data, part);

    r->held -= used;
    if (s->conn != NULL) {
        conduit_conn_consume(s->conn, used);
    }
    return used;
}

/* The message may be over without another byte. */
static void look_for_end(struct cdt_session *s)
{
    const struct conduit_http_request *r = s->request;

    if (s->conn != NULL && s->broken == 0 && r->headed && r->held == 0 &&
        takes_input(s)) {
        (void)parse(s, NULL, 0);
    }
}

/* One look at the input; false when there is nothing more to do with it now. */
static bool step(struct cdt_session *s)
{
    uint8_t scratch[SCRATCH];
    struct conduit_win win;
    long n = conduit_conn_peek(s->conn, &win);
    const uint8_t *data = win.seg[0].data;
    size_t size = win.seg[0].size;
    bool idle = cdt_session_idle(s);

    if (n < 0) {
        if (n != CONDUIT_AGAIN) {
            input_ended(s, (int)n);
        }
        return false;
    }
    if (s->request == NULL && !begin_request(s)) {
        return false;
    }
    if (win.shared) {
        size = size < SCRATCH ? size : SCRATCH;
        memcpy(scratch, data, size);
        data = scratch;
    }
    n -= (long)(s->request->held > 0 ? parsed(s, data, size)
                                     : parse(s, data, size));
    time_head(s, idle);
    look_for_end(s);
    conclude(s);
    /* Between requests nothing more is expected: the loop asks, if need be. */
    return n > 0 || s->request != NULL;
}

static void input(struct cdt_session *s)
{
    unsigned i = 0;

    while (i < STEPS_MAX && s->conn != NULL && s->broken == 0 &&
           takes_input(s) && step(s)) {
        i++;
    }
}

/* ---- output ---- */

static void output(struct cdt_session *s)
{
    struct conduit_http_request *r = s->request;
    int code;

    if (r == NULL) {
        return;
    }
    if (r->over_due) {
        cdt_request_over(r);
    }
    code = s->conn != NULL ? cdt_reply_push(r) : CONDUIT_AGAIN;
    if (code == 0 && r->starved && !r->ended) {
        r->starved = false;
        cdt_body_refill(&r->out);
        if (r->writable != NULL) {
            r->writable(r->writable_arg, r);
        }
    } else if (code < 0 && code != CONDUIT_AGAIN) {
        s->broken = (short)code;
    }
}

/* ---- events ---- */

static void events_came(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct cdt_session *s = arg;

    (void)conn;
    enter(s);
    if ((events & CONDUIT_ERR) != 0) {
        s->broken = CONDUIT_ERESET;
    } else {
        if ((events & CONDUIT_WRITE) != 0) {
            output(s);
        }
        conclude(s);
        if ((events & CONDUIT_READ) != 0) {
            input(s);
        }
    }
    leave(s);
}

static void timer_fired(struct conduit_timer *timer)
{
    struct cdt_session *s = (struct cdt_session *)(void *)timer;
    uint64_t now = conduit_loop_now(s->server->loop);

    enter(s);
    if (s->broken == 0 && s->out_at != 0 && s->out_at <= now) {
        s->broken = CONDUIT_ETIMEDOUT;
    } else if (s->broken == 0 && s->in_at != 0 && s->in_at <= now) {
        if (cdt_session_idle(s)) {
            cdt_session_end(s, false);
        } else {
            cdt_session_refuse(s, 408, "request timed out");
        }
    }
    leave(s);
}

void cdt_session_start(struct cdt_session *s)
{
    struct conduit_http_server *server = s->server;

    s->timer.fire = timer_fired;
    s->prev = NULL;
    s->next = server->sessions;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    server->sessions = s;
    s->outside = true;
    s->in_at = after(s, server->options.idle_ms);
    s->outside = false;
    s->interest = CONDUIT_READ;
    conduit_conn_set_handler(s->conn, events_came, s, CONDUIT_READ);
}
