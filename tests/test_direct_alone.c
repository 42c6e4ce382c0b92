/* SPDX-License-Identifier: ISC */
/*
 * The stack in the process without a device: there is no way to anybody else,
 * and who asks for one is told so at once, by either version of IP.
 */
#include "unix_support.h"

static void is_unreachable(struct t_env *env, const char *uri)
{
    struct t_client c;

    t_dial(&c, env, uri, NULL);
    T_UNTIL(env, c.calls != 0);
    assert_null(c.conn);
    if (c.err.code != CONDUIT_EUNREACHABLE) {
        fail_msg("%s: %s", uri, c.err.text);
    }
    assert_non_null(strstr(c.err.text, "no route to the peer"));
}

static void nobody_else_is_reached(void **state)
{
    struct t_env *env = *state;

    is_unreachable(env, "tcp+direct://10.0.0.1:80");
    is_unreachable(env, "tcp+direct://[fd00::1]:80");
    is_unreachable(env, "tcp+direct://[2001:db8::1]:80");
    is_unreachable(env, "tcp+direct://[fe80::1]:80");
    is_unreachable(env, "tcp+direct://[ff02::1]:80");
}

static void it_reaches_itself(void **state)
{
    static const char *const uris[] = {"tcp+direct://127.0.0.1:0",
                                       "tcp+direct://[::1]:0"};

    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        struct t_pair pair;

        t_connect(&pair, *state, uris[i], NULL);
        t_disconnect(&pair);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T_TEST(nobody_else_is_reached),
        T_TEST(it_reaches_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
