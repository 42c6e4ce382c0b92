/* SPDX-License-Identifier: ISC */
/* Both sides of a measurement, on conduit. */
#include "bench.h"

#include <conduit/conn.h>
#include <conduit/context.h>
#include <conduit/unix.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct side {
    struct conduit_ctx *ctx;
    const struct bench_job *job;
    char *buf;
    uint64_t taken; /* of a stream */
    size_t got;     /* bytes of the message that is being read */
    size_t put;     /* bytes of the message that is being written */
    long left;      /* messages */
    double begin;
    double last; /* round's end */
    double end;
};

static struct conduit_ctx *new_context(void)
{
    struct conduit_error err;
    struct conduit_ctx *ctx;

    if (conduit_unix_new(NULL, NULL, &ctx, &err) != 0 ||
        conduit_register_all(ctx) != 0) {
        bench_die("no context");
    }
    return ctx;
}

static void stop(struct side *s, struct conduit_conn *c)
{
    conduit_conn_close(c);
    conduit_loop_stop(conduit_ctx_loop(s->ctx));
}

/* ---- the forked side ---- */

/* Sends back what was read; false while the peer takes no more. */
static bool send_back(struct side *s, struct conduit_conn *c)
{
    while (s->put > 0) {
        long n = conduit_conn_write(c, s->buf + s->got - s->put, s->put);

        if (n < 0) {
            return false;
        }
        s->put -= (size_t)n;
    }
    return true;
}

/* The sum of bytes, for which each of them is looked at. */
static uint64_t sum_of(const uint8_t *at, size_t n)
{
    uint64_t sum = 0;
    uint64_t word;

    for (; n >= sizeof word; at += sizeof word, n -= sizeof word) {
        memcpy(&word, at, sizeof word);
        sum += word;
    }
    return sum;
}

static volatile uint64_t sink;

/* A message's bytes as they lie there, or by way of a buffer. */
static long take(struct side *s, struct conduit_conn *c)
{
    struct conduit_win win;
    long n;

    if (s->job->use != BENCH_IN_PLACE) {
        n = conduit_conn_read(c, s->buf, s->job->size);
        if (n > 0 && s->job->use == BENCH_COPIED) {
            sink += sum_of((uint8_t *)s->buf, (size_t)n);
        }
        return n;
    }
    n = conduit_conn_peek(c, &win);
    if (n > 0) {
        sink += sum_of(win.seg[0].data, win.seg[0].size) +
                sum_of(win.seg[1].data, win.seg[1].size);
        conduit_conn_consume(c, (size_t)n);
    }
    return n;
}

static void serve_stream(struct side *s, struct conduit_conn *c)
{
    uint64_t all = (uint64_t)s->job->size * (uint64_t)s->job->rounds;
    long n;

    while ((n = take(s, c)) > 0) {
        s->taken += (uint64_t)n;
    }
    if (n != CONDUIT_AGAIN) {
        stop(s, c);
        return;
    }
    if (s->taken == all) {
        s->taken++;
        (void)conduit_conn_write(c, "x", 1);
    }
    conduit_conn_want(c, CONDUIT_READ);
}

/* Echo: a read for each event, as on the bare side. */
static void serve(void *arg, struct conduit_conn *c, unsigned events)
{
    struct side *s = arg;
    long n;

    if (!s->job->echo) {
        serve_stream(s, c);
        return;
    }
    if ((events & CONDUIT_WRITE) != 0 && !send_back(s, c)) {
        return;
    }
    n = conduit_conn_read(c, s->buf, s->job->size);
    if (n > 0) {
        s->got = (size_t)n;
        s->put = (size_t)n;
        conduit_conn_want(c, send_back(s, c) ? CONDUIT_READ : CONDUIT_WRITE);
    } else if (n != CONDUIT_AGAIN) {
        stop(s, c);
    } else {
        conduit_conn_want(c, CONDUIT_READ);
    }
}

static void accepted(void *arg, struct conduit_listener *l,
                     struct conduit_conn *c)
{
    conduit_listener_close(l);
    conduit_conn_set_handler(c, serve, arg, CONDUIT_READ);
}

static void run_server(const struct bench_job *job, int out)
{
    struct side s = {.job = job, .ctx = new_context()};
    struct conduit_listener *l;
    struct conduit_error err;
    char uri[128];
    const char *real;

    (void)snprintf(uri, sizeof uri, job->transport->uri, (int)getpid());
    s.buf = malloc(job->size);
    if (conduit_listen(s.ctx, uri, NULL, accepted, &s, &l, &err) != 0) {
        bench_die(err.text);
    }
    real = conduit_listener_uri(l);
    if (write(out, real, strlen(real) + 1) < 0) {
        bench_die("the pipe broke");
    }
    (void)conduit_loop_run(conduit_ctx_loop(s.ctx));
    conduit_loop_finish(conduit_ctx_loop(s.ctx));
    conduit_ctx_free(s.ctx);
    free(s.buf);
}

