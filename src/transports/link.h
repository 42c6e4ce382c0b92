/* SPDX-License-Identifier: ISC */
/*
 * Between the direct stack (direct_stack.c) and the device that carries its
 * frames (platforms/unix/tap.c): Ethernet frames both ways, with what a device
 * can do for them. Neither side blocks. Everything is called on the loop's
 * thread.
 */
#ifndef CDT_LINK_H
#define CDT_LINK_H

#include "core.h"

#define CDT_LINK_MTU_MIN 1280u /* IPv6 needs it: RFC 8200 section 5 */
#define CDT_LINK_MTU_MAX 65535u
#define CDT_LINK_QUEUE_MAX 1000000u /* frames */

/* ---- configuration (direct_config.c) ------------------------------------ */

#define CDT_NET_NAME 16 /* IFNAMSIZ */

enum cdt_net_how {
    CDT_NET_NONE,   /* no address of that family but the link's own */
    CDT_NET_STATIC, /* as given */
    CDT_NET_DHCP    /* IPv4 only */
};

/* What CONDUIT_NET says after "direct,"; docs/direct.md. */
struct cdt_net_config {
    char tap[CDT_NET_NAME]; /* "": no device, the stack talks to itself only */
    enum cdt_net_how ip4_how;
    struct conduit_addr ip4;
    uint8_t prefix4;
    struct conduit_addr gateway4; /* family 0: none */
    bool slaac;                   /* IPv6 addresses by router advertisement */
    bool has_ip6;
    struct conduit_addr ip6; /* static */
    uint8_t prefix6;
    struct conduit_addr gateway6; /* family 0: by router advertisement */
    struct conduit_addr dns[3];   /* family 0: none; DHCP's come behind */
    uint32_t mtu;                 /* 0: the device's */
    uint32_t txqueuelen;          /* frames; 0: the device's, or more */
    bool offload;                 /* checksums and GSO by the device */
    uint8_t mac[6];               /* all 0: by the device or at random */
    char pcap[256];               /* "": none */
    char hostname[64];            /* for DHCP; "": none */
};

/*
 * Parses "direct" or "direct,KEY=VALUE,...,FLAG". 0, or EINVAL with what is
 * wrong; layer "direct".
 */
int cdt_net_parse(const char *text, struct cdt_net_config *out,
                  struct conduit_error *err);

/* ---- the device --------------------------------------------------------- */

struct cdt_link;
struct cdt_stack;

/* What is left to do for a frame, or was done: struct virtio_net_hdr. */
struct cdt_offload {
    bool partial;      /* the checksum from `start` on is to be put at `start` +
                          `offset`; there is the pseudo header's sum */
    bool valid;        /* received: the device vouches for the checksum */
    uint8_t gso;       /* 0, or the IP version of a TCP segment to be cut */
    uint16_t gso_size; /* payload bytes of each piece */
    uint16_t header_size; /* Ethernet to TCP header */
    uint16_t start;
    uint16_t offset;
};

struct cdt_link_ops {
    const char *name; /* "tap" */
    /*
     * Sends a frame, which is copied. 0; AGAIN where the device has no room,
     * and the frame is lost, as on a wire; or another code.
     */
    int (*send)(struct cdt_link *link, const struct conduit_seg *seg,
                unsigned count, const struct cdt_offload *offload);
    /* Stops receiving, and frees the device. */
    void (*destroy)(struct cdt_link *link);
};

/* First member of a device's own structure. */
struct cdt_link {
    const struct cdt_link_ops *ops;
    struct cdt_stack *stack; /* set by the stack before anything is received */
    uint8_t mac[6];
    uint16_t mtu;
    bool checksums; /* takes `partial`, and gives `valid` and `partial` */
    bool gso;       /* takes and gives `gso`, for TCP of both versions */
};

/* ---- what the stack gives to a device ----------------------------------- */

/* Bytes of a frame's room, Ethernet header included. */
#define CDT_FRAME_ROOM (65535u + 14u)

/* Room for a frame to be received. */
struct cdt_frame {
    uint8_t *data;
    size_t room; /* enough for one frame of the device: CDT_FRAME_ROOM where it
                    gives `gso`, else MTU and header */
};

/*
 * A buffer to receive into, or NULL where there is no memory for one: the
 * device drops then, as a full one does. It is the device's until given back by
 * one of the two calls below.
 */
struct cdt_frame *cdt_stack_frame(struct cdt_stack *stack);
void cdt_stack_unused(struct cdt_stack *stack, struct cdt_frame *frame);

/* A frame of n bytes has arrived in it. */
void cdt_stack_input(struct cdt_stack *stack, struct cdt_frame *frame, size_t n,
                     const struct cdt_offload *offload);

/* The device is up, or not; at first it counts as up. */
void cdt_stack_link(struct cdt_stack *stack, bool up);

/* ---- what the platform gives to the stack ------------------------------- */

/*
 * Opens the device that the configuration names; `*out` is the caller's, who
 * sets `stack` and destroys it. Errors name what to do about them.
 */
typedef int cdt_link_open(struct conduit_ctx *ctx,
                          const struct cdt_net_config *config,
                          struct cdt_link **out, struct conduit_error *err);

/* Registers tcp+direct over devices that `open` opens (direct.c). */
int cdt_direct_register(struct conduit_ctx *ctx, cdt_link_open *open);

#endif
