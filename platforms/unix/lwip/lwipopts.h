/* SPDX-License-Identifier: ISC */
/*
 * How lwIP is compiled for the direct stack: the raw API, driven by our loop,
 * with large windows. What is not here is lwIP's default (lwip/opt.h).
 */
#ifndef CDT_LWIPOPTS_H
#define CDT_LWIPOPTS_H

#include "transports/lwip_hooks.h"

/* ---- one thread, which is the loop's --------------------------------------
 */

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_ALTCP 0
#define LWIP_TIMERS 1

/* ---- what cannot be guessed -----------------------------------------------
 */

/* rand() gives the same ports in every process. */
#define LWIP_RAND() cdt_lwip_random()
/* Routers by configuration. */
#define LWIP_HOOK_ND6_GET_GW(netif, to) cdt_lwip_gateway6(netif, to)
#define LWIP_HOOK_FILENAME "transports/lwip_hooks.h"
#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port) \
    cdt_lwip_isn(local, local_port, remote, remote_port)
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, header, size, first, rest, p) \
    (cdt_lwip_takes(pcb, header, size, first, rest, p) ? ERR_OK : ERR_VAL)

/* ---- memory ---------------------------------------------------------------
 */

/* The C library's, without lwIP's fixed numbers of each thing. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 16 /* as malloc() */
#define LWIP_SUPPORT_CUSTOM_PBUF 1
/* Segments in flight, the application's and lwIP's own, may hold one pbuf. */
#define LWIP_PBUF_REF_T u16_t
/* As for Ethernet; the default is TCP_MSS, which here is no frame's size. */
#define PBUF_POOL_BUFSIZE 2048

/* ---- interfaces -----------------------------------------------------------
 */

#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define ETH_PAD_SIZE 0
#define ARP_TABLE_SIZE 127
/* Connections may begin many at a time: a SYN dropped here is sent again after
 * seconds. */
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 128
/* What waits for a MAC address outlives its connection, and so must not refer
 * to memory that was lent to that. lwIP's default leaves out PBUF_ROM, whose
 * bytes it takes to stay for ever. */
#define PBUF_NEEDS_COPY(p) \
    (((p)->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS) == 0)
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_STATUS_CALLBACK 1
#define LWIP_NETIF_LINK_CALLBACK 1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1
#define LWIP_HAVE_LOOPIF 1
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_NETIF_LOOPBACK_MULTITHREADING 0

/* What the device does for us is known when it is opened, and what it did, with
 * each frame. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

/* ---- IP -------------------------------------------------------------------
 */

#define LWIP_IPV4 1
#define LWIP_ICMP 1
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 64 /* of 1500 bytes: the largest datagram */
/* A segment larger than the MTU is the device's to cut, not IP's. */
#define IP_FRAG 0
#define LWIP_IPV6_FRAG 0
#define LWIP_RAW 0

#define LWIP_IPV6 1
#define LWIP_ICMP6 1
/* Neither TCP nor DNS needs it, and lwIP's ends the process by an assertion
 * where the parts are nearly 64 KiB. A fragment that is all of its packet is
 * taken without it. */
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_MLD 1
#define LWIP_ND6_QUEUEING 1
#define LWIP_ND6_NUM_NEIGHBORS 127 /* at most: its index is an s8_t */
#define LWIP_ND6_NUM_DESTINATIONS 127
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS 3
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 1
#define LWIP_IPV6_NUM_ADDRESSES 4 /* link, static and two prefixes */
#define LWIP_IPV6_DHCP6 0

/* ---- UDP, DHCP, DNS -------------------------------------------------------
 */

#define LWIP_UDP 1
#define LWIP_DHCP 1
#define DHCP_DOES_ARP_CHECK 0 /* it would take a second or more */
/* 28 and a name of 63 bytes, which lwIP asserts, and does not check, to fit. */
#define DHCP_OPTIONS_LEN 128
#define LWIP_DNS 1
#define DNS_MAX_SERVERS 3
/* Questions at a time, of which a name has two, and answers kept. By default as
 * many may wait for their answers; a number of its own (DNS_MAX_REQUESTS) would
 * not do, since lwIP finds things of the one by indices of the other. */
#define DNS_TABLE_SIZE 32
/* Seconds for which an answer is kept, and which are run through to forget them
 * all when a stack goes (direct_dns.c): a fraction of a millisecond. */
#define DNS_MAX_TTL 3600
#define LWIP_DNS_SECURE                                                   \
    (LWIP_DNS_SECURE_RAND_XID | LWIP_DNS_SECURE_NO_MULTIPLE_OUTSTANDING | \
     LWIP_DNS_SECURE_RAND_SRC_PORT)

/* ---- TCP ------------------------------------------------------------------
 */

#define LWIP_TCP 1
#define TCP_MSS 65400 /* a bound; the MTU and the peer decide */
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (1024 * 1024)
#define TCP_SND_BUF (1024 * 1024)
/* Of the window that this connection has: without scaling that is less than
 * what lwIP would wait for. `pcb` is a name where lwIP uses this. */
#define TCP_WND_UPDATE_THRESHOLD (TCP_WND_MAX(pcb) / 4)
#define TCP_SND_QUEUELEN 16384
/* Room that small writes may still fill: of a segment on Ethernet, not of
 * TCP_MSS, which would be allocated for each. */
#define TCP_OVERSIZE 1460
#define TCP_QUEUE_OOSEQ 1
/* A peer that sends single bytes with gaps between them has a bound. */
#define TCP_OOSEQ_MAX_PBUFS 1024
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_KEEPALIVE 1
/* Told when a connection is freed, however. */
#define LWIP_TCP_PCB_NUM_EXT_ARGS 2
#define TCP_LISTEN_BACKLOG 1
#define TCP_MSL 30000UL /* TIME_WAIT lasts a minute, as Linux has it */
/* Ports of our own side, whoever the peer is: half of all, not a quarter. */
#define TCP_LOCAL_PORT_RANGE_START 0x8000
#define TCP_LOCAL_PORT_RANGE_END 0xffff
#define TCP_ENSURE_LOCAL_PORT_RANGE(port) ((u16_t)((port) | 0x8000u))
#define SO_REUSE 1 /* a listener's port, while connections to it end */
/* Milliseconds for which an acknowledgment waits for company, and half the
 * grain of retransmission. lwIP's 250 is seen by everybody. */
#define TCP_TMR_INTERVAL 50
/* The checks want TCP_SNDLOWAT to fit into 16 bits; only lwIP's own sockets
 * use it. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1

#define LWIP_STATS 0

#endif
