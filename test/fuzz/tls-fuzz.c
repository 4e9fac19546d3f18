// The record path of the threads' TLS under libFuzzer: tls.c on one end of a pair of sockets, OpenSSL's own client at the other,
// and the input's octets say what happens between them. What the client has sent is delivered in pieces of any size, changed
// or not, with other octets between; both sides read and write with room for any number of bytes, renew keys, and leave. What
// must hold: whatever was done to the octets, tls_read() gives the beginning of what the client sent and nothing else, in order;
// a read that got less than it asked for has taken all there was, unless it has to write first and can't; where nothing was
// changed, all of it comes, and the end.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/relay/native/c/conn.h"
#include "../../src/relay/native/c/tls.h"
#include "openssl-client.h"
#include "tls-stress-pair.h"

// Beside these, of the client's side:
const void *BIO_s_mem(void);
void SSL_set_bio(SSL *, BIO *, BIO *);
BIO *BIO_new(const void *);
int BIO_read(BIO *, void *, int);
int BIO_write(BIO *, const void *, int);
#define MOST (1u << 17)

static struct tls_contexts *contexts;
static SSL_CTX *clients[2];

// What the input still says.
struct input {
  const uint8_t *p, *end;
};

static uint8_t octet(struct input *in) { return in->p < in->end ? *in->p++ : 0; }

// Small numbers mostly, and some that are larger than a record.
static size_t size(struct input *in) {
  size_t n = octet(in);
  return n < 200 ? n + 1 : n < 240 ? (n - 199) * 97 : (n - 239) * 4099;
}

struct run {
  struct tls *tls;
  SSL *client;
  BIO *to_client, *from_client;
  int fd[2];          // the server's and the client's end
  uint32_t sent, got;  // plain bytes toward the server
  uint32_t put, back;  // and toward the client
  int changed, ended, left, taken;  // taken: the server has read all there was
};

static uint8_t byte_at(uint32_t at) { return (uint8_t)(at * 2654435761u >> 13); }

static void fail(const char *what) {
  fprintf(stderr, "tls-fuzz: %s\n", what);
  abort();
}

static void check(const uint8_t *p, size_t n, uint32_t from) {
  for (size_t i = 0; i < n; i++)
    if (p[i] != byte_at(from + (uint32_t)i)) fail("bytes that nobody has sent");
}

static void deliver(struct run *r, const uint8_t *p, size_t n) {
  while (n) {
    ssize_t put = send(r->fd[1], p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put <= 0) {  // the rest is lost: a change like any other
      r->changed = 1;
      return;
    }
    r->taken = 0;
    p += put;
    n -= (size_t)put;
  }
}

// At most n octets of what the client has sent, with `flip` in one of them.
static void pass_on(struct run *r, size_t n, uint8_t flip) {
  static uint8_t octets[MOST];
  int got = BIO_read(r->from_client, octets, (int)(n < sizeof octets ? n : sizeof octets));
  if (got <= 0) return;
  if (flip) {
    octets[(size_t)flip * 31 % (size_t)got] ^= flip;
    r->changed = 1;
  }
  deliver(r, octets, (size_t)got);
}

// Octets of the input itself.
static void inject(struct run *r, struct input *in) {
  size_t n = size(in);
  if (n > (size_t)(in->end - in->p)) n = (size_t)(in->end - in->p);
  r->changed |= n > 0;
  deliver(r, in->p, n);
  in->p += n;
}

static void client_reads(struct run *r) {
  static uint8_t octets[MOST];
  for (ssize_t n; (n = recv(r->fd[1], octets, sizeof octets, MSG_DONTWAIT)) > 0;) BIO_write(r->to_client, octets, (int)n);
  ERR_clear_error();
  for (int n; (n = SSL_read(r->client, octets, sizeof octets)) > 0; r->back += (uint32_t)n) check(octets, (size_t)n, r->back);
  if (r->back > r->put) fail("more came to the client than was written");
}

// Whether the server's socket takes more. An answer to an update of keys waits until it does, and what is read with it.
static int takes_more(const struct run *r) {
  struct pollfd p = {.fd = r->fd[0], .events = POLLOUT};
  return poll(&p, 1, 0) > 0;
}

static void server_reads(struct run *r, size_t n) {
  uint8_t *to = malloc(n);  // of its own size: a sanitizer sees what is written behind it
  ssize_t got = tls_read(r->tls, to, n);
  if (got > 0) {
    if (r->taken) fail("a read that got less had not taken all there was");
    check(to, (size_t)got, r->got);
    r->got += (uint32_t)got;
    if (r->got > r->sent) fail("more came than was sent");
    r->taken = (size_t)got < n && !tls_has_more(r->tls) && takes_more(r);
  } else if (got == CONN_AGAIN) {
    r->taken = takes_more(r);
  } else {
    if (r->taken) fail("a read that got less had left the end, and not said so");
    if (got == CONN_RESET && !r->changed) fail("a stream that nobody has changed was broken off");
    if (got == CONN_EOF && !r->left && !r->changed) fail("an end that nobody has made");
    r->ended = 1;
  }
  free(to);
}

