/* SPDX-License-Identifier: ISC */
/*
 * What lwIP asks of us: the lwip folder of a platform points its macros here,
 * and direct_stack.c answers. lwIP's own sys_now() is another of these.
 */
#ifndef CDT_LWIP_HOOKS_H
#define CDT_LWIP_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct ip_addr;
struct ip6_addr;
struct netif;
struct pbuf;
struct tcp_hdr;
struct tcp_pcb;

/* 32 bits that nobody can foretell: ports, and numbers of DNS and DHCP. */
uint32_t cdt_lwip_random(void);

/* The first sequence number of a connection: RFC 6528. */
uint32_t cdt_lwip_isn(const struct ip_addr *local, uint16_t local_port,
                      const struct ip_addr *remote, uint16_t remote_port);

/* Where a packet goes that is for none of the networks lwIP knows: to its own
 * address, where that is on the link, or the router that was configured for
 * IPv6. NULL: to advertised ones. */
const struct ip6_addr *cdt_lwip_gateway6(struct netif *netif,
                                         const struct ip6_addr *to);

/*
 * Whether lwIP is to see a segment of a connection: its header in host order
 * where lwIP has that, options behind it of which `first_size` bytes are in one
 * piece and the others at `rest`, and its data.
 */
bool cdt_lwip_takes(struct tcp_pcb *pcb, struct tcp_hdr *header,
                    uint16_t options_size, uint16_t first_size, uint8_t *rest,
                    struct pbuf *data);

/* An assertion of lwIP's does not hold. The text is static. When this returns,
 * lwIP goes on as if nothing had been. */
void cdt_lwip_failed(const char *text);

#endif
