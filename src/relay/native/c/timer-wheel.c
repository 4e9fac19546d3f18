// See timer-wheel.h. Level k has slots of 64^k ticks; a timer is on the lowest level that reaches its tick, and moves
// down when the wheel arrives at its slot.
#include "timer-wheel.h"

#include <limits.h>
#include <string.h>

#define TICK_SHIFT 2
#define BITS 6
#define MASK (WHEEL_SLOTS - 1)

void wheel_init(struct wheel *w, uint64_t now) {
  memset(w, 0, sizeof *w);
  w->tick = now >> TICK_SHIFT;
}

static void put(struct wheel *w, struct timer *t) {
  uint64_t tick = (t->at + (1 << TICK_SHIFT) - 1) >> TICK_SHIFT;
  uint64_t last = w->tick + (1ull << (BITS * WHEEL_LEVELS)) - (1ull << (BITS * (WHEEL_LEVELS - 1)));
  if (tick < w->tick) tick = w->tick;
  if (tick > last) tick = last;  // further away than the wheel turns: it is set again when it comes by
  int level = 0;
  // The first level on which the tick and the wheel's own tick differ in that level's digit only.
  while (level < WHEEL_LEVELS - 1 && (tick >> (BITS * (level + 1))) != (w->tick >> (BITS * (level + 1)))) level++;
  int slot = (int)(tick >> (BITS * level)) & MASK;
  t->place = (uint16_t)(level * WHEEL_SLOTS + slot);
  struct timer **head = &w->slot[level][slot];
  t->next = *head;
  t->pprev = head;
  if (*head) (*head)->pprev = &t->next;
  *head = t;
  w->taken[level] |= 1ull << slot;
}

void wheel_clear(struct wheel *w, struct timer *t) {
  if (!t->pprev) return;
  *t->pprev = t->next;
  if (t->next) t->next->pprev = t->pprev;
  t->pprev = 0;
  int level = t->place / WHEEL_SLOTS, slot = t->place % WHEEL_SLOTS;
  if (!w->slot[level][slot]) w->taken[level] &= ~(1ull << slot);
}

void wheel_set(struct wheel *w, struct timer *t, uint64_t at) {
  wheel_clear(w, t);
  t->at = at;
  if (at != WHEEL_NEVER) put(w, t);
}

// The first tick, from the wheel's own on, at which a slot must be looked at; UINT64_MAX where all are empty.
static uint64_t next_tick(const struct wheel *w) {
  uint64_t best = UINT64_MAX;
  for (int level = 0; level < WHEEL_LEVELS; level++) {
    if (!w->taken[level]) continue;
    int shift = BITS * level, here = (int)(w->tick >> shift) & MASK;
    uint64_t ahead = w->taken[level] >> here | (here ? w->taken[level] << (WHEEL_SLOTS - here) : 0);
    uint64_t tick = ((w->tick >> shift) + (uint64_t)__builtin_ctzll(ahead)) << shift;
    if (tick < w->tick) tick = w->tick;
    if (tick < best) best = tick;
  }
  return best;
}

// Moves the timers of the slots that begin at the wheel's tick down to where they belong now.
static void cascade(struct wheel *w) {
  for (int level = WHEEL_LEVELS - 1; level > 0; level--) {
    int slot = (int)(w->tick >> (BITS * level)) & MASK;
    if (!(w->taken[level] >> slot & 1)) continue;
    struct timer *t = w->slot[level][slot];
    w->slot[level][slot] = 0;
    w->taken[level] &= ~(1ull << slot);
    while (t) {
      struct timer *next = t->next;
      put(w, t);
      t = next;
    }
  }
}

struct timer *wheel_due(struct wheel *w, uint64_t now) {
  uint64_t end = now >> TICK_SHIFT;
  for (;;) {
    cascade(w);
    struct timer *t = w->slot[0][w->tick & MASK];
    if (t && w->tick <= end) {
      wheel_clear(w, t);
      if (t->at <= now) return t;
      put(w, t);  // it was further away than the wheel turns
      continue;
    }
    if (w->tick >= end) return 0;
    uint64_t next = next_tick(w);
    w->tick = next < end ? next : end;
  }
}

int wheel_wait(const struct wheel *w, uint64_t now) {
  uint64_t tick = next_tick(w);
  if (tick == UINT64_MAX) return -1;
  uint64_t at = tick << TICK_SHIFT;
  if (at <= now) return 0;
  return at - now > INT_MAX ? INT_MAX : (int)(at - now);
}
