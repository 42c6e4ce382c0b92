/* SPDX-License-Identifier: ISC */
/*
 * What the OpenSSL engine verifies: each way in which a certificate can be
 * wrong is refused with its own text, and the peer is told by an alert.
 */
#include "support.h"
#include "tls_cred.h"
#include "tls_pipe.h"

#define ENGINE (&cdt_tls_openssl)
#define HOUR 3600L

static struct tls_cert *ca;
static struct tls_cert *good;
static struct tls_cert *client;

static int make_certs(void **state)
{
    (void)state;
    ca = tls_cert_new(&(struct tls_cert_spec){.cn = "CA", .ca = true});
    good = tls_cert_new(&(struct tls_cert_spec){
        .cn = "good", .san = "DNS:a.example,IP:192.0.2.1", .issuer = ca});
    client = tls_cert_new(&(struct tls_cert_spec){
        .cn = "client", .usage = "clientAuth", .issuer = ca});
    return 0;
}

static int free_certs(void **state)
{
    (void)state;
    tls_cert_free(ca);
    tls_cert_free(good);
    tls_cert_free(client);
    return 0;
}

/* One handshake and what came of it. */
struct attempt {
    struct tls_cred_spec client;
    struct tls_cred_spec server;
    const char *name;
    bool name_is_ip;
    bool client_trusts_anybody;
    bool server_trusts_anybody;
    int client_result;
    int server_result;
    struct cdt_tls_fault client_fault;
    struct cdt_tls_fault server_fault;
    bool client_verified;
    bool server_verified;
};

static struct attempt attempt_of(const struct tls_cert *cert)
{
    struct attempt a = {.name = "a.example"};

    a.client.authorities[0] = ca;
    a.server.authorities[0] = ca;
    a.server.identities[0] = cert;
    return a;
}

static void shake(struct t_env *env, struct attempt *a)
{
    struct tls_pipe_pair pair = {
        .client_engine = ENGINE,
        .server_engine = ENGINE,
        .client = tls_cred_new(ENGINE, env->ctx, &a->client),
        .server = tls_cred_new(ENGINE, env->ctx, &a->server),
        .name = a->name,
        .name_is_ip = a->name_is_ip,
        .client_trusts_anybody = a->client_trusts_anybody,
        .server_trusts_anybody = a->server_trusts_anybody,
    };
    struct conduit_tls_facts facts;
    struct tls_pipe p;

    a->client_verified = false;
    a->server_verified = false;
    assert_int_equal(tls_pipe_init(&p, &pair, 0, 0, NULL), 0);
    if (tls_pipe_handshake(&p)) {
        ENGINE->facts(p.client.session, &facts);
        a->client_verified = facts.verified;
        ENGINE->facts(p.server.session, &facts);
        a->server_verified = facts.verified;
    } else if (p.client.result == 0) {
        char byte; /* in TLS 1.3 a client learns of it by reading */

        p.client.result = (int)tls_pipe_read(&p, &p.client, &byte, 1);
    }
    a->client_result = p.client.result;
    a->server_result = p.server.result;
    a->client_fault = p.client.session->fault;
    a->server_fault = p.server.session->fault;
    tls_pipe_fini(&p);
    ENGINE->credentials_free(pair.client);
    ENGINE->credentials_free(pair.server);
}

static void is_good(struct t_env *env, struct attempt *a)
{
    shake(env, a);
    if (a->client_result != 0 || a->server_result != 0) {
        fail_msg("client: %s; server: %s",
                 a->client_fault.text != NULL ? a->client_fault.text : "",
                 a->server_fault.text != NULL ? a->server_fault.text : "");
    }
}

/* The client refuses with the text and tells the server why. */
static void is_refused(struct t_env *env, struct attempt *a, const char *text,
                       int alert)
{
    shake(env, a);
    assert_int_equal(a->client_result, CONDUIT_ECERT);
    assert_string_equal(a->client_fault.text, text);
    assert_int_equal(a->client_fault.code, CONDUIT_ECERT);
    assert_true(a->client_fault.native != 0);
    assert_int_equal(a->server_result, CONDUIT_ETLS);
    assert_int_equal(a->server_fault.native, alert);
}

