// TLS of the native relay without Node, for ThreadSanitizer, valgrind and the leak checker: clients of OpenSSL's own over
// loopback TCP that shake hands with two listeners, whole or broken off, send in pieces of all sizes, renew their keys, and
// leave by close_notify, FIN or reset. Most connections become tunnels to a server that echoes; the others are dropped with
// their TLS, as JavaScript does it. The certificates are swapped meanwhile. Checks that each client gets back what it has
// sent, in order, and that every tunnel ends.
//   tls-stress [connections [seed]]
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>

#include "openssl-client.h"
#include "stress.h"

// Beside these, of the clients' side:
void SSL_CTX_free(SSL_CTX *);
int SSL_set_fd(SSL *, int);
const char *SSL_get_version(const SSL *);

#define CLIENTS 24
#define TUNNELS 64
#define STREAM_MAX 200000u

// A key that stands in the open is good for nothing but this.
#include "tls-stress-pair.h"

struct client {
  int fd;
  SSL *ssl;
  int shaken, leaves;  // leaves: after this many more bytes; below 0: in the handshake
  uint32_t sent, got, seed, retry;
};

struct tunnel_side {
  uint64_t id;  // 0: free
  int fd;       // the server's end of the tunnel
  uint8_t pending[65536];
  uint32_t at, length;
  int ended, done;
};

static struct client clients[CLIENTS];
static struct tunnel_side sides[TUNNELS];
static struct { int fd; struct sockaddr_in at; uint64_t id; int closing; } listeners[2];
static struct tls_contexts *contexts;
static SSL_CTX *client_context[2];
static struct counters counters[2];
static struct policy policy = {.counters = counters, .idle_ms = UINT32_MAX, .stream = 1};
static struct activity activities[TUNNELS];
static uint64_t accepted_count, dropped, tunnels_closed, failures, echoed, whole, swaps;

static uint8_t byte_at(uint32_t seed, uint32_t at) { return (uint8_t)((at * 2654435761u + seed) >> 13); }

static struct tls_contexts *make_contexts(void) {
  uint8_t keys[2 * TICKET_KEY_SIZE];
  for (size_t i = 0; i < sizeof keys; i++) keys[i] = (uint8_t)(i + (swaps & 1 ? TICKET_KEY_SIZE : 0));
  const struct tls_settings settings = {
      .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256", .cipher_suites = "TLS_AES_128_GCM_SHA256", .groups = "P-256",
      .min_version = TLS1_2_VERSION, .session_id_context = "stress", .ticket_keys = keys, .ticket_key_count = 2, .session_seconds = 300,
  };
  struct tls_contexts *all = tls_contexts_new(&settings);
  if (!all) die("contexts");
  const char *why = tls_contexts_add(all, PAIR_CERTIFICATE, PAIR_KEY, "localhost\n*.localhost");
  if (why) die(why);
  return all;
}

static void send_command(enum command_kind kind, uint64_t id, struct command *c) {
  c->kind = kind;
  c->id = id;
  engine_send(&engine, c);
}

static void open_listener(int i) {
  struct command *c = calloc(1, sizeof *c);
  listeners[i].id = ID((unsigned)i % engine.count, (unsigned)i, next_generation++);
  // Some give up early. Not all: on a busy machine, under valgrind, no handshake is done in two seconds.
  uint32_t handshake_ms = roll(4) ? 60000 : 50 + roll(2000);
  tls_contexts_hold(contexts);
  c->listener = listener_new(listeners[i].id, fcntl(listeners[i].fd, F_DUPFD_CLOEXEC, 3), 1 + roll(20), contexts, handshake_ms);
  send_command(DO_LISTEN, listeners[i].id, c);
}

// -- Events ---------------------------------------------------------------------------------------------------------

