// The kernels per frame, over pixels, for pixels of one encoding: sums, sums over runs of pixels, moments. Included by
// PixelKernels.h.
//
// They work on vectors of lanes, each added up in a vector of lanes twice as wide: the even and the odd lanes are the
// two halves of the wide ones, so a vector costs a mask, a shift and two adds, and no shuffle.

#if PIXEL_BITS <= 16
#define LANES u16_vector
#define LANE_BYTES 2
#define WIDE u32_vector
#define EVEN(v) ((u32_vector)(v) & 0xffff)
#define ODD(v) ((u32_vector)(v) >> 16)
#define LANES_PER_WIDE 2
#define WIDE_PER_U64 2
#elif PIXEL_BITS == 32
#define LANES u32_vector
#define LANE_BYTES 4
#define WIDE u64_vector
#define EVEN(v) ((u64_vector)(v) & 0xffffffff)
#define ODD(v) ((u64_vector)(v) >> 32)
#define LANES_PER_WIDE 2
#define WIDE_PER_U64 1
#else
#define LANES u64_vector
#define LANE_BYTES 8
#define WIDE u64_vector
#define EVEN(v) (v)
#define ODD(v) ((v) ^ (v))
#define LANES_PER_WIDE 1
#define WIDE_PER_U64 1
#endif

#define LANE_COUNT (VECTOR_BYTES / LANE_BYTES)

typedef PIXEL NAME(for_lanes) __attribute__((vector_size(sizeof(PIXEL) * LANE_COUNT), aligned(1), may_alias));

static inline LANES NAME(load_lanes)(SOURCE p) {
    return __builtin_convertvector(VECTOR_TO_NATIVE(*(const NAME(for_lanes) *)p), LANES);
}

// At most so many vectors are added up before the sums are taken into 64 bits. Largest intermediate value for 16-bit
// lanes: 2 · 65535 · 128 · 129 / 2 < 2^32.
#define VECTORS_PER_SEGMENT 128

// The first `count` pixels at `p`, fewer than a vector has, and zeros. Reads nothing at or past `end`.
static inline LANES NAME(load_some)(SOURCE p, size_t count, SOURCE end) {
    if ((size_t)(end - p) >= LANE_COUNT) {
        u8_vector keep = *(const u8_vector_any *)(leading_bytes + 64 - count * LANE_BYTES);
        return NAME(load_lanes)(p) & (LANES)keep;
    }
    NAME(pixel) some[LANE_COUNT] = {0};
    memcpy(some, p, count * sizeof(PIXEL));
    return NAME(load_lanes)(some);
}

static inline u64_vector NAME(to_64_bits)(WIDE v) {
#if PIXEL_BITS <= 16
    return ((u64_vector)v & 0xffffffff) + ((u64_vector)v >> 32);
#else
    return v;
#endif
}

// Asks for the runs of a mask ahead of where they are read, a vector at a time, and behind a frame's last run for the
// next frame's first one.
struct NAME(run_prefetch) {
    const u8_any *at;
    const u8_any *end;
    const u8_any *frame;
    size_t stride;
    const struct swk_run *runs;
    size_t run_count;
    size_t next;
};

static inline void NAME(prefetch_vector)(struct NAME(run_prefetch) *ahead) {
    __builtin_prefetch(ahead->at);
    ahead->at += sizeof(PIXEL) * LANE_COUNT;
    if (ahead->at < ahead->end) return;
    if (ahead->next == ahead->run_count) {
        ahead->next = 0;
        ahead->frame += ahead->stride;
    }
    const struct swk_run *run = &ahead->runs[ahead->next++];
    ahead->at = ahead->frame + run->start * sizeof(PIXEL);
    ahead->end = ahead->at + run->count * sizeof(PIXEL);
}

static inline struct NAME(run_prefetch) NAME(start_prefetch)(const struct swk_stack *stack, const struct swk_run *runs,
                                                             size_t run_count) {
    const u8_any *frame = stack->base;
    struct NAME(run_prefetch) ahead = {frame, frame, frame, stack->stride, runs, run_count, 0};
    for (size_t i = 0; i < PREFETCHED_VECTORS; i++) NAME(prefetch_vector)(&ahead);
    return ahead;
}

