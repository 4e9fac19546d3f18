// What the two halves of the relay's interface to Node share: addon.c has tunnels, dials and listeners, addon-tls.c what TLS
// adds to them.
#ifndef UPGATE_ADDON_H
#define UPGATE_ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker.h"

struct slots {
  uint32_t *released, released_count, released_capacity;  // free again
  uint32_t next;                                          // never assigned yet
  uint32_t live;
};

// A listener's socket, while it is open.
struct listen_socket {
  struct listen_socket *next;
  uint64_t id;
  int fd;
};

// TLS of a connection that JavaScript has got and not passed on yet. JavaScript names it by its place, counted from 1.
struct parked_tls {
  struct tls *tls;  // null: free
  int fd;
  uint32_t next_free;
};

// Slots whose activities are allocated together; they stay where they are.
#define ACTIVITY_CHUNK 1024u

struct relay {
  struct engine engine;
  napi_env env;
  napi_threadsafe_function wake;
  struct slots slots[WORKERS_MAX], dial_slots[WORKERS_MAX], listener_slots[WORKERS_MAX];
  struct activity *activities[WORKERS_MAX][SLOTS_MAX / ACTIVITY_CHUNK];  // by slot; null where no slot was used yet
  uint8_t *event_buffer;  // owned by JavaScript, which keeps it as long as it can be called
  size_t event_buffer_size;
  struct listen_socket *listen_sockets;
  struct policy **policies;
  struct parked_tls *parked;
  uint32_t parked_capacity, parked_free;  // parked_free: the first free place, counted from 1; 0: none
  struct relay *next_alive;               // of all that have threads: see stop_at_exit()
  uint32_t policy_count, threads;
  uint32_t generation;  // makes ids unique
  uint32_t live;  // tunnels, dials and listeners whose end JavaScript does not know yet
  int stopped, wake_finalized;  // wake_finalized: the thread-safe function is gone
  int holders;                  // the external value and the thread-safe function; the last one frees
};

// -- addon.c --------------------------------------------------------------------------------------------------------
napi_value fail(napi_env env, const char *message);
int arguments(napi_env env, napi_callback_info info, napi_value *args, size_t count);
struct relay *relay_of(napi_env env, napi_value value);
int id_of(napi_env env, napi_value value, const struct relay *r, uint64_t *id);
napi_value number(napi_env env, double n);

// -- addon-tls.c ----------------------------------------------------------------------------------------------------
// Gives a connection's TLS to JavaScript; returns its place, or 0 where there is no memory.
uint32_t park_tls(struct relay *r, struct tls *tls, int fd);
// Takes it back; null where there is none at this place.
struct tls *unpark_tls(struct relay *r, uint32_t place);
// Frees all that is parked, and closes the connections.
void free_parked(struct relay *r);
// The contexts behind a value from tlsContexts(); null where it is none.
struct tls_contexts *contexts_of(napi_env env, napi_value value);

napi_value js_tls_load(napi_env env, napi_callback_info info);
napi_value js_tls_contexts(napi_env env, napi_callback_info info);
napi_value js_tls_add(napi_env env, napi_callback_info info);
napi_value js_tls_use(napi_env env, napi_callback_info info);
napi_value js_tls_drop(napi_env env, napi_callback_info info);
napi_value js_pair(napi_env env, napi_callback_info info);
napi_value js_local_address(napi_env env, napi_callback_info info);

#endif
