// The C cursor as a program, for tests that compare it with the TypeScript one. Reads records from stdin until its end:
// how many bytes, how many cuts (both 32-bit, the machine's order), the cuts, the bytes. Prints the events of each as a
// line of JSON, in the words of test/fixtures/cursor-vectors.json.
#include <inttypes.h>
#include <stdio.h>

#include "cursor-drive.h"

#define SAFE ((1ull << 53) - 1)
static const char *const LOST[] = {"", "length", "control_length", "control_fragment"};
static int comma;

static uint64_t safe(uint64_t n) { return n > SAFE ? SAFE : n; }
static const char *word(int yes) { return yes ? "true" : "false"; }

static void print_code(const struct cursor *c) {
  if (c->code) printf("\"closeCode\":%u", c->code & 0xffff);
  else printf("\"closeCode\":null");
}

static void print(void *to, enum cursor_event what, uint64_t at, const struct cursor *c, int ends_message) {
  (void)to;
  printf("%s{\"at\":%" PRIu64 ",", comma ? "," : "", at);
  comma = 1;
  if (what == EVENT_LOST) {
    printf("\"event\":\"lost\",\"because\":\"%s\"}", LOST[c->lost]);
  } else if (what == EVENT_FRAME) {
    printf("\"event\":\"frame\",\"endsMessage\":%s,", word(ends_message));
    print_code(c);
    printf("}");
  } else {
    printf("\"event\":\"header\",\"opcode\":%u,\"fin\":%s,\"masked\":%s,\"length\":%" PRIu64
           ",\"starts\":%s,\"messageLength\":%" PRIu64 "}",
           c->opcode, word(c->fin), word(c->masked), safe(c->length), word(c->starts), safe(c->message));
  }
}

int main(void) {
  uint32_t size[2];
  while (fread(size, sizeof size, 1, stdin) == 1) {
    uint32_t *cuts = malloc((size[1] + 1) * sizeof *cuts);
    uint8_t *bytes = malloc(size[0] + 1);
    if (!cuts || !bytes) return 1;
    if (fread(cuts, sizeof *cuts, size[1], stdin) != size[1] || fread(bytes, 1, size[0], stdin) != size[0]) return 2;
    cuts[size[1]] = size[0];
    struct drive d = {.on_event = print};
    comma = 0;
    printf("{\"events\":[");
    for (uint32_t i = 0, from = 0; i <= size[1]; from = cuts[i++]) drive_piece(&d, bytes + from, cuts[i] - from);
    const struct cursor *c = &d.cursor;
    int at_frame = !c->left && !c->lost;
    printf("],\"end\":{\"held\":%zu,\"atFrame\":%s,\"atMessage\":%s,\"lost\":", d.held_length, word(at_frame),
           word(at_frame && !c->open));
    if (c->lost) printf("\"%s\",", LOST[c->lost]);
    else printf("null,");
    print_code(c);
    printf("}}\n");
    // A reader that writes one record and waits for its line must get it.
    fflush(stdout);
    free(cuts);
    free(bytes);
  }
  return 0;
}
