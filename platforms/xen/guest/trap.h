/* SPDX-License-Identifier: ISC */
/*
 * What the processor does when the program does what it must not: the registers
 * and the way that led there go to the console, and the domain ends as crashed.
 */
#ifndef CDT_XEN_TRAP_H
#define CDT_XEN_TRAP_H

#include <stdint.h>

/* Takes over the processor's traps, on a stack of their own. */
void cdt_trap_init(void);

/*
 * Prints `rip` and the return addresses of the frames from `rbp` up, for
 * addr2line. Where rbp is no frame pointer, because libc has none, the next one
 * is looked for on the stack from `rsp` up.
 */
void cdt_trap_backtrace(uint64_t rip, uint64_t rbp, uint64_t rsp);

/* The same for where it is called. */
#define CDT_BACKTRACE_HERE()                                   \
    cdt_trap_backtrace((uintptr_t)__builtin_return_address(0), \
                       (uintptr_t)__builtin_frame_address(0),  \
                       (uintptr_t)__builtin_frame_address(0))

#endif
