/* SPDX-License-Identifier: ISC */
/*
 * The OpenSSL engine against itself: bytes and endings, through a pipe in
 * memory that can be as narrow as a byte.
 */
#include "test_tls_engine_openssl.h"

#define MEGABYTE ((size_t)1 << 20)

/* ---- bytes -------------------------------------------------------------- */

static void bytes_arrive(void **state)
{
    static const unsigned versions[] = {CONDUIT_TLS_1_2, CONDUIT_TLS_1_3};
    static const struct {
        size_t chunk;
        size_t capacity;
        size_t bytes;
        size_t piece;
    } ways[] = {
        {0, 0, MEGABYTE, 16384},       {16384, 0, MEGABYTE, 16384},
        {16384, 20000, MEGABYTE, 999}, {7, 0, MEGABYTE / 8, 65536},
        {1, 0, 100000, 5000},          {1, 1, 50000, 20000},
        {7, 3, 50000, 16384},          {0, 1000, MEGABYTE, 1},
    };

    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            size_t n = ways[i].piece == 1 ? 5000 : ways[i].bytes;
            struct duo d;

            duo_init(&d, state);
            duo_version(&d, versions[v]);
            d.chunk = ways[i].chunk;
            d.capacity = ways[i].capacity;
            must_shake(&d);
            stream_both_ways(&d, n, ways[i].piece);
            duo_fini(&d);
        }
    }
}

/* While something is stuck, nothing more is taken, and wants says why. */
static void a_stuck_writer_takes_nothing(void **state)
{
    static const uint8_t data[30000];
    struct duo d;
    struct tls_pipe_end *client = &d.pipe.client;

    duo_init(&d, state);
    must_shake(&d);
    tls_pipe_flush(&d.pipe);
    assert_int_equal(ENGINE->wants(client->session), 0);
    d.pipe.up.capacity = 100;
    assert_int_equal(ENGINE->write(client->session, data, sizeof data),
                     CDT_TLS_RECORD);
    assert_int_equal(ENGINE->write(client->session, data, 1), CONDUIT_AGAIN);
    assert_int_equal(ENGINE->flush(client->session), CONDUIT_AGAIN);
    assert_int_equal(ENGINE->wants(client->session), CONDUIT_WRITE);
    d.pipe.up.capacity = 0;
    assert_int_equal(ENGINE->flush(client->session), 0);
    assert_int_equal(ENGINE->wants(client->session), 0);
    assert_int_equal(ENGINE->write(client->session, data, 1), 1);
    duo_fini(&d);
}

/* readable is about what is there already, to the byte. */
static void readable_is_exact(void **state)
{
    struct duo d;
    struct tls_pipe_end *server = &d.pipe.server;
    uint8_t buf[64];
    size_t end;

    duo_init(&d, state);
    must_shake(&d);
    assert_true(tls_pipe_write(&d.pipe, &d.pipe.client, "one"));
    assert_true(tls_pipe_write(&d.pipe, &d.pipe.client, "two"));
    end = d.pipe.up.end;
    d.pipe.up.end = end - 1; /* the last byte is late */
    assert_false(ENGINE->readable(server->session));
    assert_int_equal(ENGINE->read(server->session, buf, 1), 1);
    assert_true(ENGINE->readable(server->session));
    assert_int_equal(ENGINE->read(server->session, buf, sizeof buf), 2);
    assert_false(ENGINE->readable(server->session));
    assert_int_equal(ENGINE->read(server->session, buf, 1), CONDUIT_AGAIN);
    d.pipe.up.end = end;
    assert_int_equal(ENGINE->read(server->session, buf, sizeof buf), 3);
    assert_memory_equal(buf, "two", 3);
    assert_true(tls_pipe_write(&d.pipe, &d.pipe.client, "three"));
    assert_true(tls_pipe_write(&d.pipe, &d.pipe.client, "four"));
    assert_int_equal(ENGINE->read(server->session, buf, sizeof buf), 5);
    assert_true(ENGINE->readable(server->session)); /* a whole record */
    assert_int_equal(ENGINE->read(server->session, buf, sizeof buf), 4);
    assert_false(ENGINE->readable(server->session));
    duo_fini(&d);
}

/* ---- endings ------------------------------------------------------------ */

