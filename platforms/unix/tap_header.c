/* SPDX-License-Identifier: ISC */
/*
 * The struct virtio_net_hdr in front of a frame (Virtio 1.2, 5.1.6): what is
 * left to do for it, as the kernel says it and as it is told. The kernel may
 * pass on what another machine said (of a guest's device, say), so nothing in
 * one is believed.
 */
#include "tap.h"

#include <linux/virtio_net.h>

#define ETHERNET_HEADER 14u
#define TCP_HEADER_LEAST 20u

/* The headers of a TCP segment that is to be cut. The kernel's hdr_len is no
 * more than a hint. */
static bool read_header_size(const uint8_t *frame, size_t n,
                             struct cdt_offload *out)
{
    size_t tcp;

    if (!out->partial || n - out->start < TCP_HEADER_LEAST) {
        return false;
    }
    tcp = (size_t)(frame[out->start + 12u] >> 4) * 4;
    if (tcp < TCP_HEADER_LEAST || n - out->start < tcp) {
        return false;
    }
    out->header_size = (uint16_t)(out->start + tcp);
    return true;
}

bool cdt_tap_read_offload(const struct virtio_net_hdr *header,
                          const uint8_t *frame, size_t n,
                          struct cdt_offload *out)
{
    *out = (struct cdt_offload){0};
    if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
        if (header->csum_start < ETHERNET_HEADER ||
            (size_t)header->csum_start + header->csum_offset + 2 > n) {
            return false;
        }
        out->partial = true;
        out->start = header->csum_start;
        out->offset = header->csum_offset;
    }
    out->valid = (header->flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0;
    switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return header->gso_type == VIRTIO_NET_HDR_GSO_NONE;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        out->gso = 4;
        break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        out->gso = 6;
        break;
    default:
        return false;
    }
    out->gso_size = header->gso_size;
    return out->gso_size != 0 && read_header_size(frame, n, out);
}

bool cdt_tap_write_offload(const struct cdt_tap *tap,
                           const struct cdt_offload *offload,
                           struct virtio_net_hdr *header)
{
    *header = (struct virtio_net_hdr){0};
    if (offload == NULL) {
        return true;
    }
    if ((offload->partial && !tap->base.checksums) ||
        (offload->gso != 0 && !tap->base.gso)) {
        return false;
    }
    if (offload->partial) {
        header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header->csum_start = offload->start;
        header->csum_offset = offload->offset;
    }
    if (offload->gso != 0) {
        header->gso_type = offload->gso == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
                                             : VIRTIO_NET_HDR_GSO_TCPV6;
        header->gso_size = offload->gso_size;
        header->hdr_len = offload->header_size;
    }
    return true;
}
