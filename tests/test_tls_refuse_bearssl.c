/* SPDX-License-Identifier: ISC */
/* What BearSSL's engine refuses: certificates, each for its own reason, and
 * configurations that it could not enforce. Good ones beside them pass. */
#include "support.h"

#include "bearssl_engine.h"
#include "core.h"
#include "tls_bearssl.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define DAY 86400L

/* Serves one certificate, for which the client has a verdict. */
static void judge(struct t_bearssl *t, const struct tls_cert *cert,
                  const char *text)
{
    t_bearssl_serve(t, cert->chain, cert->key);
    if (text != NULL) {
        t_bearssl_refused(t, &t->pipe.client, text);
        assert_int_equal(t->pipe.client.result, CONDUIT_ECERT);
        assert_int_equal(t->pipe.server.result, CONDUIT_ETLS);
        assert_memory_equal(t->pipe.server.session->fault.text, "the peer says",
                            13);
    } else {
        t_bearssl_connect(t, 0, 0);
    }
    tls_pipe_fini(&t->pipe);
}

struct leaf_case {
    struct tls_cert_spec spec;
    const char *text; /* NULL: good */
};

static void leaves(void **state)
{
    static const struct leaf_case cases[] = {
        {{.san = "DNS:host.example"}, NULL},
        {{.san = "DNS:*.example"}, CDT_TLS_WRONG_NAME},
        {{.san = "DNS:other.example"}, CDT_TLS_WRONG_NAME},
        {{.san = "DNS:other.example,DNS:HOST.example"}, NULL},
        {{.san = "email:host.example,URI:host.example"}, CDT_TLS_WRONG_NAME},
        {{.cn = "host.example"}, CDT_TLS_WRONG_NAME},
        {{.cn = "host.example", .san = "IP:192.0.2.1"}, CDT_TLS_WRONG_NAME},
        {{.raw_name = "host.example", .raw_name_size = 12}, NULL},
        {{.raw_name = "host.example\0.evil", .raw_name_size = 18},
         CDT_TLS_WRONG_NAME},
        {{.raw_name = "host.example\0", .raw_name_size = 13},
         CDT_TLS_WRONG_NAME},
        {{.san = "DNS:host.example", .to = -DAY, .from = -2 * DAY},
         CDT_TLS_EXPIRED},
        {{.san = "DNS:host.example", .from = DAY, .to = 2 * DAY},
         CDT_TLS_NOT_YET},
        {{.san = "DNS:host.example", .usage = "clientAuth"},
         CDT_TLS_WRONG_USAGE},
        {{.san = "DNS:host.example", .usage = "codeSigning"},
         CDT_TLS_WRONG_USAGE},
        {{.san = "DNS:host.example", .usage = "clientAuth,serverAuth"}, NULL},
        {{.san = "DNS:host.example", .usage = "anyExtendedKeyUsage"},
         CDT_TLS_WRONG_USAGE},
        {{.san = "DNS:host.example", .key_usage = "digitalSignature"}, NULL},
        {{.san = "DNS:host.example", .key_usage = "critical,keyCertSign"},
         CDT_TLS_WRONG_USAGE},
        {{.san = "DNS:host.example", .rsa_bits = 1024}, CDT_TLS_WEAK_KEY},
        {{.san = "DNS:host.example", .rsa_bits = 2040}, CDT_TLS_WEAK_KEY},
        {{.san = "DNS:host.example", .rsa_bits = 2048}, NULL},
        {{.san = "DNS:host.example", .rsa_bits = 4096}, NULL},
        {{.san = "DNS:host.example", .not_a_ca = true}, NULL},
        {{.san = "DNS:host.example", .constraints = "permitted;DNS:example"},
         CDT_BEARSSL_CONSTRAINED},
    };
    struct t_bearssl *t = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_cert_spec spec = cases[i].spec;
        struct tls_cert *cert;

        spec.issuer = t->ca;
        spec.cn = spec.cn != NULL ? spec.cn : "leaf";
        cert = tls_cert_new(&spec);
        print_message("leaf %zu\n", i);
        judge(t, cert, cases[i].text);
        tls_cert_free(cert);
    }
}

/* ---- chains ------------------------------------------------------------- */

