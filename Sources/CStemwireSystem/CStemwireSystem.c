#define _GNU_SOURCE
#include "CStemwireSystem.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

int stemwire_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void stemwire_name_this_thread(const char *name) {
    char cut[16] = {0};
    strncpy(cut, name, sizeof cut - 1);
    pthread_setname_np(pthread_self(), cut);
}
