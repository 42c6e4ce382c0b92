/* SPDX-License-Identifier: ISC */
/*
 * The stack in the process against the kernel's: one program on conduit, which
 * is reached through a TAP or through a pair of veth, by one peer in another
 * namespace on the kernel's sockets. In namespaces of its own, as root.
 */
#include "bench.h"
#include "direct_bench.h"

#include <stdio.h>
#include <sys/resource.h>

#define REPEATS 5
#define GBIT 8e-9

/* Of each pair the first is direct. */
static struct bench_subject subjects[] = {
    {.direct = true,
     .offload = true,
     .device = "tap0",
     .peer = "10.9.0.1",
     .address = "10.9.0.2"},
    {.direct = false,
     .offload = true,
     .device = "veth0",
     .peer = "10.9.1.1",
     .address = "10.9.1.2"},
    {.direct = true,
     .offload = false,
     .device = "tap1",
     .peer = "10.9.2.1",
     .address = "10.9.2.2"},
    {.direct = false,
     .offload = false,
     .device = "veth1",
     .peer = "10.9.3.1",
     .address = "10.9.3.2"},
};

#define SUBJECTS (sizeof subjects / sizeof *subjects)

/* By turns, and who is first takes turns, too. */
static void bulk(const char *name, struct bench_subject *pair, int port,
                 uint64_t bytes, const char *target)
{
    double seconds[2][REPEATS];
    double bits = GBIT * (double)bytes;
    double a;
    double b;

    for (int i = 0; i < REPEATS; i++) {
        for (int k = 0; k < 2; k++) {
            int who = (i + k) % 2;

            seconds[who][i] = bench_peer_bulk(&pair[who], port, bytes);
        }
    }
    a = bench_median(seconds[0], REPEATS);
    b = bench_median(seconds[1], REPEATS);
    bench_line(name, bits / a, bits / b, b / a, target, "Gbit/s");
}

static void rates(const struct bench_asking *asking, double out[2])
{
    double rate[2][REPEATS];

    for (int i = 0; i < REPEATS; i++) {
        for (int k = 0; k < 2; k++) {
            int who = (i + k) % 2;

            rate[who][i] = bench_peer_ask(&subjects[who], asking);
        }
    }
    out[0] = bench_median(rate[0], REPEATS);
    out[1] = bench_median(rate[1], REPEATS);
}

static void rate_line(const char *name, const double rate[2],
                      const char *target)
{
    bench_line(name, rate[0] / 1e3, rate[1] / 1e3, rate[0] / rate[1], target,
               "k/s");
}

/* How much of the rate at 100 connections is left at more, of either stack. */
static void echoes(void)
{
    static const char message[100] = "a message";
    struct bench_asking asking = {.port = BENCH_ECHO,
                                  .connections = 100,
                                  .total = 50000,
                                  .request = message,
                                  .request_size = sizeof message,
                                  .answer_size = sizeof message};
    double few[2];
    double many[2];
    char name[64];

    rates(&asking, few);
    rate_line("direct 100 B, 100 connections", few, "1.1");
    for (unsigned n = 1000; n <= 10000; n *= 10) {
        asking.connections = n;
        rates(&asking, many);
        (void)snprintf(name, sizeof name, "direct 100 B, %u connections", n);
        rate_line(name, many, "-");
        (void)snprintf(name, sizeof name, "direct, %u of 100 connections", n);
        many[0] /= few[0];
        many[1] /= few[1];
        bench_line(name, many[0], many[1], many[0] / many[1], "1.0", "share");
    }
}

static void http(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
    const struct bench_asking asking = {.port = BENCH_HTTP,
                                        .connections = 64,
                                        .total = 50000,
                                        .request = request,
                                        .request_size = sizeof request - 1};
    double rate[2];

    rates(&asking, rate);
    rate_line("direct http, 64 connections", rate, "1.0");
}

/* 10,000 connections and some. */
static bool enough_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return false;
    }
    if (limit.rlim_cur < 11000) {
        limit.rlim_cur = 11000;
        limit.rlim_max = limit.rlim_max > 11000 ? limit.rlim_max : 11000;
    }
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

int main(void)
{
    if (!enough_descriptors() || !bench_net_make(subjects, SUBJECTS)) {
        (void)fprintf(stderr, "bench_direct: skipped: not allowed to make "
                              "network namespaces and TAPs\n");
        return 0;
    }
    for (size_t i = 0; i < SUBJECTS; i++) {
        bench_subject_start(&subjects[i]);
    }
    bench_pin(0);
    bulk("direct, into the process", subjects, BENCH_INTO, 1000000000, "1.0");
    bulk("direct, out of the process", subjects, BENCH_OUT_OF, 1000000000,
         "1.0");
    bulk("direct, into, no offload", subjects + 2, BENCH_INTO, 100000000,
         "0.45");
    bulk("direct, out of, no offload", subjects + 2, BENCH_OUT_OF, 100000000,
         "0.45");
    echoes();
    http();
    for (size_t i = 0; i < SUBJECTS; i++) {
        bench_subject_stop(&subjects[i]);
    }
    return 0;
}
