// Linux calls that Glibc's module map does not offer to Swift.
#pragma once

#include <stdint.h>

/// A non-blocking, close-on-exec event descriptor, or -1 with errno set.
int stemwire_eventfd(void);
/// Names the calling thread (cut to 15 characters), for debuggers and `top -H`.
void stemwire_name_this_thread(const char *name);
