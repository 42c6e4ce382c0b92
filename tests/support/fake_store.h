/* SPDX-License-Identifier: ISC */
/*
 * A xenstored within the test, on the other side of a domain's ring: a tree
 * with permissions, watches, transactions and lists in parts, and knobs that
 * make it slow, unfair or wrong. It runs in fake_store_run(), from where the
 * test lets the other side run.
 */
#ifndef TESTS_FAKE_STORE_H
#define TESTS_FAKE_STORE_H

#include "fake_xen.h"
#include "xenstore.h"

#include <xen/io/xs_wire.h>

#define FAKE_STORE_DOMAIN 5
#define FAKE_STORE_HOME "/local/domain/5/"

struct fake_node;
struct fake_out;

struct fake_tree {
    struct fake_node *nodes; /* by path */
    size_t count;
};

struct fake_store_watch {
    char path[256]; /* absolute */
    char token[64];
    bool relative;
    bool used;
};

struct fake_store_tx {
    uint32_t id; /* 0: free */
    uint64_t version;
    struct fake_tree tree;
    char changed[32][256];
    size_t changes;
};

struct fake_store {
    struct fake_xen *xen;
    uint32_t port;
    struct xenstore_domain_interface ring;
    struct fake_tree tree;
    uint64_t version; /* counts every change */
    struct fake_store_watch watches[64];
    struct fake_store_tx tx[4];
    uint32_t last_tx;
    char in[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 1];
    size_t in_size;
    struct fake_out *out; /* what waits for room in the ring */
    size_t out_at;        /* of the first, in the ring already */
    unsigned requests;    /* that came */
    unsigned types[XS_TYPE_COUNT];

    /* ---- knobs ---- */
    bool stuck;           /* takes and gives nothing */
    bool deaf;            /* takes no requests */
    bool mute;            /* takes requests and answers none */
    size_t bite;          /* bytes it moves in each direction a run; 0: all */
    bool backwards;       /* gives what it has to say, the last first */
    unsigned conflicts;   /* transactions that meet another from here on */
    uint32_t refuse_type; /* requests that are refused with a word of its own */
    const char *refuse_word; /* NULL: none are */
    bool no_parts;           /* an old store, without XS_DIRECTORY_PART */
    /* Called before each request; true: it was answered here. */
    bool (*asked)(struct fake_store *s, const struct xsd_sockmsg *head,
                  const char *payload);
    void *arg;
};

/* A tree with the domain's home; the domain may write control/shutdown and what
 * is below home/data. */
void fake_store_init(struct fake_store *s, struct fake_xen *xen);
void fake_store_fini(struct fake_store *s);

/* Lets it take and give what it can, and tell the guest if that is anything. */
void fake_store_run(struct fake_store *s);

/* Makes it the other side of its fake_xen; xen->arg is the store then. */
void fake_store_attach(struct fake_store *s);

/* As dom0: value NULL removes. Paths without '/' in front are below home. */
void fake_store_set(struct fake_store *s, const char *path, const char *value);
/* The value, or NULL; valid until the tree changes. */
const char *fake_store_get(struct fake_store *s, const char *path);
/* Who may: "n0\0r5\0", with its size. */
void fake_store_set_perms(struct fake_store *s, const char *path,
                          const char *perms, size_t size);
unsigned fake_store_watches(const struct fake_store *s);
unsigned fake_store_transactions(const struct fake_store *s);

/* Says a message, or any bytes at all, once there is room. */
void fake_store_say(struct fake_store *s, uint32_t type, uint32_t id,
                    uint32_t tx, const void *payload, size_t size);
void fake_store_say_bytes(struct fake_store *s, const void *bytes, size_t n);

#endif
