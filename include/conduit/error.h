/* SPDX-License-Identifier: ISC */
/*
 * Errors: one enum for every layer, and a report that names the layer and the
 * native cause. Functions answer 0 or a count on success and a negative code
 * on failure; those that can say more take a `struct conduit_error *`, which
 * may be NULL, and fill it only on failure.
 */
#ifndef CONDUIT_ERROR_H
#define CONDUIT_ERROR_H

#if defined(__GNUC__)
#define CONDUIT_API __attribute__((visibility("default")))
#define CONDUIT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CONDUIT_API
#define CONDUIT_PRINTF(fmt, args)
#endif

/*
 * What a call or a connection ended with. The first three are not failures:
 * they are how a stream says "not now", "no more" and "cut short".
 */
enum conduit_code {
    CONDUIT_OK = 0,
    CONDUIT_AGAIN = -1,          /* nothing now; an event will tell */
    CONDUIT_END = -2,            /* the peer ended its bytes in order */
    CONDUIT_ETRUNCATED = -3,     /* the bytes stopped without their end mark */
    CONDUIT_ERESET = -4,         /* the peer dropped the connection */
    CONDUIT_EPIPE = -5,          /* the peer no longer takes our bytes */
    CONDUIT_EREFUSED = -6,       /* nobody listens there */
    CONDUIT_EUNREACHABLE = -7,   /* no route to the peer */
    CONDUIT_ETIMEDOUT = -8,      /* a deadline passed */
    CONDUIT_ECLOSED = -9,        /* this side closed or finished it before */
    CONDUIT_ECANCELED = -10,     /* this side called it off */
    CONDUIT_EINVAL = -11,        /* an argument or option makes no sense */
    CONDUIT_EURI = -12,          /* the URI cannot be parsed */
    CONDUIT_ESCHEME = -13,       /* scheme or engine not in this build */
    CONDUIT_ENAME = -14,         /* the name has no address */
    CONDUIT_ENOENT = -15,        /* no such file, socket or name */
    CONDUIT_EEXIST = -16,        /* something else is there already */
    CONDUIT_EADDRINUSE = -17,    /* somebody listens there already */
    CONDUIT_EADDRNOTAVAIL = -18, /* not an address of this machine */
    CONDUIT_EACCESS = -19,       /* not permitted */
    CONDUIT_ENOMEM = -20,        /* out of memory */
    CONDUIT_ELIMIT = -21,        /* a limit: descriptors, sizes, counts */
    CONDUIT_ENOTSUP = -22,       /* this layer cannot do that */
    CONDUIT_EPROTO = -23,        /* the peer broke the protocol */
    CONDUIT_EIO = -24,           /* a native error with no better code */
    CONDUIT_ECERT = -25,         /* the peer's certificate is not acceptable */
    CONDUIT_ETLS = -26           /* the TLS handshake or a record failed */
};

/* Bytes of text in a report, with its final NUL. */
#define CONDUIT_ERROR_TEXT 256

/*
 * A report. `layer` is a static string: "uri", "resolver", "tcp", "http" and
 * so on. `native` is that layer's own number, an errno for sockets, 0 where
 * there is none. `text` is one line for a person, complete in itself.
 */
struct conduit_error {
    int code;
    int native;
    const char *layer;
    char text[CONDUIT_ERROR_TEXT];
};

/* A few words for a code ("connection refused"). Static, never NULL. */
CONDUIT_API const char *conduit_strerror(int code);

/* The code's name without its prefix ("EREFUSED"). Static, never NULL. */
CONDUIT_API const char *conduit_code_name(int code);

/*
 * Fills `*err` (skipped when NULL) and returns `code`, so that a failing
 * function can end with `return conduit_error_set(...)`. The text becomes
 * "LAYER: MESSAGE"; it is cut at CONDUIT_ERROR_TEXT, never overrun. `layer`
 * must be a static string. The arguments may point into `*err` itself.
 */
CONDUIT_API int conduit_error_set(struct conduit_error *err, int code,
                                  const char *layer, int native,
                                  const char *fmt, ...) CONDUIT_PRINTF(5, 6);

#endif
