/* SPDX-License-Identifier: ISC */
/*
 * URIs. A URI is cut up into its parts here; what the authority means is the
 * transport's business, by its `check`. All parts live in one block behind the
 * structure, but for the address, which `check` may set.
 */
#include "core.h"

#include <string.h>

#define LAYER "uri"

/* A parse under way; `mem` is where the next part goes. */
struct parse {
    struct conduit_ctx *ctx;
    struct conduit_uri *uri;
    struct conduit_error *err;
    char *mem;
};

/* Parts copied from the text, each at most as long as it, with its NUL. */
#define PARTS 8

static int bad(const struct parse *p, const char *what)
{
    return conduit_error_set(p->err, CONDUIT_EURI, LAYER, 0, "%s in '%.120s'",
                             what, p->uri->text);
}

static char *keep(struct parse *p, const char *from, size_t n)
{
    char *part = p->mem;

    memcpy(part, from, n);
    part[n] = '\0';
    p->mem += n + 1;
    return part;
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    char lower = cdt_lower(c);
    const char *at = c != '\0' ? strchr(digits, lower) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* Decodes %HH; NULL when one of them is %00. Escapes were checked before. */
static char *keep_decoded(struct parse *p, const char *from, size_t n)
{
    char *part = p->mem;
    size_t len = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        char c = from[i];

        if (c == '%') {
            c = (char)(hex_value(from[i + 1]) * 16 + hex_value(from[i + 2]));
            i += 2;
            if (c == '\0') {
                return NULL;
            }
        }
        part[len++] = c;
    }
    part[len] = '\0';
    p->mem += len + 1;
    return part;
}

static int check_characters(const struct parse *p)
{
    const char *s = p->uri->text;
    size_t i;

    for (i = 0; s[i] != '\0'; i++) {
        if (s[i] <= ' ' || s[i] > '~' || strchr("\"<>\\^`{|}", s[i]) != NULL) {
            return bad(p, "a character that must be percent-encoded");
        }
        if (s[i] == '%' &&
            (hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0)) {
            return bad(p, "'%' without two hex digits");
        }
    }
    return 0;
}

/* ---- scheme ---- */

static int unknown_scheme(const struct parse *p, const char *word, size_t len)
{
    char list[160];
    const char *rest = memchr(word, '+', len);

    /* Name the one layer where the others are known. */
    if (rest != NULL &&
        (cdt_find_transport(p->ctx, rest + 1,
                            len - (size_t)(rest + 1 - word)) != NULL)) {
        len = (size_t)(rest - word);
    }
    cdt_list_schemes(p->ctx, list, sizeof list);
    if (cdt_has_stacks(p->ctx, word, len)) {
        return conduit_error_set(p->err, CONDUIT_ESCHEME, LAYER, 0,
                                 "'%.*s' by the stack '%s', which CONDUIT_NET "
                                 "or the program has chosen, is not in this "
                                 "build, which has: %s",
                                 (int)(len < 40 ? len : 40), word, p->ctx->net,
                                 list);
    }
    return conduit_error_set(p->err, CONDUIT_ESCHEME, LAYER, 0,
                             "'%.*s' is not in this build, which has: %s",
                             (int)(len < 40 ? len : 40), word, list);
}

static int add_filter(struct parse *p, const struct conduit_filter *f)
{
    struct conduit_uri *u = p->uri;

    if (u->filter_count == CONDUIT_LAYERS_MAX) {
        return bad(p, "too many layers");
    }
    u->filters[u->filter_count++] = f;
    return 0;
}

/* "http" and "https" in front; answers what is left of the scheme. */
static int take_http(struct parse *p, const char **word)
{
    size_t n = strcspn(*word, "+");
    bool secure = n == 5 && memcmp(*word, "https", 5) == 0;

    if (!secure && !(n == 4 && memcmp(*word, "http", 4) == 0)) {
        return 0;
    }
    p->uri->http = true;
    *word += n;
    if (**word == '+' && *++*word == '\0') {
        return bad(p, "a '+' without a layer behind it");
    }
    if (secure) {
        const struct conduit_filter *tls = cdt_find_filter(p->ctx, "tls", 3);

        return tls != NULL ? add_filter(p, tls) : unknown_scheme(p, "tls", 3);
    }
    return 0;
}

