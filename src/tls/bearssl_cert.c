/* SPDX-License-Identifier: ISC */
/*
 * Reads one certificate (RFC 5280): what BearSSL's own decoders do not tell.
 * Extensions that are not looked at here are left to BearSSL, which refuses a
 * critical one that it does not know.
 */
#include "bearssl_engine.h"

#include <limits.h>
#include <string.h>

/* Contents of an OBJECT IDENTIFIER. */
#define IS(slice, bytes)                  \
    ((slice).left == sizeof(bytes) - 1 && \
     memcmp((slice).at, bytes, sizeof(bytes) - 1) == 0)

#define OID_RSA "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
#define OID_EC "\x2a\x86\x48\xce\x3d\x02\x01"
#define OID_P256 "\x2a\x86\x48\xce\x3d\x03\x01\x07"
#define OID_P384 "\x2b\x81\x04\x00\x22"
#define OID_P521 "\x2b\x81\x04\x00\x23"
#define OID_RSA_SHA256 "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
#define OID_RSA_SHA384 "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"
#define OID_RSA_SHA512 "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"
#define OID_EC_SHA256 "\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define OID_EC_SHA384 "\x2a\x86\x48\xce\x3d\x04\x03\x03"
#define OID_EC_SHA512 "\x2a\x86\x48\xce\x3d\x04\x03\x04"

#define OID_SUBJECT_KEY_ID "\x55\x1d\x0e"
#define OID_KEY_USAGE "\x55\x1d\x0f"
#define OID_SAN "\x55\x1d\x11"
#define OID_BASIC_CONSTRAINTS "\x55\x1d\x13"
#define OID_NAME_CONSTRAINTS "\x55\x1d\x1e"
#define OID_ISSUER_KEY_ID "\x55\x1d\x23"
#define OID_EXTENDED_USAGE "\x55\x1d\x25"
#define OID_SERVER_AUTH "\x2b\x06\x01\x05\x05\x07\x03\x01"
#define OID_CLIENT_AUTH "\x2b\x06\x01\x05\x05\x07\x03\x02"

void cdt_bearssl_sha256(struct cdt_der bytes, uint8_t out[32])
{
    br_sha256_context hash;

    br_sha256_init(&hash);
    br_sha256_update(&hash, bytes.at, bytes.left);
    br_sha256_out(&hash, out);
}

/* ---- keys --------------------------------------------------------------- */

unsigned cdt_bearssl_rsa_bits(const br_rsa_public_key *key)
{
    unsigned bits = (unsigned)key->nlen * 8;

    for (unsigned top = key->n[0]; top < 0x80 && bits > 0; bits--) {
        top = top << 1 | 1;
    }
    return bits;
}

/* BearSSL's structures are not const, but it does not write to public keys. */
static unsigned char *bytes_of(struct cdt_der slice)
{
    return (unsigned char *)slice.at;
}

static bool read_rsa(struct cdt_der bits, br_x509_pkey *key)
{
    struct cdt_der both;
    struct cdt_der n;
    struct cdt_der e;

    if (!cdt_der_take(&bits, CDT_DER_SEQUENCE, &both) || bits.left != 0 ||
        !cdt_der_take_unsigned(&both, &n) ||
        !cdt_der_take_unsigned(&both, &e) || both.left != 0) {
        return false;
    }
    /* What does not fit BearSSL's buffers is of a kind it does not have. */
    if (n.left + e.left > BR_X509_BUFSIZE_KEY || n.left > BR_X509_BUFSIZE_SIG) {
        return true;
    }
    key->key_type = BR_KEYTYPE_RSA;
    key->key.rsa = (br_rsa_public_key){
        .n = bytes_of(n), .nlen = n.left, .e = bytes_of(e), .elen = e.left};
    return true;
}

static int curve_of(struct cdt_der oid)
{
    if (IS(oid, OID_P256)) {
        return BR_EC_secp256r1;
    }
    if (IS(oid, OID_P384)) {
        return BR_EC_secp384r1;
    }
    return IS(oid, OID_P521) ? BR_EC_secp521r1 : 0;
}

bool cdt_bearssl_key_read(struct cdt_der spki, br_x509_pkey *key)
{
    struct cdt_der both;
    struct cdt_der algorithm;
    struct cdt_der kind;
    struct cdt_der bits;
    struct cdt_der curve;

    memset(key, 0, sizeof *key);
    if (!cdt_der_take(&spki, CDT_DER_SEQUENCE, &both) || spki.left != 0 ||
        !cdt_der_take(&both, CDT_DER_SEQUENCE, &algorithm) ||
        !cdt_der_take(&algorithm, CDT_DER_OID, &kind) ||
        !cdt_der_take_bytes(&both, &bits) || both.left != 0) {
        return false;
    }
    if (IS(kind, OID_RSA)) {
        return read_rsa(bits, key);
    }
    if (!IS(kind, OID_EC) || !cdt_der_take(&algorithm, CDT_DER_OID, &curve)) {
        return true;
    }
    if (curve_of(curve) != 0) {
        key->key_type = BR_KEYTYPE_EC;
        key->key.ec = (br_ec_public_key){
            .curve = curve_of(curve), .q = bytes_of(bits), .qlen = bits.left};
    }
    return true;
}

