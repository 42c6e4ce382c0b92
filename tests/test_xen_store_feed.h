/* SPDX-License-Identifier: ISC */
/*
 * A store that does what a string of bytes says, and a guest that asks
 * meanwhile: for random bytes and for libFuzzer's. Whatever comes, nothing is
 * called twice, and the client's end is told to all. Needs assert().
 */
#ifndef TESTS_TEST_XEN_STORE_FEED_H
#define TESTS_TEST_XEN_STORE_FEED_H

#include "fake_store.h"

#include <assert.h>
#include <string.h>

#define FEED_REQUESTS 64

struct feed {
    const uint8_t *data;
    size_t size;
    struct fake_xen xen;
    struct xenstore_domain_interface ring;
    uint32_t port;
    struct cdt_events events;
    struct cdt_xs *xs;
    struct cdt_xs_watch watches[3];
    struct feed_request {
        bool waits;
        bool cancelled;
    } requests[FEED_REQUESTS];
    struct xsd_sockmsg taken[256]; /* requests without an answer */
    size_t count;
};

static inline uint8_t feed_byte(struct feed *f)
{
    if (f->size == 0) {
        return 0;
    }
    f->size--;
    return *f->data++;
}

static inline void feed_done(void *arg, int code, const char *data, size_t size)
{
    struct feed_request *r = arg;

    assert(r->waits && !r->cancelled);
    assert(code <= 0 && data[size] == '\0');
    r->waits = false;
}

static inline void feed_fire(struct cdt_xs_watch *watch, const char *path)
{
    assert(watch->path != NULL && strlen(path) <= XENSTORE_PAYLOAD_MAX);
}

static inline int feed_ask_what(struct feed *f, uint8_t what,
                                struct feed_request *r)
{
    switch (what % 5) {
    case 0:
        return cdt_xs_read(f->xs, 0, "a", feed_done, r);
    case 1:
        return cdt_xs_list(f->xs, 0, "a", feed_done, r);
    case 2:
        return cdt_xs_begin(f->xs, feed_done, r);
    case 3:
        return cdt_xs_write(f->xs, 0, "a", "value", 5, feed_done, r);
    default:
        return cdt_xs_watch(f->xs, &f->watches[what % 3], feed_done, r);
    }
}

static inline void feed_ask(struct feed *f)
{
    uint8_t what = feed_byte(f);

    for (unsigned i = 0; i < FEED_REQUESTS; i++) {
        struct feed_request *r = &f->requests[i];

        if (!r->waits) {
            r->cancelled = false;
            r->waits = true; /* an early call would be seen as well */
            r->waits = feed_ask_what(f, what, r) == 0;
            return;
        }
    }
}

static inline void feed_put(struct feed *f, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        f->ring.rsp[MASK_XENSTORE_IDX(f->ring.rsp_prod++)] =
            ((const char *)bytes)[i];
    }
}

/* Takes the requests that are whole in the ring. */
static inline void feed_take(struct feed *f)
{
    while (f->ring.req_prod - f->ring.req_cons >= sizeof f->taken[0] &&
           f->ring.req_prod - f->ring.req_cons <= XENSTORE_RING_SIZE) {
        struct xsd_sockmsg head;

        for (uint32_t i = 0; i < sizeof head; i++) {
            ((char *)&head)[i] =
                f->ring.req[MASK_XENSTORE_IDX(f->ring.req_cons + i)];
        }
        if (f->ring.req_prod - f->ring.req_cons < sizeof head + head.len) {
            break;
        }
        f->ring.req_cons += (uint32_t)sizeof head + head.len;
        f->taken[f->count++ % 256] = head;
        f->count = f->count < 256 ? f->count : 0;
    }
}

/* A message that is nearly right: a short payload of the input's bytes. */
static inline void feed_message(struct feed *f)
{
    static const uint32_t types[] = {
        XS_READ,  XS_DIRECTORY, XS_DIRECTORY_PART, XS_TRANSACTION_START,
        XS_ERROR, XS_WRITE,     XS_WATCH,          XS_WATCH_EVENT};
    static const char *const words[] = {"E2BIG", "ENOENT", "12", "a"};
    struct xsd_sockmsg head = {.type = types[feed_byte(f) % 8]};
    uint8_t what = feed_byte(f);
    char payload[64];
    size_t n = what % 32;

    head.req_id = feed_byte(f);
    if (f->count > 0 && head.req_id < 250) { /* the answer to a request */
        struct xsd_sockmsg *to = &f->taken[head.req_id % f->count];

        head.req_id = to->req_id;
        head.type = head.type == XS_ERROR ? head.type : to->type;
        *to = f->taken[--f->count];
    }
    memset(payload, 0, sizeof payload);
    if ((what & 32) != 0) {
        n = strlen(words[what % 4]) + 1;
        memcpy(payload, words[what % 4], n);
    }
    for (size_t i = n; (what & 64) != 0 && n < i + 6; n++) {
        payload[n] = (char)feed_byte(f);
    }
    head.len = (uint32_t)n;
    feed_put(f, &head, sizeof head);
    feed_put(f, payload, n);
}

static inline void feed_step(struct feed *f)
{
    uint8_t op = feed_byte(f);

    switch (op % 8) {
    case 0: /* bytes as they come */
        for (uint8_t n = feed_byte(f); n > 0; n--) {
            uint8_t byte = feed_byte(f);

            feed_put(f, &byte, 1);
        }
        break;
    case 1: /* an index moves */
        *(op & 8 ? &f->ring.rsp_prod
                 : &f->ring.req_cons) += (uint32_t)feed_byte(f) << (op >> 4);
        break;
    case 2: /* all requests are taken */
        feed_take(f);
        break;
    case 3: {
        struct feed_request *r = &f->requests[feed_byte(f) % FEED_REQUESTS];

        cdt_xs_cancel(f->xs, r);
        r->cancelled = true;
        r->waits = false;
        break;
    }
    case 4:
        cdt_xs_unwatch(f->xs, &f->watches[feed_byte(f) % 3]);
        break;
    case 5:
        feed_ask(f);
        break;
    default:
        feed_message(f);
        break;
    }
    fake_xen_raise(&f->xen, f->port);
    cdt_events_run(&f->events);
}

/* Answers why the client ended, or NULL when it did not. */
static inline const char *feed(const uint8_t *data, size_t size)
{
    static struct feed f;
    const char *why;

    memset(&f, 0, sizeof f);
    f.data = data;
    f.size = size;
    fake_xen_init(&f.xen);
    f.port = fake_xen_port(&f.xen);
    cdt_events_init(&f.events, &f.xen.base);
    if (cdt_xs_new(&f.events, &f.ring, f.port, &f.xs) < 0) {
        return "no memory";
    }
    for (unsigned i = 0; i < 3; i++) {
        f.watches[i].path = "a";
        f.watches[i].fire = feed_fire;
    }
    while (f.size > 0) {
        feed_step(&f);
        assert(f.events.count == (cdt_xs_failed(f.xs) == NULL));
        for (unsigned i = 0; cdt_xs_failed(f.xs) != NULL && i < FEED_REQUESTS;
             i++) {
            assert(!f.requests[i].waits);
        }
    }
    why = cdt_xs_failed(f.xs);
    cdt_xs_free(f.xs);
    return why;
}

#endif
