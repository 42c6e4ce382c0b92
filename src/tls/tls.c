/* SPDX-License-Identifier: ISC */
/*
 * Configurations: what an application asked for, kept as text, and what an
 * engine made of it, by role. A role is made when it is first needed, since a
 * service that never dials has no use for a hundred authorities; and made anew
 * when the sources are read again, where all of it must succeed before any of
 * it counts.
 */
#include "filter.h"

#include "core.h"
#include "source.h"

#include <stdio.h>
#include <string.h>

#define LAYER "tls"
#define ENGINES_MAX 4

struct cdt_tls_state {
    struct cdt_extra extra; /* must be first */
    const struct cdt_tls_engine *engines[ENGINES_MAX];
    size_t count;
    struct conduit_tls *chosen; /* conduit_tls_set_default() */
    struct conduit_tls *plain;  /* no options at all, made when needed */
};

struct conduit_tls {
    struct conduit_ctx *ctx;
    unsigned refs;
    const struct cdt_tls_engine *engine;
    struct cdt_tls_copy copy; /* owns all that options point to */
    struct conduit_tls_options options;
    struct cdt_tls_credentials *roles[2]; /* client, server */
    bool trust_anybody;
};

/* ---- engines ------------------------------------------------------------ */

static const char state_key;

static void state_fini(struct conduit_ctx *ctx, struct cdt_extra *extra)
{
    struct cdt_tls_state *state = (struct cdt_tls_state *)(void *)extra;

    conduit_tls_unref(state->chosen);
    conduit_tls_unref(state->plain);
    conduit_release(ctx, state);
}

static struct cdt_tls_state *state_of(const struct conduit_ctx *ctx)
{
    return (struct cdt_tls_state *)(void *)cdt_extra_find(ctx, &state_key);
}

int cdt_tls_register(struct conduit_ctx *ctx,
                     const struct cdt_tls_engine *engine)
{
    struct cdt_tls_state *state = state_of(ctx);

    if (state == NULL) {
        state = conduit_alloc(ctx, sizeof *state);
        if (state == NULL) {
            return CONDUIT_ENOMEM;
        }
        state->extra.key = &state_key;
        state->extra.fini = state_fini;
        cdt_extra_add(ctx, &state->extra);
    }
    for (size_t i = 0; i < state->count; i++) {
        if (state->engines[i] == engine) {
            return 0;
        }
    }
    if (state->count == ENGINES_MAX) {
        return CONDUIT_ENOMEM;
    }
    state->engines[state->count++] = engine;
    return conduit_register_filter(ctx, &cdt_tls_filter);
}

const char *conduit_tls_engine(const struct conduit_ctx *ctx, size_t i)
{
    const struct cdt_tls_state *state = state_of(ctx);

    return state != NULL && i < state->count ? state->engines[i]->name : NULL;
}

static const struct cdt_tls_engine *find_engine(struct conduit_ctx *ctx,
                                                const char *name,
                                                struct conduit_error *err)
{
    const struct cdt_tls_state *state = state_of(ctx);
    char list[64] = "";
    size_t len = 0;

    if (state == NULL) {
        (void)conduit_error_set(err, CONDUIT_ESCHEME, LAYER, 0,
                                "no TLS engine is in this build");
        return NULL;
    }
    if (name == NULL) {
        name = conduit_ctx_env(ctx, "CONDUIT_TLS");
    }
    if (name == NULL || name[0] == '\0') {
        return state->engines[0];
    }
    for (size_t i = 0; i < state->count; i++) {
        if (strcmp(state->engines[i]->name, name) == 0) {
            return state->engines[i];
        }
        cdt_append(list, sizeof list, &len, i > 0 ? ", " : "");
        cdt_append(list, sizeof list, &len, state->engines[i]->name);
    }
    (void)conduit_error_set(err, CONDUIT_ESCHEME, LAYER, 0,
                            "no engine \"%.32s\" is in this build, which has: "
                            "%s",
                            name, list);
    return NULL;
}

/* ---- policy ------------------------------------------------------------- */

