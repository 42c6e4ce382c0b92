/* SPDX-License-Identifier: ISC */
/*
 * Traps (Intel SDM volume 3, chapter 6). All of them use a stack of their own
 * by the TSS, since a stack that has run into its guard page can take nothing
 * more. A trap within this code ends the domain at once.
 */
#include "trap.h"

#include "guest.h"
#include "layout.h"
#include "paging.h"

#include <stdbool.h>
#include <stddef.h>

#include <xen/sched.h>

#define TRAPS 32
#define PAGE_FAULT 14
#define FRAMES_MAX 32
#define SEARCH_MAX 512 /* words of the stack */
#define STACK_WORDS 512
#define CODE 0x08
#define TSS 0x18
#define IST_TRAP 1

struct cdt_trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t number, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};

/* The 64-bit TSS in halves of what the manual shows, which is not aligned. */
static uint32_t tss[26];
static struct gate idt[TRAPS];
static uint64_t trap_stack[STACK_WORDS * 2] __attribute__((aligned(16)));
static bool trapping;

static const char *const names[TRAPS] = {
    "division error",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid instruction",
    "no floating point",
    "double fault",
    "trap 9",
    "invalid TSS",
    "segment not present",
    "stack segment",
    "general protection",
    "page fault",
    "trap 15",
    "floating point",
    "alignment",
    "machine check",
    "vector floating point",
};

void cdt_trap_init(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof idt - 1, (uintptr_t)idt};
    uint64_t base = (uintptr_t)tss;
    uint64_t stack = (uintptr_t)(trap_stack +
                                 sizeof trap_stack / sizeof trap_stack[0]);

    for (unsigned i = 0; i < TRAPS; i++) {
        uint64_t entry = (uintptr_t)(cdt_trap_entries + (size_t)16 * i);

        idt[i] = (struct gate){
            .offset_low = (uint16_t)entry,
            .selector = CODE,
            .ist = IST_TRAP,
            .type = 0x8e, /* present, interrupt gate */
            .offset_mid = (uint16_t)(entry >> 16),
            .offset_high = (uint32_t)(entry >> 32),
        };
    }
    tss[9] = (uint32_t)stack; /* IST1 */
    tss[10] = (uint32_t)(stack >> 32);
    tss[25] = sizeof tss << 16; /* no I/O permission map */
    cdt_gdt[3] = (sizeof tss - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
                 (base >> 24 & 0xff) << 56;
    cdt_gdt[4] = base >> 32;
    __asm__ volatile("lidt %0\n\tltr %w1"
                     :
                     : "m"(pointer), "r"(TSS)
                     : "memory");
}

static bool is_text(uint64_t at)
{
    return at >= (uintptr_t)cdt_text_start && at < (uintptr_t)cdt_text_end;
}

static bool is_stack(uint64_t at)
{
    return at % 8 == 0 && at >= (uintptr_t)cdt_stack &&
           at <= (uintptr_t)cdt_stack_top - 16;
}

/* Whether a saved frame pointer and a return address are there. */
static bool is_frame(uint64_t at)
{
    const uint64_t *frame = (const uint64_t *)(uintptr_t)at;

    return is_stack(at) && is_text(frame[1]) &&
           (frame[0] == 0 || frame[0] > at);
}

static uint64_t find_frame(uint64_t rsp)
{
    for (unsigned i = 0; i < SEARCH_MAX && is_stack(rsp); i++, rsp += 8) {
        const uint64_t *word = (const uint64_t *)(uintptr_t)rsp;

        if (is_frame(rsp) && is_frame(word[0])) {
            return rsp;
        }
    }
    return 0;
}

void cdt_trap_backtrace(uint64_t rip, uint64_t rbp, uint64_t rsp)
{
    uint64_t at = is_frame(rbp) ? rbp : find_frame(rsp & ~7ull);

    cdt_guest_print("  addr2line -fpe %s %lx", cdt_application_name, rip);
    for (unsigned i = 0; i < FRAMES_MAX && is_frame(at); i++) {
        const uint64_t *frame = (const uint64_t *)(uintptr_t)at;

        cdt_guest_print(" %lx", frame[1]);
        at = frame[0];
    }
    cdt_guest_print("\n");
}

static const char *fault_reason(const struct cdt_trap_frame *f, uint64_t at)
{
    uint64_t guard = (uintptr_t)cdt_stack_guard;

    if (at >= guard && at < (uintptr_t)cdt_stack) {
        return "the stack is full";
    }
    if (at < 0x1000) {
        return "a null pointer";
    }
    if ((f->error & 0x10) != 0) {
        return "an instruction in memory that holds none";
    }
    if ((f->error & 0x1) == 0) {
        return "no memory is there";
    }
    return (f->error & 0x2) != 0 ? "a write to read-only memory"
                                 : "a read that is not allowed";
}

static void print_registers(const struct cdt_trap_frame *f)
{
    cdt_guest_print("  rip %lx rsp %lx rfl %lx err %lx\n", f->rip, f->rsp,
                    f->rflags, f->error);
    cdt_guest_print("  rax %lx rbx %lx rcx %lx rdx %lx\n", f->rax, f->rbx,
                    f->rcx, f->rdx);
    cdt_guest_print("  rsi %lx rdi %lx rbp %lx r8  %lx\n", f->rsi, f->rdi,
                    f->rbp, f->r8);
    cdt_guest_print("  r9  %lx r10 %lx r11 %lx r12 %lx\n", f->r9, f->r10,
                    f->r11, f->r12);
    cdt_guest_print("  r13 %lx r14 %lx r15 %lx\n", f->r13, f->r14, f->r15);
}

/* entry.S calls it. */
_Noreturn void cdt_trap(const struct cdt_trap_frame *f);

_Noreturn void cdt_trap(const struct cdt_trap_frame *f)
{
    const char *name = f->number < TRAPS ? names[f->number] : NULL;
    uint64_t at;

    if (trapping) {
        cdt_guest.xen->ops->shutdown(cdt_guest.xen, SHUTDOWN_crash);
    }
    trapping = true;
    __asm__ volatile("mov %%cr2, %0" : "=r"(at));
    cdt_guest_print("conduit: trap %lu: %s", f->number,
                    name != NULL ? name : "reserved");
    if (f->number == PAGE_FAULT) {
        cdt_guest_print(" at %lx: %s", at, fault_reason(f, at));
    }
    cdt_guest_print("\n");
    print_registers(f);
    cdt_trap_backtrace(f->rip, f->rbp, f->rsp);
    cdt_guest_end(SHUTDOWN_crash);
}
