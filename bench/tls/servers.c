/* SPDX-License-Identifier: ISC */
/*
 * The servers that are compared: programs, each on the first CPU alone. Ours is
 * this one, run anew, so that its memory is no one else's.
 */
#include "tls.h"

#include <conduit/conduit.h>
#include <conduit/unix.h>

#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- processes ---- */

static int bind_any(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
        bench_die("no port");
    }
    *port = ntohs(at.sin_port);
    return fd;
}

static pid_t child(int cpu)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        bench_pin(cpu);
    }
    return pid;
}

void tls_stop(struct tls_server *server)
{
    (void)kill(server->pid, SIGKILL);
    (void)waitpid(server->pid, NULL, 0);
}

/* Until somebody listens there. */
static void await(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (int i = 0; i < 1000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int rc = connect(fd, (struct sockaddr *)&to, sizeof to);

        (void)close(fd);
        if (rc == 0) {
            return;
        }
        (void)usleep(10000);
    }
    bench_die("a server does not start");
}

double tls_cpu(const struct tls_server *server)
{
    char path[64];
    double ns = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/schedstat", (int)server->pid);
    file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%lf", &ns) != 1) {
        bench_die("no /proc/PID/schedstat");
    }
    (void)fclose(file);
    return ns / 1e9;
}

double tls_resident(const struct tls_server *server)
{
    char path[64];
    double all = 0;
    double resident = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)server->pid);
    file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%lf %lf", &all, &resident) != 2) {
        bench_die("no /proc/PID/statm");
    }
    (void)fclose(file);
    return resident * (double)sysconf(_SC_PAGESIZE);
}

/* ---- nginx ---- */

static const char common[] = /* one process; nothing is written while it runs */
    "daemon off; master_process off; worker_processes 1; user root;\n"
    "pid %s; error_log %s crit;\n"
    "events { worker_connections 16384; }\n";

static const char modules[] = "/usr/lib/nginx/modules/ngx_stream_module.so";

static struct tls_server run_nginx(uint16_t port)
{
    struct tls_server server = {.port = port};

    server.pid = child(0);
    if (server.pid == 0) {
        (void)execlp("nginx", "nginx", "-p", tls_folder(), "-c",
                     tls_file("nginx.conf"), "-e", tls_file("log"),
                     (char *)NULL);
        _exit(1);
    }
    await(port);
    return server;
}

static FILE *configure(uint16_t *port)
{
    FILE *file = fopen(tls_file("nginx.conf"), "wb");
    int fd = bind_any(port);

    (void)close(fd);
    if (file == NULL) {
        bench_die("no nginx.conf");
    }
    return file;
}

static struct tls_server serve_nginx(const char *cert, const char *key)
{
    uint16_t port;
    FILE *file = configure(&port);

    (void)fprintf(file, common, tls_file("pid"), tls_file("log"));
    (void)fprintf(
        file,
        "http { access_log off; tcp_nodelay on; keepalive_requests 100000000;\n"
        "keepalive_timeout 600s; open_file_cache max=10; root %s;\n"
        "output_buffers 2 256k;\n"
        "server { listen 127.0.0.1:%u ssl backlog=1024;\n"
        "ssl_certificate %s; ssl_certificate_key %s;\n"
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:8m; } }\n",
        tls_folder(), port, cert, key);
    (void)fclose(file);
    return run_nginx(port);
}

static struct tls_server relay_nginx(uint16_t to)
{
    uint16_t port;
    FILE *file = configure(&port);

    (void)fprintf(file, "load_module %s;\n", modules);
    (void)fprintf(file, common, tls_file("pid"), tls_file("log"));
    (void)fprintf(file,
                  "stream { server { listen 127.0.0.1:%u ssl;\n"
                  "ssl_certificate %s; ssl_certificate_key %s;\n"
                  "ssl_protocols TLSv1.2 TLSv1.3;\n"
                  "proxy_pass 127.0.0.1:%u; } }\n",
                  port, tls_file("ec.pem"), tls_file("ec.key"), to);
    (void)fclose(file);
    return run_nginx(port);
}

/* ---- conduit ---- */

static char *read_file(const char *name, size_t size)
{
    FILE *file = fopen(tls_file(name), "rb");
    char *data = malloc(size);

    if (file == NULL || fread(data, 1, size, file) != size) {
        bench_die("cannot read a body");
    }
    (void)fclose(file);
    return data;
}

