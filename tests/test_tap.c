/* SPDX-License-Identifier: ISC */
/* Frames to and from a TAP, and what the device is left to do for them. */
#include "test_tap.h"

#include <linux/if_packet.h>
#include <linux/virtio_net.h>

#define VNET sizeof(struct virtio_net_hdr)
#define V4 34u /* where TCP begins */
#define V6 54u

static const uint8_t own[6] = {2, 0, 0, 0, 0, 2};

static uint8_t frame[CDT_FRAME_ROOM + 100];
static uint8_t got[CDT_FRAME_ROOM + 100];

/* ---- whole frames -------------------------------------------------------- */

static void frames_go_out(void **state)
{
    static const char *const texts[] = {"direct,tap=" TAP,
                                        "direct,tap=" TAP ",offload=off"};
    struct t_env *env = *state;

    t_net_tap(TAP, &(struct t_net_tap){0});
    for (size_t i = 0; i < 2; i++) {
        struct cdt_link *link = open_tap(env, texts[i]);
        int peer = t_net_packet(TAP);

        for (size_t n = 14; n <= 1514; n += 150) {
            make_frame(frame, n, n);
            assert_int_equal(send_frame(link, frame, n), 0);
            assert_int_equal(next_frame(peer, got, sizeof got, 0), n);
            assert_memory_equal(frame, got, n);
        }
        (void)close(peer);
        link->ops->destroy(link);
    }
}

static void frames_come_in(void **state)
{
    static const char *const texts[] = {"direct,tap=" TAP,
                                        "direct,tap=" TAP ",offload=off"};
    struct t_env *env = *state;

    t_net_tap(TAP, &(struct t_net_tap){0});
    for (size_t i = 0; i < 2; i++) {
        struct cdt_link *link = open_tap(env, texts[i]);
        int peer = t_net_packet(TAP);
        unsigned count = 0;

        for (size_t n = 15; n <= 1514; n += 1499 / 10) {
            make_frame(frame, n, n);
            assert_int_equal(send(peer, frame, n, 0), n);
            count++;
            T_UNTIL(env, stack.count == count);
            assert_int_equal(stack.size, n);
            assert_memory_equal(stack.last, frame, n);
            assert_false(stack.offload.partial);
            assert_int_equal(stack.offload.gso, 0);
        }
        assert_false(stack.out);
        (void)close(peer);
        link->ops->destroy(link);
    }
}

/* More than are read in one wake-up, and in their order. */
static void many_frames_come_in(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    peer = t_net_packet(TAP);
    for (unsigned i = 0; i < 200; i++) {
        make_frame(frame, 100, i);
        assert_int_equal(send(peer, frame, 100, 0), 100);
    }
    T_UNTIL(env, stack.count == 200);
    assert_memory_equal(stack.last, frame, 100);
    (void)close(peer);
    link->ops->destroy(link);
}

static void a_frame_has_any_number_of_segments(void **state)
{
    static const unsigned counts[] = {1, 2, 127, 128, 129, 130, 131, 500, 1400};
    static struct conduit_seg seg[1500];
    struct t_env *env = *state;
    struct cdt_link *link;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    peer = t_net_packet(TAP);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        unsigned count = counts[i];

        make_frame(frame, 1414, count);
        seg[0] = (struct conduit_seg){frame, 1414 - (count - 1)};
        for (unsigned k = 1; k < count; k++) {
            seg[k] = (struct conduit_seg){frame + 1414 - count + k, 1};
        }
        seg[count] = (struct conduit_seg){NULL, 0};
        assert_int_equal(link->ops->send(link, seg, count + 1, NULL), 0);
        assert_int_equal(next_frame(peer, got, sizeof got, 0), 1414);
        assert_memory_equal(frame, got, 1414);
    }
    (void)close(peer);
    link->ops->destroy(link);
}

