// The native relay's interface to Node: Node-API around worker.c. native.ts is its only caller and checks what it
// passes; here a wrong argument is a thrown error, never a crash.
//
// Everything in this file runs on the main thread except notify(), which wakes it. The main thread assigns the slots
// and frees one when it handles the end of what was in it, so ids need no lock.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon-fd-passing.h"
#include "addon.h"

#define POLICY_FIELDS 13
#define CLOSE_RECORD_FIELDS 11
#define COUNTER_FIELDS 11
#define DIAL_RESULT_FIELDS 5
#define ACCEPTED_FIELDS 9
#define ACTIVITY_FIELDS 5
// -- Arguments ------------------------------------------------------------------------------------------------------

napi_value fail(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}

int arguments(napi_env env, napi_callback_info info, napi_value *args, size_t count) {
  size_t got = count;
  return napi_get_cb_info(env, info, &got, args, NULL, NULL) == napi_ok && got == count;
}

struct relay *relay_of(napi_env env, napi_value value) {
  void *relay = NULL;
  return napi_get_value_external(env, value, &relay) == napi_ok ? relay : NULL;
}

static int floats(napi_env env, napi_value value, size_t count, double **to) {
  napi_typedarray_type type;
  size_t length;
  return napi_get_typedarray_info(env, value, &type, &length, (void **)to, NULL, NULL) == napi_ok &&
         type == napi_float64_array && length == count;
}

napi_value number(napi_env env, double n) {
  napi_value value = NULL;
  napi_create_double(env, n, &value);
  return value;
}

// -- Slots ----------------------------------------------------------------------------------------------------------

// The thread with the fewest tunnels and dials; each dial will become a tunnel.
static uint32_t least_loaded(const struct relay *r) {
  uint32_t best = 0, least = UINT32_MAX;
  for (uint32_t i = 0; i < r->engine.count; i++) {
    uint32_t load = r->slots[i].live + r->dial_slots[i].live;
    if (load >= least) continue;
    least = load;
    best = i;
  }
  return best;
}

// The thread of this number; the least loaded one where it is below 0 or there is none of this number.
static uint32_t thread_of(const struct relay *r, int32_t wanted) {
  return wanted >= 0 && (uint32_t)wanted < r->engine.count ? (uint32_t)wanted : least_loaded(r);
}

static int take_id(struct relay *r, struct slots *slots, uint32_t worker, uint64_t *id) {
  struct slots *s = &slots[worker];
  if (!s->released_count && s->next == SLOTS_MAX) return 0;
  uint32_t slot = s->released_count ? s->released[--s->released_count] : s->next++;
  s->live++;
  r->generation = r->generation + 1 < GENERATIONS_MAX ? r->generation + 1 : 1;
  *id = ID(worker, slot, r->generation);
  return 1;
}

static void release_id(struct slots *slots, uint64_t id) {
  struct slots *s = &slots[ID_WORKER(id)];
  s->live--;
  if (s->released_count == s->released_capacity) {
    uint32_t capacity = s->released_capacity ? s->released_capacity * 2 : 64;
    uint32_t *released = realloc(s->released, capacity * sizeof *released);
    if (!released) return;  // the slot is lost, nothing else
    s->released = released;
    s->released_capacity = capacity;
  }
  s->released[s->released_count++] = ID_SLOT(id);
}

// What the tunnel with this id has carried; null where its slot was never used.
static struct activity *activity_of(const struct relay *r, uint64_t id) {
  struct activity *chunk = r->activities[ID_WORKER(id)][ID_SLOT(id) / ACTIVITY_CHUNK];
  return chunk ? &chunk[ID_SLOT(id) % ACTIVITY_CHUNK] : NULL;
}

// The same for a tunnel that is being opened, all zeros; null where there is no memory.
static struct activity *new_activity(struct relay *r, uint64_t id) {
  struct activity **chunk = &r->activities[ID_WORKER(id)][ID_SLOT(id) / ACTIVITY_CHUNK];
  if (!*chunk) *chunk = calloc(ACTIVITY_CHUNK, sizeof **chunk);
  struct activity *a = activity_of(r, id);
  if (a) memset(a, 0, sizeof *a);
  return a;
}

// -- Events from the threads ----------------------------------------------------------------------------------------

static void notify(void *to) {
  struct relay *r = to;
  napi_call_threadsafe_function(r->wake, NULL, napi_tsfn_nonblocking);
}

// One more thing that keeps the process alive.
static void ref_loop(napi_env env, struct relay *r) {
  if (!r->live++) napi_ref_threadsafe_function(env, r->wake);
}

// One thing less that keeps the process alive.
static void unref_loop(napi_env env, struct relay *r) {
  if (!--r->live) napi_unref_threadsafe_function(env, r->wake);
}

// Reserves space in the event buffer, for numbers and for bytes padded to the next number; null where it is full.
static uint8_t *reserve_in(const struct relay *r, size_t *at, size_t numbers, size_t length) {
  size_t size = (numbers + (length + sizeof(double) - 1) / sizeof(double)) * sizeof(double);
  if (*at + size > r->event_buffer_size) return NULL;
  uint8_t *space = r->event_buffer + *at;
  *at += size;
  return space;
}

