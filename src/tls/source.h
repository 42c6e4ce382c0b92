/* SPDX-License-Identifier: ISC */
/* Options that are kept, and the texts that their sources name. */
#ifndef CDT_TLS_SOURCE_H
#define CDT_TLS_SOURCE_H

#include "tls.h"

/* Memory that goes all at once. */
struct cdt_tls_copy {
    struct cdt_tls_block *blocks;
};

/* A deep copy; sources with data keep it. */
int cdt_tls_copy_options(struct conduit_ctx *ctx,
                         const struct conduit_tls_options *from,
                         struct cdt_tls_copy *copy,
                         struct conduit_tls_options *to,
                         struct conduit_error *err);
void cdt_tls_copy_free(struct conduit_ctx *ctx, struct cdt_tls_copy *copy);

/* What was read for a role. */
struct cdt_tls_texts {
    struct conduit_ctx *ctx;
    struct cdt_tls_copy copy;
};

int cdt_tls_read_identities(struct cdt_tls_texts *texts,
                            const struct conduit_tls_options *options,
                            struct cdt_tls_material *material,
                            struct conduit_error *err);
/* `system`: with the system's authorities, from the file that SSL_CERT_FILE of
 * the environment names, or Debian's; none at all is an error. */
int cdt_tls_read_authorities(struct cdt_tls_texts *texts,
                             const struct conduit_tls_options *options,
                             bool system, struct cdt_tls_material *material,
                             struct conduit_error *err);
int cdt_tls_read_crls(struct cdt_tls_texts *texts,
                      const struct conduit_tls_options *options,
                      struct cdt_tls_material *material,
                      struct conduit_error *err);
/* Keys are wiped. */
void cdt_tls_texts_free(struct cdt_tls_texts *texts);

#endif
