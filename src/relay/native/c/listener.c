// See listener.h.
#define _GNU_SOURCE
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd-limit.h"
#include "tcp.h"
#include "worker.h"
#include "watch.h"

// The most that one listener accepts before others get their turn; a TLS handshake takes far longer than an accept.
#define ACCEPT_BATCH_MAX 64
#define ACCEPT_BATCH_TLS_MAX 8
// How often a paused listener checks for room, ms.
#define ACCEPT_RETRY_MS 2
// How many reads are made for what nobody will read: more can be sent than is read.
#define DISCARDS_MAX 2
// After so many handshakes, and once there has been none for so long, memory goes back to the system.
#ifndef TRIM_HANDSHAKES
#define TRIM_HANDSHAKES 500
#define TRIM_QUIET_MS 1000
#endif
#define NO_SLOT UINT32_MAX
#define SLOT_OF(key) ((uint32_t)(key) & 0xfffff)

struct listener {
  struct listener *next;
  uint64_t id;
  int fd;
  uint32_t first_bytes_ms, handshake_ms;
  struct tls_contexts *contexts;       // null: it speaks no TLS
  uint32_t pending_tls;                // how many of its connections are pending, where it speaks TLS
  int paused;                          // not watched until there is room in the queue
  int closing;                         // it has no socket any more, and waits for its pending connections
  struct accepted_conn *closed_event;  // memory for the record of its close
};

// What a pending connection waits for.
enum stage {
  FIRST_BYTES,
  CLIENT_HELLO,  // nothing is read of it yet
  HANDSHAKE,
};

struct pending_conn {
  struct timer timer;  // first: a timer is cast to its pending connection
  uint64_t key, listener_id;
  struct tls *tls;  // from its handshake on; null: plain
  int fd;
  uint32_t first_bytes_ms;
  uint32_t needed;     // how long its ClientHello is, as far as is known: the socket's SO_RCVLOWAT; 0: not set
  uint8_t stage, secure;  // secure: of a listener with TLS
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

uint16_t address_text(const struct sockaddr_storage *from, char *to) {
  const struct sockaddr_in *four = (const struct sockaddr_in *)from;
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
  to[0] = 0;
  if (from->ss_family == AF_INET) {
    inet_ntop(AF_INET, &four->sin_addr, to, INET6_ADDRSTRLEN);
    return ntohs(four->sin_port);
  }
  if (from->ss_family != AF_INET6) return 0;
  int mapped = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
  const uint8_t *bytes = six->sin6_addr.s6_addr;
  inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? bytes + 12 : bytes, to, INET6_ADDRSTRLEN);
  return ntohs(six->sin6_port);
}

static void queue_accepted(struct listeners *all, uint64_t listener_id, int fd, struct tls *tls,
                           const struct sockaddr_storage *peer, size_t n, const uint8_t *bytes) {
  struct accepted_conn *a = malloc(sizeof *a + n);
  if (!a) {
    tls_free(tls);
    close(fd);
    return;
  }
  *a = (struct accepted_conn){.listener_id = listener_id, .fd = fd, .tls = tls, .length = (uint32_t)n};
  a->port = address_text(peer, a->address);
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

// A TLS handshake of which nothing is left.
static void queue_tls_end(struct listeners *all, uint64_t listener_id, const struct sockaddr_storage *peer, int error,
                          const char *why) {
  size_t n = strlen(why);
  struct accepted_conn *a = malloc(sizeof *a + n);
  if (!a) return;
  *a = (struct accepted_conn){.listener_id = listener_id, .fd = -1, .error = error, .length = (uint32_t)n};
  a->port = address_text(peer, a->address);
  memcpy(a->bytes, why, n);
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
      if (!pending) break;
      by_slot[all->capacity] = pending;
      memset(pending, 0, sizeof *pending);
      pending->next_free = all->first_free;
      all->first_free = all->capacity;
    }
  }
  uint32_t slot = all->first_free;
  if (slot != NO_SLOT) all->first_free = all->by_slot[slot]->next_free;
  return slot;
}

// Frees its slot; it is out of the wheel, and the caller has its descriptor and its TLS. Its fields can be read until the
// next take_slot().
static void release(struct worker *w, struct pending_conn *pending) {
  struct listeners *all = &w->listeners;
  uint32_t slot = SLOT_OF(pending->key);
  wheel_clear(&all->wheel, &pending->timer);
  pending->key = 0;
  pending->next_free = all->first_free;
  all->first_free = slot;
  if (!pending->secure) return;
  struct listener *l = find_listener(all, pending->listener_id);
  if (l) l->pending_tls--;
}