static int put_close_record(const struct relay *r, size_t *at, const struct close_record *c) {
  const double values[CLOSE_RECORD_FIELDS] = {
      (double)c->id,          (double)c->bytes[CLIENT], (double)c->bytes[BACKEND], (double)c->messages[CLIENT],
      (double)c->messages[BACKEND], (double)c->discarded,     c->code,                   c->initiator,
      c->reason,              c->was_cut,               c->inspected,
  };
  uint8_t *to = reserve_in(r, at, CLOSE_RECORD_FIELDS, 0);
  if (to) memcpy(to, values, sizeof values);
  return to != NULL;
}

static int put_dial_result(const struct relay *r, size_t *at, const struct dial_result *d) {
  const double values[DIAL_RESULT_FIELDS] = {(double)d->id, d->error, d->fd, d->connect_ms, d->length};
  uint8_t *to = reserve_in(r, at, DIAL_RESULT_FIELDS, d->length);
  if (!to) return 0;
  memcpy(to, values, sizeof values);
  if (d->length) memcpy(to + sizeof values, d->bytes, d->length);
  return 1;
}

// Its bytes are the address, the name that a client with TLS asked for, and then what was read. TLS is parked here: from now
// on JavaScript names it.
static int put_accepted(struct relay *r, size_t *at, struct accepted_conn *a) {
  const char *name = a->tls ? tls_server_name(a->tls) : NULL;
  size_t address = strlen(a->address), name_length = name ? strlen(name) : 0;
  uint8_t *to = reserve_in(r, at, ACCEPTED_FIELDS, address + name_length + a->length);
  if (!to) return 0;
  a->parked = a->tls ? park_tls(r, a->tls, a->fd) : 0;
  if (a->tls && !a->parked) {  // nothing could name it: its client is closed, as one that has left
    tls_free(a->tls);
    close(a->fd);
    a->tls = NULL;
    a->fd = -1;
    a->error = ACCEPT_TLS_LEFT;
    name = NULL;  // it was the TLS's; its place in the record stays
  }
  const double values[ACCEPTED_FIELDS] = {
      (double)a->listener_id, a->fd, a->error, a->port, (double)address, a->length, a->parked, (double)name_length,
      a->tls ? tls_resumed(a->tls) : 0,
  };
  memcpy(to, values, sizeof values);
  to += sizeof values;
  memcpy(to, a->address, address);
  if (name) memcpy(to + address, name, name_length);
  if (a->length) memcpy(to + address + name_length, a->bytes, a->length);
  return 1;
}

static int put_peer_closed(const struct relay *r, size_t *at, const struct peer_closed *p) {
  const double id = (double)p->id;
  uint8_t *to = reserve_in(r, at, 1, 0);
  if (to) memcpy(to, &id, sizeof id);
  return to != NULL;
}

// Writes a record into the event buffer; 0 where it is full.
static int put(struct relay *r, enum event_kind kind, size_t *at, struct link *record) {
  switch (kind) {
    case EVENT_TUNNEL_CLOSED: return put_close_record(r, at, (const struct close_record *)record);
    case EVENT_DIAL_RESULT: return put_dial_result(r, at, (const struct dial_result *)record);
    case EVENT_ACCEPTED: return put_accepted(r, at, (struct accepted_conn *)record);
    case EVENT_PEER_CLOSED: return put_peer_closed(r, at, (const struct peer_closed *)record);
    default: return 0;
  }
}

// JavaScript has handled this record, and only now may its slot be assigned again. Otherwise what JavaScript starts
// meanwhile could be mistaken for a record in the event buffer that is still to be read.
static void release_delivered(napi_env env, struct relay *r, enum event_kind kind, const struct link *record) {
  if (r->stopped) return;
  if (kind == EVENT_TUNNEL_CLOSED) {
    release_id(r->slots, ((const struct close_record *)record)->id);
  } else if (kind == EVENT_DIAL_RESULT) {
    release_id(r->dial_slots, ((const struct dial_result *)record)->id);
  } else if (kind == EVENT_ACCEPTED) {
    const struct accepted_conn *a = (const struct accepted_conn *)record;
    if (a->fd >= 0 || a->error) return;
    release_id(r->listener_slots, a->listener_id);
  } else {
    return;
  }
  unref_loop(env, r);
}

// JavaScript has not got these connections: their TLS is theirs again.
static void take_back_tls(struct relay *r, struct link *from, const struct link *to) {
  for (; from != to; from = from->next) unpark_tls(r, ((struct accepted_conn *)from)->parked);
}

// Calls JavaScript with the number of records in the event buffer. Returns whether they are JavaScript's now. An
// exception from there has passed every guard in native.ts and is left to the process.
static int call(napi_env env, napi_value callback, enum event_kind kind, uint32_t count) {
  napi_value undefined, error, args[2];
  if (napi_get_undefined(env, &undefined) != napi_ok || napi_create_uint32(env, kind, &args[0]) != napi_ok ||
      napi_create_uint32(env, count, &args[1]) != napi_ok) {
    return 0;
  }
  napi_status status = napi_call_function(env, undefined, callback, 2, args, NULL);
  if (status != napi_pending_exception) return status == napi_ok;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  return 1;
}

