// See dial.h.
#define _GNU_SOURCE
#include "dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd-limit.h"
#include "tcp.h"
#include "worker.h"
#include "watch.h"

struct dial {
  struct timer timer;  // first: a timer is cast to its dial
  uint64_t id, started_ns;
  double connect_ms;
  int fd;
  uint32_t watched;  // the events it is watched for; epoll forgets them at the first one
  int registered;    // it has been in epoll before
  uint32_t answer_ms, max_head;
  uint32_t scanned;  // no empty line begins before this
  int connected;
  uint8_t *send;  // what is still to be sent, `send_at` to `send_length`; null where there is nothing
  uint32_t send_at, send_length;
  uint8_t *received;  // what has arrived without an empty line
  uint32_t received_length;
};

void dials_init(struct dials *d, uint64_t now) {
  memset(d, 0, sizeof *d);
  list_clear(&d->results);
  wheel_init(&d->wheel, now);
}

static struct dial *find_dial(const struct dials *d, uint64_t id) {
  struct dial *dial = ID_SLOT(id) < d->capacity ? d->by_slot[ID_SLOT(id)] : NULL;
  return dial && dial->id == id ? dial : NULL;
}

static int make_room(struct dials *d, uint32_t slot) {
  if (slot < d->capacity) return 1;
  uint32_t capacity = d->capacity ? d->capacity : 64;
  while (capacity <= slot) capacity *= 2;
  struct dial **by_slot = realloc(d->by_slot, capacity * sizeof *by_slot);
  if (!by_slot) return 0;
  memset(by_slot + d->capacity, 0, (capacity - d->capacity) * sizeof *by_slot);
  d->by_slot = by_slot;
  d->capacity = capacity;
  return 1;
}

// -- The end of a dial ----------------------------------------------------------------------------------------------

static void free_dial(struct worker *w, struct dial *dial) {
  wheel_clear(&w->dials.wheel, &dial->timer);
  w->dials.by_slot[ID_SLOT(dial->id)] = NULL;
  free(dial->send);
  free(dial->received);
  free(dial);
}

static void fail(struct worker *w, struct dial *dial, int error) {
  // The result takes the dial's own memory, so that an end can always be published.
  _Static_assert(sizeof(struct dial_result) <= sizeof(struct dial), "a dial result fits into its dial");
  if (dial->fd >= 0) close(dial->fd);
  struct dial_result result = {.id = dial->id, .error = error, .fd = -1, .connect_ms = dial->connect_ms};
  wheel_clear(&w->dials.wheel, &dial->timer);
  w->dials.by_slot[ID_SLOT(dial->id)] = NULL;
  free(dial->send);
  free(dial->received);
  memcpy(dial, &result, sizeof result);
  list_add(&w->dials.results, &((struct dial_result *)dial)->link);
}

// Hands over the descriptor with what was received: `received`, and the n bytes at p. Epoll has reported them, so it
// reports nothing more of this descriptor.
static void succeed(struct worker *w, struct dial *dial, const uint8_t *p, size_t n) {
  struct dial_result *result = malloc(sizeof *result + dial->received_length + n);
  if (!result) {
    fail(w, dial, ENOMEM);
    return;
  }
  *result = (struct dial_result){.id = dial->id, .fd = dial->fd, .connect_ms = dial->connect_ms};
  result->length = dial->received_length + (uint32_t)n;
  if (dial->received_length) memcpy(result->bytes, dial->received, dial->received_length);
  memcpy(result->bytes + dial->received_length, p, n);
  free_dial(w, dial);
  list_add(&w->dials.results, &result->link);
}

// -- Connecting and sending -----------------------------------------------------------------------------------------

static void watch(struct worker *w, struct dial *dial) {
  // There is nothing to read before it is connected; later an answer may come before everything is sent.
  uint32_t events = (dial->connected ? EPOLLIN : 0u) | (dial->send || !dial->connected ? EPOLLOUT : 0u);
  if (events == dial->watched) return;
  if (watch_for(w->ep, dial->fd, events | EPOLLONESHOT, DIAL_KEY | dial->id, dial->registered) < 0) {
    fail(w, dial, errno);
    return;
  }
  dial->watched = events;
  dial->registered = 1;
}

static void on_connected(struct worker *w, struct dial *dial) {
  dial->connected = 1;
  dial->connect_ms = (double)(engine_clock_ns(w->engine) - dial->started_ns) / 1e6;
  wheel_set(&w->dials.wheel, &dial->timer, w->now + dial->answer_ms);
}

// Sends what is pending, as far as it goes. Returns 0, or an errno while it is not connected.
static int send_pending(struct worker *w, struct dial *dial) {
  while (dial->send) {
    ssize_t put = send(dial->fd, dial->send + dial->send_at, dial->send_length - dial->send_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) return 0;
    if (put < 0 && !dial->connected) return errno;
    if (!dial->connected) on_connected(w, dial);
    if (put >= 0) dial->send_at += (uint32_t)put;
    // Where the connection is broken, the read reports it, after an answer that may have come all the same.
    if (put >= 0 && dial->send_at < dial->send_length) continue;
    free(dial->send);
    dial->send = NULL;
  }
  return 0;
}

