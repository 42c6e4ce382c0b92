/* SPDX-License-Identifier: ISC */
/*
 * Getting a TAP: opening it, what it can do, its MTU, and an address for our
 * end of it. Much of what is set on a TAP stays with it when its process ends,
 * so each thing is set that matters here, also where it has the default.
 *
 * Each failure says what somebody with the rights has to do.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICE "/dev/net/tun"
#define QUEUE 16384 /* frames */

static void name_it(const struct cdt_tap *tap, struct ifreq *request)
{
    memset(request, 0, sizeof *request);
    memcpy(request->ifr_name, tap->name, sizeof request->ifr_name);
}

/* ---- the device --------------------------------------------------------- */

static int open_device(struct cdt_tap *tap, struct conduit_error *err)
{
    int native;

    tap->fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap->fd >= 0) {
        return 0;
    }
    native = errno;
    switch (native) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return conduit_error_set(
            err, CONDUIT_ENOENT, CDT_TAP_LAYER, native,
            "no " DEVICE " here; as root: modprobe tun, or give it to the "
            "container");
    case EACCES:
    case EPERM:
        return conduit_error_set(err, CONDUIT_EACCESS, CDT_TAP_LAYER, native,
                                 "this user may not open " DEVICE
                                 "; as root: chmod 666 " DEVICE
                                 " (a TAP itself needs rights of its own)");
    case EMFILE:
    case ENFILE:
        return conduit_error_set(err, CONDUIT_ELIMIT, CDT_TAP_LAYER, native,
                                 DEVICE ": no descriptor is left");
    default:
        return conduit_error_set(err, CONDUIT_EIO, CDT_TAP_LAYER, native,
                                 DEVICE ": %s", strerror(native));
    }
}

static int not_attached(const struct cdt_tap *tap, bool existed, int native,
                        struct conduit_error *err)
{
    switch (native) {
    case EPERM:
    case EACCES:
        return conduit_error_set(
            err, CONDUIT_EACCESS, CDT_TAP_LAYER, native,
            existed ? "%s is not this user's TAP, which needs CAP_NET_ADMIN; "
                      "as root: ip tuntap del dev %s mode tap, then: ip "
                      "tuntap add dev %s mode tap user NAME"
                    : "there is no %s, and making it needs CAP_NET_ADMIN; as "
                      "root: ip tuntap add dev %s mode tap user NAME; ip link "
                      "set %s up",
            tap->name, tap->name, tap->name);
    case EBUSY:
        return conduit_error_set(err, CONDUIT_EADDRINUSE, CDT_TAP_LAYER, native,
                                 "another process has the TAP %s; each needs "
                                 "one of its own",
                                 tap->name);
    case EINVAL:
        return conduit_error_set(err, CONDUIT_EINVAL, CDT_TAP_LAYER, native,
                                 "%s exists, but is no TAP, or one with "
                                 "multi_queue; as root: ip tuntap add dev "
                                 "OTHER mode tap user NAME",
                                 tap->name);
    default:
        return conduit_error_set(err, CONDUIT_EIO, CDT_TAP_LAYER, native,
                                 "cannot attach to %s: %s", tap->name,
                                 strerror(native));
    }
}

static bool set_interface(const struct cdt_tap *tap, int flags)
{
    struct ifreq request;

    name_it(tap, &request);
    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags);
    return ioctl(tap->fd, TUNSETIFF, &request) == 0;
}

/* Kernels without that header say EINVAL, and for other reasons, too. */
static bool attach_as(struct cdt_tap *tap, bool offload)
{
    tap->has_header = offload && set_interface(tap, IFF_VNET_HDR);
    if (tap->has_header) {
        return true;
    }
    return (!offload || errno == EINVAL) && set_interface(tap, 0);
}

static int attach(struct cdt_tap *tap, bool offload, struct conduit_error *err)
{
    bool existed = if_nametoindex(tap->name) != 0;

    if (!attach_as(tap, offload)) {
        return not_attached(tap, existed, errno, err);
    }
    tap->index = if_nametoindex(tap->name);
    if (tap->index == 0) {
        return conduit_error_set(err, CONDUIT_EIO, CDT_TAP_LAYER, errno,
                                 "%s went away at once", tap->name);
    }
    if (!existed) {
        conduit_log(tap->ctx, CONDUIT_LOG_WARN, CDT_TAP_LAYER,
                    "made %s, which was not there: it is down, and goes with "
                    "this process",
                    tap->name);
    }
    return 0;
}

