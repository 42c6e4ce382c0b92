/* SPDX-License-Identifier: ISC */
/*
 * A reader of DER (X.690), as strict as certificates must be: definite lengths
 * in their shortest form, tags of one byte, nothing behind the end. It copies
 * nothing and can say only yes or no: what is wrong with a certificate that
 * cannot be read interests nobody.
 */
#ifndef CDT_DER_H
#define CDT_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CDT_DER_BOOLEAN 0x01u
#define CDT_DER_INTEGER 0x02u
#define CDT_DER_BITS 0x03u
#define CDT_DER_OCTETS 0x04u
#define CDT_DER_OID 0x06u
#define CDT_DER_SEQUENCE 0x30u
#define CDT_DER_SET 0x31u
#define CDT_DER_CONTEXT(n) (0x80u | (n)) /* implicit, primitive */
#define CDT_DER_EXPLICIT(n) (0xa0u | (n))

/* Bytes that are still to be read; also any slice of them. */
struct cdt_der {
    const uint8_t *at;
    size_t left;
};

/* Takes the next element: its tag, its contents, and (when not NULL) all of it
 * with its header. false at the end, and when it is malformed. */
bool cdt_der_any(struct cdt_der *d, unsigned *tag, struct cdt_der *value,
                 struct cdt_der *whole);

/* Takes an element that must have this tag; `value` may be NULL. */
bool cdt_der_take(struct cdt_der *d, unsigned tag, struct cdt_der *value);

/* The same with its header. */
bool cdt_der_take_whole(struct cdt_der *d, unsigned tag, struct cdt_der *whole);

/* Takes it if it is next, and otherwise sets value->at to NULL. false only when
 * it is malformed. */
bool cdt_der_optional(struct cdt_der *d, unsigned tag, struct cdt_der *value);

/* A BIT STRING of whole bytes. */
bool cdt_der_take_bytes(struct cdt_der *d, struct cdt_der *value);

/* An INTEGER that is not negative, without leading zeros. */
bool cdt_der_take_unsigned(struct cdt_der *d, struct cdt_der *value);

/* The same where it must be small. */
bool cdt_der_take_small(struct cdt_der *d, unsigned *value);

/* A BOOLEAN that may be missing: then false. */
bool cdt_der_take_flag(struct cdt_der *d, bool *value);

/* UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 has them, in seconds
 * since 1970. */
bool cdt_der_take_time(struct cdt_der *d, int64_t *value);

bool cdt_der_same(struct cdt_der a, struct cdt_der b);

#endif
