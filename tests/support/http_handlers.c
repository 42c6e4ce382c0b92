/* SPDX-License-Identifier: ISC */
#include "http_handlers.h"

static size_t echo_body(void *arg, struct conduit_http_request *r,
                        const void *data, size_t n)
{
    long done;

    (void)arg;
    if (data == NULL) {
        (void)conduit_http_end(r);
        return 0;
    }
    done = conduit_http_write(r, data, n);
    return done > 0 ? (size_t)done : 0;
}

static void echo_on(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    conduit_http_resume(r);
}

void t_http_echo(void *arg, struct conduit_http_request *r)
{
    (void)arg;
    conduit_http_on_body(r, echo_body, NULL);
    conduit_http_on_writable(r, echo_on, NULL);
    (void)conduit_http_begin(r, 200, conduit_http_header(r, "Content-Type"),
                             CONDUIT_HTTP_UNKNOWN);
}

static void collected(void *arg, struct conduit_http_request *r,
                      const void *body, size_t size)
{
    (void)arg;
    (void)conduit_http_reply(r, 200, NULL, body, size);
}

void t_http_collect(void *arg, struct conduit_http_request *r)
{
    const size_t *most = arg;

    conduit_http_collect(r, most != NULL ? *most : SIZE_MAX, collected, NULL);
}
