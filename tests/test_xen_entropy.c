/* SPDX-License-Identifier: ISC */
/* Entropy: what a generator may do, and what ends it for good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <cpuid.h>

#include <conduit/error.h>

#include "entropy.h"

#define STARTUP 128 /* words of the first kilobyte */

/* Words that are handed out before a source shows its fault. */
static unsigned sound_words;
static unsigned asked; /* for words */
static uint64_t odd_word;

/* Different words, in no order that a test of proportion would notice. */
static uint64_t mix(uint64_t n)
{
    n = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    n ^= n >> 29;
    return n * UINT64_C(0xbf58476d1ce4e5b9);
}

static bool sound(uint64_t *out)
{
    *out = mix(asked++);
    return true;
}

static bool then_nothing(uint64_t *out)
{
    return asked < sound_words ? sound(out) : (asked++, false);
}

/* All words are odd_word, after the sound ones. */
static bool then_constant(uint64_t *out)
{
    (void)sound(out);
    if (asked > sound_words) {
        *out = odd_word;
    }
    return true;
}

/* Every word twice. */
static bool in_pairs(uint64_t *out)
{
    *out = mix(asked++ / 2);
    return true;
}

/* Sound words, but odd_word where `odd_at` says so. */
static const unsigned *odd_at;
static unsigned odd_count;

static bool sometimes_odd(uint64_t *out)
{
    for (unsigned i = 0; i < odd_count; i++) {
        if (odd_at[i] == asked) {
            asked++;
            *out = odd_word;
            return true;
        }
    }
    return sound(out);
}

static void begin(unsigned words)
{
    asked = 0;
    sound_words = words;
    odd_word = 0x1234;
}

/* The state of failure: for good, and whatever the source says now. */
static void assert_failed(struct cdt_entropy *e, const char *why)
{
    unsigned char buf[16];
    unsigned before = asked;

    assert_non_null(e->failed);
    assert_non_null(strstr(e->failed, why));
    e->word = sound;
    memset(buf, 0xaa, sizeof buf);
    assert_int_equal(cdt_entropy_read(e, buf, sizeof buf), CONDUIT_EIO);
    for (size_t i = 0; i < sizeof buf; i++) {
        assert_int_equal(buf[i], 0);
    }
    assert_int_equal(cdt_entropy_read(e, buf, 0), CONDUIT_EIO);
    assert_int_equal(asked, before);
}

static void a_sound_generator_gives_its_words(void **state)
{
    struct cdt_entropy e;
    uint64_t words[1000];

    (void)state;
    begin(0);
    assert_int_equal(cdt_entropy_init(&e, sound), 0);
    assert_null(e.failed);
    assert_int_equal(asked, STARTUP);
    for (unsigned turn = 0; turn < 20; turn++) {
        assert_int_equal(cdt_entropy_read(&e, words, sizeof words), 0);
        for (unsigned i = 0; i < 1000; i++) {
            assert_int_equal(words[i], mix(STARTUP + turn * 1000 + i));
        }
    }
}

/* Neither too much is written nor is a rest of a word used twice. */
static void any_number_of_bytes_is_given(void **state)
{
    struct cdt_entropy e;
    unsigned char buf[40];

    (void)state;
    begin(0);
    assert_int_equal(cdt_entropy_init(&e, sound), 0);
    for (size_t n = 0; n <= 32; n++) {
        unsigned first = asked;
        uint64_t want[5];

        for (unsigned i = 0; i < 5; i++) {
            want[i] = mix(first + i);
        }
        memset(buf, 0xaa, sizeof buf);
        assert_int_equal(cdt_entropy_read(&e, buf, n), 0);
        assert_memory_equal(buf, want, n);
        assert_int_equal(buf[n], 0xaa);
        assert_int_equal(asked - first, (n + 7) / 8);
    }
}

static void a_generator_without_words_fails(void **state)
{
    struct cdt_entropy e;

    (void)state;
    begin(0);
    assert_int_equal(cdt_entropy_init(&e, then_nothing), CONDUIT_EIO);
    assert_int_equal(asked, 1);
    assert_failed(&e, "no words");
    begin(STARTUP - 1);
    assert_int_equal(cdt_entropy_init(&e, then_nothing), CONDUIT_EIO);
    assert_failed(&e, "no words");
}

static void a_generator_that_dries_up_fails(void **state)
{
    struct cdt_entropy e;
    unsigned char buf[64];

    (void)state;
    begin(STARTUP + 9);
    assert_int_equal(cdt_entropy_init(&e, then_nothing), 0);
    assert_int_equal(cdt_entropy_read(&e, buf, 40), 0);
    memset(buf, 0xaa, sizeof buf);
    assert_int_equal(cdt_entropy_read(&e, buf, 40), CONDUIT_EIO);
    for (size_t i = 0; i < sizeof buf; i++) {
        assert_int_equal(buf[i], i < 40 ? 0 : 0xaa);
    }
    assert_failed(&e, "no words");
}