static const char *version_name(unsigned version)
{
    return version == CONDUIT_TLS_1_3 ? "1.3" : "1.2";
}

static int check_policy(struct conduit_tls *tls, struct conduit_error *err)
{
    struct conduit_tls_policy *p = &tls->options.policy;
    const struct cdt_tls_engine *e = tls->engine;

    if (p->min_version == 0) {
        p->min_version = e->min_version;
    }
    if (p->max_version == 0) {
        p->max_version = e->max_version;
    }
    if (p->min_rsa_bits == 0) {
        p->min_rsa_bits = 2048;
    }
    if (p->min_version < CONDUIT_TLS_1_2 || p->max_version > CONDUIT_TLS_1_3 ||
        p->min_version > p->max_version) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "versions of TLS from 0x%04x to 0x%04x make "
                                 "no sense",
                                 p->min_version, p->max_version);
    }
    if (p->min_version > e->max_version) {
        return conduit_error_set(err, CONDUIT_ENOTSUP, LAYER, 0,
                                 "%s has no TLS %s", e->name,
                                 version_name(p->min_version));
    }
    if (p->max_version > e->max_version) {
        p->max_version = e->max_version;
    }
    return 0;
}

/* ---- roles -------------------------------------------------------------- */

/* Reads the sources that a role needs, and has the engine make it. */
static int make_role(struct conduit_tls *tls, bool server,
                     struct cdt_tls_credentials **out,
                     struct conduit_error *err)
{
    struct cdt_tls_texts texts = {.ctx = tls->ctx};
    struct cdt_tls_material material = {.options = &tls->options};
    const struct conduit_tls_options *o = &tls->options;
    bool peers = !server || o->clients != CONDUIT_TLS_CLIENTS_OFF;
    bool system = !server && (o->authority_count == 0 || o->system_authorities);
    int code = 0;

    system = system || (server && peers && o->system_authorities);
    if (code == 0) {
        code = cdt_tls_read_identities(&texts, o, &material, err);
    }
    if (code == 0 && peers &&
        !(tls->trust_anybody && o->authority_count == 0)) {
        code = cdt_tls_read_authorities(&texts, o, system, &material, err);
    }
    if (code == 0 && peers) {
        code = cdt_tls_read_crls(&texts, o, &material, err);
    }
    if (code == 0) {
        code = tls->engine->credentials_new(tls->ctx, &material, out, err);
    }
    cdt_tls_texts_free(&texts);
    return code;
}

int cdt_tls_prepare(struct conduit_tls *tls, bool server,
                    struct conduit_error *err)
{
    const struct conduit_tls_options *o = &tls->options;

    if (tls->roles[server] != NULL) {
        return 0;
    }
    if (server && o->identity_count == 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "a listener needs a certificate and its key");
    }
    if (!server && o->identity_count > 1) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "a dial has one certificate at most, not %zu",
                                 o->identity_count);
    }
    if (server && o->clients != CONDUIT_TLS_CLIENTS_OFF &&
        o->authority_count == 0 && !o->system_authorities) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "clients' certificates need authorities to "
                                 "judge them by");
    }
    return make_role(tls, server, &tls->roles[server], err);
}

int cdt_tls_session(struct conduit_tls *tls, const struct cdt_tls_peer *peer,
                    struct cdt_tls_io *io, struct cdt_tls_session **out,
                    struct conduit_error *err)
{
    return tls->engine->session_new(tls->roles[peer->server], peer, io, out,
                                    err);
}

bool cdt_tls_trusts_anybody(const struct conduit_tls *tls)
{
    return tls->trust_anybody;
}

static void free_roles(struct conduit_tls *tls,
                       struct cdt_tls_credentials *roles[2])
{
    for (unsigned i = 0; i < 2; i++) {
        if (roles[i] != NULL) {
            tls->engine->credentials_free(roles[i]);
        }
    }
}

/* ---- configurations ----------------------------------------------------- */

struct conduit_tls *conduit_tls_ref(struct conduit_tls *tls)
{
    tls->refs++;
    return tls;
}

