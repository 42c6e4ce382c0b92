/* SPDX-License-Identifier: ISC */
/*
 * Calling off and freeing, at any time and from any callback. What is read or
 * written too late is for the sanitizers to see, what is left for the counts of
 * the environment.
 */
#include "test_http_client.h"

static void cancel_queued(void **state)
{
    struct rig r;
    struct call *a;
    struct call *b;
    struct call *c;

    rig_open(&r, state, NULL);
    a = call_made(r.env, r.client, GET);
    b = call_made(r.env, r.client, POST("b"));
    c = call_made(r.env, r.client, POST("c"));
    PEER_WAIT(r.peer, 0, 1);
    conduit_http_call_cancel(b->call);
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(a);
    PEER_WAIT(r.peer, 0, 2);
    T_UNTIL(r.env, r.peer->conns[0].in[r.peer->conns[0].size - 1] == 'c');
    peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(b->done, 0);
    rig_close(&r);
    call_free(a);
    call_free(b);
    call_free(c);
}

static void cancel_before_anything_happened(void **state)
{
    struct rig r;
    struct call *c;

    rig_open(&r, state, NULL);
    c = call_made(r.env, r.client, GET);
    conduit_http_call_cancel(c->call);
    t_turns(r.env, 8);
    assert_int_equal(r.peer->count, 0);
    assert_int_equal(c->done, 0);
    rig_roundtrip(&r, 0, 1);
    rig_close(&r);
    call_free(c);
}

/* The dial goes on for those that still wait for it, and not for nobody. */
static void cancel_while_dialling(void **state)
{
    const struct conduit_chop_settings never = {.never_opens = true};
    struct rig r;
    struct call *a;
    struct call *b;

    assert_int_equal(conduit_register_chop(((struct t_env *)*state)->ctx), 0);
    rig_open_at(&r, state, "mem://peer", "http+chop+mem://peer", NULL);
    conduit_chop_set(&never);
    a = call_made(r.env, r.client, GET);
    b = call_made(r.env, r.client, GET);
    T_UNTIL(r.env, r.peer->count == 1);
    conduit_http_call_cancel(a->call);
    t_turns(r.env, 8);
    assert_int_equal(r.peer->count, 1);
    assert_int_equal(r.peer->conns[0].end, 0);
    conduit_http_call_cancel(b->call);
    T_UNTIL(r.env, r.peer->conns[0].end != 0);
    conduit_chop_set(NULL);
    rig_roundtrip(&r, 1, 1);
    assert_int_equal(a->done + b->done, 0);
    rig_close(&r);
    call_free(a);
    call_free(b);
}

static void cancel_while_an_answer_is_waited_for(void **state)
{
    struct rig r;
    struct call *a;
    struct call *b;

    rig_open(&r, state, NULL);
    a = call_made(r.env, r.client, GET);
    b = call_made(r.env, r.client, GET);
    PEER_WAIT(r.peer, 0, 1);
    conduit_http_call_cancel(a->call);
    T_UNTIL(r.env, r.peer->conns[0].end != 0);
    PEER_WAIT(r.peer, 1, 1);
    peer_send(r.peer, 1, "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(b);
    assert_int_equal(b->err.code, 0);
    assert_int_equal(a->done, 0);
    rig_close(&r);
    call_free(a);
    call_free(b);
}

static void free_at_once(void **state)
{
    struct rig r;

    rig_open(&r, state, NULL);
    rig_close(&r);
}

static void count_done(void *arg, struct conduit_http_call *call,
                       const struct conduit_error *err)
{
    unsigned *done = arg;

    *done += err != NULL && err->code == CONDUIT_ECANCELED &&
             conduit_http_call_status(call) == 0;
}

/* Those under way end from within conduit_http_client_free(). */
static void free_ends_all(void **state)
{
    unsigned done = 0;
    const struct conduit_http_call_options o = {.done = count_done,
                                                .arg = &done};

    for (unsigned turns = 0; turns < 12; turns++) {
        struct rig r;

        rig_open(&r, state, NULL);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(conduit_http_call(r.client, &o, NULL, NULL), 0);
        }
        t_turns(r.env, turns);
        done = 0;
        conduit_http_client_free(r.client);
        assert_int_equal(done, 3);
        r.client = NULL;
        rig_close(&r);
    }
}

static void call_from_done(void *arg, struct conduit_http_call *call,
                           const struct conduit_error *err)
{
    struct rig *r = arg;
    const struct conduit_http_call_options o = {.done = call_from_done,
                                                .arg = arg};

    (void)err;
    conduit_http_call_cancel(call); /* over: harmless */
    T_CHECK(r->env,
            conduit_http_call(r->client, &o, NULL, NULL) == CONDUIT_ECLOSED);
    conduit_http_client_free(r->client); /* being freed: harmless */
}

static void free_takes_no_more_calls(void **state)
{
    struct rig r;
    const struct conduit_http_call_options o = {.done = call_from_done,
                                                .arg = &r};

    rig_open(&r, state, NULL);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(conduit_http_call(r.client, &o, NULL, NULL), 0);
    }
    PEER_WAIT(r.peer, 0, 1);
    conduit_http_client_free(r.client);
    r.client = NULL;
    rig_close(&r);
}

/* ---- from callbacks ----------------------------------------------------- */

enum { CANCEL_SELF, CANCEL_OTHER, CANCEL_BOTH, FREE };

/* What to do, where, and in which of the calls of that place. */
struct plan {
    struct rig *r;
    int where;
    unsigned nth;
    int what;
    unsigned seen;
    bool carried_out;
};

