/* SPDX-License-Identifier: ISC */
/*
 * An identity for tests without files and without a library that could make
 * one: "conformance.test", 127.0.0.1 and ::1, by an authority of its own, valid
 * for a century. Its key is public: for tests on one machine.
 */
#ifndef TESTS_TEST_IDENTITY_H
#define TESTS_TEST_IDENTITY_H

#include <conduit/tls.h>

#define T_IDENTITY_NAME "conformance.test"

static const char t_authority[] =
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

static const char t_certificate[] =
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

static const char t_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgk//GyfqE7ov6Jp6U\n"
    "CbKz+F/83NmiQGmRUsutKUJmcWOhRANCAAS0Ge1XmENTaa5KXeOldJ5d9SGTLpKv\n"
    "I0zbZHATdV86/p20tBTlvP2+5va9iDHv6FgOiYYGCX/S/yoQwI8cxtKL\n"
    "-----END PRIVATE KEY-----\n";

/* A configuration for both roles that trusts its like, and forgets sessions, so
 * that every handshake is a full one. */
static inline int t_identity_tls(struct conduit_ctx *ctx, const char *engine,
                                 struct conduit_tls **out,
                                 struct conduit_error *err)
{
    const struct conduit_tls_source trusted = {"authority", t_authority,
                                               sizeof t_authority - 1};
    const struct conduit_tls_identity identity = {
        {"certificate", t_certificate, sizeof t_certificate - 1},
        {"key", t_key, sizeof t_key - 1}};
    const struct conduit_tls_options options = {
        .engine = engine,
        .identities = &identity,
        .identity_count = 1,
        .authorities = &trusted,
        .authority_count = 1,
        .no_resumption = true,
    };

    return conduit_tls_new(ctx, &options, out, err);
}

#endif
