/* SPDX-License-Identifier: ISC */
/*
 * Dialling auto://: what is tried, in which order, who wins, and what is kept
 * of the others.
 */
#include "test_identity.h"
#include "unix_support.h"

#include "core.h"
#include "vchan_unix.h"

#include <conduit/tls.h>

#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    int rc = t_setup(state);

    return rc != 0 ? rc : setenv("CONDUIT_RUNTIME_DIR", t_dir(*state), 1);
}

#define AUTO_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

/* ---- what is to be tried ------------------------------------------------ */

struct candidates {
    struct conduit_resolve resolve;
    char text[512]; /* endpoints, joined; or an error's code */
    unsigned calls;
};

static void found(struct conduit_resolve *r, struct cdt_endpoints *list,
                  const struct conduit_error *err)
{
    struct candidates *c = CDT_CONTAINER(r, struct candidates, resolve);
    size_t len = 0;

    c->calls++;
    if (err != NULL) {
        cdt_append(c->text, sizeof c->text, &len, conduit_code_name(err->code));
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        char one[192];

        cdt_endpoint_text(&list->items[i], one, sizeof one);
        cdt_append(c->text, sizeof c->text, &len, i > 0 ? ", " : "");
        cdt_append(c->text, sizeof c->text, &len, one);
    }
    cdt_endpoints_fini(r->ctx, list);
}

static void check_candidates(struct t_env *env, const char *uri,
                             const char *wanted)
{
    struct candidates c = {.resolve = {.ctx = env->ctx, .done = found}};
    struct conduit_uri *parsed;

    assert_int_equal(conduit_uri_parse(env->ctx, uri, &parsed, NULL), 0);
    c.resolve.uri = parsed;
    cdt_resolve_start(&c.resolve);
    assert_int_equal(c.calls, 1);
    assert_string_equal(c.text, wanted);
    conduit_uri_free(env->ctx, parsed);
}

static void add_host(struct t_env *env, const char *name, const char *address)
{
    assert_int_equal(conduit_resolver_add_host(env->ctx, name, address, NULL),
                     0);
}

/* Addresses for documentation are nobody's. */
static void what_is_here_comes_before_tcp(void **state)
{
    struct t_env *env = *state;

    check_candidates(env, "auto://127.0.0.1:80",
                     "vchan:auto.80, unix:auto.80, tcp+socket 127.0.0.1:80");
    check_candidates(env, "auto://127.9.9.9:80",
                     "vchan:auto.80, unix:auto.80, tcp+socket 127.9.9.9:80");
    check_candidates(env, "auto://[::1]:80",
                     "vchan:auto.80, unix:auto.80, tcp+socket [::1]:80");
    check_candidates(env, "auto://[::ffff:127.0.0.1]:80",
                     "vchan:auto.80, unix:auto.80, "
                     "tcp+socket [::ffff:127.0.0.1]:80");
    check_candidates(env, "tls+auto://localhost:65535",
                     "vchan:auto.65535, unix:auto.65535, "
                     "tcp+socket [::1]:65535, tcp+socket 127.0.0.1:65535");
    check_candidates(env, "http+auto://127.0.0.1/",
                     "vchan:auto.80, unix:auto.80, tcp+socket 127.0.0.1:80");
    check_candidates(env, "auto://name", "vchan:name, unix:name");
    check_candidates(env, "http+auto://localhost/x",
                     "vchan:localhost, unix:localhost");
}

static void other_machines_have_tcp_alone(void **state)
{
    struct t_env *env = *state;

    check_candidates(env, "auto://192.0.2.1:80", "tcp+socket 192.0.2.1:80");
    check_candidates(env, "auto://[2001:db8::1]:80",
                     "tcp+socket [2001:db8::1]:80");
    check_candidates(env, "auto://[::ffff:192.0.2.1]:80",
                     "tcp+socket [::ffff:192.0.2.1]:80");
    check_candidates(env, "auto://nobody.test:80", "ENAME");
    check_candidates(env, "auto://:80", "EURI");
}

/* Of a host's addresses one that is here is enough, and all keep their order.
 */
