/* SPDX-License-Identifier: ISC */
/*
 * The watcher of control/shutdown. Each event reads the node; what it asks for
 * is acknowledged by writing nothing to it, in a transaction that reads it once
 * more, so that a wish that the host takes back or replaces in between is never
 * answered with the acknowledgement of another.
 *
 * A wish that cannot be acknowledged (the store keeps refusing) is followed all
 * the same: better the end without the answer than no end. It stands in the
 * store then, as one that is refused does; `standing` keeps it from being
 * handled again at the next event, until the node says something else.
 */
#include "control.h"

#include <conduit/error.h>

#include <stdio.h>
#include <string.h>

#define NODE "control/shutdown"

/* Transactions to acknowledge one wish. */
#define TRIES_MAX 8

static void look(struct cdt_control *c);

static enum cdt_control_wish wish_of(const char *text)
{
    if (strcmp(text, "poweroff") == 0 || strcmp(text, "halt") == 0) {
        return CDT_CONTROL_POWEROFF;
    }
    return strcmp(text, "reboot") == 0 ? CDT_CONTROL_REBOOT
                                       : CDT_CONTROL_NOTHING;
}

/* Keeps what a person can read of a value, cut to what fits. */
static void clean(char *to, const char *data, size_t size)
{
    size_t n = size < CDT_CONTROL_TEXT - 1 ? size : CDT_CONTROL_TEXT - 1;

    for (size_t i = 0; i < n; i++) {
        to[i] = data[i] > ' ' && data[i] < 0x7f ? data[i] : '?';
    }
    to[n] = '\0';
}

/* Nothing is under way any more: looks again, if an event came meanwhile. */
static void rest(struct cdt_control *c)
{
    c->busy = false;
    if (c->again) {
        c->again = false;
        look(c);
    }
}

static void refuse(struct cdt_control *c, const char *text)
{
    char line[80 + CDT_CONTROL_TEXT];

    if (strcmp(text, "suspend") == 0) {
        c->note(c, "suspend was asked for and refused: connections would not "
                   "outlive it");
        return;
    }
    (void)snprintf(line, sizeof line, "control/shutdown: \"%s\" is not known",
                   text);
    c->note(c, line);
}

/* The wish is dealt with, as far as the store is concerned. */
static void obey(struct cdt_control *c)
{
    rest(c);
    c->asked(c); /* may be the end of c */
}

/* ---- acknowledging ---- */

static void begin(struct cdt_control *c);

/* The store does not let us: gives up the acknowledgement, not the wish. */
static void unacknowledged(struct cdt_control *c, const char *word)
{
    char line[80 + CDT_CONTROL_TEXT];
    char text[CDT_CONTROL_TEXT];

    if (c->tx != CDT_XS_NONE) {
        (void)cdt_xs_end(c->xs, c->tx, false, NULL, NULL);
        c->tx = CDT_XS_NONE;
    }
    clean(text, word, strlen(word));
    (void)snprintf(line, sizeof line,
                   "control/shutdown could not be acknowledged (%s)", text);
    c->note(c, line);
    obey(c);
}

static void on_end(void *arg, int code, const char *data, size_t size)
{
    struct cdt_control *c = arg;

    (void)size;
    if (code == CONDUIT_AGAIN && ++c->tries < TRIES_MAX) {
        begin(c);
    } else if (code < 0) {
        unacknowledged(c, data);
    } else {
        c->standing[0] = '\0';
        obey(c);
    }
}

static void on_write(void *arg, int code, const char *data, size_t size)
{
    struct cdt_control *c = arg;
    uint32_t tx = c->tx;

    (void)size;
    if (code < 0) {
        unacknowledged(c, data);
        return;
    }
    c->tx = CDT_XS_NONE; /* however it ends */
    if (cdt_xs_end(c->xs, tx, true, on_end, c) < 0) {
        unacknowledged(c, "ENOMEM");
    }
}

/* The node within the transaction. Of what is not the wish any more, another
 * look makes something. */
