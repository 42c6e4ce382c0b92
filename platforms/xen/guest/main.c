/* SPDX-License-Identifier: ISC */
/*
 * The start object of portable applications in a guest: makes the context,
 * turns the host's wish that the domain ends into a request to the program, and
 * calls conduit_main(). An exit status other than 0 ends the domain as crashed,
 * so that on_crash in its configuration says what becomes of a program that
 * failed.
 */
#include "control.h"
#include "guest.h"
#include "xen_platform.h"

#include <conduit/context.h>

#include <stdio.h>
#include <stdlib.h>

#include <xen/sched.h>

#define MIB ((uint64_t)1024 * 1024)

static struct conduit_ctx *ctx;
static struct cdt_control control;

/* ---- the host's wishes -------------------------------------------------- */

static void end_asked(struct conduit_task *task)
{
    (void)task;
    conduit_ctx_shutdown(ctx);
}

static struct conduit_task end_task = {.run = end_asked};

/* Asked twice: at once, as by a second signal on Unix. */
static void asked(struct cdt_control *c)
{
    static bool before;

    cdt_guest.ending = c->wish == CDT_CONTROL_REBOOT ? SHUTDOWN_reboot
                                                     : SHUTDOWN_poweroff;
    if (before) {
        cdt_guest_end(cdt_guest.ending);
    }
    before = true;
    conduit_loop_defer(conduit_ctx_loop(ctx), &end_task);
}

static void note(struct cdt_control *c, const char *text)
{
    (void)c;
    conduit_log(ctx, CONDUIT_LOG_WARN, "xen", "%s", text);
}

/* Without a store the program runs as well; only nobody can ask it to end. */
static void watch_host(void)
{
    int code = CONDUIT_ENOENT;

    control.asked = asked;
    control.note = note;
    if (cdt_guest.store_ring != NULL && cdt_guest.store_port != 0) {
        code = cdt_xs_new(&cdt_guest.events, cdt_guest.store_ring,
                          cdt_guest.store_port, &cdt_guest.xs);
    }
    if (code == 0) {
        code = cdt_control_start(&control, cdt_guest.xs);
    }
    if (code != 0) {
        conduit_log(ctx, CONDUIT_LOG_WARN, "xen", "no xenstore: %s",
                    conduit_strerror(code));
    }
}

/* ---- the program -------------------------------------------------------- */

static void log_start(void)
{
    struct cdt_heap_facts heap;
    uint64_t now = cdt_guest.xen->ops->now(cdt_guest.xen);

    cdt_heap_facts(cdt_guest.heap, &heap);
    conduit_log(ctx, CONDUIT_LOG_INFO, "xen", "%zu KiB of memory for the heap",
                heap.total / 1024);
    if (cdt_guest.unused >= 2 * MIB) {
        conduit_log(ctx, CONDUIT_LOG_WARN, "xen",
                    "%lu MiB of memory above 4 GiB are not used",
                    (unsigned long)(cdt_guest.unused / MIB));
    }
    conduit_log(ctx, CONDUIT_LOG_INFO, "xen",
                "%lu us from entry to conduit_main",
                (unsigned long)((now - cdt_guest.entered) / 1000));
}

int main(int argc, char **argv)
{
    struct conduit_ctx_options options = {
        .log_level = conduit_log_level_named(getenv("CONDUIT_LOG"),
                                             CONDUIT_LOG_WARN)};
    struct conduit_error err;
    int status;

    if (cdt_xen_new(&options, &ctx, &err) != 0) {
        (void)fprintf(stderr, "%s: %s\n", argv[0], err.text);
        return 1;
    }
    if (conduit_register_all(ctx) != 0) {
        (void)fprintf(stderr, "%s: out of memory\n", argv[0]);
        return 1;
    }
    watch_host();
    log_start();
    status = conduit_main(ctx, argc, argv);
    conduit_ctx_finish(ctx);
    cdt_control_stop(&control);
    cdt_xs_free(cdt_guest.xs);
    cdt_guest.xs = NULL;
    conduit_ctx_free(ctx);
    return status;
}
