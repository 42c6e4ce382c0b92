/* SPDX-License-Identifier: ISC */
/* Two TLS sessions joined in memory: see tls_pipe.h. */
#include "tls_pipe.h"

#include "support.h"

#define PIECE_MAX 65536

/* ---- queues ------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t held(const struct tls_pipe_way *way)
{
    return way->end - way->start;
}

static void make_room(struct tls_pipe_way *way, size_t n)
{
    if (way->room - way->end >= n) {
        return;
    }
    if (way->start > 0) {
        memmove(way->data, way->data + way->start, held(way));
        way->end -= way->start;
        way->start = 0;
    }
    if (way->room / 2 < way->end + n) {
        way->room = 2 * (way->end + n) + 4096;
        way->data = realloc(way->data, way->room);
        assert_non_null(way->data);
    }
}

static long take(struct cdt_tls_io *io, void *buf, size_t n)
{
    struct tls_pipe_way *way = ((struct tls_pipe_end *)io)->in;
    size_t take = least(n, held(way));

    if (take == 0 && way->read_code != 0) {
        return way->read_code;
    }
    if (take == 0) {
        return way->ended ? CONDUIT_END : CONDUIT_AGAIN;
    }
    if (way->chunk > 0) {
        take = least(take, way->chunk);
    }
    memcpy(buf, way->data + way->start, take);
    way->start += take;
    return (long)take;
}

static long put(struct cdt_tls_io *io, const void *buf, size_t n)
{
    struct tls_pipe_way *way = ((struct tls_pipe_end *)io)->out;

    if (way->write_code != 0) {
        return way->write_code;
    }
    if (way->chunk > 0) {
        n = least(n, way->chunk);
    }
    if (way->capacity > 0) {
        n = least(n, way->capacity - least(way->capacity, held(way)));
    }
    if (n == 0) {
        return CONDUIT_AGAIN;
    }
    make_room(way, n);
    memcpy(way->data + way->end, buf, n);
    way->end += n;
    way->total += n;
    return (long)n;
}

/* ---- sessions ----------------------------------------------------------- */

static int open_end(struct tls_pipe_end *end,
                    const struct cdt_tls_engine *engine,
                    struct cdt_tls_credentials *cred,
                    const struct cdt_tls_peer *peer, struct conduit_error *err)
{
    end->io = (struct cdt_tls_io){.input = take, .output = put};
    end->engine = engine;
    end->result = CONDUIT_AGAIN;
    return engine->session_new(cred, peer, &end->io, &end->session, err);
}

int tls_pipe_init(struct tls_pipe *p, const struct tls_pipe_pair *pair,
                  size_t chunk, size_t capacity, struct conduit_error *err)
{
    struct cdt_tls_peer to = {.name = pair->name,
                              .name_is_ip = pair->name_is_ip,
                              .trust_anybody = pair->client_trusts_anybody};
    struct cdt_tls_peer at = {.server = true,
                              .trust_anybody = pair->server_trusts_anybody};
    int rc;

    memset(p, 0, sizeof *p);
    p->up.chunk = p->down.chunk = chunk;
    p->up.capacity = p->down.capacity = capacity;
    p->client.out = p->server.in = &p->up;
    p->client.in = p->server.out = &p->down;
    rc = open_end(&p->client, pair->client_engine, pair->client, &to, err);
    if (rc != 0) {
        return rc;
    }
    return open_end(&p->server, pair->server_engine, pair->server, &at, err);
}

static void close_end(struct tls_pipe_end *end)
{
    if (end->session != NULL) {
        end->engine->session_free(end->session);
    }
    end->session = NULL;
}

void tls_pipe_fini(struct tls_pipe *p)
{
    close_end(&p->client);
    close_end(&p->server);
    free(p->up.data);
    free(p->down.data);
    memset(p, 0, sizeof *p);
}

struct tls_pipe_end *tls_pipe_other(struct tls_pipe *p,
                                    const struct tls_pipe_end *end)
{
    return end == &p->client ? &p->server : &p->client;
}

uint64_t tls_pipe_total(const struct tls_pipe *p)
{
    return p->up.total + p->down.total;
}

/* Grows with every byte that goes in or comes out anywhere. */
static uint64_t motion(const struct tls_pipe *p)
{
    return 2 * tls_pipe_total(p) - held(&p->up) - held(&p->down);
}

static void step(struct tls_pipe_end *end)
{
    if (end->result == CONDUIT_AGAIN) {
        end->result = end->engine->handshake(end->session);
    }
    (void)end->engine->flush(end->session);
}

bool tls_pipe_handshake(struct tls_pipe *p)
{
    uint64_t before;

    do {
        before = motion(p);
        step(&p->client);
        step(&p->server);
    } while (motion(p) != before);
    return p->client.result == 0 && p->server.result == 0;
}

void tls_pipe_flush(struct tls_pipe *p)
{
    uint64_t before;

    do {
        before = motion(p);
        (void)p->client.engine->flush(p->client.session);
        (void)p->server.engine->flush(p->server.session);
    } while (motion(p) != before);
}

long tls_pipe_read(struct tls_pipe *p, struct tls_pipe_end *at, void *buf,
                   size_t n)
{
    struct tls_pipe_end *from = tls_pipe_other(p, at);
    uint64_t before;
    long got;

    do {
        before = motion(p);
        (void)from->engine->flush(from->session);
        got = at->engine->read(at->session, buf, n);
    } while (got == CONDUIT_AGAIN && motion(p) != before);
    return got;
}

bool tls_pipe_write(struct tls_pipe *p, struct tls_pipe_end *at,
                    const char *text)
{
    size_t n = strlen(text);

    while (n > 0) {
        long put_in = at->engine->write(at->session, text, n);

        if (put_in <= 0) {
            return false;
        }
        text += put_in;
        n -= (size_t)put_in;
        (void)at->engine->flush(at->session);
    }
    (void)p;
    return true;
}

/* Reads what has come; whether it was what was sent, and nothing failed. */
static bool drain(struct tls_pipe_end *to, uint64_t stream, size_t *at,
                  size_t piece)
{
    static _Thread_local uint8_t buf[PIECE_MAX];
    long got;

    while ((got = to->engine->read(to->session, buf, piece)) > 0) {
        if (!t_match(stream, *at, buf, (size_t)got)) {
            return false;
        }
        *at += (size_t)got;
    }
    return got == CONDUIT_AGAIN;
}

size_t tls_pipe_stream(struct tls_pipe *p, struct tls_pipe_end *from,
                       struct tls_pipe_end *to, uint64_t stream, size_t n,
                       size_t piece)
{
    static _Thread_local uint8_t buf[PIECE_MAX];
    size_t sent = 0;
    size_t come = 0;
    uint64_t before;
    long put_in;

    assert_true(piece > 0 && piece <= PIECE_MAX);
    do {
        before = motion(p);
        while (sent < n) {
            size_t size = least(piece, n - sent);

            t_fill(stream, sent, buf, size);
            put_in = from->engine->write(from->session, buf, size);
            if (put_in <= 0) {
                break;
            }
            sent += (size_t)put_in;
        }
        (void)from->engine->flush(from->session);
        if (!drain(to, stream, &come, piece)) {
            break;
        }
    } while (motion(p) != before);
    return come;
}
