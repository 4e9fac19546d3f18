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

// In a process with several threads libc makes its recv() and send() cancellation points, which costs 2 % of a small
// message; no thread is ever cancelled here. A sanitizer has to see what they write.
#if defined SYS_recvfrom && defined SYS_sendto && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define RECV(fd, to, n, flags) syscall(SYS_recvfrom, fd, to, n, flags, NULL, NULL)
#define SEND(fd, from, n, flags) syscall(SYS_sendto, fd, from, n, flags, NULL, 0)
#else
#define RECV recv
#define SEND send
#endif

static inline ssize_t receive(const struct conn *c, void *to, size_t n, int flags) {
  for (;;) {
    ssize_t got = RECV(c->fd, to, n, MSG_DONTWAIT | flags);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return CONN_AGAIN;
    if (errno != EINTR) return CONN_RESET;
  }
}

ssize_t conn_read(struct conn *c, void *to, size_t n) { return c->tls ? tls_read(c->tls, to, n) : receive(c, to, n, 0); }

ssize_t conn_peek(struct conn *c, void *to, size_t n) { return receive(c, to, n, MSG_PEEK); }

ssize_t conn_read_pipe(struct conn *c, struct pipe *to, size_t n) {
  for (;;) {
    ssize_t got = splice(c->fd, NULL, to->fd[1], NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return CONN_AGAIN;
    if (errno == EINVAL || errno == ENOSYS || errno == EPERM) return CONN_NO_SPLICE;
    if (errno != EINTR) return CONN_RESET;
  }
}

ssize_t conn_write_pipe(struct conn *c, struct pipe *from, size_t n) {
  for (;;) {
    ssize_t put = splice(from->fd[0], NULL, c->fd, NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (put >= 0) return put;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return CONN_RESET;
  }
}

ssize_t conn_write(struct conn *c, const void *from, size_t n) {
  if (c->tls) return tls_write(c->tls, from, n);
  for (;;) {
    ssize_t put = SEND(c->fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) return put;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return CONN_RESET;
  }
}

void conn_shutdown(struct conn *c) {
  if (c->tls) tls_shutdown(c->tls);
  shutdown(c->fd, SHUT_WR);
}

static void drop_out(struct conn *c) {
  *c->total_pending -= c->out_length;
  free(c->out);
  c->out = NULL;
  c->out_at = c->out_length = 0;
}

int conn_send(struct conn *c, const uint8_t *from, size_t n) {
  if (!conn_pending(c)) {
    ssize_t put = conn_write(c, from, n);
    if (put < 0) return CONN_RESET;
    from += put;
    n -= (size_t)put;
    if (!n) return 0;
  }
  // The rest goes behind what is pending already. That happens only for a frame of our own and for early bytes: while
  // anything is pending, the other connection is not read.
  uint32_t old = c->out_length - c->out_at;
  uint8_t *out = malloc(old + n);
  if (!out) return CONN_RESET;
  if (old) memcpy(out, c->out + c->out_at, old);
  memcpy(out + old, from, n);
  drop_out(c);
  c->out = out;
  c->out_length = old + (uint32_t)n;
  *c->total_pending += c->out_length;
  return 0;
}

int conn_send_pipe(struct conn *c, struct pipe *from, size_t n) {
  ssize_t put = conn_write_pipe(c, from, n);
  if (put == (ssize_t)n) {
    pipe_give(from);
    return 0;
  }
  if (put < 0) {
    pipe_drop(from);
    return CONN_RESET;
  }
  c->pipe = from;
  c->piped = (uint32_t)(n - (size_t)put);
  *c->total_pending += c->piped;
  return 0;
}

// Returns whether its pipe is empty now, or CONN_RESET.
static int flush_pipe(struct conn *c) {
  ssize_t put = conn_write_pipe(c, c->pipe, c->piped);
  if (put < 0) return CONN_RESET;
  c->piped -= (uint32_t)put;
  *c->total_pending -= (uint32_t)put;
  if (c->piped) return 0;
  pipe_give(c->pipe);
  c->pipe = NULL;
  return 1;
}

int conn_flush(struct conn *c) {
  if (c->pipe) {
    int empty = flush_pipe(c);
    if (empty <= 0) return empty;
  }
  if (!c->out) return 0;
  ssize_t put = conn_write(c, c->out + c->out_at, c->out_length - c->out_at);
  if (put < 0) return CONN_RESET;
  c->out_at += (uint32_t)put;
  if (c->out_at == c->out_length) drop_out(c);
  return 0;
}

void conn_drop_pending(struct conn *c) {
  drop_out(c);
  if (!c->pipe) return;
  *c->total_pending -= c->piped;
  pipe_drop(c->pipe);
  c->pipe = NULL;
  c->piped = 0;
}

int conn_watch(struct conn *c, int ep, uint64_t key, int known) {
  if (watch_for(ep, c->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, key, known) < 0) return -1;
  c->watched = 1;
  return 0;
}

void conn_close(struct conn *c, int ep) {
  if (c->fd < 0) return;
  if (c->watched && c->shared) watch_end(ep, c->fd);
  tls_free(c->tls);
  c->tls = NULL;
  close(c->fd);
  c->fd = -1;
  conn_drop_pending(c);
}
