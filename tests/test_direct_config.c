/* SPDX-License-Identifier: ISC */
/* What CONDUIT_NET says of the direct stack: taken as it is meant, or refused
 * with the key that is wrong. */
#include "support.h"

#include "transports/link.h"

static void good(const char *text, struct cdt_net_config *out)
{
    struct conduit_error err = {0};

    memset(out, 0xa5, sizeof *out);
    if (cdt_net_parse(text, out, &err) != 0) {
        fail_msg("%s: %s", text, err.text);
    }
}

static void assert_addr(const struct conduit_addr *addr, const char *text)
{
    char buf[CONDUIT_ADDR_TEXT];

    assert_string_equal(conduit_addr_format(addr, false, buf), text);
}

static void alone_it_has_no_device(void **state)
{
    static const uint8_t none[6];
    struct cdt_net_config c;

    (void)state;
    good("direct", &c);
    assert_string_equal(c.tap, "");
    assert_int_equal(c.ip4_how, CDT_NET_NONE);
    assert_false(c.slaac);
    assert_false(c.has_ip6);
    assert_int_equal(c.gateway4.family, 0);
    assert_int_equal(c.gateway6.family, 0);
    assert_int_equal(c.dns[0].family, 0);
    assert_int_equal(c.mtu, 0);
    assert_true(c.offload);
    assert_memory_equal(c.mac, none, 6);
    assert_string_equal(c.pcap, "");
    assert_string_equal(c.hostname, "");
}

static void a_static_address(void **state)
{
    struct cdt_net_config c;

    (void)state;
    good("direct,tap=tap0,ip=10.0.0.2/24,gw=10.0.0.1,dns=10.0.0.1", &c);
    assert_string_equal(c.tap, "tap0");
    assert_int_equal(c.ip4_how, CDT_NET_STATIC);
    assert_addr(&c.ip4, "10.0.0.2");
    assert_int_equal(c.prefix4, 24);
    assert_addr(&c.gateway4, "10.0.0.1");
    assert_addr(&c.dns[0], "10.0.0.1");
    assert_int_equal(c.dns[1].family, 0);
    assert_false(c.has_ip6);
}

static void dhcp_gives_the_address(void **state)
{
    struct cdt_net_config c;

    (void)state;
    good("direct,tap=tap0,dhcp,hostname=a-host.example", &c);
    assert_int_equal(c.ip4_how, CDT_NET_DHCP);
    assert_string_equal(c.hostname, "a-host.example");
    good("direct,dhcp,slaac,tap=tap0", &c);
    assert_true(c.slaac);
    assert_int_equal(c.ip4_how, CDT_NET_DHCP);
}

static void an_address_of_ipv6(void **state)
{
    struct cdt_net_config c;

    (void)state;
    good("direct,gw6=fe80::1,ip6=fd00::2/64,tap=t,slaac,dns=fd00::1,"
         "dns=192.0.2.1,dns=fd00::3",
         &c);
    assert_true(c.has_ip6);
    assert_true(c.slaac);
    assert_addr(&c.ip6, "fd00::2");
    assert_int_equal(c.prefix6, 64);
    assert_addr(&c.gateway6, "fe80::1");
    assert_addr(&c.dns[0], "fd00::1");
    assert_addr(&c.dns[1], "192.0.2.1");
    assert_addr(&c.dns[2], "fd00::3");
    assert_int_equal(c.ip4_how, CDT_NET_NONE);
}

static void what_the_device_does(void **state)
{
    static const uint8_t mac[6] = {2, 0, 0, 0xab, 0xCD, 0xff};
    struct cdt_net_config c;

    (void)state;
    good("direct,tap=a23456789012345,mtu=9000,offload=off,"
         "mac=02:00:00:ab:CD:ff,pcap=/dir/a file=1",
         &c);
    assert_string_equal(c.tap, "a23456789012345");
    assert_int_equal(c.mtu, 9000);
    assert_false(c.offload);
    assert_memory_equal(c.mac, mac, 6);
    assert_string_equal(c.pcap, "/dir/a file=1");
    good("direct,tap=t,offload=on,mtu=1280", &c);
    assert_true(c.offload);
    good("direct,tap=t,txqueuelen=1", &c);
    assert_int_equal(c.txqueuelen, 1);
    good("direct,tap=t,txqueuelen=1000000", &c);
    assert_int_equal(c.txqueuelen, 1000000);
    good("direct,tap=t,mtu=65535", &c);
    assert_int_equal(c.mtu, 65535);
}

