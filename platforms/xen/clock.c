/* SPDX-License-Identifier: ISC */
/*
 * Xen's clocks. Xen is the one that writes the page, so its numbers are
 * believed; still a version that never settles, which no Xen shows, must not
 * hold the guest up for ever, nor may an odd shift be undefined behaviour.
 */
#include "clock.h"

#include <stdbool.h>
#include <stddef.h>

#include <xen/xen.h>

#define NS_PER_S 1000000000u

/* Reads of a page that changes all the time, before what was read is used. */
#define TRIES 1000000u

/* The page is written by Xen on this processor or another: what was read before
 * must not be read after this, by the compiler or by the processor. */
static void read_barrier(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/* Whether what was read between two versions may be of more than one. */
static bool is_torn(uint32_t before, uint32_t after)
{
    return (before & 1) != 0 || after != before;
}

uint64_t cdt_clock_tsc(void)
{
    uint32_t low;
    uint32_t high;

    /* The second fence keeps the page's version from being read again before
     * the counter. */
    __asm__ volatile("lfence\n\trdtsc\n\tlfence"
                     : "=a"(low), "=d"(high)
                     :
                     : "memory");
    return (uint64_t)high << 32 | low;
}

struct times {
    uint64_t base_tsc;
    uint64_t base;
    uint32_t mul;
    int8_t shift;
};

/* Counts of the processor in ns: (count << shift) * mul / 2^32, in halves
 * since the product has up to 96 bits. */
static uint64_t to_ns(const struct times *t, uint64_t count)
{
    if (t->shift < -63 || t->shift > 63) {
        return 0;
    }
    count = t->shift < 0 ? count >> -t->shift : count << t->shift;
    return (count >> 32) * t->mul + ((count & UINT32_MAX) * t->mul >> 32);
}

static uint64_t time_at(const struct times *t, uint64_t tsc)
{
    uint64_t ahead = tsc - t->base_tsc;
    uint64_t time;

    if (ahead <= INT64_MAX) {
        time = t->base + to_ns(t, ahead);
    } else {
        uint64_t back = to_ns(t, 0 - ahead);

        time = t->base > back ? t->base - back : 0;
    }
    return time > 0 ? time : 1;
}

/* Takes the page's numbers, all of one version, and with them the counter, if
 * `tsc` is given. */
static struct times take(const volatile struct vcpu_time_info *info,
                         uint64_t (*tsc)(void), uint64_t *count)
{
    struct times t;
    uint32_t version;
    unsigned tries = 0;

    do {
        version = info->version;
        read_barrier();
        t.base_tsc = info->tsc_timestamp;
        t.base = info->system_time;
        t.mul = info->tsc_to_system_mul;
        t.shift = info->tsc_shift;
        if (tsc != NULL) {
            *count = tsc();
        }
        read_barrier();
    } while (is_torn(version, info->version) && ++tries < TRIES);
    return t;
}

uint64_t cdt_clock_now(const volatile struct vcpu_time_info *info,
                       uint64_t (*tsc)(void))
{
    uint64_t count = 0;
    struct times t = take(info, tsc, &count);

    return time_at(&t, count);
}

uint64_t cdt_clock_at(const volatile struct vcpu_time_info *info, uint64_t tsc)
{
    struct times t = take(info, NULL, NULL);

    return time_at(&t, tsc);
}

uint64_t cdt_clock_wall(const volatile struct shared_info *shared, uint64_t now)
{
    uint64_t seconds;
    uint32_t ns;
    uint32_t version;
    unsigned tries = 0;

    do {
        version = shared->wc_version;
        read_barrier();
        seconds = (uint64_t)shared->xen_wc_sec_hi << 32 | shared->wc_sec;
        ns = shared->wc_nsec;
        read_barrier();
    } while (is_torn(version, shared->wc_version) && ++tries < TRIES);
    return seconds > 0 ? seconds * NS_PER_S + ns + now : 0;
}
