/* SPDX-License-Identifier: ISC */
/*
 * Where libxenvchan's rings are. The header is followed by the grants of the
 * rings' own pages, which must end before a ring in the same page begins:
 * libxenvchan never makes such a layout, and does not refuse it either.
 */
#include "ring.h"

#include <stddef.h>
#include <string.h>

#define PAGE_ORDER 12u
#define GRANT 4u /* bytes of a reference */

_Static_assert(sizeof(struct cdt_ring_page) == CDT_RING_HEADER, "header");
_Static_assert(offsetof(struct cdt_ring_page, order) == 16, "orders");
_Static_assert(offsetof(struct cdt_ring_page, live) == 20, "liveness");
_Static_assert(offsetof(struct cdt_ring_page, notify) == 22, "notify bits");
_Static_assert(CDT_RING_PAGE == 1u << PAGE_ORDER, "page");

static bool in_page(unsigned order)
{
    return order < PAGE_ORDER;
}

static unsigned order_for(size_t least)
{
    unsigned order = CDT_RING_ORDER_MIN;

    while (order <= CDT_RING_ORDER_MAX && (size_t)1 << order < least) {
        order++;
    }
    return order;
}

bool cdt_ring_choose(struct cdt_ring_layout *layout, size_t to_server,
                     size_t to_client)
{
    unsigned a = order_for(to_server);
    unsigned b = order_for(to_client);

    if (a > CDT_RING_ORDER_MAX || b > CDT_RING_ORDER_MAX) {
        return false;
    }
    /* What is asked for is the least; the grants of a large ring may be where
     * one of order 10 would lie, and of two small ones one has to move. */
    if (a == CDT_RING_ORDER_MIN && !in_page(b)) {
        a++;
    }
    if (b == CDT_RING_ORDER_MIN && !in_page(a)) {
        b++;
    }
    if (a == b && in_page(a)) {
        b++;
    }
    layout->order[CDT_RING_TO_SERVER] = (uint8_t)a;
    layout->order[CDT_RING_TO_CLIENT] = (uint8_t)b;
    return true;
}

static bool is_order(unsigned order)
{
    return order >= CDT_RING_ORDER_MIN && order <= CDT_RING_ORDER_MAX;
}

static size_t own_bytes(unsigned order)
{
    return in_page(order) ? 0 : (size_t)1 << order;
}

const char *cdt_ring_check(const struct cdt_ring_layout *layout)
{
    unsigned a = layout->order[CDT_RING_TO_SERVER];
    unsigned b = layout->order[CDT_RING_TO_CLIENT];
    size_t end = CDT_RING_HEADER;

    if (!is_order(a) || !is_order(b)) {
        return "the order of a ring is out of range";
    }
    if (a == b && in_page(a)) {
        return "both rings are at one place";
    }
    end += (own_bytes(a) + own_bytes(b)) / CDT_RING_PAGE * GRANT;
    if ((in_page(a) && end > (size_t)1 << a) ||
        (in_page(b) && end > (size_t)1 << b)) {
        return "the grants of one ring extend into the other";
    }
    return NULL;
}

size_t cdt_ring_size(const struct cdt_ring_layout *layout,
                     enum cdt_ring_way way)
{
    return (size_t)1 << layout->order[way];
}

size_t cdt_ring_own_bytes(const struct cdt_ring_layout *layout,
                          enum cdt_ring_way way)
{
    return own_bytes(layout->order[way]);
}

/* In the page a ring is at the offset that equals its size. */
size_t cdt_ring_offset(const struct cdt_ring_layout *layout,
                       enum cdt_ring_way way)
{
    if (in_page(layout->order[way])) {
        return cdt_ring_size(layout, way);
    }
    if (way == CDT_RING_TO_SERVER) {
        return CDT_RING_PAGE;
    }
    return CDT_RING_PAGE + cdt_ring_own_bytes(layout, CDT_RING_TO_SERVER);
}

size_t cdt_ring_total(const struct cdt_ring_layout *layout)
{
    return CDT_RING_PAGE + cdt_ring_own_bytes(layout, CDT_RING_TO_SERVER) +
           cdt_ring_own_bytes(layout, CDT_RING_TO_CLIENT);
}

void cdt_ring_format(void *page, const struct cdt_ring_layout *layout)
{
    struct cdt_ring_page *p = page;

    memset(page, 0, CDT_RING_PAGE);
    for (unsigned way = 0; way < 2; way++) {
        atomic_store(&p->order[way], layout->order[way]);
    }
    atomic_store(&p->live[CDT_RING_TO_SERVER], CDT_RING_AWAITED);
    atomic_store(&p->live[CDT_RING_TO_CLIENT], CDT_RING_CONNECTED);
    atomic_store(&p->notify[CDT_RING_TO_SERVER], CDT_RING_ON_WRITE);
}

const char *cdt_ring_read_layout(const void *page,
                                 struct cdt_ring_layout *layout)
{
    const struct cdt_ring_page *p = page;
    unsigned order[2];

    for (unsigned way = 0; way < 2; way++) {
        order[way] = atomic_load(&p->order[way]);
        if (!is_order(order[way])) {
            return "the order of a ring is out of range";
        }
        layout->order[way] = (uint8_t)order[way];
    }
    return cdt_ring_check(layout);
}