static void memory_fails_while_segments_are_merged(void **state)
{
    static struct conduit_seg seg[200];
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    make_frame(frame, 200, 1);
    for (unsigned i = 0; i < 200; i++) {
        seg[i] = (struct conduit_seg){frame + i, 1};
    }
    env->mem.fail_at = env->mem.calls + 1;
    assert_int_equal(link->ops->send(link, seg, 200, NULL), CONDUIT_AGAIN);
    assert_int_equal(link->ops->send(link, seg, 200, NULL), 0);
    link->ops->destroy(link);
}

static void what_cannot_be_sent_is_refused(void **state)
{
    struct cdt_offload partial = {.partial = true, .start = 34, .offset = 6};
    struct cdt_offload large = {.partial = true,
                                .gso = 4,
                                .gso_size = 1460,
                                .header_size = 54,
                                .start = 34,
                                .offset = 16};
    struct conduit_seg seg = {frame, 100};
    struct t_env *env = *state;
    struct cdt_link *link;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP ",offload=off");
    make_frame(frame, sizeof frame, 1);
    assert_false(link->checksums);
    assert_false(link->gso);
    assert_int_equal(link->ops->send(link, &seg, 1, &partial), CONDUIT_EINVAL);
    assert_int_equal(link->ops->send(link, &seg, 1, &large), CONDUIT_EINVAL);
    assert_int_equal(link->ops->send(link, &seg, 0, NULL), CONDUIT_EINVAL);
    assert_int_equal(send_frame(link, frame, 13), CONDUIT_EINVAL);
    assert_int_equal(send_frame(link, frame, CDT_FRAME_ROOM + 1),
                     CONDUIT_EINVAL);
    assert_int_equal(send_frame(link, frame, 14), 0);
    link->ops->destroy(link);
}

/* The interface's MTU was raised behind our back. */
static void frames_that_are_too_long_are_dropped(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){.mtu = 1600});
    link = open_tap(env, "direct,tap=" TAP ",offload=off");
    stack.frame.room = 1514;
    peer = t_net_packet(TAP);
    make_frame(frame, 1600, 1);
    for (size_t n = 1512; n <= 1600; n++) {
        assert_int_equal(send(peer, frame, n, 0), n);
    }
    make_frame(frame, 60, 2);
    assert_int_equal(send(peer, frame, 60, 0), 60);
    T_UNTIL(env, stack.size == 60);
    assert_int_equal(stack.count, 4);
    assert_false(stack.out);
    (void)close(peer);
    link->ops->destroy(link);
}

/* ---- a stack without room ------------------------------------------------ */

static void without_room_nothing_spins(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;
    unsigned asked;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    peer = t_net_packet(TAP);
    for (unsigned round = 0; round < 3; round++) {
        stack.full = true;
        stack.asked = 0;
        stack.count = 0;
        for (unsigned i = 0; i < 20; i++) {
            make_frame(frame, 100, i);
            assert_int_equal(send(peer, frame, 100, 0), 100);
        }
        T_UNTIL(env, stack.asked > 0);
        assert_true(t_turns_in(env, 200) < 80);
        assert_true(stack.asked < 40);
        asked = stack.asked;
        T_UNTIL(env, stack.asked > asked); /* it does go on asking */
        assert_int_equal(stack.count, 0);
        stack.full = false;
        T_UNTIL(env, stack.count == 20);
        assert_memory_equal(stack.last, frame, 100);
    }
    stack.full = true;
    assert_int_equal(send(peer, frame, 100, 0), 100);
    asked = stack.asked;
    T_UNTIL(env, stack.asked > asked);
    (void)close(peer);
    link->ops->destroy(link); /* while it waits */
}

/* ---- offload ------------------------------------------------------------- */

