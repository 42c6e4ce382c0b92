/* SPDX-License-Identifier: ISC */
/*
 * bad_wire NET DEVICE NET DEVICE [KIND=VALUE]...
 *
 * A wire between two TAPs that are there already, each in a network namespace
 * of `ip netns`, which treats frames badly: the same way each time for the same
 * frames, and on kernels without netem. Prints a line once frames pass, and
 * runs until it is killed.
 *
 *   loss=P duplicate=P corrupt=P   percent of the frames; corrupt flips a bit
 *   reorder=P                      so many come `late` milliseconds later
 *   late=MS delay=MS               delay is for all frames
 *   mtu=N                          larger packets vanish
 *   bucket=BYTES                   more than that in 50 ms vanishes, of either
 *   after=BYTES                    direction, once so many have passed
 *   seed=N
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ETHERNET 14u
#define FRAME_MAX (65535u + ETHERNET)

/* Beyond so many a queue drops, as those of real wires do. */
#define QUEUE_MAX 4000u

/* What a bucket is filled in. */
#define BUCKET_MS 50u

enum {
    LOSS,
    DUPLICATE,
    CORRUPT,
    REORDER,
    LATE,
    DELAY,
    MTU,
    BUCKET,
    AFTER,
    SEED,
    KINDS
};

static const char *const kinds[KINDS] = {
    "loss",  "duplicate", "corrupt", "reorder", "late",
    "delay", "mtu",       "bucket",  "after",   "seed"};

static unsigned long set[KINDS] = {
    [LATE] = 5, [MTU] = FRAME_MAX, [BUCKET] = -1ul, [SEED] = 1};

struct frame {
    struct frame *next;
    uint64_t due; /* ms */
    int to;
    size_t size;
    uint8_t data[];
};

static struct frame *queue; /* by `due` */
static unsigned queued;

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bad_wire: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Knuth's, of 64 bits; the high bits are the better ones. */
static unsigned random_below(unsigned n)
{
    static uint64_t state;

    if (state == 0) {
        state = set[SEED];
    }
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % n);
}

static int happens(int kind)
{
    return random_below(100) < set[kind];
}

static int open_tap(const char *net, const char *device)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    char path[256];
    int fd;

    (void)snprintf(path, sizeof path, "/run/netns/%s", net);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
        die(path);
    }
    (void)close(fd);
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
        die(device);
    }
    return fd;
}

static void deliver(int to, const uint8_t *data, size_t size)
{
    while (write(to, data, size) < 0 && errno == EINTR) {
    }
}

static void enqueue(int to, const uint8_t *data, size_t size, uint64_t due)
{
    struct frame **at = &queue;
    struct frame *f;

    if (queued == QUEUE_MAX || (f = malloc(sizeof *f + size)) == NULL) {
        return;
    }
    f->due = due;
    f->to = to;
    f->size = size;
    memcpy(f->data, data, size);
    while (*at != NULL && (*at)->due <= due) {
        at = &(*at)->next;
    }
    f->next = *at;
    *at = f;
    queued++;
}

static void deliver_due(uint64_t now)
{
    while (queue != NULL && queue->due <= now) {
        struct frame *f = queue;

        queue = f->next;
        queued--;
        deliver(f->to, f->data, f->size);
        free(f);
    }
}

/* Whether the bucket of a direction has room for a frame. */
static int is_let_through(int to, size_t size, uint64_t now)
{
    static struct {
        uint64_t emptied;
        unsigned long used;
        unsigned long passed;
        int to;
    } buckets[2];
    int i = buckets[0].to == 0 || buckets[0].to == to ? 0 : 1;

    buckets[i].to = to;
    if (now - buckets[i].emptied >= BUCKET_MS) {
        buckets[i].emptied = now;
        buckets[i].used = 0;
    }
    if (buckets[i].passed < set[AFTER]) {
        buckets[i].passed += size;
        return 1;
    }
    if (size > set[BUCKET] - buckets[i].used) {
        return 0;
    }
    buckets[i].used += size;
    return 1;
}

static void pass(int to, uint8_t *data, size_t size, uint64_t now)
{
    uint64_t due = now + set[DELAY];

    if (size > set[MTU] + ETHERNET || !is_let_through(to, size, now) ||
        happens(LOSS)) {
        return;
    }
    if (happens(DUPLICATE)) {
        enqueue(to, data, size, due);
    }
    if (happens(REORDER)) {
        due += set[LATE];
    }
    if (happens(CORRUPT)) {
        data[random_below((unsigned)size)] ^= (uint8_t)(1u << random_below(8));
    }
    if (due == now) {
        deliver(to, data, size);
    } else {
        enqueue(to, data, size, due);
    }
}

/* A device that is down answers with an error, and is asked again later. */
static void take(int from, int to)
{
    static uint8_t data[FRAME_MAX];
    uint64_t now = now_ms();
    ssize_t n;

    while ((n = read(from, data, sizeof data)) > 0) {
        pass(to, data, (size_t)n, now);
    }
}

static int timeout(void)
{
    uint64_t now = now_ms();

    if (queue == NULL) {
        return -1;
    }
    return queue->due > now ? (int)(queue->due - now) : 0;
}

static void choose(const char *word)
{
    for (int i = 0; i < KINDS; i++) {
        size_t n = strlen(kinds[i]);

        if (strncmp(word, kinds[i], n) == 0 && word[n] == '=') {
            set[i] = strtoul(word + n + 1, NULL, 10);
            return;
        }
    }
    errno = EINVAL;
    die(word);
}

int main(int argc, char **argv)
{
    struct pollfd ends[2] = {{.events = POLLIN}, {.events = POLLIN}};

    if (argc < 5) {
        (void)fprintf(
            stderr, "usage: bad_wire NET DEVICE NET DEVICE [KIND=VALUE]...\n");
        return 2;
    }
    for (int i = 5; i < argc; i++) {
        choose(argv[i]);
    }
    ends[0].fd = open_tap(argv[1], argv[2]);
    ends[1].fd = open_tap(argv[3], argv[4]);
    (void)printf("ready\n");
    (void)fflush(stdout);
    for (;;) {
        if (poll(ends, 2, timeout()) < 0 && errno != EINTR) {
            die("poll");
        }
        deliver_due(now_ms());
        for (int i = 0; i < 2; i++) {
            if ((ends[i].revents & POLLIN) != 0) {
                take(ends[i].fd, ends[1 - i].fd);
            }
        }
    }
}
