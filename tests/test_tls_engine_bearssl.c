/* SPDX-License-Identifier: ISC */
/* TLS by BearSSL, client and server: what works, and that it works in pieces of
 * any size. What is refused is in test_tls_refuse_bearssl.c. */
#include "support.h"

#include "tls_bearssl.h"

static void streams(void **state)
{
    static const size_t chunks[] = {1, 7, 0};
    struct t_bearssl *t = *state;

    for (size_t i = 0; i < 3; i++) {
        size_t n = chunks[i] == 1 ? 40000 : 300000;

        t_bearssl_connect(t, chunks[i], chunks[i] == 0 ? 0 : 3000);
        assert_int_equal(tls_pipe_stream(&t->pipe, &t->pipe.client,
                                         &t->pipe.server, i, n, 16384),
                         n);
        assert_int_equal(tls_pipe_stream(&t->pipe, &t->pipe.server,
                                         &t->pipe.client, i, n, 1000),
                         n);
        tls_pipe_fini(&t->pipe);
    }
}

static void facts(void **state)
{
    struct t_bearssl *t = *state;
    struct conduit_tls_facts at;

    t_bearssl_connect(t, 0, 0);
    cdt_tls_bearssl.facts(t->pipe.client.session, &at);
    assert_string_equal(at.engine, "bearssl");
    assert_string_equal(at.version, "TLSv1.2");
    assert_non_null(strstr(at.cipher, "TLS_ECDHE_ECDSA_WITH_"));
    assert_string_equal(at.alpn, "");
    assert_string_equal(at.server_name, "host.example");
    assert_string_equal(at.peer_subject, "CN=server");
    assert_int_equal(strlen(at.peer_fingerprint), 64);
    assert_true(at.verified);
    assert_false(at.resumed);
    cdt_tls_bearssl.facts(t->pipe.server.session, &at);
    assert_string_equal(at.server_name, "host.example");
    assert_string_equal(at.peer_subject, "");
    assert_string_equal(at.peer_fingerprint, "");
    assert_false(at.verified);
    assert_false(cdt_tls_bearssl.half_close(t->pipe.client.session));
}

static void keys_of_all_kinds(void **state)
{
    struct t_bearssl *t = *state;
    struct tls_cert *rsa = tls_cert_new(
        &(struct tls_cert_spec){.cn = "rsa",
                                .san = "DNS:host.example",
                                .rsa_bits = 2048,
                                .issuer = t->ca});
    const char *keys[] = {rsa->key, rsa->key_native, t->leaf->key,
                          t->leaf->key_native};
    const char *chains[] = {rsa->chain, rsa->chain, t->leaf->chain,
                            t->leaf->chain};

    for (size_t i = 0; i < 4; i++) {
        t_bearssl_serve(t, chains[i], keys[i]);
        t_bearssl_connect(t, 0, 0);
        tls_pipe_fini(&t->pipe);
    }
    tls_cert_free(rsa);
}

/* ---- both ends show who they are ---------------------------------------- */

static void mutual(void **state)
{
    struct t_bearssl *t = *state;
    struct tls_cert *rsa = tls_cert_new(
        &(struct tls_cert_spec){.cn = "carol",
                                .usage = "clientAuth",
                                .rsa_bits = 2048,
                                .issuer = t->ca});
    const struct tls_cert *who[] = {t->client_leaf, rsa};
    struct conduit_tls_facts at;

    t->server_options.clients = CONDUIT_TLS_CLIENTS_REQUIRED;
    for (size_t i = 0; i < 2; i++) {
        t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
        t_bearssl_show(t, who[i]->chain, who[i]->key);
        t_bearssl_connect(t, 7, 0);
        cdt_tls_bearssl.facts(t->pipe.server.session, &at);
        assert_string_equal(at.peer_subject, i == 0 ? "CN=bob" : "CN=carol");
        assert_true(at.verified);
        tls_pipe_fini(&t->pipe);

        t_bearssl_connect(t, 0, 0); /* a resumed one knows it too */
        cdt_tls_bearssl.facts(t->pipe.server.session, &at);
        assert_true(at.resumed);
        assert_true(at.verified);
        assert_string_equal(at.peer_subject, i == 0 ? "CN=bob" : "CN=carol");
        tls_pipe_fini(&t->pipe);
    }
    tls_cert_free(rsa);
}

