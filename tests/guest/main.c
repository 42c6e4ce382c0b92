/* SPDX-License-Identifier: ISC */
/*
 * guest-tests: test programs as the functions of one image, for platforms that
 * run one program at a time and have neither files nor processes. Each test's
 * main() was compiled under another name, and guest_table.h lists them.
 *
 *     guest-tests conformance TRANSPORT plain|chop|chop2 [PATTERN]
 *     guest-tests http|core|NAME...
 *
 * The context that it is given is not used: every test makes its own.
 */
#include <conduit/context.h>

#include <stdio.h>
#include <string.h>

int conformance_main(int argc, char **argv);

#define GUEST_TEST(group, name) int name##_main(void);
#include "guest_table.h"
#undef GUEST_TEST

static const struct test {
    const char *group;
    const char *name;
    int (*run)(void);
} tests[] = {
#define GUEST_TEST(group, name) {#group, #name, name##_main},
#include "guest_table.h"
#undef GUEST_TEST
};

static const size_t test_count = sizeof tests / sizeof tests[0];

static int usage(void)
{
    (void)printf("usage: guest-tests conformance TRANSPORT MODE [PATTERN]\n"
                 "       guest-tests http|core|NAME...\nNAME is one of:");
    for (size_t i = 0; i < test_count; i++) {
        (void)printf(" %s", tests[i].name);
    }
    (void)printf("\n");
    return 2;
}

/* Runs what a word names; answers how many there were. */
static unsigned run_named(const char *word, unsigned *failed)
{
    unsigned found = 0;

    for (size_t i = 0; i < test_count; i++) {
        const struct test *t = &tests[i];

        if (strcmp(t->group, word) != 0 && strcmp(t->name, word) != 0) {
            continue;
        }
        found++;
        (void)printf("guest-tests: %s\n", t->name);
        if (t->run() != 0) {
            (void)printf("guest-tests: %s FAILED\n", t->name);
            (*failed)++;
        }
    }
    return found;
}

int conduit_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    unsigned failed = 0;
    unsigned found = 0;

    (void)ctx;
    /* What was printed before a crash is to be seen. */
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (argc < 2) {
        return usage();
    }
    if (strcmp(argv[1], "conformance") == 0) {
        return conformance_main(argc - 1, argv + 1);
    }
    for (int i = 1; i < argc; i++) {
        unsigned n = run_named(argv[i], &failed);

        if (n == 0) {
            return usage();
        }
        found += n;
    }
    (void)printf("guest-tests: %u run, %u failed\n", found, failed);
    return failed == 0 ? 0 : 1;
}
