// The native dial without Node, for ThreadSanitizer, valgrind and the leak checker: dials over loopback TCP to servers
// that answer in pieces, with more than an answer, late, never, or with a reset, and to a port where nothing listens,
// while others are cancelled, read on, or become tunnels. Checks that every dial has exactly one result and every
// tunnel one close record, and that a result has what its server sent, from the first byte on. The tunnels' own bytes
// are tested by relay-stress.c.
//   dial-stress [dials [seed]]
#define _GNU_SOURCE
#include "stress.h"

#define LIVE 32
#define SERVED 64
#define ASK "GET /ws HTTP/1.1\r\n\r\n"
#define ANSWER "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n\x82\x02hi"
#define FIRST 22  // how long the interim answer is
#define MOST 4096

enum { FREE, DIALLING, CARRIED };

struct one {
  uint64_t id;
  int what;
  int client;   // of a tunnel: the end that is ours
  size_t from;  // of a dial: how much of the answer has been taken already
};

struct served {
  int fd;
  size_t sent;
};

static struct policy policy;
static struct one ones[LIVE];
static struct served served[SERVED];
static struct activity activities[LIVE];
static int listener;
static struct sockaddr_in at, nowhere;
static uint64_t started, ended, answered;

// -- The gateway's part ---------------------------------------------------------------------------------------------

// Dials an address, or, with `held`, reads on from a connection that has sent those bytes.
static void dial(struct one *one, int fd, const uint8_t *held, uint32_t length) {
  uint32_t slot = (uint32_t)(one - ones), asked = held ? length : (uint32_t)strlen(ASK);
  struct command *c = calloc(1, sizeof *c + sizeof(struct dial_request) + asked + 1);
  struct dial_request *request = (struct dial_request *)c->early;
  c->kind = DO_DIAL;
  c->id = one->id = ID(slot % engine.count, slot, next_generation++);
  request->fd = fd;
  memcpy(&request->address, roll(12) ? &at : &nowhere, sizeof at);
  request->address_length = sizeof at;
  request->connect_ms = 1 + roll(100);
  request->answer_ms = 1 + roll(60);
  request->max_head = roll(6) ? MOST : 8;
  request->length = asked;
  memcpy(c->early + sizeof *request, held ? held : (const uint8_t *)ASK, asked);
  one->what = DIALLING;
  if (!held) one->from = 0;
  if (roll(2)) {
    engine_send(&engine, c);
  } else {
    engine_post(&engine, c);
    if (roll(3)) engine_wake(&engine);
  }
  started++;
}

static void open_tunnel(struct one *one, const struct dial_result *d) {
  uint32_t slot = (uint32_t)(one - ones);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) die("socketpair");
  struct command *c = calloc(1, sizeof *c + d->length);
  c->kind = DO_OPEN;
  c->id = one->id = ID(slot % engine.count, slot, next_generation++);
  c->fd[CLIENT] = pair[0];
  c->fd[BACKEND] = d->fd;
  c->policy = &policy;
  memset(&activities[slot], 0, sizeof activities[slot]);
  c->activity = &activities[slot];
  c->head_length = c->to_client = d->length;
  memcpy(c->early, d->bytes, d->length);
  one->client = pair[1];
  one->what = CARRIED;
  engine_send(&engine, c);
}

static void send_end(const struct one *one, enum command_kind kind) {
  struct command *c = calloc(1, sizeof *c + 1);
  c->kind = kind;
  c->id = roll(10) ? one->id : one->id - ID(0, 0, 1);  // now and then the previous one in its slot
  engine_send(&engine, c);
}

static void on_dial_result(const struct dial_result *d) {
  struct one *one = &ones[ID_SLOT(d->id)];
  if (ID_SLOT(d->id) >= LIVE || one->what != DIALLING || one->id != d->id) die("a dial had two results, or is none");
  one->what = FREE;
  ended++;
  if ((d->fd < 0) != (d->error != 0)) die("an error and a descriptor, or neither");
  if (d->fd < 0) return;
  answered++;
  if (one->from + d->length > sizeof ANSWER - 1) die("more came than was sent");
  if (memcmp(d->bytes, ANSWER + one->from, d->length)) die("bytes changed on their way");
  uint32_t what = roll(4);
  if (one->from + d->length == FIRST) {
    one->from = FIRST;
    dial(one, d->fd, d->bytes, 0);
  } else if (what == 0) dial(one, d->fd, d->bytes, d->length);
  else if (what < 3) open_tunnel(one, d);
  else close(d->fd);
}

static void take_events(void) {
  if (!take_notification()) return;
  for (struct dial_result *d = engine_take(&engine, EVENT_DIAL_RESULT), *next; d; d = next) {
    next = (struct dial_result *)d->link.next;
    on_dial_result(d);
    free(d);
  }
  for (struct close_record *r = engine_take(&engine, EVENT_TUNNEL_CLOSED), *next; r; r = next) {
    next = (struct close_record *)r->link.next;
    struct one *one = &ones[ID_SLOT(r->id)];
    if (ID_SLOT(r->id) >= LIVE || one->what != CARRIED || one->id != r->id) die("a tunnel had two close records, or is none");
    close(one->client);
    one->what = FREE;
    free(r);
  }
}

// -- The servers' part ----------------------------------------------------------------------------------------------

static void serve(void) {
  struct served *s = &served[roll(SERVED)];
  if (s->fd < 0) {
    s->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    s->sent = 0;
    return;
  }
  uint32_t what = roll(40);
  size_t left = sizeof ANSWER - 1 - s->sent;
  if (what < 24 && left) {
    size_t n = roll(2) ? left : 1 + roll((uint32_t)left);
    if (!s->sent && roll(2)) n = FIRST;
    ssize_t put = send(s->fd, ANSWER + s->sent, n, MSG_NOSIGNAL);
    if (put > 0) s->sent += (size_t)put;
  } else if (what > 36) {
    struct linger linger = {1, 0};
    if (what == 37) setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(s->fd);
    s->fd = -1;
  }
}

int main(int argc, char **argv) {
  uint64_t dials = begin(argc, argv);
  listener = listen_at(&at);
  close(listen_at(&nowhere));
  for (int i = 0; i < SERVED; i++) served[i].fd = -1;
  policy = (struct policy){.inspect = 1, .idle_ms = 40};
  policy.counters = aligned_alloc(64, engine.count * sizeof *policy.counters);
  memset(policy.counters, 0, engine.count * sizeof *policy.counters);
  for (uint64_t step = 0; ended < dials; step++) {
    struct one *one = &ones[roll(LIVE)];
    if (step % 16 == 0) take_events();
    if (step % 64 == 0) engine_wake(&engine);
    serve();
    if (one->what == FREE) dial(one, -1, NULL, 0);
    else if (!roll(400)) send_end(one, one->what == DIALLING ? DO_CANCEL : DO_CUT);
  }
  if (answered < ended / 8) die("hardly any dial was answered");
  printf("%llu dials, one result each, %llu of them answered\n", (unsigned long long)ended, (unsigned long long)answered);
  // Some are still live when the engine stops.
  engine_stop(&engine);
  for (int i = 0; i < LIVE; i++) {
    if (ones[i].what == CARRIED) close(ones[i].client);
  }
  for (int i = 0; i < SERVED; i++) {
    if (served[i].fd >= 0) close(served[i].fd);
  }
  close(listener);
  free(policy.counters);
  return 0;
}
