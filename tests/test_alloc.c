/* SPDX-License-Identifier: ISC */
/*
 * Memory: none is asked for while bytes move, and wherever it runs out while a
 * connection is made, that is an error and nothing is left behind.
 */
#include "support.h"

#include "chop.h"

static int setup(void **state)
{
    int rc = t_setup(state);
    struct t_env *env = *state;
    struct conduit_chop_settings whole = {.again_percent = 5, .whole = true};

    conduit_chop_set(&whole);
    assert_int_equal(conduit_register_chop(env->ctx), 0);
    return rc;
}

#define ALLOC_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

/* ---- moving bytes ------------------------------------------------------- */

static uint64_t sent;
static uint64_t received;

/* One write by every kind of call in turn. */
static void write_one(struct conduit_conn *conn, unsigned kind, size_t n)
{
    static uint8_t buf[40000];
    struct conduit_seg seg[2] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
    struct conduit_win win;
    long done;

    switch (kind % 4) {
    case 0:
        done = conduit_conn_write(conn, buf, n);
        break;
    case 1:
        done = conduit_conn_writev(conn, seg, 2);
        break;
    case 2:
        done = conduit_conn_lend(conn, buf, n, NULL);
        break;
    default:
        done = conduit_conn_reserve(conn, &win);
        if (done > 0) {
            done = (long)n < done ? (long)n : done;
            conduit_conn_commit(conn, (size_t)done);
        }
        break;
    }
    if (done > 0) {
        sent += (uint64_t)done;
    }
}

static void read_one(struct conduit_conn *conn, unsigned kind)
{
    uint8_t buf[3000];
    struct conduit_win win;
    long got;

    if (kind % 2 == 0) {
        got = conduit_conn_read(conn, buf, sizeof buf);
    } else {
        got = conduit_conn_peek(conn, &win);
        if (got > 0) {
            got = got > 3000 ? 3000 : got;
            conduit_conn_consume(conn, (size_t)got);
        }
    }
    if (got > 0) {
        received += (uint64_t)got;
    }
}

static void exchange(struct t_env *env, struct t_pair *p, unsigned rounds)
{
    uint64_t random = 17;

    for (unsigned i = 0; i < rounds; i++) {
        size_t n = t_range(&random, 1, i % 8 == 0 ? 40000 : 600);

        write_one(p->a.conn, t_random(&random), n);
        t_turns(env, 1);
        for (unsigned j = 0; j < 20; j++) {
            read_one(p->b.conn, t_random(&random));
        }
        t_turns(env, 1);
    }
}

static void no_memory_is_asked_for(struct t_env *env, const char *uri)
{
    struct t_pair p;
    size_t calls;

    sent = received = 0;
    t_connect(&p, env, uri, NULL);
    t_attach(&p.a, env, p.a.conn, 0);
    t_attach(&p.b, env, p.b.conn, 0);
    exchange(env, &p, 200); /* the pool grows */
    calls = env->mem.calls;
    exchange(env, &p, 2000);
    assert_int_equal(env->mem.calls, calls);
    assert_true(received > 1000000);
    t_disconnect(&p);
}

static void mem_moves_bytes_without_memory(void **state)
{
    no_memory_is_asked_for(*state, "mem://alloc");
}

static void tcp_moves_bytes_without_memory(void **state)
{
    T_NEEDS("tcp+socket");
    no_memory_is_asked_for(*state, "tcp://127.0.0.1:0");
}

static void unix_moves_bytes_without_memory(void **state)
{
    struct t_env *env = *state;
    char uri[96];

    T_NEEDS("unix");
    (void)snprintf(uri, sizeof uri, "unix://%s/s", t_dir(env));
    no_memory_is_asked_for(env, uri);
}

static void a_filter_moves_bytes_without_memory(void **state)
{
    no_memory_is_asked_for(*state, "chop+mem://alloc");
}

static void a_filter_over_tcp_moves_bytes_without_memory(void **state)
{
    T_NEEDS("tcp+socket");
    no_memory_is_asked_for(*state, "chop+tcp://127.0.0.1:0");
}

/* Buffers go back: an idle connection keeps none. */
static void idle_connections_keep_no_buffers(void **state)
{
    struct t_env *env = *state;
    struct t_pair p[20];
    bool tcp = t_has_transport("tcp+socket");
    size_t before;

    for (int i = 0; i < 20; i++) {
        t_connect(&p[i], env,
                  tcp && i % 2 == 0 ? "tcp://127.0.0.1:0" : "mem://idle", NULL);
        p[i].a.push = p[i].b.push = true;
        p[i].a.pull = p[i].b.pull = true;
        p[i].a.goal = 0;
    }
    before = env->mem.bytes;
    for (int i = 0; i < 20; i++) {
        p[i].a.goal = p[i].b.goal = 50000;
        t_attach(&p[i].a, env, p[i].a.conn, CONDUIT_READ | CONDUIT_WRITE);
        t_attach(&p[i].b, env, p[i].b.conn, CONDUIT_READ | CONDUIT_WRITE);
    }
    for (int i = 0; i < 20; i++) {
        T_UNTIL(env, p[i].a.received == 50000 && p[i].b.received == 50000);
    }
    t_turns(env, 5);
    /* What the pool keeps for the next ones is of the loop. */
    assert_true(env->mem.bytes <= before + 64 * 17000);
    for (int i = 0; i < 20; i++) {
        t_close(&p[i].a);
        t_close(&p[i].b);
    }
}

/* ---- running out -------------------------------------------------------- */

struct attempt {
    struct t_env env;
    struct conduit_listener *listener;
    struct conduit_conn *accepted;
    struct conduit_conn *dialed;
    unsigned calls;
    struct conduit_error err;
};

