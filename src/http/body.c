/* SPDX-License-Identifier: ISC */
/* Sending a message: see body.h. */
#include "http/body.h"

#include <limits.h>
#include <string.h>

/* Where staged body bytes lie: behind the longest size line, "10\r\n". */
enum { STAGE_PREFIX = 4 };

_Static_assert(CDT_BODY_STAGE == 0x10, "two digits hold the size of a stage");

void cdt_body_init(struct cdt_body *b, const void *head, size_t head_size,
                   enum cdt_http_framing framing, uint64_t length)
{
    memset(b, 0, sizeof *b);
    b->head = head;
    b->head_left = head_size;
    b->framing = (uint8_t)framing;
    b->left = framing == CDT_HTTP_LENGTH || framing == CDT_HTTP_NO_BODY
                  ? length
                  : UINT64_MAX;
    cdt_body_refill(b);
}

void cdt_body_refill(struct cdt_body *b)
{
    b->drops = CDT_BODY_DROPS;
}

bool cdt_body_pending(const struct cdt_body *b)
{
    return b->head_left > 0 || b->staged_at < b->staged_end;
}

/* Takes note that k bytes of the head and what follows it went out. */
static size_t count_head(struct cdt_body *b, size_t k)
{
    size_t head = k < b->head_left ? k : b->head_left;

    b->moved = b->moved || k > 0;
    if (head > 0) {
        b->head += head;
        b->head_left -= head;
    }
    return k - head;
}

/* Takes note that n bytes of the body went out, or were dropped. */
static void count_body(struct cdt_body *b, size_t n)
{
    if (b->left != UINT64_MAX) {
        b->left -= n;
    }
    if (b->framing == CDT_HTTP_NO_BODY) {
        b->drops -= (uint32_t)(n < b->drops ? n : b->drops);
    }
    b->moved = b->moved || n > 0;
}

static int flush_head(struct cdt_body *b, struct conduit_conn *conn)
{
    while (b->head_left > 0) {
        long k = conduit_conn_write(conn, b->head, b->head_left);

        if (k < 0) {
            return (int)k;
        }
        (void)count_head(b, (size_t)k);
    }
    return 0;
}

static int flush_stage(struct cdt_body *b, struct conduit_conn *conn)
{
    while (b->staged_at < b->staged_end) {
        long k = conduit_conn_write(conn, b->stage + b->staged_at,
                                    (size_t)(b->staged_end - b->staged_at));

        if (k < 0) {
            return (int)k;
        }
        b->moved = true;
        b->staged_at = (uint8_t)(b->staged_at + k);
    }
    return 0;
}

int cdt_body_flush(struct cdt_body *b, struct conduit_conn *conn)
{
    int code = flush_head(b, conn);

    return code == 0 ? flush_stage(b, conn) : code;
}

/* The least number of hex digits that show n. */
static unsigned digits_of(size_t n)
{
    unsigned digits = 1;

    while (n >>= 4) {
        digits++;
    }
    return digits;
}

/* Writes n and CR LF into `width` bytes, zeros in front. */
static void put_size(void *at, size_t width, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    char *c = at;
    size_t i = width - 2;

    c[width - 2] = '\r';
    c[width - 1] = '\n';
    while (i-- > 0) {
        c[i] = hex[n & 15];
        n >>= 4;
    }
}

/* Gives the room back and offers some of the stage. */
static long stage_room(struct cdt_body *b, size_t want, void **at)
{
    b->window = NULL;
    b->prefix = STAGE_PREFIX;
    *at = b->stage + STAGE_PREFIX;
    return want < CDT_BODY_STAGE ? (long)want : CDT_BODY_STAGE;
}

/* Room behind a size line and in front of a CR LF. */
static long chunk_room(struct cdt_body *b, struct conduit_conn *conn,
                       const struct conduit_win *win, size_t want, void **at)
{
    size_t room = win->seg[0].size;
    size_t most = want < room ? want : room;
    size_t prefix = digits_of(most) + 2;

    if (room <= CDT_BODY_STAGE + STAGE_PREFIX) {
        conduit_conn_commit(conn, 0);
        return stage_room(b, want, at);
    }
    if (most > room - prefix - 2) {
        most = room - prefix - 2;
        prefix = digits_of(most) + 2;
    }
    b->window = win->seg[0].data;
    b->prefix = (uint8_t)prefix;
    *at = b->window + prefix;
    return (long)most;
}

long cdt_body_room(struct cdt_body *b, struct conduit_conn *conn, size_t want,
                   void **at)
{
    struct conduit_win win;
    int code = cdt_body_flush(b, conn);
    long room;

    if (want > LONG_MAX) {
        want = LONG_MAX;
    }
    if (want > b->left) {
        want = (size_t)b->left;
    }
    if (want == 0 || b->over) {
        return CONDUIT_EINVAL;
    }
    if (code < 0) {
        return code;
    }
    if (b->framing == CDT_HTTP_NO_BODY) {
        return b->drops > 0 ? stage_room(b, want, at) : CONDUIT_AGAIN;
    }
    room = conduit_conn_reserve(conn, &win);
    if (room < 0) {
        return room;
    }
    if (b->framing == CDT_HTTP_CHUNKED) {
        return chunk_room(b, conn, &win, want, at);
    }
    b->window = win.seg[0].data;
    b->prefix = 0;
    *at = b->window;
    return (long)(want < win.seg[0].size ? want : win.seg[0].size);
}

