/* SPDX-License-Identifier: ISC */
/*
 * A xenstored within the test. A transaction is a copy of the whole tree, which
 * takes the tree's place unless anything changed meanwhile. It asserts what the
 * real one would drop a domain for.
 */
#include "fake_store.h"

#include "fake_store_tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_out {
    struct fake_out *next;
    size_t size;
    char bytes[];
};

/* ---- what it says ---- */

void fake_store_say_bytes(struct fake_store *s, const void *bytes, size_t n)
{
    struct fake_out *o = malloc(sizeof *o + n);
    struct fake_out **slot = &s->out;

    assert(o != NULL);
    o->size = n;
    memcpy(o->bytes, bytes, n);
    if (s->backwards) {
        slot = s->out_at > 0 ? &s->out->next : slot;
    } else {
        while (*slot != NULL) {
            slot = &(*slot)->next;
        }
    }
    o->next = *slot;
    *slot = o;
}

void fake_store_say(struct fake_store *s, uint32_t type, uint32_t id,
                    uint32_t tx, const void *payload, size_t size)
{
    static char
        message[sizeof(struct xsd_sockmsg) + (size_t)2 * XENSTORE_PAYLOAD_MAX];
    struct xsd_sockmsg head = {type, id, tx, (uint32_t)size};

    assert(size <= sizeof message - sizeof head);
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, payload, size);
    fake_store_say_bytes(s, message, sizeof head + size);
}

static void tell_watches(struct fake_store *s, const char *path)
{
    char text[512];

    for (size_t i = 0; i < sizeof s->watches / sizeof s->watches[0]; i++) {
        const struct fake_store_watch *w = &s->watches[i];
        const char *event = fake_tree_is_below(path, w->path) ? path : w->path;
        int n;

        if (!w->used || (!fake_tree_is_below(path, w->path) &&
                         !fake_tree_is_below(w->path, path))) {
            continue;
        }
        event += w->relative ? strlen(FAKE_STORE_HOME) : 0;
        n = snprintf(text, sizeof text, "%s%c%s", event, 0, w->token);
        fake_store_say(s, XS_WATCH_EVENT, 0, 0, text, (size_t)n + 1);
    }
}

static void changed(struct fake_store *s, struct fake_store_tx *tx,
                    const char *path)
{
    s->version += tx == NULL;
    if (tx == NULL) {
        tell_watches(s, path);
    } else if (tx->changes < 32) {
        (void)snprintf(tx->changed[tx->changes++], sizeof tx->changed[0], "%s",
                       path);
    }
}

/* ---- what the test does ---- */

static void resolve(const char *path, char out[256])
{
    (void)snprintf(out, 256, "%s%s",
                   path[0] == '/' || path[0] == '@' ? "" : FAKE_STORE_HOME,
                   path);
}

/* The node and those above it are of another generation now. */
static void touch(struct fake_store *s, struct fake_tree *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++) {
        if (fake_tree_is_below(path, t->nodes[i].path)) {
            t->nodes[i].generation = s->version + 1;
        }
    }
}

static void put(struct fake_store *s, struct fake_tree *t, const char *path,
                const void *value, size_t size)
{
    struct fake_node *node = fake_tree_make(t, path);

    assert(size <= XENSTORE_PAYLOAD_MAX);
    memcpy(node->value, value, size);
    node->value[size] = '\0';
    node->size = size;
    touch(s, t, path);
}

void fake_store_set(struct fake_store *s, const char *path, const char *value)
{
    char full[256];

    resolve(path, full);
    if (value != NULL) {
        put(s, &s->tree, full, value, strlen(value));
    } else {
        touch(s, &s->tree, full);
        fake_tree_drop(&s->tree, full);
    }
    changed(s, NULL, full);
}

const char *fake_store_get(struct fake_store *s, const char *path)
{
    char full[256];
    const struct fake_node *node;

    resolve(path, full);
    node = fake_tree_find(&s->tree, full);
    return node != NULL ? node->value : NULL;
}

void fake_store_set_perms(struct fake_store *s, const char *path,
                          const char *perms, size_t size)
{
    char full[256];
    struct fake_node *node;

    resolve(path, full);
    node = fake_tree_make(&s->tree, full);
    assert(size <= sizeof node->perms);
    memcpy(node->perms, perms, size);
    node->perms_size = size;
}

unsigned fake_store_watches(const struct fake_store *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < sizeof s->watches / sizeof s->watches[0]; i++) {
        n += s->watches[i].used;
    }
    return n;
}

