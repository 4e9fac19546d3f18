// Dialling: connects to an address, sends the first bytes, and collects what comes back up to and behind an empty line.
// What the bytes mean is judged elsewhere; the descriptor goes along with them and is nobody's here from then on.
//
// Invariants:
// - a dial belongs to its worker's thread and is named by id from elsewhere, in a table of its own;
// - each dial is told once, whatever becomes of it, a cancelled one too, so that its slot and its descriptor come home;
// - a descriptor that is told of is watched no more: epoll has told of it once (EPOLLONESHOT, see watch.h).
#ifndef UPGATE_DIAL_H
#define UPGATE_DIAL_H

#include <stdint.h>
#include <sys/socket.h>

#include "list.h"
#include "timer-wheel.h"

// Why a dial failed, where it is no errno; the order is that of the table in dialler.ts.
enum { DIAL_EOF = -1, DIAL_CONNECT_TIMEOUT = -2, DIAL_ANSWER_TIMEOUT = -3, DIAL_CANCELLED = -4 };

// What is read at once: what stands behind the empty line and was read with it has to be carried along.
#define DIAL_READ 16384

// What to dial; a command owns it until a dial does.
struct dial_request {
  struct sockaddr_storage address;
  socklen_t address_length;
  int fd;                          // connected already: only to be read; else -1
  uint32_t connect_ms, answer_ms;  // waits for the connection, and from there for the empty line
  uint32_t max_head;               // how many bytes may come before the empty line
  uint32_t length;                 // how many bytes there are to send, or, with an `fd`, that have come before
};

// What became of a dial: 0 and an open descriptor with the bytes that have come, or why there is none, and -1. Where it
// was never connected, `connect_ms` is below 0.
struct dial_result {
  struct link link;
  uint64_t id;
  int error, fd;
  double connect_ms;
  uint32_t length;
  uint8_t bytes[];
};

struct dial;

struct dials {
  struct dial **by_slot;
  uint32_t capacity;
  struct wheel wheel;
  struct list results;  // of this turn
};

struct worker;

// Epoll's keys of dials have this bit, those of tunnels have not.
#define DIAL_KEY (1ull << 63)

void dials_init(struct dials *d, uint64_t now);
// `bytes` are the order's. The dial may be over when this returns. 0 where there is no memory, and nothing has happened.
int dial_start(struct worker *w, uint64_t id, const struct dial_request *request, const uint8_t *bytes);
// Tells that there was no memory to start it with; in memory that is given away, and may be the order's.
void dial_fail_unstarted(struct worker *w, uint64_t id, const struct dial_request *request, void *memory);
void dial_cancel(struct worker *w, uint64_t id);
void dial_event(struct worker *w, uint64_t id, uint32_t events);
// Ends those whose time is over.
void dial_timers(struct worker *w);
// Tells the engine what became of this turn's dials.
void dials_publish(struct worker *w);
// Ends all that there are.
void dials_stop(struct worker *w);
void dials_free(struct dials *d);

// Frees a list, and closes the descriptors in it.
void dial_results_free(struct dial_result *all);

#endif
