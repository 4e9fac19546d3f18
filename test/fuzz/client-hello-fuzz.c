// The C reader of ClientHellos under libFuzzer: it reads nothing behind its bytes, and says the same of a prefix until it is
// whole. test/fuzz/targets/client-hello.ts does so for the one in TypeScript.
#include <stdlib.h>
#include <string.h>

#include "../../src/relay/native/c/client-hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct client_hello hello, part;
  enum hello_state state = client_hello_read(&hello, data, size);
  if (memchr(hello.name, 0, sizeof hello.name) == NULL) abort();
  if (state == HELLO_PARTIAL && (hello.needed <= size || hello.needed > CLIENT_HELLO_MAX)) abort();
  if (state != HELLO_WHOLE) return 0;
  // A copy of its own size: a sanitizer then sees every byte read behind the end.
  for (size_t n = hello.needed < 64 ? 0 : hello.needed - 64; n < hello.needed; n++) {
    uint8_t *copy = malloc(n + !n);
    memcpy(copy, data, n);
    if (client_hello_read(&part, copy, n) != HELLO_PARTIAL) abort();
    free(copy);
  }
  return 0;
}