/* What the device does for us. Without a header it must not do anything. */
static int set_offload(struct cdt_tap *tap, struct conduit_error *err)
{
    int size = sizeof(struct virtio_net_hdr);
    int native = 0; /* byte order */

    if (tap->has_header) {
        if (ioctl(tap->fd, TUNSETVNETHDRSZ, &size) != 0) {
            return conduit_error_set(err, CONDUIT_EIO, CDT_TAP_LAYER, errno,
                                     "%s: the header's size: %s", tap->name,
                                     strerror(errno));
        }
        (void)ioctl(tap->fd, TUNSETVNETLE, &native);
        tap->base.gso = ioctl(tap->fd, TUNSETOFFLOAD,
                              TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0;
        tap->base.checksums = tap->base.gso ||
                              ioctl(tap->fd, TUNSETOFFLOAD, TUN_F_CSUM) == 0;
    }
    if (!tap->base.checksums && ioctl(tap->fd, TUNSETOFFLOAD, 0) != 0) {
        return conduit_error_set(err, CONDUIT_EIO, CDT_TAP_LAYER, errno,
                                 "%s: no offload: %s", tap->name,
                                 strerror(errno));
    }
    return 0;
}

/* ---- the interface ------------------------------------------------------ */

/* `what` of the interface is `before`, and could not be set to `wanted`. */
static int cannot_set(const struct cdt_tap *tap, const char *what,
                      uint32_t wanted, int before, int native,
                      struct conduit_error *err)
{
    return conduit_error_set(
        err,
        native == EPERM    ? CONDUIT_EACCESS
        : native == EINVAL ? CONDUIT_EINVAL
                           : CONDUIT_EIO,
        CDT_TAP_LAYER, native,
        native == EPERM
            ? "%s=%lu: %s has %d, and to change that needs CAP_NET_ADMIN; as "
              "root: ip link set dev %s %s %lu"
            : "%s=%lu: %s has %d, and cannot be changed (%s)",
        what, (unsigned long)wanted, tap->name, before,
        native == EPERM ? tap->name : strerror(native), what,
        (unsigned long)wanted);
}

static int set_mtu(const struct cdt_tap *tap, int control, uint32_t mtu,
                   int before, struct conduit_error *err)
{
    struct ifreq request;

    name_it(tap, &request);
    request.ifr_mtu = (int)mtu;
    return ioctl(control, SIOCSIFMTU, &request) == 0
               ? 0
               : cannot_set(tap, "mtu", mtu, before, errno, err);
}

static int take_mtu(struct cdt_tap *tap, int control, uint32_t wanted,
                    struct conduit_error *err)
{
    struct ifreq request;
    int code = 0;
    int mtu;

    name_it(tap, &request);
    if (ioctl(control, SIOCGIFMTU, &request) != 0) {
        return conduit_error_set(err, CONDUIT_EIO, CDT_TAP_LAYER, errno,
                                 "%s: its MTU: %s", tap->name, strerror(errno));
    }
    mtu = request.ifr_mtu;
    if (wanted != 0 && mtu != (int)wanted) {
        code = set_mtu(tap, control, wanted, mtu, err);
        mtu = (int)wanted;
    }
    if (code == 0 &&
        (mtu < (int)CDT_LINK_MTU_MIN || mtu > (int)CDT_LINK_MTU_MAX)) {
        code = conduit_error_set(err, CONDUIT_EINVAL, CDT_TAP_LAYER, 0,
                                 "%s has an MTU of %d, and %u is the least; as "
                                 "root: ip link set dev %s mtu 1500",
                                 tap->name, mtu, CDT_LINK_MTU_MIN, tap->name);
    }
    tap->base.mtu = (uint16_t)mtu;
    return code;
}

/*
 * What the kernel sends and we have not read yet waits there; where there is no
 * room, it is lost, and TCP needs a fifth of a second to find that out. So the
 * queue has to bear a frame of each connection there may be. Who has no right
 * to change it, and did not ask for it, goes on with what there is.
 */
static int take_queue(const struct cdt_tap *tap, int control, uint32_t wanted,
                      struct conduit_error *err)
{
    struct ifreq request;
    int before;

    name_it(tap, &request);
    if (ioctl(control, SIOCGIFTXQLEN, &request) != 0) {
        return conduit_error_set(err, CONDUIT_EIO, CDT_TAP_LAYER, errno,
                                 "%s: its queue: %s", tap->name,
                                 strerror(errno));
    }
    before = request.ifr_qlen;
    if (wanted != 0 ? before == (int)wanted : before >= QUEUE) {
        return 0;
    }
    request.ifr_qlen = wanted != 0 ? (int)wanted : QUEUE;
    if (ioctl(control, SIOCSIFTXQLEN, &request) == 0) {
        return 0;
    }
    if (wanted != 0) {
        return cannot_set(tap, "txqueuelen", wanted, before, errno, err);
    }
    conduit_log(tap->ctx, CONDUIT_LOG_INFO, CDT_TAP_LAYER,
                "%s has room for %d frames only; as root: ip link set dev %s "
                "txqueuelen %d",
                tap->name, before, tap->name, QUEUE);
    return 0;
}

/* The interface's own address is that of the kernel's end of the wire. */
static int take_mac(struct cdt_tap *tap, int control,
                    const struct cdt_net_config *config,
                    struct conduit_error *err)
{
    static const uint8_t none[6];
    uint8_t *mac = tap->base.mac;
    struct ifreq request;
    int code;

    if (memcmp(config->mac, none, sizeof none) == 0) {
        code = conduit_ctx_entropy(tap->ctx, mac, 6);
        mac[0] = (uint8_t)((mac[0] & 0xfcu) | 2u); /* one station, local */
        return code == 0 ? 0
                         : conduit_error_set(err, code, CDT_TAP_LAYER, 0,
                                             "no entropy for a MAC address");
    }
    memcpy(mac, config->mac, 6);
    name_it(tap, &request);
    if (ioctl(control, SIOCGIFHWADDR, &request) == 0 &&
        memcmp(request.ifr_hwaddr.sa_data, mac, 6) == 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, CDT_TAP_LAYER, 0,
                                 "mac= is the address of %s itself, which the "
                                 "kernel's end of it has",
                                 tap->name);
    }
    return 0;
}

