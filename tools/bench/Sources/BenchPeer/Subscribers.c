#include "Peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// What a SUB that subscribes to everything says first: ZMTP 3.1's greeting, READY, and SUBSCRIBE "".
static const unsigned char greeting[64] = {0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 3, 1, 'N', 'U', 'L', 'L'};
static const unsigned char ready[] = {4,   25,  5,   'R', 'E', 'A', 'D', 'Y', 11, 'S', 'o', 'c', 'k', 'e',
                                      't', '-', 'T', 'y', 'p', 'e', 0,   0,   0,  3,   'S', 'U', 'B'};
static const unsigned char subscribe[] = {4, 10, 9, 'S', 'U', 'B', 'S', 'C', 'R', 'I', 'B', 'E'};

// Keeps a connection from being given up, without reading what was asked.
static const unsigned char pong[] = {4, 5, 4, 'P', 'O', 'N', 'G'};

static void say(int socket, const void *bytes, size_t count) {
    if (send(socket, bytes, count, 0) != (ssize_t)count) fail("send");
}

static void hear(int socket, size_t count) {
    char bytes[256];
    if (count > sizeof bytes || recv(socket, bytes, count, MSG_WAITALL) != (ssize_t)count) fail("recv");
}

static void keep(const int *subscribers, size_t count) {
    // Those that the server has given up are left alone.
    for (size_t index = 0; index < count; index++) send(subscribers[index], pong, sizeof pong, MSG_DONTWAIT);
}

// Connections cost no thread and no memory but the system's here, as they are never read from again.
void run_subscribers(size_t count, int port) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < count + 64) {
        limit.rlim_cur = count + 64;
        if (limit.rlim_max < limit.rlim_cur) limit.rlim_max = limit.rlim_cur;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("limit of open descriptors");
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int *subscribers = malloc(count * sizeof *subscribers);
    if (subscribers == NULL) fail("memory");
    for (size_t index = 0; index < count; index++) {
        int subscriber = socket(AF_INET, SOCK_STREAM, 0);
        int small = 4096;
        setsockopt(subscriber, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        // An address of its own for each few thousand, as each has so many ports.
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index / 5000)};
        if (subscriber < 0 || bind(subscriber, (struct sockaddr *)&own, sizeof own) != 0
            || connect(subscriber, (struct sockaddr *)&address, sizeof address) != 0) {
            fail("connect");
        }
        say(subscriber, greeting, sizeof greeting);
        hear(subscriber, sizeof greeting);
        say(subscriber, ready, sizeof ready);
        say(subscriber, subscribe, sizeof subscribe);
        subscribers[index] = subscriber;
        if (index % 1000 == 999) keep(subscribers, index);
    }
    tell_port((int)count);
    for (;;) {
        sleep(1);
        keep(subscribers, count);
    }
}
