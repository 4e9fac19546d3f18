// Forwards a tunnel's bytes: reads, follows the frames, forwards or discards; enforces limits and rates, runs the
// timers. How a tunnel closes is in ending.c, pings are in ping.c.
#include "tunnel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "worker.h"

#define SECOND_NS 1000000000ull
// A frame of at least SPLICE_FRAME_MIN goes through a pipe while at least SPLICE_MIN of it is still to come.
#define SPLICE_FRAME_MIN (32 * 1024)
#define SPLICE_MIN (8 * 1024)

// -- Forwarding -----------------------------------------------------------------------------------------------------

void tunnel_forward(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n) {
  struct direction *d = &t->direction[from];
  struct endpoint *to = &t->endpoint[!from];
  if (n == 0) return;
  activity_touch(t->activity, w->now);
  if (d->mode != FORWARDING) {
    t->discarded += n;
    return;
  }
  counter_add(&t->activity->bytes[from], n);
  counter_add(&t->counters->bytes[from], n);
  if (conn_send(&to->conn, p, n) < 0) tunnel_write_failed(w, t, !from);
}

void tunnel_send(struct worker *w, struct tunnel *t, int to, const uint8_t *p, size_t n) {
  struct endpoint *e = &t->endpoint[to];
  if (e->broken || e->conn.fd < 0) return;
  if (conn_send(&e->conn, p, n) < 0) tunnel_write_failed(w, t, to);
}

// -- Limits ---------------------------------------------------------------------------------------------------------

// Takes `cost` ns from a bucket that holds a second; returns whether it was there. With `debt` (a direction that
// pauses) it is taken anyway.
static int spend(uint64_t *full, uint64_t now, uint64_t cost, int debt) {
  uint64_t next = (*full > now ? *full : now) + cost;
  if (next - now > SECOND_NS && !debt) return 0;
  *full = next;
  return next - now <= SECOND_NS;
}

static void pause_until(struct worker *w, struct tunnel *t, int from, uint64_t full) {
  t->direction[from].paused = 1;
  tunnel_schedule(w, t, (full - SECOND_NS) / 1000000 + 1);
}

static void resume(struct worker *w, struct tunnel *t, int from) {
  struct direction *d = &t->direction[from];
  if (!d->paused) return;
  uint64_t full = d->message_full > d->byte_full ? d->message_full : d->byte_full;
  if (full > w->now_ns + SECOND_NS) tunnel_schedule(w, t, (full - SECOND_NS) / 1000000 + 1);
  else d->paused = 0;
}

// Whether a frame counts as a message in `messages_per_second`. A frame that starts a message does, and so does what
// costs as much: a ping, a pong that no ping of ours asked for, and an empty fragment that ends nothing.
static int counts(const struct cursor *c) {
  return c->starts || cursor_is_control(c) || (!c->length && !c->fin);
}

// A frame's header has been read and nothing of the frame forwarded. Returns which limit ends the tunnel here, or zero.
static enum reason over_limit(struct worker *w, struct tunnel *t, int from) {
  struct direction *d = &t->direction[from];
  const struct limits *l = &t->policy->limits[from];
  if (d->cursor.message > l->max_message) return REASON_MESSAGE;
  if (l->message_ns && counts(&d->cursor) && !t->ending && !spend(&d->message_full, w->now_ns, l->message_ns, l->pause)) {
    if (!l->pause) return REASON_MESSAGE_RATE;
    pause_until(w, t, from, d->message_full);
  }
  return 0;
}

// Closes the tunnel for a broken limit at this boundary: nothing of the frame whose header was just read is forwarded.
static void close_at_header(struct worker *w, struct tunnel *t, int from, uint16_t code, enum reason why) {
  tunnel_close_for_violation(w, t, from, code, why);
  tunnel_inject_here(w, t, !from);
  if (t->direction[from].mode == FORWARDING) t->direction[from].mode = DISCARDING;
}

// -- Following frames -----------------------------------------------------------------------------------------------

// A frame's header was read; the n bytes before it end at a boundary. Returns whether the tunnel ends here; those bytes
// have been forwarded then.
static int enforce_message_limits(struct worker *w, struct tunnel *t, int from, const uint8_t *before, size_t n) {
  enum reason why = t->policy->limits[from].any ? over_limit(w, t, from) : 0;
  if (!why) return 0;
  tunnel_forward(w, t, from, before, n);
  close_at_header(w, t, from, why == REASON_MESSAGE ? 1009 : 1008, why);
  return 1;
}

