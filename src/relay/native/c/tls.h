// TLS on one connection, as its server (RFC 8446, RFC 5246): OpenSSL between a socket and the plain bytes. conn.c reads and
// writes through it, so that cursor, limits and closing are the same for a tunnel with TLS and one without. What is ours
// is when it is called and what is made of its result; the protocol and the ciphers are OpenSSL's.
//
// Invariants:
// - only the thread that holds a `struct tls` calls anything on it; it may be handed from one thread to another, as the
//   descriptor is that goes with it;
// - it never closes its descriptor, and never blocks on it;
// - a read that got less than was asked for has taken all there was, as conn_read() promises: OpenSSL holds no byte back. There
//   are two exceptions. Where tls_has_more() the next read has something at once, which no event reports: the end of the stream,
//   for one, whose record came with the last bytes. And a read that has to write first, such as the answer to an update of keys,
//   may find the socket full: EPOLLOUT reports when to read again;
// - OpenSSL keeps a record that the socket did not take whole. So a write that took less has to be repeated with the same
//   bytes first, which conn.c does: it keeps what was not taken, in order;
// - errors of OpenSSL are a thread's: each call begins with none.
#ifndef UPGATE_TLS_H
#define UPGATE_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tls-context.h"

struct tls;

enum tls_state { TLS_DONE, TLS_READS, TLS_WRITES, TLS_FAILED };

// Once for the process, behind openssl_load(). Returns 0 where there is no memory.
int tls_load(void);

// For a connection that has sent a ClientHello, which is still to be read; `context` is one of `contexts`. Null where there is
// no memory.
struct tls *tls_new(struct tls_contexts *contexts, SSL_CTX *context, int fd);
void tls_free(struct tls *tls);

// Goes on with the handshake: done, or waiting until the socket can be read or written, or failed.
enum tls_state tls_handshake(struct tls *tls);
// Why it failed, in OpenSSL's words or the system's.
const char *tls_failure(const struct tls *tls);
// Of a handshake that is done: whether a session from before was resumed, and the name that the client asked for, or null.
int tls_resumed(const struct tls *tls);
const char *tls_server_name(const struct tls *tls);

// As conn_read() and conn_write() in conn.h.
ssize_t tls_read(struct tls *tls, void *to, size_t n);
// Whether the last read has left something for the next one.
int tls_has_more(const struct tls *tls);
ssize_t tls_write(struct tls *tls, const void *from, size_t n);
// Sends close_notify (RFC 8446 §6.1), where the socket takes it at once. What the peer sends can still be read.
void tls_shutdown(struct tls *tls);

#endif
