/* SPDX-License-Identifier: ISC */
/*
 * `conduit fetch`, which is for those who know curl: its options, exit statuses
 * and ways, as far as one request over one connection has use for them.
 *
 * fetch_options.c reads the command line, fetch_files.c has the files at both
 * ends, fetch_status.c the exit statuses, fetch.c runs the request.
 */
#ifndef CONDUIT_FETCH_H
#define CONDUIT_FETCH_H

#include "tls_options.h"

#include <conduit/conduit.h>

/* Exit statuses; the numbers are curl's, where curl has one. */
enum fetch_status {
    FETCH_OK = 0,
    FETCH_SCHEME = 1, /* not in this build */
    FETCH_USAGE = 2,
    FETCH_URI = 3,
    FETCH_NAME = 6, /* no address */
    FETCH_CONNECT = 7,
    FETCH_PROTOCOL = 8, /* the answer is no HTTP */
    FETCH_PARTIAL = 18,
    FETCH_HTTP = 22, /* -f, and 400 or more */
    FETCH_WRITE = 23,
    FETCH_READ = 26, /* -d @FILE */
    FETCH_MEMORY = 27,
    FETCH_TIMEOUT = 28,
    FETCH_TLS = 35,   /* there was a connection, but no TLS on it */
    FETCH_EMPTY = 52, /* closed before an answer */
    FETCH_SEND = 55,
    FETCH_RECEIVE = 56,
    FETCH_OWN = 58,  /* what --cert and the like gave, or did not */
    FETCH_PEER = 60, /* the server's certificate */
    FETCH_INTERRUPTED = 130
};

/* ---- fetch_options.c ---------------------------------------------------- */

struct fetch_options {
    const char *uri;
    const char *method;                /* -X, or what others imply; NULL: GET */
    char *data;                        /* -d; NULL: none */
    const char *data_file;             /* -d @FILE; "-": standard input */
    const char *output;                /* -o; NULL or "-": standard output */
    struct conduit_http_field *fields; /* to be sent, the usual ones too */
    size_t field_count;
    unsigned max_ms; /* -m; 0: no limit */
    bool head;       /* -I */
    bool include;    /* -i */
    bool fail;       /* -f */
    bool silent;     /* -s without -S */
    bool verbose;    /* -v */
    bool help;
    char **lines; /* -H, cut into names and values */
    size_t line_count;
    struct tls_options tls;
};

/*
 * Reads the arguments (argv[0] is "fetch"). FETCH_OK, or a status, with the
 * reason on stderr. `o` must be freed either way.
 */
int fetch_options_parse(struct fetch_options *o, int argc, char **argv);
void fetch_options_free(struct fetch_options *o);

extern const char fetch_usage[];

/* Milliseconds of a text in seconds; false: it is none, or too much. */
bool fetch_read_seconds(const char *text, unsigned *ms);

/* ---- fetch_status.c ----------------------------------------------------- */

/* For a failure before there is any connection: of what TLS was given, and of a
 * dial. */
int fetch_status_of_tls(const struct conduit_error *err);
int fetch_status_of_dial(const struct conduit_error *err);
/* For a request's; the call may be NULL: there was none. */
int fetch_status_of(const struct conduit_error *err,
                    const struct conduit_http_call *call);

/* ---- fetch_files.c ------------------------------------------------------ */

/* Whether bytes can be read from fd now, without blocking. */
bool fetch_readable(int fd);

/*
 * Where the answer goes. A regular file is written beside its place and moved
 * there when it is complete, so that what fails leaves what was there before.
 */
struct fetch_output {
    int fd;       /* -1: not open */
    bool regular; /* never blocks */
    char *path;   /* to be moved to; NULL: nothing is moved */
    char *temp;
};

/* 0, or an errno. name NULL or "-": standard output. */
int fetch_output_open(struct fetch_output *out, const char *name);

/*
 * Writes without blocking: how many bytes were taken, 0 when none can be now,
 * or a negative errno.
 */
long fetch_output_write(struct fetch_output *out, const void *data, size_t n);

/* Writes a short text, which may block. 0, or an errno. */
int fetch_output_print(struct fetch_output *out, const char *fmt, ...)
    CONDUIT_PRINTF(2, 3);

/* Ends it; with `keep` the file takes its place. 0, or an errno. */
int fetch_output_close(struct fetch_output *out, bool keep);

/* ---- fetch.c ------------------------------------------------------------ */

/* The command; answers the exit status. */
int fetch_main(struct conduit_ctx *ctx, int argc, char **argv);

#endif