// Delivers all events of a kind to JavaScript, one event buffer at a time.
static void deliver(napi_env env, napi_value callback, struct relay *r, enum event_kind kind) {
  struct link *events = engine_take(&r->engine, kind);
  int delivered = 1;
  while (events && delivered && !r->stopped) {
    struct link *first = events;
    uint32_t count = 0;
    for (size_t at = 0; events && put(r, kind, &at, events); events = events->next) count++;
    delivered = count && call(env, callback, kind, count);
    if (!delivered) {
      if (kind == EVENT_ACCEPTED) take_back_tls(r, first, events);
      events = first;
    }
    for (struct link *next; first != events; first = next) {
      next = first->next;
      release_delivered(env, r, kind, first);
      free(first);
    }
  }
  events_free(kind, events);
}

static void on_wake(napi_env env, napi_value callback, void *context, void *data) {
  struct relay *r = context;
  (void)data;
  for (int kind = 0; env && kind < EVENT_KINDS && !r->stopped; kind++) deliver(env, callback, r, kind);
}

// -- The engine's life ----------------------------------------------------------------------------------------------

// All relays of the process whose threads run.
static struct {
  pthread_mutex_t lock;
  struct relay *first;
} alive = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void forget_alive(struct relay *r) {
  pthread_mutex_lock(&alive.lock);
  struct relay **at = &alive.first;
  while (*at && *at != r) at = &(*at)->next_alive;
  if (*at) *at = r->next_alive;
  pthread_mutex_unlock(&alive.lock);
}

static void stop(void *arg) {
  struct relay *r = arg;
  if (r->stopped) return;
  r->stopped = 1;
  forget_alive(r);
  engine_stop(&r->engine);
}

// process.exit() runs no cleanup hook. The threads end here, before OpenSSL frees what they use: its own handler was
// registered first (openssl_load), and so runs after this one.
static void stop_at_exit(void) {
  while (alive.first) stop(alive.first);
}

static void note_alive(struct relay *r) {
  static int registered;
  pthread_mutex_lock(&alive.lock);
  r->next_alive = alive.first;
  alive.first = r;
  int first = !registered;
  registered = 1;
  pthread_mutex_unlock(&alive.lock);
  if (!first) return;
  openssl_load();
  atexit(stop_at_exit);
}

static void release(struct relay *r) {
  if (--r->holders) return;
  for (uint32_t i = 0; i < r->policy_count; i++) {
    free(r->policies[i]->counters);
    free(r->policies[i]);
  }
  free(r->policies);
  free_parked(r);
  for (struct listen_socket *l = r->listen_sockets, *next; l; l = next) {
    next = l->next;
    free(l);
  }
  for (uint32_t i = 0; i < WORKERS_MAX; i++) {
    free(r->slots[i].released);
    for (uint32_t chunk = 0; chunk < SLOTS_MAX / ACTIVITY_CHUNK; chunk++) free(r->activities[i][chunk]);
    free(r->dial_slots[i].released);
    free(r->listener_slots[i].released);
  }
  free(r);
}

static void wake_finalized(napi_env env, void *data, void *hint) {
  struct relay *r = data;
  (void)env;
  (void)hint;
  r->wake_finalized = 1;
  release(r);
}

// Ends the threads, and then the function by which they wake the main thread.
static void shut_down(struct relay *r) {
  stop(r);
  if (!r->wake_finalized) napi_release_threadsafe_function(r->wake, napi_tsfn_abort);
  r->wake_finalized = 1;
}

static void finalize(napi_env env, void *data, void *hint) {
  struct relay *r = data;
  (void)hint;
  napi_remove_env_cleanup_hook(env, stop, r);
  shut_down(r);
  release(r);
}

// start(threads, onEvents, eventBuffer) -> engine. onEvents gets a kind and the number of its records in the event
// buffer.
static napi_value js_start(napi_env env, napi_callback_info info) {
  napi_value args[3], name, engine;
  uint32_t threads;
  void *event_buffer;
  size_t event_buffer_size;
  if (!arguments(env, info, args, 3) || napi_get_value_uint32(env, args[0], &threads) != napi_ok || threads < 1 ||
      threads > WORKERS_MAX || napi_get_buffer_info(env, args[2], &event_buffer, &event_buffer_size) != napi_ok) {
    return fail(env, "start(threads, onEvents, eventBuffer)");
  }
  struct relay *r = calloc(1, sizeof *r);
  if (!r) return fail(env, "out of memory");
  r->env = env;
  r->holders = 2;
  r->threads = threads;
  r->event_buffer = event_buffer;
  r->event_buffer_size = event_buffer_size;
  napi_create_string_utf8(env, "upgate relay", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, args[1], NULL, name, 0, 1, r, wake_finalized, r, on_wake, &r->wake) !=
      napi_ok) {
    free(r);
    return fail(env, "no thread-safe function");
  }
  napi_unref_threadsafe_function(env, r->wake);
  int error = engine_start(&r->engine, threads, notify, r);
  if (error || napi_create_external(env, r, finalize, NULL, &engine) != napi_ok) {
    r->stopped = error != 0;
    shut_down(r);
    release(r);
    return fail(env, error ? strerror(error) : "no external value");
  }
  note_alive(r);
  // After the thread-safe function's own hook, so that the threads end before it does.
  napi_add_env_cleanup_hook(env, stop, r);
  return engine;
}

