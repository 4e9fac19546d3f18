// The options of every TCP socket here, as node sets them on its own (KEEPALIVE_MS in net/dial.ts). An accepted connection
// inherits them from the socket that it was accepted on.
#ifndef UPGATE_TCP_H
#define UPGATE_TCP_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define KEEPALIVE_S 60
#define KEEPALIVE_INTERVAL_S 1
#define KEEPALIVE_PROBES 10

static inline void set_tcp_options(int fd) {
  const struct {
    int level, name, value;
  } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
                 {SOL_SOCKET, SO_KEEPALIVE, 1},
                 {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S},
                 {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
                 {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES}};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
  }
}

#endif
