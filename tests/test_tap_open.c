/* SPDX-License-Identifier: ISC */
/* Getting a TAP: who may, what is wrong, its MTU and our address. */
#include "test_tap.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Whether this thread acts as one that may configure networks. */
static void may_configure(bool may)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    uint32_t bit = 1u << CAP_NET_ADMIN;

    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    data[0].effective = may ? data[0].effective | bit
                            : data[0].effective & ~bit;
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

/* ---- who may --------------------------------------------------------------
 */

static void its_owner_needs_no_capability(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    may_configure(false);
    link = open_tap(env, "direct,tap=" TAP);
    assert_true(link->gso);
    link->ops->destroy(link);
    link = open_tap(env, "direct,tap=" TAP ",offload=off,mtu=1500");
    link->ops->destroy(link);
    tap_fails(env, "direct,tap=" TAP ",mtu=9000", CONDUIT_EACCESS, EPERM,
              "mtu=9000: " TAP " has 1500, and to change that needs "
              "CAP_NET_ADMIN; as root: ip link set dev " TAP " mtu 9000");
    assert_int_equal(t_net_queue(TAP), 1000);
    tap_fails(env, "direct,tap=" TAP ",txqueuelen=2000", CONDUIT_EACCESS, EPERM,
              "txqueuelen=2000: " TAP " has 1000, and to change that needs "
              "CAP_NET_ADMIN; as root: ip link set dev " TAP
              " txqueuelen 2000");
    may_configure(true);
}

static void it_is_another_users(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){.owner = 12345});
    may_configure(false);
    tap_fails(env, "direct,tap=" TAP, CONDUIT_EACCESS, EPERM,
              TAP " is not this user's TAP, which needs CAP_NET_ADMIN; as "
                  "root: ip tuntap del dev " TAP " mode tap, then: ip tuntap "
                  "add dev " TAP " mode tap user NAME");
    may_configure(true);
    link = open_tap(env, "direct,tap=" TAP);
    link->ops->destroy(link);
}

static void it_is_not_there(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    may_configure(false);
    tap_fails(env, "direct,tap=" TAP, CONDUIT_EACCESS, EPERM,
              "there is no " TAP ", and making it needs CAP_NET_ADMIN; as "
              "root: ip tuntap add dev " TAP " mode tap user NAME");
    may_configure(true);
    assert_int_equal(if_nametoindex(TAP), 0);
    link = open_tap(env, "direct,tap=" TAP);
    assert_non_null(strstr(env->log, "made " TAP));
    assert_int_not_equal(if_nametoindex(TAP), 0);
    T_UNTIL(env, stack.links == 1);
    assert_false(stack.up);
    link->ops->destroy(link);
    T_POLL(env, if_nametoindex(TAP) == 0);
}

static void the_device_may_not_be_opened(void **state)
{
    struct t_env *env = *state;
    struct stat st;

    assert_int_equal(stat("/dev/net/tun", &st), 0);
    if (geteuid() != 0 || (st.st_mode & 06) != 0) {
        print_message("everybody may open /dev/net/tun here\n");
        skip();
    }
    assert_int_equal(seteuid(65534), 0);
    tap_fails(env, "direct,tap=" TAP, CONDUIT_EACCESS, EACCES,
              "this user may not open /dev/net/tun; as root: chmod 666");
    assert_int_equal(seteuid(0), 0);
}

/* In a view of files of our own, which ends with the process. */
static void there_is_no_device(void **state)
{
    struct t_env *env = *state;

    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev/net", "tmpfs", 0, NULL) != 0) {
        print_message("no view of files of its own: %s\n", strerror(errno));
        skip();
    }
    tap_fails(env, "direct,tap=" TAP, CONDUIT_ENOENT, ENOENT,
              "no /dev/net/tun here; as root: modprobe tun");
    assert_int_equal(umount("/dev/net"), 0);
}

/* ---- what is wrong with it ------------------------------------------------
 */

static void another_process_has_it(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    tap_fails(env, "direct,tap=" TAP, CONDUIT_EADDRINUSE, EBUSY,
              "another process has the TAP " TAP);
    link->ops->destroy(link);
    link = open_tap(env, "direct,tap=" TAP);
    link->ops->destroy(link);
}

static void it_is_of_another_kind(void **state)
{
    struct t_env *env = *state;

    t_net_tap(TAP, &(struct t_net_tap){.multi_queue = true});
    tap_fails(env, "direct,tap=" TAP, CONDUIT_EINVAL, EINVAL,
              TAP " exists, but is no TAP, or one with multi_queue");
    tap_fails(env, "direct,tap=lo", CONDUIT_EINVAL, EINVAL,
              "lo exists, but is no TAP");
}

