/* SPDX-License-Identifier: ISC */
/* The context: registry, memory, log, and the ends that meet in it. */
#include "core.h"

#include <conduit/version.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *default_resize(void *arg, void *ptr, size_t size)
{
    (void)arg;
    return realloc(ptr, size);
}

static void default_release(void *arg, void *ptr)
{
    (void)arg;
    free(ptr);
}

void *conduit_resize(struct conduit_ctx *ctx, void *ptr, size_t size)
{
    return ctx->allocator.resize(ctx->allocator.arg, ptr, size);
}

void *conduit_alloc(struct conduit_ctx *ctx, size_t size)
{
    void *ptr = conduit_resize(ctx, NULL, size);

    if (ptr != NULL) {
        memset(ptr, 0, size);
    }
    return ptr;
}

void conduit_release(struct conduit_ctx *ctx, void *ptr)
{
    if (ptr != NULL) {
        ctx->allocator.release(ctx->allocator.arg, ptr);
    }
}

char *conduit_strdup(struct conduit_ctx *ctx, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = conduit_resize(ctx, NULL, size);

    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void cdt_append(char *buf, size_t n, size_t *len, const char *text)
{
    size_t add = strlen(text);

    if (n == 0 || *len >= n - 1) {
        return;
    }
    if (add > n - 1 - *len) {
        add = n - 1 - *len;
    }
    memcpy(buf + *len, text, add);
    *len += add;
    buf[*len] = '\0';
}

/* ---- log ---- */

static const char *const level_names[] = {"error", "warning", "info", "debug"};

enum conduit_log_level conduit_log_level_named(const char *name,
                                               enum conduit_log_level otherwise)
{
    static const char *const names[] = {
        [CONDUIT_LOG_ERROR] = "error",
        [CONDUIT_LOG_WARN] = "warn",
        [CONDUIT_LOG_INFO] = "info",
        [CONDUIT_LOG_DEBUG] = "debug",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (name != NULL && strcmp(name, names[i]) == 0) {
            return (enum conduit_log_level)i;
        }
    }
    return otherwise;
}

void conduit_log(struct conduit_ctx *ctx, enum conduit_log_level level,
                 const char *layer, const char *fmt, ...)
{
    char text[512];
    char line[640];
    va_list args;

    if (level > ctx->log_level) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cdt_one_line(text);
    if (ctx->log != NULL) {
        ctx->log(ctx->log_arg, level, layer, text);
        return;
    }
    (void)snprintf(line, sizeof line, "conduit %s: %s: %s", level_names[level],
                   layer, text);
    ctx->platform->ops->log(ctx->platform, line);
}

/* ---- life ---- */

static struct conduit_allocator
pick_allocator(const struct conduit_ctx_options *options)
{
    struct conduit_allocator a = {default_resize, default_release, NULL};

    if (options != NULL && options->allocator.resize != NULL) {
        a = options->allocator;
    }
    return a;
}

/*
 * Takes over "STACK" or "STACK,OPTIONS" from `where`. Whether there is such a
 * stack, and what its options mean, is not known here.
 */
static int take_net(struct conduit_ctx *ctx, const char *text,
                    const char *where, struct conduit_error *err)
{
    size_t size = strlen(text);
    size_t name = strcspn(text, ",");

    if (size >= sizeof ctx->net_text) {
        return conduit_error_set(err, CONDUIT_ELIMIT, "context", 0,
                                 "%sa stack and its options of %zu bytes: %zu "
                                 "are the most",
                                 where, size, sizeof ctx->net_text - 1);
    }
    if (name == 0 || name >= sizeof ctx->net) {
        return conduit_error_set(err, CONDUIT_ESCHEME, "context", 0,
                                 "%sthe stack '%.32s' is not in this build",
                                 where, text);
    }
    if (text[name] == ',' && name == strlen("socket") &&
        memcmp(text, "socket", name) == 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, "context", 0,
                                 "%s'%.100s': the stack 'socket' has no "
                                 "options",
                                 where, text);
    }
    memcpy(ctx->net, text, name);
    ctx->net[name] = '\0';
    memcpy(ctx->net_text, text, size + 1);
    return 0;
}

static int take_first_net(struct conduit_ctx *ctx, struct conduit_error *err)
{
    const char *net = ctx->platform->ops->env(ctx->platform, "CONDUIT_NET");

    if (net != NULL && net[0] != '\0') {
        return take_net(ctx, net, "CONDUIT_NET: ", err);
    }
    return take_net(ctx, CONDUIT_DEFAULT_NET, "the build's default: ", err);
}

