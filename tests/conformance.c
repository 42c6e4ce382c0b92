/* SPDX-License-Identifier: ISC */
/*
 * conformance TRANSPORT MODE [PATTERN]
 *
 * Runs the suite over a transport: plain, or below `chop` (which cuts the
 * stream into single bytes), or below two of them (`chop2`). The transport may
 * be TLS over another, with the engines of both ends; then chop can be below it
 * as well (`under`), or above and below (`around`). Exit status 77: this
 * machine cannot do that. PATTERN picks tests by name, with * and ?.
 */
#include "conformance.h"

struct suite suite;

static void uri_mem(struct t_env *env, char *buf, size_t n)
{
    static unsigned made;

    (void)env;
    (void)snprintf(buf, n, "mem://suite.%u", ++made);
}

const struct carrier carrier_mem = {
    .name = "mem",
    .transport = "mem",
    .caps = CONDUIT_CAP_HALF_CLOSE | CONDUIT_CAP_RESET,
    .present = suite_is_present,
    .uri = uri_mem,
    .connect = suite_connect_by_uri,
    .shrink = suite_shrink_nothing,
    .delivered = suite_delivered_at_once,
    .packets = suite_packets_unseen,
};

static const struct part *const parts[] = {
    &part_events, &part_pushing, &part_reading, &part_writing,
    &part_ending, &part_closing, &part_random};

/* ---- pairs -------------------------------------------------------------- */

void suite_layers(char *buf, size_t n)
{
    static const char *const chops[] = {"", "chop+", "chop+chop+"};

    (void)snprintf(buf, n, "%s%s%s", chops[suite.layers],
                   suite.tls ? "tls+" : "", chops[suite.under]);
}

void suite_uri(struct t_env *env, char *buf, size_t n)
{
    size_t len;

    suite_layers(buf, n);
    len = strlen(buf);
    suite.carrier->uri(env, buf + len, n - len);
}

bool suite_is_present(void)
{
    return true;
}

void suite_connect_by_uri(struct fix *f, struct t_pair *pair,
                          const struct conduit_options *options)
{
    char uri[256];

    suite_uri(&f->env, uri, sizeof uri);
    t_connect(pair, &f->env, uri, options);
}

void suite_shrink_nothing(const struct conduit_conn *conn)
{
    (void)conn;
}

void suite_delivered_at_once(const struct t_conn *t)
{
    (void)t;
}

unsigned suite_packets_unseen(const struct t_conn *t)
{
    (void)t;
    return 0;
}

void suite_connect(struct fix *f, struct t_pair *pair,
                   const struct conduit_options *options)
{
    suite.carrier->connect(f, pair, options);
}

void suite_shrink(struct fix *f)
{
    if (suite.layers > 0 || suite.under > 0) {
        suite.carrier->shrink(f->pair.a.conn);
        suite.carrier->shrink(f->pair.b.conn);
    }
}

void suite_delivered(const struct t_conn *t)
{
    suite.carrier->delivered(t);
}

int suite_setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);

    assert_non_null(f);
    *state = f;
    t_env_init(&f->env);
    assert_int_equal(conduit_register_chop(f->env.ctx), 0);
    conduit_chop_set(NULL);
    if (suite.tls) {
        suite_tls_setup(&f->env);
    }
    suite_connect(f, &f->pair, NULL);
    return 0;
}

int suite_teardown(void **state)
{
    struct fix *f = *state;
    struct fix copy;

    f->env.ending = true;
    if (suite.tls) {
        suite_tls_teardown(&f->env);
    }
    conduit_ctx_free(f->env.ctx);
    f->env.ctx = NULL;
    copy = *f;
    free(f);
    *state = NULL;
    t_env_fini(&copy.env);
    if (copy.lent != 0) {
        fail_msg("%u lent blocks were not released", copy.lent);
    }
    return 0;
}

/* ---- moving bytes ------------------------------------------------------- */

void suite_send(struct t_conn *t, size_t n)
{
    struct t_env *env = t->env;

    t->goal = t->sent + n;
    T_POLL(env, (t_push(t), t->sent == t->goal || t->send_end != 0));
    assert_int_equal(t->send_end, 0);
}

void suite_receive(struct t_conn *t, size_t n)
{
    t->limit = t->received + n;
    T_POLL(t->env, (t_pull(t), t->received == t->limit || t->end != 0));
    assert_int_equal(t->end, 0);
    t->limit = 0;
}

