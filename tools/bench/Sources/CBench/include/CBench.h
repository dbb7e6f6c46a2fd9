#ifndef C_BENCH_H
#define C_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How the plain `recv` loop reads.
enum bench_reading {
    // One buffer of 1 MiB over and over, whatever has come.
    BENCH_ONE_BUFFER,
    // Message by message into slots of a ring of 1 MiB.
    BENCH_SMALL_RING,
    // Message by message into slots of a ring of 64 MiB.
    BENCH_LARGE_RING,
    BENCH_READINGS,
};

const char *bench_reading_name(enum bench_reading reading);

// Connects to 127.0.0.1:port, reads an acquisition header and `frames` frame messages, and leaves.
// Returns the seconds from before connecting to the last byte; negative when the other side left before.
double bench_drain(int port, size_t frames, enum bench_reading reading);

// Subscribes to everything at 127.0.0.1:port with plain libzmq and receives `messages` messages.
// Returns the seconds from the first message to the last; negative when none came for 5 s.
double bench_subscribe(int port, size_t messages);

// Asks a bare ROUTER at `endpoint` for messages of a header and a large part, and receives `messages` of them.
// Returns the seconds from the first message to the last; negative when none came for 5 s.
double bench_deal(const char *endpoint, size_t messages);

// Subscribes to everything at 127.0.0.1:port and never reads; ends with bench_end_silent_subscriber.
void *bench_begin_silent_subscriber(int port);
void bench_end_silent_subscriber(void *subscriber);

// Reads `count` bytes, a multiple of 128, and adds them up as 64-bit words: what memory can give to one thread.
uint64_t bench_read_memory(const void *bytes, size_t count);

// sums[frame, mask] = Σ over pixels of frames[frame, pixel] · masks[mask, pixel] by OpenBLAS on this thread. False, and
// nothing done, where it is not installed (Debian's libopenblas0).
bool bench_multiply_by_openblas(const float *frames, size_t frame_count, const float *masks, size_t mask_count,
                                size_t pixels, float *sums);

// Seconds of a clock that does not jump.
double bench_now(void);

#endif
