/* SPDX-License-Identifier: ISC */
/*
 * Requests of xenstore's client, and what their answers are read with. A
 * request is one block of memory with the whole message in it, so that making
 * one either works or leaves nothing behind, and so that the caller's path and
 * value need not outlive the call.
 */
#include "xenstore_client.h"

#include <conduit/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "n65535" and its NUL. */
#define PERM_TEXT 7

/* ---- making them ---- */

static int check_path(const char *path)
{
    size_t most = path[0] == '/' ? XENSTORE_ABS_PATH_MAX
                                 : XENSTORE_REL_PATH_MAX;
    size_t n = 0;

    while (path[n] != '\0') {
        unsigned char c = (unsigned char)path[n];

        if (c < ' ' || c == 0x7f) {
            return CONDUIT_EINVAL;
        }
        if (++n > most) {
            return CONDUIT_ELIMIT;
        }
    }
    return n > 0 ? 0 : CONDUIT_EINVAL;
}

int cdt_xs_request_new(const struct cdt_xs_message *m,
                       struct cdt_xs_request **out)
{
    size_t path_size = m->path != NULL ? strlen(m->path) + 1 : 0;
    int code = m->path != NULL ? check_path(m->path) : 0;
    struct cdt_xs_request *r;
    char *at;

    if (code < 0) {
        return code;
    }
    if (m->size > XENSTORE_PAYLOAD_MAX - path_size) {
        return CONDUIT_ELIMIT;
    }
    r = calloc(1, sizeof *r + sizeof(struct xsd_sockmsg) + path_size + m->size);
    if (r == NULL) {
        return CONDUIT_ENOMEM;
    }
    r->type = m->type;
    r->tx = m->tx;
    r->token = m->token;
    r->size = sizeof(struct xsd_sockmsg) + path_size + m->size;
    at = r->message + sizeof(struct xsd_sockmsg);
    if (path_size > 0) {
        memcpy(at, m->path, path_size);
    }
    if (m->size > 0) {
        memcpy(at + path_size, m->data, m->size);
    }
    *out = r;
    return 0;
}

void cdt_xs_request_free(struct cdt_xs_request *r)
{
    if (r != NULL) {
        cdt_xs_listing_free(r->listing);
        free(r);
    }
}

int cdt_xs_ask(struct cdt_xs *xs, const struct cdt_xs_message *m,
               cdt_xs_done *done, void *arg)
{
    struct cdt_xs_request *r;
    int code;

    if (xs->failed != NULL) {
        return CONDUIT_EPROTO;
    }
    code = cdt_xs_request_new(m, &r);
    if (code < 0) {
        return code;
    }
    if (xs->waiting >= CDT_XS_WAITING_MAX) {
        cdt_xs_request_free(r);
        return CONDUIT_ELIMIT;
    }
    r->done = done;
    r->arg = arg;
    cdt_xs_queue(xs, r);
    return 0;
}

static int ask_path(struct cdt_xs *xs, uint32_t type, uint32_t tx,
                    const char *path, cdt_xs_done *done, void *arg)
{
    const struct cdt_xs_message m = {.type = type, .tx = tx, .path = path};

    return cdt_xs_ask(xs, &m, done, arg);
}

int cdt_xs_read(struct cdt_xs *xs, uint32_t tx, const char *path,
                cdt_xs_done *done, void *arg)
{
    return ask_path(xs, XS_READ, tx, path, done, arg);
}

int cdt_xs_write(struct cdt_xs *xs, uint32_t tx, const char *path,
                 const void *value, size_t size, cdt_xs_done *done, void *arg)
{
    const struct cdt_xs_message m = {
        .type = XS_WRITE, .tx = tx, .path = path, .data = value, .size = size};

    return cdt_xs_ask(xs, &m, done, arg);
}

int cdt_xs_mkdir(struct cdt_xs *xs, uint32_t tx, const char *path,
                 cdt_xs_done *done, void *arg)
{
    return ask_path(xs, XS_MKDIR, tx, path, done, arg);
}

int cdt_xs_remove(struct cdt_xs *xs, uint32_t tx, const char *path,
                  cdt_xs_done *done, void *arg)
{
    return ask_path(xs, XS_RM, tx, path, done, arg);
}

int cdt_xs_list(struct cdt_xs *xs, uint32_t tx, const char *path,
                cdt_xs_done *done, void *arg)
{
    return ask_path(xs, XS_DIRECTORY, tx, path, done, arg);
}

int cdt_xs_get_perms(struct cdt_xs *xs, uint32_t tx, const char *path,
                     cdt_xs_done *done, void *arg)
{
    return ask_path(xs, XS_GET_PERMS, tx, path, done, arg);
}

/* Writes them as the protocol has them; the length, or CONDUIT_EINVAL. `text`
 * has PERM_TEXT bytes for each. */
