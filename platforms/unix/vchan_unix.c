/* SPDX-License-Identifier: ISC */
/*
 * vchan between processes: the table of operations, and the transport as the
 * registry of transports sees it. See vchan_unix.h.
 */
#include "vchan_unix.h"

#include <conduit/unix.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYER "vchan"
#define SPIN_US 50u
#define SPIN_US_MAX 1000000u

#define RING_BYTES (256u * 1024)
#define BYTES_PER_USER ((uint64_t)512 * 1024 * 1024)

/* ---- the context's part ------------------------------------------------- */

static const char state_key;

static void state_fini(struct conduit_ctx *ctx, struct cdt_extra *extra)
{
    struct cdt_vchan_state *state = (struct cdt_vchan_state *)(void *)extra;

    cdt_vchan_waits_fini(&state->waits);
    while (state->users != NULL) {
        struct cdt_vchan_user *user = state->users;

        state->users = user->next;
        conduit_release(ctx, user);
    }
    conduit_release(ctx, state);
}

struct cdt_vchan_state *cdt_vchan_state(const struct conduit_ctx *ctx)
{
    return (struct cdt_vchan_state *)(void *)cdt_extra_find(ctx, &state_key);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* What the program says, or the environment. */
static uint64_t wanted_spin_us(struct conduit_ctx *ctx)
{
    const char *text = conduit_ctx_env(ctx, "CONDUIT_VCHAN_SPIN_US");
    unsigned long us;
    char *end;

    if (ctx->spin_us != 0) {
        return ctx->spin_us > 0 ? (uint64_t)ctx->spin_us : 0;
    }
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return SPIN_US;
    }
    us = strtoul(text, &end, 10);
    return *end == '\0' && us <= SPIN_US_MAX ? us : SPIN_US;
}

/* How long to look before sleeping. With one processor the peer cannot run
 * meanwhile. */
static uint64_t spin_ns(struct conduit_ctx *ctx)
{
    return sysconf(_SC_NPROCESSORS_ONLN) > 1 ? wanted_spin_us(ctx) * 1000 : 0;
}

static struct cdt_vchan_state *state_new(struct conduit_ctx *ctx)
{
    struct cdt_vchan_state *state = conduit_alloc(ctx, sizeof *state);
    struct stat st;

    if (state == NULL) {
        return NULL;
    }
    state->extra.key = &state_key;
    state->extra.fini = state_fini;
    if (stat("/proc/self/ns/net", &st) == 0) {
        state->net_dev = (uint64_t)st.st_dev;
        state->net_ino = (uint64_t)st.st_ino;
    }
    state->mirrored = cdt_shared_can_mirror();
    state->reserve = cdt_shared_must_reserve();
    cdt_vchan_waits_init(&state->waits, conduit_ctx_loop(ctx), spin_ns(ctx),
                         relax);
    cdt_extra_add(ctx, &state->extra);
    return state;
}

/* ---- the table ---------------------------------------------------------- */

static struct cdt_vchan *vchan_of(struct conduit_conn *c)
{
    return &cdt_meeting_of(c)->vchan;
}

static long vchan_peek(struct conduit_conn *c, struct conduit_win *win)
{
    return cdt_vchan_peek(vchan_of(c), win);
}

static void vchan_consume(struct conduit_conn *c, size_t n)
{
    cdt_vchan_consume(vchan_of(c), n);
}

static long vchan_reserve(struct conduit_conn *c, struct conduit_win *win)
{
    return cdt_vchan_reserve(vchan_of(c), win);
}

static void vchan_commit(struct conduit_conn *c, size_t n)
{
    cdt_vchan_commit(vchan_of(c), n);
}

static long vchan_read(struct conduit_conn *c, void *buf, size_t n)
{
    return cdt_vchan_read(vchan_of(c), buf, n);
}

static long vchan_writev(struct conduit_conn *c, const struct conduit_seg *seg,
                         unsigned count)
{
    return cdt_vchan_writev(vchan_of(c), seg, count);
}

static int vchan_flush(struct conduit_conn *c)
{
    return cdt_vchan_flush(vchan_of(c));
}

static int vchan_finish(struct conduit_conn *c, bool full)
{
    return cdt_vchan_finish(vchan_of(c), full);
}

static unsigned vchan_want(struct conduit_conn *c, unsigned events)
{
    return cdt_vchan_want(vchan_of(c), events);
}

