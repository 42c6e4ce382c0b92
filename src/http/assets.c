/* SPDX-License-Identifier: ISC */
/*
 * Looking a path up among the files compiled into a program.
 *
 * The table is sorted by the build tool, so a binary search over it needs no
 * set-up and no memory. A hash table was not worth having: a site has tens of
 * files, and its buckets would have to be written by the tool as well.
 */
#include <conduit/assets.h>

/* A path to look for: what was asked for, and what is thought to follow it. */
struct wanted {
    const char *head;
    size_t head_len;
    const char *tail;
    size_t tail_len;
};

/*
 * Compares n bytes with the start of the string *at and moves *at past them.
 * Bytes are compared as unsigned char, as strcmp() does. The string may end
 * first: it is then the smaller one, also where the bytes hold a zero there.
 */
static int compare_part(const char *bytes, size_t n, const char **at)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char ours = (unsigned char)bytes[i];
        unsigned char theirs = (unsigned char)**at;

        if (theirs == 0) {
            return 1;
        }
        if (ours != theirs) {
            return ours < theirs ? -1 : 1;
        }
        (*at)++;
    }
    return 0;
}

static int compare(const struct wanted *wanted, const char *path)
{
    int order = compare_part(wanted->head, wanted->head_len, &path);

    if (order == 0) {
        order = compare_part(wanted->tail, wanted->tail_len, &path);
    }
    if (order == 0 && *path != '\0') {
        order = -1;
    }
    return order;
}

static const struct conduit_asset *search(const struct conduit_assets *assets,
                                          const struct wanted *wanted)
{
    size_t low = 0;
    size_t high = assets->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct conduit_asset *item = &assets->items[middle];
        int order = compare(wanted, item->path);

        if (order == 0) {
            return item;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const struct conduit_asset *
conduit_assets_find(const struct conduit_assets *assets, const char *path,
                    size_t path_len)
{
    static const char index[] = "index.html";
    struct wanted wanted = {.head = path, .head_len = path_len};
    const struct conduit_asset *found = search(assets, &wanted);

    if (found == NULL && path_len > 0 && path[path_len - 1] == '/') {
        wanted.tail = index;
        wanted.tail_len = sizeof(index) - 1;
        found = search(assets, &wanted);
    }
    return found;
}