static long print_perms(const struct cdt_xs_perm *perms, size_t n, char *text)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++) {
        if (perms[i].access == '\0' ||
            strchr("nrwb", perms[i].access) == NULL) {
            return CONDUIT_EINVAL;
        }
        size += 1u + (size_t)snprintf(text + size, PERM_TEXT, "%c%u",
                                      perms[i].access, perms[i].domain);
    }
    return (long)size;
}

int cdt_xs_set_perms(struct cdt_xs *xs, uint32_t tx, const char *path,
                     const struct cdt_xs_perm *perms, size_t n,
                     cdt_xs_done *done, void *arg)
{
    struct cdt_xs_message m = {.type = XS_SET_PERMS, .tx = tx, .path = path};
    char *text;
    long size;
    int code;

    if (n == 0) {
        return CONDUIT_EINVAL;
    }
    if (n > XENSTORE_PAYLOAD_MAX / 3) { /* "n0" and its NUL */
        return CONDUIT_ELIMIT;
    }
    text = malloc(n * PERM_TEXT);
    if (text == NULL) {
        return CONDUIT_ENOMEM;
    }
    size = print_perms(perms, n, text);
    m.data = text;
    m.size = size < 0 ? 0 : (size_t)size;
    code = size < 0 ? (int)size : cdt_xs_ask(xs, &m, done, arg);
    free(text);
    return code;
}

int cdt_xs_begin(struct cdt_xs *xs, cdt_xs_done *done, void *arg)
{
    const struct cdt_xs_message m = {
        .type = XS_TRANSACTION_START, .data = "", .size = 1};

    return cdt_xs_ask(xs, &m, done, arg);
}

int cdt_xs_end(struct cdt_xs *xs, uint32_t tx, bool commit, cdt_xs_done *done,
               void *arg)
{
    const struct cdt_xs_message m = {.type = XS_TRANSACTION_END,
                                     .tx = tx,
                                     .data = commit ? "T" : "F",
                                     .size = 2};

    return cdt_xs_ask(xs, &m, done, arg);
}

/* ---- reading what comes ---- */

int cdt_xs_code(const char *word)
{
    static const struct {
        const char *word;
        int code;
    } words[] = {
        {"ENOENT", CONDUIT_ENOENT},  {"EEXIST", CONDUIT_EEXIST},
        {"EACCES", CONDUIT_EACCESS}, {"EPERM", CONDUIT_EACCESS},
        {"EROFS", CONDUIT_EACCESS},  {"ENOSPC", CONDUIT_ELIMIT},
        {"E2BIG", CONDUIT_ELIMIT},   {"EQUOTA", CONDUIT_ELIMIT},
        {"EINVAL", CONDUIT_EINVAL},  {"EAGAIN", CONDUIT_AGAIN},
        {"ENOSYS", CONDUIT_ENOTSUP},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, word) == 0) {
            return words[i].code;
        }
    }
    return CONDUIT_EIO;
}

size_t cdt_xs_number(const char *text, size_t size, uint32_t most,
                     uint32_t *out)
{
    uint32_t value = 0;
    size_t n = 0;

    for (; n < size && text[n] >= '0' && text[n] <= '9'; n++) {
        uint32_t digit = (uint32_t)(text[n] - '0');

        if (value > (most - digit) / 10) {
            return 0;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return n;
}

const char *cdt_xs_next_name(const char *list, size_t size, size_t *at)
{
    const char *name = list + *at;
    const char *end;

    if (*at >= size) {
        return NULL;
    }
    end = memchr(name, '\0', size - *at);
    if (end == NULL) {
        return NULL;
    }
    *at += (size_t)(end - name) + 1;
    return name;
}

int cdt_xs_parse_perms(const char *data, size_t size, struct cdt_xs_perm *perms,
                       size_t most)
{
    size_t at = 0;
    int count = 0;

    for (; at < size; count++) {
        char access = data[at++];
        uint32_t domain;
        size_t digits = cdt_xs_number(data + at, size - at, UINT16_MAX,
                                      &domain);

        at += digits;
        if (access == '\0' || strchr("nrwb", access) == NULL || digits == 0 ||
            (at < size && data[at++] != '\0')) {
            return CONDUIT_EPROTO;
        }
        if ((size_t)count < most) {
            perms[count].access = access;
            perms[count].domain = (uint16_t)domain;
        }
    }
    return count > 0 ? count : CONDUIT_EPROTO;
}

int cdt_xs_parse_number(const char *data, size_t size, uint32_t *out)
{
    size_t digits;

    if (size > 0 && data[size - 1] == '\0') {
        size--; /* the store ends its own numbers, not values, with a NUL */
    }
    digits = cdt_xs_number(data, size, UINT32_MAX, out);
    return digits > 0 && digits == size ? 0 : CONDUIT_EPROTO;
}
