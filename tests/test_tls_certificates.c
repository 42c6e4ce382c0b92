/* SPDX-License-Identifier: ISC */
/*
 * What both engines of TLS make of good and bad certificates, as tables: which
 * engine is used must not change what is accepted, and one cause has one text.
 * Where an engine cannot do what the other can, its own answer is in the row.
 *
 * Every row is tried with each engine as the judge: as a client, of a server's
 * certificate, and as a server, of a client's. All rows are run before a test
 * fails, so that one run shows all that changed.
 */
#include "support.h"

#include "bearssl_engine.h"
#include "tls_cred.h"
#include "tls_pipe.h"

#define HOUR 3600L
#define LENGTH(table) (sizeof(table) / sizeof((table)[0]))
#define NAME "a.example"

#define PLAIN_MAX 12u
#define ISSUERS_MAX (2 + PLAIN_MAX)

enum engine { OPENSSL, BEARSSL, ENGINES };

static const struct cdt_tls_engine *const engines[ENGINES] = {
    [OPENSSL] = &cdt_tls_openssl, [BEARSSL] = &cdt_tls_bearssl};

/* In place of a refusal's text: there are no such credentials at all. */
static const char no_crls[] = "BearSSL cannot check CRLs";

/* Whom the judge trusts. */
enum trust { ROOT, FIRST_MIDDLE, LEAF, STRANGER, NOBODY };

/* What is shown: the leaf and all authorities but the root; the leaf alone; or
 * the root as well. */
enum shown { CHAIN, ALONE, WITH_ROOT };

/* Whose certificate the row is about. */
enum role { ANYBODY, SERVER, CLIENT };

/* Every authority of the path has an empty CRL; or the first one's says that
 * what it issued is revoked; or the last one's; or that one has none; or a
 * stranger's is all there is. */
enum crl { NO_CRL, CLEAN, FIRST_REVOKES, LAST_REVOKES, LAST_MISSING, FOREIGN };

struct row {
    const char *name; /* whom a client expects; NULL: NAME */
    const char *what;
    const char *refused[ENGINES]; /* each engine's text; NULL: accepted */
    struct tls_cert_spec leaf;    /* for NAME unless it says otherwise */
    struct tls_cert_spec root;    /* without a name: a good one */
    struct tls_cert_spec middle;  /* below it; without a name: none */
    unsigned plain;               /* authorities below those, without faults */
    unsigned min_rsa_bits;        /* of the judge */
    enum trust trust;
    enum shown shown;
    enum role role;
    enum crl crl;
    bool self_signed;
    bool forged; /* the leaf, with a stranger's key; names are right */
    bool name_is_ip;
};

