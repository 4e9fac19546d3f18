// See worker.h.
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "watch.h"

#define EVENTS 256
#define WAKE_KEY UINT64_MAX
// Ended tunnels are told in batches of this many milliseconds: a wake-up of the main thread costs more than a tunnel.
#define REPORT_MS 10
// A thread that comes so much later than it asked for stood still: stopped, paused with its machine, or starved.
#define LATE_MS 500
// For so long it then only hears what its peers have sent meanwhile.
#define CATCH_UP_MS 200

static void read_clock(struct worker *w) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  w->now_ns = (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
  w->now = w->now_ns / 1000000;
}

// Where the system has no random bytes to give: a sequence from the clock on (splitmix64). Who could guess it would gain
// nothing: masks and pings are of bytes that no peer has chosen, and any byte answers a ping.
static void fill_weakly(struct worker *w) {
  uint64_t seed = w->now_ns ^ (uint64_t)(uintptr_t)w;
  for (size_t at = 0; at < sizeof w->random; at += sizeof seed) {
    uint64_t mixed = seed += 0x9e3779b97f4a7c15ull;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    mixed ^= mixed >> 31;
    memcpy(w->random + at, &mixed, sizeof mixed);
  }
}

static void refill_random(struct worker *w) {
  size_t got = 0;
  while (got < sizeof w->random) {
    ssize_t r = getrandom(w->random + got, sizeof w->random - got, 0);
    if (r > 0) got += (size_t)r;
    else if (r == 0 || errno != EINTR) break;
  }
  if (got < sizeof w->random) fill_weakly(w);
  w->random_at = 0;
}

void worker_random(struct worker *w, uint8_t *to, size_t n) {
  if (w->random_at + n > sizeof w->random) refill_random(w);
  memcpy(to, w->random + w->random_at, n);
  w->random_at += (uint32_t)n;
}

// -- Tunnels by slot ------------------------------------------------------------------------------------------------

static struct tunnel **slot_of(struct worker *w, uint32_t slot) {
  uint32_t chunk = slot / CHUNK;
  if (chunk >= w->chunk_count || !w->chunks[chunk]) return NULL;
  return &w->chunks[chunk][slot % CHUNK];
}

static struct tunnel *find(struct worker *w, uint64_t id) {
  struct tunnel **at = slot_of(w, ID_SLOT(id));
  return at && *at && (*at)->id == id ? *at : NULL;
}

static struct tunnel **make_slot(struct worker *w, uint32_t slot) {
  uint32_t chunk = slot / CHUNK;
  if (chunk >= w->chunk_count) {
    uint32_t count = chunk + 16;
    struct tunnel ***chunks = realloc(w->chunks, count * sizeof *chunks);
    if (!chunks) return NULL;
    memset(chunks + w->chunk_count, 0, (count - w->chunk_count) * sizeof *chunks);
    w->chunks = chunks;
    w->chunk_count = count;
  }
  if (!w->chunks[chunk]) w->chunks[chunk] = calloc(CHUNK, sizeof **w->chunks);
  return w->chunks[chunk] ? &w->chunks[chunk][slot % CHUNK] : NULL;
}

// -- What the main thread is told -----------------------------------------------------------------------------------

static void report(struct worker *w, struct report *r) {
  list_add(&w->reports, &r->link);
  if (!w->report_at) w->report_at = w->now + REPORT_MS;
}

static void send_reports(struct worker *w) {
  w->report_at = 0;
  engine_tell(w->engine, NEWS_ENDED, &w->reports);
}

void engine_tell(struct engine *e, enum news kind, struct list *all) {
  if (!all->first) return;
  pthread_mutex_lock(&e->lock);
  int quiet = !e->news[kind].first;
  list_move(&e->news[kind], all);
  pthread_mutex_unlock(&e->lock);
  if (quiet) e->told(e->told_to);
}

