/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target of TLS: a real client or server, or both, of either engine, and
 * raw connections that the input is written to, in one of three ways:
 *
 *   raw     the other end sends the input and nothing else
 *   replay  it sends what the peer sent in a handshake recorded before, edited
 *   relay   client and server talk through a relay that edits one direction
 *
 * An edit leaves some of the valid bytes out at an offset and puts the rest of
 * the input there. The first byte chooses the engines, the way, which side is
 * meant, whether chop cuts what TLS is given and how sides end; the second how
 * much goes into a write.
 *
 * Clock and entropy are stand-ins: time moves only when the loop would sleep,
 * and every session draws the same bytes, so what BearSSL recorded is still
 * valid when it is replayed. OpenSSL draws its own, so that handshakes go
 * through to the end only over the relay. Whatever comes in, both sides must
 * see an end within a bounded number of turns, and all memory is given back.
 */
#include "chop.h"
#include "test_identity.h"
#include "unix_still.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MAX_TURNS = 200000,
    MAX_INPUT = 20000, /* more than a record */
    QUEUE = 65536,
    TALK = 300,   /* bytes that each side says once it is open */
    ENOUGH = 160, /* that it hears before it closes, whatever is left */
    TALK_MS = 5000
};

enum way { RAW, REPLAY, RELAY };

/* Who sent the bytes. */
enum { CLIENT, SERVER };

/* A raw connection, and what is still to be written to it. */
struct raw {
    struct conduit_conn *conn;
    uint8_t queue[QUEUE];
    size_t head;
    size_t tail;
    bool finishing; /* nothing is queued any more */
    bool finished;
    bool ended; /* so has the other end */
};

/* What is done to a stream of valid bytes. */
struct edit {
    const uint8_t *data; /* put in at `at` */
    size_t size;
    size_t at;
    size_t drop; /* of what was there */
    size_t seen;
};

/* A TLS connection, once it is open. */
struct side {
    struct conduit_conn *conn;
    bool windows; /* it reads in place, and not all that it is shown */
    bool aborts;  /* rather than closes */
    size_t sent;
    size_t got;
};

struct run {
    struct conduit_ctx *ctx;
    struct conduit_tls *tls[2];
    struct conduit_listener *listener[2];
    struct conduit_dial *dial[2]; /* CLIENT: of TLS; SERVER: the raw one */
    struct side side[2];
    struct raw raw[2]; /* by whose bytes are read there */
    struct edit edit;
    enum way way;
    bool tls_side[2]; /* which of the two is there */
    int edited;       /* whose bytes are */
    size_t step;
};

/* What both sides of a handshake sent, by their engines. */
struct record {
    uint8_t data[QUEUE];
    size_t size;
};

static struct record records[2][2][2];
static const char *const engines[] = {"openssl", "bearssl"};

/* ---- the context ---- */

/* The same in every call, whichever session asks first. */
static int same_entropy(struct conduit_platform *p, void *buf, size_t n)
{
    uint32_t drawn = 1;

    (void)p;
    t_still_draw(&drawn, buf, n);
    return 0;
}

static struct conduit_ctx *make_ctx(void)
{
    struct conduit_ctx *ctx = t_still_new(same_entropy);
    int code = conduit_register_all(ctx) | conduit_register_chop(ctx);

    assert(code == 0);
    return ctx;
}

/* ---- the sides that speak TLS ---- */

static void talk(struct side *s)
{
    static const uint8_t words[TALK];
    long n = conduit_conn_write(s->conn, words, TALK - s->sent);

    if (n > 0) {
        s->sent += (size_t)n;
    }
    if (s->sent == TALK || (n < 0 && n != CONDUIT_AGAIN)) {
        conduit_conn_want(s->conn, CONDUIT_READ);
    }
}

static long hear(struct side *s)
{
    struct conduit_win win;
    uint8_t buf[200];
    long n;

    if (!s->windows) {
        return conduit_conn_read(s->conn, buf, sizeof buf);
    }
    n = conduit_conn_peek(s->conn, &win);
    if (n > 0) {
        n = n / 2 + 1;
        conduit_conn_consume(s->conn, (size_t)n);
    }
    return n;
}

