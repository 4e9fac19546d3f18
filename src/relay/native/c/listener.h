// Accepting: takes connections from listening sockets and tells of each with the first bytes that came on it, in one
// piece. What they mean is judged elsewhere; the descriptor goes along with them and is nobody's here from then on. A
// connection that ends before it has said a word is closed, and nobody hears of it.
//
// Invariants:
// - a door and its guests belong to one worker's thread; elsewhere a door is named by id, a guest has no name;
// - a guest is told once, with its bytes, or without any when it was silent for the door's wait or the door closes;
// - a door is told of as closed once, behind all its guests;
// - several doors, of a thread each, may accept from one listening socket: who connects wakes one that is idle;
// - past ARRIVED_MOST guests that are told and not yet heard no door accepts, and the backlog fills.
#ifndef UPGATE_DOOR_H
#define UPGATE_DOOR_H

#include <netinet/in.h>
#include <stdint.h>

#include "list.h"
#include "timer-wheel.h"

// Epoll's keys of doors and of guests.
#define DOOR_KEY (1ull << 62)
#define GUEST_KEY (1ull << 61)

// What is read of a guest's first bytes.
#define GUEST_READ 16384
#define ARRIVED_MOST 1024

// A guest: an open descriptor and what came on it. Or, without a descriptor, what became of the door: an errno where it
// could not accept, 0 when it is closed.
struct arrived {
  struct link link;
  uint64_t door;
  int fd, error;
  uint16_t port;
  char address[INET6_ADDRSTRLEN];  // of the peer; an IPv4-mapped one as IPv4
  uint32_t length;
  uint8_t bytes[];
};

struct door;
struct guest;

struct doors {
  struct door *first;
  struct guest **by_slot;  // guests that have not said a word yet
  uint32_t room, spare, use;
  uint32_t full;           // doors that wait until arrivals are heard
  int pressing;            // whether the last one accepted has one of the last descriptors but some
  int reserve;             // a descriptor to have when there is no other
  struct wheel wheel;
  struct list told;        // of this turn
};

struct worker;

void doors_init(struct doors *d, uint64_t now);
// A door to this listening socket, which is the door's from now on; a guest may be silent for wait_ms. Null where there is
// no memory, and the socket is the caller's still. Any thread may call this.
struct door *door_new(uint64_t id, int fd, uint32_t wait_ms);
void door_free(struct door *door);
// It accepts from now on.
void door_open(struct worker *w, struct door *door);
void door_close(struct worker *w, uint64_t id);
void door_event(struct worker *w, uint64_t id);
void guest_event(struct worker *w, uint64_t key);
// Tells of guests that have been silent for too long, and lets doors accept again.
void door_timers(struct worker *w);
// Milliseconds until door_timers() has something to do; -1: nothing.
int doors_wait(const struct worker *w);
// Tells the engine of this turn's arrivals.
void doors_tell(struct worker *w);
// Closes all that there is; nothing is told.
void doors_stop(struct worker *w);
void doors_free(struct doors *d);

// Frees a list, and closes the descriptors in it.
void arrived_free(struct arrived *all);

#endif
