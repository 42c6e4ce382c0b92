/* SPDX-License-Identifier: ISC */
/*
 * What the lines of an HTTP/1.1 head say (RFC 9112 sections 3 to 6, RFC 9110
 * sections 4.2, 5.5, 5.6, 7.2): the first line, the fields that decide how a
 * message is framed, and the verdict when the head is complete.
 *
 * Lines are read in place, whole. Characters are classed by one table; values,
 * most of a head's bytes, are checked eight bytes at a time. What is wrong in
 * itself is refused where it is found, what depends on other fields (framing,
 * Expect) at the end of the head, so that no order of fields changes the
 * answer. A fault of framing comes before all others there: it must never be
 * answered with something that a peer may take as a reason to go on.
 */
#include "http/parser.h"

#include <string.h>

enum { TOKEN = 1, PATH = 2, QUERY = 4, HOST = 8, HEX = 16 };

/*
 * Classes of ASCII; all other bytes are in none. PATH and QUERY are what RFC
 * 3986 allows and what browsers send nevertheless; '\' only in a query, for in
 * a path some would take it for '/'. HOST is a reg-name but for '%'.
 */
/* clang-format off */
static const uint8_t class_of[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     0, 15,  6,  1, 15,  7, 15, 15, 14, 14, 15, 15, 14, 15, 15,  6,
    /*  !   "   #   $   %   &   '   (   )   *   +   ,   -   .   / */
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31,  6, 14,  0, 14,  0,  4,
    /* 0 to 9,                                :   ;   <   =   >   ? */
     6, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    /* @, A to O */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  4,  6,  7, 15,
    /* P to Z,                                    [   \   ]   ^   _ */
     7, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    /* `, a to o */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  7,  6, 15,  0,
    /* p to z,                                    {   |   }   ~     */
};
/* clang-format on */

/* p->flags: what was seen in the head, or known before it. */
enum {
    TO_HEAD = 1,         /* a response to HEAD */
    CONNECT = 2,         /* a response to CONNECT, or that request */
    HAS_AUTHORITY = 4,   /* the target has one */
    HAS_HOST = 8,        /* a Host field */
    HAS_LENGTH = 16,     /* a Content-Length field */
    HAS_CODING = 32,     /* a Transfer-Encoding field */
    OTHER_CODING = 64,   /* ... that says more than chunked */
    CLOSE = 128,         /* Connection: close */
    KEEP_ALIVE = 256,    /* Connection: keep-alive */
    EXPECTS = 512,       /* Expect: 100-continue */
    OTHER_EXPECTS = 1024 /* Expect: anything else */
};

/* Bytes in the lent memory. */
struct text {
    const uint8_t *s;
    size_t n;
};

static size_t class_span(const uint8_t *s, size_t n, unsigned classes)
{
    size_t i = 0;

    while (i < n && (class_of[s[i]] & classes) != 0) {
        i++;
    }
    return i;
}

size_t cdt_http_token_span(const void *s, size_t n)
{
    return class_span(s, n, TOKEN);
}

/* Whether one of eight bytes is a control, HTAB included. */
static bool has_control(const uint8_t *s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones << 7;
    uint64_t word;
    uint64_t del;

    memcpy(&word, s, sizeof word);
    del = word ^ (ones * 0x7f);
    return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & tops;
}

