/* SPDX-License-Identifier: ISC */
/*
 * How a stranger at our listener's socket fares who does not meet it as he
 * should: in parts, wrongly, with gifts, or not at all.
 */
#include "unix_vchan_raw.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUICK_MS 40

static void begin(struct vrig *r, void **state, unsigned open_ms)
{
    struct conduit_options options = {.ring_bytes = 4096, .open_ms = open_ms};

    vrig_begin(r, *state);
    vrig_serve(r, &options);
}

/* The stranger is told of an end, after the bytes of an answer if any. */
static bool is_over(const struct vraw *v)
{
    char bytes[64];
    ssize_t got = recv(v->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    return got == 0 || (got < 0 && errno == ECONNRESET);
}

static void is_refused(struct vrig *r, struct vraw *v, const char *text)
{
    T_UNTIL(r->env, vrig_logged(r, "did not open: vchan: ") == 1);
    if (vrig_logged(r, text) != 1) {
        fail_msg("no '%s' in: %s", text, r->env->log);
    }
    if (v->fd >= 0) {
        T_POLL(r->env, is_over(v));
    }
    vraw_free(v);
    assert_null(t_accepted(&r->server));
    vrig_is_clean(r);
    vrig_empty_log(r);
}

static void greet(struct vrig *r, struct vraw *v)
{
    uint8_t hello[VRAW_HELLO];

    vraw_connect(v, r->env, "hostile");
    vraw_hello(hello, 1);
    vraw_send(v->fd, hello, sizeof hello, NULL, 0);
    T_POLL(r->env, vraw_take_reply(v));
}

/* ---- the hello ---------------------------------------------------------- */

static void a_hello_is_cut_and_the_socket_closed(void **state)
{
    uint8_t hello[VRAW_HELLO];
    struct vrig r;

    begin(&r, state, 20000);
    vraw_hello(hello, 1);
    for (size_t n = 0; n < VRAW_HELLO; n++) {
        struct vraw v;

        vraw_connect(&v, r.env, "hostile");
        if (n > 0) {
            vraw_send(v.fd, hello, n, NULL, 0);
            t_turns(r.env, n % 4);
        }
        vraw_hang_up(&v);
        is_refused(&r, &v, "the peer ended the meeting");
    }
    vrig_end(&r);
}

static void a_hello_is_cut_and_silence_follows(void **state)
{
    uint8_t hello[VRAW_HELLO];
    struct vraw v[VRAW_HELLO];
    struct vrig r;

    begin(&r, state, QUICK_MS);
    vraw_hello(hello, 1);
    for (size_t n = 0; n < VRAW_HELLO; n++) {
        vraw_connect(&v[n], r.env, "hostile");
        if (n > 0) {
            vraw_send(v[n].fd, hello, n, NULL, 0);
        }
    }
    (void)vrig_check(&r);
    T_UNTIL(r.env, vrig_logged(&r, "the deadline passed") == VRAW_HELLO);
    for (size_t n = 0; n < VRAW_HELLO; n++) {
        T_POLL(r.env, is_over(&v[n]));
        vraw_free(&v[n]);
    }
    vrig_is_clean(&r);
    vrig_end(&r);
}

static void a_hello_has_the_wrong_magic(void **state)
{
    struct vrig r;

    begin(&r, state, 20000);
    for (size_t i = 0; i < 8; i++) {
        uint8_t hello[VRAW_HELLO];
        struct vraw v;

        vraw_connect(&v, r.env, "hostile");
        vraw_hello(hello, 1);
        hello[i] ^= 1;
        vraw_send(v.fd, hello, sizeof hello, NULL, 0);
        is_refused(&r, &v, "does not speak vchan");
    }
    vrig_end(&r);
}

static void a_hello_is_of_no_kind(void **state)
{
    static const unsigned kinds[] = {0, 3, 77, 255};
    struct vrig r;

    begin(&r, state, 20000);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint8_t hello[VRAW_HELLO];
        uint8_t reply[VRAW_REPLY];
        uint8_t wanted[VRAW_REPLY];
        struct vraw v;

        vraw_connect(&v, r.env, "hostile");
        vraw_hello(hello, kinds[i]);
        vraw_send(v.fd, hello, sizeof hello, NULL, 0);
        T_POLL(r.env, recv(v.fd, reply, sizeof reply, MSG_DONTWAIT) ==
                          (ssize_t)sizeof reply);
        vraw_reply(wanted, 3, 0);
        assert_memory_equal(reply, wanted, 16);
        is_refused(&r, &v, "wants what there is not");
    }
    vrig_end(&r);
}

