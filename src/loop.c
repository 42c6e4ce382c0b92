/* SPDX-License-Identifier: ISC */
/*
 * The loop. A turn runs, in this order: tasks posted by other threads, timers
 * that are due, the ready list, the flush of what was written or read, the
 * releasing of lent memory, and the freeing of what died. What becomes ready
 * meanwhile waits for the next turn, so a turn always ends; only a layer woken
 * by the one below it joins the turn that is running.
 */
#include "core.h"

/* Busy turns between two looks at the platform. */
#define BUSY_TURNS 8

void cdt_tasks_init(struct cdt_tasks *list)
{
    list->head.next = &list->head;
    list->head.prev = &list->head;
}

bool cdt_tasks_empty(const struct cdt_tasks *list)
{
    return list->head.next == &list->head;
}

void cdt_tasks_append(struct cdt_tasks *list, struct conduit_task *task)
{
    task->next = &list->head;
    task->prev = list->head.prev;
    task->prev->next = task;
    list->head.prev = task;
}

void cdt_task_remove(struct conduit_task *task)
{
    if (task->next == NULL) {
        return;
    }
    task->prev->next = task->next;
    task->next->prev = task->prev;
    task->next = NULL;
    task->prev = NULL;
}

/* Moves all tasks of `from` to the end of `to`. */
static void splice(struct cdt_tasks *to, struct cdt_tasks *from)
{
    if (cdt_tasks_empty(from)) {
        return;
    }
    from->head.next->prev = to->head.prev;
    to->head.prev->next = from->head.next;
    from->head.prev->next = &to->head;
    to->head.prev = from->head.prev;
    cdt_tasks_init(from);
}

void cdt_loop_init(struct conduit_loop *loop, struct conduit_ctx *ctx,
                   struct conduit_platform *platform)
{
    loop->ctx = ctx;
    loop->platform = platform;
    loop->turn = 1;
    loop->now = platform->ops->monotonic(platform);
    loop->flush_last = &loop->flush_first;
    cdt_tasks_init(&loop->current);
    cdt_tasks_init(&loop->ready);
    atomic_init(&loop->posted, NULL);
    platform->loop = loop;
}

void cdt_loop_kick(struct conduit_loop *loop)
{
    if (!loop->in_turn) {
        loop->platform->ops->kick(loop->platform);
    }
}

struct conduit_ctx *conduit_loop_ctx(struct conduit_loop *loop)
{
    return loop->ctx;
}

uint64_t conduit_loop_now(const struct conduit_loop *loop)
{
    return loop->now;
}

void conduit_loop_defer(struct conduit_loop *loop, struct conduit_task *task)
{
    if (task->next == NULL) {
        cdt_tasks_append(&loop->ready, task);
        cdt_loop_kick(loop);
    }
}

void conduit_loop_cancel(struct conduit_loop *loop, struct conduit_task *task)
{
    (void)loop;
    cdt_task_remove(task);
}

void conduit_loop_post(struct conduit_loop *loop, struct conduit_task *task)
{
    struct conduit_task *first = atomic_load_explicit(&loop->posted,
                                                      memory_order_relaxed);

    do {
        task->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &first, task,
                                                    memory_order_release,
                                                    memory_order_relaxed));
    if (first == NULL) {
        loop->platform->ops->wake(loop->platform);
    }
}

/* Moves what other threads posted, oldest first, to the ready list. */
static void take_posted(struct conduit_loop *loop)
{
    struct conduit_task *list;
    struct conduit_task *oldest = NULL;

    if (atomic_load_explicit(&loop->posted, memory_order_relaxed) == NULL) {
        return;
    }
    list = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    while (list != NULL) {
        struct conduit_task *next = list->next;

        list->next = oldest;
        oldest = list;
        list = next;
    }
    while (oldest != NULL) {
        struct conduit_task *next = oldest->next;

        cdt_tasks_append(&loop->ready, oldest);
        oldest = next;
    }
}

static void fire_timers(struct conduit_loop *loop)
{
    struct conduit_timer *t;

    while ((t = cdt_timer_due(loop, loop->now)) != NULL) {
        t->fire(t);
    }
}