/* The rows: accepted by both, refused by both for one reason, or told apart. */
#define GOOD(text, ...) APART(text, NULL, NULL, __VA_ARGS__)
#define BAD(text, why, ...) \
    APART(text, CDT_TLS_##why, CDT_TLS_##why, __VA_ARGS__)
#define APART(text, openssl, bearssl, ...)                         \
    {                                                              \
        .what = (text), .refused = {openssl, bearssl}, __VA_ARGS__ \
    }

#define TOP(...) .root = {.cn = "root", __VA_ARGS__}
#define BETWEEN(...) .middle = {.cn = "middle", __VA_ARGS__}

/* ---- a row's certificates ----------------------------------------------- */

struct path {
    struct tls_cert *issuers[ISSUERS_MAX]; /* the root first */
    size_t count;
    struct tls_cert *leaf;
    struct tls_cert forger;
    struct tls_cert shown;
    char *crls[ISSUERS_MAX];
};

static struct tls_cert *stranger;   /* an authority that nobody trusts */
static struct tls_cert *our_server; /* what clients meet that are judged */

static int make_certs(void **state)
{
    (void)state;
    stranger = tls_cert_new(
        &(struct tls_cert_spec){.cn = "stranger", .ca = true});
    our_server = tls_cert_new(&(struct tls_cert_spec){.cn = "server"});
    return 0;
}

static int free_certs(void **state)
{
    (void)state;
    tls_cert_free(stranger);
    tls_cert_free(our_server);
    return 0;
}

static void add_issuer(struct path *p, struct tls_cert_spec spec)
{
    if (p->count > 0) {
        spec.issuer = p->issuers[p->count - 1];
    }
    assert_true(p->count < ISSUERS_MAX);
    p->issuers[p->count++] = tls_cert_new(&spec);
}

static void make_issuers(struct path *p, const struct row *row)
{
    struct tls_cert_spec plain = {.cn = "plain", .ca = true};
    char name[32];

    add_issuer(p, row->root.cn != NULL
                      ? row->root
                      : (struct tls_cert_spec){.cn = "root", .ca = true});
    if (row->middle.cn != NULL) {
        add_issuer(p, row->middle);
    }
    for (unsigned i = 0; i < row->plain; i++) {
        snprintf(name, sizeof name, "authority %u", i);
        plain.cn = name;
        add_issuer(p, plain);
    }
}

static void make_leaf(struct path *p, const struct row *row)
{
    struct tls_cert_spec spec = row->leaf;

    p->forger = *p->issuers[p->count - 1];
    p->forger.pkey = stranger->pkey;
    if (!row->self_signed) {
        spec.issuer = row->forged ? &p->forger : p->issuers[p->count - 1];
    }
    if (spec.cn == NULL) { /* else it has the names that it says */
        spec.cn = "leaf";
        if (spec.san == NULL && spec.raw_name == NULL) {
            spec.san = "DNS:" NAME;
        }
    }
    p->leaf = tls_cert_new(&spec);
    p->shown = *p->leaf;
    if (row->shown == ALONE) {
        p->shown.chain = p->leaf->pem;
    } else if (row->shown == WITH_ROOT) {
        assert_true(asprintf(&p->shown.chain, "%s%s", p->leaf->chain,
                             p->issuers[0]->pem) > 0);
    }
}

static void make_crls(struct path *p, enum crl crl)
{
    size_t last = p->count - 1;

    if (crl == FOREIGN) {
        p->crls[0] = tls_crl_new(stranger, NULL);
        return;
    }
    for (size_t i = 0; i < p->count && crl != NO_CRL; i++) {
        const struct tls_cert *next = i == last ? p->leaf : p->issuers[i + 1];
        bool revokes = (crl == FIRST_REVOKES && i == 0) ||
                       (crl == LAST_REVOKES && i == last);

        if (crl != LAST_MISSING || i != last) {
            p->crls[i] = tls_crl_new(p->issuers[i], revokes ? next : NULL);
        }
    }
}

static void path_fini(struct path *p, const struct row *row)
{
    if (row->shown == WITH_ROOT) {
        free(p->shown.chain);
    }
    for (size_t i = 0; i < ISSUERS_MAX; i++) {
        free(p->crls[i]);
    }
    tls_cert_free(p->leaf);
    while (p->count > 0) {
        tls_cert_free(p->issuers[--p->count]);
    }
}

/* ---- a judgement -------------------------------------------------------- */

/* One row, one judge, one role. */
struct trial {
    struct t_env *env;
    const struct row *row;
    const struct path *path;
    enum engine judge;
    bool of_server; /* the judge is the client */
};

__attribute__((format(printf, 2, 3))) static bool
complain(const struct trial *t, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    print_error("%s, by a %s of %s: %s\n", t->row->what,
                t->of_server ? "client" : "server", engines[t->judge]->name,
                text);
    return false;
}

static struct tls_cred_spec judge_spec(const struct trial *t)
{
    const struct tls_cert *const trusted[] = {
        [ROOT] = t->path->issuers[0],
        [FIRST_MIDDLE] = t->path->issuers[1],
        [LEAF] = t->path->leaf,
        [STRANGER] = stranger,
        [NOBODY] = NULL};
    struct tls_cred_spec spec = {.authorities = {trusted[t->row->trust]}};

    for (size_t i = 0; i < TLS_CRED_MAX; i++) {
        spec.crls[i] = t->path->crls[i];
    }
    spec.options.policy.min_rsa_bits = t->row->min_rsa_bits;
    if (!t->of_server) {
        spec.identities[0] = our_server;
        spec.options.clients = CONDUIT_TLS_CLIENTS_REQUIRED;
    }
    return spec;
}

static bool is_accepted(const struct trial *t, struct tls_pipe *p,
                        const struct tls_pipe_end *judge)
{
    struct conduit_tls_facts facts = {0};
    const char *why = judge->session->fault.text;

    if (p->client.result != 0 || p->server.result != 0) {
        return complain(t, "refused: %s", why != NULL ? why : "no text");
    }
    judge->engine->facts(judge->session, &facts);
    return (facts.verified &&
            tls_pipe_stream(p, &p->client, &p->server, 1, 100, 100) == 100 &&
            tls_pipe_stream(p, &p->server, &p->client, 2, 100, 100) == 100) ||
           complain(t, "not verified, or nothing can be sent");
}

static bool has_fault(const struct tls_pipe_end *end, int code,
                      const char *text, size_t n)
{
    const struct cdt_tls_fault *fault = &end->session->fault;

    return end->result == code && fault->code == code && fault->text != NULL &&
           strncmp(fault->text, text, n) == 0;
}

/* The judge says why; and the other hears of it, in TLS 1.3 by reading. */
static bool is_refused(const struct trial *t, struct tls_pipe *p,
                       struct tls_pipe_end *judge, const char *text)
{
    struct tls_pipe_end *other = tls_pipe_other(p, judge);
    const char *why = judge->session->fault.text;
    char byte;

    if (!has_fault(judge, CONDUIT_ECERT, text, strlen(text) + 1)) {
        return complain(t, "%d, %s; expected: %s", judge->result,
                        why != NULL ? why : "no text", text);
    }
    if (other->result == 0) {
        other->result = (int)tls_pipe_read(p, other, &byte, 1);
    }
    return has_fault(other, CONDUIT_ETLS, "the peer says: ", 15) ||
           complain(t, "the other one is told %d", other->result);
}

static bool shake(const struct trial *t, struct cdt_tls_credentials *judge,
                  struct cdt_tls_credentials *shower)
{
    const struct cdt_tls_engine *ours = engines[t->judge];
    const char *text = t->row->refused[t->judge];
    struct tls_pipe_pair pair = {
        .client_engine = t->of_server ? ours : engines[OPENSSL],
        .server_engine = t->of_server ? engines[OPENSSL] : ours,
        .client = t->of_server ? judge : shower,
        .server = t->of_server ? shower : judge,
        .name = t->of_server && t->row->name != NULL ? t->row->name : NAME,
        .name_is_ip = t->of_server && t->row->name_is_ip,
        .client_trusts_anybody = !t->of_server,
    };
    struct conduit_error err = {0};
    struct tls_pipe p;
    struct tls_pipe_end *end = t->of_server ? &p.client : &p.server;
    bool right;

    if (tls_pipe_init(&p, &pair, 0, 0, &err) != 0) {
        right = complain(t, "no session: %s", err.text);
    } else {
        (void)tls_pipe_handshake(&p);
        right = text != NULL ? is_refused(t, &p, end, text)
                             : is_accepted(t, &p, end);
    }
    tls_pipe_fini(&p);
    return right;
}

static bool judge(const struct trial *t)
{
    const struct cdt_tls_engine *ours = engines[t->judge];
    struct tls_cred_spec spec = judge_spec(t);
    struct tls_cred_spec other = {.identities = {&t->path->shown},
                                  .options.policy.min_rsa_bits = 1024};
    struct conduit_error err = {0};
    struct cdt_tls_credentials *cred;
    struct cdt_tls_credentials *shower;
    bool right;

    cred = tls_cred_try(ours, t->env->ctx, &spec, &err);
    if (cred == NULL) {
        return (t->row->refused[t->judge] == no_crls &&
                err.code == CONDUIT_ENOTSUP &&
                strstr(err.text, no_crls) != NULL) ||
               complain(t, "no credentials: %d, %s", err.code, err.text);
    }
    shower = tls_cred_try(engines[OPENSSL], t->env->ctx, &other, &err);
    right = shower != NULL ? shake(t, cred, shower)
                           : complain(t, "not shown: %s", err.text);
    if (shower != NULL) {
        engines[OPENSSL]->credentials_free(shower);
    }
    ours->credentials_free(cred);
    return right;
}

static unsigned run_row(struct t_env *env, const struct row *row)
{
    struct path path = {.count = 0};
    unsigned wrong = 0;

    make_issuers(&path, row);
    make_leaf(&path, row);
    make_crls(&path, row->crl);
    for (int i = 0; i < 2 * ENGINES; i++) {
        struct trial t = {.env = env,
                          .row = row,
                          .path = &path,
                          .judge = (enum engine)(i / 2),
                          .of_server = i % 2 == 0};

        if (row->role == ANYBODY || (row->role == SERVER) == t.of_server) {
            wrong += judge(&t) ? 0 : 1;
        }
    }
    path_fini(&path, row);
    return wrong;
}

static void run(void **state, const struct row *rows, size_t count)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < count; i++) {
        wrong += run_row(*state, &rows[i]);
    }
    assert_int_equal(wrong, 0);
}

