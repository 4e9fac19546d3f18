// The native relay without Node, for ThreadSanitizer, valgrind and the leak checker: tunnels over loopback TCP whose
// peers send, stop reading, half-close, reset and vanish at random, while commands close and cut them. Checks that
// every tunnel has exactly one close record, and that what a peer got is what the other one sent, frame by frame, up to
// where it stopped. Compiled with short waits: -DCLOSE_WAIT_MS=60 -DANY_BOUNDARY_MS=20 -DHALF_CLOSED_MS=100.
//   relay-stress [tunnels [seed]]
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>

#include "stress.h"

#define LIVE 24
#define POLICIES 8
#define STREAM (1 << 20)

struct peer {
  int fd;
  uint8_t *sent, *got;  // what it has to send; what it got of its peer's
  size_t sent_length, written, got_length;
  struct cursor cursor;
  uint8_t pending[CURSOR_HEAD_MAX];
  size_t pending_length;
  int ours;   // the frame being read is the gateway's
  int heavy;  // most of what it sends are frames that go through a pipe
};

struct pair {
  uint64_t id;
  struct peer peer[2];
  int ended, checks;
  int calm;  // steps until it begins to end
};

static struct pair pairs[LIVE];
static struct policy policies[POLICIES];
static struct activity activities[LIVE];
static uint32_t slot_generation[LIVE];
static uint64_t ended_count;

