// The level that every machine has: SSE2 on x86-64, NEON on arm64.

#include "Tables.h"

#include <string.h>

// A vector is two registers, so that a turn of a loop does as much work beside its prefetch as at the higher levels.
// Functions that take such vectors are all static, so their calling convention is nobody else's matter.
#pragma clang diagnostic ignored "-Wpsabi"

#define VECTOR_BYTES 32
#if defined(__x86_64__)
#define BASE_X86_64
#endif
#define LEVEL_TABLE swk_base
#define LEVEL_NAME "base"
#include "KernelsOfLevel.h"
