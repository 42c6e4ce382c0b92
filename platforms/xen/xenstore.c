/* SPDX-License-Identifier: ISC */
/*
 * xenstore's client: the ring and the queue of requests.
 *
 * The indices of the other side are looked at in the store's event and nowhere
 * else: the daemon sends one whenever it has moved one of them. So what makes
 * a request never finds out that the daemon has broken the protocol, and each
 * callback comes from the event. An event handles what was in the ring when it
 * came, at most the ring's size, so that a daemon that writes without an end
 * cannot hold the guest in it.
 */
#include "xenstore_client.h"

#include <conduit/error.h>

#include <stdlib.h>
#include <string.h>

void cdt_xs_fail(struct cdt_xs *xs, const char *why)
{
    if (xs->failed == NULL) {
        xs->failed = why;
    }
}

const char *cdt_xs_failed(const struct cdt_xs *xs)
{
    return xs->failed;
}

/* ---- the ring ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static uint32_t their_index(const uint32_t *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

/* Copies out of the ring and is done with the ring: the compiler is not to
 * read there again what the daemon may have changed by then. */
static void copy_out(char *to, const char *ring, uint32_t at, size_t n)
{
    size_t begin = MASK_XENSTORE_IDX(at);
    size_t tail = least(n, XENSTORE_RING_SIZE - begin);

    memcpy(to, ring + begin, tail);
    memcpy(to + tail, ring, n - tail);
    __asm__ volatile("" : : : "memory");
}

static void copy_in(char *ring, uint32_t at, const char *from, size_t n)
{
    size_t begin = MASK_XENSTORE_IDX(at);
    size_t tail = least(n, XENSTORE_RING_SIZE - begin);

    memcpy(ring + begin, from, tail);
    memcpy(ring, from + tail, n - tail);
}

/* Puts as much of the requests into the ring as fits. */
static void send_requests(struct cdt_xs *xs)
{
    uint32_t begin = xs->req_prod;

    while (xs->unsent != NULL) {
        struct cdt_xs_request *r = xs->unsent;
        size_t room = XENSTORE_RING_SIZE - (xs->req_prod - xs->req_cons);
        size_t n = least(room, r->size - r->sent);

        if (n == 0) {
            break;
        }
        copy_in(xs->ring->req, xs->req_prod, r->message + r->sent, n);
        r->sent += n;
        xs->req_prod += (uint32_t)n;
        if (r->sent == r->size) {
            xs->unsent = r->next;
        }
    }
    if (xs->req_prod != begin) {
        __atomic_store_n(&xs->ring->req_prod, xs->req_prod, __ATOMIC_RELEASE);
        xs->notify = true;
    }
}

static void notify(struct cdt_xs *xs)
{
    if (xs->notify) {
        xs->notify = false;
        xs->events->xen->ops->notify(xs->events->xen, xs->port.port);
    }
}

/* ---- the queue ---- */

void cdt_xs_queue(struct cdt_xs *xs, struct cdt_xs_request *r)
{
    struct xsd_sockmsg head = {.type = r->type, .tx_id = r->tx};

    if (++xs->last_id == 0) {
        xs->last_id = 1; /* 0 is for events */
    }
    r->id = xs->last_id;
    head.req_id = r->id;
    head.len = (uint32_t)(r->size - sizeof head);
    memcpy(r->message, &head, sizeof head);
    r->next = NULL;
    *xs->end = r;
    xs->end = &r->next;
    xs->waiting++;
    if (xs->unsent == NULL) {
        xs->unsent = r;
    }
    if (!xs->running) { /* or else at the end of the event, all at once */
        send_requests(xs);
        notify(xs);
    }
}

static void unlink_request(struct cdt_xs *xs, struct cdt_xs_request **slot)
{
    struct cdt_xs_request *r = *slot;

    *slot = r->next;
    if (r->next == NULL) {
        xs->end = slot;
    }
    if (xs->unsent == r) {
        xs->unsent = r->next;
    }
    xs->waiting--;
}

/* The request that is all sent and has this number, or NULL. */
static struct cdt_xs_request **find_sent(struct cdt_xs *xs, uint32_t id)
{
    struct cdt_xs_request **slot = &xs->first;

    while (*slot != xs->unsent) {
        if ((*slot)->id == id) {
            return slot;
        }
        slot = &(*slot)->next;
    }
    return NULL;
}

