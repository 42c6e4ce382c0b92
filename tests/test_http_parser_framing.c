/* SPDX-License-Identifier: ISC */
/*
 * Where a request's body ends: Content-Length, Transfer-Encoding, chunks and
 * trailers, and everything about them that two readers could read in two ways.
 */
#include "test_http_parser.h"

#include <setjmp.h>

#include <cmocka.h>

struct sample {
    int status;       /* 0: accepted */
    const char *body; /* of the message that is accepted */
    const char *bytes;
    size_t len;
};

#define BYTES(text) (text), sizeof(text) - 1
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define OLD_POST "POST / HTTP/1.0\r\n"
#define LENGTH "Content-Length: "
#define CODING "Transfer-Encoding: "
#define CHUNKED POST CODING "chunked\r\n\r\n"
#define LAST "0\r\n\r\n"
#define NEXT "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

static void check(const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct sample *s = &samples[i];
        struct http_run *r = http_run_all(&http_requests, s->bytes, s->len);

        if (r->status != s->status || r->done != (s->status == 0) ||
            (s->status == 0 && (r->body_len != strlen(s->body) ||
                                memcmp(r->body, s->body, r->body_len) != 0))) {
            fail_msg("sample %zu, expected %d:\n%s\n%.*s", i, s->status,
                     s->bytes, (int)r->trace_len, r->trace);
        }
        http_run_free(r);
    }
}

