/* SPDX-License-Identifier: ISC */
/*
 * What the benchmarks share: two processes on two CPUs, each side either
 * conduit or a bare epoll program doing the same reads and writes, and medians
 * over repetitions that take turns, so that a busy machine hits both alike.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>

/* What is carried over; the URI to listen at. */
struct bench_transport {
    const char *name; /* "tcp", "unix" */
    const char *uri;  /* with %d for a process number, where it needs one */
};

extern const struct bench_transport bench_transports[2];

/* Seconds of the monotonic clock. */
double bench_now(void);

/* Pins the calling process to a CPU; harmless where there is only one. */
void bench_pin(int cpu);

/* The median; sorts the values. */
double bench_median(double *values, size_t n);

/* Ends the program with a message. */
_Noreturn void bench_die(const char *what);

/* One line for scripts/bench. */
void bench_line(const char *name, double conduit, double peer, double ratio,
                const char *target, const char *unit);

/*
 * One measurement: `rounds` messages of `size` bytes from this process to a
 * forked one. Answers seconds.
 */
struct bench_job {
    const struct bench_transport *transport;
    size_t size;
    long rounds;
    bool echo; /* each message is sent back before the next; else one way */
};

double bench_run_conduit(const struct bench_job *job);
double bench_run_bare(const struct bench_job *job);

/* Runs both by turns, `repeats` times each; the medians of their seconds. */
void bench_compare(const struct bench_job *job, int repeats, double *conduit,
                   double *bare);

#endif
