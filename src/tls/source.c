/* SPDX-License-Identifier: ISC */
/*
 * Where PEM texts come from: memory, files by the C library, and assets. A
 * guest has no files, and its C library says so.
 */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LAYER "tls"
#define ASSET "asset:"
#define FILE_MAX ((size_t)8 * 1024 * 1024)
#define FIRST_SIZE 16384u
#define LIST_MAX 64u

#ifndef CONDUIT_CA_FILE
#define CONDUIT_CA_FILE "/etc/ssl/certs/ca-certificates.crt"
#endif

struct cdt_tls_block {
    struct cdt_tls_block *next;
    size_t size;
    uint8_t data[];
};

/* ---- memory that goes all at once --------------------------------------- */

static void *keep_room(struct conduit_ctx *ctx, struct cdt_tls_copy *copy,
                       size_t size)
{
    struct cdt_tls_block *block = conduit_alloc(ctx, sizeof *block + size);

    if (block == NULL) {
        return NULL;
    }
    block->size = size;
    block->next = copy->blocks;
    copy->blocks = block;
    return block->data;
}

/* Text gets a NUL behind it. */
static void *keep(struct conduit_ctx *ctx, struct cdt_tls_copy *copy,
                  const void *data, size_t size)
{
    uint8_t *to = keep_room(ctx, copy, size + 1);

    if (to != NULL && size > 0) {
        memcpy(to, data, size);
    }
    return to;
}

void cdt_tls_copy_free(struct conduit_ctx *ctx, struct cdt_tls_copy *copy)
{
    while (copy->blocks != NULL) {
        struct cdt_tls_block *block = copy->blocks;

        copy->blocks = block->next;
        cdt_wipe(block->data, block->size); /* a key may be in it */
        conduit_release(ctx, block);
    }
}

static int no_memory(struct conduit_error *err)
{
    return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0, "out of memory");
}

/* ---- options ------------------------------------------------------------ */

static bool keep_text(struct conduit_ctx *ctx, struct cdt_tls_copy *copy,
                      const char **text)
{
    if (*text != NULL) {
        *text = keep(ctx, copy, *text, strlen(*text));
        return *text != NULL;
    }
    return true;
}

static bool keep_list(struct conduit_ctx *ctx, struct cdt_tls_copy *copy,
                      const char *const **list)
{
    const char **to;
    size_t n = 0;

    if (*list == NULL) {
        return true;
    }
    while (n < LIST_MAX && (*list)[n] != NULL) {
        n++;
    }
    to = keep_room(ctx, copy, (n + 1) * sizeof *to);
    if (to == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = (*list)[i];
        if (!keep_text(ctx, copy, &to[i])) {
            return false;
        }
    }
    to[n] = NULL;
    *list = to;
    return true;
}

static bool keep_source(struct conduit_ctx *ctx, struct cdt_tls_copy *copy,
                        struct conduit_tls_source *source)
{
    if (source->data != NULL) {
        source->data = keep(ctx, copy, source->data, source->size);
        if (source->data == NULL) {
            return false;
        }
    }
    return keep_text(ctx, copy, &source->name);
}

static bool keep_sources(struct conduit_ctx *ctx, struct cdt_tls_copy *copy,
                         const struct conduit_tls_source **list, size_t n)
{
    struct conduit_tls_source *to;

    if (n == 0) {
        return true;
    }
    to = keep(ctx, copy, *list, n * sizeof *to);
    if (to == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!keep_source(ctx, copy, &to[i])) {
            return false;
        }
    }
    *list = to;
    return true;
}

static bool keep_identities(struct conduit_ctx *ctx, struct cdt_tls_copy *copy,
                            struct conduit_tls_options *o)
{
    struct conduit_tls_identity *to;

    if (o->identity_count == 0) {
        return true;
    }
    to = keep(ctx, copy, o->identities, o->identity_count * sizeof *to);
    if (to == NULL) {
        return false;
    }
    for (size_t i = 0; i < o->identity_count; i++) {
        if (!keep_source(ctx, copy, &to[i].chain) ||
            !keep_source(ctx, copy, &to[i].key)) {
            return false;
        }
    }
    o->identities = to;
    return true;
}