int conduit_ctx_new(struct conduit_platform *platform,
                    const struct conduit_ctx_options *options,
                    struct conduit_ctx **out, struct conduit_error *err)
{
    struct conduit_allocator a = pick_allocator(options);
    struct conduit_ctx *ctx = a.resize(a.arg, NULL, sizeof *ctx);
    int code;

    if (ctx == NULL) {
        platform->ops->destroy(platform);
        return conduit_error_set(err, CONDUIT_ENOMEM, "context", 0,
                                 "out of memory");
    }
    memset(ctx, 0, sizeof *ctx);
    ctx->allocator = a;
    ctx->platform = platform;
    if (options != NULL) {
        ctx->log = options->log;
        ctx->log_arg = options->log_arg;
        ctx->log_level = options->log_level;
        ctx->spin_us = options->spin_us;
    }
    code = take_first_net(ctx, err);
    if (code != 0) {
        platform->ops->destroy(platform);
        a.release(a.arg, ctx);
        return code;
    }
    cdt_loop_init(&ctx->loop, ctx, platform);
    *out = ctx;
    return 0;
}

void cdt_ending_add(struct conduit_ctx *ctx, struct cdt_ending *ending)
{
    ending->next = ctx->endings;
    ending->at = &ctx->endings;
    if (ending->next != NULL) {
        ending->next->at = &ending->next;
    }
    ctx->endings = ending;
}

void cdt_ending_remove(struct cdt_ending *ending)
{
    if (ending->at == NULL) {
        return;
    }
    *ending->at = ending->next;
    if (ending->next != NULL) {
        ending->next->at = ending->at;
    }
    ending->at = NULL;
}

static void end_parts(struct conduit_ctx *ctx)
{
    while (ctx->endings != NULL) {
        struct cdt_ending *ending = ctx->endings;

        cdt_ending_remove(ending);
        ending->end(ending);
    }
}

void conduit_ctx_finish(struct conduit_ctx *ctx)
{
    struct conduit_conn *c;

    conduit_ctx_on_shutdown(ctx, NULL, NULL);
    end_parts(ctx);
    cdt_dials_abort(ctx);
    cdt_listeners_abort(ctx);
    do { /* killing one takes its layers off the list */
        c = ctx->loop.all;
        while (c != NULL && cdt_conn_top(c)->state == CDT_CONN_CLOSING) {
            c = c->all_next;
        }
        if (c != NULL) {
            cdt_conn_kill(cdt_conn_top(c), true);
        }
    } while (c != NULL);
    conduit_loop_finish(&ctx->loop);
}

void cdt_extra_add(struct conduit_ctx *ctx, struct cdt_extra *extra)
{
    extra->next = ctx->extras;
    ctx->extras = extra;
}

struct cdt_extra *cdt_extra_find(const struct conduit_ctx *ctx, const void *key)
{
    struct cdt_extra *extra = ctx->extras;

    while (extra != NULL && extra->key != key) {
        extra = extra->next;
    }
    return extra;
}

void conduit_ctx_free(struct conduit_ctx *ctx)
{
    struct conduit_allocator a;

    if (ctx == NULL) {
        return;
    }
    ctx->loop.in_turn = true; /* nobody is to be woken any more */
    cdt_dials_abort(ctx);
    cdt_listeners_abort(ctx);
    while (ctx->loop.all != NULL) {
        cdt_conn_kill(cdt_conn_top(ctx->loop.all), true);
    }
    cdt_conn_reap(&ctx->loop);
    cdt_release_refs(&ctx->loop);
    while (ctx->extras != NULL) {
        struct cdt_extra *extra = ctx->extras;

        ctx->extras = extra->next;
        extra->fini(ctx, extra);
    }
    cdt_resolver_fini(ctx);
    cdt_pool_fini(&ctx->loop);
    ctx->platform->ops->destroy(ctx->platform);
    a = ctx->allocator;
    a.release(a.arg, ctx);
}

struct conduit_loop *conduit_ctx_loop(struct conduit_ctx *ctx)
{
    return &ctx->loop;
}

const char *conduit_ctx_platform(const struct conduit_ctx *ctx)
{
    return ctx->platform->ops->name;
}

const char *conduit_ctx_env(struct conduit_ctx *ctx, const char *name)
{
    return ctx->platform->ops->env(ctx->platform, name);
}

int64_t conduit_ctx_wall(struct conduit_ctx *ctx)
{
    return ctx->platform->ops->wall(ctx->platform);
}

int conduit_ctx_entropy(struct conduit_ctx *ctx, void *buf, size_t n)
{
    return ctx->platform->ops->entropy(ctx->platform, buf, n);
}

void conduit_ctx_on_shutdown(struct conduit_ctx *ctx, conduit_shutdown_fn *fn,
                             void *arg)
{
    ctx->shutdown = fn;
    ctx->shutdown_arg = arg;
}

