// Listening sockets from another process, and a word to the supervisor: what unix(7) has and node does not. No function
// here waits, but fds_request(), which is for the start of a process.
#ifndef UPGATE_FD_PASSING_H
#define UPGATE_FD_PASSING_H

#include <stddef.h>
#include <stdint.h>

// The most descriptors that are passed at a time; the kernel takes 253 in one message (SCM_MAX_FD).
#define PASSED_FDS_MAX 250
// The longest text beside them, its final '\n' included.
#define PASSED_TEXT_MAX 32768
// Room for `[address%scope]:port`, or for the path of a unix socket behind `unix:`.
#define LISTENING_ADDRESS_MAX 128

// Descriptors that another process has sent, and its text, which ends before its '\n' with a 0.
struct passed_fds {
  int connection;  // to that process
  int fds[PASSED_FDS_MAX];
  uint32_t count;
  char text[PASSED_TEXT_MAX];
};

// Writes what a listening stream socket is bound to, as `127.0.0.1:80`, `[::]:80`, `unix:/path` or `unix:@abstract`, and has no
// program that is executed inherit it. Returns 0 or an errno; EINVAL: it is no such socket.
int listening_address(int fd, char text[LISTENING_ADDRESS_MAX]);

// Sends descriptors, which remain the caller's, and a text that ends in '\n' on a connected unix socket. Returns 0 or an
// errno; EMSGSIZE: not all of it went.
int fds_send(int connection, const int *fds, uint32_t count, const char *text, size_t length);

// Connects to a unix socket, sends a line, and receives what fds_send() sends there. Returns 0, and the connection and the
// descriptors are the caller's; or an errno, and nothing is open. ETIMEDOUT: it took longer than this.
int fds_request(const char *path, const char *line, uint32_t timeout_ms, struct passed_fds *got);

// Sends a datagram to a unix socket; '@' at the beginning stands for the abstract name space (sd_notify(3)). Returns 0 or an
// errno.
int supervisor_notify(const char *path, const char *text, size_t length);

#endif
