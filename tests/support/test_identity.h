/* SPDX-License-Identifier: ISC */
/*
 * An identity for tests without files and without a library that could make
 * one: the folder identity, compiled in. Valid for a century, and its key is
 * public: for tests on one machine.
 */
#ifndef TESTS_TEST_IDENTITY_H
#define TESTS_TEST_IDENTITY_H

#include <conduit/tls.h>

/* Whom it is of, besides 127.0.0.1 and ::1. */
#define T_IDENTITY_NAME "conformance.test"

/* A configuration for both roles that trusts its like. Without resumption every
 * handshake is a full one. Answers as conduit_tls_new() does. */
int t_identity_tls(struct conduit_ctx *ctx, const char *engine, bool resumption,
                   struct conduit_tls **out, struct conduit_error *err);

#endif
