// libFuzzer target of the C cursor: however a stream is split, the events are the same, and nothing outside of a piece
// is read. The first byte seeds the splits, the rest is the stream. Run by native.sh.
#include "cursor-drive.h"

struct log {
  uint64_t sum, count;
};

static void note(void *to, enum cursor_event what, uint64_t at, const struct cursor *c, int ends_message) {
  struct log *log = to;
  const uint64_t facts[] = {what,      at,       c->opcode, c->fin,  c->masked, c->length, c->starts,
                            c->message, c->code, c->lost,   c->open, (uint64_t)ends_message};
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) log->sum = (log->sum ^ facts[i]) * 0x100000001b3ull;
  log->count++;
  if (what == EVENT_FRAME && c->left) abort();
  if (c->left > c->length || (!cursor_is_control(c) && c->message < c->length && !c->lost)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  uint32_t seed = data[0] * 2654435761u + 1;
  const uint8_t *stream = data + 1;
  size_t n = size - 1;
  struct log whole = {0}, split = {0};
  struct drive a = {.on_event = note, .to = &whole}, b = {.on_event = note, .to = &split};
  drive_piece(&a, stream, n);
  for (size_t at = 0; at < n;) {
    seed = seed * 1664525u + 1013904223u;
    size_t piece = 1 + (seed >> 24) % (seed & 64 ? 3 : 40);
    if (piece > n - at) piece = n - at;
    drive_piece(&b, stream + at, piece);
    at += piece;
  }
  if (whole.sum != split.sum || whole.count != split.count || a.held_length != b.held_length || a.at != b.at) abort();
  if (memcmp(a.held, b.held, a.held_length)) abort();
  return 0;
}
