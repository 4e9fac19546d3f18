// One tunnel: two endpoints, two directions, and what the gateway does to them. tunnel.c forwards bytes, ping.c pings,
// ending.c closes tunnels. A direction is named after its source: direction[CLIENT] reads endpoint[CLIENT] and writes
// endpoint[BACKEND].
//
// Invariants, between two calls from the worker:
// - only its own worker's thread touches a tunnel; all other code names it by id;
// - what the receiver has got plus what is pending to it ends at a frame boundary whenever the cursor says so. An
//   incomplete header or control frame is in `hold`: the receiver has not got it, and the cursor has not seen it;
// - no Close goes to an endpoint whose `got_close` is set, and once a direction is DISCARDING nothing of its source
//   goes to its receiver;
// - a direction is read for forwarding only while nothing is pending to its receiver. So the memory for bytes is
//   bounded by one scratch buffer, or one pipe, and one frame of our own for each endpoint;
// - an endpoint that should be read and may have something to read keeps its tunnel in the worker's ready queue, since
//   epoll reports each change once.
#ifndef UPGATE_TUNNEL_H
#define UPGATE_TUNNEL_H

#include "cursor.h"
#include "conn.h"
#include "timer-wheel.h"

enum { CLIENT = 0, BACKEND = 1 };

// The longest control frame: the most that is held. A header alone is shorter.
#define HOLD_MAX (2 + 4 + 125)

// Milliseconds; see WAITS in relay.ts. A stress test sets its own.
#ifndef CLOSE_WAIT_MS
#define ANY_BOUNDARY_MS 2000
#define CLOSE_WAIT_MS 5000
#define HALF_CLOSED_MS 30000
#endif

// Who ended a tunnel, and why; in the order of the tables in native.ts.
enum initiator { BY_NOBODY = 0, BY_CLIENT, BY_BACKEND, BY_GATEWAY };
enum reason {
  REASON_GIVEN = 0,  // the reason given to close() or cut()
  REASON_CLOSED,
  REASON_RESET,
  REASON_IDLE,
  REASON_LIFETIME,
  REASON_MESSAGE,
  REASON_MESSAGE_RATE,
  REASON_BYTE_RATE,
  REASON_LOST,
  REASON_PING,
};

// What one direction may carry; a rate of zero is unlimited.
struct limits {
  uint64_t max_message;  // UINT64_MAX is unlimited
  uint64_t message_ns;  // what a message costs at messages_per_second
  double byte_ns;       // what a byte costs at bytes_per_second
  uint8_t pause;        // past a rate reading pauses; else the tunnel ends
  uint8_t any;          // one of the three is set
};

// What a route asks of its tunnels. They share it; it never changes and is freed with the engine. Zero milliseconds
// means never.
struct policy {
  struct limits limits[2];  // by direction
  uint32_t idle_ms, ping_every_ms, ping_timeout_ms;
  uint8_t inspect;
  uint8_t stream;  // a stream of any protocol: its client may end its side and wait as long as it likes
  struct counters *counters;  // one for each worker
};

// The counters of one route in one worker: only that worker writes them, anyone may read them.
struct counters {
  uint64_t bytes[2], text[2], binary[2], lost[2];
  uint64_t ping_sent, ping_pong, ping_timeout;
} __attribute__((aligned(64)));

