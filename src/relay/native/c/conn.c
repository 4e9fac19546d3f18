// See conn.h.
#define _GNU_SOURCE
#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "watch.h"

// In a process of several threads libc makes each of its own two a cancellation point, which costs 2 % of a small
// message; nobody cancels a thread here. A sanitizer has to see what they write.
#if defined SYS_recvfrom && defined SYS_sendto && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define RECV(fd, to, n, flags) syscall(SYS_recvfrom, fd, to, n, flags, NULL, NULL)
#define SEND(fd, from, n, flags) syscall(SYS_sendto, fd, from, n, flags, NULL, 0)
#else
#define RECV recv
#define SEND send
#endif

static inline ssize_t receive(const struct side *s, void *to, size_t n, int flags) {
  for (;;) {
    ssize_t got = RECV(s->fd, to, n, MSG_DONTWAIT | flags);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return SIDE_AGAIN;
    if (errno != EINTR) return SIDE_RESET;
  }
}

ssize_t side_read(struct side *s, void *to, size_t n) { return receive(s, to, n, 0); }

ssize_t side_peek(struct side *s, void *to, size_t n) { return receive(s, to, n, MSG_PEEK); }

ssize_t side_read_pipe(struct side *s, struct pipe *to, size_t n) {
  for (;;) {
    ssize_t got = splice(s->fd, NULL, to->fd[1], NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return SIDE_AGAIN;
    if (errno == EINVAL || errno == ENOSYS || errno == EPERM) return SIDE_COPY;
    if (errno != EINTR) return SIDE_RESET;
  }
}

ssize_t side_write_pipe(struct side *s, struct pipe *from, size_t n) {
  for (;;) {
    ssize_t put = splice(from->fd[0], NULL, s->fd, NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (put >= 0) return put;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
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

static void drop_copied(struct side *s) {
  *s->owed_by_all -= s->owed_length;
  free(s->owed);
  s->owed = NULL;
  s->owed_at = s->owed_length = 0;
}

int side_put(struct side *s, const uint8_t *from, size_t n) {
  if (!side_owes(s)) {
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
  drop_copied(s);
  s->owed = owed;
  s->owed_length = old + (uint32_t)n;
  *s->owed_by_all += s->owed_length;
  return 0;
}

int side_put_pipe(struct side *s, struct pipe *from, size_t n) {
  ssize_t put = side_write_pipe(s, from, n);
  if (put == (ssize_t)n) {
    pipe_give(from);
    return 0;
  }
  if (put < 0) {
    pipe_drop(from);
    return SIDE_RESET;
  }
  s->pipe = from;
  s->piped = (uint32_t)(n - (size_t)put);
  *s->owed_by_all += s->piped;
  return 0;
}

// Returns whether nothing is left in its pipe, or SIDE_RESET.
static int flush_pipe(struct side *s) {
  ssize_t put = side_write_pipe(s, s->pipe, s->piped);
  if (put < 0) return SIDE_RESET;
  s->piped -= (uint32_t)put;
  *s->owed_by_all -= (uint32_t)put;
  if (s->piped) return 0;
  pipe_give(s->pipe);
  s->pipe = NULL;
  return 1;
}

int side_flush(struct side *s) {
  if (s->pipe) {
    int empty = flush_pipe(s);
    if (empty <= 0) return empty;
  }
  if (!s->owed) return 0;
  ssize_t put = side_write(s, s->owed + s->owed_at, s->owed_length - s->owed_at);
  if (put < 0) return SIDE_RESET;
  s->owed_at += (uint32_t)put;
  if (s->owed_at == s->owed_length) drop_copied(s);
  return 0;
}

void side_drop_owed(struct side *s) {
  drop_copied(s);
  if (!s->pipe) return;
  *s->owed_by_all -= s->piped;
  pipe_drop(s->pipe);
  s->pipe = NULL;
  s->piped = 0;
}

int side_watch(struct side *s, int ep, uint64_t key, int known) {
  if (watch_for(ep, s->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, key, known) < 0) return -1;
  s->watched = 1;
  return 0;
}

void side_close(struct side *s, int ep) {
  if (s->fd < 0) return;
  if (s->watched && s->shared) watch_end(ep, s->fd);
  close(s->fd);
  s->fd = -1;
  side_drop_owed(s);
}
