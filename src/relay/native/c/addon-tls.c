// What TLS adds to the relay's interface to Node: see addon.c. Everything here runs on the main thread.
#define _GNU_SOURCE
#include "addon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// -- Connections that JavaScript has ---------------------------------------------------------------------------------

uint32_t park_tls(struct relay *r, struct tls *tls, int fd) {
  if (!r->parked_free) {
    uint32_t capacity = r->parked_capacity ? r->parked_capacity * 2 : 64;
    struct parked_tls *more = realloc(r->parked, capacity * sizeof *more);
    if (!more) return 0;
    r->parked = more;
    for (; r->parked_capacity < capacity; r->parked_capacity++) {
      more[r->parked_capacity] = (struct parked_tls){.next_free = r->parked_free};
      r->parked_free = r->parked_capacity + 1;
    }
  }
  uint32_t place = r->parked_free;
  struct parked_tls *p = &r->parked[place - 1];
  r->parked_free = p->next_free;
  *p = (struct parked_tls){.tls = tls, .fd = fd};
  return place;
}

struct tls *unpark_tls(struct relay *r, uint32_t place) {
  if (!place || place > r->parked_capacity) return NULL;
  struct parked_tls *p = &r->parked[place - 1];
  struct tls *tls = p->tls;
  if (!tls) return NULL;
  *p = (struct parked_tls){.next_free = r->parked_free};
  r->parked_free = place;
  return tls;
}

void free_parked(struct relay *r) {
  for (uint32_t i = 0; i < r->parked_capacity; i++) {
    if (!r->parked[i].tls) continue;
    tls_free(r->parked[i].tls);
    close(r->parked[i].fd);
  }
  free(r->parked);
}

// tlsDrop(engine, place): closes the connection.
napi_value js_tls_drop(napi_env env, napi_callback_info info) {
  napi_value args[2];
  uint32_t place;
  struct relay *r = arguments(env, info, args, 2) ? relay_of(env, args[0]) : NULL;
  if (!r || napi_get_value_uint32(env, args[1], &place) != napi_ok) return fail(env, "tlsDrop(engine, place)");
  int fd = place && place <= r->parked_capacity ? r->parked[place - 1].fd : -1;
  struct tls *tls = unpark_tls(r, place);
  if (!tls) return NULL;
  tls_free(tls);
  close(fd);
  return NULL;
}

// -- Settings -------------------------------------------------------------------------------------------------------

// tlsLoad() -> null, or why there is no TLS in the threads.
napi_value js_tls_load(napi_env env, napi_callback_info info) {
  (void)info;
  const char *why = openssl_load();
  if (!why && !tls_load()) why = "out of memory";
  napi_value value = NULL;
  if (why) napi_create_string_utf8(env, why, NAPI_AUTO_LENGTH, &value);
  else napi_get_null(env, &value);
  return value;
}

// A string of any length, zero-terminated; the caller frees it. Null where the value is none.
static char *text_of(napi_env env, napi_value value) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (text && napi_get_value_string_utf8(env, value, text, length + 1, &length) != napi_ok) {
    free(text);
    return NULL;
  }
  return text;
}

static void free_text(char *text) {
  if (text) ossl.OPENSSL_cleanse(text, strlen(text));
  free(text);
}

static void finalize_contexts(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  tls_contexts_release(data);
}

struct tls_contexts *contexts_of(napi_env env, napi_value value) {
  void *all = NULL;
  return napi_get_value_external(env, value, &all) == napi_ok ? all : NULL;
}

