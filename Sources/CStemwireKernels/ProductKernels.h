// Sums of products of frames and masks, for one floating-point type. Included once per type by KernelsOfLevel.h, which
// defines
//   REAL           the type
//   REAL_NAME      suffix of the functions
//   PRODUCT_LANES  how many pixels have a sum of their own
//
// The order of the additions is part of the result, so it is the same at every level: lane l of PRODUCT_LANES adds up
// the pixels l, l + PRODUCT_LANES, …, each product being rounded before it is added (no fused multiply-add, which not
// every level has); then the lanes are added up in rising order as double.

#define NAME(function) JOIN(function, REAL_NAME)

typedef REAL NAME(real) __attribute__((aligned(sizeof(REAL)), may_alias));
typedef REAL NAME(lanes) __attribute__((vector_size(PRODUCT_LANES * sizeof(REAL))));
typedef NAME(lanes) NAME(lanes_any) __attribute__((aligned(sizeof(REAL)), may_alias));

// The sums of `n` frames and `m` masks stay in registers; both are constants wherever this is called.
ALWAYS_INLINE void NAME(add_products)(const NAME(real) *frames, size_t frame_stride, size_t n, const NAME(real) *masks,
                                      size_t mask_stride, size_t m, size_t pixels, double *sums, size_t sums_stride) {
#pragma clang fp contract(off)
    NAME(lanes) sum[PRODUCT_FRAMES][PRODUCT_MASKS] = {{{0}}};
    size_t i = 0;
    for (; i + PRODUCT_LANES <= pixels; i += PRODUCT_LANES) {
        NAME(lanes) mask[PRODUCT_MASKS];
        for (size_t b = 0; b < m; b++) mask[b] = *(const NAME(lanes_any) *)(masks + b * mask_stride + i);
        for (size_t a = 0; a < n; a++) {
            NAME(lanes) frame = *(const NAME(lanes_any) *)(frames + a * frame_stride + i);
            for (size_t b = 0; b < m; b++) sum[a][b] += frame * mask[b];
        }
    }
    for (size_t a = 0; a < n; a++) {
        for (size_t b = 0; b < m; b++) {
            NAME(lanes) lanes = sum[a][b];
            for (size_t l = 0; l < pixels - i; l++) {
                lanes[l] += frames[a * frame_stride + i + l] * masks[b * mask_stride + i + l];
            }
            double total = 0;
            for (size_t l = 0; l < PRODUCT_LANES; l++) total += lanes[l];
            sums[a * sums_stride + b] += total;
        }
    }
}

static void NAME(products)(const struct swk_matrix *frames, const struct swk_matrix *masks, size_t pixels,
                           double *sums) {
    const NAME(real) *frame = frames->base;
    size_t a = 0;
    for (; a + PRODUCT_FRAMES <= frames->rows; a += PRODUCT_FRAMES, frame += PRODUCT_FRAMES * frames->stride) {
        const NAME(real) *mask = masks->base;
        double *out = sums + a * masks->rows;
        size_t b = 0;
        for (; b + PRODUCT_MASKS <= masks->rows; b += PRODUCT_MASKS, mask += PRODUCT_MASKS * masks->stride) {
            NAME(add_products)(frame, frames->stride, PRODUCT_FRAMES, mask, masks->stride, PRODUCT_MASKS, pixels,
                               out + b, masks->rows);
        }
        for (; b < masks->rows; b++, mask += masks->stride) {
            NAME(add_products)(frame, frames->stride, PRODUCT_FRAMES, mask, masks->stride, 1, pixels, out + b,
                               masks->rows);
        }
    }
    for (; a < frames->rows; a++, frame += frames->stride) {
        const NAME(real) *mask = masks->base;
        double *out = sums + a * masks->rows;
        size_t b = 0;
        for (; b + PRODUCT_MASKS <= masks->rows; b += PRODUCT_MASKS, mask += PRODUCT_MASKS * masks->stride) {
            NAME(add_products)(frame, frames->stride, 1, mask, masks->stride, PRODUCT_MASKS, pixels, out + b,
                               masks->rows);
        }
        for (; b < masks->rows; b++, mask += masks->stride) {
            NAME(add_products)(frame, frames->stride, 1, mask, masks->stride, 1, pixels, out + b, masks->rows);
        }
    }
}

#undef NAME
#undef REAL
#undef REAL_NAME
#undef PRODUCT_LANES
