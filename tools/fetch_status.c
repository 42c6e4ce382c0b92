/* SPDX-License-Identifier: ISC */
/* Exit statuses of the commands that ask something of a URI; see fetch.h. */
#include "fetch.h"

#include <string.h>

/* The status for a failure of a connection that was there. */
static int status_of_exchange(int code, bool has_head)
{
    switch (code) {
    case CONDUIT_ETRUNCATED:
        return has_head ? FETCH_PARTIAL : FETCH_EMPTY;
    case CONDUIT_EPIPE:
    case CONDUIT_ECLOSED:
        return FETCH_SEND;
    case CONDUIT_EPROTO:
        return FETCH_PROTOCOL;
    default:
        return FETCH_RECEIVE;
    }
}

/* The status for a failure of TLS before there was any. */
int fetch_status_of_tls(const struct conduit_error *err)
{
    switch (err->code) {
    case CONDUIT_ESCHEME:
        return FETCH_SCHEME;
    case CONDUIT_ENOMEM:
        return FETCH_MEMORY;
    case CONDUIT_ENOENT:
    case CONDUIT_EACCESS:
    case CONDUIT_EIO:
    case CONDUIT_EINVAL:
    case CONDUIT_ELIMIT:
    case CONDUIT_ENOTSUP:
        return FETCH_OWN;
    default:
        return FETCH_TLS;
    }
}

/* What is the same whatever was under way; FETCH_OK: it is not. */
static int status_of_code(int code)
{
    switch (code) {
    case CONDUIT_ESCHEME:
        return FETCH_SCHEME;
    case CONDUIT_EURI:
        return FETCH_URI;
    case CONDUIT_ENAME:
        return FETCH_NAME;
    case CONDUIT_ENOMEM:
        return FETCH_MEMORY;
    case CONDUIT_ETIMEDOUT:
        return FETCH_TIMEOUT;
    case CONDUIT_ECERT:
        return FETCH_PEER;
    default:
        return FETCH_OK;
    }
}

int fetch_status_of_dial(const struct conduit_error *err)
{
    int status = status_of_code(err->code);

    if (status != FETCH_OK) {
        return status;
    }
    if (err->code != CONDUIT_ETLS && strcmp(err->layer, "tls") != 0) {
        return FETCH_CONNECT;
    }
    return err->code == CONDUIT_EINVAL ? FETCH_USAGE /* no --tls-name */
                                       : fetch_status_of_tls(err);
}

int fetch_status_of(const struct conduit_error *err,
                    const struct conduit_http_call *call)
{
    int status = status_of_code(err->code);

    if (status != FETCH_OK) {
        return status;
    }
    if (call == NULL) {
        return FETCH_USAGE; /* a method or field that no request can have */
    }
    if (conduit_http_call_conn(call) == NULL) {
        return fetch_status_of_dial(err);
    }
    return status_of_exchange(err->code, conduit_http_call_status(call) != 0);
}
