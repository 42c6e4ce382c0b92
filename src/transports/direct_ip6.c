/* SPDX-License-Identifier: ISC */
/*
 * The IPv6 address and the router that were configured. lwIP learns both by
 * advertisement; an address without lifetimes, it takes for one of a network of
 * 64 bits. So an address with another prefix is given lifetimes, and implies no
 * network then; what is on the link, and what goes by the router, is said here.
 *
 * lwIP asks for a neighbour by an address of ours in the same 64 bits, and
 * where there is none, not at all. These are asked for here. All else about
 * neighbours stays lwIP's: what it notes, what it lets wait, and what it does
 * with answers.
 */
#include "direct.h"

#include "lwip_hooks.h"

#include <lwip/ethip6.h>
#include <lwip/icmp6.h>
#include <lwip/inet_chksum.h>
#include <lwip/ip6.h>
#include <lwip/nd6.h>
#include <lwip/priv/nd6_priv.h>
#include <lwip/prot/nd6.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>

#include <string.h>

/* Between two looks at the lifetimes of an address. */
#define KEEP_MS 60000

/* Between two questions for the same neighbour: RFC 4861's RETRANS_TIMER. */
#define ASK_MS 1000

/* ---- where packets go --------------------------------------------------- */

static bool is_on_link(const struct cdt_net_config *config,
                       const ip6_addr_t *to)
{
    const uint8_t *ip = config->ip6.ip;
    uint8_t bytes[16];
    unsigned whole = config->prefix6 / 8u;
    unsigned rest = config->prefix6 % 8u;

    memcpy(bytes, to->addr, sizeof bytes);
    return config->has_ip6 && memcmp(bytes, ip, whole) == 0 &&
           (rest == 0 || (bytes[whole] ^ ip[whole]) >> (8 - rest) == 0);
}

const ip6_addr_t *cdt_lwip_gateway6(struct netif *n, const ip6_addr_t *to)
{
    static ip_addr_t gateway;
    const struct cdt_stack *stack = n->state;

    if (stack == NULL) {
        return NULL;
    }
    if (is_on_link(&stack->config, to)) {
        return to;
    }
    if (stack->config.gateway6.family == 0) {
        return NULL;
    }
    cdt_ip_from(stack, &stack->config.gateway6, &gateway);
    return ip_2_ip6(&gateway);
}

/* ---- neighbours --------------------------------------------------------- */

/* The last one that was asked for, and when. */
static ip6_addr_t asked;
static u32_t asked_at;

static bool lwip_asks(const struct netif *n, const ip6_addr_t *neighbour)
{
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (ip6_addr_isvalid(netif_ip6_addr_state(n, i)) &&
            ip6_addr_netcmp(neighbour, netif_ip6_addr(n, i))) {
            return true;
        }
    }
    return false;
}

/* Whether it is to be asked for, or asked again. */
static bool is_in_question(const ip6_addr_t *neighbour)
{
    for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
        const struct nd6_neighbor_cache_entry *entry = &neighbor_cache[i];

        if (entry->state != ND6_NO_ENTRY &&
            ip6_addr_cmp(&entry->next_hop_address, neighbour)) {
            return entry->state == ND6_INCOMPLETE || entry->state == ND6_PROBE;
        }
    }
    return false;
}

