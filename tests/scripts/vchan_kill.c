/* SPDX-License-Identifier: ISC */
/*
 * vchan_kill FOLDER KILLS [SEED]: a server and some clients under full load
 * both ways over vchan, of which one after another is killed at some moment.
 * Who survives finds the connection cut off, and nothing else: no wrong byte,
 * no hang, no descriptor and no mapping that stays; and clients find the server
 * that takes the place of the one before.
 *
 * Each connection carries two streams that can be checked, and begins with the
 * number of the client's, so what arrived is a prefix of what was sent or a
 * fault. The processes count in memory that they share; the driver looks at
 * what they have open from outside.
 */
#include "unix_support.h"

#include <conduit/conduit.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 4u
#define NAME "killed"
#define URI "vchan://" NAME
#define LOADED (64u * 1024) /* bytes each way until a connection counts */
#define WATCHDOG_MS 20000u
#define TO_CLIENT ((uint64_t)1 << 63) /* in the number of a stream */

/* What processes tell. */
struct told {
    _Atomic pid_t pid;
    _Atomic int fds; /* open before the first connection; 0: not there yet */
    _Atomic unsigned open;
    _Atomic unsigned opened;
    _Atomic unsigned cut;               /* ends by ETRUNCATED */
    _Atomic uint64_t received[CLIENTS]; /* of the connection of each */
    _Atomic int fault;                  /* the line that noticed it */
    _Atomic int code;
};

struct shared {
    _Atomic bool stop;
    struct told server;
    struct told client[CLIENTS];
};

static struct shared *shared;

static void fault(struct told *told, int line, int code)
{
    int none = 0;

    if (atomic_compare_exchange_strong(&told->fault, &none, line)) {
        atomic_store(&told->code, code);
    }
}

/* ---- one end of a connection -------------------------------------------- */

struct end {
    struct told *told;
    struct conduit_conn *conn; /* NULL: none */
    uint64_t in;
    uint64_t out;
    uint64_t received;
    uint64_t sent;
    uint8_t head[8]; /* the number, as it comes or goes */
    unsigned head_size;
    unsigned slot; /* the client's */
    bool server;
};

static void is_over(struct end *e, int code)
{
    if (code == CONDUIT_ETRUNCATED) {
        atomic_fetch_add(&e->told->cut, 1);
    } else if (code != CONDUIT_END || !atomic_load(&shared->stop)) {
        fault(e->told, __LINE__, code);
    }
    atomic_store(&e->told->received[e->slot], 0);
    atomic_fetch_sub(&e->told->open, 1);
    conduit_conn_abort(e->conn);
    e->conn = NULL;
    if (e->server) {
        free(e);
    }
}

/* The server learns from it which streams these are. */
static bool take_head(struct end *e)
{
    uint64_t number;
    long got = conduit_conn_read(e->conn, e->head + e->head_size,
                                 sizeof e->head - e->head_size);

    if (got <= 0) {
        if (got != CONDUIT_AGAIN) {
            is_over(e, (int)got);
        }
        return false;
    }
    e->head_size += (unsigned)got;
    if (e->head_size < sizeof e->head) {
        return true;
    }
    memcpy(&number, e->head, sizeof number);
    e->in = number;
    e->out = number | TO_CLIENT;
    e->slot = (unsigned)(number % CLIENTS);
    return true;
}

static void do_read(struct end *e)
{
    uint8_t buf[4096];

    while (e->server && e->head_size < sizeof e->head) {
        if (!take_head(e)) {
            return;
        }
    }
    for (;;) {
        long got = conduit_conn_read(e->conn, buf, sizeof buf);

        if (got == CONDUIT_AGAIN) {
            return;
        }
        if (got <= 0) {
            is_over(e, (int)got);
            return;
        }
        if (!t_match(e->in, e->received, buf, (size_t)got)) {
            fault(e->told, __LINE__, 0);
        }
        e->received += (uint64_t)got;
        atomic_store(&e->told->received[e->slot], e->received);
    }
}

static void do_write(struct end *e)
{
    uint8_t buf[4096];
    long done;

    if (e->server && e->head_size < sizeof e->head) {
        return; /* reading comes first */
    }
    do {
        t_fill(e->out, e->sent, buf, sizeof buf);
        done = conduit_conn_write(e->conn, buf, sizeof buf);
        e->sent += done > 0 ? (uint64_t)done : 0;
    } while (done > 0);
    if (done == CONDUIT_AGAIN) {
        return;
    }
    if (done != CONDUIT_EPIPE) {
        fault(e->told, __LINE__, (int)done);
    }
    conduit_conn_want(e->conn, CONDUIT_READ); /* what came before is read */
}

static void on_event(void *arg, struct conduit_conn *conn, unsigned events)
{
    struct end *e = arg;

    (void)conn;
    if ((events & CONDUIT_WRITE) != 0) {
        do_write(e);
    }
    if ((events & (CONDUIT_READ | CONDUIT_ERR)) != 0) {
        do_read(e);
    }
}