static void a_hello_comes_byte_by_byte(void **state)
{
    uint8_t hello[VRAW_HELLO];
    struct conduit_conn *conn;
    struct t_conn t = {.in = 5, .pull = true};
    struct vraw v;
    struct vrig r;

    begin(&r, state, 20000);
    vraw_connect(&v, r.env, "hostile");
    vraw_hello(hello, 1);
    for (size_t i = 0; i < sizeof hello; i++) {
        vraw_send(v.fd, hello + i, 1, NULL, 0);
        t_turns(r.env, 2);
    }
    T_POLL(r.env, vraw_take_reply(&v));
    vraw_live(&v, CDT_RING_CONNECTED);
    (void)vraw_write(&v, 5, 1000);
    vraw_wake(&v);
    T_UNTIL(r.env, (conn = t_accepted(&r.server)) != NULL);
    t_attach(&t, r.env, conn, CONDUIT_READ);
    T_UNTIL(r.env, t.received == 1000);
    t_abort(&t);
    vraw_free(&v);
    vrig_end(&r);
}

/* They are refused, or closed: the pipe ends. */
static void a_hello_carries_descriptors(void **state)
{
    uint8_t hello[VRAW_HELLO];
    int many[3];
    int pipes[2];
    char byte;
    struct vraw v;
    struct vrig r;

    begin(&r, state, 20000);
    assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
    many[0] = many[1] = many[2] = pipes[1];
    vraw_connect(&v, r.env, "hostile");
    vraw_hello(hello, 1);
    vraw_send(v.fd, hello, 5, many, 3);
    vraw_send(v.fd, hello + 5, 11, many, 2);
    T_POLL(r.env, vraw_take_reply(&v));
    (void)close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 0);
    (void)close(pipes[0]);
    vraw_hang_up(&v);
    is_refused(&r, &v, "the peer ended the meeting");
    vrig_end(&r);
}

/* ---- being there -------------------------------------------------------- */

/* Nor do wake-ups count as that. */
static void a_client_is_never_there(void **state)
{
    struct vraw v;
    struct vrig r;

    begin(&r, state, QUICK_MS);
    greet(&r, &v);
    for (int i = 0; i < 10; i++) {
        vraw_wake(&v);
        t_turn(r.env, 0);
    }
    assert_null(t_accepted(&r.server));
    is_refused(&r, &v, "the deadline passed");
    vrig_end(&r);
}

static void a_client_is_there_as_nonsense(void **state)
{
    struct vrig r;

    begin(&r, state, 20000);
    for (unsigned live = 3; live < 256; live += 84) {
        struct vraw v;

        greet(&r, &v);
        vraw_live(&v, live);
        vraw_wake(&v);
        is_refused(&r, &v, "liveness");
    }
    vrig_end(&r);
}

static void a_client_comes_with_broken_indices(void **state)
{
    struct vrig r;

    begin(&r, state, 20000);
    for (unsigned way = 0; way < 2; way++) {
        struct vraw v;

        greet(&r, &v);
        if (way == CDT_RING_TO_SERVER) {
            atomic_store(&v.page->way[way].prod, 4097);
        } else {
            atomic_store(&v.page->way[way].cons, 1);
        }
        vraw_live(&v, CDT_RING_CONNECTED);
        vraw_wake(&v);
        is_refused(&r, &v,
                   way == CDT_RING_TO_SERVER ? "wrote more than"
                                             : "read more than");
    }
    vrig_end(&r);
}