int suite_read_out(struct t_conn *t)
{
    T_POLL(t->env, (t->end == 0 ? t_pull(t) : (void)0, t->end != 0));
    return t->end;
}

bool suite_sleeps(struct fix *f, unsigned extra)
{
    unsigned most = 5 + suite.carrier->ticks + extra;
    bool sleeps = false;

    for (int i = 0; i < 5 && !sleeps; i++) {
        sleeps = t_turns_in(&f->env, 50) <= most;
    }
    return sleeps;
}

bool suite_window(const struct conduit_win *win, long n, uint64_t stream,
                  uint64_t at)
{
    size_t first = win->seg[0].size;

    return n > 0 && first + win->seg[1].size == (size_t)n &&
           t_match(stream, at, win->seg[0].data, first) &&
           t_match(stream, at + first, win->seg[1].data, win->seg[1].size);
}

long suite_peek(struct t_conn *t, struct conduit_win *win)
{
    long n = CONDUIT_AGAIN;

    T_POLL(t->env, (n = conduit_conn_peek(t->conn, win)) != CONDUIT_AGAIN);
    assert_int_not_equal(n, 0);
    if (n > 0) {
        assert_true(suite_window(win, n, t->in, t->received));
    }
    return n;
}

/* Memory that is lent and comes back. */
struct block {
    struct conduit_ref ref;
    struct fix *fix;
    uint8_t data[];
};

static void release_block(struct conduit_ref *ref)
{
    struct block *b = (struct block *)(void *)ref;

    T_CHECK(&b->fix->env, b->fix->env.turning || b->fix->env.ending);
    b->fix->lent--;
    free(b);
}

static long lend_some(struct fix *f, struct t_conn *t, size_t n)
{
    struct block *b = calloc(1, sizeof *b + n);
    long done;

    if (b == NULL) {
        return CONDUIT_ENOMEM;
    }
    b->ref.release = release_block;
    b->fix = f;
    t_fill(t->out, t->sent, b->data, n);
    f->lent++;
    done = conduit_conn_lend(t->conn, b->data, n, &b->ref);
    if (done <= 0) {
        f->lent--;
        free(b);
    }
    return done;
}

static long write_some(struct t_conn *t, size_t n)
{
    uint8_t buf[4096];

    n = n < sizeof buf ? n : sizeof buf;
    t_fill(t->out, t->sent, buf, n);
    return conduit_conn_write(t->conn, buf, n);
}

static long writev_some(struct t_conn *t, uint64_t *random, size_t n)
{
    uint8_t buf[4096];
    struct conduit_seg seg[3];
    size_t cut[2];

    n = n < sizeof buf ? n : sizeof buf;
    t_fill(t->out, t->sent, buf, n);
    cut[0] = t_range(random, 0, n);
    cut[1] = t_range(random, cut[0], n);
    seg[0] = (struct conduit_seg){buf, cut[0]};
    seg[1] = (struct conduit_seg){buf + cut[0], cut[1] - cut[0]};
    seg[2] = (struct conduit_seg){buf + cut[1], n - cut[1]};
    return conduit_conn_writev(t->conn, seg, 3);
}

static long reserve_some(struct t_conn *t, size_t n)
{
    struct conduit_win win;
    long room = conduit_conn_reserve(t->conn, &win);
    size_t part;

    if (room <= 0) {
        T_CHECK(t->env, room != 0);
        return room;
    }
    T_CHECK(t->env, win.seg[0].size + win.seg[1].size == (size_t)room);
    n = n < (size_t)room ? n : (size_t)room;
    part = n < win.seg[0].size ? n : win.seg[0].size;
    t_fill(t->out, t->sent, win.seg[0].data, part);
    t_fill(t->out, t->sent + part, win.seg[1].data, n - part);
    conduit_conn_commit(t->conn, n);
    return n > 0 ? (long)n : CONDUIT_AGAIN;
}

long suite_write_some(struct fix *f, struct t_conn *t, uint64_t *random,
                      size_t most)
{
    size_t n = t_range(random, 1, most);
    long done;

    switch (t_random(random) % 4) {
    case 0:
        done = write_some(t, n);
        break;
    case 1:
        done = writev_some(t, random, n);
        break;
    case 2:
        done = reserve_some(t, t_range(random, 0, n));
        break;
    default:
        done = lend_some(f, t, n);
        break;
    }
    T_CHECK(t->env, done != 0 && done <= (long)n);
    if (done > 0) {
        t->sent += (uint64_t)done;
    }
    return done;
}

