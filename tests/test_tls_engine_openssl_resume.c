/* SPDX-License-Identifier: ISC */
/* Which sessions of the OpenSSL engine are resumed, and which must not be. */
#include "openssl.h"
#include "test_tls_engine_openssl.h"
#include "tls_clock.h"

/* ---- resumption --------------------------------------------------------- */

/* Tickets of TLS 1.3 come behind the handshake and want to be read. */
static void collect_tickets(struct duo *d)
{
    char byte;

    assert_int_equal(tls_pipe_read(&d->pipe, &d->pipe.client, &byte, 1),
                     CONDUIT_AGAIN);
}

static bool resumed(struct duo *d)
{
    bool is;

    must_shake(d);
    is = facts_of(&d->pipe.client).resumed;
    assert_int_equal(facts_of(&d->pipe.server).resumed, is);
    assert_string_equal(facts_of(&d->pipe.client).peer_subject, "CN=server");
    assert_int_equal(facts_of(&d->pipe.client).verified,
                     !d->pair.client_trusts_anybody);
    stream_both_ways(d, 1000, 100);
    collect_tickets(d);
    return is;
}

static void sessions_are_resumed(void **state)
{
    static const unsigned versions[] = {CONDUIT_TLS_1_2, CONDUIT_TLS_1_3};

    for (size_t v = 0; v < 2; v++) {
        struct duo d;

        duo_init(&d, state);
        duo_version(&d, versions[v]);
        d.client_spec.identities[0] = client_cert;
        d.server_spec.options.clients = CONDUIT_TLS_CLIENTS_REQUIRED;
        assert_false(resumed(&d));
        for (int i = 0; i < 5; i++) {
            assert_true(resumed(&d));
            assert_true(facts_of(&d.pipe.server).verified);
            assert_string_equal(facts_of(&d.pipe.server).server_name,
                                "a.example");
        }
        d.pair.client_trusts_anybody = true; /* other rules: not that one */
        assert_false(resumed(&d));
        d.pair.client_trusts_anybody = false;
        d.pair.name = "192.0.2.1"; /* another name neither */
        d.pair.name_is_ip = true;
        assert_false(resumed(&d));
        assert_true(resumed(&d));
        duo_fini(&d);
    }
}

/* Servers resume each other's sessions if they share the secret and verify
 * alike. */
static void tickets_depend_on_secret_and_policy(void **state)
{
    static const uint8_t secrets[2][32] = {{1}, {2}};
    struct duo d;
    struct tls_cred_spec second;
    struct cdt_tls_credentials *first;

    duo_init(&d, state);
    d.server_spec.options.ticket_secret = secrets[0];
    d.server_spec.options.clients = CONDUIT_TLS_CLIENTS_OPTIONAL;
    assert_false(resumed(&d));
    first = d.pair.server;
    for (int i = 0; i < 4; i++) {
        second = d.server_spec;
        second.options.ticket_secret = secrets[i == 1];
        if (i == 2) {
            second.options.clients = CONDUIT_TLS_CLIENTS_OFF;
        }
        d.pair.server_trusts_anybody = i == 3;
        d.pair.server = tls_cred_new(ENGINE, d.env->ctx, &second);
        assert_int_equal(resumed(&d), i == 0);
        ENGINE->credentials_free(d.pair.server);
        d.pair.server_trusts_anybody = false;
        d.pair.server = first;
        (void)resumed(&d);
    }
    duo_fini(&d);
}

static void resumption_can_be_off(void **state)
{
    static const unsigned versions[] = {CONDUIT_TLS_1_2, CONDUIT_TLS_1_3};

    for (size_t i = 0; i < 4; i++) {
        struct duo d;

        duo_init(&d, state);
        duo_version(&d, versions[i % 2]);
        d.client_spec.options.no_resumption = i < 2;
        d.server_spec.options.no_resumption = i >= 2;
        assert_false(resumed(&d));
        assert_false(resumed(&d));
        duo_fini(&d);
    }
}

