/* SPDX-License-Identifier: ISC */
/*
 * The guest's command line: leading words of the form NAME=VALUE are its
 * environment, the rest are the arguments of conduit_main(). Words are
 * separated by spaces and tabs. Within '...' everything stands for itself;
 * within "..." and outside of quotes a backslash takes the next byte as it is.
 * NAME is a letter or _, then letters, digits and _, and is written without
 * quotes.
 */
#ifndef CDT_XEN_CMDLINE_H
#define CDT_XEN_CMDLINE_H

#include <stddef.h>

#define CDT_CMDLINE_WORDS 128

struct cdt_cmdline {
    char *env[CDT_CMDLINE_WORDS + 1];  /* NULL at the end */
    char *args[CDT_CMDLINE_WORDS + 1]; /* without a program's name; NULL */
    size_t envs;
    size_t argc;
};

/*
 * Cuts `line` up in place; the words point into it. 0, or CONDUIT_EINVAL (a
 * quote is not closed, a lone backslash) or CONDUIT_ELIMIT (too many words, of
 * the environment or of the arguments); *why is a static text then, and *c is
 * empty.
 */
int cdt_cmdline_parse(struct cdt_cmdline *c, char *line, const char **why);

#endif
