#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>

_Noreturn void fail(const char *what);
void tell_port(int port);

// Serves a Merlin's data port: to each client an acquisition header and `frames` frames; or to the first client so much
// for each SIGUSR1.
_Noreturn void run_detector(const char *format, size_t frames, bool on_demand);

// Publishes `messages` messages of `size` bytes whenever a subscriber comes.
_Noreturn void run_publisher(size_t size, size_t messages);

// Sends `messages` messages of `size` bytes, of which `buffers` may be on their way at once, to each peer that says a word.
_Noreturn void run_router(size_t size, size_t messages, size_t buffers, const char *at);

// Subscribes `count` times to all that is published at 127.0.0.1:port, and never reads.
_Noreturn void run_subscribers(size_t count, int port);

#endif
