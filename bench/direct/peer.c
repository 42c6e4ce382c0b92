/* SPDX-License-Identifier: ISC */
/* The peer that measures: the kernel's sockets, and epoll where there are many.
 */
#include "bench.h"
#include "direct_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOME (1 << 18)
#define ANSWER_MAX 4096

static char data[SOME];

/* Is reset when it is closed: nothing of it stays. */
static int open_connection(const struct bench_subject *s, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    struct linger reset = {.l_onoff = 1};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (inet_pton(AF_INET, s->address, &in.sin_addr) != 1 || fd < 0 ||
        connect(fd, (struct sockaddr *)&in, sizeof in) != 0) {
        bench_die("the peer cannot connect");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return fd;
}

static void send_all(int fd, uint64_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, data, n < SOME ? n : SOME, MSG_NOSIGNAL);

        if (done <= 0) {
            bench_die("the peer cannot send");
        }
        n -= (uint64_t)done;
    }
}

static void receive_all(int fd, uint64_t n)
{
    while (n > 0) {
        ssize_t done = recv(fd, data, n < SOME ? n : SOME, 0);

        if (done <= 0) {
            bench_die("the peer does not receive");
        }
        n -= (uint64_t)done;
    }
}

double bench_peer_bulk(const struct bench_subject *s, int port, uint64_t n)
{
    int fd = open_connection(s, port);
    double begin = bench_now();

    if (send(fd, &n, sizeof n, MSG_NOSIGNAL) != (ssize_t)sizeof n) {
        bench_die("the peer cannot send");
    }
    if (port == BENCH_INTO) {
        send_all(fd, n);
        receive_all(fd, 1); /* all was taken */
    } else {
        receive_all(fd, n);
    }
    begin = bench_now() - begin;
    (void)close(fd);
    return begin;
}

/* ---- many at a time ---- */

struct asker {
    int fd;
    size_t got;
};

static void send_request(const struct asker *a,
                         const struct bench_asking *asking)
{
    if (send(a->fd, asking->request, asking->request_size, MSG_NOSIGNAL) !=
        (ssize_t)asking->request_size) {
        bench_die("the peer cannot send");
    }
}

/* The size of an answer: what comes at once for one request. */
static size_t answer_size(const struct asker *a,
                          const struct bench_asking *asking)
{
    ssize_t n;

    if (asking->answer_size > 0) {
        return asking->answer_size;
    }
    send_request(a, asking);
    n = recv(a->fd, data, ANSWER_MAX, 0);
    if (n <= 0) {
        bench_die("no answer");
    }
    return (size_t)n;
}

/* Whether an answer is complete now. */
static bool receive_some(struct asker *a, size_t size)
{
    ssize_t n = recv(a->fd, data, size - a->got, MSG_DONTWAIT);

    if (n <= 0) {
        bench_die("a connection broke");
    }
    a->got += (size_t)n;
    if (a->got < size) {
        return false;
    }
    a->got = 0;
    return true;
}

static double ask_all(int epoll, struct asker *askers,
                      const struct bench_asking *asking, size_t size)
{
    struct epoll_event events[256];
    long to_send = asking->total - (long)asking->connections;
    long to_come = asking->total;
    double begin = bench_now();

    for (unsigned i = 0; i < asking->connections; i++) {
        send_request(&askers[i], asking);
    }
    while (to_come > 0) {
        int n = epoll_wait(epoll, events, 256, 20000);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            bench_die("no answers any more");
        }
        for (int i = 0; i < n; i++) {
            struct asker *a = events[i].data.ptr;

            if (receive_some(a, size)) {
                to_come--;
                if (to_send-- > 0) {
                    send_request(a, asking);
                }
            }
        }
    }
    return (double)asking->total / (bench_now() - begin);
}

/*
 * A few at a time, with an answer in between on the last of them: a device's
 * queue has an end, and a peer that missed a reset has the connection still
 * when its port is used again.
 */
static void close_all(const struct asker *askers,
                      const struct bench_asking *asking, size_t size)
{
    const struct asker *last = &askers[asking->connections - 1];

    for (unsigned i = 0; i < asking->connections; i++) {
        if (i % 100 == 0) {
            send_request(last, asking);
            receive_all(last->fd, size);
        }
        (void)close(askers[i].fd);
    }
}

double bench_peer_ask(const struct bench_subject *s,
                      const struct bench_asking *asking)
{
    struct asker *askers = calloc(asking->connections, sizeof *askers);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    double rate;
    size_t size;

    if (askers == NULL || epoll < 0) {
        bench_die("the peer has no memory");
    }
    for (unsigned i = 0; i < asking->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &askers[i]};

        askers[i].fd = open_connection(s, asking->port);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, askers[i].fd, &event) != 0) {
            bench_die("epoll_ctl");
        }
    }
    size = answer_size(&askers[0], asking);
    rate = ask_all(epoll, askers, asking, size);
    close_all(askers, asking, size);
    (void)close(epoll);
    free(askers);
    return rate;
}
