/* SPDX-License-Identifier: ISC */
/*
 * Two rings of bytes in shared memory, one each way, with the layout and the
 * protocol of libxenvchan (xen/io/libxenvchan.h): the part of vchan that is the
 * same between processes and between domains. Who shares the memory, and how
 * the peer is woken, is the platform's.
 *
 * The peer is not trusted. What it can write is read once, checked, and kept
 * here; our own indices are kept here as well and only ever written there. What
 * it may have broken is an error of this ring, which stays.
 *
 * Sleeping and waking: who wants to sleep sets bits in its notify byte and then
 * looks at the indices once more; who moved an index looks at the other's
 * notify byte afterwards, and takes the bit away if it wakes. A full barrier
 * lies in between on both sides. tests/model/ring.pml is this protocol without
 * the bytes. The barriers are sequentially consistent accesses and no fences:
 * on x86 the exchange that stores an index is one already, and ThreadSanitizer
 * does not understand fences.
 */
#ifndef CDT_RING_H
#define CDT_RING_H

#include <conduit/conn.h>

#include <stdatomic.h>

#define CDT_RING_PAGE 4096u
#define CDT_RING_ORDER_MIN 10u
#define CDT_RING_ORDER_MAX 20u

enum cdt_ring_side { CDT_RING_SERVER = 0, CDT_RING_CLIENT = 1 };

/* The two rings, by the direction of their bytes. */
enum cdt_ring_way { CDT_RING_TO_SERVER = 0, CDT_RING_TO_CLIENT = 1 };

/* In a notify byte: wake its owner when ... */
#define CDT_RING_ON_WRITE 1u /* bytes were written for it */
#define CDT_RING_ON_READ 2u  /* bytes of it were read */

/* What a liveness byte says. */
enum cdt_ring_live {
    CDT_RING_GONE = 0,
    CDT_RING_CONNECTED = 1,
    CDT_RING_AWAITED = 2 /* a client that has not come yet */
};

/* The control page, as it is shared. Grant references follow it on Xen. */
struct cdt_ring_page {
    struct {
        _Atomic uint32_t cons;
        _Atomic uint32_t prod;
    } way[2]; /* by enum cdt_ring_way */
    _Atomic uint16_t order[2];
    _Atomic uint8_t live[2];   /* client's, server's */
    _Atomic uint8_t notify[2]; /* who sets bits here waits: server, client */
};

#define CDT_RING_HEADER 24u /* bytes of it */

/* ---- layout ------------------------------------------------------------- */

/* The binary logarithms of the sizes, by enum cdt_ring_way. */
struct cdt_ring_layout {
    uint8_t order[2];
};

/*
 * The smallest layout for at least so many bytes each way; false when that is
 * more than a ring can have.
 */
bool cdt_ring_choose(struct cdt_ring_layout *layout, size_t to_server,
                     size_t to_client);

/*
 * NULL when the layout is possible, or what is wrong with it. Rings of orders
 * 10 and 11 are in the control page, at a place that depends on the order.
 */
const char *cdt_ring_check(const struct cdt_ring_layout *layout);

/* These want a layout that is possible. Bytes of a ring; */
size_t cdt_ring_size(const struct cdt_ring_layout *layout,
                     enum cdt_ring_way way);

/* bytes of the pages that it has to itself, 0 when it is in the control page;
 */
size_t cdt_ring_own_bytes(const struct cdt_ring_layout *layout,
                          enum cdt_ring_way way);

/* where it starts, when control page, own pages of the ring to the server and
 * own pages of the ring to the client follow each other; and how long that is.
 */
size_t cdt_ring_offset(const struct cdt_ring_layout *layout,
                       enum cdt_ring_way way);
size_t cdt_ring_total(const struct cdt_ring_layout *layout);

/* ---- starting ----------------------------------------------------------- */

/*
 * Clears a control page and makes it a server's, ready to be shared: no bytes
 * in the rings, and no client yet.
 */
void cdt_ring_format(void *page, const struct cdt_ring_layout *layout);

/*
 * Reads the layout of a page that a server made. A client does so once, before
 * it maps the rings, and never asks the page again. NULL, or what is wrong.
 */
const char *cdt_ring_read_layout(const void *page,
                                 struct cdt_ring_layout *layout);

