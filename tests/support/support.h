/* SPDX-License-Identifier: ISC */
/*
 * What the tests share: a context whose memory and descriptors are counted,
 * turns of its loop until something is so, and one end of a connection that
 * records what it is told and streams bytes that can be checked. Names start
 * with t_.
 *
 * Tests that include this and nothing of a system run wherever conduit does,
 * also in a guest without one; what they ask of the platform is declared at the
 * end. unix_support.h has what only a Unix can do.
 *
 * Every callback that passes through here is checked against two rules of
 * connections: it comes from the loop and from nowhere else, and at most once a
 * turn. Callbacks never assert, since that would jump out of the library: they
 * note a fault, and the next turn of the test fails with it.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <conduit/conn.h>
#include <conduit/resolver.h>

/* ---- memory ------------------------------------------------------------- */

struct t_alloc {
    size_t live;    /* blocks */
    size_t bytes;   /* in them */
    size_t calls;   /* that asked for memory */
    size_t fail_at; /* the call that fails, from 1; 0: none does */
    bool failed;    /* it did */
};

/* ---- a context ---------------------------------------------------------- */

struct t_env {
    struct conduit_ctx *ctx;
    struct conduit_loop *loop;
    struct t_alloc mem;
    uint64_t turns;
    bool turning;   /* the loop runs */
    bool ending;    /* the context is freed: no callbacks any more */
    unsigned depth; /* of callbacks */
    char fault[256];
    char log[8192]; /* what was logged, a line each */
    size_t log_size;
    /* What dials and listeners get that are given no configuration of TLS. */
    struct conduit_tls *tls_client;
    struct conduit_tls *tls_server;
    const char *tls_name;
    /* Called for every connection in the callback that brings it; may put
     * layers on it. */
    void (*came)(struct t_env *env, struct conduit_conn **conn, bool server);
    int fds;      /* open before the context was made */
    char dir[64]; /* of t_dir(); empty: none was asked for */
};

/* Makes a context with every transport of the platform. */
void t_env_init(struct t_env *env);

/* As t_env_init, but says whether it worked: memory may be set to fail. */
int t_env_try(struct t_env *env, struct conduit_error *err);

/* The two halves of it, for a context that is made in another way: what to make
 * it with, and what to do with env->ctx then. */
void t_env_options(struct t_env *env, struct conduit_ctx_options *options);
int t_env_made(struct t_env *env);

/* Frees it; fails when memory or descriptors are left. */
void t_env_fini(struct t_env *env);

/* The same for cmocka, with *state the environment. */
int t_setup(void **state);
int t_teardown(void **state);
#define T_TEST(f) cmocka_unit_test_setup_teardown(f, t_setup, t_teardown)

/* Whether the platform has a transport, by its scheme as in "tcp+socket". A
 * test that needs one that is not there is skipped. */
bool t_has_transport(const char *scheme);
#define T_NEEDS(scheme)                                        \
    do {                                                       \
        if (!t_has_transport(scheme)) {                        \
            print_message("no %s on this platform\n", scheme); \
            skip();                                            \
        }                                                      \
    } while (0)

