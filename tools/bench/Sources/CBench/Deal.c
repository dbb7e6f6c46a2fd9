#include "CBench.h"

#include <zmq.h>

double bench_deal(const char *endpoint, size_t messages) {
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_DEALER);
    int limit = 5000, linger = 0;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &limit, sizeof limit);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_connect(socket, endpoint);
    double first = 0, last = -1;
    if (zmq_send(socket, "go", 2, 0) == 2) {
        for (size_t index = 0; index < messages; index++) {
            zmq_msg_t header, message;
            zmq_msg_init(&header);
            zmq_msg_init(&message);
            int size = zmq_msg_recv(&header, socket, 0);
            if (size >= 0) size = zmq_msg_recv(&message, socket, 0);
            zmq_msg_close(&header);
            zmq_msg_close(&message);
            if (size < 0) {
                last = first - 1;
                break;
            }
            last = bench_now();
            if (index == 0) first = last;
        }
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    return last - first;
}
