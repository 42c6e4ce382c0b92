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
    "      --cert FILE   certificate (PEM) for listeners with TLS, as "
    "https://\n"
    "      --key FILE    its key; with several pairs a client's wish (SNI) "
    "counts\n"
    "      --client-ca FILE\n"
    "                    admit who has a certificate of these authorities\n"
    "  -h, --help        print this\n"
    "  -V, --version     print the version\n";

static const struct tls_option_name tls_names[] = {
    {"--cert", TLS_CERT},
    {"--key", TLS_KEY},
    {"--client-ca", TLS_CLIENT_CA},
    {NULL, TLS_CERT},
};

struct program {
    struct conduit_ctx *ctx;
    int uri_count;
    struct tls_options tls;
    bool tls_wanted; /* by a listener */
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
 * Whether argument *i is --listen, and its URI, "" when that is missing. Moves
 * *i over what it took.
 */
static bool is_listener(int argc, char **argv, int *i, char **uri)
{
    char *arg = argv[*i];

    if (strncmp(arg, "--listen=", 9) == 0) {
        *uri = arg + 9;
        return true;
    }
    if (strcmp(arg, "--listen") != 0 && strcmp(arg, "-l") != 0) {
        return false;
    }
    *uri = arg + strlen(arg);
    if (*i + 1 < argc) {
        *i += 1;
        *uri = argv[*i];
    }
    return true;
}

/* -1, or the exit status. */
static int check_tls(const struct program *p)
{
    const char *problem = tls_options_check(&p->tls);

    if (problem == NULL && p->tls.given && !p->tls_wanted) {
        problem = "a certificate was given, and no listener has TLS";
    }
    return problem == NULL ? -1 : usage(problem, "");
}

static bool is_option(const char *arg, const char *brief, const char *full)
{
    return strcmp(arg, brief) == 0 || strcmp(arg, full) == 0;
}

/* An argument that is no listener: the exit status, or -1 to go on. */
static int read_option(struct program *p, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    const char *name;
    const char *problem;

    if (tls_options_read(&p->tls, tls_names, argc, argv, i, &name, &problem)) {
        return problem == NULL ? -1 : usage(name, problem);
    }
    if (is_option(arg, "-h", "--help")) {
        (void)fputs(usage_text, stdout);
        return OK;
    }
    if (is_option(arg, "-V", "--version")) {
        (void)printf("counter %s\n", conduit_version());
        return OK;
    }
    return usage("unknown argument ", arg);
}

/* A listener: the same. The URIs move to the front of argv. */
static int add_listener(struct program *p, char **argv, char *uri)
{
    if (*uri == '\0') {
        return usage("--listen wants a URI", "");
    }
    argv[p->uri_count++] = uri;
    p->tls_wanted = p->tls_wanted || tls_options_wanted(uri);
    return -1;
}

/* Answers the exit status when the arguments alone decide it, else -1. */
static int read_arguments(struct program *p, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *uri;
        int status = is_listener(argc, argv, &i, &uri)
                         ? add_listener(p, argv, uri)
                         : read_option(p, argc, argv, &i);

        if (status >= 0) {
            return status;
        }
    }
    return p->uri_count > 0 ? check_tls(p) : usage("no --listen URI given", "");
}

static int serve(struct program *p, char **uris)
{
    struct conduit_error err;

    for (int i = 0; i < p->uri_count; i++) {
        if (listen_at(p, uris[i], &err) != 0) {
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
    int status = read_arguments(&p, argc, argv);

    if (status >= 0) {
        return status;
    }
    if (service_init(&p.service, ctx, p.tls_wanted ? &p.tls : NULL, &err) !=
        0) {
        return fail(&err);
    }
    status = serve(&p, argv);
    service_fini(&p.service);
    return status;
}
