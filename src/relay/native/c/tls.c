// See tls.h.
#define _GNU_SOURCE
#include "tls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conn.h"

struct tls {
  SSL *ssl;
  struct tls_contexts *contexts;  // a reference: OpenSSL asks it for ticket keys
  int fd;
  int error;            // errno of the socket's last failure; else 0
  const char *failure;  // why the handshake failed; a constant of OpenSSL's or of the system's
  uint8_t drained;      // the socket gave less than there was room for: it has no more until epoll says so
  uint8_t starved;      // OpenSSL asked for more than there is
  uint8_t ended;        // its stream has ended
  uint8_t broken;       // OpenSSL has given up: no further call
  uint8_t more;         // see tls_has_more()
};

// How many records without a byte for us one read takes. OpenSSL bounds empty records and alerts, but not key updates, and a
// client that sends nothing else could keep the thread to itself.
#define OTHER_RECORDS_MAX 32

static BIO_METHOD *method;

// -- The socket below -----------------------------------------------------------------------------------------------

// What BIO_clear_retry_flags() of bio.h does. Both directions: SSL_get_error() takes a failed write for one that waits where
// the last read had to wait, and the other way round.
static void clear_retry(BIO *bio) { ossl.BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY); }

static int bio_read(BIO *bio, char *to, int n) {
  struct tls *tls = ossl.BIO_get_data(bio);
  clear_retry(bio);
  ssize_t got = -1;
  if (!tls->drained) {
    do got = recv(tls->fd, to, (size_t)n, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got == 0) tls->ended = 1;
    if (got >= 0) {
      tls->drained = got < n && got > 0;
      return (int)got;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      tls->error = errno;
      return -1;
    }
    tls->drained = 1;
  }
  tls->starved = 1;
  ossl.BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
  return -1;
}

static int bio_write(BIO *bio, const char *from, int n) {
  struct tls *tls = ossl.BIO_get_data(bio);
  clear_retry(bio);
  ssize_t put;
  do put = send(tls->fd, from, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (put < 0 && errno == EINTR);
  if (put >= 0) return (int)put;
  if (errno == EAGAIN || errno == EWOULDBLOCK) ossl.BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY);
  else tls->error = errno;
  return -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
  (void)number;
  (void)pointer;
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return ((struct tls *)ossl.BIO_get_data(bio))->ended;
  return 0;
}

int tls_load(void) {
  if (method) return 1;
  BIO_METHOD *made = ossl.BIO_meth_new(ossl.BIO_get_new_index(), "upgate socket");
  if (!made) return 0;
  ossl.BIO_meth_set_read(made, bio_read);
  ossl.BIO_meth_set_write(made, bio_write);
  ossl.BIO_meth_set_ctrl(made, bio_ctrl);
  method = made;
  return 1;
}

// -- Its life -------------------------------------------------------------------------------------------------------

struct tls *tls_new(struct tls_contexts *contexts, SSL_CTX *context, int fd) {
  struct tls *tls = calloc(1, sizeof *tls);
  BIO *bio = tls ? ossl.BIO_new(method) : NULL;
  SSL *ssl = bio ? ossl.SSL_new(context) : NULL;
  if (!ssl) {
    if (bio) ossl.BIO_free(bio);
    free(tls);
    return NULL;
  }
  tls->ssl = ssl;
  tls->contexts = contexts;
  tls_contexts_hold(contexts);
  tls->fd = fd;
  ossl.BIO_set_data(bio, tls);
  ossl.BIO_set_init(bio, 1);
  ossl.SSL_set_bio(ssl, bio, bio);  // one reference for both
  ossl.SSL_set_accept_state(ssl);
  return tls;
}

void tls_free(struct tls *tls) {
  if (!tls) return;
  ossl.SSL_free(tls->ssl);
  ossl.ERR_clear_error();
  tls_contexts_release(tls->contexts);
  free(tls);
}

// -- The handshake --------------------------------------------------------------------------------------------------

// What OpenSSL or the system says of the failure; the text is a constant.
static const char *reason_of(const struct tls *tls, int error) {
  if (error == SSL_ERROR_SSL) {
    const char *reason = ossl.ERR_reason_error_string(ossl.ERR_peek_error());
    return reason ? reason : "protocol error";
  }
  if (tls->error == ECONNRESET || tls->error == EPIPE) return "connection reset";
  return tls->error ? "connection failed" : "connection closed";
}

enum tls_state tls_handshake(struct tls *tls) {
  ossl.ERR_clear_error();
  tls->drained = 0;
  int done = ossl.SSL_do_handshake(tls->ssl);
  if (done == 1) return TLS_DONE;
  int error = ossl.SSL_get_error(tls->ssl, done);
  if (error == SSL_ERROR_WANT_READ) return TLS_READS;
  if (error == SSL_ERROR_WANT_WRITE) return TLS_WRITES;
  tls->failure = reason_of(tls, error);
  tls->broken = 1;
  ossl.ERR_clear_error();
  return TLS_FAILED;
}

const char *tls_failure(const struct tls *tls) { return tls->failure; }

int tls_resumed(const struct tls *tls) { return ossl.SSL_session_reused(tls->ssl); }

const char *tls_server_name(const struct tls *tls) { return ossl.SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name); }

// -- Plain bytes ----------------------------------------------------------------------------------------------------

ssize_t tls_read(struct tls *tls, void *to, size_t n) {
  if (tls->broken) return CONN_RESET;
  ossl.ERR_clear_error();
  tls->drained = tls->more = 0;
  size_t got = 0;
  int others = 0;
  // One call takes one record at most.
  while (got < n) {
    size_t room = n - got;
    tls->starved = 0;
    int part = ossl.SSL_read(tls->ssl, (uint8_t *)to + got, room > INT_MAX ? INT_MAX : (int)room);
    if (part > 0) {
      got += (size_t)part;
      continue;
    }
    int error = ossl.SSL_get_error(tls->ssl, part);
    if (error == SSL_ERROR_WANT_WRITE || (error == SSL_ERROR_WANT_READ && tls->starved)) break;
    // A record of another kind, such as a key update (RFC 8446 §4.6.3); there may be bytes behind it.
    if (error == SSL_ERROR_WANT_READ && ++others < OTHER_RECORDS_MAX) continue;
    // What came before the end, the failure, or many other records is given first; the next call meets the same again.
    tls->more = got > 0;
    if (got) return (ssize_t)got;
    if (error == SSL_ERROR_ZERO_RETURN) return CONN_EOF;
    tls->broken = 1;
    ossl.ERR_clear_error();
    return CONN_RESET;
  }
  return got ? (ssize_t)got : CONN_AGAIN;
}

int tls_has_more(const struct tls *tls) { return tls->more; }

ssize_t tls_write(struct tls *tls, const void *from, size_t n) {
  if (tls->broken) return CONN_RESET;
  ossl.ERR_clear_error();
  size_t put = 0;
  // One call writes one record at most.
  while (put < n) {
    size_t rest = n - put;
    int part = ossl.SSL_write(tls->ssl, (const uint8_t *)from + put, rest > INT_MAX ? INT_MAX : (int)rest);
    if (part > 0) {
      put += (size_t)part;
      continue;
    }
    int error = ossl.SSL_get_error(tls->ssl, part);
    if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) break;
    tls->broken = 1;
    ossl.ERR_clear_error();
    return CONN_RESET;
  }
  return (ssize_t)put;
}

void tls_shutdown(struct tls *tls) {
  if (tls->broken) return;
  ossl.ERR_clear_error();
  ossl.SSL_shutdown(tls->ssl);
  ossl.ERR_clear_error();
}