static void close_notify_is_the_end(void **state)
{
    struct duo d;
    char buf[8];

    duo_init(&d, state);
    duo_version(&d, CONDUIT_TLS_1_2);
    must_shake(&d);
    assert_false(ENGINE->half_close(d.pipe.client.session));
    assert_true(tls_pipe_write(&d.pipe, &d.pipe.client, "last"));
    assert_int_equal(ENGINE->close(d.pipe.client.session), 0);
    assert_int_equal(ENGINE->close(d.pipe.client.session), 0);
    d.pipe.up.ended = true;
    assert_int_equal(tls_pipe_read(&d.pipe, &d.pipe.server, buf, sizeof buf),
                     4);
    for (int i = 0; i < 2; i++) {
        assert_true(ENGINE->readable(d.pipe.server.session));
        assert_int_equal(
            tls_pipe_read(&d.pipe, &d.pipe.server, buf, sizeof buf),
            CONDUIT_END);
    }
    assert_int_equal(ENGINE->close(d.pipe.server.session), 0);
    assert_int_equal(tls_pipe_read(&d.pipe, &d.pipe.client, buf, sizeof buf),
                     CONDUIT_END);
    assert_int_equal(ENGINE->write(d.pipe.server.session, "x", 1),
                     CONDUIT_ECLOSED);
    duo_fini(&d);
}

static void half_is_open_after_close(void **state)
{
    struct duo d;
    char buf[8];

    duo_init(&d, state);
    must_shake(&d);
    assert_true(ENGINE->half_close(d.pipe.client.session));
    assert_int_equal(ENGINE->close(d.pipe.client.session), 0);
    assert_int_equal(tls_pipe_read(&d.pipe, &d.pipe.server, buf, sizeof buf),
                     CONDUIT_END);
    assert_int_equal(tls_pipe_stream(&d.pipe, &d.pipe.server, &d.pipe.client, 3,
                                     100000, 5000),
                     100000);
    assert_int_equal(ENGINE->close(d.pipe.server.session), 0);
    assert_int_equal(tls_pipe_read(&d.pipe, &d.pipe.client, buf, sizeof buf),
                     CONDUIT_END);
    duo_fini(&d);
}

static void close_notify_waits_for_room(void **state)
{
    static const uint8_t data[2000];
    struct duo d;
    uint8_t buf[4000];

    duo_init(&d, state);
    must_shake(&d);
    d.pipe.up.capacity = 10;
    assert_int_equal(ENGINE->write(d.pipe.client.session, data, sizeof data),
                     sizeof data);
    assert_int_equal(ENGINE->close(d.pipe.client.session), 0);
    assert_int_equal(tls_pipe_read(&d.pipe, &d.pipe.server, buf, sizeof buf),
                     sizeof data);
    assert_int_equal(tls_pipe_read(&d.pipe, &d.pipe.server, buf, sizeof buf),
                     CONDUIT_END);
    assert_int_equal(ENGINE->flush(d.pipe.client.session), 0);
    duo_fini(&d);
}

static void truncation_is_an_error(void **state)
{
    struct duo d;
    char buf[8];

    duo_init(&d, state);
    must_shake(&d);
    assert_true(tls_pipe_write(&d.pipe, &d.pipe.client, "cut"));
    d.pipe.up.ended = true;
    assert_int_equal(tls_pipe_read(&d.pipe, &d.pipe.server, buf, sizeof buf),
                     3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ENGINE->read(d.pipe.server.session, buf, sizeof buf),
                         CONDUIT_ETRUNCATED);
    }
    assert_string_equal(d.pipe.server.session->fault.text, CDT_TLS_TRUNCATED);
    duo_fini(&d);
}

/* Wherever the peer stops within the handshake. */
static void a_cut_handshake_is_truncated(void **state)
{
    struct duo d;
    size_t all;

    duo_init(&d, state);
    d.server_spec.options.no_resumption = true; /* no tickets behind it */
    must_shake(&d);
    all = (size_t)d.pipe.down.total;
    for (size_t at = 1; at < all; at += 13) {
        struct tls_pipe *p = &d.pipe;
        struct conduit_error err;

        tls_pipe_fini(p);
        assert_int_equal(tls_pipe_init(p, &d.pair, 0, at, &err), 0);
        p->up.capacity = 0;
        (void)ENGINE->handshake(p->client.session);
        (void)ENGINE->handshake(p->server.session);
        p->down.ended = true;
        assert_int_equal(ENGINE->handshake(p->client.session),
                         CONDUIT_ETRUNCATED);
        assert_int_equal(ENGINE->handshake(p->client.session),
                         CONDUIT_ETRUNCATED);
        assert_int_equal(ENGINE->wants(p->client.session) & CONDUIT_READ, 0);
    }
    duo_fini(&d);
}

