/* SPDX-License-Identifier: ISC */
/*
 * A certificate's subject as text (RFC 4514). It goes to logs and to people, so
 * whatever is in it, the text is one line of good UTF-8.
 */
#include "bearssl_engine.h"

#include <string.h>

struct text {
    char *buf;
    size_t size;
    size_t len;
};

static void put(struct text *t, char c)
{
    if (t->len + 1 < t->size) {
        t->buf[t->len++] = c;
    }
}

static void put_text(struct text *t, const char *text)
{
    while (*text != '\0') {
        put(t, *text++);
    }
}

/* A code point; what cannot be shown becomes '?'. A character is written whole
 * or not at all. */
static void put_point(struct text *t, uint32_t point)
{
    if (point < 0x20 || (point >= 0x7f && point < 0xa0) || point > 0x10ffff ||
        (point >= 0xd800 && point < 0xe000)) {
        point = '?';
    }
    if (t->len + 4 >= t->size) {
        t->size = t->len + 1; /* full, also for what is shorter */
    } else if (point < 0x80) {
        put(t, (char)point);
    } else if (point < 0x800) {
        put(t, (char)(0xc0 | point >> 6));
        put(t, (char)(0x80 | (point & 0x3f)));
    } else if (point < 0x10000) {
        put(t, (char)(0xe0 | point >> 12));
        put(t, (char)(0x80 | (point >> 6 & 0x3f)));
        put(t, (char)(0x80 | (point & 0x3f)));
    } else {
        put(t, (char)(0xf0 | point >> 18));
        put(t, (char)(0x80 | (point >> 12 & 0x3f)));
        put(t, (char)(0x80 | (point >> 6 & 0x3f)));
        put(t, (char)(0x80 | (point & 0x3f)));
    }
}

/* The next code point of UTF-8; '?' for a byte that is none. */
static uint32_t take_utf8(struct cdt_der *d)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t first = d->at[0];
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0;
    uint32_t point = more > 0 ? first & (0x3fu >> more) : first;

    if ((first & 0xc0) == 0x80 || first >= 0xf8 || d->left <= more) {
        more = 0;
        point = '?';
    }
    for (unsigned i = 1; i <= more; i++) {
        if ((d->at[i] & 0xc0) != 0x80) {
            point = '?';
            more = 0;
            break;
        }
        point = point << 6 | (d->at[i] & 0x3fu);
    }
    d->at += more + 1;
    d->left -= more + 1;
    return point < least[more] ? '?' : point;
}

/* The next code point of a string type; `d` is not empty. */
static uint32_t take_point(struct cdt_der *d, unsigned tag)
{
    unsigned width = tag == 0x1e ? 2 : tag == 0x1c ? 4 : 1;
    uint32_t point = 0;

    if (tag == 0x0c) {
        return take_utf8(d);
    }
    if (d->left < width) {
        d->left = 0;
        return '?';
    }
    for (unsigned i = 0; i < width; i++) {
        point = point << 8 | d->at[i];
    }
    d->at += width;
    d->left -= width;
    return point;
}

static bool is_string(unsigned tag)
{
    return tag == 0x0c || tag == 0x12 || tag == 0x13 || tag == 0x14 ||
           tag == 0x16 || tag == 0x1a || tag == 0x1c || tag == 0x1e;
}

static void put_value(struct text *t, unsigned tag, struct cdt_der value)
{
    static const char digits[] = "0123456789abcdef";
    bool first = true;

    if (!is_string(tag)) {
        put(t, '#');
        for (size_t i = 0; i < value.left; i++) {
            put(t, digits[value.at[i] >> 4]);
            put(t, digits[value.at[i] & 15]);
        }
        return;
    }
    while (value.left > 0) {
        uint32_t point = take_point(&value, tag);
        bool edge = first || value.left == 0;

        if ((point < 0x80 && point > 0 &&
             strchr(",+\"\\<>;", (int)point) != NULL) ||
            (point == ' ' && edge) || (point == '#' && first)) {
            put(t, '\\');
        }
        put_point(t, point);
        first = false;
    }
}

static void put_number(struct text *t, uint32_t number)
{
    char digits[11] = "";
    size_t at = sizeof digits - 1;

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_text(t, digits + at);
}

static void put_oid(struct text *t, struct cdt_der oid)
{
    uint32_t number = 0;
    bool first = true;

    for (size_t i = 0; i < oid.left; i++) {
        number = number << 7 | (oid.at[i] & 0x7f);
        if ((oid.at[i] & 0x80) != 0) {
            continue;
        }
        if (first) {
            uint32_t root = number < 80 ? number / 40 : 2;

            put_number(t, root);
            number -= root * 40;
            first = false;
        }
        put(t, '.');
        put_number(t, number);
        number = 0;
    }
}

struct attribute {
    const char *oid; /* its contents, 3 or 10 bytes */
    const char *name;
};

static void put_type(struct text *t, struct cdt_der oid)
{
    static const struct attribute known[] = {
        {"\x55\x04\x03", "CN"},
        {"\x55\x04\x06", "C"},
        {"\x55\x04\x07", "L"},
        {"\x55\x04\x08", "ST"},
        {"\x55\x04\x09", "STREET"},
        {"\x55\x04\x0a", "O"},
        {"\x55\x04\x0b", "OU"},
        {"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID"},
        {"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].oid) == oid.left &&
            memcmp(known[i].oid, oid.at, oid.left) == 0) {
            put_text(t, known[i].name);
            return;
        }
    }
    put_oid(t, oid);
}

/* The attributes of one relative name, joined by '+'. */
static void put_relative(struct text *t, struct cdt_der set)
{
    struct cdt_der one;
    struct cdt_der oid;
    struct cdt_der value;
    unsigned tag;
    bool first = true;

    while (set.left > 0 && cdt_der_take(&set, CDT_DER_SEQUENCE, &one) &&
           cdt_der_take(&one, CDT_DER_OID, &oid) &&
           cdt_der_any(&one, &tag, &value, NULL)) {
        if (!first) {
            put(t, '+');
        }
        first = false;
        put_type(t, oid);
        put(t, '=');
        put_value(t, tag, value);
    }
}

#define RELATIVES_MAX 32

/* The last relative name comes first (section 2.1). */
void cdt_bearssl_cert_subject(const struct cdt_bearssl_cert *cert,
                              char text[CDT_BEARSSL_SUBJECT])
{
    struct text t = {text, CDT_BEARSSL_SUBJECT, 0};
    struct cdt_der whole = cert->subject;
    struct cdt_der list;
    struct cdt_der sets[RELATIVES_MAX];
    size_t count = 0;

    if (cdt_der_take(&whole, CDT_DER_SEQUENCE, &list)) {
        while (count < RELATIVES_MAX &&
               cdt_der_take(&list, CDT_DER_SET, &sets[count])) {
            count++;
        }
    }
    for (size_t i = count; i > 0; i--) {
        put_relative(&t, sets[i - 1]);
        if (i > 1) {
            put(&t, ',');
        }
    }
    text[t.len] = '\0';
}