ALWAYS_INLINE u64_vector NAME(run_sum)(SOURCE p, size_t count, SOURCE end, struct NAME(run_prefetch) *ahead) {
    u64_vector total = {0};
    while (count > 0) {
        size_t vectors = smaller(count / LANE_COUNT, VECTORS_PER_SEGMENT);
        WIDE sum = {0};
        for (size_t k = 0; k < vectors; k++, p += LANE_COUNT) {
            NAME(prefetch_vector)(ahead);
            LANES v = NAME(load_lanes)(p);
            sum += EVEN(v) + ODD(v);
        }
        count -= vectors * LANE_COUNT;
        if (vectors < VECTORS_PER_SEGMENT && count > 0) {
            NAME(prefetch_vector)(ahead);
            LANES v = NAME(load_some)(p, count, end);
            sum += EVEN(v) + ODD(v);
            count = 0;
        }
        total += NAME(to_64_bits)(sum);
    }
    return total;
}

static void NAME(region_sums)(const struct swk_stack *stack, const struct swk_run *runs, const uint8_t *regions,
                              size_t run_count, size_t region_count, uint64_t *sums) {
    u64_vector totals[SWK_MAX_REGIONS];
    struct NAME(run_prefetch) ahead = NAME(start_prefetch)(stack, runs, run_count);
    for (size_t f = 0; f < stack->frames; f++) {
        SOURCE p = NAME(frame)(stack, f);
        SOURCE end = p + stack->pixels;
        for (size_t i = 0; i < region_count; i++) totals[i] = (u64_vector){0};
        for (size_t r = 0; r < run_count; r++) {
            totals[regions[r]] += NAME(run_sum)(p + runs[r].start, runs[r].count, end, &ahead);
        }
        for (size_t i = 0; i < region_count; i++) *sums++ = lanes_sum(totals[i]);
    }
}

// Moments. The x of a pixel is the sum of
//   (x of the segment) + LANE_COUNT · (index of the vector)   the same for all lanes: taken per segment, into `x`
//   LANES_PER_WIDE · (wide lane) + (1 in odd lanes)           the same for all segments: taken at the end
// Over the K vectors v_k of a segment, Σ k · v_k is K · Σ v_k − Σ_k (v_0 + … + v_k): adds in place of products.

struct NAME(lane_moments) {
    u64_vector sum;
    u64_vector y;
    u64_vector x;
    u64_vector odd;
    u64_vector lane;  // Σ of the upper of two 32-bit wide lanes in a 64-bit one
};

struct NAME(segment) {
    WIDE sum;
    WIDE odd;
    WIDE running;  // Σ_k (v_0 + … + v_k)
};

static inline void NAME(add_vector)(struct NAME(segment) *segment, LANES v) {
    WIDE odd = ODD(v);
    segment->sum += EVEN(v) + odd;
    segment->odd += odd;
    segment->running += segment->sum;
}

static inline void NAME(add_segment)(struct NAME(lane_moments) *m, struct NAME(segment) segment, uint32_t vectors,
                                     uint64_t y, uint64_t x) {
    u64_vector sum = NAME(to_64_bits)(segment.sum);
    WIDE vector_moment = segment.sum * vectors - segment.running;
    m->sum += sum;
#if PIXEL_BITS <= 16
    // Below 2^32, all of them, so one instruction each.
    m->y += (sum & 0xffffffff) * (y & 0xffffffff);
    m->x += (sum & 0xffffffff) * (x & 0xffffffff);
    m->lane += (u64_vector)segment.sum >> 32;
#else
    m->y += sum * y;
    m->x += sum * x;
#endif
    m->x += NAME(to_64_bits)(vector_moment) * LANE_COUNT;
    m->odd += NAME(to_64_bits)(segment.odd);
}

// Of `n` frames at once, a constant wherever these are called: the loop over a run's vectors, whose length no processor
// foresees, is gone through once for all.

#define EACH_FRAME UNROLLED for (size_t k = 0; k < n; k++)