// A whole control frame was read. Returns whether it is not forwarded; the bytes before it have been forwarded then.
static int consume_control(struct worker *w, struct tunnel *t, int from, const uint8_t *before, const uint8_t *frame,
                           size_t size) {
  struct direction *d = &t->direction[from];
  struct cursor *c = &d->cursor;
  size_t n = (size_t)(frame - before);
  if (c->opcode != OP_CLOSE) {
    int ours = d->mode == FORWARDING && (c->opcode == OP_PING || c->opcode == OP_PONG) &&
               tunnel_ping_or_pong(t, from, frame + (size - c->length));
    if (ours) tunnel_forward(w, t, from, before, n);
    return ours;
  }
  tunnel_set_close_cause(t, from == CLIENT ? BY_CLIENT : BY_BACKEND, REASON_CLOSED);
  tunnel_close_seen(t, c->code);
  t->endpoint[from].sent_close = 1;
  int relayed = d->mode == FORWARDING, answer = relayed && t->endpoint[from].injected;
  if (answer) {
    // The answer to our own Close is consumed. Its peer gets its Close here, since no message goes on after this.
    tunnel_forward(w, t, from, before, n);
    tunnel_inject_here(w, t, !from);
    if (d->mode == FORWARDING) d->mode = DISCARDING;
    t->discarded += size;
  } else if (relayed) {
    t->endpoint[!from].got_close = 1;
  }
  return answer;
}

static void message_ended(struct tunnel *t, int from) {
  struct direction *d = &t->direction[from];
  if (d->mode != FORWARDING) return;
  counter_add(&t->activity->messages[from], 1);
  counter_add(d->cursor.type == OP_TEXT ? &t->counters->text[from] : &t->counters->binary[from], 1);
}

// Whether a Close or ping of ours waits for a boundary toward the receiver of this direction.
static int waits_for_boundary(const struct tunnel *t, int from) {
  return (t->ending && !t->endpoint[!from].got_close) || t->endpoint[!from].ping_due;
}

static void at_boundary(struct worker *w, struct tunnel *t, int to) {
  if (t->ending) tunnel_try_inject(w, t, to);
  else if (t->endpoint[to].ping_due) tunnel_ping_here(w, t, to);
}

static void direction_lost(struct worker *w, struct tunnel *t, int from) {
  struct direction *d = &t->direction[from];
  counter_add(&t->counters->lost[from], 1);
  if (d->mode == FORWARDING && t->policy->limits[from].any) close_at_header(w, t, from, 1002, REASON_LOST);
  d->opaque = 1;
  if (t->ending) tunnel_try_inject(w, t, !from);
}

// Whether a header, or for a control frame the header and its payload, is incomplete.
static int is_partial(const uint8_t *p, size_t n) {
  size_t form = n < 2 ? 0 : p[1] & 127, key = n < 2 ? 0 : (p[1] >> 7) * 4u;
  size_t wide = form == 126 ? 2 : form == 127 ? 8 : 0;
  return n < 2 + wide + key || (p[0] & 8 && form < 126 && p[0] & 128 && n < 2 + key + form);
}

// Holds n bytes until the rest of their header arrives; returns 0 where there is no memory.
static int hold(struct direction *d, const uint8_t *p, size_t n) {
  d->hold = malloc(HOLD_MAX);
  if (!d->hold) return 0;
  memcpy(d->hold, p, n);
  d->held = (uint8_t)n;
  return 1;
}

void tunnel_input(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n) {
  struct direction *d = &t->direction[from];
  struct cursor *c = &d->cursor;
  const uint8_t *done = p, *stop = p + n;  // all before `done` has been forwarded, consumed or dropped
  while (p < stop && !d->opaque) {
    if (!c->left) {
      if (is_partial(p, (size_t)(stop - p))) {
        if (!hold(d, p, (size_t)(stop - p))) {
          tunnel_set_close_cause(t, BY_GATEWAY, REASON_RESET);
          tunnel_cut(t);
        }
        activity_touch(t->activity, w->now);
        stop = p;
        break;
      }
      size_t head = cursor_head(c, p, (size_t)(stop - p));
      if (c->lost) {
        tunnel_forward(w, t, from, done, (size_t)(p - done));
        done = p;
        direction_lost(w, t, from);
        break;
      }
      if (cursor_is_control(c)) {
        const uint8_t *frame = p;
        p += head;
        p += cursor_body(c, p, (size_t)(stop - p));
        if (consume_control(w, t, from, done, frame, (size_t)(p - frame))) {
          done = p;
        } else if (c->opcode != OP_CLOSE && d->mode == FORWARDING &&
                   enforce_message_limits(w, t, from, done, (size_t)(frame - done))) {
          done = frame;
        }
      } else {
        d->use_splice = c->length >= SPLICE_FRAME_MIN;
        if (d->mode == FORWARDING && enforce_message_limits(w, t, from, done, (size_t)(p - done))) done = p;
        p += head;
      }
    }
    if (!cursor_is_control(c)) {
      p += cursor_body(c, p, (size_t)(stop - p));
      if (c->left) break;
      if (c->fin) message_ended(t, from);
      cursor_end(c);
    }
    if (d->mode == FORWARDING && waits_for_boundary(t, from)) {
      tunnel_forward(w, t, from, done, (size_t)(p - done));
      done = p;
      at_boundary(w, t, !from);
    }
  }
  tunnel_forward(w, t, from, done, (size_t)(stop - done));
}