/* Notes a fault; the first one is kept. */
void t_fault(struct t_env *env, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
#define T_CHECK(env, cond)                                        \
    do {                                                          \
        if (!(cond)) {                                            \
            t_fault(env, "%s:%d: %s", __FILE__, __LINE__, #cond); \
        }                                                         \
    } while (0)

/* ---- turns -------------------------------------------------------------- */

uint64_t t_ms(void); /* monotonic */

/* One turn, waiting at most wait_ms; fails with the fault noted in it. */
void t_turn(struct t_env *env, unsigned wait_ms);

/* n turns without waiting. */
void t_turns(struct t_env *env, unsigned n);

/* Lets the loop run for `ms`; answers how many turns it needed. */
unsigned t_turns_in(struct t_env *env, unsigned ms);

struct t_wait {
    struct t_env *env;
    uint64_t until;
    uint64_t last_turn;
    unsigned count;
};

struct t_wait t_wait(struct t_env *env);
void t_wait_turn(struct t_wait *wait, unsigned ms, const char *what,
                 const char *file, int line);

/* Keeps clang from wondering what in the loop may change a condition. */
static inline bool t_holds(bool cond)
{
    return cond;
}

/*
 * Turns until `cond` holds; fails after a long time or very many turns. T_POLL
 * is for conditions that nothing in the loop announces, such as a call that
 * answers something else at last.
 */
#define T_UNTIL_(env, cond, ms)                              \
    for (struct t_wait wait_ = t_wait(env); !t_holds(cond);) \
    t_wait_turn(&wait_, ms, #cond, __FILE__, __LINE__)
#define T_UNTIL(env, cond) T_UNTIL_(env, cond, 1000)
#define T_POLL(env, cond) T_UNTIL_(env, cond, 1)

/* ---- streams that can be checked ---------------------------------------- */

/* Byte i of stream s is always the same. */
void t_fill(uint64_t stream, uint64_t at, void *buf, size_t n);
bool t_match(uint64_t stream, uint64_t at, const void *buf, size_t n);

/* A small generator; the state must not be 0. */
uint32_t t_random(uint64_t *state);
size_t t_range(uint64_t *state, size_t low, size_t high); /* inclusive */

/* ---- one end of a connection -------------------------------------------- */

struct t_conn {
    struct t_env *env;
    struct conduit_conn *conn; /* NULL once closed here */
    unsigned interest;
    unsigned last;     /* events of the last callback */
    unsigned seen;     /* of all */
    unsigned count[5]; /* READ, WRITE, DRAINED, OPEN, ERR */
    size_t calls;
    uint64_t turn; /* of the last callback */
    /* Called after all of the above is set; may close the connection. */
    void (*hook)(struct t_conn *t, unsigned events);
    void *arg;
    bool pull;         /* reads all there is in READ */
    uint64_t in;       /* the stream that is read */
    uint64_t received; /* bytes of it */
    uint64_t limit;    /* reads no further than this; 0: none */
    int end;           /* what reading ended with; 0: it goes on */
    bool push;         /* writes in WRITE */
    uint64_t out;      /* the stream that is written */
    uint64_t sent;
    uint64_t goal; /* bytes to send */
    int send_end;  /* what writing ended with */
    size_t offer;  /* bytes of the next write */
};

/* Attaches to a connection, with an interest. */
void t_attach(struct t_conn *t, struct t_env *env, struct conduit_conn *conn,
              unsigned events);
void t_want(struct t_conn *t, unsigned events);

/* Reads or writes what goes at once. */
void t_pull(struct t_conn *t);
void t_push(struct t_conn *t);

/* Closes it or aborts it, and forgets it; harmless when that was done. */
void t_close(struct t_conn *t);
void t_abort(struct t_conn *t);

/* ---- listening and dialling --------------------------------------------- */

#define T_QUEUE 64

struct t_server {
    struct t_env *env;
    struct conduit_listener *listener;
    struct conduit_conn *conn[T_QUEUE]; /* accepted, not taken */
    size_t head;
    size_t tail;
};

/* Listens; fails when that fails. */
void t_listen(struct t_server *s, struct t_env *env, const char *uri,
              const struct conduit_options *options);
struct conduit_conn *t_accepted(struct t_server *s); /* or NULL */
void t_unlisten(struct t_server *s); /* and closes what was not taken */

struct t_client {
    struct t_env *env;
    struct conduit_dial *dial;
    unsigned calls;
    struct conduit_conn *conn;
    struct conduit_error err;
    struct conduit_attempt attempt[16];
    size_t attempts;
};

void t_dial(struct t_client *c, struct t_env *env, const char *uri,
            const struct conduit_options *options);

/* Dials and answers the connection, or fails. */
struct conduit_conn *t_dial_now(struct t_env *env, const char *uri);

/* Listens, dials, and hands over both ends; closes the listener. */
struct t_pair {
    struct t_conn a; /* dialled */
    struct t_conn b; /* accepted */
};

void t_connect(struct t_pair *pair, struct t_env *env, const char *uri,
               const struct conduit_options *options);

/* Closes both, and waits until that is done. */
void t_disconnect(struct t_pair *pair);

/* ---- what the platform gives -------------------------------------------- */

/* A context, as conduit_unix_new() or its like makes one. */
int t_platform_new(const struct conduit_ctx_options *options,
                   struct conduit_ctx **out, struct conduit_error *err);

/* Registers its transports, which are these, and NULL. */
int t_platform_register(struct conduit_ctx *ctx);
extern const char *const t_transports[];

/* A directory for this test's files, which goes with the environment. NULL
 * where there are no files. */
const char *t_dir(struct t_env *env);
void t_platform_clean(struct t_env *env); /* removes it */

/* Has vchan look up names in that directory; nothing where there is none. */
void t_own_names(struct t_env *env);

int t_fd_count(void);   /* open descriptors; 0 where there are no such */
bool t_have_ipv6(void); /* the system's loopback has an IPv6 address */

#endif
