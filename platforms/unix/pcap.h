/* SPDX-License-Identifier: ISC */
/* Frames in a file that tcpdump, tshark and Wireshark read. */
#ifndef CDT_PCAP_H
#define CDT_PCAP_H

#include "core.h"

struct cdt_pcap;

/* Makes the file, or empties it. Errors are of layer "tap". */
int cdt_pcap_open(struct conduit_ctx *ctx, const char *path,
                  struct cdt_pcap **out, struct conduit_error *err);

/* Keeps a frame of n bytes, in segments. Cannot fail: when the file can take no
 * more, the log says so and capturing is over. */
void cdt_pcap_frame(struct cdt_pcap *pcap, const struct conduit_seg *seg,
                    unsigned count, size_t n);

/* Writes what is left, and closes the file. NULL is harmless. */
void cdt_pcap_close(struct cdt_pcap *pcap);

#endif
