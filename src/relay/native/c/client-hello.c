// See client-hello.h.
#include "client-hello.h"

#include <string.h>

enum { HANDSHAKE = 22, CLIENT_HELLO = 1, SERVER_NAME = 0, ALPN = 16, SUPPORTED_VERSIONS = 43 };

// Bytes that are left to read. Once something is missing, `lost` is set and every further read is of zeros.
struct reader {
  const uint8_t *p, *end;
  int lost;
};

static const uint8_t *take(struct reader *r, size_t n) {
  static const uint8_t zeros[4];
  if (r->lost || (size_t)(r->end - r->p) < n) {
    r->lost = 1;
    r->p = r->end;
    return zeros;
  }
  r->p += n;
  return r->p - n;
}

static size_t number(struct reader *r, size_t octets) {
  const uint8_t *p = take(r, octets);
  size_t n = 0;
  for (size_t i = 0; i < octets; i++) n = n << 8 | p[i];
  return n;
}

// A vector whose length stands before it in so many octets (RFC 8446 §3.4).
static struct reader vector(struct reader *r, size_t octets) {
  size_t n = number(r, octets);
  if (r->lost || (size_t)(r->end - r->p) < n) {
    r->lost = 1;
    return (struct reader){.p = r->end, .end = r->end, .lost = 1};
  }
  const uint8_t *p = take(r, n);
  return (struct reader){.p = p, .end = p + n};
}

static int left(const struct reader *r) { return !r->lost && r->p < r->end; }

// Letters, digits, hyphens, dots and underscores in lower case; else the name stays empty.
static void read_name(struct client_hello *to, struct reader name) {
  size_t n = (size_t)(name.end - name.p);
  if (n >= sizeof to->name) return;
  for (size_t i = 0; i < n; i++) {
    uint8_t c = name.p[i];
    if (c >= 'A' && c <= 'Z') c |= 0x20;
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_')) {
      to->name[0] = 0;
      return;
    }
    to->name[i] = (char)c;
  }
  to->name[n] = 0;
}

static void read_server_name(struct client_hello *to, struct reader *r) {
  struct reader list = vector(r, 2);
  while (left(&list)) {
    size_t type = number(&list, 1);
    struct reader name = vector(&list, 2);
    if (type == 0 && !name.lost && !to->name[0]) read_name(to, name);
  }
  r->lost |= list.lost;
}

static int is(const struct reader *r, const char *text) {
  size_t n = strlen(text);
  return (size_t)(r->end - r->p) == n && memcmp(r->p, text, n) == 0;
}

static void read_alpn(struct client_hello *to, struct reader *r) {
  struct reader list = vector(r, 2);
  to->has_alpn = 1;
  while (left(&list)) {
    struct reader protocol = vector(&list, 1);
    to->http11 |= (uint8_t)is(&protocol, "http/1.1");
    to->h2 |= (uint8_t)is(&protocol, "h2");
    to->acme |= (uint8_t)is(&protocol, "acme-tls/1");
  }
  r->lost |= list.lost;
}

static void read_versions(struct client_hello *to, struct reader *r) {
  struct reader list = vector(r, 1);
  to->tls12 = to->tls13 = 0;
  while (left(&list)) {
    size_t version = number(&list, 2);
    to->tls12 |= version == 0x303;
    to->tls13 |= version == 0x304;
  }
  r->lost |= list.lost;
}

static void read_extensions(struct client_hello *to, struct reader *r) {
  struct reader all = vector(r, 2);
  while (left(&all)) {
    size_t type = number(&all, 2);
    struct reader one = vector(&all, 2);
    if (type == SERVER_NAME) read_server_name(to, &one);
    else if (type == ALPN) read_alpn(to, &one);
    else if (type == SUPPORTED_VERSIONS) read_versions(to, &one);
    all.lost |= one.lost;
  }
  r->lost |= all.lost;
}

enum hello_state client_hello_read(struct client_hello *to, const uint8_t *p, size_t n) {
  memset(to, 0, sizeof *to);
  if (n && p[0] != HANDSHAKE) return HELLO_OTHER;
  to->needed = 5;
  if (n < 5) return HELLO_PARTIAL;
  size_t length = (size_t)p[3] << 8 | p[4];
  if (p[1] != 3 || length < 4 || length > CLIENT_HELLO_MAX - 5) return HELLO_OTHER;
  to->needed = 5 + length;
  if (n < to->needed) return n > 5 && p[5] != CLIENT_HELLO ? HELLO_OTHER : HELLO_PARTIAL;
  struct reader record = {.p = p + 5, .end = p + to->needed};
  if (number(&record, 1) != CLIENT_HELLO) return HELLO_OTHER;
  struct reader hello = vector(&record, 3);
  to->tls12 = number(&hello, 2) >= 0x303;
  take(&hello, 32);     // random
  vector(&hello, 1);    // session id
  vector(&hello, 2);    // cipher suites
  vector(&hello, 1);    // compression methods
  if (left(&hello)) read_extensions(to, &hello);
  // More than one message in the record, or a message that does not end with its fields: another parser's business.
  return hello.lost || record.lost || left(&hello) || left(&record) ? HELLO_OTHER : HELLO_WHOLE;
}