static int connect_to(const struct dial_request *request, int *fd) {
  *fd = socket(request->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (*fd < 0) return errno;
  if (*fd >= fd_limit_servers()) {
    close(*fd);
    *fd = -1;
    return EMFILE;
  }
  set_tcp_options(*fd);
  // Interrupted or not, connecting goes on; epoll reports when it is done.
  int error = connect(*fd, (const struct sockaddr *)&request->address, request->address_length) < 0 ? errno : 0;
  return error == EINPROGRESS || error == EINTR ? 0 : error;
}

void dial_fail_unstarted(struct worker *w, uint64_t id, const struct dial_request *request, void *memory) {
  if (request->fd >= 0) close(request->fd);
  struct dial_result *result = memory;
  *result = (struct dial_result){.id = id, .error = ENOMEM, .fd = -1, .connect_ms = -1};
  list_add(&w->dials.results, &result->link);
}

int dial_start(struct worker *w, uint64_t id, const struct dial_request *request, const uint8_t *bytes) {
  struct dial *dial = make_room(&w->dials, ID_SLOT(id)) ? calloc(1, sizeof *dial) : NULL;
  uint8_t *kept = dial ? malloc(request->length + 1) : NULL;
  if (!kept) {
    free(dial);
    return 0;
  }
  memcpy(kept, bytes, request->length);
  w->dials.by_slot[ID_SLOT(id)] = dial;
  dial->id = id;
  dial->fd = request->fd;
  dial->answer_ms = request->answer_ms;
  dial->max_head = request->max_head;
  dial->started_ns = w->now_ns;
  dial->connect_ms = -1;
  int error = 0;
  if (request->fd >= 0) {
    dial->registered = 1;
    dial->received = kept;
    dial->received_length = dial->scanned = request->length;
    on_connected(w, dial);
  } else {
    dial->send = kept;
    dial->send_length = request->length;
    wheel_set(&w->dials.wheel, &dial->timer, w->now + request->connect_ms);
    error = connect_to(request, &dial->fd);
    // On one machine the connection is there already, and the bytes can go at once.
    if (!error) error = send_pending(w, dial);
  }
  if (error) fail(w, dial, error);
  else watch(w, dial);
  return 1;
}

void dial_cancel(struct worker *w, uint64_t id) {
  struct dial *dial = find_dial(&w->dials, id);
  if (dial) fail(w, dial, DIAL_CANCELLED);
}

// -- Collecting -----------------------------------------------------------------------------------------------------

// Appends n bytes; returns 0 where there is no memory.
static int append_received(struct dial *dial, const uint8_t *p, size_t n) {
  uint8_t *received = realloc(dial->received, dial->received_length + n);
  if (!received) return 0;
  memcpy(received + dial->received_length, p, n);
  dial->received = received;
  dial->received_length += (uint32_t)n;
  return 1;
}

// Whether these bytes can't become the head of an answer, whatever follows: they begin with something else, or a line
// behind `from` ends without CR. Such a peer may wait for our next byte for ever; the reader of its bytes says what is
// wrong.
static int is_no_head(const uint8_t *p, size_t n, size_t from) {
  static const char start[] = {'H', 'T', 'T', 'P', '/'};
  if (memcmp(p, start, n < sizeof start ? n : sizeof start) != 0) return 1;
  for (const uint8_t *at = p + from; (at = memchr(at, '\n', (size_t)(p + n - at))); at++) {
    if (at[-1] != '\r') return 1;
  }
  return 0;
}

static void collect(struct worker *w, struct dial *dial) {
  uint8_t *p = w->scratch + SCRATCH_HEADROOM;
  ssize_t n;
  do n = recv(dial->fd, p, DIAL_READ, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n <= 0) {
    fail(w, dial, n < 0 ? errno : DIAL_EOF);
    return;
  }
  // Nearly every answer comes in one piece, and is scanned in the scratch buffer.
  if (!dial->received_length && memmem(p, (size_t)n, "\r\n\r\n", 4)) {
    succeed(w, dial, p, (size_t)n);
    return;
  }
  if (!append_received(dial, p, (size_t)n)) {
    fail(w, dial, ENOMEM);
    return;
  }
  uint32_t from = dial->scanned > 3 ? dial->scanned - 3 : 0;  // the empty line may straddle two pieces
  dial->scanned = dial->received_length;
  // An answer that is too long is left to its reader to judge, like everything else.
  if (memmem(dial->received + from, dial->received_length - from, "\r\n\r\n", 4) ||
      dial->received_length > dial->max_head || is_no_head(dial->received, dial->received_length, from)) {
    succeed(w, dial, p, 0);
  }
}

void dial_event(struct worker *w, uint64_t id, uint32_t events) {
  struct dial *dial = find_dial(&w->dials, id);
  if (!dial) return;
  dial->watched = 0;
  if (!dial->connected) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
    if (error) {
      fail(w, dial, error);
      return;
    }
    on_connected(w, dial);
  }
  if (dial->send) send_pending(w, dial);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) collect(w, dial);
  dial = find_dial(&w->dials, id);
  if (dial) watch(w, dial);
}

void dial_timers(struct worker *w) {
  for (struct timer *timer; (timer = wheel_due(&w->dials.wheel, w->now));) {
    struct dial *dial = (struct dial *)timer;
    fail(w, dial, dial->connected ? DIAL_ANSWER_TIMEOUT : DIAL_CONNECT_TIMEOUT);
  }
}

// -- Publishing -----------------------------------------------------------------------------------------------------

void dials_publish(struct worker *w) {
  engine_publish(w->engine, EVENT_DIAL_RESULT, &w->dials.results);
}

void dials_stop(struct worker *w) {
  for (uint32_t i = 0; i < w->dials.capacity; i++) {
    if (w->dials.by_slot[i]) fail(w, w->dials.by_slot[i], DIAL_CANCELLED);
  }
  dials_publish(w);
}

void dials_free(struct dials *d) { free(d->by_slot); }

void dial_results_free(struct dial_result *all) {
  for (struct dial_result *next; all; all = next) {
    next = (struct dial_result *)all->link.next;
    if (all->fd >= 0) close(all->fd);
    free(all);
  }
}
