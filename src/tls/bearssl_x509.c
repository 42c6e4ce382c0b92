/* SPDX-License-Identifier: ISC */
/*
 * Judges the peer's chain. BearSSL's "minimal" engine verifies signatures and
 * knows the basic rules, but it compares names loosely and falls back to the
 * CN, ignores what restricts an anchor, name constraints and extended usages,
 * and answers one code for many causes. So the chain is collected first; a path
 * from the leaf to an anchor is looked for, held against the rules, and each
 * breach has its own text; "minimal" is given that path, that one anchor and no
 * name, and has the last word. Both must agree.
 *
 * A pinned key counts only when it is on the path: certificates that are merely
 * shown prove nothing.
 */
#include "bearssl_engine.h"

#include <limits.h>
#include <string.h>

/* Days from year 0 to 1970, as "minimal" counts. */
#define EPOCH_DAYS 719528

/* A path, the leaf first; the anchor is not in it. */
struct path {
    struct cdt_bearssl_x509 *x;
    struct cdt_bearssl_cert *certs; /* all that was shown */
    bool readable[CDT_TLS_CHAIN_MAX];
    uint8_t order[CDT_TLS_CHAIN_MAX]; /* indexes of certs */
    size_t length;
    int64_t now;
    br_x509_minimal_context *minimal;
};

static const struct cdt_bearssl_cert *on_path(const struct path *p, size_t i)
{
    return &p->certs[p->order[i]];
}

/* ---- rules -------------------------------------------------------------- */

/* Of any certificate that signed another. */
static const char *check_issuer(const struct path *p,
                                const struct cdt_bearssl_cert *cert,
                                bool issues)
{
    if (cert->constrained) {
        return CDT_BEARSSL_CONSTRAINED;
    }
    if (!issues || (cert->has_key_usage &&
                    (cert->key_usage & CDT_BEARSSL_SIGNS_CERTIFICATES) == 0)) {
        return CDT_TLS_NOT_A_CA;
    }
    if (p->x->server ? !cert->for_clients : !cert->for_servers) {
        return CDT_TLS_WRONG_USAGE;
    }
    return NULL;
}

/* `below`: the authorities between it and the leaf that count, which those that
 * are issued to themselves do not (RFC 5280 section 4.2.1.9). */
static const char *check_length(const struct cdt_bearssl_cert *cert,
                                unsigned below)
{
    return below > cert->path_length ? CDT_TLS_PATH_LENGTH : NULL;
}

static const char *check_leaf_usage(const struct path *p)
{
    const struct cdt_bearssl_cert *leaf = on_path(p, 0);

    if (p->x->server ? !leaf->for_clients : !leaf->for_servers) {
        return CDT_TLS_WRONG_USAGE;
    }
    if (leaf->has_key_usage && (leaf->key_usage & CDT_BEARSSL_SIGNS) == 0) {
        return CDT_TLS_WRONG_USAGE;
    }
    return leaf->constrained ? CDT_BEARSSL_CONSTRAINED : NULL;
}

static const char *check_key(const struct path *p,
                             const struct cdt_bearssl_cert *cert)
{
    if (cert->key.key_type == 0) {
        return CDT_BEARSSL_KEY_KIND;
    }
    if (cert->key.key_type == BR_KEYTYPE_RSA &&
        cdt_bearssl_rsa_bits(&cert->key.key.rsa) < p->x->cred->min_rsa_bits) {
        return CDT_TLS_WEAK_KEY;
    }
    return NULL;
}

static const char *check_time(const struct path *p,
                              const struct cdt_bearssl_cert *cert)
{
    if (p->now < cert->not_before) {
        return CDT_TLS_NOT_YET;
    }
    return p->now > cert->not_after ? CDT_TLS_EXPIRED : NULL;
}

static const char *check_name(const struct path *p)
{
    const struct cdt_bearssl_x509 *x = p->x;

    if (x->server) {
        return NULL; /* clients are not expected to have a certain name */
    }
    return x->name != NULL &&
                   cdt_bearssl_cert_names(on_path(p, 0), x->name, x->name_is_ip)
               ? NULL
               : CDT_TLS_WRONG_NAME;
}

/* The authorities on the path and the anchor behind it (NULL: the leaf itself
 * is the anchor). */
