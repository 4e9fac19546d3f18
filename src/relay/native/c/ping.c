// Pings both endpoints and recognizes the answers; docs/relay.md "Ping". ping.ts is the same for the js engine.
#include "worker.h"
#include "tunnel.h"

static void send_ping(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  uint8_t frame[14] = {0x80 | OP_PING, 8};
  size_t n = 2;
  worker_random(w, e->ping, 8);
  if (to == BACKEND) {  // the gateway is a client there: masked, with a fresh key (§5.3)
    frame[1] |= 0x80;
    worker_random(w, frame + 2, 4);
    n += 4;
  }
  for (int i = 0; i < 8; i++) frame[n + (size_t)i] = e->ping[i] ^ (to == BACKEND ? frame[2 + (i & 3)] : 0);
  tunnel_send(w, t, to, frame, n + 8);
  e->ping_due = 0;
  e->pong_expected = e->ping_unanswered = 1;
  e->ping_queued = conn_pending(&e->conn) != 0;
  e->ping_sent_at = w->now;
  counter_add(&t->counters->ping_sent, 1);
}

// Whether this endpoint can still be pinged: not after a Close in either direction, and not after the end of a stream.
static int may_ping(const struct tunnel *t, int to) {
  const struct endpoint *e = &t->endpoint[to];
  return !t->ending && !e->got_close && !e->sent_close && !e->fin_in && !e->fin_due && !e->broken &&
         t->direction[!to].mode == FORWARDING && !t->direction[!to].opaque && !t->direction[to].opaque;
}

void tunnel_ping_here(struct worker *w, struct tunnel *t, int to) {
  if (may_ping(t, to)) send_ping(w, t, to);
}

uint64_t tunnel_ping_timer(struct worker *w, struct tunnel *t, int to) {
  struct endpoint *e = &t->endpoint[to];
  const struct policy *policy = t->policy;
  if (!policy->ping_every_ms || !may_ping(t, to)) return WHEEL_NEVER;
  // The timeout does not run while the ping is still queued, or while the endpoint is not read.
  if (e->ping_unanswered && !e->ping_queued && !e->not_read && w->now >= e->ping_sent_at + policy->ping_timeout_ms) {
    counter_add(&t->counters->ping_timeout, 1);
    tunnel_ping_timed_out(w, t, to);
    return WHEEL_NEVER;
  }
  if (w->now >= e->ping_next) {
    e->ping_next = w->now + policy->ping_every_ms;
    if (!e->ping_unanswered && !e->ping_due) {
      if (e->peer_ping) {  // the peer's own ping counts as ours (§5.5.3: only the newest may be answered)
        e->ping_unanswered = 1;
        e->ping_queued = conn_pending(&e->conn) != 0;
        e->ping_sent_at = w->now;
      } else {
        e->ping_due = 1;
      }
    }
  }
  if (e->ping_due && at_frame_boundary(&t->direction[!to])) send_ping(w, t, to);
  uint64_t next = e->ping_next;
  if (e->ping_unanswered && !e->ping_queued && !e->not_read && e->ping_sent_at + policy->ping_timeout_ms < next) {
    next = e->ping_sent_at + policy->ping_timeout_ms;
  }
  return next;
}

// A digest of a whole control frame's payload (FNV-1a); never 0.
static uint32_t digest(const uint8_t *payload, size_t n, const uint8_t *key) {
  uint32_t hash = 0x811c9dc5u ^ (uint32_t)n;
  for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)(payload[i] ^ (key ? key[i & 3] : 0))) * 0x01000193u;
  return hash | 1;
}

int tunnel_ping_or_pong(struct tunnel *t, int from, const uint8_t *payload) {
  const struct cursor *c = &t->direction[from].cursor;
  const uint8_t *key = c->masked ? c->key : NULL;
  struct endpoint *e = &t->endpoint[from];
  if (!t->policy->ping_every_ms) return 0;
  if (c->opcode == OP_PING) {
    t->endpoint[!from].peer_ping = digest(payload, (size_t)c->length, key);
    return 0;
  }
  int ours = e->pong_expected && c->length == 8;
  for (size_t i = 0; ours && i < 8; i++) ours = (payload[i] ^ (key ? key[i & 3] : 0)) == e->ping[i];
  if (ours) {
    e->pong_expected = 0;
    counter_add(&t->counters->ping_pong, 1);
  } else if (e->peer_ping && digest(payload, (size_t)c->length, key) == e->peer_ping) {
    e->peer_ping = 0;
  }
  return ours;
}