// One connection: [0] is the gateway's end, [1] the peer's.
static void connection(int fd[2]) {
  static int listener = -1;
  static struct sockaddr_in at;
  if (listener < 0) {
    listener = listen_at(&at);
    fcntl(listener, F_SETFL, 0);  // accept4() waits: a connection may take a moment to be ready
  }
  fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd[1], (void *)&at, sizeof at)) die("connect");
  fd[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd[0] < 0) die("accept");
  fcntl(fd[1], F_SETFL, O_NONBLOCK);
  int small = 16384;
  if (roll(2)) setsockopt(fd[roll(2)], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  // Otherwise the gateway's socket takes a whole stream, and nothing is ever pending.
  if (roll(2)) setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

// Data frames without a mask; the gateway's own are control frames, so the two can be told apart.
static void add_frames(struct peer *p, int violations) {
  for (uint32_t i = 1 + roll(p->heavy ? 4 : 12); i-- && p->sent_length + 200100 < STREAM;) {
    uint8_t *at = p->sent + p->sent_length;
    uint32_t form = p->heavy && roll(4) ? 40 : roll(40);
    uint32_t n = form < 30 ? roll(126) : form < 39 ? roll(4000) : form < 40 ? roll(70000) : 30000 + roll(roll(4) ? 20000 : 170000);
    size_t head = 2;
    at[0] = (uint8_t)(roll(4) ? 0x82 : 0x02);
    at[1] = (uint8_t)n;
    if (n > 125) {
      at[1] = n < 65536 ? 126 : 127;
      head = n < 65536 ? 4 : 10;
      for (size_t b = 2; b < head; b++) at[b] = (uint8_t)((uint64_t)n >> (8 * (head - 1 - b)));
    }
    for (uint32_t b = 0, first = roll(256); b < n; b++) at[head + b] = (uint8_t)(first + b + (b >> 8));
    p->sent_length += head + n;
    if (violations && !roll(6)) {  // anything at all; nothing is compared from then on
      for (uint32_t b = roll(30); b--;) p->sent[p->sent_length++] = (uint8_t)roll(256);
    }
  }
}

// Splits the received bytes into frames: data goes to `got`, control frames are the gateway's.
static void take_apart(struct peer *p, const uint8_t *bytes, size_t n) {
  static uint8_t all[CURSOR_HEAD_MAX + 65536];
  memcpy(all, p->pending, p->pending_length);
  memcpy(all + p->pending_length, bytes, n);
  const uint8_t *at = all, *stop = all + p->pending_length + n;
  p->pending_length = 0;
  while (at < stop) {
    const uint8_t *from = at;
    if (!p->cursor.left) {
      size_t head = cursor_head(&p->cursor, at, (size_t)(stop - at));
      if (p->cursor.lost) die("a frame that cannot be followed came through");
      if (!head) {
        memcpy(p->pending, at, p->pending_length = (size_t)(stop - at));
        return;
      }
      p->ours = cursor_is_control(&p->cursor);
      at += head;
    }
    at += cursor_body(&p->cursor, at, (size_t)(stop - at));
    if (!p->cursor.left) cursor_end(&p->cursor);
    if (p->ours) continue;
    if (p->got_length + (size_t)(at - from) > STREAM) die("more came than was sent");
    memcpy(p->got + p->got_length, from, (size_t)(at - from));
    p->got_length += (size_t)(at - from);
  }
}

static void check(const struct pair *pair) {
  for (int i = 0; i < 2; i++) {
    const struct peer *to = &pair->peer[!i], *from = &pair->peer[i];
    if (to->got_length > from->written || memcmp(to->got, from->sent, to->got_length)) die("bytes changed on their way");
  }
}

static void drop(struct peer *p, int reset) {
  struct linger linger = {1, 0};
  if (p->fd < 0) return;
  if (reset) setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(p->fd);
  p->fd = -1;
}

static void open_pair(uint32_t slot) {
  struct pair *pair = &pairs[slot];
  uint32_t policy = roll(POLICIES);
  int front[2], back[2];
  connection(front);
  connection(back);
  slot_generation[slot] = next_generation++;
  pair->id = ID(slot % engine.count, slot, slot_generation[slot]);
  pair->ended = 0;
  pair->checks = roll(8) != 0;
  pair->calm = (int)roll(600);
  for (int i = 0; i < 2; i++) {
    struct peer *p = &pair->peer[i];
    uint8_t *sent = p->sent ? p->sent : malloc(STREAM + 4096), *got = p->got ? p->got : malloc(STREAM);
    memset(p, 0, sizeof *p);
    p->sent = sent;
    p->got = got;
    p->fd = i == CLIENT ? front[1] : back[1];
    p->heavy = !roll(3);
    add_frames(p, 0);
  }
  // The first bytes of each peer come with the command, as if they had been read before.
  struct peer *client = &pair->peer[CLIENT], *backend = &pair->peer[BACKEND];
  size_t up = roll((uint32_t)client->sent_length + 1), down = roll((uint32_t)backend->sent_length + 1);
  struct command *c = calloc(1, sizeof *c + up + down);
  c->kind = DO_OPEN;
  c->id = pair->id;
  c->fd[CLIENT] = front[0];
  c->fd[BACKEND] = back[0];
  c->policy = &policies[policy];
  memset(&activities[slot], 0, sizeof activities[slot]);
  c->activity = &activities[slot];
  c->lifetime_ms = roll(5) ? 0 : 1 + roll(200);
  c->to_client = (uint32_t)down;
  c->to_backend = (uint32_t)up;
  memcpy(c->early, backend->sent, down);
  memcpy(c->early + down, client->sent, up);
  client->written = up;
  backend->written = down;
  engine_send(&engine, c);
}

static void act(struct pair *pair) {
  static uint8_t bytes[65536];
  struct peer *p = &pair->peer[roll(2)];
  if (p->fd < 0) return;
  uint32_t what = roll(100), ending = pair->calm-- < 0;
  if (what < 45) {
    if (p->written == p->sent_length) add_frames(p, !pair->checks);
    size_t left = p->sent_length - p->written, n = 1 + roll(roll(3) ? 40 : 60000);
    ssize_t put = send(p->fd, p->sent + p->written, n < left ? n : left, MSG_NOSIGNAL);
    if (put > 0) p->written += (size_t)put;
  } else if (what < 90) {
    ssize_t got = recv(p->fd, bytes, 1 + roll(sizeof bytes), 0);
    if (got > 0 && pair->checks) take_apart(p, bytes, (size_t)got);
    if (got == 0 && roll(2)) drop(p, 0);
    if (got < 0 && errno != EAGAIN) drop(p, 0);
  } else if (ending && what == 90) {
    shutdown(p->fd, SHUT_WR);
  } else if (ending && what == 91) {
    drop(p, roll(2) != 0);
  } else if (ending && what < 94) {
    struct command *c = calloc(1, sizeof *c + 8);
    c->kind = roll(3) ? DO_CLOSE : DO_CUT;
    c->id = roll(10) ? pair->id : pair->id - ID(0, 0, 1);  // now and then the previous one in its slot
    c->code = 1001;
    c->deadline_ms = 1 + roll(300);
    memcpy(c->early, "stress", 6);
    engine_send(&engine, c);
  }
}

static void take_events(void) {
  if (!take_notification()) return;
  for (struct close_record *r = engine_take(&engine, EVENT_TUNNEL_CLOSED), *next; r; r = next) {
    next = (struct close_record *)r->link.next;
    uint32_t slot = ID_SLOT(r->id);
    if (slot >= LIVE || pairs[slot].id != r->id || pairs[slot].ended++) die("a tunnel had two close records, or is none");
    ended_count++;
    free(r);
  }
}

static void make_policies(void) {
  for (int i = 0; i < POLICIES; i++) {
    struct policy *p = &policies[i];
    p->counters = aligned_alloc(64, engine.count * sizeof *p->counters);
    memset(p->counters, 0, engine.count * sizeof *p->counters);
    p->inspect = i != 5;
    if (i == 6) p->limits[CLIENT] = p->limits[BACKEND] = (struct limits){.max_message = 120000, .any = 1};
    p->idle_ms = i == 1 ? 60 : 3600000;
    if (i == 2) p->ping_every_ms = 20, p->ping_timeout_ms = 200;
    for (int w = 0; i == 3 && w < 2; w++) p->limits[w] = (struct limits){.max_message = 30000, .message_ns = 100000, .any = 1};
    for (int w = 0; i == 4 && w < 2; w++) p->limits[w] = (struct limits){.max_message = UINT64_MAX, .byte_ns = 5000, .message_ns = 20000, .pause = 1, .any = 1};
    if (i == 7) p->limits[CLIENT] = p->limits[BACKEND] = (struct limits){.max_message = UINT64_MAX, .byte_ns = 2500, .any = 1};
  }
}

int main(int argc, char **argv) {
  uint64_t tunnels = begin(argc, argv);
  make_policies();
  uint64_t opened = 0;
  for (; opened < LIVE; opened++) open_pair((uint32_t)opened);
  for (uint64_t step = 0; ended_count < opened; step++) {
    uint32_t slot = roll(LIVE);
    struct pair *pair = &pairs[slot];
    if (step % 16 == 0) take_events();
    if (!pair->ended) {
      act(pair);
      continue;
    }
    if (opened >= tunnels) continue;
    if (pair->checks) check(pair);
    drop(&pair->peer[CLIENT], 0);
    drop(&pair->peer[BACKEND], 0);
    open_pair(slot);
    opened++;
  }
  printf("%llu tunnels, one close record each\n", (unsigned long long)ended_count);
  // Some are still live when the engine stops.
  for (uint32_t i = 0; i < LIVE; i++) {
    drop(&pairs[i].peer[CLIENT], 0);
    drop(&pairs[i].peer[BACKEND], 0);
    if (i < LIVE / 2) open_pair(i);
  }
  engine_stop(&engine);
  for (uint32_t i = 0; i < LIVE; i++) {
    for (int s = 0; s < 2; s++) {
      drop(&pairs[i].peer[s], 0);
      free(pairs[i].peer[s].sent);
      free(pairs[i].peer[s].got);
    }
  }
  for (int i = 0; i < POLICIES; i++) free(policies[i].counters);
  return 0;
}
