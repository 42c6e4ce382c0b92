/* SPDX-License-Identifier: ISC */
/*
 * A peer of vchan by hand: a socket, a memfd and the protocol of docs/vchan.md
 * with nothing of the library but the layout, so that it can break any rule.
 * And what tests with such a peer share: a healthy connection in the same
 * context, which has to go on undisturbed, and counts of what must not be left.
 */
#ifndef TESTS_UNIX_VCHAN_RAW_H
#define TESTS_UNIX_VCHAN_RAW_H

#include "unix_support.h"

#include "transports/ring.h"

#define VRAW_HELLO 16 /* bytes */
#define VRAW_REPLY 32

/* ---- a peer ------------------------------------------------------------- */

struct vraw {
    enum cdt_ring_side side;
    int fd;     /* the control socket; -1: closed */
    int memory; /* the descriptor; -1: none */
    size_t size;
    struct cdt_ring_page *page; /* all of the memory is mapped */
    struct cdt_ring_layout layout;
    uint64_t read; /* bytes, of each way */
    uint64_t written;
};

/* What is said; `kind` 1 wants rings. */
void vraw_hello(uint8_t out[VRAW_HELLO], unsigned kind);
void vraw_reply(uint8_t out[VRAW_REPLY], unsigned status, size_t size);

/* Sends bytes with descriptors, which stay the caller's; false: without them,
 * for the peer does not take any. */
bool vraw_send(int fd, const void *data, size_t n, const int *fds,
               size_t count);

/* Connects to a listener's name in the folder of the test. */
void vraw_connect(struct vraw *v, struct t_env *env, const char *name);
/* Takes the reply if it is there; false: not yet. Fails when it is no welcome.
 * Maps the memory then, but says nothing in it. */
bool vraw_take_reply(struct vraw *v);

/* Memory of a server, formatted; `seals` as for F_ADD_SEALS. */
void vraw_make_memory(struct vraw *v, unsigned to_server, unsigned to_client,
                      int seals);
/* Accepts if somebody is there; false: not yet. */
bool vraw_accept(struct vraw *v, int listener);
/* Takes the hello if it is there; false: not yet. */
bool vraw_take_hello(struct vraw *v);

/* Says that it is there, or anything else about itself. */
void vraw_live(struct vraw *v, unsigned live);
void vraw_wake(struct vraw *v); /* never blocks */
/* Bytes of a stream; as many as fit or as there are. */
size_t vraw_write(struct vraw *v, uint64_t stream, size_t n);
size_t vraw_read(struct vraw *v, uint64_t stream, size_t n);

void vraw_hang_up(struct vraw *v); /* closes the socket only */
void vraw_free(struct vraw *v);    /* all that is left */

/* ---- the test ----------------------------------------------------------- */

struct vrig {
    struct t_env *env;
    struct t_pair healthy;
    struct t_server server; /* at "hostile", once vrig_serve() was called */
    int fds;                /* before the peer came */
    int maps;
    size_t blocks;
    int maps_before; /* before the healthy connection */
};

/* A context of t_setup() with a healthy connection; the registry is a folder of
 * the test's own. */
void vrig_begin(struct vrig *r, struct t_env *env);
void vrig_serve(struct vrig *r, const struct conduit_options *options);
/* Some bytes each way; answers how many turns that took. */
uint64_t vrig_check(struct vrig *r);
/* Nothing is left of any peer. */
void vrig_is_clean(struct vrig *r);
void vrig_end(struct vrig *r);

/* How often the log says so since it was last emptied. */
unsigned vrig_logged(const struct vrig *r, const char *text);
void vrig_empty_log(struct vrig *r);

int t_shared_maps(void); /* mappings of shared memory in this process */

/*
 * Meets our side as a peer of the given side, which says that it is there, with
 * rings of 4 KiB each way; our end goes to *t, attached for nothing.
 */
void vrig_meet(struct vrig *r, enum cdt_ring_side side, struct vraw *v,
               struct t_conn *t);

#endif