static int parse_layers(struct parse *p, const char *word)
{
    struct conduit_uri *u = p->uri;
    int code = take_http(p, &word);

    if (code == 0 && *word == '\0' && u->http) {
        word = "tcp";
    }
    while (code == 0) {
        size_t n = strcspn(word, "+");
        const struct conduit_filter *f;

        u->transport = cdt_find_transport(p->ctx, word, strlen(word));
        if (u->transport != NULL) {
            return 0;
        }
        f = cdt_find_filter(p->ctx, word, n);
        if (f == NULL) {
            return unknown_scheme(p, word, strlen(word));
        }
        if (word[n] == '\0') {
            return bad(p, "a layer without a transport below it");
        }
        code = add_filter(p, f);
        word += n + 1;
    }
    return code;
}

/* Takes the scheme; answers what follows "://", NULL on error. */
static const char *parse_scheme(struct parse *p, int *code)
{
    const char *s = p->uri->text;
    const char *colon = strstr(s, "://");
    char *lower;
    size_t n;

    if (colon == NULL || colon == s) {
        *code = bad(p, "no scheme://");
        return NULL;
    }
    n = (size_t)(colon - s);
    p->uri->scheme = keep(p, s, n);
    lower = keep(p, s, n);
    for (; *lower != '\0'; lower++) {
        *lower = cdt_lower(*lower);
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789+-.", *lower) == NULL) {
            *code = bad(p, "a malformed scheme");
            return NULL;
        }
    }
    *code = parse_layers(p, lower - n);
    return *code == 0 ? colon + 3 : NULL;
}

/* ---- authority ---- */

/* Service names that stand for themselves, without /etc/services (IANA). */
static const struct {
    const char *name;
    uint16_t port;
} services[] = {
    {"echo", 7},     {"discard", 9},     {"ftp", 21},    {"ssh", 22},
    {"smtp", 25},    {"domain", 53},     {"http", 80},   {"pop3", 110},
    {"ntp", 123},    {"imap", 143},      {"ldap", 389},  {"https", 443},
    {"ldaps", 636},  {"imaps", 993},     {"pop3s", 995}, {"mqtt", 1883},
    {"mqtts", 8883}, {"http-alt", 8080},
};

static int parse_port(struct parse *p, const char *s, size_t n)
{
    unsigned long value = 0;
    size_t i;

    for (i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (strlen(services[i].name) == n &&
            memcmp(services[i].name, s, n) == 0) {
            p->uri->port = services[i].port;
            p->uri->has_port = true;
            return 0;
        }
    }
    for (i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || i == 5) {
            return bad(p, "a port that is no number and no known service");
        }
        value = value * 10 + (unsigned long)(s[i] - '0');
    }
    if (n == 0 || value > 65535) {
        return bad(p, n == 0 ? "an empty port" : "a port over 65535");
    }
    p->uri->port = (uint16_t)value;
    p->uri->has_port = true;
    return 0;
}

static int parse_host(struct parse *p, const char *s, size_t n)
{
    struct conduit_uri *u = p->uri;
    bool brackets = n >= 2 && s[0] == '[' && s[n - 1] == ']';

    if (brackets) {
        s++;
        n -= 2;
    }
    u->host = keep_decoded(p, s, n);
    if (u->host == NULL) {
        return bad(p, "a zero byte");
    }
    u->host_kind = CONDUIT_HOST_NAME;
    if (n == 0 && !brackets) {
        u->host_kind = CONDUIT_HOST_NONE;
    } else if (conduit_addr_parse(u->host, strlen(u->host), &u->addr)) {
        u->host_kind = CONDUIT_HOST_IP;
    }
    if (brackets != (u->host_kind == CONDUIT_HOST_IP && u->addr.family == 6)) {
        return bad(p, brackets ? "brackets around what is no IPv6 address"
                               : "an IPv6 address without brackets");
    }
    return 0;
}

