// One side of a tunnel: a descriptor, what is owed to it, and what epoll watches it for. Bytes pass through side_read
// and side_write only, so that a side of another kind (TLS) needs those two and nothing else here.
//
// Invariants: `owed` is null exactly when `owed_length` is 0. A descriptor is taken out of epoll before it is closed:
// registrations belong to the open file, and node may still hold another descriptor of it.
#ifndef UPGATE_SIDE_H
#define UPGATE_SIDE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SIDE_END = 0, SIDE_AGAIN = -1, SIDE_RESET = -2 };

// Never a set of events: the descriptor is not in epoll.
#define SIDE_UNWATCHED UINT32_MAX

struct side {
  int fd;            // -1 once closed
  uint32_t watched;  // the events epoll has for it, or SIDE_UNWATCHED
  uint8_t *owed;     // bytes it has not taken yet
  uint32_t owed_at, owed_length;
  uint64_t *owed_by_all;  // what all sides of this thread have in `owed`
};

// Reads what is there, at most n bytes: how many, SIDE_END, SIDE_AGAIN or SIDE_RESET.
ssize_t side_read(struct side *s, void *to, size_t n);
// Writes what the side takes at once: how many bytes, 0 where it takes none now, or SIDE_RESET.
ssize_t side_write(struct side *s, const void *from, size_t n);
// Ends our half of the stream.
void side_shut(struct side *s);

// Writes, and keeps what is left over as owed. 0, or SIDE_RESET.
int side_put(struct side *s, const uint8_t *from, size_t n);
// Writes what is owed as far as it goes. 0, or SIDE_RESET.
int side_flush(struct side *s);
void side_drop_owed(struct side *s);

// Tells epoll what to watch; nothing where that is so already. `key` comes back in the event. 0, or -1.
int side_watch(struct side *s, int ep, uint64_t key, uint32_t events);
void side_unwatch(struct side *s, int ep);
void side_close(struct side *s, int ep);

#endif
