/* SPDX-License-Identifier: ISC */
/*
 * Page tables: memory one to one, each part with the rights that it needs and
 * no page both writable and executable. Page 0 and the page below the stack are
 * not mapped, nor is anything that is not memory.
 */
#ifndef CDT_XEN_PAGING_H
#define CDT_XEN_PAGING_H

#include <stdbool.h>
#include <stdint.h>

enum cdt_rights { CDT_READ, CDT_WRITE, CDT_EXECUTE };

/*
 * Maps [from, to), whole pages that were not mapped, to itself. Tables are made
 * of pages that `page` gives, which are cleared and 4,096 bytes. false: there
 * are none.
 */
bool cdt_paging_map(uint64_t from, uint64_t to, enum cdt_rights rights);

/* Where tables get their memory: `page` answers NULL when there is none. Begins
 * with empty tables. */
bool cdt_paging_init(void *(*page)(void));

/* Maps the image by its sections, and makes these tables the processor's. */
bool cdt_paging_image(void);
void cdt_paging_use(void);

/* Whether an address is mapped, for whoever follows doubtful pointers. */
bool cdt_paging_mapped(uint64_t at);

#endif
