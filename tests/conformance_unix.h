/* SPDX-License-Identifier: ISC */
/* What the carriers on Unix share (conformance_unix.c), and those over the
 * stack in the process, where it is built (conformance_direct.c). */
#ifndef TESTS_CONFORMANCE_UNIX_H
#define TESTS_CONFORMANCE_UNIX_H

#include "conformance.h"

/* Makes the buffers of a socket small. */
void suite_shrink_socket(const struct conduit_conn *conn);

/* A carrier's `packets`, where the system's TCP sends them. */
unsigned suite_packets_of_tcp(const struct t_conn *t);

extern const struct carrier carrier_direct;     /* by its own loopback */
extern const struct carrier carrier_direct6;    /* the same of IPv6 */
extern const struct carrier carrier_direct_out; /* to the system's stack */
extern const struct carrier carrier_direct_in;  /* from it */

#endif
