/* SPDX-License-Identifier: ISC */
/*
 * Writing the head of a message (RFC 9112 sections 2 to 5): a start line,
 * fields and the empty line, into memory that the caller lends.
 *
 * Nothing that is appended can break out of its place: names, values, methods
 * and targets are checked byte by byte (RFC 9110 section 5), so that no text of
 * an application becomes a second field or a second message. A call either
 * appends all of its text or nothing, and failures are sticky: a head can be
 * built without looking, and asked once at its end.
 */
#ifndef CDT_HTTP_HEAD_H
#define CDT_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cdt_headbuf {
    char *mem;
    size_t size; /* of mem, in bytes */
    size_t used;
    int code; /* the first failure: EINVAL (malformed), ELIMIT (full); or 0 */
};

/* Starts a head in `size` bytes at `mem`, which stay the caller's. */
void cdt_headbuf_init(struct cdt_headbuf *h, void *mem, size_t size);

/*
 * All answer 0 or the sticky code. A field that the caller got from elsewhere
 * and may refuse without spoiling the head is tried by cdt_headbuf_try_field():
 * its failure is not sticky.
 */
int cdt_headbuf_request(struct cdt_headbuf *h, const char *method,
                        const char *target);
int cdt_headbuf_status(struct cdt_headbuf *h, int status);
int cdt_headbuf_field(struct cdt_headbuf *h, const char *name,
                      const char *value);
int cdt_headbuf_try_field(struct cdt_headbuf *h, const char *name,
                          const char *value);
int cdt_headbuf_number(struct cdt_headbuf *h, const char *name, uint64_t value);
/* Content-Length or Transfer-Encoding for a framing (parser.h), or nothing. */
int cdt_headbuf_framing(struct cdt_headbuf *h, int framing, uint64_t length);
/* Bytes as they are: for constants and for what was checked before. */
int cdt_headbuf_raw(struct cdt_headbuf *h, const void *bytes, size_t n);
/* The empty line. */
int cdt_headbuf_end(struct cdt_headbuf *h);

/*
 * Whether `name` (any case) is a field that decides where a message ends, which
 * only the library writes: Content-Length, Transfer-Encoding, Connection and
 * its ghosts, Trailer, Upgrade.
 */
bool cdt_http_is_framing(const char *name);

/* Whether both are the same but for the case of ASCII letters. */
bool cdt_http_same_name(const char *a, const char *b);

/* Bytes of an IMF-fixdate (RFC 9110 section 5.6.7) with its NUL. */
#define CDT_HTTP_DATE 30

/* "Sun, 06 Nov 1994 08:49:37 GMT" of seconds since 1970, to the year 9999. */
void cdt_http_date(char out[CDT_HTTP_DATE], int64_t wall);

#endif
