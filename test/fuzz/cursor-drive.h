// Drives the C cursor over a stream in pieces the way the relay does: an incomplete header is held and comes again in
// front of the next piece. Events go to a callback.
#include <stdlib.h>
#include <string.h>

#include "../../src/relay/native/c/cursor.h"

enum cursor_event { EVENT_HEADER, EVENT_FRAME, EVENT_LOST };
typedef void (*on_event)(void *to, enum cursor_event what, uint64_t at, const struct cursor *c, int ends_message);

struct drive {
  struct cursor cursor;
  uint8_t held[CURSOR_HEAD_MAX];
  size_t held_length;
  uint64_t at;  // bytes of the stream that have passed
  on_event on_event;
  void *to;
};

static inline void drive_end_frame(struct drive *d) {
  struct cursor *c = &d->cursor;
  int ends = !cursor_is_control(c) && c->fin;
  cursor_end(c);
  d->on_event(d->to, EVENT_FRAME, d->at, c, ends);
}

static inline void drive_piece(struct drive *d, const uint8_t *piece, size_t n) {
  struct cursor *c = &d->cursor;
  if (c->lost) return;
  // A copy of its own size: a sanitizer then sees every byte read behind the end.
  uint8_t *all = malloc(d->held_length + n + !(d->held_length + n));
  if (!all) abort();
  memcpy(all, d->held, d->held_length);
  if (n) memcpy(all + d->held_length, piece, n);
  const uint8_t *p = all, *stop = all + d->held_length + n;
  d->held_length = 0;
  while (p < stop) {
    if (!c->left) {
      size_t head = cursor_head(c, p, (size_t)(stop - p));
      if (c->lost) {
        uint8_t form = p[1] & 127;
        d->at += 2u + (form == 126 ? 2 : form == 127 ? 8 : 0) + (p[1] >> 7) * 4u;
        d->on_event(d->to, EVENT_LOST, d->at, c, 0);
        break;
      }
      if (!head) {
        d->held_length = (size_t)(stop - p);
        if (d->held_length >= CURSOR_HEAD_MAX) abort();
        memcpy(d->held, p, d->held_length);
        break;
      }
      p += head;
      d->at += head;
      d->on_event(d->to, EVENT_HEADER, d->at, c, 0);
    }
    size_t body = cursor_body(c, p, (size_t)(stop - p));
    p += body;
    d->at += body;
    if (!c->left) drive_end_frame(d);
  }
  free(all);
}