/* ---- names -------------------------------------------------------------- */

/* Names with blanks between. */
struct name_row {
    const char *san; /* NULL: the CN alone is the name */
    const char *match;
    const char *others;
};

static unsigned run_names(struct t_env *env, const char *san, bool are_ip,
                          const char *list, const char *why)
{
    unsigned wrong = 0;
    char names[128];
    char what[128];
    char *at = NULL;

    snprintf(names, sizeof names, "%s", list != NULL ? list : "");
    for (char *name = strtok_r(names, " ", &at); name != NULL;
         name = strtok_r(NULL, " ", &at)) {
        struct row row = APART(what, why, why, .role = SERVER,
                               .leaf = {.cn = name, .san = san}, .name = name,
                               .name_is_ip = are_ip);

        snprintf(what, sizeof what, "%s for %s", san != NULL ? san : "CN",
                 name);
        wrong += run_row(env, &row);
    }
    return wrong;
}

static void run_all_names(void **state, const struct name_row *rows,
                          size_t count, bool are_ip)
{
    static const char bad[] = CDT_TLS_WRONG_NAME;
    unsigned wrong = 0;

    for (size_t i = 0; i < count; i++) {
        const struct name_row *r = &rows[i];

        wrong += run_names(*state, r->san, are_ip, r->match, NULL);
        wrong += run_names(*state, r->san, are_ip, r->others, bad);
    }
    assert_int_equal(wrong, 0);
}

