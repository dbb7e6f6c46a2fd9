// Sums of products of frames and masks, for one floating-point type. Included once per type by KernelsOfLevel.h, which
// defines
//   REAL                  the type
//   REAL_NAME             suffix of the functions
//   MULTIPLY_ADD(a, b, c) a · b + c of vectors, rounded once or twice, but the same at every level
//   LANES_TOTAL(lanes)    the sum of SWK_PRODUCT_BYTES of that type, as double
//
// The order of the additions is part of the result, so it is the same at every level: lane l of the LANES adds up the
// pixels l, l + LANES, …; then, as double, the upper half of the lanes is added to the lower one, and so on until one
// is left. Where registers are narrower than all lanes, the pixels are gone over once for each part of the lanes.

#define NAME(function) JOIN(function, REAL_NAME)

#define LANES (SWK_PRODUCT_BYTES / sizeof(REAL))
#define PART_LANES (PART_BYTES / sizeof(REAL))
#define ROW_PIXELS (PRODUCT_ROW_BYTES / sizeof(REAL))

typedef REAL NAME(real) __attribute__((aligned(sizeof(REAL)), may_alias));
typedef REAL NAME(part) __attribute__((vector_size(PART_BYTES)));

// The sums of one frame and one mask.
struct NAME(lanes) {
    NAME(part) part[SWK_PRODUCT_BYTES / PART_BYTES];
};

// The sums of `n` frames and `m` masks of a group stay in registers; both are constants wherever this is called.
ALWAYS_INLINE void NAME(add_steps)(const REAL *frames, size_t n, const REAL *masks, size_t m, size_t steps,
                                   struct NAME(lanes) *sums) {
    for (size_t p = 0; p < LANES / PART_LANES; p++) {
        const REAL *frame = frames + p * PART_LANES;
        const REAL *mask = masks + p * PART_LANES;
        NAME(part) sum[PRODUCT_FRAMES][SWK_MASK_GROUP];
        for (size_t a = 0; a < n; a++) {
            for (size_t b = 0; b < m; b++) sum[a][b] = sums[a * PRODUCT_MASKS + b].part[p];
        }
        for (size_t i = 0; i < steps; i++, frame += LANES, mask += SWK_MASK_GROUP * LANES) {
            NAME(part) pixels[PRODUCT_FRAMES];
            for (size_t a = 0; a < n; a++) pixels[a] = *(const NAME(part) *)(frame + a * ROW_PIXELS);
            for (size_t b = 0; b < m; b++) {
                NAME(part) weights = *(const NAME(part) *)(mask + b * LANES);
                for (size_t a = 0; a < n; a++) sum[a][b] = MULTIPLY_ADD(pixels[a], weights, sum[a][b]);
            }
        }
        for (size_t a = 0; a < n; a++) {
            for (size_t b = 0; b < m; b++) sums[a * PRODUCT_MASKS + b].part[p] = sum[a][b];
        }
    }
}

static void NAME(add_group)(const REAL *frames, size_t n, const REAL *masks, size_t m, size_t steps,
                            struct NAME(lanes) *sums) {
#define CASE(frame_count, mask_count)                                                                           \
    if (n == frame_count && m == mask_count) {                                                                  \
        NAME(add_steps)(frames, frame_count, masks, mask_count, steps, sums);                                   \
        return;                                                                                                 \
    }
#define CASES(frame_count) CASE(frame_count, 4) CASE(frame_count, 3) CASE(frame_count, 2) CASE(frame_count, 1)
    CASES(1)
#if PRODUCT_FRAMES >= 3
    CASES(2)
    CASES(3)
#endif
#if PRODUCT_FRAMES >= 6
    CASES(4)
    CASES(5)
    CASES(6)
#endif
#undef CASES
#undef CASE
}

// Frames that are numbers already, or become so by `convert`.
struct NAME(source) {
    const u8_any *base;
    size_t stride;       // bytes from one frame to the next
    size_t pixel_bytes;
    void (*convert)(const struct swk_stack *stack, REAL *pixels);
};

// Some pixels of some frames, and zeros up to a whole step.
static void NAME(load_frames)(struct NAME(source) source, size_t n, size_t first, size_t count, REAL *rows) {
    size_t padding = (LANES - count % LANES) % LANES;
    for (size_t a = 0; a < n; a++) {
        const u8_any *pixels = source.base + a * source.stride + first * source.pixel_bytes;
        REAL *row = rows + a * ROW_PIXELS;
        if (source.convert) {
            struct swk_stack stack = {pixels, source.stride, 1, count};
            source.convert(&stack, row);
        } else {
            memcpy(row, pixels, count * sizeof(REAL));
        }
        memset(row + count, 0, padding * sizeof(REAL));
    }
}