static void intermediates(void **state)
{
    static const struct leaf_case cases[] = {
        {{.ca = true}, NULL},
        {{.ca = true, .limit_path = true, .path = 0}, NULL},
        {{.ca = true, .rsa_bits = 2048}, NULL},
        {{.ca = true, .usage = "serverAuth"}, NULL},
        {{.not_a_ca = true}, CDT_TLS_NOT_A_CA},
        {{.ca = false}, CDT_TLS_NOT_A_CA},
        {{.ca = true, .key_usage = "critical,digitalSignature"},
         CDT_TLS_NOT_A_CA},
        {{.ca = true, .usage = "clientAuth"}, CDT_TLS_WRONG_USAGE},
        {{.ca = true, .rsa_bits = 1024}, CDT_TLS_WEAK_KEY},
        {{.ca = true, .from = -2 * DAY, .to = -DAY}, CDT_TLS_EXPIRED},
        {{.ca = true, .from = DAY, .to = 2 * DAY}, CDT_TLS_NOT_YET},
        {{.ca = true, .constraints = "critical,permitted;DNS:example"},
         CDT_BEARSSL_CONSTRAINED},
        {{.ca = true, .constraints = "excluded;DNS:evil.example"},
         CDT_BEARSSL_CONSTRAINED},
    };
    struct t_bearssl *t = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_cert_spec spec = cases[i].spec;
        struct tls_cert *middle;
        struct tls_cert *cert;

        spec.issuer = t->ca;
        spec.cn = "middle";
        middle = tls_cert_new(&spec);
        cert = tls_cert_new(&(struct tls_cert_spec){
            .cn = "leaf", .san = "DNS:host.example", .issuer = middle});
        print_message("intermediate %zu\n", i);
        judge(t, cert, cases[i].text);
        tls_cert_free(cert);
        tls_cert_free(middle);
    }
}

/* The same rules for what is trusted. */
static void anchors(void **state)
{
    static const struct leaf_case cases[] = {
        {{.ca = true}, NULL},
        {{.ca = true, .rsa_bits = 2048}, NULL},
        {{.not_a_ca = true}, CDT_TLS_NOT_A_CA},
        {{.ca = true, .rsa_bits = 1024}, CDT_TLS_WEAK_KEY},
        {{.ca = true, .usage = "clientAuth"}, CDT_TLS_WRONG_USAGE},
        {{.ca = true, .from = -2 * DAY, .to = -DAY}, CDT_TLS_EXPIRED},
        {{.ca = true, .constraints = "permitted;DNS:example"},
         CDT_BEARSSL_CONSTRAINED},
    };
    struct t_bearssl *t = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_cert_spec spec = cases[i].spec;
        struct tls_cert *root;
        struct tls_cert *cert;

        spec.cn = "root";
        root = tls_cert_new(&spec);
        cert = tls_cert_new(&(struct tls_cert_spec){
            .cn = "leaf", .san = "DNS:host.example", .issuer = root});
        t->authorities = root->pem;
        t_bearssl_show(t, NULL, NULL);
        print_message("anchor %zu\n", i);
        judge(t, cert, cases[i].text);
        tls_cert_free(cert);
        tls_cert_free(root);
    }
}

/* root (path limit), a, b, leaf. */
static void path_lengths(void **state)
{
    struct t_bearssl *t = *state;

    for (int limit = 0; limit < 4; limit++) {
        struct tls_cert *root = tls_cert_new(&(struct tls_cert_spec){
            .cn = "root", .ca = true, .limit_path = limit < 3, .path = limit});
        struct tls_cert *a = tls_cert_new(
            &(struct tls_cert_spec){.cn = "a",
                                    .ca = true,
                                    .issuer = root,
                                    .limit_path = limit == 3,
                                    .path = 0});
        struct tls_cert *b = tls_cert_new(
            &(struct tls_cert_spec){.cn = "b", .ca = true, .issuer = a});
        struct tls_cert *cert = tls_cert_new(&(struct tls_cert_spec){
            .cn = "leaf", .san = "DNS:host.example", .issuer = b});

        t->authorities = root->pem;
        t_bearssl_show(t, NULL, NULL);
        judge(t, cert, limit == 2 ? NULL : CDT_TLS_PATH_LENGTH);
        tls_cert_free(cert);
        tls_cert_free(b);
        tls_cert_free(a);
        tls_cert_free(root);
    }
}

