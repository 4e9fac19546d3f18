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
#include "worker.h"
#include "watch.h"

// Accepted at one door before others have their turn.
#define ACCEPTS_MOST 64
// How often a full house is looked at, ms.
#define FULL_MS 2
#define NO_SLOT UINT32_MAX
#define SLOT_OF(key) ((uint32_t)(key) & 0xfffff)

struct door {
  struct door *next;
  uint64_t id;
  int fd;
  uint32_t wait_ms;
  int full;             // not watched until arrivals are heard
  struct arrived *end;  // the memory to tell of its end in
};

struct guest {
  struct timer timer;  // first: a timer is its guest
  uint64_t key, door;
  int fd;
  uint32_t next_spare;  // of a slot that is free; then nothing else here holds
  struct sockaddr_storage peer;
};

static int open_reserve(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

void doors_init(struct doors *d, uint64_t now) {
  memset(d, 0, sizeof *d);
  list_clear(&d->told);
  d->spare = NO_SLOT;
  d->reserve = open_reserve();
  wheel_init(&d->wheel, now);
}

static struct door *find_door(const struct doors *d, uint64_t id) {
  struct door *door = d->first;
  while (door && door->id != id) door = door->next;
  return door;
}

// -- Telling --------------------------------------------------------------------------------------------------------

static void write_address(struct arrived *to, const struct sockaddr_storage *peer) {
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

static void tell_guest(struct doors *d, uint64_t door, int fd, const struct sockaddr_storage *peer, size_t n,
                       const uint8_t *bytes) {
  struct arrived *told = malloc(sizeof *told + n);
  if (!told) {
    close(fd);
    return;
  }
  *told = (struct arrived){.door = door, .fd = fd, .length = (uint32_t)n};
  write_address(told, peer);
  if (n) memcpy(told->bytes, bytes, n);
  list_add(&d->told, &told->link);
}

// A door could not accept.
static void tell_of_failure(struct doors *d, uint64_t door, int error) {
  struct arrived *told = malloc(sizeof *told);
  if (!told) return;
  *told = (struct arrived){.door = door, .fd = -1, .error = error};
  list_add(&d->told, &told->link);
}

// -- Guests that have not said a word -------------------------------------------------------------------------------

static uint32_t take_slot(struct doors *d) {
  if (d->spare == NO_SLOT) {
    uint32_t room = d->room ? d->room * 2 : 64;
    struct guest **by_slot = room <= SLOTS_MAX ? realloc(d->by_slot, room * sizeof *by_slot) : NULL;
    if (!by_slot) return NO_SLOT;
    d->by_slot = by_slot;
    for (; d->room < room; d->room++) {
      struct guest *guest = malloc(sizeof *guest);
      if (!guest) return d->spare;
      by_slot[d->room] = guest;
      memset(guest, 0, sizeof *guest);
      guest->next_spare = d->spare;
      d->spare = d->room;
    }
  }
  uint32_t slot = d->spare;
  d->spare = d->by_slot[slot]->next_spare;
  return slot;
}

// It is in the wheel no longer; its descriptor is whoever's asked for this. What it was can be read until a slot is taken.
static void forget(struct worker *w, struct guest *guest) {
  struct doors *d = &w->doors;
  uint32_t slot = SLOT_OF(guest->key);
  wheel_clear(&d->wheel, &guest->timer);
  guest->key = 0;
  guest->next_spare = d->spare;
  d->spare = slot;
}

static void await(struct worker *w, const struct door *door, int fd, const struct sockaddr_storage *peer) {
  struct doors *d = &w->doors;
  uint32_t slot = take_slot(d);
  if (slot == NO_SLOT) {
    close(fd);
    return;
  }
  struct guest *guest = d->by_slot[slot];
  d->use = d->use + 1 < USES_MAX ? d->use + 1 : 1;
  guest->key = GUEST_KEY | (uint64_t)d->use << 24 | slot;
  guest->door = door->id;
  guest->fd = fd;
  guest->peer = *peer;
  wheel_set(&d->wheel, &guest->timer, w->now + door->wait_ms);
  if (watch_for(w->ep, fd, EPOLLIN | EPOLLONESHOT, guest->key, 0) == 0) return;
  forget(w, guest);
  close(fd);
}

// Tells of one that has not said a word.
static void tell_of_silence(struct worker *w, struct guest *guest) {
  watch_end(w->ep, guest->fd);
  forget(w, guest);
  tell_guest(&w->doors, guest->door, guest->fd, &guest->peer, 0, NULL);
}

// Reads what has come: tells of it, or closes what has ended. 0 where nothing has come yet.
static int hear_out(struct worker *w, uint64_t door, int fd, const struct sockaddr_storage *peer) {
  uint8_t *p = w->scratch + SCRATCH_ROOM;
  ssize_t n;
  do n = recv(fd, p, GUEST_READ, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  if (n > 0) tell_guest(&w->doors, door, fd, peer, (size_t)n, p);
  else close(fd);
  return 1;
}

void guest_event(struct worker *w, uint64_t key) {
  struct doors *d = &w->doors;
  struct guest *guest = SLOT_OF(key) < d->room ? d->by_slot[SLOT_OF(key)] : NULL;
  if (!guest || guest->key != key) return;
  forget(w, guest);
  // The event was about nothing: it is as one that is silent.
  if (!hear_out(w, guest->door, guest->fd, &guest->peer)) tell_guest(d, guest->door, guest->fd, &guest->peer, 0, NULL);
}

// -- Doors ----------------------------------------------------------------------------------------------------------

// Who connects wakes one of the threads that wait for it, not all of them.
static int watch(struct worker *w, const struct door *door) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = DOOR_KEY | door->id};
  return epoll_ctl(w->ep, EPOLL_CTL_ADD, door->fd, &e);
}

struct door *door_new(uint64_t id, int fd, uint32_t wait_ms) {
  struct door *door = malloc(sizeof *door);
  struct arrived *end = malloc(sizeof *end);
  if (!door || !end) {
    free(door);
    free(end);
    return NULL;
  }
  *door = (struct door){.id = id, .fd = fd, .wait_ms = wait_ms, .end = end};
  *end = (struct arrived){.door = id, .fd = -1};
  return door;
}

void door_free(struct door *door) {
  close(door->fd);
  free(door->end);
  free(door);
}

void door_open(struct worker *w, struct door *door) {
  door->next = w->doors.first;
  w->doors.first = door;
  if (watch(w, door) == 0) return;
  tell_of_failure(&w->doors, door->id, errno);
  door->full = 1;  // it is tried again as if that were so
  w->doors.full++;
}

void door_close(struct worker *w, uint64_t id) {
  struct doors *d = &w->doors;
  struct door **at = &d->first;
  while (*at && (*at)->id != id) at = &(*at)->next;
  struct door *door = *at;
  if (!door) return;
  *at = door->next;
  d->full -= (uint32_t)door->full;
  watch_end(w->ep, door->fd);
  for (uint32_t i = 0; i < d->room; i++) {
    struct guest *guest = d->by_slot[i];
    if (!guest->key || guest->door != id) continue;
    tell_of_silence(w, guest);
  }
  list_add(&d->told, &door->end->link);
  door->end = NULL;
  door_free(door);
}

// Not watched until door_timers() finds that there is room.
static void rest(struct worker *w, struct door *door) {
  door->full = 1;
  w->doors.full++;
  watch_end(w->ep, door->fd);
}

// No descriptor is left: who waits is turned away, since epoll would say for ever that somebody does.
static void turn_away(struct worker *w, struct door *door) {
  struct doors *d = &w->doors;
  if (d->reserve < 0 && (d->reserve = open_reserve()) < 0) {
    rest(w, door);
    return;
  }
  close(d->reserve);
  for (int fd; (fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR;) {
    if (fd >= 0) close(fd);
  }
  d->reserve = open_reserve();
}

static int is_full(const struct worker *w) {
  // Where descriptors are short, JS hears of each arrival before the next: it closes idle connections for them.
  return list_count(&w->engine->news[NEWS_ARRIVED]) + list_count(&w->doors.told) >= (w->doors.pressing ? 1 : ARRIVED_MOST);
}

void door_event(struct worker *w, uint64_t id) {
  struct doors *d = &w->doors;
  struct door *door = find_door(d, id);
  if (!door || door->full) return;
  int most = fd_limit_clients(), pressing = fd_limit_pressing(), refused = 0;
  for (int i = 0; i < ACCEPTS_MOST; i++) {
    if (is_full(w)) {
      rest(w, door);
      return;
    }
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int fd = accept4(door->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= most) {
      // The last descriptors are kept; one notice for all of this turn.
      close(fd);
      if (!refused++) tell_of_failure(d, id, EMFILE);
      continue;
    }
    if (fd >= 0) {
      d->pressing = fd >= pressing;
      // Where the first bytes came with the connection there is nothing to wait for.
      if (hear_out(w, id, fd, &peer)) continue;
      if (d->pressing) tell_guest(d, id, fd, &peer, 0, NULL);
      else await(w, door, fd, &peer);
      continue;
    }
    // EINVAL: the socket listens no more, since another thread was told first that its listener closes.
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINVAL) return;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    tell_of_failure(d, id, errno);
    if (errno == EMFILE || errno == ENFILE) turn_away(w, door);
    return;
  }
}

void door_timers(struct worker *w) {
  struct doors *d = &w->doors;
  for (struct timer *timer; (timer = wheel_due(&d->wheel, w->now));) {
    tell_of_silence(w, (struct guest *)timer);
  }
  if (!d->full || is_full(w)) return;
  for (struct door *door = d->first; door; door = door->next) {
    if (!door->full || watch(w, door) < 0) continue;
    door->full = 0;
    d->full--;
  }
}

int doors_wait(const struct worker *w) {
  int wait = wheel_wait(&w->doors.wheel, w->now);
  return w->doors.full && (wait < 0 || wait > FULL_MS) ? FULL_MS : wait;
}

// -- The end of a turn, and of all -----------------------------------------------------------------------------------

void doors_tell(struct worker *w) {
  engine_tell(w->engine, NEWS_ARRIVED, &w->doors.told);
}

void doors_stop(struct worker *w) {
  struct doors *d = &w->doors;
  for (uint32_t i = 0; i < d->room; i++) {
    struct guest *guest = d->by_slot[i];
    if (!guest->key) continue;
    forget(w, guest);
    close(guest->fd);
  }
  for (struct door *door = d->first, *next; door; door = next) {
    next = door->next;
    door_free(door);
  }
  d->first = NULL;
  arrived_free((struct arrived *)d->told.first);
  list_clear(&d->told);
}

void doors_free(struct doors *d) {
  for (uint32_t i = 0; i < d->room; i++) free(d->by_slot[i]);
  free(d->by_slot);
  if (d->reserve >= 0) close(d->reserve);
}

void arrived_free(struct arrived *all) {
  for (struct arrived *next; all; all = next) {
    next = (struct arrived *)all->link.next;
    if (all->fd >= 0) close(all->fd);
    free(all);
  }
}