size_t cdt_http_value_span(const void *s, size_t n)
{
    const uint8_t *c = s;
    size_t i = 0;

    while (n - i >= 8 && !has_control(c + i)) {
        i += 8;
    }
    /* The last few in a word that overlaps the one before. */
    if (n >= 8 && n - i < 8 && !has_control(c + n - 8)) {
        return n;
    }
    while (i < n && ((c[i] >= 0x20 && c[i] != 0x7f) || c[i] == '\t')) {
        i++;
    }
    return i;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Compares n bytes without case. */
static bool same(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a;
    const uint8_t *y = b;
    size_t i = 0;

    while (i < n && lower(x[i]) == lower(y[i])) {
        i++;
    }
    return i == n;
}

static bool is(struct text t, const char *word)
{
    return t.n == strlen(word) && same(t.s, word, t.n);
}

static struct text part(struct text t, size_t at, size_t n)
{
    return (struct text){t.s + at, n};
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct text trim(struct text t)
{
    while (t.n > 0 && is_space(*t.s)) {
        t.s++;
        t.n--;
    }
    while (t.n > 0 && is_space(t.s[t.n - 1])) {
        t.n--;
    }
    return t;
}

static struct cdt_http_slice slice(const struct cdt_http_parser *p,
                                   struct text t)
{
    return (struct cdt_http_slice){(uint32_t)(t.s - p->mem), (uint32_t)t.n};
}

/* The number in t: digits only, at most max. */
static bool number(struct text t, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < t.n; i++) {
        uint64_t digit = (uint64_t)t.s[i] - '0';

        if (digit > 9 || sum > (max - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return t.n > 0;
}

/* Takes the next item off a comma-separated list; t->s is NULL after the last.
 */
static struct text next_item(struct text *t)
{
    const uint8_t *comma = t->n > 0 ? memchr(t->s, ',', t->n) : NULL;
    size_t n = comma != NULL ? (size_t)(comma - t->s) : t->n;
    struct text item = trim(part(*t, 0, n));

    *t = comma != NULL ? part(*t, n + 1, t->n - n - 1) : (struct text){NULL, 0};
    return item;
}

/* The length of an IPv6 address in brackets, or 0; a plausible one will do. */
static size_t ip_literal_span(struct text t)
{
    unsigned colons = 0;
    size_t i = 1;

    while (i < t.n && t.s[i] != ']') {
        if (t.s[i] == ':') {
            colons++;
        } else if (t.s[i] != '.' && (class_of[t.s[i]] & HEX) == 0) {
            return 0;
        }
        i++;
    }
    return i < t.n && colons >= 2 && colons <= 8 ? i + 1 : 0;
}

static size_t reg_name_span(struct text t)
{
    size_t i = class_span(t.s, t.n, HOST);

    while (i < t.n && t.s[i] == '%') {
        if (t.n - i < 3 || class_span(t.s + i + 1, 2, HEX) < 2) {
            return 0;
        }
        i += 3;
        i += class_span(t.s + i, t.n - i, HOST);
    }
    return i;
}

/* Whether t is a host and an optional port, and nothing else. */
static bool is_authority(struct text t, bool needs_port)
{
    uint64_t port;
    size_t i;

    if (t.n == 0) {
        return false;
    }
    i = *t.s == '[' ? ip_literal_span(t) : reg_name_span(t);
    if (i == 0 || i == t.n) {
        return i > 0 && !needs_port;
    }
    return t.s[i] == ':' && t.n - i - 1 <= 5 &&
           number(part(t, i + 1, t.n - i - 1), 65535, &port);
}

static bool read_version(struct cdt_http_parser *p, struct text t)
{
    if (t.n != 8 || memcmp(t.s, "HTTP/", 5) != 0 || t.s[6] != '.' ||
        t.s[5] < '0' || t.s[5] > '9' || t.s[7] < '0' || t.s[7] > '9') {
        return cdt_http_refuse(p, 400, "malformed HTTP version");
    }
    if (t.s[5] != '1' || t.s[7] > '1') {
        return cdt_http_refuse(p, 505, "HTTP version not supported");
    }
    p->head.minor = t.s[7] - '0';
    return true;
}

static size_t scheme_span(struct text t)
{
    if (t.n >= 7 && same(t.s, "http://", 7)) {
        return 7;
    }
    return t.n >= 8 && same(t.s, "https://", 8) ? 8 : 0;
}

/* http://authority/path; `path_end` is where the query or the target ends. */
static bool read_absolute(struct cdt_http_parser *p, struct text t,
                          size_t path_end)
{
    size_t scheme = scheme_span(t);
    struct text rest = part(t, scheme, path_end - scheme);
    const uint8_t *slash = memchr(rest.s, '/', rest.n);
    size_t n = slash != NULL ? (size_t)(slash - rest.s) : rest.n;

    if (scheme == 0 || !is_authority(part(rest, 0, n), false)) {
        return cdt_http_refuse(p, 400, "malformed target");
    }
    p->head.host = slice(p, part(rest, 0, n));
    p->flags |= HAS_AUTHORITY;
    /* Without a path it is "/", for which the scheme's last '/' serves. */
    rest = n < rest.n ? part(rest, n, rest.n - n) : part(t, scheme - 1, 1);
    p->head.path = slice(p, rest);
    return true;
}

/* Which of the four forms of RFC 9112 section 3.2 the target has. */
static bool read_target(struct cdt_http_parser *p, struct text method,
                        struct text t, size_t path_end)
{
    if (method.n == 7 && memcmp(method.s, "CONNECT", 7) == 0) {
        if (!is_authority(t, true)) {
            return cdt_http_refuse(p, 400, "malformed target of CONNECT");
        }
        p->head.host = slice(p, t);
        p->flags |= CONNECT | HAS_AUTHORITY;
        return true;
    }
    if (path_end < t.n) {
        p->head.query = slice(p, part(t, path_end + 1, t.n - path_end - 1));
    }
    if (*t.s == '/') {
        p->head.path = slice(p, part(t, 0, path_end));
        return true;
    }
    if (*t.s == '*' && t.n == 1) {
        p->head.path = slice(p, t);
        return (method.n == 7 && memcmp(method.s, "OPTIONS", 7) == 0) ||
               cdt_http_refuse(p, 400, "target * without OPTIONS");
    }
    return read_absolute(p, t, path_end);
}

static bool read_request_line(struct cdt_http_parser *p, struct text line)
{
    struct text method = part(line, 0, class_span(line.s, line.n, TOKEN));
    struct text rest;
    size_t path_end;
    size_t n;

    if (method.n == line.n || line.s[method.n] != ' ') {
        return cdt_http_refuse(p, 400, "malformed method");
    }
    rest = part(line, method.n + 1, line.n - method.n - 1);
    n = path_end = class_span(rest.s, rest.n, PATH);
    if (n < rest.n && rest.s[n] == '?') {
        n += class_span(rest.s + n, rest.n - n, QUERY);
    }
    if (n == 0 || n == rest.n || rest.s[n] != ' ') {
        return cdt_http_refuse(p, 400, "malformed target");
    }
    p->head.method = slice(p, method);
    p->head.target = slice(p, part(rest, 0, n));
    return read_version(p, part(rest, n + 1, rest.n - n - 1)) &&
           read_target(p, method, part(rest, 0, n), path_end);
}

static bool read_status_line(struct cdt_http_parser *p, struct text line)
{
    uint64_t status;
    struct text reason;

    if (!read_version(p, part(line, 0, line.n < 8 ? line.n : 8))) {
        return false;
    }
    if (line.n < 12 || line.s[8] != ' ' ||
        !number(part(line, 9, 3), 599, &status) || status < 100 ||
        (line.n > 12 && line.s[12] != ' ')) {
        return cdt_http_refuse(p, 400, "malformed status line");
    }
    reason = part(line, 12, 0);
    if (line.n > 12) {
        reason = part(line, 13, line.n - 13);
    }
    if (cdt_http_value_span(reason.s, reason.n) < reason.n) {
        return cdt_http_refuse(p, 400, "control character in reason");
    }
    p->head.status = (int)status;
    p->head.reason = slice(p, reason);
    return true;
}

static bool read_host(struct cdt_http_parser *p, struct text value)
{
    struct cdt_http_slice host = slice(p, value);

    if (p->role == CDT_HTTP_RESPONSE) {
        return true;
    }
    if ((p->flags & HAS_HOST) != 0) {
        return cdt_http_refuse(p, 400, "two Host fields");
    }
    if (!is_authority(value, false)) {
        return cdt_http_refuse(p, 400, "malformed Host");
    }
    p->flags |= HAS_HOST;
    if ((p->flags & HAS_AUTHORITY) == 0) {
        p->head.host = host;
    } else if (host.len != p->head.host.len ||
               !same(value.s, p->mem + p->head.host.at, host.len)) {
        return cdt_http_refuse(p, 400, "Host differs from the target");
    }
    return true;
}

static bool read_content_length(struct cdt_http_parser *p, struct text value)
{
    if ((p->flags & HAS_LENGTH) != 0) {
        return cdt_http_refuse(p, 400, "two Content-Length fields");
    }
    p->flags |= HAS_LENGTH;
    return number(value, UINT64_MAX, &p->head.length) ||
           cdt_http_refuse(p, 400, "malformed Content-Length");
}

/*
 * Anything that does not end in chunked, and in one only, leaves no way to tell
 * where the body ends; another coding before it does, but nobody here reads it.
 */
static bool read_transfer_encoding(struct cdt_http_parser *p, struct text value)
{
    unsigned items = 0;
    unsigned chunked = 0;
    struct text item = {NULL, 0};

    if ((p->flags & HAS_CODING) != 0) {
        return cdt_http_refuse(p, 400, "two Transfer-Encoding fields");
    }
    p->flags |= HAS_CODING;
    while (value.s != NULL) {
        item = next_item(&value);
        if (item.n == 0 || class_span(item.s, item.n, TOKEN) < item.n) {
            return cdt_http_refuse(p, 400, "malformed Transfer-Encoding");
        }
        items++;
        chunked += is(item, "chunked");
    }
    if (chunked != 1 || !is(item, "chunked")) {
        return cdt_http_refuse(p, 400, "chunked is not the last coding, once");
    }
    if (items > 1) {
        p->flags |= OTHER_CODING;
    }
    return true;
}

static bool read_connection(struct cdt_http_parser *p, struct text value)
{
    while (value.s != NULL) {
        struct text item = next_item(&value);

        if (is(item, "close")) {
            p->flags |= CLOSE;
        } else if (is(item, "keep-alive")) {
            p->flags |= KEEP_ALIVE;
        }
    }
    return true;
}

/* Fields that the parser itself understands, told apart by length first. */
static bool read_known(struct cdt_http_parser *p, struct text name,
                       struct text value)
{
    switch (name.n) {
    case 4:
        return !is(name, "host") || read_host(p, value);
    case 6:
        if (is(name, "expect")) {
            p->flags |= is(value, "100-continue") ? EXPECTS : OTHER_EXPECTS;
        }
        return true;
    case 10:
        return !is(name, "connection") || read_connection(p, value);
    case 14:
        return !is(name, "content-length") || read_content_length(p, value);
    case 17:
        return !is(name, "transfer-encoding") ||
               read_transfer_encoding(p, value);
    default:
        return true;
    }
}

/* Field number i grows down from the end; copied, so never misaligned. */
static uint8_t *field_at(const struct cdt_http_parser *p, uint32_t i)
{
    return p->mem + p->mem_size -
           ((size_t)i + 1) * sizeof(struct cdt_http_field);
}

static bool add_field(struct cdt_http_parser *p, struct text name,
                      struct text value)
{
    struct cdt_http_field field = {slice(p, name), slice(p, value)};
    size_t table = p->head.field_count * sizeof field;

    if (p->head.field_count >= p->limits->fields) {
        return cdt_http_refuse(p, 431, "too many fields");
    }
    if (p->mem_size - p->used - table < sizeof field) {
        return cdt_http_refuse(p, 431, "head too large");
    }
    memcpy(field_at(p, p->head.field_count), &field, sizeof field);
    p->head.field_count++;
    return true;
}

static const char *name_fault(struct text line, size_t name)
{
    if (name < line.n && is_space(line.s[name])) {
        return name > 0 ? "space before a colon" : "folded field line";
    }
    return name > 0 ? "malformed field name" : "empty field name";
}

static bool read_field(struct cdt_http_parser *p, struct text line)
{
    struct text name = part(line, 0, class_span(line.s, line.n, TOKEN));
    struct text value;

    if (name.n == 0 || name.n == line.n || line.s[name.n] != ':') {
        return cdt_http_refuse(p, 400, name_fault(line, name.n));
    }
    value = part(line, name.n + 1, line.n - name.n - 1);
    if (cdt_http_value_span(value.s, value.n) < value.n) {
        return cdt_http_refuse(p, 400, "control character in a field");
    }
    value = trim(value);
    return add_field(p, name, value) && read_known(p, name, value);
}

/* What no message may have, whether it has a body or not. */
static bool framing_is_sound(struct cdt_http_parser *p)
{
    if ((p->flags & HAS_CODING) == 0) {
        return true;
    }
    if ((p->flags & HAS_LENGTH) != 0) {
        return cdt_http_refuse(p, 400, "Transfer-Encoding and Content-Length");
    }
    if (p->head.minor == 0) {
        return cdt_http_refuse(p, 400, "Transfer-Encoding in HTTP/1.0");
    }
    return (p->flags & OTHER_CODING) == 0 ||
           cdt_http_refuse(p, 501, "unknown transfer coding");
}

/* RFC 9112 section 6.3, items 1 and 2. */
static bool response_has_body(const struct cdt_http_parser *p)
{
    int status = p->head.status;

    return status >= 200 && status != 204 && status != 304 &&
           (p->flags & TO_HEAD) == 0 && !p->head.upgrade;
}

static enum cdt_http_framing framing_of(const struct cdt_http_parser *p)
{
    if (p->role == CDT_HTTP_RESPONSE && !response_has_body(p)) {
        return CDT_HTTP_NO_BODY;
    }
    if ((p->flags & HAS_CODING) != 0) {
        return CDT_HTTP_CHUNKED;
    }
    if ((p->flags & HAS_LENGTH) != 0) {
        return CDT_HTTP_LENGTH;
    }
    return p->role == CDT_HTTP_RESPONSE ? CDT_HTTP_UNTIL_CLOSE
                                        : CDT_HTTP_NO_BODY;
}

static bool read_expectation(struct cdt_http_parser *p)
{
    const struct cdt_http_head *head = &p->head;

    if (head->minor == 0) {
        return true;
    }
    if ((p->flags & OTHER_EXPECTS) != 0) {
        return cdt_http_refuse(p, 417, "unknown expectation");
    }
    p->head.expect_continue = (p->flags & EXPECTS) != 0 &&
                              (head->framing == CDT_HTTP_CHUNKED ||
                               (head->framing == CDT_HTTP_LENGTH &&
                                head->length > 0));
    return true;
}

static bool end_head(struct cdt_http_parser *p)
{
    struct cdt_http_head *head = &p->head;
    bool request = p->role == CDT_HTTP_REQUEST;
    bool connect = (p->flags & CONNECT) != 0;

    if (!framing_is_sound(p)) {
        return false;
    }
    if (request && head->minor == 1 && (p->flags & HAS_HOST) == 0) {
        return cdt_http_refuse(p, 400, "no Host");
    }
    head->upgrade = !request && (head->status == 101 ||
                                 (connect && head->status / 100 == 2));
    head->framing = framing_of(p);
    if (head->framing == CDT_HTTP_LENGTH && head->length > p->limits->body) {
        return cdt_http_refuse(p, 413, "body too large");
    }
    if (request && !read_expectation(p)) {
        return false;
    }
    head->keep_alive = (p->flags & CLOSE) == 0 &&
                       (head->minor == 1 || (p->flags & KEEP_ALIVE) != 0) &&
                       head->framing != CDT_HTTP_UNTIL_CLOSE &&
                       !head->upgrade && !(request && connect);
    return true;
}

void cdt_http_head_start(struct cdt_http_parser *p, const char *method)
{
    p->flags = 0;
    if (method != NULL && strcmp(method, "HEAD") == 0) {
        p->flags = TO_HEAD;
    } else if (method != NULL && strcmp(method, "CONNECT") == 0) {
        p->flags = CONNECT;
    }
}

enum cdt_http_event cdt_http_head_line(struct cdt_http_parser *p)
{
    struct text line = {p->mem + p->line_at, p->used - p->line_at};
    bool first = p->line_at == 0;
    bool good;

    if (line.n < 2 || line.s[line.n - 2] != '\r') {
        (void)cdt_http_refuse(p, 400, "line not ended by CR LF");
        return CDT_HTTP_ERROR;
    }
    line.n -= 2;
    p->line_at = p->used;
    if (line.n == 0) {
        return end_head(p) ? CDT_HTTP_HEAD : CDT_HTTP_ERROR;
    }
    if (first) {
        good = p->role == CDT_HTTP_REQUEST ? read_request_line(p, line)
                                           : read_status_line(p, line);
    } else {
        good = read_field(p, line);
    }
    return good ? CDT_HTTP_MORE : CDT_HTTP_ERROR;
}

struct cdt_http_field cdt_http_field(const struct cdt_http_parser *p,
                                     uint32_t i)
{
    struct cdt_http_field field = {{0, 0}, {0, 0}};

    if (i < p->head.field_count) {
        memcpy(&field, field_at(p, i), sizeof field);
    }
    return field;
}

const char *cdt_http_find(const struct cdt_http_parser *p, const char *name,
                          uint32_t *from, size_t *len)
{
    size_t n = strlen(name);
    uint32_t i = from != NULL ? *from : 0;
    const char *value = NULL;

    *len = 0;
    while (value == NULL && i < p->head.field_count) {
        struct cdt_http_field field = cdt_http_field(p, i++);

        if (field.name.len == n && same(p->mem + field.name.at, name, n)) {
            value = cdt_http_text(p, field.value);
            *len = field.value.len;
        }
    }
    if (from != NULL) {
        *from = i;
    }
    return value;
}
