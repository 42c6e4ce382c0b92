/* SPDX-License-Identifier: ISC */
/* What the tests of xenstore's client share: a client, its store, and a record
 * of how requests ended. */
#ifndef TESTS_TEST_XEN_STORE_H
#define TESTS_TEST_XEN_STORE_H

#include "fake_store.h"

#include <conduit/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fix;

struct seen {
    struct cdt_xs_watch watch; /* must be first */
    unsigned times;
    char path[256];
    void (*then)(struct seen *seen);
    struct fix *fix;
    struct seen *other;
};

struct fix {
    struct fake_xen xen;
    struct fake_store store;
    struct cdt_events events;
    struct cdt_xs *xs;
    struct seen seen[4]; /* here, since the client ends after the test */
};

/* How a request ended. */
struct end {
    unsigned times;
    int code;
    size_t size;
    char *data; /* with a NUL */
};

static inline int fix_setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);

    assert_non_null(f);
    fake_xen_init(&f->xen);
    fake_store_init(&f->store, &f->xen);
    fake_store_attach(&f->store);
    cdt_events_init(&f->events, &f->xen.base);
    assert_int_equal(
        cdt_xs_new(&f->events, &f->store.ring, f->store.port, &f->xs), 0);
    *state = f;
    return 0;
}

static inline int fix_teardown(void **state)
{
    struct fix *f = *state;

    cdt_xs_free(f->xs);
    fake_store_fini(&f->store);
    free(f);
    return 0;
}

#define FIX_TEST(f) cmocka_unit_test_setup_teardown(f, fix_setup, fix_teardown)

static inline void on_done(void *arg, int code, const char *data, size_t size)
{
    struct end *e = arg;

    e->times++;
    e->code = code;
    e->size = size;
    free(e->data);
    e->data = malloc(size + 1);
    assert_non_null(e->data);
    memcpy(e->data, data, size + 1); /* its NUL as well */
    assert_int_equal(e->data[size], '\0');
}

static inline void on_seen(struct cdt_xs_watch *watch, const char *path)
{
    struct seen *s = (struct seen *)(void *)watch;

    s->times++;
    assert_true(strlen(path) < sizeof s->path);
    memcpy(s->path, path, strlen(path) + 1);
    if (s->then != NULL) {
        s->then(s);
    }
}

/* A watch of a path, not set up yet. */
static inline struct seen *fix_seen(struct fix *f, unsigned i, const char *path)
{
    struct seen *s = &f->seen[i];

    s->watch.path = path;
    s->watch.fire = on_seen;
    s->fix = f;
    return s;
}

/* A turn of a guest's loop: the other side runs, then what came is seen. */
static inline void fix_turn(struct fix *f)
{
    fake_store_run(&f->store);
    cdt_events_run(&f->events);
}

static inline void fix_turns(struct fix *f, unsigned n)
{
    while (n-- > 0) {
        fix_turn(f);
    }
}

/* Turns until a request has ended. */
static inline void fix_end(struct fix *f, const struct end *e)
{
    for (unsigned i = 0; i < 100000 && e->times == 0; i++) {
        fix_turn(f);
    }
    assert_int_equal(e->times, 1);
}

/* It ended once, with this code and these bytes; forgets it. */
static inline void assert_end(struct fix *f, struct end *e, int code,
                              const char *data, size_t size)
{
    fix_end(f, e);
    assert_int_equal(e->code, code);
    if (data != NULL) {
        assert_int_equal(e->size, size);
        assert_memory_equal(e->data, data, size);
    }
    free(e->data);
    memset(e, 0, sizeof *e);
}

#endif
