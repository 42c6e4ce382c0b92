/* SPDX-License-Identifier: ISC */
/*
 * Whether the interface of a TAP is up. Its descriptor does not tell: reading
 * just finds nothing while it is down, and only who writes gets EIO. So netlink
 * is listened to (rtnetlink(7)), where each change of any interface is told.
 *
 * Where that tells nothing, as once the interface was moved to another network
 * namespace while its descriptor stays with us, EIO says that it is down; and
 * the kernel makes the descriptor writable when it comes up.
 */
#include "tap.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEWS_A_WAKEUP 64

static void await_writable(struct cdt_tap *tap)
{
    if (tap->blind && !tap->gone && event_add(&tap->writable, NULL) != 0) {
        conduit_log(tap->ctx, CONDUIT_LOG_ERROR, CDT_TAP_LAYER,
                    "%s: cannot wait for it to come up", tap->name);
    }
}

static void tell(struct cdt_tap *tap, bool up)
{
    conduit_loop_cancel(conduit_ctx_loop(tap->ctx), &tap->say);
    if (!up) {
        await_writable(tap);
    }
    if (tap->up == up) {
        return;
    }
    tap->up = up;
    conduit_log(tap->ctx, CONDUIT_LOG_INFO, CDT_TAP_LAYER, "%s is %s",
                tap->name, up ? "up" : "down");
    cdt_stack_link(tap->base.stack, up);
}

/* ---- what frames found out ---------------------------------------------- */

/* Later, since the stack is in the middle of sending. */
static void say_down(struct conduit_task *task)
{
    struct cdt_tap *tap = CDT_CONTAINER(task, struct cdt_tap, say);

    tell(tap, false);
}

void cdt_tap_found_down(struct cdt_tap *tap)
{
    if (tap->up) {
        conduit_loop_defer(conduit_ctx_loop(tap->ctx), &tap->say);
    }
}

void cdt_tap_lost(struct cdt_tap *tap, int native)
{
    if (tap->gone) {
        return;
    }
    tap->gone = true;
    (void)event_del(&tap->readable);
    conduit_timer_clear(conduit_ctx_loop(tap->ctx), &tap->retry);
    cdt_tap_unwatch(tap);
    if (native == EBADFD) {
        conduit_log(tap->ctx, CONDUIT_LOG_ERROR, CDT_TAP_LAYER,
                    "%s was deleted; this process is without it from now on",
                    tap->name);
    } else {
        conduit_log(tap->ctx, CONDUIT_LOG_ERROR, CDT_TAP_LAYER,
                    "%s fails: %s; this process is without it from now on",
                    tap->name, strerror(native));
    }
    conduit_loop_defer(conduit_ctx_loop(tap->ctx), &tap->say);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct cdt_tap *tap = arg;

    (void)fd;
    (void)what;
    (void)event_del(&tap->writable);
    tell(tap, true);
}

/* ---- netlink ------------------------------------------------------------ */

/* Asks how our interface is; the answer comes as any other news. */
static void ask(struct cdt_tap *tap)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg info;
    } request = {
        .head = {.nlmsg_len = sizeof request,
                 .nlmsg_type = RTM_GETLINK,
                 .nlmsg_flags = NLM_F_REQUEST},
        .info = {.ifi_family = AF_UNSPEC, .ifi_index = (int)tap->index},
    };

    (void)send(tap->netlink, &request, sizeof request, MSG_DONTWAIT);
}

/* A link layer that is not there (no carrier) is as good as down. */
static bool is_up(unsigned flags)
{
    return (flags & IFF_UP) != 0 && (flags & IFF_LOWER_UP) != 0;
}

static void go_blind(struct cdt_tap *tap)
{
    if (tap->netlink >= 0) {
        (void)event_del(&tap->news);
        (void)close(tap->netlink);
        tap->netlink = -1;
    }
    tap->blind = true;
}

/* false: netlink has nothing more to say. */
static bool take_news(struct cdt_tap *tap)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg info;
    } message; /* the rest of it does not matter, and is cut off */
    struct sockaddr_nl from = {0};
    socklen_t size = sizeof from;
    ssize_t got = recvfrom(tap->netlink, &message, sizeof message, MSG_DONTWAIT,
                           (struct sockaddr *)&from, &size);

    if (got < 0 && errno == ENOBUFS) {
        ask(tap); /* some of it was lost */
        return true;
    }
    if (got < 0) {
        return errno == EINTR;
    }
    if (got < (ssize_t)sizeof message || from.nl_pid != 0 ||
        message.info.ifi_index != (int)tap->index ||
        message.info.ifi_family != AF_UNSPEC) {
        return true; /* not the kernel's, not ours, or a bridge's */
    }
    if (message.head.nlmsg_type == RTM_NEWLINK) {
        tell(tap, is_up(message.info.ifi_flags));
    } else if (message.head.nlmsg_type == RTM_DELLINK) {
        go_blind(tap); /* moved; or deleted, which reading tells */
        tell(tap, false);
        return false;
    }
    return true;
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    struct cdt_tap *tap = arg;
    unsigned n = 0;

    (void)fd;
    (void)what;
    while (n < NEWS_A_WAKEUP && take_news(tap)) {
        n++;
    }
}

static int open_netlink(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = RTMGRP_LINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

int cdt_tap_watch(struct cdt_tap *tap)
{
    struct event_base *base = cdt_unix_base(tap->ctx);

    tap->up = true;
    tap->say.run = say_down;
    if (event_assign(&tap->writable, base, tap->fd, EV_WRITE, on_writable,
                     tap) != 0) {
        return CONDUIT_ENOMEM;
    }
    tap->netlink = open_netlink();
    tap->blind = tap->netlink < 0;
    if (tap->blind) {
        conduit_log(tap->ctx, CONDUIT_LOG_INFO, CDT_TAP_LAYER,
                    "no netlink: that %s is down is seen when frames are sent",
                    tap->name);
        return 0;
    }
    if (event_assign(&tap->news, base, tap->netlink, EV_READ | EV_PERSIST,
                     on_news, tap) != 0 ||
        event_add(&tap->news, NULL) != 0) {
        return CONDUIT_ENOMEM;
    }
    ask(tap);
    return 0;
}

void cdt_tap_unwatch(struct cdt_tap *tap)
{
    conduit_loop_cancel(conduit_ctx_loop(tap->ctx), &tap->say);
    if (event_initialized(&tap->writable)) {
        (void)event_del(&tap->writable);
    }
    if (tap->netlink >= 0) {
        if (event_initialized(&tap->news)) {
            (void)event_del(&tap->news);
        }
        (void)close(tap->netlink);
        tap->netlink = -1;
    }
}