// stop(engine): cuts all live tunnels, without events, and ends the threads.
static napi_value js_stop(napi_env env, napi_callback_info info) {
  napi_value args[1];
  struct relay *r = arguments(env, info, args, 1) ? relay_of(env, args[0]) : NULL;
  if (!r) return fail(env, "stop(engine)");
  shut_down(r);
  return NULL;
}

// -- Policies and counters ------------------------------------------------------------------------------------------

static double in_ns(double per_second) { return per_second > 0 ? 1e9 / per_second : 0; }

// policy(engine, [inspect, idleMs, pingEveryMs, pingTimeoutMs, then for fromClient and toClient: maxMessage,
// messagesPerSecond, bytesPerSecond, pause; stream]) -> its number. A maxMessage below 0 is unlimited, and so is a rate of 0.
static napi_value js_policy(napi_env env, napi_callback_info info) {
  napi_value args[2];
  double *v;
  struct relay *r = arguments(env, info, args, 2) ? relay_of(env, args[0]) : NULL;
  if (!r || !floats(env, args[1], POLICY_FIELDS, &v)) return fail(env, "policy(engine, numbers)");
  struct policy **all = realloc(r->policies, (r->policy_count + 1) * sizeof *all);
  if (!all) return fail(env, "out of memory");
  r->policies = all;
  struct policy *p = calloc(1, sizeof *p);
  struct counters *counters = aligned_alloc(_Alignof(struct counters), r->threads * sizeof *counters);
  if (!p || !counters) {
    free(p);
    free(counters);
    return fail(env, "out of memory");
  }
  memset(counters, 0, r->threads * sizeof *counters);
  p->counters = counters;
  p->inspect = v[0] != 0;
  p->stream = v[12] != 0;
  p->idle_ms = v[1] > 0 && v[1] < UINT32_MAX ? (uint32_t)v[1] : UINT32_MAX;
  p->ping_every_ms = (uint32_t)v[2];
  p->ping_timeout_ms = (uint32_t)v[3];
  for (int i = 0; i < 2; i++) {
    struct limits *l = &p->limits[i];
    const double *from = v + 4 + i * 4;
    l->max_message = from[0] < 0 ? UINT64_MAX : (uint64_t)from[0];
    l->message_ns = (uint64_t)in_ns(from[1]);
    l->byte_ns = in_ns(from[2]);
    l->pause = from[3] != 0;
    l->any = from[0] >= 0 || l->message_ns || l->byte_ns > 0;
  }
  r->policies[r->policy_count] = p;
  return number(env, r->policy_count++);
}

// counters(engine, policy, numbers): fills in what the policy's tunnels have counted so far.
static napi_value js_counters(napi_env env, napi_callback_info info) {
  napi_value args[3];
  uint32_t policy;
  double *to;
  struct relay *r = arguments(env, info, args, 3) ? relay_of(env, args[0]) : NULL;
  if (!r || napi_get_value_uint32(env, args[1], &policy) != napi_ok || policy >= r->policy_count ||
      !floats(env, args[2], COUNTER_FIELDS, &to)) {
    return fail(env, "counters(engine, policy, numbers)");
  }
  memset(to, 0, COUNTER_FIELDS * sizeof *to);
  for (uint32_t i = 0; i < r->threads; i++) {
    const struct counters *c = &r->policies[policy]->counters[i];
    const uint64_t *fields[COUNTER_FIELDS] = {
        &c->bytes[CLIENT], &c->text[CLIENT],  &c->binary[CLIENT], &c->bytes[BACKEND], &c->text[BACKEND],
        &c->binary[BACKEND], &c->ping_sent,   &c->ping_pong,      &c->ping_timeout,   &c->lost[CLIENT],
        &c->lost[BACKEND],
    };
    for (int j = 0; j < COUNTER_FIELDS; j++) to[j] += (double)__atomic_load_n(fields[j], __ATOMIC_RELAXED);
  }
  return NULL;
}

// -- Tunnels --------------------------------------------------------------------------------------------------------

struct opening {
  int32_t fd[2], thread;
  bool owned[2];  // the tunnel owns it from now on
  uint32_t policy, head_length, lifetime_ms, parked;
  uint8_t *to_client, *to_backend;
  size_t to_client_length, to_backend_length;
};

