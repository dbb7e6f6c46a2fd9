#include "Peer.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { prefix_bytes = 15, header_bytes = 384, piece_bytes = 1 << 20 };

struct format {
    const char *name;
    const char *pixel_type;
    int depth;
    size_t payload;
};

static const struct format formats[] = {
    {"u16", "U16", 12, 256 * 256 * 2},
    {"u08", "U08", 6, 256 * 256},
    {"r64-6", "R64", 6, 256 * 256},
    {"r64-1", "R64", 1, 256 * 256 / 8},
};

static void send_all(int socket, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(socket, bytes, count, 0);
        if (sent <= 0) return;
        bytes += sent;
        count -= (size_t)sent;
    }
}

static void send_acquisition_header(int socket, const struct format *format, size_t frames) {
    char body[512], message[600];
    int length = snprintf(
        body, sizeof body,
        "HDR,\t\r\nFrames in Acquisition (Number):\t%zu\r\nFrames per Trigger (Number):\t%zu\r\n"
        "Counter Depth (number):\t%d\r\nEnd\t\r\n",
        frames, frames, format->depth);
    int total = snprintf(message, sizeof message, "MPX,%010d,%s", length + 1, body);
    send_all(socket, message, (size_t)total);
}

// Frames that differ only in their pixels, without their numbers.
static char *build(const struct format *format, size_t count, size_t stride) {
    char *memory = malloc(count * stride);
    if (memory == NULL) fail("memory");
    uint32_t random = 1;
    for (size_t frame = 0; frame < count; frame++) {
        char *message = memory + frame * stride, text[128];
        memset(message, 0, prefix_bytes + header_bytes);
        int length = snprintf(
            text, sizeof text, "MPX,%010zu,MQ1,%06d,%05d,01,0256,0256,%s,   1x1,01,", header_bytes + format->payload + 1, 0,
            header_bytes, format->pixel_type);
        memcpy(message, text, (size_t)length);
        unsigned char *pixels = (unsigned char *)message + prefix_bytes + header_bytes;
        for (size_t index = 0; index < format->payload; index++) {
            random = random * 1664525 + 1013904223;
            // Counts of at most 12 or 6 bits, the most significant byte first.
            unsigned char byte = (unsigned char)(random >> 24);
            pixels[index] = strcmp(format->name, "u16") == 0 && index % 2 == 0 ? byte & 15 : byte & 63;
        }
    }
    return memory;
}

static void number(char *message, size_t sequence) {
    char *digits = message + prefix_bytes + 4;
    for (int index = 5; index >= 0; index--) {
        digits[index] = (char)('0' + sequence % 10);
        sequence /= 10;
    }
}

void run_detector(const char *name, size_t frames, bool on_demand) {
    const struct format *format = NULL;
    for (size_t index = 0; index < sizeof formats / sizeof *formats; index++) {
        if (strcmp(formats[index].name, name) == 0) format = &formats[index];
    }
    if (format == NULL || frames < 1 || frames > 999999) fail("format, or number of frames");
    size_t stride = prefix_bytes + header_bytes + format->payload;
    size_t block = piece_bytes / stride;
    char *memory = build(format, block, stride);

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 4) != 0
        || getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fail("listen");
    }
    tell_port(ntohs(address.sin_port));
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) fail("accept");
        do {
            int signal_number;
            sigset_t demand;
            sigemptyset(&demand);
            sigaddset(&demand, SIGUSR1);
            if (on_demand && sigwait(&demand, &signal_number) != 0) fail("sigwait");
            send_acquisition_header(client, format, frames);
            for (size_t sent = 0; sent < frames;) {
                size_t count = frames - sent < block ? frames - sent : block;
                for (size_t index = 0; index < count; index++) number(memory + index * stride, sent + index + 1);
                send_all(client, memory, count * stride);
                sent += count;
            }
        } while (on_demand);
        // Stays until the client leaves, so that its end is the client's own.
        char rest[64];
        while (recv(client, rest, sizeof rest, 0) > 0) {}
        close(client);
    }
}
