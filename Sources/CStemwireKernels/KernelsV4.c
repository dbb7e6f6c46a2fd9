// x86-64-v4 (AVX-512). Compiled for it by attribute, so that the package needs no unsafe flags; called only where it
// runs.

#include "Tables.h"

#if defined(__x86_64__)

#include <string.h>

#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"), min_vector_width(512))), apply_to = function)

#define VECTOR_BYTES 64
#define LEVEL_TABLE swk_v4
#define LEVEL_NAME "v4"
#include "KernelsOfLevel.h"

#pragma clang attribute pop

#endif