/* A TCP segment of `size` bytes without its checksum; the frame's bytes. */
static size_t make_segment(uint8_t version, size_t size, size_t options)
{
    static const uint8_t ip4[20] = {0x45, 0, 0,  0, 0, 0, 0x40, 0, 64, 6,
                                    0,    0, 10, 0, 0, 1, 10,   0, 0,  2};
    uint8_t *ip = frame + 14;
    uint8_t *tcp = frame + (version == 4 ? V4 : V6);
    size_t n = (size_t)(tcp - frame) + 20 + options + size;
    size_t length = n - (version == 4 ? 14 : V6);

    make_frame(frame, n, size);
    memcpy(frame, own, 6);
    frame[12] = version == 4 ? 0x08 : 0x86;
    frame[13] = version == 4 ? 0x00 : 0xdd;
    if (version == 4) {
        uint32_t sum = 0;

        memcpy(ip, ip4, sizeof ip4);
        ip[2] = (uint8_t)(length >> 8);
        ip[3] = (uint8_t)length;
        for (size_t i = 0; i < 20; i += 2) {
            sum += (uint32_t)ip[i] << 8 | ip[i + 1];
        }
        sum = ~((sum & 0xffff) + (sum >> 16));
        ip[10] = (uint8_t)(sum >> 8);
        ip[11] = (uint8_t)sum;
    } else {
        memset(ip, 0, 40);
        ip[0] = 0x60;
        ip[4] = (uint8_t)(length >> 8);
        ip[5] = (uint8_t)length;
        ip[6] = 6;
        ip[7] = 64;
        ip[8] = ip[24] = 0xfd;
        ip[23] = 1;
        ip[39] = 2;
    }
    memset(tcp, 1, 20 + options); /* NOPs */
    tcp[12] = (uint8_t)((20 + options) / 4 << 4);
    tcp[13] = 0x10;
    return n;
}

static int vnet_socket(void)
{
    int fd = t_net_packet(TAP);
    int one = 1;

    assert_int_equal(
        setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one), 0);
    return fd;
}

static void send_large(int fd, const struct virtio_net_hdr *header, size_t n)
{
    struct iovec iov[2] = {{(void *)header, VNET}, {frame, n}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t sent = sendmsg(fd, &msg, 0);

    if (sent != (ssize_t)(VNET + n)) {
        fail_msg("sent %zd: %s", sent, strerror(errno));
    }
}

static void large_segments_go_out(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    assert_true(link->checksums);
    assert_true(link->gso);
    peer = vnet_socket();
    for (uint8_t version = 4; version <= 6; version += 2) {
        uint16_t start = version == 4 ? V4 : V6;
        size_t n = make_segment(version, 50000, 12);
        struct cdt_offload offload = {.partial = true,
                                      .gso = version,
                                      .gso_size = 1400,
                                      .header_size = (uint16_t)(start + 32),
                                      .start = start,
                                      .offset = 16};
        struct conduit_seg seg[2] = {{frame, 66}, {frame + 66, n - 66}};
        struct virtio_net_hdr header;

        assert_int_equal(link->ops->send(link, seg, 2, &offload), 0);
        assert_int_equal(next_frame(peer, got, sizeof got, VNET), VNET + n);
        memcpy(&header, got, VNET);
        assert_int_equal(header.gso_type, version == 4
                                              ? VIRTIO_NET_HDR_GSO_TCPV4
                                              : VIRTIO_NET_HDR_GSO_TCPV6);
        assert_int_equal(header.gso_size, 1400);
        assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
        assert_int_equal(header.csum_start, start);
        assert_int_equal(header.csum_offset, 16);
        assert_memory_equal(got + VNET, frame, n);
    }
    (void)close(peer);
    link->ops->destroy(link);
}

static void large_segments_come_in(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;
    unsigned count = 0;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    peer = vnet_socket();
    for (uint8_t version = 4; version <= 6; version += 2) {
        for (size_t options = 0; options <= 40; options += 20) {
            uint16_t start = version == 4 ? V4 : V6;
            size_t n = make_segment(version, 60000, options);
            struct virtio_net_hdr header = {
                .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                .gso_type = version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
                                         : VIRTIO_NET_HDR_GSO_TCPV6,
                .hdr_len = (uint16_t)(start + 20 + options),
                .gso_size = 1440,
                .csum_start = start,
                .csum_offset = 16,
            };

            send_large(peer, &header, n);
            count++;
            T_UNTIL(env, stack.count == count);
            assert_int_equal(stack.size, n);
            assert_memory_equal(stack.last, frame, n);
            assert_true(stack.offload.partial);
            assert_int_equal(stack.offload.gso, version);
            assert_int_equal(stack.offload.gso_size, 1440);
            assert_int_equal(stack.offload.start, start);
            assert_int_equal(stack.offload.offset, 16);
            assert_int_equal(stack.offload.header_size, start + 20 + options);
        }
    }
    (void)close(peer);
    link->ops->destroy(link);
}

static void a_checksum_is_left_to_be_done(void **state)
{
    struct t_env *env = *state;
    struct cdt_link *link;
    struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .csum_start = V4,
                                    .csum_offset = 16};
    struct cdt_offload offload = {.partial = true, .start = V4, .offset = 16};
    struct conduit_seg seg = {frame, make_segment(4, 1000, 0)};
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    peer = vnet_socket();
    send_large(peer, &header, seg.size);
    T_UNTIL(env, stack.count == 1);
    assert_true(stack.offload.partial);
    assert_int_equal(stack.offload.start, V4);
    assert_int_equal(stack.offload.offset, 16);
    assert_int_equal(stack.offload.gso, 0);
    assert_int_equal(link->ops->send(link, &seg, 1, &offload), 0);
    assert_int_equal(next_frame(peer, got, sizeof got, VNET), VNET + seg.size);
    assert_memory_equal(got + VNET, frame, seg.size);
    memcpy(&header, got, VNET);
    assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(header.csum_start, V4);
    assert_int_equal(header.csum_offset, 16);
    (void)close(peer);
    link->ops->destroy(link);
}

