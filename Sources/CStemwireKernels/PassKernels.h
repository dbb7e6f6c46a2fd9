// Several computations on the same frames in one pass, for pixels of one encoding. Included by PixelKernels.h.
//
// A band of a few frames at a time, some rows, goes through all computations while it is in the first-level cache.
// Meanwhile the next one is asked for, a little with each vector that is worked on, so that memory is never idle.

#define BAND_PIXELS (PASS_BAND_BYTES / sizeof(PIXEL))

struct NAME(pass) {
    SOURCE frame[PASS_FRAMES];
    size_t frames;
    size_t pixels;
    size_t band;  // pixels of a band: whole rows, for runs do not cross their ends
    // Per work: sums of each frame; the next run, and the first one behind the present band.
    struct NAME(lane_moments) sums[PASS_WORKS][PASS_FRAMES];
    size_t next_run[PASS_WORKS];
    size_t end_run[PASS_WORKS];
};

// Calls a kernel for groups of at most PASS_GROUP frames, of even size, which is a constant in each call. `f` is the
// first frame of a group.
#define CALL(size, kernel, ...)                                                                                  \
    case size:                                                                                                   \
        kernel(frames + f, size, __VA_ARGS__);                                                                   \
        break;
#define FOR_GROUPS(pass, kernel, ...)                                                                            \
    for (size_t f = 0, left = (pass->frames + PASS_GROUP - 1) / PASS_GROUP; left > 0; left--) {                  \
        size_t size = (pass->frames - f + left - 1) / left;                                                      \
        switch (size) {                                                                                          \
            CALL(1, kernel, __VA_ARGS__)                                                                         \
            CALL(2, kernel, __VA_ARGS__)                                                                         \
            CALL(3, kernel, __VA_ARGS__)                                                                         \
            CALL(4, kernel, __VA_ARGS__)                                                                         \
        }                                                                                                        \
        f += size;                                                                                               \
    }
// The same for all frames at once.
#define FOR_ALL(pass, kernel, ...)                                                                               \
    size_t f = 0;                                                                                                \
    switch (pass->frames) {                                                                                      \
        CALL(1, kernel, __VA_ARGS__)                                                                             \
        CALL(2, kernel, __VA_ARGS__)                                                                             \
        CALL(3, kernel, __VA_ARGS__)                                                                             \
        CALL(4, kernel, __VA_ARGS__)                                                                             \
        CALL(5, kernel, __VA_ARGS__)                                                                             \
        CALL(6, kernel, __VA_ARGS__)                                                                             \
        CALL(7, kernel, __VA_ARGS__)                                                                             \
        CALL(8, kernel, __VA_ARGS__)                                                                             \
    }

// Work per pixel on a band that begins at `first`.
static void NAME(add_band)(const struct NAME(pass) *pass, size_t first, size_t count, const struct swk_work *work,
                           struct prefetch ahead, u64_vector *totals) {
    SOURCE frames[PASS_FRAMES];
    for (size_t k = 0; k < pass->frames; k++) frames[k] = pass->frame[k] + first;
    ahead.next -= first;
    switch (work->kind) {
    case SWK_ADD_TO_U32: {
        uint32_t *sums = (uint32_t *)work->into + first;
        if (totals) {
#if VECTOR_BYTES == 64
            FOR_ALL(pass, NAME(add_u32), count, ahead, sums, totals + f)
#else
            FOR_GROUPS(pass, NAME(add_u32), count, ahead, sums, totals + f)
#endif
        } else {
            FOR_ALL(pass, NAME(add_u32), count, ahead, sums, NULL)
        }
        break;
    }
    case SWK_ADD_TO_U64: {
        uint64_t *sums = (uint64_t *)work->into + first;
        FOR_GROUPS(pass, NAME(add_u64), count, ahead, sums)
        break;
    }
    case SWK_ADD_WITH_SQUARES: {
        uint64_t *sums = (uint64_t *)work->into + first;
        uint64_t *squares = (uint64_t *)work->squares + first;
        FOR_GROUPS(pass, NAME(add_squares), count, ahead, sums, squares)
        break;
    }
    default: {
        PIXEL *maxima = (PIXEL *)work->into + first;
        FOR_ALL(pass, NAME(take_maximum), count, ahead, maxima)
        break;
    }
    }
}

static void NAME(sum_group)(const struct NAME(pass) *pass, const struct swk_run *run, struct prefetch ahead,
                            struct NAME(lane_moments) *sums) {
    SOURCE const *frames = pass->frame;
    FOR_GROUPS(pass, NAME(sum_run), run, pass->pixels, ahead, sums + f)
}

static void NAME(moments_group)(const struct NAME(pass) *pass, const struct swk_run *run, struct prefetch ahead,
                                struct NAME(lane_moments) *sums) {
    SOURCE const *frames = pass->frame;
    FOR_GROUPS(pass, NAME(add_run), run, pass->pixels, ahead, sums + f)
}

static int NAME(needs_all)(const struct swk_work *work) {
    return work->kind != SWK_RUN_SUMS && work->kind != SWK_MOMENTS;
}

static size_t NAME(vectors)(size_t pixels) { return (pixels + LANE_COUNT - 1) / LANE_COUNT; }

