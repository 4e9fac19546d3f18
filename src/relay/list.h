// Lists of what is told of, oldest first. A record that goes into one begins with a `struct link`.
#ifndef UPGATE_LIST_H
#define UPGATE_LIST_H

#include <stddef.h>
#include <stdint.h>

struct link {
  struct link *next;
};

struct list {
  struct link *first, **end;
  uint32_t count;
};

static inline void list_clear(struct list *list) {
  list->first = NULL;
  list->end = &list->first;
  list->count = 0;
}

static inline void list_add(struct list *list, struct link *record) {
  record->next = NULL;
  *list->end = record;
  list->end = &record->next;
  list->count++;
}

// Puts all of `from` behind what `to` has; `from` is empty then.
static inline void list_move(struct list *to, struct list *from) {
  if (!from->first) return;
  *to->end = from->first;
  to->end = from->end;
  to->count += from->count;
  list_clear(from);
}

#endif
