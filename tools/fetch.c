/* SPDX-License-Identifier: ISC */
/*
 * `conduit fetch`: one request, run by the loop until it is over.
 *
 * The request's body and the answer's go through as they come, and where a pipe
 * at either end is not ready the connection waits. What a pipe is asked again
 * for is a timer's business: a loop that can watch descriptors is not what a
 * portable application has, and a thread would be worse.
 */
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often a pipe that was not ready is asked again. */
#define AGAIN_MS 10

struct fetch {
    struct conduit_ctx *ctx;
    struct fetch_options o;
    struct conduit_tls *tls; /* where the URI wants it */
    struct conduit_http_client *client;
    struct conduit_http_call *call;
    struct conduit_timer again;
    struct fetch_output out;
    int in; /* of -d @FILE; -1: none */
    bool in_regular;
    bool told; /* -v has told of the dial and the request */
    int status;
};

/* ---- saying ---- */

__attribute__((format(printf, 3, 4))) static int
complain(const struct fetch *f, int status, const char *fmt, ...)
{
    va_list args;

    if (!f->o.silent) {
        (void)fprintf(stderr, "conduit: (%d) ", status);
        va_start(args, fmt);
        (void)vfprintf(stderr, fmt, args);
        va_end(args);
        (void)fputc('\n', stderr);
    }
    return status;
}

static void tell_attempts(const struct conduit_http_call *call)
{
    struct conduit_attempt a;

    for (size_t i = 0; conduit_http_call_attempt(call, i, &a); i++) {
        const char *how = a.error.text;

        if (a.error.code == 0) {
            how = "connected";
        } else if (a.error.code == CONDUIT_AGAIN) {
            how = "under way";
        }
        (void)fprintf(stderr, "* attempt %s at %.3f ms for %.3f ms: %s\n",
                      a.endpoint, (double)a.start_us / 1e3,
                      (double)a.elapsed_us / 1e3, how);
    }
}

static void tell_tls(const struct conduit_conn *conn)
{
    struct conduit_tls_facts t;

    if (conduit_conn_query(conn, CONDUIT_QUERY_TLS, &t) != 0) {
        return;
    }
    (void)fprintf(stderr, "* %s, %s by %s, ALPN %s\n", t.version, t.cipher,
                  t.engine, t.alpn[0] != '\0' ? t.alpn : "none");
    (void)fprintf(stderr, "* server %s, %s, SHA-256 %s\n", t.peer_subject,
                  t.verified ? "verified" : "NOT VERIFIED", t.peer_fingerprint);
}

static void tell_request(struct fetch *f, const struct conduit_http_call *call)
{
    const char *line;

    if (!f->o.verbose || f->told) {
        return;
    }
    f->told = true;
    tell_attempts(call);
    if (conduit_http_call_conn(call) == NULL) {
        return;
    }
    tell_tls(conduit_http_call_conn(call));
    for (size_t i = 0; (line = conduit_http_call_sent(call, i)) != NULL; i++) {
        (void)fprintf(stderr, "> %s\n", line);
    }
    (void)fputs(">\n", stderr);
}

static void tell_answer(const struct conduit_http_call *call)
{
    struct conduit_http_field field;

    (void)fprintf(stderr, "< HTTP/1.%d %d %s\n", conduit_http_call_minor(call),
                  conduit_http_call_status(call),
                  conduit_http_call_reason(call));
    for (size_t i = 0; conduit_http_call_field(call, i, &field); i++) {
        (void)fprintf(stderr, "< %s: %s\n", field.name, field.value);
    }
    (void)fputs("<\n", stderr);
}

/* ---- ending ---- */

static void stop(struct fetch *f, int status)
{
    f->status = status;
    f->call = NULL;
    conduit_timer_clear(conduit_ctx_loop(f->ctx), &f->again);
    conduit_loop_stop(conduit_ctx_loop(f->ctx));
}

/* Ends with a failure on this side of the connection. */
static void give_up(struct fetch *f, int status)
{
    struct conduit_http_call *call = f->call;

    stop(f, status);
    conduit_http_call_cancel(call);
}

