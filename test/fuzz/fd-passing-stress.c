// fd-passing.c without Node, for ASan, TSan and valgrind: a process that asks for listening sockets, and one that gives what a
// random plan says: all of it at once or in parts, more descriptors than there is room for, a text that is too long or never
// ends, nothing, or the end of the connection. Checks that what was given arrives, in order and usable, that each fault is the
// errno that fd-passing.h names, and that no descriptor is left open by any of it.
//   fd-passing-stress [requests [seed]]
#define _GNU_SOURCE
#include "../../src/relay/native/c/fd-passing.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/un.h>

#include "stress.h"

enum plan { WHOLE, IN_PARTS, TOO_MANY, TOO_LONG, ENDED, SILENT, PLANS };

static struct {
  enum plan plan;
  uint32_t count;
  int server, sockets[PASSED_FDS_MAX];
} given;

static int open_count(void) {
  DIR *fds = opendir("/proc/self/fd");
  int count = 0;
  while (readdir(fds)) count++;
  closedir(fds);
  return count;
}

static void send_all(int to, const char *bytes, size_t n) {
  for (ssize_t sent; n; bytes += sent, n -= (size_t)sent) {
    sent = send(to, bytes, n, MSG_NOSIGNAL);
    if (sent < 0) return;  // the other side has heard enough
  }
}

static void *give(void *unused) {
  (void)unused;
  static char text[2 * PASSED_TEXT_MAX];
  memset(text, 'x', sizeof text);
  int to = accept4(given.server, NULL, NULL, SOCK_CLOEXEC);
  char line[16];
  if (to < 0 || recv(to, line, sizeof line, 0) != 5 || memcmp(line, "take\n", 5)) die("the request");
  text[99] = given.plan == WHOLE ? '\n' : 'x';
  switch (given.plan) {
    case WHOLE:
    case IN_PARTS:
    case ENDED:
      if (fds_send(to, given.sockets, given.count, text, 100)) die("fds_send");
      if (given.plan == IN_PARTS) send_all(to, text, 200), send_all(to, "\n", 1);
      break;
    case TOO_MANY:
      for (int i = 0; i < 2; i++) {
        if (fds_send(to, given.sockets, PASSED_FDS_MAX / 2 + 1, text, 10)) die("fds_send");
      }
      break;
    case TOO_LONG:
      send_all(to, text, sizeof text);
      break;
    default:
      break;
  }
  if (given.plan == ENDED) shutdown(to, SHUT_WR);
  // Until the one who asked has left.
  while (recv(to, text, sizeof text, 0) > 0) continue;
  close(to);
  return NULL;
}

static void check_whole(struct passed_fds *got) {
  char want[LISTENING_ADDRESS_MAX], have[LISTENING_ADDRESS_MAX];
  size_t length = given.plan == WHOLE ? 99 : 300;
  if (got->count != given.count || strlen(got->text) != length) die("what was given");
  for (uint32_t i = 0; i < got->count; i++) {
    if (listening_address(given.sockets[i], want) || listening_address(got->fds[i], have) || strcmp(want, have)) die("a socket");
    close(got->fds[i]);
  }
  close(got->connection);
}

static void request(const char *path) {
  static const int errors[PLANS] = {0, 0, EMSGSIZE, EMSGSIZE, ECONNRESET, ETIMEDOUT};
  static struct passed_fds got;
  given.plan = roll(PLANS);
  given.count = 1 + roll(PASSED_FDS_MAX);
  pthread_t thread;
  if (pthread_create(&thread, NULL, give, NULL)) die("pthread_create");
  int error = fds_request(path, "take\n", given.plan == SILENT ? 5 : 10000, &got);
  if (error != errors[given.plan]) {
    errno = error;
    die("fds_request");
  }
  if (!error) check_whole(&got);
  pthread_join(thread, NULL);
}

static void check_edges(void) {
  static struct passed_fds got;
  char text[LISTENING_ADDRESS_MAX], path[200];
  int pair[2];
  memset(path, 'p', sizeof path - 1);
  path[sizeof path - 1] = 0;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) die("socketpair");
  if (listening_address(pair[0], text) != EINVAL || listening_address(-1, text) != EBADF) die("no listening socket");
  if (fds_send(pair[0], pair, PASSED_FDS_MAX + 1, "x", 1) != EINVAL || fds_send(pair[0], pair, 0, "x", 1) != EINVAL)
    die("a count out of bounds");
  if (fds_request(path, "take\n", 10, &got) != ENAMETOOLONG || fds_request("", "take\n", 10, &got) != ENAMETOOLONG)
    die("a path that is too long, or empty");
  if (fds_request("/nowhere/at/all", "take\n", 10, &got) != ENOENT) die("a path that is not there");
  if (supervisor_notify(path, "READY=1", 7) != ENAMETOOLONG || supervisor_notify("@upgate-nobody", "READY=1", 7) != ECONNREFUSED)
    die("supervisor_notify");
  close(pair[0]);
  close(pair[1]);
}

int main(int argc, char **argv) {
  uint64_t count = begin(argc, argv) / 10;
  char path[] = "/tmp/upgate-fd-passing-XXXXXX/s";
  path[sizeof path - 3] = 0;
  if (!mkdtemp(path)) die("mkdtemp");
  path[sizeof path - 3] = '/';
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  strcpy(at.sun_path, path);
  given.server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(given.server, (void *)&at, sizeof at) || listen(given.server, 8)) die("listen");
  struct sockaddr_in tcp;
  for (uint32_t i = 0; i < PASSED_FDS_MAX; i++) given.sockets[i] = i % 50 ? given.sockets[i - 1] : listen_at(&tcp);
  int before = open_count();
  check_edges();
  for (uint64_t i = 0; i < count; i++) request(path);
  if (open_count() != before) die("descriptors are left open");
  unlink(path);
  path[sizeof path - 3] = 0;
  rmdir(path);
  printf("%llu requests\n", (unsigned long long)count);
  engine_stop(&engine);
  return 0;
}
