/* SPDX-License-Identifier: ISC */
/*
 * Meetings and handshakes over vchan between two threads, with nothing else
 * that would wake a loop before a deadline: a wake-up that got lost on the way
 * shows as a dial that timed out. CONDUIT_HANDSHAKES says how many of each
 * kind; a long run takes some ten thousands.
 */
#include "unix_support.h"

#include "test_identity.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#define HANDSHAKES 40u
#define DEADLINE_MS 20000u
#define WATCHDOG_S 100u

/* Whom the client dials, by turns. */
static const char *const uris[] = {"tls+vchan://handshakes",
                                   "tls+auto://handshakes"};
static const char *const engines[] = {"openssl", "bearssl"};

struct side {
    struct conduit_ctx *ctx;
    struct conduit_tls *tls;
    struct conduit_listener *listener;
    pthread_t thread;
    unsigned done;
    char fault[512];
};

static struct side server;
static struct side client;
static const char *engine;
static unsigned most;
static sem_t listening;

static void note(struct side *s, const char *what, const char *why)
{
    if (s->fault[0] == '\0') {
        (void)snprintf(s->fault, sizeof s->fault, "%s: %.400s", what, why);
    }
    conduit_loop_stop(conduit_ctx_loop(s->ctx));
}

/* Lets go of one that the client has let go of. */
static void until_end(void *arg, struct conduit_conn *conn, unsigned events)
{
    uint8_t byte;

    (void)events;
    if (conduit_conn_read(conn, &byte, 1) == CONDUIT_AGAIN) {
        return;
    }
    conduit_conn_close(conn);
    if (++((struct side *)arg)->done == most) {
        conduit_loop_stop(conduit_ctx_loop(server.ctx));
    }
}

static void accepted(void *arg, struct conduit_listener *listener,
                     struct conduit_conn *conn)
{
    (void)listener;
    conduit_conn_set_handler(conn, until_end, arg, CONDUIT_READ);
}

static void dial(void);

static void dialed(void *arg, struct conduit_dial *d, struct conduit_conn *conn,
                   const struct conduit_error *err)
{
    (void)arg;
    (void)d;
    if (conn == NULL) {
        note(&client, "a dial failed", err->text);
        return;
    }
    conduit_conn_close(conn);
    if (++client.done == most) {
        conduit_loop_stop(conduit_ctx_loop(client.ctx));
    } else {
        dial();
    }
}

/* The next attempt of auto:// must not hide that the first one hangs. */
static void dial(void)
{
    const struct conduit_options options = {.attempt_ms = DEADLINE_MS,
                                            .dial_ms = DEADLINE_MS,
                                            .stagger_ms = 2 * DEADLINE_MS,
                                            .tls = client.tls,
                                            .tls_name = T_IDENTITY_NAME};
    struct conduit_error err = {0};

    if (conduit_dial(client.ctx, uris[client.done % 2], &options, dialed, NULL,
                     NULL, &err) != 0) {
        note(&client, "cannot dial", err.text);
    }
}

static void listen_at(void)
{
    const struct conduit_options options = {.open_ms = DEADLINE_MS,
                                            .tls = server.tls};
    struct conduit_error err = {0};

    if (conduit_listen(server.ctx, uris[0], &options, accepted, &server,
                       &server.listener, &err) != 0) {
        note(&server, "cannot listen", err.text);
    }
}

static void begin(struct side *s)
{
    struct conduit_error err = {0};

    if (conduit_register_all(s->ctx) != 0 ||
        t_identity_tls(s->ctx, engine, false, &s->tls, &err) != 0) {
        note(s, "no TLS", err.text);
    } else if (s == &server) {
        listen_at();
    } else {
        (void)sem_wait(&listening);
        dial();
    }
}

static void *run(void *arg)
{
    struct side *s = arg;

    if (conduit_unix_new(NULL, NULL, &s->ctx, NULL) != 0) {
        (void)snprintf(s->fault, sizeof s->fault, "no context");
        (void)sem_post(&listening);
        return NULL;
    }
    begin(s);
    if (s == &server) {
        (void)sem_post(&listening);
    }
    (void)conduit_loop_run(conduit_ctx_loop(s->ctx));
    conduit_listener_close(s->listener);
    s->listener = NULL;
    conduit_loop_finish(conduit_ctx_loop(s->ctx));
    conduit_tls_unref(s->tls);
    conduit_ctx_free(s->ctx);
    return NULL;
}

static void shake(const char *which, const char *spin)
{
    struct t_env env = {0};

    engine = which;
    server = client = (struct side){0};
    assert_int_equal(setenv("CONDUIT_RUNTIME_DIR", t_dir(&env), 1), 0);
    assert_int_equal(setenv("CONDUIT_VCHAN_SPIN_US", spin, 1), 0);
    assert_int_equal(sem_init(&listening, 0, 0), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, run, &server), 0);
    assert_int_equal(pthread_create(&client.thread, NULL, run, &client), 0);
    assert_int_equal(pthread_join(client.thread, NULL), 0);
    if (client.fault[0] == '\0') {
        assert_int_equal(pthread_join(server.thread, NULL), 0);
    }
    t_platform_clean(&env);
    if (client.fault[0] != '\0' || server.fault[0] != '\0') {
        fail_msg("%s %u: client: %s; server: %s", which, client.done,
                 client.fault, server.fault);
    }
    assert_int_equal(client.done, most);
    assert_int_equal(server.done, most);
}

static void sleeping_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        shake(engines[i], "0");
    }
}

static void looking_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        shake(engines[i], "20");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sleeping_at_once),
                                       cmocka_unit_test(looking_first)};
    const char *text = getenv("CONDUIT_HANDSHAKES");

    most = text != NULL ? (unsigned)strtoul(text, NULL, 10) : HANDSHAKES;
    (void)alarm(text != NULL ? 36 * WATCHDOG_S : WATCHDOG_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