static void strangers(void **state)
{
    struct t_bearssl *t = *state;
    struct tls_cert *other = tls_cert_new(
        &(struct tls_cert_spec){.cn = "authority", .ca = true});
    struct tls_cert *cert = tls_cert_new(&(struct tls_cert_spec){
        .cn = "leaf", .san = "DNS:host.example", .issuer = other});
    struct tls_cert *middle = tls_cert_new(
        &(struct tls_cert_spec){.cn = "middle", .ca = true, .issuer = t->ca});
    struct tls_cert *far = tls_cert_new(&(struct tls_cert_spec){
        .cn = "leaf", .san = "DNS:host.example", .issuer = middle});

    judge(t, t->stranger, CDT_TLS_SELF_SIGNED);
    judge(t, cert, CDT_TLS_UNKNOWN_CA);     /* of another key than ours */
    t_bearssl_serve(t, far->pem, far->key); /* without the one between */
    t_bearssl_refused(t, &t->pipe.client, CDT_TLS_UNKNOWN_CA);
    t->authorities = middle->pem; /* which can be an anchor itself */
    t_bearssl_show(t, NULL, NULL);
    t_bearssl_connect(t, 0, 0);
    tls_cert_free(far);
    tls_cert_free(middle);
    tls_cert_free(cert);
    tls_cert_free(other);
}

/* A certificate that is itself given as an authority. */
static void trusted_as_such(void **state)
{
    struct t_bearssl *t = *state;
    struct tls_cert *issued = tls_cert_new(&(struct tls_cert_spec){
        .cn = "leaf", .san = "DNS:host.example", .issuer = t->stranger});
    struct tls_cert *twin = tls_cert_new(
        &(struct tls_cert_spec){.cn = "stranger",
                                .san = "DNS:host.example",
                                .same_key_as = t->stranger});
    struct tls_cert *own = tls_cert_new(
        &(struct tls_cert_spec){.cn = "own",
                                .san = "DNS:host.example",
                                .ca = true,
                                .key_usage = "digitalSignature,keyCertSign"});
    struct tls_cert *old = tls_cert_new(&(struct tls_cert_spec){
        .cn = "old", .san = "DNS:host.example", .from = -2 * DAY, .to = -DAY});

    t->authorities = t->stranger->pem;
    t_bearssl_show(t, NULL, NULL);
    judge(t, t->stranger, NULL);
    judge(t, issued, CDT_TLS_NOT_A_CA);
    judge(t, twin, CDT_TLS_SELF_SIGNED);
    t->name = "other.example";
    judge(t, t->stranger, CDT_TLS_WRONG_NAME);
    t->name = "host.example";
    t->authorities = own->pem;
    t_bearssl_show(t, NULL, NULL);
    judge(t, own, NULL);
    t->authorities = old->pem;
    t_bearssl_show(t, NULL, NULL);
    judge(t, old, CDT_TLS_EXPIRED);
    tls_cert_free(old);
    tls_cert_free(own);
    tls_cert_free(twin);
    tls_cert_free(issued);
}

static char *pem_of(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    long size;
    char *text;

    assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
    size = BIO_get_mem_data(bio, &data);
    text = calloc(1, (size_t)size + 1);
    memcpy(text, data, (size_t)size);
    BIO_free(bio);
    return text;
}

static void signatures(void **state)
{
    struct t_bearssl *t = *state;
    X509 *cert = X509_dup(t->leaf->x509);
    const ASN1_BIT_STRING *bits;
    char *pem;

    assert_true(X509_sign(cert, t->ca->pkey, EVP_sha1()) > 0);
    pem = pem_of(cert);
    t_bearssl_serve(t, pem, t->leaf->key);
    t_bearssl_refused(t, &t->pipe.client,
                      "a signature in the certificate's chain is of a weak "
                      "kind");
    tls_pipe_fini(&t->pipe);
    free(pem);
    assert_true(X509_sign(cert, t->ca->pkey, EVP_sha384()) > 0);
    pem = pem_of(cert);
    t_bearssl_serve(t, pem, t->leaf->key);
    t_bearssl_connect(t, 0, 0);
    tls_pipe_fini(&t->pipe);
    free(pem);
    /* Signed by another key, with all names and identifiers right. */
    assert_true(X509_sign(cert, t->stranger->pkey, EVP_sha256()) > 0);
    X509_get0_signature(&bits, NULL, cert);
    assert_non_null(bits);
    pem = pem_of(cert);
    t_bearssl_serve(t, pem, t->leaf->key);
    t_bearssl_refused(t, &t->pipe.client, CDT_TLS_BAD_SIGNATURE);
    free(pem);
    X509_free(cert);
}