// Null where there is no memory; the connection is closed then.
static struct pending_conn *make_pending(struct worker *w, struct listener *l, int fd,
                                         const struct sockaddr_storage *peer) {
  struct listeners *all = &w->listeners;
  uint32_t slot = take_slot(all);
  if (slot == NO_SLOT) {
    close(fd);
    return NULL;
  }
  struct pending_conn *pending = all->by_slot[slot];
  all->generation = all->generation + 1 < GENERATIONS_MAX ? all->generation + 1 : 1;
  pending->key = PENDING_CONN_KEY | (uint64_t)all->generation << 24 | slot;
  pending->listener_id = l->id;
  pending->fd = fd;
  pending->tls = NULL;
  pending->needed = 0;
  pending->secure = l->contexts != NULL;
  l->pending_tls += pending->secure;
  pending->first_bytes_ms = l->first_bytes_ms;
  pending->peer = *peer;
  return pending;
}

// Waits for one event.
static void wait_for(struct worker *w, struct pending_conn *pending, uint32_t events, int known) {
  if (watch_for(w->ep, pending->fd, events | EPOLLONESHOT, pending->key, known) == 0) return;
  release(w, pending);
  tls_free(pending->tls);
  close(pending->fd);
}

static void wait_first_bytes(struct worker *w, struct listener *l, int fd, const struct sockaddr_storage *peer) {
  struct pending_conn *pending = make_pending(w, l, fd, peer);
  if (!pending) return;
  pending->stage = FIRST_BYTES;
  wheel_set(&w->listeners.wheel, &pending->timer, w->now + l->first_bytes_ms);
  wait_for(w, pending, EPOLLIN, 0);
}

