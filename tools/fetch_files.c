/* SPDX-License-Identifier: ISC */
/*
 * The files at both ends of a fetch. A loop that waits for a pipe's other end
 * notices neither an answer nor a deadline, so nothing here blocks for longer
 * than a disk does, but for the few bytes of a head that is printed.
 */
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An error or a hang-up is ready too: reading or writing tells of it. */
static bool is_ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, 0) != 0;
}

bool fetch_readable(int fd)
{
    return is_ready(fd, POLLIN);
}

/* The mode that a new file gets. There is no way to ask without changing it. */
static mode_t usual_mode(void)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    return 0666 & ~mask;
}

/* A file beside `path`, to be moved there. */
static int open_beside(struct fetch_output *out, mode_t mode)
{
    size_t size = strlen(out->path) + sizeof ".XXXXXX";
    int saved;

    out->temp = malloc(size);
    if (out->temp == NULL) {
        return ENOMEM;
    }
    (void)snprintf(out->temp, size, "%s.XXXXXX", out->path);
    out->fd = mkostemp(out->temp, O_CLOEXEC);
    if (out->fd < 0) {
        saved = errno;
        free(out->temp);
        out->temp = NULL;
        return saved;
    }
    return fchmod(out->fd, mode) == 0 ? 0 : errno;
}

static int open_named(struct fetch_output *out, const char *name)
{
    struct stat st = {0};

    if (stat(name, &st) == 0 && !S_ISREG(st.st_mode)) {
        out->fd = open(name, O_WRONLY | O_CLOEXEC);
        return out->fd >= 0 ? 0 : errno;
    }
    out->regular = true;
    /* Behind a symbolic link it is the file that is replaced. */
    out->path = st.st_mode != 0 ? realpath(name, NULL) : NULL;
    if (out->path != NULL) {
        return open_beside(out, st.st_mode & 07777);
    }
    out->path = strdup(name);
    return out->path != NULL ? open_beside(out, usual_mode()) : ENOMEM;
}

int fetch_output_open(struct fetch_output *out, const char *name)
{
    struct stat st;
    int code = 0;

    *out = (struct fetch_output){.fd = STDOUT_FILENO};
    if (name != NULL && strcmp(name, "-") != 0) {
        out->fd = -1;
        code = open_named(out, name);
    } else if (fstat(STDOUT_FILENO, &st) == 0) {
        out->regular = S_ISREG(st.st_mode);
    } else {
        code = errno;
    }
    if (code != 0) {
        (void)fetch_output_close(out, false);
    }
    return code;
}

long fetch_output_write(struct fetch_output *out, const void *data, size_t n)
{
    ssize_t done;

    if (!out->regular) {
        /* What a pipe that is writable at all takes without blocking. */
        if (!is_ready(out->fd, POLLOUT)) {
            return 0;
        }
        n = n < PIPE_BUF ? n : PIPE_BUF;
    }
    do {
        done = write(out->fd, data, n);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        return errno == EAGAIN ? 0 : -(long)errno;
    }
    return done;
}

int fetch_output_print(struct fetch_output *out, const char *fmt, ...)
{
    struct pollfd p = {.fd = out->fd, .events = POLLOUT};
    va_list args;
    char *text;
    int code = 0;
    int size;

    va_start(args, fmt);
    size = vasprintf(&text, fmt, args);
    va_end(args);
    if (size < 0) {
        return ENOMEM;
    }
    for (int at = 0; at < size && code == 0;) {
        long n = fetch_output_write(out, text + at, (size_t)(size - at));

        if (n == 0) {
            (void)poll(&p, 1, -1);
        }
        at += n > 0 ? (int)n : 0;
        code = n < 0 ? (int)-n : 0;
    }
    free(text);
    return code;
}

int fetch_output_close(struct fetch_output *out, bool keep)
{
    int code = 0;

    if (out->fd >= 0 && out->fd != STDOUT_FILENO && close(out->fd) != 0) {
        code = errno;
    }
    if (out->temp != NULL && keep && code == 0 &&
        rename(out->temp, out->path) != 0) {
        code = errno;
    }
    if (out->temp != NULL && (!keep || code != 0)) {
        (void)unlink(out->temp);
    }
    free(out->temp);
    free(out->path);
    *out = (struct fetch_output){.fd = -1};
    return code;
}
