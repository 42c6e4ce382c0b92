/* SPDX-License-Identifier: ISC */
/*
 * The parts of xenstore's client share this: xenstore.c speaks over the ring,
 * xenstore_request.c builds requests and reads answers, xenstore_watch.c keeps
 * the watches, xenstore_list.c brings long lists together.
 */
#ifndef CDT_XEN_XENSTORE_CLIENT_H
#define CDT_XEN_XENSTORE_CLIENT_H

#include "xenstore.h"

#include <xen/io/xs_wire.h>

struct cdt_xs_listing;

/* One block of memory: a request and the message that goes out for it. */
struct cdt_xs_request {
    struct cdt_xs_request *next;
    uint32_t id;
    uint32_t type;
    uint32_t tx;
    uint32_t token; /* of an XS_WATCH */
    cdt_xs_done *done;
    void *arg;
    struct cdt_xs_listing *listing; /* of an XS_DIRECTORY_PART; owned */
    size_t size;                    /* of the message, its header included */
    size_t sent;
    char message[];
};

struct cdt_xs {
    struct cdt_port port; /* must be first */
    struct cdt_events *events;
    struct xenstore_domain_interface *ring;
    /* Our own indices, and how far the daemon was when it last told. */
    uint32_t req_prod;
    uint32_t req_cons;
    uint32_t rsp_cons;
    /* Requests, oldest first: those that are sent, then `unsent` and so on. */
    struct cdt_xs_request *first;
    struct cdt_xs_request **end;
    struct cdt_xs_request *unsent;
    unsigned waiting;
    uint32_t last_id;
    uint32_t last_token;
    struct cdt_xs_watch *watches;
    const char *failed;
    bool running;    /* callbacks are being called */
    bool gone;       /* and one of them has freed the client */
    bool notify;     /* the daemon has to be told that indices moved */
    unsigned called; /* callbacks */
    /* The message that comes in. */
    struct xsd_sockmsg head;
    size_t got; /* of it, the header included */
    char payload[XENSTORE_PAYLOAD_MAX + 1];
};

/* What goes into a request: the path with its NUL, when there is one, and then
 * the data. */
struct cdt_xs_message {
    uint32_t type;
    uint32_t tx;
    const char *path; /* NULL: none */
    const void *data;
    size_t size;
    uint32_t token; /* of an XS_WATCH, which is in the data as well */
};

/* ---- xenstore_request.c ---- */

/* Checks the path and the length and copies both; not queued yet. */
int cdt_xs_request_new(const struct cdt_xs_message *m,
                       struct cdt_xs_request **out);
void cdt_xs_request_free(struct cdt_xs_request *r);

/* As cdt_xs_request_new, and queues it; answers as in xenstore.h. */
int cdt_xs_ask(struct cdt_xs *xs, const struct cdt_xs_message *m,
               cdt_xs_done *done, void *arg);

/* A decimal number; its length, or 0 when there is none up to `most`. */
size_t cdt_xs_number(const char *text, size_t size, uint32_t most,
                     uint32_t *out);

/* The code for the store's word for an error. */
int cdt_xs_code(const char *word);

/* ---- xenstore.c ---- */

/* Gives the request its number and queues it. */
void cdt_xs_queue(struct cdt_xs *xs, struct cdt_xs_request *r);

/* Frees a request that is out of the queue, and calls its `done`. */
void cdt_xs_complete(struct cdt_xs *xs, struct cdt_xs_request *r, int code,
                     const char *data, size_t size);

/* Ends the client; why is static. Called from the store's event alone. */
void cdt_xs_fail(struct cdt_xs *xs, const char *why);

/* ---- xenstore_watch.c ---- */

/* Takes a watch out; answers its request to end it. */
struct cdt_xs_request *cdt_xs_unlink_watch(struct cdt_xs_watch **slot);

/* The watch of this token could not be set up; it may have ended already. */
void cdt_xs_drop_watch(struct cdt_xs *xs, uint32_t token);

/* Calls the watch that the event in xs->payload is for. */
void cdt_xs_take_event(struct cdt_xs *xs);

/* ---- xenstore_list.c ---- */

void cdt_xs_listing_free(struct cdt_xs_listing *listing);

/* The answer to an XS_DIRECTORY was that it does not fit: goes on in parts.
 * Takes over the request, which is out of the queue. */
void cdt_xs_listing_begin(struct cdt_xs *xs, struct cdt_xs_request *r);

/* One part has come (code 0) or was refused. Takes over the request. */
void cdt_xs_listing_part(struct cdt_xs *xs, struct cdt_xs_request *r, int code,
                         const char *data, size_t size);

#endif
