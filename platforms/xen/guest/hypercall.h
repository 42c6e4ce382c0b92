/* SPDX-License-Identifier: ISC */
/*
 * Calls into Xen by its hypercall page (Xen's arch-x86/xen-x86_64.h). Addresses
 * are the guest's own. Answers are 0 or more, or a negative errno of
 * <xen/errno.h>.
 */
#ifndef CDT_XEN_HYPERCALL_H
#define CDT_XEN_HYPERCALL_H

#include "layout.h"

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>

long cdt_hypercall(unsigned number, uintptr_t a, uintptr_t b); /* entry.S */

static inline long cdt_hypercall_op(unsigned number, unsigned op, void *arg)
{
    return cdt_hypercall(number, op, (uintptr_t)arg);
}

/*
 * Finds Xen by CPUID and has it write the hypercall page. false when there is
 * none, and then no call may be made.
 */
bool cdt_hypercall_init(void);

/* One of HVM_PARAM_*; 0 when Xen does not say. */
uint64_t cdt_hypercall_param(uint32_t index);

#endif
