/* SPDX-License-Identifier: ISC */
/* What a guest has not: files, descriptors, the system's sockets. */
#include "support.h"

const char *const t_transports[] = {"mem", NULL};

const char *t_dir(struct t_env *env)
{
    (void)env;
    return NULL;
}

void t_platform_clean(struct t_env *env)
{
    (void)env;
}

void t_own_names(struct t_env *env)
{
    (void)env;
}

int t_fd_count(void)
{
    return 0;
}

bool t_have_ipv6(void)
{
    return false;
}