static void cancel(struct call *c)
{
    if (c->call != NULL) {
        conduit_http_call_cancel(c->call);
        c->call = NULL;
        c->client = NULL; /* marks it */
    }
}

static void carry_out(struct call *c, int where)
{
    struct plan *plan = c->arg;

    if (where != plan->where || ++plan->seen != plan->nth) {
        return;
    }
    plan->carried_out = true;
    switch (plan->what) {
    case CANCEL_SELF:
        cancel(c);
        break;
    case CANCEL_OTHER:
        cancel(c->other);
        break;
    case CANCEL_BOTH:
        cancel(c->other);
        cancel(c);
        break;
    default:
        c->hook = NULL;
        /* `done` comes from in here, and is not a callback out of turn. */
        conduit_http_client_free(plan->r->client);
        plan->r->client = NULL;
        break;
    }
}

/* Answers whatever is asked, until both calls are over. */
static void serve_all(struct rig *r, const struct call *a, const struct call *b)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
    size_t answered[PEER_CONNS] = {0};

    for (unsigned turn = 0; turn < 200; turn++) {
        for (unsigned i = 0; i < r->peer->count; i++) {
            struct peer_conn *p = &r->peer->conns[i];

            if (p->end == 0 && p->size > answered[i] &&
                strstr(p->in + answered[i], "0\r\n\r\n") != NULL) {
                answered[i] = p->size;
                peer_send(r->peer, i, answer);
            }
        }
        t_turn(r->env, 0);
        if ((a->done > 0 || a->client == NULL) &&
            (b->done > 0 || b->client == NULL)) {
            return;
        }
    }
    fail_msg("neither done nor called off");
}

/* The connection that got a GET, or PEER_CONNS. */
static unsigned asked(const struct peer *p)
{
    unsigned i = 0;

    while (i < p->count && strstr(p->conns[i].in, "GET /") == NULL) {
        i++;
    }
    return i < p->count ? i : PEER_CONNS;
}

static void still_works(struct rig *r)
{
    struct call *c = call_made(r->env, r->client, GET);

    T_UNTIL(r->env, asked(r->peer) < PEER_CONNS);
    peer_send(r->peer, asked(r->peer), "HTTP/1.1 204 No Content\r\n\r\n");
    CALL_WAIT(c);
    assert_int_equal(c->err.code, 0);
    call_free(c);
}

static void try_plan(void **state, struct plan *plan)
{
    const struct conduit_http_call_options o = {
        .method = "POST",
        .target = "/",
        .source = call_source,
        .source_length = CONDUIT_HTTP_UNKNOWN,
    };
    struct rig r;
    struct call *a;
    struct call *b;

    rig_open(&r, state, NULL);
    plan->r = &r;
    a = call_new(r.env, r.client);
    b = call_new(r.env, r.client);
    a->other = b;
    a->hook = carry_out;
    a->arg = plan;
    a->pieces = "some";
    b->pieces = "more";
    call_start(a, o);
    call_start(b, o);
    serve_all(&r, a, b);
    if (plan->carried_out && plan->what == FREE) {
        assert_true(a->err.code == CONDUIT_ECANCELED || plan->where == IN_DONE);
        assert_int_equal(b->err.code, CONDUIT_ECANCELED);
    } else if (r.client != NULL) {
        still_works(&r);
    }
    rig_close(&r);
    call_free(a);
    call_free(b);
}

static void from_every_callback(void **state)
{
    unsigned carried_out = 0;

    for (int where = IN_HEAD; where <= IN_DONE; where++) {
        for (unsigned nth = 1; nth <= 2; nth++) {
            for (int what = CANCEL_SELF; what <= FREE; what++) {
                struct plan plan = {.where = where, .nth = nth, .what = what};

                try_plan(state, &plan);
                carried_out += plan.carried_out;
            }
        }
    }
    /* head and done come once, data and source twice */
    assert_int_equal(carried_out, 4 * (1 + 2 + 2 + 1));
}

/* ---- what goes on ------------------------------------------------------- */

static void chain(struct call *c, int where)
{
    if (where == IN_DONE && c->other != NULL) {
        call_start(c->other, GET);
    }
}

static void calls_from_done(void **state)
{
    enum { N = 10 };
    struct call *calls[N];
    struct rig r;

    rig_open(&r, state, NULL);
    for (unsigned i = 0; i < N; i++) {
        calls[i] = call_new(r.env, r.client);
        calls[i]->hook = chain;
        if (i > 0) {
            calls[i - 1]->other = calls[i];
        }
    }
    call_start(calls[0], GET);
    for (unsigned i = 0; i < N; i++) {
        PEER_WAIT(r.peer, 0, i + 1);
        peer_send(r.peer, 0, "HTTP/1.1 204 No Content\r\n\r\n");
        CALL_WAIT(calls[i]);
        assert_int_equal(calls[i]->err.code, 0);
    }
    assert_int_equal(r.peer->count, 1);
    rig_close(&r);
    for (unsigned i = 0; i < N; i++) {
        call_free(calls[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_TEST(cancel_queued),
        T_TEST(cancel_before_anything_happened),
        T_TEST(cancel_while_dialling),
        T_TEST(cancel_while_an_answer_is_waited_for),
        T_TEST(free_at_once),
        T_TEST(free_ends_all),
        T_TEST(free_takes_no_more_calls),
        T_TEST(from_every_callback),
        T_TEST(calls_from_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
