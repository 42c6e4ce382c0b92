/* SPDX-License-Identifier: ISC */
/*
 * Unpredictable bytes from RDRAND. Its health is tested as in NIST SP 800-90B
 * section 4.4 (repetition count and adaptive proportion over its words) when
 * the guest starts and at every read; a processor without it, or one whose
 * output fails, gives no bytes at all rather than weak ones.
 */
#ifndef CDT_XEN_ENTROPY_H
#define CDT_XEN_ENTROPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cdt_entropy {
    /* One word; false when there is none now. cdt_entropy_rdrand() but in
     * tests. */
    bool (*word)(uint64_t *out);
    uint64_t last; /* repetition count test */
    unsigned repeated;
    uint64_t sample;    /* adaptive proportion test */
    unsigned window;    /* words in it so far */
    unsigned matches;   /* of them equal to its first */
    const char *failed; /* why there are no bytes any more, or NULL; static */
};

/* Whether the processor has RDRAND (CPUID leaf 1, ECX bit 30). */
bool cdt_entropy_present(void);

/* A word from RDRAND; false when the processor has none in ten tries. Only
 * where there is RDRAND. */
bool cdt_entropy_rdrand(uint64_t *out);

/*
 * Runs the tests over a first kilobyte. 0, or CONDUIT_EIO: then `failed` says
 * why, for a person. That kilobyte is handed out to nobody.
 */
int cdt_entropy_init(struct cdt_entropy *e, bool (*word)(uint64_t *out));

/* Fills buf. 0, or CONDUIT_EIO, from the first failure on: then buf is all
 * zeros. */
int cdt_entropy_read(struct cdt_entropy *e, void *buf, size_t n);

#endif
