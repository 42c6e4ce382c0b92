/* SPDX-License-Identifier: ISC */
/*
 * What the tests of the HTTP server share: a server, and peers that send raw
 * bytes and compare raw bytes. Every group of tests is run over several URIs,
 * also under chop, which cuts everything into single bytes.
 */
#ifndef TESTS_TEST_HTTP_SERVER_H
#define TESTS_TEST_HTTP_SERVER_H

#include "support.h"

#include "chop.h"

#include <conduit/http.h>

#define H_IN (1024 * 1024)

/* The form of a Date field, which is taken out of what peers receive. */
#define H_DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static const char *h_uri = "mem://web";
static bool h_chopped;

struct h_server {
    struct t_env *env;
    struct conduit_http_server *http;
    struct conduit_listener *listener;
    char uri[128];
};

/* A client's end of a connection. */
struct h_peer {
    struct t_env *env;
    struct conduit_conn *conn;
    const char *out; /* still to be sent */
    size_t left;
    size_t pace; /* bytes a turn; 0: all that goes */
    bool deaf;   /* does not read */
    bool finish; /* ends its bytes after them */
    char *in;    /* received, without Date */
    size_t size;
    size_t dates; /* how many were taken out */
    int end;      /* what reading ended with; 0: it goes on */
};

/* Whether a peer can end its bytes and still be answered. */
static inline bool h_half_closes(void)
{
    return strncmp(h_uri, "vchan", 5) != 0;
}

static inline void h_serve(struct h_server *s, struct t_env *env,
                           const struct conduit_http_options *options)
{
    struct conduit_error err = {0};

    memset(s, 0, sizeof *s);
    s->env = env;
    t_own_names(env);
    assert_int_equal(conduit_register_chop(env->ctx), 0);
    conduit_chop_set(NULL);
    if (conduit_http_server_new(env->ctx, options, &s->http, &err) != 0 ||
        conduit_http_server_listen(s->http, h_uri, &s->listener, &err) != 0) {
        fail_msg("%s", err.text);
    }
    (void)snprintf(s->uri, sizeof s->uri, "%s",
                   conduit_listener_uri(s->listener));
}