static void a_client_goes_before_it_is_there(void **state)
{
    struct vraw v;
    struct vrig r;

    begin(&r, state, 20000);
    greet(&r, &v);
    vraw_hang_up(&v);
    is_refused(&r, &v, "the peer ended the meeting");
    vrig_end(&r);
}

/* It wrote, ended and closed before we looked: that is read. */
static void a_client_comes_and_goes(void **state)
{
    struct conduit_conn *conn;
    struct t_conn t = {.in = 5, .pull = true};
    struct vraw v;
    struct vrig r;

    begin(&r, state, 20000);
    greet(&r, &v);
    vraw_live(&v, CDT_RING_CONNECTED);
    vraw_wake(&v);
    (void)vraw_write(&v, 5, 1000);
    vraw_live(&v, CDT_RING_GONE);
    vraw_wake(&v);
    vraw_hang_up(&v);
    T_UNTIL(r.env, (conn = t_accepted(&r.server)) != NULL);
    t_attach(&t, r.env, conn, CONDUIT_READ);
    T_UNTIL(r.env, t.end != 0);
    assert_int_equal(t.end, CONDUIT_END);
    assert_int_equal(t.received, 1000);
    t_abort(&t);
    vraw_free(&v);
    vrig_is_clean(&r);
    vrig_end(&r);
}

/* The same with our own client, which is not to be slower than it has to. */
static void our_client_comes_and_goes(void **state)
{
    struct vrig r;

    begin(&r, state, 20000);
    for (int i = 0; i < 50; i++) {
        struct conduit_conn *conn;
        struct t_conn t = {.in = 5, .pull = true};
        struct t_client c;
        uint8_t bytes[500];

        t_dial(&c, r.env, "vchan://hostile", NULL);
        T_UNTIL(r.env, c.calls != 0);
        assert_non_null(c.conn);
        t_fill(5, 0, bytes, sizeof bytes);
        assert_int_equal(conduit_conn_write(c.conn, bytes, sizeof bytes),
                         sizeof bytes);
        conduit_conn_close(c.conn);
        T_UNTIL(r.env, (conn = t_accepted(&r.server)) != NULL);
        t_attach(&t, r.env, conn, CONDUIT_READ);
        T_UNTIL(r.env, t.end != 0);
        assert_int_equal(t.end, CONDUIT_END);
        assert_int_equal(t.received, sizeof bytes);
        t_abort(&t);
    }
    vrig_end(&r);
}

/* ---- many --------------------------------------------------------------- */

/* Strangers in each stage go with their listener. */
static void the_listener_is_closed_meanwhile(void **state)
{
    uint8_t hello[VRAW_HELLO];
    struct vraw v[3];
    struct vrig r;
    int fds;

    vrig_begin(&r, *state);
    fds = r.fds;
    vrig_serve(&r, NULL);
    vraw_hello(hello, 1);
    vraw_connect(&v[0], r.env, "hostile");
    vraw_connect(&v[1], r.env, "hostile");
    vraw_send(v[1].fd, hello, 7, NULL, 0);
    t_turns(r.env, 10);
    greet(&r, &v[2]);
    t_unlisten(&r.server);
    for (size_t i = 0; i < 3; i++) {
        T_POLL(r.env, is_over(&v[i]));
        vraw_free(&v[i]);
    }
    r.fds = fds;
    vrig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(a_hello_is_cut_and_the_socket_closed),
        T_TEST(a_hello_is_cut_and_silence_follows),
        T_TEST(a_hello_has_the_wrong_magic),
        T_TEST(a_hello_is_of_no_kind),
        T_TEST(a_hello_comes_byte_by_byte),
        T_TEST(a_hello_carries_descriptors),
        T_TEST(a_client_is_never_there),
        T_TEST(a_client_is_there_as_nonsense),
        T_TEST(a_client_comes_with_broken_indices),
        T_TEST(a_client_goes_before_it_is_there),
        T_TEST(a_client_comes_and_goes),
        T_TEST(our_client_comes_and_goes),
        T_TEST(the_listener_is_closed_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
