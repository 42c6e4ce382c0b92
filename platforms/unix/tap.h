/* SPDX-License-Identifier: ISC */
/*
 * The direct stack's device on Unix, a TAP: tap_open.c gets one, tap.c moves
 * its frames, tap_header.c has what precedes them, tap_watch.c knows whether it
 * is up.
 */
#ifndef CDT_TAP_H
#define CDT_TAP_H

#include "pcap.h"
#include "transports/link.h"
#include "unix_platform.h"

/* A cdt_link_open for the interface that the configuration names. */
int cdt_tap_open(struct conduit_ctx *ctx, const struct cdt_net_config *config,
                 struct cdt_link **out, struct conduit_error *err);

/* ---- between the four files --------------------------------------------- */

#define CDT_TAP_LAYER "tap"

struct cdt_tap {
    struct cdt_link base;
    struct conduit_ctx *ctx;
    struct cdt_pcap *pcap; /* NULL: nothing is captured */
    char name[CDT_NET_NAME];
    int fd;
    bool has_header;       /* a struct virtio_net_hdr precedes each frame */
    bool gone;             /* somebody has deleted the interface */
    struct event readable; /* always assigned; added while we read */
    struct conduit_timer retry; /* to read again, once the stack has room */
    unsigned retry_ms;          /* how long it was last waited for that; 0: no
                                   wait */
    uint8_t *scratch; /* CDT_FRAME_ROOM bytes to merge segments in, or NULL */

    /* tap_watch.c */
    bool up;
    bool blind;              /* netlink does not tell: by `writable` */
    int netlink;             /* or -1 */
    unsigned index;          /* of the interface */
    struct event news;       /* netlink is readable */
    struct event writable;   /* `fd` is, so the interface is up again */
    struct conduit_task say; /* what sending found out */
};

/* What moves frames: ops, fd and events. The rest of `tap` is set. */
int cdt_tap_begin(struct cdt_tap *tap);
/* Frees it, whatever is there of it. */
void cdt_tap_destroy(struct cdt_link *link);

struct virtio_net_hdr;

/* What is left to do for a frame of n bytes that came with this header; false:
 * it cannot be, and the frame is not to be used. */
bool cdt_tap_read_offload(const struct virtio_net_hdr *header,
                          const uint8_t *frame, size_t n,
                          struct cdt_offload *out);
/* The header that says so, for NULL as well; false: more than this device does.
 */
bool cdt_tap_write_offload(const struct cdt_tap *tap,
                           const struct cdt_offload *offload,
                           struct virtio_net_hdr *header);

/* Begins to watch whether the interface is up; 0 or CONDUIT_ENOMEM. */
int cdt_tap_watch(struct cdt_tap *tap);
void cdt_tap_unwatch(struct cdt_tap *tap);
/* A write said that the interface is down. */
void cdt_tap_found_down(struct cdt_tap *tap);
/* The interface does not exist any more, or fails with `native`. */
void cdt_tap_lost(struct cdt_tap *tap, int native);

#endif
