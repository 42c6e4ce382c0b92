/* SPDX-License-Identifier: ISC */
/*
 * lwIP's view of compiler and C library. It needs ISO C's headers and no
 * others, and so does what includes lwIP.
 */
#ifndef CDT_LWIP_CC_H
#define CDT_LWIP_CC_H

#include "transports/lwip_hooks.h"

/* The compiler's numbers are those that lwIP gives to the names, and Unix. */
#ifndef BYTE_ORDER
#define BYTE_ORDER __BYTE_ORDER__
#endif

/* One instruction each; htons() and its like stay the system's. */
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS 1

/* With an argument list in parentheses, for printf(). */
#define LWIP_PLATFORM_DIAG(x) \
    do {                      \
    } while (0)
#define LWIP_PLATFORM_ASSERT(text) cdt_lwip_failed(text)

#endif
