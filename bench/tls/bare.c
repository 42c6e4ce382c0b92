/* SPDX-License-Identifier: ISC */
/*
 * What BearSSL allows: its engine between a socket and a body, with nothing
 * around them; and the arithmetic of a handshake.
 */
#include "tls.h"

#include <bearssl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PEERS 16

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n";

static struct {
    br_x509_certificate chain;
    br_ec_private_key key;
    unsigned char secret[32];
    char *body;
} self;

struct bare_peer {
    int fd;
    br_ssl_server_context server;
    unsigned char io[BR_SSL_BUFSIZE_BIDI];
    char request[512];
    size_t request_size;
    char answer_head[128];
    size_t head_size;
    long at; /* bytes of the answer that were taken, of head and body */
    long end;
};

static void load_identity(void)
{
    FILE *file = fopen(tls_file("ec.pem"), "rb");
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    unsigned char *der = NULL;
    EVP_PKEY *key;
    BIGNUM *number = NULL;

    (void)fclose(file);
    file = fopen(tls_file("ec.key"), "rb");
    key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    (void)fclose(file);
    self.chain.data_len = (size_t)i2d_X509(cert, &der);
    self.chain.data = der;
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number);
    BN_bn2binpad(number, self.secret, 32);
    self.key = (br_ec_private_key){BR_EC_secp256r1, self.secret, 32};
    file = fopen(tls_file("body"), "rb");
    self.body = malloc(BODY_SIZE);
    if (fread(self.body, 1, BODY_SIZE, file) != BODY_SIZE) {
        bench_die("cannot read the body");
    }
    (void)fclose(file);
}

static struct bare_peer *welcome(int fd)
{
    struct bare_peer *p = calloc(1, sizeof *p);

    p->fd = fd;
    br_ssl_server_init_full_ec(&p->server, &self.chain, 1, BR_KEYTYPE_EC,
                               &self.key);
    br_ssl_engine_set_buffer(&p->server.eng, p->io, sizeof p->io, 1);
    br_ssl_server_reset(&p->server);
    return p;
}

static void take_request(struct bare_peer *p)
{
    long size;

    p->request[p->request_size] = '\0';
    if (strstr(p->request, "\r\n\r\n") == NULL) {
        return;
    }
    size = strncmp(p->request, "GET /body ", 10) == 0 ? BODY_SIZE : SMALL_SIZE;
    p->request_size = 0;
    p->head_size = (size_t)snprintf(p->answer_head, sizeof p->answer_head, head,
                                    size);
    p->at = 0;
    p->end = (long)p->head_size + size;
}

static void read_request(struct bare_peer *p)
{
    size_t room = sizeof p->request - 1 - p->request_size;
    size_t n;
    unsigned char *from = br_ssl_engine_recvapp_buf(&p->server.eng, &n);

    n = n < room ? n : room;
    memcpy(p->request + p->request_size, from, n);
    p->request_size += n;
    br_ssl_engine_recvapp_ack(&p->server.eng, n);
    take_request(p);
}

static void write_answer(struct bare_peer *p)
{
    size_t room;
    unsigned char *to = br_ssl_engine_sendapp_buf(&p->server.eng, &room);
    long head_size = (long)p->head_size;
    const char *from = p->at < head_size ? p->answer_head + p->at
                                         : self.body + p->at - head_size;
    long left = (p->at < head_size ? head_size : p->end) - p->at;
    size_t n = (size_t)left < room ? (size_t)left : room;

    memcpy(to, from, n);
    p->at += (long)n;
    br_ssl_engine_sendapp_ack(&p->server.eng, n);
    if (p->at == p->end) {
        br_ssl_engine_flush(&p->server.eng, 0);
    }
}

/* What can be done now; false once it is over. */
static bool serve(struct bare_peer *p)
{
    for (;;) {
        unsigned state = br_ssl_engine_current_state(&p->server.eng);
        size_t n;
        unsigned char *buf;
        long done;

        if ((state & BR_SSL_CLOSED) != 0) {
            return false;
        }
        if ((state & BR_SSL_SENDREC) != 0) {
            buf = br_ssl_engine_sendrec_buf(&p->server.eng, &n);
            done = send(p->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (done <= 0) {
                return done < 0;
            }
            br_ssl_engine_sendrec_ack(&p->server.eng, (size_t)done);
        } else if ((state & BR_SSL_SENDAPP) != 0 && p->at < p->end) {
            write_answer(p);
        } else if ((state & BR_SSL_RECVAPP) != 0) {
            read_request(p);
        } else {
            buf = br_ssl_engine_recvrec_buf(&p->server.eng, &n);
            done = recv(p->fd, buf, n, MSG_DONTWAIT);
            if (done <= 0) {
                return done < 0;
            }
            br_ssl_engine_recvrec_ack(&p->server.eng, (size_t)done);
        }
    }
}

void tls_bare_run(int listener)
{
    struct pollfd polls[PEERS + 1] = {{.fd = listener, .events = POLLIN}};
    struct bare_peer *peers[PEERS + 1] = {NULL};
    nfds_t count = 1;

    load_identity();
    for (;;) {
        (void)poll(polls, count, -1);
        for (nfds_t i = 1; i < count; i++) {
            bool more = polls[i].revents == 0 || serve(peers[i]);

            polls[i].events =
                (short)((br_ssl_engine_current_state(&peers[i]->server.eng) &
                         BR_SSL_SENDREC) != 0
                            ? POLLOUT
                            : POLLIN);
            if (!more) {
                (void)close(polls[i].fd);
                free(peers[i]);
                count--;
                polls[i] = polls[count];
                peers[i] = peers[count];
                i--;
            }
        }
        if ((polls[0].revents & POLLIN) != 0 && count <= PEERS) {
            int fd = accept(listener, NULL, NULL);
            int on = 1;

            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            peers[count] = welcome(fd);
            polls[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    }
}

/* ---- a handshake's arithmetic ---- */

static double cpu_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double tls_bearssl_handshakes(void)
{
    const br_ec_impl *ec = br_ec_get_default();
    br_ecdsa_sign sign = br_ecdsa_sign_asn1_get_default();
    unsigned char hash[32] = {1};
    unsigned char point[32];
    unsigned char scalar[32] = {2};
    unsigned char signature[80];
    double begin;
    int count = 0;

    load_identity();
    memset(point, 9, sizeof point);
    begin = cpu_now();
    while (cpu_now() - begin < 1.0) {
        (void)sign(ec, &br_sha256_vtable, hash, &self.key, signature);
        (void)ec->mulgen(point, scalar, sizeof scalar, BR_EC_curve25519);
        (void)ec->mul(point, sizeof point, scalar, sizeof scalar,
                      BR_EC_curve25519);
        count++;
    }
    return count / (cpu_now() - begin);
}