static int read_opening(napi_env env, const napi_value *args, struct opening *o) {
  return napi_get_value_int32(env, args[0], &o->fd[CLIENT]) == napi_ok &&
         napi_get_value_int32(env, args[1], &o->fd[BACKEND]) == napi_ok &&
         napi_get_value_uint32(env, args[2], &o->policy) == napi_ok &&
         napi_get_value_uint32(env, args[3], &o->lifetime_ms) == napi_ok &&
         napi_get_buffer_info(env, args[4], (void **)&o->to_client, &o->to_client_length) == napi_ok &&
         napi_get_value_uint32(env, args[5], &o->head_length) == napi_ok &&
         napi_get_buffer_info(env, args[6], (void **)&o->to_backend, &o->to_backend_length) == napi_ok &&
         napi_get_value_bool(env, args[7], &o->owned[CLIENT]) == napi_ok &&
         napi_get_value_bool(env, args[8], &o->owned[BACKEND]) == napi_ok &&
         napi_get_value_int32(env, args[9], &o->thread) == napi_ok &&
         napi_get_value_uint32(env, args[10], &o->parked) == napi_ok &&
         o->to_client_length < INT32_MAX && o->to_backend_length < INT32_MAX && o->head_length <= o->to_client_length;
}

static void close_copies(const struct opening *o, const int fd[2]) {
  for (int i = 0; i < 2; i++) {
    if (!o->owned[i] && fd[i] >= 0) close(fd[i]);
  }
}

// Duplicates the descriptors that the tunnel does not own yet: it owns the copies, and node destroys the originals.
// Returns 0 or an errno.
static int duplicate(const struct opening *o, int to[2]) {
  for (int i = 0; i < 2; i++) {
    to[i] = o->owned[i] ? o->fd[i] : fcntl(o->fd[i], F_DUPFD_CLOEXEC, 3);
    if (to[i] >= 0) continue;
    int error = errno;
    close_copies(o, to);
    return error;
  }
  return 0;
}

// open(engine, clientFd, backendFd, policy, lifetimeMs, toClient, headLength, toBackend, clientOwned, backendOwned,
// thread, tls) -> id; -errno where no descriptor is left or the engine has stopped, and then nothing has happened. It starts
// at the next wake(), on that thread (see thread_of). `tls` is the place of the client's TLS, 0 where it has none.
static napi_value js_open(napi_env env, napi_callback_info info) {
  napi_value args[12];
  struct opening o;
  struct relay *r = arguments(env, info, args, 12) ? relay_of(env, args[0]) : NULL;
  if (!r || !read_opening(env, args + 1, &o) || o.policy >= r->policy_count) {
    return fail(env,
                "open(engine, client, backend, policy, lifetimeMs, toClient, headLength, toBackend, owned, owned, thread, tls)");
  }
  if (r->stopped) return number(env, -ESHUTDOWN);
  int fd[2] = {-1, -1};
  int error = duplicate(&o, fd);
  if (error) return number(env, -error);
  struct command *c = malloc(sizeof *c + o.to_client_length + o.to_backend_length);
  uint64_t id;
  if (!c || !take_id(r, r->slots, thread_of(r, o.thread), &id)) {
    close_copies(&o, fd);
    free(c);
    return number(env, -ENOMEM);
  }
  struct activity *activity = new_activity(r, id);
  if (!activity) {
    release_id(r->slots, id);
    close_copies(&o, fd);
    free(c);
    return number(env, -ENOMEM);
  }
  memset(c, 0, sizeof *c);
  c->activity = activity;
  c->kind = DO_OPEN;
  c->id = id;
  c->fd[CLIENT] = fd[CLIENT];
  c->fd[BACKEND] = fd[BACKEND];
  c->tls = unpark_tls(r, o.parked);
  c->shared[CLIENT] = !o.owned[CLIENT];
  c->shared[BACKEND] = !o.owned[BACKEND];
  c->policy = r->policies[o.policy];
  c->lifetime_ms = o.lifetime_ms;
  c->head_length = o.head_length;
  c->to_client = (uint32_t)o.to_client_length;
  c->to_backend = (uint32_t)o.to_backend_length;
  if (o.to_client_length) memcpy(c->early, o.to_client, o.to_client_length);
  if (o.to_backend_length) memcpy(c->early + o.to_client_length, o.to_backend, o.to_backend_length);
  ref_loop(env, r);
  engine_post(&r->engine, c);
  return number(env, (double)id);
}

int id_of(napi_env env, napi_value value, const struct relay *r, uint64_t *id) {
  int64_t n;
  if (napi_get_value_int64(env, value, &n) != napi_ok || n < 0) return 0;
  *id = (uint64_t)n;
  return r->stopped || ID_WORKER(*id) < r->engine.count;
}

