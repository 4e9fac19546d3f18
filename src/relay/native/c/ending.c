// How a tunnel ends: a Close between two frames to each receiver that has none yet, its answer, FIN, and a last wait.
// Begun by the gateway (tunnel_close) or by a peer that vanished. RFC 6455 §7.1; DESIGN "close", "The end" and "A lost
// peer". The same rules stand in ending.ts and tunnel.ts for the js engine.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "worker.h"
#include "tunnel.h"

// What a Close of the gateway's own says behind its code; the order is that of enum reason.
static const char *const WORDS[] = {
    "", "closed", "reset", "idle", "max_lifetime", "max_message", "messages_per_second", "bytes_per_second", "lost",
    "ping_timeout",
};
static const char BACKEND_LOST[] = "backend_lost";

void tunnel_blame(struct tunnel *t, enum initiator who, enum reason why) {
  if (t->initiator != BY_NOBODY) return;
  t->initiator = (uint8_t)who;
  t->reason = (uint8_t)why;
}

void tunnel_close_seen(struct tunnel *t, uint32_t code) {
  if (t->close_seen) return;
  t->close_seen = 1;
  t->code_told = code;
}

size_t tunnel_drop_held(struct way *way) {
  size_t held = way->held;
  free(way->hold);
  way->hold = NULL;
  way->held = 0;
  return held;
}

// Nothing more can be sent to it.
static int deaf(const struct end *e) { return e->fin_due || e->broken || e->side.fd < 0; }

// From here on what comes from the other side is read, followed and discarded.
static void stop_toward(struct tunnel *t, int to) {
  if (t->way[!to].mode == RELAYS) t->way[!to].mode = DISCARDS;
}

// -- FINs -----------------------------------------------------------------------------------------------------------

void tunnel_fin_flushed(struct worker *w, struct tunnel *t, int to) {
  struct end *end = &t->end[to];
  // Where its own stream has ended everything is read and it is closed now: that sends the FIN.
  if (!end->fin_in) side_shut(&end->side);
  end->fin_out = 1;
  if (!end->lingers) return;
  end->until = w->now + END_MS;
  tunnel_wake_by(w, t, end->until);
}

// Ends our half toward this side as soon as it is owed nothing.
static void fin(struct worker *w, struct tunnel *t, int to) {
  struct end *end = &t->end[to];
  if (end->fin_due || end->broken || end->side.fd < 0) return;
  end->fin_due = 1;
  end->waits_fin = 0;
  if (!side_owes(&end->side)) tunnel_fin_flushed(w, t, to);
}

// From here on the side is closed after a wait: 5 s after our FIN, or when it has taken nothing of what is owed that long.
static void linger(struct worker *w, struct tunnel *t, int to) {
  struct end *end = &t->end[to];
  if (end->lingers || end->side.fd < 0) return;
  end->lingers = 1;
  end->waits_fin = 0;
  end->owed_then = side_owes(&end->side);
  end->until = w->now + END_MS;
  tunnel_wake_by(w, t, end->until);
}

static void finish(struct worker *w, struct tunnel *t, int to) {
  fin(w, t, to);
  linger(w, t, to);
}

// -- Closes ---------------------------------------------------------------------------------------------------------

static void inject(struct worker *w, struct tunnel *t, int to) {
  struct end *end = &t->end[to];
  uint16_t code = t->code[to];
  uint8_t frame[HOLD_MAX] = {0x80 | OP_CLOSE};
  size_t n = strnlen(t->words, 123), key = 0;
  frame[1] = (uint8_t)(2 + n);
  if (to == BACKEND) {  // the gateway is a client there: masked, with a fresh key (§5.3)
    key = 4;
    frame[1] |= 0x80;
    worker_random(w, frame + 2, 4);
  }
  uint8_t *payload = frame + 2 + key;
  payload[0] = (uint8_t)(code >> 8);
  payload[1] = (uint8_t)code;
  memcpy(payload + 2, t->words, n);
  for (size_t i = 0; key && i < 2 + n; i++) payload[i] ^= frame[2 + (i & 3)];
  end->got_close = end->injected = 1;
  stop_toward(t, to);
  tunnel_close_seen(t, CODE(t->code_main));
  tunnel_send(w, t, to, frame, 2 + key + 2 + n);
}

