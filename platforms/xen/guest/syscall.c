/* SPDX-License-Identifier: ISC */
/*
 * Numbers and structures are Linux's, as musl knows them. A function per call
 * would say no more than its case does.
 */
#include "syscall.h"

#include "clock.h"
#include "guest.h"
#include "layout.h"
#include "trap.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include <xen/sched.h>

#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_FMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define CODE 0x08ull
#define FLAGS_OFF 0x700u /* direction, interrupts, trap */
#define ARCH_SET_FS 0x1002
#define SECOND 1000000000u
#define SECONDS_MAX 4000000000 /* more would not fit in 64 bits of ns */

/* What entry.S has pushed. */
struct cdt_syscall {
    long rax, r9, r8, r10, rdx, rsi, rdi, r11, rcx, rbp;
};

static void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(msr), "a"((uint32_t)value),
                       "d"((uint32_t)(value >> 32))
                     : "memory");
}

void cdt_syscall_init(void)
{
    write_msr(MSR_STAR, CODE << 32);
    write_msr(MSR_LSTAR, (uintptr_t)cdt_syscall_entry);
    write_msr(MSR_FMASK, FLAGS_OFF);
}

static uint64_t now(void)
{
    return cdt_guest.xen->ops->now(cdt_guest.xen);
}

/* ---- the console -------------------------------------------------------- */

static long write_console(long fd, const struct iovec *iov, long n)
{
    long done = 0;

    if (fd != 1 && fd != 2) {
        return -EBADF;
    }
    for (long i = 0; i < n; i++) {
        if (cdt_guest.console.ring != NULL) {
            cdt_console_write(&cdt_guest.console, iov[i].iov_base,
                              iov[i].iov_len);
        }
        done += (long)iov[i].iov_len;
    }
    return done;
}

/*
 * Sleeps until something has happened, `until` at the latest. What happens is
 * taken note of as in the loop, so that the host's wishes are heard by a
 * program that waits elsewhere.
 */
static void wait_for_events(uint64_t until)
{
    if (cdt_events_run(&cdt_guest.events) == 0) {
        cdt_events_wait(&cdt_guest.events, until);
    }
}

/* Ends a sleep, and no more. */
static void typed(struct cdt_port *port)
{
    (void)port;
}

/* What was typed, with the end of a line as a terminal's driver has it. */
static long read_line(char *buf, size_t n)
{
    struct cdt_port port = {cdt_guest.console.port, typed};
    size_t got = 0;

    if (cdt_events_add(&cdt_guest.events, &port) != 0) {
        return -EIO;
    }
    while (got == 0) {
        got = cdt_console_read(&cdt_guest.console, buf, n, 0);
        if (got == 0) {
            wait_for_events(UINT64_MAX);
        }
    }
    cdt_events_remove(&cdt_guest.events, &port);
    for (size_t i = 0; i < got; i++) {
        if (buf[i] == '\r') {
            buf[i] = '\n';
        }
    }
    return (long)got;
}

/* Fills the first part that has room, as a terminal would. */
static long read_console(long fd, const struct iovec *iov, long n)
{
    if (fd != 0) {
        return -EBADF;
    }
    if (cdt_guest.console.ring == NULL) {
        return 0;
    }
    for (long i = 0; i < n; i++) {
        if (iov[i].iov_len > 0) {
            return read_line(iov[i].iov_base, iov[i].iov_len);
        }
    }
    return 0;
}

/* That it has a size makes it a terminal, which stdio flushes at each line. */
static long window_size(long fd, long request, struct winsize *out)
{
    if (fd < 0 || fd > 2) {
        return -EBADF;
    }
    if (request != TIOCGWINSZ) {
        return -ENOTTY;
    }
    *out = (struct winsize){.ws_row = 24, .ws_col = 80};
    return 0;
}

/* ---- time --------------------------------------------------------------- */

static struct timespec to_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SECOND),
                             .tv_nsec = (long)(ns % SECOND)};
}

static uint64_t to_ns(const struct timespec *time)
{
    uint64_t seconds = (uint64_t)time->tv_sec;

    if (seconds > SECONDS_MAX) {
        seconds = SECONDS_MAX;
    }
    return seconds * SECOND + (uint64_t)time->tv_nsec;
}

static long read_clock(long clock, struct timespec *out)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *out = to_timespec(cdt_clock_wall(&cdt_shared_info, now()));
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID:
        *out = to_timespec(now());
        return 0;
    default:
        return -EINVAL;
    }
}

static void sleep_until(uint64_t until)
{
    while (now() < until) {
        wait_for_events(until);
    }
}

/* A relative time, or, for TIMER_ABSTIME, one that `clock` will show. */
static long sleep_by(long clock, long flags, const struct timespec *time)
{
    struct timespec shown = {0};
    uint64_t ns;
    uint64_t from = 0;

    if (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= SECOND) {
        return -EINVAL;
    }
    ns = to_ns(time);
    if ((flags & TIMER_ABSTIME) != 0) {
        if (read_clock(clock, &shown) != 0) {
            return -EINVAL;
        }
        from = to_ns(&shown);
    }
    if (ns > from) {
        sleep_until(now() + ns - from);
    }
    return 0;
}

/* ---- memory ------------------------------------------------------------- */

static size_t pages_of(long size)
{
    return ((size_t)size + CDT_PAGE - 1) / CDT_PAGE;
}

