// Carries a tunnel's bytes: reads, follows, passes on or discards; keeps limits, rates and timers. How a tunnel ends
// stands in ending.c, pings in ping.c.
#include "tunnel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "worker.h"

#define SECOND_NS 1000000000ull
// From this length on a frame is moved through a pipe, as long as this much of it is still to come.
#define LARGE (32 * 1024)
#define MOVE_LEAST (8 * 1024)

// -- Passing bytes on -----------------------------------------------------------------------------------------------

void tunnel_pass(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n) {
  struct way *way = &t->way[from];
  struct end *to = &t->end[!from];
  if (n == 0) return;
  t->last = w->now;
  if (way->mode != RELAYS) {
    t->discarded += n;
    return;
  }
  way->bytes += n;
  tally_add(&t->tally->bytes[from], n);
  if (side_put(&to->side, p, n) < 0) tunnel_broken_to(w, t, !from);
}

void tunnel_send(struct worker *w, struct tunnel *t, int to, const uint8_t *p, size_t n) {
  struct end *end = &t->end[to];
  if (end->broken || end->side.fd < 0) return;
  if (side_put(&end->side, p, n) < 0) tunnel_broken_to(w, t, to);
}

// -- Limits ---------------------------------------------------------------------------------------------------------

// Takes `cost` ns from a bucket that holds a second; returns whether it was there. A paused way may go into debt.
static int spend(uint64_t *full, uint64_t now, uint64_t cost, int debt) {
  uint64_t next = (*full > now ? *full : now) + cost;
  if (next - now > SECOND_NS && !debt) return 0;
  *full = next;
  return next - now <= SECOND_NS;
}

static void pause_for(struct worker *w, struct tunnel *t, int from, uint64_t full) {
  t->way[from].paused = 1;
  tunnel_wake_by(w, t, (full - SECOND_NS) / 1000000 + 1);
}

static void unpause(struct worker *w, struct tunnel *t, int from) {
  struct way *way = &t->way[from];
  if (!way->paused) return;
  uint64_t full = way->message_full > way->byte_full ? way->message_full : way->byte_full;
  if (full > w->now_ns + SECOND_NS) tunnel_wake_by(w, t, (full - SECOND_NS) / 1000000 + 1);
  else way->paused = 0;
}

// Whether a frame counts as a message in `messages_per_second`: one that starts a message, and what costs as much and is
// none: a ping, a pong that no ping of ours asked for, and an empty fragment that ends nothing.
static int counts(const struct cursor *c) {
  return c->starts || cursor_is_control(c) || (!c->length && !c->fin);
}

// A frame's header has been read and nothing of it passed on. Returns which limit ends the tunnel here, or zero.
static enum reason over_limit(struct worker *w, struct tunnel *t, int from) {
  struct way *way = &t->way[from];
  const struct limits *l = &t->policy->limits[from];
  if (way->cursor.message > l->max_message) return WHY_MESSAGE;
  if (l->message_ns && counts(&way->cursor) && !t->ending && !spend(&way->message_full, w->now_ns, l->message_ns, l->pause)) {
    if (!l->pause) return WHY_MESSAGE_RATE;
    pause_for(w, t, from, way->message_full);
  }
  return 0;
}

// What a limit ends here, between two frames: nothing of the one whose header was just read goes on.
static void break_off(struct worker *w, struct tunnel *t, int from, uint16_t code, enum reason why) {
  tunnel_offence(w, t, from, code, why);
  tunnel_inject_here(w, t, !from);
  if (t->way[from].mode == RELAYS) t->way[from].mode = DISCARDS;
}

// -- Carrying -------------------------------------------------------------------------------------------------------

// A frame's header was read; what stands before it ends at a boundary. Returns whether the tunnel ends here, and those n
// bytes had to be passed on before that.
static int refuses(struct worker *w, struct tunnel *t, int from, const uint8_t *before, size_t n) {
  enum reason why = t->policy->limits[from].any ? over_limit(w, t, from) : 0;
  if (!why) return 0;
  tunnel_pass(w, t, from, before, n);
  break_off(w, t, from, why == WHY_MESSAGE ? 1009 : 1008, why);
  return 1;
}