void *engine_hear(struct engine *e, enum news kind) {
  pthread_mutex_lock(&e->lock);
  struct link *all = e->news[kind].first;
  list_clear(&e->news[kind]);
  pthread_mutex_unlock(&e->lock);
  return all;
}

void news_free(enum news kind, void *all) {
  if (kind == NEWS_DIALLED) {
    dialled_free(all);
  } else if (kind == NEWS_ARRIVED) {
    arrived_free(all);
  } else {
    for (struct link *at = all, *next; at; at = next) {
      next = at->next;
      free(at);
    }
  }
}

int engine_watch(struct engine *e, uint32_t worker, int fd, uint64_t id) {
  // An end that has come already is told of, too.
  return watch_for(e->worker[worker]->ep, fd, EPOLLRDHUP | EPOLLONESHOT, LEFT_KEY | id, 0) < 0 ? errno : 0;
}

static void tell_left(struct worker *w, uint64_t id) {
  struct left *told = malloc(sizeof *told);
  if (!told) return;  // whoever waits for it has a deadline
  told->id = id;
  list_add(&w->left, &told->link);
}

// -- Tunnels to go on with ------------------------------------------------------------------------------------------

void worker_go_on(struct worker *w, struct tunnel *t) {
  if (t->back) return;
  t->next = NULL;
  t->back = w->again_end;
  *w->again_end = t;
  w->again_end = &t->next;
  w->again_count++;
}

static void no_longer(struct worker *w, struct tunnel *t) {
  if (!t->back) return;
  *t->back = t->next;
  if (t->next) t->next->back = t->back;
  else w->again_end = t->back;
  t->back = NULL;
  w->again_count--;
}

// Once for each that waits now: those that come again meanwhile stand behind what epoll has to tell.
static void go_on(struct worker *w) {
  for (uint32_t n = w->again_count; n && w->again; n--) {
    struct tunnel *t = w->again;
    no_longer(w, t);
    tunnel_go_on(w, t);
  }
}

// -- The end of a tunnel --------------------------------------------------------------------------------------------

void worker_end(struct worker *w, struct tunnel *t) {
  struct tunnel **at = slot_of(w, ID_SLOT(t->id));
  no_longer(w, t);
  wheel_clear(&w->wheel, &t->timer);
  side_close(&t->end[CLIENT].side, w->ep);
  side_close(&t->end[BACKEND].side, w->ep);
  *at = NULL;
  t->discarded += tunnel_drop_held(&t->way[CLIENT]) + tunnel_drop_held(&t->way[BACKEND]);
  free(t->given);
  // The report takes the tunnel's own memory, so that an end can always be told.
  _Static_assert(sizeof(struct report) <= sizeof(struct tunnel), "a report fits where its tunnel was");
  struct report r = {
      .id = t->id,
      .bytes = {t->way[CLIENT].bytes, t->way[BACKEND].bytes},
      .messages = {t->way[CLIENT].messages, t->way[BACKEND].messages},
      .discarded = t->discarded,
      .code = t->code_told,
      .initiator = t->initiator,
      .reason = t->reason,
      .was_cut = t->was_cut,
      .inspected = t->policy->inspect,
  };
  struct report *told = (struct report *)t;
  *told = r;
  report(w, told);
}

// -- Commands -------------------------------------------------------------------------------------------------------

static void set_up(struct worker *w, struct tunnel *t, const struct command *c) {
  const struct policy *policy = c->policy;
  memset(t, 0, sizeof *t);
  t->id = c->id;
  t->policy = policy;
  t->tally = &policy->tally[w->index];
  t->last = w->now;
  t->dies_at = c->lifetime_ms ? w->now + c->lifetime_ms : WHEEL_NEVER;
  t->close_at = t->any_at = WHEEL_NEVER;
  for (int i = 0; i < 2; i++) {
    t->way[i].opaque = !policy->inspect;
    t->end[i].side.fd = c->fd[i];
    t->end[i].side.shared = c->shared[i];
    t->end[i].side.owed_by_all = &w->owed;
    t->end[i].heard = w->now;
    t->end[i].ping_next = w->now + policy->ping_every_ms;
  }
}