// tlsContexts(ciphers, cipherSuites, groups, minVersion, sessionIdContext, ticketKeys, serverOrder, strictSni, http2,
// sessionSeconds) -> contexts, still without a certificate. They live as long as anything uses them.
napi_value js_tls_contexts(napi_env env, napi_callback_info info) {
  napi_value args[10], value = NULL;
  uint32_t session_seconds;
  char *texts[4] = {NULL, NULL, NULL, NULL};
  static const int places[4] = {0, 1, 2, 4};
  int32_t min_version;
  void *keys;
  size_t length;
  bool flags[3];
  int ok = !openssl_load() && arguments(env, info, args, 10) && napi_get_value_int32(env, args[3], &min_version) == napi_ok &&
           napi_get_buffer_info(env, args[5], &keys, &length) == napi_ok && length && length % TICKET_KEY_SIZE == 0;
  ok = ok && napi_get_value_uint32(env, args[9], &session_seconds) == napi_ok;
  for (int i = 0; ok && i < 3; i++) ok = napi_get_value_bool(env, args[6 + i], &flags[i]) == napi_ok;
  for (int i = 0; ok && i < 4; i++) ok = (texts[i] = text_of(env, args[places[i]])) != NULL;
  struct tls_contexts *all = NULL;
  if (ok) {
    const struct tls_settings settings = {
        .ciphers = texts[0],
        .cipher_suites = texts[1],
        .groups = texts[2],
        .min_version = min_version,
        .session_id_context = texts[3],
        .ticket_keys = keys,
        .ticket_key_count = length / TICKET_KEY_SIZE,
        .server_order = flags[0],
        .strict_sni = flags[1],
        .http2 = flags[2],
        .session_seconds = session_seconds,
    };
    all = tls_contexts_new(&settings);
  }
  for (int i = 0; i < 4; i++) free(texts[i]);
  if (!all) return fail(env, "tlsContexts(ciphers, suites, groups, minVersion, sessionIdContext, ticketKeys, serverOrder, strictSni, http2, sessionSeconds)");
  if (napi_create_external(env, all, finalize_contexts, NULL, &value) != napi_ok) {
    tls_contexts_release(all);
    return fail(env, "no external value");
  }
  return value;
}

// tlsAdd(contexts, chain, key, names) -> null, or what OpenSSL says is wrong.
napi_value js_tls_add(napi_env env, napi_callback_info info) {
  napi_value args[4], value = NULL;
  struct tls_contexts *all = arguments(env, info, args, 4) ? contexts_of(env, args[0]) : NULL;
  char *chain = all ? text_of(env, args[1]) : NULL;
  char *key = all ? text_of(env, args[2]) : NULL;
  char *names = all ? text_of(env, args[3]) : NULL;
  if (chain && key && names) {
    const char *why = tls_contexts_add(all, chain, key, names);
    if (why) napi_create_string_utf8(env, why, NAPI_AUTO_LENGTH, &value);
    else napi_get_null(env, &value);
  }
  free(chain);
  free_text(key);
  free(names);
  return value ? value : fail(env, "tlsAdd(contexts, chain, key, names)");
}

// tlsUse(engine, listener, contexts): the listener serves these from its next handshake on.
napi_value js_tls_use(napi_env env, napi_callback_info info) {
  napi_value args[3];
  uint64_t id;
  struct relay *r = arguments(env, info, args, 3) ? relay_of(env, args[0]) : NULL;
  struct tls_contexts *all = r ? contexts_of(env, args[2]) : NULL;
  if (!all || !id_of(env, args[1], r, &id)) return fail(env, "tlsUse(engine, listener, contexts)");
  if (r->stopped) return NULL;
  struct command *c = calloc(1, sizeof *c);
  if (!c) return fail(env, "out of memory");
  c->kind = DO_USE_TLS;
  c->id = id;
  c->contexts = all;
  tls_contexts_hold(all);
  engine_send(&r->engine, c);
  return NULL;
}

// -- Streams of plain bytes ------------------------------------------------------------------------------------------

// pair() -> [descriptor, descriptor] of two connected sockets, or -errno.
napi_value js_pair(napi_env env, napi_callback_info info) {
  int fd[2];
  napi_value both = NULL;
  (void)info;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0) return number(env, -errno);
  if (napi_create_array_with_length(env, 2, &both) != napi_ok || napi_set_element(env, both, 0, number(env, fd[0])) != napi_ok ||
      napi_set_element(env, both, 1, number(env, fd[1])) != napi_ok) {
    close(fd[0]);
    close(fd[1]);
    return fail(env, "pair()");
  }
  return both;
}

// localAddress(fd) -> [address, port] of this end of a TCP connection, an IPv4-mapped one as IPv4; null where it has none
// any more.
napi_value js_local_address(napi_env env, napi_callback_info info) {
  napi_value args[1], both = NULL, text = NULL;
  int32_t fd;
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  char name[INET6_ADDRSTRLEN];
  if (!arguments(env, info, args, 1) || napi_get_value_int32(env, args[0], &fd) != napi_ok) return fail(env, "localAddress(fd)");
  uint16_t port = 0;
  if (getsockname(fd, (struct sockaddr *)&address, &length) == 0) port = address_text(&address, name);
  if (!port) {
    napi_get_null(env, &both);
    return both;
  }
  if (napi_create_string_latin1(env, name, NAPI_AUTO_LENGTH, &text) != napi_ok ||
      napi_create_array_with_length(env, 2, &both) != napi_ok || napi_set_element(env, both, 0, text) != napi_ok ||
      napi_set_element(env, both, 1, number(env, port)) != napi_ok) {
    return fail(env, "localAddress(fd)");
  }
  return both;
}
