#include "CBench.h"

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t add_wide(const uint64_t *words, size_t count) {
    uint64_t sums[16] = {0};
    for (size_t at = 0; at + 16 <= count; at += 16)
        for (int lane = 0; lane < 16; lane++) sums[lane] += words[at + lane];
    uint64_t sum = 0;
    for (int lane = 0; lane < 16; lane++) sum += sums[lane];
    return sum;
}
#endif

static uint64_t add(const uint64_t *words, size_t count) {
    uint64_t sums[16] = {0};
    for (size_t at = 0; at + 16 <= count; at += 16)
        for (int lane = 0; lane < 16; lane++) sums[lane] += words[at + lane];
    uint64_t sum = 0;
    for (int lane = 0; lane < 16; lane++) sum += sums[lane];
    return sum;
}

uint64_t bench_read_memory(const void *bytes, size_t count) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return add_wide(bytes, count / 8);
#endif
    return add(bytes, count / 8);
}
