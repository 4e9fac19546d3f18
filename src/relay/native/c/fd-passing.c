// See fd-passing.h.
#define _GNU_SOURCE
#include "fd-passing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// -- Addresses ------------------------------------------------------------------------------------------------------

// Fills in an address of this path; returns its length, or 0 where the path is empty or too long.
static socklen_t unix_address(const char *path, struct sockaddr_un *to) {
  size_t length = strlen(path);
  memset(to, 0, sizeof *to);
  if (!length || length >= sizeof to->sun_path) return 0;
  to->sun_family = AF_UNIX;
  memcpy(to->sun_path, path, length);
  if (path[0] == '@') to->sun_path[0] = 0;
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void write_unix(const struct sockaddr_un *bound, socklen_t length, char *text) {
  size_t path = length > offsetof(struct sockaddr_un, sun_path) ? length - offsetof(struct sockaddr_un, sun_path) : 0;
  if (path > sizeof bound->sun_path) path = sizeof bound->sun_path;
  int is_abstract = path > 0 && bound->sun_path[0] == 0;
  const char *from = bound->sun_path + is_abstract;
  int shown = is_abstract ? (int)path - 1 : (int)strnlen(from, path);
  snprintf(text, LISTENING_ADDRESS_MAX, "unix:%s%.*s", is_abstract ? "@" : "", shown, from);
}

int listening_address(int fd, char text[LISTENING_ADDRESS_MAX]) {
  int type = 0, listens = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) return errno;
  size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0) return errno;
  if (type != SOCK_STREAM || !listens) return EINVAL;
  union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_un local;
  } bound;
  socklen_t length = sizeof bound;
  memset(&bound, 0, sizeof bound);
  if (getsockname(fd, &bound.any, &length) < 0) return errno;
  char host[INET6_ADDRSTRLEN] = "";
  if (bound.any.sa_family == AF_INET) {
    inet_ntop(AF_INET, &bound.four.sin_addr, host, sizeof host);
    snprintf(text, LISTENING_ADDRESS_MAX, "%s:%u", host, ntohs(bound.four.sin_port));
  } else if (bound.any.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &bound.six.sin6_addr, host, sizeof host);
    snprintf(text, LISTENING_ADDRESS_MAX, "[%s]:%u", host, ntohs(bound.six.sin6_port));
  } else if (bound.any.sa_family == AF_UNIX) {
    write_unix(&bound.local, length, text);
  } else {
    return EINVAL;
  }
  return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? errno : 0;
}

// -- Descriptors ----------------------------------------------------------------------------------------------------

// Space for the control message, aligned as it must be.
union control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(PASSED_FDS_MAX * sizeof(int))];
};

int fds_send(int connection, const int *fds, uint32_t count, const char *text, size_t length) {
  if (!count || count > PASSED_FDS_MAX || !length || length > PASSED_TEXT_MAX) return EINVAL;
  union control control;
  memset(&control, 0, sizeof control);
  struct iovec bytes = {.iov_base = (void *)text, .iov_len = length};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes};
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  ssize_t sent;
  do sent = sendmsg(connection, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno;
  return (size_t)sent == length ? 0 : EMSGSIZE;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Waits until the connection can be read. Returns 0 or an errno.
static int wait_readable(int connection, int64_t deadline) {
  for (;;) {
    int64_t left = deadline - now_ms();
    struct pollfd watched = {.fd = connection, .events = POLLIN};
    int ready = left > 0 ? poll(&watched, 1, (int)left) : 0;
    if (ready > 0) return 0;
    if (ready == 0) return ETIMEDOUT;
    if (errno != EINTR) return errno;
  }
}

// Keeps the descriptors of a message, and closes those that there is no room for. Returns 0 or an errno.
static int keep_descriptors(struct msghdr *message, struct passed_fds *got) {
  int error = message->msg_flags & MSG_CTRUNC ? EMSGSIZE : 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      if (got->count < PASSED_FDS_MAX) {
        got->fds[got->count++] = fd;
      } else {
        close(fd);
        error = EMSGSIZE;
      }
    }
  }
  return error;
}

// Receives until the text's '\n'. Returns 0 or an errno; the descriptors of `got` are open either way.
static int receive(struct passed_fds *got, int64_t deadline) {
  size_t length = 0;
  while (length < sizeof got->text) {
    int error = wait_readable(got->connection, deadline);
    if (error) return error;
    union control control;
    struct iovec bytes = {.iov_base = got->text + length, .iov_len = sizeof got->text - length};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(got->connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) continue;
    if (n < 0) return errno;
    if ((error = keep_descriptors(&message, got))) return error;
    if (n == 0) return ECONNRESET;
    char *end = memchr(got->text + length, '\n', (size_t)n);
    if (end) {
      *end = 0;
      return 0;
    }
    length += (size_t)n;
  }
  return EMSGSIZE;
}

static int ask(const char *path, const char *line, uint32_t timeout_ms, struct passed_fds *got) {
  struct sockaddr_un address;
  socklen_t length = unix_address(path, &address);
  if (!length) return ENAMETOOLONG;
  // A listener whose queue is full makes connect() wait.
  struct timeval patience = {.tv_sec = timeout_ms / 1000, .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
  if (setsockopt(got->connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0) return errno;
  int64_t deadline = now_ms() + timeout_ms;
  if (connect(got->connection, (struct sockaddr *)&address, length) < 0) return errno == EAGAIN ? ETIMEDOUT : errno;
  size_t wanted = strlen(line);
  ssize_t sent = send(got->connection, line, wanted, MSG_NOSIGNAL);
  if (sent < 0) return errno;
  return (size_t)sent == wanted ? receive(got, deadline) : EMSGSIZE;
}

int fds_request(const char *path, const char *line, uint32_t timeout_ms, struct passed_fds *got) {
  got->count = 0;
  got->connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (got->connection < 0) return errno;
  int error = ask(path, line, timeout_ms, got);
  if (!error) return 0;
  for (uint32_t i = 0; i < got->count; i++) close(got->fds[i]);
  close(got->connection);
  got->count = 0;
  got->connection = -1;
  return error;
}

// -- The supervisor -------------------------------------------------------------------------------------------------

int supervisor_notify(const char *path, const char *text, size_t length) {
  struct sockaddr_un address;
  socklen_t size = unix_address(path, &address);
  if (!size) return ENAMETOOLONG;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  ssize_t sent = sendto(fd, text, length, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
  int error = sent < 0 ? errno : 0;
  close(fd);
  return error;
}
