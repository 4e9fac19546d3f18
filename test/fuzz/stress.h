// What the stress tests of the native relay share: seeded randomness, a server's socket, and an engine with its
// notification. Each test is one program and includes this once.
#ifndef UPGATE_STRESS_H
#define UPGATE_STRESS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/relay/native/c/worker.h"

#ifdef STARVED
// Memory allocation fails now and then in the engine's threads, and getrandom() always. The linker puts these in place
// of the real ones (--wrap).
static __thread int exempt;
static __thread uint32_t allocations;
static int fails(void) { return !exempt && ++allocations % 29 == 0; }

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t count, size_t n) { return fails() ? NULL : __real_calloc(count, n); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }
ssize_t __wrap_getrandom(void *to, size_t n, unsigned flags) {
  (void)to, (void)n, (void)flags;
  errno = ENOSYS;
  return -1;
}
#endif

static struct engine engine;
__attribute__((unused)) static uint32_t next_generation = 1;  // makes ids unique
static uint64_t state;
static pthread_mutex_t notified_lock = PTHREAD_MUTEX_INITIALIZER;
static int notified;

// One of the n numbers from 0 on.
static uint32_t roll(uint32_t n) {
  state = state * 6364136223846793005ull + 1442695040888963407ull;
  return (uint32_t)(state >> 33) % n;
}

static void die(const char *what) {
  fprintf(stderr, "%s: %s (%s)\n", program_invocation_short_name, what, strerror(errno));
  abort();
}

static void on_events(void *to) {
  (void)to;
  pthread_mutex_lock(&notified_lock);
  notified = 1;
  pthread_mutex_unlock(&notified_lock);
}

// Whether the engine has published anything since the last call.
__attribute__((unused)) static int take_notification(void) {
  pthread_mutex_lock(&notified_lock);
  int any = notified;
  notified = 0;
  pthread_mutex_unlock(&notified_lock);
  return any;
}

// Reads `[count [seed]]`, and starts an engine of two threads. Returns the count.
static uint64_t begin(int argc, char **argv) {
  uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000;
  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
#ifdef STARVED
  exempt = 1;
#endif
  if (engine_start(&engine, 2, on_events, NULL)) die("engine_start");
  return count;
}

// A listening socket that does not block, on a free port of loopback; `at` is where.
static int listen_at(struct sockaddr_in *at) {
  socklen_t size = sizeof *at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (void *)at, sizeof *at) || listen(fd, 64) || getsockname(fd, (void *)at, &size)) die("listen");
  return fd;
}

#endif
