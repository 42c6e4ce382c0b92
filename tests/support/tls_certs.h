/* SPDX-License-Identifier: ISC */
/*
 * Certificates for tests, made when a test runs by libcrypto: good ones, and
 * bad ones of every kind, since nothing here checks what is asked for.
 */
#ifndef TESTS_TLS_CERTS_H
#define TESTS_TLS_CERTS_H

#include <stdbool.h>
#include <stddef.h>

/* A certificate with its key, in PEM; `chain` is the certificate and the
 * issuers behind it but the root. */
struct tls_cert {
    char *pem;
    char *chain;
    char *key;        /* PKCS #8 */
    char *key_native; /* PKCS #1 or SEC 1 */
    void *x509;       /* libcrypto's */
    void *pkey;
    const struct tls_cert *issuer;
    unsigned char pin[32]; /* SHA-256 of the SubjectPublicKeyInfo */
};

/* Zeroes mean: self-signed, EC P-256, not an authority, valid for an hour
 * before and a year from now, without the extension. */
struct tls_cert_spec {
    const char *cn;
    const char *san;         /* "DNS:a.example,IP:127.0.0.1" */
    const char *usage;       /* extended: "serverAuth", "clientAuth" */
    const char *key_usage;   /* "digitalSignature"; of authorities the usual */
    const char *constraints; /* "critical,permitted;DNS:example.org" */
    const struct tls_cert *issuer;
    bool ca;
    bool not_a_ca;   /* says CA:FALSE where ca would be the default */
    bool limit_path; /* with pathlen:`path` */
    int path;
    unsigned rsa_bits;    /* RSA instead of EC */
    long from;            /* seconds from now */
    long to;              /* seconds from now */
    const char *raw_name; /* one dNSName of exactly these bytes */
    size_t raw_name_size;
    const struct tls_cert *same_key_as;
};

/* Fails the test when it cannot. */
struct tls_cert *tls_cert_new(const struct tls_cert_spec *spec);
void tls_cert_free(struct tls_cert *cert);

/* A CRL by an authority, PEM, revoking `revoked` (or nothing: NULL). free(). */
char *tls_crl_new(const struct tls_cert *issuer,
                  const struct tls_cert *revoked);

/* A private key in PEM under a pass phrase. free(). */
char *tls_key_encrypted(const struct tls_cert *cert);

/* Writes a text to DIR/NAME; fails the test when it cannot. */
void tls_cert_save(const char *dir, const char *name, const char *text);

#endif
