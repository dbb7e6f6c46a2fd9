#ifndef C_ALLOCATION_COUNTER_H
#define C_ALLOCATION_COUNTER_H

#include <stdint.h>

// Allocations that the calling thread has made since it began.
uint64_t bench_allocations_of_this_thread(void);

#endif
