// Raw (R64) frames: the chip's own stream of 64-bit big-endian words, in which the first pixel is in the lowest bits.
// Included by KernelsOfLevel.h.
//
// Reversing the bytes of a word brings its pixels into order. A chip that is mounted turned by 180° needs its pixels
// last to first: words last to first, and inside a word the pixels as they are.

// One chip row of `words` words. Sources are unaligned; destinations may be (rows of an image with a gap).

static inline void row_6(const u64_any *restrict words, u64_any *restrict out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = swap64(words[i]);
}

static inline void row_6_turned(const u64_any *restrict words, u64_any *restrict out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = words[count - 1 - i];
}

static inline void row_12(const u64_any *restrict words, u64_any *restrict out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = swap64(words[i]);
}

static inline uint64_t swap_bytes_in_words_of_16(uint64_t x) {
    return (x & 0x00ff00ff00ff00ff) << 8 | (x >> 8 & 0x00ff00ff00ff00ff);
}

static inline void row_12_turned(const u64_any *restrict words, u64_any *restrict out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = swap_bytes_in_words_of_16(words[count - 1 - i]);
}

// Pixels of the high plane and of the low plane to pixels of both.
static inline void join_24(const u16_any *restrict high, const u16_any *restrict low, u32_any *restrict out,
                           size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = (uint32_t)high[i] * 4096 + low[i];
}

// Words of a plane that are decoded before they are joined with the other plane's.
#define WORDS_24 64

static inline void row_24(const u64_any *high, const u64_any *low, u32_any *out, size_t count) {
    uint64_t h[WORDS_24], l[WORDS_24];
    for (size_t first = 0; first < count; first += WORDS_24) {
        size_t n = smaller(WORDS_24, count - first);
        row_12(high + first, h, n);
        row_12(low + first, l, n);
        join_24((const u16_any *)h, (const u16_any *)l, out + 4 * first, 4 * n);
    }
}

static inline void row_24_turned(const u64_any *high, const u64_any *low, u32_any *out, size_t count) {
    uint64_t h[WORDS_24], l[WORDS_24];
    for (size_t first = 0; first < count; first += WORDS_24) {
        size_t n = smaller(WORDS_24, count - first);
        row_12_turned(high + count - first - n, h, n);
        row_12_turned(low + count - first - n, l, n);
        join_24((const u16_any *)h, (const u16_any *)l, out + 4 * first, 4 * n);
    }
}

// Each byte eight times, and of each copy one bit.
#define EIGHT(i) i, i, i, i, i, i, i, i
#define ASCENDING 1, 2, 4, 8, 16, 32, 64, 128
#define DESCENDING 128, 64, 32, 16, 8, 4, 2, 1
#if VECTOR_BYTES == 32
#define SPREAD EIGHT(0), EIGHT(1), EIGHT(2), EIGHT(3)
#define BITS(order) {order, order, order, order}
#else
#define SPREAD EIGHT(0), EIGHT(1), EIGHT(2), EIGHT(3), EIGHT(4), EIGHT(5), EIGHT(6), EIGHT(7)
#define BITS(order) {order, order, order, order, order, order, order, order}
#endif

static const u8_vector ascending_bits = BITS(ASCENDING);
static const u8_vector descending_bits = BITS(DESCENDING);

// The 64 bits of a word as bytes of 0 or 1, its lowest byte first, the bits of a byte in the order of `bits`.
static inline void expand_bits(uint64_t word, u8_vector bits, u8_any *out) {
    for (size_t done = 0; done < 64; done += VECTOR_BYTES) {
        u64_vector copies = (u64_vector){0} + (word >> done);
        u8_vector bytes = __builtin_shufflevector((u8_vector)copies, (u8_vector)copies, SPREAD);
        *(u8_vector_any *)(out + done) = (u8_vector)((bytes & bits) != 0) & 1;
    }
}

static inline void row_1(const u64_any *words, u8_any *out, size_t count) {
    for (size_t i = 0; i < count; i++) expand_bits(swap64(words[i]), ascending_bits, out + 64 * i);
}

static inline void row_1_turned(const u64_any *words, u8_any *out, size_t count) {
    for (size_t i = 0; i < count; i++) expand_bits(words[count - 1 - i], descending_bits, out + 64 * i);
}

// The place in the image of row `r` of block `b`, in pixels.
static inline size_t destination(const struct swk_raw_geometry *geometry, size_t r, size_t b) {
    const struct swk_raw_block *block = &geometry->block[b];
    ptrdiff_t row = block->first_row + (ptrdiff_t)r * block->row_step;
    return (size_t)row * geometry->width + block->column;
}

static inline void prefetch_words(const u64_any *words, size_t count) {
    for (size_t i = 0; i < count; i += 8) prefetch_far(words + i);
}

// One bit a pixel is too little data to be worth asking for ahead.
#define DECODE(depth, bits, pixel_bytes)                                                              \
    static void raw_##depth(const struct swk_raw_geometry *g, const void *payload, void *image) {     \
        size_t count = g->block_pixels * bits / 64;                                                   \
        const u64_any *words = payload;                                                               \
        for (size_t r = 0; r < g->rows; r++) {                                                        \
            for (size_t b = 0; b < g->blocks; b++, words += count) {                                  \
                if (bits >= 8) prefetch_words(words, count);                                          \
                void *out = (u8_any *)image + destination(g, r, b) * pixel_bytes;                     \
                if (g->block[b].turned) {                                                             \
                    row_##depth##_turned(words, out, count);                                          \
                } else {                                                                              \
                    row_##depth(words, out, count);                                                   \
                }                                                                                     \
            }                                                                                         \
        }                                                                                             \
    }

DECODE(1, 1, 1)
DECODE(6, 8, 1)
DECODE(12, 16, 2)

static void raw_24(const struct swk_raw_geometry *g, const void *payload, void *image) {
    size_t count = g->block_pixels / 4;
    const u64_any *high = payload;
    const u64_any *low = high + g->rows * g->blocks * count;
    for (size_t r = 0; r < g->rows; r++) {
        for (size_t b = 0; b < g->blocks; b++, high += count, low += count) {
            prefetch_words(high, count);
            prefetch_words(low, count);
            u32_any *out = (u32_any *)image + destination(g, r, b);
            if (g->block[b].turned) {
                row_24_turned(high, low, out, count);
            } else {
                row_24(high, low, out, count);
            }
        }
    }
}

static void unpack_bits(const void *bits, uint8_t *pixels, size_t count) {
    const u8_any *bytes = bits;
    size_t words = count / 64;
    for (size_t i = 0; i < words; i++) expand_bits(((const u64_any *)bytes)[i], descending_bits, pixels + 64 * i);
    for (size_t i = 64 * words; i < count; i++) pixels[i] = bytes[i / 8] >> (7 - i % 8) & 1;
}

static void drain_u32(uint32_t *restrict narrow, uint64_t *restrict wide, size_t count) {
    for (size_t i = 0; i < count; i++) wide[i] += narrow[i];
    memset(narrow, 0, count * sizeof(uint32_t));
}
