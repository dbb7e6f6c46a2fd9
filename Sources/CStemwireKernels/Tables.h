#ifndef SWK_TABLES_H
#define SWK_TABLES_H

#include "CStemwireKernels.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernels take the machine to be little-endian"
#endif

extern const struct swk_kernels swk_base;
#if defined(__x86_64__)
extern const struct swk_kernels swk_v3;
extern const struct swk_kernels swk_v4;
#endif

#endif
