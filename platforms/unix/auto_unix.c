/* SPDX-License-Identifier: ISC */
/* What auto:// asks of Unix: the addresses of its interfaces, and vchan's
 * registry and meeting. See transports/probe.h. */
#include "vchan_unix.h"

#include "transports/probe.h"

#include <errno.h>
#include <ifaddrs.h>
#include <string.h>

#define LAYER "auto"

/* ---- addresses ---------------------------------------------------------- */

/* ::ffff:a.b.c.d is a.b.c.d. */
static struct conduit_addr unmapped(const struct conduit_addr *addr)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    struct conduit_addr v4 = {.family = 4};

    if (addr->family != 6 || memcmp(addr->ip, prefix, sizeof prefix) != 0) {
        return *addr;
    }
    memcpy(v4.ip, addr->ip + sizeof prefix, 4);
    return v4;
}

/* Loopback, or no address at all, which the system takes for loopback. */
static bool is_loopback(const struct conduit_addr *addr)
{
    static const uint8_t zero[15];

    if (addr->family == 4) {
        return addr->ip[0] == 127 || memcmp(addr->ip, zero, 4) == 0;
    }
    return addr->family == 6 && memcmp(addr->ip, zero, sizeof zero) == 0 &&
           addr->ip[15] <= 1;
}

/* An address with a zone means that of one interface. */
static bool is_same(const struct conduit_addr *addr, const struct ifaddrs *i)
{
    union cdt_sockaddr name = {.un = {0}};
    struct conduit_addr own = {0};

    if (i->ifa_addr == NULL || (i->ifa_addr->sa_family != AF_INET &&
                                i->ifa_addr->sa_family != AF_INET6)) {
        return false;
    }
    memcpy(&name, i->ifa_addr,
           i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                             : sizeof(struct sockaddr_in6));
    cdt_sockaddr_to(&name, &own);
    return own.family == addr->family &&
           memcmp(own.ip, addr->ip, addr->family == 4 ? 4 : 16) == 0 &&
           (addr->scope == 0 || addr->scope == own.scope);
}

static bool has_own(const struct conduit_endpoint *found, size_t count)
{
    struct ifaddrs *all = NULL;
    bool own = false;
    size_t i;

    for (i = 0; i < count && !own; i++) {
        struct conduit_addr addr = unmapped(&found[i].addr);

        own = is_loopback(&addr);
    }
    if (own || getifaddrs(&all) != 0) {
        return own;
    }
    for (i = 0; i < count && !own; i++) {
        struct conduit_addr addr = unmapped(&found[i].addr);

        for (const struct ifaddrs *a = all; a != NULL && !own;
             a = a->ifa_next) {
            own = is_same(&addr, a);
        }
    }
    freeifaddrs(all);
    return own;
}

/* ---- the registry ------------------------------------------------------- */

static int dial(struct conduit_ctx *ctx, const char *name, bool bytes,
                bool same_net, const struct conduit_options *options,
                struct conduit_conn **out, struct conduit_error *err)
{
    return cdt_vchan_dial_as(ctx, name,
                             bytes ? CDT_VCHAN_BYTES : CDT_VCHAN_RINGS,
                             same_net, options, out, err);
}

/* A folder that cannot be had or written to is none. */
static int listen_at(struct conduit_listener *listener, const char *name,
                     const struct conduit_options *options,
                     struct conduit_acceptor **out, struct conduit_error *err)
{
    bool others = options->users != NULL && options->users[0] != NULL;
    struct cdt_place place;
    int code = cdt_registry_place(conduit_listener_ctx(listener), name, others,
                                  &place, err);

    if (code != 0) {
        return CONDUIT_ENOTSUP;
    }
    code = cdt_vchan_listen_as(listener, name, options, out, err);
    return code == CONDUIT_EACCESS ? CONDUIT_ENOTSUP : code;
}

static const struct cdt_probe_platform unix_probe = {
    .has_own = has_own,
    .dial = dial,
    .listen = listen_at,
};

int conduit_register_auto(struct conduit_ctx *ctx)
{
    int code = cdt_vchan_prepare(ctx);

    return code == 0 ? cdt_probe_register(ctx, &unix_probe) : code;
}