static void memory_fails(void **state)
{
    struct t_env *env = *state;
    size_t fds = (size_t)t_fd_count();
    char dir[100];

    t_net_tap(TAP, &(struct t_net_tap){0});
    (void)snprintf(dir, sizeof dir, "direct,tap=" TAP ",pcap=%s/f", t_dir(env));
    for (size_t n = 1; n <= 2; n++) {
        env->mem.fail_at = env->mem.calls + n;
        tap_fails(env, dir, CONDUIT_ENOMEM, 0, "out of memory");
        assert_int_equal(t_fd_count(), fds);
    }
    env->mem.fail_at = 0;
}

/* ---- its MTU, our address -------------------------------------------------
 */

static void the_mtu_is_the_interfaces_or_sets_it(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){.mtu = 1400});
    link = open_tap(env, "direct,tap=" TAP);
    assert_int_equal(link->mtu, 1400);
    link->ops->destroy(link);
    link = open_tap(env, "direct,tap=" TAP ",mtu=9000");
    assert_int_equal(link->mtu, 9000);
    assert_int_equal(t_net_mtu(TAP), 9000);
    link->ops->destroy(link);
    tap_fails(env, "direct,tap=" TAP ",mtu=65535", CONDUIT_EINVAL, EINVAL,
              "mtu=65535: " TAP " has 9000, and cannot be changed");
    assert_int_equal(t_net_mtu(TAP), 9000);
    t_net_delete(TAP);
    t_net_tap(TAP, &(struct t_net_tap){.mtu = 1279});
    tap_fails(env, "direct,tap=" TAP, CONDUIT_EINVAL, 0,
              "has an MTU of 1279, and 1280 is the least");
}

/* Opened as `text` says, the TAP has room for so many frames. */
static void queue_is(struct t_env *env, const char *text, unsigned frames)
{
    struct cdt_link *link = open_tap(env, text);

    assert_int_equal(t_net_queue(TAP), frames);
    link->ops->destroy(link);
}

static void its_queue_is_long_or_as_asked(void **state)
{
    struct t_env *env = *state;

    t_net_tap(TAP, &(struct t_net_tap){0});
    assert_int_equal(t_net_queue(TAP), 1000);
    queue_is(env, "direct,tap=" TAP, 16384);
    queue_is(env, "direct,tap=" TAP ",txqueuelen=20000", 20000);
    queue_is(env, "direct,tap=" TAP, 20000);
    queue_is(env, "direct,tap=" TAP ",txqueuelen=50", 50);
}

static void the_address_is_given_or_random(void **state)
{
    static const uint8_t given[6] = {2, 0, 0, 0, 0, 0xab};
    struct t_env *env = *state;
    struct cdt_link *link;
    uint8_t first[6];

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP ",mac=02:00:00:00:00:ab");
    assert_memory_equal(link->mac, given, 6);
    link->ops->destroy(link);
    link = open_tap(env, "direct,tap=" TAP);
    memcpy(first, link->mac, 6);
    assert_int_equal(first[0] & 3, 2);
    link->ops->destroy(link);
    link = open_tap(env, "direct,tap=" TAP);
    assert_memory_not_equal(link->mac, first, 6);
    link->ops->destroy(link);
}

static void the_address_is_not_the_kernels(void **state)
{
    struct t_env *env = *state;
    struct ifreq request = {.ifr_name = TAP};
    const uint8_t *mac = (uint8_t *)request.ifr_hwaddr.sa_data;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[100];

    assert_true(fd >= 0);
    t_net_tap(TAP, &(struct t_net_tap){0});
    assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
    (void)close(fd);
    (void)snprintf(text, sizeof text,
                   "direct,tap=" TAP ",mac=%02x:%02x:%02x:%02x:%02x:%02x",
                   mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    tap_fails(env, text, CONDUIT_EINVAL, 0, "mac= is the address of " TAP);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP_TEST(its_owner_needs_no_capability),
        TAP_TEST(it_is_another_users),
        TAP_TEST(it_is_not_there),
        TAP_TEST(the_device_may_not_be_opened),
        TAP_TEST(there_is_no_device),
        TAP_TEST(another_process_has_it),
        TAP_TEST(it_is_of_another_kind),
        TAP_TEST(memory_fails),
        TAP_TEST(the_mtu_is_the_interfaces_or_sets_it),
        TAP_TEST(its_queue_is_long_or_as_asked),
        TAP_TEST(the_address_is_given_or_random),
        TAP_TEST(the_address_is_not_the_kernels),
    };

    TAP_MAIN(tests);
}