static void clients_without_certificate(void **state)
{
    struct t_bearssl *t = *state;
    struct conduit_tls_facts at;

    t->server_options.clients = CONDUIT_TLS_CLIENTS_OPTIONAL;
    t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
    t_bearssl_connect(t, 0, 0);
    cdt_tls_bearssl.facts(t->pipe.server.session, &at);
    assert_false(at.verified);
    tls_pipe_fini(&t->pipe);

    t->server_options.clients = CONDUIT_TLS_CLIENTS_REQUIRED;
    t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
    t_bearssl_refused(t, &t->pipe.server, CDT_TLS_NO_CERTIFICATE);
    assert_int_equal(t->pipe.client.result, CONDUIT_ETLS);
}

/* Optional is not a way round: who shows a bad one is refused. */
static void clients_with_a_bad_one(void **state)
{
    struct t_bearssl *t = *state;

    for (int i = 0; i < 2; i++) {
        t->server_options.clients = i == 0 ? CONDUIT_TLS_CLIENTS_OPTIONAL
                                           : CONDUIT_TLS_CLIENTS_REQUIRED;
        t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
        t_bearssl_show(t, t->stranger->chain, t->stranger->key);
        t_bearssl_refused(t, &t->pipe.server, CDT_TLS_SELF_SIGNED);
        assert_int_equal(t->pipe.client.result, CONDUIT_ETLS);
        tls_pipe_fini(&t->pipe);
        t_bearssl_show(t, t->leaf->chain, t->leaf->key); /* a server's */
        t_bearssl_refused(t, &t->pipe.server, CDT_TLS_WRONG_USAGE);
        tls_pipe_fini(&t->pipe);
    }
}

/* ---- what is agreed ----------------------------------------------------- */

static void alpn(void **state)
{
    static const char *const ours[] = {"h2", "http/1.1", NULL};
    static const char *const theirs[] = {"http/1.1", "h2", NULL};
    static const char *const others[] = {"spdy/1", NULL};
    struct t_bearssl *t = *state;
    struct conduit_tls_facts at;

    t->server_options.alpn = ours;
    t->client_options.alpn = theirs;
    t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
    t_bearssl_show(t, NULL, NULL);
    t_bearssl_connect(t, 0, 0);
    cdt_tls_bearssl.facts(t->pipe.client.session, &at);
    assert_string_equal(at.alpn, "h2");
    cdt_tls_bearssl.facts(t->pipe.server.session, &at);
    assert_string_equal(at.alpn, "h2");
    tls_pipe_fini(&t->pipe);

    t->client_options.alpn = others;
    t_bearssl_show(t, NULL, NULL);
    t_bearssl_refused(t, &t->pipe.server, "no application protocol in common");
    assert_int_equal(t->pipe.client.result, CONDUIT_ETLS);
}

static void server_names(void **state)
{
    struct t_bearssl *t = *state;
    struct tls_cert *other = tls_cert_new(&(struct tls_cert_spec){
        .cn = "other", .san = "DNS:*.other.example", .issuer = t->ca});
    struct conduit_tls_identity both[] = {
        t_bearssl_identity(t->leaf->chain, t->leaf->key),
        t_bearssl_identity(other->chain, other->key)};
    struct conduit_tls_facts at;

    t_bearssl_serve_all(t, both, 2);
    t_bearssl_connect(t, 0, 0);
    cdt_tls_bearssl.facts(t->pipe.client.session, &at);
    assert_string_equal(at.peer_subject, "CN=server");
    tls_pipe_fini(&t->pipe);

    t->name = "www.other.example";
    t_bearssl_connect(t, 0, 0);
    cdt_tls_bearssl.facts(t->pipe.client.session, &at);
    assert_string_equal(at.peer_subject, "CN=other");
    tls_pipe_fini(&t->pipe);

    t->name = "nobody.example"; /* is shown the first */
    t_bearssl_refused(t, &t->pipe.client, CDT_TLS_WRONG_NAME);
    tls_cert_free(other);
}

