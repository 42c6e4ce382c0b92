/* SPDX-License-Identifier: ISC */
/*
 * The BIO between OpenSSL and struct cdt_tls_io.
 *
 * Writing never fails and never asks to be called again: SSL_write() would then
 * have to be repeated with the same arguments, and alerts would be lost. What
 * the lower layer does not take waits here, in buffers of the loop's pool.
 *
 * Reading shows OpenSSL nothing but bytes and "later". Were it told of the end,
 * it would take that for a fatal error and send an alert about it; the session
 * looks at what the lower layer said instead.
 */
#include "core.h"
#include "openssl.h"

#include <string.h>

/* Answers that a peer may cause and leave unread once hands are shaken. What is
 * written by us never queues so much: it waits for what is queued. */
#define STUCK_MAX 65536u

/* Beyond OpenSSL's own numbers; used for nothing. */
#define BIO_TYPE_CONDUIT (BIO_TYPE_SOURCE_SINK | 0xff)

static bool append(struct cdt_ossl_session *s, const uint8_t *data, size_t n)
{
    while (n > 0) {
        struct cdt_buf *buf = s->last;
        size_t part;

        if (buf == NULL || buf->end == CDT_BUF_SIZE) {
            buf = cdt_buf_get(conduit_ctx_loop(s->cred->ctx));
            if (buf == NULL) {
                return false;
            }
            *(s->last != NULL ? &s->last->next : &s->queue) = buf;
            s->last = buf;
        }
        part = n < CDT_BUF_SIZE - buf->end ? n : CDT_BUF_SIZE - buf->end;
        memcpy(buf->data + buf->end, data, part);
        buf->end += (uint32_t)part;
        s->queued += part;
        data += part;
        n -= part;
    }
    return true;
}

static void drop_first(struct cdt_ossl_session *s)
{
    struct cdt_buf *buf = s->queue;

    s->queue = buf->next;
    if (s->queue == NULL) {
        s->last = NULL;
    }
    s->queued -= buf->end - buf->start;
    cdt_buf_put(conduit_ctx_loop(s->cred->ctx), buf);
}

void cdt_ossl_queue_free(struct cdt_ossl_session *s)
{
    while (s->queue != NULL) {
        drop_first(s);
    }
}

/* The lower layer takes no more: what is held can go nowhere. */
static int broken(struct cdt_ossl_session *s, int code)
{
    s->output_failed = code;
    if (s->write_failed == 0) {
        s->write_failed = code;
    }
    cdt_ossl_queue_free(s);
    return code;
}

int cdt_ossl_push(struct cdt_ossl_session *s)
{
    while (s->queue != NULL) {
        struct cdt_buf *buf = s->queue;
        long sent = s->base.io->output(s->base.io, buf->data + buf->start,
                                       buf->end - buf->start);

        if (sent == CONDUIT_AGAIN) {
            return CONDUIT_AGAIN;
        }
        if (sent <= 0) {
            return broken(s, (int)sent);
        }
        buf->start += (uint32_t)sent;
        s->queued -= (size_t)sent;
        if (buf->start == buf->end) {
            drop_first(s);
        }
    }
    return s->output_failed;
}

/* Straight below as far as it goes; only the rest is copied. */
static int bio_write(BIO *bio, const char *data, size_t n, size_t *written)
{
    struct cdt_ossl_session *s = BIO_get_data(bio);
    const uint8_t *bytes = (const uint8_t *)data;
    size_t left = n;

    BIO_clear_retry_flags(bio);
    *written = n;
    while (left > 0 && s->queue == NULL && s->output_failed == 0) {
        long sent = s->base.io->output(s->base.io, bytes, left);

        if (sent == CONDUIT_AGAIN) {
            break;
        }
        if (sent <= 0) {
            broken(s, (int)sent);
            break;
        }
        bytes += sent;
        left -= (size_t)sent;
    }
    if (s->output_failed == 0 && s->done && s->queued + left > STUCK_MAX) {
        (void)cdt_ossl_fault(s, broken(s, CONDUIT_ELIMIT), 0,
                             "the peer makes us answer and does not read");
    } else if (s->output_failed == 0 && !append(s, bytes, left)) {
        cdt_ossl_fault(s, broken(s, CONDUIT_ENOMEM), 0, "out of memory");
    }
    return 1;
}

static int bio_read(BIO *bio, char *data, size_t n, size_t *got)
{
    struct cdt_ossl_session *s = BIO_get_data(bio);
    long come = s->gated ? CONDUIT_AGAIN
                         : s->base.io->input(s->base.io, data, n);

    BIO_clear_retry_flags(bio);
    if (come > 0) {
        *got = (size_t)come;
        s->drained = false;
        return 1;
    }
    s->input_code = (int)come;
    *got = 0;
    BIO_set_retry_read(bio);
    return -1;
}

static long bio_ctrl(BIO *bio, int cmd, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH; /* whatever it is, flush() sends it */
}

BIO_METHOD *cdt_ossl_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_CONDUIT, "conduit");

    if (method != NULL && (BIO_meth_set_write_ex(method, bio_write) != 1 ||
                           BIO_meth_set_read_ex(method, bio_read) != 1 ||
                           BIO_meth_set_ctrl(method, bio_ctrl) != 1)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}
