// See side.h.
#define _GNU_SOURCE
#include "side.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t side_read(struct side *s, void *to, size_t n) {
  for (;;) {
    ssize_t got = recv(s->fd, to, n, MSG_DONTWAIT);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return SIDE_AGAIN;
    if (errno != EINTR) return SIDE_RESET;
  }
}

ssize_t side_write(struct side *s, const void *from, size_t n) {
  for (;;) {
    ssize_t put = send(s->fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) return put;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return 0;
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
  while (s->owed) {
    ssize_t put = side_write(s, s->owed + s->owed_at, s->owed_length - s->owed_at);
    if (put < 0) return SIDE_RESET;
    if (put == 0) return 0;
    s->owed_at += (uint32_t)put;
    if (s->owed_at == s->owed_length) side_drop_owed(s);
  }
  return 0;
}

void side_drop_owed(struct side *s) {
  *s->owed_by_all -= s->owed_length;
  free(s->owed);
  s->owed = NULL;
  s->owed_at = s->owed_length = 0;
}

int side_watch(struct side *s, int ep, uint64_t key, uint32_t events) {
  if (s->watched == events) return 0;
  struct epoll_event e = {.events = events, .data.u64 = key};
  if (epoll_ctl(ep, s->watched == SIDE_UNWATCHED ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, s->fd, &e) < 0) return -1;
  s->watched = events;
  return 0;
}

void side_unwatch(struct side *s, int ep) {
  if (s->watched == SIDE_UNWATCHED) return;
  epoll_ctl(ep, EPOLL_CTL_DEL, s->fd, NULL);
  s->watched = SIDE_UNWATCHED;
}

void side_close(struct side *s, int ep) {
  if (s->fd < 0) return;
  side_unwatch(s, ep);
  close(s->fd);
  s->fd = -1;
  side_drop_owed(s);
}
