/* SPDX-License-Identifier: ISC */
/* Carriers of the suite over the stack in the process, where it is built. */
#ifndef TESTS_CONFORMANCE_DIRECT_H
#define TESTS_CONFORMANCE_DIRECT_H

#include "conformance.h"

extern const struct carrier carrier_direct;     /* by its own loopback */
extern const struct carrier carrier_direct6;    /* the same of IPv6 */
extern const struct carrier carrier_direct_out; /* to the system's stack */
extern const struct carrier carrier_direct_in;  /* from it */

#endif