static void begin(struct end *e, struct conduit_conn *conn)
{
    e->conn = conn;
    e->received = 0;
    e->sent = 0;
    atomic_fetch_add(&e->told->open, 1);
    atomic_fetch_add(&e->told->opened, 1);
    conduit_conn_set_handler(conn, on_event, e, CONDUIT_READ | CONDUIT_WRITE);
}

/* ---- the processes ------------------------------------------------------ */

static struct conduit_ctx *context(struct told *told)
{
    struct conduit_ctx *ctx = NULL;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (conduit_unix_new(NULL, NULL, &ctx, NULL) != 0 ||
        conduit_register_all(ctx) != 0) {
        fault(told, __LINE__, 0);
        _exit(1);
    }
    return ctx;
}

static void accepted(void *arg, struct conduit_listener *listener,
                     struct conduit_conn *conn)
{
    struct end *e = calloc(1, sizeof *e);

    (void)listener;
    if (e == NULL) {
        conduit_conn_abort(conn);
        return;
    }
    e->told = arg;
    e->server = true;
    begin(e, conn);
}

static void serve(struct told *told)
{
    struct conduit_ctx *ctx = context(told);
    struct conduit_listener *listener;
    struct conduit_options options = {.ring_bytes = 16384};
    struct conduit_error err = {0};

    if (conduit_listen(ctx, URI, &options, accepted, told, &listener, &err) !=
        0) {
        (void)fprintf(stderr, "server: %s\n", err.text);
        fault(told, __LINE__, err.code);
        _exit(1);
    }
    atomic_store(&told->fds, t_fd_count());
    while (!atomic_load(&shared->stop) || atomic_load(&told->open) > 0) {
        conduit_loop_turn(conduit_ctx_loop(ctx), 20);
    }
    conduit_listener_close(listener);
    conduit_ctx_free(ctx);
    _exit(0);
}

struct client {
    struct end end;
    bool dialling;
};

/* While there is no server, or one that is being killed, a dial may fail; so it
 * may when the next one replaces the socket that was found. */
static void dialed(void *arg, struct conduit_dial *dial,
                   struct conduit_conn *conn, const struct conduit_error *err)
{
    struct client *c = arg;
    uint64_t number = c->end.in & ~TO_CLIENT;

    (void)dial;
    c->dialling = false;
    if (conn == NULL) {
        if (err->code != CONDUIT_EREFUSED && err->code != CONDUIT_ERESET &&
            err->code != CONDUIT_EPIPE && err->code != CONDUIT_ENOENT) {
            fault(c->end.told, __LINE__, err->code);
        }
        return;
    }
    if (conduit_conn_write(conn, &number, sizeof number) !=
        (long)sizeof number) {
        fault(c->end.told, __LINE__, 0);
    }
    begin(&c->end, conn);
}

static void dial(struct conduit_ctx *ctx, struct client *c)
{
    static uint64_t times;
    uint64_t number = ((uint64_t)getpid() << 24) + ++times;

    number = (number * CLIENTS + c->end.slot) & ~TO_CLIENT;
    c->end.out = number;
    c->end.in = number | TO_CLIENT;
    c->dialling = true;
    if (conduit_dial(ctx, URI, NULL, dialed, c, NULL, NULL) != 0) {
        fault(c->end.told, __LINE__, 0);
        _exit(1);
    }
}

static void be_client(struct told *told, unsigned slot)
{
    struct conduit_ctx *ctx = context(told);
    struct client c = {.end = {.told = told, .slot = slot}};

    atomic_store(&told->fds, t_fd_count());
    while (!atomic_load(&shared->stop)) {
        if (c.end.conn == NULL && !c.dialling) {
            dial(ctx, &c);
        }
        conduit_loop_turn(conduit_ctx_loop(ctx), c.end.conn != NULL ? 20 : 1);
    }
    conduit_conn_close(c.end.conn);
    conduit_loop_finish(conduit_ctx_loop(ctx));
    conduit_ctx_free(ctx);
    _exit(0);
}

/* ---- the driver --------------------------------------------------------- */

static void die(const char *what)
{
    (void)fprintf(stderr, "vchan_kill: %s\n", what);
    (void)signal(SIGTERM, SIG_IGN);
    (void)kill(0, SIGTERM); /* the group is our own */
    exit(1);
}

static void start(struct told *told, unsigned slot)
{
    pid_t pid;

    atomic_store(&told->fds, 0);
    atomic_store(&told->open, 0);
    atomic_store(&told->opened, 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        atomic_store(&told->received[i], 0);
    }
    pid = fork();
    if (pid < 0) {
        die("cannot fork");
    }
    if (pid == 0) {
        if (told == &shared->server) {
            serve(told);
        } else {
            be_client(told, slot);
        }
    }
    atomic_store(&told->pid, pid);
}

static void check(struct told *told, const char *who)
{
    if (atomic_load(&told->fault) != 0) {
        (void)fprintf(stderr, "%s: fault in line %d, code %d\n", who,
                      atomic_load(&told->fault), atomic_load(&told->code));
        die("a survivor did not end cleanly");
    }
}

