/* SPDX-License-Identifier: ISC */
/*
 * What an idle connection costs beside the kernel's part: 10,000 of them, the
 * growth of the heap and of the resident memory divided by their number, for
 * the side that accepts and the side that dials. libevent's part is included.
 */
#include "bench.h"

#include <conduit/conn.h>
#include <conduit/context.h>
#include <conduit/unix.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS 10000
#define AT_ONCE 64
#define LIMIT 512.0 /* bytes a connection */

struct side {
    struct conduit_ctx *ctx;
    char uri[128];
    long open;
    long dialled;
    size_t heap;
    long resident;
};

static long resident_bytes(void)
{
    char line[128];
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f != NULL) {
        if (fgets(line, sizeof line, f) != NULL) {
            char *end = line;

            (void)strtol(line, &end, 10);
            pages = strtol(end, NULL, 10);
        }
        (void)fclose(f);
    }
    return pages * sysconf(_SC_PAGESIZE);
}

static void measure(struct side *s)
{
    s->heap = mallinfo2().uordblks;
    s->resident = resident_bytes();
}

static void report(const struct side *s, const char *who)
{
    double heap = (double)(mallinfo2().uordblks - s->heap) / CONNECTIONS;
    double resident = (double)(resident_bytes() - s->resident) / CONNECTIONS;
    char name[64];

    (void)snprintf(name, sizeof name, "idle connection, %s, heap", who);
    bench_line(name, heap, LIMIT, heap / LIMIT, "<=1.00", "bytes");
    (void)snprintf(name, sizeof name, "idle connection, %s, resident", who);
    bench_line(name, resident, LIMIT, resident / LIMIT, "-", "bytes");
}

static void new_side(struct side *s)
{
    struct conduit_error err;

    memset(s, 0, sizeof *s);
    if (conduit_unix_new(NULL, NULL, &s->ctx, &err) != 0 ||
        conduit_register_tcp(s->ctx) != 0) {
        bench_die("no context");
    }
}

static void ignore(void *arg, struct conduit_conn *c, unsigned events)
{
    struct side *s = arg;
    char byte;

    (void)events;
    if (conduit_conn_read(c, &byte, 1) != CONDUIT_AGAIN) {
        conduit_conn_close(c);
        if (--s->open == 0) {
            conduit_loop_stop(conduit_ctx_loop(s->ctx));
        }
    }
}

static void accepted(void *arg, struct conduit_listener *l,
                     struct conduit_conn *c)
{
    struct side *s = arg;

    (void)l;
    conduit_conn_set_handler(c, ignore, s, CONDUIT_READ);
    if (++s->open == CONNECTIONS) {
        report(s, "accepted");
    }
}

static void run_server(int out)
{
    struct side s;
    struct conduit_listener *l;
    struct conduit_error err;
    const char *uri;

    new_side(&s);
    if (conduit_listen(s.ctx, "tcp://127.0.0.1:0", NULL, accepted, &s, &l,
                       &err) != 0) {
        bench_die(err.text);
    }
    uri = conduit_listener_uri(l);
    measure(&s);
    if (write(out, uri, strlen(uri) + 1) < 0) {
        bench_die("the pipe broke");
    }
    (void)conduit_loop_run(conduit_ctx_loop(s.ctx));
    conduit_loop_finish(conduit_ctx_loop(s.ctx));
    conduit_ctx_free(s.ctx);
}

static void dial_next(struct side *s);

static void dialed(void *arg, struct conduit_dial *dial, struct conduit_conn *c,
                   const struct conduit_error *err)
{
    struct side *s = arg;

    (void)dial;
    if (c == NULL) {
        bench_die(err->text);
    }
    conduit_conn_set_handler(c, ignore, s, CONDUIT_READ);
    if (++s->open == CONNECTIONS) {
        conduit_loop_stop(conduit_ctx_loop(s->ctx));
    }
    dial_next(s);
}

static void dial_next(struct side *s)
{
    struct conduit_error err;

    if (s->dialled == CONNECTIONS) {
        return;
    }
    s->dialled++;
    if (conduit_dial(s->ctx, s->uri, NULL, dialed, s, NULL, &err) != 0) {
        bench_die(err.text);
    }
}

static void raise_limit(void)
{
    struct rlimit limit;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < CONNECTIONS + 64) {
        limit.rlim_cur = CONNECTIONS + 64;
        if (limit.rlim_max < limit.rlim_cur) {
            limit.rlim_max = limit.rlim_cur;
        }
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            bench_die("10,064 descriptors are not allowed: raise the limit "
                      "(ulimit -n) and run it again");
        }
    }
}

int main(void)
{
    struct side s;
    int fds[2];
    pid_t child;
    int i;

    raise_limit();
    if (pipe(fds) != 0) {
        bench_die("no pipe");
    }
    child = fork();
    if (child == 0) {
        run_server(fds[1]);
        _exit(0);
    }
    (void)close(fds[1]);
    new_side(&s);
    if (read(fds[0], s.uri, sizeof s.uri - 1) <= 0) {
        bench_die("no peer");
    }
    measure(&s);
    for (i = 0; i < AT_ONCE; i++) {
        dial_next(&s);
    }
    (void)conduit_loop_run(conduit_ctx_loop(s.ctx));
    report(&s, "dialled");
    conduit_ctx_free(s.ctx);
    (void)waitpid(child, NULL, 0);
    return 0;
}
