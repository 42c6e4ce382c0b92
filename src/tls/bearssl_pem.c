/* SPDX-License-Identifier: ISC */
/*
 * PEM (RFC 7468) for BearSSL: certificates and private keys among whatever else
 * a file holds. BearSSL has a decoder of PEM too, which was tried: it needs 30
 * ms for the authorities of a system, and trips over CRLF.
 */
#include "bearssl_engine.h"

#include <string.h>

#define LAYER "tls"

const char *cdt_bearssl_source_name(const struct conduit_tls_source *source)
{
    return source->name != NULL ? source->name : "PEM from memory";
}

/* ---- objects ------------------------------------------------------------ */

/* A line without its end, and without spaces behind. */
struct line {
    const char *at;
    size_t size;
};

/* Characters of base64 on their way to bytes, across lines. */
struct base64 {
    uint32_t bits;
    unsigned count; /* characters, '=' included */
    unsigned pads;
};

/* Where in the text we are, and the object that was read last. */
struct reader {
    struct conduit_ctx *ctx;
    const char *at;
    size_t left;
    struct line name; /* "CERTIFICATE" */
    uint8_t *data;    /* has room for all of the text */
    size_t size;
    size_t room;
    struct base64 base64;
};

/* Starts to read; to be ended by end_reading(). */
static int start_reading(struct conduit_ctx *ctx,
                         const struct conduit_tls_source *source,
                         struct reader *r)
{
    memset(r, 0, sizeof *r);
    r->ctx = ctx;
    r->at = source->data;
    r->left = source->size;
    r->room = source->size / 4 * 3 + 3;
    r->data = conduit_alloc(ctx, r->room);
    return r->data != NULL ? 0 : CONDUIT_ENOMEM;
}

static void end_reading(struct reader *r)
{
    cdt_wipe(r->data, r->data != NULL ? r->room : 0); /* keys were in it */
    conduit_release(r->ctx, r->data);
    cdt_wipe(r, sizeof *r);
}

static bool next_line(struct reader *r, struct line *line)
{
    const char *end;

    if (r->left == 0) {
        return false;
    }
    end = memchr(r->at, '\n', r->left);
    line->at = r->at;
    line->size = end != NULL ? (size_t)(end - r->at) : r->left;
    r->at += line->size;
    r->left -= line->size;
    if (r->left > 0) {
        r->at++;
        r->left--;
    }
    while (line->size > 0 && (line->at[line->size - 1] == '\r' ||
                              line->at[line->size - 1] == ' ' ||
                              line->at[line->size - 1] == '\t')) {
        line->size--;
    }
    return true;
}

/* The name in "-----BEGIN NAME-----" or "-----END NAME-----". */
static bool is_mark(const struct line *line, const char *before,
                    struct line *name)
{
    static const char after[] = "-----";
    size_t n = strlen(before);
    size_t tail = sizeof after - 1;

    if (line->size < n + tail || memcmp(line->at, before, n) != 0 ||
        memcmp(line->at + line->size - tail, after, tail) != 0) {
        return false;
    }
    *name = (struct line){line->at + n, line->size - n - tail};
    return true;
}

/* The value of a character of base64; 64: it is none. */
static unsigned value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (unsigned)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (unsigned)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

static bool decode_line(struct reader *r, const struct line *line)
{
    struct base64 *b = &r->base64;

    for (size_t i = 0; i < line->size; i++) {
        bool pad = line->at[i] == '=';
        unsigned value = pad ? 0 : value_of(line->at[i]);

        b->pads += pad;
        if (value > 63 || (b->pads > 0 && !pad) || b->pads > 2) {
            return false;
        }
        b->bits = b->bits << 6 | value;
        if (++b->count % 4 == 0) {
            r->data[r->size++] = (uint8_t)(b->bits >> 16);
            r->data[r->size++] = (uint8_t)(b->bits >> 8);
            r->data[r->size++] = (uint8_t)b->bits;
        }
    }
    return true;
}

/* What is between the marks. */
static bool read_object(struct reader *r)
{
    const struct base64 *b = &r->base64;
    struct line line;
    struct line name;

    r->size = 0;
    memset(&r->base64, 0, sizeof r->base64);
    while (next_line(r, &line)) {
        if (is_mark(&line, "-----END ", &name)) {
            r->size -= b->count % 4 == 0 ? b->pads : 0;
            return b->count % 4 == 0 && name.size == r->name.size &&
                   memcmp(name.at, r->name.at, name.size) == 0;
        }
        if (!decode_line(r, &line)) {
            return false;
        }
    }
    return false;
}

/* The next object whole: 1, 0 when there are no more, or CONDUIT_EINVAL. */
static int next_object(struct reader *r)
{
    struct line line;

    while (next_line(r, &line)) {
        if (is_mark(&line, "-----BEGIN ", &r->name)) {
            return read_object(r) ? 1 : CONDUIT_EINVAL;
        }
    }
    return 0;
}

static bool is_named(const struct reader *r, const char *name)
{
    return r->name.size == strlen(name) &&
           memcmp(r->name.at, name, r->name.size) == 0;
}

