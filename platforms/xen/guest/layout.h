/* SPDX-License-Identifier: ISC */
/*
 * Where things are in the guest's memory: the sections of guest.ld and the
 * stacks of entry.S. Addresses are physical ones; the page tables map memory
 * one to one.
 */
#ifndef CDT_XEN_LAYOUT_H
#define CDT_XEN_LAYOUT_H

#define CDT_STACK_SIZE 262144

/* More than the largest frame of what was compiled without probing its stack,
 * musl's printf. */
#define CDT_STACK_GUARD 16384

#ifndef __ASSEMBLER__
#include <stdint.h>

/* guest.ld: each begins a page. */
extern char cdt_image_start[];  /* read, execute */
extern char cdt_rodata_start[]; /* read */
extern char cdt_data_start[];   /* read, write */
extern char cdt_image_end[];

/* The functions within the first. */
extern char cdt_text_start[];
extern char cdt_text_end[];

/* entry.S */
extern char cdt_stack_guard[]; /* CDT_STACK_GUARD bytes, not mapped */
extern char cdt_stack[];
extern char cdt_stack_top[];
extern char cdt_hypercall_page[];
extern char cdt_trap_entries[]; /* 32 of 16 bytes */
extern char cdt_syscall_entry[];
extern uint64_t cdt_gdt[5];
extern uint64_t cdt_entry_tsc; /* the counter at the first instruction */
#endif

#endif
