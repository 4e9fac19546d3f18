// The native listeners without Node, for ThreadSanitizer, valgrind and the leak checker: clients over loopback TCP that
// send at once, late or never, or leave with a FIN or a reset before their first byte, at two listeners that close and
// reopen meanwhile, with a main thread that takes events slowly. Checks that each client that has sent bytes is
// published at most once, with its bytes from the first one on and its address, that nothing is published behind a
// listener's close, and that every listener closes. Some of the accepted connections are watched: each is published as
// closed once, and not before it is.
//   listener-stress [connections [seed]]
#define _GNU_SOURCE
#include <fcntl.h>

#include "stress.h"

#define CLIENTS 48
#define LISTENERS 2
#define NUMBERS 100000
#define FIRST_ADDRESS 0x7f010000u  // 127.1.0.0

// A client's address comes from its number, so that it cannot be mistaken for another. The kernel gives the same port
// to clients of two listeners, and again to the next client of a listener after a reset, published or not.
struct client {
  int fd;
  uint32_t number;
  uint32_t sent;
};

struct listen_socket {
  int fd;  // ours; the listener has a copy
  struct sockaddr_in at;
  uint64_t id;  // of the open listener; 0: none
  int closing;
};

static struct client clients[CLIENTS];
static struct listen_socket listen_sockets[LISTENERS];
static uint8_t seen[NUMBERS];  // by a client's number
static uint32_t next_number;
static uint64_t accepted_count, with_bytes, without_bytes, listeners_closed, peers_closed;

// Connections that are watched, by their clients' numbers.
enum { NOT_WATCHED, WATCHED, FORGOTTEN };
static struct {
  int fd, what;
} watched[NUMBERS];

static void send_to_listener(uint32_t listener, enum command_kind kind) {
  struct listen_socket *s = &listen_sockets[listener];
  struct command *c = calloc(1, sizeof *c);
  c->kind = kind;
  if (kind == DO_LISTEN) {
    s->id = ID(listener % engine.count, listener, next_generation++);
    c->listener = listener_new(s->id, fcntl(s->fd, F_DUPFD_CLOEXEC, 3), 1 + roll(20), NULL, 0);
  } else {
    s->closing = 1;
  }
  c->id = s->id;
  engine_send(&engine, c);
}

// -- Events ---------------------------------------------------------------------------------------------------------

static void on_accepted(const struct accepted_conn *a) {
  char address[INET_ADDRSTRLEN];
  struct listen_socket *s = &listen_sockets[ID_SLOT(a->listener_id)];
  if (ID_SLOT(a->listener_id) >= LISTENERS || s->id != a->listener_id) die("a connection of no open listener");
  if (a->fd < 0 && !a->error) {
    if (!s->closing) die("a listener has closed by itself");
    s->id = 0;
    s->closing = 0;
    listeners_closed++;
    return;
  }
  if (a->fd < 0) die("accepting failed");
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  struct in_addr from;
  accepted_count++;
  uint32_t number = inet_pton(AF_INET, a->address, &from) == 1 ? ntohl(from.s_addr) - FIRST_ADDRESS : NUMBERS;
  if (number >= NUMBERS) die("a connection of no client");
  if (seen[number]) die("a connection was published twice");
  seen[number] = 1;
  if (!getpeername(a->fd, (void *)&peer, &size)) {  // it may have left
    inet_ntop(AF_INET, &peer.sin_addr, address, sizeof address);
    if (strcmp(address, a->address) || ntohs(peer.sin_port) != a->port) die("the address is another's");
  }
  if (a->length) with_bytes++;
  else without_bytes++;
  // Every client sends its number, over and over.
  char want[8];
  snprintf(want, sizeof want, "%05u", number);
  for (uint32_t i = 0; i < a->length; i++) {
    if (a->bytes[i] != (uint8_t)want[i % 5]) die("bytes changed on their way");
  }
  if (roll(2) && !engine_watch(&engine, roll(engine.count), a->fd, number)) {
    watched[number].fd = a->fd;
    watched[number].what = WATCHED;
  } else {
    close(a->fd);
  }
}

