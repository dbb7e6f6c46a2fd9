// a · b + c of floats, rounded once, by instructions that every x86-64 has: for results with the same bits as those of
// processors with a fused multiply-add.
//
// In double the product is exact. The sum is rounded to odd (its last bit is set when it is not exact), after which
// rounding it to float gives what rounding the exact sum would have given: S. Boldo, G. Melquiond, Emulation of FMA and
// correctly rounded sums: proved algorithms using rounding to odd, IEEE Transactions on Computers 57 (2008) 462.

#include <emmintrin.h>

// What the double nearest to x + y lacks, exactly (D. E. Knuth's TwoSum).
static inline __m128d exact_error(__m128d x, __m128d y, __m128d sum) {
#pragma clang fp contract(off)
    __m128d share = sum - x;
    return (x - (sum - share)) + (y - share);
}

// Sums that are not exact, and even, go to the neighbour on the side of the error, which is odd; what is no number
// stays.
static inline __m128d exact_to_odd(__m128d sum, __m128d error) {
    __m128d zero = _mm_setzero_pd();
    __m128i is_inexact = (__m128i)_mm_or_pd(_mm_cmplt_pd(error, zero), _mm_cmpgt_pd(error, zero));
    __m128i bits = (__m128i)sum;
    __m128i step = _mm_and_si128(_mm_andnot_si128(bits, is_inexact), _mm_set1_epi64x(1));
    __m128i is_away = _mm_srli_epi64(_mm_xor_si128(bits, (__m128i)error), 63);
    __m128i twice_away = _mm_slli_epi64(_mm_and_si128(step, is_away), 1);
    return (__m128d)_mm_sub_epi64(_mm_add_epi64(bits, step), twice_away);
}

static inline __m128 exact_multiply_add(__m128 a, __m128 b, __m128 c) {
#pragma clang fp contract(off)
    __m128d lower_addend = _mm_cvtps_pd(c);
    __m128d upper_addend = _mm_cvtps_pd(_mm_movehl_ps(c, c));
    __m128d lower_product = _mm_cvtps_pd(a) * _mm_cvtps_pd(b);
    __m128d upper_product = _mm_cvtps_pd(_mm_movehl_ps(a, a)) * _mm_cvtps_pd(_mm_movehl_ps(b, b));
    __m128d lower = lower_product + lower_addend;
    __m128d upper = upper_product + upper_addend;
    __m128d lower_error = exact_error(lower_product, lower_addend, lower);
    __m128d upper_error = exact_error(upper_product, upper_addend, upper);
    // Sums of products of counts are mostly exact in double.
    if (__builtin_expect(_mm_movemask_pd(_mm_cmpneq_pd(_mm_or_pd(lower_error, upper_error), _mm_setzero_pd())), 0)) {
        lower = exact_to_odd(lower, lower_error);
        upper = exact_to_odd(upper, upper_error);
    }
    return _mm_movelh_ps(_mm_cvtpd_ps(lower), _mm_cvtpd_ps(upper));
}

#define FUSED_MULTIPLY_ADD(a, b, c) exact_multiply_add(a, b, c)