// Vectors of a frame that a work looks at in the band that begins at `first`; finds its runs there.
static size_t NAME(begin_band)(struct NAME(pass) *pass, size_t first, size_t count, const struct swk_work *work,
                               size_t w) {
    size_t vectors = 0;
    switch (work->kind) {
    case SWK_ADD_TO_U64:
    case SWK_ADD_WITH_SQUARES:
        return count / (VECTOR_BYTES / 8);
    case SWK_RUN_SUMS:
    case SWK_MOMENTS:
        pass->next_run[w] = pass->end_run[w];
        for (; pass->end_run[w] < work->run_count; pass->end_run[w]++) {
            const struct swk_run *run = &work->runs[pass->end_run[w]];
            if (run->start >= first + count) break;
            vectors += NAME(vectors)(run->count);
        }
        return vectors;
    default:
        return NAME(vectors)(count);
    }
}

static void NAME(do_band)(struct NAME(pass) *pass, size_t first, size_t count, const struct swk_work *work, size_t w,
                          struct prefetch ahead, u64_vector *totals) {
    if (work->kind == SWK_FRAME_SUMS) {
        struct swk_run all = {(uint32_t)first, (uint32_t)count, 0, 0};
        NAME(sum_group)(pass, &all, ahead, pass->sums[w]);
    } else if (NAME(needs_all)(work)) {
        NAME(add_band)(pass, first, count, work, ahead, totals);
    } else {
        for (size_t r = pass->next_run[w]; r < pass->end_run[w]; r++) {
            const struct swk_run *run = &work->runs[r];
            // Of masks alone, the same columns some rows below are a good guess.
            if (!ahead.step) {
                ahead.next = run->start + pass->band;
                for (size_t k = 0; k < pass->frames && run->count < 2 * LANE_COUNT; k++) {
                    __builtin_prefetch(pass->frame[k] + ahead.next + run->count);
                }
            }
            struct prefetch own = {ahead.next, ahead.step ? ahead.step : LANE_COUNT};
            if (work->kind == SWK_MOMENTS) {
                NAME(moments_group)(pass, run, own, pass->sums[w]);
            } else {
                NAME(sum_group)(pass, run, own, pass->sums[w]);
            }
            ahead.next += NAME(vectors)(run->count) * ahead.step;
        }
    }
}

static void NAME(do_pass)(struct NAME(pass) *pass, size_t first_frame, const struct swk_work *works, size_t count) {
    u64_vector totals[PASS_FRAMES];
    memset(totals, 0, sizeof totals);
    int reads_all = 0;
    size_t adding = count, totalled = count;
    for (size_t w = 0; w < count; w++) {
        memset(pass->sums[w], 0, pass->frames * sizeof pass->sums[w][0]);
        pass->end_run[w] = 0;
        reads_all |= NAME(needs_all)(&works[w]);
        if (works[w].kind == SWK_ADD_TO_U32) adding = w;
        if (works[w].kind == SWK_FRAME_SUMS) totalled = w;
    }
    // While 16-bit pixels are added up per pixel, they are cheap to add up per frame.
    if (adding == count || sizeof(PIXEL) != 2) totalled = count;
    for (size_t first = 0; first < pass->pixels; first += pass->band) {
        size_t size = smaller(pass->band, pass->pixels - first);
        size_t vectors[PASS_WORKS];
        size_t all = 0;
        for (size_t w = 0; w < count; w++) {
            vectors[w] = w == totalled ? 0 : NAME(begin_band)(pass, first, size, &works[w], w);
            all += vectors[w];
        }
        struct prefetch ahead = {first + pass->band, reads_all && all > 0 ? (pass->band + all - 1) / all : 0};
        for (size_t w = 0; w < count; w++) {
            if (w == totalled) continue;
            NAME(do_band)(pass, first, size, &works[w], w, ahead, w == adding && totalled < count ? totals : NULL);
            ahead.next += vectors[w] * ahead.step;
        }
    }
    for (size_t w = 0; w < count; w++) {
        for (size_t f = 0; f < pass->frames; f++) {
            if (works[w].kind == SWK_MOMENTS) {
                ((struct swk_moments *)works[w].into)[first_frame + f] = NAME(moments)(&pass->sums[w][f]);
            } else if (works[w].kind == SWK_FRAME_SUMS || works[w].kind == SWK_RUN_SUMS) {
                ((uint64_t *)works[w].into)[first_frame + f] =
                    lanes_sum(w == totalled ? totals[f] : pass->sums[w][f].sum);
            }
        }
    }
}

static void NAME(perform)(const struct swk_stack *stack, const struct swk_work *works, size_t count,
                          size_t row_pixels) {
    struct NAME(pass) pass;
    pass.pixels = stack->pixels;
    pass.band = row_pixels < BAND_PIXELS ? BAND_PIXELS / row_pixels * row_pixels : row_pixels;
    for (size_t f = 0; f < stack->frames; f += PASS_FRAMES) {
        pass.frames = smaller(PASS_FRAMES, stack->frames - f);
        for (size_t k = 0; k < pass.frames; k++) pass.frame[k] = NAME(frame)(stack, f + k);
        for (size_t w = 0; w < count; w += PASS_WORKS) {
            NAME(do_pass)(&pass, f, works + w, smaller(PASS_WORKS, count - w));
        }
    }
}

#undef FOR_ALL
#undef FOR_GROUPS
#undef CALL
#undef BAND_PIXELS
