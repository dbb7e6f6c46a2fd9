#include "CBench.h"

#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

struct subscriber {
    void *context;
    void *socket;
};

static struct subscriber begin(int port, int high_water_mark) {
    struct subscriber subscriber;
    subscriber.context = zmq_ctx_new();
    subscriber.socket = zmq_socket(subscriber.context, ZMQ_SUB);
    int limit = 5000, linger = 0;
    zmq_setsockopt(subscriber.socket, ZMQ_RCVHWM, &high_water_mark, sizeof high_water_mark);
    zmq_setsockopt(subscriber.socket, ZMQ_RCVTIMEO, &limit, sizeof limit);
    zmq_setsockopt(subscriber.socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(subscriber.socket, ZMQ_SUBSCRIBE, "", 0);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    zmq_connect(subscriber.socket, endpoint);
    return subscriber;
}

static void end(struct subscriber subscriber) {
    zmq_close(subscriber.socket);
    zmq_ctx_term(subscriber.context);
}

double bench_subscribe(int port, size_t messages) {
    struct subscriber subscriber = begin(port, 64);
    double first = 0, last = -1;
    for (size_t index = 0; index < messages; index++) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        int size = zmq_msg_recv(&message, subscriber.socket, 0);
        zmq_msg_close(&message);
        if (size < 0) {
            end(subscriber);
            return -1;
        }
        last = bench_now();
        if (index == 0) first = last;
    }
    end(subscriber);
    return last - first;
}

void *bench_begin_silent_subscriber(int port) {
    struct subscriber *subscriber = malloc(sizeof *subscriber);
    if (subscriber != NULL) *subscriber = begin(port, 1);
    return subscriber;
}

void bench_end_silent_subscriber(void *subscriber) {
    if (subscriber == NULL) return;
    end(*(struct subscriber *)subscriber);
    free(subscriber);
}
