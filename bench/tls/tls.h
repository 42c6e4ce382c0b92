/* SPDX-License-Identifier: ISC */
/*
 * What the benchmark of TLS is made of: certificates, the servers that are
 * compared, each a process on the first CPU, and a client that is none of
 * them, on the second.
 */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include "bench.h"

#include <stdint.h>
#include <sys/types.h>

/* Bytes of the bodies (the alphabet again and again), and of what goes through
 * a relay. */
#define BODY_SIZE (1024L * 1024)
#define SMALL_SIZE 27
#define RELAY_SIZE (512L * 1024 * 1024)

enum tls_key { TLS_KEY_EC, TLS_KEY_RSA };

/* ---- files (files.c) ---- */

/* A folder of temporary files with a certificate for localhost and its key, of
 * each kind, and a large and a small body; it goes with the process. */
const char *tls_folder(void);
/* For a server: the folder that there is already. */
void tls_use_folder(const char *path);
/* Once there is a folder, the path of one of its files ("ec.pem", "ec.key",
 * "rsa.pem", ...), in a buffer of its own for each of the last few calls. */
const char *tls_file(const char *name);

/* ---- servers (servers.c, bare.c) ---- */

struct tls_server {
    pid_t pid;
    uint16_t port;
};

enum tls_kind {
    TLS_NGINX,
    TLS_CONDUIT_OPENSSL,
    TLS_CONDUIT_BEARSSL,
    TLS_BARE_BEARSSL /* a loop of reads, writes and BearSSL: the limit */
};

/* /body and /small of HTTP over TLS, with keep-alive. */
struct tls_server tls_serve(enum tls_kind kind, enum tls_key key);
/* Ends TLS in front of a server without it at 127.0.0.1:port. */
struct tls_server tls_relay(enum tls_kind kind, uint16_t port);
void tls_stop(struct tls_server *server);

/* Answers connections for ever: pours bytes into them, or takes RELAY_SIZE of
 * theirs and then answers with one byte. */
struct tls_server tls_pour(bool pour);

/* What the program does when it is run as one of the servers. */
int tls_server_main(char **argv);
/* BearSSL alone, at a socket that listens; does not return. */
_Noreturn void tls_bare_run(int listener);

/* Seconds of processor time that a process has used; its resident bytes. */
double tls_cpu(const struct tls_server *server);
double tls_resident(const struct tls_server *server);

/* ---- the client (client.c) ---- */

/* Whom to ask, how: 1.2 or 1.3, AES-128-GCM, X25519 before P-256. */
struct tls_load {
    const struct tls_server *server;
    bool tls_1_2;
    bool resume;
    double seconds;
};

/* What came of it: how many, in what time, for how much of the server's. */
struct tls_result {
    double count;
    double seconds;
    double cpu;
};

/* Large bodies, over several connections at a time; counts bytes. */
struct tls_result tls_bodies(const struct tls_load *load);
/* Connections with one small request each; counts them. */
struct tls_result tls_handshakes(const struct tls_load *load);
/* RELAY_SIZE through a relay, from its far side or to it; counts bytes. */
struct tls_result tls_through(const struct tls_load *load, bool upload);
/* Resident bytes of the server for each of `count` idle connections. */
double tls_idle(const struct tls_load *load, int count);

/* ---- the limit (bare.c) ---- */

/* Full handshakes per second of processor time, were there nothing but
 * BearSSL's signature (P-256) and X25519's two multiplications. */
double tls_bearssl_handshakes(void);

#endif