static const char *check_issuers(const struct path *p,
                                 const struct cdt_bearssl_anchor *anchor)
{
    const char *text = NULL;
    unsigned below = 0;

    for (size_t i = 1; i < p->length && text == NULL; i++) {
        const struct cdt_bearssl_cert *cert = on_path(p, i);

        text = check_issuer(p, cert, cert->ca);
        if (text == NULL) {
            text = check_length(cert, below);
        }
        below += cert->self_issued ? 0 : 1;
    }
    if (text == NULL && anchor != NULL) {
        text = check_issuer(p, &anchor->cert, anchor->issues);
    }
    if (text == NULL && anchor != NULL) {
        text = check_length(&anchor->cert, below);
    }
    return text;
}

static const char *check_keys(const struct path *p,
                              const struct cdt_bearssl_anchor *anchor)
{
    const char *text = anchor != NULL ? check_key(p, &anchor->cert) : NULL;

    for (size_t i = 0; i < p->length && text == NULL; i++) {
        text = check_key(p, on_path(p, i));
        if (text == NULL && anchor != NULL && !on_path(p, i)->good_signature) {
            text = CDT_BEARSSL_WEAK_SIGNATURE;
        }
    }
    return text;
}

static const char *check_times(const struct path *p,
                               const struct cdt_bearssl_anchor *anchor)
{
    const char *text = anchor != NULL ? check_time(p, &anchor->cert) : NULL;

    for (size_t i = p->length; i > 0 && text == NULL; i--) {
        text = check_time(p, on_path(p, i - 1));
    }
    return text;
}

static bool is_pinned(const struct path *p, struct cdt_der spki)
{
    const struct cdt_tls_credentials *cred = p->x->cred;
    uint8_t hash[32];

    cdt_bearssl_sha256(spki, hash);
    for (size_t i = 0; i < cred->pin_count; i++) {
        if (memcmp(hash, cred->pins[i].sha256, sizeof hash) == 0) {
            return true;
        }
    }
    return false;
}

static const char *check_pins(const struct path *p,
                              const struct cdt_bearssl_anchor *anchor)
{
    if (p->x->cred->pin_count == 0 ||
        (anchor != NULL && is_pinned(p, anchor->cert.spki))) {
        return NULL;
    }
    for (size_t i = 0; i < p->length; i++) {
        if (is_pinned(p, on_path(p, i)->spki)) {
            return NULL;
        }
    }
    return CDT_TLS_NO_PIN;
}

/* ---- the last word ------------------------------------------------------ */

static const char *text_of(unsigned err)
{
    switch (err) {
    case 0:
        return NULL;
    case BR_ERR_X509_TIME_UNKNOWN:
        return CDT_BEARSSL_NO_TIME;
    case BR_ERR_X509_EXPIRED:
        return CDT_TLS_EXPIRED;
    case BR_ERR_X509_CRITICAL_EXTENSION:
        return CDT_BEARSSL_CRITICAL;
    case BR_ERR_X509_NOT_CA:
        return CDT_TLS_NOT_A_CA;
    case BR_ERR_X509_FORBIDDEN_KEY_USAGE:
        return CDT_TLS_WRONG_USAGE;
    case BR_ERR_X509_WEAK_PUBLIC_KEY:
        return CDT_TLS_WEAK_KEY;
    case BR_ERR_X509_UNSUPPORTED:
    case BR_ERR_X509_WRONG_KEY_TYPE:
        return CDT_BEARSSL_WEAK_SIGNATURE;
    case BR_ERR_X509_BAD_SIGNATURE:
    case BR_ERR_X509_NOT_TRUSTED: /* the anchor was there by its name */
        return CDT_TLS_BAD_SIGNATURE;
    default:
        return CDT_TLS_BAD_CERTIFICATE;
    }
}

/* Hashes and algorithms that are accepted in signatures: no SHA-1. */
static void prepare(const struct path *p,
                    const struct cdt_bearssl_anchor *anchor)
{
    br_x509_minimal_context *m = p->minimal;
    unsigned bytes = (p->x->cred->min_rsa_bits + 7) / 8;

    br_x509_minimal_init(m, &br_sha256_vtable, &anchor->trust, 1);
    br_x509_minimal_set_hash(m, br_sha256_ID, &br_sha256_vtable);
    br_x509_minimal_set_hash(m, br_sha384_ID, &br_sha384_vtable);
    br_x509_minimal_set_hash(m, br_sha512_ID, &br_sha512_vtable);
    br_x509_minimal_set_rsa(m, br_rsa_pkcs1_vrfy_get_default());
    br_x509_minimal_set_ecdsa(m, br_ec_get_default(),
                              br_ecdsa_vrfy_asn1_get_default());
    br_x509_minimal_set_minrsa(m, bytes < 4096 ? (int)bytes : 4096);
    br_x509_minimal_set_time(m, (uint32_t)(p->now / 86400 + EPOCH_DAYS),
                             (uint32_t)(p->now % 86400));
}