void conduit_ctx_shutdown(struct conduit_ctx *ctx)
{
    if (ctx->shutdown != NULL) {
        ctx->shutdown(ctx->shutdown_arg);
    } else {
        conduit_loop_stop(&ctx->loop);
    }
}

const char *conduit_version(void)
{
    return CONDUIT_VERSION;
}

/* ---- registry ---- */

int conduit_register_transport(struct conduit_ctx *ctx,
                               const struct conduit_transport *t)
{
    size_t i;

    if (t->name == NULL || t->summary == NULL || t->check == NULL) {
        return CONDUIT_EINVAL;
    }
    for (i = 0; i < ctx->transport_count; i++) {
        if (ctx->transports[i] == t) {
            return 0;
        }
    }
    if (i == CDT_SCHEMES_MAX) {
        return CONDUIT_ELIMIT;
    }
    ctx->transports[ctx->transport_count++] = t;
    return 0;
}

int conduit_register_filter(struct conduit_ctx *ctx,
                            const struct conduit_filter *f)
{
    size_t i;

    if (f->name == NULL || f->summary == NULL || f->wrap == NULL) {
        return CONDUIT_EINVAL;
    }
    for (i = 0; i < ctx->filter_count; i++) {
        if (ctx->filters[i] == f) {
            return 0;
        }
    }
    if (i == CDT_SCHEMES_MAX) {
        return CONDUIT_ELIMIT;
    }
    ctx->filters[ctx->filter_count++] = f;
    return 0;
}

static bool same_word(const char *name, const char *word, size_t len)
{
    return strlen(name) == len && memcmp(name, word, len) == 0;
}

const struct conduit_filter *cdt_find_filter(const struct conduit_ctx *ctx,
                                             const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < ctx->filter_count; i++) {
        if (same_word(ctx->filters[i]->name, name, len)) {
            return ctx->filters[i];
        }
    }
    return NULL;
}

/* Whether `word` is the transport's name without its stack. */
static bool is_family(const struct conduit_transport *t, const char *word,
                      size_t len)
{
    return t->stack != NULL && strlen(t->name) > len && t->name[len] == '+' &&
           memcmp(t->name, word, len) == 0;
}

const struct conduit_transport *
cdt_find_transport(const struct conduit_ctx *ctx, const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < ctx->transport_count; i++) {
        const struct conduit_transport *t = ctx->transports[i];

        if (same_word(t->name, name, len) ||
            (is_family(t, name, len) && strcmp(t->stack, ctx->net) == 0)) {
            return t;
        }
    }
    return NULL;
}

bool cdt_has_stacks(const struct conduit_ctx *ctx, const char *name, size_t len)
{
    size_t i = 0;

    while (i < ctx->transport_count &&
           !is_family(ctx->transports[i], name, len)) {
        i++;
    }
    return i < ctx->transport_count;
}

void cdt_list_schemes(const struct conduit_ctx *ctx, char *buf, size_t n)
{
    size_t len = 0;
    size_t i;

    if (n > 0) {
        buf[0] = '\0';
    }
    for (i = 0; i < ctx->transport_count; i++) {
        cdt_append(buf, n, &len, i > 0 ? ", " : "");
        cdt_append(buf, n, &len, ctx->transports[i]->name);
    }
    for (i = 0; i < ctx->filter_count; i++) {
        cdt_append(buf, n, &len, ", ");
        cdt_append(buf, n, &len, ctx->filters[i]->name);
        cdt_append(buf, n, &len, "+...");
    }
}

bool conduit_ctx_transport(const struct conduit_ctx *ctx, size_t i,
                           const char **scheme, const char **summary)
{
    if (i < ctx->transport_count) {
        *scheme = ctx->transports[i]->name;
        *summary = ctx->transports[i]->summary;
        return true;
    }
    i -= ctx->transport_count;
    if (i < ctx->filter_count) {
        *scheme = ctx->filters[i]->name;
        *summary = ctx->filters[i]->summary;
        return true;
    }
    return false;
}

int conduit_ctx_set_net(struct conduit_ctx *ctx, const char *stack,
                        struct conduit_error *err)
{
    size_t size = strcspn(stack, ",");
    size_t i;

    for (i = 0; i < ctx->transport_count; i++) {
        const char *s = ctx->transports[i]->stack;

        if (s != NULL && same_word(s, stack, size)) {
            return take_net(ctx, stack, "", err);
        }
    }
    return conduit_error_set(err, CONDUIT_ESCHEME, "context", 0,
                             "the stack '%.*s' is not in this build",
                             size < 32 ? (int)size : 32, stack);
}
