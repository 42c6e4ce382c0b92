/* SPDX-License-Identifier: ISC */
/*
 * The guest's command line. A word never grows by losing its quotes, so it is
 * rewritten where it stands, by a place to write that never passes the place to
 * read.
 */
#include "cmdline.h"

#include <conduit/error.h>

#include <stdbool.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether a word, with its quotes still on, begins with NAME=. */
static bool is_setting(const char *word)
{
    size_t i = 0;

    while (is_letter(word[i]) || (i > 0 && is_digit(word[i]))) {
        i++;
    }
    return i > 0 && word[i] == '=';
}

/*
 * Takes the quotes off the word at `word` and ends it with a NUL. *next is
 * where to go on.
 */
static int cut(char *word, char **next, const char **why)
{
    const char *in = word;
    char *out = word;
    char quote = '\0';
    char c;

    while ((c = *in) != '\0' && (quote != '\0' || !is_blank(c))) {
        in++;
        if (c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c != '\\' || quote == '\'') {
            *out++ = c;
        } else if (*in != '\0') {
            *out++ = *in++;
        } else {
            *why = "a backslash at the end";
            return CONDUIT_EINVAL;
        }
    }
    if (quote != '\0') {
        *why = quote == '"' ? "a \" is not closed" : "a ' is not closed";
        return CONDUIT_EINVAL;
    }
    *next = word + (in - word) + (c != '\0');
    *out = '\0';
    return 0;
}

static int parse(struct cdt_cmdline *c, char *at, const char **why)
{
    for (;;) {
        char **list = c->args;
        size_t *count = &c->argc;
        int code;

        while (is_blank(*at)) {
            at++;
        }
        if (*at == '\0') {
            return 0;
        }
        if (c->argc == 0 && is_setting(at)) {
            list = c->env;
            count = &c->envs;
        }
        if (*count == CDT_CMDLINE_WORDS) {
            *why = "too many words";
            return CONDUIT_ELIMIT;
        }
        list[(*count)++] = at;
        code = cut(at, &at, why);
        if (code != 0) {
            return code;
        }
    }
}

int cdt_cmdline_parse(struct cdt_cmdline *c, char *line, const char **why)
{
    static const struct cdt_cmdline empty;
    int code;

    *c = empty;
    code = parse(c, line, why);
    if (code != 0) {
        *c = empty;
    }
    return code;
}
