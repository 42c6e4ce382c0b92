/* SPDX-License-Identifier: ISC */
/* Forgetting secrets: one function, in a file of its own so that no compiler
 * sees that the memory is not read again. */
#include "tls.h"

void cdt_wipe(void *data, size_t n)
{
    volatile uint8_t *at = data;

    while (n > 0) {
        at[--n] = 0;
    }
}