static bool keep_bytes(struct conduit_ctx *ctx, struct cdt_tls_copy *copy,
                       struct conduit_tls_options *o)
{
    if (o->pin_count > 0) {
        o->pins = keep(ctx, copy, o->pins, o->pin_count * sizeof *o->pins);
    }
    if (o->ticket_secret != NULL) {
        o->ticket_secret = keep(ctx, copy, o->ticket_secret, 32);
        return o->ticket_secret != NULL && (o->pin_count == 0 || o->pins);
    }
    return o->pin_count == 0 || o->pins != NULL;
}

int cdt_tls_copy_options(struct conduit_ctx *ctx,
                         const struct conduit_tls_options *from,
                         struct cdt_tls_copy *copy,
                         struct conduit_tls_options *to,
                         struct conduit_error *err)
{
    *to = *from;
    if (!keep_text(ctx, copy, &to->engine) || !keep_identities(ctx, copy, to) ||
        !keep_sources(ctx, copy, &to->authorities, to->authority_count) ||
        !keep_sources(ctx, copy, &to->crls, to->crl_count) ||
        !keep_bytes(ctx, copy, to) || !keep_list(ctx, copy, &to->alpn) ||
        !keep_list(ctx, copy, &to->policy.ciphers) ||
        !keep_list(ctx, copy, &to->policy.groups)) {
        return no_memory(err);
    }
    return 0;
}

/* ---- reading ------------------------------------------------------------ */

static int cannot_read(struct conduit_error *err, const char *name, int native)
{
    int code = native == ENOENT   ? CONDUIT_ENOENT
               : native == EACCES ? CONDUIT_EACCESS
               : native == ENOMEM ? CONDUIT_ENOMEM
                                  : CONDUIT_EIO;

    return conduit_error_set(err, code, LAYER, native, "%s: cannot be read: %s",
                             name, strerror(native));
}

static int read_all(struct cdt_tls_texts *texts, FILE *file, const char *name,
                    struct conduit_tls_source *out, struct conduit_error *err)
{
    size_t room = FIRST_SIZE;
    uint8_t *data = NULL;
    size_t size = 0;

    for (;;) {
        uint8_t *more = keep_room(texts->ctx, &texts->copy, room + 1);

        if (more == NULL) {
            return no_memory(err);
        }
        if (size > 0) {
            memcpy(more, data, size);
        }
        data = more;
        errno = 0;
        size += fread(data + size, 1, room - size, file);
        if (ferror(file)) {
            return cannot_read(err, name, errno != 0 ? errno : EIO);
        }
        if (size < room) {
            break;
        }
        if (room >= FILE_MAX) {
            return conduit_error_set(err, CONDUIT_ELIMIT, LAYER, 0,
                                     "%s: longer than %zu bytes", name,
                                     FILE_MAX);
        }
        room *= 4;
    }
    out->data = data;
    out->size = size;
    return 0;
}

static int read_file(struct cdt_tls_texts *texts,
                     struct conduit_tls_source *source,
                     struct conduit_error *err)
{
    FILE *file;
    int code;

    errno = 0;
    file = fopen(source->name, "rb");
    if (file == NULL) {
        return cannot_read(err, source->name, errno != 0 ? errno : EIO);
    }
    /* stdio would keep a copy of a key. */
    (void)setvbuf(file, NULL, _IONBF, 0);
    code = read_all(texts, file, source->name, source, err);
    (void)fclose(file);
    return code;
}

static int find_asset(const struct conduit_assets *assets,
                      struct conduit_tls_source *source,
                      struct conduit_error *err)
{
    const char *name = source->name + strlen(ASSET);
    const struct conduit_asset *asset = NULL;
    char path[256];
    int n = snprintf(path, sizeof path, "%s%s", name[0] == '/' ? "" : "/",
                     name);

