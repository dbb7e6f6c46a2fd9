#include "Tables.h"

const struct swk_kernels *swk_kernels_for(enum swk_level level) {
    switch (level) {
    case SWK_BASE:
        return &swk_base;
#if defined(__x86_64__)
    case SWK_X86_64_V3:
        return __builtin_cpu_supports("x86-64-v3") ? &swk_v3 : NULL;
    case SWK_X86_64_V4:
        return __builtin_cpu_supports("x86-64-v4") ? &swk_v4 : NULL;
#endif
    default:
        return NULL;
    }
}