/* ---- servers' certificates ---------------------------------------------- */

#define BAD_CERTIFICATE 42
#define UNSUPPORTED 43
#define REVOKED 44
#define EXPIRED 45
#define CERTIFICATE_UNKNOWN 46
#define UNKNOWN_CA 48
#define HANDSHAKE 40

static void bad_certificates(void **state)
{
    static const struct {
        struct tls_cert_spec spec;
        const char *text;
        int alert;
    } bad[] = {
        {{.cn = "a.example"}, CDT_TLS_WRONG_NAME, BAD_CERTIFICATE},
        {{.san = "DNS:b.example"}, CDT_TLS_WRONG_NAME, BAD_CERTIFICATE},
        {{.san = "DNS:*.example"}, CDT_TLS_WRONG_NAME, BAD_CERTIFICATE},
        {{.san = "DNS:*.a.example"}, CDT_TLS_WRONG_NAME, BAD_CERTIFICATE},
        {{.san = "IP:192.0.2.1"}, CDT_TLS_WRONG_NAME, BAD_CERTIFICATE},
        {{.raw_name = "a.example\0.evil.example", .raw_name_size = 23},
         CDT_TLS_WRONG_NAME,
         BAD_CERTIFICATE},
        {{.san = "DNS:a.example", .to = -1}, CDT_TLS_EXPIRED, EXPIRED},
        {{.san = "DNS:a.example", .from = HOUR},
         CDT_TLS_NOT_YET,
         BAD_CERTIFICATE},
        {{.san = "DNS:a.example", .usage = "clientAuth"},
         CDT_TLS_WRONG_USAGE,
         UNSUPPORTED},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tls_cert_spec spec = bad[i].spec;
        struct tls_cert *cert;
        struct attempt a;

        spec.issuer = ca;
        spec.cn = spec.cn != NULL ? spec.cn : "x";
        cert = tls_cert_new(&spec);
        a = attempt_of(cert);
        is_refused(*state, &a, bad[i].text, bad[i].alert);
        tls_cert_free(cert);
    }
}

static void names_and_addresses(void **state)
{
    struct attempt a = attempt_of(good);

    is_good(*state, &a);
    assert_true(a.client_verified);
    assert_false(a.server_verified); /* nobody was asked */
    a.name = "192.0.2.1";
    a.name_is_ip = true;
    is_good(*state, &a);
    a.name = "192.0.2.2";
    is_refused(*state, &a, CDT_TLS_WRONG_NAME, BAD_CERTIFICATE);
    a.name = "b.example";
    a.name_is_ip = false;
    is_refused(*state, &a, CDT_TLS_WRONG_NAME, BAD_CERTIFICATE);
}

static void unknown_issuers(void **state)
{
    struct tls_cert *other = tls_cert_new(
        &(struct tls_cert_spec){.cn = "other", .ca = true});
    struct tls_cert *self = tls_cert_new(
        &(struct tls_cert_spec){.cn = "self", .san = "DNS:a.example"});
    struct attempt a = attempt_of(good);

    a.client.authorities[0] = other;
    is_refused(*state, &a, CDT_TLS_UNKNOWN_CA, UNKNOWN_CA);
    a.client.authorities[0] = NULL;
    is_refused(*state, &a, CDT_TLS_UNKNOWN_CA, UNKNOWN_CA);
    a = attempt_of(self);
    is_refused(*state, &a, CDT_TLS_SELF_SIGNED, UNKNOWN_CA);
    a.client.authorities[0] = self;
    is_good(*state, &a);
    tls_cert_free(other);
    tls_cert_free(self);
}

