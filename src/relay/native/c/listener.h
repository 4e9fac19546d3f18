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
#ifndef UPGATE_LISTENER_H
#define UPGATE_LISTENER_H

#include <netinet/in.h>
#include <stdint.h>

#include "list.h"
#include "timer-wheel.h"

// Epoll's keys of doors and of guests.
#define LISTENER_KEY (1ull << 62)
#define PENDING_CONN_KEY (1ull << 61)

// What is read of a guest's first bytes.
#define FIRST_READ_SIZE 16384
#define ACCEPT_QUEUE_MAX 1024

// A guest: an open descriptor and what came on it. Or, without a descriptor, what became of the door: an errno where it
// could not accept, 0 when it is closed.
struct accepted_conn {
  struct link link;
  uint64_t listener_id;
  int fd, error;
  uint16_t port;
  char address[INET6_ADDRSTRLEN];  // of the peer; an IPv4-mapped one as IPv4
  uint32_t length;
  uint8_t bytes[];
};

struct listener;
struct pending_conn;

struct listeners {
  struct listener *first;
  struct pending_conn **by_slot;  // guests that have not said a word yet
  uint32_t capacity, first_free, generation;
  uint32_t paused_count;  // doors that wait until arrivals are heard
  int fds_low;            // whether the last one accepted has one of the last descriptors but some
  int spare_fd;           // a descriptor to have when there is no other
  struct wheel wheel;
  struct list accepted;  // of this turn
};

struct worker;

void listeners_init(struct listeners *all, uint64_t now);
// A door to this listening socket, which is the door's from now on; a guest may be silent for first_bytes_ms. Null where there is
// no memory, and the socket is the caller's still. Any thread may call this.
struct listener *listener_new(uint64_t id, int fd, uint32_t first_bytes_ms);
void listener_free(struct listener *listener);
// It accepts from now on.
void listener_open(struct worker *w, struct listener *listener);
void listener_close(struct worker *w, uint64_t id);
void listener_event(struct worker *w, uint64_t id);
void pending_conn_event(struct worker *w, uint64_t key);
// Tells of guests that have been silent for too long, and lets doors accept again.
void listener_timers(struct worker *w);
// Milliseconds until door_timers() has something to do; -1: nothing.
int listeners_timeout(const struct worker *w);
// Tells the engine of this turn's arrivals.
void listeners_publish(struct worker *w);
// Closes all that there is; nothing is told.
void listeners_stop(struct worker *w);
void listeners_free(struct listeners *all);

// Frees a list, and closes the descriptors in it.
void accepted_conns_free(struct accepted_conn *list);

#endif
