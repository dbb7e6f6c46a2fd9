// All kernels of one instruction set level. Included once per level, after VECTOR_BYTES (32 or 64), LEVEL_TABLE and
// LEVEL_NAME are defined, inside that level's target attribute. Everything but the table is static, so that no code of
// a higher level can be linked in place of a lower one's.

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

// Memory at any address, and whatever type the caller knows it by.
typedef uint8_t u8_any __attribute__((may_alias));
typedef uint16_t u16_any __attribute__((aligned(1), may_alias));
typedef uint32_t u32_any __attribute__((aligned(1), may_alias));
typedef uint64_t u64_any __attribute__((aligned(1), may_alias));

typedef uint8_t u8_vector __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t u16_vector __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t u32_vector __attribute__((vector_size(VECTOR_BYTES)));
typedef uint64_t u64_vector __attribute__((vector_size(VECTOR_BYTES)));
typedef float float_vector __attribute__((vector_size(VECTOR_BYTES)));

typedef u8_vector u8_vector_any __attribute__((aligned(1), may_alias));
typedef u32_vector u32_vector_any __attribute__((aligned(1), may_alias));
typedef u64_vector u64_vector_any __attribute__((aligned(1), may_alias));
typedef float_vector float_vector_any __attribute__((aligned(1), may_alias));

// Distances by measurement: with several streams at once, far ones push each other out of the first-level cache.
// Prefetching past the end of a buffer is harmless.
static inline void prefetch_near(const void *p) { __builtin_prefetch((const u8_any *)p + 2048); }
static inline void prefetch_far(const void *p) { __builtin_prefetch((const u8_any *)p + 4096); }
#define PREFETCHED_VECTORS (4096 / VECTOR_BYTES)

static inline uint64_t swap64(uint64_t x) { return __builtin_bswap64(x); }

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static inline uint64_t lanes_sum(u64_vector v) {
    uint64_t sum = 0;
    for (size_t i = 0; i < VECTOR_BYTES / 8; i++) sum += v[i];
    return sum;
}

// Bytes 64 − n … 127 − n: n bytes set, the rest clear.
static const uint8_t leading_bytes[128] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
};

#define SWAP_64_BIT_LANES(v)                                                                                     \
    ((v) << 56 | ((v) << 40 & 0x00ff000000000000) | ((v) << 24 & 0x0000ff0000000000) |                           \
     ((v) << 8 & 0x000000ff00000000) | ((v) >> 8 & 0x00000000ff000000) | ((v) >> 24 & 0x0000000000ff0000) |      \
     ((v) >> 40 & 0x000000000000ff00) | (v) >> 56)

#define PIXEL uint8_t
#define PIXEL_BITS 8
#define PIXEL_NAME u8
#define TO_NATIVE(x) (x)
#define VECTOR_TO_NATIVE(v) (v)
#include "PixelKernels.h"

#define PIXEL uint16_t
#define PIXEL_BITS 16
#define PIXEL_NAME u16
#define TO_NATIVE(x) (x)
#define VECTOR_TO_NATIVE(v) (v)
#include "PixelKernels.h"

#define PIXEL uint32_t
#define PIXEL_BITS 32
#define PIXEL_NAME u32
#define TO_NATIVE(x) (x)
#define VECTOR_TO_NATIVE(v) (v)
#include "PixelKernels.h"

#define PIXEL uint64_t
#define PIXEL_BITS 64
#define PIXEL_NAME u64
#define TO_NATIVE(x) (x)
#define VECTOR_TO_NATIVE(v) (v)
#include "PixelKernels.h"

#define PIXEL uint16_t
#define PIXEL_BITS 16
#define PIXEL_NAME be16
#define TO_NATIVE(x) __builtin_bswap16(x)
#define VECTOR_TO_NATIVE(v) ((v) << 8 | (v) >> 8)
#include "PixelKernels.h"

#define PIXEL uint32_t
#define PIXEL_BITS 32
#define PIXEL_NAME be32
#define TO_NATIVE(x) __builtin_bswap32(x)
#define VECTOR_TO_NATIVE(v) ((v) << 24 | ((v) << 8 & 0x00ff0000) | ((v) >> 8 & 0x0000ff00) | (v) >> 24)
#include "PixelKernels.h"

#define PIXEL uint64_t
#define PIXEL_BITS 64
#define PIXEL_NAME be64
#define TO_NATIVE(x) __builtin_bswap64(x)
#define VECTOR_TO_NATIVE(v) SWAP_64_BIT_LANES(v)
#include "PixelKernels.h"

#include "RawKernels.h"

// As many sums as the registers of a level hold; vectors of a product are 64 bytes at every level.
#if VECTOR_BYTES == 64
#define PRODUCT_FRAMES 4
#define PRODUCT_MASKS 4
#elif defined(SMALL_REGISTER_FILE)
#define PRODUCT_FRAMES 2
#define PRODUCT_MASKS 1
#else
#define PRODUCT_FRAMES 2
#define PRODUCT_MASKS 2
#endif

#define REAL float
#define REAL_NAME f32
#define PRODUCT_LANES 16
#include "ProductKernels.h"

#define REAL double
#define REAL_NAME f64
#define PRODUCT_LANES 8
#include "ProductKernels.h"

#define PIXEL_TABLE(name)                                                                                        \
    {                                                                                                            \
        add_to_u32_##name, add_to_u64_##name, add_with_squares_##name, maximum_##name, frame_sums_##name,        \
            region_sums_##name, moments_##name, to_float_##name, to_native_##name                                \
    }

static const struct swk_pixel_kernels pixel_tables[SWK_ENCODINGS] = {
    [SWK_U8] = PIXEL_TABLE(u8),     [SWK_U16] = PIXEL_TABLE(u16),   [SWK_U32] = PIXEL_TABLE(u32),
    [SWK_U64] = PIXEL_TABLE(u64),   [SWK_BE16] = PIXEL_TABLE(be16), [SWK_BE32] = PIXEL_TABLE(be32),
    [SWK_BE64] = PIXEL_TABLE(be64),
};

const struct swk_kernels LEVEL_TABLE = {
    LEVEL_NAME, pixel_tables, raw_1, raw_6, raw_12, raw_24, unpack_bits, drain_u32, products_f32, products_f64,
};
