/* SPDX-License-Identifier: ISC */
/* What two OpenSSL engines negotiate, and what they tell of it. */
#include "test_tls_engine_openssl.h"

/* ---- what is negotiated ------------------------------------------------- */

static void facts_are_told(void **state)
{
    struct conduit_tls_facts facts;
    struct duo d;

    duo_init(&d, state);
    d.client_spec.options.alpn = (const char *const[]){"h2", "http/1.1", NULL};
    d.server_spec.options.alpn = (const char *const[]){"http/1.1", NULL};
    d.client_spec.identities[0] = client_cert;
    d.server_spec.options.clients = CONDUIT_TLS_CLIENTS_REQUIRED;
    must_shake(&d);
    facts = facts_of(&d.pipe.client);
    assert_string_equal(facts.engine, "openssl");
    assert_string_equal(facts.version, "TLSv1.3");
    assert_string_equal(facts.cipher, "TLS_AES_128_GCM_SHA256");
    assert_string_equal(facts.alpn, "http/1.1");
    assert_string_equal(facts.server_name, "a.example");
    assert_string_equal(facts.peer_subject, "CN=server");
    assert_int_equal(strlen(facts.peer_fingerprint), 64);
    assert_true(facts.verified);
    assert_false(facts.resumed);
    facts = facts_of(&d.pipe.server);
    assert_string_equal(facts.server_name, "a.example");
    assert_string_equal(facts.peer_subject, "CN=cli\\09ent");
    assert_string_equal(facts.alpn, "http/1.1");
    assert_true(facts.verified);
    duo_fini(&d);
}

static void no_protocol_in_common(void **state)
{
    struct duo d;

    duo_init(&d, state);
    d.client_spec.options.alpn = (const char *const[]){"h2", NULL};
    d.server_spec.options.alpn = (const char *const[]){"http/1.1", NULL};
    assert_false(duo_shake(&d));
    assert_int_equal(d.pipe.client.result, CONDUIT_ETLS);
    assert_int_equal(d.pipe.client.session->fault.native, 120);
    duo_fini(&d);
}

static void suites_and_groups_by_their_names(void **state)
{
    static const char *const suites[] = {
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    };
    static const char *const groups[] = {"secp521r1", "x448", "secp256r1",
                                         NULL};

    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        struct duo d;

        duo_init(&d, state);
        d.client_spec.options.policy.ciphers = (const char *const[]){suites[i],
                                                                     NULL};
        d.client_spec.options.policy.groups = groups;
        d.server_spec.options.policy.groups = groups;
        must_shake(&d);
        assert_string_equal(facts_of(&d.pipe.server).cipher, suites[i]);
        assert_string_equal(facts_of(&d.pipe.server).version,
                            i < 2 ? "TLSv1.3" : "TLSv1.2");
        duo_fini(&d);
    }
}

static void refused(struct duo *d, struct tls_cred_spec *spec, int code,
                    const char *part)
{
    struct conduit_error err = {0};

    if (tls_cred_try(ENGINE, d->env->ctx, spec, &err) != NULL) {
        fail_msg("taken, not refused: %s", part);
    }
    assert_int_equal(err.code, code);
    if (strstr(err.text, part) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, part);
    }
}

static void what_openssl_lacks_is_refused_by_name(void **state)
{
    struct duo d;
    struct conduit_tls_policy *policy = &d.client_spec.options.policy;

    duo_init(&d, state);
    policy->ciphers = (const char *const[]){"TLS_AES_128_GCM_SHA256",
                                            "TLS_ROT_13", NULL};
    refused(&d, &d.client_spec, CONDUIT_ENOTSUP, "TLS_ROT_13");
    policy->ciphers = (const char *const[]){"ALL:@SECLEVEL=0", NULL};
    refused(&d, &d.client_spec, CONDUIT_ENOTSUP, "ALL:@SECLEVEL=0");
    policy->ciphers = (const char *const[]){"TLS_EMPTY_RENEGOTIATION_INFO_SCSV",
                                            NULL};
    refused(&d, &d.client_spec, CONDUIT_ENOTSUP, "SCSV");
    policy->ciphers = (const char *const[]){"TLS_AES_128_GCM_SHA256", NULL};
    policy->max_version = CONDUIT_TLS_1_2;
    refused(&d, &d.client_spec, CONDUIT_EINVAL, "no cipher suite");
    policy->max_version = 0;
    policy->ciphers = NULL;
    policy->groups = (const char *const[]){"x25519", "brainpool", NULL};
    refused(&d, &d.client_spec, CONDUIT_ENOTSUP, "brainpool");
    policy->groups = NULL;
    policy->min_rsa_bits = 512;
    refused(&d, &d.client_spec, CONDUIT_ENOTSUP, "1024");
}

static void the_name_chooses_the_identity(void **state)
{
    static const struct {
        const char *name;
        const char *subject;
    } who[] = {{"a.example", "CN=server"},
               {"A.EXAMPLE", "CN=server"},
               {"x.b.example", "CN=other"}};
    struct duo d;

    duo_init(&d, state);
    d.server_spec.identities[1] = other_cert;
    for (size_t i = 0; i < sizeof who / sizeof who[0]; i++) {
        d.pair.name = who[i].name;
        must_shake(&d);
        assert_string_equal(facts_of(&d.pipe.client).peer_subject,
                            who[i].subject);
    }
    d.pair.name = "nobody.example"; /* the first, so a wrong name */
    assert_false(duo_shake(&d));
    assert_string_equal(d.pipe.client.session->fault.text, CDT_TLS_WRONG_NAME);
    duo_fini(&d);
}

/* One name, two kinds of key: the client's suites decide. */
static void both_kinds_of_key_for_a_name(void **state)
{
    static const char *const suites[] = {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"};

    for (size_t i = 0; i < 2; i++) {
        struct duo d;

        duo_init(&d, state);
        d.server_spec.identities[1] = rsa_cert;
        d.client_spec.options.policy.ciphers = (const char *const[]){suites[i],
                                                                     NULL};
        must_shake(&d);
        assert_string_equal(facts_of(&d.pipe.client).peer_subject,
                            i == 0 ? "CN=server" : "CN=rsa");
        duo_fini(&d);
    }
}

static void count_lines(void *arg, const char *line)
{
    if (strstr(line, " ") != NULL && strchr(line, '\n') == NULL) {
        ++*(unsigned *)arg;
    }
}

static void keys_are_logged_when_asked(void **state)
{
    unsigned lines = 0;
    struct duo d;

    duo_init(&d, state);
    d.client_spec.options.keylog = count_lines;
    d.client_spec.options.keylog_arg = &lines;
    must_shake(&d);
    assert_true(lines >= 4);
    duo_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(facts_are_told),
        T_TEST(no_protocol_in_common),
        T_TEST(suites_and_groups_by_their_names),
        T_TEST(what_openssl_lacks_is_refused_by_name),
        T_TEST(the_name_chooses_the_identity),
        T_TEST(both_kinds_of_key_for_a_name),
        T_TEST(keys_are_logged_when_asked),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
