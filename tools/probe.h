/* SPDX-License-Identifier: ISC */
/*
 * `conduit probe`: connects to a URI as any application would, and says what
 * was tried on the way, how long it took, and what it came to.
 */
#ifndef CONDUIT_PROBE_H
#define CONDUIT_PROBE_H

#include <conduit/conduit.h>

/* The command; answers the exit status, one of enum fetch_status. */
int probe_main(struct conduit_ctx *ctx, int argc, char **argv);

#endif
