/* SPDX-License-Identifier: ISC */
/* The platform's part of the tests, as Unix gives it. */
#include "unix_support.h"

#include <dirent.h>
#include <ftw.h>
#include <unistd.h>

int t_platform_new(const struct conduit_ctx_options *options,
                   struct conduit_ctx **out, struct conduit_error *err)
{
    return conduit_unix_new(NULL, options, out, err);
}

const char *const t_transports[] = {"tcp+socket", "unix",  "fd",
                                    "mem",        "vchan", "auto",
#ifdef CONDUIT_DIRECT
                                    "tcp+direct",
#endif
                                    NULL};

int t_platform_register(struct conduit_ctx *ctx)
{
    return conduit_register_all(ctx);
}

void t_env_init_base(struct t_env *env, struct event_base *base)
{
    struct conduit_ctx_options options;
    struct conduit_error err = {0};

    memset(env, 0, sizeof *env);
    t_env_options(env, &options);
    if (conduit_unix_new(base, &options, &env->ctx, &err) != 0) {
        fail_msg("no context: %s", err.text);
    }
    assert_int_equal(t_env_made(env), 0);
}

const char *t_dir(struct t_env *env)
{
    const char *tmp = getenv("TMPDIR");

    if (env->dir[0] == '\0') {
        (void)snprintf(env->dir, sizeof env->dir, "%s/conduit.XXXXXX",
                       tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
        assert_non_null(mkdtemp(env->dir));
    }
    return env->dir;
}

void t_own_names(struct t_env *env)
{
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", t_dir(env), 1), 0);
}

static int remove_one(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void t_platform_clean(struct t_env *env)
{
    if (env->dir[0] != '\0') {
        (void)nftw(env->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

int t_fd_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    if (dir == NULL) {
        return -1;
    }
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n;
}
