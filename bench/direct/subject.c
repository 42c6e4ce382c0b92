/* SPDX-License-Identifier: ISC */
/*
 * A process that serves, on conduit: takes bytes, gives bytes, echoes, answers
 * by HTTP. It does not know over which stack.
 */
#include "bench.h"
#include "direct_bench.h"

#include <conduit/conduit.h>
#include <conduit/unix.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ECHO_MAX 4096

static char block[1 << 18];

/* Of a connection: how many bytes the peer has announced, in its first eight,
 * and how many of them are left. */
struct bulk {
    uint64_t left;
    bool told;
};

static struct conduit_ctx *context;

static void end(struct conduit_conn *c, struct bulk *b)
{
    free(b);
    conduit_conn_close(c);
}

/* false: not yet, or it has ended. */
static bool is_told(struct conduit_conn *c, struct bulk *b)
{
    long n;

    if (b->told) {
        return true;
    }
    n = conduit_conn_read(c, &b->left, sizeof b->left);
    if (n == CONDUIT_AGAIN) {
        conduit_conn_want(c, CONDUIT_READ);
        return false;
    }
    if (n != (long)sizeof b->left) {
        end(c, b);
        return false;
    }
    b->told = true;
    return true;
}

static void take(void *arg, struct conduit_conn *c, unsigned events)
{
    struct bulk *b = arg;
    struct conduit_win win;
    long n;

    (void)events;
    if (!is_told(c, b)) {
        return;
    }
    while ((n = conduit_conn_peek(c, &win)) > 0) {
        conduit_conn_consume(c, (size_t)n);
        b->left -= (uint64_t)n;
        if (b->left == 0) {
            (void)conduit_conn_write(c, "x", 1);
        }
    }
    if (n != CONDUIT_AGAIN) {
        end(c, b);
    } else {
        conduit_conn_want(c, CONDUIT_READ);
    }
}

static void give(void *arg, struct conduit_conn *c, unsigned events)
{
    struct bulk *b = arg;
    char spare;
    long n = CONDUIT_AGAIN;

    (void)events;
    if (!is_told(c, b)) {
        return;
    }
    while (b->left > 0) {
        n = conduit_conn_lend(
            c, block, b->left < sizeof block ? b->left : sizeof block, NULL);
        if (n < 0) {
            break;
        }
        b->left -= (uint64_t)n;
    }
    if (b->left == 0) {
        n = conduit_conn_read(c, &spare, 1);
    }
    if (n != CONDUIT_AGAIN) {
        end(c, b);
    } else {
        conduit_conn_want(c, b->left > 0 ? CONDUIT_WRITE : CONDUIT_READ);
    }
}

/* Messages are so small, and so few under way, that there is always room. */
static void echo(void *arg, struct conduit_conn *c, unsigned events)
{
    char buf[ECHO_MAX];
    long n = conduit_conn_read(c, buf, sizeof buf);

    (void)arg;
    (void)events;
    if (n > 0 && conduit_conn_write(c, buf, (size_t)n) == n) {
        conduit_conn_want(c, CONDUIT_READ);
    } else if (n != CONDUIT_AGAIN) {
        conduit_conn_close(c);
    }
}

static void took(void *arg, struct conduit_listener *l, struct conduit_conn *c)
{
    (void)l;
    conduit_conn_set_handler(c, echo, arg, CONDUIT_READ);
}

static void took_bulk(void *arg, struct conduit_listener *l,
                      struct conduit_conn *c)
{
    struct bulk *b = calloc(1, sizeof *b);

    (void)l;
    if (b == NULL) {
        bench_die("out of memory");
    }
    conduit_conn_set_handler(c, arg != NULL ? take : give, b, CONDUIT_READ);
}

static void answer(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    (void)conduit_http_reply(r, 200, "application/json",
                             "{\"counter\":12345678901234}", 26);
}

static void listen_at(const char *address, int port, conduit_accept_fn *fn,
                      void *arg)
{
    struct conduit_listener *listener;
    struct conduit_error err;
    char uri[64];

    (void)snprintf(uri, sizeof uri, "tcp://%s:%d", address, port);
    if (conduit_listen(context, uri, NULL, fn, arg, &listener, &err) != 0) {
        bench_die(err.text);
    }
}

static void listen_http(const char *address)
{
    struct conduit_http_server *server;
    struct conduit_listener *listener;
    struct conduit_error err;
    char uri[64];

    (void)snprintf(uri, sizeof uri, "http://%s:%d", address, BENCH_HTTP);
    if (conduit_http_server_new(context, NULL, &server, &err) != 0 ||
        conduit_http_route(server, "GET", "/", answer, NULL, &err) != 0 ||
        conduit_http_server_listen(server, uri, &listener, &err) != 0) {
        bench_die(err.text);
    }
}

static void choose_stack(const struct bench_subject *s)
{
    char net[128] = "socket";

    if (s->direct) {
        (void)snprintf(net, sizeof net, "direct,tap=%s,ip=%s/24%s", s->device,
                       s->address, s->offload ? "" : ",offload=off");
    } else {
        bench_net_enter_subject();
    }
    if (setenv("CONDUIT_NET", net, 1) != 0) {
        bench_die("out of memory");
    }
}

static void serve(const struct bench_subject *s, int ready)
{
    struct conduit_error err = {.text = "no context"};

    bench_pin(1);
    choose_stack(s);
    if (conduit_unix_new(NULL, NULL, &context, &err) != 0 ||
        conduit_register_all(context) != 0) {
        bench_die(err.text);
    }
    listen_at(s->address, BENCH_INTO, took_bulk, block);
    listen_at(s->address, BENCH_OUT_OF, took_bulk, NULL);
    listen_at(s->address, BENCH_ECHO, took, NULL);
    listen_http(s->address);
    if (write(ready, "x", 1) != 1) {
        bench_die("the pipe broke");
    }
    (void)conduit_loop_run(conduit_ctx_loop(context));
}

void bench_subject_start(struct bench_subject *s)
{
    char byte;
    int fds[2];

    if (pipe(fds) != 0) {
        bench_die("no pipe");
    }
    s->process = fork();
    if (s->process == 0) {
        (void)close(fds[0]);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(s, fds[1]);
        _exit(0);
    }
    (void)close(fds[1]);
    if (s->process < 0 || read(fds[0], &byte, 1) != 1) {
        bench_die("a process does not serve");
    }
    (void)close(fds[0]);
}

void bench_subject_stop(struct bench_subject *s)
{
    if (s->process > 0) {
        (void)kill(s->process, SIGKILL);
        (void)waitpid(s->process, NULL, 0);
        s->process = 0;
    }
}