// activity(engine, id, numbers): fills in what this live tunnel has carried so far, bytes and messages by direction, and for how
// many milliseconds it has carried nothing.
static napi_value js_activity(napi_env env, napi_callback_info info) {
  napi_value args[3];
  uint64_t id;
  double *to;
  struct relay *r = arguments(env, info, args, 3) ? relay_of(env, args[0]) : NULL;
  if (!r || !id_of(env, args[1], r, &id) || ID_WORKER(id) >= WORKERS_MAX || !floats(env, args[2], ACTIVITY_FIELDS, &to))
    return fail(env, "activity(engine, id, numbers)");
  const struct activity *a = activity_of(r, id);
  if (!a) return fail(env, "activity(): there was never such a tunnel");
  to[0] = (double)__atomic_load_n(&a->bytes[CLIENT], __ATOMIC_RELAXED);
  to[1] = (double)__atomic_load_n(&a->bytes[BACKEND], __ATOMIC_RELAXED);
  to[2] = (double)__atomic_load_n(&a->messages[CLIENT], __ATOMIC_RELAXED);
  to[3] = (double)__atomic_load_n(&a->messages[BACKEND], __ATOMIC_RELAXED);
  uint64_t last = __atomic_load_n(&a->last, __ATOMIC_RELAXED);
  uint64_t now = engine_clock_ns(&r->engine) / 1000000;
  // Its thread has not begun with it yet: nothing was idle so far.
  to[4] = last && now > last ? (double)(now - last) : 0;
  return NULL;
}

// close(engine, id, code, reason, deadlineMs)
static napi_value js_close(napi_env env, napi_callback_info info) {
  napi_value args[5];
  uint64_t id;
  uint32_t code, deadline;
  char reason[124];
  size_t length;
  struct relay *r = arguments(env, info, args, 5) ? relay_of(env, args[0]) : NULL;
  if (!r || !id_of(env, args[1], r, &id) || napi_get_value_uint32(env, args[2], &code) != napi_ok ||
      napi_get_value_string_latin1(env, args[3], reason, sizeof reason, &length) != napi_ok ||
      napi_get_value_uint32(env, args[4], &deadline) != napi_ok) {
    return fail(env, "close(engine, id, code, reason, deadlineMs)");
  }
  if (r->stopped) return NULL;
  struct command *c = calloc(1, sizeof *c + length + 1);
  if (!c) return fail(env, "out of memory");
  c->kind = DO_CLOSE;
  c->id = id;
  c->code = (uint16_t)code;
  c->deadline_ms = deadline;
  memcpy(c->early, reason, length);
  engine_send(&r->engine, c);
  return NULL;
}

// cut(engine, id)
static napi_value js_cut(napi_env env, napi_callback_info info) {
  napi_value args[2];
  uint64_t id;
  struct relay *r = arguments(env, info, args, 2) ? relay_of(env, args[0]) : NULL;
  if (!r || !id_of(env, args[1], r, &id)) return fail(env, "cut(engine, id)");
  if (r->stopped) return NULL;
  struct command *c = calloc(1, sizeof *c);
  if (!c) return fail(env, "out of memory");
  c->kind = DO_CUT;
  c->id = id;
  engine_send(&r->engine, c);
  return NULL;
}

// -- Dials ----------------------------------------------------------------------------------------------------------

static int read_address(napi_env env, napi_value host, napi_value port, struct dial_request *request) {
  char text[INET6_ADDRSTRLEN];
  size_t length;
  uint32_t n;
  if (napi_get_value_string_latin1(env, host, text, sizeof text, &length) != napi_ok ||
      napi_get_value_uint32(env, port, &n) != napi_ok || n > UINT16_MAX) {
    return 0;
  }
  struct sockaddr_in *four = (struct sockaddr_in *)&request->address;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&request->address;
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)n);
    request->address_length = sizeof *four;
  } else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)n);
    request->address_length = sizeof *six;
  }
  return request->address_length > 0;
}

// The command of a dial, with space for its bytes; the caller fills in its request.
static struct command *dial_command(struct relay *r, int32_t thread, size_t length) {
  struct command *c = calloc(1, sizeof *c + sizeof(struct dial_request) + length + 1);
  if (!c || !take_id(r, r->dial_slots, thread_of(r, thread), &c->id)) {
    free(c);
    return NULL;
  }
  c->kind = DO_DIAL;
  return c;
}

static napi_value send_dial(napi_env env, struct relay *r, struct command *c) {
  double id = (double)c->id;
  ref_loop(env, r);
  engine_post(&r->engine, c);
  return number(env, id);
}

// dial(engine, address, port, text, connectMs, answerMs, maxHead) -> id; -errno where the engine has stopped or there
// is no memory. It starts at the next wake().
static napi_value js_dial(napi_env env, napi_callback_info info) {
  napi_value args[7];
  struct dial_request request = {.fd = -1};
  size_t length;
  struct relay *r = arguments(env, info, args, 7) ? relay_of(env, args[0]) : NULL;
  if (!r || !read_address(env, args[1], args[2], &request) ||
      napi_get_value_string_latin1(env, args[3], NULL, 0, &length) != napi_ok || length > INT32_MAX ||
      napi_get_value_uint32(env, args[4], &request.connect_ms) != napi_ok ||
      napi_get_value_uint32(env, args[5], &request.answer_ms) != napi_ok ||
      napi_get_value_uint32(env, args[6], &request.max_head) != napi_ok) {
    return fail(env, "dial(engine, address, port, text, connectMs, answerMs, maxHead)");
  }
  if (r->stopped) return number(env, -ESHUTDOWN);
  struct command *c = dial_command(r, -1, length);
  if (!c) return number(env, -ENOMEM);
  request.length = (uint32_t)length;
  memcpy(c->early, &request, sizeof request);
  napi_get_value_string_latin1(env, args[3], (char *)c->early + sizeof request, length + 1, &length);
  return send_dial(env, r, c);
}

