/* SPDX-License-Identifier: ISC */
/*
 * Files compiled into a program: web pages, certificates, whatever an
 * application would otherwise look for on a disk. A unikernel has none, and a
 * single binary that carries its own page cannot be installed by halves.
 *
 * The build tool conduit-assets turns a folder into one C file that defines a
 * struct conduit_assets. Everything in it is constant: nothing is copied,
 * allocated or initialised at run time, and the bytes can be sent from where
 * they lie. A table written by hand, or built by a program, does as well as
 * long as it keeps the rules below.
 */
#ifndef CONDUIT_ASSETS_H
#define CONDUIT_ASSETS_H

#include <stddef.h>

#include <conduit/error.h>

/*
 * One file. Whoever made the table owns the strings and the bytes, and keeps
 * them unchanged for as long as anybody may use the table; for a table from
 * conduit-assets that is for ever.
 */
struct conduit_asset {
    /*
     * Where it is: the path below the folder, beginning with '/', such as
     * "/index.html". Raw bytes as the file system had them, never
     * percent-encoded: decode a request's target before looking it up.
     */
    const char *path;
    /* Its media type (RFC 9110 section 8.3), e.g. "text/css; charset=utf-8" */
    const char *type;
    /*
     * A strong entity tag (RFC 9110 section 8.8.3), its quotes included, made
     * from the content alone: it changes when a byte does and not when the
     * program is merely built again.
     */
    const char *etag;
    /* The content; not NULL even where size is 0 */
    const void *data;
    /* Bytes in data */
    size_t size;
};

/*
 * A folder's worth of them, sorted by path in the order of strcmp(), each path
 * once. items may be NULL where count is 0.
 */
struct conduit_assets {
    const struct conduit_asset *items;
    size_t count; /* in items */
};

/*
 * The asset at a path, or NULL where there is none.
 *
 * path is path_len bytes and needs no end mark, so that it can be a slice of a
 * request. It matches a whole path exactly: case counts, and "." or ".." or a
 * doubled '/' mean nothing special. A path that ends in '/' and is no asset
 * itself stands for the index.html in it, so "/" finds "/index.html".
 *
 * The answer belongs to the table. Never blocks, never allocates, cannot fail
 * otherwise; a binary search, safe from any thread.
 */
CONDUIT_API const struct conduit_asset *
conduit_assets_find(const struct conduit_assets *assets, const char *path,
                    size_t path_len);

#endif
