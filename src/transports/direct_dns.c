/* SPDX-License-Identifier: ISC */
/*
 * Names by lwIP's DNS client (RFC 1035, RFC 3596): a source of the resolver.
 * Both kinds of addresses are asked for at once. It answers only in a context
 * whose TCP is this stack.
 *
 * The servers that were given come first, then those that DHCP or a router
 * (RFC 8106) told of. lwIP would put each of these over whatever is there, so
 * its table is read, to learn what it was told, and written anew.
 *
 * lwIP cannot be told to forget a question. So it is given a number, and who
 * asked is found by that, or has gone.
 *
 * lwIP has room for a few questions at a time. Those beyond wait in a line
 * until one has ended, be it without an answer, which all do. The first in the
 * line is asked first, and the others as long as there is room: to wake all of
 * them for each answer would cost the square of their number.
 */
#include "direct.h"

#include <lwip/dns.h>

#include <string.h>

struct cdt_direct_query {
    struct cdt_direct_query *next;
    struct cdt_stack *stack;
    struct conduit_lookup *lookup;
    struct conduit_task task; /* begins, once there is an address and room */
    uintptr_t number;
    unsigned left; /* questions to be asked: bits of lwIP's types */
    unsigned open; /* questions without an answer */
    bool found;
    bool failed; /* could not be asked */
    char host[];
};

/* Never given twice, to whichever stack of the process. */
static uintptr_t last_number;

/* Whose questions lwIP's answers are for. */
static struct cdt_stack *asking;

/* Questions that lwIP has, also those whose asker has gone. */
static unsigned asked;

/* Servers that lwIP was told of, and what it was left with the last time. Both
 * are the process's, as its table is. */
static ip_addr_t learnt[DNS_MAX_SERVERS];
static ip_addr_t placed[DNS_MAX_SERVERS];

/* ---- servers ------------------------------------------------------------ */

struct servers {
    ip_addr_t addr[DNS_MAX_SERVERS];
    u8_t count;
};

/* Behind the others, unless it is none, one of them, or one too many. */
static void append(struct servers *s, const ip_addr_t *addr)
{
    if (s->count == DNS_MAX_SERVERS || ip_addr_isany(addr)) {
        return;
    }
    for (u8_t i = 0; i < s->count; i++) {
        if (ip_addr_cmp(&s->addr[i], addr)) {
            return;
        }
    }
    s->addr[s->count++] = *addr;
}

static bool is_in(const ip_addr_t list[DNS_MAX_SERVERS], const ip_addr_t *addr)
{
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        if (ip_addr_cmp(&list[i], addr)) {
            return true;
        }
    }
    return false;
}

/* The newest come first, but one that was there before keeps its place; one
 * that lwIP has taken away goes. */
static void learn(void)
{
    struct servers now = {.count = 0};
    struct servers gone = {.count = 0};

    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        const ip_addr_t *addr = dns_getserver(i);

        if (ip_addr_isany(addr)) {
            append(&gone, &placed[i]);
        } else if (!is_in(placed, addr) && !is_in(learnt, addr)) {
            append(&now, addr);
        }
    }
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        if (!is_in(gone.addr, &learnt[i])) {
            append(&now, &learnt[i]);
        }
    }
    memcpy(learnt, now.addr, sizeof learnt);
}

void cdt_direct_dns_servers(const struct cdt_stack *stack)
{
    struct servers all = {.count = 0};
    ip_addr_t addr;

    learn();
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        if (stack->config.dns[i].family != 0) {
            cdt_ip_from(stack, &stack->config.dns[i], &addr);
            append(&all, &addr);
        }
    }
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        append(&all, &learnt[i]);
    }
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        dns_setserver(i, i < all.count ? &all.addr[i] : NULL);
        placed[i] = *dns_getserver(i);
    }
}

/* lwIP's table stays as well, and its times do not run while no stack is up.
 * So they run here: questions end for want of a server, answers by age. Nobody
 * is told, as the stack's queries have gone before. */
void cdt_direct_dns_forget(void)
{
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        dns_setserver(i, NULL);
        placed[i] = *dns_getserver(i);
        learnt[i] = placed[i];
    }
    for (unsigned i = 0; i <= DNS_MAX_TTL; i++) {
        dns_tmr();
    }
}

/* ---- queries ------------------------------------------------------------ */

static void unlink_query(struct cdt_direct_query *q)
{
    struct cdt_direct_query **p = &q->stack->queries;

    while (*p != q) {
        p = &(*p)->next;
    }
    *p = q->next;
    cdt_task_remove(&q->task);
}

static void drop(struct cdt_direct_query *q)
{
    unlink_query(q);
    conduit_release(q->stack->ctx, q);
}

/* lwIP does not tell a name that is not there from a server that is silent. */
static void finish(struct cdt_direct_query *q)
{
    struct conduit_lookup *lookup = q->lookup;
    int code = q->found ? 0 : q->failed ? CONDUIT_ELIMIT : CONDUIT_ENAME;

    drop(q);
    conduit_lookup_done(lookup, code, 0);
}

static void add(struct cdt_direct_query *q, const ip_addr_t *addr)
{
    struct conduit_addr plain;

    cdt_ip_to(addr, 0, &plain);
    if (conduit_lookup_add(q->lookup, &plain) == 0) {
        q->found = true;
    } else {
        q->failed = true;
    }
}

