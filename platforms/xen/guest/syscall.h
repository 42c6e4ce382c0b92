/* SPDX-License-Identifier: ISC */
/*
 * What musl asks of a kernel, and of it what makes sense in a guest: the
 * console as standard input, output and error, clocks, sleeping, and ending.
 * Memory is not among it; malloc.c gives that to musl directly. All else is
 * ENOSYS.
 */
#ifndef CDT_XEN_SYSCALL_H
#define CDT_XEN_SYSCALL_H

/* Points the processor's SYSCALL instruction at entry.S. */
void cdt_syscall_init(void);

#endif