static void on_done(void *arg, struct conduit_http_call *call,
                    const struct conduit_error *err)
{
    struct fetch *f = arg;
    int status = FETCH_OK;

    if (f->status != FETCH_OK) { /* the source's failure, told already */
        status = f->status;
    } else if (err != NULL) {
        tell_request(f, call);
        status = complain(f, fetch_status_of(err, call), "%s", err->text);
    }
    stop(f, status);
}

static void on_shutdown(void *arg)
{
    struct fetch *f = arg;

    give_up(f, complain(f, FETCH_INTERRUPTED, "interrupted"));
}

/* ---- the request's body ---- */

static void on_again(struct conduit_timer *timer)
{
    struct fetch *f = (struct fetch *)(void *)((char *)timer -
                                               offsetof(struct fetch, again));

    if (f->call != NULL) {
        conduit_http_call_resume(f->call);
    }
}

static void ask_again(struct fetch *f)
{
    conduit_timer_set(conduit_ctx_loop(f->ctx), &f->again, AGAIN_MS);
}

static long read_body(void *arg, struct conduit_http_call *call, void *buf,
                      size_t n)
{
    struct fetch *f = arg;
    ssize_t got;

    (void)call;
    if (!f->in_regular && !fetch_readable(f->in)) {
        ask_again(f);
        return CONDUIT_AGAIN;
    }
    do {
        got = read(f->in, buf, n < SSIZE_MAX ? n : SSIZE_MAX);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        ask_again(f);
        return CONDUIT_AGAIN;
    }
    if (got > 0) {
        return got;
    }
    if (got < 0) {
        f->status = complain(f, FETCH_READ, "%s: %s", f->o.data_file,
                             strerror(errno));
        return CONDUIT_EIO;
    }
    if (f->in_regular) { /* whose length was promised */
        f->status = complain(f, FETCH_READ, "%s: became shorter meanwhile",
                             f->o.data_file);
    }
    return CONDUIT_END;
}

