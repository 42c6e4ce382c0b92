/* SPDX-License-Identifier: ISC */
/*
 * The platform on Unix: libevent waits, an eventfd wakes, and the rest is what
 * the system has. With an event_base of our own the loop calls libevent; with
 * the application's, libevent calls the loop: `turn` is an event that is
 * activated when there is something to do and times out when a timer is due.
 */
#include "unix_platform.h"

#include <conduit/unix.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct unix_platform {
    struct conduit_platform base;
    struct event_base *events;
    bool own_base;
    bool stepping; /* within conduit_loop_step(), of the app's base */
    int wake_fd;
    struct event turn; /* app's base: run a turn; own: end a wait */
    struct event wake;
};

static struct unix_platform *of(struct conduit_platform *p)
{
    return (struct unix_platform *)(void *)p;
}

struct event_base *cdt_unix_base(struct conduit_ctx *ctx)
{
    return of(ctx->platform)->events;
}

static uint64_t unix_monotonic(struct conduit_platform *p)
{
    struct timespec ts;

    (void)p;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + 1;
}

static int64_t unix_wall(struct conduit_platform *p)
{
    (void)p;
    return (int64_t)time(NULL);
}

static int unix_entropy(struct conduit_platform *p, void *buf, size_t n)
{
    uint8_t *to = buf;

    (void)p;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);

        if (got < 0 && errno != EINTR) {
            return CONDUIT_EIO;
        }
        if (got > 0) {
            to += got;
            n -= (size_t)got;
        }
    }
    return 0;
}

static const char *unix_env(struct conduit_platform *p, const char *name)
{
    (void)p;
    return getenv(name);
}

static void unix_log(struct conduit_platform *p, const char *line)
{
    (void)p;
    (void)fprintf(stderr, "%s\n", line);
}

/* One wait; what is later is waited for in several. */
#define WAIT_MAX (3600ull * 1000000000u)

static struct timeval to_timeval(uint64_t ns)
{
    uint64_t most = ns < WAIT_MAX ? ns : WAIT_MAX;
    uint64_t us = most / 1000 + (most % 1000 != 0);
    struct timeval tv;

    tv.tv_sec = (time_t)(us / 1000000);
    tv.tv_usec = (suseconds_t)(us % 1000000);
    return tv;
}

static void unix_wait(struct conduit_platform *p, uint64_t max_ns)
{
    struct unix_platform *u = of(p);

    if (max_ns == 0) {
        /* NONBLOCK alone goes on as long as a level holds. */
        (void)event_base_loop(u->events, EVLOOP_NONBLOCK | EVLOOP_ONCE);
        return;
    }
    if (max_ns != UINT64_MAX) {
        struct timeval tv = to_timeval(max_ns);

        (void)event_add(&u->turn, &tv);
        (void)event_base_loop(u->events, EVLOOP_ONCE);
        (void)event_del(&u->turn);
        return;
    }
    (void)event_base_loop(u->events, EVLOOP_ONCE);
}

