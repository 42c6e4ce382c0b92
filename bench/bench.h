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
enum bench_use {
    BENCH_UNUSED,  /* they are moved, and that is all */
    BENCH_COPIED,  /* made in a buffer, moved, and looked at in a buffer */
    BENCH_IN_PLACE /* made and looked at where they lie, if that can be done */
};

struct bench_job {
    const struct bench_transport *transport;
    size_t size;
    long rounds;
    bool echo; /* each message is sent back before the next; else one way */
    enum bench_use use; /* one way: what becomes of a message's bytes */
    double *each;       /* echo: takes the seconds of each round; or NULL */
};

double bench_run_conduit(const struct bench_job *job);
double bench_run_bare(const struct bench_job *job);

/* The same through a pipe, and through a ring of memory with nothing around
 * it, one way or as an echo (the ring; it never sleeps). */
double bench_run_pipe(const struct bench_job *job);
double bench_run_ring(const struct bench_job *job);

/* Runs both by turns, `repeats` times each; the medians of their seconds. */
void bench_compare(const struct bench_job *job, int repeats, double *conduit,
                   double *bare);

#endif
