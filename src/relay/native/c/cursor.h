// The frame cursor: a frame tracker, not a parser. It follows the RFC 6455 §5.2 frame headers of one direction and
// nothing else. It is the same machine as cursor.ts; test/fixtures/cursor-vectors.json drives both. It never judges,
// allocates or keeps bytes: the caller holds an incomplete header and passes it in again with the bytes that follow.
//
// Invariants: at a frame boundary `left` is 0; at a message boundary `open` is 0 too. Once `lost` is set, nothing here
// means anything any more and no function may be called.
#ifndef UPGATE_CURSOR_H
#define UPGATE_CURSOR_H

#include <stddef.h>
#include <stdint.h>

// The longest frame header: 2 bytes, a 64-bit length, a mask key.
#define CURSOR_HEAD_MAX 14

enum opcode { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

// Why a direction cannot be followed within bounds.
enum lost { LOST_NOT = 0, LOST_LENGTH, LOST_CONTROL_LENGTH, LOST_CONTROL_FRAGMENT };

// A status code that was present, as opposed to none: 0 is possible on the wire too.
#define CODE(n) (0x10000u | (n))

struct cursor {
  uint64_t left;     // payload bytes of this frame still to come
  uint64_t length;   // payload length of this frame
  uint64_t message;  // payload bytes announced by the data frames of this message so far
  uint8_t key[4];    // mask key of this frame
  uint32_t code;     // CODE() of the newest Close; 0 where it had none
  uint8_t first;     // first byte of that code, until the second arrives
  uint8_t opcode;    // of this frame
  uint8_t type;      // opcode this message began with
  uint8_t lost;      // enum lost
  uint8_t fin : 1;      // of this frame
  uint8_t masked : 1;   // of this frame
  uint8_t starts : 1;   // this frame starts a message
  uint8_t open : 1;     // a message has started and not ended; control frames may stand inside (§5.4)
};

// Reads the header at p. Returns its length, or 0 where it is incomplete, or where `lost` has just been set.
size_t cursor_head(struct cursor *c, const uint8_t *p, size_t n);

// Skips up to n payload bytes of the current frame; returns how many. The frame is over when `left` is 0; the caller
// then calls cursor_end(), also for a frame without payload.
size_t cursor_body(struct cursor *c, const uint8_t *p, size_t n);
static inline void cursor_end(struct cursor *c);

static inline int cursor_is_control(const struct cursor *c) { return c->opcode & 8; }

static inline void cursor_end(struct cursor *c) {
  if (c->fin && !cursor_is_control(c)) c->open = 0;
}

#endif
