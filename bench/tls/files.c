/* SPDX-License-Identifier: ISC */
/* Certificates and bodies, in a folder that goes with the process. */
#include "tls.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400L

static char folder[64] = "/tmp/conduit-bench.XXXXXX";
static pid_t owner; /* 0: not there yet */

const char *tls_file(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void remove_folder(void)
{
    static const char *const names[] = {"ec.pem",     "ec.key", "rsa.pem",
                                        "rsa.key",    "body",   "small",
                                        "nginx.conf", "log",    "pid"};

    if (getpid() != owner) {
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)unlink(tls_file(names[i]));
    }
    (void)rmdir(folder);
}

static FILE *create(const char *name)
{
    FILE *file = fopen(tls_file(name), "wb");

    if (file == NULL) {
        bench_die("cannot write a temporary file");
    }
    return file;
}

static void make_identity(const char *cert_name, const char *key_name,
                          EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(
        NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    FILE *file;

    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -DAY);
    X509_gmtime_adj(X509_getm_notAfter(cert), DAY);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509_add_ext(cert, names, -1);
    if (X509_sign(cert, key, EVP_sha256()) == 0) {
        bench_die("cannot make a certificate");
    }
    file = create(cert_name);
    PEM_write_X509(file, cert);
    (void)fclose(file);
    file = create(key_name);
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    (void)fclose(file);
    X509_EXTENSION_free(names);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void make_body(const char *name, long size)
{
    FILE *file = create(name);

    for (long i = 0; i < size; i++) {
        (void)fputc('a' + (int)(i % 26), file);
    }
    (void)fclose(file);
}

void tls_use_folder(const char *path)
{
    (void)snprintf(folder, sizeof folder, "%s", path);
    owner = getppid();
}

const char *tls_folder(void)
{
    if (owner != 0) {
        return folder;
    }
    owner = getpid();
    if (mkdtemp(folder) == NULL) {
        bench_die("no temporary folder");
    }
    (void)chmod(folder, 0755); /* nginx may run its worker as somebody else */
    (void)atexit(remove_folder);
    make_identity("ec.pem", "ec.key", EVP_EC_gen("P-256"));
    make_identity("rsa.pem", "rsa.key", EVP_RSA_gen(2048));
    make_body("body", BODY_SIZE);
    make_body("small", SMALL_SIZE);
    return folder;
}
