// How a tunnel closes: a Close between two frames to each receiver that has none yet, its answer, FIN, and a last wait.
// It begins with the gateway (tunnel_close) or with a peer that is gone. RFC 6455 §7.1; docs/relay.md "How a session
// ends". ending.ts and tunnel.ts have the same rules for the js engine.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "worker.h"
#include "tunnel.h"

// The text behind the code of the gateway's own Close; in the order of enum reason.
static const char *const REASONS[] = {
    "", "closed", "reset", "idle", "max_lifetime", "max_message", "messages_per_second", "bytes_per_second", "lost",
    "ping_timeout",
};
static const char BACKEND_LOST[] = "backend_lost";

void tunnel_set_close_cause(struct tunnel *t, enum initiator who, enum reason why) {
  if (t->initiator != BY_NOBODY) return;
  t->initiator = (uint8_t)who;
  t->reason = (uint8_t)why;
}

void tunnel_close_seen(struct tunnel *t, uint32_t code) {
  if (t->close_seen) return;
  t->close_seen = 1;
  t->close_code = code;
}

size_t direction_drop_held(struct direction *d) {
  size_t held = d->held;
  free(d->hold);
  d->hold = NULL;
  d->held = 0;
  return held;
}

// Whether nothing more can be sent to it.
static int write_closed(const struct endpoint *e) { return e->fin_due || e->broken || e->conn.fd < 0; }

// From here on what its peer sends is read, followed and discarded.
static void discard_toward(struct tunnel *t, int to) {
  if (t->direction[!to].mode == FORWARDING) t->direction[!to].mode = DISCARDING;
}

// -- FINs -----------------------------------------------------------------------------------------------------------

void tunnel_fin_flushed(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  // Where its own stream has ended everything is read, and the connection is closed at once: that sends the FIN. Only TLS
  // has something to say before it.
  if (!e->fin_in || e->conn.tls) conn_shutdown(&e->conn);
  e->fin_out = 1;
  if (!e->lingering) return;
  e->wait_until = w->now + CLOSE_WAIT_MS;
  tunnel_schedule(w, t, e->wait_until);
}

// Sends our FIN to this endpoint as soon as nothing is pending to it.
static void send_fin(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  if (e->fin_due || e->broken || e->conn.fd < 0) return;
  e->fin_due = 1;
  e->wait_fin = 0;
  if (!conn_pending(&e->conn)) tunnel_fin_flushed(w, t, to);
}

// From here on the connection is closed after a wait: 5 s after our FIN, or when it has taken none of its pending bytes
// for that long.
static void linger(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  if (e->lingering || e->conn.fd < 0) return;
  e->lingering = 1;
  e->wait_fin = 0;
  e->linger_pending = conn_pending(&e->conn);
  e->wait_until = w->now + CLOSE_WAIT_MS;
  tunnel_schedule(w, t, e->wait_until);
}

static void send_fin_and_linger(struct worker *w, struct tunnel *t, int to) {
  send_fin(w, t, to);
  linger(w, t, to);
}

// -- Closes ---------------------------------------------------------------------------------------------------------

static void inject(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  uint16_t code = t->code[to];
  uint8_t frame[HOLD_MAX] = {0x80 | OP_CLOSE};
  size_t n = strnlen(t->close_reason, 123), key = 0;
  frame[1] = (uint8_t)(2 + n);
  if (to == BACKEND) {  // the gateway is a client there: masked, with a fresh key (§5.3)
    key = 4;
    frame[1] |= 0x80;
    worker_random(w, frame + 2, 4);
  }
  uint8_t *payload = frame + 2 + key;
  payload[0] = (uint8_t)(code >> 8);
  payload[1] = (uint8_t)code;
  memcpy(payload + 2, t->close_reason, n);
  for (size_t i = 0; key && i < 2 + n; i++) payload[i] ^= frame[2 + (i & 3)];
  e->got_close = e->injected = 1;
  discard_toward(t, to);
  tunnel_close_seen(t, CODE(t->reported_code));
  tunnel_send(w, t, to, frame, 2 + key + 2 + n);
}

void tunnel_try_inject(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  struct direction *d = &t->direction[!to];
  if (!t->ending || d->mode != FORWARDING || e->got_close) return;
  if (write_closed(e)) {
    discard_toward(t, to);
  } else if (d->opaque) {  // no boundary is known where a Close may stand: it ends without one
    discard_toward(t, to);
    send_fin_and_linger(w, t, to);
  } else if (at_message_boundary(d) || (w->now >= t->any_boundary_at && at_frame_boundary(d))) {
    inject(w, t, to);
  }
}