static void server_writes(struct run *r, size_t n) {
  static uint8_t octets[MOST];
  if (r->ended) return;
  for (size_t i = 0; i < n; i++) octets[i] = byte_at(r->put + (uint32_t)i);
  // A record can have gone before tls_write() counts it.
  r->put += (uint32_t)n;
  // What was not taken is written again first, by the same bytes: as conn.c keeps them.
  for (size_t at = 0; at < n;) {
    ssize_t put = tls_write(r->tls, octets + at, n - at);
    if (put == CONN_RESET) {
      if (!r->changed && !r->left) fail("a write failed");
      r->ended = 1;
      return;
    }
    at += (size_t)put;
    if (at < n) client_reads(r);
  }
}

static void client_writes(struct run *r, size_t n) {
  static uint8_t octets[MOST];
  if (r->left || r->sent > MOST) return;
  for (size_t i = 0; i < n; i++) octets[i] = byte_at(r->sent + (uint32_t)i);
  ERR_clear_error();
  int put = SSL_write(r->client, octets, (int)n);
  if (put > 0) r->sent += (uint32_t)put;
}

static void act(struct run *r, struct input *in) {
  uint8_t what = octet(in);
  switch (what % 10) {
    case 0: client_writes(r, size(in)); break;
    case 1: pass_on(r, size(in), 0); break;
    case 2: pass_on(r, MOST, 0); break;
    case 3: server_reads(r, size(in)); break;
    case 4: server_writes(r, size(in)); break;
    case 5: client_reads(r); break;
    case 6:
      ERR_clear_error();
      if (SSL_key_update(r->client, what / 10 % 2) == 1) SSL_do_handshake(r->client);
      break;
    case 7: pass_on(r, size(in), octet(in)); break;
    case 8: inject(r, in); break;
    case 9:
      if (what < 128) {
        if (!r->left) SSL_shutdown(r->client);
        r->left = 1;
      } else {
        tls_shutdown(r->tls);
        r->ended = 1;
      }
      break;
  }
}

// Returns whether it is done.
static int shake_hands(struct run *r, struct input *in) {
  for (int i = 0; i < 40; i++) {
    ERR_clear_error();
    int done = SSL_do_handshake(r->client);
    uint8_t how = octet(in);
    // Mostly whole, else in pieces, changed, or with other octets before it.
    if (how == 255) inject(r, in);
    else if (how >= 200) pass_on(r, how - 199u, how >= 250 ? how : 0);
    else pass_on(r, MOST, 0);
    enum tls_state state = tls_handshake(r->tls);
    if (state == TLS_FAILED) {
      if (!tls_failure(r->tls)) fail("a handshake failed without a reason");
      if (!r->changed && !r->left) fail("a handshake failed that nobody has changed");
      return 0;
    }
    uint8_t octets[8192];
    for (ssize_t n; (n = recv(r->fd[1], octets, sizeof octets, MSG_DONTWAIT)) > 0;) BIO_write(r->to_client, octets, (int)n);
    if (state == TLS_DONE && done == 1) return 1;
  }
  return 0;
}

// What nobody has changed comes to its end.
static void finish(struct run *r) {
  for (int i = 0; i < 200 && !r->ended; i++) {
    client_reads(r);
    pass_on(r, MOST / 16, 0);
    server_reads(r, MOST);
  }
  if (!r->changed && !r->ended && r->got != r->sent) fail("bytes were lost");
  if (!r->changed && r->left && !r->ended) fail("the end was lost");
}

static void load(void) {
  uint8_t keys[TICKET_KEY_SIZE] = {1};
  const char *why = openssl_load();
  if (why || !tls_load()) fail(why ? why : "tls_load");
  const struct tls_settings settings = {
      .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256", .cipher_suites = "TLS_AES_128_GCM_SHA256", .groups = "P-256",
      .min_version = TLS1_2_VERSION, .session_id_context = "fuzz", .ticket_keys = keys, .ticket_key_count = 1, .session_seconds = 300,
  };
  contexts = tls_contexts_new(&settings);
  why = contexts ? tls_contexts_add(contexts, PAIR_CERTIFICATE, PAIR_KEY, "localhost") : "contexts";
  if (why) fail(why);
  for (int i = 0; i < 2; i++) {
    clients[i] = SSL_CTX_new(TLS_client_method());
    SSL_CTX_ctrl(clients[i], SET_MAX_PROTO_VERSION, TLS1_2_VERSION + i, NULL);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
  if (!contexts) load();
  struct input in = {data, data + length};
  struct client_hello hello = {.tls12 = 1, .tls13 = 1};
  struct run r = {0};
  uint8_t first = octet(&in);
  // Room for little, so that writes are taken in part.
  int room = 4096;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, r.fd)) fail(strerror(errno));
  if (first & 2) setsockopt(r.fd[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  r.tls = tls_new(contexts, tls_contexts_for(contexts, &hello), r.fd[0]);
  r.client = SSL_new(clients[first & 1]);
  r.to_client = BIO_new(BIO_s_mem());
  r.from_client = BIO_new(BIO_s_mem());
  SSL_set_bio(r.client, r.to_client, r.from_client);
  SSL_set_connect_state(r.client);
  if (shake_hands(&r, &in)) {
    while (in.p < in.end && !r.ended) act(&r, &in);
    finish(&r);
  }
  tls_free(r.tls);
  SSL_free(r.client);
  close(r.fd[0]);
  close(r.fd[1]);
  return 0;
}