static int parse_authority(struct parse *p)
{
    struct conduit_uri *u = p->uri;
    const char *s = u->authority;
    const char *at = strrchr(s, '@');
    const char *end;
    int code;

    u->host = "";
    if (u->transport->path) {
        return 0; /* not host:port: the transport reads it as it is */
    }
    if (at != NULL) {
        u->user = keep_decoded(p, s, (size_t)(at - s));
        if (u->user == NULL || u->user[0] == '\0') {
            return bad(p, "an empty user name");
        }
        s = at + 1;
    }
    end = *s == '[' ? strchr(s, ']') : s + strcspn(s, ":");
    if (end == NULL) {
        return bad(p, "'[' without ']'");
    }
    end += *s == '[';
    if (*end != '\0' && *end != ':') {
        return bad(p, "text between ']' and the port");
    }
    if (*end == ':' && strchr(end + 1, ':') != NULL) {
        return bad(p, "an IPv6 address without brackets, or two ports,");
    }
    code = parse_host(p, s, (size_t)(end - s));
    if (code == 0 && *end == ':') {
        code = parse_port(p, end + 1, strlen(end + 1));
    }
    return code;
}

/* ---- path, query, and all of it ---- */

static int parse_target(struct parse *p, const char *s)
{
    struct conduit_uri *u = p->uri;
    size_t path = strcspn(s, "?#");
    size_t all = strcspn(s, "#");

    if (s[all] == '#' && !u->http) {
        return bad(p, "a fragment");
    }
    u->path = keep(p, s, path);
    u->target = "/";
    if (u->transport->path && !u->http) {
        return all > path ? bad(p, "a query without http") : 0;
    }
    if (path > 0) {
        u->target = keep(p, s, all);
    } else if (all > 0) {
        *p->mem++ = '/';
        u->target = keep(p, s, all) - 1;
    }
    return 0;
}

static void default_port(struct conduit_uri *u)
{
    unsigned i;

    if (u->has_port || !u->http) {
        return;
    }
    u->port = 80;
    for (i = 0; i < u->filter_count; i++) {
        if (strcmp(u->filters[i]->name, "tls") == 0) {
            u->port = 443;
        }
    }
}

static int parse_all(struct parse *p)
{
    struct conduit_uri *u = p->uri;
    int code = check_characters(p);
    const char *s;
    size_t n;
    unsigned i;

    if (code != 0) {
        return code;
    }
    s = parse_scheme(p, &code);
    if (s == NULL) {
        return code;
    }
    n = strcspn(s, "/?#");
    u->authority = keep(p, s, n);
    code = parse_authority(p);
    if (code == 0) {
        code = parse_target(p, s + n);
    }
    if (code != 0) {
        return code;
    }
    default_port(u);
    code = u->transport->check(p->ctx, u, p->err);
    for (i = 0; code == 0 && i < u->filter_count; i++) {
        if (u->filters[i]->check != NULL) {
            code = u->filters[i]->check(p->ctx, u, p->err);
        }
    }
    u->addr.port = u->port;
    return code;
}

int conduit_uri_parse(struct conduit_ctx *ctx, const char *text,
                      struct conduit_uri **out, struct conduit_error *err)
{
    size_t len = strlen(text);
    struct parse p = {ctx, NULL, err, NULL};
    int code;

    if (len > CONDUIT_URI_MAX) {
        return conduit_error_set(err, CONDUIT_EURI, LAYER, 0,
                                 "longer than %d bytes", CONDUIT_URI_MAX);
    }
    p.uri = conduit_alloc(ctx, sizeof *p.uri + PARTS * (len + 2));
    if (p.uri == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                 "out of memory");
    }
    p.mem = (char *)(p.uri + 1);
    p.uri->text = keep(&p, text, len);
    code = parse_all(&p);
    if (code != 0) {
        conduit_uri_free(ctx, p.uri);
        return code;
    }
    *out = p.uri;
    return 0;
}