unsigned fake_store_transactions(const struct fake_store *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < sizeof s->tx / sizeof s->tx[0]; i++) {
        n += s->tx[i].id != 0;
    }
    return n;
}

/* ---- requests ---- */

struct ask {
    struct fake_store *s;
    const struct xsd_sockmsg *head;
    const char *payload; /* a NUL behind */
    struct fake_store_tx *tx;
    struct fake_tree *tree;
    char path[256]; /* absolute */
    const char *rest;
    size_t rest_size;
};

static void say(const struct ask *a, const void *payload, size_t size)
{
    fake_store_say(a->s, a->head->type, a->head->req_id, a->head->tx_id,
                   payload, size);
}

static void ok(const struct ask *a)
{
    say(a, "OK", 3);
}

static void refuse(const struct ask *a, const char *word)
{
    fake_store_say(a->s, XS_ERROR, a->head->req_id, a->head->tx_id, word,
                   strlen(word) + 1);
}

/* The node, if it may be read; NULL: refused. */
static struct fake_node *readable(const struct ask *a)
{
    struct fake_node *node = fake_tree_find(a->tree, a->path);

    if (node == NULL || !fake_tree_may(node, 'r')) {
        refuse(a, node == NULL ? "ENOENT" : "EACCES");
        return NULL;
    }
    return node;
}

/* Whether the node, or the nearest that exists above it, may be written. */
static bool writable(const struct ask *a)
{
    const struct fake_node *node;
    char path[256];

    memcpy(path, a->path, sizeof path);
    while ((node = fake_tree_find(a->tree, path)) == NULL) {
        char above[256];

        fake_tree_parent_of(path, above);
        memcpy(path, above, sizeof path);
    }
    if (!fake_tree_may(node, 'w')) {
        refuse(a, "EACCES");
        return false;
    }
    return true;
}

static void do_write(const struct ask *a)
{
    if (writable(a)) {
        put(a->s, a->tree, a->path, a->rest, a->rest_size);
        ok(a);
        changed(a->s, a->tx, a->path);
    }
}

static void do_mkdir(const struct ask *a)
{
    if (fake_tree_find(a->tree, a->path) != NULL) {
        ok(a);
    } else if (writable(a)) {
        put(a->s, a->tree, a->path, "", 0);
        ok(a);
        changed(a->s, a->tx, a->path);
    }
}

static void do_remove(const struct ask *a)
{
    if (writable(a)) {
        touch(a->s, a->tree, a->path);
        fake_tree_drop(a->tree, a->path);
        ok(a);
        changed(a->s, a->tx, a->path);
    }
}

static void do_set_perms(const struct ask *a)
{
    struct fake_node *node = fake_tree_find(a->tree, a->path);

    if (node == NULL) {
        refuse(a, "ENOENT");
    } else if (writable(a)) {
        assert(a->rest_size <= sizeof node->perms);
        memcpy(node->perms, a->rest, a->rest_size);
        node->perms_size = a->rest_size;
        ok(a);
        changed(a->s, a->tx, a->path);
    }
}

/* The names right below a node, each with its NUL; to be freed. */
static char *names_below(const struct ask *a, size_t *size)
{
    size_t n = strlen(a->path);
    char *names = malloc(a->tree->count * 256);

    assert(names != NULL);
    *size = 0;
    for (size_t i = 0; i < a->tree->count; i++) {
        const char *path = a->tree->nodes[i].path;

        if (fake_tree_is_below(path, a->path) && path[n] == '/' &&
            strchr(path + n + 1, '/') == NULL) {
            size_t len = strlen(path + n + 1) + 1;

            memcpy(names + *size, path + n + 1, len);
            *size += len;
        }
    }
    return names;
}

static void do_list(const struct ask *a)
{
    size_t size;
    char *names;

    if (readable(a) == NULL) {
        return;
    }
    names = names_below(a, &size);
    if (size > XENSTORE_PAYLOAD_MAX) {
        refuse(a, "E2BIG");
    } else {
        say(a, names, size);
    }
    free(names);
}

