// See listener.h.
#define _GNU_SOURCE
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd-limit.h"
#include "tcp.h"
#include "worker.h"
#include "watch.h"

// The most that one listener accepts before others get their turn.
#define ACCEPT_BATCH_MAX 64
// How often a paused listener checks for room, ms.
#define ACCEPT_RETRY_MS 2
#define NO_SLOT UINT32_MAX
#define SLOT_OF(key) ((uint32_t)(key) & 0xfffff)

struct listener {
  struct listener *next;
  uint64_t id;
  int fd;
  uint32_t first_bytes_ms;
  int paused;                          // not watched until there is room in the queue
  struct accepted_conn *closed_event;  // memory for the record of its close
};

struct pending_conn {
  struct timer timer;  // first: a timer is cast to its pending connection
  uint64_t key, listener_id;
  int fd;
  uint32_t next_free;  // of a free slot; nothing else here is valid then
  struct sockaddr_storage peer;
};

static int open_spare_fd(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

void listeners_init(struct listeners *all, uint64_t now) {
  memset(all, 0, sizeof *all);
  list_clear(&all->accepted);
  all->first_free = NO_SLOT;
  all->spare_fd = open_spare_fd();
  wheel_init(&all->wheel, now);
}

static struct listener *find_listener(const struct listeners *all, uint64_t id) {
  struct listener *l = all->first;
  while (l && l->id != id) l = l->next;
  return l;
}

// -- Publishing -----------------------------------------------------------------------------------------------------

static void write_address(struct accepted_conn *to, const struct sockaddr_storage *peer) {
  const struct sockaddr_in *four = (const struct sockaddr_in *)peer;
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)peer;
  to->address[0] = 0;
  to->port = 0;
  if (peer->ss_family == AF_INET) {
    to->port = ntohs(four->sin_port);
    inet_ntop(AF_INET, &four->sin_addr, to->address, sizeof to->address);
  } else if (peer->ss_family == AF_INET6) {
    int mapped = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
    const uint8_t *bytes = six->sin6_addr.s6_addr;
    to->port = ntohs(six->sin6_port);
    inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? bytes + 12 : bytes, to->address, sizeof to->address);
  }
}

static void queue_accepted(struct listeners *all, uint64_t listener_id, int fd, const struct sockaddr_storage *peer,
                           size_t n, const uint8_t *bytes) {
  struct accepted_conn *a = malloc(sizeof *a + n);
  if (!a) {
    close(fd);
    return;
  }
  *a = (struct accepted_conn){.listener_id = listener_id, .fd = fd, .length = (uint32_t)n};
  write_address(a, peer);
  if (n) memcpy(a->bytes, bytes, n);
  list_add(&all->accepted, &a->link);
}

// A listener could not accept.
static void queue_error(struct listeners *all, uint64_t listener_id, int error) {
  struct accepted_conn *a = malloc(sizeof *a);
  if (!a) return;
  *a = (struct accepted_conn){.listener_id = listener_id, .fd = -1, .error = error};
  list_add(&all->accepted, &a->link);
}

// -- Connections without a first byte -------------------------------------------------------------------------------

static uint32_t take_slot(struct listeners *all) {
  if (all->first_free == NO_SLOT) {
    uint32_t capacity = all->capacity ? all->capacity * 2 : 64;
    struct pending_conn **by_slot = capacity <= SLOTS_MAX ? realloc(all->by_slot, capacity * sizeof *by_slot) : NULL;
    if (!by_slot) return NO_SLOT;
    all->by_slot = by_slot;
    for (; all->capacity < capacity; all->capacity++) {
      struct pending_conn *pending = malloc(sizeof *pending);
      if (!pending) return all->first_free;
      by_slot[all->capacity] = pending;
      memset(pending, 0, sizeof *pending);
      pending->next_free = all->first_free;
      all->first_free = all->capacity;
    }
  }
  uint32_t slot = all->first_free;
  all->first_free = all->by_slot[slot]->next_free;
  return slot;
}

// Frees its slot; it is out of the wheel, and the caller has its descriptor. Its fields can be read until the next
// take_slot().
static void release(struct worker *w, struct pending_conn *pending) {
  struct listeners *all = &w->listeners;
  uint32_t slot = SLOT_OF(pending->key);
  wheel_clear(&all->wheel, &pending->timer);
  pending->key = 0;
  pending->next_free = all->first_free;
  all->first_free = slot;
}

