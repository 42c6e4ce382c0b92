/* SPDX-License-Identifier: ISC */
/* The registry of names, and users; see registry.h. */
#include "registry.h"

#include "core.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYER "vchan"
#define SHARED "/run/conduit"
#define GROUPS_FEW 64u
#define GROUPS_MAX 65536u /* the kernel's own limit */

typedef char folder_text[sizeof(((struct cdt_place *)NULL)->path)];

/* ---- folders ------------------------------------------------------------ */

static int too_long(struct conduit_error *err)
{
    return conduit_error_set(err, CONDUIT_ELIMIT, LAYER, 0,
                             "the path of the registry's socket is longer "
                             "than %zu bytes",
                             sizeof(folder_text) - 1);
}

static int write_text(folder_text out, struct conduit_error *err,
                      const char *format, ...) CONDUIT_PRINTF(3, 4);

static int write_text(folder_text out, struct conduit_error *err,
                      const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(out, sizeof(folder_text), format, args);
    va_end(args);
    return n >= 0 && (size_t)n < sizeof(folder_text) ? 0 : too_long(err);
}

static int user_folder(uid_t uid, folder_text out, struct conduit_error *err)
{
    return write_text(out, err, SHARED "/%lu", (unsigned long)uid);
}

/* A folder that a variable names; what is relative would be another one in each
 * program, and with a '@' an abstract socket without any folder. */
static int named_folder(const char *variable, const char *dir, const char *rest,
                        folder_text out, struct conduit_error *err)
{
    if (dir[0] != '/') {
        return conduit_error_set(err, CONDUIT_EINVAL, LAYER, 0,
                                 "%s is not an absolute path: '%.80s'",
                                 variable, dir);
    }
    return write_text(out, err, "%s%s", dir, rest);
}

/* Whether a session's folder is our user's: su and sudo -E leave the variable
 * of the user who called them, who could then exchange what is in it. */
static bool is_ours(const char *dir)
{
    struct stat st;

    return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid();
}

static const char *folder_variable(struct conduit_ctx *ctx)
{
    const char *dir = conduit_ctx_env(ctx, "CONDUIT_RUNTIME_DIR");

    return dir != NULL && dir[0] != '\0' ? dir : NULL;
}

/* `others` must find it: they know nothing of our variables, and a session's
 * folder is closed to them. */
static int own_folder(struct conduit_ctx *ctx, bool others, folder_text out,
                      struct conduit_error *err)
{
    const char *dir = folder_variable(ctx);

    if (dir != NULL) {
        return named_folder("CONDUIT_RUNTIME_DIR", dir, "", out, err);
    }
    dir = conduit_ctx_env(ctx, "XDG_RUNTIME_DIR");
    if (!others && dir != NULL && dir[0] != '\0' &&
        (dir[0] != '/' || is_ours(dir))) {
        return named_folder("XDG_RUNTIME_DIR", dir, "/conduit", out, err);
    }
    return user_folder(geteuid(), out, err);
}

static int bad_folder(const char *path, const char *why,
                      struct conduit_error *err)
{
    return conduit_error_set(err, CONDUIT_EACCESS, LAYER, 0,
                             "the registry's folder %s %s", path, why);
}

/* Whether a folder is a user's alone. ENOENT: there is none. */
static int check_folder(const char *path, uid_t owner, bool others,
                        struct conduit_error *err)
{
    struct stat st;

    if (lstat(path, &st) != 0) {
        int number = errno;

        return conduit_error_set(
            err, number == ENOENT ? CONDUIT_ENOENT : CONDUIT_EACCESS, LAYER,
            number, "the registry's folder %s: %s", path, strerror(number));
    }
    if (!S_ISDIR(st.st_mode)) {
        return bad_folder(path, "is no folder", err);
    }
    if (st.st_uid != owner) {
        return bad_folder(path, "belongs to somebody else", err);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return bad_folder(path, "can be written to by others", err);
    }
    if (others && (st.st_mode & S_IXOTH) == 0) {
        return bad_folder(path, "cannot be entered by the users who were named",
                          err);
    }
    return 0;
}