/* ---- extensions --------------------------------------------------------- */

static bool read_basic(struct cdt_bearssl_cert *cert, struct cdt_der value)
{
    struct cdt_der both;

    if (!cdt_der_take(&value, CDT_DER_SEQUENCE, &both) || value.left != 0 ||
        !cdt_der_take_flag(&both, &cert->ca)) {
        return false;
    }
    return both.left == 0 || (cdt_der_take_small(&both, &cert->path_length) &&
                              both.left == 0 && cert->ca);
}

static bool read_usage(struct cdt_bearssl_cert *cert, struct cdt_der value)
{
    struct cdt_der bits;

    if (!cdt_der_take(&value, CDT_DER_BITS, &bits) || value.left != 0 ||
        bits.left == 0 || bits.at[0] > 7) {
        return false;
    }
    cert->has_key_usage = true;
    cert->key_usage = bits.left > 1 ? bits.at[1] : 0;
    return true;
}

/* "Any use" is none that was named: RFC 5280 section 4.2.1.12 leaves it to the
 * reader, and OpenSSL refuses it. */
static bool read_extended(struct cdt_bearssl_cert *cert, struct cdt_der value)
{
    struct cdt_der list;
    struct cdt_der oid;

    if (!cdt_der_take(&value, CDT_DER_SEQUENCE, &list) || value.left != 0) {
        return false;
    }
    cert->for_servers = cert->for_clients = false;
    while (list.left > 0) {
        if (!cdt_der_take(&list, CDT_DER_OID, &oid)) {
            return false;
        }
        cert->for_servers |= IS(oid, OID_SERVER_AUTH);
        cert->for_clients |= IS(oid, OID_CLIENT_AUTH);
    }
    return true;
}

static bool read_issuer_key(struct cdt_bearssl_cert *cert, struct cdt_der value)
{
    struct cdt_der parts;

    return cdt_der_take(&value, CDT_DER_SEQUENCE, &parts) && value.left == 0 &&
           cdt_der_optional(&parts, CDT_DER_CONTEXT(0), &cert->issuer_key_id);
}

static bool read_known(struct cdt_bearssl_cert *cert, struct cdt_der oid,
                       struct cdt_der value)
{
    if (IS(oid, OID_BASIC_CONSTRAINTS)) {
        return read_basic(cert, value);
    }
    if (IS(oid, OID_KEY_USAGE)) {
        return read_usage(cert, value);
    }
    if (IS(oid, OID_EXTENDED_USAGE)) {
        return read_extended(cert, value);
    }
    if (IS(oid, OID_SAN)) {
        return cdt_der_take(&value, CDT_DER_SEQUENCE, &cert->san) &&
               value.left == 0;
    }
    if (IS(oid, OID_SUBJECT_KEY_ID)) {
        return cdt_der_take(&value, CDT_DER_OCTETS, &cert->key_id) &&
               value.left == 0;
    }
    if (IS(oid, OID_ISSUER_KEY_ID)) {
        return read_issuer_key(cert, value);
    }
    if (IS(oid, OID_NAME_CONSTRAINTS)) {
        cert->constrained = true;
    }
    return true;
}

/* id-ce extensions are numbered; no certificate may have one twice (section
 * 4.2), or two readers could see two certificates. */
static bool is_first(uint64_t *seen, struct cdt_der oid)
{
    uint64_t bit;

    if (oid.left != 3 || oid.at[0] != 0x55 || oid.at[1] != 0x1d ||
        oid.at[2] > 63) {
        return true;
    }
    bit = (uint64_t)1 << oid.at[2];
    if ((*seen & bit) != 0) {
        return false;
    }
    *seen |= bit;
    return true;
}

static bool read_extensions(struct cdt_bearssl_cert *cert, struct cdt_der value)
{
    struct cdt_der list;
    struct cdt_der one;
    struct cdt_der oid;
    struct cdt_der octets;
    uint64_t seen = 0;
    bool critical;

    if (!cdt_der_take(&value, CDT_DER_SEQUENCE, &list) || value.left != 0) {
        return false;
    }
    while (list.left > 0) {
        if (!cdt_der_take(&list, CDT_DER_SEQUENCE, &one) ||
            !cdt_der_take(&one, CDT_DER_OID, &oid) ||
            !cdt_der_take_flag(&one, &critical) ||
            !cdt_der_take(&one, CDT_DER_OCTETS, &octets) || one.left != 0 ||
            !is_first(&seen, oid) || !read_known(cert, oid, octets)) {
            return false;
        }
    }
    return true;
}