static void the_table_of_hosts_counts(void **state)
{
    struct t_env *env = *state;

    add_host(env, "far.test", "192.0.2.1");
    add_host(env, "far.test", "2001:db8::1");
    add_host(env, "both.test", "2001:db8::1");
    add_host(env, "both.test", "192.0.2.1");
    add_host(env, "both.test", "127.0.0.1");
    check_candidates(env, "auto://far.test:8",
                     "tcp+socket 192.0.2.1:8, tcp+socket [2001:db8::1]:8");
    check_candidates(env, "auto://both.test:8",
                     "vchan:auto.8, unix:auto.8, tcp+socket [2001:db8::1]:8, "
                     "tcp+socket 192.0.2.1:8, tcp+socket 127.0.0.1:8");
}

static void answer_two(struct conduit_resolver_source *source,
                       struct conduit_lookup *lookup, const char *host,
                       void **handle)
{
    struct conduit_addr far = {.family = 4, .ip = {192, 0, 2, 1}};
    struct conduit_addr here = {.family = 4, .ip = {127, 0, 0, 1}};

    (void)source;
    (void)host;
    (void)handle;
    (void)conduit_lookup_add(lookup, &far);
    (void)conduit_lookup_add(lookup, &here);
    conduit_lookup_done(lookup, 0, 0);
}

static void sources_of_names_count(void **state)
{
    struct t_env *env = *state;
    static struct conduit_resolver_source source = {.name = "two",
                                                    .start = answer_two};

    conduit_resolver_add_source(env->ctx, &source);
    check_candidates(env, "auto://dns.test:8",
                     "vchan:auto.8, unix:auto.8, tcp+socket 192.0.2.1:8, "
                     "tcp+socket 127.0.0.1:8");
}

/* A rule changes where, from auto and to auto; what is a name is no host. */
static void rules_count(void **state)
{
    static const char *const rules[][2] = {
        {"tcp.test", "tcp://127.0.0.1:9"}, {"port.test", "auto://127.0.0.1:9"},
        {"name.test", "auto://service"},   {"unix.test", "unix:///run/x"},
        {"service", "unix:///run/y"},
    };
    struct t_env *env = *state;

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        assert_int_equal(conduit_resolver_add_rewrite(env->ctx, rules[i][0],
                                                      rules[i][1], NULL),
                         0);
    }
    check_candidates(env, "auto://a.tcp.test:8", "tcp+socket 127.0.0.1:9");
    check_candidates(env, "auto://a.port.test:8",
                     "vchan:auto.9, unix:auto.9, tcp+socket 127.0.0.1:9");
    check_candidates(env, "tcp://port.test:8",
                     "vchan:auto.9, unix:auto.9, tcp+socket 127.0.0.1:9");
    check_candidates(env, "tcp://name.test:8", "vchan:service, unix:service");
    check_candidates(env, "auto://unix.test:8", "unix:/run/x");
    check_candidates(env, "auto://service", "vchan:service, unix:service");
}

/* ---- who wins ----------------------------------------------------------- */

static uint16_t port_of(const struct t_server *s)
{
    const char *colon = strrchr(conduit_listener_uri(s->listener), ':');

    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

/* Dials until it is over. However slow the machine is, nothing is tried before
 * what comes first has failed, unless a test says so. */
static void dial(struct t_client *c, struct t_env *env, const char *uri,
                 const struct conduit_options *options)
{
    struct conduit_options all = {0};

    if (options != NULL) {
        all = *options;
    }
    if (all.stagger_ms == 0) {
        all.stagger_ms = 60000;
    }
    t_dial(c, env, uri, &all);
    T_UNTIL(env, c->calls != 0);
}

static void dial_port(struct t_client *c, struct t_env *env, uint16_t port,
                      const struct conduit_options *options)
{
    char uri[64];

    (void)snprintf(uri, sizeof uri, "auto://127.0.0.1:%u", port);
    dial(c, env, uri, options);
}

static void check_layers(const struct t_client *c, const char *wanted)
{
    char layers[64];

    if (c->conn == NULL) {
        fail_msg("%s", c->err.text);
    }
    assert_string_equal(conduit_conn_layers(c->conn, layers, sizeof layers),
                        wanted);
}

/* Attempt i: where it went, how it ended, and what was said of it. */
static void check_attempt(const struct t_client *c, size_t i, const char *where,
                          int code, const char *says)
{
    const struct conduit_attempt *a = &c->attempt[i];

    assert_in_range(i + 1, 1, c->attempts);
    if (strncmp(a->endpoint, where, strlen(where)) != 0 ||
        a->error.code != code || strstr(a->error.text, says) == NULL) {
        fail_msg("attempt %zu: %s, %s", i, a->endpoint, a->error.text);
    }
    assert_true(i == 0 || a->start_us >= c->attempt[i - 1].start_us);
}

static void shared_memory_wins(void **state)
{
    static const char *const uris[] = {"auto://127.0.0.1:0", "auto://service",
                                       "auto://[::1]:0"};
    struct t_env *env = *state;
    struct t_server s;
    struct t_client c;

    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        if (strchr(uris[i], '[') != NULL && !t_have_ipv6()) {
            continue;
        }
        t_listen(&s, env, uris[i], NULL);
        dial(&c, env, conduit_listener_uri(s.listener), NULL);
        check_layers(&c, "vchan");
        assert_int_equal(c.attempts, 1);
        check_attempt(&c, 0, "vchan:", 0, "");
        conduit_conn_abort(c.conn);
        t_unlisten(&s);
    }
}