static int take_interface(struct cdt_tap *tap,
                          const struct cdt_net_config *config,
                          struct conduit_error *err)
{
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int code;

    if (control < 0) {
        return conduit_error_set(
            err,
            errno == EMFILE || errno == ENFILE ? CONDUIT_ELIMIT : CONDUIT_EIO,
            CDT_TAP_LAYER, errno, "no socket to ask about %s: %s", tap->name,
            strerror(errno));
    }
    code = take_mtu(tap, control, config->mtu, err);
    if (code == 0) {
        code = take_queue(tap, control, config->txqueuelen, err);
    }
    if (code == 0) {
        code = take_mac(tap, control, config, err);
    }
    (void)close(control);
    return code;
}

/* ---- all of it ---------------------------------------------------------- */

static int open_all(struct cdt_tap *tap, const struct cdt_net_config *config,
                    struct conduit_error *err)
{
    int code = open_device(tap, err);

    if (code == 0) {
        code = attach(tap, config->offload, err);
    }
    if (code == 0) {
        code = set_offload(tap, err);
    }
    if (code == 0) {
        code = take_interface(tap, config, err);
    }
    if (code == 0 && config->pcap[0] != '\0') {
        code = cdt_pcap_open(tap->ctx, config->pcap, &tap->pcap, err);
    }
    if (code == 0 && cdt_tap_begin(tap) != 0) {
        code = conduit_error_set(err, CONDUIT_ENOMEM, CDT_TAP_LAYER, 0,
                                 "out of memory");
    }
    return code;
}

int cdt_tap_open(struct conduit_ctx *ctx, const struct cdt_net_config *config,
                 struct cdt_link **out, struct conduit_error *err)
{
    struct cdt_tap *tap = conduit_alloc(ctx, sizeof *tap);
    int code;

    if (tap == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, CDT_TAP_LAYER, 0,
                                 "out of memory");
    }
    tap->ctx = ctx;
    tap->fd = -1;
    tap->netlink = -1;
    memcpy(tap->name, config->tap, sizeof tap->name);
    code = open_all(tap, config, err);
    if (code != 0) {
        cdt_tap_destroy(&tap->base);
        return code;
    }
    *out = &tap->base;
    return 0;
}