static void on_accepted(struct accepted_conn *a) {
  int i = (int)ID_SLOT(a->listener_id);
  if (a->fd < 0 && !a->error) {
    if (!listeners[i].closing) die("a listener has closed by itself");
    listeners[i].id = 0;
    listeners[i].closing = 0;
    return;
  }
  if (a->error == ACCEPT_TLS_FAILED || a->error == ACCEPT_TLS_LEFT) {
    failures++;
    return;
  }
  if (a->fd < 0) die("accepting failed");
  accepted_count++;
  struct tunnel_side *s = sides;
  while (s < sides + TUNNELS && s->id) s++;
  int pair[2];
  if (!a->tls || s == sides + TUNNELS || !roll(8) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) {
    tls_free(a->tls);
    close(a->fd);
    dropped++;
    return;
  }
  *s = (struct tunnel_side){.fd = pair[0]};
  struct command *c = calloc(1, sizeof *c + a->length);
  c->fd[CLIENT] = a->fd;
  c->fd[BACKEND] = pair[1];
  c->tls = a->tls;
  c->policy = &policy;
  c->activity = &activities[s - sides];
  memset(c->activity, 0, sizeof *c->activity);
  c->to_backend = a->length;
  memcpy(c->early, a->bytes, a->length);
  // In any thread, also another one than has accepted it.
  s->id = ID(roll(engine.count), (unsigned)(s - sides), next_generation++);
  send_command(DO_OPEN, s->id, c);
}

static void on_closed(const struct close_record *r) {
  struct tunnel_side *s = &sides[ID_SLOT(r->id)];
  if (s->id != r->id) die("an end of no tunnel");
  close(s->fd);
  s->id = 0;
  tunnels_closed++;
}

static void take_events(void) {
  if (!take_notification()) return;
  for (struct accepted_conn *a = engine_take(&engine, EVENT_ACCEPTED), *next; a; a = next) {
    next = (struct accepted_conn *)a->link.next;
    on_accepted(a);
    free(a);
  }
  for (struct close_record *r = engine_take(&engine, EVENT_TUNNEL_CLOSED), *next; r; r = next) {
    next = (struct close_record *)r->link.next;
    on_closed(r);
    free(r);
  }
}

// -- Servers --------------------------------------------------------------------------------------------------------

static void echo(struct tunnel_side *s) {
  if (s->at == s->length && !s->ended) {
    ssize_t got = recv(s->fd, s->pending, 1 + roll(sizeof s->pending), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) s->ended = 1;
    s->at = 0;
    s->length = got > 0 ? (uint32_t)got : 0;
  }
  if (s->at < s->length) {
    ssize_t put = send(s->fd, s->pending + s->at, s->length - s->at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) s->at += (uint32_t)put;
    else if (errno != EAGAIN) s->at = s->length;
  } else if (s->ended && !s->done) {
    s->done = 1;
    shutdown(s->fd, SHUT_WR);
  }
}

// -- Clients --------------------------------------------------------------------------------------------------------

static void leave(struct client *c) {
  struct linger linger = {1, 0};
  uint32_t how = roll(3);
  if (how == 0 && c->shaken) SSL_shutdown(c->ssl);
  if (how == 2) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  SSL_free(c->ssl);
  ERR_clear_error();
  close(c->fd);
  c->fd = -1;
}

static void start(struct client *c) {
  *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), .seed = roll(1u << 30)};
  c->leaves = roll(6) ? (int)roll(STREAM_MAX) : -(int)(1 + roll(4));
  int i = (int)roll(2);
  if (connect(c->fd, (const void *)&listeners[i].at, sizeof listeners[i].at) && errno != EINPROGRESS) {
    close(c->fd);
    c->fd = -1;
    return;
  }
  c->ssl = SSL_new(client_context[roll(2)]);
  SSL_set_fd(c->ssl, c->fd);
  SSL_set_connect_state(c->ssl);
}

