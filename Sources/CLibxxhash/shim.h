#pragma once
#include <xxhash.h>

#if defined(__x86_64__)
// Picks AVX2 or AVX-512 where the processor has them, which is three times as fast; there in Debian's library, but not
// in every build of it.
XXH64_hash_t XXH3_64bits_dispatch(const void *bytes, size_t count) __attribute__((weak));
#endif

/// XXH3_128bits as it is written: the 16 bytes of its canonical form.
static inline void stemwire_xxh3_128(const void *bytes, size_t count, unsigned char out[16]) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, count));
    __builtin_memcpy(out, canonical.digest, 16);
}

/// XXH3_64bits by the fastest code in the library.
static inline XXH64_hash_t stemwire_xxh3(const void *bytes, size_t count) {
#if defined(__x86_64__)
    if (XXH3_64bits_dispatch) return XXH3_64bits_dispatch(bytes, count);
#endif
    return XXH3_64bits(bytes, count);
}