static void addresses(void **state)
{
    struct t_bearssl *t = *state;
    struct tls_cert *ip = tls_cert_new(&(struct tls_cert_spec){
        .cn = "192.0.2.9",
        .san = "IP:192.0.2.1,IP:2001:db8::1,DNS:192.0.2.3",
        .issuer = t->ca});
    static const struct {
        const char *name;
        bool good;
    } cases[] = {{"192.0.2.1", true},
                 {"2001:db8::1", true},
                 {"2001:0db8:0:0::0001", true},
                 {"192.0.2.2", false},
                 {"2001:db8::2", false},
                 {"192.0.2.3", false},  /* a DNS name that looks so */
                 {"192.0.2.9", false}}; /* a CN */
    struct conduit_tls_facts at;

    t_bearssl_serve(t, ip->chain, ip->key);
    t->name_is_ip = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t->name = cases[i].name;
        if (!cases[i].good) {
            t_bearssl_refused(t, &t->pipe.client, CDT_TLS_WRONG_NAME);
        } else {
            t_bearssl_connect(t, 0, 0);
            cdt_tls_bearssl.facts(t->pipe.server.session, &at);
            assert_string_equal(at.server_name, "");
        }
        tls_pipe_fini(&t->pipe);
    }
    tls_cert_free(ip);
}

static void policies(void **state)
{
    static const char *const suites[] = {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"};
    static const char *const names[] = {"x25519", "secp256r1", "secp384r1",
                                        "secp521r1"};
    struct t_bearssl *t = *state;
    struct conduit_tls_facts at;

    for (size_t i = 0; i < 7; i++) {
        const char *const suite[] = {suites[i], NULL};
        const char *const group[] = {names[i % 4], NULL};

        t->client_options.policy.ciphers = suite;
        t->client_options.policy.groups = group;
        t_bearssl_show(t, NULL, NULL);
        t->server_options.policy = t->client_options.policy;
        t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
        t_bearssl_connect(t, 0, 0);
        cdt_tls_bearssl.facts(t->pipe.client.session, &at);
        assert_string_equal(at.cipher, suites[i]);
        assert_int_equal(tls_pipe_stream(&t->pipe, &t->pipe.client,
                                         &t->pipe.server, 1, 50000, 16384),
                         50000);
        tls_pipe_fini(&t->pipe);
    }
}

/* ---- resumption --------------------------------------------------------- */

static bool resumes(struct t_bearssl *t)
{
    struct conduit_tls_facts client;
    struct conduit_tls_facts server;

    t_bearssl_connect(t, 0, 0);
    cdt_tls_bearssl.facts(t->pipe.client.session, &client);
    cdt_tls_bearssl.facts(t->pipe.server.session, &server);
    assert_int_equal(client.resumed, server.resumed);
    assert_true(client.verified);
    assert_string_equal(client.peer_subject, "CN=server");
    assert_int_equal(strlen(client.peer_fingerprint), 64);
    assert_int_equal(tls_pipe_stream(&t->pipe, &t->pipe.server, &t->pipe.client,
                                     1, 3000, 3000),
                     3000);
    tls_pipe_fini(&t->pipe);
    return client.resumed;
}

static void resumption(void **state)
{
    struct t_bearssl *t = *state;

    assert_false(resumes(t));
    assert_true(resumes(t));
    assert_true(resumes(t));
    t_bearssl_serve(t, t->leaf->chain, t->leaf->key); /* forgets */
    assert_false(resumes(t));
    assert_true(resumes(t));
    t->client_options.no_resumption = true;
    t_bearssl_show(t, NULL, NULL);
    assert_false(resumes(t));
    assert_false(resumes(t));
}

/* A session that nobody was verified for does not stand for one. */
static void resumption_verifies(void **state)
{
    struct t_bearssl *t = *state;
    struct conduit_tls_facts at;

    t_bearssl_serve(t, t->stranger->chain, t->stranger->key);
    t->client_trusts_anybody = true;
    t_bearssl_connect(t, 0, 0);
    cdt_tls_bearssl.facts(t->pipe.client.session, &at);
    assert_false(at.verified);
    assert_string_equal(at.peer_subject, "CN=stranger");
    tls_pipe_fini(&t->pipe);
    t->client_trusts_anybody = false;
    t_bearssl_refused(t, &t->pipe.client, CDT_TLS_SELF_SIGNED);
}

static void many_sessions(void **state)
{
    struct t_bearssl *t = *state;

    t->client_options.no_resumption = true;
    t_bearssl_show(t, NULL, NULL);
    for (int i = 0; i < 300; i++) {
        assert_false(resumes(t));
    }
}

/* ---- ends --------------------------------------------------------------- */

static void closing(void **state)
{
    struct t_bearssl *t = *state;
    char buf[64];

    t_bearssl_connect(t, 7, 0);
    assert_int_equal(cdt_tls_bearssl.write(t->pipe.client.session, "bye", 3),
                     3);
    assert_int_equal(cdt_tls_bearssl.close(t->pipe.client.session), 0);
    assert_int_equal(cdt_tls_bearssl.write(t->pipe.client.session, "x", 1),
                     CONDUIT_ECLOSED);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.server, buf, 64), 3);
    assert_memory_equal(buf, "bye", 3);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.server, buf, 64),
                     CONDUIT_END);
    assert_true(cdt_tls_bearssl.readable(t->pipe.server.session));
    assert_int_equal(cdt_tls_bearssl.write(t->pipe.server.session, "x", 1),
                     CONDUIT_EPIPE);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 64),
                     CONDUIT_END);
    assert_int_equal(cdt_tls_bearssl.close(t->pipe.server.session), 0);
    assert_int_equal(cdt_tls_bearssl.flush(t->pipe.server.session), 0);
}

