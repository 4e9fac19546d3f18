// See cursor.h.
#include "cursor.h"

#include <string.h>

static uint64_t big_endian(const uint8_t *p, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) v = v << 8 | p[i];
  return v;
}

size_t cursor_head(struct cursor *c, const uint8_t *p, size_t n) {
  if (n < 2) return 0;
  uint8_t form = p[1] & 127, masked = p[1] >> 7;
  size_t wide = form == 126 ? 2 : form == 127 ? 8 : 0;
  size_t size = 2 + wide + (masked ? 4 : 0);
  if (n < size) return 0;
  uint8_t opcode = p[0] & 15, fin = p[0] >> 7, control = opcode & 8;
  if (control && form > 125) c->lost = LOST_CONTROL_LENGTH;
  else if (control && !fin) c->lost = LOST_CONTROL_FRAGMENT;
  else if (form == 127 && p[2] & 128) c->lost = LOST_LENGTH;
  if (c->lost) return 0;

  c->opcode = opcode;
  c->fin = fin;
  c->masked = masked;
  c->length = c->left = wide ? big_endian(p + 2, wide) : form;
  if (masked) memcpy(c->key, p + 2 + wide, 4);
  c->starts = 0;
  if (opcode == OP_CLOSE) c->code = 0;
  if (control) return size;
  // A data frame joins the current message whatever its opcode says: the receiver has to judge that.
  if (!c->open) {
    c->starts = c->open = 1;
    c->type = opcode;
    c->message = 0;
  }
  c->message = c->message + c->length < c->length ? UINT64_MAX : c->message + c->length;
  return size;
}

size_t cursor_body(struct cursor *c, const uint8_t *p, size_t n) {
  size_t take = n < c->left ? n : (size_t)c->left;
  if (c->opcode == OP_CLOSE) {
    uint64_t at = c->length - c->left;
    for (size_t i = 0; i < take && at + i < 2; i++) {
      uint8_t byte = c->masked ? p[i] ^ c->key[at + i] : p[i];
      if (at + i == 0) c->first = byte;
      else c->code = CODE((uint32_t)c->first << 8 | byte);
    }
  }
  c->left -= take;
  return take;
}
