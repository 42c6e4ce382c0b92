/* SPDX-License-Identifier: ISC */
/* The clock, the CPUs, medians, and lines of output. */
#include "bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define REPEATS_MAX 101

const struct bench_transport bench_transports[2] = {
    {"tcp", "tcp://127.0.0.1:0"},
    {"unix", "unix://@conduit-bench-%d"},
};

double bench_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void bench_pin(int cpu)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;

    if (cpus < 2) {
        return;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)(cpu % (int)cpus), &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void bench_die(const char *what)
{
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

void bench_line(const char *name, double conduit, double peer, double ratio,
                const char *target, const char *unit)
{
    printf("%s\t%.4g\t%.4g\t%.3f\t%s\t%s\n", name, conduit, peer, ratio, target,
           unit);
    (void)fflush(stdout);
}

void bench_compare(const struct bench_job *job, int repeats, double *conduit,
                   double *bare)
{
    double a[REPEATS_MAX];
    double b[REPEATS_MAX];
    int i;

    for (i = 0; i < repeats && i < REPEATS_MAX; i++) {
        if (i % 2 == 0) { /* who is first takes turns, too */
            a[i] = bench_run_conduit(job);
            b[i] = bench_run_bare(job);
        } else {
            b[i] = bench_run_bare(job);
            a[i] = bench_run_conduit(job);
        }
    }
    *conduit = bench_median(a, (size_t)i);
    *bare = bench_median(b, (size_t)i);
}
