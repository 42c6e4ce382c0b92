/* SPDX-License-Identifier: ISC */
/*
 * The stack in the process is one: a second context that asks for it is told
 * so, until the first is gone.
 */
#include "unix_support.h"

#define URI "tcp+direct://127.0.0.1:80"

static int try_listening(struct t_env *env, struct conduit_error *err)
{
    struct conduit_listener *listener;

    return conduit_listen(env->ctx, URI, NULL, NULL, NULL, &listener, err);
}

static void a_second_context_is_refused(void **state)
{
    struct t_env first;
    struct t_env second;
    struct t_server s;
    struct t_client c;
    struct conduit_error err = {0};

    (void)state;
    t_env_init(&second);
    t_env_init(&first); /* the first of the two to go */
    t_listen(&s, &first, URI, NULL);
    assert_int_equal(try_listening(&second, &err), CONDUIT_ELIMIT);
    assert_int_equal(err.code, CONDUIT_ELIMIT);
    assert_non_null(strstr(err.text, "another context"));
    /* It has all else, and the first has lost nothing. */
    conduit_conn_close(t_dial_now(&first, URI));
    t_dial(&c, &second, URI, NULL);
    T_UNTIL(&second, c.calls != 0);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_ELIMIT);
    t_unlisten(&s);
    t_env_fini(&first);
    t_listen(&s, &second, URI, NULL);
    conduit_conn_close(t_dial_now(&second, URI));
    t_unlisten(&s);
    t_env_fini(&second);
}

static void one_after_the_other(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct t_env env;
        struct t_pair pair;

        t_env_init(&env);
        t_connect(&pair, &env, URI, NULL);
        if (i % 2 == 0) {
            t_disconnect(&pair);
        }
        t_env_fini(&env);
    }
}

/* Ports are chosen at random, of 32,768, and one of them is the listener's. */
static void no_connection_meets_itself(void **state)
{
    struct t_env env;
    struct t_pair pair;

    (void)state;
    t_env_init(&env);
    for (int i = 0; i < 100000; i++) {
        t_connect(&pair, &env, "tcp+direct://127.0.0.1:0", NULL);
        conduit_conn_abort(pair.a.conn);
        conduit_conn_abort(pair.b.conn);
        t_turns(&env, 3);
    }
    t_env_fini(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_context_is_refused),
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(no_connection_meets_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