/* Host names by the letter have no underscores, nor hyphens at an edge, and
 * there are no wildcards for such. */
static void names(void **state)
{
    static const struct name_row rows[] = {
        {"DNS:a.example", "a.example A.Example",
         "b.example a.example.org example a.examples xa.example"},
        {"DNS:A.EXAMPLE", "a.example", "b.example"},
        {"DNS:b.example,IP:192.0.2.1,DNS:a.example,DNS:*.c.example",
         "a.example b.example x.c.example", "c.example"},
        {"DNS:a_b.example", "a_b.example", "a-b.example"},
        {"DNS:localhost", "localhost", "example"},
        {"DNS:a.example.", "", "a.example"},
        {"DNS:.a.example", "", "a.example x.a.example"},
        {"email:a.example,URI:a.example,IP:192.0.2.1", "", "a.example"},
        {NULL, "", "a.example"},
        {"DNS:*.b.example", "x.b.example X.B.Example xn--x.b.example",
         "b.example x.y.b.example x.c.example xb.example x_y.b.example"},
        {"DNS:*.B.EXAMPLE", "x.b.example", "b.example"},
        {"DNS:*.a_b.example", "", "a_b.example x.a_b.example"},
        {"DNS:*.-b.example", "", "-b.example x.-b.example"},
        {"DNS:*", "", "a.example localhost"},
        {"DNS:*.", "", "a.example localhost"},
        {"DNS:*.com", "", "a.com a.b.com com"},
        {"DNS:w*w.b.example", "", "www.b.example"},
        {"DNS:w*.b.example", "", "www.b.example"},
        {"DNS:*w.b.example", "", "www.b.example"},
        {"DNS:**.b.example", "", "www.b.example"},
        {"DNS:xn--*.b.example", "", "xn--x.b.example"},
        {"DNS:a.*.example", "", "a.b.example"},
        {"DNS:*.*.example", "", "a.b.example"},
        {"DNS:a.b.*", "", "a.b.example"},
    };

    run_all_names(state, rows, LENGTH(rows), false);
}