void tunnel_inject_here(struct worker *w, struct tunnel *t, int to) {
  struct cursor *c = &t->direction[!to].cursor, was = *c;
  uint8_t opaque = t->direction[!to].opaque;
  c->left = c->open = 0;
  t->direction[!to].opaque = 0;
  tunnel_try_inject(w, t, to);
  t->direction[!to].opaque = opaque;
  c->left = was.left;
  c->open = was.open;
}

// Sets the deadline, or shortens it.
static void limit(struct worker *w, struct tunnel *t, uint32_t deadline_ms) {
  uint64_t any = w->now + (deadline_ms / 2 < ANY_BOUNDARY_MS ? deadline_ms / 2 : ANY_BOUNDARY_MS);
  if (any < t->any_boundary_at) t->any_boundary_at = any;
  if (w->now + deadline_ms < t->close_deadline) t->close_deadline = w->now + deadline_ms;
  int any_first = t->any_boundary_at > w->now && t->any_boundary_at < t->close_deadline;
  tunnel_schedule(w, t, any_first ? t->any_boundary_at : t->close_deadline);
}

// Both endpoints get their code where they can; `main` is the one that is reported as the tunnel's.
static void begin(struct tunnel *t, uint16_t to_client, uint16_t to_backend, uint16_t main) {
  t->ending = 1;
  t->code[CLIENT] = to_client;
  t->code[BACKEND] = to_backend;
  t->reported_code = main;
  t->direction[CLIENT].paused = t->direction[BACKEND].paused = 0;
}

void tunnel_close(struct worker *w, struct tunnel *t, uint16_t code, const char *text, enum reason why) {
  tunnel_close_within(w, t, code, text, why, CLOSE_WAIT_MS);
}

void tunnel_close_within(struct worker *w, struct tunnel *t, uint16_t code, const char *text, enum reason why,
                         uint32_t deadline_ms) {
  tunnel_set_close_cause(t, BY_GATEWAY, why);
  int first = !t->ending;
  if (first) {
    if (text) t->close_reason_copy = strdup(text);
    t->close_reason = text ? (t->close_reason_copy ? t->close_reason_copy : "") : REASONS[why];
    begin(t, code, code, code);
  }
  limit(w, t, deadline_ms);
  if (!first) return;
  tunnel_try_inject(w, t, CLIENT);
  tunnel_try_inject(w, t, BACKEND);
}

void tunnel_close_for_violation(struct worker *w, struct tunnel *t, int from, uint16_t code, enum reason why) {
  tunnel_set_close_cause(t, BY_GATEWAY, why);
  if (t->ending) return;
  t->close_reason = REASONS[why];
  begin(t, from == CLIENT ? code : 1001, from == BACKEND ? code : 1001, code);
  limit(w, t, CLOSE_WAIT_MS);
  tunnel_try_inject(w, t, CLIENT);
  tunnel_try_inject(w, t, BACKEND);
}

void tunnel_update_closing(struct worker *w, struct tunnel *t) {
  for (int i = 0; i < 2; i++) {
    struct endpoint *e = &t->endpoint[i];
    if (e->fin_due) linger(w, t, i);
    if (write_closed(e) || !e->got_close) continue;
    // Toward the client the gateway is the server and closes at once; from the backend it waits for the FIN (§7.1.1).
    if (e->fin_in || t->direction[i].opaque || (e->sent_close && i == CLIENT)) {
      send_fin_and_linger(w, t, i);
    } else if (e->sent_close && !e->wait_fin) {
      e->wait_fin = 1;
      e->wait_until = w->now + CLOSE_WAIT_MS;
      tunnel_schedule(w, t, e->wait_until);
    }
  }
}

// -- Streams that end -----------------------------------------------------------------------------------------------

// Forwards the held bytes. Returns whether the receiver is left between two frames.
static int flush(struct worker *w, struct tunnel *t, int from) {
  struct direction *d = &t->direction[from];
  int whole = d->mode == FORWARDING && at_frame_boundary(d) && !d->held;
  if (d->held) tunnel_forward(w, t, from, d->hold, d->held);
  direction_drop_held(d);
  return whole;
}

// The stream ends while the tunnel is closing: the receiver gets its Close now, or none at all.
static void eof_while_closing(struct worker *w, struct tunnel *t, int from) {
  if (t->direction[from].mode != FORWARDING) return;
  int whole = flush(w, t, from);
  if (whole && !t->endpoint[!from].got_close && !write_closed(&t->endpoint[!from])) {
    inject(w, t, !from);
  } else {
    discard_toward(t, !from);
    send_fin_and_linger(w, t, !from);
  }
}

