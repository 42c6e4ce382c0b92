/* SPDX-License-Identifier: ISC */
/*
 * The PV console. Each side writes an index of its own and reads the other's;
 * they count bytes and wrap around at 2^32, and their difference is what is in
 * the ring. A difference larger than the ring is a lie: output is lost then,
 * and no input is there.
 *
 * No wake-up is lost, since events are taken before indices are looked at, and
 * a full fence stands between what was published and that look: either the
 * daemon sees what was published, or what it did before is seen here.
 */
#include "console.h"

#include <inttypes.h>
#include <stdio.h>

#include <xen/io/console.h>

#define IN_SIZE ((uint32_t)sizeof((struct xencons_interface *)0)->in)
#define OUT_SIZE ((uint32_t)sizeof((struct xencons_interface *)0)->out)

/* How long one write waits for room. */
#define PATIENCE_NS 1000000000u

void cdt_console_init(struct cdt_console *c, struct cdt_xen *xen,
                      struct xencons_interface *ring, uint32_t port)
{
    *c = (struct cdt_console){.xen = xen, .ring = ring, .port = port};
    c->out_prod = __atomic_load_n(&ring->out_prod, __ATOMIC_RELAXED);
    c->out_sent = c->out_prod;
    c->in_cons = __atomic_load_n(&ring->in_cons, __ATOMIC_RELAXED);
}

/* Sleeps until something may have changed, or until `until`. */
static void sleep_until(struct cdt_console *c, uint64_t until)
{
    /* To Xen's poll 0 means no limit; nobody sleeps until a 0 here. */
    c->xen->ops->poll(c->xen, &c->port, 1, until == UINT64_MAX ? 0 : until);
    (void)c->xen->ops->take(c->xen, c->port);
}

/* ---- output ---- */

/* Bytes that the daemon has not taken; more than OUT_SIZE when it lies. */
static uint32_t out_used(const struct cdt_console *c)
{
    return c->out_prod - __atomic_load_n(&c->ring->out_cons, __ATOMIC_ACQUIRE);
}

/* Free bytes once there are `need`; 0 when there are not by `until`. */
static uint32_t wait_room(struct cdt_console *c, uint32_t need, uint64_t until)
{
    for (;;) {
        uint32_t used;

        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        used = out_used(c);
        if (used > OUT_SIZE) {
            return 0;
        }
        if (OUT_SIZE - used >= need) {
            return OUT_SIZE - used;
        }
        if (c->xen->ops->now(c->xen) >= until) {
            return 0;
        }
        sleep_until(c, until);
    }
}

/* Into room that is known to be there. */
static void put(struct cdt_console *c, char byte)
{
    c->ring->out[MASK_XENCONS_IDX(c->out_prod, c->ring->out)] = byte;
    c->out_prod++;
    c->last = byte;
}

/* Shows the daemon what was put into the ring. */
static void send(struct cdt_console *c)
{
    if (c->out_sent == c->out_prod) {
        return;
    }
    c->out_sent = c->out_prod;
    __atomic_store_n(&c->ring->out_prod, c->out_prod, __ATOMIC_RELEASE);
    c->xen->ops->notify(c->xen, c->port);
}

/* Says what was lost, if the ring has room for that; false: it has not. */
static bool report_loss(struct cdt_console *c)
{
    char line[64];
    uint32_t used = out_used(c);
    int size = snprintf(line, sizeof line,
                        "[console: %" PRIu64 " bytes lost]\r\n", c->lost);

    if (used > OUT_SIZE || OUT_SIZE - used < (uint32_t)size) {
        return false;
    }
    for (int i = 0; i < size; i++) {
        put(c, line[i]);
    }
    c->lost = 0;
    return true;
}

/* Puts text into the ring, waiting where it is full; how much of it got in. */
static size_t put_text(struct cdt_console *c, const char *text, size_t n)
{
    uint64_t deadline = c->xen->ops->now(c->xen) + PATIENCE_NS;
    uint32_t room = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t need = text[i] == '\n' && c->last != '\r' ? 2 : 1;

        if (room < need) {
            send(c);
            room = wait_room(c, need, deadline);
        }
        if (room == 0) {
            return i;
        }
        if (need == 2) {
            put(c, '\r');
        }
        put(c, text[i]);
        room -= need;
    }
    return n;
}

void cdt_console_write(struct cdt_console *c, const char *text, size_t n)
{
    size_t done = 0;

    if (c->lost == 0 || report_loss(c)) {
        done = put_text(c, text, n);
        send(c);
    }
    c->lost += n - done;
}

void cdt_console_drain(struct cdt_console *c, uint64_t until)
{
    (void)wait_room(c, OUT_SIZE, until);
}

/* ---- input ---- */

/* Bytes that were typed and not read; none when the daemon lies. */
static uint32_t in_used(const struct cdt_console *c)
{
    uint32_t used = __atomic_load_n(&c->ring->in_prod, __ATOMIC_ACQUIRE) -
                    c->in_cons;

    return used <= IN_SIZE ? used : 0;
}

static void get(struct cdt_console *c, char *buf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf[i] = c->ring->in[MASK_XENCONS_IDX(c->in_cons, c->ring->in)];
        c->in_cons++;
    }
    __atomic_store_n(&c->ring->in_cons, c->in_cons, __ATOMIC_RELEASE);
    c->xen->ops->notify(c->xen, c->port);
}

size_t cdt_console_read(struct cdt_console *c, char *buf, size_t n,
                        uint64_t until)
{
    uint32_t used;

    if (n == 0) {
        return 0;
    }
    for (;;) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        used = in_used(c);
        if (used > 0 || c->xen->ops->now(c->xen) >= until) {
            break;
        }
        sleep_until(c, until);
    }
    if (n > used) {
        n = used;
    }
    if (n > 0) {
        get(c, buf, n);
    }
    return n;
}