// There is no memory for a tunnel: both ends are closed.
static void report_no_tunnel(struct worker *w, struct command *c) {
  struct report r = {.id = c->id, .initiator = BY_GATEWAY, .reason = WHY_RESET, .was_cut = 1};
  close(c->fd[CLIENT]);
  close(c->fd[BACKEND]);
  memcpy(c, &r, sizeof r);
  report(w, (struct report *)c);
}

// 0 where there is no memory, and nothing has happened.
static int open_tunnel(struct worker *w, const struct command *c) {
  struct tunnel **at = make_slot(w, ID_SLOT(c->id));
  struct tunnel *t = at ? malloc(sizeof *t) : NULL;
  if (!t) return 0;
  set_up(w, t, c);
  *at = t;
  const uint8_t *early = c->early;
  uint32_t head = c->head_length < c->to_client ? c->head_length : c->to_client;
  tunnel_send(w, t, CLIENT, early, head);
  tunnel_early(w, t, BACKEND, early + head, c->to_client - head);
  tunnel_early(w, t, CLIENT, early + c->to_client, c->to_backend);
  tunnel_timer(w, t);
  return 1;
}

// Returns whether the command is the caller's to free: else it has become what is told of it.
static int obey(struct worker *w, struct command *c) {
  struct tunnel *t = c->kind == DO_CLOSE || c->kind == DO_CUT ? find(w, c->id) : NULL;
  if (c->kind == DO_OPEN) {
    if (open_tunnel(w, c)) return 1;
    report_no_tunnel(w, c);
    return 0;
  } else if (c->kind == DO_DIAL) {
    const struct order *order = (const struct order *)c->early;
    if (dial_start(w, c->id, order, c->early + sizeof *order)) return 1;
    dial_tell_none(w, c->id, order, c);
    return 0;
  } else if (c->kind == DO_CANCEL) {
    dial_cancel(w, c->id);
  } else if (c->kind == DO_LISTEN) {
    door_open(w, c->door);
  } else if (c->kind == DO_UNLISTEN) {
    door_close(w, c->id);
  } else if (c->kind == DO_STOP) {
    w->stopping = 1;
  } else if (t && c->kind == DO_CLOSE) {
    tunnel_close_within(w, t, c->code, (const char *)c->early, WHY_GIVEN, c->deadline_ms);
    tunnel_settle(w, t);
  } else if (t) {
    tunnel_blame(t, BY_GATEWAY, WHY_GIVEN);
    tunnel_cut(t);
    tunnel_settle(w, t);
  }
  return 1;
}

static struct command *take_commands(struct worker *w) {
  pthread_mutex_lock(&w->lock);
  struct command *c = w->queue;
  __atomic_store_n(&w->queue, NULL, __ATOMIC_RELAXED);
  w->queue_end = &w->queue;
  __atomic_store_n(&w->sleeps, !c, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&w->lock);
  return c;
}

// Does everything that there is to do; from there on a command has to wake the thread.
static void obey_all(struct worker *w) {
  for (struct command *c; (c = take_commands(w));) {
    while (c) {
      struct command *next = c->next;
      if (obey(w, c)) free(c);
      c = next;
    }
  }
}

void engine_post(struct engine *e, struct command *c) {
  struct worker *w = e->worker[ID_WORKER(c->id)];
  c->next = NULL;
  pthread_mutex_lock(&w->lock);
  __atomic_store_n(w->queue_end, c, __ATOMIC_RELAXED);
  w->queue_end = &c->next;
  pthread_mutex_unlock(&w->lock);
}