void conduit_uri_free(struct conduit_ctx *ctx, struct conduit_uri *uri)
{
    if (uri != NULL) {
        conduit_release(ctx, uri->address);
        conduit_release(ctx, uri);
    }
}

/* ---- for transports ---- */

bool conduit_uri_has_host(const struct conduit_uri *uri)
{
    return uri->transport->ip && uri->address == NULL;
}

int conduit_uri_set_address(struct conduit_ctx *ctx, struct conduit_uri *uri,
                            const char *address)
{
    char *copy = conduit_strdup(ctx, address);

    if (copy == NULL) {
        return CONDUIT_ENOMEM;
    }
    conduit_release(ctx, uri->address);
    uri->address = copy;
    return 0;
}

static bool is_name(const char *s)
{
    size_t n = strlen(s);

    return n >= 1 && n <= CONDUIT_NAME_MAX && s[0] >= 'a' && s[0] <= 'z' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

int conduit_uri_check_name(struct conduit_ctx *ctx, struct conduit_uri *uri,
                           struct conduit_error *err)
{
    if (!is_name(uri->host) || uri->has_port || uri->user != NULL) {
        return conduit_error_set(
            err, CONDUIT_EURI, LAYER, 0,
            "%s:// wants a name, a small letter and then at most %d of "
            "a-z 0-9 . _ -, in '%.80s'",
            uri->transport->name, CONDUIT_NAME_MAX - 1, uri->text);
    }
    if (conduit_uri_set_address(ctx, uri, uri->host) != 0) {
        return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                 "out of memory");
    }
    return 0;
}

/* Whether others would take it for an address: 127.1, 0x7f.0.0.1, 1.2.3.4. */
static bool ends_in_number(const char *s, size_t n)
{
    const char *last;
    size_t len;

    n -= n > 0 && s[n - 1] == '.';
    last = s + n;
    while (last > s && last[-1] != '.') {
        last--;
    }
    len = (size_t)(s + n - last);
    if (len >= 2 && last[0] == '0' && (last[1] == 'x' || last[1] == 'X')) {
        return strspn(last + 2, "0123456789abcdefABCDEF") >= len - 2;
    }
    return strspn(last, "0123456789") >= len;
}

/* A name that a resolver may be asked for (RFC 1123, and '_' for services). */
static bool is_host_name(const char *s)
{
    size_t n = strlen(s);
    size_t label = 0;
    size_t i;

    if (n > 253 + (size_t)(n > 0 && s[n - 1] == '.')) {
        return false;
    }
    for (i = 0; i < n; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') ||
                      (s[i] >= 'A' && s[i] <= 'Z') ||
                      (s[i] >= '0' && s[i] <= '9') || s[i] == '_';

        if (s[i] == '.' ? label == 0
                        : !(letter || (s[i] == '-' && label > 0))) {
            return false;
        }
        label = s[i] == '.' ? 0 : label + 1;
        if (label > 63) {
            return false;
        }
    }
    return n > 0 && !ends_in_number(s, n);
}

int conduit_uri_check_host(struct conduit_ctx *ctx, struct conduit_uri *uri,
                           struct conduit_error *err)
{
    (void)ctx;
    if (uri->user != NULL) {
        return conduit_error_set(err, CONDUIT_EURI, LAYER, 0,
                                 "%s:// takes no user name, in '%.120s'",
                                 uri->scheme, uri->text);
    }
    if (uri->host_kind == CONDUIT_HOST_NAME && !is_host_name(uri->host)) {
        return conduit_error_set(err, CONDUIT_EURI, LAYER, 0,
                                 "'%.80s' is neither an address nor a host "
                                 "name",
                                 uri->host);
    }
    if (!uri->has_port && !uri->http) {
        return conduit_error_set(err, CONDUIT_EURI, LAYER, 0,
                                 "%s:// needs a port, in '%.120s'", uri->scheme,
                                 uri->text);
    }
    return 0;
}
