/* SPDX-License-Identifier: ISC */
/* Which names of certificates match which hosts (RFC 6125 section 6.4). */
#include "support.h"

#include "tls.h"

struct example {
    const char *pattern;
    size_t size; /* 0: a string */
    const char *host;
    bool matches;
};

static const struct example examples[] = {
    {"example.org", 0, "example.org", true},
    {"EXAMPLE.org", 0, "example.ORG", true},
    {"localhost", 0, "localhost", true},
    {"a_b.example.org", 0, "a_b.example.org", true},
    {"xn--bcher-kva.example", 0, "xn--bcher-kva.example", true},
    {"example.org", 0, "example.com", false},
    {"example.org", 0, "www.example.org", false},
    {"www.example.org", 0, "example.org", false},
    {"example.org", 0, "badexample.org", false},
    {"example.org", 0, "example.org.evil.example", false},

    {"*.example.org", 0, "www.example.org", true},
    {"*.example.org", 0, "WWW.Example.Org", true},
    {"*.example.org", 0, "example.org", false},
    {"*.example.org", 0, ".example.org", false},
    {"*.example.org", 0, "a.b.example.org", false},
    {"*.example.org", 0, "wwwexample.org", false},
    {"*.example.org", 0, "*.example.org", false},
    {"*.example.org", 0, "a-b.example.org", true},
    {"*.example.org", 0, "a_b.example.org", false},
    {"*.example.org", 0, "-a.example.org", false},
    {"*.example.org", 0, "a-.example.org", false},
    {"*.a-b.example", 0, "x.a-b.example", true},
    {"*.a_b.example", 0, "x.a_b.example", false},
    {"*.-b.example", 0, "x.-b.example", false},
    {"*.b-.example", 0, "x.b-.example", false},
    {"*.b.example-", 0, "x.b.example-", false},
    {"a_b.-c.example-", 0, "a_b.-c.example-", true},
    {"*.org", 0, "example.org", false},
    {"*", 0, "example", false},
    {"*.", 0, "example.", false},
    {"*.*.org", 0, "www.example.org", false},
    {"*.*.example.org", 0, "a.b.example.org", false},
    {"w*.example.org", 0, "www.example.org", false},
    {"*w.example.org", 0, "www.example.org", false},
    {"www.*.org", 0, "www.example.org", false},
    {"www.example.*", 0, "www.example.org", false},
    {"**.example.org", 0, "www.example.org", false},
    {"*..example.org", 0, "www..example.org", false},
    {"*.example.org.", 0, "www.example.org", false},
    {"*.example..org", 0, "www.example..org", false},

    {"", 0, "", false},
    {"", 0, "example.org", false},
    {"example.org", 0, "", false},
    {".", 0, ".", false},
    {"example.org.", 0, "example.org", false},
    {".example.org", 0, ".example.org", false},
    {"example..org", 0, "example..org", false},
    {"exa mple.org", 0, "exa mple.org", false},
    {"ex\xc3\xa4mple.org", 0, "ex\xc3\xa4mple.org", false},
    {"example.org\0.evil.example", 25, "example.org", false},
    {"example.org\0", 12, "example.org", false},
    {"\0example.org", 12, "example.org", false},
    {"*.example.org\0", 14, "www.example.org", false},
    {"*.\0example.org", 14, "www.example.org", false},
    {"*\0.example.org", 14, "www.example.org", false},
    {"example.org/", 0, "example.org/", false},
};

static void names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct example *e = &examples[i];
        size_t size = e->size != 0 ? e->size : strlen(e->pattern);

        if (cdt_tls_name_matches(e->pattern, size, e->host) != e->matches) {
            fail_msg("\"%s\" (%zu bytes) and \"%s\"", e->pattern, size,
                     e->host);
        }
    }
}

/* A pattern is not a string: what is behind its size is not looked at. */
static void size_counts(void **state)
{
    static const char text[] = "*.example.organic";

    (void)state;
    assert_true(cdt_tls_name_matches(text + 2, 11, "example.org"));
    assert_true(cdt_tls_name_matches(text, 13, "www.example.org"));
    assert_false(cdt_tls_name_matches(text, 12, "www.example.org"));
}

static void every_alert_has_a_text(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        assert_non_null(cdt_tls_alert_text(i));
        assert_true(strlen(cdt_tls_alert_text(i)) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(size_counts),
        cmocka_unit_test(every_alert_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