/* Another authority by the same name and key identifier signs with its key. */
static void a_forged_signature(void **state)
{
    struct tls_cert *fake = tls_cert_new(
        &(struct tls_cert_spec){.cn = "CA", .ca = true});
    struct tls_cert *cert = tls_cert_new(&(struct tls_cert_spec){
        .cn = "x", .san = "DNS:a.example", .issuer = fake});
    struct attempt a = attempt_of(cert);

    shake(*state, &a);
    assert_int_equal(a.client_result, CONDUIT_ECERT);
    tls_cert_free(cert);
    tls_cert_free(fake);
}

/* An authority between ours and the server's certificate. */
static void between(struct t_env *env, struct tls_cert_spec middle_spec,
                    const char *text, int alert)
{
    struct tls_cert *middle;
    struct tls_cert *cert;
    struct attempt a;

    middle_spec.cn = "middle";
    middle_spec.issuer = middle_spec.issuer != NULL ? middle_spec.issuer : ca;
    middle = tls_cert_new(&middle_spec);
    cert = tls_cert_new(&(struct tls_cert_spec){
        .cn = "x", .san = "DNS:a.example", .issuer = middle});
    a = attempt_of(cert);
    if (text == NULL) {
        is_good(env, &a);
        a.client.authorities[0] = middle; /* named itself: trusted */
        is_good(env, &a);
    } else {
        is_refused(env, &a, text, alert);
    }
    tls_cert_free(cert);
    tls_cert_free(middle);
}

static void chains(void **state)
{
    struct tls_cert *narrow = tls_cert_new(&(struct tls_cert_spec){
        .cn = "narrow", .ca = true, .limit_path = true, .issuer = ca});

    between(*state, (struct tls_cert_spec){.ca = true}, NULL, 0);
    between(*state, (struct tls_cert_spec){.not_a_ca = true}, CDT_TLS_NOT_A_CA,
            UNKNOWN_CA);
    between(*state, (struct tls_cert_spec){.key_usage = "critical,keyCertSign"},
            CDT_TLS_NOT_A_CA, UNKNOWN_CA);
    between(*state,
            (struct tls_cert_spec){.ca = true,
                                   .key_usage = "critical,digitalSignature"},
            CDT_TLS_NOT_A_CA, UNKNOWN_CA);
    between(*state, (struct tls_cert_spec){.ca = true, .issuer = narrow},
            CDT_TLS_PATH_LENGTH, UNKNOWN_CA);
    between(*state,
            (struct tls_cert_spec){
                .ca = true, .constraints = "critical,permitted;DNS:b.example"},
            CDT_TLS_CONSTRAINTS, CERTIFICATE_UNKNOWN);
    tls_cert_free(narrow);
}

static void weak_keys(void **state)
{
    struct tls_cert *weak = tls_cert_new(&(struct tls_cert_spec){
        .cn = "weak", .san = "DNS:a.example", .rsa_bits = 1024, .issuer = ca});
    struct attempt a = attempt_of(weak);
    struct conduit_error err = {0};
    struct t_env *env = *state;

    assert_null(tls_cred_try(ENGINE, env->ctx, &a.server, &err));
    assert_int_equal(err.code, CONDUIT_EINVAL);
    assert_non_null(strstr(err.text, "weak"));
    a.server.options.policy.min_rsa_bits = 1024;
    is_refused(*state, &a, CDT_TLS_WEAK_KEY, BAD_CERTIFICATE);
    a.client.options.policy.min_rsa_bits = 1024;
    is_good(*state, &a);
    a.client.options.policy.min_rsa_bits = 1025;
    is_refused(*state, &a, CDT_TLS_WEAK_KEY, BAD_CERTIFICATE);
    tls_cert_free(weak);
}

static void revocation(void **state)
{
    char *empty = tls_crl_new(ca, NULL);
    char *full = tls_crl_new(ca, good);
    struct tls_cert *other = tls_cert_new(
        &(struct tls_cert_spec){.cn = "other", .ca = true});
    char *foreign = tls_crl_new(other, NULL);
    struct attempt a = attempt_of(good);

    a.client.crls[0] = empty;
    is_good(*state, &a);
    a.client.crls[0] = full;
    is_refused(*state, &a, CDT_TLS_REVOKED, REVOKED);
    a.client.crls[0] = foreign;
    is_refused(*state, &a, CDT_TLS_NO_CRL, UNKNOWN_CA);
    free(empty);
    free(full);
    free(foreign);
    tls_cert_free(other);
}

