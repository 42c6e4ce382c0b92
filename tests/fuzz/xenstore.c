/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target of xenstore's client: an input is what the store does, byte by
 * byte, in between requests of the guest; see test_xen_store_feed.h.
 */
#include "test_xen_store_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)feed(data, size);
    return 0;
}
