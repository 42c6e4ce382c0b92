/* SPDX-License-Identifier: ISC */
/*
 * What cmocka's build would find out about a guest: musl's headers are there,
 * signals and their masks are not, and a clock for its reports is not needed.
 */
#ifndef TESTS_GUEST_CMOCKA_CONFIG_H
#define TESTS_GUEST_CMOCKA_CONFIG_H

#define HAVE_INTTYPES_H 1
#define HAVE_MALLOC_H 1
#define HAVE_SIGNAL_H 1
#define HAVE_STRINGS_H 1

#endif