// A whole control frame was read. Returns whether it goes no further; what stands before it was then passed on.
static int keeps(struct worker *w, struct tunnel *t, int from, const uint8_t *before, const uint8_t *frame, size_t size) {
  struct way *way = &t->way[from];
  struct cursor *c = &way->cursor;
  size_t n = (size_t)(frame - before);
  if (c->opcode != OP_CLOSE) {
    int ours = way->mode == RELAYS && (c->opcode == OP_PING || c->opcode == OP_PONG) &&
               tunnel_ping_or_pong(t, from, frame + (size - c->length));
    if (ours) tunnel_pass(w, t, from, before, n);
    return ours;
  }
  tunnel_blame(t, from == CLIENT ? BY_CLIENT : BY_BACKEND, WHY_CLOSED);
  tunnel_close_seen(t, c->code);
  t->end[from].sent_close = 1;
  int relayed = way->mode == RELAYS, answer = relayed && t->end[from].injected;
  if (answer) {
    // The answer to our own Close is consumed; the other side gets its Close here, since no message goes on after this.
    tunnel_pass(w, t, from, before, n);
    tunnel_inject_here(w, t, !from);
    if (way->mode == RELAYS) way->mode = DISCARDS;
    t->discarded += size;
  } else if (relayed) {
    t->end[!from].got_close = 1;
  }
  return answer;
}

static void message_ended(struct tunnel *t, int from) {
  struct way *way = &t->way[from];
  if (way->mode != RELAYS) return;
  way->messages++;
  tally_add(way->cursor.type == OP_TEXT ? &t->tally->text[from] : &t->tally->binary[from], 1);
}

// Whether something of ours waits for a boundary toward the receiver of this way.
static int waits_for_boundary(const struct tunnel *t, int from) {
  return (t->ending && !t->end[!from].got_close) || t->end[!from].ping_due;
}

static void at_boundary(struct worker *w, struct tunnel *t, int to) {
  if (t->ending) tunnel_try_inject(w, t, to);
  else if (t->end[to].ping_due) tunnel_ping_here(w, t, to);
}

static void lose(struct worker *w, struct tunnel *t, int from) {
  struct way *way = &t->way[from];
  tally_add(&t->tally->lost[from], 1);
  if (way->mode == RELAYS && t->policy->limits[from].any) break_off(w, t, from, 1002, WHY_LOST);
  way->opaque = 1;
  if (t->ending) tunnel_try_inject(w, t, !from);
}

// Whether a header, or with a control frame its payload too, is not there whole.
static int in_pieces(const uint8_t *p, size_t n) {
  size_t form = n < 2 ? 0 : p[1] & 127, key = n < 2 ? 0 : (p[1] >> 7) * 4u;
  size_t wide = form == 126 ? 2 : form == 127 ? 8 : 0;
  return n < 2 + wide + key || (p[0] & 8 && form < 126 && p[0] & 128 && n < 2 + key + form);
}

// Keeps n bytes until the rest of their header has come; 0 where there is no memory.
static int hold(struct way *way, const uint8_t *p, size_t n) {
  way->hold = malloc(HOLD_MAX);
  if (!way->hold) return 0;
  memcpy(way->hold, p, n);
  way->held = (uint8_t)n;
  return 1;
}

void tunnel_carry(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n) {
  struct way *way = &t->way[from];
  struct cursor *c = &way->cursor;
  const uint8_t *done = p, *stop = p + n;  // up to `done` everything has been passed on, swallowed or dropped
  while (p < stop && !way->opaque) {
    if (!c->left) {
      if (in_pieces(p, (size_t)(stop - p))) {
        if (!hold(way, p, (size_t)(stop - p))) {
          tunnel_blame(t, BY_GATEWAY, WHY_RESET);
          tunnel_cut(t);
        }
        t->last = w->now;
        stop = p;
        break;
      }
      size_t head = cursor_head(c, p, (size_t)(stop - p));
      if (c->lost) {
        tunnel_pass(w, t, from, done, (size_t)(p - done));
        done = p;
        lose(w, t, from);
        break;
      }
      if (cursor_is_control(c)) {
        const uint8_t *frame = p;
        p += head;
        p += cursor_body(c, p, (size_t)(stop - p));
        if (keeps(w, t, from, done, frame, (size_t)(p - frame))) done = p;
        else if (c->opcode != OP_CLOSE && way->mode == RELAYS && refuses(w, t, from, done, (size_t)(frame - done))) done = frame;
      } else {
        way->large = c->length >= LARGE;
        if (way->mode == RELAYS && refuses(w, t, from, done, (size_t)(p - done))) done = p;
        p += head;
      }
    }
    if (!cursor_is_control(c)) {
      p += cursor_body(c, p, (size_t)(stop - p));
      if (c->left) break;
      if (c->fin) message_ended(t, from);
      cursor_end(c);
    }
    if (way->mode == RELAYS && waits_for_boundary(t, from)) {
      tunnel_pass(w, t, from, done, (size_t)(p - done));
      done = p;
      at_boundary(w, t, !from);
    }
  }
  tunnel_pass(w, t, from, done, (size_t)(stop - done));
}