static void a_constant_fails_at_once(void **state)
{
    static const uint64_t constants[] = {0, UINT64_MAX, 0x1234};
    struct cdt_entropy e;

    (void)state;
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
        begin(0);
        odd_word = constants[i];
        assert_int_equal(cdt_entropy_init(&e, then_constant), CONDUIT_EIO);
        assert_int_equal(asked, 3);
        assert_failed(&e, "repeats");
    }
}

/* As processors did that gave all ones after a resume. */
static void a_generator_that_gets_stuck_fails(void **state)
{
    struct cdt_entropy e;
    uint64_t words[3];

    (void)state;
    begin(STARTUP + 5);
    odd_word = UINT64_MAX;
    assert_int_equal(cdt_entropy_init(&e, then_constant), 0);
    assert_int_equal(cdt_entropy_read(&e, words, sizeof words), 0);
    assert_int_equal(cdt_entropy_read(&e, words, sizeof words), 0);
    assert_int_equal(cdt_entropy_read(&e, words, sizeof words), CONDUIT_EIO);
    assert_int_equal(asked, STARTUP + 8);
    assert_failed(&e, "repeats");
}

static void a_word_may_come_twice_in_a_row(void **state)
{
    struct cdt_entropy e;
    uint64_t words[2000];

    (void)state;
    begin(0);
    assert_int_equal(cdt_entropy_init(&e, in_pairs), 0);
    assert_int_equal(cdt_entropy_read(&e, words, sizeof words), 0);
}

struct odd_case {
    unsigned count;
    unsigned at[4];
    unsigned fails; /* after so many words; 0: never */
};

/* Windows begin at words 0, 512, 1024, and each looks for its first word. */
static const struct odd_case odd_cases[] = {
    {3, {0, 2, 4}, 5},
    {3, {0, 5, 511}, 512},
    {3, {512, 600, 1023}, 1024},
    {4, {0, 511, 512, 1023}, 0},
    {3, {0, 511, 513}, 0},
    {4, {1, 3, 5, 7}, 0},
    {4, {0, 1, 512, 513}, 0},
    {4, {510, 511, 512, 514}, 513},
    {4, {511, 512, 600, 1024}, 0},
};

static void a_word_that_comes_too_often_fails(void **state)
{
    struct cdt_entropy e;
    uint64_t word;

    (void)state;
    for (size_t i = 0; i < sizeof odd_cases / sizeof odd_cases[0]; i++) {
        const struct odd_case *c = &odd_cases[i];
        unsigned last = c->fails != 0 ? c->fails : 2048;
        int code;

        begin(0);
        odd_at = c->at;
        odd_count = c->count;
        code = cdt_entropy_init(&e, sometimes_odd);
        while (code == 0 && asked < last) {
            code = cdt_entropy_read(&e, &word, sizeof word);
        }
        assert_int_equal(asked, last);
        assert_int_equal(code, c->fails != 0 ? CONDUIT_EIO : 0);
        if (c->fails != 0) {
            assert_failed(&e, c->fails == 513 ? "repeats" : "too often");
        }
    }
}

static void a_failure_is_forgotten_by_a_new_start(void **state)
{
    struct cdt_entropy e;
    uint64_t word;

    (void)state;
    begin(0);
    assert_int_equal(cdt_entropy_init(&e, then_constant), CONDUIT_EIO);
    assert_int_equal(cdt_entropy_init(&e, sound), 0);
    assert_int_equal(cdt_entropy_read(&e, &word, sizeof word), 0);
}

static void rdrand_is_found(void **state)
{
    unsigned eax;
    unsigned ebx;
    unsigned ecx = 0;
    unsigned edx;

    (void)state;
    (void)__get_cpuid(1, &eax, &ebx, &ecx, &edx);
    assert_int_equal(cdt_entropy_present(), (ecx & bit_RDRND) != 0);
}

static void this_processor_passes(void **state)
{
    struct cdt_entropy e;
    uint64_t words[64];

    (void)state;
    if (!cdt_entropy_present()) {
        skip();
    }
    assert_true(cdt_entropy_rdrand(&words[0]));
    assert_true(cdt_entropy_rdrand(&words[1]));
    assert_true(words[0] != words[1]);
    assert_int_equal(cdt_entropy_init(&e, cdt_entropy_rdrand), 0);
    assert_int_equal(cdt_entropy_read(&e, words, sizeof words), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_generator_gives_its_words),
        cmocka_unit_test(any_number_of_bytes_is_given),
        cmocka_unit_test(a_generator_without_words_fails),
        cmocka_unit_test(a_generator_that_dries_up_fails),
        cmocka_unit_test(a_constant_fails_at_once),
        cmocka_unit_test(a_generator_that_gets_stuck_fails),
        cmocka_unit_test(a_word_may_come_twice_in_a_row),
        cmocka_unit_test(a_word_that_comes_too_often_fails),
        cmocka_unit_test(a_failure_is_forgotten_by_a_new_start),
        cmocka_unit_test(rdrand_is_found),
        cmocka_unit_test(this_processor_passes),
    };

    return cmocka_run_group_tests_name("xen entropy", tests, NULL, NULL);
}