static void small_networks_have_hosts_only(void **state)
{
    static const char *const texts[] = {
        "direct,tap=t,ip=10.0.0.0/31,gw=10.0.0.1",
        "direct,tap=t,ip=10.0.0.1/32,gw=192.0.2.1",
        "direct,tap=t,ip=10.0.1.0/16",
        "direct,tap=t,ip=10.0.0.255/23",
        "direct,tap=t,ip=192.0.2.1/1",
        "direct,tap=t,ip6=fd00::/1",
        "direct,tap=t,ip6=fd00::1/128",
    };
    struct cdt_net_config c;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        good(texts[i], &c);
    }
}

static const struct bad {
    const char *text;
    const char *why; /* within the report */
} bads[] = {
    {"", "'' is not this stack"},
    {"Direct", "'Direct' is not"},
    {"directly", "'directly' is not"},
    {" direct", "' direct' is not"},
    {"socket,tap=t", "'socket,tap=t' is not"},
    {"direct,", "nothing between commas"},
    {"direct,,tap=t", "nothing between commas"},
    {"direct,tap=t,", "nothing between commas"},
    {"direct,tap=t,mtu", "mtu: the value is missing, as in mtu=9000"},
    {"direct,tap=t,mtu=", "mtu=: the value is missing"},
    {"direct,tap", "tap: the value is missing, as in tap=tap0"},
    {"direct,tap=", "tap=: the value is missing"},
    {"direct,=x", "=x: no such key (tap, "},
    {"direct,tap=t,TAP=x", "TAP=x: no such key"},
    {"direct,tap=t,ip4=10.0.0.2/24", "ip4=10.0.0.2/24: no such key"},
    {"direct,tap=t, dhcp", " dhcp: no such key"},
    {"direct,tap=t,dhcp6", "dhcp6: no such key"},
    {"direct,tap=t,dhcp=", "dhcp=: dhcp has no value"},
    {"direct,tap=t,dhcp=yes", "dhcp=yes: dhcp has no value"},
    {"direct,tap=t,slaac=1", "slaac=1: slaac has no value"},
    {"direct,tap=t,tap=t", "tap=t: tap was there before"},
    {"direct,tap=t,dhcp,dhcp", "dhcp: dhcp was there before"},
    {"direct,tap=t,offload=on,offload=off", "offload was there before"},
    {"direct,tap=t,ip=10.0.0.2/24,ip=10.0.0.3/24", "ip was there before"},
    /* the interface */
    {"direct,tap=a234567890123456", "15 bytes at most"},
    {"direct,tap=.", "no interface is named so"},
    {"direct,tap=..", "no interface is named so"},
    {"direct,tap=a/b", "tap=a/b: a byte that no"},
    {"direct,tap=a b", "a byte that no"},
    {"direct,tap=tap%d", "a byte that no"},
    {"direct,tap=a:1", "a byte that no"},
    {"direct,tap=\xc3\xa4", "a byte that no"},
    /* IPv4 */
    {"direct,tap=t,ip=10.0.0.2", "ip=10.0.0.2: the prefix is missing"},
    {"direct,tap=t,ip=10.0.0.2/", "none of 1 to 32"},
    {"direct,tap=t,ip=10.0.0.2/0", "none of 1 to 32"},
    {"direct,tap=t,ip=10.0.0.2/33", "ip=10.0.0.2/33: the prefix is none of"},
    {"direct,tap=t,ip=10.0.0.2/08", "none of 1 to 32"},
    {"direct,tap=t,ip=10.0.0.2/+8", "none of 1 to 32"},
    {"direct,tap=t,ip=10.0.0.2/24/24", "none of 1 to 32"},
    {"direct,tap=t,ip=10.0.0.2/4294967320", "none of 1 to 32"},
    {"direct,tap=t,ip=10.0.0.2/255.255.255.0", "none of 1 to 32"},
    {"direct,tap=t,ip=/24", "no IPv4 address"},
    {"direct,tap=t,ip=10.0.0/24", "no IPv4 address"},
    {"direct,tap=t,ip=10.0.0.256/24", "no IPv4 address"},
    {"direct,tap=t,ip=fd00::2/64", "ip=fd00::2/64: no IPv4 address"},
    {"direct,tap=t,ip=host/24", "no IPv4 address"},
    {"direct,tap=t,ip=0.0.0.0/24", "0.0.0.0/8"},
    {"direct,tap=t,ip=127.0.0.1/8", "127.0.0.0/8"},
    {"direct,tap=t,ip=224.0.0.1/24", "from 224.0.0.0 on"},
    {"direct,tap=t,ip=255.255.255.255/24", "from 224.0.0.0 on"},
    {"direct,tap=t,ip=10.0.0.0/24", "it is the network's address"},
    {"direct,tap=t,ip=10.0.0.255/24", "broadcast address"},
    {"direct,tap=t,gw=10.0.0.1", "gw= without ip="},
    {"direct,tap=t,ip=10.0.0.2/24,gw=10.0.0.1/24", "gw=10.0.0.1/24: no IPv4"},
    {"direct,tap=t,ip=10.0.0.2/24,gw=fe80::1", "gw=fe80::1: no IPv4 address"},
    {"direct,tap=t,ip=10.0.0.2/24,gw=10.0.0.2", "gw= is the address of ip="},
    {"direct,tap=t,ip=10.0.0.2/24,gw=0.0.0.0", "gw=0.0.0.0: no host"},
    {"direct,tap=t,ip=10.0.0.2/24,dhcp", "dhcp and ip="},
    {"direct,tap=t,dhcp,ip=10.0.0.2/24", "dhcp and ip="},
    {"direct,tap=t,dhcp,gw=10.0.0.1", "dhcp and gw="},
    {"direct,tap=t,hostname=a", "hostname= without dhcp"},
    {"direct,tap=t,hostname=a,ip=10.0.0.2/24", "hostname= without dhcp"},
    {"direct,tap=t,dhcp,hostname=a_b", "hostname=a_b: no host's name"},
    {"direct,tap=t,dhcp,hostname=-a", "no host's name"},
    {"direct,tap=t,dhcp,hostname=a-", "no host's name"},
    {"direct,tap=t,dhcp,hostname=a-.b", "no host's name"},
    {"direct,tap=t,dhcp,hostname=a..b", "no host's name"},
    {"direct,tap=t,dhcp,hostname=a.", "no host's name"},
    {"direct,tap=t,dhcp,hostname=.", "no host's name"},
    {"direct,tap=t,dhcp,hostname="
     "a23456789a23456789a23456789a23456789a23456789a23456789a234567890abcd",
     "63 bytes at most"},
    /* IPv6 */
    {"direct,tap=t,ip6=fd00::2", "ip6=fd00::2: the prefix is missing"},
    {"direct,tap=t,ip6=fd00::2/0", "none of 1 to 128"},
    {"direct,tap=t,ip6=fd00::2/129", "none of 1 to 128"},
    {"direct,tap=t,ip6=10.0.0.2/24", "ip6=10.0.0.2/24: no IPv6 address"},
    {"direct,tap=t,ip6=[fd00::2]/64", "no IPv6 address"},
    {"direct,tap=t,ip6=fd00::2%1/64", "no IPv6 address"},
    {"direct,tap=t,ip6=::/64", ":: or ::1"},
    {"direct,tap=t,ip6=::1/64", ":: or ::1"},
    {"direct,tap=t,ip6=ff02::1/64", "multicast"},
    {"direct,tap=t,ip6=::ffff:10.0.0.1/64", "it is an IPv4 address"},
    {"direct,tap=t,ip6=fe80::2/64", "made from the MAC address"},
    {"direct,tap=t,ip6=fd00::2/48,slaac", "slaac and ip6=: beside slaac"},
    {"direct,tap=t,slaac,ip6=fd00::2/128", "a prefix of 64"},
    {"direct,tap=t,ip6=fd00::2/65,slaac", "a prefix of 64"},
    {"direct,tap=t,gw6=fe80::1", "gw6= without ip6="},
    {"direct,tap=t,slaac,gw6=fe80::1", "gw6= without ip6="},
    {"direct,tap=t,ip6=fd00::2/64,gw6=fe80::1%2", "no IPv6 address"},
    {"direct,tap=t,ip6=fd00::2/64,gw6=10.0.0.1", "no IPv6 address"},
    {"direct,tap=t,ip6=fd00::2/64,gw6=fd00::2", "gw6= is the address of ip6="},
    {"direct,tap=t,ip6=fd00::2/64,ip6=fd00::3/64", "ip6 was there before"},
    /* DNS */
    {"direct,tap=t,dns=host", "dns=host: no IP address"},
    {"direct,tap=t,dns=10.0.0.1:53", "no IP address"},
    {"direct,tap=t,dns=127.0.0.53", "dns=127.0.0.53: 127.0.0.0/8"},
    {"direct,tap=t,dns=10.0.0.1,dns=10.0.0.2,dns=10.0.0.3,dns=10.0.0.4",
     "dns=10.0.0.4: three"},
    /* the device */
    {"direct,tap=t,mtu=1279", "mtu=1279: the MTU is none of 1280 to 65535"},
    {"direct,tap=t,mtu=65536", "none of 1280"},
    {"direct,tap=t,mtu=0", "none of 1280"},
    {"direct,tap=t,txqueuelen=0", "none of 1 to 1000000 frames"},
    {"direct,tap=t,txqueuelen=1000001", "none of 1 to 1000000 frames"},
    {"direct,tap=t,txqueuelen", "as in txqueuelen=16384"},
    {"direct,tap=t,mtu=1500x", "none of 1280"},
    {"direct,tap=t,mtu=-1500", "none of 1280"},
    {"direct,tap=t,mtu=01500", "none of 1280"},
    {"direct,tap=t,mtu=99999999999999999999", "none of 1280"},
    {"direct,tap=t,offload=ON", "offload=ON: neither on nor off"},
    {"direct,tap=t,offload=o", "neither on nor off"},
    {"direct,tap=t,offload=onn", "neither on nor off"},
    {"direct,tap=t,mac=02:00:00:00:00", "no MAC address"},
    {"direct,tap=t,mac=02:00:00:00:00:0g", "no MAC address"},
    {"direct,tap=t,mac=02-00-00-00-00-02", "no MAC address"},
    {"direct,tap=t,mac=02:00:00:00:00:02:", "no MAC address"},
    {"direct,tap=t,mac=00:00:00:00:00:00", "it is no address"},
    {"direct,tap=t,mac=01:00:5e:00:00:01", "multicast"},
    {"direct,tap=t,mac=ff:ff:ff:ff:ff:ff", "multicast"},
    /* without a device there is nothing to say */
    {"direct,dhcp", "options without tap="},
    {"direct,ip=10.0.0.2/24", "options without tap="},
    {"direct,offload=off", "options without tap="},
    {"direct,pcap=file", "options without tap="},
};

