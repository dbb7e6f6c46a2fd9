#include "Peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

// A message's header; a tile's has about as many bytes.
enum { header_bytes = 180 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER;
static void **available;
static size_t available_count;

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

void run_router(size_t size, size_t messages, size_t buffers, const char *at) {
    available = malloc(buffers * sizeof *available);
    for (size_t index = 0; index < buffers; index++) {
        void *data = malloc(size);
        if (data == NULL) fail("memory");
        memset(data, (int)index, size);
        give_back(data, NULL);
    }
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    int yes = 1;
    // A peer whose queue is full is waited for.
    zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &yes, sizeof yes);
    if (zmq_bind(socket, at) != 0) fail("bind");
    char endpoint[128];
    size_t length = sizeof endpoint;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &length);
    const char *colon = strrchr(endpoint, ':');
    tell_port(colon == NULL ? 0 : atoi(colon + 1));
    char header[header_bytes];
    memset(header, 1, sizeof header);
    for (;;) {
        char peer[64], word[8];
        int peer_bytes = zmq_recv(socket, peer, sizeof peer, 0);
        if (peer_bytes < 1 || zmq_recv(socket, word, sizeof word, 0) < 0) continue;
        for (size_t index = 0; index < messages; index++) {
            zmq_msg_t message;
            zmq_msg_init_data(&message, take(), size, give_back, NULL);
            if (zmq_send(socket, peer, (size_t)peer_bytes, ZMQ_SNDMORE) < 0
                || zmq_send(socket, header, sizeof header, ZMQ_SNDMORE) < 0 || zmq_msg_send(&message, socket, 0) < 0) {
                // The peer has left.
                zmq_msg_close(&message);
                break;
            }
        }
    }
}