void conduit_tls_unref(struct conduit_tls *tls)
{
    if (tls == NULL || --tls->refs > 0) {
        return;
    }
    free_roles(tls, tls->roles);
    cdt_tls_copy_free(tls->ctx, &tls->copy);
    conduit_release(tls->ctx, tls);
}

/* A configuration whose role is the one that its options speak of is tried out
 * at once, so that what is wrong with it shows here. */
static int try_out(struct conduit_tls *tls, struct conduit_error *err)
{
    const struct conduit_tls_options *o = &tls->options;

    if (o->identity_count > 0) {
        return cdt_tls_prepare(tls,
                               o->clients != CONDUIT_TLS_CLIENTS_OFF ||
                                   o->authority_count == 0 ||
                                   o->identity_count > 1,
                               err);
    }
    return o->authority_count > 0 ? cdt_tls_prepare(tls, false, err) : 0;
}

int conduit_tls_new(struct conduit_ctx *ctx,
                    const struct conduit_tls_options *options,
                    struct conduit_tls **out, struct conduit_error *err)
{
    static const struct conduit_tls_options none = {0};
    struct conduit_error ignored = {0};
    struct conduit_error *why = err != NULL ? err : &ignored;
    const struct conduit_tls_options *o = options != NULL ? options : &none;
    const struct cdt_tls_engine *engine = find_engine(ctx, o->engine, why);
    struct conduit_tls *tls;
    int code;

    if (engine == NULL) {
        return why->code;
    }
    tls = conduit_alloc(ctx, sizeof *tls);
    if (tls == NULL) {
        return conduit_error_set(why, CONDUIT_ENOMEM, LAYER, 0,
                                 "out of memory");
    }
    tls->ctx = ctx;
    tls->refs = 1;
    tls->engine = engine;
    code = cdt_tls_copy_options(ctx, o, &tls->copy, &tls->options, why);
    if (code == 0) {
        code = check_policy(tls, why);
    }
    if (code == 0) {
        code = try_out(tls, why);
    }
    if (code != 0) {
        conduit_tls_unref(tls);
        return code;
    }
    *out = tls;
    return 0;
}

int conduit_tls_reload(struct conduit_tls *tls, struct conduit_error *err)
{
    struct cdt_tls_credentials *fresh[2] = {NULL, NULL};

    for (unsigned i = 0; i < 2; i++) {
        int code = tls->roles[i] != NULL
                       ? make_role(tls, i == 1, &fresh[i], err)
                       : 0;

        if (code != 0) {
            free_roles(tls, fresh);
            return code;
        }
    }
    free_roles(tls, tls->roles);
    memcpy(tls->roles, fresh, sizeof fresh);
    return 0;
}

void conduit_tls_trust_anybody(struct conduit_tls *tls)
{
    if (!tls->trust_anybody) {
        tls->trust_anybody = true;
        conduit_log(tls->ctx, CONDUIT_LOG_WARN, LAYER,
                    "verification is OFF: anybody may answer, and read and "
                    "change everything");
    }
}

/* ---- defaults ----------------------------------------------------------- */

void conduit_tls_set_default(struct conduit_ctx *ctx, struct conduit_tls *tls)
{
    struct cdt_tls_state *state = state_of(ctx);

    if (state != NULL) {
        if (tls != NULL) {
            (void)conduit_tls_ref(tls);
        }
        conduit_tls_unref(state->chosen);
        state->chosen = tls;
    }
}

struct conduit_tls *cdt_tls_of(struct conduit_ctx *ctx,
                               const struct conduit_options *options,
                               struct conduit_error *err)
{
    struct cdt_tls_state *state = state_of(ctx);

    if (options->tls != NULL) {
        return options->tls;
    }
    if (state == NULL) {
        (void)conduit_error_set(err, CONDUIT_ESCHEME, LAYER, 0,
                                "no TLS engine is in this build");
        return NULL;
    }
    if (state->chosen != NULL) {
        return state->chosen;
    }
    if (state->plain == NULL &&
        conduit_tls_new(ctx, NULL, &state->plain, err) != 0) {
        return NULL;
    }
    return state->plain;
}
