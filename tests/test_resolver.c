/* SPDX-License-Identifier: ISC */
/*
 * From names to addresses, as a dial sees it. A transport of the test's own
 * stands in for tcp: it notes what it is asked to connect to, and refuses.
 */
#include "support.h"

#include <conduit/transport.h>

static char tried[32][CONDUIT_ADDR_TEXT];
static size_t tries;

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
    (void)options;
    (void)out;
    if (tries < 32) {
        (void)conduit_addr_format(&ep->addr, true, tried[tries++]);
    }
    return conduit_error_set(err, CONDUIT_EREFUSED, "note", 0, "refused");
}

static const struct conduit_transport note = {
    .name = "note",
    .summary = "notes addresses",
    .ip = true,
    .check = note_check,
    .dial = note_dial,
};

static int setup(void **state)
{
    int rc = t_setup(state);
    struct t_env *env = *state;

    tries = 0;
    return rc != 0 ? rc : conduit_register_transport(env->ctx, &note);
}

#define NAME_TEST(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)

/* What a dial of `uri` ends with; its addresses are in tried. */
static struct conduit_error resolve(struct t_env *env, const char *uri)
{
    struct t_client c;

    tries = 0;
    t_dial(&c, env, uri, NULL);
    T_UNTIL(env, c.calls == 1);
    assert_null(c.conn);
    return c.err;
}

static void check_tried(size_t count, const char *const *want)
{
    assert_int_equal(tries, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(tried[i], want[i]);
    }
}

#define TRIED(...)                                                      \
    check_tried(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
                (const char *[]){__VA_ARGS__})