/* Both at once, with unread bytes on both sides. */
static void closing_both(void **state)
{
    struct t_bearssl *t = *state;
    char buf[64];

    t_bearssl_connect(t, 0, 0);
    assert_true(tls_pipe_write(&t->pipe, &t->pipe.client, "one"));
    assert_true(tls_pipe_write(&t->pipe, &t->pipe.server, "two"));
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 1), 1);
    assert_int_equal(cdt_tls_bearssl.close(t->pipe.client.session), 0);
    assert_int_equal(cdt_tls_bearssl.close(t->pipe.server.session), 0);
    assert_int_equal(cdt_tls_bearssl.close(t->pipe.server.session), 0);
    tls_pipe_flush(&t->pipe);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 64),
                     CONDUIT_END);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.server, buf, 64),
                     CONDUIT_END);
}

static void truncation(void **state)
{
    struct t_bearssl *t = *state;
    char buf[64];

    t_bearssl_connect(t, 0, 0);
    assert_true(tls_pipe_write(&t->pipe, &t->pipe.server, "cut"));
    t->pipe.down.ended = true;
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 64), 3);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 64),
                     CONDUIT_ETRUNCATED);
    assert_string_equal(t->pipe.client.session->fault.text, CDT_TLS_TRUNCATED);
    assert_true(cdt_tls_bearssl.readable(t->pipe.client.session));
    assert_true(tls_pipe_write(&t->pipe, &t->pipe.client, "so what"));
    assert_int_equal(cdt_tls_bearssl.close(t->pipe.client.session), 0);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.server, buf, 64), 7);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.server, buf, 64),
                     CONDUIT_END);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 64),
                     CONDUIT_ETRUNCATED);
    tls_pipe_fini(&t->pipe);

    t_bearssl_open(t, 0, 0);
    t->pipe.down.ended = true;
    assert_false(tls_pipe_handshake(&t->pipe));
    assert_int_equal(t->pipe.client.result, 0 + CONDUIT_ETRUNCATED);
}

/* What the layer below says is passed on as it is. */
static void codes_from_below(void **state)
{
    struct t_bearssl *t = *state;
    char buf[64];

    t_bearssl_connect(t, 0, 0);
    assert_true(tls_pipe_write(&t->pipe, &t->pipe.server, "last"));
    t->pipe.down.read_code = CONDUIT_ERESET;
    t->pipe.up.write_code = CONDUIT_EPIPE;
    assert_int_equal(cdt_tls_bearssl.write(t->pipe.client.session, "x", 1), 1);
    assert_int_equal(cdt_tls_bearssl.flush(t->pipe.client.session),
                     CONDUIT_EPIPE);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 64), 4);
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 64),
                     CONDUIT_ERESET);
}

static void damaged_record(void **state)
{
    struct t_bearssl *t = *state;
    char buf[64];

    t_bearssl_connect(t, 0, 0);
    assert_true(tls_pipe_write(&t->pipe, &t->pipe.server, "hello"));
    t->pipe.down.data[t->pipe.down.end - 1] ^= 1;
    assert_int_equal(tls_pipe_read(&t->pipe, &t->pipe.client, buf, 64),
                     CONDUIT_ETLS);
    assert_string_equal(t->pipe.client.session->fault.text,
                        "a record does not verify");
    assert_int_equal(cdt_tls_bearssl.read(t->pipe.client.session, buf, 64),
                     CONDUIT_ETLS);
    assert_int_equal(cdt_tls_bearssl.flush(t->pipe.client.session), 0);
}