static void unix_wake(struct conduit_platform *p)
{
    struct unix_platform *u = of(p);
    uint64_t one = 1;
    int saved = errno;

    /* Full means that a wake-up is pending already. */
    while (write(u->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = saved;
}

static void unix_kick(struct conduit_platform *p)
{
    struct unix_platform *u = of(p);

    if (!u->own_base && !u->stepping) {
        event_active(&u->turn, EV_TIMEOUT, 0);
    }
}

static void turn_due(evutil_socket_t fd, short what, void *arg)
{
    struct unix_platform *u = arg;
    uint64_t ns;

    (void)fd;
    (void)what;
    if (u->own_base) {
        return; /* it only ended a wait */
    }
    u->stepping = true;
    ns = conduit_loop_step(u->base.loop);
    u->stepping = false;
    /* By a time-out also at once: libevent runs what is activated within its
     * own callback before it looks at the system again. */
    if (ns != UINT64_MAX) {
        struct timeval tv = to_timeval(ns);

        (void)event_add(&u->turn, &tv);
    } else {
        (void)event_del(&u->turn);
    }
}

static void woken(evutil_socket_t fd, short what, void *arg)
{
    struct unix_platform *u = arg;
    uint64_t count;

    (void)what;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    unix_kick(&u->base);
}

static void unix_destroy(struct conduit_platform *p)
{
    struct unix_platform *u = of(p);

    (void)event_del(&u->turn);
    (void)event_del(&u->wake);
    (void)close(u->wake_fd);
    if (u->own_base) {
        event_base_free(u->events);
    }
    free(u);
}

static const struct conduit_platform_ops unix_ops = {
    .name = "unix",
    .monotonic = unix_monotonic,
    .wall = unix_wall,
    .entropy = unix_entropy,
    .env = unix_env,
    .log = unix_log,
    .wait = unix_wait,
    .wake = unix_wake,
    .kick = unix_kick,
    .destroy = unix_destroy,
};

/*
 * Whether a few descriptors are to be had: libevent ends the process when it
 * gets none for its own use, which is up to five.
 */
static bool room_for_libevent(int fd)
{
    int spare[6];
    bool room = true;
    int n = 0;

    while (n < 6 && room) {
        spare[n] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        room = spare[n] >= 0;
        n += room;
    }
    while (n > 0) {
        (void)close(spare[--n]);
    }
    if (!room) {
        errno = EMFILE;
    }
    return room;
}

/* An event_base of our own: no locks (one thread), no signals looked for. */
static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config != NULL) {
        (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        (void)event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME);
        (void)event_config_require_features(config, EV_FEATURE_ET);
        base = event_base_new_with_config(config);
        event_config_free(config);
    }
    return base;
}

/* Fails with errno, which tells the code where it can. */
static int fail(struct unix_platform *u, struct conduit_error *err, int code,
                const char *text)
{
    int native = code == CONDUIT_ENOTSUP ? 0 : errno;

    if (native == EMFILE || native == ENFILE) {
        code = CONDUIT_ELIMIT;
    }
    if (u != NULL && u->own_base && u->events != NULL) {
        event_base_free(u->events);
    }
    if (u != NULL && u->wake_fd >= 0) {
        (void)close(u->wake_fd);
    }
    free(u);
    return conduit_error_set(err, code, "unix", native, "%s", text);
}

int conduit_unix_new(struct event_base *base,
                     const struct conduit_ctx_options *options,
                     struct conduit_ctx **out, struct conduit_error *err)
{
    struct unix_platform *u = calloc(1, sizeof *u);

    errno = 0;
    if (u == NULL) {
        return fail(u, err, CONDUIT_ENOMEM, "out of memory");
    }
    u->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (u->wake_fd < 0) {
        return fail(u, err, CONDUIT_EIO, "cannot make an eventfd");
    }
    if (base == NULL && !room_for_libevent(u->wake_fd)) {
        return fail(u, err, CONDUIT_ELIMIT, "too few descriptors left");
    }
    u->own_base = base == NULL;
    u->events = base != NULL ? base : new_base();
    if (u->events == NULL) {
        return fail(u, err, CONDUIT_EIO, "cannot make an event_base");
    }
    if ((event_base_get_features(u->events) & EV_FEATURE_ET) == 0) {
        return fail(u, err, CONDUIT_ENOTSUP,
                    "the event_base has no edge-triggered events");
    }
    u->base.ops = &unix_ops;
    if (event_assign(&u->turn, u->events, -1, 0, turn_due, u) != 0 ||
        event_assign(&u->wake, u->events, u->wake_fd, EV_READ | EV_PERSIST,
                     woken, u) != 0 ||
        event_add(&u->wake, NULL) != 0) {
        return fail(u, err, CONDUIT_EIO, "cannot watch the eventfd");
    }
    return conduit_ctx_new(&u->base, options, out, err);
}

int conduit_unix_fd(const struct conduit_conn *conn)
{
    while (conn->below != NULL) {
        conn = conn->below;
    }
    return cdt_socket_fd(conn);
}

int conduit_unix_adopt(struct conduit_ctx *ctx, int fd,
                       struct conduit_conn **out, struct conduit_error *err)
{
    return cdt_socket_adopt(ctx, fd, out, err);
}
