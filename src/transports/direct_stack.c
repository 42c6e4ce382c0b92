/* SPDX-License-Identifier: ISC */
/*
 * The stack within the process: lwIP's life in a context. It comes up when the
 * first connection or listener needs it. Its timers are a timer of the loop;
 * what it sends to itself is taken by a poller, between turns.
 */
#include "direct.h"

#include "lwip_hooks.h"

#include <lwip/dhcp.h>
#include <lwip/init.h>
#include <lwip/ip4_frag.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/timeouts.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYER "direct"

/* What a stack that goes away still says to itself. */
#define LAST_WORDS 64

static const char state_key;

/* lwIP's state is the process's, and so are these. */
static struct cdt_stack *owner;
static bool initialised;

/* ---- what lwIP asks for ------------------------------------------------- */

u32_t sys_now(void)
{
    struct conduit_platform *p = owner->ctx->platform;

    return (u32_t)(p->ops->monotonic(p) / CDT_NS_PER_MS);
}

uint32_t cdt_lwip_random(void)
{
    static uint32_t words[32];
    static unsigned left;

    if (left == 0) {
        if (conduit_ctx_entropy(owner->ctx, words, sizeof words) != 0) {
            cdt_lwip_failed("no entropy");
        }
        left = sizeof words / sizeof words[0];
    }
    return words[--left];
}

void cdt_lwip_failed(const char *text)
{
    if (owner != NULL) {
        conduit_log(owner->ctx, CONDUIT_LOG_ERROR, LAYER,
                    "the stack is broken: %s", text);
    }
    abort();
}

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

/* SipHash's rounds (Aumasson, Bernstein 2012). */
static void sip_rounds(uint64_t v[4], int rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

/* SipHash-2-4 of whole words, whose count goes in as well. */
static uint64_t sip_hash(const uint64_t key[2], const uint64_t *words, size_t n)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)(n * sizeof *words) << 56;

    for (size_t i = 0; i <= n; i++) {
        uint64_t word = i < n ? words[i] : last;

        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void words_of(const ip_addr_t *addr, uint64_t out[2])
{
    struct conduit_addr plain;

    cdt_ip_to(addr, 0, &plain);
    memcpy(out, plain.ip, sizeof plain.ip);
}

/* The initial sequence number of a connection: RFC 6528 section 3. */
uint32_t cdt_lwip_isn(const ip_addr_t *local_ip, uint16_t local_port,
                      const ip_addr_t *remote_ip, uint16_t remote_port)
{
    static uint64_t key[2];
    struct conduit_platform *p = owner->ctx->platform;
    uint64_t words[5];

    while (key[0] == 0) {
        key[0] = (uint64_t)cdt_lwip_random() << 32 | cdt_lwip_random();
        key[1] = (uint64_t)cdt_lwip_random() << 32 | cdt_lwip_random();
    }
    words_of(local_ip, words);
    words_of(remote_ip, words + 2);
    words[4] = (uint64_t)local_port << 16 | remote_port;
    return (uint32_t)(p->ops->monotonic(p) / 4000 +
                      sip_hash(key, words, sizeof words / sizeof words[0]));
}

/* ---- addresses ---------------------------------------------------------- */

void cdt_ip_from(const struct cdt_stack *stack, const struct conduit_addr *from,
                 ip_addr_t *to)
{
    const ip_addr_t zero4 = IPADDR4_INIT(0);
    const ip_addr_t zero6 = IPADDR6_INIT(0, 0, 0, 0);

    *to = from->family == 4 ? zero4 : zero6;
    if (from->family == 4) {
        memcpy(&ip_2_ip4(to)->addr, from->ip, sizeof ip_2_ip4(to)->addr);
        return;
    }
    memcpy(ip_2_ip6(to)->addr, from->ip, sizeof ip_2_ip6(to)->addr);
    if (stack->link != NULL && ip6_addr_islinklocal(ip_2_ip6(to))) {
        ip6_addr_set_zone(ip_2_ip6(to), netif_get_index(&stack->netif));
    }
}

void cdt_ip_to(const ip_addr_t *from, uint16_t port, struct conduit_addr *to)
{
    memset(to, 0, sizeof *to);
    to->port = port;
    if (IP_IS_V4(from)) {
        u32_t word = ip_addr_get_ip4_u32(from);

        to->family = 4;
        memcpy(to->ip, &word, sizeof word);
    } else {
        to->family = 6;
        memcpy(to->ip, ip_2_ip6(from)->addr, sizeof to->ip);
        if (ip6_addr_has_zone(ip_2_ip6(from))) {
            to->scope = ip6_addr_zone(ip_2_ip6(from));
        }
    }
}

bool cdt_stack_has(const struct cdt_stack *stack, const ip_addr_t *addr)
{
    struct netif *n;

    (void)stack;
    NETIF_FOREACH(n)
    {
        if (IP_IS_V4(addr)) {
            if (ip4_addr_cmp(netif_ip4_addr(n), ip_2_ip4(addr)) ||
                (ip_addr_isloopback(addr) &&
                 ip4_addr_isloopback(netif_ip4_addr(n)))) {
                return true;
            }
        } else if (netif_get_ip6_addr_match(n, ip_2_ip6(addr)) >= 0) {
            return true;
        }
    }
    return false;
}

/* A valid address that is more than the link's own. */
static bool has_global6(const struct netif *n)
{
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (ip6_addr_isvalid(netif_ip6_addr_state(n, i)) &&
            !ip6_addr_islinklocal(netif_ip6_addr(n, i))) {
            return true;
        }
    }
    return false;
}