static void add(struct t_env *env, const char *name, const char *address)
{
    struct conduit_error err = {0};

    if (conduit_resolver_add_host(env->ctx, name, address, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void numbers_are_themselves(void **state)
{
    struct t_env *env = *state;

    add(env, "192.0.2.7", "192.0.2.8"); /* no name, and never looked up */
    (void)resolve(env, "note://192.0.2.7:80");
    TRIED("192.0.2.7:80");
    (void)resolve(env, "note://[2001:db8::1]:443");
    TRIED("[2001:db8::1]:443");
}

static void the_table_keeps_its_order(void **state)
{
    struct t_env *env = *state;

    add(env, "many.test", "192.0.2.3");
    add(env, "other.test", "192.0.2.99");
    add(env, "many.test", "192.0.2.1");
    add(env, "many.test", "192.0.2.2");
    (void)resolve(env, "note://many.test:7");
    TRIED("192.0.2.3:7", "192.0.2.1:7", "192.0.2.2:7");
    (void)resolve(env, "note://MANY.Test:7");
    assert_int_equal(tries, 3);
    (void)resolve(env, "note://many.test.:7");
    assert_int_equal(tries, 3);
}

/* RFC 8305, section 4: the families take turns, the first one first. */
static void families_take_turns(void **state)
{
    struct t_env *env = *state;

    add(env, "six.test", "2001:db8::1");
    add(env, "six.test", "2001:db8::2");
    add(env, "six.test", "2001:db8::3");
    add(env, "six.test", "192.0.2.1");
    add(env, "six.test", "192.0.2.2");
    (void)resolve(env, "note://six.test:1");
    TRIED("[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1",
          "[2001:db8::3]:1");
    add(env, "four.test", "192.0.2.1");
    add(env, "four.test", "2001:db8::1");
    (void)resolve(env, "note://four.test:1");
    TRIED("192.0.2.1:1", "[2001:db8::1]:1");
}

static void localhost_is_the_loopback(void **state)
{
    struct t_env *env = *state;
    static const char *const names[] = {"localhost", "LocalHost", "localhost.",
                                        "a.localhost", "a.b.localhost."};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char uri[64];

        (void)snprintf(uri, sizeof uri, "note://%s:5", names[i]);
        (void)resolve(env, uri);
        TRIED("[::1]:5", "127.0.0.1:5");
    }
    assert_int_equal(resolve(env, "note://notlocalhost:5").code, CONDUIT_ENAME);
    assert_int_equal(resolve(env, "note://localhost.example:5").code,
                     CONDUIT_ENAME);
    assert_int_equal(tries, 0);
}

static void the_table_comes_before_localhost(void **state)
{
    struct t_env *env = *state;

    add(env, "x.localhost", "127.0.0.9");
    (void)resolve(env, "note://x.localhost:5");
    TRIED("127.0.0.9:5");
}

static void unknown_names_are_named(void **state)
{
    struct conduit_error err = resolve(*state, "note://nobody.test:1");

    assert_int_equal(err.code, CONDUIT_ENAME);
    assert_string_equal(err.layer, "resolver");
    assert_non_null(strstr(err.text, "nobody.test"));
}

static void the_wildcard_is_not_for_dialling(void **state)
{
    struct conduit_error err = resolve(*state, "note://:80");

    assert_int_equal(err.code, CONDUIT_EURI);
    assert_int_equal(tries, 0);
}

static void the_table_takes_numbers_only(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err = {0};

    assert_int_equal(
        conduit_resolver_add_host(env->ctx, "a.test", "b.test", &err),
        CONDUIT_EINVAL);
    assert_non_null(strstr(err.text, "b.test"));
    assert_int_equal(conduit_resolver_add_host(env->ctx, "", "127.0.0.1", &err),
                     CONDUIT_EINVAL);
}

/* ---- rewrite rules ------------------------------------------------------ */

static void rewrite(struct t_env *env, const char *suffix, const char *uri)
{
    struct conduit_error err = {0};

    if (conduit_resolver_add_rewrite(env->ctx, suffix, uri, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void rules_match_whole_labels(void **state)
{
    struct t_env *env = *state;

    rewrite(env, "bank.com", "note://192.0.2.1:1");
    (void)resolve(env, "note://bank.com:443");
    TRIED("192.0.2.1:1");
    (void)resolve(env, "note://www.bank.com:443");
    TRIED("192.0.2.1:1");
    (void)resolve(env, "note://WWW.Bank.COM.:443");
    TRIED("192.0.2.1:1");
    assert_int_equal(resolve(env, "note://bankevil.com:443").code,
                     CONDUIT_ENAME);
    assert_int_equal(resolve(env, "note://evilbank.com:443").code,
                     CONDUIT_ENAME);
    assert_int_equal(resolve(env, "note://bank.com.evil.com:443").code,
                     CONDUIT_ENAME);
    assert_int_equal(resolve(env, "note://bank.co:443").code, CONDUIT_ENAME);
    assert_int_equal(resolve(env, "note://com:443").code, CONDUIT_ENAME);
    assert_int_equal(tries, 0);
}

static void the_longest_suffix_wins(void **state)
{
    struct t_env *env = *state;

    rewrite(env, "b.test", "note://192.0.2.2:2");
    rewrite(env, "a.b.test", "note://192.0.2.3:3");
    rewrite(env, "test", "note://192.0.2.1:1");
    (void)resolve(env, "note://x.a.b.test:9");
    TRIED("192.0.2.3:3");
    (void)resolve(env, "note://x.b.test:9");
    TRIED("192.0.2.2:2");
    (void)resolve(env, "note://x.test:9");
    TRIED("192.0.2.1:1");
}

static void a_rewritten_name_is_not_rewritten_again(void **state)
{
    struct t_env *env = *state;

    rewrite(env, "a.test", "note://b.test:5");
    rewrite(env, "b.test", "note://192.0.2.66:6");
    add(env, "b.test", "192.0.2.5");
    (void)resolve(env, "note://a.test:1");
    TRIED("192.0.2.5:5");
}

static void numbers_are_not_rewritten(void **state)
{
    struct t_env *env = *state;

    rewrite(env, "1", "note://192.0.2.66:6");
    (void)resolve(env, "note://127.0.0.1:1");
    TRIED("127.0.0.1:1");
}

/* The rule changes the transport: a name is reached in this process. */
static void a_rule_may_change_the_transport(void **state)
{
    struct t_env *env = *state;
    struct t_server s;
    struct conduit_conn *conn;
    const char *transport = NULL;

    T_NEEDS("tcp+socket"); /* the URI that is dialled names it */
    t_listen(&s, env, "mem://inside", NULL);
    rewrite(env, "inside.test", "mem://inside");
    conn = t_dial_now(env, "tcp://svc.inside.test:80");
    assert_int_equal(
        conduit_conn_query(conn, CONDUIT_QUERY_TRANSPORT, &transport), 0);
    assert_string_equal(transport, "mem");
    conduit_conn_abort(conn);
    t_unlisten(&s);
}

static void rules_go_to_bare_transports(void **state)
{
    struct t_env *env = *state;
    struct conduit_error err = {0};

    assert_int_equal(conduit_resolver_add_rewrite(
                         env->ctx, "a.test", "http+note://127.0.0.1:1", &err),
                     CONDUIT_EINVAL);
    assert_int_equal(
        conduit_resolver_add_rewrite(env->ctx, "a.test", "gopher://x", &err),
        CONDUIT_ESCHEME);
    assert_int_equal(
        conduit_resolver_add_rewrite(env->ctx, "", "note://127.0.0.1:1", &err),
        CONDUIT_EINVAL);
}

/* ---- sources ------------------------------------------------------------ */

struct source {
    struct conduit_resolver_source base;
    struct conduit_lookup *lookup;
    char host[64];
    unsigned started;
    unsigned cancelled;
    bool at_once;
    int code;
    int native;
    const char *addresses[4];
};

static void source_answer(struct source *s)
{
    struct conduit_lookup *lookup = s->lookup;

    s->lookup = NULL;
    for (size_t i = 0; i < 4 && s->addresses[i] != NULL; i++) {
        struct conduit_addr addr;

        assert_true(conduit_addr_parse(s->addresses[i], strlen(s->addresses[i]),
                                       &addr));
        addr.port = 9; /* ignored */
        assert_int_equal(conduit_lookup_add(lookup, &addr), 0);
    }
    conduit_lookup_done(lookup, s->code, s->native);
}

static void source_start(struct conduit_resolver_source *source,
                         struct conduit_lookup *lookup, const char *host,
                         void **handle)
{
    struct source *s = (struct source *)(void *)source;

    s->started++;
    s->lookup = lookup;
    *handle = s;
    (void)snprintf(s->host, sizeof s->host, "%s", host);
    if (s->at_once) {
        source_answer(s);
    }
}

static void source_cancel(struct conduit_resolver_source *source, void *handle)
{
    struct source *s = (struct source *)(void *)source;

    assert_ptr_equal(handle, s);
    assert_non_null(s->lookup);
    s->lookup = NULL;
    s->cancelled++;
}

static void init_source(struct source *s, struct t_env *env, const char *name)
{
    memset(s, 0, sizeof *s);
    s->base.name = name;
    s->base.start = source_start;
    s->base.cancel = source_cancel;
    conduit_resolver_add_source(env->ctx, &s->base);
}

static void sources_are_asked_for_what_is_not_known(void **state)
{
    struct t_env *env = *state;
    static struct source dns;

    init_source(&dns, env, "dns");
    dns.at_once = true;
    dns.addresses[0] = "192.0.2.1";
    dns.addresses[1] = "192.0.2.2";
    add(env, "known.test", "192.0.2.9");
    (void)resolve(env, "note://known.test:1");
    (void)resolve(env, "note://localhost:1");
    (void)resolve(env, "note://192.0.2.1:1");
    assert_int_equal(dns.started, 0);
    (void)resolve(env, "note://far.test:80");
    assert_int_equal(dns.started, 1);
    assert_string_equal(dns.host, "far.test");
    TRIED("192.0.2.1:80", "192.0.2.2:80");
}

static void a_source_may_take_its_time(void **state)
{
    struct t_env *env = *state;
    static struct source dns;
    struct t_client c;

    init_source(&dns, env, "dns");
    dns.addresses[0] = "192.0.2.1";
    tries = 0;
    t_dial(&c, env, "note://far.test:80", NULL);
    t_turns(env, 5);
    assert_int_equal(c.calls, 0);
    assert_non_null(dns.lookup);
    source_answer(&dns);
    assert_int_equal(c.calls, 0);
    T_UNTIL(env, c.calls == 1);
    TRIED("192.0.2.1:80");
}

static void the_next_source_is_asked_for_the_unknown(void **state)
{
    struct t_env *env = *state;
    static struct source one;
    static struct source two;
    struct conduit_error err;

    init_source(&one, env, "one");
    init_source(&two, env, "two");
    one.at_once = two.at_once = true;
    one.code = CONDUIT_ENAME;
    two.addresses[0] = "192.0.2.2";
    (void)resolve(env, "note://far.test:80");
    TRIED("192.0.2.2:80");
    two.code = CONDUIT_ENAME;
    two.addresses[0] = NULL;
    err = resolve(env, "note://far.test:80");
    assert_int_equal(err.code, CONDUIT_ENAME);
    one.code = CONDUIT_ETIMEDOUT; /* failed: nobody knows whether it exists */
    one.native = 12;
    two.started = 0;
    err = resolve(env, "note://far.test:80");
    assert_int_equal(err.code, CONDUIT_ETIMEDOUT);
    assert_int_equal(err.native, 12);
    assert_non_null(strstr(err.text, "one"));
    assert_non_null(strstr(err.text, "far.test"));
    assert_int_equal(two.started, 0);
}

static void a_look_up_is_cancelled_with_its_dial(void **state)
{
    struct t_env *env = *state;
    static struct source dns;
    struct t_client c;

    init_source(&dns, env, "dns");
    t_dial(&c, env, "note://far.test:80", NULL);
    conduit_dial_cancel(c.dial);
    assert_int_equal(dns.cancelled, 1);
    t_dial(&c, env, "note://far.test:80", NULL);
    t_turns(env, 3);
    conduit_dial_cancel(c.dial);
    assert_int_equal(dns.cancelled, 2);
    t_turns(env, 3);
    assert_int_equal(c.calls, 0);
    t_dial(&c, env, "note://far.test:80", NULL); /* goes with the context */
}

static void a_silent_source_meets_the_deadline(void **state)
{
    struct t_env *env = *state;
    static struct source dns;
    struct conduit_options options = {.dial_ms = 20};
    struct t_client c;

    init_source(&dns, env, "dns");
    t_dial(&c, env, "note://far.test:80", &options);
    T_UNTIL(env, c.calls == 1);
    assert_int_equal(c.err.code, CONDUIT_ETIMEDOUT);
    assert_int_equal(dns.cancelled, 1);
}

static void no_address_is_no_success(void **state)
{
    struct t_env *env = *state;
    static struct source dns;

    init_source(&dns, env, "dns");
    dns.at_once = true;
    assert_int_equal(resolve(env, "note://far.test:80").code, CONDUIT_ENAME);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        NAME_TEST(numbers_are_themselves),
        NAME_TEST(the_table_keeps_its_order),
        NAME_TEST(families_take_turns),
        NAME_TEST(localhost_is_the_loopback),
        NAME_TEST(the_table_comes_before_localhost),
        NAME_TEST(unknown_names_are_named),
        NAME_TEST(the_wildcard_is_not_for_dialling),
        NAME_TEST(the_table_takes_numbers_only),
        NAME_TEST(rules_match_whole_labels),
        NAME_TEST(the_longest_suffix_wins),
        NAME_TEST(a_rewritten_name_is_not_rewritten_again),
        NAME_TEST(numbers_are_not_rewritten),
        NAME_TEST(a_rule_may_change_the_transport),
        NAME_TEST(rules_go_to_bare_transports),
        NAME_TEST(sources_are_asked_for_what_is_not_known),
        NAME_TEST(a_source_may_take_its_time),
        NAME_TEST(the_next_source_is_asked_for_the_unknown),
        NAME_TEST(a_look_up_is_cancelled_with_its_dial),
        NAME_TEST(a_silent_source_meets_the_deadline),
        NAME_TEST(no_address_is_no_success),
    };

    return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