static void addresses(void **state)
{
    static const struct name_row rows[] = {
        {"IP:192.0.2.1", "192.0.2.1", "192.0.2.2 ::ffff:192.0.2.1 ::1"},
        {"DNS:a.example,IP:192.0.2.2,IP:192.0.2.1", "192.0.2.1 192.0.2.2",
         "192.0.2.3"},
        {"IP:2001:db8::1", "2001:db8::1 2001:DB8:0:0:0:0:0:1",
         "2001:db8::2 ::1"},
        {"IP:::1,IP:127.0.0.1", "::1 127.0.0.1", "::2"},
        {"IP:::ffff:192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"},
        {"DNS:192.0.2.1,DNS:*.0.2.1,URI:192.0.2.1", "", "192.0.2.1"},
        {NULL, "", "192.0.2.1"},
    };

    run_all_names(state, rows, LENGTH(rows), true);
}

/* ---- the leaf ----------------------------------------------------------- */

static void leaves(void **state)
{
    static const struct row rows[] = {
        GOOD("EC", .role = ANYBODY),
        GOOD("RSA-2048", .leaf = {.rsa_bits = 2048}),
        GOOD("both usages", .leaf = {.usage = "clientAuth,serverAuth"}),
        /* RFC 5280 section 4.2.1.12 leaves it to the reader. */
        BAD("any usage", WRONG_USAGE, .leaf = {.usage = "anyExtendedKeyUsage"}),
        GOOD("any usage and one of each",
             .leaf = {.usage = "anyExtendedKeyUsage,clientAuth,serverAuth"}),
        GOOD("for servers", .leaf = {.usage = "serverAuth"}, .role = SERVER),
        GOOD("for clients", .leaf = {.usage = "clientAuth"}, .role = CLIENT),
        GOOD("no names at all", .leaf = {.cn = "bob"}, .role = CLIENT),
        GOOD("signs handshakes",
             .leaf = {.key_usage = "critical,digitalSignature"}),
        GOOD("CA:FALSE", .leaf = {.not_a_ca = true}),
        BAD("expired", EXPIRED, .leaf = {.from = -2 * HOUR, .to = -HOUR}),
        BAD("not yet valid", NOT_YET, .leaf = {.from = HOUR}),
        BAD("for clients only", WRONG_USAGE, .leaf = {.usage = "clientAuth"},
            .role = SERVER),
        BAD("for servers only", WRONG_USAGE, .leaf = {.usage = "serverAuth"},
            .role = CLIENT),
        BAD("for code", WRONG_USAGE, .leaf = {.usage = "codeSigning"}),
        BAD("RSA for certificates only", WRONG_USAGE,
            .leaf = {.key_usage = "critical,keyCertSign", .rsa_bits = 2048}),
        BAD("RSA for encryption only", WRONG_USAGE,
            .leaf = {.key_usage = "keyEncipherment", .rsa_bits = 2048}),
        /* A server of OpenSSL does not get as far as to show it. */
        BAD("EC for agreement only", WRONG_USAGE,
            .leaf = {.key_usage = "keyAgreement"}, .role = CLIENT),
        BAD("RSA-1024", WEAK_KEY, .leaf = {.rsa_bits = 1024}),
        BAD("RSA-2040", WEAK_KEY, .leaf = {.rsa_bits = 2040}),
        BAD("RSA-2048 where 3072 is asked for", WEAK_KEY,
            .leaf = {.rsa_bits = 2048}, .min_rsa_bits = 3072),
        BAD("NUL and another name behind the name", WRONG_NAME,
            .leaf = {.raw_name = NAME "\0.evil.example", .raw_name_size = 23},
            .role = SERVER),
        BAD("NUL behind the name", WRONG_NAME,
            .leaf = {.raw_name = NAME "\0", .raw_name_size = 10},
            .role = SERVER),
        BAD("NUL in a wildcard", WRONG_NAME,
            .leaf = {.raw_name = "*.b\0c.example", .raw_name_size = 13},
            .role = SERVER, .name = "x.b"),
        BAD("expecting a name with a dot in front", WRONG_NAME,
            .leaf = {.san = "DNS:a.b.example"}, .role = SERVER,
            .name = ".b.example"),
        BAD("signed by another key", BAD_SIGNATURE, .forged = true),
    };

    run(state, rows, LENGTH(rows));
}

/* ---- the issuers -------------------------------------------------------- */