/* ---- the certificate ---------------------------------------------------- */

static bool is_good_signature(struct cdt_der algorithm)
{
    struct cdt_der oid;

    return cdt_der_take(&algorithm, CDT_DER_OID, &oid) &&
           (IS(oid, OID_RSA_SHA256) || IS(oid, OID_RSA_SHA384) ||
            IS(oid, OID_RSA_SHA512) || IS(oid, OID_EC_SHA256) ||
            IS(oid, OID_EC_SHA384) || IS(oid, OID_EC_SHA512));
}

static bool read_version(struct cdt_bearssl_cert *cert, struct cdt_der *tbs)
{
    struct cdt_der value;
    unsigned version = 0;

    if (!cdt_der_optional(tbs, CDT_DER_EXPLICIT(0), &value) ||
        (value.at != NULL && (!cdt_der_take_small(&value, &version) ||
                              value.left != 0 || version > 2))) {
        return false;
    }
    cert->version = version + 1;
    return true;
}

static bool read_names(struct cdt_bearssl_cert *cert, struct cdt_der *tbs)
{
    struct cdt_der validity;

    return cdt_der_take_whole(tbs, CDT_DER_SEQUENCE, &cert->issuer) &&
           cdt_der_take(tbs, CDT_DER_SEQUENCE, &validity) &&
           cdt_der_take_time(&validity, &cert->not_before) &&
           cdt_der_take_time(&validity, &cert->not_after) &&
           validity.left == 0 &&
           cdt_der_take_whole(tbs, CDT_DER_SEQUENCE, &cert->subject);
}

/* All that is signed. */
static bool read_contents(struct cdt_bearssl_cert *cert, struct cdt_der tbs)
{
    struct cdt_der algorithm;
    struct cdt_der skipped;
    struct cdt_der extensions;

    if (!read_version(cert, &tbs) ||
        !cdt_der_take(&tbs, CDT_DER_INTEGER, NULL) ||
        !cdt_der_take(&tbs, CDT_DER_SEQUENCE, &algorithm) ||
        !read_names(cert, &tbs) ||
        !cdt_der_take_whole(&tbs, CDT_DER_SEQUENCE, &cert->spki) ||
        !cdt_bearssl_key_read(cert->spki, &cert->key) ||
        !cdt_der_optional(&tbs, CDT_DER_CONTEXT(1), &skipped) ||
        !cdt_der_optional(&tbs, CDT_DER_CONTEXT(2), &skipped) ||
        !cdt_der_optional(&tbs, CDT_DER_EXPLICIT(3), &extensions)) {
        return false;
    }
    cert->good_signature = is_good_signature(algorithm);
    cert->self_issued = cdt_der_same(cert->issuer, cert->subject);
    return tbs.left == 0 &&
           (extensions.at == NULL ||
            (cert->version == 3 && read_extensions(cert, extensions)));
}

bool cdt_bearssl_cert_read(struct cdt_bearssl_cert *cert, const uint8_t *der,
                           size_t size)
{
    struct cdt_der all = {der, size};
    struct cdt_der outer;
    struct cdt_der tbs;

    memset(cert, 0, sizeof *cert);
    cert->der = all;
    cert->path_length = UINT_MAX;
    cert->for_servers = cert->for_clients = true;
    return cdt_der_take(&all, CDT_DER_SEQUENCE, &outer) && all.left == 0 &&
           cdt_der_take(&outer, CDT_DER_SEQUENCE, &tbs) &&
           cdt_der_take(&outer, CDT_DER_SEQUENCE, NULL) &&
           cdt_der_take(&outer, CDT_DER_BITS, NULL) && outer.left == 0 &&
           read_contents(cert, tbs);
}

/* ---- names of the peer -------------------------------------------------- */

bool cdt_bearssl_cert_names(const struct cdt_bearssl_cert *cert,
                            const char *host, bool is_ip)
{
    struct cdt_der names = cert->san;
    struct cdt_der name;
    struct conduit_addr addr;
    unsigned tag;

    if (is_ip && !conduit_addr_parse(host, strlen(host), &addr)) {
        return false;
    }
    while (names.left > 0 && cdt_der_any(&names, &tag, &name, NULL)) {
        if (!is_ip && tag == CDT_DER_CONTEXT(2) &&
            cdt_tls_name_matches((const char *)name.at, name.left, host)) {
            return true;
        }
        if (is_ip && tag == CDT_DER_CONTEXT(7) &&
            name.left == (addr.family == 4 ? 4u : 16u) &&
            memcmp(name.at, addr.ip, name.left) == 0) {
            return true;
        }
    }
    return false;
}