static int waits(const struct client *c, int result) {
  int error = SSL_get_error(c->ssl, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void send_some(struct client *c) {
  uint8_t bytes[40000];
  uint32_t n = c->retry ? c->retry : 1 + roll(roll(4) ? 300 : sizeof bytes);
  for (uint32_t i = 0; i < n; i++) bytes[i] = byte_at(c->seed, c->sent + i);
  int put = SSL_write(c->ssl, bytes, (int)n);
  if (put <= 0) {
    // The same bytes have to be written again.
    if (waits(c, put)) c->retry = n;
    else leave(c);
    return;
  }
  c->retry = 0;
  c->sent += (uint32_t)put;
  if (!roll(20) && SSL_get_version(c->ssl)[6] == '3') SSL_key_update(c->ssl, (int)roll(2));
}

static void receive_some(struct client *c) {
  uint8_t bytes[65536];
  int got = SSL_read(c->ssl, bytes, (int)(1 + roll(sizeof bytes)));
  if (got <= 0) {
    if (!waits(c, got)) leave(c);
    return;
  }
  for (int i = 0; i < got; i++) {
    if (bytes[i] != byte_at(c->seed, c->got + (uint32_t)i)) die("bytes changed on their way");
  }
  c->got += (uint32_t)got;
  echoed += (uint64_t)got;
  if (c->got > c->sent) die("more came back than was sent");
}

static void run_client(struct client *c) {
  ERR_clear_error();
  if (!c->shaken) {
    if (c->leaves < 0 && !++c->leaves) {
      leave(c);
      return;
    }
    int done = SSL_do_handshake(c->ssl);
    if (done == 1) c->shaken = 1;
    else if (!waits(c, done)) leave(c);
  } else if (c->sent < (uint32_t)c->leaves && roll(2)) {
    send_some(c);
  } else {
    receive_some(c);
    if (c->fd < 0 || c->sent < (uint32_t)c->leaves) return;
    if (c->got == c->sent) whole++;
    else if (roll(200)) return;  // most wait for their echo
    leave(c);
  }
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  const char *why = openssl_load();
  if (why || !tls_load()) die(why ? why : "tls_load");
  uint64_t wanted = begin(argc, argv);
  for (int i = 0; i < 2; i++) {
    client_context[i] = SSL_CTX_new(TLS_client_method());
    SSL_CTX_ctrl(client_context[i], SET_MAX_PROTO_VERSION, TLS1_2_VERSION + i, NULL);
    listeners[i].fd = listen_at(&listeners[i].at);
  }
  for (int i = 0; i < CLIENTS; i++) clients[i].fd = -1;
  contexts = make_contexts();
  while (accepted_count + failures < wanted || !echoed || !tunnels_closed) {
    take_events();
    for (int i = 0; i < TUNNELS; i++) {
      if (sides[i].id) echo(&sides[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
      if (clients[i].fd < 0) start(&clients[i]);
      else run_client(&clients[i]);
    }
    int i = (int)roll(2);
    if (!listeners[i].id) {
      open_listener(i);
    } else if (!listeners[i].closing && !roll(2000)) {
      listeners[i].closing = 1;
      send_command(DO_UNLISTEN, listeners[i].id, calloc(1, sizeof(struct command)));
    } else if (!listeners[i].closing && !roll(300)) {
      swaps++;
      tls_contexts_release(contexts);
      contexts = make_contexts();
      struct command *c = calloc(1, sizeof *c);
      tls_contexts_hold(contexts);
      c->contexts = contexts;
      send_command(DO_USE_TLS, listeners[i].id, c);
    }
  }
  printf("%llu connections over TLS, %llu failed handshakes, %llu dropped, %llu tunnels ended, %llu bytes came back, %llu whole, %llu swaps\n",
         (unsigned long long)accepted_count, (unsigned long long)failures, (unsigned long long)dropped,
         (unsigned long long)tunnels_closed, (unsigned long long)echoed, (unsigned long long)whole, (unsigned long long)swaps);
  // Handshakes and tunnels are under way when the engine stops.
  engine_stop(&engine);
  for (int i = 0; i < CLIENTS; i++) {
    if (clients[i].fd < 0) continue;
    SSL_free(clients[i].ssl);
    close(clients[i].fd);
  }
  for (int i = 0; i < TUNNELS; i++) {
    if (sides[i].id) close(sides[i].fd);
  }
  for (int i = 0; i < 2; i++) {
    SSL_CTX_free(client_context[i]);
    close(listeners[i].fd);
  }
  tls_contexts_release(contexts);
  return 0;
}
