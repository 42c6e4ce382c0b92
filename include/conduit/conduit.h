/* SPDX-License-Identifier: ISC */
/* Everything that an application uses. A transport's author adds transport.h.
 */
#ifndef CONDUIT_CONDUIT_H
#define CONDUIT_CONDUIT_H

#include <conduit/assets.h>
#include <conduit/conn.h>
#include <conduit/context.h>
#include <conduit/endpoint.h>
#include <conduit/error.h>
#include <conduit/http.h>
#include <conduit/json.h>
#include <conduit/loop.h>
#include <conduit/resolver.h>
#include <conduit/tls.h>
#include <conduit/version.h>

#endif
