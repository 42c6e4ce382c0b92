/* SPDX-License-Identifier: ISC */
/*
 * A client that costs little, so that it is the server that is measured: it
 * shakes hands by OpenSSL, sockets block, and of large bodies it decrypts only
 * the first. After that it walks from the header of one record to the next's,
 * which tells how much plaintext came.
 */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODIES_AT_ONCE 4
#define CALLERS 8
#define RECORD_HEADER 5
#define ROOM (256L * 1024)

struct peer {
    int fd;
    SSL *ssl;
    long plaintext; /* that has come since it was last set to 0 */
    long overhead;  /* of a record */
    long skip;      /* bytes of the record that are still to come */
    size_t have;    /* bytes of a header that has come in part */
    uint8_t header[RECORD_HEADER];
};

static SSL_CTX *new_ctx(const struct tls_load *load)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int version = load->tls_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;

    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AES128+AESGCM") != 1 ||
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1) {
        bench_die("no client");
    }
    /* With a cache, OpenSSL spoils a session of TLS 1.3 once it was used. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return ctx;
}

static int connect_to(const struct tls_load *load)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(load->server->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        bench_die("cannot connect");
    }
    return fd;
}

static struct peer meet(SSL_CTX *ctx, const struct tls_load *load)
{
    struct peer p = {.fd = connect_to(load), .ssl = SSL_new(ctx)};

    p.overhead = load->tls_1_2 ? 8 + 16 : 1 + 16;
    SSL_set_fd(p.ssl, p.fd);
    SSL_set_tlsext_host_name(p.ssl, "localhost");
    if (SSL_connect(p.ssl) != 1) {
        ERR_print_errors_fp(stderr);
        bench_die("no handshake");
    }
    return p;
}

static void part(struct peer *p)
{
    (void)SSL_shutdown(p->ssl);
    SSL_free(p->ssl);
    (void)close(p->fd);
}

static void ask(struct peer *p, const char *path)
{
    char text[128];
    int n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);

    if (SSL_write(p->ssl, text, n) != n) {
        bench_die("cannot ask");
    }
}

/* The whole of an answer: its bytes, the head's included. */
static long take_answer(struct peer *p, long body)
{
    static char buf[65536];
    long total = 0;
    long head = 0;

    while (head == 0 || total < head + body) {
        int n = SSL_read(p->ssl, buf + (head == 0 ? total : 0),
                         (int)(sizeof buf - 1 - (size_t)(head ? 0 : total)));
        char *end;

        if (n <= 0) {
            bench_die("the server ends the connection");
        }
        total += n;
        if (head == 0) {
            buf[total] = '\0';
            end = strstr(buf, "\r\n\r\n");
            head = end != NULL ? end + 4 - buf : 0;
            if (memcmp(buf, "HTTP/1.1 200", 12) != 0) {
                bench_die("the server does not answer 200");
            }
        }
    }
    return total;
}

/* ---- large bodies ---- */

/* Counts the plaintext in n bytes of records. */
static void walk(struct peer *p, const uint8_t *at, long n)
{
    while (n > 0) {
        long step = n < p->skip ? n : p->skip;

        p->skip -= step;
        at += step;
        n -= step;
        for (; n > 0 && p->skip == 0 && p->have < RECORD_HEADER; n--) {
            p->header[p->have++] = *at++;
        }
        if (p->have == RECORD_HEADER) {
            p->skip = p->header[3] * 256L + p->header[4];
            p->have = 0;
            p->plaintext += p->skip - p->overhead;
            if (p->header[0] != 23) {
                bench_die("a record that is no data");
            }
        }
    }
}

/* Reads what has come; false at the end. */
static bool take_records(struct peer *p)
{
    static uint8_t buf[ROOM];
    long n = recv(p->fd, buf, sizeof buf, 0);

    if (n > 0) {
        walk(p, buf, n);
    }
    return n > 0;
}

struct tls_result tls_bodies(const struct tls_load *load)
{
    SSL_CTX *ctx = new_ctx(load);
    struct peer peers[BODIES_AT_ONCE];
    struct pollfd polls[BODIES_AT_ONCE];
    struct tls_result result = {0};
    double begin;
    double cpu;
    long answer = 0;

