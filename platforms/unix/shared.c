/* SPDX-License-Identifier: ISC */
/* Memory shared with another process; see shared.h. */
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Without F_SEAL_SHRINK a peer could cut the memory off, without F_SEAL_SEAL
 * forbid our writing before we map it. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

bool cdt_shared_must_reserve(void)
{
    int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
    char policy = '0';
    bool is_read = fd >= 0 && read(fd, &policy, 1) == 1;

    if (fd >= 0) {
        (void)close(fd);
    }
    return is_read && policy == '2';
}

int cdt_shared_make(size_t size, bool reserve)
{
    int fd = memfd_create("conduit", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        return -1;
    }
    if (ftruncate(fd, (off_t)size) != 0 ||
        (reserve && fallocate(fd, 0, 0, (off_t)size) != 0) ||
        fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        int number = errno;

        (void)close(fd);
        errno = number == ENOSPC ? ENOMEM : number;
        return -1;
    }
    return fd;
}

const char *cdt_shared_check(int fd, size_t size)
{
    struct statfs fs;
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0) {
        return "the peer's descriptor is no shared memory";
    }
    if ((seals & SEALS) != SEALS) {
        return "the peer's memory is not sealed";
    }
    if (fs.f_type != TMPFS_MAGIC) {
        return "the peer's memory is of a kind that may vanish";
    }
    if (st.st_size < 0 || (size_t)st.st_size != size) {
        return "the peer's memory is not as large as it said";
    }
    return NULL;
}

bool cdt_shared_map_page(struct cdt_shared *m, int fd)
{
    void *page = mmap(NULL, CDT_RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
                      fd, 0);

    m->page = page != MAP_FAILED ? page : NULL;
    return m->page != NULL;
}

/* Maps n bytes of the file twice in a row; NULL: errno. */
static void *map_twice(int fd, size_t offset, size_t n)
{
    char *room = mmap(NULL, 2 * n, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED) {
        return NULL;
    }
    for (size_t i = 0; i < 2; i++) {
        if (mmap(room + i * n, n, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED) {
            int number = errno;

            (void)munmap(room, 2 * n);
            errno = number;
            return NULL;
        }
    }
    return room;
}

bool cdt_shared_can_mirror(void)
{
    return sysconf(_SC_PAGESIZE) == (long)CDT_RING_PAGE;
}

/* All of the file, once: a part could begin within a page only. */
static bool map_whole(struct cdt_shared *m, int fd, size_t size)
{
    void *whole = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (whole == MAP_FAILED) {
        return false;
    }
    m->whole = whole;
    m->whole_size = size;
    return true;
}

/* A ring with pages of its own. */
static bool map_ring(struct cdt_shared *m, int fd,
                     const struct cdt_ring_layout *layout,
                     enum cdt_ring_way way, struct cdt_ring_memory *out)
{
    size_t offset = cdt_ring_offset(layout, way);

    if (m->whole != NULL) {
        out->ring[way].data = (char *)m->whole + offset;
        out->ring[way].mirrored = false;
        return true;
    }
    m->ring[way].size = cdt_ring_size(layout, way);
    m->ring[way].data = map_twice(fd, offset, m->ring[way].size);
    out->ring[way].data = m->ring[way].data;
    out->ring[way].mirrored = true;
    return m->ring[way].data != NULL;
}

bool cdt_shared_map_rings(struct cdt_shared *m, int fd,
                          const struct cdt_ring_layout *layout, bool mirrored,
                          struct cdt_ring_memory *out)
{
    if (!mirrored && !map_whole(m, fd, cdt_ring_total(layout))) {
        return false;
    }
    out->page = m->page;
    for (unsigned i = 0; i < 2; i++) {
        enum cdt_ring_way way = (enum cdt_ring_way)i;

        if (cdt_ring_own_bytes(layout, way) == 0) {
            out->ring[i].data = (char *)m->page + cdt_ring_offset(layout, way);
            out->ring[i].mirrored = false;
        } else if (!map_ring(m, fd, layout, way, out)) {
            return false;
        }
    }
    return true;
}

void cdt_shared_unmap(struct cdt_shared *m)
{
    for (unsigned i = 0; i < 2; i++) {
        if (m->ring[i].data != NULL) {
            (void)munmap(m->ring[i].data, 2 * m->ring[i].size);
            m->ring[i].data = NULL;
        }
    }
    if (m->whole != NULL) {
        (void)munmap(m->whole, m->whole_size);
        m->whole = NULL;
    }
    if (m->page != NULL) {
        (void)munmap(m->page, CDT_RING_PAGE);
        m->page = NULL;
    }
}
