// What epoll watches a descriptor for. A registration belongs to an open file and stays with it: a descriptor that goes
// from one owner to the next in a thread (a guest, a dial, a tunnel's side) is never taken out of epoll on the way, since
// whoever had it was told once and no more (EPOLLONESHOT). It goes when the open file does, which is at close() where no
// other descriptor of it is left. So does the one of a client that is watched for its leaving (engine_watch): in the thread
// that its tunnel goes to it becomes the tunnel's, in another one it may still tell once, by an id that nobody heeds.
#ifndef UPGATE_WATCH_H
#define UPGATE_WATCH_H

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>

// Watches from now on, and tells what is there already; `key` comes back in the event. `known`: whether it has been
// watched here before, as a guess that spares a system call. 0, or -1 with errno.
static inline int watch_for(int ep, int fd, uint32_t events, uint64_t key, int known) {
  struct epoll_event e = {.events = events, .data.u64 = key};
  if (epoll_ctl(ep, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) == 0) return 0;
  if (errno != (known ? ENOENT : EEXIST)) return -1;
  return epoll_ctl(ep, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e);
}

static inline void watch_end(int ep, int fd) { epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL); }

#endif
