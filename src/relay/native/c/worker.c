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
// Close records are published in batches of this many milliseconds: waking the main thread costs more than a tunnel.
#define PUBLISH_MS 10
// A thread that wakes this much later than planned was stalled: stopped, paused with its machine, or starved.
#define STALL_MS 500
// For this long after a stall it only reads what its peers have sent meanwhile.
#define STALL_GRACE_MS 200

uint64_t engine_clock_ns(const struct engine *e) {
  uint64_t set = __atomic_load_n(&e->test_clock_ns, __ATOMIC_RELAXED);
  if (set) return set;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void read_clock(struct worker *w) {
  w->now_ns = engine_clock_ns(w->engine);
  w->now = w->now_ns / 1000000;
}

// Sets a test's clock. Returns once each thread has run a turn by it: read what came before, run what is due then.
static void set_test_clock(struct engine *e, uint64_t ns) {
  __atomic_store_n(&e->test_clock_ns, ns, __ATOMIC_RELAXED);
  uint32_t settings = __atomic_add_fetch(&e->test_clock_settings, 1, __ATOMIC_RELEASE);
  for (uint32_t i = 0; i < e->count; i++) {
    struct worker *w = e->worker[i];
    uint64_t one = 1;
    while (write(w->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
    while (__atomic_load_n(&w->test_clock_settings, __ATOMIC_ACQUIRE) != settings) usleep(100);
  }
}

void engine_advance_test_clock(struct engine *e, uint64_t ms) {
  uint64_t now = engine_clock_ns(e), end = now + ms * 1000000;
  set_test_clock(e, now);
  // In steps that are no stall.
  while (now < end) {
    now = end - now > STALL_MS / 2 * 1000000 ? now + STALL_MS / 2 * 1000000 : end;
    set_test_clock(e, now);
  }
}

// Where the system gives no random bytes: a sequence from the clock on (splitmix64). Guessing it gains nothing: masks
// and pings cover bytes that no peer has chosen, and any byte answers a ping.
static void fill_weak_random(struct worker *w) {
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
  if (got < sizeof w->random) fill_weak_random(w);
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

static struct tunnel *find_tunnel(struct worker *w, uint64_t id) {
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

// -- Publishing to the main thread ----------------------------------------------------------------------------------

static void queue_close_record(struct worker *w, struct close_record *r) {
  list_add(&w->close_records, &r->link);
  // A test's clock stands still.
  if (!w->publish_at) w->publish_at = w->now + (__atomic_load_n(&w->engine->test_clock_ns, __ATOMIC_RELAXED) ? 0 : PUBLISH_MS);
}

static void publish_close_records(struct worker *w) {
  w->publish_at = 0;
  engine_publish(w->engine, EVENT_TUNNEL_CLOSED, &w->close_records);
}

void engine_publish(struct engine *e, enum event_kind kind, struct list *all) {
  if (!all->first) return;
  pthread_mutex_lock(&e->lock);
  int quiet = !e->events[kind].first;
  list_move(&e->events[kind], all);
  pthread_mutex_unlock(&e->lock);
  if (quiet) e->notify(e->notify_arg);
}

void *engine_take(struct engine *e, enum event_kind kind) {
  pthread_mutex_lock(&e->lock);
  struct link *all = e->events[kind].first;
  list_clear(&e->events[kind]);
  pthread_mutex_unlock(&e->lock);
  return all;
}

void events_free(enum event_kind kind, void *all) {
  if (kind == EVENT_DIAL_RESULT) {
    dial_results_free(all);
  } else if (kind == EVENT_ACCEPTED) {
    accepted_conns_free(all);
  } else {
    for (struct link *at = all, *next; at; at = next) {
      next = at->next;
      free(at);
    }
  }
}

int engine_watch(struct engine *e, uint32_t worker, int fd, uint64_t id) {
  // A stream that has ended already is reported, too.
  return watch_for(e->worker[worker]->ep, fd, EPOLLRDHUP | EPOLLONESHOT, PEER_CLOSED_KEY | id, 0) < 0 ? errno : 0;
}

static void queue_peer_closed(struct worker *w, uint64_t id) {
  struct peer_closed *record = malloc(sizeof *record);
  if (!record) return;  // whoever waits for it has a timeout
  record->id = id;
  list_add(&w->peers_closed, &record->link);
}

// -- The ready queue ------------------------------------------------------------------------------------------------

void worker_make_ready(struct worker *w, struct tunnel *t) {
  if (t->pprev_ready) return;
  t->next_ready = NULL;
  t->pprev_ready = w->ready_tail;
  *w->ready_tail = t;
  w->ready_tail = &t->next_ready;
  w->ready_count++;
}

static void ready_remove(struct worker *w, struct tunnel *t) {
  if (!t->pprev_ready) return;
  *t->pprev_ready = t->next_ready;
  if (t->next_ready) t->next_ready->pprev_ready = t->pprev_ready;
  else w->ready_tail = t->pprev_ready;
  t->pprev_ready = NULL;
  w->ready_count--;
}

// Runs each tunnel that is ready now once. Those that become ready again meanwhile wait until the events of epoll are
// handled.
static void run_ready(struct worker *w) {
  for (uint32_t n = w->ready_count; n && w->ready_queue; n--) {
    struct tunnel *t = w->ready_queue;
    ready_remove(w, t);
    tunnel_run(w, t);
  }
}

// -- The end of a tunnel --------------------------------------------------------------------------------------------

void worker_end(struct worker *w, struct tunnel *t) {
  struct tunnel **at = slot_of(w, ID_SLOT(t->id));
  ready_remove(w, t);
  wheel_clear(&w->wheel, &t->timer);
  conn_close(&t->endpoint[CLIENT].conn, w->ep);
  conn_close(&t->endpoint[BACKEND].conn, w->ep);
  *at = NULL;
  t->discarded += direction_drop_held(&t->direction[CLIENT]) + direction_drop_held(&t->direction[BACKEND]);
  free(t->close_reason_copy);
  // The record takes the tunnel's own memory, so that an end can always be published.
  _Static_assert(sizeof(struct close_record) <= sizeof(struct tunnel), "a close record fits into its tunnel");
  struct close_record r = {
      .id = t->id,
      .bytes = {t->activity->bytes[CLIENT], t->activity->bytes[BACKEND]},
      .messages = {t->activity->messages[CLIENT], t->activity->messages[BACKEND]},
      .discarded = t->discarded,
      .code = t->close_code,
      .initiator = t->initiator,
      .reason = t->reason,
      .was_cut = t->was_cut,
      .inspected = t->policy->inspect,
  };
  struct close_record *record = (struct close_record *)t;
  *record = r;
  queue_close_record(w, record);
}

// -- Commands -------------------------------------------------------------------------------------------------------

static void init_tunnel(struct worker *w, struct tunnel *t, const struct command *c) {
  const struct policy *policy = c->policy;
  memset(t, 0, sizeof *t);
  t->id = c->id;
  t->policy = policy;
  t->counters = &policy->counters[w->index];
  t->activity = c->activity;
  activity_touch(t->activity, w->now);
  t->expires_at = c->lifetime_ms ? w->now + c->lifetime_ms : WHEEL_NEVER;
  t->close_deadline = t->any_boundary_at = WHEEL_NEVER;
  for (int i = 0; i < 2; i++) {
    t->direction[i].opaque = !policy->inspect;
    t->endpoint[i].conn.fd = c->fd[i];
    t->endpoint[i].conn.shared = c->shared[i];
    t->endpoint[i].conn.total_pending = &w->total_pending;
    t->endpoint[i].last_read = w->now;
    t->endpoint[i].ping_next = w->now + policy->ping_every_ms;
    t->endpoint[i].no_splice = c->tls != NULL;
  }
  t->endpoint[CLIENT].conn.tls = c->tls;
  // Bytes may be decrypted already, of which no event tells.
  t->endpoint[CLIENT].readable = c->tls != NULL;
}

// There is no memory for a tunnel: both connections are closed.
static void fail_open(struct worker *w, struct command *c) {
  struct close_record r = {.id = c->id, .initiator = BY_GATEWAY, .reason = REASON_RESET, .was_cut = 1};
  tls_free(c->tls);
  close(c->fd[CLIENT]);
  close(c->fd[BACKEND]);
  memcpy(c, &r, sizeof r);
  queue_close_record(w, (struct close_record *)c);
}

// Returns 0 where there is no memory; nothing has happened then.
static int open_tunnel(struct worker *w, const struct command *c) {
  struct tunnel **at = make_slot(w, ID_SLOT(c->id));
  struct tunnel *t = at ? malloc(sizeof *t) : NULL;
  if (!t) return 0;
  init_tunnel(w, t, c);
  *at = t;
  const uint8_t *early = c->early;
  uint32_t head = c->head_length < c->to_client ? c->head_length : c->to_client;
  tunnel_send(w, t, CLIENT, early, head);
  tunnel_input_early(w, t, BACKEND, early + head, c->to_client - head);
  tunnel_input_early(w, t, CLIENT, early + c->to_client, c->to_backend);
  tunnel_timer(w, t);
  return 1;
}

// Returns whether the caller frees the command; otherwise it has become the record of a failure.
static int process_command(struct worker *w, struct command *c) {
  struct tunnel *t = c->kind == DO_CLOSE || c->kind == DO_CUT ? find_tunnel(w, c->id) : NULL;
  if (c->kind == DO_OPEN) {
    if (open_tunnel(w, c)) return 1;
    fail_open(w, c);
    return 0;
  } else if (c->kind == DO_DIAL) {
    const struct dial_request *request = (const struct dial_request *)c->early;
    if (dial_start(w, c->id, request, c->early + sizeof *request)) return 1;
    dial_fail_unstarted(w, c->id, request, c);
    return 0;
  } else if (c->kind == DO_CANCEL) {
    dial_cancel(w, c->id);
  } else if (c->kind == DO_LISTEN) {
    listener_open(w, c->listener);
  } else if (c->kind == DO_UNLISTEN) {
    listener_close(w, c->id);
  } else if (c->kind == DO_USE_TLS) {
    listener_use_tls(w, c->id, c->contexts);
  } else if (c->kind == DO_STOP) {
    w->stopping = 1;
  } else if (t && c->kind == DO_CLOSE) {
    tunnel_close_within(w, t, c->code, (const char *)c->early, REASON_GIVEN, c->deadline_ms);
    tunnel_update(w, t);
  } else if (t) {
    tunnel_set_close_cause(t, BY_GATEWAY, REASON_GIVEN);
    tunnel_cut(t);
    tunnel_update(w, t);
  }
  return 1;
}

static struct command *take_commands(struct worker *w) {
  pthread_mutex_lock(&w->lock);
  struct command *c = w->queue;
  __atomic_store_n(&w->queue, NULL, __ATOMIC_RELAXED);
  w->queue_end = &w->queue;
  __atomic_store_n(&w->sleeping, !c, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&w->lock);
  return c;
}

// Runs all queued commands; from here on a new command has to wake the thread.
static void process_commands(struct worker *w) {
  for (struct command *c; (c = take_commands(w));) {
    while (c) {
      struct command *next = c->next;
      if (process_command(w, c)) free(c);
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

static void wake_worker(struct worker *w) {
  pthread_mutex_lock(&w->lock);
  int needed = w->queue && __atomic_exchange_n(&w->sleeping, 0, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&w->lock);
  uint64_t one = 1;
  while (needed && write(w->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void engine_wake(struct engine *e) {
  for (uint32_t i = 0; i < e->count; i++) wake_worker(e->worker[i]);
}

void engine_send(struct engine *e, struct command *c) {
  struct worker *w = e->worker[ID_WORKER(c->id)];
  engine_post(e, c);
  wake_worker(w);
}

// -- The turn -------------------------------------------------------------------------------------------------------

// The shorter of two epoll timeouts; below 0 is for ever.
static int min_timeout(int a, int b) { return b < 0 || (a >= 0 && a < b) ? a : b; }

static int next_timeout(const struct worker *w) {
  int wait = min_timeout(wheel_wait(&w->wheel, w->now), wheel_wait(&w->dials.wheel, w->now));
  wait = min_timeout(wait, listeners_timeout(w));
  if (!w->publish_at) return wait;
  return min_timeout(wait, w->publish_at > w->now ? (int)(w->publish_at - w->now) : 0);
}

// How long to wait for events, ms. Also notes when the thread is expected to wake.
static int poll_timeout(struct worker *w) {
  int wait = 0;
  if (!w->ready_queue) {
    int rest = w->timers_held_until > w->now ? (int)(w->timers_held_until - w->now) : 0;
    wait = next_timeout(w);
    if (wait >= 0 && wait < rest) wait = rest;
  }
  w->expected_wake = wait < 0 ? UINT64_MAX : w->now + (uint64_t)wait;
  return wait;
}

// Whether timers may run, after n events. After a stall nothing times out before the bytes that arrived meanwhile have
// been read. An interrupted wait (n below 0) has reported nothing. A thread that is late again after the grace period
// gets no second one, so that timers run on any machine.
static int timers_may_run(struct worker *w, int n) {
  int late = n < 0 || (w->now > w->expected_wake && w->now - w->expected_wake > STALL_MS);
  if (late && !w->timers_held_until) w->timers_held_until = w->now + STALL_GRACE_MS;
  if (w->now < w->timers_held_until) return 0;
  w->timers_held_until = 0;
  return 1;
}

static void run_timers(struct worker *w) {
  for (struct timer *timer; (timer = wheel_due(&w->wheel, w->now));) tunnel_timer(w, (struct tunnel *)timer);
  dial_timers(w);
  listener_timers(w);
}

// Handles an event that is not a tunnel's.
static void dispatch_event(struct worker *w, uint64_t key, uint32_t events) {
  // The edge has done its work; the count is never read.
  if (key == WAKE_KEY) return;
  if (key & DIAL_KEY) dial_event(w, key & ~DIAL_KEY, events);
  else if (key & LISTENER_KEY) listener_event(w, key & ~LISTENER_KEY);
  else if (key & PEER_CLOSED_KEY) queue_peer_closed(w, key & ~PEER_CLOSED_KEY);
  else pending_conn_event(w, key);
}

static void *run(void *arg) {
  struct worker *w = arg;
  struct epoll_event events[EVENTS];
  read_clock(w);
  while (!w->stopping) {
    int n = epoll_wait(w->ep, events, EVENTS, poll_timeout(w));
    __atomic_store_n(&w->sleeping, 0, __ATOMIC_RELAXED);
    uint32_t settings = __atomic_load_n(&w->engine->test_clock_settings, __ATOMIC_ACQUIRE);
    read_clock(w);
    // Commands that were sent before these events run before them.
    if (__atomic_load_n(&w->queue, __ATOMIC_RELAXED)) process_commands(w);
    for (int i = 0; i < n; i++) {
      if (events[i].data.u64 & (DIAL_KEY | LISTENER_KEY | PENDING_CONN_KEY | PEER_CLOSED_KEY)) {
        dispatch_event(w, events[i].data.u64, events[i].events);
        continue;
      }
      // An event may be older than the end of its tunnel; an unknown id is ignored.
      struct tunnel *t = find_tunnel(w, events[i].data.u64 >> 1);
      if (t) tunnel_event(w, t, (int)(events[i].data.u64 & 1), events[i].events);
    }
    process_commands(w);
    run_ready(w);
    if (timers_may_run(w, n)) run_timers(w);
    // A dial or an accepted connection wakes the main thread anyway, so close records go along.
    int wakes = w->dials.results.first || w->listeners.accepted.first;
    if (w->publish_at && (wakes || w->now >= w->publish_at)) publish_close_records(w);
    dials_publish(w);
    listeners_publish(w);
    engine_publish(w->engine, EVENT_PEER_CLOSED, &w->peers_closed);
    __atomic_store_n(&w->test_clock_settings, settings, __ATOMIC_RELEASE);
  }
  for (uint32_t i = 0; i < w->chunk_count * CHUNK; i++) {
    struct tunnel **at = slot_of(w, i);
    if (!at || !*at) continue;
    tunnel_set_close_cause(*at, BY_GATEWAY, REASON_GIVEN);
    tunnel_cut(*at);
    worker_end(w, *at);
  }
  publish_close_records(w);
  dials_stop(w);
  listeners_stop(w);
  events_free(EVENT_PEER_CLOSED, w->peers_closed.first);
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
      tls_free(c->tls);
      close(c->fd[CLIENT]);
      close(c->fd[BACKEND]);
    } else if (c->kind == DO_DIAL && ((struct dial_request *)c->early)->fd >= 0) {
      close(((struct dial_request *)c->early)->fd);
    } else if (c->kind == DO_LISTEN) {
      listener_free(c->listener);
    } else if (c->kind == DO_USE_TLS) {
      tls_contexts_release(c->contexts);
    }
    free(c);
  }
  dials_free(&w->dials);
  listeners_free(&w->listeners);
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
  list_clear(&w->close_records);
  list_clear(&w->peers_closed);
  w->queue_end = &w->queue;
  w->ready_tail = &w->ready_queue;
  w->random_at = sizeof w->random;
  w->sleeping = 1;
  pthread_mutex_init(&w->lock, NULL);
  read_clock(w);
  wheel_init(&w->wheel, w->now);
  dials_init(&w->dials, w->now);
  listeners_init(&w->listeners, w->now);
  w->ep = epoll_create1(EPOLL_CLOEXEC);
  w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  w->scratch = aligned_alloc(SCRATCH_HEADROOM, SCRATCH_HEADROOM + SCRATCH);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_KEY};
  if (w->ep < 0 || w->wake < 0 || !w->scratch || epoll_ctl(w->ep, EPOLL_CTL_ADD, w->wake, &event) < 0) {
    free_worker(w);
    return NULL;
  }
  return w;
}

int engine_start(struct engine *e, uint32_t count, void (*notify)(void *), void *notify_arg) {
  memset(e, 0, sizeof *e);
  e->notify = notify;
  e->notify_arg = notify_arg;
  for (int kind = 0; kind < EVENT_KINDS; kind++) list_clear(&e->events[kind]);
  pthread_mutex_init(&e->lock, NULL);
  // Signals are the main thread's: workers block them all.
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
  for (int kind = 0; kind < EVENT_KINDS; kind++) events_free(kind, engine_take(e, kind));
  pthread_mutex_destroy(&e->lock);
}