static void run_ready(struct conduit_loop *loop)
{
    splice(&loop->current, &loop->ready);
    while (!cdt_tasks_empty(&loop->current)) {
        struct conduit_task *task = loop->current.head.next;

        cdt_task_remove(task);
        task->run(task);
    }
}

void cdt_release_refs(struct conduit_loop *loop)
{
    while (loop->refs != NULL) {
        struct conduit_ref *ref = loop->refs;
        unsigned due = ref->due;

        loop->refs = ref->next;
        ref->next = NULL;
        ref->due = 0;
        for (; due > 0; due--) {
            ref->release(ref);
        }
    }
}

static void turn(struct conduit_loop *loop)
{
    loop->in_turn = true;
    loop->turn++;
    loop->now = loop->platform->ops->monotonic(loop->platform);
    take_posted(loop);
    fire_timers(loop);
    run_ready(loop);
    cdt_conn_flush_all(loop);
    cdt_conn_reap(loop);
    cdt_release_refs(loop);
    loop->in_turn = false;
}

/* In how many ns a turn is due, if nothing happens before. */
static uint64_t due_in(struct conduit_loop *loop)
{
    uint64_t now;

    if (!cdt_tasks_empty(&loop->ready) || loop->flush_first != NULL ||
        loop->dead != NULL || loop->refs != NULL ||
        atomic_load_explicit(&loop->posted, memory_order_relaxed) != NULL) {
        return 0;
    }
    if (loop->timers == NULL) {
        return UINT64_MAX;
    }
    now = loop->platform->ops->monotonic(loop->platform);
    return loop->timers->at > now ? loop->timers->at - now : 0;
}

/* Asks the pollers; false when one of them does not want the loop to sleep. */
static bool may_sleep(struct conduit_loop *loop, bool idle)
{
    struct conduit_poller *p = loop->pollers;
    bool sleep = true;

    while (p != NULL) {
        struct conduit_poller *next = p->next;

        if (p->poll(p, idle) != CONDUIT_POLL_IDLE) {
            sleep = false;
        }
        p = next;
    }
    return sleep;
}

static uint64_t due_after_polling(struct conduit_loop *loop)
{
    uint64_t ns = due_in(loop);

    if (loop->pollers == NULL) {
        return ns;
    }
    return may_sleep(loop, ns > 0) ? due_in(loop) : 0;
}

uint64_t conduit_loop_step(struct conduit_loop *loop)
{
    turn(loop);
    return due_after_polling(loop);
}

static void wait(struct conduit_loop *loop, uint64_t ns)
{
    loop->busy = 0;
    loop->platform->ops->wait(loop->platform, ns);
}

int conduit_loop_run(struct conduit_loop *loop)
{
    while (!loop->stop) {
        uint64_t ns = conduit_loop_step(loop);

        if (loop->stop) {
            break;
        }
        if (ns > 0 || ++loop->busy >= BUSY_TURNS) {
            wait(loop, ns);
        }
    }
    loop->stop = false;
    return 0;
}

void conduit_loop_stop(struct conduit_loop *loop)
{
    loop->stop = true;
    cdt_loop_kick(loop);
}

void conduit_loop_turn(struct conduit_loop *loop, unsigned wait_ms)
{
    uint64_t most = (uint64_t)wait_ms * CDT_NS_PER_MS;
    uint64_t ns = due_after_polling(loop);

    wait(loop, ns < most ? ns : most);
    turn(loop);
    cdt_loop_kick(loop); /* for who drives it otherwise: times have changed */
}

void conduit_loop_finish(struct conduit_loop *loop)
{
    while (loop->closing > 0 || loop->dead != NULL) {
        conduit_loop_turn(loop, 1000);
    }
}

void conduit_loop_add_poller(struct conduit_loop *loop,
                             struct conduit_poller *poller)
{
    poller->next = loop->pollers;
    loop->pollers = poller;
    cdt_loop_kick(loop);
}

void conduit_loop_remove_poller(struct conduit_loop *loop,
                                struct conduit_poller *poller)
{
    struct conduit_poller **p = &loop->pollers;

    while (*p != NULL && *p != poller) {
        p = &(*p)->next;
    }
    if (*p != NULL) {
        *p = poller->next;
        poller->next = NULL;
    }
}