/* The side that has heard enough closes first, the other one at its end. */
static void side_event(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct side *s = arg;
    long n = CONDUIT_AGAIN;

    if ((events & CONDUIT_WRITE) != 0) {
        talk(s);
    }
    if ((events & (CONDUIT_READ | CONDUIT_ERR)) != 0) {
        n = hear(s);
        s->got += n > 0 ? (size_t)n : 0;
    }
    if ((n < 0 && n != CONDUIT_AGAIN) || (events & CONDUIT_ERR) != 0 ||
        (s->got >= ENOUGH && s->sent == TALK)) {
        s->conn = NULL;
        (s->aborts ? conduit_conn_abort : conduit_conn_close)(conn);
    }
}

static void side_opened(struct side *s, struct conduit_conn *conn)
{
    struct conduit_tls_facts facts;
    int code = conduit_conn_query(conn, CONDUIT_QUERY_TLS, &facts);

    assert(code == 0);
    s->conn = conn;
    conduit_conn_set_deadline(conn, TALK_MS);
    conduit_conn_set_handler(conn, side_event, s, CONDUIT_READ | CONDUIT_WRITE);
}

static void tls_accepted(void *arg, struct conduit_listener *l,
                         struct conduit_conn *conn)
{
    struct run *run = arg;

    (void)l;
    run->side[SERVER].windows = true;
    side_opened(&run->side[SERVER], conn);
}

static void tls_dialed(void *arg, struct conduit_dial *dial,
                       struct conduit_conn *conn,
                       const struct conduit_error *err)
{
    struct run *run = arg;

    (void)dial;
    assert((conn != NULL) != (err != NULL && err->code != 0));
    run->dial[CLIENT] = NULL;
    if (conn != NULL) {
        side_opened(&run->side[CLIENT], conn);
    }
}

/* ---- raw connections ---- */

static void put(struct raw *r, const uint8_t *data, size_t n)
{
    n = n < QUEUE - r->tail ? n : QUEUE - r->tail;
    if (n > 0) {
        memcpy(r->queue + r->tail, data, n);
    }
    r->tail += n;
}

/* Puts valid bytes through the edit; its own come where its offset is met. */
static void put_edited(struct raw *r, struct edit *e, const uint8_t *data,
                       size_t n)
{
    for (size_t i = 0; i < n; i++, e->seen++) {
        if (e->seen == e->at) {
            put(r, e->data, e->size);
        }
        if (e->seen < e->at || e->seen - e->at >= e->drop) {
            put(r, data + i, 1);
        }
    }
}

static void came(struct run *run, int from, const uint8_t *data, size_t n)
{
    struct raw *to = &run->raw[!from];

    if (run->way != RELAY) {
        return;
    }
    if (from == run->edited) {
        put_edited(to, &run->edit, data, n);
    } else {
        put(to, data, n);
    }
}

static void raw_write(struct raw *r, size_t step)
{
    size_t left = r->tail - r->head;
    long n = 0;

    if (left > 0) {
        n = conduit_conn_write(r->conn, r->queue + r->head,
                               left < step ? left : step);
        if (n > 0) {
            r->head += (size_t)n;
        } else if (n != CONDUIT_AGAIN) {
            r->head = r->tail;
        }
    }
    if (r->head == r->tail && r->finishing && !r->finished) {
        r->finished = true;
        (void)conduit_conn_finish(r->conn, false);
    }
}

static void raw_read(struct run *run, int which)
{
    struct raw *r = &run->raw[which];
    uint8_t buf[4096];
    long n;

    while ((n = conduit_conn_read(r->conn, buf, sizeof buf)) > 0) {
        came(run, which, buf, (size_t)n);
    }
    if (n != CONDUIT_AGAIN) {
        r->ended = true;
        if (run->way == RELAY) {
            run->raw[!which].finishing = true;
        }
    }
}

