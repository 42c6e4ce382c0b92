/* SPDX-License-Identifier: ISC */
/*
 * The HTTP/1.1 message parser (RFC 9112), sans I/O: it is given bytes, split in
 * any way, and answers with events. It allocates nothing: the head of a message
 * is collected in memory that the caller lends for as long as the message
 * lasts, and body bytes are shown where they lie in the caller's input.
 *
 * It is strict. What cannot be framed with certainty is an error, since a
 * second reader might frame it otherwise (request smuggling): bare CR or LF
 * anywhere, folded header lines, space before a colon, NUL or other controls,
 * empty field names, Content-Length twice, as a list, signed or beside
 * Transfer-Encoding, any transfer coding but one final "chunked",
 * Transfer-Encoding in HTTP/1.0, chunk sizes that overflow or are not plain hex
 * digits, Host missing, twice, empty or with anything but a host and an
 * optional port.
 */
#ifndef CDT_HTTP_PARSER_H
#define CDT_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cdt_http_role {
    CDT_HTTP_REQUEST, /* parses requests: a server's side */
    CDT_HTTP_RESPONSE /* parses responses: a client's side */
};

/* What cdt_http_parse() found. */
enum cdt_http_event {
    CDT_HTTP_MORE, /* every byte was taken; give more */
    CDT_HTTP_HEAD, /* the head is complete; `p->head` is valid */
    CDT_HTTP_BODY, /* `*body`, `*body_len` (> 0) are body bytes, in the input */
    CDT_HTTP_DONE, /* the message is over; its bytes end here */
    CDT_HTTP_ERROR /* p->status and p->reason say why; sticky */
};

/* A piece of the head: an offset into the lent memory and a length in bytes. */
struct cdt_http_slice {
    uint32_t at;
    uint32_t len;
};

struct cdt_http_field {
    struct cdt_http_slice name;  /* as sent; compare without case */
    struct cdt_http_slice value; /* outer white space removed */
};

/* Body framing, RFC 9112 section 6.3. */
enum cdt_http_framing {
    CDT_HTTP_NO_BODY,
    CDT_HTTP_LENGTH, /* head.length bytes */
    CDT_HTTP_CHUNKED,
    CDT_HTTP_UNTIL_CLOSE /* responses only */
};

/*
 * `path` is as sent, not decoded. It is "*" for "OPTIONS *", "/" for an
 * absolute target without a path, and empty for CONNECT, whose target is the
 * host. It begins with '/' otherwise. `host` is the target's, if it has one:
 * Host, which must then say the same, is of no account. `keep_alive` is false
 * whenever bytes that follow the message must not be read as another one: after
 * CONNECT, after an upgrade and after a body that runs until close.
 */
struct cdt_http_head {
    /* request */
    struct cdt_http_slice method;
    struct cdt_http_slice target; /* as sent */
    struct cdt_http_slice path;   /* of the target, before '?'; see below */
    struct cdt_http_slice query;  /* after '?', or empty */
    struct cdt_http_slice host;   /* and port, if sent; in 1.0 may be empty */
    /* response */
    int status;
    struct cdt_http_slice reason;
    /* both */
    int minor;            /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;      /* RFC 9112 section 9.3 */
    bool expect_continue; /* a 1.1 request's body waits for 100 (Continue) */
    bool upgrade;         /* 101, or a 2xx answer to CONNECT */
    enum cdt_http_framing framing;
    uint64_t length; /* Content-Length's value, in an answer to HEAD too */
    uint32_t field_count;
};

/* Limits; all must be set. What is over gets a 4xx status and an error. */
struct cdt_http_limits {
    uint32_t request_line; /* bytes of the first line, no CRLF; 414 beyond */
    uint32_t fields;       /* number of header lines; 431 beyond */
    uint32_t trailer;      /* of all trailer lines, no CRLF; 431 beyond */
    uint32_t chunk_ext;    /* of chunk extensions in a whole body; 413 beyond */
    uint64_t body;         /* bytes of a body; 413 beyond; UINT64_MAX: none */
};

