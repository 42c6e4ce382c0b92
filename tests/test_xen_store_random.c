/* SPDX-License-Identifier: ISC */
/* xenstore's client and a store that does anything at all. */
#include "test_xen_store_feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ROUNDS = 20000, BYTES = 200 };

static uint32_t seed = 1;

static uint8_t random_byte(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint8_t)(seed >> 24);
}

/* The ways in which a client ended; each must be met. */
struct way {
    const char *why;
    unsigned times;
};

static void count(struct way *ways, size_t n, const char *why)
{
    for (size_t i = 0; i < n; i++) {
        if (ways[i].why == NULL || strcmp(ways[i].why, why) == 0) {
            ways[i].why = why;
            ways[i].times++;
            return;
        }
    }
    fail_msg("an unexpected end: %s", why);
}

static void whatever_the_store_does(void **state)
{
    struct way ways[7] = {{NULL, 0}};
    unsigned alive = 0;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t bytes[BYTES];

        for (unsigned j = 0; j < BYTES; j++) {
            bytes[j] = random_byte();
        }
        /* Mostly without indices out of order, or nothing else is met. */
        for (unsigned j = 0; i % 4 != 0 && j < BYTES; j++) {
            bytes[j] = bytes[j] % 8 < 2 ? (uint8_t)(bytes[j] | 2u) : bytes[j];
        }
        {
            const char *why = feed(bytes, 1 + i % BYTES);

            if (why == NULL) {
                alive++;
            } else {
                count(ways, 7, why);
            }
        }
    }
    assert_true(alive > 0);
    for (unsigned i = 0; i < 7; i++) {
        assert_true(ways[i].times > 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_the_store_does),
    };

    return cmocka_run_group_tests_name("xen_store_random", tests, NULL, NULL);
}
