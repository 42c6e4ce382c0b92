/* SPDX-License-Identifier: ISC */
/*
 * What both engines say and compare alike: host names in certificates (RFC 6125
 * section 6.4), and alerts (RFC 8446 section 6.2).
 */
#include "tls.h"

#include <string.h>

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool same(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

bool cdt_tls_is_host(const char *name, size_t n)
{
    bool in_label = false;

    for (size_t i = 0; i < n; i++) {
        char c = lower(name[i]);

        if (c == '.') {
            if (!in_label) {
                return false;
            }
            in_label = false;
        } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                   c == '-' || c == '_') {
            in_label = true;
        } else {
            return false;
        }
    }
    return in_label;
}

/* Of a host's name: whether it is one by the letter (RFC 1123 section 2.1),
 * with hyphens within labels only. */
static bool is_strict(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool first = i == 0 || name[i - 1] == '.';
        bool last = i == n - 1 || name[i + 1] == '.';

        if (name[i] == '_' || (name[i] == '-' && (first || last))) {
            return false;
        }
    }
    return cdt_tls_is_host(name, n);
}

bool cdt_tls_name_matches(const char *pattern, size_t pattern_len,
                          const char *host)
{
    size_t len = strlen(host);
    const char *rest;

    if (pattern_len < 2 || pattern[0] != '*' || pattern[1] != '.') {
        return pattern_len == len && cdt_tls_is_host(pattern, pattern_len) &&
               same(pattern, host, len);
    }
    rest = strchr(host, '.');
    pattern++;
    pattern_len--; /* ".example.org" */
    return rest != NULL && strlen(rest) == pattern_len &&
           is_strict(host, (size_t)(rest - host)) &&
           is_strict(pattern + 1, pattern_len - 1) &&
           memchr(pattern + 1, '.', pattern_len - 1) != NULL &&
           same(pattern, rest, pattern_len);
}

struct alert {
    unsigned number;
    const char *text;
};

static const struct alert alerts[] = {
    {10, "the peer says: unexpected message"},
    {20, "the peer says: a record does not verify"},
    {22, "the peer says: a record is too long"},
    {40, "the peer says: nothing in common"},
    {42, "the peer says: the certificate is bad"},
    {43, "the peer says: the certificate is of a kind it does not take"},
    {44, "the peer says: the certificate was revoked"},
    {45, "the peer says: the certificate has expired"},
    {46, "the peer says: the certificate is not acceptable"},
    {47, "the peer says: a parameter makes no sense"},
    {48, "the peer says: the certificate's issuer is not trusted"},
    {49, "the peer says: access denied"},
    {50, "the peer says: a message cannot be decoded"},
    {51, "the peer says: a signature or key does not verify"},
    {70, "the peer says: no TLS version in common"},
    {71, "the peer says: not secure enough"},
    {80, "the peer says: it has an error of its own"},
    {86, "the peer says: somebody has lowered the version"},
    {90, "the peer called it off"},
    {109, "the peer says: an extension is missing"},
    {110, "the peer says: an extension that was not offered"},
    {112, "the peer says: nobody of that name is here"},
    {113, "the peer says: the certificate's status is bad"},
    {115, "the peer says: unknown key"},
    {116, "the peer says: it wants a certificate"},
    {120, "the peer says: no application protocol in common"},
};

const char *cdt_tls_alert_text(unsigned alert)
{
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++) {
        if (alerts[i].number == alert) {
            return alerts[i].text;
        }
    }
    return "the peer ended it with an alert";
}
