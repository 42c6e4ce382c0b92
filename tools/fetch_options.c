/* SPDX-License-Identifier: ISC */
/*
 * The command line of `conduit fetch`. What curl's users do without thinking
 * works: options behind the URI, -sSf in one word, -d that implies POST, and -H
 * that replaces or removes a field which would be sent anyway.
 */
#include "fetch.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char fetch_usage[] =
    "usage: conduit fetch [OPTION]... URI\n"
    "\n"
    "Makes an HTTP request over any transport and prints the answer's body.\n"
    "\n"
    "  -X, --request METHOD   the method; GET unless others imply one\n"
    "  -d, --data TEXT|@FILE  send this (POST); again: joined with '&'\n"
    "                         @FILE: a file's bytes, @-: standard input's\n"
    "  -H, --header 'N: V'    add or replace a field; 'N:' removes it,\n"
    "                         'N;' sends it empty\n"
    "  -I, --head             HEAD, and print the answer's head\n"
    "  -i, --include          print the answer's head before its body\n"
    "  -f, --fail             exit with 22, without output, from status 400 "
    "on\n"
    "  -o, --output FILE      write there; a file only if all goes well\n"
    "  -m, --max-time SECONDS give up after this time\n"
    "  -s, --silent           no messages; with -S, --show-error: yet errors\n"
    "  -v, --verbose          say on stderr what was tried, sent and answered\n"
    "  -h, --help             print this\n"
    "\n"
    "For a URI with TLS, such as https://HOST:\n"
    "      --cacert FILE      trust these authorities (PEM), not the "
    "system's\n"
    "  -E, --cert FILE        our certificate (PEM), where a server wants "
    "one\n"
    "      --key FILE         its key\n"
    "      --pin sha256//BASE64\n"
    "                         a public key that must be in the server's "
    "chain\n"
    "      --tls-name NAME    whom to expect; else the URI's host\n"
    "  -k, --insecure         trust anybody\n";

/* What getopt answers for an option about TLS, which may have no letter. */
#define TLS(option) (0x100 + (option))

static const struct option long_options[] = {
    {"request", required_argument, NULL, 'X'},
    {"data", required_argument, NULL, 'd'},
    {"data-binary", required_argument, NULL, 'd'},
    {"header", required_argument, NULL, 'H'},
    {"head", no_argument, NULL, 'I'},
    {"include", no_argument, NULL, 'i'},
    {"fail", no_argument, NULL, 'f'},
    {"output", required_argument, NULL, 'o'},
    {"max-time", required_argument, NULL, 'm'},
    {"silent", no_argument, NULL, 's'},
    {"show-error", no_argument, NULL, 'S'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"cacert", required_argument, NULL, TLS(TLS_CACERT)},
    {"cert", required_argument, NULL, TLS(TLS_CERT)},
    {"key", required_argument, NULL, TLS(TLS_KEY)},
    {"pin", required_argument, NULL, TLS(TLS_PIN)},
    {"tls-name", required_argument, NULL, TLS(TLS_NAME)},
    {"insecure", no_argument, NULL, TLS(TLS_INSECURE)},
    {NULL, 0, NULL, 0},
};

__attribute__((format(printf, 1, 2))) static int refuse(const char *fmt, ...)
{
    va_list args;

    (void)fputs("conduit: (2) ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputs("; see conduit fetch --help\n", stderr);
    return FETCH_USAGE;
}

static int out_of_memory(void)
{
    (void)fputs("conduit: (27) out of memory\n", stderr);
    return FETCH_MEMORY;
}

/* ---- -d and -m ---- */

static int add_data(struct fetch_options *o, const char *text)
{
    size_t have = o->data != NULL ? strlen(o->data) + 1 : 0;
    char *joined;

    if (o->data_file != NULL || (*text == '@' && o->data != NULL)) {
        return refuse("-d @FILE cannot be joined with another -d");
    }
    if (*text == '@') {
        o->data_file = text + 1;
        return FETCH_OK;
    }
    joined = realloc(o->data, have + strlen(text) + 1);
    if (joined == NULL) {
        return out_of_memory();
    }
    if (have > 0) {
        joined[have - 1] = '&';
    }
    memcpy(joined + have, text, strlen(text) + 1);
    o->data = joined;
    return FETCH_OK;
}

bool fetch_read_seconds(const char *text, unsigned *ms)
{
    char *end;
    double seconds;

    errno = 0;
    seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0 && seconds <= 4e6)) {
        return false;
    }
    *ms = (unsigned)(seconds * 1000 + 0.5);
    if (*ms == 0 && seconds > 0) {
        *ms = 1;
    }
    return true;
}

static int set_max_time(struct fetch_options *o, const char *text)
{
    return fetch_read_seconds(text, &o->max_ms)
               ? FETCH_OK
               : refuse("-m wants seconds, not %s", text);
}

/* ---- fields ---- */

/* Keeps a copy of -H's argument; what it means is seen once all are there. */
static int add_line(struct fetch_options *o, const char *text)
{
    char **lines = realloc(o->lines, (o->line_count + 1) * sizeof *lines);

    if (lines == NULL) {
        return out_of_memory();
    }
    o->lines = lines;
    lines[o->line_count] = strdup(text);
    if (lines[o->line_count] == NULL) {
        return out_of_memory();
    }
    o->line_count++;
    return FETCH_OK;
}

/* Whether a -H is about this field. */
static bool mentions(const char *line, const char *name)
{
    size_t n = strlen(name);

    return strncasecmp(line, name, n) == 0 &&
           (line[n] == ':' || line[n] == ';');
}

