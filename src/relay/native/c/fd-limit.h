// Descriptors that are kept free, in the shares that base/fd-limit.ts defines and explains. The limit is read each
// time: it may change while the process runs, and reading it costs a fraction of opening a socket.
#ifndef UPGATE_FD_LIMIT_H
#define UPGATE_FD_LIMIT_H

#include <stdint.h>
#include <sys/resource.h>

#define FD_RESERVE 64

// The first descriptor that this use may not have: so many halves of the reserve are kept free.
static inline int fd_limit(int halves) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX) return INT32_MAX;
  int all = (int)limit.rlim_cur, reserve = all / 8 < FD_RESERVE ? all / 8 : FD_RESERVE;
  return all - reserve * halves / 2;
}

static inline int fd_limit_low(void) { return fd_limit(4); }
static inline int fd_limit_clients(void) { return fd_limit(2); }
static inline int fd_limit_servers(void) { return fd_limit(1); }

#endif
