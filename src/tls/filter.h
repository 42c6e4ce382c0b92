/* SPDX-License-Identifier: ISC */
/* The layer and the configuration, as tls.c and filter.c see each other. */
#ifndef CDT_TLS_FILTER_H
#define CDT_TLS_FILTER_H

#include "tls.h"

extern const struct conduit_filter cdt_tls_filter;

/* Adds an engine and the filter to a context. */
int cdt_tls_register(struct conduit_ctx *ctx,
                     const struct cdt_tls_engine *engine);

/* What a dial or listener with these options uses, borrowed; NULL and why. */
struct conduit_tls *cdt_tls_of(struct conduit_ctx *ctx,
                               const struct conduit_options *options,
                               struct conduit_error *err);

/* Makes sure that it has what the role needs. */
int cdt_tls_prepare(struct conduit_tls *tls, bool server,
                    struct conduit_error *err);

/* A session for one connection, once prepared. */
int cdt_tls_session(struct conduit_tls *tls, const struct cdt_tls_peer *peer,
                    struct cdt_tls_io *io, struct cdt_tls_session **out,
                    struct conduit_error *err);

bool cdt_tls_trusts_anybody(const struct conduit_tls *tls);

#endif
