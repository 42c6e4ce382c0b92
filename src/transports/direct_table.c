/* SPDX-License-Identifier: ISC */
/*
 * Finds the connection that a packet is for. lwIP walks the list of all of
 * them, moving what it finds to the front; with a thousand that is a quarter of
 * its time. Here they are in a hash table, and the one that is found is put in
 * front of lwIP's list while it takes the packet.
 *
 * Rejected: keeping the list's order ourselves. lwIP changes it in five places,
 * and each of them would have to be replaced.
 */
#include "direct.h"

#include "lwip_hooks.h"

#include <lwip/priv/tcp_priv.h>

#include <string.h>

#define ENTRY_ID 1 /* of the extension arguments; direct_open.c has 0 */
#define SLOTS_MIN 64u

#define IP4_HEADER 20u
#define IP6_HEADER 40u
#define PORTS 4u
#define PROTOCOL_TCP 6u

struct cdt_direct_entry {
    struct cdt_direct_entry *next;
    struct cdt_stack *stack;
    struct tcp_pcb *pcb;
    uint32_t hash;
};

/* Chosen at random, so that no peer can have all in one slot. */
static uint32_t secret;

static uint32_t mix(uint32_t hash, uint32_t word)
{
    hash = (hash ^ word) * 0x9e3779b1u;
    return hash ^ hash >> 15;
}

/* Of a peer's address, whose words are in network order, and both ports. */
static uint32_t hash_of(const uint32_t *words, size_t n, uint16_t remote_port,
                        uint16_t local_port)
{
    uint32_t hash = mix(secret, (uint32_t)remote_port << 16 | local_port);

    for (size_t i = 0; i < n; i++) {
        hash = mix(hash, words[i]);
    }
    return hash;
}

static uint32_t hash_of_pcb(const struct tcp_pcb *pcb)
{
    uint32_t word;

    if (IP_IS_V6(&pcb->remote_ip)) {
        return hash_of(ip_2_ip6(&pcb->remote_ip)->addr, 4, pcb->remote_port,
                       pcb->local_port);
    }
    word = ip_addr_get_ip4_u32(&pcb->remote_ip);
    return hash_of(&word, 1, pcb->remote_port, pcb->local_port);
}

/* ---- the table ---------------------------------------------------------- */

static struct cdt_direct_entry **slot_of(struct cdt_stack *stack, uint32_t hash)
{
    return &stack->slots[hash & (stack->slot_count - 1)];
}

static void put_entry(struct cdt_stack *stack, struct cdt_direct_entry *e)
{
    struct cdt_direct_entry **slot = slot_of(stack, e->hash);

    e->next = *slot;
    *slot = e;
}

/* Doubles the table. Without memory it stays as it is, and gets slower. */
static void grow(struct cdt_stack *stack)
{
    size_t old_count = stack->slot_count;
    size_t count = old_count > 0 ? 2 * old_count : SLOTS_MIN;
    struct cdt_direct_entry **old = stack->slots;
    struct cdt_direct_entry **slots = conduit_alloc(stack->ctx,
                                                    count * sizeof(void *));

    if (slots == NULL) {
        return;
    }
    stack->slots = slots;
    stack->slot_count = count;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct cdt_direct_entry *e = old[i];

            old[i] = e->next;
            put_entry(stack, e);
        }
    }
    conduit_release(stack->ctx, old);
}

/* lwIP frees the connection. */
static void on_freed(u8_t id, void *data)
{
    struct cdt_direct_entry *e = data;
    struct cdt_direct_entry **p;

    (void)id;
    if (e == NULL) {
        return;
    }
    p = slot_of(e->stack, e->hash);
    while (*p != e) {
        p = &(*p)->next;
    }
    *p = e->next;
    e->stack->entry_count--;
    conduit_release(e->stack->ctx, e);
}

void cdt_direct_table_add(struct cdt_stack *stack, struct tcp_pcb *pcb)
{
    static const struct tcp_ext_arg_callbacks callbacks = {on_freed, NULL};
    struct cdt_direct_entry *e;

    if (secret == 0) {
        secret = cdt_lwip_random() | 1u;
    }
    if (stack->entry_count >= stack->slot_count) {
        grow(stack);
    }
    e = stack->slot_count > 0 ? conduit_alloc(stack->ctx, sizeof *e) : NULL;
    if (e == NULL) {
        return; /* lwIP finds it by itself */
    }
    e->stack = stack;
    e->pcb = pcb;
    e->hash = hash_of_pcb(pcb);
    stack->entry_count++;
    put_entry(stack, e);
    tcp_ext_arg_set_callbacks(pcb, ENTRY_ID, &callbacks);
    tcp_ext_arg_set(pcb, ENTRY_ID, e);
}

