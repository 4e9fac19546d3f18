// One tunnel: two sides, two ways, and what the gateway does to them. tunnel.c carries bytes; ping.c
// pings; ending.c ends tunnels.
// A way is named by where its bytes come from: way[CLIENT] reads side[CLIENT] and writes side[BACKEND].
//
// Invariants, between two calls from the loop:
// - a tunnel is touched by its own worker's thread only; everybody else names it by id;
// - what the receiver has got plus what it is owed ends at a frame boundary whenever the cursor says so: a header or
//   control frame that is not whole is in `hold`, not with the receiver, and the cursor has not seen it;
// - no Close goes to a side whose `got_close` is set, and nothing of the other end goes there once its way discards;
// - a way relays only while its receiver is owed nothing, so that memory for bytes is bounded by one scratch buffer, or
//   one pipe, and one frame of our own a side;
// - a side that is to be read and may have something to read is in its worker's list of tunnels to go on with: epoll
//   tells of each thing once.
#ifndef UPGATE_TUNNEL_H
#define UPGATE_TUNNEL_H

#include "cursor.h"
#include "conn.h"
#include "timer-wheel.h"

enum { CLIENT = 0, BACKEND = 1 };

// The longest control frame: what is held back at most. A header alone is shorter.
#define HOLD_MAX (2 + 4 + 125)

// Milliseconds; WAITS in relay.ts. A stress test has its own.
#ifndef CLOSE_WAIT_MS
#define ANY_BOUNDARY_MS 2000
#define CLOSE_WAIT_MS 5000
#define HALF_CLOSED_MS 30000
#endif

// Who ended a tunnel, and why; the order is that of the tables in native.ts.
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

// What one way may carry; a rate of zero is unlimited.
struct limits {
  uint64_t max_message;  // UINT64_MAX is unlimited
  uint64_t message_ns;  // what a message costs at messages_per_second
  double byte_ns;       // what a byte costs at bytes_per_second
  uint8_t pause;        // past a rate reading is paused; else the tunnel ends
  uint8_t any;          // one of the three is set
};

// What a route asks of its tunnels. Shared by them, never changed, freed with the engine. Zero milliseconds means never.
struct policy {
  struct limits limits[2];  // by way
  uint32_t idle_ms, ping_every_ms, ping_timeout_ms;
  uint8_t inspect;
  struct counters *counters;  // one for each worker
};

// The counters of one route in one worker: written by that worker alone, read by anyone.
struct counters {
  uint64_t bytes[2], text[2], binary[2], lost[2];
  uint64_t ping_sent, ping_pong, ping_timeout;
} __attribute__((aligned(64)));

