/* SPDX-License-Identifier: ISC */
/*
 * The start object of portable applications on Unix: makes the context, turns
 * SIGTERM and SIGINT into a request to end, and calls conduit_main(). It is
 * linked by conduit_add_application() and is no part of the library, which
 * itself installs no signal handler and has no main.
 */
#include <conduit/context.h>
#include <conduit/unix.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct conduit_loop *loop;
static volatile sig_atomic_t asked;

static void end_asked(struct conduit_task *task)
{
    (void)task;
    conduit_ctx_shutdown(conduit_loop_ctx(loop));
}

static struct conduit_task end_task = {.run = end_asked};

static void on_signal(int number)
{
    if (asked) {
        _exit(128 + number); /* asked twice: at once */
    }
    asked = 1;
    conduit_loop_post(loop, &end_task);
}

static void catch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

/* What is closed of 0 to 2 must not become a connection. */
static void hold_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        (void)close(fd);
    }
}

int main(int argc, char **argv)
{
    struct conduit_ctx_options options = {
        .log_level = conduit_log_level_named(getenv("CONDUIT_LOG"),
                                             CONDUIT_LOG_WARN)};
    struct conduit_error err;
    struct conduit_ctx *ctx;
    int status;

    hold_standard_descriptors();
    if (conduit_unix_new(NULL, &options, &ctx, &err) != 0) {
        (void)fprintf(stderr, "%s: %s\n", argv[0], err.text);
        return 1;
    }
    if (conduit_register_all(ctx) != 0) {
        (void)fprintf(stderr, "%s: out of memory\n", argv[0]);
        conduit_ctx_free(ctx);
        return 1;
    }
    loop = conduit_ctx_loop(ctx);
    catch_signals();
    status = conduit_main(ctx, argc, argv);
    conduit_ctx_finish(ctx);
    (void)signal(SIGTERM, SIG_IGN); /* the context goes away now */
    (void)signal(SIGINT, SIG_IGN);
    conduit_ctx_free(ctx);
    return status;
}
