/* SPDX-License-Identifier: ISC */
/*
 * Xen's clocks: system time and the wall clock, from the page that Xen shares
 * with the guest (<xen/xen.h>, struct vcpu_time_info and struct shared_info).
 * Xen may change the page while it is read: it counts a version up before and
 * after, so an odd version, or another one afterwards, means to read again.
 */
#ifndef CDT_XEN_CLOCK_H
#define CDT_XEN_CLOCK_H

#include <stdint.h>

struct shared_info;
struct vcpu_time_info;

/* The processor's time stamp counter, not read ahead of what stands before. */
uint64_t cdt_clock_tsc(void);

/*
 * System time in ns, at least 1. `tsc` is called within the read;
 * cdt_clock_tsc() but in tests.
 */
uint64_t cdt_clock_now(const volatile struct vcpu_time_info *info,
                       uint64_t (*tsc)(void));

/* System time at an earlier count of the same processor's counter, also one
 * from before the page was last written. At least 1. */
uint64_t cdt_clock_at(const volatile struct vcpu_time_info *info, uint64_t tsc);

/*
 * ns since 1970-01-01 UTC at system time `now`, or 0 when Xen has not said when
 * the host was started.
 */
uint64_t cdt_clock_wall(const volatile struct shared_info *shared,
                        uint64_t now);

#endif