/* The list of kept sessions has an end. */
static void kept_sessions_are_bounded(void **state)
{
    char names[100][32];
    struct duo d;

    duo_init(&d, state);
    d.server_spec.identities[0] = other_cert;
    for (size_t i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "n%zu.b.example", i);
        d.pair.name = names[i];
        must_shake(&d);
        collect_tickets(&d);
    }
    d.pair.name = names[99];
    must_shake(&d);
    assert_true(facts_of(&d.pipe.client).resumed);
    d.pair.name = names[0];
    must_shake(&d);
    assert_false(facts_of(&d.pipe.client).resumed);
    duo_fini(&d);
}

/* A session that a server would keep; ids are random. */
static SSL_SESSION *session_with_id(uint64_t stream, uint8_t id[32])
{
    SSL_SESSION *session = SSL_SESSION_new();

    t_fill(stream, 0, id, 32);
    assert_non_null(session);
    assert_int_equal(SSL_SESSION_set1_id(session, id, 32), 1);
    return session;
}

#define SESSIONS 4000

static void a_server_keeps_so_many(void **state)
{
    uint8_t(*ids)[32] = calloc(SESSIONS, sizeof *ids);
    struct cdt_ossl_session *s;
    struct duo d;
    size_t found = 0;

    duo_init(&d, state);
    must_shake(&d);
    s = (struct cdt_ossl_session *)d.pipe.server.session;
    assert_null(s->cred->cache); /* that client has a ticket */
    for (size_t i = 0; i < SESSIONS; i++) {
        assert_true(
            cdt_ossl_cache_add(s->cred, session_with_id(i + 1, ids[i])));
        assert_non_null(cdt_ossl_cache_find(s, ids[i], 32));
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        found += cdt_ossl_cache_find(s, ids[i], 32) != NULL;
        assert_null(cdt_ossl_cache_find(s, ids[i], 31));
    }
    assert_in_range(found, 900, 1024);
    assert_null(cdt_ossl_cache_find(s, ids[0], 0));
    duo_fini(&d);
    free(ids);
}

/* What is in a ticket is not kept as well, with either version. */
static void a_server_keeps_no_tickets(void **state)
{
    static const unsigned versions[] = {CONDUIT_TLS_1_2, CONDUIT_TLS_1_3};

    for (size_t v = 0; v < 2; v++) {
        const struct cdt_ossl_session *s;
        struct duo d;

        duo_init(&d, state);
        duo_version(&d, versions[v]);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(resumed(&d), i > 0);
            s = (const struct cdt_ossl_session *)d.pipe.server.session;
            assert_null(s->cred->cache);
            assert_int_equal(SSL_CTX_sess_number(s->cred->ssl_ctx), 0);
        }
        duo_fini(&d);
    }
}

/* The keys of tickets change by the hour, and the last ones still count. */
static void tickets_outlive_the_hour(void **state)
{
    static const unsigned versions[] = {CONDUIT_TLS_1_2, CONDUIT_TLS_1_3};

    tls_clock_take(*state);
    for (size_t v = 0; v < 2; v++) {
        struct duo d;

        duo_init(&d, state);
        duo_version(&d, versions[v]);
        tls_clock_set(0);
        assert_false(resumed(&d));
        tls_clock_set(3600);
        assert_true(resumed(&d)); /* and renewed */
        assert_true(resumed(&d));
        tls_clock_set(3600 + 7100);
        assert_int_equal(resumed(&d), false); /* its time is over by ours */
        tls_clock_set(103L * 3600);
        assert_false(resumed(&d));
        duo_fini(&d);
    }
}

/* Certificates are judged by the same clock. */
static void the_clock_is_the_platforms(void **state)
{
    struct duo d;

    tls_clock_take(*state);
    duo_init(&d, state);
    must_shake(&d);
    tls_clock_set(2L * 366 * 24 * 3600);
    assert_false(duo_shake(&d));
    assert_string_equal(d.pipe.client.session->fault.text, CDT_TLS_EXPIRED);
    duo_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(sessions_are_resumed),
        T_TEST(tickets_depend_on_secret_and_policy),
        T_TEST(resumption_can_be_off),
        T_TEST(kept_sessions_are_bounded),
        T_TEST(a_server_keeps_so_many),
        T_TEST(a_server_keeps_no_tickets),
        T_TEST(tickets_outlive_the_hour),
        T_TEST(the_clock_is_the_platforms),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
