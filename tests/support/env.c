/* SPDX-License-Identifier: ISC */
/* A context with counted memory and descriptors, and turns of its loop. */
#include "support.h"

#include <malloc.h>
#include <time.h>

#define WAIT_MS 30000u
#define WAIT_TURNS 5000000u
#define POLLS_A_WAIT 64u /* polls without waiting, to one that waits */

static void *count_resize(void *arg, void *ptr, size_t size)
{
    struct t_alloc *mem = arg;
    void *p;

    mem->calls++;
    if (mem->fail_at != 0 && mem->calls == mem->fail_at) {
        mem->failed = true;
        return NULL;
    }
    if (ptr != NULL) {
        mem->bytes -= malloc_usable_size(ptr);
    }
    p = realloc(ptr, size);
    if (p != NULL && ptr == NULL) {
        mem->live++;
    }
    if (p != NULL || ptr != NULL) {
        mem->bytes += malloc_usable_size(p != NULL ? p : ptr);
    }
    return p;
}

static void count_release(void *arg, void *ptr)
{
    struct t_alloc *mem = arg;

    if (ptr != NULL) {
        mem->live--;
        mem->bytes -= malloc_usable_size(ptr);
        free(ptr);
    }
}

static void keep_log(void *arg, enum conduit_log_level level, const char *layer,
                     const char *text)
{
    struct t_env *env = arg;
    size_t room = sizeof env->log - env->log_size;
    int n = snprintf(env->log + env->log_size, room, "%s: %s\n", layer, text);

    (void)level;
    if (n > 0 && (size_t)n < room) {
        env->log_size += (size_t)n;
    }
}

void t_env_options(struct t_env *env, struct conduit_ctx_options *options)
{
    *options = (struct conduit_ctx_options){
        .allocator = {count_resize, count_release, &env->mem},
        .log = keep_log,
        .log_arg = env,
        .log_level = CONDUIT_LOG_INFO,
    };
    env->fds = t_fd_count();
}

int t_env_made(struct t_env *env)
{
    env->loop = conduit_ctx_loop(env->ctx);
    return t_platform_register(env->ctx);
}

int t_env_try(struct t_env *env, struct conduit_error *err)
{
    struct conduit_ctx_options options;
    int rc;

    t_env_options(env, &options);
    rc = t_platform_new(&options, &env->ctx, err);
    if (rc != 0) {
        env->ctx = NULL;
        return rc;
    }
    return t_env_made(env);
}

void t_env_init(struct t_env *env)
{
    struct conduit_error err = {0};

    memset(env, 0, sizeof *env);
    if (t_env_try(env, &err) != 0) {
        fail_msg("no context: %s", err.text);
    }
}

void t_env_fini(struct t_env *env)
{
    env->ending = true;
    conduit_ctx_free(env->ctx);
    env->ctx = NULL;
    t_platform_clean(env);
    if (env->fault[0] != '\0') {
        fail_msg("%s", env->fault);
    }
    if (env->mem.live != 0) {
        fail_msg("%zu blocks of memory are left", env->mem.live);
    }
    if (t_fd_count() != env->fds) {
        fail_msg("%d descriptors before, %d after", env->fds, t_fd_count());
    }
}

int t_setup(void **state)
{
    struct t_env *env = calloc(1, sizeof *env);

    assert_non_null(env);
    *state = env;
    t_env_init(env);
    return 0;
}

int t_teardown(void **state)
{
    struct t_env *env = *state;
    struct t_env copy;

    env->ending = true;
    conduit_ctx_free(env->ctx);
    env->ctx = NULL;
    copy = *env;
    free(env);
    *state = NULL;
    t_env_fini(&copy);
    return 0;
}

bool t_has_transport(const char *scheme)
{
    for (size_t i = 0; t_transports[i] != NULL; i++) {
        if (strcmp(t_transports[i], scheme) == 0) {
            return true;
        }
    }
    return false;
}

void t_fault(struct t_env *env, const char *fmt, ...)
{
    va_list args;

    if (env->fault[0] != '\0') {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(env->fault, sizeof env->fault, fmt, args);
    va_end(args);
}

uint64_t t_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void t_turn(struct t_env *env, unsigned wait_ms)
{
    env->turns++;
    env->turning = true;
    conduit_loop_turn(env->loop, wait_ms);
    env->turning = false;
    if (env->fault[0] != '\0') {
        fail_msg("%s", env->fault);
    }
}

void t_turns(struct t_env *env, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        t_turn(env, 0);
    }
}

unsigned t_turns_in(struct t_env *env, unsigned ms)
{
    uint64_t now = t_ms();
    uint64_t until = now + ms;
    unsigned n = 0;

    for (; now < until; now = t_ms()) {
        t_turn(env, (unsigned)(until - now));
        n++;
    }
    return n;
}

struct t_wait t_wait(struct t_env *env)
{
    struct t_wait w = {env, t_ms() + WAIT_MS, env->turns + WAIT_TURNS, 0};

    return w;
}

void t_wait_turn(struct t_wait *wait, unsigned ms, const char *what,
                 const char *file, int line)
{
    if (t_ms() > wait->until || wait->env->turns > wait->last_turn) {
        print_error("waited in vain for: %s\nlog:\n%s", what, wait->env->log);
        _fail(file, line);
    }
    if (ms <= 1 && ++wait->count % POLLS_A_WAIT != 0) {
        ms = 0;
    }
    t_turn(wait->env, ms);
}
