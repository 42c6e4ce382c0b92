/* SPDX-License-Identifier: ISC */
/*
 * `conduit relay`: accepts connections at one URI, connects each to another,
 * and copies both ways. It behaves as a wire would: each side sees of the other
 * what it would see if it were connected to it, an end as an end and a failure
 * as a failure, and neither can make it hold more than the windows of two
 * connections.
 *
 * relay_options.c reads the command line, relay_pair.c copies between two
 * connections, relay.c accepts, dials, and keeps the limits. All of it is a
 * portable application: ISO C and conduit, nothing of a system.
 */
#ifndef CONDUIT_RELAY_H
#define CONDUIT_RELAY_H

#include "tls_options.h"

#include <conduit/conduit.h>

enum relay_status { RELAY_OK = 0, RELAY_FAILED = 1, RELAY_USAGE = 2 };

/* ---- relay_options.c ---------------------------------------------------- */

struct relay_options {
    const char *from;
    const char *to;
    unsigned max;        /* connections relayed at a time */
    unsigned idle_ms;    /* without a byte either way; 0: no limit */
    unsigned connect_ms; /* for reaching `to` */
    unsigned linger_ms;  /* for the last bytes before a connection is dropped */
    unsigned grace_ms;   /* for what is there when asked to end */
    struct tls_options from_tls;
    struct tls_options to_tls;
    bool help;
};

/*
 * Reads the arguments (argv[0] is "relay"). RELAY_OK, or RELAY_USAGE with the
 * reason on stderr.
 */
int relay_options_parse(struct relay_options *o, int argc, char **argv);

/* What connections of the two sides are made with. */
struct conduit_options relay_listen_options(const struct relay_options *o);
struct conduit_options relay_dial_options(const struct relay_options *o);

/* Their TLS, where the URIs have it; else NULL. Both are to be given back, also
 * after a failure. */
int relay_tls(const struct relay_options *o, struct conduit_ctx *ctx,
              struct conduit_tls **from, struct conduit_tls **to,
              struct conduit_error *err);

extern const char relay_usage[];

/* ---- relay_pair.c ------------------------------------------------------- */

struct relay_pair;

struct relay_side {
    struct relay_pair *pair;
    struct conduit_conn *conn;
    int over;        /* what its bytes ended with: END or an error; 0: go on */
    int broken;      /* why it takes no more bytes; 0: it does */
    unsigned wanted; /* events, as the connection knows */
    bool stuck;      /* it took less than there was: WRITE says when more */
    bool finished;   /* it was told the end of the other's bytes */
};

/* Zero-initialise; set the first members, which stay the caller's. */
struct relay_pair {
    unsigned idle_ms;   /* 0: no limit */
    unsigned linger_ms; /* for what was read before a failure to arrive */
    /*
     * It is over: both connections are closed, or dropped because of `err`
     * (NULL: both ended in order), which is about side[where], or -1: both.
     * The pair may be freed within.
     */
    void (*done)(struct relay_pair *pair, const struct conduit_error *err,
                 int where);

    struct relay_side side[2];
    struct conduit_loop *loop;
    struct conduit_timer timer;
    struct conduit_error error; /* the first failure */
    uint64_t copied[2];         /* bytes read from a side and passed on */
    uint64_t since;             /* of the last byte, or of this stage; ns */
    int failed;                 /* the side that `error` is about; -1: both */
    int told;       /* cutting: who is to get what was read, before the drop */
    uint8_t stage;  /* enum in relay_pair.c */
    bool impatient; /* a side without half-close was told the end in full */
};

/* Owns both connections, which are open, from now on. `done` comes later. */
void relay_pair_start(struct relay_pair *pair, struct conduit_conn *a,
                      struct conduit_conn *b);

/* Drops both connections at once; `done` will not come. */
void relay_pair_drop(struct relay_pair *pair);

/* ---- relay.c ------------------------------------------------------------ */

/* The command; answers the exit status. */
int relay_main(struct conduit_ctx *ctx, int argc, char **argv);

#endif
