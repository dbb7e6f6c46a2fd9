#define _GNU_SOURCE
#include "CStemwireSystem.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

int stemwire_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void stemwire_name_this_thread(const char *name) {
    char cut[16] = {0};
    strncpy(cut, name, sizeof cut - 1);
    pthread_setname_np(pthread_self(), cut);
}

void stemwire_keep_freed_memory(size_t bytes) {
#ifdef __GLIBC__
    int limit = bytes > INT_MAX ? INT_MAX : (int)bytes;
    mallopt(M_TRIM_THRESHOLD, limit);
    // Larger ones than half a heap of glibc's cannot be kept.
    mallopt(M_MMAP_THRESHOLD, limit / 2 < 32 << 20 ? limit / 2 : 32 << 20);
#else
    (void)bytes;
#endif
}
