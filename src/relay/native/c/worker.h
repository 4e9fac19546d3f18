// The worker threads. Each has one epoll, one timer wheel, one scratch buffer and its own tunnels. Commands come in
// through a queue with an eventfd; close records go out in batches. Knows nothing of Node: that is addon.c's part.
//
// Invariants:
// - a tunnel's memory belongs to its worker's thread; all other code has only its id, and an id is used once;
// - whoever opens tunnels assigns the slots, and frees one after it has taken and handled the close record. So a slot
//   is never shared, not even by two records of one batch of events;
// - a worker holds its lock only to move a list, never while it reads, writes or calls out.
#ifndef UPGATE_WORKER_H
#define UPGATE_WORKER_H

#include <pthread.h>
#include <stddef.h>

#include "dial.h"
#include "listener.h"
#include "list.h"
#include "pipe.h"
#include "tunnel.h"

#define WORKERS_MAX 16
// The most that one read takes. Held bytes go into the page in front of it, so that the kernel copies to an aligned
// address: a misaligned one costs 5 %.
#ifndef SCRATCH
#define SCRATCH (256 * 1024)
#endif
#define SCRATCH_HEADROOM 4096
// When a thread's tunnels together have more than this pending, one read takes at most SCRATCH_LOW. Many slow receivers
// cannot use up the memory, and a single one still runs at full speed.
#define PENDING_HIGH (64u << 20)
#define SCRATCH_LOW (16 * 1024)
#define CHUNK 256

// The peer of a watched connection has ended its stream or reset it; published once.
struct peer_closed {
  struct link link;
  uint64_t id;
};

// The epoll keys of watched connections.
#define PEER_CLOSED_KEY (1ull << 60)

// How a tunnel ended; published once.
struct close_record {
  struct link link;
  uint64_t id;
  uint64_t bytes[2], messages[2], discarded;
  uint32_t code;
  uint8_t initiator, reason, was_cut, inspected;
};

enum command_kind { DO_OPEN, DO_CLOSE, DO_CUT, DO_DIAL, DO_CANCEL, DO_LISTEN, DO_UNLISTEN, DO_USE_TLS, DO_STOP };

struct command {
  struct command *next;
  uint64_t id;
  enum command_kind kind;
  uint16_t code;
  uint32_t deadline_ms;
  // DO_OPEN: both descriptors, owned by the command; behind this struct the early bytes, first those to the client.
  // DO_CLOSE: behind this struct the reason, zero-terminated. DO_DIAL: the request, and behind it its bytes.
  int fd[2];
  uint8_t shared[2];   // node has another descriptor of it
  struct tls *tls;            // of DO_OPEN: the client's; null: plain
  struct listener *listener;  // of DO_LISTEN; owned by the command
  struct tls_contexts *contexts;  // of DO_USE_TLS; holds a reference
  const struct policy *policy;
  struct activity *activity;  // of DO_OPEN: where the tunnel says what it carries
  uint32_t head_length, to_client, to_backend, lifetime_ms;
  uint8_t early[];
};

_Static_assert(offsetof(struct command, early) % _Alignof(struct dial_request) == 0, "a request may follow a command");
// Without memory for a tunnel or a dial, the command's own memory becomes the record of the failure.
_Static_assert(sizeof(struct close_record) <= sizeof(struct command), "a close record fits into its command");
_Static_assert(sizeof(struct dial_result) <= sizeof(struct command), "a dial result fits into its command");

struct engine;

