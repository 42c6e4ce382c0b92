/* SPDX-License-Identifier: ISC */
/*
 * Writing the head of a message: see head.h. Also what both sides know by
 * heart: the phrases of RFC 9110 section 15 and others of IANA's registry, and
 * the form of a date, which is computed here, since ISO C's strftime() asks the
 * locale.
 */
#include "http/head.h"

#include "http/parser.h"

#include <conduit/http.h>

#include <string.h>

void cdt_headbuf_init(struct cdt_headbuf *h, void *mem, size_t size)
{
    h->mem = mem;
    h->size = size;
    h->used = 0;
    h->code = 0;
}

static int fail(struct cdt_headbuf *h, int code)
{
    if (h->code == 0) {
        h->code = code;
    }
    return h->code;
}

/* Appends without asking whether there is room. */
static void put(struct cdt_headbuf *h, const void *bytes, size_t n)
{
    memcpy(h->mem + h->used, bytes, n);
    h->used += n;
}

static size_t room(const struct cdt_headbuf *h)
{
    return h->size - h->used;
}

int cdt_headbuf_raw(struct cdt_headbuf *h, const void *bytes, size_t n)
{
    if (h->code != 0) {
        return h->code;
    }
    if (n > room(h)) {
        return fail(h, CONDUIT_ELIMIT);
    }
    put(h, bytes, n);
    return 0;
}

/* Whether there is room for all three lengths, none of which may wrap. */
static bool fits(const struct cdt_headbuf *h, size_t a, size_t b, size_t fixed)
{
    size_t left = room(h);

    return fixed <= left && a <= left - fixed && b <= left - fixed - a;
}

/* A target has no space, no control and nothing outside of ASCII. */
static bool is_target(const char *target)
{
    const char *c = target;

    while (*c > ' ' && *c < 0x7f) {
        c++;
    }
    return c > target && *c == '\0';
}

int cdt_headbuf_request(struct cdt_headbuf *h, const char *method,
                        const char *target)
{
    static const char version[] = " HTTP/1.1\r\n";
    size_t method_len = strlen(method);
    size_t target_len = strlen(target);

    if (h->code != 0) {
        return h->code;
    }
    if (method_len == 0 ||
        cdt_http_token_span(method, method_len) < method_len ||
        !is_target(target)) {
        return fail(h, CONDUIT_EINVAL);
    }
    if (!fits(h, method_len, target_len, sizeof version)) {
        return fail(h, CONDUIT_ELIMIT);
    }
    put(h, method, method_len);
    put(h, " ", 1);
    put(h, target, target_len);
    put(h, version, sizeof version - 1);
    return 0;
}

int cdt_headbuf_status(struct cdt_headbuf *h, int status)
{
    static const char version[] = "HTTP/1.1 ";
    const char *reason = conduit_http_reason(status);
    size_t reason_len = strlen(reason);
    char code[4];

    if (h->code != 0) {
        return h->code;
    }
    if (status < 100 || status > 999) {
        return fail(h, CONDUIT_EINVAL);
    }
    if (!fits(h, reason_len, sizeof code + 2, sizeof version - 1)) {
        return fail(h, CONDUIT_ELIMIT);
    }
    code[0] = (char)('0' + status / 100);
    code[1] = (char)('0' + status / 10 % 10);
    code[2] = (char)('0' + status % 10);
    code[3] = ' ';
    put(h, version, sizeof version - 1);
    put(h, code, sizeof code);
    put(h, reason, reason_len);
    put(h, "\r\n", 2);
    return 0;
}

int cdt_headbuf_try_field(struct cdt_headbuf *h, const char *name,
                          const char *value)
{
    size_t name_len = strlen(name);
    size_t value_len = strlen(value);

    if (h->code != 0) {
        return h->code;
    }
    if (name_len == 0 || cdt_http_token_span(name, name_len) < name_len ||
        cdt_http_value_span(value, value_len) < value_len) {
        return CONDUIT_EINVAL;
    }
    if (!fits(h, name_len, value_len, 4)) {
        return CONDUIT_ELIMIT;
    }
    put(h, name, name_len);
    put(h, ": ", 2);
    put(h, value, value_len);
    put(h, "\r\n", 2);
    return 0;
}

int cdt_headbuf_field(struct cdt_headbuf *h, const char *name,
                      const char *value)
{
    int code = cdt_headbuf_try_field(h, name, value);

    return code == 0 ? 0 : fail(h, code);
}

int cdt_headbuf_number(struct cdt_headbuf *h, const char *name, uint64_t value)
{
    char text[21];
    char *at = text + sizeof text - 1;

    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return cdt_headbuf_field(h, name, at);
}

int cdt_headbuf_framing(struct cdt_headbuf *h, int framing, uint64_t length)
{
    static const char chunked[] = "Transfer-Encoding: chunked\r\n";

    switch (framing) {
    case CDT_HTTP_LENGTH:
        return cdt_headbuf_number(h, "Content-Length", length);
    case CDT_HTTP_CHUNKED:
        return cdt_headbuf_raw(h, chunked, sizeof chunked - 1);
    default:
        return h->code;
    }
}

int cdt_headbuf_end(struct cdt_headbuf *h)
{
    return cdt_headbuf_raw(h, "\r\n", 2);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool cdt_http_same_name(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

bool cdt_http_is_framing(const char *name)
{
    static const char *const names[] = {
        "Content-Length",   "Transfer-Encoding", "Connection", "Keep-Alive",
        "Proxy-Connection", "Trailer",           "Upgrade",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (cdt_http_same_name(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* Two digits. */
static void put2(char *at, int64_t n)
{
    at[0] = (char)('0' + n / 10);
    at[1] = (char)('0' + n % 10);
}

/*
 * Year, month (from 1) and day of a day number, by eras of 400 years that begin
 * on 1 March, so that the leap day is the last of its year.
 */
static void civil(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t d = shifted % 146097;
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t in_year = d - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * in_year + 2) / 153;

    *day = in_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = y + era * 400 + (*month <= 2);
}

void cdt_http_date(char out[CDT_HTTP_DATE], int64_t wall)
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    /* What the form can show; 9999-12-31 is the last. */
    const int64_t last = INT64_C(253402300799);
    int64_t at = wall < 0 ? 0 : wall > last ? last : wall;
    int64_t days = at / 86400;
    int64_t second = at % 86400;
    int64_t year;
    int64_t month;
    int64_t day;

    civil(days, &year, &month, &day);
    memcpy(out, "www, dd mmm yyyy hh:mm:ss GMT", CDT_HTTP_DATE);
    memcpy(out, weekdays + days % 7 * 3, 3);
    put2(out + 5, day);
    memcpy(out + 8, months + (month - 1) * 3, 3);
    put2(out + 12, year / 100);
    put2(out + 14, year % 100);
    put2(out + 17, second / 3600);
    put2(out + 20, second / 60 % 60);
    put2(out + 23, second % 60);
}

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

const char *conduit_http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "";
}