bool cdt_stack_ready_for(const struct cdt_stack *stack, const ip_addr_t *to)
{
    const struct netif *n = &stack->netif;

    if (stack->link == NULL || ip_addr_isloopback(to)) {
        return true;
    }
    if (IP_IS_V4(to)) {
        return stack->config.ip4_how != CDT_NET_DHCP ||
               !ip4_addr_isany(netif_ip4_addr(n));
    }
    if (ip6_addr_islinklocal(ip_2_ip6(to))) {
        return ip6_addr_isvalid(netif_ip6_addr_state(n, 0));
    }
    return !stack->config.slaac || has_global6(n);
}

bool cdt_stack_complete(const struct cdt_stack *stack)
{
    const struct netif *n = &stack->netif;
    bool announced = !stack->config.slaac;

    if (stack->link == NULL) {
        return true;
    }
    /* beside slaac, the one of ip6= is static: its prefix is 64 */
    for (s8_t i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        announced = announced ||
                    (ip6_addr_isvalid(netif_ip6_addr_state(n, i)) &&
                     !netif_ip6_addr_isstatic(n, i));
    }
    return announced && (stack->config.ip4_how != CDT_NET_DHCP ||
                         !ip4_addr_isany(netif_ip4_addr(n)));
}

void cdt_stack_await(struct cdt_stack *stack, struct conduit_task *task)
{
    cdt_tasks_append(&stack->waiting, task);
}

static void wake_waiting(struct cdt_stack *stack)
{
    while (!cdt_tasks_empty(&stack->waiting)) {
        struct conduit_task *task = stack->waiting.head.next;

        cdt_task_remove(task);
        conduit_loop_defer(&stack->ctx->loop, task);
    }
}

static void log_address(struct cdt_stack *stack, const ip_addr_t *from)
{
    struct conduit_addr addr;
    char text[CONDUIT_ADDR_TEXT];

    cdt_ip_to(from, 0, &addr);
    conduit_log(stack->ctx, CONDUIT_LOG_INFO, LAYER, "address %s",
                conduit_addr_format(&addr, false, text));
}

/* Those that somebody else gave, when they change. */
static void log_addresses(struct cdt_stack *stack)
{
    const struct netif *n = &stack->netif;

    if (stack->config.ip4_how == CDT_NET_DHCP &&
        !ip_addr_cmp(&stack->logged, &n->ip_addr)) {
        stack->logged = n->ip_addr;
        log_address(stack, &n->ip_addr);
    }
    for (s8_t i = 1; stack->config.slaac && i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (!ip6_addr_isvalid(netif_ip6_addr_state(n, i))) {
            stack->logged6 &= ~(1u << i);
        } else if ((stack->logged6 & 1u << i) == 0) {
            stack->logged6 |= 1u << i;
            log_address(stack, &n->ip6_addr[i]);
        }
    }
}

/* lwIP: an address has come, changed or gone. */
static void on_status(struct netif *n)
{
    struct cdt_stack *stack = n->state;

    cdt_direct_dns_servers(stack);
    log_addresses(stack);
    wake_waiting(stack);
}

