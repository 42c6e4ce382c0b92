/* SPDX-License-Identifier: ISC */
/*
 * Between two processes without sockets: a pipe, and a ring of shared memory
 * with nothing around it, the limit. The ring's sides copy in and out, and
 * spin.
 */
#include "bench.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RING_SIZE (256u * 1024)

struct ring {
    _Alignas(64) _Atomic uint32_t prod;
    _Alignas(64) _Atomic uint32_t cons;
    _Alignas(64) char data[RING_SIZE];
};

struct rings {
    struct ring way[2];
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* At most to the ring's end. */
static size_t put(struct ring *r, const char *from, size_t n)
{
    uint32_t at = atomic_load_explicit(&r->prod, memory_order_relaxed);
    uint32_t cons;
    uint32_t start = at % RING_SIZE;

    while ((cons = atomic_load_explicit(&r->cons, memory_order_acquire)),
           at - cons == RING_SIZE) {
        relax();
    }
    n = n < RING_SIZE - (at - cons) ? n : RING_SIZE - (at - cons);
    n = n < RING_SIZE - start ? n : RING_SIZE - start;
    memcpy(r->data + start, from, n);
    atomic_store_explicit(&r->prod, at + (uint32_t)n, memory_order_release);
    return n;
}

static size_t get(struct ring *r, char *to, size_t n)
{
    uint32_t at = atomic_load_explicit(&r->cons, memory_order_relaxed);
    uint32_t prod;
    uint32_t start = at % RING_SIZE;

    while ((prod = atomic_load_explicit(&r->prod, memory_order_acquire)),
           prod == at) {
        relax();
    }
    n = n < prod - at ? n : prod - at;
    n = n < RING_SIZE - start ? n : RING_SIZE - start;
    memcpy(to, r->data + start, n);
    atomic_store_explicit(&r->cons, at + (uint32_t)n, memory_order_release);
    return n;
}

static void put_all(struct ring *r, const char *from, size_t n)
{
    while (n > 0) {
        size_t some = put(r, from, n);

        from += some;
        n -= some;
    }
}

static void get_all(struct ring *r, char *to, size_t n)
{
    while (n > 0) {
        size_t some = get(r, to, n);

        to += some;
        n -= some;
    }
}

static void serve(struct rings *r, const struct bench_job *job, char *buf)
{
    for (long i = 0; i < job->rounds; i++) {
        get_all(&r->way[0], buf, job->size);
        if (job->echo) {
            put_all(&r->way[1], buf, job->size);
        }
    }
    if (!job->echo) {
        put_all(&r->way[1], buf, 1);
    }
}

static void drive(struct rings *r, const struct bench_job *job, char *buf)
{
    double last = bench_now();

    for (long i = 0; i < job->rounds; i++) {
        put_all(&r->way[0], buf, job->size);
        if (job->echo) {
            get_all(&r->way[1], buf, job->size);
        }
        if (job->each != NULL) {
            double now = bench_now();

            job->each[i] = now - last;
            last = now;
        }
    }
    if (!job->echo) {
        get_all(&r->way[1], buf, 1);
    }
}

double bench_run_ring(const struct bench_job *job)
{
    struct rings *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *buf = calloc(1, job->size);
    double begin;
    pid_t child;

    if (r == MAP_FAILED || buf == NULL) {
        bench_die("no memory");
    }
    memset(r, 0, sizeof *r);
    child = fork();
    if (child == 0) {
        bench_pin(1);
        serve(r, job, buf);
        _exit(0);
    }
    bench_pin(0);
    begin = bench_now();
    drive(r, job, buf);
    begin = bench_now() - begin;
    (void)waitpid(child, NULL, 0);
    (void)munmap(r, sizeof *r);
    free(buf);
    return begin;
}

static void read_all(int fd, char *to, size_t n)
{
    while (n > 0) {
        ssize_t got = read(fd, to, n);

        if (got <= 0) {
            bench_die("the pipe broke");
        }
        to += got;
        n -= (size_t)got;
    }
}

static void write_all(int fd, const char *from, size_t n)
{
    while (n > 0) {
        ssize_t put_now = write(fd, from, n);

        if (put_now <= 0) {
            bench_die("the pipe broke");
        }
        from += put_now;
        n -= (size_t)put_now;
    }
}

double bench_run_pipe(const struct bench_job *job)
{
    char *buf = calloc(1, job->size);
    int there[2];
    int back[2];
    double begin;
    pid_t child;

    if (buf == NULL || pipe(there) != 0 || pipe(back) != 0) {
        bench_die("no pipe");
    }
    (void)fcntl(there[1], F_SETPIPE_SZ, 1024 * 1024);
    child = fork();
    if (child == 0) {
        bench_pin(1);
        for (long i = 0; i < job->rounds; i++) {
            read_all(there[0], buf, job->size);
        }
        write_all(back[1], buf, 1);
        _exit(0);
    }
    bench_pin(0);
    begin = bench_now();
    for (long i = 0; i < job->rounds; i++) {
        write_all(there[1], buf, job->size);
    }
    read_all(back[0], buf, 1);
    begin = bench_now() - begin;
    (void)waitpid(child, NULL, 0);
    for (int i = 0; i < 2; i++) {
        (void)close(there[i]);
        (void)close(back[i]);
    }
    free(buf);
    return begin;
}