void cdt_direct_table_free(struct cdt_stack *stack)
{
    conduit_release(stack->ctx, stack->slots);
    stack->slots = NULL;
    stack->slot_count = 0;
}

/* ---- looking up --------------------------------------------------------- */

/* What identifies a packet of TCP in one piece. */
struct key {
    uint32_t remote[4];
    uint32_t local[4];
    size_t words;
    uint16_t remote_port;
    uint16_t local_port;
};

static uint16_t port_at(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static bool read_key(const uint8_t *p, size_t n, struct key *key)
{
    size_t header;

    if (n >= IP4_HEADER && p[0] >> 4 == 4) {
        header = (size_t)(p[0] & 15u) * 4;
        if (p[9] != PROTOCOL_TCP || ((p[6] & 0x1f) | p[7]) != 0) {
            return false;
        }
        key->words = 1;
        memcpy(key->remote, p + 12, 4);
        memcpy(key->local, p + 16, 4);
    } else if (n >= IP6_HEADER && p[0] >> 4 == 6 && p[6] == PROTOCOL_TCP) {
        header = IP6_HEADER;
        key->words = 4;
        memcpy(key->remote, p + 8, 16);
        memcpy(key->local, p + 24, 16);
    } else {
        return false;
    }
    if (n < header + PORTS) {
        return false;
    }
    key->remote_port = port_at(p + header);
    key->local_port = port_at(p + header + 2);
    return true;
}

static bool is_for(const struct tcp_pcb *pcb, const struct key *key)
{
    const void *remote = &pcb->remote_ip.u_addr;
    const void *local = &pcb->local_ip.u_addr;
    size_t size = key->words * sizeof *key->remote;

    return pcb->remote_port == key->remote_port &&
           pcb->local_port == key->local_port &&
           IP_IS_V6(&pcb->remote_ip) == (key->words == 4) &&
           memcmp(remote, key->remote, size) == 0 &&
           memcmp(local, key->local, size) == 0;
}

static struct tcp_pcb *find(struct cdt_stack *stack, const uint8_t *packet,
                            size_t n)
{
    struct cdt_direct_entry *e;
    struct key key;
    uint32_t hash;

    if (stack->entry_count == 0 || !read_key(packet, n, &key)) {
        return NULL;
    }
    hash = hash_of(key.remote, key.words, key.remote_port, key.local_port);
    for (e = *slot_of(stack, hash); e != NULL; e = e->next) {
        if (e->hash == hash && is_for(e->pcb, &key)) {
            /* those that wait for nothing but time are in another list */
            return e->pcb->state != TIME_WAIT ? e->pcb : NULL;
        }
    }
    return NULL;
}

/* ---- in front of lwIP's list -------------------------------------------- */

void cdt_direct_table_begin(struct cdt_stack *stack, const uint8_t *packet,
                            size_t n, struct cdt_direct_front *front)
{
    front->pcb = find(stack, packet, n);
    front->first = tcp_active_pcbs;
    if (front->pcb != NULL) {
        /* A peer whose window is shut, and who says so, is not dead: RFC 9293
         * section 3.8.6.1. lwIP would give it up after twelve probes. */
        front->pcb->persist_probe = 0;
    }
    if (front->pcb == NULL || front->pcb == front->first) {
        front->pcb = NULL;
        return;
    }
    /* The list is a circle for the moment, which begins with it. */
    front->next = front->pcb->next;
    front->pcb->next = front->first;
    tcp_active_pcbs = front->pcb;
}

void cdt_direct_table_end(const struct cdt_direct_front *front)
{
    struct tcp_pcb *p = front->first;

    if (front->pcb == NULL) {
        return;
    }
    if (tcp_active_pcbs == front->pcb) {
        tcp_active_pcbs->next = front->next;
        tcp_active_pcbs = front->first;
        return;
    }
    while (p->next != front->pcb) { /* it has left the list, or is freed */
        p = p->next;
    }
    p->next = front->next;
}
