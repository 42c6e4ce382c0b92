/* SPDX-License-Identifier: ISC */
/*
 * The command line of `conduit relay`. Read without getopt, which is POSIX and
 * not everywhere where a relay can run.
 */
#include "relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char relay_usage[] =
    "usage: conduit relay [OPTION]... FROM TO\n"
    "\n"
    "Accepts connections at the URI FROM, connects each to the URI TO, and\n"
    "copies both ways until both have ended or one has failed.\n"
    "\n"
    "  -n, --max N            relay so many at a time, others wait; 500\n"
    "  -t, --idle SECONDS     drop what has been silent for so long; 600\n"
    "                         0: never\n"
    "  -c, --connect SECONDS  to connect to TO; 30\n"
    "  -l, --linger SECONDS   to deliver what came before a failure; 10\n"
    "  -g, --grace SECONDS    for those that are there to finish, once asked\n"
    "                         to end; 10\n"
    "  -h, --help             print this\n"
    "\n"
    "Where FROM has TLS, such as tls+tcp://:8443:\n"
    "      --cert FILE        certificate (PEM); several, in pairs with keys,\n"
    "      --key FILE         are chosen from by what a client asks for (SNI)\n"
    "      --client-ca FILE   admit who has a certificate of these "
    "authorities\n"
    "\n"
    "Where TO has TLS:\n"
    "      --cacert FILE      trust these authorities (PEM), not the "
    "system's\n"
    "      --client-cert FILE, --client-key FILE\n"
    "                         the certificate to show to TO\n"
    "      --pin sha256//BASE64\n"
    "                         a public key that must be in TO's chain\n"
    "      --tls-name NAME    whom to expect; else the URI's host\n"
    "      --insecure         trust anybody\n";

static const struct tls_option_name from_names[] = {
    {"--cert", TLS_CERT},
    {"--key", TLS_KEY},
    {"--client-ca", TLS_CLIENT_CA},
    {NULL, TLS_CERT},
};

static const struct tls_option_name to_names[] = {
    {"--cacert", TLS_CACERT},  {"--client-cert", TLS_CERT},
    {"--client-key", TLS_KEY}, {"--pin", TLS_PIN},
    {"--tls-name", TLS_NAME},  {"--insecure", TLS_INSECURE},
    {NULL, TLS_CERT},
};

/* Beyond this, a time in milliseconds is no unsigned any more. */
#define SECONDS_MAX 4e6
#define COUNT_MAX 1000000UL

/* An option that takes a number. */
struct number {
    const char *brief;
    const char *full;
    size_t offset; /* of an unsigned */
    bool count;    /* else it is a time */
    bool zero;     /* which 0 makes sense for */
};

#define NUMBER(brief, full, member, count, zero)                          \
    {                                                                     \
        (brief), (full), offsetof(struct relay_options, member), (count), \
            (zero)                                                        \
    }

static const struct number numbers[] = {
    NUMBER("-n", "--max", max, true, false),
    NUMBER("-t", "--idle", idle_ms, false, true),
    NUMBER("-c", "--connect", connect_ms, false, false),
    NUMBER("-l", "--linger", linger_ms, false, false),
    NUMBER("-g", "--grace", grace_ms, false, true),
};

static int refuse(const char *what, const char *why)
{
    (void)fprintf(stderr, "conduit: %s%s; see conduit relay --help\n", what,
                  why);
    return RELAY_USAGE;
}

/* ---- numbers ---- */

static bool read_count(const char *text, unsigned *out)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(text, &end, 10);
    *out = (unsigned)n;
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
           n <= COUNT_MAX;
}

static bool read_seconds(const char *text, unsigned *out)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' ||
        !(seconds >= 0 && seconds <= SECONDS_MAX)) {
        return false;
    }
    *out = (unsigned)(seconds * 1000 + 0.5);
    if (*out == 0 && seconds > 0) {
        *out = 1;
    }
    return true;
}

static int set_number(struct relay_options *o, const struct number *n,
                      const char *text)
{
    unsigned value = 0;
    bool good = n->count ? read_count(text, &value)
                         : read_seconds(text, &value);

    if (!good || (value == 0 && !n->zero)) {
        return refuse(n->full, n->count ? " wants a count" : " wants seconds");
    }
    memcpy((char *)o + n->offset, &value, sizeof value);
    return RELAY_OK;
}

