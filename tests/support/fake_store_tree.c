/* SPDX-License-Identifier: ISC */
/* A list in the order of making serves; the trees of tests are small. */
#include "fake_store_tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_node *fake_tree_find(const struct fake_tree *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->nodes[i].path, path) == 0) {
            return &t->nodes[i];
        }
    }
    return NULL;
}

/* Whether `path` is `above` or below it. */
bool fake_tree_is_below(const char *path, const char *above)
{
    size_t n = strlen(above);

    return strncmp(path, above, n) == 0 &&
           (path[n] == '\0' || path[n] == '/' || n == 1);
}

void fake_tree_parent_of(const char *path, char *out)
{
    size_t n = (size_t)(strrchr(path, '/') - path);

    memcpy(out, path, n > 0 ? n : 1);
    out[n > 0 ? n : 1] = '\0';
}

/* Makes a node, with the permissions of the one above it. */
static struct fake_node *make_one(struct fake_tree *t, const char *path)
{
    struct fake_node *node = fake_tree_find(t, path);
    struct fake_node *parent = NULL;
    char above[256];

    if (node != NULL) {
        return node;
    }
    fake_tree_parent_of(path, above);
    if ((t->count & (t->count - 1)) == 0) { /* always room for a power of 2 */
        t->nodes = realloc(t->nodes, (2 * t->count + 1) * sizeof *t->nodes);
        assert(t->nodes != NULL);
    }
    node = &t->nodes[t->count];
    memset(node, 0, sizeof *node);
    (void)snprintf(node->path, sizeof node->path, "%s", path);
    parent = t->count > 0 ? fake_tree_find(t, above) : NULL;
    t->count++;
    if (parent != NULL) {
        memcpy(node->perms, parent->perms, sizeof node->perms);
        node->perms_size = parent->perms_size;
    } else {
        node->perms_size = 1u + (size_t)snprintf(node->perms, 8, "n0");
    }
    return node;
}

/* Makes a node and those above it. */
struct fake_node *fake_tree_make(struct fake_tree *t, const char *path)
{
    char above[256];

    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] == '/') {
            memcpy(above, path, i);
            above[i] = '\0';
            (void)make_one(t, above);
        }
    }
    return make_one(t, path);
}

void fake_tree_drop(struct fake_tree *t, const char *path)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->count; i++) {
        if (!fake_tree_is_below(t->nodes[i].path, path)) {
            t->nodes[kept++] = t->nodes[i];
        }
    }
    t->count = kept;
}

struct fake_tree fake_tree_copy(const struct fake_tree *t)
{
    struct fake_tree c = {malloc(2 * t->count * sizeof *t->nodes), t->count};

    assert(c.nodes != NULL);
    memcpy(c.nodes, t->nodes, t->count * sizeof *t->nodes);
    return c;
}

bool fake_tree_may(const struct fake_node *node, char access)
{
    char own[8];

    (void)snprintf(own, sizeof own, "%d", FAKE_STORE_DOMAIN);
    if (strcmp(node->perms + 1, own) == 0) {
        return true;
    }
    for (size_t at = 0; at < node->perms_size;
         at += strlen(node->perms + at) + 1) {
        const char *p = node->perms + at;

        if ((at == 0 || strcmp(p + 1, own) == 0) &&
            (p[0] == 'b' || p[0] == access)) {
            return true;
        }
    }
    return false;
}