/* Every byte of a good chain, changed: never accepted, never a fault. */
static void damaged_chain(void **state)
{
    struct t_bearssl *t = *state;
    unsigned char *der = NULL;
    int size = i2d_X509(t->leaf->x509, &der);

    t->server_options.no_resumption = true;
    t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
    for (int i = 0; i < size; i++) {
        uint8_t *at = NULL;

        t_bearssl_open(t, 0, 0);
        (void)cdt_tls_bearssl.handshake(t->pipe.client.session);
        (void)cdt_tls_bearssl.handshake(t->pipe.server.session);
        at = memmem(t->pipe.down.data, t->pipe.down.end, der, (size_t)size);
        assert_non_null(at);
        at[i] ^= (uint8_t)(1 << i % 8);
        assert_false(tls_pipe_handshake(&t->pipe));
        assert_true(t->pipe.client.result != 0);
        tls_pipe_fini(&t->pipe);
    }
    OPENSSL_free(der);
}

static void pins(void **state)
{
    struct t_bearssl *t = *state;
    struct conduit_tls_pin pin[2] = {0};
    char *both;

    t->client_options.pins = pin;
    t->client_options.pin_count = 2;
    for (int i = 0; i < 3; i++) {
        const struct tls_cert *who = i == 0   ? t->leaf
                                     : i == 1 ? t->ca
                                              : t->stranger;

        memcpy(pin[1].sha256, who->pin, 32);
        t_bearssl_show(t, NULL, NULL);
        judge(t, t->leaf, i < 2 ? NULL : CDT_TLS_NO_PIN);
    }
    /* Showing the pinned certificate as well proves nothing. */
    assert_true(asprintf(&both, "%s%s", t->leaf->pem, t->stranger->pem) > 0);
    t_bearssl_serve(t, both, t->leaf->key);
    t_bearssl_refused(t, &t->pipe.client, CDT_TLS_NO_PIN);
    t->client_trusts_anybody = true;
    t_bearssl_refused(t, &t->pipe.client, CDT_TLS_NO_PIN);
    tls_pipe_fini(&t->pipe);
    t_bearssl_serve(t, t->stranger->pem, t->stranger->key);
    t_bearssl_connect(t, 0, 0);
    free(both);
}

/* ---- configurations ----------------------------------------------------- */

static void expect_bad(struct t_bearssl *t, struct cdt_tls_material material,
                       int code, const char *part)
{
    const char *text = t_bearssl_bad(t, &material, code);

    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", text, part);
    }
}

static void policies(void **state)
{
    static const char *const suites[] = {
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256",
        NULL};
    static const char *const groups[] = {"x25519", "x448", NULL};
    static const char *const none[] = {NULL};
    struct t_bearssl *t = *state;
    struct conduit_tls_options o = {.policy.min_version = CONDUIT_TLS_1_3};
    struct conduit_tls_source crl = t_bearssl_source("-");
    struct cdt_tls_material m = {.options = &o};

    expect_bad(t, m, CONDUIT_ENOTSUP, "TLS 1.3");
    o.policy = (struct conduit_tls_policy){.ciphers = suites};
    expect_bad(t, m, CONDUIT_ENOTSUP, "TLS_AES_128_GCM_SHA256");
    o.policy = (struct conduit_tls_policy){.groups = groups};
    expect_bad(t, m, CONDUIT_ENOTSUP, "x448");
    o.policy = (struct conduit_tls_policy){.ciphers = none};
    expect_bad(t, m, CONDUIT_EINVAL, "ciphers");
    o.policy = (struct conduit_tls_policy){.groups = none};
    expect_bad(t, m, CONDUIT_EINVAL, "groups");
    o.policy = (struct conduit_tls_policy){0};
    m.crls = &crl;
    m.crl_count = 1;
    expect_bad(t, m, CONDUIT_ENOTSUP, "CRL");
}

