/* SPDX-License-Identifier: ISC */
/*
 * Frames to and from a TAP. Each is one system call: io_uring gained little,
 * and what counts is that with a struct virtio_net_hdr in front a frame can be
 * a segment of 64 KiB without a checksum.
 *
 * While the stack has no memory to receive into, nothing is read, and what
 * comes meanwhile waits in the kernel's queue, then is lost there. The event is
 * taken away, for it would fire in vain, and after a moment, each twice as long
 * as the one before, it is tried again: so the stack need not tell when it has
 * memory, and a process without costs nearly nothing.
 */
#include "tap.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define ETHERNET_HEADER 14u
#define FRAMES_A_WAKEUP 64
/* Which stay in the cache until they are read. */
#define BYTES_A_WAKEUP 262144u
#define RETRY_MS_MOST 16u
#define SEGMENTS 128 /* of a frame; the rest is merged */

static struct cdt_tap *of(struct cdt_link *link)
{
    return CDT_CONTAINER(link, struct cdt_tap, base);
}

/* ---- receiving ---------------------------------------------------------- */

static void pause_reading(struct cdt_tap *tap)
{
    tap->retry_ms = tap->retry_ms == 0 ? 1 : 2 * tap->retry_ms;
    if (tap->retry_ms > RETRY_MS_MOST) {
        tap->retry_ms = RETRY_MS_MOST;
    }
    (void)event_del(&tap->readable);
    conduit_timer_set(conduit_ctx_loop(tap->ctx), &tap->retry, tap->retry_ms);
}

static void retry_due(struct conduit_timer *timer)
{
    struct cdt_tap *tap = CDT_CONTAINER(timer, struct cdt_tap, retry);

    if (event_add(&tap->readable, NULL) != 0) {
        conduit_timer_set(conduit_ctx_loop(tap->ctx), &tap->retry,
                          RETRY_MS_MOST);
    }
}

/* n bytes have come, with the header that is `header_size` of them. */
static void take_frame(struct cdt_tap *tap, struct cdt_frame *frame, size_t n,
                       size_t header_size, const struct virtio_net_hdr *header)
{
    struct cdt_offload offload = {0};
    struct conduit_seg seg = {frame->data, 0};

    if (n < header_size + ETHERNET_HEADER || n - header_size > frame->room) {
        cdt_stack_unused(tap->base.stack, frame);
        return;
    }
    seg.size = n - header_size;
    if (header_size != 0 &&
        !cdt_tap_read_offload(header, frame->data, seg.size, &offload)) {
        cdt_stack_unused(tap->base.stack, frame);
        return;
    }
    if (tap->pcap != NULL) {
        cdt_pcap_frame(tap->pcap, &seg, 1, seg.size);
    }
    cdt_stack_input(tap->base.stack, frame, seg.size, &offload);
}

/* false: there is nothing more to read now. */
static bool read_frame(struct cdt_tap *tap, size_t *bytes)
{
    struct cdt_frame *frame = cdt_stack_frame(tap->base.stack);
    struct virtio_net_hdr header = {0};
    size_t header_size = tap->has_header ? sizeof header : 0;
    uint8_t excess; /* one byte tells a frame that is too long */
    ssize_t got;

    if (frame == NULL) {
        pause_reading(tap);
        return false;
    }
    tap->retry_ms = 0;
    {
        const struct iovec iov[3] = {
            {&header, header_size}, {frame->data, frame->room}, {&excess, 1}};

        got = readv(tap->fd, iov, 3);
    }
    if (got < 0) {
        int native = errno;

        cdt_stack_unused(tap->base.stack, frame);
        if (native != EAGAIN && native != EINTR) {
            cdt_tap_lost(tap, native);
        }
        return native == EINTR;
    }
    take_frame(tap, frame, (size_t)got, header_size, &header);
    *bytes += (size_t)got;
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct cdt_tap *tap = arg;
    size_t bytes = 0;
    unsigned n = 0;

    (void)fd;
    (void)what;
    while (n < FRAMES_A_WAKEUP && bytes < BYTES_A_WAKEUP &&
           read_frame(tap, &bytes)) {
        n++;
    }
}