    if (assets == NULL) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "%s: no assets were given", source->name);
    }
    if (n > 0 && (size_t)n < sizeof path) {
        asset = conduit_assets_find(assets, path, (size_t)n);
    }
    if (asset == NULL) {
        return conduit_error_set(err, CONDUIT_ENOENT, LAYER, 0,
                                 "%s: no such asset", source->name);
    }
    source->data = asset->data;
    source->size = asset->size;
    return 0;
}

static int read_source(struct cdt_tls_texts *texts,
                       const struct conduit_tls_options *o,
                       struct conduit_tls_source *source,
                       struct conduit_error *err)
{
    if (source->data != NULL) {
        if (source->name == NULL) {
            source->name = "(memory)";
        }
        return 0;
    }
    if (source->name == NULL) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "a certificate, key or authority without a "
                                 "name and without data");
    }
    if (strncmp(source->name, ASSET, strlen(ASSET)) == 0) {
        return find_asset(o->assets, source, err);
    }
    return read_file(texts, source, err);
}

/* A copy of n sources that are read; one more is room for the system's. */
static struct conduit_tls_source *
read_sources(struct cdt_tls_texts *texts, const struct conduit_tls_options *o,
             const struct conduit_tls_source *from, size_t n,
             struct conduit_error *err)
{
    struct conduit_tls_source *to = keep_room(texts->ctx, &texts->copy,
                                              (n + 1) * sizeof *to);

    if (to == NULL) {
        (void)no_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        if (read_source(texts, o, &to[i], err) != 0) {
            return NULL;
        }
    }
    return to;
}

int cdt_tls_read_identities(struct cdt_tls_texts *texts,
                            const struct conduit_tls_options *options,
                            struct cdt_tls_material *material,
                            struct conduit_error *err)
{
    size_t n = options->identity_count;
    struct conduit_tls_identity *to = keep_room(texts->ctx, &texts->copy,
                                                (n + 1) * sizeof *to);
    int code = to != NULL ? 0 : no_memory(err);

    for (size_t i = 0; code == 0 && i < n; i++) {
        to[i] = options->identities[i];
        code = read_source(texts, options, &to[i].chain, err);
        if (code == 0) {
            code = read_source(texts, options, &to[i].key, err);
        }
    }
    material->identities = to;
    material->identity_count = n;
    return code;
}

int cdt_tls_read_authorities(struct cdt_tls_texts *texts,
                             const struct conduit_tls_options *options,
                             bool system, struct cdt_tls_material *material,
                             struct conduit_error *err)
{
    struct conduit_error ignored = {0};
    struct conduit_error *why = err != NULL ? err : &ignored;
    size_t n = options->authority_count;
    struct conduit_tls_source *to = read_sources(texts, options,
                                                 options->authorities, n, why);

    if (to == NULL) {
        return why->code;
    }
    if (system) {
        const char *name = conduit_ctx_env(texts->ctx, "SSL_CERT_FILE");

        to[n] = (struct conduit_tls_source){
            .name = name != NULL && name[0] != '\0' ? name : CONDUIT_CA_FILE};
        if (read_file(texts, &to[n], why) != 0) {
            return conduit_error_set(err, why->code, LAYER, why->native,
                                     "no authorities to judge the peer by: %s",
                                     to[n].name);
        }
        n++;
    }
    material->authorities = to;
    material->authority_count = n;
    return 0;
}

int cdt_tls_read_crls(struct cdt_tls_texts *texts,
                      const struct conduit_tls_options *options,
                      struct cdt_tls_material *material,
                      struct conduit_error *err)
{
    struct conduit_error ignored = {0};
    struct conduit_error *why = err != NULL ? err : &ignored;
    struct conduit_tls_source *to = read_sources(texts, options, options->crls,
                                                 options->crl_count, why);

    if (to == NULL) {
        return why->code;
    }
    material->crls = to;
    material->crl_count = options->crl_count;
    return 0;
}

void cdt_tls_texts_free(struct cdt_tls_texts *texts)
{
    cdt_tls_copy_free(texts->ctx, &texts->copy);
}
