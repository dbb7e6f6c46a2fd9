// The kernels for pixels of one encoding. Included once per encoding by KernelsOfLevel.h, which defines
//   PIXEL, PIXEL_BITS    the native pixel type and its width
//   PIXEL_NAME           suffix of the functions
//   TO_NATIVE(x)         a loaded pixel as a number
//   VECTOR_TO_NATIVE(v)  the same for a vector of loaded pixels, of any length
//   LOW_BYTES(first, second), HIGH_BYTES(…)  for 16 bits: which byte in memory is the lower one

#define NAME(function) JOIN(function, PIXEL_NAME)

// Pixels in memory, at any address and whatever type the caller knows them by: one, and as many as fill a vector when
// they are widened to 32 bits, to 64 bits, or not at all.
typedef PIXEL NAME(pixel) __attribute__((aligned(1), may_alias));
typedef PIXEL NAME(for_u32) __attribute__((vector_size(sizeof(PIXEL) * VECTOR_BYTES / 4), aligned(1), may_alias));
typedef PIXEL NAME(for_u64) __attribute__((vector_size(sizeof(PIXEL) * VECTOR_BYTES / 8), aligned(1), may_alias));
typedef PIXEL NAME(same) __attribute__((vector_size(VECTOR_BYTES), aligned(1), may_alias));

#define SOURCE const NAME(pixel) *
#define SAME_COUNT (VECTOR_BYTES / sizeof(PIXEL))

static inline SOURCE NAME(frame)(const struct swk_stack *stack, size_t index) {
    return (SOURCE)((const u8_any *)stack->base + index * stack->stride);
}

static inline u32_vector NAME(load_u32)(SOURCE p) {
    return __builtin_convertvector(VECTOR_TO_NATIVE(*(const NAME(for_u32) *)p), u32_vector);
}

static inline u64_vector NAME(load_u64)(SOURCE p) {
    return __builtin_convertvector(VECTOR_TO_NATIVE(*(const NAME(for_u64) *)p), u64_vector);
}

#if PIXEL_BITS == 16
// Sums of neighbouring lanes.
static inline u32_vector NAME(pairs)(u16_vector v) { return ((u32_vector)v & 0xffff) + ((u32_vector)v >> 16); }
#endif

// Per pixel, over frames. Sums of a few pixels stay in registers while `n` frames are added, a constant wherever these
// are called, so that the inner loops are unrolled.

// With `totals`, Σ over the pixels goes to totals[frame], too.
ALWAYS_INLINE void NAME(add_u32)(SOURCE const *p, size_t n, size_t count, struct prefetch ahead, uint32_t *sums,
                                 u64_vector *totals) {
    size_t i = 0;
#if PIXEL_BITS == 16
    // The two bytes of pixels are added up apart in lanes of 16 bits, which hold the sum of 257, and widened once for
    // all frames, or for all pixels.
    while (i + SAME_COUNT <= count) {
        u16_vector even[PASS_FRAMES], odd[PASS_FRAMES];
        UNROLLED for (size_t k = 0; k < n; k++) even[k] = odd[k] = (u16_vector){0};
        size_t end = i + smaller((count - i) / SAME_COUNT, 256) * SAME_COUNT;
        for (; i < end; i += SAME_COUNT, ahead.next += ahead.step) {
            u16_vector even_sum = {0}, odd_sum = {0};
            UNROLLED for (size_t k = 0; k < n; k++) {
                __builtin_prefetch(p[k] + ahead.next);
                u16_vector pixels = (u16_vector)*(const NAME(same) *)(p[k] + i);
                even_sum += pixels & 0xff;
                odd_sum += pixels >> 8;
                if (totals) {
                    even[k] += pixels & 0xff;
                    odd[k] += pixels >> 8;
                }
            }
            u16_as_u32 low = __builtin_convertvector(LOW_BYTES(even_sum, odd_sum), u16_as_u32);
            u16_as_u32 high = __builtin_convertvector(HIGH_BYTES(even_sum, odd_sum), u16_as_u32);
            *(u16_as_u32_any *)(sums + i) += low + (high << 8);
        }
        if (totals) UNROLLED for (size_t k = 0; k < n; k++) {
            u32_vector low = NAME(pairs)(LOW_BYTES(even[k], odd[k]));
            u32_vector high = NAME(pairs)(HIGH_BYTES(even[k], odd[k]));
            u32_vector sum = low + (high << 8);
            totals[k] += ((u64_vector)sum & 0xffffffff) + ((u64_vector)sum >> 32);
        }
    }
#else
    for (; i + VECTOR_BYTES / 4 <= count; i += VECTOR_BYTES / 4, ahead.next += ahead.step) {
        u32_vector sum = *(u32_vector_any *)(sums + i);
        for (size_t k = 0; k < n; k++) {
            __builtin_prefetch(p[k] + ahead.next);
            sum += NAME(load_u32)(p[k] + i);
        }
        *(u32_vector_any *)(sums + i) = sum;
    }
#endif
    for (; i < count; i++) {
        for (size_t k = 0; k < n; k++) {
            sums[i] += (uint32_t)TO_NATIVE(p[k][i]);
            if (totals) totals[k][0] += TO_NATIVE(p[k][i]);
        }
    }
}

