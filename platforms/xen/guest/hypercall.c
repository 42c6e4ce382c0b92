/* SPDX-License-Identifier: ISC */
/* Finding Xen. The leaves of CPUID are those of Xen's arch-x86/cpuid.h. */
#include "hypercall.h"

#include <xen/arch-x86/cpuid.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

/* Xen's leaves may lie behind those of an interface that it imitates. */
#define LEAVES_STEP 0x100u
#define LEAVES_END 0x40010000u

struct leaf {
    uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t number)
{
    struct leaf leaf;

    /* Not <cpuid.h>'s: clang 14 loses rbx by it where ECX is not used. */
    __asm__ volatile("cpuid"
                     : "=a"(leaf.eax), "=b"(leaf.ebx), "=c"(leaf.ecx),
                       "=d"(leaf.edx)
                     : "a"(number), "c"(0));
    return leaf;
}

static uint32_t find_leaves(void)
{
    uint32_t base;

    for (base = XEN_CPUID_FIRST_LEAF; base < LEAVES_END; base += LEAVES_STEP) {
        struct leaf leaf = cpuid(base);

        if (leaf.ebx == XEN_CPUID_SIGNATURE_EBX &&
            leaf.ecx == XEN_CPUID_SIGNATURE_ECX &&
            leaf.edx == XEN_CPUID_SIGNATURE_EDX && leaf.eax >= base + 2) {
            return base;
        }
    }
    return 0;
}

bool cdt_hypercall_init(void)
{
    uint32_t base = find_leaves();
    uintptr_t page = (uintptr_t)cdt_hypercall_page;

    if (base == 0) {
        return false;
    }
    /* EBX of that leaf is the MSR that takes the page's address. */
    __asm__ volatile("wrmsr"
                     :
                     : "c"(cpuid(base + 2).ebx), "a"((uint32_t)page),
                       "d"((uint32_t)(page >> 32))
                     : "memory");
    return true;
}

uint64_t cdt_hypercall_param(uint32_t index)
{
    struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index};

    if (cdt_hypercall_op(__HYPERVISOR_hvm_op, HVMOP_get_param, &param) != 0) {
        return 0;
    }
    return param.value;
}
