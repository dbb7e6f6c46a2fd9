// Linux calls that Glibc's module map does not offer to Swift.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// A non-blocking, close-on-exec event descriptor, or -1 with errno set.
int stemwire_eventfd(void);
/// Names the calling thread (cut to 15 characters), for debuggers and `top -H`.
void stemwire_name_this_thread(const char *name);
/// Processors that this process may use: fewer than there are when a scheduler has bound it to some.
int stemwire_usable_processors(void);
/// Has the C library keep up to `bytes` of freed memory for the next use, also of large blocks, instead of giving it
/// back to the system at once. For the whole process.
void stemwire_keep_freed_memory(size_t bytes);
/// Has the C library give freed memory back to the system, as far as whole pages are free.
void stemwire_give_memory_back(void);
/// Makes a file that lies in memory alone and keeps its size, and returns its close-on-exec descriptor, or -1 with errno
/// set.
int stemwire_shared_memory(const char *name, size_t bytes);
/// Allows no more writing to such a file than by the mappings that there are. 0, or -1 with errno set.
int stemwire_let_others_only_read(int descriptor);
/// Has the next arrival of `signal` write its number as one byte to `descriptor`; the one after that has its default
/// action again. 0, or -1 with errno set.
int stemwire_catch_signal(int signal, int descriptor);
