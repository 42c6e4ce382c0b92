/* SPDX-License-Identifier: ISC */
/*
 * TLS against nginx, with the same certificates, suite and client, and BearSSL
 * against what BearSSL allows. Where the client could be what is slow, rates
 * are by the processor time that the server used.
 */
#include "tls/tls.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REPEATS 7
#define SECONDS 1.0
#define IDLE 2000

typedef struct tls_result measure_fn(const struct tls_load *load);

/* One figure of several servers, by turns. */
struct contest {
    measure_fn *measure;
    enum tls_key key;
    bool tls_1_2;
    bool resume;
    bool by_cpu; /* else by the clock */
};

static double rate(const struct contest *c, enum tls_kind kind)
{
    struct tls_server server = tls_serve(kind, c->key);
    struct tls_load load = {&server, c->tls_1_2, c->resume, SECONDS};
    struct tls_result r = c->measure(&load);

    tls_stop(&server);
    return r.count / (c->by_cpu ? r.cpu : r.seconds);
}

static void compare(const struct contest *c, enum tls_kind ours,
                    enum tls_kind peer, double *our_rate, double *peer_rate)
{
    double a[REPEATS];
    double b[REPEATS];

    for (int i = 0; i < REPEATS; i++) {
        if (i % 2 == 0) {
            a[i] = rate(c, ours);
            b[i] = rate(c, peer);
        } else {
            b[i] = rate(c, peer);
            a[i] = rate(c, ours);
        }
    }
    *our_rate = bench_median(a, REPEATS);
    *peer_rate = bench_median(b, REPEATS);
}

/* ---- against nginx ---- */

#define GBIT 8e-9

static void bodies(void)
{
    struct contest c = {.measure = tls_bodies};
    double ours;
    double peer;

    compare(&c, TLS_CONDUIT_OPENSSL, TLS_NGINX, &ours, &peer);
    bench_line("tls 1 MiB openssl/nginx", ours * GBIT, peer * GBIT, ours / peer,
               "1.0", "Gbit/s");
    c.by_cpu = true;
    compare(&c, TLS_CONDUIT_OPENSSL, TLS_NGINX, &ours, &peer);
    bench_line("tls 1 MiB openssl/nginx", ours * GBIT, peer * GBIT, ours / peer,
               "1.0", "Gbit/cpu-s");
}

static void handshakes(void)
{
    static const struct {
        const char *name;
        struct contest contest;
    } rows[] = {
        {"tls full ec 1.3", {tls_handshakes, TLS_KEY_EC, false, false, true}},
        {"tls full ec 1.2", {tls_handshakes, TLS_KEY_EC, true, false, true}},
        {"tls full rsa 1.3", {tls_handshakes, TLS_KEY_RSA, false, false, true}},
        {"tls resumed 1.3", {tls_handshakes, TLS_KEY_EC, false, true, true}},
        {"tls resumed 1.2", {tls_handshakes, TLS_KEY_EC, true, true, true}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double ours;
        double peer;

        compare(&rows[i].contest, TLS_CONDUIT_OPENSSL, TLS_NGINX, &ours, &peer);
        bench_line(rows[i].name, ours, peer, ours / peer, "1.0", "/cpu-s");
    }
}

static double through(enum tls_kind kind, const struct tls_server *far,
                      bool upload)
{
    struct tls_server relay = tls_relay(kind, far->port);
    struct tls_load load = {.server = &relay};
    struct tls_result r = tls_through(&load, upload);

    tls_stop(&relay);
    return r.count / r.seconds;
}

static void relay(bool upload)
{
    struct tls_server far = tls_pour(!upload);
    double ours[REPEATS];
    double peer[REPEATS];
    double a;
    double b;

    for (int i = 0; i < REPEATS; i++) {
        ours[i] = through(TLS_CONDUIT_OPENSSL, &far, upload);
        peer[i] = through(TLS_NGINX, &far, upload);
    }
    tls_stop(&far);
    a = bench_median(ours, REPEATS);
    b = bench_median(peer, REPEATS);
    bench_line(upload ? "tls relay in/nginx stream"
                      : "tls relay out/nginx stream",
               a * GBIT, b * GBIT, a / b, "0.9", "Gbit/s");
}

static void relays(void)
{
    relay(false);
    relay(true);
}

static double idle(enum tls_kind kind, bool tls_1_2)
{
    struct tls_server server = tls_serve(kind, TLS_KEY_EC);
    struct tls_load load = {.server = &server, .tls_1_2 = tls_1_2};
    double bytes = tls_idle(&load, IDLE);

    tls_stop(&server);
    return bytes;
}

static void idle_memory(void)
{
    double nginx = idle(TLS_NGINX, false);
    double ours = idle(TLS_CONDUIT_OPENSSL, false);

    bench_line("tls idle openssl/nginx", ours, nginx, ours / nginx, "<=1.2",
               "bytes");
    nginx = idle(TLS_NGINX, true);
    ours = idle(TLS_CONDUIT_OPENSSL, true);
    bench_line("tls idle openssl/nginx, 1.2", ours, nginx, ours / nginx,
               "<=1.2", "bytes");
    ours = idle(TLS_CONDUIT_BEARSSL, true);
    bench_line("tls idle bearssl/nginx, 1.2", ours, nginx, ours / nginx, "-",
               "bytes");
}

/* ---- against BearSSL ---- */

static void bearssl(void)
{
    struct contest c = {.measure = tls_bodies, .tls_1_2 = true};
    struct contest h = {
        .measure = tls_handshakes, .tls_1_2 = true, .by_cpu = true};
    double ours;
    double peer;

    compare(&c, TLS_CONDUIT_BEARSSL, TLS_BARE_BEARSSL, &ours, &peer);
    bench_line("tls 1 MiB bearssl/bare", ours * GBIT, peer * GBIT, ours / peer,
               "0.85", "Gbit/s");
    compare(&c, TLS_CONDUIT_OPENSSL, TLS_CONDUIT_BEARSSL, &ours, &peer);
    bench_line("tls 1 MiB openssl/bearssl, 1.2", ours * GBIT, peer * GBIT,
               ours / peer, "-", "Gbit/s");
    compare(&h, TLS_CONDUIT_BEARSSL, TLS_BARE_BEARSSL, &ours, &peer);
    bench_line("tls full bearssl/bare", ours, peer, ours / peer, "0.85",
               "/cpu-s");
    peer = tls_bearssl_handshakes();
    bench_line("tls full bearssl/its arithmetic", ours, peer, ours / peer,
               "0.85", "/cpu-s");
}

/* What is measured can be chosen by name, for a closer look at one. */
int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {{"bodies", bodies},
                 {"handshakes", handshakes},
                 {"relays", relays},
                 {"idle", idle_memory},
                 {"bearssl", bearssl}};

    if (argc == 6) {
        tls_use_folder(argv[1]);
        return tls_server_main(argv + 2);
    }
    (void)tls_folder();
    bench_pin(1);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (argc < 2 || strcmp(argv[1], parts[i].name) == 0) {
            parts[i].run();
        }
    }
    return 0;
}
