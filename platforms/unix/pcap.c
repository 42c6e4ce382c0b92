/* SPDX-License-Identifier: ISC */
/*
 * Captures: the classic format of libpcap (draft-ietf-opsawg-pcap), with times
 * in nanoseconds, in the machine's byte order, which readers tell by the magic
 * number. Frames are as they pass between stack and device: before a device
 * completes checksums or cuts a large segment.
 *
 * Only regular files: a pipe whose reader is slow or gone would stop the loop
 * or end the process.
 */
#include "pcap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LAYER "tap"
#define MAGIC_NS 0xa1b23c4du
#define SNAP 262144u
#define ETHERNET 1u
#define FLUSH_MS 1000u

struct file_header {
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    uint32_t zero[2]; /* time zone and accuracy, which nobody uses */
    uint32_t snap;
    uint32_t link_type;
};

struct frame_header {
    uint32_t seconds;
    uint32_t nanoseconds;
    uint32_t kept;
    uint32_t size;
};

struct cdt_pcap {
    struct conduit_ctx *ctx;
    FILE *file; /* NULL: capturing is over */
    struct conduit_timer flush;
    char path[256];
};

static struct cdt_pcap *of(struct conduit_timer *timer)
{
    return CDT_CONTAINER(timer, struct cdt_pcap, flush);
}

static void stop(struct cdt_pcap *pcap)
{
    conduit_log(pcap->ctx, CONDUIT_LOG_ERROR, LAYER,
                "pcap=%s: %s; nothing more is captured", pcap->path,
                strerror(errno));
    conduit_timer_clear(conduit_ctx_loop(pcap->ctx), &pcap->flush);
    (void)fclose(pcap->file);
    pcap->file = NULL;
}

static void flush_due(struct conduit_timer *timer)
{
    struct cdt_pcap *pcap = of(timer);

    if (fflush(pcap->file) != 0) {
        stop(pcap);
    }
}

static int open_failed(struct cdt_pcap *pcap, int fd, const char *text,
                       struct conduit_error *err)
{
    int native = errno;
    int code = native == EACCES || native == EPERM || native == EROFS
                   ? CONDUIT_EACCESS
               : native == ENOENT || native == ENOTDIR ? CONDUIT_ENOENT
               : native == EMFILE || native == ENFILE  ? CONDUIT_ELIMIT
               : native == 0                           ? CONDUIT_EINVAL
                                                       : CONDUIT_EIO;

    code = conduit_error_set(err, code, LAYER, native, "pcap=%s: %s",
                             pcap->path, text);
    if (fd >= 0) {
        (void)close(fd);
    }
    conduit_release(pcap->ctx, pcap);
    return code;
}

static bool begin(struct cdt_pcap *pcap)
{
    const struct file_header header = {
        .magic = MAGIC_NS,
        .major = 2,
        .minor = 4,
        .snap = SNAP,
        .link_type = ETHERNET,
    };

    return fwrite(&header, sizeof header, 1, pcap->file) == 1 &&
           fflush(pcap->file) == 0;
}

int cdt_pcap_open(struct conduit_ctx *ctx, const char *path,
                  struct cdt_pcap **out, struct conduit_error *err)
{
    struct cdt_pcap *pcap = conduit_alloc(ctx, sizeof *pcap);
    struct stat st;
    int fd;

    if (pcap == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0,
                                 "out of memory");
    }
    pcap->ctx = ctx;
    pcap->flush.fire = flush_due;
    (void)snprintf(pcap->path, sizeof pcap->path, "%s", path);
    /* NONBLOCK: opening a pipe is not to wait for its reader. */
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
              0600);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return open_failed(pcap, fd, strerror(errno), err);
    }
    if (!S_ISREG(st.st_mode)) {
        errno = 0;
        return open_failed(pcap, fd, "it is no regular file", err);
    }
    if (ftruncate(fd, 0) != 0 || (pcap->file = fdopen(fd, "w")) == NULL) {
        return open_failed(pcap, fd, strerror(errno), err);
    }
    if (!begin(pcap)) {
        const char *text = strerror(errno);
        int native = errno;

        (void)fclose(pcap->file);
        errno = native;
        return open_failed(pcap, -1, text, err);
    }
    *out = pcap;
    return 0;
}

void cdt_pcap_frame(struct cdt_pcap *pcap, const struct conduit_seg *seg,
                    unsigned count, size_t n)
{
    struct frame_header header = {.kept = (uint32_t)n, .size = (uint32_t)n};
    struct timespec now;
    bool written;

    if (pcap->file == NULL) {
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    header.seconds = (uint32_t)now.tv_sec;
    header.nanoseconds = (uint32_t)now.tv_nsec;
    written = fwrite(&header, sizeof header, 1, pcap->file) == 1;
    for (unsigned i = 0; i < count && written; i++) {
        written = seg[i].size == 0 ||
                  fwrite(seg[i].data, seg[i].size, 1, pcap->file) == 1;
    }
    if (!written) {
        stop(pcap);
    } else if (pcap->flush.at == 0) {
        conduit_timer_set(conduit_ctx_loop(pcap->ctx), &pcap->flush, FLUSH_MS);
    }
}

void cdt_pcap_close(struct cdt_pcap *pcap)
{
    if (pcap == NULL) {
        return;
    }
    conduit_timer_clear(conduit_ctx_loop(pcap->ctx), &pcap->flush);
    if (pcap->file != NULL && fclose(pcap->file) != 0) {
        conduit_log(pcap->ctx, CONDUIT_LOG_ERROR, LAYER,
                    "pcap=%s: %s; the last frames are missing", pcap->path,
                    strerror(errno));
    }
    conduit_release(pcap->ctx, pcap);
}