static void raw_turn(struct run *run, int which)
{
    struct raw *r = &run->raw[which];

    if (r->conn != NULL && !r->ended) {
        raw_read(run, which);
    }
    if (r->conn != NULL) {
        raw_write(r, run->step);
    }
}

static void raw_accepted(void *arg, struct conduit_listener *l,
                         struct conduit_conn *conn)
{
    struct run *run = arg;

    (void)l;
    run->raw[CLIENT].conn = conn;
}

static void raw_dialed(void *arg, struct conduit_dial *dial,
                       struct conduit_conn *conn,
                       const struct conduit_error *err)
{
    struct run *run = arg;

    (void)dial;
    (void)err;
    assert(conn != NULL);
    run->dial[SERVER] = NULL;
    run->raw[SERVER].conn = conn;
}

/* ---- a run ---- */

static void start_server(struct run *run, bool chop)
{
    const struct conduit_options options = {.tls = run->tls[SERVER]};
    int code = conduit_listen(
        run->ctx, chop ? "tls+chop+mem://server" : "tls+mem://server", &options,
        tls_accepted, run, &run->listener[SERVER], NULL);

    code |= conduit_dial(run->ctx, "mem://server", NULL, raw_dialed, run,
                         &run->dial[SERVER], NULL);
    assert(code == 0);
}

static void start_client(struct run *run, bool chop)
{
    const struct conduit_options options = {.tls = run->tls[CLIENT],
                                            .tls_name = T_IDENTITY_NAME};
    int code = conduit_listen(run->ctx, "mem://client", NULL, raw_accepted, run,
                              &run->listener[CLIENT], NULL);

    code |= conduit_dial(run->ctx,
                         chop ? "tls+chop+mem://client" : "tls+mem://client",
                         &options, tls_dialed, run, &run->dial[CLIENT], NULL);
    assert(code == 0);
}

/* Every side that is there has gone, and its raw connection knows. */
static bool over(const struct run *run)
{
    bool client = !run->tls_side[CLIENT] ||
                  (run->raw[CLIENT].ended && run->dial[CLIENT] == NULL &&
                   run->side[CLIENT].conn == NULL);
    bool server = !run->tls_side[SERVER] ||
                  (run->raw[SERVER].ended && run->side[SERVER].conn == NULL);

    return client && server;
}

static void begin(struct run *run, const unsigned engine[2], bool chop)
{
    run->ctx = make_ctx();
    for (int i = 0; i < 2; i++) {
        if (run->tls_side[i]) {
            int code = t_identity_tls(run->ctx, engines[engine[i]], false,
                                      &run->tls[i], NULL);

            assert(code == 0);
        }
    }
    if (run->tls_side[SERVER]) {
        start_server(run, chop);
    }
    if (run->tls_side[CLIENT]) {
        start_client(run, chop);
    }
}

static bool has_queued(const struct raw *r)
{
    return r->head < r->tail;
}

/* Over the relay both may wait for bytes that were left out, until a deadline
 * ends it; an end that has come must do so without one. */
static void turns(struct run *run)
{
    uint64_t began = t_still_ns;
    unsigned n = 0;

    while (!over(run)) {
        bool busy = has_queued(&run->raw[CLIENT]) ||
                    has_queued(&run->raw[SERVER]);

        assert(n++ < MAX_TURNS);
        conduit_loop_turn(conduit_ctx_loop(run->ctx), busy ? 0 : 100);
        raw_turn(run, CLIENT);
        raw_turn(run, SERVER);
    }
    assert(run->way == RELAY ||
           t_still_ns - began < TALK_MS * UINT64_C(1000000));
}

static void end(struct run *run)
{
    for (int i = 0; i < 2; i++) {
        conduit_conn_abort(run->raw[i].conn);
        conduit_listener_close(run->listener[i]);
    }
    conduit_loop_finish(conduit_ctx_loop(run->ctx));
    assert(run->ctx->loop.all == NULL);
    conduit_tls_unref(run->tls[CLIENT]);
    conduit_tls_unref(run->tls[SERVER]);
    conduit_ctx_free(run->ctx);
    assert(t_still_blocks == 0);
}