/* "vchan:NAME", or who came to it. */
static void write_peer(const struct cdt_meeting *m, bool local, char *out)
{
    char path[CONDUIT_PEER_TEXT] = "";
    struct conduit_cred cred;
    const char *slash;

    if (!local && m->server &&
        cdt_unix_ops.query(&m->socket.base, CONDUIT_QUERY_CRED, &cred) == 0) {
        (void)snprintf(out, CONDUIT_PEER_TEXT, "vchan:pid=%ld,uid=%lu",
                       (long)cred.pid, (unsigned long)cred.uid);
        return;
    }
    (void)cdt_unix_ops.query(
        &m->socket.base, m->server ? CONDUIT_QUERY_LOCAL : CONDUIT_QUERY_PEER,
        path);
    slash = strrchr(path, '/');
    (void)snprintf(out, CONDUIT_PEER_TEXT, "vchan:%s",
                   slash != NULL ? slash + 1 : "");
}

static int vchan_query(const struct conduit_conn *c, enum conduit_query what,
                       void *out)
{
    const struct cdt_meeting *m = (const struct cdt_meeting *)(const void *)c;

    switch (what) {
    case CONDUIT_QUERY_CAPS:
        *(unsigned *)out = 0;
        return 0;
    case CONDUIT_QUERY_TRANSPORT:
        *(const char **)out = LAYER;
        return 0;
    case CONDUIT_QUERY_PEER:
    case CONDUIT_QUERY_LOCAL:
        write_peer(m, what == CONDUIT_QUERY_LOCAL, out);
        return 0;
    case CONDUIT_QUERY_CRED:
        return cdt_unix_ops.query(c, what, out);
    default:
        return CONDUIT_ENOTSUP;
    }
}

static void vchan_destroy(struct conduit_conn *c, bool aborted)
{
    struct cdt_meeting *m = cdt_meeting_of(c);

    cdt_vchan_fini(&m->vchan, aborted);
    cdt_shared_unmap(&m->shared);
    cdt_meeting_settle_account(m);
    cdt_unix_ops.destroy(c, aborted);
}

const struct conduit_conn_ops cdt_vchan_ops = {
    .name = LAYER,
    .size = sizeof(struct cdt_meeting),
    .start = cdt_meeting_start,
    .peek = vchan_peek,
    .consume = vchan_consume,
    .reserve = vchan_reserve,
    .commit = vchan_commit,
    .read = vchan_read,
    .writev = vchan_writev,
    .lend = conduit_default_lend,
    .flush = vchan_flush,
    .finish = vchan_finish,
    .want = vchan_want,
    .query = vchan_query,
    .destroy = vchan_destroy,
};

/* ---- dialling and listening --------------------------------------------- */

int cdt_vchan_dial_as(struct conduit_ctx *ctx, const char *name,
                      enum cdt_vchan_kind kind, bool same_net,
                      const struct conduit_options *options,
                      struct conduit_conn **out, struct conduit_error *err)
{
    struct cdt_meeting *m;
    struct cdt_place place;
    int code = cdt_registry_find(ctx, name, &place, err);

    if (code == 0) {
        code = cdt_unix_dial_as(ctx, &cdt_vchan_ops, place.path, options,
                                cdt_meeting_connected, out, err);
    }
    if (code != 0) {
        return code;
    }
    m = cdt_meeting_of(*out);
    m->state = cdt_vchan_state(ctx);
    m->owner = place.owner;
    m->kind = (uint8_t)kind;
    m->same_net = same_net;
    cdt_vchan_init(&m->vchan, *out, &m->state->waits, cdt_meeting_wake);
    return 0;
}

static struct conduit_conn *accepted(struct conduit_ctx *ctx,
                                     const struct conduit_conn_ops *ops, int fd,
                                     const union cdt_sockaddr *peer,
                                     const struct conduit_options *options,
                                     void *arg)
{
    struct conduit_conn *c = cdt_socket_accepted(ctx, ops, fd, peer, options,
                                                 NULL);
    struct cdt_meeting *m;

    if (c == NULL) {
        return NULL;
    }
    m = cdt_meeting_of(c);
    m->state = cdt_vchan_state(ctx);
    m->server = true;
    m->users = arg;
    m->stage = CDT_MEETING_HELLO;
    m->ring_bytes = options->ring_bytes != 0 ? options->ring_bytes : RING_BYTES;
    m->most = options->ring_bytes_per_user != 0 ? options->ring_bytes_per_user
                                                : BYTES_PER_USER;
    cdt_vchan_init(&m->vchan, c, &m->state->waits, cdt_meeting_wake);
    return c;
}