// Takes n bytes from the rate; past it the direction pauses, or the tunnel ends.
static void spend_bytes(struct worker *w, struct tunnel *t, int from, size_t n) {
  struct direction *d = &t->direction[from];
  const struct limits *l = &t->policy->limits[from];
  if (l->byte_ns <= 0 || d->mode != FORWARDING || d->opaque || t->ending) return;
  if (spend(&d->byte_full, w->now_ns, (uint64_t)((double)n * l->byte_ns), l->pause)) return;
  if (l->pause) pause_until(w, t, from, d->byte_full);
  else tunnel_close_for_violation(w, t, from, 1008, REASON_BYTE_RATE);
}

void tunnel_input_early(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n) {
  if (!n) return;
  spend_bytes(w, t, from, n);
  tunnel_input(w, t, from, p, n);
}

// How much to read at once: less where memory is short, and where a rate pauses, so that one read cannot run far past
// it.
static size_t read_size(const struct worker *w, const struct tunnel *t, int from) {
  const struct limits *l = &t->policy->limits[from];
  size_t max = w->total_pending > PENDING_HIGH ? SCRATCH_LOW : SCRATCH;
  if (!l->pause || t->direction[from].mode != FORWARDING) return max;
  if (l->message_ns) max = 4096;
  if (l->byte_ns > 0) {
    uint64_t full = t->direction[from].byte_full, used = full > w->now_ns ? full - w->now_ns : 0;
    double left = used < SECOND_NS ? (double)(SECOND_NS - used) / l->byte_ns : 0;
    if (left < (double)max) max = left < 512 ? 512 : (size_t)left;
  }
  return max;
}

// Handles the result of a read. Returns whether there are bytes.
static int handle_read(struct worker *w, struct tunnel *t, int from, ssize_t got) {
  struct endpoint *e = &t->endpoint[from];
  if (got > 0) {
    e->last_read = w->now;
    e->ping_unanswered = 0;
    spend_bytes(w, t, from, (size_t)got);
    return 1;
  }
  if (got == CONN_AGAIN) {
    e->readable = 0;
  } else if (got == CONN_RESET || e->broken) {
    e->broken = 1;
    tunnel_endpoint_closed(w, t, from);
  } else {
    tunnel_eof(w, t, from);
  }
  return 0;
}

// -- Splicing -------------------------------------------------------------------------------------------------------
// The payload of a large frame goes through a pipe, so that it is never copied here. The header behind such a frame is
// peeked in the socket; where it begins another large frame, it goes through the pipe too.

// Whether the next bytes may go through a pipe.
static int can_splice(const struct worker *w, const struct tunnel *t, int from) {
  const struct direction *d = &t->direction[from];
  const struct cursor *c = &d->cursor;
  const struct limits *l = &t->policy->limits[from];
  if (!d->use_splice || d->mode != FORWARDING || t->endpoint[from].no_splice) return 0;
  if (l->pause || w->total_pending > PENDING_HIGH) return 0;
  if (d->opaque) return 1;
  if (c->left) return c->left >= SPLICE_MIN && !cursor_is_control(c);
  return !d->held && !l->message_ns;
}

// Peeks at the header of the next frame. Returns as conn_peek(); 1 only where `c` was advanced into a large data frame
// that no limit rejects. Its `left` then counts the bytes for the pipe, the header too. Otherwise returns
// CONN_NO_SPLICE.
static ssize_t peek_header(struct tunnel *t, int from, struct cursor *c) {
  uint8_t p[CURSOR_HEAD_MAX];
  ssize_t n = conn_peek(&t->endpoint[from].conn, p, sizeof p);
  if (n <= 0) return n;
  size_t head = is_partial(p, (size_t)n) || p[0] & 8 ? 0 : cursor_head(c, p, (size_t)n);
  const struct limits *l = &t->policy->limits[from];
  if (!head || c->length < SPLICE_FRAME_MIN || (l->any && c->message > l->max_message)) return CONN_NO_SPLICE;
  c->left += head;
  return 1;
}

