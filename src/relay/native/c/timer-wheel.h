// A hierarchical timer wheel of one thread: five levels of 64 slots, 4 ms a tick. Setting, moving and removing a timer
// cost the same however many there are; finding the next one reads five words. A timer fires at or after its time,
// never before, and at most one tick and one turn of the loop late. Times are milliseconds of a monotonic clock.
#ifndef UPGATE_TIMER_WHEEL_H
#define UPGATE_TIMER_WHEEL_H

#include <stdint.h>

#define WHEEL_LEVELS 5
#define WHEEL_SLOTS 64
#define WHEEL_NEVER UINT64_MAX

struct timer {
  struct timer *next, **pprev;  // `pprev` is null while the timer is not set
  uint64_t at;                  // when it is due, ms
  uint16_t place;               // its slot, as level * 64 + slot
};

struct wheel {
  uint64_t tick;  // every timer before this tick has fired
  uint64_t taken[WHEEL_LEVELS];
  struct timer *slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now);
void wheel_set(struct wheel *w, struct timer *t, uint64_t at);
void wheel_clear(struct wheel *w, struct timer *t);
// Takes out one timer that is due, or returns null when none is left.
struct timer *wheel_due(struct wheel *w, uint64_t now);
// Milliseconds until wheel_due is worth calling; -1 where no timer is set.
int wheel_wait(const struct wheel *w, uint64_t now);

#endif
