/* SPDX-License-Identifier: ISC */
/*
 * How a guest comes up: Xen, page tables, traps, console, memory, entropy, the
 * command line; then musl starts as it does below Linux, with a stack that
 * holds arguments, environment and the auxiliary vector, and calls main().
 *
 * Memory is what Xen's memory map calls RAM (xen/arch-x86/hvm/start_info.h).
 * The heap gets the piece that the image is in, behind the image and what Xen
 * has put there. What else there is, below the image and above 4 GiB, is left
 * alone; the log says how much that is.
 */
#include "guest.h"

#include "clock.h"
#include "cmdline.h"
#include "heap.h"
#include "hypercall.h"
#include "layout.h"
#include "paging.h"
#include "syscall.h"
#include "trap.h"

#include <elf.h>
#include <stdarg.h>
#include <string.h>

#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>

#define PAGE 4096u
#define CONSOLE_DRAIN_NS 2000000000u
#define AUX_MAX 20

struct cdt_guest cdt_guest;

struct piece {
    uint64_t from;
    uint64_t to;
};

/* What is left of the piece of memory behind the image: page tables come from
 * its start, the heap gets the rest. */
static struct piece room;
static struct cdt_cmdline cmdline;
static char cmdline_text[4096];

/* entry.S calls it. */
_Noreturn void cdt_boot(const struct hvm_start_info *info);

/* musl's start, and the program's main(). */
int main(int argc, char **argv);
_Noreturn void __libc_start_main(int (*main)(int, char **), int argc,
                                 char **argv);

/* ---- saying and ending -------------------------------------------------- */

/* Where there is no console yet: Xen's own log, if it keeps one for guests. */
static void print_debug(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        __asm__ volatile("outb %0, %1" : : "a"(text[i]), "Nd"((uint16_t)0xe9));
    }
}

static void print(const char *text, size_t n)
{
    if (cdt_guest.console.ring != NULL) {
        cdt_console_write(&cdt_guest.console, text, n);
    } else {
        print_debug(text, n);
    }
}

