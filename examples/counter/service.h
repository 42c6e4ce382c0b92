/* SPDX-License-Identifier: ISC */
/*
 * The counter as a service: routes on an HTTP server, and nothing about what
 * carries them. `counter` runs it, and `counter-client --self` beside its
 * client.
 *
 *     GET  /api/counter   {"counter":N}
 *     POST /api/counter   adds one: {"counter":N}
 *     GET  /api/info      facts of the connection that asked
 *     GET  /...           the page
 */
#ifndef COUNTER_SERVICE_H
#define COUNTER_SERVICE_H

#include "tls_options.h"

#include <conduit/conduit.h>

/* Certificates and keys that are compiled in, for "asset:NAME": apart from the
 * page, which is served to everybody. */
extern const struct conduit_assets counter_tls;

struct service {
    struct conduit_http_server *server;
    struct conduit_tls *tls;
    json_int_t counter;
};

/*
 * Makes the service in `s`, which stays where it is until service_fini(). `tls`
 * is for listeners with TLS; NULL: there will be none.
 */
int service_init(struct service *s, struct conduit_ctx *ctx,
                 const struct tls_options *tls, struct conduit_error *err);

/* Drops what is under way. */
void service_fini(struct service *s);

#endif
