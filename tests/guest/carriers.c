/* SPDX-License-Identifier: ISC */
/* The carriers of the suite where there are no sockets. */
#include "conformance.h"

const struct carrier *const suite_carriers[] = {&carrier_mem, NULL};
