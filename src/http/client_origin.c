/* SPDX-License-Identifier: ISC */
/*
 * Whom a client asks, by its URI: what is dialled, the target of calls that
 * give none, and the Host field (RFC 9110 section 7.2). The field is the URI's
 * authority where that is a host; a socket's path, a name in this process and
 * the like are nobody else's business, and the field is "localhost" then.
 */
#include "http/client.h"

#include <conduit/transport.h>

#include <stdio.h>
#include <string.h>

/*
 * Parses the URI as that of an HTTP origin. Where it says nothing of HTTP that
 * is put in front, for then a path and a query belong to HTTP and not to the
 * transport; but where the transport's address is a path, it stays as it was.
 */
static int parse_origin(struct conduit_http_client *client, const char *uri,
                        struct conduit_uri **out, struct conduit_error *err)
{
    size_t size = strlen(uri) + sizeof "http+";
    char *text = conduit_alloc(client->ctx, size);
    int rc;

    if (text == NULL) {
        (void)conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                "out of memory");
        return CONDUIT_ENOMEM;
    }
    client->uri = text;
    (void)snprintf(text, size, "http+%s", uri);
    if (strncmp(uri, "http", 4) != 0) {
        rc = conduit_uri_parse(client->ctx, text, out, NULL);
        if (rc == 0 && !(*out)->transport->path) {
            return 0;
        }
        if (rc == 0) {
            conduit_uri_free(client->ctx, *out);
        }
    }
    memcpy(text, uri, strlen(uri) + 1);
    return conduit_uri_parse(client->ctx, text, out, err);
}

static bool has_tls(const struct conduit_uri *uri)
{
    for (unsigned i = 0; i < uri->filter_count; i++) {
        if (strcmp(uri->filters[i]->name, "tls") == 0) {
            return true;
        }
    }
    return false;
}

/* A name that can stand in a Host field as it is (RFC 3986 section 3.2.2). */
static bool is_plain_host(const char *host)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._~!$&'()*+,;=";

    return *host != '\0' && host[strspn(host, allowed)] == '\0';
}

/* The host as the Host field names it; an address without its zone. */
static const char *host_text(const struct conduit_uri *uri,
                             char text[CONDUIT_ADDR_TEXT + 2])
{
    char ip[CONDUIT_ADDR_TEXT];
    struct conduit_addr addr = uri->addr;

    if (!conduit_uri_has_host(uri)) {
        return "localhost";
    }
    if (uri->host_kind != CONDUIT_HOST_IP) {
        return uri->host;
    }
    addr.scope = 0;
    (void)conduit_addr_format(&addr, false, ip);
    (void)snprintf(text, CONDUIT_ADDR_TEXT + 2,
                   addr.family == 6 ? "[%s]" : "%s", ip);
    return text;
}

static int set_host(struct conduit_http_client *client,
                    const struct conduit_uri *uri, struct conduit_error *err)
{
    char text[CONDUIT_ADDR_TEXT + 2];
    const char *host = host_text(uri, text);
    size_t size = strlen(host) + sizeof ":65535";
    unsigned usual = has_tls(uri) ? 443 : 80;

    if (host == uri->host && !is_plain_host(host)) {
        return conduit_error_set(err, CONDUIT_EURI, "http", 0,
                                 "no host to ask for in %s", uri->text);
    }
    client->host = conduit_alloc(client->ctx, size);
    if (client->host == NULL) {
        return conduit_error_set(err, CONDUIT_ENOMEM, "http", 0,
                                 "out of memory");
    }
    (void)snprintf(client->host, size, "%s", host);
    if (conduit_uri_has_host(uri) && uri->has_port && uri->port != usual) {
        (void)snprintf(client->host, size, "%s:%u", host, (unsigned)uri->port);
    }
    return 0;
}

int cdt_client_set_origin(struct conduit_http_client *client, const char *text,
                          struct conduit_error *err)
{
    struct conduit_uri *uri;
    int rc = parse_origin(client, text, &uri, err);

    if (rc != 0) {
        return rc;
    }
    client->target = conduit_strdup(client->ctx, uri->target);
    if (client->target == NULL) {
        rc = conduit_error_set(err, CONDUIT_ENOMEM, "http", 0, "out of memory");
    } else {
        rc = set_host(client, uri, err);
    }
    conduit_uri_free(client->ctx, uri);
    return rc;
}
