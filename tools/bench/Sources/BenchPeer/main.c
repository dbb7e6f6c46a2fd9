// The other side of the benchmarks, in a process of its own: a detector that sends as fast as it can, and a bare libzmq
// publisher. Prints its port, and ends when its standard input does.

#include "Peer.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fail(const char *what) {
    perror(what);
    exit(1);
}

void tell_port(int port) {
    printf("%d\n", port);
    fflush(stdout);
}

static void *end_with_input(void *unused) {
    (void)unused;
    char byte;
    while (read(0, &byte, 1) > 0) {}
    _exit(0);
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN);
    // For a detector, which waits for it.
    sigset_t demand;
    sigemptyset(&demand);
    sigaddset(&demand, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &demand, NULL);
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, end_with_input, NULL) != 0) fail("thread");
    if (count == 4 && strcmp(words[1], "detector") == 0) run_detector(words[2], strtoull(words[3], NULL, 10), false);
    if (count == 4 && strcmp(words[1], "detector-on-demand") == 0) {
        run_detector(words[2], strtoull(words[3], NULL, 10), true);
    }
    if (count == 4 && strcmp(words[1], "publisher") == 0) {
        run_publisher(strtoull(words[2], NULL, 10), strtoull(words[3], NULL, 10));
    }
    if (count == 6 && strcmp(words[1], "router") == 0) {
        run_router(strtoull(words[2], NULL, 10), strtoull(words[3], NULL, 10), strtoull(words[4], NULL, 10), words[5]);
    }
    if (count == 4 && strcmp(words[1], "subscribers") == 0) {
        run_subscribers(strtoull(words[2], NULL, 10), atoi(words[3]));
    }
    fprintf(stderr, "usage: BenchPeer detector|detector-on-demand u16|u08|r64-6|r64-1 FRAMES | publisher BYTES MESSAGES"
                    " | router BYTES MESSAGES BUFFERS ENDPOINT | subscribers COUNT PORT\n");
    return 64;
}