/* What is left of a file, where that can be known. */
static int open_body(struct fetch *f, struct conduit_http_call_options *call)
{
    const char *name = f->o.data_file;
    struct stat st;
    off_t at;

    f->in = strcmp(name, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                   : open(name, O_RDONLY | O_CLOEXEC);
    if (f->in < 0 || fstat(f->in, &st) != 0) {
        return complain(f, FETCH_READ, "%s: %s", name, strerror(errno));
    }
    call->source = read_body;
    call->source_length = CONDUIT_HTTP_UNKNOWN;
    at = lseek(f->in, 0, SEEK_CUR);
    if (S_ISREG(st.st_mode) && at >= 0) {
        f->in_regular = true;
        call->source_length = at < st.st_size ? (uint64_t)(st.st_size - at) : 0;
    }
    return FETCH_OK;
}

/* ---- the answer ---- */

static void write_failed(struct fetch *f, int code)
{
    give_up(f, complain(f, FETCH_WRITE, "cannot write to %s: %s",
                        f->o.output != NULL ? f->o.output : "standard output",
                        strerror(code)));
}

static size_t write_body(void *arg, struct conduit_http_call *call,
                         const void *data, size_t n)
{
    struct fetch *f = arg;
    const char *bytes = data;
    size_t done = 0;

    (void)call;
    while (done < n) {
        long k = fetch_output_write(&f->out, bytes + done, n - done);

        if (k < 0) {
            write_failed(f, (int)-k);
            return done;
        }
        if (k == 0) {
            ask_again(f);
            return done;
        }
        done += (size_t)k;
    }
    return done;
}

/* The answer's head, for -i. 0, or an errno. */
static int write_head(struct fetch *f, const struct conduit_http_call *call)
{
    struct conduit_http_field field;
    int code = fetch_output_print(
        &f->out, "HTTP/1.%d %d %s\r\n", conduit_http_call_minor(call),
        conduit_http_call_status(call), conduit_http_call_reason(call));

    for (size_t i = 0; code == 0 && conduit_http_call_field(call, i, &field);
         i++) {
        code = fetch_output_print(&f->out, "%s: %s\r\n", field.name,
                                  field.value);
    }
    return code == 0 ? fetch_output_print(&f->out, "\r\n") : code;
}

static void on_head(void *arg, struct conduit_http_call *call)
{
    struct fetch *f = arg;
    int answer = conduit_http_call_status(call);
    int code;

    tell_request(f, call);
    if (f->o.verbose) {
        tell_answer(call);
    }
    if (f->o.fail && answer >= 400) {
        give_up(f, complain(f, FETCH_HTTP,
                            "the requested URL returned error: %d", answer));
        return;
    }
    code = fetch_output_open(&f->out, f->o.output);
    if (code == 0 && f->o.include) {
        code = write_head(f, call);
    }
    if (code != 0) {
        write_failed(f, code);
    }
}

/* ---- the command ---- */

/* What is wrong with a certificate or a key shows here. */
static int start_tls(struct fetch *f, struct conduit_options *options)
{
    struct conduit_error err;

    if (!tls_options_wanted(f->o.uri)) {
        return FETCH_OK;
    }
    if (tls_options_make(&f->o.tls, f->ctx, NULL, true, &f->tls, &err) != 0) {
        return complain(f, fetch_status_of_tls(&err), "%s", err.text);
    }
    options->tls = f->tls;
    options->tls_name = f->o.tls.name;
    return FETCH_OK;
}

static int start(struct fetch *f)
{
    struct conduit_http_options options = {
        .max_body = UINT64_MAX,
        /* How long is too long is for the user to say, with -m. */
        .body_ms = UINT_MAX,
        .answer_ms = UINT_MAX,
    };
    struct conduit_http_call_options call = {
        .method = f->o.method,
        .fields = f->o.fields,
        .field_count = f->o.field_count,
        .body = f->o.data,
        .body_size = f->o.data != NULL ? strlen(f->o.data) : 0,
        .head = on_head,
        .data = write_body,
        .done = on_done,
        .arg = f,
        .total_ms = f->o.max_ms,
    };
    struct conduit_error err;
    int status = start_tls(f, &options.conn);

    if (status != FETCH_OK) {
        return status;
    }
    if (f->o.data_file != NULL && open_body(f, &call) != FETCH_OK) {
        return FETCH_READ;
    }
    if (conduit_http_client_new(f->ctx, f->o.uri, &options, &f->client, &err) !=
            0 ||
        conduit_http_call(f->client, &call, &f->call, &err) != 0) {
        return complain(f, fetch_status_of(&err, NULL), "%s", err.text);
    }
    return FETCH_OK;
}

static void run(struct fetch *f)
{
    int code;

    f->again.fire = on_again;
    (void)signal(SIGPIPE, SIG_IGN); /* standard output's reader may go */
    conduit_ctx_on_shutdown(f->ctx, on_shutdown, f);
    f->status = start(f);
    if (f->status == FETCH_OK) {
        conduit_loop_run(conduit_ctx_loop(f->ctx));
    }
    conduit_ctx_on_shutdown(f->ctx, NULL, NULL);
    conduit_http_client_free(f->client);
    conduit_tls_unref(f->tls);
    code = fetch_output_close(&f->out, f->status == FETCH_OK);
    if (code != 0 && f->status == FETCH_OK) {
        f->status = complain(f, FETCH_WRITE, "%s: %s", f->o.output,
                             strerror(code));
    }
    if (f->in >= 0) {
        (void)close(f->in);
    }
}

int fetch_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    struct fetch f = {.ctx = ctx, .out = {.fd = -1}, .in = -1};

    f.status = fetch_options_parse(&f.o, argc, argv);
    if (f.status == FETCH_OK && f.o.help) {
        (void)fputs(fetch_usage, stdout);
    } else if (f.status == FETCH_OK) {
        run(&f);
    }
    fetch_options_free(&f.o);
    return f.status;
}