static void add_usual(struct fetch_options *o, const char *name,
                      const char *value)
{
    for (size_t i = 0; i < o->line_count; i++) {
        if (mentions(o->lines[i], name)) {
            return;
        }
    }
    o->fields[o->field_count].name = name;
    o->fields[o->field_count].value = value;
    o->field_count++;
}

/* Cuts "Name: value" in two and adds it; "Name:" has done its work. */
static int add_given(struct fetch_options *o, char *line)
{
    char *mark = line + strcspn(line, ":;");
    char *value = mark + 1;
    size_t n;

    if (mark == line || *mark == '\0' || (*mark == ';' && *value != '\0')) {
        return refuse("-H wants 'Name: value', not %s", line);
    }
    value += *mark == ':' ? strspn(value, " \t") : 0;
    n = strlen(value);
    while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t')) {
        n--;
    }
    if (n == 0 && mentions(line, "Host")) {
        return refuse("a request without Host is none");
    }
    if (n == 0 && *mark == ':') {
        return FETCH_OK;
    }
    *mark = '\0';
    value[n] = '\0';
    o->fields[o->field_count].name = line;
    o->fields[o->field_count].value = value;
    o->field_count++;
    return FETCH_OK;
}

static int make_fields(struct fetch_options *o)
{
    enum { USUAL = 3 };
    static const char agent[] = "conduit/" CONDUIT_VERSION;
    int status = FETCH_OK;

    o->fields = calloc(o->line_count + USUAL, sizeof *o->fields);
    if (o->fields == NULL) {
        return out_of_memory();
    }
    add_usual(o, "User-Agent", agent);
    add_usual(o, "Accept", "*/*");
    if (o->data != NULL || o->data_file != NULL) {
        add_usual(o, "Content-Type", "application/x-www-form-urlencoded");
    }
    for (size_t i = 0; status == FETCH_OK && i < o->line_count; i++) {
        status = add_given(o, o->lines[i]);
    }
    return status;
}

/* ---- the command line ---- */

static int set_tls(struct fetch_options *o, enum tls_option option)
{
    const char *why = tls_options_set(&o->tls, option, optarg);
    const struct option *named = long_options;

    while (named->val != TLS((int)option)) {
        named++;
    }
    return why == NULL ? FETCH_OK : refuse("--%s%s", named->name, why);
}

static int read_option(struct fetch_options *o, int option, bool *show_error)
{
    if (option >= TLS(0)) {
        return set_tls(o, (enum tls_option)(option - TLS(0)));
    }
    switch (option) {
    case 'X':
        o->method = optarg;
        return FETCH_OK;
    case 'd':
        return add_data(o, optarg);
    case 'H':
        return add_line(o, optarg);
    case 'I':
        o->head = o->include = true;
        return FETCH_OK;
    case 'i':
        o->include = true;
        return FETCH_OK;
    case 'f':
        o->fail = true;
        return FETCH_OK;
    case 'o':
        o->output = optarg;
        return FETCH_OK;
    case 'm':
        return set_max_time(o, optarg);
    case 'E':
        return set_tls(o, TLS_CERT);
    case 'k':
        return set_tls(o, TLS_INSECURE);
    case 's':
        o->silent = true;
        return FETCH_OK;
    case 'S':
        *show_error = true;
        return FETCH_OK;
    case 'v':
        o->verbose = true;
        return FETCH_OK;
    default:
        o->help = true;
        return FETCH_OK;
    }
}

/* What is wrong with the option that getopt has just refused. */
static int refuse_option(char **argv, int option)
{
    const char *what = option == ':' ? "wants a value" : "is unknown";
    const char *word = argv[optind - 1];

    if (strncmp(word, "--", 2) == 0 || optopt == 0) {
        return refuse("option %s %s", word, what);
    }
    return refuse("option -%c %s", optopt, what);
}

static int check(struct fetch_options *o)
{
    bool data = o->data != NULL || o->data_file != NULL;
    const char *problem = tls_options_check(&o->tls);

    if (problem != NULL) {
        return refuse("%s", problem);
    }
    if (o->tls.given && !tls_options_wanted(o->uri)) {
        return refuse("options for TLS, and a URI without");
    }
    if (o->head && data) {
        return refuse("-I and -d are two requests");
    }
    if (o->method == NULL && (o->head || data)) {
        o->method = o->head ? "HEAD" : "POST";
    }
    return make_fields(o);
}

int fetch_options_parse(struct fetch_options *o, int argc, char **argv)
{
    bool show_error = false;
    int status = FETCH_OK;
    int option;

    memset(o, 0, sizeof *o);
    opterr = 0;
    optind = 0; /* glibc's way to begin anew */
    while (status == FETCH_OK && !o->help &&
           (option = getopt_long(argc, argv, ":X:d:H:Iifo:m:sSvhE:k",
                                 long_options, NULL)) != -1) {
        if (option == '?' || option == ':') {
            return refuse_option(argv, option);
        }
        status = read_option(o, option, &show_error);
    }
    if (status != FETCH_OK || o->help) {
        return status;
    }
    if (argc - optind != 1) {
        return refuse(argc == optind ? "no URI given" : "one URI, please");
    }
    o->uri = argv[optind];
    o->silent = o->silent && !show_error;
    return check(o);
}

void fetch_options_free(struct fetch_options *o)
{
    for (size_t i = 0; i < o->line_count; i++) {
        free(o->lines[i]);
    }
    free(o->lines);
    free(o->fields);
    free(o->data);
}