// The socket reports nothing before so many bytes are there, or its stream has ended.
static void set_low_water(struct pending_conn *pending, uint32_t needed) {
  int bytes = needed ? (int)needed : 1;
  if (needed == pending->needed) return;
  setsockopt(pending->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
  pending->needed = needed;
}

// Publishes a connection without a first byte, or of which nothing is read.
static void queue_idle(struct worker *w, struct pending_conn *pending) {
  set_low_water(pending, 0);
  watch_end(w->ep, pending->fd);
  release(w, pending);
  queue_accepted(&w->listeners, pending->listener_id, pending->fd, pending->tls, &pending->peer, 0, NULL);
}

// Reads what has arrived and publishes the connection, or closes it where it has ended. Returns 0 where nothing has
// arrived yet.
static int read_first_bytes(struct worker *w, uint64_t listener_id, int fd, const struct sockaddr_storage *peer) {
  uint8_t *p = w->scratch + SCRATCH_HEADROOM;
  ssize_t n;
  do n = recv(fd, p, FIRST_READ_SIZE, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  if (n > 0) queue_accepted(&w->listeners, listener_id, fd, NULL, peer, (size_t)n, p);
  else close(fd);
  return 1;
}

// -- TLS ------------------------------------------------------------------------------------------------------------

// Takes what has come and was not read, so that closing ends the stream and does not reset it, by which an alert could be
// lost. Returns how the stream ended, or null where it has not.
static const char *discard_input(struct worker *w, int fd) {
  ssize_t n = 1;
  for (int i = 0; n > 0 && i < DISCARDS_MAX; i++) {
    do n = recv(fd, w->scratch, SCRATCH, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
  }
  if (n == 0) return "connection closed";
  return n < 0 && errno == ECONNRESET ? "connection reset" : NULL;
}

// A handshake has failed, or its client has taken too long.
static void end_handshake(struct worker *w, struct pending_conn *pending, const char *why) {
  queue_tls_end(&w->listeners, pending->listener_id, &pending->peer, ACCEPT_TLS_FAILED, why);
  release(w, pending);
  tls_free(pending->tls);
  discard_input(w, pending->fd);
  close(pending->fd);
}

// Whether its peer has ended the stream, or reset it.
static int has_ended(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLRDHUP};
  return poll(&p, 1, 0) > 0;
}

// Peeks at the ClientHello and begins the handshake, or publishes the connection where its client is for another engine.
// Returns 0 where the pending connection waits or is gone.
static int begin_handshake(struct worker *w, struct pending_conn *pending, int known) {
  uint8_t *p = w->scratch + SCRATCH_HEADROOM;
  ssize_t n;
  do n = recv(pending->fd, p, CLIENT_HELLO_MAX, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) {
    // Without a byte: a check of the port, as load balancers make it. Nobody is told.
    release(w, pending);
    close(pending->fd);
    return 0;
  }
  struct client_hello hello;
  enum hello_state state = client_hello_read(&hello, p, n < 0 ? 0 : (size_t)n);
  if (state == HELLO_PARTIAL) {
    if (n < 0 || hello.needed != pending->needed) {
      if (n > 0) set_low_water(pending, (uint32_t)hello.needed);
      wait_for(w, pending, EPOLLIN, known);
    } else if (has_ended(pending->fd)) {
      const char *why = discard_input(w, pending->fd);
      end_handshake(w, pending, why ? why : "connection closed");
    } else {
      // Reported before so much was there: the system has no memory for more of it, in a container near its limit, say.
      // Another engine reads it bit by bit.
      queue_idle(w, pending);
    }
    return 0;
  }
  const struct listener *l = find_listener(&w->listeners, pending->listener_id);
  SSL_CTX *context = state == HELLO_WHOLE ? tls_contexts_for(l->contexts, &hello) : NULL;
  if (!context) {
    queue_idle(w, pending);
    return 0;
  }
  set_low_water(pending, 0);
  pending->tls = tls_new(l->contexts, context, pending->fd);
  pending->stage = HANDSHAKE;
  if (!pending->tls) end_handshake(w, pending, "out of memory");
  return pending->tls != NULL;
}

// Publishes a connection with its first plain bytes, once there are any.
static void read_first_plain(struct worker *w, struct pending_conn *pending) {
  uint8_t *p = w->scratch + SCRATCH_HEADROOM;
  ssize_t n = tls_read(pending->tls, p, FIRST_READ_SIZE);
  if (n == CONN_AGAIN) {
    wait_for(w, pending, EPOLLIN, 1);
    return;
  }
  release(w, pending);
  if (n > 0) {
    queue_accepted(&w->listeners, pending->listener_id, pending->fd, pending->tls, &pending->peer, (size_t)n, p);
  } else {
    queue_tls_end(&w->listeners, pending->listener_id, &pending->peer, ACCEPT_TLS_LEFT, "");
    tls_shutdown(pending->tls);
    tls_free(pending->tls);
    close(pending->fd);
  }
}

// A handshake takes some 50 KiB for a moment, and a connection keeps 15 of them. Behind a storm of handshakes free memory
// lies between what is kept, where only malloc_trim() finds it.
static void note_handshake(struct worker *w) {
  struct listeners *all = &w->listeners;
  if (++all->handshakes >= TRIM_HANDSHAKES) all->trim_at = w->now + TRIM_QUIET_MS;
}

static void trim_memory(struct listeners *all) {
  all->trim_at = 0;
  all->handshakes = 0;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

// Goes on with a connection of a TLS listener as far as its bytes allow. `known`: it is in epoll already.
static void advance_tls(struct worker *w, struct pending_conn *pending, int known) {
  if (pending->stage == CLIENT_HELLO && !begin_handshake(w, pending, known)) return;
  if (pending->stage == HANDSHAKE) {
    enum tls_state state = tls_handshake(pending->tls);
    if (state == TLS_FAILED) {
      end_handshake(w, pending, tls_failure(pending->tls));
      return;
    }
    if (state != TLS_DONE) {
      wait_for(w, pending, state == TLS_READS ? EPOLLIN : EPOLLOUT, known);
      return;
    }
    note_handshake(w);
    pending->stage = FIRST_BYTES;
    wheel_set(&w->listeners.wheel, &pending->timer, w->now + pending->first_bytes_ms);
  }
  read_first_plain(w, pending);
}

static void accept_tls(struct worker *w, struct listener *l, int fd, const struct sockaddr_storage *peer) {
  struct pending_conn *pending = make_pending(w, l, fd, peer);
  if (!pending) return;
  pending->stage = CLIENT_HELLO;
  wheel_set(&w->listeners.wheel, &pending->timer, w->now + l->handshake_ms);
  advance_tls(w, pending, 0);
}

void pending_conn_event(struct worker *w, uint64_t key) {
  struct listeners *all = &w->listeners;
  struct pending_conn *pending = SLOT_OF(key) < all->capacity ? all->by_slot[SLOT_OF(key)] : NULL;
  if (!pending || pending->key != key) return;
  if (pending->secure) {
    advance_tls(w, pending, 1);
    return;
  }
  release(w, pending);
  // A spurious event: publishes it without bytes.
  if (read_first_bytes(w, pending->listener_id, pending->fd, &pending->peer)) return;
  queue_accepted(all, pending->listener_id, pending->fd, NULL, &pending->peer, 0, NULL);
}

// -- Listeners ------------------------------------------------------------------------------------------------------

// A new connection wakes one of the threads that wait for it, not all of them.
static int watch(struct worker *w, const struct listener *l) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = LISTENER_KEY | l->id};
  return epoll_ctl(w->ep, EPOLL_CTL_ADD, l->fd, &e);
}

struct listener *listener_new(uint64_t id, int fd, uint32_t first_bytes_ms, struct tls_contexts *contexts,
                              uint32_t handshake_ms) {
  struct listener *l = malloc(sizeof *l);
  struct accepted_conn *closed_event = malloc(sizeof *closed_event);
  if (!l || !closed_event) {
    free(l);
    free(closed_event);
    return NULL;
  }
  *l = (struct listener){.id = id, .fd = fd, .first_bytes_ms = first_bytes_ms, .closed_event = closed_event,
                         .contexts = contexts, .handshake_ms = handshake_ms};
  *closed_event = (struct accepted_conn){.listener_id = id, .fd = -1};
  set_tcp_options(fd);
  return l;
}

void listener_free(struct listener *l) {
  if (l->fd >= 0) close(l->fd);
  tls_contexts_release(l->contexts);
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

// Publishes listeners as closed that have no pending connection any more, behind all their connections.
static void finish_closing(struct listeners *all) {
  for (struct listener **at = &all->first, *l; (l = *at);) {
    if (!l->closing || l->pending_tls) {
      at = &l->next;
      continue;
    }
    *at = l->next;
    all->closing_count--;
    list_add(&all->accepted, &l->closed_event->link);
    l->closed_event = NULL;
    listener_free(l);
  }
}

void listener_close(struct worker *w, uint64_t id) {
  struct listeners *all = &w->listeners;
  struct listener *l = find_listener(all, id);
  if (!l || l->closing) return;
  all->paused_count -= (uint32_t)l->paused;
  l->paused = 0;
  watch_end(w->ep, l->fd);
  close(l->fd);
  l->fd = -1;
  l->closing = 1;
  all->closing_count++;
  for (uint32_t i = 0; i < all->capacity; i++) {
    struct pending_conn *pending = all->by_slot[i];
    if (!pending->key || pending->listener_id != id || pending->stage == HANDSHAKE) continue;
    queue_idle(w, pending);
  }
}

void listener_use_tls(struct worker *w, uint64_t id, struct tls_contexts *contexts) {
  struct listener *l = find_listener(&w->listeners, id);
  struct tls_contexts *unused = contexts;
  if (l && l->contexts) {
    unused = l->contexts;
    l->contexts = contexts;
  }
  tls_contexts_release(unused);
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
  if (!l || l->paused || l->closing) return;
  int limit = fd_limit_clients(), low = fd_limit_low(), refused = 0;
  for (int i = 0, most = l->contexts ? ACCEPT_BATCH_TLS_MAX : ACCEPT_BATCH_MAX; i < most; i++) {
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
      if (!l->contexts && read_first_bytes(w, id, fd, &peer)) continue;
      if (all->fds_low) queue_accepted(all, id, fd, NULL, &peer, 0, NULL);
      else if (l->contexts) accept_tls(w, l, fd, &peer);
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
    struct pending_conn *pending = (struct pending_conn *)timer;
    if (pending->stage == FIRST_BYTES) queue_idle(w, pending);
    else end_handshake(w, pending, "handshake timeout");
  }
  if (all->trim_at && w->now >= all->trim_at) trim_memory(all);
  if (!all->paused_count || is_queue_full(w)) return;
  for (struct listener *l = all->first; l; l = l->next) {
    if (!l->paused || watch(w, l) < 0) continue;
    l->paused = 0;
    all->paused_count--;
  }
}

int listeners_timeout(const struct worker *w) {
  int wait = wheel_wait(&w->listeners.wheel, w->now);
  if (w->listeners.trim_at) {
    int left = w->listeners.trim_at > w->now ? (int)(w->listeners.trim_at - w->now) : 0;
    if (wait < 0 || wait > left) wait = left;
  }
  return w->listeners.paused_count && (wait < 0 || wait > ACCEPT_RETRY_MS) ? ACCEPT_RETRY_MS : wait;
}

// -- The end of a turn, and of all -----------------------------------------------------------------------------------

void listeners_publish(struct worker *w) {
  if (w->listeners.closing_count) finish_closing(&w->listeners);
  engine_publish(w->engine, EVENT_ACCEPTED, &w->listeners.accepted);
}

void listeners_stop(struct worker *w) {
  struct listeners *all = &w->listeners;
  for (uint32_t i = 0; i < all->capacity; i++) {
    struct pending_conn *pending = all->by_slot[i];
    if (!pending->key) continue;
    release(w, pending);
    tls_free(pending->tls);
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
    tls_free(list->tls);
    if (list->fd >= 0) close(list->fd);
    free(list);
  }
}