static void wait_first_bytes(struct worker *w, const struct listener *l, int fd, const struct sockaddr_storage *peer) {
  struct listeners *all = &w->listeners;
  uint32_t slot = take_slot(all);
  if (slot == NO_SLOT) {
    close(fd);
    return;
  }
  struct pending_conn *pending = all->by_slot[slot];
  all->generation = all->generation + 1 < GENERATIONS_MAX ? all->generation + 1 : 1;
  pending->key = PENDING_CONN_KEY | (uint64_t)all->generation << 24 | slot;
  pending->listener_id = l->id;
  pending->fd = fd;
  pending->peer = *peer;
  wheel_set(&all->wheel, &pending->timer, w->now + l->first_bytes_ms);
  if (watch_for(w->ep, fd, EPOLLIN | EPOLLONESHOT, pending->key, 0) == 0) return;
  release(w, pending);
  close(fd);
}

// Publishes a connection without a first byte.
static void queue_idle(struct worker *w, struct pending_conn *pending) {
  watch_end(w->ep, pending->fd);
  release(w, pending);
  queue_accepted(&w->listeners, pending->listener_id, pending->fd, &pending->peer, 0, NULL);
}

// Reads what has arrived and publishes the connection, or closes it where it has ended. Returns 0 where nothing has
// arrived yet.
static int read_first_bytes(struct worker *w, uint64_t listener_id, int fd, const struct sockaddr_storage *peer) {
  uint8_t *p = w->scratch + SCRATCH_HEADROOM;
  ssize_t n;
  do n = recv(fd, p, FIRST_READ_SIZE, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  if (n > 0) queue_accepted(&w->listeners, listener_id, fd, peer, (size_t)n, p);
  else close(fd);
  return 1;
}

void pending_conn_event(struct worker *w, uint64_t key) {
  struct listeners *all = &w->listeners;
  struct pending_conn *pending = SLOT_OF(key) < all->capacity ? all->by_slot[SLOT_OF(key)] : NULL;
  if (!pending || pending->key != key) return;
  release(w, pending);
  // A spurious event: publishes it without bytes.
  if (read_first_bytes(w, pending->listener_id, pending->fd, &pending->peer)) return;
  queue_accepted(all, pending->listener_id, pending->fd, &pending->peer, 0, NULL);
}

// -- Listeners ------------------------------------------------------------------------------------------------------

// A new connection wakes one of the threads that wait for it, not all of them.
static int watch(struct worker *w, const struct listener *l) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = LISTENER_KEY | l->id};
  return epoll_ctl(w->ep, EPOLL_CTL_ADD, l->fd, &e);
}

struct listener *listener_new(uint64_t id, int fd, uint32_t first_bytes_ms) {
  struct listener *l = malloc(sizeof *l);
  struct accepted_conn *closed_event = malloc(sizeof *closed_event);
  if (!l || !closed_event) {
    free(l);
    free(closed_event);
    return NULL;
  }
  *l = (struct listener){.id = id, .fd = fd, .first_bytes_ms = first_bytes_ms, .closed_event = closed_event};
  *closed_event = (struct accepted_conn){.listener_id = id, .fd = -1};
  set_tcp_options(fd);
  return l;
}

void listener_free(struct listener *l) {
  close(l->fd);
  free(l->closed_event);
  free(l);
}

void listener_open(struct worker *w, struct listener *l) {
  l->next = w->listeners.first;
  w->listeners.first = l;
  if (watch(w, l) == 0) return;
  queue_error(&w->listeners, l->id, errno);
  l->paused = 1;  // it is tried again like a paused one
  w->listeners.paused_count++;
}

void listener_close(struct worker *w, uint64_t id) {
  struct listeners *all = &w->listeners;
  struct listener **at = &all->first;
  while (*at && (*at)->id != id) at = &(*at)->next;
  struct listener *l = *at;
  if (!l) return;
  *at = l->next;
  all->paused_count -= (uint32_t)l->paused;
  watch_end(w->ep, l->fd);
  for (uint32_t i = 0; i < all->capacity; i++) {
    struct pending_conn *pending = all->by_slot[i];
    if (!pending->key || pending->listener_id != id) continue;
    queue_idle(w, pending);
  }
  list_add(&all->accepted, &l->closed_event->link);
  l->closed_event = NULL;
  listener_free(l);
}

