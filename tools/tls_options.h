/* SPDX-License-Identifier: ISC */
/*
 * The options by which programs are told about TLS, with curl's names where it
 * has them. One reader for all of them, the examples included, so that
 * `--cacert` is the same everywhere; each program says which it takes, and
 * under which names.
 *
 * ISO C and conduit: a guest reads its options here too.
 */
#ifndef CONDUIT_TLS_OPTIONS_H
#define CONDUIT_TLS_OPTIONS_H

#include <conduit/conduit.h>

/* How many certificates, authorities or pins one program takes. */
#define TLS_OPTIONS_MAX 16

enum tls_option {
    TLS_CERT,      /* FILE: our certificate, with what is behind it */
    TLS_KEY,       /* FILE: the key of the certificate in the same place */
    TLS_CACERT,    /* FILE: authorities in place of the system's */
    TLS_CLIENT_CA, /* FILE: the same, of clients, who must have a certificate */
    TLS_PIN,       /* sha256//BASE64[;sha256//BASE64]... */
    TLS_NAME,      /* NAME: whom to expect */
    TLS_INSECURE
};

/* What an option is called, "--cacert"; a list of them ends with NULL. */
struct tls_option_name {
    const char *name;
    enum tls_option option;
};

/* What was given for one side. Zero-initialise; strings stay the caller's. */
struct tls_options {
    struct conduit_tls_identity identities[TLS_OPTIONS_MAX];
    size_t cert_count;
    size_t key_count;
    struct conduit_tls_source authorities[TLS_OPTIONS_MAX];
    size_t authority_count;
    struct conduit_tls_pin pins[TLS_OPTIONS_MAX];
    size_t pin_count;
    const char *name; /* for conduit_options.tls_name */
    bool client_ca;
    bool insecure;
    bool given; /* any of them */
};

/* Takes an option. NULL, or what is wrong with its value: " wants ...". */
const char *tls_options_set(struct tls_options *o, enum tls_option option,
                            const char *value);

/*
 * Takes the option argv[*i] where it is one of `names`: "--name VALUE", over
 * which *i moves, or "--name=VALUE". Answers whether it is one; *why is then
 * NULL, or what is wrong, for a message that begins with the option's *name.
 */
bool tls_options_read(struct tls_options *o,
                      const struct tls_option_name *names, int argc,
                      char **argv, int *i, const char **name, const char **why);

/* NULL, or what is wrong with all of them together; in full. */
const char *tls_options_check(const struct tls_options *o);

/* Whether the scheme of a URI has TLS in it. */
bool tls_options_wanted(const char *uri);

/*
 * The configuration that the options make, for the caller to unref. With `http`
 * it says so to the peer (ALPN). `assets`, which may be NULL, are for
 * "asset:NAME". The errors are those of conduit_tls_new().
 */
int tls_options_make(const struct tls_options *o, struct conduit_ctx *ctx,
                     const struct conduit_assets *assets, bool http,
                     struct conduit_tls **out, struct conduit_error *err);

#endif
