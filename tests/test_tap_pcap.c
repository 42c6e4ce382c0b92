/* SPDX-License-Identifier: ISC */
/* pcap=FILE: what is in the file, and what happens when it cannot be written.
 */
#include "test_tap.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static uint8_t frame[1000];

static const char *file_in(struct t_env *env)
{
    static char path[100];

    (void)snprintf(path, sizeof path, "%s/frames", t_dir(env));
    return path;
}

static const char *with_pcap(const char *path)
{
    static char text[200];

    (void)snprintf(text, sizeof text, "direct,tap=" TAP ",pcap=%s", path);
    return text;
}

static size_t read_file(const char *path, uint8_t *buf, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    assert_true(fd >= 0);
    got = read(fd, buf, room);
    assert_true(got >= 0);
    (void)close(fd);
    return (size_t)got;
}

static uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* The next frame of the test in a capture, from *at on; its bytes. */
static const uint8_t *next_in(const uint8_t *file, size_t n, size_t *at,
                              size_t *size)
{
    while (*at + 16 <= n) {
        const uint8_t *head = file + *at;
        const uint8_t *data = head + 16;

        *size = word(head + 8);
        assert_int_equal(word(head + 12), *size);
        assert_in_range(word(head), time(NULL) - 100, time(NULL));
        assert_true(word(head + 4) < 1000000000);
        assert_true(*size >= 14 && *at + 16 + *size <= n);
        *at += 16 + *size;
        if (is_a_tests(data, *size)) {
            return data;
        }
    }
    assert_int_equal(*at, n);
    return NULL;
}

static void frames_of_both_ways_are_kept(void **state)
{
    static uint8_t file[65536];
    struct t_env *env = *state;
    const char *path = file_in(env);
    struct conduit_seg seg[2] = {{frame, 14}, {frame + 14, 586}};
    struct cdt_link *link;
    struct stat st;
    const uint8_t *data;
    size_t at = 24;
    size_t size;
    size_t n;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, with_pcap(path));
    peer = t_net_packet(TAP);
    make_frame(frame, 600, 1);
    assert_int_equal(link->ops->send(link, seg, 2, NULL), 0);
    make_frame(frame, 1000, 2);
    assert_int_equal(send(peer, frame, 1000, 0), 1000);
    T_UNTIL(env, stack.count == 1);
    (void)close(peer);
    link->ops->destroy(link);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    n = read_file(path, file, sizeof file);
    assert_true(n > 24);
    assert_int_equal(word(file), 0xa1b23c4d);
    assert_int_equal(word(file + 4), 2 | 4u << 16);
    assert_int_equal(word(file + 16), 262144);
    assert_int_equal(word(file + 20), 1);
    data = next_in(file, n, &at, &size);
    assert_non_null(data);
    assert_int_equal(size, 600);
    make_frame(frame, 600, 1);
    assert_memory_equal(data, frame, 600);
    data = next_in(file, n, &at, &size);
    assert_non_null(data);
    assert_int_equal(size, 1000);
    make_frame(frame, 1000, 2);
    assert_memory_equal(data, frame, 1000);
    assert_null(next_in(file, n, &at, &size));
}

/* Who looks at it meanwhile sees what came until a second ago. */
static void it_is_written_meanwhile(void **state)
{
    struct t_env *env = *state;
    const char *path = file_in(env);
    struct cdt_link *link;
    struct stat st;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, with_pcap(path));
    make_frame(frame, 1000, 1);
    assert_int_equal(send_frame(link, frame, 1000), 0);
    T_POLL(env, stat(path, &st) == 0 && st.st_size >= 24 + 16 + 1000);
    link->ops->destroy(link);
}

static void what_was_there_is_replaced(void **state)
{
    struct t_env *env = *state;
    const char *path = file_in(env);
    struct cdt_link *link;
    struct stat st;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 100000), 0);
    (void)close(fd);
    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, with_pcap(path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 24);
    link->ops->destroy(link);
}

static void the_disk_is_full(void **state)
{
    struct t_env *env = *state;
    const char *path = file_in(env);
    struct rlimit before;
    struct rlimit small;
    struct cdt_link *link;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, with_pcap(path));
    peer = t_net_packet(TAP);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 5000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    make_frame(frame, 1000, 1);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(send_frame(link, frame, 1000), 0);
        t_turn(env, 0);
    }
    assert_int_equal(send(peer, frame, 1000, 0), 1000);
    T_UNTIL(env, stack.count == 1);
    T_UNTIL(env, strstr(env->log, "nothing more is captured") != NULL);
    assert_null(strstr(strstr(env->log, "nothing more") + 1, "nothing more"));
    (void)close(peer);
    link->ops->destroy(link);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
}

static void a_file_cannot_be_made(void **state)
{
    struct t_env *env = *state;
    const char *path = file_in(env);

    t_net_tap(TAP, &(struct t_net_tap){0});
    tap_fails(env, "direct,tap=" TAP ",pcap=/none/of/it", CONDUIT_ENOENT,
              ENOENT, "pcap=/none/of/it: No such file");
    tap_fails(env, with_pcap(t_dir(env)), CONDUIT_EIO, EISDIR, "directory");
    tap_fails(env, "direct,tap=" TAP ",pcap=/dev/null", CONDUIT_EINVAL, 0,
              "pcap=/dev/null: it is no regular file");
    assert_int_equal(mkfifo(path, 0600), 0);
    tap_fails(env, with_pcap(path), CONDUIT_EIO, ENXIO, "pcap=");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP_TEST(frames_of_both_ways_are_kept),
        TAP_TEST(it_is_written_meanwhile),
        TAP_TEST(what_was_there_is_replaced),
        TAP_TEST(the_disk_is_full),
        TAP_TEST(a_file_cannot_be_made),
    };

    TAP_MAIN(tests);
}