static void do_list_part(const struct ask *a)
{
    const struct fake_node *node = readable(a);
    char part[XENSTORE_PAYLOAD_MAX];
    size_t at = strtoul(a->rest, NULL, 10);
    size_t size;
    size_t n;
    char *names;

    if (node == NULL || a->s->no_parts) {
        if (node != NULL) {
            refuse(a, "ENOSYS");
        }
        return;
    }
    n = 1u + (size_t)snprintf(part, sizeof part, "%llu",
                              (unsigned long long)node->generation);
    names = names_below(a, &size);
    while (at < size && n + strlen(names + at) + 2 <= sizeof part) {
        size_t len = strlen(names + at) + 1;

        memcpy(part + n, names + at, len);
        at += len;
        n += len;
    }
    if (at >= size) {
        part[n++] = '\0';
    }
    say(a, part, n);
    free(names);
}

static void do_watch(const struct ask *a)
{
    struct fake_store_watch *w = a->s->watches;
    char text[512];
    int n;

    while (w->used) {
        w++;
        assert(w < a->s->watches + 64);
    }
    w->used = true;
    w->relative = a->payload[0] != '/';
    memcpy(w->path, a->path, sizeof w->path);
    (void)snprintf(w->token, sizeof w->token, "%s", a->rest);
    ok(a);
    n = snprintf(text, sizeof text, "%s%c%s", a->payload, 0, w->token);
    fake_store_say(a->s, XS_WATCH_EVENT, 0, 0, text, (size_t)n + 1);
}

static void do_unwatch(const struct ask *a)
{
    for (size_t i = 0; i < 64; i++) {
        struct fake_store_watch *w = &a->s->watches[i];

        if (w->used && strcmp(w->path, a->path) == 0 &&
            strcmp(w->token, a->rest) == 0) {
            w->used = false;
            ok(a);
            return;
        }
    }
    refuse(a, "ENOENT");
}

static void do_begin(const struct ask *a)
{
    struct fake_store *s = a->s;
    char text[16];

    for (size_t i = 0; i < sizeof s->tx / sizeof s->tx[0]; i++) {
        struct fake_store_tx *tx = &s->tx[i];

        if (tx->id == 0) {
            memset(tx, 0, sizeof *tx);
            tx->id = ++s->last_tx;
            tx->version = s->version;
            tx->tree = fake_tree_copy(&s->tree);
            say(a, text,
                1u + (size_t)snprintf(text, sizeof text, "%u", tx->id));
            return;
        }
    }
    refuse(a, "ENOSPC");
}

static void do_end(const struct ask *a)
{
    struct fake_store *s = a->s;
    struct fake_store_tx *tx = a->tx;

    if (tx == NULL) {
        refuse(a, "ENOENT");
        return;
    }
    tx->id = 0;
    if (s->conflicts > 0 && a->payload[0] == 'T') {
        s->conflicts--;
        s->version++;
    }
    if (a->payload[0] != 'T' || tx->version != s->version) {
        free(tx->tree.nodes);
        if (a->payload[0] == 'T') {
            refuse(a, "EAGAIN");
        } else {
            ok(a);
        }
        return;
    }
    free(s->tree.nodes);
    s->tree = tx->tree;
    ok(a);
    for (size_t i = 0; i < tx->changes; i++) {
        changed(s, NULL, tx->changed[i]);
    }
}

static void do_node(const struct ask *a)
{
    const struct fake_node *node = readable(a);

    if (node == NULL) {
        return;
    }
    if (a->head->type == XS_READ) {
        say(a, node->value, node->size);
    } else {
        say(a, node->perms, node->perms_size);
    }
}

static void (*const handlers[XS_TYPE_COUNT])(const struct ask *) = {
    [XS_READ] = do_node,
    [XS_GET_PERMS] = do_node,
    [XS_WRITE] = do_write,
    [XS_MKDIR] = do_mkdir,
    [XS_RM] = do_remove,
    [XS_SET_PERMS] = do_set_perms,
    [XS_DIRECTORY] = do_list,
    [XS_DIRECTORY_PART] = do_list_part,
    [XS_WATCH] = do_watch,
    [XS_UNWATCH] = do_unwatch,
    [XS_TRANSACTION_START] = do_begin,
    [XS_TRANSACTION_END] = do_end,
};

static void find_tx(struct ask *a)
{
    a->tree = &a->s->tree;
    for (size_t i = 0; i < sizeof a->s->tx / sizeof a->s->tx[0]; i++) {
        if (a->head->tx_id != 0 && a->s->tx[i].id == a->head->tx_id) {
            a->tx = &a->s->tx[i];
            a->tree = &a->tx->tree;
        }
    }
}