static void pins(void **state)
{
    struct conduit_tls_pin pin[2] = {{{0}}, {{0}}};
    struct attempt a = attempt_of(good);

    a.client.options.pins = pin;
    a.client.options.pin_count = 2;
    is_refused(*state, &a, CDT_TLS_NO_PIN, HANDSHAKE);
    memcpy(pin[1].sha256, good->pin, sizeof good->pin);
    is_good(*state, &a);
    memcpy(pin[1].sha256, ca->pin, sizeof ca->pin);
    is_good(*state, &a);
    a.client_trusts_anybody = true; /* the authority was not shown */
    is_refused(*state, &a, CDT_TLS_NO_PIN, HANDSHAKE);
    memcpy(pin[1].sha256, good->pin, sizeof good->pin);
    is_good(*state, &a);
    assert_false(a.client_verified);
}

static void anybody_only_when_told_so(void **state)
{
    struct tls_cert *self = tls_cert_new(&(struct tls_cert_spec){
        .cn = "self", .san = "DNS:b.example", .to = -1});
    struct attempt a = attempt_of(self);

    a.client_trusts_anybody = true;
    is_good(*state, &a);
    assert_false(a.client_verified);
    a.name = NULL;
    is_good(*state, &a);
    tls_cert_free(self);
}

/* ---- clients' certificates ---------------------------------------------- */

static void clients_off_optional_required(void **state)
{
    static const enum conduit_tls_clients modes[] = {
        CONDUIT_TLS_CLIENTS_OFF, CONDUIT_TLS_CLIENTS_OPTIONAL,
        CONDUIT_TLS_CLIENTS_REQUIRED};

    for (size_t i = 0; i < 3; i++) {
        struct attempt a = attempt_of(good);

        a.server.options.clients = modes[i];
        a.client.identities[0] = client;
        is_good(*state, &a);
        assert_int_equal(a.server_verified, i > 0);
        a.client.identities[0] = NULL;
        shake(*state, &a);
        assert_false(a.server_verified);
        assert_int_equal(a.server_result, i < 2 ? 0 : CONDUIT_ECERT);
    }
}

static void bad_clients(void **state)
{
    static const unsigned versions[] = {CONDUIT_TLS_1_2, CONDUIT_TLS_1_3};
    struct tls_cert *wrong = tls_cert_new(&(struct tls_cert_spec){
        .cn = "wrong", .usage = "serverAuth", .issuer = ca});

    for (size_t i = 0; i < 4; i++) {
        struct attempt a = attempt_of(good);

        a.client.options.policy.min_version = versions[i / 2];
        a.client.options.policy.max_version = versions[i / 2];
        a.server.options.clients = CONDUIT_TLS_CLIENTS_REQUIRED;
        a.client.identities[0] = i % 2 == 0 ? wrong : NULL;
        shake(*state, &a);
        assert_int_equal(a.server_result, CONDUIT_ECERT);
        assert_string_equal(a.server_fault.text, i % 2 == 0
                                                     ? CDT_TLS_WRONG_USAGE
                                                     : CDT_TLS_NO_CERTIFICATE);
        assert_int_equal(a.client_result, CONDUIT_ETLS);
        assert_true(a.client_fault.native > 0);
    }
    {
        struct attempt a = attempt_of(good);

        a.server.options.clients = CONDUIT_TLS_CLIENTS_REQUIRED;
        a.server_trusts_anybody = true;
        a.client.identities[0] = wrong;
        is_good(*state, &a);
        assert_false(a.server_verified);
    }
    tls_cert_free(wrong);
}

/* ---- sources ------------------------------------------------------------ */

