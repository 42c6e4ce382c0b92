/* SPDX-License-Identifier: ISC */
/*
 * What bench_direct.c consists of: two network namespaces (net.c); processes
 * that serve, all of them the same program on conduit, over the stack in the
 * process or over the kernel's (subject.c); and a peer with nothing but sockets
 * that measures them (peer.c).
 */
#ifndef BENCH_DIRECT_BENCH_H
#define BENCH_DIRECT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where a process serves, and how it is reached. */
struct bench_subject {
    bool direct;
    bool offload;
    const char *device;  /* of the peer: a TAP, or an end of a veth pair */
    const char *peer;    /* the peer's address */
    const char *address; /* the subject's */
    pid_t process;
};

enum { BENCH_INTO = 1, BENCH_OUT_OF = 2, BENCH_ECHO = 3, BENCH_HTTP = 80 };

/*
 * Makes the namespaces, `count` networks between them, and leaves the calling
 * process in the peer's. false: not allowed to.
 */
bool bench_net_make(const struct bench_subject *subjects, size_t count);

/* Goes to the namespace of the kernel's subjects. */
void bench_net_enter_subject(void);

/* Starts it; serves at all of the ports above by the time this returns. */
void bench_subject_start(struct bench_subject *s);
void bench_subject_stop(struct bench_subject *s);

/* Seconds for n bytes in one direction, of one connection. */
double bench_peer_bulk(const struct bench_subject *s, int port, uint64_t n);

/*
 * Connections of requests, each answered before the next is sent; `total`
 * answers in all. Answers per second.
 */
struct bench_asking {
    int port;
    unsigned connections;
    long total;
    const char *request;
    size_t request_size;
    size_t answer_size; /* 0: that of the first answer, which is small */
};

double bench_peer_ask(const struct bench_subject *s,
                      const struct bench_asking *asking);

#endif
