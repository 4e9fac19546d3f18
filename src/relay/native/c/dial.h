// Dialling: connects to an address, sends the first bytes, and collects the answer up to and behind an empty line. What
// the bytes mean is decided elsewhere; the descriptor goes with them, and nothing here holds it any more.
//
// Invariants:
// - a dial belongs to its worker's thread; elsewhere it is named by id, in a table of its own;
// - each dial has exactly one result, a cancelled one too, so that its slot and its descriptor are always freed;
// - a descriptor in a result is no longer watched: epoll has reported it once (EPOLLONESHOT, see watch.h).
#ifndef UPGATE_DIAL_H
#define UPGATE_DIAL_H

#include <stdint.h>
#include <sys/socket.h>

#include "list.h"
#include "timer-wheel.h"

// Why a dial failed, where it is no errno; in the order of the table in dialler.ts.
enum { DIAL_EOF = -1, DIAL_CONNECT_TIMEOUT = -2, DIAL_ANSWER_TIMEOUT = -3, DIAL_CANCELLED = -4 };

// The most that one read takes: what was read behind the empty line goes along with the result.
#define DIAL_READ 16384

// What to dial; a command owns it until the dial starts.
struct dial_request {
  struct sockaddr_storage address;
  socklen_t address_length;
  int fd;                          // connected already, only to be read; else -1
  uint32_t connect_ms, answer_ms;  // timeouts: for the connection, and from there for the empty line
  uint32_t max_head;               // how many bytes may come before the empty line
  uint32_t length;                 // how many bytes there are to send, or, with an `fd`, that were received before
};

// The result of a dial: 0 and an open descriptor with the bytes received, or the error and -1. `connect_ms` is below 0
// where it was never connected.
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

// The epoll keys of dials have this bit, those of tunnels do not.
#define DIAL_KEY (1ull << 63)

void dials_init(struct dials *d, uint64_t now);
// Starts a dial; `bytes` are the request's. The dial may be over when this returns. Returns 0 where there is no memory;
// nothing has happened then.
int dial_start(struct worker *w, uint64_t id, const struct dial_request *request, const uint8_t *bytes);
// Queues the result that there was no memory to start it. `memory` holds that result from now on, and may be the
// request's own.
void dial_fail_unstarted(struct worker *w, uint64_t id, const struct dial_request *request, void *memory);
void dial_cancel(struct worker *w, uint64_t id);
void dial_event(struct worker *w, uint64_t id, uint32_t events);
// Ends dials whose timeout has passed.
void dial_timers(struct worker *w);
// Publishes the results of this turn.
void dials_publish(struct worker *w);
// Cancels all dials.
void dials_stop(struct worker *w);
void dials_free(struct dials *d);

// Frees a list and closes the descriptors in it.
void dial_results_free(struct dial_result *all);

#endif