static inline void counter_add(uint64_t *counter, uint64_t n) {
  __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

enum mode {
  FORWARDING = 0,  // bytes go to the receiver
  DISCARDING,      // bytes are read, followed and dropped
  CLOSED,          // nothing more will come
};

struct direction {
  struct cursor cursor;
  uint64_t bytes, messages;
  uint64_t message_full, byte_full;  // when the rates' buckets are full again, ns
  uint8_t *hold;  // `held` bytes of a header or control frame that is not whole; null while there are none
  uint8_t held;
  uint8_t mode;
  uint8_t opaque;      // not followed: inspection is off, or the cursor is lost
  uint8_t paused;      // not read until the rate allows it
  uint8_t use_splice;  // its newest data frame is a large one; of an opaque way, what it read last
};

struct endpoint {
  struct conn conn;
  uint64_t wait_until;      // when `waits_fin` or `lingers` is over, ms
  uint64_t last_read;       // when a byte was last read from it, ms
  uint64_t ping_next;       // when it is to be pinged again, ms
  uint64_t ping_sent_at;    // since when a ping waits for any byte, ms
  uint8_t ping[8];          // payload of our newest ping
  uint32_t linger_pending;  // what it was owed when it began to linger
  uint32_t peer_ping;       // digest of the other end's newest ping toward it while that is unanswered; else 0
  unsigned got_close : 1;        // a Close has passed or been injected toward it
  unsigned injected : 1;         // that Close is ours
  unsigned sent_close : 1;       // a whole Close came from it
  unsigned fin_in : 1;           // its stream has ended
  unsigned fin_due : 1;          // ours ends when it is owed nothing
  unsigned fin_out : 1;          // ours has ended
  unsigned wait_fin : 1;         // its own FIN is awaited before ours goes out
  unsigned lingering : 1;        // it is closed at `until`
  unsigned broken : 1;           // nothing can be written to it
  unsigned readable : 1;         // there may be something to read
  unsigned rdhup : 1;            // the end of its stream was told of: a short read has not taken all there is
  unsigned hup : 1;              // EPOLLHUP or EPOLLERR was told of
  unsigned ping_due : 1;         // to be pinged at the next frame boundary
  unsigned ping_queued : 1;      // the ping stands behind owed bytes still
  unsigned ping_unanswered : 1;  // a ping has gone out and no byte has come since
  unsigned pong_expected : 1;    // `ping` is swallowed when it comes back
  unsigned not_read : 1;         // it is not read at the moment
  unsigned no_splice : 1;        // nothing of it goes through a pipe
};

struct worker;

struct tunnel {
  struct timer timer;  // first: a timer is its tunnel
  // In the worker's ready queue; `pprev_ready` is null while it is not there.
  struct tunnel *next_ready, **pprev_ready;
  struct direction direction[2];
  struct endpoint endpoint[2];
  const struct policy *policy;
  struct counters *counters;
  uint64_t id;
  uint64_t discarded;        // bytes read and not passed on
  uint64_t last;             // when a byte last came or went, ms
  uint64_t expires_at;       // max_lifetime, ms; WHEEL_NEVER where there is none
  uint64_t close_deadline;   // a close's deadline, ms
  uint64_t any_boundary_at;  // from here on a close takes any frame boundary, ms
  char *close_reason_copy;   // the reason given to close(), ASCII; null where there is none
  const char *close_reason;  // what a Close says behind its code
  uint16_t code[2];          // what a Close tells each side
  uint16_t reported_code;    // the one of them that is the tunnel's
  uint32_t close_code;       // CODE() of the first Close that passed or went out; 0 where it had none
  uint8_t initiator, reason;
  uint8_t ending : 1;       // Closes are due where they can be had; nothing else keeps the tunnel alive
  uint8_t half_closed : 1;  // the client has sent FIN and the backend no Close: silence ends it
  uint8_t was_cut : 1, over : 1;
  uint8_t close_seen : 1;   // a first Close has passed or gone out
};

_Static_assert(sizeof(struct tunnel) <= 512, "a tunnel's state stays small");

// -- tunnel.c: carrying ---------------------------------------------------------------------------------------------
// An event of epoll for one side.
void tunnel_event(struct worker *w, struct tunnel *t, int from, uint32_t events);
void tunnel_timer(struct worker *w, struct tunnel *t);
// Reads once more from each side that has more to read. `t` may be gone afterwards, here and above.
void tunnel_run(struct worker *w, struct tunnel *t);
// After anything happened: has the tunnel gone on with, and ends it where it is over. `t` may be gone afterwards.
void tunnel_update(struct worker *w, struct tunnel *t);
// Something has to be looked at again at `at` at the latest.
void tunnel_schedule(struct worker *w, struct tunnel *t, uint64_t at);
// Sends a side bytes that are not the other end's: the 101 and frames of our own.
void tunnel_send(struct worker *w, struct tunnel *t, int to, const uint8_t *p, size_t n);
// Passes on what `from` sent, uncounted by the cursor: all of it, or none where its way discards.
void tunnel_forward(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n);
// Carries bytes read from a side before the tunnel was ours.
void tunnel_input_early(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n);
// Carries bytes read from a side, those held back in front of them.
void tunnel_input(struct worker *w, struct tunnel *t, int from, const uint8_t *p, size_t n);

// -- ping.c ---------------------------------------------------------------------------------------------------------
// Pings `to` where that can be done; here is a frame boundary.
void tunnel_ping_here(struct worker *w, struct tunnel *t, int to);
// Returns when this side's ping needs looking at again.
uint64_t tunnel_ping_timer(struct worker *w, struct tunnel *t, int to);
// A whole ping or pong from a side. Returns whether it is the answer to our own ping, and goes no further.
int tunnel_ping_or_pong(struct tunnel *t, int from, const uint8_t *payload);

// -- ending.c: closing, lost peers, the end -------------------------------------------------------------------------
// Who ended it, and why; the first call counts.
void tunnel_set_close_cause(struct tunnel *t, enum initiator who, enum reason why);
// A Close passed or went out; the first one counts.
void tunnel_close_seen(struct tunnel *t, uint32_t code);
// Ends the tunnel in order, with `words` behind the code, or where that is null the reason's own name. The first call
// counts; a later one may only shorten the deadline.
void tunnel_close(struct worker *w, struct tunnel *t, uint16_t code, const char *text, enum reason why);
void tunnel_close_within(struct worker *w, struct tunnel *t, uint16_t code, const char *text, enum reason why,
                         uint32_t deadline_ms);
// The same, for a limit that `from` broke: the other side hears 1001.
void tunnel_close_for_violation(struct worker *w, struct tunnel *t, int from, uint16_t code, enum reason why);
// What is held back is of no use any more; returns how many bytes that were.
size_t direction_drop_held(struct direction *d);
// A Close to `to` where one is due and its boundary is reached.
void tunnel_try_inject(struct worker *w, struct tunnel *t, int to);
// The same, where nothing of the frame whose header was just read has been passed on: its boundary is here.
void tunnel_inject_here(struct worker *w, struct tunnel *t, int to);
// FINs wherever the closing handshake of an ending tunnel is through.
void tunnel_update_closing(struct worker *w, struct tunnel *t);
// The stream from this side has ended.
void tunnel_eof(struct worker *w, struct tunnel *t, int from);
// This side is no more: reset, or closed by us after its end.
void tunnel_endpoint_closed(struct worker *w, struct tunnel *t, int from);
// This side does not answer pings: it is closed, the other one told.
void tunnel_ping_timed_out(struct worker *w, struct tunnel *t, int from);
// Writing to this side failed.
void tunnel_write_failed(struct worker *w, struct tunnel *t, int to);
// Our FIN goes out now: nothing is owed any more.
void tunnel_fin_flushed(struct worker *w, struct tunnel *t, int to);
void tunnel_cut(struct tunnel *t);
// Does what of the ending is due by now; returns when the next is.
uint64_t tunnel_close_timers(struct worker *w, struct tunnel *t);

static inline int at_frame_boundary(const struct direction *d) { return !d->opaque && !d->cursor.left; }
static inline int at_message_boundary(const struct direction *d) { return at_frame_boundary(d) && !d->cursor.open; }

#endif
