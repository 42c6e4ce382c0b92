/* SPDX-License-Identifier: ISC */
/*
 * Four levels of page tables (Intel SDM volume 3, 4.5). Large pages of 2 MiB
 * wherever a whole one has the same rights and nothing of it was mapped before;
 * none is ever cut up.
 */
#include "paging.h"

#include "layout.h"

#include <stddef.h>

#define PRESENT 0x1u
#define WRITABLE 0x2u
#define LARGE 0x80u
#define NO_EXECUTE (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull

#define PAGE 0x1000u
#define LARGE_PAGE 0x200000u

static uint64_t *top;
static void *(*new_page)(void);

static const uint64_t bits[] = {
    [CDT_READ] = PRESENT | NO_EXECUTE,
    [CDT_WRITE] = PRESENT | WRITABLE | NO_EXECUTE,
    [CDT_EXECUTE] = PRESENT,
};

static uint64_t *entry_of(uint64_t *table, uint64_t at, unsigned level)
{
    return &table[(at >> (12 + 9 * level)) & 511];
}

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(uintptr_t)(entry & ADDRESS);
}

/* The entry for an address at a level (0: pages, 1: large ones); NULL when it
 * is not there, and `make` is off or there is no memory. */
static uint64_t *walk(uint64_t at, unsigned level, bool make)
{
    uint64_t *table = top;

    for (unsigned l = 3; l > level; l--) {
        uint64_t *entry = entry_of(table, at, l);

        if ((*entry & PRESENT) == 0) {
            uint64_t *page = make ? new_page() : NULL;

            if (page == NULL) {
                return NULL;
            }
            *entry = (uintptr_t)page | PRESENT | WRITABLE;
        } else if ((*entry & LARGE) != 0) {
            return entry;
        }
        table = table_of(*entry);
    }
    return entry_of(table, at, level);
}

static bool is_empty(uint64_t at, unsigned level)
{
    const uint64_t *entry = walk(at, level, false);

    return entry == NULL || (*entry & PRESENT) == 0;
}

bool cdt_paging_map(uint64_t from, uint64_t to, enum cdt_rights rights)
{
    while (from < to) {
        bool large = from % LARGE_PAGE == 0 && to - from >= LARGE_PAGE &&
                     is_empty(from, 1);
        uint64_t *entry = walk(from, large ? 1 : 0, true);

        if (entry == NULL) {
            return false;
        }
        *entry = from | bits[rights] | (large ? LARGE : 0);
        from += large ? LARGE_PAGE : PAGE;
    }
    return true;
}

bool cdt_paging_init(void *(*page)(void))
{
    new_page = page;
    top = page();
    return top != NULL;
}

bool cdt_paging_image(void)
{
    uint64_t start = (uintptr_t)cdt_image_start;
    uint64_t rodata = (uintptr_t)cdt_rodata_start;
    uint64_t data = (uintptr_t)cdt_data_start;
    uint64_t guard = (uintptr_t)cdt_stack_guard;
    uint64_t stack = (uintptr_t)cdt_stack;
    uint64_t end = (uintptr_t)cdt_image_end;

    return cdt_paging_map(start, rodata, CDT_EXECUTE) &&
           cdt_paging_map(rodata, data, CDT_READ) &&
           cdt_paging_map(data, guard, CDT_WRITE) &&
           cdt_paging_map(stack, end, CDT_WRITE);
}

void cdt_paging_use(void)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"((uintptr_t)top) : "memory");
}

bool cdt_paging_mapped(uint64_t at)
{
    return top != NULL && !is_empty(at, 0);
}