static inline void counter_add(uint64_t *counter, uint64_t n) {
  __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

// What one tunnel has carried so far. Whoever opens it owns this memory, and keeps it until the close record is handled;
// only the tunnel's worker writes it, anyone may read it.
struct activity {
  uint64_t bytes[2], messages[2];  // forwarded, by direction
  uint64_t last;                   // when a byte was last read or written, ms of CLOCK_MONOTONIC
};

static inline void activity_touch(struct activity *a, uint64_t now) {
  __atomic_store_n(&a->last, now, __ATOMIC_RELAXED);
}

enum mode {
  FORWARDING = 0,  // bytes go to the receiver
  DISCARDING,      // bytes are read, followed and dropped
  CLOSED,          // nothing more will come
};

struct direction {
  struct cursor cursor;
  uint64_t message_full, byte_full;  // when the rates' buckets are full again, ns
  uint8_t *hold;  // `held` bytes of an incomplete header or control frame; null while there are none
  uint8_t held;
  uint8_t mode;
  uint8_t opaque;      // frames are not followed: inspection is off, or the cursor is lost
  uint8_t paused;      // not read until the rate allows it
  uint8_t use_splice;  // its newest data frame is large; of an opaque direction, its last read was
};

struct endpoint {
  struct conn conn;
  uint64_t wait_until;      // when `wait_fin` or `lingering` ends, ms
  uint64_t last_read;       // when a byte was last read from it, ms
  uint64_t ping_next;       // when the next ping is due, ms
  uint64_t ping_sent_at;    // since when our ping waits for any byte, ms
  uint8_t ping[8];          // payload of our newest ping
  uint32_t linger_pending;  // what was pending to it when it began to linger
  uint32_t peer_ping;       // digest of the peer's newest unanswered ping toward it; else 0
  unsigned got_close : 1;        // a Close has been forwarded or injected toward it
  unsigned injected : 1;         // that Close is ours
  unsigned sent_close : 1;       // a whole Close came from it
  unsigned fin_in : 1;           // its stream has ended
  unsigned fin_due : 1;          // ours ends when nothing is pending to it
  unsigned fin_out : 1;          // ours has ended
  unsigned wait_fin : 1;         // we wait for its FIN before we send ours
  unsigned lingering : 1;        // it is closed at `wait_until`
  unsigned broken : 1;           // nothing can be written to it
  unsigned readable : 1;         // there may be something to read
  unsigned rdhup : 1;            // EPOLLRDHUP was reported: a short read may have left the end unread
  unsigned hup : 1;              // EPOLLHUP or EPOLLERR was reported
  unsigned ping_due : 1;         // to be pinged at the next frame boundary
  unsigned ping_queued : 1;      // the ping is still behind pending bytes
  unsigned ping_unanswered : 1;  // a ping has gone out and no byte has come since
  unsigned pong_expected : 1;    // `ping` is consumed when it comes back
  unsigned not_read : 1;         // it is not being read now
  unsigned no_splice : 1;        // nothing of it goes through a pipe
};

struct worker;

struct tunnel {
  struct timer timer;  // first: a timer is cast to its tunnel
  // In the worker's ready queue; `pprev_ready` is null while it is not there.
  struct tunnel *next_ready, **pprev_ready;
  struct direction direction[2];
  struct endpoint endpoint[2];
  const struct policy *policy;
  struct counters *counters;
  struct activity *activity;
  uint64_t id;
  uint64_t discarded;        // bytes read and not forwarded
  uint64_t expires_at;       // max_lifetime, ms; WHEEL_NEVER where there is none
  uint64_t close_deadline;   // the deadline of a close, ms
  uint64_t any_boundary_at;  // from here on a Close may stand at any frame boundary, ms
  char *close_reason_copy;   // the reason given to close(), ASCII; null where there is none
  const char *close_reason;  // the text behind the code of our Close
  uint16_t code[2];          // the code of our Close to each endpoint
  uint16_t reported_code;    // which of the two is reported as the tunnel's
  uint32_t close_code;       // CODE() of the first Close forwarded or sent; 0 where it had none
  uint8_t initiator, reason;
  uint8_t ending : 1;       // a Close goes out wherever it can; nothing else keeps the tunnel alive
  uint8_t half_closed : 1;  // the client has sent FIN and the backend no Close: it ends after a while without bytes
  uint8_t was_cut : 1, over : 1;
  uint8_t close_seen : 1;   // a first Close was forwarded or sent
};

_Static_assert(sizeof(struct tunnel) <= 512, "a tunnel's state stays small");

// -- tunnel.c: forwarding -------------------------------------------------------------------------------------------
// Handles an event of epoll for one endpoint. `t` may be gone afterwards.
void tunnel_event(struct worker *w, struct tunnel *t, int from, uint32_t events);
void tunnel_timer(struct worker *w, struct tunnel *t);
// Reads once more from each endpoint that has more to read. `t` may be gone afterwards.
void tunnel_run(struct worker *w, struct tunnel *t);
// After any change: puts the tunnel into the ready queue where it has more to do, and frees it where it is over. `t`
// may be gone afterwards.
void tunnel_update(struct worker *w, struct tunnel *t);
// Sets the tunnel's timer to `at`, unless it is set to an earlier time.
void tunnel_schedule(struct worker *w, struct tunnel *t, uint64_t at);
// Sends an endpoint bytes that are not its peer's: the 101 and frames of our own.
void tunnel_send(struct worker *w, struct tunnel *t, int to, const uint8_t *p, size_t n);
// Forwards what `from` sent, without the cursor: all of it, or none where its direction is not FORWARDING.
void tunnel_forward(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n);
// Processes bytes that were read from an endpoint before the tunnel was opened.
void tunnel_input_early(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n);
// Processes bytes read from an endpoint, with the held ones in front of them.
void tunnel_input(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n);

// -- ping.c ---------------------------------------------------------------------------------------------------------
// Pings `to` where that is possible; it is at a frame boundary now.
void tunnel_ping_here(struct worker *w, struct tunnel *t, int to);
// Returns when this endpoint's ping has to be checked again.
uint64_t tunnel_ping_timer(struct worker *w, struct tunnel *t, int to);
// Handles a whole ping or pong from an endpoint. Returns whether it answers our own ping and is not forwarded.
int tunnel_ping_or_pong(struct tunnel *t, int from, const uint8_t *payload);

// -- ending.c: closing ----------------------------------------------------------------------------------------------
// Sets who ended the tunnel, and why; the first call counts.
void tunnel_set_close_cause(struct tunnel *t, enum initiator who, enum reason why);
// Notes a Close that was forwarded or sent; the first one counts.
void tunnel_close_seen(struct tunnel *t, uint32_t code);
// Closes the tunnel in order, with `text` behind the code, or with the reason's own name where that is null. The first
// call counts; a later one may only shorten the deadline.
void tunnel_close(struct worker *w, struct tunnel *t, uint16_t code, const char *text, enum reason why);
void tunnel_close_within(struct worker *w, struct tunnel *t, uint16_t code, const char *text, enum reason why,
                         uint32_t deadline_ms);
// The same for a limit that `from` broke: its peer gets 1001.
void tunnel_close_for_violation(struct worker *w, struct tunnel *t, int from, uint16_t code, enum reason why);
// Drops the held bytes; returns how many they were.
size_t direction_drop_held(struct direction *d);
// Sends a Close to `to` where one is due and it is at a boundary for it.
void tunnel_try_inject(struct worker *w, struct tunnel *t, int to);
// The same where nothing of the frame whose header was just read has been forwarded: the boundary is before it.
void tunnel_inject_here(struct worker *w, struct tunnel *t, int to);
// Sends a FIN wherever the closing handshake of a closing tunnel is complete.
void tunnel_update_closing(struct worker *w, struct tunnel *t);
// The stream from this endpoint has ended.
void tunnel_eof(struct worker *w, struct tunnel *t, int from);
// This endpoint is closed: reset, or by us after its end.
void tunnel_endpoint_closed(struct worker *w, struct tunnel *t, int from);
// This endpoint does not answer pings: closes it, and closes the tunnel toward its peer.
void tunnel_ping_timed_out(struct worker *w, struct tunnel *t, int from);
// A write to this endpoint failed.
void tunnel_write_failed(struct worker *w, struct tunnel *t, int to);
// Nothing is pending any more: our FIN goes out now.
void tunnel_fin_flushed(struct worker *w, struct tunnel *t, int to);
void tunnel_cut(struct tunnel *t);
// Runs the closing steps that are due; returns when the next one is.
uint64_t tunnel_close_timers(struct worker *w, struct tunnel *t);

static inline int at_frame_boundary(const struct direction *d) { return !d->opaque && !d->cursor.left; }
static inline int at_message_boundary(const struct direction *d) { return at_frame_boundary(d) && !d->cursor.open; }

#endif