static void identities(void **state)
{
    struct t_bearssl *t = *state;
    struct conduit_tls_options o = {0};
    struct conduit_tls_identity id;
    struct cdt_tls_material m = {
        .options = &o, .identities = &id, .identity_count = 1};
    struct tls_cert *rsa = tls_cert_new(
        &(struct tls_cert_spec){.cn = "rsa", .rsa_bits = 2048});
    char *locked = tls_key_encrypted(rsa);

    id = t_bearssl_identity("", rsa->key);
    expect_bad(t, m, CONDUIT_EINVAL, "memory.pem: not PEM");
    id = t_bearssl_identity("nonsense\n", rsa->key);
    expect_bad(t, m, CONDUIT_EINVAL, "memory.pem: not PEM");
    id = t_bearssl_identity(rsa->key, rsa->key);
    expect_bad(t, m, CONDUIT_EINVAL, "without a certificate");
    id = t_bearssl_identity(rsa->pem, rsa->pem);
    expect_bad(t, m, CONDUIT_EINVAL, "without a private key");
    id = t_bearssl_identity(rsa->pem, locked);
    expect_bad(t, m, CONDUIT_EINVAL, "pass phrase");
    id = t_bearssl_identity(rsa->pem, t->leaf->key);
    expect_bad(t, m, CONDUIT_EINVAL, "not that of the certificate");
    id = t_bearssl_identity(t->leaf->pem, t->stranger->key);
    expect_bad(t, m, CONDUIT_EINVAL, "not that of the certificate");
    id = t_bearssl_identity(t->leaf->pem, rsa->key);
    expect_bad(t, m, CONDUIT_EINVAL, "not that of the certificate");
    id = t_bearssl_identity(
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        rsa->key);
    expect_bad(t, m, CONDUIT_EINVAL, "damaged PEM");
    id = t_bearssl_identity(
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        rsa->key);
    expect_bad(t, m, CONDUIT_EINVAL, "cannot be read");
    id = t_bearssl_identity(
        rsa->pem, "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                  "DEK-Info: AES-128-CBC,00\n\nAAAA\n"
                  "-----END RSA PRIVATE KEY-----\n");
    expect_bad(t, m, CONDUIT_EINVAL, "pass phrase");
    free(locked);
    tls_cert_free(rsa);
}

/* CRLF, text around, no newline at the end, other objects between. */
static void odd_pem(void **state)
{
    struct t_bearssl *t = *state;
    size_t n = strlen(t->leaf->pem) + strlen(t->leaf->key);
    char *text = calloc(2, n + 200);
    char *at = text;

    at += sprintf(at, "subject=CN = server\r\n\r\n");
    for (const char *from = t->leaf->key; *from != '\0'; from++) {
        at += sprintf(at, *from == '\n' ? "\r\n" : "%c", *from);
    }
    at += sprintf(at, "words\n\n%s", t->leaf->pem);
    at[-1] = '\0';
    t_bearssl_serve(t, text, text);
    t_bearssl_connect(t, 0, 0);
    free(text);
}

/* Makes credentials while the nth call for memory fails: false when there were
 * not so many. */
static bool fails_without_memory(struct t_bearssl *t,
                                 const struct cdt_tls_material *material,
                                 size_t n)
{
    struct cdt_tls_credentials *cred = NULL;
    size_t live = t->env.mem.live;
    int rc;

    t->env.mem.calls = 0;
    t->env.mem.fail_at = n;
    rc = cdt_tls_bearssl.credentials_new(t->env.ctx, material, &cred, NULL);
    t->env.mem.fail_at = 0;
    if (rc == 0) {
        cdt_tls_bearssl.credentials_free(cred);
    } else {
        assert_int_equal(rc, CONDUIT_ENOMEM);
    }
    assert_int_equal(t->env.mem.live, live);
    return rc != 0;
}

/* Without memory: an error and no leak, wherever it ends. */
static void no_memory(void **state)
{
    struct t_bearssl *t = *state;
    struct conduit_tls_source ca = t_bearssl_source(t->ca->pem);
    struct conduit_tls_identity id = t_bearssl_identity(t->leaf->chain,
                                                        t->leaf->key);
    static const char *const alpn[] = {"a", "b", NULL};
    struct conduit_tls_pin pin = {0};
    struct conduit_tls_options o = {.alpn = alpn, .pins = &pin, .pin_count = 1};
    struct cdt_tls_material m = {.options = &o,
                                 .identities = &id,
                                 .identity_count = 1,
                                 .authorities = &ca,
                                 .authority_count = 1};
    size_t n = 1;

    while (fails_without_memory(t, &m, n)) {
        n++;
    }
    assert_true(n > 10);
}