static void drop_users(struct conduit_ctx *ctx, void *arg)
{
    conduit_release(ctx, arg);
}

int cdt_vchan_listen_as(struct conduit_listener *listener, const char *name,
                        const struct conduit_options *options,
                        struct conduit_acceptor **out,
                        struct conduit_error *err)
{
    struct conduit_ctx *ctx = conduit_listener_ctx(listener);
    struct conduit_error ignored = {0};
    struct conduit_error *why = err != NULL ? err : &ignored;
    bool others = options->users != NULL && options->users[0] != NULL;
    struct cdt_users *users;
    struct cdt_accept_as as = {&cdt_vchan_ops, accepted, drop_users, NULL};
    struct conduit_options socket = *options;
    struct cdt_place place;
    int code;

    if (options->ring_bytes > (1u << CDT_RING_ORDER_MAX)) {
        return conduit_error_set(err, CONDUIT_ELIMIT, LAYER, 0,
                                 "a ring has at most %u bytes, not %u",
                                 1u << CDT_RING_ORDER_MAX, options->ring_bytes);
    }
    as.arg = users = cdt_users_new(ctx, options->users, why);
    if (users == NULL) {
        return why->code;
    }
    code = cdt_registry_place(ctx, name, others, &place, why);
    if (code == 0) {
        socket.unix_mode = others ? 0666 : 0600;
        code = cdt_unix_listen_as(listener, place.path, &socket, &as, out, why);
    }
    if (code != 0) {
        drop_users(ctx, users);
    }
    return code;
}

static int vchan_dial(struct conduit_ctx *ctx,
                      const struct conduit_endpoint *ep,
                      const struct conduit_options *options,
                      struct conduit_conn **out, struct conduit_error *err)
{
    return cdt_vchan_dial_as(ctx, ep->name, CDT_VCHAN_RINGS, false, options,
                             out, err);
}

static int vchan_listen(struct conduit_listener *listener,
                        const struct conduit_endpoint *ep,
                        const struct conduit_options *options,
                        struct conduit_acceptor **out,
                        struct conduit_error *err)
{
    if (strchr(ep->name, '@') != NULL) {
        return conduit_error_set(err, CONDUIT_EURI, LAYER, 0,
                                 "a listener registers a name for its own user "
                                 "only, not %s",
                                 ep->name);
    }
    return cdt_vchan_listen_as(listener, ep->name, options, out, err);
}

/* ---- URIs --------------------------------------------------------------- */

static bool is_user(const char *name)
{
    return name[0] != '\0' && strlen(name) < 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789._-") == strlen(name);
}

/* vchan://name and vchan://user@name; a number would be a domain of Xen. */
static int vchan_check(struct conduit_ctx *ctx, struct conduit_uri *uri,
                       struct conduit_error *err)
{
    const char *user = uri->user;
    char address[CONDUIT_NAME_MAX + 66];
    int code;

    if (uri->host[0] >= '0' && uri->host[0] <= '9' &&
        strspn(uri->host, "0123456789") == strlen(uri->host)) {
        return conduit_error_set(err, CONDUIT_EURI, "uri", 0,
                                 "vchan to a domain of Xen is not in this "
                                 "build, in '%.120s'",
                                 uri->text);
    }
    if (user != NULL && !is_user(user)) {
        return conduit_error_set(err, CONDUIT_EURI, "uri", 0,
                                 "'%.40s' is no user's name, in '%.120s'", user,
                                 uri->text);
    }
    uri->user = NULL; /* as for any other name, then */
    code = conduit_uri_check_name(ctx, uri, err);
    uri->user = user;
    if (code != 0 || user == NULL) {
        return code;
    }
    (void)snprintf(address, sizeof address, "%s@%s", user, uri->host);
    if (conduit_uri_set_address(ctx, uri, address) != 0) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "uri", 0,
                                 "out of memory");
    }
    return 0;
}

static const struct conduit_transport vchan_transport = {
    .name = LAYER,
    .summary = "memory shared with a process on this host",
    .check = vchan_check,
    .dial = vchan_dial,
    .listen = vchan_listen,
};

int cdt_vchan_prepare(struct conduit_ctx *ctx)
{
    bool there = cdt_vchan_state(ctx) != NULL || state_new(ctx) != NULL;

    return there ? 0 : CONDUIT_ENOMEM;
}

int conduit_register_vchan(struct conduit_ctx *ctx)
{
    int code = cdt_vchan_prepare(ctx);

    return code == 0 ? conduit_register_transport(ctx, &vchan_transport) : code;
}
