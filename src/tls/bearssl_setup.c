/* SPDX-License-Identifier: ISC */
/*
 * Makes BearSSL's machine ready: what it may negotiate, whom it is, what it can
 * resume. Its own seeding from the system is left out, since it is not there in
 * a guest and a descriptor a session elsewhere; entropy is the context's.
 *
 * Two fields that BearSSL calls opaque are written, for want of a call: that
 * one (rng_os_rand_done), and the curves in common with a client, of which it
 * would take the lowest number and not the one preferred.
 */
#include "bearssl_engine.h"

#include <string.h>

#define LAYER "tls"
#define SEED_BYTES 48
#define SERVED_MAX 256

/* The groups of the policy are not the curves of certificates: signatures are
 * verified with all that BearSSL has. */
static uint32_t verify_ecdsa(const br_ec_impl *impl, const void *hash,
                             size_t hash_len, const br_ec_public_key *key,
                             const void *sig, size_t sig_len)
{
    (void)impl;
    return br_ecdsa_vrfy_asn1_get_default()(br_ec_get_default(), hash, hash_len,
                                            key, sig, sig_len);
}

static void set_algorithms(struct cdt_bearssl_session *s)
{
    br_ssl_engine_context *e = &s->u.engine;
    uint32_t curves = 0;

    for (size_t i = 0; i < s->cred->group_count; i++) {
        curves |= (uint32_t)1 << s->cred->groups[i];
    }
    s->ec = *br_ec_get_default();
    s->ec.supported_curves &= curves;
    br_ssl_engine_set_versions(e, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(e, s->cred->suites, s->cred->suite_count);
    br_ssl_engine_set_hash(e, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_hash(e, br_sha384_ID, &br_sha384_vtable);
    br_ssl_engine_set_hash(e, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_prf_sha256(e, br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(e, br_tls12_sha384_prf);
    br_ssl_engine_set_default_aes_gcm(e);
    br_ssl_engine_set_default_aes_ccm(e);
    br_ssl_engine_set_default_aes_cbc(e);
    br_ssl_engine_set_default_chapol(e);
    br_ssl_engine_set_default_rsavrfy(e);
    br_ssl_engine_set_ecdsa(e, verify_ecdsa);
    br_ssl_engine_set_ec(e, &s->ec);
}

static int set_common(struct cdt_bearssl_session *s, struct conduit_error *err)
{
    br_ssl_engine_context *e = &s->u.engine;
    uint8_t seed[SEED_BYTES];
    int rc = conduit_ctx_entropy(s->cred->ctx, seed, sizeof seed);

    if (rc != 0) {
        return conduit_error_set(err, rc, LAYER, 0, "there is no entropy");
    }
    set_algorithms(s);
    br_ssl_engine_inject_entropy(e, seed, sizeof seed);
    cdt_wipe(seed, sizeof seed);
    e->rng_os_rand_done = 1;
    br_ssl_engine_add_flags(e, BR_OPT_NO_RENEGOTIATION |
                                   BR_OPT_ENFORCE_SERVER_PREFERENCES |
                                   BR_OPT_FAIL_ON_ALPN_MISMATCH);
    for (size_t i = 0; i < s->cred->alpn_count; i++) {
        s->alpn[i] = s->cred->alpn[i];
    }
    br_ssl_engine_set_protocol_names(e, s->alpn, s->cred->alpn_count);
    br_ssl_engine_set_buffer(e, s->buffer, sizeof s->buffer, 1);
    return 0;
}

static int is_ready(const struct cdt_bearssl_session *s, int done,
                    struct conduit_error *err)
{
    int native = br_ssl_engine_last_error(&s->u.engine);

    return done != 0
               ? 0
               : conduit_error_set(err, CONDUIT_ETLS, LAYER, native,
                                   "BearSSL does not start (error %d)", native);
}

/* ---- clients ------------------------------------------------------------ */

static void set_client_identity(struct cdt_bearssl_session *s)
{
    const struct cdt_bearssl_identity *id = s->cred->identities;

    if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA) {
        br_ssl_client_set_single_rsa(&s->u.client, id->chain, id->ders.count,
                                     br_skey_decoder_get_rsa(&id->key),
                                     br_rsa_pkcs1_sign_get_default());
    } else {
        br_ssl_client_set_single_ec(
            &s->u.client, id->chain, id->ders.count,
            br_skey_decoder_get_ec(&id->key), BR_KEYTYPE_SIGN, BR_KEYTYPE_EC,
            br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
    }
}

/* Offers a session that was had with this server, judged as strictly. */
static bool offer_session(struct cdt_bearssl_session *s)
{
    struct cdt_tls_credentials *cred = s->cred;
    struct cdt_bearssl_remembered *met = NULL;

    if (!cred->no_resumption && s->name != NULL) {
        met = cdt_bearssl_cache_by_name(cred->ctx, &cred->met, s->name);
    }
    if (met == NULL || met->anybody != s->anybody) {
        return false;
    }
    if (!s->anybody && conduit_ctx_wall(cred->ctx) == 0) {
        return false;
    }
    br_ssl_engine_set_session_parameters(&s->u.engine, &met->params);
    s->offered_size = met->params.session_id_len;
    memcpy(s->offered, met->params.session_id, s->offered_size);
    s->remembered = met->facts;
    return true;
}

static int set_up_client(struct cdt_bearssl_session *s,
                         struct conduit_error *err)
{
    bool resume;
    int rc;

    br_ssl_client_zero(&s->u.client);
    rc = set_common(s, err);
    if (rc != 0) {
        return rc;
    }
    br_ssl_engine_set_x509(&s->u.engine, &s->x509.vtable);
    if (s->cred->identity_count > 0) {
        set_client_identity(s);
    }
    resume = offer_session(s);
    return is_ready(s,
                    br_ssl_client_reset(&s->u.client,
                                        s->name_is_ip ? NULL : s->name, resume),
                    err);
}

/* ---- servers: who we are ------------------------------------------------ */

static struct cdt_bearssl_session *
of_policy(const br_ssl_server_policy_class **pctx)
{
    char *at = (char *)pctx - offsetof(struct cdt_bearssl_session, policy);

    return (struct cdt_bearssl_session *)(void *)at;
}

/* Of the groups in common, the one that our policy has first. */
static void prefer_group(struct cdt_bearssl_session *s)
{
    for (size_t i = 0; i < s->cred->group_count; i++) {
        uint32_t bit = (uint32_t)1 << s->cred->groups[i];

        if ((s->u.server.curves & bit) != 0) {
            s->u.server.curves = bit;
            return;
        }
    }
}

/* Hands the handshake to BearSSL's policy for one key, which then also signs;
 * 0 when the client cannot do with that key. */
static int choose_identity(struct cdt_bearssl_session *s,
                           const struct cdt_bearssl_identity *id,
                           br_ssl_server_choices *choices)
{
    br_ssl_server_context *server = &s->u.server;

    if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA) {
        br_ssl_server_set_single_rsa(
            server, id->chain, id->ders.count,
            br_skey_decoder_get_rsa(&id->key), BR_KEYTYPE_SIGN,
            br_rsa_private_get_default(), br_rsa_pkcs1_sign_get_default());
    } else {
        br_ssl_server_set_single_ec(
            server, id->chain, id->ders.count, br_skey_decoder_get_ec(&id->key),
            BR_KEYTYPE_SIGN, BR_KEYTYPE_EC, br_ec_get_default(),
            br_ecdsa_sign_asn1_get_default());
    }
    return (*server->policy_vtable)
        ->choose(server->policy_vtable, server, choices);
}

/* Whether the client lists the curve of its key, where that is a curve of our
 * policy, of which alone BearSSL says what the client has. */
static bool is_listed(const struct cdt_bearssl_session *s,
                      const struct cdt_bearssl_identity *id, uint32_t listed)
{
    const br_x509_pkey *key = &id->leaf.key;
    uint32_t bit;

    if (key->key_type != BR_KEYTYPE_EC) {
        return true;
    }
    bit = (uint32_t)1 << key->key.ec.curve;
    return (s->ec.supported_curves & bit) == 0 || (listed & bit) != 0;
}

/* An identity of the name that the client asked for; without one, any, the
 * first above all. Not all clients verify what they do not list (RFC 8422,
 * 5.1), but some do, so such an identity comes last. */
static int choose(const br_ssl_server_policy_class **pctx,
                  const br_ssl_server_context *cc,
                  br_ssl_server_choices *choices)
{
    struct cdt_bearssl_session *s = of_policy(pctx);
    const struct cdt_tls_credentials *cred = s->cred;
    const char *name = br_ssl_engine_get_server_name(&cc->eng);
    uint32_t listed = s->u.server.curves;
    bool named = false;

    prefer_group(s);
    for (size_t i = 0; i < cred->identity_count && name[0] != '\0'; i++) {
        named |= cdt_bearssl_cert_names(&cred->identities[i].leaf, name, false);
    }
    for (size_t i = 0; i < 2 * cred->identity_count; i++) {
        const struct cdt_bearssl_identity *id =
            &cred->identities[i % cred->identity_count];

        if ((!named || cdt_bearssl_cert_names(&id->leaf, name, false)) &&
            is_listed(s, id, listed) == (i < cred->identity_count) &&
            choose_identity(s, id, choices) != 0) {
            return 1;
        }
    }
    return 0;
}

/* Not reached: suites are ephemeral, and choose() has put another policy in
 * place before anything is signed. They give nothing away. */
static uint32_t no_exchange(const br_ssl_server_policy_class **pctx,
                            unsigned char *data, size_t *len)
{
    (void)pctx;
    memset(data, 0, *len);
    *len = 0;
    return 0;
}

static size_t no_signature(const br_ssl_server_policy_class **pctx,
                           unsigned algo_id, unsigned char *data, size_t hv_len,
                           size_t len)
{
    (void)pctx;
    (void)algo_id;
    (void)hv_len;
    memset(data, 0, len);
    return 0;
}

static const br_ssl_server_policy_class policy_class = {
    .context_size = sizeof(br_ssl_server_policy_class *),
    .choose = choose,
    .do_keyx = no_exchange,
    .do_sign = no_signature,
};

/* ---- servers: what is resumed ------------------------------------------- */

static struct cdt_bearssl_session *
of_cache(const br_ssl_session_cache_class **ctx)
{
    char *at = (char *)ctx - offsetof(struct cdt_bearssl_session, cache);

    return (struct cdt_bearssl_session *)(void *)at;
}

static void save(const br_ssl_session_cache_class **ctx,
                 br_ssl_server_context *server,
                 const br_ssl_session_parameters *params)
{
    struct cdt_bearssl_session *s = of_cache(ctx);
    struct conduit_ctx *cx = s->cred->ctx;
    struct cdt_bearssl_remembered session = {
        .params = *params,
        .facts = s->x509.facts,
        .anybody = s->anybody,
    };

    (void)server;
    cdt_bearssl_cache_save(cx, &s->cred->served, SERVED_MAX, &session);
    cdt_wipe(&session, sizeof session);
}

static int load(const br_ssl_session_cache_class **ctx,
                br_ssl_server_context *server,
                br_ssl_session_parameters *params)
{
    struct cdt_bearssl_session *s = of_cache(ctx);
    struct cdt_bearssl_remembered *found = cdt_bearssl_cache_by_id(
        s->cred->ctx, &s->cred->served, params->session_id,
        params->session_id_len);

    (void)server;
    if (found == NULL || found->anybody != s->anybody) {
        return 0;
    }
    *params = found->params;
    s->offered_size = params->session_id_len;
    memcpy(s->offered, params->session_id, s->offered_size);
    s->remembered = found->facts;
    return 1;
}

static const br_ssl_session_cache_class cache_class = {
    .context_size = sizeof(br_ssl_session_cache_class *),
    .save = save,
    .load = load,
};

static int set_up_server(struct cdt_bearssl_session *s,
                         struct conduit_error *err)
{
    br_ssl_server_context *server = &s->u.server;
    int rc;

    if (s->cred->identity_count == 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "a server needs a certificate and its key");
    }
    br_ssl_server_zero(server);
    rc = set_common(s, err);
    if (rc != 0) {
        return rc;
    }
    s->policy = &policy_class;
    br_ssl_server_set_policy(server, &s->policy);
    if (!s->cred->no_resumption) {
        s->cache = &cache_class;
        br_ssl_server_set_cache(server, &s->cache);
    }
    if (s->cred->clients != CONDUIT_TLS_CLIENTS_OFF) {
        br_ssl_engine_set_x509(&s->u.engine, &s->x509.vtable);
        br_ssl_server_set_trust_anchor_names(server, s->cred->anchor_names,
                                             s->cred->anchor_name_count);
    }
    if (s->cred->clients == CONDUIT_TLS_CLIENTS_OPTIONAL) {
        br_ssl_engine_add_flags(&s->u.engine, BR_OPT_TOLERATE_NO_CLIENT_AUTH);
    }
    return is_ready(s, br_ssl_server_reset(server), err);
}

int cdt_bearssl_setup(struct cdt_bearssl_session *s, struct conduit_error *err)
{
    return s->server ? set_up_server(s, err) : set_up_client(s, err);
}