/* The same for sessions: those of the client, that of the server, and what a
 * handshake needs. What only serves resumption may be missing. */
static void no_memory_in_sessions(void **state)
{
    struct t_bearssl *t = *state;
    struct tls_pipe_pair pair = {.client_engine = &cdt_tls_bearssl,
                                 .server_engine = &cdt_tls_bearssl,
                                 .name = t->name};
    bool failed = true;

    for (size_t n = 1; failed; n++) {
        t_bearssl_serve(t, t->leaf->chain, t->leaf->key);
        t_bearssl_show(t, NULL, NULL);
        pair.client = t->client;
        pair.server = t->server;
        t->env.mem.calls = 0;
        t->env.mem.failed = false;
        t->env.mem.fail_at = n;
        if (tls_pipe_init(&t->pipe, &pair, 0, 0, NULL) == 0) {
            (void)tls_pipe_handshake(&t->pipe);
        }
        t->env.mem.fail_at = 0;
        failed = t->env.mem.failed;
        tls_pipe_fini(&t->pipe);
    }
}

/* ---- time --------------------------------------------------------------- */

static int64_t no_wall(struct conduit_platform *p)
{
    (void)p;
    return 0;
}

/* A machine that does not know the time judges nothing, and says so; where
 * there is nothing to judge it works. */
static void time_unknown(void **state)
{
    struct t_bearssl *t = *state;
    const struct conduit_platform_ops *real = t->env.ctx->platform->ops;
    struct conduit_platform_ops timeless = *real;

    timeless.wall = no_wall;
    t->env.ctx->platform->ops = &timeless;
    t_bearssl_refused(t, &t->pipe.client, CDT_BEARSSL_NO_TIME);
    tls_pipe_fini(&t->pipe);
    t->client_trusts_anybody = true;
    t_bearssl_connect(t, 0, 0);
    tls_pipe_fini(&t->pipe);
    t->env.ctx->platform->ops = real;
}

/* The system's authorities are all read, and quickly. */
static void system_authorities(void **state)
{
    static const char path[] = "/etc/ssl/certs/ca-certificates.crt";
    static char data[1 << 20];
    struct t_bearssl *t = *state;
    FILE *file = fopen(path, "rb");
    struct conduit_tls_options o = {0};
    struct conduit_tls_source source = {.name = path, .data = data};
    struct cdt_tls_material m = {
        .options = &o, .authorities = &source, .authority_count = 1};
    struct cdt_tls_credentials *cred;
    struct conduit_error err;
    uint64_t start;

    if (file == NULL) {
        print_message("no %s\n", path);
        skip();
    }
    source.size = fread(data, 1, sizeof data, file);
    fclose(file);
    start = t_ms();
    if (cdt_tls_bearssl.credentials_new(t->env.ctx, &m, &cred, &err) != 0) {
        fail_msg("%s", err.text);
    }
    print_message("%zu bytes of authorities in %d ms\n", source.size,
                  (int)(t_ms() - start));
    cdt_tls_bearssl.credentials_free(cred);
}

static void nobody_named(void **state)
{
    struct t_bearssl *t = *state;
    struct cdt_tls_peer peer = {0};
    struct cdt_tls_io io = {0};
    struct cdt_tls_session *s = NULL;
    struct conduit_error err;

    assert_int_equal(
        cdt_tls_bearssl.session_new(t->client, &peer, &io, &s, &err),
        CONDUIT_EINVAL);
    peer.server = true; /* without a certificate */
    assert_int_equal(
        cdt_tls_bearssl.session_new(t->client, &peer, &io, &s, &err),
        CONDUIT_EINVAL);
    assert_null(s);
}

#define TEST(f) \
    cmocka_unit_test_setup_teardown(f, t_bearssl_setup, t_bearssl_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leaves),       TEST(intermediates),
        TEST(anchors),      TEST(path_lengths),
        TEST(strangers),    TEST(trusted_as_such),
        TEST(signatures),   TEST(damaged_chain),
        TEST(pins),         TEST(policies),
        TEST(identities),   TEST(odd_pem),
        TEST(no_memory),    TEST(no_memory_in_sessions),
        TEST(time_unknown), TEST(system_authorities),
        TEST(nobody_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
