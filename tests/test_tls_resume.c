/* SPDX-License-Identifier: ISC */
/*
 * Resumption between any two engines, and that it ends with the certificates
 * that it stands in for: a resumed handshake shows none.
 */
#include "support.h"

#include "tls_clock.h"
#include "tls_cred.h"
#include "tls_pipe.h"

#define MINUTE 60L
#define NAME "a.example"

struct pair {
    const char *what;
    const struct cdt_tls_engine *client;
    const struct cdt_tls_engine *server;
    unsigned version;
};

static const struct pair pairs[] = {
    {"OpenSSL, TLS 1.3", &cdt_tls_openssl, &cdt_tls_openssl, CONDUIT_TLS_1_3},
    {"OpenSSL, TLS 1.2", &cdt_tls_openssl, &cdt_tls_openssl, CONDUIT_TLS_1_2},
    {"BearSSL", &cdt_tls_bearssl, &cdt_tls_bearssl, CONDUIT_TLS_1_2},
    {"OpenSSL to BearSSL", &cdt_tls_openssl, &cdt_tls_bearssl, CONDUIT_TLS_1_2},
    {"BearSSL to OpenSSL", &cdt_tls_bearssl, &cdt_tls_openssl, CONDUIT_TLS_1_2},
};

#define LENGTH(table) (sizeof(table) / sizeof((table)[0]))

/* ---- certificates ------------------------------------------------------- */

/* Whose certificate is out of its time, when the clock is set to `then`. */
enum whose { NOBODYS, ROOT, MIDDLE, SERVER, CLIENT, CLIENT_MIDDLE, ALL };

struct certs {
    struct tls_cert *of[ALL];
};

static struct tls_cert *make(enum whose which, enum whose bad,
                             struct tls_cert_spec spec, long from, long to)
{
    if (which == bad) {
        spec.from = from;
        spec.to = to;
    }
    return tls_cert_new(&spec);
}

static void certs_init(struct certs *c, enum whose bad, long from, long to)
{
    c->of[NOBODYS] = NULL;
    c->of[ROOT] = make(
        ROOT, bad, (struct tls_cert_spec){.cn = "root", .ca = true}, from, to);
    c->of[MIDDLE] = make(MIDDLE, bad,
                         (struct tls_cert_spec){
                             .cn = "middle", .ca = true, .issuer = c->of[ROOT]},
                         from, to);
    c->of[CLIENT_MIDDLE] = make(CLIENT_MIDDLE, bad,
                                (struct tls_cert_spec){.cn = "between",
                                                       .ca = true,
                                                       .issuer = c->of[ROOT]},
                                from, to);
    c->of[SERVER] = make(SERVER, bad,
                         (struct tls_cert_spec){.cn = "server",
                                                .san = "DNS:" NAME,
                                                .issuer = c->of[MIDDLE]},
                         from, to);
    c->of[CLIENT] = make(
        CLIENT, bad,
        (struct tls_cert_spec){.cn = "client", .issuer = c->of[CLIENT_MIDDLE]},
        from, to);
}

static void certs_fini(struct certs *c)
{
    for (size_t i = 0; i < ALL; i++) {
        tls_cert_free(c->of[i]);
    }
}

/* ---- two ends ----------------------------------------------------------- */

struct ends {
    struct tls_cred_spec client;
    struct tls_cred_spec server;
    struct tls_pipe_pair pair;
    struct tls_pipe pipe;
};

static void ends_init(struct ends *e, struct t_env *env, const struct pair *p,
                      const struct certs *c)
{
    memset(e, 0, sizeof *e);
    e->client.authorities[0] = e->server.authorities[0] = c->of[ROOT];
    e->client.identities[0] = c->of[CLIENT];
    e->server.identities[0] = c->of[SERVER];
    e->server.options.clients = CONDUIT_TLS_CLIENTS_REQUIRED;
    e->client.options.policy.min_version = p->version;
    e->client.options.policy.max_version = p->version;
    e->pair.client_engine = p->client;
    e->pair.server_engine = p->server;
    e->pair.name = NAME;
    e->pair.client = tls_cred_new(p->client, env->ctx, &e->client);
    e->pair.server = tls_cred_new(p->server, env->ctx, &e->server);
}

static void ends_fini(struct ends *e)
{
    tls_pipe_fini(&e->pipe);
    e->pair.client_engine->credentials_free(e->pair.client);
    e->pair.server_engine->credentials_free(e->pair.server);
}