/* ---- the measuring side ---- */

/* Part of a message, which is made where it goes to, or copied there. */
static long give(struct side *s, struct conduit_conn *c)
{
    size_t left = s->job->size - s->put;
    struct conduit_win win;
    long n;

    if (s->job->use != BENCH_IN_PLACE) {
        if (s->job->use == BENCH_COPIED && s->put == 0) {
            memset(s->buf, (int)s->left, s->job->size);
        }
        return conduit_conn_write(c, s->buf + s->put, left);
    }
    n = conduit_conn_reserve(c, &win);
    if (n > 0) {
        n = win.seg[0].size < left ? (long)win.seg[0].size : (long)left;
        memset(win.seg[0].data, (int)s->left, (size_t)n);
        conduit_conn_commit(c, (size_t)n);
    }
    return n;
}

static void drive_stream(void *arg, struct conduit_conn *c, unsigned events)
{
    struct side *s = arg;
    long n;

    while (s->left > 0) {
        n = give(s, c);
        if (n < 0) {
            return;
        }
        s->put += (size_t)n;
        if (s->put == s->job->size) {
            s->put = 0;
            s->left--;
        }
    }
    if ((events & CONDUIT_READ) != 0 &&
        conduit_conn_read(c, s->buf, 1) != CONDUIT_AGAIN) {
        s->end = bench_now(); /* the peer has read all of it */
        stop(s, c);
    } else {
        conduit_conn_want(c, CONDUIT_READ);
    }
}

static void drive_echo(void *arg, struct conduit_conn *c, unsigned events)
{
    struct side *s = arg;
    size_t size = s->job->size;
    long n;

    (void)events;
    while ((n = conduit_conn_read(c, s->buf + s->got, size - s->got)) > 0) {
        s->got += (size_t)n;
        if (s->got < size) {
            continue;
        }
        s->got = 0;
        if (s->job->each != NULL) {
            double now = bench_now();

            s->job->each[s->job->rounds - s->left] = now - s->last;
            s->last = now;
        }
        if (--s->left == 0) {
            s->end = bench_now();
            stop(s, c);
            return;
        }
        s->put = 0;
        break;
    }
    while (s->put < size) {
        n = conduit_conn_write(c, s->buf + s->put, size - s->put);
        if (n < 0) {
            break;
        }
        s->put += (size_t)n;
    }
    conduit_conn_want(c, s->put < size ? CONDUIT_READ | CONDUIT_WRITE
                                       : CONDUIT_READ);
}

static void dialed(void *arg, struct conduit_dial *dial, struct conduit_conn *c,
                   const struct conduit_error *err)
{
    struct side *s = arg;

    (void)dial;
    if (c == NULL) {
        bench_die(err->text);
    }
    s->begin = bench_now();
    s->last = s->begin;
    if (s->job->echo) {
        conduit_conn_set_handler(c, drive_echo, s,
                                 CONDUIT_READ | CONDUIT_WRITE);
    } else {
        conduit_conn_set_handler(c, drive_stream, s, CONDUIT_WRITE);
    }
}

double bench_run_conduit(const struct bench_job *job)
{
    struct side s = {.job = job, .left = job->rounds};
    struct conduit_error err;
    char uri[128] = "";
    int fds[2];
    pid_t child;

    if (pipe(fds) != 0) {
        bench_die("no pipe");
    }
    child = fork();
    if (child == 0) {
        bench_pin(1);
        run_server(job, fds[1]);
        _exit(0);
    }
    bench_pin(0);
    (void)close(fds[1]);
    if (read(fds[0], uri, sizeof uri - 1) <= 0) {
        bench_die("no peer");
    }
    s.ctx = new_context();
    s.buf = calloc(1, job->size);
    if (conduit_dial(s.ctx, uri, NULL, dialed, &s, NULL, &err) != 0) {
        bench_die(err.text);
    }
    (void)conduit_loop_run(conduit_ctx_loop(s.ctx));
    conduit_loop_finish(conduit_ctx_loop(s.ctx));
    conduit_ctx_free(s.ctx);
    free(s.buf);
    (void)close(fds[0]);
    (void)waitpid(child, NULL, 0);
    return s.end - s.begin;
}