// collect(engine, fd, held, answerMs, maxHead, thread) -> id, and the dial owns the descriptor; -errno, and it does
// not.
static napi_value js_collect(napi_env env, napi_callback_info info) {
  napi_value args[6];
  struct dial_request request = {.fd = -1};
  void *held;
  size_t length;
  int32_t thread;
  struct relay *r = arguments(env, info, args, 6) ? relay_of(env, args[0]) : NULL;
  if (!r || napi_get_value_int32(env, args[1], &request.fd) != napi_ok ||
      napi_get_buffer_info(env, args[2], &held, &length) != napi_ok || length > INT32_MAX ||
      napi_get_value_uint32(env, args[3], &request.answer_ms) != napi_ok ||
      napi_get_value_uint32(env, args[4], &request.max_head) != napi_ok ||
      napi_get_value_int32(env, args[5], &thread) != napi_ok) {
    return fail(env, "collect(engine, fd, held, answerMs, maxHead, thread)");
  }
  if (r->stopped) return number(env, -ESHUTDOWN);
  struct command *c = dial_command(r, thread, length);
  if (!c) return number(env, -ENOMEM);
  request.length = (uint32_t)length;
  memcpy(c->early, &request, sizeof request);
  if (length) memcpy(c->early + sizeof request, held, length);
  return send_dial(env, r, c);
}

// -- Listeners ------------------------------------------------------------------------------------------------------

static int send_to_listener(struct relay *r, enum command_kind kind, uint64_t id, struct listener *listener) {
  struct command *c = calloc(1, sizeof *c);
  if (!c) return 0;
  c->kind = kind;
  c->id = id;
  c->listener = listener;
  engine_send(&r->engine, c);
  return 1;
}

// Opens a listener on a descriptor that it owns from now on. Returns 0 or an errno.
static int open_listener(struct relay *r, struct listen_socket *l, uint32_t thread, uint32_t first_bytes_ms,
                         struct tls_contexts *contexts, uint32_t handshake_ms) {
  int taken = take_id(r, r->listener_slots, thread, &l->id);
  struct listener *listener = taken ? listener_new(l->id, l->fd, first_bytes_ms, contexts, handshake_ms) : NULL;
  if (listener && contexts) tls_contexts_hold(contexts);
  if (listener && send_to_listener(r, DO_LISTEN, l->id, listener)) return 0;
  if (taken) release_id(r->listener_slots, l->id);
  if (listener) listener_free(listener);
  else close(l->fd);
  return ENOMEM;
}

// listen(engine, fd, firstBytesMs, thread, contexts, handshakeMs) -> id of a listener by which this thread accepts from the
// socket behind this listening descriptor, which the caller still owns; or -errno. A connection without a byte is published
// after firstBytesMs. `contexts` are of tlsContexts(), or null for a listener without TLS.
static napi_value js_listen(napi_env env, napi_callback_info info) {
  napi_value args[6];
  int32_t fd, thread;
  uint32_t first_bytes_ms, handshake_ms;
  struct relay *r = arguments(env, info, args, 6) ? relay_of(env, args[0]) : NULL;
  struct tls_contexts *contexts = r ? contexts_of(env, args[4]) : NULL;
  if (!r || napi_get_value_int32(env, args[1], &fd) != napi_ok ||
      napi_get_value_uint32(env, args[2], &first_bytes_ms) != napi_ok ||
      napi_get_value_int32(env, args[3], &thread) != napi_ok ||
      napi_get_value_uint32(env, args[5], &handshake_ms) != napi_ok) {
    return fail(env, "listen(engine, fd, firstBytesMs, thread, contexts, handshakeMs)");
  }
  if (r->stopped) return number(env, -ESHUTDOWN);
  struct listen_socket *l = calloc(1, sizeof *l);
  if (!l) return number(env, -ENOMEM);
  l->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  int error = l->fd < 0 ? errno : open_listener(r, l, thread_of(r, thread), first_bytes_ms, contexts, handshake_ms);
  if (error) {
    free(l);
    return number(env, -error);
  }
  l->next = r->listen_sockets;
  r->listen_sockets = l;
  ref_loop(env, r);
  return number(env, (double)l->id);
}

// Where the listener's socket stands in the list; null: there is none of this id.
static struct listen_socket **find_socket(struct relay *r, uint64_t id) {
  struct listen_socket **at = &r->listen_sockets;
  while (*at && (*at)->id != id) at = &(*at)->next;
  return *at ? at : NULL;
}

// Its thread closes the descriptor, later. Returns 0 where there is no memory.
static int close_socket(struct relay *r, struct listen_socket **at) {
  struct listen_socket *l = *at;
  if (!send_to_listener(r, DO_UNLISTEN, l->id, NULL)) return 0;
  *at = l->next;
  free(l);
  return 1;
}

