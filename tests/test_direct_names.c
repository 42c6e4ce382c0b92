/* SPDX-License-Identifier: ISC */
/*
 * Names over the stack in the process, asked of dnsmasq: more of them at once
 * than lwIP has room for, in a stack, and what it kept of them, in the next
 * one. A transport of the test's own refuses, so that a dial is a look-up.
 */
#include "test_direct_ahead.h"
#include "unix_net.h"
#include "unix_support.h"

#include <conduit/transport.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 100u /* look-ups at once */
#define SILENT_PORT 5300

#define NET "direct,tap=tap0,ip=10.9.0.2/24"

/* lwIP's sockets of UDP, of which each question that is open has one. */
extern struct udp_pcb *udp_pcbs;

/* ---- dnsmasq ------------------------------------------------------------ */

/* The names below many.test, which have the address `many`. Those below
 * silent.test nobody answers for, unless `silent` is their address. */
struct names {
    const char *many;
    const char *silent;
};

static pid_t server;
static int nobody = -1; /* who hears of the silent ones */

static void run_dnsmasq(int log, const struct names *names)
{
    char many[64];
    char silent[64];

    (void)snprintf(many, sizeof many, "--address=/many.test/%s", names->many);
    if (names->silent == NULL) {
        (void)snprintf(silent, sizeof silent,
                       "--server=/silent.test/10.9.0.1#%d", SILENT_PORT);
    } else {
        (void)snprintf(silent, sizeof silent, "--address=/silent.test/%s",
                       names->silent);
    }
    if (dup2(log, STDERR_FILENO) >= 0) {
        (void)execlp("dnsmasq", "dnsmasq", "--keep-in-foreground",
                     "--conf-file=/dev/null", "--user=root",
                     "--pid-file=", "--no-hosts", "--no-resolv",
                     "--bind-interfaces", "--listen-address=10.9.0.1",
                     "--local=/test/", "--local-ttl=600", "--log-facility=-",
                     many, silent, (char *)NULL);
    }
    _exit(1);
}

static void serve(const struct names *names)
{
    char text[4096] = "";
    size_t size = 0;
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    server = fork();
    if (server == 0) {
        run_dnsmasq(ends[1], names);
    }
    assert_true(server > 0);
    (void)close(ends[1]);
    while (strstr(text, "started, version") == NULL) {
        ssize_t n = read(ends[0], text + size, sizeof text - 1 - size);

        if (n <= 0) {
            fail_msg("dnsmasq: %s", text);
        }
        size += (size_t)n;
    }
    (void)close(ends[0]);
}

static void stop_serving(void)
{
    if (server > 0) {
        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
        server = 0;
    }
}

/* ---- a transport that refuses ------------------------------------------- */

static int note_check(struct conduit_ctx *ctx, struct conduit_uri *uri,
                      struct conduit_error *err)
{
    return conduit_uri_check_host(ctx, uri, err);
}

static int note_dial(struct conduit_ctx *ctx, const struct conduit_endpoint *ep,
                     const struct conduit_options *options,
                     struct conduit_conn **out, struct conduit_error *err)
{
    (void)ctx;
    (void)ep;
    (void)options;
    (void)out;
    return conduit_error_set(err, CONDUIT_EREFUSED, "note", 0, "refused");
}

static const struct conduit_transport note = {
    .name = "note",
    .summary = "refuses",
    .ip = true,
    .check = note_check,
    .dial = note_dial,
};

/* ---- look-ups ----------------------------------------------------------- */

static void begin(struct t_env *env, const char *net)
{
    (void)setenv("CONDUIT_NET", net, 1);
    t_env_init(env);
    assert_int_equal(conduit_register_transport(env->ctx, &note), 0);
    take_clock(env);
}

static void look_up(struct t_client *c, struct t_env *env, const char *name)
{
    char uri[80];

    (void)snprintf(uri, sizeof uri, "note://%s:1", name);
    t_dial(c, env, uri, NULL);
}

