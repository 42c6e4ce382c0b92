/* SPDX-License-Identifier: ISC */
/*
 * Both sides of a measurement with nothing but sockets and epoll: the limit.
 * Each waits, reads or writes until the kernel has no more, and waits again.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct bare {
    int fd;
    int epoll;
    unsigned watched;
    char *buf;
};

/* Changes what is waited for, if it is another thing. */
static void watch(struct bare *b, unsigned events)
{
    struct epoll_event ev = {.events = events};

    if (events != b->watched) {
        (void)epoll_ctl(b->epoll,
                        b->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, b->fd,
                        &ev);
        b->watched = events;
    }
}

static void wait_for(struct bare *b, unsigned events)
{
    struct epoll_event ev;

    watch(b, events);
    while (epoll_wait(b->epoll, &ev, 1, -1) < 0 && errno == EINTR) {
    }
}

static void open_bare(struct bare *b, int fd, const struct bench_job *job)
{
    int on = 1;

    memset(b, 0, sizeof *b);
    b->fd = fd;
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    b->buf = calloc(1, job->size);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(b, EPOLLIN);
}

static void close_bare(struct bare *b)
{
    (void)close(b->fd);
    (void)close(b->epoll);
    free(b->buf);
}

/* Reads once, waiting as long as there is nothing; 0 at the end. */
static size_t read_some(struct bare *b, char *to, size_t n)
{
    for (;;) {
        ssize_t got = recv(b->fd, to, n, 0);

        if (got >= 0) {
            return (size_t)got;
        }
        if (errno != EAGAIN) {
            bench_die("recv");
        }
        wait_for(b, EPOLLIN);
    }
}

static void write_all(struct bare *b, const char *from, size_t n)
{
    while (n > 0) {
        ssize_t put = send(b->fd, from, n, MSG_NOSIGNAL);

        if (put > 0) {
            from += put;
            n -= (size_t)put;
        } else if (errno == EAGAIN) {
            wait_for(b, EPOLLOUT);
        } else {
            bench_die("send");
        }
    }
}

/* The forked side. For an echo it waits before it reads, as an event loop does.
 */
static void serve(struct bare *b, const struct bench_job *job)
{
    size_t n;

    for (;;) {
        if (job->echo) {
            wait_for(b, EPOLLIN);
        }
        n = read_some(b, b->buf, job->size);
        if (n == 0) {
            return;
        }
        if (job->echo) {
            write_all(b, b->buf, n);
        }
    }
}

static double drive(struct bare *b, const struct bench_job *job)
{
    double begin = bench_now();
    long i;

    for (i = 0; i < job->rounds; i++) {
        size_t got = 0;

        write_all(b, b->buf, job->size);
        while (job->echo && got < job->size) {
            wait_for(b, EPOLLIN);
            got += read_some(b, b->buf + got, job->size - got);
        }
    }
    if (!job->echo) {
        (void)shutdown(b->fd, SHUT_WR);
        (void)read_some(b, b->buf, job->size);
    }
    return bench_now() - begin;
}

static int listen_bare(bool tcp, struct sockaddr_storage *addr, socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(addr, 0, sizeof *addr);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* An address of the family alone: the system finds a name (unix(7)). */
    *len = tcp ? sizeof in : sizeof un.sun_family;
    memcpy(addr, tcp ? (void *)&in : (void *)&un, *len);
    if (fd < 0 || bind(fd, (struct sockaddr *)addr, *len) != 0 ||
        listen(fd, 8) != 0) {
        bench_die("listen");
    }
    *len = sizeof *addr;
    (void)getsockname(fd, (struct sockaddr *)addr, len);
    return fd;
}

double bench_run_bare(const struct bench_job *job)
{
    bool tcp = strcmp(job->transport->name, "tcp") == 0;
    struct sockaddr_storage addr;
    socklen_t len;
    int listening = listen_bare(tcp, &addr, &len);
    struct bare b;
    double seconds;
    pid_t child = fork();
    int fd;

    if (child == 0) {
        bench_pin(1);
        fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        (void)close(listening);
        open_bare(&b, fd, job);
        serve(&b, job);
        close_bare(&b);
        _exit(0);
    }
    bench_pin(0);
    (void)close(listening);
    fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, len) != 0) {
        bench_die("connect");
    }
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    open_bare(&b, fd, job);
    seconds = drive(&b, job);
    close_bare(&b);
    (void)waitpid(child, NULL, 0);
    return seconds;
}