/* Where everything is mapped. It stays the caller's. */
struct cdt_ring_memory {
    void *page; /* CDT_RING_PAGE bytes, so aligned */
    struct {
        void *data;
        bool mirrored; /* mapped twice in a row: windows do not wrap */
    } ring[2];         /* by enum cdt_ring_way */
};

/* ---- one side ----------------------------------------------------------- */

/* One direction, as this side sees it. */
struct cdt_ring_flow {
    uint8_t *data;
    _Atomic uint32_t *own;  /* written here, never read */
    _Atomic uint32_t *peer; /* read here, never written */
    uint32_t size;          /* a power of two */
    uint32_t at;            /* our index */
    uint32_t shown;         /* what the peer was shown of it */
    uint32_t seen;          /* the peer's, checked */
    bool mirrored;
};

struct cdt_ring {
    struct cdt_ring_flow in;
    struct cdt_ring_flow out;
    struct cdt_ring_page *page;
    const char *error;
    enum cdt_ring_side side;
    enum cdt_ring_live peer; /* last seen */
    uint8_t due;             /* peer's notify bits to look at in publish */
    uint8_t armed;           /* own notify bits that may be set */
    bool over; /* gone or in error: the page is not looked at again */
};

/*
 * Makes a side of the ring, which begins where the indices are: at 0 when the
 * page is new, and where the last client stopped when the server has kept it.
 * It has read all that there is to believe; a server does this before it shares
 * the page. NULL, or what is wrong with the indices, which then
 * is the error of this ring.
 */
const char *cdt_ring_attach(struct cdt_ring *r, enum cdt_ring_side side,
                            const struct cdt_ring_layout *layout,
                            const struct cdt_ring_memory *memory);

/* Says that this side is there. The caller then wakes the peer. */
void cdt_ring_open(struct cdt_ring *r);

/*
 * Shows the peer all that was committed, and then that this side is gone. The
 * caller then wakes the peer, whatever its notify bits say.
 */
void cdt_ring_close(struct cdt_ring *r);

/* Whether the peer is there; looks. */
enum cdt_ring_live cdt_ring_peer(struct cdt_ring *r);

/* What the peer has done wrong, a static text; NULL: nothing. */
const char *cdt_ring_error(const struct cdt_ring *r);

/* ---- bytes -------------------------------------------------------------- */

/*
 * Shows the bytes that can be read, and answers how many; or AGAIN; END when
 * the peer is gone and all was read (whether that was an end or a death, the
 * ring does not tell); EPROTO. The bytes before an end or an error come first.
 * Looks at shared memory only when all that it knew of was read.
 */
long cdt_ring_peek(struct cdt_ring *r, struct conduit_win *win);

/* Gives back the first n bytes; n is no more than peek answered. */
void cdt_ring_consume(struct cdt_ring *r, size_t n);

/*
 * Shows the room that can be written to, and answers how much; or AGAIN; EPIPE
 * when the peer is known to be gone; EPROTO.
 */
long cdt_ring_reserve(struct cdt_ring *r, struct conduit_win *win);

/* The first n bytes of it are filled; n is no more than reserve answered. */
void cdt_ring_commit(struct cdt_ring *r, size_t n);

/* The same by copying: how many bytes went, or what peek and reserve answer. */
long cdt_ring_read(struct cdt_ring *r, void *buf, size_t n);
long cdt_ring_write(struct cdt_ring *r, const struct conduit_seg *seg,
                    unsigned count);

/*
 * Shows the peer all that was consumed and committed, which until then it sees
 * in parts of an eighth of the ring. Whether the caller has to wake it. Costs a
 * barrier, or nothing when there was nothing to show.
 */
bool cdt_ring_publish(struct cdt_ring *r);

/* ---- waiting ------------------------------------------------------------ */

/*
 * Which of CONDUIT_READ and CONDUIT_WRITE hold, of those asked for: bytes,
 * room, or in both cases an end or an error. A look without a barrier, for
 * spinning.
 */
unsigned cdt_ring_poll(struct cdt_ring *r, unsigned events);

/*
 * As poll, before sleeping: asks the peer to wake us for those that do not
 * hold, and for no others. When the answer is 0, and all was published, the
 * caller may sleep until it is woken.
 */
unsigned cdt_ring_arm(struct cdt_ring *r, unsigned events);

/* The peer need not wake us for these any more. It may have done so already. */
void cdt_ring_disarm(struct cdt_ring *r, unsigned events);

#endif