static void a_user_without_memory_gets_the_socket(void **state)
{
    static const char *const uris[] = {"auto://127.0.0.1:0", "auto://service"};
    struct conduit_options options = {.ring_bytes_per_user = 4096};
    struct t_env *env = *state;
    struct t_server s;
    struct t_client c;

    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        t_listen(&s, env, uris[i], &options);
        dial(&c, env, conduit_listener_uri(s.listener), NULL);
        check_layers(&c, "unix");
        assert_int_equal(c.attempts, 2);
        check_attempt(&c, 0, "vchan:", CONDUIT_ELIMIT, "memory");
        check_attempt(&c, 1, "unix:", 0, "");
        conduit_conn_abort(c.conn);
        t_unlisten(&s);
    }
}

static void nothing_registered_leaves_tcp(void **state)
{
    struct t_env *env = *state;
    struct t_client c;
    uint16_t port = 0;
    int fd = t_raw_listen("127.0.0.1", &port, 4);
    char name[32];

    (void)snprintf(name, sizeof name, "auto.%u", port);
    dial_port(&c, env, port, NULL);
    check_layers(&c, "tcp+socket");
    assert_int_equal(c.attempts, 3);
    for (size_t i = 0; i < 2; i++) {
        check_attempt(&c, i, i == 0 ? "vchan:auto." : "unix:auto.",
                      CONDUIT_EREFUSED, "nobody has registered");
        assert_non_null(strstr(c.attempt[i].error.text, name));
        assert_non_null(strstr(c.attempt[i].error.text, t_dir(env)));
    }
    check_attempt(&c, 2, "tcp+socket 127.0.0.1:", 0, "");
    conduit_conn_abort(c.conn);
    (void)close(fd);
}

/* The file that a dead server has left. */
static void a_dead_server_is_passed_over(void **state)
{
    struct t_env *env = *state;
    struct t_client c;
    uint16_t port = 0;
    int fd = t_raw_listen("127.0.0.1", &port, 4);
    char path[96];

    (void)snprintf(path, sizeof path, "%s/auto.%u", t_dir(env), port);
    (void)close(t_raw_listen_unix(path));
    dial_port(&c, env, port, NULL);
    check_layers(&c, "tcp+socket");
    check_attempt(&c, 0, "vchan:auto.", CONDUIT_EREFUSED, "refused");
    check_attempt(&c, 1, "unix:auto.", CONDUIT_EREFUSED, "refused");
    check_attempt(&c, 2, "tcp+socket 127.0.0.1:", 0, "");
    conduit_conn_abort(c.conn);
    (void)close(fd);
}

/* One that takes clients and says nothing costs them a moment each time. */
static void a_silent_server_is_passed_over(void **state)
{
    struct conduit_options options = {.stagger_ms = 20};
    struct t_env *env = *state;
    struct t_client c;
    uint16_t port = 0;
    int fd = t_raw_listen("127.0.0.1", &port, 4);
    char path[96];
    int silent;

    (void)snprintf(path, sizeof path, "%s/auto.%u", t_dir(env), port);
    silent = t_raw_listen_unix(path);
    dial_port(&c, env, port, &options);
    check_layers(&c, "tcp+socket");
    check_attempt(&c, 0, "vchan:auto.", CONDUIT_ECANCELED, "faster");
    check_attempt(&c, 1, "unix:auto.", CONDUIT_ECANCELED, "faster");
    check_attempt(&c, 2, "tcp+socket 127.0.0.1:", 0, "");
    assert_in_range(c.attempt[2].start_us, 40000, 10000000);
    conduit_conn_abort(c.conn);
    (void)close(silent);
    (void)close(fd);
}