// Takes what a rate allows; where it is passed the way pauses, or the tunnel ends.
static void spend_bytes(struct worker *w, struct tunnel *t, int from, size_t n) {
  struct way *way = &t->way[from];
  const struct limits *l = &t->policy->limits[from];
  if (l->byte_ns <= 0 || way->mode != RELAYS || way->opaque || t->ending) return;
  if (spend(&way->byte_full, w->now_ns, (uint64_t)((double)n * l->byte_ns), l->pause)) return;
  if (l->pause) pause_for(w, t, from, way->byte_full);
  else tunnel_offence(w, t, from, 1008, WHY_BYTE_RATE);
}

void tunnel_early(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n) {
  if (!n) return;
  spend_bytes(w, t, from, n);
  tunnel_carry(w, t, from, p, n);
}

// How much to read at once: less where memory is scarce, and where a rate pauses, so that one read cannot run far past it.
static size_t read_size(const struct worker *w, const struct tunnel *t, int from) {
  const struct limits *l = &t->policy->limits[from];
  size_t most = w->owed > OWED_MUCH ? SCRATCH_SCARCE : SCRATCH;
  if (!l->pause || t->way[from].mode != RELAYS) return most;
  if (l->message_ns) most = 4096;
  if (l->byte_ns > 0) {
    uint64_t full = t->way[from].byte_full, used = full > w->now_ns ? full - w->now_ns : 0;
    double left = used < SECOND_NS ? (double)(SECOND_NS - used) / l->byte_ns : 0;
    if (left < (double)most) most = left < 512 ? 512 : (size_t)left;
  }
  return most;
}

// What reading a side came to. Returns whether bytes have come.
static int has_come(struct worker *w, struct tunnel *t, int from, ssize_t got) {
  struct end *end = &t->end[from];
  if (got > 0) {
    end->heard = w->now;
    end->ping_waits = 0;
    spend_bytes(w, t, from, (size_t)got);
    return 1;
  }
  if (got == SIDE_AGAIN) {
    end->readable = 0;
  } else if (got == SIDE_RESET || end->broken) {
    end->broken = 1;
    tunnel_gone(w, t, from);
  } else {
    tunnel_end_of(w, t, from);
  }
  return 0;
}

// -- Moving ---------------------------------------------------------------------------------------------------------
// The payload of a large frame goes through a pipe, so that it is never copied here. A header behind one is looked at in
// the socket, and where a large frame begins with it, it goes along.

// Whether what comes next may go through a pipe.
static int may_move(const struct worker *w, const struct tunnel *t, int from) {
  const struct way *way = &t->way[from];
  const struct cursor *c = &way->cursor;
  const struct limits *l = &t->policy->limits[from];
  if (!way->large || way->mode != RELAYS || t->end[from].copied || l->pause || w->owed > OWED_MUCH) return 0;
  if (way->opaque) return 1;
  if (c->left) return c->left >= MOVE_LEAST && !cursor_is_control(c);
  return !way->held && !l->message_ns;
}

// Looks at the header of the next frame. Returns what side_peek() does, and 1 only where `c` has been moved into a large
// data frame that no limit refuses; its `left` then counts what is to be moved, the header too. Else SIDE_COPY.
static ssize_t look_ahead(struct tunnel *t, int from, struct cursor *c) {
  uint8_t p[CURSOR_HEAD_MAX];
  ssize_t n = side_peek(&t->end[from].side, p, sizeof p);
  if (n <= 0) return n;
  size_t head = in_pieces(p, (size_t)n) || p[0] & 8 ? 0 : cursor_head(c, p, (size_t)n);
  const struct limits *l = &t->policy->limits[from];
  if (!head || c->length < LARGE || (l->any && c->message > l->max_message)) return SIDE_COPY;
  c->left += head;
  return 1;
}