static bool shake(struct ends *e)
{
    struct conduit_error err = {0};

    tls_pipe_fini(&e->pipe);
    if (tls_pipe_init(&e->pipe, &e->pair, 0, 0, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tls_pipe_handshake(&e->pipe);
}

static bool is_resumed(const struct tls_pipe_end *end, const char *subject)
{
    struct conduit_tls_facts facts = {0};

    end->engine->facts(end->session, &facts);
    assert_true(facts.verified);
    assert_string_equal(facts.peer_subject, subject);
    return facts.resumed;
}

/* A handshake that succeeds; whether it was a resumed one. */
static bool resumed(struct ends *e)
{
    struct tls_pipe *p = &e->pipe;
    char byte;
    bool is;

    if (!shake(e)) {
        const char *client = p->client.session->fault.text;
        const char *server = p->server.session->fault.text;

        fail_msg("client %s, server %s", client != NULL ? client : "",
                 server != NULL ? server : "");
    }
    is = is_resumed(&p->client, "CN=server");
    assert_int_equal(is_resumed(&p->server, "CN=client"), is);
    assert_int_equal(tls_pipe_stream(p, &p->client, &p->server, 1, 9, 9), 9);
    assert_int_equal(tls_pipe_stream(p, &p->server, &p->client, 2, 9, 9), 9);
    /* Tickets of TLS 1.3 come behind the handshake and want to be read. */
    assert_int_equal(tls_pipe_read(p, &p->client, &byte, 1), CONDUIT_AGAIN);
    return is;
}

/* ---- the tests ---------------------------------------------------------- */

static void every_pair_resumes(void **state)
{
    struct certs c;

    certs_init(&c, NOBODYS, 0, 0);
    for (size_t i = 0; i < LENGTH(pairs); i++) {
        struct ends e;

        print_message("%s\n", pairs[i].what);
        ends_init(&e, *state, &pairs[i], &c);
        assert_false(resumed(&e));
        for (int again = 0; again < 3; again++) {
            assert_true(resumed(&e));
        }
        ends_fini(&e);
    }
    certs_fini(&c);
}

/* Nobody is believed for longer than that without being looked at again. */
static void renewal_has_an_end(void **state)
{
    struct certs c;

    tls_clock_take(*state);
    certs_init(&c, NOBODYS, 0, 0);
    for (size_t i = 0; i < LENGTH(pairs); i++) {
        struct ends e;

        print_message("%s\n", pairs[i].what);
        tls_clock_set(0);
        ends_init(&e, *state, &pairs[i], &c);
        assert_false(resumed(&e));
        for (long minutes = 20; minutes < 120; minutes += 20) {
            tls_clock_set(minutes * MINUTE);
            assert_true(resumed(&e));
        }
        tls_clock_set(121 * MINUTE);
        assert_false(resumed(&e));
        ends_fini(&e);
    }
    certs_fini(&c);
}

/* Handshakes with one certificate that holds from..to; then the clock moves. */
struct times {
    long from;
    long to;
    long still; /* when it holds: resumed */
    long then;  /* when it does not */
    const char *text;
};

static void is_refused(struct ends *e, enum whose bad, const char *text)
{
    const struct tls_pipe_end *judge = &e->pipe.client;

    /* The client would speak first of what is wrong with the server's. */
    if (bad == CLIENT || bad == CLIENT_MIDDLE) {
        judge = &e->pipe.server;
    }
    (void)shake(e);
    assert_int_equal(judge->result, CONDUIT_ECERT);
    assert_string_equal(judge->session->fault.text, text);
}

static void try_time(struct t_env *env, const struct pair *pair,
                     const struct times *t, enum whose bad)
{
    struct certs c;
    struct ends e;

    print_message("%s, %d: %s\n", pair->what, bad, t->text);
    tls_clock_set(0);
    certs_init(&c, bad, t->from, t->to);
    ends_init(&e, env, pair, &c);
    assert_false(resumed(&e));
    tls_clock_set(t->still);
    assert_true(resumed(&e));
    assert_true(resumed(&e)); /* with what the resumed one left */
    tls_clock_set(t->then);
    is_refused(&e, bad, t->text);
    ends_fini(&e);
    certs_fini(&c);
}

static void it_ends_with_a_certificate(void **state)
{
    static const struct times times[] = {
        {-60 * MINUTE, 30 * MINUTE, 20 * MINUTE, 31 * MINUTE, CDT_TLS_EXPIRED},
        {-10 * MINUTE, 60 * MINUTE, 0, -11 * MINUTE, CDT_TLS_NOT_YET},
    };

    tls_clock_take(*state);
    for (size_t i = 0; i < LENGTH(pairs); i++) {
        for (enum whose bad = ROOT; bad < ALL; bad++) {
            for (size_t t = 0; t < LENGTH(times); t++) {
                try_time(*state, &pairs[i], &times[t], bad);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(every_pair_resumes),
        T_TEST(renewal_has_an_end),
        T_TEST(it_ends_with_a_certificate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
