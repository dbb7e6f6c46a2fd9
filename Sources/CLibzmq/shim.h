// What Swift needs of libzmq and cannot import from its header as it stands.
#pragma once

#include <zmq.h>

// Built into the library since 4.3.0, but declared in zmq.h for draft builds only.
enum { STEMWIRE_ZMQ_ZAP_ENFORCE_DOMAIN = 93 };

// Macros over macros with an offset, which are error codes in every build.
static inline int stemwire_zmq_eterm(void) { return ETERM; }
static inline int stemwire_zmq_efsm(void) { return EFSM; }
static inline int stemwire_zmq_enocompatproto(void) { return ENOCOMPATPROTO; }
static inline int stemwire_zmq_emthread(void) { return EMTHREAD; }
