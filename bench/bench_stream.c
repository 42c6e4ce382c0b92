/* SPDX-License-Identifier: ISC */
/* Throughput one way, against bare epoll with the same sizes of write and read.
 */
#include "bench.h"

#include <stdio.h>

#define REPEATS 9

int main(void)
{
    static const size_t sizes[] = {512, 4096, 16384, 65536};
    size_t t;
    size_t i;

    for (t = 0; t < 2; t++) {
        for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct bench_job job = {.transport = &bench_transports[t],
                                    .size = sizes[i],
                                    .rounds = 1000000000L / (long)sizes[i]};
            double gigabits = 8e-9 * (double)sizes[i];
            double conduit;
            double bare;
            char name[64];

            if (sizes[i] < 4096) {
                job.rounds /= 10;
            }
            bench_compare(&job, REPEATS, &conduit, &bare);
            (void)snprintf(name, sizeof name, "stream %s %zu B",
                           bench_transports[t].name, sizes[i]);
            gigabits *= (double)job.rounds;
            bench_line(name, gigabits / conduit, gigabits / bare,
                       bare / conduit, sizes[i] < 4096 ? "-" : "0.95",
                       "Gbit/s");
        }
    }
    return 0;
}
