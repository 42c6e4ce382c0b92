/* SPDX-License-Identifier: ISC */
/*
 * Peers whose handshake fails, and who stay instead of hearing of it, hold no
 * more connections of a server than peers who say nothing.
 */
#include "support.h"

#include "core.h"
#include "test_identity.h"
#include "unix_support.h"

#include <unistd.h>

#define PEERS 20
#define OPENING_MAX 4u

static unsigned count_failed(const struct t_env *env)
{
    unsigned n = 0;

    for (const char *at = env->log; (at = strstr(at, "did not open")) != NULL;
         at++) {
        n++;
    }
    return n;
}

/* So many connect at once and send what is no TLS. */
static void connect_all(const struct t_server *s, int fds[PEERS])
{
    const char *uri = conduit_listener_uri(s->listener);
    uint16_t port = (uint16_t)strtoul(strrchr(uri, ':') + 1, NULL, 10);

    for (int i = 0; i < PEERS; i++) {
        fds[i] = t_raw_connect("127.0.0.1", port);
        assert_int_equal(write(fds[i], "GET / HTTP", 10), 10);
    }
}

static void flood(struct t_env *env, const char *engine)
{
    struct conduit_options options = {.max_opening = OPENING_MAX};
    struct conduit_error err = {0};
    struct t_server s;
    int fds[PEERS];
    int gone = 0;

    env->log_size = 0;
    env->log[0] = '\0';
    assert_int_equal(
        t_identity_tls(env->ctx, engine, false, &options.tls, &err), 0);
    t_listen(&s, env, "tls+tcp://127.0.0.1:0", &options);
    connect_all(&s, fds);
    T_UNTIL(env, env->loop->closing == OPENING_MAX);
    for (int i = 0; i < 10; i++) { /* nobody else is let in */
        t_turns(env, 1);
        assert_in_range(env->loop->closing, 0, OPENING_MAX);
    }
    while (count_failed(env) < PEERS) { /* until one goes */
        unsigned before = count_failed(env);

        (void)close(fds[gone++]);
        T_UNTIL(env, count_failed(env) > before);
        assert_in_range(env->loop->closing, 0, OPENING_MAX);
    }
    assert_int_equal(s.tail, 0);
    t_unlisten(&s); /* before the last ones are gone */
    while (gone < PEERS) {
        (void)close(fds[gone++]);
    }
    conduit_loop_finish(env->loop);
    conduit_tls_unref(options.tls);
}

static void openssl(void **state)
{
    flood(*state, "openssl");
}

static void bearssl(void **state)
{
    flood(*state, "bearssl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(openssl),
        T_TEST(bearssl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