void cdt_xs_complete(struct cdt_xs *xs, struct cdt_xs_request *r, int code,
                     const char *data, size_t size)
{
    cdt_xs_done *done = r->done;
    void *arg = r->arg;

    cdt_xs_request_free(r);
    if (done != NULL) {
        xs->called++;
        done(arg, code, data, size);
    }
}

void cdt_xs_cancel(struct cdt_xs *xs, void *arg)
{
    for (struct cdt_xs_request *r = xs->first; r != NULL; r = r->next) {
        if (r->arg == arg) {
            r->done = NULL;
        }
    }
}

/* The client has ended: tells all that wait. */
static void tell_all(struct cdt_xs *xs)
{
    cdt_events_remove(xs->events, &xs->port);
    while (xs->first != NULL) {
        struct cdt_xs_request *r = xs->first;

        unlink_request(xs, &xs->first);
        cdt_xs_complete(xs, r, CONDUIT_EPROTO, xs->failed, strlen(xs->failed));
    }
}

/* ---- what comes ---- */

/* A transaction began that nobody waits for any more. Without memory to end it,
 * it is left to the store. */
static void drop_transaction(struct cdt_xs *xs)
{
    uint32_t tx;

    if (cdt_xs_parse_number(xs->payload, xs->head.len, &tx) == 0) {
        (void)cdt_xs_end(xs, tx, false, NULL, NULL);
    }
}

/* An answer to a request that is out of the queue. */
static void take_answer(struct cdt_xs *xs, struct cdt_xs_request *r)
{
    bool failed = xs->head.type == XS_ERROR;
    int code = failed ? cdt_xs_code(xs->payload) : 0;
    size_t size = failed ? strlen(xs->payload) : xs->head.len;

    if (failed && r->type == XS_WATCH) {
        cdt_xs_drop_watch(xs, r->token);
    } else if (!failed && r->type == XS_TRANSACTION_START && r->done == NULL) {
        drop_transaction(xs);
    }
    if (r->listing != NULL) {
        cdt_xs_listing_part(xs, r, code, xs->payload, size);
    } else if (r->type == XS_DIRECTORY && r->done != NULL && failed &&
               strcmp(xs->payload, "E2BIG") == 0) {
        cdt_xs_listing_begin(xs, r);
    } else {
        cdt_xs_complete(xs, r, code, xs->payload, size);
    }
}

static void take_message(struct cdt_xs *xs)
{
    struct cdt_xs_request **slot;
    struct cdt_xs_request *r;

    xs->payload[xs->head.len] = '\0';
    if (xs->head.type == XS_WATCH_EVENT) {
        cdt_xs_take_event(xs);
        return;
    }
    slot = find_sent(xs, xs->head.req_id);
    if (slot == NULL) {
        cdt_xs_fail(xs, "xenstore: an answer that nobody asked for");
        return;
    }
    r = *slot;
    if (xs->head.type != r->type && xs->head.type != XS_ERROR) {
        cdt_xs_fail(xs, "xenstore: an answer to another kind of request");
        return;
    }
    unlink_request(xs, slot);
    take_answer(xs, r);
}

/* Takes up to `n` bytes of the ring, as many as the message at hand still
 * needs; answers how many. */
static size_t take_bytes(struct cdt_xs *xs, size_t n)
{
    char *to = (char *)&xs->head + xs->got;

    if (xs->got < sizeof xs->head) {
        n = least(n, sizeof xs->head - xs->got);
    } else {
        to = xs->payload + (xs->got - sizeof xs->head);
        n = least(n, sizeof xs->head + xs->head.len - xs->got);
    }
    copy_out(to, xs->ring->rsp, xs->rsp_cons, n);
    xs->got += n;
    xs->rsp_cons += (uint32_t)n;
    __atomic_store_n(&xs->ring->rsp_cons, xs->rsp_cons, __ATOMIC_RELEASE);
    xs->notify = true;
    return n;
}

/* Checks the length as soon as it is known; calls when the message is whole. */
static void receive(struct cdt_xs *xs, size_t avail)
{
    while (avail > 0 && xs->failed == NULL && !xs->gone) {
        avail -= take_bytes(xs, avail);
        if (xs->got < sizeof xs->head) {
            break;
        }
        if (xs->head.len > XENSTORE_PAYLOAD_MAX) {
            cdt_xs_fail(xs, "xenstore: an answer longer than the protocol has");
        } else if (xs->got == sizeof xs->head + xs->head.len) {
            xs->got = 0;
            take_message(xs);
        }
    }
}

/* ---- events ---- */