    for (int i = 0; i < BODIES_AT_ONCE; i++) {
        peers[i] = meet(ctx, load);
        polls[i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
        ask(&peers[i], "/body");
        answer = take_answer(&peers[i], BODY_SIZE);
        peers[i].plaintext = 0;
    }
    begin = bench_now();
    cpu = tls_cpu(load->server);
    for (int i = 0; i < BODIES_AT_ONCE; i++) {
        ask(&peers[i], "/body");
    }
    while (bench_now() - begin < load->seconds) {
        (void)poll(polls, BODIES_AT_ONCE, 1000);
        for (int i = 0; i < BODIES_AT_ONCE; i++) {
            if ((polls[i].revents & POLLIN) == 0) {
                continue;
            }
            if (!take_records(&peers[i])) {
                bench_die("the server ends the connection");
            }
            if (peers[i].plaintext == answer) {
                peers[i].plaintext = 0;
                result.count += (double)BODY_SIZE;
                ask(&peers[i], "/body");
            }
        }
    }
    result.seconds = bench_now() - begin;
    result.cpu = tls_cpu(load->server) - cpu;
    for (int i = 0; i < BODIES_AT_ONCE; i++) {
        part(&peers[i]);
    }
    SSL_CTX_free(ctx);
    return result;
}

/* ---- handshakes ---- */

/* One of several that go on at once, so that a server which wakes up finds
 * something to do. */
struct caller {
    SSL *ssl;
    int fd;
    bool asked;
};

static struct caller call(SSL_CTX *ctx, const struct tls_load *load,
                          SSL_SESSION *session)
{
    struct caller c = {.ssl = SSL_new(ctx), .fd = connect_to(load)};

    (void)fcntl(c.fd, F_SETFL, O_NONBLOCK);
    SSL_set_fd(c.ssl, c.fd);
    SSL_set_tlsext_host_name(c.ssl, "localhost");
    SSL_set_connect_state(c.ssl);
    if (session != NULL) {
        SSL_set_session(c.ssl, session);
    }
    return c;
}

static bool must_wait(const struct caller *c, int rc)
{
    if (SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ) {
        ERR_print_errors_fp(stderr);
        bench_die("the server ends the connection");
    }
    return false;
}

/* Goes on as far as it goes; true once the answer is there. */
static bool proceed(struct caller *c)
{
    static const char text[] = "GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char buf[2048];
    int n;

    if (!c->asked) {
        n = SSL_do_handshake(c->ssl);
        if (n != 1) {
            return must_wait(c, n);
        }
        (void)SSL_write(c->ssl, text, sizeof text - 1);
        c->asked = true;
    }
    n = SSL_read(c->ssl, buf, sizeof buf);
    if (n <= 0) {
        return must_wait(c, n);
    }
    return buf[n - 1] == 'a' + (SMALL_SIZE - 1) % 26; /* no head ends so */
}

static void hang_up(struct caller *c)
{
    (void)SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    (void)close(c->fd);
}

static SSL_SESSION *first_session(SSL_CTX *ctx, const struct tls_load *load)
{
    struct peer p = meet(ctx, load);
    SSL_SESSION *session;

    ask(&p, "/small"); /* before its answer come tickets */
    (void)take_answer(&p, SMALL_SIZE);
    session = SSL_get1_session(p.ssl);
    part(&p);
    return session;
}

struct tls_result tls_handshakes(const struct tls_load *load)
{
    SSL_CTX *ctx = new_ctx(load);
    SSL_SESSION *session = load->resume ? first_session(ctx, load) : NULL;
    struct caller callers[CALLERS];
    struct pollfd polls[CALLERS];
    struct tls_result result = {0};
    double begin = bench_now();
    double cpu = tls_cpu(load->server);

    for (int i = 0; i < CALLERS; i++) {
        callers[i] = call(ctx, load, session);
        polls[i] = (struct pollfd){.fd = callers[i].fd, .events = POLLIN};
        (void)proceed(&callers[i]);
    }
    while (bench_now() - begin < load->seconds) {
        (void)poll(polls, CALLERS, 1000);
        for (int i = 0; i < CALLERS; i++) {
            if (polls[i].revents == 0 || !proceed(&callers[i])) {
                continue;
            }
            if (load->resume && SSL_session_reused(callers[i].ssl) != 1) {
                bench_die("not resumed");
            }
            result.count++;
            hang_up(&callers[i]);
            callers[i] = call(ctx, load, session);
            polls[i].fd = callers[i].fd;
            (void)proceed(&callers[i]);
        }
    }
    result.seconds = bench_now() - begin;
    result.cpu = tls_cpu(load->server) - cpu;
    for (int i = 0; i < CALLERS; i++) {
        hang_up(&callers[i]);
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    return result;
}

/* ---- relays ---- */

static void upload(struct peer *p)
{
    static char buf[16384];
    char done;

    for (long sent = 0; sent < RELAY_SIZE; sent += (long)sizeof buf) {
        if (SSL_write(p->ssl, buf, sizeof buf) != (int)sizeof buf) {
            bench_die("the relay takes no more");
        }
    }
    if (SSL_read(p->ssl, &done, 1) != 1) {
        bench_die("the relay lost the answer");
    }
}

struct tls_result tls_through(const struct tls_load *load, bool up)
{
    SSL_CTX *ctx = new_ctx(load);
    struct peer p = meet(ctx, load);
    struct tls_result result = {.count = (double)RELAY_SIZE};
    char first;
    double begin;
    double cpu;

    if (!up && SSL_read(p.ssl, &first, 1) != 1) { /* tickets go before it */
        bench_die("nothing comes through the relay");
    }
    begin = bench_now();
    cpu = tls_cpu(load->server);
    if (up) {
        upload(&p);
    }
    while (!up && p.plaintext < RELAY_SIZE) {
        if (!take_records(&p)) {
            bench_die("the relay ends the connection");
        }
    }
    result.seconds = bench_now() - begin;
    result.cpu = tls_cpu(load->server) - cpu;
    part(&p);
    SSL_CTX_free(ctx);
    return result;
}

/* ---- idle connections ---- */

double tls_idle(const struct tls_load *load, int count)
{
    SSL_CTX *ctx = new_ctx(load);
    int warm = count / 10;
    struct peer *peers = calloc((size_t)count + (size_t)warm, sizeof *peers);
    double before = 0;
    double after;

    for (int i = 0; i < count + warm; i++) {
        if (i == warm) {
            before = tls_resident(load->server);
        }
        peers[i] = meet(ctx, load);
        ask(&peers[i], "/small");
        (void)take_answer(&peers[i], SMALL_SIZE);
    }
    after = tls_resident(load->server);
    for (int i = 0; i < count + warm; i++) {
        part(&peers[i]);
    }
    free(peers);
    SSL_CTX_free(ctx);
    return (after - before) / count;
}
