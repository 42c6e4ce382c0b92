/* SPDX-License-Identifier: ISC */
/*
 * Finds the connection that a packet is for. lwIP walks the lists of all of
 * them, moving what it finds to the front; with a thousand that is a quarter of
 * its time. Here they are in a hash table, and while lwIP takes a packet, its
 * lists have just the one in them that is found, or none.
 *
 * Rejected: keeping the lists' order ourselves. lwIP changes it in five places,
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
#define PROTOCOL_TCP 6u

/* Ports for our own side: RFC 6056, with half of all. */
#define PORT_FIRST 0x8000u
#define PORTS 0x8000u

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

static struct cdt_direct_entry **slot_of(const struct cdt_stack *stack,
                                         uint32_t hash)
{
    return &stack->slots[hash & (stack->slot_count - 1)];
}

static void put_entry(struct cdt_stack *stack, struct cdt_direct_entry *e)
{
    struct cdt_direct_entry **slot = slot_of(stack, e->hash);

    e->next = *slot;
    *slot = e;
}

/* Doubles the table. Without memory it stays as it is, and gets slower, unless
 * there is none yet. */
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

bool cdt_direct_table_add(struct cdt_stack *stack, struct tcp_pcb *pcb)
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
        return false;
    }
    e->stack = stack;
    e->pcb = pcb;
    e->hash = hash_of_pcb(pcb);
    stack->entry_count++;
    put_entry(stack, e);
    tcp_ext_arg_set_callbacks(pcb, ENTRY_ID, &callbacks);
    tcp_ext_arg_set(pcb, ENTRY_ID, e);
    return true;
}

/* A connection begins at a listener. */
static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *listening,
                             struct tcp_pcb *pcb)
{
    return cdt_direct_table_add(listening->ext_args[id].data, pcb) ? ERR_OK
                                                                   : ERR_MEM;
}

void cdt_direct_table_listen(struct cdt_stack *stack, struct tcp_pcb *listening)
{
    static const struct tcp_ext_arg_callbacks callbacks = {NULL,
                                                           on_passive_open};

    tcp_ext_arg_set_callbacks(listening, ENTRY_ID, &callbacks);
    tcp_ext_arg_set(listening, ENTRY_ID, stack);
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
    uint32_t sequence;
    uint16_t remote_port;
    uint16_t local_port;
    uint8_t flags;
};

static uint16_t u16_at(const uint8_t *p)
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
    if (n < header + TCP_HLEN) {
        return false;
    }
    p += header;
    key->remote_port = u16_at(p);
    key->local_port = u16_at(p + 2);
    key->sequence = (uint32_t)u16_at(p + 4) << 16 | u16_at(p + 6);
    key->flags = p[13];
    return true;
}

/* Whose the key is; without `local`, whichever address of ours it has. */
static struct tcp_pcb *find(const struct cdt_stack *stack,
                            const struct key *key, bool local)
{
    size_t size = key->words * sizeof *key->remote;
    struct cdt_direct_entry *e;
    uint32_t hash;

    if (stack->entry_count == 0) {
        return NULL;
    }
    hash = hash_of(key->remote, key->words, key->remote_port, key->local_port);
    for (e = *slot_of(stack, hash); e != NULL; e = e->next) {
        const struct tcp_pcb *pcb = e->pcb;

        if (e->hash == hash && pcb->remote_port == key->remote_port &&
            pcb->local_port == key->local_port &&
            IP_IS_V6(&pcb->remote_ip) == (key->words == 4) &&
            memcmp(&pcb->remote_ip.u_addr, key->remote, size) == 0 &&
            (!local || memcmp(&pcb->local_ip.u_addr, key->local, size) == 0)) {
            return e->pcb;
        }
    }
    return NULL;
}

/* ---- a port of our own --------------------------------------------------- */

uint16_t cdt_direct_table_port(const struct cdt_stack *stack,
                               const ip_addr_t *to, uint16_t to_port)
{
    uint32_t first = cdt_lwip_random();
    struct key key = {.words = IP_IS_V6(to) ? 4 : 1, .remote_port = to_port};

    memcpy(key.remote, &to->u_addr, key.words * sizeof *key.remote);
    for (uint32_t i = 0; i < PORTS; i++) {
        key.local_port = (uint16_t)(PORT_FIRST + (first + i) % PORTS);
        /* From a port of ours to the same one, it would meet itself. */
        if (key.local_port != to_port && find(stack, &key, false) == NULL) {
            return key.local_port;
        }
    }
    return 0;
}

/* ---- lwIP's lists, while it takes a packet ------------------------------- */

/* Puts what has been begun meanwhile, which is hardly ever more than one, in
 * front of what was there. */
static void give_back(struct tcp_pcb **list, struct tcp_pcb *rest)
{
    while (*list != NULL) {
        list = &(*list)->next;
    }
    *list = rest;
}

/*
 * Waiting for nothing but time, and the peer begins anew from the same port:
 * RFC 9293 section 3.6.1. lwIP would not have it for a minute.
 */
static bool begins_anew(const struct tcp_pcb *pcb, const struct key *key)
{
    return pcb->state == TIME_WAIT &&
           (key->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN &&
           TCP_SEQ_GT(key->sequence, pcb->rcv_nxt);
}

void cdt_direct_table_begin(struct cdt_stack *stack, const uint8_t *packet,
                            size_t n, struct cdt_direct_front *front)
{
    struct key key;

    *front = (struct cdt_direct_front){0};
    if (!read_key(packet, n, &key)) {
        return;
    }
    front->pcb = find(stack, &key, true);
    if (front->pcb != NULL && begins_anew(front->pcb, &key)) {
        tcp_abort(front->pcb); /* in silence */
        front->pcb = NULL;
    }
    front->taken = true;
    front->active = tcp_active_pcbs;
    front->waiting = tcp_tw_pcbs;
    tcp_active_pcbs = NULL;
    tcp_tw_pcbs = NULL;
    if (front->pcb != NULL) {
        front->list = front->pcb->state == TIME_WAIT ? &tcp_tw_pcbs
                                                     : &tcp_active_pcbs;
        front->next = front->pcb->next;
        front->pcb->next = NULL;
        *front->list = front->pcb;
    }
}

/* It has left its list, or is freed: nobody looks at what is behind it. */
static void forget(struct tcp_pcb **first, const struct tcp_pcb *pcb,
                   struct tcp_pcb *next)
{
    while (*first != pcb) {
        first = &(*first)->next;
    }
    *first = next;
}

void cdt_direct_table_end(struct cdt_direct_front *front)
{
    if (!front->taken) {
        return;
    }
    if (front->list != NULL && *front->list == front->pcb) {
        cdt_direct_keep_order(front->pcb);
        front->pcb->next = front->next; /* as it was */
        *front->list = NULL;
    } else if (front->list != NULL) {
        forget(front->list == &tcp_active_pcbs ? &front->active
                                               : &front->waiting,
               front->pcb, front->next);
    }
    give_back(&tcp_active_pcbs, front->active);
    give_back(&tcp_tw_pcbs, front->waiting);
}
