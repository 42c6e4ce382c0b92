/* SPDX-License-Identifier: ISC */
/* Codes, their names, and the filling of reports. */
#include "core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
} table[] = {
    {"OK", "success"},
    {"AGAIN", "nothing now"},
    {"END", "end of the peer's bytes"},
    {"ETRUNCATED", "cut short"},
    {"ERESET", "connection reset by the peer"},
    {"EPIPE", "the peer no longer reads"},
    {"EREFUSED", "connection refused"},
    {"EUNREACHABLE", "unreachable"},
    {"ETIMEDOUT", "timed out"},
    {"ECLOSED", "closed by this side"},
    {"ECANCELED", "called off"},
    {"EINVAL", "invalid argument"},
    {"EURI", "malformed URI"},
    {"ESCHEME", "scheme not in this build"},
    {"ENAME", "name without an address"},
    {"ENOENT", "no such file or name"},
    {"EEXIST", "exists already"},
    {"EADDRINUSE", "address in use"},
    {"EADDRNOTAVAIL", "address not available"},
    {"EACCESS", "permission denied"},
    {"ENOMEM", "out of memory"},
    {"ELIMIT", "limit reached"},
    {"ENOTSUP", "not supported"},
    {"EPROTO", "protocol error"},
    {"EIO", "input/output error"},
    {"ECERT", "certificate not acceptable"},
    {"ETLS", "TLS failed"},
};

static size_t index_of(int code)
{
    size_t count = sizeof table / sizeof table[0];

    return code <= 0 && (size_t)-code < count ? (size_t)-code : count;
}

const char *conduit_strerror(int code)
{
    size_t i = index_of(code);

    return i < sizeof table / sizeof table[0] ? table[i].text : "unknown error";
}

const char *conduit_code_name(int code)
{
    size_t i = index_of(code);

    return i < sizeof table / sizeof table[0] ? table[i].name : "UNKNOWN";
}

void cdt_one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            *text = '?';
        }
    }
}

int conduit_error_set(struct conduit_error *err, int code, const char *layer,
                      int native, const char *fmt, ...)
{
    char text[CONDUIT_ERROR_TEXT];
    va_list args;
    int n;

    if (err == NULL) {
        return code;
    }
    n = snprintf(text, sizeof text, "%s: ", layer);
    if (n < 0 || (size_t)n >= sizeof text) {
        n = 0;
    }
    va_start(args, fmt);
    (void)vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
    va_end(args);
    cdt_one_line(text);
    err->code = code;
    err->native = native;
    err->layer = layer;
    memcpy(err->text, text, sizeof text);
    return code;
}
