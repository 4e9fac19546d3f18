// Lists of records to publish, oldest first. A record in such a list begins with a `struct link`.
#ifndef UPGATE_LIST_H
#define UPGATE_LIST_H

#include <stddef.h>
#include <stdint.h>

struct link {
  struct link *next;
};

struct list {
  struct link *first, **end;
  uint32_t count;  // atomic: list_count() may be called without holding the list
};

static inline uint32_t list_count(const struct list *list) { return __atomic_load_n(&list->count, __ATOMIC_RELAXED); }

static inline void list_clear(struct list *list) {
  list->first = NULL;
  list->end = &list->first;
  __atomic_store_n(&list->count, 0, __ATOMIC_RELAXED);
}

static inline void list_add(struct list *list, struct link *record) {
  record->next = NULL;
  *list->end = record;
  list->end = &record->next;
  __atomic_store_n(&list->count, list->count + 1, __ATOMIC_RELAXED);
}

// Appends all of `from` to `to`; `from` is empty then.
static inline void list_move(struct list *to, struct list *from) {
  if (!from->first) return;
  *to->end = from->first;
  to->end = from->end;
  __atomic_store_n(&to->count, to->count + from->count, __ATOMIC_RELAXED);
  list_clear(from);
}

#endif
