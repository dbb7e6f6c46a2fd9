#ifndef PEER_H
#define PEER_H

#include <stddef.h>

_Noreturn void fail(const char *what);
void tell_port(int port);

// Serves a Merlin's data port: to each client an acquisition header and `frames` frames.
_Noreturn void run_detector(const char *format, size_t frames);

// Publishes `messages` messages of `size` bytes whenever a subscriber comes.
_Noreturn void run_publisher(size_t size, size_t messages);

#endif
