/* SPDX-License-Identifier: ISC */
/*
 * What DHCP does in minutes, against dnsmasq: renewing, another server that
 * takes over, and the end of a lease. The stack's clock is put forward; that of
 * dnsmasq, whose leases are of two minutes at least, is not. And the longest
 * name that it may be told.
 */
#include "test_direct_ahead.h"
#include "unix_net.h"
#include "unix_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define NET "direct,tap=tap0,dhcp"
/* 63 bytes. */
#define LONGEST \
    "a-name-as-long-as-one-may-be-of-twenty-and-twenty-and-23-bytes1"

/* lwIP counts leases in steps of a minute. */
static void pass_a_minute(struct t_env *env)
{
    ahead += 61 * SECOND;
    (void)t_turns_in(env, 50);
}

/* ---- dnsmasq ------------------------------------------------------------ */

static pid_t server;

static void run_dnsmasq(const char *log, const char *range)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
        _exit(1);
    }
    (void)execlp("dnsmasq", "dnsmasq", "--keep-in-foreground",
                 "--conf-file=/dev/null", "--user=root",
                 "--pid-file=", "--port=0", "--no-ping", "--leasefile-ro",
                 "--dhcp-authoritative", "--interface=tap0",
                 "--bind-interfaces", "--log-facility=-", range, (char *)NULL);
    _exit(1);
}

/* How often the log says so. */
static unsigned logged(struct t_env *env, const char *what)
{
    static char text[65536];
    char path[128];
    unsigned count = 0;
    size_t n;
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/log", t_dir(env));
    f = fopen(path, "r");
    if (f == NULL) {
        return 0;
    }
    n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        count++;
    }
    return count;
}

static void serve(struct t_env *env, const char *address)
{
    char range[96];
    char log[128];

    (void)snprintf(log, sizeof log, "%s/log", t_dir(env));
    (void)snprintf(range, sizeof range, "--dhcp-range=%s,%s,2m", address,
                   address);
    (void)unlink(log);
    server = fork();
    if (server == 0) {
        run_dnsmasq(log, range);
    }
    assert_true(server > 0);
    T_UNTIL_(env, logged(env, "started, version") > 0, 10);
}

static void stop_serving(void)
{
    if (server > 0) {
        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
        server = 0;
    }
}

/* ---- a stack, and a service at its address ------------------------------ */

static int setup(void **state)
{
    (void)t_setup(state);
    take_clock(*state);
    return 0;
}

static int teardown(void **state)
{
    stop_serving();
    return t_teardown(state);
}

/* Whether the service answers there to the system's stack. */
static bool answers(struct t_env *env, const char *address)
{
    const struct conduit_options options = {.attempt_ms = 500};
    struct t_client c;
    char uri[64];

    (void)snprintf(uri, sizeof uri, "tcp+socket://%s:80", address);
    t_dial(&c, env, uri, &options);
    T_UNTIL(env, c.calls != 0);
    if (c.conn != NULL) {
        conduit_conn_abort(c.conn);
    }
    return c.conn != NULL;
}

static void listen_with_lease(struct t_server *s, struct t_env *env)
{
    serve(env, "10.9.0.50");
    t_listen(s, env, "tcp+direct://0.0.0.0:80", NULL);
    T_UNTIL_(env, logged(env, "DHCPACK(tap0) 10.9.0.50") == 1, 10);
    T_UNTIL(env, strstr(env->log, "address 10.9.0.50") != NULL);
    assert_true(answers(env, "10.9.0.50"));
}

static void a_lease_is_renewed(void **state)
{
    struct t_env *env = *state;
    struct t_server s;

    listen_with_lease(&s, env);
    for (unsigned i = 2; i <= 4; i++) {
        pass_a_minute(env);
        T_UNTIL_(env, logged(env, "DHCPACK(tap0) 10.9.0.50") >= i, 10);
        assert_true(answers(env, "10.9.0.50"));
    }
    assert_int_equal(logged(env, "DHCPDISCOVER"), 1);
    t_unlisten(&s);
}

static void a_lease_ends_where_nobody_renews_it(void **state)
{
    struct t_env *env = *state;
    struct t_server s;

    listen_with_lease(&s, env);
    stop_serving();
    pass_a_minute(env);
    assert_true(answers(env, "10.9.0.50"));
    pass_a_minute(env);
    pass_a_minute(env);
    T_UNTIL(env, strstr(env->log, "address 0.0.0.0") != NULL);
    assert_false(answers(env, "10.9.0.50"));
    /* Somebody comes in the end. */
    serve(env, "10.9.0.60");
    T_UNTIL(env, strstr(env->log, "address 10.9.0.60") != NULL);
    assert_true(answers(env, "10.9.0.60"));
    t_unlisten(&s);
}

static void a_server_may_refuse_to_renew(void **state)
{
    struct t_env *env = *state;
    struct t_server s;

    listen_with_lease(&s, env);
    stop_serving();
    serve(env, "10.9.0.60");
    pass_a_minute(env);
    T_UNTIL_(env, logged(env, "DHCPNAK(tap0) 10.9.0.50") > 0, 10);
    T_UNTIL(env, strstr(env->log, "address 10.9.0.60") != NULL);
    assert_true(answers(env, "10.9.0.60"));
    assert_false(answers(env, "10.9.0.50"));
    t_unlisten(&s);
}

static void the_longest_name_is_told(void **state)
{
    struct t_env *env = *state;
    struct t_server s;

    assert_int_equal(strlen(LONGEST), 63);
    assert_int_equal(
        conduit_ctx_set_net(env->ctx, NET ",hostname=" LONGEST, NULL), 0);
    listen_with_lease(&s, env);
    assert_int_equal(logged(env, " " LONGEST "\n"), 1);
    pass_a_minute(env); /* when renewing, too */
    T_UNTIL_(env, logged(env, " " LONGEST "\n") >= 2, 10);
    assert_true(answers(env, "10.9.0.50"));
    t_unlisten(&s);
}

static bool have_dnsmasq(void)
{
    /* NOLINTNEXTLINE: our own words */
    return system("command -v dnsmasq >/dev/null") == 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lease_is_renewed),
        TEST(a_lease_ends_where_nobody_renews_it),
        TEST(a_server_may_refuse_to_renew),
        TEST(the_longest_name_is_told),
    };
    const struct t_net_tap tap = {.ip4 = "10.9.0.1", .prefix4 = 24};

    if (!have_dnsmasq()) {
        (void)puts("skipped: dnsmasq is not installed");
        return 77;
    }
    if (!t_net_enter()) {
        return 77;
    }
    t_net_tap("tap0", &tap);
    (void)setenv("CONDUIT_NET", NET, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
