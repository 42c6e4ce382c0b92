/* SPDX-License-Identifier: ISC */
/*
 * Where Xen enters the guest, and where the processor enters it again: for
 * traps, and for the system calls that musl makes inline.
 *
 * PVH (Xen's docs/misc/pvh.pandoc): 32-bit protected mode, paging off,
 * interrupts off, %ebx = physical address of struct hvm_start_info. Interrupts
 * stay off for good. The tables made here map the first GiB one to one, for as
 * long as paging.c needs to make better ones.
 */
#include "layout.h"

#include <xen/elfnote.h>

#define CR0_LONG 0x80010033     /* PG, WP, NE, ET, MP, PE */
#define CR4_LONG 0x620          /* OSXMMEXCPT, OSFXSR, PAE */
#define MSR_EFER 0xc0000080
#define EFER_LONG 0x901         /* NXE, LME, SCE */
#define MSR_FS_BASE 0xc0000100
#define CODE 8
#define DATA 16

        .section .note.Xen, "a", @note
        .align 4
        .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long cdt_entry

/* ---- entry ---------------------------------------------------------------- */

        .section .text.entry, "ax", @progbits
        .code32
        .globl cdt_entry
cdt_entry:
        cld
        rdtsc                           /* how long it takes from here */
        movl    %eax, cdt_entry_tsc
        movl    %edx, cdt_entry_tsc + 4
        movl    $cdt_stack_top, %esp

        movl    $(early_pdpt + 3), early_pml4   /* present, writable */
        movl    $(early_pd + 3), early_pdpt
        movl    $early_pd, %edi
        movl    $0x83, %eax             /* 2 MiB, present, writable */
1:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $0x200000, %eax
        cmpl    $0x40000000, %eax
        jb      1b

        movl    $CR4_LONG, %eax
        movl    %eax, %cr4
        movl    $early_pml4, %eax
        movl    %eax, %cr3
        movl    $MSR_EFER, %ecx
        rdmsr
        orl     $EFER_LONG, %eax
        wrmsr
        movl    $CR0_LONG, %eax
        movl    %eax, %cr0
        lgdt    gdt_pointer
        ljmp    $CODE, $2f

        .code64
2:      movl    $DATA, %eax
        movl    %eax, %ss
        movl    %eax, %ds
        movl    %eax, %es
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        fninit
        movl    $cdt_stack_top, %esp    /* clears the upper half */
        xorl    %ebp, %ebp              /* a backtrace ends here */
        movl    $MSR_FS_BASE, %ecx      /* stack protectors read %fs:0x28 */
        movl    $early_tls, %eax
        xorl    %edx, %edx
        wrmsr
        movl    %ebx, %edi
        call    cdt_boot
        ud2

        .data
        .align 8
        .globl cdt_gdt
cdt_gdt:
        .quad   0
        .quad   0x00af9b000000ffff      /* CODE: 64 bits, ring 0 */
        .quad   0x00cf93000000ffff      /* DATA */
        .quad   0, 0                    /* the TSS; trap.c fills it in */
gdt_end:
gdt_pointer:
        .word   gdt_end - cdt_gdt - 1
        .long   cdt_gdt

        .bss
        .align 4096
early_pml4:
        .skip   4096
early_pdpt:
        .skip   4096
early_pd:
        .skip   4096
        .align 16
early_tls:                      /* until musl has its own */
        .skip   64
        .globl cdt_entry_tsc
cdt_entry_tsc:
        .skip   8

/* What is below the stack is not in the page tables. */
        .section .stack, "aw", @nobits
        .align 4096
        .globl cdt_stack_guard, cdt_stack, cdt_stack_top
cdt_stack_guard:
        .skip   CDT_STACK_GUARD
cdt_stack:
        .skip   CDT_STACK_SIZE
cdt_stack_top:

/* Xen writes it when the guest names it (hypercall.c). */
        .section .text.hypercall, "ax", @progbits
        .align 4096
        .globl cdt_hypercall_page
cdt_hypercall_page:
        .skip   4096, 0xcc

/* long cdt_hypercall(unsigned number, uintptr_t a, uintptr_t b) */
        .text
        .globl  cdt_hypercall
cdt_hypercall:
        movl    %edi, %eax
        shll    $5, %eax
        leaq    cdt_hypercall_page(%rax), %rax
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        jmp     *%rax

/* ---- traps ---------------------------------------------------------------- */

/*
 * The processor has changed to the stack for traps (trap.c) and pushed what
 * struct cdt_trap_frame ends with. Nothing returns from here.
 */
        .text
        .altmacro
        .macro  TRAP number
        .align  16
        .if \number == 8 || \number == 17 || \number == 21 || \number == 29 || \number == 30 || (\number >= 10 && \number <= 14)
        .else
        pushq   $0                      /* no error code of its own */
        .endif
        pushq   $\number
        jmp     trap_common
        .endm

        .align  16
        .globl  cdt_trap_entries
cdt_trap_entries:
        .set    number, 0
        .rept   32
        TRAP    %number
        .set    number, number + 1
        .endr

trap_common:
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rbp
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        cld
        movq    %rsp, %rdi
        andq    $-16, %rsp
        call    cdt_trap
        ud2

/* ---- system calls --------------------------------------------------------- */

/*
 * The caller is in ring 0 as well and keeps its stack, but for the 128 bytes
 * below it that the ABI lets a leaf function use. As Linux does, everything but
 * rax, rcx and r11 is given back as it was, vector registers included.
 */
        .globl  cdt_syscall_entry
cdt_syscall_entry:
        leaq    -128(%rsp), %rsp
        pushq   %rbp
        movq    %rsp, %rbp
        pushq   %rcx                    /* where it comes from */
        pushq   %r11                    /* its flags */
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %r10
        pushq   %r8
        pushq   %r9
        pushq   %rax
        movq    %rsp, %rdi              /* struct cdt_syscall */
        subq    $512, %rsp
        andq    $-16, %rsp
        fxsaveq (%rsp)
        cld
        call    cdt_syscall
        fxrstorq (%rsp)
        leaq    -72(%rbp), %rsp
        addq    $8, %rsp                /* rax is the answer */
        popq    %r9
        popq    %r8
        popq    %r10
        popq    %rdx
        popq    %rsi
        popq    %rdi
        popq    %r11
        popq    %rcx
        popq    %rbp
        pushq   %r11
        popfq
        leaq    128(%rsp), %rsp
        jmp     *%rcx

        .section .note.GNU-stack, "", @progbits