/* What the lower layer says comes through as it is, behind what came before. */
static void errors_below_pass_through(void **state)
{
    struct duo d;
    char buf[8];

    duo_init(&d, state);
    must_shake(&d);
    assert_true(tls_pipe_write(&d.pipe, &d.pipe.client, "rest"));
    d.pipe.up.read_code = CONDUIT_ERESET;
    d.pipe.down.write_code = CONDUIT_EPIPE;
    assert_int_equal(ENGINE->write(d.pipe.server.session, "x", 1),
                     CONDUIT_EPIPE);
    assert_int_equal(ENGINE->flush(d.pipe.server.session), CONDUIT_EPIPE);
    assert_int_equal(ENGINE->read(d.pipe.server.session, buf, sizeof buf), 4);
    assert_int_equal(ENGINE->read(d.pipe.server.session, buf, sizeof buf),
                     CONDUIT_ERESET);
    assert_null(d.pipe.server.session->fault.text);
    duo_fini(&d);
}

static void a_changed_byte_is_noticed(void **state)
{
    struct duo d;
    char buf[64];

    duo_init(&d, state);
    must_shake(&d);
    assert_true(tls_pipe_write(&d.pipe, &d.pipe.client, "text"));
    d.pipe.up.data[d.pipe.up.end - 1] ^= 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ENGINE->read(d.pipe.server.session, buf, sizeof buf),
                         CONDUIT_ETLS);
        assert_int_equal(ENGINE->write(d.pipe.server.session, buf, 1),
                         CONDUIT_ETLS);
    }
    assert_int_equal(ENGINE->flush(d.pipe.server.session), 0);
    (void)tls_pipe_read(&d.pipe, &d.pipe.client, buf, sizeof buf);
    assert_string_equal(d.pipe.client.session->fault.text,
                        cdt_tls_alert_text(20));
    assert_int_equal(d.pipe.client.session->fault.native, 20);
    duo_fini(&d);
}

static void noise_is_no_handshake(void **state)
{
    static const char noise[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    struct duo d;

    duo_init(&d, state);
    must_shake(&d);
    tls_pipe_fini(&d.pipe);
    assert_int_equal(tls_pipe_init(&d.pipe, &d.pair, 0, 0, NULL), 0);
    assert_int_equal(
        d.pipe.client.io.output(&d.pipe.client.io, noise, sizeof noise),
        sizeof noise);
    assert_int_equal(ENGINE->handshake(d.pipe.server.session), CONDUIT_ETLS);
    assert_non_null(d.pipe.server.session->fault.text);
    duo_fini(&d);
}

/* ---- memory ------------------------------------------------------------- */

/* Everything that conduit allocates fails once: then there is an error and
 * nothing is left, or it did not matter. */
static void memory_may_run_out(void **state)
{
    struct t_env *env = *state;
    bool failed = true;

    for (size_t at = 1; failed; at++) {
        struct conduit_error err = {0};
        struct duo d;

        duo_init(&d, state);
        d.client_spec.options.alpn = (const char *const[]){"h2", NULL};
        d.server_spec.identities[1] = other_cert;
        d.capacity = 100;
        env->mem.failed = false;
        env->mem.fail_at = env->mem.calls + at;
        d.pair.client = tls_cred_try(ENGINE, env->ctx, &d.client_spec, &err);
        if (d.pair.client != NULL) {
            d.pair.server = tls_cred_try(ENGINE, env->ctx, &d.server_spec,
                                         &err);
        }
        if (d.pair.server != NULL &&
            tls_pipe_init(&d.pipe, &d.pair, 0, d.capacity, &err) == 0 &&
            tls_pipe_handshake(&d.pipe)) {
            (void)tls_pipe_stream(&d.pipe, &d.pipe.client, &d.pipe.server, 1,
                                  40000, 16384);
        } else {
            assert_true(env->mem.failed);
        }
        failed = env->mem.failed;
        env->mem.fail_at = 0;
        tls_pipe_fini(&d.pipe);
        if (d.pair.server != NULL) {
            ENGINE->credentials_free(d.pair.server);
        }
        if (d.pair.client != NULL) {
            ENGINE->credentials_free(d.pair.client);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(bytes_arrive),
        T_TEST(a_stuck_writer_takes_nothing),
        T_TEST(readable_is_exact),
        T_TEST(close_notify_is_the_end),
        T_TEST(half_is_open_after_close),
        T_TEST(close_notify_waits_for_room),
        T_TEST(truncation_is_an_error),
        T_TEST(a_cut_handshake_is_truncated),
        T_TEST(errors_below_pass_through),
        T_TEST(a_changed_byte_is_noticed),
        T_TEST(noise_is_no_handshake),
        T_TEST(memory_may_run_out),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