static void look_up_many(struct t_client *c, struct t_env *env,
                         const char *domain)
{
    char name[64];

    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "n%u.%s", i, domain);
        look_up(&c[i], env, name);
    }
}

static bool answered(const struct t_client *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (c[i].dial != NULL && c[i].calls == 0) {
            return false;
        }
    }
    return true;
}

static void check_found(const struct t_client *c, const char *address)
{
    if (c->err.code != CONDUIT_EREFUSED) {
        fail_msg("%s: %d %s", address, c->err.code, c->err.text);
    }
    assert_true(c->attempts > 0);
    if (strstr(c->attempt[0].endpoint, address) == NULL) {
        fail_msg("%s, not %s", c->attempt[0].endpoint, address);
    }
}

static void check_lookup(struct t_env *env, const char *name,
                         const char *address)
{
    struct t_client c;

    look_up(&c, env, name);
    T_UNTIL(env, c.calls != 0);
    check_found(&c, address);
}

static void call_off(struct t_client *c)
{
    if (c->calls == 0) {
        conduit_dial_cancel(c->dial);
        c->dial = NULL;
    }
}

/* ---- many at once ------------------------------------------------------- */

static const struct names usual = {.many = "10.9.0.1"};

static struct t_client many[MANY];

static int setup(void **state)
{
    static struct t_env env;

    begin(&env, NET ",dns=10.9.0.1");
    serve(&usual);
    *state = &env;
    return 0;
}

static int teardown(void **state)
{
    stop_serving();
    t_env_fini(*state);
    return 0;
}

static void of_different_names(void **state)
{
    look_up_many(many, *state, "many.test");
    T_UNTIL(*state, answered(many, MANY));
    for (unsigned i = 0; i < MANY; i++) {
        check_found(&many[i], "10.9.0.1");
    }
}

static void of_the_same_name(void **state)
{
    for (unsigned i = 0; i < MANY; i++) {
        look_up(&many[i], *state, "one.many.test");
    }
    T_UNTIL(*state, answered(many, MANY));
    for (unsigned i = 0; i < MANY; i++) {
        check_found(&many[i], "10.9.0.1");
    }
}

/* Before they began, while some are asked and others wait, and later. */
static void of_which_some_are_called_off(void **state)
{
    look_up_many(many, *state, "many.test");
    for (unsigned i = 0; i < MANY; i += 4) {
        call_off(&many[i]);
    }
    t_turns(*state, 2);
    for (unsigned i = 1; i < MANY; i += 4) {
        call_off(&many[i]);
    }
    T_UNTIL(*state, answered(many, 4));
    for (unsigned i = 2; i < MANY; i += 4) {
        call_off(&many[i]);
    }
    T_UNTIL(*state, answered(many, MANY));
    for (unsigned i = 0; i < MANY; i++) {
        if (many[i].dial != NULL || many[i].calls != 0) {
            check_found(&many[i], "10.9.0.1");
        }
    }
    assert_int_not_equal(many[3].calls, 0);
    assert_int_not_equal(many[MANY - 1].calls, 0);
    check_lookup(*state, "another.many.test", "10.9.0.1");
}

/* Seconds after which a question has been asked in vain: 1, 1, 2 and 3, and
 * that of the timer. */
#define GIVEN_UP 8u

/* Turns, and a second of the stack's clock for each, until it is so. */
#define T_SECONDS(env, cond)                      \
    for (unsigned i_ = 0; !t_holds(cond); i_++) { \
        assert_true(i_ < 1000);                   \
        ahead += SECOND;                          \
        (void)t_turns_in(env, 5);                 \
    }

/* Nobody asks these any more, but lwIP still does, until it gives up. */
static void of_which_the_first_are_silent(void **state)
{
    struct t_client last;

    look_up_many(many, *state, "silent.test");
    t_turns(*state, 5);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(many[i].calls, 0);
        call_off(&many[i]);
    }
    look_up(&last, *state, "last.many.test");
    t_turns(*state, 5);
    assert_int_equal(last.calls, 0);
    for (unsigned i = 0; i < GIVEN_UP; i++) {
        ahead += SECOND;
        (void)t_turns_in(*state, 5);
    }
    /* the answer has the time that it takes */
    T_UNTIL(*state, last.calls != 0);
    check_found(&last, "10.9.0.1");
}