/* What BearSSL had not given out when it failed is not said to be gone. */
static void damaged_record_while_stuck(void **state)
{
    struct t_bearssl *t = *state;
    char buf[64];

    t_bearssl_connect(t, 0, 0);
    t->pipe.up.capacity = 1;
    assert_int_equal(cdt_tls_bearssl.write(t->pipe.client.session, "x", 1), 1);
    assert_int_equal(cdt_tls_bearssl.flush(t->pipe.client.session),
                     CONDUIT_AGAIN);
    assert_true(tls_pipe_write(&t->pipe, &t->pipe.server, "hello"));
    t->pipe.down.data[t->pipe.down.end - 1] ^= 1;
    assert_int_equal(cdt_tls_bearssl.read(t->pipe.client.session, buf, 64),
                     CONDUIT_ETLS);
    t->pipe.up.capacity = 0;
    assert_int_equal(cdt_tls_bearssl.flush(t->pipe.client.session),
                     CONDUIT_ETLS);
}

/* Bytes that are no TLS at all. */
static void garbage(void **state)
{
    struct t_bearssl *t = *state;

    t_bearssl_open(t, 0, 0);
    (void)t->pipe.client.engine->flush(t->pipe.client.session);
    t->pipe.client.result = cdt_tls_bearssl.handshake(t->pipe.client.session);
    memcpy(t->pipe.up.data, "GET / HTTP/1.1\r\n", 16);
    t->pipe.server.result = cdt_tls_bearssl.handshake(t->pipe.server.session);
    assert_int_equal(t->pipe.server.result, CONDUIT_ETLS);
    assert_non_null(t->pipe.server.session->fault.text);
}

/* A peer that stops anywhere in the handshake leaves it waiting, and one that
 * ends there is a truncation; nothing else. */
static void stops_anywhere(void **state)
{
    struct t_bearssl *t = *state;
    uint64_t total;
    bool done;

    t->server_options.no_resumption = true;
    t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
    t_bearssl_connect(t, 0, 0);
    total = t->pipe.down.total;
    tls_pipe_fini(&t->pipe);
    for (uint64_t stop = 0; stop + 26 < total; stop += 13) {
        t_bearssl_open(t, 0, 0);
        t->pipe.down.capacity = 13;
        do {
            done = t->pipe.down.total >= stop;
            t->pipe.client.result = cdt_tls_bearssl.handshake(
                t->pipe.client.session);
            (void)cdt_tls_bearssl.handshake(t->pipe.server.session);
        } while (!done && t->pipe.client.result == CONDUIT_AGAIN);
        t->pipe.down.ended = true;
        t->pipe.down.end = t->pipe.down.start;
        assert_int_equal(cdt_tls_bearssl.handshake(t->pipe.client.session),
                         CONDUIT_ETRUNCATED);
        tls_pipe_fini(&t->pipe);
    }
}

static void keylog_line(void *arg, const char *line)
{
    snprintf(arg, 256, "%s", line);
}

static void keylog(void **state)
{
    struct t_bearssl *t = *state;
    char client[256] = "";
    char server[256] = "";

    t->client_options.keylog = t->server_options.keylog = keylog_line;
    t->client_options.keylog_arg = client;
    t->server_options.keylog_arg = server;
    t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
    t_bearssl_show(t, NULL, NULL);
    t_bearssl_connect(t, 0, 0);
    assert_int_equal(strlen(client), 14 + 64 + 1 + 96);
    assert_memory_equal(client, "CLIENT_RANDOM ", 14);
    assert_string_equal(client, server);
}

/* Sessions outlive the credentials that they were made of. */
static void credentials_go_first(void **state)
{
    struct t_bearssl *t = *state;

    t_bearssl_open(t, 0, 0);
    cdt_tls_bearssl.credentials_free(t->client);
    cdt_tls_bearssl.credentials_free(t->server);
    t->client = t->server = NULL;
    assert_true(tls_pipe_handshake(&t->pipe));
}

#define TEST(f) \
    cmocka_unit_test_setup_teardown(f, t_bearssl_setup, t_bearssl_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(streams),
        TEST(facts),
        TEST(keys_of_all_kinds),
        TEST(mutual),
        TEST(clients_without_certificate),
        TEST(clients_with_a_bad_one),
        TEST(alpn),
        TEST(server_names),
        TEST(addresses),
        TEST(policies),
        TEST(resumption),
        TEST(resumption_verifies),
        TEST(many_sessions),
        TEST(closing),
        TEST(closing_both),
        TEST(truncation),
        TEST(codes_from_below),
        TEST(damaged_record),
        TEST(damaged_record_while_stuck),
        TEST(garbage),
        TEST(stops_anywhere),
        TEST(keylog),
        TEST(credentials_go_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
