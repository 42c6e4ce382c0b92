/* SPDX-License-Identifier: ISC */
/*
 * TLS as a layer of the suite: configurations of both roles by the engines that
 * the program was started for. The certificate and its key are public and valid
 * for a century; they are for tests on one machine.
 */
#include "conformance.h"

static const char authority[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBZDCCAQugAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5UZXN0IGF1\n"
    "dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG\n"
    "A1UEAwwOVGVzdCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQf\n"
    "iqC4d+6tsTDHchjkaj/OLMcjDSwyuPBaYFWGt9Q/FofrtGnVMNEnS0b/Rbv6hfe4\n"
    "l+VM3uu/z/Xi+Qof1DvKo0IwQDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQE\n"
    "AwIBBjAdBgNVHQ4EFgQUcWzt4KryhpmnTpw1tCgMwcLB0aMwCgYIKoZIzj0EAwID\n"
    "RwAwRAIgQMfdj6kvx2thtuEpbSFWIIjU18zL8cpZHi27jKbZFekCIE3pfjMMylW/\n"
    "U81S8l4dCsx8odXczbZGvaR+vQ8g4UMq\n"
    "-----END CERTIFICATE-----\n";

static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBtTCCAVugAwIBAgIBAjAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5UZXN0IGF1\n"
    "dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAG\n"
    "A1UEAwwJVGVzdCBwZWVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtBntV5hD\n"
    "U2muSl3jpXSeXfUhky6SryNM22RwE3VfOv6dtLQU5bz9vub2vYgx7+hYDomGBgl/\n"
    "0v8qEMCPHMbSi6OBljCBkzAMBgNVHRMBAf8EAjAAMA4GA1UdDwEB/wQEAwIHgDAz\n"
    "BgNVHREELDAqghBjb25mb3JtYW5jZS50ZXN0hwR/AAABhxAAAAAAAAAAAAAAAAAA\n"
    "AAABMB0GA1UdDgQWBBTR3ItAN7UE2IET97AkFQXc21JGpjAfBgNVHSMEGDAWgBRx\n"
    "bO3gqvKGmadOnDW0KAzBwsHRozAKBggqhkjOPQQDAgNIADBFAiAD7HYrIgwa7pPm\n"
    "SGmHkaWtlZU9kSqxZS8+jTboOiXAaQIhANu6z4cqd9Wu/vPQ+COLViSTsmItRL4T\n"
    "2h6F4JPDHPH4\n"
    "-----END CERTIFICATE-----\n";

static const char key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgk//GyfqE7ov6Jp6U\n"
    "CbKz+F/83NmiQGmRUsutKUJmcWOhRANCAAS0Ge1XmENTaa5KXeOldJ5d9SGTLpKv\n"
    "I0zbZHATdV86/p20tBTlvP2+5va9iDHv6FgOiYYGCX/S/yoQwI8cxtKL\n"
    "-----END PRIVATE KEY-----\n";

static struct conduit_tls *make(struct t_env *env, const char *engine)
{
    const struct conduit_tls_source trusted = {"authority", authority,
                                               sizeof authority - 1};
    const struct conduit_tls_identity identity = {
        {"certificate", certificate, sizeof certificate - 1},
        {"key", key, sizeof key - 1}};
    const struct conduit_tls_options options = {
        .engine = engine,
        .identities = &identity,
        .identity_count = 1,
        .authorities = &trusted,
        .authority_count = 1,
    };
    struct conduit_error err = {0};
    struct conduit_tls *tls = NULL;

    if (conduit_tls_new(env->ctx, &options, &tls, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tls;
}

void suite_tls_setup(struct t_env *env)
{
    env->tls_client = make(env, suite.engines[0]);
    env->tls_server = make(env, suite.engines[1]);
    env->tls_name = "conformance.test";
}

void suite_tls_teardown(struct t_env *env)
{
    conduit_tls_unref(env->tls_client);
    conduit_tls_unref(env->tls_server);
    env->tls_client = NULL;
    env->tls_server = NULL;
}

/* TLS 1.2 ends both ways at once, and BearSSL has no more. */
unsigned suite_tls_caps(unsigned caps)
{
    bool half = strcmp(suite.engines[0], "openssl") == 0 &&
                strcmp(suite.engines[1], "openssl") == 0;

    return half ? caps : caps & ~(unsigned)CONDUIT_CAP_HALF_CLOSE;
}
