/* SPDX-License-Identifier: ISC */
/* Round trips, against bare epoll with the same sizes of write and read. */
#include "bench.h"

#include <stdio.h>

#define REPEATS 9

int main(void)
{
    static const size_t sizes[] = {64, 4096, 65536};
    size_t t;
    size_t i;

    for (t = 0; t < 2; t++) {
        for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct bench_job job = {.transport = &bench_transports[t],
                                    .size = sizes[i],
                                    .rounds = sizes[i] > 4096 ? 4000 : 10000,
                                    .echo = true};
            double conduit;
            double bare;
            char name[64];

            bench_compare(&job, REPEATS, &conduit, &bare);
            (void)snprintf(name, sizeof name, "round trip %s %zu B",
                           bench_transports[t].name, sizes[i]);
            bench_line(name, 1e6 * conduit / (double)job.rounds,
                       1e6 * bare / (double)job.rounds, conduit / bare,
                       "<=1.05", "us");
        }
    }
    return 0;
}