static void on_read_again(void *arg, int code, const char *data, size_t size)
{
    struct cdt_control *c = arg;
    char text[CDT_CONTROL_TEXT];

    if (code < 0 && code != CONDUIT_ENOENT) {
        unacknowledged(c, data);
        return;
    }
    clean(text, data, code < 0 ? 0 : size);
    if (strcmp(text, c->standing) != 0) {
        (void)cdt_xs_end(c->xs, c->tx, false, NULL, NULL);
        c->tx = CDT_XS_NONE;
        c->standing[0] = '\0';
        c->again = true;
        rest(c);
    } else if (cdt_xs_write(c->xs, c->tx, NODE, "", 0, on_write, c) < 0) {
        unacknowledged(c, "ENOMEM");
    }
}

static void on_begin(void *arg, int code, const char *data, size_t size)
{
    struct cdt_control *c = arg;

    if (code < 0) {
        unacknowledged(c, data);
    } else if (cdt_xs_parse_number(data, size, &c->tx) < 0) {
        c->tx = CDT_XS_NONE;
        unacknowledged(c, "no transaction");
    } else if (cdt_xs_read(c->xs, c->tx, NODE, on_read_again, c) < 0) {
        unacknowledged(c, "ENOMEM");
    }
}

static void begin(struct cdt_control *c)
{
    if (cdt_xs_begin(c->xs, on_begin, c) < 0) {
        unacknowledged(c, "ENOMEM");
    }
}

/* ---- the node ---- */

static void on_read(void *arg, int code, const char *data, size_t size)
{
    struct cdt_control *c = arg;
    char text[CDT_CONTROL_TEXT];

    clean(text, data, code < 0 ? 0 : size);
    if ((code < 0 && code != CONDUIT_ENOENT) ||
        strcmp(text, c->standing) == 0) {
        rest(c);
        return;
    }
    memcpy(c->standing, text, sizeof text);
    c->wish = wish_of(text);
    if (c->wish != CDT_CONTROL_NOTHING) {
        c->tries = 0;
        begin(c);
        return;
    }
    if (text[0] != '\0') {
        refuse(c, text);
    }
    rest(c);
}

static void look(struct cdt_control *c)
{
    if (c->busy) {
        c->again = true;
        return;
    }
    c->busy = cdt_xs_read(c->xs, CDT_XS_NONE, NODE, on_read, c) == 0;
}

static void on_event(struct cdt_xs_watch *watch, const char *path)
{
    struct cdt_control *c =
        (struct cdt_control *)(void *)((char *)watch -
                                       offsetof(struct cdt_control, watch));

    (void)path;
    look(c);
}

/* ---- start and stop ---- */

/*
 * "1" is a promise to answer that wish, "0" lets the host fail a suspend at
 * once instead of waiting for an answer that never comes. There is no such node
 * for halt. The toolstack makes the nodes that a guest may write; where it made
 * none, the store refuses, and nothing is lost.
 */
static void tell_features(struct cdt_xs *xs)
{
    static const char *const features[][2] = {
        {"control/feature-poweroff", "1"},
        {"control/feature-reboot", "1"},
        {"control/feature-suspend", "0"},
    };

    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        (void)cdt_xs_write(xs, CDT_XS_NONE, features[i][0], features[i][1], 1,
                           NULL, NULL);
    }
}

int cdt_control_start(struct cdt_control *control, struct cdt_xs *xs)
{
    int code;

    control->xs = xs;
    control->wish = CDT_CONTROL_NOTHING;
    control->tx = CDT_XS_NONE;
    control->busy = false;
    control->again = false;
    control->standing[0] = '\0';
    control->watch = (struct cdt_xs_watch){.path = "control/shutdown",
                                           .fire = on_event};
    code = cdt_xs_watch(xs, &control->watch, NULL, NULL);
    if (code < 0) {
        control->xs = NULL;
        return code;
    }
    tell_features(xs);
    return 0;
}

void cdt_control_stop(struct cdt_control *control)
{
    if (control->xs == NULL) {
        return;
    }
    cdt_xs_unwatch(control->xs, &control->watch);
    cdt_xs_cancel(control->xs, control);
    if (control->tx != CDT_XS_NONE) {
        (void)cdt_xs_end(control->xs, control->tx, false, NULL, NULL);
    }
    control->xs = NULL;
}
