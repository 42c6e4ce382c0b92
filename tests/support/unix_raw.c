/* SPDX-License-Identifier: ISC */
/* The system's own sockets, blocking, for peers that are not conduit. */
#include "unix_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t fill_address(const char *address, uint16_t port,
                              struct sockaddr_storage *sa)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

    memset(sa, 0, sizeof *sa);
    if (inet_pton(AF_INET, address, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(port);
        return sizeof *in4;
    }
    assert_int_equal(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    return sizeof *in6;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    return ntohs(sa.ss_family == AF_INET
                     ? ((struct sockaddr_in *)&sa)->sin_port
                     : ((struct sockaddr_in6 *)&sa)->sin6_port);
}

int t_raw_bind(const char *address, uint16_t *port)
{
    struct sockaddr_storage sa;
    socklen_t len = fill_address(address, *port, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (sa.ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    }
    if (bind(fd, (struct sockaddr *)&sa, len) != 0) {
        (void)close(fd);
        return -1;
    }
    *port = port_of(fd);
    return fd;
}

int t_raw_listen(const char *address, uint16_t *port, int backlog)
{
    int fd = t_raw_bind(address, port);

    if (fd >= 0) {
        assert_int_equal(listen(fd, backlog), 0);
    }
    return fd;
}

int t_raw_connect(const char *address, uint16_t port)
{
    struct sockaddr_storage sa;
    socklen_t len = fill_address(address, port, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static socklen_t fill_path(const char *path, struct sockaddr_un *sa)
{
    size_t n = strlen(path);

    memset(sa, 0, sizeof *sa);
    assert_true(n < sizeof sa->sun_path);
    sa->sun_family = AF_UNIX;
    memcpy(sa->sun_path, path, n);
    if (path[0] == '@') {
        sa->sun_path[0] = '\0';
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    }
    return sizeof *sa;
}

int t_raw_listen_unix(const char *path)
{
    struct sockaddr_un sa;
    socklen_t len = fill_path(path, &sa);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

int t_raw_connect_unix(const char *path)
{
    struct sockaddr_un sa;
    socklen_t len = fill_path(path, &sa);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

int t_raw_accept(int fd)
{
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    assert_true(got >= 0);
    return got;
}

bool t_have_ipv6(void)
{
    struct sockaddr_storage sa;
    socklen_t len = fill_address("::1", 0, &sa);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool have = fd >= 0 && bind(fd, (struct sockaddr *)&sa, len) == 0;

    if (fd >= 0) {
        (void)close(fd);
    }
    return have;
}

/*
 * A listener whose queue is full drops the SYN of whoever comes next, who goes
 * on asking: neither refused nor connected. A backlog of 0 holds one.
 */
void t_raw_silent(const char *address, uint16_t *port, int fds[2])
{
    fds[0] = t_raw_listen(address, port, 0);
    assert_true(fds[0] >= 0);
    fds[1] = t_raw_connect(address, *port);
}

bool t_raise_descriptors(unsigned need)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
        return false;
    }
    if (r.rlim_cur >= need) {
        return true;
    }
    r.rlim_cur = need;
    if (r.rlim_max < need) {
        r.rlim_max = need; /* root may */
    }
    return setrlimit(RLIMIT_NOFILE, &r) == 0;
}
