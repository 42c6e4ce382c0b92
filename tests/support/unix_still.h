/* SPDX-License-Identifier: ISC */
/*
 * A context for fuzz targets: what happens depends on the input alone. Time
 * moves only when the loop would sleep, entropy is the target's, nothing is
 * logged but all of it is put into words, and blocks of memory are counted.
 */
#ifndef TESTS_UNIX_STILL_H
#define TESTS_UNIX_STILL_H

#include "core.h"

typedef int t_entropy_fn(struct conduit_platform *p, void *buf, size_t n);

/* The monotonic clock of all such contexts, in ns. Never goes back. */
extern uint64_t t_still_ns;

/* Blocks of conduit's memory that are not released. */
extern size_t t_still_blocks;

/* No transport is registered. */
struct conduit_ctx *t_still_new(t_entropy_fn *entropy);

/* Draws n bytes, and moves the state on. */
void t_still_draw(uint32_t *state, void *buf, size_t n);

#endif