ALWAYS_INLINE void NAME(add_u64)(SOURCE const *p, size_t n, size_t count, struct prefetch ahead, uint64_t *sums) {
    size_t i = 0;
    for (; i + VECTOR_BYTES / 8 <= count; i += VECTOR_BYTES / 8, ahead.next += ahead.step) {
        u64_vector sum = *(u64_vector_any *)(sums + i);
        for (size_t k = 0; k < n; k++) {
            __builtin_prefetch(p[k] + ahead.next);
            sum += NAME(load_u64)(p[k] + i);
        }
        *(u64_vector_any *)(sums + i) = sum;
    }
    for (; i < count; i++) {
        for (size_t k = 0; k < n; k++) sums[i] += TO_NATIVE(p[k][i]);
    }
}

ALWAYS_INLINE void NAME(add_squares)(SOURCE const *p, size_t n, size_t count, struct prefetch ahead, uint64_t *sums,
                                     uint64_t *squares) {
    size_t i = 0;
    for (; i + VECTOR_BYTES / 8 <= count; i += VECTOR_BYTES / 8, ahead.next += ahead.step) {
        u64_vector sum = *(u64_vector_any *)(sums + i);
        u64_vector square = *(u64_vector_any *)(squares + i);
        for (size_t k = 0; k < n; k++) {
            __builtin_prefetch(p[k] + ahead.next);
            u64_vector value = NAME(load_u64)(p[k] + i);
            sum += value;
            square += value * value;
        }
        *(u64_vector_any *)(sums + i) = sum;
        *(u64_vector_any *)(squares + i) = square;
    }
    for (; i < count; i++) {
        for (size_t k = 0; k < n; k++) {
            uint64_t value = TO_NATIVE(p[k][i]);
            sums[i] += value;
            squares[i] += value * value;
        }
    }
}

ALWAYS_INLINE void NAME(take_maximum)(SOURCE const *p, size_t n, size_t count, struct prefetch ahead, PIXEL *maxima) {
    size_t i = 0;
    for (; i + SAME_COUNT <= count; i += SAME_COUNT, ahead.next += ahead.step) {
        NAME(same) maximum = *(NAME(same) *)(maxima + i);
        for (size_t k = 0; k < n; k++) {
            __builtin_prefetch(p[k] + ahead.next);
            NAME(same) value = VECTOR_TO_NATIVE(*(const NAME(same) *)(p[k] + i));
            maximum = __builtin_elementwise_max(maximum, value);
        }
        *(NAME(same) *)(maxima + i) = maximum;
    }
    for (; i < count; i++) {
        for (size_t k = 0; k < n; k++) {
            PIXEL value = TO_NATIVE(p[k][i]);
            if (value > maxima[i]) maxima[i] = value;
        }
    }
}

static void NAME(to_float)(const struct swk_stack *stack, float *pixels) {
    size_t count = stack->pixels;
    for (size_t f = 0; f < stack->frames; f++) {
        SOURCE p = NAME(frame)(stack, f);
        float *out = pixels + f * count;
        size_t i = 0;
        for (; i + VECTOR_BYTES / 4 <= count; i += VECTOR_BYTES / 4) {
            prefetch_far(p + i);
            NAME(for_u32) values = VECTOR_TO_NATIVE(*(const NAME(for_u32) *)(p + i));
            *(float_vector_any *)(out + i) = __builtin_convertvector(values, float_vector);
        }
        for (; i < count; i++) out[i] = (float)TO_NATIVE(p[i]);
    }
}

static void NAME(to_native)(const struct swk_stack *stack, void *pixels) {
    for (size_t f = 0; f < stack->frames; f++) {
        SOURCE p = NAME(frame)(stack, f);
        PIXEL *out = (PIXEL *)pixels + f * stack->pixels;
        size_t i = 0;
        for (; i + SAME_COUNT <= stack->pixels; i += SAME_COUNT) {
            prefetch_far(p + i);
            *(NAME(same) *)(out + i) = VECTOR_TO_NATIVE(*(const NAME(same) *)(p + i));
        }
        for (; i < stack->pixels; i++) out[i] = TO_NATIVE(p[i]);
    }
}

#include "FrameSumKernels.h"
#include "PassKernels.h"

#undef LANES
#undef LANE_BYTES
#undef LANE_COUNT
#undef WIDE
#undef EVEN
#undef ODD
#undef LANES_PER_WIDE
#undef WIDE_PER_U64
#undef VECTORS_PER_SEGMENT
#undef SAME_COUNT
#undef SOURCE
#undef NAME
#undef PIXEL
#undef PIXEL_BITS
#undef PIXEL_NAME
#undef TO_NATIVE
#undef VECTOR_TO_NATIVE
#undef LOW_BYTES
#undef HIGH_BYTES
