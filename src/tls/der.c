/* SPDX-License-Identifier: ISC */
/* A strict reader of DER: see der.h. */
#include "der.h"

#include <string.h>

/* The length bytes of an element, d being behind its tag. */
static bool take_length(struct cdt_der *d, size_t *length)
{
    size_t n = 0;
    unsigned count;

    if (d->left == 0) {
        return false;
    }
    count = *d->at++;
    d->left--;
    if (count < 0x80) {
        *length = count;
        return true;
    }
    count &= 0x7f;
    if (count == 0 || count > 4 || d->left < count || d->at[0] == 0) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        n = n << 8 | d->at[i];
    }
    d->at += count;
    d->left -= count;
    *length = n;
    return n >= 0x80;
}

bool cdt_der_any(struct cdt_der *d, unsigned *tag, struct cdt_der *value,
                 struct cdt_der *whole)
{
    struct cdt_der at = *d;
    size_t length;

    if (at.left == 0 || (at.at[0] & 0x1f) == 0x1f) {
        return false;
    }
    *tag = *at.at++;
    at.left--;
    if (!take_length(&at, &length) || length > at.left) {
        return false;
    }
    *value = (struct cdt_der){at.at, length};
    at.at += length;
    at.left -= length;
    if (whole != NULL) {
        *whole = (struct cdt_der){d->at, d->left - at.left};
    }
    *d = at;
    return true;
}

bool cdt_der_take(struct cdt_der *d, unsigned tag, struct cdt_der *value)
{
    struct cdt_der unused;
    unsigned found;

    return cdt_der_any(d, &found, value != NULL ? value : &unused, NULL) &&
           found == tag;
}

bool cdt_der_take_whole(struct cdt_der *d, unsigned tag, struct cdt_der *whole)
{
    struct cdt_der value;
    unsigned found;

    return cdt_der_any(d, &found, &value, whole) && found == tag;
}

bool cdt_der_optional(struct cdt_der *d, unsigned tag, struct cdt_der *value)
{
    *value = (struct cdt_der){NULL, 0};
    return d->left == 0 || d->at[0] != tag || cdt_der_take(d, tag, value);
}

bool cdt_der_take_bytes(struct cdt_der *d, struct cdt_der *value)
{
    if (!cdt_der_take(d, CDT_DER_BITS, value) || value->left == 0 ||
        value->at[0] != 0) {
        return false;
    }
    value->at++;
    value->left--;
    return true;
}

bool cdt_der_take_unsigned(struct cdt_der *d, struct cdt_der *value)
{
    if (!cdt_der_take(d, CDT_DER_INTEGER, value) || value->left == 0 ||
        (value->at[0] & 0x80) != 0) {
        return false;
    }
    if (value->at[0] == 0 && value->left > 1) {
        value->at++;
        value->left--;
        return (value->at[0] & 0x80) != 0;
    }
    return true;
}

bool cdt_der_take_small(struct cdt_der *d, unsigned *value)
{
    struct cdt_der bytes;

    if (!cdt_der_take_unsigned(d, &bytes) || bytes.left > 2) {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < bytes.left; i++) {
        *value = *value << 8 | bytes.at[i];
    }
    return true;
}

bool cdt_der_take_flag(struct cdt_der *d, bool *value)
{
    struct cdt_der byte;

    if (!cdt_der_optional(d, CDT_DER_BOOLEAN, &byte)) {
        return false;
    }
    *value = byte.at != NULL && byte.left == 1 && byte.at[0] == 0xff;
    return byte.at == NULL ||
           (byte.left == 1 && (byte.at[0] == 0 || byte.at[0] == 0xff));
}

/* n decimal digits. */
static bool take_digits(struct cdt_der *d, unsigned n, unsigned *value)
{
    if (d->left < n) {
        return false;
    }
    *value = 0;
    for (unsigned i = 0; i < n; i++) {
        if (d->at[i] < '0' || d->at[i] > '9') {
            return false;
        }
        *value = *value * 10 + (unsigned)(d->at[i] - '0');
    }
    d->at += n;
    d->left -= n;
    return true;
}

/* Days from 1970-01-01 in the Gregorian calendar, counted from 1 March, so that
 * the odd day is the year's last. */
static int64_t days_until(unsigned year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t m = month > 2 ? month - 3 : month + 9;

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 -
           719468;
}

static bool is_date(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30,
                                      31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (month < 1 || month > 12 || day < 1) {
        return false;
    }
    return day <= lengths[month - 1] + (month == 2 && leap ? 1u : 0u);
}

bool cdt_der_take_time(struct cdt_der *d, int64_t *value)
{
    struct cdt_der text;
    unsigned tag;
    unsigned part[6]; /* year, month, day, hour, minute, second */

    if (!cdt_der_any(d, &tag, &text, NULL) || (tag != 0x17 && tag != 0x18) ||
        !take_digits(&text, tag == 0x17 ? 2 : 4, &part[0])) {
        return false;
    }
    if (tag == 0x17) {
        part[0] += part[0] < 50 ? 2000 : 1900;
    }
    for (unsigned i = 1; i < 6; i++) {
        if (!take_digits(&text, 2, &part[i])) {
            return false;
        }
    }
    if (text.left != 1 || text.at[0] != 'Z' ||
        !is_date(part[0], part[1], part[2]) || part[3] > 23 || part[4] > 59 ||
        part[5] > 59) {
        return false;
    }
    *value = days_until(part[0], part[1], part[2]) * 86400 +
             (int64_t)part[3] * 3600 + (int64_t)part[4] * 60 + part[5];
    return true;
}

bool cdt_der_same(struct cdt_der a, struct cdt_der b)
{
    return a.left == b.left && (a.left == 0 || memcmp(a.at, b.at, a.left) == 0);
}
