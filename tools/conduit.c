/* SPDX-License-Identifier: ISC */
/*
 * conduit, the command: what is in this build, requests from a shell, the ways
 * to a peer, and connections joined. It is an application like any other, with
 * conduit_main() and no event loop of its own; only files are handled with what
 * Unix has for them.
 */
#include "fetch.h"
#include "probe.h"
#include "relay.h"

#include <stdio.h>
#include <string.h>

static const char usage_text[] =
    "usage: conduit COMMAND [ARGUMENT]...\n"
    "\n"
    "  transports        list the transports and layers of this build\n"
    "  fetch [OPTION]... URI\n"
    "                    make an HTTP request; conduit fetch --help tells "
    "more\n"
    "  probe [OPTION]... URI\n"
    "                    connect, and say what was tried; conduit probe "
    "--help\n"
    "                    tells more\n"
    "  relay [OPTION]... FROM TO\n"
    "                    connect those who come to one URI to another; "
    "conduit\n"
    "                    relay --help tells more\n"
    "\n"
    "  -h, --help        print this\n"
    "  -V, --version     print the version\n";

static int usage(const char *problem, const char *what)
{
    (void)fprintf(stderr, "conduit: %s%s\n%s", problem, what, usage_text);
    return FETCH_USAGE;
}

/* Output that nobody got is no success. */
static int flushed(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fputs("conduit: cannot write to standard output\n", stderr);
        return FETCH_WRITE;
    }
    return FETCH_OK;
}

static int transports(struct conduit_ctx *ctx)
{
    const char *scheme;
    const char *summary;

    for (size_t i = 0; conduit_ctx_transport(ctx, i, &scheme, &summary); i++) {
        (void)printf("%-12s %s\n", scheme, summary);
    }
    return flushed();
}

static bool is_option(const char *arg, const char *brief, const char *full)
{
    return strcmp(arg, brief) == 0 || strcmp(arg, full) == 0;
}

int conduit_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (argc < 2) {
        return usage("no command given", "");
    }
    if (strcmp(command, "fetch") == 0) {
        return fetch_main(ctx, argc - 1, argv + 1);
    }
    if (strcmp(command, "probe") == 0) {
        return probe_main(ctx, argc - 1, argv + 1);
    }
    if (strcmp(command, "relay") == 0) {
        return relay_main(ctx, argc - 1, argv + 1);
    }
    if (argc > 2) {
        return usage("unknown argument ", argv[2]);
    }
    if (strcmp(command, "transports") == 0) {
        return transports(ctx);
    }
    if (is_option(command, "-h", "--help")) {
        (void)fputs(usage_text, stdout);
        return flushed();
    }
    if (is_option(command, "-V", "--version")) {
        (void)printf("conduit %s\n", conduit_version());
        return flushed();
    }
    return usage("unknown command ", command);
}