struct worker {
  struct engine *engine;
  uint32_t index;
  int ep, wake;
  uint64_t now_ns, now;        // read once a turn; `now` in ms
  uint64_t total_pending;      // bytes that its tunnels' connections have not taken yet
  uint64_t publish_at;         // when the batch of close records goes out, ms
  uint64_t expected_wake;      // when epoll_wait() returns at the latest, ms
  uint32_t test_clock_settings;  // as of the engine, when its last whole turn began; atomic
  uint64_t timers_held_until;  // after a stall no timer runs before this, ms; else 0
  struct wheel wheel;
  uint8_t *scratch;    // SCRATCH_HEADROOM and then SCRATCH bytes
  struct tunnel *ready_queue, **ready_tail;  // tunnels that have more to do, the oldest first
  uint32_t ready_count;
  struct pipes pipes;
  struct tunnel ***chunks;
  uint32_t chunk_count;
  struct list close_records, peers_closed;  // of this turn
  uint8_t random[256];
  uint32_t random_at;
  int stopping;
  pthread_t thread;
  struct dials dials;
  struct listeners listeners;
  pthread_mutex_t lock;
  struct command *queue, **queue_end;  // under the lock
  int sleeping;  // a new command has to wake the thread; atomic, and set under the lock
};

// What workers publish to the main thread.
enum event_kind {
  EVENT_TUNNEL_CLOSED,  // struct close_record
  EVENT_DIAL_RESULT,    // struct dial_result
  EVENT_ACCEPTED,       // struct accepted_conn
  EVENT_PEER_CLOSED,    // struct peer_closed
  EVENT_KINDS
};

struct engine {
  uint32_t count;
  uint64_t test_clock_ns;  // what the time is; 0: the system's clock says it. Atomic
  uint32_t test_clock_settings;  // how often it was set; atomic
  struct worker *worker[WORKERS_MAX];
  pthread_mutex_t lock;
  struct list events[EVENT_KINDS];  // under the lock, but for their counts
  void (*notify)(void *);           // called from a worker when one of these lists is no longer empty
  void *notify_arg;
};

// An id is the worker (4 bits), the slot (20 bits) and a generation that makes it unique (28 bits): 52 bits, safe in a
// double.
#define ID(worker, slot, use) ((uint64_t)(use) << 24 | (uint64_t)(slot) << 4 | (worker))
#define ID_WORKER(id) ((uint32_t)(id) & 15)
#define ID_SLOT(id) ((uint32_t)((id) >> 4) & 0xfffff)
#define SLOTS_MAX 0x100000u
#define GENERATIONS_MAX 0x10000000u

// Returns 0 or an errno; after a failure no thread is left running.
int engine_start(struct engine *e, uint32_t count, void (*notify)(void *), void *notify_arg);
// Cuts every tunnel, ends the threads and waits for them.
void engine_stop(struct engine *e);
// Takes ownership of the command, queues it and wakes its thread.
void engine_send(struct engine *e, struct command *c);
// Queues the command, but leaves a sleeping thread asleep until engine_wake(): waking it costs more than most commands.
void engine_post(struct engine *e, struct command *c);
void engine_wake(struct engine *e);
// The time of its threads, ns: CLOCK_MONOTONIC, unless a test has taken the clock over.
uint64_t engine_clock_ns(const struct engine *e);
// For tests: takes the clock over and moves it on. It stands still until the next call, and close records go out at once.
// Returns when each thread has run the timers that are due then.
void engine_advance_test_clock(struct engine *e, uint64_t ms);
// Takes all published events of a kind, as a list of its records, oldest first. The caller owns their memory and the
// descriptors in them. Null where there are none.
void *engine_take(struct engine *e, enum event_kind kind);
// Frees such a list and closes the descriptors in it.
void events_free(enum event_kind kind, void *all);
// The worker publishes one EVENT_PEER_CLOSED with this id when the peer of this connection ends its stream or resets
// it. Only the descriptor's owner may call this. Returns 0 or an errno.
int engine_watch(struct engine *e, uint32_t worker, int fd, uint64_t id);

// -- for tunnel.c, ending.c, dial.c and listener.c
// ----------------------------------------------------------------------
void worker_random(struct worker *w, uint8_t *to, size_t n);
// The tunnel runs again in this turn or the next, behind those in the ready queue.
void worker_make_ready(struct worker *w, struct tunnel *t);
// The tunnel is over: closes its connections, queues its close record and frees it.
void worker_end(struct worker *w, struct tunnel *t);
// Takes the whole list and publishes it to the main thread.
void engine_publish(struct engine *e, enum event_kind kind, struct list *all);

#endif
