/* SPDX-License-Identifier: ISC */
/*
 * Ten thousand connections open at once, each end in a process of its own: that
 * they work, and what an idle one costs in memory.
 */
#include "unix_support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 10000u
#define AT_ONCE 500u
#define MOST_BYTES 512u

/* ---- the server --------------------------------------------------------- */

static void on_echo(void *arg, struct conduit_conn *conn, unsigned events)
{
    char buf[64];
    long n;

    (void)arg;
    (void)events;
    while ((n = conduit_conn_read(conn, buf, sizeof buf)) > 0) {
        (void)conduit_conn_write(conn, buf, (size_t)n);
    }
    if (n != CONDUIT_AGAIN) {
        conduit_conn_close(conn);
    }
}

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    (void)arg;
    (void)listener;
    conduit_conn_set_handler(conn, on_echo, NULL, CONDUIT_READ);
}

/* Serves until it is killed. */
static void serve(int ready)
{
    struct conduit_ctx *ctx = NULL;
    struct conduit_listener *listener = NULL;
    uint16_t port;

    if (conduit_unix_new(NULL, NULL, &ctx, NULL) != 0 ||
        conduit_register_tcp(ctx) != 0 ||
        conduit_listen(ctx, "tcp://127.0.0.1:0", NULL, on_accept, NULL,
                       &listener, NULL) != 0) {
        _exit(1);
    }
    port = (uint16_t)strtoul(strrchr(conduit_listener_uri(listener), ':') + 1,
                             NULL, 10);
    if (write(ready, &port, sizeof port) != sizeof port) {
        _exit(2);
    }
    (void)conduit_loop_run(conduit_ctx_loop(ctx));
    _exit(0);
}

/* ---- the client --------------------------------------------------------- */

struct client {
    struct t_env *env;
    struct conduit_conn *conn[MANY];
    unsigned open;
    unsigned failed;
    unsigned answered;
    struct conduit_error err;
};

static void on_answer(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct client *c = arg;
    char byte;
    long n = conduit_conn_read(conn, &byte, 1);

    (void)events;
    if (n == 1) {
        c->answered++;
    } else if (n != CONDUIT_AGAIN) {
        t_fault(c->env, "a connection ended: %ld", n);
        conduit_conn_want(conn, 0);
    }
}

static void on_dialed(void *arg, struct conduit_dial *dial,
                      struct conduit_conn *conn,
                      const struct conduit_error *err)
{
    struct client *c = arg;

    (void)dial;
    if (conn == NULL) {
        c->failed++;
        c->err = *err;
        return;
    }
    c->conn[c->open++] = conn;
    conduit_conn_set_handler(conn, on_answer, c, CONDUIT_READ);
}

static void open_all(struct client *c, uint16_t port)
{
    char uri[64];
    unsigned begun = 0;

    (void)snprintf(uri, sizeof uri, "tcp://127.0.0.1:%u", port);
    while (c->open < MANY) {
        for (; begun < MANY && begun < c->open + AT_ONCE; begun++) {
            assert_int_equal(
                conduit_dial(c->env->ctx, uri, NULL, on_dialed, c, NULL, NULL),
                0);
        }
        t_turn(c->env, 1000);
        if (c->failed != 0) {
            fail_msg("after %u connections: %s", c->open, c->err.text);
        }
    }
}

static void ask_all(struct client *c)
{
    c->answered = 0;
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(conduit_conn_write(c->conn[i], "x", 1), 1);
    }
    T_UNTIL(c->env, c->answered == MANY);
}

static void ten_thousand_connections(void **state)
{
    struct client *c = calloc(1, sizeof *c);
    struct t_env env;
    uint16_t port = 0;
    size_t before;
    int ready[2];
    pid_t child;

    (void)state;
    assert_non_null(c);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        serve(ready[1]);
    }
    assert_int_equal(read(ready[0], &port, sizeof port), sizeof port);
    t_env_init(&env);
    c->env = &env;
    before = env.mem.bytes;
    open_all(c, port);
    t_turns(&env, 10);
    print_message("an idle connection: %zu bytes\n",
                  (env.mem.bytes - before) / MANY);
    ask_all(c);
    ask_all(c);
    t_turns(&env, 10);
    assert_in_range(t_turns_in(&env, 50), 1, 5);
    /* The pool keeps 1 MiB of buffers at the most for all of them. */
    assert_true(env.mem.bytes - before <= MANY * MOST_BYTES + (1u << 21));
    for (unsigned i = 0; i < MANY; i++) {
        conduit_conn_abort(c->conn[i]);
    }
    t_turns(&env, 2);
    t_env_fini(&env);
    free(c);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_connections),
    };

    if (!t_raise_descriptors(MANY + 100)) {
        (void)printf("skipped: needs a limit of %u open files (ulimit -n)\n",
                     MANY + 100);
        return 77;
    }
    return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