// What is left of a run behind its last whole vector, frame by frame, and zeros.
#define LAST_VECTOR(at, count, use)                                                                                \
    if (at + LANE_COUNT <= pixels) {                                                                             \
        LANES keep = (LANES) * (const u8_vector_any *)(leading_bytes + 64 - count * LANE_BYTES);                 \
        EACH_FRAME {                                                                                             \
            __builtin_prefetch(frames[k] + ahead.next);                                                          \
            LANES v = NAME(load_lanes)(frames[k] + at) & keep;                                                   \
            use;                                                                                                 \
        }                                                                                                        \
    } else {                                                                                                     \
        EACH_FRAME {                                                                                             \
            NAME(pixel) some[LANE_COUNT] = {0};                                                                  \
            memcpy(some, frames[k] + at, count * sizeof(PIXEL));                                                 \
            LANES v = NAME(load_lanes)(some);                                                                    \
            use;                                                                                                 \
        }                                                                                                        \
    }

ALWAYS_INLINE void NAME(sum_run)(SOURCE const *frames, size_t n, const struct swk_run *run, size_t pixels,
                                 struct prefetch ahead, struct NAME(lane_moments) *sums) {
    size_t at = run->start;
    size_t count = run->count;
    while (count > 0) {
        size_t vectors = smaller(count / LANE_COUNT, VECTORS_PER_SEGMENT);
        WIDE sum[PASS_GROUP];
        EACH_FRAME sum[k] = (WIDE){0};
        for (size_t end = at + vectors * LANE_COUNT; at < end; at += LANE_COUNT, ahead.next += ahead.step) {
            EACH_FRAME {
                __builtin_prefetch(frames[k] + ahead.next);
                LANES v = NAME(load_lanes)(frames[k] + at);
                sum[k] += EVEN(v) + ODD(v);
            }
        }
        count -= vectors * LANE_COUNT;
        if (vectors < VECTORS_PER_SEGMENT && count > 0) {
            LAST_VECTOR(at, count, sum[k] += EVEN(v) + ODD(v))
            count = 0;
        }
        EACH_FRAME sums[k].sum += NAME(to_64_bits)(sum[k]);
    }
}

ALWAYS_INLINE void NAME(add_run)(SOURCE const *frames, size_t n, const struct swk_run *run, size_t pixels,
                                 struct prefetch ahead, struct NAME(lane_moments) *sums) {
    size_t at = run->start;
    size_t count = run->count;
    uint64_t x = run->x;
    while (count > 0) {
        size_t vectors = smaller(count / LANE_COUNT, VECTORS_PER_SEGMENT);
        struct NAME(segment) segment[PASS_GROUP];
        EACH_FRAME segment[k] = (struct NAME(segment)){{0}, {0}, {0}};
        for (size_t end = at + vectors * LANE_COUNT; at < end; at += LANE_COUNT, ahead.next += ahead.step) {
            EACH_FRAME {
                __builtin_prefetch(frames[k] + ahead.next);
                NAME(add_vector)(&segment[k], NAME(load_lanes)(frames[k] + at));
            }
        }
        count -= vectors * LANE_COUNT;
        if (vectors < VECTORS_PER_SEGMENT && count > 0) {
            LAST_VECTOR(at, count, NAME(add_vector)(&segment[k], v))
            vectors++;
            count = 0;
        }
        EACH_FRAME NAME(add_segment)(&sums[k], segment[k], (uint32_t)vectors, run->y, x);
        x += vectors * LANE_COUNT;
    }
}

#undef EACH_FRAME
#undef LAST_VECTOR

static inline struct swk_moments NAME(moments)(const struct NAME(lane_moments) *m) {
    // 64-bit lane j holds wide lane j, or 2j and, in its upper half, 2j + 1.
    uint64_t lane = lanes_sum(m->lane);
    for (size_t j = 0; j < VECTOR_BYTES / 8; j++) lane += WIDE_PER_U64 * j * m->sum[j];
    return (struct swk_moments){lanes_sum(m->sum), lanes_sum(m->y),
                                lanes_sum(m->x) + LANES_PER_WIDE * lane + lanes_sum(m->odd)};
}
