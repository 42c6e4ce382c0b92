/* SPDX-License-Identifier: ISC */
/*
 * counter: a service on any number of URIs. What a URI's scheme means is
 * conduit's business: this program names no transport, and the same source is a
 * Unix process or a unikernel.
 */
#include "service.h"

#include <stdio.h>
#include <string.h>

enum { OK = 0, FAILED = 1, USAGE = 2 };

/* How long answers under way may take once the program is asked to end. */
#define STOP_MS 5000u

static const char usage_text[] =
    "usage: counter --listen URI [--listen URI]...\n"
    "\n"
    "Serves a counter over HTTP on each URI, until it is asked to end.\n"
    "\n"
    "  -l, --listen URI  where to listen: tcp://HOST:PORT, unix:///PATH, ...\n"
    "  -h, --help        print this\n"
    "  -V, --version     print the version\n";

struct program {
    struct conduit_ctx *ctx;
    struct service service;
    bool stopping;
};

static int usage(const char *problem, const char *what)
{
    (void)fprintf(stderr, "counter: %s%s\n%s", problem, what, usage_text);
    return USAGE;
}

static int fail(const struct conduit_error *err)
{
    (void)fprintf(stderr, "counter: %s\n", err->text);
    return FAILED;
}

static void stop(void *arg)
{
    struct program *p = arg;

    conduit_loop_stop(conduit_ctx_loop(p->ctx));
}

/* The first request to end lets answers finish; the second does not wait. */
static void shut_down(void *arg)
{
    struct program *p = arg;

    if (p->stopping) {
        stop(p);
        return;
    }
    p->stopping = true;
    conduit_http_server_stop(p->service.server, STOP_MS, stop, p);
}

static int listen_at(struct program *p, const char *uri,
                     struct conduit_error *err)
{
    struct conduit_listener *listener;
    int rc = conduit_http_server_listen(p->service.server, uri, &listener, err);

    if (rc == 0) {
        (void)printf("listening %s\n", conduit_listener_uri(listener));
        (void)fflush(stdout);
    }
    return rc;
}

/*
 * The URI that argument *i gives to --listen, or NULL where it is another;
 * "" when the URI is missing. Moves *i over what it took.
 */
static const char *listen_argument(int argc, char **argv, int *i)
{
    const char *arg = argv[*i];

    if (strncmp(arg, "--listen=", 9) == 0) {
        return arg + 9;
    }
    if (strcmp(arg, "--listen") != 0 && strcmp(arg, "-l") != 0) {
        return NULL;
    }
    if (*i + 1 == argc) {
        return "";
    }
    *i += 1;
    return argv[*i];
}

static bool is_option(const char *arg, const char *brief, const char *full)
{
    return strcmp(arg, brief) == 0 || strcmp(arg, full) == 0;
}

/* Answers the exit status when the arguments alone decide it, else -1. */
static int check_arguments(int argc, char **argv)
{
    int listeners = 0;

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        const char *uri = listen_argument(argc, argv, &i);

        if (uri != NULL && *uri == '\0') {
            return usage("--listen wants a URI", "");
        }
        if (uri != NULL) {
            listeners++;
        } else if (is_option(arg, "-h", "--help")) {
            (void)fputs(usage_text, stdout);
            return OK;
        } else if (is_option(arg, "-V", "--version")) {
            (void)printf("counter %s\n", conduit_version());
            return OK;
        } else {
            return usage("unknown argument ", arg);
        }
    }
    return listeners > 0 ? -1 : usage("no --listen URI given", "");
}

static int serve(struct program *p, int argc, char **argv)
{
    struct conduit_error err;

    for (int i = 1; i < argc; i++) {
        const char *uri = listen_argument(argc, argv, &i);

        if (listen_at(p, uri, &err) != 0) {
            return fail(&err);
        }
    }
    conduit_ctx_on_shutdown(p->ctx, shut_down, p);
    conduit_loop_run(conduit_ctx_loop(p->ctx));
    conduit_ctx_on_shutdown(p->ctx, NULL, NULL);
    return OK;
}

int conduit_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    struct program p = {.ctx = ctx};
    struct conduit_error err;
    int status = check_arguments(argc, argv);

    if (status >= 0) {
        return status;
    }
    if (service_init(&p.service, ctx, &err) != 0) {
        return fail(&err);
    }
    status = serve(&p, argc, argv);
    service_fini(&p.service);
    return status;
}
