// Pixel kernels behind a function table, one table per instruction set level, chosen at run time.
//
// All source pointers may have any alignment; destinations are aligned to their element. Nothing here allocates,
// locks or keeps state, so every function may be called from any thread.

#ifndef CSTEMWIREKERNELS_H
#define CSTEMWIREKERNELS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

#ifdef __cplusplus
extern "C" {
#endif

/// How one pixel lies in memory. The order is that of `swk_kernels.pixel`.
enum swk_encoding {
    SWK_U8 = 0,
    SWK_U16,
    SWK_U32,
    SWK_U64,
    SWK_BE16,
    SWK_BE32,
    SWK_BE64,
    SWK_ENCODINGS
};

/// Frames of equal size at a fixed distance.
struct swk_stack {
    const void *base;  // first pixel of the first frame, any alignment
    size_t stride;     // bytes from one frame to the next
    size_t frames;
    size_t pixels;     // per frame
};

enum {
    SWK_MAX_REGIONS = 64,
    /// Frames that go through a pass together.
    SWK_PASS_FRAMES = 8
};

/// Consecutive pixels of one row, at least one.
struct swk_run {
    uint32_t start;  // index of the first pixel in the frame
    uint32_t count;
    uint32_t y;
    uint32_t x;
};

/// Exact sums of p, y·p and x·p, modulo 2^64.
struct swk_moments {
    uint64_t sum;
    uint64_t y;
    uint64_t x;
};

/// What is computed from frames.
enum swk_work_kind {
    /// u32 into[pixel] += Σ frames, modulo 2^32.
    SWK_ADD_TO_U32 = 0,
    /// u64 into[pixel] += Σ frames, modulo 2^64.
    SWK_ADD_TO_U64,
    /// u64 into[pixel] += Σ frames and squares[pixel] += Σ frames², both modulo 2^64.
    SWK_ADD_WITH_SQUARES,
    /// into[pixel] = max(into[pixel], frames), native integers of the pixel's width.
    SWK_MAXIMUM,
    /// u64 into[frame] = Σ pixels, modulo 2^64.
    SWK_FRAME_SUMS,
    /// u64 into[frame] = Σ pixels of the runs, modulo 2^64.
    SWK_RUN_SUMS,
    /// struct swk_moments into[frame], over the pixels of the runs.
    SWK_MOMENTS
};

struct swk_work {
    enum swk_work_kind kind;
    void *into;
    void *_Nullable squares;
    const struct swk_run *_Nullable runs;  // in rising order
    size_t run_count;
};

/// What can be done to pixels of one encoding.
struct swk_pixel_kernels {
    /// Does all works in one pass over the frames; `row_pixels` is at least 1, and runs cross no multiple of it.
    void (*perform)(const struct swk_stack *stack, const struct swk_work *works, size_t count, size_t row_pixels);
    /// sums[frame · region_count + region] = Σ pixels of that region's runs, modulo 2^64. `regions` tells the region of
    /// each run. At least one run; at most SWK_MAX_REGIONS regions.
    void (*region_sums)(const struct swk_stack *stack, const struct swk_run *runs, const uint8_t *regions,
                        size_t run_count, size_t region_count, uint64_t *sums);
    /// Frames one behind the other as float32, rounded to nearest.
    void (*to_float)(const struct swk_stack *stack, float *pixels);
    /// Frames one behind the other as native integers of the pixel's width.
    void (*to_native)(const struct swk_stack *stack, void *pixels);
};

/// Where one chip's pixels of a raw row go. Row `r` of the raw data goes to row `first_row + r · row_step` of the
/// image, its pixels to columns `column` and following, in reverse order when `turned`.
struct swk_raw_block {
    ptrdiff_t first_row;
    ptrdiff_t row_step;
    size_t column;
    int turned;
};

/// The raw (R64) geometry of a frame: each raw row holds `blocks` chip rows of `block_pixels` pixels one behind the
/// other.
struct swk_raw_geometry {
    size_t rows;          // raw rows
    size_t blocks;        // 1 to 4
    size_t block_pixels;  // a multiple of 64
    size_t width;         // of the image
    struct swk_raw_block block[4];
};

/// Rows of floating-point numbers at a fixed distance.
struct swk_matrix {
    const void *base;  // aligned to the type
    size_t stride;     // elements from one row to the next
    size_t rows;
};

enum {
    /// Packed masks that lie together.
    SWK_MASK_GROUP = 4,
    /// Bytes of a step: consecutive numbers that each have a sum of their own, 16 of float, 8 of double.
    SWK_PRODUCT_BYTES = 64
};

/// Masks for products: rows of floating-point numbers at a fixed distance, or packed in the order in which they are
/// read: [group of masks, step, mask of the group, number of the step], filled up with zeros, aligned to a step.
struct swk_masks {
    const void *base;
    size_t stride;  // elements from one row to the next; 0 when packed
    size_t rows;
};

/// One instruction set level.
struct swk_kernels {
    const char *name;
    const struct swk_pixel_kernels *pixel;  // by swk_encoding
    /// Raw frames of depth 1 and 6 to uint8, 12 to uint16, 24 (high plane, then low plane) to uint32.
    /// Pixels of the image that belong to no block are left as they are.
    void (*raw_1)(const struct swk_raw_geometry *geometry, const void *payload, void *image);
    void (*raw_6)(const struct swk_raw_geometry *geometry, const void *payload, void *image);
    void (*raw_12)(const struct swk_raw_geometry *geometry, const void *payload, void *image);
    void (*raw_24)(const struct swk_raw_geometry *geometry, const void *payload, void *image);
    /// One bit per pixel, first pixel in the most significant bit of the first byte, to one byte per pixel (0 or 1).
    void (*unpack_bits)(const void *bits, uint8_t *pixels, size_t count);
    /// wide[i] += narrow[i]; narrow[i] = 0.
    void (*drain_u32)(uint32_t *narrow, uint64_t *wide, size_t count);
    /// sums[frame · mask rows + mask] += Σ pixel · masks[mask][pixel] over the pixels of the frames, as float: each
    /// product is rounded together with the sum it is added to. The order of additions, so every bit, is the same at
    /// every level: see ProductKernels.h.
    void (*products_of_pixels)(enum swk_encoding encoding, const struct swk_stack *frames,
                               const struct swk_masks *masks, double *sums);
    /// The same for frames of float; the first `pixels` of the rows count.
    void (*products_f32)(const struct swk_matrix *frames, const struct swk_masks *masks, size_t pixels, double *sums);
    /// The same of double, products being rounded before they are added.
    void (*products_f64)(const struct swk_matrix *frames, const struct swk_masks *masks, size_t pixels, double *sums);
};

/// The levels, from the one every machine has upwards.
enum swk_level { SWK_BASE = 0, SWK_X86_64_V3, SWK_X86_64_V4, SWK_LEVELS };

/// The table of a level, or NULL when it was not built for this architecture or this processor cannot run it.
const struct swk_kernels *_Nullable swk_kernels_for(enum swk_level level);

#ifdef __cplusplus
}
#endif

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
