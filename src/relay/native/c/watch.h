// Epoll registrations. A registration belongs to an open file and stays with it. A descriptor that passes from one
// owner to the next within a thread (a pending connection, a dial, a tunnel's connection) is never removed from epoll
// on the way, since the old owner got one event and no more (EPOLLONESHOT). The registration goes when the open file
// does: at close(), where no other descriptor of it is left. The same holds for a client that is watched until it
// closes (engine_watch). In the thread of its tunnel the registration becomes the tunnel's; in another thread it may
// still publish one event, with an id that nothing knows any more.
#ifndef UPGATE_WATCH_H
#define UPGATE_WATCH_H

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>

// Registers a descriptor, and reports what is there already; `key` comes back in the event. `known`: whether it has
// been registered here before, a guess that spares a system call. Returns 0, or -1 with errno.
static inline int watch_for(int ep, int fd, uint32_t events, uint64_t key, int known) {
  struct epoll_event e = {.events = events, .data.u64 = key};
  if (epoll_ctl(ep, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) == 0) return 0;
  if (errno != (known ? ENOENT : EEXIST)) return -1;
  return epoll_ctl(ep, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e);
}

static inline void watch_end(int ep, int fd) { epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL); }

#endif
