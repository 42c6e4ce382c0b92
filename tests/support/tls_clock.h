/* SPDX-License-Identifier: ISC */
/* A wall clock that a test sets ahead of the platform's, or behind it. */
#ifndef TESTS_TLS_CLOCK_H
#define TESTS_TLS_CLOCK_H

#include "support.h"

/* For the rest of the context's life; it starts with the platform's time. */
void tls_clock_take(struct t_env *env);

/* Seconds ahead of the platform's. */
void tls_clock_set(int64_t ahead);

#endif
