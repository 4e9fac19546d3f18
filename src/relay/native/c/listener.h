// Listeners: accept connections from listening sockets and publish each, together with the first bytes that came on it,
// in one record. What the bytes mean is decided elsewhere; the descriptor goes with them, and nothing here holds it any
// more. A connection that ends before it has sent a byte is closed and never published. A listener with TLS does the
// handshake first, and what it publishes are plain bytes; a client that other TLS has to serve is published with nothing of
// it read.
//
// Invariants:
// - a listener and its pending connections belong to one worker's thread; elsewhere a listener is named by id, and a
//   pending connection has no name;
// - a connection is published once: with its bytes, or without any when none arrived within the listener's
//   first_bytes_ms or before the listener closed; a failed TLS handshake is published in its place;
// - a listener is published as closed once, behind all its connections; TLS handshakes under way are finished before;
// - several listeners, on a thread each, may accept from one listening socket: a new connection wakes one that is idle;
// - with ACCEPT_QUEUE_MAX connections published and not yet taken no listener accepts, and the backlog fills.
#ifndef UPGATE_LISTENER_H
#define UPGATE_LISTENER_H

#include <netinet/in.h>
#include <stdint.h>

#include "list.h"
#include "timer-wheel.h"
#include "tls-context.h"
#include "tls.h"

// The epoll keys of listeners and of pending connections.
#define LISTENER_KEY (1ull << 62)
#define PENDING_CONN_KEY (1ull << 61)

// The most that is read of a connection's first bytes.
#define FIRST_READ_SIZE 16384
#define ACCEPT_QUEUE_MAX 1024

// What stands for an errno in the record of a TLS handshake that failed, whose bytes say why, and of one that was done and
// whose client left before its first byte.
#define ACCEPT_TLS_FAILED (-1)
#define ACCEPT_TLS_LEFT (-2)

// An accepted connection: an open descriptor and its first bytes. Without a descriptor it is an event of the listener:
// an errno where it could not accept, 0 when it has closed.
struct accepted_conn {
  struct link link;
  uint64_t listener_id;
  struct tls *tls;  // goes with the descriptor; null: the bytes are the connection's own
  uint32_t parked;  // see addon.h
  int fd, error;
  uint16_t port;
  char address[INET6_ADDRSTRLEN];  // of the peer; an IPv4-mapped one as IPv4
  uint32_t length;
  uint8_t bytes[];
};

struct listener;
struct pending_conn;

struct listeners {
  struct listener *first;
  struct pending_conn **by_slot;  // connections without a first byte yet
  uint32_t capacity, first_free, generation;
  uint32_t paused_count;  // listeners that wait for room in the queue
  uint32_t closing_count;
  int fds_low;            // whether the last accepted descriptor was one of the last few
  uint32_t handshakes;    // of TLS, since memory went back to the system
  uint64_t trim_at;       // when it does again; 0: not yet
  int spare_fd;           // closed to accept a connection where there is no other descriptor
  struct wheel wheel;
  struct list accepted;  // of this turn
};

struct worker;

void listeners_init(struct listeners *all, uint64_t now);
// Makes a listener on this listening socket, and owns the socket from now on; a connection may take first_bytes_ms to
// its first byte. With `contexts`, of which it gets a reference, it speaks TLS, and a handshake may take handshake_ms. Null
// where there is no memory, and the caller still owns the socket and the reference. Any thread may call this.
struct listener *listener_new(uint64_t id, int fd, uint32_t first_bytes_ms, struct tls_contexts *contexts,
                              uint32_t handshake_ms);
void listener_free(struct listener *listener);
// Accepts from now on.
void listener_open(struct worker *w, struct listener *listener);
void listener_close(struct worker *w, uint64_t id);
// Serves these from the next handshake on. It gets the reference.
void listener_use_tls(struct worker *w, uint64_t id, struct tls_contexts *contexts);
void listener_event(struct worker *w, uint64_t id);
void pending_conn_event(struct worker *w, uint64_t key);
// Publishes connections whose first bytes did not come in time, and resumes paused listeners.
void listener_timers(struct worker *w);
// Milliseconds until listener_timers() has something to do; -1: nothing.
int listeners_timeout(const struct worker *w);
// Publishes this turn's accepted connections.
void listeners_publish(struct worker *w);
// Closes everything; nothing is published.
void listeners_stop(struct worker *w);
void listeners_free(struct listeners *all);

// Writes an address as text of at most INET6_ADDRSTRLEN, an IPv4-mapped one as IPv4; empty for one of another family.
// Returns its port.
uint16_t address_text(const struct sockaddr_storage *address, char *to);

// Frees a list and closes the descriptors in it.
void accepted_conns_free(struct accepted_conn *list);

#endif
