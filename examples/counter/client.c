/* SPDX-License-Identifier: ISC */
/*
 * counter-client: raises the counter behind a URI and shows it. Like the
 * service it names no transport. With --self it runs the service too, in this
 * process and on the same loop: the way to use a URI like mem://counter.
 */
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, FAILED = 1, USAGE = 2 };

/* How many round trips --time takes the median of. */
#define TRIPS 21

static const char usage_text[] =
    "usage: counter-client [OPTION]... URI\n"
    "\n"
    "Adds one to the counter at URI and prints what the service answers then.\n"
    "\n"
    "  -i, --info     print the facts of the connection instead\n"
    "  -s, --self     run the service at URI, too\n"
    "  -t, --time     print URI, answer and round trip, separated by tabs\n"
    "  -h, --help     print this\n"
    "  -V, --version  print the version\n"
    "\n"
    "For a URI with TLS, such as https://HOST:\n"
    "      --cacert FILE    trust these authorities (PEM), not the system's\n"
    "      --cert FILE      our certificate (PEM); with --self the service's\n"
    "      --key FILE       its key\n"
    "      --pin sha256//BASE64\n"
    "                       the public key that must be in the service's "
    "chain\n"
    "      --tls-name NAME  whom to expect; else the URI's host\n"
    "      --insecure       trust anybody\n";

static const struct tls_option_name tls_names[] = {
    {"--cacert", TLS_CACERT}, {"--cert", TLS_CERT},
    {"--key", TLS_KEY},       {"--pin", TLS_PIN},
    {"--tls-name", TLS_NAME}, {"--insecure", TLS_INSECURE},
    {NULL, TLS_CERT},
};

struct program {
    struct conduit_ctx *ctx;
    struct conduit_loop *loop;
    const char *uri;
    bool info;
    bool self;
    bool time;
    struct service service; /* with --self */
    struct tls_options tls_options;
    struct conduit_tls *tls; /* where the URI wants it */
    struct conduit_http_client *client;
    uint64_t began; /* ns: when the last request was made */
    uint64_t trips[TRIPS];
    unsigned trip;
    bool over;
    int status;
};

/* ---- ending ---- */

static void stop(struct program *p, int status)
{
    p->over = true;
    p->status = status;
    conduit_loop_stop(p->loop);
}

