/* SPDX-License-Identifier: ISC */
/*
 * chop: a filter for tests that passes bytes on one at a time, answers AGAIN at
 * random, and fails where it is told. What works over chop, and under it, does
 * not lean on how its neighbours happen to cut the stream.
 *
 *     chop+tcp://127.0.0.1:0    chop+chop+mem://name
 */
#ifndef TESTS_CHOP_H
#define TESTS_CHOP_H

#include <conduit/transport.h>

struct conduit_chop_settings {
    unsigned again_percent; /* of calls that answer AGAIN for nothing; < 100 */
    uint64_t fail_read_at;  /* reading fails after so many bytes; 0: never */
    uint64_t fail_write_at; /* the same for writing */
    uint64_t seed;
    bool never_opens; /* for those who wait */
    bool whole;       /* does not cut: only the other settings count */
};

/* What layers made from now on do. NULL: the defaults (20 %, no failures). */
void conduit_chop_set(const struct conduit_chop_settings *settings);

extern const struct conduit_filter conduit_chop;

/* Registers chop:// on a context. */
int conduit_register_chop(struct conduit_ctx *ctx);

#endif
