/* SPDX-License-Identifier: ISC */
/* The Xen platform: contexts in a guest. */
#ifndef CDT_XEN_PLATFORM_H
#define CDT_XEN_PLATFORM_H

#include <conduit/context.h>

/* A context; several may follow each other, or take turns. Options may be NULL.
 */
int cdt_xen_new(const struct conduit_ctx_options *options,
                struct conduit_ctx **out, struct conduit_error *err);

#endif