static const char *verify(const struct path *p,
                          const struct cdt_bearssl_anchor *anchor)
{
    const br_x509_class **m = &p->minimal->vtable;

    prepare(p, anchor);
    br_x509_minimal_vtable.start_chain(m, NULL);
    for (size_t i = 0; i < p->length; i++) {
        struct cdt_der der = on_path(p, i)->der;

        br_x509_minimal_vtable.start_cert(m, (uint32_t)der.left);
        br_x509_minimal_vtable.append(m, der.at, der.left);
        br_x509_minimal_vtable.end_cert(m);
    }
    return text_of(br_x509_minimal_vtable.end_chain(m));
}

/* Until when the path holds. */
static void note_end(const struct path *p,
                     const struct cdt_bearssl_anchor *anchor)
{
    int64_t until = anchor != NULL ? anchor->cert.not_after : INT64_MAX;

    for (size_t i = 0; i < p->length; i++) {
        if (on_path(p, i)->not_after < until) {
            until = on_path(p, i)->not_after;
        }
    }
    p->x->facts.until = until;
}

/* What is wrong with the path up to an anchor; NULL: nothing. An anchor of NULL
 * stands for a leaf that is trusted as such. */
static const char *judge_path(const struct path *p,
                              const struct cdt_bearssl_anchor *anchor)
{
    const char *text = check_issuers(p, anchor);

    if (text == NULL) {
        text = check_leaf_usage(p);
    }
    if (text == NULL) {
        text = check_keys(p, anchor);
    }
    if (text == NULL) {
        text = check_name(p);
    }
    if (text == NULL) {
        text = check_times(p, anchor);
    }
    if (text == NULL && anchor != NULL) {
        text = verify(p, anchor);
    }
    if (text == NULL) {
        text = check_pins(p, anchor);
    }
    if (text == NULL) {
        note_end(p, anchor);
    }
    return text;
}

/* ---- finding a path ----------------------------------------------------- */

/* By its name and, where both tell, by its key's identifier. */
static bool is_issuer(const struct cdt_bearssl_cert *issuer,
                      const struct cdt_bearssl_cert *of)
{
    return cdt_der_same(issuer->subject, of->issuer) &&
           (issuer->key_id.at == NULL || of->issuer_key_id.at == NULL ||
            cdt_der_same(issuer->key_id, of->issuer_key_id));
}

static bool is_on_path(const struct path *p, size_t cert)
{
    for (size_t i = 0; i < p->length; i++) {
        if (p->order[i] == cert) {
            return true;
        }
    }
    return false;
}

/* Adds the issuer of the last one, if it was shown. */
static bool extend(struct path *p)
{
    const struct cdt_bearssl_cert *last = on_path(p, p->length - 1);

    for (size_t i = 0; i < p->x->count; i++) {
        if (p->readable[i] && !is_on_path(p, i) &&
            is_issuer(&p->certs[i], last)) {
            p->order[p->length++] = (uint8_t)i;
            return true;
        }
    }
    return false;
}

/* The anchors that may have issued the last one of the path, in turn. */
static const char *try_anchors(const struct path *p, const char *otherwise)
{
    const struct cdt_tls_credentials *cred = p->x->cred;
    const char *text = otherwise;

    for (size_t i = 0; i < cred->anchor_count; i++) {
        if (is_issuer(&cred->anchors[i].cert, on_path(p, p->length - 1))) {
            text = judge_path(p, &cred->anchors[i]);
            if (text == NULL) {
                return NULL;
            }
        }
    }
    return text;
}

/* Whether the leaf itself was given as an authority. */
static bool is_anchor(const struct path *p)
{
    const struct cdt_tls_credentials *cred = p->x->cred;
    uint8_t hash[32];

    cdt_bearssl_sha256(p->certs[0].der, hash);
    for (size_t i = 0; i < cred->anchor_count; i++) {
        if (memcmp(hash, cred->anchors[i].sha256, sizeof hash) == 0) {
            return true;
        }
    }
    return false;
}

/* In OpenSSL's order: a weak leaf before anything else, and one that seems to
 * have signed itself is nobody else's, whatever its issuer is called. */
