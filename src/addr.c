/* SPDX-License-Identifier: ISC */
/*
 * IP addresses from and to text, without the system: there is none below a
 * unikernel. Parsing is strict: no octal, hex or short IPv4 forms, which two
 * readers could take for different hosts.
 */
#include <conduit/endpoint.h>

#include <stdio.h>
#include <string.h>

static bool parse_v4(const char *s, size_t n, uint8_t ip[4])
{
    size_t i = 0;
    int part;

    for (part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t from = i;

        while (i < n && s[i] >= '0' && s[i] <= '9' && i - from < 3) {
            value = value * 10 + (unsigned)(s[i] - '0');
            i++;
        }
        if (i == from || value > 255 || (i - from > 1 && s[from] == '0')) {
            return false;
        }
        ip[part] = (uint8_t)value;
        if (part < 3 && (i >= n || s[i++] != '.')) {
            return false;
        }
    }
    return i == n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* One group of at most four hex digits; the digits taken, 0: none. */
static size_t parse_group(const char *s, size_t n, unsigned *value)
{
    size_t i = 0;

    *value = 0;
    while (i < n && i < 4 && hex_value(s[i]) >= 0) {
        *value = *value << 4 | (unsigned)hex_value(s[i]);
        i++;
    }
    return i;
}

/* Groups of an IPv6 address from s on; the bytes filled, and what was read. */
static bool parse_groups(const char *s, size_t n, size_t *pos, uint8_t *out,
                         size_t room, size_t *filled)
{
    size_t i = *pos;
    size_t used = 0;

    while (used < room) {
        unsigned value;
        size_t digits = parse_group(s + i, n - i, &value);

        if (digits > 0 && i + digits < n && s[i + digits] == '.') {
            if (room - used < 4 || !parse_v4(s + i, n - i, out + used)) {
                return false;
            }
            used += 4;
            i = n;
            break;
        }
        if (digits == 0) {
            return false;
        }
        out[used++] = (uint8_t)(value >> 8);
        out[used++] = (uint8_t)value;
        i += digits;
        if (i >= n || s[i] != ':' || (i + 1 < n && s[i + 1] == ':')) {
            break;
        }
        i++;
        if (i >= n) {
            return false; /* a lone ':' at the end */
        }
    }
    *pos = i;
    *filled = used;
    return true;
}

static bool parse_v6(const char *s, size_t n, uint8_t ip[16])
{
    uint8_t tail[16];
    size_t head_len = 0;
    size_t tail_len = 0;
    size_t i = 0;

    memset(ip, 0, 16);
    if (n < 2) {
        return false;
    }
    if (s[0] != ':' && !parse_groups(s, n, &i, ip, 16, &head_len)) {
        return false;
    }
    if (i == n) {
        return head_len == 16;
    }
    if (n - i < 2 || s[i] != ':' || s[i + 1] != ':' || head_len > 14) {
        return false;
    }
    i += 2;
    if (i < n && !parse_groups(s, n, &i, tail, 14 - head_len, &tail_len)) {
        return false;
    }
    memcpy(ip + 16 - tail_len, tail, tail_len);
    return i == n;
}

/* The number behind '%'; interface names are the system's and not taken. */
static bool parse_zone(const char *s, size_t n, uint32_t *scope)
{
    uint64_t value = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || value > UINT32_MAX / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(s[i] - '0');
    }
    if (n == 0 || value == 0 || value > UINT32_MAX) {
        return false;
    }
    *scope = (uint32_t)value;
    return true;
}

bool conduit_addr_parse(const char *text, size_t len, struct conduit_addr *out)
{
    const char *zone = memchr(text, '%', len);
    size_t n = zone != NULL ? (size_t)(zone - text) : len;

    memset(out, 0, sizeof *out);
    if (zone == NULL && parse_v4(text, len, out->ip)) {
        out->family = 4;
        return true;
    }
    if (!parse_v6(text, n, out->ip) ||
        (zone != NULL && !parse_zone(zone + 1, len - n - 1, &out->scope))) {
        return false;
    }
    out->family = 6;
    return true;
}

/* Where the longest run of two or more zero groups lies (RFC 5952, 4.2). */
static void longest_zeros(const uint8_t ip[16], size_t *from, size_t *count)
{
    size_t i = 0;

    *from = 8;
    *count = 0;
    while (i < 8) {
        size_t run = 0;

        while (i + run < 8 && ip[2 * (i + run)] == 0 &&
               ip[2 * (i + run) + 1] == 0) {
            run++;
        }
        if (run > 1 && run > *count) {
            *from = i;
            *count = run;
        }
        i += run > 0 ? run : 1;
    }
}

static bool is_mapped(const uint8_t ip[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};

    return memcmp(ip, prefix, sizeof prefix) == 0;
}

static int format_v6(const uint8_t ip[16], char *buf, size_t n)
{
    size_t from;
    size_t count;
    size_t i;
    int len = 0;

    if (is_mapped(ip)) {
        return snprintf(buf, n, "::ffff:%u.%u.%u.%u", ip[12], ip[13], ip[14],
                        ip[15]);
    }
    longest_zeros(ip, &from, &count);
    for (i = 0; i < 8; i++) {
        unsigned group = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];

        if (i == from) {
            len += snprintf(buf + len, n - (size_t)len, "::");
            i += count - 1;
            continue;
        }
        len += snprintf(buf + len, n - (size_t)len, "%s%x",
                        i > 0 && i != from + count ? ":" : "", group);
    }
    return len;
}

char *conduit_addr_format(const struct conduit_addr *addr, bool with_port,
                          char buf[CONDUIT_ADDR_TEXT])
{
    const uint8_t *ip = addr->ip;
    size_t n = CONDUIT_ADDR_TEXT;
    int len = 0;

    buf[0] = '\0';
    if (addr->family == 4) {
        len = snprintf(buf, n, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
    } else if (addr->family == 6) {
        len = snprintf(buf, n, "%s", with_port ? "[" : "");
        len += format_v6(ip, buf + len, n - (size_t)len);
        if (addr->scope != 0) {
            len += snprintf(buf + len, n - (size_t)len, "%%%lu",
                            (unsigned long)addr->scope);
        }
        if (with_port) {
            len += snprintf(buf + len, n - (size_t)len, "]");
        }
    }
    if (with_port) {
        (void)snprintf(buf + len, n - (size_t)len, ":%u", addr->port);
    }
    return buf;
}