static void check_all(void)
{
    check(&shared->server, "server");
    for (unsigned i = 0; i < CLIENTS; i++) {
        check(&shared->client[i], "client");
    }
}

static int count_lines(const char *path, const char *with)
{
    FILE *file = fopen(path, "re");
    char line[512];
    int n = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        n += strstr(line, with) != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return n;
}

static int count_files(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    while (dir != NULL && readdir(dir) != NULL) {
        n++;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

/* A socket a connection; a page, and two rings that are mapped twice. */
static bool has_only(struct told *told, int connections)
{
    int pid = atomic_load(&told->pid);
    char path[64];
    int fds;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    fds = count_files(path) + 1; /* t_fd_count() counts its own as well */
    (void)snprintf(path, sizeof path, "/proc/%d/maps", pid);
    return fds == atomic_load(&told->fds) + connections &&
           count_lines(path, "/memfd:conduit") == 5 * connections;
}

static bool is_loaded(const char *folder)
{
    struct told *server = &shared->server;

    for (unsigned i = 0; i < CLIENTS; i++) {
        if (atomic_load(&shared->client[i].received[i]) < LOADED ||
            atomic_load(&server->received[i]) < LOADED) {
            return false;
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (!has_only(&shared->client[i], 1)) {
            return false;
        }
    }
    return atomic_load(&server->open) == CLIENTS &&
           has_only(server, (int)CLIENTS) && count_files(folder) == 3;
}

static void nap(unsigned us)
{
    struct timespec ts = {0, (long)us * 1000};

    (void)nanosleep(&ts, NULL);
}

static void await_load(const char *folder)
{
    uint64_t until = t_ms() + WATCHDOG_MS;

    while (!is_loaded(folder)) {
        check_all();
        if (t_ms() > until) {
            (void)fprintf(stderr, "server: open %u fds %d\n",
                          atomic_load(&shared->server.open),
                          atomic_load(&shared->server.fds));
            for (unsigned i = 0; i < CLIENTS; i++) {
                (void)fprintf(stderr,
                              "client %u: open %u received %llu of it %llu\n",
                              i, atomic_load(&shared->client[i].open),
                              (unsigned long long)atomic_load(
                                  &shared->client[i].received[i]),
                              (unsigned long long)atomic_load(
                                  &shared->server.received[i]));
            }
            die("somebody hangs, or something is left");
        }
        nap(500);
    }
    check_all();
}

static void end_process(struct told *told, int sig)
{
    pid_t pid = atomic_load(&told->pid);
    uint64_t until = t_ms() + WATCHDOG_MS;
    int status = 0;
    pid_t got;

    if (sig != 0) {
        (void)kill(pid, sig);
    }
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 && t_ms() < until) {
        nap(200);
    }
    if (got != pid || (sig == 0 && status != 0) ||
        (sig != 0 && (!WIFSIGNALED(status) || WTERMSIG(status) != sig))) {
        die("a process does not end as it should");
    }
}

/* One time in three at whatever moment it is, handshakes included. */
static void kill_one(uint64_t *seed, const char *folder)
{
    unsigned slot = (unsigned)t_range(seed, 0, CLIENTS + 1);
    struct told *told = slot < CLIENTS ? &shared->client[slot]
                                       : &shared->server;

    if (t_range(seed, 0, 2) != 0) {
        await_load(folder);
    }
    nap((unsigned)t_range(seed, 0, 3000));
    end_process(told, SIGKILL);
    check_all();
    if (t_range(seed, 0, 1) != 0) {
        nap((unsigned)t_range(seed, 0, 3000));
    }
    start(told, slot);
}

/* Survivors were cut off so often, all together. */
static unsigned cuts(void)
{
    unsigned n = atomic_load(&shared->server.cut);

    for (unsigned i = 0; i < CLIENTS; i++) {
        n += atomic_load(&shared->client[i].cut);
    }
    return n;
}

static void finish(const char *folder)
{
    atomic_store(&shared->stop, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        end_process(&shared->client[i], 0);
    }
    end_process(&shared->server, 0);
    check_all();
    if (count_files(folder) != 2) {
        die("a file is left");
    }
}

int main(int argc, char **argv)
{
    unsigned long kills = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10)
                             : (uint64_t)getpid() + (uint64_t)time(NULL);

    if (kills == 0) {
        (void)fprintf(stderr, "usage: vchan_kill FOLDER KILLS [SEED]\n");
        return 2;
    }
    (void)printf("seed %llu\n", (unsigned long long)seed);
    (void)fflush(stdout);
    (void)setpgid(0, 0);
    (void)setenv("CONDUIT_RUNTIME_DIR", argv[1], 1);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        die("no memory");
    }
    start(&shared->server, 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        start(&shared->client[i], i);
    }
    for (unsigned long i = 0; i < kills; i++) {
        kill_one(&seed, argv[1]);
    }
    await_load(argv[1]);
    (void)printf("%lu killed, %u connections cut off\n", kills, cuts());
    if (cuts() < kills / 2) {
        die("too few were under load");
    }
    finish(argv[1]);
    return 0;
}