struct cdt_http_parser {
    /* results */
    struct cdt_http_head head;
    int status;         /* on error, the status a server answers (400..505) */
    const char *reason; /* on error, a static text that names the cause */
    uint64_t body_seen; /* body bytes shown so far */
    /* the rest is the parser's own */
    const struct cdt_http_limits *limits;
    uint8_t *mem; /* lent: head bytes grow up, the field table down */
    size_t mem_size;
    size_t used;    /* head bytes collected */
    size_t line_at; /* where the line being collected starts */
    uint64_t left;  /* bytes left of a sized body or of a chunk */
    uint32_t trailer_used;
    uint32_t ext_used;
    uint16_t flags; /* what the fields said; parser_fields.c */
    uint8_t role;
    uint8_t state;
    uint8_t digits; /* of the chunk size being read */
    uint8_t blanks; /* empty lines before the message */
};

/* Starts a parser for one connection. `limits` must outlive it. */
void cdt_http_parser_init(struct cdt_http_parser *p, enum cdt_http_role role,
                          const struct cdt_http_limits *limits);

/*
 * Starts the next message. `mem` (`size` bytes, at least 512 to be of use, at
 * any alignment) is lent until the next begin or until the caller is done with
 * p->head; a head that does not fit is error 431. A head takes its bytes, line
 * ends included, and sizeof(struct cdt_http_field) for each field. For
 * responses `method` is that of the request which it answers, used only during
 * the call; NULL otherwise. An error outlives begin: what follows it cannot be
 * framed.
 */
void cdt_http_parser_begin(struct cdt_http_parser *p, void *mem, size_t size,
                           const char *method);

/*
 * True when begin was called and no byte of the message was taken yet. Empty
 * lines that were skipped are not of the message.
 */
bool cdt_http_parser_idle(const struct cdt_http_parser *p);

/*
 * Takes bytes of `data`, at most `n`, up to and with the next event. `*used` is
 * always set to how many were taken; the caller goes on with the rest. After
 * HEAD and after BODY call again, also with n = 0: a message that is complete
 * answers DONE at once. After DONE call begin; until then DONE is repeated. At
 * most two empty lines before a request line are skipped (RFC 9112
 * section 2.2). Never reads past n, never recurses, and takes time linear in n.
 *
 * How the bytes are split changes nothing but into how many pieces BODY comes:
 * a line is judged when it is complete or too long, a byte of the body's
 * framing when it comes. 1xx responses are messages of their own, HEAD then
 * DONE: begin again, with the same method, for the one that follows.
 * How many bytes are taken with an error does depend on the split.
 */
enum cdt_http_event cdt_http_parse(struct cdt_http_parser *p, const void *data,
                                   size_t n, size_t *used, const uint8_t **body,
                                   size_t *body_len);

/*
 * The peer ended its bytes. DONE for a body that runs until close and for a
 * message whose DONE was not asked for yet; MORE when no byte of a message was
 * taken (a clean end); ERROR otherwise: cut short.
 */
enum cdt_http_event cdt_http_parser_end(struct cdt_http_parser *p);

/* The bytes of a slice of the head; not NUL-terminated. */
static inline const char *cdt_http_text(const struct cdt_http_parser *p,
                                        struct cdt_http_slice s)
{
    return (const char *)p->mem + s.at;
}

/* Field number i of the head (0-based, in the order sent); empty beyond. */
struct cdt_http_field cdt_http_field(const struct cdt_http_parser *p,
                                     uint32_t i);

/*
 * The value of the first field of that name (any case), or NULL; its length
 * goes to *len. `*from`, when not NULL, is the index to start from and is moved
 * past the one found, to walk over fields of the same name.
 */
const char *cdt_http_find(const struct cdt_http_parser *p, const char *name,
                          uint32_t *from, size_t *len);

/*
 * How many of the n bytes at s, from the first on, may be in a token (a method,
 * a field name; RFC 9110 section 5.6.2) or in a field value (section 5.5: SP,
 * HTAB, visible ASCII and 0x80 to 0xff). Who writes messages asks the same
 * questions.
 */
size_t cdt_http_token_span(const void *s, size_t n);
size_t cdt_http_value_span(const void *s, size_t n);

/*
 * Between parser.c, which collects lines and frames bodies, and
 * parser_fields.c, which reads the lines of a head; for nobody else.
 *
 * refuse records an error and answers false. start takes note of the method
 * that a response answers. line reads the line from line_at to used, its line
 * end included, and answers MORE, HEAD or ERROR.
 */
bool cdt_http_refuse(struct cdt_http_parser *p, int status, const char *reason);
void cdt_http_head_start(struct cdt_http_parser *p, const char *method);
enum cdt_http_event cdt_http_head_line(struct cdt_http_parser *p);

#endif
