/* SPDX-License-Identifier: ISC */
/*
 * The loop's pool of buffers. A connection holds one only while it holds bytes,
 * so an idle connection costs none, and a busy one allocates nothing: the pool
 * grows to what is in use at once and keeps a part of it.
 */
#include "core.h"

/* Free buffers that are kept: 1 MiB. */
#define KEEP_MAX 64

struct cdt_buf *cdt_buf_get(struct conduit_loop *loop)
{
    struct cdt_buf *buf = loop->pool.free;

    if (buf != NULL) {
        loop->pool.free = buf->next;
        loop->pool.kept--;
    } else {
        buf = conduit_resize(loop->ctx, NULL, sizeof *buf);
        if (buf == NULL) {
            return NULL;
        }
    }
    buf->next = NULL;
    buf->start = 0;
    buf->end = 0;
    return buf;
}

void cdt_buf_put(struct conduit_loop *loop, struct cdt_buf *buf)
{
    if (buf == NULL) {
        return;
    }
    if (loop->pool.kept >= KEEP_MAX) {
        conduit_release(loop->ctx, buf);
        return;
    }
    buf->next = loop->pool.free;
    loop->pool.free = buf;
    loop->pool.kept++;
}

void cdt_pool_fini(struct conduit_loop *loop)
{
    while (loop->pool.free != NULL) {
        struct cdt_buf *buf = loop->pool.free;

        loop->pool.free = buf->next;
        conduit_release(loop->ctx, buf);
    }
    loop->pool.kept = 0;
}