/* ---- arguments ---- */

/*
 * What option argv[*i] is given, if it is called `brief` or `full`: the text
 * behind '=', or the next argument, over which *i moves. false: it is another
 * one. *value NULL: nothing is there.
 */
static bool given(int argc, char **argv, int *i, const char *brief,
                  const char *full, const char **value)
{
    const char *arg = argv[*i];
    size_t n = strlen(full);

    if (strncmp(arg, full, n) == 0 && arg[n] == '=') {
        *value = arg + n + 1;
        return true;
    }
    if (strcmp(arg, brief) != 0 && strcmp(arg, full) != 0) {
        return false;
    }
    *value = NULL;
    if (*i + 1 < argc) {
        *i += 1;
        *value = argv[*i];
    }
    return true;
}

static int read_option(struct relay_options *o, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    const char *value;

    if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
        o->help = true;
        return RELAY_OK;
    }
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        const struct number *n = &numbers[k];

        if (given(argc, argv, i, n->brief, n->full, &value)) {
            return value != NULL ? set_number(o, n, value)
                                 : refuse(n->full, " wants a value");
        }
    }
    if (tls_options_read(&o->from_tls, from_names, argc, argv, i, &arg,
                         &value) ||
        tls_options_read(&o->to_tls, to_names, argc, argv, i, &arg, &value)) {
        return value != NULL ? refuse(arg, value) : RELAY_OK;
    }
    return refuse("unknown option ", arg);
}

static int read_uri(struct relay_options *o, const char *uri)
{
    if (o->to != NULL) {
        return refuse("two URIs, please, not also ", uri);
    }
    if (o->from == NULL) {
        o->from = uri;
    } else {
        o->to = uri;
    }
    return RELAY_OK;
}

/* Options for TLS on a side that has none would leave it open. */
static int check_tls(const struct tls_options *tls, const char *uri)
{
    const char *problem = tls_options_check(tls);

    if (problem != NULL) {
        return refuse(problem, "");
    }
    return !tls->given || tls_options_wanted(uri)
               ? RELAY_OK
               : refuse("options for TLS, and none in ", uri);
}

int relay_options_parse(struct relay_options *o, int argc, char **argv)
{
    int status = RELAY_OK;

    *o = (struct relay_options){
        .max = 500,
        .idle_ms = 600000,
        .connect_ms = 30000,
        .linger_ms = 10000,
        .grace_ms = 10000,
    };
    for (int i = 1; i < argc && status == RELAY_OK && !o->help; i++) {
        status = argv[i][0] == '-' ? read_option(o, argc, argv, &i)
                                   : read_uri(o, argv[i]);
    }
    if (status == RELAY_OK && !o->help && o->to == NULL) {
        status = refuse(o->from == NULL ? "no URIs given" : "no URI TO given",
                        "");
    }
    if (status == RELAY_OK && !o->help) {
        status = check_tls(&o->from_tls, o->from);
    }
    if (status == RELAY_OK && !o->help) {
        status = check_tls(&o->to_tls, o->to);
    }
    return status;
}

/* ---- what connections are made with ---- */

struct conduit_options relay_listen_options(const struct relay_options *o)
{
    enum { OPENING_MAX = 1024 };
    struct conduit_options options = {
        .linger_ms = o->linger_ms,
        /* Those that open at the limit wait here, with what they cost. */
        .max_opening = o->max < OPENING_MAX ? o->max : OPENING_MAX,
    };

    return options;
}

struct conduit_options relay_dial_options(const struct relay_options *o)
{
    struct conduit_options options = {
        .linger_ms = o->linger_ms,
        .dial_ms = o->connect_ms,
        .tls_name = o->to_tls.name,
    };

    return options;
}

int relay_tls(const struct relay_options *o, struct conduit_ctx *ctx,
              struct conduit_tls **from, struct conduit_tls **to,
              struct conduit_error *err)
{
    int code = 0;

    if (tls_options_wanted(o->from)) {
        code = tls_options_make(&o->from_tls, ctx, NULL, false, from, err);
    }
    if (code == 0 && tls_options_wanted(o->to)) {
        code = tls_options_make(&o->to_tls, ctx, NULL, false, to, err);
    }
    return code;
}