/* ---- sending ------------------------------------------------------------ */

/* Merges segments into one, for which there is memory from then on. */
static bool merge(struct cdt_tap *tap, const struct conduit_seg *seg,
                  unsigned count, struct iovec *out)
{
    size_t n = 0;

    if (tap->scratch == NULL) {
        tap->scratch = conduit_resize(tap->ctx, NULL, CDT_FRAME_ROOM);
        if (tap->scratch == NULL) {
            return false;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (seg[i].size != 0) {
            memcpy(tap->scratch + n, seg[i].data, seg[i].size);
            n += seg[i].size;
        }
    }
    *out = (struct iovec){tap->scratch, n};
    return true;
}

/* The code for a write that failed. */
static int refused(struct cdt_tap *tap, int native)
{
    switch (native) {
    case EAGAIN:
    case EINTR:
    case ENOBUFS:
    case ENOMEM:
        return CONDUIT_AGAIN;
    case EIO:
        cdt_tap_found_down(tap);
        return CONDUIT_EUNREACHABLE;
    case EBADFD:
        cdt_tap_lost(tap, native);
        return CONDUIT_EUNREACHABLE;
    case EINVAL:
        return CONDUIT_EINVAL;
    default:
        return CONDUIT_EIO;
    }
}

/* The bytes of all segments; 0 where there are too many or too few. */
static size_t frame_size(const struct conduit_seg *seg, unsigned count)
{
    size_t n = 0;

    for (unsigned i = 0; i < count; i++) {
        if (seg[i].size > CDT_FRAME_ROOM - n) {
            return 0;
        }
        n += seg[i].size;
    }
    return n < ETHERNET_HEADER ? 0 : n;
}

static int tap_send(struct cdt_link *link, const struct conduit_seg *seg,
                    unsigned count, const struct cdt_offload *offload)
{
    struct cdt_tap *tap = of(link);
    struct virtio_net_hdr header;
    struct iovec iov[SEGMENTS + 2];
    size_t size = frame_size(seg, count);
    unsigned used = 1;

    if (tap->gone) {
        return CONDUIT_EUNREACHABLE;
    }
    if (size == 0 || !cdt_tap_write_offload(tap, offload, &header)) {
        return CONDUIT_EINVAL;
    }
    iov[0] = (struct iovec){&header, tap->has_header ? sizeof header : 0};
    while (used <= count && used <= SEGMENTS) {
        iov[used].iov_base = (void *)seg[used - 1].data;
        iov[used].iov_len = seg[used - 1].size;
        used++;
    }
    if (used <= count) {
        if (!merge(tap, seg + used - 1, count - used + 1, &iov[used])) {
            return CONDUIT_AGAIN;
        }
        used++;
    }
    if (writev(tap->fd, iov, (int)used) < 0) {
        return refused(tap, errno);
    }
    if (tap->pcap != NULL) {
        cdt_pcap_frame(tap->pcap, seg, count, size);
    }
    return 0;
}

/* ---- life --------------------------------------------------------------- */

void cdt_tap_destroy(struct cdt_link *link)
{
    struct cdt_tap *tap = of(link);

    conduit_timer_clear(conduit_ctx_loop(tap->ctx), &tap->retry);
    if (event_initialized(&tap->readable)) {
        (void)event_del(&tap->readable);
    }
    cdt_tap_unwatch(tap);
    cdt_pcap_close(tap->pcap);
    if (tap->fd >= 0) {
        (void)close(tap->fd);
    }
    conduit_release(tap->ctx, tap->scratch);
    conduit_release(tap->ctx, tap);
}

static const struct cdt_link_ops tap_ops = {
    .name = "tap",
    .send = tap_send,
    .destroy = cdt_tap_destroy,
};

int cdt_tap_begin(struct cdt_tap *tap)
{
    tap->base.ops = &tap_ops;
    tap->retry.fire = retry_due;
    if (event_assign(&tap->readable, cdt_unix_base(tap->ctx), tap->fd,
                     EV_READ | EV_PERSIST, on_readable, tap) != 0 ||
        event_add(&tap->readable, NULL) != 0) {
        return CONDUIT_ENOMEM;
    }
    return cdt_tap_watch(tap);
}
