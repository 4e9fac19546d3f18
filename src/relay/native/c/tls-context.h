// What a TLS listener serves: its certificates by server name, and the settings that all of them share. Made on the main
// thread from what TypeScript has read and checked; from then on it never changes, and a reload makes another one. Whoever
// uses it holds a reference, an open connection too, which keeps what it began with.
#ifndef UPGATE_TLS_CONTEXT_H
#define UPGATE_TLS_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "client-hello.h"
#include "openssl.h"

// A session ticket key as node takes it: name, key of the HMAC, key of AES-128, 16 octets each.
#define TICKET_KEY_SIZE 48
#define TICKET_KEYS_MAX 16

struct tls_settings {
  const char *ciphers;        // of TLS 1.2, as SSL_CTX_set_cipher_list(3) takes them
  const char *cipher_suites;  // of TLS 1.3
  const char *groups;
  int min_version;
  const char *session_id_context;  // the same for all engines and certificates that may resume each other's sessions
  const uint8_t *ticket_keys;      // the first one encrypts, all decrypt
  size_t ticket_key_count;
  uint32_t session_seconds;        // for how long a session may be resumed
  uint8_t server_order;  // the order of our ciphers counts, not the client's
  uint8_t strict_sni;    // a client that asks for no name that is known is refused
  uint8_t http2;         // the listener speaks HTTP/2, which these threads don't
};

struct tls_contexts;

// Holds one reference; null where there is no memory, or a setting that OpenSSL does not take is found by the first
// certificate.
struct tls_contexts *tls_contexts_new(const struct tls_settings *settings);
void tls_contexts_hold(struct tls_contexts *all);
void tls_contexts_release(struct tls_contexts *all);

// Adds a certificate with its chain, its key, and the names it is served for, in lower case, one a line. A name that an
// earlier one has stays that one's; the first is the default. Returns null, or what OpenSSL says is wrong.
const char *tls_contexts_add(struct tls_contexts *all, const char *chain, const char *key, const char *names);

// The context for this client; null where another engine has to serve it, or to refuse it: it offers HTTP/2 where that is
// spoken, or a certificate of ACME's TLS-ALPN challenge (RFC 8737), or no protocol or version of ours, or no known name
// where one is asked for.
SSL_CTX *tls_contexts_for(const struct tls_contexts *all, const struct client_hello *hello);

#endif
