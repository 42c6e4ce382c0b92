/* SPDX-License-Identifier: ISC */
/*
 * Debian compiles its libraries with _FORTIFY_SOURCE, so that they call glibc's
 * checking forms of some functions, which musl does not have. The last size of
 * each is that of the object written to; to write beyond it ends the guest.
 */
#include "guest.h"
#include "trap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <xen/sched.h>

/* NOLINTBEGIN(bugprone-reserved-identifier): the names are glibc's. */
void *__memcpy_chk(void *to, const void *from, size_t n, size_t size);
void *__memmove_chk(void *to, const void *from, size_t n, size_t size);
void *__memset_chk(void *to, int byte, size_t n, size_t size);
char *__strncpy_chk(char *to, const char *from, size_t n, size_t size);
int __vsnprintf_chk(char *to, size_t n, int flag, size_t size,
                    const char *format, va_list args);
int __snprintf_chk(char *to, size_t n, int flag, size_t size,
                   const char *format, ...);

static void check(size_t n, size_t size)
{
    if (n > size) {
        cdt_guest_print("conduit: a write past the end of an object\n");
        CDT_BACKTRACE_HERE();
        cdt_guest_end(SHUTDOWN_crash);
    }
}

void *__memcpy_chk(void *to, const void *from, size_t n, size_t size)
{
    check(n, size);
    return memcpy(to, from, n);
}

void *__memmove_chk(void *to, const void *from, size_t n, size_t size)
{
    check(n, size);
    return memmove(to, from, n);
}

void *__memset_chk(void *to, int byte, size_t n, size_t size)
{
    check(n, size);
    return memset(to, byte, n);
}

char *__strncpy_chk(char *to, const char *from, size_t n, size_t size)
{
    check(n, size);
    return strncpy(to, from, n);
}

int __vsnprintf_chk(char *to, size_t n, int flag, size_t size,
                    const char *format, va_list args)
{
    (void)flag;
    check(n, size);
    return vsnprintf(to, n, format, args);
}

int __snprintf_chk(char *to, size_t n, int flag, size_t size,
                   const char *format, ...)
{
    va_list args;
    int written;

    va_start(args, format);
    written = __vsnprintf_chk(to, n, flag, size, format, args);
    va_end(args);
    return written;
}
/* NOLINTEND(bugprone-reserved-identifier) */