static int make_folder(const char *path, bool others, struct conduit_error *err)
{
    if (geteuid() == 0 && strncmp(path, SHARED "/", strlen(SHARED "/")) == 0 &&
        mkdir(SHARED, 0755) == 0) {
        (void)chmod(SHARED, 0755); /* whatever the umask */
    }
    if (mkdir(path, 0700) == 0) {
        if (others) {
            (void)chmod(path, 0711);
        }
        return 0;
    }
    if (errno == EEXIST) {
        return 0;
    }
    return conduit_error_set(err, CONDUIT_EACCESS, LAYER, errno,
                             "cannot make the registry's folder %s: %s (set "
                             "CONDUIT_RUNTIME_DIR, or have root make it)",
                             path, strerror(errno));
}

int cdt_registry_place(struct conduit_ctx *ctx, const char *name, bool others,
                       struct cdt_place *out, struct conduit_error *err)
{
    folder_text folder;
    struct conduit_error missing = {0};
    int code = own_folder(ctx, others, folder, err);

    if (code != 0) {
        return code;
    }
    code = check_folder(folder, geteuid(), others, &missing);
    if (code == CONDUIT_ENOENT) {
        code = make_folder(folder, others, err);
        if (code == 0) {
            code = check_folder(folder, geteuid(), others, err);
        }
    } else if (code != 0 && err != NULL) {
        *err = missing;
    }
    out->owner = geteuid();
    return code == 0 ? write_text(out->path, err, "%s/%s", folder, name) : code;
}

/* ---- looking up --------------------------------------------------------- */