static void take_request(struct fake_store *s, const struct xsd_sockmsg *head,
                         const char *payload)
{
    struct ask a = {.s = s, .head = head, .payload = payload};
    size_t n = strlen(payload) + 1;

    assert(head->type < XS_TYPE_COUNT && handlers[head->type] != NULL);
    s->requests++;
    s->types[head->type]++;
    if ((s->asked != NULL && s->asked(s, head, payload)) || s->mute) {
        return;
    }
    find_tx(&a);
    if (s->refuse_word != NULL && s->refuse_type == head->type) {
        refuse(&a, s->refuse_word);
        return;
    }
    if (head->tx_id != 0 && a.tx == NULL) {
        refuse(&a, "ENOENT");
        return;
    }
    if (head->type != XS_TRANSACTION_START &&
        head->type != XS_TRANSACTION_END) {
        assert(n <= head->len); /* a NUL ends the path */
        resolve(payload, a.path);
        a.rest = payload + n;
        a.rest_size = head->len - n;
    }
    handlers[head->type](&a);
}

/* ---- the ring ---- */

static size_t bite(const struct fake_store *s)
{
    return s->bite > 0 ? s->bite : (size_t)XENSTORE_RING_SIZE;
}

static void take_byte(struct fake_store *s, char c)
{
    struct xsd_sockmsg head;

    s->in[s->in_size++] = c;
    if (s->in_size < sizeof head) {
        return;
    }
    memcpy(&head, s->in, sizeof head);
    assert(head.len <= XENSTORE_PAYLOAD_MAX);
    if (s->in_size == sizeof head + head.len) {
        s->in[s->in_size] = '\0';
        s->in_size = 0;
        take_request(s, &head, s->in + sizeof head);
    }
}

static bool take(struct fake_store *s)
{
    uint32_t prod = __atomic_load_n(&s->ring.req_prod, __ATOMIC_ACQUIRE);
    size_t n = 0;

    assert(prod - s->ring.req_cons <= XENSTORE_RING_SIZE);
    for (; !s->deaf && s->ring.req_cons != prod && n < bite(s); n++) {
        char c = s->ring.req[MASK_XENSTORE_IDX(s->ring.req_cons)];

        s->ring.req_cons++;
        take_byte(s, c);
    }
    return n > 0;
}

static bool give(struct fake_store *s)
{
    uint32_t cons = __atomic_load_n(&s->ring.rsp_cons, __ATOMIC_ACQUIRE);
    size_t n = 0;

    assert(s->ring.rsp_prod - cons <= XENSTORE_RING_SIZE);
    while (s->out != NULL && n < bite(s) &&
           s->ring.rsp_prod - cons < XENSTORE_RING_SIZE) {
        struct fake_out *o = s->out;

        if (s->out_at < o->size) {
            s->ring.rsp[MASK_XENSTORE_IDX(s->ring.rsp_prod++)] =
                o->bytes[s->out_at++];
            n++;
        }
        if (s->out_at == o->size) {
            s->out = o->next;
            s->out_at = 0;
            free(o);
        }
    }
    return n > 0;
}

void fake_store_run(struct fake_store *s)
{
    bool moved;

    if (s->stuck) {
        return;
    }
    moved = take(s);
    moved = give(s) || moved;
    if (moved) {
        fake_xen_raise(s->xen, s->port);
    }
}

static void other_side(struct fake_xen *xen)
{
    fake_store_run(xen->arg);
}

void fake_store_attach(struct fake_store *s)
{
    s->xen->arg = s;
    s->xen->other_side = other_side;
}

void fake_store_init(struct fake_store *s, struct fake_xen *xen)
{
    static const char mine[] = "n5";
    static const char theirs[] = "n0\0r5";

    memset(s, 0, sizeof *s);
    s->xen = xen;
    s->port = fake_xen_port(xen);
    (void)fake_tree_make(&s->tree, "/");
    fake_store_set_perms(s, "/local/domain/5", theirs, sizeof theirs);
    fake_store_set(s, "domid", "5");
    fake_store_set(s, "data", "");
    fake_store_set_perms(s, "data", mine, sizeof mine);
    fake_store_set(s, "control/shutdown", "");
    fake_store_set_perms(s, "control/shutdown", mine, sizeof mine);
}

void fake_store_fini(struct fake_store *s)
{
    for (size_t i = 0; i < sizeof s->tx / sizeof s->tx[0]; i++) {
        if (s->tx[i].id != 0) {
            free(s->tx[i].tree.nodes);
        }
    }
    free(s->tree.nodes);
    while (s->out != NULL) {
        struct fake_out *o = s->out;

        s->out = o->next;
        free(o);
    }
}
