// The threads: each worker has one epoll, one timer wheel, one scratch buffer and the tunnels given to it. Commands come
// in over a queue with an eventfd; ended tunnels leave in batches. Knows nothing of Node: addon.c speaks to that.
//
// Invariants:
// - a tunnel's memory belongs to its worker's thread; everybody else has its id only, and an id is used once;
// - whoever opens tunnels gives out slots and takes them back when it has heard of the end and is done with it, so a slot is
//   never shared: not between two of one batch of news either;
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
// What one read takes at most. In front of it is a page for what is held back, so that the kernel copies to an aligned
// address: a misaligned one costs 5 %.
#ifndef SCRATCH
#define SCRATCH (256 * 1024)
#endif
#define SCRATCH_HEADROOM 4096
// Past this much owed by a thread's tunnels together, one read takes SCRATCH_SCARCE: many slow receivers cannot take all
// memory, and one alone is carried at full speed.
#define PENDING_HIGH (64u << 20)
#define SCRATCH_LOW (16 * 1024)
#define CHUNK 256

// The other end of a watched connection has ended its stream, or reset it; told once.
struct peer_closed {
  struct link link;
  uint64_t id;
};

// Epoll's keys of watched connections.
#define PEER_CLOSED_KEY (1ull << 60)

// What became of a tunnel; told once.
struct close_record {
  struct link link;
  uint64_t id;
  uint64_t bytes[2], messages[2], discarded;
  uint32_t code;
  uint8_t initiator, reason, was_cut, inspected;
};

enum command_kind { DO_OPEN, DO_CLOSE, DO_CUT, DO_DIAL, DO_CANCEL, DO_LISTEN, DO_UNLISTEN, DO_STOP };

struct command {
  struct command *next;
  uint64_t id;
  enum command_kind kind;
  uint16_t code;
  uint32_t deadline_ms;
  // Of DO_OPEN: both descriptors, ours to close, and the early bytes behind this struct: first those to the client.
  // Of DO_CLOSE: behind this struct the reason, ended by a zero byte. Of DO_DIAL: the order, and behind it its bytes.
  int fd[2];
  uint8_t shared[2];   // node has another descriptor of it
  struct listener *listener;  // of DO_LISTEN, ours
  const struct policy *policy;
  uint32_t head_length, to_client, to_backend, lifetime_ms;
  uint8_t early[];
};

_Static_assert(offsetof(struct command, early) % _Alignof(struct dial_request) == 0, "an order may stand behind a command");
// Where there is no memory for a tunnel or a dial, its end is told in the command's own.
_Static_assert(sizeof(struct close_record) <= sizeof(struct command), "a report fits where its command was");
_Static_assert(sizeof(struct dial_result) <= sizeof(struct command), "what is told of a dial fits where its command was");

struct engine;

struct worker {
  struct engine *engine;
  uint32_t index;
  int ep, wake;
  uint64_t now_ns, now;        // read once a turn; `now` in ms
  uint64_t total_pending;      // bytes its tunnels' sides have not taken yet
  uint64_t publish_at;         // when the batch of ended tunnels goes out, ms
  uint64_t expected_wake;      // when the wait for events ends at the latest, ms
  uint64_t timers_held_until;  // after a standstill, no timer is looked at before, ms; else 0
  struct wheel wheel;
  uint8_t *scratch;    // SCRATCH_ROOM and then SCRATCH bytes
  struct tunnel *ready_queue, **ready_tail;  // those to go on with, the one that has waited longest first
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
  int sleeping;  // whoever brings a command has to wake the thread; atomic, and set under the lock
};

// What the main thread is told of, and as what.
enum event_kind {
  EVENT_TUNNEL_CLOSED,  // struct report
  EVENT_DIAL_RESULT,    // struct dialled
  EVENT_ACCEPTED,       // struct arrived
  EVENT_PEER_CLOSED,    // struct left
  EVENT_KINDS
};

struct engine {
  uint32_t count;
  struct worker *worker[WORKERS_MAX];
  pthread_mutex_t lock;
  struct list events[EVENT_KINDS];  // under the lock, but for their counts
  void (*notify)(void *);           // called from a worker when one of these lists is no longer empty
  void *notify_arg;
};

// An id is worker (4 bits), slot (20 bits) and a number that makes it unique (28 bits): 52 bits, safe in a double.
#define ID(worker, slot, use) ((uint64_t)(use) << 24 | (uint64_t)(slot) << 4 | (worker))
#define ID_WORKER(id) ((uint32_t)(id) & 15)
#define ID_SLOT(id) ((uint32_t)((id) >> 4) & 0xfffff)
#define SLOTS_MAX 0x100000u
#define GENERATIONS_MAX 0x10000000u

// 0, or an errno; after a failure nothing is left running.
int engine_start(struct engine *e, uint32_t count, void (*notify)(void *), void *notify_arg);
// Cuts every tunnel and ends the threads; waits for them.
void engine_stop(struct engine *e);
// Takes the command over.
void engine_send(struct engine *e, struct command *c);
// The same, but a thread that sleeps does so until engine_wake(): to wake it costs more than most commands.
void engine_post(struct engine *e, struct command *c);
void engine_wake(struct engine *e);
// Takes all news of a kind that there are, as a list of its records, oldest first: the memory is the caller's, and the
// descriptors in it. Null where there are none.
void *engine_take(struct engine *e, enum event_kind kind);
// Frees such a list, and closes the descriptors in it.
void events_free(enum event_kind kind, void *all);
// A worker tells, as NEWS_LEFT with this id, when the other end of this connection has left; only whoever has the descriptor
// may call this. Returns 0 or an errno.
int engine_watch(struct engine *e, uint32_t worker, int fd, uint64_t id);

// -- for tunnel.c, ending.c, dial.c and listener.c ----------------------------------------------------------------------
void worker_random(struct worker *w, uint8_t *to, size_t n);
// The tunnel is gone on with in this turn or the next, behind those that wait for it already.
void worker_make_ready(struct worker *w, struct tunnel *t);
// The tunnel is over: closes, reports and frees it.
void worker_end(struct worker *w, struct tunnel *t);
// Takes all of the list over, and tells the main thread of it.
void engine_publish(struct engine *e, enum event_kind kind, struct list *all);

#endif