// unlisten(engine, listener, everywhere): this process accepts no connection any more, and has accepted its last one when the
// listener's close is published, behind all its connections. With `everywhere` nobody accepts from its socket any more, from
// when this returns; else other processes go on doing so.
static napi_value js_unlisten(napi_env env, napi_callback_info info) {
  napi_value args[3];
  uint64_t id;
  bool everywhere;
  struct relay *r = arguments(env, info, args, 3) ? relay_of(env, args[0]) : NULL;
  if (!r || !id_of(env, args[1], r, &id) || napi_get_value_bool(env, args[2], &everywhere) != napi_ok)
    return fail(env, "unlisten(engine, listener, everywhere)");
  struct listen_socket **at = r->stopped ? NULL : find_socket(r, id);
  if (!at) return NULL;
  if (everywhere) shutdown((*at)->fd, SHUT_RD);
  return close_socket(r, at) ? NULL : fail(env, "out of memory");
}

// descriptorOf(engine, listener) -> the descriptor of its socket, which remains the listener's; -1: it has closed.
static napi_value js_descriptor_of(napi_env env, napi_callback_info info) {
  napi_value args[2];
  uint64_t id;
  struct relay *r = arguments(env, info, args, 2) ? relay_of(env, args[0]) : NULL;
  if (!r || !id_of(env, args[1], r, &id)) return fail(env, "descriptorOf(engine, listener)");
  struct listen_socket **at = r->stopped ? NULL : find_socket(r, id);
  return number(env, at ? (*at)->fd : -1);
}

// watch(engine, fd, id, thread) -> 0 or -errno: this thread publishes one event with this id when the peer of a
// connection ends its stream or resets it. Whoever gives the descriptor away ignores the id from then on; nothing has
// to be undone for that, see watch.h.
static napi_value js_watch(napi_env env, napi_callback_info info) {
  napi_value args[4];
  int32_t fd, thread;
  int64_t id;
  struct relay *r = arguments(env, info, args, 4) ? relay_of(env, args[0]) : NULL;
  if (!r || napi_get_value_int32(env, args[1], &fd) != napi_ok || napi_get_value_int64(env, args[2], &id) != napi_ok || id < 0 ||
      napi_get_value_int32(env, args[3], &thread) != napi_ok) {
    return fail(env, "watch(engine, fd, id, thread)");
  }
  if (r->stopped) return number(env, -ESHUTDOWN);
  return number(env, -engine_watch(&r->engine, thread_of(r, thread), fd, (uint64_t)id));
}

// wake(engine): the threads start on the commands that were posted.
static napi_value js_wake(napi_env env, napi_callback_info info) {
  napi_value args[1];
  struct relay *r = arguments(env, info, args, 1) ? relay_of(env, args[0]) : NULL;
  if (!r) return fail(env, "wake(engine)");
  if (!r->stopped) engine_wake(&r->engine);
  return NULL;
}

// advanceTestClock(engine, ms): for tests; takes the threads' clock over and moves it on.
static napi_value js_advance_test_clock(napi_env env, napi_callback_info info) {
  napi_value args[2];
  uint32_t ms;
  struct relay *r = arguments(env, info, args, 2) ? relay_of(env, args[0]) : NULL;
  if (!r || napi_get_value_uint32(env, args[1], &ms) != napi_ok) return fail(env, "advanceTestClock(engine, ms)");
  if (!r->stopped) engine_advance_test_clock(&r->engine, ms);
  return NULL;
}

// cancel(engine, id): its result is published all the same.
static napi_value js_cancel(napi_env env, napi_callback_info info) {
  napi_value args[2];
  uint64_t id;
  struct relay *r = arguments(env, info, args, 2) ? relay_of(env, args[0]) : NULL;
  if (!r || !id_of(env, args[1], r, &id)) return fail(env, "cancel(engine, id)");
  if (r->stopped) return NULL;
  struct command *c = calloc(1, sizeof *c);
  if (!c) return fail(env, "out of memory");
  c->kind = DO_CANCEL;
  c->id = id;
  engine_send(&r->engine, c);
  return NULL;
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback call;
  } functions[] = {{"start", js_start}, {"stop", js_stop}, {"policy", js_policy}, {"counters", js_counters},
                   {"activity", js_activity}, {"open", js_open}, {"close", js_close}, {"cut", js_cut}, {"dial", js_dial}, {"collect", js_collect},
                   {"cancel", js_cancel}, {"listen", js_listen}, {"unlisten", js_unlisten},
                   {"descriptorOf", js_descriptor_of}, {"watch", js_watch}, {"wake", js_wake},
                   {"tlsLoad", js_tls_load}, {"tlsContexts", js_tls_contexts}, {"tlsAdd", js_tls_add}, {"tlsUse", js_tls_use},
                   {"tlsDrop", js_tls_drop}, {"pair", js_pair}, {"localAddress", js_local_address}, {"advanceTestClock", js_advance_test_clock}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &function) != napi_ok ||
        napi_set_named_property(env, exports, functions[i].name, function) != napi_ok) {
      return NULL;
    }
  }
  return export_fd_passing(env, exports) ? exports : NULL;
}
