#include "CBench.h"

#include <dlfcn.h>

// As in cblas.h, which need not be installed.
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

typedef void multiply_function(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                               const float *a, int stride_a, const float *b, int stride_b, float beta, float *c,
                               int stride_c);

static multiply_function *find(void) {
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return NULL;
    void (*set_threads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
    if (set_threads) set_threads(1);
    return (multiply_function *)dlsym(library, "cblas_sgemm");
}

bool bench_multiply_by_openblas(const float *frames, size_t frame_count, const float *masks, size_t mask_count,
                                size_t pixels, float *sums) {
    static multiply_function *multiply;
    if (!multiply) multiply = find();
    if (!multiply) return false;
    multiply(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, (int)frame_count, (int)mask_count, (int)pixels, 1, frames,
             (int)pixels, masks, (int)pixels, 0, sums, (int)mask_count);
    return true;
}
