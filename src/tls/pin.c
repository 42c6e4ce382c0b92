/* SPDX-License-Identifier: ISC */
/* The text of a pin. */
#include "tls.h"

#include <string.h>

/* The value of a digit of base64 (RFC 4648 section 4), or -1. */
static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* 32 bytes are 43 digits, of which the last has four bits, and one '='. */
static bool read_hash(const char *text, struct conduit_tls_pin *pin)
{
    enum { DIGITS = 43 };
    unsigned bits = 0;
    unsigned have = 0;
    size_t size = 0;

    for (size_t i = 0; i < DIGITS; i++) {
        int value = digit(text[i]); /* a text that ends has no more */

        if (value < 0) {
            return false;
        }
        bits = (bits << 6 | (unsigned)value) & 0x3fff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            pin->sha256[size++] = (uint8_t)(bits >> have);
        }
    }
    return (bits & 3) == 0 && strcmp(text + DIGITS, "=") == 0;
}

int conduit_tls_pin_parse(const char *text, struct conduit_tls_pin *out)
{
    static const char kind[] = "sha256//";
    struct conduit_tls_pin pin;

    if (strncmp(text, kind, sizeof kind - 1) != 0 ||
        !read_hash(text + sizeof kind - 1, &pin)) {
        return CONDUIT_EINVAL;
    }
    *out = pin;
    return 0;
}