static void fail(struct program *p, const char *text)
{
    (void)fprintf(stderr, "counter-client: %s\n", text);
    stop(p, FAILED);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static void print(struct program *p, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (text == NULL) {
        fail(p, "out of memory");
        return;
    }
    if (p->time) {
        qsort(p->trips, TRIPS, sizeof p->trips[0], by_value);
        (void)printf("%s\t%s\t%llu us\n", p->uri, text,
                     (unsigned long long)(p->trips[TRIPS / 2] / 1000));
    } else {
        (void)printf("%s\n", text);
    }
    free(text);
    stop(p, fflush(stdout) == 0 ? OK : FAILED);
}

/* ---- asking ---- */

static void ask(struct program *p, const char *method);

/* The value in an answer that is what it should be, or NULL after fail(). */
static json_t *value_of(struct program *p,
                        const struct conduit_http_answer *answer,
                        const struct conduit_error *err)
{
    struct conduit_error why;
    char text[64];
    json_t *value;

    if (err != NULL) {
        fail(p, err->text);
        return NULL;
    }
    if (answer->status != 200) {
        (void)snprintf(text, sizeof text, "the service answered %d",
                       answer->status);
        fail(p, text);
        return NULL;
    }
    value = conduit_json_parse(p->ctx, answer->body, answer->size, 0, &why);
    if (value == NULL) {
        fail(p, why.text);
    }
    return value;
}

static void on_posted(void *arg, const struct conduit_http_answer *answer,
                      const struct conduit_error *err)
{
    struct program *p = arg;
    json_t *value = value_of(p, answer, err);

    if (value != NULL) {
        json_decref(value);
        ask(p, "GET");
    }
}

static void on_got(void *arg, const struct conduit_http_answer *answer,
                   const struct conduit_error *err)
{
    struct program *p = arg;
    json_t *value = value_of(p, answer, err);

    if (value == NULL) {
        return;
    }
    p->trips[p->trip++] = conduit_loop_now(p->loop) - p->began;
    if (p->time && p->trip < TRIPS) {
        ask(p, "GET");
    } else {
        print(p, value);
    }
    json_decref(value);
}

static void ask(struct program *p, const char *method)
{
    bool post = strcmp(method, "POST") == 0;
    const char *target = p->info ? "/api/info" : "/api/counter";
    struct conduit_error err;

    p->began = conduit_loop_now(p->loop);
    if (conduit_http_fetch(p->client, method, target, NULL, NULL, 0,
                           post ? on_posted : on_got, p, &err) != 0) {
        fail(p, err.text);
    }
}

/* ---- the program ---- */

static int open_service(struct program *p, const char **uri,
                        struct conduit_error *err)
{
    struct conduit_listener *listener;
    int rc = service_init(&p->service, p->ctx,
                          tls_options_wanted(*uri) ? &p->tls_options : NULL,
                          err);

    if (rc != 0) {
        return rc;
    }
    rc = conduit_http_server_listen(p->service.server, *uri, &listener, err);
    if (rc == 0) {
        *uri = conduit_listener_uri(listener); /* which has the real port */
    }
    return rc;
}

static int seed(struct program *p, struct conduit_error *err)
{
    int rc = conduit_json_init(p->ctx);

    return rc == 0
               ? 0
               : conduit_error_set(err, rc, "json", 0, "no entropy for a seed");
}

static int open_client(struct program *p, const char *uri,
                       struct conduit_error *err)
{
    struct conduit_http_options options = {.max_conns = 0};
    int rc = 0;

    if (tls_options_wanted(uri)) {
        rc = tls_options_make(&p->tls_options, p->ctx, &counter_tls, true,
                              &p->tls, err);
        options.conn.tls = p->tls;
        options.conn.tls_name = p->tls_options.name;
    }
    return rc == 0
               ? conduit_http_client_new(p->ctx, uri, &options, &p->client, err)
               : rc;
}

static void run(struct program *p)
{
    const char *uri = p->uri;
    struct conduit_error err;
    int rc = p->self ? open_service(p, &uri, &err) : seed(p, &err);

    if (rc == 0) {
        rc = open_client(p, uri, &err);
    }
    if (rc != 0) {
        fail(p, err.text);
        return;
    }
    p->status = FAILED; /* if the loop is stopped before the answer */
    ask(p, p->info ? "GET" : "POST");
    if (!p->over) {
        conduit_loop_run(p->loop);
    }
}

static int usage(const char *problem, const char *what)
{
    (void)fprintf(stderr, "counter-client: %s%s\n%s", problem, what,
                  usage_text);
    return USAGE;
}

static bool is_option(const char *arg, const char *brief, const char *full)
{
    return strcmp(arg, brief) == 0 || strcmp(arg, full) == 0;
}

/* -1, or the exit status. */
static int check_arguments(const struct program *p)
{
    const char *problem = tls_options_check(&p->tls_options);

    if (p->uri == NULL) {
        problem = "no URI given";
    } else if (problem == NULL && p->tls_options.given &&
               !tls_options_wanted(p->uri)) {
        problem = "options for TLS, and a URI without";
    }
    return problem == NULL ? -1 : usage(problem, "");
}

/* Answers the exit status when the arguments alone decide it, else -1. */
static int read_arguments(struct program *p, int argc, char **argv)
{
    const char *name;
    const char *problem;

    for (int i = 1; i < argc; i++) {
        if (tls_options_read(&p->tls_options, tls_names, argc, argv, &i, &name,
                             &problem)) {
            if (problem != NULL) {
                return usage(name, problem);
            }
        } else if (is_option(argv[i], "-i", "--info")) {
            p->info = true;
        } else if (is_option(argv[i], "-s", "--self")) {
            p->self = true;
        } else if (is_option(argv[i], "-t", "--time")) {
            p->time = true;
        } else if (is_option(argv[i], "-h", "--help")) {
            (void)fputs(usage_text, stdout);
            return OK;
        } else if (is_option(argv[i], "-V", "--version")) {
            (void)printf("counter-client %s\n", conduit_version());
            return OK;
        } else if (argv[i][0] == '-') {
            return usage("unknown option ", argv[i]);
        } else if (p->uri != NULL) {
            return usage("more than one URI: ", argv[i]);
        } else {
            p->uri = argv[i];
        }
    }
    return check_arguments(p);
}

int conduit_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    struct program p = {.ctx = ctx, .loop = conduit_ctx_loop(ctx)};
    int status = read_arguments(&p, argc, argv);

    if (status >= 0) {
        return status;
    }
    run(&p);
    conduit_http_client_free(p.client);
    conduit_tls_unref(p.tls);
    service_fini(&p.service);
    return p.status;
}