static int complain(const struct conduit_tls_source *source, int code,
                    const char *what, struct conduit_error *err)
{
    return conduit_error_set(err, code, LAYER, 0, "%s: %s",
                             cdt_bearssl_source_name(source), what);
}

/* ---- certificates ------------------------------------------------------- */

static int append(struct conduit_ctx *ctx, struct cdt_bearssl_ders *out,
                  const uint8_t *data, size_t size)
{
    struct cdt_bearssl_der *items = out->items;
    uint8_t *copy;

    if (out->count == out->room) {
        size_t room = out->room == 0 ? 4 : out->room * 2;

        items = conduit_resize(ctx, items, room * sizeof *items);
        if (items == NULL) {
            return CONDUIT_ENOMEM;
        }
        out->items = items;
        out->room = room;
    }
    copy = conduit_alloc(ctx, size);
    if (copy == NULL) {
        return CONDUIT_ENOMEM;
    }
    memcpy(copy, data, size);
    items[out->count++] = (struct cdt_bearssl_der){copy, size};
    return 0;
}

/* Objects of other kinds may be as they like. */
static int read_certs(struct reader *r, struct cdt_bearssl_ders *out)
{
    int rc;

    while ((rc = next_object(r)) != 0) {
        if (!is_named(r, "CERTIFICATE") && !is_named(r, "X509 CERTIFICATE")) {
            continue;
        }
        if (rc > 0) {
            rc = append(r->ctx, out, r->data, r->size);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int cdt_bearssl_pem_certs(struct conduit_ctx *ctx,
                          const struct conduit_tls_source *source,
                          struct cdt_bearssl_ders *out,
                          struct conduit_error *err)
{
    size_t before = out->count;
    struct reader r;
    int rc = start_reading(ctx, source, &r);

    if (rc == 0) {
        rc = read_certs(&r, out);
    }
    end_reading(&r);
    if (rc == CONDUIT_ENOMEM) {
        return complain(source, rc, "out of memory", err);
    }
    if (rc != 0) {
        return complain(source, CONDUIT_EINVAL, "damaged PEM", err);
    }
    if (out->count == before) {
        return complain(source, CONDUIT_EINVAL,
                        "not PEM, or without a certificate", err);
    }
    return 0;
}

void cdt_bearssl_ders_free(struct conduit_ctx *ctx,
                           struct cdt_bearssl_ders *ders)
{
    for (size_t i = 0; i < ders->count; i++) {
        conduit_release(ctx, ders->items[i].data);
    }
    conduit_release(ctx, ders->items);
    memset(ders, 0, sizeof *ders);
}

/* ---- keys --------------------------------------------------------------- */

#define LOCKED "the key has a pass phrase; it must be stored without one"

/* Whether a text is in the source: the old form of encrypted keys has lines of
 * headers, which the decoder takes for damage. */
static bool has_text(const struct conduit_tls_source *source, const char *text)
{
    const char *at = source->data;
    size_t n = strlen(text);

    for (size_t i = 0; i + n <= source->size; i++) {
        if (memcmp(at + i, text, n) == 0) {
            return true;
        }
    }
    return false;
}

static int decode_key(struct reader *r, const struct conduit_tls_source *source,
                      br_skey_decoder_context *key, struct conduit_error *err)
{
    br_skey_decoder_init(key);
    br_skey_decoder_push(key, r->data, r->size);
    switch (br_skey_decoder_last_error(key)) {
    case 0:
        return 0;
    case BR_ERR_X509_UNSUPPORTED:
        return complain(source, CONDUIT_ENOTSUP,
                        "the key is neither RSA nor of a curve that BearSSL "
                        "has",
                        err);
    default:
        return complain(source, CONDUIT_EINVAL, "the key cannot be read", err);
    }
}

static int read_key(struct reader *r, const struct conduit_tls_source *source,
                    br_skey_decoder_context *key, struct conduit_error *err)
{
    int rc;

    while ((rc = next_object(r)) != 0) {
        if (is_named(r, "ENCRYPTED PRIVATE KEY")) {
            return complain(source, CONDUIT_EINVAL, LOCKED, err);
        }
        if (!is_named(r, "PRIVATE KEY") && !is_named(r, "RSA PRIVATE KEY") &&
            !is_named(r, "EC PRIVATE KEY")) {
            continue;
        }
        if (rc > 0) {
            return decode_key(r, source, key, err);
        }
        return complain(
            source, CONDUIT_EINVAL,
            has_text(source, "Proc-Type: 4,ENCRYPTED") ? LOCKED : "damaged PEM",
            err);
    }
    return complain(source, CONDUIT_EINVAL, "not PEM, or without a private key",
                    err);
}

int cdt_bearssl_pem_key(struct conduit_ctx *ctx,
                        const struct conduit_tls_source *source,
                        br_skey_decoder_context *key, struct conduit_error *err)
{
    struct reader r;
    int rc = start_reading(ctx, source, &r);

    if (rc == 0) {
        rc = read_key(&r, source, key, err);
    } else {
        complain(source, rc, "out of memory", err);
    }
    end_reading(&r);
    return rc;
}