// Some pixels of a group's masks as they lie in packed ones, and zeros up to a whole step.
static void NAME(load_masks)(const NAME(real) *masks, size_t stride, size_t m, size_t count, REAL *packed) {
    for (size_t i = 0; i < count; i += LANES, packed += SWK_MASK_GROUP * LANES) {
        size_t used = smaller(LANES, count - i);
        for (size_t b = 0; b < m; b++) {
            memcpy(packed + b * LANES, masks + b * stride + i, used * sizeof(REAL));
            memset(packed + b * LANES + used, 0, (LANES - used) * sizeof(REAL));
        }
    }
}

// At most PRODUCT_CHUNK frames and PRODUCT_MASKS masks. Some pixels of all of them at a time: they stay in the
// first-level cache, and the masks come from memory once for all frames.
static void NAME(add_chunk)(struct NAME(source) source, size_t n, const struct swk_masks *masks, size_t first_mask,
                            size_t m, size_t pixels, double *sums) {
    struct NAME(lanes) lanes[PRODUCT_CHUNK * PRODUCT_MASKS];
    REAL frames[PRODUCT_CHUNK * ROW_PIXELS] __attribute__((aligned(SWK_PRODUCT_BYTES)));
    REAL group[SWK_MASK_GROUP * ROW_PIXELS] __attribute__((aligned(SWK_PRODUCT_BYTES)));
    memset(lanes, 0, n * PRODUCT_MASKS * sizeof(struct NAME(lanes)));
    // Even shares, so that none is left with a frame or two.
    size_t shares = (n + PRODUCT_FRAMES - 1) / PRODUCT_FRAMES;
    for (size_t i = 0; i < pixels; i += ROW_PIXELS) {
        size_t count = smaller(ROW_PIXELS, pixels - i);
        NAME(load_frames)(source, n, i, count, frames);
        for (size_t b = 0; b < m; b += SWK_MASK_GROUP) {
            size_t used = smaller(SWK_MASK_GROUP, m - b);
            const REAL *packed = group;
            if (masks->stride) {
                const NAME(real) *rows = masks->base;
                NAME(load_masks)(rows + (first_mask + b) * masks->stride + i, masks->stride, used, count, group);
            } else {
                size_t steps_before = (first_mask + b) / SWK_MASK_GROUP * ((pixels + LANES - 1) / LANES) + i / LANES;
                packed = (const REAL *)masks->base + steps_before * SWK_MASK_GROUP * LANES;
            }
            for (size_t a = 0, share = 1; share <= shares; share++) {
                size_t end = n * share / shares;
                NAME(add_group)(frames + a * ROW_PIXELS, end - a, packed, used, (count + LANES - 1) / LANES,
                                &lanes[a * PRODUCT_MASKS + b]);
                a = end;
            }
        }
    }
    for (size_t a = 0; a < n; a++) {
        for (size_t b = 0; b < m; b++) {
            sums[a * masks->rows + first_mask + b] += LANES_TOTAL(&lanes[a * PRODUCT_MASKS + b]);
        }
    }
}

static void NAME(add_products)(struct NAME(source) source, size_t frames, const struct swk_masks *masks, size_t pixels,
                               double *sums) {
    for (size_t a = 0; a < frames; a += PRODUCT_CHUNK) {
        for (size_t b = 0; b < masks->rows; b += PRODUCT_MASKS) {
            NAME(add_chunk)(source, smaller(PRODUCT_CHUNK, frames - a), masks, b,
                            smaller(PRODUCT_MASKS, masks->rows - b), pixels, sums + a * masks->rows);
        }
        source.base += PRODUCT_CHUNK * source.stride;
    }
}

static void NAME(products)(const struct swk_matrix *frames, const struct swk_masks *masks, size_t pixels,
                           double *sums) {
    struct NAME(source) source = {frames->base, frames->stride * sizeof(REAL), sizeof(REAL), NULL};
    NAME(add_products)(source, frames->rows, masks, pixels, sums);
}

#undef NAME
#undef REAL
#undef REAL_NAME
#undef MULTIPLY_ADD
#undef LANES_TOTAL
#undef LANES
#undef PART_LANES
#undef ROW_PIXELS