/* The daemon says why it no longer serves this domain, when it can. */
static void check_error(struct cdt_xs *xs)
{
    static const char *const why[] = {
        [XENSTORE_ERROR_COMM] = "xenstore: the daemon lost the connection",
        [XENSTORE_ERROR_RINGIDX] = "xenstore: the daemon refuses our indices",
        [XENSTORE_ERROR_PROTO] = "xenstore: the daemon refuses our request",
    };
    uint32_t features = their_index(&xs->ring->server_features);
    uint32_t error = their_index(&xs->ring->error);

    if ((features & XENSTORE_SERVER_FEATURE_ERROR) == 0 ||
        error == XENSTORE_ERROR_NONE) {
        return;
    }
    cdt_xs_fail(xs, error < sizeof why / sizeof why[0]
                        ? why[error]
                        : "xenstore: the daemon reports an error");
}

/* Looks at the daemon's indices; answers how much there is to read. */
static size_t look(struct cdt_xs *xs)
{
    uint32_t req_cons = their_index(&xs->ring->req_cons);
    size_t avail = their_index(&xs->ring->rsp_prod) - xs->rsp_cons;

    if (xs->req_prod - req_cons > xs->req_prod - xs->req_cons) {
        cdt_xs_fail(xs, "xenstore: the index of requests makes no sense");
    } else if (avail > XENSTORE_RING_SIZE) {
        cdt_xs_fail(xs, "xenstore: the index of answers makes no sense");
    } else {
        xs->req_cons = req_cons;
    }
    return avail;
}

/* Handles the store's event; answers whether a callback was called, which may
 * have been the client's end. */
static bool handle(struct cdt_xs *xs)
{
    bool called;
    size_t avail;

    xs->running = true;
    xs->called = 0;
    avail = look(xs);
    receive(xs, avail);
    if (!xs->gone) {
        check_error(xs);
    }
    if (!xs->gone && xs->failed != NULL) {
        tell_all(xs);
    }
    xs->running = false;
    called = xs->called > 0 || xs->gone;
    if (xs->gone) {
        free(xs);
    } else if (xs->failed == NULL) {
        send_requests(xs);
        notify(xs);
    }
    return called;
}

static void on_port(struct cdt_port *port)
{
    (void)handle((struct cdt_xs *)(void *)port);
}

bool cdt_xs_poll(struct cdt_xs *xs, uint64_t until)
{
    struct cdt_xen *xen = xs->events->xen;
    uint32_t port = xs->port.port;

    while (!xs->running && xs->failed == NULL) {
        if (xen->ops->take(xen, port)) {
            if (handle(xs)) {
                return true;
            }
        } else if (xen->ops->now(xen) >= until) {
            return false;
        } else {
            xen->ops->poll(xen, &port, 1, until == UINT64_MAX ? 0 : until);
        }
    }
    return false;
}

/* ---- the client ---- */

int cdt_xs_new(struct cdt_events *events,
               struct xenstore_domain_interface *ring, uint32_t port,
               struct cdt_xs **out)
{
    uint32_t req_prod = their_index(&ring->req_prod);
    uint32_t rsp_prod = their_index(&ring->rsp_prod);
    struct cdt_xs *xs;
    int code;

    if (their_index(&ring->req_cons) != req_prod ||
        rsp_prod - their_index(&ring->rsp_cons) > XENSTORE_RING_SIZE) {
        return CONDUIT_EPROTO;
    }
    xs = calloc(1, sizeof *xs);
    if (xs == NULL) {
        return CONDUIT_ENOMEM;
    }
    xs->port.port = port;
    xs->port.fire = on_port;
    xs->events = events;
    xs->ring = ring;
    xs->req_prod = req_prod;
    xs->req_cons = req_prod;
    xs->rsp_cons = rsp_prod;
    xs->end = &xs->first;
    code = cdt_events_add(events, &xs->port);
    if (code < 0) {
        free(xs);
        return code;
    }
    __atomic_store_n(&ring->rsp_cons, rsp_prod, __ATOMIC_RELEASE);
    *out = xs;
    return 0;
}

void cdt_xs_free(struct cdt_xs *xs)
{
    if (xs == NULL) {
        return;
    }
    cdt_events_remove(xs->events, &xs->port);
    while (xs->watches != NULL) {
        cdt_xs_request_free(cdt_xs_unlink_watch(&xs->watches));
    }
    while (xs->first != NULL) {
        struct cdt_xs_request *r = xs->first;

        unlink_request(xs, &xs->first);
        cdt_xs_request_free(r);
    }
    if (xs->running) {
        xs->gone = true; /* handle() frees it */
    } else {
        free(xs);
    }
}
