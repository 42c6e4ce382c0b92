/* SPDX-License-Identifier: ISC */
/*
 * Shared memory between two processes on two CPUs: against a bare ring, against
 * the best of pipe, Unix socket and TCP over loopback, and HTTP over it.
 */
#include "bench.h"

#include <conduit/conduit.h>
#include <conduit/unix.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPEATS 9
#define ROUNDS 200000
#define GBIT 8e-9

static const struct bench_transport vchan = {"vchan", "vchan://bench.%d"};

typedef double run_fn(const struct bench_job *job);

static double run_tcp(const struct bench_job *job)
{
    struct bench_job mine = *job;

    mine.transport = &bench_transports[0];
    return bench_run_bare(&mine);
}

static double run_unix(const struct bench_job *job)
{
    struct bench_job mine = *job;

    mine.transport = &bench_transports[1];
    return bench_run_bare(&mine);
}

static double run_copied(const struct bench_job *job)
{
    struct bench_job mine = *job;

    mine.use = BENCH_COPIED;
    return bench_run_conduit(&mine);
}

static double run_in_place(const struct bench_job *job)
{
    struct bench_job mine = *job;

    mine.use = BENCH_IN_PLACE;
    return bench_run_conduit(&mine);
}

/* Medians of seconds a round, by turns. */
static void medians(const struct bench_job *job, const long *rounds,
                    run_fn *const *runs, size_t n, double *out)
{
    double all[6][REPEATS];

    for (int i = 0; i < REPEATS; i++) {
        for (size_t k = 0; k < n; k++) {
            struct bench_job mine = *job;

            mine.rounds = rounds[k];
            all[k][i] = runs[k](&mine) / (double)rounds[k];
        }
    }
    for (size_t k = 0; k < n; k++) {
        out[k] = bench_median(all[k], REPEATS);
    }
}

/* ---- one way ---- */

static void one_way(size_t size, long rounds, const char *of_bare,
                    const char *of_best)
{
    static run_fn *const runs[] = {bench_run_conduit, bench_run_ring,
                                   bench_run_pipe, run_unix, run_tcp};
    static const char *const names[] = {"pipe", "unix", "tcp"};
    const long counts[] = {rounds, rounds, rounds / 10, rounds / 10,
                           rounds / 10};
    struct bench_job job = {.transport = &vchan, .size = size};
    double s[5];
    double bits = GBIT * (double)size;
    size_t best = 0;
    char name[64];

    medians(&job, counts, runs, 5, s);
    for (size_t i = 1; i < 3; i++) {
        best = s[2 + i] < s[2 + best] ? i : best;
    }
    (void)snprintf(name, sizeof name, "vchan %zu B/bare ring", size);
    bench_line(name, bits / s[0], bits / s[1], s[1] / s[0], of_bare, "Gbit/s");
    (void)snprintf(name, sizeof name, "vchan %zu B/%s", size, names[best]);
    bench_line(name, bits / s[0], bits / s[2 + best], s[2 + best] / s[0],
               of_best, "Gbit/s");
}

static void in_place(void)
{
    static run_fn *const runs[] = {run_in_place, run_copied};
    const long counts[] = {20000, 20000};
    struct bench_job job = {.transport = &vchan, .size = 65536};
    double bits = GBIT * (double)job.size;
    double s[2];

    medians(&job, counts, runs, 2, s);
    bench_line("vchan 65536 B in place/copied", bits / s[0], bits / s[1],
               s[1] / s[0], "1.0", "Gbit/s");
}

/* ---- round trips ---- */

/* The median of all rounds: what a round costs while nobody takes the
 * processors away. */
static double median_round(run_fn *run)
{
    static double each[ROUNDS];
    struct bench_job job = {.transport = &vchan,
                            .size = 64,
                            .rounds = ROUNDS,
                            .echo = true,
                            .each = each};

    (void)run(&job);
    return bench_median(each, ROUNDS);
}

static void spinning(void)
{
    double ours[REPEATS];
    double bare[REPEATS];
    double a;
    double b;

    for (int i = 0; i < REPEATS; i++) {
        ours[i] = median_round(bench_run_conduit);
        bare[i] = median_round(bench_run_ring);
    }
    a = 1e6 * bench_median(ours, REPEATS);
    b = 1e6 * bench_median(bare, REPEATS);
    bench_line("vchan round trip, spinning/bare ring", a, b, a / b, "-", "us");
    bench_line("vchan round trip, spinning/0.5 us", a, 0.5, a / 0.5, "<=1.0",
               "us");
}

static void sleeping(void)
{
    static run_fn *const runs[] = {bench_run_conduit, run_unix};
    const long counts[] = {10000, 10000};
    struct bench_job job = {.transport = &vchan, .size = 64, .echo = true};
    double s[2];

    (void)setenv("CONDUIT_VCHAN_SPIN_US", "0", 1);
    medians(&job, counts, runs, 2, s);
    (void)unsetenv("CONDUIT_VCHAN_SPIN_US");
    bench_line("vchan round trip, sleeping/bare unix", 1e6 * s[0], 1e6 * s[1],
               s[0] / s[1], "<=1.1", "us");
}

/* ---- HTTP ---- */

struct asker {
    struct conduit_ctx *ctx;
    struct conduit_http_client *client;
    long left;
};

static struct conduit_ctx *new_context(void)
{
    struct conduit_error err = {.text = "no context"};
    struct conduit_ctx *ctx;

    if (conduit_unix_new(NULL, NULL, &ctx, &err) != 0 ||
        conduit_register_all(ctx) != 0) {
        bench_die(err.text);
    }
    return ctx;
}

static void answer(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    (void)conduit_http_reply(r, 200, "application/json",
                             "{\"counter\":12345678901234}", 26);
}

