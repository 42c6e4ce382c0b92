/* SPDX-License-Identifier: ISC */
/*
 * What only tests on Unix have: a context on an event_base of the test's own,
 * and the system's own sockets, blocking, for peers that are not conduit.
 */
#ifndef TESTS_UNIX_SUPPORT_H
#define TESTS_UNIX_SUPPORT_H

#include "support.h"

#include <conduit/unix.h>

struct event_base;

/* As t_env_init(), but driven by `base`, which stays the caller's. */
void t_env_init_base(struct t_env *env, struct event_base *base);

/* Whether the process may have so many descriptors, now at the latest. */
bool t_raise_descriptors(unsigned need);

/* A blocking socket bound to a loopback address; port 0 is filled in. */
int t_raw_bind(const char *address, uint16_t *port);

/* The same, listening. */
int t_raw_listen(const char *address, uint16_t *port, int backlog);
int t_raw_connect(const char *address, uint16_t port);
int t_raw_listen_unix(const char *path); /* '@': abstract */
int t_raw_connect_unix(const char *path);
int t_raw_accept(int fd);

/*
 * A port that swallows: connections to it neither succeed nor fail. Fills both
 * descriptors to be closed afterwards.
 */
void t_raw_silent(const char *address, uint16_t *port, int fds[2]);

#endif
