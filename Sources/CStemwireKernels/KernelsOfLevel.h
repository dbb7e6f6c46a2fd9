// All kernels of one instruction set level. Included once per level, after VECTOR_BYTES (32 or 64), LEVEL_TABLE and
// LEVEL_NAME are defined, inside that level's target attribute. Everything but the table is static, so that no code of
// a higher level can be linked in place of a lower one's.

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define UNROLLED _Pragma("clang loop unroll(full)")

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

// A vector of 16 bits, widened.
typedef uint32_t u16_as_u32 __attribute__((vector_size(2 * VECTOR_BYTES)));

typedef u8_vector u8_vector_any __attribute__((aligned(1), may_alias));
typedef u32_vector u32_vector_any __attribute__((aligned(1), may_alias));
typedef u16_as_u32 u16_as_u32_any __attribute__((aligned(1), may_alias));
typedef u64_vector u64_vector_any __attribute__((aligned(1), may_alias));
typedef float_vector float_vector_any __attribute__((aligned(1), may_alias));

// Distances by measurement. Prefetching past the end of a buffer is harmless.
static inline void prefetch_far(const void *p) { __builtin_prefetch((const u8_any *)p + 4096); }
#define PREFETCHED_VECTORS (4096 / VECTOR_BYTES)
// Frames that are worked on at once, in groups whose sums stay in registers; computations on them; and bytes of each.
#define PASS_FRAMES SWK_PASS_FRAMES
#define PASS_GROUP 4
#define PASS_WORKS 8
#define PASS_BAND_BYTES 1536

// Which pixel of a frame is asked for next, and how many pixels further the one after it is.
struct prefetch {
    size_t next;
    size_t step;
};

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
#define LOW_BYTES(first, second) (first)
#define HIGH_BYTES(first, second) (second)
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
#define LOW_BYTES(first, second) (second)
#define HIGH_BYTES(first, second) (first)
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

// Products: what fills a register, and how many frames' sums with four masks stay in registers.
#if VECTOR_BYTES == 64
#define PART_BYTES 64
#define PRODUCT_FRAMES 6
#elif defined(BASE_X86_64)
#define PART_BYTES 16
#define PRODUCT_FRAMES 1
#elif defined(__x86_64__)
#define PART_BYTES 32
#define PRODUCT_FRAMES 3
#else
#define PART_BYTES 16
#define PRODUCT_FRAMES 6
#endif

// Frames and masks whose sums are worked on at once, and the bytes of each frame that are.
#define PRODUCT_CHUNK 8
#define PRODUCT_MASKS 16
#define PRODUCT_ROW_BYTES 2048

#if defined(BASE_X86_64)
#include "ExactMultiplyAdd.h"
#else
#define FUSED_MULTIPLY_ADD(a, b, c) __builtin_elementwise_fma(a, b, c)
#endif

typedef float f32_x8 __attribute__((vector_size(32)));
typedef double f64_x8 __attribute__((vector_size(64)));
typedef double f64_x4 __attribute__((vector_size(32)));
typedef double f64_x2 __attribute__((vector_size(16)));

// The upper half of the lanes is added to the lower one, until one is left.
static inline double total_of_8(const f64_x8 *lanes) {
    f64_x4 four = __builtin_shufflevector(*lanes, *lanes, 0, 1, 2, 3) +
                  __builtin_shufflevector(*lanes, *lanes, 4, 5, 6, 7);
    f64_x2 two = __builtin_shufflevector(four, four, 0, 1) + __builtin_shufflevector(four, four, 2, 3);
    return two[0] + two[1];
}

static inline double total_f32(const void *lanes) {
    f32_x8 halves[2];
    memcpy(halves, lanes, sizeof halves);
    f64_x8 eight = __builtin_convertvector(halves[0], f64_x8) + __builtin_convertvector(halves[1], f64_x8);
    return total_of_8(&eight);
}

static inline double total_f64(const void *lanes) {
    f64_x8 eight;
    memcpy(&eight, lanes, sizeof eight);
    return total_of_8(&eight);
}

#define REAL float
#define REAL_NAME f32
#define LANES_TOTAL total_f32
#define MULTIPLY_ADD FUSED_MULTIPLY_ADD
#include "ProductKernels.h"

static void products_of_pixels(enum swk_encoding encoding, const struct swk_stack *frames,
                               const struct swk_masks *masks, double *sums) {
    static const uint8_t pixel_bytes[SWK_ENCODINGS] = {1, 2, 4, 8, 2, 4, 8};
    static void (*const to_float[SWK_ENCODINGS])(const struct swk_stack *, float *) = {
        to_float_u8, to_float_u16, to_float_u32, to_float_u64, to_float_be16, to_float_be32, to_float_be64,
    };
    struct source_f32 source = {frames->base, frames->stride, pixel_bytes[encoding], to_float[encoding]};
    add_products_f32(source, frames->frames, masks, frames->pixels, sums);
}

// Of double there is no fused product that every processor has, nor a cheap way to the same bits.
#define REAL double
#define REAL_NAME f64
#define LANES_TOTAL total_f64
#define MULTIPLY_ADD(a, b, c) multiply_then_add(a, b, c)

typedef double f64_part __attribute__((vector_size(PART_BYTES)));

static inline f64_part multiply_then_add(f64_part a, f64_part b, f64_part c) {
#pragma clang fp contract(off)
    return a * b + c;
}

#include "ProductKernels.h"

#define PIXEL_TABLE(name)                                                                                        \
    {                                                                                                            \
        perform_##name, region_sums_##name, to_float_##name, to_native_##name                                    \
    }

static const struct swk_pixel_kernels pixel_tables[SWK_ENCODINGS] = {
    [SWK_U8] = PIXEL_TABLE(u8),     [SWK_U16] = PIXEL_TABLE(u16),   [SWK_U32] = PIXEL_TABLE(u32),
    [SWK_U64] = PIXEL_TABLE(u64),   [SWK_BE16] = PIXEL_TABLE(be16), [SWK_BE32] = PIXEL_TABLE(be32),
    [SWK_BE64] = PIXEL_TABLE(be64),
};

const struct swk_kernels LEVEL_TABLE = {
    LEVEL_NAME, pixel_tables, raw_1, raw_6, raw_12, raw_24, unpack_bits, drain_u32, products_of_pixels, products_f32,
    products_f64,
};