static void wake(struct worker *w) {
  pthread_mutex_lock(&w->lock);
  int needed = w->queue && __atomic_exchange_n(&w->sleeps, 0, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&w->lock);
  uint64_t one = 1;
  while (needed && write(w->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void engine_wake(struct engine *e) {
  for (uint32_t i = 0; i < e->count; i++) wake(e->worker[i]);
}

void engine_send(struct engine *e, struct command *c) {
  struct worker *w = e->worker[ID_WORKER(c->id)];
  engine_post(e, c);
  wake(w);
}

// -- The turn -------------------------------------------------------------------------------------------------------

// Of two waits of epoll's the shorter one; below 0 is for ever.
static int shorter(int a, int b) { return b < 0 || (a >= 0 && a < b) ? a : b; }

static int wait_ms(const struct worker *w) {
  int wait = shorter(wheel_wait(&w->wheel, w->now), shorter(wheel_wait(&w->dials.wheel, w->now), doors_wait(w)));
  if (!w->report_at) return wait;
  return shorter(wait, w->report_at > w->now ? (int)(w->report_at - w->now) : 0);
}

// How long to wait for events, ms, and with it when the thread is to come back.
static int plan(struct worker *w) {
  int wait = 0;
  if (!w->again) {
    int rest = w->judges_from > w->now ? (int)(w->judges_from - w->now) : 0;
    wait = wait_ms(w);
    if (wait >= 0 && wait < rest) wait = rest;
  }
  w->back_by = wait < 0 ? UINT64_MAX : w->now + (uint64_t)wait;
  return wait;
}

// Whether timers may be looked at, after n events: where the thread stood still, nobody is called silent or late before all
// is read that has come meanwhile. A wait that was interrupted (n below 0) has told of nothing. A thread that is late again
// by then is not let off a second time, so that timers are looked at on any machine.
static int may_judge(struct worker *w, int n) {
  int late = n < 0 || (w->now > w->back_by && w->now - w->back_by > LATE_MS);
  if (late && !w->judges_from) w->judges_from = w->now + CATCH_UP_MS;
  if (w->now < w->judges_from) return 0;
  w->judges_from = 0;
  return 1;
}

static void look_at_timers(struct worker *w) {
  for (struct timer *timer; (timer = wheel_due(&w->wheel, w->now));) tunnel_timer(w, (struct tunnel *)timer);
  dial_timers(w);
  door_timers(w);
}

// An event that is no tunnel's.
static void other_event(struct worker *w, uint64_t key, uint32_t events) {
  // The edge has done its work; the count is never read.
  if (key == WAKE_KEY) return;
  if (key & DIAL_KEY) dial_event(w, key & ~DIAL_KEY, events);
  else if (key & DOOR_KEY) door_event(w, key & ~DOOR_KEY);
  else if (key & LEFT_KEY) tell_left(w, key & ~LEFT_KEY);
  else guest_event(w, key);
}

static void *run(void *arg) {
  struct worker *w = arg;
  struct epoll_event events[EVENTS];
  read_clock(w);
  while (!w->stopping) {
    int n = epoll_wait(w->ep, events, EVENTS, plan(w));
    __atomic_store_n(&w->sleeps, 0, __ATOMIC_RELAXED);
    read_clock(w);
    // What was asked for before these events came about is done before them.
    if (__atomic_load_n(&w->queue, __ATOMIC_RELAXED)) obey_all(w);
    for (int i = 0; i < n; i++) {
      if (events[i].data.u64 & (DIAL_KEY | DOOR_KEY | GUEST_KEY | LEFT_KEY)) {
        other_event(w, events[i].data.u64, events[i].events);
        continue;
      }
      // An event may be older than the end of its tunnel: an id that is gone is nothing.
      struct tunnel *t = find(w, events[i].data.u64 >> 1);
      if (t) tunnel_event(w, t, (int)(events[i].data.u64 & 1), events[i].events);
    }
    obey_all(w);
    go_on(w);
    if (may_judge(w, n)) look_at_timers(w);
    // Where the main thread has to be woken for a dial or a guest, it hears of ended tunnels too.
    if (w->report_at && (w->dials.told.first || w->doors.told.first || w->now >= w->report_at)) send_reports(w);
    dials_tell(w);
    doors_tell(w);
    engine_tell(w->engine, NEWS_LEFT, &w->left);
  }
  for (uint32_t i = 0; i < w->chunk_count * CHUNK; i++) {
    struct tunnel **at = slot_of(w, i);
    if (!at || !*at) continue;
    tunnel_blame(*at, BY_GATEWAY, WHY_GIVEN);
    tunnel_cut(*at);
    worker_end(w, *at);
  }
  send_reports(w);
  dials_stop(w);
  doors_stop(w);
  news_free(NEWS_LEFT, w->left.first);
  return NULL;
}

static void free_worker(struct worker *w) {
  if (!w) return;
  if (w->ep >= 0) close(w->ep);
  if (w->wake >= 0) close(w->wake);
  for (uint32_t i = 0; i < w->chunk_count; i++) free(w->chunks[i]);
  for (struct command *c = w->queue, *next; c; c = next) {
    next = c->next;
    if (c->kind == DO_OPEN) {
      close(c->fd[CLIENT]);
      close(c->fd[BACKEND]);
    } else if (c->kind == DO_DIAL && ((struct order *)c->early)->fd >= 0) {
      close(((struct order *)c->early)->fd);
    } else if (c->kind == DO_LISTEN) {
      door_free(c->door);
    }
    free(c);
  }
  dials_free(&w->dials);
  doors_free(&w->doors);
  pipes_free(&w->pipes);
  free(w->chunks);
  free(w->scratch);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

static struct worker *make_worker(struct engine *e, uint32_t index) {
  struct worker *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  w->engine = e;
  w->index = index;
  list_clear(&w->reports);
  list_clear(&w->left);
  w->queue_end = &w->queue;
  w->again_end = &w->again;
  w->random_at = sizeof w->random;
  w->sleeps = 1;
  pthread_mutex_init(&w->lock, NULL);
  read_clock(w);
  wheel_init(&w->wheel, w->now);
  dials_init(&w->dials, w->now);
  doors_init(&w->doors, w->now);
  w->ep = epoll_create1(EPOLL_CLOEXEC);
  w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  w->scratch = aligned_alloc(SCRATCH_ROOM, SCRATCH_ROOM + SCRATCH);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_KEY};
  if (w->ep < 0 || w->wake < 0 || !w->scratch || epoll_ctl(w->ep, EPOLL_CTL_ADD, w->wake, &event) < 0) {
    free_worker(w);
    return NULL;
  }
  return w;
}

int engine_start(struct engine *e, uint32_t count, void (*told)(void *), void *told_to) {
  memset(e, 0, sizeof *e);
  e->told = told;
  e->told_to = told_to;
  for (int kind = 0; kind < NEWS_KINDS; kind++) list_clear(&e->news[kind]);
  pthread_mutex_init(&e->lock, NULL);
  // Signals are the main thread's: the workers take none.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = 0;
  while (e->count < count) {
    struct worker *w = make_worker(e, e->count);
    failed = w ? pthread_create(&w->thread, NULL, run, w) : ENOMEM;
    if (failed) {
      free_worker(w);
      break;
    }
    pthread_setname_np(w->thread, "upgate-relay");
    e->worker[e->count++] = w;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed) engine_stop(e);
  return failed;
}

void engine_stop(struct engine *e) {
  for (uint32_t i = 0; i < e->count; i++) {
    struct command *stop = calloc(1, sizeof *stop);
    if (!stop) continue;
    stop->kind = DO_STOP;
    stop->id = ID(i, 0, 0);
    engine_send(e, stop);
  }
  for (uint32_t i = 0; i < e->count; i++) pthread_join(e->worker[i]->thread, NULL);
  for (uint32_t i = 0; i < e->count; i++) free_worker(e->worker[i]);
  e->count = 0;
  for (int kind = 0; kind < NEWS_KINDS; kind++) news_free(kind, engine_hear(e, kind));
  pthread_mutex_destroy(&e->lock);
}