static void on_accept(void *arg, struct conduit_listener *listener,
                      struct conduit_conn *conn)
{
    struct attempt *a = arg;

    (void)listener;
    a->accepted = conn;
}

static void on_dialed(void *arg, struct conduit_dial *dial,
                      struct conduit_conn *conn,
                      const struct conduit_error *err)
{
    struct attempt *a = arg;

    (void)dial;
    a->calls++;
    a->dialed = conn;
    if (err != NULL) {
        a->err = *err;
    }
}

/* An error must be there, say so, and be the one of memory. */
static void check_error(const struct conduit_error *err, int code)
{
    assert_int_equal(code, CONDUIT_ENOMEM);
    assert_int_equal(err->code, CONDUIT_ENOMEM);
    assert_non_null(err->layer);
    assert_true(strlen(err->text) > 0);
}

static void talk(struct attempt *a)
{
    long n = CONDUIT_AGAIN;
    char c;

    if (a->dialed == NULL || a->accepted == NULL) {
        return;
    }
    for (int i = 0; i < 200 && n == CONDUIT_AGAIN; i++) {
        n = conduit_conn_write(a->dialed, "x", 1);
        t_turns(&a->env, 1);
    }
    if (n != 1) {
        assert_int_equal(n, CONDUIT_ENOMEM);
        return;
    }
    n = CONDUIT_AGAIN;
    for (int i = 0; i < 200 && n == CONDUIT_AGAIN; i++) {
        struct conduit_win win;

        n = i % 2 == 0 ? conduit_conn_peek(a->accepted, &win)
                       : conduit_conn_read(a->accepted, &c, 1);
        t_turns(&a->env, 1);
    }
    assert_true(n == 1 || n == CONDUIT_ENOMEM);
}

static void try_connection(struct attempt *a, const char *uri)
{
    struct conduit_error err = {0};
    int code = conduit_listen(a->env.ctx, uri, NULL, on_accept, a, &a->listener,
                              &err);

    if (code != 0) {
        check_error(&err, code);
        return;
    }
    code = conduit_dial(a->env.ctx, conduit_listener_uri(a->listener), NULL,
                        on_dialed, a, NULL, &err);
    if (code != 0) {
        check_error(&err, code);
        return;
    }
    T_UNTIL(&a->env, a->calls == 1);
    if (a->dialed == NULL && a->err.code != CONDUIT_ERESET) {
        check_error(&a->err, a->err.code); /* ERESET: it was the listener's */
    }
    for (int i = 0; i < 20 && a->accepted == NULL; i++) {
        t_turn(&a->env, 1);
    }
    talk(a);
}

/* Fails the n-th request for memory; false when there were not so many. */
static bool fail_at(const char *uri, size_t n)
{
    struct attempt a;
    struct conduit_error err = {0};
    bool failed;
    int code;

    memset(&a, 0, sizeof a);
    a.env.mem.fail_at = n;
    code = t_env_try(&a.env, &err);
    if (code == 0) {
        code = conduit_register_chop(a.env.ctx);
    }
    if (code != 0) {
        assert_int_equal(code, CONDUIT_ENOMEM);
    } else {
        try_connection(&a, uri);
    }
    if (a.env.ctx != NULL) {
        conduit_listener_close(a.listener);
        conduit_conn_close(a.dialed);
        conduit_conn_close(a.accepted);
        a.env.turning = true;
        conduit_loop_finish(a.env.loop);
        a.env.turning = false;
    }
    failed = a.env.mem.failed;
    t_env_fini(&a.env);
    return failed;
}

static void fail_everywhere(const char *uri)
{
    size_t n = 1;

    while (fail_at(uri, n)) {
        n++;
        assert_true(n < 200);
    }
    assert_true(n > 4);
}

static void mem_runs_out_of_memory(void **state)
{
    (void)state;
    fail_everywhere("mem://alloc");
}

static void tcp_runs_out_of_memory(void **state)
{
    (void)state;
    T_NEEDS("tcp+socket");
    fail_everywhere("tcp://127.0.0.1:0");
}

static void names_run_out_of_memory(void **state)
{
    (void)state;
    T_NEEDS("tcp+socket");
    fail_everywhere("tcp://localhost:0");
}

static void unix_runs_out_of_memory(void **state)
{
    struct t_env *env = *state;
    char uri[96];

    T_NEEDS("unix");
    (void)snprintf(uri, sizeof uri, "unix://%s/s", t_dir(env));
    fail_everywhere(uri);
}

static void filters_run_out_of_memory(void **state)
{
    (void)state;
    fail_everywhere("chop+chop+mem://alloc");
}

static void filters_over_tcp_run_out_of_memory(void **state)
{
    (void)state;
    T_NEEDS("tcp+socket");
    fail_everywhere("chop+tcp://127.0.0.1:0");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        ALLOC_TEST(mem_moves_bytes_without_memory),
        ALLOC_TEST(tcp_moves_bytes_without_memory),
        ALLOC_TEST(unix_moves_bytes_without_memory),
        ALLOC_TEST(a_filter_moves_bytes_without_memory),
        ALLOC_TEST(a_filter_over_tcp_moves_bytes_without_memory),
        ALLOC_TEST(idle_connections_keep_no_buffers),
        ALLOC_TEST(mem_runs_out_of_memory),
        ALLOC_TEST(tcp_runs_out_of_memory),
        ALLOC_TEST(names_run_out_of_memory),
        ALLOC_TEST(unix_runs_out_of_memory),
        ALLOC_TEST(filters_run_out_of_memory),
        ALLOC_TEST(filters_over_tcp_run_out_of_memory),
    };

    return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