// Forwards n bytes of this direction from the pipe; `at` is its cursor before them.
static void forward_spliced(struct worker *w, struct tunnel *t, int from, const struct cursor *at, struct pipe *pipe,
                            size_t n) {
  struct direction *d = &t->direction[from];
  struct cursor *c = &d->cursor;
  int ends_frame = 0;
  if (!d->opaque) {
    *c = *at;
    c->left -= n;
    ends_frame = !c->left;
    if (ends_frame && c->fin) message_ended(t, from);
    if (ends_frame) cursor_end(c);
  }
  activity_touch(t->activity, w->now);
  if (d->mode != FORWARDING) {
    t->discarded += n;
    pipe_drop(pipe);
    return;
  }
  counter_add(&t->activity->bytes[from], n);
  counter_add(&t->counters->bytes[from], n);
  if (conn_send_pipe(&t->endpoint[!from].conn, pipe, n) < 0) tunnel_write_failed(w, t, !from);
  if (ends_frame && d->mode == FORWARDING && waits_for_boundary(t, from)) at_boundary(w, t, !from);
}

// Reads through a pipe. Returns 0 where an ordinary read is needed; nothing has happened then.
static int splice_read(struct worker *w, struct tunnel *t, int from) {
  struct direction *d = &t->direction[from];
  struct cursor c = d->cursor;
  struct pipe *pipe = pipe_take(&w->pipes);
  if (!pipe) return 0;
  ssize_t got = d->opaque || c.left ? 1 : peek_header(t, from, &c);
  if (got > 0) {
    size_t max = d->opaque || c.left > PIPE_READ_MAX ? PIPE_READ_MAX : (size_t)c.left;
    got = conn_read_pipe(&t->endpoint[from].conn, pipe, max);
    if (got == CONN_NO_SPLICE) t->endpoint[from].no_splice = 1;
  }
  if (got <= 0) pipe_give(pipe);
  if (got == CONN_NO_SPLICE) return 0;
  // A splice also stops where its pipe is full, so the endpoint stays readable.
  if (!handle_read(w, t, from, got)) return 1;
  if (d->opaque) d->use_splice = got >= SPLICE_MIN;
  forward_spliced(w, t, from, &c, pipe, (size_t)got);
  return 1;
}

// -- Reading --------------------------------------------------------------------------------------------------------

static void read_endpoint(struct worker *w, struct tunnel *t, int from) {
  struct direction *d = &t->direction[from];
  struct endpoint *e = &t->endpoint[from];
  if (can_splice(w, t, from) && splice_read(w, t, from)) return;
  uint8_t *scratch = w->scratch + SCRATCH_HEADROOM;
  size_t max = read_size(w, t, from);
  // Up to the next header, so that it can be peeked in the socket.
  if (d->use_splice && !e->no_splice && d->cursor.left && d->cursor.left < max && !d->opaque) max = (size_t)d->cursor.left;
  ssize_t got = conn_read(&e->conn, scratch, max);
  // A short read has taken all there is: no second call is needed to find that out.
  if (got < (ssize_t)max && !e->rdhup && !conn_has_more(&e->conn)) e->readable = 0;
  if (!handle_read(w, t, from, got)) return;
  if (d->opaque) d->use_splice = got >= SPLICE_FRAME_MIN;
  size_t held = d->held;
  uint8_t *p = scratch - held;
  if (held) memcpy(p, d->hold, held);
  direction_drop_held(d);
  tunnel_input(w, t, from, p, held + (size_t)got);
}

// -- Events ---------------------------------------------------------------------------------------------------------

static void flush_endpoint(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  uint32_t before = conn_pending(&e->conn);
  if (conn_flush(&e->conn) < 0) { tunnel_write_failed(w, t, to); return; }
  uint32_t left = conn_pending(&e->conn);
  if (left != before) activity_touch(t->activity, w->now);
  if (left) return;
  if (e->ping_queued) {
    e->ping_queued = 0;
    e->ping_sent_at = w->now;
    if (e->ping_unanswered) tunnel_schedule(w, t, w->now + t->policy->ping_timeout_ms);
  }
  if (e->fin_due && !e->fin_out) tunnel_fin_flushed(w, t, to);
}

