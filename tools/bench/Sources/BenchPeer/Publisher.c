#include "Peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

// Messages in flight: no more memory than Stemwire's live path is given in the comparison, so that both publishers are
// held back by their subscriber in the same way and neither drops.
enum { window = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER;
static void *available[window];
static int available_count;

static void give_back(void *data, void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    available[available_count++] = data;
    pthread_cond_signal(&freed);
    pthread_mutex_unlock(&lock);
}

// The buffer freed last: it is the one that may still be in the cache.
static void *take(void) {
    pthread_mutex_lock(&lock);
    while (available_count == 0) pthread_cond_wait(&freed, &lock);
    void *data = available[--available_count];
    pthread_mutex_unlock(&lock);
    return data;
}

void run_publisher(size_t size, size_t messages) {
    for (int index = 0; index < window; index++) {
        void *data = malloc(size);
        if (data == NULL) fail("memory");
        memset(data, index, size);
        give_back(data, NULL);
    }
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_XPUB);
    int verbose = 1;
    zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &verbose, sizeof verbose);
    if (zmq_bind(socket, "tcp://127.0.0.1:*") != 0) fail("bind");
    char endpoint[128];
    size_t length = sizeof endpoint;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &length);
    tell_port(atoi(strrchr(endpoint, ':') + 1));
    for (;;) {
        char change[8];
        if (zmq_recv(socket, change, sizeof change, 0) < 1 || change[0] != 1) continue;
        for (size_t index = 0; index < messages; index++) {
            zmq_msg_t message;
            zmq_msg_init_data(&message, take(), size, give_back, NULL);
            if (zmq_msg_send(&message, socket, 0) < 0) fail("send");
        }
    }
}