static void authorities(void **state)
{
    static const struct row rows[] = {
        GOOD("one between", BETWEEN(.ca = true)),
        GOOD("RSA all the way", .leaf = {.rsa_bits = 2048},
             TOP(.ca = true, .rsa_bits = 2048),
             BETWEEN(.ca = true, .rsa_bits = 2048)),
        GOOD("eleven between", .plain = 11),
        BAD("twelve between, and the leaf", TOO_MUCH, .plain = 12),
        BAD("expired issuer", EXPIRED, BETWEEN(.ca = true, .to = -HOUR / 2)),
        BAD("issuer not yet valid", NOT_YET, BETWEEN(.ca = true, .from = HOUR)),
        BAD("issuer with CA:FALSE", NOT_A_CA, BETWEEN(.not_a_ca = true)),
        BAD("issuer that does not say", NOT_A_CA, BETWEEN(.ca = false)),
        BAD("issuer that does not say, with keyCertSign", NOT_A_CA,
            BETWEEN(.key_usage = "keyCertSign")),
        BAD("issuer without keyCertSign", NOT_A_CA,
            BETWEEN(.ca = true, .key_usage = "critical,cRLSign")),
        BAD("issuer for code", WRONG_USAGE,
            BETWEEN(.ca = true, .usage = "codeSigning")),
        BAD("issuer RSA-1024", WEAK_KEY, BETWEEN(.ca = true, .rsa_bits = 1024)),
        BAD("expired root", EXPIRED, TOP(.ca = true, .to = -HOUR / 2)),
        BAD("root with CA:FALSE", NOT_A_CA, TOP(.not_a_ca = true)),
        BAD("root that does not say", NOT_A_CA, TOP(.ca = false)),
        BAD("root that does not say, with keyCertSign", NOT_A_CA,
            TOP(.key_usage = "keyCertSign")),
        BAD("root without keyCertSign", NOT_A_CA,
            TOP(.ca = true, .key_usage = "critical,cRLSign")),
        BAD("root RSA-1024", WEAK_KEY, TOP(.ca = true, .rsa_bits = 1024)),
        /* Path lengths. */
        GOOD("root allows none, none is", TOP(.ca = true, .limit_path = true)),
        BAD("root allows none, one is", PATH_LENGTH,
            TOP(.ca = true, .limit_path = true), .plain = 1),
        BAD("root allows two, three are", PATH_LENGTH,
            TOP(.ca = true, .limit_path = true, .path = 2), .plain = 3),
        BAD("issuer allows none, one is", PATH_LENGTH,
            BETWEEN(.ca = true, .limit_path = true), .plain = 1),
    };

    run(state, rows, LENGTH(rows));
}

static void trust(void **state)
{
    static const struct row rows[] = {
        BAD("unknown root", UNKNOWN_CA, .trust = STRANGER),
        BAD("unknown root that is shown", UNKNOWN_CA, .trust = STRANGER,
            .shown = WITH_ROOT),
        BAD("nobody trusted", UNKNOWN_CA, .trust = NOBODY),
        BAD("issuer not shown", UNKNOWN_CA, .plain = 1, .shown = ALONE),
        BAD("self-signed", SELF_SIGNED, .self_signed = true),
        BAD("self-signed, another root behind it", SELF_SIGNED,
            .self_signed = true, .shown = WITH_ROOT),
        BAD("self-signed, of a trusted root's name", SELF_SIGNED,
            .leaf = {.cn = "root", .san = "DNS:" NAME}, .self_signed = true),
        BAD("issued by a trusted leaf", NOT_A_CA, TOP(.san = "DNS:" NAME)),
        GOOD("root shown too", .shown = WITH_ROOT),
        GOOD("issuer not shown but trusted", .plain = 2, .trust = FIRST_MIDDLE),
        GOOD("issuer trusted, shown alone", .plain = 1, .trust = FIRST_MIDDLE,
             .shown = ALONE),
        GOOD("self-signed and trusted", .self_signed = true, .trust = LEAF),
        GOOD("trusted itself, not its root", .trust = LEAF),
        BAD("trusted itself, expired", EXPIRED, .leaf = {.to = -1},
            .self_signed = true, .trust = LEAF),
        BAD("trusted itself, for another use", WRONG_USAGE,
            .leaf = {.usage = "codeSigning"}, .self_signed = true,
            .trust = LEAF),
        BAD("trusted itself, for another name", WRONG_NAME, .self_signed = true,
            .trust = LEAF, .role = SERVER, .name = "b.example"),
    };

    run(state, rows, LENGTH(rows));
}