/* What one process had the device do stays with the TAP: with offload=off the
 * kernel is to cut segments and compute checksums all the same. */
static void without_offload_the_kernel_does_it(void **state)
{
    struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                    .hdr_len = V4 + 20,
                                    .gso_size = 1000,
                                    .csum_start = V4,
                                    .csum_offset = 16};
    struct t_env *env = *state;
    struct cdt_link *link;
    int peer;

    t_net_tap(TAP, &(struct t_net_tap){0});
    link = open_tap(env, "direct,tap=" TAP);
    assert_true(link->gso);
    link->ops->destroy(link);
    link = open_tap(env, "direct,tap=" TAP ",offload=off");
    peer = vnet_socket();
    send_large(peer, &header, make_segment(4, 10000, 0));
    T_UNTIL(env, stack.count == 10);
    assert_int_equal(stack.size, V4 + 20 + 1000);
    assert_false(stack.offload.partial);
    assert_int_equal(stack.offload.gso, 0);
    assert_memory_equal(stack.last + V4 + 20, frame + V4 + 20 + 9000, 1000);
    (void)close(peer);
    link->ops->destroy(link);
    link = open_tap(env, "direct,tap=" TAP);
    assert_true(link->gso);
    link->ops->destroy(link);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP_TEST(frames_go_out),
        TAP_TEST(frames_come_in),
        TAP_TEST(many_frames_come_in),
        TAP_TEST(a_frame_has_any_number_of_segments),
        TAP_TEST(memory_fails_while_segments_are_merged),
        TAP_TEST(what_cannot_be_sent_is_refused),
        TAP_TEST(frames_that_are_too_long_are_dropped),
        TAP_TEST(without_room_nothing_spins),
        TAP_TEST(large_segments_go_out),
        TAP_TEST(large_segments_come_in),
        TAP_TEST(a_checksum_is_left_to_be_done),
        TAP_TEST(without_offload_the_kernel_does_it),
    };

    TAP_MAIN(tests);
}