/* ARGUMENTS: engine, certificate, key, descriptor of the listener. */
static int run_conduit(char **argv)
{
    const struct conduit_asset files[] = {
        {"/body", "text/plain", "\"1\"", read_file("body", BODY_SIZE),
         BODY_SIZE},
        {"/small", "text/plain", "\"2\"", read_file("small", SMALL_SIZE),
         SMALL_SIZE}};
    const struct conduit_assets assets = {files, 2};
    struct conduit_tls_identity self = {.chain.name = argv[1],
                                        .key.name = argv[2]};
    struct conduit_tls_options options = {
        .engine = argv[0], .identities = &self, .identity_count = 1};
    struct conduit_http_options http = {.idle_ms = 600000};
    struct conduit_http_server *server;
    struct conduit_error err = {.text = "no context"};
    struct conduit_ctx *ctx;
    struct conduit_tls *tls;
    char uri[64];

    (void)snprintf(uri, sizeof uri, "http+tls+fd://%s", argv[3]);
    if (conduit_unix_new(NULL, NULL, &ctx, &err) != 0 ||
        conduit_register_all(ctx) != 0 ||
        conduit_tls_new(ctx, &options, &tls, &err) != 0) {
        bench_die(err.text);
    }
    conduit_tls_set_default(ctx, tls);
    if (conduit_http_server_new(ctx, &http, &server, &err) != 0 ||
        conduit_http_route_assets(server, "/", &assets, &err) != 0 ||
        conduit_http_server_listen(server, uri, NULL, &err) != 0) {
        bench_die(err.text);
    }
    return conduit_loop_run(conduit_ctx_loop(ctx));
}

int tls_server_main(char **argv)
{
    if (strcmp(argv[0], "bare") == 0) {
        tls_bare_run(atoi(argv[3]));
    }
    return run_conduit(argv);
}

static const char *const names[] = {[TLS_CONDUIT_OPENSSL] = "openssl",
                                    [TLS_CONDUIT_BEARSSL] = "bearssl",
                                    [TLS_BARE_BEARSSL] = "bare"};

struct tls_server tls_serve(enum tls_kind kind, enum tls_key key_kind)
{
    const char *cert = tls_file(key_kind == TLS_KEY_EC ? "ec.pem" : "rsa.pem");
    const char *key = tls_file(key_kind == TLS_KEY_EC ? "ec.key" : "rsa.key");
    struct tls_server server;
    char number[16];
    int listener;

    if (kind == TLS_NGINX) {
        return serve_nginx(cert, key);
    }
    listener = bind_any(&server.port);
    if (listen(listener, 1024) != 0) {
        bench_die("cannot listen");
    }
    (void)snprintf(number, sizeof number, "%d", listener);
    server.pid = child(0);
    if (server.pid == 0) {
        (void)execl("/proc/self/exe", "bench_tls", tls_folder(), names[kind],
                    cert, key, number, (char *)NULL);
        _exit(1);
    }
    (void)close(listener);
    return server;
}

/* The command, from the folder of this program. */
static struct tls_server relay_conduit(enum tls_kind kind, uint16_t to)
{
    struct tls_server server = {0};
    char self[256] = "";
    char from_uri[64];
    char to_uri[64];
    char program[300];
    int fd;

    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) {
        bench_die("no /proc/self/exe");
    }
    (void)snprintf(program, sizeof program, "%s/conduit", dirname(self));
    fd = bind_any(&server.port);
    if (listen(fd, 16) != 0) {
        bench_die("cannot listen");
    }
    (void)snprintf(from_uri, sizeof from_uri, "tls+fd://%d", fd);
    (void)snprintf(to_uri, sizeof to_uri, "tcp://127.0.0.1:%u", to);
    server.pid = child(0);
    if (server.pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        (void)dup2(null, STDOUT_FILENO);
        (void)setenv("CONDUIT_TLS", names[kind], 1);
        (void)execl(program, program, "relay", "--cert", tls_file("ec.pem"),
                    "--key", tls_file("ec.key"), from_uri, to_uri,
                    (char *)NULL);
        _exit(1);
    }
    (void)close(fd);
    return server;
}

struct tls_server tls_relay(enum tls_kind kind, uint16_t port)
{
    return kind == TLS_NGINX ? relay_nginx(port) : relay_conduit(kind, port);
}

/* ---- behind a relay ---- */

static void pour_into(int fd)
{
    static char buf[65536];

    while (send(fd, buf, sizeof buf, MSG_NOSIGNAL) > 0) {
    }
}

static void take_from(int fd)
{
    static char buf[65536];
    long left = RELAY_SIZE;
    long n;

    while (left > 0 && (n = recv(fd, buf, sizeof buf, 0)) > 0) {
        left -= n;
    }
    (void)send(fd, buf, 1, MSG_NOSIGNAL);
    (void)recv(fd, buf, 1, 0); /* until the relay has had enough */
}

struct tls_server tls_pour(bool pour)
{
    struct tls_server server;
    int listener = bind_any(&server.port);

    if (listen(listener, 16) != 0) {
        bench_die("cannot listen");
    }
    server.pid = child(1);
    while (server.pid == 0) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            _exit(1);
        }
        if (pour) {
            pour_into(fd);
        } else {
            take_from(fd);
        }
        (void)close(fd);
    }
    (void)close(listener);
    return server;
}
