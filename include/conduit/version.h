/* SPDX-License-Identifier: ISC */
/* The version, in one place. */
#ifndef CONDUIT_VERSION_H
#define CONDUIT_VERSION_H

#include <conduit/error.h>

/* The version of these headers. */
#define CONDUIT_VERSION "0.1.0"

/* The version of the library that is linked. Static. */
CONDUIT_API const char *conduit_version(void);

#endif