static void bad_ones_are_refused_with_the_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct conduit_error err = {0};
        struct cdt_net_config c;
        int code = cdt_net_parse(bads[i].text, &c, &err);

        if (code != CONDUIT_EINVAL || err.code != code ||
            strcmp(err.layer, "direct") != 0 ||
            strstr(err.text, bads[i].why) == NULL) {
            fail_msg("'%s': %d '%s', not '%s'", bads[i].text, code, err.text,
                     bads[i].why);
        }
        assert_int_equal(cdt_net_parse(bads[i].text, &c, NULL), code);
    }
}

static void a_file_has_a_longest_name(void **state)
{
    struct conduit_error err = {0};
    struct cdt_net_config c;
    char text[400] = "direct,tap=t,pcap=";
    size_t n = strlen(text);

    (void)state;
    memset(text + n, 'f', 256);
    assert_int_equal(cdt_net_parse(text, &c, &err), CONDUIT_EINVAL);
    assert_non_null(strstr(err.text, "255 bytes at most"));
    text[n + 255] = '\0';
    good(text, &c);
    assert_int_equal(strlen(c.pcap), 255);
}

/* Whatever stands there: an answer, and nothing read behind the text. */
static void any_text_has_an_answer(void **state)
{
    static const char pieces[][16] = {
        "direct", ",", "tap=", "ip=", "10.0.0.", "1",  "/24", "gw=",
        "dhcp",   "=", "mac=", "02:", "mtu=",    "::", "ip6="};
    const size_t count = sizeof pieces / sizeof pieces[0];
    uint64_t random = 42;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        size_t n = t_range(&random, 0, 12);
        char *text = calloc(1, 6 + 16 * n + 1);
        struct cdt_net_config c;
        int code;

        assert_non_null(text);
        (void)strcpy(text, pieces[0]);
        while (n-- > 0) {
            (void)strcat(text, pieces[t_range(&random, 1, count - 1)]);
        }
        text = realloc(text, strlen(text) + 1);
        assert_non_null(text);
        code = cdt_net_parse(text, &c, NULL);
        assert_true(code == 0 || code == CONDUIT_EINVAL);
        free(text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_it_has_no_device),
        cmocka_unit_test(a_static_address),
        cmocka_unit_test(dhcp_gives_the_address),
        cmocka_unit_test(an_address_of_ipv6),
        cmocka_unit_test(what_the_device_does),
        cmocka_unit_test(small_networks_have_hosts_only),
        cmocka_unit_test(bad_ones_are_refused_with_the_key),
        cmocka_unit_test(a_file_has_a_longest_name),
        cmocka_unit_test(any_text_has_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