static const struct sample lengths[] = {
    {0, "", BYTES(POST "\r\n")},
    {0, "", BYTES(POST LENGTH "0\r\n\r\n")},
    {0, "x", BYTES(POST LENGTH "1\r\n\r\nx")},
    {0, "abc", BYTES(POST LENGTH "\t 3 \t\r\n\r\nabc")},
    {0, "abc", BYTES(POST LENGTH "0003\r\n\r\nabc")},
    {0, "abc", BYTES(OLD_POST "CONTENT-LENGTH:3\r\n\r\nabc")},
    {0, "\r\n\r\n", BYTES(POST LENGTH "4\r\n\r\n\r\n\r\n")},
    {400, "", BYTES(POST LENGTH "3\r\n\r\nab")}, /* cut short */
    {400, "", BYTES(POST LENGTH "\r\n\r\n")},
    {400, "", BYTES(POST LENGTH "+1\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "-1\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "0x1\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1a\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "a\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1.0\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1 1\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1,1\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1, 1\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1;\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "\"1\"\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "\xb2\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1\r\n" LENGTH "1\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1\r\nA: b\r\ncontent-length: 2\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "1\r\n 1\r\n\r\nx")},
    {400, "", BYTES(POST "Content-Length : 1\r\n\r\nx")},
    {400, "", BYTES(POST " Content-Length: 1\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "18446744073709551616\r\n\r\n")},
    {400, "", BYTES(POST LENGTH "18446744073709551617\r\n\r\nx")},
    {400, "", BYTES(POST LENGTH "99999999999999999999999999\r\n\r\n")},
    {400, "", BYTES(POST LENGTH "00000000000000000000000000000x\r\n\r\n")},
};

static const struct sample codings[] = {
    {0, "", BYTES(CHUNKED LAST)},
    {0, "", BYTES(POST "transfer-ENCODING:\t CHUNKED \r\n\r\n" LAST)},
    {0, "", BYTES(POST "X" CODING "gzip\r\n\r\n")},
    {400, "", BYTES(POST CODING "chunked\r\n" LENGTH "5\r\n\r\n" LAST)},
    {400, "", BYTES(POST LENGTH "5\r\n" CODING "chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST LENGTH "0\r\n" CODING "gzip, chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked\r\n" CODING "chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "gzip\r\n" CODING "chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked, chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked, gzip\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked,\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING ",chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "gzip\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "identity\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "xchunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunkedx\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "x chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked x\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked;q=1\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked;\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "\"chunked\"\r\n\r\n" LAST)},
    {400, "",
     BYTES(POST CODING "\x0b"
                       "chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked\x0b\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chunked\0\r\n\r\n" LAST)},
    {400, "",
     BYTES(POST CODING "\xa0"
                       "chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "chun\r\n ked\r\n\r\n" LAST)},
    {400, "", BYTES(POST CODING "\r\n chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST "Transfer-Encoding : chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST "Transfer-Encoding\t: chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST "A: b\nTransfer-Encoding: chunked\r\n\r\n" LAST)},
    {400, "", BYTES(POST "A: b\rTransfer-Encoding: chunked\r\n\r\n" LAST)},
    {400, "", BYTES(OLD_POST CODING "chunked\r\n\r\n" LAST)},
    {501, "", BYTES(POST CODING "gzip, chunked\r\n\r\n" LAST)},
    {501, "", BYTES(POST CODING "a,b , Chunked\r\n\r\n" LAST)},
};

static const struct sample chunks[] = {
    {0, "abc", BYTES(CHUNKED "3\r\nabc\r\n" LAST)},
    {0, "abcdefghijklmnop",
     BYTES(CHUNKED "a\r\nabcdefghij\r\n"
                   "0006\r\nklmnop\r\n"
                   "000\r\n\r\n")},
    {0, "abcdefghijklmnop",
     BYTES(CHUNKED "F\r\nabcdefghijklmno\r\n"
                   "0000000000000001\r\np\r\n" LAST)},
    {0, "123456789abcdefghij0123456789",
     BYTES(CHUNKED "9\r\n123456789\r\nA\r\nabcdefghij\r\n"
                   "a\r\n0123456789\r\n" LAST)},
    {0, "\r\n0\r\n\r\n", BYTES(CHUNKED "7\r\n\r\n0\r\n\r\n\r\n" LAST)},
    {0, "abc", BYTES(CHUNKED "3;a\r\nabc\r\n0;b=c\r\n\r\n")},
    {0, "abc", BYTES(CHUNKED "3;\r\nabc\r\n0;a=\"b;\\\"\xff\t\"\r\n\r\n")},
    {0, "abc", BYTES(CHUNKED "3 \t;a\r\nabc\r\n0 ; b\r\n\r\n")},
    {400, "", BYTES(CHUNKED)}, /* cut short, here and below */
    {400, "", BYTES(CHUNKED "3")},
    {400, "", BYTES(CHUNKED "3\r\nabc")},
    {400, "", BYTES(CHUNKED "3\r\nabc\r\n")},
    {400, "", BYTES(CHUNKED "0\r\n")},
    {400, "", BYTES(CHUNKED "0\r\n\r")},
    {400, "", BYTES(CHUNKED "\r\n")},
    {400, "", BYTES(CHUNKED ";a\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED " 3\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3 \r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3 a\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "+3\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "-3\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "0x3\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3_0\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "g\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3\0\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3\x0b\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3h\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3,3\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3\rabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3\r\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3\r\nabc\n" LAST)},
    {400, "", BYTES(CHUNKED "3\r\nabc\r" LAST)},
    {400, "", BYTES(CHUNKED "3\r\nabc" LAST)},
    {400, "", BYTES(CHUNKED "3\r\nabcd\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3\r\nab\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3\r\nabc\r\n\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3;a\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3;a\rb\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3;\nxx\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3;a\0\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3;a\x7f\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "3;a=\"\r\n\"\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "00000000000000003\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "10000000000000003\r\nabc\r\n" LAST)},
    {400, "", BYTES(CHUNKED "ffffffffffffffff\r\nabc\r\n" LAST)},
    {413, "", BYTES(CHUNKED "3\r\nabc\r\nffffffffffffffff\r\nabc\r\n" LAST)},
    {413, "", BYTES(CHUNKED "1\r\na\r\nffffffffffffffff;\r\nabc\r\n" LAST)},
};

static const struct sample trailers[] = {
    {0, "", BYTES(CHUNKED "0\r\nA: b\r\n\r\n")},
    {0, "", BYTES(CHUNKED "0\r\nA:\r\nB:c:\t\xff \r\n\r\n")},
    {0, "", BYTES(CHUNKED "0\r\nContent-Length: 9\r\nHost: b\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA: b\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\n: b\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA : b\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA B: b\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\n A: b\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA: b\r\n c\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA: b\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA: b\rc\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA: \0\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA\0: b\r\n\r\n")},
    {400, "", BYTES(CHUNKED "0\r\nA: b\r\n\n")},
    {400, "", BYTES(CHUNKED "0\r\nA: b\r\n\rx")},
    {400, "", BYTES(CHUNKED "0\r\n\n")},
    {400, "", BYTES(CHUNKED "0\r\n\rG")},
    {400, "", BYTES(CHUNKED "0\n\n")},
};

static void lengths_are_plain_numbers(void **state)
{
    (void)state;
    check(lengths, sizeof lengths / sizeof *lengths);
}

static void only_chunked_is_a_coding(void **state)
{
    (void)state;
    check(codings, sizeof codings / sizeof *codings);
}

static void chunks_are_exact(void **state)
{
    (void)state;
    check(chunks, sizeof chunks / sizeof *chunks);
}

static void trailers_are_fields(void **state)
{
    (void)state;
    check(trailers, sizeof trailers / sizeof *trailers);
}

/* A message ends where it says, and the next begins there. */
static void messages_follow_each_other(void **state)
{
    static const char three[] = POST LENGTH "3\r\n\r\nabc" CHUNKED
                                            "2;x\r\nde\r\n0\r\nA: b\r\n\r\n"
                                            "\r\n" NEXT;
    struct http_run *r = http_run_all(&http_requests, BYTES(three));

    (void)state;
    assert_int_equal(r->status, 0);
    assert_int_equal(r->done, 3);
    assert_int_equal(r->offset, sizeof three - 1);
    http_run_free(r);
}

static void a_huge_length_is_not_an_end(void **state)
{
    struct http_run *r = http_run_all(
        &http_requests,
        BYTES(POST LENGTH "18446744073709551615\r\n\r\n" LAST NEXT));

    (void)state;
    assert_int_equal(r->heads, 1);
    assert_int_equal(r->done, 0);
    assert_int_equal(r->body_len, sizeof LAST NEXT - 1);
    http_run_free(r);
}

/* What goes through a tunnel is not read as a request. */
static void nothing_follows_connect(void **state)
{
    struct http_run *r = http_run_all(
        &http_requests, BYTES("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n" LENGTH
                              "2\r\n\r\nab" NEXT));

    (void)state;
    assert_int_equal(r->heads, 1);
    assert_int_equal(r->done, 1);
    assert_int_equal(r->body_len, 2);
    assert_int_equal(r->offset + sizeof NEXT - 1,
                     sizeof "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n" LENGTH
                            "2\r\n\r\nab" NEXT -
                         1);
    http_run_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_plain_numbers),
        cmocka_unit_test(only_chunked_is_a_coding),
        cmocka_unit_test(chunks_are_exact),
        cmocka_unit_test(trailers_are_fields),
        cmocka_unit_test(messages_follow_each_other),
        cmocka_unit_test(a_huge_length_is_not_an_end),
        cmocka_unit_test(nothing_follows_connect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