void cdt_stack_link(struct cdt_stack *stack, bool up)
{
    conduit_log(stack->ctx, up ? CONDUIT_LOG_INFO : CONDUIT_LOG_WARN, LAYER,
                "the link is %s", up ? "up" : "down");
    if (up) {
        netif_set_link_up(&stack->netif);
    } else {
        netif_set_link_down(&stack->netif);
    }
}

/* ---- timers and loopback ------------------------------------------------ */

static void arm(struct cdt_stack *stack)
{
    struct conduit_loop *loop = &stack->ctx->loop;
    u32_t ms = sys_timeouts_sleeptime();
    uint64_t at;

    if (ms == SYS_TIMEOUTS_SLEEPTIME_INFINITE) {
        conduit_timer_clear(loop, &stack->timer);
        return;
    }
    at = loop->now + (uint64_t)ms * CDT_NS_PER_MS;
    if (stack->timer.at == 0 || stack->timer.at > at + CDT_NS_PER_MS) {
        conduit_timer_set(loop, &stack->timer, ms);
    }
}

static void fired(struct conduit_timer *t)
{
    const struct cdt_stack *stack = CDT_CONTAINER(t, struct cdt_stack, timer);

    if (stack->link != NULL) {
        cdt_direct_dns_servers(stack);
    }
    cdt_direct_before_timers(stack);
    sys_check_timeouts();
}

static bool says_to_itself(void)
{
    struct netif *n;

    NETIF_FOREACH(n)
    {
        if (n->loop_first != NULL) {
            return true;
        }
    }
    return false;
}

/* What goes to the device's own addresses never leaves memory either, and so
 * nobody completes the checksums that are left to the device. Frames have them
 * looked at again. */
static void poll_own(struct cdt_stack *stack)
{
    unsigned flags = stack->netif.chksum_flags;

    flags &= ~(unsigned)(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP);
    NETIF_SET_CHECKSUM_CTRL(&stack->netif, (u16_t)flags);
    netif_poll_all();
}

/* Whose packets they were is not known. */
static void take_own_packets(struct cdt_stack *stack)
{
    poll_own(stack);
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        cdt_direct_keep_order(pcb);
    }
}

static enum conduit_poll poll_stack(struct conduit_poller *poller, bool idle)
{
    struct cdt_stack *stack = CDT_CONTAINER(poller, struct cdt_stack, poller);
    bool work = says_to_itself();

    (void)idle;
    if (work) {
        take_own_packets(stack);
    }
    arm(stack);
    return work ? CONDUIT_POLL_WORK : CONDUIT_POLL_IDLE;
}

/* ---- coming up ---------------------------------------------------------- */

static int add_netif(struct cdt_stack *stack, struct conduit_error *err)
{
    const struct cdt_net_config *config = &stack->config;
    bool fixed = config->ip4_how == CDT_NET_STATIC;
    uint32_t mask = config->prefix4 > 0 ? ~0u << (32 - config->prefix4) : 0;
    const struct conduit_addr none = {.family = 4};
    ip_addr_t ip;
    ip_addr_t gateway;
    ip4_addr_t netmask = {fixed ? lwip_htonl(mask) : 0};

    cdt_ip_from(stack, fixed ? &config->ip4 : &none, &ip);
    cdt_ip_from(stack, config->gateway4.family == 4 ? &config->gateway4 : &none,
                &gateway);
    if (netif_add(&stack->netif, ip_2_ip4(&ip), &netmask, ip_2_ip4(&gateway),
                  stack, cdt_direct_netif_init, netif_input) == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                 "the stack takes no device");
    }
    if (fixed && config->prefix4 == 31) {
        /* RFC 3021: the last address is a host's, and there is no broadcast */
        stack->netif.flags &= (u8_t)~NETIF_FLAG_BROADCAST;
    }
    if (config->hostname[0] != '\0') {
        netif_set_hostname(&stack->netif, config->hostname);
    }
    netif_set_default(&stack->netif);
    netif_set_status_callback(&stack->netif, on_status);
    netif_set_up(&stack->netif);
    cdt_direct_ip6_add(stack);
    cdt_direct_dns_servers(stack);
    if (config->ip4_how == CDT_NET_DHCP && dhcp_start(&stack->netif) != 0) {
        return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                 "DHCP cannot begin: out of memory");
    }
    return 0;
}

static void end_lwip(struct cdt_stack *stack);

