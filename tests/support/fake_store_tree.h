/* SPDX-License-Identifier: ISC */
/* The nodes of fake_store, and who may do what to them. */
#ifndef TESTS_FAKE_STORE_TREE_H
#define TESTS_FAKE_STORE_TREE_H

#include "fake_store.h"

struct fake_node {
    char path[256];
    char value[XENSTORE_PAYLOAD_MAX + 1];
    size_t size;
    char perms[64];
    size_t perms_size;
    uint64_t generation;
};

struct fake_node *fake_tree_find(const struct fake_tree *t, const char *path);
bool fake_tree_is_below(const char *path, const char *above);
void fake_tree_parent_of(const char *path, char *out);
struct fake_node *fake_tree_make(struct fake_tree *t, const char *path);
void fake_tree_drop(struct fake_tree *t, const char *path);
struct fake_tree fake_tree_copy(const struct fake_tree *t);
bool fake_tree_may(const struct fake_node *node, char access);

#endif
