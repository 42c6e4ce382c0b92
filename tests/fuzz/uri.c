/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target of conduit_uri_parse() and conduit_addr_parse(). An input is the
 * text itself, given to both in memory of the exact size. What endpoint.h and
 * error.h promise must hold of every answer, memory must balance, and each
 * allocation that a parse makes must be able to fail.
 */
#include <conduit/transport.h>
#include <conduit/unix.h>

#include "chop.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conduit_ctx *ctx;

static struct {
    size_t live;    /* blocks */
    size_t calls;   /* for memory, since fail_at was set */
    size_t fail_at; /* the call that fails, from 1; 0: none does */
} memory;

static void *resize(void *arg, void *ptr, size_t size)
{
    void *p = NULL;

    (void)arg;
    if (++memory.calls != memory.fail_at) {
        p = realloc(ptr, size);
        assert(p != NULL);
        memory.live += ptr == NULL;
    }
    return p;
}

static void release(void *arg, void *ptr)
{
    (void)arg;
    memory.live -= ptr != NULL;
    free(ptr);
}

/* So that https means something. */
static int tls_wrap(struct conduit_ctx *c, struct conduit_conn *below,
                    bool server, const struct conduit_uri *uri,
                    const struct conduit_options *options,
                    struct conduit_conn **out, struct conduit_error *err)
{
    (void)c;
    (void)below;
    (void)server;
    (void)uri;
    (void)options;
    (void)out;
    return conduit_error_set(err, CONDUIT_ENOTSUP, "tls", 0, "a mere name");
}

static const struct conduit_filter tls = {
    .name = "tls",
    .summary = "a name without a layer",
    .wrap = tls_wrap,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct conduit_ctx_options options = {
        .allocator = {.resize = resize, .release = release},
    };

    (void)argc;
    (void)argv;
    if (conduit_unix_new(NULL, &options, &ctx, NULL) != 0 ||
        conduit_register_all(ctx) != 0 || conduit_register_chop(ctx) != 0 ||
        conduit_register_filter(ctx, &tls) != 0) {
        abort();
    }
    return 0;
}

/* ---- addresses ---------------------------------------------------------- */

static void assert_same_address(const struct conduit_addr *a,
                                const struct conduit_addr *b)
{
    assert(a->family == b->family && a->scope == b->scope);
    assert(memcmp(a->ip, b->ip, sizeof a->ip) == 0);
}

/* What is written is read as the same address, and is then written the same. */
static void check_address(const struct conduit_addr *addr)
{
    char text[CONDUIT_ADDR_TEXT];
    char again[CONDUIT_ADDR_TEXT];
    struct conduit_addr parsed;

    assert(addr->family == 4 || addr->family == 6);
    assert(addr->family == 6 || addr->scope == 0);
    assert(conduit_addr_format(addr, false, text) == text);
    assert(conduit_addr_parse(text, strlen(text), &parsed));
    assert_same_address(addr, &parsed);
    assert(parsed.port == 0);
    (void)conduit_addr_format(&parsed, false, again);
    assert(strcmp(text, again) == 0);
}

/* The same with a port, as the authority of a URI, where '%' becomes "%25". */
static void check_authority(const struct conduit_addr *addr)
{
    char text[CONDUIT_ADDR_TEXT];
    char uri[CONDUIT_ADDR_TEXT + 16];
    struct conduit_uri *u;
    char *zone;

    (void)conduit_addr_format(addr, true, text);
    zone = strchr(text, '%');
    if (zone != NULL) {
        *zone++ = '\0';
    }
    (void)snprintf(uri, sizeof uri, "tcp://%s%s%s", text,
                   zone != NULL ? "%25" : "", zone != NULL ? zone : "");
    assert(conduit_uri_parse(ctx, uri, &u, NULL) == 0);
    assert(u->host_kind == CONDUIT_HOST_IP && u->has_port);
    assert(u->port == addr->port && u->addr.port == addr->port);
    assert_same_address(addr, &u->addr);
    conduit_uri_free(ctx, u);
}

static void parse_address(const uint8_t *data, size_t size)
{
    char *text = malloc(size > 0 ? size : 1); /* not terminated */
    struct conduit_addr addr;

    assert(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    if (conduit_addr_parse(text, size, &addr)) {
        assert(addr.port == 0);
        check_address(&addr);
        addr.port = (uint16_t)(size * 7919);
        check_authority(&addr);
    }
    free(text);
}

/* ---- URIs --------------------------------------------------------------- */

static bool is_printable(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s <= ' ' || *s > '~') {
            return false;
        }
    }
    return true;
}

static bool same_letter(char a, char b)
{
    bool letter = (a >= 'A' && a <= 'Z') || (a >= 'a' && a <= 'z');

    return a == b || (letter && (a ^ b) == 0x20);
}

/* Whether a list of layers, joined by '+', begins with `word`, in any case. */
static bool begins_with(const char *layers, const char *word)
{
    size_t n = 0;

    while (word[n] != '\0' && same_letter(layers[n], word[n])) {
        n++;
    }
    return word[n] == '\0' && (layers[n] == '\0' || layers[n] == '+');
}

static bool is_tls(const struct conduit_filter *f)
{
    return strcmp(f->name, "tls") == 0;
}

static void check_layers(const struct conduit_uri *u)
{
    bool https = begins_with(u->scheme, "https");

    assert(u->http == (https || begins_with(u->scheme, "http")));
    assert(u->transport != NULL);
    assert(u->filter_count <= CONDUIT_LAYERS_MAX);
    for (unsigned i = 0; i < u->filter_count; i++) {
        assert(is_tls(u->filters[i]) || u->filters[i] == &conduit_chop);
    }
    assert(!https || is_tls(u->filters[0]));
}