/* What musl needs beyond malloc(): thread-local storage, and lists of its own.
 */
static long map_pages(long size, long flags)
{
    void *pages = NULL;

    if (size <= 0 || (flags & MAP_ANONYMOUS) == 0 || (flags & MAP_FIXED) != 0) {
        return -EINVAL;
    }
    if (size <= LONG_MAX - (long)CDT_PAGE) {
        pages = cdt_heap_pages(cdt_guest.heap, pages_of(size));
    }
    if (pages == NULL) {
        return -ENOMEM;
    }
    (void)memset(pages, 0, pages_of(size) * CDT_PAGE);
    return (long)(uintptr_t)pages;
}

/* ---- ending ------------------------------------------------------------- */

static _Noreturn void end(uint64_t status)
{
    if (status != 0) {
        cdt_guest_print("conduit: %s ended with status %lu\n",
                        cdt_application_name, status);
        cdt_guest_end(SHUTDOWN_crash);
    }
    cdt_guest_end(cdt_guest.ending);
}

/* abort() sends itself a signal, and nobody else could send one. */
static _Noreturn void end_by_signal(const struct cdt_syscall *call, long number)
{
    if (number == SIGABRT) {
        cdt_guest_print("conduit: aborted\n");
    } else {
        cdt_guest_print("conduit: raised signal %lu\n", (uint64_t)number);
    }
    cdt_trap_backtrace((uint64_t)call->rcx, (uint64_t)call->rbp,
                       (uintptr_t)(call + 1));
    cdt_guest_end(SHUTDOWN_crash);
}

/* -fstack-protector's check has failed; musl would stop the processor, which
 * Xen takes for an orderly end. The linker puts this in its place. */
_Noreturn void __wrap___stack_chk_fail(void);

_Noreturn void __wrap___stack_chk_fail(void)
{
    cdt_guest_print("conduit: a function has written past its frame\n");
    CDT_BACKTRACE_HERE();
    cdt_guest_end(SHUTDOWN_crash);
}

/* ---- the switch --------------------------------------------------------- */

static long one_buffer(long fd, long buf, long n,
                       long (*op)(long, const struct iovec *, long))
{
    struct iovec iov = {(void *)buf, (size_t)n};

    return op(fd, &iov, 1);
}

static long call_io(const struct cdt_syscall *c)
{
    switch (c->rax) {
    case SYS_write:
        return one_buffer(c->rdi, c->rsi, c->rdx, write_console);
    case SYS_writev:
        return write_console(c->rdi, (const struct iovec *)c->rsi, c->rdx);
    case SYS_read:
        return one_buffer(c->rdi, c->rsi, c->rdx, read_console);
    case SYS_readv:
        return read_console(c->rdi, (const struct iovec *)c->rsi, c->rdx);
    case SYS_ioctl:
        return window_size(c->rdi, c->rsi, (struct winsize *)c->rdx);
    case SYS_lseek:
        return -ESPIPE;
    case SYS_open:
    case SYS_openat:
    case SYS_access:
    case SYS_stat:
    case SYS_lstat:
        return -ENOENT;
    case SYS_close:
        return c->rdi >= 0 && c->rdi <= 2 ? 0 : -EBADF;
    default:
        return -ENOSYS;
    }
}

static long call_process(const struct cdt_syscall *c)
{
    switch (c->rax) {
    case SYS_arch_prctl:
        if (c->rdi != ARCH_SET_FS) {
            return -EINVAL;
        }
        write_msr(MSR_FS_BASE, (uint64_t)c->rsi);
        return 0;
    case SYS_exit:
    case SYS_exit_group:
        end((uint64_t)c->rdi & 0xff); /* as Unix has it */
    case SYS_kill:
    case SYS_tkill:
        if (c->rsi == 0) {
            return 0; /* asks whether we are there */
        }
        end_by_signal(c, c->rsi);
    case SYS_tgkill:
        end_by_signal(c, c->rdx);
    case SYS_getpid:
    case SYS_gettid:
    case SYS_set_tid_address:
        return 1;
    case SYS_rt_sigaction:
    case SYS_rt_sigprocmask:
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_sched_yield:
        return 0;
    case SYS_mmap:
        return map_pages(c->rsi, c->r10);
    case SYS_munmap:
        cdt_heap_pages_free(cdt_guest.heap, (void *)c->rdi, pages_of(c->rsi));
        return 0;
    case SYS_brk:
    case SYS_mremap:
        return -ENOMEM;
    default:
        return call_io(c);
    }
}

/* entry.S calls it. */
long cdt_syscall(const struct cdt_syscall *call);

long cdt_syscall(const struct cdt_syscall *call)
{
    switch (call->rax) {
    case SYS_clock_gettime:
        return read_clock(call->rdi, (struct timespec *)call->rsi);
    case SYS_nanosleep:
        return sleep_by(CLOCK_MONOTONIC, 0, (const struct timespec *)call->rdi);
    case SYS_clock_nanosleep:
        return sleep_by(call->rdi, call->rsi,
                        (const struct timespec *)call->rdx);
    case SYS_getrandom:
        return cdt_entropy_read(&cdt_guest.entropy, (void *)call->rdi,
                                (size_t)call->rsi) == 0
                   ? call->rsi
                   : -EIO;
    default:
        return call_process(call);
    }
}