// Not watched until listener_timers() finds room.
static void pause_accept(struct worker *w, struct listener *l) {
  l->paused = 1;
  w->listeners.paused_count++;
  watch_end(w->ep, l->fd);
}

// No descriptor is left: drops the waiting connections, since epoll would otherwise report them for ever.
static void drop_on_emfile(struct worker *w, struct listener *l) {
  struct listeners *all = &w->listeners;
  if (all->spare_fd < 0 && (all->spare_fd = open_spare_fd()) < 0) {
    pause_accept(w, l);
    return;
  }
  close(all->spare_fd);
  for (int fd; (fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR;) {
    if (fd >= 0) close(fd);
  }
  all->spare_fd = open_spare_fd();
}

static int is_queue_full(const struct worker *w) {
  // Where descriptors are short, JavaScript gets each connection before the next is accepted: it closes idle ones for
  // them.
  uint32_t queued = list_count(&w->engine->events[EVENT_ACCEPTED]) + list_count(&w->listeners.accepted);
  return queued >= (w->listeners.fds_low ? 1 : ACCEPT_QUEUE_MAX);
}

void listener_event(struct worker *w, uint64_t id) {
  struct listeners *all = &w->listeners;
  struct listener *l = find_listener(all, id);
  if (!l || l->paused) return;
  int limit = fd_limit_clients(), low = fd_limit_low(), refused = 0;
  for (int i = 0; i < ACCEPT_BATCH_MAX; i++) {
    if (is_queue_full(w)) {
      pause_accept(w, l);
      return;
    }
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int fd = accept4(l->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= limit) {
      // The last descriptors are kept; one error is published for this turn.
      close(fd);
      if (!refused++) queue_error(all, id, EMFILE);
      continue;
    }
    if (fd >= 0) {
      all->fds_low = fd >= low;
      // Where the first bytes came with the connection there is nothing to wait for.
      if (read_first_bytes(w, id, fd, &peer)) continue;
      if (all->fds_low) queue_accepted(all, id, fd, &peer, 0, NULL);
      else wait_first_bytes(w, l, fd, &peer);
      continue;
    }
    // EINVAL: the socket no longer listens, because another thread's listener on it has been closed first.
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINVAL) return;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    queue_error(all, id, errno);
    if (errno == EMFILE || errno == ENFILE) drop_on_emfile(w, l);
    return;
  }
}

void listener_timers(struct worker *w) {
  struct listeners *all = &w->listeners;
  for (struct timer *timer; (timer = wheel_due(&all->wheel, w->now));) {
    queue_idle(w, (struct pending_conn *)timer);
  }
  if (!all->paused_count || is_queue_full(w)) return;
  for (struct listener *l = all->first; l; l = l->next) {
    if (!l->paused || watch(w, l) < 0) continue;
    l->paused = 0;
    all->paused_count--;
  }
}

int listeners_timeout(const struct worker *w) {
  int wait = wheel_wait(&w->listeners.wheel, w->now);
  return w->listeners.paused_count && (wait < 0 || wait > ACCEPT_RETRY_MS) ? ACCEPT_RETRY_MS : wait;
}

// -- The end of a turn, and of all -----------------------------------------------------------------------------------

void listeners_publish(struct worker *w) {
  engine_publish(w->engine, EVENT_ACCEPTED, &w->listeners.accepted);
}

void listeners_stop(struct worker *w) {
  struct listeners *all = &w->listeners;
  for (uint32_t i = 0; i < all->capacity; i++) {
    struct pending_conn *pending = all->by_slot[i];
    if (!pending->key) continue;
    release(w, pending);
    close(pending->fd);
  }
  for (struct listener *l = all->first, *next; l; l = next) {
    next = l->next;
    listener_free(l);
  }
  all->first = NULL;
  accepted_conns_free((struct accepted_conn *)all->accepted.first);
  list_clear(&all->accepted);
}

void listeners_free(struct listeners *all) {
  for (uint32_t i = 0; i < all->capacity; i++) free(all->by_slot[i]);
  free(all->by_slot);
  if (all->spare_fd >= 0) close(all->spare_fd);
}

void accepted_conns_free(struct accepted_conn *list) {
  for (struct accepted_conn *next; list; list = next) {
    next = (struct accepted_conn *)list->link.next;
    if (list->fd >= 0) close(list->fd);
    free(list);
  }
}
