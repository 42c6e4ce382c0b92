/* SPDX-License-Identifier: ISC */
/* Handlers of HTTP requests that several services of the tests have. */
#ifndef TESTS_HTTP_HANDLERS_H
#define TESTS_HTTP_HANDLERS_H

#include <conduit/http.h>

/* Sends the body back as it comes, in chunks, as the type that it has. */
void t_http_echo(void *arg, struct conduit_http_request *r);

/* Collects the body and sends it back as a whole. `arg` is NULL, or the size_t
 * that it may have. */
void t_http_collect(void *arg, struct conduit_http_request *r);

#endif