/* A registry that others can write to is none. */
static void a_registry_of_everybody_is_not_asked(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct t_client c;

    t_listen(&s, env, "auto://127.0.0.1:0", NULL);
    assert_int_equal(chmod(t_dir(env), 0777), 0);
    dial_port(&c, env, port_of(&s), NULL);
    check_layers(&c, "tcp+socket");
    check_attempt(&c, 0, "vchan:auto.", CONDUIT_EACCESS, "written to by");
    check_attempt(&c, 1, "unix:auto.", CONDUIT_EACCESS, "written to by");
    conduit_conn_abort(c.conn);
    t_unlisten(&s);
}

static void somebody_elses_registry_is_not_asked(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct t_client c;

    if (geteuid() != 0) {
        skip();
    }
    t_listen(&s, env, "auto://127.0.0.1:0", NULL);
    assert_int_equal(chown(t_dir(env), 65534, 65534), 0);
    dial_port(&c, env, port_of(&s), NULL);
    check_layers(&c, "tcp+socket");
    check_attempt(&c, 0, "vchan:auto.", CONDUIT_EACCESS, "somebody else");
    check_attempt(&c, 1, "unix:auto.", CONDUIT_EACCESS, "somebody else");
    conduit_conn_abort(c.conn);
    t_unlisten(&s);
}

/* Where the port is another one's, the name is of no use; but who asks for a
 * name asks for nothing of the network. */
static void another_network_is_not_here(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct t_server named;
    struct t_client c;
    struct conduit_options options = {.stagger_ms = 60000};
    struct t_env other;
    int fds;

    t_env_init(&other);
    fds = t_fd_count();
    cdt_vchan_state(other.ctx)->net_ino++;
    t_listen(&s, env, "auto://127.0.0.1:0", NULL);
    t_listen(&named, env, "auto://service", NULL);
    t_dial(&c, &other, conduit_listener_uri(s.listener), &options);
    T_POLL(&other, (t_turn(env, 0), c.calls != 0));
    check_layers(&c, "tcp+socket");
    check_attempt(&c, 0, "vchan:auto.", CONDUIT_EREFUSED, "network namespace");
    check_attempt(&c, 1, "unix:auto.", CONDUIT_EREFUSED, "network namespace");
    conduit_conn_abort(c.conn);
    t_dial(&c, &other, "auto://service", &options);
    T_POLL(&other, (t_turn(env, 0), c.calls != 0));
    check_layers(&c, "vchan");
    conduit_conn_abort(c.conn);
    t_unlisten(&named);
    t_unlisten(&s);
    T_POLL(env, (t_turn(&other, 0), t_fd_count() == fds));
    t_env_fini(&other);
}

/* As for any host, families take turns, but behind what is here. */
static void families_take_turns_behind_it(void **state)
{
    static const char *const order[] = {
        "vchan:auto.",           "unix:auto.",
        "tcp+socket 127.0.0.2:", "tcp+socket [::1]:",
        "tcp+socket 127.0.0.3:",
    };
    struct t_env *env = *state;
    struct t_client c;
    uint16_t port = 0;
    int fds[3];
    char uri[64];

    if (!t_have_ipv6()) {
        skip();
    }
    add_host(env, "many.test", "127.0.0.2");
    add_host(env, "many.test", "127.0.0.3");
    add_host(env, "many.test", "::1");
    fds[0] = t_raw_bind("127.0.0.2", &port); /* none of which listens */
    fds[1] = t_raw_bind("127.0.0.3", &port);
    fds[2] = t_raw_bind("::1", &port);
    assert_true(fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0);
    (void)snprintf(uri, sizeof uri, "auto://many.test:%u", port);
    dial(&c, env, uri, NULL);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_EREFUSED);
    assert_int_equal(c.attempts, 5);
    for (size_t i = 0; i < 5; i++) {
        check_attempt(&c, i, order[i], CONDUIT_EREFUSED, "");
        (void)(i < 3 ? close(fds[i]) : 0);
    }
}