static bool is_transport(const struct conduit_uri *u, const char *name)
{
    return strcmp(u->transport->name, name) == 0;
}

/* Only vchan knows users; "user@name" is then where it is found. Names are made
 * of the same letters wherever they stand for themselves. */
static bool is_user_of(const struct conduit_uri *u)
{
    const char *name = u->address;
    size_t n = u->user != NULL ? strlen(u->user) : 0;

    if (u->user != NULL && (!is_transport(u, "vchan") ||
                            strncmp(name, u->user, n) != 0 || name[n] != '@')) {
        return false;
    }
    if (is_transport(u, "vchan") || is_transport(u, "auto") ||
        is_transport(u, "mem")) {
        name += u->user != NULL ? n + 1 : 0;
        return name[0] >= 'a' && name[0] <= 'z' &&
               strlen(name) <= CONDUIT_NAME_MAX && strchr(name, '/') == NULL &&
               strcmp(name, u->host) == 0 && !u->has_port;
    }
    return true;
}

static void check_host(const struct conduit_uri *u)
{
    struct conduit_addr addr;
    bool numeric = conduit_addr_parse(u->host, strlen(u->host), &addr);

    assert(u->user == NULL || u->user[0] != '\0');
    assert((u->host_kind == CONDUIT_HOST_NONE) == (u->host[0] == '\0'));
    assert((u->host_kind == CONDUIT_HOST_IP) == numeric);
    assert(u->addr.port == u->port);
    if (numeric) {
        assert_same_address(&u->addr, &addr);
        check_address(&u->addr);
        check_authority(&u->addr);
    } else {
        assert(u->addr.family == 0);
    }
    if (!u->has_port) {
        assert(u->http ? u->port == 80 || u->port == 443 : u->port == 0);
        assert(!conduit_uri_has_host(u) || u->http);
    }
    if (conduit_uri_has_host(u)) {
        assert(u->user == NULL && u->address == NULL);
        assert(is_printable(u->host));
    } else {
        assert(u->address != NULL && u->address[0] != '\0');
        assert(is_user_of(u));
    }
}

/* `rest` is what follows the authority. */
static void check_target(const struct conduit_uri *u, const char *rest)
{
    size_t path = strcspn(rest, "?#");
    size_t all = strcspn(rest, "#");
    const char *target = u->target;

    assert(strlen(u->path) == path && memcmp(u->path, rest, path) == 0);
    assert(path == 0 || rest[0] == '/');
    assert(target[0] == '/');
    if (u->transport->path && !u->http) {
        assert(target[1] == '\0' && rest[path] == '\0');
        return;
    }
    target += path == 0;
    assert(strlen(target) == all && memcmp(target, rest, all) == 0);
    assert(u->http || rest[all] == '\0');
}

static void check_uri(const struct conduit_uri *u, const char *text)
{
    size_t scheme = strlen(u->scheme);
    size_t authority = strlen(u->authority);

    assert(strcmp(u->text, text) == 0);
    assert(is_printable(text) && strlen(text) <= CONDUIT_URI_MAX);
    assert(scheme > 0 && memcmp(text, u->scheme, scheme) == 0);
    text += scheme;
    assert(memcmp(text, "://", 3) == 0);
    text += 3;
    assert(memcmp(text, u->authority, authority) == 0);
    check_layers(u);
    check_host(u);
    check_target(u, text + authority);
}

/* One line for a person, which begins with the layer. */
static void check_error(const struct conduit_error *err, int code)
{
    size_t layer = strlen(err->layer);

    assert(code == CONDUIT_EURI || code == CONDUIT_ESCHEME ||
           code == CONDUIT_ENOMEM);
    assert(err->code == code);
    assert(memchr(err->text, '\0', sizeof err->text) != NULL);
    assert(layer > 0 && strncmp(err->text, err->layer, layer) == 0);
    assert(strncmp(err->text + layer, ": ", 2) == 0);
    assert(err->text[layer + 2] != '\0');
    assert(strpbrk(err->text, "\r\n\t\x1b\x7f") == NULL);
}

/* Parses, with allocation number fail_at failing; the code, and how many. */
static int parse_once(const char *text, size_t fail_at, size_t *calls)
{
    struct conduit_uri *u = NULL;
    struct conduit_error err;
    size_t live = memory.live;
    int code;

    memset(&err, 0x5a, sizeof err);
    memory.calls = 0;
    memory.fail_at = fail_at;
    code = conduit_uri_parse(ctx, text, &u, &err);
    memory.fail_at = 0;
    *calls = memory.calls;
    if (code == 0) {
        check_uri(u, text);
        conduit_uri_free(ctx, u);
    } else {
        check_error(&err, code);
    }
    assert(memory.live == live);
    return code;
}

static void parse_uri(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct conduit_uri *u = NULL;
    size_t calls;
    int code;

    assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    code = parse_once(text, 0, &calls);
    for (size_t i = 1; i <= calls; i++) {
        size_t made;

        assert(parse_once(text, i, &made) == CONDUIT_ENOMEM && made == i);
    }
    assert(conduit_uri_parse(ctx, text, &u, NULL) == code);
    if (code == 0) {
        conduit_uri_free(ctx, u);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t nothing[1];

    data = size > 0 ? data : nothing;
    parse_address(data, size);
    parse_uri(data, size);
    return 0;
}
