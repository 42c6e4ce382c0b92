/* SPDX-License-Identifier: ISC */
/* Answers in JSON; apart from reply.c, so that who has none does not link it.
 */
#include "http/server.h"

/* Most answers fit; others are measured by the first attempt. */
#define SMALL 1024

static int reply_text(struct conduit_http_request *r, int status,
                      const json_t *value)
{
    static const char type[] = "application/json";
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    struct conduit_ctx *ctx = conduit_http_ctx(r);
    char small[SMALL];
    size_t size = value != NULL ? json_dumpb(value, small, SMALL, flags) : 0;
    char *text = small;
    int code;

    if (size > SMALL) {
        text = conduit_alloc(ctx, size);
        size = text != NULL ? json_dumpb(value, text, size, flags) : 0;
    }
    if (size > 0) {
        code = conduit_http_reply(r, status, type, text, size);
    } else {
        (void)conduit_http_reply(r, 500, NULL, "", 0);
        code = CONDUIT_ENOMEM;
    }
    if (text != small) {
        conduit_release(ctx, text);
    }
    return code;
}

int conduit_http_reply_json(struct conduit_http_request *r, int status,
                            json_t *value)
{
    int code = reply_text(r, status, value);

    json_decref(value);
    return code;
}

int conduit_http_reply_error(struct conduit_http_request *r, int status,
                             const char *text)
{
    return conduit_http_reply_json(r, status,
                                   json_pack("{s:s}", "error", text));
}