static void run_http_server(const char *uri, int out)
{
    struct conduit_ctx *ctx = new_context();
    struct conduit_http_server *server;
    struct conduit_listener *listener;
    struct conduit_error err;
    const char *real;

    if (conduit_http_server_new(ctx, NULL, &server, &err) != 0 ||
        conduit_http_route(server, "GET", "/", answer, NULL, &err) != 0 ||
        conduit_http_server_listen(server, uri, &listener, &err) != 0) {
        bench_die(err.text);
    }
    real = conduit_listener_uri(listener);
    if (write(out, real, strlen(real)) < 0) {
        bench_die("the pipe broke");
    }
    (void)conduit_loop_run(conduit_ctx_loop(ctx));
}

static void ask(struct asker *a);

static void answered(void *arg, const struct conduit_http_answer *got,
                     const struct conduit_error *err)
{
    struct asker *a = arg;

    if (got == NULL || got->status != 200) {
        bench_die(err != NULL ? err->text : "not 200");
    }
    if (--a->left == 0) {
        conduit_loop_stop(conduit_ctx_loop(a->ctx));
    } else {
        ask(a);
    }
}

static void ask(struct asker *a)
{
    struct conduit_error err;

    if (conduit_http_fetch(a->client, "GET", "/", NULL, NULL, 0, answered, a,
                           &err) != 0) {
        bench_die(err.text);
    }
}

/* Seconds an answer, on one connection. */
static double http(const char *at, long rounds)
{
    struct asker a = {.ctx = new_context(), .left = 1};
    struct conduit_error err;
    char uri[128] = "";
    int fds[2];
    pid_t child;
    double begin;

    if (pipe(fds) != 0) {
        bench_die("no pipe");
    }
    child = fork();
    if (child == 0) {
        bench_pin(1);
        (void)snprintf(uri, sizeof uri, at, (int)getpid());
        run_http_server(uri, fds[1]);
        _exit(0);
    }
    bench_pin(0);
    if (read(fds[0], uri, sizeof uri - 1) <= 0 ||
        conduit_http_client_new(a.ctx, uri, NULL, &a.client, &err) != 0) {
        bench_die("no server");
    }
    ask(&a);
    (void)conduit_loop_run(conduit_ctx_loop(a.ctx)); /* connected now */
    a.left = rounds;
    begin = bench_now();
    ask(&a);
    (void)conduit_loop_run(conduit_ctx_loop(a.ctx));
    begin = bench_now() - begin;
    conduit_http_client_free(a.client);
    conduit_ctx_free(a.ctx);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return begin / (double)rounds;
}

/* `share`: of the rounds, for the peer. */
static void http_over(const char *name, const char *ours, const char *peer,
                      const char *target, long rounds, long share)
{
    double a[REPEATS];
    double b[REPEATS];
    double x;
    double y;

    for (int i = 0; i < REPEATS; i++) {
        a[i] = http(ours, rounds);
        b[i] = http(peer, rounds / share);
    }
    x = bench_median(a, REPEATS);
    y = bench_median(b, REPEATS);
    bench_line(name, 1e-3 / x, 1e-3 / y, y / x, target, "k/s");
}

/* ---- idle ---- */

static double cpu_seconds(int who)
{
    struct rusage use;

    (void)getrusage(who, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void keep(void *arg, struct conduit_conn *c, unsigned events)
{
    (void)arg;
    (void)c;
    (void)events;
}

static void took(void *arg, struct conduit_listener *l, struct conduit_conn *c)
{
    (void)l;
    conduit_conn_set_handler(c, keep, arg, CONDUIT_READ);
}

static void reached(void *arg, struct conduit_dial *dial,
                    struct conduit_conn *c, const struct conduit_error *err)
{
    (void)dial;
    if (c == NULL) {
        bench_die(err->text);
    }
    conduit_conn_set_handler(c, keep, arg, CONDUIT_READ);
}

/* Both ends in one context, for a second. */
static void idle(void)
{
    struct conduit_ctx *ctx = new_context();
    struct conduit_loop *loop = conduit_ctx_loop(ctx);
    struct conduit_listener *l;
    struct conduit_error err;
    double begin;
    double end;

    if (conduit_listen(ctx, "vchan://bench.idle", NULL, took, NULL, &l, &err) !=
            0 ||
        conduit_dial(ctx, "vchan://bench.idle", NULL, reached, NULL, NULL,
                     &err) != 0) {
        bench_die(err.text);
    }
    begin = bench_now();
    while (bench_now() - begin < 0.1) {
        conduit_loop_turn(loop, 10);
    }
    end = bench_now() + 1;
    begin = cpu_seconds(RUSAGE_SELF);
    while (bench_now() < end) {
        conduit_loop_turn(loop, 1000);
    }
    begin = cpu_seconds(RUSAGE_SELF) - begin;
    conduit_ctx_free(ctx);
    bench_line("vchan idle, processor time", 1e3 * begin, 1e3, begin, "<=0.001",
               "ms/s");
}

int main(void)
{
    char folder[] = "/tmp/conduit-bench.XXXXXX";

    if (mkdtemp(folder) == NULL ||
        setenv("CONDUIT_RUNTIME_DIR", folder, 1) != 0) {
        bench_die("no temporary folder");
    }
    one_way(65536, 100000, "0.9", "5");
    one_way(64, 10000000, "-", "10");
    in_place();
    spinning();
    sleeping();
    http_over("vchan http/tcp", "http+vchan://bench.%d", "http://127.0.0.1:0",
              "3", 40000, 4);
    http_over("vchan http, by auto/by name", "http+auto://bench.%d",
              "http+vchan://bench.%d", "0.95", 40000, 1);
    idle();
    (void)rmdir(folder);
    return 0;
}
