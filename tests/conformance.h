/* SPDX-License-Identifier: ISC */
/*
 * One suite for every transport: what its files share. A test gets a struct fix
 * with a pair that is connected over the carrier that the program was started
 * for, below as many chop layers as its mode asks for, and must be true of all
 * carriers or ask `suite.caps`.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include "support.h"

#include "chop.h"

#include <conduit/tls.h>

struct fix;

struct carrier {
    const char *name;      /* of the command line */
    const char *transport; /* what CONDUIT_QUERY_TRANSPORT answers */
    const char *accepted;  /* at the accepted end; NULL: the same */
    unsigned caps;
    bool socket;    /* has a descriptor */
    unsigned ticks; /* turns that its own timers take in 50 ms */

    /* Whether this machine has it. */
    bool (*present)(void);

    /* Writes the URI to listen at, after the layers. */
    void (*uri)(struct t_env *env, char *buf, size_t n);

    /* See suite_connect(), suite_shrink() and suite_delivered(). */
    void (*connect)(struct fix *f, struct t_pair *pair,
                    const struct conduit_options *options);
    void (*shrink)(const struct conduit_conn *conn);
    void (*delivered)(const struct t_conn *t);

    /* How many packets carried bytes of t's; 0 where that cannot be seen. */
    unsigned (*packets)(const struct t_conn *t);
};

/* The carriers of this program's platform, and NULL. */
extern const struct carrier *const suite_carriers[];

/* What most carriers are like: always there, connected by their URI, with
 * nothing between the ends that can be made smaller, waited for or seen. */
bool suite_is_present(void);
void suite_connect_by_uri(struct fix *f, struct t_pair *pair,
                          const struct conduit_options *options);
void suite_shrink_nothing(const struct conduit_conn *conn);
void suite_delivered_at_once(const struct t_conn *t);
unsigned suite_packets_unseen(const struct t_conn *t);

extern const struct carrier carrier_mem;

struct suite {
    const struct carrier *carrier;
    unsigned caps;
    unsigned layers; /* of chop */
    unsigned under;  /* of chop, below TLS */
    bool tls;
    const char *engines[2]; /* of it: client's, server's */
    size_t much;            /* bytes of a large transfer */
    size_t some;            /* bytes that any carrier takes at once */
};

extern struct suite suite;

struct fix {
    struct t_env env; /* must be first */
    struct t_pair pair;
    unsigned lent; /* blocks that were not released */
};

/* Where TLS is a layer: both configurations, and what it leaves of
 * capabilities. */
void suite_tls_setup(struct t_env *env);
void suite_tls_teardown(struct t_env *env);
unsigned suite_tls_caps(unsigned caps);

int suite_setup(void **state);
int suite_teardown(void **state);

/* The suite's layers, as a URI begins with them. */
void suite_layers(char *buf, size_t n);

/* The carrier's URI below them. */
void suite_uri(struct t_env *env, char *buf, size_t n);

/* Connects one more pair. */
void suite_connect(struct fix *f, struct t_pair *pair,
                   const struct conduit_options *options);

/* For tests that fill up what is between the ends: a byte at a time takes long.
 */
void suite_shrink(struct fix *f);

/* Waits until the system has handed over all that it holds of t's bytes. */
void suite_delivered(const struct t_conn *t);

/* Writes n bytes of t's stream, however many turns that takes. */
void suite_send(struct t_conn *t, size_t n);

/* Reads n bytes of t's stream and compares. */
void suite_receive(struct t_conn *t, size_t n);

/* Peeks until something is shown, the end or an error; checks the window. */
long suite_peek(struct t_conn *t, struct conduit_win *win);

/* Whether n bytes of a window are the stream's, from `at`. */
bool suite_window(const struct conduit_win *win, long n, uint64_t stream,
                  uint64_t at);

/* One write, or one read, of a random kind and size; what the call answered. */
long suite_write_some(struct fix *f, struct t_conn *t, uint64_t *random,
                      size_t most);
long suite_read_some(struct t_conn *t, uint64_t *random, size_t most);

/* Reads until END or an error, whose code is answered. */
int suite_read_out(struct t_conn *t);

/*
 * Whether the loop comes to sleep: takes no more turns in 50 ms than its
 * timers, a few packets of whoever else is there, and `extra`. If not at once
 * then soon: shared memory is looked at before a loop waits, and a system that
 * has just got an interface has much to tell its neighbours.
 */
bool suite_sleeps(struct fix *f, unsigned extra);

#define SUITE_TEST(f) \
    cmocka_unit_test_setup_teardown(f, suite_setup, suite_teardown)

/* The suite's parts. */
struct part {
    const struct CMUnitTest *tests;
    size_t count;
};

extern const struct part part_events;
extern const struct part part_pushing;
extern const struct part part_reading;
extern const struct part part_writing;
extern const struct part part_ending;
extern const struct part part_closing;
extern const struct part part_random;

#endif
