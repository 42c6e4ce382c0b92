/* SPDX-License-Identifier: ISC */
/*
 * A client of xenstore over its shared ring (<xen/io/xs_wire.h> and, in Xen's
 * sources, docs/misc/xenstore.txt and xenstore-ring.txt). Requests are queued
 * and answered by a callback from the store's event channel, never within the
 * call that makes them, so a guest's loop does not stand still for its store.
 *
 * The store's daemon is trusted with its data, but not with the guest's memory:
 * lengths, indices and identifiers are checked, and an answer that cannot be
 * right ends the client. Then everything that waits, and everything that is
 * asked later, ends with CONDUIT_EPROTO. A daemon that says nothing is waited
 * for: deadlines are the caller's.
 */
#ifndef CDT_XEN_XENSTORE_H
#define CDT_XEN_XENSTORE_H

#include "events.h"

#include <stddef.h>

struct xenstore_domain_interface;

struct cdt_xs;

/* No transaction. */
#define CDT_XS_NONE 0u

/* Requests that may wait at once; a further one is answered CONDUIT_ELIMIT. */
#define CDT_XS_WAITING_MAX 256u

/* Bytes of names that cdt_xs_list() brings together. */
#define CDT_XS_LIST_MAX 65536u

/*
 * How a request ended. `code` is 0, or CONDUIT_ENOENT, CONDUIT_EEXIST,
 * CONDUIT_EACCESS, CONDUIT_ELIMIT (a quota, or a list too long),
 * CONDUIT_EINVAL, CONDUIT_AGAIN (a transaction that met another, or a list that
 * changed at every try: begin again), CONDUIT_ENOTSUP, CONDUIT_ENOMEM (for a
 * long list), CONDUIT_EIO (an error of another name), CONDUIT_EPROTO (the
 * client has ended). `data` holds `size` bytes and a NUL behind them, until
 * this returns: the answer, or on failure a word for it: the store's own
 * ("ENOENT"), or cdt_xs_failed(). May make and cancel requests, free watches
 * and the client.
 */
typedef void cdt_xs_done(void *arg, int code, const char *data, size_t size);

/* Who may do what to a node, the owner first; see xenstore.txt, GET_PERMS. */
struct cdt_xs_perm {
    uint16_t domain;
    char access; /* 'n' none, 'r' read, 'w' write, 'b' both; of the owner: what
                    everybody else may do */
};

/* A watch; the caller owns the memory and sets path, fire. */
struct cdt_xs_watch {
    const char *path; /* must stay; relative ones are below the domain's home */
    /* Something at or below the path changed, and once when it is set, which
     * may be before its `done`. `path` is what changed, relative when the
     * watch's is, until this returns. May do whatever a `done` may. */
    void (*fire)(struct cdt_xs_watch *watch, const char *path);
    struct cdt_xs_watch *next; /* these are the client's */
    struct cdt_xs_request *unwatch;
    uint32_t token;
};

/*
 * Takes over the ring, which nobody else has requests in, and its port. Answers
 * left there for somebody before are skipped. 0, CONDUIT_ENOMEM, CONDUIT_ELIMIT
 * (no more ports can be watched), or CONDUIT_EPROTO when the ring's indices
 * make no sense.
 */
int cdt_xs_new(struct cdt_events *events,
               struct xenstore_domain_interface *ring, uint32_t port,
               struct cdt_xs **out);

/* Ends the client without callbacks; ring and port stay, and the memory of
 * watches is free to go. NULL is harmless. */
void cdt_xs_free(struct cdt_xs *xs);

/* Why the client has ended, as a static text, or NULL while it has not. */
const char *cdt_xs_failed(const struct cdt_xs *xs);

/*
 * Requests. `tx` is a transaction or CDT_XS_NONE; paths are absolute or
 * relative to the domain's home; `done` may be NULL. Each answers 0,
 * CONDUIT_ENOMEM, CONDUIT_ELIMIT (path or payload too long for the protocol:
 * 3,072, 2,048 for relative paths, 4,096 in all), CONDUIT_EINVAL (an empty
 * path, one with a control character, a bad access letter, no permissions),
 * CONDUIT_EPROTO (the client has ended); then `done` is not called.
 */
int cdt_xs_read(struct cdt_xs *xs, uint32_t tx, const char *path,
                cdt_xs_done *done, void *arg);
int cdt_xs_write(struct cdt_xs *xs, uint32_t tx, const char *path,
                 const void *value, size_t size, cdt_xs_done *done, void *arg);
/* Makes a node and those above it; one that is there stays as it is. */
int cdt_xs_mkdir(struct cdt_xs *xs, uint32_t tx, const char *path,
                 cdt_xs_done *done, void *arg);
/* Removes a node and what is below it. */
int cdt_xs_remove(struct cdt_xs *xs, uint32_t tx, const char *path,
                  cdt_xs_done *done, void *arg);
/* The names below a node, each with a NUL behind it; cdt_xs_next_name(). What
 * does not fit one answer is asked for in parts. */
int cdt_xs_list(struct cdt_xs *xs, uint32_t tx, const char *path,
                cdt_xs_done *done, void *arg);
/* The permissions of a node; cdt_xs_parse_perms(). */
int cdt_xs_get_perms(struct cdt_xs *xs, uint32_t tx, const char *path,
                     cdt_xs_done *done, void *arg);
int cdt_xs_set_perms(struct cdt_xs *xs, uint32_t tx, const char *path,
                     const struct cdt_xs_perm *perms, size_t n,
                     cdt_xs_done *done, void *arg);
/* data: the number of a new transaction; cdt_xs_parse_number(). */
int cdt_xs_begin(struct cdt_xs *xs, cdt_xs_done *done, void *arg);
/* Ends a transaction: `commit` or drop what was done in it. */
int cdt_xs_end(struct cdt_xs *xs, uint32_t tx, bool commit, cdt_xs_done *done,
               void *arg);

/* Watches a path. `done` says whether that could be set up; when not, it is not
 * watched any more. CONDUIT_EEXIST when it is watched already; further watches
 * of the same path are well. */
int cdt_xs_watch(struct cdt_xs *xs, struct cdt_xs_watch *watch,
                 cdt_xs_done *done, void *arg);
/* No longer watches it: it is not called from here on, and its memory is free
 * to go. Cannot fail. Harmless when it is not watched. */
void cdt_xs_unwatch(struct cdt_xs *xs, struct cdt_xs_watch *watch);

/* Forgets the callbacks of all requests made with this `arg`. The requests
 * themselves are carried out; a transaction that is being begun is dropped. */
void cdt_xs_cancel(struct cdt_xs *xs, void *arg);

/*
 * For what cannot go on without an answer: sleeps for the store alone, and
 * calls done and fire for what it says, until one was called or until `until`
 * of system time (UINT64_MAX: no limit). false: nothing was. Within a callback
 * it does nothing.
 */
bool cdt_xs_poll(struct cdt_xs *xs, uint64_t until);

/* The name at *at in a list of `size` bytes, moving *at behind it; NULL at the
 * end, also of a list that is cut off within a name. *at is 0 at first. */
const char *cdt_xs_next_name(const char *list, size_t size, size_t *at);

/* How many permissions an answer holds, of which `most` are put into perms; or
 * CONDUIT_EPROTO. */
int cdt_xs_parse_perms(const char *data, size_t size, struct cdt_xs_perm *perms,
                       size_t most);

/* A decimal number that is all of an answer: 0, or CONDUIT_EPROTO. */
int cdt_xs_parse_number(const char *data, size_t size, uint32_t *out);

#endif
