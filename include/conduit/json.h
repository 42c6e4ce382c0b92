/* SPDX-License-Identifier: ISC */
/*
 * JSON (RFC 8259) is jansson's; this adds only what jansson leaves to its user:
 * a seed from the platform, and limits on what a peer may send.
 */
#ifndef CONDUIT_JSON_H
#define CONDUIT_JSON_H

#include <conduit/context.h>

#include <jansson.h>

/* Levels of nesting that conduit_json_parse() takes by default. */
#define CONDUIT_JSON_DEPTH 64

/* The most it takes when asked for more: jansson's parser calls itself for each
 * level, and a guest has 256 KiB of stack for all there is. */
#define CONDUIT_JSON_DEPTH_MAX 512

/*
 * Seeds jansson's hash tables with the platform's entropy. Call it before the
 * first JSON object is made; again is harmless. 0, or a negative code.
 */
CONDUIT_API int conduit_json_init(struct conduit_ctx *ctx);

/*
 * Parses one JSON text of exactly `size` bytes: any value, no duplicate keys,
 * at most `depth` levels deep (0: CONDUIT_JSON_DEPTH; never more than
 * CONDUIT_JSON_DEPTH_MAX). Answers a new reference, or NULL and the reason:
 * CONDUIT_ELIMIT when it is too deep, CONDUIT_EPROTO, with line and column,
 * when it is no JSON, CONDUIT_ENOMEM.
 */
CONDUIT_API json_t *conduit_json_parse(struct conduit_ctx *ctx,
                                       const void *data, size_t size,
                                       unsigned depth,
                                       struct conduit_error *err);

#endif