static const char *judge_chain(struct path *p)
{
    const struct cdt_bearssl_cert *leaf = &p->certs[0];
    const char *text = check_key(p, leaf);

    p->order[0] = 0;
    p->length = 1;
    if (p->now == 0) {
        return CDT_BEARSSL_NO_TIME;
    }
    if (text != NULL) {
        return text;
    }
    if (is_anchor(p)) {
        return judge_path(p, NULL);
    }
    if (is_issuer(leaf, leaf)) {
        return CDT_TLS_SELF_SIGNED;
    }
    text = CDT_TLS_UNKNOWN_CA;
    do {
        text = try_anchors(p, text);
    } while (text != NULL && extend(p));
    return text;
}

/* ---- the chain as it was shown ------------------------------------------ */

static void note_peer(struct cdt_bearssl_x509 *x,
                      const struct cdt_bearssl_cert *leaf)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[32];

    cdt_bearssl_sha256(leaf->der, hash);
    for (size_t i = 0; i < sizeof hash; i++) {
        x->facts.fingerprint[2 * i] = digits[hash[i] >> 4];
        x->facts.fingerprint[2 * i + 1] = digits[hash[i] & 15];
    }
    cdt_bearssl_cert_subject(leaf, x->facts.subject);
}

/* The handshake goes on with the leaf's key; the rest can be forgotten. */
static const char *keep_key(struct cdt_bearssl_x509 *x,
                            const struct cdt_bearssl_cert *leaf)
{
    struct cdt_der spki = leaf->spki;

    if (leaf->key.key_type == 0) {
        return CDT_BEARSSL_KEY_KIND;
    }
    x->key_data = conduit_alloc(x->cred->ctx, spki.left);
    if (x->key_data == NULL) {
        return CDT_TLS_TOO_MUCH;
    }
    memcpy(x->key_data, spki.at, spki.left);
    spki.at = x->key_data;
    return cdt_bearssl_key_read(spki, &x->key) ? NULL : CDT_TLS_BAD_CERTIFICATE;
}

static const char *judge_with(struct cdt_bearssl_x509 *x, struct path *p)
{
    size_t start = 0;
    const char *text;

    for (size_t i = 0; i < x->count; i++) {
        p->readable[i] = cdt_bearssl_cert_read(&p->certs[i], x->data + start,
                                               x->ends[i] - start);
        start = x->ends[i];
    }
    if (!p->readable[0]) {
        return CDT_TLS_BAD_CERTIFICATE;
    }
    note_peer(x, &p->certs[0]);
    text = keep_key(x, &p->certs[0]);
    if (text != NULL) {
        return text;
    }
    if (x->anybody) { /* but a pin holds: the leaf's key will be proven */
        p->length = 1;
        return check_pins(p, NULL);
    }
    text = judge_chain(p);
    x->facts.verified = text == NULL;
    return text;
}

static const char *judge(struct cdt_bearssl_x509 *x)
{
    struct conduit_ctx *ctx = x->cred->ctx;
    struct path p = {.x = x, .now = conduit_ctx_wall(ctx)};
    const char *text = CDT_TLS_TOO_MUCH;

    if (x->too_much) {
        return text;
    }
    if (x->count == 0) {
        return CDT_TLS_NO_CERTIFICATE;
    }
    p.certs = conduit_alloc(ctx, x->count * sizeof *p.certs);
    p.minimal = conduit_alloc(ctx, sizeof *p.minimal);
    if (p.certs != NULL && p.minimal != NULL) {
        text = judge_with(x, &p);
    }
    conduit_release(ctx, p.certs);
    conduit_release(ctx, p.minimal);
    return text;
}

/* ---- the class ---------------------------------------------------------- */

/* Which alert BearSSL's codes stand for is decided where alerts are made. */
static unsigned code_of(const char *text)
{
    static const struct {
        const char *text;
        unsigned code;
    } codes[] = {
        {CDT_TLS_EXPIRED, BR_ERR_X509_EXPIRED},
        {CDT_TLS_NOT_YET, BR_ERR_X509_EXPIRED},
        {CDT_TLS_WRONG_NAME, BR_ERR_X509_BAD_SERVER_NAME},
        {CDT_TLS_UNKNOWN_CA, BR_ERR_X509_NOT_TRUSTED},
        {CDT_TLS_SELF_SIGNED, BR_ERR_X509_NOT_TRUSTED},
        {CDT_TLS_NOT_A_CA, BR_ERR_X509_NOT_CA},
        {CDT_TLS_PATH_LENGTH, BR_ERR_X509_NOT_CA},
        {CDT_TLS_WRONG_USAGE, BR_ERR_X509_FORBIDDEN_KEY_USAGE},
        {CDT_TLS_WEAK_KEY, BR_ERR_X509_WEAK_PUBLIC_KEY},
        {CDT_TLS_BAD_SIGNATURE, BR_ERR_X509_BAD_SIGNATURE},
        {CDT_TLS_NO_CERTIFICATE, BR_ERR_X509_EMPTY_CHAIN},
        {CDT_BEARSSL_NO_TIME, BR_ERR_X509_TIME_UNKNOWN},
        {CDT_BEARSSL_CRITICAL, BR_ERR_X509_CRITICAL_EXTENSION},
        {CDT_BEARSSL_KEY_KIND, BR_ERR_X509_UNSUPPORTED},
        {CDT_BEARSSL_WEAK_SIGNATURE, BR_ERR_X509_UNSUPPORTED},
        {CDT_TLS_TOO_MUCH, BR_ERR_X509_LIMIT_EXCEEDED},
    };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(codes[i].text, text) == 0) {
            return codes[i].code;
        }
    }
    return BR_ERR_X509_INVALID_VALUE;
}

