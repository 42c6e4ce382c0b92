/* SPDX-License-Identifier: ISC */
/*
 * The C library's memory, from the guest's heap. musl's own malloc would ask
 * for pages by mmap() and, when it finds its heap broken, stop the processor,
 * which Xen takes for an orderly end.
 */
#include "guest.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *ptr)
{
    if (ptr == NULL) {
        errno = ENOMEM;
    }
    return ptr;
}

void *malloc(size_t size)
{
    return checked(cdt_heap_alloc(cdt_guest.heap, size));
}

void *calloc(size_t n, size_t size)
{
    size_t all;
    void *ptr;

    if (__builtin_mul_overflow(n, size, &all)) {
        return checked(NULL);
    }
    ptr = malloc(all);
    return ptr != NULL ? memset(ptr, 0, all) : NULL;
}

void *realloc(void *ptr, size_t size)
{
    return checked(cdt_heap_resize(cdt_guest.heap, ptr, size));
}

void free(void *ptr)
{
    cdt_heap_free(cdt_guest.heap, ptr);
}

void *aligned_alloc(size_t align, size_t size)
{
    if (align == 0 || (align & (align - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return checked(cdt_heap_aligned(cdt_guest.heap, align, size));
}

void *memalign(size_t align, size_t size)
{
    return aligned_alloc(align, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    void *ptr;

    if (align < sizeof(void *) || (align & (align - 1)) != 0) {
        return EINVAL;
    }
    ptr = cdt_heap_aligned(cdt_guest.heap, align, size);
    if (ptr == NULL) {
        return ENOMEM;
    }
    *out = ptr;
    return 0;
}

size_t malloc_usable_size(void *ptr)
{
    return ptr != NULL ? cdt_heap_usable(cdt_guest.heap, ptr) : 0;
}
