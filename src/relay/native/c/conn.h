// One connection of a tunnel: a descriptor, the bytes pending to it, and its registration in epoll. Bytes pass through
// conn_read() and conn_write(), and where the connection allows it through conn_read_pipe() and conn_write_pipe(). A
// connection with TLS has only the first two.
//
// Epoll watches a connection edge-triggered, for all events, from its first to its last moment: each change is reported
// once, and the registration never changes. So whoever reads and writes has to remember what is left to do.
//
// Invariants:
// - `out` is null exactly when `out_length` is 0, and `pipe` when `piped` is; the pipe's bytes go first;
// - after a write that took less than there was, EPOLLOUT reports when there is room again;
// - a read that got less than was asked for has taken all there was, and epoll reports what comes later. The exceptions
//   are an end of the stream that was reported before, and two of TLS (see tls.h);
// - a descriptor does not block, also in calls that have no flag for that;
// - a shared descriptor is removed from epoll before it is closed, since its registration would outlive it (see
//   watch.h).
#ifndef UPGATE_CONN_H
#define UPGATE_CONN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pipe.h"
#include "tls.h"

enum { CONN_EOF = 0, CONN_AGAIN = -1, CONN_RESET = -2, CONN_NO_SPLICE = -3 };

struct conn {
  int fd;                // -1 once closed
  uint32_t piped : 30;   // how many bytes are in `pipe`
  uint32_t watched : 1;  // it is in epoll
  uint32_t shared : 1;   // node has another descriptor of it
  uint8_t *out;          // pending bytes that were copied
  uint32_t out_at, out_length;
  struct pipe *pipe;  // pending bytes in the kernel
  struct tls *tls;    // null: plain
  uint64_t *total_pending;  // what all connections of this thread have in `out` and `pipe`
};

// Reads at most n bytes of what is there. Returns how many, CONN_EOF, CONN_AGAIN or CONN_RESET.
ssize_t conn_read(struct conn *c, void *to, size_t n);
// Whether the last read has left something that no event reports.
static inline int conn_has_more(const struct conn *c) { return c->tls && tls_has_more(c->tls); }
// Writes what the connection takes at once. Returns how many bytes, 0 where it takes none now, or CONN_RESET.
ssize_t conn_write(struct conn *c, const void *from, size_t n);
// Moves at most n bytes of what is there into an empty pipe. Returns as conn_read(), or CONN_NO_SPLICE where the
// connection cannot do this.
ssize_t conn_read_pipe(struct conn *c, struct pipe *to, size_t n);
// Moves n bytes from a pipe, as far as the connection takes them at once. Returns as conn_write().
ssize_t conn_write_pipe(struct conn *c, struct pipe *from, size_t n);
// As conn_read(), but leaves the bytes where they are.
ssize_t conn_peek(struct conn *c, void *to, size_t n);
// Ends our half of the stream.
void conn_shutdown(struct conn *c);

// Writes, and keeps the rest pending. Returns 0 or CONN_RESET.
int conn_send(struct conn *c, const uint8_t *from, size_t n);
// The same with a pipe that holds exactly n bytes. Nothing may be pending, and the pipe is the connection's from now
// on.
int conn_send_pipe(struct conn *c, struct pipe *from, size_t n);
// How many bytes are pending.
static inline uint32_t conn_pending(const struct conn *c) { return c->out_length - c->out_at + c->piped; }
// Writes what is pending as far as it goes. Returns 0 or CONN_RESET.
int conn_flush(struct conn *c);
void conn_drop_pending(struct conn *c);

// Registers it in epoll (see watch_for). Returns 0 or -1.
int conn_watch(struct conn *c, int ep, uint64_t key, int known);
void conn_close(struct conn *c, int ep);

#endif
