// See memory.h. Both calls are looked up at run time: V8's is a C++ one that Node-API has no word for (a public one,
// the same in node 20 to 26), malloc's is glibc's alone.
#define _GNU_SOURCE
#include "memory.h"

#include <dlfcn.h>
#include <stddef.h>

// v8::MemoryPressureLevel
enum { PRESSURE_NONE = 0, PRESSURE_MODERATE = 1 };

int memory_shrink_heap(void) {
  // v8::Isolate::GetCurrent() and v8::Isolate::MemoryPressureNotification(level).
  void *(*current)(void);
  void (*notify)(void *, int);
  *(void **)&current = dlsym(RTLD_DEFAULT, "_ZN2v87Isolate10GetCurrentEv");
  *(void **)&notify = dlsym(RTLD_DEFAULT, "_ZN2v87Isolate26MemoryPressureNotificationENS_19MemoryPressureLevelE");
  void *isolate = current && notify ? current() : NULL;
  if (!isolate) return 0;
  notify(isolate, PRESSURE_MODERATE);
  // The collection has begun and keeps its aim; without this V8 would go on to save memory at the cost of time.
  notify(isolate, PRESSURE_NONE);
  return 1;
}

int memory_trim(void) {
  int (*trim)(size_t);
  *(void **)&trim = dlsym(RTLD_DEFAULT, "malloc_trim");
  if (!trim) return 0;
  trim(0);
  return 1;
}
