/* SPDX-License-Identifier: ISC */
/*
 * Options about TLS, and the configuration they make. Nothing is opened here:
 * files are the library's to read, whose errors name them.
 */
#include "tls_options.h"

#include <string.h>

static const char too_many[] = " was given too often";

/* ---- pins --------------------------------------------------------------- */

/* One of a list, of n characters. */
static bool read_pin(const char *text, size_t n, struct conduit_tls_pin *pin)
{
    char one[64]; /* more than any pin has */

    if (n >= sizeof one) {
        return false;
    }
    memcpy(one, text, n);
    one[n] = '\0';
    return conduit_tls_pin_parse(one, pin) == 0;
}

static const char *add_pins(struct tls_options *o, const char *text)
{
    for (;;) {
        size_t n = strcspn(text, ";");

        if (o->pin_count == TLS_OPTIONS_MAX) {
            return too_many;
        }
        if (!read_pin(text, n, &o->pins[o->pin_count])) {
            return " wants sha256//BASE64, the hash of a public key";
        }
        o->pin_count++;
        if (text[n] == '\0') {
            return NULL;
        }
        text += n + 1;
    }
}

/* ---- options ------------------------------------------------------------ */

static const char *add_authority(struct tls_options *o, const char *name)
{
    if (o->authority_count == TLS_OPTIONS_MAX) {
        return too_many;
    }
    o->authorities[o->authority_count++].name = name;
    return NULL;
}

static const char *add_cert(struct tls_options *o, const char *name)
{
    if (o->cert_count == TLS_OPTIONS_MAX) {
        return too_many;
    }
    o->identities[o->cert_count++].chain.name = name;
    return NULL;
}

static const char *add_key(struct tls_options *o, const char *name)
{
    if (o->key_count == TLS_OPTIONS_MAX) {
        return too_many;
    }
    o->identities[o->key_count++].key.name = name;
    return NULL;
}

const char *tls_options_set(struct tls_options *o, enum tls_option option,
                            const char *value)
{
    o->given = true;
    if (option == TLS_INSECURE) {
        o->insecure = true;
        return NULL;
    }
    if (value == NULL || *value == '\0') {
        return " wants a value";
    }
    switch (option) {
    case TLS_CERT:
        return add_cert(o, value);
    case TLS_KEY:
        return add_key(o, value);
    case TLS_PIN:
        return add_pins(o, value);
    case TLS_NAME:
        o->name = value;
        return NULL;
    case TLS_CLIENT_CA:
        o->client_ca = true;
        return add_authority(o, value);
    default:
        return add_authority(o, value);
    }
}

bool tls_options_read(struct tls_options *o,
                      const struct tls_option_name *names, int argc,
                      char **argv, int *i, const char **name, const char **why)
{
    const char *arg = argv[*i];
    size_t n = strcspn(arg, "=");
    const char *value = arg[n] == '=' ? arg + n + 1 : NULL;

    while (names->name != NULL &&
           (strncmp(names->name, arg, n) != 0 || names->name[n] != '\0')) {
        names++;
    }
    if (names->name == NULL) {
        return false;
    }
    *name = names->name;
    if (names->option == TLS_INSECURE && value != NULL) {
        *why = " takes no value";
        return true;
    }
    if (names->option != TLS_INSECURE && value == NULL && *i + 1 < argc) {
        *i += 1;
        value = argv[*i];
    }
    *why = tls_options_set(o, names->option, value);
    return true;
}

const char *tls_options_check(const struct tls_options *o)
{
    return o->cert_count == o->key_count
               ? NULL
               : "each certificate needs its key, and each key its certificate";
}

/* ---- what they make ----------------------------------------------------- */

/* Whether n bytes are a word in lower case, whatever theirs is. */
static bool is_word(const char *text, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        if ((text[i] | 0x20) != word[i]) {
            return false;
        }
    }
    return word[n] == '\0';
}

bool tls_options_wanted(const char *uri)
{
    size_t n = strcspn(uri, "+:");

    while (!is_word(uri, n, "tls") && !is_word(uri, n, "https")) {
        if (uri[n] != '+') {
            return false;
        }
        uri += n + 1;
        n = strcspn(uri, "+:");
    }
    return true;
}

int tls_options_make(const struct tls_options *o, struct conduit_ctx *ctx,
                     const struct conduit_assets *assets, bool http,
                     struct conduit_tls **out, struct conduit_error *err)
{
    static const char *const http_only[] = {"http/1.1", NULL};
    const struct conduit_tls_options options = {
        .assets = assets,
        .identities = o->identities,
        .identity_count = o->cert_count,
        .authorities = o->authorities,
        .authority_count = o->authority_count,
        .pins = o->pins,
        .pin_count = o->pin_count,
        .clients = o->client_ca ? CONDUIT_TLS_CLIENTS_REQUIRED
                                : CONDUIT_TLS_CLIENTS_OFF,
        .alpn = http ? http_only : NULL,
    };
    int code = conduit_tls_new(ctx, &options, out, err);

    if (code == 0 && o->insecure) {
        conduit_tls_trust_anybody(*out);
    }
    return code;
}
