/* SPDX-License-Identifier: ISC */
/*
 * What CONDUIT_NET says of the direct stack (docs/direct.md): "direct", and
 * behind commas KEY=VALUE or FLAG. Nothing is guessed and nothing passed over:
 * a stack with an address that its user did not mean is found out late, and by
 * others. Each report names the key.
 */
#include "link.h"

#include <stdio.h>
#include <string.h>

#define LAYER "direct"

/* The item at hand, "KEY=VALUE" or "FLAG", and where it goes. */
struct parse {
    struct cdt_net_config *out;
    struct conduit_error *err;
    const char *item;
    size_t item_size;
    const char *value;
    size_t size;
};

/* What is wrong with the item. */
static int bad(const struct parse *p, const char *why)
{
    return conduit_error_set(p->err, CONDUIT_EINVAL, LAYER, 0, "%.*s: %s",
                             p->item_size < 100 ? (int)p->item_size : 100,
                             p->item, why);
}

/* A number of decimal digits, at most `most`; no sign, no zero in front. */
static bool parse_number(const char *text, size_t n, uint32_t most,
                         uint32_t *out)
{
    uint64_t value = 0;

    if (n == 0 || n > 9 || (n > 1 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *out = (uint32_t)value;
    return value <= most;
}

static bool is(const struct parse *p, const char *word)
{
    return p->size == strlen(word) && memcmp(p->value, word, p->size) == 0;
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* ---- addresses ---------------------------------------------------------- */

/* Why an address cannot be that of one host on a link; NULL: it can. */
static const char *unfit4(const uint8_t ip[4])
{
    if (ip[0] == 0) {
        return "no host has an address in 0.0.0.0/8";
    }
    if (ip[0] == 127) {
        return "127.0.0.0/8 is within the stack";
    }
    return ip[0] >= 224 ? "no host has an address from 224.0.0.0 on" : NULL;
}

static const char *unfit6(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 255, [11] = 255};

    if (all_zero(ip, 15)) {
        return "no host of a link has the address :: or ::1";
    }
    if (ip[0] == 0xff) {
        return "it is a multicast address";
    }
    if (memcmp(ip, mapped, sizeof mapped) == 0) {
        return "it is an IPv4 address";
    }
    return NULL;
}

static int parse_address(const struct parse *p, const char *text, size_t n,
                         uint8_t family, struct conduit_addr *out)
{
    const char *why;

    if (!conduit_addr_parse(text, n, out) || out->scope != 0 ||
        (family != 0 && out->family != family)) {
        return bad(p, family == 4   ? "no IPv4 address, as in 10.0.0.2"
                      : family == 6 ? "no IPv6 address, as in fd00::2"
                                    : "no IP address, as in 10.0.0.1");
    }
    why = out->family == 4 ? unfit4(out->ip) : unfit6(out->ip);
    return why == NULL ? 0 : bad(p, why);
}

/* "ADDRESS/PREFIX". */
static int parse_network(const struct parse *p, uint8_t family,
                         struct conduit_addr *out, uint8_t *prefix)
{
    const char *slash = memchr(p->value, '/', p->size);
    size_t n = slash != NULL ? (size_t)(slash - p->value) : p->size;
    uint32_t bits = 0;
    int code = parse_address(p, p->value, n, family, out);

    if (code != 0) {
        return code;
    }
    if (slash == NULL) {
        return bad(p, family == 4 ? "the prefix is missing, as in 10.0.0.2/24"
                                  : "the prefix is missing, as in fd00::2/64");
    }
    if (!parse_number(slash + 1, p->size - n - 1, family == 4 ? 32 : 128,
                      &bits) ||
        bits == 0) {
        return bad(p, family == 4 ? "the prefix is none of 1 to 32"
                                  : "the prefix is none of 1 to 128");
    }
    *prefix = (uint8_t)bits;
    return 0;
}

static uint32_t number_of(const uint8_t ip[4])
{
    return (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 |
           (uint32_t)ip[2] << 8 | ip[3];
}

static int parse_ip(const struct parse *p)
{
    struct cdt_net_config *out = p->out;
    int code = parse_network(p, 4, &out->ip4, &out->prefix4);
    uint32_t host;

    if (code != 0) {
        return code;
    }
    out->ip4_how = CDT_NET_STATIC;
    if (out->prefix4 > 30) {
        return 0; /* RFC 3021: both addresses are hosts' */
    }
    host = number_of(out->ip4.ip) & (UINT32_MAX >> out->prefix4);
    if (host == 0) {
        return bad(p, "it is the network's address, not a host's");
    }
    return host == UINT32_MAX >> out->prefix4
               ? bad(p, "it is the network's broadcast address")
               : 0;
}

static int parse_ip6(const struct parse *p)
{
    struct cdt_net_config *out = p->out;
    int code = parse_network(p, 6, &out->ip6, &out->prefix6);

    if (code == 0 && out->ip6.ip[0] == 0xfe &&
        (out->ip6.ip[1] & 0xc0) == 0x80) {
        return bad(p, "the link-local address is made from the MAC address");
    }
    out->has_ip6 = code == 0;
    return code;
}

static int parse_gw(const struct parse *p)
{
    return parse_address(p, p->value, p->size, 4, &p->out->gateway4);
}

static int parse_gw6(const struct parse *p)
{
    return parse_address(p, p->value, p->size, 6, &p->out->gateway6);
}

static int parse_dns(const struct parse *p)
{
    struct conduit_addr *dns = p->out->dns;
    size_t room = sizeof p->out->dns / sizeof p->out->dns[0];

    for (size_t i = 0; i < room; i++) {
        if (dns[i].family == 0) {
            return parse_address(p, p->value, p->size, 0, &dns[i]);
        }
    }
    return bad(p, "three servers of DNS are the most");
}

static int parse_dhcp(const struct parse *p)
{
    if (p->out->ip4_how == CDT_NET_NONE) {
        p->out->ip4_how = CDT_NET_DHCP;
    }
    return 0;
}

static int parse_slaac(const struct parse *p)
{
    p->out->slaac = true;
    return 0;
}

/* ---- the device --------------------------------------------------------- */

/* What a system takes for the name of an interface; '%' would make one up. */
static int parse_tap(const struct parse *p)
{
    if (p->size >= sizeof p->out->tap) {
        return bad(p, "an interface's name has 15 bytes at most");
    }
    if (is(p, ".") || is(p, "..")) {
        return bad(p, "no interface is named so");
    }
    for (size_t i = 0; i < p->size; i++) {
        char c = p->value[i];

        if (c <= ' ' || c > '~' || c == '/' || c == ':' || c == '%') {
            return bad(p, "a byte that no interface's name has");
        }
    }
    memcpy(p->out->tap, p->value, p->size);
    return 0;
}

static int parse_mtu(const struct parse *p)
{
    if (!parse_number(p->value, p->size, CDT_LINK_MTU_MAX, &p->out->mtu) ||
        p->out->mtu < CDT_LINK_MTU_MIN) {
        return bad(p, "the MTU is none of 1280 to 65535");
    }
    return 0;
}

static int parse_txqueuelen(const struct parse *p)
{
    if (!parse_number(p->value, p->size, CDT_LINK_QUEUE_MAX,
                      &p->out->txqueuelen) ||
        p->out->txqueuelen == 0) {
        return bad(p, "the queue has room for none of 1 to 1000000 frames");
    }
    return 0;
}

static int parse_offload(const struct parse *p)
{
    p->out->offload = is(p, "on");
    return p->out->offload || is(p, "off") ? 0 : bad(p, "neither on nor off");
}

static int hex_of(char c)
{
    char low = cdt_lower(c);

    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

static bool parse_mac_bytes(const struct parse *p, uint8_t mac[6])
{
    if (p->size != 17) {
        return false;
    }
    for (size_t i = 0; i < 6; i++) {
        const char *at = p->value + 3 * i;
        int high = hex_of(at[0]);
        int low = hex_of(at[1]);

        if (high < 0 || low < 0 || (i < 5 && at[2] != ':')) {
            return false;
        }
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int parse_mac(const struct parse *p)
{
    uint8_t *mac = p->out->mac;

    if (!parse_mac_bytes(p, mac)) {
        return bad(p, "no MAC address, as in 02:00:00:00:00:02");
    }
    if ((mac[0] & 1) != 0) {
        return bad(p, "it is a multicast address");
    }
    return all_zero(mac, 6) ? bad(p, "it is no address") : 0;
}

static int parse_pcap(const struct parse *p)
{
    if (p->size >= sizeof p->out->pcap) {
        return bad(p, "the file's name has 255 bytes at most");
    }
    memcpy(p->out->pcap, p->value, p->size);
    return 0;
}

/* As RFC 1123 section 2.1 has it: labels of letters, digits and hyphens. */
static int parse_hostname(const struct parse *p)
{
    char before = '.';

    if (p->size >= sizeof p->out->hostname) {
        return bad(p, "the name has 63 bytes at most");
    }
    for (size_t i = 0; i <= p->size; i++) {
        char c = i < p->size ? p->value[i] : '.';
        char low = cdt_lower(c);
        bool plain = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9');

        if (!plain && ((c != '-' && c != '.') || before == '.' ||
                       (c == '.' && before == '-'))) {
            return bad(p, "no host's name: letters, digits and - within");
        }
        before = c;
    }
    memcpy(p->out->hostname, p->value, p->size);
    return 0;
}

/* ---- all of it ---------------------------------------------------------- */

/* The order is that of the bits in which keys were seen. */
static const struct key {
    const char *name;
    const char *example; /* NULL: a flag, without value */
    int (*parse)(const struct parse *p);
    bool repeats;
} keys[] = {
    {"tap", "tap=tap0", parse_tap, false},
    {"ip", "ip=10.0.0.2/24", parse_ip, false},
    {"gw", "gw=10.0.0.1", parse_gw, false},
    {"dhcp", NULL, parse_dhcp, false},
    {"hostname", "hostname=NAME", parse_hostname, false},
    {"ip6", "ip6=fd00::2/64", parse_ip6, false},
    {"gw6", "gw6=fe80::1", parse_gw6, false},
    {"slaac", NULL, parse_slaac, false},
    {"dns", "dns=10.0.0.1", parse_dns, true},
    {"mtu", "mtu=9000", parse_mtu, false},
    {"txqueuelen", "txqueuelen=16384", parse_txqueuelen, false},
    {"offload", "offload=off", parse_offload, false},
    {"mac", "mac=02:00:00:00:00:02", parse_mac, false},
    {"pcap", "pcap=FILE", parse_pcap, false},
};

#define KEYS (sizeof keys / sizeof keys[0])

/* What one key needs another for, and what it excludes. */
static const struct rule {
    const char *key;
    const char *other;
    bool needs;
    const char *why;
} rules[] = {
    {"dhcp", "ip", false, "dhcp and ip=: the address comes from one of them"},
    {"dhcp", "gw", false, "dhcp and gw=: the gateway comes from one of them"},
    {"gw", "ip", true, "gw= without ip="},
    {"gw6", "ip6", true, "gw6= without ip6="},
    {"hostname", "dhcp", true, "hostname= without dhcp, which it is told to"},
};

static size_t key_number(const char *name, size_t size)
{
    size_t i = 0;

    while (i < KEYS && (strlen(keys[i].name) != size ||
                        memcmp(keys[i].name, name, size) != 0)) {
        i++;
    }
    return i;
}

static bool was_seen(unsigned seen, const char *name)
{
    return (seen >> key_number(name, strlen(name)) & 1) != 0;
}

static int parse_item(struct parse *p, unsigned *seen)
{
    const char *equals = memchr(p->item, '=', p->item_size);
    size_t name = equals != NULL ? (size_t)(equals - p->item) : p->item_size;
    size_t number = key_number(p->item, name);
    const struct key *key = &keys[number < KEYS ? number : 0];
    char why[64];

    if (p->item_size == 0) {
        return conduit_error_set(p->err, CONDUIT_EINVAL, LAYER, 0,
                                 "nothing between commas, or behind the last "
                                 "one");
    }
    if (number == KEYS) {
        return bad(p, "no such key (tap, ip, gw, dhcp, hostname, ip6, gw6, "
                      "slaac, dns, mtu, txqueuelen, offload, mac, pcap)");
    }
    if (key->example == NULL && equals != NULL) {
        (void)snprintf(why, sizeof why, "%s has no value", key->name);
        return bad(p, why);
    }
    if (key->example != NULL && (equals == NULL || name + 1 == p->item_size)) {
        (void)snprintf(why, sizeof why, "the value is missing, as in %s",
                       key->example);
        return bad(p, why);
    }
    if (!key->repeats && (*seen >> number & 1) != 0) {
        (void)snprintf(why, sizeof why, "%s was there before", key->name);
        return bad(p, why);
    }
    *seen |= 1u << number;
    p->value = p->item + name + (equals != NULL);
    p->size = p->item_size - name - (equals != NULL);
    return key->parse(p);
}

/* What only all keys together can have wrong. */
static int check(const struct cdt_net_config *out, unsigned seen,
                 struct conduit_error *err)
{
    const char *why = NULL;

    for (size_t i = 0; i < sizeof rules / sizeof rules[0] && why == NULL; i++) {
        if (was_seen(seen, rules[i].key) &&
            was_seen(seen, rules[i].other) != rules[i].needs) {
            why = rules[i].why;
        }
    }
    if (why == NULL && seen != 0 && out->tap[0] == '\0') {
        why = "options without tap=, the device that they are about";
    }
    if (why == NULL && out->slaac && out->has_ip6 && out->prefix6 != 64) {
        why = "slaac and ip6=: beside slaac, ip6= has a prefix of 64";
    }
    if (why == NULL && out->gateway4.family != 0 &&
        memcmp(out->gateway4.ip, out->ip4.ip, 4) == 0) {
        why = "gw= is the address of ip= itself";
    }
    if (why == NULL && out->gateway6.family != 0 &&
        memcmp(out->gateway6.ip, out->ip6.ip, 16) == 0) {
        why = "gw6= is the address of ip6= itself";
    }
    return why == NULL
               ? 0
               : conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0, "%s", why);
}

int cdt_net_parse(const char *text, struct cdt_net_config *out,
                  struct conduit_error *err)
{
    struct parse p = {.out = out, .err = err};
    size_t at = strcspn(text, ",");
    unsigned seen = 0;
    int code = 0;

    memset(out, 0, sizeof *out);
    out->offload = true;
    if (at != strlen(LAYER) || memcmp(text, LAYER, at) != 0) {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "'%.32s' is not this stack", text);
    }
    while (code == 0 && text[at] == ',') {
        p.item = text + at + 1;
        p.item_size = strcspn(p.item, ",");
        at += 1 + p.item_size;
        code = parse_item(&p, &seen);
    }
    return code != 0 ? code : check(out, seen, err);
}