static void a_name_that_nobody_has_is_told(void **state)
{
    struct t_env *env = *state;
    struct t_client c;

    dial(&c, env, "auto://nobody", NULL);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_EREFUSED);
    assert_int_equal(c.attempts, 2);
    assert_non_null(strstr(c.err.text, "nobody has registered nobody in "));
    assert_non_null(strstr(c.err.text, t_dir(env)));
}

/* ---- TLS ---------------------------------------------------------------- */

static void make_tls(struct t_env *env, struct conduit_options *options)
{
    struct conduit_error err = {0};

    memset(options, 0, sizeof *options);
    if (t_identity_tls(env->ctx, NULL, false, &options->tls, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

/* 127.0.0.1 and conformance.test are in the certificate; others are not. */
static void tls_expects_the_host(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options;
    struct t_server s;
    struct t_client c;
    char uri[96];

    if (conduit_tls_engine(env->ctx, 0) == NULL) {
        skip();
    }
    make_tls(env, &options);
    add_host(env, T_IDENTITY_NAME, "127.0.0.1");
    add_host(env, "other.test", "127.0.0.1");
    t_listen(&s, env, "tls+auto://127.0.0.1:0", &options);
    dial(&c, env, conduit_listener_uri(s.listener), &options);
    check_layers(&c, "tls+vchan");
    conduit_conn_abort(c.conn);
    (void)snprintf(uri, sizeof uri, "http+tls+auto://" T_IDENTITY_NAME ":%u/x",
                   port_of(&s));
    dial(&c, env, uri, &options);
    check_layers(&c, "tls+vchan");
    conduit_conn_abort(c.conn);
    (void)snprintf(uri, sizeof uri, "tls+auto://other.test:%u", port_of(&s));
    dial(&c, env, uri, &options);
    assert_null(c.conn);
    assert_int_equal(c.err.code, CONDUIT_ECERT);
    assert_int_equal(c.attempts, 3); /* and none of them without TLS */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(c.attempt[i].error.code, CONDUIT_ECERT);
    }
    t_unlisten(&s);
    conduit_tls_unref(options.tls);
}

/* A name in the registry is nobody's in a certificate. */
static void tls_to_a_name_wants_to_be_told(void **state)
{
    struct t_env *env = *state;
    struct conduit_options options;
    struct conduit_error err = {0};
    struct t_server s;
    struct t_client c;

    if (conduit_tls_engine(env->ctx, 0) == NULL) {
        skip();
    }
    make_tls(env, &options);
    t_listen(&s, env, "tls+auto://" T_IDENTITY_NAME, &options);
    assert_int_equal(conduit_dial(env->ctx, "tls+auto://" T_IDENTITY_NAME,
                                  &options, NULL, NULL, NULL, &err),
                     CONDUIT_EINVAL);
    assert_non_null(strstr(err.text, "tls_name"));
    options.tls_name = T_IDENTITY_NAME;
    dial(&c, env, "tls+auto://" T_IDENTITY_NAME, &options);
    check_layers(&c, "tls+vchan");
    conduit_conn_abort(c.conn);
    t_unlisten(&s);
    conduit_tls_unref(options.tls);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        AUTO_TEST(what_is_here_comes_before_tcp),
        AUTO_TEST(other_machines_have_tcp_alone),
        AUTO_TEST(the_table_of_hosts_counts),
        AUTO_TEST(sources_of_names_count),
        AUTO_TEST(rules_count),
        AUTO_TEST(shared_memory_wins),
        AUTO_TEST(a_user_without_memory_gets_the_socket),
        AUTO_TEST(nothing_registered_leaves_tcp),
        AUTO_TEST(a_dead_server_is_passed_over),
        AUTO_TEST(a_silent_server_is_passed_over),
        AUTO_TEST(a_registry_of_everybody_is_not_asked),
        AUTO_TEST(somebody_elses_registry_is_not_asked),
        AUTO_TEST(another_network_is_not_here),
        AUTO_TEST(families_take_turns_behind_it),
        AUTO_TEST(a_name_that_nobody_has_is_told),
        AUTO_TEST(tls_expects_the_host),
        AUTO_TEST(tls_to_a_name_wants_to_be_told),
    };

    return cmocka_run_group_tests_name("auto", tests, NULL, NULL);
}
