/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target of the HTTP parser. The first byte of an input chooses role,
 * method and limits, the second how the rest is split; the rest is what the
 * peer sends. It is read whole, byte by byte and split at random, all in memory
 * of the exact size, and must say the same each time. What is asserted about
 * each event and each head is in test_http_parser.h.
 */
#include "test_http_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_CUTS = 4096 };

static const struct cdt_http_limits tight = {
    .request_line = 40,
    .fields = 4,
    .trailer = 16,
    .chunk_ext = 8,
    .body = 20,
};

static struct http_setup setup_of(uint8_t options)
{
    static const char *const methods[] = {"GET", "HEAD", "CONNECT", NULL};
    struct http_setup setup;

    setup.role = (options & 1) != 0 ? CDT_HTTP_RESPONSE : CDT_HTTP_REQUEST;
    setup.method = methods[options >> 1 & 3];
    setup.limits = (options & 8) != 0 ? &tight : &http_wide;
    setup.mem = (options & 16) != 0 ? 128 : 4096;
    return setup;
}

static void compare(const struct http_setup *setup,
                    const struct http_run *whole, const uint8_t *data, size_t n,
                    const size_t *cuts, size_t count)
{
    struct http_run *r = http_run_cut(setup, data, n, cuts, count);

    http_assert_same(whole, r);
    http_run_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static size_t cuts[MAX_CUTS];
    struct http_setup setup;
    struct http_run *whole;
    uint32_t seed;
    size_t count = 0;

    if (size < 2) {
        return 0;
    }
    setup = setup_of(data[0]);
    seed = data[1];
    data += 2;
    size -= 2;
    whole = http_run_cut(&setup, data, size, NULL, 0);
    for (size_t at = 0; at <= size && count < MAX_CUTS; count++) {
        cuts[count] = at;
        seed = seed * 1664525 + 1013904223;
        at += (seed >> 16) % 24;
    }
    compare(&setup, whole, data, size, cuts, count);
    for (count = 0; count <= size && count < MAX_CUTS; count++) {
        cuts[count] = count;
    }
    compare(&setup, whole, data, size, cuts, count);
    http_run_free(whole);
    return 0;
}