/* A neighbour solicitation: RFC 4861 section 4.3. */
static void solicit(struct netif *n, const ip6_addr_t *neighbour)
{
    const struct cdt_stack *stack = n->state;
    struct pbuf *p = pbuf_alloc(PBUF_IP, sizeof(struct ns_header) + 8,
                                PBUF_RAM);
    struct ns_header *ns;
    ip6_addr_t group;
    ip_addr_t from;
    uint8_t *option;

    if (p == NULL) {
        return;
    }
    ns = p->payload;
    memset(ns, 0, p->len);
    ns->type = ICMP6_TYPE_NS;
    ip6_addr_copy_to_packed(ns->target_address, *neighbour);
    option = (uint8_t *)p->payload + sizeof *ns;
    option[0] = ND6_OPTION_TYPE_SOURCE_LLADDR;
    option[1] = 1; /* in units of 8 bytes */
    memcpy(option + 2, n->hwaddr, 6);
    cdt_ip_from(stack, &stack->config.ip6, &from);
    ip6_addr_set_solicitednode(&group, neighbour->addr[3]);
    ip6_addr_assign_zone(&group, IP6_MULTICAST, n);
    ns->chksum = ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->len, ip_2_ip6(&from),
                                   &group);
    (void)ip6_output_if(p, ip_2_ip6(&from), &group, ND6_HOPLIM, 0,
                        IP6_NEXTH_ICMP6, n);
    pbuf_free(p);
}

static void ask_for(struct netif *n, const ip6_addr_t *neighbour)
{
    if (lwip_asks(n, neighbour) || !is_in_question(neighbour) ||
        (ip6_addr_cmp(&asked, neighbour) && sys_now() - asked_at < ASK_MS)) {
        return;
    }
    asked = *neighbour;
    asked_at = sys_now();
    solicit(n, neighbour);
}

/* netif->output_ip6; the packet waits within lwIP where an answer has to come
 * first. */
static err_t output(struct netif *n, struct pbuf *p, const ip6_addr_t *to)
{
    err_t err = ethip6_output(n, p, to);

    if (!ip6_addr_ismulticast(to) && !ip6_addr_islinklocal(to)) {
        const ip6_addr_t *neighbour = cdt_lwip_gateway6(n, to);

        if (neighbour != NULL) {
            ask_for(n, neighbour);
        }
    }
    return err;
}

/* ---- the address -------------------------------------------------------- */

/*
 * Routers that announce the address's 64 bits change its lifetimes. What they
 * make of an infinite one is two hours at least (RFC 4862 section 5.5.3), so
 * every now and then they are put back. The timer outlives the stack, and the
 * next one's, if it has another such address, takes its place.
 */
static void keep(void *arg)
{
    struct netif *n = netif_default;
    const struct cdt_stack *stack = n != NULL ? n->state : NULL;
    ip_addr_t addr;
    s8_t i;

    (void)arg;
    sys_untimeout(keep, NULL);
    if (stack == NULL || !stack->config.has_ip6 ||
        stack->config.prefix6 == 64) {
        return;
    }
    cdt_ip_from(stack, &stack->config.ip6, &addr);
    i = netif_get_ip6_addr_match(n, ip_2_ip6(&addr));
    if (i >= 0) {
        netif_ip6_addr_set_valid_life(n, i, IP6_ADDR_LIFE_INFINITE);
        netif_ip6_addr_set_pref_life(n, i, IP6_ADDR_LIFE_INFINITE);
        if (ip6_addr_isdeprecated(netif_ip6_addr_state(n, i))) {
            netif_ip6_addr_set_state(n, i, IP6_ADDR_PREFERRED);
        }
    }
    sys_timeout(KEEP_MS, keep, NULL);
}

void cdt_direct_ip6_add(struct cdt_stack *stack)
{
    struct netif *n = &stack->netif;
    ip_addr_t addr;
    s8_t i = 0;

    netif_create_ip6_linklocal_address(n, 1);
    netif_set_ip6_autoconfig_enabled(n, stack->config.slaac ? 1 : 0);
    if (stack->config.has_ip6) {
        cdt_ip_from(stack, &stack->config.ip6, &addr);
        if (netif_add_ip6_address(n, ip_2_ip6(&addr), &i) == ERR_OK) {
            netif_ip6_addr_set_state(n, i, IP6_ADDR_PREFERRED);
        }
        n->output_ip6 = output;
    }
    ip6_addr_set_any(&asked);
    keep(NULL);
}