static int begin_lwip(struct cdt_stack *stack, struct conduit_error *err)
{
    int code = 0;

    owner = stack;
    if (!initialised) {
        lwip_init();
        initialised = true;
        /* what never leaves memory needs no checksums */
        NETIF_SET_CHECKSUM_CTRL(netif_get_by_index(1),
                                NETIF_CHECKSUM_DISABLE_ALL);
    } else {
        sys_restart_timeouts();
    }
    if (stack->link != NULL) {
        stack->link->stack = stack;
        code = add_netif(stack, err);
    }
    if (code == 0) {
        conduit_loop_add_poller(&stack->ctx->loop, &stack->poller);
        stack->up = true;
    } else {
        end_lwip(stack);
    }
    return code;
}

int cdt_stack_up(struct cdt_stack *stack, struct conduit_error *err)
{
    const char *text = strncmp(stack->ctx->net_text, "direct", 6) == 0
                           ? stack->ctx->net_text
                           : "direct";
    int code;

    if (stack->up) {
        return 0;
    }
    if (owner != NULL) {
        return conduit_error_set(err, CONDUIT_ELIMIT, LAYER, 0,
                                 "another context of this process has its "
                                 "stack, of which there can be one");
    }
    code = cdt_net_parse(text, &stack->config, err);
    if (code == 0 && stack->config.tap[0] != '\0') {
        code = stack->open(stack->ctx, &stack->config, &stack->link, err);
    }
    if (code == 0) {
        code = begin_lwip(stack, err);
    }
    if (code != 0 && stack->link != NULL) {
        stack->link->ops->destroy(stack->link);
        stack->link = NULL;
    }
    return code;
}

/* ---- going away --------------------------------------------------------- */

/* What lwIP keeps of connections that are closed: nobody is told any more. */
static void drop_pcbs(void)
{
    while (tcp_active_pcbs != NULL) {
        tcp_abort(tcp_active_pcbs);
    }
    while (tcp_tw_pcbs != NULL) {
        tcp_abort(tcp_tw_pcbs);
    }
}

/* Fragments that wait for others are in frames of ours. */
static void drop_fragments(void)
{
    for (int i = 0; i <= IP_REASS_MAXAGE; i++) {
        ip_reass_tmr();
    }
}

static void end_lwip(struct cdt_stack *stack)
{
    struct netif *n = &stack->netif;

    drop_pcbs();
    for (int i = 0; i < LAST_WORDS && says_to_itself(); i++) {
        poll_own(stack);
    }
    if (stack->link != NULL) {
        netif_set_status_callback(n, NULL);
        if (stack->config.ip4_how == CDT_NET_DHCP) {
            dhcp_release_and_stop(n);
            dhcp_cleanup(n);
        }
        netif_set_down(n);
        netif_remove(n);
    }
    drop_fragments();
    cdt_direct_dns_forget();
    owner = NULL;
}

static void stack_fini(struct conduit_ctx *ctx, struct cdt_extra *extra)
{
    struct cdt_stack *stack = CDT_CONTAINER(extra, struct cdt_stack, extra);

    cdt_direct_dns_fini(stack);
    if (stack->up) {
        conduit_loop_remove_poller(&ctx->loop, &stack->poller);
        conduit_timer_clear(&ctx->loop, &stack->timer);
        end_lwip(stack);
    }
    if (stack->link != NULL) {
        stack->link->ops->destroy(stack->link);
    }
    cdt_direct_frames_free(stack);
    cdt_direct_table_free(stack);
    conduit_release(ctx, stack);
}

struct cdt_stack *cdt_stack_of(const struct conduit_ctx *ctx)
{
    struct cdt_extra *extra = cdt_extra_find(ctx, &state_key);

    return extra != NULL ? CDT_CONTAINER(extra, struct cdt_stack, extra) : NULL;
}

struct cdt_stack *cdt_stack_new(struct conduit_ctx *ctx, cdt_link_open *open)
{
    struct cdt_stack *stack = conduit_alloc(ctx, sizeof *stack);

    if (stack == NULL) {
        return NULL;
    }
    stack->extra.key = &state_key;
    stack->extra.fini = stack_fini;
    stack->ctx = ctx;
    stack->open = open;
    stack->poller.poll = poll_stack;
    stack->timer.fire = fired;
    cdt_tasks_init(&stack->waiting);
    cdt_extra_add(ctx, &stack->extra);
    cdt_direct_dns_init(stack);
    return stack;
}
