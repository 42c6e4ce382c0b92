/* SPDX-License-Identifier: ISC */
/* A heap in a region of this process, whose faults can be met and survived. */
#ifndef TESTS_XEN_HEAP_H
#define TESTS_XEN_HEAP_H

#include "support.h"

#include "heap.h"

#define REGION ((size_t)2 << 20)
#define PAGES ((unsigned)(REGION / CDT_PAGE))

struct rig {
    unsigned char *base;
    struct cdt_heap *heap;
    struct cdt_heap_facts fresh;
};

static jmp_buf on_fault;
static bool fault_expected;
static const char *fault_text;
static const void *fault_at;

/* Jumps out of the heap, as a guest would stop. */
static inline void note_fault(const char *what, const void *at)
{
    if (!fault_expected) {
        fail_msg("fault: %s at %p", what, at);
    }
    fault_text = what;
    fault_at = at;
    longjmp(on_fault, 1); /* NOLINT(cert-err52-cpp): it must not return */
}

static inline bool faulted(const char *word)
{
    return fault_text != NULL && strstr(fault_text, word) != NULL;
}

/* Fails unless the statement meets a fault whose text has `word` in it. */
#define FAULTS(word, statement)       \
    do {                              \
        fault_text = NULL;            \
        fault_expected = true;        \
        if (setjmp(on_fault) == 0) {  \
            statement;                \
        }                             \
        fault_expected = false;       \
        assert_true(faulted((word))); \
    } while (0)

static inline void free_faults(struct rig *rig, void *ptr, const char *word)
{
    FAULTS(word, cdt_heap_free(rig->heap, ptr));
    assert_ptr_equal(fault_at, ptr);
}

static inline int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    /* A page off any larger alignment: the region's base promises no more. */
    rig->base = aligned_alloc((size_t)1 << 20, REGION + ((size_t)1 << 20));
    assert_non_null(rig->base);
    memset(rig->base, 0xa5, REGION + CDT_PAGE);
    rig->heap = cdt_heap_new(rig->base + CDT_PAGE, REGION, note_fault);
    assert_non_null(rig->heap);
    cdt_heap_facts(rig->heap, &rig->fresh);
    *state = rig;
    return 0;
}

static inline int tear_down(void **state)
{
    struct rig *rig = *state;

    free(rig->base);
    free(rig);
    return 0;
}

/* All of the heap in one run, which takes what is kept for reuse as well. */
static inline void assert_all_free(struct rig *rig)
{
    struct cdt_heap_facts facts;
    size_t pages = rig->fresh.largest / CDT_PAGE;
    void *all;

    cdt_heap_facts(rig->heap, &facts);
    assert_int_equal(facts.used, 0);
    all = cdt_heap_pages(rig->heap, pages);
    assert_non_null(all);
    cdt_heap_pages_free(rig->heap, all, pages);
    cdt_heap_facts(rig->heap, &facts);
    assert_int_equal(facts.used, 0);
    assert_int_equal(facts.largest, rig->fresh.largest);
}

/* Allocates one size until there is no more; answers how many. */
static inline size_t fill(struct rig *rig, void **ptrs, size_t max, size_t size)
{
    size_t n = 0;

    while (n < max && (ptrs[n] = cdt_heap_alloc(rig->heap, size)) != NULL) {
        memset(ptrs[n], (int)(n % 251), size);
        n++;
    }
    return n;
}

#define HEAP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