/* They end one after the other, and each without an answer. */
static void of_which_none_is_answered(void **state)
{
    const struct conduit_options options = {.dial_ms = 1000000};

    for (unsigned i = 0; i < MANY; i++) {
        char uri[64];

        (void)snprintf(uri, sizeof uri, "note://n%u.silent.test:1", i);
        t_dial(&many[i], *state, uri, &options);
    }
    T_SECONDS(*state, answered(many, MANY));
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(many[i].err.code, CONDUIT_ENAME);
    }
}

/* ---- one stack after the other ------------------------------------------ */

static void answers_go_with_the_stack(void **state)
{
    const struct names other = {.many = "10.9.0.7"};
    struct t_client c;
    struct t_env env;

    (void)state;
    begin(&env, NET ",dns=10.9.0.1");
    serve(&usual);
    check_lookup(&env, "a.many.test", "10.9.0.1");
    stop_serving();
    check_lookup(&env, "a.many.test", "10.9.0.1"); /* it is kept */
    t_env_fini(&env);

    begin(&env, NET ",dns=10.9.0.1");
    serve(&other);
    check_lookup(&env, "a.many.test", "10.9.0.7");
    t_env_fini(&env);

    begin(&env, NET);
    look_up(&c, &env, "a.many.test");
    T_UNTIL(&env, c.calls != 0);
    assert_int_equal(c.err.code, CONDUIT_ENAME);
    t_env_fini(&env);
    stop_serving();
}

static void questions_go_with_the_stack(void **state)
{
    const struct names other = {.many = "10.9.0.1", .silent = "10.9.0.7"};
    struct t_env env;

    (void)state;
    begin(&env, NET ",dns=10.9.0.1");
    serve(&usual);
    check_lookup(&env, "a.many.test", "10.9.0.1");
    look_up_many(many, &env, "silent.test");
    t_turns(&env, 5);
    assert_non_null(udp_pcbs);
    t_env_fini(&env);
    assert_null(udp_pcbs);
    stop_serving();

    /* The same question, of which nothing is left, and others. */
    begin(&env, NET ",dns=10.9.0.1");
    serve(&other);
    check_lookup(&env, "n0.silent.test", "10.9.0.7");
    look_up_many(many, &env, "silent.test");
    T_UNTIL(&env, answered(many, MANY));
    for (unsigned i = 0; i < MANY; i++) {
        check_found(&many[i], "10.9.0.7");
    }
    t_env_fini(&env);
    assert_null(udp_pcbs);
    stop_serving();
}

static int setup_none(void **state)
{
    *state = NULL;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    stop_serving();
    return 0;
}

static bool have_dnsmasq(void)
{
    /* NOLINTNEXTLINE: our own words */
    return system("command -v dnsmasq >/dev/null") == 0;
}

static void open_nobody(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(SILENT_PORT)};

    nobody = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(nobody >= 0);
    assert_int_equal(inet_pton(AF_INET, "10.9.0.1", &address.sin_addr), 1);
    assert_int_equal(bind(nobody, (struct sockaddr *)&address, sizeof address),
                     0);
}

#define MANY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_none, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MANY_TEST(of_different_names),
        MANY_TEST(of_the_same_name),
        MANY_TEST(of_which_some_are_called_off),
        MANY_TEST(of_which_the_first_are_silent),
        MANY_TEST(of_which_none_is_answered),
        TEST(answers_go_with_the_stack),
        TEST(questions_go_with_the_stack),
    };
    const struct t_net_tap tap = {.ip4 = "10.9.0.1", .prefix4 = 24};

    if (!have_dnsmasq()) {
        (void)puts("skipped: dnsmasq is not installed");
        return 77;
    }
    if (!t_net_for_direct(NET, &tap)) {
        return 77;
    }
    open_nobody();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