long suite_read_some(struct t_conn *t, uint64_t *random, size_t most)
{
    size_t n = t_range(random, 1, most);
    uint8_t buf[4096];
    struct conduit_win win;
    long got;

    if (t_random(random) % 2 == 0) {
        n = n < sizeof buf ? n : sizeof buf;
        got = conduit_conn_read(t->conn, buf, n);
        T_CHECK(t->env,
                got <= (long)n && got != 0 &&
                    (got < 0 || t_match(t->in, t->received, buf, (size_t)got)));
    } else {
        got = conduit_conn_peek(t->conn, &win);
        T_CHECK(t->env, got < 0 || suite_window(&win, got, t->in, t->received));
        if (got > 0) {
            got = (long)n < got ? (long)n : got;
            conduit_conn_consume(t->conn, (size_t)got);
        }
    }
    if (got > 0) {
        t->received += (uint64_t)got;
    }
    return got;
}

/* ---- the program -------------------------------------------------------- */

static bool choose_carrier(const char *name)
{
    suite.carrier = NULL;
    for (size_t i = 0; suite_carriers[i] != NULL; i++) {
        if (strcmp(suite_carriers[i]->name, name) == 0) {
            suite.carrier = suite_carriers[i];
            suite.caps = suite.carrier->caps;
        }
    }
    return suite.carrier != NULL;
}

/* "tls.CLIENT.SERVER+": the engines of TLS, over a carrier. */
static const char *choose_tls(const char *transport)
{
    static char words[64];
    const char *plus = strchr(transport, '+');
    char *dot;

    suite.tls = strncmp(transport, "tls.", 4) == 0 && plus != NULL;
    if (!suite.tls) {
        return transport;
    }
    (void)snprintf(words, sizeof words, "%.*s", (int)(plus - transport - 4),
                   transport + 4);
    dot = strchr(words, '.');
    suite.engines[0] = words;
    suite.engines[1] = dot != NULL ? dot + 1 : words;
    if (dot != NULL) {
        *dot = '\0';
    }
    return plus + 1;
}

static bool choose(const char *transport, const char *mode)
{
    static const struct {
        const char *name;
        unsigned layers;
        unsigned under;
    } modes[] = {{"plain", 0, 0},
                 {"chop", 1, 0},
                 {"chop2", 2, 0},
                 {"under", 0, 1},
                 {"around", 1, 1}};
    bool known = false;

    if (!choose_carrier(choose_tls(transport))) {
        return false;
    }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, mode) == 0) {
            suite.layers = modes[i].layers;
            suite.under = modes[i].under;
            known = suite.under == 0 || suite.tls;
        }
    }
    if (suite.tls) {
        suite.caps = suite_tls_caps(suite.caps);
    }
    suite.much = suite.layers + suite.under == 0 ? 4000000 : 40000;
    suite.some = suite.layers + suite.under == 0 ? 2000 : 400;
    return known;
}

static int run(const char *name)
{
    struct CMUnitTest all[256];
    size_t n = 0;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        for (size_t j = 0; j < parts[i]->count; j++) {
            assert_true(n < sizeof all / sizeof all[0]);
            all[n++] = parts[i]->tests[j];
        }
    }
    return _cmocka_run_group_tests(name, all, n, NULL, NULL);
}

static int usage(void)
{
    (void)fprintf(stderr, "usage: conformance [tls.CLIENT.SERVER+]TRANSPORT "
                          "plain|chop|chop2|under|around [PATTERN]\n"
                          "TRANSPORT is one of:");
    for (size_t i = 0; suite_carriers[i] != NULL; i++) {
        (void)fprintf(stderr, " %s", suite_carriers[i]->name);
    }
    (void)fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    char name[64];

    if (argc < 3 || !choose(argv[1], argv[2])) {
        return usage();
    }
    if (!suite.carrier->present()) {
        (void)printf("skipped: this machine has no %s\n", argv[1]);
        return 77;
    }
    cmocka_set_test_filter(argc > 3 ? argv[3] : NULL);
    (void)snprintf(name, sizeof name, "%s.%s", argv[1], argv[2]);
    return run(name) == 0 ? 0 : 1;
}