static void with_sources(struct t_env *env, const char *chain, const char *key,
                         int code, const char *part)
{
    struct conduit_tls_options options = {
        .policy = {CONDUIT_TLS_1_2, CONDUIT_TLS_1_3, NULL, NULL, 2048}};
    struct conduit_tls_identity id = {.chain = tls_source("c.pem", chain),
                                      .key = tls_source("k.pem", key)};
    struct cdt_tls_material material = {
        .options = &options, .identities = &id, .identity_count = 1};
    struct cdt_tls_credentials *cred = NULL;
    struct conduit_error err = {0};
    int rc = ENGINE->credentials_new(env->ctx, &material, &cred, &err);

    if (rc != code || (part != NULL && strstr(err.text, part) == NULL)) {
        fail_msg("%d '%s', not %d '%s'", rc, err.text, code,
                 part != NULL ? part : "");
    }
    if (rc == 0) {
        ENGINE->credentials_free(cred);
    }
}

static void keys_in_every_form(void **state)
{
    struct tls_cert *rsa = tls_cert_new(
        &(struct tls_cert_spec){.cn = "rsa", .rsa_bits = 2048, .issuer = ca});
    char *locked = tls_key_encrypted(rsa);
    char both[8192];

    with_sources(*state, good->pem, good->key, 0, NULL);
    with_sources(*state, good->pem, good->key_native, 0, NULL);
    with_sources(*state, rsa->pem, rsa->key, 0, NULL);
    with_sources(*state, rsa->pem, rsa->key_native, 0, NULL);
    snprintf(both, sizeof both, "words\n%s%s", good->key, good->pem);
    with_sources(*state, both, both, 0, NULL);
    snprintf(both, sizeof both,
             "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
             "-----END EC PARAMETERS-----\n%s",
             good->key_native);
    with_sources(*state, good->pem, both, 0, NULL);
    with_sources(*state, rsa->pem, locked, CONDUIT_EINVAL,
                 "k.pem: the key is "
                 "locked");
    with_sources(*state, rsa->pem, good->key, CONDUIT_EINVAL,
                 "k.pem: the key is of another certificate");
    with_sources(*state, good->pem, "", CONDUIT_EINVAL, "k.pem");
    with_sources(*state, "no PEM", good->key, CONDUIT_EINVAL,
                 "c.pem: there is no certificate in it");
    snprintf(both, sizeof both, "%s-----BEGIN CERTIFICATE-----\nAAAA\n%s",
             good->pem, "-----END CERTIFICATE-----\n");
    with_sources(*state, both, good->key, CONDUIT_EINVAL,
                 "c.pem: a certificate cannot be read");
    free(locked);
    tls_cert_free(rsa);
}

/* A server without a certificate, a client without a name. */
static void roles_need_what_they_need(void **state)
{
    struct t_env *env = *state;
    struct tls_cred_spec spec = {.authorities = {ca}};
    struct cdt_tls_credentials *cred = tls_cred_new(ENGINE, env->ctx, &spec);
    struct cdt_tls_session *s = NULL;
    struct cdt_tls_io io = {0};
    struct cdt_tls_peer peer = {.server = true};
    struct conduit_error err;

    assert_int_equal(ENGINE->session_new(cred, &peer, &io, &s, &err),
                     CONDUIT_EINVAL);
    peer.server = false;
    assert_int_equal(ENGINE->session_new(cred, &peer, &io, &s, &err),
                     CONDUIT_EINVAL);
    peer.name = "";
    assert_int_equal(ENGINE->session_new(cred, &peer, &io, &s, &err),
                     CONDUIT_EINVAL);
    assert_null(s);
    ENGINE->credentials_free(cred);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(bad_certificates),
        T_TEST(names_and_addresses),
        T_TEST(unknown_issuers),
        T_TEST(a_forged_signature),
        T_TEST(chains),
        T_TEST(weak_keys),
        T_TEST(revocation),
        T_TEST(pins),
        T_TEST(anybody_only_when_told_so),
        T_TEST(clients_off_optional_required),
        T_TEST(bad_clients),
        T_TEST(keys_in_every_form),
        T_TEST(roles_need_what_they_need),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
