/* SPDX-License-Identifier: ISC */
/* Texts that are pins, and texts that are none. */
#include "support.h"

#include <conduit/tls.h>

#define ZEROS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" /* 42 digits */

/* Not of base64. */
#define HEX                                            \
    "sha256//0000000000000000000000000000000000000000" \
    "000000000000000000000000"

static void good(void **state)
{
    static const char text[] =
        "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    static const char high[] =
        "sha256////////////////////////////////////////////s=";
    static const char plus[] =
        "sha256//++++++++++++++++++++++++++++++++++++++++++8=";
    struct conduit_tls_pin pin;

    (void)state;
    assert_int_equal(conduit_tls_pin_parse(text, &pin), 0);
    for (size_t i = 0; i < sizeof pin.sha256; i++) {
        assert_int_equal(pin.sha256[i], i);
    }
    assert_int_equal(conduit_tls_pin_parse(high, &pin), 0);
    assert_int_equal(pin.sha256[0], 0xff);
    assert_int_equal(pin.sha256[30], 0xff);
    assert_int_equal(pin.sha256[31], 0xfb);
    assert_int_equal(conduit_tls_pin_parse(plus, &pin), 0);
    assert_int_equal(pin.sha256[0], 0xfb);
    assert_int_equal(pin.sha256[31], 0xef);
    assert_int_equal(conduit_tls_pin_parse("sha256//" ZEROS "A=", &pin), 0);
    assert_int_equal(pin.sha256[31], 0);
}

static void bad(void **state)
{
    static const char *const texts[] = {
        "",
        "sha256//",
        "sha256//=",
        ZEROS "A=",           /* without its kind */
        "sha256/" ZEROS "A=", /* of another kind each */
        "sha1//" ZEROS "A=",
        "SHA256//" ZEROS "A=",
        " sha256//" ZEROS "A=",
        "sha256// " ZEROS "A=",
        "sha256//" ZEROS "A",  /* without its end */
        "sha256//" ZEROS "==", /* of 31 bytes */
        "sha256//" ZEROS "AA", /* of 33 bytes */
        "sha256//" ZEROS "AA=",
        "sha256//" ZEROS "A==", /* more behind it */
        "sha256//" ZEROS "A=\n",
        "sha256//" ZEROS "A=;",
        "sha256//" ZEROS "A= ",
        "sha256//" ZEROS "B=", /* bits that stand for nothing */
        "sha256//" ZEROS "C=",
        "sha256//" ZEROS "-=", /* base64url */
        "sha256//" ZEROS "_=",
        "sha256//" ZEROS "\x80=",
        "sha256//" ZEROS "\n=",
        "sha256//=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        HEX,
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct conduit_tls_pin pin;
        struct conduit_tls_pin before;

        memset(&pin, 0xa5, sizeof pin);
        before = pin;
        if (conduit_tls_pin_parse(texts[i], &pin) != CONDUIT_EINVAL) {
            fail_msg("a pin: '%s'", texts[i]);
        }
        assert_memory_equal(&pin, &before, sizeof pin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