/* ---- recording ---- */

static void record(const unsigned engine[2])
{
    static struct run run;

    memset(&run, 0, sizeof run);
    run.way = RELAY;
    run.tls_side[CLIENT] = true;
    run.tls_side[SERVER] = true;
    run.edit.at = SIZE_MAX;
    run.step = QUEUE;
    begin(&run, engine, false);
    turns(&run);
    assert(run.side[CLIENT].got > 0 && run.side[SERVER].got > 0);
    for (int who = 0; who < 2; who++) {
        struct record *r = &records[engine[CLIENT]][engine[SERVER]][who];

        r->size = run.raw[!who].tail;
        memcpy(r->data, run.raw[!who].queue, r->size);
    }
    end(&run);
}

/* ---- the input ---- */

/* An offset of 12 bits, which reaches past every handshake; how much is left
 * out, of 8 bits shifted by 4; and what goes in. */
static bool take_edit(struct edit *e, const uint8_t *data, size_t size)
{
    if (size < 3) {
        return false;
    }
    e->at = (size_t)(data[0] & 15) << 8 | data[1];
    e->drop = (size_t)data[2] << (data[0] >> 4);
    e->data = data + 3;
    e->size = size - 3;
    return true;
}

/* What the raw end begins with, where there is one side of TLS. */
static bool prepare(struct run *run, const unsigned engine[2],
                    const uint8_t *data, size_t size)
{
    const struct record *r =
        &records[engine[CLIENT]][engine[SERVER]][run->edited];
    struct raw *to = &run->raw[!run->edited];

    if (run->way == RAW) {
        put(to, data, size);
    } else if (!take_edit(&run->edit, data, size)) {
        return false;
    } else if (run->way == REPLAY) {
        put_edited(to, &run->edit, r->data, r->size);
    }
    to->finishing = run->way != RELAY;
    return true;
}

/* Answers what came of it; NULL: too short. */
static const struct run *run_input(const uint8_t *data, size_t size)
{
    static struct run run;
    unsigned bits = data[0];
    const unsigned engine[2] = {bits & 1, bits >> 1 & 1};
    unsigned way = bits >> 3 & 3;

    memset(&run, 0, sizeof run);
    run.edited = bits >> 2 & 1;
    run.way = way < RELAY ? (enum way)way : RELAY;
    run.tls_side[!run.edited] = true;
    run.tls_side[run.edited] = run.way == RELAY;
    run.side[CLIENT].aborts = (bits & 64) != 0;
    run.side[SERVER].aborts = (bits & 64) != 0;
    run.step = data[1] == UINT8_MAX ? QUEUE : data[1] + (size_t)1;
    if (!prepare(&run, engine, data + 2, size - 2)) {
        return NULL;
    }
    begin(&run, engine, (bits & 32) != 0);
    turns(&run);
    end(&run);
    return &run;
}

/* Without an edit BearSSL must take what was recorded, from either engine. */
static void check_replay(unsigned peer, int edited)
{
    unsigned pair = edited == CLIENT ? peer | 2 : 1 | peer << 1;
    const uint8_t input[] = {
        (uint8_t)(pair | (unsigned)edited << 2 | REPLAY << 3), UINT8_MAX, 15,
        UINT8_MAX, 0};
    const struct run *run = run_input(input, sizeof input);

    assert(run != NULL && run->side[!edited].got > 0);
}

static void record_all(void)
{
    for (unsigned i = 0; i < 4; i++) {
        record((const unsigned[2]){i & 1, i >> 1});
    }
    for (unsigned peer = 0; peer < 2; peer++) {
        check_replay(peer, CLIENT);
        check_replay(peer, SERVER);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool recorded;

    if (!recorded) {
        record_all();
        recorded = true;
    }
    if (size >= 2 && size <= MAX_INPUT) {
        (void)run_input(data, size);
    }
    return 0;
}
