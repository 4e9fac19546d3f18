// Pipes, for bytes that go from one socket to another without a copy to user space and back (splice(2)). Each worker
// has a small pool. A pipe that is taken is empty; it is given back empty, or closed with what is in it.
#ifndef UPGATE_PIPE_H
#define UPGATE_PIPE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The most that a pool has: bytes that wait in a pipe keep it, and where none is left bytes are copied.
#define PIPES_MAX 8
// The most that one splice takes. A pipe has a slot for each piece of a packet, whatever its size: most packets fill
// one.
#define PIPE_READ_MAX (512 * 1024)
#define PIPE_SLOTS 128

struct pipe {
  struct pipe *next;
  struct pipes *home;
  int fd[2];
};

struct pipes {
  struct pipe *free;
  uint32_t count;
};

// Null where none is available.
struct pipe *pipe_take(struct pipes *home);
void pipe_give(struct pipe *p);
void pipe_drop(struct pipe *p);
// Closes those in the pool.
void pipes_free(struct pipes *home);

#endif
