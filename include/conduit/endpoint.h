/* SPDX-License-Identifier: ISC */
/*
 * URIs (RFC 3986) and what they mean here: layers joined by '+', outermost
 * first, over a transport that gives the authority its meaning.
 *
 *     http+tls+tcp://example.org:443/path
 *     ^app ^filter ^transport         ^target
 *
 * URIs carry no options; those live in `struct conduit_options`.
 */
#ifndef CONDUIT_ENDPOINT_H
#define CONDUIT_ENDPOINT_H

#include <conduit/context.h>

#define CONDUIT_URI_MAX 8192 /* bytes of a URI */
#define CONDUIT_LAYERS_MAX 4 /* filters over one transport */
#define CONDUIT_NAME_MAX 63  /* bytes of a mem or vchan name */

/* An IP address and port, in network byte order for `ip` only. */
struct conduit_addr {
    uint8_t ip[16]; /* the first 4 for IPv4 */
    uint32_t scope; /* IPv6 interface index, or 0 */
    uint16_t port;
    uint8_t family; /* 4 or 6; 0: none */
};

/* Bytes that hold any address as text, with its final NUL. */
#define CONDUIT_ADDR_TEXT 64

enum conduit_host_kind {
    CONDUIT_HOST_NONE, /* empty: the wildcard, for listeners only */
    CONDUIT_HOST_IP,   /* numeric; `addr` is set */
    CONDUIT_HOST_NAME
};

/* A parsed URI. All strings are NUL-terminated and belong to it. */
struct conduit_uri {
    const char *text;   /* as given */
    const char *scheme; /* as given, without "://" */
    bool http;          /* http or https stood outermost */
    unsigned filter_count;
    const struct conduit_filter
        *filters[CONDUIT_LAYERS_MAX]; /* outermost 1st */
    const struct conduit_transport *transport;
    const char *authority; /* as given, percent-encoded */
    const char *user;      /* decoded userinfo, or NULL */
    const char *host;      /* decoded, without brackets; "" when empty */
    enum conduit_host_kind host_kind;
    struct conduit_addr addr;
    bool has_port;
    uint16_t port;      /* the default of http(s) where none was given */
    const char *path;   /* as given from '/', without query; may be "" */
    const char *target; /* path and query for who speaks HTTP over it, at
                           least "/"; where the path is the transport's own
                           (unix without http in front): "/" */
    char *address;      /* what the transport made of it, or NULL */
};

/*
 * Parses a URI. A scheme that is not registered is CONDUIT_ESCHEME, and the
 * report says what is; anything else wrong with it is CONDUIT_EURI. Free the
 * result with conduit_uri_free().
 */
CONDUIT_API int conduit_uri_parse(struct conduit_ctx *ctx, const char *text,
                                  struct conduit_uri **out,
                                  struct conduit_error *err);
CONDUIT_API void conduit_uri_free(struct conduit_ctx *ctx,
                                  struct conduit_uri *uri);

/*
 * Parses a numeric IPv4 (dotted quad, RFC 6943 section 3.1.1's strict form) or
 * IPv6 (RFC 4291, no brackets; a zone as %NUMBER) address of `len` bytes. The
 * port is set to 0. false when it is neither.
 */
CONDUIT_API bool conduit_addr_parse(const char *text, size_t len,
                                    struct conduit_addr *out);

/*
 * Writes "192.0.2.1:80" or "[2001:db8::1]:80" (RFC 5952), without the port when
 * `with_port` is false (and then without brackets). Answers buf.
 */
CONDUIT_API char *conduit_addr_format(const struct conduit_addr *addr,
                                      bool with_port,
                                      char buf[CONDUIT_ADDR_TEXT]);

/* A place to try: a transport and what it needs to know. */
struct conduit_endpoint {
    const struct conduit_transport *transport;
    struct conduit_addr addr; /* family 0 for transports without IP */
    char *name;               /* path or name; owned by the list it is in */
};

#endif
