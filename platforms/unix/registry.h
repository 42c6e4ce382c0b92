/* SPDX-License-Identifier: ISC */
/*
 * The registry of names on this host: a service that registers a name has a
 * socket in a folder that belongs to one user. That folder is
 * CONDUIT_RUNTIME_DIR, else XDG_RUNTIME_DIR/conduit where that session is the
 * user's and nobody else is to come, else /run/conduit/UID. Who looks a name up
 * looks in the caller's own folders and then, where nobody has it or who had it
 * is dead, in root's, /run/conduit/0; "user@name" is looked for in
 * /run/conduit/UID of that user. A folder counts only while nobody but its
 * owner can write to it.
 */
#ifndef CDT_UNIX_REGISTRY_H
#define CDT_UNIX_REGISTRY_H

#include <conduit/context.h>

#include <sys/types.h>
#include <sys/un.h>

struct cdt_place {
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    uid_t owner;
};

/*
 * Finds who has registered "name" or "user@name". CONDUIT_EREFUSED: nobody;
 * EACCESS: the folder is not to be trusted; ENAME: no such user. May block
 * where the system asks a server about users.
 */
int cdt_registry_find(struct conduit_ctx *ctx, const char *name,
                      struct cdt_place *out, struct conduit_error *err);

/* Where to register a name, in a folder that is made if it has to be. `others`:
 * other users must be able to find it and to come there. */
int cdt_registry_place(struct conduit_ctx *ctx, const char *name, bool others,
                       struct cdt_place *out, struct conduit_error *err);

/* Users who may connect: our own, root, and those of a list, "alice", a number
 * or "@group". NULL: there is no such user, or no memory. */
struct cdt_users;
struct cdt_users *cdt_users_new(struct conduit_ctx *ctx,
                                const char *const *names,
                                struct conduit_error *err);
/* Whether the process at the other end of a Unix socket belongs to one. */
bool cdt_users_admit(const struct cdt_users *users, int fd);

#endif