// Whether this endpoint should be read now: for forwarding only while its receiver has taken everything, for discarding
// always.
static int should_read(const struct tunnel *t, int from) {
  const struct direction *d = &t->direction[from];
  if (t->endpoint[from].conn.fd < 0 || d->mode == CLOSED) return 0;
  return d->mode == DISCARDING || (!conn_pending(&t->endpoint[!from].conn) && !d->paused);
}

// Also an endpoint that hung up is not read while it must not be (its receiver may be full): that waits.
static void run_endpoint(struct worker *w, struct tunnel *t, int from) {
  struct endpoint *e = &t->endpoint[from];
  if (e->readable && should_read(t, from)) read_endpoint(w, t, from);
  if (e->hup && e->conn.fd >= 0 && t->direction[from].mode == CLOSED) tunnel_endpoint_closed(w, t, from);
}

void tunnel_event(struct worker *w, struct tunnel *t, int from, uint32_t events) {
  struct endpoint *e = &t->endpoint[from];
  if (e->conn.fd < 0) return;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) e->readable = 1;
  // A read of TLS may have waited for a write.
  if (events & EPOLLOUT && e->conn.tls) e->readable = 1;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    e->rdhup = 1;
    if (events & (EPOLLHUP | EPOLLERR)) e->hup = 1;
  }
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) && conn_pending(&e->conn)) flush_endpoint(w, t, from);
  run_endpoint(w, t, from);
  tunnel_update(w, t);
}

void tunnel_run(struct worker *w, struct tunnel *t) {
  run_endpoint(w, t, CLIENT);
  run_endpoint(w, t, BACKEND);
  tunnel_update(w, t);
}

void tunnel_update(struct worker *w, struct tunnel *t) {
  if (t->ending) tunnel_update_closing(w, t);
  for (int i = 0; i < 2; i++) {
    struct endpoint *e = &t->endpoint[i];
    if (e->conn.fd >= 0 && e->fin_in && e->fin_out) tunnel_endpoint_closed(w, t, i);
  }
  if (t->over || (t->endpoint[CLIENT].conn.fd < 0 && t->endpoint[BACKEND].conn.fd < 0)) {
    worker_end(w, t);
    return;
  }
  for (int i = 0; i < 2; i++) {
    struct endpoint *e = &t->endpoint[i];
    if (e->conn.fd < 0) continue;
    int reads = should_read(t, i);
    if (e->not_read && reads && e->ping_unanswered && !e->ping_queued) {  // the ping timeout runs from here on
      e->ping_sent_at = w->now;
      tunnel_schedule(w, t, w->now + t->policy->ping_timeout_ms);
    }
    e->not_read = !reads;
    if (reads && e->readable) worker_make_ready(w, t);
    if (e->conn.watched) continue;
    // A backend has nearly always been registered here before, and a client with TLS; nearly every other client sent its
    // handshake at once and was not.
    int known = (i == BACKEND || e->conn.tls) && !e->conn.shared;
    if (conn_watch(&e->conn, w->ep, t->id << 1 | (unsigned)i, known) == 0) continue;
    tunnel_cut(t);  // the kernel has no memory to watch it: no event would ever come
    worker_end(w, t);
    return;
  }
}

void tunnel_schedule(struct worker *w, struct tunnel *t, uint64_t at) {
  if (!t->timer.pprev || at < t->timer.at) wheel_set(&w->wheel, &t->timer, at);
}

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

// The timeouts of a tunnel that is not closing; returns when to check again.
static uint64_t check_timeouts(struct worker *w, struct tunnel *t) {
  uint64_t silence = t->policy->idle_ms;
  if (t->half_closed && silence > HALF_CLOSED_MS) silence = HALF_CLOSED_MS;
  uint64_t idle_at = t->activity->last + silence;
  if (w->now >= idle_at || w->now >= t->expires_at) {
    tunnel_close(w, t, 1001, NULL, w->now >= idle_at ? REASON_IDLE : REASON_LIFETIME);
    return WHEEL_NEVER;
  }
  uint64_t next = sooner(idle_at, t->expires_at);
  next = sooner(next, tunnel_ping_timer(w, t, CLIENT));
  return t->ending ? WHEEL_NEVER : sooner(next, tunnel_ping_timer(w, t, BACKEND));
}

void tunnel_timer(struct worker *w, struct tunnel *t) {
  uint64_t next = WHEEL_NEVER;
  resume(w, t, CLIENT);
  resume(w, t, BACKEND);
  if (!t->ending) next = check_timeouts(w, t);
  next = sooner(next, tunnel_close_timers(w, t));
  if (next != WHEEL_NEVER) tunnel_schedule(w, t, next > w->now ? next : w->now + 1);
  tunnel_update(w, t);
}