static inline void h_route(struct h_server *s, const char *method,
                           const char *pattern, conduit_http_handler *handler,
                           void *arg)
{
    struct conduit_error err = {0};

    if (conduit_http_route(s->http, method, pattern, handler, arg, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

/* Takes complete Date fields out of what came. */
static inline void h_strip_dates(struct h_peer *p)
{
    const size_t n = sizeof H_DATE - 1;
    char *at = p->in;

    while ((at = strstr(at, "\r\nDate: ")) != NULL) {
        char *date = at + 2;
        size_t behind = p->size - (size_t)(date - p->in);

        if (behind < n) {
            return;
        }
        if (memcmp(date + n - 6, " GMT\r\n", 6) == 0) {
            memmove(date, date + n, behind - n + 1);
            p->size -= n;
            p->dates++;
        } else {
            at = date;
        }
    }
}

static inline void h_read(struct h_peer *p)
{
    for (;;) {
        long n = conduit_conn_read(p->conn, p->in + p->size,
                                   H_IN - p->size - 1);

        if (n == CONDUIT_AGAIN) {
            return;
        }
        if (n < 0) {
            p->end = (int)n;
            return;
        }
        p->size += (size_t)n;
        p->in[p->size] = '\0';
        h_strip_dates(p);
    }
}

static inline void h_write(struct h_peer *p)
{
    bool paced = p->pace > 0;

    while (p->left > 0) {
        size_t size = paced && p->pace < p->left ? p->pace : p->left;
        long n = conduit_conn_write(p->conn, p->out, size);

        if (n < 0) {
            if (n != CONDUIT_AGAIN) {
                p->left = 0;
            }
            return;
        }
        p->out += n;
        p->left -= (size_t)n;
        if (paced) {
            break;
        }
    }
    if (p->left == 0 && p->finish) {
        p->finish = false;
        (void)conduit_conn_finish(p->conn, false);
    }
}

static inline void h_interest(struct h_peer *p)
{
    unsigned events = 0;

    if (p->end == 0 && !p->deaf) {
        events |= CONDUIT_READ;
    }
    if (p->left > 0 || p->finish) {
        events |= CONDUIT_WRITE;
    }
    conduit_conn_want(p->conn, events);
}

static inline void h_events(void *arg, struct conduit_conn *conn,
                            unsigned events)
{
    struct h_peer *p = arg;

    (void)conn;
    if ((events & CONDUIT_WRITE) != 0) {
        h_write(p);
    }
    if ((events & CONDUIT_READ) != 0 ||
        ((events & CONDUIT_ERR) != 0 && !p->deaf)) {
        h_read(p);
    }
    h_interest(p);
}

static inline void h_open(struct h_peer *p, struct h_server *s)
{
    memset(p, 0, sizeof *p);
    p->env = s->env;
    p->in = calloc(1, H_IN);
    assert_non_null(p->in);
    p->conn = t_dial_now(s->env, s->uri);
    conduit_conn_set_handler(p->conn, h_events, p, CONDUIT_READ);
}

static inline void h_close(struct h_peer *p)
{
    conduit_conn_abort(p->conn);
    p->conn = NULL;
    free(p->in);
    p->in = NULL;
}

/* Sends bytes, which must stay until they are gone. */
static inline void h_send_bytes(struct h_peer *p, const char *bytes, size_t n)
{
    assert_int_equal(p->left, 0);
    p->out = bytes;
    p->left = n;
    h_interest(p);
}

static inline void h_send(struct h_peer *p, const char *text)
{
    h_send_bytes(p, text, strlen(text));
}

/* Reads again after `deaf`. */
static inline void h_listen_again(struct h_peer *p)
{
    p->deaf = false;
    h_interest(p);
}

/* Whether what came ends within a Date field, or may. */
static inline bool h_in_date(const struct h_peer *p)
{
    static const char start[] = "\r\nDate: ";

    for (size_t k = 1; k < sizeof H_DATE + 1 && k <= p->size; k++) {
        size_t n = k < sizeof start - 1 ? k : sizeof start - 1;

        if (memcmp(p->in + p->size - k, start, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether enough came to be compared with n bytes of text. */
static inline bool h_enough(const struct h_peer *p, const char *text, size_t n)
{
    return p->end != 0 ||
           (p->size >= n && (memcmp(p->in, text, n) == 0 || !h_in_date(p)));
}

/* Waits for exactly these bytes, and takes them. */
static inline void h_expect(struct h_peer *p, const char *text)
{
    size_t n = strlen(text);

    T_UNTIL(p->env, h_enough(p, text, n));
    if (p->size < n || memcmp(p->in, text, n) != 0) {
        fail_msg("expected:\n%s\nreceived:\n%s", text, p->in);
    }
    memmove(p->in, p->in + n, p->size - n + 1);
    p->size -= n;
}

/* Waits for bytes up to and with `text`, and takes them. */
static inline void h_skip(struct h_peer *p, const char *text)
{
    char *at = NULL;
    size_t n;

    T_UNTIL(p->env, (at = strstr(p->in, text)) != NULL || p->end != 0);
    if (at == NULL) {
        fail_msg("expected somewhere:\n%s\nreceived:\n%s", text, p->in);
    }
    n = (size_t)(at - p->in) + strlen(text);
    memmove(p->in, p->in + n, p->size - n + 1);
    p->size -= n;
}

/* Waits for the end in good order, with nothing before it. */
static inline void h_expect_end(struct h_peer *p)
{
    T_UNTIL(p->env, p->end != 0);
    assert_string_equal(p->in, "");
    assert_int_equal(p->end, CONDUIT_END);
}

/* The answer to a whole request of its own connection. */
static inline void h_ask(struct h_server *s, const char *request,
                         const char *answer)
{
    struct h_peer p;

    h_open(&p, s);
    h_send(&p, request);
    h_expect(&p, answer);
    assert_string_equal(p.in, "");
    h_close(&p);
}

/* Frees the server and delivers what is closing. */
static inline void h_stop(struct h_server *s)
{
    conduit_http_server_free(s->http);
    s->http = NULL;
    s->env->turning = true;
    conduit_loop_finish(s->env->loop);
    s->env->turning = false;
}

/* ---- handlers ---- */

static inline void h_hello(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    (void)conduit_http_reply(r, 200, "text/plain", "hello", 5);
}

/* Answers "METHOD PATH QUERY". */
static inline void h_mirror(void *arg, struct conduit_http_request *r)
{
    char text[256];

    (void)arg;
    (void)snprintf(text, sizeof text, "%s %s %s", conduit_http_method(r),
                   conduit_http_path(r), conduit_http_query(r));
    (void)conduit_http_reply(r, 200, NULL, text, strlen(text));
}

/* Keeps the request in *arg. */
static inline void h_keep(void *arg, struct conduit_http_request *r)
{
    struct conduit_http_request **kept = arg;

    *kept = r;
}

#define H_HELLO                                                            \
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n" \
    "\r\nhello"

/* Runs a group of tests over every URI that there is; answers the exit status.
 */
#define h_run(tests) h_run_all(tests, sizeof(tests) / sizeof *(tests))
static inline int h_run_all(const struct CMUnitTest *tests, size_t count)
{
    static const struct {
        const char *uri;
        const char *transport;
    } over[] = {
        {"mem://web", "mem"},
        {"tcp://127.0.0.1:0", "tcp+socket"},
        {"vchan://web", "vchan"},
        {"chop+mem://web", "mem"},
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof over / sizeof *over; i++) {
        if (!t_has_transport(over[i].transport)) {
            continue;
        }
        h_uri = over[i].uri;
        h_chopped = strncmp(h_uri, "chop", 4) == 0;
        print_message("over %s\n", h_uri);
        failed += _cmocka_run_group_tests(h_uri, tests, count, NULL, NULL);
    }
    return failed > 0;
}

#endif
