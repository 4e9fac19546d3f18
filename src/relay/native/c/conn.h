// One side of a tunnel: a descriptor, what is owed to it, and what epoll watches it for. Bytes pass through side_read
// and side_write, and where a side can do that through side_read_pipe and side_write_pipe; a side of another kind (TLS)
// needs the first two and nothing else here.
//
// Epoll watches a side edge-triggered, for everything, from its first to its last moment: an item that is ready is polled
// once and not again, and nothing is switched on or off. So whoever reads and writes has to remember what is left to do.
//
// Invariants:
// - `owed` is null exactly when `owed_length` is 0, and `pipe` when `piped` is; what is in the pipe goes first;
// - a write that took less than there was is told of by EPOLLOUT when there is room again;
// - a read that got less than was asked for has taken all there was, and what comes later is told of; but not so the
//   end of a stream that was told of before;
// - a descriptor does not block, also where a call cannot be told so;
// - a shared descriptor is taken out of epoll before it is closed, since its registration would outlive it (see watch.h).
#ifndef UPGATE_CONN_H
#define UPGATE_CONN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pipe.h"

enum { CONN_EOF = 0, CONN_AGAIN = -1, CONN_RESET = -2, CONN_NO_SPLICE = -3 };

struct conn {
  int fd;                // -1 once closed
  uint32_t piped : 30;   // how many bytes are in `pipe`
  uint32_t watched : 1;  // it is in epoll
  uint32_t shared : 1;   // node has another descriptor of it
  uint8_t *out;          // bytes it has not taken yet
  uint32_t out_at, out_length;
  struct pipe *pipe;  // bytes it has not taken yet, too
  uint64_t *total_pending;  // what all sides of this thread have in `owed` and `pipe`
};

// Reads what is there, at most n bytes: how many, SIDE_END, SIDE_AGAIN or SIDE_RESET.
ssize_t conn_read(struct conn *c, void *to, size_t n);
// Writes what the side takes at once: how many bytes, 0 where it takes none now, or SIDE_RESET.
ssize_t conn_write(struct conn *c, const void *from, size_t n);
// Moves what is there into an empty pipe, at most n bytes: as side_read, or SIDE_COPY where this cannot be done.
ssize_t conn_read_pipe(struct conn *c, struct pipe *to, size_t n);
// Moves n bytes from a pipe, as far as the side takes them at once: as side_write.
ssize_t conn_write_pipe(struct conn *c, struct pipe *from, size_t n);
// As side_read, and what it got stays where it was.
ssize_t conn_peek(struct conn *c, void *to, size_t n);
// Ends our half of the stream.
void conn_shutdown(struct conn *c);

// Writes, and keeps what is left over as owed. 0, or SIDE_RESET.
int conn_send(struct conn *c, const uint8_t *from, size_t n);
// The same with n bytes in a pipe, all there is in it; the side owes nothing, and the pipe is not the caller's any more.
int conn_send_pipe(struct conn *c, struct pipe *from, size_t n);
// How many bytes it is owed.
static inline uint32_t conn_pending(const struct conn *c) { return c->out_length - c->out_at + c->piped; }
// Writes what is owed as far as it goes. 0, or SIDE_RESET.
int conn_flush(struct conn *c);
void conn_drop_pending(struct conn *c);

// Has it watched from now on (see watch_for). 0, or -1.
int conn_watch(struct conn *c, int ep, uint64_t key, int known);
void conn_close(struct conn *c, int ep);

#endif
