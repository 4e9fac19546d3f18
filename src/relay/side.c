// See side.h.
#define _GNU_SOURCE
#include "side.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// In a process of several threads libc makes each of its own two a cancellation point, which costs 2 % of a small
// message; nobody cancels a thread here. A sanitizer has to see what they write.
#if defined SYS_recvfrom && defined SYS_sendto && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define RECV(fd, to, n, flags) syscall(SYS_recvfrom, fd, to, n, flags, NULL, NULL)
#define SEND(fd, from, n, flags) syscall(SYS_sendto, fd, from, n, flags, NULL, 0)
#else
#define RECV recv
#define SEND send
#endif

ssize_t side_read(struct side *s, void *to, size_t n) {
  for (;;) {
    ssize_t got = RECV(s->fd, to, n, MSG_DONTWAIT);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return SIDE_AGAIN;
    if (errno != EINTR) return SIDE_RESET;
  }
}

ssize_t side_write(struct side *s, const void *from, size_t n) {
  for (;;) {
    ssize_t put = SEND(s->fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) return put;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return SIDE_RESET;
  }
}

void side_shut(struct side *s) { shutdown(s->fd, SHUT_WR); }

int side_put(struct side *s, const uint8_t *from, size_t n) {
  if (!s->owed) {
    ssize_t put = side_write(s, from, n);
    if (put < 0) return SIDE_RESET;
    from += put;
    n -= (size_t)put;
    if (!n) return 0;
  }
  // The rest stands behind what is owed already. That happens for a frame of our own and for early bytes only: a side
  // that owes anything is not read for.
  uint32_t old = s->owed_length - s->owed_at;
  uint8_t *owed = malloc(old + n);
  if (!owed) return SIDE_RESET;
  if (old) memcpy(owed, s->owed + s->owed_at, old);
  memcpy(owed + old, from, n);
  side_drop_owed(s);
  s->owed = owed;
  s->owed_length = old + (uint32_t)n;
  *s->owed_by_all += s->owed_length;
  return 0;
}

int side_flush(struct side *s) {
  if (!s->owed) return 0;
  ssize_t put = side_write(s, s->owed + s->owed_at, s->owed_length - s->owed_at);
  if (put < 0) return SIDE_RESET;
  s->owed_at += (uint32_t)put;
  if (s->owed_at == s->owed_length) side_drop_owed(s);
  return 0;
}

void side_drop_owed(struct side *s) {
  *s->owed_by_all -= s->owed_length;
  free(s->owed);
  s->owed = NULL;
  s->owed_at = s->owed_length = 0;
}

int side_watch(struct side *s, int ep, uint64_t key) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = key};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &e) < 0) return -1;
  s->watched = 1;
  return 0;
}

void side_unwatch(struct side *s, int ep) {
  if (!s->watched) return;
  epoll_ctl(ep, EPOLL_CTL_DEL, s->fd, NULL);
  s->watched = 0;
}

void side_close(struct side *s, int ep) {
  if (s->fd < 0) return;
  side_unwatch(s, ep);
  close(s->fd);
  s->fd = -1;
  side_drop_owed(s);
}
