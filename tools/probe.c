/* SPDX-License-Identifier: ISC */
/*
 * `conduit probe`; see probe.h. What it prints is for eyes and for awk: fields
 * that have no spaces in them come first, and words for people last.
 */
#include "probe.h"

#include "fetch.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: conduit probe [OPTION]... URI\n"
    "\n"
    "Connects to any URI and prints a line for each attempt, in order: when "
    "it\n"
    "began and how long it took, in microseconds, whether it won, where it "
    "went,\n"
    "and why it lost. A last line tells of the connection: its layers, and "
    "the\n"
    "peer.\n"
    "\n"
    "  -m, --max-time SECONDS give up after this time\n"
    "  -h, --help             print this\n"
    "\n"
    "For a URI with TLS, such as tls+auto://HOST:PORT:\n"
    "      --cacert FILE      trust these authorities (PEM), not the "
    "system's\n"
    "      --cert FILE        our certificate (PEM), where a server wants "
    "one\n"
    "      --key FILE         its key\n"
    "      --pin sha256//BASE64\n"
    "                         a public key that must be in the server's "
    "chain\n"
    "      --tls-name NAME    whom to expect; else the URI's host\n"
    "      --insecure         trust anybody\n";

static const struct tls_option_name tls_names[] = {
    {"--cacert", TLS_CACERT}, {"--cert", TLS_CERT},
    {"--key", TLS_KEY},       {"--pin", TLS_PIN},
    {"--tls-name", TLS_NAME}, {"--insecure", TLS_INSECURE},
    {NULL, TLS_INSECURE},
};

struct probe {
    struct conduit_ctx *ctx;
    const char *uri;
    unsigned max_ms; /* 0: what dials have */
    bool help;
    struct tls_options tls_options;
    struct conduit_tls *tls;
    struct conduit_dial *dial;
    int status;
};

static int complain(int status, const char *text)
{
    (void)fprintf(stderr, "conduit: (%d) %s\n", status, text);
    return status;
}

/* ---- what happened ------------------------------------------------------ */

static void print_attempt(const struct conduit_attempt *a)
{
    (void)printf(
        "%8llu us %8llu us  %-4s  %s%s%s\n", (unsigned long long)a->start_us,
        (unsigned long long)a->elapsed_us, a->error.code == 0 ? "won" : "lost",
        a->endpoint, a->error.code != 0 ? "  " : "",
        a->error.code != 0 ? a->error.text : "");
}

static void print_winner(const struct conduit_conn *conn)
{
    char layers[128];
    char peer[CONDUIT_PEER_TEXT] = "unknown";

    (void)conduit_conn_query(conn, CONDUIT_QUERY_PEER, peer);
    (void)printf("connected: layers %s, peer %s\n",
                 conduit_conn_layers(conn, layers, sizeof layers), peer);
}

static void on_dialed(void *arg, struct conduit_dial *dial,
                      struct conduit_conn *conn,
                      const struct conduit_error *err)
{
    struct probe *p = arg;
    struct conduit_attempt a;

    p->dial = NULL;
    for (size_t i = 0; conn != NULL ? conduit_conn_attempt(conn, i, &a)
                                    : conduit_dial_attempt(dial, i, &a);
         i++) {
        print_attempt(&a);
    }
    if (conn != NULL) {
        print_winner(conn);
        conduit_conn_close(conn);
    } else {
        p->status = complain(fetch_status_of_dial(err), err->text);
    }
    conduit_loop_stop(conduit_ctx_loop(p->ctx));
}

static void on_shutdown(void *arg)
{
    struct probe *p = arg;

    conduit_dial_cancel(p->dial);
    p->status = complain(FETCH_INTERRUPTED, "interrupted");
    conduit_loop_stop(conduit_ctx_loop(p->ctx));
}

/* ---- the command -------------------------------------------------------- */

static int refuse(const char *what, const char *more)
{
    (void)fprintf(stderr, "conduit: (2) %s%s; see conduit probe --help\n", what,
                  more);
    return FETCH_USAGE;
}

/* -m SECONDS, --max-time SECONDS, --max-time=SECONDS. */
static bool is_max_time(int argc, char **argv, int *i, const char **value)
{
    static const char full[] = "--max-time";
    const char *arg = argv[*i];
    size_t n = sizeof full - 1;

    if (strncmp(arg, full, n) == 0 && arg[n] == '=') {
        *value = arg + n + 1;
        return true;
    }
    if (strcmp(arg, "-m") != 0 && strcmp(arg, full) != 0) {
        return false;
    }
    *value = *i + 1 < argc ? argv[++*i] : "";
    return true;
}

static int read_argument(struct probe *p, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    const char *value;

    if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
        p->help = true;
        return FETCH_OK;
    }
    if (is_max_time(argc, argv, i, &value)) {
        return fetch_read_seconds(value, &p->max_ms)
                   ? FETCH_OK
                   : refuse("-m wants seconds, not ", value);
    }
    if (tls_options_read(&p->tls_options, tls_names, argc, argv, i, &arg,
                         &value)) {
        return value != NULL ? refuse(arg, value) : FETCH_OK;
    }
    if (arg[0] == '-') {
        return refuse("unknown option ", arg);
    }
    if (p->uri != NULL) {
        return refuse("one URI, please, not also ", arg);
    }
    p->uri = arg;
    return FETCH_OK;
}

static int read_arguments(struct probe *p, int argc, char **argv)
{
    const char *problem;
    int status = FETCH_OK;

    for (int i = 1; i < argc && status == FETCH_OK && !p->help; i++) {
        status = read_argument(p, argc, argv, &i);
    }
    if (status != FETCH_OK || p->help) {
        return status;
    }
    if (p->uri == NULL) {
        return refuse("no URI given", "");
    }
    problem = tls_options_check(&p->tls_options);
    if (problem != NULL) {
        return refuse(problem, "");
    }
    return !p->tls_options.given || tls_options_wanted(p->uri)
               ? FETCH_OK
               : refuse("options for TLS, and a URI without", "");
}

static int start(struct probe *p)
{
    struct conduit_options options = {
        .dial_ms = p->max_ms,
        /* One address may take all of a time that was given. */
        .attempt_ms = p->max_ms,
        .tls_name = p->tls_options.name,
    };
    struct conduit_error err;

    if (tls_options_wanted(p->uri)) {
        bool http = strncmp(p->uri, "http", 4) == 0;

        if (tls_options_make(&p->tls_options, p->ctx, NULL, http, &p->tls,
                             &err) != 0) {
            return complain(fetch_status_of_tls(&err), err.text);
        }
        options.tls = p->tls;
    }
    if (conduit_dial(p->ctx, p->uri, &options, on_dialed, p, &p->dial, &err) !=
        0) {
        return complain(fetch_status_of_dial(&err), err.text);
    }
    return FETCH_OK;
}

int probe_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    struct probe p = {.ctx = ctx};

    p.status = read_arguments(&p, argc, argv);
    if (p.status == FETCH_OK && p.help) {
        (void)fputs(usage, stdout);
    } else if (p.status == FETCH_OK) {
        conduit_ctx_on_shutdown(ctx, on_shutdown, &p);
        p.status = start(&p);
        if (p.status == FETCH_OK) {
            conduit_loop_run(conduit_ctx_loop(ctx));
        }
        conduit_ctx_on_shutdown(ctx, NULL, NULL);
        conduit_tls_unref(p.tls);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        p.status = complain(FETCH_WRITE, "cannot write to standard output");
    }
    return p.status;
}