static void on_peer_closed(uint64_t number) {
  if (number >= NUMBERS || watched[number].what == NOT_WATCHED) die("a close of a connection that is not watched");
  for (int i = 0; i < CLIENTS; i++) {
    if (clients[i].fd >= 0 && clients[i].number == number && watched[number].what == WATCHED) die("a close of a connection that is open");
  }
  if (watched[number].what == WATCHED) close(watched[number].fd);
  watched[number].what = NOT_WATCHED;
  peers_closed++;
}

// This number's event is ignored from now on, as where the connection has become a tunnel's; it may be published
// already.
static void forget(uint32_t number) {
  if (watched[number].what != WATCHED) return;
  close(watched[number].fd);
  watched[number].what = FORGOTTEN;
}

static void take_events(void) {
  if (!take_notification()) return;
  for (struct accepted_conn *a = engine_take(&engine, EVENT_ACCEPTED), *next; a; a = next) {
    next = (struct accepted_conn *)a->link.next;
    on_accepted(a);
    free(a);
  }
  for (struct peer_closed *l = engine_take(&engine, EVENT_PEER_CLOSED), *next; l; l = next) {
    next = (struct peer_closed *)l->link.next;
    on_peer_closed(l->id);
    free(l);
  }
}

// -- The clients' part ----------------------------------------------------------------------------------------------

static void send_number(struct client *c) {
  char numbers[50];
  for (int i = 0; i < 10; i++) snprintf(numbers + i * 5, sizeof numbers - (size_t)i * 5, "%05u", c->number);
  // The server may have closed a connection that was published: then this fails, which is right.
  uint32_t n = 1 + roll(49 - c->sent % 5), from = c->sent % 5;
  ssize_t put = send(c->fd, numbers + from, n > 49 - from ? 49 - from : n, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (put > 0) c->sent += (uint32_t)put;
}

static void leave(struct client *c, int reset) {
  struct linger linger = {1, 0};
  if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(c->fd);
  c->fd = -1;
}

static void connect_client(struct client *c) {
  c->number = next_number++ % NUMBERS;
  c->sent = 0;
  seen[c->number] = 0;
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(FIRST_ADDRESS + c->number)};
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind(c->fd, (void *)&own, sizeof own)) die("bind");
  const struct listen_socket *s = &listen_sockets[roll(LISTENERS)];
  if (connect(c->fd, (const void *)&s->at, sizeof s->at) && errno != EINPROGRESS) {
    leave(c, 1);
    return;
  }
  if (roll(3)) send_number(c);
}

int main(int argc, char **argv) {
  uint64_t wanted = begin(argc, argv);
  for (int i = 0; i < CLIENTS; i++) clients[i].fd = -1;
  for (int i = 0; i < LISTENERS; i++) listen_sockets[i].fd = listen_at(&listen_sockets[i].at);
  uint64_t due = wanted / 20;  // connections until a listener is closed
  for (uint64_t step = 0; accepted_count < wanted; step++) {
    struct client *c = &clients[roll(CLIENTS)];
    if (step % 32 == 0) take_events();
    if (c->fd < 0) connect_client(c);
    else if (!roll(4)) leave(c, (int)roll(2));
    else if (!roll(3)) send_number(c);
    else if (!roll(20)) forget(c->number);
    uint32_t listener = roll(LISTENERS);
    if (!listen_sockets[listener].id) send_to_listener(listener, DO_LISTEN);
    else if (!listen_sockets[listener].closing && accepted_count >= due) {
      send_to_listener(listener, DO_UNLISTEN);
      due += wanted / 10 + 1;
    }
  }
  if (with_bytes < accepted_count / 8 || !listeners_closed) die("hardly any client sent a byte, or no listener has closed");
  if (peers_closed < accepted_count / 20) die("hardly any close of a watched connection was published");
  printf("%llu connections, each published once, %llu of them with bytes, %llu without; closed: %llu listeners, %llu watched\n",
         (unsigned long long)accepted_count, (unsigned long long)with_bytes, (unsigned long long)without_bytes,
         (unsigned long long)listeners_closed, (unsigned long long)peers_closed);
  // Listeners are open and connections pending when the engine stops.
  engine_stop(&engine);
  for (int i = 0; i < CLIENTS; i++) {
    if (clients[i].fd >= 0) close(clients[i].fd);
  }
  for (uint32_t i = 0; i < NUMBERS; i++) forget(i);
  for (int i = 0; i < LISTENERS; i++) close(listen_sockets[i].fd);
  return 0;
}