static void print_number(uint64_t number, unsigned base, unsigned digits)
{
    char buf[20];
    size_t at = sizeof buf;

    do {
        buf[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0 || sizeof buf - at < digits);
    print(buf + at, sizeof buf - at);
}

/* These are last words: they wait for a console that is behind, once. */
static void await_console(void)
{
    static bool waited;

    if (cdt_guest.console.lost > 0 && !waited) {
        waited = true;
        cdt_console_drain(&cdt_guest.console,
                          cdt_guest.xen->ops->now(cdt_guest.xen) +
                              CONSOLE_DRAIN_NS);
    }
}

void cdt_guest_print(const char *format, ...)
{
    va_list args;

    await_console();
    va_start(args, format);
    while (*format != '\0') {
        size_t plain = strcspn(format, "%");

        print(format, plain);
        format += plain;
        if (strncmp(format, "%s", 2) == 0) {
            const char *text = va_arg(args, const char *);

            print(text, strlen(text));
            format += 2;
        } else if (strncmp(format, "%lu", 3) == 0) {
            print_number(va_arg(args, uint64_t), 10, 1);
            format += 3;
        } else if (strncmp(format, "%lx", 3) == 0) {
            print_number(va_arg(args, uint64_t), 16, 16);
            format += 3;
        } else if (*format != '\0') {
            format++;
        }
    }
    va_end(args);
}

void cdt_guest_end(unsigned reason)
{
    struct cdt_xen *xen = cdt_guest_xen();

    if (cdt_guest.console.ring != NULL) {
        cdt_console_drain(&cdt_guest.console,
                          xen->ops->now(xen) + CONSOLE_DRAIN_NS);
    }
    xen->ops->shutdown(xen, reason);
    for (;;) {
        __asm__ volatile("hlt");
    }
}

void cdt_guest_crash(const char *text)
{
    cdt_guest_print("conduit: %s\n", text);
    cdt_guest_end(SHUTDOWN_crash);
}

/* ---- memory ------------------------------------------------------------- */

static void *boot_page(void)
{
    void *page = (void *)(uintptr_t)room.from;

    if (room.to - room.from < PAGE) {
        return NULL;
    }
    room.from += PAGE;
    return memset(page, 0, PAGE);
}

static const struct hvm_memmap_table_entry *
memory_map(const struct hvm_start_info *info)
{
    return (const struct hvm_memmap_table_entry *)(uintptr_t)info->memmap_paddr;
}

static uint64_t page_up(uint64_t at)
{
    return (at + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* Whole pages of an entry of the map; empty when it is not memory. */
static struct piece piece_of(const struct hvm_memmap_table_entry *entry)
{
    struct piece p = {0, 0};

    if (entry->type == XEN_HVM_MEMMAP_TYPE_RAM) {
        p.from = page_up(entry->addr);
        p.to = (entry->addr + entry->size) & ~(uint64_t)(PAGE - 1);
    }
    return p.to > p.from ? p : (struct piece){0, 0};
}

/* Moves the start of the room behind what Xen has put into it. */
static void keep(uint64_t at, uint64_t size)
{
    if (size > 0 && at < room.to && at + size > room.from) {
        room.from = page_up(at + size);
    }
}

static bool find_room(const struct hvm_start_info *info)
{
    const struct hvm_memmap_table_entry *map = memory_map(info);
    uint64_t image = (uintptr_t)cdt_image_start;

    for (uint32_t i = 0; i < info->memmap_entries; i++) {
        struct piece p = piece_of(&map[i]);

        if (p.from <= image && p.to > (uintptr_t)cdt_image_end) {
            room = (struct piece){(uintptr_t)cdt_image_end, p.to};
            keep((uintptr_t)info, sizeof *info);
            keep(info->memmap_paddr, info->memmap_entries * sizeof *map);
            return room.from < room.to;
        }
    }
    return false;
}

static void count_unused(const struct hvm_start_info *info)
{
    const struct hvm_memmap_table_entry *map = memory_map(info);

    for (uint32_t i = 0; i < info->memmap_entries; i++) {
        struct piece p = piece_of(&map[i]);

        if (p.to != room.to) {
            cdt_guest.unused += p.to - p.from;
        }
    }
}

/* A page that Xen shares, by its number; NULL when there is none. */
static void *shared_page(uint32_t param)
{
    uint64_t at = cdt_hypercall_param(param) * PAGE;

    if (at == 0 || !cdt_paging_map(at, at + PAGE, CDT_WRITE)) {
        return NULL;
    }
    return (void *)(uintptr_t)at;
}

static void init_console(struct xencons_interface *ring)
{
    uint64_t port = cdt_hypercall_param(HVM_PARAM_CONSOLE_EVTCHN);

    if (ring != NULL && port != 0) {
        cdt_console_init(&cdt_guest.console, cdt_guest.xen, ring,
                         (uint32_t)port);
    }
}

/* From here on nothing is both writable and executable, and there is a console.
 */
static bool init_memory(const struct hvm_start_info *info)
{
    struct xencons_interface *ring;

    if (!cdt_paging_init(boot_page) || !cdt_paging_image() ||
        !cdt_paging_map((uintptr_t)cdt_image_end, room.to, CDT_WRITE)) {
        return false;
    }
    count_unused(info);
    ring = shared_page(HVM_PARAM_CONSOLE_PFN);
    cdt_guest.store_ring = shared_page(HVM_PARAM_STORE_PFN);
    cdt_guest.store_port = (uint32_t)cdt_hypercall_param(
        HVM_PARAM_STORE_EVTCHN);
    cdt_paging_use();
    init_console(ring);
    return true;
}

static _Noreturn void heap_fault(const char *what, const void *at)
{
    cdt_guest_print("conduit: heap: %s: %lx\n", what, (uint64_t)(uintptr_t)at);
    CDT_BACKTRACE_HERE();
    cdt_guest_end(SHUTDOWN_crash);
}

static void init_heap(void)
{
    cdt_guest.heap = cdt_heap_new((void *)(uintptr_t)room.from,
                                  room.to - room.from, heap_fault);
    if (cdt_guest.heap == NULL) {
        cdt_guest_crash("the domain has too little memory");
    }
}

/* ---- the program's start ------------------------------------------------ */

static void init_entropy(void)
{
    if (!cdt_entropy_present()) {
        cdt_guest_crash("the processor has no RDRAND, and without it there is "
                        "no entropy");
    }
    if (cdt_entropy_init(&cdt_guest.entropy, cdt_entropy_rdrand) != 0) {
        cdt_guest_crash(cdt_guest.entropy.failed);
    }
}

/* Takes a copy while it is mapped. */
static void keep_cmdline(const struct hvm_start_info *info)
{
    const char *text = (const char *)(uintptr_t)info->cmdline_paddr;

    if (text != NULL) {
        memcpy(cmdline_text, text, strnlen(text, sizeof cmdline_text));
    }
}

static void parse_cmdline(void)
{
    const char *why = "longer than 4095 bytes";

    if (cmdline_text[sizeof cmdline_text - 1] != '\0' ||
        cdt_cmdline_parse(&cmdline, cmdline_text, &why) != 0) {
        cdt_guest_print("conduit: command line: %s\n", why);
        cdt_guest_end(SHUTDOWN_crash);
    }
}

/* What follows the environment on the stack (System V ABI, AMD64, 3.4.3). */
static size_t fill_auxv(uintptr_t *aux)
{
    extern const Elf64_Ehdr __ehdr_start;
    static uint8_t random[16];
    const uintptr_t vector[] = {
        AT_PAGESZ, PAGE,
        AT_PHDR,   (uintptr_t)&__ehdr_start + __ehdr_start.e_phoff,
        AT_PHENT,  __ehdr_start.e_phentsize,
        AT_PHNUM,  __ehdr_start.e_phnum,
        AT_RANDOM, (uintptr_t)random,
        AT_NULL,   0,
    };

    if (cdt_entropy_read(&cdt_guest.entropy, random, sizeof random) != 0) {
        cdt_guest_crash(cdt_guest.entropy.failed);
    }
    memcpy(aux, vector, sizeof vector);
    return sizeof vector / sizeof vector[0];
}

static _Noreturn void start_libc(void)
{
    static uintptr_t vector[2 * CDT_CMDLINE_WORDS + 3 + AUX_MAX];
    size_t n = 0;

    vector[n++] = (uintptr_t)cdt_application_name;
    for (size_t i = 0; i < cmdline.argc; i++) {
        vector[n++] = (uintptr_t)cmdline.args[i];
    }
    vector[n++] = 0;
    for (size_t i = 0; i < cmdline.envs; i++) {
        vector[n++] = (uintptr_t)cmdline.env[i];
    }
    vector[n++] = 0;
    (void)fill_auxv(vector + n);
    __libc_start_main(main, (int)cmdline.argc + 1, (char **)vector);
}

void cdt_boot(const struct hvm_start_info *info)
{
    cdt_guest.xen = cdt_guest_xen();
    cdt_events_init(&cdt_guest.events, cdt_guest.xen);
    if (info->magic != XEN_HVM_START_MAGIC_VALUE || info->version < 1 ||
        !cdt_hypercall_init()) {
        cdt_guest_print("conduit: not started by Xen 4.11 or later as PVH\n");
        for (;;) {
            __asm__ volatile("hlt");
        }
    }
    keep_cmdline(info);
    if (cdt_guest_share() != 0) {
        cdt_guest_crash("Xen does not share its page");
    }
    if (!find_room(info)) {
        cdt_guest_crash("the memory map has no room behind the image");
    }
    if (!init_memory(info)) {
        cdt_guest_crash("too little memory for page tables");
    }
    cdt_trap_init();
    cdt_syscall_init();
    cdt_guest.entered = cdt_clock_at(&cdt_shared_info.vcpu_info[0].time,
                                     cdt_entry_tsc);
    init_heap();
    init_entropy();
    parse_cmdline();
    start_libc();
}
