// See pipe.h.
#define _GNU_SOURCE
#include "pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct pipe *pipe_take(struct pipes *home) {
  struct pipe *p = home->free;
  if (p) {
    home->free = p->next;
    return p;
  }
  if (home->count == PIPES_MAX) return NULL;
  p = malloc(sizeof *p);
  // Out of descriptors or memory: there may be some later.
  if (!p || pipe2(p->fd, O_NONBLOCK | O_CLOEXEC) < 0) {
    free(p);
    return NULL;
  }
  // Refused where its user has many already: the pipe is smaller then, and no worse otherwise.
  fcntl(p->fd[1], F_SETPIPE_SZ, PIPE_SLOTS * (int)sysconf(_SC_PAGESIZE));
  p->home = home;
  home->count++;
  return p;
}

void pipe_give(struct pipe *p) {
  p->next = p->home->free;
  p->home->free = p;
}

void pipe_drop(struct pipe *p) {
  p->home->count--;
  close(p->fd[0]);
  close(p->fd[1]);
  free(p);
}

void pipes_free(struct pipes *home) {
  for (struct pipe *p; (p = home->free);) {
    home->free = p->next;
    pipe_drop(p);
  }
}