static void fill_window(struct cdt_body *b, struct conduit_conn *conn, size_t n)
{
    size_t total = n;

    if (n > 0 && b->framing == CDT_HTTP_CHUNKED) {
        put_size(b->window, b->prefix, n);
        memcpy(b->window + b->prefix + n, "\r\n", 2);
        total += (size_t)b->prefix + 2;
    }
    b->window = NULL;
    conduit_conn_commit(conn, total);
}

static void fill_stage(struct cdt_body *b, struct conduit_conn *conn, size_t n)
{
    size_t width = digits_of(n) + 2;

    b->staged_at = (uint8_t)(STAGE_PREFIX - width);
    b->staged_end = (uint8_t)(STAGE_PREFIX + n + 2);
    put_size(b->stage + b->staged_at, width, n);
    memcpy(b->stage + STAGE_PREFIX + n, "\r\n", 2);
    /* An error here shows again at the next call. */
    (void)flush_stage(b, conn);
}

void cdt_body_fill(struct cdt_body *b, struct conduit_conn *conn, size_t n)
{
    count_body(b, n);
    if (b->window != NULL) {
        fill_window(b, conn, n);
    } else if (n > 0 && b->framing == CDT_HTTP_CHUNKED) {
        fill_stage(b, conn, n);
    }
}

static long write_chunks(struct cdt_body *b, struct conduit_conn *conn,
                         const uint8_t *data, size_t n)
{
    size_t done = 0;

    while (done < n) {
        void *at;
        long k = cdt_body_room(b, conn, n - done, &at);

        if (k < 0) {
            return done > 0 ? (long)done : k;
        }
        memcpy(at, data + done, (size_t)k);
        cdt_body_fill(b, conn, (size_t)k);
        done += (size_t)k;
    }
    return (long)done;
}

static long write_plain(struct cdt_body *b, struct conduit_conn *conn,
                        const void *data, size_t n)
{
    struct conduit_seg seg[2] = {{b->head, b->head_left}, {data, n}};
    unsigned skip = b->head_left == 0;
    long k = conduit_conn_writev(conn, seg + skip, 2 - skip);
    size_t body;

    if (k < 0) {
        return k;
    }
    body = count_head(b, (size_t)k);
    count_body(b, body);
    return body > 0 ? (long)body : CONDUIT_AGAIN;
}

static long check_write(const struct cdt_body *b, size_t *n)
{
    if (*n > b->left || b->over) {
        return CONDUIT_EINVAL;
    }
    if (*n > LONG_MAX) {
        *n = LONG_MAX;
    }
    return 0;
}

static long drop(struct cdt_body *b, size_t n)
{
    size_t part = n < b->drops ? n : b->drops;

    if (part == 0) {
        return CONDUIT_AGAIN;
    }
    count_body(b, part);
    return (long)part;
}

long cdt_body_write(struct cdt_body *b, struct conduit_conn *conn,
                    const void *data, size_t n)
{
    long code = check_write(b, &n);

    if (code < 0 || n == 0) {
        return code;
    }
    if (b->framing == CDT_HTTP_NO_BODY) {
        return drop(b, n);
    }
    if (b->framing == CDT_HTTP_CHUNKED) {
        return write_chunks(b, conn, data, n);
    }
    return write_plain(b, conn, data, n);
}

long cdt_body_lend(struct cdt_body *b, struct conduit_conn *conn,
                   const void *data, size_t n)
{
    /* A small body shares the head's packet; copying it costs less than that.
     */
    enum { SMALL = 1024 };
    long k;

    if (n <= SMALL || b->framing == CDT_HTTP_NO_BODY ||
        b->framing == CDT_HTTP_CHUNKED) {
        return cdt_body_write(b, conn, data, n);
    }
    k = check_write(b, &n);
    if (k == 0) {
        k = flush_head(b, conn);
    }
    if (k == 0) {
        k = conduit_conn_lend(conn, data, n, NULL);
    }
    if (k > 0) {
        count_body(b, (size_t)k);
    }
    return k;
}

int cdt_body_end(struct cdt_body *b, struct conduit_conn *conn)
{
    int code = cdt_body_flush(b, conn);

    if (b->framing == CDT_HTTP_LENGTH && b->left > 0) {
        return CONDUIT_EINVAL;
    }
    if (code != 0 || b->over) {
        return code;
    }
    b->over = true;
    if (b->framing == CDT_HTTP_CHUNKED) {
        memcpy(b->stage, "0\r\n\r\n", 5);
        b->staged_at = 0;
        b->staged_end = 5;
    }
    return flush_stage(b, conn);
}
