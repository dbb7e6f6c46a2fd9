#include "CBench.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { prefix_bytes = 15 };

static const struct {
    const char *name;
    size_t memory;
    int by_message;
} readings[BENCH_READINGS] = {
    [BENCH_ONE_BUFFER] = {"one buffer of 1 MiB", 1 << 20, 0},
    [BENCH_SMALL_RING] = {"by message, ring of 1 MiB", 1 << 20, 1},
    [BENCH_LARGE_RING] = {"by message, ring of 64 MiB", 64 << 20, 1},
};

const char *bench_reading_name(enum bench_reading reading) { return readings[reading].name; }

double bench_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int connect_to(int port) {
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static int fill(int descriptor, char *memory, size_t count) {
    while (count > 0) {
        ssize_t received = recv(descriptor, memory, count, MSG_WAITALL);
        if (received <= 0) return 0;
        memory += received;
        count -= (size_t)received;
    }
    return 1;
}

// Bytes behind a prefix.
static size_t body_bytes(const char *prefix) {
    char digits[11] = {0};
    memcpy(digits, prefix + 4, 10);
    return strtoull(digits, NULL, 10) - 1;
}

static int drain(int descriptor, size_t frames, char *memory, size_t room, int by_message) {
    if (!fill(descriptor, memory, prefix_bytes)) return 0;
    size_t header = body_bytes(memory);
    if (header > room || !fill(descriptor, memory, header) || !fill(descriptor, memory, prefix_bytes)) return 0;
    size_t message = prefix_bytes + body_bytes(memory);
    if (message > room || !fill(descriptor, memory, message - prefix_bytes)) return 0;
    if (!by_message) {
        size_t rest = (frames - 1) * message;
        while (rest > 0) {
            ssize_t received = recv(descriptor, memory, rest < room ? rest : room, 0);
            if (received <= 0) return 0;
            rest -= (size_t)received;
        }
        return 1;
    }
    size_t slots = room / message;
    for (size_t index = 1; index < frames; index++) {
        if (!fill(descriptor, memory + index % slots * message, message)) return 0;
    }
    return 1;
}

double bench_drain(int port, size_t frames, enum bench_reading reading) {
    size_t room = readings[reading].memory;
    char *memory = malloc(room);
    if (memory == NULL) return -1;
    // Taken from the system before the clock runs.
    memset(memory, 1, room);
    double start = bench_now();
    int descriptor = connect_to(port);
    int is_whole = descriptor >= 0 && drain(descriptor, frames, memory, room, readings[reading].by_message);
    double end = bench_now();
    if (descriptor >= 0) close(descriptor);
    free(memory);
    return is_whole ? end - start : -1;
}
