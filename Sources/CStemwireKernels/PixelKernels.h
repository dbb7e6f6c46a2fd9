// The kernels per pixel, over frames, for pixels of one encoding. Included once per encoding by KernelsOfLevel.h, which
// defines
//   PIXEL, PIXEL_BITS    the native pixel type and its width
//   PIXEL_NAME           suffix of the functions
//   TO_NATIVE(x)         a loaded pixel as a number
//   VECTOR_TO_NATIVE(v)  the same for a vector of loaded pixels, of any length

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

// Sums and maxima take four frames at a time: accumulators are loaded and stored once for four, and the streams are few
// enough for the hardware's prefetching. `n` is a constant wherever these are called, so the inner loops are unrolled.
#define FOR_GROUPS(stack, kernel, ...)                                                          \
    size_t f = 0;                                                                               \
    for (; f + 4 <= stack->frames; f += 4) {                                                    \
        SOURCE p[4] = {NAME(frame)(stack, f), NAME(frame)(stack, f + 1),                        \
                       NAME(frame)(stack, f + 2), NAME(frame)(stack, f + 3)};                   \
        kernel(p, 4, stack->pixels, __VA_ARGS__);                                               \
    }                                                                                           \
    for (; f + 2 <= stack->frames; f += 2) {                                                    \
        SOURCE p[2] = {NAME(frame)(stack, f), NAME(frame)(stack, f + 1)};                       \
        kernel(p, 2, stack->pixels, __VA_ARGS__);                                               \
    }                                                                                           \
    for (; f < stack->frames; f++) {                                                            \
        SOURCE p[1] = {NAME(frame)(stack, f)};                                                  \
        kernel(p, 1, stack->pixels, __VA_ARGS__);                                               \
    }

ALWAYS_INLINE void NAME(add_u32)(SOURCE const *p, size_t n, size_t count, uint32_t *sums) {
    size_t i = 0;
    for (; i + VECTOR_BYTES / 4 <= count; i += VECTOR_BYTES / 4) {
        u32_vector sum = *(u32_vector_any *)(sums + i);
        for (size_t k = 0; k < n; k++) {
            prefetch_near(p[k] + i);
            sum += NAME(load_u32)(p[k] + i);
        }
        *(u32_vector_any *)(sums + i) = sum;
    }
    for (; i < count; i++) {
        for (size_t k = 0; k < n; k++) sums[i] += (uint32_t)TO_NATIVE(p[k][i]);
    }
}

static void NAME(add_to_u32)(const struct swk_stack *stack, uint32_t *sums) {
    FOR_GROUPS(stack, NAME(add_u32), sums)
}

ALWAYS_INLINE void NAME(add_u64)(SOURCE const *p, size_t n, size_t count, uint64_t *sums) {
    size_t i = 0;
    for (; i + VECTOR_BYTES / 8 <= count; i += VECTOR_BYTES / 8) {
        u64_vector sum = *(u64_vector_any *)(sums + i);
        for (size_t k = 0; k < n; k++) {
            prefetch_near(p[k] + i);
            sum += NAME(load_u64)(p[k] + i);
        }
        *(u64_vector_any *)(sums + i) = sum;
    }
    for (; i < count; i++) {
        for (size_t k = 0; k < n; k++) sums[i] += TO_NATIVE(p[k][i]);
    }
}

static void NAME(add_to_u64)(const struct swk_stack *stack, uint64_t *sums) {
    FOR_GROUPS(stack, NAME(add_u64), sums)
}

ALWAYS_INLINE void NAME(add_squares)(SOURCE const *p, size_t n, size_t count, uint64_t *sums, uint64_t *squares) {
    size_t i = 0;
    for (; i + VECTOR_BYTES / 8 <= count; i += VECTOR_BYTES / 8) {
        u64_vector sum = *(u64_vector_any *)(sums + i);
        u64_vector square = *(u64_vector_any *)(squares + i);
        for (size_t k = 0; k < n; k++) {
            prefetch_near(p[k] + i);
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

static void NAME(add_with_squares)(const struct swk_stack *stack, uint64_t *sums, uint64_t *squares) {
    FOR_GROUPS(stack, NAME(add_squares), sums, squares)
}

ALWAYS_INLINE void NAME(take_maximum)(SOURCE const *p, size_t n, size_t count, PIXEL *maxima) {
    size_t i = 0;
    for (; i + SAME_COUNT <= count; i += SAME_COUNT) {
        NAME(same) maximum = *(NAME(same) *)(maxima + i);
        for (size_t k = 0; k < n; k++) {
            prefetch_near(p[k] + i);
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

static void NAME(maximum)(const struct swk_stack *stack, void *maxima) {
    PIXEL *out = maxima;
    FOR_GROUPS(stack, NAME(take_maximum), out)
}

static void NAME(to_float)(const struct swk_stack *stack, float *pixels) {
    for (size_t f = 0; f < stack->frames; f++) {
        SOURCE p = NAME(frame)(stack, f);
        float *out = pixels + f * stack->pixels;
        size_t i = 0;
        for (; i + VECTOR_BYTES / 4 <= stack->pixels; i += VECTOR_BYTES / 4) {
            prefetch_far(p + i);
            NAME(for_u32) values = VECTOR_TO_NATIVE(*(const NAME(for_u32) *)(p + i));
            *(float_vector_any *)(out + i) = __builtin_convertvector(values, float_vector);
        }
        for (; i < stack->pixels; i++) out[i] = (float)TO_NATIVE(p[i]);
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

#undef FOR_GROUPS
#undef SAME_COUNT
#undef SOURCE
#undef NAME
#undef PIXEL
#undef PIXEL_BITS
#undef PIXEL_NAME
#undef TO_NATIVE
#undef VECTOR_TO_NATIVE