void tunnel_try_inject(struct worker *w, struct tunnel *t, int to) {
  struct end *end = &t->end[to];
  struct way *way = &t->way[!to];
  if (!t->ending || way->mode != RELAYS || end->got_close) return;
  if (deaf(end)) {
    stop_toward(t, to);
  } else if (way->opaque) {  // nobody can say where a Close may stand: it ends without one
    stop_toward(t, to);
    finish(w, t, to);
  } else if (at_message_boundary(way) || (w->now >= t->any_at && at_frame_boundary(way))) {
    inject(w, t, to);
  }
}

void tunnel_inject_here(struct worker *w, struct tunnel *t, int to) {
  struct cursor *c = &t->way[!to].cursor, was = *c;
  uint8_t opaque = t->way[!to].opaque;
  c->left = c->open = 0;
  t->way[!to].opaque = 0;
  tunnel_try_inject(w, t, to);
  t->way[!to].opaque = opaque;
  c->left = was.left;
  c->open = was.open;
}

// Sets the deadline, or shortens it.
static void limit(struct worker *w, struct tunnel *t, uint32_t deadline_ms) {
  uint64_t any = w->now + (deadline_ms / 2 < ANY_BOUNDARY_MS ? deadline_ms / 2 : ANY_BOUNDARY_MS);
  if (any < t->any_at) t->any_at = any;
  if (w->now + deadline_ms < t->close_at) t->close_at = w->now + deadline_ms;
  tunnel_wake_by(w, t, t->any_at > w->now && t->any_at < t->close_at ? t->any_at : t->close_at);
}

// Both sides get their code where they can, and `words` behind it; `main` is the one that is told of the tunnel.
static void begin(struct tunnel *t, uint16_t to_client, uint16_t to_backend, uint16_t main) {
  t->ending = 1;
  t->code[CLIENT] = to_client;
  t->code[BACKEND] = to_backend;
  t->code_main = main;
  t->way[CLIENT].paused = t->way[BACKEND].paused = 0;
}

void tunnel_close(struct worker *w, struct tunnel *t, uint16_t code, const char *words, enum reason why) {
  tunnel_close_within(w, t, code, words, why, END_MS);
}

void tunnel_close_within(struct worker *w, struct tunnel *t, uint16_t code, const char *words, enum reason why,
                         uint32_t deadline_ms) {
  tunnel_blame(t, BY_GATEWAY, why);
  int first = !t->ending;
  if (first) {
    if (words) t->given = strdup(words);
    t->words = words ? (t->given ? t->given : "") : WORDS[why];
    begin(t, code, code, code);
  }
  limit(w, t, deadline_ms);
  if (!first) return;
  tunnel_try_inject(w, t, CLIENT);
  tunnel_try_inject(w, t, BACKEND);
}

void tunnel_offence(struct worker *w, struct tunnel *t, int from, uint16_t code, enum reason why) {
  tunnel_blame(t, BY_GATEWAY, why);
  if (t->ending) return;
  t->words = WORDS[why];
  begin(t, from == CLIENT ? code : 1001, from == BACKEND ? code : 1001, code);
  limit(w, t, END_MS);
  tunnel_try_inject(w, t, CLIENT);
  tunnel_try_inject(w, t, BACKEND);
}

void tunnel_settle_end(struct worker *w, struct tunnel *t) {
  for (int i = 0; i < 2; i++) {
    struct end *end = &t->end[i];
    if (end->fin_due) linger(w, t, i);
    if (deaf(end) || !end->got_close) continue;
    // Toward the client the gateway is the server and closes at once; the backend's FIN it awaits (§7.1.1).
    if (end->fin_in || t->way[i].opaque || (end->sent_close && i == CLIENT)) {
      finish(w, t, i);
    } else if (end->sent_close && !end->waits_fin) {
      end->waits_fin = 1;
      end->until = w->now + END_MS;
      tunnel_wake_by(w, t, end->until);
    }
  }
}

// -- Streams that end -----------------------------------------------------------------------------------------------

// Passes on what was held back. Returns whether the receiver is left between two frames.
static int flush(struct worker *w, struct tunnel *t, int from) {
  struct way *way = &t->way[from];
  int whole = way->mode == RELAYS && at_frame_boundary(way) && !way->held;
  if (way->held) tunnel_pass(w, t, from, way->hold, way->held);
  tunnel_drop_held(way);
  return whole;
}

// While the tunnel ends: the receiver gets its Close now, or there is none to be had.
static void stream_over(struct worker *w, struct tunnel *t, int from) {
  if (t->way[from].mode != RELAYS) return;
  int whole = flush(w, t, from);
  if (whole && !t->end[!from].got_close && !deaf(&t->end[!from])) {
    inject(w, t, !from);
  } else {
    stop_toward(t, !from);
    finish(w, t, !from);
  }
}