/* The user of a name or number; false: there is none. */
static bool find_user(const char *name, uid_t *uid)
{
    char buf[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    char *end;
    unsigned long number = strtoul(name, &end, 10);

    if (name[0] >= '0' && name[0] <= '9' && *end == '\0' &&
        number < (uid_t)-1) {
        *uid = (uid_t)number;
        return true;
    }
    if (getpwnam_r(name, &entry, buf, sizeof buf, &found) != 0 ||
        found == NULL) {
        return false;
    }
    *uid = entry.pw_uid;
    return true;
}

/* A name within a folder: 0, EREFUSED for nobody, or why it does not count. */
static int find_in(const char *folder, uid_t owner, const char *name,
                   struct cdt_place *out, struct conduit_error *err)
{
    struct stat st;
    int code = check_folder(folder, owner, false, err);

    if (code == 0) {
        code = write_text(out->path, err, "%s/%s", folder, name);
    }
    if (code == 0 && (lstat(out->path, &st) != 0 || !S_ISSOCK(st.st_mode))) {
        code = CONDUIT_ENOENT;
    }
    if (code == CONDUIT_ENOENT) {
        return conduit_error_set(err, CONDUIT_EREFUSED, LAYER, 0,
                                 "nobody has registered %s in %s", name,
                                 folder);
    }
    out->owner = owner;
    return code;
}

static int find_of_user(const char *text, const char *at, struct cdt_place *out,
                        struct conduit_error *err)
{
    folder_text folder;
    char user[64];
    uid_t uid;
    int code;

    (void)snprintf(user, sizeof user, "%.*s", (int)(at - text), text);
    if ((size_t)(at - text) >= sizeof user || !find_user(user, &uid)) {
        return conduit_error_set(err, CONDUIT_ENAME, LAYER, 0,
                                 "there is no user %s", user);
    }
    code = user_folder(uid, folder, err);
    return code == 0 ? find_in(folder, uid, at + 1, out, err) : code;
}

/*
 * Whether a socket is what a dead server left. Asked by a datagram socket, to
 * which a server that is there answers EPROTOTYPE without noticing.
 */
static bool is_stale(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool stale;

    if (fd < 0) {
        return false;
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    stale = connect(fd, (const struct sockaddr *)&name, sizeof name) != 0 &&
            (errno == ECONNREFUSED || errno == ENOENT);
    (void)close(fd);
    return stale;
}

/* What find_in() answered, or else a user's place in /run/conduit: where there
 * was none before, or nobody is at it any more. */
static int or_that_of(uid_t uid, const char *name, int code,
                      struct cdt_place *out)
{
    struct conduit_error ignored;
    struct cdt_place other;
    folder_text folder;

    if ((code == 0 || code == CONDUIT_EREFUSED) &&
        user_folder(uid, folder, &ignored) == 0 &&
        find_in(folder, uid, name, &other, &ignored) == 0 &&
        (code != 0 ||
         (strcmp(out->path, other.path) != 0 && is_stale(out->path)))) {
        *out = other;
        return 0;
    }
    return code;
}

int cdt_registry_find(struct conduit_ctx *ctx, const char *name,
                      struct cdt_place *out, struct conduit_error *err)
{
    const char *at = strchr(name, '@');
    folder_text folder;
    int code;

    if (at != NULL) {
        return find_of_user(name, at, out, err);
    }
    code = own_folder(ctx, false, folder, err);
    if (code == 0) {
        code = find_in(folder, geteuid(), name, out, err);
    }
    if (folder_variable(ctx) == NULL) {
        code = or_that_of(geteuid(), name, code, out);
    }
    return or_that_of(0, name, code, out);
}

/* ---- users -------------------------------------------------------------- */

struct entry {
    bool group;
    uint32_t id;
};

struct cdt_users {
    struct conduit_ctx *ctx;
    size_t count;
    struct entry entries[];
};

static bool find_group(const char *name, uint32_t *gid)
{
    char buf[16384];
    struct group entry;
    struct group *found = NULL;

    if (getgrnam_r(name, &entry, buf, sizeof buf, &found) != 0 ||
        found == NULL) {
        return false;
    }
    *gid = entry.gr_gid;
    return true;
}

struct cdt_users *cdt_users_new(struct conduit_ctx *ctx,
                                const char *const *names,
                                struct conduit_error *err)
{
    struct cdt_users *users;
    size_t n = 0;

    while (names != NULL && names[n] != NULL) {
        n++;
    }
    users = conduit_alloc(ctx, sizeof *users + n * sizeof users->entries[0]);
    if (users == NULL) {
        (void)conduit_error_set(err, CONDUIT_ENOMEM, LAYER, 0, "out of memory");
        return NULL;
    }
    users->ctx = ctx;
    users->count = n;
    for (size_t i = 0; i < n; i++) {
        struct entry *e = &users->entries[i];

        e->group = names[i][0] == '@';
        if (e->group ? !find_group(names[i] + 1, &e->id)
                     : !find_user(names[i], &e->id)) {
            (void)conduit_error_set(
                err, CONDUIT_ENAME, LAYER, 0, "there is no %s %s",
                e->group ? "group" : "user", names[i] + e->group);
            conduit_release(ctx, users);
            return NULL;
        }
    }
    return users;
}

/* The peer's groups; there may be more than fit, then *size says how many bytes
 * they need and errno is ERANGE. */
static bool read_groups(int fd, gid_t *groups, socklen_t *size)
{
    return getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, size) == 0;
}

/* Whether the peer is in a group; it may be in many. */
static bool in_group(const struct cdt_users *users, int fd, uint32_t gid)
{
    gid_t few[GROUPS_FEW];
    gid_t *groups = few;
    socklen_t size = sizeof few;
    bool read = read_groups(fd, groups, &size);
    bool found = false;

    if (!read && errno == ERANGE && size <= GROUPS_MAX * sizeof *groups) {
        groups = conduit_alloc(users->ctx, size);
        read = groups != NULL && read_groups(fd, groups, &size);
    }
    for (size_t i = 0; read && !found && i < size / sizeof *groups; i++) {
        found = groups[i] == gid;
    }
    if (groups != few) {
        conduit_release(users->ctx, groups);
    }
    return found;
}

static bool is_meant(const struct cdt_users *users, const struct entry *e,
                     int fd, const struct ucred *cred)
{
    if (!e->group) {
        return e->id == cred->uid;
    }
    return e->id == cred->gid || in_group(users, fd, e->id);
}

bool cdt_users_admit(const struct cdt_users *users, int fd)
{
    struct ucred cred;
    socklen_t size = sizeof cred;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0) {
        return false;
    }
    if (cred.uid == geteuid() || cred.uid == 0) {
        return true;
    }
    for (size_t i = 0; i < users->count; i++) {
        if (is_meant(users, &users->entries[i], fd, &cred)) {
            return true;
        }
    }
    return false;
}