static struct cdt_bearssl_x509 *own(const br_x509_class **ctx)
{
    return (struct cdt_bearssl_x509 *)(void *)ctx;
}

static void drop_chain(struct cdt_bearssl_x509 *x)
{
    conduit_release(x->cred->ctx, x->data);
    x->data = NULL;
    x->size = x->room = x->count = 0;
    x->too_much = false;
}

static void start_chain(const br_x509_class **ctx, const char *server_name)
{
    struct cdt_bearssl_x509 *x = own(ctx);

    (void)server_name; /* it is checked here, and IP addresses too */
    drop_chain(x);
    conduit_release(x->cred->ctx, x->key_data);
    x->key_data = NULL;
    x->text = NULL;
    memset(&x->key, 0, sizeof x->key);
    memset(&x->facts, 0, sizeof x->facts);
}

static void start_cert(const br_x509_class **ctx, uint32_t length)
{
    struct cdt_bearssl_x509 *x = own(ctx);
    size_t room = x->size + length + 1; /* never nothing */
    uint8_t *data;

    x->shown = true;
    if (x->count == CDT_TLS_CHAIN_MAX ||
        length > CDT_BEARSSL_CHAIN_BYTES - x->size) {
        x->too_much = true;
    }
    if (x->too_much || room <= x->room) {
        return;
    }
    room += room / 2; /* often an issuer's follows */
    data = conduit_resize(x->cred->ctx, x->data, room);
    if (data == NULL) {
        x->too_much = true;
        return;
    }
    x->data = data;
    x->room = room;
}

static void append(const br_x509_class **ctx, const unsigned char *buf,
                   size_t len)
{
    struct cdt_bearssl_x509 *x = own(ctx);

    if (x->too_much || len > x->room - x->size) {
        x->too_much = true;
        return;
    }
    memcpy(x->data + x->size, buf, len);
    x->size += len;
}

static void end_cert(const br_x509_class **ctx)
{
    struct cdt_bearssl_x509 *x = own(ctx);

    if (!x->too_much) {
        x->ends[x->count++] = x->size;
    }
}

static unsigned end_chain(const br_x509_class **ctx)
{
    struct cdt_bearssl_x509 *x = own(ctx);

    x->text = judge(x);
    drop_chain(x);
    x->native = x->text != NULL ? code_of(x->text) : 0;
    return x->native;
}

/* A leaf that may not sign was refused, and suites are ephemeral: signing is
 * all it is asked for. */
static const br_x509_pkey *get_pkey(const br_x509_class *const *ctx,
                                    unsigned *usages)
{
    const struct cdt_bearssl_x509 *x =
        (const struct cdt_bearssl_x509 *)(const void *)ctx;

    if (usages != NULL) {
        *usages = BR_KEYTYPE_SIGN;
    }
    return x->key.key_type != 0 ? &x->key : NULL;
}

static const br_x509_class x509_class = {
    .context_size = sizeof(struct cdt_bearssl_x509),
    .start_chain = start_chain,
    .start_cert = start_cert,
    .append = append,
    .end_cert = end_cert,
    .end_chain = end_chain,
    .get_pkey = get_pkey,
};

void cdt_bearssl_x509_init(struct cdt_bearssl_x509 *x,
                           struct cdt_tls_credentials *cred)
{
    x->vtable = &x509_class;
    x->cred = cred;
}

void cdt_bearssl_x509_fini(struct cdt_bearssl_x509 *x)
{
    drop_chain(x);
    conduit_release(x->cred->ctx, x->key_data);
    x->key_data = NULL;
}
