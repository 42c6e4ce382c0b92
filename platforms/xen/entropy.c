/* SPDX-License-Identifier: ISC */
/*
 * RDRAND and its health. The tests are those of NIST SP 800-90B, 4.4.1 and
 * 4.4.2, over words of 64 bits. Their cutoffs follow from two assumptions: a
 * word holds at least H = 32 bits of min-entropy, half of what a sound
 * generator gives, and a sound one is found guilty at a rate of 2^-40 at most.
 *
 *   Repetition count: C = 1 + ceil(40 / 32) = 3 equal words in a row.
 *
 *   Adaptive proportion, windows of W = 512 words as for all that is not
 *   binary: C is the least number with Pr(the first word of a window is there C
 *   times) <= 2^-40. One more of the 511 others is equal to it at 511 * 2^-32 =
 *   2^-23, two are at about half of that squared, 2^-47: so C = 3.
 *
 * For the real 2^-64 a word this is 2^-128 and 2^-111: a guest never sees a
 * false alarm. What is caught are processors that give one word again and
 * again, all ones after a resume for instance. A generator whose output is
 * predictable but looks random passes, as it passes every such test.
 */
#include "entropy.h"

#include <conduit/error.h>

#include <string.h>

#define REPETITION_CUTOFF 3u
#define WINDOW 512u
#define PROPORTION_CUTOFF 3u

#define STARTUP_WORDS (1024 / sizeof(uint64_t))

/* What Intel asks to try before the generator counts as broken. */
#define RDRAND_TRIES 10

bool cdt_entropy_present(void)
{
    uint32_t eax = 0;
    uint32_t ebx;
    uint32_t ecx = 0;
    uint32_t edx;

    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (eax < 1) {
        return false;
    }
    eax = 1;
    ecx = 0;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return (ecx >> 30 & 1) != 0;
}

bool cdt_entropy_rdrand(uint64_t *out)
{
    for (unsigned i = 0; i < RDRAND_TRIES; i++) {
        uint64_t word;
        unsigned char valid;

        __asm__ volatile("rdrand %0\n\tsetc %1"
                         : "=r"(word), "=qm"(valid)
                         :
                         : "cc");
        if (valid != 0) {
            *out = word;
            return true;
        }
    }
    return false;
}

/* Whether the repetition count test lets a word pass. */
static bool count_repetition(struct cdt_entropy *e, uint64_t word)
{
    if (word == e->last) {
        e->repeated++;
    } else {
        e->last = word;
        e->repeated = 1;
    }
    return e->repeated < REPETITION_CUTOFF;
}

/* Whether the adaptive proportion test lets a word pass. */
static bool count_proportion(struct cdt_entropy *e, uint64_t word)
{
    if (e->window == 0) {
        e->sample = word;
        e->matches = 0;
    }
    e->matches += word == e->sample;
    e->window = (e->window + 1) % WINDOW;
    return e->matches < PROPORTION_CUTOFF;
}

/* One word that passed the tests; false from the first that did not on. */
static bool next_word(struct cdt_entropy *e, uint64_t *word)
{
    if (e->failed != NULL) {
        return false;
    }
    if (!e->word(word)) {
        e->failed = "the processor's random number generator gives no words";
    } else if (!count_repetition(e, *word)) {
        e->failed = "the processor's random number generator repeats one word";
    } else if (!count_proportion(e, *word)) {
        e->failed = "the processor's random number generator gives one word "
                    "too often";
    }
    return e->failed == NULL;
}

int cdt_entropy_init(struct cdt_entropy *e, bool (*word)(uint64_t *out))
{
    *e = (struct cdt_entropy){.word = word};
    for (size_t i = 0; i < STARTUP_WORDS; i++) {
        uint64_t unused;

        if (!next_word(e, &unused)) {
            return CONDUIT_EIO;
        }
    }
    return 0;
}

int cdt_entropy_read(struct cdt_entropy *e, void *buf, size_t n)
{
    unsigned char *bytes = buf;

    for (size_t at = 0; at < n; at += sizeof(uint64_t)) {
        uint64_t word;

        if (!next_word(e, &word)) {
            memset(bytes, 0, n);
            return CONDUIT_EIO;
        }
        memcpy(bytes + at, &word, n - at < sizeof word ? n - at : sizeof word);
    }
    return e->failed == NULL ? 0 : CONDUIT_EIO;
}