// The backend's stream ended without a Close: the client gets one where it is between two frames, and FIN at once.
// Where the client's own FIN came first, the backend has only answered it and is not lost: FIN alone.
static void backend_lost(struct worker *w, struct tunnel *t) {
  t->close_reason = BACKEND_LOST;
  begin(t, 1011, 1001, 1011);
  const struct endpoint *client = &t->endpoint[CLIENT];
  if (flush(w, t, BACKEND) && !client->got_close && !client->fin_in && !write_closed(client)) inject(w, t, CLIENT);
  discard_toward(t, CLIENT);
  discard_toward(t, BACKEND);
  send_fin_and_linger(w, t, CLIENT);
  send_fin_and_linger(w, t, BACKEND);
}

// Sends the peer what is pending to it, then FIN. It stays open until its own stream has ended too.
static void forward_eof(struct worker *w, struct tunnel *t, int from) {
  struct endpoint *other = &t->endpoint[!from];
  flush(w, t, from);
  send_fin(w, t, !from);
  if (from == BACKEND || other->sent_close || other->fin_in) {
    linger(w, t, !from);
  } else {
    if (t->policy->stream) return;
    t->half_closed = 1;
    tunnel_schedule(w, t, t->activity->last + HALF_CLOSED_MS);
  }
}

static void on_eof(struct worker *w, struct tunnel *t, int from) {
  if (t->ending) eof_while_closing(w, t, from);
  else if (from == BACKEND && !t->endpoint[BACKEND].sent_close) backend_lost(w, t);
  else forward_eof(w, t, from);
  t->direction[from].mode = CLOSED;
}

void tunnel_eof(struct worker *w, struct tunnel *t, int from) {
  t->endpoint[from].fin_in = 1;
  tunnel_set_close_cause(t, from == CLIENT ? BY_CLIENT : BY_BACKEND, REASON_CLOSED);
  on_eof(w, t, from);
}

void tunnel_endpoint_closed(struct worker *w, struct tunnel *t, int from) {
  struct endpoint *e = &t->endpoint[from];
  enum reason why = e->broken || !e->fin_in ? REASON_RESET : REASON_CLOSED;
  tunnel_set_close_cause(t, from == CLIENT ? BY_CLIENT : BY_BACKEND, why);
  e->broken = 1;
  conn_close(&e->conn, w->ep);
  discard_toward(t, from);
  if (t->direction[from].mode != CLOSED) on_eof(w, t, from);
  if (!t->ending) linger(w, t, !from);
}

void tunnel_ping_timed_out(struct worker *w, struct tunnel *t, int from) {
  conn_close(&t->endpoint[from].conn, w->ep);
  tunnel_close(w, t, from == BACKEND ? 1011 : 1001, NULL, REASON_PING);
  tunnel_endpoint_closed(w, t, from);
}

void tunnel_write_failed(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  e->broken = 1;
  conn_drop_pending(&e->conn);
  discard_toward(t, to);
  // What it has sent before is still to be read; the read then reports how it ended.
  e->readable = 1;
  if (t->direction[to].mode == CLOSED) tunnel_endpoint_closed(w, t, to);
}

void tunnel_cut(struct tunnel *t) { t->was_cut = t->over = 1; }

// -- Time -----------------------------------------------------------------------------------------------------------

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t endpoint_timers(struct worker *w, struct tunnel *t, int i) {
  struct endpoint *e = &t->endpoint[i];
  if (e->conn.fd < 0) return WHEEL_NEVER;
  if (e->wait_fin && w->now >= e->wait_until) send_fin_and_linger(w, t, i);
  if (e->lingering && w->now >= e->wait_until) {
    uint32_t pending = conn_pending(&e->conn);
    if (pending && pending < e->linger_pending) {  // it takes its pending bytes, slowly
      e->linger_pending = pending;
      e->wait_until = w->now + CLOSE_WAIT_MS;
    } else {
      if (pending) t->was_cut = 1;
      tunnel_endpoint_closed(w, t, i);
      return WHEEL_NEVER;
    }
  }
  return e->wait_fin || e->lingering ? e->wait_until : WHEEL_NEVER;
}

uint64_t tunnel_close_timers(struct worker *w, struct tunnel *t) {
  uint64_t next = WHEEL_NEVER;
  if (t->ending) {
    if (w->now >= t->close_deadline) {
      tunnel_cut(t);
      return WHEEL_NEVER;
    }
    tunnel_try_inject(w, t, CLIENT);
    tunnel_try_inject(w, t, BACKEND);
    tunnel_update_closing(w, t);
    next = t->any_boundary_at > w->now ? sooner(t->any_boundary_at, t->close_deadline) : t->close_deadline;
  }
  next = sooner(next, endpoint_timers(w, t, CLIENT));
  return sooner(next, endpoint_timers(w, t, BACKEND));
}
