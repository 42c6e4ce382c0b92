/* SPDX-License-Identifier: ISC */
/*
 * guest-trap write|execute|stack|leap|null|abort|exit3|read: does what a
 * program must not do, or ends in a way of its own, so that a script can see
 * from outside what the platform makes of it. Who is not stopped says so and
 * answers 1.
 */
#include <conduit/context.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its own code is read-only. The standard knows no way from a function to data
 * and back but by their bytes. */
static int write_code(void)
{
    int (*function)(struct conduit_ctx *, int, char **) = conduit_main;
    volatile unsigned char *code;

    memcpy(&code, &function, sizeof code);
    *code = 0xc3;
    return 1;
}

/* Data is not executable: this would be the instruction `ret`. */
static int execute_data(void)
{
    static volatile unsigned char data[16] = {0xc3};
    volatile unsigned char *place = data;
    void (*function)(void);

    memcpy(&function, &place, sizeof function);
    function();
    return 1;
}

/* What is done after the call keeps it from becoming a jump. */
static unsigned deeper(unsigned depth) // NOLINT(misc-no-recursion)
{
    volatile unsigned char room[512];
    static volatile unsigned most = UINT32_MAX;

    room[depth % sizeof room] = (unsigned char)depth;
    if (depth < most) {
        depth += deeper(depth + 1);
    }
    return depth + room[depth % sizeof room];
}

static int overflow_stack(void)
{
    return deeper(0) > 0 ? 1 : 2;
}

/* Frames larger than what guards the stack. */
static unsigned leap(unsigned depth) // NOLINT(misc-no-recursion)
{
    volatile unsigned char room[40000];
    static volatile unsigned most = UINT32_MAX;

    room[depth % sizeof room] = (unsigned char)depth;
    if (depth < most) {
        depth += leap(depth + 1);
    }
    return depth + room[depth % sizeof room];
}

static int leap_off_stack(void)
{
    return leap(0) > 0 ? 1 : 2;
}

static int read_null(void)
{
    static volatile const int *volatile nothing;

    return *nothing != 0 ? 1 : 2; // NOLINT(clang-analyzer-core.*)
}

static int do_abort(void)
{
    abort();
}

static int exit_three(void)
{
    return 3;
}

/* Thread-local storage of more than a little is memory that musl asks for. */
static int read_line(void)
{
    static _Thread_local char line[8192];

    (void)printf("reading\n");
    if (fgets(line, sizeof line, stdin) == NULL) {
        return 2;
    }
    (void)printf("read: %s", line);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} ways[] = {
    {"write", write_code},     {"execute", execute_data},
    {"stack", overflow_stack}, {"leap", leap_off_stack},
    {"null", read_null},       {"abort", do_abort},
    {"exit3", exit_three},     {"read", read_line},
};

int conduit_main(struct conduit_ctx *ctx, int argc, char **argv)
{
    (void)ctx;
    for (size_t i = 0; argc == 2 && i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(argv[1], ways[i].name) == 0) {
            int status;

            (void)printf("guest-trap: %s\n", argv[1]);
            (void)fflush(stdout);
            status = ways[i].run();
            if (status == 1) {
                (void)printf("guest-trap: %s was not stopped\n", argv[1]);
            }
            return status;
        }
    }
    (void)printf("usage: guest-trap write|execute|stack|leap|null|abort|"
                 "exit3|read\n");
    return 2;
}
