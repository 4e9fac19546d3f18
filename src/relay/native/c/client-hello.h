// Looks at a ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) that has been peeked in a socket: whom it is for, and what
// its client speaks. Judges nothing else of it, allocates nothing, and is linear in what it is given. Pure.
#ifndef UPGATE_CLIENT_HELLO_H
#define UPGATE_CLIENT_HELLO_H

#include <stddef.h>
#include <stdint.h>

// A record's header and its longest fragment (RFC 8446 §5.1).
#define CLIENT_HELLO_MAX (5 + 16384)

enum hello_state {
  HELLO_WHOLE,    // all fields are set
  HELLO_PARTIAL,  // `needed` bytes have to be there
  HELLO_OTHER,    // no ClientHello, or one that is not whole in one record
};

struct client_hello {
  size_t needed;
  char name[256];       // the server's name (RFC 6066 §3) in lower case; empty where none was given, or none that is a name
  uint8_t tls12, tls13;  // which versions the client speaks
  uint8_t has_alpn;      // it offers protocols by ALPN (RFC 7301), and among them:
  uint8_t http11, h2, acme;
};

enum hello_state client_hello_read(struct client_hello *to, const uint8_t *p, size_t n);

#endif