/* ---- what BearSSL cannot check ------------------------------------------ */

#define ONLY_B "critical,permitted;DNS:b.example"

/* It refuses what it could not enforce, also where it would do no harm. */
static void name_constraints(void **state)
{
    static const struct row rows[] = {
        APART("another domain permitted", CDT_TLS_CONSTRAINTS,
              CDT_BEARSSL_CONSTRAINED,
              BETWEEN(.ca = true, .constraints = ONLY_B)),
        APART("the domain excluded", CDT_TLS_CONSTRAINTS,
              CDT_BEARSSL_CONSTRAINED,
              BETWEEN(.ca = true,
                      .constraints = "critical,excluded;DNS:a.example")),
        APART("not critical", CDT_TLS_CONSTRAINTS, CDT_BEARSSL_CONSTRAINED,
              BETWEEN(.ca = true, .constraints = "permitted;DNS:b.example")),
        APART("by the root", CDT_TLS_CONSTRAINTS, CDT_BEARSSL_CONSTRAINED,
              TOP(.ca = true, .constraints = ONLY_B)),
        APART("kept to", NULL, CDT_BEARSSL_CONSTRAINED,
              BETWEEN(.ca = true,
                      .constraints = "critical,permitted;DNS:example")),
    };

    run(state, rows, LENGTH(rows));
}

static void revocation(void **state)
{
    static const struct row rows[] = {
        APART("revoked", CDT_TLS_REVOKED, no_crls, .crl = LAST_REVOKES),
        APART("issuer revoked", CDT_TLS_REVOKED, no_crls, .plain = 1,
              .crl = FIRST_REVOKES),
        APART("revoked by the issuer", CDT_TLS_REVOKED, no_crls, .plain = 1,
              .crl = LAST_REVOKES),
        APART("only a stranger's CRL", CDT_TLS_NO_CRL, no_crls, .crl = FOREIGN),
        APART("no CRL of the issuer", CDT_TLS_NO_CRL, no_crls, .plain = 1,
              .crl = LAST_MISSING),
        APART("nothing revoked", NULL, no_crls, .plain = 1, .crl = CLEAN),
    };

    run(state, rows, LENGTH(rows));
}

/* ---- more than one thing wrong ------------------------------------------ */

/* All engines refuse; which cause they name is a matter of their order. */
static void several_causes(void **state)
{
    static const struct row rows[] = {
        BAD("another name, expired", WRONG_NAME,
            .leaf = {.san = "DNS:b.example", .to = -1}, .role = SERVER),
        BAD("unknown root, expired", UNKNOWN_CA, .leaf = {.to = -1},
            .trust = STRANGER),
        BAD("self-signed, another name", SELF_SIGNED,
            .leaf = {.san = "DNS:b.example"}, .self_signed = true),
        BAD("weak, another name", WEAK_KEY,
            .leaf = {.san = "DNS:b.example", .rsa_bits = 1024}, .role = SERVER),
        BAD("weak by the policy, another name", WEAK_KEY,
            .leaf = {.san = "DNS:b.example", .rsa_bits = 2048},
            .min_rsa_bits = 3072, .role = SERVER),
        BAD("weak, another use", WEAK_KEY,
            .leaf = {.usage = "codeSigning", .rsa_bits = 1024}),
        BAD("weak, unknown root", WEAK_KEY, .leaf = {.rsa_bits = 1024},
            .trust = STRANGER),
        BAD("weak by the policy, self-signed", WEAK_KEY,
            .leaf = {.rsa_bits = 2048}, .min_rsa_bits = 3072,
            .self_signed = true),
        BAD("expired, issuer not yet valid", NOT_YET, .leaf = {.to = -1},
            BETWEEN(.ca = true, .from = HOUR)),
        /* BearSSL's own verifier looks at times before signatures, and has no
         * way to be told otherwise: neither is believed. */
        APART("forged, expired", CDT_TLS_BAD_SIGNATURE, CDT_TLS_EXPIRED,
              .leaf = {.to = -1}, .forged = true),
    };

    run(state, rows, LENGTH(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(names),       T_TEST(addresses),      T_TEST(leaves),
        T_TEST(authorities), T_TEST(trust),          T_TEST(name_constraints),
        T_TEST(revocation),  T_TEST(several_causes),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