// Takes n bytes of this way from the pipe; `c` is its cursor in front of them.
static void pass_moved(struct worker *w, struct tunnel *t, int from, const struct cursor *at, struct pipe *pipe, size_t n) {
  struct way *way = &t->way[from];
  struct cursor *c = &way->cursor;
  int ends = 0;
  if (!way->opaque) {
    *c = *at;
    c->left -= n;
    ends = !c->left;
    if (ends && c->fin) message_ended(t, from);
    if (ends) cursor_end(c);
  }
  t->last = w->now;
  if (way->mode != RELAYS) {
    t->discarded += n;
    pipe_drop(pipe);
    return;
  }
  way->bytes += n;
  tally_add(&t->tally->bytes[from], n);
  if (side_put_pipe(&t->end[!from].side, pipe, n) < 0) tunnel_broken_to(w, t, !from);
  if (ends && way->mode == RELAYS && waits_for_boundary(t, from)) at_boundary(w, t, !from);
}

// Reads through a pipe. Returns 0 where it has to be read in the other way, and nothing has been done yet.
static int move(struct worker *w, struct tunnel *t, int from) {
  struct way *way = &t->way[from];
  struct cursor c = way->cursor;
  struct pipe *pipe = pipe_take(&w->pipes);
  if (!pipe) return 0;
  ssize_t got = way->opaque || c.left ? 1 : look_ahead(t, from, &c);
  if (got > 0) {
    got = side_read_pipe(&t->end[from].side, pipe, way->opaque || c.left > PIPE_MOST ? PIPE_MOST : (size_t)c.left);
    if (got == SIDE_COPY) t->end[from].copied = 1;
  }
  if (got <= 0) pipe_give(pipe);
  if (got == SIDE_COPY) return 0;
  // A move stops where its pipe is full too, so the side stays readable.
  if (!has_come(w, t, from, got)) return 1;
  if (way->opaque) way->large = got >= MOVE_LEAST;
  pass_moved(w, t, from, &c, pipe, (size_t)got);
  return 1;
}

// -- Reading --------------------------------------------------------------------------------------------------------

static void read_side(struct worker *w, struct tunnel *t, int from) {
  struct way *way = &t->way[from];
  struct end *end = &t->end[from];
  if (may_move(w, t, from) && move(w, t, from)) return;
  uint8_t *scratch = w->scratch + SCRATCH_ROOM;
  size_t most = read_size(w, t, from);
  // Up to the next header, so that it can be looked at where it lies.
  if (way->large && way->cursor.left && way->cursor.left < most && !way->opaque) most = (size_t)way->cursor.left;
  ssize_t got = side_read(&end->side, scratch, most);
  // Read to the end of what is there without a second call that only says so.
  if (got < (ssize_t)most && !end->ends) end->readable = 0;
  if (!has_come(w, t, from, got)) return;
  if (way->opaque) way->large = got >= LARGE;
  size_t held = way->held;
  uint8_t *p = scratch - held;
  if (held) memcpy(p, way->hold, held);
  tunnel_drop_held(way);
  tunnel_carry(w, t, from, p, held + (size_t)got);
}

// -- Events ---------------------------------------------------------------------------------------------------------

static void flush_side(struct worker *w, struct tunnel *t, int to) {
  struct end *end = &t->end[to];
  uint32_t before = side_owes(&end->side);
  if (side_flush(&end->side) < 0) { tunnel_broken_to(w, t, to); return; }
  uint32_t left = side_owes(&end->side);
  if (left != before) t->last = w->now;
  if (left) return;
  if (end->ping_queued) {
    end->ping_queued = 0;
    end->ping_at = w->now;
    if (end->ping_waits) tunnel_wake_by(w, t, w->now + t->policy->ping_timeout_ms);
  }
  if (end->fin_due && !end->fin_out) tunnel_fin_flushed(w, t, to);
}

