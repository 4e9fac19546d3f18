// The native accept without Node, for ThreadSanitizer, valgrind and the leak checker: clients over loopback TCP that speak at
// once, late, never, or leave with a FIN or a reset before they have said a word, at two doors that are closed and opened
// anew meanwhile, told to somebody who hears slowly. Checks that each client that spoke is told of at most once, with what it
// said from the first byte on and the address it has, that nobody is told of behind a door's end, and that every door ends.
// Some of those that were told of are watched from then on: each is told of as left once, and not before it has.
//   listener-stress [connections [seed]]
#define _GNU_SOURCE
#include <fcntl.h>

#include "stress.h"

#define CLIENTS 48
#define LISTENERS 2
#define NUMBERS 100000
#define FIRST_ADDRESS 0x7f010000u  // 127.1.0.0

// A client's address is its number's, so that nobody else is taken for it: the kernel gives one port to clients of two doors,
// and to the next client of a door whose last one has reset its connection, whether that has been told of or not.
struct client {
  int fd;
  uint32_t number;
  uint32_t said;
};

struct listen_socket {
  int fd;  // ours; the door has a copy
  struct sockaddr_in at;
  uint64_t id;  // of the door that is open; 0: none
  int closing;
};

static struct client clients[CLIENTS];
static struct listen_socket listen_sockets[LISTENERS];
static uint8_t seen[NUMBERS];  // by a client's number
static uint32_t next_number;
static uint64_t accepted_count, with_words, silent, ends, left_after;

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
    c->listener = listener_new(s->id, fcntl(s->fd, F_DUPFD_CLOEXEC, 3), 1 + roll(20));
  } else {
    s->closing = 1;
  }
  c->id = s->id;
  engine_send(&engine, c);
}

// -- Who is told ----------------------------------------------------------------------------------------------------

static void on_accepted(const struct accepted_conn *a) {
  char address[INET_ADDRSTRLEN];
  struct listen_socket *s = &listen_sockets[ID_SLOT(a->listener_id)];
  if (ID_SLOT(a->listener_id) >= LISTENERS || s->id != a->listener_id) die("a guest of no open door");
  if (a->fd < 0 && !a->error) {
    if (!s->closing) die("a door has ended by itself");
    s->id = 0;
    s->closing = 0;
    ends++;
    return;
  }
  if (a->fd < 0) die("nobody could be accepted");
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  struct in_addr from;
  accepted_count++;
  uint32_t number = inet_pton(AF_INET, a->address, &from) == 1 ? ntohl(from.s_addr) - FIRST_ADDRESS : NUMBERS;
  if (number >= NUMBERS) die("a guest that never came");
  if (seen[number]) die("a guest was told of twice");
  seen[number] = 1;
  if (!getpeername(a->fd, (void *)&peer, &size)) {  // it may have left
    inet_ntop(AF_INET, &peer.sin_addr, address, sizeof address);
    if (strcmp(address, a->address) || ntohs(peer.sin_port) != a->port) die("the address is another's");
  }
  if (a->length) with_words++;
  else silent++;
  // Every client says its number, over and over.
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
  if (number >= NUMBERS || watched[number].what == NOT_WATCHED) die("one has left that is not watched");
  for (int i = 0; i < CLIENTS; i++) {
    if (clients[i].fd >= 0 && clients[i].number == number && watched[number].what == WATCHED) die("one has left that is here");
  }
  if (watched[number].what == WATCHED) close(watched[number].fd);
  watched[number].what = NOT_WATCHED;
  left_after++;
}

// Nobody cares for one of them any more, as where it has become a tunnel's; it may have been told of already.
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

static void say(struct client *c) {
  char words[50];
  for (int i = 0; i < 10; i++) snprintf(words + i * 5, sizeof words - (size_t)i * 5, "%05u", c->number);
  // What was told of before may be its server's no more: then this fails, which is right.
  uint32_t n = 1 + roll(49 - c->said % 5), from = c->said % 5;
  ssize_t put = send(c->fd, words + from, n > 49 - from ? 49 - from : n, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (put > 0) c->said += (uint32_t)put;
}

static void leave(struct client *c, int reset) {
  struct linger linger = {1, 0};
  if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(c->fd);
  c->fd = -1;
}

static void come(struct client *c) {
  c->number = next_number++ % NUMBERS;
  c->said = 0;
  seen[c->number] = 0;
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(FIRST_ADDRESS + c->number)};
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind(c->fd, (void *)&own, sizeof own)) die("bind");
  const struct listen_socket *s = &listen_sockets[roll(LISTENERS)];
  if (connect(c->fd, (const void *)&s->at, sizeof s->at) && errno != EINPROGRESS) {
    leave(c, 1);
    return;
  }
  if (roll(3)) say(c);
}

int main(int argc, char **argv) {
  uint64_t wanted = begin(argc, argv);
  for (int i = 0; i < CLIENTS; i++) clients[i].fd = -1;
  for (int i = 0; i < LISTENERS; i++) listen_sockets[i].fd = listen_at(&listen_sockets[i].at);
  uint64_t due = wanted / 20;  // so many guests until a door is closed
  for (uint64_t step = 0; accepted_count < wanted; step++) {
    struct client *c = &clients[roll(CLIENTS)];
    if (step % 32 == 0) take_events();
    if (c->fd < 0) come(c);
    else if (!roll(4)) leave(c, (int)roll(2));
    else if (!roll(3)) say(c);
    else if (!roll(20)) forget(c->number);
    uint32_t listener = roll(LISTENERS);
    if (!listen_sockets[listener].id) send_to_listener(listener, DO_LISTEN);
    else if (!listen_sockets[listener].closing && accepted_count >= due) {
      send_to_listener(listener, DO_UNLISTEN);
      due += wanted / 10 + 1;
    }
  }
  if (with_words < accepted_count / 8 || !ends) die("hardly any guest said a word, or no door has ended");
  if (left_after < accepted_count / 20) die("hardly any watched one was told of as left");
  printf("%llu guests, each told of once, %llu of them with words, %llu silent, %llu doors ended, %llu left when watched\n",
         (unsigned long long)accepted_count, (unsigned long long)with_words, (unsigned long long)silent, (unsigned long long)ends,
         (unsigned long long)left_after);
  // Doors are open and guests are waited for when the engine stops.
  engine_stop(&engine);
  for (int i = 0; i < CLIENTS; i++) {
    if (clients[i].fd >= 0) close(clients[i].fd);
  }
  for (uint32_t i = 0; i < NUMBERS; i++) forget(i);
  for (int i = 0; i < LISTENERS; i++) close(listen_sockets[i].fd);
  return 0;
}