/* Its room is free once this has returned. */
static void on_found(const char *name, const ip_addr_t *addr, void *arg)
{
    struct cdt_direct_query *q = asking != NULL ? asking->queries : NULL;

    (void)name;
    asked--;
    if (asking != NULL && !cdt_tasks_empty(&asking->unasked)) {
        conduit_loop_defer(&asking->ctx->loop, &asking->ask);
    }
    while (q != NULL && q->number != (uintptr_t)arg) {
        q = q->next;
    }
    if (q == NULL) {
        return;
    }
    if (addr != NULL) {
        add(q, addr);
    }
    if (--q->open == 0 && q->left == 0) {
        finish(q);
    }
}

static void ask(struct cdt_direct_query *q, u8_t type)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): never followed */
    void *number = (void *)q->number;
    ip_addr_t addr;

    if ((q->left & 1u << type) == 0) {
        return;
    }
    switch (
        dns_gethostbyname_addrtype(q->host, &addr, on_found, number, type)) {
    case ERR_OK:
        add(q, &addr);
        break;
    case ERR_INPROGRESS:
        q->open++;
        asked++;
        break;
    case ERR_MEM:
        if (asked > 0) {
            return; /* one of these will make room */
        }
        q->failed = true;
        break;
    default: /* no server, or no name that DNS could have */
        break;
    }
    q->left &= ~(1u << type);
}

/* Asks what is left. false: there is no room for all of it. */
static bool ask_left(struct cdt_direct_query *q)
{
    asking = q->stack;
    ask(q, LWIP_DNS_ADDRTYPE_IPV6);
    ask(q, LWIP_DNS_ADDRTYPE_IPV4);
    return q->left == 0;
}

/* There is room: for those in the line, until there is none. */
static void ask_more(struct conduit_task *task)
{
    struct cdt_stack *stack = CDT_CONTAINER(task, struct cdt_stack, ask);

    cdt_direct_dns_servers(stack);
    while (!cdt_tasks_empty(&stack->unasked)) {
        struct cdt_direct_query *q = CDT_CONTAINER(
            stack->unasked.head.next, struct cdt_direct_query, task);

        if (!ask_left(q)) {
            return;
        }
        cdt_task_remove(&q->task);
        if (q->open == 0) {
            finish(q);
        }
    }
}

/* Whether a server could be reached from somewhere, or there is none, and none
 * to be waited for. */
static bool can_ask(const struct cdt_stack *stack)
{
    bool none = true;

    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        const ip_addr_t *server = dns_getserver(i);

        if (!ip_addr_isany(server)) {
            none = false;
            if (cdt_stack_ready_for(stack, server)) {
                return true;
            }
        }
    }
    return none && cdt_stack_complete(stack);
}

static void run(struct conduit_task *task)
{
    struct cdt_direct_query *q = CDT_CONTAINER(task, struct cdt_direct_query,
                                               task);

    cdt_direct_dns_servers(q->stack);
    if (!can_ask(q->stack)) {
        cdt_stack_await(q->stack, task);
        return;
    }
    if (!ask_left(q)) {
        cdt_tasks_append(&q->stack->unasked, task);
    } else if (q->open == 0) {
        finish(q);
    }
}

static void start(struct conduit_resolver_source *source,
                  struct conduit_lookup *lookup, const char *host,
                  void **handle)
{
    struct cdt_stack *stack = CDT_CONTAINER(source, struct cdt_stack, source);
    size_t n = strlen(host) + 1;
    struct conduit_error err = {0};
    struct cdt_direct_query *q;

    *handle = NULL;
    if (!stack->up && strcmp(stack->ctx->net, "direct") != 0) {
        conduit_lookup_done(lookup, CONDUIT_ENAME, 0);
        return;
    }
    if (cdt_stack_up(stack, &err) != 0) {
        /* a look-up has a code to fail with, and no words */
        conduit_log(stack->ctx, CONDUIT_LOG_ERROR, err.layer, "%s", err.text);
        conduit_lookup_done(lookup, err.code, err.native);
        return;
    }
    q = conduit_alloc(stack->ctx, sizeof *q + n);
    if (q == NULL) {
        conduit_lookup_done(lookup, CONDUIT_ENOMEM, 0);
        return;
    }
    memcpy(q->host, host, n);
    if (n > 2 && host[n - 2] == '.') {
        q->host[n - 2] = '\0'; /* the root, which lwIP takes for a label */
    }
    q->stack = stack;
    q->lookup = lookup;
    q->number = ++last_number;
    q->left = 1u << LWIP_DNS_ADDRTYPE_IPV6 | 1u << LWIP_DNS_ADDRTYPE_IPV4;
    q->task.run = run;
    q->next = stack->queries;
    stack->queries = q;
    *handle = q;
    conduit_loop_defer(&stack->ctx->loop, &q->task);
}

static void cancel(struct conduit_resolver_source *source, void *handle)
{
    (void)source;
    if (handle != NULL) {
        drop(handle);
    }
}

void cdt_direct_dns_init(struct cdt_stack *stack)
{
    stack->source.name = "lwip";
    stack->source.start = start;
    stack->source.cancel = cancel;
    stack->ask.run = ask_more;
    cdt_tasks_init(&stack->unasked);
    conduit_resolver_add_source(stack->ctx, &stack->source);
}

void cdt_direct_dns_fini(struct cdt_stack *stack)
{
    while (stack->queries != NULL) {
        drop(stack->queries);
    }
    cdt_task_remove(&stack->ask);
    if (asking == stack) {
        asking = NULL;
    }
}