// Whether this side is to be read now: never past what its receiver has taken, always where its bytes are discarded.
static int wants_bytes(const struct tunnel *t, int from) {
  const struct way *way = &t->way[from];
  if (t->end[from].side.fd < 0 || way->mode == ENDED) return 0;
  return way->mode == DISCARDS || (!side_owes(&t->end[!from].side) && !way->paused);
}

// Nothing is read from a side that must not be read now (its receiver may be full), a hung one too: it waits for its turn.
static void go_on(struct worker *w, struct tunnel *t, int from) {
  struct end *end = &t->end[from];
  if (end->readable && wants_bytes(t, from)) read_side(w, t, from);
  if (end->hung && end->side.fd >= 0 && t->way[from].mode == ENDED) tunnel_gone(w, t, from);
}

void tunnel_event(struct worker *w, struct tunnel *t, int from, uint32_t events) {
  struct end *end = &t->end[from];
  if (end->side.fd < 0) return;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) end->readable = 1;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    end->ends = 1;
    if (events & (EPOLLHUP | EPOLLERR)) end->hung = 1;
  }
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) && side_owes(&end->side)) flush_side(w, t, from);
  go_on(w, t, from);
  tunnel_settle(w, t);
}

void tunnel_go_on(struct worker *w, struct tunnel *t) {
  go_on(w, t, CLIENT);
  go_on(w, t, BACKEND);
  tunnel_settle(w, t);
}

void tunnel_settle(struct worker *w, struct tunnel *t) {
  if (t->ending) tunnel_settle_end(w, t);
  for (int i = 0; i < 2; i++) {
    struct end *e = &t->end[i];
    if (e->side.fd >= 0 && e->fin_in && e->fin_out) tunnel_gone(w, t, i);
  }
  if (t->over || (t->end[CLIENT].side.fd < 0 && t->end[BACKEND].side.fd < 0)) {
    worker_end(w, t);
    return;
  }
  for (int i = 0; i < 2; i++) {
    struct end *e = &t->end[i];
    if (e->side.fd < 0) continue;
    int reads = wants_bytes(t, i);
    if (e->unread && reads && e->ping_waits && !e->ping_queued) {  // a ping's timer goes on from here
      e->ping_at = w->now;
      tunnel_wake_by(w, t, w->now + t->policy->ping_timeout_ms);
    }
    e->unread = !reads;
    if (reads && e->readable) worker_go_on(w, t);
    if (e->side.watched) continue;
    // A backend has nearly always been waited for here; nearly every client brought its handshake along.
    if (side_watch(&e->side, w->ep, t->id << 1 | (unsigned)i, i == BACKEND && !e->side.shared) == 0) continue;
    tunnel_cut(t);  // the kernel has no room to watch it: nothing would ever be heard of it
    worker_end(w, t);
    return;
  }
}

void tunnel_wake_by(struct worker *w, struct tunnel *t, uint64_t at) {
  if (!t->timer.back || at < t->timer.at) wheel_set(&w->wheel, &t->timer, at);
}

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

// The waits of a tunnel that is not ending; returns when to look again.
static uint64_t watch(struct worker *w, struct tunnel *t) {
  uint64_t silence = t->policy->idle_ms;
  if (t->half_closed && silence > SILENCE_MS) silence = SILENCE_MS;
  uint64_t idle_at = t->last + silence;
  if (w->now >= idle_at || w->now >= t->dies_at) {
    tunnel_close(w, t, 1001, NULL, w->now >= idle_at ? WHY_IDLE : WHY_LIFETIME);
    return WHEEL_NEVER;
  }
  uint64_t next = sooner(idle_at, t->dies_at);
  next = sooner(next, tunnel_ping_timer(w, t, CLIENT));
  return t->ending ? WHEEL_NEVER : sooner(next, tunnel_ping_timer(w, t, BACKEND));
}

void tunnel_timer(struct worker *w, struct tunnel *t) {
  uint64_t next = WHEEL_NEVER;
  unpause(w, t, CLIENT);
  unpause(w, t, BACKEND);
  if (!t->ending) next = watch(w, t);
  next = sooner(next, tunnel_end_timers(w, t));
  if (next != WHEEL_NEVER) tunnel_wake_by(w, t, next > w->now ? next : w->now + 1);
  tunnel_settle(w, t);
}
