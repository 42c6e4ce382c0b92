/* SPDX-License-Identifier: ISC */
/*
 * Long lists of xenstore's client. Names that do not fit one answer are asked
 * for in parts (XS_DIRECTORY_PART): each says which generation of the node it
 * is of, and an empty name stands behind the last one. A part of another
 * generation than those before it makes all of them void, so the list begins
 * again, a few times. Kept are the names up to CDT_XS_LIST_MAX; a part that
 * brings nothing ends the client, since it could go on like that for ever.
 */
#include "xenstore_client.h"

#include <conduit/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 8

/* Text of a generation, 64 bits, and its NUL. */
#define GENERATION_TEXT 21

/* Text of an offset up to CDT_XS_LIST_MAX, and its NUL. */
#define OFFSET_TEXT 6

struct cdt_xs_listing {
    char *names; /* of CDT_XS_LIST_MAX + 1 bytes; the tail is never touched */
    size_t size;
    unsigned tries;
    char generation[GENERATION_TEXT];
};

/* How a part has been taken, other than with an error. */
enum { MORE = 1, COMPLETE = 2 };

void cdt_xs_listing_free(struct cdt_xs_listing *listing)
{
    if (listing != NULL) {
        free(listing->names);
        free(listing);
    }
}

static struct cdt_xs_listing *listing_new(void)
{
    struct cdt_xs_listing *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return NULL;
    }
    l->names = malloc(CDT_XS_LIST_MAX + 1);
    if (l->names == NULL) {
        free(l);
        return NULL;
    }
    return l;
}

static void fail_with(struct cdt_xs *xs, struct cdt_xs_request *r, int code)
{
    const char *word = code == CONDUIT_ENOMEM  ? "ENOMEM"
                       : code == CONDUIT_AGAIN ? "EAGAIN"
                                               : "E2BIG";

    if (code == CONDUIT_EPROTO) {
        word = cdt_xs_failed(xs);
    }
    cdt_xs_complete(xs, r, code, word, strlen(word));
}

/* Asks for what comes behind the names at hand. The request's place is free,
 * so there is no limit to run into. */
static void ask_on(struct cdt_xs *xs, struct cdt_xs_request *r)
{
    char offset[OFFSET_TEXT];
    struct cdt_xs_message m = {
        .type = XS_DIRECTORY_PART,
        .tx = r->tx,
        .path = r->message + sizeof(struct xsd_sockmsg),
        .data = offset,
    };
    struct cdt_xs_request *next;
    int code;

    m.size = 1u + (size_t)snprintf(offset, sizeof offset, "%u",
                                   (unsigned)r->listing->size);
    code = cdt_xs_request_new(&m, &next);
    if (code < 0) { /* also when the offset makes it too long */
        fail_with(xs, r, code);
        return;
    }
    next->done = r->done;
    next->arg = r->arg;
    next->listing = r->listing;
    r->listing = NULL;
    cdt_xs_request_free(r);
    cdt_xs_queue(xs, next);
}

void cdt_xs_listing_begin(struct cdt_xs *xs, struct cdt_xs_request *r)
{
    r->listing = listing_new();
    if (r->listing == NULL) {
        fail_with(xs, r, CONDUIT_ENOMEM);
        return;
    }
    ask_on(xs, r);
}

static int begin_again(struct cdt_xs_listing *l)
{
    l->size = 0;
    return ++l->tries < TRIES_MAX ? MORE : CONDUIT_AGAIN;
}

/* Adds the names of a part, each with its NUL. */
static int add_names(struct cdt_xs_listing *l, const char *names, size_t size)
{
    bool last = size > 0 && (size == 1 || names[size - 2] == '\0');

    if (size == 0 || names[size - 1] != '\0') {
        return CONDUIT_EPROTO;
    }
    size -= last;
    if (size > CDT_XS_LIST_MAX - l->size) {
        return CONDUIT_ELIMIT;
    }
    memcpy(l->names + l->size, names, size);
    l->size += size;
    l->names[l->size] = '\0';
    return last ? COMPLETE : MORE;
}

static int add_part(struct cdt_xs_listing *l, const char *data, size_t size)
{
    size_t at = 0;
    const char *generation = cdt_xs_next_name(data, size, &at);

    if (generation == NULL || at > sizeof l->generation) {
        return CONDUIT_EPROTO;
    }
    if (l->size > 0 && strcmp(generation, l->generation) != 0) {
        return begin_again(l);
    }
    memcpy(l->generation, generation, at);
    return add_names(l, data + at, size - at);
}

void cdt_xs_listing_part(struct cdt_xs *xs, struct cdt_xs_request *r, int code,
                         const char *data, size_t size)
{
    struct cdt_xs_listing *l = r->listing;

    if (code < 0 || r->done == NULL) {
        cdt_xs_complete(xs, r, code, data, size);
        return;
    }
    code = add_part(l, data, size);
    if (code == MORE) {
        ask_on(xs, r);
    } else if (code == COMPLETE) {
        r->listing = NULL; /* its names go to the callback */
        cdt_xs_complete(xs, r, 0, l->names, l->size);
        cdt_xs_listing_free(l);
    } else {
        if (code == CONDUIT_EPROTO) {
            cdt_xs_fail(xs, "xenstore: a part of a list that makes no sense");
        }
        fail_with(xs, r, code);
    }
}
