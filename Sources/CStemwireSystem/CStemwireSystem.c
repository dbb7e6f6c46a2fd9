#define _GNU_SOURCE
#include "CStemwireSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

int stemwire_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void stemwire_name_this_thread(const char *name) {
    char cut[16] = {0};
    strncpy(cut, name, sizeof cut - 1);
    pthread_setname_np(pthread_self(), cut);
}

int stemwire_usable_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int stemwire_shared_memory(const char *name, size_t bytes) {
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return -1;
    if (ftruncate(descriptor, (off_t)bytes) == 0 && fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        return descriptor;
    int reason = errno;
    close(descriptor);
    errno = reason;
    return -1;
}

int stemwire_let_others_only_read(int descriptor) {
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
    return fcntl(descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

void stemwire_give_memory_back(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
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

static volatile sig_atomic_t signal_descriptor = -1;

static void write_signal(int signal) {
    int before = errno;
    unsigned char byte = (unsigned char)signal;
    ssize_t written = write(signal_descriptor, &byte, 1);
    (void)written;
    errno = before;
}

int stemwire_catch_signal(int signal, int descriptor) {
    signal_descriptor = descriptor;
    struct sigaction action = {.sa_handler = write_signal, .sa_flags = SA_RESTART | SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    return sigaction(signal, &action, NULL);
}