// The backend's stream ended without a Close: the client is told between two frames, and gets FIN at once. Where the
// client's own FIN came first, the backend has only answered it and is not lost: FIN alone.
static void backend_lost(struct worker *w, struct tunnel *t) {
  t->words = BACKEND_LOST;
  begin(t, 1011, 1001, 1011);
  const struct end *client = &t->end[CLIENT];
  if (flush(w, t, BACKEND) && !client->got_close && !client->fin_in && !deaf(client)) inject(w, t, CLIENT);
  stop_toward(t, CLIENT);
  stop_toward(t, BACKEND);
  finish(w, t, CLIENT);
  finish(w, t, BACKEND);
}

// What is owed to the other side, then FIN. It lives on until it has ended too.
static void pass_end(struct worker *w, struct tunnel *t, int from) {
  struct end *other = &t->end[!from];
  flush(w, t, from);
  fin(w, t, !from);
  if (from == BACKEND || other->sent_close || other->fin_in) {
    linger(w, t, !from);
  } else {
    t->half_closed = 1;
    tunnel_wake_by(w, t, t->last + SILENCE_MS);
  }
}

static void stream_ended(struct worker *w, struct tunnel *t, int from) {
  if (t->ending) stream_over(w, t, from);
  else if (from == BACKEND && !t->end[BACKEND].sent_close) backend_lost(w, t);
  else pass_end(w, t, from);
  t->way[from].mode = ENDED;
}

void tunnel_end_of(struct worker *w, struct tunnel *t, int from) {
  t->end[from].fin_in = 1;
  tunnel_blame(t, from == CLIENT ? BY_CLIENT : BY_BACKEND, WHY_CLOSED);
  stream_ended(w, t, from);
}

void tunnel_gone(struct worker *w, struct tunnel *t, int from) {
  struct end *end = &t->end[from];
  tunnel_blame(t, from == CLIENT ? BY_CLIENT : BY_BACKEND, end->broken || !end->fin_in ? WHY_RESET : WHY_CLOSED);
  end->broken = 1;
  side_close(&end->side, w->ep);
  stop_toward(t, from);
  if (t->way[from].mode != ENDED) stream_ended(w, t, from);
  if (!t->ending) linger(w, t, !from);
}

void tunnel_silent(struct worker *w, struct tunnel *t, int from) {
  side_close(&t->end[from].side, w->ep);
  tunnel_close(w, t, from == BACKEND ? 1011 : 1001, NULL, WHY_PING);
  tunnel_gone(w, t, from);
}

void tunnel_broken_to(struct worker *w, struct tunnel *t, int to) {
  struct end *end = &t->end[to];
  end->broken = 1;
  side_drop_owed(&end->side);
  stop_toward(t, to);
  // What it had sent before is still to be read; that read tells how it ended.
  end->readable = 1;
  if (t->way[to].mode == ENDED) tunnel_gone(w, t, to);
}

void tunnel_cut(struct tunnel *t) { t->was_cut = t->over = 1; }

// -- Time -----------------------------------------------------------------------------------------------------------

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t side_timers(struct worker *w, struct tunnel *t, int i) {
  struct end *end = &t->end[i];
  if (end->side.fd < 0) return WHEEL_NEVER;
  if (end->waits_fin && w->now >= end->until) finish(w, t, i);
  if (end->lingers && w->now >= end->until) {
    uint32_t owed = side_owes(&end->side);
    if (owed && owed < end->owed_then) {  // it takes what it is owed, slowly
      end->owed_then = owed;
      end->until = w->now + END_MS;
    } else {
      if (owed) t->was_cut = 1;
      tunnel_gone(w, t, i);
      return WHEEL_NEVER;
    }
  }
  return end->waits_fin || end->lingers ? end->until : WHEEL_NEVER;
}

uint64_t tunnel_end_timers(struct worker *w, struct tunnel *t) {
  uint64_t next = WHEEL_NEVER;
  if (t->ending) {
    if (w->now >= t->close_at) {
      tunnel_cut(t);
      return WHEEL_NEVER;
    }
    tunnel_try_inject(w, t, CLIENT);
    tunnel_try_inject(w, t, BACKEND);
    tunnel_settle_end(w, t);
    next = t->any_at > w->now ? sooner(t->any_at, t->close_at) : t->close_at;
  }
  next = sooner(next, side_timers(w, t, CLIENT));
  return sooner(next, side_timers(w, t, BACKEND));
}
